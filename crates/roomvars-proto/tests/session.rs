//! The client: handshake, mirror, snapshot, what it sends and when, how it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roomvars_proto::{
    Backoff, Client, ClientConfig, ClientEvent, CloseCode, CloseFrame, CodecConfig,
    DecodeErrorKind, Dialect, EncodeError, End, Hub, HubConfig, JoinError, Limits, Message,
    RateLimit, SendError, Session, SessionError, Value, ValueRef, Violation, ViolationKind,
};
use testkit::conformance::{events, work_is_linear};
use testkit::epoch;

use Dialect::{Deployed2020, Documented, Scratch};

fn config(dialect: Dialect) -> ClientConfig {
    ClientConfig::default().codec(CodecConfig::default().dialect(dialect))
}

/// Ada, in a room with the variables x and y (or none, in the Scratch dialect); has said so.
fn client(config: ClientConfig, now: Instant) -> Client {
    let variables: &[_] =
        if config.codec.dialect == Scratch { &[] } else { &[("x", "0"), ("y", "0")] };
    let mut client = Client::new(Arc::new(config), "lobby", "ada", variables, now).unwrap();
    assert!(client.poll_transmit().is_some());
    client
}

fn set(name: &str, value: &str) -> String {
    format!(r#"{{"kind":"set","variable":"{name}","value":"{value}"}}"#)
}

fn scratch_set(name: &str, value: &str) -> String {
    format!(r#"{{"method":"set","name":"{name}","value":{value}}}"#)
}

fn text(text: impl Into<String>) -> Message {
    Message::text(text.into())
}

fn sent(client: &mut Client) -> Vec<Message> {
    std::iter::from_fn(|| client.poll_transmit()).collect()
}

fn is_set(name: &str, value: &str) -> ClientEvent {
    ClientEvent::Set { variable: name.into(), value: Value::Text(value.into()) }
}

fn is_snapshot(name: &str, value: &str, remaining: usize) -> ClientEvent {
    let (variable, value) = (name.into(), Value::Text(value.into()));
    ClientEvent::Snapshot { variable, value, remaining }
}

#[test]
fn step1_the_handshake_is_the_first_word() {
    let now = epoch();
    for (dialect, room, expected) in [
        (
            Documented,
            ValueRef::text("lobby"),
            r#"{"kind":"handshake","room":"lobby","username":"ada","variables":{"x":"1"}}"#,
        ),
        (
            Deployed2020,
            ValueRef::text("lobby"),
            r#"{"kind":"handshake","id":"lobby","username":"ada","variables":{"x":"1"}}"#,
        ),
        (Scratch, ValueRef::Number("12"), r#"{"method":"handshake","project_id":12,"user":"ada"}"#),
    ] {
        let variables: &[_] = if dialect == Scratch { &[] } else { &[("x", "1")] };
        let config = Arc::new(config(dialect));
        let mut client = Client::new(config, room, "ada", variables, now).unwrap();
        // Whatever is set at once comes after it.
        client.set(now, "x", "2").unwrap();
        assert_eq!(client.poll_transmit(), Some(text(expected)));
        assert_eq!(sent(&mut client).len(), 1);
        assert_eq!(client.poll_timeout(), None);
    }
}

#[test]
fn r5_what_no_room_would_take_is_an_error_for_the_caller() {
    let now = epoch();
    let join = |dialect, room: &str, user: &str, variables: &[(&str, &str)]| {
        Client::new(Arc::new(config(dialect)), room, user, variables, now).map(drop)
    };
    let long = |len: usize| "x".repeat(len);
    assert_eq!(join(Documented, &long(256), &long(64), &[(&long(512), "")]), Ok(()));
    assert_eq!(join(Documented, "", "ada", &[]), Err(JoinError::RoomId(0)));
    assert_eq!(join(Documented, &long(257), "ada", &[]), Err(JoinError::RoomId(257)));
    assert_eq!(join(Documented, "r", "", &[]), Err(JoinError::UsernameLength(0)));
    assert_eq!(join(Documented, "r", &long(65), &[]), Err(JoinError::UsernameLength(65)));
    assert_eq!(join(Documented, "r", "ada", &[("", "")]), Err(JoinError::NameLength(0)));
    let name = long(513);
    assert_eq!(join(Documented, "r", "ada", &[(&name, "")]), Err(JoinError::NameLength(513)));
    let value = long(100_001);
    let error = JoinError::ValueLength(100_001);
    assert_eq!(join(Documented, "r", "ada", &[("x", &value)]), Err(error));
    let twice = [("x", "0"), ("x", "0")];
    assert_eq!(join(Documented, "r", "ada", &twice), Err(JoinError::DuplicateVariable));
    let many: Vec<_> = (0..11).map(|at| at.to_string()).collect();
    let many: Vec<_> = many.iter().map(|name| (&**name, "")).collect();
    assert_eq!(join(Documented, "r", "ada", &many[..10]), Ok(()));
    assert_eq!(join(Documented, "r", "ada", &many), Err(JoinError::TooManyVariables));
    let error = JoinError::Encode(EncodeError::NotInDialect("variables"));
    assert_eq!(join(Scratch, "r", "ada", &[("x", "0")]), Err(error));
    let number = |number, dialect| {
        Client::new(Arc::new(config(dialect)), ValueRef::Number(number), "ada", &[], now).map(drop)
    };
    assert_eq!(number("1.0", Scratch), Err(JoinError::Encode(EncodeError::NotANumber)));
    let error = JoinError::Encode(EncodeError::NotInDialect("numbers"));
    assert_eq!(number("1", Documented), Err(error));
    let violation = |kind| Violation { kind, offset: 7 }.to_string();
    let texts = [
        (violation(ViolationKind::Malformed(DecodeErrorKind::NotJson)), "not JSON at byte 7"),
        (violation(ViolationKind::NoHandshake), "not a handshake"),
        (JoinError::RoomId(257).to_string(), "a room id can't have 257 bytes"),
        (JoinError::UsernameLength(0).to_string(), "a username can't have 0 bytes"),
        (SendError::NameLength(513).to_string(), "a variable name can't have 513 bytes"),
        (ViolationKind::ValueLength(1025).to_string(), "a value can't have 1025 bytes"),
    ];
    for (text, expected) in texts {
        assert_eq!(text, expected);
    }
}

#[test]
fn step2_the_snapshot_is_told_apart_from_live_changes() {
    let now = epoch();
    let [x, y] = [set("x", "1"), set("y", "2")];
    // (first message, how many of its sets are the snapshot)
    for (message, snapshot) in [
        (format!("{y}\n{x}"), 2),
        (format!("{x}\n{y}\n{}", set("x", "3")), 2),
        (format!("\n{x}\r\n\n{y}\n"), 2),
        // A room's snapshot has all of its variables.
        (x.clone(), 0),
        (format!("{x}\n{x}\n{y}"), 0),
        // What is ignored doesn't end it.
        (format!("{x}\n{{\"kind\":\"news\"}}\n{y}"), 2),
        (format!("{x}\n{}\n{y}", set("z", "1")), 2),
    ] {
        let mut client = client(config(Documented), now);
        client.handle_input(now, &text(&*message));
        let is_snapshot = |event: &ClientEvent| matches!(event, ClientEvent::Snapshot { .. });
        let mut events = events(&mut client);
        events.retain(|event| !matches!(event, ClientEvent::Ignored { .. }));
        let remaining: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                ClientEvent::Snapshot { remaining, .. } => Some(*remaining),
                _ => None,
            })
            .collect();
        assert_eq!(remaining, (0..snapshot).rev().collect::<Vec<_>>(), "{message}");
        assert!(events.iter().take(snapshot).all(is_snapshot), "{message}");
        // Only the first message can have one.
        client.handle_input(now, &text(format!("{x}\n{y}")));
        assert_eq!(self::events(&mut client), [is_set("x", "1"), is_set("y", "2")]);
    }
    // An empty message is one of no variables.
    let mut client = client(config(Documented), now);
    client.handle_input(now, &text(""));
    client.handle_input(now, &text(format!("{x}\n{y}")));
    assert_eq!(events(&mut client), [is_set("x", "1"), is_set("y", "2")]);
}

#[test]
fn step2_a_scratch_snapshot_is_whatever_comes_first() {
    let now = epoch();
    let mut client = client(config(Scratch), now);
    let [x, y] = [scratch_set("x", "\"1\""), scratch_set("y", "2.0")];
    client.handle_input(now, &text(format!("{x}\n{y}\n{x}")));
    let events = events(&mut client);
    assert_eq!(events[0], is_snapshot("x", "1", 1));
    assert!(matches!(&events[1], ClientEvent::Snapshot { remaining: 0, .. }));
    assert_eq!(events[2], is_set("x", "1"));
}

#[test]
fn step3_the_mirror_has_the_latest_of_all() {
    let now = epoch();
    let mut client = client(config(Documented), now);
    let variables = |client: &Client| -> Vec<String> {
        client.variables().map(|(name, value)| format!("{name}={}", value.as_str())).collect()
    };
    assert_eq!(variables(&client), ["x=0", "y=0"]);
    client.handle_input(now, &text(set("x", "1")));
    client.set(now, "y", "2").unwrap();
    assert_eq!(variables(&client), ["x=1", "y=2"]);
    client.handle_input(now, &text(set("y", "☁ \\u0041\\n")));
    assert_eq!(client.get("y").map(Value::as_str), Some("☁ A\n"));
    assert_eq!(client.get("z"), None);
    assert_eq!(sent(&mut client), [text(set("y", "2"))]);
}

#[test]
fn r3_scratch_variables_come_and_go_and_keep_their_spelling() {
    let now = epoch();
    let mut client = client(config(Scratch), now);
    for value in ["1.0", "1e400", "-0", "12345678901234567890123", "\"1.0\""] {
        client.handle_input(now, &text(scratch_set("x", value)));
        let expected = match value.trim_matches('"') {
            text if text.len() < value.len() => ValueRef::text(text),
            number => ValueRef::Number(number),
        };
        assert_eq!(client.get("x").map(Value::as_ref), Some(expected));
    }
    client.handle_input(now, &text(r#"{"method":"create","name":"y","value":"1"}"#));
    client.handle_input(now, &text(r#"{"method":"rename","name":"y","new_name":"z"}"#));
    client.handle_input(now, &text(r#"{"method":"delete","name":"x"}"#));
    let last: Vec<_> = events(&mut client).into_iter().skip(6).collect();
    let renamed = ClientEvent::Renamed { variable: "y".into(), new_name: "z".into() };
    assert_eq!(last, [renamed, ClientEvent::Deleted { variable: "x".into() }]);
    client.set(now, "new", ValueRef::Number("1.50")).unwrap();
    client.rename(now, "new", "newer").unwrap();
    client.delete(now, "z").unwrap();
    assert_eq!(
        sent(&mut client),
        [
            text(scratch_set("new", "1.50")),
            text(r#"{"method":"rename","name":"new","new_name":"newer"}"#),
            text(r#"{"method":"delete","name":"z"}"#),
        ]
    );
    assert_eq!(client.variables().map(|(name, _)| name).collect::<Vec<_>>(), ["newer"]);
}

#[test]
fn r2_what_cannot_be_followed_is_reported_and_ignored() {
    let now = epoch();
    let limits = Limits::default().max_value(3).max_name(3).max_scratch_variables(2);
    for (dialect, lines) in [
        (Documented, vec![r#"{"kind":"news"}"#.to_owned(), set("z", "1"), set("x", "long")]),
        (
            Scratch,
            vec![
                r#"{"method":"news"}"#.to_owned(),
                scratch_set("x", "\"long\""),
                scratch_set("long", "1"),
                scratch_set("", "1"),
                scratch_set("c", "1"),
                r#"{"method":"rename","name":"c","new_name":"d"}"#.to_owned(),
                r#"{"method":"rename","name":"a","new_name":"b"}"#.to_owned(),
                r#"{"method":"rename","name":"a","new_name":"long"}"#.to_owned(),
                r#"{"method":"delete","name":"c"}"#.to_owned(),
            ],
        ),
    ] {
        let mut client = client(config(dialect).limits(limits), now);
        if dialect == Scratch {
            client.set(now, "a", "1").unwrap();
            client.set(now, "b", "1").unwrap();
        }
        let before: Vec<_> = client.variables().map(|(n, v)| (n.to_owned(), v.clone())).collect();
        for line in lines {
            client.handle_input(now, &text(format!(" {line}\n")));
            assert_eq!(events(&mut client), [ClientEvent::Ignored { raw: line.into() }]);
        }
        let after = client.variables().map(|(n, v)| (n.to_owned(), v.clone()));
        assert!(after.eq(before));
        assert_eq!(client.ended(), None);
    }
}

#[test]
fn r1_r4_what_is_malformed_ends_it_after_all_that_was_good() {
    let now = epoch();
    let good = set("x", "1");
    for (bad, kind, code, at) in [
        ("{", DecodeErrorKind::NotJson, 1007, 1),
        ("[]", DecodeErrorKind::NotAnObject, 1008, 0),
        (r#"{"kind":"set","variable":"x"}"#, DecodeErrorKind::MissingKey("value"), 1008, 28),
        (r#"{"kind":"news"}{}"#, DecodeErrorKind::TrailingData, 1008, 15),
    ] {
        let mut client = client(config(Documented), now);
        client.set(now, "y", "7").unwrap();
        client.handle_input(now, &text(format!("{good}\n{good}\n{bad}\n{good}")));
        assert_eq!(events(&mut client), [is_set("x", "1"), is_set("x", "1")]);
        let offset = 2 * (good.len() as u64 + 1) + at;
        let violation = Violation { kind: ViolationKind::Malformed(kind), offset };
        let close = Message::Close(Some(CloseFrame::new(code, violation.to_string())));
        assert_eq!(sent(&mut client), [text(set("y", "7")), close]);
        assert_eq!(client.ended(), Some(&End::Error(SessionError::Violation(violation))));
    }
    let mut client = client(config(Documented), now);
    let mut bytes = format!("{good}\n").into_bytes();
    bytes.extend(b"{\"\xFF");
    client.handle_input(now, &Message::text(bytes));
    assert_eq!(events(&mut client), [is_set("x", "1")]);
    let kind = ViolationKind::Malformed(DecodeErrorKind::NotUtf8);
    let violation = Violation { kind, offset: good.len() as u64 + 3 };
    assert_eq!(client.ended(), Some(&End::Error(SessionError::Violation(violation))));
    let Some(Message::Close(Some(frame))) = client.poll_transmit() else { panic!() };
    assert_eq!(frame.code(), 1007);
}

#[test]
fn r4_binary_and_too_long_messages_end_it() {
    let now = epoch();
    let codec = CodecConfig::default().max_server_message(50);
    let too_long = DecodeErrorKind::MessageTooLarge { len: 51, limit: 50 };
    for (message, kind, code) in [
        (Message::Binary(Vec::new().into()), ViolationKind::UnexpectedBinary, 1003),
        (text(" ".repeat(51)), ViolationKind::Malformed(too_long), 1009),
    ] {
        let mut client = client(ClientConfig::default().codec(codec), now);
        client.handle_input(now, &text(" ".repeat(50)));
        assert_eq!(client.ended(), None);
        client.handle_input(now, &message);
        let Some(Message::Close(Some(frame))) = client.poll_transmit() else { panic!() };
        assert_eq!(frame.code(), code);
        let Some(End::Error(SessionError::Violation(violation))) = client.ended() else { panic!() };
        assert_eq!(violation.kind, kind);
    }
}

#[test]
fn r4_how_the_server_closes_tells_whether_to_come_again() {
    let now = epoch();
    for (code, documented, scratch) in [
        (1002, true, true),
        (1011, true, true),
        (4000, true, true),
        (4001, false, false),
        (4002, false, false),
        (4003, true, true),
        (4004, true, false),
        (4005, false, false),
        (4006, false, false),
        (3000, false, false),
    ] {
        let mut client = client(config(Documented), now);
        client.set(now, "x", "1").unwrap();
        let frame = CloseFrame::new(code, "so long");
        client.handle_input(now, &Message::Close(Some(frame)));
        let (code, reason) = (CloseCode(code), "so long".into());
        let error = SessionError::Closed { code, reason };
        assert_eq!(client.ended(), Some(&End::Error(error.clone())));
        assert_eq!(error.should_reconnect(Documented), documented, "{code}");
        assert_eq!(error.should_reconnect(Deployed2020), documented, "{code}");
        assert_eq!(error.should_reconnect(Scratch), scratch, "{code}");
        assert_eq!(sent(&mut client), []);
        assert_eq!(client.set(now, "x", "2"), Err(SendError::Ended));
    }
    for frame in [None, Some(CloseFrame::new(1000, "")), Some(CloseFrame::new(1001, ""))] {
        let mut client = client(config(Documented), now);
        client.handle_input(now, &Message::Close(frame));
        assert_eq!(client.ended(), Some(&End::Clean));
    }
    let closed =
        |reason: &str| SessionError::Closed { code: CloseCode(4004), reason: reason.into() };
    assert_eq!(closed("so long").to_string(), "closed by the server: 4004 so long");
    assert_eq!(closed("").to_string(), "closed by the server: 4004");
    let mut client = client(config(Documented), now);
    client.handle_eof(now);
    assert_eq!(client.ended(), Some(&End::Error(SessionError::ConnectionLost)));
    assert!(SessionError::ConnectionLost.should_reconnect(Scratch));
    let delay = Backoff::new().delay(0);
    assert!(delay >= Duration::from_secs(1) && delay <= Duration::from_secs(8));
}

#[test]
fn events_that_wait_hold_back_the_rest_of_the_input() {
    let now = epoch();
    for config in [
        config(Documented).max_events(2),
        config(Documented).max_event_bytes(4),
        config(Documented).max_events(0).max_event_bytes(0),
    ] {
        let most = if config.max_events == 0 { 1 } else { 2 };
        let mut client = client(config, now);
        let lines: Vec<_> = (0..9).map(|at| set("x", &at.to_string())).collect();
        client.handle_input(now, &text(lines.join("\n")));
        assert!(!client.wants_input());
        // So far is the mirror.
        assert_eq!(client.get("x").unwrap().as_str(), (most - 1).to_string());
        // What comes all the same isn't lost, nor is the end overtaken.
        client.handle_input(now, &text(set("y", "last")));
        client.handle_input(now, &Message::Close(None));
        assert_eq!(client.ended(), None);
        assert_eq!(client.set(now, "x", "1"), Err(SendError::Ended));
        for at in 0..9 {
            assert_eq!(client.poll_event(), Some(is_set("x", &at.to_string())));
        }
        assert_eq!(client.poll_event(), Some(is_set("y", "last")));
        assert_eq!(client.poll_event(), None);
        assert_eq!(client.ended(), Some(&End::Clean));
    }
}

#[test]
fn input_is_wanted_while_there_is_room_for_events() {
    let now = epoch();
    let mut client = client(config(Documented).max_events(2).max_event_bytes(6), now);
    for round in 0..10 {
        client.handle_input(now, &text(set("x", "1")));
        assert!(client.wants_input(), "{round}");
        // Nothing of the input waits, but as many events as may.
        client.handle_input(now, &text(set("x", "22")));
        assert!(!client.wants_input(), "{round}");
        assert_eq!(client.poll_event(), Some(is_set("x", "1")));
        assert!(client.wants_input(), "{round}");
        assert_eq!(client.poll_event(), Some(is_set("x", "22")));
    }
}

#[test]
fn who_has_closed_keeps_no_input() {
    let now = epoch();
    let mut client = client(config(Documented).max_events(1), now);
    let input = bytes::Bytes::from(format!("{0}\n{0}", set("x", "1")));
    client.handle_input(now, &Message::Text(input.clone()));
    assert!(!input.is_unique());
    client.close(now);
    assert!(input.is_unique());
    assert_eq!(client.poll_event(), Some(is_set("x", "1")));
    assert_eq!(client.poll_event(), None);
}

#[test]
fn a_bad_line_that_waits_ends_it_when_it_is_come_to() {
    let now = epoch();
    let mut client = client(config(Documented).max_events(1), now);
    client.handle_input(now, &text(format!("{}\n{{", set("x", "1"))));
    client.handle_eof(now);
    assert_eq!(client.ended(), None);
    assert!(client.poll_event().is_some());
    let Some(End::Error(SessionError::Violation(violation))) = client.ended() else { panic!() };
    assert_eq!(violation.kind, ViolationKind::Malformed(DecodeErrorKind::NotJson));
    // There is nobody to tell.
    assert_eq!(sent(&mut client), []);
}

#[test]
fn work_is_linear_however_events_are_taken() {
    let now = epoch();
    work_is_linear(
        |lines| {
            let mut client = client(config(Documented).max_events(1), now);
            client.handle_input(now, &text(format!("{}\n", set("x", "1")).repeat(lines)));
            let mut taken = 0;
            while client.poll_event().is_some() {
                taken += 1;
            }
            assert_eq!(taken, lines);
        },
        2000,
    );
}

#[test]
fn close_sends_what_is_queued_and_its_frame() {
    let now = epoch();
    let limit = RateLimit::per_second(1);
    let mut client = client(config(Documented).rate_limit(limit), now);
    for value in ["1", "2", "3"] {
        client.set(now, "x", value).unwrap();
    }
    assert_eq!(sent(&mut client), []);
    client.close_with(now, CloseFrame::new(4999, "done"));
    assert_eq!(client.ended(), Some(&End::Clean));
    assert_eq!(client.poll_timeout(), None);
    let close = Message::Close(Some(CloseFrame::new(4999, "done")));
    let sets = ["1", "2", "3"].map(|value| text(set("x", value)));
    assert_eq!(sent(&mut client), [&sets[..], &[close]].concat());
    client.close(now);
    client.handle_input(now, &text("{"));
    client.handle_eof(now);
    assert_eq!((sent(&mut client), client.ended()), (vec![], Some(&End::Clean)));
}

#[test]
fn step7_a_rate_limit_delays_what_is_sent() {
    let start = epoch();
    let limit = RateLimit::per_second(10).burst(2);
    let mut client = client(config(Documented).rate_limit(limit), start);
    for value in ["1", "2", "3"] {
        client.set(start, "x", value).unwrap();
    }
    // The handshake was one of the two.
    assert_eq!(sent(&mut client), [text(set("x", "1"))]);
    for (at, value) in [(100, "2"), (200, "3")] {
        let due = start + Duration::from_millis(at);
        assert_eq!(client.poll_timeout(), Some(due));
        client.handle_timeout(start + Duration::from_nanos(at * 1_000_000 - 1));
        assert_eq!(sent(&mut client), []);
        client.handle_timeout(due);
        assert_eq!(client.poll_timeout(), None);
        assert_eq!(sent(&mut client), [text(set("x", value))]);
    }
    assert_eq!(client.poll_timeout(), None);
    assert_eq!(client.queued(), 0);
}

#[test]
fn merged_sets_make_room_for_the_next() {
    let now = epoch();
    let limit = RateLimit::per_second(1);
    let config = config(Documented).merge_sets(true).rate_limit(limit).max_transmit_bytes(1000);
    let mut client = client(config, now);
    for at in 0..1000 {
        client.set(now, ["x", "y"][at % 2], &*at.to_string()).unwrap();
    }
    assert_eq!(client.queued(), 2);
}

#[test]
fn r5_a_value_may_be_as_long_as_the_limit_and_no_longer() {
    let now = epoch();
    let limits = Limits::default().max_value(3);
    for dialect in [Documented, Scratch] {
        let mut client = client(config(dialect).limits(limits), now);
        assert_eq!(client.set(now, "x", "333"), Ok(()));
        assert_eq!(client.set(now, "x", "4444"), Err(SendError::ValueLength(4)));
        assert_eq!(client.get("x").unwrap().as_str(), "333");
    }
}

#[test]
fn step2_a_snapshot_that_could_not_be_followed_ends_with_its_message() {
    let now = epoch();
    let limits = Limits::default().max_scratch_variables(3);
    let mut client = client(config(Scratch).limits(limits).max_events(1), now);
    let sets = ["a", "b", "c"].map(|name| scratch_set(name, "\"0\""));
    client.handle_input(now, &text(sets.join("\n")));
    // Its own take the places of the rest.
    for name in ["x", "y"] {
        client.set(now, name, "1").unwrap();
    }
    assert_eq!(client.poll_event(), Some(is_snapshot("a", "0", 2)));
    for _ in ["b", "c"] {
        assert!(matches!(client.poll_event(), Some(ClientEvent::Ignored { .. })));
    }
    client.handle_input(now, &text(scratch_set("a", "\"2\"")));
    assert_eq!(client.poll_event(), Some(is_set("a", "2")));
}

#[test]
fn only_the_last_of_merged_sets_is_sent() {
    let now = epoch();
    let mut client = client(config(Scratch).merge_sets(true), now);
    for (name, value) in [("x", "1"), ("y", "1"), ("x", "2"), ("x", "3")] {
        client.set(now, name, value).unwrap();
    }
    client.rename(now, "x", "z").unwrap();
    client.set(now, "x", "4").unwrap();
    client.set(now, "y", "5").unwrap();
    client.set(now, "x", "6").unwrap();
    assert_eq!(client.queued(), 5);
    assert_eq!(
        sent(&mut client),
        [
            text(scratch_set("y", "\"1\"")),
            text(scratch_set("x", "\"3\"")),
            // Not across a rename or delete.
            text(r#"{"method":"rename","name":"x","new_name":"z"}"#),
            text(scratch_set("y", "\"5\"")),
            text(scratch_set("x", "\"6\"")),
        ]
    );
}

#[test]
fn a_full_queue_refuses_and_changes_nothing() {
    let now = epoch();
    let one = set("x", "1").len() + 64;
    for merge in [false, true] {
        let config = config(Documented).max_transmit_bytes(2 * one).merge_sets(merge);
        let mut client = client(config, now);
        client.set(now, "x", "1").unwrap();
        client.set(now, "y", "1").unwrap();
        // In the place of one that waits it has room.
        let again = client.set(now, "x", "2");
        assert_eq!(again, if merge { Ok(()) } else { Err(SendError::QueueFull) });
        assert_eq!(client.set(now, "x", "10"), Err(SendError::QueueFull));
        let kept = if merge { "2" } else { "1" };
        assert_eq!(client.get("x").map(Value::as_str), Some(kept));
        let first = if merge { set("y", "1") } else { set("x", "1") };
        assert_eq!(client.poll_transmit(), Some(text(first)));
        client.set(now, "x", "3").unwrap();
    }
    // However long it is, one has room.
    let mut client = client(config(Documented).max_transmit_bytes(0), now);
    client.set(now, "x", "1").unwrap();
    assert_eq!(client.set(now, "x", "2"), Err(SendError::QueueFull));
    let mut client = self::client(config(Documented).max_transmit_bytes(0).merge_sets(true), now);
    client.set(now, "x", "1").unwrap();
    assert_eq!(client.set(now, "x", "200"), Ok(()));
    assert_eq!(client.set(now, "y", "1"), Err(SendError::QueueFull));
    assert_eq!(sent(&mut client), [text(set("x", "200"))]);
}

#[test]
fn r3_in_the_scratch_dialect_a_value_of_the_wrong_type_is_ignored() {
    let now = epoch();
    let (good, bad) = (scratch_set("x", "1"), scratch_set("y", "true"));
    let mut client = client(config(Scratch), now);
    client.handle_input(now, &text([&*good, &bad, &scratch_set("z", "2")].join("\n")));
    client.handle_input(now, &text(&*bad));
    let number = |number: &str| Value::Number(number.into());
    let ignored = ClientEvent::Ignored { raw: bad.into() };
    let snapshot = |variable: &str, value, remaining| ClientEvent::Snapshot {
        variable: variable.into(),
        value: number(value),
        remaining,
    };
    let expected = [snapshot("x", "1", 1), ignored.clone(), snapshot("z", "2", 0), ignored];
    assert_eq!(events(&mut client), expected);
    assert_eq!((client.ended(), client.get("y")), (None, None));
    // Nothing else is, nor in other dialects.
    client.handle_input(now, &text(r#"{"method":"set","name":true,"value":"1"}"#));
    assert_eq!(client.poll_event(), None);
    assert!(client.ended().is_some());
    let mut client = self::client(config(Documented), now);
    client.handle_input(now, &text(r#"{"kind":"set","variable":"x","value":true}"#));
    assert_eq!(client.poll_event(), None);
    assert!(client.ended().is_some());
}

#[test]
fn what_the_room_would_refuse_is_an_error_for_the_caller() {
    let now = epoch();
    let mut client = client(config(Documented), now);
    assert_eq!(client.set(now, "z", "1"), Err(SendError::UnknownVariable));
    let long = "v".repeat(100_001);
    assert_eq!(client.set(now, "x", &*long), Err(SendError::ValueLength(100_001)));
    let number = SendError::Encode(EncodeError::NotInDialect("numbers"));
    assert_eq!(client.set(now, "x", ValueRef::Number("1")), Err(number));
    let rename = SendError::Encode(EncodeError::NotInDialect("rename"));
    assert_eq!(client.rename(now, "x", "z"), Err(rename));
    let delete = SendError::Encode(EncodeError::NotInDialect("delete"));
    assert_eq!(client.delete(now, "x"), Err(delete));
    assert_eq!(client.get("x").map(Value::as_str), Some("0"));

    let mut client = self::client(config(Scratch), now);
    assert_eq!(client.set(now, "", "1"), Err(SendError::NameLength(0)));
    assert_eq!(client.set(now, &"n".repeat(513), "1"), Err(SendError::NameLength(513)));
    let number = SendError::Encode(EncodeError::NotANumber);
    assert_eq!(client.set(now, "x", ValueRef::Number("1,2")), Err(number));
    for at in 0..128 {
        client.set(now, &at.to_string(), "1").unwrap();
    }
    assert_eq!(client.set(now, "128", "1"), Err(SendError::TooManyVariables));
    assert_eq!(client.rename(now, "128", "x"), Err(SendError::UnknownVariable));
    assert_eq!(client.rename(now, "0", "1"), Err(SendError::NameTaken));
    assert_eq!(client.rename(now, "0", ""), Err(SendError::NameLength(0)));
    assert_eq!(client.rename(now, "0", &"n".repeat(513)), Err(SendError::NameLength(513)));
    assert_eq!(client.delete(now, "128"), Err(SendError::UnknownVariable));
    assert_eq!(client.queued(), 128);
    // What the limits just allow.
    client.rename(now, "0", &"n".repeat(512)).unwrap();
    client.delete(now, "1").unwrap();
    client.set(now, &"m".repeat(512), "1").unwrap();
}

#[test]
fn debug_shows_no_contents() {
    let mut client = client(config(Documented), epoch());
    client.handle_input(epoch(), &text(set("x", "secret")));
    let shown = format!("{client:?}");
    assert!(!shown.contains("secret") && shown.contains("events: 1"), "{shown}");
}

#[test]
fn a_large_handshake_makes_no_room_for_others_when_it_is_taken() {
    let now = epoch();
    let config = Arc::new(ClientConfig::default().max_transmit_bytes(20_000));
    let value = "v".repeat(50_000);
    let mut client = Client::new(config, "r", "u", &[("x", &value), ("y", "0")], now).unwrap();
    while client.set(now, "y", "0").is_ok() {}
    assert!(client.poll_transmit().is_some());
    assert_eq!(client.set(now, "y", "0"), Err(SendError::QueueFull));
}

#[test]
fn step2_a_snapshot_counts_only_what_has_room_beside_our_own() {
    let now = epoch();
    let limits = Limits::default().max_scratch_variables(2);
    let mut client = client(config(Scratch).limits(limits), now);
    client.set(now, "me", "1").unwrap();
    client.handle_input(now, &text([scratch_set("a", "1"), scratch_set("b", "2")].join("\n")));
    let events = events(&mut client);
    assert!(
        matches!(
            &events[..],
            [ClientEvent::Snapshot { remaining: 0, .. }, ClientEvent::Ignored { .. }]
        ),
        "{events:?}"
    );
}

#[test]
fn a_binary_message_behind_a_malformed_text_hides_no_close_frame() {
    let now = epoch();
    let mut client = client(config(Documented).max_events(1), now);
    client.handle_input(now, &text(format!("{}\n{{", set("x", "1"))));
    client.handle_input(now, &Message::Binary(vec![0].into()));
    while client.poll_event().is_some() {}
    assert!(matches!(client.poll_transmit(), Some(Message::Close(Some(_)))));
}

type Dyn =
    dyn Session<Input = Message, Transmit = Message, Event = ClientEvent, Error = SessionError>;

#[test]
fn sessions_go_into_a_box_and_to_other_threads() {
    fn sends<T: Send + Sync + 'static>() {}
    sends::<Client>();
    sends::<Hub>();
    let mut boxed: Box<Dyn> = Box::new(client(config(Documented), epoch()));
    boxed.handle_input(epoch(), &text("{"));
    assert!(boxed.ended().is_some());
}

#[test]
fn time_that_goes_back_changes_nothing() {
    let start = epoch();
    let limit = RateLimit::per_second(10).burst(1);
    let mut client = client(config(Documented).rate_limit(limit), start);
    client.set(start, "x", "1").unwrap();
    let due = client.poll_timeout().unwrap();
    client.handle_timeout(due);
    client.handle_timeout(start);
    client.handle_input(start, &text(set("y", "1")));
    assert_eq!(client.poll_timeout(), None);
    assert_eq!(sent(&mut client), [text(set("x", "1"))]);
}

#[test]
fn each_setting_is_kept_beside_the_others() {
    let seconds = Duration::from_secs;
    let codec = CodecConfig::default().dialect(Scratch).max_client_message(1).max_server_message(2);
    assert_eq!((codec.dialect, codec.max_client_message), (Scratch, 1));
    assert_eq!(codec.max_server_message, 2);
    let limits = Limits::default()
        .max_room_id(1)
        .max_username(2)
        .max_name(3)
        .max_value(4)
        .max_variables(5)
        .max_scratch_variables(6);
    assert_eq!((limits.max_room_id, limits.max_username, limits.max_name), (1, 2, 3));
    assert_eq!((limits.max_value, limits.max_variables), (4, 5));
    assert_eq!(limits.max_scratch_variables, 6);
    let rate = RateLimit::per_second(3);
    let client = ClientConfig::default()
        .codec(codec)
        .limits(limits)
        .merge_sets(true)
        .rate_limit(rate)
        .max_transmit_bytes(1)
        .max_events(2)
        .max_event_bytes(3);
    assert_eq!((client.codec, client.limits, client.merge_sets), (codec, limits, true));
    assert_eq!((client.rate_limit, client.max_transmit_bytes), (Some(rate), 1));
    assert_eq!((client.max_events, client.max_event_bytes), (2, 3));
    let hub = HubConfig::default()
        .limits(limits)
        .max_client_message(1)
        .max_server_message(2)
        .max_connections(3)
        .max_room_clients(4)
        .max_rooms(5)
        .handshake_timeout(seconds(6))
        .empty_room_ttl(seconds(7))
        .max_untaken(8)
        .max_batch_bytes(9)
        .flush_interval(seconds(10))
        .rate_limit(rate);
    assert_eq!((hub.limits, hub.max_client_message, hub.max_server_message), (limits, 1, 2));
    assert_eq!((hub.max_connections, hub.max_room_clients, hub.max_rooms), (3, 4, 5));
    assert_eq!((hub.handshake_timeout, hub.empty_room_ttl), (seconds(6), seconds(7)));
    assert_eq!((hub.max_untaken, hub.max_batch_bytes), (8, 9));
    assert_eq!((hub.flush_interval, hub.rate_limit), (Some(seconds(10)), Some(rate)));
}
