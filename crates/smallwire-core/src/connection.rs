use alloc::collections::VecDeque;
use std::time::Instant;

use crate::clock::Clock;
use crate::{CloseFrame, End, Message};

/// What a message that waits to be sent counts beside its bytes.
const TRANSMIT_OVERHEAD: usize = 64;

/// What a session over WebSocket keeps, whatever its protocol: time, events, messages to be sent, its
/// end. The sessions of these crates are made of it. It decides nothing: when to read, to send or to end is
/// for the session, and after its end too what is queued is still given.
///
/// ```
/// use smallwire_core::{CloseFrame, Connection, End, Message};
/// use std::time::{Duration, Instant};
///
/// let now = Instant::now();
/// let mut connection = Connection::<&str, &str>::new(now);
/// // handle_input
/// connection.clock.advance(now, !connection.is_behind(100, 10_000));
/// connection.push_event("they said hello", 5);
/// // a method that sends
/// if connection.has_room(5, 1000) {
///     connection.transmit(Message::text("hello"));
/// }
/// // handle_timeout
/// connection.clock.advance(now + Duration::from_secs(1), !connection.is_behind(100, 10_000));
/// connection.close(CloseFrame::new(1000, "too slow"), End::Error("too slow"));
/// // poll_event, poll_transmit, ended
/// assert_eq!(connection.pop_event(), Some("they said hello"));
/// assert_eq!(connection.pop_transmit(), Some(Message::text("hello")));
/// assert!(matches!(connection.pop_transmit(), Some(Message::Close(_))));
/// assert_eq!(connection.ended(), Some(&End::Error("too slow")));
/// ```
#[derive(Debug)]
pub struct Connection<Event, Error> {
    /// Its time.
    pub clock: Clock,
    events: VecDeque<Event>,
    /// Bytes of text in the events since there were none.
    event_bytes: usize,
    out: VecDeque<Message>,
    /// Bytes in `out`, and what each message counts beside.
    out_bytes: usize,
    ended: Option<End<Error>>,
}

impl<Event, Error> Connection<Event, Error> {
    /// At its start.
    pub fn new(now: Instant) -> Self {
        Self {
            clock: Clock::new(now),
            events: VecDeque::new(),
            event_bytes: 0,
            out: VecDeque::new(),
            out_bytes: 0,
            ended: None,
        }
    }

    /// How it ended, once it has.
    pub fn ended(&self) -> Option<&End<Error>> {
        self.ended.as_ref()
    }

    /// Whether it has.
    pub fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Whether as many events wait as may (0 counts as 1): the application has fallen behind.
    pub fn is_behind(&self, max_events: usize, max_event_bytes: usize) -> bool {
        self.events.len() >= max_events.max(1)
            || (self.event_bytes >= max_event_bytes.max(1) && !self.events.is_empty())
    }

    /// Queues an event with so many bytes of text in it.
    pub fn push_event(&mut self, event: Event, bytes: usize) {
        self.event_bytes = self.event_bytes.saturating_add(bytes);
        self.events.push_back(event);
    }

    /// The next event.
    pub fn pop_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if self.events.is_empty() {
            self.events = VecDeque::new();
            self.event_bytes = 0;
        }
        event
    }

    /// Events that wait to be taken.
    pub fn events(&self) -> usize {
        self.events.len()
    }

    /// Whether one more message may be queued, however long it is: at most half of `max` bytes wait.
    pub fn has_room_for_any(&self, max: usize) -> bool {
        self.out_bytes <= max / 2
    }

    /// Whether one more message of `len` bytes may be queued: with it at most `max` bytes wait, each message
    /// counted with 64 more, or there is [room for any](Self::has_room_for_any).
    pub fn has_room(&self, len: usize, max: usize) -> bool {
        let with = self.out_bytes.saturating_add(len).saturating_add(TRANSMIT_OVERHEAD);
        self.has_room_for_any(max) || with <= max
    }

    /// The messages that wait to be sent.
    pub fn out(&self) -> &VecDeque<Message> {
        &self.out
    }

    /// Queues a message to be sent.
    pub fn transmit(&mut self, message: Message) {
        let len = message.len().saturating_add(TRANSMIT_OVERHEAD);
        self.out_bytes = self.out_bytes.saturating_add(len);
        self.out.push_back(message);
    }

    /// The next message to be sent.
    pub fn pop_transmit(&mut self) -> Option<Message> {
        let message = self.out.pop_front()?;
        let len = message.len().saturating_add(TRANSMIT_OVERHEAD);
        self.out_bytes = self.out_bytes.saturating_sub(len);
        if self.out.is_empty() {
            self.out = VecDeque::new();
        }
        Some(message)
    }

    /// Ends it, unless it has ended, and tells the peer why, after what is queued.
    pub fn close(&mut self, frame: CloseFrame, end: End<Error>) {
        if self.ended.is_none() {
            self.transmit(Message::Close(Some(frame)));
            self.ended = Some(end);
        }
    }

    /// The peer has closed, or is gone: ends it, unless it has ended, and nothing more is sent.
    pub fn end_by_peer(&mut self, end: End<Error>) {
        if self.ended.is_none() {
            self.out = VecDeque::new();
            self.out_bytes = 0;
            self.ended = Some(end);
        }
    }
}
