//! Looks at what goes over the wire, and makes some.
//!
//! `inspect decode` turns bytes into an annotated hexdump for a person or into JSON Lines for a
//! script; `inspect encode` turns such lines back into bytes; `inspect pcap` decodes the connections of
//! a packet capture. The `--help` of each says the rest.

mod bingo;
mod capture;
mod delimchat;
mod emagine;
mod hex;
mod hexdump;
mod json;
mod link;
mod litecord;
mod object;
mod op;
mod record;
mod roomvars;
mod tcp;

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, IsTerminal, Read, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use anyhow::{Context, ensure};
use clap::{Args, ColorChoice, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::bingo::Bingo;
use crate::delimchat::Delimchat;
use crate::emagine::Emagine;
use crate::json::Fields;
use crate::litecord::Litecord;
use crate::op::Messages;
use crate::record::{Note, Record, Scene};
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
        stream: Stream,
        #[command(flatten)]
        look: Look,
    },
    /// Write the bytes of JSON objects such as decode prints, one a line.
    ///
    /// `offset`, `length`, `frame` and what only pcap prints are ignored, any other key that doesn't belong to the object
    /// is refused. For an object that can't be encoded nothing is written: stderr tells its line
    /// and why, the lines after it are encoded, and the exit status is 1.
    #[command(after_help = EXIT_STATUS, after_long_help = notes())]
    Encode {
        #[command(flatten)]
        stream: Stream,
    },
    /// Show every frame of the TCP connections in a packet capture, pcap or pcapng, both directions in
    /// the order in which they became whole.
    ///
    /// As decode, but each object begins with `at`, `connection` and `from`: when the packet came that
    /// made the frame whole, which connection it is, counted from 0, and who sent it. `offset` counts
    /// that sender's bytes. Between the frames there are objects with a `note` instead of a `type`. Known
    /// are Ethernet (with VLANs), Linux cooked captures, raw IP and loopback, IPv4 and IPv6.
    #[command(after_help = EXIT_STATUS, after_long_help = capture_notes())]
    Pcap {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        look: Look,
        /// Only connections with this port, which is the server's; may be repeated [default: all
        /// connections are of this protocol].
        #[arg(long = "port", value_name = "N")]
        ports: Vec<u16>,
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

fn capture_notes() -> String {
    [tcp::NOTES, bingo::NOTES, delimchat::NOTES, EXIT_STATUS].join("\n\n")
}

/// What only one side sends.
#[derive(Debug, Args)]
struct Stream {
    #[command(flatten)]
    options: Options,
    /// Who sends the bytes.
    #[arg(long, value_enum)]
    from: Side,
    /// Bytes are hexadecimal text. decode: every line is one chunk or message, white space inside it
    /// is ignored. encode: a line for each object.
    #[arg(long)]
    hex: bool,
}

/// How frames are shown.
#[derive(Debug, Args)]
struct Look {
    /// Print the hexdump even if stdout is no terminal. Before a line's bytes, # marks a header, comma
    /// a delimiter and ! what is malformed.
    #[arg(long, conflicts_with = "json")]
    human: bool,
    /// Don't shorten long fields in the hexdump.
    #[arg(long)]
    full: bool,
    /// Colours in the hexdump; auto: on a terminal, unless NO_COLOR is set, or with CLICOLOR_FORCE=1.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

#[derive(Debug, Args)]
struct Options {
    /// The protocol spoken.
    #[arg(value_enum)]
    protocol: Protocol,
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

impl Side {
    const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
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

    /// Bytes that are kept until more have come, if they come as a stream.
    fn unfinished(&self) -> usize {
        0
    }

    /// Whether no frame has been found since it began anew; the end then tells what was passed over.
    fn is_searching(&self) -> bool {
        false
    }

    /// Forgets what is unfinished: what comes next is at `offset` of the stream and may be the inside of a
    /// frame. Each of the chunks from there on is what one packet of the network carries.
    fn begin_anew(&mut self, _offset: u64) {}

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
    /// Where what is shown was seen.
    scene: Scene,
}

impl Output {
    fn new(options: &Options, look: &Look) -> Self {
        let human = look.human || !options.json && io::stdout().is_terminal();
        let choice = match look.color {
            ColorChoice::Auto => anstream::AutoStream::choice(&io::stdout()),
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        };
        let stdout: Box<dyn Write> = if human {
            Box::new(anstream::AutoStream::new(io::stdout().lock(), choice))
        } else {
            Box::new(io::stdout().lock())
        };
        Self {
            writer: BufWriter::new(stdout),
            hexdump: human.then_some(hexdump::Style { full: look.full }),
            show_secrets: options.show_secrets,
            failed: false,
            scene: Scene::default(),
        }
    }

    fn show(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.failed |= record.outcome.is_err();
        let (scene, writer) = (&self.scene, &mut self.writer);
        match &self.hexdump {
            Some(style) => hexdump::write(record, scene, style, self.show_secrets, writer),
            None => json::write(record, scene, self.show_secrets, writer),
        }
    }

    fn note(&mut self, note: &Note) -> io::Result<()> {
        self.failed |= note.is_failure();
        match self.hexdump {
            Some(_) => hexdump::write_note(note, &self.scene, &mut self.writer),
            None => json::write_note(note, &self.scene, &mut self.writer),
        }
    }
}

impl Options {
    /// What a client sends, and what a server does.
    fn wires(&self) -> [Box<dyn Wire>; 2] {
        let byte_order = Rc::new(Cell::new(Delimchat::byte_order(self)));
        [Side::Client, Side::Server].map(|from| -> Box<dyn Wire> {
            match self.protocol {
                Protocol::Bingo => Box::new(Bingo::new(from, self)),
                Protocol::Litecord => Box::new(Messages::new(Litecord::new(from, self))),
                Protocol::Emagine => Box::new(Messages::new(Emagine::new(from, self))),
                Protocol::Roomvars => Box::new(Roomvars::new(from, self)),
                Protocol::Delimchat => Box::new(Delimchat::new(from, self, Rc::clone(&byte_order))),
            }
        })
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

impl Stream {
    fn wire(&self) -> Box<dyn Wire> {
        let [client, server] = self.options.wires();
        match self.from {
            Side::Client => client,
            Side::Server => server,
        }
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

fn decode(stream: &Stream, output: &mut Output) -> anyhow::Result<()> {
    let mut wire = stream.wire();
    let mut input = stream.options.input()?;
    if stream.hex {
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
fn encode(stream: &Stream, output: &mut impl Write) -> anyhow::Result<bool> {
    let wire = stream.wire();
    let mut lines = Lines { input: stream.options.input()?, line: Vec::new(), number: 0 };
    let mut all = true;
    let mut bytes = Vec::new();
    while let Some((number, line)) = lines.next(output)? {
        bytes.clear();
        match encode_line(wire.as_ref(), line, &mut bytes) {
            Ok(()) if stream.hex => writeln!(output, "{}", hex::encode(&bytes))?,
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
        Command::Decode { stream, look } => {
            let mut output = Output::new(&stream.options, look);
            output.scene.from = Some(stream.from);
            let decoded = decode(stream, &mut output);
            // What was decoded before an error is shown before its message.
            output.writer.flush()?;
            decoded.map(|()| !output.failed)
        }
        Command::Pcap { options, look, ports } => {
            let mut output = Output::new(options, look);
            let decoded = tcp::decode(options, ports, &mut output);
            output.writer.flush()?;
            decoded.map(|()| !output.failed)
        }
        Command::Encode { stream } => {
            let mut output = BufWriter::new(io::stdout().lock());
            let encoded = encode(stream, &mut output);
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
    let (options, is_capture) = match &command {
        Command::Decode { stream, .. } | Command::Encode { stream } => (&stream.options, false),
        Command::Pcap { options, .. } => (options, true),
    };
    let conflict = |message: String| {
        Cli::command().error(clap::error::ErrorKind::ArgumentConflict, message).exit()
    };
    if let Some(option) = options.misplaced() {
        conflict(format!("{option} means nothing to this protocol"));
    }
    if is_capture && !matches!(options.protocol, Protocol::Bingo | Protocol::Delimchat) {
        conflict(
            "only of bingo and delimchat, which are plain TCP, can a capture be read".to_owned(),
        );
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
