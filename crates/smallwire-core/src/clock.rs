//! The time of a session or hub, which is told the caller's and never goes back.
//!
//! It belongs to the sessions of these crates; yours may use it too.

#[cfg(feature = "std")]
pub use session::Clock;

use core::time::Duration;

/// A point of a session's own time: nanoseconds since its start, less the time it stood still.
pub type Time = u64;

/// A time that never comes.
pub const NEVER: Time = Time::MAX;

#[cfg(feature = "std")]
mod session {
    use std::time::{Duration, Instant};

    use super::{NEVER, Time, nanos};

    /// Turns the caller's `now` into session time, which never goes back, and which stands still while
    /// the application keeps the session from reading.
    #[derive(Debug, Clone)]
    pub struct Clock {
        start: Instant,
        /// The latest `now`, in nanoseconds since the start.
        latest: u64,
        /// The part of `latest` that doesn't count.
        stood_still: u64,
    }

    impl Clock {
        /// Starts at nothing, when the caller's clock shows `now`.
        pub fn new(now: Instant) -> Self {
            Self { start: now, latest: 0, stood_still: 0 }
        }

        /// Moves on to `now`, unless it is earlier than the latest; `counts` tells whether the time up to it
        /// does: not while the application keeps the session from reading.
        pub fn advance(&mut self, now: Instant, counts: bool) {
            let latest = nanos(now.saturating_duration_since(self.start));
            let latest = latest.max(self.latest).min(NEVER.saturating_sub(1));
            if !counts {
                self.stood_still =
                    self.stood_still.saturating_add(latest.saturating_sub(self.latest));
            }
            self.latest = latest;
        }

        /// The session time of the latest `now`.
        pub fn time(&self) -> Time {
            self.latest.saturating_sub(self.stood_still)
        }

        /// The latest `now`, in nanoseconds since the start.
        pub fn elapsed(&self) -> u64 {
            self.latest
        }

        /// The session time `duration` later.
        pub fn after(&self, duration: Duration) -> Time {
            self.time().saturating_add(nanos(duration))
        }

        /// What the caller's clock shows at `time`, if it ever does: for `poll_timeout`.
        pub fn instant(&self, time: Time) -> Option<Instant> {
            let since_start = time.checked_add(self.stood_still).filter(|at| *at != NEVER)?;
            self.start.checked_add(Duration::from_nanos(since_start))
        }
    }
}

/// A duration in nanoseconds, for sums of [`Time`]; more than 584 years are [`NEVER`].
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER)
}
