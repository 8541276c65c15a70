//! The connections of a capture: what each side said, in order.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use crate::capture::Reader;
use crate::link::{Segment, segment};
use crate::record::Note;
use crate::{Options, Output, Side, Wire};

/// For `--help`.
pub(crate) const NOTES: &str = "\
Notes, between the frames (those marked * make the exit status 1):
  opened     client, server; who began is the client
  joined     client, server; the beginning isn't captured: the server has the --port, or else the
             lower one
  lost *     offset, missing: the capture lacks these bytes, as the other side has acknowledged them or
             nothing more comes; unfinished: bytes before them of a frame that isn't whole
  skipped    offset, length: where the capture begins in the middle, or behind lost bytes, no frame is
             known to begin in these. bingo is read again from the start of a packet that holds whole
             good frames, delimchat from the first good packet
  ended      who says it sends no more
  reset      who broke the connection off
  replaced   another connection has begun between the same ports
  forgotten * at most 4096 connections, and 64 MiB that wait for something, are kept
  cut *      unfinished: the capture ends so many bytes into a frame
  unread *   packets, why: how many packets couldn't be looked into
Bytes that come twice are taken once, those out of order wait for what is before them: at most 1 MiB
a side, then what is missing is lost.";

/// The most bytes of one side that wait for others before them.
const MAX_HELD: usize = 1 << 20;

/// What a piece of them takes beside its bytes, about.
const PIECE: usize = 64;

/// The most bytes that wait in all connections.
const MAX_KEPT: usize = 64 << 20;

/// The most connections known at a time.
const MAX_CONNECTIONS: usize = 4096;

/// The largest window that TCP knows: what is farther off belongs to something else.
const WINDOW: i64 = 1 << 30;

/// Shows all frames of a capture.
pub(crate) fn decode(options: &Options, ports: &[u16], output: &mut Output) -> anyhow::Result<()> {
    let mut reader = Reader::new(options.input()?);
    let mut connections = Connections::new(options, ports);
    let mut unread = BTreeMap::new();
    let read = loop {
        let packet = match reader.next(&mut output.writer) {
            Ok(Some(packet)) => packet,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        output.scene.at = packet.at;
        match segment(&packet) {
            Ok(Some(segment)) => connections.take(&segment, output)?,
            Ok(None) => {}
            Err(why) => *unread.entry(why).or_insert(0) += 1,
        }
    };
    connections.finish(output)?;
    for (why, packets) in unread {
        output.note(&Note::Unread { packets, why: why.to_string() })?;
    }
    read
}

struct Connections<'a> {
    options: &'a Options,
    ports: &'a [u16],
    /// By their two addresses, the lower first.
    all: HashMap<(SocketAddr, SocketAddr), Connection>,
    /// Those that there have been.
    count: u64,
    /// Segments that there have been.
    clock: u64,
    /// Bytes that wait in all of them.
    kept: usize,
}

impl<'a> Connections<'a> {
    fn new(options: &'a Options, ports: &'a [u16]) -> Self {
        Self { options, ports, all: HashMap::new(), count: 0, clock: 0, kept: 0 }
    }

    fn take(&mut self, segment: &Segment<'_>, output: &mut Output) -> anyhow::Result<()> {
        let (from, to) = (segment.from, segment.to);
        if !self.ports.is_empty() && ![from, to].iter().any(|a| self.ports.contains(&a.port())) {
            return Ok(());
        }
        self.clock += 1;
        let key = (from.min(to), from.max(to));
        if let Some(old) = self.all.get_mut(&key).filter(|old| old.is_replaced_by(segment)) {
            self.kept -= old.kept();
            old.leave(&Note::Replaced, output)?;
            self.all.remove(&key);
        }
        if !self.all.contains_key(&key) {
            // What comes after a connection's end doesn't make one.
            if !segment.syn && segment.payload.is_empty() && segment.missing == 0 {
                return Ok(());
            }
            let client = self.client_of(segment);
            let server = if client == from { to } else { from };
            let connection = Connection::new(self.count, client, server, segment, self.options);
            self.count += 1;
            connection.open(!segment.syn, output)?;
            self.all.insert(key, connection);
        }
        if let Some(connection) = self.all.get_mut(&key) {
            connection.seen = self.clock;
            self.kept -= connection.kept();
            connection.take(segment, output)?;
            self.kept += connection.kept();
        }
        while self.all.len() > 1 && (self.all.len() > MAX_CONNECTIONS || self.kept > MAX_KEPT) {
            self.forget_one(output)?;
        }
        Ok(())
    }

    /// Who began it, or is the likelier one to have.
    fn client_of(&self, segment: &Segment<'_>) -> SocketAddr {
        let (from, to) = (segment.from, segment.to);
        if segment.syn {
            return if segment.ack.is_some() { to } else { from };
        }
        let is_named = |address: SocketAddr| self.ports.contains(&address.port());
        let from_serves = match (is_named(from), is_named(to)) {
            (true, false) => true,
            (false, true) => false,
            // Clients have high ones.
            _ => from.port() < to.port(),
        };
        if from_serves { to } else { from }
    }

    /// The one that nothing was seen of for the longest.
    fn forget_one(&mut self, output: &mut Output) -> anyhow::Result<()> {
        let oldest = self.all.iter().min_by_key(|(_, connection)| connection.seen);
        let Some(key) = oldest.map(|(key, _)| *key) else { return Ok(()) };
        if let Some(mut connection) = self.all.remove(&key) {
            self.kept -= connection.kept();
            connection.leave(&Note::Forgotten, output)?;
        }
        Ok(())
    }

    /// The capture ends.
    fn finish(self, output: &mut Output) -> anyhow::Result<()> {
        let mut all: Vec<_> = self.all.into_values().collect();
        all.sort_by_key(|connection| connection.number);
        for mut connection in all {
            connection.flush(output)?;
            connection.cut(output)?;
        }
        output.scene.connection = None;
        output.scene.from = None;
        Ok(())
    }
}

struct Connection {
    number: u64,
    client: SocketAddr,
    server: SocketAddr,
    /// The client's side, and the server's.
    sides: [Half; 2],
    /// The sequence number of the client's SYN.
    first: Option<u32>,
    /// When there was something of it, by the clock of all.
    seen: u64,
    closed: bool,
}

impl Connection {
    fn new(
        number: u64,
        client: SocketAddr,
        server: SocketAddr,
        segment: &Segment<'_>,
        options: &Options,
    ) -> Self {
        let mut sides = options.wires().map(Half::new);
        if !segment.syn {
            for side in &mut sides {
                side.begin_anew(0);
            }
        }
        Self { number, client, server, sides, first: None, seen: 0, closed: false }
    }

    /// Whether the segment begins another connection between the same addresses.
    fn is_replaced_by(&self, segment: &Segment<'_>) -> bool {
        let begins = segment.syn && segment.ack.is_none();
        begins && (self.closed || self.first.is_some_and(|first| first != segment.seq))
    }

    fn open(&self, joined: bool, output: &mut Output) -> anyhow::Result<()> {
        output.scene.connection = Some(self.number);
        output.scene.from = None;
        let (client, server) = (self.client, self.server);
        Ok(output.note(&Note::Opened { client, server, joined })?)
    }

    fn take(&mut self, segment: &Segment<'_>, output: &mut Output) -> anyhow::Result<()> {
        if self.closed {
            return Ok(());
        }
        output.scene.connection = Some(self.number);
        let [client, server] = &mut self.sides;
        let (own, other, side) = if segment.from == self.client {
            (client, server, Side::Client)
        } else {
            (server, client, Side::Server)
        };
        let other_side = if side == Side::Client { Side::Server } else { Side::Client };
        if segment.syn {
            if segment.ack.is_none() {
                self.first = Some(segment.seq);
            }
            own.next.get_or_insert(segment.seq.wrapping_add(1));
        }
        if let Some(ack) = segment.ack {
            output.scene.from = Some(other_side);
            other.acknowledged(ack, output)?;
        }
        output.scene.from = Some(side);
        own.take(segment, output)?;
        if segment.rst && own.is_plausible(segment.seq) {
            self.flush(output)?;
            for (half, from) in self.sides.iter_mut().zip([Side::Client, Side::Server]) {
                output.scene.from = Some(from);
                half.end(output)?;
            }
            output.scene.from = Some(side);
            output.note(&Note::Reset)?;
            self.closed = true;
        }
        self.closed |= self.sides.iter().all(|half| half.ended);
        Ok(())
    }

    /// Shows what waits for what will not come.
    fn flush(&mut self, output: &mut Output) -> anyhow::Result<()> {
        output.scene.connection = Some(self.number);
        for (half, from) in self.sides.iter_mut().zip([Side::Client, Side::Server]) {
            output.scene.from = Some(from);
            half.give_up(half.end, output)?;
        }
        Ok(())
    }

    /// Tells of frames that aren't whole.
    fn cut(&mut self, output: &mut Output) -> anyhow::Result<()> {
        for (half, from) in self.sides.iter_mut().zip([Side::Client, Side::Server]) {
            output.scene.from = Some(from);
            let unfinished = half.wire.unfinished();
            if half.ended || half.lost {
                continue;
            }
            if half.wire.is_searching() {
                half.wire.finish(output)?;
            } else if unfinished > 0 {
                output.note(&Note::Cut { unfinished })?;
            }
        }
        Ok(())
    }

    /// Tells why no more is told of it, unless it is over anyway.
    fn leave(&mut self, why: &Note, output: &mut Output) -> anyhow::Result<()> {
        if !self.closed {
            self.flush(output)?;
            self.cut(output)?;
            output.scene.from = None;
            output.note(why)?;
        }
        Ok(())
    }

    fn kept(&self) -> usize {
        // The protocols' modules keep what is unfinished twice.
        self.sides.iter().map(|half| half.held_bytes + 2 * half.wire.unfinished()).sum()
    }
}

/// What one side says. Places in it count from its first byte, or the first captured one.
struct Half {
    wire: Box<dyn Wire>,
    /// The sequence number of the byte to be read next, once known.
    next: Option<u32>,
    /// Its place.
    offset: u64,
    /// Where what has been captured ends, as far as is known.
    end: u64,
    /// Where the stream itself does.
    fin: Option<u64>,
    /// What is behind bytes that haven't come, by place.
    held: BTreeMap<u64, Vec<u8>>,
    held_bytes: usize,
    /// Read from a place that was only likely to be right.
    is_guess: bool,
    /// Nothing more can be read.
    lost: bool,
    ended: bool,
}

impl Half {
    fn new(wire: Box<dyn Wire>) -> Self {
        Self {
            wire,
            next: None,
            offset: 0,
            end: 0,
            fin: None,
            held: BTreeMap::new(),
            held_bytes: 0,
            is_guess: false,
            lost: false,
            ended: false,
        }
    }

    /// Reads from a place that may be anywhere in a frame.
    fn begin_anew(&mut self, offset: u64) {
        self.wire.begin_anew(offset);
        self.is_guess = true;
    }

    /// The place of a sequence number, which may be before the first.
    fn place(&self, seq: u32) -> Option<i64> {
        let distance = seq.wrapping_sub(self.next?).cast_signed();
        let place = i64::try_from(self.offset).ok()?.checked_add(i64::from(distance))?;
        (i64::from(distance) < WINDOW).then_some(place)
    }

    /// Whether it isn't that of an old segment.
    fn is_plausible(&self, seq: u32) -> bool {
        let place = self.place(seq).and_then(|place| u64::try_from(place).ok());
        self.next.is_none() || place.is_some_and(|place| place >= self.offset)
    }

    fn take(&mut self, segment: &Segment<'_>, output: &mut Output) -> anyhow::Result<()> {
        let seq = if segment.syn { segment.seq.wrapping_add(1) } else { segment.seq };
        let len = segment.payload.len() + segment.missing as usize;
        if len > 0 || segment.fin {
            self.next.get_or_insert(seq);
        }
        let Some(place) = self.place(seq).filter(|_| len > 0 || segment.fin) else {
            return Ok(());
        };
        let Ok(end) = u64::try_from(place.saturating_add_unsigned(len as u64)) else {
            return Ok(());
        };
        let before = usize::try_from(self.offset.cast_signed().saturating_sub(place)).unwrap_or(0);
        let fresh = segment.payload.get(before..).unwrap_or_default();
        let place = u64::try_from(place).unwrap_or(0).max(self.offset);
        // What is said behind the end isn't.
        if self.ended || self.fin.is_some_and(|fin| end > fin) {
            return Ok(());
        }
        self.end = self.end.max(end);
        // One that is before what was read already is none of this connection's.
        if segment.fin && end >= self.offset {
            self.fin.get_or_insert(end);
        }
        if place == self.offset {
            self.deliver(fresh, output)?;
            self.deliver_held(output)?;
        } else if !fresh.is_empty() {
            self.hold(place, fresh);
            if self.held_bytes > MAX_HELD {
                let first = self.held.keys().next().copied();
                self.give_up(first.unwrap_or(self.offset), output)?;
            }
        }
        self.end_at_fin(output)
    }

    fn hold(&mut self, place: u64, bytes: &[u8]) {
        let held = self.held.entry(place).or_default();
        if held.len() < bytes.len() {
            if held.is_empty() {
                self.held_bytes += PIECE;
            }
            self.held_bytes += bytes.len() - held.len();
            *held = bytes.to_vec();
        }
    }

    /// The next bytes are here.
    fn deliver(&mut self, bytes: &[u8], output: &mut Output) -> anyhow::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if !self.lost && self.wire.decode(bytes, output)?.is_break() {
            // A wrong guess isn't the end.
            self.lost = !self.is_guess;
            if self.is_guess {
                self.wire.begin_anew(self.offset + bytes.len() as u64);
            }
        }
        self.pass(bytes.len() as u64);
        Ok(())
    }

    fn deliver_held(&mut self, output: &mut Output) -> anyhow::Result<()> {
        while let Some(entry) = self.held.first_entry().filter(|e| *e.key() <= self.offset) {
            let (place, bytes) = entry.remove_entry();
            self.held_bytes -= PIECE + bytes.len();
            let before = usize::try_from(self.offset - place).unwrap_or(usize::MAX);
            self.deliver(bytes.get(before..).unwrap_or_default(), output)?;
        }
        Ok(())
    }

    fn pass(&mut self, len: u64) {
        self.offset += len;
        self.end = self.end.max(self.offset);
        // Sequence numbers wrap.
        #[allow(clippy::cast_possible_truncation)]
        let len = len as u32;
        self.next = self.next.map(|next| next.wrapping_add(len));
    }

    /// The other side has everything before this number, whether or not it was captured.
    fn acknowledged(&mut self, ack: u32, output: &mut Output) -> anyhow::Result<()> {
        if self.next.is_none() {
            self.next = Some(ack);
        }
        let place = self.place(ack).and_then(|place| u64::try_from(place).ok());
        let end = place.unwrap_or(0).min(self.fin.unwrap_or(u64::MAX));
        // One byte with nothing behind it may be a FIN that wasn't captured.
        if end > self.offset && !(end == self.offset + 1 && self.end <= self.offset) {
            self.give_up(end, output)?;
        }
        self.end_at_fin(output)
    }

    /// What is missing before this place will not come.
    fn give_up(&mut self, place: u64, output: &mut Output) -> anyhow::Result<()> {
        while self.offset < place {
            let first = self.held.keys().next().copied().unwrap_or(place).min(place);
            let missing = first - self.offset;
            if missing > 0 && !self.lost && !self.ended {
                if self.wire.is_searching() {
                    self.wire.finish(output)?;
                }
                let unfinished = self.wire.unfinished();
                output.note(&Note::Lost { offset: self.offset, missing, unfinished })?;
                self.begin_anew(first);
            }
            self.pass(missing);
            self.deliver_held(output)?;
        }
        self.deliver_held(output)?;
        self.end_at_fin(output)
    }

    fn end_at_fin(&mut self, output: &mut Output) -> anyhow::Result<()> {
        if !self.ended && self.fin == Some(self.offset) {
            self.end(output)?;
            output.note(&Note::Ended)?;
        }
        Ok(())
    }

    fn end(&mut self, output: &mut Output) -> anyhow::Result<()> {
        if !self.ended && !self.lost {
            self.wire.finish(output)?;
        }
        self.ended = true;
        self.held.clear();
        self.held_bytes = 0;
        Ok(())
    }
}
