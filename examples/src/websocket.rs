//! A driver: joins a [`Session`] over WebSocket to the socket of any library, on tokio. Copy it, with
//! [`app`](crate::app), and change it. How a library's messages and errors become ours is in [`tungstenite`](crate::tungstenite)
//! and [`axum`](crate::axum).
//!
//! One task per connection, one `select!` in it, which reads, writes and waits at once: a peer that
//! stops reading holds up neither timers nor events nor commands.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use smallwire_core::{CloseFrame, End, Message, Session};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep};

use crate::app::{App, CLOSING_TIME, drain, now, sleep_until};

/// How long the WebSocket may take to stand; only then is there a session that has its own timeouts.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// How many bytes a library reads at once, and keeps before it writes: every socket has room for as
/// many. Beyond them the session sees what waits.
pub(crate) const BUFFER: usize = 4 * 1024;

/// How many bytes of a peer are thrown away while it closes.
const CLOSING_BYTES: usize = 1024 * 1024;

/// The peer broke the rules of WebSocket itself.
pub(crate) const PROTOCOL_ERROR: u16 = 1002;

/// What a library's socket has to be turned into.
pub trait WebSocket:
    Stream<Item = Result<Message, Failure>> + Sink<Message, Error = Failure> + Unpin
{
}

impl<T> WebSocket for T where
    T: Stream<Item = Result<Message, Failure>> + Sink<Message, Error = Failure> + Unpin
{
}

/// Why a library doesn't go on.
#[derive(Debug)]
pub enum Failure {
    /// It doesn't take what the peer has sent. Neither will the session, if it is given this, and it
    /// knows what to tell the peer and the application.
    Refused(Message),
    /// The peer is gone, without a close frame.
    Eof,
    /// The peer broke the rules of WebSocket, for which no session has a word.
    Violation(io::Error),
    /// Nothing can be read or written any more.
    Lost(io::Error),
}

impl Failure {
    /// A message that is longer than `limit`, which is more than the session takes.
    pub(crate) fn too_long(limit: usize) -> Self {
        Self::Refused(Message::text(vec![b' '; limit.saturating_add(1)]))
    }

    /// A text that isn't UTF-8.
    pub(crate) fn not_utf8() -> Self {
        Self::Refused(Message::text(&b"\xFF"[..]))
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(_) => ErrorKind::InvalidData.into(),
            Failure::Eof => ErrorKind::UnexpectedEof.into(),
            Failure::Violation(error) | Failure::Lost(error) => error,
        }
    }
}

/// A library's socket, whose messages are `None` where they are pings and pongs, that finds out whether the
/// peer is still there: if nothing has come for an interval, it gets a ping, and after another one it
/// is lost.
///
/// While the socket takes no more of what is to be sent, no ping would reach the peer: it may only be slow, and
/// when the socket takes more, that is as good as an answer. If it is gone, TCP finds out, as what was sent
/// isn't acknowledged. Both halves of it are for one task.
#[derive(Debug)]
pub(crate) struct Pinged<S> {
    socket: S,
    pings: Option<Pings>,
}

#[derive(Debug)]
struct Pings {
    interval: Duration,
    /// When to look next.
    due: Pin<Box<Sleep>>,
    /// When something came last.
    heard: Instant,
    /// A ping was sent since then.
    is_sent: bool,
    /// The socket hasn't taken all that is to be sent.
    is_blocked: bool,
}

impl<S> Pinged<S> {
    /// Without an interval there are no pings.
    pub(crate) fn new(socket: S, interval: Option<Duration>) -> Self {
        let pings = interval.map(|interval| Pings {
            interval,
            due: Box::pin(sleep(interval)),
            heard: Instant::now(),
            is_sent: false,
            is_blocked: false,
        });
        Self { socket, pings }
    }
}

impl Pings {
    fn hear(&mut self) {
        (self.heard, self.is_sent) = (Instant::now(), false);
    }

    /// Whether it is time for a ping, or for the end.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.due.as_mut().poll(cx));
            let left = self.interval.saturating_sub(self.heard.elapsed());
            if left.is_zero() && !self.is_blocked {
                return Poll::Ready(());
            }
            self.due.set(sleep(if left.is_zero() { self.interval } else { left }));
        }
    }
}

impl<S> Stream for Pinged<S>
where
    S: Stream<Item = Result<Option<Message>, Failure>>
        + Sink<Option<Message>, Error = Failure>
        + Unpin,
{
    type Item = Result<Message, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // What has come counts before the time does.
        while let Poll::Ready(read) = self.socket.poll_next_unpin(cx) {
            if let Some(pings) = &mut self.pings {
                pings.hear();
            }
            if !matches!(read, Some(Ok(None))) {
                return Poll::Ready(read.and_then(Result::transpose));
            }
        }
        if self.pings.as_ref().is_some_and(|pings| pings.is_blocked) {
            // Nobody else may know that a ping waits. What fails here fails again where it matters.
            let _ = self.as_mut().poll_flush(cx);
        }
        while let Some(pings) = &mut self.pings {
            ready!(pings.poll_silence(cx));
            if pings.is_sent {
                let error = io::Error::new(ErrorKind::TimedOut, "no answer to a ping");
                return Poll::Ready(Some(Err(Failure::Lost(error))));
            }
            pings.is_sent = true;
            pings.due.set(sleep(pings.interval));
            if let Poll::Ready(Ok(())) = self.as_mut().poll_ready(cx) {
                let _ = self.socket.start_send_unpin(None);
                let _ = self.as_mut().poll_flush(cx);
            }
        }
        Poll::Pending
    }
}

impl<S: Sink<Option<Message>, Error = Failure> + Unpin> Sink<Message> for Pinged<S> {
    type Error = Failure;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let is_ready = self.socket.poll_ready_unpin(cx);
        if let (Some(pings), Poll::Pending) = (&mut self.pings, &is_ready) {
            pings.is_blocked = true;
        }
        is_ready
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Failure> {
        self.socket.start_send_unpin(Some(message))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let flushed = self.socket.poll_flush_unpin(cx);
        if let Some(pings) = &mut self.pings {
            if pings.is_blocked && flushed.is_ready() {
                pings.hear();
            }
            pings.is_blocked = flushed.is_pending();
        }
        flushed
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.socket.poll_close_unpin(cx)
    }
}

/// The longest message that a library is to take, if the longest text is `max_message` bytes: a
/// little more, as a text that can't be compressed is longer when it is.
pub(crate) fn wire_limit(max_message: usize) -> usize {
    max_message.saturating_add(max_message / 1000).saturating_add(64)
}

/// The most bytes that a library is to keep unsent, if the longest message sent is `longest` bytes: without
/// an end, pongs that the peer doesn't read would pile up.
pub(crate) fn unsent_limit(longest: usize) -> usize {
    wire_limit(longest).saturating_add(2 * BUFFER)
}

/// Whether a close frame may carry this code; libraries refuse one that carries another.
pub fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// What can be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    On,
    /// There is more, which the library doesn't read.
    Stuck,
    /// The peer has closed.
    Over,
}

/// Runs `session` on `socket` to its end, and closes the socket. Tells how the session ended.
///
/// Dropping the future drops the connection; the session may then still hold events. Commands that
/// it hasn't taken when it ends are left to the caller.
///
/// # Errors
/// The socket failed before the session was over, or before all was sent at a clean end that we
/// brought about. In either case the session has ended, and `app` has all of its events.
pub async fn drive<S, A>(
    session: &mut S,
    socket: impl WebSocket,
    commands: &mut mpsc::Receiver<A::Command>,
    app: &mut A,
) -> io::Result<End<S::Error>>
where
    S: Session<Input = Message, Transmit = Message, Error: Clone>,
    A: App<S>,
{
    let (mut writer, mut reader) = socket.split();
    let mut unsent = None; // What the session gave us to send, and the library hasn't taken.
    let mut unflushed = false; // The library has something that the socket hasn't taken.
    let mut broken = None; // Nothing can be sent, but the peer's last words may be on their way.
    let mut lost = None; // The session knows only that there was no close frame.
    let mut reading = Reading::On;
    let mut has_commands = true;
    let end = loop {
        drain(session, app, &mut unsent);
        // Nobody takes it any more, and where much waits to be sent, a session may not read on.
        while broken.is_some() && unsent.take().is_some() {
            drain(session, app, &mut unsent);
        }
        if let Some(end) = session.ended() {
            break end.clone();
        }
        let due = session.poll_timeout();
        let is_writing = (unsent.is_some() || unflushed) && broken.is_none();
        // At once, where that can be: what answers the peer doesn't pile up behind what is read.
        if is_writing
            && let Some(written) = write(&mut writer, &mut unsent, &mut unflushed).now_or_never()
        {
            broken = written.err();
            continue;
        }
        tokio::select! {
            read = reader.next(), if reading == Reading::On && session.wants_input() => match read {
                Some(Ok(message)) => {
                    if let Message::Close(_) = message {
                        reading = Reading::Over;
                        unsent = None;
                    }
                    session.handle_input(now(), &message);
                }
                Some(Err(Failure::Refused(message))) => {
                    reading = Reading::Stuck;
                    session.handle_input(now(), &message);
                }
                Some(Err(Failure::Violation(error))) => {
                    reading = Reading::Stuck;
                    let frame = CloseFrame::new(PROTOCOL_ERROR, error.to_string());
                    unsent = Some(Message::Close(Some(frame)));
                    lost = Some(error);
                    session.handle_eof(now());
                }
                Some(Err(Failure::Lost(error))) => {
                    // Requests still open get their outcome.
                    session.handle_eof(now());
                    drain(session, app, &mut unsent);
                    return Err(error);
                }
                None | Some(Err(Failure::Eof)) => {
                    reading = Reading::Over;
                    session.handle_eof(now());
                }
            },
            written = write(&mut writer, &mut unsent, &mut unflushed), if is_writing => {
                broken = written.err();
            }
            command = commands.recv(), if has_commands => if let Some(command) = command {
                app.command(session, now(), command);
            } else {
                has_commands = false;
                app.commands_closed(session, now());
            },
            () = sleep_until(due) => session.handle_timeout(now()),
        }
    };
    let sent = match broken {
        Some(error) => Err(error.into()),
        None => close(session, reader, writer, unsent, unflushed, reading).await,
    };
    match (lost, &end) {
        (Some(error), _) => Err(error),
        // What a peer that has closed doesn't take any more is nobody's loss.
        (None, End::Clean) if reading != Reading::Over => sent.map(|()| end),
        _ => Ok(end),
    }
}

/// Hands `unsent` to the library, and when there is none, makes it send what it has. May be dropped
/// and called again.
pub(crate) async fn write<W: Sink<Message> + Unpin>(
    writer: &mut W,
    unsent: &mut Option<Message>,
    unflushed: &mut bool,
) -> Result<(), W::Error> {
    if unsent.is_some() {
        std::future::poll_fn(|cx| writer.poll_ready_unpin(cx)).await?;
    }
    if let Some(message) = unsent.take() {
        *unflushed = true;
        return writer.start_send_unpin(message);
    }
    writer.flush().await?;
    *unflushed = false;
    Ok(())
}

/// Hands all of these to the library and makes it send them. May be dropped and called again.
pub(crate) async fn write_all<W: Sink<Message> + Unpin>(
    writer: &mut W,
    unsent: &mut VecDeque<Message>,
    unflushed: &mut bool,
) -> Result<(), W::Error> {
    while !unsent.is_empty() {
        std::future::poll_fn(|cx| writer.poll_ready_unpin(cx)).await?;
        if let Some(message) = unsent.pop_front() {
            *unflushed = true;
            writer.start_send_unpin(message)?;
        }
    }
    writer.flush().await?;
    *unflushed = false;
    Ok(())
}

/// Sends what is left, a close frame at the end of it, and waits for the peer to close too. What it
/// still sends is read, so that the socket isn't reset, which may overtake our last words; if the
/// library doesn't read on, the peer has a moment all the same.
async fn close<S: Session<Transmit = Message>>(
    session: &mut S,
    mut reader: impl Stream<Item = Result<Message, Failure>> + Unpin,
    mut writer: impl Sink<Message, Error = Failure> + Unpin,
    mut unsent: Option<Message>,
    mut unflushed: bool,
    reading: Reading,
) -> io::Result<()> {
    let mut sent = Err(ErrorKind::TimedOut.into());
    let send_rest = async {
        sent = async {
            while unsent.is_some() || unflushed {
                write(&mut writer, &mut unsent, &mut unflushed).await?;
                if unsent.is_none() {
                    unsent = session.poll_transmit();
                }
            }
            Ok(())
        }
        .await;
    };
    let discard = async {
        let mut left = CLOSING_BYTES;
        while reading != Reading::Stuck && left > 0 {
            match reader.next().await {
                Some(Ok(message)) => left = left.saturating_sub(message.len()),
                Some(Err(Failure::Refused(_) | Failure::Violation(_))) => break,
                Some(Err(Failure::Eof | Failure::Lost(_))) | None => return,
            }
        }
        std::future::pending::<()>().await;
    };
    let closing = async { tokio::join!(send_rest, discard) };
    let _ = tokio::time::timeout(CLOSING_TIME, closing).await;
    sent
}
