use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use serde::Serialize;
use smallwire_core::{CloseFrame, End, Message, Secret, Session};
use subtle::ConstantTimeEq;

use crate::connection::{Common, Connection, Endpoint, Side, delegate_session};
use crate::{
    AnswerError, ClientMessage, CloseCode, Config, DecideError, Limits, PeerRequestId, RequestId,
    Role, SendError, ServerEvent, ServerMessage, SessionError, Violation, ViolationKind,
};
use smallwire_core::clock::Time;

const HEARTBEAT_ACK: &[u8] = br#"{"op":3}"#;

/// The listening component's end of one connection.
///
/// Made when a WebSocket is accepted; how it is driven is told at [`Session`]. It says Hello, and
/// compares the client's password with the configured one or hands it to the application, which
/// [`accept`](Self::accept)s or [`refuse`](Self::refuse)s. It acknowledges heartbeats by itself,
/// and reports everything else as a [`ServerEvent`]. An example of both ends is at
/// [`Client`](crate::Client).
pub struct Server(Endpoint<ServerSide>);

impl Server {
    /// Starts a session and queues its Hello (step 1).
    pub fn new(config: Arc<Config>, now: Instant) -> Self {
        let timeout = config.handshake_timeout;
        let mut endpoint = Endpoint::new(config, now, |clock| ServerSide {
            stage: Stage::Greeted { deadline: clock.after(timeout) },
            heartbeat_deadline: 0,
        });
        let (c, side) = (&mut endpoint.connection, &mut endpoint.side);
        side.handle_heartbeat(c);
        let mut hello = Vec::new();
        let heartbeat_interval = heartbeat_milliseconds(&c.config);
        // Nothing else is bounded by `max_message` before the peer has said anything.
        let codec = c.codec().max_message(usize::MAX);
        let _ = ServerMessage::Hello { heartbeat_interval }.encode(&codec, &mut hello);
        c.transmit_text(hello);
        Self(endpoint)
    }

    /// Lets the client in that [`ServerEvent::HelloAck`] told of; what it has sent since is handled
    /// now (step 2).
    ///
    /// # Errors
    /// Nobody waits for it: also when the client has gone meanwhile.
    pub fn accept(&mut self, now: Instant) -> Result<(), DecideError> {
        let held = self.decided(now)?;
        self.0.side.accept(&mut self.0.connection);
        for (text, arrived) in held {
            if self.0.connection.has_ended() {
                break;
            }
            self.0.handle_text(&text, arrived);
        }
        Ok(())
    }

    /// Turns the client away that [`ServerEvent::HelloAck`] told of, with close code 4001, and ends
    /// the session, cleanly (step 2).
    ///
    /// # Errors
    /// Nobody waits for it.
    pub fn refuse(&mut self, now: Instant) -> Result<(), DecideError> {
        self.decided(now)?;
        let frame = CloseFrame::new(CloseCode::AUTHENTICATION_FAILED.0, "wrong password");
        self.0.close(now, frame);
        Ok(())
    }

    /// What was held back until now.
    fn decided(&mut self, now: Instant) -> Result<Vec<Held>, DecideError> {
        let ended = self.0.at(now).has_ended();
        match &mut self.0.side.stage {
            Stage::Deciding { held, .. } if !ended => Ok(core::mem::take(&mut held.texts)),
            _ => Err(DecideError::NotWaiting),
        }
    }

    /// Whether the client has been let in; still so after the end.
    pub fn is_authenticated(&self) -> bool {
        matches!(self.0.side.stage, Stage::Authenticated)
    }
}

struct ServerSide {
    stage: Stage,
    /// When the client is dead, unless a heartbeat comes. Not while we decide: that is our time.
    heartbeat_deadline: Time,
}

enum Stage {
    /// No HelloAck yet.
    Greeted { deadline: Time },
    /// The application knows the password and hasn't decided yet.
    Deciding { deadline: Time, held: Box<HeldBack> },
    /// The client is let in.
    Authenticated,
}

/// A text, and when it came.
type Held = (Box<[u8]>, Time);

/// What has come since the HelloAck, in order.
#[derive(Default)]
struct HeldBack {
    texts: Vec<Held>,
    bytes: usize,
}

impl HeldBack {
    fn push(&mut self, text: &[u8], arrived: Time, limits: &Limits) -> Result<(), Violation> {
        let bytes = self.bytes.saturating_add(text.len());
        if self.texts.len() >= limits.max_held || bytes > limits.max_held_bytes {
            return Err(Violation::at_start(ViolationKind::TooMuchHeld));
        }
        self.bytes = bytes;
        self.texts.push((text.into(), arrived));
        Ok(())
    }
}

/// The interval that a client is told of (L7).
fn heartbeat_milliseconds(config: &Config) -> u64 {
    let milliseconds = config.heartbeat_interval.as_millis().clamp(1, 1 << 53);
    u64::try_from(milliseconds).unwrap_or(1)
}

impl ServerSide {
    fn accept(&mut self, c: &mut Connection<Self>) {
        self.stage = Stage::Authenticated;
        c.ready = true;
        c.push_event(ServerEvent::Authenticated, 0);
        self.handle_heartbeat(c);
    }

    /// The client lives; so it does when it connects, and when it is let in.
    fn handle_heartbeat(&mut self, c: &mut Connection<Self>) {
        let interval = Duration::from_millis(heartbeat_milliseconds(&c.config));
        let patience = interval.saturating_add(c.config.heartbeat_grace);
        self.heartbeat_deadline = c.clock().after(patience);
    }

    fn handle_hello_ack(&mut self, c: &mut Connection<Self>, password: Secret<Cow<'_, str>>) {
        let expected = c.config.password.as_ref().map(|expected| expected.expose().as_bytes());
        // Takes as long wherever they differ; that they differ in length shows.
        match expected.map(|expected| expected.ct_eq(password.expose().as_bytes()).into()) {
            Some(true) => self.accept(c),
            Some(false) => {
                let error = SessionError::WrongPassword;
                c.close_with_error(CloseCode::AUTHENTICATION_FAILED, error);
            }
            None => {
                let deadline = c.clock().after(c.config.handshake_timeout);
                self.stage = Stage::Deciding { deadline, held: Box::default() };
                let password: Box<str> = password.into_inner().into();
                let bytes = password.len();
                let event = ServerEvent::HelloAck { password: Secret::new(password) };
                c.push_event(event, bytes);
            }
        }
    }
}

impl Side for ServerSide {
    const ROLE: Role = Role::Server;
    type Event = ServerEvent;

    fn can_answer(c: &Connection<Self>) -> bool {
        c.has_room_for_any()
    }

    fn handle_message(
        &mut self,
        c: &mut Connection<Self>,
        text: &[u8],
        arrived: Time,
    ) -> Result<(), Violation> {
        if let Stage::Deciding { held, .. } = &mut self.stage {
            return held.push(text, arrived, &c.config.limits);
        }
        let message = ClientMessage::decode(text, c.codec()).map_err(Violation::malformed)?;
        let op = message.op();
        match message {
            ClientMessage::Unknown { op, raw } => c.handle_unknown(op, raw),
            ClientMessage::HelloAck { password } => {
                let Stage::Greeted { .. } = self.stage else {
                    return Err(Violation::at_start(ViolationKind::OutOfTurn(op)));
                };
                self.handle_hello_ack(c, password);
            }
            _ if !c.ready => {
                return Err(Violation::at_start(ViolationKind::NotAuthenticated(op)));
            }
            ClientMessage::Heartbeat => {
                self.handle_heartbeat(c);
                c.transmit_text(Bytes::from_static(HEARTBEAT_ACK));
            }
            ClientMessage::Request { what, args, nonce } => {
                c.handle_request(what, args, nonce, arrived)?;
            }
            ClientMessage::Response { nonce, result } => c.handle_response(nonce, result),
            ClientMessage::Dispatch { what, args } => c.handle_dispatch(what, args),
        }
        Ok(())
    }

    fn next_deadline(&self) -> Time {
        match self.stage {
            Stage::Greeted { deadline } => deadline.min(self.heartbeat_deadline),
            Stage::Deciding { deadline, .. } => deadline,
            Stage::Authenticated => self.heartbeat_deadline,
        }
    }

    fn handle_due(&mut self, c: &mut Connection<Self>) {
        let (code, error) = match self.stage {
            Stage::Greeted { deadline } if deadline <= c.clock().time() => {
                (CloseCode::NOT_AUTHENTICATED, SessionError::HandshakeTimeout)
            }
            Stage::Deciding { .. } => {
                (CloseCode::AUTHENTICATION_FAILED, SessionError::HandshakeTimeout)
            }
            Stage::Greeted { .. } | Stage::Authenticated => {
                (CloseCode::HEARTBEAT_TIMEOUT, SessionError::HeartbeatTimeout)
            }
        };
        c.close_with_error(code, error);
    }
}

impl fmt::Debug for ServerSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.stage {
            Stage::Greeted { .. } => "Greeted",
            Stage::Deciding { .. } => "Deciding",
            Stage::Authenticated => "Authenticated",
        })
    }
}

delegate_session!(Server, ServerEvent);
