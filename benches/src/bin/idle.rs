//! What a million idle connections cost: logged-in sessions, all read and all sent.

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use anyhow::Context;
use bingo_proto::{ClientMessage, CodecConfig, Identification, MessageId, ServerEvent, Session};
use litecord_proto::Message;
use roomvars_proto::{Dialect, Hub, HubConfig};

const SESSIONS: u32 = 1_000_000;

/// Resident memory of this process, in bytes.
fn resident() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("needs Linux")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}

/// Takes all that a session has to send and to tell.
fn drain(session: &mut impl Session) {
    while session.poll_transmit().is_some() {}
    while session.poll_event().is_some() {}
}

fn bingo_server(
    config: &Arc<bingo_proto::Config>,
    identification: &[u8],
    now: Instant,
) -> anyhow::Result<bingo_proto::Server> {
    let mut server = bingo_proto::Server::new(config.clone(), now);
    server.handle_input(now, identification);
    let Some(ServerEvent::Identified(who)) = server.poll_event() else {
        anyhow::bail!("not identified");
    };
    server.accept(now, who.username.as_bytes())?;
    drain(&mut server);
    Ok(server)
}

fn litecord_server(
    config: &Arc<litecord_proto::Config>,
    hello_ack: &Message,
    now: Instant,
) -> anyhow::Result<litecord_proto::Server> {
    let mut server = litecord_proto::Server::new(config.clone(), now);
    server.handle_input(now, hello_ack);
    anyhow::ensure!(server.is_authenticated(), "not let in");
    drain(&mut server);
    Ok(server)
}

fn litecord_client(
    config: &Arc<litecord_proto::Config>,
    [hello, heartbeat_ack]: &[Message; 2],
    now: Instant,
) -> anyhow::Result<litecord_proto::Client> {
    let mut client = litecord_proto::Client::new(config.clone(), "hunter2", now)?;
    client.handle_input(now, hello);
    client.handle_input(now, heartbeat_ack);
    anyhow::ensure!(client.is_authenticated(), "not let in");
    drain(&mut client);
    Ok(client)
}

/// Prints a row about the sessions that `idle` makes, all of them at `start`.
fn row<S: Session>(
    name: &str,
    start: Instant,
    idle: impl Fn() -> anyhow::Result<S>,
) -> anyhow::Result<()> {
    let mut one = Ok(());
    let heap = measure(|| match idle() {
        // Kept until the end of the process: what it holds isn't given back.
        Ok(session) => std::mem::forget(session),
        Err(error) => one = Err(error),
    });
    one?;

    let before = resident()?;
    let mut sessions = Vec::with_capacity(SESSIONS as usize);
    for _ in 0..SESSIONS {
        sessions.push(idle()?);
    }
    let each = (resident()? - before) / u64::from(SESSIONS);

    // So soon that no timer is due.
    let now = start + Duration::from_millis(1);
    let clock = Instant::now();
    for session in &mut sessions {
        if black_box(session.poll_timeout()).is_some() {
            session.handle_timeout(now);
        }
    }
    let tick = clock.elapsed().as_nanos() / u128::from(SESSIONS);
    println!("| {name} | {} | {} | {each} | {tick} |", size_of::<S>(), heap.bytes_current);
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let now = Instant::now();
    println!(
        "| idle and logged in | `size_of` | heap | resident, of {SESSIONS} in a `Vec` | tick, ns |"
    );
    println!("|---|---|---|---|---|");

    let config = Arc::new(bingo_proto::Config::default());
    let mut identification = Vec::new();
    ClientMessage::Identification(Identification::new("9f2c", "Ada")).encode(
        MessageId(0),
        &CodecConfig::default(),
        &mut identification,
    )?;
    row("bingo-proto's `Server`", now, || bingo_server(&config, &identification, now))?;

    let config = Arc::new(litecord_proto::Config::default().password("hunter2"));
    let hello_ack = Message::text(r#"{"op":1,"password":"hunter2"}"#);
    row("litecord-proto's `Server`", now, || litecord_server(&config, &hello_ack, now))?;
    let says = [r#"{"op":0,"hb_interval":10000}"#, r#"{"op":3}"#].map(Message::text);
    row("litecord-proto's `Client`", now, || litecord_client(&config, &says, now))?;
    hub(now)
}

/// Prints what a client costs a hub that has many rooms, all of which were in use.
fn hub(now: Instant) -> anyhow::Result<()> {
    const ROOMS: usize = 10_000;
    const CLIENTS: usize = 10;
    let config = HubConfig::default().max_rooms(ROOMS).max_connections(ROOMS * CLIENTS);
    let config = Arc::new(config);
    let before = resident()?;
    let mut kept = None;
    let heap = measure(|| {
        let hub = kept.insert(Hub::new(config.clone(), now));
        for room in 0..ROOMS {
            let mut last = None;
            for client in 0..CLIENTS {
                let Ok(id) = hub.connect(now, Dialect::Documented) else { return };
                let handshake = format!(
                    r#"{{"kind":"handshake","room":"room {room}","username":"client {client}","variables":{{"x":"0","y":"0"}}}}"#
                );
                hub.handle_input(now, id, &Message::text(handshake));
                last = Some(id);
            }
            if let Some(id) = last {
                let set = r#"{"kind":"set","variable":"x","value":"1"}"#;
                hub.handle_input(now, id, &Message::text(set));
            }
            while let Some(id) = hub.poll_ready() {
                while hub.poll_transmit(id).is_some() {}
            }
            while hub.poll_event().is_some() {}
        }
    });
    let clients = kept.as_ref().map_or(0, |hub| hub.connections().count());
    anyhow::ensure!(clients == ROOMS * CLIENTS, "{clients} clients");
    let each = heap.bytes_current / i64::try_from(clients)?;
    let resident = (resident()? - before) / u64::try_from(clients)?;
    println!();
    println!(
        "| {ROOMS} rooms of {CLIENTS} clients and 2 variables | heap a client | resident a client |"
    );
    println!("|---|---|---|");
    println!("| roomvars-proto's `Hub` | {each} | {resident} |");
    Ok(())
}
