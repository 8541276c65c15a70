use alloc::boxed::Box;
use core::time::Duration;

use smallwire_core::{Json, Secret};

use crate::OpCode;

/// What a [`Client`](crate::Client) tells its application.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The server has said Hello, and has been told the token (step 1).
    Connected {
        /// How often both sides send a heartbeat.
        heartbeat_interval: Duration,
    },
    /// The server has let us in (step 2): what to [`reset`](crate::Backoff::reset) a backoff at.
    Ready {
        /// As whom.
        user: Box<str>,
    },
    /// The server delivers something (step 3).
    Message {
        /// What; any JSON.
        message: Json,
    },
    /// The server has acknowledged a heartbeat (step 4).
    HeartbeatAck {
        /// From the Heartbeat to its HeartbeatAck, by our clock.
        round_trip: Duration,
    },
    /// A message with an opcode that this version of the protocol doesn't know (E3).
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
    /// The client says who it is: `accept` or `refuse` it (step 2).
    Identify {
        /// What it says.
        token: Secret<Box<str>>,
    },
    /// The client has acknowledged a heartbeat (step 4).
    HeartbeatAck {
        /// From the Heartbeat to its HeartbeatAck, by our clock.
        round_trip: Duration,
    },
    /// A message with an opcode that this version of the protocol doesn't know (E3). Its sender may
    /// not have identified itself yet.
    Unknown {
        /// Its opcode.
        op: OpCode,
        /// The whole message.
        raw: Json,
    },
}
