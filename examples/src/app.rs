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
