use crate::error::Expected;
use crate::{CodecConfig, DecodeError};

/// Delimited fields that one packet may have at most.
const MAX_FIELDS: usize = 8;

/// What is known of a packet that isn't whole yet, so that nothing of it is looked at twice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    /// Where the delimited fields end of which the end has been found; packets have no more than 65,535 bytes.
    ends: [u16; MAX_FIELDS],
    found: u16,
    /// Up to where the end of the next one has been looked for.
    scanned: u16,
    /// The last place where it may end; 0 if it isn't a field that ends at a delimiter.
    until: u16,
}

impl Progress {
    /// Nothing.
    pub(crate) const NONE: Self = Self { ends: [0; MAX_FIELDS], found: 0, scanned: 0, until: 0 };

    /// Whether `have` bytes end inside a delimited field, all of which have been looked at.
    #[inline]
    pub(super) fn is_inside(&self, have: usize) -> bool {
        self.until != 0 && usize::from(self.scanned) == have
    }

    /// Looks for the end of a delimited field, inside which `have` bytes end, in what follows them. Gives how much of
    /// that belongs to the packet so far, its delimiter included, and whether there is more to tell. `None`: it
    /// isn't inside one.
    #[inline]
    pub(super) fn look_on(&mut self, have: usize, more: &[u8]) -> Option<(usize, bool)> {
        if !self.is_inside(have) {
            return None;
        }
        let room = usize::from(self.until).wrapping_sub(have).wrapping_add(1);
        let window = more.get(..room).unwrap_or(more);
        let found = find(window);
        let looked = found.unwrap_or(window.len());
        self.scanned = narrow(have.wrapping_add(looked));
        let len = found.map_or(window.len(), |at| at.wrapping_add(1));
        Some((len, found.is_some() || len == room))
    }
}

/// What a decoder gives.
pub(crate) type Decoded<P> = Result<Option<P>, DecodeError>;

/// Why a packet can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// There are too few bytes.
    Incomplete,
    /// Nobody who sends it has such a packet (D4).
    Unknown,
    /// Its layout is broken (D0), at so many bytes from its id.
    Malformed { expected: Expected, at: usize },
}

/// What becomes of a packet when it has been read, or can't be. It is made where it is wanted: to move it costs more
/// than to read it.
pub(crate) trait Then<P> {
    type Out;

    /// All of it is read, so many bytes.
    fn read(self, packet: P, len: usize) -> Self::Out;

    /// It can't be; what is known of it is said, too.
    fn stop(self, stop: Stop, progress: Progress) -> Self::Out;
}

/// Reads a packet from its id on: the one place that knows how fields end. Compiled, it is nothing but registers:
/// no function that isn't inlined takes a reference to it.
///
/// With `RESUME` the ends that are known are taken from there.
pub(crate) struct Scan<'a> {
    /// From the id on, at most `max_packet`.
    bytes: &'a [u8],
    at: usize,
    /// The number of the next delimited field.
    field: usize,
    /// Where those before it end.
    ends: [usize; MAX_FIELDS],
    /// The last group that might be missing is.
    missing: bool,
    /// The delimiters among the bytes from `marked` on, a bit for each.
    marks: u32,
    marked: usize,
    known: Progress,
    scanned: usize,
    until: usize,
    pub(crate) config: CodecConfig,
}

impl<'a> Scan<'a> {
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8], known: Progress, config: CodecConfig) -> Self {
        Self {
            bytes,
            at: 0,
            field: 0,
            ends: [0; MAX_FIELDS],
            missing: false,
            marks: 0,
            marked: 0,
            known,
            scanned: known.scanned.into(),
            until: 0,
            config,
        }
    }

    /// What is known when it stops.
    #[inline(always)]
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            ends: self.ends.map(narrow),
            found: narrow(self.field),
            scanned: narrow(self.scanned),
            until: narrow(self.until),
        }
    }

    /// Bytes read so far.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.at
    }

    /// The next byte, which stays.
    #[inline(always)]
    fn peek(&self) -> Result<u8, Stop> {
        self.bytes.get(self.at).copied().ok_or(Stop::Incomplete)
    }

    #[inline(always)]
    fn skip(&mut self, len: usize) {
        self.at = self.at.wrapping_add(len);
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8, expected: Expected) -> Result<(), Stop> {
        if self.peek()? != byte {
            return Err(self.malformed(expected));
        }
        self.skip(1);
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn malformed(&self, expected: Expected) -> Stop {
        malformed(expected, self.at)
    }

    /// The byte that a packet begins with, if there is one.
    #[inline(always)]
    pub(crate) fn id(&mut self) -> Option<u8> {
        let id = *self.bytes.first()?;
        // Known when compiled, and all offsets up to the first delimited field with it.
        self.at = 1;
        Some(id)
    }

    /// The `FF` before a group.
    #[inline(always)]
    pub(crate) fn delimiter(&mut self) -> Result<(), Stop> {
        self.expect(0xFF, Expected::Delimiter)
    }

    /// The `FF` before a group that may be missing.
    #[inline(always)]
    pub(crate) fn delimiter_or_end(&mut self) -> Result<(), Stop> {
        match self.peek()? {
            0xFF => self.skip(1),
            0x00 => self.missing = true,
            _ => return Err(self.malformed(Expected::DelimiterOrEnd)),
        }
        Ok(())
    }

    /// Whether the group is missing that might be.
    #[inline(always)]
    pub(crate) fn is_missing(&self) -> bool {
        self.missing
    }

    /// An `FF` that may be there (D9).
    #[inline(always)]
    pub(crate) fn accept_delimiter(&mut self) -> Result<(), Stop> {
        if self.peek()? == 0xFF {
            self.skip(1);
        }
        Ok(())
    }

    /// The `00` at the end.
    #[inline(always)]
    pub(crate) fn end(&mut self) -> Result<(), Stop> {
        self.expect(0x00, Expected::End)
    }

    /// This text.
    #[inline(always)]
    pub(crate) fn literal(&mut self, text: &'static str) -> Result<(), Stop> {
        for byte in text.bytes() {
            self.expect(byte, Expected::Literal(text))?;
        }
        Ok(())
    }

    /// A field of fixed width, whatever its bytes are (D2).
    #[inline(always)]
    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let bytes = rest.first_chunk::<N>().ok_or(Stop::Incomplete)?;
        self.skip(N);
        Ok(*bytes)
    }

    /// One byte that is one of the values of a type.
    #[inline(always)]
    pub(crate) fn status<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(u8) -> Option<T>,
    ) -> Result<T, Stop> {
        match read(self.peek()?) {
            Some(status) => {
                self.skip(1);
                Ok(status)
            }
            None => Err(self.malformed(Expected::Status(name))),
        }
    }

    /// A field up to the next delimiter, of at most `limit` bytes (D5).
    #[inline(always)]
    pub(crate) fn delimited<const RESUME: bool, const SHORT: bool>(
        &mut self,
        limit: u16,
    ) -> Result<&'a [u8], Stop> {
        let start = self.at;
        let end = if SHORT && !RESUME { self.near(limit) } else { self.known_end::<RESUME>() };
        let end = match end {
            Some(end) => end,
            None => self.search::<RESUME>(limit)?,
        };
        self.found(end);
        Ok(self.bytes.get(start..end).unwrap_or_default())
    }

    /// Looks for the next delimiter, behind at most `limit` bytes.
    #[inline(always)]
    fn search<const RESUME: bool>(&mut self, limit: u16) -> Result<usize, Stop> {
        let from = if RESUME { self.at.max(self.scanned) } else { self.at };
        let until = self.at.wrapping_add(limit.into());
        let behind = until.wrapping_add(1);
        let window = self.bytes.get(from..behind.min(self.bytes.len())).unwrap_or_default();
        match find(window) {
            Some(len) => Ok(from.wrapping_add(len)),
            None if self.bytes.len() >= behind => {
                Err(malformed(Expected::EndOfField { limit }, until))
            }
            None => {
                (self.scanned, self.until) = (self.bytes.len(), until);
                Err(Stop::Incomplete)
            }
        }
    }

    /// Packet ids with an `FF` between each two, at least one.
    #[inline(always)]
    pub(crate) fn list<const RESUME: bool>(&mut self) -> Result<&'a [u8], Stop> {
        let start = self.at;
        if let Some(end) = self.known_end::<RESUME>() {
            self.found(end);
            return Ok(self.bytes.get(start..end).unwrap_or_default());
        }
        if RESUME {
            self.at = start.max(self.scanned);
        }
        loop {
            self.scanned = self.at;
            if matches!(self.peek()?, 0x00 | 0xFF) {
                return Err(self.malformed(Expected::PacketId));
            }
            self.skip(1);
            match self.peek()? {
                0xFF => self.skip(1),
                0x00 => break,
                _ => return Err(self.malformed(Expected::DelimiterOrEnd)),
            }
        }
        self.found(self.at);
        Ok(self.bytes.get(start..self.at).unwrap_or_default())
    }

    /// The next delimiter, where it is likely to be near: a search by vectors takes its time to begin, and the next
    /// field can't be looked at before this one's end is known, if it is looked for alone.
    #[inline(always)]
    fn near(&mut self, limit: u16) -> Option<usize> {
        let shift = u32::try_from(self.at.wrapping_sub(self.marked)).ok()?;
        let mut marks = self.marks.checked_shr(shift).unwrap_or(0);
        if marks == 0 {
            let chunk = self.bytes.get(self.at..)?.first_chunk()?;
            marks = delimiters(chunk);
            (self.marks, self.marked) = (marks, self.at);
        }
        let len = marks.trailing_zeros();
        (marks != 0 && len <= limit.into()).then(|| self.at.wrapping_add(len as usize))
    }

    /// Where the next delimited field ends, if that is known already.
    #[inline(always)]
    fn known_end<const RESUME: bool>(&self) -> Option<usize> {
        let end = self.known.ends.get(self.field)?;
        (RESUME && self.field < self.known.found.into()).then_some(usize::from(*end))
    }

    #[inline(always)]
    fn found(&mut self, end: usize) {
        if let Some(slot) = self.ends.get_mut(self.field) {
            *slot = end;
        }
        self.field = self.field.wrapping_add(1);
        self.at = end;
    }
}

#[cold]
fn malformed(expected: Expected, at: usize) -> Stop {
    Stop::Malformed { expected, at }
}

/// An offset in a packet; it has no more than 65,535 bytes.
#[inline(always)]
fn narrow(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

/// A bit for each byte that is a delimiter.
#[inline(always)]
fn delimiters(bytes: &[u8; 32]) -> u32 {
    const LOW: u64 = u64::MAX / 0xFF * 0x7F;
    let mut marks = 0;
    for word in bytes.rchunks_exact(8) {
        let word = word.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        // The top bit of a byte: whether it isn't 0, and whether its complement isn't.
        let some = ((word & LOW).wrapping_add(LOW)) | word;
        let other = ((!word & LOW).wrapping_add(LOW)) | !word;
        let found = !(some & other) & !LOW;
        // All eight next to each other.
        marks = marks << 8 | ((found >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32;
    }
    marks
}

/// The first delimiter.
#[inline(always)]
fn find(bytes: &[u8]) -> Option<usize> {
    memchr::memchr2(0x00, 0xFF, bytes)
}
