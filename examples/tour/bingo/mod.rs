//! Bingo: one server, two clients and two who aren't let in.

mod wire;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use bingo_proto::{Config, End, Identification, OpCode, Outcome, SessionError};
use smallwire_examples::bingo_client::{self, Command, Note};
use smallwire_examples::bingo_game::{Ask, News, Question};
use smallwire_examples::bingo_server::{self, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::server::Server;
use crate::tee::Direction::{ToClient, ToServer};
use crate::tee::{Frames, Tee, recorder};
use crate::trace::Trace;

use self::wire::Bingo;

/// Of the server's questions; one of them runs into it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) async fn tour(trace: &mut Trace) -> anyhow::Result<()> {
    let config = Config::default()
        .request_timeout(REQUEST_TIMEOUT)
        .ping_interval(Some(Duration::from_millis(300)));
    let options = bingo_server::Options {
        config: Arc::new(config),
        logins: ["ada", "ben"].map(String::from).into(),
        cells: 4,
    };
    let mut server = Server::start(|listener, log, stopped| async {
        serve(listener, options, log, async { stopped.await.unwrap_or_default() }).await;
    })
    .await?;
    trace.line(format_args!(
        "A bingo server listens on {}. For each frame: when, who to whom,",
        server.address
    ));
    trace.line(format_args!(
        "what it means, and below that its bytes: opcode, id, length, payload."
    ));
    trace.line(format_args!("After ⇒ what an application makes of it."));

    trace.step("Ada logs in: who she is, then a token, which stays secret, and the board");
    let mut ada = Player::connect(&server, "ada", "Ada", false).await?;
    ada.logged_in(trace).await?;
    ada.receives(trace, OpCode::Event, r#"{"news":"joined","who":"Ada"}"#).await?;
    ada.notes(trace, |note| matches!(note, Note::News(News::Joined { .. }))).await?;

    trace.step("Ben logs in, and Ada is told");
    let mut ben = Player::connect(&server, "ben", "Ben", true).await?;
    ben.logged_in(trace).await?;
    for player in [&mut ada, &mut ben] {
        player.receives(trace, OpCode::Event, r#"{"news":"joined","who":"Ben"}"#).await?;
        player.notes(trace, |note| matches!(note, Note::News(News::Joined { .. }))).await?;
    }

    trace.step("Mallory, whose login is on no list, is refused and shown why");
    let mut mallory = Player::connect(&server, "mallory", "Mallory", false).await?;
    mallory.sends(trace, OpCode::Identification, r#""login":"mallory""#).await?;
    mallory.receives(trace, OpCode::ErrorReply, "unknown login").await?;
    let text = "unknown login".into();
    mallory.ends(trace, &End::Error(SessionError::Refused { text })).await?;

    trace.step("A request: Ben asks who plays, and gets a Reply with the Request's id in front");
    ben.does(Command::Ask(Ask::Players))?;
    ben.sends(trace, OpCode::Request, r#"{"ask":"players"}"#).await?;
    ben.receives(trace, OpCode::Reply, r#"["Ada","Ben"]"#).await?;
    ben.notes(trace, |note| answered(note, |o| matches!(o, Outcome::Reply(_)))).await?;

    trace.step("Ada claims a cell: acknowledged by an empty Reply; the variables change for both");
    claim(trace, &mut ada, &mut ben, 0).await?;

    trace.step("An error reply: Ben wants the same cell");
    ben.does(Command::Ask(Ask::Claim { cell: 0 }))?;
    ben.sends(trace, OpCode::Request, r#"{"ask":"claim","cell":0}"#).await?;
    ben.receives(trace, OpCode::ErrorReply, "Ada has that cell").await?;
    ben.notes(trace, |note| answered(note, |o| matches!(o, Outcome::ErrorReply { .. }))).await?;

    trace.step("A request the other way: Ada's row is full, her plugin is asked for the map time");
    claim(trace, &mut ada, &mut ben, 1).await?;
    ada.receives(trace, OpCode::Request, r#"{"ask":"map_time"}"#).await?;
    ada.notes(trace, |note| asked(note, true)).await?;
    ada.sends(trace, OpCode::Reply, r#"{"map_time_ms":"#).await?;
    for player in [&mut ada, &mut ben] {
        player.receives(trace, OpCode::Event, r#""news":"bingo","who":"Ada","row":0"#).await?;
        player.notes(trace, |note| bingo(note, true)).await?;
    }

    trace.step("A timeout: Ben's row is full too, but he is slow to answer");
    claim(trace, &mut ben, &mut ada, 2).await?;
    claim(trace, &mut ben, &mut ada, 3).await?;
    ben.receives(trace, OpCode::Request, r#"{"ask":"map_time"}"#).await?;
    ben.notes(trace, |note| asked(note, false)).await?;
    server.logs(trace, "Ben: no map time: TimedOut").await?;
    for player in [&mut ada, &mut ben] {
        player.receives(trace, OpCode::Event, r#""news":"bingo","who":"Ben","row":1"#).await?;
        player.notes(trace, |note| bingo(note, false)).await?;
    }

    trace.step("His answer comes after all: it is to nothing that the server still awaits");
    ben.does(Command::MapTime(83_000))?;
    ben.sends(trace, OpCode::Reply, r#"{"map_time_ms":83000}"#).await?;
    server.logs(trace, "too late").await?;

    trace.step("All the while there were pings; here is the first of each client");
    for player in [&mut ada, &mut ben] {
        player.pinged(trace).await?;
        server.logs(trace, &format!("{}: answered a ping after", player.name)).await?;
    }

    trace.step("An event from a client: Ben says something, and all hear it");
    ben.does(Command::Say("good game".into()))?;
    ben.sends(trace, OpCode::Event, r#"{"say":"good game"}"#).await?;
    for player in [&mut ada, &mut ben] {
        player.receives(trace, OpCode::Event, r#""who":"Ben","text":"good game""#).await?;
        player.notes(trace, |note| matches!(note, Note::News(News::Said { .. }))).await?;
    }

    trace.step("Ben leaves: he closes the connection, and Ada is told");
    ben.does(Command::Quit)?;
    ben.ends(trace, &End::Clean).await?;
    ada.receives(trace, OpCode::Event, r#"{"news":"left","who":"Ben"}"#).await?;
    ada.notes(trace, |note| matches!(note, Note::News(News::Left { .. }))).await?;

    trace.step("A violation: somebody speaks another protocol, is told so, and is cut off");
    let mut browser = Raw::connect(&server).await?;
    browser.violates(trace, b"GET / HTTP/1.1\r\n\r\n").await?;
    server.logs(trace, "the peer violated the protocol").await?;

    trace.step("The server ends: it closes all connections");
    server.stop().await?;
    ada.ends(trace, &End::Clean).await
}

/// `who` claims `cell`, which is free, and `other` sees it.
async fn claim(
    trace: &mut Trace,
    who: &mut Player,
    other: &mut Player,
    cell: usize,
) -> anyhow::Result<()> {
    who.does(Command::Ask(Ask::Claim { cell }))?;
    who.sends(trace, OpCode::Request, &format!(r#"{{"ask":"claim","cell":{cell}}}"#)).await?;
    who.receives(trace, OpCode::Reply, "").await?;
    who.notes(trace, |note| answered(note, |o| *o == Outcome::Acknowledged)).await?;
    let update = format!(r#"{{"cells":{{"{cell}":"{}"}}}}"#, who.name);
    for player in [who, other] {
        player.receives(trace, OpCode::DataUpdate, &update).await?;
        player.notes(trace, |note| matches!(note, Note::Changed(_))).await?;
    }
    Ok(())
}

fn answered(note: &Note, how: impl Fn(&Outcome) -> bool) -> bool {
    matches!(note, Note::Answer { outcome, .. } if how(outcome))
}

fn asked(note: &Note, by_itself: bool) -> bool {
    matches!(note, Note::Asked { question: Question::MapTime, answered } if *answered == by_itself)
}

fn bingo(note: &Note, with_time: bool) -> bool {
    matches!(note, Note::News(News::Bingo { map_time_ms, .. }) if map_time_ms.is_some() == with_time)
}

/// A client, in a task of its own.
struct Player {
    name: String,
    frames: Frames<Bingo>,
    notes: mpsc::UnboundedReceiver<Note>,
    commands: mpsc::Sender<Command>,
    task: JoinHandle<std::io::Result<End<SessionError>>>,
}

impl Player {
    async fn connect(
        server: &Server,
        login: &'static str,
        name: &'static str,
        manual: bool,
    ) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server.address).await?;
        stream.set_nodelay(true)?;
        let (tee, frames) = recorder(name, stream);
        let (note_sender, notes) = mpsc::unbounded_channel();
        let (commands, command_receiver) = mpsc::channel(16);
        let options = bingo_client::Options {
            config: Arc::new(Config::default()),
            identification: Identification::new(login, name),
            manual,
            notes: Box::new(move |note| {
                let _ = note_sender.send(note);
            }),
        };
        let task = tokio::spawn(bingo_client::play(tee, options, command_receiver));
        Ok(Self { name: name.into(), frames, notes, commands, task })
    }

    async fn logged_in(&mut self, trace: &mut Trace) -> anyhow::Result<()> {
        self.sends(trace, OpCode::Identification, r#"{"login":"#).await?;
        self.receives(trace, OpCode::Ready, "[redacted]").await?;
        self.notes(trace, |note| matches!(note, Note::Ready { .. })).await?;
        self.receives(trace, OpCode::DataUpdate, r#"{"size":4,"cells":{}}"#).await?;
        self.notes(trace, |note| matches!(note, Note::Changed(_))).await
    }

    fn does(&self, command: Command) -> anyhow::Result<()> {
        self.commands.try_send(command).map_err(|error| anyhow!("{}: {error}", self.name))
    }

    async fn sends(&mut self, trace: &mut Trace, opcode: OpCode, text: &str) -> anyhow::Result<()> {
        self.frames.expect(trace, ToServer, opcode.name(), text).await
    }

    async fn receives(
        &mut self,
        trace: &mut Trace,
        opcode: OpCode,
        text: &str,
    ) -> anyhow::Result<()> {
        self.frames.expect(trace, ToClient, opcode.name(), text).await
    }

    async fn pinged(&mut self, trace: &mut Trace) -> anyhow::Result<()> {
        self.frames.expect_sign_of_life(trace, [ToClient, ToServer]).await
    }

    /// Shows the next note of the application, which has to be the right one.
    async fn notes(
        &mut self,
        trace: &mut Trace,
        is_right: impl Fn(&Note) -> bool,
    ) -> anyhow::Result<()> {
        let note = timeout(PATIENCE, self.notes.recv()).await.ok().flatten();
        let note = note.with_context(|| format!("{} notes nothing", self.name))?;
        trace.note(&self.name, &note);
        ensure!(is_right(&note), "expected another note");
        Ok(())
    }

    /// The session must be over, in this way, and nothing may have happened that wasn't shown.
    async fn ends(mut self, trace: &mut Trace, expected: &End<SessionError>) -> anyhow::Result<()> {
        let end = timeout(PATIENCE, self.task).await;
        let end = end.with_context(|| format!("{} doesn't end", self.name))???;
        match end.error() {
            None => trace.note(&self.name, &"the connection is closed"),
            Some(error) => trace.note(&self.name, error),
        }
        ensure!(end == *expected, "expected {expected:?}");
        self.frames.expect_no_more()?;
        let left = self.notes.recv().await;
        ensure!(left.is_none(), "unexpected: {}", left.map_or(String::new(), |n| n.to_string()));
        Ok(())
    }
}

/// Somebody who speaks something else.
struct Raw {
    tee: Tee,
    frames: Frames<Bingo>,
}

impl Raw {
    async fn connect(server: &Server) -> anyhow::Result<Self> {
        let (tee, frames) = recorder("browser", TcpStream::connect(server.address).await?);
        Ok(Self { tee, frames })
    }

    async fn violates(&mut self, trace: &mut Trace, garbage: &[u8]) -> anyhow::Result<()> {
        self.tee.write_all(garbage).await?;
        // Its own end stays open: it is the server that closes.
        let heard = timeout(PATIENCE, self.tee.read_to_end(&mut Vec::new())).await;
        heard.context("the server doesn't close")?.context("reset instead of closed")?;
        self.frames.expect_garbage(trace, ToServer).await?;
        let told = "unknown opcode 0x47";
        self.frames.expect(trace, ToClient, OpCode::ProtocolError.name(), told).await?;
        self.frames.expect_no_more()
    }
}
