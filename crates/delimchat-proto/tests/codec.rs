//! Packets and what isn't one: what the vectors can't say.

use bytes::Bytes;
use delimchat_proto::{
    Alias, Base64, ByteOrder, ByteOrderField, ClientMessageId, ClientPacket, ClientPacketRef,
    CodecConfig, ContentErrorKind, DecodeError, DecodeErrorKind, Decoder, Email, EncodeError,
    EndianMarker, Expected, FieldWidth, FromClient, FromServer, JoinRoomStatus, Layout, MAX_BASE64,
    Overlong, PacketId, PacketList, PacketSet, RoomId, Secret, Sender, ServerPacket,
    ServerPacketRef, ShortMessageStatus, ShortRoomStatus, StatusDigits, Text, UniqueId, Username,
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

const CONFIG: fn() -> CodecConfig = CodecConfig::default;

/// What one stream of a client's comes to, without its end.
fn client(bytes: &[u8]) -> Vec<Item<ClientPacket>> {
    decode_open(&mut Decoder::<FromClient>::new(CONFIG()), &[bytes])
}

fn server(bytes: &[u8]) -> Vec<Item<ServerPacket>> {
    decode_open(&mut Decoder::<FromServer>::new(CONFIG()), &[bytes])
}

fn encoded(packet: &ClientPacketRef<'_>, config: &CodecConfig) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(config, &mut bytes).unwrap();
    bytes
}

fn malformed(id: u8, offset: u64, len: u64, expected: Expected, at: u64) -> DecodeError {
    let kind = DecodeErrorKind::Malformed { expected, at };
    DecodeError { kind, id: PacketId(id), offset, len }
}

const SP: &[u8] = b"\xFC\xFFSP\0";

#[test]
fn the_table_is_that_of_the_spec() {
    // S1 to S253, U2 to U254: id, hex and name of each row are where the table has them, and no others are.
    let spec = include_str!("../SPEC.md");
    let mut rows = 0;
    for line in spec.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, number, hex, name, layout, ..] = &cells[..] else { continue };
        let (side, Ok(id)) = (number.chars().next(), number[1.min(number.len())..].parse::<u8>())
        else {
            continue;
        };
        rows += 1;
        assert_eq!(u8::from_str_radix(hex, 16), Ok(id), "{number}");
        let layouts = if side == Some('U') { ClientPacket::LAYOUTS } else { ServerPacket::LAYOUTS };
        let ours = layouts.iter().find(|l| l.id.0 == id).unwrap_or_else(|| panic!("no {number}"));
        assert_eq!(ours.name.replace('_', ""), name.to_lowercase(), "{number}");
        // Its groups and the values of its statuses, too.
        if !layout.contains("n groups") {
            let groups = layout.split('(').next().unwrap().split(" · ").count();
            assert_eq!(groups, ours.groups.len(), "{number}");
        }
        let theirs: Vec<Vec<u8>> = layout
            .split('{')
            .skip(1)
            .map(|set| set.split('}').next().unwrap().split(','))
            .map(|set| set.map(|code| code.parse().unwrap()).collect())
            .collect();
        let statuses: Vec<Vec<u8>> = ours
            .groups
            .iter()
            .flat_map(|group| group.fields)
            .filter_map(|field| match field.width {
                FieldWidth::Status(codes) => Some(codes.to_vec()),
                _ => None,
            })
            .collect();
        assert_eq!(statuses, theirs, "{number}");
    }
    assert_eq!(rows, ClientPacket::LAYOUTS.len() + ServerPacket::LAYOUTS.len());
}

#[test]
fn d0_bad_content_is_delivered_and_marked() {
    // A username with a space, a password that isn't base64, a byte order that is none.
    let items = client(b"\x02\xFFa da\xFFc2VjcmV\xFF\x03\0");
    let [Ok(ClientPacket::Login { username, password, byte_order })] = &items[..] else {
        panic!("{items:?}")
    };
    let error = username.as_str().unwrap_err();
    assert_eq!((error.kind, error.offset), (ContentErrorKind::NotPrintable, 1));
    assert_eq!(username.as_bytes(), b"a da");
    let error = password.expose().payload().unwrap_err();
    assert_eq!(error.kind, ContentErrorKind::NotBase64);
    assert_eq!(*byte_order, ByteOrderField::Invalid(3));

    let items = client(b"\x02\xFF\xFF\xFF\0");
    let [Ok(ClientPacket::Login { username, password, byte_order })] = &items[..] else {
        panic!("{items:?}")
    };
    assert!(username.is_empty() && password.expose().is_empty());
    assert_eq!(*byte_order, ByteOrderField::Empty);

    let items = client(b"\xA6\xFF\xC5\0");
    let [Ok(ClientPacket::ChangeAlias { new_alias })] = &items[..] else { panic!("{items:?}") };
    assert_eq!(new_alias.as_str().unwrap_err().kind, ContentErrorKind::NotUtf8);
}

#[test]
fn d0_every_byte_at_every_place_of_a_username() {
    for len in 1..=20 {
        for (at, byte) in (0..len).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
            let mut name = vec![b'a'; len];
            name[at] = byte;
            let name = Username::new(&name[..]);
            let result = name.as_str().map(str::len).map_err(|error| (error.kind, error.offset));
            let not = Err((ContentErrorKind::NotPrintable, at));
            assert_eq!(result, if byte.is_ascii_graphic() { Ok(len) } else { not }, "{byte}");
        }
    }
}

#[test]
fn d1_base64_is_compared_and_shown_as_on_the_wire() {
    let [a, b] = [b"a", b"b"].map(|bytes| Base64::of(&bytes[..]));
    let [wire_a, wire_b] = [b"YQ==", b"Yg=="].map(|text| Base64::from_text(&text[..]));
    for one in [a, wire_a] {
        assert!([a, wire_a].iter().all(|same| *same == one));
        assert!([b, wire_b].iter().all(|other| *other != one));
    }
    assert_eq!(format!("{a:?} {wire_b:?}"), r#""YQ==" "Yg==""#);
    let payload: Vec<u8> = (0..700).map(|at: u16| at.to_le_bytes()[0]).collect();
    for len in 0..payload.len() {
        let (client_message_id, room) = (ClientMessageId([1; 4]), RoomId([2; 8]));
        let message = Base64::of(&payload[..len]);
        let packet = ClientPacketRef::ShortMessage { client_message_id, room, message };
        let mut wire = Vec::new();
        if packet.encode(&CONFIG(), &mut wire).is_err() {
            assert_eq!(len, 0, "a message may not be empty");
            continue;
        }
        let [Ok(ClientPacket::ShortMessage { message, .. })] = &client(&wire)[..] else { panic!() };
        assert_eq!(message.payload().unwrap(), payload[..len]);
    }
    // An error far behind lies where it is.
    let mut text = [b'A'; 2000];
    text[1500] = b'*';
    assert_eq!(Base64::from_text(&text[..]).check().unwrap_err().offset, 1500);
}

#[test]
fn step6_lists_and_sets_of_packets_are_compared_and_shown_by_their_ids() {
    let (list, set) = (PacketList::new(&b"\x02\xA6"[..]), [2, 0xA6].map(PacketId));
    let set: PacketSet = set.into_iter().collect();
    assert!(list == PacketList::from(set) && list != PacketList::new(&b"\xA6\x02"[..]));
    assert_eq!(format!("{list:?} {set:?}"), "[2, 166] {2, 166}");
    assert_eq!(format!("{0} {0:?}", PacketId(166)), "166 PacketId(166)");
}

#[test]
fn d0_bad_content_is_not_encoded_and_leaves_the_buffer_alone() {
    use ContentErrorKind::{
        Delimiter, Empty, NotAByteOrder, NotAPacketId, NotBase64, NotPrintable, NotUtf8,
    };
    let (client_message_id, room) = (ClientMessageId([0; 4]), RoomId::GLOBAL);
    let password = Secret::new(Base64::of(&b"pass"[..]));
    let big = ByteOrderField::Valid(ByteOrder::BigEndian);
    let login = |name, password, byte_order| ClientPacketRef::Login {
        username: Username::new(name),
        password,
        byte_order,
    };
    let email = |bytes| ClientPacketRef::Register {
        username: Username::from("ada"),
        password,
        email: Email::new(bytes),
    };
    let message = |message| ClientPacketRef::ShortMessage { client_message_id, room, message };
    let part = |text| ClientPacketRef::PartRoom { room, part_message: Some(Text::new(text)) };
    let alias = |bytes| ClientPacketRef::ChangeAlias { new_alias: Alias::new(bytes) };
    let supports = |ids| ClientPacketRef::ClientSupports { packets: PacketList::new(ids) };
    let content = |field, kind, offset| EncodeError::Content {
        field,
        error: delimchat_proto::ContentError { kind, offset },
    };
    let long = [b'x'; 1025];
    let (text, split) = ([b'A'; 4004], [&[b'A'; 1022][..], b"==", b"AAAA"].concat());
    let too_long = |field, len, limit| EncodeError::FieldTooLong { field, len, limit };
    for (packet, expected) in [
        (login(b"", password, big), content("username", Empty, 0)),
        (login(b"a\x1F", password, big), content("username", NotPrintable, 1)),
        (login(b"a da", password, big), content("username", NotPrintable, 1)),
        (login("żółć".as_bytes(), password, big), content("username", NotPrintable, 0)),
        (login(b"a\0", password, big), content("username", NotPrintable, 1)),
        (login(&long[..65], password, big), too_long("username", 65, 64)),
        (login(b"ada", Secret::new(Base64::of(b"")), big), content("password", Empty, 0)),
        (login(b"ada", password, ByteOrderField::Empty), content("byte_order", Empty, 0)),
        (
            login(b"ada", password, ByteOrderField::Invalid(7)),
            content("byte_order", NotAByteOrder, 0),
        ),
        (email(b""), content("email", Empty, 0)),
        (email(&long[..255]), too_long("email", 255, 254)),
        (message(Base64::of(b"")), content("message", Empty, 0)),
        (message(Base64::of(&[0; 3001])), too_long("message", 4004, 4000)),
        (message(Base64::from_text(&text)), too_long("message", 4004, 4000)),
        (message(Base64::from_text(b"AAA\0")), content("message", NotBase64, 3)),
        (message(Base64::from_text(&split)), content("message", NotBase64, 1022)),
        (part(b"a\0b"), content("part_message", Delimiter, 1)),
        (part(b"ab\xFF"), content("part_message", NotUtf8, 2)),
        (part(&long), too_long("part_message", 1025, 1024)),
        (alias(b""), content("new_alias", Empty, 0)),
        (alias(&long[..65]), too_long("new_alias", 65, 64)),
        (supports(b""), content("packets", Empty, 0)),
        (supports(b"\x02\xFF"), content("packets", NotAPacketId, 1)),
        (supports(b"\0"), content("packets", NotAPacketId, 0)),
    ] {
        let mut dst = b"before".to_vec();
        assert_eq!(packet.encode(&CONFIG(), &mut dst), Err(expected), "{packet:?}");
        assert_eq!(dst, b"before");
    }
    // What may be empty.
    for packet in [
        ClientPacketRef::JoinRoom { room, password: Secret::new(Base64::of(b"")) },
        part(b""),
        ClientPacketRef::InviteUser { room, username: "ada".into(), alias: "".into() },
    ] {
        let bytes = encoded(&packet, &CONFIG());
        assert_eq!(client(&bytes), [Ok(packet.map(Bytes::copy_from_slice))]);
    }
}

#[test]
fn a_buffer_of_exactly_the_right_size_is_enough() {
    for (_, bytes) in samples::<FromServer>() {
        let items = server(&bytes);
        let Ok(packet) = &items[0] else { panic!("{items:?}") };
        let mut exact = vec![0xAA; bytes.len()];
        packet.encode(&CONFIG(), &mut &mut exact[..]).unwrap();
        assert_eq!(exact, bytes);
        let mut small = vec![0xAA; bytes.len() - 1];
        let result = packet.encode(&CONFIG(), &mut &mut small[..]);
        assert_eq!(result, Err(EncodeError::BufferFull));
        assert!(small.iter().all(|byte| *byte == 0xAA));
    }
}

#[test]
fn d1_4000_characters_are_3000_bytes() {
    let (client_message_id, room) = (ClientMessageId([0; 4]), RoomId::ECHO);
    let payload: Vec<u8> = (0..3000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let message = Base64::of(&payload[..]);
    let packet = ClientPacketRef::ShortMessage { client_message_id, room, message };
    let bytes = encoded(&packet, &CONFIG());
    assert_eq!(bytes.len(), 1 + 5 + 9 + 1 + MAX_BASE64 + 1);
    let items = client(&bytes);
    let [Ok(ClientPacket::ShortMessage { message, .. })] = &items[..] else { panic!("{items:?}") };
    assert_eq!(message.payload().unwrap(), payload);
    message.check().unwrap();
    let mut reused = vec![1; 5000];
    message.payload_into(&mut reused).unwrap();
    assert_eq!(reused, payload);
}

#[test]
fn d1_base64_is_strict() {
    for (text, offset) in [
        ("QQ", 2),
        ("QQ=", 3),
        ("QR==", 1),
        ("QUF=", 2),
        ("QUE", 3),
        ("Q", 1),
        ("QQ==QQ==", 2),
        ("QQ===", 4),
        (" QUE=", 0),
        ("QUE=\n", 4),
        ("QU-_", 2),
        ("=QQ=", 0),
        ("====", 0),
        ("QUJ\u{e9}", 3),
    ] {
        let field = Base64::from_text(text.as_bytes());
        let (error, checked) = (field.payload().unwrap_err(), field.check().unwrap_err());
        assert_eq!(error.kind, ContentErrorKind::NotBase64, "{text:?}");
        assert_eq!(checked.kind, ContentErrorKind::NotBase64, "{text:?}");
        assert!(error.offset <= text.len(), "{text:?}: {error}, {offset}");
        let mut dst = b"before".to_vec();
        assert!(field.payload_into(&mut dst).is_err() && dst.is_empty());
        // Far behind, where vectors are at work.
        let long = format!("{}{text}", "QUJD".repeat(300));
        let field = Base64::from_text(long.as_bytes());
        assert!(field.payload().is_err() && field.check().is_err(), "{text:?}");
    }
    for text in ["", "QQ==", "QUE=", "QUJD", "+/+/"] {
        let field = Base64::from_text(text.as_bytes());
        assert_eq!(field, Base64::of(&field.payload().unwrap()[..]), "{text:?}");
        assert_eq!((field.text(), field.check()), (text.as_bytes().to_vec(), Ok(())));
    }
}

#[test]
fn d3_what_has_no_end_is_reported_to_the_last_byte_and_no_further() {
    for len in 1..=70 {
        let mut decoder = Decoder::<FromClient>::new(CONFIG().max_packet(20));
        let (bytes, mut reported) = (vec![0x0A; len], 0);
        let mut input = &bytes[..];
        while !input.is_empty() {
            if let Err(report) = decoder.decode(&mut input) {
                assert!(report.offset == reported && report.len > 0, "{len}: {report:?}");
                reported += report.len;
            }
        }
        while let Err(report) = decoder.finish() {
            assert!(report.offset == reported && report.len > 0, "{len}: {report:?}");
            reported += report.len;
        }
        assert_eq!(reported, len as u64);
    }
}

#[test]
fn d3_a_report_goes_through_the_first_end_behind_the_id() {
    // A group too many; the identifier is full of 00.
    let bad = b"\x54\xFF\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07\xFFx\0";
    let mut bytes = bad.to_vec();
    bytes.extend(SP);
    let expected = [
        Err(malformed(0x54, 0, 3, Expected::End, 18)),
        Err(DecodeError {
            kind: DecodeErrorKind::UnknownPacket,
            id: PacketId(7),
            offset: 17,
            len: 4,
        }),
        Ok(ClientPacket::SupportedPacketsRequest),
    ];
    assert_eq!(client(&bytes), expected);
    // 00 where an id is expected is nothing, FF is no id.
    let mut bytes = vec![0; 1000];
    bytes.extend(b"\xFF\xFFx\0");
    bytes.extend(SP);
    let expected = [
        Err(malformed(0xFF, 1000, 4, Expected::PacketId, 1000)),
        Ok(ClientPacket::SupportedPacketsRequest),
    ];
    assert_eq!(client(&bytes), expected);
}

#[test]
fn d3_what_is_malformed_is_known_before_its_end_has_come() {
    let mut decoder = Decoder::<FromClient>::new(CONFIG());
    assert_eq!(decode_open(&mut decoder, &[b"\x28\xFFBY"]), []);
    assert_eq!((decoder.malformed(), decoder.unfinished().len()), (None, 4));
    assert_eq!(decode_open(&mut decoder, &[b"?"]), []);
    let known = malformed(0x28, 0, 5, Expected::Literal("BYE"), 4);
    assert_eq!((decoder.malformed(), decoder.unfinished().len()), (Some(&known), 0));
    assert_eq!(decode_open(&mut decoder, &[b"???"]), []);
    assert_eq!(decoder.malformed().map(|report| report.len), Some(8));
    let report = DecodeError { len: 9, ..known };
    assert_eq!(
        decode_open(&mut decoder, &[&b"\0"[..], SP]),
        [Err(report), Ok(ClientPacket::SupportedPacketsRequest)]
    );
    assert_eq!(decoder.malformed(), None);
}

#[test]
fn d3_every_max_packet_dropped_is_one_more() {
    let config = CONFIG().max_packet(100);
    for (dropped, lens) in [
        (98, vec![99]),
        (100, vec![101]),
        (101, vec![100, 2]),
        (200, vec![100, 101]),
        (250, vec![100, 100, 51]),
    ] {
        let mut bytes = vec![7; dropped];
        bytes.push(0);
        bytes.extend(SP);
        for pieces in [vec![&bytes[..]], bytes.chunks(1).collect()] {
            let items = decode::<FromClient>(config, &pieces);
            let (last, reports) = items.split_last().unwrap();
            assert_eq!(*last, Ok(ClientPacket::SupportedPacketsRequest));
            let mut offset = 0;
            for (at, (report, len)) in reports.iter().zip(&lens).enumerate() {
                let kind = match at {
                    0 => DecodeErrorKind::UnknownPacket,
                    _ => DecodeErrorKind::Unterminated,
                };
                let expected = DecodeError { kind, id: PacketId(7), offset, len: *len };
                assert_eq!(*report, Err(expected));
                offset += len;
            }
            assert_eq!(reports.len(), lens.len(), "{dropped}");
        }
    }
}

#[test]
fn d3_overdue_and_truncated_packets_go_on_in_what_was_received() {
    let bytes = [&b"\x50\xFFab\0"[..], SP, b"\x28"].concat();
    let mut decoder = Decoder::<FromClient>::new(CONFIG());
    assert_eq!(decode_open(&mut decoder, &[&bytes]), []);
    assert_eq!((decoder.offset(), decoder.unfinished()), (0, &bytes[..]));
    let mut ended = decoder.clone();

    decoder.expire();
    let overdue = |offset, id, len| {
        let kind = DecodeErrorKind::Overdue;
        Err(DecodeError { kind, id: PacketId(id), offset, len })
    };
    let packet = || Ok(ClientPacket::SupportedPacketsRequest);
    assert_eq!(decode_open(&mut decoder, &[b""]), [overdue(0, 0x50, 5), packet()]);
    // The timer starts anew: what is left isn't overdue yet.
    assert_eq!((decoder.offset(), decoder.unfinished()), (10, &b"\x28"[..]));
    assert_eq!(decode_open(&mut decoder, &[b"\xFF"]), []);
    decoder.expire();
    assert_eq!(decode_open(&mut decoder, &[b""]), []);
    assert_eq!(
        (decoder.malformed().map(|r| r.kind), decoder.unfinished().len()),
        (Some(DecodeErrorKind::Overdue), 0)
    );
    decoder.expire();
    assert_eq!(decode_open(&mut decoder, &[&b"\0"[..], SP]), [overdue(10, 0x28, 3), packet()]);

    let truncated = |offset, id, len| {
        let kind = DecodeErrorKind::Truncated;
        Err(DecodeError { kind, id: PacketId(id), offset, len })
    };
    let mut items = Vec::new();
    while let Some(item) = FromClient::finish(&mut ended).transpose() {
        items.push(item);
    }
    assert_eq!(items, [truncated(0, 0x50, 5), packet(), truncated(10, 0x28, 1)]);
}

/// A packet, one damage to it, and four good packets: the last of them arrives.
fn last_arrives<S: Side>(damaged: &[u8], good: &[Vec<u8>; 4]) {
    let stream = [damaged, &good.concat()].concat();
    let items = decode_open(&mut Decoder::<S>::new(CONFIG()), &[&stream]);
    let last = &decode::<S>(CONFIG(), &[&good[3]])[0];
    assert_eq!(items.last(), Some(last), "{damaged:02x?}: {items:?}");
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(decode_open(&mut Decoder::<S>::new(CONFIG()), &single), items, "byte at a time");
}

fn damage_every_packet<S: Side>(good: &[Vec<u8>; 4]) {
    for (_, bytes) in samples::<S>() {
        for at in 0..bytes.len() {
            last_arrives::<S>(&bytes[..at], good);
            last_arrives::<S>(&[&bytes[..at], &bytes[at + 1..]].concat(), good);
            for byte in [0x00, 0x01, 0x53, 0x57, 0x80, 0xA3, 0xFF, bytes[at] ^ 1] {
                let mut changed = bytes.clone();
                changed[at] = byte;
                last_arrives::<S>(&changed, good);
                changed[at] = bytes[at];
                changed.insert(at, byte);
                last_arrives::<S>(&changed, good);
            }
        }
    }
}

#[test]
fn d3_every_damage_to_every_packet_of_a_client_costs_less_than_four_more() {
    let of = |id| ClientPacket::LAYOUTS.iter().find(|l| l.id.0 == id).unwrap();
    damage_every_packet::<FromClient>(&[0x50, 0x50, 0x50, 0x50].map(|id| sample(of(id), b'x')));
    damage_every_packet::<FromClient>(&[0x50, 0x57, 0x5B, 0x50].map(|id| sample(of(id), 0)));
    damage_every_packet::<FromClient>(&[0x54, 0x63, 0xA3, 0x54].map(|id| sample(of(id), 0xFF)));
}

#[test]
fn d3_every_damage_to_every_packet_of_a_server_costs_less_than_four_more() {
    let of = |id| ServerPacket::LAYOUTS.iter().find(|l| l.id.0 == id).unwrap();
    damage_every_packet::<FromServer>(&[0x53, 0x53, 0x53, 0x53].map(|id| sample(of(id), b'x')));
    damage_every_packet::<FromServer>(&[0x53, 0x5F, 0x5B, 0x53].map(|id| sample(of(id), 0)));
    damage_every_packet::<FromServer>(&[0x64, 0xA2, 0x01, 0x53].map(|id| sample(of(id), 0xFF)));
}

#[test]
fn d4_every_unknown_id_is_skipped_and_the_other_side_s_are_unknown() {
    for id in 1..=254 {
        let known = ClientPacket::LAYOUTS.iter().any(|layout| layout.id.0 == id);
        let bytes = [&[id, b'?', 0][..], SP].concat();
        let (kind, len) = if known {
            (DecodeErrorKind::Malformed { expected: Expected::Delimiter, at: 1 }, 3)
        } else {
            (DecodeErrorKind::UnknownPacket, 3)
        };
        let report = DecodeError { kind, id: PacketId(id), offset: 0, len };
        assert_eq!(client(&bytes), [Err(report), Ok(ClientPacket::SupportedPacketsRequest)]);
    }
}

#[test]
fn d5_a_field_that_passes_its_limit_is_malformed_at_that_moment() {
    for (start, limit) in [
        (&b"\x02\xFF"[..], 64),
        (b"\x06\xFFada\xFFcGFzcw==\xFF", 254),
        (b"\xA3\xFF12345678\xFF", 1024),
        (b"\xA6\xFF", 64),
        (b"\xA0\xFF12345678\xFF", 4000),
        (b"\x02\xFFada\xFFcGFzcw==\xFF", 1),
    ] {
        let mut bytes = start.to_vec();
        bytes.extend(vec![b'A'; limit.into()]);
        let at = bytes.len() as u64;
        for step in [1, usize::MAX] {
            let mut decoder = Decoder::<FromClient>::new(CONFIG());
            let pieces: Vec<&[u8]> = bytes.chunks(step).collect();
            assert_eq!(decode_open(&mut decoder, &pieces), []);
            assert_eq!((decoder.malformed(), decoder.unfinished()), (None, &bytes[..]));
            assert_eq!(decode_open(&mut decoder, &[b"A"]), []);
            let known = malformed(start[0], 0, at + 1, Expected::EndOfField { limit }, at);
            assert_eq!(decoder.malformed(), Some(&known));
            assert!(decoder.unfinished().is_empty(), "nothing is kept");
        }
    }
}

#[test]
fn d5_usernames_of_64_and_65_bytes() {
    let name = [b'~'; 65];
    let invite = |len| [&b"\xA9\xFF\0\0\0\0\0\0\0\0\xFF"[..], &name[..len], b"\xFF\0", SP].concat();
    let items = client(&invite(64));
    assert!(matches!(&items[..], [Ok(ClientPacket::InviteUser { .. }), Ok(_)]), "{items:?}");
    let items = client(&invite(65));
    // The room is full of 00, so the report ends there; what follows is taken for packets.
    let expected = malformed(0xA9, 0, 3, Expected::EndOfField { limit: 64 }, 11 + 64);
    assert_eq!(items[0], Err(expected));
    assert_eq!(items.last(), Some(&Ok(ClientPacket::SupportedPacketsRequest)));
}

#[test]
fn d5_only_an_overlong_message_of_a_client_is_told_apart() {
    let (client_message_id, room) = (ClientMessageId([0, 0xFF, 0, 0xFF]), RoomId([0; 8]));
    for order in [ByteOrder::BigEndian, ByteOrder::LittleEndian] {
        let number = order.write(5);
        for (head, about) in [
            (
                [&b"\x50\xFF\0\xFF\0\xFF\xFF"[..], &[0; 8], b"\xFF"].concat(),
                Overlong::Short { client_message_id, room },
            ),
            (
                [b"\x57\xFF", &number[..], b"\xFF\0\xFF\0\xFF\xFF", &[0; 8], b"\xFF"].concat(),
                Overlong::Head { remaining: 5, client_message_id, room },
            ),
            (
                [b"\x5B\xFF", &number[..], b"\xFF\0\xFF\0\xFF\xFF"].concat(),
                Overlong::Next { number: 5, client_message_id },
            ),
        ] {
            let bytes = [&head[..], &[b'A'; 4001], b"\xFFmore\0", SP].concat();
            let len = (bytes.len() - SP.len()) as u64;
            let kind = DecodeErrorKind::MessageTooLong(about);
            let report = DecodeError { kind, id: PacketId(head[0]), offset: 0, len };
            let expected = [Err(report), Ok(ClientPacket::SupportedPacketsRequest)];
            let config = CONFIG().byte_order(order);
            for pieces in [vec![&bytes[..]], bytes.chunks(1).collect()] {
                assert_eq!(decode::<FromClient>(config, &pieces), expected);
                assert_eq!(decode_bytes::<FromClient>(config, &pieces), expected);
            }
        }
    }
    // A server's isn't: the first 00 is in its id.
    let bytes = [&b"\x5B\xFF\0\0\0\x05\xFF"[..], &[7; 16], b"\xFF", &[b'A'; 4001], b"\0"].concat();
    let limit = Expected::EndOfField { limit: 4000 };
    assert_eq!(server(&bytes)[0], Err(malformed(0x5B, 0, 3, limit, 24 + 4000)));
}

#[test]
fn d5_a_packet_ends_within_max_packet() {
    let list = |ids: usize| [&b"\xFE"[..], &b"\xFF\x02".repeat(ids), b"\0"].concat();
    let config = CONFIG().max_packet(100);
    // 2 + 2 * 49 = 100 bytes.
    assert!(matches!(&decode::<FromClient>(config, &[list(49)])[..], [Ok(_)]));
    for bytes in [list(50), [&list(49)[..99], &[b'\xFF'; 1000]].concat(), list(5000)] {
        for pieces in [vec![&bytes[..]], bytes.chunks(1).collect(), bytes.chunks(7).collect()] {
            let items = decode::<FromClient>(config, &pieces);
            let (expected, at) = (Expected::EndOfPacket { limit: 100 }, 100);
            let first = malformed(0xFE, 0, 100, expected, at);
            // The byte where the end should be is more than the packet may have.
            assert_eq!(items[0], Err(first), "{items:?}");
        }
    }
    let encode = |ids: &[u8]| {
        let packets = PacketList::new(ids);
        ClientPacketRef::ClientSupports { packets }.encode(&config, &mut Vec::new())
    };
    assert_eq!(encode(&[2; 49]), Ok(()));
    assert_eq!(encode(&[2; 50]), Err(EncodeError::PacketTooLong { len: 102, limit: 100 }));
}

#[test]
fn d6_byte_order_goes_for_numbers_and_changes_between_packets() {
    let packet = ClientPacketRef::ResendDeliveryNext {
        number: 0x0102_0304,
        unique_id_prefix: UniqueId::new(7, 8).prefix(),
    };
    let big = encoded(&packet, &CONFIG());
    let little = encoded(&packet, &CONFIG().byte_order(ByteOrder::LittleEndian));
    assert_eq!(big[2..6], [1, 2, 3, 4]);
    assert_eq!(little[2..6], [4, 3, 2, 1]);
    let stream = [&big[..], &little].concat();
    let mut input = &stream[..];
    let mut decoder = Decoder::<FromClient>::new(CONFIG());
    assert_eq!(decoder.decode(&mut input), Ok(Some(packet)));
    decoder.set_byte_order(ByteOrder::LittleEndian);
    assert_eq!(decoder.decode(&mut input), Ok(Some(packet)));
    assert_eq!(CONFIG().byte_order, ByteOrder::BigEndian);
}

#[test]
fn d7_four_spellings_are_read_and_two_written() {
    let login = |e: &[u8]| [b"\x02\xFFada\xFFcA==\xFF", e, b"\0"].concat();
    for (e, order) in [
        (1, ByteOrder::LittleEndian),
        (b'L', ByteOrder::LittleEndian),
        (2, ByteOrder::BigEndian),
        (b'B', ByteOrder::BigEndian),
    ] {
        let items = client(&login(&[e]));
        let [Ok(ClientPacket::Login { byte_order, .. })] = &items[..] else { panic!("{items:?}") };
        assert_eq!((byte_order.get(), *byte_order), (Some(order), order.into()));
        let marker = if e > 2 { EndianMarker::Letter } else { EndianMarker::Numeric };
        let mut again = Vec::new();
        let packet = items[0].as_ref().unwrap();
        packet.encode(&CONFIG().endian_marker(marker), &mut again).unwrap();
        assert_eq!(again, login(&[e]));
    }
    // Two bytes are more than E has.
    let limit = Expected::EndOfField { limit: 1 };
    assert_eq!(client(&login(b"\x01\x01"))[0], Err(malformed(2, 0, 14, limit, 12)));
}

#[test]
fn d8_statuses_from_ten_on_both_ways() {
    for (code, hex, status) in [
        (0x0B, 0x11, ShortMessageStatus::EmptyMessage),
        (0x0C, 0x12, ShortMessageStatus::MessageTooLong),
        (0x03, 0x03, ShortMessageStatus::Okay),
    ] {
        let packet = ServerPacketRef::ShortMessageResult {
            client_message_id: ClientMessageId([1; 4]),
            room_status: ShortRoomStatus::NotInRoom,
            message_status: status,
        };
        for (digits, byte) in [(StatusDigits::Decimal, code), (StatusDigits::Hex, hex)] {
            let mut bytes = Vec::new();
            packet.encode(&CONFIG().status_digits(digits), &mut bytes).unwrap();
            assert_eq!(bytes, [0x51, 0xFF, 1, 1, 1, 1, 0xFF, 9, byte, 0]);
            assert_eq!(server(&bytes), [Ok(packet.map(Bytes::copy_from_slice))]);
        }
    }
    assert_eq!(
        (JoinRoomStatus::from_code(0x10), JoinRoomStatus::from_code(10)),
        (Some(JoinRoomStatus::AlreadyInRoom), Some(JoinRoomStatus::AlreadyInRoom))
    );
    // Nothing else is taken, of any position.
    for layout in ServerPacket::LAYOUTS {
        let bytes = sample(layout, b'x');
        let mut at = 1;
        for field in layout.groups.iter().flat_map(|g| {
            g.fields.iter().enumerate().map(|(n, field)| (usize::from(n == 0), field))
        }) {
            at += field.0;
            let FieldWidth::Status(codes) = field.1.width else {
                at += match field.1.width {
                    FieldWidth::Fixed(len) => len,
                    FieldWidth::Number => 4,
                    _ => break,
                };
                continue;
            };
            for code in 0..=255 {
                let mut changed = bytes.clone();
                changed[at] = code;
                let other = codes.iter().any(|c| *c >= 10 && code == c + 6);
                let good = codes.contains(&code) || other;
                // An FF before S7's E is accepted, and then the E is missing.
                let item = &server(&[&changed[..], &bytes].concat())[0];
                assert_eq!(item.is_ok(), good, "{}: {code:02x} at {at}", layout.name);
            }
            at += 1;
        }
    }
}

#[test]
fn d9_an_ff_before_s7_s_e_and_a_missing_part_message() {
    let plain = server(b"\x07\xFF\x03\x04\x05\0");
    assert_eq!(server(b"\x07\xFF\x03\x04\xFF\x05\0"), plain);
    assert!(plain[0].is_ok());
    let part = |rest: &[u8]| client(&[b"\xA3\xFF0000ECHO", rest].concat());
    let room = RoomId::ECHO;
    for (rest, part_message) in
        [(&b"\0"[..], None), (b"\xFF\0", Some("".into())), (b"\xFFbye\0", Some("bye".into()))]
    {
        assert_eq!(part(rest), [Ok(ClientPacket::PartRoom { room, part_message })]);
    }
    assert_eq!(part(b"x\0"), [Err(malformed(0xA3, 0, 12, Expected::DelimiterOrEnd, 10))]);
    let prefix = UniqueId::new(7, 9).prefix();
    assert_eq!(prefix.padded(), UniqueId::new(7, 0));
}

#[test]
fn d10_5b_is_another_packet_in_each_direction() {
    let next = ServerPacketRef::LongMessageDeliveryNext {
        number: 5,
        unique_id: UniqueId::new(0xFF, 0),
        message: Base64::of(b"part"),
    };
    let mut bytes = Vec::new();
    next.encode(&CONFIG(), &mut bytes).unwrap();
    assert_eq!((bytes[0], next.id()), (0x5B, PacketId(0x5B)));
    assert_eq!(server(&bytes), [Ok(next.map(Bytes::copy_from_slice))]);
    assert!(client(&bytes)[0].is_err());
}

#[test]
fn step5_ids_are_made_of_counters() {
    let id = UniqueId::new(0x0102, 0x0304);
    assert_eq!(id.0, [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4]);
    assert_eq!(id.prefix().0, [0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(RoomId::from_counter(258).0, [0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(ClientMessageId::from_counter(258).0, [0, 0, 1, 2]);
    assert_eq!(id.to_string(), "00000000000001020000000000000304");
}

#[test]
fn step6_a_list_of_packets_is_a_set_of_256_bits() {
    let items = client(b"\xFE\xFF\x50\xFF\x02\xFF\x50\xFF\xFE\0");
    let [Ok(ClientPacket::ClientSupports { packets })] = &items[..] else { panic!("{items:?}") };
    assert!(packets.iter().eq([0x50, 0x02, 0x50, 0xFE].map(PacketId)));
    let set = packets.to_set();
    assert!(set.iter().eq([0x02, 0x50, 0xFE].map(PacketId)));
    assert_eq!((set.len(), set.is_empty(), size_of::<PacketSet>()), (3, false, 32));
    assert!(set.contains(PacketId(0xFE)) && !set.contains(PacketId(3)));
    let packet = ClientPacketRef::ClientSupports { packets: set.into() };
    assert_eq!(encoded(&packet, &CONFIG()), b"\xFE\xFF\x02\xFF\x50\xFF\xFE\0");
    let none: PacketSet = [0x00, 0xFF].map(PacketId).into_iter().collect();
    assert!(none.is_empty());
    for (bytes, expected, at) in [
        (&b"\xFE\0"[..], Expected::Delimiter, 1),
        (b"\xFE\xFF\0", Expected::PacketId, 2),
        (b"\xFE\xFF\x02\xFF\0", Expected::PacketId, 4),
        (b"\xFE\xFF\xFF\0", Expected::PacketId, 2),
        (b"\xFE\xFF\x02\x03\0", Expected::DelimiterOrEnd, 3),
    ] {
        let expected = malformed(0xFE, 0, bytes.len() as u64, expected, at);
        assert_eq!(client(bytes), [Err(expected)], "{bytes:02x?}");
    }
}

#[test]
fn passwords_are_never_shown() {
    let bytes = b"\x02\xFFada\xFFc2VjcmV0\xFF\x02\0";
    let items = client(bytes);
    let mut decoder = Decoder::<FromClient>::new(CONFIG());
    decode_open(&mut decoder, &[&bytes[..16]]);
    for shown in [format!("{items:?}"), format!("{decoder:?}")] {
        assert!(!shown.contains("c2Vj") && !shown.contains("secret"), "{shown}");
    }
    assert!(format!("{items:?}").contains("ada"));
    assert!(format!("{decoder:?}").contains("offset: 0, unfinished: 16"));
}

#[test]
fn the_borrowed_path_allocates_nothing_per_packet() {
    let stream: Vec<u8> = samples::<FromServer>().flat_map(|(_, bytes)| bytes).collect();
    let mut decoder = Decoder::<FromServer>::new(CONFIG());
    let mut payload = Vec::with_capacity(3000);
    let mut dst = Vec::with_capacity(stream.len());
    let used = measure(|| {
        let mut input = &stream[..];
        while let Some(packet) = decoder.decode(&mut input).unwrap() {
            if let ServerPacket::ShortMessageDelivery { message, .. } = &packet {
                message.payload_into(&mut payload).unwrap();
            }
            packet.encode(&CONFIG(), &mut dst).unwrap();
        }
    });
    assert_eq!((used.count_total, dst), (0, stream));
}

#[test]
fn d3_endless_garbage_costs_constant_memory() {
    // A field that never ends, an unknown packet, and packets that resume in their own identifiers.
    let mut numbers = Numbers::new(3);
    let list = [&b"\xFE"[..], &b"\xFF\x02".repeat(4000)].concat();
    for (start, more) in [
        (&b"\x02\xFF"[..], vec![b'x'; 1000]),
        (b"\x50\xFF\0\0\0\0\xFF\0\0\0\0\0\0\0\0\xFF", vec![b'A'; 1000]),
        (b"\x07", vec![0xFF; 1000]),
        (b"", numbers.bytes(1000)),
        (b"", list),
        (b"", b"\x5F\xFF\0\x5F\0\x5F\xFF".repeat(100)),
    ] {
        let mut decoder = Decoder::<FromClient>::new(CONFIG());
        decode_open(&mut decoder, &[start]);
        let used = measure(|| {
            for _ in 0..1000 {
                let mut input = &more[..];
                while let Some(item) = decoder.decode(&mut input).transpose() {
                    std::hint::black_box(&item);
                }
            }
        });
        assert!(used.bytes_max <= 2 * 8192, "{start:02x?}: {used:?}");
    }
}

#[test]
fn the_carry_grows_with_what_arrived_and_is_released() {
    let used = measure(|| {
        let mut decoder = Decoder::<FromClient>::new(CONFIG());
        for piece in [b'A'; 4000].chunks(1000) {
            decode_open(&mut decoder, &[&b"\x50\xFFaaaa\xFF0000ECHO\xFF"[..]]);
            decode_open(&mut decoder, &[piece]);
            decode_open(&mut decoder, &[b"\0"]);
        }
        decoder.release();
        std::mem::forget(decoder);
    });
    assert_eq!(used.bytes_current, 0, "released");
    assert!(used.bytes_max < 6000, "{used:?}");
}

#[test]
fn an_owned_packet_is_no_larger_than_itself_and_keeps_no_read() {
    let stream = sample(&ServerPacket::LAYOUTS[9], 7);
    let mut owned = None;
    let used = measure(|| {
        let mut decoder = Decoder::<FromServer>::new(CONFIG());
        for piece in stream.chunks(5) {
            let mut input = Bytes::copy_from_slice(piece);
            owned = decoder.decode_bytes(&mut input).unwrap().or(owned.take());
        }
    });
    assert!(matches!(owned, Some(ServerPacket::ShortMessageDelivery { .. })));
    assert!(used.bytes_current < 128, "{used:?}");
}

#[test]
fn a_packet_in_small_reads_is_not_rescanned() {
    work_is_linear(
        |len| {
            let text = "A".repeat(len / 4 * 4);
            let config = CONFIG().max_packet(u16::MAX).max_text(u16::MAX);
            let bytes = [b"\xA3\xFF0000ECHO\xFF", text.as_bytes(), b"\0"].concat();
            let list = [&b"\xFE"[..], &b"\xFF\x02".repeat(len / 2), b"\0"].concat();
            for bytes in [bytes, list] {
                let mut decoder = Decoder::<FromClient>::new(config);
                let mut seen = 0;
                for mut piece in bytes.chunks(4) {
                    seen += usize::from(decoder.decode(&mut piece).unwrap().is_some());
                }
                assert_eq!(seen, 1);
            }
        },
        15_000,
    );
}

#[test]
fn resynchronising_is_linear() {
    // As much to look at again as there can be: identifiers full of what might begin a packet.
    let packet =
        [&b"\x57\xFF\x57\0\x57\0\xFF\x57\0\x57\0\xFF"[..], &b"\x57\0".repeat(4), b"\xFF"].concat();
    let packet = [&packet[..], &[b'A'; 3999], b"\xFFx\0"].concat();
    work_is_linear(
        |packets| {
            let mut decoder = Decoder::<FromClient>::new(CONFIG());
            for _ in 0..packets {
                for mut piece in packet.chunks(100) {
                    while let Some(item) = decoder.decode(&mut piece).transpose() {
                        assert!(item.is_err());
                    }
                }
            }
        },
        50,
    );
}

/// Bytes that are often packets, damaged or not.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let layouts = ClientPacket::LAYOUTS.len() + ServerPacket::LAYOUTS.len();
    let packet = |(at, fill): (usize, u8)| {
        let layouts = ClientPacket::LAYOUTS.iter().chain(ServerPacket::LAYOUTS);
        sample(layouts.collect::<Vec<_>>()[at], fill)
    };
    let good = (0..layouts, any::<u8>()).prop_map(packet);
    let damaged = (0..layouts, any::<u8>(), any::<prop::sample::Index>(), any::<u8>()).prop_map(
        move |(at, fill, index, byte)| {
            let mut bytes = packet((at, fill));
            let at = index.index(bytes.len());
            bytes[at] = byte;
            bytes
        },
    );
    let part = prop_oneof![
        4 => good,
        3 => damaged,
        1 => prop::collection::vec(any::<u8>(), 0..10),
        1 => (any::<u8>(), 0..300_usize).prop_map(|(byte, len)| vec![byte; len]),
    ];
    prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

fn any_config() -> impl Strategy<Value = CodecConfig> {
    (any::<bool>(), prop_oneof![Just(8192), 1..200_u16], 1..100_u16).prop_map(
        |(little, max_packet, limit)| {
            let order = if little { ByteOrder::LittleEndian } else { ByteOrder::BigEndian };
            CONFIG().byte_order(order).max_packet(max_packet).max_username(limit).max_text(limit)
        },
    )
}

fn both_ways<S: Side>(config: CodecConfig, stream: &[u8]) {
    codec_ignores_chunking(stream, |pieces| decode::<S>(config, pieces));
    codec_ignores_chunking(stream, |pieces| decode_bytes::<S>(config, pieces));
    let items = decode::<S>(config, &[stream]);
    assert_eq!(items, decode_bytes::<S>(config, &[stream]));
    // What is good is written as it was, but for other spellings and bad content.
    for packet in items.into_iter().flatten() {
        let mut again = Vec::new();
        if S::encode(&packet, &config, &mut again).is_ok() {
            assert_eq!(decode::<S>(config, &[again]), [Ok(packet)]);
        }
    }
}

proptest! {
    #[test]
    fn cuts_make_no_difference(config in any_config(), stream in any_stream()) {
        both_ways::<FromClient>(config, &stream);
        both_ways::<FromServer>(config, &stream);
    }
}
