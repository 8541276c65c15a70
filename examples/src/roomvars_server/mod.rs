//! A server of shared room variables: one hub, a WebSocket for each client, a page to look at rooms
//! with, and metrics.
//!
//! [`serve`] is the whole of it; [`rooms`] are the routes alone, for a program of your own on axum:
//!
//! ```no_run
//! # async fn example(options: smallwire_examples::roomvars_server::Options) -> std::io::Result<()> {
//! let (routes, hub) = smallwire_examples::roomvars_server::rooms(options, std::future::pending());
//! tokio::spawn(hub);
//! let app = axum::Router::new().nest_service("/rooms", routes);
//! axum::serve(tokio::net::TcpListener::bind("127.0.0.1:4002").await?, app).await
//! # }
//! ```

mod metrics;
mod page;
mod words;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::connect_info::ConnectInfo;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Request, State};
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use roomvars_proto::{ConnId, Dialect, End, Hub, HubConfig, HubEvent};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, info, info_span, warn};

use crate::app::now;
use crate::axum::{adapt, answer, configure};
use crate::hub::{Sockets, hub_task};
use crate::listener::{Log, accept, join};
#[cfg(feature = "redis")]
use crate::roomvars_redis;
use crate::websocket::unsent_limit;
use metrics::Metrics;
use page::Page;
pub use words::Words;

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Of the hub.
    pub config: Arc<HubConfig>,
    /// What clients speak.
    pub dialect: Dialect,
    /// What no username and no value may have in it.
    pub refused: Words,
    /// How long changes may be collected for one write, after one in the same moment.
    pub write_interval: Duration,
    /// After which silence a client gets a ping, and after another one is lost.
    pub ping_interval: Option<Duration>,
    /// Where the rooms are that other servers have too.
    #[cfg(feature = "redis")]
    pub redis: Option<redis::Client>,
}

/// Serves whoever connects, until `shutdown`; then closes all connections, with a code after which
/// clients may come back.
pub async fn serve(listener: TcpListener, options: Options, shutdown: impl Future<Output = ()>) {
    let max_connections = options.config.max_connections;
    let (stop, stopped) = oneshot::channel::<()>();
    let (routes, hub) = rooms(options, async {
        let _ = stopped.await;
    });
    let hub = tokio::spawn(hub);
    let log: Log = Arc::new(|line: &str| warn!("{line}"));
    let requests = accept(listener, max_connections, &log, shutdown, |_, stream, peer| {
        let routes = routes.clone().layer(Extension(ConnectInfo(peer)));
        async {
            if let Err(error) = answer(stream, routes).await {
                debug!(error = error.to_string(), "no request");
            }
        }
    })
    .await;
    info!("shutting down");
    drop(stop);
    join(requests, &log).await;
    let _ = hub.await;
}

/// What a request gets, and the task that has to run for it: that of the hub, which closes all
/// connections at `shutdown` and ends when they are gone.
pub fn rooms(
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> (Router, impl Future<Output = ()>) {
    let Options { config, dialect, refused, write_interval, ping_interval, .. } = options;
    let max_message = config.max_client_message;
    // A room's variables in one message, whatever their JSON makes of them.
    let limits = &config.limits;
    let longest = (limits.max_name.saturating_add(limits.max_value))
        .saturating_mul(6)
        .saturating_add(64)
        .saturating_mul(limits.max_variables.max(limits.max_scratch_variables))
        .min(config.max_server_message);
    #[cfg(feature = "redis")]
    let (config, shares) = (roomvars_redis::hub_config(&config, options.redis.as_ref()), config);
    let (task, sockets) = hub_task(Hub::with_policy(config, refused, now()), write_interval);
    #[cfg(feature = "redis")]
    let (shared, keeper) = roomvars_redis::share(options.redis, &shares, &sockets);
    let (metrics, open) = (Arc::new(Metrics::default()), TaskTracker::new());
    let server = Server {
        #[cfg(feature = "redis")]
        shared,
        sockets,
        dialect,
        max_message,
        unsent_limit: unsent_limit(longest),
        ping_interval,
        page: Page::new(dialect),
        metrics: metrics.clone(),
        number: AtomicU64::new(0),
        open: open.clone(),
    };
    let hub = async move {
        let run = task.run(|hub, id, event| tell(hub, id, event, &metrics), shutdown);
        #[cfg(feature = "redis")]
        let run = roomvars_redis::run_with(keeper, run);
        run.await;
        open.close();
        open.wait().await;
    };
    // Whoever wants a WebSocket gets one, whatever the path.
    (Router::new().fallback(get(request)).with_state(Arc::new(server)), hub)
}

/// What answers requests.
struct Server {
    #[cfg(feature = "redis")]
    shared: Option<Arc<roomvars_redis::Shared<Words>>>,
    sockets: Sockets<Words>,
    dialect: Dialect,
    max_message: usize,
    unsent_limit: usize,
    ping_interval: Option<Duration>,
    page: Page,
    metrics: Arc<Metrics>,
    /// Of the next WebSocket.
    number: AtomicU64,
    /// The WebSockets.
    open: TaskTracker,
}

async fn request(
    State(server): State<Arc<Server>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    uri: Uri,
    request: Request,
) -> Response {
    match upgrade {
        Ok(upgrade) => {
            let number = server.number.fetch_add(1, Ordering::Relaxed);
            let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
            let peer = peer.map(|ConnectInfo(peer)| tracing::field::display(peer));
            let span = info_span!("connection", peer, number);
            let open = server.open.clone();
            let upgrade = configure(upgrade, server.max_message);
            upgrade.max_write_buffer_size(server.unsent_limit).on_upgrade(move |socket| {
                let socket = adapt(socket, server.ping_interval);
                open.track_future(async move { server.connection(socket).await }).instrument(span)
            })
        }
        Err(rejection) if request.headers().contains_key(header::UPGRADE) => {
            rejection.into_response()
        }
        Err(_) => {
            debug!(path = uri.path(), "request");
            match uri.path() {
                "/metrics" => server.metrics.show(&server.sockets).await,
                path => server.page.file(path),
            }
        }
    }
}

impl Server {
    async fn connection(&self, socket: impl crate::websocket::WebSocket) {
        info!("connected");
        let socket = self.metrics.clone().watch(socket);
        #[cfg(feature = "redis")]
        let served = match &self.shared {
            Some(shared) => shared.serve(socket, self.dialect).await,
            None => self.sockets.serve(socket, self.dialect).await,
        };
        #[cfg(not(feature = "redis"))]
        let served = self.sockets.serve(socket, self.dialect).await;
        match served {
            Ok(()) => info!("closed"),
            Err(error) => info!(error = error.to_string(), "lost"),
        }
    }
}

/// Logs and counts what happened to a connection.
fn tell(hub: &Hub<Words>, id: ConnId, event: HubEvent, metrics: &Metrics) {
    match event {
        HubEvent::Joined => {
            let Some(one) = hub.connection(id) else { return };
            let room = one.room.unwrap_or_default();
            let there = hub.room(one.dialect == Dialect::Scratch, room);
            let (username, clients) = (one.username, there.map_or(0, |room| room.clients()));
            metrics.joined();
            info!(username, room, clients, "joined");
        }
        HubEvent::Ended => {
            let Some(End::Error(error)) = hub.ended(id) else {
                info!("left");
                return;
            };
            metrics.ended(error);
            info!(error = error.to_string(), "ended");
        }
        other => info!(event = ?other, "told"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn the_routes_go_into_another_program() {
        let options = Options {
            config: Arc::default(),
            dialect: Dialect::Documented,
            refused: Words::default(),
            write_interval: Duration::ZERO,
            ping_interval: None,
            #[cfg(feature = "redis")]
            redis: None,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (routes, hub) = rooms(options, async {
            let _ = stopped.await;
        });
        let app = Router::new().nest_service("/rooms", routes).route("/", get(async || "mine"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let hub = tokio::spawn(hub);
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        for (path, what) in [("/", "mine"), ("/rooms/", "roomvars"), ("/rooms/metrics", "# EOF")] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(what), "{answer}");
        }
        let url = format!("ws://{address}/rooms/");
        let mut socket = crate::tungstenite::connect(&url, 1000).await.unwrap();
        drop(stop);
        hub.await.unwrap();
        // It was told, though it was in no room yet.
        let told = futures_util::StreamExt::next(&mut socket).await.unwrap().unwrap();
        assert!(told.is_close(), "{told}");
        server.abort();
    }
}
