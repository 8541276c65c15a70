use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, bail, ensure};

use crate::script::{self, MESSAGE, Script};

/// What the texts of the server hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// One set each.
    Single,
    Batches,
}

/// A socket on which a WebSocket stands, and whose client is in the room.
pub(crate) fn connect(address: SocketAddr, username: &str) -> anyhow::Result<mio::net::TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )?;
    // The server says nothing more before it has been told who we are.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut some = [0; 1024];
        let read = stream.read(&mut some)?;
        ensure!(read > 0, "closed within the handshake");
        answer.extend_from_slice(&some[..read]);
    }
    ensure!(answer.starts_with(b"HTTP/1.1 101 "), "no WebSocket: {}", answer.escape_ascii());
    let first = script::number(&script::line(0)[..MESSAGE])?;
    let handshake = format!(
        r#"{{"kind":"handshake","room":"load","username":"{username}","variables":{{"x":"{first:010}"}}}}"#
    );
    let mut frame = Vec::new();
    put_frame(&mut frame, 1, handshake.as_bytes());
    stream.write_all(&frame)?;
    stream.set_nonblocking(true)?;
    Ok(mio::net::TcpStream::from_std(stream))
}

/// Writes a frame of a client, masked with zeros, which changes nothing.
pub(crate) fn put_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    let short = u8::try_from(payload.len()).ok().filter(|len| *len < 126);
    out.extend_from_slice(&[0x80 | opcode, 0x80 | short.unwrap_or(126)]);
    if short.is_none() {
        let len = u16::try_from(payload.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&len.to_be_bytes());
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// Who hears of sets.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) stream: mio::net::TcpStream,
    pub(crate) ear: Ear,
}

impl Receiver {
    /// Reads all that there is.
    pub(crate) fn read(&mut self, buffer: &mut [u8], script: &Script) -> anyhow::Result<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => bail!("the server has closed the connection"),
                Ok(read) => {
                    self.ear.take(&buffer[..read], script)?;
                    // More will be told of.
                    if read < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Says goodbye, if there is room for it.
    pub(crate) fn leave(&mut self) -> io::Result<()> {
        let mut frame = Vec::new();
        put_frame(&mut frame, 8, &1000_u16.to_be_bytes());
        self.stream.write_all(&frame)
    }
}

/// What is heard, byte by byte.
#[derive(Debug)]
pub(crate) struct Ear {
    framing: Framing,
    /// Sets may be left out: it doesn't always listen, so they are merged.
    lenient: bool,
    /// The set that comes next; `None` until it has heard what is the case.
    next: Option<u64>,
    /// Bytes of it that have come.
    at: usize,
    /// A text whose sets aren't known beforehand.
    unknown: Vec<u8>,
    /// What has come of a frame's header.
    header: Vec<u8>,
    /// Bytes of the frame's payload that are still to come.
    left: usize,
    /// Sets that have come.
    pub(crate) delivered: u64,
}

impl Ear {
    pub(crate) fn new(framing: Framing, lenient: bool) -> Self {
        let (next, at, left, delivered) = (None, 0, 0, 0);
        let (unknown, header) = (Vec::new(), Vec::new());
        Self { framing, lenient, next, at, unknown, header, left, delivered }
    }

    /// The last set that has come.
    pub(crate) fn heard(&self) -> Option<u64> {
        self.next.map(|next| next - 1)
    }

    fn take(&mut self, mut bytes: &[u8], script: &Script) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            if self.left == 0 {
                bytes = self.take_header(bytes)?;
                continue;
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.left));
            self.left -= now.len();
            match self.next {
                Some(next) if !self.lenient => {
                    let (mut number, mut at) = (next, self.at);
                    script.follow(&mut number, &mut at, now)?;
                    if self.left == 0 {
                        ensure!(at == MESSAGE, "a frame ends within set {number}");
                        (number, at) = (number + 1, 0);
                    }
                    self.delivered += number - next;
                    (self.next, self.at) = (Some(number), at);
                }
                _ => self.take_unknown(now)?,
            }
            bytes = later;
        }
        Ok(())
    }

    /// Takes what is there of a frame's header; gives what comes after it.
    fn take_header<'a>(&mut self, bytes: &'a [u8]) -> anyhow::Result<&'a [u8]> {
        let (first, rest) = bytes.split_first().context("no bytes")?;
        self.header.push(*first);
        let len = match self.header[..] {
            [0x81, len @ ..=125] => Some(len.into()),
            [0x81, 126, a, b] => Some(u16::from_be_bytes([a, b]).into()),
            [0x81, 127, _, _, _, _, a, b, c, d] => Some(u32::from_be_bytes([a, b, c, d]) as usize),
            [0x81] | [0x81, 126 | 127, ..] => None,
            _ => bail!("not a text: {}", bytes.escape_ascii()),
        };
        if let Some(len) = len {
            self.header.clear();
            ensure!(len > 0, "an empty text");
            ensure!(self.framing == Framing::Batches || len == MESSAGE, "not one set: {len} bytes");
            self.left = len;
        }
        Ok(rest)
    }

    fn take_unknown(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.unknown.extend_from_slice(bytes);
        if self.left > 0 {
            return Ok(());
        }
        for line in self.unknown.split(|byte| *byte == b'\n') {
            let number = script::number(line)?;
            if let Some(next) = self.next {
                ensure!(number >= next, "set {number} comes when {next} is awaited");
                self.delivered += 1;
            }
            self.next = Some(number + 1);
        }
        self.unknown.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells these texts, in pieces of every length, and gives how many sets have come.
    fn hear(framing: Framing, lenient: bool, texts: &[&[u64]]) -> anyhow::Result<u64> {
        let mut script = Script::new(16);
        for _ in 0..9 {
            script.next();
        }
        let mut bytes = Vec::new();
        for numbers in texts {
            let lines = numbers.iter().flat_map(|number| script::line(*number));
            let mut text: Vec<_> = lines.collect();
            text.pop();
            let len = u8::try_from(text.len()).unwrap_or(126);
            bytes.extend([0x81, len.min(126)]);
            if len >= 126 {
                bytes.extend(u16::try_from(text.len())?.to_be_bytes());
            }
            bytes.extend(text);
        }
        let mut counts = Vec::new();
        for size in 1..=bytes.len() {
            let mut ear = Ear::new(framing, lenient);
            for piece in bytes.chunks(size) {
                ear.take(piece, &script)?;
            }
            counts.push(ear.delivered);
        }
        assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
        Ok(counts[0])
    }

    #[test]
    fn every_set_is_counted_after_what_was_the_case() {
        for lenient in [false, true] {
            assert_eq!(hear(Framing::Single, lenient, &[&[2], &[3], &[4]]).unwrap(), 2);
            assert_eq!(hear(Framing::Batches, lenient, &[&[2], &[3, 4, 5], &[6]]).unwrap(), 4);
        }
    }

    #[test]
    fn what_is_lost_or_comes_twice_or_too_early_is_noticed() {
        for texts in [&[&[2][..], &[4]], &[&[2], &[2]], &[&[2], &[3, 5]], &[&[2], &[4, 3]]] {
            hear(Framing::Batches, false, texts).unwrap_err();
        }
        hear(Framing::Batches, false, &[&[8], &[9, 10]]).unwrap_err();
        hear(Framing::Single, false, &[&[2], &[3, 4]]).unwrap_err();
        assert_eq!(hear(Framing::Batches, true, &[&[2], &[5, 7], &[9]]).unwrap(), 3);
        hear(Framing::Batches, true, &[&[2], &[5], &[5]]).unwrap_err();
        hear(Framing::Batches, true, &[&[2], &[5], &[4]]).unwrap_err();
    }
}
