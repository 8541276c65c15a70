use core::time::Duration;

use crate::clock::nanos;

/// What a delay of nothing grows from.
const LEAST_STEP: Duration = Duration::from_millis(50);

/// How long to wait before connecting again: a random time that grows with each failure.
///
/// The first delay is between `min` and twice that, and the upper end doubles each time up to
/// `max`, so that clients of a server that failed don't all come back at once. Randomness is the
/// caller's. Whether to connect again at all, the error of the ended session knows
/// (`should_reconnect`).
///
/// ```
/// use smallwire_core::Backoff;
/// use std::time::Duration;
///
/// let mut backoff = Backoff::new().max(Duration::from_secs(8));
/// let random = 0x9E37_79B9_7F4A_7C15; // of your generator
/// let delay = backoff.delay(random);
/// assert!(delay >= Duration::from_secs(1) && delay <= Duration::from_secs(2));
/// // Wait, and connect. Failed? Ask for the next. Succeeded:
/// backoff.reset();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// From 1 s up to 8 s.
    pub const fn new() -> Self {
        Self { min: Duration::from_secs(1), max: Duration::from_secs(8), failures: 0 }
    }

    /// Sets the shortest delay; counts for the longest as well where that is less. From zero, delays grow in
    /// steps from 50 ms.
    pub const fn min(mut self, delay: Duration) -> Self {
        self.min = delay;
        self
    }

    /// Sets the longest delay.
    pub const fn max(mut self, delay: Duration) -> Self {
        self.max = delay;
        self
    }

    /// How long to wait now that a connection has failed or ended. `random` is any number, each as
    /// likely as the others.
    pub fn delay(&mut self, random: u64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let longest = 1_u32
            .checked_shl(self.failures)
            .map_or(self.max, |factor| self.min.max(LEAST_STEP).saturating_mul(factor))
            .min(self.max)
            .max(self.min);
        let span = nanos(longest).saturating_sub(nanos(self.min));
        // The fraction `random` / 2^64 of the span, both ends included.
        let part = u128::from(random).saturating_mul(u128::from(span).saturating_add(1)) >> 64;
        self.min.saturating_add(Duration::from_nanos(u64::try_from(part).unwrap_or(span)))
    }

    /// Begins anew: the connection has proved itself. A mere connect isn't proof; what is, most
    /// protocols' clients report as an event. Of roomvars none does: there it is to have lasted for a while.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn grows_from_the_floor_to_the_cap_and_begins_anew() {
        let mut backoff = Backoff::new();
        for longest in [2, 4, 8, 8, 8] {
            assert_eq!(backoff.clone().delay(0), SECOND);
            assert_eq!(backoff.clone().delay(1 << 63).as_secs(), 1 + (longest - 1) / 2);
            assert_eq!(backoff.delay(u64::MAX), SECOND * u32::try_from(longest).unwrap());
        }
        backoff.reset();
        assert_eq!(backoff.delay(u64::MAX), 2 * SECOND);
    }

    #[test]
    fn stays_at_the_cap_and_gets_there_from_nothing() {
        for min in [Duration::ZERO, SECOND] {
            let mut backoff = Backoff::new().min(min);
            let longest: Vec<_> = (0..200).map(|_| backoff.delay(u64::MAX)).collect();
            let (growing, later) = longest.split_at(10);
            assert!(longest.is_sorted(), "{longest:?}");
            assert!(growing.first().is_some_and(|delay| *delay < 8 * SECOND), "{longest:?}");
            assert!(later.iter().all(|delay| *delay == 8 * SECOND), "{longest:?}");
        }
    }

    #[test]
    fn never_leaves_its_bounds() {
        for (min, max) in [
            (Duration::ZERO, Duration::ZERO),
            (Duration::ZERO, SECOND),
            (SECOND, Duration::ZERO),
            (SECOND, Duration::MAX),
            (Duration::MAX, Duration::MAX),
        ] {
            let mut backoff = Backoff::new().min(min).max(max);
            for failures in 0..200_u64 {
                let random = failures.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                for random in [0, random, u64::MAX] {
                    let delay = backoff.delay(random);
                    assert!(delay >= min && delay <= max.max(min), "{delay:?}");
                }
            }
        }
    }
}
