//! delimchat's targets. What the fuzzer writes begins with `Settings`; then `delimchat_decode`,
//! `delimchat_model` and `delimchat_chunks` take a stream as it is, `delimchat_round_trip` a list of packets (see
//! `packet`).

mod session;

use std::fmt::Debug;

use bytes::Bytes;
use delimchat_proto::draft;
use delimchat_proto::{
    Base64, ByteOrder, ByteOrderField, ClientPacket, ClientPacketRef, CodecConfig, DecodeError,
    DecodeErrorKind, EncodeError, EndianMarker, FieldRef, FieldWidth, FromClient, FromServer,
    Layout, PacketList, Secret, ServerPacket, ServerPacketRef, StatusDigits,
};

use super::{Input, Target, file_name};
use crate::Numbers;
use crate::conformance::cut;
use crate::delimchat::{Side, decode as decoded, decode_bytes};
use crate::model::delimchat as model;
use crate::vectors::{File, Vector};

/// The targets.
pub const TARGETS: &[Target] = &[
    Target { name: "delimchat_decode", run: decode, seeds: stream_seeds },
    Target { name: "delimchat_model", run: against_model, seeds: stream_seeds },
    Target { name: "delimchat_round_trip", run: round_trip, seeds: packet_seeds },
    Target { name: "delimchat_chunks", run: chunks, seeds: stream_seeds },
    Target { name: "delimchat_session", run: session, seeds: session::seeds },
];

/// A session survives any calls at any time, and two of them get along with one another.
pub fn session(fuzz: &[u8]) {
    session::run(fuzz);
}

/// The first three bytes: flags, and `max_packet`.
struct Settings {
    codec: CodecConfig,
    of_server: bool,
    drafts: bool,
}

impl Settings {
    const OF_SERVER: u8 = 1;
    const LITTLE_ENDIAN: u8 = 2;
    const LETTER: u8 = 4;
    const HEX: u8 = 8;
    const SHORT: u8 = 16;
    const DRAFTS: u8 = 32;

    fn take(input: &mut Input<'_>) -> Self {
        let flags = input.byte();
        let mut codec = CodecConfig::default().max_packet(input.number());
        if flags & Self::LITTLE_ENDIAN != 0 {
            codec = codec.byte_order(ByteOrder::LittleEndian);
        }
        if flags & Self::LETTER != 0 {
            codec = codec.endian_marker(EndianMarker::Letter);
        }
        if flags & Self::HEX != 0 {
            codec = codec.status_digits(StatusDigits::Hex);
        }
        if flags & Self::SHORT != 0 {
            codec = codec.max_username(5).max_alias(4).max_email(3).max_text(6);
        }
        Self { codec, of_server: flags & Self::OF_SERVER != 0, drafts: flags & Self::DRAFTS != 0 }
    }
}

/// Reports and packets lie one behind the other, with nothing but `00` between them; what is good is written again
/// and read as the same.
pub fn decode(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let Settings { codec, of_server, drafts } = Settings::take(&mut input);
    match (of_server, drafts) {
        (false, false) => decode_side::<FromClient>(input.0, codec),
        (false, true) => decode_side::<draft::FromClient>(input.0, codec),
        (true, false) => decode_side::<FromServer>(input.0, codec),
        (true, true) => decode_side::<draft::FromServer>(input.0, codec),
    }
}

fn decode_side<S: Side>(stream: &[u8], codec: CodecConfig) {
    let mut decoder = S::decoder(codec);
    let mut rest = stream;
    let mut behind = 0;
    let mut finished = false;
    loop {
        let item =
            if finished { S::finish(&mut decoder) } else { S::decode(&mut decoder, &mut rest) };
        let span = decoder.start()..decoder.offset();
        match item.transpose() {
            None if finished => break,
            None => {
                assert!(rest.is_empty() && decoder.unfinished().len() < longest(codec).max(1));
                finished = true;
                continue;
            }
            Some(Ok(packet)) => {
                let mut again = Vec::new();
                if S::encode(&packet, &codec, &mut again).is_ok() {
                    assert!(again.len() <= longest(codec));
                    assert_eq!(decoded::<S>(codec, &[&again]), [Ok(packet)]);
                }
            }
            Some(Err(report)) => {
                assert_eq!((report.offset, report.len), (span.start, span.end - span.start));
                assert!(report.len <= longest(codec) as u64 + 1);
                if !matches!(report.kind, DecodeErrorKind::Unterminated) {
                    assert_eq!(Some(&report.id.0), at(stream, report.offset).first());
                }
            }
        }
        assert!(span.start >= behind && span.end > span.start);
        let between = &at(stream, behind)[..usize::try_from(span.start - behind).expect("fits")];
        assert!(between.iter().all(|byte| *byte == 0), "nothing is left out");
        behind = span.end;
    }
    assert!(at(stream, behind).iter().all(|byte| *byte == 0), "nothing is left out at the end");
}

fn at(stream: &[u8], offset: u64) -> &[u8] {
    &stream[usize::try_from(offset).expect("lies in the stream")..]
}

fn longest(codec: CodecConfig) -> usize {
    usize::from(codec.max_packet).max(1)
}

/// The decoder finds the packets and reports that the model does.
pub fn against_model(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let Settings { codec, .. } = Settings::take(&mut input);
    let client = |packet: &ClientPacket| {
        let mut fields = Vec::new();
        packet.fields(|_, field| fields.push(as_modelled(field)));
        model::Packet { id: packet.id().0, fields }
    };
    let server = |packet: &ServerPacket| {
        let mut fields = Vec::new();
        packet.fields(|_, field| fields.push(as_modelled(field)));
        model::Packet { id: packet.id().0, fields }
    };
    agree::<FromClient>(input.0, codec, model::From::Client, client);
    agree::<FromServer>(input.0, codec, model::From::Server, server);
}

fn agree<S: Side>(
    stream: &[u8],
    codec: CodecConfig,
    from: model::From,
    model: impl Fn(&S::Owned) -> model::Packet,
) {
    let expected: Vec<_> =
        model::items(stream, from, &codec).into_iter().map(|(_, item)| item).collect();
    let as_model = |items: Vec<Result<S::Owned, DecodeError>>| -> Vec<_> {
        items.into_iter().map(|item| item.map(|packet| model(&packet))).collect()
    };
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(as_model(decoded::<S>(codec, &[stream])), expected, "{from:?}, whole");
    assert_eq!(as_model(decoded::<S>(codec, &single)), expected, "{from:?}, byte at a time");
    assert_eq!(as_model(decode_bytes::<S>(codec, &[stream])), expected, "{from:?}, as Bytes");
}

fn as_modelled(field: FieldRef<'_>) -> model::Field {
    match field {
        FieldRef::Text(text) => model::Field::Bytes(text.into()),
        FieldRef::Invalid(bytes) | FieldRef::Opaque(bytes) => model::Field::Bytes(bytes.into()),
        FieldRef::Base64(field) => model::Field::Bytes(field.text()),
        FieldRef::Password(field) => model::Field::Bytes(field.expose().text()),
        FieldRef::Number(number) => model::Field::Number(number),
        FieldRef::Status(name) => {
            let name = model::STATUSES.into_iter().find(|known| *known == name);
            model::Field::Status(name.expect("is of the spec's list"))
        }
        FieldRef::ByteOrder(field) => model::Field::ByteOrder(match field {
            ByteOrderField::Valid(order) => Ok(order),
            ByteOrderField::Empty => Err(Vec::new()),
            ByteOrderField::Invalid(byte) => Err(vec![byte]),
        }),
        FieldRef::Packets(packets) => model::Field::Ids(packets.iter().map(|id| id.0).collect()),
        other => panic!("{other:?} is new"),
    }
}

/// Packets made up of the input: encoding succeeds or fails as it must, a failure leaves the buffer as it was, a buffer
/// of the right size is enough and one byte less isn't, and what is encoded decodes to the same.
pub fn round_trip(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let Settings { codec, of_server, .. } = Settings::take(&mut input);
    while !input.is_empty() {
        if of_server {
            let layouts = ServerPacket::LAYOUTS;
            let layout = &layouts[usize::from(input.byte()) % layouts.len()];
            let fields = packet(layout, &mut input);
            let packet = ServerPacketRef::from_fields(layout.name, |name| get(&fields, name));
            let packet = packet.expect("has its fields");
            let encode = |mut dst: &mut dyn bytes::BufMut| packet.encode(&codec, &mut dst);
            survives::<FromServer>(&packet.map(Bytes::copy_from_slice), codec, encode);
        } else {
            let layouts = ClientPacket::LAYOUTS;
            let layout = &layouts[usize::from(input.byte()) % layouts.len()];
            let fields = packet(layout, &mut input);
            let packet = ClientPacketRef::from_fields(layout.name, |name| get(&fields, name));
            let packet = packet.expect("has its fields");
            let encode = |mut dst: &mut dyn bytes::BufMut| packet.encode(&codec, &mut dst);
            survives::<FromClient>(&packet.map(Bytes::copy_from_slice), codec, encode);
        }
    }
}

fn survives<S: Side>(
    packet: &S::Owned,
    codec: CodecConfig,
    encode: impl Fn(&mut dyn bytes::BufMut) -> Result<(), EncodeError>,
) where
    S::Owned: Debug,
{
    let mut dst = b"before".to_vec();
    let result = encode(&mut dst);
    let bytes = dst.strip_prefix(b"before").expect("stays");
    if result.is_err() {
        assert_eq!(bytes, b"", "{packet:?}");
        return;
    }
    let mut exact = vec![0xAA; bytes.len()];
    assert_eq!(encode(&mut &mut exact[..]), Ok(()));
    assert_eq!(exact, bytes);
    let mut small = vec![0xAA; bytes.len() - 1];
    assert_eq!(encode(&mut &mut small[..]), Err(EncodeError::BufferFull));
    assert!(small.iter().all(|byte| *byte == 0xAA));
    assert_eq!(decoded::<S>(codec, &[bytes]), [Ok(packet.clone())]);
}

/// The fields of a packet of this layout: texts as the fuzzer wants, counted; a flag before what may be missing, and
/// before base64, of which it says whether it is the text or the payload.
fn packet<'a>(layout: &Layout, input: &mut Input<'a>) -> Vec<(&'static str, Made<'a>)> {
    let mut fields = Vec::new();
    for group in layout.groups {
        if group.may_be_missing && input.byte() & 1 != 0 {
            continue;
        }
        for field in group.fields {
            fields.push((
                field.name,
                match field.width {
                    FieldWidth::Fixed(len) => {
                        let mut bytes = input.bytes(len).to_vec();
                        bytes.resize(len, 0xFF);
                        Made::Opaque(bytes)
                    }
                    FieldWidth::Number => {
                        let (high, low) = (input.number(), input.number());
                        Made::Is(FieldRef::Number(u32::from(high) << 16 | u32::from(low)))
                    }
                    FieldWidth::Status(codes) => Made::Status(
                        layout.id.0,
                        field.name,
                        codes[usize::from(input.byte()) % codes.len()],
                    ),
                    FieldWidth::Literal(_) => continue,
                    FieldWidth::Base64 => {
                        let is_text = input.byte() & 1 != 0;
                        let bytes = input.counted();
                        let field_of =
                            if is_text { Base64::from_text(bytes) } else { Base64::of(bytes) };
                        Made::Is(match field.name {
                            "password" => FieldRef::Password(Secret::new(field_of)),
                            _ => FieldRef::Base64(field_of),
                        })
                    }
                    FieldWidth::ByteOrder => Made::Is(FieldRef::ByteOrder(match input.byte() {
                        0 => ByteOrderField::Empty,
                        1 => ByteOrder::LittleEndian.into(),
                        2 => ByteOrder::BigEndian.into(),
                        other => ByteOrderField::Invalid(other),
                    })),
                    FieldWidth::PacketList => {
                        Made::Is(FieldRef::Packets(PacketList::new(input.counted())))
                    }
                    _ => Made::Is(FieldRef::Invalid(input.counted())),
                },
            ));
        }
    }
    fields
}

/// What a field is made of.
enum Made<'a> {
    Is(FieldRef<'a>),
    Opaque(Vec<u8>),
    /// A code of a packet's status.
    Status(u8, &'static str, u8),
}

fn get<'f>(fields: &'f [(&'static str, Made<'f>)], name: &str) -> Option<FieldRef<'f>> {
    let (_, made) = fields.iter().find(|(known, _)| *known == name)?;
    Some(match made {
        Made::Is(field) => *field,
        Made::Opaque(bytes) => FieldRef::Opaque(bytes),
        Made::Status(id, name, code) => {
            let long = matches!(id, 88 | 92 | 100);
            FieldRef::Status(
                model::STATUSES[match (*name, *code) {
                    ("room_status", 4) | ("authorized", 0) => 8,
                    ("message_status", 5) if long => 11,
                    ("authorized", 1) => 3,
                    (_, code) => usize::from(code),
                }],
            )
        }
    })
}

/// However a stream is cut into pieces, it comes to the same.
pub fn chunks(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let Settings { codec, of_server, drafts } = Settings::take(&mut input);
    match (of_server, drafts) {
        (false, false) => chunks_of::<FromClient>(input.0, codec),
        (false, true) => chunks_of::<draft::FromClient>(input.0, codec),
        (true, false) => chunks_of::<FromServer>(input.0, codec),
        (true, true) => chunks_of::<draft::FromServer>(input.0, codec),
    }
}

fn chunks_of<S: Side>(stream: &[u8], codec: CodecConfig) {
    let whole = decoded::<S>(codec, &[stream]);
    let seed = stream.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte));
    for largest in [1, 2, 5, 17, 100] {
        let pieces = cut(stream, largest, &mut Numbers::new(seed));
        assert_eq!(decoded::<S>(codec, &pieces), whole, "in pieces of up to {largest}");
        assert_eq!(decode_bytes::<S>(codec, &pieces), whole, "the same as Bytes");
    }
}

fn vectors() -> Vec<Vector> {
    File::parse(include_str!("../../../delimchat-proto/tests/vectors/delimchat.json")).vectors
}

/// The settings of a vector, as bytes.
fn settings(vector: &Vector) -> Vec<u8> {
    let codec = crate::delimchat::config(vector);
    let mut flags = 0;
    for (flag, set) in [
        (Settings::OF_SERVER, vector.from == "server"),
        (Settings::LITTLE_ENDIAN, codec.byte_order == ByteOrder::LittleEndian),
        (Settings::LETTER, codec.endian_marker == EndianMarker::Letter),
        (Settings::HEX, codec.status_digits == StatusDigits::Hex),
        (Settings::DRAFTS, crate::delimchat::has_drafts(vector)),
    ] {
        flags |= if set { flag } else { 0 };
    }
    [&[flags], &codec.max_packet.to_be_bytes()[..]].concat()
}

/// The stream of each vector, but for the longest ones, and three packets behind it.
fn stream_seeds() -> Vec<(String, Vec<u8>)> {
    let seed = |v: &Vector| {
        let behind = if v.from == "client" { &b"\xFC\xFFSP\0"[..] } else { b"\xFB\xFFPNS\0" };
        (file_name(&v.name), [&settings(v)[..], &v.bytes, &behind.repeat(3)].concat())
    };
    let vectors = vectors();
    let mut seeds: Vec<_> = vectors.iter().filter(|v| v.bytes.len() < 300).map(seed).collect();
    // Nothing fits, and identifiers in which packets begin.
    let list = [&b"\x00\x00\x0A\xFE"[..], &b"\xFF\x02".repeat(30), b"\0\x28\xFFBYE\0"].concat();
    seeds.push(("by-hand-too-long".into(), list));
    let nested =
        b"\x00\x20\x00\x57\xFF\x54\0\x54\0\xFF\x57\0\xFF\0\xFF\x28\xFFBYE\0x\0\xFC\xFFSP\0";
    seeds.push(("by-hand-nested".into(), nested.to_vec()));
    let short =
        b"\x10\x20\x00\x02\xFFadalove\xFFcA==\xFF\x01\0\xA3\xFF12345678\xFF1234567\0\xFC\xFFSP\0";
    seeds.push(("by-hand-short-limits".into(), short.to_vec()));
    seeds
}

/// One packet of each layout, good and bad.
fn packet_seeds() -> Vec<(String, Vec<u8>)> {
    let of = |layouts: &'static [Layout], of_server: u8| {
        layouts.iter().enumerate().map(move |(at, layout)| {
            let mut bytes = vec![of_server, 0x20, 0x00];
            for filler in [&b"\x05ada-a"[..], b"\x04cA==", b"\x03\xFF\0x", b"\x01x"] {
                bytes.push(u8::try_from(at).expect("few packets"));
                bytes.extend(filler.repeat(8));
            }
            (file_name(layout.name), bytes)
        })
    };
    of(ClientPacket::LAYOUTS, 0).chain(of(ServerPacket::LAYOUTS, 1)).collect()
}
