//! A server of shared room variables. Clients: the example `roomvars-client`, and the page that it
//! serves to browsers.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use roomvars_proto::HubConfig;
use smallwire_examples::args::{interrupted, parse_with_file, seconds, seconds_or_0};
use smallwire_examples::roomvars_args::WireArgs;
use smallwire_examples::roomvars_server::{Options, Words, serve};
use tokio::net::TcpListener;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// A roomvars server: keeps the variables of rooms, and tells everybody in a room of changes.
///
/// Over HTTP it has a page that shows a room at /, and what it counts for Prometheus at /metrics;
/// whoever wants a WebSocket gets one at any path. It speaks no TLS: put a proxy in front of it that
/// does. SIGINT or SIGTERM ends it; clients are told that they may come back.
#[derive(Debug, Parser)]
struct Args {
    /// A TOML file of these options, by their names without dashes in front; those on the command
    /// line win, and words of both are refused
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen; the first line on stdout tells the port that 0 became
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Seconds that changes are collected for a batch [default: not at all]
    #[arg(long, value_parser = seconds, value_name = "SECONDS")]
    flush_interval: Option<Duration>,
    /// Seconds in which no client is written to twice: messages that come in them share a write
    #[arg(long, default_value = "0.008", value_parser = seconds, value_name = "SECONDS")]
    write_interval: Duration,
    /// Seconds after which a client of which nothing has come gets a ping; if in as many more still
    /// nothing comes, it is lost. 0 is never
    ///
    /// A client that is slow to read isn't lost: while it takes nothing of what waits for it, it gets no
    /// ping. If it is gone, the operating system finds out.
    #[arg(long, default_value = "20", value_parser = seconds_or_0, value_name = "SECONDS")]
    ping_interval: Duration,
    /// Bytes that may wait for a client before sets are merged
    #[arg(long, default_value_t = 64 * 1024, value_name = "BYTES")]
    max_untaken: usize,
    /// Seconds from a connection to its handshake
    #[arg(long, default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    handshake_timeout: Duration,
    /// Seconds that an empty room keeps its variables
    #[arg(long, default_value = "600", value_parser = seconds, value_name = "SECONDS")]
    empty_room_ttl: Duration,
    /// Connections
    #[arg(long, default_value_t = 51_200, value_name = "NUMBER")]
    max_connections: usize,
    /// Rooms, the empty ones included
    #[arg(long, default_value_t = 512, value_name = "NUMBER")]
    max_rooms: usize,
    /// Clients of a room
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    max_room_clients: usize,
    /// Variables of a room [default: 10, in the Scratch dialect 128]
    #[arg(long, value_name = "NUMBER")]
    max_variables: Option<usize>,
    /// Longest message of a client, in bytes
    #[arg(long, default_value_t = 1 << 20, value_name = "BYTES")]
    max_message: usize,
    /// A word that no username and no value may have in it; may be given several times
    #[arg(long, value_name = "WORD")]
    refuse: Vec<String>,
    /// A file of such words, one a line; `#` begins a comment
    #[arg(long, value_name = "FILE")]
    refuse_file: Option<PathBuf>,
    /// What to log on stderr: error, warn, info, debug, off, or TARGET=LEVEL of several, separated by
    /// commas
    #[arg(long, default_value = "info", value_name = "FILTER")]
    log: Targets,
    /// How to log
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
    /// Share rooms with other servers through this Redis, such as redis://127.0.0.1/
    ///
    /// Rooms are kept in Redis, for --empty-room-ttl but at least 10 seconds after the last client has
    /// left, at most --max-rooms of them. All servers make the changes in a room in the same order, and
    /// what any client has been told of is in Redis: it is as safe as Redis keeps it, so have it run with
    /// `appendonly yes`. While Redis is away clients are closed, and refused, with a code after which they
    /// come again. Give all servers the same limits. Each server counts the clients of a room, and tells
    /// their names apart, for itself. A client that sets what others set at the same time is told its own
    /// sets too.
    #[cfg(feature = "redis")]
    #[arg(long, value_name = "URL", value_parser = |url: &str| redis::Client::open(url))]
    redis: Option<redis::Client>,
    #[command(flatten)]
    wire: WireArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// A line for people
    Text,
    /// A line of JSON
    Json,
}

impl Args {
    /// Sets the server up.
    fn options(&self) -> anyhow::Result<Options> {
        let mut limits = self.wire.limits();
        if let Some(variables) = self.max_variables {
            limits = limits.max_variables(variables).max_scratch_variables(variables);
        }
        let mut config = HubConfig::default()
            .limits(limits)
            .max_client_message(self.max_message)
            .max_untaken(self.max_untaken)
            .handshake_timeout(self.handshake_timeout)
            .empty_room_ttl(self.empty_room_ttl)
            .max_connections(self.max_connections)
            .max_rooms(self.max_rooms)
            .max_room_clients(self.max_room_clients);
        (config.flush_interval, config.rate_limit) = (self.flush_interval, self.wire.rate_limit());
        let mut refused: Words = self.refuse.iter().collect();
        if let Some(file) = &self.refuse_file {
            let text = std::fs::read_to_string(file);
            refused.add_file(&text.with_context(|| format!("can't read {}", file.display()))?);
        }
        Ok(Options {
            config: Arc::new(config),
            dialect: self.wire.dialect.into(),
            refused,
            write_interval: self.write_interval,
            ping_interval: Some(self.ping_interval).filter(|interval| !interval.is_zero()),
            #[cfg(feature = "redis")]
            redis: self.redis.clone(),
        })
    }

    fn start_log(&self) {
        let to_stderr = tracing_subscriber::fmt::layer().with_writer(io::stderr);
        let registry = tracing_subscriber::registry().with(self.log.clone());
        match self.log_format {
            LogFormat::Text => registry.with(to_stderr.with_target(false)).init(),
            LogFormat::Json => registry.with(to_stderr.json()).init(),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = parse_with_file(|args: &Args| args.config.clone());
    let options = args.options()?;
    args.start_log();
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("can't listen on {}", args.listen))?;
    // Heeded from now on, before anyone can know that the server is there.
    let interrupt = interrupted()?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    serve(listener, options, interrupt).await;
    Ok(())
}
