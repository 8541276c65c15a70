//! The hub: the conversation of the spec step by step, each refused side, slow receivers, memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roomvars_proto::{
    ApplyError, Author, ClientMessage, CloseCode, CloseFrame, ConnId, ConnectionError,
    DecodeErrorKind, Dialect, End, Full, Hub, HubConfig, HubEvent, Limits, Message, Policy,
    RateLimit, ServerMessage, ValueRef, Violation, ViolationKind,
};
use testkit::{Numbers, epoch, measure};

use Dialect::{Deployed2020, Documented, Scratch};

/// A hub, and what time it is.
struct Server<P: Policy = roomvars_proto::AcceptAll> {
    hub: Hub<P>,
    now: Instant,
}

fn server(config: HubConfig) -> Server {
    let now = epoch();
    Server { hub: Hub::new(Arc::new(config), now), now }
}

fn handshake(dialect: Dialect, room: &str, user: &str, variables: &str) -> String {
    match dialect {
        Documented => format!(
            r#"{{"kind":"handshake","room":"{room}","username":"{user}","variables":{{{variables}}}}}"#
        ),
        Deployed2020 => format!(
            r#"{{"kind":"handshake","id":"{room}","username":"{user}","variables":{{{variables}}}}}"#
        ),
        Scratch => format!(r#"{{"method":"handshake","project_id":"{room}","user":"{user}"}}"#),
    }
}

fn set(dialect: Dialect, name: &str, value: &str) -> String {
    match dialect {
        Documented => format!(r#"{{"kind":"set","variable":"{name}","value":"{value}"}}"#),
        Deployed2020 => format!(r#"{{"kind":"set","var":"{name}","value":"{value}"}}"#),
        Scratch => format!(r#"{{"method":"set","name":"{name}","value":"{value}"}}"#),
    }
}

fn rename(name: &str, new_name: &str) -> String {
    format!(r#"{{"method":"rename","name":"{name}","new_name":"{new_name}"}}"#)
}

fn delete(name: &str) -> String {
    format!(r#"{{"method":"delete","name":"{name}"}}"#)
}

const XY: &str = r#""x":"0","y":"0""#;

impl<P: Policy> Server<P> {
    fn connect(&mut self, dialect: Dialect) -> ConnId {
        self.hub.connect(self.now, dialect).unwrap()
    }

    fn says(&mut self, id: ConnId, text: impl Into<String>) {
        self.hub.handle_input(self.now, id, &Message::text(text.into()));
    }

    /// In room `r`, with the variables x and y.
    fn join(&mut self, dialect: Dialect, user: &str) -> ConnId {
        let id = self.connect(dialect);
        self.says(id, handshake(dialect, "r", user, XY));
        assert_eq!(self.hub.ended(id), None, "{user}");
        id
    }

    /// The same, and has heard what there was.
    fn joined(&mut self, dialect: Dialect, user: &str) -> ConnId {
        let id = self.join(dialect, user);
        self.hears(id);
        id
    }

    /// All messages that are to be sent.
    fn messages(&mut self, id: ConnId) -> Vec<String> {
        std::iter::from_fn(|| self.hub.poll_transmit(id))
            .map(|message| match message {
                Message::Text(text) => String::from_utf8(text.into()).unwrap(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// All objects in them.
    fn hears(&mut self, id: ConnId) -> Vec<String> {
        let messages = self.messages(id);
        messages.iter().flat_map(|text| text.split('\n').map(str::to_owned)).collect()
    }

    fn sleep(&mut self, duration: Duration) {
        self.now += duration;
        self.hub.handle_timeout(self.now);
    }

    /// Closed by the hub with this code: nothing else is to be sent, and it is no member any more.
    fn is_closed(&mut self, id: ConnId, code: u16, kind: ViolationKind) {
        let Some(Message::Close(Some(frame))) = self.hub.poll_transmit(id) else {
            panic!("{kind}: not closed")
        };
        assert_eq!(frame.code(), code, "{kind}");
        assert_eq!(self.hub.poll_transmit(id), None);
        let Some(End::Error(ConnectionError::Violation(violation))) = self.hub.ended(id) else {
            panic!("{kind}: {:?}", self.hub.ended(id))
        };
        assert_eq!(violation.kind, kind);
        assert_eq!(frame.reason(), violation.to_string());
        assert_eq!(self.hub.connection(id).unwrap().room, None);
    }

    /// Somebody says just this, and is closed for it.
    fn refuses(&mut self, dialect: Dialect, text: &str, code: u16, kind: ViolationKind) {
        let id = self.connect(dialect);
        self.says(id, text);
        self.is_closed(id, code, kind);
        self.hub.disconnect(self.now, id);
    }

    fn value(&self, is_scratch: bool, name: &str) -> Option<String> {
        let room = self.hub.room(is_scratch, "r")?;
        let mut variables = room.variables();
        variables.find(|(other, _)| *other == name).map(|(_, value)| value.as_str().to_owned())
    }
}

fn malformed(kind: DecodeErrorKind) -> ViolationKind {
    ViolationKind::Malformed(kind)
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn step1_the_first_message_is_a_handshake() {
    let mut s = server(HubConfig::default());
    s.refuses(Documented, &set(Documented, "x", "1"), 4000, ViolationKind::NoHandshake);
    s.refuses(Scratch, &rename("x", "y"), 4000, ViolationKind::NoHandshake);
    // Ignored only in a room (R3).
    let id = s.connect(Scratch);
    s.says(id, r#"{"method":"set","name":"x","value":[]}"#);
    assert!(
        matches!(s.hub.poll_transmit(id), Some(Message::Close(Some(frame))) if frame.code() == 4000)
    );
    s.refuses(Scratch, &delete("x"), 4000, ViolationKind::NoHandshake);
    s.refuses(Documented, r#"{"kind":"news"}"#, 4000, ViolationKind::UnknownKind);
    for dialect in [Documented, Deployed2020, Scratch] {
        let id = s.joined(dialect, "ada");
        s.says(id, handshake(dialect, "r", "ada", XY));
        s.is_closed(id, 4000, ViolationKind::SecondHandshake);
    }
}

#[test]
fn step1_a_handshake_comes_in_time() {
    let timeout = Duration::from_secs(30);
    let mut s = server(HubConfig::default().handshake_timeout(timeout));
    assert_eq!(HubConfig::default().handshake_timeout, timeout);
    assert_eq!(s.hub.poll_timeout(), None);
    let slow = s.connect(Documented);
    let start = s.now;
    s.now += Duration::from_secs(1);
    let other = s.connect(Documented);
    let quick = s.join(Documented, "quick");
    assert_eq!(s.hub.poll_timeout(), Some(start + timeout));
    s.sleep(Duration::from_nanos(28_999_999_999));
    assert_eq!(s.hub.ended(slow), None);
    s.sleep(Duration::from_nanos(1));
    assert_eq!(s.hub.ended(slow), Some(&End::Error(ConnectionError::HandshakeTimeout)));
    assert_eq!(s.hub.poll_ready(), Some(slow));
    let close = CloseFrame::new(4000, "no handshake in time");
    assert_eq!(s.hub.poll_transmit(slow), Some(Message::Close(Some(close))));
    assert_eq!(s.hub.ended(other), None);
    s.sleep(Duration::from_secs(1));
    assert!(s.hub.ended(other).is_some() && s.hub.ended(quick).is_none());
    assert_eq!(s.hub.poll_timeout(), None);
}

#[test]
fn step2_who_comes_first_creates_the_room_and_who_comes_later_is_told_it() {
    let mut s = server(HubConfig::default());
    let ada = s.join(Documented, "ada");
    assert_eq!(s.hub.poll_event(), Some((ada, HubEvent::Joined)));
    assert_eq!((s.hub.poll_event(), s.hub.poll_ready()), (None, None));
    assert_eq!(s.messages(ada), texts(&[]));
    s.says(ada, set(Documented, "y", "1"));
    // The client's values don't count, nor does the order of its variables; and it is one message.
    for dialect in [Documented, Deployed2020] {
        let id = s.connect(dialect);
        s.says(id, handshake(dialect, "r", &format!("{dialect:?}"), r#""y":"7","x":"8""#));
        assert_eq!(s.hub.poll_ready(), Some(id));
        let snapshot = [set(dialect, "x", "0"), set(dialect, "y", "1")].join("\n");
        assert_eq!(s.messages(id), [snapshot]);
    }
    assert_eq!(s.value(false, "y").as_deref(), Some("1"));
    let room = s.hub.room(false, "r").unwrap();
    assert_eq!((room.id(), room.is_scratch(), room.clients()), ("r", false, 3));
    let shown = r#"RoomInfo { id: "r", is_scratch: false, clients: 3, variables: 2 }"#;
    assert_eq!(format!("{room:?}"), shown, "no values");
}

#[test]
fn step2_a_room_without_variables_has_no_snapshot() {
    let mut s = server(HubConfig::default());
    for user in ["ada", "grace"] {
        let id = s.connect(Documented);
        s.says(id, handshake(Documented, "empty", user, ""));
        let scratch = s.join(Scratch, user);
        assert_eq!((s.hub.poll_ready(), s.hub.poll_transmit(id)), (None, None));
        assert_eq!(s.hub.poll_transmit(scratch), None);
    }
}

#[test]
fn step2_a_snapshot_is_split_where_it_would_be_too_long() {
    let one = set(Documented, "x", "0").len();
    let mut s = server(HubConfig::default().max_server_message(2 * one + 1));
    s.join(Documented, "ada");
    let grace = s.join(Documented, "grace");
    assert_eq!(s.messages(grace).len(), 1);
    let mut s = server(HubConfig::default().max_server_message(2 * one));
    s.join(Documented, "ada");
    let grace = s.join(Documented, "grace");
    assert_eq!(s.messages(grace), [set(Documented, "x", "0"), set(Documented, "y", "0")]);
}

#[test]
fn step2_the_variables_must_be_those_of_the_room() {
    let mut s = server(HubConfig::default());
    let ada = s.join(Documented, "ada");
    for variables in [r#""x":"0""#, r#""x":"0","z":"0""#, r#""x":"","y":"","z":"""#, ""] {
        let text = handshake(Documented, "r", "grace", variables);
        s.refuses(Documented, &text, 4001, ViolationKind::Incompatible);
    }
    let twice = handshake(Documented, "r", "grace", r#""x":"0","y":"0","\u0078":"1""#);
    s.refuses(Documented, &twice, 4000, ViolationKind::DuplicateVariable);
    let twice = handshake(Documented, "new", "grace", r#""x":"0","x":"0""#);
    s.refuses(Documented, &twice, 4000, ViolationKind::DuplicateVariable);
    assert!(s.hub.room(false, "new").is_none());
    assert_eq!(s.hub.room(false, "r").unwrap().clients(), 1);
    assert_eq!(s.hub.ended(ada), None);
}

#[test]
fn step2_usernames_are_unique_in_a_room() {
    let mut s = server(HubConfig::default());
    let ada = s.join(Documented, "Ada É");
    let text = handshake(Deployed2020, "r", "aDA É", XY);
    s.refuses(Deployed2020, &text, 4002, ViolationKind::UsernameTaken);
    // ASCII only, in this room only, and not in the Scratch dialect.
    s.join(Documented, "Ada é");
    let other = s.connect(Documented);
    s.says(other, handshake(Documented, "other", "Ada É", ""));
    assert_eq!(s.hub.ended(other), None);
    s.join(Scratch, "ada");
    s.join(Scratch, "ada");
    // Free again.
    s.hub.disconnect(s.now, ada);
    s.join(Documented, "ada É");
}

#[test]
fn r5_a_room_always_has_a_place_for_one() {
    let mut s = server(HubConfig::default().max_room_clients(0));
    let ada = s.join(Documented, "ada");
    let ben = handshake(Documented, "r", "ben", "");
    s.refuses(Documented, &ben, 4003, ViolationKind::RoomFull);
    s.hub.disconnect(s.now, ada);
    s.join(Documented, "ben");
}

#[test]
fn step2_what_is_wrong_is_told_in_order() {
    let config = HubConfig::default().max_rooms(1).max_room_clients(1);
    let mut s = server(config.limits(Limits::default().max_variables(2)));
    s.join(Documented, "ada");
    let long = "v".repeat(1025);
    let bad = format!(r#""x":"{long}","z":"""#);
    // Each mends the first thing that is wrong with the one before.
    s.refuses(Documented, &handshake(Documented, "", "", &bad), 4000, ViolationKind::RoomId(0));
    let user = handshake(Documented, "r", "", &bad);
    s.refuses(Documented, &user, 4002, ViolationKind::UsernameLength(0));
    let value = handshake(Documented, "new", "ADA", &bad);
    s.refuses(Documented, &value, 4000, ViolationKind::ValueLength(1025));
    let many = handshake(Documented, "new", "ADA", r#""x":"","z":"","w":"""#);
    s.refuses(Documented, &many, 4000, ViolationKind::TooManyVariables);
    let rooms = handshake(Documented, "new", "ADA", r#""x":"","z":"""#);
    s.refuses(Documented, &rooms, 4003, ViolationKind::TooManyRooms);
    let full = handshake(Documented, "r", "ADA", r#""x":"","z":"""#);
    s.refuses(Documented, &full, 4003, ViolationKind::RoomFull);
    let mut s = server(HubConfig::default());
    s.join(Documented, "ada");
    s.refuses(Documented, &full, 4002, ViolationKind::UsernameTaken);
}

#[test]
fn step3_a_set_is_told_to_all_others_in_order() {
    let mut s = server(HubConfig::default());
    let ada = s.joined(Documented, "ada");
    let grace = s.joined(Documented, "grace");
    let old = s.joined(Deployed2020, "old");
    let apart = s.joined(Scratch, "ada");
    s.says(ada, set(Documented, "x", "1"));
    s.says(old, set(Deployed2020, "x", "2"));
    s.says(ada, set(Documented, "y", "☁"));
    let [one, two, three] = [("x", "1"), ("x", "2"), ("y", "☁")];
    let as_in = |dialect, of: &[(&str, &str)]| -> Vec<String> {
        of.iter().map(|(name, value)| set(dialect, name, value)).collect()
    };
    assert_eq!(s.messages(ada), as_in(Documented, &[two]));
    assert_eq!(s.messages(grace), as_in(Documented, &[one, two, three]));
    assert_eq!(s.messages(old), as_in(Deployed2020, &[one, three]));
    assert_eq!(s.messages(apart), texts(&[]));
    assert_eq!(s.value(false, "y").as_deref(), Some("☁"));
    s.says(grace, set(Documented, "z", "1"));
    s.is_closed(grace, 4000, ViolationKind::UnknownVariable);
    s.says(ada, set(Documented, "x", "3"));
    assert_eq!(s.messages(old), [set(Deployed2020, "x", "3")]);
}

#[test]
fn r1_a_client_says_one_object_a_message() {
    let mut s = server(HubConfig::default());
    let ada = s.joined(Documented, "ada");
    let two = [set(Documented, "x", "1"), set(Documented, "y", "1")].join("\n");
    s.says(ada, two);
    s.is_closed(ada, 4000, malformed(DecodeErrorKind::TrailingData));
    assert_eq!(s.value(false, "x").as_deref(), Some("0"));
    let grace = s.joined(Documented, "grace");
    s.says(grace, format!(" {} \n", set(Documented, "x", "1")));
    assert_eq!(s.value(false, "x").as_deref(), Some("1"));
}

#[test]
fn r2_r4_what_is_malformed_is_closed_with_4000() {
    let mut s = server(HubConfig::default());
    let invalid = |key, expected| malformed(DecodeErrorKind::InvalidValue { key, expected });
    for (text, kind) in [
        ("", malformed(DecodeErrorKind::NotJson)),
        ("[]", malformed(DecodeErrorKind::NotAnObject)),
        (r#"{"kind":"set","variable":"x"}"#, malformed(DecodeErrorKind::MissingKey("value"))),
        (r#"{"kind":"set","variable":"x","value":1}"#, invalid("value", "a string")),
        (
            r#"{"kind":"set","variable":"x","value":"1","kind":"set"}"#,
            malformed(DecodeErrorKind::DuplicateKey("kind")),
        ),
        (r#"{"kind":"create","variable":"x","value":"1"}"#, ViolationKind::UnknownKind),
    ] {
        let ada = s.joined(Documented, "ada");
        s.says(ada, text);
        s.is_closed(ada, 4000, kind);
    }
    // Only a value may be anything, and only in the Scratch dialect (R3).
    let ada = s.joined(Scratch, "ada");
    s.says(ada, r#"{"method":"set","name":1,"value":1}"#);
    s.is_closed(ada, 4000, invalid("name", "a string"));
    let ada = s.joined(Documented, "ada");
    s.hub.handle_input(s.now, ada, &Message::text(&b"\xFF"[..]));
    s.is_closed(ada, 4000, malformed(DecodeErrorKind::NotUtf8));
    let deep = format!(r#"{{"kind":{}"#, "[".repeat(128));
    s.refuses(Documented, &deep, 4000, malformed(DecodeErrorKind::TooDeep));
    let long = " ".repeat((1 << 20) + 1);
    let kind = DecodeErrorKind::MessageTooLarge { len: long.len(), limit: 1 << 20 };
    s.refuses(Documented, &long, 4000, malformed(kind));
    let ada = s.joined(Documented, "ada");
    s.hub.handle_input(s.now, ada, &Message::Binary(Vec::new().into()));
    s.is_closed(ada, 1003, ViolationKind::UnexpectedBinary);
}

#[test]
fn r3_scratch_variables_come_and_go() {
    let mut s = server(HubConfig::default());
    let ada = s.joined(Scratch, "ada");
    // An integer means its decimal text.
    let number = s.connect(Scratch);
    s.says(number, r#"{"method":"handshake","project_id":12,"user":"n"}"#);
    let text = s.connect(Scratch);
    s.says(text, r#"{"method":"handshake","project_id":"12","user":"n"}"#);
    assert_eq!(s.hub.room(true, "12").unwrap().clients(), 2);

    let grace = s.joined(Scratch, "grace");
    s.says(ada, r#"{"method":"create","user":"ada","project_id":7,"name":"x","value":1.0}"#);
    s.says(ada, r#"{"method":"set","name":"x","value":"a"}"#);
    s.says(ada, r#"{"method":"set","name":"y","value":1e400}"#);
    s.says(ada, rename("x", "z"));
    s.says(ada, delete("y"));
    let expected = texts(&[
        r#"{"method":"set","name":"x","value":1.0}"#,
        r#"{"method":"set","name":"x","value":"a"}"#,
        r#"{"method":"set","name":"y","value":1e400}"#,
        r#"{"method":"rename","name":"x","new_name":"z"}"#,
        r#"{"method":"delete","name":"y"}"#,
    ]);
    assert_eq!(s.messages(grace), expected);
    // What isn't there, or is there already, changes nothing.
    s.says(ada, set(Scratch, "b", "1"));
    s.says(ada, rename("x", "w"));
    s.says(ada, rename("z", "b"));
    s.says(ada, rename("z", "z"));
    s.says(ada, delete("x"));
    assert_eq!(s.messages(grace), [set(Scratch, "b", "1")]);
    assert_eq!(
        (s.value(true, "z").as_deref(), s.value(true, "b").as_deref()),
        (Some("a"), Some("1"))
    );
    // Values that aren't acceptable are ignored, names that aren't are not.
    for value in [format!("\"{}\"", "v".repeat(1025)), "true".into(), "null".into(), "{}".into()] {
        s.says(ada, format!(r#"{{"method":"set","name":"z","value":{value}}}"#));
        s.says(ada, format!(r#"{{"method":"set","name":"new","value":{value}}}"#));
    }
    assert_eq!(s.hub.ended(ada), None);
    assert_eq!(s.messages(grace), texts(&[]));
    s.says(ada, set(Scratch, &"n".repeat(512), "1"));
    assert_eq!(s.hub.ended(ada), None);
    s.says(ada, set(Scratch, &"n".repeat(513), "1"));
    s.is_closed(ada, 4000, ViolationKind::NameLength(513));
    for text in [set(Scratch, "", "1"), rename("z", "")] {
        let id = s.joined(Scratch, "x");
        s.says(id, text);
        s.is_closed(id, 4000, ViolationKind::NameLength(0));
    }
    let id = s.joined(Scratch, "x");
    s.says(id, rename("z", &"n".repeat(513)));
    s.is_closed(id, 4000, ViolationKind::NameLength(513));
}

#[test]
fn r5_lengths_at_each_limit_and_one_over() {
    let mut s = server(HubConfig::default());
    let of = |len: usize| "é".repeat(len / 2) + &"e".repeat(len % 2);
    for (room, user, name, value, refused) in [
        (256, 64, 512, 1024, None),
        (1, 1, 1, 0, None),
        (257, 1, 1, 0, Some((4000, ViolationKind::RoomId(257)))),
        (0, 1, 1, 0, Some((4000, ViolationKind::RoomId(0)))),
        (1, 65, 1, 0, Some((4002, ViolationKind::UsernameLength(65)))),
        (1, 0, 1, 0, Some((4002, ViolationKind::UsernameLength(0)))),
        (1, 1, 513, 0, Some((4000, ViolationKind::NameLength(513)))),
        (1, 1, 0, 0, Some((4000, ViolationKind::NameLength(0)))),
        (1, 1, 1, 1025, Some((4000, ViolationKind::ValueLength(1025)))),
    ] {
        let variables = format!(r#""{}":"{}""#, of(name), of(value));
        let text = handshake(Documented, &of(room), &of(user), &variables);
        if let Some((code, kind)) = refused {
            s.refuses(Documented, &text, code, kind);
            continue;
        }
        let id = s.connect(Documented);
        s.says(id, text);
        assert_eq!(s.hub.ended(id), None);
        s.hub.disconnect(s.now, id);
    }
    let ada = s.joined(Documented, "ada");
    s.says(ada, set(Documented, "x", &"v".repeat(1024)));
    // Escapes don't count.
    s.says(ada, set(Documented, "x", &"\\u0041".repeat(1024)));
    assert_eq!(s.hub.ended(ada), None);
    s.says(ada, set(Documented, "x", &"v".repeat(1025)));
    s.is_closed(ada, 4000, ViolationKind::ValueLength(1025));
}

#[test]
fn r5_variables_clients_and_rooms_are_limited() {
    let mut s = server(HubConfig::default());
    let variables =
        |count: usize| (0..count).map(|at| format!(r#""v{at}":"""#)).collect::<Vec<_>>().join(",");
    let ten = handshake(Documented, "ten", "ada", &variables(10));
    let id = s.connect(Documented);
    s.says(id, ten);
    assert_eq!(s.hub.room(false, "ten").unwrap().variables().len(), 10);
    let eleven = handshake(Documented, "eleven", "ada", &variables(11));
    s.refuses(Documented, &eleven, 4000, ViolationKind::TooManyVariables);
    let ada = s.joined(Scratch, "ada");
    for at in 0..128 {
        s.says(ada, set(Scratch, &format!("v{at}"), "1"));
    }
    s.says(ada, set(Scratch, "v0", "2"));
    assert_eq!(s.hub.ended(ada), None);
    s.says(ada, set(Scratch, "v128", "1"));
    s.is_closed(ada, 4000, ViolationKind::TooManyVariables);

    for at in 0..100 {
        s.join(Documented, &format!("user{at}"));
    }
    let text = handshake(Documented, "r", "one more", XY);
    s.refuses(Documented, &text, 4003, ViolationKind::RoomFull);
    let rooms = s.hub.rooms().count();
    for at in rooms..512 {
        let id = s.connect(Documented);
        s.says(id, handshake(Documented, &format!("room{at}"), "ada", ""));
    }
    let text = handshake(Documented, "one more", "ada", "");
    // The Scratch room is empty, and goes; then there is none.
    s.refuses(Scratch, &text, 4000, malformed(DecodeErrorKind::MissingKey("method")));
    let id = s.connect(Documented);
    s.says(id, text);
    assert_eq!((s.hub.ended(id), s.hub.rooms().count()), (None, 512));
    assert!(s.hub.room(true, "r").is_none());
    let text = handshake(Scratch, "r", "ada", "");
    s.refuses(Scratch, &text, 4003, ViolationKind::TooManyRooms);
}

#[test]
fn r5_connections_are_limited() {
    let mut s = server(HubConfig::default().max_connections(2));
    let [first, second] = [s.connect(Documented), s.connect(Scratch)];
    assert_eq!(s.hub.connect(s.now, Documented), Err(Full));
    // An ended one counts until it is taken leave of.
    s.says(first, "{");
    assert_eq!(s.hub.connect(s.now, Documented), Err(Full));
    s.hub.disconnect(s.now, first);
    let third = s.connect(Documented);
    assert!(![first, second].contains(&third));
    assert_eq!(s.hub.connections().map(|one| one.id).collect::<Vec<_>>(), [third, second]);
}

#[test]
fn step4_who_leaves_is_gone_at_once() {
    let mut s = server(HubConfig::default());
    let ada = s.joined(Documented, "ada");
    for how in 0..4 {
        let grace = s.joined(Documented, "grace");
        s.says(ada, set(Documented, "x", "1"));
        match how {
            0 => s.hub.disconnect(s.now, grace),
            1 => s.hub.handle_eof(s.now, grace),
            2 => s.hub.handle_input(s.now, grace, &Message::Close(None)),
            _ => s.hub.kick(s.now, grace, CloseCode::TRY_AGAIN_LATER),
        }
        s.says(ada, set(Documented, "x", "2"));
        let left: Vec<_> = std::iter::from_fn(|| s.hub.poll_transmit(grace)).collect();
        let close = Message::Close(Some(CloseFrame::new(4004, "kicked")));
        assert_eq!(left, if how == 3 { vec![close] } else { vec![] });
        assert_eq!(s.hub.room(false, "r").unwrap().clients(), 1);
        // Nothing that it says counts, and the next of its name comes in.
        s.says(grace, set(Documented, "x", "3"));
        assert_eq!(s.value(false, "x").as_deref(), Some("2"));
    }
}

#[test]
fn step4_an_empty_room_keeps_its_variables_for_a_while() {
    let mut s = server(HubConfig::default());
    let ttl = Duration::from_secs(600);
    let ada = s.joined(Documented, "ada");
    s.says(ada, set(Documented, "x", "1"));
    s.hub.disconnect(s.now, ada);
    assert_eq!(s.hub.poll_timeout(), Some(s.now + ttl));
    s.sleep(Duration::from_nanos(599_999_999_999));
    let ada = s.join(Documented, "ada");
    // In the order in which they were set.
    assert_eq!(s.hears(ada), [set(Documented, "y", "0"), set(Documented, "x", "1")]);
    // In use its time doesn't run.
    assert_eq!(s.hub.poll_timeout(), None);
    s.sleep(ttl);
    assert!(s.hub.room(false, "r").is_some());
    s.hub.disconnect(s.now, ada);
    s.sleep(ttl);
    assert!(s.hub.room(false, "r").is_none());
    let ada = s.join(Documented, "ada");
    assert_eq!(s.hears(ada), texts(&[]));
}

#[test]
fn step4_the_room_that_is_empty_longest_makes_room() {
    let mut s = server(HubConfig::default().max_rooms(3));
    let enter = |s: &mut Server, room: &str| {
        let id = s.connect(Documented);
        s.says(id, handshake(Documented, room, "ada", ""));
        id
    };
    let [a, b, _c] = ["a", "b", "c"].map(|room| enter(&mut s, room));
    s.hub.disconnect(s.now, b);
    s.now += Duration::from_secs(1);
    s.hub.disconnect(s.now, a);
    enter(&mut s, "d");
    let rooms: Vec<_> = s.hub.rooms().map(|room| room.id().to_owned()).collect();
    assert!(rooms.iter().all(|room| ["a", "c", "d"].contains(&&**room)), "{rooms:?}");
    enter(&mut s, "e");
    assert!(s.hub.room(false, "a").is_none());
    s.refuses(
        Documented,
        &handshake(Documented, "f", "ada", ""),
        4003,
        ViolationKind::TooManyRooms,
    );
}

#[test]
fn step4_rooms_that_never_expire_make_room_in_order_too() {
    let mut s = server(HubConfig::default().max_rooms(3).empty_room_ttl(Duration::MAX));
    let enter = |s: &mut Server, room: &str| {
        let id = s.connect(Documented);
        s.says(id, handshake(Documented, room, "ada", ""));
        id
    };
    let ids = ["a", "b", "c"].map(|room| enter(&mut s, room));
    for at in [2, 0, 1] {
        s.sleep(Duration::from_secs(1));
        s.hub.disconnect(s.now, ids[at]);
    }
    for (new, gone) in [("d", "c"), ("e", "a"), ("f", "b")] {
        enter(&mut s, new);
        assert!(s.hub.room(false, gone).is_none(), "{gone}");
        assert!(s.hub.room(false, new).is_some());
    }
}

#[test]
fn step5_a_set_is_encoded_once_for_each_dialect() {
    let mut s = server(HubConfig::default());
    let ada = s.joined(Documented, "ada");
    let receivers: Vec<_> = (0..5).map(|at| s.joined(Documented, &format!("d{at}"))).collect();
    let old: Vec<_> = (0..5).map(|at| s.joined(Deployed2020, &format!("o{at}"))).collect();
    s.says(ada, set(Documented, "x", "1"));
    for group in [receivers, old] {
        let shared: Vec<_> = group
            .iter()
            .map(|id| match s.hub.poll_transmit(*id) {
                Some(Message::Text(text)) => text,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(shared.iter().all(|text| text.as_ptr() == shared[0].as_ptr()));
    }
}

#[test]
fn step5_handles_of_who_is_gone_do_nothing() {
    let mut s = server(HubConfig::default());
    let ada = s.joined(Documented, "ada");
    s.hub.disconnect(s.now, ada);
    let grace = s.joined(Documented, "grace");
    // It has the same place.
    s.says(ada, set(Documented, "x", "1"));
    s.says(ada, "{");
    s.hub.kick(s.now, ada, CloseCode::GENERIC);
    s.hub.handle_eof(s.now, ada);
    s.hub.disconnect(s.now, ada);
    assert_eq!(s.hub.poll_transmit(ada), None);
    assert!(s.hub.connection(ada).is_none() && s.hub.ended(ada).is_none());
    assert_eq!((s.hub.ended(grace), s.value(false, "x").as_deref()), (None, Some("0")));
}

#[test]
fn step5_who_is_ready_is_told_in_turn_and_once() {
    let mut s = server(HubConfig::default());
    let ada = s.joined(Documented, "ada");
    let grace = s.joined(Documented, "grace");
    let other = s.connect(Documented);
    s.says(other, handshake(Documented, "other", "ada", XY));
    let another = s.connect(Documented);
    s.says(another, handshake(Documented, "other", "grace", XY));
    s.hears(another);
    while s.hub.poll_ready().is_some() {}
    // A busy room, and one change elsewhere.
    for at in 0..100 {
        s.says(ada, set(Documented, "x", &at.to_string()));
    }
    s.says(other, set(Documented, "x", "1"));
    assert_eq!(s.hub.poll_ready(), Some(grace));
    assert_eq!(s.hub.poll_ready(), Some(another));
    assert_eq!(s.hub.poll_ready(), None);
    // Grace is slow. Until she is done she isn't told again, and nobody waits for her.
    assert!(s.hub.poll_transmit(grace).is_some());
    s.says(ada, set(Documented, "x", "100"));
    assert_eq!(s.hub.poll_ready(), None);
    assert!(s.hub.poll_transmit(another).is_some());
    s.says(other, set(Documented, "x", "2"));
    assert_eq!(s.hub.poll_ready(), Some(another));
    assert_eq!(s.messages(grace).len(), 100);
    s.says(ada, set(Documented, "x", "101"));
    assert_eq!(s.hub.poll_ready(), Some(grace));
}

#[test]
fn step5_who_has_taken_all_is_told_again_though_others_have_not() {
    // As it comes, and merged.
    for config in [HubConfig::default(), HubConfig::default().max_untaken(0)] {
        let mut s = server(config);
        let [ada, quick, _slow] = ["ada", "quick", "slow"].map(|name| s.joined(Documented, name));
        s.says(ada, set(Documented, "x", "1"));
        while s.hub.poll_ready().is_some() {}
        assert!(s.hub.poll_transmit(quick).is_some());
        s.says(ada, set(Documented, "x", "2"));
        assert_eq!(s.hub.poll_ready(), Some(quick));
        assert_eq!(s.hub.poll_ready(), None);
    }
}

#[test]
fn step6_at_the_limit_every_set_comes_and_past_it_the_last_of_each() {
    let one = set(Documented, "x", "100").len();
    let mut s = server(HubConfig::default().max_untaken(10 * one));
    let ada = s.joined(Documented, "ada");
    let grace = s.joined(Documented, "grace");
    let sets = |from: usize, to: usize| {
        (from..to).map(|at| set(Documented, "x", &at.to_string())).collect::<Vec<_>>()
    };
    for text in sets(100, 110) {
        s.says(ada, text);
    }
    let info = s.hub.connection(grace).unwrap();
    assert_eq!((info.pending_bytes, info.is_merging), (10 * one, false));
    assert_eq!(s.messages(grace), sets(100, 110));
    for text in sets(110, 120) {
        s.says(ada, text);
    }
    s.says(ada, set(Documented, "y", "1"));
    assert!(s.hub.connection(grace).unwrap().is_merging);
    for text in sets(120, 130) {
        s.says(ada, text);
    }
    // In the order in which they were made last, in one message.
    let merged = [set(Documented, "y", "1"), set(Documented, "x", "129")];
    assert_eq!(s.hub.connection(grace).unwrap().pending_bytes, merged.join("").len());
    assert_eq!(s.messages(grace), [merged.join("\n")]);
    // Now every one comes again.
    assert!(!s.hub.connection(grace).unwrap().is_merging);
    for text in sets(130, 135) {
        s.says(ada, text);
    }
    assert_eq!(s.messages(grace), sets(130, 135));
}

#[test]
fn step6_own_sets_count_and_make_void_what_is_merged() {
    let mut s = server(HubConfig::default().max_untaken(100));
    let ada = s.joined(Documented, "ada");
    let grace = s.joined(Documented, "grace");
    s.says(ada, set(Documented, "x", "1"));
    s.says(grace, set(Documented, "y", "1"));
    assert!(!s.hub.connection(grace).unwrap().is_merging);
    s.says(grace, set(Documented, "y", "2"));
    let info = s.hub.connection(grace).unwrap();
    assert!(info.is_merging);
    assert_eq!(info.pending_bytes, set(Documented, "x", "1").len(), "its own isn't sent");
    s.says(ada, set(Documented, "y", "3"));
    s.says(grace, set(Documented, "y", "4"));
    assert_eq!(s.hears(grace), [set(Documented, "x", "1")]);
    // Nothing is left of what was merged.
    for value in ["5", "6", "7"] {
        s.says(ada, set(Documented, "x", value));
    }
    assert!(s.hub.connection(grace).unwrap().is_merging);
    s.says(grace, set(Documented, "x", "8"));
    assert!(!s.hub.connection(grace).unwrap().is_merging);
    assert_eq!(s.hears(grace), [""; 0]);
    // Who has nothing to hear may set as much as it likes.
    for at in 0..100 {
        s.says(grace, set(Documented, "x", &at.to_string()));
    }
    assert!(!s.hub.connection(grace).unwrap().is_merging);
    assert_eq!(s.hears(ada).last(), Some(&set(Documented, "x", "99")));
}

#[test]
fn step6_merged_sets_leave_in_batches() {
    let config = HubConfig::default().max_untaken(0).max_batch_bytes(100);
    let mut s = server(config);
    let ada = s.joined(Scratch, "ada");
    let grace = s.joined(Scratch, "grace");
    for at in 0..5 {
        s.says(ada, set(Scratch, &format!("v{at}"), "1"));
    }
    let batches = s.messages(grace);
    assert_eq!(batches.len(), 3, "{batches:?}");
    assert!(batches.iter().all(|batch| batch.len() <= 100));
    // One object may be longer.
    s.says(ada, set(Scratch, "v", &"v".repeat(500)));
    assert_eq!(s.messages(grace).len(), 1);
}

#[test]
fn step6_a_rename_or_delete_is_a_barrier() {
    let mut s = server(HubConfig::default().max_untaken(200));
    let ada = s.joined(Scratch, "ada");
    let grace = s.joined(Scratch, "grace");
    let fill = |s: &mut Server, name: &str, value: &str| {
        for _ in 0..10 {
            s.says(ada, set(Scratch, name, value));
        }
    };
    s.says(ada, set(Scratch, "x", "0"));
    s.says(ada, rename("x", "y"));
    fill(&mut s, "y", "1");
    assert!(s.hub.connection(grace).unwrap().is_merging);
    s.says(ada, rename("y", "z"));
    fill(&mut s, "z", "2");
    let expected = [
        set(Scratch, "x", "0"),
        rename("x", "y"),
        set(Scratch, "y", "1"),
        rename("y", "z"),
        set(Scratch, "z", "2"),
    ];
    assert_eq!(s.hears(grace), expected);
}

#[test]
fn step6_what_waits_up_to_a_barrier_is_replaced_with_its_first_byte_over_the_limit() {
    let (set_x, x_to_y) = (set(Scratch, "x", "0"), rename("x", "y"));
    let both = set_x.len() + x_to_y.len();
    for (most, is_replaced) in [(both, false), (both - 1, true)] {
        // Merging begins after it (or with it) and before it.
        for sets in [1, 3] {
            let mut s = server(HubConfig::default().max_untaken(most));
            let (ada, slow) = (s.joined(Scratch, "ada"), s.joined(Scratch, "slow"));
            for _ in 0..sets {
                s.says(ada, &set_x);
            }
            assert_eq!(s.hub.connection(slow).unwrap().is_merging, sets == 3);
            if sets == 3 {
                s.says(slow, set(Scratch, "own", "0"));
            }
            s.says(ada, &x_to_y);
            s.says(ada, set(Scratch, "y", "1"));
            let info = s.hub.connection(slow).unwrap();
            let mut expected = vec![set_x.clone(), x_to_y.clone(), set(Scratch, "y", "1")];
            if is_replaced {
                s.says(ada, rename("y", "z"));
                // Names up to where merging begins may have been told.
                let between = if sets == 1 { delete("y") } else { set(Scratch, "own", "0") };
                expected = vec![delete("x"), between, set(Scratch, "z", "1")];
            } else {
                assert_eq!(info.pending_bytes, expected.concat().len());
            }
            assert_eq!(s.hears(slow), expected, "{most} bytes, {sets} sets");
        }
    }
}

#[test]
fn step6_what_is_kept_for_a_barrier_leaves_in_batches_up_to_the_limit() {
    let texts = [set(Scratch, "x", "0"), rename("x", "y")];
    let batch = texts.join("\n");
    for (limit, messages) in [(batch.len(), 2), (batch.len() - 1, 3)] {
        let most = batch.len() - 1;
        let mut s = server(HubConfig::default().max_untaken(most).max_batch_bytes(limit));
        let (ada, slow) = (s.joined(Scratch, "ada"), s.joined(Scratch, "slow"));
        for text in &texts {
            s.says(ada, text);
        }
        s.says(ada, set(Scratch, "y", "1"));
        assert_eq!(s.messages(slow).len(), messages);
    }
}

#[test]
fn step6_too_many_barriers_come_to_deletes_and_sets() {
    let mut s = server(HubConfig::default().max_untaken(300));
    let ada = s.joined(Scratch, "ada");
    for name in ["a", "b", "c"] {
        s.says(ada, set(Scratch, name, "1"));
    }
    let grace = s.join(Scratch, "grace");
    assert_eq!(s.hears(grace).len(), 3);
    // A storm of renames, of one that grace knows and of one that she doesn't.
    s.says(ada, set(Scratch, "n0", "2"));
    s.says(ada, rename("a", "m0"));
    for at in 0..1000 {
        s.says(ada, rename(&format!("n{at}"), &format!("n{}", at + 1)));
        s.says(ada, rename(&format!("m{at}"), &format!("m{}", at + 1)));
    }
    s.says(ada, delete("b"));
    s.says(ada, set(Scratch, "b", "3"));
    s.says(ada, delete("c"));
    assert!(s.hub.connection(grace).unwrap().pending_bytes < 2000);
    let heard = s.hears(grace);
    let (deletes, sets) = heard.split_at(heard.len() - 3);
    assert!(deletes.contains(&delete("a")) && deletes.contains(&delete("c")), "{heard:?}");
    // Of names that she never knew at most those before it came to that.
    assert!(!deletes.contains(&delete("b")) && deletes.len() < 20, "{heard:?}");
    for (name, value) in [("n1000", "2"), ("m1000", "1"), ("b", "3")] {
        assert!(sets.contains(&set(Scratch, name, value)), "{heard:?}");
    }
    s.says(ada, set(Scratch, "b", "4"));
    assert_eq!(s.hears(grace), [set(Scratch, "b", "4")]);
}

#[test]
fn step6_names_that_come_and_go_among_the_deletes_are_deleted() {
    // All deletes don't fit one batch, and one of the names is there again meanwhile.
    let mut s = server(HubConfig::default().max_untaken(300).max_batch_bytes(60));
    let ada = s.joined(Scratch, "ada");
    for name in ["a", "b", "c", "d"] {
        s.says(ada, set(Scratch, name, "0"));
    }
    let slow = s.joined(Scratch, "slow");
    for name in ["a", "b", "c", "d"] {
        s.says(ada, delete(name));
    }
    for _ in 0..10 {
        s.says(ada, set(Scratch, "t", "1"));
        s.says(ada, delete("t"));
    }
    s.says(ada, set(Scratch, "d", "5"));
    assert_eq!(s.hub.poll_transmit(slow), Some(Message::text(delete("a"))));
    s.says(ada, delete("d"));
    let heard = s.hears(slow);
    for name in ["b", "c", "d"] {
        assert!(heard.contains(&delete(name)), "{name}: {heard:?}");
    }
}

#[test]
fn step6_what_the_slow_client_names_meanwhile_is_deleted() {
    for other_is_first in [true, false] {
        let mut s = server(HubConfig::default().max_untaken(300));
        let ada = s.joined(Scratch, "ada");
        s.says(ada, set(Scratch, "a", "0"));
        let slow = s.joined(Scratch, "slow");
        for _ in 0..10 {
            s.says(ada, set(Scratch, "t", "1"));
            s.says(ada, delete("t"));
        }
        if other_is_first {
            s.says(ada, set(Scratch, "y", "5"));
        }
        s.says(slow, set(Scratch, "y", "6"));
        s.says(slow, rename("a", "b"));
        s.says(ada, delete("y"));
        s.says(ada, delete("b"));
        let heard = s.hears(slow);
        assert!(heard.contains(&delete("y")) && heard.contains(&delete("b")), "{heard:?}");
        // She has removed it herself.
        assert!(!heard.contains(&delete("a")), "{heard:?}");
    }
}

#[test]
fn step2_a_rename_before_a_large_snapshot_is_read_is_part_of_it() {
    // Too large from the start, or by what comes behind it.
    for (count, sets) in [(100, 0), (50, 100)] {
        let mut s = server(HubConfig::default());
        let ada = s.joined(Scratch, "ada");
        for at in 0..count {
            s.says(ada, set(Scratch, &format!("n{at}"), &"v".repeat(1000)));
        }
        let slow = s.join(Scratch, "slow");
        for _ in 0..sets {
            s.says(ada, set(Scratch, "n1", &"w".repeat(1000)));
        }
        s.says(ada, rename("n0", "m"));
        s.says(ada, delete("n2"));
        let messages = s.messages(slow);
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].split('\n').count(), count - 1);
        assert!(messages[0].contains(r#""m""#) && !messages[0].contains("delete"));
    }
}

#[test]
fn step6_what_a_client_names_before_a_large_snapshot_is_read_may_have_to_be_deleted() {
    // Too large from the start, or by what comes behind it.
    for (untaken, sets) in [(100, 0), (400, 20)] {
        for leaves in [false, true] {
            let mut s = server(HubConfig::default().max_untaken(untaken));
            let ada = s.joined(Scratch, "ada");
            for name in ["a", "b", "c", "d"] {
                s.says(ada, set(Scratch, name, "0"));
            }
            let slow = s.join(Scratch, "slow");
            assert_eq!(s.hub.connection(slow).unwrap().is_merging, sets == 0);
            s.says(slow, set(Scratch, "x", "1"));
            s.says(slow, set(Scratch, "a", "1"));
            s.says(slow, set(Scratch, "y", "1"));
            s.says(slow, rename("y", "z"));
            for _ in 0..sets {
                s.says(ada, set(Scratch, "a", "2"));
            }
            assert!(s.hub.connection(slow).unwrap().is_merging);
            // Of her own and of others'; one comes back, and one she removes herself.
            s.says(ada, delete("x"));
            s.says(ada, rename("a", "e"));
            s.says(ada, delete("b"));
            s.says(ada, rename("z", "w"));
            s.says(ada, set(Scratch, "z", "3"));
            if leaves {
                s.says(slow, delete("z"));
            }
            let heard = s.hears(slow);
            let values = if leaves { 4 } else { 5 };
            let (deletes, sets) = heard.split_at(heard.len() - values);
            assert_eq!(deletes, [delete("a"), delete("x")]);
            let names = ["c", "d", "e", "w", "z"];
            for name in &names[..values] {
                let start = format!(r#"{{"method":"set","name":"{name}""#);
                assert_eq!(sets.iter().filter(|set| set.starts_with(&start)).count(), 1);
            }
            assert!(!s.hub.connection(slow).unwrap().is_merging);
        }
    }
    // The usual one is whole, and told of no deletes.
    let mut s = server(HubConfig::default().max_untaken(100));
    let ada = s.joined(Scratch, "ada");
    for name in ["a", "b", "c", "d"] {
        s.says(ada, set(Scratch, name, "0"));
    }
    let slow = s.join(Scratch, "slow");
    s.says(slow, set(Scratch, "a", "1"));
    let messages = s.messages(slow);
    assert_eq!((messages.len(), messages[0].lines().count()), (1, 4));
}

#[test]
fn step2_a_set_amid_a_large_snapshot_does_not_begin_it_again() {
    let one = set(Scratch, "a", "0").len();
    let config = HubConfig::default().max_untaken(0).max_server_message(2 * one + 1);
    let mut s = server(config);
    let ada = s.joined(Scratch, "ada");
    for name in ["a", "b", "c", "d", "e"] {
        s.says(ada, set(Scratch, name, "0"));
    }
    let slow = s.join(Scratch, "slow");
    let Some(Message::Text(first)) = s.hub.poll_transmit(slow) else { panic!() };
    assert_eq!(first, [set(Scratch, "a", "0"), set(Scratch, "b", "0")].join("\n"));
    s.says(slow, set(Scratch, "a", "1"));
    s.says(slow, set(Scratch, "x", "1"));
    let heard = s.hears(slow);
    assert_eq!(heard[..3], ["c", "d", "e"].map(|name| set(Scratch, name, "0")));
    assert!(!heard.contains(&set(Scratch, "b", "0")), "{heard:?}");
}

#[test]
fn step2_what_is_renamed_amid_a_large_snapshot_is_not_left_under_its_old_name() {
    let one = set(Scratch, "a", "0").len();
    let mut s = server(HubConfig::default().max_untaken(0).max_server_message(2 * one + 1));
    let ada = s.joined(Scratch, "ada");
    for name in ["a", "b", "c"] {
        s.says(ada, set(Scratch, name, "0"));
    }
    let slow = s.join(Scratch, "slow");
    assert!(s.hub.poll_transmit(slow).is_some(), "a and b");
    s.says(ada, rename("a", "z"));
    let heard = s.hears(slow);
    assert_eq!(heard[0], delete("a"), "{heard:?}");
    for name in ["b", "c", "z"] {
        assert!(heard.contains(&set(Scratch, name, "0")), "{heard:?}");
    }
}

#[test]
fn step6_a_slow_client_does_not_hear_its_own_renames_and_deletes() {
    let mut s = server(HubConfig::default().max_untaken(100));
    let (ada, slow) = (s.joined(Scratch, "ada"), s.joined(Scratch, "slow"));
    for name in ["a", "b"] {
        s.says(slow, set(Scratch, name, "0"));
    }
    for _ in 0..5 {
        s.says(ada, set(Scratch, "c", "1"));
    }
    assert!(s.hub.connection(slow).unwrap().is_merging);
    s.says(slow, rename("a", "d"));
    s.says(slow, delete("b"));
    s.says(slow, rename("c", "e"));
    assert_eq!(s.hears(slow), [set(Scratch, "e", "1")]);
}

#[test]
fn step6_nor_those_that_wait_when_merging_begins() {
    let mut s = server(HubConfig::default().max_untaken(200));
    let (ada, slow) = (s.joined(Scratch, "ada"), s.joined(Scratch, "slow"));
    s.says(slow, set(Scratch, "x", "0"));
    s.says(ada, set(Scratch, "other", "0"));
    s.says(slow, rename("x", "y"));
    s.says(ada, rename("y", "z"));
    while !s.hub.connection(slow).unwrap().is_merging {
        s.says(ada, set(Scratch, "z", "1"));
    }
    let expected = [set(Scratch, "other", "0"), rename("y", "z"), set(Scratch, "z", "1")];
    assert_eq!(s.hears(slow), expected);
}

#[test]
fn step6_what_is_deleted_at_a_slow_client_counts_no_more() {
    let limits = Limits::default().max_scratch_variables(4).max_name(4);
    let config = HubConfig::default().limits(limits).max_untaken(0).max_batch_bytes(0);
    let mut s = server(config);
    let (ada, slow) = (s.joined(Scratch, "ada"), s.joined(Scratch, "slow"));
    let make_and_remove = |s: &mut Server, at: usize| {
        s.says(slow, set(Scratch, &at.to_string(), "0"));
        s.says(ada, delete(&at.to_string()));
    };
    s.says(ada, set(Scratch, "x", "0"));
    s.says(ada, rename("x", "y"));
    make_and_remove(&mut s, 0);
    for at in 1..100 {
        make_and_remove(&mut s, at);
        assert!(s.hub.connection(slow).unwrap().is_merging);
        assert!(s.hub.poll_transmit(slow).is_some());
        assert_eq!(s.hub.ended(slow), None, "{at}");
    }
}

#[test]
fn step6_sets_after_a_rename_are_merged_with_none_before_it() {
    let mut s = server(HubConfig::default().max_untaken(500));
    let (ada, slow) = (s.joined(Scratch, "ada"), s.joined(Scratch, "slow"));
    let says = |s: &mut Server, name: &str, value: &str| {
        s.says(ada, set(Scratch, name, value));
        set(Scratch, name, value)
    };
    let mut expected = vec![says(&mut s, "x", "1"), says(&mut s, "y", "1"), says(&mut s, "z", "0")];
    s.says(ada, rename("z", "w"));
    expected.push(rename("z", "w"));
    expected.extend([says(&mut s, "y", "2"), says(&mut s, "x", "2")]);
    s.says(ada, rename("w", "z"));
    expected.push(rename("w", "z"));
    while !s.hub.connection(slow).unwrap().is_merging {
        says(&mut s, "y", "3");
    }
    expected.push(set(Scratch, "y", "3"));
    assert_eq!(s.hears(slow), expected);
}

#[test]
fn step2_a_snapshot_is_merged_with_what_follows_when_it_is_over_the_limit() {
    let two = 2 * set(Documented, "x", "0").len();
    for (most, is_merging) in [(two, false), (two - 1, true)] {
        let mut s = server(HubConfig::default().max_untaken(most));
        s.joined(Documented, "ada");
        let slow = s.join(Documented, "slow");
        assert_eq!(s.hub.connection(slow).unwrap().is_merging, is_merging);
        assert_eq!(s.hears(slow).len(), 2);
    }
}

#[test]
fn step7_who_is_closed_while_the_driver_has_it_is_ready_again() {
    let mut s = server(HubConfig::default());
    let (ada, grace) = (s.joined(Documented, "ada"), s.joined(Documented, "grace"));
    while s.hub.poll_ready().is_some() {}
    s.says(ada, set(Documented, "x", "1"));
    assert_eq!((s.hub.poll_ready(), s.hub.poll_ready()), (Some(grace), None));
    s.hub.kick(s.now, grace, CloseCode::GENERIC);
    assert_eq!((s.hub.poll_ready(), s.hub.poll_ready()), (Some(grace), None));
    assert!(matches!(s.hub.poll_transmit(grace), Some(Message::Close(_))));
    assert_eq!(s.hub.poll_transmit(grace), None);
}

#[test]
fn step6_what_waits_is_counted_to_the_byte() {
    let mut s = server(HubConfig::default().max_untaken(600).max_batch_bytes(0));
    let (ada, slow) = (s.joined(Scratch, "ada"), s.joined(Scratch, "slow"));
    while !s.hub.connection(slow).unwrap().is_merging {
        s.says(ada, set(Scratch, "a", "0"));
        s.says(ada, set(Scratch, "b", "0"));
    }
    s.says(ada, rename("a", "c"));
    s.says(ada, set(Scratch, "b", "1"));
    let mut pending = s.hub.connection(slow).unwrap().pending_bytes;
    let mut texts = Vec::new();
    while let Some(Message::Text(text)) = s.hub.poll_transmit(slow) {
        pending -= text.len();
        assert_eq!(s.hub.connection(slow).unwrap().pending_bytes, pending);
        texts.push(text);
    }
    assert_eq!((pending, texts.len()), (0, 4));
}

#[test]
fn step6_its_own_set_makes_void_what_waits_of_the_same_variable() {
    let mut s = server(HubConfig::default().max_untaken(300));
    let (ada, slow) = (s.joined(Scratch, "ada"), s.joined(Scratch, "slow"));
    s.says(ada, set(Scratch, "x", "1"));
    s.says(slow, set(Scratch, "x", "2"));
    // Another is merged across a rename.
    s.says(ada, set(Scratch, "y", "1"));
    s.says(ada, rename("y", "z"));
    while !s.hub.connection(slow).unwrap().is_merging {
        s.says(ada, set(Scratch, "z", "2"));
    }
    let expected = [set(Scratch, "y", "1"), rename("y", "z"), set(Scratch, "z", "2")];
    assert_eq!(s.hears(slow), expected);
}

#[test]
fn step6_what_another_room_collects_puts_off_no_tick() {
    let mut s = server(HubConfig::default().flush_interval(Duration::from_millis(20)));
    let (ada, grace) = (s.joined(Documented, "ada"), s.joined(Documented, "grace"));
    let other = s.connect(Documented);
    s.says(other, handshake(Documented, "other", "ada", XY));
    let due = s.now + Duration::from_millis(20);
    s.says(ada, set(Documented, "x", "1"));
    s.sleep(Duration::from_millis(15));
    s.says(other, set(Documented, "x", "1"));
    assert_eq!(s.hub.poll_timeout(), Some(due));
    s.sleep(Duration::from_millis(5));
    assert_eq!(s.hears(grace), [set(Documented, "x", "1")]);
}

#[test]
fn step6_what_is_collected_is_not_sent_with_the_tick_before() {
    let tick = Duration::from_millis(20);
    let mut s = server(HubConfig::default().flush_interval(tick));
    let (ada, grace) = (s.joined(Documented, "ada"), s.joined(Documented, "grace"));
    for value in ["0", "1"] {
        s.says(ada, set(Documented, "x", value));
    }
    s.sleep(tick);
    s.says(ada, set(Documented, "x", "2"));
    assert_eq!(s.hears(grace), ["0", "1"].map(|value| set(Documented, "x", value)));
    s.sleep(tick);
    assert_eq!(s.hears(grace), [set(Documented, "x", "2")]);
}

#[test]
fn step6_merging_begins_with_the_first_byte_over_the_limit() {
    let two = 2 * set(Documented, "x", "0").len();
    for (most, is_merging) in [(two, false), (two - 1, true)] {
        let mut s = server(HubConfig::default().max_untaken(most));
        let (ada, slow) = (s.joined(Documented, "ada"), s.joined(Documented, "slow"));
        for value in ["0", "1"] {
            assert!(!s.hub.connection(slow).unwrap().is_merging);
            s.says(ada, set(Documented, "x", value));
        }
        assert_eq!(s.hub.connection(slow).unwrap().is_merging, is_merging);
        assert_eq!(s.hears(slow).len(), if is_merging { 1 } else { 2 });
    }
}

#[test]
fn step6_merging_for_one_does_not_begin_it_for_another_at_the_limit() {
    let two = 2 * set(Documented, "x", "0").len();
    let mut s = server(HubConfig::default().max_untaken(two));
    let [ada, over, at] = ["ada", "over", "at"].map(|name| s.joined(Documented, name));
    s.says(ada, set(Documented, "x", "0"));
    s.hears(at);
    for value in ["1", "2"] {
        s.says(ada, set(Documented, "x", value));
    }
    assert!(s.hub.connection(over).unwrap().is_merging);
    assert!(!s.hub.connection(at).unwrap().is_merging);
    assert_eq!(s.hears(at), [set(Documented, "x", "1"), set(Documented, "x", "2")]);
}

#[test]
fn debug_says_how_much_there_is() {
    let mut s = server(HubConfig::default());
    let gone = s.joined(Documented, "gone");
    for user in ["ada", "grace"] {
        s.joined(Documented, user);
    }
    s.hub.disconnect(s.now, gone);
    assert_eq!(format!("{:?}", s.hub), "Hub { connections: 2, rooms: 1, .. }");
}

#[test]
fn step6_a_client_for_which_nothing_is_left_to_be_told_is_not_merged_for() {
    for last_by_itself in [false, true] {
        let config = HubConfig::default().max_untaken(0);
        let mut s = server(config.flush_interval(Duration::from_millis(20)));
        let ada = s.joined(Scratch, "ada");
        s.says(ada, set(Scratch, "a", "0"));
        let slow = s.join(Scratch, "slow");
        s.says(slow, set(Scratch, "b", "0"));
        s.says(slow, delete("b"));
        let info = s.hub.connection(slow).unwrap();
        assert!(info.is_merging && info.pending_bytes > 0);
        s.says(if last_by_itself { slow } else { ada }, delete("a"));
        let info = s.hub.connection(slow).unwrap();
        assert_eq!((info.is_merging, info.pending_bytes), (false, 0));
        s.sleep(Duration::from_millis(20));
        assert_eq!(s.hears(slow), [""; 0]);
    }
}

#[test]
fn step6_its_own_sets_count_when_nobody_else_is_there() {
    let mut s = server(HubConfig::default());
    let (a, b) = (s.joined(Documented, "a"), s.joined(Documented, "b"));
    s.says(b, set(Documented, "x", "1"));
    s.hub.disconnect(s.now, b);
    let waiting = s.hub.connection(a).unwrap().pending_bytes;
    s.says(a, set(Documented, "x", "1"));
    assert_eq!(s.hub.connection(a).unwrap().pending_bytes, 2 * waiting);
}

#[test]
fn step5_a_place_used_again_is_told_of_when_it_has_something() {
    let mut s = server(HubConfig::default());
    let (a, b) = (s.joined(Documented, "a"), s.joined(Documented, "b"));
    while s.hub.poll_ready().is_some() {}
    s.says(a, set(Documented, "x", "1"));
    s.hub.disconnect(s.now, b);
    assert_eq!(s.hub.poll_ready(), None);
    let c = s.joined(Documented, "c");
    while s.hub.poll_ready().is_some() {}
    s.says(a, set(Documented, "x", "2"));
    assert_eq!(s.hub.poll_ready(), Some(c));
}

#[test]
fn step4_rooms_that_come_and_go_between_two_flushes_leave_nothing() {
    let config = HubConfig::default().max_rooms(1).flush_interval(Duration::from_secs(3600));
    let run = |times: usize| {
        kept(config.clone(), |s| {
            for at in 0..times {
                let id = s.connect(Documented);
                s.says(id, handshake(Documented, &format!("r{}", at % 7), "u", XY));
                s.says(id, set(Documented, "x", "1"));
                s.hub.disconnect(s.now, id);
                while s.hub.poll_event().is_some() {}
                while s.hub.poll_ready().is_some() {}
            }
        })
    };
    assert_eq!(run(100).1, run(10_000).1);
}

#[test]
fn step6_who_makes_more_names_than_can_be_kept_is_closed() {
    let limits = Limits::default().max_scratch_variables(2).max_name(20);
    let mut s = server(HubConfig::default().limits(limits).max_untaken(54));
    let ada = s.joined(Scratch, "ada");
    let grace = s.joined(Scratch, "grace");
    s.says(ada, set(Scratch, "x", &"1".repeat(100)));
    // She never reads, makes names, and ada removes them: she has to be told of each.
    let mut names = 0;
    while s.hub.ended(grace).is_none() {
        names += 1;
        s.says(grace, set(Scratch, &format!("name{names:04}"), "1"));
        s.says(ada, delete(&format!("name{names:04}")));
        // What she removes herself she needn't be told of.
        s.says(grace, set(Scratch, "own", "1"));
        s.says(grace, delete("own"));
    }
    // 2 `max_untaken` + (`max_scratch_variables` + 1) (`max_name` + 64) bytes of names: just as many
    // as there is room for, and one.
    let limit = 2 * 54 + 3 * (20 + 64);
    assert_eq!(limit % (8 + 64), 0);
    assert_eq!(names, limit / (8 + 64) + 1);
    assert_eq!(s.hub.ended(grace), Some(&End::Error(ConnectionError::TooFarBehind)));
    let close = CloseFrame::new(4003, "fallen too far behind");
    assert_eq!(s.hub.poll_transmit(grace), Some(Message::Close(Some(close))));
}

#[test]
fn step6_who_only_listens_is_kept_whatever_names_others_give() {
    for (variables, name) in [(2, 16), (10, 64), (128, 4), (128, 64)] {
        let limits = Limits::default().max_scratch_variables(variables).max_name(name);
        for untaken in [0, 100, 64 * 1024] {
            let mut s = server(HubConfig::default().limits(limits).max_untaken(untaken));
            let (ada, grace) = (s.joined(Scratch, "ada"), s.joined(Scratch, "grace"));
            s.says(ada, set(Scratch, "0", "1"));
            let long = "n".repeat(name - 3);
            for at in 0..4000 {
                s.says(ada, rename(&format!("{at:x}"), &format!("{:x}", at + 1)));
                if at % 4 == 0 {
                    let name = format!("{long}{:x}", at % 512);
                    s.says(ada, set(Scratch, &name, "1"));
                    s.says(ada, delete(&name));
                }
            }
            assert_eq!(s.hub.ended(grace), None, "{variables} {name} {untaken}");
            let heard = s.hears(grace);
            assert_eq!(heard.last(), Some(&set(Scratch, "fa0", "1")));
        }
    }
}

#[test]
fn step6_changes_are_collected_for_a_tick() {
    let interval = Duration::from_millis(20);
    let mut s = server(HubConfig::default().flush_interval(interval));
    let ada = s.joined(Documented, "ada");
    let grace = s.joined(Documented, "grace");
    let other = s.joined(Documented, "other");
    assert_eq!(s.hub.poll_timeout(), None);
    let start = s.now;
    for at in 0..10 {
        s.says(ada, set(Documented, "x", &at.to_string()));
        s.now += Duration::from_micros(1);
    }
    s.says(other, set(Documented, "y", "1"));
    assert_eq!((s.hub.poll_ready(), s.hub.poll_transmit(grace)), (None, None));
    assert_eq!(s.hub.poll_timeout(), Some(start + interval));
    s.hub.handle_timeout(start + Duration::from_nanos(19_999_999));
    assert_eq!(s.hub.poll_ready(), None);
    s.hub.handle_timeout(start + interval);
    assert_eq!(s.hub.poll_timeout(), None);
    let mut sets: Vec<_> = (0..10).map(|at| set(Documented, "x", &at.to_string())).collect();
    // Nobody hears its own.
    assert_eq!(s.messages(other), [sets.join("\n")]);
    assert_eq!(s.messages(ada), [set(Documented, "y", "1")]);
    sets.push(set(Documented, "y", "1"));
    assert_eq!(s.messages(grace), [sets.join("\n")]);
    // A snapshot doesn't wait.
    let late = s.join(Documented, "late");
    assert_eq!(s.messages(late).len(), 1);
}

#[test]
fn step6_a_batch_is_shared_and_flushed_early_when_it_is_full() {
    let config = HubConfig::default().flush_interval(Duration::from_secs(1));
    let one = set(Documented, "x", "0").len();
    let mut s = server(config.max_batch_bytes(3 * one + 2));
    let ada = s.joined(Documented, "ada");
    let receivers: Vec<_> = (0..3).map(|at| s.joined(Documented, &format!("r{at}"))).collect();
    for at in 0..3 {
        s.says(ada, set(Documented, "x", &at.to_string()));
    }
    assert_eq!(s.hub.poll_ready(), None);
    s.says(ada, set(Documented, "x", "3"));
    assert_eq!(s.hub.poll_ready(), Some(receivers[0]));
    let taken: Vec<Vec<_>> = receivers
        .iter()
        .map(|id| std::iter::from_fn(|| s.hub.poll_transmit(*id)).collect())
        .collect();
    let Message::Text(first) = &taken[0][0] else { panic!() };
    assert_eq!(first.len(), 3 * one + 2);
    for other in &taken {
        let Message::Text(text) = &other[0] else { panic!() };
        assert_eq!((other.len(), text.as_ptr()), (2, first.as_ptr()));
    }
    // Then it begins anew.
    while s.hub.poll_ready().is_some() {}
    for at in 0..3 {
        s.says(ada, set(Documented, "x", &at.to_string()));
        assert_eq!(s.hub.poll_ready(), None);
    }
}

#[test]
fn step6_what_is_more_than_a_batch_is_shared_as_well() {
    let one = set(Documented, "x", "00").len();
    let config = HubConfig::default().flush_interval(Duration::from_secs(1));
    let mut s = server(config.max_batch_bytes(60 * one));
    let ada = s.joined(Documented, "ada");
    let dialects = [Documented, Deployed2020, Documented, Deployed2020];
    let receivers = [0, 1, 2, 3].map(|at| s.joined(dialects[at], &format!("r{at}")));
    // With the line breaks the 60 that are flushed early are more than a batch.
    for at in 0..60 {
        s.says(ada, set(Documented, "x", &format!("{at:02}")));
    }
    let taken = receivers.map(|id| {
        let texts = std::iter::from_fn(|| s.hub.poll_transmit(id)).map(|message| match message {
            Message::Text(text) => text,
            other => panic!("{other:?}"),
        });
        texts.collect::<Vec<_>>()
    });
    for (dialect, texts) in dialects.iter().zip(&taken) {
        // Sets are shorter in the other dialect.
        assert_eq!(texts.len(), if *dialect == Documented { 2 } else { 1 });
        let all = (0..60).map(|at| set(*dialect, "x", &format!("{at:02}"))).collect::<Vec<_>>();
        assert_eq!(texts.join(&b'\n'), all.join("\n").into_bytes());
    }
    let places = taken.map(|texts| texts.iter().map(|text| text.as_ptr()).collect::<Vec<_>>());
    assert_eq!(places[..2], places[2..]);
}

#[test]
fn step6_who_has_missed_a_tick_gets_all_in_one_batch() {
    let tick = Duration::from_millis(20);
    let mut s = server(HubConfig::default().flush_interval(tick));
    let ada = s.joined(Documented, "ada");
    let [quick, slow] = ["quick", "slow"].map(|name| s.joined(Documented, name));
    for values in [["0", "1"], ["2", "3"]] {
        let sets = values.map(|value| set(Documented, "x", value));
        for set in &sets {
            s.says(ada, set);
        }
        s.sleep(tick);
        assert_eq!(s.messages(quick), [sets.join("\n")]);
    }
    let all = ["0", "1", "2", "3"].map(|value| set(Documented, "x", value));
    assert_eq!(s.messages(slow), [all.join("\n")]);
}

#[test]
fn step6_a_client_may_go_in_the_middle_of_a_flush() {
    let config = HubConfig::default().flush_interval(Duration::from_millis(20)).max_batch_bytes(50);
    let mut s = server(config);
    let ada = s.joined(Documented, "ada");
    let grace = s.joined(Documented, "grace");
    let other = s.joined(Documented, "other");
    for at in 0..10 {
        s.says(ada, set(Documented, "x", &at.to_string()));
    }
    s.sleep(Duration::from_millis(20));
    assert!(s.hub.poll_transmit(grace).is_some());
    s.hub.disconnect(s.now, grace);
    assert_eq!(s.hub.poll_ready(), Some(other));
    assert_eq!(s.hub.poll_ready(), None);
    assert_eq!(s.hears(other).len(), 10);
}

#[test]
fn step7_kicks_carry_their_code() {
    let mut s = server(HubConfig::default());
    for (dialect, code) in [(Documented, 4004), (Deployed2020, 4004), (Scratch, 4003)] {
        assert_eq!(dialect.kick_code(), CloseCode(code));
        assert!(dialect.kick_code().should_reconnect(dialect));
        let id = s.joined(dialect, "ada");
        s.hub.kick(s.now, id, CloseCode(4999));
        assert_eq!(s.hub.ended(id), Some(&End::Error(ConnectionError::Kicked(CloseCode(4999)))));
        let close = Message::Close(Some(CloseFrame::new(4999, "kicked")));
        assert_eq!(s.hub.poll_transmit(id), Some(close));
        // The first end stays.
        s.hub.kick(s.now, id, CloseCode(4998));
        assert_eq!(s.hub.poll_transmit(id), None);
    }
}

#[test]
fn step7_who_sends_too_fast_is_kicked() {
    let limit = RateLimit::per_second(10).burst(3);
    for (dialect, code) in [(Documented, 4004), (Deployed2020, 4004), (Scratch, 4003)] {
        let mut s = server(HubConfig::default().rate_limit(limit));
        let ada = s.joined(dialect, "ada");
        s.says(ada, set(dialect, "x", "1"));
        s.says(ada, set(dialect, "x", "2"));
        s.sleep(Duration::from_millis(100));
        s.says(ada, set(dialect, "x", "3"));
        assert_eq!(s.hub.ended(ada), None);
        s.sleep(Duration::from_nanos(99_999_999));
        s.says(ada, set(dialect, "x", "4"));
        assert_eq!(s.hub.ended(ada), Some(&End::Error(ConnectionError::RateLimited)));
        let close = CloseFrame::new(code, "too many messages");
        assert_eq!(s.hub.poll_transmit(ada), Some(Message::Close(Some(close))));
        assert_eq!(s.value(dialect == Scratch, "x").as_deref(), Some("3"));
    }
    // Nothing counts as one, and the handshake is that one.
    let mut s = server(HubConfig::default().rate_limit(RateLimit::per_second(0).burst(0)));
    let ada = s.joined(Documented, "ada");
    s.sleep(Duration::from_secs(1));
    s.says(ada, set(Documented, "x", "1"));
    assert_eq!(s.hub.ended(ada), None);
    s.sleep(Duration::from_nanos(999_999_999));
    s.says(ada, set(Documented, "x", "2"));
    assert_eq!(s.hub.ended(ada), Some(&End::Error(ConnectionError::RateLimited)));
}

/// Says no to some, and remembers what it was asked.
#[derive(Default)]
struct Picky(Vec<(ConnId, String)>);

impl Policy for Picky {
    fn accepts_username(&mut self, author: Author<'_>) -> bool {
        self.0.push((author.connection, shown(author)));
        author.username != "no"
    }

    fn accepts_value(&mut self, author: Author<'_>, name: &str, value: &ValueRef<'_>) -> bool {
        self.0.push((author.connection, format!("{}: {name}={value}", shown(author))));
        value.as_str() != "no"
    }
}

fn shown(author: Author<'_>) -> String {
    let scratch = if author.is_scratch { "scratch " } else { "" };
    format!("{} in {scratch}{}", author.username, author.room)
}

#[test]
fn r5_the_policy_says_what_is_acceptable() {
    let now = epoch();
    let hub = Hub::with_policy(Arc::new(HubConfig::default()), Picky::default(), now);
    let mut s = Server { hub, now };
    let text = handshake(Documented, "r", "no", XY);
    s.refuses(Documented, &text, 4002, ViolationKind::UsernameRefused);
    let text = handshake(Documented, "r", "ada", r#""x":"0","y":"no""#);
    s.refuses(Documented, &text, 4000, ViolationKind::ValueRefused);
    assert!(s.hub.room(false, "r").is_none());
    let ada = s.joined(Documented, "ada");
    // Values that don't count aren't asked about.
    let grace = s.connect(Documented);
    s.says(grace, handshake(Documented, "r", "grace", r#""x":"no","y":"no""#));
    assert_eq!(s.hub.ended(grace), None);
    s.says(ada, set(Documented, "x", "1"));
    s.says(ada, set(Documented, "x", "no"));
    s.is_closed(ada, 4000, ViolationKind::ValueRefused);
    let scratch = s.joined(Scratch, "cat");
    s.says(scratch, set(Scratch, "x", "no"));
    assert_eq!((s.hub.ended(scratch), s.value(true, "x")), (None, None));
    let (ids, asked): (Vec<_>, Vec<_>) =
        std::mem::take(&mut s.hub.policy_mut().0).into_iter().unzip();
    assert_eq!(ids[4..], [ada, ada, ada, grace, ada, ada, scratch, scratch]);
    let expected = [
        "no in r",
        "ada in r",
        "ada in r: x=0",
        "ada in r: y=no",
        "ada in r",
        "ada in r: x=0",
        "ada in r: y=0",
        "grace in r",
        "ada in r: x=1",
        "ada in r: x=no",
        "cat in scratch r",
        "cat in scratch r: x=no",
    ];
    assert_eq!(asked, expected);
}

#[test]
fn events_tell_who_joined_and_who_ended() {
    let mut s = server(HubConfig::default());
    let ada = s.join(Documented, "ada");
    let grace = s.join(Documented, "grace");
    let gone = s.join(Documented, "gone");
    s.says(ada, "{");
    s.hub.disconnect(s.now, gone);
    s.hub.handle_input(s.now, grace, &Message::Close(Some(CloseFrame::new(4999, "so long"))));
    let events: Vec<_> = std::iter::from_fn(|| s.hub.poll_event()).collect();
    let (joined, ended) = (HubEvent::Joined, HubEvent::Ended);
    assert_eq!(events, [(ada, joined), (ada, ended), (grace, joined), (grace, ended)]);
    // Where it was and as whom can be asked before it ends only (step 4).
    let ada_now = s.hub.connection(ada).unwrap();
    assert_eq!((ada_now.room, ada_now.username), (None, None));
    let (code, reason) = (CloseCode(4999), "so long".into());
    let closed = ConnectionError::Closed { code, reason };
    assert_eq!(s.hub.ended(grace), Some(&End::Error(closed)));
    let violation = Violation { kind: malformed(DecodeErrorKind::NotJson), offset: 1 };
    assert_eq!(s.hub.ended(ada), Some(&End::Error(ConnectionError::Violation(violation))));
    for frame in [None, Some(CloseFrame::new(1000, "")), Some(CloseFrame::new(1001, ""))] {
        let id = s.join(Documented, "ben");
        s.hub.handle_input(s.now, id, &Message::Close(frame));
        assert_eq!(s.hub.ended(id), Some(&End::Clean));
    }
}

/// Bytes that the hub keeps in `use_it`, at most and in the end.
fn kept(config: HubConfig, use_it: impl FnOnce(&mut Server)) -> (u64, u64) {
    let mut s = server(config);
    let used = measure(|| use_it(&mut s));
    (used.bytes_max, u64::try_from(used.bytes_current).unwrap())
}

#[test]
fn coming_and_going_leaves_nothing() {
    let coming_and_going = |times: usize| {
        move |s: &mut Server| {
            let stays = s.joined(Documented, "stays");
            for at in 0..times {
                let id = s.join(Documented, "ada");
                s.says(stays, set(Documented, "x", "1"));
                s.says(id, set(Documented, "x", "2"));
                if at % 3 == 0 {
                    s.hears(id);
                }
                if at % 5 == 0 {
                    s.hears(stays);
                }
                s.hub.disconnect(s.now, id);
            }
            s.hears(stays);
        }
    };
    let few = kept(HubConfig::default(), coming_and_going(10));
    let many = kept(HubConfig::default(), coming_and_going(10_000));
    assert!(many.0 <= few.0 + 1000 && many.1 <= few.1 + 200, "{few:?}, {many:?}");
}

#[test]
fn step6_who_never_reads_costs_no_more_however_much_is_set() {
    for config in
        [HubConfig::default(), HubConfig::default().flush_interval(Duration::from_millis(1))]
    {
        let sets = |count: usize| {
            move |s: &mut Server| {
                let ada = s.joined(Documented, "ada");
                let slow = s.joined(Documented, "slow");
                let quick = s.joined(Documented, "quick");
                for at in 0..count {
                    s.says(ada, set(Documented, ["x", "y"][at % 2], &at.to_string()));
                    if at % 100 == 99 {
                        s.sleep(Duration::from_millis(1));
                        while s.hub.poll_transmit(quick).is_some() {}
                    }
                }
                s.sleep(Duration::from_millis(1));
                let last = |at: usize| set(Documented, ["x", "y"][at % 2], &at.to_string());
                assert_eq!(s.hears(slow), [last(count - 2), last(count - 1)]);
            }
        };
        let few = kept(config.clone(), sets(10_000));
        let many = kept(config, sets(1_000_000));
        assert!(many.0 <= few.0 + 1000, "{few:?}, {many:?}");
    }
}

#[test]
fn step5_a_set_costs_at_most_one_allocation_and_a_receiver_none() {
    for dialects in [vec![Documented], vec![Documented, Deployed2020]] {
        let mut s = server(HubConfig::default().max_room_clients(1000));
        let ada = s.joined(Documented, "ada");
        let receivers: Vec<_> =
            (0..300).map(|at| s.joined(dialects[at % dialects.len()], &format!("r{at}"))).collect();
        let text = Message::text(set(Documented, "x", "12345"));
        let round = |s: &mut Server| {
            s.hub.handle_input(s.now, ada, &text);
            let mut taken = 0;
            while let Some(id) = s.hub.poll_ready() {
                while s.hub.poll_transmit(id).is_some() {
                    taken += 1;
                }
            }
            assert_eq!(taken, receivers.len());
        };
        for _ in 0..10 {
            round(&mut s);
        }
        let used = measure(|| (0..100).for_each(|_| round(&mut s)));
        assert!(used.count_total <= 100, "{used:?}");
        assert_eq!(used.bytes_current, 0);
    }
}

#[test]
fn step5_nothing_is_written_in_a_dialect_that_has_left() {
    let mut s = server(HubConfig::default());
    let (ada, grace) = (s.joined(Deployed2020, "ada"), s.joined(Deployed2020, "grace"));
    let text = set(Deployed2020, "x", "0");
    let longer = set(Documented, "x", "0");
    let other = s.joined(Documented, "other");
    s.says(ada, &text);
    assert_eq!(s.hub.connection(grace).unwrap().pending_bytes, longer.len());
    s.hears(grace);
    s.hub.disconnect(s.now, other);
    s.says(ada, &text);
    assert_eq!(s.hub.connection(grace).unwrap().pending_bytes, text.len());
}

#[test]
fn an_idle_client_is_small() {
    let (rooms, clients) = (1000, 10);
    let config = HubConfig::default().max_rooms(rooms).max_connections(rooms * clients);
    let (_, bytes) = kept(config, |s| {
        for room in 0..rooms {
            for user in 0..clients {
                let id = s.connect(Documented);
                s.says(
                    id,
                    handshake(Documented, &format!("room {room}"), &format!("user {user}"), XY),
                );
                while s.hub.poll_transmit(id).is_some() {}
                while s.hub.poll_event().is_some() {}
            }
        }
        while s.hub.poll_ready().is_some() {}
    });
    let each = bytes / (rooms * clients) as u64;
    assert!(each <= 300, "{each} bytes");
}

#[test]
fn a_value_that_was_long_takes_no_more_than_it_does_now() {
    let set_to = |lens: &'static [usize]| {
        move |s: &mut Server| {
            let ada = s.joined(Documented, "ada");
            for len in lens {
                s.says(ada, set(Documented, "x", &"v".repeat(*len)));
            }
            assert_eq!(s.hub.ended(ada), None);
        }
    };
    let config = HubConfig::default().limits(Limits::default().max_value(50_000));
    let short = kept(config.clone(), set_to(&[1])).1;
    let was_long = kept(config, set_to(&[50_000, 1])).1;
    assert!(was_long <= short + 200, "{was_long} bytes, {short}");
}

#[test]
fn a_room_without_anybody_is_small_however_many_there_were() {
    let rooms_of = |clients: usize| {
        move |s: &mut Server| {
            for room in 0..20 {
                let mut ids = Vec::new();
                for at in 0..100 {
                    let id = s.connect(Documented);
                    if at < clients {
                        let (room, user) = (format!("{room}"), format!("{at}"));
                        s.says(id, handshake(Documented, &room, &user, XY));
                    }
                    ids.push(id);
                }
                for id in ids {
                    s.hub.disconnect(s.now, id);
                }
                while s.hub.poll_event().is_some() || s.hub.poll_ready().is_some() {}
            }
        }
    };
    let (few, many) =
        (kept(HubConfig::default(), rooms_of(1)), kept(HubConfig::default(), rooms_of(100)));
    assert!(many.1 <= few.1 + 1000, "{few:?}, {many:?}");
}

#[test]
fn a_room_that_has_sent_all_is_small_again() {
    let ticks = |count: usize| {
        move |s: &mut Server| {
            let ids = ["ada", "grace", "joan"].map(|name| s.joined(Documented, name));
            for _ in 0..count {
                for at in 0..200 {
                    s.says(ids[0], set(Documented, "x", &(at % 10).to_string()));
                }
                s.sleep(Duration::from_millis(20));
                while let Some(id) = s.hub.poll_ready() {
                    while s.hub.poll_transmit(id).is_some() {}
                }
            }
        }
    };
    let config = HubConfig::default().flush_interval(Duration::from_millis(20));
    let (none, few) = (kept(config.clone(), ticks(0)), kept(config, ticks(3)));
    assert!(few.0 > none.0 + 5000 && few.1 <= none.1 + 1000, "{none:?}, {few:?}");
}

/// A small hub of two rooms.
fn tight() -> HubConfig {
    let limits = Limits::default().max_room_id(8).max_username(8).max_name(8).max_value(16);
    HubConfig::default()
        .limits(limits.max_variables(2).max_scratch_variables(4))
        .max_client_message(200)
        .max_server_message(1000)
        .max_connections(20)
        .max_room_clients(20)
        .max_rooms(2)
        .max_untaken(0)
        .max_batch_bytes(0)
}

#[test]
fn step6_memory_stays_under_the_formula() {
    let flush = Duration::from_secs(1);
    for (name, config) in [
        ("untaken", tight().max_untaken(20_000)),
        ("batches", tight().max_untaken(20_000).max_batch_bytes(20_000).flush_interval(flush)),
        ("values", tight().limits(tight().limits.max_value(20_000)).max_client_message(30_000)),
        ("names", tight().limits(tight().limits.max_name(2000)).max_client_message(5000)),
        ("variables", tight().limits(tight().limits.max_scratch_variables(2000))),
        ("connections", tight().max_connections(2000).max_room_clients(2000)),
        ("rooms", tight().max_rooms(2000)),
    ] {
        let limit = config.max_memory() as u64;
        let mut most = 0;
        for dialect in [Documented, Scratch] {
            // Nobody takes anything, but for one who takes one message now and then.
            let (peak, _) = kept(config.clone(), |s| flood(s, &config, dialect));
            most = most.max(peak);
        }
        assert!(most <= limit, "{name}: {most} bytes, the limit is {limit}");
        assert!(most >= limit / 40, "{name}: {most} bytes, the limit of {limit} says nothing");
    }
}

#[test]
fn step6_who_is_alone_with_what_waits_keeps_no_more() {
    let limits = Limits::default().max_name(8).max_value(16).max_variables(2);
    let config = HubConfig::default()
        .limits(limits.max_scratch_variables(4).max_room_id(8).max_username(8))
        .max_client_message(200)
        .max_server_message(1000)
        .max_connections(2)
        .max_room_clients(2)
        .max_rooms(1)
        .max_batch_bytes(0);
    let (peak, _) = kept(config.clone(), |s| {
        let (a, b) = (s.joined(Documented, "a"), s.joined(Documented, "b"));
        s.says(b, set(Documented, "x", "1"));
        s.hub.disconnect(s.now, b);
        for _ in 0..65_000 {
            s.says(a, set(Documented, "y", "1"));
        }
    });
    assert!(peak <= config.max_memory() as u64, "{peak}");
}

/// Fills a hub as far as it goes, in every way.
fn flood(s: &mut Server, config: &HubConfig, dialect: Dialect) {
    let limits = config.limits;
    for at in 0..config.max_rooms {
        let id = s.connect(dialect);
        s.says(id, handshake(dialect, &format!("{at}"), "first", XY));
        if at + 1 < config.max_rooms {
            s.says(id, set(dialect, "x", &"v".repeat(limits.max_value)));
            s.hub.disconnect(s.now, id);
        }
    }
    let room = format!("{}", config.max_rooms - 1);
    let mut clients = Vec::new();
    while let Ok(id) = s.hub.connect(s.now, dialect) {
        s.says(id, handshake(dialect, &room, &format!("u{}", clients.len()), XY));
        clients.push(id);
    }
    let name = |at: usize| format!("{at:0>0$}", limits.max_name.min(2000));
    let value = |at: usize| format!("{at:0>0$}", limits.max_value.min(20_000));
    let rounds =
        (3_000_000 / (value(0).len() + name(0).len() + 50) / clients.len()).clamp(50, 5000);
    for at in 0..rounds {
        let by = clients[at % clients.len()];
        match (dialect, at % 7) {
            (Scratch, 0) => s.says(by, rename(&name(at % 50), &name(at % 31 + 50))),
            (Scratch, 1) => s.says(by, delete(&name(at % 40))),
            (Scratch, _) => {
                let name = name(at % limits.max_scratch_variables.min(60));
                s.says(by, set(dialect, &name, &value(at)));
            }
            _ => s.says(by, set(dialect, ["x", "y"][at % 2], &value(at))),
        }
        if at % 3 == 0 {
            s.hub.poll_transmit(clients[0]);
        }
    }
    if dialect == Scratch {
        for at in 0..limits.max_scratch_variables {
            s.says(clients[1], set(dialect, &name(at), &value(at)));
        }
    }
}

fn a_set<'a>(variable: &'a str, value: &'a str) -> ServerMessage<'a> {
    ServerMessage::Set { variable: variable.into(), value: value.into() }
}

fn a_rename<'a>(variable: &'a str, new_name: &'a str) -> ServerMessage<'a> {
    ServerMessage::Rename { variable: variable.into(), new_name: new_name.into() }
}

fn a_delete(variable: &str) -> ServerMessage<'_> {
    ServerMessage::Delete { variable: variable.into() }
}

impl<P: Policy> Server<P> {
    /// A change of somebody who is elsewhere, in room `r`.
    fn applies(&mut self, is_scratch: bool, change: &ServerMessage<'_>) -> Result<(), ApplyError> {
        self.hub.apply(self.now, is_scratch, "r", None, change)
    }

    fn proposes(&mut self, id: ConnId, text: impl Into<String>) -> bool {
        let message = Message::text(text.into());
        self.hub.propose(self.now, id, &message).is_some()
    }
}

#[test]
fn what_is_proposed_is_given_back_and_not_done() {
    for dialect in [Documented, Deployed2020, Scratch] {
        let mut s = server(HubConfig::default().rate_limit(RateLimit::per_second(2)));
        let ada = s.connect(dialect);
        let first = Message::text(handshake(dialect, "r", "ada", XY));
        let proposed = s.hub.propose(s.now, ada, &first);
        assert!(matches!(proposed, Some(ClientMessage::Handshake { .. })), "{proposed:?}");
        assert_eq!((s.hub.rooms().count(), s.hub.connection(ada).unwrap().room), (0, None));
        s.hub.handle_input(s.now, ada, &first);
        assert_eq!(s.hub.connection(ada).unwrap().room, Some("r"));
        let is_scratch = dialect == Scratch;
        let before = s.value(is_scratch, "x");
        let message = Message::text(set(dialect, "x", "1"));
        let proposed = s.hub.propose(s.now, ada, &message);
        let expected = ClientMessage::Set { variable: "x".into(), value: "1".into() };
        assert_eq!((proposed, s.value(is_scratch, "x")), (Some(expected), before));
        // The handshake counts once, and with the set the rate is used up.
        assert!(!s.proposes(ada, set(dialect, "x", "2")));
        let end = End::Error(ConnectionError::RateLimited);
        assert_eq!(s.hub.ended(ada), Some(&end));
    }
    let mut s = server(HubConfig::default());
    let ada = s.joined(Scratch, "ada");
    // What is there may be otherwise when their turn comes.
    assert!(s.proposes(ada, rename("x", "y")) && s.proposes(ada, delete("x")));
    let message = Message::text(r#"{"method":"create","name":"x","value":1}"#);
    let proposed = s.hub.propose(s.now, ada, &message);
    assert!(matches!(proposed, Some(ClientMessage::Create { .. })), "{proposed:?}");
    assert_eq!(s.hub.room(true, "r").unwrap().variables().len(), 0);
    s.hub.propose(s.now, ada, &Message::Close(None));
    assert_eq!(s.hub.ended(ada), Some(&End::Clean));
    assert!(!s.proposes(ada, delete("x")));
}

#[test]
fn what_is_proposed_is_looked_at_as_what_is_done() {
    use ViolationKind::{
        DuplicateVariable, NameLength, NoHandshake, RoomId, SecondHandshake, TooManyVariables,
        UnexpectedBinary, UnknownKind, UnknownVariable, UsernameLength, UsernameRefused,
        ValueLength, ValueRefused,
    };
    let limits = Limits::default().max_name(3).max_value(3).max_variables(2).max_username(5);
    let config = Arc::new(HubConfig::default().limits(limits.max_room_id(3)));
    let now = epoch();
    let mut s = Server { hub: Hub::with_policy(config, Picky::default(), now), now };
    let shake =
        |room: &str, user: &str, variables: &str| handshake(Documented, room, user, variables);
    for (text, code, kind) in [
        (set(Documented, "x", "1"), 4000, NoHandshake),
        (r#"{"kind":"news"}"#.to_owned(), 4000, UnknownKind),
        (shake("", "ada", XY), 4000, RoomId(0)),
        (shake("room", "ada", XY), 4000, RoomId(4)),
        (shake("r", "", XY), 4002, UsernameLength(0)),
        (shake("r", "no", XY), 4002, UsernameRefused),
        (shake("r", "ada", r#""name":"0""#), 4000, NameLength(4)),
        (shake("r", "ada", r#""x":"four""#), 4000, ValueLength(4)),
        (shake("r", "ada", r#""x":"no""#), 4000, ValueRefused),
        (shake("r", "ada", r#""x":"0","x":"0""#), 4000, DuplicateVariable),
        (shake("r", "ada", r#""x":"0","y":"0","z":"0""#), 4000, TooManyVariables),
    ] {
        let id = s.connect(Documented);
        assert!(!s.proposes(id, text));
        s.is_closed(id, code, kind);
    }
    for (text, kind) in [
        (shake("r", "ada", XY), SecondHandshake),
        (set(Documented, "z", "1"), UnknownVariable),
        (set(Documented, "x", "four"), ValueLength(4)),
        (set(Documented, "x", "no"), ValueRefused),
    ] {
        let id = s.joined(Documented, "ada");
        assert!(!s.proposes(id, text));
        s.is_closed(id, 4000, kind);
    }
    // The values of a room that is there don't count.
    let id = s.connect(Documented);
    assert!(s.proposes(id, shake("r", "ada", r#""x":"no","y":"no""#)));
    s.hub.propose(s.now, id, &Message::Binary(vec![1].into()));
    s.is_closed(id, 1003, UnexpectedBinary);
    for (text, kind) in [
        (set(Scratch, "name", "1"), NameLength(4)),
        (set(Scratch, "", "1"), NameLength(0)),
        (rename("x", "name"), NameLength(4)),
        (rename("x", ""), NameLength(0)),
    ] {
        let id = s.joined(Scratch, "ada");
        assert!(!s.proposes(id, text));
        s.is_closed(id, 4000, kind);
    }
    let id = s.joined(Scratch, "ada");
    for ignored in
        [set(Scratch, "x", "four"), set(Scratch, "x", "no"), rename("name", "x"), delete("name")]
    {
        assert!(!s.proposes(id, ignored));
    }
    assert_eq!(s.hub.ended(id), None);
}

#[test]
fn what_is_applied_is_told_to_all_but_its_author() {
    let mut s = server(HubConfig::default());
    let ada = s.joined(Documented, "ada");
    // Whoever is alone hears it too.
    s.applies(false, &a_set("x", "1")).unwrap();
    assert_eq!(s.hears(ada), [set(Documented, "x", "1")]);
    let grace = s.joined(Deployed2020, "grace");
    s.applies(false, &a_set("x", "2")).unwrap();
    s.hub.apply(s.now, false, "r", Some(ada), &a_set("y", "3")).unwrap();
    s.hub.apply(s.now, false, "r", Some(grace), &a_set("y", "4")).unwrap();
    assert_eq!(s.hears(ada), [set(Documented, "x", "2"), set(Documented, "y", "4")]);
    assert_eq!(s.hears(grace), [set(Deployed2020, "x", "2"), set(Deployed2020, "y", "3")]);
    // Whoever takes the place of one who has left isn't its author.
    s.hub.disconnect(s.now, ada);
    let ben = s.joined(Documented, "ben");
    s.hub.apply(s.now, false, "r", Some(ada), &a_set("x", "5")).unwrap();
    assert_eq!(s.hears(ben), [set(Documented, "x", "5")]);
    assert_eq!(s.hears(grace), [set(Deployed2020, "x", "5")]);
    // Neither is somebody in another room.
    let other = s.connect(Documented);
    s.says(other, handshake(Documented, "other", "ada", XY));
    s.hub.apply(s.now, false, "r", Some(other), &a_set("x", "6")).unwrap();
    assert_eq!(s.hears(ben), [set(Documented, "x", "6")]);
    assert_eq!(s.hears(other), texts(&[]));
    let (one, two) = (s.joined(Scratch, "one"), s.joined(Scratch, "two"));
    let number = ServerMessage::Create { variable: "n".into(), value: ValueRef::Number("1.0") };
    s.applies(true, &number).unwrap();
    s.hub.apply(s.now, true, "r", Some(one), &a_rename("n", "m")).unwrap();
    s.hub.apply(s.now, true, "r", Some(two), &a_set("o", "1")).unwrap();
    s.applies(true, &a_delete("m")).unwrap();
    let created = r#"{"method":"set","name":"n","value":1.0}"#.to_owned();
    let o = set(Scratch, "o", "1");
    assert_eq!(s.hears(one), [created.clone(), o.clone(), delete("m")]);
    assert_eq!(s.hears(two), [created, rename("n", "m"), delete("m")]);
    assert_eq!(s.value(true, "o"), Some("1".into()));
}

#[test]
fn what_cannot_be_applied_changes_nothing() {
    use ApplyError::{Limit, NameTaken, NotInDialect, UnknownRoom, UnknownVariable};
    use ViolationKind::{NameLength, TooManyVariables, ValueLength};
    let limits = Limits::default().max_name(3).max_value(3).max_scratch_variables(2);
    let mut s = server(HubConfig::default().limits(limits));
    assert_eq!(s.applies(false, &a_set("x", "1")), Err(UnknownRoom));
    let ada = s.joined(Documented, "ada");
    let scratch = s.joined(Scratch, "ada");
    s.applies(true, &a_set("x", "1")).unwrap();
    s.applies(true, &a_set("y", "1")).unwrap();
    let number = |text| ServerMessage::Set { variable: "x".into(), value: ValueRef::Number(text) };
    let unknown = ServerMessage::Unknown { kind: "news".into(), raw: "{}" };
    for (is_scratch, change, error) in [
        (false, a_set("z", "1"), UnknownVariable),
        (false, a_set("x", "four"), Limit(ValueLength(4))),
        (false, number("1"), NotInDialect),
        (false, a_rename("x", "z"), NotInDialect),
        (false, a_delete("x"), NotInDialect),
        (false, unknown.clone(), NotInDialect),
        (true, unknown, NotInDialect),
        (true, number("one"), NotInDialect),
        (true, a_set("z", "1"), Limit(TooManyVariables)),
        (true, a_set("name", "1"), Limit(NameLength(4))),
        (true, a_set("x", "four"), Limit(ValueLength(4))),
        (true, a_rename("z", "w"), UnknownVariable),
        (true, a_rename("x", "y"), NameTaken),
        (true, a_rename("x", ""), Limit(NameLength(0))),
        (true, a_delete("z"), UnknownVariable),
    ] {
        assert_eq!(s.applies(is_scratch, &change), Err(error), "{change:?}");
    }
    assert_eq!(s.hears(ada), texts(&[]));
    assert_eq!(s.hears(scratch), [set(Scratch, "x", "1"), set(Scratch, "y", "1")]);
}

#[test]
fn a_room_is_restored_for_who_comes_next() {
    use ApplyError::{Limit, NotInDialect, RoomInUse};
    use ViolationKind::{
        DuplicateVariable, NameLength, RoomId, TooManyRooms, TooManyVariables, ValueLength,
    };
    let nearly = Duration::from_millis(59_999);
    let limits = Limits::default().max_room_id(3).max_name(3).max_value(3).max_variables(2);
    let config = HubConfig::default()
        .limits(limits)
        .max_rooms(2)
        .empty_room_ttl(nearly + Duration::from_millis(1));
    let mut s = server(config);
    let yx: [(&str, ValueRef<'_>); 2] = [("y", "1".into()), ("x", "2".into())];
    s.hub.restore(s.now, false, "r", &yx).unwrap();
    let ada = s.join(Documented, "ada");
    assert_eq!(s.hears(ada), [set(Documented, "y", "1"), set(Documented, "x", "2")]);
    assert_eq!(s.hub.restore(s.now, false, "r", &[]), Err(RoomInUse));
    // Nobody is in that of the other dialect; numbers are its only.
    let x: [(&str, ValueRef<'_>); 1] = [("x", ValueRef::Number("1.0"))];
    s.hub.restore(s.now, true, "r", &x).unwrap();
    assert_eq!(s.value(true, "x"), Some("1.0".into()));
    for is_scratch in [false, true] {
        assert_eq!(s.hub.room(is_scratch, "r").unwrap().is_scratch(), is_scratch);
    }
    assert_eq!(s.hub.restore(s.now, false, "a", &x), Err(NotInDialect));
    let no_number: [(&str, ValueRef<'_>); 1] = [("x", ValueRef::Number("one"))];
    assert_eq!(s.hub.restore(s.now, true, "r", &no_number), Err(NotInDialect));
    for (id, variables, kind) in [
        ("", vec![], RoomId(0)),
        ("room", vec![], RoomId(4)),
        ("a", vec![("name", "0")], NameLength(4)),
        ("a", vec![("", "0")], NameLength(0)),
        ("a", vec![("x", "four")], ValueLength(4)),
        ("a", vec![("x", "0"), ("x", "0")], DuplicateVariable),
        ("a", vec![("x", "0"), ("y", "0"), ("z", "0")], TooManyVariables),
    ] {
        let variables: Vec<_> =
            variables.into_iter().map(|(name, value)| (name, value.into())).collect();
        assert_eq!(s.hub.restore(s.now, false, id, &variables), Err(Limit(kind)));
    }
    // An empty one is replaced, and makes room for another.
    s.hub.restore(s.now, true, "r", &[]).unwrap();
    assert_eq!((s.value(true, "x"), s.hub.rooms().count()), (None, 2));
    s.hub.restore(s.now, false, "abc", &[]).unwrap();
    assert!(s.hub.room(true, "r").is_none());
    let grace = s.connect(Documented);
    s.says(grace, handshake(Documented, "abc", "grace", ""));
    assert_eq!(s.hub.ended(grace), None);
    assert_eq!(s.hub.restore(s.now, false, "b", &[]), Err(Limit(TooManyRooms)));
    // It goes as others do.
    s.hub.disconnect(s.now, grace);
    s.sleep(nearly);
    assert_eq!(s.hub.rooms().count(), 2);
    s.hub.restore(s.now, false, "abc", &[]).unwrap();
    s.sleep(nearly);
    assert_eq!(s.hub.rooms().count(), 2);
    s.sleep(Duration::from_millis(1));
    assert_eq!(s.hub.rooms().count(), 1);
}

/// A log of changes that several hubs share: what a client proposes is decided when its turn comes.
#[test]
fn hubs_that_share_a_log_agree_whoever_lags_behind() {
    for (seed, dialect) in (0..60).flat_map(|seed| [(seed, Documented), (seed, Scratch)]) {
        let mut numbers = Numbers::new(seed);
        let config = HubConfig::default().max_untaken([0, 200, 65_536][numbers.below(3)]);
        let mut hubs = [server(config.clone()), server(config.clone()), server(config)];
        let clients: Vec<_> =
            (0..6).map(|at| (at % 3, hubs[at % 3].joined(dialect, &format!("u{at}")))).collect();
        let names = ["x", "y", "z"];
        let mut log: Vec<(usize, String)> = Vec::new();
        let (mut applied, mut heard) = ([0; 3], vec![Vec::new(); 6]);
        let is_scratch = dialect == Scratch;
        for round in 0..300 {
            // The first one only listens.
            let by = 1 + numbers.below(5);
            let (hub, id) = clients[by];
            let (name, value) = (names[numbers.below(3)], round.to_string());
            let text = match numbers.below(8) {
                0 if is_scratch => rename(name, names[numbers.below(3)]),
                1 if is_scratch => delete(name),
                _ => set(dialect, if is_scratch { name } else { names[numbers.below(2)] }, &value),
            };
            if hubs[hub].proposes(id, &*text) {
                log.push((by, text));
            }
            // Some are behind, until the end.
            let upto =
                |numbers: &mut Numbers, from: usize| from + numbers.below(log.len() - from + 1);
            for hub in 0..3 {
                let upto = if round == 299 { log.len() } else { upto(&mut numbers, applied[hub]) };
                for (by, text) in &log[applied[hub]..upto] {
                    let author = (clients[*by].0 == hub).then_some(clients[*by].1);
                    let s = &mut hubs[hub];
                    let codec = roomvars_proto::CodecConfig::default().dialect(dialect);
                    let change = match ClientMessage::from_json(text, &codec).unwrap() {
                        ClientMessage::Set { variable, value } => {
                            ServerMessage::Set { variable, value }
                        }
                        ClientMessage::Rename { variable, new_name } => {
                            ServerMessage::Rename { variable, new_name }
                        }
                        ClientMessage::Delete { variable } => ServerMessage::Delete { variable },
                        other => panic!("{other:?}"),
                    };
                    // What can't be done can't be done anywhere.
                    let _ = s.hub.apply(s.now, is_scratch, "r", author, &change);
                }
                applied[hub] = upto;
            }
            let (hub, id) = clients[numbers.below(6)];
            let at = clients.iter().position(|one| *one == (hub, id)).unwrap();
            heard[at].extend(hubs[hub].hears(id));
        }
        let values = |s: &Server| -> Vec<_> {
            let room = s.hub.room(is_scratch, "r").unwrap();
            room.variables().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let expected = values(&hubs[0]);
        assert_eq!((values(&hubs[1]), values(&hubs[2])), (expected.clone(), expected.clone()));
        // Everybody heard what others did in the order of the log, but for what was merged.
        for (at, (hub, id)) in clients.iter().enumerate() {
            heard[at].extend(hubs[*hub].hears(*id));
            if !is_scratch {
                let mut log = log.iter().filter(|(by, _)| *by != at).map(|(_, text)| text);
                for one in &heard[at] {
                    assert!(log.any(|text| text == one), "{one} is out of turn");
                }
            }
        }
        let mut mirror = std::collections::BTreeMap::new();
        if !is_scratch {
            mirror.extend(["x", "y"].map(|name| (name.to_owned(), "0".to_owned())));
        }
        for text in &heard[0] {
            let codec = roomvars_proto::CodecConfig::default().dialect(dialect);
            match ClientMessage::from_json(text, &codec).unwrap() {
                ClientMessage::Set { variable, value } => {
                    mirror.insert(variable.into_owned(), value.as_str().to_owned());
                }
                ClientMessage::Rename { variable, new_name } => {
                    let value = mirror.remove(&*variable).unwrap();
                    mirror.insert(new_name.into_owned(), value);
                }
                ClientMessage::Delete { variable } => {
                    mirror.remove(&*variable);
                }
                other => panic!("{other:?}"),
            }
        }
        let mirror: Vec<_> = mirror
            .into_iter()
            .map(|(name, value)| (name, ValueRef::text(&value).to_owned()))
            .collect();
        assert_eq!(mirror, expected, "seed {seed}");
    }
}

#[test]
fn memory_stays_under_the_formula_whatever_is_applied() {
    for (name, config) in [
        ("untaken", tight().max_untaken(20_000)),
        ("values", tight().limits(tight().limits.max_value(20_000))),
        ("names", tight().limits(tight().limits.max_name(2000))),
        ("rooms", tight().max_rooms(2000)),
    ] {
        let (limits, limit) = (config.limits, config.max_memory() as u64);
        let most = [false, true].map(|is_scratch| {
            let dialect = if is_scratch { Scratch } else { Documented };
            let use_it = |s: &mut Server| {
                let value = "v".repeat(limits.max_value);
                let names = if is_scratch { ["a", "b", "c", "d"] } else { ["x", "y", "x", "y"] };
                let of_most = if is_scratch { &names[..] } else { &names[..2] };
                let variables: Vec<_> =
                    of_most.iter().map(|name| (*name, (&*value).into())).collect();
                for at in 0..config.max_rooms * 2 {
                    s.hub.restore(s.now, is_scratch, &at.to_string(), &variables).unwrap();
                }
                s.hub.restore(s.now, is_scratch, "r", &variables).unwrap();
                while let Ok(id) = s.hub.connect(s.now, dialect) {
                    let user = format!("{}", s.hub.connections().count());
                    s.says(id, handshake(dialect, "r", &user, XY));
                }
                let name = |at: usize| format!("{at:0>0$}", limits.max_name);
                for at in 0..5000 {
                    let _ = match at % 7 {
                        0 if is_scratch => s.applies(true, &a_rename(&name(at % 4), &name(at % 9))),
                        1 if is_scratch => s.applies(true, &a_delete(&name(at % 9))),
                        2 if is_scratch => s.applies(true, &a_set(&name(at % 9), &value)),
                        _ => s.applies(is_scratch, &a_set(names[at % 4], &value)),
                    };
                }
            };
            kept(config.clone(), use_it).0
        });
        let most = most.into_iter().max().unwrap();
        assert!(most <= limit, "{name}: {most} bytes, the limit is {limit}");
        assert!(most >= limit / 100, "{name}: {most} bytes, the limit of {limit} says nothing");
    }
}
