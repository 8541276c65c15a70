#[cfg(feature = "std")]
use smallwire_core::clock::Time;

/// A token bucket: so many messages a second, and so many at once (step 7).
///
/// ```
/// use roomvars_proto::RateLimit;
///
/// // Ten a second, and after a rest up to thirty at once.
/// let limit = RateLimit::per_second(10).burst(30);
/// # let _ = limit;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    per_second: u32,
    burst: u32,
}

impl RateLimit {
    /// So many messages a second, and as many at once. 0 counts as 1, more than 10^9 as that. The handshake
    /// is one of them.
    pub const fn per_second(messages: u32) -> Self {
        Self { per_second: messages, burst: messages }
    }

    /// Sets how many may come at once after a rest; 0 counts as 1.
    pub const fn burst(mut self, messages: u32) -> Self {
        self.burst = messages;
        self
    }
}

/// How full a bucket is, as the time at which it will be full again.
#[cfg(feature = "std")]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket(Time);

#[cfg(feature = "std")]
impl Bucket {
    const SECOND: u64 = 1_000_000_000;

    /// Nanoseconds that a message takes.
    fn interval(limit: RateLimit) -> u64 {
        Self::SECOND.checked_div(limit.per_second.into()).unwrap_or(Self::SECOND).max(1)
    }

    /// When the next message may come.
    pub(crate) fn due(self, limit: RateLimit) -> Time {
        let others = u64::from(limit.burst).saturating_sub(1);
        self.0.saturating_sub(others.saturating_mul(Self::interval(limit)))
    }

    /// Counts a message, if it may come now.
    pub(crate) fn take(&mut self, limit: RateLimit, now: Time) -> bool {
        let may = self.due(limit) <= now;
        if may {
            self.0 = self.0.max(now).saturating_add(Self::interval(limit));
        }
        may
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn step7_a_burst_then_a_steady_rate() {
        let limit = RateLimit::per_second(10).burst(3);
        let (mut bucket, start) = (Bucket::default(), 7 * Bucket::SECOND);
        assert_eq!([0; 5].map(|_| bucket.take(limit, start)), [true, true, true, false, false]);
        assert_eq!(bucket.due(limit), start + 100_000_000);
        assert!(!bucket.take(limit, start + 99_999_999));
        assert!(bucket.take(limit, start + 100_000_000));
        assert!(!bucket.take(limit, start + 199_999_999));
        // A long rest fills it, but not over the brim.
        let later = start + 60 * Bucket::SECOND;
        assert_eq!([0; 4].map(|_| bucket.take(limit, later)), [true, true, true, false]);
    }

    #[test]
    fn step7_limits_of_0_count_as_1() {
        let limit = RateLimit::per_second(0);
        let mut bucket = Bucket::default();
        assert!(bucket.take(limit, 0) && !bucket.take(limit, Bucket::SECOND - 1));
        assert!(bucket.take(limit, Bucket::SECOND));
    }
}
