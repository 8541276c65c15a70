//! A bot in a room: what somebody says in `question` it shouts in `answer`. It stays within a budget,
//! and comes back when the server does.

use std::io::{self, Write};
use std::sync::Arc;

use clap::Parser;
use roomvars_proto::{ClientConfig, ClientEvent, RateLimit, Value};
use smallwire_examples::args::printable;
use smallwire_examples::client::{Command, ConnectArgs, Note, run};
use smallwire_examples::roomvars_client::{Order, Player};
use tokio::sync::mpsc;

/// A bot that shouts in `answer` what is said in `question`.
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Which room to join or create
    #[arg(long, default_value = "lobby")]
    room: String,
}

#[tokio::main]
async fn main() {
    let Args { connect: ConnectArgs { connect, again }, room } = Args::parse();
    // Beyond ten messages a second they wait, and of those that wait only the last is sent.
    let budget = RateLimit::per_second(10);
    let bot = Player {
        config: Arc::new(ClientConfig::default().rate_limit(budget).merge_sets(true)),
        room: Value::Text(room.into()),
        username: "bot".into(),
        variables: ["question", "answer"].map(|name| (name.into(), String::new())).into(),
    };
    let (orders, commands) = mpsc::channel(1024);
    let react = move |note: Note<ClientEvent>| {
        let _ = writeln!(io::stdout(), "{}", printable(&note.to_string()));
        if let Note::Event(ClientEvent::Set { variable, value }) = note
            && &*variable == "question"
        {
            let value = Value::Text(value.as_str().to_uppercase().into());
            let answer = Order::Set { variable: "answer".into(), value };
            // So many wait already? Then nobody misses this one.
            let _ = orders.try_send(Command::Order(answer));
        }
    };
    run(bot, &connect, again.backoff(), Box::new(react), commands).await;
}
