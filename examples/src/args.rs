//! What the programs share: options on the command line, lines that are typed, and what they print.

use std::ffi::OsString;
use std::fmt;
use std::future::Future;
use std::io::{self, BufRead};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;
use smallwire_core::CloseFrame;

use crate::websocket::is_close_code;

/// The close code of a connection that has served its purpose.
pub(crate) const NORMAL: u16 = 1000;

/// Reads a time given in seconds, such as `30` or `0.5`.
///
/// # Errors
/// Not a number, or none that is above 0 and can be waited for.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("must be more than 0, and not without end".into()),
    }
}

/// The same, or 0.
///
/// # Errors
/// Not a number, or none that can be waited for.
pub fn seconds_or_0(text: &str) -> Result<Duration, String> {
    if text.parse() == Ok(0.0) { Ok(Duration::ZERO) } else { seconds(text) }
}

/// The program's options, and in front of them those of the TOML file that they name: the last one
/// counts, and of what may be given several times, all. Ends the program if there is anything wrong.
pub fn parse_with_file<A: Parser>(file: impl Fn(&A) -> Option<PathBuf>) -> A {
    let args: Vec<OsString> = std::env::args_os().collect();
    with_file(&args, file).unwrap_or_else(|error| error.exit())
}

fn with_file<A: Parser>(
    args: &[OsString],
    file: impl Fn(&A) -> Option<PathBuf>,
) -> Result<A, clap::Error> {
    let command = A::command().args_override_self(true);
    let parse = |args: &mut dyn Iterator<Item = &OsString>| {
        A::from_arg_matches(&command.clone().try_get_matches_from(args)?)
    };
    let alone = parse(&mut args.iter())?;
    let Some(path) = file(&alone) else { return Ok(alone) };
    let wrong = |error: &dyn fmt::Display| {
        command.clone().error(ErrorKind::ValueValidation, format!("{}: {error}", path.display()))
    };
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(&error))?;
    let from_file = options_of(&text).map_err(|error| wrong(&error))?;
    let program = args.iter().take(1);
    // First alone, to know whose fault it is.
    parse(&mut program.clone().chain(&from_file)).map_err(|error| wrong(&error))?;
    parse(&mut program.chain(&from_file).chain(args.iter().skip(1)))
}

/// What stands in a TOML file, as on the command line.
fn options_of(text: &str) -> Result<Vec<OsString>, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let mut options = Vec::new();
    for (name, value) in table {
        let values = match value {
            toml::Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            options.push(match value {
                toml::Value::String(text) => format!("--{name}={text}").into(),
                toml::Value::Integer(number) => format!("--{name}={number}").into(),
                toml::Value::Float(number) => format!("--{name}={number}").into(),
                _ => return Err(format!("{name} is neither text nor a number")),
            });
        }
    }
    Ok(options)
}

/// One line that doesn't steer the terminal, whatever others say. Line breaks and tabs become
/// spaces, which is what they mean between the tokens of JSON.
pub fn printable(text: &str) -> String {
    text.replace(['\n', '\r', '\t'], " ").replace(char::is_control, "\u{fffd}")
}

/// The first word, and what comes after it.
pub fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// Reads `[CODE [REASON]]`.
///
/// # Errors
/// It is no code that a close frame may carry.
pub fn close_frame(text: &str) -> Result<CloseFrame, String> {
    let (code, reason) = split(text);
    match if code.is_empty() { Ok(NORMAL) } else { code.parse() } {
        Ok(code) if is_close_code(code) => Ok(CloseFrame::new(code, reason.to_owned())),
        _ => Err(format!("{code:?} is no close code")),
    }
}

/// A name, which is a word or JSON text between quotes, and what comes after it.
pub fn name(text: &str) -> Option<(String, &str)> {
    if !text.starts_with('"') {
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        return Some((name.to_owned(), rest));
    }
    let mut json = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let name = json.next()?.ok()?;
    let rest = text.get(json.byte_offset()..)?;
    Some((name, rest.strip_prefix(' ').unwrap_or(rest)))
}

/// Hands out what stands on stdin, line by line, to its end or until `each` has had enough. Blocks.
pub fn read_lines(mut each: impl FnMut(&str) -> bool) {
    let lines = io::stdin().lock().lines().map_while(Result::ok);
    for line in lines {
        if !each(&line) {
            return;
        }
    }
}

/// Ctrl-C or SIGTERM.
///
/// # Errors
/// The system doesn't tell of them.
#[cfg(unix)]
pub fn interrupted() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ctrl-C.
///
/// # Errors
/// The system doesn't tell of it.
#[cfg(windows)]
pub fn interrupted() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Args {
        #[arg(long)]
        config: Option<PathBuf>,
        #[arg(long, default_value_t = 1)]
        number: u32,
        #[arg(long, value_parser = seconds)]
        time: Option<Duration>,
        #[arg(long)]
        word: Vec<String>,
    }

    /// What becomes of a file and of options.
    fn parse(file: &str, options: &[&str]) -> Result<Args, String> {
        let name =
            format!("smallwire-args-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, file).unwrap();
        let config = format!("--config={}", path.display());
        let args: Vec<_> = [&["program", &*config], options].concat();
        let args: Vec<_> = args.iter().map(OsString::from).collect();
        let parsed = with_file(&args, |args: &Args| args.config.clone());
        std::fs::remove_file(&path).unwrap();
        parsed.map_err(|error| error.to_string())
    }

    #[test]
    fn options_win_over_the_file() {
        let file = "number = 2 # more\ntime = 0.5\nword = ['a', '--b']\n";
        let args = parse(file, &[]).unwrap();
        assert_eq!((args.number, args.time), (2, Some(Duration::from_millis(500))));
        assert_eq!(args.word, ["a", "--b"]);
        let args = parse(file, &["--number", "3", "--word", "c"]).unwrap();
        assert_eq!((args.number, args.time), (3, Some(Duration::from_millis(500))));
        assert_eq!(args.word, ["a", "--b", "c"]);
        assert_eq!(parse("", &[]).unwrap().number, 1);
    }

    #[test]
    fn what_is_wrong_in_the_file_is_said_of_the_file() {
        for (file, why) in [
            ("number = 'many'", "invalid value 'many' for '--number"),
            ("color = 'red'", "unexpected argument '--color'"),
            ("number", "expected"),
            ("[number]", "number is neither text nor a number"),
        ] {
            let error = parse(file, &[]).unwrap_err();
            assert!(error.contains("smallwire-args-") && error.contains(why), "{error}");
        }
        let error = parse("number = 2", &["--number", "many"]).unwrap_err();
        assert!(!error.contains("smallwire-args-"), "{error}");
    }
}
