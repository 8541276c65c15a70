//! Reads with the codec what was heard on a socket.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Instant;

use bingo_proto::{
    ClientMessage, CodecConfig, DecodeError, Decoder, FrameRef, MessageId, OpCode, ServerMessage,
};

use crate::tee::{Chunk, Direction, Seen, Wire};

/// One direction of a connection.
struct Pipe {
    decoder: Decoder,
    /// From the start of the first frame that isn't whole yet.
    bytes: Vec<u8>,
}

impl Default for Pipe {
    fn default() -> Self {
        Self { decoder: Decoder::new(CodecConfig::default()), bytes: Vec::new() }
    }
}

/// What was heard on one client's socket. Signs of life are Pings and their acknowledgements.
#[derive(Default)]
pub(crate) struct Bingo {
    to_server: Pipe,
    to_client: Pipe,
    ping_ids: BTreeSet<MessageId>,
}

impl Wire for Bingo {
    fn read(&mut self, chunk: Chunk, mut each: impl FnMut(Seen, bool)) {
        let Chunk { direction, at, bytes } = chunk;
        let pipe = match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        pipe.bytes.extend_from_slice(&bytes);
        let mut input = &bytes[..];
        loop {
            match pipe.decoder.decode(&mut input) {
                Ok(Some(frame)) => {
                    let len = frame.encoded_len();
                    let is_ping = is_ping(&frame, &mut self.ping_ids);
                    let raw: Vec<_> = pipe.bytes.drain(..len).collect();
                    each(look_at(&frame, &raw, direction, at), is_ping);
                }
                Ok(None) => return,
                Err(error) => {
                    let seen = Seen {
                        direction,
                        at,
                        kind: None,
                        content: String::new(),
                        hex: hex(&pipe.bytes),
                        meaning: format!("no frame: {error}: {}", pipe.bytes.escape_ascii()),
                    };
                    return each(seen, false);
                }
            }
        }
    }
}

/// Whether it is a Ping or the answer to one of `ids`.
fn is_ping(frame: &FrameRef<'_>, ids: &mut BTreeSet<MessageId>) -> bool {
    match ClientMessage::decode(*frame, &CodecConfig::default()) {
        Ok(ClientMessage::Acknowledgement { in_reply_to }) => ids.remove(&in_reply_to),
        _ => frame.opcode() == OpCode::Ping && frame.id().is_some_and(|id| ids.insert(id)),
    }
}

fn look_at(frame: &FrameRef<'_>, raw: &[u8], direction: Direction, at: Instant) -> Seen {
    let config = CodecConfig::default();
    let told = match direction {
        Direction::ToServer => {
            ClientMessage::decode(*frame, &config).map(|message| of_client(&message))
        }
        Direction::ToClient => {
            ServerMessage::decode(*frame, &config).map(|message| of_server(&message))
        }
    };
    let opcode = frame.opcode();
    let id = frame.id().map(digits).unwrap_or_default();
    let (meaning, content) = match told {
        Ok(Told { in_reply_to: None, content }) => (format!("{opcode:?} {id} {content}"), content),
        Ok(Told { in_reply_to: Some(to), content }) => {
            let to = digits(to);
            // An ErrorReply in header style has no id of its own.
            let what = match opcode {
                OpCode::ErrorReply => format!("{opcode:?} to {to}"),
                _ => format!("{opcode:?} {id} to {to}"),
            };
            let says = if content.is_empty() { "acknowledged" } else { &content };
            (format!("{what}: {says}"), content)
        }
        Err(DecodeError { kind, .. }) => {
            (format!("{opcode:?} {id}, malformed: {kind}"), String::new())
        }
    };
    let hex = match opcode {
        OpCode::Ready => format!("{} (the token isn't shown)", hex(&raw[..5])),
        _ => hex(raw),
    };
    Seen { direction, at, kind: Some(opcode.name()), content, hex, meaning }
}

/// An id as it is in the hex.
fn digits(id: MessageId) -> String {
    format!("{:04x}", id.0)
}

/// What a message says beside its id.
struct Told {
    in_reply_to: Option<MessageId>,
    content: String,
}

impl Told {
    fn new(in_reply_to: Option<&MessageId>, payload: &[u8]) -> Self {
        Self {
            in_reply_to: in_reply_to.copied(),
            content: String::from_utf8_lossy(payload).into_owned(),
        }
    }
}

fn of_client(message: &ClientMessage<'_>) -> Told {
    match message {
        ClientMessage::Noop => Told::new(None, b""),
        ClientMessage::Identification(who) => Told::new(None, who.to_json().as_bytes()),
        ClientMessage::Acknowledgement { in_reply_to }
        | ClientMessage::ErrorReply { in_reply_to } => Told::new(Some(in_reply_to), b""),
        ClientMessage::Reply { in_reply_to, body } => Told::new(Some(in_reply_to), body),
        ClientMessage::ProtocolError { reason } => Told::new(None, reason.as_bytes()),
        ClientMessage::Request(payload) | ClientMessage::Event(payload) => Told::new(None, payload),
    }
}

fn of_server(message: &ServerMessage<'_>) -> Told {
    match message {
        ServerMessage::Noop | ServerMessage::Ping => Told::new(None, b""),
        ServerMessage::Ready { token } => Told::new(None, format!("{token:?}").as_bytes()),
        ServerMessage::Acknowledgement { in_reply_to } => Told::new(Some(in_reply_to), b""),
        ServerMessage::Reply { in_reply_to, body } => Told::new(Some(in_reply_to), body),
        ServerMessage::ErrorReply { in_reply_to, text } => {
            Told::new(Some(in_reply_to), text.as_bytes())
        }
        ServerMessage::ProtocolError { reason } => Told::new(None, reason.as_bytes()),
        ServerMessage::Request(payload)
        | ServerMessage::Event(payload)
        | ServerMessage::DataUpdate(payload) => Told::new(None, payload),
    }
}

/// Opcode, id, length and the start of the payload.
fn hex(bytes: &[u8]) -> String {
    const SHOWN: usize = 24;
    let mut hex = String::new();
    for (at, byte) in bytes.iter().take(SHOWN).enumerate() {
        if matches!(at, 1 | 3 | 5) {
            hex.push(' ');
        }
        let _ = write!(hex, "{byte:02x}");
    }
    if bytes.len() > SHOWN {
        let _ = write!(hex, "… {} bytes", bytes.len());
    }
    hex
}
