//! bingo's sessions as subjects of the suite, and its codec as the vectors see it.

use std::sync::Arc;
use std::time::Instant;

use bingo_proto::{
    AnswerError, ByteOrder, Client, ClientEvent, ClientMessage, CodecConfig, Config, DecodeError,
    DecodeErrorKind, Decoder, ErrorReplyStyle, FrameRef, Identification, MessageId, RequestId,
    Role, Secret, Server, ServerEvent, ServerMessage, Session,
};
use serde_json::{Map, Value, json};

use crate::conformance::{Subject, discard};
use crate::vectors::{Codec, Decoded, Error, Vector};

/// A client and its application.
#[derive(Debug, Clone, Default)]
pub struct BingoClient {
    /// Its settings.
    pub config: Arc<Config>,
    /// Start after the handshake.
    pub ready: bool,
}

/// A server and its application.
#[derive(Debug, Clone, Default)]
pub struct BingoServer {
    /// Its settings.
    pub config: Arc<Config>,
    /// Start after the handshake.
    pub ready: bool,
}

/// What no frame can hold.
static TOO_LONG: [u8; 70_000] = [0; 70_000];

fn handle(request: RequestId) -> u64 {
    request.message_id().0.into()
}

/// What a server sends to let a client in.
pub fn ready_bytes(codec: &CodecConfig) -> Vec<u8> {
    let mut bytes = Vec::new();
    let ready = ServerMessage::Ready { token: Secret::new(b"token") };
    ready.encode(MessageId(0x8000), codec, &mut bytes).expect("encodes");
    bytes
}

/// What a client sends first.
pub fn identification_bytes(codec: &CodecConfig) -> Vec<u8> {
    let mut bytes = Vec::new();
    let message = ClientMessage::Identification(Identification::new("9f2c", "Ada"));
    message.encode(MessageId(0), codec, &mut bytes).expect("encodes");
    bytes
}

impl Subject for BingoClient {
    type Session = Client;

    fn start(&self, now: Instant) -> Client {
        let who = Identification::new("9f2c", "Ada");
        let mut client = Client::new(self.config.clone(), &who, now).expect("fits");
        if self.ready {
            client.handle_input(now, &ready_bytes(&self.config.codec));
            discard(&mut client);
            assert!(client.is_ready());
        }
        client
    }

    fn react(&self, client: &mut Client, now: Instant, event: ClientEvent) {
        if let ClientEvent::Request { id, payload } = event {
            let answered = match payload.first() {
                Some(0..=99) => client.reply(now, id, &payload),
                Some(100..=199) => client.reject(now, id),
                // Left open.
                Some(_) => return,
                None => client.acknowledge(now, id),
            };
            if answered.is_ok() {
                assert_eq!(client.acknowledge(now, id), Err(AnswerError::NotOpen(id)));
            }
        }
    }

    fn act(&self, client: &mut Client, now: Instant, choice: u8) -> Option<u64> {
        let payload = vec![choice; usize::from(choice)];
        let _sent = match choice % 16 {
            0..=5 => return client.request(now, &payload).ok().map(handle),
            6..=9 => client.event(now, &payload).is_ok(),
            10 => client.noop(now).is_ok(),
            13 => return client.request(now, &TOO_LONG).ok().map(handle),
            14 if choice == 254 => {
                client.close(now);
                true
            }
            15 if choice == 255 => {
                client.protocol_error(now, "the application's wish");
                true
            }
            _ => false,
        };
        None
    }

    fn outcome(&self, event: &ClientEvent) -> Option<u64> {
        match event {
            ClientEvent::Outcome { request, .. } => Some(handle(*request)),
            _ => None,
        }
    }

    fn max_memory(&self, largest_input: usize) -> usize {
        self.config.max_memory(largest_input)
    }
}

impl Subject for BingoServer {
    type Session = Server;

    fn start(&self, now: Instant) -> Server {
        let mut server = Server::new(self.config.clone(), now);
        if self.ready {
            server.handle_input(now, &identification_bytes(&self.config.codec));
            discard(&mut server);
            server.accept(now, b"token").expect("awaits it");
            discard(&mut server);
        }
        server
    }

    fn react(&self, server: &mut Server, now: Instant, event: ServerEvent) {
        match event {
            ServerEvent::Identified(who) if who.login == "nobody" => {
                let _ = server.refuse(now, "unknown login");
            }
            ServerEvent::Identified(_) => {
                let _ = server.accept(now, b"token");
            }
            ServerEvent::Request { id, payload } => {
                let answered = match payload.first() {
                    Some(0..=99) => server.reply(now, id, &payload),
                    Some(100..=199) => server.reject(now, id, "no"),
                    // Left open.
                    Some(_) => return,
                    None => server.acknowledge(now, id),
                };
                if answered.is_ok() {
                    assert_eq!(server.acknowledge(now, id), Err(AnswerError::NotOpen(id)));
                }
            }
            _ => {}
        }
    }

    fn act(&self, server: &mut Server, now: Instant, choice: u8) -> Option<u64> {
        let payload = vec![choice; usize::from(choice)];
        let _sent = match choice % 16 {
            0..=3 => return server.request(now, &payload).ok().map(handle),
            4..=5 => server.accept(now, &payload).is_ok(),
            6..=7 => server.event(now, &payload).is_ok(),
            8..=9 => server.data_update(now, &payload).is_ok(),
            10 => server.noop(now).is_ok(),
            13 => return server.request(now, &TOO_LONG).ok().map(handle),
            14 if choice == 254 => {
                server.close(now);
                true
            }
            15 if choice == 255 => {
                server.protocol_error(now, "the application's wish");
                true
            }
            15 if choice == 239 => server.refuse(now, "the application's wish").is_ok(),
            _ => false,
        };
        None
    }

    fn outcome(&self, event: &ServerEvent) -> Option<u64> {
        match event {
            ServerEvent::Outcome { request, .. } => Some(handle(*request)),
            _ => None,
        }
    }

    fn max_memory(&self, largest_input: usize) -> usize {
        self.config.max_memory(largest_input)
    }
}

/// The codec, as the vectors see it.
#[derive(Debug, Clone, Copy)]
pub struct BingoCodec;

impl Codec for BingoCodec {
    fn decode(&self, vector: &Vector, pieces: &[&[u8]]) -> Decoded {
        let config = config(vector);
        let mut decoder = Decoder::new(config);
        let mut decoded = Decoded::default();
        for piece in pieces {
            let mut input = *piece;
            loop {
                let start = decoder.offset();
                let message = match decoder.decode(&mut input) {
                    Ok(None) => break,
                    Ok(Some(frame)) => {
                        describe(frame, role(vector), &config).map_err(|e| e.shifted(start))
                    }
                    Err(error) => Err(error),
                };
                match message {
                    Ok(message) if decoded.error.is_none() => decoded.messages.push(message),
                    Ok(message) => decoded.after.push(message),
                    Err(error) if decoded.error.is_none() => decoded.error = Some(show(error)),
                    Err(error) if error.kind.is_fatal() => return decoded,
                    Err(error) => panic!("{}: a second error, {error}", vector.name),
                }
            }
        }
        if let Err(error) = decoder.finish() {
            decoded.error.get_or_insert(show(error));
        }
        decoded
    }

    fn encode(&self, vector: &Vector, message: &Value) -> Vec<u8> {
        let config = config(vector);
        let mut bytes = Vec::new();
        encode(message, role(vector), &config, &mut bytes);
        bytes
    }

    fn trailer(&self, vector: &Vector) -> (Vec<u8>, Value) {
        let id = MessageId::first_of(role(vector));
        let mut bytes = Vec::new();
        FrameRef::new(bingo_proto::OpCode::Event, id, b"")
            .encode(&config(vector), &mut bytes)
            .expect("fits");
        (bytes, json!({ "type": "event", "message_id": id.0, "text": "" }))
    }
}

/// Whose message a vector shows.
pub fn role(vector: &Vector) -> Role {
    if vector.from == "client" { Role::Client } else { Role::Server }
}

/// The settings of a vector.
pub fn config(vector: &Vector) -> CodecConfig {
    let mut config = CodecConfig::default();
    for (key, value) in vector.config.as_object().unwrap_or(&Map::new()) {
        match (&key[..], value.as_str(), value.as_u64().and_then(|n| u16::try_from(n).ok())) {
            ("byte_order", Some("big"), _) => config.byte_order = ByteOrder::BigEndian,
            ("byte_order", Some("little"), _) => config.byte_order = ByteOrder::LittleEndian,
            ("error_reply", Some("header-id"), _) => {
                config.error_reply_style = ErrorReplyStyle::HeaderId;
            }
            ("error_reply", Some("payload-prefix"), _) => {
                config.error_reply_style = ErrorReplyStyle::PayloadPrefix;
            }
            ("max_payload", _, Some(max)) => config.max_payload = max,
            _ => panic!("{}: unknown setting {key}: {value}", vector.name),
        }
    }
    config
}

fn show(error: DecodeError) -> Error {
    let kind = match error.kind {
        DecodeErrorKind::UnknownOpcode(_) => "unknown_opcode",
        DecodeErrorKind::PayloadTooLarge { .. } => "payload_too_large",
        DecodeErrorKind::UnexpectedEof => "unexpected_eof",
        DecodeErrorKind::WrongDirection(_) => "wrong_direction",
        DecodeErrorKind::WrongIdHalf(_) => "wrong_id_half",
        DecodeErrorKind::ReplyTooShort => "reply_too_short",
        DecodeErrorKind::PayloadNotEmpty => "payload_not_empty",
        DecodeErrorKind::NotUtf8 => "not_utf8",
        DecodeErrorKind::NotJson => "not_json",
        DecodeErrorKind::NotAnObject => "not_an_object",
        DecodeErrorKind::TooDeep => "too_deep",
        DecodeErrorKind::MissingKey(_) => "missing_key",
        DecodeErrorKind::NotAString(_) => "not_a_string",
        DecodeErrorKind::DuplicateKey(_) => "duplicate_key",
        _ => "something new",
    };
    Error { kind: kind.into(), offset: Some(error.offset), key: None }
}

/// A frame's message in the words of the vectors.
fn describe(frame: FrameRef<'_>, from: Role, config: &CodecConfig) -> Result<Value, DecodeError> {
    let id = frame.id().map(|id| id.0);
    let style = config.error_reply_style;
    let opaque = |kind: &str, payload: &[u8]| match std::str::from_utf8(payload) {
        Ok(text) => json!({ "type": kind, "message_id": id, "text": text }),
        Err(_) => json!({ "type": kind, "message_id": id, "payload": hex(payload) }),
    };
    let reply = |to: MessageId, body: &[u8]| {
        let mut reply = opaque("reply", body);
        reply["in_reply_to"] = to.0.into();
        reply
    };
    let acknowledgement =
        |to: MessageId| json!({ "type": "reply", "message_id": id, "in_reply_to": to.0 });
    let error_reply = |to: MessageId, text: Option<&str>| {
        let mut reply = json!({ "type": "error_reply", "in_reply_to": to.0 });
        if style == ErrorReplyStyle::PayloadPrefix {
            reply["message_id"] = id.into();
        }
        if let Some(text) = text {
            reply["text"] = text.into();
        }
        reply
    };
    Ok(match from {
        Role::Client => match ClientMessage::decode(frame, config)? {
            ClientMessage::Noop => json!({ "type": "noop" }),
            ClientMessage::Identification(Identification { login, username }) => json!({
                "type": "identification", "message_id": id, "login": login, "username": username,
            }),
            ClientMessage::Request(payload) => opaque("request", payload),
            ClientMessage::Acknowledgement { in_reply_to } => acknowledgement(in_reply_to),
            ClientMessage::Reply { in_reply_to, body } => reply(in_reply_to, body),
            ClientMessage::ErrorReply { in_reply_to } => error_reply(in_reply_to, None),
            ClientMessage::ProtocolError { reason } => opaque("protocol_error", reason.as_bytes()),
            ClientMessage::Event(payload) => opaque("event", payload),
        },
        Role::Server => match ServerMessage::decode(frame, config)? {
            ServerMessage::Noop => json!({ "type": "noop" }),
            ServerMessage::Ready { token } => match std::str::from_utf8(token.expose()) {
                Ok(text) => json!({ "type": "ready", "message_id": id, "token": text }),
                Err(_) => {
                    json!({ "type": "ready", "message_id": id, "token_hex": hex(token.expose()) })
                }
            },
            ServerMessage::Ping => json!({ "type": "ping", "message_id": id }),
            ServerMessage::Request(payload) => opaque("request", payload),
            ServerMessage::Acknowledgement { in_reply_to } => acknowledgement(in_reply_to),
            ServerMessage::Reply { in_reply_to, body } => reply(in_reply_to, body),
            ServerMessage::ErrorReply { in_reply_to, text } => error_reply(in_reply_to, Some(text)),
            ServerMessage::ProtocolError { reason } => opaque("protocol_error", reason.as_bytes()),
            ServerMessage::Event(payload) => opaque("event", payload),
            ServerMessage::DataUpdate(payload) => opaque("data_update", payload),
        },
    })
}

fn encode(message: &Value, from: Role, config: &CodecConfig, dst: &mut Vec<u8>) {
    let number = |key: &str| {
        let number = message[key].as_u64().and_then(|n| u16::try_from(n).ok());
        MessageId(number.unwrap_or_default())
    };
    let text = |key: &str| message[key].as_str().unwrap_or_default();
    let payload = match message["payload"].as_str() {
        Some(payload) => crate::vectors::from_hex(payload).expect("hexadecimal"),
        None => text("text").as_bytes().to_vec(),
    };
    let token = match message["token_hex"].as_str() {
        Some(token) => crate::vectors::from_hex(token).expect("hexadecimal"),
        None => text("token").as_bytes().to_vec(),
    };
    let (id, in_reply_to) = (number("message_id"), number("in_reply_to"));
    let kind = text("type");
    let result = match from {
        Role::Client => match kind {
            "noop" => ClientMessage::Noop,
            "identification" => {
                ClientMessage::Identification(Identification::new(text("login"), text("username")))
            }
            "request" => ClientMessage::Request(&payload),
            "reply" if payload.is_empty() => ClientMessage::Acknowledgement { in_reply_to },
            "reply" => ClientMessage::Reply { in_reply_to, body: &payload },
            "error_reply" => ClientMessage::ErrorReply { in_reply_to },
            "protocol_error" => ClientMessage::ProtocolError { reason: text("text") },
            "event" => ClientMessage::Event(&payload),
            _ => panic!("unknown type {kind}"),
        }
        .encode(id, config, dst),
        Role::Server => match kind {
            "noop" => ServerMessage::Noop,
            "ready" => ServerMessage::Ready { token: Secret::new(&token) },
            "ping" => ServerMessage::Ping,
            "request" => ServerMessage::Request(&payload),
            "reply" if payload.is_empty() => ServerMessage::Acknowledgement { in_reply_to },
            "reply" => ServerMessage::Reply { in_reply_to, body: &payload },
            "error_reply" => ServerMessage::ErrorReply { in_reply_to, text: text("text") },
            "protocol_error" => ServerMessage::ProtocolError { reason: text("text") },
            "event" => ServerMessage::Event(&payload),
            "data_update" => ServerMessage::DataUpdate(&payload),
            _ => panic!("unknown type {kind}"),
        }
        .encode(id, config, dst),
    };
    result.expect("a vector's message can be encoded");
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
