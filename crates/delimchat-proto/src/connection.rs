use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::time::Instant;

use bytes::{Buf, Bytes};
use smallwire_core::End;
use smallwire_core::clock::{Clock, NEVER, Time};

use crate::codec::Packets;
use crate::config::Settings;
use crate::{
    ByteOrder, CodecConfig, DecodeError, DecodeErrorKind, Decoder, EncodeError, Limits, SendError,
    Sender, SessionError, Violation, ViolationKind,
};

/// What differs between the two ends.
pub(crate) trait Side: Sized {
    const NAME: &'static str;
    /// Whether what waits to be sent keeps it from reading.
    const STOPS_READING: bool;
    /// Whose packets it takes.
    type Peer: Sender;
    type Event;
    type Config: Settings;

    /// Does what a packet of the peer asks for.
    fn handle_packet(
        &mut self,
        c: &mut Connection<Self>,
        packet: <Self::Peer as Packets>::Packet<&[u8]>,
    ) -> Result<(), ViolationKind>;

    /// Takes note of what is no packet (D3); `whole` is false if it is known to be none, but where it ends isn't:
    /// then it will come once more.
    fn handle_bad(
        &mut self,
        c: &mut Connection<Self>,
        bad: &DecodeError,
        whole: bool,
    ) -> Result<(), ViolationKind>;

    /// Handles one packet of those that have been held, if it is their turn (step 1).
    fn handle_held(&mut self, _c: &mut Connection<Self>) -> Option<Result<(), Violation>> {
        None
    }

    /// Whether packets are held that are still to be handled (step 1).
    fn has_held(&self) -> bool {
        false
    }

    /// There may be room to send more.
    fn fill(&mut self, c: &mut Connection<Self>);

    fn next_deadline(&self, c: &Connection<Self>) -> Time;

    /// Does one thing that is due; `false`: there is none.
    fn handle_due(&mut self, c: &mut Connection<Self>) -> bool;

    /// After the end: the outcome of what was still open, one by one.
    fn next_closed(&mut self) -> Option<Self::Event>;
}

/// What a connection keeps whatever end it is: bytes in and out, events, time, its end.
pub(crate) struct Connection<S: Side> {
    pub(crate) config: Arc<S::Config>,
    pub(crate) clock: Clock,
    /// What waits for the application, if anything does.
    waiting: Option<Box<Waiting<S::Event>>>,
    out: Vec<u8>,
    /// Where the packet begins that was last decoded.
    pub(crate) position: u64,
    /// When that is overdue (D5).
    packet_deadline: Time,
    /// When the client must be logged in (step 1).
    pub(crate) login_deadline: Time,
    /// Where what was last answered for being no packet begins, and one more.
    answered: u64,
    /// Bad packets since the last good one.
    bad: u16,
    /// They have been answered with S251 (D4).
    pub(crate) told_unsupported: bool,
    /// The peer's last byte was handed in.
    eof: bool,
    /// D6.
    pub(crate) receives: ByteOrder,
    pub(crate) sends: ByteOrder,
    ended: Option<Box<End<SessionError>>>,
}

/// What waits for the application to take events.
struct Waiting<E> {
    events: VecDeque<E>,
    /// Bytes of names and messages in them.
    event_bytes: usize,
    /// The rest of an input, accepted and not decoded yet.
    rest: Bytes,
}

impl<S: Side> Connection<S> {
    fn new(config: Arc<S::Config>, now: Instant) -> Self {
        let order = config.codec().byte_order;
        Self {
            clock: Clock::new(now),
            waiting: None,
            out: Vec::new(),
            position: 0,
            packet_deadline: NEVER,
            login_deadline: NEVER,
            answered: 0,
            bad: 0,
            told_unsupported: false,
            eof: false,
            receives: order,
            sends: order,
            ended: None,
            config,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        self.config.limits()
    }

    /// The wire format of what is sent.
    pub(crate) fn codec(&self) -> CodecConfig {
        self.config.codec().byte_order(self.sends)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    fn events(&self) -> usize {
        self.waiting.as_ref().map_or(0, |w| w.events.len())
    }

    fn has_rest(&self) -> bool {
        self.waiting.as_ref().is_some_and(|w| !w.rest.is_empty())
    }

    /// As many events wait as may: nothing more is decoded.
    pub(crate) fn is_full(&self) -> bool {
        let limits = self.limits();
        self.waiting.as_ref().is_some_and(|w| {
            w.events.len() >= limits.max_events.max(1)
                || (w.event_bytes >= limits.max_event_bytes.max(1) && !w.events.is_empty())
        })
    }

    /// The application has fallen behind: nothing is read until it takes events, and where the queue was full, until it
    /// has taken all of them.
    fn is_behind(&self) -> bool {
        self.is_full() || (self.has_rest() && self.events() > 0)
    }

    /// Whether something may be queued that isn't an answer that must be.
    pub(crate) fn has_room(&self) -> bool {
        self.out.is_empty() || self.out.len() < self.limits().max_transmit_bytes
    }

    /// Whether a packet of the peer can be handled now, given what it may make us send.
    fn may_read(&self) -> bool {
        !S::STOPS_READING || self.has_room()
    }

    fn waiting(&mut self) -> &mut Waiting<S::Event> {
        self.waiting.get_or_insert_with(|| {
            let (events, rest) = (VecDeque::new(), Bytes::new());
            Box::new(Waiting { events, event_bytes: 0, rest })
        })
    }

    /// Queues an event, with so many bytes of names and messages in it.
    pub(crate) fn push_event(&mut self, event: S::Event, bytes: usize) {
        let waiting = self.waiting();
        waiting.events.push_back(event);
        waiting.event_bytes = waiting.event_bytes.saturating_add(bytes);
    }

    /// The event that was queued last.
    pub(crate) fn last_event(&mut self) -> Option<&mut S::Event> {
        self.waiting.as_mut()?.events.back_mut()
    }

    /// Takes the rest of an input away.
    fn take_rest(&mut self) -> Bytes {
        self.waiting.as_mut().map(|w| core::mem::take(&mut w.rest)).unwrap_or_default()
    }

    fn keep_rest(&mut self, rest: Bytes) {
        if !rest.is_empty() {
            self.waiting().rest = rest;
        }
    }

    /// An idle session keeps no queue.
    fn release(&mut self) {
        let waiting = self.waiting.as_mut().filter(|waiting| waiting.events.is_empty());
        if let Some(waiting) = waiting {
            waiting.event_bytes = 0;
            if waiting.rest.is_empty() {
                self.waiting = None;
            }
        }
    }

    /// Ends the session; the first end stays.
    pub(crate) fn end(&mut self, end: End<SessionError>) {
        if self.ended.is_none() {
            self.ended = Some(Box::new(end));
            self.take_rest();
            self.release();
        }
    }

    pub(crate) fn end_with(&mut self, error: SessionError) {
        self.end(End::Error(error));
    }

    /// Queues what an application wants to send, if there is room.
    pub(crate) fn send(
        &mut self,
        write: impl FnOnce(&CodecConfig, &mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), SendError> {
        self.check_sendable()?;
        let (codec, before) = (self.codec(), self.out.len());
        write(&codec, &mut self.out)?;
        if before > 0 && self.out.len() > self.limits().max_transmit_bytes {
            self.out.truncate(before);
            return Err(SendError::QueueFull);
        }
        Ok(())
    }

    /// The same, but a packet that is too long is no error: gives whether it is sent.
    pub(crate) fn send_if_it_fits(
        &mut self,
        write: impl FnOnce(&CodecConfig, &mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<bool, SendError> {
        match self.send(write) {
            Err(SendError::Encode(EncodeError::PacketTooLong { .. })) => Ok(false),
            sent => sent.map(|()| true),
        }
    }

    /// Whether anything can be sent at all.
    pub(crate) fn check_sendable(&self) -> Result<(), SendError> {
        if self.has_ended() {
            Err(SendError::Ended)
        } else if self.has_room() && !self.is_full() {
            Ok(())
        } else {
            Err(SendError::QueueFull)
        }
    }

    /// Queues an answer, which is known to be writable; there is room, or there are few.
    pub(crate) fn answer(
        &mut self,
        write: impl FnOnce(&CodecConfig, &mut Vec<u8>) -> Result<(), EncodeError>,
    ) {
        if !self.has_ended() {
            let codec = self.codec();
            // Fails only where `max_packet` is too small for any answer.
            let _ = write(&codec, &mut self.out);
        }
    }

    /// A good packet has come.
    pub(crate) fn note_good(&mut self) {
        self.bad = 0;
        self.told_unsupported = false;
    }

    /// Whether this has not been answered before; from now on it has.
    pub(crate) fn is_news(&mut self, bad: &DecodeError) -> bool {
        // More of something that was answered when it began.
        if bad.kind == DecodeErrorKind::Unterminated {
            return false;
        }
        let offset = bad.offset.wrapping_add(1);
        let news = self.answered != offset;
        self.answered = offset;
        news
    }

    /// D3: one more bad packet.
    pub(crate) fn note_bad(&mut self) -> Result<(), ViolationKind> {
        self.bad = self.bad.saturating_add(1);
        if self.bad > self.limits().max_malformed {
            return Err(ViolationKind::TooManyBadPackets);
        }
        Ok(())
    }

    fn end_by_violation(&mut self, violation: Violation) {
        self.end_with(SessionError::Violation(violation));
    }
}

/// One end of a connection: all of [`Session`](crate::Session), for both sides.
pub(crate) struct Endpoint<S: Side> {
    decoder: Decoder<S::Peer>,
    pub(crate) connection: Connection<S>,
    pub(crate) side: S,
}

impl<S: Side> Endpoint<S> {
    pub(crate) fn new(config: Arc<S::Config>, side: S, now: Instant) -> Self {
        let decoder = Decoder::new(*config.codec());
        Self { decoder, connection: Connection::new(config, now), side }
    }

    /// Both parts, moved on to `now`: the way in for whatever the application does.
    pub(crate) fn at(&mut self, now: Instant) -> (&mut Connection<S>, &mut S) {
        let c = &mut self.connection;
        let counts = !c.is_behind();
        c.clock.advance(now, counts);
        (c, &mut self.side)
    }

    pub(crate) fn wants_input(&self) -> bool {
        let c = &self.connection;
        !c.has_ended() && !c.eof && !c.has_rest() && !c.is_full() && c.may_read()
    }

    pub(crate) fn handle_input(&mut self, now: Instant, mut input: &[u8]) {
        let (c, _) = self.at(now);
        if c.has_ended() || c.eof {
            return;
        }
        if c.has_rest() {
            let rest = c.take_rest();
            c.keep_rest([&rest[..], input].concat().into());
            self.go_on();
        } else {
            self.decode(&mut input);
            if !input.is_empty() && !self.connection.has_ended() {
                self.connection.keep_rest(Bytes::copy_from_slice(input));
            }
        }
    }

    pub(crate) fn handle_eof(&mut self, now: Instant) {
        let (c, _) = self.at(now);
        if !c.has_ended() {
            c.eof = true;
            self.go_on();
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let (c, _) = self.at(now);
        if c.has_ended() || c.is_behind() {
            return;
        }
        let time = c.clock.time();
        if c.login_deadline <= time {
            c.end_with(SessionError::LoginTimeout);
            return;
        }
        if self.packet_deadline() <= time {
            self.decoder.expire();
            self.go_on();
        }
        let (c, side) = (&mut self.connection, &mut self.side);
        while !c.has_ended() && side.handle_due(c) {}
    }

    /// When the packet that isn't whole is overdue, unless it is us who keep it waiting (D5), or nothing more comes.
    fn packet_deadline(&self) -> Time {
        let c = &self.connection;
        let waits = c.may_read() && !c.is_behind() && !c.has_rest() && !c.eof;
        if waits { c.packet_deadline } else { NEVER }
    }

    /// Decodes what was kept of an input, and what the application kept from being handled.
    pub(crate) fn go_on(&mut self) {
        let mut rest = self.connection.take_rest();
        let mut input = &rest[..];
        self.decode(&mut input);
        let taken = rest.len().saturating_sub(input.len());
        rest.advance(taken);
        if !self.connection.has_ended() {
            self.connection.keep_rest(rest);
        }
        self.connection.release();
    }

    /// Decodes, as far as there is room for what comes of it.
    fn decode(&mut self, input: &mut &[u8]) {
        let Self { decoder, connection: c, side } = self;
        let before = decoder.offset();
        let done = loop {
            if c.has_ended() || c.is_full() || !c.may_read() {
                break false;
            }
            if let Some(handled) = side.handle_held(c) {
                if let Err(violation) = handled {
                    c.end_by_violation(violation);
                }
                continue;
            }
            decoder.set_byte_order(c.receives);
            decoder.seek(input);
            let skipped = decoder.malformed().map(|bad| bad.offset);
            c.position = skipped.unwrap_or(decoder.offset());
            let was_skipping = skipped.is_some();
            // What is held is still to be decided about.
            let in_finish = c.eof && input.is_empty() && !side.has_held();
            let handled = match if in_finish { decoder.finish() } else { decoder.decode(input) } {
                Ok(Some(packet)) => side.handle_packet(c, packet),
                Ok(None) => break true,
                Err(bad)
                    if in_finish && (was_skipping || bad.kind == DecodeErrorKind::Truncated) =>
                {
                    c.end_with(SessionError::UnexpectedEof { offset: bad.offset });
                    break false;
                }
                Err(bad) => side.handle_bad(c, &bad, true),
            };
            if let Err(kind) = handled {
                c.end_by_violation(Violation { kind, offset: decoder.start() });
            }
        };
        let malformed = decoder.malformed().copied();
        if let Some(bad) = malformed.filter(|_| done) {
            // Answered at once: the `00` behind it may never come.
            if let Err(kind) = side.handle_bad(c, &bad, false) {
                c.end_by_violation(Violation { kind, offset: bad.offset });
            }
        }
        if done && c.eof && !c.has_ended() && !side.has_held() {
            c.end(End::Clean);
        }
        if c.has_ended() {
            *decoder = Decoder::new(*c.config.codec());
        }
        decoder.release();
        let unfinished = !decoder.unfinished().is_empty();
        if !unfinished {
            c.packet_deadline = NEVER;
        } else if c.packet_deadline == NEVER || decoder.offset() != before {
            c.packet_deadline = c.clock.after(c.config.packet_timeout());
        }
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Bytes> {
        let c = &mut self.connection;
        if c.out.is_empty() {
            return None;
        }
        let was_waiting = !c.may_read();
        let out = Bytes::from(core::mem::take(&mut c.out));
        if was_waiting && c.packet_deadline != NEVER {
            // It was us who kept the rest of the packet waiting.
            c.packet_deadline = c.clock.after(c.config.packet_timeout());
        }
        if !c.has_ended() {
            self.side.fill(c);
            // Else it reads on whatever waits to be sent.
            if S::STOPS_READING {
                self.go_on();
            }
        }
        Some(out)
    }

    pub(crate) fn poll_event(&mut self) -> Option<S::Event> {
        let c = &mut self.connection;
        let event = c.waiting.as_mut().and_then(|w| w.events.pop_front());
        if event.is_none() {
            return if c.has_ended() { self.side.next_closed() } else { None };
        }
        if c.events() == 0 {
            c.release();
            if !c.has_ended() {
                self.go_on();
            }
        }
        event
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let c = &self.connection;
        if c.has_ended() || c.is_behind() {
            return None;
        }
        let side = self.side.next_deadline(c);
        c.clock.instant(side.min(c.login_deadline).min(self.packet_deadline()))
    }

    pub(crate) fn ended(&self) -> Option<&End<SessionError>> {
        self.connection.ended.as_deref()
    }
}

impl<S: Side + fmt::Debug> fmt::Debug for Endpoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.connection;
        f.debug_struct(S::NAME)
            .field("side", &self.side)
            .field("events", &c.events())
            .field("transmit_bytes", &c.out.len())
            .field("decoder", &self.decoder)
            .field("ended", &c.ended)
            .finish_non_exhaustive()
    }
}

/// What a public session has of its endpoint: the same for both.
macro_rules! delegate_session {
    ($session:ident, $event:ident) => {
        impl Session for $session {
            type Input = [u8];
            type Transmit = Bytes;
            type Event = $event;
            type Error = SessionError;

            /// False after the end, and while too many events or (at a server) too many bytes to be sent wait to
            /// be taken.
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
