//! Runs `inspect` as a user does: bytes in, lines out, and back.

mod bingo;
mod litecord;
mod roomvars;

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

pub(crate) fn inspect(args: &str) -> Command {
    // Cargo builds examples before it runs tests, and puts them beside the tests' directory.
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    let name = format!("inspect{}", std::env::consts::EXE_SUFFIX);
    let program: PathBuf = [profile, "examples".as_ref(), name.as_ref()].iter().collect();
    assert!(program.exists(), "no {}: cargo build --examples", program.display());
    let mut command = Command::new(program);
    command.args(args.split_whitespace()).env_remove("CLICOLOR_FORCE");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn run_command(mut command: Command, input: &[u8]) -> Output {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may stop reading early.
    let writer = std::thread::spawn(move || stdin.write_all(&input).is_ok());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// Exit status, stdout, stderr.
pub(crate) fn run(args: &str, input: impl AsRef<[u8]>) -> (i32, Vec<u8>, String) {
    let output = run_command(inspect(args), input.as_ref());
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), output.stdout, stderr)
}

/// A line for `--hex`.
pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    let mut line = String::new();
    bytes.as_ref().iter().for_each(|byte| write!(line, "{byte:02x}").unwrap());
    line + "\n"
}
