//! The server of a small bingo game: one room, a list of logins, and cells to claim.
//!
//! Every connection is a task that drives its own [`Server`]. What concerns everyone goes through
//! the room, under one lock, so that all are told the same things in the same order.
//!
//! A client that doesn't keep up is turned out: what waits for it is bounded by a short queue of
//! commands and by `max_transmit_bytes` of its session, and where either is full it would miss
//! network variables, so it is told "too slow" in a ProtocolError and its connection closed.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bingo_proto::{
    AnswerError, Config, DecideError, End, Identification, Outcome, Payload, PeerRequestId,
    RequestId, SendError, Server, ServerEvent, to_json,
};
use bytes::Bytes;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::app::{App, Pace};
use crate::bingo_game::{Ask, Board, MapTime, News, Question, Say, Variables};
use crate::listener::{Log, accept, join};
use crate::tcp::drive;
use crate::turns::Turns;

/// More connections than these are closed at once. The names of all must fit into one Reply.
const MAX_CONNECTIONS: usize = 500;

/// News and updates that wait for a connection's task: it takes them at once, but every other
/// connection may have something new before it gets to run.
const MAX_COMMANDS: usize = 8 * MAX_CONNECTIONS;

/// Longest name of a player, in bytes: a board full of names has to fit into one DataUpdate.
const MAX_NAME: usize = 32;

/// Longest thing to say, in characters.
const MAX_SAY: usize = 500;

/// What a player says sooner than this after the last is dropped: nobody can make everybody slow.
const SAY_INTERVAL: Duration = Duration::from_millis(50);

/// How a game is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Of every session.
    pub config: Arc<Config>,
    /// Who is let in.
    pub logins: BTreeSet<String>,
    /// Cells on the board.
    pub cells: usize,
}

/// Plays with whoever connects, until `shutdown`; then closes all connections.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    log: Log,
    shutdown: impl Future<Output = ()>,
) {
    let table = Arc::new(Table {
        room: Mutex::new(Room {
            board: Board::new(options.cells),
            seats: BTreeMap::new(),
            is_open: true,
        }),
        options,
        log,
    });
    let (log, open) = (table.log.clone(), table.clone());
    let connections =
        accept(listener, MAX_CONNECTIONS, &log, shutdown, move |number, stream, peer| {
            connection(open.clone(), number, stream, peer)
        })
        .await;
    table.room().close();
    join(connections, &log).await;
}

async fn connection(table: Arc<Table>, number: u64, stream: Turns<TcpStream>, peer: SocketAddr) {
    let (sender, mut commands) = mpsc::channel(MAX_COMMANDS);
    if !table.room().connect(number, sender) {
        return;
    }
    let log = table.log.clone();
    let mut session = Server::new(table.options.config.clone(), Instant::now());
    let mut player = Player {
        table,
        number,
        who: peer.to_string(),
        questions: BTreeMap::new(),
        last_said: None,
        notes: Pace::of_notes(Instant::now()),
    };
    let end = drive(&mut session, stream, &mut commands, &mut player).await;
    let who = &player.who;
    log(&match end {
        Ok(End::Clean) => format!("{who}: closed"),
        Ok(End::Error(error)) => format!("{who}: {error}"),
        Err(error) => format!("{who}: connection lost: {error}"),
    });
}

/// What all connections share.
struct Table {
    options: Options,
    log: Log,
    room: Mutex<Room>,
}

impl Table {
    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The game, and the connections to it.
struct Room {
    board: Board,
    seats: BTreeMap<u64, Seat>,
    is_open: bool,
}

struct Seat {
    /// `None` before the player was let in.
    name: Option<String>,
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

/// What a connection is to send; the bytes are shared by all connections.
#[derive(Debug, Clone)]
enum Command {
    Event(Bytes),
    DataUpdate(Bytes),
    /// For the player who has this row now; queued behind the update that shows it.
    AskMapTime {
        row: usize,
    },
}

impl Room {
    fn connect(&mut self, number: u64, commands: mpsc::Sender<Command>) -> bool {
        if self.is_open {
            self.seats.insert(number, Seat { name: None, commands: Some(commands) });
        }
        self.is_open
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.seats.values().filter_map(|seat| seat.name.as_deref())
    }

    /// To everyone who has been let in.
    fn send_all(&mut self, command: &Command) {
        for seat in self.seats.values_mut().filter(|seat| seat.name.is_some()) {
            seat.send(command.clone());
        }
    }

    fn announce(&mut self, news: &News) {
        self.send_all(&Command::Event(json(news)));
    }

    fn leave(&mut self, number: u64) {
        if let Some(Seat { name: Some(who), .. }) = self.seats.remove(&number) {
            self.announce(&News::Left { who });
        }
        // The next to come find a fresh game.
        if self.names().next().is_none() {
            self.board = Board::new(self.board.len());
        }
    }

    fn close(&mut self) {
        self.is_open = false;
        for seat in self.seats.values_mut() {
            seat.commands = None;
        }
    }
}

/// One connection's part in the game.
struct Player {
    table: Arc<Table>,
    number: u64,
    /// The name; the address before there is one.
    who: String,
    /// Rows that the plugin was asked about.
    questions: BTreeMap<RequestId, usize>,
    last_said: Option<Instant>,
    notes: Pace,
}

impl App<Server> for Player {
    type Command = Command;

    fn event(&mut self, session: &mut Server, now: Instant, event: ServerEvent) {
        let sent = match event {
            ServerEvent::Identified(who) => self.identified(session, now, &who),
            ServerEvent::Request { id, payload } => self.request(session, now, id, &payload),
            ServerEvent::Outcome { request, outcome } => {
                self.outcome(request, &outcome);
                Ok(())
            }
            ServerEvent::Event(payload) => {
                self.say(now, &payload);
                Ok(())
            }
            ServerEvent::Pong { round_trip } => {
                self.log(&format!("answered a ping after {round_trip:.1?}"));
                Ok(())
            }
            ServerEvent::StrayReply { in_reply_to, .. } if self.notes.allows(now, 1) => {
                self.log(&format!("answered {in_reply_to} too late"));
                Ok(())
            }
            _ => Ok(()),
        };
        self.check(session, now, sent);
    }

    fn command(&mut self, session: &mut Server, now: Instant, command: Command) {
        let sent = match command {
            Command::Event(payload) => session.event(now, &payload),
            Command::DataUpdate(payload) => session.data_update(now, &payload),
            Command::AskMapTime { row } => {
                session.request(now, &json(&Question::MapTime)).map(|question| {
                    self.questions.insert(question, row);
                })
            }
        };
        self.check(session, now, sent.map_err(AnswerError::from));
    }

    fn commands_closed(&mut self, session: &mut Server, now: Instant) {
        let is_open = self.table.room().is_open;
        if is_open {
            self.turn_out(session, now);
        } else {
            session.close(now);
        }
    }
}

impl Player {
    /// Lets the player in if there is a reason to.
    fn identified(
        &mut self,
        session: &mut Server,
        now: Instant,
        who: &Identification<'_>,
    ) -> Result<(), AnswerError> {
        let mut room = self.table.room();
        let name = who.username.trim();
        let refusal = if !self.table.options.logins.contains(&*who.login) {
            Some("unknown login")
        } else if name.is_empty() || name.len() > MAX_NAME || name.contains(char::is_control) {
            Some("not a name for a player")
        } else if room.names().any(|other| other == name) {
            Some("somebody of that name plays already")
        } else {
            None
        };
        if let Some(text) = refusal {
            (self.table.log)(&format!("{}: refused: {text}", self.who));
            return decided(session.refuse(now, text));
        }
        let Some(token) = token() else {
            session.protocol_error(now, "internal error");
            return Ok(());
        };
        decided(session.accept(now, token.as_bytes()))?;
        session.data_update(now, &json(&room.board.variables()))?;
        (self.table.log)(&format!("{}: let in as {name}", self.who));
        name.clone_into(&mut self.who);
        if let Some(seat) = room.seats.get_mut(&self.number) {
            seat.name = Some(self.who.clone());
        }
        room.announce(&News::Joined { who: self.who.clone() });
        Ok(())
    }

    fn request(
        &mut self,
        session: &mut Server,
        now: Instant,
        id: PeerRequestId,
        payload: &Payload,
    ) -> Result<(), AnswerError> {
        match payload.json() {
            Ok(Ask::Claim { cell }) => self.claim(session, now, id, cell),
            Ok(Ask::Players) => {
                let players = json(&self.table.room().names().collect::<Vec<_>>());
                session.reply(now, id, &players)
            }
            Err(error) => session.reject(now, id, &format!("can't understand: {error}")),
        }
    }

    fn claim(
        &mut self,
        session: &mut Server,
        now: Instant,
        id: PeerRequestId,
        cell: usize,
    ) -> Result<(), AnswerError> {
        let mut room = self.table.room();
        let row = match room.board.claim(cell, &self.who) {
            Ok(row) => row,
            Err(error) => return session.reject(now, id, &error.to_string()),
        };
        let cells = BTreeMap::from([(cell, self.who.clone())]);
        room.send_all(&Command::DataUpdate(json(&Variables { size: None, cells })));
        if let (Some(row), Some(seat)) = (row, room.seats.get_mut(&self.number)) {
            seat.send(Command::AskMapTime { row });
        }
        session.acknowledge(now, id)
    }

    /// The plugin's answer to our question, or that there is none.
    fn outcome(&mut self, question: RequestId, outcome: &Outcome) {
        let Some(row) = self.questions.remove(&question) else {
            return;
        };
        let map_time_ms = match outcome {
            Outcome::Reply(body) => body.json().ok().map(|MapTime { map_time_ms }| map_time_ms),
            _ => None,
        };
        if map_time_ms.is_none() {
            self.log(&format!("no map time: {outcome:?}"));
        }
        self.table.room().announce(&News::Bingo { who: self.who.clone(), row, map_time_ms });
    }

    fn say(&mut self, now: Instant, payload: &Payload) {
        let last = self.last_said.replace(now);
        if last.is_some_and(|last| now.saturating_duration_since(last) < SAY_INTERVAL) {
            return;
        }
        // An Event can't be answered, so what isn't understood is left alone.
        if let Ok(Say { say }) = payload.json() {
            let text = say.chars().filter(|c| !c.is_control()).take(MAX_SAY).collect();
            self.table.room().announce(&News::Said { who: self.who.clone(), text });
        }
    }

    fn check(&self, session: &mut Server, now: Instant, sent: Result<(), AnswerError>) {
        match sent {
            // It has ended while we were about to: the next thing that `drive` sees.
            Ok(()) | Err(AnswerError::Send(SendError::Ended)) => {}
            Err(AnswerError::Send(SendError::QueueFull)) => self.turn_out(session, now),
            Err(error) => self.log(&format!("not sent: {error}")),
        }
    }

    fn turn_out(&self, session: &mut Server, now: Instant) {
        self.log("turned out: too slow");
        session.protocol_error(now, "too slow");
    }

    fn log(&self, note: &str) {
        (self.table.log)(&format!("{}: {note}", self.who));
    }
}

/// However the connection ends.
impl Drop for Player {
    fn drop(&mut self) {
        self.table.room().leave(self.number);
    }
}

fn decided(result: Result<(), DecideError>) -> Result<(), AnswerError> {
    result.map_err(|error| match error {
        DecideError::Send(error) => error.into(),
        // Gone before we had decided.
        _ => SendError::Ended.into(),
    })
}

/// A secret that nobody can guess, `None` if the system has no randomness.
fn token() -> Option<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).ok()?;
    Some(format!("{:032x}", u128::from_ne_bytes(random)))
}

fn json(value: &impl Serialize) -> Bytes {
    // Fails for maps whose keys aren't text; ours are.
    to_json(value).unwrap_or_default().into()
}
