//! What is compared: each takes a stream apart and gives the number of its packets, or pieces.
//!
//! Whatever they do, they show identifiers and fields of every packet to `black_box`.

use std::hint::black_box;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::{Bytes, BytesMut};
use delimchat_proto::{Decoder, FromServer, ServerPacket};
use tokio_util::codec::{AnyDelimiterCodec, Decoder as _};

/// Packets borrowed from the reads.
pub(crate) fn borrowed(decoder: &mut Decoder<FromServer>, reads: &[&[u8]]) -> usize {
    let mut packets = 0;
    for mut input in reads.iter().copied() {
        while let Some(packet) = decoder.decode(&mut input).as_ref().unwrap() {
            black_box(packet);
            packets += 1;
        }
    }
    packets
}

/// The same with messages decoded into a buffer that is used again; with `CHECKED` the texts are looked at, too.
pub(crate) fn borrowed_payload<const CHECKED: bool>(
    decoder: &mut Decoder<FromServer>,
    reads: &[&[u8]],
    payload: &mut Vec<u8>,
) -> usize {
    let mut packets = 0;
    for mut input in reads.iter().copied() {
        while let Some(packet) = decoder.decode(&mut input).as_ref().unwrap() {
            let ServerPacket::ShortMessageDelivery { username, alias, message, .. } = packet else {
                unreachable!()
            };
            if CHECKED {
                black_box((username.as_str().unwrap(), alias.as_str().unwrap()));
            }
            message.payload_into(payload).unwrap();
            black_box((packet, &payload));
            packets += 1;
        }
    }
    packets
}

/// Packets that keep slices of the reads, with a message of their own and checked texts.
pub(crate) fn owned_payload(decoder: &mut Decoder<FromServer>, reads: &[Bytes]) -> usize {
    let mut packets = 0;
    for read in reads {
        let mut input = read.clone();
        while let Some(packet) = decoder.decode_bytes(&mut input).as_ref().unwrap() {
            let ServerPacket::ShortMessageDelivery { username, alias, message, .. } = packet else {
                unreachable!()
            };
            black_box((username.as_str().unwrap(), alias.as_str().unwrap()));
            black_box((packet, message.payload().unwrap()));
            packets += 1;
        }
    }
    packets
}

/// The limit: the whole stream in one slice, this one packet, nothing to remember, nothing to report.
pub(crate) fn walker(mut input: &[u8]) -> usize {
    let mut packets = 0;
    while let Some(rest) = walk(input) {
        input = rest;
        packets += 1;
    }
    packets
}

#[inline]
fn walk(input: &[u8]) -> Option<&[u8]> {
    let (head, rest) = input.split_first_chunk::<28>()?;
    if head[0] != 0x53 || head[1] != 0xFF || head[18] != 0xFF || head[27] != 0xFF {
        return None;
    }
    let (username, rest) = field(rest, 64, 0xFF)?;
    let (alias, rest) = field(rest, 64, 0xFF)?;
    let (message, rest) = field(rest, 4000, 0x00)?;
    black_box((&head[2..18], &head[19..27], username, alias, message));
    Some(rest)
}

#[inline]
fn field(input: &[u8], limit: usize, behind: u8) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr2(0x00, 0xFF, &input[..input.len().min(limit + 1)])?;
    (input[end] == behind).then(|| (&input[..end], &input[end + 1..]))
}

/// The codec that ends a frame at a `00`.
pub(crate) fn any_delimiter_codec() -> AnyDelimiterCodec {
    AnyDelimiterCodec::new(vec![0x00], vec![0x00])
}

/// As `Framed` does: each read goes to the end of the buffer, then all that is whole comes out, and is split
/// at each `FF` into its fields.
pub(crate) fn any_delimiter(
    codec: &mut AnyDelimiterCodec,
    buffer: &mut BytesMut,
    reads: &[&[u8]],
) -> usize {
    let mut pieces = 0;
    for read in reads {
        buffer.extend_from_slice(read);
        while let Some(piece) = codec.decode(buffer).unwrap() {
            let fields: Vec<_> = piece.split(|byte| *byte == 0xFF).collect();
            black_box(&fields);
            pieces += 1;
        }
    }
    pieces
}

/// The same, where each field is only passed by.
pub(crate) fn any_delimiter_passing(
    codec: &mut AnyDelimiterCodec,
    buffer: &mut BytesMut,
    reads: &[&[u8]],
) -> usize {
    let mut pieces = 0;
    for read in reads {
        buffer.extend_from_slice(read);
        while let Some(piece) = codec.decode(buffer).unwrap() {
            for field in piece.split(|byte| *byte == 0xFF) {
                black_box(field);
            }
            pieces += 1;
        }
    }
    pieces
}

/// The same with every field made into a `String`, as one does who takes a packet for text, and the message decoded.
pub(crate) fn strings(
    codec: &mut AnyDelimiterCodec,
    buffer: &mut BytesMut,
    reads: &[&[u8]],
) -> usize {
    let mut pieces = 0;
    for read in reads {
        buffer.extend_from_slice(read);
        while let Some(piece) = codec.decode(buffer).unwrap() {
            let fields = piece.split(|byte| *byte == 0xFF);
            let fields: Vec<_> =
                fields.map(|field| String::from_utf8_lossy(field).into_owned()).collect();
            let message = fields.last().map(|text| BASE64_STANDARD.decode(text));
            black_box((&fields, message));
            pieces += 1;
        }
    }
    pieces
}

/// The same with what looks like a packet made into what a packet is made of.
pub(crate) fn vecs(codec: &mut AnyDelimiterCodec, buffer: &mut BytesMut, reads: &[&[u8]]) -> usize {
    let mut pieces = 0;
    for read in reads {
        buffer.extend_from_slice(read);
        while let Some(piece) = codec.decode(buffer).unwrap() {
            black_box(delivery(&piece));
            pieces += 1;
        }
    }
    pieces
}

/// What a piece is as one would read it first.
type Delivery = (Vec<u8>, Vec<u8>, String, String, Vec<u8>);

fn delivery(piece: &[u8]) -> Option<Delivery> {
    let mut fields = piece.split(|byte| *byte == 0xFF);
    let id = fields.next()?;
    let (unique_id, room) = (fields.next()?.to_vec(), fields.next()?.to_vec());
    let username = String::from_utf8(fields.next()?.to_vec()).ok()?;
    let alias = String::from_utf8(fields.next()?.to_vec()).ok()?;
    let message = BASE64_STANDARD.decode(fields.next()?).ok()?;
    let good = id == [0x53] && unique_id.len() == 16 && room.len() == 8 && fields.next().is_none();
    good.then_some((unique_id, room, username, alias, message))
}

/// How many pieces the codec makes of a stream, and how many of them are packets.
pub(crate) fn pieces(stream: &[u8]) -> (usize, usize) {
    let (mut codec, mut buffer) = (any_delimiter_codec(), BytesMut::from(stream));
    let (mut pieces, mut right) = (0, 0);
    while let Some(piece) = codec.decode(&mut buffer).unwrap() {
        pieces += 1;
        right += usize::from(delivery(&piece).is_some());
    }
    (pieces, right)
}
