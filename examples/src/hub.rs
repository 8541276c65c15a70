//! A driver of a roomvars [`Hub`]: one task that owns the hub, and one for each WebSocket, of any
//! library, on tokio. Copy it, with [`websocket`](crate::websocket), and change it.
//!
//! A socket's task hands the hub's what it reads, and takes what is to be sent in bursts that it writes at
//! once. Of these it has two at most, one of them being written: so the hub sees who is slow, and nobody
//! waits for anybody else. A write costs far more than what is in it, so after bursts were given out, what
//! comes next is collected for a moment.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, ready};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use roomvars_proto::{
    CloseCode, CloseFrame, ConnId, Dialect, Full, Hub, HubEvent, Message, Policy,
};
use tokio::sync::{mpsc, oneshot};
use tracing::Span;

use crate::app::{CLOSING_TIME, now, sleep_until};
use crate::websocket::{Failure, PROTOCOL_ERROR, WebSocket, write_all};

/// What waits for the hub's task. It takes it as fast as it can; beyond that nobody reads.
const MAX_TOLD: usize = 256;

/// Messages after which a burst is long enough, and bytes of them: one batch is, as with more a thousand
/// clients that fall behind take memory for them all.
const BURST: usize = 64;
const BURST_BYTES: usize = 12 * 1024;

/// What a socket's task tells the hub's.
enum Told<P> {
    /// A WebSocket stands.
    Connected { dialect: Dialect, seat: Seat, reply: oneshot::Sender<Result<ConnId, Full>> },
    /// A message or close frame has come.
    Input(ConnId, Message),
    /// The hub has asked to be told when it takes more.
    Takes(ConnId),
    /// The socket is gone.
    Gone(ConnId),
    /// Somebody wants something of the hub.
    Asked(Question<P>),
}

type Question<P> = Box<dyn FnOnce(&mut Hub<P>) + Send>;

/// How a socket's task is reached.
#[derive(Debug)]
struct Seat {
    /// Takes one burst at a time.
    outgoing: mpsc::Sender<Vec<Message>>,
    /// More waits than it takes.
    is_full: Arc<AtomicBool>,
    /// Dropped when the hub has ended the connection: whoever doesn't read is then cut off.
    goes_on: Option<oneshot::Sender<()>>,
    /// What its events are logged in.
    span: Span,
}

/// The way to a hub's task, for those of the sockets.
#[derive(Debug)]
pub struct Sockets<P>(mpsc::Sender<Told<P>>);

impl<P> Clone for Sockets<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A hub, and what the sockets tell it.
#[derive(Debug)]
pub struct HubTask<P> {
    hub: Hub<P>,
    told: mpsc::Receiver<Told<P>>,
    seats: HashMap<ConnId, Seat>,
    write_interval: Duration,
    /// When bursts were given out last.
    gave: Option<Instant>,
    /// What was told since then.
    told_since: usize,
}

/// A task for this hub, and how sockets reach it. Those that keep up are given something to write once
/// in a `write_interval`, or when much has come; a change after a longer silence goes at once.
pub fn hub_task<P: Policy>(hub: Hub<P>, write_interval: Duration) -> (HubTask<P>, Sockets<P>) {
    let (sender, told) = mpsc::channel(MAX_TOLD);
    let seats = HashMap::new();
    let task = HubTask { hub, told, seats, write_interval, gave: None, told_since: 0 };
    (task, Sockets(sender))
}

impl<P: Policy> HubTask<P> {
    /// Runs the hub until `shutdown`; then closes all connections, with a code after which clients
    /// may come back, and goes on until they are gone.
    pub async fn run(
        mut self,
        mut on_event: impl FnMut(&mut Hub<P>, ConnId, HubEvent),
        shutdown: impl Future<Output = ()>,
    ) {
        let mut shutdown = std::pin::pin!(shutdown);
        let (mut is_open, mut told) = (true, Vec::with_capacity(MAX_TOLD));
        while is_open || !self.seats.is_empty() {
            self.tell(&mut on_event);
            let give_at = self.give_all();
            let due = self.hub.poll_timeout().into_iter().chain(give_at).min();
            tokio::select! {
                count = self.told.recv_many(&mut told, MAX_TOLD) => {
                    if count == 0 {
                        // Nobody can come any more.
                        break;
                    }
                    self.told_since += count;
                    for told in told.drain(..) {
                        self.handle(told, is_open, &mut on_event);
                        // Before the next one takes away what it is about.
                        self.tell(&mut on_event);
                    }
                }
                () = sleep_until(due) => self.hub.handle_timeout(now()),
                () = &mut shutdown, if is_open => {
                    is_open = false;
                    let ids: Vec<_> = self.hub.connections().map(|one| one.id).collect();
                    for id in ids {
                        self.hub.kick(now(), id, CloseCode::GOING_AWAY);
                    }
                }
            }
        }
    }

    fn tell(&mut self, on_event: &mut impl FnMut(&mut Hub<P>, ConnId, HubEvent)) {
        while let Some((id, event)) = self.hub.poll_event() {
            let seat = self.seats.get_mut(&id);
            let span = seat.as_ref().map_or_else(Span::none, |seat| seat.span.clone());
            if let (HubEvent::Ended, Some(seat)) = (event, seat) {
                seat.goes_on = None;
            }
            span.in_scope(|| on_event(&mut self.hub, id, event));
        }
    }

    fn handle(
        &mut self,
        told: Told<P>,
        is_open: bool,
        on_event: &mut impl FnMut(&mut Hub<P>, ConnId, HubEvent),
    ) {
        match told {
            Told::Connected { dialect, seat, reply } => {
                let connected = if is_open { self.hub.connect(now(), dialect) } else { Err(Full) };
                if let Ok(id) = connected {
                    self.seats.insert(id, seat);
                }
                if let (Err(_), Ok(id)) = (reply.send(connected), connected) {
                    self.remove(id, on_event);
                }
            }
            Told::Input(id, message) => self.hub.handle_input(now(), id, &message),
            Told::Takes(id) => self.give(id),
            Told::Gone(id) => self.remove(id, on_event),
            Told::Asked(what) => what(&mut self.hub),
        }
    }

    /// Gives all connections' tasks what there is, unless that should wait until then.
    fn give_all(&mut self) -> Option<Instant> {
        let now = now();
        if let Some(gave) = self.gave.filter(|_| self.told_since < MAX_TOLD) {
            let due = gave + self.write_interval;
            if now < due {
                return Some(due);
            }
        }
        self.told_since = 0;
        while let Some(id) = self.hub.poll_ready() {
            self.gave = Some(now);
            self.give(id);
        }
        None
    }

    /// Gives a connection's task what comes next, if it can take that.
    fn give(&mut self, id: ConnId) {
        let Some(seat) = self.seats.get(&id) else { return };
        let mut is_all = false;
        while !is_all && let Some(room) = seat.room() {
            let (mut burst, mut bytes) = (Vec::new(), 0);
            while !is_all && burst.len() < BURST && bytes < BURST_BYTES {
                match self.hub.poll_transmit(id) {
                    Some(message) => {
                        bytes += message.len();
                        burst.push(message);
                    }
                    None => is_all = true,
                }
            }
            if !burst.is_empty() {
                room.send(burst);
            }
        }
    }

    fn remove(&mut self, id: ConnId, on_event: &mut impl FnMut(&mut Hub<P>, ConnId, HubEvent)) {
        self.hub.handle_eof(now(), id);
        // `disconnect` drops what nobody was told, and without a seat it isn't known who it was.
        self.tell(on_event);
        self.seats.remove(&id);
        self.hub.disconnect(now(), id);
    }
}

impl Seat {
    /// A place for a burst; if there is none, the socket's task will tell when there is.
    fn room(&self) -> Option<mpsc::Permit<'_, Vec<Message>>> {
        if let Ok(room) = self.outgoing.try_reserve() {
            return Some(room);
        }
        self.is_full.store(true, Ordering::SeqCst);
        // It may have taken the last one before it could know.
        self.outgoing.try_reserve().ok()
    }
}

impl<P> Sockets<P> {
    /// Has the hub's task do something with the hub: look at it, kick somebody, change its policy.
    /// `None` if the hub is gone.
    pub async fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Hub<P>) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let asked = Box::new(|hub: &mut Hub<P>| {
            let _ = reply.send(what(hub));
        });
        self.0.send(Told::Asked(asked)).await.ok()?;
        answer.await.ok()
    }

    /// Joins a WebSocket, whose client speaks this dialect, to the hub until it is closed. What the hub
    /// tells of it is logged in the current span.
    ///
    /// # Errors
    /// The socket failed, or the peer broke the rules of WebSocket.
    pub async fn serve(&self, socket: impl WebSocket, dialect: Dialect) -> io::Result<()> {
        self.serve_judged(socket, dialect, |_, message| ready(Some(message))).await
    }

    /// The same, where `judge` is told first what the client says, and gives what the hub is told.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub async fn serve_judged<F: Future<Output = Option<Message>>>(
        &self,
        socket: impl WebSocket,
        dialect: Dialect,
        judge: impl Fn(ConnId, Message) -> F,
    ) -> io::Result<()> {
        let (outgoing, bursts) = mpsc::channel(1);
        let (goes_on, ended) = oneshot::channel();
        let is_full = Arc::new(AtomicBool::new(false));
        let (is_full_too, span) = (is_full.clone(), Span::current());
        let seat = Seat { outgoing, is_full: is_full_too, goes_on: Some(goes_on), span };
        let (reply, id) = oneshot::channel();
        // If the hub is gone, so is its end of `bursts`, and the socket is closed.
        let _ = self.0.send(Told::Connected { dialect, seat, reply }).await;
        let id = id.await.unwrap_or(Err(Full)).ok();
        let result = self.talk(socket, id, bursts, &is_full, ended, judge).await;
        if let Some(id) = id {
            let _ = self.0.send(Told::Gone(id)).await;
        }
        result
    }

    async fn talk<F: Future<Output = Option<Message>>>(
        &self,
        socket: impl WebSocket,
        id: Option<ConnId>,
        mut bursts: mpsc::Receiver<Vec<Message>>,
        is_full: &AtomicBool,
        mut ended: oneshot::Receiver<()>,
        judge: impl Fn(ConnId, Message) -> F,
    ) -> io::Result<()> {
        let (mut writer, reader) = socket.split();
        let judge = &judge;
        let mut reader = pin!(reader.filter_map(async |read| match (id, read) {
            (Some(id), Ok(message)) => judge(id, message).await.map(Ok),
            (_, read) => Some(read),
        }));
        let overloaded = CloseFrame::new(CloseCode::OVERLOADED.0, "too many connections");
        let mut unsent = VecDeque::new();
        if id.is_none() {
            unsent.push_back(Message::Close(Some(overloaded)));
        }
        let (mut unflushed, mut reads, mut is_closing) = (false, true, id.is_none());
        let mut failed = Ok(());
        // When the peer has had its time to read what is left, and to close too.
        let mut deadline = is_closing.then(|| now() + CLOSING_TIME);
        loop {
            let is_writing = !unsent.is_empty() || unflushed;
            // At once, where that can be.
            if is_writing
                && let Some(written) =
                    write_all(&mut writer, &mut unsent, &mut unflushed).now_or_never()
            {
                written?;
                continue;
            }
            tokio::select! {
                read = reader.next(), if reads => {
                    let input = match read {
                        Some(Ok(message)) => message,
                        // The hub won't take it either, and knows what to say.
                        Some(Err(Failure::Refused(message))) => {
                            reads = false;
                            message
                        }
                        Some(Err(Failure::Violation(error))) => {
                            reads = false;
                            let frame = CloseFrame::new(PROTOCOL_ERROR, error.to_string());
                            unsent = VecDeque::from([Message::Close(Some(frame))]);
                            is_closing = true;
                            // The hub isn't told before the socket is gone, so it sets no time.
                            deadline.get_or_insert(now() + CLOSING_TIME);
                            failed = Err(error);
                            continue;
                        }
                        Some(Err(Failure::Lost(error))) => return Err(error),
                        Some(Err(Failure::Eof)) | None => return failed,
                    };
                    if let Message::Close(_) = input {
                        // The library answers it when it is flushed.
                        (is_closing, unflushed) = (true, true);
                        unsent.clear();
                    }
                    if let Some(id) = id {
                        let _ = self.0.send(Told::Input(id, input)).await;
                    }
                }
                written = write_all(&mut writer, &mut unsent, &mut unflushed), if is_writing => {
                    written?;
                }
                burst = bursts.recv(), if !is_writing && !is_closing => match burst {
                    Some(burst) => {
                        is_closing = matches!(burst.last(), Some(Message::Close(_)));
                        unsent = burst.into();
                        if let (true, Some(id)) = (is_full.swap(false, Ordering::SeqCst), id) {
                            let _ = self.0.send(Told::Takes(id)).await;
                        }
                    }
                    None => return failed,
                },
                _ = &mut ended, if deadline.is_none() => deadline = Some(now() + CLOSING_TIME),
                () = sleep_until(deadline), if deadline.is_some() => return failed,
            }
        }
    }
}
