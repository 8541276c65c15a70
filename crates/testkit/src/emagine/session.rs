use std::sync::Arc;
use std::time::Instant;

use emagine_proto::{
    Client, ClientEvent, CloseFrame, Config, Json, Message, Server, ServerEvent, Session,
};

use crate::Numbers;
use crate::conformance::{Subject, discard};

/// What a client is let in by.
pub const TOKEN: &str = "hunter2";

/// A server's first word, with an interval in milliseconds.
pub fn hello(interval: u64) -> Message {
    Message::text(format!(r#"{{"op":0,"heartbeat_interval":{interval}}}"#))
}

/// A client's first word.
pub fn identify(token: &str) -> Message {
    let token = Json::of(token).expect("is text");
    Message::text(format!(r#"{{"op":1,"token":{token}}}"#))
}

/// A client and its application.
#[derive(Debug, Clone, Default)]
pub struct EmagineClient {
    /// Its settings.
    pub config: Arc<Config>,
    /// Start let in.
    pub ready: bool,
}

/// A server and its application.
#[derive(Debug, Clone, Default)]
pub struct EmagineServer {
    /// Its settings.
    pub config: Arc<Config>,
    /// Start with a client that is let in.
    pub ready: bool,
}

/// What an application of either side does of its own accord; `false`: something else.
macro_rules! act {
    ($session:expr, $now:expr, $choice:expr) => {{
        let (now, choice): (Instant, u8) = ($now, $choice);
        match choice % 16 {
            0..=5 => {
                let _ = $session.heartbeat(now);
                true
            }
            14 if choice == 254 => {
                $session.close(now);
                true
            }
            15 if choice == 255 => {
                $session.close_with(now, CloseFrame::new(4999, "the application's wish"));
                true
            }
            _ => false,
        }
    }};
}

impl Subject for EmagineClient {
    type Session = Client;

    fn start(&self, now: Instant) -> Client {
        let mut client = Client::new(self.config.clone(), TOKEN, now).expect("fits");
        if self.ready {
            client.handle_input(now, &hello(10_000));
            client.handle_input(now, &Message::text(r#"{"op":2,"user":"ada"}"#));
            discard(&mut client);
            assert!(client.is_ready());
        }
        client
    }

    fn react(&self, client: &mut Client, now: Instant, event: ClientEvent) {
        // To see how far away the server is.
        if matches!(event, ClientEvent::Ready { .. }) {
            let _ = client.heartbeat(now);
        }
    }

    fn act(&self, client: &mut Client, now: Instant, choice: u8) -> Option<u64> {
        act!(client, now, choice);
        None
    }

    fn max_memory(&self, largest_input: usize) -> usize {
        self.config.max_memory(largest_input)
    }
}

impl Subject for EmagineServer {
    type Session = Server;

    fn start(&self, now: Instant) -> Server {
        let mut server = Server::new(self.config.clone(), now);
        if self.ready {
            server.handle_input(now, &identify(TOKEN));
            discard(&mut server);
            server.accept(now, "ada").expect("awaits it");
            discard(&mut server);
            assert!(server.is_ready());
        }
        server
    }

    fn react(&self, server: &mut Server, now: Instant, event: ServerEvent) {
        if let ServerEvent::Identify { token } = event {
            // Let in, turned away, or left for later.
            match token.expose().len() % 3 {
                0 => drop(server.refuse(now)),
                1 => {
                    let _ = server.accept(now, token.expose());
                    let _ = server.send_message(now, &("welcome", token.expose()));
                }
                _ => {}
            }
        }
    }

    fn act(&self, server: &mut Server, now: Instant, choice: u8) -> Option<u64> {
        if act!(server, now, choice) {
            return None;
        }
        match choice % 16 {
            6..=10 => drop(server.send_message(now, &(choice, "w".repeat(choice.into())))),
            // Too long where limits are tight.
            11 => drop(server.send_message(now, &"x".repeat(5000))),
            _ if choice == 239 => drop(server.refuse(now)),
            _ => drop(server.accept(now, &"ada".repeat(choice.into()))),
        }
        None
    }

    fn max_memory(&self, largest_input: usize) -> usize {
        self.config.max_memory(largest_input)
    }
}

/// A message that either side may send, a server's if it is `of_server`, out of any numbers: mostly
/// good ones.
pub fn some_message(of_server: bool, numbers: &mut Numbers) -> Message {
    let json = ["1", "2.0", "1e3", "\"1\"", "null", "[1, 2]", "{\"a\":[]}"][numbers.below(7)];
    let long = "w".repeat(numbers.below(30));
    Message::text(match numbers.below(40) {
        0..=9 => format!(r#"{{"op":10,"time":{json}}}"#),
        10..=13 => r#"{"s":7,"op":10}"#.to_owned(),
        14..=17 => r#"{"op":11}"#.to_owned(),
        18..=22 => format!(r#"{{"op":11,"time":{json}}}"#),
        23..=34 if of_server => format!(r#"{{"op":3,"message":[{json},"{long}"]}}"#),
        35 if of_server => format!(r#"{{"op":2,"message":{json}}}"#),
        23..=37 => format!(r#"{{"op":7,"d":[{json},"{long}"]}}"#),
        38 if of_server => format!(r#"{{"op":2,"user":"{long}"}}"#),
        38 => return identify(TOKEN),
        _ => return Message::Close(None),
    })
}
