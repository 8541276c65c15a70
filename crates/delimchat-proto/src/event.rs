use alloc::boxed::Box;

use bytes::Bytes;
use smallwire_core::Secret;

use crate::{
    ClientMessageId, ContentError, DecodeError, HeadCountStatus, JoinRoomStatus,
    LoginByteOrderStatus, LoginPasswordStatus, LoginUsernameStatus, LongMessage, LongMessageStatus,
    LongRoomStatus, NewAliasStatus, PacketId, PacketSet, PartNumberStatus, PartRoomStatus,
    RegisterEmailStatus, RegisterPasswordStatus, RegisterUsernameStatus, RoomId,
    ShortMessageStatus, ShortRoomStatus, UniqueId,
};

/// What a [`Client`](crate::Client) tells its application.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The server greets, with a name to go by until login (step 1).
    Guest {
        /// The name.
        username: Box<str>,
    },
    /// How a request of ours ended; comes exactly once for each.
    Outcome {
        /// As the method returned it that made the request.
        request: RequestId,
        /// Its end.
        outcome: Outcome,
    },
    /// How far a long message of ours is, when more of it has arrived (step 4).
    Progress {
        /// As `send_message` returned it.
        request: RequestId,
        /// How many of its parts the server has, the head included.
        arrived: u32,
        /// How many there are.
        parts: u32,
    },
    /// A message; its receipt is sent (step 3).
    Message {
        /// The server's id of it.
        unique_id: UniqueId,
        /// Where it was said.
        room: RoomId,
        /// Who said it.
        username: Box<str>,
        /// What they go by; may be empty.
        alias: Box<str>,
        /// What they said; may be empty.
        message: Bytes,
    },
    /// A long message, whole; its receipt is sent (step 4). The protocol doesn't say whose it is.
    LongMessage {
        /// The server's id of it.
        unique_id: UniqueId,
        /// Where it was said.
        room: RoomId,
        /// What was said.
        message: LongMessage,
    },
    /// A long message that won't arrive (step 4). Of those that the end of the session leaves unfinished none is told.
    LongMessageDropped {
        /// The server's id of it.
        unique_id: UniqueId,
        /// Why not.
        reason: DropReason,
    },
    /// Somebody has joined a room (step 5).
    UserJoined {
        /// The room.
        room: RoomId,
        /// Who.
        username: Box<str>,
        /// What they go by; may be empty.
        alias: Box<str>,
    },
    /// Somebody has left a room (step 5).
    UserParted {
        /// The room.
        room: RoomId,
        /// Who.
        username: Box<str>,
        /// What they go by; may be empty.
        alias: Box<str>,
    },
    /// Somebody goes by another name (step 5).
    AliasChanged {
        /// Who.
        username: Box<str>,
        /// What they went by; may be empty.
        old_alias: Box<str>,
        /// What they go by.
        new_alias: Box<str>,
    },
    /// The packets that the server supports (step 6).
    ServerSupports(PacketSet),
    /// The server says that it doesn't support a packet of ours, not which (D4).
    PacketNotSupported,
    /// The server found a packet of ours broken, or doesn't know the message that it is about: S4, S8, S82, S85, S86,
    /// S89, S93, S97, S98, S101 or S102.
    Complaint(PacketId),
    /// A result of nothing that awaits one: late, twice or made up. Those of long messages aren't told.
    Stray(PacketId),
    /// A packet with content that can't be read; it is as if it hadn't come (D0).
    BadContent {
        /// Which packet.
        packet: PacketId,
        /// What is wrong with one of its fields.
        error: ContentError,
    },
    /// Something that is no packet (D3, D4).
    BadPacket(DecodeError),
}

/// What a [`Server`](crate::Server) tells its application.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent {
    /// The client wants to log in: `accept` it or `refuse_login` (step 2).
    Login {
        /// As who.
        username: Box<str>,
        /// Proven by what.
        password: Secret<Box<[u8]>>,
    },
    /// The client wants to become a user: `accept` it or `refuse_registration` (step 2).
    Register {
        /// As who.
        username: Box<str>,
        /// To be proven by what.
        password: Secret<Box<[u8]>>,
        /// Where to send the validation to.
        email: Box<str>,
    },
    /// The client says something: `accept_message` or `refuse_message` it (step 3). It is in the room.
    Message {
        /// What to answer by.
        id: MessageId,
        /// Where it is said.
        room: RoomId,
        /// What is said; never empty.
        message: Bytes,
    },
    /// The client says something to the echo: send it back with `echo` under an id of yours (step 3).
    Echo {
        /// What is said; never empty.
        message: Bytes,
    },
    /// The client has said something long; it is in the room, and has been answered: there is nothing to accept
    /// (step 4). In [`RoomId::ECHO`], send it back with `forward`.
    LongMessage {
        /// The client's id of it.
        client_message_id: ClientMessageId,
        /// Where it is said.
        room: RoomId,
        /// What is said.
        message: LongMessage,
    },
    /// A long message of the client that wasn't whole in time (step 4). Of those that the end of the session leaves
    /// unfinished none is told.
    LongMessageDropped {
        /// The client's id of it.
        client_message_id: ClientMessageId,
        /// Where it was to be said.
        room: RoomId,
    },
    /// The client has got a message of ours, short or long (steps 3 and 4).
    Received {
        /// As it was given to `deliver`, `echo` or `forward`.
        unique_id: UniqueId,
    },
    /// The client hasn't acknowledged a message of ours, and nothing waits for that any longer: a long one took
    /// too long, more than `max_unacked` came after a short one, or the session has ended (steps 3 and 4).
    Unacknowledged {
        /// As it was given to `deliver`, `echo` or `forward`.
        unique_id: UniqueId,
    },
    /// The client wants to join a room that it isn't in: `accept_join` or `refuse_join` it (step 5).
    JoinRoom {
        /// What to answer by.
        id: JoinId,
        /// Which room.
        room: RoomId,
        /// The password; may be empty.
        password: Secret<Box<[u8]>>,
    },
    /// The client has left a room that it was in; that has been answered (step 5).
    Parted {
        /// Which room.
        room: RoomId,
        /// What it says on leaving.
        message: Option<Box<str>>,
    },
    /// The client wants to go by another name: `accept_alias` or `refuse_alias` it (step 5).
    ChangeAlias {
        /// What to answer by.
        id: AliasId,
        /// The name; never empty.
        alias: Box<str>,
    },
    /// The client invites somebody; that has no answer (step 5).
    Invite {
        /// Where to.
        room: RoomId,
        /// Whom.
        username: Box<str>,
        /// Which of their endpoints; all, if it is empty.
        alias: Box<str>,
    },
    /// Something that is no packet; it has been answered (D3, D4).
    BadPacket(DecodeError),
}

/// How a client's request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// As it was meant to. Of a login or registration: the client is logged in, and a [`Backoff`](crate::Backoff)
    /// may begin anew.
    Okay,
    /// The login is refused; another may be tried (step 2).
    LoginRefused {
        /// U: what became of the username.
        username: LoginUsernameStatus,
        /// P: what became of the password.
        password: LoginPasswordStatus,
        /// E: what became of the byte order.
        byte_order: LoginByteOrderStatus,
    },
    /// The registration is refused; another may be tried (step 2).
    RegisterRefused {
        /// U: what became of the username.
        username: RegisterUsernameStatus,
        /// P: what became of the password.
        password: RegisterPasswordStatus,
        /// E: what became of the e-mail address.
        email: RegisterEmailStatus,
    },
    /// The server finds the layout of the login or registration broken: S4 or S8 (step 2).
    Malformed,
    /// The message is refused (step 3).
    MessageRefused {
        /// RID: what became of the room.
        room: ShortRoomStatus,
        /// M: what became of the message.
        message: ShortMessageStatus,
    },
    /// The long message is refused at its head (step 4).
    HeadRefused {
        /// TP: what became of the number of parts.
        remaining: HeadCountStatus,
        /// RID: what became of the room.
        room: LongRoomStatus,
        /// M: what became of the head's content.
        message: LongMessageStatus,
    },
    /// The long message is refused at one of its parts (step 4).
    PartRefused {
        /// PN: what became of the part's number.
        number: PartNumberStatus,
        /// RID: what became of the room.
        room: LongRoomStatus,
        /// M: what became of the part's content.
        message: LongMessageStatus,
    },
    /// Joining the room is refused (step 5).
    JoinRefused(JoinRoomStatus),
    /// Leaving the room is refused (step 5).
    LeaveRefused(PartRoomStatus),
    /// The alias is refused (step 5).
    AliasRefused(NewAliasStatus),
    /// No result in time.
    TimedOut,
    /// The session ended before a result came.
    Closed,
}

/// Why a client won't get a long message (step 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropReason {
    /// It announces no part, or more than `max_parts`.
    PartCount(u32),
    /// `max_assemblies` are coming already.
    TooMany,
    /// Its head isn't base64.
    BadHead(ContentError),
    /// It isn't whole after `assembly_timeout`.
    TimedOut,
}

/// Why a server's application turns a login down (step 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginRefusal {
    /// There is no such user: U = Invalid, P = Unchecked.
    Username,
    /// It isn't the user's password: P = Invalid.
    Password,
    /// The user is connected already, and may be only once: S5, and the session ends, cleanly on this side.
    SecondEndpoint,
}

/// Why a server's application turns a registration down (step 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterRefusal {
    /// Nobody may have this name: U = Invalid, the rest Unchecked.
    Username,
    /// Somebody has this name: U = AlreadyInUse, the rest Unchecked.
    UsernameInUse,
    /// It is no password to have: P = Invalid, E = Unchecked.
    Password,
    /// It is no address to have: E = Invalid.
    Email,
}

/// Why a server's application doesn't let a client speak in or join a room (steps 3 and 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomRefusal {
    /// There is no such room.
    Invalid,
    /// The user may not.
    NotAuthorized,
}

/// Why a server's application doesn't let a client go by an alias (step 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AliasRefusal {
    /// Nobody may.
    Invalid,
    /// Somebody else does.
    InUse,
}

/// The handle of a client's request. Of a message, it is the counter that its client message id is made of. Other
/// sessions have equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u32);

impl RequestId {
    /// The number of the request in its session; the first is 1.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The client message id of a message; of another request, an id that no message has.
    pub const fn client_message_id(self) -> ClientMessageId {
        ClientMessageId::from_counter(self.0)
    }
}

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) u64);
    )+};
}

handles! {
    /// The handle of a message that awaits the answer of a server's application. Answer by it on its own session
    /// only: another one may have an equal handle.
    MessageId;
    /// The handle of a wish to join a room, which awaits the answer of a server's application. Answer by it on its
    /// own session only: another one may have an equal handle.
    JoinId;
    /// The handle of a wish to go by an alias, which awaits the answer of a server's application. Answer by it on its
    /// own session only: another one may have an equal handle.
    AliasId;
}
