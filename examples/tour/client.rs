//! A client in a task of its own, and what it sends, receives and notes.

use std::io;

use anyhow::{Context, anyhow, ensure};
use smallwire_core::{End, Message, Session};
use smallwire_examples::client::{Command, Note, Protocol, Socket, talk};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::server::Server;
use crate::tee::Direction::{ToClient, ToServer};
use crate::tee::{Frames, Wire};
use crate::trace::Trace;
use crate::websocket::{Heard, Talk, connect, upgraded};

/// Why the sessions of a protocol end.
type ErrorOf<P> = <<P as Protocol>::Session as Session>::Error;

pub(crate) struct Client<W, P: Protocol> {
    pub(crate) frames: Frames<W>,
    notes: mpsc::UnboundedReceiver<Note<P::Event>>,
    commands: mpsc::Sender<Command<P::Order>>,
    task: JoinHandle<io::Result<End<ErrorOf<P>>>>,
}

impl<T, P> Client<Heard<T>, P>
where
    T: Talk,
    P: Protocol<Session: Session<Input = Message, Transmit = Message>> + 'static,
{
    /// One whose WebSocket stands. Of its notes those count that are `noted`.
    pub(crate) async fn connect(
        trace: &mut Trace,
        server: &Server,
        name: &str,
        protocol: P,
        noted: fn(&Note<P::Event>) -> bool,
    ) -> anyhow::Result<Self> {
        let (socket, frames) = connect(server, name).await?;
        let mut client = Self::start(socket, frames, protocol, noted);
        upgraded(&mut client.frames, trace).await?;
        Ok(client)
    }

    /// The server closes in this way, and the session is over.
    pub(crate) async fn closed(
        mut self,
        trace: &mut Trace,
        close: &str,
        expected: &End<ErrorOf<P>>,
    ) -> anyhow::Result<()>
    where
        ErrorOf<P>: PartialEq,
    {
        self.receives(trace, "close", close).await?;
        self.sends(trace, "close", close).await?;
        self.ends(trace, expected).await
    }
}

impl<W: Wire, P: Protocol + 'static> Client<W, P> {
    /// One on a socket that stands. Of its notes those count that are `noted`.
    pub(crate) fn start(
        socket: impl Socket<P::Session> + 'static,
        frames: Frames<W>,
        protocol: P,
        noted: fn(&Note<P::Event>) -> bool,
    ) -> Self {
        let (sender, notes) = mpsc::unbounded_channel();
        let note = Box::new(move |note| {
            if noted(&note) {
                let _ = sender.send(note);
            }
        });
        let (commands, receiver) = mpsc::channel(16);
        let task = tokio::spawn(talk(protocol, socket, note, receiver));
        Self { frames, notes, commands, task }
    }

    pub(crate) fn does(&self, command: &str) -> anyhow::Result<()> {
        let command = Command::parse(command).map_err(|error| anyhow!(error))?;
        self.commands.try_send(command).map_err(|error| anyhow!("{}: {error}", self.frames.name))
    }

    pub(crate) async fn sends(
        &mut self,
        trace: &mut Trace,
        kind: &str,
        text: &str,
    ) -> anyhow::Result<()> {
        self.frames.expect(trace, ToServer, kind, text).await
    }

    pub(crate) async fn receives(
        &mut self,
        trace: &mut Trace,
        kind: &str,
        text: &str,
    ) -> anyhow::Result<()> {
        self.frames.expect(trace, ToClient, kind, text).await
    }

    /// Shows the next event of the session, which has to be the right one.
    pub(crate) async fn notes(
        &mut self,
        trace: &mut Trace,
        is_right: impl Fn(&P::Event) -> bool,
    ) -> anyhow::Result<()> {
        let note = timeout(PATIENCE, self.notes.recv()).await.ok().flatten();
        let note = note.with_context(|| format!("{} notes nothing", self.frames.name))?;
        trace.note(&self.frames.name, &note);
        ensure!(matches!(&note, Note::Event(event) if is_right(event)), "expected another note");
        Ok(())
    }

    /// Shows the next note, which has to contain `text`.
    pub(crate) async fn shows(&mut self, trace: &mut Trace, text: &str) -> anyhow::Result<()> {
        let note = timeout(PATIENCE, self.notes.recv()).await.ok().flatten();
        let note = note.with_context(|| format!("{} doesn't show: {text}", self.frames.name))?;
        trace.note(&self.frames.name, &note);
        ensure!(note.to_string().contains(text), "expected: {text}");
        Ok(())
    }

    /// The session must be over, in this way, and nothing may have happened that wasn't shown.
    pub(crate) async fn ends(
        mut self,
        trace: &mut Trace,
        expected: &End<ErrorOf<P>>,
    ) -> anyhow::Result<()>
    where
        ErrorOf<P>: PartialEq,
    {
        let end = timeout(PATIENCE, self.task).await;
        let end = end.with_context(|| format!("{} doesn't end", self.frames.name))???;
        let shown = end.clone().into_result().map_err(|error| error.to_string());
        trace.note(&self.frames.name, &Note::<P::Event>::Ended(shown));
        ensure!(end == *expected, "expected {expected:?}");
        self.frames.expect_no_more()?;
        let left = self.notes.recv().await;
        ensure!(left.is_none(), "unexpected: {}", left.map_or(String::new(), |n| n.to_string()));
        Ok(())
    }
}
