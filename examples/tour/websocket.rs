//! Reads what was heard on a socket: HTTP, then WebSocket frames, and in these what a protocol has.

use std::fmt::Write;
use std::io::Cursor;
use std::marker::PhantomData;
use std::time::Instant;

use anyhow::Context;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode as WsOpCode};

use tokio_tungstenite::{WebSocketStream, client_async};

use crate::PATIENCE;
use crate::server::Server;
use crate::tee::Direction::{ToClient, ToServer};
use crate::tee::{Chunk, Direction, Frames, Seen, Tee, Wire, recorder};
use crate::trace::Trace;

/// One direction of a connection.
#[derive(Default)]
struct Pipe {
    /// The HTTP head is over.
    is_upgraded: bool,
    /// From the start of the first frame that isn't whole yet.
    bytes: Vec<u8>,
}

/// A WebSocket of somebody.
pub(crate) async fn connect<T: Talk>(
    server: &Server,
    name: &str,
) -> anyhow::Result<(WebSocketStream<Tee>, Frames<Heard<T>>)> {
    let stream = TcpStream::connect(server.address).await?;
    stream.set_nodelay(true)?;
    let (tee, frames) = recorder(name, stream);
    let (socket, _) = client_async(format!("ws://{}/", server.address), tee).await?;
    Ok((socket, frames))
}

/// It stands.
pub(crate) async fn upgraded<T: Talk>(
    frames: &mut Frames<Heard<T>>,
    trace: &mut Trace,
) -> anyhow::Result<()> {
    frames.expect(trace, ToServer, "HTTP", "GET / HTTP/1.1").await?;
    frames.expect(trace, ToClient, "HTTP", "HTTP/1.1 101 Switching Protocols").await
}

/// Says something that the server closes for.
pub(crate) async fn say(mut socket: WebSocketStream<Tee>, text: &str) -> anyhow::Result<()> {
    socket.send(Message::text(text)).await?;
    let closed = async { while socket.next().await.is_some() {} };
    timeout(PATIENCE, closed).await.context("the server doesn't close")
}

/// What was said is no message, and the server closes for it.
pub(crate) async fn cut_off<T: Talk>(
    frames: &mut Frames<Heard<T>>,
    trace: &mut Trace,
    close: &str,
) -> anyhow::Result<()> {
    frames.expect_garbage(trace, ToServer).await?;
    for direction in [ToClient, ToServer] {
        frames.expect(trace, direction, "close", close).await?;
    }
    frames.expect_no_more()
}

/// What a protocol has in its text messages.
pub(crate) trait Talk {
    /// Those that come at any time.
    const SIGNS_OF_LIFE: &'static [&'static str];
    /// Those with a secret in them.
    const SECRET: &'static [&'static str];

    /// The name of a message, unless it is none, and its text without secrets.
    fn look_at(payload: &[u8], direction: Direction) -> (Option<&'static str>, String);
}

/// What was heard on one client's socket.
pub(crate) struct Heard<T> {
    to_server: Pipe,
    to_client: Pipe,
    talk: PhantomData<T>,
}

impl<T> Default for Heard<T> {
    fn default() -> Self {
        Self { to_server: Pipe::default(), to_client: Pipe::default(), talk: PhantomData }
    }
}

impl<T: Talk> Wire for Heard<T> {
    fn read(&mut self, chunk: Chunk, mut each: impl FnMut(Seen, bool)) {
        let Chunk { direction, at, bytes } = chunk;
        let pipe = match direction {
            ToServer => &mut self.to_server,
            ToClient => &mut self.to_client,
        };
        pipe.bytes.extend_from_slice(&bytes);
        while let Some(seen) = pipe.next::<T>(direction, at) {
            let is_sign_of_life = seen.kind.is_some_and(|kind| T::SIGNS_OF_LIFE.contains(&kind));
            each(seen, is_sign_of_life);
        }
    }
}

impl Pipe {
    fn next<T: Talk>(&mut self, direction: Direction, at: Instant) -> Option<Seen> {
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
            WsOpCode::Data(Data::Text) => T::look_at(&payload, direction),
            WsOpCode::Control(Control::Close) => (Some("close"), close(&payload)),
            _ => (None, format!("{} bytes", payload.len())),
        };
        // With the mask the secret would be there to read.
        let hex = match kind {
            Some(kind) if T::SECRET.contains(&kind) => {
                format!("{} (the rest isn't shown)", hex(&raw[..2], 2))
            }
            _ => hex(&raw, start),
        };
        let meaning = format!("{} {content}", kind.unwrap_or("no message:"));
        Some(Seen { direction, at, kind, content, hex, meaning })
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
