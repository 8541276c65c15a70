//! Delimchat: packets in a byte stream, with delimiters between their fields.

use std::borrow::Cow;
use std::cell::Cell;
use std::io;
use std::ops::ControlFlow;
use std::rc::Rc;

use anyhow::{anyhow, bail};
use delimchat_proto::{
    Base64, ByteOrder, ByteOrderField, ClientPacket, ClientPacketRef, CodecConfig, DecodeError,
    DecodeErrorKind, Decoder, EndianMarker, FieldRef, FieldWidth, FromClient, FromServer, Layout,
    PacketList, Secret, ServerPacket, ServerPacketRef, StatusDigits,
};

use crate::json::{Fields, is_redacted, redacted};
use crate::record::{Note, Part, Problem, Record, Role, Value};
use crate::{Options, Output, Side, Wire};

/// For `--help`.
pub(crate) const NOTES: &str = "\
delimchat types are those of its packets: login, short_message_delivery and so on, and so are their
fields. Identifiers (client_message_id, room, unique_id, unique_id_prefix) are hex, message and
password base64, statuses words such as okay, packets a list of numbers; authorized is true or false.
A field with content that can't be read has _hex behind its name, and can't be encoded. A login sets
the byte order of what comes behind it from the same side, in a capture also from the other.

delimchat errors (reading goes on behind all of them; each has the packet's id, too):
  malformed       what the packet's layout has isn't there, or a field or packet is too long
  unknown_packet  none of this side's
  unexpected_eof  the input ended inside a packet";

/// One side's packets.
enum Packets {
    Client(Decoder<FromClient>),
    Server(Decoder<FromServer>),
}

impl Packets {
    fn new(from: Side, config: CodecConfig) -> Self {
        match from {
            Side::Client => Self::Client(Decoder::new(config)),
            Side::Server => Self::Server(Decoder::new(config)),
        }
    }
}

/// Does the same with either side's packets.
macro_rules! either {
    ($packets:expr, $decoder:ident => $do:expr) => {
        match $packets {
            Packets::Client($decoder) => $do,
            Packets::Server($decoder) => $do,
        }
    };
}

pub(crate) struct Delimchat {
    from: Side,
    config: CodecConfig,
    packets: Packets,
    /// What has been read and not shown yet.
    bytes: Vec<u8>,
    /// Bytes before those.
    offset: u64,
    /// Bytes before the decoder's first.
    base: u64,
    /// Where a packet is looked for, until the first that is good.
    search: Option<u64>,
    /// Of what comes next, both sides'.
    byte_order: Rc<Cell<ByteOrder>>,
}

impl Delimchat {
    /// That which a conversation begins with.
    pub(crate) const fn byte_order(options: &Options) -> ByteOrder {
        match options.byte_order {
            crate::ByteOrder::Big => ByteOrder::BigEndian,
            crate::ByteOrder::Little => ByteOrder::LittleEndian,
        }
    }

    pub(crate) fn new(from: Side, options: &Options, byte_order: Rc<Cell<ByteOrder>>) -> Self {
        let mut config = CodecConfig::default()
            .byte_order(byte_order.get())
            .endian_marker(match options.endian_marker {
                Some(crate::EndianMarker::Letter) => EndianMarker::Letter,
                _ => EndianMarker::Numeric,
            })
            .status_digits(match options.status_digits {
                Some(crate::StatusDigits::Hex) => StatusDigits::Hex,
                _ => StatusDigits::Decimal,
            });
        if let Some(bytes) = options.max_message {
            config = config.max_packet(bytes.try_into().unwrap_or(u16::MAX));
        }
        let packets = Packets::new(from, config);
        let bytes = Vec::new();
        Self { from, config, packets, bytes, offset: 0, base: 0, search: None, byte_order }
    }

    /// Shows what was last given out; `false` if that is nothing.
    fn show(
        &mut self,
        decoded: Result<bool, DecodeError>,
        output: &mut Output,
    ) -> io::Result<bool> {
        let (start, end) = match decoded {
            // What is being skipped is shown when its end is known.
            Ok(false) => either!(&self.packets, d => {
                let start = d.malformed().map_or(d.offset(), |error| error.offset);
                (start, start)
            }),
            _ => either!(&self.packets, d => (d.start(), d.offset())),
        };
        let (start, end) = (self.base + start, self.base + end);
        self.forget(start);
        let config = either!(&self.packets, d => *d.config());
        let raw = self.bytes.get(..len(end - start)).unwrap_or_default();
        match decoded {
            Ok(false) => return Ok(false),
            Ok(true) => {
                if let Some(from) = self.search.take() {
                    skipped(from, start, output)?;
                }
                let (record, speaks) = good(self.from, &config, start, raw);
                output.show(&record)?;
                // D6: any, as the answer may not be seen.
                if let Some(order) = speaks {
                    self.byte_order.set(order);
                }
            }
            Err(error) if self.search.is_none() => {
                output.show(&bad(start, raw, shifted(error, self.base)))?;
            }
            // What may be the inside of a packet is none.
            Err(_) => {}
        }
        self.forget(end);
        Ok(true)
    }

    /// What comes before this byte isn't needed any more.
    fn forget(&mut self, offset: u64) {
        let gone = len(offset - self.offset).min(self.bytes.len());
        self.bytes.drain(..gone);
        self.offset = offset;
    }
}

impl Wire for Delimchat {
    fn takes_messages(&self) -> bool {
        false
    }

    fn decode(&mut self, mut chunk: &[u8], output: &mut Output) -> anyhow::Result<ControlFlow<()>> {
        self.bytes.extend_from_slice(chunk);
        loop {
            let order = self.byte_order.get();
            let decoded = either!(&mut self.packets, d => {
                d.set_byte_order(order);
                d.decode(&mut chunk).map(|p| p.is_some())
            });
            if !self.show(decoded, output)? {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }

    fn finish(&mut self, output: &mut Output) -> io::Result<()> {
        loop {
            let decoded = either!(&mut self.packets, d => d.finish().map(|p| p.is_some()));
            if !self.show(decoded, output)? {
                break;
            }
        }
        let end = self.base + either!(&self.packets, d => d.offset());
        self.search.take().map_or(Ok(()), |from| skipped(from, end, output))
    }

    fn unfinished(&self) -> usize {
        self.bytes.len()
    }

    fn is_searching(&self) -> bool {
        self.search.is_some()
    }

    fn begin_anew(&mut self, offset: u64) {
        self.packets = Packets::new(self.from, self.config);
        self.bytes.clear();
        self.offset = offset;
        self.base = offset;
        self.search = Some(offset);
    }

    fn encode(&self, kind: &str, fields: &mut Fields, dst: &mut Vec<u8>) -> anyhow::Result<()> {
        let (own, other) = match self.from {
            Side::Client => (ClientPacket::LAYOUTS, ServerPacket::LAYOUTS),
            Side::Server => (ServerPacket::LAYOUTS, ClientPacket::LAYOUTS),
        };
        let named = |layouts: &'static [Layout]| layouts.iter().find(|layout| layout.name == kind);
        let Some(layout) = named(own) else {
            match (named(other), self.from) {
                (None, _) => bail!("unknown type {kind:?}"),
                (Some(_), Side::Client) => bail!("a client doesn't send this"),
                (Some(_), Side::Server) => bail!("a server doesn't send this"),
            }
        };
        let mut given = Vec::new();
        for group in layout.groups {
            for field in group.fields {
                if matches!(field.width, FieldWidth::Literal(_))
                    || group.may_be_missing && !fields.has(field.name)
                {
                    continue;
                }
                given.push((field.name, Given::take(field.name, field.width, fields)?));
            }
        }
        let get = |name| given.iter().find(|(n, _)| *n == name).map(|(n, given)| given.field(n));
        let config = self.config.byte_order(self.byte_order.get());
        match self.from {
            Side::Client => ClientPacketRef::from_fields(kind, get)?.encode(&config, dst)?,
            Side::Server => ServerPacketRef::from_fields(kind, get)?.encode(&config, dst)?,
        }
        for (_, given) in given {
            if let Given::ByteOrder(order) = given {
                self.byte_order.set(order);
            }
        }
        Ok(())
    }
}

/// A field that was given.
enum Given {
    Text(String),
    Bytes(Vec<u8>),
    Number(u32),
    ByteOrder(ByteOrder),
}

impl Given {
    fn take(name: &str, width: FieldWidth, fields: &mut Fields) -> anyhow::Result<Self> {
        Ok(match width {
            FieldWidth::Fixed(len) => match fields.bytes(name)? {
                bytes if bytes.len() == len => Self::Bytes(bytes),
                bytes => bail!("{name:?} is {} bytes, not {len}", bytes.len()),
            },
            FieldWidth::Number => Self::Number(fields.u32(name)?),
            FieldWidth::Status(_) if name == "authorized" => {
                let word = if fields.bool(name)? { "okay" } else { "not_authorized" };
                Self::Text(word.to_owned())
            }
            FieldWidth::Base64 if name == "password" => {
                let json = fields.json(name)?;
                if is_redacted(&json) {
                    bail!(redacted(name));
                }
                let text: Result<String, _> = serde_json::from_str(json.get());
                Self::Text(text.map_err(|_| anyhow!("{name:?} must be a string"))?)
            }
            FieldWidth::ByteOrder => match &*fields.text(name)? {
                "big" => Self::ByteOrder(ByteOrder::BigEndian),
                "little" => Self::ByteOrder(ByteOrder::LittleEndian),
                _ => bail!("{name:?} must be \"big\" or \"little\""),
            },
            FieldWidth::PacketList => {
                let ids = serde_json::from_str(fields.json(name)?.get());
                Self::Bytes(ids.map_err(|_| anyhow!("{name:?} must be a list of packet ids"))?)
            }
            _ => Self::Text(fields.text(name)?),
        })
    }

    fn field(&self, name: &str) -> FieldRef<'_> {
        match (self, name) {
            (Self::Text(text), "message") => FieldRef::Base64(Base64::from_text(text.as_bytes())),
            (Self::Text(text), "password") => {
                FieldRef::Password(Secret::new(Base64::from_text(text.as_bytes())))
            }
            (Self::Text(text), "authorized") => FieldRef::Status(text),
            (Self::Text(text), _) if name.ends_with("_status") => FieldRef::Status(text),
            (Self::Text(text), _) => FieldRef::Text(text),
            (Self::Bytes(ids), "packets") => FieldRef::Packets(PacketList::new(ids)),
            (Self::Bytes(bytes), _) => FieldRef::Opaque(bytes),
            (Self::Number(number), _) => FieldRef::Number(*number),
            (Self::ByteOrder(order), _) => FieldRef::ByteOrder((*order).into()),
        }
    }
}

/// What to show of a packet, and the byte order that it asks for.
fn good<'a>(
    from: Side,
    config: &CodecConfig,
    offset: u64,
    raw: &'a [u8],
) -> (Record<'a>, Option<ByteOrder>) {
    let mut walk = Walk { rest: raw, parts: Vec::new() };
    let mut speaks = None;
    let mut kind = "?";
    macro_rules! look_at {
        ($sender:ty, $packet:ident) => {
            // Only what is a packet comes here.
            if let Ok(Some(packet)) = Decoder::<$sender>::new(*config).decode(&mut &raw[..]) {
                kind = packet.name();
                let mut fields = Vec::new();
                packet.fields(|name, field| fields.push((name, field)));
                let layout = $packet::LAYOUTS.iter().find(|layout| layout.id == packet.id());
                for group in layout.map_or(&[][..], |layout| layout.groups) {
                    walk.group(group.fields.iter().map(|field| field.name), &fields);
                    for field in group.fields {
                        if let FieldWidth::Literal(text) = field.width {
                            walk.layout("literal", text.len());
                        }
                    }
                }
                speaks = fields.iter().find_map(|(_, field)| match field {
                    FieldRef::ByteOrder(order) => order.get(),
                    _ => None,
                });
            }
        };
    }
    walk.layout("id", 1);
    match from {
        Side::Client => look_at!(FromClient, ClientPacket),
        Side::Server => look_at!(FromServer, ServerPacket),
    }
    walk.layout("end", 1);
    let length = raw.len() as u64;
    (Record { frame: None, offset, length, outcome: Ok(kind), parts: walk.parts }, speaks)
}

/// Goes over a packet's bytes.
struct Walk<'a> {
    rest: &'a [u8],
    parts: Vec<Part<'a>>,
}

impl<'a> Walk<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn layout(&mut self, name: &'static str, len: usize) {
        let bytes = self.take(len);
        let role = match name {
            "delimiter" | "end" => Role::Delimiter,
            _ => Role::Header,
        };
        self.parts.push(Part::layout(name, bytes, Value::None).role(role));
    }

    /// The fields that there are of a group, each behind a delimiter if there is one.
    fn group(
        &mut self,
        names: impl Iterator<Item = &'static str>,
        fields: &[(&'static str, FieldRef<'_>)],
    ) {
        let mut is_first = true;
        for name in names {
            let field = fields.iter().find(|(known, _)| *known == name).map(|(_, field)| field);
            // A literal isn't among the fields, and one that is missing has no delimiter.
            let is_delimited = is_first && (field.is_some() || name == "literal")
                || matches!(field, Some(FieldRef::Status(_)));
            if is_delimited && self.rest.first() == Some(&0xFF) {
                self.layout("delimiter", 1);
            }
            is_first = false;
            if let Some(field) = field {
                self.field(name, field);
            }
        }
    }

    fn field(&mut self, name: &'static str, field: &FieldRef<'_>) {
        let len = match field {
            FieldRef::Text(text) => text.len(),
            FieldRef::Invalid(bytes) | FieldRef::Opaque(bytes) => bytes.len(),
            FieldRef::Base64(field) => field.encoded_len(),
            FieldRef::Password(field) => field.expose().encoded_len(),
            FieldRef::Number(_) => 4,
            FieldRef::ByteOrder(ByteOrderField::Empty) => 0,
            FieldRef::Packets(ids) => (ids.iter().count() * 2).saturating_sub(1),
            _ => 1,
        };
        let bytes = self.take(len);
        let text = || match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(Cow::Borrowed(text)),
            Err(_) => Value::Bytes(bytes),
        };
        let (is_valid, value) = match field {
            FieldRef::Text(_) => (true, text()),
            FieldRef::Base64(field) => (field.check().is_ok(), text()),
            FieldRef::Password(field) => (field.expose().check().is_ok(), text()),
            FieldRef::Opaque(_) => (true, Value::Bytes(bytes)),
            FieldRef::Number(number) => (true, Value::Number((*number).into())),
            FieldRef::Status(word) if name == "authorized" => (true, Value::Bool(*word == "okay")),
            FieldRef::Status(word) => (true, Value::Text(Cow::Owned((*word).to_owned()))),
            FieldRef::ByteOrder(ByteOrderField::Valid(order)) => (true, Value::Word(order.name())),
            FieldRef::ByteOrder(ByteOrderField::Empty) => (true, Value::Word("")),
            FieldRef::Packets(ids) => (true, Value::Numbers(ids.iter().map(|id| id.0).collect())),
            _ => (false, Value::None),
        };
        let part = if is_valid {
            Part::field(name, bytes, value)
        } else {
            Part::field(in_hex(name), bytes, Value::Bytes(bytes))
        };
        self.parts.push(part.secret(name == "password"));
    }
}

/// Tells of bytes in which no packet was found.
fn skipped(offset: u64, end: u64, output: &mut Output) -> io::Result<()> {
    let length = end - offset;
    if length > 0 { output.note(&Note::Skipped { offset, length }) } else { Ok(()) }
}

/// The same error seen from `by` bytes earlier.
fn shifted(mut error: DecodeError, by: u64) -> DecodeError {
    error.offset += by;
    if let DecodeErrorKind::Malformed { at, .. } = &mut error.kind {
        *at += by;
    }
    error
}

/// What to show of bytes that are no packet.
fn bad(offset: u64, raw: &[u8], error: DecodeError) -> Record<'_> {
    let kind = match error.kind {
        DecodeErrorKind::UnknownPacket => "unknown_packet",
        DecodeErrorKind::Truncated => "unexpected_eof",
        _ => "malformed",
    };
    let (id, rest) = raw.split_at(1.min(raw.len()));
    // Those with a password in them.
    let is_secret = matches!(error.id.0, 0x02 | 0x06 | 0xA0);
    let id = Part::layout("id", id, Value::Number(error.id.0.into())).role(Role::Header);
    let mut parts = vec![id];
    if !rest.is_empty() {
        parts.push(Part::layout("bytes", rest, Value::None).secret(is_secret).role(Role::Bad));
    }
    let at = match error.kind {
        DecodeErrorKind::Malformed { at, .. } => at,
        _ => offset,
    };
    let problem = Problem { kind, detail: error.to_string(), id: Some(error.id.0), at };
    Record { frame: None, offset, length: error.len, outcome: Err(problem), parts }
}

/// The name of a field whose content can't be read.
fn in_hex(name: &'static str) -> &'static str {
    match name {
        "username" => "username_hex",
        "password" => "password_hex",
        "email" => "email_hex",
        "byte_order" => "byte_order_hex",
        "alias" => "alias_hex",
        "old_alias" => "old_alias_hex",
        "new_alias" => "new_alias_hex",
        "message" => "message_hex",
        "part_message" => "part_message_hex",
        name => name,
    }
}

fn len(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
