use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::time::Instant;

use smallwire_core::clock::Time;
use smallwire_core::{CloseFrame, Connection, End, Json, JsonRef, Message};

use crate::heartbeats::Heartbeats;
use crate::{
    ClientMessage, CloseCode, CodecConfig, Config, OpCode, Role, SendError, SessionError,
    Violation, ViolationKind,
};

/// How every heartbeat begins, and every heartbeat's ack, and nothing else that a session sends.
const HEARTBEAT: &[u8] = br#"{"op":10"#;
const ACK: &[u8] = br#"{"op":11"#;

/// The longest `time` that we send, a `u64`: its ack is never too long.
const MAX_OWN_TIME: usize = 20;

/// What differs between the two ends.
pub(crate) trait Side: Sized {
    const ROLE: Role;
    type Event;

    /// Does what a message of the peer asks for.
    fn handle_message(&mut self, c: &mut Common<Self>, text: &[u8]) -> Result<(), Violation>;

    /// When there is something to be done that is this side's business.
    fn next_deadline(&self) -> Time;

    /// Does what of that is due.
    fn handle_due(&mut self, c: &mut Common<Self>);

    /// What tells of an ack.
    fn acknowledged(round_trip: Duration) -> Self::Event;

    /// What tells of a message with an unknown opcode.
    fn unknown(op: OpCode, raw: Json) -> Self::Event;
}

/// What a session keeps whatever end it is.
pub(crate) struct Common<S: Side> {
    pub(crate) config: Arc<Config>,
    pub(crate) connection: Connection<S::Event, SessionError>,
    pub(crate) heartbeats: Heartbeats,
}

impl<S: Side> Common<S> {
    pub(crate) fn new(config: Arc<Config>, now: Instant) -> Self {
        Self { config, connection: Connection::new(now), heartbeats: Heartbeats::new() }
    }

    pub(crate) fn codec(&self) -> &CodecConfig {
        &self.config.codec
    }

    fn is_behind(&self) -> bool {
        let limits = &self.config.limits;
        self.connection.is_behind(limits.max_events, limits.max_event_bytes)
    }

    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.connection.has_room(len, self.config.limits.max_transmit_bytes)
    }

    pub(crate) fn transmit(&mut self, text: Vec<u8>) {
        self.connection.transmit(Message::text(text));
    }

    pub(crate) fn close_with_error(&mut self, code: CloseCode, error: SessionError) {
        let frame = CloseFrame::new(code.0, error.to_string());
        self.connection.close(frame, End::Error(error));
    }

    fn close_by_violation(&mut self, violation: Violation) {
        let frame = CloseFrame::new(violation.kind.close_code().0, violation.to_string());
        self.connection.close(frame, End::Error(SessionError::Violation(violation)));
    }

    /// Step 4: the peer's is acknowledged at once, with the very `time` that it has.
    pub(crate) fn handle_heartbeat(&mut self, time: Option<JsonRef<'_>>) -> Result<(), Violation> {
        self.check_time(time)?;
        if !self.heartbeats.queue_ack() {
            return Err(Violation::at_start(ViolationKind::TooManyHeartbeats));
        }
        // Heartbeats are the same from both sides.
        let text = written(&ClientMessage::HeartbeatAck { time });
        self.transmit(text);
        Ok(())
    }

    pub(crate) fn handle_ack(&mut self, time: Option<JsonRef<'_>>) -> Result<(), Violation> {
        self.check_time(time)?;
        if let Some(round_trip) = self.heartbeats.acknowledge(time, &self.connection.clock) {
            self.connection.push_event(S::acknowledged(round_trip), 0);
        }
        Ok(())
    }

    fn check_time(&self, time: Option<JsonRef<'_>>) -> Result<(), Violation> {
        let len = time.map_or(0, |time| time.get().len());
        if len > self.config.limits.max_time.max(MAX_OWN_TIME) {
            return Err(Violation::at_start(ViolationKind::TimeTooLong(len)));
        }
        Ok(())
    }

    pub(crate) fn handle_unknown(&mut self, op: OpCode, raw: JsonRef<'_>) {
        self.connection.push_event(S::unknown(op, raw.to_owned()), raw.get().len());
    }

    fn transmit_heartbeat(&mut self) {
        let mut room = [0; 20];
        let time = Some(self.heartbeats.time(&self.connection.clock, &mut room));
        let text = written(&ClientMessage::Heartbeat { time });
        self.transmit(text);
    }

    /// A heartbeat that the application wants.
    fn heartbeat(&mut self) -> Result<(), SendError> {
        if self.connection.has_ended() {
            Err(SendError::Ended)
        } else if !self.heartbeats.has_started() {
            Err(SendError::NotReady)
        } else if self.heartbeats.send(&self.connection.clock) {
            self.transmit_heartbeat();
            Ok(())
        } else {
            Err(SendError::TooManyHeartbeats)
        }
    }
}

/// A heartbeat or its ack, which are short whatever `max_message` is.
fn written(message: &ClientMessage<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    let _ = message.encode(&CodecConfig::default().max_message(usize::MAX), &mut text);
    text
}

/// One end of a connection: all of [`Session`](crate::Session), for both sides.
pub(crate) struct Endpoint<S: Side> {
    pub(crate) common: Common<S>,
    pub(crate) side: S,
}

impl<S: Side> Endpoint<S> {
    /// What both ends have, moved on to `now`: the way in for whatever the application does.
    pub(crate) fn at(&mut self, now: Instant) -> &mut Common<S> {
        let c = &mut self.common;
        let counts = !c.is_behind();
        c.connection.clock.advance(now, counts);
        c
    }

    pub(crate) fn wants_input(&self) -> bool {
        !self.common.connection.has_ended() && !self.common.is_behind()
    }

    pub(crate) fn handle_input(&mut self, now: Instant, message: &Message) {
        let Self { common: c, side } = self;
        let counts = !c.is_behind();
        c.connection.clock.advance(now, counts);
        if c.connection.has_ended() {
            return;
        }
        let handled = match message {
            Message::Text(text) => side.handle_message(c, text),
            Message::Binary(_) => Err(Violation::at_start(ViolationKind::UnexpectedBinary)),
            Message::Close(frame) => {
                c.connection.end_by_peer(end_of(frame.as_ref()));
                Ok(())
            }
        };
        if let Err(violation) = handled {
            c.close_by_violation(violation);
        }
    }

    pub(crate) fn handle_eof(&mut self, now: Instant) {
        self.at(now).connection.end_by_peer(End::Error(SessionError::ConnectionLost));
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let Self { common: c, side } = self;
        let counts = !c.is_behind();
        c.connection.clock.advance(now, counts);
        if c.connection.has_ended() || c.is_behind() {
            return;
        }
        let time = c.connection.clock.time();
        if side.next_deadline() <= time {
            side.handle_due(c);
        }
        if c.heartbeats.next() <= time && !c.connection.has_ended() {
            match c.heartbeats.beat(&c.connection.clock) {
                Some(true) => c.transmit_heartbeat(),
                Some(false) => {}
                None => {
                    c.close_with_error(CloseCode::TIMED_OUT, SessionError::HeartbeatTimeout);
                }
            }
        }
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Message> {
        let message = self.common.connection.pop_transmit();
        if let Some(Message::Text(text)) = &message {
            if text.starts_with(HEARTBEAT) {
                self.common.heartbeats.taken();
            } else if text.starts_with(ACK) {
                self.common.heartbeats.ack_taken();
            }
        }
        message
    }

    pub(crate) fn poll_event(&mut self) -> Option<S::Event> {
        self.common.connection.pop_event()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let c = &self.common;
        if c.connection.has_ended() || c.is_behind() {
            return None;
        }
        c.connection.clock.instant(self.side.next_deadline().min(c.heartbeats.next()))
    }

    pub(crate) fn ended(&self) -> Option<&End<SessionError>> {
        self.common.connection.ended()
    }

    pub(crate) fn heartbeat(&mut self, now: Instant) -> Result<(), SendError> {
        self.at(now).heartbeat()
    }

    /// Ends the session as the application wants it.
    pub(crate) fn close(&mut self, now: Instant, frame: CloseFrame) {
        self.at(now).connection.close(frame, End::Clean);
    }
}

impl<S: Side + fmt::Debug> fmt::Debug for Endpoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.common.connection;
        f.debug_struct(match S::ROLE {
            Role::Client => "Client",
            Role::Server => "Server",
        })
        .field("side", &self.side)
        .field("events", &c.events())
        .field("transmits", &c.out().len())
        .field("ended", &c.ended())
        .finish_non_exhaustive()
    }
}

/// What a close frame of the peer means.
fn end_of(frame: Option<&CloseFrame>) -> End<SessionError> {
    match frame {
        None => End::Clean,
        Some(frame) => match CloseCode(frame.code()) {
            CloseCode::NORMAL | CloseCode::GOING_AWAY => End::Clean,
            code => End::Error(SessionError::Closed { code, reason: frame.reason().into() }),
        },
    }
}

/// What a public session has of its endpoint: the same for both.
macro_rules! delegate_session {
    ($session:ident, $event:ident) => {
        impl $session {
            /// Says what the wall clock showed when the session was made, in unix milliseconds: what
            /// heartbeats carry counts from there (step 5). To be called before anything else: no ack would
            /// match a heartbeat from before.
            pub fn unix_time(mut self, milliseconds: u64) -> Self {
                self.0.common.heartbeats.set_unix_time(milliseconds);
                self
            }

            /// Sends a heartbeat between the regular ones, to measure the latency: its ack is an
            /// event (step 4).
            ///
            /// # Errors
            /// Nothing is sent: ended, four are outstanding, or a client has heard no Hello yet.
            pub fn heartbeat(&mut self, now: Instant) -> Result<(), SendError> {
                self.0.heartbeat(now)
            }

            /// Ends the session with close code 1000; what is queued is still to be sent.
            pub fn close(&mut self, now: Instant) {
                self.close_with(now, CloseFrame::new(CloseCode::NORMAL.0, ""));
            }

            /// Ends the session with a close frame of your choice, such as
            /// `CloseFrame::new(CloseCode::GOING_AWAY.0, "see you")`; what is queued is still to be sent, and
            /// nothing happens if the session has ended already. Libraries send codes 1000–1003, 1007–1014 and
            /// 3000–4999 only.
            pub fn close_with(&mut self, now: Instant, frame: CloseFrame) {
                self.0.close(now, frame);
            }
        }

        impl Session for $session {
            type Input = Message;
            type Transmit = Message;
            type Event = $event;
            type Error = SessionError;

            /// False after the end, and while too many events wait to be taken.
            fn wants_input(&self) -> bool {
                self.0.wants_input()
            }

            fn handle_input(&mut self, now: Instant, input: &Message) {
                self.0.handle_input(now, input);
            }

            fn handle_eof(&mut self, now: Instant) {
                self.0.handle_eof(now);
            }

            fn handle_timeout(&mut self, now: Instant) {
                self.0.handle_timeout(now);
            }

            fn poll_transmit(&mut self) -> Option<Message> {
                self.0.poll_transmit()
            }

            fn poll_event(&mut self) -> Option<$event> {
                self.0.poll_event()
            }

            fn poll_timeout(&self) -> Option<Instant> {
                self.0.poll_timeout()
            }

            fn ended(&self) -> Option<&End<SessionError>> {
                self.0.ended()
            }
        }

        impl fmt::Debug for $session {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}
pub(crate) use delegate_session;
