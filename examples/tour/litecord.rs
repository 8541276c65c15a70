//! Litecord: one server, two clients and two who aren't let in.

use std::sync::Arc;
use std::time::Duration;

use litecord_proto::{
    ClientEvent, ClientMessage, CloseCode, CodecConfig, Config, End, OpCode, Outcome, Secret,
    ServerMessage, SessionError,
};
use smallwire_examples::client::Note;
use smallwire_examples::listener::Driver;
use smallwire_examples::litecord_server::serve;
use smallwire_examples::{litecord_client, litecord_server};

use crate::client::Client;
use crate::server::Server;
use crate::tee::Direction::{self, ToClient, ToServer};
use crate::trace::Trace;
use crate::websocket::{Heard, Talk, connect, cut_off, say, upgraded};

/// Of the client's requests; one of them runs into it.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(500);

pub(crate) async fn tour(trace: &mut Trace) -> anyhow::Result<()> {
    // No password: the application decides.
    let config = Config::default().heartbeat_interval(Duration::from_millis(700));
    let (config, driver) = (Arc::new(config), Driver::Tungstenite);
    let options = litecord_server::Options { config, driver, rate_limit: 200 };
    let mut server = Server::start(|listener, log, stopped| async {
        serve(listener, options, log, async { stopped.await.unwrap_or_default() }).await;
    })
    .await?;
    trace.line(format_args!(
        "A litecord server listens on {}. A WebSocket frame's bytes:",
        server.address
    ));
    trace.line(format_args!("opcode, length, the client's mask, payload."));

    trace.step("Ada connects, is told how often to give a sign of life, and says the password");
    let mut ada = let_in(trace, &server, "Ada").await?;
    server.logs(trace, r#"client 0 answers VERSION: {"name":"litecord-client""#).await?;

    trace.step("Ben connects too");
    let mut ben = let_in(trace, &server, "Ben").await?;

    trace.step("Mallory says another password: closed with 4001, and no use in coming again");
    let mallory = component(trace, &server, "Mallory", "hunter2").await?;
    let (code, reason) = (CloseCode::AUTHENTICATION_FAILED, "wrong password".into());
    let refused = End::Error(SessionError::Closed { code, reason });
    mallory.closed(trace, "4001 wrong password", &refused).await?;

    trace.step("A dispatch, which nobody answers: Ada subscribes a user, and Ben is told");
    ada.does("dispatch SUBSCRIBE [42,\"grace\"]")?;
    ada.sends(trace, "DISPATCH", r#"{"op":6,"w":"SUBSCRIBE","a":[42,"grace"]}"#).await?;
    ben.receives(trace, "DISPATCH", r#"{"op":6,"w":"SUBSCRIBERS_CHANGED","a":[42,1]}"#).await?;
    ben.notes(trace, |event| matches!(event, ClientEvent::Dispatch { .. })).await?;

    trace.step("A request: Ben asks for the subscribers; the nonce tells what is answered");
    ben.does("subscribers 42")?;
    ben.sends(trace, "REQUEST", r#"{"op":4,"w":"GUILD_SUBSCRIBERS","a":[42],"n":1}"#).await?;
    ben.receives(trace, "RESPONSE", r#"{"op":5,"n":1,"r":["grace"]}"#).await?;
    ben.notes(trace, |event| ended(event, |o| matches!(o, Outcome::Response(_)))).await?;

    trace.step("A request the other way, asked for by Ada: what is in it stays as it was written");
    ada.does(r#"request ASK ["ECHO", 1.0, 1e400]"#)?;
    ada.sends(trace, "REQUEST", r#""w":"ASK","a":["ECHO", 1.0, 1e400]"#).await?;
    ada.receives(trace, "REQUEST", r#""w":"ECHO","a":[1.0,1e400],"n":2"#).await?;
    ada.notes(trace, |event| matches!(event, ClientEvent::Request { .. })).await?;
    ada.sends(trace, "RESPONSE", r#"{"op":5,"n":2,"r":[1.0,1e400]}"#).await?;
    ada.receives(trace, "RESPONSE", r#"{"outcome":"response","r":[1.0,"#).await?;
    ada.notes(trace, |event| ended(event, |o| matches!(o, Outcome::Response(_)))).await?;

    trace.step("A timeout: nobody answers Ben");
    ben.does("request SILENCE")?;
    ben.sends(trace, "REQUEST", r#"{"op":4,"w":"SILENCE","a":[],"n":2}"#).await?;
    ben.notes(trace, |event| ended(event, |o| *o == Outcome::TimedOut)).await?;

    trace.step("All the while there were heartbeats; here is the first of each client");
    for component in [&mut ada, &mut ben] {
        component.frames.expect_sign_of_life(trace, [ToServer, ToClient]).await?;
    }

    trace.step("Ben leaves: he closes the WebSocket, and the server does so too");
    ben.does("quit")?;
    ben.sends(trace, "close", "1000 ").await?;
    ben.receives(trace, "close", "1000 ").await?;
    ben.ends(trace, &End::Clean).await?;

    trace.step("A violation: somebody speaks no JSON, is told so, and is cut off");
    let (socket, mut frames) = connect::<Litecord>(&server, "stranger").await?;
    say(socket, "hello?").await?;
    upgraded(&mut frames, trace).await?;
    frames.expect(trace, ToClient, "HELLO", r#"{"op":0,"hb_interval":700}"#).await?;
    cut_off(&mut frames, trace, "1007 not JSON at byte 0").await?;
    server.logs(trace, "the peer violated the protocol").await?;

    trace.step("The server ends: it says so to all, who may look for it later");
    server.stop().await?;
    ada.closed(trace, "1001 shutting down", &End::Clean).await
}

fn ended(event: &ClientEvent, how: impl Fn(&Outcome) -> bool) -> bool {
    matches!(event, ClientEvent::Outcome { outcome, .. } if how(outcome))
}

type Component = Client<Heard<Litecord>, litecord_client::Component>;

async fn component(
    trace: &mut Trace,
    server: &Server,
    name: &str,
    password: &str,
) -> anyhow::Result<Component> {
    let config = Arc::new(Config::default().request_timeout(REQUEST_TIMEOUT));
    let component = litecord_client::Component::new(config, password);
    // Shown with the frames.
    let noted = |note: &Note<_>| !matches!(note, Note::Event(ClientEvent::HeartbeatAck { .. }));
    let mut component = Client::connect(trace, server, name, component, noted).await?;
    component.receives(trace, "HELLO", r#"{"op":0,"hb_interval":700}"#).await?;
    component.notes(trace, |event| matches!(event, ClientEvent::Connected { .. })).await?;
    component.sends(trace, "HELLO_ACK", "[redacted]").await?;
    Ok(component)
}

/// One with the right password.
async fn let_in(trace: &mut Trace, server: &Server, name: &str) -> anyhow::Result<Component> {
    let mut component = component(trace, server, name, "helloworld").await?;
    component.notes(trace, |event| matches!(event, ClientEvent::Authenticated)).await?;
    component.receives(trace, "REQUEST", r#"{"op":4,"w":"VERSION","a":[],"n":1}"#).await?;
    component.notes(trace, |event| matches!(event, ClientEvent::Request { .. })).await?;
    component.sends(trace, "RESPONSE", r#"{"op":5,"n":1,"r":{"name":"#).await?;
    Ok(component)
}

/// Its messages.
struct Litecord;

impl Talk for Litecord {
    const SIGNS_OF_LIFE: &'static [&'static str] = &["HEARTBEAT", "HEARTBEAT_ACK"];
    const SECRET: &'static [&'static str] = &["HELLO_ACK"];

    fn look_at(payload: &[u8], direction: Direction) -> (Option<&'static str>, String) {
        let config = CodecConfig::default();
        let text = String::from_utf8_lossy(payload).into_owned();
        let op = match direction {
            ToServer => ClientMessage::decode(payload, &config).map(|m| m.op()),
            ToClient => ServerMessage::decode(payload, &config).map(|m| m.op()),
        };
        match op {
            Ok(OpCode::HELLO_ACK) => {
                let mut hidden = Vec::new();
                let message =
                    ClientMessage::HelloAck { password: Secret::new("[redacted]".into()) };
                let _ = message.encode(&config, &mut hidden);
                (OpCode::HELLO_ACK.name(), String::from_utf8_lossy(&hidden).into_owned())
            }
            Ok(op) => (op.name(), text),
            Err(error) => (None, format!("{error}: {text}")),
        }
    }
}
