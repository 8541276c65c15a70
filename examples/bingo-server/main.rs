//! A bingo server to play on. Clients: the example `bingo-client`.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bingo_proto::Config;
use clap::Parser;
use smallwire_examples::args::seconds;
use smallwire_examples::bingo_args::WireArgs;
use smallwire_examples::bingo_server::{Options, serve};
use tokio::net::TcpListener;

/// A bingo server: one room, cells to claim. Ctrl-C ends it.
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen; the first line on stdout tells the port that 0 became
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// A login to let in; may be given many times
    #[arg(long = "login", value_name = "LOGIN", default_values = ["ada", "ben", "cleo"])]
    logins: Vec<String>,
    /// Cells on the board
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..=400))]
    cells: u16,
    /// Seconds from one ping to the next
    #[arg(long, default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    ping_interval: Duration,
    /// Seconds that a plugin has to answer
    #[arg(long, default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    request_timeout: Duration,
    #[command(flatten)]
    wire: WireArgs,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let config = Config::default()
        .codec(args.wire.codec())
        .ping_interval(Some(args.ping_interval))
        .request_timeout(args.request_timeout);
    let options = Options {
        config: Arc::new(config),
        logins: BTreeSet::from_iter(args.logins),
        cells: args.cells.into(),
    };
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("can't listen on {}", args.listen))?;
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    tokio::select! {
        biased;
        // Polled once, Ctrl-C is heeded: before anyone can know that the server is there.
        interrupted = &mut interrupt => return Ok(interrupted?),
        () = std::future::ready(()) => {}
    }
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    let log = Arc::new(|line: &str| {
        // Nobody reads it? Play on.
        let _ = writeln!(io::stderr(), "{line}");
    });
    serve(listener, options, log, async { interrupt.await.unwrap_or_default() }).await;
    Ok(())
}
