//! What the servers have in common: a task for every connection, and an end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

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
    connection: impl Fn(u64, TcpStream, SocketAddr) -> F,
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
                connections.spawn(connection(number, stream, peer));
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
