//! A server of shared room variables. Clients: the example `roomvars-client`.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use roomvars_proto::HubConfig;
use smallwire_examples::args::{interrupted, printable, seconds};
use smallwire_examples::roomvars_args::WireArgs;
use smallwire_examples::roomvars_server::{Options, serve};
use tokio::net::TcpListener;

/// A roomvars server: keeps the variables of rooms, and tells everybody in a room of changes. Ctrl-C
/// or SIGTERM ends it.
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen; the first line on stdout tells the port that 0 became
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Seconds that changes are collected for a batch [default: not at all]
    #[arg(long, value_parser = seconds, value_name = "SECONDS")]
    flush_interval: Option<Duration>,
    /// Seconds in which no client is written to twice: messages that come in them share a write
    #[arg(long, default_value = "0.008", value_parser = seconds, value_name = "SECONDS")]
    write_interval: Duration,
    /// Bytes that may wait for a client before sets are merged
    #[arg(long, default_value_t = 64 * 1024, value_name = "BYTES")]
    max_untaken: usize,
    /// Seconds from a connection to its handshake
    #[arg(long, default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    handshake_timeout: Duration,
    /// Seconds that an empty room keeps its variables
    #[arg(long, default_value = "600", value_parser = seconds, value_name = "SECONDS")]
    empty_room_ttl: Duration,
    /// Rooms, the empty ones included
    #[arg(long, default_value_t = 512)]
    max_rooms: usize,
    /// Clients of a room
    #[arg(long, default_value_t = 100)]
    max_room_clients: usize,
    /// A word that no username and no value may have in it; may be given several times
    #[arg(long, value_name = "WORD")]
    refuse: Vec<String>,
    #[command(flatten)]
    wire: WireArgs,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut config = HubConfig::default()
        .limits(args.wire.limits())
        .max_untaken(args.max_untaken)
        .handshake_timeout(args.handshake_timeout)
        .empty_room_ttl(args.empty_room_ttl)
        .max_rooms(args.max_rooms)
        .max_room_clients(args.max_room_clients);
    (config.flush_interval, config.rate_limit) = (args.flush_interval, args.wire.rate_limit());
    let options = Options {
        config: Arc::new(config),
        dialect: args.wire.dialect.into(),
        refused: args.refuse.iter().map(|word| word.to_lowercase()).collect(),
        write_interval: args.write_interval,
    };
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("can't listen on {}", args.listen))?;
    // Heeded from now on, before anyone can know that the server is there.
    let interrupt = interrupted()?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    let log = Arc::new(|line: &str| {
        // Nobody reads it? Go on.
        let _ = writeln!(io::stderr(), "{}", printable(line));
    });
    serve(listener, options, log, interrupt).await;
    Ok(())
}
