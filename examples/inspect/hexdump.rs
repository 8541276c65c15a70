//! Records for a person: annotated bytes, in colour where the terminal wants it.

use std::fmt::Write as _;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style as Ansi};

use crate::Side;
use crate::record::{Part, REDACTED, Record, Value};

const DIM: Ansi = Ansi::new().dimmed();
const NAME: Ansi = AnsiColor::Cyan.on_default();
const CLIENT: Ansi = AnsiColor::Green.on_default().bold();
const SERVER: Ansi = AnsiColor::Blue.on_default().bold();
const BAD: Ansi = AnsiColor::Red.on_default().bold();

/// Bytes on a line.
const WIDTH: usize = 16;

/// Lines of a field that isn't shown in full.
const LINES: usize = 8;

/// Characters of a text that isn't shown in full.
const CHARS: usize = 64;

pub(crate) struct Style {
    /// Who sends all of it.
    pub(crate) from: Side,
    /// Nothing is shortened.
    pub(crate) full: bool,
}

pub(crate) fn write(
    record: &Record<'_>,
    style: &Style,
    show_secrets: bool,
    writer: &mut impl Write,
) -> io::Result<()> {
    let (from, colour) = match style.from {
        Side::Client => ("client", CLIENT),
        Side::Server => ("server", SERVER),
    };
    match record.frame {
        Some(frame) => write!(writer, "{:8}", format!("#{frame}"))?,
        None => write!(writer, "{:08x}", record.offset)?,
    }
    write!(writer, "  {colour}{from}{colour:#}  ")?;
    match &record.outcome {
        Ok(kind) => {
            write!(writer, "{colour}{kind}{colour:#}")?;
            for part in record.parts.iter().filter(|part| part.is_field) {
                if let Value::Number(number) = part.value {
                    write!(writer, "  {} {number:#06x}", part.name)?;
                }
            }
        }
        Err(problem) => write!(writer, "{BAD}{}: {}{BAD:#}", problem.kind, problem.detail)?,
    }
    let plural = if record.length == 1 { "" } else { "s" };
    writeln!(writer, "  {DIM}{} byte{plural}{DIM:#}", record.length)?;
    let mut offset = record.offset;
    for part in &record.parts {
        write_part(part, offset, style.full, part.is_secret && !show_secrets, writer)?;
        offset += part.bytes.len() as u64;
    }
    Ok(())
}

fn write_part(
    part: &Part<'_>,
    offset: u64,
    full: bool,
    hide: bool,
    writer: &mut impl Write,
) -> io::Result<()> {
    let mut lines = part.bytes.chunks(WIDTH);
    let first = lines.next().unwrap_or_default();
    let at = if first.is_empty() { String::new() } else { format!("{offset:08x}") };
    let value = if hide { REDACTED.to_owned() } else { describe(&part.value, full) };
    let (hex, name) = (pairs(first, hide), part.name);
    writeln!(writer, "  {DIM}{at:8}{DIM:#}  {hex:47}  {NAME}{name:11}{NAME:#}  {value}")?;
    let limit = if full { usize::MAX } else { LINES - 1 };
    for (line, at) in lines.by_ref().take(limit).zip((offset..).step_by(WIDTH).skip(1)) {
        writeln!(writer, "  {DIM}{at:08x}{DIM:#}  {}", pairs(line, hide))?;
    }
    match lines.map(<[u8]>::len).sum::<usize>() {
        0 => Ok(()),
        rest => writeln!(writer, "  {:8}  {DIM}… {rest} more bytes{DIM:#}", ""),
    }
}

fn pairs(bytes: &[u8], hide: bool) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (i, byte) in bytes.iter().enumerate() {
        let space = if i == 0 { "" } else { " " };
        // Writing to a String can't fail.
        let _ = if hide { write!(text, "{space}**") } else { write!(text, "{space}{byte:02x}") };
    }
    text
}

fn describe(value: &Value<'_>, full: bool) -> String {
    match value {
        Value::None => String::new(),
        Value::Number(number) => format!("{number} = {number:#06x}"),
        Value::Numbers(numbers) => format!("{numbers:?}"),
        Value::Bool(value) => value.to_string(),
        Value::Word(word) => (*word).to_owned(),
        Value::Bytes(bytes) if bytes.len() == 1 => "1 byte".to_owned(),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        // `Debug` escapes whatever a terminal might act upon.
        Value::Text(text) => match shortened(text, full) {
            Some(start) => format!("{start:?}…"),
            None => format!("{text:?}"),
        },
        Value::Json(json) => match shortened(json, full) {
            Some(start) => escaped(start) + "…",
            None => escaped(json),
        },
    }
}

/// The start of a text that isn't to be shown as a whole.
fn shortened(text: &str, full: bool) -> Option<&str> {
    let (end, _) = text.char_indices().nth(CHARS).filter(|_| !full)?;
    text.get(..end)
}

/// JSON has its own escapes, but not for all that a terminal might act upon.
fn escaped(json: &str) -> String {
    let mut text = String::new();
    for char in json.chars() {
        match char {
            '"' | '\\' | '\'' => text.push(char),
            _ => text.extend(char.escape_debug()),
        }
    }
    text
}
