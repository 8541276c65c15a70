//! The server of a bridge between two components: it keeps who subscribes to which guild, and tells
//! every client of changes.
//!
//! Every connection is a task that drives its own [`Server`]. What concerns everyone goes through
//! one lock, so that all are told the same things in the same order.
//!
//! A client that doesn't keep up with what others do is turned out: what waits for it is bounded by a
//! short queue of commands and by `max_transmit_bytes` of its session, and where one is full it would
//! miss something, so its connection is closed with "too slow". One that has others told too much, whom
//! it would make seem slow, is closed with "says too much". One that only asks more than it takes
//! isn't read any more until it does.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use litecord_proto::{
    AnswerError, CloseCode, CloseFrame, Config, Directions, End, Json, JsonRef, Outcome,
    PeerRequestId, RequestId, SendError, Server, ServerEvent, Session, SessionError,
};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::app::{App, Pace};
use crate::listener::{Driver, Log, accept, join, told};
use crate::turns::Turns;
use crate::websocket::is_close_code;

/// More connections than these are closed at once.
const MAX_CONNECTIONS: usize = 500;

/// What waits for a connection's task: it takes it at once, but every other connection may have
/// something new before it gets to run.
const MAX_COMMANDS: usize = 8 * MAX_CONNECTIONS;

/// Subscriptions to all guilds together.
const MAX_SUBSCRIPTIONS: usize = 100_000;

/// Why a client is turned out.
const TOO_SLOW: &str = "too slow";
const TOO_MUCH: &str = "says too much";

/// Longest id of a guild or user, in bytes of JSON text.
const MAX_ID: usize = 100;

/// Longest text of others in a line of the log, in characters.
const MAX_LOGGED: usize = 200;

/// How long the application takes to look at a password. Stands in for a database.
const DECISION_TIME: Duration = Duration::from_millis(300);

/// The password that the application knows.
const PASSWORD: &str = "helloworld";

/// How a bridge is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Of every session. Without a password in it the application decides.
    pub config: Arc<Config>,
    /// Whose WebSockets.
    pub driver: Driver,
    /// Dispatches a second of a client, of which others may have to be told.
    pub rate_limit: u32,
}

/// Serves whoever connects, until `shutdown`; then closes all connections.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    log: Log,
    shutdown: impl Future<Output = ()>,
) {
    let bridge = Arc::new(Bridge {
        options,
        log: log.clone(),
        clients: Mutex::new(Clients { is_open: true, ..Clients::default() }),
    });
    let open = bridge.clone();
    let connections = accept(listener, MAX_CONNECTIONS, &log, shutdown, |number, stream, peer| {
        connection(open.clone(), number, stream, peer)
    })
    .await;
    bridge.clients().close();
    join(connections, &log).await;
}

async fn connection(bridge: Arc<Bridge>, number: u64, stream: Turns<TcpStream>, peer: SocketAddr) {
    let (sender, commands) = mpsc::channel(MAX_COMMANDS);
    let delayed = sender.downgrade();
    if !bridge.clients().connect(number, sender) {
        return;
    }
    let now = Instant::now();
    let pace = Pace::per_second(bridge.options.rate_limit, now);
    let notes = Pace::of_notes(now);
    let client = Client { bridge, number, delayed, pace, notes, asked: BTreeMap::new() };
    client.log(&format!("connects from {peer}"));
    let log = client.bridge.log.clone();
    let end = told(client.run(stream, commands).await);
    log(&format!("client {number} ends: {end}"));
}

/// What all connections share.
struct Bridge {
    options: Options,
    log: Log,
    clients: Mutex<Clients>,
}

impl Bridge {
    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connections, and what they have told.
#[derive(Default)]
struct Clients {
    seats: BTreeMap<u64, Seat>,
    /// Users by guild.
    guilds: BTreeMap<Json, BTreeSet<Json>>,
    subscriptions: usize,
    is_open: bool,
}

struct Seat {
    is_authenticated: bool,
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
    Decide { is_right: bool },
    TellSubscribers { guild: Json, count: usize },
}

impl Clients {
    fn connect(&mut self, number: u64, commands: mpsc::Sender<Command>) -> bool {
        if self.is_open {
            let seat = Seat { is_authenticated: false, commands: Some(commands) };
            self.seats.insert(number, seat);
        }
        self.is_open
    }

    /// Tells how many users the guild has now, if that has changed.
    fn subscribe(&mut self, guild: &Json, user: Json, is_on: bool) -> Option<usize> {
        if is_on {
            if self.subscriptions >= MAX_SUBSCRIPTIONS {
                return None;
            }
            let users = self.guilds.entry(guild.clone()).or_default();
            let count = users.insert(user).then_some(users.len())?;
            self.subscriptions += 1;
            return Some(count);
        }
        let users = self.guilds.get_mut(guild)?;
        let count = users.remove(&user).then_some(users.len())?;
        if count == 0 {
            self.guilds.remove(guild);
        }
        self.subscriptions -= 1;
        Some(count)
    }

    /// To every other client that has been let in.
    fn tell_others(&mut self, number: u64, command: &Command) {
        for (_, seat) in self.seats.iter_mut().filter(|(n, s)| **n != number && s.is_authenticated)
        {
            seat.send(command.clone());
        }
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
    bridge: Arc<Bridge>,
    number: u64,
    /// For what is to come back to this connection after a while.
    delayed: mpsc::WeakSender<Command>,
    pace: Pace,
    notes: Pace,
    /// What the client is asked: `None` the version, else what it has itself asked us to.
    asked: BTreeMap<RequestId, Option<PeerRequestId>>,
}

/// What became of what we were asked to ask.
#[derive(Serialize)]
struct Asked<'a> {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    r: Option<&'a Json>,
}

/// What there is no answer to.
#[derive(Serialize)]
struct Refusal<'a> {
    error: &'a str,
}

impl Client {
    async fn run(
        mut self,
        stream: Turns<TcpStream>,
        mut commands: mpsc::Receiver<Command>,
    ) -> anyhow::Result<End<SessionError>> {
        let Options { config, driver, .. } = self.bridge.options.clone();
        let max_message = config.codec.max_message;
        let session = || Server::new(config, Instant::now());
        driver.serve(stream, max_message, session, &mut commands, &mut self).await
    }
}

impl App<Server> for Client {
    type Command = Command;

    fn event(&mut self, session: &mut Server, now: Instant, event: ServerEvent) {
        match event {
            ServerEvent::HelloAck { password } => {
                self.decide_later(**password.expose() == *PASSWORD);
            }
            ServerEvent::Authenticated => self.authenticated(session, now),
            ServerEvent::Request { id, what, args } => {
                self.request(session, now, id, &what, &args);
            }
            ServerEvent::Outcome { request, outcome } => {
                self.outcome(session, now, request, &outcome);
            }
            ServerEvent::Dispatch { what, args } => self.dispatch(session, now, &what, &args),
            ServerEvent::StrayResponse { nonce, .. } if self.notes.allows(now, 1) => {
                self.log(&format!("responds to {:.MAX_LOGGED$} too late", nonce.get()));
            }
            ServerEvent::Unknown { op, .. } if self.notes.allows(now, 1) => {
                self.log(&format!("sends {op}, which is unknown"));
            }
            _ => {}
        }
    }

    fn command(&mut self, session: &mut Server, now: Instant, command: Command) {
        match command {
            Command::Decide { is_right } => {
                let decided = if is_right { session.accept(now) } else { session.refuse(now) };
                match decided {
                    Ok(()) if !is_right => self.log("has the wrong password"),
                    // Where it has ended meanwhile, nobody waits any more.
                    Ok(()) | Err(_) => {}
                }
            }
            Command::TellSubscribers { guild, count } => {
                let sent = session.dispatch(now, "SUBSCRIBERS_CHANGED", &(guild, count));
                self.check(session, now, sent.map_err(AnswerError::from));
            }
        }
    }

    fn commands_closed(&mut self, session: &mut Server, now: Instant) {
        let is_open = self.bridge.clients().is_open;
        if is_open {
            self.turn_out(session, now, TOO_SLOW);
        } else {
            session.close_with(now, CloseFrame::new(CloseCode::GOING_AWAY.0, "shutting down"));
        }
    }
}

impl Client {
    fn decide_later(&self, is_right: bool) {
        let commands = self.delayed.clone();
        tokio::spawn(async move {
            tokio::time::sleep(DECISION_TIME).await;
            if let Some(commands) = commands.upgrade() {
                let _ = commands.send(Command::Decide { is_right }).await;
            }
        });
    }

    fn authenticated(&mut self, session: &mut Server, now: Instant) {
        self.log("is let in");
        if let Some(seat) = self.bridge.clients().seats.get_mut(&self.number) {
            seat.is_authenticated = true;
        }
        if self.may_ask() {
            let sent = session.request(now, "VERSION", &[(); 0]).map(|request| {
                self.asked.insert(request, None);
            });
            self.check(session, now, sent.map_err(AnswerError::from));
        }
    }

    /// By the document's table only clients send requests and dispatches.
    fn may_ask(&self) -> bool {
        self.bridge.options.config.codec.directions == Directions::Both
    }

    fn request(
        &mut self,
        session: &mut Server,
        now: Instant,
        id: PeerRequestId,
        what: &str,
        args: &Json,
    ) {
        let answer = match what {
            "GUILD_SUBSCRIBERS" => self.subscribers(args).map(Some),
            "ECHO" => Ok(Some(args.clone())),
            "SILENCE" => Ok(None),
            "CLOSE" => close(session, now, args).map(|()| None),
            "ASK" => self.ask(session, now, id, args).map(|()| None),
            _ => Err("unknown request".into()),
        };
        match answer {
            Ok(Some(answer)) => self.respond(session, now, id, &answer),
            Ok(None) => {}
            Err(error) => self.respond(session, now, id, &Refusal { error: &error }),
        }
    }

    fn subscribers(&self, args: &Json) -> Result<Json, String> {
        let [guild] = args.parse::<[Json; 1]>().map_err(|error| error.to_string())?;
        if !is_id(&guild) {
            return Err("no id of a guild".into());
        }
        let clients = self.bridge.clients();
        let users: Vec<_> = clients.guilds.get(&guild).into_iter().flatten().collect();
        Json::of(&users).map_err(|error| error.to_string())
    }

    /// Asks the client what it wants to be asked; it is told the outcome.
    fn ask(
        &mut self,
        session: &mut Server,
        now: Instant,
        id: PeerRequestId,
        args: &Json,
    ) -> Result<(), String> {
        let args = args.parse::<Vec<JsonRef<'_>>>().map_err(|error| error.to_string())?;
        let (what, args) = args.split_first().ok_or("nothing to ask")?;
        let what: String = what.parse().map_err(|error| error.to_string())?;
        let request = session.request(now, &what, args).map_err(|error| error.to_string())?;
        self.asked.insert(request, Some(id));
        Ok(())
    }

    fn outcome(
        &mut self,
        session: &mut Server,
        now: Instant,
        request: RequestId,
        outcome: &Outcome,
    ) {
        let asked = match outcome {
            Outcome::Response(result) => Asked { outcome: "response", r: Some(result) },
            Outcome::TimedOut => Asked { outcome: "timed_out", r: None },
            _ => Asked { outcome: "closed", r: None },
        };
        match self.asked.remove(&request) {
            Some(Some(id)) => self.respond(session, now, id, &asked),
            Some(None) => {
                let answer = asked.r.map_or(asked.outcome, Json::get);
                self.log(&format!("answers VERSION: {answer:.MAX_LOGGED$}"));
            }
            None => {}
        }
    }

    fn dispatch(&mut self, session: &mut Server, now: Instant, what: &str, args: &Json) {
        if !self.pace.allows(now, 1) {
            return self.turn_out(session, now, TOO_MUCH);
        }
        self.log(&format!("dispatches {what:.MAX_LOGGED$} {:.MAX_LOGGED$}", args.get()));
        let is_on = match what {
            "SUBSCRIBE" => true,
            "UNSUBSCRIBE" => false,
            _ => return,
        };
        let ids = args.parse::<[Json; 2]>().ok().filter(|ids| ids.iter().all(is_id));
        let Some([guild, user]) = ids else {
            return self.log("means no guild and user by that");
        };
        let mut clients = self.bridge.clients();
        let count = clients.subscribe(&guild, user, is_on);
        if let (Some(count), true) = (count, self.may_ask()) {
            clients.tell_others(self.number, &Command::TellSubscribers { guild, count });
        }
    }

    fn respond(
        &mut self,
        session: &mut Server,
        now: Instant,
        id: PeerRequestId,
        result: &(impl Serialize + ?Sized),
    ) {
        let mut sent = session.respond(now, id, result);
        if let Err(AnswerError::Send(error @ (SendError::Encode(_) | SendError::Json(_)))) = sent {
            sent = session.respond(now, id, &Refusal { error: &error.to_string() });
        }
        self.check(session, now, sent);
    }

    fn check(&self, session: &mut Server, now: Instant, sent: Result<(), AnswerError>) {
        match sent {
            // It has ended while we were about to: the next thing that `drive` sees.
            Ok(()) | Err(AnswerError::Send(SendError::Ended)) => {}
            Err(AnswerError::Send(SendError::QueueFull)) => {
                self.turn_out(session, now, TOO_SLOW);
            }
            Err(error) => self.log(&format!("isn't sent something: {error}")),
        }
    }

    fn turn_out(&self, session: &mut Server, now: Instant, why: &'static str) {
        if session.ended().is_none() {
            self.log(&format!("is turned out: {why}"));
            session.close_with(now, CloseFrame::new(CloseCode::POLICY_VIOLATION.0, why));
        }
    }

    /// `note` goes on after the client's name.
    fn log(&self, note: &str) {
        (self.bridge.log)(&format!("client {} {note}", self.number));
    }
}

/// However the connection ends.
impl Drop for Client {
    fn drop(&mut self) {
        self.bridge.clients().seats.remove(&self.number);
    }
}

fn close(session: &mut Server, now: Instant, args: &Json) -> Result<(), String> {
    let (code, reason): (u16, String) = args.parse().map_err(|error| error.to_string())?;
    if !is_close_code(code) {
        return Err("no close code".into());
    }
    session.close_with(now, CloseFrame::new(code, reason));
    Ok(())
}

/// Whether it is a string or an integer, and no longer than an id may be.
fn is_id(json: &Json) -> bool {
    let text = json.get();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_id = text.starts_with('"') || digits.bytes().all(|byte| byte.is_ascii_digit());
    is_id && text.len() <= MAX_ID
}
