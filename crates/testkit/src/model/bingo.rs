//! bingo's frames and messages as nom reads them: the whole input at once, every rule a line.

use std::borrow::Cow;

use bingo_proto::{
    ByteOrder, CodecConfig, DecodeError, DecodeErrorKind, ErrorReplyStyle, MessageId, OpCode, Role,
};
use nom::bytes::complete::take;
use nom::error::{ErrorKind, ParseError};
use nom::number::Endianness;
use nom::number::complete::{u8, u16};
use nom::{IResult, Parser};

use super::json::{self, Object, WrongKind};

/// A frame: its opcode, its id unless it is a Noop, its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub opcode: u8,
    /// Its number.
    pub id: Option<u16>,
    /// What it carries.
    pub payload: &'a [u8],
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// The message that it answers.
    pub in_reply_to: Option<u16>,
    /// The rest of its payload, JSON as it is written when compact.
    pub body: Cow<'a, [u8]>,
}

/// What is wrong, and before which rest of the input. That there is too little of it is the only
/// thing that nom's own parsers find.
struct Wrong<'a>(&'a [u8], DecodeErrorKind);

impl<'a> ParseError<&'a [u8]> for Wrong<'a> {
    fn from_error_kind(rest: &'a [u8], _: ErrorKind) -> Self {
        Self(rest, DecodeErrorKind::UnexpectedEof)
    }

    fn append(_: &'a [u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

type Parsed<'a, T> = IResult<&'a [u8], T, Wrong<'a>>;

fn wrong<T>(at: &[u8], kind: DecodeErrorKind) -> Parsed<'_, T> {
    Err(nom::Err::Failure(Wrong(at, kind)))
}

fn endianness(config: &CodecConfig) -> Endianness {
    match config.byte_order {
        ByteOrder::BigEndian => Endianness::Big,
        ByteOrder::LittleEndian => Endianness::Little,
    }
}

fn frame<'a>(input: &'a [u8], config: &CodecConfig) -> Parsed<'a, Frame<'a>> {
    let (rest, opcode) = u8(input)?;
    if opcode == 0 {
        return Ok((rest, Frame { opcode, id: None, payload: &[] }));
    }
    if opcode > 9 {
        return wrong(input, DecodeErrorKind::UnknownOpcode(opcode));
    }
    let (at_len, id) = u16(endianness(config))(rest)?;
    let (rest, announced) = u16(endianness(config))(at_len)?;
    let limit = config.max_payload;
    if announced > limit {
        return wrong(at_len, DecodeErrorKind::PayloadTooLarge { announced, limit });
    }
    let (rest, payload) = take(announced)(rest)?;
    Ok((rest, Frame { opcode, id: Some(id), payload }))
}

/// The frames of a stream, and what is wrong after them, its end inside a frame included.
pub fn frames<'a>(
    stream: &'a [u8],
    config: &CodecConfig,
) -> (Vec<Frame<'a>>, Result<(), DecodeError>) {
    let mut frames = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        match frame(rest, config) {
            Ok((after, frame)) => {
                frames.push(frame);
                rest = after;
            }
            Err(nom::Err::Error(Wrong(at, kind)) | nom::Err::Failure(Wrong(at, kind))) => {
                let is_eof = kind == DecodeErrorKind::UnexpectedEof;
                let left = if is_eof { rest.len() } else { at.len() };
                let offset = (stream.len() - left) as u64;
                return (frames, Err(DecodeError { kind, offset }));
            }
            Err(nom::Err::Incomplete(_)) => unreachable!("complete parsers"),
        }
    }
    (frames, Ok(()))
}

/// The same Identification in compact JSON.
fn identification(payload: &[u8]) -> Result<String, json::Wrong> {
    let object = Object::read(payload, usize::MAX, ["login", "username"])?;
    let [login, username] = [object.string("login")?, object.string("username")?];
    Ok(serde_json::json!({ "login": login, "username": username }).to_string())
}

/// What `sender` says with a frame.
///
/// # Errors
/// It may not say that, or it isn't well formed; the offset counts from the frame's first byte.
pub fn message<'a>(
    frame: &Frame<'a>,
    sender: Role,
    config: &CodecConfig,
) -> Result<Message<'a>, DecodeError> {
    let Some(opcode) = OpCode::from_byte(frame.opcode) else { unreachable!("a frame has one") };
    let fail = |offset: usize, kind| Err(DecodeError { kind, offset: offset as u64 });

    let senders: &[Role] = match frame.opcode {
        1 => &[Role::Client],
        2 | 3 | 9 => &[Role::Server],
        _ => &[Role::Client, Role::Server],
    };
    if !senders.contains(&sender) {
        return fail(0, DecodeErrorKind::WrongDirection(opcode));
    }

    let id_answers = frame.opcode == 6 && config.error_reply_style == ErrorReplyStyle::HeaderId;
    if let Some(id) = frame.id {
        let of_server = id >= 0x8000;
        let should_be_of_server = (sender == Role::Server) != id_answers;
        if of_server != should_be_of_server {
            return fail(1, DecodeErrorKind::WrongIdHalf(MessageId(id)));
        }
    }

    let answers = match frame.opcode {
        5 => true,
        6 => !id_answers,
        _ => false,
    };
    let (body, in_reply_to) = if answers {
        match u16::<_, Wrong<'_>>(endianness(config)).parse(frame.payload) {
            Ok((body, id)) => (body, Some(id)),
            Err(_) => return fail(5, DecodeErrorKind::ReplyTooShort),
        }
    } else {
        (frame.payload, frame.id.filter(|_| id_answers))
    };
    let at_body = 5 + frame.payload.len() - body.len();

    let must_be_empty = frame.opcode == 3 || (frame.opcode == 6 && sender == Role::Client);
    if must_be_empty && !body.is_empty() {
        return fail(at_body, DecodeErrorKind::PayloadNotEmpty);
    }
    let must_be_text = matches!(frame.opcode, 6 | 7);
    if let (true, Err(error)) = (must_be_text, std::str::from_utf8(body)) {
        return fail(at_body + error.valid_up_to(), DecodeErrorKind::NotUtf8);
    }
    let body = match frame.opcode {
        1 => match identification(body) {
            Ok(json) => json.into_bytes().into(),
            Err(wrong) => {
                let kind = match wrong.kind {
                    WrongKind::NotUtf8 | WrongKind::NotJson => DecodeErrorKind::NotJson,
                    WrongKind::TooDeep => DecodeErrorKind::TooDeep,
                    WrongKind::NotAnObject => DecodeErrorKind::NotAnObject,
                    WrongKind::DuplicateKey(key) => DecodeErrorKind::DuplicateKey(key),
                    WrongKind::MissingKey(key) => DecodeErrorKind::MissingKey(key),
                    WrongKind::InvalidValue(key, _) => DecodeErrorKind::NotAString(key),
                    WrongKind::TooLarge(..) => unreachable!("there is no limit"),
                };
                return fail(at_body + wrong.offset, kind);
            }
        },
        _ => body.into(),
    };
    Ok(Message { in_reply_to, body })
}
