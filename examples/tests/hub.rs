//! The hub's driver: who is still there, on pipes under virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use roomvars_proto::{AcceptAll, Dialect, Hub, HubConfig, HubEvent, ServerMessage, ValueRef};
use smallwire_examples::hub::{Sockets, hub_task};
use smallwire_examples::tungstenite::{adapt, config};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Message as Ws, Role};

const INTERVAL: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_hours(1);

type Peer = WebSocketStream<DuplexStream>;

/// A hub that runs until it is dropped.
struct Running {
    sockets: Sockets<AcceptAll>,
    /// What it told, and who was who then.
    told: Arc<Mutex<Vec<(HubEvent, String)>>>,
    _stop: oneshot::Sender<()>,
}

fn running() -> Running {
    let hub = Hub::new(Arc::new(HubConfig::default()), Instant::now().into_std());
    let (task, sockets) = hub_task(hub, Duration::from_millis(8));
    let (stop, stopped) = oneshot::channel::<()>();
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = told.clone();
    let on_event = move |hub: &mut Hub, id, event| {
        let how = match hub.ended(id) {
            Some(end) => end.error().map(ToString::to_string),
            None => hub.connection(id).and_then(|one| one.username).map(str::to_owned),
        };
        telling.lock().unwrap().push((event, how.unwrap_or_default()));
    };
    tokio::spawn(task.run(on_event, async {
        let _ = stopped.await;
    }));
    Running { sockets, told, _stop: stop }
}

impl Running {
    /// One who has joined, and what becomes of its connection.
    async fn ada(&self, pings: Option<Duration>) -> (Peer, JoinHandle<std::io::Result<()>>) {
        let (stream, peer) = duplex(256);
        let socket =
            WebSocketStream::from_raw_socket(stream, Role::Server, Some(config(1000))).await;
        let mut peer = WebSocketStream::from_raw_socket(peer, Role::Client, None).await;
        let sockets = self.sockets.clone();
        let served =
            tokio::spawn(
                async move { sockets.serve(adapt(socket, pings), Dialect::Documented).await },
            );
        let handshake =
            r#"{"kind":"handshake","room":"lobby","username":"ada","variables":{"x":"0"}}"#;
        peer.send(Ws::text(handshake)).await.unwrap();
        while self.clients().await == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        (peer, served)
    }

    async fn clients(&self) -> usize {
        let count = |hub: &mut Hub| hub.room(false, "lobby").map_or(0, |room| room.clients());
        self.sockets.ask(count).await.unwrap()
    }

    /// Sets x.
    async fn set(&self, value: String) {
        let set = move |hub: &mut Hub| {
            let set = ServerMessage::Set { variable: "x".into(), value: ValueRef::text(&value) };
            hub.apply(Instant::now().into_std(), false, "lobby", None, &set)
        };
        self.sockets.ask(set).await.unwrap().unwrap();
    }

    fn told(&self) -> Vec<(HubEvent, String)> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

/// What comes next, if anything does.
async fn hears(peer: &mut Peer) -> Option<Ws> {
    timeout(HOUR, peer.next()).await.expect("stuck").and_then(Result::ok)
}

/// It is over in `time`, give or take a second.
async fn is_lost(served: &mut JoinHandle<std::io::Result<()>>, time: Duration) {
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    let error = timeout(HOUR, served).await.expect("lost").unwrap().unwrap_err();
    assert_eq!(error.to_string(), "no answer to a ping");
    assert!(start.elapsed().abs_diff(time) < second, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_answers_no_ping_is_lost_and_the_application_is_told() {
    let running = running();
    let (mut peer, mut served) = running.ada(Some(INTERVAL)).await;
    sleep(INTERVAL / 2).await;
    peer.send(Ws::text(r#"{"kind":"set","variable":"x","value":"1"}"#)).await.unwrap();
    is_lost(&mut served, 2 * INTERVAL).await;
    assert_eq!(running.clients().await, 0);
    let lost = "the connection was lost".to_owned();
    assert_eq!(running.told(), [(HubEvent::Joined, "ada".into()), (HubEvent::Ended, lost)]);
    // It was asked once.
    assert!(matches!(hears(&mut peer).await, Some(Ws::Ping(_))));
    assert_eq!(hears(&mut peer).await, None);
    // Its name is free.
    running.ada(Some(INTERVAL)).await;
    assert_eq!(running.told(), [(HubEvent::Joined, "ada".into())]);
}

#[tokio::test(start_paused = true)]
async fn who_answers_pings_stays_and_who_talks_gets_none() {
    let running = running();
    let (mut peer, served) = running.ada(Some(INTERVAL)).await;
    let (start, mut pings) = (Instant::now(), 0);
    while pings < 100 {
        // The library answers it when it reads on.
        assert!(matches!(hears(&mut peer).await, Some(Ws::Ping(_))));
        pings += 1;
    }
    let time = 100 * INTERVAL;
    assert!(start.elapsed().abs_diff(time) < INTERVAL, "{:?}", start.elapsed());
    for _ in 0..100 {
        let next = timeout(INTERVAL * 19 / 20, peer.next()).await;
        assert!(next.is_err(), "{next:?}");
        peer.send(Ws::text(r#"{"kind":"set","variable":"x","value":"1"}"#)).await.unwrap();
    }
    assert!(!served.is_finished());
    peer.close(None).await.unwrap();
    while hears(&mut peer).await.is_some() {}
    assert!(served.await.unwrap().is_ok());
    let told = running.told();
    assert_eq!(told.last(), Some(&(HubEvent::Ended, String::new())), "a clean end is no loss");
}

#[tokio::test(start_paused = true)]
async fn who_is_slow_to_read_is_not_lost() {
    let running = running();
    let (mut peer, mut served) = running.ada(Some(INTERVAL)).await;
    // More than the pipe takes.
    for number in 0..10 {
        running.set(format!("{number} {}", "v".repeat(200))).await;
    }
    sleep(HOUR).await;
    assert_eq!(running.clients().await, 1);
    running.set("last".into()).await;
    loop {
        let message = hears(&mut peer).await.unwrap();
        if message.is_text() && message.into_text().unwrap().contains("last") {
            break;
        }
    }
    // Now it could answer, and has as much time as anyone.
    is_lost(&mut served, 2 * INTERVAL).await;
    assert_eq!(running.clients().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_ping_waits_with_what_is_before_it() {
    let running = running();
    let (mut peer, mut served) = running.ada(Some(INTERVAL)).await;
    // The pipe takes it, to the last byte.
    running.set("v".repeat(256 - 4 - 41)).await;
    sleep(10 * INTERVAL).await;
    assert_eq!(running.clients().await, 1);
    assert!(matches!(hears(&mut peer).await, Some(Ws::Text(_))));
    assert!(matches!(hears(&mut peer).await, Some(Ws::Ping(_))));
    is_lost(&mut served, 2 * INTERVAL).await;
}

#[tokio::test(start_paused = true)]
async fn without_an_interval_nobody_is_asked() {
    let running = running();
    let (mut peer, served) = running.ada(None).await;
    assert!(timeout(HOUR, peer.next()).await.is_err());
    assert!(!served.is_finished());
    assert_eq!(running.clients().await, 1);
}
