//! A chat server to talk on. Clients: the example `delimchat-client`.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use delimchat_proto::Secret;
use smallwire_examples::args::{interrupted, printable};
use smallwire_examples::delimchat_args::WireArgs;
use smallwire_examples::delimchat_server::{Options, Password, serve};
use tokio::net::TcpListener;

/// A delimchat server: accounts and rooms in memory. Tells what happens on stderr, a line each. Ctrl-C
/// or SIGTERM ends it.
///
/// A room is there as long as somebody is in it, and has the password of who came first. Everybody is
/// in 00000000, and 0000ECHO sends back what is said to it.
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen; the first line on stdout tells the port that 0 became
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Who has an account; may be given several times
    #[arg(
        long = "user",
        default_values = ["ada:lovelace", "ben:franklin"],
        value_parser = user,
        value_name = "NAME:PASSWORD",
    )]
    users: Vec<(String, Password)>,
    /// Let nobody make an account
    #[arg(long)]
    no_registration: bool,
    /// Let nobody have two connections at a time
    #[arg(long)]
    one_endpoint: bool,
    /// Messages a second, each of up to a kibibyte, that a client may have others told, and 25 times as much
    /// in long messages; five times as many at once. One that says more is turned out
    #[arg(long, default_value_t = 10, value_name = "MESSAGES", value_parser = clap::value_parser!(u32).range(1..))]
    rate_limit: u32,
    #[command(flatten)]
    wire: WireArgs,
}

fn user(text: &str) -> Result<(String, Password), String> {
    match text.split_once(':') {
        Some((name, password)) if !name.is_empty() && !password.is_empty() => {
            Ok((name.to_owned(), Secret::new(password.as_bytes().into())))
        }
        _ => Err("not NAME:PASSWORD".into()),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let options = Options {
        config: Arc::new(args.wire.server()),
        users: args.users.into_iter().collect(),
        registration: !args.no_registration,
        many_endpoints: !args.one_endpoint,
        rate_limit: args.rate_limit,
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
