//! A client of shared room variables: changes them as it is told to, and brings those that it knows
//! when it comes back.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roomvars_proto::{
    Client, ClientConfig, ClientEvent, CloseFrame, Dialect, SendError, SessionError, Value,
    ValueRef,
};
use serde::Deserialize;

use crate::args::name;
use crate::client::{self, Host, NotDone, Note, Protocol, Tell, WebSocket, web_socket};

/// How long a connection has to last before the next failure is another one.
const STEADY: Duration = Duration::from_secs(10);

/// What the user can have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
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
}

impl client::Order for Order {
    const TYPED: &str = "set NAME VALUE, number NAME NUMBER, rename NAME NAME, delete NAME, show";

    fn parse(word: &str, rest: &str) -> Result<Option<Self>, String> {
        let Some((variable, rest)) = name(rest) else { return Ok(None) };
        Ok(Some(match (word, &*variable, rest) {
            ("set", _, value) => Self::Set { variable, value: Value::Text(value.into()) },
            ("number", _, number) => Self::Set { variable, value: Value::Number(number.into()) },
            ("rename", _, rest) => match name(rest) {
                Some((new_name, _)) => Self::Rename { variable, new_name },
                None => return Ok(None),
            },
            ("delete", _, "") => Self::Delete { variable },
            ("show", "", "") => Self::Show,
            _ => return Ok(None),
        }))
    }
}

impl Tell for ClientEvent {
    fn tell(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot { variable, value, .. } => {
                write!(f, "snapshot {variable:?} {}", Shown(value))
            }
            Self::Set { variable, value } => write!(f, "set {variable:?} {}", Shown(value)),
            Self::Renamed { variable, new_name } => write!(f, "renamed {variable:?} {new_name:?}"),
            Self::Deleted { variable } => write!(f, "deleted {variable:?}"),
            Self::Ignored { raw } => write!(f, "ignored {raw}"),
            other => write!(f, "{other:?}"),
        }
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

/// A client, over all its connections.
#[derive(Debug)]
pub struct Player {
    /// Of every session.
    pub config: Arc<ClientConfig>,
    /// Which room to join or create.
    pub room: Value,
    /// As whom.
    pub username: String,
    /// The variables that the room is to have; none in the Scratch dialect.
    pub variables: BTreeMap<String, String>,
}

impl Protocol for Player {
    type Session = Client;
    type Socket = WebSocket;
    type Event = ClientEvent;
    type Order = Order;

    fn connect(&self, url: &str) -> impl Future<Output = io::Result<WebSocket>> + 'static {
        web_socket(url, self.config.codec.max_server_message)
    }

    fn connected(
        &mut self,
        host: &mut Host<ClientEvent>,
        now: Instant,
    ) -> Result<Client, Box<dyn Error + Send + Sync>> {
        let variables: Vec<_> = self.variables.iter().map(|(n, v)| (&**n, &**v)).collect();
        let (config, room) = (self.config.clone(), self.room.as_ref());
        let session = Client::new(config, room, &self.username, &variables, now)?;
        // No answer of the server's will tell so.
        host.note(Note::Connected);
        Ok(session)
    }

    fn order(
        &mut self,
        session: &mut Client,
        now: Instant,
        host: &mut Host<ClientEvent>,
        order: &Order,
    ) -> Result<(), NotDone> {
        let sent = match order {
            Order::Set { variable, value } => session.set(now, variable, value.as_ref()),
            Order::Rename { variable, new_name } => session.rename(now, variable, new_name),
            Order::Delete { variable } => session.delete(now, variable),
            Order::Show => {
                for (name, value) in session.variables() {
                    host.note(Note::Shown(format!("variable {name:?} {}", Shown(value))));
                }
                Ok(())
            }
        };
        sent.map_err(|error| match error {
            SendError::QueueFull | SendError::Ended => NotDone::Yet,
            error => NotDone::Ever(error.to_string()),
        })
    }

    /// What waits for a rate limit is sent in its time.
    fn is_done(&self, session: &Client) -> bool {
        session.queued() == 0
    }

    fn close(session: &mut Client, now: Instant, frame: CloseFrame) {
        session.close_with(now, frame);
    }

    fn ended(&mut self, session: &Client, host: &mut Host<ClientEvent>, lasted: Duration) {
        // The next handshake has the latest values, should the room be gone by then.
        if self.config.codec.dialect != Dialect::Scratch {
            let latest = session.variables().map(|(n, v)| (n.to_owned(), v.as_str().to_owned()));
            self.variables = latest.collect();
        }
        // Nothing on the wire says that all is well.
        if lasted >= STEADY {
            host.all_is_well();
        }
    }

    fn should_reconnect(&self, error: &SessionError) -> bool {
        error.should_reconnect(self.config.codec.dialect)
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
    use crate::client::Command;

    #[test]
    fn commands_are_typed() {
        let parse = Command::<Order>::parse;
        let order = |order| Ok(Command::Order(order));
        let set = |variable: &str, value: &str| {
            order(Order::Set { variable: variable.into(), value: Value::Text(value.into()) })
        };
        assert_eq!(parse("set x 1"), set("x", "1"));
        assert_eq!(parse("set x two  words "), set("x", "two  words"));
        assert_eq!(parse("set x"), set("x", ""));
        assert_eq!(parse(r#"set "\u2601 score" 10"#), set("☁ score", "10"));
        assert_eq!(
            parse("number x 1.0"),
            order(Order::Set { variable: "x".into(), value: Value::Number("1.0".into()) })
        );
        assert_eq!(
            parse(r#"rename "a b" c"#),
            order(Order::Rename { variable: "a b".into(), new_name: "c".into() })
        );
        assert_eq!(parse("delete x"), order(Order::Delete { variable: "x".into() }));
        assert_eq!(parse("show"), order(Order::Show));
        assert_eq!(parse(" quit "), Ok(Command::Quit));
        let frame = CloseFrame::new(4999, "so long");
        assert_eq!(parse("close 4999 so long"), Ok(Command::Close { frame }));
        for line in ["", "hop", "close x", "close 1005", "delete x y", "set \"x", "show x"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
