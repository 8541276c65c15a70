use std::sync::Arc;
use std::time::Instant;

use roomvars_proto::{
    Client, ClientConfig, ClientEvent, CloseCode, CloseFrame, CodecConfig, ConnId, ConnectionError,
    Dialect, End, Hub, HubConfig, HubEvent, Message, Session, ValueRef,
};

use crate::Numbers;
use crate::conformance::{Subject, discard};

/// The variables of the room, and their values; none in the Scratch dialect.
const fn variables(dialect: Dialect) -> &'static [(&'static str, &'static str)] {
    match dialect {
        Dialect::Documented | Dialect::Deployed2020 => &[("x", "0"), ("y", "0")],
        Dialect::Scratch => &[],
    }
}

/// A client's first word.
pub fn handshake(dialect: Dialect, username: &str) -> Message {
    let config = Arc::new(ClientConfig::default().codec(CodecConfig::default().dialect(dialect)));
    let client = Client::new(config, "lobby", username, variables(dialect), crate::epoch());
    client.expect("a good one").poll_transmit().expect("its first word")
}

/// A client and its application.
#[derive(Debug, Clone, Default)]
pub struct RoomvarsClient {
    /// Its settings.
    pub config: Arc<ClientConfig>,
    /// Start with a room that is known, and nothing to be sent.
    pub ready: bool,
}

impl Subject for RoomvarsClient {
    type Session = Client;

    fn start(&self, now: Instant) -> Client {
        let variables = variables(self.config.codec.dialect);
        let client = Client::new(self.config.clone(), "lobby", "ada", variables, now);
        let mut client = client.expect("a good handshake");
        if self.ready {
            client.handle_input(now, &Message::text(""));
            discard(&mut client);
        }
        client
    }

    fn react(&self, client: &mut Client, now: Instant, event: ClientEvent) {
        if let ClientEvent::Set { variable, value } = event
            && value.as_str().len() % 3 == 1
        {
            let _ = client.set(now, &variable, "an answer");
        }
    }

    fn act(&self, client: &mut Client, now: Instant, choice: u8) -> Option<u64> {
        let name = ["x", "y", "z"][usize::from(choice % 3)];
        let _ = match choice % 16 {
            0..=8 => client.set(now, name, &*"v".repeat(choice.into())),
            9 => client.set(now, name, ValueRef::Number("1.0")),
            10 | 11 => client.rename(now, name, "new"),
            12 => client.delete(now, "new"),
            14 if choice == 254 => {
                client.close(now);
                Ok(())
            }
            15 if choice == 255 => {
                client.close_with(now, CloseFrame::new(4999, "the application's wish"));
                Ok(())
            }
            _ => client.delete(now, name),
        };
        None
    }

    fn max_memory(&self, largest_input: usize) -> usize {
        self.config.max_memory(largest_input, 200)
    }
}

/// One connection of a hub as a session, with another client in its room that takes nothing.
#[derive(Debug)]
pub struct HubConnection {
    hub: Hub,
    id: ConnId,
    other: ConnId,
}

impl HubConnection {
    fn other_says(&mut self, now: Instant, text: String) {
        self.hub.handle_input(now, self.other, &Message::text(text));
    }
}

impl Session for HubConnection {
    type Input = Message;
    type Transmit = Message;
    type Event = HubEvent;
    type Error = ConnectionError;

    fn wants_input(&self) -> bool {
        self.ended().is_none()
    }

    fn handle_input(&mut self, now: Instant, input: &Message) {
        self.hub.handle_input(now, self.id, input);
    }

    fn handle_eof(&mut self, now: Instant) {
        self.hub.handle_eof(now, self.id);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.hub.handle_timeout(now);
    }

    fn poll_transmit(&mut self) -> Option<Message> {
        // A driver that isn't told doesn't ask; here it may.
        while self.hub.poll_ready().is_some() {}
        self.hub.poll_transmit(self.id)
    }

    fn poll_event(&mut self) -> Option<HubEvent> {
        while let Some((id, event)) = self.hub.poll_event() {
            if id == self.id {
                return Some(event);
            }
        }
        None
    }

    /// What the hub has still to do for others is not this connection's business.
    fn poll_timeout(&self) -> Option<Instant> {
        if self.ended().is_some() { None } else { self.hub.poll_timeout() }
    }

    fn ended(&self) -> Option<&End<ConnectionError>> {
        self.hub.ended(self.id)
    }
}

/// A hub's connection, and what happens around it.
#[derive(Debug, Clone, Default)]
pub struct RoomvarsHub {
    /// The hub's settings.
    pub config: Arc<HubConfig>,
    /// What its clients speak.
    pub dialect: Dialect,
    /// Start in the room.
    pub ready: bool,
}

impl Subject for RoomvarsHub {
    type Session = HubConnection;

    fn start(&self, now: Instant) -> HubConnection {
        let mut hub = Hub::new(self.config.clone(), now);
        let mut connect = || hub.connect(now, self.dialect).expect("has room for two");
        let (other, id) = (connect(), connect());
        hub.handle_input(now, other, &handshake(self.dialect, "the other"));
        let mut connection = HubConnection { hub, id, other };
        if self.ready {
            connection.handle_input(now, &handshake(self.dialect, "ada"));
            discard(&mut connection);
            assert_eq!(connection.ended(), None);
        }
        connection
    }

    fn react(&self, connection: &mut HubConnection, now: Instant, event: HubEvent) {
        if event == HubEvent::Joined {
            connection.other_says(now, set(self.dialect, "x", "\"hello\""));
        }
    }

    fn act(&self, connection: &mut HubConnection, now: Instant, choice: u8) -> Option<u64> {
        let name = ["x", "y"][usize::from(choice % 2)];
        match choice {
            0..200 => {
                let value = format!("\"{}\"", "v".repeat(choice.into()));
                connection.other_says(now, set(self.dialect, name, &value));
            }
            200..230 if self.dialect == Dialect::Scratch => {
                let text =
                    format!(r#"{{"method":"rename","name":"{name}","new_name":"{choice}"}}"#);
                connection.other_says(now, text);
            }
            255 => connection.hub.kick(now, connection.id, CloseCode(4999)),
            _ => {}
        }
        None
    }

    fn max_memory(&self, _: usize) -> usize {
        self.config.max_memory()
    }
}

/// A set, from either side; the value as JSON.
fn set(dialect: Dialect, name: &str, value: &str) -> String {
    match dialect {
        Dialect::Documented => format!(r#"{{"kind":"set","variable":"{name}","value":{value}}}"#),
        Dialect::Deployed2020 => format!(r#"{{"kind":"set","var":"{name}","value":{value}}}"#),
        Dialect::Scratch => format!(r#"{{"method":"set","name":"{name}","value":{value}}}"#),
    }
}

/// A message that either side may send, out of any numbers: mostly good ones. A server's has up to
/// four objects.
pub fn some_message(of_server: bool, dialect: Dialect, numbers: &mut Numbers) -> Message {
    let object = |numbers: &mut Numbers| {
        let name = ["x", "y", "x", "y", "z"][numbers.below(5)];
        let value = ["\"1\"", "\"\"", "\"a longer one\"", "\"\\u2601\"", "1.0"][numbers.below(5)];
        match numbers.below(20) {
            0 => r#"{"kind":"news","method":"news"}"#.to_owned(),
            1 => format!(r#"{{"method":"rename","name":"{name}","new_name":"z"}}"#),
            2 => format!(r#"{{"method":"delete","name":"{name}"}}"#),
            _ => set(dialect, name, value),
        }
    };
    match numbers.below(60) {
        0 => return Message::Close(None),
        1 if !of_server => return handshake(dialect, "ada"),
        _ => {}
    }
    let objects = if of_server { numbers.below(5) } else { 1 };
    let objects: Vec<_> = (0..objects).map(|_| object(numbers)).collect();
    Message::text(objects.join("\n"))
}
