//! D11: drafts among other packets, field by field.
#![cfg(feature = "draft")]

use std::fmt::Debug;

use bytes::buf::Limit;
use bytes::{BufMut, Bytes};
use delimchat_proto::draft::{
    ClientDraft, ClientDraftKind, ClientDraftRef, ClientPacket, Date, DraftIdError, DraftIds,
    FromClient, FromServer, Gender, Parsed, ServerDraft, ServerDraftKind, ServerDraftRef,
    ServerPacket, TimeSpan, UpTo, Visibility,
};
use delimchat_proto::{
    Base64, ByteOrder, CodecConfig, ContentError, ContentErrorKind, DecodeError, DecodeErrorKind,
    Decoder, Email, EncodeError, Expected, FieldWidth, Layout, PacketId, RoomId, Secret, Text,
    UniqueId, Username,
};

/// The first free ids to all drafts of both sides.
fn all() -> DraftIds {
    let mut ids = DraftIds::new();
    for (kind, id) in ClientDraftKind::ALL.iter().zip(10..) {
        ids = ids.client(*kind, PacketId(id)).unwrap();
    }
    for (kind, id) in ServerDraftKind::ALL.iter().zip(170..) {
        ids = ids.server(*kind, PacketId(id)).unwrap();
    }
    ids
}

fn encoded(draft: &ClientDraftRef<'_>) -> Vec<u8> {
    let mut wire = Vec::new();
    draft.encode(&all(), &CodecConfig::default(), &mut wire).unwrap();
    takes(wire.len(), |dst| draft.encode(&all(), &CodecConfig::default(), dst));
    wire
}

/// It needs room for so many bytes, and no more.
fn takes(len: usize, encode: impl Fn(&mut Limit<Vec<u8>>) -> Result<(), EncodeError>) {
    assert_eq!(encode(&mut Vec::new().limit(len)), Ok(()));
    assert_eq!(encode(&mut Vec::new().limit(len - 1)), Err(EncodeError::BufferFull));
}

type Item<P> = Result<P, DecodeError>;

/// All that is in these pieces and their end, borrowed and owned.
macro_rules! decode {
    ($name:ident, $side:ident, $packet:ident) => {
        fn $name(config: CodecConfig, pieces: &[&[u8]]) -> Vec<Item<$packet>> {
            let own = |packet: $packet<&[u8]>| packet.map(Bytes::copy_from_slice);
            let mut borrowed = Decoder::<$side>::with_drafts(config, all());
            let mut decoder = borrowed.clone();
            let (mut items, mut owned) = (Vec::new(), Vec::new());
            for piece in pieces {
                let mut input = *piece;
                while let Some(item) = borrowed.decode(&mut input).transpose() {
                    items.push(item.map(own));
                }
                let mut input = Bytes::copy_from_slice(piece);
                while let Some(item) = decoder.decode_bytes(&mut input).transpose() {
                    owned.push(item);
                }
            }
            while let Some(item) = borrowed.finish().transpose() {
                items.push(item.map(own));
            }
            while let Some(item) = decoder.finish().transpose() {
                owned.push(item.map(own));
            }
            assert_eq!(items, owned);
            items
        }
    };
}

decode!(client, FromClient, ClientPacket);
decode!(server, FromServer, ServerPacket);

/// The one draft in these bytes of a client.
fn draft(bytes: &[u8]) -> ClientDraft {
    match &client(CodecConfig::default(), &[bytes])[..] {
        [Ok(ClientPacket::Draft(draft))] => draft.clone(),
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

/// Why there is none.
fn report(bytes: &[u8]) -> DecodeErrorKind {
    match &client(CodecConfig::default(), &[bytes])[..] {
        [Err(report)] => report.kind,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

/// A packet of this layout, its identifiers and numbers full of `fill`.
fn sample<I>(id: PacketId, layout: &Layout<I>, fill: u8) -> Vec<u8> {
    let mut bytes = vec![id.0];
    for field in layout.groups.iter().flat_map(|group| group.fields) {
        bytes.push(0xFF);
        match field.width {
            FieldWidth::Fixed(len) => bytes.extend(vec![fill; len]),
            FieldWidth::Number => bytes.extend([fill; 4]),
            FieldWidth::Byte => bytes.push(fill),
            FieldWidth::Status(codes) => bytes.push(*codes.last().unwrap()),
            FieldWidth::Literal(text) => bytes.extend(text.as_bytes()),
            FieldWidth::Username => bytes.extend(b"ada"),
            FieldWidth::Email => bytes.extend(b"ada@example.org"),
            FieldWidth::Text => bytes.extend("Żółć".as_bytes()),
            FieldWidth::Base64 => bytes.extend(b"c2VjcmV0"),
            FieldWidth::Gender => bytes.push(b'T'),
            FieldWidth::Date => bytes.extend(b"12/10/15"),
            FieldWidth::Decimal { max } => bytes.extend(max.to_string().as_bytes()),
            other => panic!("{other:?} is new"),
        }
    }
    bytes.push(0);
    bytes
}

const FILLS: [u8; 4] = [0x00, 0xFF, b'7', 0x2A];

fn client_samples() -> impl Iterator<Item = (ClientDraftKind, Vec<u8>)> {
    let of = |l: &Layout<ClientDraftKind>, fill| sample(all().client_id(l.id).unwrap(), l, fill);
    ClientDraft::LAYOUTS.iter().flat_map(move |l| FILLS.map(|fill| (l.id, of(l, fill))))
}

fn server_samples() -> impl Iterator<Item = (ServerDraftKind, Vec<u8>)> {
    let of = |l: &Layout<ServerDraftKind>, fill| sample(all().server_id(l.id).unwrap(), l, fill);
    ServerDraft::LAYOUTS.iter().flat_map(move |l| FILLS.map(|fill| (l.id, of(l, fill))))
}

#[test]
fn d11_the_drafts_are_those_of_the_spec() {
    let names = |layouts: &[&'static str]| layouts.join(" ");
    let client: Vec<_> = ClientDraft::LAYOUTS.iter().map(|layout| layout.name).collect();
    let server: Vec<_> = ServerDraft::LAYOUTS.iter().map(|layout| layout.name).collect();
    assert_eq!(
        names(&client),
        "update_user privacy avatar_head avatar_next mute unmute friend unfriend silence ban unban \
         move_message leave_room"
    );
    assert_eq!(
        names(&server),
        "avatar_head avatar_next silence_refused ban_refused unban_refused room_created"
    );
    assert!(ClientDraftKind::ALL.iter().map(|kind| kind.name()).eq(client));
    assert!(ServerDraftKind::ALL.iter().map(|kind| kind.name()).eq(server));
}

#[test]
fn d11_an_id_is_free_if_no_packet_has_it() {
    let assigned = |id: PacketId| {
        delimchat_proto::ClientPacket::LAYOUTS.iter().any(|layout| layout.id == id)
            || delimchat_proto::ServerPacket::LAYOUTS.iter().any(|layout| layout.id == id)
    };
    for id in (0..=u8::MAX).map(PacketId) {
        let free = matches!(id.0, 10..=39 | 41..=79 | 103..=159 | 170..=250);
        assert_eq!(free, id.is_valid() && !assigned(id), "{id}");
        let client = DraftIds::new().client(ClientDraftKind::Mute, id);
        let server = DraftIds::new().server(ServerDraftKind::AvatarHead, id);
        if free {
            assert_eq!(client.unwrap().client_id(ClientDraftKind::Mute), Some(id));
            assert_eq!(client.unwrap().client_kind(id), Some(ClientDraftKind::Mute));
            assert_eq!(client.unwrap().server_kind(id), None);
            assert_eq!(server.unwrap().server_kind(id), Some(ServerDraftKind::AvatarHead));
        } else {
            assert_eq!(client, Err(DraftIdError::NotFree(id)));
            assert_eq!(server, Err(DraftIdError::NotFree(id)));
        }
    }
}

#[test]
fn d11_an_id_has_one_draft_in_each_direction() {
    let ids = DraftIds::new().client(ClientDraftKind::Silence, PacketId(10)).unwrap();
    let used = DraftIdError::InUse { id: PacketId(10), by: "silence" };
    assert_eq!(ids.client(ClientDraftKind::Ban, PacketId(10)), Err(used));
    assert_eq!(ids.client(ClientDraftKind::Silence, PacketId(10)), Ok(ids), "its own");
    assert!(ids.server(ServerDraftKind::SilenceRefused, PacketId(10)).is_ok());

    let moved = ids.client(ClientDraftKind::Silence, PacketId(11)).unwrap();
    assert_eq!(moved.client_kind(PacketId(10)), None);
    assert!(moved.client(ClientDraftKind::Ban, PacketId(10)).is_ok(), "free again");
    assert_eq!(DraftIds::new().client_id(ClientDraftKind::Ban), None);
    assert_eq!(DraftIds::new().client_kind(PacketId(0)), None);
}

/// Whole and byte by byte, the packet and what it is encoded to.
fn survives<P: Debug>(
    bytes: &[u8],
    decode: impl Fn(&[&[u8]]) -> Vec<Item<P>>,
    encode: impl Fn(&P) -> Vec<u8>,
    right: impl Fn(&P) -> bool,
) {
    for pieces in [vec![bytes], bytes.chunks(1).collect()] {
        let items = decode(&pieces);
        let [Ok(packet)] = &items[..] else { panic!("{}: {items:?}", bytes.escape_ascii()) };
        assert!(right(packet), "{packet:?}");
        assert_eq!(encode(packet).escape_ascii().to_string(), bytes.escape_ascii().to_string());
    }
}

#[test]
fn d11_every_draft_in_both_byte_orders_with_identifiers_full_of_delimiters() {
    for order in [ByteOrder::BigEndian, ByteOrder::LittleEndian] {
        let config = CodecConfig::default().byte_order(order);
        for (kind, bytes) in client_samples() {
            let encode = |packet: &ClientPacket| {
                let mut wire = Vec::new();
                packet.encode(&all(), &config, &mut wire).unwrap();
                takes(wire.len(), |dst| packet.encode(&all(), &config, dst));
                wire
            };
            let right = |packet: &ClientPacket| matches!(packet, ClientPacket::Draft(draft) if draft.kind() == kind);
            survives(&bytes, |pieces| client(config, pieces), encode, right);
        }
        for (kind, bytes) in server_samples() {
            let encode = |packet: &ServerPacket| {
                let mut wire = Vec::new();
                packet.encode(&all(), &config, &mut wire).unwrap();
                takes(wire.len(), |dst| packet.encode(&all(), &config, dst));
                wire
            };
            let right = |packet: &ServerPacket| matches!(packet, ServerPacket::Draft(draft) if draft.kind() == kind);
            survives(&bytes, |pieces| server(config, pieces), encode, right);
        }
    }
}

#[test]
fn d11_drafts_are_made_of_named_fields() {
    for (_, bytes) in client_samples() {
        let draft = draft(&bytes);
        let mut fields = Vec::new();
        draft.fields(|name, field| fields.push((name, field)));
        let find = |name| fields.iter().find(|(other, _)| *other == name).map(|(_, field)| *field);
        let again = ClientDraftRef::from_fields(draft.name(), find).unwrap();
        assert_eq!(encoded(&again), bytes);
    }
    assert_eq!(ServerDraftRef::from_fields("ban_refused", |_| None), Ok(ServerDraft::BanRefused));
}

#[test]
fn d11_drafts_come_among_other_packets_and_without_an_id_are_unknown() {
    let wire = b"\x28\xFFBYE\0\x10\xFFada\0\xFC\xFFSP\0";
    let items = client(CodecConfig::default(), &[wire]);
    let names: Vec<_> = items.iter().map(|item| item.as_ref().unwrap().name()).collect();
    assert_eq!(names, ["log_off", "friend", "supported_packets_request"]);

    for mut decoder in [
        Decoder::<FromClient>::new(CodecConfig::default()),
        Decoder::with_drafts(
            CodecConfig::default(),
            DraftIds::new().client(ClientDraftKind::Friend, PacketId(17)).unwrap(),
        ),
    ] {
        let mut input = &wire[..];
        assert_eq!(decoder.decode(&mut input).unwrap().unwrap().name(), "log_off");
        let unknown = decoder.decode(&mut input).unwrap_err();
        assert_eq!((unknown.kind, unknown.id), (DecodeErrorKind::UnknownPacket, PacketId(0x10)));
        let last = decoder.decode(&mut input).unwrap().unwrap();
        assert_eq!(last.name(), "supported_packets_request");
    }

    let mut wire = b"before".to_vec();
    let friend = ClientDraftRef::Friend { username: Username::from("ada") };
    let result = friend.encode(&DraftIds::new(), &CodecConfig::default(), &mut wire);
    assert_eq!((result, &wire[..]), (Err(EncodeError::NoId("friend")), &b"before"[..]));
}

/// The last of four good packets behind these bytes arrives.
fn last_arrives(damaged: &[u8]) {
    let good = b"\x60\xFF0123456789abcdef\0";
    let stream = [damaged, good, good, good, b"\x10\xFFlast\0"].concat();
    let last = ClientPacket::Draft(ClientDraft::Friend { username: "last".into() });
    let items = client(CodecConfig::default(), &[&stream]);
    assert_eq!(items.last(), Some(&Ok(last)), "{}", damaged.escape_ascii());
}

#[test]
fn d11_d3_every_damage_to_every_draft_costs_less_than_four_more() {
    for (_, bytes) in client_samples() {
        for at in 0..bytes.len() {
            last_arrives(&bytes[..at]);
            last_arrives(&[&bytes[..at], &bytes[at + 1..]].concat());
            for byte in [0x00, 0x01, b'A', 0x80, 0xFF] {
                last_arrives(&[&bytes[..at], &[byte], &bytes[at + 1..]].concat());
                last_arrives(&[&bytes[..at], &[byte], &bytes[at..]].concat());
            }
        }
    }
}

/// An UpdateUser with this gender and date of birth, and what they say.
fn gender(field: &[u8]) -> Result<Option<Gender>, ContentError> {
    match draft(&[b"\x0A\xFFaGk=\xFF\xFF", field, b"\xFF\xFF\0"].concat()) {
        ClientDraft::UpdateUser { gender, .. } => gender.get(),
        other => panic!("{other:?}"),
    }
}

fn date(field: &[u8]) -> Result<Option<Date>, ContentError> {
    match draft(&[b"\x0A\xFFaGk=\xFF\xFF\xFF", field, b"\xFF\0"].concat()) {
        ClientDraft::UpdateUser { date_of_birth, .. } => date_of_birth.get(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn d11_a_gender_is_a_letter_or_a_number_of_the_list() {
    for (gender_, letter, number) in [
        (Gender::Male, b'M', 1),
        (Gender::Female, b'F', 2),
        (Gender::Trans, b'T', 3),
        (Gender::Other, b'O', 4),
        (Gender::Mayo, 5, 5),
    ] {
        assert_eq!(gender(&[letter]), Ok(Some(gender_)));
        assert_eq!(gender(&[number]), Ok(Some(gender_)));
        let packet = ClientDraft::UpdateUser {
            password: Secret::new(Base64::of(&b"hi"[..])),
            email: Email::new(b""),
            gender: gender_.into(),
            date_of_birth: None.into(),
            name: Text::new(b""),
        };
        let wire = [b"\x0A\xFFaGk=\xFF\xFF", &[letter][..], b"\xFF\xFF\0"].concat();
        assert_eq!(encoded(&packet), wire);
        assert!(!format!("{packet:?}").contains("aGk"), "the password isn't shown");
    }
    assert_eq!(gender(b""), Ok(None));
    for bad in [b"m", b"X", b"1", b"\x06"] {
        let error = ContentError { kind: ContentErrorKind::NotAGender, offset: 0 };
        assert_eq!(gender(bad), Err(error));
    }
    assert_eq!(
        report(b"\x0A\xFFaGk=\xFF\xFFMM\xFF\xFF\0"),
        DecodeErrorKind::Malformed { expected: Expected::EndOfField { limit: 1 }, at: 9 }
    );
}

#[test]
fn d11_a_date_is_a_day_of_some_century() {
    for (text, month, day, year) in
        [("12/10/15", 12, 10, 15), ("02/29/00", 2, 29, 0), ("01/31/99", 1, 31, 99)]
    {
        let expected = Date::new(month, day, year).unwrap();
        assert_eq!(date(text.as_bytes()), Ok(Some(expected)));
        assert_eq!(expected.to_string(), text);
        assert_eq!((expected.month(), expected.day(), expected.year()), (month, day, year));
    }
    assert_eq!(date(b""), Ok(None));
    for (bad, offset) in [
        ("02/29/15", 0),
        ("00/10/15", 0),
        ("13/10/15", 0),
        ("04/31/15", 0),
        ("12/00/15", 0),
        ("1/10/15", 0),
        ("12-10-15", 2),
        ("12/10/1", 6),
        ("12/10/ 5", 6),
        ("12/1", 3),
        ("ab", 0),
    ] {
        let error = ContentError { kind: ContentErrorKind::NotADate, offset };
        assert_eq!(date(bad.as_bytes()), Err(error), "{bad}");
    }
    assert_eq!(
        report(b"\x0A\xFFaGk=\xFF\xFF\xFF12/10/1815\xFF\0"),
        DecodeErrorKind::Malformed { expected: Expected::EndOfField { limit: 8 }, at: 17 }
    );
}

/// How long a Silence or Ban with these five groups lasts.
fn span(id: u8, fields: [&str; 5]) -> Result<TimeSpan, ContentError> {
    let fields = fields.map(str::as_bytes).join(&0xFF);
    let wire = [&[id], &b"\xFFeve\xFFnoise\xFF"[..], &fields, b"\0"].concat();
    draft(&wire).time_span().map(Option::unwrap)
}

const SILENCE: u8 = 0x12;
const BAN: u8 = 0x13;

#[test]
fn d11_time_spans_are_decimal_and_have_limits_and_defaults() {
    assert_eq!(TimeSpan::SILENCE.minutes.get(), 15);
    assert_eq!(TimeSpan { minutes: UpTo::default(), ..TimeSpan::SILENCE }, TimeSpan::default());
    assert_eq!(TimeSpan::BAN.hours.get(), 3);
    assert_eq!(TimeSpan { hours: UpTo::default(), ..TimeSpan::BAN }, TimeSpan::default());

    assert_eq!(span(SILENCE, [""; 5]), Ok(TimeSpan::SILENCE));
    assert_eq!(span(BAN, [""; 5]), Ok(TimeSpan::BAN));
    assert_eq!(span(SILENCE, ["0", "", "", "", ""]), Ok(TimeSpan::default()), "not empty");
    assert_eq!(span(BAN, ["", "", "", "", "0"]), Ok(TimeSpan::default()));
    let most = TimeSpan {
        minutes: UpTo::new(59).unwrap(),
        hours: UpTo::new(23).unwrap(),
        days: UpTo::new(30).unwrap(),
        months: UpTo::new(11).unwrap(),
        years: UpTo::new(255).unwrap(),
    };
    assert_eq!(span(BAN, ["59", "23", "30", "11", "255"]), Ok(most));
    assert_eq!(span(SILENCE, ["059", "023", "030", "011", "255"]), Ok(most));
    for (at, over) in ["60", "24", "31", "12", "256"].into_iter().enumerate() {
        for bad in [over, "-1", "+1", " 1", "1 ", "x", "999", "1.5"] {
            let mut fields = ["1"; 5];
            fields[at] = bad;
            let error = span(SILENCE, fields).unwrap_err();
            assert_eq!(error.kind, ContentErrorKind::NotADecimal, "{bad}");
        }
    }
    let error = ContentError { kind: ContentErrorKind::NotADecimal, offset: 1 };
    assert_eq!(span(BAN, ["1x", "", "", "", ""]), Err(error));
    assert_eq!(UpTo::<59>::new(60), None);
    assert_eq!(draft(b"\x10\xFFada\0").time_span(), Ok(None));
    assert_eq!(
        report(b"\x13\xFFeve\xFF\xFF\xFF\xFF\xFF\xFF0255\0"),
        DecodeErrorKind::Malformed { expected: Expected::EndOfField { limit: 3 }, at: 14 }
    );

    for number in 0..=255 {
        let wire = encoded(&ClientDraft::Ban {
            username: Username::from("eve"),
            reason: Text::new(b""),
            minutes: None.into(),
            hours: None.into(),
            days: None.into(),
            months: None.into(),
            years: UpTo::new(number).into(),
        });
        let text = number.to_string();
        assert_eq!(wire, [b"\x13\xFFeve\xFF\xFF\xFF\xFF\xFF\xFF", text.as_bytes(), b"\0"].concat());
    }
}

#[test]
fn d11_privacy_is_four_letters_and_a_mute_has_its_mark() {
    let privacy = ClientDraft::Privacy {
        email_visibility: Visibility::Hide,
        gender_visibility: Visibility::Display,
        date_of_birth_visibility: Visibility::Hide,
        name_visibility: Visibility::Display,
    };
    assert_eq!(encoded(&privacy), b"\x0B\xFFH\xFFD\xFFH\xFFD\0");
    assert_eq!(draft(b"\x0B\xFFH\xFFD\xFFH\xFFD\0").kind(), ClientDraftKind::Privacy);
    for bad in [&b"\x0B\xFFH\xFFD\xFFX\xFFD\0"[..], b"\x0B\xFFH\xFFD\xFF\xFFD\0"] {
        let expected = Expected::Status("Visibility");
        assert_eq!(report(bad), DecodeErrorKind::Malformed { expected, at: 6 });
    }

    let mute = ClientDraft::Mute { username: Username::from("eve") };
    assert_eq!(encoded(&mute), b"\x0E\xFF\x01\xFFeve\0");
    let expected = Expected::Literal("\x01");
    assert_eq!(report(b"\x0E\xFF\x02\xFFeve\0"), DecodeErrorKind::Malformed { expected, at: 2 });
}

#[test]
fn d11_refusals_rooms_and_avatars() {
    let wire = |draft: &ServerDraftRef<'_>| {
        let mut wire = Vec::new();
        draft.encode(&all(), &CodecConfig::default(), &mut wire).unwrap();
        wire
    };
    assert_eq!(wire(&ServerDraft::SilenceRefused), b"\xAC\xFFSU\0");
    assert_eq!(wire(&ServerDraft::BanRefused), b"\xAD\xFFBU\0");
    assert_eq!(wire(&ServerDraft::UnbanRefused), b"\xAE\xFFUU\0");
    assert_eq!(
        wire(&ServerDraft::RoomCreated { room: RoomId([0xFF; 8]) })[1..],
        [0xFF; 9][..].iter().copied().chain([0]).collect::<Vec<u8>>()[..]
    );
    let (data, picture) = (Base64::of(&b"hi"[..]), b"\xFFaGk=\0");
    let next = wire(&ServerDraft::AvatarNext { part: 0xFF, data });
    assert_eq!(next, [b"\xAB\xFF\xFF", &picture[..]].concat());
    assert_eq!(
        encoded(&ClientDraft::AvatarHead { remaining: 255, data }),
        [b"\x0C\xFF\0\0\0\xFF", &picture[..]].concat()
    );
    assert_eq!(encoded(&ClientDraft::AvatarNext { part: 0, data })[..4], *b"\x0D\xFF\0\xFF");
    let moved = ClientDraft::MoveMessage { room: RoomId::ECHO, unique_id: UniqueId([0; 16]) };
    assert_eq!(encoded(&moved), *b"\x15\xFF0000ECHO\xFF\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(encoded(&ClientDraft::LeaveRoom { room: RoomId::GLOBAL }), *b"\x16\xFF00000000\0");
}

#[test]
fn d11_d0_bad_content_is_delivered_and_never_written() {
    let bad = draft(b"\x0A\xFFnot base64\xFF\x80\xFF?\xFF99/99/99\xFF\x80\0");
    let mut fields = Vec::new();
    bad.fields(|name, _| fields.push(name));
    assert_eq!(fields, ["password", "email", "gender", "date_of_birth", "name"]);

    let ClientDraft::UpdateUser { gender, date_of_birth, .. } = bad else { panic!() };
    assert!(matches!(&gender, Parsed::Invalid { bytes, .. } if bytes == "?"));
    let good = ClientDraft::UpdateUser {
        password: Secret::new(Base64::of(Bytes::from_static(b"hi"))),
        email: Email::from("ada@example.org"),
        gender: Parsed::Empty,
        date_of_birth: Parsed::Empty,
        name: Text::from("Ada"),
    };
    let encode =
        |draft: &ClientDraft| draft.encode(&all(), &CodecConfig::default(), &mut Vec::new());
    assert_eq!(encode(&good), Ok(()));
    let ClientDraft::UpdateUser { password, email, name, .. } = good else { panic!() };
    let field = |error: EncodeError| match error {
        EncodeError::Content { field, .. } => field,
        other => panic!("{other:?}"),
    };
    let with = |password: &Secret<Base64>, gender, date_of_birth| ClientDraft::UpdateUser {
        password: password.clone(),
        email: email.clone(),
        gender,
        date_of_birth,
        name: name.clone(),
    };
    let empty = with(&Secret::new(Base64::of(Bytes::new())), Parsed::Empty, Parsed::Empty);
    assert_eq!(field(encode(&empty).unwrap_err()), "password");
    let bad = with(&password, gender, Parsed::Empty);
    assert_eq!(field(encode(&bad).unwrap_err()), "gender");
    let bad = with(&password, Parsed::Empty, date_of_birth);
    assert_eq!(field(encode(&bad).unwrap_err()), "date_of_birth");
}
