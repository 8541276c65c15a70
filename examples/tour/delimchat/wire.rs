//! Reads with the codec what was heard on a socket.

use std::fmt::Write;
use std::time::Instant;

use delimchat_proto::{
    ByteOrder, CodecConfig, DecodeError, Decoder, FieldRef, FromClient, FromServer, Sender,
};

use crate::tee::{Chunk, Direction, Seen, Wire};

/// Bytes and characters that are shown of a packet and of a field.
const SHOWN: usize = 24;

/// One direction of a connection.
struct Pipe<S: Sender> {
    decoder: Decoder<S>,
    /// From the start of the first packet that isn't whole yet.
    bytes: Vec<u8>,
}

/// What was heard on one client's socket. Nothing is a sign of life: the protocol has none.
pub(crate) struct Delimchat {
    to_server: Pipe<FromClient>,
    to_client: Pipe<FromServer>,
    /// What the last login asks for.
    speaks: ByteOrder,
}

impl Default for Delimchat {
    fn default() -> Self {
        let config = CodecConfig::default();
        Self {
            to_server: Pipe { decoder: Decoder::new(config), bytes: Vec::new() },
            to_client: Pipe { decoder: Decoder::new(config), bytes: Vec::new() },
            speaks: ByteOrder::default(),
        }
    }
}

/// What is said of a packet: its name, and its fields.
type Told = (&'static str, String);

impl Wire for Delimchat {
    fn read(&mut self, chunk: Chunk, mut each: impl FnMut(Seen, bool)) {
        let Chunk { direction, at, bytes } = chunk;
        let mut input = &bytes[..];
        match direction {
            Direction::ToServer => self.to_server.bytes.extend_from_slice(&bytes),
            Direction::ToClient => self.to_client.bytes.extend_from_slice(&bytes),
        }
        loop {
            let before = match direction {
                Direction::ToServer => self.to_server.decoder.offset(),
                Direction::ToClient => self.to_client.decoder.offset(),
            };
            let told = match direction {
                Direction::ToServer => self.to_server.decoder.decode(&mut input).map(|packet| {
                    packet.map(|packet| {
                        let mut told = String::new();
                        packet.fields(|name, field| {
                            tell(name, &field, &mut told);
                            if let FieldRef::ByteOrder(order) = field {
                                self.speaks = order.get().unwrap_or_default();
                            }
                        });
                        (packet.name(), told)
                    })
                }),
                Direction::ToClient => self.to_client.decoder.decode(&mut input).map(|packet| {
                    packet.map(|packet| {
                        let mut told = String::new();
                        packet.fields(|name, field| tell(name, &field, &mut told));
                        (packet.name(), told)
                    })
                }),
            };
            let (pipe, after) = match direction {
                Direction::ToServer => (&mut self.to_server.bytes, self.to_server.decoder.offset()),
                Direction::ToClient => (&mut self.to_client.bytes, self.to_client.decoder.offset()),
            };
            let Some(told) = told.transpose() else { return };
            let len = usize::try_from(after - before).unwrap_or(usize::MAX).min(pipe.len());
            let raw: Vec<_> = pipe.drain(..len).collect();
            // The server may have said no, but then no number follows either.
            if matches!(told, Ok(("login_result", _))) {
                self.to_server.decoder.set_byte_order(self.speaks);
                self.to_client.decoder.set_byte_order(self.speaks);
            }
            each(look_at(told, &raw, direction, at), false);
        }
    }
}

fn look_at(told: Result<Told, DecodeError>, raw: &[u8], direction: Direction, at: Instant) -> Seen {
    let is_secret = raw.first().is_some_and(|id| matches!(id, 0x02 | 0x06 | 0xA0));
    let hex = if is_secret && direction == Direction::ToServer {
        format!("{} (the rest isn't shown)", hex(&raw[..1]))
    } else {
        hex(raw)
    };
    let (kind, content) = match told {
        Ok((name, fields)) => (Some(name), fields),
        Err(error) => (None, error.to_string()),
    };
    let meaning = format!("{} {content}", kind.unwrap_or("no packet:"));
    Seen { direction, at, kind, content, hex, meaning }
}

/// A field in words: what people say as text.
fn tell(name: &str, field: &FieldRef<'_>, told: &mut String) {
    let value = match field {
        FieldRef::Text(text) => format!("{text:?}"),
        FieldRef::Base64(field) => {
            let payload = field.payload().unwrap_or_default();
            let text = String::from_utf8_lossy(&payload);
            match text.char_indices().nth(SHOWN) {
                Some((end, _)) => format!("{:?}… {} bytes", &text[..end], payload.len()),
                None => format!("{text:?}"),
            }
        }
        FieldRef::Password(_) => "[redacted]".into(),
        FieldRef::Opaque(bytes) if bytes.iter().all(u8::is_ascii_graphic) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        FieldRef::Opaque(bytes) => bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
        FieldRef::Number(number) => number.to_string(),
        FieldRef::Status(word) => (*word).into(),
        FieldRef::ByteOrder(order) => order.get().map_or("none", ByteOrder::name).into(),
        FieldRef::Packets(ids) => format!("{ids:?}"),
        other => format!("{other:?}"),
    };
    let comma = if told.is_empty() { "" } else { ", " };
    let _ = write!(told, "{comma}{name} {value}");
}

/// The id, and what is behind it.
fn hex(bytes: &[u8]) -> String {
    let mut hex = String::new();
    for (at, byte) in bytes.iter().take(SHOWN).enumerate() {
        if at == 1 {
            hex.push(' ');
        }
        let _ = write!(hex, "{byte:02x}");
    }
    if bytes.len() > SHOWN {
        let _ = write!(hex, "… {} bytes", bytes.len());
    }
    hex
}
