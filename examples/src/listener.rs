//! What the servers have in common: a task for every connection, a WebSocket of either library, and an
//! end.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use clap::ValueEnum;
use smallwire_core::{End, Message, Session};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::app::App;
use crate::turns::Turns;
use crate::{axum, tungstenite};

/// How long connections may take to close when a server ends.
const SHUTDOWN_TIME: Duration = Duration::from_secs(5);

/// Where a server's notes go, a line each.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// Makes a task of every connection, numbered from 0, until `shutdown`; then stops listening and
/// gives those that are left.
pub(crate) async fn accept<F>(
    listener: TcpListener,
    max_connections: usize,
    log: &Log,
    shutdown: impl Future<Output = ()>,
    connection: impl Fn(u64, Turns<TcpStream>, SocketAddr) -> F,
) -> JoinSet<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    let mut number = 0;
    loop {
        // `join_next` only forgets the connections that are over.
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, peer)) if connections.len() < max_connections => {
                // Answers are small and come one by one.
                let _ = stream.set_nodelay(true);
                connections.spawn(connection(number, Turns::new(stream), peer));
                number += 1;
            }
            Ok((_, peer)) => log(&format!("{peer}: no room for another connection")),
            Err(error) => {
                // Such as too many open files: goes by when connections end.
                log(&format!("accept: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    connections
}

/// Waits for connections that were told to close.
pub(crate) async fn join(mut connections: JoinSet<()>, log: &Log) {
    let all_closed = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_TIME, all_closed).await.is_err() {
        log("some connections didn't close in time");
    }
}

/// A WebSocket library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Driver {
    /// tokio-tungstenite alone
    Tungstenite,
    /// axum, on hyper
    Axum,
}

impl Driver {
    /// Makes a WebSocket of `stream` and runs a session on it to its end. A session's time begins when
    /// its WebSocket stands.
    pub(crate) async fn serve<S, A>(
        self,
        stream: Turns<TcpStream>,
        max_message: usize,
        session: impl FnOnce() -> S,
        commands: &mut mpsc::Receiver<A::Command>,
        app: &mut A,
    ) -> anyhow::Result<End<S::Error>>
    where
        S: Session<Input = Message, Transmit = Message>,
        A: App<S>,
    {
        let end = match self {
            Self::Tungstenite => {
                let accepted = tungstenite::accept(stream, max_message);
                let socket = unless_closed(accepted, commands).await??;
                tungstenite::drive(&mut session(), socket, commands, app).await
            }
            Self::Axum => {
                let accepted = axum::accept(stream, max_message);
                let socket = unless_closed(accepted, commands).await??;
                axum::drive(&mut session(), socket, commands, app).await
            }
        };
        Ok(end?)
    }
}

/// Waits for a WebSocket, until the server ends.
async fn unless_closed<T, C>(
    accepted: impl Future<Output = T>,
    commands: &mut mpsc::Receiver<C>,
) -> anyhow::Result<T> {
    tokio::select! {
        accepted = accepted => Ok(accepted),
        // Nothing else is told to a client that isn't let in.
        _ = commands.recv() => bail!("shutting down"),
    }
}

/// How a connection has ended, for the log.
pub(crate) fn told(end: anyhow::Result<End<impl Error>>) -> String {
    match end {
        Ok(End::Clean) => "closed".to_owned(),
        Ok(End::Error(error)) => error.to_string(),
        Err(error) => format!("connection lost: {error:#}"),
    }
}
