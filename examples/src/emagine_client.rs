//! The client of a chat gateway, which reads along.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use emagine_proto::{Client, ClientEvent, CloseFrame, Config, Secret, SendError, SessionError};

use crate::app::unix_time;
use crate::client::{self, Host, NotDone, Note, Protocol, Tell, WebSocket, web_socket};

/// What the user can have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// To measure the latency.
    Heartbeat,
}

impl client::Order for Order {
    const TYPED: &str = "heartbeat";

    fn parse(word: &str, rest: &str) -> Result<Option<Self>, String> {
        Ok((word == "heartbeat" && rest.is_empty()).then_some(Self::Heartbeat))
    }
}

impl Tell for ClientEvent {
    fn tell(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { heartbeat_interval } => {
                write!(f, "connected heartbeat_interval={heartbeat_interval:?}")
            }
            Self::Ready { user } => write!(f, "ready {user}"),
            Self::Message { message } => write!(f, "message {message}"),
            Self::HeartbeatAck { round_trip } => {
                write!(f, "heartbeat_ack {:.1}ms", round_trip.as_secs_f64() * 1000.0)
            }
            Self::Unknown { op, raw } => write!(f, "unknown {} {raw}", op.0),
            other => write!(f, "{other:?}"),
        }
    }
}

/// One user, over all its connections.
#[derive(Debug)]
pub struct Reader {
    config: Arc<Config>,
    token: Secret<String>,
    /// Heartbeats that the user has ordered and that aren't acknowledged.
    open: usize,
}

impl Reader {
    /// A user with this token.
    pub fn new(config: Arc<Config>, token: impl Into<String>) -> Self {
        Self { config, token: Secret::new(token.into()), open: 0 }
    }
}

impl Protocol for Reader {
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
        self.open = 0;
        let session = Client::new(self.config.clone(), self.token.expose(), now)?;
        Ok(session.unix_time(unix_time()))
    }

    fn event(
        &mut self,
        _: &mut Client,
        _: Instant,
        host: &mut Host<ClientEvent>,
        event: ClientEvent,
    ) {
        match &event {
            ClientEvent::Ready { .. } => host.all_is_well(),
            // Regular ones count as well: which one is acknowledged isn't told.
            ClientEvent::HeartbeatAck { .. } => self.open = self.open.saturating_sub(1),
            _ => {}
        }
        host.note(Note::Event(event));
    }

    fn go_on(&mut self, session: &mut Client, _: Instant, _: &mut Host<ClientEvent>) -> bool {
        session.is_ready()
    }

    fn order(
        &mut self,
        session: &mut Client,
        now: Instant,
        _: &mut Host<ClientEvent>,
        order: &Order,
    ) -> Result<(), NotDone> {
        let Order::Heartbeat = order;
        let sent = session.heartbeat(now).map(|()| self.open += 1);
        sent.map_err(|error| match error {
            SendError::TooManyHeartbeats | SendError::Ended => NotDone::Yet,
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::{SinkExt, StreamExt};
    use smallwire_core::Backoff;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tokio_tungstenite::tungstenite::Message;

    use super::*;
    use crate::client::{Command, run};
    use crate::tungstenite::accept;

    #[tokio::test]
    async fn quit_is_the_last_command_and_no_reason_to_connect_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let (sender, commands) = mpsc::channel(3);
        for line in ["heartbeat", "quit", "heartbeat"] {
            sender.try_send(Command::parse(line).unwrap()).unwrap();
        }
        let told = Arc::new(Mutex::new(Vec::new()));
        let notes = told.clone();
        let notes = Box::new(move |note: Note<_>| notes.lock().unwrap().push(note.to_string()));
        let reader = Reader::new(Arc::new(Config::default()), "a token");
        let client = run(reader, &url, Some(Backoff::new()), notes, commands);
        let mut said = Vec::new();
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = accept(stream, 1000).await.unwrap();
            for text in [
                r#"{"op":0,"heartbeat_interval":45000}"#,
                r#"{"op":2,"user":"ada"}"#,
                r#"{"op":10,"time":"the last"}"#,
            ] {
                socket.send(Message::text(text)).await.unwrap();
            }
            // Lost with a heartbeat unacknowledged, after all that the client had to say.
            while said.last().is_none_or(|text| text != r#"{"op":11,"time":"the last"}"#) {
                said.push(socket.next().await.unwrap().unwrap().to_string());
            }
        };
        let (is_well, ()) = tokio::join!(client, server);
        assert!(!is_well);
        let told = told.lock().unwrap();
        let [connected, ready, ended] = &told[..] else { panic!("{told:?}") };
        assert!(connected.starts_with("connected ") && ready == "ready ada", "{told:?}");
        assert_eq!(ended, "ended error the connection was lost");
        let [identify, heartbeat, _ack] = &said[..] else { panic!("{said:?}") };
        assert_eq!(identify, r#"{"op":1,"token":"a token"}"#);
        assert!(heartbeat.starts_with(r#"{"op":10,"#), "{said:?}");
    }

    #[test]
    fn commands_are_typed() {
        let parse = Command::<Order>::parse;
        assert_eq!(parse(" heartbeat "), Ok(Command::Order(Order::Heartbeat)));
        let frame = CloseFrame::new(4999, "so long");
        assert_eq!(parse("close 4999 so long"), Ok(Command::Close { frame }));
        assert_eq!(parse("quit"), Ok(Command::Quit));
        for line in ["", "heartbeat 1", "close x", "message hi", "hop"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
