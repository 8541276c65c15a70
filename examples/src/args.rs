//! What the programs share: options on the command line, and what they print.

use std::future::Future;
use std::io;
use std::time::Duration;

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
