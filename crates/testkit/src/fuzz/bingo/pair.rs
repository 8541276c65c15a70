//! A client and a server back to back, with applications that do anything at any time. Both keep
//! to the protocol, so neither may find fault with the other, and whatever was asked and told must
//! be answered and heard as it was meant.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bingo_proto::{
    AnswerError, Client, ClientEvent, End, Identification, MessageId, Outcome, Payload,
    PeerRequestId, RequestId, Role, SendError, Server, ServerEvent, Session, SessionError,
};

use super::Settings;
use crate::fuzz::Input;
use crate::pair::Pair;

/// One application.
#[derive(Default)]
struct App {
    /// Its requests that it wasn't told the outcome of: their serial numbers, and when it asked.
    asked: BTreeMap<RequestId, (u16, Instant)>,
    /// Those that no answer has come to, be it too late.
    unanswered: BTreeMap<MessageId, Instant>,
    timed_out: BTreeSet<MessageId>,
    /// The peer's requests that it hasn't answered: their serial numbers, and when they were asked.
    to_answer: VecDeque<(PeerRequestId, u16, Instant)>,
    /// What it told and the peer hasn't heard.
    told: VecDeque<u16>,
    complained: bool,
    /// Its ids have come round.
    lapped: bool,
}

/// What an application is told by a session of either side.
enum Heard {
    Request(PeerRequestId, Payload),
    Outcome(RequestId, Outcome),
    Told(Payload),
    Stray(MessageId),
    Pong(Duration),
    Other,
}

impl From<ClientEvent> for Heard {
    fn from(event: ClientEvent) -> Self {
        match event {
            ClientEvent::Request { id, payload } => Self::Request(id, payload),
            ClientEvent::Outcome { request, outcome } => Self::Outcome(request, outcome),
            ClientEvent::Event(payload) | ClientEvent::DataUpdate(payload) => Self::Told(payload),
            ClientEvent::StrayReply { in_reply_to, .. } => Self::Stray(in_reply_to),
            _ => Self::Other,
        }
    }
}

impl From<ServerEvent> for Heard {
    fn from(event: ServerEvent) -> Self {
        match event {
            ServerEvent::Request { id, payload } => Self::Request(id, payload),
            ServerEvent::Outcome { request, outcome } => Self::Outcome(request, outcome),
            ServerEvent::Event(payload) => Self::Told(payload),
            ServerEvent::StrayReply { in_reply_to, .. } => Self::Stray(in_reply_to),
            ServerEvent::Pong { round_trip } => Self::Pong(round_trip),
            _ => Self::Other,
        }
    }
}

/// Does something with the session of one side.
macro_rules! on {
    ($life:expr, $role:expr, |$session:ident| $does:expr) => {
        match $role {
            Role::Client => {
                let $session = &mut $life.pair.client.session;
                $does
            }
            Role::Server => {
                let $session = &mut $life.pair.server.session;
                $does
            }
        }
    };
}

struct Life {
    pair: Pair<Client, Server>,
    client: App,
    server: App,
    serial: u16,
    refused: bool,
    cut: bool,
    request_timeout: Duration,
    ping_timeout: Duration,
}

/// Lives that are worth a try: their names, whether they start after the handshake, and what
/// happens, from the latency on.
pub(super) const LIVES: &[(&str, bool, &[u8])] = &[
    ("handshake", false, &[1, 0, 6, 6, 0x87, 0, 6, 6, 0, 3, 6, 6, 0x84, 0, 6, 6]),
    ("refused", false, &[1, 0, 6, 6, 0x87, 7, 6, 6]),
    ("nobody decides", false, &[1, 0, 6, 14, 0x87, 0, 6, 6]),
    ("idle for minutes", true, &[2, 0, 6, 17, 6, 17, 2, 1, 6, 6]),
    ("slow link", true, &[3, 0, 6, 17]),
    ("cut", true, &[1, 0x81, 0, 9, 2, 20, 6, 6, 6, 17]),
    (
        "asked and answered both ways",
        true,
        &[
            1, 0, 0, 1, 0, 2, 0, 3, 0x80, 4, 0x80, 5, 0x80, 6, 2, 7, 0x82, 7, 0x83, 8, 6, 6, 0x84,
            1, 0x84, 0, 0x84, 0, 4, 2, 4, 0, 4, 0, 6, 6,
        ],
    ),
    ("late reply", true, &[1, 0, 0, 1, 6, 15, 0x84, 0, 6, 6]),
    // The id of a request that timed out comes round while it rests. (Meanwhile a Ping was answered.)
    ("ids come round", true, &[1, 0, 0, 1, 6, 15, 8, 1, 0, 2, 0, 3, 0x84, 0, 6, 6, 0x84, 0, 6, 6]),
    (
        "ids come round to an open request",
        true,
        &[1, 0, 0x80, 1, 0x88, 0, 0x80, 2, 6, 6, 4, 0, 4, 0, 6, 6],
    ),
    ("closed amid requests", true, &[1, 0, 0, 1, 0x80, 1, 9, 255, 6, 6]),
    ("complaint", true, &[1, 0, 0, 1, 0x8A, 255, 6, 6]),
];

pub(super) fn run(settings: &Settings, mut input: Input<'_>) {
    let config = Arc::new(settings.config());
    let millis = [0, 20, 1000, 6000][usize::from(input.byte() % 4)];
    let pair = Pair::new(Duration::from_millis(millis), |now| {
        let who = Identification::new("9f2c", "Ada");
        (Client::new(config.clone(), &who, now).expect("fits"), Server::new(config.clone(), now))
    });
    let mut life = Life {
        pair,
        client: App::default(),
        server: App::default(),
        serial: 0,
        refused: false,
        cut: false,
        request_timeout: config.request_timeout,
        ping_timeout: config.ping_timeout,
    };
    let cut_after = input.byte();
    if settings.ready {
        life.sleep(life.pair.latency);
        life.pair.server.session.accept(life.pair.now, b"token").expect("awaits it");
        life.sleep(life.pair.latency);
    }
    if cut_after >= 0x80 {
        life.pair.cut_after = Some(usize::from(cut_after - 0x80) * 8);
        life.cut = true;
    }
    while !input.is_empty() {
        let (act, argument) = (input.byte(), input.byte());
        let role = if act >= 0x80 { Role::Server } else { Role::Client };
        life.act(role, act & 0x0F, argument);
        life.check();
    }
    life.end();
}

impl Life {
    fn app(&mut self, role: Role) -> &mut App {
        match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }

    fn sleep(&mut self, duration: Duration) {
        self.pair.run_for(duration);
        while let Some(event) = self.pair.client.events.pop_front() {
            self.hear(Role::Client, event.into());
        }
        while let Some(event) = self.pair.server.events.pop_front() {
            self.hear(Role::Server, event.into());
        }
    }

    fn act(&mut self, role: Role, act: u8, argument: u8) {
        let now = self.pair.now;
        let serial = self.serial;
        let payload = [&serial.to_be_bytes()[..], &vec![7; argument.into()]].concat();
        match act {
            0 | 1 => self.request(role, &payload),
            2 => {
                if on!(self, role, |s| s.event(now, &payload)).is_ok() {
                    self.app(role).told.push_back(serial);
                }
            }
            3 if role == Role::Server => {
                if self.pair.server.session.data_update(now, &payload).is_ok() {
                    self.server.told.push_back(serial);
                }
            }
            3 => drop(self.pair.client.session.noop(now)),
            4 | 5 => self.answer(role, argument),
            7 if argument % 8 == 7 => {
                self.refused |= self.pair.server.session.refuse(now, "no").is_ok();
            }
            7 => drop(self.pair.server.session.accept(now, &payload)),
            8 if !self.app(role).lapped => self.lap(role, argument),
            9 if argument == 255 => on!(self, role, |s| s.close(now)),
            10 if argument == 255 => {
                self.app(role).complained = true;
                on!(self, role, |s| s.protocol_error(now, "had enough"));
            }
            6 => self.sleep(Duration::from_millis(1 << (argument % 18))),
            _ => self.sleep(Duration::from_millis(argument.into())),
        }
        self.serial = serial.wrapping_add(1);
    }

    fn request(&mut self, role: Role, payload: &[u8]) {
        let (now, serial, rest) = (self.pair.now, self.serial, 2 * self.request_timeout);
        let app = self.app(role);
        // B6 promises no more than that an id rests this long; the peer may well take longer.
        if app.lapped && app.unanswered.values().any(|asked| now >= *asked + rest) {
            return;
        }
        if let Ok(request) = on!(self, role, |s| s.request(now, payload)) {
            let app = self.app(role);
            let open = app.asked.insert(request, (serial, now));
            assert_eq!(open, None, "{request:?} was given out and is open");
            app.unanswered.insert(request.message_id(), now);
        }
    }

    /// How is a matter of the serial number, so that the other end knows.
    fn answer(&mut self, role: Role, which: u8) {
        let now = self.pair.now;
        let to_answer = &mut self.app(role).to_answer;
        let which = usize::from(which) % to_answer.len().max(1);
        let Some((id, serial, asked)) = to_answer.get(which).copied() else { return };
        let given_up = now >= asked + self.request_timeout;
        let answered = match (serial % 3, role) {
            (0, _) => on!(self, role, |s| s.reply(now, id, &serial.to_be_bytes())),
            (1, _) => on!(self, role, |s| s.acknowledge(now, id)),
            (_, Role::Client) => self.pair.client.session.reject(now, id),
            (_, Role::Server) => self.pair.server.session.reject(now, id, &serial.to_string()),
        };
        match answered {
            Ok(()) | Err(AnswerError::Send(SendError::Ended)) => {
                self.app(role).to_answer.remove(which);
            }
            Err(AnswerError::NotOpen(_)) if given_up => {
                self.app(role).to_answer.remove(which);
            }
            Err(AnswerError::Send(SendError::QueueFull)) => {}
            Err(error) => panic!("an open request can't be answered: {error}"),
        }
    }

    /// Uses up nearly all ids of a side. What it sends for that is lost on the way, a frame at a
    /// time, which the other end can't know.
    fn lap(&mut self, role: Role, left: u8) {
        self.sleep(Duration::ZERO);
        let now = self.pair.now;
        let mut sent = 0;
        while sent < 0x7FFF - u16::from(left % 8) {
            match on!(self, role, |s| s.event(now, &[])) {
                Ok(()) => sent += 1,
                Err(SendError::QueueFull) => drop(on!(self, role, |s| s.poll_transmit())),
                Err(_) => break,
            }
        }
        if sent > 0 {
            on!(self, role, |s| s.poll_transmit());
            self.app(role).lapped = true;
        }
    }

    fn hear(&mut self, role: Role, heard: Heard) {
        let (now, latency) = (self.pair.now, self.pair.latency);
        let request_timeout = self.request_timeout;
        let (app, peer) = match role {
            Role::Client => (&mut self.client, &mut self.server),
            Role::Server => (&mut self.server, &mut self.client),
        };
        match heard {
            Heard::Request(id, payload) => {
                let asked = peer.unanswered.get(&id.message_id()).expect("somebody asked");
                app.to_answer.push_back((id, serial(&payload), *asked));
            }
            Heard::Outcome(request, outcome) => {
                let (asked, at) = app.asked.remove(&request).expect("is open");
                let id = request.message_id();
                let waited = now.saturating_duration_since(at);
                match outcome {
                    Outcome::TimedOut => {
                        assert!(waited >= request_timeout, "timed out after {waited:?}");
                        app.timed_out.insert(id);
                        return;
                    }
                    Outcome::Closed => return,
                    Outcome::Reply(body) => assert_eq!((asked % 3, serial(&body)), (0, asked)),
                    Outcome::Acknowledged => assert_eq!(asked % 3, 1),
                    Outcome::ErrorReply { text } if role == Role::Client => {
                        assert_eq!((asked % 3, &*text), (2, &*asked.to_string()));
                    }
                    Outcome::ErrorReply { text } => assert_eq!((asked % 3, &*text), (2, "")),
                    other => panic!("something new: {other:?}"),
                }
                app.unanswered.remove(&id);
            }
            Heard::Stray(id) => {
                assert!(app.timed_out.contains(&id), "an answer to {id} goes astray");
                app.unanswered.remove(&id);
            }
            Heard::Told(payload) => {
                assert_eq!(peer.told.pop_front(), Some(serial(&payload)), "told and heard");
            }
            Heard::Pong(round_trip) => {
                assert!(app.lapped || round_trip == 2 * latency, "{round_trip:?}");
            }
            Heard::Other => {}
        }
    }

    /// Nobody has found fault without a cause.
    fn check(&self) {
        let (client, server) = (&self.pair.client.session, &self.pair.server.session);
        for (role, is_ready, ended, peer) in [
            (Role::Client, client.is_ready(), client.ended(), &self.server),
            (Role::Server, server.is_ready(), server.ended(), &self.client),
        ] {
            let Some(End::Error(error)) = ended else { continue };
            let with_cause = match error {
                SessionError::Refused { .. } => self.refused,
                SessionError::HandshakeTimeout => !is_ready,
                SessionError::PingTimeout => 2 * self.pair.latency >= self.ping_timeout,
                SessionError::UnexpectedEof { .. } => self.cut,
                SessionError::ProtocolError { .. } => peer.complained,
                _ => false,
            };
            assert!(with_cause, "the {role:?} ended: {error}");
        }
    }

    /// It comes to an end, and then nothing more happens.
    fn end(mut self) {
        self.pair.client.session.close(self.pair.now);
        self.sleep(2 * self.pair.latency + Duration::from_secs(1));
        self.check();
        let ends = |life: &Self| {
            let (client, server) = (&life.pair.client.session, &life.pair.server.session);
            assert!(!client.wants_input() && !server.wants_input());
            assert_eq!((client.poll_timeout(), server.poll_timeout()), (None, None));
            (client.ended().cloned().expect("an end"), server.ended().cloned().expect("an end"))
        };
        let before = ends(&self);
        for app in [&self.client, &self.server] {
            assert!(app.asked.is_empty(), "no outcome of {:?}", app.asked);
        }
        self.pair.run_for(Duration::from_hours(1));
        assert!(self.pair.client.events.is_empty() && self.pair.server.events.is_empty());
        assert_eq!(ends(&self), before);
    }
}

fn serial(payload: &[u8]) -> u16 {
    payload.first_chunk().map(|bytes| u16::from_be_bytes(*bytes)).expect("has a number")
}
