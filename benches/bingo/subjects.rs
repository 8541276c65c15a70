//! What is compared: each takes a stream apart and gives the number of its frames.
//!
//! Whatever they do, they show opcode and length of the payload of every frame to [`see`].

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::time::Instant;

use bingo_proto::{Decoder, Server, ServerEvent, Session};
use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::decode::{decode_bytes_mut, decode_range};
use redis_protocol::resp2::types::{BytesFrame, RangeFrame};
use tokio_util::codec::{Decoder as _, LengthDelimitedCodec};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use super::streams::Reads;

#[inline]
fn see(opcode: u8, payload: usize) {
    black_box((opcode, payload));
}

/// Frames borrowed from the reads.
pub(crate) fn borrowed(decoder: &mut Decoder, reads: &[&[u8]]) -> usize {
    let mut frames = 0;
    for mut input in reads.iter().copied() {
        while let Some(frame) = decoder.decode(&mut input).unwrap() {
            see(frame.opcode() as u8, frame.payload().len());
            frames += 1;
        }
    }
    frames
}

/// The same, with each read first copied to where a socket would be read to.
pub(crate) fn borrowed_copied(
    decoder: &mut Decoder,
    reads: &[&[u8]],
    buffer: &mut Vec<u8>,
) -> usize {
    let mut frames = 0;
    for read in reads {
        buffer.clear();
        buffer.extend_from_slice(read);
        frames += borrowed(decoder, &[&*buffer]);
    }
    frames
}

/// Frames that are slices of the reads.
pub(crate) fn owned(decoder: &mut Decoder, reads: &[Bytes]) -> usize {
    let mut frames = 0;
    for read in reads {
        let mut input = read.clone();
        while let Some(frame) = decoder.decode_bytes(&mut input).unwrap() {
            see(frame.opcode() as u8, frame.payload().len());
            frames += 1;
        }
    }
    frames
}

/// The limit: the whole stream in one slice, nothing to remember, nothing to report.
pub(crate) fn walker(mut input: &[u8]) -> usize {
    let mut frames = 0;
    loop {
        match input {
            [0, rest @ ..] => {
                see(0, 0);
                input = rest;
            }
            [opcode @ 1..=9, _, _, high, low, rest @ ..] => {
                let len = usize::from(u16::from_be_bytes([*high, *low]));
                let Some((payload, rest)) = rest.split_at_checked(len) else {
                    return frames;
                };
                see(*opcode, payload.len());
                input = rest;
            }
            _ => return frames,
        }
        frames += 1;
    }
}

/// The codec for the very same header: opcode and id are skipped, the length doesn't count them.
pub(crate) fn length_delimited_codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_offset(3)
        .length_field_length(2)
        .length_adjustment(5)
        .num_skip(0)
        .new_codec()
}

/// All frames that are whole in `buffer`.
pub(crate) fn length_delimited(codec: &mut LengthDelimitedCodec, buffer: &mut BytesMut) -> usize {
    let mut frames = 0;
    while let Some(frame) = codec.decode(buffer).unwrap() {
        see(frame[0], frame.len() - 5);
        frames += 1;
    }
    frames
}

/// As `Framed` does: each read goes to the end of the buffer, then all that is whole comes out.
pub(crate) fn length_delimited_fed(
    codec: &mut LengthDelimitedCodec,
    buffer: &mut BytesMut,
    reads: &[&[u8]],
) -> usize {
    let mut frames = 0;
    for read in reads {
        buffer.extend_from_slice(read);
        frames += length_delimited(codec, buffer);
    }
    frames
}

/// A client, whose peer doesn't mask; its buffer is as long as the reads, since it is zeroed for
/// each (128 KiB, the default, for a whole stream).
pub(crate) fn web_socket(stream: &[u8], reads: Reads) -> WebSocket<Stream<'_>> {
    let config = WebSocketConfig::default().read_buffer_size(reads.bytes.min(128 * 1024));
    WebSocket::from_raw_socket(Stream { data: stream, at: 0, reads }, Role::Client, Some(config))
}

pub(crate) fn tungstenite(socket: &mut WebSocket<Stream<'_>>) -> usize {
    socket.get_mut().at = 0;
    let mut frames = 0;
    while let Ok(message) = socket.read() {
        let Message::Binary(payload) = message else { unreachable!() };
        see(2, payload.len());
        frames += 1;
    }
    frames
}

/// Gives a stream by reads, then would block.
pub(crate) struct Stream<'a> {
    data: &'a [u8],
    at: usize,
    reads: Reads,
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.data[self.at..];
        let len = rest.len().min(buffer.len()).min(self.reads.bytes);
        if len == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ranges of the whole stream in one slice.
pub(crate) fn redis_ranges(mut input: &[u8]) -> usize {
    let mut frames = 0;
    while let Some((frame, len)) = decode_range(input).unwrap() {
        let RangeFrame::BulkString((start, end)) = frame else { unreachable!() };
        see(b'$', end - start);
        input = &input[len..];
        frames += 1;
    }
    frames
}

/// As in its own codec for `Framed`.
pub(crate) fn redis_bytes(buffer: &mut BytesMut, reads: &[&[u8]]) -> usize {
    let mut frames = 0;
    for read in reads {
        buffer.extend_from_slice(read);
        while let Some((frame, ..)) = decode_bytes_mut(buffer).unwrap() {
            let BytesFrame::BulkString(payload) = frame else { unreachable!() };
            see(b'$', payload.len());
            frames += 1;
        }
    }
    frames
}

/// All of a session: every read in, every event out.
pub(crate) fn session(server: &mut Server, now: Instant, reads: &[&[u8]]) -> usize {
    let mut frames = 0;
    for read in reads {
        server.handle_input(now, read);
        while let Some(event) = server.poll_event() {
            let ServerEvent::Event(payload) = event else { unreachable!() };
            see(8, payload.len());
            frames += 1;
        }
    }
    frames
}
