//! The conversation, step by step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use delimchat_proto::{
    AliasRefusal, AnswerError, Authorization, Base64, ByteOrder, Client, ClientConfig, ClientEvent,
    ClientMessageId, ClientPacket, ClientPacketRef, CodecConfig, DecideError, DecodeErrorKind,
    Decoder, DropReason, End, EndianMarker, FromClient, FromServer, HeadCountStatus,
    JoinRoomStatus, Limits, LoginByteOrderStatus, LoginError, LoginPasswordStatus, LoginRefusal,
    LoginUsernameStatus, LongMessage, LongMessageStatus, LongRoomStatus, NewAliasStatus, Outcome,
    PacketId, PacketList, PartNumberStatus, PartRoomStatus, RegisterEmailStatus,
    RegisterPasswordStatus, RegisterRefusal, RegisterUsernameStatus, RequestId, RoomId,
    RoomRefusal, Secret, SendError, Server, ServerConfig, ServerEvent, ServerPacket,
    ServerPacketRef, Session, SessionError, ShortMessageStatus, ShortRoomStatus, StatusDigits,
    UniqueId, Violation, ViolationKind,
};
use testkit::conformance::{discard, events, work_is_linear};
use testkit::delimchat::{from_client, from_server};
use testkit::pair::Pair;
use testkit::{Numbers, epoch};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const ROOM: RoomId = RoomId(*b"room\0\xFF\0\xFF");

fn codec() -> CodecConfig {
    CodecConfig::default()
}

fn little() -> CodecConfig {
    codec().byte_order(ByteOrder::LittleEndian)
}

/// A server that has greeted.
fn guest(config: ServerConfig) -> (Server, Instant) {
    let now = epoch();
    let mut server = Server::new(Arc::new(config), "guest-7", now).unwrap();
    discard(&mut server);
    (server, now)
}

/// A server whose client is logged in as ada, and in the room.
fn member_of(config: ServerConfig) -> (Server, Instant) {
    let (mut server, now) = guest(config);
    says(&mut server, now, &[login()]);
    assert_eq!(events(&mut server).len(), 1);
    server.accept(now).unwrap();
    assert!(server.enter(ROOM));
    discard(&mut server);
    (server, now)
}

fn member() -> (Server, Instant) {
    member_of(ServerConfig::default())
}

/// A client that is logged in.
fn client_of(config: ClientConfig) -> (Client, Instant) {
    let now = epoch();
    let mut client = Client::new(Arc::new(config), now);
    client.login(now, "ada", b"hunter2").unwrap();
    client.handle_input(now, b"\x01\xFFguest-7\0\x03\xFF\x03\x03\x03\0");
    assert!(client.is_logged_in());
    discard(&mut client);
    (client, now)
}

fn client() -> (Client, Instant) {
    client_of(ClientConfig::default())
}

fn just_before(at: Instant) -> Instant {
    at.checked_sub(MILLISECOND).unwrap()
}

fn says(server: &mut Server, now: Instant, packets: &[ClientPacketRef<'_>]) {
    server.handle_input(now, &from_client(&codec(), packets));
}

fn hears(client: &mut Client, now: Instant, packets: &[ServerPacketRef<'_>]) {
    client.handle_input(now, &from_server(&codec(), packets));
}

/// All that a server sends.
fn sent(server: &mut Server) -> Vec<ServerPacket> {
    let mut decoder = Decoder::<FromServer>::new(codec());
    let mut packets = Vec::new();
    while let Some(mut bytes) = server.poll_transmit() {
        while let Some(packet) = decoder.decode_bytes(&mut bytes).unwrap() {
            packets.push(packet);
        }
    }
    assert!(decoder.unfinished().is_empty());
    packets
}

/// All that a client sends.
fn sent_by(client: &mut Client) -> Vec<ClientPacket> {
    let mut decoder = Decoder::<FromClient>::new(codec());
    let mut packets = Vec::new();
    while let Some(mut bytes) = client.poll_transmit() {
        while let Some(packet) = decoder.decode_bytes(&mut bytes).unwrap() {
            packets.push(packet);
        }
    }
    assert!(decoder.unfinished().is_empty());
    packets
}

/// What a client reports, but how far its long messages are.
fn told(client: &mut Client) -> Vec<ClientEvent> {
    let mut told = events(client);
    told.retain(|event| !matches!(event, ClientEvent::Progress { .. }));
    told
}

fn login<'a>() -> ClientPacketRef<'a> {
    login_as("ada", b"hunter2")
}

fn login_as<'a>(username: &'a str, password: &'a [u8]) -> ClientPacketRef<'a> {
    ClientPacketRef::Login {
        username: username.into(),
        password: Secret::new(Base64::of(password)),
        byte_order: ByteOrder::BigEndian.into(),
    }
}

fn register<'a>() -> ClientPacketRef<'a> {
    ClientPacketRef::Register {
        username: "ada".into(),
        password: Secret::new(Base64::of(b"hunter2")),
        email: "ada@example.org".into(),
    }
}

fn id(number: u32) -> ClientMessageId {
    ClientMessageId::from_counter(number)
}

fn uid(number: u64) -> UniqueId {
    UniqueId::new(number, 0x19A_BCDE_FF00)
}

fn short(number: u32, room: RoomId, message: &[u8]) -> ClientPacketRef<'_> {
    ClientPacketRef::ShortMessage {
        client_message_id: id(number),
        room,
        message: Base64::of(message),
    }
}

fn head(number: u32, remaining: u32, message: &[u8]) -> ClientPacketRef<'_> {
    ClientPacketRef::LongMessageHead {
        remaining,
        client_message_id: id(number),
        room: ROOM,
        message: Base64::of(message),
    }
}

fn next(number: u32, part: u32, message: &[u8]) -> ClientPacketRef<'_> {
    ClientPacketRef::LongMessageNext {
        number: part,
        client_message_id: id(number),
        message: Base64::of(message),
    }
}

fn short_result(number: u32, room: ShortRoomStatus, message: ShortMessageStatus) -> ServerPacket {
    ServerPacket::ShortMessageResult {
        client_message_id: id(number),
        room_status: room,
        message_status: message,
    }
}

fn head_result(
    number: u32,
    remaining_status: HeadCountStatus,
    room_status: LongRoomStatus,
    message_status: LongMessageStatus,
) -> ServerPacket {
    let client_message_id = id(number);
    ServerPacket::LongMessageHeadResult {
        client_message_id,
        remaining_status,
        room_status,
        message_status,
    }
}

fn next_result(
    number: u32,
    number_status: PartNumberStatus,
    message_status: LongMessageStatus,
) -> ServerPacket {
    let client_message_id = id(number);
    let room_status = LongRoomStatus::Okay;
    ServerPacket::LongMessageNextResult {
        client_message_id,
        number_status,
        room_status,
        message_status,
    }
}

fn part_okay(number: u32) -> ServerPacket {
    next_result(number, PartNumberStatus::Okay, LongMessageStatus::Okay)
}

fn head_okay(number: u32) -> ServerPacket {
    head_result(number, HeadCountStatus::Okay, LongRoomStatus::Okay, LongMessageStatus::Okay)
}

fn outcome(number: RequestId, outcome: Outcome) -> ClientEvent {
    ClientEvent::Outcome { request: number, outcome }
}

/// The session has ended by this violation.
#[track_caller]
fn assert_violation(server: &Server, kind: ViolationKind, offset: u64) {
    let violation = SessionError::Violation(Violation { kind, offset });
    assert_eq!(server.ended(), Some(&End::Error(violation)));
    assert!(!server.wants_input());
    assert_eq!(server.poll_timeout(), None);
}

/// What isn't broken of a packet with this id and these groups.
fn raw(id: u8, groups: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![id];
    for group in groups {
        bytes.push(0xFF);
        bytes.extend_from_slice(group);
    }
    bytes.push(0);
    bytes
}

/// Something of this id that is no packet.
fn broken(id: u8) -> Vec<u8> {
    vec![id, b'!', 0]
}

/// Bytes of the login that a member begins with.
fn login_len() -> u64 {
    from_client(&codec(), &[login()]).len() as u64
}

// Step 1: the greeting, the first packet.

#[test]
fn step1_the_server_greets_first_with_the_name_that_its_application_makes() {
    let config = Arc::new(ServerConfig::default());
    let mut server = Server::new(config.clone(), "guest-7", epoch()).unwrap();
    assert_eq!(sent(&mut server), [ServerPacket::GuestUsername { username: "guest-7".into() }]);
    assert_eq!(server.username(), None);
    for bad in ["", "with space", "Żółć", &"x".repeat(65)] {
        assert!(Server::new(config.clone(), bad, epoch()).is_err(), "{bad}");
    }
    let (mut client, now) = (Client::new(Arc::new(ClientConfig::default()), epoch()), epoch());
    client.handle_input(now, b"\x01\xFFguest-7\0");
    assert_eq!(events(&mut client), [ClientEvent::Guest { username: "guest-7".into() }]);
}

#[test]
fn step1_anything_but_a_login_comes_too_early_is_answered_with_s9_and_ends() {
    let unique_id = uid(1);
    let password = Secret::new(Base64::of(&b""[..]));
    for packet in [
        short(1, RoomId::GLOBAL, b"hello"),
        ClientPacketRef::ShortMessageReceived { unique_id },
        head(1, 1, b"hello"),
        next(1, 1, b"hello"),
        ClientPacketRef::LongMessageReceived { unique_id },
        ClientPacketRef::ResendDeliveryNext { number: 1, unique_id_prefix: unique_id.prefix() },
        ClientPacketRef::JoinRoom { room: ROOM, password },
        ClientPacketRef::PartRoom { room: ROOM, part_message: None },
        ClientPacketRef::ChangeAlias { new_alias: "x".into() },
        ClientPacketRef::InviteUser { room: ROOM, username: "x".into(), alias: "".into() },
    ] {
        // As the first packet, and after others that are allowed.
        for first in [false, true] {
            let (mut server, now) = guest(ServerConfig::default());
            let mut offset = 0;
            if !first {
                let request = [ClientPacketRef::SupportedPacketsRequest];
                says(&mut server, now, &request);
                offset = from_client(&codec(), &request).len() as u64;
                discard(&mut server);
            }
            says(&mut server, now, &[packet, ClientPacketRef::LogOff]);
            assert_eq!(sent(&mut server), [ServerPacket::BadFirstPacket], "{packet:?}");
            assert_violation(&server, ViolationKind::NotLoggedIn(packet.id()), offset);
            assert_eq!(events(&mut server), []);
        }
    }
}

#[test]
fn step1_what_is_no_packet_is_answered_with_s9_before_its_end_has_come() {
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"\x28\xFFBYe", b"\xFF", b"\x50\xFE", b"\xFC\xFFSQ\0"]
    {
        let (mut server, now) = guest(ServerConfig::default());
        server.handle_input(now, bytes);
        assert_eq!(sent(&mut server), [ServerPacket::BadFirstPacket], "{bytes:?}");
        let Some(End::Error(SessionError::Violation(violation))) = server.ended() else {
            panic!("{bytes:?}: {:?}", server.ended());
        };
        assert!(matches!(violation.kind, ViolationKind::Malformed(_)), "{violation:?}");
        assert_eq!((violation.offset, events(&mut server)), (0, vec![]));
    }
}

#[test]
fn step1_what_may_come_before_login() {
    let (mut server, now) = guest(ServerConfig::default());
    let packets = PacketList::new(&b"\x01\x53"[..]);
    let supports = ClientPacketRef::ClientSupports { packets };
    says(&mut server, now, &[supports, ClientPacketRef::SupportedPacketsRequest, login()]);
    let heard = sent(&mut server);
    assert!(matches!(heard[..], [ServerPacket::ServerSupports { .. }]), "{heard:?}");
    assert!(server.client_supports().unwrap().contains(PacketId(0x53)));
    assert!(matches!(events(&mut server)[..], [ServerEvent::Login { .. }]));
    let (mut server, now) = guest(ServerConfig::default());
    says(&mut server, now, &[ClientPacketRef::LogOff]);
    assert_eq!(server.ended(), Some(&End::Clean));
}

#[test]
fn step1_login_has_to_be_in_time() {
    let config = ServerConfig::default();
    let (mut server, now) = guest(config.clone());
    assert_eq!(server.poll_timeout(), Some(now + config.login_timeout));
    says(&mut server, now, &[ClientPacketRef::SupportedPacketsRequest]);
    server.handle_timeout(just_before(now + config.login_timeout));
    assert_eq!(server.ended(), None);
    server.handle_timeout(now + config.login_timeout);
    assert_eq!(server.ended(), Some(&End::Error(SessionError::LoginTimeout)));
    // The application has as long to decide, and the client as long to try again.
    let (mut server, now) = guest(config.clone());
    let mut at = now;
    at = just_before(at + config.login_timeout);
    says(&mut server, at, &[login()]);
    at = just_before(at + config.login_timeout);
    server.handle_timeout(at);
    server.refuse_login(at, LoginRefusal::Password).unwrap();
    at = just_before(at + config.login_timeout);
    says(&mut server, at, &[login()]);
    assert_eq!(events(&mut server).len(), 2);
    server.accept(at).unwrap();
    assert_eq!(server.poll_timeout(), None, "logged in, and nothing to wait for");
    // An application that doesn't decide.
    let (mut server, now) = guest(config.clone());
    says(&mut server, now, &[login()]);
    server.handle_timeout(now + config.login_timeout);
    assert_eq!(server.ended(), Some(&End::Error(SessionError::LoginTimeout)));
    assert_eq!(server.accept(now + config.login_timeout), Err(DecideError));
}

#[test]
fn step1_what_follows_an_undecided_login_is_held_in_order() {
    let (mut server, now) = guest(ServerConfig::default());
    let malformed = raw(0x50, &[b"1234", b"room"]);
    let mut bytes = from_client(&codec(), &[login(), short(1, RoomId::GLOBAL, b"one")]);
    bytes.extend(malformed);
    bytes.extend(from_client(
        &codec(),
        &[ClientPacketRef::SupportedPacketsRequest, short(2, RoomId::ECHO, b"two"), login()],
    ));
    for piece in bytes.chunks(3) {
        server.handle_input(now, piece);
        assert!(server.wants_input());
    }
    assert!(matches!(events(&mut server)[..], [ServerEvent::Login { .. }]));
    assert_eq!(sent(&mut server), []);
    server.accept(now).unwrap();
    let heard: Vec<_> = sent(&mut server).iter().map(ServerPacket::name).collect();
    let expected = [
        "login_result",
        "bad_short_message",
        "server_supports",
        "short_message_result",
        "login_result",
    ];
    assert_eq!(heard, expected);
    let seen = events(&mut server);
    let [
        ServerEvent::Message { message, .. },
        ServerEvent::BadPacket(_),
        ServerEvent::Echo { message: echo },
    ] = &seen[..]
    else {
        panic!("{seen:?}");
    };
    assert_eq!((&message[..], &echo[..]), (&b"one"[..], &b"two"[..]));
}

#[test]
fn step1_what_is_held_behind_a_refused_login_came_too_early() {
    let (mut server, now) = guest(ServerConfig::default());
    let first = login_len();
    says(&mut server, now, &[login(), short(1, RoomId::GLOBAL, b"one")]);
    server.refuse_login(now, LoginRefusal::Username).unwrap();
    let heard = sent(&mut server);
    assert!(matches!(heard[..], [ServerPacket::LoginResult { .. }, ServerPacket::BadFirstPacket]));
    assert_violation(&server, ViolationKind::NotLoggedIn(PacketId(0x50)), first);
    // A second login behind it is fine, and so is what is behind that.
    let (mut server, now) = guest(ServerConfig::default());
    says(&mut server, now, &[login(), login_as("bob", b"x"), short(1, RoomId::GLOBAL, b"one")]);
    server.refuse_login(now, LoginRefusal::Username).unwrap();
    server.accept(now).unwrap();
    assert_eq!(server.username(), Some("bob"));
    assert!(matches!(
        events(&mut server)[..],
        [ServerEvent::Login { .. }, ServerEvent::Login { .. }, ServerEvent::Message { .. }]
    ));
}

#[test]
fn step1_no_more_is_held_than_64_packets_or_64_kib() {
    let (mut server, now) = guest(ServerConfig::default());
    says(&mut server, now, &[login()]);
    let one = [short(1, RoomId::GLOBAL, b"one")];
    for _ in 0..64 {
        says(&mut server, now, &one);
    }
    assert_eq!(server.ended(), None);
    let len = from_client(&codec(), &one).len() as u64;
    let first = login_len();
    says(&mut server, now, &one);
    assert_violation(&server, ViolationKind::TooMuchHeld, first + 64 * len);
    assert_eq!(server.accept(now), Err(DecideError));
    // By bytes.
    let (mut server, now) = guest(ServerConfig::default());
    says(&mut server, now, &[login()]);
    let long = [short(1, RoomId::GLOBAL, &[7; 3000])];
    for _ in 0..17 {
        says(&mut server, now, &long);
        assert_eq!(server.ended(), None);
    }
    says(&mut server, now, &long);
    let len = from_client(&codec(), &long).len() as u64;
    assert_violation(&server, ViolationKind::TooMuchHeld, first + 17 * len);
}

#[test]
fn step1_three_failed_logins_end_the_session() {
    // Seen by the endpoint, decided by the application, and malformed; what isn't a login doesn't count.
    let bad = raw(0x02, &[b"", b"aHVudGVyMg==", b"\x02"]);
    let (mut server, now) = guest(ServerConfig::default());
    server.handle_input(now, &bad);
    says(&mut server, now, &[login(), ClientPacketRef::SupportedPacketsRequest]);
    server.refuse_login(now, LoginRefusal::Password).unwrap();
    assert_eq!(events(&mut server).len(), 1);
    assert_eq!(server.ended(), None);
    discard(&mut server);
    server.handle_input(now, &broken(0x06));
    assert_eq!(sent(&mut server), [ServerPacket::BadRegister]);
    assert_eq!(server.ended(), Some(&End::Error(SessionError::TooManyFailedLogins)));
    // Two of them don't.
    let (mut server, now) = guest(ServerConfig::default());
    server.handle_input(now, &bad.repeat(2));
    says(&mut server, now, &[login()]);
    server.accept(now).unwrap();
    assert!(server.is_logged_in());
}

// Step 2: login and registration.

#[test]
fn step2_what_the_endpoint_sees_of_a_login_it_answers_itself() {
    // D0, too: bad content is answered with the status that says so.
    use {LoginByteOrderStatus as E, LoginPasswordStatus as P, LoginUsernameStatus as U};
    let password = b"aHVudGVyMg==";
    for (groups, u, p, e) in [
        ([&b""[..], password, b"\x02"], U::EmptyField, P::Unchecked, E::Okay),
        ([b"", b"", b""], U::EmptyField, P::Unchecked, E::EmptyField),
        ([b"a b", password, b"\x01"], U::Invalid, P::Unchecked, E::Okay),
        (["Żółć".as_bytes(), b"!", b"X"], U::Invalid, P::Unchecked, E::Invalid),
        ([b"a\x07", password, b"L"], U::Invalid, P::Unchecked, E::Okay),
        ([b"ada", b"", b"B"], U::Okay, P::EmptyField, E::Okay),
        ([b"ada", b"aHVudGVyMg=", b"\x02"], U::Okay, P::Invalid, E::Okay),
        ([b"ada", b"aHVudGVyMh==", b""], U::Okay, P::Invalid, E::EmptyField),
        ([b"ada", password, b""], U::Okay, P::Okay, E::EmptyField),
        ([b"ada", password, b"\x03"], U::Okay, P::Okay, E::Invalid),
    ] {
        let (mut server, now) = guest(ServerConfig::default());
        server.handle_input(now, &raw(0x02, &groups));
        let (username_status, password_status, byte_order_status) = (u, p, e);
        let result =
            ServerPacket::LoginResult { username_status, password_status, byte_order_status };
        assert_eq!(sent(&mut server), [result], "{groups:?}");
        assert_eq!(events(&mut server), []);
        assert!(!server.is_logged_in() && server.ended().is_none());
        // It may be tried again.
        says(&mut server, now, &[login()]);
        server.accept(now).unwrap();
    }
}

#[test]
fn step2_what_the_endpoint_sees_of_a_registration_it_answers_itself() {
    use {RegisterEmailStatus as E, RegisterPasswordStatus as P, RegisterUsernameStatus as U};
    let (password, email) = (b"aHVudGVyMg==", b"ada@example.org");
    for (groups, u, p, e) in [
        ([&b""[..], password, email], U::EmptyField, P::Unchecked, E::Unchecked),
        ([b"a b", password, email], U::Invalid, P::Unchecked, E::Unchecked),
        ([b"ada", b"", email], U::Okay, P::EmptyField, E::Okay),
        ([b"ada", b"a", email], U::Okay, P::BadBase64, E::Okay),
        ([b"ada", b"a", b""], U::Okay, P::BadBase64, E::EmptyField),
        ([b"ada", password, b""], U::Okay, P::Okay, E::EmptyField),
        ([b"ada", password, b"ada\xC0"], U::Okay, P::Okay, E::Invalid),
    ] {
        let (mut server, now) = guest(ServerConfig::default());
        server.handle_input(now, &raw(0x06, &groups));
        let (username_status, password_status, email_status) = (u, p, e);
        let result =
            ServerPacket::RegisterResult { username_status, password_status, email_status };
        assert_eq!(sent(&mut server), [result], "{groups:?}");
        assert_eq!(events(&mut server), []);
        assert!(!server.is_logged_in() && server.ended().is_none());
    }
}

#[test]
fn step2_the_application_decides_about_a_login() {
    let (mut server, now) = guest(ServerConfig::default());
    assert_eq!(server.accept(now), Err(DecideError));
    says(&mut server, now, &[login()]);
    let username = "ada".into();
    let password = Secret::new(b"hunter2"[..].into());
    assert_eq!(events(&mut server), [ServerEvent::Login { username, password }]);
    assert_eq!(server.refuse_registration(now, RegisterRefusal::Email), Err(DecideError));
    server.accept(now).unwrap();
    assert_eq!(server.poll_transmit().unwrap()[..], b"\x03\xFF\x03\x03\x03\0"[..]);
    assert!(server.is_logged_in());
    assert_eq!((server.username(), server.alias()), (Some("ada"), ""));
    assert_eq!(server.accept(now), Err(DecideError), "once");
    for (why, answer) in [
        (LoginRefusal::Username, b"\x03\xFF\x02\x05\x03\0"),
        (LoginRefusal::Password, b"\x03\xFF\x03\x02\x03\0"),
    ] {
        let (mut server, now) = guest(ServerConfig::default());
        says(&mut server, now, &[login()]);
        server.refuse_login(now, why).unwrap();
        assert_eq!(server.poll_transmit().unwrap()[..], answer[..]);
        assert!(!server.is_logged_in());
        assert_eq!(server.refuse_login(now, why), Err(DecideError), "once");
        says(&mut server, now, &[login()]);
        server.accept(now).unwrap();
    }
}

#[test]
fn step2_the_application_decides_about_a_registration() {
    let (mut server, now) = guest(ServerConfig::default());
    says(&mut server, now, &[register()]);
    let (username, email) = ("ada".into(), "ada@example.org".into());
    let password = Secret::new(b"hunter2"[..].into());
    assert_eq!(events(&mut server), [ServerEvent::Register { username, password, email }]);
    assert_eq!(server.refuse_login(now, LoginRefusal::Username), Err(DecideError));
    server.accept(now).unwrap();
    assert_eq!(server.poll_transmit().unwrap()[..], b"\x07\xFF\x03\x03\x03\0"[..]);
    assert!(server.is_logged_in());
    assert_eq!(server.username(), Some("ada"));
    for (why, answer) in [
        (RegisterRefusal::Username, b"\x07\xFF\x02\x05\x05\0"),
        (RegisterRefusal::UsernameInUse, b"\x07\xFF\x07\x05\x05\0"),
        (RegisterRefusal::Password, b"\x07\xFF\x03\x02\x05\0"),
        (RegisterRefusal::Email, b"\x07\xFF\x03\x03\x02\0"),
    ] {
        let (mut server, now) = guest(ServerConfig::default());
        says(&mut server, now, &[register()]);
        server.refuse_registration(now, why).unwrap();
        assert_eq!(server.poll_transmit().unwrap()[..], answer[..]);
        assert!(!server.is_logged_in() && server.ended().is_none());
    }
}

#[test]
fn step2_who_is_logged_in_cannot_log_in_or_register_again() {
    let (mut server, now) = member();
    says(&mut server, now, &[login(), register()]);
    assert_eq!(
        server.poll_transmit().unwrap()[..],
        b"\x03\xFF\x06\x05\x05\0\x07\xFF\x07\x05\x05\0"[..]
    );
    assert_eq!(events(&mut server), []);
    assert!(server.is_logged_in());
    let (mut client, now) = client();
    assert_eq!(client.login(now, "ada", b"x"), Err(LoginError::LoggedIn));
    assert_eq!(client.register(now, "ada", b"x", "a@b"), Err(LoginError::LoggedIn));
}

#[test]
fn step2_a_second_endpoint_gets_s5_and_the_end() {
    let (mut server, now) = guest(ServerConfig::default());
    says(&mut server, now, &[login()]);
    server.refuse_login(now, LoginRefusal::SecondEndpoint).unwrap();
    assert_eq!(sent(&mut server), [ServerPacket::MultipleEndpointsRefused]);
    assert_eq!(server.ended(), Some(&End::Clean));
    let mut client = Client::new(Arc::new(ClientConfig::default()), now);
    let request = client.login(now, "ada", b"x").unwrap();
    client.handle_input(now, b"\x05\xFFBAD\0");
    assert_eq!(client.ended(), Some(&End::Error(SessionError::MultipleEndpointsRefused)));
    assert_eq!(events(&mut client), [outcome(request, Outcome::Closed)]);
}

#[test]
fn step2_broken_packets_are_answered_each_with_its_own() {
    // D0, D3, D4: the BAD packet of each, S251 for those that have none and for unknown ones, before login (4 and 8)
    // and after.
    let (mut server, now) = guest(ServerConfig::default());
    server.handle_input(now, &[broken(0x02), broken(0x06)].concat());
    assert_eq!(sent(&mut server), [ServerPacket::BadLogin, ServerPacket::BadRegister]);
    assert_eq!(server.ended(), None);
    for (id, answer) in [
        (0x02, ServerPacket::BadLogin),
        (0x06, ServerPacket::BadRegister),
        (0x50, ServerPacket::BadShortMessage),
        (0x54, ServerPacket::BadReceipt),
        (0x57, ServerPacket::BadLongMessageHead),
        (0x5B, ServerPacket::BadLongMessageNext),
        (0x60, ServerPacket::BadLongReceipt),
        (0x63, ServerPacket::BadResend),
        (0x28, ServerPacket::PacketNotSupported),
        (0xA0, ServerPacket::PacketNotSupported),
        (0xA3, ServerPacket::PacketNotSupported),
        (0xA6, ServerPacket::PacketNotSupported),
        (0xA9, ServerPacket::PacketNotSupported),
        (0xFC, ServerPacket::PacketNotSupported),
        (0xFE, ServerPacket::PacketNotSupported),
        // Unknown; what only the server sends; no id.
        (0x0A, ServerPacket::PacketNotSupported),
        (0x53, ServerPacket::PacketNotSupported),
        (0xFF, ServerPacket::PacketNotSupported),
    ] {
        let (mut server, now) = member();
        // Answered at once, and not again when the end of it has come.
        server.handle_input(now, &[id, b'!']);
        assert_eq!(sent(&mut server), std::slice::from_ref(&answer), "{id}");
        assert_eq!(events(&mut server), []);
        server.handle_input(now, b"!\0");
        assert_eq!(sent(&mut server), [], "{id}");
        let seen = events(&mut server);
        let [ServerEvent::BadPacket(bad)] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!((bad.id, bad.len), (PacketId(id), 4));
        server.handle_input(now, &[id, b'!', 0]);
        let again = if answer == ServerPacket::PacketNotSupported { vec![] } else { vec![answer] };
        assert_eq!(sent(&mut server), again, "one S251 for a run of bad packets");
        says(&mut server, now, &[ClientPacketRef::SupportedPacketsRequest]);
        discard(&mut server);
        server.handle_input(now, &[0x0A, 0]);
        assert_eq!(sent(&mut server), [ServerPacket::PacketNotSupported], "another run");
        assert_eq!(server.ended(), None);
    }
}

#[test]
fn step2_a_client_hears_how_its_login_ended() {
    let now = epoch();
    let refused = Outcome::LoginRefused {
        username: LoginUsernameStatus::Okay,
        password: LoginPasswordStatus::Invalid,
        byte_order: LoginByteOrderStatus::Okay,
    };
    let twice = Outcome::LoginRefused {
        username: LoginUsernameStatus::AlreadyValidated,
        password: LoginPasswordStatus::Unchecked,
        byte_order: LoginByteOrderStatus::Unchecked,
    };
    for (answer, end) in [
        (&b"\x03\xFF\x03\x03\x03\0"[..], Outcome::Okay),
        (b"\x03\xFF\x03\x02\x03\0", refused),
        (b"\x03\xFF\x06\x05\x05\0", twice),
        (b"\x04\xFFBAD\0", Outcome::Malformed),
    ] {
        let mut client = Client::new(Arc::new(ClientConfig::default()), now);
        assert_eq!(client.send_message(now, ROOM, b"x"), Err(SendError::NotLoggedIn));
        let request = client.login(now, "ada", b"hunter2").unwrap();
        assert_eq!(sent_by(&mut client), [login().map(Bytes::copy_from_slice)]);
        assert_eq!(client.login(now, "ada", b"x"), Err(LoginError::Pending));
        client.handle_input(now, answer);
        assert_eq!(events(&mut client), [outcome(request, end)]);
        assert_eq!(client.is_logged_in(), end == Outcome::Okay);
        // S7 and S8 aren't about a login, and S3 and S4 no longer.
        client.handle_input(now, b"\x03\xFF\x03\x03\x03\0\x07\xFF\x03\x03\x03\0\x08\xFFBAD\0");
        let stray = [
            ClientEvent::Stray(PacketId(3)),
            ClientEvent::Stray(PacketId(7)),
            ClientEvent::Complaint(PacketId(8)),
        ];
        assert_eq!(events(&mut client), stray);
        if end != Outcome::Okay {
            client.login(now, "ada", b"hunter2").unwrap();
        }
    }
    let refused = Outcome::RegisterRefused {
        username: RegisterUsernameStatus::AlreadyInUse,
        password: RegisterPasswordStatus::Unchecked,
        email: RegisterEmailStatus::Unchecked,
    };
    for (answer, end) in [
        (&b"\x07\xFF\x03\x03\x03\0"[..], Outcome::Okay),
        (b"\x07\xFF\x07\x05\xFF\x05\0", refused),
        (b"\x08\xFFBAD\0", Outcome::Malformed),
    ] {
        let mut client = Client::new(Arc::new(ClientConfig::default()), now);
        let request = client.register(now, "ada", b"hunter2", "ada@example.org").unwrap();
        assert_eq!(sent_by(&mut client), [register().map(Bytes::copy_from_slice)]);
        client.handle_input(now, answer);
        assert_eq!(events(&mut client), [outcome(request, end)]);
        assert_eq!(client.is_logged_in(), end == Outcome::Okay);
    }
}

#[test]
fn step2_a_client_waits_for_its_login_no_longer_than_it_likes() {
    let (config, now) = (ClientConfig::default(), epoch());
    let mut client = Client::new(Arc::new(config.clone()), now);
    assert_eq!(client.poll_timeout(), None, "who doesn't log in has all the time");
    let request = client.login(now, "ada", b"x").unwrap();
    client.handle_timeout(now + config.login_timeout);
    assert_eq!(client.ended(), Some(&End::Error(SessionError::LoginTimeout)));
    assert_eq!(events(&mut client), [outcome(request, Outcome::Closed)]);
}

#[test]
fn step1_a_client_hears_that_it_began_wrongly() {
    let now = epoch();
    let mut client = Client::new(Arc::new(ClientConfig::default()), now);
    client.handle_input(now, b"\x09\xFFBAD\0");
    assert_eq!(client.ended(), Some(&End::Error(SessionError::BadFirstPacket)));
}

#[test]
fn step2_names_and_passwords_that_cannot_be_written_are_the_callers_error() {
    let (mut client, now) = (Client::new(Arc::new(ClientConfig::default()), epoch()), epoch());
    for (username, password) in
        [("", &b"x"[..]), ("a b", b"x"), ("Żółć", b"x"), ("ada", b""), ("ada", &[7; 3001])]
    {
        let refused = client.login(now, username, password);
        assert!(matches!(refused, Err(LoginError::Send(SendError::Encode(_)))), "{refused:?}");
    }
    assert_eq!(client.poll_transmit(), None);
    client.login(now, "ada", b"hunter2").unwrap();
}

/// Both ends, each logged in, the client little-endian if it `is_little`.
fn pair(client: ClientConfig, server: ServerConfig) -> Pair<Client, Server> {
    let mut pair = Pair::new(10 * MILLISECOND, |now| {
        let server = Server::new(Arc::new(server), "guest-7", now).unwrap();
        (Client::new(Arc::new(client), now), server)
    });
    let now = pair.now;
    let request = pair.client.session.login(now, "ada", b"hunter2").unwrap();
    pair.run_for(SECOND);
    assert!(matches!(pair.server.events.pop_front(), Some(ServerEvent::Login { .. })));
    pair.server.session.accept(pair.now).unwrap();
    assert!(pair.server.session.enter(ROOM));
    pair.run_for(SECOND);
    let greeting = ClientEvent::Guest { username: "guest-7".into() };
    assert_eq!(pair.client.events, [greeting, outcome(request, Outcome::Okay)]);
    pair.client.events.clear();
    pair
}

#[test]
fn d6_an_accepted_login_changes_the_byte_order_of_both_directions() {
    for marker in [EndianMarker::Numeric, EndianMarker::Letter] {
        for (speaks, before) in [
            (ByteOrder::LittleEndian, ByteOrder::BigEndian),
            (ByteOrder::BigEndian, ByteOrder::LittleEndian),
            (ByteOrder::LittleEndian, ByteOrder::LittleEndian),
        ] {
            let codec = codec().endian_marker(marker).byte_order(before);
            let mut pair = pair(
                ClientConfig::default().codec(codec).speaks(speaks),
                ServerConfig::default().codec(codec),
            );
            // Numbers that are others when read the wrong way round.
            let text = Numbers::new(7).bytes(3000 * 7);
            let now = pair.now;
            let request = pair.client.session.send_message(now, ROOM, &text).unwrap();
            pair.server.session.deliver(now, uid(1), ROOM, "ada", "", &text).unwrap();
            pair.run_for(SECOND);
            assert_eq!(pair.client.events.pop_back(), Some(outcome(request, Outcome::Okay)));
            let Some(ClientEvent::LongMessage { message, .. }) = pair.client.events.pop_front()
            else {
                panic!("{:?}", pair.client.events);
            };
            assert_eq!(message.to_vec(), text);
            assert_eq!(pair.server.events.len(), 2);
        }
    }
}

#[test]
fn d6_what_follows_a_login_is_in_its_byte_order_even_if_it_is_decided_later() {
    let mut login = from_client(&codec(), &[login()]);
    let len = login.len();
    login[len - 2] = 1;
    let order = little();
    let mut rest = from_client(&order, &[head(1, 2, b"one"), next(1, 1, b"two")]);
    let last = from_client(&order, &[next(1, 2, b"three")]);
    let (last, later) = last.split_at(7);
    rest.extend_from_slice(last);
    // Held: whole packets, and the beginning of one.
    for accept_at in 0..3 {
        let (mut server, now) = guest(ServerConfig::default());
        server.handle_input(now, &login);
        if accept_at == 0 {
            server.accept(now).unwrap();
            server.enter(ROOM);
        }
        server.handle_input(now, &rest);
        if accept_at == 1 {
            server.enter(ROOM);
            server.accept(now).unwrap();
        }
        server.handle_input(now, later);
        if accept_at == 2 {
            server.accept(now).unwrap();
        }
        discard_transmits(&mut server);
        let seen = events(&mut server);
        if accept_at == 0 {
            let Some(ServerEvent::LongMessage { message, .. }) = seen.last() else {
                panic!("{seen:?}");
            };
            assert_eq!(message.to_vec(), b"onetwothree");
        } else {
            // It isn't in the room yet; but that it isn't is all that is wrong with its head.
            assert_eq!(seen.len(), 1);
        }
    }
    // The same to everybody, who needs no room.
    let (mut server, now) = guest(ServerConfig::default());
    let message = Base64::of(&b"one"[..]);
    let (client_message_id, room) = (id(1), RoomId::GLOBAL);
    let head = ClientPacketRef::LongMessageHead { remaining: 2, client_message_id, room, message };
    let mut bytes = [login, from_client(&order, &[head, next(1, 1, b"two")])].concat();
    bytes.extend_from_slice(last);
    server.handle_input(now, &bytes);
    server.accept(now).unwrap();
    server.handle_input(now, later);
    discard_transmits(&mut server);
    let seen = events(&mut server);
    let [ServerEvent::Login { .. }, ServerEvent::LongMessage { message, .. }] = &seen[..] else {
        panic!("{seen:?}");
    };
    assert_eq!(message.to_vec(), b"onetwothree");
}

fn discard_transmits(server: &mut Server) {
    while server.poll_transmit().is_some() {}
}

#[test]
fn d6_a_refused_login_changes_no_byte_order() {
    let mut bad = from_client(&codec(), &[login()]);
    let len = bad.len();
    bad[len - 2] = 1;
    let (mut server, now) = guest(ServerConfig::default());
    server.handle_input(now, &bad);
    server.refuse_login(now, LoginRefusal::Password).unwrap();
    says(&mut server, now, &[register()]);
    server.accept(now).unwrap();
    server.enter(ROOM);
    discard(&mut server);
    says(&mut server, now, &[head(1, 1, b"one"), next(1, 1, b"two")]);
    assert!(matches!(events(&mut server)[..], [ServerEvent::LongMessage { .. }]));
}

// Step 3: messages.

#[test]
fn step3_each_message_gets_one_result() {
    use {ShortMessageStatus as M, ShortRoomStatus as Rid};
    let (mut server, now) = member();
    says(
        &mut server,
        now,
        &[short(1, ROOM, b"one"), short(2, RoomId::GLOBAL, b"two"), short(3, ROOM, b"three")],
    );
    assert_eq!(sent(&mut server), [], "that is the application's");
    let seen = events(&mut server);
    let [
        ServerEvent::Message { id: one, room: ROOM, message },
        ServerEvent::Message { id: two, room: RoomId::GLOBAL, .. },
        ServerEvent::Message { id: three, .. },
    ] = &seen[..]
    else {
        panic!("{seen:?}");
    };
    assert_eq!(&message[..], b"one");
    // In whatever order.
    server.refuse_message(now, *two, RoomRefusal::NotAuthorized).unwrap();
    server.accept_message(now, *one).unwrap();
    server.refuse_message(now, *three, RoomRefusal::Invalid).unwrap();
    assert_eq!(
        sent(&mut server),
        [
            short_result(2, Rid::NotAuthorized, M::Okay),
            short_result(1, Rid::Okay, M::Okay),
            short_result(3, Rid::Invalid, M::Okay),
        ]
    );
    for id in [*one, *two, *three] {
        assert_eq!(server.accept_message(now, id), Err(AnswerError));
        assert_eq!(server.refuse_message(now, id, RoomRefusal::Invalid), Err(AnswerError));
    }
}

#[test]
fn step3_what_the_endpoint_sees_of_a_message_it_answers_itself() {
    use {ShortMessageStatus as M, ShortRoomStatus as Rid};
    let long = "A".repeat(4004);
    for (room, message, rid, m) in [
        (&b"elsewher"[..], &b"aGVsbG8="[..], Rid::NotInRoom, M::Okay),
        (b"elsewher", b"", Rid::NotInRoom, M::EmptyMessage),
        (&ROOM.0, b"", Rid::Okay, M::EmptyMessage),
        (b"00000000", b"aGVsbG8", Rid::Okay, M::BadBase64),
        (b"0000ECHO", b"aGVsbG9=", Rid::Okay, M::BadBase64),
        (b"0000ECHO", b"aGVs bG8", Rid::Okay, M::BadBase64),
        (b"elsewher", long.as_bytes(), Rid::NotInRoom, M::MessageTooLong),
        (&ROOM.0, long.as_bytes(), Rid::Okay, M::MessageTooLong),
    ] {
        let (mut server, now) = member();
        server.handle_input(now, &raw(0x50, &[&id(7).0, room, message]));
        assert_eq!(sent(&mut server), [short_result(7, rid, m)], "{message:?}");
        let seen = events(&mut server);
        match m {
            M::MessageTooLong => assert!(matches!(seen[..], [ServerEvent::BadPacket(_)])),
            _ => assert_eq!(seen, []),
        }
    }
}

#[test]
fn step3_a_message_to_the_echo_needs_no_decision() {
    let (mut server, now) = member();
    says(&mut server, now, &[short(1, RoomId::ECHO, b"hello")]);
    let okay = short_result(1, ShortRoomStatus::Okay, ShortMessageStatus::Okay);
    assert_eq!(sent(&mut server), [okay]);
    let seen = events(&mut server);
    let [ServerEvent::Echo { message }] = &seen[..] else { panic!("{seen:?}") };
    server.echo(now, uid(1), message).unwrap();
    let delivery = ServerPacket::ShortMessageDelivery {
        unique_id: uid(1),
        room: RoomId::ECHO,
        username: "ada".into(),
        alias: "".into(),
        message: Base64::of(Bytes::from_static(b"hello")),
    };
    assert_eq!(sent(&mut server), [delivery]);
}

#[test]
fn step3_questions_beyond_max_pending_are_refused_by_themselves() {
    use {ShortMessageStatus as M, ShortRoomStatus as Rid};
    let limits = Limits::default().max_pending(2);
    let (mut server, now) = member_of(ServerConfig::default().limits(limits));
    says(
        &mut server,
        now,
        &[
            short(1, ROOM, b"1"),
            short(2, ROOM, b"2"),
            short(3, ROOM, b"3"),
            ClientPacketRef::ChangeAlias { new_alias: "x".into() },
            join(RoomId(*b"elsewher"), b""),
        ],
    );
    let room = RoomId(*b"elsewher");
    assert_eq!(
        sent(&mut server),
        [
            short_result(3, Rid::NotAuthorized, M::Okay),
            ServerPacket::ChangeAliasResult { alias_status: NewAliasStatus::Invalid },
            ServerPacket::JoinRoomResult { room, room_status: JoinRoomStatus::NotAuthorized },
        ]
    );
    let seen = events(&mut server);
    let [ServerEvent::Message { id, .. }, _] = &seen[..] else { panic!("{seen:?}") };
    server.accept_message(now, *id).unwrap();
    says(&mut server, now, &[short(4, ROOM, b"4")]);
    assert_eq!(events(&mut server).len(), 1);
}

#[test]
fn step3_a_client_answers_a_delivery_with_its_receipt() {
    let (mut client, now) = client();
    let (username, alias) = ("bob".into(), "builder".into());
    let message = Base64::of(&b"hello"[..]);
    let (unique_id, room) = (uid(7), ROOM);
    let delivery =
        ServerPacketRef::ShortMessageDelivery { unique_id, room, username, alias, message };
    hears(&mut client, now, &[delivery]);
    assert_eq!(sent_by(&mut client), [ClientPacket::ShortMessageReceived { unique_id }]);
    let (username, alias) = ("bob".into(), "builder".into());
    let message = Bytes::from_static(b"hello");
    let expected = ClientEvent::Message { unique_id, room, username, alias, message };
    assert_eq!(events(&mut client), [expected]);
}

#[test]
fn d0_content_that_a_client_cannot_read_is_told_and_not_acknowledged() {
    let (mut client, now) = client();
    for groups in [
        [&uid(1).0[..], &ROOM.0, b"a b", b"", b"aGk="],
        [&uid(1).0, &ROOM.0, b"", b"", b"aGk="],
        [&uid(1).0, &ROOM.0, b"ada", b"\xC0", b"aGk="],
        [&uid(1).0, &ROOM.0, b"ada", b"", b"aGk"],
    ] {
        client.handle_input(now, &raw(0x53, &groups));
        assert_eq!(client.poll_transmit(), None);
        let seen = events(&mut client);
        let [ClientEvent::BadContent { packet: PacketId(0x53), .. }] = &seen[..] else {
            panic!("{seen:?}");
        };
    }
}

#[test]
fn step3_receipts_are_told_and_those_of_nothing_are_answered() {
    let (mut server, now) = member();
    for number in 1..=3 {
        server.deliver(now, uid(number), ROOM, "bob", "", b"hello").unwrap();
    }
    discard(&mut server);
    let received = |number| ClientPacketRef::ShortMessageReceived { unique_id: uid(number) };
    says(&mut server, now, &[received(2), received(1), received(2), received(9)]);
    assert_eq!(
        events(&mut server),
        [ServerEvent::Received { unique_id: uid(2) }, ServerEvent::Received { unique_id: uid(1) },]
    );
    assert_eq!(
        sent(&mut server),
        [
            ServerPacket::UnknownReceipt { unique_id: uid(2) },
            ServerPacket::UnknownReceipt { unique_id: uid(9) },
        ]
    );
    server.handle_input(now, &broken(0x54));
    assert_eq!(sent(&mut server), [ServerPacket::BadReceipt]);
    // What is still open at the end has its outcome then.
    server.close(now);
    let seen = events(&mut server);
    assert!(
        matches!(&seen[..], [ServerEvent::BadPacket(_), ServerEvent::Unacknowledged { unique_id }]
            if *unique_id == uid(3)),
        "{seen:?}"
    );
}

#[test]
fn step3_unacknowledged_messages_beyond_max_unacked_are_told() {
    let (mut server, now) = member();
    for number in 0..1024 {
        server.deliver(now, uid(number), ROOM, "bob", "", b"hello").unwrap();
        discard_transmits(&mut server);
    }
    assert_eq!(events(&mut server), []);
    let again = server.deliver(now, uid(3), ROOM, "bob", "", b"hello");
    assert_eq!(again, Err(SendError::DuplicateId));
    server.deliver(now, uid(1024), ROOM, "bob", "", b"hello").unwrap();
    assert_eq!(events(&mut server), [ServerEvent::Unacknowledged { unique_id: uid(0) }]);
    // It comes after all: nobody waits for it.
    discard(&mut server);
    says(&mut server, now, &[ClientPacketRef::ShortMessageReceived { unique_id: uid(0) }]);
    assert_eq!(sent(&mut server), [ServerPacket::UnknownReceipt { unique_id: uid(0) }]);
}

#[test]
fn step3_a_client_hears_what_became_of_its_messages() {
    use {ShortMessageStatus as M, ShortRoomStatus as Rid};
    let (mut client, now) = client();
    let one = client.send_message(now, ROOM, b"one").unwrap();
    let two = client.send_message(now, ROOM, b"two").unwrap();
    assert_ne!(one, two);
    let number = one.number();
    assert_eq!(two.client_message_id(), id(number + 1));
    assert_eq!(
        sent_by(&mut client),
        [
            short(number, ROOM, b"one").map(Bytes::copy_from_slice),
            short(number + 1, ROOM, b"two").map(Bytes::copy_from_slice),
        ]
    );
    let refused = short_result(number + 1, Rid::NotInRoom, M::Okay);
    let okay = short_result(number, Rid::Okay, M::Okay);
    for packet in [&refused, &okay, &okay, &short_result(99, Rid::Okay, M::Okay)] {
        let mut bytes = Vec::new();
        packet.encode(&codec(), &mut bytes).unwrap();
        client.handle_input(now, &bytes);
    }
    client.handle_input(now, b"\x52\xFFBAD\0\xFB\xFFPNS\0\x56\xFFBAD\0");
    let refused = Outcome::MessageRefused { room: Rid::NotInRoom, message: M::Okay };
    assert_eq!(
        events(&mut client),
        [
            outcome(two, refused),
            outcome(one, Outcome::Okay),
            ClientEvent::Stray(PacketId(0x51)),
            ClientEvent::Stray(PacketId(0x51)),
            ClientEvent::Complaint(PacketId(0x52)),
            ClientEvent::PacketNotSupported,
            ClientEvent::Complaint(PacketId(0x56)),
        ]
    );
}

#[test]
fn step3_a_client_hears_of_messages_without_a_result() {
    let config = ClientConfig::default();
    let (mut client, now) = client_of(config.clone());
    let one = client.send_message(now, ROOM, b"one").unwrap();
    let two = client.send_message(now + SECOND, ROOM, b"two").unwrap();
    let wish = client.join(now + SECOND, ROOM, b"").unwrap();
    assert_eq!(client.poll_timeout(), Some(now + config.result_timeout));
    client.handle_timeout(just_before(now + config.result_timeout));
    assert_eq!(events(&mut client), []);
    client.handle_timeout(now + config.result_timeout);
    assert_eq!(events(&mut client), [outcome(one, Outcome::TimedOut)]);
    client.handle_eof(now + config.result_timeout);
    assert_eq!(
        events(&mut client),
        [outcome(two, Outcome::Closed), outcome(wish, Outcome::Closed)]
    );
    assert_eq!(client.ended(), Some(&End::Clean));
    assert_eq!(client.send_message(now, ROOM, b"x"), Err(SendError::Ended));
}

#[test]
fn step3_what_a_client_cannot_send_is_its_callers_error() {
    let limits = Limits::default().max_pending(2).max_parts(2).max_transmit_bytes(200);
    let (mut client, now) = client_of(ClientConfig::default().limits(limits));
    assert_eq!(client.send_message(now, ROOM, b""), Err(SendError::Empty));
    let too_long = SendError::TooLong { len: 9001, limit: 9000 };
    assert_eq!(client.send_message(now, ROOM, &[7; 9001]), Err(too_long));
    assert!(matches!(client.change_alias(now, ""), Err(SendError::Encode(_))));
    assert_eq!(client.poll_transmit(), None);
    client.send_message(now, ROOM, &[7; 9000]).unwrap();
    discard(&mut client);
    client.send_message(now, ROOM, &[7; 3000]).unwrap();
    assert_eq!(client.send_message(now, ROOM, b"x"), Err(SendError::QueueFull));
    discard(&mut client);
    client.send_message(now, ROOM, b"x").unwrap();
    assert_eq!(client.send_message(now, ROOM, b"x"), Err(SendError::TooManyPending));
    assert_eq!(client.join(now, ROOM, b""), Err(SendError::TooManyPending));
}

#[test]
fn step3_what_a_server_cannot_send_is_its_callers_error() {
    let limits = Limits::default().max_transmit_bytes(200).max_parts(2);
    let (mut server, now) = guest(ServerConfig::default().limits(limits));
    let deliver = |server: &mut Server, username: &str, message: &[u8]| {
        server.deliver(now, uid(1), ROOM, username, "", message)
    };
    assert_eq!(deliver(&mut server, "bob", b"x"), Err(SendError::NotLoggedIn));
    assert_eq!(server.echo(now, uid(1), b"x"), Err(SendError::NotLoggedIn));
    assert_eq!(server.user_joined(now, ROOM, "bob", ""), Err(SendError::NotLoggedIn));
    assert!(!server.enter(ROOM));
    let (mut server, _) = member_of(ServerConfig::default().limits(limits));
    assert!(matches!(deliver(&mut server, "", b"x"), Err(SendError::Encode(_))));
    let too_long = SendError::TooLong { len: 9001, limit: 9000 };
    assert_eq!(deliver(&mut server, "bob", &[7; 9001]), Err(too_long));
    deliver(&mut server, "bob", &[7; 3000]).unwrap();
    assert_eq!(server.user_parted(now, ROOM, "bob", ""), Err(SendError::QueueFull));
    assert!(!server.wants_input(), "its client has to take something first");
    assert_eq!(sent(&mut server).len(), 1);
    assert!(server.wants_input());
    assert_eq!(server.forward(now, uid(2), ROOM, &LongMessage::default()), Err(SendError::Empty));
    server.close(now);
    assert_eq!(deliver(&mut server, "bob", b"x"), Err(SendError::Ended));
}

// Step 4: long messages.

/// A text of `parts` parts, the last of them short.
fn text(parts: usize) -> Vec<u8> {
    Numbers::new(parts as u64).bytes(3000 * (parts - 1) + 7)
}

#[test]
fn step4_a_long_message_goes_to_the_server_in_parts() {
    for parts in [2, 3, 9, 257] {
        let mut pair = pair(ClientConfig::default(), ServerConfig::default());
        let text = text(parts);
        let request = pair.client.session.send_message(pair.now, ROOM, &text).unwrap();
        pair.run_for(SECOND);
        let is_progress = |event: &ClientEvent| matches!(event, ClientEvent::Progress { .. });
        pair.client.events.retain(|event| !is_progress(event));
        assert_eq!(pair.client.events, [outcome(request, Outcome::Okay)], "{parts} parts");
        let Some(ServerEvent::LongMessage { client_message_id, room, mut message }) =
            pair.server.events.pop_front()
        else {
            panic!("{:?}", pair.server.events);
        };
        assert_eq!((client_message_id, room), (request.client_message_id(), ROOM));
        assert_eq!((message.parts().count(), message.remaining()), (parts, text.len()));
        assert_eq!(message.to_vec(), text);
        // As one `Buf`, without having been joined.
        let mut read = Vec::new();
        while message.has_remaining() {
            assert!(message.chunk().len() <= 3000);
            let mut slices = [std::io::IoSlice::new(&[]); 3];
            assert_eq!(message.chunks_vectored(&mut slices), message.parts().count().min(3));
            assert_eq!(&*slices[0], message.chunk());
            let len = message.remaining().min(1000);
            read.extend_from_slice(&message.copy_to_bytes(len));
        }
        assert_eq!(read, text);
        assert_eq!(pair.server.events, []);
    }
}

#[test]
fn step4_3000_bytes_are_short_and_one_more_is_long() {
    let (mut client, now) = client();
    client.send_message(now, ROOM, &[7; 3000]).unwrap();
    client.send_message(now, ROOM, &[7; 3001]).unwrap();
    let names: Vec<_> = sent_by(&mut client).iter().map(ClientPacket::name).collect();
    assert_eq!(names, ["short_message", "long_message_head"]);
    let (mut server, now) = member();
    server.deliver(now, uid(1), ROOM, "bob", "", &[7; 3000]).unwrap();
    server.deliver(now, uid(2), ROOM, "bob", "", &[7; 3001]).unwrap();
    let names: Vec<_> = sent(&mut server).iter().map(ServerPacket::name).collect();
    let expected =
        ["short_message_delivery", "long_message_delivery_head", "long_message_delivery_next"];
    assert_eq!(names, expected);
}

#[test]
fn step4_parts_come_in_any_order_and_are_okay_when_they_come_again() {
    let (mut server, now) = member();
    says(
        &mut server,
        now,
        &[
            head(1, 3, b"zero"),
            next(1, 3, b"three"),
            next(1, 3, b"another"),
            head(1, 2, b"another"),
            next(1, 1, b"one"),
        ],
    );
    let okay = [head_okay(1), part_okay(1), part_okay(1), head_okay(1), part_okay(1)];
    assert_eq!((sent(&mut server), events(&mut server)), (okay.to_vec(), vec![]));
    says(&mut server, now, &[next(1, 2, b"two")]);
    assert_eq!(sent(&mut server), [part_okay(1)]);
    let seen = events(&mut server);
    let [ServerEvent::LongMessage { message, .. }] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(message.to_vec(), b"zeroonetwothree");
    // Finished: what comes late is okay, and ignored.
    says(&mut server, now, &[next(1, 2, b"two"), head(1, 3, b"zero"), next(1, 9, b"nine")]);
    assert_eq!(sent(&mut server), [part_okay(1), head_okay(1), part_okay(1)]);
    assert_eq!(events(&mut server), []);
    assert_eq!(server.poll_timeout(), None);
}

#[test]
fn step4_the_last_64_finished_messages_are_remembered() {
    let (mut server, now) = member();
    for number in 0..65 {
        says(&mut server, now, &[head(number, 1, b"a"), next(number, 1, b"b")]);
    }
    assert_eq!(events(&mut server).len(), 65);
    discard(&mut server);
    says(&mut server, now, &[next(0, 1, b"b"), next(1, 1, b"b"), next(64, 1, b"b")]);
    let client_message_id = id(0);
    let resend = ServerPacket::ResendLongMessageHead { client_message_id };
    assert_eq!(sent(&mut server), [resend, part_okay(1), part_okay(64)]);
}

#[test]
fn step4_a_part_without_its_head_asks_for_it() {
    let (mut server, now) = member();
    says(&mut server, now, &[next(1, 2, b"two"), next(1, 1, b"one"), head(1, 2, b"zero")]);
    let client_message_id = id(1);
    let resend = ServerPacket::ResendLongMessageHead { client_message_id };
    assert_eq!(sent(&mut server), [resend.clone(), resend, head_okay(1)]);
    assert_eq!(events(&mut server), []);
    says(&mut server, now, &[next(1, 2, b"two"), next(1, 1, b"one")]);
    assert_eq!(events(&mut server).len(), 1);
}

#[test]
fn step4_a_part_past_the_end_is_refused() {
    let (mut server, now) = member();
    says(
        &mut server,
        now,
        &[
            head(1, 2, b"zero"),
            next(1, 0, b"x"),
            next(1, 3, b"x"),
            next(1, u32::MAX, b"x"),
            next(1, 2, b"two"),
        ],
    );
    let refused = next_result(1, PartNumberStatus::Invalid, LongMessageStatus::Okay);
    assert_eq!(
        sent(&mut server),
        [head_okay(1), refused.clone(), refused.clone(), refused, part_okay(1)]
    );
}

#[test]
fn step4_what_is_wrong_with_heads_and_parts_is_told() {
    use {
        HeadCountStatus as Tp, LongMessageStatus as M, LongRoomStatus as Rid,
        PartNumberStatus as Pn,
    };
    let long = "A".repeat(4004);
    for (tp, room, message, results) in [
        (1_u32, &ROOM.0, &b""[..], (Tp::Okay, Rid::Okay, M::EmptyMessage)),
        (1, &ROOM.0, b"aGk", (Tp::Okay, Rid::Okay, M::BadBase64)),
        (1, b"elsewher", b"aGk=", (Tp::Okay, Rid::NotAuthorized, M::Okay)),
        (0, b"elsewher", b"aGk", (Tp::Invalid, Rid::NotAuthorized, M::BadBase64)),
        (1, &ROOM.0, long.as_bytes(), (Tp::Okay, Rid::Okay, M::Invalid)),
        (0, b"elsewher", long.as_bytes(), (Tp::Invalid, Rid::NotAuthorized, M::Invalid)),
    ] {
        let (mut server, now) = member();
        server.handle_input(now, &raw(0x57, &[&tp.to_be_bytes(), &id(7).0, room, message]));
        assert_eq!(sent(&mut server), [head_result(7, results.0, results.1, results.2)]);
        // Nothing is kept of it.
        says(&mut server, now, &[next(7, 1, b"one")]);
        let client_message_id = id(7);
        let resend = ServerPacket::ResendLongMessageHead { client_message_id };
        assert_eq!(sent(&mut server), [resend]);
        assert_eq!(server.poll_timeout(), None);
    }
    let (mut server, now) = member();
    says(&mut server, now, &[head(7, 2, b"zero")]);
    discard(&mut server);
    for (pn, message, result) in [
        (1_u32, &b""[..], (Pn::Okay, M::EmptyMessage)),
        (1, b"aGk", (Pn::Okay, M::BadBase64)),
        (3, b"aGk", (Pn::Invalid, M::BadBase64)),
        (1, long.as_bytes(), (Pn::Okay, M::Invalid)),
        (3, long.as_bytes(), (Pn::Invalid, M::Invalid)),
    ] {
        server.handle_input(now, &raw(0x5B, &[&pn.to_be_bytes(), &id(7).0, message]));
        assert_eq!(sent(&mut server), [next_result(7, result.0, result.1)], "{pn} {message:?}");
    }
    // Broken, not only bad.
    server.handle_input(now, &[broken(0x57), broken(0x5B)].concat());
    assert_eq!(
        sent(&mut server),
        [ServerPacket::BadLongMessageHead, ServerPacket::BadLongMessageNext]
    );
    // None of that did it any harm.
    discard(&mut server);
    says(&mut server, now, &[next(7, 1, b"one"), next(7, 2, b"two")]);
    let seen = events(&mut server);
    let [ServerEvent::LongMessage { message, .. }] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(message.to_vec(), b"zeroonetwo");
}

#[test]
fn step4_part_counts_at_their_limits() {
    for (tp, is_okay) in [(0, false), (1, true), (256, true), (257, false), (u32::MAX, false)] {
        let (mut server, now) = member();
        says(&mut server, now, &[head(1, tp, b"zero")]);
        let status = if is_okay { HeadCountStatus::Okay } else { HeadCountStatus::Invalid };
        let result = head_result(1, status, LongRoomStatus::Okay, LongMessageStatus::Okay);
        assert_eq!(sent(&mut server), [result], "{tp}");
        let (mut client, now) = client();
        let message = Base64::of(&b"zero"[..]);
        let (unique_id, room) = (uid(1), ROOM);
        let head =
            ServerPacketRef::LongMessageDeliveryHead { remaining: tp, unique_id, room, message };
        hears(&mut client, now, &[head]);
        let reason = DropReason::PartCount(tp);
        let dropped = ClientEvent::LongMessageDropped { unique_id, reason };
        assert_eq!(events(&mut client), if is_okay { vec![] } else { vec![dropped] });
    }
}

#[test]
fn step4_the_largest_part_count_allocates_nothing_by_itself() {
    let limits = Limits::default().max_parts(u32::MAX);
    let config = ServerConfig::default().limits(limits);
    let (mut server, now) = member_of(config);
    let bytes = from_client(&codec(), &[head(1, u32::MAX, b"zero"), next(1, u32::MAX, b"last")]);
    let used = testkit::measure(|| server.handle_input(now, &bytes));
    assert!(used.bytes_max < 4096, "{} bytes", used.bytes_max);
    assert_eq!(sent(&mut server), [head_okay(1), part_okay(1)]);
    // Nor does asking for all that is missing.
    let used = testkit::measure(|| server.handle_timeout(now + 2 * SECOND));
    assert!(used.bytes_max < 1 << 20, "{} bytes", used.bytes_max);
    let asked = sent(&mut server);
    let first = ServerPacket::ResendLongMessageNext { number: 1, client_message_id: id(1) };
    assert!(asked.len() > 1000 && asked[0] == first);
}

#[test]
fn step4_messages_may_be_interleaved_and_a_fifth_is_refused() {
    let (mut server, now) = member();
    for number in 1..=4 {
        says(&mut server, now, &[head(number, 2, &[b'0' + u8::try_from(number).unwrap()])]);
        assert_eq!(sent(&mut server), [head_okay(number)]);
    }
    says(&mut server, now, &[head(5, 2, b"5")]);
    let (room, message) = (LongRoomStatus::Okay, LongMessageStatus::Okay);
    assert_eq!(sent(&mut server), [head_result(5, HeadCountStatus::Invalid, room, message)]);
    for part in [2, 1] {
        for number in 1..=4 {
            let text = format!(" {number}.{part}");
            says(&mut server, now, &[next(number, part, text.as_bytes())]);
        }
    }
    let texts: Vec<_> = events(&mut server)
        .into_iter()
        .map(|event| match event {
            ServerEvent::LongMessage { message, .. } => {
                String::from_utf8(message.to_vec()).unwrap()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, ["1 1.1 1.2", "2 2.1 2.2", "3 3.1 3.2", "4 4.1 4.2"]);
    // Now there is room.
    discard(&mut server);
    says(&mut server, now, &[head(5, 2, b"5")]);
    assert_eq!(sent(&mut server), [head_okay(5)]);
}

#[test]
fn step4_missing_parts_are_asked_for_and_given_up_in_time() {
    let (mut server, now) = member();
    says(&mut server, now, &[head(1, 4, b"zero")]);
    discard(&mut server);
    // Progress puts it off.
    says(&mut server, now + SECOND, &[next(1, 3, b"three")]);
    discard(&mut server);
    assert_eq!(server.poll_timeout(), Some(now + 3 * SECOND));
    let asked: Vec<_> = [1, 2, 4]
        .map(|number| ServerPacket::ResendLongMessageNext { number, client_message_id: id(1) })
        .into();
    for round in 0..3 {
        let at = now + (3 + 2 * round) * SECOND;
        server.handle_timeout(just_before(at));
        assert_eq!(sent(&mut server), []);
        server.handle_timeout(at);
        assert_eq!(sent(&mut server), asked, "round {round}");
        // One that is there already is no progress.
        says(&mut server, at + SECOND, &[next(1, 3, b"three")]);
        discard(&mut server);
    }
    assert_eq!(server.poll_timeout(), Some(now + 30 * SECOND), "three times is enough");
    server.handle_timeout(now + 30 * SECOND);
    let dropped = ServerEvent::LongMessageDropped { client_message_id: id(1), room: ROOM };
    assert_eq!(events(&mut server), [dropped]);
    assert_eq!(server.poll_timeout(), None);
    // It is forgotten.
    let at = now + 30 * SECOND;
    says(&mut server, at, &[next(1, 1, b"one")]);
    assert!(matches!(sent(&mut server)[..], [ServerPacket::ResendLongMessageHead { .. }]));
}

#[test]
fn step4_a_client_sends_parts_once_its_head_is_okay() {
    let (mut client, now) = client();
    let text = text(4);
    let request = client.send_message(now, ROOM, &text).unwrap();
    let number = request.number();
    let heads = sent_by(&mut client);
    assert!(matches!(heads[..], [ClientPacket::LongMessageHead { remaining: 3, .. }]));
    // The server hasn't got it: a few times.
    let resend = [0x5A, 0xFF, 0, 0, 0, u8::try_from(number).unwrap(), 0];
    for _ in 0..3 {
        client.handle_input(now, &resend);
        assert_eq!(sent_by(&mut client), heads);
    }
    client.handle_input(now, &resend);
    assert_eq!(client.poll_transmit(), None);
    let okay = |packet: ServerPacket| {
        let mut bytes = Vec::new();
        packet.encode(&codec(), &mut bytes).unwrap();
        bytes
    };
    client.handle_input(now, &okay(head_okay(number)));
    let parts = sent_by(&mut client);
    assert_eq!(parts.len(), 3);
    let ClientPacket::LongMessageNext { number: 2, message, .. } = &parts[1] else { panic!() };
    assert_eq!(message.payload().unwrap(), text[6000..9000]);
    // A part that is asked for comes again, a few times; one that there isn't doesn't.
    let again = |part: u32| {
        okay(ServerPacket::ResendLongMessageNext {
            number: part,
            client_message_id: request.client_message_id(),
        })
    };
    for _ in 0..3 {
        client.handle_input(now, &again(2));
        assert_eq!(sent_by(&mut client), parts[1..2]);
    }
    for part in [2, 0, 4, u32::MAX] {
        client.handle_input(now, &again(part));
        assert_eq!(client.poll_transmit(), None, "{part}");
    }
    for _ in 0..2 {
        client.handle_input(now, &okay(part_okay(number)));
        assert_eq!(told(&mut client), []);
    }
    client.handle_input(now, &okay(part_okay(number)));
    assert_eq!(told(&mut client), [outcome(request, Outcome::Okay)]);
    client.handle_input(now, &okay(part_okay(number)));
    client.handle_input(now, &again(1));
    assert_eq!((client.poll_transmit(), told(&mut client)), (None, vec![]));
}

#[test]
fn step4_a_client_hears_of_refusals_and_of_silence() {
    use {
        HeadCountStatus as Tp, LongMessageStatus as M, LongRoomStatus as Rid,
        PartNumberStatus as Pn,
    };
    let send = |client: &mut Client, now| {
        let request = client.send_message(now, ROOM, &text(3)).unwrap();
        discard(client);
        request
    };
    let got = |client: &mut Client, now, packet: ServerPacket| {
        let mut bytes = Vec::new();
        packet.encode(&codec(), &mut bytes).unwrap();
        client.handle_input(now, &bytes);
    };
    let config = ClientConfig::default();
    let (mut client, now) = client_of(config.clone());
    let request = send(&mut client, now);
    let (remaining, room, message) = (Tp::Invalid, Rid::NotAuthorized, M::Okay);
    got(&mut client, now, head_result(request.number(), remaining, room, message));
    let refused = Outcome::HeadRefused { remaining, room, message };
    assert_eq!(told(&mut client), [outcome(request, refused)]);
    assert_eq!(client.poll_transmit(), None, "nothing follows a refused head");
    let request = send(&mut client, now);
    got(&mut client, now, head_okay(request.number()));
    got(&mut client, now, next_result(request.number(), Pn::Invalid, M::Okay));
    let (number, room) = (Pn::Invalid, Rid::Okay);
    let refused = Outcome::PartRefused { number, room, message };
    assert_eq!(told(&mut client), [outcome(request, refused)]);
    let request = send(&mut client, now);
    assert_eq!(client.poll_timeout(), Some(now + config.assembly_timeout));
    client.handle_timeout(now + config.assembly_timeout);
    assert_eq!(told(&mut client), [outcome(request, Outcome::TimedOut)]);
    let request = send(&mut client, now);
    for _ in 0..3 {
        send(&mut client, now);
    }
    assert_eq!(client.send_message(now, ROOM, &text(2)), Err(SendError::TooManyLong));
    client.close(now);
    let seen = told(&mut client);
    assert_eq!(seen.len(), 4);
    assert!(seen.contains(&outcome(request, Outcome::Closed)));
}

#[test]
fn step4_a_long_message_goes_to_the_client_in_parts() {
    // D10: the parts are S91.
    for parts in [2, 3, 9, 257] {
        let mut pair = pair(ClientConfig::default(), ServerConfig::default());
        let text = text(parts);
        pair.server.session.deliver(pair.now, uid(1), ROOM, "bob", "", &text).unwrap();
        pair.run_for(SECOND);
        let Some(ClientEvent::LongMessage { unique_id, room, message }) =
            pair.client.events.pop_front()
        else {
            panic!("{:?}", pair.client.events);
        };
        assert_eq!((unique_id, room), (uid(1), ROOM));
        assert_eq!(message.to_vec(), text);
        assert_eq!(pair.server.events, [ServerEvent::Received { unique_id }]);
        assert_eq!(pair.client.events, []);
        assert_eq!(pair.server.session.poll_timeout(), None);
    }
}

#[test]
fn step4_a_long_message_is_forwarded_as_it_came() {
    let mut pair = pair(ClientConfig::default(), ServerConfig::default());
    let long: LongMessage =
        [&b"one"[..], b"", b"two", &[7; 3000]].map(Bytes::copy_from_slice).into_iter().collect();
    let one: LongMessage = [Bytes::from_static(b"alone")].into_iter().collect();
    let wide: LongMessage = [Bytes::from(vec![7; 9000])].into_iter().collect();
    for (at, message) in [&long, &one, &wide].into_iter().enumerate() {
        pair.server.session.forward(pair.now, uid(at as u64), RoomId::ECHO, message).unwrap();
    }
    let again = pair.server.session.forward(pair.now, uid(1), RoomId::ECHO, &one);
    assert_eq!(again, Err(SendError::DuplicateId));
    pair.run_for(SECOND);
    let messages: Vec<_> = pair
        .client
        .events
        .drain(..)
        .map(|event| match event {
            ClientEvent::LongMessage { message, .. } => message,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(messages, [long, one, wide]);
    assert_eq!(messages[0].parts().count(), 3);
    assert_eq!(pair.server.events.len(), 3);
}

/// The packets of a long message to a client, as its server sends them.
fn delivery(number: u64, parts: usize) -> (Vec<u8>, Vec<ServerPacket>) {
    let (mut server, now) = member();
    let text = text(parts);
    server.deliver(now, uid(number), ROOM, "bob", "", &text).unwrap();
    (text, sent(&mut server))
}

fn encoded(packets: &[ServerPacket]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in packets {
        packet.encode(&codec(), &mut bytes).unwrap();
    }
    bytes
}

#[test]
fn step4_a_client_puts_parts_together_and_drops_those_without_a_head() {
    let (mut client, now) = client();
    let (text, packets) = delivery(1, 4);
    let (_, others) = delivery(2, 3);
    // A part before its head, past the end, twice; another message between.
    client.handle_input(now, &encoded(&packets[1..2]));
    client.handle_input(now, &encoded(&packets[..1]));
    client.handle_input(now, &encoded(&others[..2]));
    let number = 9;
    let message = Base64::of(&b"nine"[..]);
    hears(
        &mut client,
        now,
        &[ServerPacketRef::LongMessageDeliveryNext { number, unique_id: uid(1), message }],
    );
    for at in [3, 3, 0, 1, 1] {
        client.handle_input(now, &encoded(&packets[at..=at]));
    }
    assert_eq!((client.poll_transmit(), events(&mut client)), (None, vec![]));
    client.handle_input(now, &encoded(&packets[2..3]));
    assert_eq!(sent_by(&mut client), [ClientPacket::LongMessageReceived { unique_id: uid(1) }]);
    let seen = events(&mut client);
    let [ClientEvent::LongMessage { message, .. }] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(message.to_vec(), text);
    // What comes late is ignored.
    client.handle_input(now, &encoded(&packets));
    assert_eq!((client.poll_transmit(), events(&mut client)), (None, vec![]));
    client.handle_input(now, &encoded(&others[2..]));
    assert_eq!(events(&mut client).len(), 1);
}

#[test]
fn step4_a_client_asks_for_missing_parts_and_gives_up_in_time() {
    let (mut client, now) = client();
    let (_, packets) = delivery(1, 4);
    client.handle_input(now, &encoded(&[packets[0].clone(), packets[2].clone()]));
    let unique_id_prefix = uid(1).prefix();
    let asked = [1, 3].map(|number| ClientPacket::ResendDeliveryNext { number, unique_id_prefix });
    for round in 1..=3 {
        client.handle_timeout(just_before(now + 2 * round * SECOND));
        assert_eq!(client.poll_transmit(), None);
        client.handle_timeout(now + 2 * round * SECOND);
        assert_eq!(sent_by(&mut client), asked);
    }
    assert_eq!(client.poll_timeout(), Some(now + 30 * SECOND));
    client.handle_timeout(now + 30 * SECOND);
    let reason = DropReason::TimedOut;
    let dropped = ClientEvent::LongMessageDropped { unique_id: uid(1), reason };
    assert_eq!(events(&mut client), [dropped]);
}

#[test]
fn step4_what_the_end_leaves_unfinished_is_not_told() {
    let (mut client, now) = client();
    client.handle_input(now, &encoded(&delivery(1, 4).1[..2]));
    client.handle_eof(now);
    assert_eq!(client.ended(), Some(&End::Clean));
    assert_eq!(events(&mut client), []);
    let (mut server, now) = member();
    says(&mut server, now, &[head(1, 4, b"zero"), next(1, 1, b"one")]);
    server.handle_eof(now);
    assert_eq!(server.ended(), Some(&End::Clean));
    assert_eq!(events(&mut server), []);
}

#[test]
fn times_too_long_to_be_reckoned_with_never_come() {
    // Steps 1 to 4, D5.
    let config = ServerConfig::default().login_timeout(Duration::MAX);
    let (mut server, now) = guest(
        config
            .packet_timeout(Duration::MAX)
            .resend_after(Duration::MAX)
            .assembly_timeout(Duration::MAX),
    );
    server.handle_input(now, b"\x02");
    assert_eq!(server.poll_timeout(), None);
    let config = ClientConfig::default().login_timeout(Duration::MAX);
    let config = config.packet_timeout(Duration::MAX).result_timeout(Duration::MAX);
    let config = config.resend_after(Duration::MAX).assembly_timeout(Duration::MAX);
    let mut client = Client::new(Arc::new(config.clone()), now);
    client.login(now, "ada", b"hunter2").unwrap();
    assert_eq!(client.poll_timeout(), None);
    let (mut client, now) = client_of(config);
    client.join(now, ROOM, b"").unwrap();
    client.send_message(now, ROOM, &text(4)).unwrap();
    client.handle_input(now, &encoded(&delivery(1, 4).1[..1]));
    client.handle_input(now, b"\x01");
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn step3_a_time_of_0_is_over_at_once() {
    let (mut client, now) = client_of(ClientConfig::default().result_timeout(Duration::ZERO));
    let request = client.join(now, ROOM, b"").unwrap();
    assert_eq!(client.poll_timeout(), Some(now));
    client.handle_timeout(now);
    assert_eq!(events(&mut client), [outcome(request, Outcome::TimedOut)]);
}

#[test]
fn step4_a_client_drops_what_it_cannot_take() {
    let (mut client, now) = client();
    client.handle_input(now, &raw(0x5F, &[&[0, 0, 0, 1], &uid(9).0, &ROOM.0, b"aGk"]));
    let seen = events(&mut client);
    let [ClientEvent::LongMessageDropped { reason: DropReason::BadHead(_), .. }] = &seen[..] else {
        panic!("{seen:?}");
    };
    for number in 1..=4 {
        client.handle_input(now, &encoded(&delivery(number, 2).1[..1]));
    }
    assert_eq!(events(&mut client), []);
    client.handle_input(now, &encoded(&delivery(5, 2).1));
    let reason = DropReason::TooMany;
    let dropped = ClientEvent::LongMessageDropped { unique_id: uid(5), reason };
    assert_eq!(events(&mut client), [dropped]);
    // A part that isn't base64 may yet come as it should.
    client.handle_input(now, &raw(0x5B, &[&[0, 0, 0, 1], &uid(1).0, b"aGk"]));
    assert!(matches!(events(&mut client)[..], [ClientEvent::BadContent { .. }]));
    client.handle_input(now, &encoded(&delivery(1, 2).1[1..]));
    assert!(matches!(events(&mut client)[..], [ClientEvent::LongMessage { .. }]));
}

#[test]
fn step4_a_server_sends_parts_again_and_says_why_not() {
    let (mut server, now) = member();
    server.deliver(now, uid(1), ROOM, "bob", "", &text(3)).unwrap();
    let parts = sent(&mut server);
    let unique_id_prefix = uid(1).prefix();
    let resend = |number| ClientPacketRef::ResendDeliveryNext { number, unique_id_prefix };
    let result = |number_status, authorized| ServerPacket::ResendDeliveryResult {
        unique_id_prefix,
        number_status,
        room_status: LongRoomStatus::Okay,
        message_status: LongMessageStatus::Okay,
        authorized,
    };
    let okay = result(PartNumberStatus::Okay, Authorization::Okay);
    for _ in 0..3 {
        says(&mut server, now, &[resend(2)]);
        assert_eq!(sent(&mut server), [okay.clone(), parts[2].clone()]);
    }
    says(&mut server, now, &[resend(2)]);
    let too_often = result(PartNumberStatus::Okay, Authorization::NotAuthorized);
    assert_eq!(sent(&mut server), [too_often]);
    says(&mut server, now, &[resend(1)]);
    assert_eq!(sent(&mut server), [okay, parts[1].clone()], "that counts for each part");
    for number in [0, 3, u32::MAX] {
        says(&mut server, now, &[resend(number)]);
        assert_eq!(sent(&mut server), [result(PartNumberStatus::Invalid, Authorization::Okay)]);
    }
    let unknown =
        ClientPacketRef::ResendDeliveryNext { number: 7, unique_id_prefix: uid(2).prefix() };
    says(&mut server, now, &[unknown]);
    let unique_id = uid(2).prefix().padded();
    assert_eq!(sent(&mut server), [ServerPacket::UnknownResend { number: 7, unique_id }]);
    server.handle_input(now, &broken(0x63));
    assert_eq!(sent(&mut server), [ServerPacket::BadResend]);
    // Receipts: of another, broken, right.
    discard(&mut server);
    says(&mut server, now, &[ClientPacketRef::LongMessageReceived { unique_id: uid(2) }]);
    let unique_id_prefix = uid(2).prefix();
    assert_eq!(sent(&mut server), [ServerPacket::UnknownLongReceipt { unique_id_prefix }]);
    server.handle_input(now, &broken(0x60));
    assert_eq!(sent(&mut server), [ServerPacket::BadLongReceipt]);
    discard(&mut server);
    says(&mut server, now, &[ClientPacketRef::LongMessageReceived { unique_id: uid(1) }]);
    assert_eq!(events(&mut server), [ServerEvent::Received { unique_id: uid(1) }]);
    says(&mut server, now, &[resend(1)]);
    assert!(matches!(sent(&mut server)[..], [ServerPacket::UnknownResend { .. }]));
}

#[test]
fn step4_a_server_hears_of_long_messages_that_nobody_acknowledges() {
    let config = ServerConfig::default();
    let (mut server, now) = member_of(config.clone());
    for number in 1..=4 {
        server.deliver(now, uid(number), ROOM, "bob", "", &text(2)).unwrap();
    }
    let fifth = server.deliver(now, uid(5), ROOM, "bob", "", &text(2));
    assert_eq!(fifth, Err(SendError::TooManyLong));
    let short = server.deliver(now, uid(1), ROOM, "bob", "", b"x");
    assert_eq!(short, Err(SendError::DuplicateId));
    discard(&mut server);
    assert_eq!(server.poll_timeout(), Some(now + config.assembly_timeout));
    server.handle_timeout(now + config.assembly_timeout);
    let unacknowledged = |number| ServerEvent::Unacknowledged { unique_id: uid(number) };
    assert_eq!(events(&mut server), [1, 2, 3, 4].map(unacknowledged));
    server.deliver(now, uid(5), ROOM, "bob", "", &text(2)).unwrap();
    server.handle_eof(now);
    assert_eq!(events(&mut server), [unacknowledged(5)]);
}

#[test]
fn step4_what_waits_to_be_sent_is_no_more_than_a_message_needs() {
    // Parts go out as there is room; nothing else has to wait for them.
    let limits = Limits::default().max_transmit_bytes(10_000);
    let (mut server, now) = member_of(ServerConfig::default().limits(limits));
    let text = text(100);
    server.deliver(now, uid(1), ROOM, "bob", "", &text).unwrap();
    let (mut client, _) = client();
    let mut pieces = 0;
    while let Some(bytes) = server.poll_transmit() {
        assert!(bytes.len() < 15_000);
        client.handle_input(now, &bytes);
        pieces += 1;
    }
    assert!(pieces > 20);
    let seen = events(&mut client);
    let [ClientEvent::LongMessage { message, .. }] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(message.to_vec(), text);
}

/// The parts of a message, in random order, every tenth of them twice.
fn shuffled(parts: usize) -> Vec<u8> {
    let mut numbers = Numbers::new(parts as u64);
    let mut order: Vec<_> = (1..=parts).chain((1..=parts).step_by(10)).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, numbers.below(at + 1));
    }
    let text = numbers.bytes(3000);
    let mut bytes = from_client(&codec(), &[head(1, u32::try_from(parts).unwrap(), &text)]);
    for number in order {
        bytes.extend(from_client(&codec(), &[next(1, u32::try_from(number).unwrap(), &text)]));
    }
    bytes
}

#[test]
fn step4_a_message_in_random_order_costs_work_linear_in_its_parts() {
    let limits = Limits::default().max_parts(4000);
    let config = ServerConfig::default().limits(limits);
    let streams: Vec<_> = [200, 800].map(|parts| (parts, shuffled(parts))).into();
    work_is_linear(
        |parts| {
            let (mut server, now) = member_of(config.clone());
            let (_, stream) = streams.iter().find(|(p, _)| *p == parts).unwrap();
            let mut whole = 0;
            for piece in stream.chunks(1460) {
                server.handle_input(now, piece);
                whole += events(&mut server).len();
                discard(&mut server);
            }
            assert!(whole <= 1);
        },
        200,
    );
}

#[test]
fn step4_a_message_in_random_order_costs_memory_for_its_parts_and_a_little() {
    const PARTS: usize = 200;
    let (mut server, now) = member();
    let stream = shuffled(PARTS);
    let mut message = None;
    let used = testkit::measure(|| {
        for piece in stream.chunks(1460) {
            server.handle_input(now, piece);
            while server.poll_transmit().is_some() {}
        }
        message = server.poll_event();
    });
    assert!(matches!(message, Some(ServerEvent::LongMessage { .. })));
    let limit = (PARTS as u64 + 1) * (3000 + 100) + 16 * 1024;
    assert!(used.bytes_max <= limit, "{} bytes, the limit is {limit}", used.bytes_max);
}

// Step 5: rooms, aliases, invitations.

fn join(room: RoomId, password: &[u8]) -> ClientPacketRef<'_> {
    ClientPacketRef::JoinRoom { room, password: Secret::new(Base64::of(password)) }
}

fn join_result(room: RoomId, room_status: JoinRoomStatus) -> ServerPacket {
    ServerPacket::JoinRoomResult { room, room_status }
}

#[test]
fn step5_the_application_decides_who_joins_a_room() {
    let (mut server, now) = member();
    let room = RoomId::from_counter(1);
    says(&mut server, now, &[join(room, b""), join(room, b"secret")]);
    let seen = events(&mut server);
    let [
        ServerEvent::JoinRoom { id: first, room: _, password },
        ServerEvent::JoinRoom { id: second, password: secret, .. },
    ] = &seen[..]
    else {
        panic!("{seen:?}");
    };
    assert!(password.expose().is_empty() && **secret.expose() == *b"secret");
    assert_eq!(sent(&mut server), []);
    server.refuse_join(now, *first, RoomRefusal::NotAuthorized).unwrap();
    assert!(!server.is_in(room));
    server.accept_join(now, *second).unwrap();
    assert!(server.is_in(room));
    assert_eq!(server.accept_join(now, *second), Err(AnswerError));
    assert_eq!(server.refuse_join(now, *first, RoomRefusal::Invalid), Err(AnswerError));
    assert_eq!(
        sent(&mut server),
        [join_result(room, JoinRoomStatus::NotAuthorized), join_result(room, JoinRoomStatus::Okay),]
    );
    let other = RoomId::from_counter(2);
    says(&mut server, now, &[join(other, b"")]);
    let seen = events(&mut server);
    let [ServerEvent::JoinRoom { id, .. }] = &seen[..] else { panic!("{seen:?}") };
    server.refuse_join(now, *id, RoomRefusal::Invalid).unwrap();
    assert_eq!(sent(&mut server), [join_result(other, JoinRoomStatus::Invalid)]);
    assert_eq!(server.rooms(), [room, ROOM]);
}

#[test]
fn step5_what_the_endpoint_knows_of_rooms_it_answers_itself() {
    let (mut server, now) = member();
    let part = |room| ClientPacketRef::PartRoom { room, part_message: Some("so long".into()) };
    says(
        &mut server,
        now,
        &[
            join(ROOM, b""),
            join(RoomId::GLOBAL, b""),
            join(RoomId::ECHO, b""),
            part(RoomId(*b"elsewher")),
            part(RoomId::GLOBAL),
            part(ROOM),
            part(ROOM),
            short(1, ROOM, b"x"),
        ],
    );
    let part_result = |room, room_status| ServerPacket::PartRoomResult { room, room_status };
    assert_eq!(
        sent(&mut server),
        [
            join_result(ROOM, JoinRoomStatus::AlreadyInRoom),
            join_result(RoomId::GLOBAL, JoinRoomStatus::AlreadyInRoom),
            join_result(RoomId::ECHO, JoinRoomStatus::AlreadyInRoom),
            part_result(RoomId(*b"elsewher"), PartRoomStatus::NotInRoom),
            part_result(RoomId::GLOBAL, PartRoomStatus::Invalid),
            part_result(ROOM, PartRoomStatus::Okay),
            part_result(ROOM, PartRoomStatus::NotInRoom),
            short_result(1, ShortRoomStatus::NotInRoom, ShortMessageStatus::Okay),
        ]
    );
    let message = Some("so long".into());
    assert_eq!(events(&mut server), [ServerEvent::Parted { room: ROOM, message }]);
    // Content (D0), and no message at all.
    server.enter(ROOM);
    server.handle_input(now, &raw(0xA3, &[&ROOM.0, b"\xC0"]));
    server.handle_input(now, &raw(0xA0, &[b"elsewher", b"a"]));
    server.handle_input(now, &raw(0xA3, &[&ROOM.0]));
    assert_eq!(
        sent(&mut server),
        [
            part_result(ROOM, PartRoomStatus::Invalid),
            join_result(RoomId(*b"elsewher"), JoinRoomStatus::Invalid),
            part_result(ROOM, PartRoomStatus::Okay),
        ]
    );
    assert_eq!(events(&mut server), [ServerEvent::Parted { room: ROOM, message: None }]);
}

#[test]
fn step5_a_client_is_in_no_more_than_max_rooms() {
    let limits = Limits::default().max_rooms(2);
    let (mut server, now) = member_of(ServerConfig::default().limits(limits));
    let rooms = [1, 2, 3].map(RoomId::from_counter);
    says(&mut server, now, &[join(rooms[0], b""), join(rooms[1], b"")]);
    let seen = events(&mut server);
    let [ServerEvent::JoinRoom { id: one, .. }, ServerEvent::JoinRoom { id: two, .. }] = &seen[..]
    else {
        panic!("{seen:?}");
    };
    server.accept_join(now, *one).unwrap();
    assert_eq!(server.accept_join(now, *two), Err(AnswerError));
    says(&mut server, now, &[join(rooms[2], b"")]);
    assert_eq!(
        sent(&mut server),
        [
            join_result(rooms[0], JoinRoomStatus::Okay),
            join_result(rooms[1], JoinRoomStatus::NotAuthorized),
            join_result(rooms[2], JoinRoomStatus::NotAuthorized),
        ]
    );
    server.leave(rooms[0]);
    assert!(server.enter(rooms[1]) && !server.enter(rooms[2]) && server.enter(rooms[1]));
}

#[test]
fn step5_the_application_decides_about_aliases() {
    let (mut server, now) = member();
    let change = |alias: &'static str| ClientPacketRef::ChangeAlias { new_alias: alias.into() };
    let result = |alias_status| ServerPacket::ChangeAliasResult { alias_status };
    server.handle_input(now, &raw(0xA6, &[b""]));
    server.handle_input(now, &raw(0xA6, &[b"\xC0"]));
    assert_eq!(
        sent(&mut server),
        [result(NewAliasStatus::EmptyField), result(NewAliasStatus::Invalid)]
    );
    says(&mut server, now, &[change("one"), change("two"), change("three")]);
    let seen = events(&mut server);
    let [
        ServerEvent::ChangeAlias { id: one, alias },
        ServerEvent::ChangeAlias { id: two, .. },
        ServerEvent::ChangeAlias { id: three, .. },
    ] = &seen[..]
    else {
        panic!("{seen:?}");
    };
    assert_eq!(&**alias, "one");
    server.accept_alias(now, *one).unwrap();
    server.refuse_alias(now, *two, AliasRefusal::InUse).unwrap();
    server.refuse_alias(now, *three, AliasRefusal::Invalid).unwrap();
    assert_eq!(server.accept_alias(now, *three), Err(AnswerError));
    assert_eq!(
        sent(&mut server),
        [
            result(NewAliasStatus::Okay),
            result(NewAliasStatus::AlreadyInUse),
            result(NewAliasStatus::Invalid),
        ]
    );
    assert_eq!(server.alias(), "one");
    server.echo(now, uid(1), b"x").unwrap();
    let heard = sent(&mut server);
    let [ServerPacket::ShortMessageDelivery { alias, .. }] = &heard[..] else { panic!() };
    assert_eq!(alias.as_str(), Ok("one"));
}

#[test]
fn step5_invitations_go_to_the_application() {
    let (mut server, now) = member();
    let invite = |alias: &'static str| ClientPacketRef::InviteUser {
        room: ROOM,
        username: "bob".into(),
        alias: alias.into(),
    };
    says(&mut server, now, &[invite(""), invite("builder")]);
    let invited = |alias: &str| ServerEvent::Invite {
        room: ROOM,
        username: "bob".into(),
        alias: alias.into(),
    };
    assert_eq!(events(&mut server), [invited(""), invited("builder")]);
    assert_eq!(sent(&mut server), []);
    for groups in [[&ROOM.0[..], b"", b""], [&ROOM.0, b"a b", b""], [&ROOM.0, b"bob", b"\xC0"]] {
        server.handle_input(now, &raw(0xA9, &groups));
        assert_eq!(sent(&mut server), [ServerPacket::PacketNotSupported]);
    }
    assert_eq!(events(&mut server), []);
}

#[test]
fn step5_a_client_asks_and_hears_of_rooms_and_aliases() {
    let mut pair = pair(ClientConfig::default(), ServerConfig::default());
    let now = pair.now;
    let client = &mut pair.client.session;
    let room = RoomId::from_counter(1);
    let joins = client.join(now, room, b"secret").unwrap();
    let again = client.join(now, ROOM, b"").unwrap();
    let parts = client.part(now, ROOM, Some("so long")).unwrap();
    let leaves = client.part(now, RoomId(*b"elsewher"), None).unwrap();
    let alias = client.change_alias(now, "countess").unwrap();
    client.invite(now, room, "bob", "").unwrap();
    pair.run_for(SECOND);
    let now = pair.now;
    let invited = ServerEvent::Invite { room, username: "bob".into(), alias: "".into() };
    assert!(pair.server.events.contains(&invited));
    let server = &mut pair.server.session;
    for event in pair.server.events.drain(..) {
        match event {
            ServerEvent::JoinRoom { id, .. } => server.accept_join(now, id).unwrap(),
            ServerEvent::ChangeAlias { id, .. } => server.accept_alias(now, id).unwrap(),
            ServerEvent::Parted { room: ROOM, .. } | ServerEvent::Invite { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    server.user_joined(now, room, "ada", "").unwrap();
    server.user_parted(now, ROOM, "ada", "").unwrap();
    server.alias_changed(now, "ada", "", "countess").unwrap();
    pair.run_for(SECOND);
    let (username, none) = (|| "ada".into(), || "".into());
    assert_eq!(
        pair.client.events,
        [
            outcome(again, Outcome::JoinRefused(JoinRoomStatus::AlreadyInRoom)),
            outcome(parts, Outcome::Okay),
            outcome(leaves, Outcome::LeaveRefused(PartRoomStatus::NotInRoom)),
            outcome(joins, Outcome::Okay),
            outcome(alias, Outcome::Okay),
            ClientEvent::UserJoined { room, username: username(), alias: none() },
            ClientEvent::UserParted { room: ROOM, username: username(), alias: none() },
            ClientEvent::AliasChanged {
                username: username(),
                old_alias: none(),
                new_alias: "countess".into()
            },
        ]
    );
    // Results of nothing.
    let (mut client, now) = self::client();
    client.handle_input(now, b"\xA1\xFFelsewher\xFF\x03\0\xA4\xFFelsewher\xFF\x03\0\xA7\xFF\x07\0");
    let stray = [0xA1, 0xA4, 0xA7].map(|id| ClientEvent::Stray(PacketId(id)));
    assert_eq!(events(&mut client), stray);
    let refused = client.change_alias(now, "x").unwrap();
    client.handle_input(now, b"\xA7\xFF\x07\0");
    let in_use = Outcome::AliasRefused(NewAliasStatus::AlreadyInUse);
    assert_eq!(events(&mut client), [outcome(refused, in_use)]);
}

#[test]
fn step5_ids_are_made_of_counters() {
    let made = UniqueId::new(0x0102_0304_0506_0708, 0x19A_BCDE_FF00);
    assert_eq!(made.0, *b"\x01\x02\x03\x04\x05\x06\x07\x08\0\0\x01\x9A\xBC\xDE\xFF\0");
    assert_eq!(RoomId::from_counter(0x0102).0, *b"\0\0\0\0\0\0\x01\x02");
    // Each request of a session has a number of its own, whatever it is and whatever becomes of it.
    let (mut client, now) = client();
    let mut seen = std::collections::BTreeSet::new();
    for at in 0..50 {
        let request = match at % 3 {
            0 => client.send_message(now, ROOM, b"x"),
            1 => client.join(now, ROOM, b""),
            _ => client.send_message(now, ROOM, &[7; 3001]),
        };
        if let Ok(request) = request {
            assert!(seen.insert(request) && request.client_message_id() == id(request.number()));
        } else {
            client.handle_timeout(now + 60 * SECOND);
        }
        discard(&mut client);
    }
    assert!(seen.len() > 40);
}

#[test]
fn step5_wishes_of_a_kind_are_answered_in_their_order() {
    let (mut client, now) = client();
    let aliases = ["one", "two"].map(|alias| client.change_alias(now, alias).unwrap());
    let joins = [&b""[..], b"x"].map(|password| client.join(now, ROOM, password).unwrap());
    let other = client.join(now, RoomId::from_counter(1), b"").unwrap();
    let join_okay = raw(0xA1, &[&ROOM.0, b"\x03"]);
    client.handle_input(
        now,
        &[b"\xA7\xFF\x07\0\xA7\xFF\x03\0\xA7\xFF\x03\0", &join_okay[..]].concat(),
    );
    client.handle_input(now, &join_okay.repeat(2));
    let in_use = Outcome::AliasRefused(NewAliasStatus::AlreadyInUse);
    assert_eq!(
        events(&mut client),
        [
            outcome(aliases[0], in_use),
            outcome(aliases[1], Outcome::Okay),
            ClientEvent::Stray(PacketId(0xA7)),
            outcome(joins[0], Outcome::Okay),
            outcome(joins[1], Outcome::Okay),
            ClientEvent::Stray(PacketId(0xA1)),
        ]
    );
    client.close(now);
    assert_eq!(events(&mut client), [outcome(other, Outcome::Closed)]);
}

#[test]
fn d8_statuses_are_written_as_the_server_is_told_to() {
    for (digits, status) in [(StatusDigits::Decimal, 10), (StatusDigits::Hex, 0x10)] {
        let config = ServerConfig::default().codec(codec().status_digits(digits));
        let (mut server, now) = member_of(config);
        says(&mut server, now, &[join(ROOM, b"")]);
        let bytes = server.poll_transmit().unwrap();
        assert_eq!(bytes[bytes.len() - 2], status);
    }
}

// Step 6: log off, capabilities.

#[test]
fn step6_log_off_ends_both_sides_cleanly() {
    let (mut server, now) = member();
    says(&mut server, now, &[short(1, ROOM, b"one"), ClientPacketRef::LogOff, login()]);
    assert_eq!(server.ended(), Some(&End::Clean));
    let seen = events(&mut server);
    let [ServerEvent::Message { id, .. }] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(server.accept_message(now, *id), Err(AnswerError));
    assert_eq!(server.poll_transmit(), None);
    let (mut client, now) = client();
    client.send_message(now, ROOM, b"one").unwrap();
    client.close(now);
    let packets = sent_by(&mut client);
    assert!(matches!(packets[..], [ClientPacket::ShortMessage { .. }, ClientPacket::LogOff]));
    assert_eq!(client.ended(), Some(&End::Clean));
    client.close(now);
    assert_eq!(client.poll_transmit(), None, "once");
    assert_eq!(client.login(now, "ada", b"x"), Err(LoginError::Send(SendError::Ended)));
}

#[test]
fn step6_each_side_can_ask_what_the_other_supports() {
    let mut pair = pair(ClientConfig::default(), ServerConfig::default());
    assert_eq!(pair.client.session.server_supports(), None);
    assert_eq!(pair.server.session.client_supports(), None);
    let now = pair.now;
    pair.client.session.request_supported(now).unwrap();
    pair.client.session.announce_supported(now).unwrap();
    pair.run_for(SECOND);
    let of_server = pair.client.session.server_supports().unwrap();
    let ids: Vec<_> = ClientPacket::LAYOUTS.iter().map(|layout| layout.id).collect();
    assert_eq!(of_server.iter().collect::<Vec<_>>(), ids);
    assert_eq!(pair.client.events, [ClientEvent::ServerSupports(*of_server)]);
    let of_client = pair.server.session.client_supports().unwrap();
    assert_eq!(of_client.len(), ServerPacket::LAYOUTS.len());
    assert!(of_client.contains(PacketId(0x5B)) && !of_client.contains(PacketId(0x50)));
    assert_eq!(pair.server.events, []);
}

// What isn't a packet, and what comes slowly or never.

#[test]
fn d3_more_bad_packets_than_max_malformed_end_the_session() {
    let bad = broken(0x50);
    let (mut server, now) = member();
    for _ in 0..32 {
        server.handle_input(now, &bad);
    }
    assert_eq!(sent(&mut server).len(), 32);
    assert_eq!(server.ended(), None);
    // A good one between them, and it begins anew.
    says(&mut server, now, &[ClientPacketRef::SupportedPacketsRequest]);
    for _ in 0..32 {
        server.handle_input(now, &bad);
    }
    assert_eq!(server.ended(), None);
    server.handle_input(now, &bad);
    let Some(End::Error(SessionError::Violation(violation))) = server.ended() else {
        panic!("{:?}", server.ended());
    };
    assert_eq!(violation.kind, ViolationKind::TooManyBadPackets);
    let (mut client, now) = client();
    client.handle_input(now, &broken(0x50).repeat(33));
    let Some(End::Error(SessionError::Violation(violation))) = client.ended() else {
        panic!("{:?}", client.ended());
    };
    assert_eq!(violation.kind, ViolationKind::TooManyBadPackets);
    assert_eq!(events(&mut client).len(), 33);
    assert_eq!(client.poll_transmit(), None);
}

#[test]
fn d3_garbage_for_ever_ends_the_session_and_costs_no_memory() {
    // With ends in it and without.
    for avoid in [None, Some(0)] {
        let mut numbers = Numbers::new(3);
        let (mut server, now) = member();
        let mut bytes = 0;
        let used = testkit::measure(|| {
            while server.ended().is_none() && bytes < 1 << 20 {
                let mut garbage = numbers.bytes(1000);
                // No packet by chance.
                for byte in &mut garbage {
                    if Some(*byte) == avoid || ClientPacket::LAYOUTS.iter().any(|l| l.id.0 == *byte)
                    {
                        *byte = 0xFF;
                    }
                }
                server.handle_input(now, &garbage);
                while server.poll_event().is_some() || server.poll_transmit().is_some() {}
                bytes += 1000;
            }
        });
        let Some(End::Error(SessionError::Violation(violation))) = server.ended() else {
            panic!("{:?} after {bytes} bytes", server.ended());
        };
        assert_eq!(violation.kind, ViolationKind::TooManyBadPackets);
        assert!(bytes <= 33 * 8192 + 1000, "{bytes}");
        assert!(used.bytes_max < 40_000, "{} bytes", used.bytes_max);
    }
}

#[test]
fn d5_a_packet_that_takes_too_long_is_malformed() {
    let (mut server, now) = member();
    let bytes = from_client(&codec(), &[short(1, ROOM, b"a slow message")]);
    // One byte a second.
    let mut answers = Vec::new();
    for (at, byte) in (0_u32..).zip(&bytes) {
        let now = now + at * SECOND;
        server.handle_timeout(now);
        server.handle_input(now, &[*byte]);
        answers.extend(sent(&mut server));
    }
    assert!(answers.contains(&ServerPacket::BadShortMessage), "{answers:?}");
    let seen = events(&mut server);
    let Some(ServerEvent::BadPacket(bad)) = seen.first() else { panic!("{seen:?}") };
    assert_eq!(
        (bad.kind, bad.id, bad.offset),
        (DecodeErrorKind::Overdue, PacketId(0x50), login_len())
    );
    // It is told at once where more has come behind it.
    let (mut server, now) = member();
    let start = [&raw(0x50, &[b"\0\0\0\x07", b"0000ECHO"])[..15], b"\xFF"].concat();
    let good = from_client(&codec(), &[ClientPacketRef::SupportedPacketsRequest]);
    server.handle_input(now, &start);
    assert_eq!(server.poll_timeout(), Some(now + 10 * SECOND));
    // What comes of it doesn't put that off, nor what we send meanwhile.
    server.handle_input(now + 9 * SECOND, b"aG");
    server.user_joined(now + 9 * SECOND, ROOM, "bob", "").unwrap();
    discard(&mut server);
    assert_eq!(server.poll_timeout(), Some(now + 10 * SECOND));
    server.handle_timeout(now + 10 * SECOND);
    // Up to the first `00` behind its id, which is in its identifier; what follows that is no packet, either.
    let answers = [ServerPacket::BadShortMessage, ServerPacket::PacketNotSupported];
    assert_eq!(sent(&mut server), answers);
    assert!(matches!(events(&mut server)[..], [ServerEvent::BadPacket(_)]));
    server.handle_input(now + 11 * SECOND, &[b"\0", &good[..]].concat());
    let heard = sent(&mut server);
    assert!(matches!(heard.last(), Some(ServerPacket::ServerSupports { .. })), "{heard:?}");
}

#[test]
fn d5_the_time_of_a_packet_begins_anew_behind_one_that_took_too_long() {
    // D3: behind the first `00` of the head, which is in its number, another packet begins.
    let (mut server, now) = member();
    server.handle_input(now, b"\x57\xFF\0\x50\xFF");
    server.handle_timeout(now + 10 * SECOND);
    assert_eq!(sent(&mut server), [ServerPacket::BadLongMessageHead]);
    assert_eq!(server.poll_timeout(), Some(now + 20 * SECOND));
    server.handle_input(now + 19 * SECOND, b"1234\xFF0000ECHO\xFFaGk=\0");
    assert_eq!(server.poll_timeout(), None);
    assert!(matches!(
        events(&mut server)[..],
        [ServerEvent::BadPacket(_), ServerEvent::Echo { .. }]
    ));
}

#[test]
fn d5_a_slow_sender_before_login_is_shut_out() {
    let (mut server, now) = guest(ServerConfig::default());
    let bytes = from_client(&codec(), &[login()]);
    for (at, byte) in (0_u32..).zip(&bytes) {
        server.handle_timeout(now + at * SECOND);
        server.handle_input(now + at * SECOND, &[*byte]);
    }
    // S4 for the login that took too long; nothing behind it is a packet.
    let heard = sent(&mut server);
    assert_eq!(heard.first(), Some(&ServerPacket::BadLogin), "{heard:?}");
    assert!(!server.is_logged_in());
}

#[test]
fn d3_the_end_of_the_stream_tells_whether_a_packet_was_cut_off() {
    let bytes = from_client(&codec(), &[short(1, ROOM, b"one")]);
    for len in 0..bytes.len() {
        let (mut server, now) = member();
        server.handle_input(now, &bytes[..len]);
        server.handle_eof(now);
        let end = match len {
            0 => End::Clean,
            _ => End::Error(SessionError::UnexpectedEof { offset: login_len() }),
        };
        assert_eq!(server.ended(), Some(&end), "{len}");
        assert!(!server.wants_input());
    }
    // Of something malformed without an end, too.
    let (mut server, now) = member();
    server.handle_input(now, b"\x0Awhat");
    server.handle_eof(now);
    let end = End::Error(SessionError::UnexpectedEof { offset: login_len() });
    assert_eq!(server.ended(), Some(&end));
    let (mut client, now) = client();
    client.handle_input(now, b"\0\0\0");
    client.handle_eof(now);
    assert_eq!(client.ended(), Some(&End::Clean));
}

#[test]
fn a_full_event_queue_stops_reading_and_the_clock() {
    let limits = Limits::default().max_events(2);
    let (mut server, now) = member_of(ServerConfig::default().limits(limits));
    let packets: Vec<_> = (0..5).map(|number| short(number, ROOM, b"x")).collect();
    let mut bytes = from_client(&codec(), &packets);
    bytes.extend_from_slice(b"\x50\xFF");
    server.handle_input(now, &bytes);
    assert!(!server.wants_input());
    assert_eq!(server.poll_timeout(), None);
    assert_eq!(server.deliver(now, uid(1), ROOM, "b", "", b"x"), Err(SendError::QueueFull));
    server.handle_timeout(now + 60 * SECOND);
    assert_eq!(events(&mut server).len(), 5);
    assert!(server.wants_input());
    // The last packet, unfinished, is looked at only now.
    assert_eq!(server.poll_timeout(), Some(now + 70 * SECOND));
    server.handle_timeout(now + 70 * SECOND);
    assert_eq!(sent(&mut server), [ServerPacket::BadShortMessage]);
}

#[test]
fn a_server_whose_client_takes_nothing_stops_reading() {
    let limits = Limits::default().max_transmit_bytes(100);
    let (mut server, now) = member_of(ServerConfig::default().limits(limits));
    says(&mut server, now, &[head(1, 2, b"x")]);
    discard(&mut server);
    let empty: Vec<u8> =
        (0..100_u32).flat_map(|n| raw(0x50, &[&n.to_be_bytes(), &ROOM.0, b""])).collect();
    server.handle_input(now, &empty);
    assert!(!server.wants_input());
    assert_eq!(server.poll_timeout(), Some(now + 2 * SECOND), "its clock goes on");
    let first = server.poll_transmit().unwrap();
    assert!(first.len() < 120, "{}", first.len());
    let rest: usize = std::iter::from_fn(|| server.poll_transmit()).map(|bytes| bytes.len()).sum();
    assert_eq!(first.len() + rest, 100 * 10);
    assert!(server.wants_input());
    // A client reads on, and does without receipts.
    let limits = Limits::default().max_transmit_bytes(100);
    let (mut client, now) = client_of(ClientConfig::default().limits(limits));
    for number in 0..100 {
        let (username, alias, message) = ("b".into(), "".into(), Base64::of(&b"x"[..]));
        hears(
            &mut client,
            now,
            &[ServerPacketRef::ShortMessageDelivery {
                unique_id: uid(number),
                room: ROOM,
                username,
                alias,
                message,
            }],
        );
    }
    assert!(client.wants_input());
    assert_eq!(events(&mut client).len(), 100);
    assert!(sent_by(&mut client).len() < 10);
}

#[test]
fn the_link_may_be_cut_at_every_byte() {
    // Steps 1 to 4: whatever the moment, both sides end, and nothing stays without its outcome.
    let run = |cut_after: Option<usize>| {
        let mut pair = Pair::new(10 * MILLISECOND, |now| {
            let server = Server::new(Arc::default(), "guest-7", now).unwrap();
            (Client::new(Arc::default(), now), server)
        });
        pair.cut_after = cut_after;
        let mut requests = vec![pair.client.session.login(pair.now, "ada", b"hunter2").unwrap()];
        let mut delivered = Vec::new();
        let (mut outcomes, mut receipts) = (Vec::new(), Vec::new());
        for round in 0..40 {
            pair.run_for(100 * MILLISECOND);
            let now = pair.now;
            for event in std::mem::take(&mut pair.server.events) {
                let server = &mut pair.server.session;
                match event {
                    ServerEvent::Login { .. } => drop(server.accept(now)),
                    ServerEvent::Message { id, .. } => drop(server.accept_message(now, id)),
                    ServerEvent::Echo { message } => {
                        if server.echo(now, uid(round), &message).is_ok() {
                            delivered.push(uid(round));
                        }
                    }
                    ServerEvent::LongMessage { room, message, .. } => {
                        if server.forward(now, uid(round), room, &message).is_ok() {
                            delivered.push(uid(round));
                        }
                    }
                    ServerEvent::Received { unique_id }
                    | ServerEvent::Unacknowledged { unique_id } => receipts.push(unique_id),
                    other => panic!("{other:?}"),
                }
            }
            for event in std::mem::take(&mut pair.client.events) {
                if let ClientEvent::Outcome { request, outcome } = event {
                    outcomes.push((request, outcome));
                }
            }
            let client = &mut pair.client.session;
            let sends = match round {
                2 => client.send_message(now, RoomId::ECHO, b"hello"),
                3 => client.send_message(now, RoomId::GLOBAL, b"hello"),
                4 => client.send_message(now, RoomId::ECHO, &[7; 3100]),
                39 => {
                    client.close(now);
                    continue;
                }
                _ => continue,
            };
            requests.extend(sends.ok());
        }
        pair.run_for(SECOND);
        receipts.extend(pair.server.events.drain(..).filter_map(|event| match event {
            ServerEvent::Received { unique_id } | ServerEvent::Unacknowledged { unique_id } => {
                Some(unique_id)
            }
            _ => None,
        }));
        outcomes.extend(pair.client.events.drain(..).filter_map(|event| match event {
            ClientEvent::Outcome { request, outcome } => Some((request, outcome)),
            _ => None,
        }));
        let mut answered: Vec<_> = outcomes.iter().map(|(request, _)| *request).collect();
        answered.sort();
        assert_eq!(answered, requests, "cut after {cut_after:?}");
        receipts.sort();
        assert_eq!(receipts, delivered, "cut after {cut_after:?}");
        assert!(pair.client.session.ended().is_some() && pair.server.session.ended().is_some());
        outcomes
    };
    let whole = run(None);
    assert_eq!(whole.len(), 4);
    assert!(whole.iter().all(|(_, outcome)| *outcome == Outcome::Okay), "{whole:?}");
    for cut_after in (0..900).chain((900..9500).step_by(89)) {
        run(Some(cut_after));
    }
}

#[test]
fn step4_okay_only_once_all_parts_are_sent() {
    let limits = Limits::default().max_transmit_bytes(5000);
    let (mut client, now) = client_of(ClientConfig::default().limits(limits));
    let number = client.send_message(now, ROOM, &text(4)).unwrap().number();
    discard(&mut client);
    // Two parts fit; the third isn't sent. Okay for three is a server's lie.
    client.handle_input(
        now,
        &encoded(&[head_okay(number), part_okay(number), part_okay(number), part_okay(number)]),
    );
    assert_eq!(told(&mut client), []);
}

#[test]
fn step1_a_client_that_is_logged_in_waits_for_no_login() {
    let (client, _) = client();
    assert_eq!(client.poll_timeout(), None);
    let now = epoch();
    let mut client = Client::new(Arc::default(), now);
    client.login(now, "ada", b"wrong").unwrap();
    client.handle_input(now, b"\x03\xFF\x03\x02\x03\0");
    assert_eq!(client.poll_timeout(), None, "refused: nothing to wait for either");
}

#[test]
fn step5_wishes_of_one_kind_are_answered_in_their_order() {
    let (mut client, now) = client();
    let [first, second] = ["one", "two"].map(|alias| client.change_alias(now, alias).unwrap());
    client.handle_input(now, b"\xA7\xFF\x07\0\xA7\xFF\x03\0");
    let in_use = Outcome::AliasRefused(NewAliasStatus::AlreadyInUse);
    assert_eq!(events(&mut client), [outcome(first, in_use), outcome(second, Outcome::Okay)]);
}

#[test]
fn step5_a_wish_has_one_outcome_while_other_requests_are_open() {
    let (mut client, now) = client();
    client.send_message(now, ROOM, b"open").unwrap();
    let alias = client.change_alias(now, "one").unwrap();
    client.handle_input(now, b"\xA7\xFF\x03\0\xA7\xFF\x03\0");
    assert_eq!(
        events(&mut client),
        [outcome(alias, Outcome::Okay), ClientEvent::Stray(PacketId(0xA7))]
    );
}

#[test]
fn step4_a_client_that_cannot_send_asks_and_answers_nothing_more() {
    let limits = Limits::default().max_transmit_bytes(100);
    let (mut client, now) = client_of(ClientConfig::default().limits(limits));
    let number = client.send_message(now, ROOM, &text(3)).unwrap().number();
    discard(&mut client);
    client.handle_input(now, &encoded(&[head_okay(number)]));
    // One part of 4 KB waits: there is no room.
    let client_message_id = id(number);
    let message = Base64::of(&b"x"[..]);
    let (unique_id, room) = (uid(1), ROOM);
    hears(
        &mut client,
        now,
        &[
            ServerPacketRef::ResendLongMessageHead { client_message_id },
            ServerPacketRef::ResendLongMessageNext { number: 1, client_message_id },
            ServerPacketRef::LongMessageDeliveryHead { remaining: 1, unique_id, room, message },
            ServerPacketRef::LongMessageDeliveryNext { number: 1, unique_id, message },
            ServerPacketRef::LongMessageDeliveryHead {
                remaining: 9,
                unique_id: uid(2),
                room,
                message,
            },
        ],
    );
    client.handle_timeout(now + 2 * SECOND);
    let heard: Vec<_> = sent_by(&mut client).iter().map(ClientPacket::name).collect();
    assert_eq!(heard, ["long_message_next", "long_message_next"]);
    // What it couldn't ask for then it asks for later, as often as may be.
    let rounds = (2..10).filter(|round| {
        client.handle_timeout(now + 2 * round * SECOND);
        sent_by(&mut client).iter().any(|packet| packet.name() == "resend_delivery_next")
    });
    assert_eq!(rounds.count(), 3);
}

#[test]
fn d3_what_goes_on_without_an_end_is_answered_once() {
    let (mut server, now) = member();
    // No `00` for four times `max_packet`.
    server.handle_input(now, &[b"\x50!".to_vec(), vec![b'x'; 4 * 8192]].concat());
    assert_eq!(sent(&mut server), [ServerPacket::BadShortMessage]);
}

#[test]
fn d3_the_timer_of_a_packet_begins_anew_at_each_resumption() {
    let (mut server, now) = member();
    // A `00` in its identifier; what is behind that begins a packet again, U80 by chance.
    server.handle_input(now, b"\x50\xFF\0\x50\xFF\x01");
    server.handle_timeout(now + 10 * SECOND);
    assert_eq!(sent(&mut server), [ServerPacket::BadShortMessage]);
    assert_eq!(server.poll_timeout(), Some(now + 20 * SECOND));
}

#[test]
fn time_stands_still_until_all_events_are_taken() {
    let limits = Limits::default().max_events(2);
    let (mut server, now) = member_of(ServerConfig::default().limits(limits));
    says(&mut server, now, &[head(1, 2, b"x")]);
    let packets: Vec<_> = (0..5).map(|number| short(number, ROOM, b"x")).collect();
    says(&mut server, now, &packets);
    assert!(server.poll_event().is_some());
    assert_eq!((server.wants_input(), server.poll_timeout()), (false, None));
    server.handle_timeout(now + 60 * SECOND);
    assert_eq!(events(&mut server).len(), 4);
}

#[test]
fn nothing_is_wanted_or_taken_behind_the_end_of_the_stream() {
    let limits = Limits::default().max_events(2);
    let (mut server, now) = member_of(ServerConfig::default().limits(limits));
    says(&mut server, now, &[short(1, ROOM, b"x"), short(2, ROOM, b"y")]);
    server.handle_eof(now);
    assert!(server.poll_event().is_some());
    assert_eq!((server.ended(), server.wants_input()), (None, false));
    says(&mut server, now, &[short(3, ROOM, b"z")]);
    assert_eq!((events(&mut server).len(), server.ended()), (1, Some(&End::Clean)));
}

#[test]
fn d3_a_violation_is_where_its_packet_begins() {
    let (mut server, now) = guest(ServerConfig::default());
    server.handle_input(
        now,
        &[b"\0\0".to_vec(), from_client(&codec(), &[short(1, ROOM, b"x")])].concat(),
    );
    assert_violation(&server, ViolationKind::NotLoggedIn(PacketId(0x50)), 2);
}

#[test]
fn step4_progress_gives_no_more_resends() {
    let (mut server, now) = member();
    says(&mut server, now, &[head(1, 9, b"x")]);
    let mut asked = 0;
    for round in 1..=6_u32 {
        server.handle_timeout(now + 4 * round * SECOND);
        asked += usize::from(sent(&mut server).contains(&ServerPacket::ResendLongMessageNext {
            number: 9,
            client_message_id: id(1),
        }));
        says(&mut server, now + 4 * round * SECOND, &[next(1, round, b"x")]);
    }
    assert_eq!(asked, 3);
}

#[test]
fn step4_one_timeout_asks_once() {
    let config = ServerConfig::default().resend_after(Duration::ZERO);
    let (mut server, now) = member_of(config);
    says(&mut server, now, &[head(1, 1, b"x")]);
    discard(&mut server);
    server.handle_timeout(now);
    assert_eq!(sent(&mut server).len(), 1);
}

#[test]
fn step4_a_part_that_is_not_sent_yet_is_not_sent_again() {
    let limits = Limits::default();
    let (mut client, now) = client_of(ClientConfig::default().limits(limits));
    let number = client.send_message(now, ROOM, &text(2)).unwrap().number();
    discard(&mut client);
    // Nor is the head by a number that is none of a part.
    let client_message_id = id(number);
    for number in [0, 1] {
        hears(
            &mut client,
            now,
            &[ServerPacketRef::ResendLongMessageNext { number, client_message_id }],
        );
        assert_eq!(client.poll_transmit(), None, "{number}");
    }
}

#[test]
fn d6_numbers_stay_where_the_login_changes_no_byte_order() {
    let (mut server, now) = guest(ServerConfig::default());
    let message = Base64::of(&b"x"[..]);
    let head = ClientPacketRef::LongMessageHead {
        remaining: 1,
        client_message_id: id(1),
        room: RoomId::GLOBAL,
        message,
    };
    says(&mut server, now, &[login(), head, next(1, 1, b"y")]);
    server.accept(now).unwrap();
    let seen = events(&mut server);
    assert!(
        matches!(seen[..], [ServerEvent::Login { .. }, ServerEvent::LongMessage { .. }]),
        "{seen:?}"
    );
    assert!(sent(&mut server).contains(&head_okay(1)));
}

#[test]
fn step1_a_failed_login_gives_time_for_another() {
    let config = ServerConfig::default();
    let (mut server, now) = guest(config.clone());
    let at = just_before(now + config.login_timeout);
    server.handle_input(at, &raw(0x02, &[b"", b"eA==", b"\x02"]));
    assert_eq!(server.poll_timeout(), Some(at + config.login_timeout));
}

#[test]
fn step4_a_receipt_is_for_all_of_an_id() {
    let (mut server, now) = member();
    server.deliver(now, UniqueId::new(1, 1), ROOM, "bob", "", &text(2)).unwrap();
    discard(&mut server);
    let (right, other) = (UniqueId::new(1, 1), UniqueId::new(1, 2));
    says(&mut server, now, &[ClientPacketRef::LongMessageReceived { unique_id: other }]);
    assert_eq!(
        sent(&mut server),
        [ServerPacket::UnknownLongReceipt { unique_id_prefix: other.prefix() }]
    );
    says(&mut server, now, &[ClientPacketRef::LongMessageReceived { unique_id: right }]);
    assert_eq!(events(&mut server), [ServerEvent::Received { unique_id: right }]);
}

#[test]
fn step4_a_long_message_of_tiny_parts_counts_what_it_takes() {
    let config = ServerConfig::default();
    let (mut server, now) = member_of(config.clone());
    let streams: Vec<Vec<u8>> = (0..1024)
        .map(|number| {
            let mut packets = vec![head(number, 256, b"a")];
            packets.extend((1..=256).map(|part| next(number, part, b"b")));
            from_client(&codec(), &packets)
        })
        .collect();
    let used = testkit::measure(|| {
        for stream in &streams {
            if !server.wants_input() {
                break;
            }
            server.handle_input(now, stream);
            while server.poll_transmit().is_some() {}
        }
    });
    assert!(!server.wants_input());
    assert!(used.bytes_max <= config.max_memory(10_000) as u64, "{used:?}");
}

#[test]
fn d5_a_packet_that_we_keep_waiting_is_not_overdue() {
    let limits = Limits::default().max_transmit_bytes(1000);
    let (mut server, now) = member_of(ServerConfig::default().limits(limits));
    let bytes = from_client(&codec(), &[short(1, ROOM, b"one")]);
    server.handle_input(now, &bytes[..5]);
    server.deliver(now, uid(1), ROOM, "bob", "", &[7; 1000]).unwrap();
    assert!(!server.wants_input());
    assert_eq!(server.poll_timeout(), None);
    let later = now + 20 * SECOND;
    server.handle_timeout(later);
    while server.poll_transmit().is_some() {}
    assert_eq!(server.poll_timeout(), Some(later + 10 * SECOND));
    server.handle_timeout(later);
    server.handle_input(later, &bytes[5..]);
    assert!(matches!(events(&mut server)[..], [ServerEvent::Message { .. }]));
}

#[test]
fn d6_numbers_of_messages_that_are_too_long_are_turned_round_as_well() {
    for whole in [true, false] {
        let (mut server, now) = guest(ServerConfig::default());
        let mut login = from_client(&codec(), &[login()]);
        let order = login.len() - 2;
        login[order] = 1;
        server.handle_input(now, &login);
        let message = "A".repeat(4004);
        let mut packet =
            raw(0x57, &[&2_u32.to_le_bytes(), &id(7).0, b"00000000", message.as_bytes()]);
        if !whole {
            packet.pop();
        }
        server.handle_input(now, &packet);
        server.accept(now).unwrap();
        let (room, message) = (LongRoomStatus::Okay, LongMessageStatus::Invalid);
        assert_eq!(sent(&mut server)[1], head_result(7, HeadCountStatus::Okay, room, message));
    }
    let (mut server, now) = guest(ServerConfig::default());
    let mut login = from_client(&codec(), &[login()]);
    let order = login.len() - 2;
    login[order] = 1;
    server.handle_input(now, &login);
    server.handle_input(now, &raw(0x57, &[&2_u32.to_le_bytes(), &id(1).0, b"00000000", b"eA=="]));
    let message = "A".repeat(4004);
    server.handle_input(now, &raw(0x5B, &[&2_u32.to_le_bytes(), &id(1).0, message.as_bytes()]));
    server.accept(now).unwrap();
    let Some(ServerPacket::LongMessageNextResult { number_status, .. }) = sent(&mut server).pop()
    else {
        panic!()
    };
    assert_eq!(number_status, PartNumberStatus::Okay);
}

#[test]
fn step1_what_is_held_is_handled_though_the_stream_has_ended() {
    let (mut server, now) = guest(ServerConfig::default());
    let short = short(1, RoomId::GLOBAL, b"one");
    says(&mut server, now, &[login(), short, ClientPacketRef::LogOff]);
    server.handle_eof(now);
    assert_eq!(server.ended(), None);
    server.accept(now).unwrap();
    let seen = events(&mut server);
    assert!(
        matches!(seen[..], [ServerEvent::Login { .. }, ServerEvent::Message { .. }, ..]),
        "{seen:?}"
    );
    assert_eq!(server.ended(), Some(&End::Clean));
    // So it is if the stream ends inside a packet, for which nobody waits any more.
    let (mut server, now) = guest(ServerConfig::default());
    let bytes = [&from_client(&codec(), &[login(), short])[..], b"\x50\xFF"].concat();
    server.handle_input(now, &bytes);
    server.handle_eof(now);
    let decided = now + ServerConfig::default().packet_timeout;
    assert!(server.poll_timeout().is_none_or(|at| at > decided));
    server.handle_timeout(decided);
    assert_eq!(server.ended(), None);
    server.accept(decided).unwrap();
    let seen = events(&mut server);
    assert!(
        matches!(seen[..], [ServerEvent::Login { .. }, ServerEvent::Message { .. }]),
        "{seen:?}"
    );
    let offset = (bytes.len() - 2) as u64;
    assert_eq!(server.ended(), Some(&End::Error(SessionError::UnexpectedEof { offset })));
    // With nothing held there is nothing to wait for.
    let (mut server, now) = guest(ServerConfig::default());
    says(&mut server, now, &[login()]);
    server.handle_eof(now);
    assert_eq!(server.ended(), Some(&End::Clean));
}

#[test]
fn step4_long_messages_on_their_way_differ_in_what_a_resend_asks_by() {
    let (mut server, now) = member();
    let [one, two, other] = [UniqueId::new(1, 1), UniqueId::new(1, 2), UniqueId::new(2, 1)];
    server.deliver(now, one, ROOM, "bob", "", &text(2)).unwrap();
    assert_eq!(server.deliver(now, two, ROOM, "bob", "", &text(2)), Err(SendError::DuplicateId));
    server.deliver(now, other, ROOM, "bob", "", &text(2)).unwrap();
}

#[test]
fn step5_a_late_result_is_not_that_of_the_next_wish() {
    // Not even where no more than one may be open.
    let limits = Limits::default().max_pending(1);
    let (mut client, now) = client_of(ClientConfig::default().limits(limits));
    let first = client.change_alias(now, "one").unwrap();
    let now = now + 30 * SECOND;
    client.handle_timeout(now);
    assert_eq!(events(&mut client), [outcome(first, Outcome::TimedOut)]);
    let second = client.change_alias(now, "two").unwrap();
    client.handle_input(now, b"\xA7\xFF\x07\0\xA7\xFF\x03\0\xA7\xFF\x03\0");
    let stray = ClientEvent::Stray(PacketId(0xA7));
    assert_eq!(events(&mut client), [stray.clone(), outcome(second, Outcome::Okay), stray]);
}

#[test]
fn step5_wishes_that_are_never_answered_do_not_pile_up() {
    let limits = Limits::default().max_pending(4);
    let (mut client, mut now) = client_of(ClientConfig::default().limits(limits));
    let mut kept = 0;
    for round in 0..100 {
        let used = testkit::measure(|| {
            for _ in 0..4 {
                client.change_alias(now, "x").unwrap();
            }
            discard(&mut client);
            now += 30 * SECOND;
            client.handle_timeout(now);
            discard(&mut client);
        });
        kept += used.bytes_current;
        assert!(kept < 4096, "{round}: {kept} bytes");
    }
}

#[test]
fn step4_parts_fit_into_max_packet() {
    let small = codec().max_packet(200);
    let mut pair = pair(ClientConfig::default().codec(small), ServerConfig::default().codec(small));
    let text = text(2)[..1000].to_vec();
    let session = &mut pair.server.session;
    session.deliver(pair.now, uid(1), RoomId::ECHO, "bob", "", &text).unwrap();
    let wide: LongMessage = [Bytes::from(text.clone())].into_iter().collect();
    session.forward(pair.now, uid(2), RoomId::ECHO, &wide).unwrap();
    let too_long = session.deliver(pair.now, uid(3), RoomId::ECHO, "bob", "", &[7; 257 * 123 + 1]);
    assert_eq!(too_long, Err(SendError::TooLong { len: 257 * 123 + 1, limit: 257 * 123 }));
    let request = pair.client.session.send_message(pair.now, RoomId::GLOBAL, &text).unwrap();
    pair.run_for(SECOND);
    let mut arrived = 0;
    for event in &pair.client.events {
        match event {
            ClientEvent::LongMessage { message, .. } => {
                assert_eq!(message.to_vec(), text);
                arrived += 1;
            }
            ClientEvent::Progress { parts: 9, .. } => {}
            other => assert_eq!(*other, outcome(request, Outcome::Okay)),
        }
    }
    assert_eq!(arrived, 2);
    let said = |event: &ServerEvent| matches!(event, ServerEvent::LongMessage { message, .. } if message.to_vec() == text);
    assert_eq!(pair.server.events.iter().filter(|event| said(event)).count(), 1);
}

#[test]
fn step4_too_many_parts_are_cut_anew() {
    for (parts, follow) in [(257, 256), (258, 1)] {
        let (mut server, now) = member();
        let tiny: LongMessage = (0..parts).map(|_| Bytes::from_static(b"x")).collect();
        server.forward(now, uid(1), ROOM, &tiny).unwrap();
        let heard = sent(&mut server);
        let Some(ServerPacket::LongMessageDeliveryHead { remaining, .. }) = heard.first() else {
            panic!("{heard:?}");
        };
        assert_eq!((*remaining, heard.len()), (follow, 1 + follow as usize));
    }
}

#[test]
fn step4_what_cannot_be_asked_for_now_is_asked_for_later() {
    let limits = Limits::default().max_transmit_bytes(1000);
    let (mut server, now) = member_of(ServerConfig::default().limits(limits));
    says(&mut server, now, &[head(1, 1, b"x")]);
    discard(&mut server);
    server.deliver(now, uid(1), ROOM, "bob", "", &[7; 1000]).unwrap();
    server.handle_timeout(now + 2 * SECOND);
    discard(&mut server);
    let asked = ServerPacket::ResendLongMessageNext { number: 1, client_message_id: id(1) };
    let times = (2..10).filter(|round| {
        server.handle_timeout(now + 2 * round * SECOND);
        sent(&mut server) == [asked.clone()]
    });
    assert_eq!(times.count(), 3);
}

#[test]
fn step4_a_client_hears_how_far_a_long_message_is() {
    let (mut client, now) = client();
    let request = client.send_message(now, ROOM, &text(4)).unwrap();
    let number = request.number();
    let [head, part] = [head_okay(number), part_okay(number)].map(|p| p.map(|_| &b""[..]));
    let progress = |arrived| ClientEvent::Progress { request, arrived, parts: 4 };
    hears(&mut client, now, &[head]);
    assert_eq!(events(&mut client), [progress(1)]);
    // It is no progress when it comes again.
    hears(&mut client, now, &[head]);
    assert_eq!(events(&mut client), []);
    // Only the latest waits.
    hears(&mut client, now, &[part, part]);
    assert_eq!(events(&mut client), [progress(3)]);
    hears(&mut client, now, &[part]);
    assert_eq!(events(&mut client), [outcome(request, Outcome::Okay)]);
}

#[test]
fn step4_no_more_than_all_of_a_long_message_arrives() {
    let (mut client, now) = client();
    let request = client.send_message(now, ROOM, &text(2)).unwrap();
    let part = part_okay(request.number()).map(|_| &b""[..]);
    hears(&mut client, now, &[part; 5]);
    assert_eq!(events(&mut client), [ClientEvent::Progress { request, arrived: 2, parts: 2 }]);
}

#[test]
fn step4_progress_of_one_long_message_replaces_none_of_another() {
    let (mut client, now) = client();
    let requests = [text(2), text(3)].map(|text| client.send_message(now, ROOM, &text).unwrap());
    let heads = requests.map(|request| head_okay(request.number()).map(|_| &b""[..]));
    hears(&mut client, now, &heads);
    let [a, b] = requests;
    let progress = |request, parts| ClientEvent::Progress { request, arrived: 1, parts };
    assert_eq!(events(&mut client), [progress(a, 2), progress(b, 3)]);
}

#[test]
fn step5_who_asks_twice_is_let_in_once() {
    let (mut server, now) = member();
    let room = RoomId::from_counter(1);
    says(&mut server, now, &[join(room, b""), join(room, b"")]);
    let let_in = events(&mut server).into_iter().map(|event| match event {
        ServerEvent::JoinRoom { id, .. } => server.accept_join(now, id),
        other => panic!("{other:?}"),
    });
    assert_eq!(let_in.collect::<Vec<_>>(), [Ok(()), Err(AnswerError)]);
    let told = [JoinRoomStatus::Okay, JoinRoomStatus::AlreadyInRoom];
    assert_eq!(sent(&mut server), told.map(|status| join_result(room, status)));
    assert_eq!(server.rooms(), [room, ROOM]);
}

#[test]
fn step1_what_is_held_is_where_its_packet_begins() {
    let (mut server, now) = guest(ServerConfig::default());
    let mut bytes = from_client(&codec(), &[login()]);
    bytes.extend(b"\0\0");
    bytes.extend(from_client(&codec(), &[short(1, ROOM, b"x")]));
    server.handle_input(now, &bytes);
    server.refuse_login(now, LoginRefusal::Password).unwrap();
    assert_violation(&server, ViolationKind::NotLoggedIn(PacketId(0x50)), login_len() + 2);
}

#[test]
fn step2_what_another_try_would_only_repeat_is_no_reason_to_connect_again() {
    for error in [
        SessionError::TooManyFailedLogins,
        SessionError::MultipleEndpointsRefused,
        SessionError::BadFirstPacket,
    ] {
        assert!(!error.should_reconnect(), "{error}");
    }
    for error in [SessionError::LoginTimeout, SessionError::UnexpectedEof { offset: 7 }] {
        assert!(error.should_reconnect(), "{error}");
    }
}

#[test]
fn a_timeout_that_has_come_waits_until_the_events_are_taken() {
    let config = ClientConfig::default().limits(Limits::default().max_events(1));
    let (now, late) = (epoch(), epoch() + Duration::from_secs(61));
    let mut client = Client::new(Arc::new(config), now);
    client.login(now, "ada", b"hunter2").unwrap();
    discard(&mut client);
    // The result is behind an event that nobody takes.
    client.handle_input(late, b"\x01\xFFguest-7\0\x03\xFF\x03\x03\x03\0");
    client.handle_timeout(late);
    assert_eq!(client.ended(), None);
    discard(&mut client);
    assert!(client.is_logged_in());
}

#[test]
fn step4_what_fits_into_a_packet_is_no_long_message() {
    let is_short = |max_packet: u16, len: usize| {
        let codec = codec().max_packet(max_packet);
        let (mut client, now) = client_of(ClientConfig::default().codec(codec));
        client.send_message(now, ROOM, &vec![7; len]).unwrap();
        matches!(sent_by(&mut client)[..], [ClientPacket::ShortMessage { .. }])
    };
    for (max_packet, len) in [(21, 3), (37, 15), (100, 60), (4017, 3000), (4033, 3000)] {
        assert!(is_short(max_packet, len), "{max_packet}, {len}");
    }
    for (max_packet, len) in [(100, 61), (4016, 3000), (8192, 3001)] {
        assert!(!is_short(max_packet, len), "{max_packet}, {len}");
    }
    // A delivery has its names, too; as a long message it has none.
    let is_delivered_short = |max_packet: u16, name: &str, len: usize| {
        let codec = codec().max_packet(max_packet);
        let (mut server, now) = member_of(ServerConfig::default().codec(codec));
        server.deliver(now, uid(1), ROOM, name, "", &vec![7; len]).unwrap();
        matches!(sent(&mut server)[..], [ServerPacket::ShortMessageDelivery { .. }])
    };
    assert!(is_delivered_short(200, "bob", 123));
    assert!(!is_delivered_short(200, "a-rather-long-username", 123));
    assert!(!is_delivered_short(200, "bob", 126));
    let codec = codec().max_packet(34 + 3);
    let (mut server, now) = member_of(ServerConfig::default().codec(codec));
    let too_long = server.deliver(now, uid(1), ROOM, "bobby", "", b"one");
    assert_eq!(too_long, Err(SendError::TooLong { len: 3, limit: 0 }));
    // Nothing is as long as it can be where not even the names fit, and can't be said in parts.
    for (max_packet, name) in [(34 + 3, "sevenxx"), (90, &*"n".repeat(64))] {
        let codec = codec.max_packet(max_packet);
        let (mut server, now) = member_of(ServerConfig::default().codec(codec));
        assert_eq!(server.deliver(now, uid(1), ROOM, name, "", b""), Err(SendError::Empty));
        assert_eq!(server.deliver(now, uid(1), ROOM, "bob", "", b""), Ok(()));
    }
    // The largest part fills its packet.
    assert!(!is_delivered_short(34 + 4, "bobby", 3) && !is_delivered_short(34 + 4, "bob", 6));
}

#[test]
fn step1_what_is_held_and_broken_is_where_it_begins() {
    let (mut server, now) = guest(ServerConfig::default());
    let bytes = [&from_client(&codec(), &[login()])[..], b"\x50\xFF1234xbroken"].concat();
    server.handle_input(now, &bytes);
    server.handle_input(now, b"more\0");
    server.refuse_login(now, LoginRefusal::Password).unwrap();
    let Some(End::Error(SessionError::Violation(violation))) = server.ended() else { panic!() };
    assert_eq!(violation.offset, login_len());
}

#[test]
fn step1_what_is_held_goes_on_as_answers_are_taken() {
    let limits = Limits::default().max_transmit_bytes(10);
    let (mut server, now) = guest(ServerConfig::default().limits(limits));
    says(&mut server, now, &[login()]);
    says(&mut server, now, &[ClientPacketRef::SupportedPacketsRequest; 5]);
    server.accept(now).unwrap();
    let heard: Vec<_> = sent(&mut server).iter().map(ServerPacket::name).collect();
    assert_eq!(heard[0], "login_result");
    assert_eq!(heard[1..], ["server_supports"; 5]);
}

#[test]
fn step2_a_session_prints_where_it_is_and_no_password() {
    let (mut server, now) = guest(ServerConfig::default());
    let mut client = Client::new(Arc::default(), now);
    let is = |shown: String, start: &str| {
        assert!(shown.starts_with(start) && shown.ends_with("ended: None, .. }"), "{shown}");
        assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"), "{shown}");
    };
    is(format!("{server:?}"), "Server { side: Greeted, events: 0, transmit_bytes: 0, ");
    is(format!("{client:?}"), "Client { side: No, events: 0, transmit_bytes: 0, ");
    client.login(now, "ada", b"hunter2").unwrap();
    is(format!("{client:?}"), "Client { side: LoggingIn(1), events: 0, transmit_bytes: 21, ");
    server.handle_input(now, &client.poll_transmit().unwrap());
    is(format!("{server:?}"), "Server { side: Deciding, events: 1, transmit_bytes: 0, ");
    server.accept(now).unwrap();
    is(format!("{server:?}"), "Server { side: LoggedIn, events: 1, transmit_bytes: 6, ");
    client.handle_input(now, &server.poll_transmit().unwrap());
    is(format!("{client:?}"), "Client { side: Done, events: 1, transmit_bytes: 0, ");
    // What is held behind a refused login keeps nobody deciding.
    let (mut server, now) =
        guest(ServerConfig::default().limits(Limits::default().max_transmit_bytes(1)));
    says(&mut server, now, &[login(), ClientPacketRef::SupportedPacketsRequest]);
    server.refuse_login(now, LoginRefusal::Password).unwrap();
    is(format!("{server:?}"), "Server { side: Greeted, events: 1, transmit_bytes: 6, ");
}

#[test]
fn no_more_waits_to_be_sent_than_max_transmit_bytes() {
    let (room, username, alias) = (ROOM, "bob".into(), "".into());
    let len = from_server(&codec(), &[ServerPacketRef::UserJoined { room, username, alias }]).len();
    for (limit, second, wants_input) in [
        (2 * len - 1, Err(SendError::QueueFull), true),
        (2 * len, Ok(()), false),
        (2 * len + 1, Ok(()), true),
    ] {
        let limits = Limits::default().max_transmit_bytes(limit);
        let (mut server, now) = member_of(ServerConfig::default().limits(limits));
        server.user_joined(now, ROOM, "bob", "").unwrap();
        assert_eq!(server.user_joined(now, ROOM, "bob", ""), second, "{limit}");
        assert_eq!(server.wants_input(), wants_input, "{limit}");
        assert_eq!(sent(&mut server).len(), 1 + usize::from(second.is_ok()), "{limit}");
    }
}

#[test]
fn step4_long_messages_are_equal_however_they_are_cut() {
    let cut = |parts: &[&'static [u8]]| -> LongMessage {
        parts.iter().map(|part| Bytes::from_static(part)).collect()
    };
    let message = cut(&[b"one", b"two"]);
    assert_eq!(message, cut(&[b"o", b"", b"netwo"]));
    for other in [&[&b"one"[..], b"twO"][..], &[b"one"], &[b"one", b"two", b"x"], &[]] {
        assert_ne!(message, cut(other));
    }
    // Of what they say they print no more than the start.
    assert_eq!(format!("{message:?}"), "LongMessage(6 bytes, \"one\"…)");
    let long = format!("{:?}", cut(&[b"a string of 33 bytes, an odd one."]));
    assert_eq!(long, "LongMessage(33 bytes, \"a string of 33 bytes, an odd one\"…)");
}

#[test]
fn step6_nothing_is_kept_of_what_comes_behind_the_end() {
    let (mut server, now) = member();
    let mut bytes = from_client(&codec(), &[ClientPacketRef::LogOff]);
    bytes.resize(10_000, b'x');
    let used = testkit::measure(|| server.handle_input(now, &bytes));
    assert_eq!(server.ended(), Some(&End::Clean));
    assert!(used.bytes_current < 1000, "{} bytes", used.bytes_current);
}

// --- settings

#[test]
fn each_setting_is_kept_beside_the_others() {
    let seconds = Duration::from_secs;
    let codec = CodecConfig::default()
        .byte_order(ByteOrder::LittleEndian)
        .endian_marker(EndianMarker::Letter)
        .status_digits(StatusDigits::Hex)
        .max_packet(1)
        .max_username(2)
        .max_alias(3)
        .max_email(4)
        .max_text(5);
    assert_eq!(codec.byte_order, ByteOrder::LittleEndian);
    assert_eq!(codec.endian_marker, EndianMarker::Letter);
    assert_eq!(codec.status_digits, StatusDigits::Hex);
    assert_eq!((codec.max_packet, codec.max_username, codec.max_alias), (1, 2, 3));
    assert_eq!((codec.max_email, codec.max_text), (4, 5));
    let limits = Limits::default()
        .max_malformed(1)
        .max_transmit_bytes(2)
        .max_events(3)
        .max_event_bytes(4)
        .max_pending(5)
        .max_parts(6)
        .max_assemblies(7)
        .max_outgoing(8)
        .max_resends(9)
        .max_unacked(10)
        .max_rooms(11)
        .max_held_packets(12)
        .max_held_bytes(13)
        .max_failed_logins(14);
    assert_eq!((limits.max_malformed, limits.max_transmit_bytes), (1, 2));
    assert_eq!((limits.max_events, limits.max_event_bytes, limits.max_pending), (3, 4, 5));
    assert_eq!((limits.max_parts, limits.max_assemblies, limits.max_outgoing), (6, 7, 8));
    assert_eq!((limits.max_resends, limits.max_unacked, limits.max_rooms), (9, 10, 11));
    assert_eq!((limits.max_held_packets, limits.max_held_bytes), (12, 13));
    assert_eq!(limits.max_failed_logins, 14);
    let client = ClientConfig::default()
        .codec(codec)
        .limits(limits)
        .speaks(ByteOrder::LittleEndian)
        .login_timeout(seconds(1))
        .packet_timeout(seconds(2))
        .result_timeout(seconds(3))
        .resend_after(seconds(4))
        .assembly_timeout(seconds(5));
    assert_eq!(
        (client.codec, client.limits, client.speaks),
        (codec, limits, ByteOrder::LittleEndian)
    );
    assert_eq!((client.login_timeout, client.packet_timeout), (seconds(1), seconds(2)));
    assert_eq!((client.result_timeout, client.resend_after), (seconds(3), seconds(4)));
    assert_eq!(client.assembly_timeout, seconds(5));
    let server = ServerConfig::default()
        .codec(codec)
        .limits(limits)
        .login_timeout(seconds(1))
        .packet_timeout(seconds(2))
        .resend_after(seconds(3))
        .assembly_timeout(seconds(4));
    assert_eq!((server.codec, server.limits), (codec, limits));
    assert_eq!((server.login_timeout, server.packet_timeout), (seconds(1), seconds(2)));
    assert_eq!((server.resend_after, server.assembly_timeout), (seconds(3), seconds(4)));
}
