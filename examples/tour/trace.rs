//! The tour's output: at most 100 columns, in colours where there are any.

use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Instant;

use anstyle::{AnsiColor, Style};

use crate::wire::{Direction, Seen};

const HEADING: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const TO_SERVER: Style = AnsiColor::Cyan.on_default();
const TO_CLIENT: Style = AnsiColor::Green.on_default();

/// Columns before what a frame means.
const INDENT: usize = 31;
const WIDTH: usize = 100;

pub(crate) struct Trace {
    start: Instant,
    steps: usize,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), steps: 0 }
    }

    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    pub(crate) fn start(&self, address: SocketAddr) {
        line(&format!("A bingo server listens on {address}."));
        line(&"Each frame: when, who to whom, what it means, and its bytes: opcode, id, length, payload.");
    }

    pub(crate) fn step(&mut self, heading: &str) {
        self.steps += 1;
        line(&format!("\n{HEADING}{}. {heading}{HEADING:#}", self.steps));
    }

    pub(crate) fn frame(&self, name: &str, seen: &Seen) {
        let (way, style) = match seen.direction {
            Direction::ToServer => (format!("{name} → server"), TO_SERVER),
            Direction::ToClient => (format!("server → {name}"), TO_CLIENT),
        };
        let millis = seen.at.saturating_duration_since(self.start).as_secs_f64() * 1000.0;
        let meaning = clip(seen.meaning.trim_end());
        line(&format!("{millis:>8.1} ms  {style}{way:<18}{style:#}{meaning}"));
        line(&format!("{:INDENT$}{FAINT}{}{FAINT:#}", "", seen.hex));
    }

    /// What one side's application has got of it.
    pub(crate) fn note(&self, who: &str, note: &dyn Display) {
        line(&format!("{:INDENT$}{}", "", clip(&format!("⇒ {who}: {note}"))));
    }
}

fn clip(text: &str) -> String {
    let room = WIDTH - INDENT;
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room - 1).chain(['…']).collect()
}

fn line(line: &dyn Display) {
    // Nobody reads it? The checks are made all the same.
    let _ = writeln!(anstream::stdout(), "{line}");
}
