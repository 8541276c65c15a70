//! The tour's output: at most 100 columns, in colours where there are any.

use std::fmt::{self, Display};
use std::io::{Stdout, Write};
use std::time::Instant;

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};

use crate::tee::{Direction, Seen};

const HEADING: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const TO_SERVER: Style = AnsiColor::Cyan.on_default();
const TO_CLIENT: Style = AnsiColor::Green.on_default();

/// Columns before what a frame means.
const INDENT: usize = 31;
const WIDTH: usize = 100;

pub(crate) struct Trace {
    out: AutoStream<Stdout>,
    start: Instant,
    steps: usize,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self { out: anstream::stdout(), start: Instant::now(), steps: 0 }
    }

    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    pub(crate) fn step(&mut self, heading: &str) {
        self.steps += 1;
        let step = self.steps;
        self.line(format_args!("\n{HEADING}{step}. {heading}{HEADING:#}"));
    }

    pub(crate) fn frame(&mut self, name: &str, seen: &Seen) {
        let (way, style) = match seen.direction {
            Direction::ToServer => (format!("{name} → server"), TO_SERVER),
            Direction::ToClient => (format!("server → {name}"), TO_CLIENT),
        };
        let millis = seen.at.saturating_duration_since(self.start).as_secs_f64() * 1000.0;
        let mut before = format!("{millis:>8.1} ms  {style}{way:<18}{style:#}");
        for part in wrapped(seen.meaning.trim_end()) {
            self.line(format_args!("{before}{part}"));
            before = " ".repeat(INDENT);
        }
        self.line(format_args!("{:INDENT$}{FAINT}{}{FAINT:#}", "", seen.hex));
    }

    /// What one side's application makes of it.
    pub(crate) fn note(&mut self, who: &str, note: &dyn Display) {
        for part in wrapped(&format!("⇒ {who}: {note}")) {
            self.line(format_args!("{:INDENT$}{part}", ""));
        }
    }

    pub(crate) fn line(&mut self, line: fmt::Arguments<'_>) {
        // Nobody reads it? The checks are made all the same.
        let _ = writeln!(self.out, "{line}");
    }
}

/// Lines of whole words, but for words longer than a line.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + word.chars().count() < WIDTH - INDENT => {
                line.push(' ');
                line.push_str(word);
            }
            _ => {
                let chars: Vec<char> = word.chars().collect();
                let parts = chars.chunks(WIDTH - INDENT - 2);
                lines.extend(parts.map(|part| format!("  {}", String::from_iter(part))));
            }
        }
    }
    lines
}
