use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::time::Instant;

use bytes::{Buf, Bytes};
use smallwire_core::End;

use crate::codec::write_frame;
use crate::pending::{Pending, What};
use crate::{
    AnswerError, CodecConfig, Config, Decoder, EncodeError, Frame, FrameRef, MessageId, OpCode,
    Outcome, Payload, PeerRequestId, RequestId, Role, SendError, SessionError, Violation,
    ViolationKind,
};
use smallwire_core::clock::{Clock, NEVER, Time};

/// A Reply without a body: header and the id replied to.
const ACKNOWLEDGEMENT_LEN: usize = 7;

/// What differs between the two ends.
pub(crate) trait Side: Sized {
    const ROLE: Role;
    /// Whether a frame of the peer can make us send something without the application.
    const ANSWERS_BY_ITSELF: bool;
    type Event: From<Common>;

    /// Does what a frame of the peer asks for; Noops are none. The offset of a violation counts from the frame's
    /// first byte.
    fn handle_frame(
        &mut self,
        connection: &mut Connection<Self::Event>,
        id: MessageId,
        frame: Frame,
    ) -> Result<(), Violation>;

    /// The event that a frame is which says nothing to the session, if it is one of those.
    fn plain_event(opcode: OpCode) -> Option<fn(Payload) -> Self::Event>;

    /// When the next Ping is due.
    fn next_ping(&self) -> Time {
        NEVER
    }

    /// Sends the Ping that is due.
    fn ping(&mut self, _connection: &mut Connection<Self::Event>) {}
}

/// The events that both ends have.
pub(crate) enum Common {
    Request { id: PeerRequestId, payload: Payload },
    Outcome { request: RequestId, outcome: Outcome },
    StrayReply { in_reply_to: MessageId, outcome: Outcome },
}

/// One event that waits to be taken, or several.
pub(crate) enum Queued<E> {
    Event(E),
    /// So many whole frames, each a plain event.
    Run {
        frames: usize,
        bytes: Bytes,
    },
}

/// What a connection keeps whatever end it is: bytes in and out, events, ids, time, its end.
pub(crate) struct Connection<E> {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    decoder: Decoder,
    /// The rest of an input, accepted and not decoded yet.
    rest: Bytes,
    /// Bytes that `events` may keep alive: those of every input since there were none.
    held: usize,
    events: VecDeque<Queued<E>>,
    /// How many events that is.
    waiting: usize,
    out: Vec<u8>,
    pending: Option<Box<Pending>>,
    next_id: MessageId,
    pub(crate) ready: bool,
    /// `NEVER` once Ready.
    handshake_deadline: Time,
    /// The peer's last byte is in `rest` or was decoded.
    eof: bool,
    ended: Option<End<SessionError>>,
}

impl<E: From<Common>> Connection<E> {
    fn new(config: Arc<Config>, role: Role, now: Instant) -> Self {
        let clock = Clock::new(now);
        Self {
            ready: false,
            handshake_deadline: clock.after(config.handshake_timeout),
            clock,
            decoder: Decoder::new(config.codec),
            rest: Bytes::new(),
            held: 0,
            events: VecDeque::new(),
            waiting: 0,
            out: Vec::new(),
            pending: None,
            next_id: MessageId::first_of(role),
            eof: false,
            ended: None,
            config,
        }
    }

    pub(crate) fn codec(&self) -> &CodecConfig {
        &self.config.codec
    }

    pub(crate) fn set_ready(&mut self) {
        self.ready = true;
        self.handshake_deadline = NEVER;
    }

    fn max_pending(&self) -> usize {
        self.config.limits.effective_max_pending()
    }

    /// As many events wait as may: nothing more is decoded.
    fn is_full(&self) -> bool {
        let limits = &self.config.limits;
        self.waiting >= limits.max_events.max(1)
            || (self.held >= limits.max_event_bytes.max(1) && self.waiting > 0)
    }

    /// The application has fallen behind: nothing is read until it takes events, and where the queue was full, until it
    /// has taken all of them.
    fn is_behind(&self) -> bool {
        self.is_full() || (!self.rest.is_empty() && self.waiting > 0)
    }

    fn has_undecoded(&self) -> bool {
        self.ended.is_none() && (self.eof || !self.rest.is_empty())
    }

    fn has_room(&self, len: usize) -> bool {
        self.out.is_empty()
            || self.out.len().saturating_add(len) <= self.config.limits.max_transmit_bytes
    }

    pub(crate) fn push_event(&mut self, event: E) {
        self.waiting = self.waiting.saturating_add(1);
        self.events.push_back(Queued::Event(event));
    }

    /// Queues the plain events at the front of what was accepted, as far as there is room.
    fn queue_run(&mut self, plain: impl Fn(&FrameRef<'_>) -> bool) -> bool {
        let limits = &self.config.limits;
        // With this much held already, one event is as many as may wait.
        let max = if self.held < limits.max_event_bytes { limits.max_events.max(1) } else { 1 };
        let (frames, len) = self.decoder.run(&self.rest, max.saturating_sub(self.waiting), plain);
        if frames == 0 {
            return false;
        }
        self.decoder.skip(len);
        let bytes = self.rest.split_to(len.min(self.rest.len()));
        self.waiting = self.waiting.saturating_add(frames);
        self.events.push_back(Queued::Run { frames, bytes });
        true
    }

    /// Lets go of what only events kept, when there are none.
    fn release_taken(&mut self) {
        if self.waiting == 0 {
            self.held = 0;
            self.events = VecDeque::new();
        }
    }

    /// Ends the session; the first end stays.
    pub(crate) fn end(&mut self, end: End<SessionError>) {
        if self.ended.is_none() {
            self.ended = Some(end);
            self.rest = Bytes::new();
            self.decoder = Decoder::new(self.config.codec);
        }
    }

    /// Tells the peer that this is the end, and why.
    pub(crate) fn end_with_protocol_error(&mut self, reason: &str, end: End<SessionError>) {
        if self.ended.is_some() {
            return;
        }
        let mut len = reason.len().min(usize::from(self.codec().max_payload)).min(256);
        while !reason.is_char_boundary(len) {
            len = len.saturating_sub(1);
        }
        let reason = reason.get(..len).unwrap_or_default();
        // Regardless of what waits already: it is the last frame, and a short one.
        let _ = self.write(OpCode::ProtocolError, &[], reason.as_bytes());
        self.end(end);
    }

    /// Step 6: the peer says that we broke the protocol. Nothing more is sent.
    pub(crate) fn end_by_protocol_error(&mut self, reason: &str) {
        self.out = Vec::new();
        self.end(End::Error(SessionError::ProtocolError { reason: reason.into() }));
    }

    fn end_by_violation(&mut self, violation: Violation) {
        let end = End::Error(SessionError::Violation(violation));
        self.end_with_protocol_error(&violation.to_string(), end);
    }

    /// Queues a frame of ours under the next free id.
    fn write<const N: usize>(
        &mut self,
        opcode: OpCode,
        prefix: &[u8; N],
        body: &[u8],
    ) -> Result<MessageId, SendError> {
        let id = self.free_id();
        write_frame(opcode, id, prefix, body, &self.config.codec, &mut self.out)
            .map_err(not_written)?;
        self.next_id = id.next();
        Ok(id)
    }

    /// B5: the next id that no answer is awaited for.
    fn free_id(&self) -> MessageId {
        let mut id = self.next_id;
        if let Some(pending) = &self.pending {
            // At most a few times `max_pending` of the half's 32,768 ids are held.
            while pending.holds(id) {
                id = id.next();
            }
        }
        id
    }

    /// Whether a frame with so long a payload may be queued.
    fn check_sendable(&self, len: usize) -> Result<(), SendError> {
        let limit = self.codec().max_payload;
        if self.ended.is_some() {
            Err(SendError::Ended)
        } else if len > usize::from(limit) {
            Err(SendError::PayloadTooLarge { len, limit })
        } else if self.has_room(len.saturating_add(FrameRef::HEADER_LEN)) {
            Ok(())
        } else {
            Err(SendError::QueueFull)
        }
    }

    /// Queues a message if the session is in a state to, and there is room for it.
    pub(crate) fn send(&mut self, opcode: OpCode, payload: &[u8]) -> Result<MessageId, SendError> {
        self.check_sendable(payload.len())?;
        self.write(opcode, &[], payload)
    }

    pub(crate) fn send_when_ready(
        &mut self,
        opcode: OpCode,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.check_ready()?;
        self.send(opcode, payload).map(|_| ())
    }

    fn check_ready(&self) -> Result<(), SendError> {
        match self.ended {
            Some(_) => Err(SendError::Ended),
            None if !self.ready => Err(SendError::NotReady),
            None => Ok(()),
        }
    }

    pub(crate) fn noop(&mut self) -> Result<(), SendError> {
        if self.ended.is_some() {
            return Err(SendError::Ended);
        }
        if !self.has_room(1) {
            return Err(SendError::QueueFull);
        }
        self.out.push(OpCode::Noop as u8);
        Ok(())
    }

    pub(crate) fn request(&mut self, payload: &[u8]) -> Result<RequestId, SendError> {
        self.check_ready()?;
        if self.pending.as_ref().is_some_and(|p| p.requests() >= self.max_pending()) {
            return Err(SendError::TooManyPending);
        }
        let id = self.send(OpCode::Request, payload)?;
        let deadline = self.clock.after(self.config.request_timeout);
        self.pending.get_or_insert_default().insert(id, What::Request, deadline);
        Ok(RequestId(id))
    }

    /// Step 4. Not while so much waits to be sent that a Ping is among it, nor while as many Pings as
    /// requests may be are unanswered: one of those will tell that the client is gone.
    pub(crate) fn ping(&mut self) {
        if self.out.len() > self.config.limits.max_transmit_bytes.max(self.config.longest_frame())
            || self.pending.as_ref().is_some_and(|p| p.pings() >= self.max_pending())
        {
            return;
        }
        if let Ok(id) = self.write(OpCode::Ping, &[], &[]) {
            let what = What::Ping { sent: self.clock.time() };
            let deadline = self.clock.after(self.config.ping_timeout);
            self.pending.get_or_insert_default().insert(id, what, deadline);
        }
    }

    /// B5: notes a message of the peer that awaits our answer. One that we left unanswered for
    /// `request_timeout` the peer has given up, and may ask another in its place.
    pub(crate) fn await_answer(&mut self, id: MessageId) -> Result<PeerRequestId, Violation> {
        let max = self.max_pending();
        let time = self.clock.time();
        let theirs = &mut self.pending.get_or_insert_default().theirs;
        if theirs.get(&id).is_some_and(|given_up| *given_up > time) {
            return Err(Violation::at_start(ViolationKind::DuplicateRequest(id)));
        }
        if theirs.len() >= max {
            theirs.retain(|_, given_up| *given_up > time);
        }
        if theirs.len() >= max {
            return Err(Violation::at_start(ViolationKind::TooManyRequests));
        }
        theirs.insert(id, self.clock.after(self.config.request_timeout));
        Ok(PeerRequestId(id))
    }

    pub(crate) fn handle_request(
        &mut self,
        id: MessageId,
        payload: Bytes,
    ) -> Result<(), Violation> {
        let id = self.await_answer(id)?;
        self.push_event(Common::Request { id, payload: Payload(payload) }.into());
        Ok(())
    }

    /// One message of the peer that awaits our answer, oldest id first, which is then forgotten.
    pub(crate) fn take_unanswered(&mut self) -> Option<MessageId> {
        Some(self.pending.as_mut()?.theirs.pop_first()?.0)
    }

    pub(crate) fn answer(&mut self, id: PeerRequestId, body: &[u8]) -> Result<(), AnswerError> {
        self.check_open(id)?;
        self.check_sendable(body.len().saturating_add(2))?;
        self.write_reply(id.0, body)?;
        self.forget_open(id);
        Ok(())
    }

    /// Acknowledges a Ping. There is room: `has_room` saw to it, or Pings were few (step 3).
    pub(crate) fn acknowledge_ping(&mut self, id: MessageId) {
        // Fails only where `max_payload` is too small for any Reply.
        let _ = self.write_reply(id, &[]);
    }

    fn write_reply(&mut self, in_reply_to: MessageId, body: &[u8]) -> Result<(), SendError> {
        let prefix = self.codec().byte_order.write(in_reply_to.0);
        self.write(OpCode::Reply, &prefix, body).map(|_| ())
    }

    pub(crate) fn reject(&mut self, id: PeerRequestId, text: &str) -> Result<(), AnswerError> {
        self.check_open(id)?;
        self.error_reply(id.0, text)?;
        self.forget_open(id);
        Ok(())
    }

    /// B7: queues an ErrorReply in the configured style.
    pub(crate) fn error_reply(
        &mut self,
        in_reply_to: MessageId,
        text: &str,
    ) -> Result<(), SendError> {
        use crate::ErrorReplyStyle::{HeaderId, PayloadPrefix};
        let codec = *self.codec();
        match codec.error_reply_style {
            HeaderId => {
                self.check_sendable(text.len())?;
                let body = text.as_bytes();
                write_frame(OpCode::ErrorReply, in_reply_to, &[], body, &codec, &mut self.out)
                    .map_err(not_written)?;
            }
            PayloadPrefix => {
                self.check_sendable(text.len().saturating_add(2))?;
                let prefix = codec.byte_order.write(in_reply_to.0);
                self.write(OpCode::ErrorReply, &prefix, text.as_bytes())?;
            }
        }
        Ok(())
    }

    fn check_open(&self, id: PeerRequestId) -> Result<(), AnswerError> {
        if self.ended.is_some() {
            return Err(SendError::Ended.into());
        }
        match &self.pending {
            Some(pending) if pending.theirs.contains_key(&id.0) => Ok(()),
            _ => Err(AnswerError::NotOpen(id)),
        }
    }

    fn forget_open(&mut self, id: PeerRequestId) {
        if let Some(pending) = &mut self.pending {
            pending.theirs.remove(&id.0);
        }
        self.drop_empty_pending();
    }

    /// An idle session keeps no heap.
    fn drop_empty_pending(&mut self) {
        if self.pending.as_ref().is_some_and(|p| p.is_empty()) {
            self.pending = None;
        }
    }

    /// An answer of the peer: gives what of ours it is to, `None` if the application was told.
    /// B6: only what awaits one can be answered.
    pub(crate) fn handle_answer(
        &mut self,
        in_reply_to: MessageId,
        outcome: Outcome,
    ) -> Option<Duration> {
        if let Outcome::ErrorReply { text } = &outcome {
            // A copy, beside the input.
            self.held = self.held.saturating_add(text.len());
        }
        let what = self.pending.as_mut().and_then(|p| p.remove(in_reply_to));
        match what {
            Some(What::Request) => {
                let request = RequestId(in_reply_to);
                self.push_event(Common::Outcome { request, outcome }.into());
                None
            }
            Some(What::Ping { sent }) => {
                Some(Duration::from_nanos(self.clock.time().saturating_sub(sent)))
            }
            Some(What::Resting) | None => {
                self.push_event(Common::StrayReply { in_reply_to, outcome }.into());
                None
            }
        }
    }

    /// After the end, and after all other events: each request that nothing will answer now.
    fn next_closed(&mut self) -> Option<E> {
        self.ended.as_ref()?;
        let request = self.pending.as_mut()?.drain_requests();
        if request.is_none() {
            self.pending = None;
        }
        request.map(|request| Common::Outcome { request, outcome: Outcome::Closed }.into())
    }

    /// Timeouts of the handshake and of what we asked.
    fn handle_due(&mut self) {
        let time = self.clock.time();
        if self.handshake_deadline <= time {
            self.end(End::Error(SessionError::HandshakeTimeout));
        }
        while self.ended.is_none() {
            let Some(pending) = &mut self.pending else {
                return;
            };
            match pending.remove_due(time) {
                Some((id, What::Request)) => {
                    let until = self.clock.after(self.config.request_timeout);
                    pending.insert(id, What::Resting, until);
                    let (request, outcome) = (RequestId(id), Outcome::TimedOut);
                    self.push_event(Common::Outcome { request, outcome }.into());
                }
                Some((_, What::Ping { .. })) => self.end(End::Error(SessionError::PingTimeout)),
                Some((_, What::Resting)) => {}
                None => break,
            }
        }
        self.drop_empty_pending();
    }
}

/// One end of a connection: all of [`Session`](crate::Session), for both sides.
pub(crate) struct Endpoint<S: Side> {
    pub(crate) connection: Connection<S::Event>,
    pub(crate) side: S,
}

impl<S: Side> Endpoint<S> {
    pub(crate) fn new(config: Arc<Config>, side: S, now: Instant) -> Self {
        Self { connection: Connection::new(config, S::ROLE, now), side }
    }

    /// The connection, moved on to `now`: the way in for whatever the application does.
    pub(crate) fn at(&mut self, now: Instant) -> &mut Connection<S::Event> {
        let c = &mut self.connection;
        c.clock.advance(now, !c.is_behind());
        c
    }

    pub(crate) fn wants_input(&self) -> bool {
        let c = &self.connection;
        c.ended.is_none() && !c.eof && c.rest.is_empty() && !c.is_full() && self.can_answer()
    }

    pub(crate) fn handle_input(&mut self, now: Instant, input: &[u8]) {
        let c = self.at(now);
        if c.ended.is_some() || c.eof {
            return;
        }
        c.held = c.held.saturating_add(input.len()).saturating_add(c.decoder.unfinished().len());
        c.rest = if c.rest.is_empty() {
            Bytes::copy_from_slice(input)
        } else {
            [&c.rest[..], input].concat().into()
        };
        self.decode();
    }

    pub(crate) fn handle_eof(&mut self, now: Instant) {
        self.at(now).eof = true;
        self.decode();
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.at(now);
        let Self { connection: c, side } = self;
        if c.ended.is_some() || c.is_behind() {
            return;
        }
        c.handle_due();
        if c.ended.is_none() && side.next_ping() <= c.clock.time() {
            side.ping(c);
        }
    }

    /// Whether a frame of the peer can be handled now, given what it may make us send.
    fn can_answer(&self) -> bool {
        !S::ANSWERS_BY_ITSELF || self.connection.has_room(ACKNOWLEDGEMENT_LEN)
    }

    /// Decodes what was accepted, as far as there is room for what comes of it.
    fn decode(&mut self) {
        while self.connection.ended.is_none() && !self.connection.rest.is_empty() {
            if self.connection.is_full() || !self.can_answer() {
                return;
            }
            let c = &mut self.connection;
            // Most of what comes is queued as it is: an event by itself takes more room and time.
            if c.ready
                && c.queue_run(|frame| {
                    S::plain_event(frame.opcode()).is_some()
                        && frame.id().is_some_and(|id| id.role() != S::ROLE)
                })
            {
                continue;
            }
            let offset = c.decoder.offset();
            match c.decoder.decode_bytes(&mut c.rest) {
                Ok(Some(frame)) => {
                    let Some(id) = frame.id() else { continue };
                    if let Err(violation) = self.side.handle_frame(c, id, frame) {
                        let offset = offset.saturating_add(violation.offset);
                        c.end_by_violation(Violation { offset, ..violation });
                    }
                }
                Ok(None) => {}
                Err(error) => c.end_by_violation(Violation::malformed(error)),
            }
        }
        let c = &mut self.connection;
        if c.rest.is_empty() {
            // An empty slice would keep the read alive.
            c.rest = Bytes::new();
        }
        c.release_taken();
        if c.eof && c.ended.is_none() {
            let end = match c.decoder.finish() {
                Ok(()) => End::Clean,
                Err(error) => End::Error(SessionError::UnexpectedEof { offset: error.offset }),
            };
            c.end(end);
        }
        c.drop_empty_pending();
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Bytes> {
        let c = &mut self.connection;
        if c.out.is_empty() {
            return None;
        }
        let out = Bytes::from(core::mem::take(&mut c.out));
        if c.has_undecoded() {
            self.decode();
        }
        Some(out)
    }

    #[inline]
    pub(crate) fn poll_event(&mut self) -> Option<S::Event> {
        let c = &mut self.connection;
        if c.waiting > 1 {
            if let Some(Queued::Run { frames, bytes }) = c.events.front_mut() {
                if *frames > 1 {
                    *frames = frames.saturating_sub(1);
                    c.waiting = c.waiting.saturating_sub(1);
                    return Self::first_of_run(bytes, &c.config.codec);
                }
            }
        }
        self.poll_queued()
    }

    /// Takes an event after which there may be more to do than to take the next, or finds none.
    fn poll_queued(&mut self) -> Option<S::Event> {
        let c = &mut self.connection;
        let event = match c.events.pop_front() {
            Some(Queued::Event(event)) => Some(event),
            Some(Queued::Run { mut bytes, .. }) => Self::first_of_run(&mut bytes, c.codec()),
            None => return c.next_closed(),
        };
        c.waiting = c.waiting.saturating_sub(1);
        if c.waiting == 0 {
            c.release_taken();
            if c.has_undecoded() {
                self.decode();
            }
        }
        event
    }

    #[inline]
    fn first_of_run(bytes: &mut Bytes, config: &CodecConfig) -> Option<S::Event> {
        let frame = Frame::split_off(bytes, config)?;
        S::plain_event(frame.opcode()).map(|event| event(Payload(frame.into_payload())))
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let c = &self.connection;
        if c.ended.is_some() || c.is_behind() {
            return None;
        }
        let pending = c.pending.as_ref().and_then(|p| p.next_deadline()).unwrap_or(NEVER);
        c.clock.instant(self.side.next_ping().min(c.handshake_deadline).min(pending))
    }

    pub(crate) fn ended(&self) -> Option<&End<SessionError>> {
        self.connection.ended.as_ref()
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
        .field("events", &c.waiting)
        .field("transmit_bytes", &c.out.len())
        .field("decoder", &c.decoder)
        .field("ended", &c.ended)
        .finish_non_exhaustive()
    }
}

fn not_written(error: EncodeError) -> SendError {
    match error {
        EncodeError::PayloadTooLarge { len, limit } => SendError::PayloadTooLarge { len, limit },
        // Our ids are of the right half, and our buffer grows.
        EncodeError::WrongIdHalf(_) | EncodeError::BufferFull => SendError::QueueFull,
    }
}

/// The body of a Reply: what follows the id replied to.
pub(crate) fn reply_body(frame: Frame) -> Payload {
    let mut body = frame.into_payload();
    body.advance(body.len().min(2));
    Payload(body)
}

/// What a public session has of its endpoint: the same for both.
macro_rules! delegate_session {
    ($session:ident, $event:ident) => {
        impl From<$crate::connection::Common> for $event {
            fn from(event: Common) -> Self {
                match event {
                    Common::Request { id, payload } => Self::Request { id, payload },
                    Common::Outcome { request, outcome } => Self::Outcome { request, outcome },
                    Common::StrayReply { in_reply_to, outcome } => {
                        Self::StrayReply { in_reply_to, outcome }
                    }
                }
            }
        }

        impl Session for $session {
            type Input = [u8];
            type Transmit = Bytes;
            type Event = $event;
            type Error = SessionError;

            /// False after the end, and while too many events or (at a client) acknowledgements of Pings
            /// wait to be taken.
            fn wants_input(&self) -> bool {
                self.0.wants_input()
            }

            fn handle_input(&mut self, now: Instant, input: &[u8]) {
                self.0.handle_input(now, input);
            }

            fn handle_eof(&mut self, now: Instant) {
                self.0.handle_eof(now);
            }

            fn handle_timeout(&mut self, now: Instant) {
                self.0.handle_timeout(now);
            }

            fn poll_transmit(&mut self) -> Option<Bytes> {
                self.0.poll_transmit()
            }

            #[inline]
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
