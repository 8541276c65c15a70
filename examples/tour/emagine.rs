//! Emagine: a gateway, two users and two who aren't let in, and a gateway that spells otherwise.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use emagine_proto::{
    ClientEvent, ClientMessage, CloseCode, CodecConfig, Config, End, OpCode, Secret, ServerMessage,
    SessionError,
};
use futures_util::{SinkExt, StreamExt};
use smallwire_examples::client::Note;
use smallwire_examples::emagine_server::{Options, Order, serve};
use smallwire_examples::listener::Driver;
use smallwire_examples::{emagine_client, tungstenite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use crate::client::Client;
use crate::server::Server;
use crate::tee::Direction::{self, ToClient, ToServer};
use crate::trace::Trace;
use crate::websocket::{Heard, Talk, connect, cut_off, say, upgraded};

pub(crate) async fn tour(trace: &mut Trace) -> anyhow::Result<()> {
    let user = |token: &str, user: &str| (Secret::new(token.to_owned()), user.to_owned());
    let options = Options {
        config: Arc::new(Config::default().heartbeat_interval(Duration::from_millis(500))),
        users: vec![user("helloworld", "ada"), user("hellothere", "ben")],
        driver: Driver::Axum,
    };
    let (orders, receiver) = mpsc::channel(16);
    let mut server = Server::start(|listener, log, stopped| async {
        let stopped = async { stopped.await.unwrap_or_default() };
        serve(listener, options, receiver, log, stopped).await;
    })
    .await?;
    trace.line(format_args!("An emagine server listens on {}.", server.address));
    let does = |order: &str| {
        let order = Order::parse(order).map_err(|error| anyhow!(error))?;
        orders.try_send(order).context("the server takes no orders")
    };

    trace.step("Ada connects, is told how often to give a sign of life, and says her token");
    let mut ada = let_in(trace, &server, "Ada", "helloworld").await?;
    server.logs(trace, "client 0 is let in as ada").await?;

    trace.step("Ben connects too");
    let mut ben = let_in(trace, &server, "Ben", "hellothere").await?;
    server.logs(trace, "client 1 is let in as ben").await?;

    trace.step("Mallory's token is refused: closed with 4003, and no use in coming again");
    let mallory = identified(trace, &server, "Mallory", "hunter2").await?;
    let (code, reason) = (CloseCode::IDENTIFY_FAILED, "identify failed".into());
    let refused = End::Error(SessionError::Closed { code, reason });
    mallory.closed(trace, "4003 identify failed", &refused).await?;
    server.logs(trace, "client 2 has a token that nobody knows").await?;

    trace.step("A message to Ben alone: what is in it stays as it was written");
    does(r#"to ben {"text":"hi","n":[1.0, 1e400]}"#)?;
    let text = r#"{"op":3,"message":{"text":"hi","n":[1.0, 1e400]}}"#;
    ben.receives(trace, "Message", text).await?;
    ben.notes(trace, |event| matches!(event, ClientEvent::Message { .. })).await?;

    trace.step("A message to everybody");
    does("all good morning")?;
    for reader in [&mut ada, &mut ben] {
        reader.receives(trace, "Message", r#"{"op":3,"message":"good morning"}"#).await?;
        reader.notes(trace, |event| matches!(event, ClientEvent::Message { .. })).await?;
    }

    trace.step("All the while there were heartbeats, both ways; here are Ada's first ones");
    for (there, back) in [(ToClient, ToServer), (ToServer, ToClient)] {
        let heartbeat = ada.frames.expect_sign(trace, there, "Heartbeat").await?;
        let ack = ada.frames.expect_sign(trace, back, "HeartbeatAck").await?;
        let echo = heartbeat.replace(r#""op":10"#, r#""op":11"#);
        ensure!(ack == echo, "expected the time of the heartbeat");
    }
    server.logs(trace, "client 0 acknowledges a heartbeat after").await?;

    trace.step("Ben leaves: he closes the WebSocket, and the server does so too");
    ben.does("quit")?;
    ben.sends(trace, "close", "1000 ").await?;
    ben.receives(trace, "close", "1000 ").await?;
    ben.ends(trace, &End::Clean).await?;

    trace.step("A violation: somebody speaks no JSON, is told so, and is cut off");
    let (socket, mut frames) = connect::<Emagine>(&server, "stranger").await?;
    say(socket, "hello?").await?;
    upgraded(&mut frames, trace).await?;
    frames.expect(trace, ToClient, "Hello", HELLO).await?;
    cut_off(&mut frames, trace, "4001 not JSON at byte 0").await?;
    server.logs(trace, "the peer violated the protocol").await?;

    trace.step("The server ends: it says so to all, who may look for it later");
    server.stop().await?;
    ada.closed(trace, "1001 shutting down", &End::Clean).await?;

    trace.step("Another gateway spells as the notes do, now here, now there: Ada reads it all");
    let server = Server::start(|listener, _, _| async {
        // What doesn't come is missed below.
        let _ = spell(listener).await;
    })
    .await?;
    let mut ada = identified(trace, &server, "Ada", "helloworld").await?;
    ada.receives(trace, "Ready", SPELLED[0]).await?;
    ada.notes(trace, |event| matches!(event, ClientEvent::Ready { .. })).await?;
    for message in &SPELLED[1..] {
        ada.receives(trace, "Message", message).await?;
        ada.notes(trace, |event| matches!(event, ClientEvent::Message { .. })).await?;
    }
    ada.does("close 1000 enough")?;
    ada.sends(trace, "close", "1000 enough").await?;
    ada.receives(trace, "close", "1000 enough").await?;
    ada.ends(trace, &End::Clean).await?;
    server.stop().await
}

const HELLO: &str = r#"{"op":0,"heartbeat_interval":500}"#;

/// Ready with the op of Identify, Message with that of Ready, and with its own.
const SPELLED: [&str; 3] = [
    r#"{ "op": 1, "user": "ada" }"#,
    r#"{ "op": 2, "message": "hi" }"#,
    r#"{ "message": [null], "op": 3 }"#,
];

async fn spell(listener: TcpListener) -> anyhow::Result<()> {
    let (stream, _) = listener.accept().await?;
    let mut socket = tungstenite::accept(stream, 1000).await?;
    socket.send(Message::text(HELLO)).await?;
    socket.next().await.context("no Identify")??;
    for text in SPELLED {
        socket.send(Message::text(text)).await?;
    }
    while socket.next().await.is_some() {}
    Ok(())
}

type Reader = Client<Heard<Emagine>, emagine_client::Reader>;

/// One that has said its token.
async fn identified(
    trace: &mut Trace,
    server: &Server,
    name: &str,
    token: &str,
) -> anyhow::Result<Reader> {
    let reader = emagine_client::Reader::new(Arc::new(Config::default()), token);
    // Shown with the frames.
    let noted = |note: &Note<_>| !matches!(note, Note::Event(ClientEvent::HeartbeatAck { .. }));
    let mut reader = Client::connect(trace, server, name, reader, noted).await?;
    reader.receives(trace, "Hello", HELLO).await?;
    reader.notes(trace, |event| matches!(event, ClientEvent::Connected { .. })).await?;
    reader.sends(trace, "Identify", "[redacted]").await?;
    Ok(reader)
}

/// One with a good token.
async fn let_in(
    trace: &mut Trace,
    server: &Server,
    name: &str,
    token: &str,
) -> anyhow::Result<Reader> {
    let mut reader = identified(trace, server, name, token).await?;
    let ready = format!(r#"{{"op":2,"user":"{}"}}"#, name.to_lowercase());
    reader.receives(trace, "Ready", &ready).await?;
    reader.notes(trace, |event| matches!(event, ClientEvent::Ready { .. })).await?;
    Ok(reader)
}

/// Its messages.
struct Emagine;

impl Talk for Emagine {
    const SIGNS_OF_LIFE: &'static [&'static str] = &["Heartbeat", "HeartbeatAck"];
    const SECRET: &'static [&'static str] = &["Identify"];

    fn look_at(payload: &[u8], direction: Direction) -> (Option<&'static str>, String) {
        let config = CodecConfig::default();
        let text = String::from_utf8_lossy(payload).into_owned();
        let op = match direction {
            ToServer => ClientMessage::decode(payload, &config).map(|m| m.op()),
            ToClient => ServerMessage::decode(payload, &config).map(|m| m.op()),
        };
        match op {
            Ok(OpCode::IDENTIFY) => {
                let mut hidden = Vec::new();
                let message = ClientMessage::Identify { token: Secret::new("[redacted]".into()) };
                let _ = message.encode(&config, &mut hidden);
                (OpCode::IDENTIFY.name(), String::from_utf8_lossy(&hidden).into_owned())
            }
            Ok(op) => (op.name(), text),
            Err(error) => (None, format!("{error}: {text}")),
        }
    }
}
