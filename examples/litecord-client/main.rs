//! A component that talks to the example `litecord-server`, at the keyboard or scripted through a
//! pipe.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use litecord_proto::{Backoff, ClientEvent};
use smallwire_examples::args::{printable, seconds};
use smallwire_examples::litecord_args::WireArgs;
use smallwire_examples::litecord_client::{Command, Note, Options, run};
use tokio::sync::mpsc;

/// A litecord client. Tells what happens on stdout, a line each, and connects again after whatever
/// happens but a refused password.
///
/// Takes commands from stdin, a line each: request WHAT [ARRAY], dispatch WHAT [ARRAY],
/// subscribers GUILD, close [CODE [REASON]], quit. At the end of stdin, as at quit, it waits for
/// the answers it still expects.
#[derive(Debug, Parser)]
struct Args {
    /// Where the server is, such as ws://127.0.0.1:40123
    #[arg(long, value_name = "URL")]
    connect: String,
    /// What the server wants to hear
    #[arg(long, default_value = "helloworld")]
    password: String,
    /// Connect only once; the exit status is 0 if that ends well, else 1
    #[arg(long)]
    once: bool,
    /// Least seconds between heartbeats that the server may ask for
    #[arg(long, default_value = "0.1", value_parser = seconds, value_name = "SECONDS")]
    min_heartbeat_interval: Duration,
    /// Least seconds before another connection
    #[arg(long, default_value = "1", value_parser = seconds, value_name = "SECONDS")]
    min_backoff: Duration,
    /// Most seconds before another connection
    #[arg(long, default_value = "8", value_parser = seconds, value_name = "SECONDS")]
    max_backoff: Duration,
    #[command(flatten)]
    wire: WireArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let (sender, commands) = mpsc::channel(16);
    let interrupted = sender.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = interrupted.send(Command::Leave).await;
        }
    });
    let mut sender = Some(sender);
    let backoff = Backoff::new().min(args.min_backoff).max(args.max_backoff);
    let options = Options {
        config: Arc::new(args.wire.config().min_heartbeat_interval(args.min_heartbeat_interval)),
        url: args.connect,
        password: args.password,
        backoff: (!args.once).then_some(backoff),
        notes: Box::new(move |note| {
            print(&note);
            // From now on there is something that commands can do.
            if let Note::Event(ClientEvent::Authenticated) = note
                && let Some(sender) = sender.take()
            {
                std::thread::spawn(move || read_commands(&sender));
            }
        }),
    };
    if run(options, commands).await { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A thread of its own, since stdin can't be read without blocking; ends with the process.
fn read_commands(sender: &mpsc::Sender<Command>) {
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        match Command::parse(&line) {
            Ok(command) => {
                if sender.blocking_send(command).is_err() {
                    return;
                }
            }
            Err(error) => print(&Note::Trouble(error)),
        }
    }
    let _ = sender.blocking_send(Command::Quit);
}

fn print(note: &Note) {
    let line = printable(&note.to_string());
    // Nobody reads it? Go on.
    let _ = match note {
        Note::Trouble(_) => writeln!(io::stderr(), "{line}"),
        _ => writeln!(io::stdout(), "{line}"),
    };
}
