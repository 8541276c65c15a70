//! The client of a bridge between two components: sends what it is told to, and answers the server.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use litecord_proto::{
    AnswerError, Client, ClientEvent, CloseFrame, Config, Json, JsonError, JsonRef, Outcome,
    PeerRequestId, Secret, SendError, SessionError,
};
use serde::Serialize;

use crate::args::split;
use crate::client::{self, Host, NotDone, Note, Protocol, Tell, WebSocket, web_socket};

/// Bytes of answers that wait for room in the session.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// What the user can have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
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
}

impl client::Order for Order {
    const TYPED: &str = "request WHAT [ARRAY], dispatch WHAT [ARRAY], subscribers GUILD";

    fn parse(word: &str, rest: &str) -> Result<Option<Self>, String> {
        let (what, args) = split(rest);
        Ok(Some(match word {
            "request" | "dispatch" if !what.is_empty() => {
                let args = if args.is_empty() { "[]" } else { args };
                let args = JsonRef::new(args).map_err(|error| format!("{args:?}: {error}"))?;
                let (what, args) = (what.to_owned(), args.to_owned());
                if word == "request" {
                    Self::Request { what, args }
                } else {
                    Self::Dispatch { what, args }
                }
            }
            "subscribers" if !rest.is_empty() => {
                // What isn't JSON is the text of an id.
                let args = match JsonRef::new(rest) {
                    Ok(guild) => Json::of(&[guild]),
                    Err(_) => Json::of(&[rest]),
                };
                let args = args.map_err(|error| error.to_string())?;
                Self::Request { what: "GUILD_SUBSCRIBERS".into(), args }
            }
            _ => return Ok(None),
        }))
    }
}

impl Tell for ClientEvent {
    fn tell(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { heartbeat_interval } => {
                write!(f, "connected heartbeat_interval={heartbeat_interval:?}")
            }
            Self::Authenticated => write!(f, "authenticated"),
            Self::HeartbeatAck { round_trip } => {
                write!(f, "heartbeat_ack {:.1}ms", round_trip.as_secs_f64() * 1000.0)
            }
            Self::Request { what, args, .. } => write!(f, "request {what} {args}"),
            Self::Outcome { request, outcome } => {
                let nonce = request.nonce();
                match outcome {
                    Outcome::Response(result) => write!(f, "outcome {nonce} response {result}"),
                    Outcome::TimedOut => write!(f, "outcome {nonce} timed_out"),
                    _ => write!(f, "outcome {nonce} closed"),
                }
            }
            Self::Dispatch { what, args } => write!(f, "dispatch {what} {args}"),
            Self::StrayResponse { nonce, result } => write!(f, "stray_response {nonce} {result}"),
            Self::Unknown { op, raw } => write!(f, "unknown {} {raw}", op.0),
            other => write!(f, "{other:?}"),
        }
    }
}

/// One component, over all its connections.
#[derive(Debug)]
pub struct Component {
    config: Arc<Config>,
    password: Secret<String>,
    /// Answers that the session doesn't take yet.
    answers: VecDeque<(PeerRequestId, Json)>,
    /// Requests that have no outcome yet.
    open: usize,
    /// The session may be used.
    is_ready: bool,
}

impl Component {
    /// A component that says this password.
    pub fn new(config: Arc<Config>, password: impl Into<String>) -> Self {
        let password = Secret::new(password.into());
        Self { config, password, answers: VecDeque::new(), open: 0, is_ready: false }
    }

    fn answer_bytes(&self) -> usize {
        self.answers.iter().map(|(_, answer)| answer.get().len()).sum()
    }
}

impl Protocol for Component {
    type Session = Client;
    type Socket = WebSocket;
    type Event = ClientEvent;
    type Order = Order;

    fn connect(&self, url: &str) -> impl Future<Output = io::Result<WebSocket>> + 'static {
        web_socket(url, self.config.codec.max_message)
    }

    fn connected(
        &mut self,
        _: &mut Host<ClientEvent>,
        now: Instant,
    ) -> Result<Client, Box<dyn Error + Send + Sync>> {
        self.is_ready = false;
        self.answers.clear();
        Ok(Client::new(self.config.clone(), self.password.expose(), now)?)
    }

    fn event(
        &mut self,
        _: &mut Client,
        _: Instant,
        host: &mut Host<ClientEvent>,
        event: ClientEvent,
    ) {
        let mut request = None;
        match &event {
            ClientEvent::Request { id, what, args } => request = Some((*id, answer(what, args))),
            ClientEvent::Connected { .. } => self.is_ready = true,
            ClientEvent::Authenticated => host.all_is_well(),
            ClientEvent::Outcome { .. } => self.open = self.open.saturating_sub(1),
            _ => {}
        }
        host.note(Note::Event(event));
        match request {
            Some((_, Ok(Some(_)))) if self.answer_bytes() >= MAX_ANSWER_BYTES => {
                host.trouble("not answered: too many answers wait");
            }
            Some((id, Ok(Some(answer)))) => self.answers.push_back((id, answer)),
            Some((_, Err(error))) => host.trouble(format!("not answered: {error}")),
            Some((_, Ok(None))) | None => {}
        }
    }

    fn go_on(&mut self, session: &mut Client, now: Instant, host: &mut Host<ClientEvent>) -> bool {
        while let Some((id, answer)) = self.answers.front() {
            match session.respond(now, *id, answer) {
                Err(AnswerError::Send(SendError::QueueFull)) => return false,
                // It has ended meanwhile, which is told next.
                Ok(()) | Err(AnswerError::Send(SendError::Ended)) => {}
                Err(error) => host.trouble(format!("not answered: {error}")),
            }
            self.answers.pop_front();
        }
        self.is_ready
    }

    fn order(
        &mut self,
        session: &mut Client,
        now: Instant,
        _: &mut Host<ClientEvent>,
        order: &Order,
    ) -> Result<(), NotDone> {
        let sent = match order {
            Order::Request { what, args } => {
                session.request(now, what, args).map(|_| self.open += 1)
            }
            Order::Dispatch { what, args } => session.dispatch(now, what, args),
        };
        sent.map_err(|error| match error {
            SendError::QueueFull | SendError::TooManyPending | SendError::Ended => NotDone::Yet,
            error => NotDone::Ever(error.to_string()),
        })
    }

    fn is_done(&self, _: &Client) -> bool {
        self.open == 0
    }

    fn close(session: &mut Client, now: Instant, frame: CloseFrame) {
        session.close_with(now, frame);
    }

    fn should_reconnect(&self, error: &SessionError) -> bool {
        error.should_reconnect()
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
    use crate::client::Command;

    #[test]
    fn commands_are_typed() {
        let parse = Command::<Order>::parse;
        let json = |text| JsonRef::new(text).unwrap().to_owned();
        let request = |what: &str, args| {
            Ok(Command::Order(Order::Request { what: what.into(), args: json(args) }))
        };
        assert_eq!(parse("request ECHO [1.0,  2]"), request("ECHO", "[1.0,  2]"));
        assert_eq!(parse(" request PING "), request("PING", "[]"));
        assert_eq!(parse("subscribers 42"), request("GUILD_SUBSCRIBERS", "[42]"));
        assert_eq!(parse("subscribers my guild"), request("GUILD_SUBSCRIBERS", r#"["my guild"]"#));
        assert_eq!(
            parse("dispatch SUBSCRIBE [1,2]"),
            Ok(Command::Order(Order::Dispatch { what: "SUBSCRIBE".into(), args: json("[1,2]") }))
        );
        let close = |code, reason| Ok(Command::Close { frame: CloseFrame::new(code, reason) });
        assert_eq!(parse("close"), close(1000, ""));
        assert_eq!(parse("close 4999 so  long"), close(4999, "so  long"));
        assert_eq!(parse("quit"), Ok(Command::Quit));
        for line in ["", "request", "dispatch X [", "subscribers", "close x", "close 1005", "hop"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
