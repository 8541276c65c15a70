//! A client and a server back to back, with applications that do anything at any time. Both keep to the
//! protocol, so neither may find fault with the other, and whatever was said must be heard, in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use emagine_proto::{
    Client, ClientEvent, CloseFrame, Config, End, Role, SendError, Server, ServerEvent, Session,
    SessionError,
};

use super::Settings;
use crate::emagine::TOKEN;
use crate::fuzz::Input;
use crate::pair::Pair;

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

/// Of one side.
#[derive(Default)]
struct App {
    /// Its heartbeats, since it wasn't told of an ack of the oldest: when they were sent.
    heartbeats: VecDeque<Instant>,
    complained: bool,
}

struct Life {
    pair: Pair<Client, Server>,
    client: App,
    server: App,
    /// What the server said and the client hasn't heard.
    said: VecDeque<u16>,
    serial: u16,
    config: Arc<Config>,
    refused: bool,
    cut: bool,
}

/// Lives that are worth a try: their names, settings, and what happens, from the latency on.
pub(super) const LIVES: &[(&str, u8, &[u8])] = &[
    ("let in", 0, &[1, 0, 6, 6, 0x87, 0, 6, 6]),
    ("let in later", 0, &[1, 0, 6, 6, 0, 1, 6, 12, 0x87, 0, 6, 6, 0x82, 3, 6, 6]),
    ("turned away", 0, &[1, 0, 6, 6, 0, 1, 0x87, 7, 6, 6]),
    ("nobody decides", 0, &[1, 0, 6, 6, 6, 14, 0x87, 0, 6, 6]),
    ("nobody decides while hearts beat", Settings::FAST, &[1, 0, 6, 6, 6, 14, 6, 14]),
    ("idle for minutes", Settings::READY, &[2, 0, 6, 17, 6, 17, 0x82, 1, 6, 6]),
    ("slow link", Settings::READY | Settings::FAST, &[2, 0, 6, 17]),
    ("slower than the hearts", Settings::READY | Settings::FAST, &[3, 0, 6, 17]),
    ("fast hearts", Settings::READY | Settings::FASTER, &[0, 0, 6, 12, 0, 1, 0x80, 1, 6, 12]),
    ("cut", Settings::READY, &[1, 0x89, 0x82, 0, 0x82, 2, 0, 6, 6, 6, 17]),
    ("cut in the handshake", 0, &[1, 0x81, 6, 12, 0x87, 0, 6, 17]),
    (
        "many heartbeats",
        Settings::READY,
        &[
            1, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0x80, 1, 0x80, 1, 0x80, 1, 0x80, 1, 0x80, 1, 6, 6,
            0, 1,
        ],
    ),
    (
        "much to say",
        Settings::READY | Settings::TIGHT,
        &[1, 0, 0x82, 200, 0x82, 200, 0x82, 1, 0x82, 9, 0, 1, 6, 6, 0x82, 200, 6, 6],
    ),
    ("closed amid messages", Settings::READY, &[1, 0, 0x82, 1, 0x82, 1, 9, 255, 6, 6]),
    ("complaint", Settings::READY, &[1, 0, 0x82, 1, 0x8A, 255, 6, 6]),
];

pub(super) fn run(settings: &Settings, mut input: Input<'_>) {
    let config = Arc::new(settings.config());
    let millis = [0, 20, 400, 6000][usize::from(input.byte() % 4)];
    let cut_after = input.byte();
    let pair = Pair::new(Duration::from_millis(millis), |now| {
        let client = Client::new(config.clone(), TOKEN, now).expect("fits");
        // Each has a wall clock of its own.
        (client.unix_time(1_579_523_400_000), Server::new(config.clone(), now))
    });
    let mut life = Life {
        pair,
        client: App::default(),
        server: App::default(),
        said: VecDeque::new(),
        serial: 0,
        config,
        refused: false,
        cut: false,
    };
    if settings.is(Settings::READY) {
        life.sleep(2 * life.pair.latency);
        let _ = life.pair.server.session.accept(life.pair.now, "ada");
        life.sleep(life.pair.latency);
    }
    if cut_after >= 0x80 {
        life.pair.cut_after = Some(usize::from(cut_after - 0x80));
        life.cut = true;
    }
    // Hearts that beat fast make even short lives long.
    let mut left = Duration::from_hours(1);
    while !input.is_empty() && left > Duration::ZERO {
        let (act, argument) = (input.byte(), input.byte());
        let role = if act >= 0x80 { Role::Server } else { Role::Client };
        let before = life.pair.now;
        life.act(role, act & 0x0F, argument);
        life.check();
        let beats = if settings.is(Settings::FASTER) { 100 } else { 1 };
        left = left.saturating_sub(beats * (life.pair.now - before));
    }
    life.end();
}

impl Life {
    fn sleep(&mut self, duration: Duration) {
        self.pair.run_for(duration);
        while let Some(event) = self.pair.client.events.pop_front() {
            match event {
                ClientEvent::HeartbeatAck { round_trip } => self.acknowledged(round_trip),
                ClientEvent::Ready { user } => assert_eq!(&*user, "ada"),
                ClientEvent::Message { message } => {
                    let (serial, _): (u16, String) = message.parse().expect("as it was said");
                    assert_eq!(self.said.pop_front(), Some(serial), "said and heard");
                }
                ClientEvent::Connected { heartbeat_interval } => {
                    assert_eq!(heartbeat_interval, self.config.heartbeat_interval);
                }
                other => panic!("nobody said that: {other:?}"),
            }
        }
        while let Some(event) = self.pair.server.events.pop_front() {
            match event {
                ServerEvent::HeartbeatAck { round_trip } => self.acknowledged(round_trip),
                ServerEvent::Identify { token } => assert_eq!(&**token.expose(), TOKEN),
                other => panic!("nobody said that: {other:?}"),
            }
        }
    }

    fn acknowledged(&self, round_trip: Duration) {
        assert_eq!(round_trip, 2 * self.pair.latency);
    }

    fn act(&mut self, role: Role, act: u8, argument: u8) {
        let (now, serial) = (self.pair.now, self.serial);
        match act {
            0 | 1 => self.heartbeat(role),
            2..=5 => {
                let message = (serial, "x".repeat(argument.into()));
                if self.pair.server.session.send_message(now, &message).is_ok() {
                    self.said.push_back(serial);
                }
            }
            7 if argument % 8 == 7 => {
                self.refused |= self.pair.server.session.refuse(now).is_ok();
            }
            7 => drop(self.pair.server.session.accept(now, "ada")),
            9 if argument == 255 => on!(self, role, |s| s.close(now)),
            10 if argument == 255 => {
                let app = if role == Role::Client { &mut self.client } else { &mut self.server };
                app.complained = true;
                on!(self, role, |s| s.close_with(now, CloseFrame::new(4999, "had enough")));
            }
            6 => self.sleep(Duration::from_millis(1 << (argument % 18))),
            _ => self.sleep(Duration::from_millis(argument.into())),
        }
        self.serial = serial.wrapping_add(1);
    }

    /// One of the application's own, of which there may be as many as haven't had time to be answered.
    fn heartbeat(&mut self, role: Role) {
        let (now, round_trip) = (self.pair.now, 2 * self.pair.latency);
        let interval = self.config.heartbeat_interval;
        let result = on!(self, role, |s| s.heartbeat(now));
        let app = if role == Role::Client { &mut self.client } else { &mut self.server };
        // Those of just a round trip ago may be acknowledged, or be about to.
        app.heartbeats.retain(|sent| now <= *sent + round_trip);
        match result {
            Ok(()) => {
                app.heartbeats.push_back(now);
                let surely = app.heartbeats.iter().filter(|sent| now < **sent + round_trip).count();
                assert!(surely <= 4, "{surely} are outstanding");
            }
            Err(SendError::TooManyHeartbeats) => {
                // Those of the session count as well.
                let regular = round_trip.as_nanos() / interval.as_nanos() + 1;
                let maybe = app.heartbeats.len() as u128 + regular;
                assert!(maybe >= 4 || self.cut, "only {maybe} are outstanding");
            }
            Err(_) => {}
        }
    }

    /// Nobody has found fault without a cause.
    fn check(&self) {
        let (client, server) = (&self.pair.client.session, &self.pair.server.session);
        let round_trip = 2 * self.pair.latency;
        let slow = round_trip >= self.config.heartbeat_interval;
        let slow_to_greet = round_trip >= self.config.handshake_timeout;
        for (role, ended, peer_ended, peer) in [
            (Role::Client, client.ended(), server.ended(), &self.server),
            (Role::Server, server.ended(), client.ended(), &self.client),
        ] {
            let Some(End::Error(error)) = ended else { continue };
            let with_cause = match error {
                SessionError::Closed { code, .. } => match peer_ended {
                    Some(End::Clean) => peer.complained || (role == Role::Client && self.refused),
                    Some(End::Error(_)) => code.0 == 4002,
                    None => false,
                },
                SessionError::ConnectionLost => self.cut,
                // The application may leave the client waiting.
                SessionError::HandshakeTimeout => {
                    self.cut || slow_to_greet || !(client.is_ready() && server.is_ready())
                }
                // A peer that ended by itself answers no more.
                SessionError::HeartbeatTimeout => self.cut || slow || peer_ended.is_some(),
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
        self.pair.run_for(Duration::from_hours(1));
        assert!(self.pair.client.events.is_empty() && self.pair.server.events.is_empty());
        assert_eq!(ends(&self), before);
    }
}
