//! What the drivers have in common: the application that they serve, and a clock. Goes with any of
//! them.

use std::time::{Duration, Instant, UNIX_EPOCH};

use smallwire_core::Session;

/// How long the end of a connection may take: to send what is left, and for the peer to close too.
pub(crate) const CLOSING_TIME: Duration = Duration::from_secs(2);

/// What happens on a connection, handed to the application. It answers by calling the session's
/// own methods; what these queue is sent when the call returns.
pub trait App<S: Session> {
    /// What other tasks tell this connection.
    type Command;

    /// The session reports something.
    fn event(&mut self, session: &mut S, now: Instant, event: S::Event);

    /// Another task wants something.
    fn command(&mut self, session: &mut S, now: Instant, command: Self::Command);

    /// The session has been relieved of something to send: what it refused as too much may be tried
    /// again.
    fn relieved(&mut self, _session: &mut S, _now: Instant) {}

    /// Every sender of commands is gone. Comes once.
    fn commands_closed(&mut self, _session: &mut S, _now: Instant) {}
}

/// How fast a client may make others have work: have them told of something, or the log grow.
#[derive(Debug)]
pub(crate) struct Pace {
    /// For one unit.
    time: Duration,
    /// When all is paid for.
    paid: Instant,
}

impl Pace {
    /// How much may be owed, if more is to be said.
    const CREDIT: Duration = Duration::from_secs(5);

    /// So many units a second, whatever they are, and as many at once as in five.
    pub(crate) fn per_second(units: u32, now: Instant) -> Self {
        Self { time: Duration::from_secs(1) / units.max(1), paid: now }
    }

    /// For notes on what a peer can do as often as it likes: not all of it has to be known.
    pub(crate) fn of_notes(now: Instant) -> Self {
        Self::per_second(10, now)
    }

    /// Whether so many may follow, which then are owed.
    pub(crate) fn allows(&mut self, now: Instant, units: usize) -> bool {
        let owed = self.paid.saturating_duration_since(now);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let is_within = owed <= Self::CREDIT;
        if is_within {
            self.paid = now + owed + self.time.saturating_mul(units);
        }
        is_within
    }
}

/// Hands out events, and fetches what is to be sent unless some is still being sent: so the session
/// sees how much waits, and can slow the peer down or refuse to take more.
pub(crate) fn drain<S, A>(session: &mut S, app: &mut A, unsent: &mut Option<S::Transmit>)
where
    S: Session,
    A: App<S>,
{
    loop {
        while let Some(event) = session.poll_event() {
            app.event(session, now(), event);
        }
        if unsent.is_some() {
            break;
        }
        *unsent = session.poll_transmit();
        if unsent.is_none() {
            break;
        }
        app.relieved(session, now());
    }
}

/// tokio's clock, which tests can wind.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// What the wall clock shows, in unix milliseconds.
pub fn unix_time() -> u64 {
    // Before 1970 there is no time to tell.
    UNIX_EPOCH.elapsed().map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

pub(crate) async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_more_than_the_pace_is_told_apart() {
        let start = Instant::now();
        let mut pace = Pace::per_second(10, start);
        let said = (0..100).take_while(|_| pace.allows(start, 1)).count();
        assert_eq!(said, 51);
        // Ten a second are borne for ever.
        let later = |tenths| start + Duration::from_millis(100) * tenths;
        assert!((1..1000).all(|tenths| pace.allows(later(tenths), 1)));
        assert!(!pace.allows(later(999), 1));
        // What is large may be said after a rest, however large it is.
        assert!(pace.allows(later(2000), 1_000));
        assert!(!pace.allows(later(2900), 1));
        assert!(pace.allows(later(2950), 1));
    }
}
