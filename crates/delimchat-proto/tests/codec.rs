//! Packets and what isn't one: what the vectors can't say.

use bytes::{Bytes, BytesMut};
use delimchat_proto::{
    Alias, Base64, ByteOrder, ByteOrderField, ClientMessageId, ClientPacket, ClientPacketRef,
    CodecConfig, ContentErrorKind, DecodeError, DecodeErrorKind, Decoder, Email, EncodeError,
    EndianMarker, Expected, FieldWidth, FromClient, FromServer, Layout, MAX_BASE64, Overlong,
    PacketId, PacketList, PacketSet, RoomId, Secret, Sender, ServerPacket, ServerPacketRef,
    ShortMessageStatus, ShortRoomStatus, StatusDigits, Text, UniqueId, Username,
};
use proptest::prelude::*;
use testkit::conformance::{codec_ignores_chunking, work_is_linear};
use testkit::{Numbers, measure};

/// A packet that owns its bytes, or a report.
type Item<P> = Result<P, DecodeError>;

/// Both sides, so that one test goes for both.
trait Side: Sender {
    type Owned: Clone + PartialEq + std::fmt::Debug;
    const LAYOUTS: &'static [Layout];

    fn decode(
        decoder: &mut Decoder<Self>,
        input: &mut &[u8],
    ) -> Result<Option<Self::Owned>, DecodeError>
    where
        Self: Sized;
    fn finish(decoder: &mut Decoder<Self>) -> Result<Option<Self::Owned>, DecodeError>
    where
        Self: Sized;
    fn decode_bytes(
        decoder: &mut Decoder<Self>,
        input: &mut Bytes,
    ) -> Result<Option<Self::Owned>, DecodeError>
    where
        Self: Sized;
    fn encode(
        packet: &Self::Owned,
        config: &CodecConfig,
        dst: &mut Vec<u8>,
    ) -> Result<(), EncodeError>;
    fn id(packet: &Self::Owned) -> PacketId;
}

macro_rules! side {
    ($side:ident, $packet:ident) => {
        impl Side for $side {
            type Owned = $packet;
            const LAYOUTS: &'static [Layout] = $packet::LAYOUTS;

            fn decode(
                decoder: &mut Decoder<Self>,
                input: &mut &[u8],
            ) -> Result<Option<$packet>, DecodeError> {
                let packet = decoder.decode(input)?;
                Ok(packet.map(|packet| packet.map(Bytes::copy_from_slice)))
            }

            fn finish(decoder: &mut Decoder<Self>) -> Result<Option<$packet>, DecodeError> {
                let packet = decoder.finish()?;
                Ok(packet.map(|packet| packet.map(Bytes::copy_from_slice)))
            }

            fn decode_bytes(
                decoder: &mut Decoder<Self>,
                input: &mut Bytes,
            ) -> Result<Option<$packet>, DecodeError> {
                decoder.decode_bytes(input)
            }

            fn encode(
                packet: &$packet,
                config: &CodecConfig,
                dst: &mut Vec<u8>,
            ) -> Result<(), EncodeError> {
                packet.encode(config, dst)
            }

            fn id(packet: &$packet) -> PacketId {
                packet.id()
            }
        }
    };
}

side!(FromClient, ClientPacket);
side!(FromServer, ServerPacket);

/// All that is in these pieces, without their end.
fn decode_open<S: Side>(
    decoder: &mut Decoder<S>,
    pieces: &[impl AsRef<[u8]>],
) -> Vec<Item<S::Owned>> {
    let mut items = Vec::new();
    let mut last = 0;
    for piece in pieces {
        let mut input = piece.as_ref();
        while let Some(item) = S::decode(decoder, &mut input).transpose() {
            assert!(decoder.start() >= last && decoder.offset() > decoder.start(), "no overlap");
            last = decoder.offset();
            if let Err(report) = item {
                assert_eq!((report.offset, report.len), (decoder.start(), last - decoder.start()));
            }
            items.push(item);
        }
        assert!(input.is_empty());
        assert!(decoder.unfinished().len() <= usize::from(decoder.config().max_packet));
    }
    items
}

/// All that is in these pieces and their end.
fn decode<S: Side>(config: CodecConfig, pieces: &[impl AsRef<[u8]>]) -> Vec<Item<S::Owned>> {
    let mut decoder = Decoder::<S>::new(config);
    let mut items = decode_open(&mut decoder, pieces);
    while let Some(item) = S::finish(&mut decoder).transpose() {
        items.push(item);
    }
    items
}

/// The same through `Bytes`.
fn decode_bytes<S: Side>(config: CodecConfig, pieces: &[impl AsRef<[u8]>]) -> Vec<Item<S::Owned>> {
    let mut decoder = Decoder::<S>::new(config);
    let mut items = Vec::new();
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece.as_ref());
        while let Some(item) = S::decode_bytes(&mut decoder, &mut input).transpose() {
            items.push(item);
        }
        assert!(input.is_empty());
    }
    while let Some(item) = S::finish(&mut decoder).transpose() {
        items.push(item);
    }
    items
}

/// What an identifier is full of.
const FILLS: [u8; 4] = [0x00, 0xFF, b'7', 0x2A];

/// A packet of this layout; opaque bytes are `fill`, and 1 in fields of a status.
fn sample(layout: &Layout, fill: u8) -> Vec<u8> {
    let mut bytes = vec![layout.id.0];
    for group in layout.groups {
        bytes.push(0xFF);
        for field in group.fields {
            match field.width {
                FieldWidth::Fixed(len) => bytes.extend(vec![fill; len]),
                FieldWidth::Number => bytes.extend([fill; 4]),
                FieldWidth::Status(codes) => bytes.push(*codes.last().unwrap()),
                FieldWidth::Literal(text) => bytes.extend(text.as_bytes()),
                FieldWidth::Username => bytes.extend(b"ada"),
                FieldWidth::Alias => bytes.extend("Żółć".as_bytes()),
                FieldWidth::Email => bytes.extend(b"ada@example.org"),
                FieldWidth::Text => bytes.extend(b"so long"),
                FieldWidth::Base64 => bytes.extend(b"c2VjcmV0"),
                FieldWidth::ByteOrder => bytes.push(2),
                FieldWidth::PacketList => bytes.extend(b"\x02\xFF\x50\xFF\xFE"),
                other => panic!("{other:?} is new"),
            }
        }
    }
    bytes.push(0);
    bytes
}

/// Every packet of a side, with every fill.
fn samples<S: Side>() -> impl Iterator<Item = (&'static Layout, Vec<u8>)> {
    S::LAYOUTS.iter().flat_map(|l| FILLS.map(|fill| (l, sample(l, fill))))
}

fn every_packet_survives<S: Side>() {
    for order in [ByteOrder::BigEndian, ByteOrder::LittleEndian] {
        let config = CodecConfig::default().byte_order(order);
        for (layout, bytes) in samples::<S>() {
            let name = layout.name;
            for items in [
                decode::<S>(config, &[&bytes]),
                decode::<S>(config, &bytes.chunks(1).collect::<Vec<_>>()),
                decode_bytes::<S>(config, &[&bytes]),
                decode_bytes::<S>(config, &bytes.chunks(1).collect::<Vec<_>>()),
            ] {
                let [Ok(packet)] = &items[..] else { panic!("{name}: {items:?}") };
                assert_eq!(S::id(packet), layout.id);
                let mut again = Vec::new();
                S::encode(packet, &config, &mut again).unwrap();
                assert_eq!(again, bytes, "{name}");
            }
        }
    }
}

#[test]
fn d2_every_packet_in_both_byte_orders_with_identifiers_full_of_delimiters() {
    every_packet_survives::<FromClient>();
    every_packet_survives::<FromServer>();
}
