mod login;
mod messages;
mod rooms;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::time::Instant;

use bytes::Bytes;
use smallwire_core::clock::{NEVER, Time};
use smallwire_core::{End, Session};

use crate::connection::{Connection, Endpoint, Side, delegate_session};
use crate::long::{Assemblies, Due, Known, Outgoing, cut, most_parts, part_len};
use crate::{
    AliasId, AliasRefusal, AnswerError, Base64, ByteOrder, ClientMessageId, ClientPacket,
    DecideError, DecodeError, DecodeErrorKind, EncodeError, FromClient, JoinId, JoinRoomStatus,
    LoginRefusal, LongMessage, LongMessageStatus, MessageId, NewAliasStatus, Overlong, PacketList,
    PacketSet, PartNumberStatus, RegisterRefusal, RoomId, RoomRefusal, SendError, ServerConfig,
    ServerEvent, ServerPacketRef, SessionError, ShortMessageStatus, ShortRoomStatus, UniqueId,
    Violation, ViolationKind,
};
use messages::{head_result, next_result, short_result, times, too_long};
use rooms::{alias_result, handle_invite, join_result};

/// The server's end of one connection.
///
/// Made when a TCP connection is accepted; how it is driven is told at [`Session`]. It greets the client, hands what
/// only the application can decide to it, answers all else, puts long messages together, asks for their parts
/// again, and knows the client's rooms. An example of both ends is at [`Client`](crate::Client).
///
/// The protocol has no heartbeat: a client that vanished without a word shows by the keep-alive of the socket only.
pub struct Server(Endpoint<ServerSide>);

impl Server {
    /// Starts a session and queues its greeting, with a name that the client goes by until it logs in (step 1).
    ///
    /// # Errors
    /// The name is empty, too long or not printable ASCII.
    pub fn new(config: Arc<ServerConfig>, guest: &str, now: Instant) -> Result<Self, EncodeError> {
        let mut greeting = Vec::new();
        ServerPacketRef::GuestUsername { username: guest.into() }
            .encode(&config.codec, &mut greeting)?;
        let mut endpoint = Endpoint::new(config, ServerSide::default(), now);
        let c = &mut endpoint.connection;
        c.answer(|_, out| {
            *out = greeting;
            Ok(())
        });
        c.login_deadline = c.clock.after(c.config.login_timeout);
        Ok(Self(endpoint))
    }

    /// Lets the client in that [`ServerEvent::Login`] or [`ServerEvent::Register`] told of (step 2). What it sent
    /// since is handled now.
    ///
    /// # Errors
    /// Nobody waits for it: also when the session has ended meanwhile.
    pub fn accept(&mut self, now: Instant) -> Result<(), DecideError> {
        let (c, side) = self.0.at(now);
        side.accept(c)?;
        self.0.go_on();
        Ok(())
    }

    /// Turns the client away that [`ServerEvent::Login`] told of (step 2). It may try again, a few times.
    ///
    /// # Errors
    /// Nobody waits for it: also when the session has ended meanwhile, or who waits wants to register.
    pub fn refuse_login(&mut self, now: Instant, why: LoginRefusal) -> Result<(), DecideError> {
        let (c, side) = self.0.at(now);
        side.refuse_login(c, why)?;
        self.0.go_on();
        Ok(())
    }

    /// Turns the client away that [`ServerEvent::Register`] told of (step 2). It may try again, a few times.
    ///
    /// # Errors
    /// Nobody waits for it: also when the session has ended meanwhile, or who waits wants to log in.
    pub fn refuse_registration(
        &mut self,
        now: Instant,
        why: RegisterRefusal,
    ) -> Result<(), DecideError> {
        let (c, side) = self.0.at(now);
        side.refuse_registration(c, why)?;
        self.0.go_on();
        Ok(())
    }

    /// Tells the client that its message is accepted (step 3). There is no hurry on this side, but the client may
    /// have given up after its `result_timeout`; the same goes for the other answers.
    ///
    /// # Errors
    /// It awaits no answer.
    pub fn accept_message(&mut self, now: Instant, id: MessageId) -> Result<(), AnswerError> {
        self.answer_message(now, id, ShortRoomStatus::Okay)
    }

    /// Tells the client that it may not say that in this room (step 3).
    ///
    /// # Errors
    /// It awaits no answer.
    pub fn refuse_message(
        &mut self,
        now: Instant,
        id: MessageId,
        why: RoomRefusal,
    ) -> Result<(), AnswerError> {
        self.answer_message(
            now,
            id,
            match why {
                RoomRefusal::Invalid => ShortRoomStatus::Invalid,
                RoomRefusal::NotAuthorized => ShortRoomStatus::NotAuthorized,
            },
        )
    }

    fn answer_message(
        &mut self,
        now: Instant,
        id: MessageId,
        room_status: ShortRoomStatus,
    ) -> Result<(), AnswerError> {
        let (c, side) = self.0.at(now);
        let take = |question: &Question| match question {
            Question::Message(id) => Some(*id),
            _ => None,
        };
        let client_message_id = side.take_question(c, id.0, take)?;
        short_result(c, client_message_id, room_status, ShortMessageStatus::Okay);
        Ok(())
    }

    /// Lets the client into a room (step 5). Tell those in it with [`user_joined`](Self::user_joined).
    ///
    /// # Errors
    /// It awaits no answer; or it is told why it isn't let in: it is in the room, having asked twice, or in
    /// `max_rooms`.
    pub fn accept_join(&mut self, now: Instant, id: JoinId) -> Result<(), AnswerError> {
        let (c, side) = self.0.at(now);
        let room = side.take_question(c, id.0, Question::room)?;
        let was_in = side.is_in(room);
        let is_in = side.enter(c, room);
        join_result(
            c,
            room,
            match (was_in, is_in) {
                (true, _) => JoinRoomStatus::AlreadyInRoom,
                (_, true) => JoinRoomStatus::Okay,
                (_, false) => JoinRoomStatus::NotAuthorized,
            },
        );
        if is_in && !was_in { Ok(()) } else { Err(AnswerError) }
    }

    /// Doesn't let the client into a room (step 5).
    ///
    /// # Errors
    /// It awaits no answer.
    pub fn refuse_join(
        &mut self,
        now: Instant,
        id: JoinId,
        why: RoomRefusal,
    ) -> Result<(), AnswerError> {
        let (c, side) = self.0.at(now);
        let room = side.take_question(c, id.0, Question::room)?;
        join_result(
            c,
            room,
            match why {
                RoomRefusal::Invalid => JoinRoomStatus::Invalid,
                RoomRefusal::NotAuthorized => JoinRoomStatus::NotAuthorized,
            },
        );
        Ok(())
    }

    /// Lets the client go by the alias (step 5). Tell those in its rooms with
    /// [`alias_changed`](Self::alias_changed). The client tells its wishes apart by the order of their answers.
    ///
    /// # Errors
    /// It awaits no answer.
    pub fn accept_alias(&mut self, now: Instant, id: AliasId) -> Result<(), AnswerError> {
        let (c, side) = self.0.at(now);
        let alias = side.take_question(c, id.0, Question::alias)?;
        if let Some(member) = &mut side.member {
            member.alias = alias;
        }
        alias_result(c, NewAliasStatus::Okay);
        Ok(())
    }

    /// Doesn't let the client go by the alias (step 5).
    ///
    /// # Errors
    /// It awaits no answer.
    pub fn refuse_alias(
        &mut self,
        now: Instant,
        id: AliasId,
        why: AliasRefusal,
    ) -> Result<(), AnswerError> {
        let (c, side) = self.0.at(now);
        side.take_question(c, id.0, Question::alias)?;
        alias_result(
            c,
            match why {
                AliasRefusal::Invalid => NewAliasStatus::Invalid,
                AliasRefusal::InUse => NewAliasStatus::AlreadyInUse,
            },
        );
        Ok(())
    }

    /// Delivers a message to the client, as a long one if it is longer than 3000 bytes or what `max_packet` lets be
    /// said in one packet: then without the names of who said it, which the protocol has no place for (steps 3 and 4).
    /// Whether the client is in the room is for you to see, and a short message may be empty. `unique_id` is yours, its
    /// first half different from that of any other on its way; one [`Received`](ServerEvent::Received) or
    /// [`Unacknowledged`](ServerEvent::Unacknowledged) will have it.
    ///
    /// # Errors
    /// Nothing is sent: the client isn't logged in, ended, too much waiting, too many long messages on their way, too
    /// long, empty where it would be a long one, the id is on its way already, or a name can't be written.
    pub fn deliver(
        &mut self,
        now: Instant,
        unique_id: UniqueId,
        room: RoomId,
        username: &str,
        alias: &str,
        message: &[u8],
    ) -> Result<(), SendError> {
        let (c, side) = self.0.at(now);
        side.check_member(c)?;
        side.deliver(c, unique_id, room, username, alias, message)
    }

    /// Sends a message to the echo back to the client, under its own names (step 3).
    ///
    /// # Errors
    /// As [`deliver`](Self::deliver).
    pub fn echo(
        &mut self,
        now: Instant,
        unique_id: UniqueId,
        message: &[u8],
    ) -> Result<(), SendError> {
        let (c, side) = self.0.at(now);
        side.check_member(c)?;
        let member = side.member.take();
        let (username, alias) = member.as_ref().map_or(("", ""), |m| (&m.username, &m.alias));
        let sent = side.deliver(c, unique_id, RoomId::ECHO, username, alias, message);
        side.member = member;
        sent
    }

    /// Delivers a long message to the client as it came, without joining or copying it (step 4), unless its parts
    /// are too many or too long for the client: then they are cut anew.
    ///
    /// # Errors
    /// As [`deliver`](Self::deliver).
    pub fn forward(
        &mut self,
        now: Instant,
        unique_id: UniqueId,
        room: RoomId,
        message: &LongMessage,
    ) -> Result<(), SendError> {
        let (c, side) = self.0.at(now);
        side.check_member(c)?;
        let mut parts: Vec<Bytes> = message.parts().cloned().collect();
        let longest = part_len(&c.codec());
        if parts.len() > most_parts(c.limits()) || parts.iter().any(|part| part.len() > longest) {
            let whole = message.to_vec();
            let cut = cut(&whole, &c.codec(), c.limits());
            parts = cut.ok_or_else(|| too_long(c, whole.len()))?;
        }
        if parts.is_empty() {
            return Err(SendError::Empty);
        }
        side.deliver_long(c, unique_id, room, parts)
    }

    /// Tells the client that somebody has joined a room (step 5).
    ///
    /// # Errors
    /// Nothing is sent: the client isn't logged in, ended, too much waiting, or a name can't be written.
    pub fn user_joined(
        &mut self,
        now: Instant,
        room: RoomId,
        username: &str,
        alias: &str,
    ) -> Result<(), SendError> {
        let (username, alias) = (username.into(), alias.into());
        self.send(now, &ServerPacketRef::UserJoined { room, username, alias })
    }

    /// Tells the client that somebody has left a room (step 5).
    ///
    /// # Errors
    /// As [`user_joined`](Self::user_joined).
    pub fn user_parted(
        &mut self,
        now: Instant,
        room: RoomId,
        username: &str,
        alias: &str,
    ) -> Result<(), SendError> {
        let (username, alias) = (username.into(), alias.into());
        self.send(now, &ServerPacketRef::UserParted { room, username, alias })
    }

    /// Tells the client that somebody goes by another alias (step 5).
    ///
    /// # Errors
    /// As [`user_joined`](Self::user_joined).
    pub fn alias_changed(
        &mut self,
        now: Instant,
        username: &str,
        old_alias: &str,
        new_alias: &str,
    ) -> Result<(), SendError> {
        self.send(
            now,
            &ServerPacketRef::AliasChanged {
                username: username.into(),
                old_alias: old_alias.into(),
                new_alias: new_alias.into(),
            },
        )
    }

    fn send(&mut self, now: Instant, packet: &ServerPacketRef<'_>) -> Result<(), SendError> {
        let (c, side) = self.0.at(now);
        side.check_member(c)?;
        c.send(|codec, out| packet.encode(codec, out))
    }

    /// Puts the client into a room that it hasn't asked for; it isn't told (step 5). Gives whether it is in now.
    pub fn enter(&mut self, room: RoomId) -> bool {
        let Endpoint { connection, side, .. } = &mut self.0;
        side.is_logged_in() && side.enter(connection, room)
    }

    /// Takes the client out of a room; it isn't told (step 5).
    pub fn leave(&mut self, room: RoomId) {
        self.0.side.leave(room);
    }

    /// The rooms that the client is in, without those that everybody is in (step 5).
    pub fn rooms(&self) -> &[RoomId] {
        self.0.side.member.as_ref().map_or(&[], |member| &member.rooms)
    }

    /// Whether the client is in a room; everybody is in [`RoomId::GLOBAL`] and [`RoomId::ECHO`] (step 5).
    pub fn is_in(&self, room: RoomId) -> bool {
        self.0.side.is_in(room)
    }

    /// Who the client is, once it is logged in.
    pub fn username(&self) -> Option<&str> {
        self.0.side.member().map(|member| &*member.username)
    }

    /// What the client goes by; empty until it has an alias.
    pub fn alias(&self) -> &str {
        self.0.side.member().map_or("", |member| &member.alias)
    }

    /// The packets that the client says it supports, if it says so (step 6).
    pub fn client_supports(&self) -> Option<&PacketSet> {
        self.0.side.member.as_ref()?.supports.as_deref()
    }

    /// Whether the client has been let in.
    pub fn is_logged_in(&self) -> bool {
        self.0.side.is_logged_in()
    }

    /// Ends the session, cleanly; what is queued is still to be sent. Input that waits, undecoded, for events to be taken is
    /// dropped.
    pub fn close(&mut self, now: Instant) {
        self.0.at(now).0.end(End::Clean);
    }
}

/// What a client asks that the application hasn't answered.
enum Question {
    Message(ClientMessageId),
    Join(RoomId),
    Alias(Box<str>),
}

impl Question {
    fn room(&self) -> Option<RoomId> {
        match self {
            Self::Join(room) => Some(*room),
            _ => None,
        }
    }

    fn alias(&self) -> Option<Box<str>> {
        match self {
            Self::Alias(alias) => Some(alias.clone()),
            _ => None,
        }
    }
}

/// What is kept of a client.
#[derive(Default)]
struct Member {
    /// It is logged in.
    is_in: bool,
    username: Box<str>,
    alias: Box<str>,
    /// In order.
    rooms: Vec<RoomId>,
    supports: Option<Box<PacketSet>>,
}

/// What is going on with a client, while there is something.
#[derive(Default)]
struct Talk {
    questions: BTreeMap<u64, Question>,
    unacked: VecDeque<UniqueId>,
    coming: Assemblies<ClientMessageId>,
    going: Vec<Outgoing<UniqueId>>,
}

/// What the application is asked about a login.
enum Deciding {
    Login { username: Box<str>, order: ByteOrder },
    Register { username: Box<str> },
}

/// A login that the application decides about, and what came behind it (step 1).
#[derive(Default)]
struct Held {
    deciding: Option<Deciding>,
    packets: VecDeque<(u64, Result<ClientPacket, DecodeError>)>,
}

#[derive(Default)]
struct ServerSide {
    member: Option<Box<Member>>,
    talk: Option<Box<Talk>>,
    held: Option<Box<Held>>,
    next_question: u64,
    failed_logins: u8,
}

type ServerConnection = Connection<ServerSide>;

fn answer(c: &mut ServerConnection, packet: &ServerPacketRef<'_>) {
    c.answer(|codec, out| packet.encode(codec, out));
}

/// Packets that clients may send before they are logged in (step 1).
fn is_for_guests<B: AsRef<[u8]>>(packet: &ClientPacket<B>) -> bool {
    matches!(
        packet,
        ClientPacket::Login { .. }
            | ClientPacket::Register { .. }
            | ClientPacket::LogOff
            | ClientPacket::SupportedPacketsRequest
            | ClientPacket::ClientSupports { .. }
    )
}

impl ServerSide {
    fn is_logged_in(&self) -> bool {
        self.member.as_ref().is_some_and(|member| member.is_in)
    }

    /// The client, if it is logged in.
    fn member(&self) -> Option<&Member> {
        self.member.as_deref().filter(|member| member.is_in)
    }

    fn check_member(&self, c: &ServerConnection) -> Result<(), SendError> {
        if c.has_ended() {
            Err(SendError::Ended)
        } else if self.is_logged_in() {
            Ok(())
        } else {
            Err(SendError::NotLoggedIn)
        }
    }

    fn is_in(&self, room: RoomId) -> bool {
        matches!(room, RoomId::GLOBAL | RoomId::ECHO)
            || self.member.as_ref().is_some_and(|m| m.rooms.binary_search(&room).is_ok())
    }

    fn enter(&mut self, c: &ServerConnection, room: RoomId) -> bool {
        if matches!(room, RoomId::GLOBAL | RoomId::ECHO) {
            return true;
        }
        let rooms = &mut self.member.get_or_insert_default().rooms;
        match rooms.binary_search(&room) {
            Ok(_) => true,
            Err(at) if rooms.len() < c.limits().max_rooms => {
                rooms.insert(at, room);
                true
            }
            Err(_) => false,
        }
    }

    /// Whether the client was in it.
    fn leave(&mut self, room: RoomId) -> bool {
        let Some(member) = &mut self.member else { return false };
        let Ok(at) = member.rooms.binary_search(&room) else { return false };
        member.rooms.remove(at);
        if member.rooms.is_empty() {
            member.rooms = Vec::new();
        }
        true
    }

    fn talk(&mut self) -> &mut Talk {
        self.talk.get_or_insert_default()
    }

    /// An idle session keeps no queues.
    fn release(&mut self) {
        if let Some(talk) = &mut self.talk {
            if talk.unacked.is_empty() {
                talk.unacked = VecDeque::new();
            }
            if talk.going.is_empty() {
                talk.going = Vec::new();
            }
            if talk.unacked.is_empty()
                && talk.going.is_empty()
                && talk.questions.is_empty()
                && talk.coming.is_empty()
            {
                self.talk = None;
            }
        }
        if self.held.as_ref().is_some_and(|h| h.deciding.is_none() && h.packets.is_empty()) {
            self.held = None;
        }
    }

    /// Whether what comes has to wait behind what came.
    fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// Keeps what comes while the application decides (step 1).
    fn hold(
        &mut self,
        c: &ServerConnection,
        packet: Result<ClientPacket, DecodeError>,
    ) -> Result<(), ViolationKind> {
        let limits = c.limits();
        let held = self.held.get_or_insert_default();
        let from = held.packets.front().map_or(c.position, |(from, _)| *from);
        let bytes = usize::try_from(c.position.wrapping_sub(from)).unwrap_or(usize::MAX);
        if held.packets.len() >= limits.max_held_packets
            || (bytes >= limits.max_held_bytes && !held.packets.is_empty())
        {
            return Err(ViolationKind::TooMuchHeld);
        }
        held.packets.push_back((c.position, packet));
        Ok(())
    }

    fn handle<B: AsRef<[u8]>>(
        &mut self,
        c: &mut ServerConnection,
        packet: &ClientPacket<B>,
    ) -> Result<(), ViolationKind> {
        c.note_good();
        if !self.is_logged_in() && !is_for_guests(packet) {
            answer(c, &ServerPacketRef::BadFirstPacket);
            return Err(ViolationKind::NotLoggedIn(packet.id()));
        }
        match packet {
            ClientPacket::Login { username, password, byte_order } => {
                self.handle_login(c, username, password.expose(), *byte_order);
            }
            ClientPacket::Register { username, password, email } => {
                self.handle_register(c, username, password.expose(), email);
            }
            ClientPacket::LogOff => c.end(End::Clean),
            ClientPacket::ShortMessage { client_message_id, room, message } => {
                self.handle_short(c, *client_message_id, *room, message);
            }
            ClientPacket::ShortMessageReceived { unique_id } => {
                self.handle_receipt(c, *unique_id);
            }
            ClientPacket::LongMessageHead { remaining, client_message_id, room, message } => {
                self.handle_head(c, *client_message_id, *room, *remaining, message);
            }
            ClientPacket::LongMessageNext { number, client_message_id, message } => {
                self.handle_next(c, *client_message_id, *number, message);
            }
            ClientPacket::LongMessageReceived { unique_id } => {
                self.handle_long_receipt(c, *unique_id);
            }
            ClientPacket::ResendDeliveryNext { number, unique_id_prefix } => {
                self.handle_resend(c, *unique_id_prefix, *number);
            }
            ClientPacket::JoinRoom { room, password } => {
                self.handle_join(c, *room, password.expose());
            }
            ClientPacket::PartRoom { room, part_message } => {
                self.handle_part(c, *room, part_message.as_ref());
            }
            ClientPacket::ChangeAlias { new_alias } => self.handle_alias(c, new_alias),
            ClientPacket::InviteUser { room, username, alias } => {
                handle_invite(c, *room, username, alias);
            }
            ClientPacket::SupportedPacketsRequest => {
                let ids = ClientPacket::LAYOUTS.iter().map(|layout| layout.id);
                let packets = PacketList::from(ids.collect::<PacketSet>());
                answer(c, &ServerPacketRef::ServerSupports { packets });
            }
            ClientPacket::ClientSupports { packets } => {
                let supports = Some(Box::new(packets.to_set()));
                self.member.get_or_insert_default().supports = supports;
            }
        }
        self.release();
        Ok(())
    }

    fn handle_bad_packet(
        &mut self,
        c: &mut ServerConnection,
        bad: &DecodeError,
        whole: bool,
    ) -> Result<(), ViolationKind> {
        if c.is_news(bad) {
            self.answer_bad(c, bad)?;
            if c.has_ended() {
                return Ok(());
            }
        }
        if whole {
            c.push_event(ServerEvent::BadPacket(*bad), 0);
            c.note_bad()?;
        }
        Ok(())
    }

    /// Each has its own answer, if any has (D3, D4).
    fn answer_bad(
        &mut self,
        c: &mut ServerConnection,
        bad: &DecodeError,
    ) -> Result<(), ViolationKind> {
        let is_known = bad.kind != DecodeErrorKind::UnknownPacket;
        match bad.id.0 {
            0x02 => answer(c, &ServerPacketRef::BadLogin),
            0x06 => answer(c, &ServerPacketRef::BadRegister),
            _ if !self.is_logged_in() => {
                answer(c, &ServerPacketRef::BadFirstPacket);
                return Err(ViolationKind::Malformed(bad.kind));
            }
            id if is_known && self.answer_broken(c, id, bad) => {}
            _ => tell_unsupported(c),
        }
        if !self.is_logged_in() {
            self.note_failed_login(c);
        }
        Ok(())
    }

    /// Answers what has a packet for its being broken.
    fn answer_broken(&mut self, c: &mut ServerConnection, id: u8, bad: &DecodeError) -> bool {
        if let DecodeErrorKind::MessageTooLong(overlong) = bad.kind {
            self.answer_overlong(c, overlong);
            return true;
        }
        let broken = match id {
            0x50 => ServerPacketRef::BadShortMessage,
            0x54 => ServerPacketRef::BadReceipt,
            0x57 => ServerPacketRef::BadLongMessageHead,
            0x5B => ServerPacketRef::BadLongMessageNext,
            0x60 => ServerPacketRef::BadLongReceipt,
            0x63 => ServerPacketRef::BadResend,
            _ => return false,
        };
        answer(c, &broken);
        true
    }

    fn answer_overlong(&mut self, c: &mut ServerConnection, overlong: Overlong) {
        match overlong {
            Overlong::Short { client_message_id, room } => {
                let status = self.short_room_status(room);
                short_result(c, client_message_id, status, ShortMessageStatus::MessageTooLong);
            }
            Overlong::Head { remaining, client_message_id, room } => {
                let remaining = self.count_status(c, remaining);
                let room = self.long_room_status(room);
                head_result(c, client_message_id, remaining, room, LongMessageStatus::Invalid);
            }
            Overlong::Next { number, client_message_id } => {
                let coming = self.talk.as_ref().map(|talk| &talk.coming);
                let is_open = coming.is_some_and(|c| c.knows(client_message_id) == Known::Open);
                let lacks = coming.and_then(|c| c.lacks(client_message_id, number));
                let number = if is_open && lacks.is_none() {
                    PartNumberStatus::Invalid
                } else {
                    PartNumberStatus::Okay
                };
                next_result(c, client_message_id, number, LongMessageStatus::Invalid);
            }
        }
    }
}

/// One for each run of bad packets (D4).
fn tell_unsupported(c: &mut ServerConnection) {
    if !c.told_unsupported {
        c.told_unsupported = true;
        answer(c, &ServerPacketRef::PacketNotSupported);
    }
}

impl Side for ServerSide {
    const NAME: &'static str = "Server";
    const STOPS_READING: bool = true;
    type Peer = FromClient;
    type Event = ServerEvent;
    type Config = ServerConfig;

    fn handle_packet(
        &mut self,
        c: &mut ServerConnection,
        packet: ClientPacket<&[u8]>,
    ) -> Result<(), ViolationKind> {
        if self.holds() {
            return self.hold(c, Ok(packet.map(Bytes::copy_from_slice)));
        }
        self.handle(c, &packet)
    }

    fn handle_bad(
        &mut self,
        c: &mut ServerConnection,
        bad: &DecodeError,
        whole: bool,
    ) -> Result<(), ViolationKind> {
        if !self.holds() {
            return self.handle_bad_packet(c, bad, whole);
        }
        if whole { self.hold(c, Err(*bad)) } else { Ok(()) }
    }

    fn handle_held(&mut self, c: &mut ServerConnection) -> Option<Result<(), Violation>> {
        let held = self.held.as_mut().filter(|held| held.deciding.is_none())?;
        let (offset, packet) = held.packets.pop_front()?;
        let handled = match packet {
            Ok(packet) => self.handle(c, &packet),
            Err(bad) => self.handle_bad_packet(c, &bad, true),
        };
        self.release();
        Some(handled.map_err(|kind| Violation { kind, offset }))
    }

    fn has_held(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !held.packets.is_empty())
    }

    fn fill(&mut self, c: &mut ServerConnection) {
        let Some(talk) = &mut self.talk else { return };
        for outgoing in &mut talk.going {
            while c.has_room() {
                let Some((number, part)) = outgoing.next() else { break };
                let (unique_id, message) = (outgoing.id, Base64::of(&part[..]));
                let packet =
                    ServerPacketRef::LongMessageDeliveryNext { number, unique_id, message };
                answer(c, &packet);
            }
        }
    }

    fn next_deadline(&self, c: &ServerConnection) -> Time {
        let Some(talk) = &self.talk else { return NEVER };
        let going = talk.going.iter().map(|g| g.deadline).min().unwrap_or(NEVER);
        going.min(talk.coming.next_deadline(c.limits().max_resends))
    }

    fn handle_due(&mut self, c: &mut ServerConnection) -> bool {
        let time = c.clock.time();
        let Some(talk) = &mut self.talk else { return false };
        if let Some(at) = talk.going.iter().position(|g| g.deadline <= time) {
            let unique_id = talk.going.remove(at).id;
            c.push_event(ServerEvent::Unacknowledged { unique_id }, 0);
            self.release();
            return true;
        }
        match talk.coming.due(&c.clock, c.limits(), times(&c.config), c.has_room()) {
            None => return false,
            Some(Due::Dropped(client_message_id, room)) => {
                c.push_event(ServerEvent::LongMessageDropped { client_message_id, room }, 0);
                self.release();
            }
            Some(Due::Ask(client_message_id, missing)) => {
                for number in missing.iter() {
                    if !c.has_room() {
                        break;
                    }
                    let packet =
                        ServerPacketRef::ResendLongMessageNext { number, client_message_id };
                    answer(c, &packet);
                }
            }
        }
        true
    }

    fn next_closed(&mut self) -> Option<ServerEvent> {
        let talk = self.talk.as_mut()?;
        let next = match talk.unacked.pop_front() {
            Some(unique_id) => Some(unique_id),
            None => talk.going.pop().map(|outgoing| outgoing.id),
        };
        if next.is_none() {
            self.talk = None;
        }
        next.map(|unique_id| ServerEvent::Unacknowledged { unique_id })
    }
}

impl fmt::Debug for ServerSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.held {
            _ if self.is_logged_in() => "LoggedIn",
            Some(held) if held.deciding.is_some() => "Deciding",
            _ => "Greeted",
        })
    }
}

delegate_session!(Server, ServerEvent);
