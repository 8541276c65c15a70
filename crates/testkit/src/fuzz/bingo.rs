//! bingo's targets. What the fuzzer writes begins with `Settings`; then `bingo_decode` and
//! `bingo_model` take a stream as it is, the others one item after the other (see `Item`).

mod pair;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bingo_proto::{
    ByteOrder, ClientMessage, CodecConfig, Config, DecodeError, Decoder, EncodeError,
    ErrorReplyStyle, Frame, FrameRef, Identification, Limits, MessageId, OpCode, Role, Secret,
    ServerMessage,
};
use bytes::{BufMut, Bytes};

use super::{Input, Target, file_name};
use crate::bingo::{BingoClient, BingoServer};
use crate::conformance::{codec_ignores_chunking, session_ignores_chunking};
use crate::model::bingo as model;
use crate::vectors::{File, Vector};

/// The targets.
pub const TARGETS: &[Target] = &[
    Target { name: "bingo_decode", run: decode, seeds: stream_seeds },
    Target { name: "bingo_model", run: against_model, seeds: stream_seeds },
    Target { name: "bingo_round_trip", run: round_trip, seeds: item_seeds },
    Target { name: "bingo_chunks", run: chunks, seeds: item_seeds },
    Target { name: "bingo_session", run: session, seeds: session_seeds },
];

const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// The first three bytes: flags, and `max_payload`.
struct Settings {
    codec: CodecConfig,
    /// Who sends the bytes.
    sender: Role,
    /// Sessions start after the handshake.
    ready: bool,
    /// Sessions have low limits.
    tight: bool,
    ping_interval: Option<Duration>,
    /// Two sessions, back to back.
    pair: bool,
}

impl Settings {
    const LITTLE_ENDIAN: u8 = 1;
    const PAYLOAD_PREFIX: u8 = 2;
    const OF_SERVER: u8 = 4;
    const READY: u8 = 8;
    const TIGHT: u8 = 16;
    const PINGS: u8 = 32;
    const FAST_PINGS: u8 = 64;
    const PAIR: u8 = 128;

    fn take(input: &mut Input<'_>) -> Self {
        let flags = input.byte();
        let is = |flag: u8| flags & flag != 0;
        let mut codec = CodecConfig::default().max_payload(input.number());
        if is(Self::LITTLE_ENDIAN) {
            codec.byte_order = ByteOrder::LittleEndian;
        }
        if is(Self::PAYLOAD_PREFIX) {
            codec.error_reply_style = ErrorReplyStyle::PayloadPrefix;
        }
        let millis = if is(Self::FAST_PINGS) { 1000 } else { 30_000 };
        Self {
            codec,
            sender: if is(Self::OF_SERVER) { Role::Server } else { Role::Client },
            ready: is(Self::READY),
            tight: is(Self::TIGHT),
            ping_interval: is(Self::PINGS).then(|| Duration::from_millis(millis)),
            pair: is(Self::PAIR),
        }
    }

    /// The settings of a session: an Identification and a violation's reason fit.
    fn config(&self) -> Config {
        let codec = self.codec.max_payload(self.codec.max_payload.max(64));
        let config = Config::default().codec(codec).ping_interval(self.ping_interval);
        if !self.tight {
            return config;
        }
        let limits = Limits::default().max_pending(3).max_events(2);
        config.limits(limits.max_event_bytes(100).max_transmit_bytes(80))
    }
}

/// A message of either side.
#[derive(Debug, PartialEq)]
enum Message<'a> {
    Client(ClientMessage<'a>),
    Server(ServerMessage<'a>),
}

impl<'a> Message<'a> {
    fn decode(
        frame: FrameRef<'a>,
        sender: Role,
        config: &CodecConfig,
    ) -> Result<Self, DecodeError> {
        match sender {
            Role::Client => ClientMessage::decode(frame, config).map(Self::Client),
            Role::Server => ServerMessage::decode(frame, config).map(Self::Server),
        }
    }

    fn encode(
        &self,
        id: MessageId,
        config: &CodecConfig,
        dst: &mut impl BufMut,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Client(message) => message.encode(id, config, dst),
            Self::Server(message) => message.encode(id, config, dst),
        }
    }

    fn opcode(&self) -> OpCode {
        match self {
            Self::Client(message) => message.opcode(),
            Self::Server(message) => message.opcode(),
        }
    }

    /// What it answers, and what else is in its payload; an Identification is put as its JSON.
    fn parts(&self) -> (Option<MessageId>, Cow<'_, [u8]>) {
        type C<'a> = ClientMessage<'a>;
        type S<'a> = ServerMessage<'a>;
        let (to, body): (_, &[u8]) = match self {
            Self::Client(C::Identification(who)) => {
                return (None, who.to_json().into_bytes().into());
            }
            Self::Client(C::Noop) | Self::Server(S::Noop | S::Ping) => (None, &[]),
            Self::Client(C::Request(payload) | C::Event(payload))
            | Self::Server(S::Request(payload) | S::Event(payload) | S::DataUpdate(payload)) => {
                (None, payload)
            }
            Self::Client(C::Acknowledgement { in_reply_to } | C::ErrorReply { in_reply_to })
            | Self::Server(S::Acknowledgement { in_reply_to }) => (Some(*in_reply_to), &[]),
            Self::Client(C::Reply { in_reply_to, body })
            | Self::Server(S::Reply { in_reply_to, body }) => (Some(*in_reply_to), body),
            Self::Server(S::ErrorReply { in_reply_to, text }) => {
                (Some(*in_reply_to), text.as_bytes())
            }
            Self::Client(C::ProtocolError { reason })
            | Self::Server(S::ProtocolError { reason }) => (None, reason.as_bytes()),
            Self::Server(S::Ready { token }) => (None, token.expose()),
        };
        (to, body.into())
    }
}

/// A message that the fuzzer made up, or bytes as they are: a byte of kind and flags, one for each
/// id, and a counted body. Bytes have no ids.
struct Item<'a> {
    kind: u8,
    id: MessageId,
    in_reply_to: MessageId,
    body: &'a [u8],
}

impl<'a> Item<'a> {
    const KIND: u8 = 0x0F;
    /// Kinds from here on are bytes; below, they are opcodes.
    const BYTES: u8 = 10;
    /// The id replied to is of the wrong half.
    const WRONG_REPLY: u8 = 0x20;
    /// The id is of the wrong half.
    const WRONG_ID: u8 = 0x40;
    /// The body is filled up to nearly what the format can hold, or a little more.
    const HUGE: u8 = 0x80;

    fn take(input: &mut Input<'a>, sender: Role) -> Self {
        let kind = input.byte();
        // The first 128 of the half and the last.
        let mut id = |of_server: bool| {
            let low = u16::from_be_bytes([0, input.byte()]);
            let low = if low < 0x80 { low } else { 0x7F00 | low };
            MessageId(if of_server { 0x8000 | low } else { low })
        };
        let of_server = sender == Role::Server;
        let (mut own, mut other) = (MessageId(0), MessageId(0));
        if kind & Self::KIND < Self::BYTES {
            own = id(of_server != (kind & Self::WRONG_ID != 0));
            other = id(of_server == (kind & Self::WRONG_REPLY != 0));
        }
        Self { kind, id: own, in_reply_to: other, body: input.counted() }
    }

    /// The body, filled up if it is to be.
    fn filled(&self) -> Cow<'a, [u8]> {
        match self.body {
            [last, ..] if self.kind & Self::HUGE != 0 => {
                let mut filled = self.body.to_vec();
                filled.resize(usize::from(u16::MAX) - 8 + usize::from(last % 16), b'x');
                filled.into()
            }
            _ => self.body.into(),
        }
    }

    /// The message that it makes of this body; `None`: it is bytes.
    fn message<'b>(&self, sender: Role, body: &'b [u8]) -> Option<Message<'b>> {
        let opcode = OpCode::from_byte(self.kind & Self::KIND)?;
        let in_reply_to = self.in_reply_to;
        let text = body.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        Some(match sender {
            Role::Client => Message::Client(match opcode {
                OpCode::Noop => ClientMessage::Noop,
                OpCode::Identification => {
                    let (login, username) = text.split_once('/').unwrap_or((text, ""));
                    ClientMessage::Identification(Identification::new(login, username))
                }
                OpCode::Request => ClientMessage::Request(body),
                OpCode::Ready | OpCode::Ping => ClientMessage::Acknowledgement { in_reply_to },
                OpCode::Reply => ClientMessage::Reply { in_reply_to, body },
                OpCode::ErrorReply => ClientMessage::ErrorReply { in_reply_to },
                OpCode::ProtocolError => ClientMessage::ProtocolError { reason: text },
                OpCode::Event | OpCode::DataUpdate => ClientMessage::Event(body),
            }),
            Role::Server => Message::Server(match opcode {
                OpCode::Noop => ServerMessage::Noop,
                OpCode::Ready => ServerMessage::Ready { token: Secret::new(body) },
                OpCode::Ping => ServerMessage::Ping,
                OpCode::Request => ServerMessage::Request(body),
                OpCode::Identification => ServerMessage::Acknowledgement { in_reply_to },
                OpCode::Reply => ServerMessage::Reply { in_reply_to, body },
                OpCode::ErrorReply => ServerMessage::ErrorReply { in_reply_to, text },
                OpCode::ProtocolError => ServerMessage::ProtocolError { reason: text },
                OpCode::Event => ServerMessage::Event(body),
                OpCode::DataUpdate => ServerMessage::DataUpdate(body),
            }),
        })
    }
}

/// The stream that items make; what can't be encoded is left out.
fn stream(mut input: Input<'_>, sender: Role, codec: &CodecConfig) -> Vec<u8> {
    let mut stream = Vec::new();
    while !input.is_empty() {
        let item = Item::take(&mut input, sender);
        match item.message(sender, item.body) {
            Some(message) => drop(message.encode(item.id, codec, &mut stream)),
            None => stream.extend_from_slice(item.body),
        }
    }
    stream
}

/// What is decoded can be encoded, which gives the same bytes, and decoded again; only an
/// Identification's JSON can be written in several ways.
pub fn decode(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let codec = Settings::take(&mut input).codec;
    let (stream, mut rest) = (input.0, input.0);
    let mut decoder = Decoder::new(codec);
    let mut at = 0;
    let end = loop {
        let frame = match decoder.decode(&mut rest) {
            Ok(Some(frame)) => frame,
            Ok(None) => break decoder.finish(),
            Err(error) => {
                assert_eq!(decoder.decode(&mut rest), Err(error), "the error stays");
                assert_eq!(decoder.finish(), Err(error));
                break Err(error);
            }
        };
        let mut again = Vec::new();
        frame.encode(&codec, &mut again).expect("what was decoded can be encoded");
        assert_eq!(again.len(), frame.encoded_len());
        assert_eq!(stream.get(at..at + again.len()), Some(&again[..]), "the same bytes");
        for sender in ROLES {
            decode_message(frame, sender, &codec);
        }
        at += again.len();
        assert_eq!(decoder.offset(), at as u64);
    };
    match end {
        Ok(()) => assert_eq!(at, stream.len(), "nothing is left out"),
        Err(error) => {
            assert!(error.kind.is_fatal() && at < stream.len());
            let inside = at as u64..stream.len() as u64;
            assert!(inside.contains(&error.offset), "{error}, after byte {at}");
        }
    }
}

fn decode_message(frame: FrameRef<'_>, sender: Role, codec: &CodecConfig) {
    let message = match Message::decode(frame, sender, codec) {
        Ok(message) => message,
        Err(error) => {
            assert!(!error.kind.is_fatal() && error.offset <= frame.encoded_len() as u64);
            return;
        }
    };
    let mut bytes = Vec::new();
    let id = frame.id().unwrap_or(MessageId::first_of(sender));
    message.encode(id, codec, &mut bytes).expect("what was decoded can be encoded");
    let mut decoder = Decoder::new(*codec);
    let mut rest = &bytes[..];
    let again = decoder.decode(&mut rest).expect("what was encoded").expect("is a frame");
    assert!(rest.is_empty());
    assert_eq!(Message::decode(again, sender, codec), Ok(message), "the same message");
    if again.opcode() != OpCode::Identification {
        assert_eq!(again, frame, "the same frame");
    }
}

/// The decoder finds the frames and errors that the model does.
pub fn against_model(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let codec = Settings::take(&mut input).codec;
    let (expected, end) = model::frames(input.0, &codec);
    for way in [Way::Borrowed, Way::Bytes] {
        let (frames, error) = frames(&codec, &[input.0.to_vec()], way);
        let got: Vec<_> = frames
            .iter()
            .map(|f| model::Frame {
                opcode: f.opcode() as u8,
                id: f.id().map(|id| id.0),
                payload: f.payload(),
            })
            .collect();
        assert_eq!((got, error), (expected.clone(), end.err()), "{way:?}");
    }
    for frame in &expected {
        let opcode = OpCode::from_byte(frame.opcode).expect("the model knows its opcodes");
        let fast = FrameRef::new(opcode, MessageId(frame.id.unwrap_or(0)), frame.payload);
        for sender in ROLES {
            let expected = model::message(frame, sender, &codec);
            let got = Message::decode(fast, sender, &codec);
            let parts = got.as_ref().map(Message::parts).map_err(|error| *error);
            let expected = expected.map(|m| (m.in_reply_to.map(MessageId), m.body));
            assert_eq!(parts, expected, "{frame:?} of the {sender:?}");
        }
    }
}

/// What can be encoded decodes to the same; what can't leaves the buffer as it was.
pub fn round_trip(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let Settings { codec, sender, .. } = Settings::take(&mut input);
    let mut bytes = Vec::new();
    let mut sent = Vec::new();
    while !input.is_empty() {
        let item = Item::take(&mut input, sender);
        let body = item.filled();
        let Some(message) = item.message(sender, &body) else { continue };
        let before = bytes.len();
        let result = message.encode(item.id, &codec, &mut bytes);
        let frame = bytes.split_off(before);
        assert_eq!(result, expected_result(&message, item.id, &codec, frame.len()), "{message:?}");
        if result.is_err() {
            assert!(frame.is_empty(), "the buffer was touched");
            continue;
        }
        let mut exact = vec![0xEE; frame.len()];
        let mut room = &mut exact[1..];
        assert_eq!(message.encode(item.id, &codec, &mut room), Err(EncodeError::BufferFull));
        assert_eq!(room.len(), frame.len() - 1, "the buffer was touched");
        assert!(exact.iter().all(|b| *b == 0xEE), "the buffer was touched");
        assert_eq!(message.encode(item.id, &codec, &mut &mut exact[..]), Ok(()));
        assert_eq!(exact, frame);

        bytes.extend_from_slice(&frame);
        drop(message);
        sent.push((item, body));
    }
    let mut decoder = Decoder::new(codec);
    let mut rest = &bytes[..];
    for (item, body) in &sent {
        let message = item.message(sender, body).expect("is one");
        let frame = decoder.decode(&mut rest).expect("what was encoded").expect("is there");
        let got = Message::decode(frame, sender, &codec).expect("is well formed");
        // A Reply with nothing in it is an Acknowledgement.
        assert_eq!((got.opcode(), got.parts()), (message.opcode(), message.parts()));
        assert!(got == message || message.parts().1.is_empty());
        if got.opcode() != OpCode::Noop && !is_header_style(&got, &codec) {
            assert_eq!(frame.id(), Some(item.id));
        }
    }
    assert_eq!(decoder.decode(&mut rest), Ok(None));
    assert_eq!(decoder.finish(), Ok(()));
}

fn is_header_style(message: &Message<'_>, codec: &CodecConfig) -> bool {
    message.opcode() == OpCode::ErrorReply && codec.error_reply_style == ErrorReplyStyle::HeaderId
}

/// What must become of encoding a message; if it succeeds, it must have `written` so many bytes.
fn expected_result(
    message: &Message<'_>,
    id: MessageId,
    codec: &CodecConfig,
    written: usize,
) -> Result<(), EncodeError> {
    let (sender, receiver) = match message {
        Message::Client(_) => (Role::Client, Role::Server),
        Message::Server(_) => (Role::Server, Role::Client),
    };
    let (in_reply_to, body) = message.parts();
    let (id, owner, prefix) = match (message.opcode(), in_reply_to) {
        (OpCode::Noop, _) => {
            assert_eq!(written, 1);
            return Ok(());
        }
        (_, Some(in_reply_to)) if is_header_style(message, codec) => (in_reply_to, receiver, 0),
        (_, Some(_)) => (id, sender, 2),
        (_, None) => (id, sender, 0),
    };
    if id.role() != owner {
        return Err(EncodeError::WrongIdHalf(id));
    }
    let (len, limit) = (prefix + body.len(), codec.max_payload);
    if len > usize::from(limit) {
        return Err(EncodeError::PayloadTooLarge { len, limit });
    }
    assert_eq!(written, 5 + len);
    Ok(())
}

/// How a decoder is fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Borrowed,
    Bytes,
    /// Both, a piece each.
    InTurn,
}

/// All frames in these pieces, and the error that ended it.
fn frames(codec: &CodecConfig, pieces: &[Vec<u8>], way: Way) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = Decoder::new(*codec);
    let mut frames = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let mut slice = &piece[..];
        let mut bytes = Bytes::copy_from_slice(piece);
        loop {
            let frame = if way == Way::Borrowed || (way == Way::InTurn && at % 2 == 0) {
                decoder.decode(&mut slice).map(|frame| {
                    let payload = |f: FrameRef<'_>| Bytes::copy_from_slice(f.payload());
                    frame
                        .map(|f| Frame::new(f.opcode(), f.id().unwrap_or(MessageId(0)), payload(f)))
                })
            } else {
                decoder.decode_bytes(&mut bytes)
            };
            match frame {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(slice.is_empty() || bytes.is_empty(), "all of a piece is taken");
    }
    (frames, decoder.finish().err())
}

/// Cutting a stream into pieces changes nothing, for the decoder however it is fed, or a session.
pub fn chunks(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let settings = Settings::take(&mut input);
    let config = settings.config();
    let stream = stream(input, settings.sender, &config.codec);
    let whole = frames(&config.codec, std::slice::from_ref(&stream), Way::Borrowed);
    for way in [Way::Borrowed, Way::Bytes, Way::InTurn] {
        codec_ignores_chunking(&stream, |pieces| {
            let got = frames(&config.codec, pieces, way);
            assert_eq!(got, whole, "{way:?}");
        });
    }
    let (config, ready) = (Arc::new(config), settings.ready);
    match settings.sender {
        Role::Client => session_ignores_chunking(&BingoServer { config, ready }, &stream),
        Role::Server => session_ignores_chunking(&BingoClient { config, ready }, &stream),
    }
}

/// A session survives any calls at any time, and two of them get along with one another.
pub fn session(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let settings = Settings::take(&mut input);
    if settings.pair {
        return pair::run(&settings, input);
    }
    let (config, ready, tight) = (settings.config(), settings.ready, settings.tight);
    let calls = input.counted();
    let stream = stream(input, settings.sender, &config.codec);
    let config = Arc::new(config);
    match settings.sender {
        Role::Client => super::session(&BingoServer { config, ready }, calls, &stream, tight),
        Role::Server => super::session(&BingoClient { config, ready }, calls, &stream, tight),
    }
}

fn vectors() -> Vec<Vector> {
    File::parse(include_str!("../../../bingo-proto/tests/vectors/bingo.json")).vectors
}

/// The settings of a vector, as bytes.
fn settings(vector: &Vector, flags: u8) -> Vec<u8> {
    let codec = crate::bingo::config(vector);
    let mut flags = flags;
    if codec.byte_order == ByteOrder::LittleEndian {
        flags |= Settings::LITTLE_ENDIAN;
    }
    if codec.error_reply_style == ErrorReplyStyle::PayloadPrefix {
        flags |= Settings::PAYLOAD_PREFIX;
    }
    if crate::bingo::role(vector) == Role::Server {
        flags |= Settings::OF_SERVER;
    }
    [&[flags], &codec.max_payload.to_be_bytes()[..]].concat()
}

/// The items of a vector, as bytes: messages where there are, the bytes from the first error on.
fn items(vector: &Vector) -> Vec<u8> {
    let (codec, sender) = (crate::bingo::config(vector), crate::bingo::role(vector));
    let mut items = Vec::new();
    let mut decoder = Decoder::new(codec);
    let mut rest = &vector.bytes[..];
    let mut left = rest;
    while let Ok(Some(frame)) = decoder.decode(&mut rest) {
        let Ok(message) = Message::decode(frame, sender, &codec) else { break };
        let (in_reply_to, body) = match &message {
            Message::Client(ClientMessage::Identification(who)) => {
                (None, format!("{}/{}", who.login, who.username).into_bytes().into())
            }
            message => message.parts(),
        };
        let low = |id: Option<MessageId>| id.map_or(0, |id| id.0.to_be_bytes()[1]);
        items.extend([message.opcode() as u8, low(frame.id()), low(in_reply_to)]);
        counted(&body, &mut items);
        left = rest;
    }
    for piece in left.chunks(255) {
        items.push(Item::BYTES);
        counted(piece, &mut items);
    }
    items
}

fn counted(bytes: &[u8], dst: &mut Vec<u8>) {
    let len = u8::try_from(bytes.len()).expect("a vector's body is short");
    dst.push(len);
    dst.extend_from_slice(bytes);
}

fn stream_seeds() -> Vec<(String, Vec<u8>)> {
    let seed = |v: &Vector| (file_name(&v.name), [settings(v, 0), v.bytes.clone()].concat());
    vectors().iter().map(seed).collect()
}

fn item_seeds() -> Vec<(String, Vec<u8>)> {
    let seed = |v: &Vector| {
        let flags = if v.spec.iter().any(|s| s == "step1") { 0 } else { Settings::READY };
        (file_name(&v.name), [settings(v, flags), items(v)].concat())
    };
    vectors().iter().map(seed).collect()
}

/// Every vector under calls that come before, amid and after it, and some lives of a pair.
fn session_seeds() -> Vec<(String, Vec<u8>)> {
    let seed = |(at, v): (usize, &Vector)| {
        // A request, all of the vector in three pieces, an event, a second's sleep, the end.
        let calls: &[u8] = match at % 3 {
            0 => &[7, 17, 0x20, 0x50, 0x50, 7, 6, 0x54, 0xF6],
            1 => &[0xC8, 5, 0x35, 0x84, 0xFE],
            _ => &[7, 16, 7, 17, 0xF8, 0x84, 7, 32, 0x84, 7, 254],
        };
        let ready = if v.spec.iter().any(|s| s == "step1") { 0 } else { Settings::READY };
        let flags = ready | if at % 2 == 0 { Settings::PINGS } else { Settings::TIGHT };
        let mut bytes = settings(v, flags);
        counted(calls, &mut bytes);
        bytes.extend(items(v));
        (file_name(&v.name), bytes)
    };
    let mut seeds: Vec<_> = vectors().iter().enumerate().map(seed).collect();
    let flags = Settings::PAIR | Settings::PINGS;
    seeds.extend(pair::LIVES.iter().map(|(name, ready, life)| {
        let flags = if *ready { flags | Settings::READY } else { flags };
        (format!("pair-{}", file_name(name)), [&[flags, 0xFF, 0xFF], *life].concat())
    }));
    seeds
}
