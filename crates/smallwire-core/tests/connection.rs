//! What sessions are made of: their clock, and what a connection keeps for them.
#![cfg(feature = "std")]

use std::time::{Duration, Instant};

use smallwire_core::clock::{Clock, NEVER, Time, nanos};
use smallwire_core::{CloseFrame, Connection, End, Message};

const SECOND: Duration = Duration::from_secs(1);

#[allow(clippy::disallowed_methods, reason = "an `Instant` can't be made in any other way")]
fn epoch() -> Instant {
    Instant::now()
}

#[test]
fn a_clock_counts_what_counts_and_never_goes_back() {
    let start = epoch();
    let mut clock = Clock::new(start);
    assert_eq!((clock.time(), clock.elapsed()), (0, 0));
    clock.advance(start + 3 * SECOND, true);
    assert_eq!((clock.time(), clock.elapsed()), (nanos(3 * SECOND), nanos(3 * SECOND)));
    // Two seconds in which it stands still.
    clock.advance(start + 5 * SECOND, false);
    assert_eq!((clock.time(), clock.elapsed()), (nanos(3 * SECOND), nanos(5 * SECOND)));
    clock.advance(start + SECOND, true);
    assert_eq!((clock.time(), clock.elapsed()), (nanos(3 * SECOND), nanos(5 * SECOND)));
    let due = clock.after(SECOND);
    assert_eq!(due, nanos(4 * SECOND));
    assert_eq!(clock.instant(due), Some(start + 6 * SECOND));
    assert_eq!((clock.instant(NEVER), clock.instant(NEVER - 1)), (None, None));
    assert_eq!(clock.after(Duration::MAX), NEVER);
    let mut fresh = Clock::new(start);
    assert_eq!(fresh.instant(NEVER), None);
    fresh.advance(start + Duration::from_secs(1 << 35), true);
    assert_eq!(fresh.time(), NEVER - 1, "it goes on to the last moment but one");
    assert_eq!(nanos(Duration::from_nanos(7)), 7 as Time);
}

fn connection() -> Connection<&'static str, &'static str> {
    Connection::new(epoch())
}

#[test]
fn events_wait_up_to_their_number_or_their_text() {
    let mut connection = connection();
    assert!(!connection.is_behind(0, 0), "nothing waits");
    connection.push_event("a", 10);
    assert_eq!(connection.events(), 1);
    for (max_events, max_bytes, is_behind) in
        [(2, 11, false), (2, 10, true), (1, 11, true), (0, 11, true), (2, 0, true)]
    {
        assert_eq!(connection.is_behind(max_events, max_bytes), is_behind);
    }
    connection.push_event("b", 10);
    assert_eq!((connection.events(), connection.pop_event()), (2, Some("a")));
    assert!(connection.is_behind(2, 20), "text counts until all are taken");
    assert_eq!(connection.pop_event(), Some("b"));
    assert_eq!((connection.events(), connection.pop_event()), (0, None));
    connection.push_event("c", 0);
    assert!(!connection.is_behind(2, 1), "and no longer");
    // Without text, one that waits is not behind, however little may.
    assert!(!connection.is_behind(2, 0));
}

#[test]
fn messages_wait_up_to_their_bytes_and_64_each() {
    let mut connection = connection();
    assert!(connection.has_room(1 << 20, 0), "one may always wait");
    connection.transmit(Message::text("0123456789"));
    assert_eq!(connection.out().len(), 1);
    // 74 bytes are half of 148: one more of any length, and of 10 as long as there is room for it.
    for (max, any, ten) in [(148, true, true), (149, true, true), (147, false, false)] {
        assert_eq!((connection.has_room_for_any(max), connection.has_room(10, max)), (any, ten));
    }
    connection.transmit(Message::text("0123456789"));
    for (len, has_room) in [(0, true), (1, true), (2, false)] {
        assert_eq!(connection.has_room(len, 2 * 74 + 64 + 1), has_room, "{len}");
    }
    assert!(connection.pop_transmit().is_some());
    assert!(connection.has_room_for_any(148));
    assert!(connection.pop_transmit().is_some());
    assert!(connection.pop_transmit().is_none() && connection.has_room_for_any(0));
}

#[test]
fn the_first_end_stays() {
    let mut closed = connection();
    assert!(!closed.has_ended() && closed.ended().is_none());
    closed.transmit(Message::text("before"));
    closed.close(CloseFrame::new(4001, "why"), End::Error("why"));
    closed.close(CloseFrame::new(1000, ""), End::Clean);
    closed.end_by_peer(End::Clean);
    assert!(closed.has_ended());
    assert_eq!(closed.ended(), Some(&End::Error("why")));
    assert_eq!(closed.pop_transmit(), Some(Message::text("before")));
    assert_eq!(closed.pop_transmit(), Some(Message::Close(Some(CloseFrame::new(4001, "why")))));
    assert_eq!(closed.pop_transmit(), None);

    let mut gone = connection();
    gone.transmit(Message::text("nobody hears it"));
    gone.end_by_peer(End::Clean);
    assert_eq!(gone.pop_transmit(), None);
    assert_eq!(gone.ended(), Some(&End::Clean));
    assert!(gone.has_room_for_any(0));
}

#[test]
fn ends_and_messages_say_what_they_are() {
    assert_eq!((End::<&str>::Clean.error(), End::<&str>::Clean.into_result()), (None, Ok(())));
    assert_eq!(
        (End::Error("why").error(), End::Error("why").into_result()),
        (Some(&"why"), Err("why"))
    );
    assert_eq!(CloseFrame::new(4001, "why").code(), 4001);
    assert!(Message::text("").is_empty() && !Message::text("x").is_empty());
}
