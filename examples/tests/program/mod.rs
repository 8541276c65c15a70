//! A program of the examples, as its user has it: a process, with pipes.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Longer than anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A program of the examples, killed when dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    /// From both stdout and stderr.
    lines: Receiver<String>,
    /// Those that nobody has found yet.
    lines_seen: Vec<String>,
}

impl Program {
    pub(crate) fn start(name: &str, args: &[&str]) -> Self {
        // Tests are in target/PROFILE/deps, and cargo puts the examples beside that.
        let mut path = std::env::current_exe().unwrap();
        path.pop();
        path.pop();
        path.extend(["examples", name]);
        path.set_extension(std::env::consts::EXE_EXTENSION);
        let mut child = Command::new(&path)
            .args(args)
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; cargo build --examples", path.display()));
        let (sender, lines) = channel();
        read_lines(child.stdout.take().unwrap(), sender.clone());
        read_lines(child.stderr.take().unwrap(), sender);
        Self { stdin: child.stdin.take(), child, lines, lines_seen: Vec::new() }
    }

    pub(crate) fn says(&mut self, line: &str) {
        writeln!(self.stdin.as_ref().unwrap(), "{line}").unwrap();
    }

    /// Waits for a line that contains `text` and that wasn't found before.
    pub(crate) fn shows(&mut self, text: &str) -> String {
        let found = self.lines_seen.iter().position(|line| line.contains(text));
        if let Some(at) = found {
            return self.lines_seen.remove(at);
        }
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => self.lines_seen.push(line),
                Err(error) => panic!("no {text:?} ({error}) in {:#?}", self.lines_seen),
            }
        }
    }

    /// Waits for the end of the program; gives what it has shown beside the lines found before.
    pub(crate) fn ends(&mut self) -> (ExitStatus, String) {
        self.stdin = None;
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.lines_seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("still there after {:#?}", self.lines_seen)
                }
            }
        }
        (self.child.wait().unwrap(), self.lines_seen.join("\n"))
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(from: impl Read + Send + 'static, to: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
}
