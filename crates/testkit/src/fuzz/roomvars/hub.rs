//! `roomvars_hub`: a hub under arbitrary clients, sets, stalls, kicks and clocks, beside a model of it.
//! Three bytes are settings; then comes one step after the other (see `Step`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roomvars_proto::{
    ApplyError, ClientMessage, CloseCode, CloseFrame, ConnId, Dialect, Hub, HubConfig, HubEvent,
    Limits, Message, ServerMessage, ViolationKind,
};

use crate::epoch;
use crate::fuzz::Input;
use crate::model::hub::{self as model, State, changes, rate_limit};

/// The first three bytes.
fn config(input: &mut Input<'_>) -> (HubConfig, Option<(u32, u32)>, bool) {
    let [first, second, third] = [input.byte(), input.byte(), input.byte()];
    let pick = |byte: u8, of: [usize; 4]| of[usize::from(byte & 3)];
    let limits = Limits::default().max_room_id(4).max_username(4).max_name(4).max_value(12);
    let mut config = HubConfig::default()
        .limits(limits.max_variables(3).max_scratch_variables(4))
        .max_untaken(pick(first, [0, 130, 400, 4000]))
        .max_batch_bytes(pick(first >> 2, [0, 100, 300, 16_384]))
        .max_server_message(pick(first >> 4, [0, 100, 300, 1 << 20]))
        .max_client_message(pick(first >> 6, [1 << 20, 1 << 20, 200, 1 << 20]))
        .max_connections(pick(second, [7, 7, 3, 200]))
        .max_room_clients(pick(second >> 2, [100, 100, 2, 3]))
        .max_rooms(pick(second >> 4, [512, 1, 2, 3]))
        .handshake_timeout(Duration::from_millis(500))
        .empty_room_ttl(Duration::from_millis(900));
    if second & 0x40 != 0 {
        config = config.flush_interval(Duration::from_millis(20));
    }
    let rate = (third & 3 == 3).then_some((10, 1 + u32::from(third >> 4)));
    if let Some(rate) = rate {
        config = config.rate_limit(rate_limit(rate));
    }
    // What can't be applied is said again, which would count.
    (config, rate, rate.is_none() && third & 4 != 0)
}

/// What is done next: a byte of kind and of whom, and one or two of what.
enum Step<'a> {
    Connect(Dialect),
    Text(usize, String),
    Raw(usize, &'a [u8]),
    Binary(usize),
    Close(usize, Option<u16>),
    Eof(usize),
    Disconnect(usize),
    Kick(usize, u16),
    Take(usize, u8),
    TakeReady(u8),
    TakeAll,
    Sleep(Duration),
}

/// What clients may call rooms, themselves, variables and values, as JSON; some of it isn't allowed.
const ROOMS: [&str; 4] = ["a", "b", "", "abcde"];
const USERS: [&str; 8] = ["u", "v", "w", "x", "U", "y", "", "uvwxy"];
const NAMES: [&str; 8] = ["x", "y", "z", r"\u2601", "x2", r#"\"\\"#, "", "xyzxy"];
const VALUES: [&str; 8] =
    ["0", "1", "22", "\\n", "a \\u00e9 b", "333333333333", "", "4444444444444"];

impl<'a> Step<'a> {
    fn take(input: &mut Input<'a>, dialects: &[Dialect]) -> Self {
        let kind = input.byte();
        let who = usize::from(kind >> 5);
        let dialect = dialects.get(who).copied().unwrap_or_default();
        match kind & 31 {
            0..=1 => Self::Connect(dialect_of(kind >> 5)),
            2..=4 => Self::Text(who, handshake(input.byte(), input.byte(), dialect)),
            5..=13 => Self::Text(who, set(input.byte(), dialect)),
            14..=15 => Self::Text(who, rename(input.byte())),
            16 => Self::Text(who, delete(input.byte())),
            17 => Self::Raw(who, input.counted()),
            18 => Self::Binary(who),
            19 => match input.byte() {
                0 => Self::Eof(who),
                1 => Self::Close(who, None),
                code => Self::Close(who, Some(999 + u16::from(code))),
            },
            20 => Self::Disconnect(who),
            21 => Self::Kick(who, 4000 + u16::from(input.byte() & 7)),
            22..=25 => Self::Take(who, input.byte() & 7),
            26..=27 => Self::TakeReady(input.byte() & 15),
            28 => Self::TakeAll,
            _ => Self::Sleep(Duration::from_millis(1 << (kind >> 4 & 7) << (kind & 7))),
        }
    }
}

fn dialect_of(choice: u8) -> Dialect {
    [Dialect::Scratch, Dialect::Documented, Dialect::Deployed2020][usize::from(choice % 3)]
}

fn of<'a>(texts: &[&'a str], choice: u8) -> &'a str {
    texts[usize::from(choice) % texts.len()]
}

/// The first ones mostly.
fn few(choice: u8) -> u8 {
    if choice & 0x38 == 0x38 { choice & 7 } else { choice & 1 }
}

fn handshake(who: u8, what: u8, dialect: Dialect) -> String {
    let (room, user) =
        (of(&ROOMS, if who & 0x18 == 0x18 { who >> 6 } else { who >> 7 }), of(&USERS, who));
    let all = [r#""x":"0","y":"1""#, r#""x":"7","y":"8""#, r#""y":"1""#, "", r#""x":"","x":"""#];
    let variables = of(&all, if what & 0x30 == 0x30 { what } else { what & 1 });
    match dialect {
        Dialect::Documented => format!(
            r#"{{"kind":"handshake","room":"{room}","username":"{user}","variables":{{{variables}}}}}"#
        ),
        Dialect::Deployed2020 => format!(
            r#"{{"kind":"handshake","id":"{room}","username":"{user}","variables":{{{variables}}}}}"#
        ),
        Dialect::Scratch => {
            format!(r#"{{"method":"handshake","project_id":"{room}","user":"{user}"}}"#)
        }
    }
}

fn set(what: u8, dialect: Dialect) -> String {
    let name = of(&NAMES, few(what));
    let value = of(&VALUES, what >> 5);
    match dialect {
        Dialect::Documented => format!(r#"{{"kind":"set","variable":"{name}","value":"{value}"}}"#),
        Dialect::Deployed2020 => format!(r#"{{"kind":"set","var":"{name}","value":"{value}"}}"#),
        Dialect::Scratch if what & 0x80 != 0 => {
            format!(r#"{{"method":"set","name":"{name}","value":{}.0}}"#, what & 31)
        }
        Dialect::Scratch => format!(r#"{{"method":"create","name":"{name}","value":"{value}"}}"#),
    }
}

fn rename(what: u8) -> String {
    let (old, new) = (of(&NAMES, what & 7 & (what >> 3 | 3)), of(&NAMES, what >> 5));
    format!(r#"{{"method":"rename","name":"{old}","new_name":"{new}"}}"#)
}

fn delete(what: u8) -> String {
    let name = of(&NAMES, few(what));
    format!(r#"{{"method":"delete","name":"{name}"}}"#)
}

/// A hub and its model, side by side.
struct Both {
    hub: Hub,
    model: model::Hub,
    start: Instant,
    config: Arc<HubConfig>,
    /// What clients want is proposed, and then applied.
    proposes: bool,
    /// Of all connections, by the number that the model knows them by.
    ids: Vec<ConnId>,
    dialects: Vec<Dialect>,
    /// The numbers of those that a step can mean.
    seats: Vec<u64>,
    /// Which of them have told that they joined and ended.
    told: BTreeMap<u64, (bool, bool)>,
}

impl Both {
    fn now(&self) -> Instant {
        self.start + self.model.now
    }

    fn seat(&self, who: usize) -> Option<(u64, ConnId)> {
        let number = *self.seats.get(who)?;
        Some((number, self.ids[usize::try_from(number).ok()?]))
    }

    fn number(&self, id: ConnId) -> u64 {
        self.ids.iter().position(|other| *other == id).expect("a handle given out") as u64
    }

    fn step(&mut self, step: &Step<'_>) {
        let now = self.now();
        match step {
            Step::Connect(dialect) => match self.hub.connect(now, *dialect) {
                Ok(id) => {
                    assert!(!self.ids.contains(&id), "{id:?} was given out before");
                    let number = self.ids.len() as u64;
                    self.ids.push(id);
                    assert!(self.model.connect(number, *dialect));
                    self.seats.push(number);
                    self.dialects.push(*dialect);
                }
                Err(_) => assert!(!self.model.connect(u64::MAX, *dialect), "full, and isn't"),
            },
            Step::Text(who, text) => self.input(*who, text.as_bytes()),
            Step::Raw(who, bytes) => self.input(*who, bytes),
            Step::Binary(who) => {
                let Some((number, id)) = self.seat(*who) else { return };
                self.hub.handle_input(now, id, &Message::Binary(Vec::new().into()));
                self.model.end(number, Some(1003));
            }
            Step::Close(who, code) => {
                let Some((number, id)) = self.seat(*who) else { return };
                let frame = code.map(|code| CloseFrame::new(code, "so long"));
                self.hub.handle_input(now, id, &Message::Close(frame));
                self.model.end(number, None);
            }
            Step::Eof(who) => {
                let Some((number, id)) = self.seat(*who) else { return };
                self.hub.handle_eof(now, id);
                self.model.end(number, None);
            }
            Step::Disconnect(who) => {
                let Some((number, id)) = self.seat(*who) else { return };
                self.hub.disconnect(now, id);
                self.model.disconnect(number);
                self.seats.remove(*who);
                self.dialects.remove(*who);
                // It does nothing any more.
                self.hub.handle_input(now, id, &Message::text("{"));
                self.hub.kick(now, id, CloseCode::GENERIC);
                assert!(self.hub.poll_transmit(id).is_none() && self.hub.connection(id).is_none());
            }
            Step::Kick(who, code) => {
                let Some((number, id)) = self.seat(*who) else { return };
                self.hub.kick(now, id, CloseCode(*code));
                self.model.end(number, Some(*code));
            }
            Step::Take(who, count) => {
                let Some((number, id)) = self.seat(*who) else { return };
                for _ in 0..*count {
                    self.take(number, id);
                }
            }
            Step::TakeReady(count) => {
                for _ in 0..*count {
                    let Some(id) = self.hub.poll_ready() else { break };
                    let number = self.number(id);
                    assert!(self.model.clients.contains_key(&number), "ready, and gone");
                    while self.take(number, id) {}
                }
            }
            Step::TakeAll => self.take_all(),
            Step::Sleep(duration) => {
                self.model.sleep(*duration);
                self.hub.handle_timeout(self.now());
                if let Some(at) = self.hub.poll_timeout() {
                    assert!(at > self.now(), "told that the time has come, and still wants to be");
                }
            }
        }
        self.compare();
    }

    fn input(&mut self, who: usize, text: &[u8]) {
        let Some((number, id)) = self.seat(who) else { return };
        let message = Message::text(text.to_vec());
        if self.proposes {
            self.propose(id, &message);
        } else {
            self.hub.handle_input(self.now(), id, &message);
        }
        self.model.input(number, text);
    }

    /// As a hub that isn't alone, and yet is.
    fn propose(&mut self, id: ConnId, message: &Message) {
        let now = self.now();
        let Some(proposed) = self.hub.propose(now, id, message) else { return };
        let change = match proposed {
            ClientMessage::Set { variable, value } => ServerMessage::Set { variable, value },
            ClientMessage::Create { variable, value } => ServerMessage::Create { variable, value },
            ClientMessage::Rename { variable, new_name } => {
                ServerMessage::Rename { variable, new_name }
            }
            ClientMessage::Delete { variable } => ServerMessage::Delete { variable },
            _ => return self.hub.handle_input(now, id, message),
        };
        let one = self.hub.connection(id).expect("is connected");
        let (is_scratch, room) = (one.dialect == Dialect::Scratch, one.room.expect("is in a room"));
        let room = room.to_owned();
        match self.hub.apply(now, is_scratch, &room, Some(id), &change) {
            Ok(()) | Err(ApplyError::UnknownVariable | ApplyError::NameTaken) => {}
            // Only what others do makes it too much.
            Err(ApplyError::Limit(ViolationKind::TooManyVariables)) => {
                self.hub.handle_input(now, id, message);
            }
            Err(error) => panic!("{error}: {change:?}"),
        }
    }

    fn take_all(&mut self) {
        for who in 0..self.seats.len() {
            let Some((number, id)) = self.seat(who) else { continue };
            while self.take(number, id) {}
        }
    }

    /// Takes a message of one connection. Tells whether there was one.
    fn take(&mut self, number: u64, id: ConnId) -> bool {
        let message = self.hub.poll_transmit(id);
        let pending = self.hub.connection(id).map_or(0, |info| info.pending_bytes);
        let Some(client) = self.model.clients.get_mut(&number) else {
            assert_eq!(message, None, "for somebody who is gone");
            return false;
        };
        let is_some = message.is_some();
        match (message, &mut client.state) {
            (Some(Message::Text(text)), State::In(member)) => {
                let limit = self.config.max_server_message;
                let heard = changes(&text, client.dialect);
                assert!(!heard.is_empty(), "an empty message");
                assert!(text.len() <= limit || heard.len() == 1, "{} bytes", text.len());
                for change in heard {
                    assert!(member.hears(&change), "{change:?} out of {:?}", member.waiting);
                }
            }
            (Some(Message::Close(Some(frame))), State::Over(code)) => {
                assert_eq!(code.take(), Some(frame.code()));
            }
            (None, State::In(member)) => {
                let collects = self.config.flush_interval.is_some() && pending > 0;
                if !collects {
                    assert_eq!(pending, 0, "nothing comes");
                    assert!(
                        member.may_miss || member.waiting.iter().all(|(_, is_own)| *is_own),
                        "never came: {:?}",
                        member.waiting
                    );
                    member.is_through(&self.model.rooms[&member.room]);
                }
            }
            (None, State::Over(code)) => assert_eq!(*code, None, "no close frame"),
            (None, State::Waiting(_)) => {}
            (message, state) => panic!("{message:?} in {state:?}"),
        }
        is_some
    }

    /// What the hub shows is what the model has.
    fn compare(&mut self) {
        while let Some((id, event)) = self.hub.poll_event() {
            let number = self.number(id);
            let state = self.model.clients.get(&number).map(|client| &client.state);
            let (joined, ended) = self.told.entry(number).or_default();
            match event {
                HubEvent::Joined => assert!(!std::mem::replace(joined, true) && !*ended),
                HubEvent::Ended => assert!(!std::mem::replace(ended, true)),
                _ => panic!("{event:?} is new"),
            }
            assert!(state.is_some(), "{event:?} of nobody");
        }
        let rooms: BTreeMap<_, _> = self
            .hub
            .rooms()
            .map(|room| ((room.is_scratch(), room.id().to_owned()), room))
            .collect();
        assert!(rooms.keys().eq(self.model.rooms.keys()), "{:?}", rooms.keys());
        for (id, room) in &rooms {
            let expected = &self.model.rooms[id].variables;
            let variables =
                room.variables().map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert!(variables.eq(expected.clone()), "{id:?} has not {expected:?}");
            assert_eq!(room.clients(), self.model.members(id).count());
        }
        for (who, number) in self.seats.iter().enumerate() {
            let (_, id) = self.seat(who).expect("is there");
            let client = &self.model.clients[number];
            let info = self.hub.connection(id).expect("is connected");
            let (joined, ended) = self.told.get(number).copied().unwrap_or_default();
            assert_eq!(self.hub.ended(id).is_some(), matches!(client.state, State::Over(_)));
            assert_eq!(ended, matches!(client.state, State::Over(_)));
            if let State::In(member) = &client.state {
                assert!(joined);
                assert_eq!(info.room, Some(&*member.room.1));
                assert_eq!(info.username, Some(&*member.username));
                // The bound: what may wait, and one value of each variable, gone names included.
                let bound = self.config.max_untaken + 8 * 200;
                assert!(info.pending_bytes <= bound, "{} bytes wait", info.pending_bytes);
                assert!(
                    !info.is_merging || member.may_miss,
                    "merges too early: {info:?} {:?} {:?} {:?}",
                    member.waiting,
                    client.dialect,
                    self.config
                );
            }
        }
    }
}

/// A hub and its model do the same.
///
/// # Panics
/// They don't.
pub fn hub(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let (config, rate, proposes) = config(&mut input);
    let (start, config) = (epoch(), Arc::new(config));
    let mut both = Both {
        hub: Hub::new(config.clone(), start),
        model: model::Hub::new((*config).clone(), rate),
        start,
        config,
        proposes,
        ids: Vec::new(),
        dialects: Vec::new(),
        seats: Vec::new(),
        told: BTreeMap::new(),
    };
    while !input.is_empty() {
        let step = Step::take(&mut input, &both.dialects);
        both.step(&step);
        // No two things happen at once.
        both.step(&Step::Sleep(Duration::from_micros(1)));
    }
    both.step(&Step::Sleep(Duration::from_millis(20)));
    // Those that are ready, and nobody else, have something.
    both.step(&Step::TakeReady(u8::MAX));
    for (number, id) in (0..both.seats.len()).filter_map(|who| both.seat(who)).collect::<Vec<_>>() {
        assert!(!both.take(number, id), "has something, and isn't ready");
    }
}

/// Settings, and five clients in one room, or of three dialects in two.
fn company(settings: [u8; 3], of_scratch: bool) -> Vec<u8> {
    let mut life = settings.to_vec();
    for who in 0..5 {
        let dialect = if of_scratch { 0 } else { 1 + who % 2 };
        life.extend([dialect << 5, who << 5 | 2, who, 0]);
    }
    life
}

/// Some lives of a hub: those five under every setting, and steps out of a series of numbers.
pub(super) fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (at, settings) in [
        [2, 0, 0],
        [1, 64, 0],
        [0, 0, 0],
        [6, 64, 0],
        [27, 0, 0],
        [1, 128, 3],
        [18, 96, 0],
        [2, 0, 4],
        [1, 64, 4],
    ]
    .into_iter()
    .enumerate()
    {
        for of_scratch in [false, true] {
            let mut life = company(settings, of_scratch);
            life.extend(crate::Numbers::new(at as u64).bytes(200));
            let kind = if of_scratch { "scratch" } else { "documented" };
            seeds.push((format!("{kind}-{at}"), life));
        }
    }
    seeds
}

#[cfg(test)]
mod tests {
    use crate::Numbers;

    #[test]
    fn random_lives_agree() {
        for seed in 0..10_000 {
            let mut numbers = Numbers::new(seed);
            let settings = [0; 3].map(|_| u8::try_from(numbers.below(256)).unwrap());
            let mut life = super::company(settings, numbers.below(2) == 0);
            let len = numbers.below(600);
            life.extend(numbers.bytes(len));
            super::hub(&life);
        }
    }
}
