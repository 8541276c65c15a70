//! The client of a bridge between two components: does what it is told on a line of text, tells what
//! happens in one, and connects again when the connection is lost.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use litecord_proto::{
    AnswerError, Backoff, Client, ClientEvent, CloseCode, CloseFrame, Config, End, Json, JsonError,
    JsonRef, Outcome, PeerRequestId, SendError, SessionError,
};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;

use crate::app::App;
use crate::tungstenite::{connect, drive};
use crate::websocket::is_close_code;

/// Bytes of answers that wait for room in the session.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Commands that wait for a connection, or for room in it.
const MAX_WAITING: usize = 10_000;

/// What the user wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// To ask the server.
    Request {
        /// What for.
        what: String,
        /// With which arguments.
        args: Json,
    },
    /// To tell the server.
    Dispatch {
        /// What.
        what: String,
        /// With which arguments.
        args: Json,
    },
    /// To close this connection.
    Close {
        /// Why.
        frame: CloseFrame,
    },
    /// To leave when everything asked has its outcome.
    Quit,
    /// To leave at once.
    Leave,
}

/// What [`Command`]s look like when typed.
pub const COMMANDS: &str =
    "request WHAT [ARRAY], dispatch WHAT [ARRAY], subscribers GUILD, close [CODE [REASON]], quit";

impl Command {
    /// Reads a line that the user typed.
    ///
    /// # Errors
    /// It is no command; the text tells what would be.
    pub fn parse(line: &str) -> Result<Self, String> {
        let (word, rest) = split(line);
        let (first, second) = split(rest);
        match word {
            "request" | "dispatch" if !first.is_empty() => {
                let args = if second.is_empty() { "[]" } else { second };
                let args = JsonRef::new(args).map_err(|error| format!("{args:?}: {error}"))?;
                let (what, args) = (first.to_owned(), args.to_owned());
                Ok(if word == "request" {
                    Self::Request { what, args }
                } else {
                    Self::Dispatch { what, args }
                })
            }
            "subscribers" if !rest.is_empty() => {
                // What isn't JSON is the text of an id.
                let args = match JsonRef::new(rest) {
                    Ok(guild) => Json::of(&[guild]),
                    Err(_) => Json::of(&[rest]),
                };
                let args = args.map_err(|error| error.to_string())?;
                Ok(Self::Request { what: "GUILD_SUBSCRIBERS".into(), args })
            }
            "close" => {
                let code = if first.is_empty() { Ok(CloseCode::NORMAL.0) } else { first.parse() };
                match code {
                    Ok(code) if is_close_code(code) => {
                        Ok(Self::Close { frame: CloseFrame::new(code, second.to_owned()) })
                    }
                    _ => Err(format!("{first:?} is no close code")),
                }
            }
            "quit" => Ok(Self::Quit),
            _ => Err(format!("{line:?} is none of: {COMMANDS}")),
        }
    }
}

/// The first word, and what comes after it.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// What the user gets to know; `Display` is one line.
#[derive(Debug)]
pub enum Note {
    /// Something of the session's.
    Event(ClientEvent),
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
            Self::Event(event) => write_event(event, f),
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
        ClientEvent::Connected { heartbeat_interval } => {
            write!(f, "connected heartbeat_interval={heartbeat_interval:?}")
        }
        ClientEvent::Authenticated => write!(f, "authenticated"),
        ClientEvent::HeartbeatAck { round_trip } => {
            write!(f, "heartbeat_ack {:.1}ms", round_trip.as_secs_f64() * 1000.0)
        }
        ClientEvent::Request { what, args, .. } => write!(f, "request {what} {args}"),
        ClientEvent::Outcome { request, outcome } => {
            let nonce = request.nonce();
            match outcome {
                Outcome::Response(result) => write!(f, "outcome {nonce} response {result}"),
                Outcome::TimedOut => write!(f, "outcome {nonce} timed_out"),
                _ => write!(f, "outcome {nonce} closed"),
            }
        }
        ClientEvent::Dispatch { what, args } => write!(f, "dispatch {what} {args}"),
        ClientEvent::StrayResponse { nonce, result } => {
            write!(f, "stray_response {nonce} {result}")
        }
        ClientEvent::Unknown { op, raw } => write!(f, "unknown {} {raw}", op.0),
        other => write!(f, "{other:?}"),
    }
}

/// How a component connects.
pub struct Options {
    /// Of every session.
    pub config: Arc<Config>,
    /// Where the server is: `ws://…`.
    pub url: String,
    /// What the server wants to hear.
    pub password: String,
    /// How long to wait before another connection; `None`: there is only one.
    pub backoff: Option<Backoff>,
    /// Where notes go.
    pub notes: Box<dyn FnMut(Note) + Send>,
}

/// Without the password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("config", &self.config)
            .field("url", &self.url)
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}

/// Connects, and does it again until the user leaves, the password is refused, or there was to be
/// only one connection. Tells whether it ended as it should.
pub async fn run(options: Options, mut commands: mpsc::Receiver<Command>) -> bool {
    let mut component = Component::new(options);
    loop {
        let end = component.connect(&mut commands).await;
        let is_clean = matches!(end, Ok(End::Clean));
        component.note(Note::Ended(match &end {
            Ok(End::Clean) => Ok(()),
            Ok(End::Error(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }));
        if component.is_leaving {
            return is_clean;
        }
        if let Ok(End::Error(error)) = end
            && !error.should_reconnect()
        {
            component.note(Note::GivingUp(error));
            return false;
        }
        let Some(backoff) = &mut component.backoff else {
            return is_clean;
        };
        // Without randomness clients may come all at once, but no later than they should.
        let delay = backoff.delay(getrandom::u64().unwrap_or(u64::MAX));
        component.note(Note::Reconnecting { delay });
        if component.waits(tokio::time::sleep(delay), &mut commands).await.is_none() {
            return true;
        }
    }
}

/// Talks on a socket that stands already, once.
///
/// # Errors
/// The socket failed, or the password is too long.
pub async fn talk<T: AsyncRead + AsyncWrite + Unpin>(
    socket: WebSocketStream<T>,
    options: Options,
    mut commands: mpsc::Receiver<Command>,
) -> io::Result<End<SessionError>> {
    Component::new(options).talk(socket, &mut commands).await
}

/// What stays the same over all connections.
struct Component {
    config: Arc<Config>,
    url: String,
    password: String,
    notes: Box<dyn FnMut(Note) + Send>,
    backoff: Option<Backoff>,
    /// Commands that the session doesn't take yet.
    waiting: VecDeque<Command>,
    /// Answers that it doesn't take yet.
    answers: VecDeque<(PeerRequestId, Json)>,
    /// Requests that have no outcome yet.
    open: usize,
    /// The session may be used.
    is_ready: bool,
    is_leaving: bool,
}

impl Component {
    fn new(options: Options) -> Self {
        let Options { config, url, password, backoff, notes } = options;
        Self {
            config,
            url,
            password,
            notes,
            backoff,
            waiting: VecDeque::new(),
            answers: VecDeque::new(),
            open: 0,
            is_ready: false,
            is_leaving: false,
        }
    }

    async fn connect(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
    ) -> io::Result<End<SessionError>> {
        let url = self.url.clone();
        let connected = connect(&url, self.config.codec.max_message);
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
        let mut session = Client::new(self.config.clone(), &self.password, Instant::now())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.is_ready = false;
        self.answers.clear();
        drive(&mut session, socket, commands, self).await
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
}

impl App<Client> for Component {
    type Command = Command;

    fn event(&mut self, session: &mut Client, now: Instant, event: ClientEvent) {
        let request = match &event {
            ClientEvent::Request { id, what, args } => Some((*id, answer(what, args))),
            ClientEvent::Connected { .. } => {
                self.is_ready = true;
                None
            }
            ClientEvent::Authenticated => {
                // Only now it is known that the next failure is another one.
                if let Some(backoff) = &mut self.backoff {
                    backoff.reset();
                }
                None
            }
            ClientEvent::Outcome { .. } => {
                self.open = self.open.saturating_sub(1);
                None
            }
            _ => None,
        };
        self.note(Note::Event(event));
        match request {
            Some((_, Ok(Some(_)))) if self.answer_bytes() >= MAX_ANSWER_BYTES => {
                self.trouble("not answered: too many answers wait".into());
            }
            Some((id, Ok(Some(answer)))) => self.answers.push_back((id, answer)),
            Some((_, Err(error))) => self.trouble(format!("not answered: {error}")),
            Some((_, Ok(None))) | None => {}
        }
        self.go_on(session, now);
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

impl Component {
    fn answer_bytes(&self) -> usize {
        self.answers.iter().map(|(_, answer)| answer.get().len()).sum()
    }

    /// Answers and sends as much as the session takes now.
    fn go_on(&mut self, session: &mut Client, now: Instant) {
        while let Some((id, answer)) = self.answers.front() {
            match session.respond(now, *id, answer) {
                Err(AnswerError::Send(SendError::QueueFull)) => return,
                // It has ended meanwhile, which is told next.
                Ok(()) | Err(AnswerError::Send(SendError::Ended)) => {}
                Err(error) => self.trouble(format!("not answered: {error}")),
            }
            self.answers.pop_front();
        }
        while let Some(command) = self.waiting.front().filter(|_| self.is_ready) {
            let sent = match command {
                Command::Request { what, args } => {
                    session.request(now, what, args).map(|_| self.open += 1)
                }
                Command::Dispatch { what, args } => session.dispatch(now, what, args),
                // The others don't wait.
                _ => {
                    self.is_leaving = true;
                    Ok(())
                }
            };
            match sent {
                Err(SendError::QueueFull | SendError::TooManyPending | SendError::Ended) => return,
                Ok(()) => {}
                Err(error) => self.trouble(format!("not sent: {error}")),
            }
            self.waiting.pop_front();
        }
        if self.is_leaving && self.open == 0 && self.waiting.is_empty() {
            session.close(now);
        }
    }

    fn trouble(&mut self, what: String) {
        self.note(Note::Trouble(what));
    }

    fn note(&mut self, note: Note) {
        (self.notes)(note);
    }
}

#[derive(Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Refusal {
    error: &'static str,
}

/// What the server's request is answered with, if it is.
fn answer(what: &str, args: &Json) -> Result<Option<Json>, JsonError> {
    Ok(match what {
        "VERSION" => Some(Json::of(&Version { name: "litecord-client", version: "0.1.0" })?),
        "ECHO" => Some(args.clone()),
        "SILENCE" => None,
        _ => Some(Json::of(&Refusal { error: "unknown request" })?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_typed() {
        let json = |text| JsonRef::new(text).unwrap().to_owned();
        let request =
            |what: &str, args| Ok(Command::Request { what: what.into(), args: json(args) });
        assert_eq!(Command::parse("request ECHO [1.0,  2]"), request("ECHO", "[1.0,  2]"));
        assert_eq!(Command::parse(" request PING "), request("PING", "[]"));
        assert_eq!(Command::parse("subscribers 42"), request("GUILD_SUBSCRIBERS", "[42]"));
        assert_eq!(
            Command::parse("subscribers my guild"),
            request("GUILD_SUBSCRIBERS", r#"["my guild"]"#)
        );
        assert_eq!(
            Command::parse("dispatch SUBSCRIBE [1,2]"),
            Ok(Command::Dispatch { what: "SUBSCRIBE".into(), args: json("[1,2]") })
        );
        let close = |code, reason| Ok(Command::Close { frame: CloseFrame::new(code, reason) });
        assert_eq!(Command::parse("close"), close(1000, ""));
        assert_eq!(Command::parse("close 4999 so  long"), close(4999, "so  long"));
        assert_eq!(Command::parse("quit"), Ok(Command::Quit));
        for line in ["", "request", "dispatch X [", "subscribers", "close x", "close 1005", "hop"] {
            assert!(Command::parse(line).is_err(), "{line}");
        }
    }
}
