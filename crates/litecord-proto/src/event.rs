use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use smallwire_core::Secret;

use crate::{Json, OpCode};

/// What a [`Client`](crate::Client) tells its application.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The server has said Hello, and has been told the password: from now on anything may be sent
    /// (step 1).
    Connected {
        /// How often it is told that we are alive.
        heartbeat_interval: Duration,
    },
    /// The server answers, so the password was right (step 2): what to [`reset`](crate::Backoff::reset) a
    /// backoff at.
    Authenticated,
    /// The server has heard a heartbeat.
    HeartbeatAck {
        /// From the Heartbeat to its HeartbeatAck.
        round_trip: Duration,
    },
    /// The server asks: `respond` to it (L1).
    Request {
        /// What to respond by.
        id: PeerRequestId,
        /// What it asks for.
        what: Box<str>,
        /// An array, or whatever else it sends (L4).
        args: Json,
    },
    /// How a request of ours ended; comes exactly once for each (step 5).
    Outcome {
        /// As `request` returned it.
        request: RequestId,
        /// Its end.
        outcome: Outcome,
    },
    /// The server tells something (L1).
    Dispatch {
        /// What.
        what: Box<str>,
        /// An array, or whatever else it sends (L4).
        args: Json,
    },
    /// A response to nothing that awaits one: late, twice or made up (L5).
    StrayResponse {
        /// The nonce that it carries; `RequestId::nonce` of a request that timed out, say.
        nonce: Json,
        /// The answer.
        result: Json,
    },
    /// A message with an opcode that this version of the protocol doesn't know (L3).
    Unknown {
        /// Its opcode.
        op: OpCode,
        /// The whole message.
        raw: Json,
    },
}

/// What a [`Server`](crate::Server) tells its application.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent {
    /// The client says its password: `accept` or `refuse` it. Only where none is configured
    /// (step 2).
    HelloAck {
        /// What it says.
        password: Secret<Box<str>>,
    },
    /// The client is let in, by the configured password or by `accept` (step 2).
    Authenticated,
    /// The client asks: `respond` to it.
    Request {
        /// What to respond by.
        id: PeerRequestId,
        /// What it asks for.
        what: Box<str>,
        /// An array, or whatever else it sends (L4).
        args: Json,
    },
    /// How a request of ours ended; comes exactly once for each (step 5).
    Outcome {
        /// As `request` returned it.
        request: RequestId,
        /// Its end.
        outcome: Outcome,
    },
    /// The client tells something.
    Dispatch {
        /// What.
        what: Box<str>,
        /// An array, or whatever else it sends (L4).
        args: Json,
    },
    /// A response to nothing that awaits one: late, twice or made up (L5).
    StrayResponse {
        /// The nonce that it carries; `RequestId::nonce` of a request that timed out, say.
        nonce: Json,
        /// The answer.
        result: Json,
    },
    /// A message with an opcode that this version of the protocol doesn't know (L3). Its sender may
    /// not have said its password yet.
    Unknown {
        /// Its opcode.
        op: OpCode,
        /// The whole message.
        raw: Json,
    },
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The peer's answer.
    Response(Json),
    /// None within `request_timeout`.
    TimedOut,
    /// The session ended before one came.
    Closed,
}

/// The handle of a request that we made: its nonce on the wire, 1, 2, 3, … (L5). In another session the
/// same number is another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u64);

impl RequestId {
    /// Its nonce.
    pub const fn nonce(self) -> u64 {
        self.0
    }
}

/// The handle of a request that the peer made. It counts in its session only: in another, which numbers
/// its own from 1 as well, it would answer another request, so keep it with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerRequestId(pub(crate) u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for PeerRequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
