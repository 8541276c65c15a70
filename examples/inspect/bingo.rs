//! Bingo: frames in a byte stream.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;

use anyhow::{anyhow, bail};
use bingo_proto::{
    ByteOrder, ClientMessage, CodecConfig, DecodeError, DecodeErrorKind, Decoder, ErrorReplyStyle,
    FrameRef, Identification, MessageId, OpCode, Secret, ServerMessage,
};

use crate::json::Fields;
use crate::record::{Note, Part, Problem, REDACTED, Record, Role, Value};
use crate::{Dialect, Options, Output, Side, Wire};

/// For `--help`.
pub(crate) const NOTES: &str = "\
bingo types and their fields (ids are integers, payloads \"text\" if UTF-8, else \"payload\" in hex):
  noop
  identification               message_id, login, username
  ready                        message_id, token; token_hex if that isn't text
  ping                         message_id
  request, event, data_update  message_id, text or payload
  reply                        message_id, in_reply_to, text or payload; an acknowledgement neither
  error_reply                  in_reply_to; message_id with payload-prefix; a server's has text
  protocol_error               message_id, text

bingo errors:
  malformed          layout: a reply too short for an id, a payload where none may be, text that
                     isn't UTF-8
  not_json           an identification that isn't JSON
  invalid_field      an identification that is JSON, but no object, nested too deeply, or with a
                     key missing, twice or not a string
  wrong_direction    a frame of the other side's
  wrong_id_half      a message id of the other side's half
  unknown_opcode     ends the stream
  payload_too_large  ends the stream
  unexpected_eof     the input ended inside a frame";

pub(crate) struct Bingo {
    from: Side,
    config: CodecConfig,
    decoder: Decoder,
    /// Bytes before the decoder's first.
    base: u64,
    /// While a place is looked for where a frame begins.
    search: Option<Search>,
}

/// What has come since bytes were missing.
#[derive(Default)]
struct Search {
    bytes: Vec<u8>,
    /// Those before them, in which no frame begins.
    gone: usize,
    /// Where each packet of the network begins in them: frames rarely begin elsewhere.
    starts: VecDeque<usize>,
}

impl Bingo {
    pub(crate) fn new(from: Side, options: &Options) -> Self {
        let config = CodecConfig::default()
            .max_payload(options.max_payload)
            .byte_order(match options.byte_order {
                crate::ByteOrder::Big => ByteOrder::BigEndian,
                crate::ByteOrder::Little => ByteOrder::LittleEndian,
            })
            .error_reply_style(match options.dialect {
                Some(Dialect::PayloadPrefix) => ErrorReplyStyle::PayloadPrefix,
                _ => ErrorReplyStyle::HeaderId,
            });
        Self { from, config, decoder: Decoder::new(config), base: 0, search: None }
    }

    /// What to show of `frame`, of which no more has come if it isn't whole.
    fn record<'a>(
        &self,
        offset: u64,
        frame: &'a [u8],
        checked: Result<(), DecodeError>,
    ) -> Record<'a> {
        let mut rest = frame;
        let first = cut(&mut rest, 1);
        let opcode = first.first().and_then(|byte| OpCode::from_byte(*byte));
        let kind = opcode.map_or("?", OpCode::name);
        let opcode_part = Part::layout("opcode", first, Value::Word(kind));
        let mut parts = vec![opcode_part.role(Role::Header)];
        let mut number = |name, is_field| {
            let bytes = cut(&mut rest, 2);
            let value = match bytes.try_into() {
                Ok(two) => Value::Number(self.config.byte_order.read(two).into()),
                Err(_) => Value::None,
            };
            if !bytes.is_empty() {
                let part = Part::layout(name, bytes, value).role(Role::Header);
                parts.push(Part { is_field, ..part });
            }
        };
        let id_is_answered = opcode.is_some_and(|opcode| self.answers_in_header(opcode));
        number(if id_is_answered { "in_reply_to" } else { "message_id" }, true);
        number("length", false);
        if matches!(opcode, Some(OpCode::Reply | OpCode::ErrorReply)) && !id_is_answered {
            number("in_reply_to", true);
        }
        let outcome = match checked {
            Ok(()) => {
                parts.extend(opcode.into_iter().flat_map(|opcode| self.body(opcode, rest)));
                Ok(kind)
            }
            Err(error) => {
                if !rest.is_empty() {
                    let payload = Part::layout("payload", rest, Value::None);
                    parts.push(payload.secret(opcode == Some(OpCode::Ready)));
                }
                let (kind, detail) = (problem(error.kind), error.to_string());
                Err(Problem { kind, detail, id: None, at: error.offset })
            }
        };
        Record { frame: None, offset, length: frame.len() as u64, outcome, parts }
    }

    /// What a good frame carries behind its ids.
    fn body<'a>(&self, opcode: OpCode, bytes: &'a [u8]) -> Vec<Part<'a>> {
        let text = std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
        match opcode {
            OpCode::Noop | OpCode::Ping => vec![],
            OpCode::ErrorReply if self.from == Side::Client => vec![],
            OpCode::Reply if bytes.is_empty() => vec![],
            OpCode::Identification => {
                let mut parts = vec![Part::layout("json", bytes, Value::None)];
                if let Ok(who) = Identification::from_json(bytes) {
                    parts.push(Part::field("login", &[], Value::Text(who.login)));
                    parts.push(Part::field("username", &[], Value::Text(who.username)));
                }
                parts
            }
            OpCode::Ready => vec![
                match text {
                    // As text it would be taken for a token that isn't shown.
                    Some(text) if text != REDACTED => {
                        Part::field("token", bytes, Value::Text(text))
                    }
                    _ => Part::field("token_hex", bytes, Value::Bytes(bytes)),
                }
                .secret(true),
            ],
            _ => vec![match text {
                Some(text) => Part::field("text", bytes, Value::Text(text)),
                None => Part::field("payload", bytes, Value::Bytes(bytes)),
            }],
        }
    }

    /// Whether the id in the header is that of the message answered.
    fn answers_in_header(&self, opcode: OpCode) -> bool {
        opcode == OpCode::ErrorReply && self.config.error_reply_style == ErrorReplyStyle::HeaderId
    }
}

impl Bingo {
    fn read(&mut self, mut chunk: &[u8], output: &mut Output) -> anyhow::Result<ControlFlow<()>> {
        let mut bytes = Vec::new();
        loop {
            let offset = self.base + self.decoder.offset();
            match self.decoder.decode(&mut chunk) {
                Ok(Some(frame)) => {
                    bytes.clear();
                    frame.encode(&self.config, &mut bytes)?;
                    let checked = check(self.from, frame, &self.config, offset);
                    output.show(&self.record(offset, &bytes, checked))?;
                }
                Ok(None) => return Ok(ControlFlow::Continue(())),
                Err(error) => {
                    let mut frame = self.decoder.unfinished();
                    if matches!(error.kind, DecodeErrorKind::UnknownOpcode(_)) {
                        frame = cut(&mut frame, 1);
                    }
                    output.show(&self.record(offset, frame, Err(error.shifted(self.base))))?;
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }

    /// Reads on behind what no frame begins in.
    fn skip(&mut self, bytes: usize, output: &mut Output) -> io::Result<()> {
        let (offset, length) = (self.base, bytes as u64);
        self.base += length;
        if length > 0 { output.note(&Note::Skipped { offset, length }) } else { Ok(()) }
    }

    /// Whether frames begin where these bytes do: `None` if there has to be more of them.
    fn are_frames(&self, mut bytes: &[u8]) -> Option<bool> {
        let mut decoder = Decoder::new(self.config);
        let mut found = false;
        loop {
            match decoder.decode(&mut bytes) {
                // A noop is a byte that occurs everywhere.
                Ok(Some(frame)) if frame.opcode() == OpCode::Noop => {}
                Ok(Some(frame)) if check(self.from, frame, &self.config, 0).is_ok() => found = true,
                Ok(None) => break,
                _ => return Some(false),
            }
        }
        (found || decoder.unfinished().is_empty()).then_some(found)
    }
}

impl Wire for Bingo {
    fn takes_messages(&self) -> bool {
        false
    }

    fn decode(&mut self, chunk: &[u8], output: &mut Output) -> anyhow::Result<ControlFlow<()>> {
        let Some(mut search) = self.search.take() else {
            return self.read(chunk, output);
        };
        search.starts.push_back(search.bytes.len());
        search.bytes.extend_from_slice(chunk);
        while let Some(start) = search.starts.front().copied() {
            match self.are_frames(&search.bytes[start..]) {
                Some(true) => {
                    self.skip(search.gone + start, output)?;
                    return self.read(&search.bytes[start..], output);
                }
                Some(false) => search.starts.pop_front(),
                None => break,
            };
        }
        // Nothing begins in what is before the first of them.
        let gone = search.starts.front().copied().unwrap_or(search.bytes.len());
        search.bytes.drain(..gone);
        search.starts.iter_mut().for_each(|start| *start -= gone);
        search.gone += gone;
        self.search = Some(search);
        Ok(ControlFlow::Continue(()))
    }

    fn finish(&mut self, output: &mut Output) -> io::Result<()> {
        if let Some(search) = self.search.take() {
            return self.skip(search.gone + search.bytes.len(), output);
        }
        match self.decoder.finish() {
            Ok(()) => Ok(()),
            Err(error) => {
                let partial = self.decoder.unfinished();
                let offset = self.base + self.decoder.offset();
                output.show(&self.record(offset, partial, Err(error.shifted(self.base))))
            }
        }
    }

    fn unfinished(&self) -> usize {
        let searched = self.search.as_ref().map_or(0, |search| search.bytes.len());
        searched + self.decoder.unfinished().len()
    }

    fn is_searching(&self) -> bool {
        self.search.is_some()
    }

    fn begin_anew(&mut self, offset: u64) {
        self.decoder = Decoder::new(self.config);
        self.base = offset;
        self.search = Some(Search::default());
    }

    fn encode(&self, kind: &str, fields: &mut Fields, dst: &mut Vec<u8>) -> anyhow::Result<()> {
        let opcode = OpCode::ALL.into_iter().find(|opcode| opcode.name() == kind);
        let opcode = opcode.ok_or_else(|| anyhow!("unknown type {kind:?}"))?;
        let has_own_id = opcode != OpCode::Noop && !self.answers_in_header(opcode);
        let id = if has_own_id { MessageId(fields.u16("message_id")?) } else { MessageId(0) };
        let in_reply_to = match opcode {
            OpCode::Reply | OpCode::ErrorReply => MessageId(fields.u16("in_reply_to")?),
            _ => MessageId(0),
        };
        let text = match opcode {
            OpCode::ErrorReply if self.from == Side::Server => fields.text("text")?,
            OpCode::ProtocolError if fields.has("text") => fields.text("text")?,
            _ => String::new(),
        };
        let payload = match opcode {
            OpCode::Ready if fields.has("token_hex") => fields.bytes("token_hex")?,
            OpCode::Ready => fields.secret("token")?.into_bytes(),
            OpCode::Reply if !fields.has("text") && !fields.has("payload") => Vec::new(),
            OpCode::Reply | OpCode::Request | OpCode::Event | OpCode::DataUpdate => {
                if fields.has("payload") {
                    fields.bytes("payload")?
                } else {
                    fields.text("text")?.into_bytes()
                }
            }
            _ => Vec::new(),
        };
        match self.from {
            Side::Client => {
                use ClientMessage as M;
                let message = match opcode {
                    OpCode::Noop => M::Noop,
                    OpCode::Identification => M::Identification(Identification::new(
                        fields.text("login")?,
                        fields.text("username")?,
                    )),
                    OpCode::Request => M::Request(&payload),
                    OpCode::Reply => M::Reply { in_reply_to, body: &payload },
                    OpCode::ErrorReply => M::ErrorReply { in_reply_to },
                    OpCode::ProtocolError => M::ProtocolError { reason: &text },
                    OpCode::Event => M::Event(&payload),
                    OpCode::Ready | OpCode::Ping | OpCode::DataUpdate => {
                        bail!("a client doesn't send this")
                    }
                };
                message.encode(id, &self.config, dst)?;
            }
            Side::Server => {
                use ServerMessage as M;
                let message = match opcode {
                    OpCode::Noop => M::Noop,
                    OpCode::Identification => bail!("a server doesn't send this"),
                    OpCode::Ready => M::Ready { token: Secret::new(&payload) },
                    OpCode::Ping => M::Ping,
                    OpCode::Request => M::Request(&payload),
                    OpCode::Reply => M::Reply { in_reply_to, body: &payload },
                    OpCode::ErrorReply => M::ErrorReply { in_reply_to, text: &text },
                    OpCode::ProtocolError => M::ProtocolError { reason: &text },
                    OpCode::Event => M::Event(&payload),
                    OpCode::DataUpdate => M::DataUpdate(&payload),
                };
                message.encode(id, &self.config, dst)?;
            }
        }
        Ok(())
    }
}

/// What is wrong with a frame that lies at this offset, if anything.
fn check(
    from: Side,
    frame: FrameRef<'_>,
    config: &CodecConfig,
    offset: u64,
) -> Result<(), DecodeError> {
    let checked = match from {
        Side::Client => ClientMessage::decode(frame, config).map(drop),
        Side::Server => ServerMessage::decode(frame, config).map(drop),
    };
    checked.map_err(|error| error.shifted(offset))
}

/// The spec's name for what is wrong.
const fn problem(kind: DecodeErrorKind) -> &'static str {
    use DecodeErrorKind as K;
    match kind {
        K::UnknownOpcode(_) => "unknown_opcode",
        K::PayloadTooLarge { .. } => "payload_too_large",
        K::UnexpectedEof => "unexpected_eof",
        K::WrongDirection(_) => "wrong_direction",
        K::WrongIdHalf(_) => "wrong_id_half",
        K::NotJson => "not_json",
        K::NotAnObject | K::TooDeep | K::MissingKey(_) | K::NotAString(_) | K::DuplicateKey(_) => {
            "invalid_field"
        }
        // ReplyTooShort, PayloadNotEmpty, NotUtf8.
        _ => "malformed",
    }
}

/// Takes up to `count` bytes off the front.
fn cut<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (front, rest) = bytes.split_at(count.min(bytes.len()));
    *bytes = rest;
    front
}
