//! A player of the example `bingo-server`, at the keyboard or scripted through a pipe.

use std::fmt::Display;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bingo_proto::{Config, End, Identification};
use clap::Parser;
use smallwire_examples::args::seconds;
use smallwire_examples::bingo_args::WireArgs;
use smallwire_examples::bingo_client::{COMMANDS, Command, Note, Options, play};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// A player of bingo. Takes commands from stdin, a line each: claim CELL, players, cells, say TEXT,
/// quit. At the end of stdin, as at quit, it waits for the answers it still expects.
#[derive(Debug, Parser)]
struct Args {
    /// Where the server is, such as 127.0.0.1:40123
    #[arg(long, value_name = "ADDRESS")]
    connect: String,
    /// The account
    #[arg(long, default_value = "ada")]
    login: String,
    /// The name to play by [default: the login]
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Leave the server's questions to the player, who answers with map-time MILLISECONDS
    #[arg(long)]
    manual: bool,
    /// Seconds that the server has to answer
    #[arg(long, default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    request_timeout: Duration,
    #[command(flatten)]
    wire: WireArgs,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let stream = TcpStream::connect(&args.connect)
        .await
        .with_context(|| format!("can't connect to {}", args.connect))?;
    // What a player does is small and wants to be there at once.
    stream.set_nodelay(true)?;

    let (sender, commands) = mpsc::channel(16);
    let interrupted = sender.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = interrupted.send(Command::Close).await;
        }
    });
    let mut sender = Some(sender);
    let options = Options {
        config: Arc::new(
            Config::default().codec(args.wire.codec()).request_timeout(args.request_timeout),
        ),
        identification: Identification::new(
            args.login.clone(),
            args.username.unwrap_or(args.login),
        ),
        manual: args.manual,
        notes: Box::new(move |note| {
            print(&note);
            // From now on there is something that commands can do.
            if let (Note::Ready { .. }, Some(sender)) = (&note, sender.take()) {
                print(&COMMANDS);
                std::thread::spawn(move || read_commands(&sender));
            }
        }),
    };
    match play(stream, options, commands).await.context("connection lost")? {
        End::Clean => {
            print(&"the connection is closed");
            Ok(ExitCode::SUCCESS)
        }
        End::Error(error) => {
            print(&error);
            Ok(ExitCode::FAILURE)
        }
    }
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
            Err(error) => print(&error),
        }
    }
    let _ = sender.blocking_send(Command::Quit);
}

fn print(line: &dyn Display) {
    // What others say must not steer the terminal.
    let line = line.to_string().replace(char::is_control, "\u{fffd}");
    // Nobody reads it? Play on.
    let _ = writeln!(io::stdout(), "{line}");
}
