use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::receiver::{Ear, Framing, Receiver, connect, put_frame};
use crate::script::{MESSAGE, Script};
use crate::server::Server;

const SENDER: Token = Token(usize::MAX - 1);
const TICK: Token = Token(usize::MAX - 2);

/// Latencies that are kept: of the first sets of a long run, as all would take gigabytes.
const LATENCIES: usize = 1 << 22;

/// How long all may take to hear what is on its way.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long one that stalls doesn't read, and then does.
const STALL: Duration = Duration::from_secs(5);

/// How a client behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Stays and reads.
    Steady,
    /// Doesn't read at times.
    Stalling,
    /// Reads, and is replaced.
    Passing,
}

#[derive(Debug)]
struct Seat {
    kind: Kind,
    receiver: Receiver,
    since: Instant,
    is_stalled: bool,
}

/// When sets are sent, if not as fast as can be: those that are due each millisecond.
#[derive(Debug)]
struct Pace {
    rate: u32,
    tick: TimerFd,
    /// Since then, and so many.
    from: Instant,
    sets: u64,
    /// When which set was sent.
    sent: VecDeque<Instant>,
    latencies: Vec<Duration>,
}

/// A server with one client that sets, and those that hear.
#[derive(Debug)]
pub(crate) struct Crowd {
    poll: Poll,
    pub(crate) server: Server,
    sender: mio::net::TcpStream,
    /// What the socket hasn't taken.
    unsent: Vec<u8>,
    script: Script,
    window: u64,
    pace: Option<Pace>,
    is_sending: bool,
    seats: Vec<Seat>,
    names: u32,
    framing: Framing,
    buffer: Vec<u8>,
    /// Of those who have left.
    gone_delivered: u64,
    passed_by: u64,
    merged: u64,
}

impl Crowd {
    pub(crate) fn new(
        server: Server,
        framing: Framing,
        window: u32,
        rate: Option<u32>,
    ) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let mut sender = connect(server.address, "sender")?;
        poll.registry().register(&mut sender, SENDER, Interest::READABLE | Interest::WRITABLE)?;
        // The room is there before others come.
        std::thread::sleep(Duration::from_millis(100));
        let pace = match rate {
            None => None,
            Some(rate) => {
                let tick = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
                let interval = TimeSpec::from_duration(Duration::from_millis(1));
                tick.set(Expiration::Interval(interval), TimerSetTimeFlags::empty())?;
                let fd = tick.as_fd().as_raw_fd();
                poll.registry().register(&mut SourceFd(&fd), TICK, Interest::READABLE)?;
                let (sent, latencies) = (VecDeque::new(), Vec::new());
                Some(Pace { rate, tick, from: Instant::now(), sets: 0, sent, latencies })
            }
        };
        Ok(Self {
            poll,
            server,
            sender,
            unsent: Vec::new(),
            script: Script::new(window.next_power_of_two() * 2),
            window: window.into(),
            pace,
            is_sending: false,
            seats: Vec::new(),
            names: 0,
            framing,
            buffer: vec![0; 256 * 1024],
            gone_delivered: 0,
            passed_by: 0,
            merged: 0,
        })
    }

    fn seat(&mut self, kind: Kind, token: usize) -> anyhow::Result<Seat> {
        let mut stream = connect(self.server.address, &format!("client {}", self.names))?;
        self.names += 1;
        self.poll.registry().register(&mut stream, Token(token), Interest::READABLE)?;
        let ear = Ear::new(self.framing, kind == Kind::Stalling);
        let receiver = Receiver { stream, ear };
        Ok(Seat { kind, receiver, since: Instant::now(), is_stalled: false })
    }

    /// Somebody comes.
    pub(crate) fn join(&mut self, kind: Kind) -> anyhow::Result<()> {
        let seat = self.seat(kind, self.seats.len())?;
        self.seats.push(seat);
        Ok(())
    }

    /// One goes and another one comes, half of them without a word; and some begin to stall, or to read.
    pub(crate) fn change(&mut self) -> anyhow::Result<()> {
        let passing = self.seats.iter().enumerate().filter(|(_, seat)| seat.kind == Kind::Passing);
        let oldest = passing.min_by_key(|(_, seat)| seat.since).map(|(at, _)| at);
        if let Some(at) = oldest {
            if self.names.is_multiple_of(2) {
                self.seats[at].receiver.leave()?;
            }
            let fresh = self.seat(Kind::Passing, at)?;
            let gone = std::mem::replace(&mut self.seats[at], fresh);
            self.gone_delivered += gone.receiver.ear.delivered;
            self.passed_by += 1;
        }
        let now = Instant::now();
        let stalling = self.seats.iter_mut().filter(|seat| seat.kind == Kind::Stalling);
        for (at, seat) in stalling.enumerate() {
            // Not all at once.
            let moment = STALL + Duration::from_millis(100) * u32::try_from(at)?;
            if now.duration_since(seat.since) >= moment {
                (seat.since, seat.is_stalled) = (now, !seat.is_stalled);
                if !seat.is_stalled {
                    seat.receiver.read(&mut self.buffer, &self.script)?;
                }
            }
        }
        Ok(())
    }

    /// How many sets were sent.
    pub(crate) fn sets(&self) -> u64 {
        self.script.len()
    }

    /// How many sets have come.
    pub(crate) fn delivered(&self) -> u64 {
        self.seats.iter().map(|seat| seat.receiver.ear.delivered).sum::<u64>() + self.gone_delivered
    }

    pub(crate) fn passed_by(&self) -> u64 {
        self.passed_by
    }

    /// How many sets those that stall weren't told of, as later ones took their place.
    pub(crate) fn merged(&self) -> u64 {
        self.merged
    }

    /// The set that everybody has heard who always reads.
    fn heard_by_all(&self) -> u64 {
        let steady = self.seats.iter().filter(|seat| seat.kind != Kind::Stalling);
        let heard = steady.filter_map(|seat| seat.receiver.ear.heard()).min();
        heard.unwrap_or(self.script.len())
    }

    /// Sends until then.
    pub(crate) fn run_until(&mut self, end: Instant) -> anyhow::Result<()> {
        if !std::mem::replace(&mut self.is_sending, true) {
            let sets = self.script.len();
            if let Some(pace) = &mut self.pace {
                (pace.from, pace.sets) = (Instant::now(), sets);
            }
        }
        let mut events = Events::with_capacity(1024);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.send()?;
            self.step(&mut events, left)?;
        }
    }

    /// Sends no more, and waits until everybody has heard of all.
    pub(crate) fn settle(&mut self) -> anyhow::Result<()> {
        self.is_sending = false;
        let end = Instant::now() + PATIENCE;
        let mut events = Events::with_capacity(1024);
        for seat in self.seats.iter_mut().filter(|seat| seat.is_stalled) {
            seat.is_stalled = false;
            seat.receiver.read(&mut self.buffer, &self.script)?;
        }
        let sets = self.script.len();
        while self.seats.iter().any(|seat| seat.receiver.ear.heard() != Some(sets)) {
            let left = end.saturating_duration_since(Instant::now());
            let waits =
                self.seats.iter().filter(|seat| seat.receiver.ear.heard() != Some(sets)).count();
            ensure!(!left.is_zero(), "{waits} haven't heard of all {sets} sets");
            self.write()?;
            self.step(&mut events, left)?;
        }
        let stalling = self.seats.iter().filter(|seat| seat.kind == Kind::Stalling);
        self.merged = stalling.map(|seat| sets.saturating_sub(seat.receiver.ear.delivered)).sum();
        Ok(())
    }

    fn send(&mut self) -> anyhow::Result<()> {
        let room = (self.heard_by_all() + self.window).saturating_sub(self.script.len());
        let due = match &mut self.pace {
            None => room,
            Some(pace) => {
                let nanos = pace.from.elapsed().as_nanos() * u128::from(pace.rate);
                let due = pace.sets + u64::try_from(nanos / 1_000_000_000)?;
                room.min(due.saturating_sub(self.script.len()))
            }
        };
        for _ in 0..due {
            let line = self.script.next();
            put_frame(&mut self.unsent, 1, &line[..MESSAGE]);
        }
        if let Some(pace) = &mut self.pace {
            let now = Instant::now();
            pace.sent.extend((0..due).map(|_| now));
            let spare = pace.sent.len().saturating_sub(usize::try_from(2 * self.window)?);
            pace.sent.drain(..spare);
        }
        self.write()
    }

    fn write(&mut self) -> anyhow::Result<()> {
        while !self.unsent.is_empty() {
            match self.sender.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("the sender"),
            }
        }
        Ok(())
    }

    fn step(&mut self, events: &mut Events, timeout: Duration) -> anyhow::Result<()> {
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let Self { seats, pace, script, buffer, .. } = self;
        for event in events.iter() {
            match event.token() {
                SENDER => {
                    let closed = event.is_read_closed() || event.is_error();
                    ensure!(!closed, "the server has closed the sender's connection");
                }
                TICK => {
                    if let Some(pace) = pace {
                        pace.tick.wait()?;
                    }
                }
                Token(at) => {
                    let Some(seat) = seats.get_mut(at).filter(|seat| !seat.is_stalled) else {
                        continue;
                    };
                    let before = seat.receiver.ear.heard();
                    let read = seat.receiver.read(buffer, script);
                    read.with_context(|| format!("{:?} client {at}", seat.kind))?;
                    if let (Some(pace), Some(before)) = (&mut *pace, before) {
                        let news = seat.receiver.ear.heard().unwrap_or(before) - before;
                        pace.note(script.len() - before, news);
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) fn forget_latencies(&mut self) {
        if let Some(pace) = &mut self.pace {
            pace.latencies.clear();
        }
    }

    /// How long half of the sets took to be heard, and 99 of a hundred.
    pub(crate) fn latency(&mut self) -> Option<[Duration; 2]> {
        let latencies = &mut self.pace.as_mut()?.latencies;
        latencies.sort_unstable();
        let at = |percent| {
            let latency: &Duration = latencies.get(latencies.len() * percent / 100)?;
            u64::try_from(latency.as_micros()).ok().map(Duration::from_micros)
        };
        Some([at(50)?, at(99)?])
    }
}

impl Pace {
    /// Somebody has heard so many sets, of the last ones that were sent the first.
    fn note(&mut self, last: u64, news: u64) {
        let now = Instant::now();
        let first = self.sent.len().saturating_sub(usize::try_from(last).unwrap_or(0));
        let sets = self.sent.range(first..).take(usize::try_from(news).unwrap_or(0));
        let left = LATENCIES.saturating_sub(self.latencies.len());
        self.latencies.extend(sets.take(left).map(|sent| now - *sent));
    }
}
