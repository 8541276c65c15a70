//! What the benches, `idle` and the tests share: rooms of a hub with clients in them.

use std::time::{Duration, Instant};

use anyhow::Context;
use roomvars_proto::{
    ClientMessage, CodecConfig, ConnId, Dialect, Hub, HubConfig, HubEvent, Message, Variables,
};

/// Adds a client to a hub's room, which has these variables or gets them; its events are taken.
///
/// # Errors
/// The hub doesn't let it in.
pub fn join(
    hub: &mut Hub,
    now: Instant,
    dialect: Dialect,
    room: &str,
    username: &str,
    variables: &[(&str, &str)],
) -> anyhow::Result<ConnId> {
    let (room, variables) = (room.into(), Variables::from(variables));
    let handshake = ClientMessage::Handshake { room, username: username.into(), variables };
    let mut text = Vec::new();
    handshake.encode(&CodecConfig::default().dialect(dialect), &mut text)?;
    let conn = hub.connect(now, dialect)?;
    hub.handle_input(now, conn, &Message::text(text));
    let event = hub.poll_event().context("nothing happened")?;
    anyhow::ensure!(event == (conn, HubEvent::Joined), "not let in: {:?}", hub.ended(conn));
    anyhow::ensure!(hub.poll_event().is_none(), "more than that happened");
    Ok(conn)
}

/// Takes all that a hub has to send, as its driver would, and shows each message where it is.
#[inline]
pub fn take_all(hub: &mut Hub, mut look: impl FnMut(ConnId, &Message)) {
    while let Some(conn) = hub.poll_ready() {
        loop {
            // Not moved out of the `Option`: that would take longer than to make it.
            let message = hub.poll_transmit(conn);
            let Some(message) = &message else { break };
            look(conn, message);
        }
    }
}

/// A hub with one room, in which one client sets variables and the others hear it.
#[derive(Debug)]
pub struct Crowd {
    hub: Hub,
    now: Instant,
    flush_interval: Duration,
    sender: ConnId,
    receivers: Vec<ConnId>,
}

impl Crowd {
    /// Of receivers that speak these dialects; the sender speaks the documented one. Sets are
    /// collected, if there is a `flush_interval`.
    ///
    /// # Errors
    /// The hub doesn't let them in.
    pub fn new(
        variables: &[(&str, &str)],
        receivers: impl IntoIterator<Item = Dialect>,
        flush_interval: Option<Duration>,
    ) -> anyhow::Result<Self> {
        let now = Instant::now();
        let mut config = HubConfig::default().max_room_clients(usize::MAX);
        if let Some(interval) = flush_interval {
            config = config.flush_interval(interval);
        }
        let mut hub = Hub::new(config.into(), now);
        let sender = join(&mut hub, now, Dialect::Documented, "lobby", "sender", variables)?;
        let receivers = receivers.into_iter().enumerate().map(|(at, dialect)| {
            join(&mut hub, now, dialect, "lobby", &format!("receiver {at}"), variables)
        });
        let receivers = receivers.collect::<Result<_, _>>()?;
        take_all(&mut hub, |_, _| {});
        let flush_interval = flush_interval.unwrap_or_default();
        Ok(Self { hub, now, flush_interval, sender, receivers })
    }

    /// Who hears of sets, in the order of their dialects.
    pub fn receivers(&self) -> &[ConnId] {
        &self.receivers
    }

    /// The sender's message arrives.
    #[inline]
    pub fn handle_input(&mut self, message: &Message) {
        self.hub.handle_input(self.now, self.sender, message);
    }

    /// It is time to send what was collected.
    #[inline]
    pub fn flush(&mut self) {
        self.now += self.flush_interval;
        self.hub.handle_timeout(self.now);
    }

    /// Everybody takes what there is.
    #[inline]
    pub fn take_all(&mut self, look: impl FnMut(ConnId, &Message)) {
        take_all(&mut self.hub, look);
    }
}
