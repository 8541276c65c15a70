use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::time::Instant;

use serde::Serialize;
use smallwire_core::clock::{NEVER, Time};
use smallwire_core::{CloseFrame, End, Json, Message, Secret, Session};

use crate::connection::{Common, Endpoint, Side, delegate_session};
use crate::{
    ClientMessage, CloseCode, Config, DecideError, OpCode, Role, SendError, ServerEvent,
    ServerMessage, SessionError, Violation, ViolationKind,
};

/// The gateway's end of one connection.
///
/// Made when a WebSocket is accepted; how it is driven is told at [`Session`]. It says Hello, and
/// hands the client's token to the application, which [`accept`](Self::accept)s or
/// [`refuse`](Self::refuse)s. It sends heartbeats and acknowledges the client's by itself, and
/// reports everything else as a [`ServerEvent`]. An example of both ends is at
/// [`Client`](crate::Client).
pub struct Server(Endpoint<ServerSide>);

impl Server {
    /// Starts a session and queues its Hello (step 1).
    pub fn new(config: Arc<Config>, now: Instant) -> Self {
        let (interval, timeout) = (heartbeat_interval(&config), config.handshake_timeout);
        let mut endpoint = Endpoint {
            common: Common::new(config, now),
            side: ServerSide::Greeted { deadline: NEVER },
        };
        let c = &mut endpoint.common;
        let mut hello = Vec::new();
        let heartbeat_interval = u64::try_from(interval.as_millis()).unwrap_or(1);
        // Nothing else is bounded by `max_message` before the peer has said anything.
        let codec = c.codec().max_message(usize::MAX);
        let _ = ServerMessage::Hello { heartbeat_interval }.encode(&codec, &mut hello);
        c.transmit(hello);
        c.heartbeats.start(interval, &c.connection.clock);
        endpoint.side = ServerSide::Greeted { deadline: c.connection.clock.after(timeout) };
        Self(endpoint)
    }

    /// Lets the client in that [`ServerEvent::Identify`] told of, as this user, and sends Ready
    /// (step 2).
    ///
    /// # Errors
    /// Nobody waits for it: also when the client has gone meanwhile. Or the Ready would be longer than
    /// `max_message`; then the client still waits.
    pub fn accept(&mut self, now: Instant, user: &str) -> Result<(), DecideError> {
        self.check_deciding(now)?;
        let (c, mut ready) = (&mut self.0.common, Vec::new());
        ServerMessage::Ready { user: user.into() }.encode(c.codec(), &mut ready)?;
        c.transmit(ready);
        self.0.side = ServerSide::Ready;
        Ok(())
    }

    /// Turns the client away that [`ServerEvent::Identify`] told of, with close code 4003, and ends
    /// the session, cleanly (step 2).
    ///
    /// # Errors
    /// Nobody waits for it.
    pub fn refuse(&mut self, now: Instant) -> Result<(), DecideError> {
        self.check_deciding(now)?;
        let frame = CloseFrame::new(CloseCode::IDENTIFY_FAILED.0, "identify failed");
        self.0.close(now, frame);
        Ok(())
    }

    fn check_deciding(&mut self, now: Instant) -> Result<(), DecideError> {
        let has_ended = self.0.at(now).connection.has_ended();
        match self.0.side {
            ServerSide::Deciding { .. } if !has_ended => Ok(()),
            _ => Err(DecideError::NotWaiting),
        }
    }

    /// Delivers something to the client, any value (step 3).
    ///
    /// # Errors
    /// Nothing is sent: the client isn't let in, ended, too much waiting, too long (`max_message`), or a value that
    /// can't be expressed.
    pub fn send_message<T: Serialize + ?Sized>(
        &mut self,
        now: Instant,
        message: &T,
    ) -> Result<(), SendError> {
        let is_ready = self.is_ready();
        let c = self.0.at(now);
        if c.connection.has_ended() {
            return Err(SendError::Ended);
        } else if !is_ready {
            return Err(SendError::NotReady);
        } else if !c.has_room(0) {
            return Err(SendError::QueueFull);
        }
        let (message, mut text) = (Json::of(message)?, Vec::new());
        ServerMessage::Message { message: message.as_ref() }.encode(c.codec(), &mut text)?;
        if !c.has_room(text.len()) {
            return Err(SendError::QueueFull);
        }
        c.transmit(text);
        Ok(())
    }

    /// Whether the client has been let in (step 2); still so after the end.
    pub fn is_ready(&self) -> bool {
        matches!(self.0.side, ServerSide::Ready)
    }
}

enum ServerSide {
    /// No Identify yet.
    Greeted {
        deadline: Time,
    },
    /// The application knows the token and hasn't decided yet.
    Deciding {
        deadline: Time,
    },
    Ready,
}

/// What a client is told, in whole milliseconds (E5).
fn heartbeat_interval(config: &Config) -> Duration {
    let milliseconds = config.heartbeat_interval.as_millis().clamp(1, 1 << 53);
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(1))
}

impl Side for ServerSide {
    const ROLE: Role = Role::Server;
    type Event = ServerEvent;

    fn handle_message(&mut self, c: &mut Common<Self>, text: &[u8]) -> Result<(), Violation> {
        match ClientMessage::decode(text, c.codec()).map_err(Violation::malformed)? {
            ClientMessage::Identify { token } => {
                let Self::Greeted { .. } = self else {
                    return Err(Violation::at_start(ViolationKind::OutOfTurn(OpCode::IDENTIFY)));
                };
                let token: Box<str> = token.into_inner().into();
                let bytes = token.len();
                let event = ServerEvent::Identify { token: Secret::new(token) };
                c.connection.push_event(event, bytes);
                let deadline = c.connection.clock.after(c.config.handshake_timeout);
                *self = Self::Deciding { deadline };
            }
            ClientMessage::Heartbeat { time } => return c.handle_heartbeat(time),
            ClientMessage::HeartbeatAck { time } => return c.handle_ack(time),
            ClientMessage::Unknown { op, raw } => c.handle_unknown(op, raw),
        }
        Ok(())
    }

    fn next_deadline(&self) -> Time {
        match self {
            Self::Greeted { deadline } | Self::Deciding { deadline } => *deadline,
            Self::Ready => NEVER,
        }
    }

    fn handle_due(&mut self, c: &mut Common<Self>) {
        c.close_with_error(CloseCode::TIMED_OUT, SessionError::HandshakeTimeout);
    }

    fn acknowledged(round_trip: Duration) -> ServerEvent {
        ServerEvent::HeartbeatAck { round_trip }
    }

    fn unknown(op: OpCode, raw: Json) -> ServerEvent {
        ServerEvent::Unknown { op, raw }
    }
}

impl fmt::Debug for ServerSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeted { .. } => "Greeted",
            Self::Deciding { .. } => "Deciding",
            Self::Ready => "Ready",
        })
    }
}

delegate_session!(Server, ServerEvent);
