//! A server of shared room variables: one hub, and a WebSocket for each client.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use roomvars_proto::{Author, ConnId, Dialect, End, Hub, HubConfig, HubEvent, Policy, ValueRef};
use tokio::net::{TcpListener, TcpStream};

use crate::app::now;
use crate::hub::{Sockets, hub_task};
use crate::listener::{Log, accept, join};
use crate::tungstenite;

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Of the hub.
    pub config: Arc<HubConfig>,
    /// What clients speak.
    pub dialect: Dialect,
    /// Words that no username and no value may have in it, in lower case.
    pub refused: BTreeSet<String>,
    /// How long changes may be collected for one write, after one in the same moment.
    pub write_interval: Duration,
}

/// Serves whoever connects, until `shutdown`; then closes all connections.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    log: Log,
    shutdown: impl Future<Output = ()>,
) {
    let Options { config, dialect, refused, write_interval } = options;
    let (max_message, max_connections) = (config.max_client_message, config.max_connections);
    let hub = Hub::with_policy(config, Words(refused), now());
    let (task, sockets) = hub_task(hub, write_interval);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let events = log.clone();
    let hub = tokio::spawn(async move {
        let on_event = |hub: &mut Hub<Words>, id, event| events(&told(hub, id, event));
        let stopped = async {
            let _ = stopped.await;
        };
        task.run(on_event, stopped).await;
    });
    let connections = accept(listener, max_connections, &log, shutdown, |number, stream, peer| {
        connection(sockets.clone(), stream, dialect, max_message, (number, peer), log.clone())
    })
    .await;
    drop((stop, sockets));
    join(connections, &log).await;
    let _ = hub.await;
}

async fn connection(
    sockets: Sockets,
    stream: TcpStream,
    dialect: Dialect,
    max_message: usize,
    (number, peer): (u64, SocketAddr),
    log: Log,
) {
    log(&format!("connection {number} from {peer}"));
    let end = match tungstenite::accept(stream, max_message).await {
        Ok(socket) => {
            let served = sockets.serve(tungstenite::adapt(socket), dialect).await;
            served.map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    match end {
        Ok(()) => log(&format!("connection {number} closed")),
        Err(error) => log(&format!("connection {number} lost: {error}")),
    }
}

/// What happened to a connection, for the log.
fn told<P: Policy>(hub: &Hub<P>, id: ConnId, event: HubEvent) -> String {
    let info = hub.connection(id);
    match event {
        HubEvent::Joined => {
            let info = info.as_ref();
            let (room, username) =
                (info.and_then(|info| info.room), info.and_then(|info| info.username));
            let clients = hub.rooms().find(|one| Some(one.id()) == room).map_or(0, |r| r.clients());
            let (room, username) = (room.unwrap_or_default(), username.unwrap_or_default());
            format!("{username:?} joins {room:?}, clients there: {clients}")
        }
        HubEvent::Ended => match hub.ended(id) {
            Some(End::Error(error)) => format!("a client ends: {error}"),
            _ => "a client leaves".to_owned(),
        },
        other => format!("{other:?}"),
    }
}

/// Refuses some words.
#[derive(Debug)]
struct Words(BTreeSet<String>);

impl Words {
    fn accept(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        !self.0.iter().any(|word| text.contains(word))
    }
}

impl Policy for Words {
    fn accepts_username(&mut self, _: &str, username: &str) -> bool {
        self.accept(username)
    }

    fn accepts_value(&mut self, _: Author<'_>, _: &str, value: &ValueRef<'_>) -> bool {
        self.accept(value.as_str())
    }
}
