//! The client of a small bingo game: what a game's plugin would do, told to whoever wants to know.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use bingo_proto::{
    Client, ClientEvent, Config, EncodeError, End, Identification, Outcome, Payload, PeerRequestId,
    RequestId, Secret, SendError, SessionError, to_json,
};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::app::App;
use crate::bingo_game::{Ask, MapTime, News, Question, Say, Variables};
use crate::tcp::drive;

/// What the player wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// To ask the server.
    Ask(Ask),
    /// To tell everyone.
    Say(String),
    /// To see the board.
    Cells,
    /// To answer the server's question for the map time.
    MapTime(u64),
    /// To leave when everything asked is answered.
    Quit,
    /// To leave at once.
    Close,
}

/// What [`Command`]s look like when typed.
pub const COMMANDS: &str =
    "claim CELL, players, cells, say TEXT, map-time MILLISECONDS (with --manual), quit";

impl Command {
    /// Reads a line that the player typed.
    ///
    /// # Errors
    /// It is no command; the text tells what would be.
    pub fn parse(line: &str) -> Result<Self, String> {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match (word, rest.parse()) {
            ("claim", Ok(cell)) => Ok(Self::Ask(Ask::Claim { cell })),
            ("map-time", Ok(millis)) => Ok(Self::MapTime(millis as u64)),
            ("say", _) if !rest.is_empty() => Ok(Self::Say(rest.into())),
            ("players", _) => Ok(Self::Ask(Ask::Players)),
            ("cells", _) => Ok(Self::Cells),
            ("quit", _) => Ok(Self::Quit),
            _ => Err(format!("{line:?} is none of: {COMMANDS}")),
        }
    }
}

/// What the player gets to know; `Display` is made for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The server has let us in.
    Ready {
        /// For authenticated requests; this game makes none.
        token: Secret<Payload>,
    },
    /// How something asked ended.
    Answer {
        /// What was asked.
        ask: Ask,
        /// How that ended.
        outcome: Outcome,
    },
    /// The server told something.
    News(News),
    /// Network variables have changed.
    Changed(Variables),
    /// The board, as asked for.
    Cells(Variables),
    /// The server asked us; `answered` unless it is left to the player.
    Asked {
        /// What.
        question: Question,
        /// Whether the plugin has answered by itself.
        answered: bool,
    },
    /// A command that couldn't be carried out, or something of the server's that means nothing here.
    Trouble(String),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { token } => {
                write!(f, "let in, with a token of {} bytes", token.expose().len())
            }
            Self::Answer { ask, outcome } => {
                match ask {
                    Ask::Claim { cell } => write!(f, "claim of cell {cell}: ")?,
                    Ask::Players => write!(f, "players: ")?,
                }
                match outcome {
                    Outcome::Acknowledged => write!(f, "granted"),
                    Outcome::Reply(body) => write!(f, "{}", body.as_str().unwrap_or("not text")),
                    Outcome::ErrorReply { text } => write!(f, "refused: {text}"),
                    Outcome::TimedOut => write!(f, "no answer in time"),
                    _ => write!(f, "no answer, the connection is over"),
                }
            }
            Self::News(News::Joined { who }) => write!(f, "{who} joined"),
            Self::News(News::Left { who }) => write!(f, "{who} left"),
            Self::News(News::Said { who, text }) => write!(f, "{who}: {text}"),
            Self::News(News::Bingo { who, row, map_time_ms }) => {
                write!(f, "bingo! {who} has row {row}")?;
                match map_time_ms {
                    Some(ms) => write!(f, ", after {ms} ms on the map"),
                    None => Ok(()),
                }
            }
            Self::Changed(variables) | Self::Cells(variables) => {
                match variables.size {
                    Some(size) => write!(f, "{} of {size} cells claimed", variables.cells.len())?,
                    None => write!(f, "claimed")?,
                }
                for (at, (cell, who)) in variables.cells.iter().enumerate() {
                    write!(f, "{} {cell} by {who}", if at == 0 { ":" } else { "," })?;
                }
                Ok(())
            }
            Self::Asked { question: Question::MapTime, answered } => {
                write!(f, "the server asks for the map time")?;
                if *answered { write!(f, ": told") } else { write!(f, ": \"map-time\" tells it") }
            }
            Self::Trouble(what) => write!(f, "{what}"),
        }
    }
}

/// How a player plays.
pub struct Options {
    /// Of the session.
    pub config: Arc<Config>,
    /// Who it is.
    pub identification: Identification<'static>,
    /// Leaves the server's questions to the player, [`Command::MapTime`].
    pub manual: bool,
    /// Where notes go.
    pub notes: Box<dyn FnMut(Note) + Send>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("config", &self.config)
            .field("identification", &self.identification)
            .field("manual", &self.manual)
            .finish_non_exhaustive()
    }
}

/// Plays on `stream` until one side has enough.
///
/// # Errors
/// The stream failed, or the identification is too long.
pub async fn play(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    options: Options,
    mut commands: mpsc::Receiver<Command>,
) -> io::Result<End<SessionError>> {
    let Options { config, identification, manual, notes } = options;
    let now = Instant::now();
    let mut session = Client::new(config, &identification, now)
        .map_err(|error: EncodeError| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let mut plugin = Plugin {
        manual,
        notes,
        joined: now,
        variables: Variables::default(),
        asked: BTreeMap::new(),
        question: None,
        is_quitting: false,
    };
    drive(&mut session, stream, &mut commands, &mut plugin).await
}

struct Plugin {
    manual: bool,
    notes: Box<dyn FnMut(Note) + Send>,
    joined: Instant,
    variables: Variables,
    asked: BTreeMap<RequestId, Ask>,
    /// The server's, left to the player.
    question: Option<PeerRequestId>,
    is_quitting: bool,
}

impl App<Client> for Plugin {
    type Command = Command;

    fn event(&mut self, session: &mut Client, now: Instant, event: ClientEvent) {
        match event {
            ClientEvent::Ready { token } => {
                self.joined = now;
                self.note(Note::Ready { token });
            }
            ClientEvent::Request { id, payload } => self.question(session, now, id, &payload),
            ClientEvent::Outcome { request, outcome } => {
                if let Some(ask) = self.asked.remove(&request) {
                    self.note(Note::Answer { ask, outcome });
                }
                self.close_if_done(session, now);
            }
            ClientEvent::Event(payload) => match payload.json() {
                Ok(news) => self.note(Note::News(news)),
                Err(error) => self.trouble(format!("news that mean nothing: {error}")),
            },
            ClientEvent::DataUpdate(payload) => match payload.json::<Variables>() {
                Ok(changes) => {
                    self.variables.update(changes.clone());
                    self.note(Note::Changed(changes));
                }
                Err(error) => self.trouble(format!("variables that mean nothing: {error}")),
            },
            ClientEvent::StrayReply { in_reply_to, .. } => {
                self.trouble(format!("an answer to {in_reply_to}, which awaits none"));
            }
            _ => {}
        }
    }

    fn command(&mut self, session: &mut Client, now: Instant, command: Command) {
        let sent = match command {
            Command::Ask(ask) => session.request(now, &json(&ask)).map(|request| {
                self.asked.insert(request, ask);
            }),
            Command::Say(say) => session.event(now, &json(&Say { say })),
            Command::Cells => {
                self.note(Note::Cells(self.variables.clone()));
                Ok(())
            }
            Command::MapTime(map_time_ms) => {
                match self.question.take() {
                    Some(id) => self.answer(session, now, id, map_time_ms),
                    None => self.trouble("the server hasn't asked".into()),
                }
                Ok(())
            }
            Command::Quit => {
                self.is_quitting = true;
                self.close_if_done(session, now);
                Ok(())
            }
            Command::Close => {
                session.close(now);
                Ok(())
            }
        };
        if let Err(error) = sent {
            self.not_sent(error);
        }
    }
}

impl Plugin {
    fn question(
        &mut self,
        session: &mut Client,
        now: Instant,
        id: PeerRequestId,
        payload: &Payload,
    ) {
        match payload.json() {
            Ok(question @ Question::MapTime) => {
                if self.manual {
                    self.question = Some(id);
                } else {
                    // Stands in for what a game would know.
                    let played = now.saturating_duration_since(self.joined).as_millis();
                    self.answer(session, now, id, u64::try_from(played).unwrap_or(u64::MAX));
                }
                self.note(Note::Asked { question, answered: !self.manual });
            }
            Err(error) => {
                let _ = session.reject(now, id);
                self.trouble(format!("a question that means nothing: {error}"));
            }
        }
    }

    fn answer(&mut self, session: &mut Client, now: Instant, id: PeerRequestId, map_time_ms: u64) {
        if let Err(error) = session.reply(now, id, &json(&MapTime { map_time_ms })) {
            self.trouble(format!("not answered: {error}"));
        }
    }

    fn close_if_done(&mut self, session: &mut Client, now: Instant) {
        if self.is_quitting && self.asked.is_empty() {
            session.close(now);
        }
    }

    fn not_sent(&mut self, error: SendError) {
        self.trouble(format!("not sent: {error}"));
    }

    fn trouble(&mut self, what: String) {
        self.note(Note::Trouble(what));
    }

    fn note(&mut self, note: Note) {
        (self.notes)(note);
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Fails for maps whose keys aren't text; ours are.
    to_json(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_typed() {
        assert_eq!(Command::parse(" claim  7 "), Ok(Command::Ask(Ask::Claim { cell: 7 })));
        assert_eq!(Command::parse("players"), Ok(Command::Ask(Ask::Players)));
        assert_eq!(Command::parse("say hello  you"), Ok(Command::Say("hello  you".into())));
        assert_eq!(Command::parse("map-time 83000"), Ok(Command::MapTime(83000)));
        assert_eq!(Command::parse("quit"), Ok(Command::Quit));
        for line in ["", "claim", "claim x", "claim -1", "say", "map-time", "hop"] {
            assert!(Command::parse(line).is_err(), "{line}");
        }
    }
}
