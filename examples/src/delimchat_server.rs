//! A chat server: accounts and rooms in memory.
//!
//! Every connection is a task that drives its own [`Server`]. What concerns everyone goes through the
//! hall, under one lock, so that all are told the same things in the same order.
//!
//! A room is there from when somebody joins it until the last one leaves; whoever comes first sets its
//! password. An invitation, for which the protocol has no packet to the invited, is a message to them
//! in the room that all are in, and lets them in without password; so is a last word on leaving one to
//! those who stay.
//!
//! A client that doesn't keep up is turned out: what waits for it is bounded by a short queue of
//! commands, by `max_transmit_bytes` of its session and by a few long messages. So is one that has others
//! told too much, whom it would make seem slow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Context;
use bytes::{Buf, Bytes};
use delimchat_proto::{
    AliasId, AliasRefusal, JoinId, LoginRefusal, LongMessage, MessageId, RegisterRefusal, RoomId,
    RoomRefusal, Secret, SendError, Server, ServerConfig, ServerEvent, Session, UniqueId,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::app::{App, Pace, unix_time};
use crate::delimchat_args::{room_name, user_name};
use crate::listener::{Log, accept, join, told};
use crate::tcp::drive;
use crate::turns::Turns;

/// More connections than these are closed at once.
const MAX_CONNECTIONS: usize = 500;

/// What waits for a connection's task: it takes it at once, but every other connection may have
/// something new before it gets to run.
const MAX_COMMANDS: usize = 8 * MAX_CONNECTIONS;

/// More accounts than these aren't made.
const MAX_ACCOUNTS: usize = 100_000;

/// Nor more rooms.
const MAX_ROOMS: usize = 10_000;

/// Longest password to have, in bytes.
const MAX_PASSWORD: usize = 256;

/// Long messages that wait for a connection, beside those on their way.
const MAX_LONG: usize = 16;

/// Why a client is turned out.
const TOO_SLOW: &str = "too slow";
const TOO_MUCH: &str = "says too much";

/// Rooms that a connection is invited to.
const MAX_INVITATIONS: usize = 64;

/// How much more of long messages, in kibibytes, a client may have others told: they are rare, and each is much.
const LONG_RATE: u32 = 25;

/// A password as it came.
pub type Password = Secret<Box<[u8]>>;

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Of every session.
    pub config: Arc<ServerConfig>,
    /// Who has an account from the start.
    pub users: BTreeMap<String, Password>,
    /// Whether others can get one.
    pub registration: bool,
    /// Whether a user may have several connections at a time.
    pub many_endpoints: bool,
    /// Messages a second, each of up to a kibibyte, that a client may have others told.
    pub rate_limit: u32,
}

/// Serves whoever connects, until `shutdown`; then closes all connections.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    log: Log,
    shutdown: impl Future<Output = ()>,
) {
    let hall = Hall {
        is_open: true,
        accounts: options.users.clone(),
        seats: BTreeMap::new(),
        rooms: BTreeMap::new(),
        messages: 0,
    };
    let chat = Arc::new(Chat { options, log: log.clone(), hall: Mutex::new(hall) });
    let open = chat.clone();
    let connections =
        accept(listener, MAX_CONNECTIONS, &log, shutdown, move |number, stream, peer| {
            connection(open.clone(), number, stream, peer)
        })
        .await;
    chat.hall().close();
    join(connections, &log).await;
}

async fn connection(chat: Arc<Chat>, number: u64, stream: Turns<TcpStream>, peer: SocketAddr) {
    let (sender, mut commands) = mpsc::channel(MAX_COMMANDS);
    if !chat.hall().connect(number, sender) {
        return;
    }
    let config = chat.options.config.clone();
    let now = Instant::now();
    let pace = Pace::per_second(chat.options.rate_limit, now);
    let long_pace = Pace::per_second(chat.options.rate_limit.saturating_mul(LONG_RATE), now);
    let notes = Pace::of_notes(now);
    let mut client = Client { chat, number, pace, long_pace, notes, long: VecDeque::new() };
    client.log(&format!("connects from {peer}"));
    let end = async {
        let guest = format!("guest-{number}");
        let session = Server::new(config, &guest, Instant::now());
        let mut session = session.context("no name for a guest")?;
        Ok(drive(&mut session, stream, &mut commands, &mut client).await?)
    };
    let end = told(end.await);
    client.log(&format!("ends: {end}"));
}

/// What all connections share.
struct Chat {
    options: Options,
    log: Log,
    hall: Mutex<Hall>,
}

impl Chat {
    fn hall(&self) -> MutexGuard<'_, Hall> {
        self.hall.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is here, and where.
struct Hall {
    is_open: bool,
    accounts: BTreeMap<String, Password>,
    seats: BTreeMap<u64, Seat>,
    rooms: BTreeMap<RoomId, Room>,
    /// Messages that were delivered.
    messages: u64,
}

struct Seat {
    /// Once it is let in.
    who: Option<Who>,
    invitations: BTreeSet<RoomId>,
    /// `None` once the connection is to close.
    commands: Option<mpsc::Sender<Command>>,
}

/// The names of who says or does something.
#[derive(Clone)]
struct Who {
    user: Arc<str>,
    /// Empty until there is one.
    alias: Arc<str>,
}

impl Who {
    fn name(&self) -> String {
        user_name(&self.user, &self.alias)
    }
}

struct Room {
    password: Password,
    members: BTreeSet<u64>,
}

/// What a connection is to send.
#[derive(Clone)]
enum Command {
    Deliver { id: UniqueId, room: RoomId, from: Who, message: Bytes },
    Forward { id: UniqueId, room: RoomId, message: LongMessage },
    Joined { room: RoomId, who: Who },
    Parted { room: RoomId, who: Who },
    Renamed { who: Who, old_alias: Arc<str> },
}

impl Seat {
    fn send(&mut self, command: Command) {
        let sent = self.commands.as_ref().map(|commands| commands.try_send(command));
        if matches!(sent, Some(Err(_))) {
            self.commands = None;
        }
    }
}

impl Hall {
    fn connect(&mut self, number: u64, commands: mpsc::Sender<Command>) -> bool {
        if self.is_open {
            let commands = Some(commands);
            let seat = Seat { who: None, invitations: BTreeSet::new(), commands };
            self.seats.insert(number, seat);
        }
        self.is_open
    }

    fn close(&mut self) {
        self.is_open = false;
        for seat in self.seats.values_mut() {
            seat.commands = None;
        }
    }

    /// An id that no other message has.
    fn next_id(&mut self) -> UniqueId {
        self.messages += 1;
        UniqueId::new(self.messages, unix_time())
    }

    fn who(&self, number: u64) -> Option<&Who> {
        self.seats.get(&number)?.who.as_ref()
    }

    /// To all in a room but this one.
    fn tell_others(&mut self, number: u64, room: RoomId, command: &Command) {
        let Self { seats, rooms, .. } = self;
        let members = rooms.get(&room).map(|room| &room.members);
        for (other, seat) in seats.iter_mut().filter(|(other, _)| **other != number) {
            let is_in = match members {
                Some(members) => members.contains(other),
                None => room == RoomId::GLOBAL && seat.who.is_some(),
            };
            if is_in {
                seat.send(command.clone());
            }
        }
    }

    /// Says something to all in a room but this one.
    fn say(&mut self, number: u64, room: RoomId, message: Bytes) {
        let Some(from) = self.who(number).cloned() else { return };
        let id = self.next_id();
        self.tell_others(number, room, &Command::Deliver { id, room, from, message });
    }

    /// Whether somebody else goes by this.
    fn is_taken(&self, number: u64, alias: &str) -> bool {
        let own = self.who(number).is_some_and(|who| *who.user == *alias);
        let others = self.seats.iter().filter(|(other, _)| **other != number);
        let mut aliases = others.filter_map(|(_, seat)| seat.who.as_ref()).map(|who| &*who.alias);
        !own && self.accounts.contains_key(alias) || aliases.any(|other| other == alias)
    }

    fn leave(&mut self, number: u64, room: RoomId) {
        let Some(members) = self.rooms.get_mut(&room).map(|room| &mut room.members) else { return };
        if members.remove(&number) {
            if members.is_empty() {
                self.rooms.remove(&room);
            }
            if let Some(who) = self.who(number).cloned() {
                self.tell_others(number, room, &Command::Parted { room, who });
            }
        }
    }

    fn disconnect(&mut self, number: u64) {
        let rooms: Vec<_> = self.rooms.keys().copied().collect();
        for room in rooms {
            self.leave(number, room);
        }
        self.seats.remove(&number);
    }
}

/// One connection's part.
struct Client {
    chat: Arc<Chat>,
    number: u64,
    pace: Pace,
    long_pace: Pace,
    notes: Pace,
    /// Messages that the session has no room for yet.
    long: VecDeque<(UniqueId, RoomId, LongMessage)>,
}

impl App<Server> for Client {
    type Command = Command;

    fn event(&mut self, session: &mut Server, now: Instant, event: ServerEvent) {
        match event {
            ServerEvent::Login { username, password } => {
                self.login(session, now, &username, &password);
            }
            ServerEvent::Register { username, password, email } => {
                self.register(session, now, &username, password, &email);
            }
            ServerEvent::Message { id, room, message } => {
                self.message(session, now, id, room, message);
            }
            ServerEvent::Echo { message } => {
                let id = self.chat.hall().next_id();
                let sent = session.echo(now, id, &message);
                self.check(session, now, sent);
            }
            ServerEvent::LongMessage { room, message, .. } => {
                self.long_message(session, now, room, message);
            }
            ServerEvent::LongMessageDropped { room, .. } => {
                self.log(&format!("doesn't finish a long message to {}", room_name(room)));
            }
            ServerEvent::Received { .. } => self.forward(session, now),
            ServerEvent::Unacknowledged { unique_id } if session.ended().is_none() => {
                if self.notes.allows(now, 1) {
                    self.log(&format!("hasn't acknowledged message {unique_id}"));
                }
                self.forward(session, now);
            }
            ServerEvent::JoinRoom { id, room, password } => {
                self.join(session, now, id, room, password);
            }
            ServerEvent::Parted { room, message } => self.parted(session, now, room, message),
            ServerEvent::ChangeAlias { id, alias } => self.alias(session, now, id, &alias),
            ServerEvent::Invite { room, username, alias } => {
                self.invite(session, now, room, &username, &alias);
            }
            ServerEvent::BadPacket(error) if self.notes.allows(now, 1) => {
                self.log(&format!("sends no packet: {error}"));
            }
            _ => {}
        }
    }

    fn command(&mut self, session: &mut Server, now: Instant, command: Command) {
        let sent = match command {
            Command::Deliver { id, room, from, message } => {
                session.deliver(now, id, room, &from.user, &from.alias, &message)
            }
            Command::Forward { id, room, message } => {
                if self.long.len() >= MAX_LONG {
                    return self.turn_out(session, now, TOO_SLOW);
                }
                self.long.push_back((id, room, message));
                return self.forward(session, now);
            }
            Command::Joined { room, who } => session.user_joined(now, room, &who.user, &who.alias),
            Command::Parted { room, who } => session.user_parted(now, room, &who.user, &who.alias),
            Command::Renamed { who, old_alias } => {
                session.alias_changed(now, &who.user, &old_alias, &who.alias)
            }
        };
        self.check(session, now, sent);
    }

    fn relieved(&mut self, session: &mut Server, now: Instant) {
        self.forward(session, now);
    }

    fn commands_closed(&mut self, session: &mut Server, now: Instant) {
        let is_open = self.chat.hall().is_open;
        if is_open {
            self.turn_out(session, now, TOO_SLOW);
        } else {
            session.close(now);
        }
    }
}

impl Client {
    fn login(&mut self, session: &mut Server, now: Instant, username: &str, password: &Password) {
        let mut hall = self.chat.hall();
        let mut users = hall.seats.values().filter_map(|seat| seat.who.as_ref());
        let is_here = users.any(|who| *who.user == *username);
        let refusal = match hall.accounts.get(username) {
            None => Some((LoginRefusal::Username, "nobody")),
            Some(known) if known.expose() != password.expose() => {
                Some((LoginRefusal::Password, "somebody with another password"))
            }
            Some(_) if is_here && !self.chat.options.many_endpoints => {
                Some((LoginRefusal::SecondEndpoint, "somebody who is here already"))
            }
            Some(_) => None,
        };
        // Where the session has ended meanwhile, nobody waits any more.
        match refusal {
            Some((why, note)) => {
                if session.refuse_login(now, why).is_ok() {
                    self.log(&format!("claims to be {username}, who is {note}"));
                }
            }
            None => {
                if session.accept(now).is_ok() {
                    self.let_in(&mut hall, username);
                    self.log(&format!("is let in as {username}"));
                }
            }
        }
    }

    fn register(
        &mut self,
        session: &mut Server,
        now: Instant,
        username: &str,
        password: Password,
        email: &str,
    ) {
        let mut hall = self.chat.hall();
        let is_address = email.split_once('@').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
        let refusal = if hall.is_taken(self.number, username) {
            Some(RegisterRefusal::UsernameInUse)
        } else if !self.chat.options.registration || hall.accounts.len() >= MAX_ACCOUNTS {
            Some(RegisterRefusal::Username)
        } else if password.expose().len() > MAX_PASSWORD {
            Some(RegisterRefusal::Password)
        } else if !is_address {
            Some(RegisterRefusal::Email)
        } else {
            None
        };
        match refusal {
            Some(why) => {
                if session.refuse_registration(now, why).is_ok() {
                    self.log(&format!("can't be registered as {username}: {why:?}"));
                }
            }
            None => {
                if session.accept(now).is_ok() {
                    hall.accounts.insert(username.to_owned(), password);
                    self.let_in(&mut hall, username);
                    self.log(&format!("is registered as {username}"));
                }
            }
        }
    }

    fn let_in(&self, hall: &mut Hall, username: &str) {
        if let Some(seat) = hall.seats.get_mut(&self.number) {
            seat.who = Some(Who { user: username.into(), alias: "".into() });
        }
    }

    fn message(
        &mut self,
        session: &mut Server,
        now: Instant,
        id: MessageId,
        room: RoomId,
        message: Bytes,
    ) {
        // Where it isn't wanted any more, the session has ended.
        if session.accept_message(now, id).is_ok() && self.may_tell(session, now, message.len()) {
            self.chat.hall().say(self.number, room, message);
        }
    }

    fn long_message(
        &mut self,
        session: &mut Server,
        now: Instant,
        room: RoomId,
        message: LongMessage,
    ) {
        let bytes = message.remaining();
        self.log(&format!("says {bytes} bytes in {}", room_name(room)));
        let id = self.chat.hall().next_id();
        let command = Command::Forward { id, room, message };
        if room == RoomId::ECHO {
            self.command(session, now, command);
        } else if !self.long_pace.allows(now, bytes.div_ceil(1024)) {
            self.turn_out(session, now, TOO_MUCH);
        } else {
            self.chat.hall().tell_others(self.number, room, &command);
        }
    }

    /// Sends long messages as long as the session takes them.
    fn forward(&mut self, session: &mut Server, now: Instant) {
        while let Some((id, room, message)) = self.long.front() {
            match session.forward(now, *id, *room, message) {
                // Tried again when one has arrived, or something was sent.
                Err(SendError::TooManyLong | SendError::QueueFull) => return,
                sent => self.check(session, now, sent),
            }
            self.long.pop_front();
        }
    }

    fn join(
        &mut self,
        session: &mut Server,
        now: Instant,
        id: JoinId,
        room: RoomId,
        password: Password,
    ) {
        if !self.may_tell(session, now, 0) {
            return;
        }
        let mut hall = self.chat.hall();
        let invited =
            hall.seats.get(&self.number).is_some_and(|seat| seat.invitations.contains(&room));
        let refusal = match hall.rooms.get(&room) {
            Some(there) if !invited && there.password.expose() != password.expose() => {
                Some("has the wrong password for")
            }
            None if hall.rooms.len() >= MAX_ROOMS || password.expose().len() > MAX_PASSWORD => {
                Some("can't have the room")
            }
            _ => None,
        };
        if let Some(note) = refusal {
            // Where it isn't wanted any more, the session has ended.
            let _ = session.refuse_join(now, id, RoomRefusal::NotAuthorized);
            return self.log(&format!("{note} {}", room_name(room)));
        }
        if session.accept_join(now, id).is_err() {
            return;
        }
        let Some(who) = hall.who(self.number).cloned() else { return };
        let there = hall.rooms.entry(room);
        let there = there.or_insert_with(|| Room { password, members: BTreeSet::new() });
        there.members.insert(self.number);
        let others: Vec<_> = there.members.iter().copied().collect();
        if let Some(seat) = hall.seats.get_mut(&self.number) {
            seat.invitations.remove(&room);
        }
        hall.tell_others(self.number, room, &Command::Joined { room, who });
        // Who is there already: the protocol has no other way to tell.
        let others: Vec<_> = others
            .into_iter()
            .filter(|other| *other != self.number)
            .filter_map(|other| hall.who(other).cloned())
            .collect();
        drop(hall);
        self.log(&format!("joins {}", room_name(room)));
        for who in others {
            let sent = session.user_joined(now, room, &who.user, &who.alias);
            self.check(session, now, sent);
        }
    }

    fn parted(
        &mut self,
        session: &mut Server,
        now: Instant,
        room: RoomId,
        message: Option<Box<str>>,
    ) {
        // It has left, whether or not it may say so; what it says costs as much as any message.
        let message = message.filter(|message| !message.is_empty());
        let may_tell = self.may_tell(session, now, message.as_ref().map_or(0, |text| text.len()));
        let mut hall = self.chat.hall();
        if let Some(message) = message.filter(|_| may_tell) {
            hall.say(self.number, room, Bytes::from(message.into_boxed_bytes()));
        }
        hall.leave(self.number, room);
        drop(hall);
        self.log(&format!("leaves {}", room_name(room)));
    }

    fn alias(&mut self, session: &mut Server, now: Instant, id: AliasId, alias: &str) {
        if !self.may_tell(session, now, alias.len()) {
            return;
        }
        let mut hall = self.chat.hall();
        let refusal = if alias.contains(char::is_control) {
            Some(AliasRefusal::Invalid)
        } else if hall.is_taken(self.number, alias) {
            Some(AliasRefusal::InUse)
        } else {
            None
        };
        // Where it isn't wanted any more, the session has ended.
        if let Some(why) = refusal {
            let _ = session.refuse_alias(now, id, why);
            return;
        }
        if session.accept_alias(now, id).is_err() {
            return;
        }
        let seat = hall.seats.get_mut(&self.number);
        let Some(who) = seat.and_then(|seat| seat.who.as_mut()) else { return };
        let old_alias = std::mem::replace(&mut who.alias, alias.into());
        let who = who.clone();
        self.log(&format!("is now {}", who.name()));
        hall.tell_others(self.number, RoomId::GLOBAL, &Command::Renamed { who, old_alias });
    }

    fn invite(
        &mut self,
        session: &mut Server,
        now: Instant,
        room: RoomId,
        username: &str,
        alias: &str,
    ) {
        if !self.may_tell(session, now, 0) {
            return;
        }
        let place = room_name(room);
        if !session.is_in(room) {
            return self.log(&format!("invites to {place}, but isn't there"));
        }
        let mut hall = self.chat.hall();
        let Some(from) = hall.who(self.number).cloned() else { return };
        let id = hall.next_id();
        let message = Bytes::from(format!("invites you to {place}"));
        let invitation = Command::Deliver { id, room: RoomId::GLOBAL, from, message };
        let mut invited = 0;
        for seat in hall.seats.values_mut() {
            let is_meant =
                |who: &Who| *who.user == *username && (alias.is_empty() || *who.alias == *alias);
            if seat.who.as_ref().is_some_and(is_meant) && seat.invitations.len() < MAX_INVITATIONS {
                invited += 1;
                seat.invitations.insert(room);
                seat.send(invitation.clone());
            }
        }
        drop(hall);
        let whom = user_name(username, alias);
        self.log(&format!("invites {whom} to {place}, which is told to {invited}"));
    }

    fn check(&self, session: &mut Server, now: Instant, sent: Result<(), SendError>) {
        match sent {
            // It has ended while we were about to: the next thing that `drive` sees.
            Ok(()) | Err(SendError::Ended) => {}
            Err(SendError::QueueFull) => self.turn_out(session, now, TOO_SLOW),
            Err(error) => self.log(&format!("isn't sent something: {error}")),
        }
    }

    /// Whether it may have others told so many bytes; turns it out if not.
    fn may_tell(&mut self, session: &mut Server, now: Instant, bytes: usize) -> bool {
        let may_tell = self.pace.allows(now, bytes.div_ceil(1024).max(1));
        if !may_tell {
            self.turn_out(session, now, TOO_MUCH);
        }
        may_tell
    }

    fn turn_out(&self, session: &mut Server, now: Instant, why: &str) {
        if session.ended().is_none() {
            self.log(&format!("is turned out: {why}"));
            session.close(now);
        }
    }

    /// `note` goes on after the client's name.
    fn log(&self, note: &str) {
        (self.chat.log)(&format!("client {} {note}", self.number));
    }
}

/// However the connection ends.
impl Drop for Client {
    fn drop(&mut self) {
        self.chat.hall().disconnect(self.number);
    }
}
