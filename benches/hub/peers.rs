//! What is compared: the hub, and rooms as one would write them first.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use roomvars_proto::{ConnId, Dialect, Message};
use serde::{Deserialize, Serialize};
use smallwire_benches::Crowd;

/// A variable and its value.
pub(crate) type Set = (String, String);

/// What the sender says, again and again.
pub(crate) fn sets() -> Vec<Set> {
    let names = ["turn", "☁ score", "player 1 x", "player 1 y", "☁ high scores"];
    let values = ["7", "-118.5", "41891.25", "1990", "0234837290963675442001000234", "12"];
    let set =
        |at: usize| (names[at % names.len()].to_owned(), values[at % values.len()].to_owned());
    (0..10).map(set).collect()
}

/// A server of one room with one client that sets and others that hear it.
pub(crate) trait Server {
    /// A receiver.
    type Who: Eq + Hash;
    /// What is sent.
    type Message;

    /// A set arrives.
    fn handle_input(&mut self, set: &Message);

    /// What was collected is to be sent.
    fn flush(&mut self);

    /// All receivers take everything.
    fn take_all(&mut self, look: impl FnMut(Self::Who, &Self::Message));

    fn text(message: &Self::Message) -> &str;
}

/// All sets, each taken at once by all, or all of them together.
#[inline]
pub(crate) fn round<S: Server>(
    server: &mut S,
    sets: &[Message],
    is_collecting: bool,
    mut look: impl FnMut(S::Who, &S::Message),
) {
    for set in sets {
        server.handle_input(set);
        if !is_collecting {
            server.take_all(&mut look);
        }
    }
    if is_collecting {
        server.flush();
        server.take_all(look);
    }
}

/// Ours.
impl Server for Crowd {
    type Who = ConnId;
    type Message = Message;

    #[inline]
    fn handle_input(&mut self, set: &Message) {
        self.handle_input(set);
    }

    #[inline]
    fn flush(&mut self) {
        self.flush();
    }

    #[inline]
    fn take_all(&mut self, look: impl FnMut(ConnId, &Message)) {
        self.take_all(look);
    }

    fn text(message: &Message) -> &str {
        let Message::Text(text) = message else { unreachable!() };
        str::from_utf8(text).unwrap()
    }
}

/// A set, to serde.
#[derive(Serialize, Deserialize)]
struct Documented<'a, T> {
    kind: &'a str,
    variable: T,
    value: T,
}

/// The same in the other dialect.
#[derive(Serialize)]
struct Deployed<'a> {
    kind: &'a str,
    var: &'a str,
    value: &'a str,
}

/// What one writes with serde and the standard library: values by name, and a queue for each client.
pub(crate) struct Queues<T> {
    values: HashMap<String, String>,
    receivers: Vec<(Dialect, VecDeque<T>)>,
    is_collecting: bool,
    collected: Vec<Set>,
}

impl<T> Queues<T> {
    pub(crate) fn new(sets: &[Set], receivers: &[Dialect], is_collecting: bool) -> Self {
        Self {
            values: sets.iter().cloned().collect(),
            receivers: receivers.iter().map(|dialect| (*dialect, VecDeque::new())).collect(),
            is_collecting,
            collected: Vec::new(),
        }
    }

    fn set(&mut self, set: &Message) {
        let set: Documented<'_, String> = serde_json::from_str(Crowd::text(set)).unwrap();
        assert_eq!(set.kind, "set");
        self.values.get_mut(&set.variable).unwrap().clone_from(&set.value);
        self.collected.push((set.variable, set.value));
    }
}

/// What says the sets in one message.
pub(crate) fn batch(dialect: Dialect, sets: &[Set]) -> String {
    let line = |(variable, value): &Set| {
        let (kind, variable, value) = ("set", &**variable, &**value);
        match dialect {
            Dialect::Documented => serde_json::to_string(&Documented { kind, variable, value }),
            _ => serde_json::to_string(&Deployed { kind, var: variable, value }),
        }
        .unwrap()
    };
    match sets {
        [set] => line(set),
        sets => sets.iter().map(line).collect::<Vec<_>>().join("\n"),
    }
}

/// What is made of a batch for each who is to hear it.
pub(crate) trait Made: Clone {
    /// Whether it is made once for each dialect, and copied.
    const ONCE: bool;

    fn of(batch: String) -> Self;

    fn text(&self) -> &str;
}

/// As one writes it first: made for each.
#[derive(Clone)]
pub(crate) struct Naive(String);

impl Made for Naive {
    const ONCE: bool = false;

    fn of(batch: String) -> Self {
        Self(batch)
    }

    fn text(&self) -> &str {
        &self.0
    }
}

/// As one writes it next: made once, and copied for each.
impl Made for String {
    const ONCE: bool = true;

    fn of(batch: String) -> Self {
        batch
    }

    fn text(&self) -> &str {
        self
    }
}

/// As one writes it last: made once, and shared.
impl Made for Arc<str> {
    const ONCE: bool = true;

    fn of(batch: String) -> Self {
        batch.into()
    }

    fn text(&self) -> &str {
        self
    }
}

impl<T: Made> Server for Queues<T> {
    type Who = usize;
    type Message = T;

    fn handle_input(&mut self, set: &Message) {
        self.set(set);
        if !self.is_collecting {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let (mut documented, mut deployed) = (None::<T>, None);
        for (dialect, queue) in &mut self.receivers {
            let made = match dialect {
                Dialect::Documented => &mut documented,
                _ => &mut deployed,
            };
            let message = made.clone().unwrap_or_else(|| T::of(batch(*dialect, &self.collected)));
            if T::ONCE && made.is_none() {
                *made = Some(message.clone());
            }
            queue.push_back(message);
        }
        self.collected.clear();
    }

    fn take_all(&mut self, mut look: impl FnMut(usize, &T)) {
        for (who, (_, queue)) in self.receivers.iter_mut().enumerate() {
            while let Some(message) = queue.pop_front() {
                look(who, &message);
            }
        }
    }

    fn text(message: &T) -> &str {
        message.text()
    }
}
