use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use bytes::{Buf, Bytes};

use super::scan::{Decoded, Progress, Scan, Stop, Then};
use super::sender::Sender;
use crate::message::BASE64_LIMIT;
use crate::{ByteOrder, CodecConfig, DecodeError, DecodeErrorKind, Expected, PacketId};

/// Cuts a byte stream into packets, however the bytes arrive, and goes on after what isn't one (D3).
///
/// Packets are borrowed from the input ([`decode`](Self::decode)) or slices of it
/// ([`decode_bytes`](Self::decode_bytes)). Only a packet that the input leaves unfinished is copied, into a carry
/// buffer of at most `max_packet` bytes, and nothing of it is looked at twice. `Debug` shows none of its content.
///
/// ```
/// use delimchat_proto::{ClientPacket, CodecConfig, Decoder, FromClient, PacketId};
///
/// let mut decoder = Decoder::<FromClient>::new(CodecConfig::default());
/// let mut seen = Vec::new();
/// for read in [&b"\x28\xFFBYE\0\x07\xFFwhat"[..], b"?\0\xFC\xFFS", b"P\0"] {
///     let mut input = read;
///     loop {
///         match decoder.decode(&mut input) {
///             Ok(Some(packet)) => seen.push(packet.name()),
///             Ok(None) => break,
///             Err(bad) => assert_eq!((bad.id, bad.offset, bad.len), (PacketId(7), 6, 8)),
///         }
///     }
/// }
/// assert_eq!(seen, ["log_off", "supported_packets_request"]);
/// ```
pub struct Decoder<S: Sender> {
    /// What is received and not yet given out: an unfinished packet, or what has to be looked at once more.
    carry: Vec<u8>,
    /// Where in `carry` that begins.
    head: usize,
    /// Of the first byte not yet given out.
    offset: u64,
    /// Where what was last given out begins.
    start: u64,
    /// Set while the `00` behind something malformed is looked for; then nothing is kept.
    skipped: Option<DecodeError>,
    /// Of the packet in `carry`.
    progress: Progress,
    config: CodecConfig,
    ids: S::Ids,
    /// The unfinished packet has taken too long.
    overdue: bool,
    /// No more is received.
    ended: bool,
    sender: PhantomData<fn() -> S>,
}

/// Where the next packet is.
enum Found {
    /// Nowhere: all of the input is taken.
    Nothing,
    /// In the input, if anywhere: nothing is before it.
    Input,
    /// In the carry, so many bytes from its head.
    Carried(usize),
}

impl<S: Sender> Decoder<S> {
    /// A decoder at the start of a stream.
    pub const fn new(config: CodecConfig) -> Self {
        Self {
            carry: Vec::new(),
            head: 0,
            offset: 0,
            start: 0,
            skipped: None,
            progress: Progress::NONE,
            config,
            ids: S::IDS,
            overdue: false,
            ended: false,
            sender: PhantomData,
        }
    }

    /// A decoder of packets of which some have the ids that are said here (D11).
    #[cfg(feature = "draft")]
    pub(crate) const fn with_ids(config: CodecConfig, ids: S::Ids) -> Self {
        let mut decoder = Self::new(config);
        decoder.ids = ids;
        decoder
    }

    #[cfg(all(feature = "draft", feature = "tokio-util"))]
    pub(crate) const fn ids(&self) -> &S::Ids {
        &self.ids
    }

    /// Takes the next packet off the front of `input`, or all of `input` if none is whole yet (`None`). Call
    /// it until it gives `None`.
    ///
    /// What it gives is cheapest to use where it is: `match &decoder.decode(&mut input)`. To move a packet out of
    /// it takes about as long as to read a short one.
    ///
    /// # Errors
    /// What stands there is no packet (D3, D4): it is gone, and the next call goes on behind it.
    pub fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<S::Packet<&'a [u8]>>, DecodeError> {
        if !self.is_plain() {
            return self.carry_on(input);
        }
        self.skip_ends(input);
        let mut scan = Scan::new(window(input, &self.config), Progress::NONE, self.config);
        let ids = self.ids;
        S::parse::<false, _>(&ids, &mut scan, Lend { decoder: self, input })
    }

    /// As [`decode`](Self::decode), where something is carried or skipped.
    #[cold]
    #[inline(never)]
    fn carry_on<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Decoded<S::Packet<&'a [u8]>> {
        let (len, told) = self.follow(input);
        *input = input.get(len..).unwrap_or_default();
        if told { self.go_on(None, input) } else { Ok(None) }
    }

    /// As [`decode`](Self::decode), where the packet isn't simply the first thing in the input.
    #[cold]
    #[inline(never)]
    fn go_on<'a, 'i: 'a>(
        &'a mut self,
        stopped: Option<Stopped>,
        input: &mut &'i [u8],
    ) -> Decoded<S::Packet<&'a [u8]>> {
        match self.next(stopped, input)? {
            Found::Nothing => Ok(None),
            Found::Input => self.decode(input),
            Found::Carried(len) => self.lend(len),
        }
    }

    /// As [`decode`](Self::decode), but what the packet keeps are slices of `input` that live as long as they are
    /// needed. They keep all of `input` alive: copy what is to stay for long.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    #[inline]
    pub fn decode_bytes(
        &mut self,
        input: &mut Bytes,
    ) -> Result<Option<S::Packet<Bytes>>, DecodeError> {
        if !self.is_plain() {
            return self.carry_on_bytes(input);
        }
        let (mut taken, mut stopped) = (0, None);
        let decoded = self.share(input, &mut taken, &mut stopped);
        input.advance(taken);
        if stopped.is_some() { self.go_on_bytes(stopped, input) } else { decoded }
    }

    /// Slices the packet that is the first thing in the input, and says how much of that it takes, or why it can't.
    #[inline(never)]
    fn share(
        &mut self,
        input: &Bytes,
        taken: &mut usize,
        stopped: &mut Option<Stopped>,
    ) -> Decoded<S::Packet<Bytes>> {
        let mut rest = &input[..];
        self.skip_ends(&mut rest);
        *taken = input.len().saturating_sub(rest.len());
        let mut scan = Scan::new(window(rest, &self.config), Progress::NONE, self.config);
        let ids = self.ids;
        S::parse::<false, _>(&ids, &mut scan, Share { decoder: self, input, taken, stopped })
    }

    /// As [`decode_bytes`](Self::decode_bytes), where something is carried or skipped.
    #[cold]
    #[inline(never)]
    fn carry_on_bytes(&mut self, input: &mut Bytes) -> Decoded<S::Packet<Bytes>> {
        let (len, told) = self.follow(input);
        input.advance(len);
        if told {
            return self.go_on_bytes(None, input);
        }
        // An empty slice would keep the read alive.
        *input = Bytes::new();
        Ok(None)
    }

    /// As [`decode_bytes`](Self::decode_bytes), where the packet isn't simply the first thing in the input.
    #[cold]
    #[inline(never)]
    fn go_on_bytes(
        &mut self,
        stopped: Option<Stopped>,
        input: &mut Bytes,
    ) -> Decoded<S::Packet<Bytes>> {
        let mut rest = &input[..];
        let found = self.next(stopped, &mut rest);
        let taken = input.len().saturating_sub(rest.len());
        input.advance(taken);
        match found? {
            Found::Nothing => {
                // An empty slice would keep the read alive.
                *input = Bytes::new();
                Ok(None)
            }
            Found::Input => self.decode_bytes(input),
            Found::Carried(len) => self.copy_out(len),
        }
    }

    /// Says that the stream has ended, and gives what is left in it: call it until it gives `None`. After that
    /// the decoder is of no more use.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); [`Truncated`](DecodeErrorKind::Truncated) what isn't whole.
    pub fn finish(&mut self) -> Result<Option<S::Packet<&[u8]>>, DecodeError> {
        self.ended = true;
        self.decode(&mut &[][..])
    }

    /// Gives up the packet that isn't whole, if there is one, for having taken too long (D5): call it when
    /// `decode` has given `None`, then `decode` again, which reports it and goes on in what has been received.
    ///
    /// The time that counts is that since [`offset`](Self::offset) last was what it is, as it changes with every
    /// packet and at every resumption.
    pub fn expire(&mut self) {
        self.overdue = !self.unfinished().is_empty();
    }

    /// What is already known to be malformed or unknown, though the `00` behind it hasn't come (D3, D5); its
    /// length is that of the bytes dropped so far. `decode` reports it when its end has come.
    pub const fn malformed(&self) -> Option<&DecodeError> {
        self.skipped.as_ref()
    }

    /// Where the next packet starts, or the one that isn't whole yet: bytes from the start of the stream. While
    /// something [`malformed`](Self::malformed) is skipped, behind what has been dropped of it.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the packet or report starts that was last given out; it ends at [`offset`](Self::offset).
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// What has arrived of a packet that isn't whole yet.
    pub fn unfinished(&self) -> &[u8] {
        self.carry.get(self.head..).unwrap_or_default()
    }

    /// Frees the carry buffer if no packet is unfinished.
    pub fn release(&mut self) {
        if self.unfinished().is_empty() {
            self.carry = Vec::new();
            self.head = 0;
        }
    }

    /// The settings, with the byte order that goes now.
    pub const fn config(&self) -> &CodecConfig {
        &self.config
    }

    /// The byte order from the next packet on (D6).
    pub fn set_byte_order(&mut self, order: ByteOrder) {
        let is_other = core::mem::replace(&mut self.config.byte_order, order) != order;
        let kind = self.skipped.as_mut().filter(|_| is_other).map(|skipped| &mut skipped.kind);
        if let Some(DecodeErrorKind::MessageTooLong(overlong)) = kind {
            overlong.swap_bytes();
        }
    }

    /// Whether the input is all that there is to look at.
    #[inline]
    fn is_plain(&self) -> bool {
        self.carry.is_empty() && self.skipped.is_none()
    }

    /// Goes past bytes that are given out.
    #[inline]
    fn pass(&mut self, len: usize) {
        self.start = self.offset;
        self.offset = self.offset.wrapping_add(len as u64);
    }

    /// `00` where an id is expected (D3), when nothing is carried or skipped.
    #[inline]
    fn skip_ends(&mut self, input: &mut &[u8]) {
        while let [0, rest @ ..] = *input {
            *input = rest;
            self.offset = self.offset.wrapping_add(1);
        }
    }

    /// The same in what is carried.
    fn skip_carried_ends(&mut self) {
        let ends = self.unfinished().iter().take_while(|byte| **byte == 0).count();
        self.head = self.head.saturating_add(ends);
        self.offset = self.offset.wrapping_add(ends as u64);
    }

    /// Goes to where the next packet starts, or the one that isn't whole; [`offset`](Self::offset) is that then.
    #[cfg(feature = "std")]
    pub(crate) fn seek(&mut self, input: &mut &[u8]) {
        if self.skipped.is_none() {
            self.skip_carried_ends();
            if self.unfinished().is_empty() {
                self.skip_ends(input);
            }
        }
    }

    /// Looks for the next packet where it isn't simply the first thing in the input, or why it can't be.
    #[cold]
    fn next(&mut self, stopped: Option<Stopped>, input: &mut &[u8]) -> Result<Found, DecodeError> {
        if let Some((stop, progress)) = stopped {
            self.stopped(stop, progress, input)?;
        }
        self.advance(input)
    }

    /// Deals with what stands in the input and isn't a packet.
    fn stopped(
        &mut self,
        stop: Stop,
        progress: Progress,
        input: &mut &[u8],
    ) -> Result<(), DecodeError> {
        if stop == Stop::Incomplete && input.len() < self.config.packet_limit() {
            self.keep(input);
            self.progress = progress;
            *input = &[];
            return Ok(());
        }
        let verdict = self.condemn(self.kind(stop), input);
        *input = input.get(verdict.len..).unwrap_or_default();
        self.pass(verdict.len);
        verdict.report.map_or(Ok(()), Err)
    }

    /// Goes on with what is carried or skipped.
    fn advance(&mut self, input: &mut &[u8]) -> Result<Found, DecodeError> {
        loop {
            if let Some(skipped) = self.skipped {
                self.skip(skipped, input)?;
                return Ok(Found::Nothing);
            }
            self.skip_carried_ends();
            if self.unfinished().is_empty() {
                self.carry.clear();
                self.head = 0;
                self.overdue = false;
                return Ok(if input.is_empty() { Found::Nothing } else { Found::Input });
            }
            if let Some(found) = self.resume(input)? {
                return Ok(found);
            }
        }
    }

    /// Goes on with the packet at the head of the carry; `None` if it is none and there is nothing to report
    /// about it yet.
    fn resume(&mut self, input: &mut &[u8]) -> Result<Option<Found>, DecodeError> {
        let limit = self.config.packet_limit();
        // Bytes of the input that stand at the end of the carry, too.
        let mut borrowed = 0_usize;
        let stop = loop {
            let (len, told) = self.follow(input.get(borrowed..).unwrap_or_default());
            borrowed = borrowed.saturating_add(len);
            if !told {
                *input = &[];
                return Ok(Some(Found::Nothing));
            }
            let mut scan =
                Scan::new(window(self.unfinished(), &self.config), self.progress, self.config);
            let parsed = S::parse::<true, _>(&self.ids, &mut scan, Measure);
            let (stop, progress) = match parsed {
                Ok(len) => {
                    self.progress = scan.progress();
                    self.overdue = false;
                    self.give_back(len, borrowed, input);
                    return Ok(Some(Found::Carried(len)));
                }
                Err(stopped) => stopped,
            };
            self.progress = progress;
            let have = self.unfinished().len();
            if stop != Stop::Incomplete || self.overdue || have >= limit {
                break stop;
            }
            let more = input.get(borrowed..).unwrap_or_default();
            if more.is_empty() {
                if self.ended {
                    break stop;
                }
                *input = &[];
                return Ok(Some(Found::Nothing));
            }
            if !self.progress.is_inside(have) {
                // More than what may come before a delimited field.
                let more = more.get(..limit.saturating_sub(have).min(64)).unwrap_or(more);
                self.keep(more);
                borrowed = borrowed.saturating_add(more.len());
            }
        };
        let have = self.unfinished().len();
        let kind = match stop {
            Stop::Incomplete if self.overdue => DecodeErrorKind::Overdue,
            Stop::Incomplete if have < limit => DecodeErrorKind::Truncated,
            _ => self.kind(stop),
        };
        let verdict = {
            let carry = core::mem::take(&mut self.carry);
            let verdict = self.condemn(kind, carry.get(self.head..).unwrap_or_default());
            self.carry = carry;
            verdict
        };
        self.overdue = false;
        self.give_back(verdict.len, borrowed, input);
        self.head = self.head.saturating_add(verdict.len);
        self.progress = Progress::NONE;
        self.pass(verdict.len);
        verdict.report.map_or(Ok(None), Err)
    }

    /// Keeps as much of what follows as belongs to a delimited field in which the carry ends, where nothing else
    /// counts than where it ends. Gives how much that is, and whether there may be more to tell: if not, it
    /// is all.
    #[inline]
    fn follow(&mut self, more: &[u8]) -> (usize, bool) {
        let have = self.unfinished().len();
        let left = self.config.packet_limit().saturating_sub(have);
        let window = more.get(..left).unwrap_or(more);
        if window.is_empty() || self.overdue {
            return (0, true);
        }
        let Some((len, told)) = self.progress.look_on(have, window) else { return (0, true) };
        self.keep(window.get(..len).unwrap_or_default());
        (len, told || len == left)
    }

    /// Copies what follows to the end of the carry.
    #[inline]
    fn keep(&mut self, more: &[u8]) {
        if self.head > 0 {
            self.carry.drain(..self.head);
            self.head = 0;
        }
        let needed = self.carry.len().saturating_add(more.len());
        let capacity = self.carry.capacity();
        if needed > capacity {
            // By doubling, but to no more than a packet may have.
            let wanted = capacity.saturating_mul(2).min(self.config.packet_limit()).max(needed);
            self.carry.reserve_exact(wanted.saturating_sub(self.carry.len()));
        }
        self.carry.extend_from_slice(more);
    }

    /// Of the bytes `borrowed` from the input, takes those that belong to the first `len` of the carry.
    fn give_back(&mut self, len: usize, borrowed: usize, input: &mut &[u8]) {
        let own = self.carry.len().saturating_sub(borrowed);
        let end = self.head.saturating_add(len);
        *input = input.get(end.saturating_sub(own)..).unwrap_or_default();
        self.carry.truncate(own.max(end));
    }

    /// Drops what comes before a `00`.
    fn skip(&mut self, mut skipped: DecodeError, input: &mut &[u8]) -> Result<(), DecodeError> {
        let limit = self.config.packet_limit();
        let left = limit.saturating_sub(usize::try_from(skipped.len).unwrap_or(limit));
        let (len, end) = through_end(input, left);
        *input = input.get(len..).unwrap_or_default();
        self.offset = self.offset.wrapping_add(len as u64);
        skipped.len = skipped.len.wrapping_add(len as u64);
        self.start = skipped.offset;
        let done = match end {
            End::Found => {
                self.skipped = None;
                true
            }
            End::Beyond => {
                self.skipped = Some(unterminated(skipped.id, self.offset));
                true
            }
            End::Unknown => {
                self.skipped = if self.ended { None } else { Some(skipped) };
                self.ended && skipped.len > 0
            }
        };
        if done { Err(skipped) } else { Ok(()) }
    }

    /// What is wrong, in the words of a report.
    fn kind(&self, stop: Stop) -> DecodeErrorKind {
        let (expected, at) = match stop {
            Stop::Unknown => return DecodeErrorKind::UnknownPacket,
            Stop::Malformed { expected, at } => (expected, at),
            Stop::Incomplete => {
                let limit = self.config.max_packet;
                (Expected::EndOfPacket { limit }, self.config.packet_limit())
            }
        };
        DecodeErrorKind::Malformed { expected, at: self.offset.wrapping_add(at as u64) }
    }

    /// Decides what goes with the packet at the front of `bytes`, which is none (D3).
    #[cold]
    fn condemn(&mut self, mut kind: DecodeErrorKind, bytes: &[u8]) -> Verdict {
        let id = PacketId(bytes.first().copied().unwrap_or_default());
        let mut from = 1;
        if id.0 == 0xFF {
            let expected = Expected::PacketId;
            kind = DecodeErrorKind::Malformed { expected, at: self.offset };
        }
        if let DecodeErrorKind::Malformed { expected: END_OF_BASE64, at } = kind {
            if let Some(overlong) = S::overlong(bytes, self.config.byte_order) {
                kind = DecodeErrorKind::MessageTooLong(overlong);
                // Up to there its layout is good, so a `00` before it doesn't end it.
                from = usize::try_from(at.wrapping_sub(self.offset)).unwrap_or(from);
            }
        }
        let left = self.config.packet_limit().saturating_sub(from);
        let (len, end) = through_end(bytes.get(from..).unwrap_or_default(), left);
        let len = len.saturating_add(from);
        let error = DecodeError { kind, id, offset: self.offset, len: len as u64 };
        let report = match end {
            End::Found => Some(error),
            End::Beyond => {
                let behind = self.offset.wrapping_add(len as u64);
                self.skipped = Some(unterminated(id, behind));
                Some(error)
            }
            End::Unknown if self.ended => Some(error),
            End::Unknown => {
                self.skipped = Some(error);
                None
            }
        };
        Verdict { len, report }
    }

    /// The packet of so many bytes at the head of the carry.
    fn lend(&mut self, len: usize) -> Decoded<S::Packet<&[u8]>> {
        let (start, progress) = (self.head, self.take(len));
        let bytes = self.carry.get(start..self.head).unwrap_or_default();
        let mut scan = Scan::new(bytes, progress, self.config);
        S::parse::<true, _>(&self.ids, &mut scan, Whole(|packet| packet))
    }

    /// The same with bytes of its own, no more than it needs.
    fn copy_out(&mut self, len: usize) -> Decoded<S::Packet<Bytes>> {
        let (start, progress) = (self.head, self.take(len));
        let bytes = Bytes::copy_from_slice(self.carry.get(start..self.head).unwrap_or_default());
        let mut scan = Scan::new(&bytes, progress, self.config);
        S::parse::<true, _>(&self.ids, &mut scan, Whole(|packet| share::<S>(packet, &bytes)))
    }

    /// Goes past a packet at the head of the carry; gives what is known of it.
    fn take(&mut self, len: usize) -> Progress {
        self.head = self.head.saturating_add(len);
        self.pass(len);
        core::mem::replace(&mut self.progress, Progress::NONE)
    }
}

/// The packet with slices of the `bytes` that it was read from.
#[inline(always)]
fn share<S: Sender>(packet: S::Packet<&[u8]>, bytes: &Bytes) -> S::Packet<Bytes> {
    S::map(packet, |field| bytes.slice_ref(field))
}

/// Why a packet can't be read, and what is known of it.
type Stopped = (Stop, Progress);

/// Gives a packet that stands first in the input.
struct Lend<'a, 'b, 'i, S: Sender> {
    decoder: &'a mut Decoder<S>,
    input: &'b mut &'i [u8],
}

impl<'a, 'i: 'a, S: Sender> Then<S::Packet<&'a [u8]>> for Lend<'a, '_, 'i, S> {
    type Out = Decoded<S::Packet<&'a [u8]>>;

    #[inline(always)]
    fn read(self, packet: S::Packet<&'a [u8]>, len: usize) -> Self::Out {
        *self.input = self.input.get(len..).unwrap_or_default();
        self.decoder.pass(len);
        Ok(Some(packet))
    }

    #[inline(always)]
    fn stop(self, stop: Stop, progress: Progress) -> Self::Out {
        self.decoder.go_on(Some((stop, progress)), self.input)
    }
}

/// The same with slices of it.
struct Share<'d, S: Sender> {
    decoder: &'d mut Decoder<S>,
    input: &'d Bytes,
    taken: &'d mut usize,
    stopped: &'d mut Option<Stopped>,
}

impl<'a, S: Sender> Then<S::Packet<&'a [u8]>> for Share<'_, S> {
    type Out = Decoded<S::Packet<Bytes>>;

    #[inline(always)]
    fn read(self, packet: S::Packet<&'a [u8]>, len: usize) -> Self::Out {
        *self.taken = self.taken.wrapping_add(len);
        self.decoder.pass(len);
        Ok(Some(share::<S>(packet, self.input)))
    }

    #[inline(always)]
    fn stop(self, stop: Stop, progress: Progress) -> Self::Out {
        *self.stopped = Some((stop, progress));
        Ok(None)
    }
}

/// Only looks whether it is whole.
struct Measure;

impl<P> Then<P> for Measure {
    type Out = Result<usize, Stopped>;

    #[inline(always)]
    fn read(self, _: P, len: usize) -> Self::Out {
        Ok(len)
    }

    #[inline(always)]
    fn stop(self, stop: Stop, progress: Progress) -> Self::Out {
        Err((stop, progress))
    }
}

/// Makes something of a packet that is known to be whole.
struct Whole<F>(F);

impl<P, Q, F: FnOnce(P) -> Q> Then<P> for Whole<F> {
    type Out = Decoded<Q>;

    #[inline(always)]
    fn read(self, packet: P, _: usize) -> Self::Out {
        Ok(Some(self.0(packet)))
    }

    #[inline(always)]
    fn stop(self, _: Stop, _: Progress) -> Self::Out {
        Ok(None)
    }
}

/// What base64 that is too long lacks (D1).
const END_OF_BASE64: Expected = Expected::EndOfField { limit: BASE64_LIMIT };

/// How many bytes go, and what is to say about them, if that is known.
struct Verdict {
    len: usize,
    report: Option<DecodeError>,
}

/// As much of it as a packet may have.
#[inline]
fn window<'a>(bytes: &'a [u8], config: &CodecConfig) -> &'a [u8] {
    bytes.get(..config.packet_limit()).unwrap_or(bytes)
}

/// Whether a `00` comes in time.
enum End {
    Found,
    /// It comes after what one report may have.
    Beyond,
    /// There are too few bytes to say.
    Unknown,
}

/// How many bytes go to a report that `left` more fit into, besides the `00` itself.
fn through_end(bytes: &[u8], left: usize) -> (usize, End) {
    let window = bytes.get(..=left).unwrap_or(bytes);
    match memchr::memchr(0, window) {
        Some(at) => (at.saturating_add(1), End::Found),
        None if window.len() > left => (left, End::Beyond),
        None => (window.len(), End::Unknown),
    }
}

fn unterminated(id: PacketId, offset: u64) -> DecodeError {
    DecodeError { kind: DecodeErrorKind::Unterminated, id, offset, len: 0 }
}

impl<S: Sender> Clone for Decoder<S> {
    fn clone(&self) -> Self {
        Self { carry: self.carry.clone(), ..*self }
    }
}

impl<S: Sender> fmt::Debug for Decoder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("config", &self.config)
            .field("offset", &self.offset)
            .field("unfinished", &self.unfinished().len())
            .field("malformed", &self.skipped)
            .finish_non_exhaustive()
    }
}
