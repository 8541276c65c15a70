//! Listens in on a client's socket.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use anyhow::{Context as _, ensure};
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
pub(crate) struct Chunk {
    pub(crate) direction: Direction,
    pub(crate) at: Instant,
    pub(crate) bytes: Vec<u8>,
}

/// A socket that tells of all that it carries.
pub(crate) struct Tee {
    stream: TcpStream,
    chunks: UnboundedSender<Chunk>,
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
    /// The protocol's name for it; `None` for bytes that are no frame.
    pub(crate) kind: Option<&'static str>,
    /// What the application put in, as text.
    pub(crate) content: String,
    /// The bytes, in hex.
    pub(crate) hex: String,
    /// What they mean.
    pub(crate) meaning: String,
}

/// Where frames are found in bytes.
pub(crate) trait Wire: Default {
    /// Reads what came; gives each frame, and whether it is a sign of life, which comes at any time.
    fn read(&mut self, chunk: Chunk, each: impl FnMut(Seen, bool));
}

/// What was heard on one client's socket.
pub(crate) struct Frames<W> {
    pub(crate) name: String,
    chunks: UnboundedReceiver<Chunk>,
    wire: W,
    to_server: VecDeque<Seen>,
    to_client: VecDeque<Seen>,
    signs_of_life: VecDeque<Seen>,
}

/// Listens in on the socket of `name`.
pub(crate) fn recorder<W: Wire>(name: &str, stream: TcpStream) -> (Tee, Frames<W>) {
    let (sender, chunks) = unbounded_channel();
    let frames = Frames {
        name: name.into(),
        chunks,
        wire: W::default(),
        to_server: VecDeque::new(),
        to_client: VecDeque::new(),
        signs_of_life: VecDeque::new(),
    };
    (Tee { stream, chunks: sender }, frames)
}

impl<W: Wire> Frames<W> {
    /// Shows the next frame in this direction, which has to be of this kind and to contain `text`
    /// (nothing, if that is empty).
    pub(crate) async fn expect(
        &mut self,
        trace: &mut Trace,
        direction: Direction,
        kind: &str,
        text: &str,
    ) -> anyhow::Result<()> {
        let next = self.wait(|frames| frames.seen(direction).pop_front()).await;
        let seen = next.with_context(|| format!("{}: no {kind} {text}", self.name))?;
        trace.frame(&self.name, &seen);
        ensure!(
            seen.kind == Some(kind)
                && (seen.content == text || !text.is_empty() && seen.content.contains(text)),
            "expected {kind} {text}"
        );
        Ok(())
    }

    /// Shows the next bytes in this direction, which must be no frame.
    pub(crate) async fn expect_garbage(
        &mut self,
        trace: &mut Trace,
        direction: Direction,
    ) -> anyhow::Result<()> {
        let seen = self.wait(|frames| frames.seen(direction).pop_front()).await?;
        trace.frame(&self.name, &seen);
        ensure!(seen.kind.is_none(), "expected something that is no frame");
        Ok(())
    }

    /// Shows the first sign of life, which goes this way, and its answer.
    pub(crate) async fn expect_sign_of_life(
        &mut self,
        trace: &mut Trace,
        directions: [Direction; 2],
    ) -> anyhow::Result<()> {
        for direction in directions {
            let seen = self.wait(|frames| frames.signs_of_life.pop_front()).await;
            let seen = seen.context("no sign of life")?;
            trace.frame(&self.name, &seen);
            ensure!(seen.direction == direction, "expected a sign of life, then its answer");
        }
        Ok(())
    }

    /// Shows the first sign of this kind that goes this way, and tells what is in it.
    pub(crate) async fn expect_sign(
        &mut self,
        trace: &mut Trace,
        direction: Direction,
        kind: &str,
    ) -> anyhow::Result<String> {
        let is_it = |seen: &Seen| seen.direction == direction && seen.kind == Some(kind);
        let seen = self.wait(|frames| {
            let at = frames.signs_of_life.iter().position(is_it)?;
            frames.signs_of_life.remove(at)
        });
        let seen = seen.await.with_context(|| format!("no {kind}"))?;
        trace.frame(&self.name, &seen);
        Ok(seen.content)
    }

    /// The connection is over: there must be nothing left but signs of life.
    pub(crate) fn expect_no_more(&mut self) -> anyhow::Result<()> {
        while let Ok(chunk) = self.chunks.try_recv() {
            self.read(chunk);
        }
        let left = self.to_server.front().or(self.to_client.front());
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

    fn seen(&mut self, direction: Direction) -> &mut VecDeque<Seen> {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    fn read(&mut self, chunk: Chunk) {
        let Self { wire, to_server, to_client, signs_of_life, .. } = self;
        wire.read(chunk, |seen, is_sign_of_life| match seen.direction {
            _ if is_sign_of_life => signs_of_life.push_back(seen),
            Direction::ToServer => to_server.push_back(seen),
            Direction::ToClient => to_client.push_back(seen),
        });
    }
}
