use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use smallwire_core::{End, Session};

use crate::connection::{Common, Connection, Endpoint, Side, delegate_session, reply_body};
use crate::{
    AnswerError, ClientMessage, Config, DecideError, Frame, MessageId, OpCode, Outcome, Payload,
    PeerRequestId, RequestId, Role, SendError, ServerEvent, SessionError, Violation, ViolationKind,
};
use smallwire_core::clock::{NEVER, Time, nanos};

/// The game server's end of one connection.
///
/// Made when a TCP connection is accepted; how it is driven is told at [`Session`]. It waits for
/// the client's Identification and hands it to the application, which [`accept`](Self::accept)s or
/// [`refuse`](Self::refuse)s. From then on it sends Pings by itself, and reports everything else as
/// a [`ServerEvent`]. An example of both ends is at [`Client`](crate::Client).
pub struct Server(Endpoint<ServerSide>);

impl Server {
    /// Starts a session, which waits for the client.
    pub fn new(config: Arc<Config>, now: Instant) -> Self {
        Self(Endpoint::new(config, ServerSide::Identifying, now))
    }

    /// Lets the client in that [`ServerEvent::Identified`] told of, with a secret token for its
    /// authenticated requests (conversation, step 2).
    ///
    /// # Errors
    /// Nothing is sent: nobody waits for it, the session having ended among them (the client may have gone, or
    /// broken the rules, right behind its Identification), too much waiting, or the token is too long.
    pub fn accept(&mut self, now: Instant, token: &[u8]) -> Result<(), DecideError> {
        self.check_deciding(now)?;
        let c = &mut self.0.connection;
        c.send(OpCode::Ready, token)?;
        c.set_ready();
        self.0.side = ServerSide::Ready { next_ping: next_ping(c, c.clock.time()) };
        Ok(())
    }

    /// Turns the client away that [`ServerEvent::Identified`] told of, with a text to show to its
    /// user, and ends the session, cleanly on this side (conversation, step 2).
    ///
    /// # Errors
    /// Nothing is sent: nobody waits for it, the session having ended among them, too much waiting, or the text is
    /// too long.
    pub fn refuse(&mut self, now: Instant, text: &str) -> Result<(), DecideError> {
        let id = self.check_deciding(now)?;
        let c = &mut self.0.connection;
        c.error_reply(id, text)?;
        c.end(End::Clean);
        Ok(())
    }

    /// The id of the Identification that awaits a decision.
    fn check_deciding(&mut self, now: Instant) -> Result<MessageId, DecideError> {
        self.0.at(now);
        match self.0.side {
            ServerSide::Deciding { id } if self.0.ended().is_none() => Ok(id),
            _ => Err(DecideError::NotWaiting),
        }
    }

    /// Asks the client. Exactly one [`ServerEvent::Outcome`] will tell how it ended (step 5).
    ///
    /// # Errors
    /// Nothing is sent: not ready, ended, too many requests open, too much waiting, or too long.
    pub fn request(&mut self, now: Instant, payload: &[u8]) -> Result<RequestId, SendError> {
        self.0.at(now).request(payload)
    }

    /// Answers a request of the client. An empty body is an acknowledgement (B6).
    ///
    /// # Errors
    /// Nothing is sent: not open (never asked, answered already, or forgotten), ended, too much
    /// waiting, or too long.
    pub fn reply(
        &mut self,
        now: Instant,
        id: PeerRequestId,
        body: &[u8],
    ) -> Result<(), AnswerError> {
        self.0.at(now).answer(id, body)
    }

    /// Answers a request of the client without a body.
    ///
    /// # Errors
    /// As [`reply`](Self::reply).
    pub fn acknowledge(&mut self, now: Instant, id: PeerRequestId) -> Result<(), AnswerError> {
        self.0.at(now).answer(id, &[])
    }

    /// Refuses a request of the client, with a text to show to its user (B7).
    ///
    /// # Errors
    /// As [`reply`](Self::reply).
    pub fn reject(
        &mut self,
        now: Instant,
        id: PeerRequestId,
        text: &str,
    ) -> Result<(), AnswerError> {
        self.0.at(now).reject(id, text)
    }

    /// Tells the client something.
    ///
    /// # Errors
    /// Nothing is sent: not ready, ended, too much waiting, or too long.
    pub fn event(&mut self, now: Instant, payload: &[u8]) -> Result<(), SendError> {
        self.0.at(now).send_when_ready(OpCode::Event, payload)
    }

    /// Gives the client new values of network variables, which it applies at once.
    ///
    /// # Errors
    /// Nothing is sent: not ready, ended, too much waiting, or too long.
    pub fn data_update(&mut self, now: Instant, payload: &[u8]) -> Result<(), SendError> {
        self.0.at(now).send_when_ready(OpCode::DataUpdate, payload)
    }

    /// Sends a byte that means nothing, for the routers between (B2).
    ///
    /// # Errors
    /// Nothing is sent: ended, or too much waiting.
    pub fn noop(&mut self, now: Instant) -> Result<(), SendError> {
        self.0.at(now).noop()
    }

    /// Tells the client that it violates the protocol, where only the application can see it, and
    /// ends the session, cleanly on this side. Of the reason at most 256 bytes are sent.
    pub fn protocol_error(&mut self, now: Instant, reason: &str) {
        self.0.at(now).end_with_protocol_error(reason, End::Clean);
    }

    /// Ends the session, cleanly; what is queued is still to be sent, and says the last to the client: no message
    /// says goodbye. Input that waits, undecoded, for events to be taken is dropped.
    pub fn close(&mut self, now: Instant) {
        self.0.at(now).end(End::Clean);
    }

    /// Whether the client has been let in.
    pub fn is_ready(&self) -> bool {
        self.0.connection.ready
    }
}

#[derive(Debug)]
enum ServerSide {
    Identifying,
    Deciding { id: MessageId },
    Ready { next_ping: Time },
}

/// The Ping after the one that was due at `time`.
fn next_ping(c: &Connection<ServerEvent>, time: Time) -> Time {
    match c.config.ping_interval {
        None => NEVER,
        Some(interval) => time.saturating_add(nanos(interval.max(Duration::from_millis(1)))),
    }
}

impl Side for ServerSide {
    const ROLE: Role = Role::Server;
    const ANSWERS_BY_ITSELF: bool = false;
    type Event = ServerEvent;

    #[inline]
    fn plain_event(opcode: OpCode) -> Option<fn(Payload) -> ServerEvent> {
        match opcode {
            OpCode::Event => Some(ServerEvent::Event),
            _ => None,
        }
    }

    fn handle_frame(
        &mut self,
        c: &mut Connection<ServerEvent>,
        id: MessageId,
        frame: Frame,
    ) -> Result<(), Violation> {
        let message =
            ClientMessage::decode(frame.as_ref(), c.codec()).map_err(Violation::malformed)?;
        let out_of_turn = Err(Violation::at_start(ViolationKind::OutOfTurn(frame.opcode())));
        match message {
            ClientMessage::Noop => {}
            ClientMessage::ProtocolError { reason } => c.end_by_protocol_error(reason),
            ClientMessage::Identification(identification) => {
                let Self::Identifying = self else { return out_of_turn };
                *self = Self::Deciding { id };
                c.push_event(ServerEvent::Identified(identification.into_owned()));
            }
            _ if !c.ready => return out_of_turn,
            ClientMessage::Request(_) => {
                c.handle_request(id, frame.into_payload())?;
            }
            ClientMessage::Acknowledgement { in_reply_to } => {
                handle_answer(c, in_reply_to, Outcome::Acknowledged);
            }
            ClientMessage::Reply { in_reply_to, .. } => {
                handle_answer(c, in_reply_to, Outcome::Reply(reply_body(frame)));
            }
            ClientMessage::ErrorReply { in_reply_to } => {
                handle_answer(c, in_reply_to, Outcome::ErrorReply { text: "".into() });
            }
            ClientMessage::Event(_) => {
                c.push_event(ServerEvent::Event(Payload(frame.into_payload())));
            }
        }
        Ok(())
    }

    fn next_ping(&self) -> Time {
        match *self {
            Self::Ready { next_ping } => next_ping,
            Self::Identifying | Self::Deciding { .. } => NEVER,
        }
    }

    fn ping(&mut self, c: &mut Connection<ServerEvent>) {
        c.ping();
        // On the beat, unless the caller came a whole beat late.
        let on_the_beat = next_ping(c, self.next_ping());
        let time = c.clock.time();
        let next_ping = if on_the_beat > time { on_the_beat } else { next_ping(c, time) };
        *self = Self::Ready { next_ping };
    }
}

/// An answer to a Ping of whatever kind shows that the client is there.
fn handle_answer(c: &mut Connection<ServerEvent>, in_reply_to: MessageId, outcome: Outcome) {
    if let Some(round_trip) = c.handle_answer(in_reply_to, outcome) {
        c.push_event(ServerEvent::Pong { round_trip });
    }
}

delegate_session!(Server, ServerEvent);
