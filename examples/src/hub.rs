//! A driver of a roomvars [`Hub`]: one task that owns the hub, and one for each WebSocket, of any
//! library, on tokio. Copy it, with [`websocket`](crate::websocket), and change it.
//!
//! A socket's task hands the hub's what it reads, and takes one message at a time, the next when the
//! last is written: so the hub sees who is slow, and nobody waits for anybody else.

use std::collections::HashMap;
use std::future::{Future, ready};
use std::io;
use std::pin::pin;
use std::time::Instant;

use futures_util::StreamExt;
use roomvars_proto::{
    CloseCode, CloseFrame, ConnId, Dialect, Full, Hub, HubEvent, Message, Policy,
};
use tokio::sync::{mpsc, oneshot};
use tracing::Span;

use crate::app::{CLOSING_TIME, now, sleep_until};
use crate::websocket::{Failure, PROTOCOL_ERROR, WebSocket, write};

/// What waits for the hub's task. It takes it as fast as it can; beyond that nobody reads.
const MAX_TOLD: usize = 256;

/// What a socket's task tells the hub's.
enum Told<P> {
    /// A WebSocket stands.
    Connected { dialect: Dialect, seat: Seat, reply: oneshot::Sender<Result<ConnId, Full>> },
    /// A message or close frame has come.
    Input(ConnId, Message),
    /// All that was handed over is written.
    Written(ConnId),
    /// The socket is gone.
    Gone(ConnId),
    /// Somebody wants something of the hub.
    Asked(Question<P>),
}

type Question<P> = Box<dyn FnOnce(&mut Hub<P>) + Send>;

/// How a socket's task is reached.
#[derive(Debug)]
struct Seat {
    /// Takes one message at a time.
    outgoing: mpsc::Sender<Message>,
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
}

/// A task for this hub, and how sockets reach it.
pub fn hub_task<P: Policy>(hub: Hub<P>) -> (HubTask<P>, Sockets<P>) {
    let (sender, told) = mpsc::channel(MAX_TOLD);
    (HubTask { hub, told, seats: HashMap::new() }, Sockets(sender))
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
        let mut is_open = true;
        while is_open || !self.seats.is_empty() {
            while let Some((id, event)) = self.hub.poll_event() {
                let seat = self.seats.get_mut(&id);
                let span = seat.as_ref().map_or_else(Span::none, |seat| seat.span.clone());
                if let (HubEvent::Ended, Some(seat)) = (event, seat) {
                    seat.goes_on = None;
                }
                span.in_scope(|| on_event(&mut self.hub, id, event));
            }
            while let Some(id) = self.hub.poll_ready() {
                self.give(id);
            }
            let due = self.hub.poll_timeout();
            tokio::select! {
                told = self.told.recv() => match told {
                    Some(told) => self.handle(told, is_open),
                    // Nobody can come any more.
                    None => break,
                },
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

    fn handle(&mut self, told: Told<P>, is_open: bool) {
        match told {
            Told::Connected { dialect, seat, reply } => {
                let connected = if is_open { self.hub.connect(now(), dialect) } else { Err(Full) };
                if let Ok(id) = connected {
                    self.seats.insert(id, seat);
                }
                if let (Err(_), Ok(id)) = (reply.send(connected), connected) {
                    self.remove(id);
                }
            }
            Told::Input(id, message) => self.hub.handle_input(now(), id, &message),
            Told::Written(id) => self.give(id),
            Told::Gone(id) => self.remove(id),
            Told::Asked(what) => what(&mut self.hub),
        }
    }

    /// Gives a connection's task the next message, if it can take one.
    fn give(&mut self, id: ConnId) {
        let Some(seat) = self.seats.get(&id) else { return };
        while let Ok(room) = seat.outgoing.try_reserve() {
            match self.hub.poll_transmit(id) {
                Some(message) => room.send(message),
                None => break,
            }
        }
    }

    fn remove(&mut self, id: ConnId) {
        self.seats.remove(&id);
        self.hub.disconnect(now(), id);
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
        let (outgoing, messages) = mpsc::channel(1);
        let (goes_on, ended) = oneshot::channel();
        let seat = Seat { outgoing, goes_on: Some(goes_on), span: Span::current() };
        let (reply, id) = oneshot::channel();
        // If the hub is gone, so is its end of `messages`, and the socket is closed.
        let _ = self.0.send(Told::Connected { dialect, seat, reply }).await;
        let id = id.await.unwrap_or(Err(Full)).ok();
        let result = self.talk(socket, id, messages, ended, judge).await;
        if let Some(id) = id {
            let _ = self.0.send(Told::Gone(id)).await;
        }
        result
    }

    async fn talk<F: Future<Output = Option<Message>>>(
        &self,
        socket: impl WebSocket,
        id: Option<ConnId>,
        mut messages: mpsc::Receiver<Message>,
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
        let mut unsent = id.is_none().then_some(Message::Close(Some(overloaded)));
        let (mut unflushed, mut reads, mut is_closing) = (false, true, id.is_none());
        let mut failed = Ok(());
        // When the peer has had its time to read what is left, and to close too.
        let mut deadline: Option<Instant> = None;
        loop {
            let is_writing = unsent.is_some() || unflushed;
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
                            (unsent, is_closing) = (Some(Message::Close(Some(frame))), true);
                            failed = Err(error);
                            continue;
                        }
                        Some(Err(Failure::Lost(error))) => return Err(error),
                        Some(Err(Failure::Eof)) | None => return failed,
                    };
                    if let Message::Close(_) = input {
                        // The library answers it when it is flushed.
                        (is_closing, unflushed, unsent) = (true, true, None);
                    }
                    if let Some(id) = id {
                        let _ = self.0.send(Told::Input(id, input)).await;
                    }
                }
                written = write(&mut writer, &mut unsent, &mut unflushed), if is_writing => {
                    written?;
                    if let (false, false, Some(id)) = (unflushed, is_closing, id) {
                        let _ = self.0.send(Told::Written(id)).await;
                    }
                }
                message = messages.recv(), if !is_writing && !is_closing => match message {
                    Some(message) => {
                        is_closing = matches!(message, Message::Close(_));
                        unsent = Some(message);
                    }
                    None => return failed,
                },
                _ = &mut ended, if deadline.is_none() => deadline = Some(now() + CLOSING_TIME),
                () = sleep_until(deadline), if deadline.is_some() => return failed,
            }
        }
    }
}
