//! A chat gateway: lets in who has a token, and delivers what it is told to, to everybody or to one
//! user.
//!
//! Every connection is a task that drives its own [`Server`]. A client that doesn't keep up is turned
//! out: what waits for it is bounded by a queue of commands and by `max_transmit_bytes` of its session,
//! and where one is full it would miss something, so its connection is closed with "too slow".

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use emagine_proto::{
    CloseCode, CloseFrame, Config, DecideError, Json, JsonRef, Secret, SendError, Server,
    ServerEvent,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::app::{App, Pace, unix_time};
use crate::args::{close_frame, name, split};
use crate::listener::{Driver, Log, accept, join, told};
use crate::turns::Turns;

/// More connections than these are closed at once.
const MAX_CONNECTIONS: usize = 500;

/// What waits for a connection's task: it takes it at once, but a script may say much before it gets
/// to run.
const MAX_COMMANDS: usize = 4096;

/// The close code for who doesn't keep up; the protocol has none of its own.
const POLICY_VIOLATION: u16 = 1008;

/// How a gateway is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Of every session.
    pub config: Arc<Config>,
    /// Tokens, and whose they are.
    pub users: Vec<(Secret<String>, String)>,
    /// Whose WebSockets.
    pub driver: Driver,
}

/// What the gateway is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// To deliver something.
    Deliver {
        /// To this user, or to everybody.
        to: Option<String>,
        /// What.
        message: Json,
    },
    /// To close a user's connections.
    Close {
        /// Whose.
        user: String,
        /// Why.
        frame: CloseFrame,
    },
    /// To end.
    Quit,
}

/// What [`Order`]s look like when typed.
pub const ORDERS: &str = "all MESSAGE, to USER MESSAGE, close USER [CODE [REASON]], quit";

impl Order {
    /// Reads a line that was typed. A message is JSON, or else plain text, which becomes a string of
    /// JSON. A user is a word, or JSON text between quotes.
    ///
    /// # Errors
    /// It is no order; the text tells what would be.
    pub fn parse(line: &str) -> Result<Self, String> {
        let (word, rest) = split(line);
        let user = name(rest).map(|(user, rest)| (user, rest.trim_start()));
        Ok(match (word, user) {
            ("all", _) if !rest.is_empty() => Self::Deliver { to: None, message: json(rest)? },
            ("to", Some((user, message))) if !message.is_empty() => {
                Self::Deliver { to: Some(user), message: json(message)? }
            }
            ("close", Some((user, frame))) if !user.is_empty() => {
                Self::Close { user, frame: close_frame(frame)? }
            }
            ("quit", _) if rest.is_empty() => Self::Quit,
            _ => return Err(format!("{line:?} is none of: {ORDERS}")),
        })
    }
}

fn json(text: &str) -> Result<Json, String> {
    match JsonRef::new(text) {
        Ok(json) => Ok(json.to_owned()),
        Err(_) => Json::of(text).map_err(|error| error.to_string()),
    }
}

/// Serves whoever connects, until `shutdown` or an order to quit; then closes all connections.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    mut orders: mpsc::Receiver<Order>,
    log: Log,
    shutdown: impl Future<Output = ()>,
) {
    let clients = Mutex::new(Clients { is_open: true, seats: BTreeMap::new() });
    let gateway = Arc::new(Gateway { options, log: log.clone(), clients });
    let quit = async {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Deliver { to, message } => {
                    gateway.tell(to.as_deref(), &Command::Deliver(Arc::new(message)));
                }
                Order::Close { user, frame } => gateway.tell(Some(&user), &Command::Close(frame)),
                Order::Quit => return,
            }
        }
        // Nobody has anything to say any more, but it goes on.
        std::future::pending::<()>().await;
    };
    let shutdown = async {
        tokio::select! {
            () = shutdown => {}
            () = quit => {}
        }
    };
    let connections = accept(listener, MAX_CONNECTIONS, &log, shutdown, |number, stream, peer| {
        connection(gateway.clone(), number, stream, peer)
    })
    .await;
    gateway.clients().close();
    join(connections, &log).await;
}

async fn connection(
    gateway: Arc<Gateway>,
    number: u64,
    stream: Turns<TcpStream>,
    peer: SocketAddr,
) {
    let (sender, mut commands) = mpsc::channel(MAX_COMMANDS);
    if !gateway.clients().connect(number, sender) {
        return;
    }
    let Options { config, driver, .. } = gateway.options.clone();
    let mut client = Client { gateway, number, notes: Pace::of_notes(Instant::now()) };
    client.log(&format!("connects from {peer}"));
    let max_message = config.codec.max_message;
    let session = || Server::new(config, Instant::now()).unix_time(unix_time());
    let end = driver.serve(stream, max_message, session, &mut commands, &mut client).await;
    client.log(&format!("ends: {}", told(end)));
}

/// What all connections share.
struct Gateway {
    options: Options,
    log: Log,
    clients: Mutex<Clients>,
}

impl Gateway {
    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose token it is.
    fn user(&self, token: &str) -> Option<&str> {
        let known = self.options.users.iter().find(|(known, _)| known.expose() == token);
        known.map(|(_, user)| &**user)
    }

    /// To all connections of a user, or of everybody, that have been let in.
    fn tell(&self, user: Option<&str>, command: &Command) {
        let mut clients = self.clients();
        let is_meant =
            |seat: &Seat| seat.user.is_some() && (user.is_none() || seat.user.as_deref() == user);
        let mut is_heard = false;
        for seat in clients.seats.values_mut().filter(|seat| is_meant(seat)) {
            is_heard = true;
            seat.send(command.clone());
        }
        drop(clients);
        if !is_heard {
            (self.log)(&format!(
                "nobody is here{}",
                user.map_or(String::new(), |u| format!(" as {u}"))
            ));
        }
    }
}

struct Clients {
    seats: BTreeMap<u64, Seat>,
    is_open: bool,
}

struct Seat {
    /// Once it is let in.
    user: Option<String>,
    /// `None` once the connection is to close.
    commands: Option<mpsc::Sender<Command>>,
}

impl Seat {
    fn send(&mut self, command: Command) {
        let sent = self.commands.as_ref().map(|commands| commands.try_send(command));
        if matches!(sent, Some(Err(_))) {
            self.commands = None;
        }
    }
}

/// What a connection is to do.
#[derive(Clone)]
enum Command {
    Deliver(Arc<Json>),
    Close(CloseFrame),
}

impl Clients {
    fn connect(&mut self, number: u64, commands: mpsc::Sender<Command>) -> bool {
        if self.is_open {
            self.seats.insert(number, Seat { user: None, commands: Some(commands) });
        }
        self.is_open
    }

    fn close(&mut self) {
        self.is_open = false;
        for seat in self.seats.values_mut() {
            seat.commands = None;
        }
    }
}

/// One connection's part.
struct Client {
    gateway: Arc<Gateway>,
    number: u64,
    notes: Pace,
}

impl App<Server> for Client {
    type Command = Command;

    fn event(&mut self, session: &mut Server, now: Instant, event: ServerEvent) {
        match event {
            ServerEvent::Identify { token } => self.identify(session, now, token.expose()),
            ServerEvent::HeartbeatAck { round_trip } => {
                let milliseconds = round_trip.as_secs_f64() * 1000.0;
                self.log(&format!("acknowledges a heartbeat after {milliseconds:.1}ms"));
            }
            ServerEvent::Unknown { op, .. } if self.notes.allows(now, 1) => {
                self.log(&format!("sends {op}, which is unknown"));
            }
            _ => {}
        }
    }

    fn command(&mut self, session: &mut Server, now: Instant, command: Command) {
        match command {
            Command::Deliver(message) => match session.send_message(now, &*message) {
                // It has ended while we were about to: the next thing that `drive` sees.
                Ok(()) | Err(SendError::Ended) => {}
                Err(SendError::QueueFull) => self.turn_out(session, now),
                Err(error) => self.log(&format!("isn't sent something: {error}")),
            },
            Command::Close(frame) => session.close_with(now, frame),
        }
    }

    fn commands_closed(&mut self, session: &mut Server, now: Instant) {
        let is_open = self.gateway.clients().is_open;
        if is_open {
            self.turn_out(session, now);
        } else {
            session.close_with(now, CloseFrame::new(CloseCode::GOING_AWAY.0, "shutting down"));
        }
    }
}

impl Client {
    fn identify(&mut self, session: &mut Server, now: Instant, token: &str) {
        let user = self.gateway.user(token);
        let decided = match user {
            Some(user) => session.accept(now, user),
            None => session.refuse(now),
        };
        match (decided, user) {
            (Ok(()), Some(user)) => {
                if let Some(seat) = self.gateway.clients().seats.get_mut(&self.number) {
                    seat.user = Some(user.to_owned());
                }
                self.log(&format!("is let in as {user}"));
            }
            (Ok(()), None) => self.log("has a token that nobody knows"),
            // It has ended meanwhile.
            (Err(DecideError::NotWaiting), _) => {}
            (Err(error), _) => {
                self.log(&format!("can't be let in: {error}"));
                let _ = session.refuse(now);
            }
        }
    }

    fn turn_out(&self, session: &mut Server, now: Instant) {
        self.log("is turned out: too slow");
        session.close_with(now, CloseFrame::new(POLICY_VIOLATION, "too slow"));
    }

    /// `note` goes on after the client's name.
    fn log(&self, note: &str) {
        (self.gateway.log)(&format!("client {} {note}", self.number));
    }
}

/// However the connection ends.
impl Drop for Client {
    fn drop(&mut self) {
        self.gateway.clients().seats.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_typed() {
        let deliver = |to: Option<&str>, message: &str| {
            let message = JsonRef::new(message).unwrap().to_owned();
            Ok(Order::Deliver { to: to.map(Into::into), message })
        };
        assert_eq!(Order::parse("all [1.0,  2]"), deliver(None, "[1.0,  2]"));
        assert_eq!(Order::parse("all good \"morning\" "), deliver(None, r#""good \"morning\"""#));
        assert_eq!(Order::parse("to ada  {}"), deliver(Some("ada"), "{}"));
        assert_eq!(Order::parse(r#"to "a \u0062" hi  you"#), deliver(Some("a b"), r#""hi  you""#));
        let close = |code, reason| {
            Ok(Order::Close { user: "ada".into(), frame: CloseFrame::new(code, reason) })
        };
        assert_eq!(Order::parse("close ada"), close(1000, ""));
        assert_eq!(Order::parse("close ada 4999 so long"), close(4999, "so long"));
        assert_eq!(Order::parse(" quit "), Ok(Order::Quit));
        for line in ["", "all", "to", "to ada", "close", "close ada x", "close ada 1005", "quit x"]
        {
            assert!(Order::parse(line).is_err(), "{line}");
        }
    }
}
