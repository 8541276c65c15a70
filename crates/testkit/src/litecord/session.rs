use std::sync::Arc;
use std::time::Instant;

use litecord_proto::{
    AnswerError, Client, ClientEvent, CloseFrame, Config, Json, Message, PeerRequestId, RequestId,
    Server, ServerEvent, Session,
};

use crate::Numbers;
use crate::conformance::{Subject, discard};

/// What a client is let in by.
pub const PASSWORD: &str = "hunter2";

/// A server's first word, with an interval in milliseconds.
pub fn hello(interval: u64) -> Message {
    Message::text(format!(r#"{{"op":0,"hb_interval":{interval}}}"#))
}

/// A client's first word.
pub fn hello_ack(password: &str) -> Message {
    let password = Json::of(password).expect("is text");
    Message::text(format!(r#"{{"op":1,"password":{password}}}"#))
}

/// A client and its application.
#[derive(Debug, Clone, Default)]
pub struct LitecordClient {
    /// Its settings.
    pub config: Arc<Config>,
    /// Start authenticated.
    pub ready: bool,
}

/// A server and its application.
#[derive(Debug, Clone, Default)]
pub struct LitecordServer {
    /// Its settings.
    pub config: Arc<Config>,
    /// Start with a client that is let in.
    pub ready: bool,
}

/// What an application does on a request: the length of what is asked for decides. Tells whether it
/// has answered.
macro_rules! answer {
    ($session:expr, $now:expr, $id:expr, $what:expr, $args:expr) => {{
        let (id, now): (PeerRequestId, Instant) = ($id, $now);
        let answered = match $what.len() % 4 {
            // Left open.
            3 => false,
            2 => $session.respond(now, id, &()).is_ok(),
            _ => $session.respond(now, id, &$args).is_ok(),
        };
        if answered {
            assert_eq!($session.respond(now, id, &()), Err(AnswerError::NotOpen(id)));
        }
    }};
}

/// What an application of either side does of its own accord; `None`: something else.
macro_rules! act {
    ($session:expr, $now:expr, $choice:expr) => {{
        let (now, choice): (Instant, u8) = ($now, $choice);
        let what = "w".repeat(choice.into());
        match choice % 16 {
            0..=4 => Some($session.request(now, &what, &[choice]).ok().map(RequestId::nonce)),
            5..=8 => {
                let _ = $session.dispatch(now, &what, &(choice, &what));
                Some(None)
            }
            // What can't be sent: no array, and too long where limits are tight.
            9 => Some($session.request(now, &what, "args").ok().map(RequestId::nonce)),
            10 => {
                let long = "x".repeat(5000);
                Some($session.request(now, &what, &[long]).ok().map(RequestId::nonce))
            }
            14 if choice == 254 => {
                $session.close(now);
                Some(None)
            }
            15 if choice == 255 => {
                $session.close_with(now, CloseFrame::new(4999, "the application's wish"));
                Some(None)
            }
            _ => None,
        }
    }};
}

impl Subject for LitecordClient {
    type Session = Client;

    fn start(&self, now: Instant) -> Client {
        let mut client = Client::new(self.config.clone(), PASSWORD, now).expect("fits");
        if self.ready {
            client.handle_input(now, &hello(10_000));
            client.handle_input(now, &Message::text(r#"{"op":3}"#));
            discard(&mut client);
            assert!(client.is_authenticated());
        }
        client
    }

    fn react(&self, client: &mut Client, now: Instant, event: ClientEvent) {
        if let ClientEvent::Request { id, what, args } = event {
            answer!(client, now, id, what, args);
        }
    }

    fn act(&self, client: &mut Client, now: Instant, choice: u8) -> Option<u64> {
        act!(client, now, choice).flatten()
    }

    fn outcome(&self, event: &ClientEvent) -> Option<u64> {
        match event {
            ClientEvent::Outcome { request, .. } => Some(request.nonce()),
            _ => None,
        }
    }

    fn max_memory(&self, largest_input: usize) -> usize {
        self.config.max_memory(largest_input)
    }
}

impl Subject for LitecordServer {
    type Session = Server;

    fn start(&self, now: Instant) -> Server {
        let mut server = Server::new(self.config.clone(), now);
        if self.ready {
            server.handle_input(now, &hello_ack(PASSWORD));
            discard(&mut server);
            if self.config.password.is_none() {
                server.accept(now).expect("awaits it");
                discard(&mut server);
            }
            assert!(server.is_authenticated());
        }
        server
    }

    fn react(&self, server: &mut Server, now: Instant, event: ServerEvent) {
        match event {
            // Let in, turned away, or left for later.
            ServerEvent::HelloAck { password } => match password.expose().len() % 3 {
                0 => drop(server.refuse(now)),
                1 => drop(server.accept(now)),
                _ => {}
            },
            ServerEvent::Request { id, what, args } => answer!(server, now, id, what, args),
            _ => {}
        }
    }

    fn act(&self, server: &mut Server, now: Instant, choice: u8) -> Option<u64> {
        match act!(server, now, choice) {
            Some(request) => request,
            None if choice == 239 => {
                let _ = server.refuse(now);
                None
            }
            None => {
                let _ = server.accept(now);
                None
            }
        }
    }

    fn outcome(&self, event: &ServerEvent) -> Option<u64> {
        match event {
            ServerEvent::Outcome { request, .. } => Some(request.nonce()),
            _ => None,
        }
    }

    fn max_memory(&self, largest_input: usize) -> usize {
        self.config.max_memory(largest_input)
    }
}

/// A message that either side may send, a server's if it is `of_server`, out of any numbers: mostly
/// good ones.
pub fn some_message(of_server: bool, numbers: &mut Numbers) -> Message {
    let what = "w".repeat(numbers.below(30));
    let nonce = ["1", "2", "2.0", "3e0", "\"1\"", "null", "[1]", "{}"][numbers.below(8)];
    let args = ["[]", "[1,2]", "[\"args\"]", "{\"a\":[]}", "null"][numbers.below(5)];
    Message::text(match numbers.below(40) {
        0..=9 if of_server => r#"{"op":3}"#.to_owned(),
        0..=9 => r#"{"op":2,"s":7}"#.to_owned(),
        10..=19 => format!(r#"{{"op":4,"w":"{what}","a":{args},"n":{nonce}}}"#),
        20..=28 => format!(r#"{{"op":5,"n":{nonce},"r":{args}}}"#),
        29..=34 => format!(r#"{{"op":6,"w":"{what}","a":{args}}}"#),
        35..=37 => format!(r#"{{"op":7,"d":{args}}}"#),
        38 if of_server => return hello(10_000),
        38 => return hello_ack(PASSWORD),
        _ => return Message::Close(None),
    })
}
