//! Listens in on a client's socket, and reads what it heard with the codec.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use bingo_proto::{
    ClientMessage, CodecConfig, DecodeError, Decoder, FrameRef, MessageId, OpCode, ServerMessage,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::PATIENCE;
use crate::trace::Trace;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    ToClient,
}

/// Bytes as they went over a client's socket.
struct Chunk {
    direction: Direction,
    at: Instant,
    bytes: Vec<u8>,
}

/// A socket that tells of all that it carries.
pub(crate) struct Tee {
    stream: TcpStream,
    chunks: UnboundedSender<Chunk>,
}

/// Listens in on the socket of `name`.
pub(crate) fn recorder(name: &str, stream: TcpStream) -> (Tee, Frames) {
    let (sender, chunks) = unbounded_channel();
    let frames = Frames {
        name: name.into(),
        chunks,
        to_server: Pipe::default(),
        to_client: Pipe::default(),
        ping_ids: BTreeSet::new(),
        pings: VecDeque::new(),
    };
    (Tee { stream, chunks: sender }, frames)
}

impl Tee {
    fn tell(&self, direction: Direction, bytes: &[u8]) {
        if !bytes.is_empty() {
            let _ = self.chunks.send(Chunk { direction, at: Instant::now(), bytes: bytes.into() });
        }
    }
}

impl AsyncRead for Tee {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.tell(Direction::ToClient, &buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tee {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.tell(Direction::ToServer, &bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// One frame that was on the wire, or bytes that are none.
pub(crate) struct Seen {
    pub(crate) direction: Direction,
    pub(crate) at: Instant,
    /// `None` for bytes that are no frame.
    opcode: Option<OpCode>,
    /// What the application put in, as text.
    content: String,
    /// The bytes, in hex.
    pub(crate) hex: String,
    /// What they mean.
    pub(crate) meaning: String,
}

/// One direction of a connection.
struct Pipe {
    decoder: Decoder,
    /// From the start of the first frame that isn't whole yet.
    bytes: Vec<u8>,
    seen: VecDeque<Seen>,
}

impl Default for Pipe {
    fn default() -> Self {
        let decoder = Decoder::new(CodecConfig::default());
        Self { decoder, bytes: Vec::new(), seen: VecDeque::new() }
    }
}

/// What was heard on one client's socket. Pings and their acknowledgements, which come at any time,
/// are kept apart.
pub(crate) struct Frames {
    pub(crate) name: String,
    chunks: UnboundedReceiver<Chunk>,
    to_server: Pipe,
    to_client: Pipe,
    ping_ids: BTreeSet<MessageId>,
    pings: VecDeque<Seen>,
}

impl Frames {
    /// Shows the next frame in this direction, which has to be of this kind and to contain `text`
    /// (nothing, if that is empty).
    pub(crate) async fn expect(
        &mut self,
        trace: &mut Trace,
        direction: Direction,
        opcode: OpCode,
        text: &str,
    ) -> anyhow::Result<()> {
        let next = self.wait(|frames| frames.pipe(direction).seen.pop_front()).await;
        let seen = next.with_context(|| format!("{}: no {opcode:?} {text}", self.name))?;
        trace.frame(&self.name, &seen);
        ensure!(
            seen.opcode == Some(opcode)
                && (seen.content == text || !text.is_empty() && seen.content.contains(text)),
            "expected {opcode:?} {text}"
        );
        Ok(())
    }

    /// Shows the next bytes in this direction, which must be no frame.
    pub(crate) async fn expect_garbage(
        &mut self,
        trace: &mut Trace,
        direction: Direction,
    ) -> anyhow::Result<()> {
        let seen = self.wait(|frames| frames.pipe(direction).seen.pop_front()).await?;
        trace.frame(&self.name, &seen);
        ensure!(seen.opcode.is_none(), "expected something that is no frame");
        Ok(())
    }

    /// Shows the first Ping and its acknowledgement.
    pub(crate) async fn expect_ping(&mut self, trace: &mut Trace) -> anyhow::Result<()> {
        for direction in [Direction::ToClient, Direction::ToServer] {
            let seen = self.wait(|frames| frames.pings.pop_front()).await.context("no ping")?;
            trace.frame(&self.name, &seen);
            ensure!(seen.direction == direction, "expected a Ping, then its acknowledgement");
        }
        Ok(())
    }

    /// The connection is over: there must be nothing left but pings.
    pub(crate) fn expect_no_more(&mut self) -> anyhow::Result<()> {
        while let Ok(chunk) = self.chunks.try_recv() {
            self.read(chunk);
        }
        let left = self.to_server.seen.front().or(self.to_client.seen.front());
        ensure!(left.is_none(), "unexpected {}", left.map_or("", |seen| &seen.meaning));
        Ok(())
    }

    async fn wait(&mut self, take: impl Fn(&mut Self) -> Option<Seen>) -> anyhow::Result<Seen> {
        loop {
            if let Some(seen) = take(self) {
                return Ok(seen);
            }
            let chunk = timeout(PATIENCE, self.chunks.recv()).await.context("nothing came")?;
            self.read(chunk.context("the connection is closed")?);
        }
    }

    fn pipe(&mut self, direction: Direction) -> &mut Pipe {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    fn read(&mut self, Chunk { direction, at, bytes }: Chunk) {
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
                    let seen = look_at(&frame, &raw, direction, at);
                    if is_ping {
                        self.pings.push_back(seen);
                    } else {
                        pipe.seen.push_back(seen);
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    pipe.seen.push_back(Seen {
                        direction,
                        at,
                        opcode: None,
                        content: String::new(),
                        hex: hex(&pipe.bytes),
                        meaning: format!("no frame: {error}: {}", pipe.bytes.escape_ascii()),
                    });
                    return;
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
    Seen { direction, at, opcode: Some(opcode), content, hex, meaning }
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
