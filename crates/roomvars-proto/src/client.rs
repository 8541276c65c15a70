use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::time::Instant;

use bytes::Bytes;
use smallwire_core::clock::Clock;
use smallwire_core::{CloseFrame, End, Message, Session};

use crate::codec::check_len;
use crate::error::at;
use crate::rate::Bucket;
use crate::{
    Batch, ClientConfig, ClientEvent, ClientMessage, CloseCode, Dialect, JoinError, SendError,
    ServerMessage, SessionError, Value, ValueRef, Variables, Violation, ViolationKind,
};

/// What a message that waits to be sent counts beside its bytes.
const TRANSMIT_OVERHEAD: usize = 64;

/// A client's end of one connection, with a mirror of its room.
///
/// Made when the WebSocket stands; how it is driven is told at [`Session`]. It says its handshake by
/// itself, keeps the latest value of every variable, and reports what the others do as
/// [`ClientEvent`]s.
///
/// ```
/// use roomvars_proto::{Client, ClientConfig, ClientEvent, Message, Session, Value};
/// use std::{sync::Arc, time::Instant};
///
/// let (config, now) = (Arc::new(ClientConfig::default()), Instant::now());
/// let mut client = Client::new(config, "lobby", "ada", &[("x", "0"), ("y", "0")], now)?;
/// let handshake = r#"{"kind":"handshake","room":"lobby","username":"ada","variables":{"x":"0","y":"0"}}"#;
/// assert_eq!(client.poll_transmit(), Some(Message::text(handshake)));
///
/// // The room was there before: its values come, then what the others set.
/// let set = |name, value| format!(r#"{{"kind":"set","variable":"{name}","value":"{value}"}}"#);
/// client.handle_input(now, &Message::text([set("x", 1), set("y", 2)].join("\n")));
/// client.handle_input(now, &Message::text(set("x", 3)));
/// assert!(matches!(client.poll_event(), Some(ClientEvent::Snapshot { remaining: 1, .. })));
/// assert!(matches!(client.poll_event(), Some(ClientEvent::Snapshot { remaining: 0, .. })));
/// assert!(matches!(client.poll_event(), Some(ClientEvent::Set { .. })));
/// assert_eq!(client.get("x").map(Value::as_str), Some("3"));
///
/// client.set(now, "y", "10")?;
/// assert_eq!(client.poll_transmit(), Some(Message::text(set("y", 10))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Client {
    config: Arc<ClientConfig>,
    clock: Clock,
    variables: BTreeMap<Box<str>, Value>,
    snapshot: Snapshot,
    events: VecDeque<ClientEvent>,
    /// Bytes of text in the events.
    event_bytes: usize,
    /// Messages that aren't wholly decoded yet.
    inputs: VecDeque<Bytes>,
    /// How much of the first of them is.
    decoded: usize,
    /// What the session ends with when they are.
    last: Option<End<SessionError>>,
    out: VecDeque<Queued>,
    out_bytes: usize,
    bucket: Bucket,
    close: Option<CloseFrame>,
    ended: Option<End<SessionError>>,
}

/// Which sets are the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Snapshot {
    /// Nothing has come yet.
    Awaited,
    /// So many of the next ones.
    Coming(usize),
    Over,
}

/// A message that waits to be sent.
#[derive(Debug)]
struct Queued {
    text: Bytes,
    /// The variable that it sets, where a later set replaces it.
    sets: Option<Box<str>>,
    /// What it counts of `max_transmit_bytes`.
    cost: usize,
}

impl Client {
    /// Starts a session, whose first word is the handshake: which room to join or to create, as whom,
    /// and with which variables (none in the Scratch dialect, where a room's id may be an integer).
    ///
    /// # Errors
    /// A name or value has a length that the limits don't allow, a variable stands twice, or the
    /// dialect can't express it.
    pub fn new<'a>(
        config: Arc<ClientConfig>,
        room: impl Into<ValueRef<'a>>,
        username: &str,
        variables: &[(&str, &str)],
        now: Instant,
    ) -> Result<Self, JoinError> {
        let (room, limits) = (room.into(), &config.limits);
        let len = room.as_str().len();
        if len == 0 || len > limits.max_room_id {
            return Err(JoinError::RoomId(len));
        }
        if username.is_empty() || username.len() > limits.max_username {
            return Err(JoinError::UsernameLength(username.len()));
        }
        let mut mirror = BTreeMap::new();
        for (name, value) in variables {
            if name.is_empty() || name.len() > limits.max_name {
                return Err(JoinError::NameLength(name.len()));
            }
            if value.len() > limits.max_value {
                return Err(JoinError::ValueLength(value.len()));
            }
            if mirror.insert(Box::from(*name), Value::Text(Box::from(*value))).is_some() {
                return Err(JoinError::DuplicateVariable);
            }
        }
        if mirror.len() > limits.variables(config.codec.dialect) {
            return Err(JoinError::TooManyVariables);
        }
        let mut text = Vec::new();
        let variables = Variables::from(variables);
        ClientMessage::Handshake { room, username: username.into(), variables }
            .encode(&config.codec, &mut text)?;
        Ok(Self {
            config,
            clock: Clock::new(now),
            variables: mirror,
            snapshot: Snapshot::Awaited,
            events: VecDeque::new(),
            event_bytes: 0,
            inputs: VecDeque::new(),
            decoded: 0,
            last: None,
            out: VecDeque::from([Queued { text: text.into(), sets: None, cost: 0 }]),
            out_bytes: 0,
            bucket: Bucket::default(),
            close: None,
            ended: None,
        })
    }

    /// The latest value of a variable: the server's, or our own if that is later. Until the room has
    /// told its values, that of the handshake.
    pub fn get(&self, variable: &str) -> Option<&Value> {
        self.variables.get(variable)
    }

    /// The latest value of every variable, by name: what the next handshake begins with, after this
    /// session's end.
    pub fn variables(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.variables.iter().map(|(name, value)| (&**name, value))
    }

    /// Sets a variable, here and for the others in the room. In the Scratch dialect it comes into being
    /// by that.
    ///
    /// # Errors
    /// Nothing is sent: ended, too much waiting, no such variable, or a name or value that the limits
    /// or the dialect don't allow.
    pub fn set<'a>(
        &mut self,
        now: Instant,
        variable: &str,
        value: impl Into<ValueRef<'a>>,
    ) -> Result<(), SendError> {
        let value = value.into();
        self.clock.advance(now, true);
        self.check_open()?;
        let is_new = !self.variables.contains_key(variable);
        if is_new {
            self.check_new(variable)?;
        }
        if value.as_str().len() > self.config.limits.max_value {
            return Err(SendError::ValueLength(value.as_str().len()));
        }
        let message = ClientMessage::Set { variable: variable.into(), value: value.clone() };
        self.send(&message, self.config.merge_sets.then_some(variable))?;
        if let Some(kept) = self.variables.get_mut(variable) {
            *kept = value.to_owned();
        } else {
            self.variables.insert(variable.into(), value.to_owned());
        }
        Ok(())
    }

    /// Renames a variable, here and for the others in the room. In the Scratch dialect only (R3).
    ///
    /// # Errors
    /// Nothing is sent: ended, too much waiting, no such variable, a variable of the new name, or a
    /// name that the limits or the dialect don't allow.
    pub fn rename(
        &mut self,
        now: Instant,
        variable: &str,
        new_name: &str,
    ) -> Result<(), SendError> {
        self.clock.advance(now, true);
        self.check_open()?;
        if !self.variables.contains_key(variable) {
            return Err(SendError::UnknownVariable);
        }
        if self.variables.contains_key(new_name) {
            return Err(SendError::NameTaken);
        }
        if new_name.is_empty() || new_name.len() > self.config.limits.max_name {
            return Err(SendError::NameLength(new_name.len()));
        }
        let message =
            ClientMessage::Rename { variable: variable.into(), new_name: new_name.into() };
        self.send(&message, None)?;
        self.move_variable(variable, new_name);
        Ok(())
    }

    /// Deletes a variable, here and for the others in the room. In the Scratch dialect only (R3).
    ///
    /// # Errors
    /// Nothing is sent: ended, too much waiting, no such variable, or another dialect.
    pub fn delete(&mut self, now: Instant, variable: &str) -> Result<(), SendError> {
        self.clock.advance(now, true);
        self.check_open()?;
        if !self.variables.contains_key(variable) {
            return Err(SendError::UnknownVariable);
        }
        self.send(&ClientMessage::Delete { variable: variable.into() }, None)?;
        self.variables.remove(variable);
        Ok(())
    }

    /// Messages that wait to be sent: for the transport, or for `rate_limit`.
    pub fn queued(&self) -> usize {
        self.out.len()
    }

    /// Ends the session with close code 1000; what is queued is still to be sent, all at once.
    pub fn close(&mut self, now: Instant) {
        self.close_with(now, CloseFrame::new(CloseCode::NORMAL.0, ""));
    }

    /// Ends the session with a close frame of your choice; what is queued is still to be sent, all at
    /// once. Libraries send codes 1000–1003, 1007–1014 and 3000–4999 only.
    pub fn close_with(&mut self, now: Instant, frame: CloseFrame) {
        self.clock.advance(now, true);
        if self.check_open().is_ok() {
            self.inputs.clear();
            self.close = Some(frame);
            self.ended = Some(End::Clean);
        }
    }

    fn check_open(&self) -> Result<(), SendError> {
        if self.ended.is_some() || self.last.is_some() { Err(SendError::Ended) } else { Ok(()) }
    }

    /// Whether a variable of this name may come into being.
    fn check_new(&self, variable: &str) -> Result<(), SendError> {
        let (limits, dialect) = (&self.config.limits, self.config.codec.dialect);
        if dialect != Dialect::Scratch {
            Err(SendError::UnknownVariable)
        } else if variable.is_empty() || variable.len() > limits.max_name {
            Err(SendError::NameLength(variable.len()))
        } else if self.variables.len() >= limits.variables(dialect) {
            Err(SendError::TooManyVariables)
        } else {
            Ok(())
        }
    }

    /// Queues a message; a set in place of an older one, if it may be.
    fn send(&mut self, message: &ClientMessage<'_>, sets: Option<&str>) -> Result<(), SendError> {
        let mut text = Vec::new();
        message.encode(&self.config.codec, &mut text)?;
        // Not across a rename or delete.
        let mut mergeable = self.out.iter().rev().take_while(|queued| queued.sets.is_some());
        let back = sets.and_then(|_| mergeable.position(|queued| queued.sets.as_deref() == sets));
        let older = back.map(|back| self.out.len().saturating_sub(back).saturating_sub(1));
        let freed = older.and_then(|at| self.out.get(at)).map_or(0, |queued| queued.cost);
        let cost = text.len().saturating_add(TRANSMIT_OVERHEAD);
        let queued = Queued { text: text.into(), sets: sets.map(Box::from), cost };
        let bytes = self.out_bytes.saturating_sub(freed).saturating_add(cost);
        // One has room however long it is.
        if bytes > self.config.max_transmit_bytes && bytes > cost {
            return Err(SendError::QueueFull);
        }
        older.map(|at| self.out.remove(at));
        self.out_bytes = bytes;
        self.out.push_back(queued);
        Ok(())
    }

    fn move_variable(&mut self, variable: &str, new_name: &str) {
        if let Some(value) = self.variables.remove(variable) {
            self.variables.insert(new_name.into(), value);
        }
    }

    /// As many events wait as may: the application has fallen behind.
    fn is_behind(&self) -> bool {
        self.events.len() >= self.config.max_events.max(1)
            || (self.event_bytes >= self.config.max_event_bytes.max(1) && !self.events.is_empty())
    }

    /// Decodes what has come, until the application falls behind. A line at a time: so the work is
    /// the same however it takes its events.
    fn decode(&mut self) {
        while self.ended.is_none() && !self.is_behind() {
            let Some(input) = self.inputs.front().cloned() else {
                match self.last.take() {
                    Some(End::Error(SessionError::Violation(violation))) => self.fail(violation),
                    end => self.ended = end,
                }
                return;
            };
            if self.decoded == 0 {
                let limit = self.config.codec.max_server_message;
                if let Err(error) = check_len(input.len(), limit) {
                    return self.fail(error.into());
                }
                if self.snapshot == Snapshot::Awaited {
                    self.snapshot = self.look_for_snapshot(&input);
                }
            }
            let rest = input.get(self.decoded..).unwrap_or_default();
            let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = rest.get(..len).unwrap_or_default();
            match Batch::decode(line, &self.config.codec).next() {
                Some(Ok(message)) => self.handle_message(&message, line),
                Some(Err(error)) if error.is_ignored(self.config.codec.dialect) => {
                    self.ignore(line);
                }
                Some(Err(error)) => return self.fail(at(error, self.decoded).into()),
                None => {}
            }
            self.decoded = self.decoded.saturating_add(len).saturating_add(1);
            if self.decoded >= input.len() {
                self.inputs.pop_front();
                self.decoded = 0;
                if let Snapshot::Coming(_) = self.snapshot {
                    self.snapshot = Snapshot::Over;
                }
            }
        }
    }

    /// How many sets at the start of the first message are the snapshot.
    fn look_for_snapshot(&self, input: &[u8]) -> Snapshot {
        let (mut names, mut others) = (BTreeSet::new(), 0);
        for line in input.split(|byte| *byte == b'\n') {
            match Batch::decode(line, &self.config.codec).next() {
                Some(Ok(
                    ServerMessage::Set { variable, value }
                    | ServerMessage::Create { variable, value },
                )) => {
                    if names.contains(&variable) {
                        break;
                    }
                    if self.can_follow(&variable, &value, others) {
                        others = others
                            .saturating_add(usize::from(!self.variables.contains_key(&*variable)));
                        names.insert(variable);
                    }
                }
                // What isn't followed is ignored (R2).
                None | Some(Ok(ServerMessage::Unknown { .. })) => {}
                Some(Err(error)) if error.is_ignored(self.config.codec.dialect) => {}
                _ => break,
            }
        }
        let is_whole =
            self.config.codec.dialect == Dialect::Scratch || names.len() == self.variables.len();
        if is_whole && !names.is_empty() { Snapshot::Coming(names.len()) } else { Snapshot::Over }
    }

    /// Whether we have this variable, or can beside `others` that are new, and the value isn't too long.
    fn can_follow(&self, variable: &str, value: &ValueRef<'_>, others: usize) -> bool {
        let limits = &self.config.limits;
        value.as_str().len() <= limits.max_value
            && (self.variables.contains_key(variable)
                || self.check_new(variable).is_ok()
                    && self.variables.len().saturating_add(others)
                        < limits.variables(self.config.codec.dialect))
    }

    fn handle_message(&mut self, message: &ServerMessage<'_>, line: &[u8]) {
        let event = match message {
            ServerMessage::Set { variable, value } | ServerMessage::Create { variable, value } => {
                self.handle_set(variable, value)
            }
            ServerMessage::Rename { variable, new_name } => self.handle_rename(variable, new_name),
            ServerMessage::Delete { variable } => self
                .variables
                .remove(&**variable)
                .map(|_| ClientEvent::Deleted { variable: Box::from(&**variable) }),
            ServerMessage::Unknown { .. } => None,
        };
        match event {
            Some(event) => self.push_event(event),
            None => self.ignore(line),
        }
    }

    fn ignore(&mut self, line: &[u8]) {
        let raw = String::from_utf8_lossy(line.trim_ascii()).into();
        self.push_event(ClientEvent::Ignored { raw });
    }

    fn push_event(&mut self, event: ClientEvent) {
        self.event_bytes = self.event_bytes.saturating_add(event.len());
        self.events.push_back(event);
    }

    fn handle_set(&mut self, variable: &str, value: &ValueRef<'_>) -> Option<ClientEvent> {
        let value = self.can_follow(variable, value, 0).then(|| value.to_owned())?;
        if let Some(kept) = self.variables.get_mut(variable) {
            *kept = value.clone();
        } else {
            self.variables.insert(variable.into(), value.clone());
        }
        let variable = variable.into();
        Some(match self.snapshot {
            Snapshot::Coming(left) if left > 0 => {
                let remaining = left.saturating_sub(1);
                self.snapshot = Snapshot::Coming(remaining);
                ClientEvent::Snapshot { variable, value, remaining }
            }
            _ => ClientEvent::Set { variable, value },
        })
    }

    fn handle_rename(&mut self, variable: &str, new_name: &str) -> Option<ClientEvent> {
        let is_good = self.variables.contains_key(variable)
            && !self.variables.contains_key(new_name)
            && !new_name.is_empty()
            && new_name.len() <= self.config.limits.max_name;
        is_good.then(|| {
            self.move_variable(variable, new_name);
            ClientEvent::Renamed { variable: variable.into(), new_name: new_name.into() }
        })
    }

    /// The server has violated the protocol.
    fn fail(&mut self, violation: Violation) {
        self.inputs = VecDeque::new();
        // Unless it is gone already.
        let is_ours = |end: &End<_>| matches!(end, End::Error(SessionError::Violation(_)));
        if self.last.take().as_ref().is_none_or(is_ours) {
            let code = violation.kind.code_for_server();
            self.close = Some(CloseFrame::new(code.0, violation.to_string()));
        }
        self.ended = Some(End::Error(SessionError::Violation(violation)));
    }

    /// The server has closed, or is gone: nothing more is sent.
    fn end_by_peer(&mut self, end: End<SessionError>) {
        if self.check_open().is_ok() {
            self.out = VecDeque::new();
            self.out_bytes = 0;
            self.last = Some(end);
            self.decode();
        }
    }
}

impl Session for Client {
    type Input = Message;
    type Transmit = Message;
    type Event = ClientEvent;
    type Error = SessionError;

    /// False after the end, and while events wait to be taken and no more may.
    fn wants_input(&self) -> bool {
        self.check_open().is_ok() && self.inputs.is_empty() && !self.is_behind()
    }

    fn handle_input(&mut self, now: Instant, input: &Message) {
        self.clock.advance(now, true);
        if self.check_open().is_err() {
            return;
        }
        match input {
            Message::Text(text) => {
                self.inputs.push_back(text.clone());
                self.decode();
            }
            Message::Binary(_) => {
                let violation = ViolationKind::UnexpectedBinary.into();
                self.last = Some(End::Error(SessionError::Violation(violation)));
                self.decode();
            }
            Message::Close(frame) => self.end_by_peer(end_of(frame.as_ref())),
        }
    }

    fn handle_eof(&mut self, now: Instant) {
        self.clock.advance(now, true);
        self.end_by_peer(End::Error(SessionError::ConnectionLost));
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.clock.advance(now, true);
    }

    fn poll_transmit(&mut self) -> Option<Message> {
        let Some(queued) = self.out.front() else {
            return self.close.take().map(|frame| Message::Close(Some(frame)));
        };
        let (limit, time) = (self.config.rate_limit, self.clock.time());
        // Who leaves doesn't come near a limit any more.
        if self.ended.is_none() && limit.is_some_and(|limit| !self.bucket.take(limit, time)) {
            return None;
        }
        self.out_bytes = self.out_bytes.saturating_sub(queued.cost);
        let queued = self.out.pop_front()?;
        if self.out.is_empty() {
            self.out = VecDeque::new();
        }
        Some(Message::Text(queued.text))
    }

    fn poll_event(&mut self) -> Option<ClientEvent> {
        let event = self.events.pop_front();
        if let Some(event) = &event {
            self.event_bytes = self.event_bytes.saturating_sub(event.len());
            self.decode();
        }
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        event
    }

    /// When the next message may be sent, if it is `rate_limit` that it waits for.
    fn poll_timeout(&self) -> Option<Instant> {
        let limit = self.config.rate_limit.filter(|_| self.check_open().is_ok())?;
        self.out.front()?;
        let due = self.bucket.due(limit);
        if due > self.clock.time() { self.clock.instant(due) } else { None }
    }

    fn ended(&self) -> Option<&End<SessionError>> {
        self.ended.as_ref()
    }
}

/// What a close frame of the server means.
fn end_of(frame: Option<&CloseFrame>) -> End<SessionError> {
    match frame {
        None => End::Clean,
        Some(frame) => match CloseCode(frame.code()) {
            CloseCode::NORMAL | CloseCode::GOING_AWAY => End::Clean,
            code => End::Error(SessionError::Closed { code, reason: frame.reason().into() }),
        },
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("variables", &self.variables.len())
            .field("events", &self.events.len())
            .field("queued", &self.out.len())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
