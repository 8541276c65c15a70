//! A client and a server back to back, with applications that do anything at any time. Both keep
//! to the protocol, so neither may find fault with the other, and whatever was asked and told must
//! be answered and heard as it was meant.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use litecord_proto::{
    AnswerError, Client, ClientEvent, CloseFrame, Config, End, Json, Outcome, PeerRequestId,
    RequestId, Role, SendError, Server, ServerEvent, Session, SessionError, ViolationKind,
};

use super::Settings;
use crate::fuzz::Input;
use crate::litecord::PASSWORD;
use crate::pair::Pair;

/// One application.
#[derive(Default)]
struct App {
    /// Its requests that it wasn't told the outcome of: their serial numbers, and when it asked.
    asked: BTreeMap<RequestId, (u16, Instant)>,
    /// The serial numbers that it asked under, and when; by nonce.
    all_asked: BTreeMap<u64, (u16, Instant)>,
    timed_out: BTreeSet<u64>,
    /// The peer's requests that it hasn't answered: their serial numbers, and when they were asked.
    to_answer: VecDeque<(PeerRequestId, u16, Instant)>,
    /// What it told and the peer hasn't heard.
    told: VecDeque<u16>,
    complained: bool,
}

/// What an application is told by a session of either side.
enum Heard {
    Request(PeerRequestId, Json),
    Outcome(RequestId, Outcome),
    Told(Json),
    Stray(Json),
    Ack(Duration),
    Other,
}

impl From<ClientEvent> for Heard {
    fn from(event: ClientEvent) -> Self {
        match event {
            ClientEvent::Request { id, args, .. } => Self::Request(id, args),
            ClientEvent::Outcome { request, outcome } => Self::Outcome(request, outcome),
            ClientEvent::Dispatch { args, .. } => Self::Told(args),
            ClientEvent::StrayResponse { nonce, .. } => Self::Stray(nonce),
            ClientEvent::HeartbeatAck { round_trip } => Self::Ack(round_trip),
            _ => Self::Other,
        }
    }
}

impl From<ServerEvent> for Heard {
    fn from(event: ServerEvent) -> Self {
        match event {
            ServerEvent::Request { id, args, .. } => Self::Request(id, args),
            ServerEvent::Outcome { request, outcome } => Self::Outcome(request, outcome),
            ServerEvent::Dispatch { args, .. } => Self::Told(args),
            ServerEvent::StrayResponse { nonce, .. } => Self::Stray(nonce),
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
    config: Arc<Config>,
    wrong_password: bool,
    refused: bool,
    cut: bool,
}

/// Lives that are worth a try: their names, settings, and what happens, from the latency on.
pub(super) const LIVES: &[(&str, u8, &[u8])] = &[
    ("handshake", 0, &[1, 0, 0, 6, 6, 6, 17]),
    ("wrong password", 0, &[1, 0, 1, 6, 6, 6, 6]),
    ("let in later", Settings::UNDECIDED, &[1, 0, 0, 6, 6, 0, 1, 2, 1, 6, 11, 0x87, 0, 6, 6]),
    ("turned away", Settings::UNDECIDED, &[1, 0, 0, 6, 6, 0, 1, 0x87, 7, 6, 6]),
    ("nobody decides", Settings::UNDECIDED, &[1, 0, 0, 6, 14, 0x87, 0, 6, 6]),
    (
        "asks again while undecided",
        Settings::UNDECIDED | Settings::TIGHT,
        &[1, 0, 0, 6, 6, 0, 1, 0, 1, 0, 1, 6, 12, 6, 10, 0, 1, 0, 1, 0, 1, 6, 6, 0x87, 0, 6, 6],
    ),
    ("idle for minutes", Settings::READY, &[2, 0, 0, 6, 17, 6, 17, 2, 1, 6, 6]),
    ("slow link", Settings::READY | Settings::FAST, &[3, 0, 0, 6, 17]),
    ("cut", Settings::READY, &[1, 0x89, 0, 0, 9, 2, 20, 6, 6, 6, 17]),
    (
        "asked and answered both ways",
        Settings::READY | Settings::ZLIB,
        &[
            1, 0, 0, 0, 1, 0, 2, 0, 3, 0x80, 4, 0x80, 5, 0x80, 6, 2, 7, 0x82, 7, 0x83, 8, 6, 6,
            0x84, 1, 0x84, 0, 0x84, 0, 4, 2, 4, 0, 4, 0, 6, 6,
        ],
    ),
    (
        "asks more than it may",
        Settings::READY | Settings::TIGHT,
        &[1, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0x80, 1, 0x80, 1, 0x80, 1, 0x80, 1, 6, 6, 0x84, 0, 6, 6],
    ),
    ("late response", Settings::READY, &[1, 0, 0, 0, 1, 6, 13, 0x84, 0, 6, 6]),
    (
        "asks again when given up",
        Settings::READY | Settings::TIGHT,
        &[1, 0, 0, 0, 1, 0, 1, 0, 1, 6, 6, 6, 12, 6, 10, 0, 1, 0, 1, 0, 1, 6, 6, 0x84, 0, 6, 6],
    ),
    ("closed amid requests", Settings::READY, &[1, 0, 0, 0, 1, 0x80, 1, 9, 255, 6, 6]),
    ("complaint", Settings::READY, &[1, 0, 0, 0, 1, 0x8A, 255, 6, 6]),
];

pub(super) fn run(settings: &Settings, mut input: Input<'_>) {
    let config = Arc::new(settings.config());
    let millis = [0, 20, 600, 6000][usize::from(input.byte() % 4)];
    let cut_after = input.byte();
    let wrong_password = input.byte() % 2 == 1;
    let password = if wrong_password { "hunter" } else { PASSWORD };
    let pair = Pair::new(Duration::from_millis(millis), |now| {
        let client = Client::new(config.clone(), password, now).expect("fits");
        (client, Server::new(config.clone(), now))
    });
    let mut life = Life {
        pair,
        client: App::default(),
        server: App::default(),
        serial: 0,
        config,
        wrong_password,
        refused: false,
        cut: false,
    };
    if settings.is(Settings::READY) {
        life.sleep(2 * life.pair.latency);
        let _ = life.pair.server.session.accept(life.pair.now);
        life.sleep(life.pair.latency);
    }
    if cut_after >= 0x80 {
        life.pair.cut_after = Some(usize::from(cut_after - 0x80));
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
        let (now, serial) = (self.pair.now, self.serial);
        let args = (serial, "x".repeat(argument.into()));
        match act {
            0 | 1 => {
                if let Ok(request) = on!(self, role, |s| s.request(now, "ask", &args)) {
                    let app = self.app(role);
                    let open = app.asked.insert(request, (serial, now));
                    assert_eq!(open, None, "{request:?} was given out and is open");
                    app.all_asked.insert(request.nonce(), (serial, now));
                }
            }
            2 | 3 => {
                if on!(self, role, |s| s.dispatch(now, "tell", &args)).is_ok() {
                    self.app(role).told.push_back(serial);
                }
            }
            4 | 5 => self.answer(role, argument),
            7 if argument % 8 == 7 => {
                self.refused |= self.pair.server.session.refuse(now).is_ok();
            }
            7 => drop(self.pair.server.session.accept(now)),
            9 if argument == 255 => on!(self, role, |s| s.close(now)),
            10 if argument == 255 => {
                self.app(role).complained = true;
                on!(self, role, |s| s.close_with(now, CloseFrame::new(4999, "had enough")));
            }
            6 => self.sleep(Duration::from_millis(1 << (argument % 18))),
            _ => self.sleep(Duration::from_millis(argument.into())),
        }
        self.serial = serial.wrapping_add(1);
    }

    fn answer(&mut self, role: Role, which: u8) {
        let now = self.pair.now;
        let to_answer = &mut self.app(role).to_answer;
        let which = usize::from(which) % to_answer.len().max(1);
        let Some((id, serial, asked)) = to_answer.get(which).copied() else { return };
        let given_up = now >= asked + self.config.request_timeout;
        match on!(self, role, |s| s.respond(now, id, &answer_to(serial))) {
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

    fn hear(&mut self, role: Role, heard: Heard) {
        let (now, latency) = (self.pair.now, self.pair.latency);
        let request_timeout = self.config.request_timeout;
        let undecided = self.config.password.is_none();
        let (app, peer) = match role {
            Role::Client => (&mut self.client, &mut self.server),
            Role::Server => (&mut self.server, &mut self.client),
        };
        match heard {
            Heard::Request(id, args) => {
                let serial = serial(&args);
                let mut all = peer.all_asked.values();
                let (_, asked) = all.find(|(asked, _)| *asked == serial).expect("somebody asked");
                app.to_answer.push_back((id, serial, *asked));
            }
            Heard::Outcome(request, outcome) => {
                let (asked, at) = app.asked.remove(&request).expect("is open");
                match outcome {
                    Outcome::TimedOut => {
                        let waited = now.saturating_duration_since(at);
                        assert!(waited >= request_timeout, "timed out after {waited:?}");
                        app.timed_out.insert(request.nonce());
                    }
                    Outcome::Closed => {}
                    Outcome::Response(result) => assert_eq!(result, answer_to(asked)),
                    other => panic!("something new: {other:?}"),
                }
            }
            Heard::Stray(nonce) => {
                let nonce = nonce.parse().expect("our own");
                assert!(app.timed_out.remove(&nonce), "an answer to {nonce} goes astray");
            }
            Heard::Told(args) => {
                assert_eq!(peer.told.pop_front(), Some(serial(&args)), "told and heard");
            }
            Heard::Ack(round_trip) => {
                assert!(round_trip == 2 * latency || undecided, "{round_trip:?}");
            }
            Heard::Other => {}
        }
    }

    /// Nobody has found fault without a cause.
    fn check(&self) {
        let (client, server) = (&self.pair.client.session, &self.pair.server.session);
        let round_trip = 2 * self.pair.latency;
        let interval = self.config.heartbeat_interval;
        let undecided = self.config.password.is_none();
        for (role, ended, peer_ended, peer) in [
            (Role::Client, client.ended(), server.ended(), &self.server),
            (Role::Server, server.ended(), client.ended(), &self.client),
        ] {
            let Some(End::Error(error)) = ended else { continue };
            let of_client = role == Role::Client;
            let with_cause = match error {
                // More than it is told of can be held back.
                SessionError::Violation(v) => {
                    !of_client && undecided && v.kind == ViolationKind::TooMuchHeld
                }
                SessionError::Closed { code, .. } => match peer_ended {
                    Some(End::Clean) => peer.complained || (of_client && self.refused),
                    Some(End::Error(_)) => of_client || code.0 != 4001,
                    None => false,
                },
                SessionError::ConnectionLost => self.cut,
                SessionError::WrongPassword => !of_client && !undecided && self.wrong_password,
                SessionError::HandshakeTimeout => {
                    self.cut
                        || !of_client && (undecided || round_trip >= self.config.handshake_timeout)
                }
                SessionError::HeartbeatTimeout if of_client => {
                    self.cut || undecided || round_trip >= interval
                }
                SessionError::HeartbeatTimeout => {
                    let patience = interval + self.config.heartbeat_grace;
                    let told =
                        matches!(client.ended(), Some(End::Error(SessionError::Closed { .. })));
                    // A client that ended by itself sends no more.
                    let gone = client.ended().is_some() && !told;
                    self.cut || gone || round_trip >= patience
                }
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

/// In one of many shapes, so that the other end knows what to expect.
fn answer_to(serial: u16) -> Json {
    match serial % 3 {
        0 => Json::of(&serial),
        1 => Json::of(&[serial]),
        _ => Json::of(&BTreeMap::from([("serial", serial)])),
    }
    .expect("is JSON")
}

fn serial(args: &Json) -> u16 {
    args.parse::<(u16, String)>().expect("has a number").0
}
