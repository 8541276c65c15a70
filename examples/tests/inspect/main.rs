//! Runs `inspect` as a user does: bytes in, lines out, and back.

mod bingo;
mod capture;
mod delimchat;
mod emagine;
mod litecord;
mod roomvars;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use serde_json::value::RawValue;

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

/// The options that a vector's settings are, of those that `options` names: option and key.
pub(crate) fn options_of(vector: &Value, options: &[(&str, &str)]) -> String {
    let mut args = format!("--from {}", vector["from"].as_str().unwrap());
    for (option, key) in options {
        match &vector["config"][key] {
            Value::Null => {}
            Value::String(text) => write!(args, " --{option} {text}").unwrap(),
            other => write!(args, " --{option} {other}").unwrap(),
        }
    }
    args
}

/// The message of a vector.
pub(crate) fn message_of(vector: &Value) -> Vec<u8> {
    if let Some(text) = vector["text"].as_str() {
        return text.as_bytes().to_vec();
    }
    let digits = vector["bytes"].as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// What an error of a vector's message is to `inspect`.
pub(crate) fn problem_of(kind: &str) -> &str {
    match kind {
        "message_too_large" => "payload_too_large",
        "not_utf8" | "not_json" => "not_json",
        "wrong_direction" => "wrong_direction",
        _ => "invalid_field",
    }
}

/// Reads the messages of all vectors and writes the canonical ones, where one message is one object.
/// `field` tells of a key of the vectors how `inspect` has it, and whether the vectors have its JSON as
/// text.
pub(crate) fn check_vectors(
    file: &str,
    options: &[(&str, &str)],
    field: impl Fn(&str) -> (&str, bool),
) {
    let file: Value = serde_json::from_str(file).unwrap();
    let protocol = file["protocol"].as_str().unwrap();
    for vector in file["vectors"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let args = format!("{protocol} --show-secrets {}", options_of(vector, options));
        let bytes = message_of(vector);
        let (status, out, err) = run(&format!("decode {args}"), &bytes);
        assert_eq!((status, &err[..]), (i32::from(vector.get("error").is_some()), ""), "{name}");
        // JSON in it may be none that a `Value` takes.
        let mut object: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&out).unwrap();
        object.retain(|key, _| !matches!(&key[..], "offset" | "length" | "frame" | "detail"));
        let expected = |(key, value): (&String, &Value)| {
            let (key, is_text) = field(key);
            let json = match value {
                Value::String(json) if is_text => json.replace(['\n', '\r'], " "),
                value => value.to_string(),
            };
            (key.to_owned(), json)
        };
        let expected: BTreeMap<_, _> = match vector["error"]["kind"].as_str() {
            Some(kind) => BTreeMap::from([("error".into(), format!("\"{}\"", problem_of(kind)))]),
            None => vector["messages"][0].as_object().unwrap().iter().map(expected).collect(),
        };
        let object: BTreeMap<_, _> =
            object.into_iter().map(|(key, value)| (key, value.get().to_owned())).collect();
        assert_eq!(object, expected, "{name}");
        if vector["canonical"] == true {
            let (status, again, err) = run(&format!("encode {args}"), out);
            assert_eq!((status, err), (0, String::new()), "{name}");
            // Line breaks between tokens have become spaces.
            let on_a_line = |b: &u8| if matches!(b, b'\n' | b'\r') { b' ' } else { *b };
            assert!(again == bytes.iter().map(on_a_line).collect::<Vec<_>>(), "{name}");
        }
    }
}
