//! What idle connections cost: a million sessions that are logged in, and clients in a hub's rooms; all
//! read and all sent.

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use anyhow::Context;
use bingo_proto::{ClientMessage, CodecConfig, Identification, MessageId, ServerEvent, Session};
use litecord_proto::Message;
use roomvars_proto::{Dialect, Hub, HubConfig};
use smallwire_benches::{join, take_all};

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

fn roomvars_client(
    config: &Arc<roomvars_proto::ClientConfig>,
    snapshot: &Message,
    now: Instant,
) -> anyhow::Result<roomvars_proto::Client> {
    let variables = [("x", "0"), ("y", "0")];
    let mut client = roomvars_proto::Client::new(config.clone(), "lobby", "ada", &variables, now)?;
    drain(&mut client);
    client.handle_input(now, snapshot);
    drain(&mut client);
    anyhow::ensure!(client.get("y") == Some("2".into()), "not joined");
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
    // First, and all are kept: what was given back would come again, and not count as resident.
    println!("| rooms | clients of each | heap a client | resident a client |");
    println!("|---|---|---|---|");
    let mut hubs = Vec::new();
    for (rooms, clients) in [(10_000, 10), (1000, 100), (100_000, 1)] {
        hubs.push(hub_row(now, rooms, clients)?);
    }
    println!();

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

    let config = Arc::new(roomvars_proto::ClientConfig::default());
    let snapshot = [("x", "1"), ("y", "2")].map(|(variable, value)| {
        format!(r#"{{"kind":"set","variable":"{variable}","value":"{value}"}}"#)
    });
    let snapshot = Message::text(snapshot.join("\n"));
    row("roomvars-proto's `Client`, of 2 variables", now, || {
        roomvars_client(&config, &snapshot, now)
    })
}

/// Most bytes that a client in a room of ten may cost a hub.
const FLOOR: u64 = 1024;

/// Prints what a client costs a hub that has so many rooms, all of which were in use.
fn hub_row(now: Instant, rooms: usize, clients: usize) -> anyhow::Result<Hub> {
    let (count, variables) = (rooms * clients, [("x", "0"), ("y", "0")]);
    let config = HubConfig::default().max_rooms(rooms).max_connections(count);
    let mut hub = Hub::new(config.into(), now);
    let set = Message::text(r#"{"kind":"set","variable":"x","value":"1"}"#);
    let before = resident()?;
    let mut fill = || {
        for room in 0..rooms {
            let (room, mut last) = (format!("room {room}"), None);
            for client in 0..clients {
                let name = format!("client {client}");
                last = Some(join(&mut hub, now, Dialect::Documented, &room, &name, &variables)?);
            }
            if let Some(last) = last {
                hub.handle_input(now, last, &set);
            }
            take_all(&mut hub, |_, _| {});
        }
        anyhow::Ok(())
    };
    let mut filled = Ok(());
    let heap = measure(|| filled = fill());
    filled?;
    let count = u64::try_from(count)?;
    let heap = u64::try_from(heap.bytes_current)? / count;
    let resident = (resident()? - before) / count;
    println!("| {rooms} | {clients} | {heap} | {resident} |");
    anyhow::ensure!(clients < 10 || heap.max(resident) <= FLOOR, "more than {FLOOR} bytes");
    Ok(hub)
}
