//! A socket that is read in turn with all others, on tokio. Goes with any driver.
//!
//! tokio lets a task go on for 128 reads and writes. Where a peer sends as fast as it can, and what it sends
//! is much work, as small frames are, that takes a while, in which nobody else is served.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes are read in a turn.
const TURN: usize = 16 * 1024;

/// A socket that waits for all other tasks that are ready, each time that much has been read.
#[derive(Debug)]
pub struct Turns<T> {
    socket: T,
    /// Of this turn.
    left: usize,
}

impl<T> Turns<T> {
    /// Of this socket.
    pub fn new(socket: T) -> Self {
        Self { socket, left: TURN }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Turns<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            self.left = TURN;
            // Behind those that are ready now.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        self.left = match read {
            Poll::Ready(_) => self.left.saturating_sub(buffer.filled().len() - before),
            Poll::Pending => TURN,
        };
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Turns<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn others_have_their_turn_while_much_is_read() {
        // Always ready, as a socket seems that somebody fills.
        let mut flood = Turns::new(tokio::io::repeat(7));
        let (turns, mut buffer) = (Cell::new(0), vec![0; 4096]);
        let other = async {
            loop {
                turns.set(turns.get() + 1);
                tokio::task::yield_now().await;
            }
        };
        let reading = async {
            for _ in 0..40 {
                flood.read_exact(&mut buffer).await.unwrap();
            }
        };
        tokio::select! {
            () = reading => {}
            () = other => {}
        }
        // After each 16 KiB of 160.
        assert!((9..=12).contains(&turns.get()), "{} turns", turns.get());
        assert_eq!(buffer, [7; 4096]);
    }
}
