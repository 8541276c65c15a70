//! A driver: joins a byte-stream [`Session`] to a socket, on tokio. Copy it, with
//! [`app`](crate::app), and change it.
//!
//! One task per connection, one `select!` in it, which reads, writes and waits at once: a peer that
//! stops reading holds up neither timers nor events nor commands.

use std::io::{self, ErrorKind};

use bytes::Buf;
use smallwire_core::{End, Session};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::app::{App, CLOSING_TIME, drain, now, sleep_until};

/// How many bytes of a peer are thrown away while it closes.
const CLOSING_BYTES: usize = 1024 * 1024;

/// Runs `session` on `stream` to its end, and closes the stream. Tells how the session ended.
///
/// Dropping the future drops the connection; the session may then still hold events. Commands that
/// it hasn't taken when it ends are left to the caller. Set `TCP_NODELAY`, or small messages wait.
///
/// # Errors
/// The stream failed before the session was over, or before all was sent at a clean end that we
/// brought about. In either case the session has ended, and `app` has all of its events.
pub async fn drive<S, A, T>(
    session: &mut S,
    stream: T,
    commands: &mut mpsc::Receiver<A::Command>,
    app: &mut A,
) -> io::Result<End<S::Error>>
where
    S: Session<Input = [u8], Transmit: Buf, Error: Clone>,
    A: App<S>,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut input = vec![0; 16 * 1024];
    let mut unsent = None; // What the session gave us to send, and the socket hasn't taken.
    let mut broken = None; // Nothing can be sent, but the peer's last words may be on their way.
    let mut peer_closed = false;
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
        tokio::select! {
            read = reader.read(&mut input), if !peer_closed && session.wants_input() => match read {
                Ok(0) => {
                    peer_closed = true;
                    session.handle_eof(now());
                }
                Ok(n) => session.handle_input(now(), &input[..n]),
                Err(error) => {
                    // Requests still open get their outcome.
                    session.handle_eof(now());
                    drain(session, app, &mut unsent);
                    return Err(error);
                }
            },
            written = send(&mut writer, &mut unsent), if unsent.is_some() && broken.is_none() => {
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
        Some(error) => Err(error),
        None => close(session, reader, writer, unsent, &mut input).await,
    };
    match end {
        // What a peer that has closed doesn't take any more is nobody's loss.
        End::Clean if !peer_closed => sent.map(|()| end),
        _ => Ok(end),
    }
}

/// Sends `unsent`. May be dropped and called again: it goes on where it was.
async fn send(
    writer: &mut (impl AsyncWrite + Unpin),
    unsent: &mut Option<impl Buf>,
) -> io::Result<()> {
    if let Some(bytes) = unsent {
        writer.write_all_buf(bytes).await?;
        writer.flush().await?;
    }
    *unsent = None;
    Ok(())
}

/// Sends what is left and waits for the peer to close, reading what it still sends: a socket closed
/// with unread bytes is reset, and a reset may overtake our last words.
async fn close<S: Session<Transmit: Buf>>(
    session: &mut S,
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    mut unsent: Option<S::Transmit>,
    scratch: &mut [u8],
) -> io::Result<()> {
    let mut sent = Err(ErrorKind::TimedOut.into());
    let send_rest = async {
        sent = async {
            while unsent.is_some() {
                send(&mut writer, &mut unsent).await?;
                unsent = session.poll_transmit();
            }
            writer.shutdown().await
        }
        .await;
    };
    let discard = async {
        let mut left = CLOSING_BYTES;
        while left > 0 {
            match reader.read(scratch).await {
                Ok(0) | Err(_) => break,
                Ok(n) => left = left.saturating_sub(n),
            }
        }
    };
    let _ = tokio::time::timeout(CLOSING_TIME, async { tokio::join!(send_rest, discard) }).await;
    sent
}
