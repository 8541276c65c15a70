//! Records for a person: annotated bytes, in colour where the terminal wants it.

use std::fmt::Write as _;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style as Ansi};

use crate::Side;
use crate::record::{Note, Part, REDACTED, Record, Role, Scene, Value};

const DIM: Ansi = Ansi::new().dimmed();
const NOTE: Ansi = AnsiColor::Yellow.on_default().bold();
const CLIENT: Ansi = AnsiColor::Green.on_default().bold();
const SERVER: Ansi = AnsiColor::Blue.on_default().bold();
const BAD: Ansi = AnsiColor::Red.on_default().bold();

/// The fields of a frame, in turn.
const FIELDS: [Ansi; 6] = [
    AnsiColor::Cyan.on_default(),
    AnsiColor::Yellow.on_default(),
    AnsiColor::Magenta.on_default(),
    AnsiColor::Green.on_default(),
    AnsiColor::Blue.on_default(),
    AnsiColor::BrightCyan.on_default(),
];

/// Bytes on a line.
const WIDTH: usize = 16;

/// Lines of a field that isn't shown in full.
const LINES: usize = 8;

/// Characters of a text that isn't shown in full.
const CHARS: usize = 64;

pub(crate) struct Style {
    /// Nothing is shortened.
    pub(crate) full: bool,
}

pub(crate) fn write(
    record: &Record<'_>,
    scene: &Scene,
    style: &Style,
    show_secrets: bool,
    writer: &mut impl Write,
) -> io::Result<()> {
    write_scene(scene, writer)?;
    match record.frame {
        Some(frame) => write!(writer, "{:8}", format!("#{frame}"))?,
        None => write!(writer, "{:08x}", record.offset)?,
    }
    let colour = write_sender(scene, writer)?;
    match &record.outcome {
        Ok(kind) => {
            write!(writer, "  {colour}{kind}{colour:#}")?;
            for part in record.parts.iter().filter(|part| part.is_field) {
                if let Value::Number(number) = part.value {
                    write!(writer, "  {} {number:#06x}", part.name)?;
                }
            }
        }
        Err(problem) => write!(writer, "  {BAD}{}: {}{BAD:#}", problem.kind, problem.detail)?,
    }
    writeln!(writer, "  {DIM}{}{DIM:#}", bytes(record.length))?;
    let bad = record.outcome.as_ref().err().and_then(|problem| part_at(record, problem.at));
    let names = record.parts.iter().map(|part| part.name.len());
    let width = names.fold(11, usize::max);
    let mut colours = FIELDS.into_iter().cycle();
    let mut offset = record.offset;
    for (at, part) in record.parts.iter().enumerate() {
        let role = if bad == Some(at) { Role::Bad } else { part.role };
        let (mark, colour) = match role {
            Role::Bad => ('!', BAD),
            Role::Delimiter => (',', DIM),
            Role::Header => ('#', colours.next().unwrap_or(DIM)),
            Role::Payload => (' ', colours.next().unwrap_or(DIM)),
        };
        let hide = part.is_secret && !show_secrets;
        let shown = Shown { mark, colour, width, full: style.full, hide };
        write_part(part, offset, &shown, writer)?;
        offset += part.bytes.len() as u64;
    }
    Ok(())
}

/// What a capture has to say beyond its frames.
pub(crate) fn write_note(note: &Note, scene: &Scene, writer: &mut impl Write) -> io::Result<()> {
    write_scene(scene, writer)?;
    if let Note::Lost { offset, .. } | Note::Skipped { offset, .. } = note {
        write!(writer, "{offset:08x}")?;
    } else {
        write!(writer, "{:8}", "")?;
    }
    if scene.from.is_some() {
        write_sender(scene, writer)?;
    }
    write!(writer, "  {NOTE}{}{NOTE:#}  ", note.name())?;
    match note {
        Note::Opened { client, server, joined } => {
            let beginning = if *joined { ", beginning not captured" } else { "" };
            writeln!(writer, "client {client}, server {server}{beginning}")
        }
        Note::Lost { missing, unfinished, .. } => {
            write!(writer, "{} not in the capture", bytes(*missing))?;
            match unfinished {
                0 => writeln!(writer),
                count => writeln!(writer, ", behind {} of a frame", bytes(*count as u64)),
            }
        }
        Note::Skipped { length, .. } => {
            writeln!(writer, "{} in which no frame is known to begin", bytes(*length))
        }
        Note::Ended => writeln!(writer, "sends no more"),
        Note::Reset => writeln!(writer, "breaks the connection off"),
        Note::Replaced => writeln!(writer, "another connection has the same addresses"),
        Note::Forgotten => writeln!(writer, "too much else to keep"),
        Note::Cut { unfinished } => {
            writeln!(writer, "the capture ends after {} of a frame", bytes(*unfinished as u64))
        }
        Note::Unread { packets, why } => {
            let plural = if *packets == 1 { "" } else { "s" };
            writeln!(writer, "{packets} packet{plural}: {why}")
        }
    }
}

/// When and on which connection, of what was captured.
fn write_scene(scene: &Scene, writer: &mut impl Write) -> io::Result<()> {
    if let Some(at) = scene.at {
        write!(writer, "{DIM}{at:.6}{DIM:#}  ")?;
    }
    if let Some(connection) = scene.connection {
        write!(writer, "[{connection}]  ")?;
    }
    Ok(())
}

/// The sender's name, in the colour that is given back.
fn write_sender(scene: &Scene, writer: &mut impl Write) -> io::Result<Ansi> {
    let colour = match scene.from {
        Some(Side::Server) => SERVER,
        _ => CLIENT,
    };
    let name = scene.from.map_or("", Side::name);
    write!(writer, "  {colour}{name}{colour:#}")?;
    Ok(colour)
}

fn bytes(count: u64) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}

/// Which part of a frame has the byte at this offset, or else comes last before it.
fn part_at(record: &Record<'_>, at: u64) -> Option<usize> {
    let mut start = record.offset;
    let mut found = None;
    for (index, part) in record.parts.iter().enumerate().filter(|(_, p)| !p.bytes.is_empty()) {
        if start <= at {
            found = Some(index);
        }
        start += part.bytes.len() as u64;
    }
    found
}

/// How a part is shown.
struct Shown {
    mark: char,
    colour: Ansi,
    /// Of the names.
    width: usize,
    full: bool,
    hide: bool,
}

fn write_part(
    part: &Part<'_>,
    offset: u64,
    shown: &Shown,
    writer: &mut impl Write,
) -> io::Result<()> {
    let Shown { mark, colour, width, full, hide } = *shown;
    let mut lines = part.bytes.chunks(WIDTH);
    let first = lines.next().unwrap_or_default();
    let at = if first.is_empty() { String::new() } else { format!("{offset:08x}") };
    let mark = if first.is_empty() { ' ' } else { mark };
    let value = if hide { REDACTED.to_owned() } else { describe(&part.value, full) };
    let (hex, name) = (pairs(first, hide), part.name);
    write!(writer, "  {DIM}{at:8}{DIM:#} {colour}{mark}{hex:47}{colour:#}")?;
    writeln!(writer, "  {colour}{name:width$}{colour:#}  {value}")?;
    let limit = if full { usize::MAX } else { LINES - 1 };
    for (line, at) in lines.by_ref().take(limit).zip((offset..).step_by(WIDTH).skip(1)) {
        let hex = pairs(line, hide);
        writeln!(writer, "  {DIM}{at:08x}{DIM:#} {colour}{mark}{hex}{colour:#}")?;
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
        Value::Bytes(value) => bytes(value.len() as u64),
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
