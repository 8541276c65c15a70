use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::time::Instant;

use bytes::Bytes;
use smallwire_core::clock::{NEVER, Time};
use smallwire_core::{End, Secret, Session};

use crate::connection::{Connection, Endpoint, Side, delegate_session};
use crate::long::{Added, Assemblies, Due, Known, Outgoing, PART, Resend, Times, cut, most_bytes};
use crate::{
    Alias, Base64, ClientConfig, ClientEvent, ClientMessageId, ClientPacketRef, ContentError,
    ContentErrorKind, DecodeError, DropReason, Email, FromServer, HeadCountStatus, JoinRoomStatus,
    LoginByteOrderStatus, LoginError, LoginPasswordStatus, LoginUsernameStatus, LongMessageStatus,
    LongRoomStatus, NewAliasStatus, Outcome, PacketId, PacketList, PacketSet, PartNumberStatus,
    PartRoomStatus, RegisterEmailStatus, RegisterPasswordStatus, RegisterUsernameStatus, RequestId,
    RoomId, SendError, ServerPacket, SessionError, ShortMessageStatus, ShortRoomStatus, Text,
    UniqueId, Username, ViolationKind,
};

/// The client's end of one connection.
///
/// Made when the TCP connection stands; how it is driven is told at [`Session`]. It sends receipts for messages,
/// cuts long messages up and puts them together, sends parts of them again and asks for them, keeps track of what
/// has no result yet, and reports everything as a [`ClientEvent`].
///
/// ```
/// use delimchat_proto::{
///     Client, ClientConfig, ClientEvent, Outcome, RoomId, Server, ServerConfig, ServerEvent, Session,
/// };
/// use std::{sync::Arc, time::Instant};
///
/// let now = Instant::now();
/// let mut server = Server::new(Arc::new(ServerConfig::default()), "guest-7", now)?;
/// let mut client = Client::new(Arc::new(ClientConfig::default()), now);
///
/// // In your program this is a socket.
/// client.handle_input(now, &server.poll_transmit().unwrap());
/// assert_eq!(client.poll_event(), Some(ClientEvent::Guest { username: "guest-7".into() }));
/// let login = client.login(now, "ada", b"hunter2")?;
///
/// server.handle_input(now, &client.poll_transmit().unwrap());
/// let Some(ServerEvent::Login { username, password }) = server.poll_event() else { panic!() };
/// assert_eq!((&*username, &**password.expose()), ("ada", &b"hunter2"[..]));
/// server.accept(now)?;
///
/// client.handle_input(now, &server.poll_transmit().unwrap());
/// let outcome = Outcome::Okay;
/// assert_eq!(client.poll_event(), Some(ClientEvent::Outcome { request: login, outcome }));
/// let hello = client.send_message(now, RoomId::GLOBAL, b"hello")?;
///
/// server.handle_input(now, &client.poll_transmit().unwrap());
/// let Some(ServerEvent::Message { id, message, .. }) = server.poll_event() else { panic!() };
/// assert_eq!(&message[..], b"hello");
/// server.accept_message(now, id)?;
///
/// client.handle_input(now, &server.poll_transmit().unwrap());
/// assert_eq!(client.poll_event(), Some(ClientEvent::Outcome { request: hello, outcome }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Client(Endpoint<ClientSide>);

impl Client {
    /// Starts a session. The server greets; there is no need to wait for it.
    pub fn new(config: Arc<ClientConfig>, now: Instant) -> Self {
        Self(Endpoint::new(config, ClientSide::default(), now))
    }

    /// Logs in (step 2). One [`ClientEvent::Outcome`] will tell how it ended; after a refusal another may be tried.
    ///
    /// # Errors
    /// Nothing is sent: logged in already, another awaits its result, ended, too much waiting, or the name or
    /// password can't be written.
    pub fn login(
        &mut self,
        now: Instant,
        username: &str,
        password: &[u8],
    ) -> Result<RequestId, LoginError> {
        let (c, side) = self.0.at(now);
        let password = Secret::new(Base64::of(password));
        let (username, byte_order) = (username.into(), c.config.speaks.into());
        let packet = ClientPacketRef::Login { username, password, byte_order };
        side.log_in(c, &packet, Login::LoggingIn)
    }

    /// Becomes a user, and is logged in with it (step 2). One [`ClientEvent::Outcome`] will tell how it ended; after
    /// a refusal another may be tried.
    ///
    /// # Errors
    /// As [`login`](Self::login).
    pub fn register(
        &mut self,
        now: Instant,
        username: &str,
        password: &[u8],
        email: &str,
    ) -> Result<RequestId, LoginError> {
        let (c, side) = self.0.at(now);
        let password = Secret::new(Base64::of(password));
        let (username, email) = (username.into(), Email::from(email));
        let packet = ClientPacketRef::Register { username, password, email };
        side.log_in(c, &packet, Login::Registering)
    }

    /// Says something in a room, as a long message if it is longer than 3000 bytes or what `max_packet` lets be said
    /// in one packet (steps 3 and 4). One [`ClientEvent::Outcome`] will tell how it ended.
    ///
    /// # Errors
    /// Nothing is sent: not logged in, ended, too much waiting, too many requests or long messages open, empty or
    /// too long.
    pub fn send_message(
        &mut self,
        now: Instant,
        room: RoomId,
        message: &[u8],
    ) -> Result<RequestId, SendError> {
        let (c, side) = self.0.at(now);
        side.check_logged_in(c)?;
        if message.is_empty() {
            return Err(SendError::Empty);
        }
        let number = side.next_number(c)?;
        let client_message_id = ClientMessageId::from_counter(number);
        let short =
            ClientPacketRef::ShortMessage { client_message_id, room, message: Base64::of(message) };
        if message.len() <= PART && c.send_if_it_fits(|codec, out| short.encode(codec, out))? {
            side.open(c, number, What::Message);
            return Ok(RequestId(number));
        }
        // At least two: there is more around a part than around a short message.
        let codec = &c.codec();
        let parts = cut(message, codec, c.limits()).ok_or_else(|| SendError::TooLong {
            len: message.len(),
            limit: most_bytes(codec, c.limits()),
        })?;
        if side.talk.as_ref().map_or(0, |talk| talk.going.len()) >= c.limits().max_outgoing {
            return Err(SendError::TooManyLong);
        }
        let deadline = c.clock.after(c.config.assembly_timeout);
        let head = parts.first().cloned().unwrap_or_default();
        let outgoing = Outgoing::new(number, room, parts, deadline);
        let packet = head_packet(&outgoing, &head);
        c.send(|codec, out| packet.encode(codec, out))?;
        side.last_number = number;
        side.talk().going.push(outgoing);
        Ok(RequestId(number))
    }

    /// Joins a room; the password may be empty (step 5). One [`ClientEvent::Outcome`] will tell how it ended.
    ///
    /// # Errors
    /// Nothing is sent: not logged in, ended, too much waiting, too many requests open, or too long.
    pub fn join(
        &mut self,
        now: Instant,
        room: RoomId,
        password: &[u8],
    ) -> Result<RequestId, SendError> {
        let password = Secret::new(Base64::of(password));
        self.request(now, &ClientPacketRef::JoinRoom { room, password }, Kind::Join, room)
    }

    /// Leaves a room, with a last word if there is one (step 5). One [`ClientEvent::Outcome`] will tell how it
    /// ended.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn part(
        &mut self,
        now: Instant,
        room: RoomId,
        message: Option<&str>,
    ) -> Result<RequestId, SendError> {
        let part_message = message.map(Text::from);
        self.request(now, &ClientPacketRef::PartRoom { room, part_message }, Kind::Part, room)
    }

    /// Goes by another name (step 5). One [`ClientEvent::Outcome`] will tell how it ended.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn change_alias(&mut self, now: Instant, alias: &str) -> Result<RequestId, SendError> {
        let new_alias = Alias::from(alias);
        let packet = ClientPacketRef::ChangeAlias { new_alias };
        self.request(now, &packet, Kind::Alias, RoomId::GLOBAL)
    }

    fn request(
        &mut self,
        now: Instant,
        packet: &ClientPacketRef<'_>,
        kind: Kind,
        room: RoomId,
    ) -> Result<RequestId, SendError> {
        let (c, side) = self.0.at(now);
        side.check_logged_in(c)?;
        let number = side.next_number(c)?;
        c.send(|codec, out| packet.encode(codec, out))?;
        side.open(c, number, What::Wish(kind, room));
        Ok(RequestId(number))
    }

    /// Invites a user to a room: all of their endpoints, or the one with this alias (step 5). There is no result.
    ///
    /// # Errors
    /// Nothing is sent: not logged in, ended, too much waiting, or a name can't be written.
    pub fn invite(
        &mut self,
        now: Instant,
        room: RoomId,
        username: &str,
        alias: &str,
    ) -> Result<(), SendError> {
        let (c, side) = self.0.at(now);
        side.check_logged_in(c)?;
        let (username, alias) = (Username::from(username), Alias::from(alias));
        let packet = ClientPacketRef::InviteUser { room, username, alias };
        c.send(|codec, out| packet.encode(codec, out))
    }

    /// Asks the server what packets it supports; [`ClientEvent::ServerSupports`] tells (step 6). Also before login.
    ///
    /// # Errors
    /// Nothing is sent: ended, or too much waiting.
    pub fn request_supported(&mut self, now: Instant) -> Result<(), SendError> {
        let (c, _) = self.0.at(now);
        c.send(|codec, out| ClientPacketRef::SupportedPacketsRequest.encode(codec, out))
    }

    /// Tells the server what packets we support: all (step 6). Also before login.
    ///
    /// # Errors
    /// Nothing is sent: ended, or too much waiting.
    pub fn announce_supported(&mut self, now: Instant) -> Result<(), SendError> {
        let (c, _) = self.0.at(now);
        let ids = ServerPacket::LAYOUTS.iter().map(|layout| layout.id);
        let packets = PacketList::from(ids.collect::<PacketSet>());
        c.send(|codec, out| ClientPacketRef::ClientSupports { packets }.encode(codec, out))
    }

    /// The packets that the server says it supports, once it has said so (step 6).
    pub fn server_supports(&self) -> Option<&PacketSet> {
        self.0.side.supports.as_deref()
    }

    /// Whether the server has let us in.
    pub fn is_logged_in(&self) -> bool {
        self.0.side.login == Login::Done
    }

    /// Logs off and ends the session, cleanly; what is queued is still to be sent (step 6). Input that waits, undecoded, for
    /// events to be taken is dropped.
    pub fn close(&mut self, now: Instant) {
        let (c, _) = self.0.at(now);
        // Regardless of what waits already: it is the last packet, and a short one.
        answer(c, &ClientPacketRef::LogOff);
        c.end(End::Clean);
    }
}

/// What the server lets us do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Login {
    #[default]
    No,
    LoggingIn(u32),
    Registering(u32),
    Done,
}

/// What a wish is about that the server answers without its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Join,
    Part,
    Alias,
}

/// What awaits a result.
enum What {
    Message,
    Wish(Kind, RoomId),
}

/// What is going on with a server, while there is something.
#[derive(Default)]
struct Talk {
    /// By number, and so by deadline.
    requests: BTreeMap<u32, (What, Time)>,
    /// Wishes among them, in the order in which they are answered, and those given up, whose results may
    /// still come.
    wishes: BTreeSet<(Kind, RoomId, u32)>,
    coming: Assemblies<UniqueId>,
    going: Vec<Outgoing<u32>>,
}

#[derive(Default)]
struct ClientSide {
    login: Login,
    last_number: u32,
    talk: Option<Box<Talk>>,
    supports: Option<Box<PacketSet>>,
}

type ClientConnection = Connection<ClientSide>;

fn answer(c: &mut ClientConnection, packet: &ClientPacketRef<'_>) {
    c.answer(|codec, out| packet.encode(codec, out));
}

/// What needn't be sent if there is no room: a client reads whatever waits to be sent.
fn answer_if_room(c: &mut ClientConnection, packet: &ClientPacketRef<'_>) {
    if c.has_room() {
        answer(c, packet);
    }
}

fn times(config: &ClientConfig) -> Times {
    Times { resend_after: config.resend_after, assembly_timeout: config.assembly_timeout }
}

fn head_packet<'a>(outgoing: &Outgoing<u32>, head: &'a Bytes) -> ClientPacketRef<'a> {
    ClientPacketRef::LongMessageHead {
        remaining: outgoing.remaining(),
        client_message_id: ClientMessageId::from_counter(outgoing.id),
        room: outgoing.room,
        message: Base64::of(&head[..]),
    }
}

/// The latest is enough, if the one before it hasn't been taken yet.
fn progress(c: &mut ClientConnection, outgoing: &Outgoing<u32>) {
    let (request, parts) = (RequestId(outgoing.id), outgoing.remaining().saturating_add(1));
    // And the head. A part that was sent twice has two results.
    let arrived = outgoing.arrived.saturating_add(1).min(parts);
    let event = ClientEvent::Progress { request, arrived, parts };
    match c.last_event() {
        Some(last @ &mut ClientEvent::Progress { request: before, .. }) if before == request => {
            *last = event;
        }
        _ => c.push_event(event, 0),
    }
}

fn outcome(c: &mut ClientConnection, number: u32, outcome: Outcome) {
    c.push_event(ClientEvent::Outcome { request: RequestId(number), outcome }, 0);
}

/// A name, which must be there.
fn name<'a>(username: &'a Username<&[u8]>) -> Result<&'a str, ContentError> {
    match username.as_str()? {
        "" => Err(ContentError { kind: ContentErrorKind::Empty, offset: 0 }),
        name => Ok(name),
    }
}

/// A name, and an alias, which needn't be there.
fn names(
    username: &Username<&[u8]>,
    alias: &Alias<&[u8]>,
) -> Result<(Box<str>, Box<str>), ContentError> {
    Ok((name(username)?.into(), alias.as_str()?.into()))
}

impl ClientSide {
    fn check_logged_in(&self, c: &ClientConnection) -> Result<(), SendError> {
        if c.has_ended() {
            Err(SendError::Ended)
        } else if self.login == Login::Done {
            Ok(())
        } else {
            Err(SendError::NotLoggedIn)
        }
    }

    fn talk(&mut self) -> &mut Talk {
        self.talk.get_or_insert_default()
    }

    /// An idle session keeps no queues.
    fn release(&mut self) {
        if let Some(talk) = &mut self.talk {
            if talk.going.is_empty() {
                talk.going = Vec::new();
            }
            let has_requests = !(talk.requests.is_empty() && talk.wishes.is_empty());
            if !has_requests && talk.going.is_empty() && talk.coming.is_empty() {
                self.talk = None;
            }
        }
    }

    /// The number of the next request, if there may be one.
    fn next_number(&self, c: &ClientConnection) -> Result<u32, SendError> {
        let open = self.talk.as_ref().map_or(0, |talk| talk.requests.len());
        if open >= c.limits().max_pending {
            return Err(SendError::TooManyPending);
        }
        self.last_number.checked_add(1).ok_or(SendError::OutOfIds)
    }

    /// A request that is sent.
    fn open(&mut self, c: &ClientConnection, number: u32, what: What) {
        self.last_number = number;
        let talk = self.talk();
        if let What::Wish(kind, room) = what {
            talk.wishes.insert((kind, room, number));
        }
        talk.requests.insert(number, (what, c.clock.after(c.config.result_timeout)));
    }

    /// Takes a request out.
    fn close(&mut self, number: u32) -> Option<What> {
        let talk = self.talk.as_mut()?;
        let (what, _) = talk.requests.remove(&number)?;
        if let What::Wish(kind, room) = what {
            talk.wishes.remove(&(kind, room, number));
        }
        self.release();
        Some(what)
    }

    fn log_in(
        &mut self,
        c: &mut ClientConnection,
        packet: &ClientPacketRef<'_>,
        awaits: fn(u32) -> Login,
    ) -> Result<RequestId, LoginError> {
        match self.login {
            _ if c.has_ended() => return Err(SendError::Ended.into()),
            Login::Done => return Err(LoginError::LoggedIn),
            Login::LoggingIn(_) | Login::Registering(_) => return Err(LoginError::Pending),
            Login::No => {}
        }
        let number = self.next_number(c)?;
        c.send(|codec, out| packet.encode(codec, out))?;
        self.last_number = number;
        self.login = awaits(number);
        c.login_deadline = c.clock.after(c.config.login_timeout);
        Ok(RequestId(number))
    }

    /// The login or registration has its result.
    fn logged_in(&mut self, c: &mut ClientConnection, number: u32, result: Outcome) {
        self.login = if result == Outcome::Okay { Login::Done } else { Login::No };
        c.login_deadline = NEVER;
        outcome(c, number, result);
    }

    fn handle_login_result(
        &mut self,
        c: &mut ClientConnection,
        username: LoginUsernameStatus,
        password: LoginPasswordStatus,
        byte_order: LoginByteOrderStatus,
    ) {
        use {LoginByteOrderStatus as E, LoginPasswordStatus as P, LoginUsernameStatus as U};
        let Login::LoggingIn(number) = self.login else { return stray(c, 0x03) };
        if (username, password, byte_order) == (U::Okay, P::Okay, E::Okay) {
            // D6: both from the next packet on.
            (c.sends, c.receives) = (c.config.speaks, c.config.speaks);
            self.logged_in(c, number, Outcome::Okay);
        } else {
            self.logged_in(c, number, Outcome::LoginRefused { username, password, byte_order });
        }
    }

    fn handle_register_result(
        &mut self,
        c: &mut ClientConnection,
        username: RegisterUsernameStatus,
        password: RegisterPasswordStatus,
        email: RegisterEmailStatus,
    ) {
        use {RegisterEmailStatus as E, RegisterPasswordStatus as P, RegisterUsernameStatus as U};
        let Login::Registering(number) = self.login else { return stray(c, 0x07) };
        let okay = (username, password, email) == (U::Okay, P::Okay, E::Okay);
        let refused = Outcome::RegisterRefused { username, password, email };
        self.logged_in(c, number, if okay { Outcome::Okay } else { refused });
    }

    fn handle_short_result(
        &mut self,
        c: &mut ClientConnection,
        id: ClientMessageId,
        room: ShortRoomStatus,
        message: ShortMessageStatus,
    ) {
        let number = u32::from_be_bytes(id.0);
        let is_message = |talk: &Talk| {
            talk.requests.get(&number).is_some_and(|(what, _)| matches!(what, What::Message))
        };
        if !self.talk.as_deref().is_some_and(is_message) {
            return stray(c, 0x51);
        }
        self.close(number);
        let okay = (room, message) == (ShortRoomStatus::Okay, ShortMessageStatus::Okay);
        let refused = Outcome::MessageRefused { room, message };
        outcome(c, number, if okay { Outcome::Okay } else { refused });
    }

    /// The result of the oldest wish of its kind.
    fn handle_wish_result(
        &mut self,
        c: &mut ClientConnection,
        packet: u8,
        kind: Kind,
        room: RoomId,
        result: Outcome,
    ) {
        let range = (kind, room, 0)..=(kind, room, u32::MAX);
        let oldest = self.talk.as_ref().and_then(|talk| talk.wishes.range(range).next().copied());
        let Some(wish @ (_, _, number)) = oldest else { return stray(c, packet) };
        if self.close(number).is_some() {
            outcome(c, number, result);
        } else {
            // It was given up before.
            self.talk().wishes.remove(&wish);
            self.release();
            stray(c, packet);
        }
    }

    // Long messages to the server (step 4).

    fn going(&mut self, id: ClientMessageId) -> Option<(usize, &mut Outgoing<u32>)> {
        let number = u32::from_be_bytes(id.0);
        self.talk.as_mut()?.going.iter_mut().enumerate().find(|(_, g)| g.id == number)
    }

    fn long_ended(&mut self, c: &mut ClientConnection, at: usize, result: Outcome) {
        if let Some(talk) = self.talk.as_mut().filter(|talk| at < talk.going.len()) {
            let number = talk.going.remove(at).id;
            outcome(c, number, result);
        }
        self.release();
    }

    fn handle_head_result(
        &mut self,
        c: &mut ClientConnection,
        id: ClientMessageId,
        remaining: HeadCountStatus,
        room: LongRoomStatus,
        message: LongMessageStatus,
    ) {
        use {HeadCountStatus as Tp, LongMessageStatus as M, LongRoomStatus as Rid};
        let Some((at, outgoing)) = self.going(id) else { return };
        if (remaining, room, message) == (Tp::Okay, Rid::Okay, M::Okay) {
            if !core::mem::replace(&mut outgoing.accepted, true) {
                progress(c, outgoing);
            }
            self.fill(c);
        } else {
            self.long_ended(c, at, Outcome::HeadRefused { remaining, room, message });
        }
    }

    fn handle_next_result(
        &mut self,
        c: &mut ClientConnection,
        id: ClientMessageId,
        number: PartNumberStatus,
        room: LongRoomStatus,
        message: LongMessageStatus,
    ) {
        use {LongMessageStatus as M, LongRoomStatus as Rid, PartNumberStatus as Pn};
        let Some((at, outgoing)) = self.going(id) else { return };
        if (number, room, message) != (Pn::Okay, Rid::Okay, M::Okay) {
            return self.long_ended(c, at, Outcome::PartRefused { number, room, message });
        }
        outgoing.arrived = outgoing.arrived.saturating_add(1);
        if outgoing.arrived >= outgoing.remaining() && !outgoing.has_next() {
            self.long_ended(c, at, Outcome::Okay);
        } else {
            progress(c, outgoing);
        }
    }

    fn handle_resend_head(&mut self, c: &mut ClientConnection, id: ClientMessageId) {
        let max_resends = c.limits().max_resends;
        let Some((_, outgoing)) = self.going(id).filter(|_| c.has_room()) else { return };
        if let Resend::Part(head) = outgoing.resend(0, max_resends) {
            answer(c, &head_packet(outgoing, &head));
        }
    }

    fn handle_resend_next(&mut self, c: &mut ClientConnection, id: ClientMessageId, number: u32) {
        let max_resends = c.limits().max_resends;
        let may = number > 0 && c.has_room();
        let Some((_, outgoing)) = self.going(id).filter(|_| may) else { return };
        if let Resend::Part(part) = outgoing.resend(number, max_resends) {
            let (client_message_id, message) = (id, Base64::of(&part[..]));
            answer(c, &ClientPacketRef::LongMessageNext { number, client_message_id, message });
        }
    }

    // Long messages from the server (step 4).

    fn handle_head(
        &mut self,
        c: &mut ClientConnection,
        unique_id: UniqueId,
        room: RoomId,
        remaining: u32,
        message: &Base64<&[u8]>,
    ) {
        let max_assemblies = c.limits().max_assemblies;
        let coming = &mut self.talk().coming;
        if coming.knows(unique_id) != Known::Unknown {
            return;
        }
        let reason = if !(1..=c.limits().max_parts).contains(&remaining) {
            DropReason::PartCount(remaining)
        } else if coming.len() >= max_assemblies {
            DropReason::TooMany
        } else {
            match message.payload() {
                Ok(head) => {
                    let times = times(&c.config);
                    coming.begin(unique_id, room, remaining, head.into(), &c.clock, times);
                    return;
                }
                Err(error) => DropReason::BadHead(error),
            }
        };
        c.push_event(ClientEvent::LongMessageDropped { unique_id, reason }, 0);
    }

    fn handle_next(
        &mut self,
        c: &mut ClientConnection,
        unique_id: UniqueId,
        number: u32,
        message: &Base64<&[u8]>,
    ) -> Result<(), ContentError> {
        let Some(talk) = &mut self.talk else { return Ok(()) };
        // Without a head, or no such part, or there already: nothing to be done about it.
        if talk.coming.lacks(unique_id, number) != Some(true) {
            return Ok(());
        }
        let part = Bytes::from(message.payload()?);
        let added = talk.coming.add(unique_id, number, part, &c.clock, times(&c.config));
        if let Added::Whole(room, message) = added {
            answer_if_room(c, &ClientPacketRef::LongMessageReceived { unique_id });
            let bytes = message.footprint();
            c.push_event(ClientEvent::LongMessage { unique_id, room, message }, bytes);
        }
        Ok(())
    }

    /// Does what a packet asks for, unless its content can't be read.
    fn handle(
        &mut self,
        c: &mut ClientConnection,
        packet: ServerPacket<&[u8]>,
    ) -> Result<(), ContentError> {
        let id = packet.id().0;
        match packet {
            ServerPacket::GuestUsername { username } => {
                let username: Box<str> = name(&username)?.into();
                let bytes = username.len();
                c.push_event(ClientEvent::Guest { username }, bytes);
            }
            ServerPacket::LoginResult { username_status, password_status, byte_order_status } => {
                self.handle_login_result(c, username_status, password_status, byte_order_status);
            }
            ServerPacket::RegisterResult { username_status, password_status, email_status } => {
                self.handle_register_result(c, username_status, password_status, email_status);
            }
            ServerPacket::BadLogin => match self.login {
                Login::LoggingIn(number) => self.logged_in(c, number, Outcome::Malformed),
                _ => c.push_event(ClientEvent::Complaint(PacketId(id)), 0),
            },
            ServerPacket::BadRegister => match self.login {
                Login::Registering(number) => self.logged_in(c, number, Outcome::Malformed),
                _ => c.push_event(ClientEvent::Complaint(PacketId(id)), 0),
            },
            ServerPacket::MultipleEndpointsRefused => {
                c.end_with(SessionError::MultipleEndpointsRefused);
            }
            ServerPacket::BadFirstPacket => c.end_with(SessionError::BadFirstPacket),
            ServerPacket::ShortMessageResult { client_message_id, room_status, message_status } => {
                self.handle_short_result(c, client_message_id, room_status, message_status);
            }
            ServerPacket::ShortMessageDelivery { unique_id, room, username, alias, message } => {
                let (username, alias) = names(&username, &alias)?;
                let message = Bytes::from(message.payload()?);
                answer_if_room(c, &ClientPacketRef::ShortMessageReceived { unique_id });
                let bytes = username.len().saturating_add(alias.len());
                let bytes = bytes.saturating_add(message.len());
                let event = ClientEvent::Message { unique_id, room, username, alias, message };
                c.push_event(event, bytes);
            }
            ServerPacket::LongMessageHeadResult {
                client_message_id,
                remaining_status,
                room_status,
                message_status,
            } => self.handle_head_result(
                c,
                client_message_id,
                remaining_status,
                room_status,
                message_status,
            ),
            ServerPacket::ResendLongMessageHead { client_message_id } => {
                self.handle_resend_head(c, client_message_id);
            }
            ServerPacket::LongMessageNextResult {
                client_message_id,
                number_status,
                room_status,
                message_status,
            } => self.handle_next_result(
                c,
                client_message_id,
                number_status,
                room_status,
                message_status,
            ),
            ServerPacket::ResendLongMessageNext { number, client_message_id } => {
                self.handle_resend_next(c, client_message_id, number);
            }
            ServerPacket::LongMessageDeliveryHead { remaining, unique_id, room, message } => {
                self.handle_head(c, unique_id, room, remaining, &message);
            }
            ServerPacket::LongMessageDeliveryNext { number, unique_id, message } => {
                self.handle_next(c, unique_id, number, &message)?;
            }
            // It follows, or it doesn't: what is missing is asked for until it is time to give up.
            ServerPacket::ResendDeliveryResult { .. } => {}
            ServerPacket::JoinRoomResult { room, room_status } => {
                let result = match room_status {
                    JoinRoomStatus::Okay => Outcome::Okay,
                    status => Outcome::JoinRefused(status),
                };
                self.handle_wish_result(c, id, Kind::Join, room, result);
            }
            ServerPacket::PartRoomResult { room, room_status } => {
                let result = match room_status {
                    PartRoomStatus::Okay => Outcome::Okay,
                    status => Outcome::LeaveRefused(status),
                };
                self.handle_wish_result(c, id, Kind::Part, room, result);
            }
            ServerPacket::ChangeAliasResult { alias_status } => {
                let result = match alias_status {
                    NewAliasStatus::Okay => Outcome::Okay,
                    status => Outcome::AliasRefused(status),
                };
                self.handle_wish_result(c, id, Kind::Alias, RoomId::GLOBAL, result);
            }
            ServerPacket::UserJoined { room, username, alias } => {
                let (username, alias) = names(&username, &alias)?;
                let bytes = username.len().saturating_add(alias.len());
                c.push_event(ClientEvent::UserJoined { room, username, alias }, bytes);
            }
            ServerPacket::UserParted { room, username, alias } => {
                let (username, alias) = names(&username, &alias)?;
                let bytes = username.len().saturating_add(alias.len());
                c.push_event(ClientEvent::UserParted { room, username, alias }, bytes);
            }
            ServerPacket::AliasChanged { username, old_alias, new_alias } => {
                let (username, old_alias) = names(&username, &old_alias)?;
                let new_alias: Box<str> = new_alias.as_str()?.into();
                let bytes = username.len().saturating_add(old_alias.len());
                let bytes = bytes.saturating_add(new_alias.len());
                c.push_event(ClientEvent::AliasChanged { username, old_alias, new_alias }, bytes);
            }
            ServerPacket::BadShortMessage
            | ServerPacket::UnknownReceipt { .. }
            | ServerPacket::BadReceipt
            | ServerPacket::BadLongMessageHead
            | ServerPacket::BadLongMessageNext
            | ServerPacket::UnknownLongReceipt { .. }
            | ServerPacket::BadLongReceipt
            | ServerPacket::UnknownResend { .. }
            | ServerPacket::BadResend => c.push_event(ClientEvent::Complaint(PacketId(id)), 0),
            ServerPacket::PacketNotSupported => c.push_event(ClientEvent::PacketNotSupported, 0),
            ServerPacket::ServerSupports { packets } => {
                let packets = packets.to_set();
                self.supports = Some(Box::new(packets));
                c.push_event(ClientEvent::ServerSupports(packets), 0);
            }
        }
        Ok(())
    }
}

fn stray(c: &mut ClientConnection, id: u8) {
    c.push_event(ClientEvent::Stray(PacketId(id)), 0);
}

impl Side for ClientSide {
    const NAME: &'static str = "Client";
    const STOPS_READING: bool = false;
    type Peer = FromServer;
    type Event = ClientEvent;
    type Config = ClientConfig;

    fn handle_packet(
        &mut self,
        c: &mut ClientConnection,
        packet: ServerPacket<&[u8]>,
    ) -> Result<(), ViolationKind> {
        c.note_good();
        let id = packet.id();
        if let Err(error) = self.handle(c, packet) {
            c.push_event(ClientEvent::BadContent { packet: id, error }, 0);
        }
        self.release();
        Ok(())
    }

    fn handle_bad(
        &mut self,
        c: &mut ClientConnection,
        bad: &DecodeError,
        whole: bool,
    ) -> Result<(), ViolationKind> {
        if whole {
            c.push_event(ClientEvent::BadPacket(*bad), 0);
            c.note_bad()?;
        }
        Ok(())
    }

    fn fill(&mut self, c: &mut ClientConnection) {
        let Some(talk) = &mut self.talk else { return };
        for outgoing in talk.going.iter_mut().filter(|outgoing| outgoing.accepted) {
            while c.has_room() {
                let Some((number, part)) = outgoing.next() else { break };
                let client_message_id = ClientMessageId::from_counter(outgoing.id);
                let message = Base64::of(&part[..]);
                let packet =
                    ClientPacketRef::LongMessageNext { number, client_message_id, message };
                answer(c, &packet);
            }
        }
    }

    fn next_deadline(&self, c: &ClientConnection) -> Time {
        let Some(talk) = &self.talk else { return NEVER };
        let requests = talk.requests.first_key_value().map_or(NEVER, |(_, (_, due))| *due);
        let going = talk.going.iter().map(|g| g.deadline).min().unwrap_or(NEVER);
        requests.min(going).min(talk.coming.next_deadline(c.limits().max_resends))
    }

    fn handle_due(&mut self, c: &mut ClientConnection) -> bool {
        let time = c.clock.time();
        let Some(talk) = &mut self.talk else { return false };
        let oldest = talk.requests.first_key_value().filter(|(_, (_, due))| *due <= time);
        if let Some(number) = oldest.map(|(number, _)| *number) {
            if talk.wishes.len() > c.limits().max_pending {
                self.close(number);
            } else {
                talk.requests.remove(&number);
                self.release();
            }
            outcome(c, number, Outcome::TimedOut);
            return true;
        }
        if let Some(at) = talk.going.iter().position(|g| g.deadline <= time) {
            self.long_ended(c, at, Outcome::TimedOut);
            return true;
        }
        match talk.coming.due(&c.clock, c.limits(), times(&c.config), c.has_room()) {
            None => return false,
            Some(Due::Dropped(unique_id, _)) => {
                let reason = DropReason::TimedOut;
                c.push_event(ClientEvent::LongMessageDropped { unique_id, reason }, 0);
                self.release();
            }
            Some(Due::Ask(unique_id, missing)) => {
                let unique_id_prefix = unique_id.prefix();
                for number in missing.iter() {
                    if !c.has_room() {
                        break;
                    }
                    answer(c, &ClientPacketRef::ResendDeliveryNext { number, unique_id_prefix });
                }
            }
        }
        true
    }

    fn next_closed(&mut self) -> Option<ClientEvent> {
        let closed = |number| {
            let outcome = Outcome::Closed;
            Some(ClientEvent::Outcome { request: RequestId(number), outcome })
        };
        if let Login::LoggingIn(number) | Login::Registering(number) = self.login {
            self.login = Login::No;
            return closed(number);
        }
        let talk = self.talk.as_mut()?;
        if let Some((number, _)) = talk.requests.pop_first() {
            return closed(number);
        }
        if let Some(outgoing) = talk.going.pop() {
            return closed(outgoing.id);
        }
        self.talk = None;
        None
    }
}

impl fmt::Debug for ClientSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.login.fmt(f)
    }
}

delegate_session!(Client, ClientEvent);
