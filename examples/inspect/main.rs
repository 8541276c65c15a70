//! Looks at what goes over the wire, and makes some.
//!
//! `inspect decode` turns bytes into an annotated hexdump for a person or into JSON Lines for a
//! script; `inspect encode` turns such lines back into bytes. `inspect decode --help` and
//! `inspect encode --help` say the rest.

mod bingo;
mod delimchat;
mod emagine;
mod hex;
mod hexdump;
mod json;
mod litecord;
mod object;
mod op;
mod record;
mod roomvars;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, IsTerminal, Read, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::bingo::Bingo;
use crate::delimchat::Delimchat;
use crate::emagine::Emagine;
use crate::json::Fields;
use crate::litecord::Litecord;
use crate::op::Messages;
use crate::record::Record;
use crate::roomvars::Roomvars;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// The longest line taken, so that input without line ends can't fill the memory.
const MAX_LINE: usize = 64 << 20;

/// Look at the wire, and make some.
#[derive(Debug, Parser)]
#[command(name = "inspect")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show every frame of a capture: a hexdump on a terminal, else one JSON object a line.
    ///
    /// Each object has `offset` and `length`, in bytes from the start of the stream, then `type`
    /// and the fields. Where a protocol has messages, the whole input is one, or with --hex each
    /// line; `frame` counts them from 0, and `offset` the bytes from the message's start. A bad frame
    /// gives `error`, its kind, and `detail` instead, and decoding goes on behind it if it can.
    #[command(after_help = EXIT_STATUS, after_long_help = notes())]
    Decode {
        #[command(flatten)]
        options: Options,
        /// Print the hexdump even if stdout is no terminal; CLICOLOR_FORCE=1 keeps its colours.
        #[arg(long, conflicts_with = "json")]
        human: bool,
        /// Don't shorten long fields in the hexdump.
        #[arg(long)]
        full: bool,
    },
    /// Write the bytes of JSON objects such as decode prints, one a line.
    ///
    /// `offset`, `length` and `frame` are ignored, any other key that doesn't belong to the object
    /// is refused. For an object that can't be encoded nothing is written: stderr tells its line
    /// and why, the lines after it are encoded, and the exit status is 1.
    #[command(after_help = EXIT_STATUS, after_long_help = notes())]
    Encode {
        #[command(flatten)]
        options: Options,
    },
}

const EXIT_STATUS: &str =
    "Exit status: 0 without errors, 1 with any (bad input or unreadable files), 2 for wrong usage.";

fn notes() -> String {
    let notes = [
        bingo::NOTES,
        litecord::NOTES,
        emagine::NOTES,
        roomvars::NOTES,
        delimchat::NOTES,
        EXIT_STATUS,
    ];
    notes.join("\n\n")
}

#[derive(Debug, Args)]
struct Options {
    /// The protocol spoken.
    #[arg(value_enum)]
    protocol: Protocol,
    /// Who sends the bytes.
    #[arg(long, value_enum)]
    from: Side,
    /// Variant of the protocol: bingo's tells where an error reply has the id it answers [default:
    /// header-id], roomvars' which keys and kinds there are [default: documented].
    #[arg(long, value_enum)]
    dialect: Option<Dialect>,
    /// Who may send litecord's requests, responses and dispatches [default: both].
    #[arg(long, value_enum)]
    directions: Option<Directions>,
    /// How delimchat's logins tell the byte order; all ways are read [default: numeric].
    #[arg(long, value_enum)]
    endian_marker: Option<EndianMarker>,
    /// How delimchat's statuses ten to twelve are written; both ways are read [default: decimal].
    #[arg(long, value_enum)]
    status_digits: Option<StatusDigits>,
    /// Layout of numbers.
    #[arg(long, value_enum, default_value = "big")]
    byte_order: ByteOrder,
    /// The longest payload allowed, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = u16::MAX)]
    max_payload: u16,
    /// The longest message or packet allowed, in bytes [default: 1 MiB; 16 MiB from a roomvars server;
    /// 8 KiB for delimchat].
    #[arg(long, value_name = "BYTES")]
    max_message: Option<usize>,
    /// Bytes are hexadecimal text. decode: every line is one chunk or message, white space inside it
    /// is ignored. encode: a line for each object.
    #[arg(long)]
    hex: bool,
    /// JSON Lines even on a terminal; encode takes nothing else anyway.
    #[arg(long)]
    json: bool,
    /// Show passwords and tokens instead of "[redacted]", which encode refuses.
    #[arg(long)]
    show_secrets: bool,
    /// Where to read; stdin if absent or "-".
    file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// Binary frames over TCP.
    Bingo,
    /// JSON over WebSocket.
    Litecord,
    /// JSON over WebSocket.
    Emagine,
    /// JSON over WebSocket, several objects a message.
    Roomvars,
    /// Packets with delimiters over TCP.
    Delimchat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    Client,
    Server,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Dialect {
    /// Bingo: the header's id is the one answered.
    HeaderId,
    /// Bingo: the id answered begins the payload, as in a reply.
    PayloadPrefix,
    /// Roomvars as its document has it.
    Documented,
    /// Roomvars as the servers of 2020 speak it.
    Deployed2020,
    /// Roomvars as today's successors speak it.
    Scratch,
}

impl Dialect {
    const fn protocol(self) -> Protocol {
        match self {
            Self::HeaderId | Self::PayloadPrefix => Protocol::Bingo,
            Self::Documented | Self::Deployed2020 | Self::Scratch => Protocol::Roomvars,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Directions {
    /// Both sides may, as deployed components do.
    Both,
    /// Clients request and dispatch, servers respond.
    AsDocumented,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EndianMarker {
    /// 01 for little, 02 for big.
    Numeric,
    /// L and B.
    Letter,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StatusDigits {
    /// 0A, 0B, 0C.
    Decimal,
    /// 10, 11, 12.
    Hex,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ByteOrder {
    Big,
    Little,
}

/// What each protocol's module provides.
trait Wire {
    /// Whether bytes come in messages rather than as a stream.
    fn takes_messages(&self) -> bool;

    /// Shows what `chunk`, the next bytes from the wire or a whole message, makes whole. `Break`: nothing after it can
    /// be read.
    fn decode(&mut self, chunk: &[u8], output: &mut Output) -> anyhow::Result<ControlFlow<()>>;

    /// Shows what the end of the input leaves unfinished.
    fn finish(&mut self, output: &mut Output) -> io::Result<()>;

    /// Appends the bytes of an object of this type; keys that it doesn't take are refused later.
    fn encode(&self, kind: &str, fields: &mut Fields, dst: &mut Vec<u8>) -> anyhow::Result<()>;
}

/// Where decoded records go.
struct Output {
    writer: BufWriter<Box<dyn Write>>,
    /// `None` for JSON Lines.
    hexdump: Option<hexdump::Style>,
    show_secrets: bool,
    failed: bool,
}

impl Output {
    fn show(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.failed |= record.outcome.is_err();
        match &self.hexdump {
            Some(style) => hexdump::write(record, style, self.show_secrets, &mut self.writer),
            None => json::write(record, self.show_secrets, &mut self.writer),
        }
    }
}

impl Options {
    fn wire(&self) -> Box<dyn Wire> {
        match self.protocol {
            Protocol::Bingo => Box::new(Bingo::new(self)),
            Protocol::Litecord => Box::new(Messages::new(Litecord::new(self))),
            Protocol::Emagine => Box::new(Messages::new(Emagine::new(self))),
            Protocol::Roomvars => Box::new(Roomvars::new(self)),
            Protocol::Delimchat => Box::new(Delimchat::new(self)),
        }
    }

    fn input(&self) -> anyhow::Result<BufReader<Box<dyn Read>>> {
        let reader: Box<dyn Read> = match &self.file {
            Some(path) if path.as_os_str() != "-" => {
                Box::new(File::open(path).with_context(|| path.display().to_string())?)
            }
            _ => Box::new(io::stdin().lock()),
        };
        Ok(BufReader::with_capacity(CHUNK, reader))
    }
}

/// The lines of an input that aren't blank, numbered from 1.
struct Lines {
    input: BufReader<Box<dyn Read>>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    /// The next line; before it might wait for one, `output` is flushed.
    fn next(&mut self, output: &mut impl Write) -> anyhow::Result<Option<(u64, &[u8])>> {
        loop {
            if !self.input.buffer().contains(&b'\n') {
                output.flush()?;
            }
            self.line.clear();
            let mut bounded = (&mut self.input).take(MAX_LINE as u64);
            let read = bounded.read_until(b'\n', &mut self.line).context("can't read")?;
            self.number += 1;
            ensure!(read < MAX_LINE, "line {}: longer than {MAX_LINE} bytes", self.number);
            if read == 0 {
                return Ok(None);
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some((self.number, self.line.trim_ascii())));
            }
        }
    }
}

fn decode(options: &Options, output: &mut Output) -> anyhow::Result<()> {
    let mut wire = options.wire();
    let mut input = options.input()?;
    if options.hex {
        let mut lines = Lines { input, line: Vec::new(), number: 0 };
        while let Some((number, line)) = lines.next(&mut output.writer)? {
            let chunk = hex::decode(line).with_context(|| format!("line {number}: not hex"))?;
            if wire.decode(&chunk, output)?.is_break() {
                return Ok(());
            }
        }
    } else if wire.takes_messages() {
        let mut message = Vec::new();
        let read = input.take(MAX_LINE as u64).read_to_end(&mut message).context("can't read")?;
        ensure!(read < MAX_LINE, "longer than {MAX_LINE} bytes");
        let _ = wire.decode(&message, output)?;
    } else {
        loop {
            output.writer.flush()?;
            let chunk = match input.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                chunk => chunk.context("can't read")?,
            };
            let read = chunk.len();
            if read == 0 {
                break;
            }
            if wire.decode(chunk, output)?.is_break() {
                return Ok(());
            }
            input.consume(read);
        }
    }
    Ok(wire.finish(output)?)
}

/// Tells whether all of it could be encoded.
fn encode(options: &Options, output: &mut impl Write) -> anyhow::Result<bool> {
    let wire = options.wire();
    let mut lines = Lines { input: options.input()?, line: Vec::new(), number: 0 };
    let mut all = true;
    let mut bytes = Vec::new();
    while let Some((number, line)) = lines.next(output)? {
        bytes.clear();
        match encode_line(wire.as_ref(), line, &mut bytes) {
            Ok(()) if options.hex => writeln!(output, "{}", hex::encode(&bytes))?,
            Ok(()) => output.write_all(&bytes)?,
            Err(error) => {
                complain(&error.context(format!("line {number}")));
                all = false;
            }
        }
    }
    Ok(all)
}

fn encode_line(wire: &dyn Wire, line: &[u8], dst: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut fields = Fields::parse(line)?;
    let kind = fields.text("type")?;
    wire.encode(&kind, &mut fields, dst)?;
    fields.finish(&kind)
}

fn run(command: &Command) -> anyhow::Result<bool> {
    match command {
        Command::Decode { options, human, full } => {
            let human = *human || !options.json && io::stdout().is_terminal();
            let stdout: Box<dyn Write> = if human {
                Box::new(anstream::stdout().lock())
            } else {
                Box::new(io::stdout().lock())
            };
            let mut output = Output {
                writer: BufWriter::new(stdout),
                hexdump: human.then_some(hexdump::Style { from: options.from, full: *full }),
                show_secrets: options.show_secrets,
                failed: false,
            };
            let decoded = decode(options, &mut output);
            // What was decoded before an error is shown before its message.
            output.writer.flush()?;
            decoded.map(|()| !output.failed)
        }
        Command::Encode { options } => {
            let mut output = BufWriter::new(io::stdout().lock());
            let encoded = encode(options, &mut output);
            output.flush()?;
            encoded
        }
    }
}

impl Options {
    /// An option that means nothing to the protocol.
    fn misplaced(&self) -> Option<&'static str> {
        let dialect = self.dialect.filter(|dialect| dialect.protocol() != self.protocol);
        let directions = self.directions.filter(|_| self.protocol != Protocol::Litecord);
        let is_delimchat = self.protocol == Protocol::Delimchat;
        let marker = self.endian_marker.filter(|_| !is_delimchat);
        let digits = self.status_digits.filter(|_| !is_delimchat);
        let misplaced = dialect.map(|_| "this --dialect").or(directions.map(|_| "--directions"));
        let misplaced = misplaced.or(marker.map(|_| "--endian-marker"));
        misplaced.or(digits.map(|_| "--status-digits"))
    }
}

/// Not `eprintln`, which panics when stderr is closed.
fn complain(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "inspect: {error:#}");
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let (Command::Decode { options, .. } | Command::Encode { options }) = &command;
    if let Some(option) = options.misplaced() {
        let message = format!("{option} means nothing to this protocol");
        Cli::command().error(clap::error::ErrorKind::ArgumentConflict, message).exit();
    }
    match run(&command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => match error.downcast_ref::<io::Error>() {
            // Whoever reads has had enough, as in `| head`.
            Some(io) if io.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            _ => {
                complain(&error);
                ExitCode::FAILURE
            }
        },
    }
}
