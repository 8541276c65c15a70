//! A client of shared room variables: does what it is told on a line of text, tells what happens in
//! one, and connects again when the connection is lost.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roomvars_proto::{
    Backoff, Client, ClientConfig, ClientEvent, CloseCode, CloseFrame, Dialect, End, SendError,
    Session, SessionError, Value, ValueRef,
};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;

use crate::app::App;
use crate::tungstenite::{connect, drive};
use crate::websocket::is_close_code;

/// Commands that wait for a connection, or for room in it.
const MAX_WAITING: usize = 10_000;

/// How long a connection has to last before the next failure is another one.
const STEADY: Duration = Duration::from_secs(10);

/// What the user wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// To set a variable.
    Set {
        /// Which.
        variable: String,
        /// To what.
        value: Value,
    },
    /// To rename a variable.
    Rename {
        /// Which.
        variable: String,
        /// How.
        new_name: String,
    },
    /// To delete a variable.
    Delete {
        /// Which.
        variable: String,
    },
    /// To see all variables.
    Show,
    /// To close this connection.
    Close {
        /// Why.
        frame: CloseFrame,
    },
    /// To leave when everything is sent.
    Quit,
    /// To leave at once.
    Leave,
}

/// What [`Command`]s look like when typed.
pub const COMMANDS: &str = "set NAME VALUE, number NAME NUMBER, rename NAME NAME, delete NAME, show, \
                            close [CODE [REASON]], quit";

impl Command {
    /// Reads a line that the user typed. A name is a word, or JSON text between quotes.
    ///
    /// # Errors
    /// It is no command; the text tells what would be.
    pub fn parse(line: &str) -> Result<Self, String> {
        let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let none = || format!("{line:?} is none of: {COMMANDS}");
        if word == "close" {
            let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            let code = if code.is_empty() { Ok(CloseCode::NORMAL.0) } else { code.parse() };
            return match code {
                Ok(code) if is_close_code(code) => {
                    Ok(Self::Close { frame: CloseFrame::new(code, reason.to_owned()) })
                }
                _ => Err(format!("{rest:?} begins with no close code")),
            };
        }
        let (variable, rest) = name(rest).ok_or_else(none)?;
        Ok(match (word, &*variable, rest) {
            ("set", _, value) => Self::Set { variable, value: Value::Text(value.into()) },
            ("number", _, number) => Self::Set { variable, value: Value::Number(number.into()) },
            ("rename", _, rest) => {
                let (new_name, _) = name(rest).ok_or_else(none)?;
                Self::Rename { variable, new_name }
            }
            ("delete", _, "") => Self::Delete { variable },
            ("show", "", "") => Self::Show,
            ("quit", "", "") => Self::Quit,
            _ => return Err(none()),
        })
    }
}

/// A name, and what comes after it.
fn name(text: &str) -> Option<(String, &str)> {
    if !text.starts_with('"') {
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        return Some((name.to_owned(), rest));
    }
    let mut json = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let name = json.next()?.ok()?;
    let rest = text.get(json.byte_offset()..)?;
    Some((name, rest.strip_prefix(' ').unwrap_or(rest)))
}

/// What the user gets to know; `Display` is one line.
#[derive(Debug)]
pub enum Note {
    /// The connection stands, and the handshake is on its way.
    Connected,
    /// Something of the session's.
    Event(ClientEvent),
    /// A variable, as asked for.
    Variable(String, Value),
    /// The connection is over, or there never was one.
    Ended(Result<(), String>),
    /// There will be another one.
    Reconnecting {
        /// After this time.
        delay: Duration,
    },
    /// There won't be another one, for this reason.
    GivingUp(SessionError),
    /// A command that couldn't be carried out.
    Trouble(String),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => write!(f, "connected"),
            Self::Event(event) => write_event(event, f),
            Self::Variable(variable, value) => write!(f, "variable {variable:?} {}", Shown(value)),
            Self::Ended(Ok(())) => write!(f, "ended clean"),
            Self::Ended(Err(error)) => write!(f, "ended error {error}"),
            Self::Reconnecting { delay } => {
                write!(f, "reconnecting in {:.1}s", delay.as_secs_f64())
            }
            Self::GivingUp(error) => write!(f, "giving up: {error}"),
            Self::Trouble(what) => write!(f, "{what}"),
        }
    }
}

fn write_event(event: &ClientEvent, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match event {
        ClientEvent::Snapshot { variable, value, .. } => {
            write!(f, "snapshot {variable:?} {}", Shown(value))
        }
        ClientEvent::Set { variable, value } => write!(f, "set {variable:?} {}", Shown(value)),
        ClientEvent::Renamed { variable, new_name } => {
            write!(f, "renamed {variable:?} {new_name:?}")
        }
        ClientEvent::Deleted { variable } => write!(f, "deleted {variable:?}"),
        ClientEvent::Ignored { raw } => write!(f, "ignored {raw}"),
        other => write!(f, "{other:?}"),
    }
}

/// Text between quotes, and numbers as they are.
struct Shown<'a>(&'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Number(number) => write!(f, "{number}"),
        }
    }
}

/// How a client connects.
pub struct Options {
    /// Of every session.
    pub config: Arc<ClientConfig>,
    /// Where the server is: `ws://…`.
    pub url: String,
    /// Which room to join or create.
    pub room: Value,
    /// As whom.
    pub username: String,
    /// The variables that the room is to have; none in the Scratch dialect.
    pub variables: BTreeMap<String, String>,
    /// How long to wait before another connection; `None`: there is only one.
    pub backoff: Option<Backoff>,
    /// Where notes go.
    pub notes: Box<dyn FnMut(Note) + Send>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("config", &self.config)
            .field("url", &self.url)
            .field("room", &self.room)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Connects, and does it again until the user leaves, the server doesn't want to see the client
/// again, or there was to be only one connection. Tells whether it ended as it should.
pub async fn run(options: Options, mut commands: mpsc::Receiver<Command>) -> bool {
    let mut player = Player::new(options);
    let dialect = player.options.config.codec.dialect;
    loop {
        let start = Instant::now();
        let end = player.connect(&mut commands).await;
        let is_clean = matches!(end, Ok(End::Clean));
        player.note(Note::Ended(match &end {
            Ok(End::Clean) => Ok(()),
            Ok(End::Error(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }));
        if player.is_leaving {
            return is_clean;
        }
        if let Ok(End::Error(error)) = end
            && !error.should_reconnect(dialect)
        {
            player.note(Note::GivingUp(error));
            return false;
        }
        let Some(backoff) = &mut player.options.backoff else { return is_clean };
        // Nothing on the wire says that all is well.
        if start.elapsed() >= STEADY {
            backoff.reset();
        }
        // Without randomness clients may come all at once, but no later than they should.
        let delay = backoff.delay(getrandom::u64().unwrap_or(u64::MAX));
        player.note(Note::Reconnecting { delay });
        if player.waits(tokio::time::sleep(delay), &mut commands).await.is_none() {
            return true;
        }
    }
}

/// Talks on a socket that stands already, once.
///
/// # Errors
/// The socket failed, or there can be no such handshake.
pub async fn talk<T: AsyncRead + AsyncWrite + Unpin>(
    socket: WebSocketStream<T>,
    options: Options,
    mut commands: mpsc::Receiver<Command>,
) -> io::Result<End<SessionError>> {
    Player::new(options).talk(socket, &mut commands).await
}

/// What stays the same over all connections.
struct Player {
    options: Options,
    /// Commands that the session doesn't take yet.
    waiting: VecDeque<Command>,
    is_leaving: bool,
}

impl Player {
    fn new(options: Options) -> Self {
        Self { options, waiting: VecDeque::new(), is_leaving: false }
    }

    async fn connect(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
    ) -> io::Result<End<SessionError>> {
        let (config, url) = (self.options.config.clone(), self.options.url.clone());
        let connected = connect(&url, config.codec.max_server_message);
        let Some(socket) = self.waits(connected, commands).await else {
            return Ok(End::Clean);
        };
        let socket =
            socket.map_err(|error| io::Error::other(format!("can't connect to {url}: {error}")))?;
        self.talk(socket, commands).await
    }

    async fn talk<T: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        socket: WebSocketStream<T>,
        commands: &mut mpsc::Receiver<Command>,
    ) -> io::Result<End<SessionError>> {
        let Options { config, room, username, variables, .. } = &self.options;
        let variables: Vec<_> = variables.iter().map(|(n, v)| (&**n, &**v)).collect();
        let (config, room) = (config.clone(), room.as_ref());
        let session = Client::new(config, room, username, &variables, Instant::now());
        let mut session =
            session.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.note(Note::Connected);
        self.go_on(&mut session, Instant::now());
        let end = drive(&mut session, socket, commands, self).await;
        // The next handshake has the latest values, should the room be gone by then.
        if self.options.config.codec.dialect != Dialect::Scratch {
            let latest = session.variables().map(|(n, v)| (n.to_owned(), v.as_str().to_owned()));
            self.options.variables = latest.collect();
        }
        end
    }

    /// Waits for something else than a session; `None` if the user leaves meanwhile.
    async fn waits<T>(
        &mut self,
        future: impl Future<Output = T>,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Option<T> {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                output = &mut future => return Some(output),
                command = commands.recv(), if !self.is_leaving => match command {
                    Some(Command::Close { .. }) => self.trouble("there is no connection".into()),
                    Some(command) if command != Command::Leave => self.wait(command),
                    _ => self.is_leaving = true,
                },
            }
            // With nothing left to do there is nothing to connect for.
            if self.is_leaving || self.waiting.front() == Some(&Command::Quit) {
                self.is_leaving = true;
                return None;
            }
        }
    }

    fn wait(&mut self, command: Command) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(command);
        } else {
            self.trouble("too many commands wait".into());
        }
    }

    /// Does as much as the session takes now.
    fn go_on(&mut self, session: &mut Client, now: Instant) {
        while let Some(command) = self.waiting.front() {
            let done = match command {
                Command::Set { variable, value } => session.set(now, variable, value.as_ref()),
                Command::Rename { variable, new_name } => session.rename(now, variable, new_name),
                Command::Delete { variable } => session.delete(now, variable),
                Command::Show => {
                    let shown: Vec<_> = session
                        .variables()
                        .map(|(name, value)| Note::Variable(name.to_owned(), value.to_owned()))
                        .collect();
                    for note in shown {
                        self.note(note);
                    }
                    Ok(())
                }
                // What waits for a rate limit is sent in its time.
                Command::Quit if session.queued() > 0 && session.ended().is_none() => return,
                _ => {
                    self.is_leaving = true;
                    session.close(now);
                    Ok(())
                }
            };
            match done {
                Err(SendError::QueueFull | SendError::Ended) => return,
                Ok(()) => {}
                Err(error) => self.trouble(format!("not sent: {error}")),
            }
            self.waiting.pop_front();
        }
    }

    fn trouble(&mut self, what: String) {
        self.note(Note::Trouble(what));
    }

    fn note(&mut self, note: Note) {
        (self.options.notes)(note);
    }
}

impl App<Client> for Player {
    type Command = Command;

    fn event(&mut self, _: &mut Client, _: Instant, event: ClientEvent) {
        self.note(Note::Event(event));
    }

    fn command(&mut self, session: &mut Client, now: Instant, command: Command) {
        match command {
            Command::Close { frame } => session.close_with(now, frame),
            Command::Leave => {
                self.is_leaving = true;
                session.close_with(now, CloseFrame::new(CloseCode::GOING_AWAY.0, ""));
            }
            command => {
                self.wait(command);
                self.go_on(session, now);
            }
        }
    }

    fn relieved(&mut self, session: &mut Client, now: Instant) {
        self.go_on(session, now);
    }

    fn commands_closed(&mut self, session: &mut Client, now: Instant) {
        self.command(session, now, Command::Quit);
    }
}

/// Reads a room's id: text, or where it is to be a number, one.
///
/// # Errors
/// It is to be a number, and isn't one.
pub fn room(id: &str, is_number: bool) -> Result<Value, String> {
    match (is_number, ValueRef::text(id)) {
        (false, id) => Ok(id.to_owned()),
        (true, _) if i64::deserialize(&mut serde_json::Deserializer::from_str(id)).is_ok() => {
            Ok(Value::Number(id.into()))
        }
        _ => Err(format!("{id:?} is no integer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_typed() {
        let set = |variable: &str, value: &str| {
            Ok(Command::Set { variable: variable.into(), value: Value::Text(value.into()) })
        };
        assert_eq!(Command::parse("set x 1"), set("x", "1"));
        assert_eq!(Command::parse("set x two  words "), set("x", "two  words"));
        assert_eq!(Command::parse("set x"), set("x", ""));
        assert_eq!(Command::parse(r#"set "\u2601 score" 10"#), set("☁ score", "10"));
        assert_eq!(
            Command::parse("number x 1.0"),
            Ok(Command::Set { variable: "x".into(), value: Value::Number("1.0".into()) })
        );
        assert_eq!(
            Command::parse(r#"rename "a b" c"#),
            Ok(Command::Rename { variable: "a b".into(), new_name: "c".into() })
        );
        assert_eq!(Command::parse("delete x"), Ok(Command::Delete { variable: "x".into() }));
        assert_eq!(Command::parse("show"), Ok(Command::Show));
        assert_eq!(Command::parse(" quit "), Ok(Command::Quit));
        let frame = CloseFrame::new(4999, "so long");
        assert_eq!(Command::parse("close 4999 so long"), Ok(Command::Close { frame }));
        for line in ["", "hop", "close x", "close 1005", "delete x y", "set \"x", "show x"] {
            assert!(Command::parse(line).is_err(), "{line}");
        }
    }
}
