//! A chat gateway, told what to deliver at the keyboard or through a pipe. Clients: the example
//! `emagine-client`.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use emagine_proto::Secret;
use smallwire_examples::args::{interrupted, printable, read_lines, seconds};
use smallwire_examples::emagine_args::WireArgs;
use smallwire_examples::emagine_server::{Options, Order, serve};
use smallwire_examples::listener::Driver;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// An emagine server: lets in who has a token, and delivers what it is told to. Tells what happens on
/// stderr, a line each. Ctrl-C or SIGTERM ends it.
///
/// Takes commands from stdin, a line each: all MESSAGE, to USER MESSAGE, close USER [CODE [REASON]],
/// quit. A message is JSON, or else plain text, which becomes a string of JSON; a user with spaces
/// stands between quotes. At the end of stdin the server goes on.
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen; the first line on stdout tells the port that 0 became
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// A token, and whose it is, which is what comes after the last =; may be given several times
    #[arg(
        long = "token",
        default_values = ["helloworld=ada", "hellothere=ben"],
        value_parser = token,
        value_name = "TOKEN=USER",
    )]
    users: Vec<(Secret<String>, String)>,
    /// Seconds from one heartbeat to the next, of either side
    #[arg(long, default_value = "45", value_parser = seconds, value_name = "SECONDS")]
    heartbeat_interval: Duration,
    /// Whose WebSockets
    #[arg(long, value_enum, default_value = "axum")]
    driver: Driver,
    #[command(flatten)]
    wire: WireArgs,
}

fn token(text: &str) -> Result<(Secret<String>, String), String> {
    let (token, user) = text.rsplit_once('=').ok_or("not TOKEN=USER")?;
    Ok((Secret::new(token.to_owned()), user.to_owned()))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let options = Options {
        config: Arc::new(args.wire.config().heartbeat_interval(args.heartbeat_interval)),
        users: args.users,
        driver: args.driver,
    };
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("can't listen on {}", args.listen))?;
    // Heeded from now on, before anyone can know that the server is there.
    let interrupt = interrupted()?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    let (sender, orders) = mpsc::channel(16);
    // A thread of its own, since stdin can't be read without blocking; ends with the process.
    std::thread::spawn(move || read_orders(&sender));
    serve(listener, options, orders, Arc::new(tell), interrupt).await;
    Ok(())
}

fn read_orders(sender: &mpsc::Sender<Order>) {
    read_lines(|line| match Order::parse(line) {
        Ok(order) => sender.blocking_send(order).is_ok(),
        Err(error) => {
            tell(&error);
            true
        }
    });
}

fn tell(line: &str) {
    // Nobody reads it? Go on.
    let _ = writeln!(io::stderr(), "{}", printable(line));
}
