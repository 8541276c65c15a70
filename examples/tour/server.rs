//! A server in a task of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use smallwire_examples::listener::Log;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::trace::Trace;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    log: mpsc::UnboundedReceiver<String>,
    /// Lines that nobody has asked for yet.
    lines: Vec<String>,
}

impl Server {
    /// Starts what `serve` makes of a socket, a log and a sign to end.
    pub(crate) async fn start<F>(
        serve: impl FnOnce(TcpListener, Log, oneshot::Receiver<()>) -> F,
    ) -> anyhow::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let (sender, log) = mpsc::unbounded_channel();
        let log_line = Arc::new(move |line: &str| {
            let _ = sender.send(line.to_owned());
        });
        let task = tokio::spawn(serve(listener, log_line, stopped));
        Ok(Self { address, stop, task, log, lines: Vec::new() })
    }

    /// Shows the first line of the log that contains `text`, when there is one.
    pub(crate) async fn logs(&mut self, trace: &mut Trace, text: &str) -> anyhow::Result<()> {
        loop {
            if let Some(at) = self.lines.iter().position(|line| line.contains(text)) {
                trace.note("server", &self.lines.remove(at));
                return Ok(());
            }
            let line = timeout(PATIENCE, self.log.recv()).await.ok().flatten();
            self.lines.push(line.with_context(|| format!("the server doesn't note: {text}"))?);
        }
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let _ = self.stop.send(());
        timeout(PATIENCE, self.task).await.context("the server doesn't end")??;
        Ok(())
    }
}
