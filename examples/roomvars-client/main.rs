//! A client of shared room variables, at the keyboard or scripted through a pipe.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use roomvars_proto::{Backoff, ClientConfig, CodecConfig, Dialect};
use smallwire_examples::args::{printable, seconds};
use smallwire_examples::roomvars_args::WireArgs;
use smallwire_examples::roomvars_client::{Command, Note, Options, room, run};
use tokio::sync::mpsc;

/// A roomvars client. Tells what happens on stdout, a line each, and connects again, unless the server
/// has closed with a code that says not to.
///
/// Takes commands from stdin, a line each: set NAME VALUE, number NAME NUMBER, rename NAME NAME,
/// delete NAME, show, close [CODE [REASON]], quit. At the end of stdin, as at quit, it sends what
/// waits and leaves.
#[derive(Debug, Parser)]
struct Args {
    /// Where the server is, such as ws://127.0.0.1:40123
    #[arg(long, value_name = "URL")]
    connect: String,
    /// Which room to join or create
    #[arg(long, default_value = "lobby")]
    room: String,
    /// The room's id is an integer (Scratch dialect only)
    #[arg(long)]
    room_is_number: bool,
    /// The name in the room
    #[arg(long, default_value = "ada")]
    username: String,
    /// A variable that the room is to have, and its value; may be given several times
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// Of sets of a variable that wait to be sent, send only the last
    #[arg(long)]
    merge_sets: bool,
    /// Connect only once; the exit status is 0 if that ends well, else 1
    #[arg(long)]
    once: bool,
    /// Least seconds before another connection
    #[arg(long, default_value = "1", value_parser = seconds, value_name = "SECONDS")]
    min_backoff: Duration,
    /// Most seconds before another connection
    #[arg(long, default_value = "8", value_parser = seconds, value_name = "SECONDS")]
    max_backoff: Duration,
    #[command(flatten)]
    wire: WireArgs,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let room = match room(&args.room, args.room_is_number) {
        Ok(room) => room,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            return ExitCode::from(2);
        }
    };
    let (sender, commands) = mpsc::channel(16);
    let interrupted = sender.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = interrupted.send(Command::Leave).await;
        }
    });
    let mut sender = Some(sender);
    let dialect = Dialect::from(args.wire.dialect);
    let mut config = ClientConfig::default()
        .codec(CodecConfig::default().dialect(dialect))
        .limits(args.wire.limits())
        .merge_sets(args.merge_sets);
    config.rate_limit = args.wire.rate_limit();
    let backoff = Backoff::new().min(args.min_backoff).max(args.max_backoff);
    let options = Options {
        config: Arc::new(config),
        url: args.connect,
        room,
        username: args.username,
        variables: args.variables.into_iter().collect(),
        backoff: (!args.once).then_some(backoff),
        notes: Box::new(move |note| {
            print(&note);
            // From now on there is something that commands can do.
            if let Note::Connected = note
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
