use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::borrow::Cow;
use std::fmt;
use std::time::Instant;

use bytes::Bytes;
use serde::Serialize;
use smallwire_core::{self as core, CloseFrame, End, Message};

use crate::message::Writer;
use crate::pending::Pending;
use crate::{
    AnswerError, CloseCode, CodecConfig, Config, EncodeError, Json, JsonRef, OpCode, Outcome,
    PeerRequestId, RequestId, Role, SendError, SessionError, Violation, ViolationKind,
};
use smallwire_core::clock::{Clock, NEVER, Time, nanos};

/// What differs between the two ends.
pub(crate) trait Side: Sized {
    const ROLE: Role;
    type Event: From<Common>;

    /// Does what a message of the peer asks for, which came at `arrived`.
    fn handle_message(
        &mut self,
        c: &mut Connection<Self>,
        text: &[u8],
        arrived: Time,
    ) -> Result<(), Violation>;

    /// Whether a message of the peer can be handled now, given what it may make us send.
    fn can_answer(_connection: &Connection<Self>) -> bool {
        true
    }

    /// When there is something to be done that is this side's business.
    fn next_deadline(&self) -> Time;

    /// Does what of that is due.
    fn handle_due(&mut self, c: &mut Connection<Self>);
}

/// The events that both ends have.
pub(crate) enum Common {
    Request { id: PeerRequestId, what: Box<str>, args: Json },
    Outcome { request: RequestId, outcome: Outcome },
    Dispatch { what: Box<str>, args: Json },
    StrayResponse { nonce: Json, result: Json },
    Unknown { op: OpCode, raw: Json },
}

impl Common {
    /// Bytes of text in it.
    fn len(&self) -> usize {
        match self {
            Self::Request { what, args, .. } | Self::Dispatch { what, args } => {
                what.len().saturating_add(args.get().len())
            }
            Self::Outcome { outcome: Outcome::Response(result), .. } => result.get().len(),
            Self::Outcome { .. } => 0,
            Self::StrayResponse { nonce, result } => {
                nonce.get().len().saturating_add(result.get().len())
            }
            Self::Unknown { raw, .. } => raw.get().len(),
        }
    }
}

/// What a connection keeps whatever end it is: messages in and out, events, requests, time, its end.
pub(crate) struct Connection<S: Side> {
    pub(crate) config: Arc<Config>,
    base: core::Connection<S::Event, SessionError>,
    pending: Option<Box<Pending>>,
    last_request: u64,
    last_peer_request: u64,
    /// Whether the application may send.
    pub(crate) ready: bool,
}

impl<S: Side> Connection<S> {
    fn new(config: Arc<Config>, now: Instant) -> Self {
        Self {
            config,
            base: core::Connection::new(now),
            pending: None,
            last_request: 0,
            last_peer_request: 0,
            ready: false,
        }
    }

    pub(crate) fn codec(&self) -> &CodecConfig {
        &self.config.codec
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.base.clock
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.base.has_ended()
    }

    /// As many events wait as may: the application has fallen behind.
    fn is_behind(&self) -> bool {
        let limits = &self.config.limits;
        self.base.is_behind(limits.max_events, limits.max_event_bytes)
    }

    /// At most half of what may wait does: one more message may be queued, however long it is.
    pub(crate) fn has_room_for_any(&self) -> bool {
        self.base.has_room_for_any(self.config.limits.max_transmit_bytes)
    }

    fn has_room(&self, len: usize) -> bool {
        self.base.has_room(len, self.config.limits.max_transmit_bytes)
    }

    /// Queues an event that only this side has, with so many bytes of text in it.
    pub(crate) fn push_event(&mut self, event: S::Event, bytes: usize) {
        self.base.push_event(event, bytes);
    }

    fn push(&mut self, event: Common) {
        let bytes = event.len();
        self.base.push_event(event.into(), bytes);
    }

    pub(crate) fn transmit_text(&mut self, text: impl Into<Bytes>) {
        self.base.transmit(message_of(text.into(), &self.config));
    }

    /// Queues a text, unless the same waits already.
    pub(crate) fn transmit_once(&mut self, text: &'static [u8]) {
        let message = message_of(Bytes::from_static(text), &self.config);
        if !self.base.out().contains(&message) {
            self.base.transmit(message);
        }
    }

    pub(crate) fn close_with_error(&mut self, code: CloseCode, error: SessionError) {
        let frame = CloseFrame::new(code.0, error.to_string());
        self.base.close(frame, End::Error(error));
    }

    fn close_by_violation(&mut self, violation: Violation) {
        let frame = CloseFrame::new(violation.kind.close_code().0, violation.to_string());
        self.base.close(frame, End::Error(SessionError::Violation(violation)));
    }

    fn check_ready(&self) -> Result<(), SendError> {
        if self.has_ended() {
            Err(SendError::Ended)
        } else if !self.ready {
            Err(SendError::NotReady)
        } else if !self.has_room(0) {
            Err(SendError::QueueFull)
        } else {
            Ok(())
        }
    }

    /// Queues what `write` writes, if there is room. The caller has asked `check_ready`, before it made
    /// JSON in vain.
    fn send(
        &mut self,
        write: impl FnOnce(Writer<'_>, &mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), SendError> {
        let mut text = Vec::new();
        write(Writer { sender: S::ROLE, config: &self.config.codec }, &mut text)?;
        if !self.has_room(text.len()) {
            return Err(SendError::QueueFull);
        }
        self.transmit_text(text);
        Ok(())
    }

    pub(crate) fn request<A: Serialize + ?Sized>(
        &mut self,
        what: &str,
        args: &A,
    ) -> Result<RequestId, SendError> {
        self.check_ready()?;
        let max = self.config.limits.effective_max_pending();
        if self.pending.as_ref().is_some_and(|pending| pending.ours.len() >= max) {
            return Err(SendError::TooManyPending);
        }
        let args = Json::of(args)?;
        let nonce = self.last_request.saturating_add(1);
        self.send(|writer, text| {
            writer.request(what, args.as_ref(), JsonRef::of_checked(&nonce.to_string()), text)
        })?;
        self.last_request = nonce;
        let deadline = self.clock().after(self.config.request_timeout);
        self.pending.get_or_insert_default().ours.insert(RequestId(nonce), deadline);
        Ok(RequestId(nonce))
    }

    pub(crate) fn dispatch<A: Serialize + ?Sized>(
        &mut self,
        what: &str,
        args: &A,
    ) -> Result<(), SendError> {
        self.check_ready()?;
        let args = Json::of(args)?;
        self.send(|writer, text| writer.dispatch(what, args.as_ref(), text))
    }

    pub(crate) fn respond<R: Serialize + ?Sized>(
        &mut self,
        id: PeerRequestId,
        result: &R,
    ) -> Result<(), AnswerError> {
        if self.has_ended() {
            return Err(SendError::Ended.into());
        }
        let nonce = self.pending.as_ref().and_then(|pending| pending.nonce(id));
        let nonce = nonce.ok_or(AnswerError::NotOpen(id))?;
        self.check_ready()?;
        let result = Json::of(result).map_err(SendError::from)?;
        self.send(|writer, text| {
            writer.response(JsonRef::of_checked(&nonce), result.as_ref(), text)
        })?;
        if let Some(pending) = &mut self.pending {
            pending.remove_theirs(id);
        }
        self.drop_empty_pending();
        Ok(())
    }

    /// L5: a request of the peer, whose nonce is kept until it is answered. One that was left
    /// unanswered for `request_timeout` the peer has given up, and may ask another in its place.
    pub(crate) fn handle_request(
        &mut self,
        what: Cow<'_, str>,
        args: JsonRef<'_>,
        nonce: JsonRef<'_>,
        arrived: Time,
    ) -> Result<(), Violation> {
        let violation = |kind| Err(Violation::at_start(kind));
        if nonce.get().len() > self.config.limits.max_nonce.max(1) {
            return violation(ViolationKind::NonceTooLong(nonce.get().len()));
        }
        let (time, given_up) =
            (self.clock().time(), arrived.saturating_add(nanos(self.config.request_timeout)));
        let max = self.config.limits.effective_max_pending();
        let pending = self.pending.get_or_insert_default();
        if pending.has_nonce(nonce) || pending.theirs() >= max {
            pending.forget_given_up(time);
        }
        if pending.has_nonce(nonce) {
            return violation(ViolationKind::DuplicateRequest);
        }
        if pending.theirs() >= max {
            return violation(ViolationKind::TooManyRequests);
        }
        self.last_peer_request = self.last_peer_request.saturating_add(1);
        let id = PeerRequestId(self.last_peer_request);
        pending.insert_theirs(id, nonce, given_up);
        self.push(Common::Request { id, what: what.into(), args: args.to_owned() });
        Ok(())
    }

    pub(crate) fn handle_dispatch(&mut self, what: Cow<'_, str>, args: JsonRef<'_>) {
        self.push(Common::Dispatch { what: what.into(), args: args.to_owned() });
    }

    /// L5: only what awaits a response can get one.
    pub(crate) fn handle_response(&mut self, nonce: JsonRef<'_>, result: JsonRef<'_>) {
        let request = own_nonce(nonce).map(RequestId).filter(|request| {
            self.pending.as_mut().is_some_and(|pending| pending.ours.remove(request).is_some())
        });
        self.push(match request {
            Some(request) => {
                Common::Outcome { request, outcome: Outcome::Response(result.to_owned()) }
            }
            None => Common::StrayResponse { nonce: nonce.to_owned(), result: result.to_owned() },
        });
        self.drop_empty_pending();
    }

    pub(crate) fn handle_unknown(&mut self, op: OpCode, raw: JsonRef<'_>) {
        self.push(Common::Unknown { op, raw: raw.to_owned() });
    }

    /// An idle session keeps no heap.
    fn drop_empty_pending(&mut self) {
        if self.pending.as_ref().is_some_and(|pending| pending.is_empty()) {
            self.pending = None;
        }
    }

    /// Tells of the requests of ours whose time is up.
    fn handle_request_timeouts(&mut self) {
        let time = self.clock().time();
        while let Some(request) = self.pending.as_mut().and_then(|p| p.remove_due(time)) {
            self.push(Common::Outcome { request, outcome: Outcome::TimedOut });
        }
        self.drop_empty_pending();
    }

    /// After the end, and after all other events: each request that nothing will answer now.
    fn next_closed(&mut self) -> Option<S::Event> {
        self.base.ended()?;
        let request = self.pending.as_mut()?.remove_due(NEVER);
        if request.is_none() {
            self.pending = None;
        }
        request.map(|request| Common::Outcome { request, outcome: Outcome::Closed }.into())
    }
}

/// One end of a connection: all of [`Session`](crate::Session), for both sides.
pub(crate) struct Endpoint<S: Side> {
    pub(crate) connection: Connection<S>,
    pub(crate) side: S,
}

impl<S: Side> Endpoint<S> {
    pub(crate) fn new(config: Arc<Config>, now: Instant, side: impl FnOnce(&Clock) -> S) -> Self {
        let connection = Connection::new(config, now);
        Self { side: side(connection.clock()), connection }
    }

    /// The connection, moved on to `now`: the way in for whatever the application does.
    pub(crate) fn at(&mut self, now: Instant) -> &mut Connection<S> {
        let c = &mut self.connection;
        c.base.clock.advance(now, !c.is_behind());
        c
    }

    pub(crate) fn wants_input(&self) -> bool {
        let c = &self.connection;
        !c.has_ended() && !c.is_behind() && S::can_answer(c)
    }

    pub(crate) fn handle_input(&mut self, now: Instant, message: &Message) {
        let c = self.at(now);
        if c.has_ended() {
            return;
        }
        let arrived = c.clock().time();
        match message {
            Message::Text(text) => self.handle_text(text, arrived),
            Message::Binary(bytes) => match decompressed(bytes, &c.config) {
                Ok(text) => self.handle_text(&text, arrived),
                Err(violation) => c.close_by_violation(violation),
            },
            Message::Close(frame) => c.base.end_by_peer(end_of(frame.as_ref())),
        }
    }

    /// Handles a text that came now or was held back.
    pub(crate) fn handle_text(&mut self, text: &[u8], arrived: Time) {
        if let Err(violation) = self.side.handle_message(&mut self.connection, text, arrived) {
            self.connection.close_by_violation(violation);
        }
    }

    pub(crate) fn handle_eof(&mut self, now: Instant) {
        self.at(now).base.end_by_peer(End::Error(SessionError::ConnectionLost));
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let Self { connection: c, side } = self;
        c.base.clock.advance(now, !c.is_behind());
        if c.has_ended() || c.is_behind() {
            return;
        }
        if side.next_deadline() <= c.clock().time() {
            side.handle_due(c);
        }
        if !c.has_ended() {
            c.handle_request_timeouts();
        }
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Message> {
        self.connection.base.pop_transmit()
    }

    pub(crate) fn poll_event(&mut self) -> Option<S::Event> {
        let c = &mut self.connection;
        c.base.pop_event().or_else(|| c.next_closed())
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let c = &self.connection;
        if c.has_ended() || c.is_behind() {
            return None;
        }
        let requests = c.pending.as_ref().and_then(|pending| pending.next_deadline());
        c.clock().instant(self.side.next_deadline().min(requests.unwrap_or(NEVER)))
    }

    pub(crate) fn ended(&self) -> Option<&End<SessionError>> {
        self.connection.base.ended()
    }

    /// Ends the session as the application wants it.
    pub(crate) fn close(&mut self, now: Instant, frame: CloseFrame) {
        self.at(now).base.close(frame, End::Clean);
    }
}

impl<S: Side + fmt::Debug> fmt::Debug for Endpoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.connection;
        f.debug_struct(match S::ROLE {
            Role::Client => "Client",
            Role::Server => "Server",
        })
        .field("side", &self.side)
        .field("ready", &c.ready)
        .field("events", &c.base.events())
        .field("transmits", &c.base.out().len())
        .field("ended", &c.base.ended())
        .finish_non_exhaustive()
    }
}

/// A text as it is sent, compressed where that is agreed (L8).
fn message_of(text: Bytes, config: &Config) -> Message {
    #[cfg(feature = "zlib")]
    if config.zlib {
        return Message::Binary(crate::zlib::compress(&text).into());
    }
    let _ = config;
    Message::Text(text)
}

/// What a binary message says (L8).
fn decompressed(bytes: &[u8], config: &Config) -> Result<Vec<u8>, Violation> {
    #[cfg(feature = "zlib")]
    if config.zlib {
        return crate::zlib::decompress(bytes, config.codec.max_message);
    }
    let _ = (bytes, config);
    Err(Violation::at_start(ViolationKind::UnexpectedBinary))
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

/// Which of our nonces this is, by its value as JSON (L5).
fn own_nonce(nonce: JsonRef<'_>) -> Option<u64> {
    if let Ok(integer) = nonce.get().parse() {
        return Some(integer);
    }
    // A peer that keeps numbers as floats may have made `1.0` of `1`.
    let float: f64 = nonce.get().parse().ok()?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "looked at next")]
    let integer = float as u64;
    #[allow(clippy::cast_precision_loss, clippy::float_cmp, reason = "integers up to 2^53")]
    let same = integer as f64 == float && integer < 1 << 53;
    same.then_some(integer)
}

/// What a public session has of its endpoint: the same for both.
macro_rules! delegate_session {
    ($session:ident, $event:ident) => {
        impl $session {
            /// Asks the peer for something, with an array of arguments: a slice, a tuple, a
            /// [`Json`](crate::Json); `&[(); 0]` for none. Exactly one `Outcome` will tell how it ended
            /// (step 5).
            ///
            /// # Errors
            /// Nothing is sent: not ready, ended, too many requests open, too much waiting, not for this side
            /// ([`Directions`](crate::Directions)), too long (`max_message`), or arguments that are no array or can't
            /// be expressed (L4).
            pub fn request<A: Serialize + ?Sized>(
                &mut self,
                now: Instant,
                what: &str,
                args: &A,
            ) -> Result<RequestId, SendError> {
                self.0.at(now).request(what, args)
            }

            /// Answers a request of the peer, with any value.
            ///
            /// # Errors
            /// Nothing is sent: not open, ended, too much waiting, not for this side, too long, or a value that
            /// can't be expressed. A peer that asks and goes at once is no reason to leave your loop: take the other events.
            pub fn respond<R: Serialize + ?Sized>(
                &mut self,
                now: Instant,
                id: PeerRequestId,
                result: &R,
            ) -> Result<(), AnswerError> {
                self.0.at(now).respond(id, result)
            }

            /// Tells the peer something, with an array of arguments.
            ///
            /// # Errors
            /// As [`request`](Self::request), but that nothing is open.
            pub fn dispatch<A: Serialize + ?Sized>(
                &mut self,
                now: Instant,
                what: &str,
                args: &A,
            ) -> Result<(), SendError> {
                self.0.at(now).dispatch(what, args)
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

        impl From<$crate::connection::Common> for $event {
            fn from(event: Common) -> Self {
                match event {
                    Common::Request { id, what, args } => Self::Request { id, what, args },
                    Common::Outcome { request, outcome } => Self::Outcome { request, outcome },
                    Common::Dispatch { what, args } => Self::Dispatch { what, args },
                    Common::StrayResponse { nonce, result } => {
                        Self::StrayResponse { nonce, result }
                    }
                    Common::Unknown { op, raw } => Self::Unknown { op, raw },
                }
            }
        }

        impl Session for $session {
            type Input = Message;
            type Transmit = Message;
            type Event = $event;
            type Error = SessionError;

            /// False after the end, while too many events wait to be taken, and on a server while
            /// too much waits to be sent.
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
