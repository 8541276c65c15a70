use core::time::Duration;

use smallwire_core::JsonRef;
use smallwire_core::clock::{Clock, NEVER, Time, nanos};
use smallwire_core::json::decimal;

/// How many may be outstanding (step 4).
const MAX_OUTSTANDING: usize = 4;

const MILLISECOND: u64 = 1_000_000;

/// Our heartbeats, and the peer's as far as they are still to be acknowledged.
#[derive(Debug)]
pub(crate) struct Heartbeats {
    /// Nanoseconds; 0 before the Hello.
    interval: u64,
    /// When the next one is due.
    next: Time,
    /// Unix milliseconds at the start of the session's clock, or 0 (step 5).
    start: u64,
    /// When those that aren't acknowledged were sent, in nanoseconds of the caller's clock since its
    /// start, the oldest first.
    outstanding: [u64; MAX_OUTSTANDING],
    len: u8,
    /// How many of them, the latest, wait to be sent.
    unsent: u8,
    /// How many of them were outstanding at the last beat already.
    old: u8,
    /// Acks that wait to be sent.
    acks: u8,
}

impl Heartbeats {
    /// None until [`start`](Self::start).
    pub(crate) fn new() -> Self {
        let (outstanding, next) = ([0; MAX_OUTSTANDING], NEVER);
        Self { interval: 0, next, start: 0, outstanding, len: 0, unsent: 0, old: 0, acks: 0 }
    }

    pub(crate) fn set_unix_time(&mut self, milliseconds: u64) {
        self.start = milliseconds;
    }

    /// Hello has been said: the first one is due an interval from now.
    pub(crate) fn start(&mut self, interval: Duration, clock: &Clock) {
        self.interval = nanos(interval);
        self.next = clock.after(interval);
    }

    pub(crate) fn has_started(&self) -> bool {
        self.interval > 0
    }

    pub(crate) fn next(&self) -> Time {
        self.next
    }

    /// The next one is due. Whether one may be sent; `None`: the peer is dead.
    pub(crate) fn beat(&mut self, clock: &Clock) -> Option<bool> {
        if self.old > 0 {
            return None;
        }
        // However late the caller came, the peer has a whole interval to acknowledge it.
        self.next = clock.time().saturating_add(self.interval);
        let is_sent = self.send(clock);
        self.old = self.len;
        Some(is_sent)
    }

    /// Counts one that is to be sent now, if one more may be.
    pub(crate) fn send(&mut self, clock: &Clock) -> bool {
        let Some(slot) = self.outstanding.get_mut(usize::from(self.len)) else { return false };
        *slot = clock.elapsed();
        self.len = self.len.saturating_add(1);
        self.unsent = self.unsent.saturating_add(1);
        true
    }

    /// The oldest that waits is being sent.
    pub(crate) fn taken(&mut self) {
        self.unsent = self.unsent.saturating_sub(1);
    }

    /// The `time` of the one that was sent last, or would be now.
    pub(crate) fn time<'a>(&self, clock: &Clock, room: &'a mut [u8; 20]) -> JsonRef<'a> {
        JsonRef::of_checked(decimal(self.milliseconds(clock.elapsed()), room))
    }

    fn milliseconds(&self, elapsed: u64) -> u64 {
        self.start.saturating_add(elapsed / MILLISECOND)
    }

    /// An ack of the peer: how long it took, if it answers anything.
    pub(crate) fn acknowledge(
        &mut self,
        time: Option<JsonRef<'_>>,
        clock: &Clock,
    ) -> Option<Duration> {
        // What the peer can't have heard it can't acknowledge: else they would pile up.
        let sent = self.outstanding.get(..usize::from(self.len.saturating_sub(self.unsent)))?;
        let at = match time {
            None => 0,
            Some(time) => {
                let time = integer(time.get())?;
                sent.iter().position(|sent| self.milliseconds(*sent) == time)?
            }
        };
        let round_trip = clock.elapsed().saturating_sub(*sent.get(at)?);
        // The others move up.
        self.outstanding.get_mut(at..)?.rotate_left(1);
        self.len = self.len.saturating_sub(1);
        if at < usize::from(self.old) {
            self.old = self.old.saturating_sub(1);
        }
        Some(Duration::from_nanos(round_trip))
    }

    /// Counts an ack that is to be sent, if the peer may have so many heartbeats outstanding.
    pub(crate) fn queue_ack(&mut self) -> bool {
        let may = usize::from(self.acks) < MAX_OUTSTANDING;
        self.acks = self.acks.saturating_add(u8::from(may));
        may
    }

    pub(crate) fn ack_taken(&mut self) {
        self.acks = self.acks.saturating_sub(1);
    }
}

/// Its value as JSON, if that is an integer from 0 to 2^53 or so.
fn integer(json: &str) -> Option<u64> {
    if let Ok(integer) = json.parse() {
        return Some(integer);
    }
    // A peer that keeps numbers as floats may have made `1.0` of `1`.
    let float: f64 = json.parse().ok()?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "looked at next")]
    let integer = float as u64;
    #[allow(clippy::cast_precision_loss, clippy::float_cmp, reason = "integers up to 2^53")]
    let same = integer as f64 == float && integer < 1 << 53;
    same.then_some(integer)
}
