//! delimchat: its sessions as subjects of the suite, its codec as the vectors and fuzz targets see it.

mod session;

use bytes::Bytes;
use delimchat_proto::draft::{self, ClientDraftKind, Date, DraftIds, ServerDraftKind};
use delimchat_proto::{
    Base64, ByteOrder, ByteOrderField, ClientPacket, ClientPacketRef, CodecConfig, DecodeError,
    DecodeErrorKind, Decoder, EncodeError, EndianMarker, FieldRef, FromClient, FromServer,
    PacketId, PacketList, Secret, Sender, ServerPacket, ServerPacketRef, StatusDigits,
};
use serde_json::{Map, Value, json};

pub use session::{DelimchatClient, DelimchatServer, from_client, from_server, some_packet};

use crate::vectors::{Codec, Decoded, Error, Vector, from_hex};

/// Both senders' packets, without drafts and with them, so that one test goes for all.
pub trait Side: Sender {
    /// A packet that owns its bytes.
    type Owned: Clone + PartialEq + std::fmt::Debug;

    /// A new decoder; [`draft_ids`] are those of drafts.
    fn decoder(config: CodecConfig) -> Decoder<Self>
    where
        Self: Sized;

    /// [`Decoder::decode`], to own.
    ///
    /// # Errors
    /// As it.
    fn decode(
        decoder: &mut Decoder<Self>,
        input: &mut &[u8],
    ) -> Result<Option<Self::Owned>, DecodeError>
    where
        Self: Sized;

    /// [`Decoder::decode_bytes`].
    ///
    /// # Errors
    /// As it.
    fn decode_bytes(
        decoder: &mut Decoder<Self>,
        input: &mut Bytes,
    ) -> Result<Option<Self::Owned>, DecodeError>
    where
        Self: Sized;

    /// [`Decoder::finish`], to own.
    ///
    /// # Errors
    /// As it.
    fn finish(decoder: &mut Decoder<Self>) -> Result<Option<Self::Owned>, DecodeError>
    where
        Self: Sized;

    /// Encodes a packet.
    ///
    /// # Errors
    /// As its own `encode`.
    fn encode(
        packet: &Self::Owned,
        config: &CodecConfig,
        dst: &mut Vec<u8>,
    ) -> Result<(), EncodeError>;

    /// A packet in the words of the vectors.
    fn describe(packet: &Self::Owned) -> Value;
}

macro_rules! side {
    ($side:ty, $packet:ty, $new:expr, $encode:expr) => {
        impl Side for $side {
            type Owned = $packet;

            fn decoder(config: CodecConfig) -> Decoder<Self> {
                $new(config)
            }

            fn decode(
                decoder: &mut Decoder<Self>,
                input: &mut &[u8],
            ) -> Result<Option<$packet>, DecodeError> {
                let packet = decoder.decode(input)?;
                Ok(packet.map(|packet| packet.map(Bytes::copy_from_slice)))
            }

            fn decode_bytes(
                decoder: &mut Decoder<Self>,
                input: &mut Bytes,
            ) -> Result<Option<$packet>, DecodeError> {
                decoder.decode_bytes(input)
            }

            fn finish(decoder: &mut Decoder<Self>) -> Result<Option<$packet>, DecodeError> {
                let packet = decoder.finish()?;
                Ok(packet.map(|packet| packet.map(Bytes::copy_from_slice)))
            }

            fn encode(
                packet: &$packet,
                config: &CodecConfig,
                dst: &mut Vec<u8>,
            ) -> Result<(), EncodeError> {
                $encode(packet, config, dst)
            }

            fn describe(packet: &$packet) -> Value {
                let mut fields = Map::new();
                fields.insert("type".into(), packet.name().into());
                packet.fields(|name, field| describe(name, field, &mut fields));
                Value::Object(fields)
            }
        }
    };
}

side!(FromClient, ClientPacket, Decoder::new, ClientPacket::encode);
side!(FromServer, ServerPacket, Decoder::new, ServerPacket::encode);
side!(
    draft::FromClient,
    draft::ClientPacket,
    |config| Decoder::with_drafts(config, draft_ids()),
    |packet: &draft::ClientPacket, config, dst| packet.encode(&draft_ids(), config, dst)
);
side!(
    draft::FromServer,
    draft::ServerPacket,
    |config| Decoder::with_drafts(config, draft_ids()),
    |packet: &draft::ServerPacket, config, dst| packet.encode(&draft_ids(), config, dst)
);

/// The first free ids, for all drafts of both sides in the order of their tables (D11).
pub fn draft_ids() -> DraftIds {
    let mut ids = DraftIds::new();
    for (kind, id) in ClientDraftKind::ALL.iter().zip(10..) {
        ids = ids.client(*kind, PacketId(id)).expect("free");
    }
    for (kind, id) in ServerDraftKind::ALL.iter().zip(10..) {
        ids = ids.server(*kind, PacketId(id)).expect("free");
    }
    ids
}

fn describe(name: &str, field: FieldRef<'_>, fields: &mut Map<String, Value>) {
    let base64 = |field: Base64<&[u8]>| {
        let text = String::from_utf8(field.text());
        match (field.check(), text) {
            (Ok(()), Ok(text)) => (name.to_owned(), Value::from(text)),
            _ => (format!("{name}_hex"), hex(&field.text()).into()),
        }
    };
    let (key, value) = match field {
        FieldRef::Text(text) => (name.to_owned(), text.into()),
        FieldRef::Invalid(bytes) => (format!("{name}_hex"), hex(bytes).into()),
        FieldRef::Base64(field) => base64(field),
        FieldRef::Password(field) => base64(*field.expose()),
        FieldRef::Opaque(bytes) => (name.to_owned(), hex(bytes).into()),
        FieldRef::Number(number) => (name.to_owned(), number.into()),
        FieldRef::Status(status) if name == "authorized" => {
            (name.to_owned(), (status == "okay").into())
        }
        FieldRef::Status(status) => (name.to_owned(), status.into()),
        FieldRef::ByteOrder(ByteOrderField::Valid(order)) => (name.to_owned(), order.name().into()),
        FieldRef::ByteOrder(ByteOrderField::Empty) => (name.to_owned(), "".into()),
        FieldRef::ByteOrder(ByteOrderField::Invalid(byte)) => {
            (format!("{name}_hex"), hex(&[byte]).into())
        }
        FieldRef::Packets(packets) => {
            (name.to_owned(), packets.iter().map(|id| id.0).collect::<Vec<_>>().into())
        }
        FieldRef::Date(date) => (name.to_owned(), date.to_string().into()),
        other => panic!("{other:?} is new"),
    };
    fields.insert(key, value);
}

/// All that is in these pieces of a stream, and at its end.
pub fn decode<S: Side>(
    config: CodecConfig,
    pieces: &[impl AsRef<[u8]>],
) -> Vec<Result<S::Owned, DecodeError>> {
    let mut decoder = S::decoder(config);
    let mut items = Vec::new();
    for piece in pieces {
        let mut input = piece.as_ref();
        while let Some(item) = S::decode(&mut decoder, &mut input).transpose() {
            items.push(item);
        }
        assert!(input.is_empty());
    }
    while let Some(item) = S::finish(&mut decoder).transpose() {
        items.push(item);
    }
    items
}

/// The same through `Bytes`.
pub fn decode_bytes<S: Side>(
    config: CodecConfig,
    pieces: &[impl AsRef<[u8]>],
) -> Vec<Result<S::Owned, DecodeError>> {
    let mut decoder = S::decoder(config);
    let mut items = Vec::new();
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece.as_ref());
        while let Some(item) = S::decode_bytes(&mut decoder, &mut input).transpose() {
            items.push(item);
        }
        assert!(input.is_empty());
    }
    while let Some(item) = S::finish(&mut decoder).transpose() {
        items.push(item);
    }
    items
}

/// The codec, as the vectors see it.
#[derive(Debug, Clone, Copy)]
pub struct DelimchatCodec;

impl Codec for DelimchatCodec {
    fn decode(&self, vector: &Vector, pieces: &[&[u8]]) -> Decoded {
        match (&vector.from[..], has_drafts(vector)) {
            ("client", false) => decoded::<FromClient>(vector, pieces),
            ("client", true) => decoded::<draft::FromClient>(vector, pieces),
            (_, false) => decoded::<FromServer>(vector, pieces),
            (_, true) => decoded::<draft::FromServer>(vector, pieces),
        }
    }

    fn encode(&self, vector: &Vector, message: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        let (config, fields) = (config(vector), Fields::of(message));
        let name = message["type"].as_str().unwrap_or_default();
        let ids = draft_ids();
        let result = match &vector.from[..] {
            "client" if has_drafts(vector) => {
                draft::ClientDraftRef::from_fields(name, |name| fields.get(name))
                    .expect("a draft")
                    .encode(&ids, &config, &mut bytes)
            }
            "server" if has_drafts(vector) => {
                draft::ServerDraftRef::from_fields(name, |name| fields.get(name))
                    .expect("a draft")
                    .encode(&ids, &config, &mut bytes)
            }
            "client" => ClientPacketRef::from_fields(name, |name| fields.get(name))
                .expect("a packet")
                .encode(&config, &mut bytes),
            _ => ServerPacketRef::from_fields(name, |name| fields.get(name))
                .expect("a packet")
                .encode(&config, &mut bytes),
        };
        result.expect("a vector's packet can be encoded");
        bytes
    }

    fn trailer(&self, vector: &Vector) -> (Vec<u8>, Value) {
        match &vector.from[..] {
            "client" => (b"\xFC\xFFSP\0".into(), json!({ "type": "supported_packets_request" })),
            _ => (b"\xFB\xFFPNS\0".into(), json!({ "type": "packet_not_supported" })),
        }
    }
}

fn decoded<S: Side>(vector: &Vector, pieces: &[&[u8]]) -> Decoded {
    let items = decode::<S>(config(vector), pieces);
    assert_eq!(items, decode_bytes::<S>(config(vector), pieces), "{}", vector.name);
    let mut decoded = Decoded::default();
    for item in items {
        match item {
            Ok(packet) if decoded.error.is_none() => decoded.messages.push(S::describe(&packet)),
            Ok(packet) => decoded.after.push(S::describe(&packet)),
            Err(report) if decoded.error.is_none() => decoded.error = Some(show(report)),
            Err(report) => panic!("{}: a second report, {report}", vector.name),
        }
    }
    decoded
}

fn show(report: DecodeError) -> Error {
    let kind = match report.kind {
        DecodeErrorKind::UnknownPacket => "unknown_packet",
        DecodeErrorKind::Truncated => "unexpected_eof",
        DecodeErrorKind::MessageTooLong(_) => "message_too_long",
        DecodeErrorKind::Malformed { .. } => "malformed",
        _ => "something new",
    };
    Error { kind: kind.into(), offset: Some(report.offset), key: None }
}

/// Whether a vector is about drafts.
pub fn has_drafts(vector: &Vector) -> bool {
    !vector.config["drafts"].is_null()
}

/// The settings of a vector.
pub fn config(vector: &Vector) -> CodecConfig {
    let mut config = CodecConfig::default();
    for (key, value) in vector.config.as_object().unwrap_or(&Map::new()) {
        match (&key[..], value.as_str(), value.as_u64().and_then(|n| u16::try_from(n).ok())) {
            ("byte_order", Some("big"), _) => config.byte_order = ByteOrder::BigEndian,
            ("byte_order", Some("little"), _) => config.byte_order = ByteOrder::LittleEndian,
            ("endian_marker", Some("letter"), _) => config.endian_marker = EndianMarker::Letter,
            ("status_digits", Some("hex"), _) => config.status_digits = StatusDigits::Hex,
            ("max_packet", _, Some(max)) => config.max_packet = max,
            ("drafts", _, _) => {
                for (name, id) in value.as_object().expect("ids by name") {
                    let ids = draft_ids();
                    let client = ClientDraftKind::ALL.iter().find(|kind| kind.name() == name);
                    let server = ServerDraftKind::ALL.iter().find(|kind| kind.name() == name);
                    let expected = match &vector.from[..] {
                        "client" => client.and_then(|kind| ids.client_id(*kind)),
                        _ => server.and_then(|kind| ids.server_id(*kind)),
                    };
                    assert_eq!(id.as_u64(), expected.map(|id| id.0.into()), "{}", vector.name);
                }
            }
            _ => panic!("{}: unknown setting {key}: {value}", vector.name),
        }
    }
    config
}

/// The fields of a message, with the bytes that its hexadecimal ones are.
struct Fields<'a> {
    message: &'a Value,
    bytes: Vec<(&'a str, Vec<u8>)>,
}

impl<'a> Fields<'a> {
    fn of(message: &'a Value) -> Self {
        let fields = message.as_object().into_iter().flatten();
        let bytes = |(name, value): (&'a String, &Value)| {
            let packets = value.as_array().map(|ids| {
                ids.iter().map(|id| u8::try_from(id.as_u64().unwrap_or(0)).unwrap_or(0)).collect()
            });
            let hex = value.as_str().and_then(from_hex);
            Some((&name[..], packets.or(hex)?))
        };
        Self { message, bytes: fields.filter_map(bytes).collect() }
    }

    fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.bytes.iter().find(|(key, _)| *key == name).map(|(_, bytes)| &bytes[..])
    }

    fn get(&self, name: &str) -> Option<FieldRef<'_>> {
        let value = &self.message[name];
        Some(match name {
            "client_message_id" | "room" | "unique_id" | "unique_id_prefix" => {
                FieldRef::Opaque(self.bytes(name)?)
            }
            "remaining" | "number" => FieldRef::Number(u32::try_from(value.as_u64()?).ok()?),
            "minutes" | "hours" | "days" | "months" | "years" | "gender" | "date_of_birth"
                if value == "" =>
            {
                FieldRef::Text("")
            }
            "minutes" | "hours" | "days" | "months" | "years" | "part" => {
                FieldRef::Number(u32::try_from(value.as_u64()?).ok()?)
            }
            "date_of_birth" => {
                let mut parts = value.as_str()?.split('/').map(|part| part.parse().ok());
                let mut part = || parts.next().flatten();
                FieldRef::Date(Date::new(part()?, part()?, part()?)?)
            }
            "gender" => FieldRef::Status(value.as_str()?),
            _ if name.ends_with("_visibility") => FieldRef::Status(value.as_str()?),
            "data" | "message" => FieldRef::Base64(Base64::from_text(value.as_str()?.as_bytes())),
            "password" => {
                FieldRef::Password(Secret::new(Base64::from_text(value.as_str()?.as_bytes())))
            }
            "byte_order" => FieldRef::ByteOrder(ByteOrderField::Valid(match value.as_str()? {
                "little" => ByteOrder::LittleEndian,
                _ => ByteOrder::BigEndian,
            })),
            "packets" => FieldRef::Packets(PacketList::new(self.bytes(name)?)),
            "authorized" => {
                FieldRef::Status(if value.as_bool()? { "okay" } else { "not_authorized" })
            }
            _ if name.ends_with("_status") => FieldRef::Status(value.as_str()?),
            _ => FieldRef::Text(value.as_str()?),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
