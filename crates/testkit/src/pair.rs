//! Two sessions over a link that can be cut, under virtual time.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use smallwire_core::Session;

use crate::epoch;
use crate::wire::Wire;

/// One end of a [`Pair`].
#[expect(missing_debug_implementations, reason = "not every event has it")]
pub struct Peer<S: Session<Input: Wire>> {
    /// The session.
    pub session: S,
    /// The events it gave that nobody took yet.
    pub events: VecDeque<S::Event>,
    /// On its way to this end: when it arrives, and what; `None` for the end of the stream.
    inbound: VecDeque<(Instant, Option<Vec<ItemOf<S>>>)>,
    /// Its end of the stream was sent.
    finished: bool,
}

/// Bytes or messages.
type ItemOf<S> = <<S as Session>::Input as Wire>::Item;

/// Two sessions connected by a link, and the clock that both live by.
///
/// ```
/// use bingo_proto::{Client, ClientEvent, Config, Identification, Server, ServerEvent};
/// use std::{sync::Arc, time::Duration};
/// use testkit::pair::Pair;
///
/// let config = Arc::new(Config::default());
/// let mut pair = Pair::new(Duration::from_millis(20), |now| {
///     let client = Client::new(config.clone(), &Identification::new("9f2c", "Ada"), now);
///     (client.unwrap(), Server::new(config.clone(), now))
/// });
/// pair.run_for(Duration::from_secs(1));
/// assert!(matches!(pair.server.events.pop_front(), Some(ServerEvent::Identified(_))));
/// pair.server.session.accept(pair.now, b"token").unwrap();
/// pair.run_for(Duration::from_secs(1));
/// assert!(matches!(pair.client.events.pop_front(), Some(ClientEvent::Ready { .. })));
/// ```
#[expect(missing_debug_implementations, reason = "not every event has it")]
pub struct Pair<C: Session<Input: Wire>, S: Session<Input: Wire>> {
    /// What time it is.
    pub now: Instant,
    /// One end.
    pub client: Peer<C>,
    /// The other.
    pub server: Peer<S>,
    /// How long everything is on its way.
    pub latency: Duration,
    /// Bytes or messages that still pass before the link is cut, both ways together; `None`: all.
    pub cut_after: Option<usize>,
}

impl<C, S, I> Pair<C, S>
where
    C: Session<Input = I, Transmit: Borrow<I>>,
    S: Session<Input = I, Transmit: Borrow<I>>,
    I: Wire + ?Sized,
{
    /// Connects the two sessions that `make` makes.
    pub fn new(latency: Duration, make: impl FnOnce(Instant) -> (C, S)) -> Self {
        let now = epoch();
        let (client, server) = make(now);
        Self { now, client: Peer::new(client), server: Peer::new(server), latency, cut_after: None }
    }

    /// Lets happen what happens in this time, nobody taking part.
    pub fn run_for(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            self.exchange();
            let next = [
                self.client.session.poll_timeout(),
                self.server.session.poll_timeout(),
                self.client.inbound.front().map(|(at, _)| *at),
                self.server.inbound.front().map(|(at, _)| *at),
            ];
            match next.into_iter().flatten().min() {
                Some(at) if at <= until => self.now = self.now.max(at),
                _ => break,
            }
            self.client.deliver(self.now);
            self.server.deliver(self.now);
        }
        self.now = until;
    }

    /// Takes events and puts what is sent on its way.
    fn exchange(&mut self) {
        let at = self.now + self.latency;
        self.client.send(&mut self.server, at, &mut self.cut_after);
        self.server.send(&mut self.client, at, &mut self.cut_after);
    }
}

impl<S, I> Peer<S>
where
    S: Session<Input = I, Transmit: Borrow<I>>,
    I: Wire + ?Sized,
{
    fn new(session: S) -> Self {
        Self { session, events: VecDeque::new(), inbound: VecDeque::new(), finished: false }
    }

    fn send<P>(&mut self, peer: &mut Peer<P>, at: Instant, left: &mut Option<usize>)
    where
        P: Session<Input = I>,
    {
        loop {
            while let Some(event) = self.session.poll_event() {
                self.events.push_back(event);
            }
            let Some(transmit) = self.session.poll_transmit() else { break };
            let mut items = transmit.borrow().items();
            if let Some(left) = left {
                items = &items[..items.len().min(*left)];
                *left -= items.len();
            }
            peer.inbound.push_back((at, Some(items.to_vec())));
        }
        if (self.session.ended().is_some() || *left == Some(0)) && !self.finished {
            self.finished = true;
            peer.inbound.push_back((at, None));
        }
    }

    fn deliver(&mut self, now: Instant) {
        while self.inbound.front().is_some_and(|(at, _)| *at <= now) {
            match self.inbound.pop_front() {
                Some((_, Some(items))) => {
                    I::each(&items, |input| self.session.handle_input(now, input));
                }
                _ => self.session.handle_eof(now),
            }
        }
        // Early, late or for nothing: a driver may call it whenever it wakes.
        self.session.handle_timeout(now);
    }
}
