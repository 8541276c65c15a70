//! A client of shared room variables, at the keyboard or scripted through a pipe.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use roomvars_proto::{ClientConfig, CodecConfig, Dialect};
use smallwire_examples::client::{ConnectArgs, Note, at_terminal};
use smallwire_examples::roomvars_args::WireArgs;
use smallwire_examples::roomvars_client::{Player, room};

/// A roomvars client. Tells what happens on stdout, a line each, and connects again, unless the server
/// has closed with a code that says not to.
///
/// Takes commands from stdin, a line each: set NAME VALUE, number NAME NUMBER, rename NAME NAME,
/// delete NAME, show, close [CODE [REASON]], quit. At the end of stdin, as at quit, it sends what
/// waits and leaves.
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    connect: ConnectArgs,
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
    let dialect = Dialect::from(args.wire.dialect);
    let mut config = ClientConfig::default()
        .codec(CodecConfig::default().dialect(dialect))
        .limits(args.wire.limits())
        .merge_sets(args.merge_sets);
    config.rate_limit = args.wire.rate_limit();
    let player = Player {
        config: Arc::new(config),
        room,
        username: args.username,
        variables: args.variables.into_iter().collect(),
    };
    at_terminal(player, args.connect, |note| matches!(note, Note::Connected)).await
}
