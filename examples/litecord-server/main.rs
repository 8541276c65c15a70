//! The server of a bridge between two components. Clients: the example `litecord-client`.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use smallwire_examples::args::{interrupted, printable, seconds};
use smallwire_examples::listener::Driver;
use smallwire_examples::litecord_args::WireArgs;
use smallwire_examples::litecord_server::{Options, serve};
use tokio::net::TcpListener;

/// A litecord server: keeps who subscribes to which guild, and tells every client of changes. Ctrl-C
/// or SIGTERM ends it.
///
/// It answers the requests GUILD_SUBSCRIBERS [GUILD], ECHO [...], CLOSE [CODE, REASON] and
/// ASK [WHAT, ...], which it asks back, and never answers SILENCE. It takes the dispatches
/// SUBSCRIBE and UNSUBSCRIBE [GUILD, USER].
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen; the first line on stdout tells the port that 0 became
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// What clients have to say [default: the application decides, which knows "helloworld"]
    #[arg(long)]
    password: Option<String>,
    /// Seconds from one heartbeat of a client to the next
    #[arg(long, default_value = "10", value_parser = seconds, value_name = "SECONDS")]
    heartbeat_interval: Duration,
    /// Seconds that a heartbeat may be late
    #[arg(long, default_value = "1", value_parser = seconds, value_name = "SECONDS")]
    heartbeat_grace: Duration,
    /// Seconds that each part of the handshake may take
    #[arg(long, default_value = "10", value_parser = seconds, value_name = "SECONDS")]
    handshake_timeout: Duration,
    /// Dispatches a second of a client, of which others may have to be told, and five times as many at
    /// once; one that sends more is turned out
    #[arg(long, default_value_t = 200, value_name = "DISPATCHES", value_parser = clap::value_parser!(u32).range(1..))]
    rate_limit: u32,
    /// Whose WebSockets
    #[arg(long, value_enum, default_value = "tungstenite")]
    driver: Driver,
    #[command(flatten)]
    wire: WireArgs,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut config = args
        .wire
        .config()
        .heartbeat_interval(args.heartbeat_interval)
        .heartbeat_grace(args.heartbeat_grace)
        .handshake_timeout(args.handshake_timeout);
    if let Some(password) = args.password {
        config = config.password(password);
    }
    let options =
        Options { config: Arc::new(config), driver: args.driver, rate_limit: args.rate_limit };
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
