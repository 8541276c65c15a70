use std::time::{Duration, Instant};

/// A point of a session's own time: nanoseconds since its start, less the time it stood still.
pub(crate) type Time = u64;

/// Never comes.
pub(crate) const NEVER: Time = Time::MAX;

/// Turns the caller's `now` into session time, which never goes back, and which stands still while
/// the application keeps the session from reading.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// The latest `now`, in nanoseconds since the start.
    latest: u64,
    /// The part of `latest` that doesn't count.
    stood_still: u64,
    /// From `latest` on time doesn't count, until [`advance`](Self::advance) says otherwise.
    stalled: bool,
}

impl Clock {
    pub(crate) fn new(now: Instant) -> Self {
        Self { start: now, latest: 0, stood_still: 0, stalled: false }
    }

    /// Moves on to `now`; `stalled` tells whether time counts from there on.
    pub(crate) fn advance(&mut self, now: Instant, stalled: bool) {
        let latest = nanos(now.saturating_duration_since(self.start)).max(self.latest);
        if self.stalled {
            self.stood_still = self.stood_still.saturating_add(latest.saturating_sub(self.latest));
        }
        self.latest = latest;
        self.stalled = stalled;
    }

    /// Time doesn't count from the latest `now` to the next.
    pub(crate) fn stall(&mut self) {
        self.stalled = true;
    }

    /// The session time of the latest `now`.
    pub(crate) fn time(&self) -> Time {
        self.latest.saturating_sub(self.stood_still)
    }

    /// The session time `duration` later.
    pub(crate) fn after(&self, duration: Duration) -> Time {
        self.time().saturating_add(nanos(duration))
    }

    /// What the caller's clock shows at `time`, if it ever does.
    pub(crate) fn instant(&self, time: Time) -> Option<Instant> {
        let since_start = time.checked_add(self.stood_still).filter(|at| *at != NEVER)?;
        self.start.checked_add(Duration::from_nanos(since_start))
    }
}

/// Saturates after 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER)
}
