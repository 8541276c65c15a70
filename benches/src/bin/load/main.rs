//! Load for `roomvars-server`: one client sets a variable as fast as all others hear of it, or at a pace.
//! The server is a process on one core, this one is on another; whoever hears checks every byte.

mod crowd;
mod receiver;
mod script;
mod server;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::crowd::{Crowd, Kind};
use crate::receiver::Framing;
use crate::server::Server;

/// How many messages a second `roomvars-server` delivers over loopback, and what it needs for them.
#[derive(Debug, Parser)]
struct Args {
    /// Clients that are to hear of sets
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000", value_name = "CLIENTS")]
    receivers: Vec<usize>,
    /// What is measured
    #[arg(long, value_enum, value_delimiter = ',', default_value = "unbatched,batched,paced")]
    mode: Vec<Mode>,
    /// How long one measurement takes, after a second of warming up
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Sets a second when paced; in a soak [default: 80 % of what the server can do for as many clients]
    #[arg(long)]
    rate: Option<u32>,
    /// Sets that may be on their way to the slowest receiver; the default is what the server keeps
    /// without merging
    #[arg(long)]
    window: Option<u32>,
    /// The program, instead of a fresh build of the example
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// One more argument for the server; may be given several times
    #[arg(long, allow_hyphen_values = true)]
    server_arg: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// A WebSocket message for each set, as many as can be
    Unbatched,
    /// 60 batches a second, as many sets as can be
    Batched,
    /// A WebSocket message for each of 1,000 sets a second, or of `--rate`
    Paced,
    /// At a pace, with some clients that stall and others that come and go
    Soak,
}

impl Mode {
    /// What the server needs to be told.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Batched => &["--flush-interval", "0.0166667", "--max-untaken", "4194304"],
            Self::Unbatched | Self::Paced | Self::Soak => &[],
        }
    }

    /// Sets that the server keeps for a client without merging any.
    fn window(self) -> u32 {
        match self {
            Self::Batched => 32 * 1024,
            Self::Unbatched | Self::Paced | Self::Soak => 1024,
        }
    }

    fn framing(self) -> Framing {
        match self {
            Self::Batched => Framing::Batches,
            Self::Unbatched | Self::Paced | Self::Soak => Framing::Single,
        }
    }
}

/// What was seen of the server in some time.
#[derive(Debug)]
struct Figures {
    sets: u64,
    delivered: u64,
    /// Hundredths of a core.
    cpu: u128,
    /// The most that was resident, in MiB.
    resident: u64,
    /// Half of the sets took no longer than that, and 99 of a hundred.
    latency: Option<[Duration; 2]>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // Two for each client: the server gets the same limit.
    let (_, files) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, files, files)?;
    let program = match &args.server {
        Some(path) => path.clone(),
        None => server::build()?,
    };
    println!("| mode | receivers | sets/s | delivered/s | server's CPU | resident | latency |");
    println!("|---|---|---|---|---|---|---|");
    for &mode in &args.mode {
        for &receivers in &args.receivers {
            match mode {
                Mode::Soak => soak(&args, &program, receivers)?,
                Mode::Paced => {
                    let rate = Some(args.rate.unwrap_or(1000));
                    let mut crowd = start(&args, &program, mode, receivers, rate)?;
                    row("paced", receivers, &measure(&mut crowd, args.seconds)?);
                }
                Mode::Unbatched | Mode::Batched => {
                    let mut crowd = start(&args, &program, mode, receivers, None)?;
                    let name = if mode == Mode::Batched { "batched" } else { "unbatched" };
                    row(name, receivers, &measure(&mut crowd, args.seconds)?);
                }
            }
        }
    }
    Ok(())
}

/// A server, and receivers that have joined.
fn start(
    args: &Args,
    program: &Path,
    mode: Mode,
    receivers: usize,
    rate: Option<u32>,
) -> anyhow::Result<Crowd> {
    let (ours, more) = (mode.arguments().iter().copied(), args.server_arg.iter().map(|one| &**one));
    let server = Server::start(program, ours.chain(more))?;
    let window = args.window.unwrap_or(mode.window());
    let mut crowd = Crowd::new(server, mode.framing(), window, rate)?;
    for _ in 0..receivers {
        crowd.join(Kind::Steady)?;
    }
    crowd.settle()?;
    Ok(crowd)
}

/// Warms up, measures, and waits for what is on its way.
fn measure(crowd: &mut Crowd, seconds: u32) -> anyhow::Result<Figures> {
    crowd.run_until(Instant::now() + Duration::from_secs(1))?;
    crowd.forget_latencies();
    let (sets, delivered) = (crowd.sets(), crowd.delivered());
    let (cpu, from) = (crowd.server.cpu()?, Instant::now());
    crowd.run_until(from + Duration::from_secs(seconds.into()))?;
    let (took, cpu) = (from.elapsed().as_nanos(), crowd.server.cpu()?.saturating_sub(cpu));
    let (sets, delivered) = (crowd.sets() - sets, crowd.delivered() - delivered);
    let resident = crowd.server.resident()?.1 >> 20;
    let latency = crowd.latency();
    crowd.settle()?;
    let a_second = |count: u64| u64::try_from(u128::from(count) * 1_000_000_000 / took);
    Ok(Figures {
        sets: a_second(sets)?,
        delivered: a_second(delivered)?,
        cpu: cpu.as_nanos() * 100 / took,
        resident,
        latency,
    })
}

fn row(mode: &str, receivers: usize, figures: &Figures) {
    let Figures { sets, delivered, cpu, resident, latency } = figures;
    let latency = latency.map(|[half, most]| format!("{half:?}, 99 %: {most:?}"));
    println!(
        "| {mode} | {receivers} | {sets} | {delivered} | {cpu} % | {resident} MiB | {} |",
        latency.unwrap_or_default()
    );
}

/// Some that stall, and some that come and go, beside those that always read.
fn soak(args: &Args, program: &Path, receivers: usize) -> anyhow::Result<()> {
    let guests = receivers / 10 + 1;
    let rate = if let Some(rate) = args.rate {
        rate
    } else {
        let all = receivers + 2 * guests;
        let mut crowd = start(args, program, Mode::Unbatched, all, None)?;
        let most = measure(&mut crowd, args.seconds.min(5))?;
        row("unbatched", all, &most);
        u32::try_from(most.sets * 8 / 10)?
    };
    let mut crowd = start(args, program, Mode::Soak, receivers, Some(rate))?;
    for _ in 0..guests {
        crowd.join(Kind::Stalling)?;
        crowd.join(Kind::Passing)?;
    }
    crowd.settle()?;
    let (start, cpu) = (Instant::now(), crowd.server.cpu()?);
    let (sets, delivered) = (crowd.sets(), crowd.delivered());
    let end = start + Duration::from_secs(args.seconds.into());
    // The most in the second tenth of the time, when all is in use, and in the last.
    let mut resident = [0; 2];
    while Instant::now() < end {
        crowd.run_until(end.min(Instant::now() + Duration::from_millis(100)))?;
        crowd.change()?;
        let tenth =
            start.elapsed().as_nanos() * 10 / Duration::from_secs(args.seconds.into()).as_nanos();
        let now = crowd.server.resident()?.0;
        match tenth {
            1 => resident[0] = now.max(resident[0]),
            9 => resident[1] = now.max(resident[1]),
            _ => {}
        }
    }
    let (took, cpu) = (start.elapsed(), crowd.server.cpu()?.saturating_sub(cpu));
    crowd.settle()?;
    let (sets, delivered) = (crowd.sets() - sets, crowd.delivered() - delivered);
    let [before, after] = resident;
    println!();
    println!(
        "soak of {} s at {rate} sets/s, {receivers} receivers, {guests} that stall, {guests} that pass by \
         ({} have come):",
        took.as_secs(),
        crowd.passed_by()
    );
    println!(
        "{sets} sets, {delivered} delivered, {} merged for those that stalled; CPU {} %; resident {} KiB \
         in the second tenth, {} KiB in the last",
        crowd.merged(),
        cpu.as_nanos() * 100 / took.as_nanos(),
        before >> 10,
        after >> 10
    );
    println!();
    let expected = u64::from(rate) * took.as_secs();
    ensure!(sets * 100 >= expected * 99, "the pace wasn't kept: {sets} of {expected}");
    ensure!(after <= before + before / 10, "memory grows");
    crowd.server.is_alive().context("the server is gone")
}
