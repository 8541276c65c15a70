use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, bail, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// Where the server runs, and where we do.
const CORES: [usize; 2] = [0, 1];

/// Builds the example; gives where it is.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let options =
        ["build", "--release", "-p", "smallwire-examples", "--example", "roomvars-server"];
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("Cargo.toml");
    let built = Command::new(cargo).args(options).arg("--manifest-path").arg(manifest).status()?;
    ensure!(built.success(), "the server can't be built");
    let program = env::current_exe()?.with_file_name("examples").join("roomvars-server");
    ensure!(program.exists(), "it isn't {}: run this with --release", program.display());
    Ok(program)
}

fn pin(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &cores).context("needs two cores")
}

/// A server's process, which ends with this.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start<'a>(
        program: &Path,
        arguments: impl Iterator<Item = &'a str>,
    ) -> anyhow::Result<Self> {
        pin(CORES[0])?;
        let mut child = Command::new(program)
            .args(["--listen", "127.0.0.1:0", "--max-room-clients", "10000"])
            // Who hears only texts would answer none.
            .args(["--ping-interval", "0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("can't start {}", program.display()))?;
        pin(CORES[1])?;
        let mut first = String::new();
        let stdout = child.stdout.take().context("no stdout")?;
        BufReader::new(stdout).read_line(&mut first)?;
        let address = first.trim().strip_prefix("listening on ").map(str::parse);
        let address = address.with_context(|| format!("it says {first:?}"))??;
        Ok(Self { child, address })
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        Ok(fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))?)
    }

    /// The processor's time that it has had.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = self.proc("stat")?;
        // Its name, in parentheses, may have spaces in it.
        let (_, stat) = stat.rsplit_once(')').context("no name")?;
        let mut ticks = 0;
        for field in stat.split_whitespace().skip(11).take(2) {
            ticks += field.parse::<u64>()?;
        }
        let a_second = sysconf(SysconfVar::CLK_TCK)?.context("no CLK_TCK")?;
        Ok(Duration::from_millis(ticks * 1000 / u64::try_from(a_second)?))
    }

    /// Resident memory in bytes: now, and the most that it was.
    pub(crate) fn resident(&self) -> anyhow::Result<(u64, u64)> {
        let status = self.proc("status")?;
        let bytes = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context(name)?;
            anyhow::Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
        };
        Ok((bytes("VmRSS:")?, bytes("VmHWM:")?))
    }

    pub(crate) fn is_alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("it ended: {status}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
