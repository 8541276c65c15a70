//! What is decoded: the same payloads in the framing of each subject.

use bingo_proto::{CodecConfig, FrameRef, MessageId, OpCode};
use bytes::Bytes;

/// A size of frame.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) name: &'static str,
    pub(crate) payload: usize,
}

/// The small ones are named by what they take on the wire, 5 bytes of header and all.
pub(crate) const SIZES: [Size; 4] = [
    Size { name: "7 B", payload: 2 },
    Size { name: "69 B", payload: 64 },
    Size { name: "1 KiB", payload: 1024 },
    Size { name: "60 KiB", payload: 60 * 1024 },
];

/// How a stream arrives.
#[derive(Clone, Copy)]
pub(crate) struct Reads {
    pub(crate) name: &'static str,
    pub(crate) bytes: usize,
}

pub(crate) const WHOLE: Reads = Reads { name: "whole", bytes: usize::MAX };
/// A large read of a busy server.
pub(crate) const LARGE: Reads = Reads { name: "16 KiB reads", bytes: 16 * 1024 };
/// What one packet brings over the Internet.
pub(crate) const PACKETS: Reads = Reads { name: "1460 B reads", bytes: 1460 };

const HEADER: usize = 5;
const STREAM: usize = 1024 * 1024;
/// Enough to forget the start and the end of a stream.
const MAX_FRAMES: usize = 16 * 1024;

impl Size {
    pub(crate) fn frame(self) -> usize {
        self.payload + HEADER
    }

    /// Frames in a stream of about 1 MiB.
    pub(crate) fn frames(self) -> usize {
        (STREAM / self.frame()).min(MAX_FRAMES)
    }

    fn body(self) -> Vec<u8> {
        vec![b'x'; self.payload]
    }

    /// Events, as a client numbers them.
    pub(crate) fn bingo(self) -> Vec<u8> {
        let (body, config) = (self.body(), CodecConfig::default());
        let mut stream = Vec::new();
        let mut id = MessageId(0);
        for _ in 0..self.frames() {
            FrameRef::new(OpCode::Event, id, &body).encode(&config, &mut stream).unwrap();
            id = id.next();
        }
        stream
    }

    /// Binary messages of a WebSocket server, which are not masked (RFC 6455, section 5.2).
    pub(crate) fn websocket(self) -> Vec<u8> {
        let mut frame = vec![0x82];
        match u8::try_from(self.payload) {
            Ok(len) if len < 126 => frame.push(len),
            _ => {
                frame.push(126);
                frame.extend(u16::try_from(self.payload).unwrap().to_be_bytes());
            }
        }
        frame.extend(self.body());
        frame.repeat(self.frames())
    }

    /// Bulk strings of RESP2.
    pub(crate) fn resp(self) -> Vec<u8> {
        let mut frame = format!("${}\r\n", self.payload).into_bytes();
        frame.extend(self.body());
        frame.extend(b"\r\n");
        frame.repeat(self.frames())
    }
}

impl Reads {
    pub(crate) fn slices(self, stream: &[u8]) -> Vec<&[u8]> {
        stream.chunks(self.bytes).collect()
    }

    /// Each read in an allocation of its own.
    pub(crate) fn bytes(self, stream: &[u8]) -> Vec<Bytes> {
        stream.chunks(self.bytes).map(Bytes::copy_from_slice).collect()
    }
}
