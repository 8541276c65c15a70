//! Reads what was heard on a socket: HTTP, then WebSocket frames, and in these litecord.

use std::fmt::Write;
use std::io::Cursor;
use std::time::Instant;

use litecord_proto::{ClientMessage, CodecConfig, OpCode, Secret, ServerMessage};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode as WsOpCode};

use crate::tee::{Chunk, Direction, Seen, Wire};

/// One direction of a connection.
#[derive(Default)]
struct Pipe {
    /// The HTTP head is over.
    is_upgraded: bool,
    /// From the start of the first frame that isn't whole yet.
    bytes: Vec<u8>,
}

/// What was heard on one client's socket. Signs of life are Heartbeats and their acknowledgements.
#[derive(Default)]
pub(crate) struct Litecord {
    to_server: Pipe,
    to_client: Pipe,
}

impl Wire for Litecord {
    fn read(&mut self, chunk: Chunk, mut each: impl FnMut(Seen, bool)) {
        let Chunk { direction, at, bytes } = chunk;
        let pipe = match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        pipe.bytes.extend_from_slice(&bytes);
        while let Some(seen) = pipe.next(direction, at) {
            let is_sign_of_life = matches!(seen.kind, Some("HEARTBEAT" | "HEARTBEAT_ACK"));
            each(seen, is_sign_of_life);
        }
    }
}

impl Pipe {
    fn next(&mut self, direction: Direction, at: Instant) -> Option<Seen> {
        if !self.is_upgraded {
            let end = self.bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
            let head: Vec<_> = self.bytes.drain(..end).collect();
            self.is_upgraded = true;
            let head = String::from_utf8_lossy(&head).into_owned();
            let meaning = head.lines().next().unwrap_or_default().to_owned();
            let hex = format!("HTTP, {end} bytes");
            return Some(Seen { direction, at, kind: Some("HTTP"), content: head, hex, meaning });
        }
        let mut cursor = Cursor::new(&self.bytes[..]);
        let (header, len) = FrameHeader::parse(&mut cursor).ok()??;
        let start = usize::try_from(cursor.position()).ok()?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        if self.bytes.len() < end {
            return None;
        }
        let raw: Vec<_> = self.bytes.drain(..end).collect();
        let mut payload = raw[start..].to_vec();
        if let Some(mask) = header.mask {
            for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
                *byte ^= key;
            }
        }
        let (kind, content) = match header.opcode {
            WsOpCode::Data(Data::Text) => look_at(&payload, direction),
            WsOpCode::Control(Control::Close) => (Some("close"), close(&payload)),
            _ => (None, format!("{} bytes", payload.len())),
        };
        // With the mask the password would be there to read.
        let hex = match kind {
            Some("HELLO_ACK") => format!("{} (the password isn't shown)", hex(&raw[..2], 2)),
            _ => hex(&raw, start),
        };
        let meaning = format!("{} {content}", kind.unwrap_or("no message:"));
        Some(Seen { direction, at, kind, content, hex, meaning })
    }
}

/// The name and text of a message.
fn look_at(payload: &[u8], direction: Direction) -> (Option<&'static str>, String) {
    let config = CodecConfig::default();
    let text = String::from_utf8_lossy(payload).into_owned();
    let op = match direction {
        Direction::ToServer => ClientMessage::decode(payload, &config).map(|m| m.op()),
        Direction::ToClient => ServerMessage::decode(payload, &config).map(|m| m.op()),
    };
    match op {
        Ok(OpCode::HELLO_ACK) => {
            let mut hidden = Vec::new();
            let message = ClientMessage::HelloAck { password: Secret::new("[redacted]".into()) };
            let _ = message.encode(&config, &mut hidden);
            (OpCode::HELLO_ACK.name(), String::from_utf8_lossy(&hidden).into_owned())
        }
        Ok(op) => (op.name(), text),
        Err(error) => (None, format!("{error}: {text}")),
    }
}

/// Code and reason.
fn close(payload: &[u8]) -> String {
    match payload.split_first_chunk() {
        Some((code, reason)) => {
            format!("{} {}", u16::from_be_bytes(*code), String::from_utf8_lossy(reason))
        }
        None => String::new(),
    }
}

/// Two bytes of opcode and length, the rest of the header if there is more, the start of the payload.
fn hex(bytes: &[u8], payload: usize) -> String {
    const SHOWN: usize = 24;
    let mut hex = String::new();
    for (at, byte) in bytes.iter().take(SHOWN).enumerate() {
        if at == 1 || at == 2 || at == payload {
            hex.push(' ');
        }
        let _ = write!(hex, "{byte:02x}");
    }
    if bytes.len() > SHOWN {
        let _ = write!(hex, "… {} bytes", bytes.len());
    }
    hex
}
