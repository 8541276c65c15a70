//! The rooms of a server as one would write them first: every client keeps a list of all that it is
//! still to hear, however long, and whoever asks is looked for everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roomvars_proto::{
    Batch, ClientMessage, CodecConfig, Dialect, HubConfig, RateLimit, ServerMessage, Value,
};

/// What happens in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A variable has a new value.
    Set(String, Value),
    /// A variable has a new name.
    Rename(String, String),
    /// A variable is no more.
    Delete(String),
}

/// Every change in a message of a server.
///
/// # Panics
/// The hub wrote something else.
pub fn changes(text: &[u8], dialect: Dialect) -> Vec<Change> {
    let own = |text: std::borrow::Cow<'_, str>| text.into_owned();
    let config = CodecConfig::default().dialect(dialect);
    let changes =
        Batch::decode(text, &config).map(|message| match message.expect("is well-formed") {
            ServerMessage::Set { variable, value } => Change::Set(own(variable), value.to_owned()),
            ServerMessage::Rename { variable, new_name } => {
                Change::Rename(own(variable), own(new_name))
            }
            ServerMessage::Delete { variable } => Change::Delete(own(variable)),
            other => panic!("a hub never says {other:?}"),
        });
    changes.collect()
}

impl Change {
    /// Whether sets before and after it are not merged.
    pub fn is_barrier(&self) -> bool {
        !matches!(self, Self::Set(..))
    }

    /// What it is about.
    fn names(&self) -> impl Iterator<Item = &str> {
        let (name, new_name) = match self {
            Self::Set(name, _) | Self::Delete(name) => (name, None),
            Self::Rename(name, new_name) => (name, Some(new_name)),
        };
        core::iter::once(name).chain(new_name).map(String::as_str)
    }

    /// Bytes of it, in the longer spelling that a client of its room may have.
    fn len(&self, is_scratch: bool) -> usize {
        let dialect = if is_scratch { Dialect::Scratch } else { Dialect::Documented };
        let message = match self {
            Self::Set(variable, value) => {
                ServerMessage::Set { variable: variable.into(), value: value.as_ref() }
            }
            Self::Rename(variable, new_name) => {
                ServerMessage::Rename { variable: variable.into(), new_name: new_name.into() }
            }
            Self::Delete(variable) => ServerMessage::Delete { variable: variable.into() },
        };
        let mut text = Vec::new();
        message.encode(&CodecConfig::default().dialect(dialect), &mut text).expect("fits");
        text.len()
    }
}

/// What a client knows of its room, by what it has heard and done.
pub type Mirror = BTreeMap<String, Value>;

/// Makes the change where it can be made.
pub fn apply(mirror: &mut Mirror, change: &Change) {
    match change {
        Change::Set(variable, value) => drop(mirror.insert(variable.clone(), value.clone())),
        Change::Rename(variable, new_name) => {
            if !mirror.contains_key(new_name)
                && let Some(value) = mirror.remove(variable)
            {
                mirror.insert(new_name.clone(), value);
            }
        }
        Change::Delete(variable) => drop(mirror.remove(variable)),
    }
}

/// A room.
#[derive(Debug, Clone, Default)]
pub struct Room {
    /// Its variables.
    pub variables: Mirror,
    /// In the order in which they were set last.
    order: Vec<String>,
    /// Since when nobody is in it.
    empty: Option<Duration>,
}

/// In which room somebody is, as whom, and what is to be heard there.
#[derive(Debug, Clone)]
pub struct Member {
    /// Of the Scratch dialect or not, and its id.
    pub room: (bool, String),
    /// The client's name.
    pub username: String,
    /// Changes in the order of the room since all had been heard; true: its own.
    pub waiting: Vec<(Change, bool)>,
    /// There were too many for all of them to be heard.
    pub may_miss: bool,
    /// Names of what it has changed while something waited for it: then nothing on the wire says which
    /// was first.
    pub raced: BTreeSet<String>,
    /// What it knows.
    pub mirror: Mirror,
}

/// Where a connection stands.
#[derive(Debug, Clone)]
pub enum State {
    /// It has yet to say its handshake.
    Waiting(Duration),
    /// It is in a room.
    In(Member),
    /// It is over, with this code if the hub ended it.
    Over(Option<u16>),
}

/// A connection.
#[derive(Debug, Clone)]
pub struct Client {
    /// What it speaks.
    pub dialect: Dialect,
    /// Where it stands.
    pub state: State,
    /// What it may send yet, in nanoseconds.
    credit: Option<(Duration, Duration)>,
}

/// All rooms and clients, the latter by number.
#[derive(Debug, Clone)]
pub struct Hub {
    config: HubConfig,
    /// Messages a second, and at once.
    rate: Option<(u32, u32)>,
    /// The time since the start.
    pub now: Duration,
    /// The rooms.
    pub rooms: BTreeMap<(bool, String), Room>,
    /// The clients.
    pub clients: BTreeMap<u64, Client>,
}

/// Which code a client is closed with.
type Verdict = Result<(), u16>;

/// The settings of a rate limit, and the limit.
pub fn rate_limit((per_second, burst): (u32, u32)) -> RateLimit {
    RateLimit::per_second(per_second).burst(burst)
}

impl Hub {
    /// Without anybody.
    pub fn new(config: HubConfig, rate: Option<(u32, u32)>) -> Self {
        let (now, rooms, clients) = (Duration::ZERO, BTreeMap::new(), BTreeMap::new());
        Self { config, rate, now, rooms, clients }
    }

    /// Somebody connects, if there is room.
    pub fn connect(&mut self, number: u64, dialect: Dialect) -> bool {
        let is_room = self.clients.len() < self.config.max_connections;
        if is_room {
            let state = State::Waiting(self.now + self.config.handshake_timeout);
            self.clients.insert(number, Client { dialect, state, credit: None });
        }
        is_room
    }

    /// Time passes.
    pub fn sleep(&mut self, duration: Duration) {
        self.now += duration;
        for client in self.clients.values_mut() {
            if matches!(client.state, State::Waiting(due) if due <= self.now) {
                client.state = State::Over(Some(4000));
            }
        }
        let (now, ttl) = (self.now, self.config.empty_room_ttl);
        self.rooms.retain(|_, room| room.empty.is_none_or(|since| since + ttl > now));
    }

    /// A connection ends, with this code if it isn't the client who ends it.
    pub fn end(&mut self, number: u64, code: Option<u16>) {
        let now = self.now;
        let Some(client) = self.clients.get_mut(&number) else { return };
        let state = match client.state {
            State::Over(_) => return,
            _ => std::mem::replace(&mut client.state, State::Over(code)),
        };
        if let State::In(Member { room, .. }) = state
            && self.members(&room).next().is_none()
        {
            self.rooms.get_mut(&room).expect("is there").empty = Some(now);
        }
    }

    /// A connection is gone.
    pub fn disconnect(&mut self, number: u64) {
        self.end(number, None);
        self.clients.remove(&number);
    }

    /// Those in a room.
    pub fn members(&self, room: &(bool, String)) -> impl Iterator<Item = &Member> {
        self.clients.values().filter_map(move |client| match &client.state {
            State::In(member) if member.room == *room => Some(member),
            _ => None,
        })
    }

    /// A text comes.
    pub fn input(&mut self, number: u64, text: &[u8]) {
        if let Err(code) = self.message(number, text) {
            self.end(number, Some(code));
        }
    }

    fn message(&mut self, number: u64, text: &[u8]) -> Verdict {
        let (now, rate) = (self.now, self.rate);
        let Some(client) = self.clients.get_mut(&number) else { return Ok(()) };
        let (dialect, is_scratch) = (client.dialect, client.dialect == Dialect::Scratch);
        let is_waiting = match client.state {
            State::Over(_) => return Ok(()),
            State::Waiting(_) => true,
            State::In(_) => false,
        };
        if let Some((per_second, burst)) = rate {
            let one = Duration::from_nanos(1_000_000_000 / u64::from(per_second));
            let (since, left) = client.credit.unwrap_or((now, one * burst));
            let left = (left + now.saturating_sub(since)).min(one * burst);
            let Some(left) = left.checked_sub(one) else {
                return Err(if is_scratch { 4003 } else { 4004 });
            };
            client.credit = Some((now, left));
        }
        let codec = CodecConfig::default()
            .dialect(dialect)
            .max_client_message(self.config.max_client_message);
        let message = match ClientMessage::decode(text, &codec) {
            Ok(message) => message,
            Err(error) => {
                let of_value = error.to_string().starts_with("\"value\"");
                return if is_scratch && !is_waiting && of_value { Ok(()) } else { Err(4000) };
            }
        };
        match message {
            ClientMessage::Handshake { room, username, variables } if is_waiting => {
                let variables: Vec<_> = variables
                    .iter()
                    .map(|(name, value)| (name.into_owned(), value.into_owned()))
                    .collect();
                self.join(number, (is_scratch, room.as_str().to_owned()), &username, &variables)
            }
            _ if is_waiting => Err(4000),
            ClientMessage::Set { variable, value } | ClientMessage::Create { variable, value } => {
                self.set(number, &variable, value.to_owned())
            }
            ClientMessage::Rename { variable, new_name } => {
                if new_name.is_empty() || new_name.len() > self.config.limits.max_name {
                    return Err(4000);
                }
                let room = &self.rooms[&self.room_of(number)].variables;
                if room.contains_key(&*variable) && !room.contains_key(&*new_name) {
                    self.change(number, &Change::Rename(variable.into(), new_name.into()));
                }
                Ok(())
            }
            ClientMessage::Delete { variable } => {
                let room = &self.rooms[&self.room_of(number)].variables;
                if room.contains_key(&*variable) {
                    self.change(number, &Change::Delete(variable.into()));
                }
                Ok(())
            }
            _ => Err(4000),
        }
    }

    fn room_of(&self, number: u64) -> (bool, String) {
        match &self.clients[&number].state {
            State::In(member) => member.room.clone(),
            _ => unreachable!("it is in a room"),
        }
    }

    fn join(
        &mut self,
        number: u64,
        id: (bool, String),
        username: &str,
        variables: &[(String, String)],
    ) -> Verdict {
        let limits = self.config.limits;
        let is_between = |text: &str, max| !text.is_empty() && text.len() <= max;
        if !is_between(&id.1, limits.max_room_id) {
            return Err(4000);
        }
        if !is_between(username, limits.max_username) {
            return Err(4002);
        }
        let names: BTreeMap<_, _> = variables.iter().cloned().collect();
        let good = |(name, value): &(String, String)| {
            is_between(name, limits.max_name) && value.len() <= limits.max_value
        };
        if !variables.iter().all(good)
            || names.len() != variables.len()
            || names.len() > limits.max_variables
        {
            return Err(4000);
        }
        let mut waiting = Vec::new();
        if self.rooms.contains_key(&id) {
            if self.members(&id).count() >= self.config.max_room_clients.max(1) {
                return Err(4003);
            }
            let same = |member: &Member| member.username.eq_ignore_ascii_case(username);
            let room = &self.rooms[&id];
            if !id.0 {
                if self.members(&id).any(same) {
                    return Err(4002);
                }
                if !room.variables.keys().eq(names.keys()) {
                    return Err(4001);
                }
            }
            for name in &room.order {
                let change = Change::Set(name.clone(), room.variables[name].clone());
                waiting.push((change, false));
            }
        } else {
            if self.rooms.len() >= self.config.max_rooms {
                let since = |room: &Room| room.empty;
                let longest = self.rooms.iter().filter(|(_, room)| since(room).is_some());
                // Two that became empty at once may go in any order: the script lets time pass.
                let longest = longest.min_by_key(|(_, room)| since(room)).map(|(id, _)| id.clone());
                self.rooms.remove(&longest.ok_or(4003_u16)?);
            }
            let mut room = Room::default();
            for (name, value) in variables {
                room.variables.insert(name.clone(), Value::Text(value.as_str().into()));
            }
            room.order = room.variables.keys().cloned().collect();
            self.rooms.insert(id.clone(), room);
        }
        self.rooms.get_mut(&id).expect("is there").empty = None;
        let text =
            |(name, value): &(String, String)| (name.clone(), Value::Text(value.as_str().into()));
        let is_scratch = id.0;
        self.clients.get_mut(&number).expect("is there").state = State::In(Member {
            room: id,
            username: username.to_owned(),
            may_miss: bytes(&waiting, is_scratch) > self.config.max_untaken,
            waiting,
            raced: BTreeSet::new(),
            mirror: variables.iter().map(text).collect(),
        });
        Ok(())
    }

    fn set(&mut self, number: u64, variable: &str, value: Value) -> Verdict {
        let limits = self.config.limits;
        let id = self.room_of(number);
        let room = &self.rooms[&id];
        let is_new = !room.variables.contains_key(variable);
        if is_new && (!id.0 || variable.is_empty() || variable.len() > limits.max_name) {
            return Err(4000);
        }
        if value.as_str().len() > limits.max_value {
            return if id.0 { Ok(()) } else { Err(4000) };
        }
        if is_new && room.variables.len() >= limits.max_scratch_variables {
            return Err(4000);
        }
        self.change(number, &Change::Set(variable.to_owned(), value));
        Ok(())
    }

    fn change(&mut self, number: u64, change: &Change) {
        let id = self.room_of(number);
        let room = self.rooms.get_mut(&id).expect("is there");
        apply(&mut room.variables, change);
        match change {
            Change::Set(name, _) => {
                room.order.retain(|other| other != name);
                room.order.push(name.clone());
            }
            Change::Rename(old, new) => {
                room.order
                    .iter_mut()
                    .filter(|name| *name == old)
                    .for_each(|name| name.clone_from(new));
            }
            Change::Delete(name) => room.order.retain(|other| other != name),
        }
        for (other, client) in &mut self.clients {
            let State::In(member) = &mut client.state else { continue };
            if member.room != id {
                continue;
            }
            let (is_own, was_empty) = (*other == number, member.waiting.is_empty());
            if is_own {
                apply(&mut member.mirror, change);
                if !was_empty {
                    member.raced.extend(change.names().map(String::from));
                }
            }
            member.waiting.push((change.clone(), is_own));
            member.spread_races();
            if is_own && was_empty {
                member.waiting.clear();
            }
            member.may_miss |= bytes(&member.waiting, id.0) > self.config.max_untaken;
        }
    }
}

/// Bytes of all that waits, its own changes and line breaks included.
fn bytes(waiting: &[(Change, bool)], is_scratch: bool) -> usize {
    waiting.iter().map(|(change, _)| change.len(is_scratch) + 1).sum()
}

impl Member {
    /// It hears this; true: by the rules it may.
    pub fn hears(&mut self, change: &Change) -> bool {
        apply(&mut self.mirror, change);
        if !self.may_miss {
            while self.waiting.first().is_some_and(|(_, is_own)| *is_own) {
                self.waiting.remove(0);
            }
            let is_next = self.waiting.first().is_some_and(|(next, _)| next == change);
            if is_next {
                self.waiting.remove(0);
            }
            return is_next;
        }
        // Renames and deletes may have been replaced by what they come to.
        if self.waiting.iter().any(|(change, _)| change.is_barrier()) {
            return true;
        }
        let found = self.waiting.iter().position(|(later, _)| later == change);
        self.waiting.drain(..found.map_or(0, |at| at + 1));
        found.is_some()
    }

    /// What a raced name was given to, or taken from, is as uncertain.
    fn spread_races(&mut self) {
        let renames = || self.waiting.iter().filter(|(change, _)| change.is_barrier());
        loop {
            let before = self.raced.len();
            for (change, _) in renames() {
                if change.names().any(|name| self.raced.contains(name)) {
                    self.raced.extend(change.names().map(String::from));
                }
            }
            if self.raced.len() == before {
                break;
            }
        }
    }

    /// It has heard all that there was: it knows the room, but for what it has changed at the same time.
    ///
    /// # Panics
    /// It doesn't.
    pub fn is_through(&mut self, room: &Room) {
        self.waiting.clear();
        self.may_miss = false;
        let names = self.mirror.keys().chain(room.variables.keys());
        let differ: BTreeSet<_> = names
            .filter(|&name| self.mirror.get(name) != room.variables.get(name))
            .cloned()
            .collect();
        assert!(
            differ.is_subset(&self.raced),
            "{:?} but for {:?}, and the room has {:?}",
            self.mirror,
            self.raced,
            room.variables
        );
        self.raced = differ;
    }
}
