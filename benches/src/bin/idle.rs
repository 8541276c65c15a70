//! What idle connections cost: a million sessions that are logged in, and clients in a hub's rooms; all
//! read and all sent.

use std::any::Any;
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use anyhow::Context;
use roomvars_proto::{Dialect, Hub, HubConfig};
use smallwire_benches::{join, take_all};
use smallwire_core::{Message, Session};
use testkit::bingo::{BingoClient, BingoServer};
use testkit::conformance::Subject;
use testkit::delimchat::{DelimchatClient, DelimchatServer};
use testkit::emagine::{EmagineClient, EmagineServer};
use testkit::litecord::{LitecordClient, LitecordServer};
use testkit::roomvars::RoomvarsClient;

const SESSIONS: u32 = 1_000_000;

/// Resident memory of this process, in bytes.
fn resident() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("needs Linux")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}

/// Prints a row about sessions of this kind, and gives them.
fn row<S: Subject<Session: 'static>>(
    name: &str,
    now: Instant,
    idle: &S,
) -> anyhow::Result<Box<dyn Any>> {
    // Kept until the end of the process: what it holds isn't given back.
    let heap = measure(|| std::mem::forget(idle.start(now)));

    let before = resident()?;
    let mut sessions = Vec::with_capacity(SESSIONS as usize);
    sessions.extend((0..SESSIONS).map(|_| idle.start(now)));
    let each = (resident()? - before) / u64::from(SESSIONS);

    // So soon that no timer is due.
    let soon = now + Duration::from_millis(1);
    let clock = Instant::now();
    for session in &mut sessions {
        if black_box(session.poll_timeout()).is_some() {
            session.handle_timeout(soon);
        }
    }
    let tick = clock.elapsed().as_nanos() / u128::from(SESSIONS);
    let size = size_of::<S::Session>();
    println!("| {name} | {size} | {} | {each} | {tick} |", heap.bytes_current);
    Ok(Box::new(sessions))
}

fn main() -> anyhow::Result<()> {
    let now = Instant::now();
    // All are kept: what was given back would come again, and not count as resident.
    let mut kept: Vec<Box<dyn Any>> = Vec::new();
    println!("| rooms | clients of each | heap a client | resident a client |");
    println!("|---|---|---|---|");
    for (rooms, clients) in [(10_000, 10), (1000, 100), (100_000, 1)] {
        kept.push(Box::new(hub_row(now, rooms, clients)?));
    }
    println!();

    println!(
        "| idle and logged in | `size_of` | heap | resident, of {SESSIONS} in a `Vec` | tick, ns |"
    );
    println!("|---|---|---|---|---|");
    macro_rules! rows {
        ($($name:literal $subject:ident;)+) => {
            $(kept.push(row($name, now, &$subject { ready: true, ..$subject::default() })?);)+
        };
    }
    rows! {
        "bingo-proto's `Server`" BingoServer;
        "bingo-proto's `Client`" BingoClient;
        "litecord-proto's `Server`" LitecordServer;
        "litecord-proto's `Client`" LitecordClient;
        "emagine-proto's `Server`" EmagineServer;
        "emagine-proto's `Client`" EmagineClient;
        "roomvars-proto's `Client`, and its room's variables" RoomvarsClient;
        "delimchat-proto's `Server`, and its client's name and room" DelimchatServer;
        "delimchat-proto's `Client`" DelimchatClient;
    }
    Ok(())
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
