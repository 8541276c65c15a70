//! Roomvars: one server, a room with two clients, and some who aren't let in.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use roomvars_proto::{
    Batch, ClientConfig, ClientEvent, ClientMessage, CloseCode, CodecConfig, Dialect, End,
    HubConfig, ServerMessage, SessionError, Value,
};
use smallwire_examples::client::Note;
use smallwire_examples::listener::Log;
use smallwire_examples::roomvars_server::{Words, serve};
use smallwire_examples::{roomvars_client, roomvars_server};

use crate::client::Client;
use crate::server::Server;
use crate::tee::Direction::{self, ToClient, ToServer};
use crate::trace::Trace;
use crate::websocket::{Heard, Talk, connect, cut_off, say, upgraded};

pub(crate) async fn tour(trace: &mut Trace) -> anyhow::Result<()> {
    let options = roomvars_server::Options {
        config: Arc::new(HubConfig::default().flush_interval(Duration::from_millis(100))),
        dialect: Dialect::Documented,
        refused: Words::from_iter(["rude"]),
        write_interval: Duration::from_millis(8),
        ping_interval: None,
        #[cfg(feature = "redis")]
        redis: None,
    };
    let mut server = Server::start(|listener, log, stopped| async move {
        log_to(log);
        serve(listener, options, async { stopped.await.unwrap_or_default() }).await;
    })
    .await?;
    trace.line(format_args!(
        "A roomvars server listens on {}. It collects changes for 100 ms.",
        server.address
    ));

    trace.step("Ada creates a room with two variables, which nothing answers");
    let mut ada = join(trace, &server, "Ada", &["score", "turn"]).await?;
    server.logs(trace, r#"joined username="Ada" room="lobby" clients=1"#).await?;

    trace.step("She sets one; nobody else is there to hear it");
    ada.does("set score 10")?;
    ada.sends(trace, "set", r#"{"kind":"set","variable":"score","value":"10"}"#).await?;

    trace.step(
        "Ben joins: the values of the room count, not his, and he is told all in one message",
    );
    let mut ben = join(trace, &server, "Ben", &["turn", "score"]).await?;
    ben.receives(trace, "batch", r#""variable":"turn","value":"0"}⏎{"kind":"set""#).await?;
    for remaining in [1, 0] {
        ben.notes(
            trace,
            |event| matches!(event, ClientEvent::Snapshot { remaining: r, .. } if *r == remaining),
        )
        .await?;
    }

    trace.step("He sets several; Ada is sent them as one batch, and he isn't");
    for (variable, value) in [("score", "11"), ("score", "12"), ("turn", "Ada")] {
        ben.does(&format!("set {variable} {value}"))?;
        let text = format!(r#"{{"kind":"set","variable":"{variable}","value":"{value}"}}"#);
        ben.sends(trace, "set", &text).await?;
    }
    ada.receives(
        trace,
        "batch",
        r#""value":"11"}⏎{"kind":"set","variable":"score","value":"12"}⏎{"#,
    )
    .await?;
    for _ in 0..3 {
        ada.notes(trace, |event| matches!(event, ClientEvent::Set { .. })).await?;
    }

    trace.step("Usernames are unique whatever their case: 4002, and no use in coming again");
    let other = join(trace, &server, "ADA", &["score", "turn"]).await?;
    turned_away(trace, other, CloseCode::USERNAME, "the username is taken").await?;

    trace.step("Nor does somebody come in who has other variables: 4001");
    let other = join(trace, &server, "Eve", &["score"]).await?;
    let reason = "the room has other variables";
    turned_away(trace, other, CloseCode::INCOMPATIBLE, reason).await?;

    trace.step("Ben says what the server's policy doesn't like: 4000, and he is out of the room");
    ben.does("set turn that is rude")?;
    ben.sends(trace, "set", "that is rude").await?;
    turned_away(trace, ben, CloseCode::GENERIC, "the value is not acceptable").await?;
    server.logs(trace, r#"ended error="the value is not acceptable""#).await?;

    trace.step("Somebody speaks no JSON, is told so, and is cut off");
    let (socket, mut frames) = connect::<Roomvars>(&server, "stranger").await?;
    say(socket, "hello?").await?;
    upgraded(&mut frames, trace).await?;
    cut_off(&mut frames, trace, "4000 not JSON at byte 0").await?;

    trace.step("The server ends: it says so to all, who may look for it later");
    server.stop().await?;
    ada.closed(trace, "1001 going away", &End::Clean).await
}

/// Has what the server logs, in this program and from now on, go where the tour looks for it.
fn log_to(log: Log) {
    let writer = move || Lines(log.clone());
    tracing_subscriber::fmt().without_time().with_target(false).with_writer(writer).init();
}

/// Takes a line at a time.
struct Lines(Log);

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        (self.0)(String::from_utf8_lossy(line).trim());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Its messages.
struct Roomvars;

impl Talk for Roomvars {
    const SIGNS_OF_LIFE: &'static [&'static str] = &[];
    const SECRET: &'static [&'static str] = &[];

    fn look_at(payload: &[u8], direction: Direction) -> (Option<&'static str>, String) {
        let config = CodecConfig::default();
        let text = String::from_utf8_lossy(payload).replace('\n', "⏎");
        let kind = match direction {
            ToServer => ClientMessage::decode(payload, &config).map(|message| match message {
                ClientMessage::Handshake { .. } => "handshake",
                ClientMessage::Set { .. } => "set",
                _ => "unknown",
            }),
            ToClient => {
                let messages: Result<Vec<_>, _> = Batch::decode(payload, &config).collect();
                messages.map(|messages| match &messages[..] {
                    [ServerMessage::Set { .. }] => "set",
                    [_] => "unknown",
                    _ => "batch",
                })
            }
        };
        match kind {
            Ok(kind) => (Some(kind), text),
            Err(error) => (None, format!("{error}: {text}")),
        }
    }
}

type Player = Client<Heard<Roomvars>, roomvars_client::Player>;

/// One in the lobby.
async fn join(
    trace: &mut Trace,
    server: &Server,
    name: &str,
    variables: &[&str],
) -> anyhow::Result<Player> {
    let variables = variables.iter().map(|name| ((*name).to_owned(), "0".to_owned()));
    let player = roomvars_client::Player {
        config: Arc::new(ClientConfig::default()),
        room: Value::Text("lobby".into()),
        username: name.into(),
        variables: variables.collect(),
    };
    let noted = |note: &Note<_>| matches!(note, Note::Event(_));
    let mut player = Client::connect(trace, server, name, player, noted).await?;
    player.sends(trace, "handshake", &format!(r#""room":"lobby","username":"{name}""#)).await?;
    Ok(player)
}

/// The server closes with this code.
async fn turned_away(
    trace: &mut Trace,
    player: Player,
    code: CloseCode,
    reason: &str,
) -> anyhow::Result<()> {
    let error = SessionError::Closed { code, reason: reason.into() };
    player.closed(trace, &format!("{code} {reason}"), &End::Error(error)).await
}
