//! A client and a server back to back, with applications that do anything at any time. Both keep to the protocol, so
//! neither may find fault with the other; every request has one outcome and every delivery one receipt or none in
//! the end; and what is said to the echo comes back, in order.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use delimchat_proto::{
    AliasRefusal, Client, ClientEvent, End, LoginRefusal, Outcome, RegisterRefusal, RequestId,
    RoomId, RoomRefusal, Server, ServerEvent, Session, SessionError, UniqueId, ViolationKind,
};

use super::Settings;
use crate::fuzz::Input;
use crate::pair::Pair;

/// Lives that are worth a try: their names, settings, and what happens, from the latency on.
pub(super) const LIVES: &[(&str, u8, &[u8])] = &[
    ("let in", 0, &[1, 0, 0, 0, 9, 9, 0x87, 2, 9, 9]),
    ("let in later, with much behind it", 0, &[1, 0, 0, 0, 2, 9, 9, 9, 0x87, 2, 9, 9]),
    ("turned away thrice", 0, &[1, 0, 0, 0, 9, 9, 0x87, 0, 9, 9, 1, 0, 9, 9, 0x87, 1, 9, 9, 0, 0]),
    ("second endpoint", 0, &[1, 0, 0, 0, 9, 9, 0x87, 3, 9, 9]),
    ("nobody decides", 0, &[1, 0, 0, 0, 9, 17]),
    ("echo", Settings::READY, &[1, 0, 2, 5, 2, 200, 9, 9, 2, 1, 9, 9]),
    ("long echo", Settings::READY, &[1, 0, 3, 2, 9, 9, 3, 30, 2, 1, 9, 12]),
    ("long both ways", Settings::READY, &[2, 0, 3, 9, 0x83, 9, 0x83, 2, 3, 2, 9, 12, 9, 12]),
    ("asked for again", Settings::READY | Settings::FAST, &[2, 0, 3, 9, 0x83, 9, 9, 12, 9, 14]),
    ("slower than patience", Settings::READY | Settings::FAST, &[3, 0, 3, 9, 0x83, 9, 2, 1, 9, 17]),
    (
        "rooms and names",
        Settings::READY,
        &[1, 0, 4, 1, 4, 2, 5, 1, 6, 3, 7, 1, 9, 9, 0x84, 1, 9, 9],
    ),
    ("little", Settings::READY | Settings::LITTLE_ENDIAN, &[1, 0, 3, 9, 0x83, 9, 9, 12]),
    (
        "tight",
        Settings::READY | Settings::TIGHT,
        &[1, 0, 2, 9, 3, 9, 2, 1, 0x82, 9, 0x83, 3, 9, 12],
    ),
    ("cut", Settings::READY, &[1, 0xC9, 2, 0, 3, 2, 0x82, 0, 9, 9, 9, 14]),
    ("cut in the login", 0, &[1, 0x99, 0, 0, 9, 9, 0x87, 2, 9, 12]),
    ("logged off amid messages", Settings::READY, &[1, 0, 2, 1, 3, 3, 8, 255, 9, 9]),
    ("closed amid messages", Settings::READY, &[1, 0, 0x82, 1, 0x83, 3, 0x88, 255, 9, 9]),
];

struct Life {
    pair: Pair<Client, Server>,
    /// Requests without an outcome.
    requests: BTreeSet<RequestId>,
    /// Deliveries without a receipt.
    deliveries: BTreeSet<UniqueId>,
    /// What was said to the echo in short, and hasn't come back.
    said: VecDeque<(RequestId, Vec<u8>)>,
    serial: u64,
    /// Not everything may arrive.
    lossy: bool,
}

pub(super) fn run(settings: &Settings, mut input: Input<'_>) {
    let (client, server) = settings.configs();
    let millis = [0, 20, 400, 3000][usize::from(input.byte() % 4)];
    let cut_after = input.byte();
    let pair = Pair::new(Duration::from_millis(millis), |now| {
        let server = Server::new(Arc::new(server), "guest-7", now).expect("is a name");
        (Client::new(Arc::new(client), now), server)
    });
    let mut life = Life {
        pair,
        requests: BTreeSet::new(),
        deliveries: BTreeSet::new(),
        said: VecDeque::new(),
        serial: 0,
        lossy: settings.is(Settings::TIGHT) || settings.is(Settings::FAST),
    };
    if settings.is(Settings::READY) {
        life.act(0, 0);
        life.sleep(2 * life.pair.latency);
        let _ = life.pair.server.session.accept(life.pair.now);
        life.sleep(2 * life.pair.latency);
    }
    if cut_after >= 0x80 {
        let left = usize::from(cut_after - 0x80);
        life.pair.cut_after = Some(left * left);
        life.lossy = true;
    }
    let mut left = Duration::from_mins(30);
    while !input.is_empty() && left > Duration::ZERO {
        let (act, argument) = (input.byte(), input.byte());
        let before = life.pair.now;
        life.act(act, argument);
        life.check();
        left = left.saturating_sub(life.pair.now - before);
    }
    life.sleep(Duration::from_mins(2));
    if !life.lossy && life.pair.client.session.ended().is_none() {
        assert!(life.said.is_empty(), "{} echoes are missing", life.said.len());
    }
    life.act(8, 255);
    life.act(0x88, 255);
    life.sleep(Duration::from_secs(10));
    assert!(life.requests.is_empty(), "without an outcome: {:?}", life.requests);
    assert!(life.deliveries.is_empty(), "without a receipt: {:?}", life.deliveries);
}

impl Life {
    fn act(&mut self, act: u8, argument: u8) {
        let now = self.pair.now;
        let (client, server) = (&mut self.pair.client.session, &mut self.pair.server.session);
        let room = [RoomId::GLOBAL, RoomId::ECHO, RoomId::from_counter(1), RoomId::from_counter(2)]
            [usize::from(argument) % 4];
        let message = vec![argument; usize::from(argument) + 1];
        let long = vec![argument; 3001 + 500 * usize::from(argument)];
        self.serial += 1;
        let unique_id = UniqueId::new(self.serial, 7);
        let request = match act {
            0 => client.login(now, "ada", b"hunter2").ok(),
            1 => client.register(now, "ada", b"hunter2", "ada@example.org").ok(),
            2 => {
                let message = [&self.serial.to_be_bytes()[..], &message].concat();
                let request = client.send_message(now, RoomId::ECHO, &message).ok();
                self.said.extend(request.map(|request| (request, message)));
                request
            }
            3 => client
                .send_message(now, [RoomId::ECHO, room][usize::from(argument) % 2], &long)
                .ok(),
            4 => client.join(now, room, &message).ok(),
            5 => client.part(now, room, Some("so long")).ok(),
            6 => client.change_alias(now, "countess").ok(),
            7 if room != RoomId::ECHO => client.send_message(now, room, &message).ok(),
            8 if argument == 255 => {
                client.close(now);
                None
            }
            10 => {
                let _ = client.request_supported(now).and(client.announce_supported(now));
                None
            }
            11 => {
                let _ = client.invite(now, room, "bob", "");
                None
            }
            0x82 | 0x83 => {
                let message = if act == 0x82 { &message } else { &long };
                let sent = server.deliver(now, unique_id, room, "bob", "builder", message);
                self.deliveries.extend(sent.is_ok().then_some(unique_id));
                None
            }
            0x84 => {
                let _ = server
                    .user_joined(now, room, "bob", "")
                    .and(server.user_parted(now, room, "bob", ""));
                None
            }
            0x85 => {
                server.enter(room);
                None
            }
            0x86 => {
                server.leave(room);
                None
            }
            0x87 => {
                let _ = match argument {
                    0 => server.refuse_login(now, LoginRefusal::Password),
                    1 => server.refuse_registration(now, RegisterRefusal::UsernameInUse),
                    3 => server.refuse_login(now, LoginRefusal::SecondEndpoint),
                    _ => server.accept(now),
                };
                None
            }
            0x88 if argument == 255 => {
                server.close(now);
                None
            }
            _ => {
                self.sleep(Duration::from_millis(1 << (argument % 18)));
                None
            }
        };
        self.requests.extend(request);
    }

    fn sleep(&mut self, duration: Duration) {
        let steps = 8;
        for _ in 0..steps {
            self.pair.run_for(duration / steps);
            self.hear();
        }
    }

    fn hear(&mut self) {
        let now = self.pair.now;
        while let Some(event) = self.pair.server.events.pop_front() {
            let server = &mut self.pair.server.session;
            self.serial += 1;
            let unique_id = UniqueId::new(self.serial, 9);
            match event {
                ServerEvent::Message { id, message, .. } => {
                    let _ = match message[0] % 3 {
                        0 => server.refuse_message(now, id, RoomRefusal::Invalid),
                        _ => server.accept_message(now, id),
                    };
                }
                ServerEvent::Echo { message } => {
                    let sent = server.echo(now, unique_id, &message).is_ok();
                    self.lossy |= !sent;
                    self.deliveries.extend(sent.then_some(unique_id));
                }
                ServerEvent::LongMessage { room, message, .. } => {
                    let sent = server.forward(now, unique_id, room, &message).is_ok();
                    self.deliveries.extend(sent.then_some(unique_id));
                }
                ServerEvent::JoinRoom { id, password, .. } => {
                    let _ = match password.expose().len() % 2 {
                        0 => server.refuse_join(now, id, RoomRefusal::NotAuthorized),
                        _ => server.accept_join(now, id),
                    };
                }
                ServerEvent::ChangeAlias { id, .. } => {
                    let _ = match self.serial % 2 {
                        0 => server.refuse_alias(now, id, AliasRefusal::InUse),
                        _ => server.accept_alias(now, id),
                    };
                }
                ServerEvent::Received { unique_id } | ServerEvent::Unacknowledged { unique_id } => {
                    assert!(self.deliveries.remove(&unique_id), "{unique_id} twice, or never sent");
                }
                ServerEvent::BadPacket(bad) => panic!("nobody sent that: {bad}"),
                _ => {}
            }
        }
        while let Some(event) = self.pair.client.events.pop_front() {
            match event {
                ClientEvent::Outcome { request, outcome } => {
                    let open = self.requests.remove(&request);
                    assert!(open || self.lossy, "{request:?} twice, or never made");
                    if outcome != Outcome::Okay {
                        self.said.retain(|(said, _)| *said != request);
                    }
                }
                ClientEvent::Message { room: RoomId::ECHO, username, message, .. }
                    if *username == *"ada" =>
                {
                    let mut said = || self.said.pop_front().map(|(_, said)| said);
                    if self.lossy {
                        while said().is_some_and(|said| said != message) {}
                    } else {
                        assert_eq!(said().as_deref(), Some(&message[..]), "said and heard");
                    }
                }
                ClientEvent::BadPacket(bad) => panic!("nobody sent that: {bad}"),
                ClientEvent::BadContent { packet, error } => panic!("{packet}: {error}"),
                _ => {}
            }
        }
    }

    /// Neither finds fault with the other.
    fn check(&self) {
        for end in [self.pair.client.session.ended(), self.pair.server.session.ended()] {
            if let Some(End::Error(SessionError::Violation(violation))) = end {
                // Asking what is supported is all that a client may do while it waits: as often as it likes.
                assert_eq!(violation.kind, ViolationKind::TooMuchHeld, "{violation}");
            }
        }
    }
}
