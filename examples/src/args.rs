//! What the programs share: options on the command line, lines that are typed, and what they print.

use std::future::Future;
use std::io::{self, BufRead};
use std::time::Duration;

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
