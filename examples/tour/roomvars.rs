//! Roomvars: one server, a room with two clients, and some who aren't let in.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use roomvars_proto::{
    Batch, ClientConfig, ClientEvent, ClientMessage, CloseCode, CodecConfig, Dialect, End,
    HubConfig, ServerMessage, SessionError, Value,
};
use smallwire_examples::roomvars_client::{self, Command, Note};
use smallwire_examples::roomvars_server::{self, serve};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::server::Server;
use crate::tee::Direction::{self, ToClient, ToServer};
use crate::tee::Frames;
use crate::trace::Trace;
use crate::websocket::{Heard, Talk, connect, cut_off, say, upgraded};

pub(crate) async fn tour(trace: &mut Trace) -> anyhow::Result<()> {
    let options = roomvars_server::Options {
        config: Arc::new(HubConfig::default().flush_interval(Duration::from_millis(100))),
        dialect: Dialect::Documented,
        refused: BTreeSet::from(["rude".to_owned()]),
    };
    let mut server = Server::start(|listener, log, stopped| async {
        serve(listener, options, log, async { stopped.await.unwrap_or_default() }).await;
    })
    .await?;
    trace.line(format_args!(
        "A roomvars server listens on {}. It collects changes for 100 ms.",
        server.address
    ));

    trace.step("Ada creates a room with two variables, which nothing answers");
    let mut ada = Player::join(trace, &server, "Ada", &["score", "turn"]).await?;
    server.logs(trace, r#""Ada" joins "lobby", clients there: 1"#).await?;

    trace.step("She sets one; nobody else is there to hear it");
    ada.does("set score 10")?;
    ada.sends(trace, "set", r#"{"kind":"set","variable":"score","value":"10"}"#).await?;

    trace.step(
        "Ben joins: the values of the room count, not his, and he is told all in one message",
    );
    let mut ben = Player::join(trace, &server, "Ben", &["turn", "score"]).await?;
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
    let mut other = Player::join(trace, &server, "ADA", &["score", "turn"]).await?;
    other.turned_away(trace, CloseCode::USERNAME, "the username is taken at byte 0").await?;

    trace.step("Nor does somebody come in who has other variables: 4001");
    let mut other = Player::join(trace, &server, "Eve", &["score"]).await?;
    other
        .turned_away(trace, CloseCode::INCOMPATIBLE, "the room has other variables at byte 0")
        .await?;

    trace.step("Ben says what the server's policy doesn't like: 4000, and he is out of the room");
    ben.does("set turn that is rude")?;
    ben.sends(trace, "set", "that is rude").await?;
    ben.turned_away(trace, CloseCode::GENERIC, "the value is not acceptable at byte 0").await?;
    server.logs(trace, "a client ends: the value is not acceptable").await?;

    trace.step("Somebody speaks no JSON, is told so, and is cut off");
    let (socket, mut frames) = connect::<Roomvars>(&server, "stranger").await?;
    say(socket, "hello?").await?;
    upgraded(&mut frames, trace).await?;
    cut_off(&mut frames, trace, "4000 not JSON at byte 0").await?;

    trace.step("The server ends: it says so to all, who may look for it later");
    server.stop().await?;
    ada.receives(trace, "close", "1001 going away").await?;
    ada.sends(trace, "close", "1001 going away").await?;
    ada.ends(trace, &End::Clean).await
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

/// A client, in a task of its own.
struct Player {
    frames: Frames<Heard<Roomvars>>,
    notes: mpsc::UnboundedReceiver<Note>,
    commands: mpsc::Sender<Command>,
    task: JoinHandle<io::Result<End<SessionError>>>,
}

impl Player {
    async fn join(
        trace: &mut Trace,
        server: &Server,
        name: &str,
        variables: &[&str],
    ) -> anyhow::Result<Self> {
        let (socket, frames) = connect(server, name).await?;
        let (note_sender, notes) = mpsc::unbounded_channel();
        let (commands, command_receiver) = mpsc::channel(16);
        let variables = variables.iter().map(|name| ((*name).to_owned(), "0".to_owned()));
        let options = roomvars_client::Options {
            config: Arc::new(ClientConfig::default()),
            url: String::new(),
            room: Value::Text("lobby".into()),
            username: name.into(),
            variables: variables.collect::<BTreeMap<_, _>>(),
            backoff: None,
            notes: Box::new(move |note| {
                if matches!(note, Note::Event(_)) {
                    let _ = note_sender.send(note);
                }
            }),
        };
        let task = tokio::spawn(roomvars_client::talk(socket, options, command_receiver));
        let mut player = Self { frames, notes, commands, task };
        upgraded(&mut player.frames, trace).await?;
        player.sends(trace, "handshake", &format!(r#""room":"lobby","username":"{name}""#)).await?;
        Ok(player)
    }

    fn does(&self, command: &str) -> anyhow::Result<()> {
        let command = Command::parse(command).map_err(|error| anyhow!(error))?;
        self.commands.try_send(command).map_err(|error| anyhow!("{}: {error}", self.frames.name))
    }

    async fn sends(&mut self, trace: &mut Trace, kind: &str, text: &str) -> anyhow::Result<()> {
        self.frames.expect(trace, ToServer, kind, text).await
    }

    async fn receives(&mut self, trace: &mut Trace, kind: &str, text: &str) -> anyhow::Result<()> {
        self.frames.expect(trace, ToClient, kind, text).await
    }

    /// Shows the next event of the session, which has to be the right one.
    async fn notes(
        &mut self,
        trace: &mut Trace,
        is_right: impl Fn(&ClientEvent) -> bool,
    ) -> anyhow::Result<()> {
        let note = timeout(PATIENCE, self.notes.recv()).await.ok().flatten();
        let note = note.with_context(|| format!("{} notes nothing", self.frames.name))?;
        trace.note(&self.frames.name, &note);
        ensure!(matches!(&note, Note::Event(event) if is_right(event)), "expected another note");
        Ok(())
    }

    /// The server closes with this code.
    async fn turned_away(
        &mut self,
        trace: &mut Trace,
        code: CloseCode,
        reason: &str,
    ) -> anyhow::Result<()> {
        let close = format!("{code} {reason}");
        self.receives(trace, "close", &close).await?;
        self.sends(trace, "close", &close).await?;
        let error = SessionError::Closed { code, reason: reason.into() };
        self.over(trace, &End::Error(error)).await
    }

    /// The session must be over, in this way.
    async fn over(
        &mut self,
        trace: &mut Trace,
        expected: &End<SessionError>,
    ) -> anyhow::Result<()> {
        let end = timeout(PATIENCE, &mut self.task).await;
        let end = end.with_context(|| format!("{} doesn't end", self.frames.name))???;
        let shown = end.clone().into_result().map_err(|error| error.to_string());
        trace.note(&self.frames.name, &Note::Ended(shown));
        ensure!(end == *expected, "expected {expected:?}");
        self.frames.expect_no_more()
    }

    /// The same, and nothing may have happened that wasn't shown.
    async fn ends(mut self, trace: &mut Trace, expected: &End<SessionError>) -> anyhow::Result<()> {
        self.over(trace, expected).await?;
        let left = self.notes.recv().await;
        ensure!(left.is_none(), "unexpected: {}", left.map_or(String::new(), |n| n.to_string()));
        Ok(())
    }
}
