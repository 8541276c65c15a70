//! A component that talks to the example `litecord-server`, at the keyboard or scripted through a
//! pipe.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use litecord_proto::ClientEvent;
use smallwire_examples::args::seconds;
use smallwire_examples::client::{ConnectArgs, Note, at_terminal};
use smallwire_examples::litecord_args::WireArgs;
use smallwire_examples::litecord_client::Component;

/// A litecord client. Tells what happens on stdout, a line each, and connects again after whatever
/// happens but a refused password.
///
/// Takes commands from stdin, a line each: request WHAT [ARRAY], dispatch WHAT [ARRAY],
/// subscribers GUILD, close [CODE [REASON]], quit. At the end of stdin, as at quit, it waits for
/// the answers it still expects and leaves; it doesn't connect again for that.
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    connect: ConnectArgs,
    /// What the server wants to hear
    #[arg(long, default_value = "helloworld")]
    password: String,
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
    let component = Component::new(Arc::new(config), args.password);
    let is_ready = |note: &Note<_>| matches!(note, Note::Event(ClientEvent::Authenticated));
    at_terminal(component, args.connect, is_ready).await
}
