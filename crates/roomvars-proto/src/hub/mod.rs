mod connection;
mod member;
mod policy;
mod room;
mod rooms;

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::time::Instant;

use bytes::Bytes;
use smallwire_core::clock::{Clock, NEVER, Time};
use smallwire_core::{CloseFrame, End, Message};

pub use connection::ConnId;
pub use policy::{AcceptAll, Author, Policy};

use connection::{Connection, Ended, Slot, State};
use member::Member;
use room::{Entry, Room, SPELLINGS, Variable, spelling};
use rooms::Rooms;

use crate::codec::is_number;
use crate::rate::Bucket;
use crate::{
    ApplyError, ClientMessage, CloseCode, CodecConfig, ConnectionError, Dialect, Full, HubConfig,
    Limits, ServerMessage, ValueRef, Variables, Violation, ViolationKind,
};

/// What a hub tells its application of a connection; the rest it can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HubEvent {
    /// The client has joined a room; [`Hub::connection`] tells which, and as whom, as long as it is there.
    Joined,
    /// The connection is over but for what [`Hub::poll_transmit`] still has of it; [`Hub::ended`] tells why.
    /// Where it was, and as whom, the hub no longer knows: keep it since [`Joined`](Self::Joined), if you need it.
    /// Comes once, unless you [`disconnect`](Hub::disconnect) it yourself.
    Ended,
}

/// A connection, for whoever watches a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo<'a> {
    /// Its handle.
    pub id: ConnId,
    /// What it speaks.
    pub dialect: Dialect,
    /// The id of the room it is in; `None` before its handshake and after its end.
    pub room: Option<&'a str>,
    /// Its name there; `None` as `room` is.
    pub username: Option<&'a str>,
    /// Bytes of text that wait for it, without the line breaks between sets. An upper estimate while it is to be told
    /// of names that are gone, in place of too many renames.
    pub pending_bytes: usize,
    /// Whether it has fallen so far behind that sets are merged for it (step 6).
    pub is_merging: bool,
}

/// A room, for whoever watches a hub.
#[derive(Clone, Copy)]
pub struct RoomInfo<'a>(&'a Room);

impl<'a> RoomInfo<'a> {
    /// Its id.
    pub fn id(&self) -> &'a str {
        &self.0.id
    }

    /// Whether it is one of those of the Scratch dialect, which are apart from the others.
    pub fn is_scratch(&self) -> bool {
        self.0.is_scratch
    }

    /// How many clients are in it.
    pub fn clients(&self) -> usize {
        self.0.members.len()
    }

    /// Its variables and their values, by name.
    pub fn variables(&self) -> impl ExactSizeIterator<Item = (&'a str, ValueRef<'a>)> + use<'a> {
        self.0.variables.iter().map(|(name, variable)| (&**name, variable.value()))
    }
}

/// Shows how much there is; values can be long, and somebody's.
impl fmt::Debug for RoomInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomInfo")
            .field("id", &self.id())
            .field("is_scratch", &self.is_scratch())
            .field("clients", &self.clients())
            .field("variables", &self.variables().len())
            .finish()
    }
}

/// The rooms of a server, with all connections in them, as one state machine that does no I/O.
///
/// The embedder owns the sockets and the clock. For each WebSocket it asks for a handle with
/// [`connect`](Self::connect), hands in what arrives with [`handle_input`](Self::handle_input), and
/// gives the handle back with [`disconnect`](Self::disconnect) when the socket is gone.
///
/// # The contract
///
/// After *any* call that takes `&mut self`, connections may have something to be sent and to tell.
///
/// - [`poll_ready`](Self::poll_ready) gives each connection that has something to be sent, in turn. It
///   is yours until [`poll_transmit`](Self::poll_transmit) of it has given all that waits. It may be
///   given again before that gives `None`: when more has come behind the last message, or when the
///   hub has ended the connection meanwhile.
/// - Call [`poll_transmit`](Self::poll_transmit) only when the socket can take more: so the hub sees
///   who is slow, and merges what waits for it (step 6). A connection that is slow delays no other.
/// - [`poll_event`](Self::poll_event) tells who joined and who ended, in the order of the connections'
///   first news. Ask after each call, not after several: what came next may have ended who joined, and
///   [`connection`](Self::connection) no longer tells where it was.
/// - Then sleep until [`poll_timeout`](Self::poll_timeout), and call
///   [`handle_timeout`](Self::handle_timeout); early or for no reason does no harm. If you are late, hand in
///   first what has arrived meanwhile.
///
/// A connection that the hub ends ([`HubEvent::Ended`], [`ended`](Self::ended)) is no member any more.
/// What is left of it is a close frame, which [`poll_transmit`](Self::poll_transmit) gives; send it and
/// close the socket, then `disconnect`. Handles of connections that are gone do nothing anywhere.
///
/// A hub takes input at any time: nothing that it keeps grows by it beyond the limits, and who sends too much
/// is for `rate_limit`. It has no sign of life of its own: a client that is gone without a word keeps its
/// place and its name until you call `disconnect`, so send WebSocket pings, and give up connections that don't
/// answer. To shut down, [`kick`](Self::kick) all [`connections`](Self::connections) with
/// [`CloseCode::GOING_AWAY`], and go on until they are gone.
///
/// The application has no client's place, but may set variables as well, by [`apply`](Self::apply).
///
/// ```
/// use roomvars_proto::{CloseCode, Dialect, Hub, HubConfig, HubEvent, Message};
/// use std::{sync::Arc, time::Instant};
///
/// let now = Instant::now();
/// let mut hub = Hub::new(Arc::new(HubConfig::default()), now);
/// let ada = hub.connect(now, Dialect::Documented)?;
/// let grace = hub.connect(now, Dialect::Documented)?;
/// for (conn, name) in [(ada, "ada"), (grace, "grace")] {
///     let handshake = format!(
///         r#"{{"kind":"handshake","room":"lobby","username":"{name}","variables":{{"x":"0"}}}}"#
///     );
///     hub.handle_input(now, conn, &Message::text(handshake));
///     assert_eq!(hub.poll_event(), Some((conn, HubEvent::Joined)));
/// }
/// // Who joins a room that is there is told its values.
/// let set = |value| Message::text(format!(r#"{{"kind":"set","variable":"x","value":"{value}"}}"#));
/// assert_eq!(hub.poll_ready(), Some(grace));
/// assert_eq!(hub.poll_transmit(grace), Some(set(0)));
///
/// hub.handle_input(now, grace, &set(1));
/// assert_eq!(hub.poll_ready(), Some(ada));
/// assert_eq!(hub.poll_transmit(ada), Some(set(1)));
/// assert_eq!(hub.poll_transmit(ada), None);
///
/// hub.kick(now, ada, CloseCode::TRY_AGAIN_LATER);
/// assert!(matches!(hub.poll_transmit(ada), Some(Message::Close(_))));
/// hub.disconnect(now, ada);
/// # Ok::<(), roomvars_proto::Full>(())
/// ```
pub struct Hub<P = AcceptAll> {
    config: Arc<HubConfig>,
    policy: P,
    clock: Clock,
    slots: Vec<Slot>,
    free: Vec<u32>,
    rooms: Rooms,
    /// Slots that had something to be sent when they came here.
    ready: VecDeque<u32>,
    /// Slots that had something to tell when they came here.
    events: VecDeque<u32>,
    /// When the handshakes are due.
    handshakes: BTreeSet<(Time, u32)>,
    /// Numbers of rooms in which something is collected, and when it is sent.
    unflushed: BTreeSet<u32>,
    flush: Time,
}

/// What a client has to be told before it is closed.
type Verdict = Result<(), ConnectionError>;

fn violation(kind: ViolationKind) -> ConnectionError {
    ConnectionError::Violation(kind.into())
}

fn check_name(limits: &Limits, name: &str) -> Result<(), ViolationKind> {
    if name.is_empty() || name.len() > limits.max_name {
        return Err(ViolationKind::NameLength(name.len()));
    }
    Ok(())
}

fn check_value(limits: &Limits, value: &ValueRef<'_>) -> Result<(), ViolationKind> {
    let len = value.as_str().len();
    if len > limits.max_value { Err(ViolationKind::ValueLength(len)) } else { Ok(()) }
}

impl Hub {
    /// A hub that finds everything acceptable.
    pub fn new(config: Arc<HubConfig>, now: Instant) -> Self {
        Self::with_policy(config, AcceptAll, now)
    }
}

impl<P: Policy> Hub<P> {
    /// A hub whose application says what is acceptable.
    pub fn with_policy(config: Arc<HubConfig>, policy: P, now: Instant) -> Self {
        Self {
            config,
            policy,
            clock: Clock::new(now),
            slots: Vec::new(),
            free: Vec::new(),
            rooms: Rooms::default(),
            ready: VecDeque::new(),
            events: VecDeque::new(),
            handshakes: BTreeSet::new(),
            unflushed: BTreeSet::new(),
            flush: NEVER,
        }
    }

    /// The application's policy.
    pub fn policy_mut(&mut self) -> &mut P {
        &mut self.policy
    }

    /// A WebSocket stands, whose client speaks this dialect. Its handshake is awaited (step 1).
    ///
    /// # Errors
    /// There are `max_connections` already. Close the WebSocket with [`CloseCode::OVERLOADED`].
    pub fn connect(&mut self, now: Instant, dialect: Dialect) -> Result<ConnId, Full> {
        self.clock.advance(now, true);
        let in_use = self.slots.len().saturating_sub(self.free.len());
        if in_use >= self.config.max_connections.min(u32::MAX as usize) {
            return Err(Full);
        }
        let deadline = self.clock.after(self.config.handshake_timeout);
        let connection = Connection {
            dialect,
            is_ready: false,
            tells_joined: false,
            tells_ended: false,
            bucket: Bucket::default(),
            state: State::Waiting { deadline },
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len()).unwrap_or(u32::MAX).saturating_sub(1)
        });
        let place = self.slots.get_mut(slot as usize).ok_or(Full)?;
        place.connection = Some(connection);
        self.handshakes.insert((deadline, slot));
        Ok(place.id(slot))
    }

    /// The WebSocket is gone, with or without a close frame; a client that was still in a room leaves
    /// it (step 4). The handle is given back, and events of the connection that weren't taken are gone.
    pub fn disconnect(&mut self, now: Instant, id: ConnId) {
        self.clock.advance(now, true);
        if self.get(id).is_none() {
            return;
        }
        self.leave(id);
        if let Some(slot) = self.slots.get_mut(id.slot as usize) {
            slot.connection = None;
            // After so many uses the place isn't used again, so that no handle comes twice.
            if let Some(generation) = slot.generation.checked_add(1) {
                slot.generation = generation;
                self.free.push(id.slot);
            }
        }
    }

    /// Takes a message or close frame that arrived.
    pub fn handle_input(&mut self, now: Instant, id: ConnId, input: &Message) {
        self.clock.advance(now, true);
        let Some(connection) = self.get(id) else { return };
        if matches!(connection.state, State::Ended(_)) {
            return;
        }
        let verdict = match input {
            Message::Text(text) => self.handle_text(id, text),
            Message::Binary(_) => Err(violation(ViolationKind::UnexpectedBinary)),
            Message::Close(frame) => {
                let end = match frame {
                    None => End::Clean,
                    Some(frame) => match CloseCode(frame.code()) {
                        CloseCode::NORMAL | CloseCode::GOING_AWAY => End::Clean,
                        code => {
                            let reason = frame.reason().into();
                            End::Error(ConnectionError::Closed { code, reason })
                        }
                    },
                };
                self.end(id, end, None);
                Ok(())
            }
        };
        if let Err(error) = verdict {
            self.close(id, error);
        }
    }

    /// Takes what arrived as [`handle_input`](Self::handle_input) does, but for a hub whose rooms others
    /// share, and the order of changes is fixed elsewhere (`SPEC.md`, "a hub that isn't alone"): what a
    /// client wants is looked at, and given back in place of being done.
    ///
    /// A handshake is given when its lengths and the [`Policy`] allow it; a room that isn't here is taken
    /// for one that it creates. See that the room is there, by
    /// [`restore`](Self::restore) if it is elsewhere, and hand the same message to `handle_input`. A set,
    /// create, rename or delete is given when it may be made, as far as that doesn't depend on what others
    /// do meanwhile. Where the order is fixed it is decided whether it counts; if so,
    /// [`apply`](Self::apply) it when its turn comes, as all other hubs do. Nothing is kept of it here.
    /// The policy is asked by `propose`, and for a handshake by `handle_input` again.
    ///
    /// `None`: there is nothing to do; the client may have been closed.
    pub fn propose<'a>(
        &mut self,
        now: Instant,
        id: ConnId,
        input: &'a Message,
    ) -> Option<ClientMessage<'a>> {
        let Message::Text(text) = input else {
            self.handle_input(now, id, input);
            return None;
        };
        self.clock.advance(now, true);
        if self.get(id).is_none_or(|connection| matches!(connection.state, State::Ended(_))) {
            return None;
        }
        let proposed = self.read(id, text, true).and_then(|message| match message {
            Some((dialect, message)) => Ok(self.may_be(id, dialect, &message)?.then_some(message)),
            None => Ok(None),
        });
        proposed.unwrap_or_else(|error| {
            self.close(id, error);
            None
        })
    }

    /// Makes a change whose turn has come in an order that was fixed elsewhere: of a client of this hub
    /// that [proposed](Self::propose) it, which is then not told, or of somebody else. No policy is asked.
    /// The change is a set, create, rename or delete.
    ///
    /// In a hub that is alone, its application changes variables by it, with nobody as their author:
    ///
    /// ```
    /// # use roomvars_proto::{ApplyError, Hub, HubConfig, ServerMessage};
    /// # use std::{sync::Arc, time::Instant};
    /// # let now = Instant::now();
    /// # let mut hub = Hub::new(Arc::new(HubConfig::default()), now);
    /// # hub.restore(now, false, "lobby", &[("news", "".into())])?;
    /// let news = ServerMessage::Set { variable: "news".into(), value: "closing at ten".into() };
    /// hub.apply(now, false, "lobby", None, &news)?;
    /// # assert_eq!(hub.room(false, "lobby").unwrap().variables().next().unwrap().1.as_str(), "closing at ten");
    /// # Ok::<(), ApplyError>(())
    /// ```
    ///
    /// # Errors
    /// It can't be made here: the room isn't there, or isn't what it is elsewhere, the room's dialect has no
    /// such thing, or the limits differ. Nothing has changed.
    pub fn apply(
        &mut self,
        now: Instant,
        is_scratch: bool,
        room: &str,
        by: Option<ConnId>,
        change: &ServerMessage<'_>,
    ) -> Result<(), ApplyError> {
        self.clock.advance(now, true);
        let number = self.rooms.find(is_scratch, room).ok_or(ApplyError::UnknownRoom)?;
        // Who has left needs no leaving out, and another may have its place.
        let is_there = |id: &ConnId| {
            self.get(*id).is_some_and(
                |one| matches!(&one.state, State::Member(member) if member.room == number),
            )
        };
        let by = by.filter(is_there).unwrap_or(ConnId::NOBODY);
        match change {
            ServerMessage::Set { variable, value } | ServerMessage::Create { variable, value } => {
                self.apply_set(number, by, variable, value)
            }
            ServerMessage::Rename { variable, new_name } if is_scratch => {
                self.rename(number, by, variable, Some(new_name))
            }
            ServerMessage::Delete { variable } if is_scratch => {
                self.rename(number, by, variable, None)
            }
            _ => Err(ApplyError::NotInDialect),
        }
    }

    /// Puts a room here that is kept elsewhere, with its variables in the order in which they were set
    /// last, for the clients that come next; until then it is an empty room as others are (step 4). One of
    /// that name without clients is replaced.
    ///
    /// # Errors
    /// There are clients in it, a variable stands twice or has a value that the dialect has not, or it is more
    /// than the limits allow. Nothing has changed, but an empty room may have made room for it.
    pub fn restore(
        &mut self,
        now: Instant,
        is_scratch: bool,
        id: &str,
        variables: &[(&str, ValueRef<'_>)],
    ) -> Result<(), ApplyError> {
        self.clock.advance(now, true);
        let limits = &self.config.limits;
        if id.is_empty() || id.len() > limits.max_room_id {
            return Err(ViolationKind::RoomId(id.len()).into());
        }
        let most = if is_scratch { limits.max_scratch_variables } else { limits.max_variables };
        if variables.len() > most {
            return Err(ViolationKind::TooManyVariables.into());
        }
        let mut room = Room::new(id, is_scratch);
        for (name, value) in variables {
            check_name(limits, name)?;
            check_value(limits, value)?;
            check_type(is_scratch, value)?;
            let variable = Variable::new(value, room.next, ConnId::NOBODY);
            if room.variables.insert(Box::from(*name), variable).is_some() {
                return Err(ViolationKind::DuplicateVariable.into());
            }
            room.next = room.next.saturating_add(1);
        }
        if let Some(number) = self.rooms.find(is_scratch, id) {
            let is_empty = self.rooms.get(number).is_some_and(|room| room.members.is_empty());
            if !is_empty {
                return Err(ApplyError::RoomInUse);
            }
            self.rooms.remove_empty(number);
        } else if self.rooms.len() >= self.config.max_rooms && !self.rooms.remove_longest_empty() {
            return Err(ViolationKind::TooManyRooms.into());
        }
        let number = self.rooms.insert(room);
        self.leave_empty(number);
        Ok(())
    }

    /// Takes note that the connection was lost: it ended without a close frame. It need not be told if
    /// [`disconnect`](Self::disconnect) comes next, but without it, and a [`poll_event`](Self::poll_event) between
    /// the two, no [`HubEvent::Ended`] tells of the loss.
    pub fn handle_eof(&mut self, now: Instant, id: ConnId) {
        self.clock.advance(now, true);
        self.end(id, End::Error(ConnectionError::ConnectionLost), None);
    }

    /// Closes a connection with a code of your choice (step 7); see [`Dialect::kick_code`]. Libraries send codes
    /// 1000–1003, 1007–1014 and 3000–4999 only. One that has ended already isn't told.
    pub fn kick(&mut self, now: Instant, id: ConnId, code: CloseCode) {
        self.clock.advance(now, true);
        self.close(id, ConnectionError::Kicked(code));
    }

    /// Does what has fallen due by `now`: closes connections without a handshake, forgets empty
    /// rooms, sends what was collected.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.clock.advance(now, true);
        let time = self.clock.time();
        while let Some((_, slot)) = self.handshakes.first().filter(|(due, _)| *due <= time) {
            let slot = *slot;
            let Some(id) = self.slots.get(slot as usize).map(|place| place.id(slot)) else { break };
            self.close(id, ConnectionError::HandshakeTimeout);
        }
        while self.rooms.next_expiry().is_some_and(|due| due <= time) {
            self.rooms.remove_longest_empty();
        }
        if self.flush <= time {
            self.flush = NEVER;
            for number in core::mem::take(&mut self.unflushed) {
                if let Some(room) = self.rooms.get_mut(number) {
                    room.is_unflushed = false;
                }
                self.flush_room(number);
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; `None`: not until something
    /// else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let handshake = self.handshakes.first().map_or(NEVER, |(due, _)| *due);
        let expiry = self.rooms.next_expiry().unwrap_or(NEVER);
        self.clock.instant(handshake.min(expiry).min(self.flush))
    }

    /// The next connection that has something to be sent.
    #[inline]
    pub fn poll_ready(&mut self) -> Option<ConnId> {
        while let Some(number) = self.ready.pop_front() {
            let Some(slot) = self.slots.get_mut(number as usize) else { continue };
            slot.in_ready = false;
            if slot.connection.as_ref().is_some_and(|connection| connection.is_ready) {
                return Some(slot.id(number));
            }
        }
        if self.ready.capacity() / 4 > self.slots.len().max(256) {
            self.ready = VecDeque::new();
        }
        None
    }

    /// What is to be sent to a connection next. Ask only when its socket can take more.
    #[inline]
    pub fn poll_transmit(&mut self, id: ConnId) -> Option<Message> {
        let Self { slots, rooms, config, .. } = self;
        let slot = slots.get_mut(id.slot as usize)?;
        let connection = slot.connection.as_mut().filter(|_| slot.generation == id.generation)?;
        if !connection.is_ready {
            return None;
        }
        match &mut connection.state {
            State::Member(member) => {
                let room = rooms.get_mut(member.room)?;
                member.take(id, room, connection.dialect, config, &mut connection.is_ready)
            }
            State::Waiting { .. } => None,
            State::Ended(ended) => {
                connection.is_ready = false;
                ended.close.take().map(|frame| Message::Close(Some(frame)))
            }
        }
    }

    /// What the application is to know next.
    pub fn poll_event(&mut self) -> Option<(ConnId, HubEvent)> {
        while let Some(&number) = self.events.front() {
            let slot = self.slots.get_mut(number as usize);
            let id = slot.as_ref().map(|slot| slot.id(number));
            let connection = slot.and_then(|slot| slot.connection.as_mut());
            if let (Some(id), Some(connection)) = (id, connection) {
                if core::mem::take(&mut connection.tells_joined) {
                    return Some((id, HubEvent::Joined));
                }
                if core::mem::take(&mut connection.tells_ended) {
                    return Some((id, HubEvent::Ended));
                }
            }
            self.events.pop_front();
            if let Some(slot) = self.slots.get_mut(number as usize) {
                slot.in_events = false;
            }
        }
        self.events = VecDeque::new();
        None
    }

    /// How a connection ended, once it has.
    pub fn ended(&self, id: ConnId) -> Option<&End<ConnectionError>> {
        match &self.get(id)?.state {
            State::Ended(ended) => Some(&ended.end),
            _ => None,
        }
    }

    /// What there is to know of a connection.
    pub fn connection(&self, id: ConnId) -> Option<ConnectionInfo<'_>> {
        self.get(id).map(|connection| self.info(id, connection))
    }

    /// All connections.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionInfo<'_>> {
        self.slots.iter().enumerate().filter_map(|(number, slot)| {
            let id = slot.id(u32::try_from(number).ok()?);
            Some(self.info(id, slot.connection.as_ref()?))
        })
    }

    /// A room; of the Scratch dialect's or the others'.
    pub fn room(&self, is_scratch: bool, id: &str) -> Option<RoomInfo<'_>> {
        self.rooms.get(self.rooms.find(is_scratch, id)?).map(RoomInfo)
    }

    /// All rooms, the empty ones that are kept included.
    pub fn rooms(&self) -> impl Iterator<Item = RoomInfo<'_>> {
        self.rooms.iter().map(RoomInfo)
    }

    fn info<'a>(&'a self, id: ConnId, connection: &'a Connection) -> ConnectionInfo<'a> {
        let member = match &connection.state {
            State::Member(member) => Some(member),
            _ => None,
        };
        let room = member.and_then(|member| self.rooms.get(member.room));
        ConnectionInfo {
            id,
            dialect: connection.dialect,
            room: room.map(|room| &*room.id),
            username: member.map(|member| &*member.username),
            pending_bytes: match (member, room) {
                (Some(member), Some(room)) => member.pending_bytes(id, room, connection.dialect),
                _ => 0,
            },
            is_merging: member.is_some_and(|member| !member.is_following()),
        }
    }

    fn get(&self, id: ConnId) -> Option<&Connection> {
        let slot = self.slots.get(id.slot as usize)?;
        slot.connection.as_ref().filter(|_| slot.generation == id.generation)
    }

    fn get_mut(&mut self, id: ConnId) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        slot.connection.as_mut().filter(|_| slot.generation == id.generation)
    }

    /// Ends a connection with what its error is told by.
    fn close(&mut self, id: ConnId, error: ConnectionError) {
        let Some(connection) = self.get(id) else { return };
        let code = match &error {
            ConnectionError::Violation(violation) => violation.kind.code_for_client(),
            ConnectionError::RateLimited => connection.dialect.kick_code(),
            ConnectionError::Kicked(code) => *code,
            ConnectionError::TooFarBehind => CloseCode::OVERLOADED,
            _ => CloseCode::GENERIC,
        };
        let reason = match &error {
            ConnectionError::Kicked(CloseCode::GOING_AWAY) => Cow::Borrowed("going away"),
            ConnectionError::Kicked(_) => Cow::Borrowed("kicked"),
            error => Cow::Owned(error.to_string()),
        };
        self.end(id, End::Error(error), Some(CloseFrame::new(code.0, reason)));
    }

    fn end(&mut self, id: ConnId, end: End<ConnectionError>, close: Option<CloseFrame>) {
        if self.get(id).is_none_or(|connection| matches!(connection.state, State::Ended(_))) {
            return;
        }
        self.leave(id);
        let is_ready = close.is_some();
        if let Some(connection) = self.get_mut(id) {
            connection.is_ready = false;
            connection.tells_ended = true;
            connection.state = State::Ended(Box::new(Ended { end, close }));
        }
        self.tell(id);
        if is_ready {
            if let Some(slot) = self.slots.get_mut(id.slot as usize) {
                slot.make_ready(id.slot, &mut self.ready);
            }
        }
    }

    /// The connection has something to tell.
    fn tell(&mut self, id: ConnId) {
        if let Some(slot) = self.slots.get_mut(id.slot as usize) {
            if !core::mem::replace(&mut slot.in_events, true) {
                self.events.push_back(id.slot);
            }
        }
    }

    /// Takes a connection out of its room, or out of those whose handshake is awaited (step 4).
    fn leave(&mut self, id: ConnId) {
        let Some(connection) = self.get_mut(id) else { return };
        let spelling = spelling(connection.dialect);
        let (number, position) = match &mut connection.state {
            State::Waiting { deadline } => {
                let deadline = *deadline;
                self.handshakes.remove(&(deadline, id.slot));
                return;
            }
            State::Ended(_) => return,
            State::Member(member) => {
                member.backlog = None;
                (member.room, member.position as usize)
            }
        };
        let Self { slots, rooms, .. } = self;
        let Some(room) = rooms.get_mut(number) else { return };
        if let Some(member) = member(slots, id.slot) {
            if member.waiting > 0 {
                room.pass(member.cursor, room.next);
            }
        }
        if position < room.members.len() {
            room.members.swap_remove(position);
        }
        if let Some(count) = room.spellings.get_mut(spelling) {
            *count = count.saturating_sub(1);
        }
        if let Some(&moved) = room.members.get(position) {
            if let Some(member) = member(slots, moved) {
                member.position = u32::try_from(position).unwrap_or(u32::MAX);
            }
        }
        if room.members.is_empty() {
            self.leave_empty(number);
        }
    }

    /// Nobody is in a room: it is kept for a while.
    fn leave_empty(&mut self, number: u32) {
        let expires = self.clock.after(self.config.empty_room_ttl).min(NEVER.saturating_sub(1));
        self.rooms.empty(number, self.clock.time(), expires);
    }

    /// What a client says, if that is its turn and counts. A handshake that is only proposed comes again,
    /// and counts for the rate then.
    #[inline]
    fn read<'a>(
        &mut self,
        id: ConnId,
        text: &'a Bytes,
        is_proposed: bool,
    ) -> Result<Option<(Dialect, ClientMessage<'a>)>, ConnectionError> {
        let (time, limit) = (self.clock.time(), self.config.rate_limit);
        let Some(connection) = self.get_mut(id) else { return Ok(None) };
        let dialect = connection.dialect;
        let is_waiting = matches!(connection.state, State::Waiting { .. });
        let limit = limit.filter(|_| !(is_waiting && is_proposed));
        if limit.is_some_and(|limit| !connection.bucket.take(limit, time)) {
            return Err(ConnectionError::RateLimited);
        }
        let codec = CodecConfig::default()
            .dialect(dialect)
            .max_client_message(self.config.max_client_message);
        let message = match ClientMessage::decode(text, &codec) {
            Ok(message) => message,
            Err(error) if !is_waiting && error.is_ignored(dialect) => return Ok(None),
            Err(error) => return Err(ConnectionError::Violation(Violation::from(error))),
        };
        match message {
            ClientMessage::Handshake { .. } if !is_waiting => {
                Err(violation(ViolationKind::SecondHandshake))
            }
            ClientMessage::Unknown { .. } => Err(violation(ViolationKind::UnknownKind)),
            ClientMessage::Handshake { .. } => Ok(Some((dialect, message))),
            _ if is_waiting => Err(violation(ViolationKind::NoHandshake)),
            _ => Ok(Some((dialect, message))),
        }
    }

    fn handle_text(&mut self, id: ConnId, text: &Bytes) -> Verdict {
        let Some((dialect, message)) = self.read(id, text, false)? else { return Ok(()) };
        match message {
            ClientMessage::Handshake { room, username, variables } => {
                self.handshake(id, dialect, room.as_str(), &username, variables)
            }
            ClientMessage::Set { variable, value } | ClientMessage::Create { variable, value } => {
                self.set(id, dialect, &variable, &value)
            }
            ClientMessage::Rename { variable, new_name } => {
                self.rename_by(id, &variable, Some(&new_name))
            }
            ClientMessage::Delete { variable } => self.rename_by(id, &variable, None),
            ClientMessage::Unknown { .. } => Ok(()),
        }
    }

    /// Whether what a client proposes may come to pass, as far as that is known before its turn.
    fn may_be(
        &mut self,
        id: ConnId,
        dialect: Dialect,
        message: &ClientMessage<'_>,
    ) -> Result<bool, ConnectionError> {
        if let ClientMessage::Handshake { room, username, variables } = message {
            let creates = self.rooms.find(dialect == Dialect::Scratch, room.as_str()).is_none();
            self.check_handshake(id, dialect, room.as_str(), username, *variables, creates)?;
            return Ok(true);
        }
        let Self { slots, rooms, config, policy, .. } = self;
        let Some(member) = member(slots, id.slot) else { return Ok(false) };
        let Some(room) = rooms.get(member.room) else { return Ok(false) };
        match message {
            ClientMessage::Set { variable, value } | ClientMessage::Create { variable, value } => {
                if !room.is_scratch && !room.variables.contains_key(&**variable) {
                    return Err(violation(ViolationKind::UnknownVariable));
                }
                check_name(&config.limits, variable).map_err(violation)?;
                let author = Author {
                    connection: id,
                    room: &room.id,
                    is_scratch: room.is_scratch,
                    username: &member.username,
                };
                let checked = check_value(&config.limits, value).and_then(|()| {
                    let is_accepted = policy.accepts_value(author, variable, value);
                    is_accepted.then_some(()).ok_or(ViolationKind::ValueRefused)
                });
                match checked {
                    Ok(()) => Ok(true),
                    Err(_) if room.is_scratch => Ok(false),
                    Err(kind) => Err(violation(kind)),
                }
            }
            ClientMessage::Rename { variable, new_name } => {
                check_name(&config.limits, new_name).map_err(violation)?;
                Ok(check_name(&config.limits, variable).is_ok())
            }
            ClientMessage::Delete { variable } => Ok(check_name(&config.limits, variable).is_ok()),
            _ => Ok(false),
        }
    }

    /// Step 2.
    fn handshake(
        &mut self,
        id: ConnId,
        dialect: Dialect,
        room_id: &str,
        username: &str,
        variables: Variables<'_>,
    ) -> Verdict {
        let (config, is_scratch) = (self.config.clone(), dialect == Dialect::Scratch);
        let found = self.rooms.find(is_scratch, room_id);
        let known =
            self.check_handshake(id, dialect, room_id, username, variables, found.is_none())?;
        let number = if let Some(number) = found {
            self.check_place(number, username, &known)?;
            self.rooms.revive(number);
            number
        } else {
            if self.rooms.len() >= config.max_rooms && !self.rooms.remove_longest_empty() {
                return Err(violation(ViolationKind::TooManyRooms));
            }
            let mut room = Room::new(room_id, is_scratch);
            for (name, value) in known {
                let variable = Variable::new(&value, room.next, id);
                room.variables.insert(Box::from(&*name), variable);
                room.next = room.next.saturating_add(1);
            }
            self.rooms.insert(room)
        };
        self.join(id, number, username, found.is_some());
        Ok(())
    }

    /// The variables of a handshake, if it is acceptable by itself; `creates`: with their values.
    fn check_handshake<'a>(
        &mut self,
        id: ConnId,
        dialect: Dialect,
        room_id: &str,
        username: &str,
        variables: Variables<'a>,
        creates: bool,
    ) -> Result<BTreeMap<Cow<'a, str>, ValueRef<'a>>, ConnectionError> {
        let limits = &self.config.limits;
        if room_id.is_empty() || room_id.len() > limits.max_room_id {
            return Err(violation(ViolationKind::RoomId(room_id.len())));
        }
        if username.is_empty() || username.len() > limits.max_username {
            return Err(violation(ViolationKind::UsernameLength(username.len())));
        }
        let is_scratch = dialect == Dialect::Scratch;
        let author = Author { connection: id, room: room_id, is_scratch, username };
        if !self.policy.accepts_username(author) {
            return Err(violation(ViolationKind::UsernameRefused));
        }
        let mut known = BTreeMap::new();
        for (name, value) in variables.iter() {
            check_name(limits, &name).map_err(violation)?;
            let value = ValueRef::Text(value);
            check_value(limits, &value).map_err(violation)?;
            if creates && !self.policy.accepts_value(author, &name, &value) {
                return Err(violation(ViolationKind::ValueRefused));
            }
            if known.insert(name, value).is_some() {
                return Err(violation(ViolationKind::DuplicateVariable));
            }
            if known.len() > limits.variables(dialect) {
                return Err(violation(ViolationKind::TooManyVariables));
            }
        }
        Ok(known)
    }

    /// Whether there is a place in this room for somebody.
    fn check_place(
        &self,
        number: u32,
        username: &str,
        variables: &BTreeMap<Cow<'_, str>, ValueRef<'_>>,
    ) -> Verdict {
        let Some(room) = self.rooms.get(number) else { return Ok(()) };
        if room.members.len() >= self.config.max_room_clients.max(1) {
            return Err(violation(ViolationKind::RoomFull));
        }
        if room.is_scratch {
            return Ok(());
        }
        let is_taken = room.members.iter().any(|slot| {
            let slot = self.slots.get(*slot as usize).and_then(|slot| slot.connection.as_ref());
            slot.is_some_and(|connection| {
                matches!(&connection.state, State::Member(member)
                    if member.username.eq_ignore_ascii_case(username))
            })
        });
        if is_taken {
            return Err(violation(ViolationKind::UsernameTaken));
        }
        let names = room.variables.keys().map(|name| &**name);
        if !names.eq(variables.keys().map(|name| &**name)) {
            return Err(violation(ViolationKind::Incompatible));
        }
        Ok(())
    }

    fn join(&mut self, id: ConnId, number: u32, username: &str, was_there: bool) {
        let Self { slots, rooms, config, ready, handshakes, .. } = self;
        let Some(slot) = slots.get_mut(id.slot as usize) else { return };
        let Some(connection) = slot.connection.as_mut() else { return };
        let Some(room) = rooms.get_mut(number) else { return };
        if let State::Waiting { deadline } = connection.state {
            handshakes.remove(&(deadline, id.slot));
        }
        let mut member = Member {
            room: number,
            position: u32::try_from(room.members.len()).unwrap_or(u32::MAX),
            cursor: room.next,
            waiting: 0,
            backlog: None,
            username: username.into(),
        };
        room.members.push(id.slot);
        let spelling = spelling(connection.dialect);
        if let Some(count) = room.spellings.get_mut(spelling) {
            *count = count.saturating_add(1);
        }
        let has_snapshot =
            was_there && member.begin_with_snapshot(room, connection.dialect, config);
        connection.state = State::Member(member);
        connection.tells_joined = true;
        if has_snapshot {
            slot.make_ready(id.slot, ready);
        }
        self.tell(id);
    }

    /// Step 3.
    fn set(
        &mut self,
        id: ConnId,
        dialect: Dialect,
        variable: &str,
        value: &ValueRef<'_>,
    ) -> Verdict {
        let Self { slots, rooms, config, policy, .. } = self;
        let Some(member) = member(slots, id.slot) else { return Ok(()) };
        let Some(room) = rooms.get_mut(member.room) else { return Ok(()) };
        let (number, limits) = (member.room, &config.limits);
        let found = room.variables.get_mut(variable);
        if found.is_none() {
            if !room.is_scratch {
                return Err(violation(ViolationKind::UnknownVariable));
            }
            check_name(limits, variable).map_err(violation)?;
        }
        let author = Author {
            connection: id,
            room: &room.id,
            is_scratch: room.is_scratch,
            username: &member.username,
        };
        let kind = if let Err(kind) = check_value(limits, value) {
            Some(kind)
        } else if !policy.accepts_value(author, variable, value) {
            Some(ViolationKind::ValueRefused)
        } else {
            None
        };
        if let Some(kind) = kind {
            return if dialect == Dialect::Scratch { Ok(()) } else { Err(violation(kind)) };
        }
        let seq = room.next;
        let key = if let Some(found) = found {
            found.set(value, seq, id);
            found.id
        } else {
            if room.variables.len() >= limits.max_scratch_variables {
                return Err(violation(ViolationKind::TooManyVariables));
            }
            room.variables.insert(variable.into(), Variable::new(value, seq, id));
            seq
        };
        let message =
            ServerMessage::Set { variable: Cow::Borrowed(variable), value: value.clone() };
        let encoded = room.encode(&message, spelling(dialect));
        if room.is_scratch {
            member.names(variable);
        }
        self.announce(id, number, key, None, encoded);
        Ok(())
    }

    /// A set that was settled elsewhere.
    fn apply_set(
        &mut self,
        number: u32,
        by: ConnId,
        variable: &str,
        value: &ValueRef<'_>,
    ) -> Result<(), ApplyError> {
        let Self { slots, rooms, config, .. } = self;
        let room = rooms.get_mut(number).ok_or(ApplyError::UnknownRoom)?;
        let limits = &config.limits;
        check_value(limits, value)?;
        check_type(room.is_scratch, value)?;
        let seq = room.next;
        let key = if let Some(found) = room.variables.get_mut(variable) {
            found.set(value, seq, by);
            found.id
        } else {
            if !room.is_scratch {
                return Err(ApplyError::UnknownVariable);
            }
            check_name(limits, variable)?;
            if room.variables.len() >= limits.max_scratch_variables {
                return Err(ViolationKind::TooManyVariables.into());
            }
            room.variables.insert(variable.into(), Variable::new(value, seq, by));
            seq
        };
        let message =
            ServerMessage::Set { variable: Cow::Borrowed(variable), value: value.clone() };
        let author = slots.get(by.slot as usize).map_or(SPELLINGS, Slot::spelling);
        let encoded = room.encode(&message, author);
        if room.is_scratch {
            if let Some(member) = member(slots, by.slot) {
                member.names(variable);
            }
        }
        self.announce(by, number, key, None, encoded);
        Ok(())
    }

    /// A client renames a variable, or deletes it.
    fn rename_by(&mut self, id: ConnId, variable: &str, new_name: Option<&str>) -> Verdict {
        let Some(number) = member(&mut self.slots, id.slot).map(|member| member.room) else {
            return Ok(());
        };
        match self.rename(number, id, variable, new_name) {
            Err(ApplyError::Limit(kind)) => Err(violation(kind)),
            // R3: what can't be done is ignored.
            _ => Ok(()),
        }
    }

    /// Renames a variable, or deletes it (R3).
    fn rename(
        &mut self,
        number: u32,
        id: ConnId,
        variable: &str,
        new_name: Option<&str>,
    ) -> Result<(), ApplyError> {
        let Self { slots, rooms, config, .. } = self;
        let room = rooms.get_mut(number).ok_or(ApplyError::UnknownRoom)?;
        if let Some(name) = new_name {
            check_name(&config.limits, name)?;
            if room.variables.contains_key(name) {
                return Err(ApplyError::NameTaken);
            }
        }
        if !room.variables.contains_key(variable) {
            return Err(ApplyError::UnknownVariable);
        }
        let message = match new_name {
            Some(name) => {
                ServerMessage::Rename { variable: variable.into(), new_name: name.into() }
            }
            None => ServerMessage::Delete { variable: variable.into() },
        };
        let author = slots.get(id.slot as usize).map_or(SPELLINGS, Slot::spelling);
        let (texts, cost) = room.encode(&message, author);
        // What was merged so far stays before it.
        let mut lost = Vec::new();
        for &number in &room.members {
            let Some(slot) = slots.get_mut(number as usize) else { continue };
            let other = slot.id(number);
            let Some(State::Member(member)) = slot.state() else { continue };
            if member.meet_barrier(other, room, id, variable, &texts, config) {
                lost.push(other);
            }
        }
        let seq = room.next;
        let Some(mut found) = room.variables.remove(variable) else { return Ok(()) };
        let key = found.id;
        if let Some(name) = new_name {
            found.named = seq;
            room.variables.insert(name.into(), found);
            if let Some(member) = member(slots, id.slot) {
                member.names(name);
            }
        }
        self.announce(id, number, key, Some(variable), (texts, cost));
        for id in lost {
            self.close(id, ConnectionError::TooFarBehind);
        }
        Ok(())
    }

    /// Queues a change for all members of a room but the one that it is by.
    fn announce(
        &mut self,
        by: ConnId,
        number: u32,
        variable: u64,
        removes: Option<&str>,
        (texts, cost): ([Bytes; SPELLINGS], usize),
    ) {
        let Self { slots, rooms, config, ready, .. } = self;
        let Some(room) = rooms.get_mut(number) else { return };
        let seq = room.next;
        let (at_once, is_barrier) = (config.flush_interval.is_none(), removes.is_some());
        let (mut remaining, mut is_over) = (0_u32, false);
        for &number in &room.members {
            let Some(slot) = slots.get_mut(number as usize) else { continue };
            let Some(State::Member(member)) = slot.state() else { continue };
            let is_own = number == by.slot;
            if member.is_following() {
                if member.waiting == 0 {
                    if is_own {
                        continue;
                    }
                    member.cursor = seq;
                }
                member.waiting = member.waiting.saturating_add(cost);
                remaining = remaining.saturating_add(1);
                is_over |= member.waiting > config.max_untaken;
            }
            if at_once {
                slot.make_ready(number, ready);
            }
        }
        room.push(Entry { by, variable, removes: removes.map(Box::from), remaining, cost, texts });
        if is_over {
            for at in 0..room.members.len() {
                let Some(&number) = room.members.get(at) else { break };
                let Some(slot) = slots.get_mut(number as usize) else { continue };
                let (id, spelling) = (slot.id(number), slot.spelling());
                let Some(State::Member(member)) = slot.state() else { continue };
                if member.is_following() && member.waiting > config.max_untaken {
                    member.start_merging(id, room, spelling, config);
                }
            }
        }
        let changed = [by.slot];
        for &number in if is_barrier { &room.members[..] } else { &changed } {
            let Some(slot) = slots.get_mut(number as usize) else { continue };
            let id = slot.id(number);
            if let Some(State::Member(member)) = slot.state() {
                member.settle(id, room);
            }
        }
        if let Some(interval) = config.flush_interval {
            room.unflushed = room.unflushed.saturating_add(cost);
            if room.unflushed >= config.batch_limit() {
                self.flush_room(number);
            } else if !core::mem::replace(&mut room.is_unflushed, true) {
                self.unflushed.insert(number);
                if self.flush == NEVER {
                    self.flush = self.clock.after(interval).min(NEVER.saturating_sub(1));
                }
            }
        }
    }

    /// Sends what was collected in a room.
    fn flush_room(&mut self, number: u32) {
        let Self { slots, rooms, ready, .. } = self;
        let Some(room) = rooms.get_mut(number) else { return };
        (room.flushed, room.unflushed) = (room.next, 0);
        for &number in &room.members {
            let Some(slot) = slots.get_mut(number as usize) else { continue };
            if matches!(slot.state(), Some(State::Member(member)) if member.has_more()) {
                slot.make_ready(number, ready);
            }
        }
    }
}

/// Whether a room may have such a value: numbers are of the Scratch dialect.
fn check_type(is_scratch: bool, value: &ValueRef<'_>) -> Result<(), ApplyError> {
    match value {
        ValueRef::Number(number) if !is_scratch || !is_number(number) => {
            Err(ApplyError::NotInDialect)
        }
        _ => Ok(()),
    }
}

/// What a slot's connection is in a room.
#[inline]
fn member(slots: &mut [Slot], number: u32) -> Option<&mut Member> {
    match slots.get_mut(number as usize)?.state()? {
        State::Member(member) => Some(member),
        _ => None,
    }
}

impl<P> fmt::Debug for Hub<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("connections", &self.slots.len().saturating_sub(self.free.len()))
            .field("rooms", &self.rooms.len())
            .finish_non_exhaustive()
    }
}
