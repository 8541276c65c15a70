//! The conversation of SPEC.md, step by step, over a link under virtual time.

#![allow(clippy::unchecked_time_subtraction, reason = "deadlines lie behind their start")]

use std::sync::Arc;
use std::time::Duration;

use litecord_proto::{
    AnswerError, Backoff, Client, ClientEvent, CloseCode, CloseFrame, CodecConfig, Config,
    DecideError, DecodeErrorKind, Directions, EncodeError, End, Json, Limits, Message, OpCode,
    Outcome, PeerRequestId, RequestId, SendError, Server, ServerEvent, Session, SessionError,
    ViolationKind,
};
use testkit::conformance::{discard, events};
use testkit::epoch;
use testkit::litecord::{PASSWORD, hello, hello_ack};
use testkit::pair::Pair;
use testkit::wire::sent;

type LitecordPair = Pair<Client, Server>;

const SECOND: Duration = Duration::from_secs(1);
const NANOSECOND: Duration = Duration::from_nanos(1);
const LATENCY: Duration = Duration::from_millis(20);

/// The server compares passwords.
fn config() -> Config {
    Config::default().password(PASSWORD)
}

/// Both ends before the handshake.
fn connected(config: Config) -> LitecordPair {
    let config = Arc::new(config);
    Pair::new(LATENCY, |now| {
        (Client::new(config.clone(), PASSWORD, now).unwrap(), Server::new(config, now))
    })
}

/// Both ends after the handshake, with no events left.
fn ready(config: Config) -> LitecordPair {
    let mut pair = connected(config);
    pair.run_for(SECOND);
    if pair.server.session.accept(pair.now).is_ok() {
        pair.run_for(SECOND);
    }
    assert!(pair.client.session.is_authenticated() && pair.server.session.is_authenticated());
    pair.client.events.clear();
    pair.server.events.clear();
    pair
}

fn text(text: &str) -> Message {
    Message::text(text.to_owned())
}

/// A server that got these, after the handshake or instead of one.
fn server_got(config: &Arc<Config>, ready: bool, texts: &[&str]) -> Server {
    let now = epoch();
    let mut server = Server::new(config.clone(), now);
    if ready {
        server.handle_input(now, &hello_ack(PASSWORD));
        let _ = server.accept(now);
        assert!(server.is_authenticated());
    }
    discard(&mut server);
    for got in texts {
        server.handle_input(now, &text(got));
    }
    server
}

/// A client that got these, after the server's Hello or instead of it.
fn client_got(config: &Arc<Config>, ready: bool, texts: &[&str]) -> Client {
    let now = epoch();
    let mut client = Client::new(config.clone(), PASSWORD, now).unwrap();
    if ready {
        client.handle_input(now, &hello(10_000));
    }
    discard(&mut client);
    for got in texts {
        client.handle_input(now, &text(got));
    }
    client
}

fn json(text: &str) -> Json {
    litecord_proto::JsonRef::new(text).unwrap().into()
}

/// The session has ended by this violation, and has only a close frame with this code to send.
#[track_caller]
fn assert_violation<S>(session: &mut S, kind: ViolationKind, code: u16)
where
    S: Session<Transmit = Message, Error = SessionError>,
{
    match session.ended() {
        Some(End::Error(SessionError::Violation(violation))) => assert_eq!(violation.kind, kind),
        other => panic!("no violation: {other:?}"),
    }
    let Some(Message::Close(Some(frame))) = session.poll_transmit() else { panic!("no close") };
    assert_eq!((frame.code(), kind.close_code()), (code, CloseCode(code)));
    assert!(!frame.reason().is_empty());
    assert_eq!(session.poll_transmit(), None);
    assert!(!session.wants_input());
    assert_eq!(session.poll_timeout(), None);
}

fn outcome_of_client(request: RequestId, outcome: Outcome) -> ClientEvent {
    ClientEvent::Outcome { request, outcome }
}

fn outcome_of_server(request: RequestId, outcome: Outcome) -> ServerEvent {
    ServerEvent::Outcome { request, outcome }
}

// --- 1: Hello

#[test]
fn step1_the_server_speaks_first_and_the_client_answers_with_the_password() {
    let config = Arc::new(config().heartbeat_interval(Duration::from_millis(41_250)));
    let now = epoch();
    let mut server = Server::new(config.clone(), now);
    assert_eq!(sent(&mut server), [r#"{"op":0,"hb_interval":41250}"#]);
    let mut client = Client::new(config, "hunter\"2\"", now).unwrap();
    assert_eq!((client.poll_transmit(), client.poll_event()), (None, None));
    client.handle_input(now, &hello(41_250));
    assert_eq!(sent(&mut client), [r#"{"op":1,"password":"hunter\"2\""}"#, r#"{"op":2}"#]);
    let heartbeat_interval = Duration::from_millis(41_250);
    assert_eq!(events(&mut client), [ClientEvent::Connected { heartbeat_interval }]);
    assert!(!client.is_authenticated());
}

#[test]
fn step1_anything_else_first_ends_the_client() {
    let config = Arc::new(config());
    for (first, op) in [
        (r#"{"op":3}"#, OpCode::HEARTBEAT_ACK),
        (r#"{"op":4,"w":"x","a":[],"n":1}"#, OpCode::REQUEST),
        (r#"{"op":5,"n":1,"r":null}"#, OpCode::RESPONSE),
        (r#"{"op":6,"w":"x","a":[]}"#, OpCode::DISPATCH),
        (r#"{"op":7}"#, OpCode(7)),
    ] {
        let mut client = client_got(&config, false, &[first]);
        assert_violation(&mut client, ViolationKind::OutOfTurn(op), 1008);
        assert_eq!(client.poll_event(), None);
    }
    let mut client = client_got(&config, false, &["hello"]);
    assert_violation(&mut client, ViolationKind::Malformed(DecodeErrorKind::NotJson), 1007);
}

#[test]
fn step1_no_hello_in_time() {
    let config = Arc::new(config());
    let mut client = client_got(&config, false, &[]);
    let start = epoch();
    let deadline = client.poll_timeout().unwrap();
    assert!(deadline <= start + Duration::from_secs(10));
    client.handle_timeout(deadline - NANOSECOND);
    assert_eq!(client.ended(), None);
    client.handle_timeout(deadline);
    assert_eq!(client.ended(), Some(&End::Error(SessionError::HandshakeTimeout)));
    assert_eq!(sent(&mut client), ["close 1008"]);
}

#[test]
fn step1_a_password_that_does_not_fit_is_an_error_for_the_caller() {
    let config = Arc::new(config().codec(CodecConfig::default().max_message(30)));
    let result = Client::new(config.clone(), "123456789", epoch());
    assert_eq!(result.err(), Some(EncodeError::MessageTooLarge { len: 31, limit: 30 }));
    assert!(Client::new(config, "12345678", epoch()).is_ok());
}

#[test]
fn step1_nobody_sends_before_the_handshake_is_done() {
    let config = Arc::new(Config::default());
    let now = epoch();
    let mut client = client_got(&config, false, &[]);
    assert_eq!(client.request(now, "x", &[1]), Err(SendError::NotReady));
    assert_eq!(client.dispatch(now, "x", &[1]), Err(SendError::NotReady));
    client.handle_input(now, &hello(10_000));
    client.request(now, "x", &[1]).unwrap();
    let mut server = server_got(&config, false, &[]);
    server.handle_input(now, &hello_ack(PASSWORD));
    assert_eq!(server.request(now, "x", &[1]), Err(SendError::NotReady));
    assert_eq!(server.dispatch(now, "x", &[1]), Err(SendError::NotReady));
    server.accept(now).unwrap();
    server.request(now, "x", &[1]).unwrap();
}

// --- 2: the password

#[test]
fn step2_the_right_password_lets_in_and_the_first_ack_tells() {
    let mut pair = connected(config());
    pair.run_for(SECOND);
    assert_eq!(pair.server.events, [ServerEvent::Authenticated]);
    let heartbeat_interval = Duration::from_secs(10);
    let expected = [
        ClientEvent::Connected { heartbeat_interval },
        ClientEvent::Authenticated,
        ClientEvent::HeartbeatAck { round_trip: 2 * LATENCY },
    ];
    assert_eq!(pair.client.events, expected);
    assert!(pair.client.session.is_authenticated() && pair.server.session.is_authenticated());
}

#[test]
fn step2_the_first_response_tells_too_and_only_once() {
    let config = Arc::new(config());
    let mut client = client_got(&config, true, &[]);
    let request = client.request(epoch(), "x", &[1]).unwrap();
    client.handle_input(epoch(), &text(r#"{"op":5,"n":1,"r":7}"#));
    let response = outcome_of_client(request, Outcome::Response(json("7")));
    assert_eq!(events(&mut client), [ClientEvent::Authenticated, response]);
    client.handle_input(epoch(), &text(r#"{"op":3}"#));
    assert!(matches!(events(&mut client)[..], [ClientEvent::HeartbeatAck { .. }]));
    // What the server sends of its own accord proves nothing.
    let dispatch = r#"{"op":6,"w":"x","a":[]}"#;
    assert!(!client_got(&config, true, &[dispatch, r#"{"op":9}"#]).is_authenticated());
}

#[test]
fn step2_wrong_passwords_of_any_length_close_with_4001() {
    let right = "p".repeat(2048);
    let config = Arc::new(Config::default().password(right.clone()));
    let wrong = (0..=4096).filter(|len| *len != 2048).map(|len| "p".repeat(len));
    let near = [0, 1, 1024, 2047].map(|at| {
        let mut near = right.clone();
        near.replace_range(at..=at, "q");
        near
    });
    for password in wrong.chain(near) {
        let mut server = server_got(&config, false, &[]);
        server.handle_input(epoch(), &hello_ack(&password));
        assert_eq!(server.ended(), Some(&End::Error(SessionError::WrongPassword)));
        assert_eq!(sent(&mut server), ["close 4001"]);
        assert_eq!(server.poll_event(), None);
    }
    let mut server = server_got(&config, false, &[]);
    server.handle_input(epoch(), &hello_ack(&right));
    assert_eq!(events(&mut server), [ServerEvent::Authenticated]);
    // Nothing is a password, too.
    let config = Arc::new(Config::default().password(""));
    let server = server_got(&config, false, &[r#"{"op":1,"password":""}"#]);
    assert!(server.is_authenticated());
}

#[test]
fn step2_the_application_decides_about_passwords_of_any_length() {
    let config = Arc::new(Config::default());
    for len in 0..=4096 {
        let mut server = server_got(&config, false, &[]);
        server.handle_input(epoch(), &hello_ack(&"é".repeat(len)));
        let Some(ServerEvent::HelloAck { password }) = server.poll_event() else { panic!() };
        assert_eq!(**password.expose(), "é".repeat(len));
        assert!(!server.is_authenticated());
        if len % 2 == 0 {
            assert_eq!(server.refuse(epoch()), Ok(()));
            assert_eq!(server.ended(), Some(&End::Clean));
            assert_eq!(sent(&mut server), ["close 4001"]);
        } else {
            assert_eq!(server.accept(epoch()), Ok(()));
            assert_eq!(events(&mut server), [ServerEvent::Authenticated]);
            assert_eq!(server.poll_transmit(), None, "nothing on the wire acknowledges it");
        }
    }
}

#[test]
fn step2_a_client_that_is_turned_away_is_told_by_4001() {
    for configured in [true, false] {
        let config =
            if configured { Config::default().password("other") } else { Config::default() };
        let mut pair = connected(config);
        pair.run_for(SECOND);
        assert_eq!(pair.server.session.refuse(pair.now).is_ok(), !configured);
        pair.run_for(SECOND);
        let Some(End::Error(error)) = pair.client.session.ended() else { panic!() };
        let SessionError::Closed { code, .. } = error else { panic!("{error:?}") };
        assert_eq!(*code, CloseCode::AUTHENTICATION_FAILED);
        assert!(!error.should_reconnect());
        assert!(matches!(pair.client.events.make_contiguous(), [ClientEvent::Connected { .. }]));
    }
}

#[test]
fn step2_anything_before_the_hello_ack_closes_with_4002() {
    for config in [config(), Config::default()] {
        for (first, op) in [
            (r#"{"op":2}"#, OpCode::HEARTBEAT),
            (r#"{"op":4,"w":"x","a":[],"n":1}"#, OpCode::REQUEST),
            (r#"{"op":5,"n":1,"r":null}"#, OpCode::RESPONSE),
            (r#"{"op":6,"w":"x","a":[]}"#, OpCode::DISPATCH),
        ] {
            let mut server = server_got(&Arc::new(config.clone()), false, &[first]);
            assert_violation(&mut server, ViolationKind::NotAuthenticated(op), 4002);
            assert_eq!(server.poll_event(), None);
        }
    }
}

#[test]
fn step2_what_comes_while_undecided_is_handled_in_order_on_acceptance() {
    let config = Arc::new(Config::default());
    let mut server = server_got(&config, false, &[]);
    let now = epoch();
    server.handle_input(now, &hello_ack(PASSWORD));
    assert!(matches!(events(&mut server)[..], [ServerEvent::HelloAck { .. }]));
    for (at, held) in [
        r#"{"op":2}"#,
        r#"{"op":4,"w":"ask","a":[1],"n":"a"}"#,
        r#"{"op":6,"w":"tell","a":{}}"#,
        r#"{"op":2,"s":5}"#,
        r#"{"op":5,"n":1,"r":1}"#,
        r#"{"op":9}"#,
    ]
    .into_iter()
    .enumerate()
    {
        server.handle_input(now + SECOND * u32::try_from(at).unwrap(), &text(held));
        assert_eq!((server.poll_event(), server.poll_transmit()), (None, None));
        assert!(server.wants_input());
    }
    server.accept(now + 6 * SECOND).unwrap();
    assert_eq!(sent(&mut server), [r#"{"op":3}"#, r#"{"op":3}"#]);
    let events = events(&mut server);
    let [
        ServerEvent::Authenticated,
        ServerEvent::Request { id, what: ask, .. },
        ServerEvent::Dispatch { what: tell, args },
        ServerEvent::StrayResponse { .. },
        ServerEvent::Unknown { op: OpCode(9), .. },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((&**ask, &**tell, args.get()), ("ask", "tell", "{}"));
    server.respond(now, *id, &1).unwrap();
    assert_eq!(sent(&mut server), [r#"{"op":5,"n":"a","r":1}"#]);
}

/// A server that awaits a decision.
fn undecided(config: &Arc<Config>) -> Server {
    let mut server = server_got(config, false, &[]);
    server.handle_input(epoch(), &hello_ack(PASSWORD));
    discard(&mut server);
    server
}

#[test]
fn step2_64_messages_are_held_and_no_more() {
    let config = Arc::new(Config::default());
    let mut server = undecided(&config);
    for n in 0..64 {
        server.handle_input(epoch(), &text(&format!(r#"{{"op":6,"w":"{n}","a":[]}}"#)));
    }
    assert_eq!(server.ended(), None);
    server.accept(epoch()).unwrap();
    assert_eq!(server.poll_event(), Some(ServerEvent::Authenticated));
    for n in 0..64 {
        let Some(ServerEvent::Dispatch { what, .. }) = server.poll_event() else { panic!() };
        assert_eq!(*what, n.to_string());
    }
    let mut server = undecided(&config);
    for _ in 0..65 {
        assert_eq!(server.ended(), None);
        server.handle_input(epoch(), &text(r#"{"op":2}"#));
    }
    assert_violation(&mut server, ViolationKind::TooMuchHeld, 4002);
    assert_eq!(server.accept(epoch()), Err(DecideError::NotWaiting));
    // Where none may be held, none is.
    let none = Arc::new(Config::default().limits(Limits::default().max_held(0)));
    let mut server = undecided(&none);
    server.handle_input(epoch(), &text(r#"{"op":2}"#));
    assert_violation(&mut server, ViolationKind::TooMuchHeld, 4002);
}

#[test]
fn step2_64_kib_are_held_and_not_a_byte_more() {
    let config = Arc::new(Config::default());
    let of_len = |len: usize| {
        let around = r#"{"op":6,"w":"","a":[]}"#.len();
        text(&format!(r#"{{"op":6,"w":"{}","a":[]}}"#, "x".repeat(len - around)))
    };
    for pieces in [1, 2, 64] {
        let mut server = undecided(&config);
        for _ in 0..pieces {
            server.handle_input(epoch(), &of_len(64 * 1024 / pieces));
        }
        assert_eq!(server.ended(), None);
        server.accept(epoch()).unwrap();
        assert_eq!(events(&mut server).len(), 1 + pieces);
    }
    let mut server = undecided(&config);
    server.handle_input(epoch(), &of_len(32 * 1024));
    server.handle_input(epoch(), &of_len(32 * 1024 + 1));
    assert_violation(&mut server, ViolationKind::TooMuchHeld, 4002);
    let mut server = undecided(&config);
    server.handle_input(epoch(), &of_len(64 * 1024 + 1));
    assert_violation(&mut server, ViolationKind::TooMuchHeld, 4002);
}

#[test]
fn step2_a_heartbeat_while_undecided_is_acknowledged_on_acceptance() {
    let mut pair = connected(Config::default());
    pair.run_for(3 * SECOND);
    assert_eq!(pair.client.events.len(), 1, "{:?}", pair.client.events);
    pair.server.session.accept(pair.now).unwrap();
    pair.run_for(SECOND);
    pair.client.events.pop_front();
    // Sent when the Hello came, acknowledged at 3 s.
    let round_trip = 3 * SECOND;
    let expected = [ClientEvent::Authenticated, ClientEvent::HeartbeatAck { round_trip }];
    assert_eq!(pair.client.events, expected);
    pair.run_for(60 * SECOND);
    assert_eq!((pair.client.session.ended(), pair.server.session.ended()), (None, None));
}

#[test]
fn step2_a_close_or_a_lost_connection_while_undecided_is_the_end() {
    let mut server = undecided(&Arc::new(Config::default()));
    server.handle_input(epoch(), &text(r#"{"op":6,"w":"never mind","a":[]}"#));
    server.handle_input(epoch(), &Message::Close(None));
    assert_eq!(server.ended(), Some(&End::Clean));
    assert_eq!(server.accept(epoch()), Err(DecideError::NotWaiting));
    assert_eq!(server.refuse(epoch()), Err(DecideError::NotWaiting));
    assert_eq!((server.poll_event(), server.poll_transmit()), (None, None));
    let mut server = undecided(&Arc::new(Config::default()));
    server.handle_eof(epoch());
    assert_eq!(server.ended(), Some(&End::Error(SessionError::ConnectionLost)));
    assert_eq!(server.accept(epoch()), Err(DecideError::NotWaiting));
}

#[test]
fn step2_what_is_wrong_with_what_is_held_shows_on_acceptance() {
    let config = Arc::new(Config::default());
    let dispatch = r#"{"op":6,"w":"before","a":[]}"#;
    for (held, kind, code) in [
        (r#"{"op":1,"password":"x"}"#, ViolationKind::OutOfTurn(OpCode::HELLO_ACK), 1008),
        ("{", ViolationKind::Malformed(DecodeErrorKind::NotJson), 1007),
        (
            r#"{"op":3}"#,
            ViolationKind::Malformed(DecodeErrorKind::WrongDirection(OpCode::HEARTBEAT_ACK)),
            1008,
        ),
    ] {
        let mut server = undecided(&config);
        for held in [dispatch, held, dispatch] {
            server.handle_input(epoch(), &text(held));
        }
        assert_eq!(server.ended(), None);
        server.accept(epoch()).unwrap();
        assert_violation(&mut server, kind, code);
        assert_eq!(events(&mut server).len(), 2, "let in, one dispatch, and no other");
    }
    // One that is turned away is told nothing else.
    let mut server = undecided(&config);
    server.handle_input(epoch(), &text("{"));
    server.refuse(epoch()).unwrap();
    assert_eq!(sent(&mut server), ["close 4001"]);
    assert_eq!(server.poll_event(), None);
}

#[test]
fn step2_undecided_in_time_closes_with_4001_and_no_hello_ack_with_4002() {
    let timed_out = End::Error(SessionError::HandshakeTimeout);
    let mut server = server_got(&Arc::new(Config::default()), false, &[]);
    let deadline = server.poll_timeout().unwrap();
    server.handle_timeout(deadline - NANOSECOND);
    assert_eq!(server.ended(), None);
    // Just in time: the decision has as long again.
    server.handle_input(deadline - NANOSECOND, &hello_ack(PASSWORD));
    discard(&mut server);
    let deadline = deadline - NANOSECOND + Duration::from_secs(10);
    assert_eq!(server.poll_timeout(), Some(deadline));
    server.handle_timeout(deadline - NANOSECOND);
    assert_eq!(server.ended(), None);
    server.handle_timeout(deadline);
    assert_eq!(server.ended(), Some(&timed_out));
    assert_eq!(sent(&mut server), ["close 4001"]);
    assert_eq!(server.accept(deadline), Err(DecideError::NotWaiting));

    let mut server = server_got(&Arc::new(config()), false, &[r#"{"op":200}"#]);
    discard(&mut server);
    let deadline = server.poll_timeout().unwrap();
    server.handle_timeout(deadline);
    assert_eq!(server.ended(), Some(&timed_out));
    assert_eq!(sent(&mut server), ["close 4002"]);
}

#[test]
fn step2_no_decision_without_a_hello_ack_or_twice() {
    let mut server = server_got(&Arc::new(Config::default()), false, &[]);
    assert_eq!(server.accept(epoch()), Err(DecideError::NotWaiting));
    assert_eq!(server.refuse(epoch()), Err(DecideError::NotWaiting));
    assert_eq!((server.poll_transmit(), server.ended()), (None, None));
    server.handle_input(epoch(), &hello_ack(PASSWORD));
    server.accept(epoch()).unwrap();
    assert_eq!(server.accept(epoch()), Err(DecideError::NotWaiting));
    assert_eq!(server.refuse(epoch()), Err(DecideError::NotWaiting));
    assert!(server.is_authenticated());
    let mut server = server_got(&Arc::new(config()), false, &[]);
    server.handle_input(epoch(), &hello_ack(PASSWORD));
    assert_eq!(server.refuse(epoch()), Err(DecideError::NotWaiting), "the secret has decided");
}

// --- 3: heartbeats of the client

#[test]
fn step3_a_heartbeat_right_after_the_hello_ack_and_then_on_the_beat() {
    let mut pair = connected(config());
    pair.run_for(Duration::from_secs(95));
    let acks = pair
        .client
        .events
        .iter()
        .filter(|event| **event == ClientEvent::HeartbeatAck { round_trip: 2 * LATENCY });
    assert_eq!(acks.count(), 10);
    assert_eq!(pair.client.events.len(), 12, "and nothing but that it is let in");
    assert_eq!(pair.server.events, [ServerEvent::Authenticated]);
}

#[test]
fn step3_the_beat_is_kept_when_the_caller_comes_late() {
    let mut client = client_got(&Arc::new(config()), true, &[]);
    let second = client.poll_timeout().unwrap();
    let ack = text(r#"{"op":3}"#);
    client.handle_input(second - SECOND, &ack);
    client.handle_timeout(second + 3 * SECOND);
    assert_eq!(sent(&mut client), [r#"{"op":2}"#]);
    discard(&mut client);
    assert_eq!(client.poll_timeout(), Some(second + Duration::from_secs(10)));
    // A whole beat late: one heartbeat, not two, and the beat begins anew.
    client.handle_input(second + 4 * SECOND, &ack);
    discard(&mut client);
    client.handle_timeout(second + Duration::from_secs(25));
    assert_eq!(sent(&mut client), [r#"{"op":2}"#]);
    assert_eq!(client.poll_timeout(), Some(second + Duration::from_secs(35)));
}

#[test]
fn step3_no_ack_by_the_next_beat_is_a_dead_connection() {
    let mut client = client_got(&Arc::new(config()), true, &[]);
    let second = client.poll_timeout().unwrap();
    client.handle_timeout(second - NANOSECOND);
    assert_eq!((client.poll_transmit(), client.ended()), (None, None));
    client.handle_timeout(second);
    assert_eq!(client.ended(), Some(&End::Error(SessionError::HeartbeatTimeout)));
    assert_eq!(sent(&mut client), ["close 4003"]);
    assert!(SessionError::HeartbeatTimeout.should_reconnect());
    // Other traffic is no ack.
    let mut client = client_got(&Arc::new(config()), true, &[]);
    let second = client.poll_timeout().unwrap();
    client.handle_input(second - SECOND, &text(r#"{"op":5,"n":1,"r":1}"#));
    discard(&mut client);
    client.handle_timeout(second);
    assert_eq!(client.ended(), Some(&End::Error(SessionError::HeartbeatTimeout)));
}

#[test]
fn step3_a_second_ack_is_ignored() {
    let ack = r#"{"op":3}"#;
    let mut client = client_got(&Arc::new(config()), true, &[ack, ack, ack]);
    let events = events(&mut client);
    assert!(
        matches!(events[..], [ClientEvent::Authenticated, ClientEvent::HeartbeatAck { .. }]),
        "{events:?}"
    );
    // Nor is it good for the next heartbeat.
    let second = client.poll_timeout().unwrap();
    client.handle_timeout(second);
    discard(&mut client);
    let third = client.poll_timeout().unwrap();
    assert_eq!(third - second, Duration::from_secs(10));
    client.handle_timeout(third);
    assert_eq!(client.ended(), Some(&End::Error(SessionError::HeartbeatTimeout)));
}

#[test]
fn step3_heartbeats_go_out_however_much_waits_but_never_pile_up() {
    let config = Arc::new(config().limits(Limits::default().max_transmit_bytes(1)));
    let mut client = client_got(&config, true, &[]);
    client.dispatch(epoch(), "long", &["x".repeat(1000)]).unwrap();
    // Nobody writes to the socket, and the server acknowledges what it can't have heard.
    for _ in 0..100 {
        client.handle_input(epoch(), &text(r#"{"op":3}"#));
        while client.poll_event().is_some() {}
        let at = client.poll_timeout().unwrap();
        client.handle_timeout(at);
    }
    let sent = sent(&mut client);
    assert_eq!((sent.len(), &*sent[1]), (2, r#"{"op":2}"#));
}

// --- 4: heartbeats at the server

#[test]
fn step4_no_heartbeat_in_the_interval_and_its_grace_closes_with_4003() {
    let config = Arc::new(config().heartbeat_grace(Duration::from_millis(500)));
    let mut server = server_got(&config, true, &[]);
    let patience = Duration::from_millis(10_500);
    let mut deadline = server.poll_timeout().unwrap();
    for _ in 0..3 {
        // At the last moment.
        let at = deadline - NANOSECOND;
        server.handle_timeout(at);
        server.handle_input(at, &text(r#"{"op":2}"#));
        assert_eq!(sent(&mut server), [r#"{"op":3}"#], "at once");
        deadline = at + patience;
        assert_eq!(server.poll_timeout(), Some(deadline));
    }
    // Other traffic is no heartbeat.
    server.handle_input(deadline - SECOND, &text(r#"{"op":6,"w":"x","a":[]}"#));
    discard(&mut server);
    server.handle_timeout(deadline);
    assert_eq!(server.ended(), Some(&End::Error(SessionError::HeartbeatTimeout)));
    assert_eq!(sent(&mut server), ["close 4003"]);
}

#[test]
fn step4_before_the_hello_ack_too_but_not_while_the_application_decides() {
    let config = Config::default().heartbeat_interval(2 * SECOND);
    let config = Arc::new(config.handshake_timeout(Duration::from_secs(100)));
    let start = epoch();
    let mut server = Server::new(config.clone(), start);
    assert_eq!(server.poll_timeout(), Some(start + 3 * SECOND), "since its Hello");
    server.handle_timeout(start + 3 * SECOND);
    assert_eq!(sent(&mut server), [r#"{"op":0,"hb_interval":2000}"#, "close 4003"]);

    let mut server = Server::new(config, start);
    server.handle_input(start, &hello_ack(PASSWORD));
    server.handle_timeout(start + Duration::from_secs(50));
    assert_eq!(server.ended(), None);
    server.accept(start + Duration::from_secs(50)).unwrap();
    assert_eq!(server.poll_timeout(), Some(start + Duration::from_secs(53)));
}

#[test]
fn step4_a_client_that_is_gone_is_noticed() {
    let mut pair = ready(config());
    pair.latency = Duration::from_secs(3600);
    pair.run_for(Duration::from_secs(60));
    let dead = End::Error(SessionError::HeartbeatTimeout);
    assert_eq!(pair.server.session.ended(), Some(&dead));
    assert_eq!(pair.client.session.ended(), Some(&dead));
}

// --- 5: requests

#[test]
fn step5_requests_both_ways_have_each_one_outcome() {
    let mut pair = ready(config());
    let now = pair.now;
    let c: Vec<_> = (0..3).map(|n| pair.client.session.request(now, "c", &[n]).unwrap()).collect();
    let s: Vec<_> = (0..3).map(|n| pair.server.session.request(now, "s", &[n]).unwrap()).collect();
    assert_eq!((c[0].nonce(), c[2].nonce(), s[2].nonce()), (1, 3, 3), "L5: counted from 1");
    pair.run_for(SECOND);
    let now = pair.now;
    for (n, event) in (0..3).zip(std::mem::take(&mut pair.server.events)) {
        let ServerEvent::Request { id, what, args } = event else { panic!("{event:?}") };
        assert_eq!((&*what, args.parse::<[u8; 1]>().unwrap()), ("c", [n]));
        if n < 2 {
            pair.server.session.respond(now, id, &(n, "yes")).unwrap();
            // Answering twice sends nothing.
            let again = pair.server.session.respond(now, id, &());
            assert_eq!(again, Err(AnswerError::NotOpen(id)));
        }
    }
    for (n, event) in (0..3).zip(std::mem::take(&mut pair.client.events)) {
        let ClientEvent::Request { id, what, args } = event else { panic!("{event:?}") };
        assert_eq!((&*what, args.parse::<[u8; 1]>().unwrap()), ("s", [n]));
        if n < 2 {
            pair.client.session.respond(now, id, &(n, "yes")).unwrap();
            let again = pair.client.session.respond(now, id, &());
            assert_eq!(again, Err(AnswerError::NotOpen(id)));
        }
    }
    pair.run_for(60 * SECOND);
    pair.client.events.retain(|event| !matches!(event, ClientEvent::HeartbeatAck { .. }));
    let outcome = |n: usize| match n {
        2 => Outcome::TimedOut,
        _ => Outcome::Response(json(&format!(r#"[{n},"yes"]"#))),
    };
    let expected = c.iter().enumerate().map(|(n, r)| outcome_of_client(*r, outcome(n)));
    assert_eq!(pair.client.events, expected.collect::<Vec<_>>());
    let expected = s.iter().enumerate().map(|(n, r)| outcome_of_server(*r, outcome(n)));
    assert_eq!(pair.server.events, expected.collect::<Vec<_>>());
}

#[test]
fn step5_a_request_times_out_on_time_and_its_late_response_goes_astray() {
    let mut pair = ready(config());
    let request = pair.server.session.request(pair.now, "?", &[0; 0]).unwrap();
    pair.run_for(5 * SECOND - NANOSECOND);
    assert!(pair.server.events.is_empty());
    pair.run_for(NANOSECOND);
    assert_eq!(pair.server.events, [outcome_of_server(request, Outcome::TimedOut)]);
    pair.server.events.clear();
    let Some(ClientEvent::Request { id, .. }) = pair.client.events.pop_front() else { panic!() };
    pair.client.session.respond(pair.now, id, &"late").unwrap();
    pair.run_for(SECOND);
    let expected = ServerEvent::StrayResponse { nonce: json("1"), result: json("\"late\"") };
    assert_eq!(pair.server.events, [expected]);
}

#[test]
fn step5_whatever_is_open_when_the_connection_is_lost_ends_closed() {
    // It is lost after every number of messages of a whole conversation.
    for cut_after in 0.. {
        let mut pair = connected(Config::default());
        pair.cut_after = Some(cut_after);
        let mut asked = (Vec::new(), Vec::new());
        pair.run_for(SECOND);
        let _ = pair.server.session.accept(pair.now);
        pair.run_for(SECOND);
        for n in 0..3 {
            asked.0.extend(pair.client.session.request(pair.now, "?", &[n]));
            asked.1.extend(pair.server.session.request(pair.now, "?", &[n]));
        }
        pair.run_for(SECOND);
        for event in &pair.client.events {
            if let ClientEvent::Request { id, .. } = event {
                let _ = pair.client.session.respond(pair.now, *id, &"fine");
            }
        }
        for event in &pair.server.events {
            if let ServerEvent::Request { id, .. } = event {
                let _ = pair.server.session.respond(pair.now, *id, &"fine");
            }
        }
        pair.run_for(SECOND);
        pair.client.session.close(pair.now);
        pair.run_for(SECOND);
        let whole = pair.cut_after > Some(0);
        let lost = End::Error(SessionError::ConnectionLost);
        match (pair.client.session.ended(), pair.server.session.ended()) {
            (Some(End::Clean), Some(End::Clean)) => assert!(cut_after >= 17),
            (Some(client), Some(server)) => {
                assert!(!whole && (*client == lost || *server == lost), "{client:?}, {server:?}");
            }
            ends => panic!("{ends:?} after {cut_after} messages"),
        }
        for request in asked.0 {
            let is = |e: &&ClientEvent| matches!(e, ClientEvent::Outcome { request: r, .. } if *r == request);
            assert_eq!(pair.client.events.iter().filter(is).count(), 1, "after {cut_after}");
        }
        for request in asked.1 {
            let is = |e: &&ServerEvent| matches!(e, ServerEvent::Outcome { request: r, .. } if *r == request);
            assert_eq!(pair.server.events.iter().filter(is).count(), 1, "after {cut_after}");
        }
        if whole {
            // Hello, HelloAck, a heartbeat and its ack, six requests, six responses, the close.
            assert_eq!(cut_after, 18);
            break;
        }
    }
}

#[test]
fn step5_handles_count_in_their_session_only() {
    let config = Arc::new(config());
    let [mut one, mut other] = ["7", "8"].map(|n| server_got(&config, true, &[&ask(n)]));
    let asked = one.request(epoch(), "x", &[0; 0]).unwrap();
    assert_eq!((asked.to_string(), asked.nonce()), ("1".into(), 1));
    let Some(ServerEvent::Request { id, .. }) = one.poll_event() else { panic!() };
    assert_eq!(id.to_string(), "1");
    // It is that of the other's request, too.
    other.respond(epoch(), id, &0).unwrap();
    assert_eq!(sent(&mut other), [r#"{"op":5,"n":8,"r":0}"#]);
}

#[test]
fn step5_max_pending_requests_of_ours_and_no_more() {
    for (configured, effective) in [(0, 1), (1, 1), (2, 2), (1024, 1024)] {
        let limits = Limits::default().max_pending(configured);
        let mut pair = ready(config().limits(limits));
        let (client, server) = (&mut pair.client.session, &mut pair.server.session);
        for _ in 0..effective {
            client.request(pair.now, "?", &[1]).unwrap();
            server.request(pair.now, "?", &[1]).unwrap();
        }
        assert_eq!(client.request(pair.now, "?", &[1]), Err(SendError::TooManyPending));
        assert_eq!(server.request(pair.now, "?", &[1]), Err(SendError::TooManyPending));
        pair.run_for(SECOND);
        assert_eq!((pair.client.session.ended(), pair.server.session.ended()), (None, None));
        // An answer makes room for one.
        let Some(ServerEvent::Request { id, .. }) = pair.server.events.pop_front() else {
            panic!()
        };
        pair.server.session.respond(pair.now, id, &1).unwrap();
        pair.run_for(SECOND);
        let client = &mut pair.client.session;
        client.request(pair.now, "?", &[1]).unwrap();
        assert_eq!(client.request(pair.now, "?", &[1]), Err(SendError::TooManyPending));
        pair.run_for(SECOND);
        assert_eq!((pair.client.session.ended(), pair.server.session.ended()), (None, None));
        // So do timeouts, with all that were left open.
        pair.run_for(5 * SECOND);
        for _ in 0..effective {
            pair.client.session.request(pair.now, "?", &[1]).unwrap();
        }
        pair.run_for(SECOND);
        assert_eq!((pair.client.session.ended(), pair.server.session.ended()), (None, None));
    }
}

#[test]
fn step5_requests_held_back_are_given_up_from_when_they_came() {
    let config = Arc::new(Config::default().limits(Limits::default().max_pending(2)));
    let mut server = undecided(&config);
    let start = epoch();
    for (after, nonce) in [(0, "1"), (0, "2"), (6, "3"), (6, "4")] {
        server.handle_input(start + after * SECOND, &text(&ask(nonce)));
    }
    server.accept(start + 7 * SECOND).unwrap();
    assert_eq!(server.ended(), None);
    let ids = events(&mut server).into_iter().filter_map(|event| match event {
        ServerEvent::Request { id, .. } => Some(id),
        _ => None,
    });
    let open = ids.map(|id| server.respond(start, id, &1).is_ok());
    assert_eq!(open.collect::<Vec<_>>(), [false, false, true, true]);
}

/// A request with this nonce.
fn ask(nonce: &str) -> String {
    format!(r#"{{"op":4,"w":"?","a":[],"n":{nonce}}}"#)
}

#[test]
fn step5_one_more_open_request_than_allowed_is_a_violation_of_the_peer() {
    let config = Arc::new(config().limits(Limits::default().max_pending(3)));
    let (one, two, three, four) = (ask("1"), ask("2"), ask("3"), ask("4"));
    assert_eq!(server_got(&config, true, &[&one, &two, &three]).ended(), None);
    assert_eq!(client_got(&config, true, &[&one, &two, &three]).ended(), None);
    let all: [&str; 4] = [&one, &two, &three, &four];
    let mut server = server_got(&config, true, &all);
    assert_violation(&mut server, ViolationKind::TooManyRequests, 1008);
    assert_eq!(events(&mut server).len(), 3);
    let mut client = client_got(&config, true, &all);
    assert_violation(&mut client, ViolationKind::TooManyRequests, 1008);
    assert_eq!(events(&mut client).len(), 3);
}

#[test]
fn step5_requests_that_the_peer_has_given_up_count_no_longer() {
    let mut pair = ready(config().limits(Limits::default().max_pending(2)));
    // The application answers none of them.
    for _ in 0..10 {
        pair.client.session.request(pair.now, "?", &[1]).unwrap();
        pair.run_for(5 * SECOND);
        assert_eq!(pair.server.session.ended(), None);
    }
    // One may be answered all the same, as long as no other took its place.
    let Some(ServerEvent::Request { id, .. }) = pair.server.events.pop_back() else { panic!() };
    pair.server.session.respond(pair.now, id, &1).unwrap();
    let Some(ServerEvent::Request { id, .. }) = pair.server.events.pop_front() else { panic!() };
    assert_eq!(pair.server.session.respond(pair.now, id, &1), Err(AnswerError::NotOpen(id)));

    // L5: the same nonce again, once given up, and not before.
    for (wait, fine) in [(5 * SECOND, true), (5 * SECOND - NANOSECOND, false)] {
        let mut server = server_got(&Arc::new(config()), true, &[]);
        let now = epoch();
        server.handle_input(now, &text(&ask("7")));
        server.handle_input(now + wait, &text(&ask("7")));
        assert_eq!(server.ended().is_none(), fine);
    }
}

// --- L1, L4: who may say what, and with what

#[test]
fn l1_what_only_the_other_side_says_closes_with_1008() {
    let config = Arc::new(config());
    let wrong = |op| ViolationKind::Malformed(DecodeErrorKind::WrongDirection(op));
    for ready in [false, true] {
        for (got, op) in [
            (r#"{"op":0,"hb_interval":1000}"#, OpCode::HELLO),
            (r#"{"op":3}"#, OpCode::HEARTBEAT_ACK),
        ] {
            let mut server = server_got(&config, ready, &[got]);
            assert_violation(&mut server, wrong(op), 1008);
        }
        for (got, op) in
            [(r#"{"op":1,"password":""}"#, OpCode::HELLO_ACK), (r#"{"op":2}"#, OpCode::HEARTBEAT)]
        {
            let mut client = client_got(&config, ready, &[got]);
            assert_violation(&mut client, wrong(op), 1008);
        }
    }
}

#[test]
fn l1_as_documented_requests_and_dispatches_come_from_the_client() {
    let codec = CodecConfig::default().directions(Directions::AsDocumented);
    let config = config().codec(codec);
    let wrong = |op| ViolationKind::Malformed(DecodeErrorKind::WrongDirection(op));
    let shared = Arc::new(config.clone());
    for (got, op) in
        [(ask("1"), OpCode::REQUEST), (r#"{"op":6,"w":"x","a":[]}"#.to_owned(), OpCode::DISPATCH)]
    {
        let mut client = client_got(&shared, true, &[&got]);
        assert_violation(&mut client, wrong(op), 1008);
        assert_eq!(server_got(&shared, true, &[&got]).ended(), None);
    }
    let response = r#"{"op":5,"n":1,"r":1}"#;
    let mut server = server_got(&shared, true, &[response]);
    assert_violation(&mut server, wrong(OpCode::RESPONSE), 1008);
    assert_eq!(client_got(&shared, true, &[response]).ended(), None);

    let mut pair = ready(config);
    let refused = |op| SendError::Encode(EncodeError::WrongDirection(op));
    let (now, server) = (pair.now, &mut pair.server.session);
    assert_eq!(server.request(now, "?", &[1]), Err(refused(OpCode::REQUEST)));
    assert_eq!(server.dispatch(now, "!", &[1]), Err(refused(OpCode::DISPATCH)));
    pair.client.session.dispatch(now, "!", &[1]).unwrap();
    pair.client.session.request(now, "?", &[1]).unwrap();
    pair.run_for(SECOND);
    let Some(ServerEvent::Request { id, .. }) = pair.server.events.pop_back() else { panic!() };
    pair.server.session.respond(pair.now, id, &1).unwrap();
    pair.run_for(SECOND);
    assert!(matches!(pair.client.events.make_contiguous(), [ClientEvent::Outcome { .. }]));
}

#[test]
fn l4_arguments_are_handed_over_as_they_are_and_sent_as_arrays() {
    let config = Arc::new(config());
    for args in ["[]", r#"{"guild": [1]}"#, "null", "1.0", r#""text""#] {
        let got = format!(r#"{{"op":6,"w":"x","a": {args} }}"#);
        let mut client = client_got(&config, true, &[&got]);
        let expected = ClientEvent::Dispatch { what: "x".into(), args: json(args) };
        assert_eq!(events(&mut client), [expected]);
        let mut server = server_got(&config, true, &[&got]);
        let expected = ServerEvent::Dispatch { what: "x".into(), args: json(args) };
        assert_eq!(events(&mut server), [expected]);
    }
    let mut client = client_got(&config, true, &[]);
    client.dispatch(epoch(), "\"w\"", &(1, "x", [()])).unwrap();
    client.request(epoch(), "", &json("[1.0]")).unwrap();
    let expected =
        [r#"{"op":6,"w":"\"w\"","a":[1,"x",[null]]}"#, r#"{"op":4,"w":"","a":[1.0],"n":1}"#];
    assert_eq!(sent(&mut client), expected);
    let refused = Err(SendError::Encode(EncodeError::ArgsNotAnArray));
    assert_eq!(client.dispatch(epoch(), "w", "text"), refused);
    assert_eq!(client.request(epoch(), "w", &json("{}")), refused.map(|()| unreachable!()));
    assert_eq!(client.poll_transmit(), None);
}

// --- L3: what is unknown

#[test]
fn l3_an_unknown_op_is_an_event_and_nothing_else() {
    let raw = r#"{"op":255, "password":"x", "op2":0}"#;
    for ready in [false, true] {
        let mut server = server_got(&Arc::new(config()), ready, &[&format!(" {raw}\n")]);
        let expected = ServerEvent::Unknown { op: OpCode(255), raw: json(raw) };
        assert_eq!(events(&mut server), [expected]);
        assert_eq!((server.poll_transmit(), server.ended()), (None, None));
    }
    let mut client = client_got(&Arc::new(config()), true, &[raw, r#"{"op":7}"#]);
    let expected = [
        ClientEvent::Unknown { op: OpCode(255), raw: json(raw) },
        ClientEvent::Unknown { op: OpCode(7), raw: json(r#"{"op":7}"#) },
    ];
    assert_eq!(events(&mut client), expected);
    assert_eq!((client.poll_transmit(), client.ended()), (None, None));
}

// --- L5: nonces

#[test]
fn l5_a_nonce_is_echoed_byte_for_byte_whatever_it_is() {
    let config = Arc::new(config());
    let nonces = [
        "1",
        "1.0",
        "-0",
        "1e400",
        "12345678901234567890123",
        "\"1\"",
        "\"\\u0031\\ud800\"",
        "\"é\"",
        "null",
        "true",
        "false",
        "[1, 2 ]",
        "{ \"a\" : [ ] }",
        "\"\"",
    ];
    let all: Vec<_> = nonces.iter().map(|nonce| ask(&format!(" {nonce}\t"))).collect();
    let all: Vec<_> = all.iter().map(|ask| &**ask).collect();
    let mut server = server_got(&config, true, &all);
    let mut client = client_got(&config, true, &all);
    for nonce in nonces {
        let Some(ServerEvent::Request { id, .. }) = server.poll_event() else { panic!("{nonce}") };
        server.respond(epoch(), id, &nonce).unwrap();
        let expected = format!(r#"{{"op":5,"n":{nonce},"r":{}}}"#, Json::of(nonce).unwrap());
        assert_eq!(sent(&mut server), [&*expected]);
        let Some(ClientEvent::Request { id, .. }) = client.poll_event() else { panic!("{nonce}") };
        client.respond(epoch(), id, &nonce).unwrap();
        assert_eq!(sent(&mut client), [&*expected]);
    }
    assert_eq!((server.ended(), client.ended()), (None, None));
}

#[test]
fn l5_a_nonce_of_max_nonce_and_one_more() {
    for (max, config) in [(1024, config()), (7, config().limits(Limits::default().max_nonce(7)))] {
        let config = Arc::new(config);
        let longest = format!("\"{}\"", "x".repeat(max - 2));
        let longer = format!("\"{}\"", "x".repeat(max - 1));
        assert_eq!(server_got(&config, true, &[&ask(&longest)]).ended(), None);
        assert_eq!(client_got(&config, true, &[&ask(&longest)]).ended(), None);
        let mut server = server_got(&config, true, &[&ask(&longer)]);
        assert_violation(&mut server, ViolationKind::NonceTooLong(max + 1), 1008);
        let mut client = client_got(&config, true, &[&ask(&longer)]);
        assert_violation(&mut client, ViolationKind::NonceTooLong(max + 1), 1008);
        assert_eq!((server.poll_event(), client.poll_event()), (None, None));
        // Of a response it isn't kept, so it may be as long as it likes.
        let response = format!(r#"{{"op":5,"n":{longer},"r":1}}"#);
        assert_eq!(server_got(&config, true, &[&response]).ended(), None);
    }
}

#[test]
fn l5_a_second_open_request_with_the_same_nonce_is_a_violation() {
    let config = Arc::new(config());
    for nonce in ["1", "\"a\"", "null"] {
        let mut server = server_got(&config, true, &[&ask(nonce), &ask(nonce)]);
        assert_violation(&mut server, ViolationKind::DuplicateRequest, 1008);
        let mut client = client_got(&config, true, &[&ask(nonce), &ask(nonce)]);
        assert_violation(&mut client, ViolationKind::DuplicateRequest, 1008);

        // Answered in between, it may come again.
        let mut server = server_got(&config, true, &[&ask(nonce)]);
        let Some(ServerEvent::Request { id: first, .. }) = server.poll_event() else { panic!() };
        server.respond(epoch(), first, &1).unwrap();
        server.handle_input(epoch(), &text(&ask(nonce)));
        let Some(ServerEvent::Request { id, .. }) = server.poll_event() else { panic!() };
        assert_ne!(first, id);
        assert_eq!(server.respond(epoch(), first, &1), Err(AnswerError::NotOpen(first)));
        server.respond(epoch(), id, &1).unwrap();
    }
    // Another text is another nonce, for whoever only sends it back.
    let others = [ask("1"), ask("1.0"), ask("\"1\""), ask("\"\\u0031\"")];
    let others: Vec<_> = others.iter().map(|ask| &**ask).collect();
    assert_eq!(server_got(&config, true, &others).ended(), None);
}

#[test]
fn l5_responses_are_matched_by_the_value_of_their_nonce() {
    let config = Arc::new(config());
    for (nonce, matches) in [
        ("1", true),
        ("1.0", true),
        ("1e0", true),
        ("10e-1", true),
        ("0.1E+1", true),
        ("\"1\"", false),
        ("[1]", false),
        ("1.5", false),
        ("-1", false),
        ("0", false),
        ("2", false),
        ("11", false),
        ("1e400", false),
        ("18446744073709551617", false),
        ("null", false),
        ("true", false),
        ("{\"n\":1}", false),
    ] {
        let response = format!(r#"{{"op":5,"n":{nonce},"r":[true]}}"#);
        let mut server = server_got(&config, true, &[]);
        let request = server.request(epoch(), "?", &[1]).unwrap();
        server.handle_input(epoch(), &text(&response));
        let expected = if matches {
            outcome_of_server(request, Outcome::Response(json("[true]")))
        } else {
            ServerEvent::StrayResponse { nonce: json(nonce), result: json("[true]") }
        };
        assert_eq!(events(&mut server), [expected]);
        assert_eq!(server.ended(), None);
        // A second one is to nothing.
        server.handle_input(epoch(), &text(&response));
        let stray = ServerEvent::StrayResponse { nonce: json(nonce), result: json("[true]") };
        assert_eq!(events(&mut server), [stray]);
        // What wasn't answered times out.
        let at = epoch() + Duration::from_secs(6);
        server.handle_timeout(at);
        let timed_out = outcome_of_server(request, Outcome::TimedOut);
        assert_eq!(server.poll_event(), (!matches).then_some(timed_out));
    }
}

#[test]
fn l5_a_response_to_a_nonce_never_sent_resolves_nothing() {
    let config = Arc::new(config());
    for nonce in ["1", "7", "null", "\"x\""] {
        let response = format!(r#"{{"op":5,"n":{nonce},"r":0}}"#);
        let mut client = client_got(&config, true, &[&response]);
        let stray = ClientEvent::StrayResponse { nonce: json(nonce), result: json("0") };
        assert_eq!(events(&mut client), [ClientEvent::Authenticated, stray]);
        // The next request is none the wiser.
        let request = client.request(epoch(), "?", &[1]).unwrap();
        assert_eq!((request.nonce(), client.poll_event()), (1, None));
    }
}

// --- L6: close codes

#[test]
fn l6_a_second_hello_or_hello_ack_closes_with_1008() {
    let config = Arc::new(config());
    let mut client = client_got(&config, true, &[r#"{"op":0,"hb_interval":1000}"#]);
    assert_violation(&mut client, ViolationKind::OutOfTurn(OpCode::HELLO), 1008);
    let mut server = server_got(&config, true, &[r#"{"op":1,"password":"hunter2"}"#]);
    assert_violation(&mut server, ViolationKind::OutOfTurn(OpCode::HELLO_ACK), 1008);
}

#[test]
fn l6_a_binary_message_where_nothing_is_compressed_closes_with_1003() {
    let config = Arc::new(Config::default());
    let binary = Message::Binary(br#"{"op":2}"#.to_vec().into());
    for ready in [false, true] {
        let mut server = server_got(&config, ready, &[]);
        server.handle_input(epoch(), &binary);
        assert_violation(&mut server, ViolationKind::UnexpectedBinary, 1003);
        let mut client = client_got(&config, ready, &[]);
        client.handle_input(epoch(), &binary);
        assert_violation(&mut client, ViolationKind::UnexpectedBinary, 1003);
    }
    // While undecided at once: it isn't a matter of what it says.
    let mut server = undecided(&config);
    server.handle_input(epoch(), &binary);
    assert_violation(&mut server, ViolationKind::UnexpectedBinary, 1003);
}

#[test]
fn l6_what_cannot_be_read_closes_with_1007_1008_or_1009() {
    type Kind = DecodeErrorKind;
    let codec = CodecConfig::default().max_message(200);
    let config = Arc::new(config().codec(codec));
    let deep = format!(r#"{{"op":9,"d":{}{}}}"#, "[".repeat(90), "]".repeat(90));
    assert_eq!(deep.len(), 193);
    let exactly = format!(r#"{{"op":9,"d":"{}"}}"#, "x".repeat(185));
    assert_eq!(exactly.len(), 200);
    let too_long = format!("{exactly} ");
    for ready in [false, true] {
        for (got, kind, code) in [
            (&b"\xFF"[..], Kind::NotUtf8, 1007),
            (b"{\"op\":2,\"s\":\"\xC3\"}", Kind::NotUtf8, 1007),
            (b"", Kind::NotJson, 1007),
            (b"{\"op\":2", Kind::NotJson, 1007),
            (b"{\"op\":2}{}", Kind::NotJson, 1007),
            (b"[]", Kind::NotAnObject, 1008),
            (b"{}", Kind::MissingKey("op"), 1008),
            (b"{\"op\":4,\"w\":\"x\",\"a\":[]}", Kind::MissingKey("n"), 1008),
            (b"{\"op\":6,\"w\":1,\"a\":[]}", invalid("w", "a string"), 1008),
            (b"{\"op\":4.0}", invalid("op", "an integer from 0 to 255"), 1008),
            (b"{\"op\":7,\"op\":7}", Kind::DuplicateKey("op"), 1008),
            (too_long.as_bytes(), Kind::MessageTooLarge { len: 201, limit: 200 }, 1009),
        ] {
            let message = Message::Text(got.to_vec().into());
            let mut server = server_got(&config, ready, &[]);
            server.handle_input(epoch(), &message);
            assert_violation(&mut server, ViolationKind::Malformed(kind), code);
            let mut client = client_got(&config, ready, &[]);
            client.handle_input(epoch(), &message);
            assert_violation(&mut client, ViolationKind::Malformed(kind), code);
        }
    }
    assert_eq!(server_got(&config, true, &[&exactly, &deep]).ended(), None);
    assert_eq!(client_got(&config, true, &[&exactly, &deep]).ended(), None);
}

fn invalid(key: &'static str, expected: &'static str) -> DecodeErrorKind {
    DecodeErrorKind::InvalidValue { key, expected }
}

#[test]
fn l2_too_deep_nesting_closes_with_1008() {
    let config = Arc::new(config());
    let nested =
        |levels| format!(r#"{{"op":6,"w":"x","a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert_eq!(server_got(&config, true, &[&nested(127)]).ended(), None);
    for levels in [128, 100_000] {
        let mut server = server_got(&config, true, &[&nested(levels)]);
        assert_violation(&mut server, ViolationKind::Malformed(DecodeErrorKind::TooDeep), 1008);
    }
}

#[test]
fn l6_the_offset_of_what_is_wrong_is_told() {
    let mut server = server_got(&Arc::new(config()), true, &[r#"{"op":4,"w":7,"a":[],"n":1}"#]);
    let Some(End::Error(SessionError::Violation(violation))) = server.ended() else { panic!() };
    assert_eq!(violation.offset, 12);
    let Some(Message::Close(Some(frame))) = server.poll_transmit() else { panic!() };
    assert_eq!(frame.reason(), "\"w\" is not a string at byte 12");
}

#[test]
fn l6_what_the_peer_closes_with() {
    for (code, end) in [(None, End::Clean), (Some(1000), End::Clean), (Some(1001), End::Clean)]
        .into_iter()
        .chain([1002, 1003, 1006, 1007, 1008, 1009, 1011, 4000, 4001, 4002, 4003, 0, 65_535].map(
            |code| {
                let reason = "why".into();
                let error = SessionError::Closed { code: CloseCode(code), reason };
                (Some(code), End::Error(error))
            },
        ))
    {
        let close = Message::Close(code.map(|code| CloseFrame::new(code, "why")));
        let mut pair = ready(config());
        let request = pair.client.session.request(pair.now, "?", &[1]).unwrap();
        pair.client.session.dispatch(pair.now, "!", &[1]).unwrap();
        pair.client.session.handle_input(pair.now, &close);
        let client = &mut pair.client.session;
        assert_eq!(client.ended(), Some(&end));
        assert_eq!(client.poll_transmit(), None, "there is nobody to send it to");
        assert_eq!(events(client), [outcome_of_client(request, Outcome::Closed)]);
        if let End::Error(error) = end {
            assert_eq!(error.should_reconnect(), code != Some(4001));
        }
    }
}

#[test]
fn l6_our_own_end_is_1000_or_what_the_application_says() {
    let mut pair = ready(config());
    pair.client.session.close(pair.now);
    assert_eq!(pair.client.session.ended(), Some(&End::Clean));
    pair.run_for(SECOND);
    assert_eq!(pair.server.session.ended(), Some(&End::Clean));

    let mut pair = ready(config());
    pair.server.session.close_with(pair.now, CloseFrame::new(4999, "maintenance"));
    assert_eq!(pair.server.session.ended(), Some(&End::Clean));
    pair.run_for(SECOND);
    let closed =
        |reason: &str| SessionError::Closed { code: CloseCode(4999), reason: reason.into() };
    assert_eq!(pair.client.session.ended(), Some(&End::Error(closed("maintenance"))));
    assert_eq!(closed("maintenance").to_string(), "closed by the peer: 4999 maintenance");
    assert_eq!(closed("").to_string(), "closed by the peer: 4999");
    // Before the handshake as well.
    let mut client = client_got(&Arc::new(config()), false, &[]);
    client.close(epoch());
    assert_eq!(sent(&mut client), ["close 1000"]);
}

#[test]
fn l6_what_was_queued_is_sent_before_the_close_frame() {
    let config = Arc::new(config());
    let mut server = server_got(&config, true, &[]);
    server.dispatch(epoch(), "last words", &[1]).unwrap();
    server.handle_input(epoch(), &text(r#"{"op":2}"#));
    server.handle_input(epoch(), &text("{"));
    let expected = [r#"{"op":6,"w":"last words","a":[1]}"#, r#"{"op":3}"#, "close 1007"];
    assert_eq!(sent(&mut server), expected);
    let mut client = client_got(&config, true, &[]);
    client.dispatch(epoch(), "last words", &[1]).unwrap();
    client.close(epoch());
    assert_eq!(sent(&mut client), [r#"{"op":6,"w":"last words","a":[1]}"#, "close 1000"]);
    // However little room there is.
    let limits = Limits::default().max_transmit_bytes(1);
    let config = Arc::new((*config).clone().limits(limits));
    let mut server = server_got(&config, true, &[]);
    server.dispatch(epoch(), "last words", &[1]).unwrap();
    server.handle_input(epoch(), &text("{"));
    assert_eq!(sent(&mut server), [r#"{"op":6,"w":"last words","a":[1]}"#, "close 1007"]);
}

#[test]
fn l6_after_the_end_nothing_changes() {
    let config = Arc::new(config());
    let mut server = server_got(&config, true, &[&ask("1")]);
    let Some(ServerEvent::Request { id, .. }) = server.poll_event() else { panic!() };
    let request = server.request(epoch(), "?", &[1]).unwrap();
    discard(&mut server);
    server.handle_input(epoch(), &text("{"));
    let end = server.ended().cloned();
    let now = epoch();
    for message in [r#"{"op":2}"#, r#"{"op":6,"w":"x","a":[]}"#, r#"{"op":5,"n":1,"r":1}"#, "{"] {
        server.handle_input(now, &text(message));
    }
    server.handle_input(now, &Message::Close(None));
    server.handle_input(now, &Message::Binary(b"x".to_vec().into()));
    server.handle_eof(now);
    server.close(now);
    server.close_with(now, CloseFrame::new(4000, "again"));
    server.handle_timeout(now + Duration::from_secs(1000));
    assert_eq!(server.request(now, "?", &[1]), Err(SendError::Ended));
    assert_eq!(server.dispatch(now, "?", &[1]), Err(SendError::Ended));
    assert_eq!(server.respond(now, id, &1), Err(AnswerError::Send(SendError::Ended)));
    assert_eq!(server.accept(now), Err(DecideError::NotWaiting));
    assert_eq!(server.ended(), end.as_ref(), "the first end stays");
    assert_eq!(sent(&mut server), ["close 1007"]);
    assert_eq!(events(&mut server), [outcome_of_server(request, Outcome::Closed)]);
}

#[test]
fn l6_a_connection_that_ends_without_a_close_frame_is_lost() {
    let lost = End::Error(SessionError::ConnectionLost);
    for ready in [false, true] {
        let mut server = server_got(&Arc::new(config()), ready, &[]);
        server.handle_eof(epoch());
        assert_eq!((server.poll_transmit(), server.ended()), (None, Some(&lost)));
        let mut client = client_got(&Arc::new(config()), ready, &[]);
        client.handle_eof(epoch());
        assert_eq!((client.poll_transmit(), client.ended()), (None, Some(&lost)));
    }
    assert!(SessionError::ConnectionLost.should_reconnect());
}

// --- L7: the interval

#[test]
fn l7_intervals_at_the_client() {
    let config = Arc::new(config());
    for (interval, kind) in [
        ("0", Some(ViolationKind::IntervalTooShort(0))),
        ("1", Some(ViolationKind::IntervalTooShort(1))),
        ("99", Some(ViolationKind::IntervalTooShort(99))),
        ("100", None),
        ("9007199254740992", None),
        ("9007199254740993", Some(not_an_interval())),
        ("18446744073709551616", Some(not_an_interval())),
        ("1000.0", Some(not_an_interval())),
        ("1e3", Some(not_an_interval())),
        ("-1000", Some(not_an_interval())),
        ("\"1000\"", Some(not_an_interval())),
        ("null", Some(not_an_interval())),
    ] {
        let hello = format!(r#"{{"op":0,"hb_interval":{interval}}}"#);
        let mut client = client_got(&config, false, &[&hello]);
        if let Some(kind) = kind {
            assert_violation(&mut client, kind, 1008);
            assert_eq!(client.poll_event(), None, "the password stays here");
            continue;
        }
        assert_eq!(client.ended(), None);
        let milliseconds: u64 = interval.parse().unwrap();
        let heartbeat_interval = Duration::from_millis(milliseconds);
        assert_eq!(events(&mut client), [ClientEvent::Connected { heartbeat_interval }]);
        // One longer than any clock never comes.
        assert_eq!(client.poll_timeout().is_some(), milliseconds == 100);
        client.handle_timeout(epoch() + Duration::from_secs(1 << 33));
        assert_eq!(client.ended().is_some(), milliseconds == 100);
    }
}

fn not_an_interval() -> ViolationKind {
    ViolationKind::Malformed(invalid("hb_interval", "an integer from 0 to 2^53"))
}

#[test]
fn l7_the_shortest_interval_may_be_set_but_is_never_nothing() {
    let config = Arc::new(config().min_heartbeat_interval(Duration::ZERO));
    let mut client = client_got(&config, false, &[r#"{"op":0,"hb_interval":0}"#]);
    assert_violation(&mut client, ViolationKind::IntervalTooShort(0), 1008);
    let mut client = client_got(&config, false, &[r#"{"op":0,"hb_interval":1}"#]);
    let at = client.poll_timeout().unwrap();
    client.handle_input(at, &text(r#"{"op":3}"#));
    client.handle_timeout(at);
    assert_eq!(client.poll_timeout(), Some(at + Duration::from_millis(1)));
}

#[test]
fn l7_what_a_server_tells_is_always_an_interval() {
    for (configured, told) in [
        (Duration::ZERO, 1_u64),
        (Duration::from_micros(1999), 1),
        (Duration::from_millis(1 << 53), 1 << 53),
        (Duration::MAX, 1 << 53),
    ] {
        let config = config().heartbeat_interval(configured).handshake_timeout(Duration::MAX);
        let mut server = Server::new(Arc::new(config.heartbeat_grace(Duration::MAX)), epoch());
        assert_eq!(sent(&mut server), [format!(r#"{{"op":0,"hb_interval":{told}}}"#)]);
        assert_eq!(server.poll_timeout(), None, "with such a grace");
        server.handle_timeout(epoch() + Duration::from_secs(1 << 35));
        assert_eq!(server.ended(), None);
    }
}

// --- L8: compression

#[cfg(feature = "zlib")]
mod zlib {
    use std::io::{Read, Write};

    use flate2::Compression;
    use flate2::read::ZlibDecoder;
    use flate2::write::ZlibEncoder;

    use super::*;

    fn compressed(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn binary(bytes: &[u8]) -> Message {
        Message::Binary(bytes.to_vec().into())
    }

    fn server_got_stream(config: &Arc<Config>, stream: &[u8]) -> Server {
        let mut server = server_got(config, true, &[]);
        server.handle_input(epoch(), &binary(stream));
        server
    }

    #[test]
    fn l8_compression_is_a_setting_beside_the_others_and_has_room_in_the_formula() {
        let config = Config::default().password(PASSWORD).zlib(true);
        assert!(config.zlib && config.password.is_some());
        let plain = config.clone().zlib(false).max_memory(0);
        assert_eq!(config.max_memory(0) - plain, 512 * 1024 - 4096);
    }

    #[test]
    fn l8_each_message_is_one_zlib_stream_of_its_own() {
        let mut client = client_got(&Arc::new(config().zlib(true)), true, &[]);
        for n in 0..3 {
            client.dispatch(epoch(), "x", &[n]).unwrap();
            let Some(Message::Binary(stream)) = client.poll_transmit() else { panic!() };
            let mut text = String::new();
            ZlibDecoder::new(&stream[..]).read_to_string(&mut text).unwrap();
            assert_eq!(text, format!(r#"{{"op":6,"w":"x","a":[{n}]}}"#));
        }
    }

    #[test]
    fn l8_a_conversation() {
        let mut pair = ready(config().zlib(true));
        let long = "x".repeat(200_000);
        let request = pair.client.session.request(pair.now, "long", &[&long]).unwrap();
        pair.run_for(SECOND);
        let Some(ServerEvent::Request { id, args, .. }) = pair.server.events.pop_front() else {
            panic!()
        };
        assert_eq!(args.parse::<[String; 1]>().unwrap()[0], long);
        pair.server.session.respond(pair.now, id, &"short").unwrap();
        pair.run_for(SECOND);
        let expected = outcome_of_client(request, Outcome::Response(json("\"short\"")));
        assert_eq!(pair.client.events.pop_front(), Some(expected));
        pair.run_for(60 * SECOND);
        assert_eq!((pair.client.session.ended(), pair.server.session.ended()), (None, None));
    }

    #[test]
    fn l8_both_kinds_are_taken() {
        let config = Arc::new(config().zlib(true));
        for ack in [text(r#"{"op":3}"#), binary(&compressed(br#"{"op":3}"#))] {
            let mut client = client_got(&config, true, &[]);
            client.handle_input(epoch(), &ack);
            assert!(client.is_authenticated());
        }
        let mut server = server_got(&config, false, &[]);
        let ack = compressed(br#"{"op":1,"password":"hunter2"}"#);
        server.handle_input(epoch(), &binary(&ack));
        assert!(server.is_authenticated());
    }

    #[test]
    fn l8_offsets_are_of_the_text_or_of_the_stream_where_that_is_wrong() {
        let config = Arc::new(config().zlib(true));
        let offset = |stream: &[u8]| match server_got_stream(&config, stream).ended() {
            Some(End::Error(SessionError::Violation(violation))) => violation.offset,
            other => panic!("no violation: {other:?}"),
        };
        assert_eq!(offset(&compressed(br#"{"op":4,"w":7,"a":[],"n":1}"#)), 12);
        let whole = compressed(br#"{"op":2}"#);
        assert_eq!(offset(&[&whole[..], b"?"].concat()), whole.len() as u64);
    }

    #[test]
    fn l8_a_stream_cut_short_broken_or_with_anything_behind_closes_with_1007() {
        let config = Arc::new(config().zlib(true));
        let whole = compressed(br#"{"op":6,"w":"to be cut","a":["anywhere"]}"#);
        assert_eq!(server_got_stream(&config, &whole).ended(), None);
        for len in 0..whole.len() {
            let mut server = server_got_stream(&config, &whole[..len]);
            assert_violation(&mut server, ViolationKind::NotZlib, 1007);
        }
        for behind in [&b"\0"[..], b"{}", &whole] {
            let mut server = server_got_stream(&config, &[&whole[..], behind].concat());
            assert_violation(&mut server, ViolationKind::NotZlib, 1007);
        }
        for at in [0, 1, whole.len() - 1] {
            let mut broken = whole.clone();
            broken[at] ^= 0xFF;
            let mut server = server_got_stream(&config, &broken);
            assert_violation(&mut server, ViolationKind::NotZlib, 1007);
        }
        let mut server = server_got_stream(&config, br#"{"op":2}"#);
        assert_violation(&mut server, ViolationKind::NotZlib, 1007);
        // A whole stream of what isn't JSON, or isn't text.
        for (content, kind) in
            [(&b"{"[..], DecodeErrorKind::NotJson), (b"\xFF", DecodeErrorKind::NotUtf8)]
        {
            let mut server = server_got_stream(&config, &compressed(content));
            assert_violation(&mut server, ViolationKind::Malformed(kind), 1007);
        }
    }

    #[test]
    fn l8_decompression_stops_at_max_message() {
        for limit in [1, 30, 63, 64, 65, 1000, 65_536] {
            let codec = CodecConfig::default().max_message(limit);
            let config = Arc::new(Config::default().zlib(true).codec(codec));
            let exactly = compressed(" ".repeat(limit).as_bytes());
            let mut server = server_got(&config, false, &[]);
            server.handle_input(epoch(), &binary(&exactly));
            let kind = DecodeErrorKind::NotJson;
            assert_violation(&mut server, ViolationKind::Malformed(kind), 1007);
            for len in [limit + 1, 100 * limit] {
                let mut server = server_got(&config, false, &[]);
                server.handle_input(epoch(), &binary(&compressed(" ".repeat(len).as_bytes())));
                let kind = DecodeErrorKind::MessageTooLarge { len: limit + 1, limit };
                assert_violation(&mut server, ViolationKind::Malformed(kind), 1009);
            }
        }
    }

    #[test]
    fn l8_a_bomb_costs_no_more_memory_than_max_message() {
        let config = Arc::new(config().zlib(true));
        let bomb = binary(&compressed(&vec![b' '; 16 << 20]));
        let mut server = server_got(&config, true, &[]);
        let used = testkit::measure(|| server.handle_input(epoch(), &bomb));
        let limit = config.codec.max_message;
        let kind = DecodeErrorKind::MessageTooLarge { len: limit + 1, limit };
        assert_violation(&mut server, ViolationKind::Malformed(kind), 1009);
        assert!(used.bytes_max <= 2 * (1 << 20) + 64 * 1024, "{used:?}");
    }

    #[test]
    fn l8_what_is_held_back_counts_as_what_it_says() {
        let config = Arc::new(Config::default().zlib(true));
        let of_len = |len: usize| {
            let around = r#"{"op":6,"w":"","a":[]}"#.len();
            let text = format!(r#"{{"op":6,"w":"{}","a":[]}}"#, "x".repeat(len - around));
            binary(&compressed(text.as_bytes()))
        };
        let mut server = undecided(&config);
        server.handle_input(epoch(), &of_len(64 * 1024));
        assert_eq!(server.ended(), None);
        server.accept(epoch()).unwrap();
        assert_eq!(events(&mut server).len(), 2);
        let mut server = undecided(&config);
        server.handle_input(epoch(), &of_len(64 * 1024 + 1));
        assert_violation(&mut server, ViolationKind::TooMuchHeld, 4002);
    }

    #[test]
    fn l8_what_waits_to_be_sent_keeps_no_more_than_it_counts() {
        let config = Arc::new(config().zlib(true));
        let mut server = server_got(&config, true, &[]);
        let long = ["x".repeat(900_000)];
        let used = testkit::measure(|| while server.dispatch(epoch(), "long", &long).is_ok() {});
        assert!(used.bytes_current < 300_000, "{used:?}");
    }
}

// --- 6: connecting again

#[test]
fn step6_whether_to_connect_again_and_how_long_to_wait() {
    let closed = |code| SessionError::Closed { code, reason: "".into() };
    for (error, again) in [
        (closed(CloseCode::AUTHENTICATION_FAILED), false),
        (closed(CloseCode::NOT_AUTHENTICATED), true),
        (closed(CloseCode::HEARTBEAT_TIMEOUT), true),
        (closed(CloseCode(1011)), true),
        (SessionError::ConnectionLost, true),
        (SessionError::HandshakeTimeout, true),
        (SessionError::HeartbeatTimeout, true),
    ] {
        assert_eq!(error.should_reconnect(), again, "{error}");
    }
    let mut client = client_got(&Arc::new(config()), true, &["{"]);
    let Some(End::Error(error)) = client.ended() else { panic!() };
    assert!(error.should_reconnect());
    discard(&mut client);

    let mut backoff = Backoff::new();
    for failures in 0..100_u64 {
        let delay = backoff.delay(failures.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        assert!(delay >= SECOND && delay <= 8 * SECOND, "{delay:?}");
    }
}

// --- time

#[test]
fn time_that_goes_back_changes_nothing() {
    let config = Arc::new(config());
    let mut server = server_got(&config, true, &[]);
    let at = server.poll_timeout().unwrap();
    server.handle_timeout(at - SECOND);
    server.handle_timeout(at - Duration::from_secs(9));
    server.handle_input(at - Duration::from_secs(9), &text(r#"{"op":2}"#));
    assert_eq!(server.poll_timeout(), Some(at + Duration::from_secs(10)));
}

#[test]
fn timeouts_longer_than_any_clock_never_come() {
    let config = config().request_timeout(Duration::MAX).heartbeat_grace(Duration::MAX);
    let config = Arc::new(config.handshake_timeout(Duration::MAX));
    let mut server = server_got(&config, true, &[]);
    let request = server.request(epoch(), "?", &[1]).unwrap();
    let mut client = client_got(&config, false, &[]);
    assert_eq!((server.poll_timeout(), client.poll_timeout()), (None, None));
    for age in [1 << 33, 1 << 35] {
        server.handle_timeout(epoch() + Duration::from_secs(age));
        client.handle_timeout(epoch() + Duration::from_secs(age));
        assert_eq!((server.ended(), client.ended()), (None, None));
        assert_eq!((server.poll_event(), client.poll_event()), (None, None));
    }
    server.close(epoch());
    assert_eq!(events(&mut server), [outcome_of_server(request, Outcome::Closed)]);
}

// --- back-pressure

#[test]
fn events_that_nobody_takes_stop_the_reading_and_lose_nothing() {
    let config = Arc::new(config().limits(Limits::default().max_events(10)));
    let mut server = server_got(&config, true, &[]);
    let mut wanted = 0;
    for n in 0..100 {
        wanted += u32::from(server.wants_input());
        // Handed in all the same, it isn't lost.
        server.handle_input(epoch(), &text(&format!(r#"{{"op":6,"w":"{n}","a":[]}}"#)));
    }
    assert_eq!(wanted, 10);
    for n in 0..100 {
        assert_eq!(server.wants_input(), n > 90, "{n} taken");
        let Some(ServerEvent::Dispatch { what, .. }) = server.poll_event() else { panic!() };
        assert_eq!(*what, n.to_string());
    }
    assert!(server.wants_input());
}

#[test]
fn long_events_stop_the_reading_too() {
    let limits = Limits::default().max_event_bytes(1000);
    let config = Arc::new(config().limits(limits));
    let long = format!(r#"{{"op":6,"w":"{}","a":[]}}"#, "x".repeat(497));
    let mut client = client_got(&config, true, &[&long]);
    assert!(client.wants_input());
    client.handle_input(epoch(), &text(&long));
    assert!(client.wants_input(), "998 bytes");
    client.handle_input(epoch(), &text(r#"{"op":6,"w":"","a":[]}"#));
    assert!(!client.wants_input(), "1000 bytes");
    discard(&mut client);
    assert!(client.wants_input());
    // A limit of nothing is one of one.
    let nothing = Limits::default().max_events(0).max_event_bytes(0);
    let config = Arc::new(Config::default().limits(nothing));
    let mut server = server_got(&config, true, &[r#"{"op":6,"w":"","a":[]}"#]);
    assert!(!server.wants_input());
    assert!(server.poll_event().is_some());
    assert!(server.wants_input());
}

#[test]
fn a_server_whose_output_is_not_taken_stops_reading() {
    let limits = Limits::default().max_transmit_bytes(1000);
    let config = Arc::new(config().limits(limits));
    let mut server = server_got(&config, true, &[]);
    let mut heard = 0;
    while server.wants_input() {
        server.handle_input(epoch(), &text(r#"{"op":2}"#));
        heard += 1;
    }
    assert_eq!(heard, 500 / (8 + 64) + 1, "more than half of what may wait does");
    server.poll_transmit();
    assert!(server.wants_input(), "no more than half does");
    assert_eq!(sent(&mut server).len(), heard - 1);
}

#[test]
fn a_server_that_reads_has_room_for_an_answer_of_any_length() {
    let limits = Limits::default().max_transmit_bytes(1000);
    let mut server = server_got(&Arc::new(config().limits(limits)), true, &[]);
    let now = epoch();
    let long = "x".repeat(5000);
    let mut answered = 0;
    for nonce in 0..100 {
        if !server.wants_input() {
            server.poll_transmit();
            continue;
        }
        server.handle_input(now, &text(&ask(&nonce.to_string())));
        let Some(ServerEvent::Request { id, .. }) = server.poll_event() else { panic!() };
        let answer = if nonce % 3 == 0 { &long[..] } else { "short" };
        server.respond(now, id, answer).unwrap();
        answered += 1;
    }
    assert!(answered > 40, "{answered}");
}

#[test]
fn time_in_which_events_are_not_taken_does_not_count() {
    let config = Arc::new(config().limits(Limits::default().max_events(1)));
    let mut server = server_got(&config, true, &[]);
    let now = epoch();
    let request = server.request(now, "?", &[1]).unwrap();
    let heartbeat_at = server.poll_timeout().unwrap();
    // The answer is in the socket, and a heartbeat, but behind an event that nobody takes for an hour.
    server.handle_input(now + SECOND, &text(r#"{"op":6,"w":"busy?","a":[]}"#));
    assert_eq!((server.wants_input(), server.poll_timeout()), (false, None));
    let later = now + Duration::from_secs(3600);
    server.handle_timeout(later);
    assert_eq!(server.ended(), None);
    assert!(matches!(server.poll_event(), Some(ServerEvent::Dispatch { .. })));
    assert!(server.wants_input());
    server.handle_input(later + SECOND, &text(r#"{"op":5,"n":1,"r":1}"#));
    let response = outcome_of_server(request, Outcome::Response(json("1")));
    assert_eq!(server.poll_event(), Some(response));
    // Once they are taken, the rest of the time counts: a heartbeat was due 9 s after all stood still.
    let stood_still = later - (now + SECOND);
    let at = server.poll_timeout().unwrap();
    assert!(at >= heartbeat_at && at <= heartbeat_at + Duration::from_secs(6) + stood_still);
    server.handle_timeout(at);
    assert_eq!(server.ended(), Some(&End::Error(SessionError::HeartbeatTimeout)));
}

#[test]
fn a_deadline_that_has_come_waits_until_the_events_are_taken() {
    let config = Arc::new(config().limits(Limits::default().max_events(1)));
    let mut server = server_got(&config, true, &[]);
    let at = server.poll_timeout().unwrap();
    server.handle_input(at, &text(r#"{"op":6,"w":"busy?","a":[]}"#));
    server.handle_timeout(at);
    assert_eq!(server.ended(), None, "a heartbeat may be waiting in the socket");
    discard(&mut server);
    server.handle_timeout(at);
    assert_eq!(server.ended(), Some(&End::Error(SessionError::HeartbeatTimeout)));
}

#[test]
fn timeouts_that_fill_the_queue_stop_the_clock_too() {
    let config = Arc::new(config().limits(Limits::default().max_events(1)));
    let mut server = server_got(&config, true, &[]);
    let now = epoch();
    let first = server.request(now, "1", &[1]).unwrap();
    let at = server.poll_timeout().unwrap();
    let second = server.request(now + SECOND, "2", &[1]).unwrap();
    server.handle_timeout(at);
    assert!(!server.wants_input());
    let later = now + Duration::from_secs(3600);
    server.handle_timeout(later);
    assert_eq!(events(&mut server), [outcome_of_server(first, Outcome::TimedOut)]);
    let at = server.poll_timeout().unwrap();
    assert!(at > later, "the second one's answer may be waiting in the socket");
    server.handle_timeout(at);
    assert_eq!(events(&mut server), [outcome_of_server(second, Outcome::TimedOut)]);
}

#[test]
fn bursts_of_events_that_are_taken_at_once_stop_no_timeout() {
    for burst in [1, 1024] {
        let config = Arc::new(config().limits(Limits::default().max_events(burst)));
        let mut client = client_got(&config, true, &[]);
        let now = epoch();
        let request = client.request(now, "?", &[1]).unwrap();
        discard(&mut client);
        let deadline = client.poll_timeout().unwrap();
        for n in 0..4 {
            for _ in 0..burst {
                client.handle_input(now + n * SECOND, &text(r#"{"op":6,"w":"","a":[]}"#));
            }
            assert!(!client.wants_input());
            discard(&mut client);
        }
        assert_eq!(client.poll_timeout(), Some(deadline));
        client.handle_timeout(deadline);
        assert_eq!(events(&mut client), [outcome_of_client(request, Outcome::TimedOut)]);
    }
}

// --- what can't be sent

#[test]
fn a_full_queue_sends_nothing_and_leaves_everything_as_it_was() {
    let limits = Limits::default().max_transmit_bytes(300);
    let mut server = server_got(&Arc::new(config().limits(limits)), true, &[&ask("9")]);
    let now = epoch();
    let Some(ServerEvent::Request { id, .. }) = server.poll_event() else { panic!() };
    // While at most half waits, one more may, however long.
    server.dispatch(now, "long", &["x".repeat(1000)]).unwrap();
    assert_eq!(server.dispatch(now, "", &[1]), Err(SendError::QueueFull));
    assert_eq!(server.request(now, "", &[1]), Err(SendError::QueueFull));
    assert_eq!(server.respond(now, id, &1), Err(AnswerError::Send(SendError::QueueFull)));
    assert_eq!(sent(&mut server).len(), 1);
    server.respond(now, id, &1).unwrap();
    // 84 bytes are counted for that, no more than half. With 87 more, 129 are left, and 64 of them are
    // for the message.
    server.dispatch(now, "", &[7]).unwrap();
    let around = r#"{"op":6,"w":"","a":[]}"#.len();
    let what = "x".repeat(65 - around);
    assert_eq!(server.dispatch(now, &format!("{what}x"), &[0; 0]), Err(SendError::QueueFull));
    server.dispatch(now, &what, &[0; 0]).unwrap();
    assert_eq!(server.request(now, "", &[1]), Err(SendError::QueueFull));
    let again = server.respond(now, id, &1);
    assert_eq!(again, Err(AnswerError::NotOpen(id)), "which waiting does not change");
    assert_eq!(sent(&mut server)[0], r#"{"op":5,"n":9,"r":1}"#);
    let request = server.request(now, "", &[1]).unwrap();
    assert_eq!(request.nonce(), 1, "no nonce was used up");
}

#[test]
fn what_cannot_be_expressed_or_is_too_long_is_an_error_for_the_caller() {
    let codec = CodecConfig::default().max_message(300);
    let mut server = server_got(&Arc::new(config().codec(codec)), true, &[&ask("9")]);
    let now = epoch();
    let Some(ServerEvent::Request { id, .. }) = server.poll_event() else { panic!() };
    let around = r#"{"op":6,"w":"","a":[]}"#.len();
    let what = "x".repeat(301 - around);
    let too_long = SendError::Encode(EncodeError::MessageTooLarge { len: 301, limit: 300 });
    assert_eq!(server.dispatch(now, &what, &[0; 0]), Err(too_long));
    server.dispatch(now, &what[1..], &[0; 0]).unwrap();
    let result = server.respond(now, id, &"x".repeat(300));
    assert!(matches!(result, Err(AnswerError::Send(SendError::Encode(_)))), "{result:?}");
    // A map whose keys aren't strings, and what is nested too deep.
    let map = [std::collections::BTreeMap::from([((1, 2), 3)])];
    assert!(matches!(server.request(now, "?", &map), Err(SendError::Json(_))));
    let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let value: serde_json::Value = serde_json::from_str(&deep(127)).unwrap();
    server.dispatch(now, "?", &value).unwrap();
    assert!(matches!(server.dispatch(now, "?", &[value]), Err(SendError::Json(_))));
    // The request is still open.
    discard(&mut server);
    server.respond(now, id, &1).unwrap();
    assert_eq!(sent(&mut server), [r#"{"op":5,"n":9,"r":1}"#]);
}

// --- secrets and shape

#[test]
fn nothing_that_holds_the_password_shows_it() {
    let secret = "s3cret";
    let config = Arc::new(Config::default().password(secret));
    let mut shown = vec![format!("{config:?}")];
    let now = epoch();
    let mut client = Client::new(config.clone(), secret, now).unwrap();
    shown.push(format!("{client:?}"));
    client.handle_input(now, &hello(1000));
    shown.push(format!("{client:?}"));
    let ack = client.poll_transmit().unwrap();
    shown.push(format!("{ack:?}"));
    let mut server = Server::new(config, now);
    server.handle_input(now, &ack);
    shown.push(format!("{server:?}"));
    let mut undecided = Server::new(Arc::new(Config::default()), now);
    undecided.handle_input(now, &ack);
    undecided.handle_input(now, &ack);
    shown.push(format!("{undecided:?}"));
    let event = undecided.poll_event().unwrap();
    shown.push(format!("{event:?}"));
    // Nor does what ends the session, or is sent because of it.
    undecided.accept(now).unwrap();
    shown.push(format!("{undecided:?} {:?}", undecided.ended()));
    shown.push(format!(
        "{:?}",
        std::iter::from_fn(|| undecided.poll_transmit()).collect::<Vec<_>>()
    ));
    let twice = r#"{"op":1,"password":"s3cret","password":"s3cret"}"#;
    let mut server = server_got(&Arc::new(Config::default()), false, &[twice]);
    shown.push(format!("{:?} {:?}", server.poll_transmit(), server.ended()));
    let states = [
        "Config {",
        "Client { side: Connecting",
        "Client { side: Connected { authenticated: false",
        "Text(",
        "Server { side: Authenticated",
        "Server { side: Deciding",
    ];
    for (shown, state) in shown.iter().zip(states) {
        assert!(shown.starts_with(state), "{shown}");
    }
    for shown in shown {
        assert!(!shown.contains(secret), "{shown}");
    }
}

// --- what a reviewer's planted bugs got past

#[test]
fn text_in_events_counts_only_while_it_waits() {
    let config = Arc::new(config().limits(Limits::default().max_event_bytes(10)));
    let mut client = client_got(&config, true, &[]);
    for _ in 0..3 {
        client.handle_input(epoch(), &text(r#"{"op":6,"w":"long","a":[]}"#));
        assert!(client.wants_input());
        assert!(client.poll_event().is_some());
    }
}

#[test]
fn a_limit_of_0_counts_as_1() {
    let limits = Limits::default().max_nonce(0).max_event_bytes(0).max_events(2).max_pending(0);
    let mut server = server_got(&Arc::new(config().limits(limits)), false, &[]);
    server.handle_input(epoch(), &hello_ack(PASSWORD));
    assert!(server.wants_input(), "an event without text");
    server.handle_input(epoch(), &text(&ask("1")));
    assert_eq!(server.ended(), None);
    assert_eq!(events(&mut server).len(), 2);
}

#[test]
fn a_password_counts_as_text_of_an_event() {
    let limits = Limits::default().max_event_bytes(5);
    let mut server = server_got(&Arc::new(Config::default().limits(limits)), false, &[]);
    server.handle_input(epoch(), &hello_ack("12345"));
    assert!(!server.wants_input());
    assert!(server.poll_event().is_some());
    assert!(server.wants_input());
}

#[test]
fn what_the_application_does_while_events_wait_counts_no_time() {
    let config = Arc::new(config().limits(Limits::default().max_events(1)));
    let mut client = client_got(&config, true, &[r#"{"op":6,"w":"?","a":[]}"#]);
    let later = epoch() + 60 * SECOND;
    client.dispatch(later, "!", &[1]).unwrap();
    assert!(client.poll_event().is_some());
    client.handle_timeout(later);
    assert_eq!(client.ended(), None);
}

#[test]
fn step3_a_driver_that_is_a_whole_beat_late_goes_on() {
    let mut client = client_got(&Arc::new(config()), true, &[r#"{"op":3}"#]);
    let late = client.poll_timeout().unwrap() + 10 * SECOND;
    client.handle_timeout(late);
    assert!(client.poll_timeout() > Some(late));
    assert_eq!(client.ended(), None);
}

#[test]
fn step3_never_two_heartbeats_wait_even_with_others_between() {
    let now = epoch();
    let mut client = client_got(&Arc::new(config()), true, &[r#"{"op":3}"#]);
    client.handle_timeout(now + 11 * SECOND);
    client.dispatch(now + 11 * SECOND, "!", &[1]).unwrap();
    client.handle_input(now + 11 * SECOND, &text(r#"{"op":3}"#));
    client.handle_timeout(now + 22 * SECOND);
    let heartbeats = sent(&mut client).into_iter().filter(|text| text == r#"{"op":2}"#);
    assert_eq!(heartbeats.count(), 1);
}

#[test]
fn step5_what_is_due_when_the_session_ends_is_closed() {
    let now = epoch();
    let config = Arc::new(config().request_timeout(11 * SECOND));
    let mut client = client_got(&config, true, &[]);
    let request = client.request(now, "?", &[1]).unwrap();
    // The next heartbeat is due a second earlier.
    client.handle_timeout(client.poll_timeout().unwrap() + SECOND);
    assert!(client.ended().is_some(), "no ack");
    let closed = ClientEvent::Outcome { request, outcome: Outcome::Closed };
    assert_eq!(events(&mut client), [closed]);
}

#[test]
fn json_errors_tell_the_byte_on_every_line() {
    for (text, offset) in [("[\"x\",\n1]", 3), ("[1,\n 2,\n \"x\"]", 11)] {
        let error = json(text).parse::<Vec<u8>>().unwrap_err();
        assert_eq!(error.offset(), offset, "{text:?}: {error}");
    }
}

type Dyn =
    dyn Session<Input = Message, Transmit = Message, Event = ServerEvent, Error = SessionError>;

#[test]
fn sessions_go_into_a_box_and_to_other_threads() {
    fn sends<T: Send + 'static>() {}
    sends::<Client>();
    sends::<Server>();
    sends::<PeerRequestId>();
    let mut boxed: Box<Dyn> = Box::new(server_got(&Arc::new(config()), false, &[]));
    boxed.handle_input(epoch(), &text("{"));
    assert!(boxed.ended().is_some());
}

// --- settings

#[test]
fn each_setting_is_kept_beside_the_others() {
    let seconds = Duration::from_secs;
    let codec = CodecConfig::default().directions(Directions::AsDocumented).max_message(1);
    assert_eq!((codec.directions, codec.max_message), (Directions::AsDocumented, 1));
    let limits = Limits::default()
        .max_pending(1)
        .max_nonce(2)
        .max_held(3)
        .max_held_bytes(4)
        .max_transmit_bytes(5)
        .max_events(6)
        .max_event_bytes(7);
    assert_eq!((limits.max_pending, limits.max_nonce, limits.max_held), (1, 2, 3));
    assert_eq!((limits.max_held_bytes, limits.max_transmit_bytes), (4, 5));
    assert_eq!((limits.max_events, limits.max_event_bytes), (6, 7));
    let config = Config::default()
        .codec(codec)
        .limits(limits)
        .password("secret")
        .heartbeat_interval(seconds(1))
        .heartbeat_grace(seconds(2))
        .min_heartbeat_interval(seconds(3))
        .handshake_timeout(seconds(4))
        .request_timeout(seconds(5));
    assert_eq!((config.codec, config.limits), (codec, limits));
    assert_eq!(config.password.as_ref().map(|password| &**password.expose()), Some("secret"));
    assert_eq!((config.heartbeat_interval, config.heartbeat_grace), (seconds(1), seconds(2)));
    assert_eq!((config.min_heartbeat_interval, config.handshake_timeout), (seconds(3), seconds(4)));
    assert_eq!(config.request_timeout, seconds(5));
}
