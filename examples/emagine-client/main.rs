//! A user of the example `emagine-server` who reads along, at the keyboard or scripted through a pipe.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use emagine_proto::ClientEvent;
use smallwire_examples::args::seconds;
use smallwire_examples::client::{ConnectArgs, Note, at_terminal};
use smallwire_examples::emagine_args::WireArgs;
use smallwire_examples::emagine_client::Reader;

/// An emagine client. Tells what happens on stdout, a line each, and connects again after whatever
/// happens but a refused token.
///
/// Takes commands from stdin, a line each: heartbeat, close [CODE [REASON]], quit. At the end of stdin,
/// as at quit, it waits for the acks of its heartbeats and leaves; it doesn't connect again for that.
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    connect: ConnectArgs,
    /// What the server knows the user by
    #[arg(long, default_value = "helloworld")]
    token: String,
    /// Least seconds between heartbeats that the server may ask for
    #[arg(long, default_value = "0.1", value_parser = seconds, value_name = "SECONDS")]
    min_heartbeat_interval: Duration,
    #[command(flatten)]
    wire: WireArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let config = args.wire.config().min_heartbeat_interval(args.min_heartbeat_interval);
    let reader = Reader::new(Arc::new(config), args.token);
    let is_ready = |note: &Note<_>| matches!(note, Note::Event(ClientEvent::Ready { .. }));
    at_terminal(reader, args.connect, is_ready).await
}
