use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;
use core::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use smallwire_core::Secret;

use crate::{Identification, JsonError, MessageId};

/// What a [`Client`](crate::Client) tells its application.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The server let us in (conversation, step 2). From here on a [`Backoff`](crate::Backoff) may begin anew.
    Ready {
        /// The secret for authenticated requests (B9).
        token: Secret<Payload>,
    },
    /// The server asks; answer with `reply`, `acknowledge` or `reject`.
    Request {
        /// What to answer by.
        id: PeerRequestId,
        /// What it asks.
        payload: Payload,
    },
    /// How a request of ours ended; comes exactly once for each (conversation, step 5).
    Outcome {
        /// As `request` returned it.
        request: RequestId,
        /// Its end.
        outcome: Outcome,
    },
    /// The server tells something.
    Event(Payload),
    /// New values of network variables: apply them at once.
    DataUpdate(Payload),
    /// An answer to nothing that awaits one: late, twice or made up (B6).
    StrayReply {
        /// The id it claims to answer; `RequestId::message_id` of a request that timed out, say.
        in_reply_to: MessageId,
        /// What it says.
        outcome: Outcome,
    },
}

/// What a [`Server`](crate::Server) tells its application.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent {
    /// The client says who it is: `accept` or `refuse` it (conversation, step 2).
    Identified(Identification<'static>),
    /// The client asks; answer with `reply`, `acknowledge` or `reject`.
    Request {
        /// What to answer by.
        id: PeerRequestId,
        /// What it asks.
        payload: Payload,
    },
    /// How a request of ours ended; comes exactly once for each (conversation, step 5).
    Outcome {
        /// As `request` returned it.
        request: RequestId,
        /// Its end.
        outcome: Outcome,
    },
    /// The client tells something.
    Event(Payload),
    /// The client answered a Ping (conversation, step 4).
    Pong {
        /// From the Ping to its answer.
        round_trip: Duration,
    },
    /// An answer to nothing that awaits one: late, twice or made up (B6).
    StrayReply {
        /// The id it claims to answer; `RequestId::message_id` of a request that timed out, say.
        in_reply_to: MessageId,
        /// What it says.
        outcome: Outcome,
    },
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// A Reply with this body, which isn't empty (B6).
    Reply(Payload),
    /// A Reply without a body (B6).
    Acknowledged,
    /// Refused with this text; a client gives none (B7).
    ErrorReply {
        /// What to show to the user.
        text: Box<str>,
    },
    /// No answer within `request_timeout`.
    TimedOut,
    /// The session ended before an answer came.
    Closed,
}

/// The handle of a request that we made: the id of its frame, which comes round again after 32,768
/// messages. Other sessions have equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) MessageId);

impl RequestId {
    /// The id of its frame.
    pub const fn message_id(self) -> MessageId {
        self.0
    }
}

/// The handle of a request that the peer made: the id of its frame.
///
/// Answer by it on its own session only: another one may have an open request with the same id. One that
/// isn't answered within `request_timeout` is forgotten when there is need of its room or its id (B5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerRequestId(pub(crate) MessageId);

impl PeerRequestId {
    /// The id of its frame.
    pub const fn message_id(self) -> MessageId {
        self.0
    }
}

/// Opaque bytes of the application; dereferences to `[u8]`.
///
/// It is a slice of the read that it came in and keeps all of that alive: [`detach`](Self::detach)
/// it where it is to stay for long.
///
/// ```
/// use bingo_proto::Payload;
///
/// let payload = Payload::from("claim 7");
/// assert_eq!(payload, "claim 7");
/// assert_eq!(payload, b"claim 7");
/// assert_eq!(payload, [b"claim ", &b"7"[..]].concat()[..]);
/// assert_eq!(payload.strip_prefix(b"claim "), Some(&b"7"[..]));
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Payload(pub(crate) Bytes);

impl Payload {
    /// Reads it as JSON.
    ///
    /// # Errors
    /// Not JSON, or JSON of another shape than `T`.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, JsonError> {
        crate::from_json(&self.0)
    }

    /// As text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        core::str::from_utf8(&self.0).ok()
    }

    /// A copy of its own, no longer a slice of the read it came in.
    pub fn detach(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// The bytes.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq<[u8]> for Payload {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl<const N: usize> PartialEq<[u8; N]> for Payload {
    fn eq(&self, other: &[u8; N]) -> bool {
        **self == *other
    }
}

impl PartialEq<str> for Payload {
    fn eq(&self, other: &str) -> bool {
        **self == *other.as_bytes()
    }
}

impl<T: ?Sized> PartialEq<&T> for Payload
where
    Self: PartialEq<T>,
{
    fn eq(&self, other: &&T) -> bool {
        *self == **other
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<Payload> for Bytes {
    fn from(payload: Payload) -> Self {
        payload.0
    }
}

impl From<&'static str> for Payload {
    fn from(text: &'static str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
