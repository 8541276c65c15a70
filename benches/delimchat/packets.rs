//! What is decoded: ShortMessageDeliveries with random identifiers, so full of `00` and `FF`.

use bytes::Bytes;
use delimchat_proto::{Alias, Base64, CodecConfig, RoomId, ServerPacketRef, UniqueId, Username};

/// How many characters of base64 a message has.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) name: &'static str,
    pub(crate) chars: usize,
}

pub(crate) const SIZES: [Size; 3] = [
    Size { name: "40", chars: 40 },
    Size { name: "400", chars: 400 },
    Size { name: "4000", chars: 4000 },
];

pub(crate) const USERNAME: &str = "ada.lovelace";
pub(crate) const ALIAS: &str = "Countess";

/// What a server reads at once if there is much, into a buffer that it uses again and again.
const STREAM: usize = 32 * 1024;

/// What one packet is made of.
pub(crate) struct Delivery {
    pub(crate) unique_id: [u8; 16],
    pub(crate) room: [u8; 8],
    pub(crate) payload: Vec<u8>,
}

impl Delivery {
    pub(crate) fn packet(&self) -> ServerPacketRef<'_> {
        ServerPacketRef::ShortMessageDelivery {
            unique_id: UniqueId(self.unique_id),
            room: RoomId(self.room),
            username: Username::from(USERNAME),
            alias: Alias::from(ALIAS),
            message: Base64::of(&self.payload),
        }
    }
}

/// So many bytes that look random and are the same in every run.
fn random<const N: usize>(state: &mut u64) -> [u8; N] {
    std::array::from_fn(|_| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 32).to_le_bytes()[0]
    })
}

impl Size {
    /// Bytes on the wire.
    pub(crate) fn packet(self) -> usize {
        1 + 1 + 16 + 1 + 8 + 1 + USERNAME.len() + 1 + ALIAS.len() + 1 + self.chars + 1
    }

    /// Packets in a stream.
    pub(crate) fn packets(self) -> usize {
        STREAM / self.packet()
    }

    pub(crate) fn deliveries(self, packets: usize) -> Vec<Delivery> {
        let mut state = 0x9E37_79B9_7F4A_7C15;
        let mut next = || Delivery {
            unique_id: random(&mut state),
            room: random(&mut state),
            payload: (0..self.chars / 4).flat_map(|_| random::<3>(&mut state)).collect(),
        };
        (0..packets).map(|_| next()).collect()
    }

    pub(crate) fn stream(self, packets: usize) -> Vec<u8> {
        let mut stream = Vec::new();
        for delivery in self.deliveries(packets) {
            delivery.packet().encode(&CodecConfig::default(), &mut stream).unwrap();
        }
        assert_eq!(stream.len(), packets * self.packet());
        stream
    }
}

/// How a stream arrives.
#[derive(Clone, Copy)]
pub(crate) struct Reads {
    pub(crate) name: &'static str,
    bytes: usize,
}

pub(crate) const READS: [Reads; 3] = [
    Reads { name: "whole", bytes: usize::MAX },
    // What one packet brings over the Internet.
    Reads { name: "1460 B reads", bytes: 1460 },
    Reads { name: "100 B reads", bytes: 100 },
];

impl Reads {
    pub(crate) fn slices(self, stream: &[u8]) -> Vec<&[u8]> {
        stream.chunks(self.bytes).collect()
    }

    /// Each read in an allocation of its own.
    pub(crate) fn bytes(self, stream: &[u8]) -> Vec<Bytes> {
        stream.chunks(self.bytes).map(Bytes::copy_from_slice).collect()
    }
}
