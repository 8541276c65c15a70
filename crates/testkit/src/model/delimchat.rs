//! delimchat's packets as nom reads them: the whole stream at once, every rule a line, and a table of its own.

use delimchat_proto::{
    ByteOrder, ClientMessageId, CodecConfig, DecodeError, DecodeErrorKind, Expected, Overlong,
    PacketId, RoomId,
};
use nom::bytes::complete::{take, take_till};
use nom::error::{ErrorKind, ParseError};
use nom::{IResult, Parser};

/// Who sends the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// A client.
    Client,
    /// A server.
    Server,
}

/// A packet: its id, and what its fields are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its id.
    pub id: u8,
    /// Its fields in order, without those of a group that is missing.
    pub fields: Vec<Field>,
}

/// A field of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// The bytes of an identifier, text or base64, valid or not.
    Bytes(Vec<u8>),
    /// A number.
    Number(u32),
    /// The name of a status.
    Status(&'static str),
    /// A byte order: a valid one, or its bytes.
    ByteOrder(Result<ByteOrder, Vec<u8>>),
    /// Packet ids.
    Ids(Vec<u8>),
}

/// Layouts by id. Groups are words, fields of a group are joined by `+`: a number is a width, `n` a number, `u` a
/// username, `a` an alias, `m` an e-mail address, `t` a text, `t?` one whose group may be missing, `b` base64, `E` a
/// byte order, `*` ids, a text in capitals itself; else a status type and its codes.
const CLIENT: &[(u8, &str)] = &[
    (2, "u b E"),
    (6, "u b m"),
    (40, "BYE"),
    (80, "4 8 b"),
    (84, "16"),
    (87, "n 4 8 b"),
    (91, "n 4 b"),
    (96, "16"),
    (99, "n 8"),
    (160, "8 b"),
    (163, "8 t?"),
    (166, "a"),
    (169, "8 u a"),
    (252, "SP"),
    (254, "*"),
];

const SERVER: &[(u8, &str)] = &[
    (1, "u"),
    (3, "LoginUsernameStatus:1,2,3,6+LoginPasswordStatus:1,2,3,5+LoginByteOrderStatus:1,2,3,5"),
    (4, "BAD"),
    (5, "BAD"),
    (
        7,
        "RegisterUsernameStatus:1,2,3,7+RegisterPasswordStatus:1,2,3,4,5+~RegisterEmailStatus:1,2,3,5",
    ),
    (8, "BAD"),
    (9, "BAD"),
    (81, "4 ShortRoomStatus:1,2,3,8,9+ShortMessageStatus:1,3,4,11,12"),
    (82, "BAD"),
    (83, "16 8 u a b"),
    (85, "16"),
    (86, "BAD"),
    (88, "4 HeadCountStatus:1,2,3+LongRoomStatus:1,2,3,4+LongMessageStatus:1,2,3,4,5"),
    (89, "BAD"),
    (90, "4"),
    (92, "4 PartNumberStatus:1,2,3+LongRoomStatus:1,2,3,4+LongMessageStatus:1,2,3,4,5"),
    (93, "BAD"),
    (94, "n 4"),
    (95, "n 16 8 b"),
    (91, "n 16 b"),
    (97, "8"),
    (98, "BAD"),
    (
        100,
        "8 PartNumberStatus:1,2,3+LongRoomStatus:1,2,3,4+LongMessageStatus:1,2,3,4,5+Authorization:0,1",
    ),
    (101, "n 16"),
    (102, "BAD"),
    (161, "8 JoinRoomStatus:1,2,3,8,9,10"),
    (162, "8 u a"),
    (164, "8 PartRoomStatus:1,2,3,9"),
    (165, "8 u a"),
    (167, "NewAliasStatus:1,2,3,7"),
    (168, "u a a"),
    (251, "PNS"),
    (253, "*"),
];

/// What is wrong, and before which rest of the input.
enum Wrong<'a> {
    /// There is too little of it: the only thing that nom's own parsers find.
    TooShort,
    At(&'a [u8], Expected),
}

impl<'a> ParseError<&'a [u8]> for Wrong<'a> {
    fn from_error_kind(_: &'a [u8], _: ErrorKind) -> Self {
        Self::TooShort
    }

    fn append(_: &'a [u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

type Parsed<'a, T> = IResult<&'a [u8], T, Wrong<'a>>;

fn wrong<T>(at: &[u8], expected: Expected) -> Parsed<'_, T> {
    Err(nom::Err::Failure(Wrong::At(at, expected)))
}

/// One byte that must be this.
fn byte(input: &[u8], wanted: u8, expected: Expected) -> Parsed<'_, ()> {
    match take(1_usize)(input)? {
        (rest, [found]) if *found == wanted => Ok((rest, ())),
        _ => wrong(input, expected),
    }
}

/// A field up to a delimiter.
fn delimited(input: &[u8], limit: u16) -> Parsed<'_, &[u8]> {
    let (rest, field) = take_till(|byte| byte == 0x00 || byte == 0xFF).parse(input)?;
    match input.get(limit.into()..) {
        Some(at @ [_, ..]) if field.len() > limit.into() => {
            wrong(at, Expected::EndOfField { limit })
        }
        _ if rest.is_empty() => Err(nom::Err::Failure(Wrong::TooShort)),
        _ => Ok((rest, field)),
    }
}

fn status<'a>(input: &'a [u8], name: &'static str, codes: &str) -> Parsed<'a, Field> {
    let (rest, code) = take(1_usize)(input)?;
    let codes = codes.split(',').map(|code| code.parse::<u8>().expect("a number"));
    let matches = |allowed: &u8| {
        // Ten, eleven and twelve also by their digits.
        code == [*allowed] || (*allowed >= 10 && code == [allowed / 10 * 16 + allowed % 10])
    };
    let Some(code) = codes.into_iter().find(matches) else {
        return wrong(input, Expected::Status(name));
    };
    // Of long messages some have other numbers.
    let code = match (name, code) {
        ("LongRoomStatus", 4) | ("Authorization", 0) => 8,
        ("LongMessageStatus", 5) => 11,
        ("Authorization", 1) => 3,
        (_, code) => code,
    };
    Ok((rest, Field::Status(STATUSES[usize::from(code)])))
}

/// The spec's list of statuses, by their numbers.
pub const STATUSES: [&str; 13] = [
    "",
    "empty_field",
    "invalid",
    "okay",
    "bad_base64",
    "unchecked",
    "already_validated",
    "already_in_use",
    "not_authorized",
    "not_in_room",
    "already_in_room",
    "empty_message",
    "message_too_long",
];

fn ids(mut input: &[u8]) -> Parsed<'_, Field> {
    let mut ids = Vec::new();
    loop {
        let (rest, id) = take(1_usize)(input)?;
        if matches!(id, [0x00 | 0xFF]) {
            return wrong(input, Expected::PacketId);
        }
        ids.extend(id);
        match take(1_usize)(rest)? {
            (behind, [0xFF]) => input = behind,
            (_, [0x00]) => return Ok((rest, Field::Ids(ids))),
            _ => return wrong(rest, Expected::DelimiterOrEnd),
        }
    }
}

fn field<'a>(
    input: &'a [u8],
    layout: &'static str,
    config: &CodecConfig,
) -> Parsed<'a, Option<Field>> {
    let text = |limit| {
        let (rest, bytes) = delimited(input, limit)?;
        Ok((rest, Some(Field::Bytes(bytes.to_vec()))))
    };
    if let Some((name, codes)) = layout.split_once(':') {
        let (input, name) = match (input, name.strip_prefix('~')) {
            ([0xFF, rest @ ..], Some(name)) => (rest, name),
            (_, plain) => (input, plain.unwrap_or(name)),
        };
        let (rest, field) = status(input, name, codes)?;
        return Ok((rest, Some(field)));
    }
    match layout {
        "u" => text(config.max_username),
        "a" => text(config.max_alias),
        "m" => text(config.max_email),
        "t?" => text(config.max_text),
        "b" => text(4000),
        "E" => {
            let (rest, bytes) = delimited(input, 1)?;
            let order = match bytes {
                [0x01 | b'L'] => Ok(ByteOrder::LittleEndian),
                [0x02 | b'B'] => Ok(ByteOrder::BigEndian),
                other => Err(other.to_vec()),
            };
            Ok((rest, Some(Field::ByteOrder(order))))
        }
        "n" => {
            let (rest, bytes) = take(4_usize)(input)?;
            Ok((rest, Some(Field::Number(number(bytes, config)))))
        }
        "*" => ids(input).map(|(rest, field)| (rest, Some(field))),
        literal if literal.starts_with(|c: char| c.is_ascii_uppercase()) => {
            let mut rest = input;
            for wanted in literal.bytes() {
                (rest, ()) = byte(rest, wanted, Expected::Literal(literal))?;
            }
            Ok((rest, None))
        }
        width => {
            let (rest, bytes) = take(width.parse::<usize>().expect("a width"))(input)?;
            Ok((rest, Some(Field::Bytes(bytes.to_vec()))))
        }
    }
}

fn number(bytes: &[u8], config: &CodecConfig) -> u32 {
    config.byte_order.read(bytes.try_into().expect("four bytes"))
}

fn packet<'a>(input: &'a [u8], layout: &'static str, config: &CodecConfig) -> Parsed<'a, Packet> {
    let (mut rest, id) = take(1_usize)(input)?;
    let mut fields = Vec::new();
    for group in layout.split(' ') {
        if group == "t?" {
            match take(1_usize)(rest)? {
                (_, [0x00]) => break,
                (behind, [0xFF]) => rest = behind,
                _ => return wrong(rest, Expected::DelimiterOrEnd),
            }
        } else {
            (rest, ()) = byte(rest, 0xFF, Expected::Delimiter)?;
        }
        for layout in group.split('+') {
            let found;
            (rest, found) = field(rest, layout, config)?;
            fields.extend(found);
        }
    }
    let (rest, ()) = byte(rest, 0x00, Expected::End)?;
    Ok((rest, Packet { id: id[0], fields }))
}

/// D5: what stands before the message of these packets.
fn overlong(bytes: &[u8], from: From, config: &CodecConfig) -> Option<Overlong> {
    let id = |at: usize| ClientMessageId(bytes[at..at + 4].try_into().expect("four bytes"));
    let room = |at: usize| RoomId(bytes[at..at + 8].try_into().expect("eight bytes"));
    Some(match (from, bytes[0]) {
        (From::Client, 80) => Overlong::Short { client_message_id: id(2), room: room(7) },
        (From::Client, 87) => Overlong::Head {
            remaining: number(&bytes[2..6], config),
            client_message_id: id(7),
            room: room(12),
        },
        (From::Client, 91) => {
            Overlong::Next { number: number(&bytes[2..6], config), client_message_id: id(7) }
        }
        _ => return None,
    })
}

/// The packets of a stream and the reports of what isn't one, its end included, each with where it begins.
pub fn items(
    stream: &[u8],
    from: From,
    config: &CodecConfig,
) -> Vec<(u64, Result<Packet, DecodeError>)> {
    let limit = usize::from(config.max_packet).max(1);
    let layouts = if from == From::Client { CLIENT } else { SERVER };
    let mut items = Vec::new();
    let mut at = 0;
    while at < stream.len() {
        let rest = &stream[at..];
        let id = rest[0];
        if id == 0 {
            at += 1;
            continue;
        }
        let start = at as u64;
        let window = &rest[..rest.len().min(limit)];
        let malformed = |expected, behind: usize| DecodeErrorKind::Malformed {
            expected,
            at: start + behind as u64,
        };
        let mut through = 1;
        let kind = match layouts.iter().find(|(known, _)| *known == id) {
            None if id == 0xFF => malformed(Expected::PacketId, 0),
            None => DecodeErrorKind::UnknownPacket,
            Some((_, layout)) => match packet(window, layout, config) {
                Ok((behind, packet)) => {
                    at += window.len() - behind.len();
                    items.push((start, Ok(packet)));
                    continue;
                }
                Err(nom::Err::Failure(Wrong::At(wrong, expected))) => {
                    let behind = window.len() - wrong.len();
                    let about = match expected {
                        Expected::EndOfField { limit: 4000 } => overlong(window, from, config),
                        _ => None,
                    };
                    if let Some(about) = about {
                        through = behind;
                        DecodeErrorKind::MessageTooLong(about)
                    } else {
                        malformed(expected, behind)
                    }
                }
                Err(_) if window.len() == limit => {
                    malformed(Expected::EndOfPacket { limit: config.max_packet }, limit)
                }
                Err(_) => DecodeErrorKind::Truncated,
            },
        };
        let end = rest[through.min(rest.len())..].iter().position(|byte| *byte == 0);
        let mut gone = &rest[..end.map_or(rest.len(), |end| through + end + 1)];
        let mut kind = kind;
        while !gone.is_empty() {
            // A report has `max_packet` bytes at most, besides its `00`.
            let len =
                if gone.len() - usize::from(end.is_some()) > limit { limit } else { gone.len() };
            let (offset, len_64) = (at as u64, len as u64);
            items.push((offset, Err(DecodeError { kind, id: PacketId(id), offset, len: len_64 })));
            (at, gone, kind) = (at + len, &gone[len..], DecodeErrorKind::Unterminated);
        }
    }
    items
}
