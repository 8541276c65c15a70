//! What every session and every codec must do, whatever its protocol.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use bytes::BufMut;
use cpu_time::ThreadTime;
use smallwire_core::Session;

use crate::wire::Wire;
use crate::{Numbers, epoch, measure};

/// A session to be tested, with the application around it.
pub trait Subject {
    /// The session.
    type Session: Session<
            Input: Wire,
            Transmit: Borrow<<Self::Session as Session>::Input>,
            Event: Debug,
            Error: Debug,
        >;

    /// A new one, at the start or somewhere on its way.
    fn start(&self, now: Instant) -> Self::Session;

    /// What the application does on an event.
    fn react(&self, session: &mut Self::Session, now: Instant, event: EventOf<Self>);

    /// Something the application does of its own accord. If it makes a request that is to be told
    /// the outcome of, gives the handle.
    fn act(&self, session: &mut Self::Session, now: Instant, choice: u8) -> Option<u64>;

    /// The handle of the request whose outcome this event tells.
    fn outcome(&self, _event: &EventOf<Self>) -> Option<u64> {
        None
    }

    /// The most heap a session may keep, in bytes, if no input is longer than `largest_input`.
    fn max_memory(&self, largest_input: usize) -> usize;
}

/// The events of a subject's session.
pub type EventOf<S> = <<S as Subject>::Session as Session>::Event;

/// What a subject's session is handed.
pub type InputOf<S> = <<S as Subject>::Session as Session>::Input;

/// What goes over the wire of a subject's session: bytes or messages.
pub type ItemOf<S> = <InputOf<S> as Wire>::Item;

/// What a session let be seen of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript<T> {
    /// Every event, as `Debug` prints it.
    pub events: Vec<String>,
    /// Every byte or message sent.
    pub sent: Vec<T>,
    /// How it ended.
    pub end: Option<String>,
    /// The requests whose outcome wasn't told yet.
    pub open: BTreeSet<u64>,
}

/// A call to a session.
#[derive(Debug, Clone)]
pub enum Call<T> {
    /// Bytes or messages arrive, before anybody polls.
    Input(Vec<T>),
    /// The peer will send no more.
    Eof,
    /// Time passes, and the session is told.
    Sleep(Duration),
    /// The session is told of a time before the last one.
    Back(Duration),
    /// The application does something.
    Act(u8),
}

/// In which order a driver polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polls {
    /// All transmits, then all events.
    TransmitFirst,
    /// All events, then all transmits.
    EventsFirst,
    /// One of each in turn, and the timeout at every chance.
    Alternating,
}

/// Whether the application reacts to events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// It does.
    Reacts,
    /// It only listens.
    Listens,
}

/// Polls until there is nothing more to be done.
pub fn drain<S: Subject>(
    subject: &S,
    session: &mut S::Session,
    now: Instant,
    polls: Polls,
    app: App,
    seen: &mut Transcript<ItemOf<S>>,
) {
    loop {
        let (events, sent) = (seen.events.len(), seen.sent.len());
        let one = polls == Polls::Alternating;
        if polls != Polls::EventsFirst {
            take_transmits::<S>(session, one, &mut seen.sent);
        }
        while let Some(event) = session.poll_event() {
            seen.events.push(format!("{event:?}"));
            if let Some(request) = subject.outcome(&event) {
                assert!(seen.open.remove(&request), "{event:?} of nothing that is open");
            }
            if app == App::Reacts {
                subject.react(session, now, event);
            }
            if one {
                let _ = (session.poll_timeout(), session.wants_input(), session.ended());
                break;
            }
        }
        if polls == Polls::EventsFirst {
            take_transmits::<S>(session, one, &mut seen.sent);
        }
        if (seen.events.len(), seen.sent.len()) == (events, sent) {
            break;
        }
    }
    seen.end = session.ended().map(|end| format!("{end:?}"));
}

/// Drops all that a session has to say.
pub fn discard<S: Session>(session: &mut S) {
    while session.poll_transmit().is_some() || session.poll_event().is_some() {}
}

/// All events that a session has.
pub fn events<S: Session>(session: &mut S) -> Vec<S::Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

fn take_transmits<S: Subject>(session: &mut S::Session, one: bool, sent: &mut Vec<ItemOf<S>>) {
    while let Some(transmit) = session.poll_transmit() {
        let items = transmit.borrow().items();
        assert!(!items.is_empty(), "an empty transmit");
        sent.extend_from_slice(items);
        if one {
            break;
        }
    }
}

/// Makes the calls, polling after each, and checks what must hold at any time.
pub fn run<S: Subject>(
    subject: &S,
    calls: &[Call<ItemOf<S>>],
    polls: Polls,
    app: App,
) -> Transcript<ItemOf<S>> {
    let mut now = epoch();
    let mut session = subject.start(now);
    let mut seen =
        Transcript { events: Vec::new(), sent: Vec::new(), end: None, open: BTreeSet::new() };
    drain(subject, &mut session, now, polls, app, &mut seen);
    let mut at_eof = false;
    for call in calls {
        let before = (seen.events.len(), seen.sent.len(), seen.end.clone());
        match call {
            Call::Input(items) => {
                InputOf::<S>::each(items, |input| session.handle_input(now, input));
            }
            Call::Eof => {
                at_eof = true;
                session.handle_eof(now);
            }
            Call::Sleep(duration) => {
                now += *duration;
                session.handle_timeout(now);
            }
            Call::Back(duration) => {
                session.handle_timeout(now.checked_sub(*duration).unwrap_or(now));
            }
            Call::Act(choice) => {
                if let Some(request) = subject.act(&mut session, now, *choice) {
                    assert!(seen.open.insert(request), "{request} was given out and is open");
                }
            }
        }
        drain(subject, &mut session, now, polls, app, &mut seen);
        if before.2.is_some() {
            let after = (seen.events.len(), seen.sent.len(), seen.end.clone());
            assert_eq!(after, before, "events, what was sent or end changed after the end");
        }
        if session.ended().is_some() {
            assert!(seen.open.is_empty(), "ended without the outcome of {:?}", seen.open);
            assert!(!session.wants_input(), "wants input after its end");
            assert_eq!(session.poll_timeout(), None, "a timeout after its end");
        } else {
            // After the last byte there is none; something may still be to be decided.
            assert!(session.wants_input() || at_eof, "drained, and still wants no input");
        }
        if let (Call::Sleep(_), Some(at)) = (call, session.poll_timeout()) {
            assert!(at > now, "told that the time has come, and still wants to be");
        }
    }
    seen
}

/// Cuts bytes or messages into pieces of random sizes up to `largest`.
pub fn cut<T: Clone>(items: &[T], largest: usize, numbers: &mut Numbers) -> Vec<Vec<T>> {
    let mut rest = items;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, later) = rest.split_at((1 + numbers.below(largest)).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = later;
    }
    pieces
}

/// Chunking never changes events, error or end, nor what is sent, except how much of it an end that
/// lets nothing more be sent finds still unsent.
pub fn session_ignores_chunking<S>(subject: &S, stream: &[u8])
where
    S: Subject<Session: Session<Input = [u8]>>,
{
    let run_in = |pieces: Vec<Vec<u8>>| {
        let calls: Vec<_> = pieces.into_iter().map(Call::Input).chain([Call::Eof]).collect();
        run(subject, &calls, Polls::EventsFirst, App::Listens)
    };
    let whole = run_in(vec![stream.to_vec()]);
    for largest in [1, 2, 3, 7, 64, 1460] {
        let pieces = cut(stream, largest, &mut Numbers::new(largest as u64));
        let cut = run_in(pieces);
        assert_eq!((&cut.events, &cut.end), (&whole.events, &whole.end), "pieces up to {largest}");
        let common = cut.sent.len().min(whole.sent.len());
        assert_eq!(cut.sent[..common], whole.sent[..common], "sent, in pieces of up to {largest}");
        if whole.end.as_deref() == Some("Clean") {
            assert_eq!(cut.sent.len(), whole.sent.len(), "sent, in pieces of up to {largest}");
        }
    }
}

/// The same of a codec: `decode` gives all there is to see of decoding these pieces.
pub fn codec_ignores_chunking<R: Debug + PartialEq>(
    stream: &[u8],
    decode: impl Fn(&[Vec<u8>]) -> R,
) {
    let whole = decode(&[stream.to_vec()]);
    for largest in [1, 2, 3, 7, 64, 1460] {
        let pieces = cut(stream, largest, &mut Numbers::new(largest as u64));
        assert_eq!(decode(&pieces), whole, "in pieces of up to {largest}");
    }
}

/// A script of calls out of any bytes: what a fuzzer writes. Bytes or messages for the session are
/// taken from `stream`, so that some of them mean something.
pub fn script<I: Wire + ?Sized>(mut fuzz: &[u8], mut stream: &[I::Item]) -> Vec<Call<I::Item>> {
    let mut calls = Vec::new();
    while let Some((&op, rest)) = fuzz.split_first() {
        fuzz = rest;
        let argument = usize::from(op >> 3);
        calls.push(match op & 7 {
            0..=2 => {
                let len = (argument * argument).min(stream.len());
                let (now, later) = stream.split_at(len);
                stream = later;
                Call::Input(now.to_vec())
            }
            3 => {
                let (now, later) = fuzz.split_at(argument.min(fuzz.len()));
                fuzz = later;
                Call::Input(I::made_of(now))
            }
            4 => Call::Sleep(Duration::from_millis(1 << argument.min(36))),
            5 => Call::Act(op >> 3),
            6 if argument == 31 => Call::Eof,
            6 => Call::Back(Duration::from_secs(argument as u64)),
            _ => Call::Act(fuzz.first().copied().unwrap_or(0)),
        });
    }
    calls
}

/// No calls in any order make it panic, and the order of polls makes no difference. Where limits are
/// so `tight` that the driver's pace shows (an answer that doesn't fit isn't sent), it makes none to
/// what a silent application hears.
pub fn session_survives<S: Subject>(subject: &S, calls: &[Call<ItemOf<S>>], tight: bool) {
    for app in [App::Reacts, App::Listens] {
        let expected = run(subject, calls, Polls::EventsFirst, app);
        for polls in [Polls::TransmitFirst, Polls::Alternating] {
            let got = run(subject, calls, polls, app);
            if !tight {
                assert_eq!(got, expected, "{polls:?}, {app:?}");
            } else if app == App::Listens {
                assert_eq!((&got.events, &got.end), (&expected.events, &expected.end), "{polls:?}");
            }
        }
    }
}

/// Which of its duties a driver neglects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neglect {
    /// None.
    Nothing,
    /// Takes no events.
    Events,
    /// Takes nothing to be sent.
    Transmits,
    /// Takes neither.
    Both,
}

/// Feeds `pieces` as long as input is wanted and checks that the peak of memory is what the
/// formula says, whatever the driver neglects. Gives the peaks in bytes.
pub fn memory_is_bounded<S: Subject>(
    subject: &S,
    pieces: &[Vec<ItemOf<S>>],
) -> Vec<(Neglect, u64)> {
    let mut largest = 0;
    for piece in pieces {
        InputOf::<S>::each(piece, |input| largest = largest.max(input.size()));
    }
    let limit = subject.max_memory(largest) as u64;
    [Neglect::Nothing, Neglect::Events, Neglect::Transmits, Neglect::Both]
        .into_iter()
        .map(|neglect| {
            let now = epoch();
            let mut session = None;
            let used = measure(|| {
                let session = session.insert(subject.start(now));
                for (at, piece) in pieces.iter().enumerate() {
                    InputOf::<S>::each(piece, |input| {
                        if session.wants_input() {
                            session.handle_input(now, input);
                        }
                    });
                    if at % 8 == 0 {
                        subject.act(session, now, u8::try_from(at / 8 % 256).unwrap_or(0));
                    }
                    if matches!(neglect, Neglect::Nothing | Neglect::Transmits) {
                        while session.poll_event().is_some() {}
                    }
                    if matches!(neglect, Neglect::Nothing | Neglect::Events) {
                        while session.poll_transmit().is_some() {}
                    }
                }
            });
            assert!(
                used.bytes_max <= limit,
                "{neglect:?}: {} bytes, the limit is {limit}",
                used.bytes_max
            );
            (neglect, used.bytes_max)
        })
        .collect()
}

/// The largest of the peaks.
pub fn peak(peaks: Vec<(Neglect, u64)>) -> u64 {
    peaks.into_iter().map(|(_, bytes)| bytes).max().unwrap_or(0)
}

/// A formula of memory holds, and is within an order of magnitude of what can be brought about.
pub fn says_something(name: &str, most: u64, limit: usize) {
    assert!(most <= limit as u64, "{name}: {most} bytes, the limit is {limit}");
    assert!(most >= limit as u64 / 10, "{name}: {most} bytes, the limit of {limit} says nothing");
}

/// Encoding comes to this, behind what is in a buffer already, which it leaves as it was where it fails;
/// a buffer of exactly the right size is enough, and one byte less isn't.
pub fn encodes_as<E: Debug + PartialEq + Copy>(
    expected: &Result<String, E>,
    buffer_full: E,
    encode: impl Fn(&mut dyn BufMut) -> Result<(), E>,
) {
    let mut dst = b"before".to_vec();
    let result = encode(&mut dst);
    let written = str::from_utf8(&dst).expect("text").strip_prefix("before").expect("stays");
    assert_eq!(
        (result, written),
        match expected {
            Ok(text) => (Ok(()), &text[..]),
            Err(error) => (Err(*error), ""),
        }
    );
    let Ok(text) = expected else { return };
    let mut exact = vec![0xAA; text.len()];
    assert_eq!(encode(&mut &mut exact[..]), Ok(()));
    assert_eq!(exact, text.as_bytes());
    let mut small = vec![0xAA; text.len() - 1];
    assert_eq!(encode(&mut &mut small[..]), Err(buffer_full));
    assert!(small.iter().all(|byte| *byte == 0xAA));
}

/// Four times as much input takes no more than about four times as long: quadratic work would take
/// 16 times as long. In the thread's own time, the best of several runs, and several tries, because the
/// machine has other work.
pub fn work_is_linear(mut work: impl FnMut(usize), n: usize) {
    let mut best_of = |n| {
        (0..5)
            .map(|_| {
                let start = ThreadTime::now();
                work(n);
                start.elapsed()
            })
            .min()
            .unwrap_or_default()
    };
    let mut ratios = Vec::new();
    for _ in 0..8 {
        let (once, four) = (best_of(n), best_of(4 * n));
        let ratio = four.as_secs_f64() / once.as_secs_f64().max(1e-9);
        if ratio < 8.0 {
            return;
        }
        ratios.push(ratio);
    }
    panic!("four times the input takes {ratios:.1?} times as long");
}
