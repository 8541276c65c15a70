//! What a million idle connections cost: logged-in bingo servers, all read and all sent.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use allocation_counter::measure;
use anyhow::Context;
use bingo_proto::{
    ClientMessage, CodecConfig, Config, Identification, MessageId, Server, ServerEvent, Session,
};

const SESSIONS: u32 = 1_000_000;

/// Resident memory of this process, in bytes.
fn resident() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("needs Linux")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}

/// A server that has let its client in, has nothing to send and nothing to tell.
fn idle(config: &Arc<Config>, identification: &[u8], now: Instant) -> anyhow::Result<Server> {
    let mut server = Server::new(config.clone(), now);
    server.handle_input(now, identification);
    let Some(ServerEvent::Identified(who)) = server.poll_event() else {
        anyhow::bail!("not identified");
    };
    server.accept(now, who.username.as_bytes())?;
    while server.poll_transmit().is_some() {}
    Ok(server)
}

fn main() -> anyhow::Result<()> {
    let (config, now) = (Arc::new(Config::default()), Instant::now());
    let mut identification = Vec::new();
    ClientMessage::Identification(Identification::new("9f2c", "Ada")).encode(
        MessageId(0),
        &CodecConfig::default(),
        &mut identification,
    )?;

    let mut one = Ok(());
    let heap = measure(|| match idle(&config, &identification, now) {
        // Kept until the end of the process: what it holds isn't given back.
        Ok(server) => std::mem::forget(server),
        Err(error) => one = Err(error),
    });
    one?;

    let before = resident()?;
    let mut servers = Vec::with_capacity(SESSIONS as usize);
    for _ in 0..SESSIONS {
        servers.push(idle(&config, &identification, now)?);
    }
    let after = resident()?;

    println!("| an idle, logged-in server session | bytes |");
    println!("|---|---|");
    println!("| `size_of::<Server>()` | {} |", size_of::<Server>());
    println!("| heap that one holds | {} |", heap.bytes_current);
    let each = (after - before) / u64::from(SESSIONS);
    println!("| resident, each of {} in a `Vec` | {each} |", servers.len());
    Ok(())
}
