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
    pub(super) const NONE: Self = Self { ends: [0; MAX_FIELDS], found: 0, scanned: 0, until: 0 };

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

/// Reads a packet from its id on: the one place that knows how fields end.
///
/// With `RESUME` the ends that `progress` knows are taken from there.
pub(crate) struct Scan<'a, 'c> {
    /// From the id on, at most `max_packet`.
    bytes: &'a [u8],
    at: usize,
    /// The number of the next delimited field.
    field: usize,
    /// The last group that might be missing is.
    missing: bool,
    pub(super) progress: Progress,
    pub(crate) config: &'c CodecConfig,
}

impl<'a, 'c> Scan<'a, 'c> {
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8], progress: Progress, config: &'c CodecConfig) -> Self {
        Self { bytes, at: 0, field: 0, missing: false, progress, config }
    }

    /// Bytes read so far.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
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

    #[cold]
    pub(crate) fn malformed(&self, expected: Expected) -> Stop {
        Stop::Malformed { expected, at: self.at }
    }

    /// The byte that a packet begins with.
    #[inline(always)]
    pub(crate) fn id(&mut self) -> Result<u8, Stop> {
        let id = *self.bytes.first().ok_or(Stop::Incomplete)?;
        // Known when compiled, and all offsets up to the first delimited field with it.
        (self.at, self.field) = (1, 0);
        Ok(id)
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
        let (start, field) = (self.at, self.field);
        self.field = field.wrapping_add(1);
        let known = self.progress.ends.get(field).filter(|_| field < self.progress.found.into());
        let end = match known {
            Some(end) if RESUME => usize::from(*end),
            _ => {
                let from = if RESUME { start.max(self.progress.scanned.into()) } else { start };
                let behind = start.wrapping_add(limit.into()).wrapping_add(1);
                let window = self.bytes.get(from..behind.min(self.bytes.len()));
                let window = window.unwrap_or_default();
                match if SHORT { find_near(window) } else { find(window) } {
                    Some(len) => self.found::<RESUME>(field, from.wrapping_add(len)),
                    None => return Err(self.not_found(start, limit)),
                }
            }
        };
        self.at = end;
        Ok(self.bytes.get(start..end).unwrap_or_default())
    }

    /// Packet ids with an `FF` between each two, at least one.
    pub(crate) fn list<const RESUME: bool>(&mut self) -> Result<&'a [u8], Stop> {
        let (start, field) = (self.at, self.field);
        self.field = field.wrapping_add(1);
        let known = self.progress.ends.get(field).filter(|_| field < self.progress.found.into());
        if let Some(end) = known.filter(|_| RESUME) {
            self.at = usize::from(*end);
            return Ok(self.bytes.get(start..self.at).unwrap_or_default());
        }
        if RESUME {
            self.at = start.max(self.progress.scanned.into());
        }
        loop {
            self.progress.scanned = narrow(self.at);
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
        self.found::<RESUME>(field, self.at);
        Ok(self.bytes.get(start..self.at).unwrap_or_default())
    }

    #[inline(always)]
    fn found<const RESUME: bool>(&mut self, field: usize, end: usize) -> usize {
        if let Some(slot) = self.progress.ends.get_mut(field) {
            *slot = narrow(end);
            if RESUME {
                self.progress.until = 0;
            }
            self.progress.found = narrow(field).wrapping_add(1);
        }
        end
    }

    #[cold]
    fn not_found(&mut self, start: usize, limit: u16) -> Stop {
        let passed = start.saturating_add(limit.into());
        if self.bytes.len() > passed {
            return Stop::Malformed { expected: Expected::EndOfField { limit }, at: passed };
        }
        self.progress.scanned = narrow(self.bytes.len());
        self.progress.until = narrow(passed);
        Stop::Incomplete
    }
}

/// An offset in a packet; it has no more than 65,535 bytes.
#[inline(always)]
fn narrow(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

/// The first delimiter, where it is likely to be near: a search by vectors takes its time to begin.
#[inline(always)]
fn find_near(bytes: &[u8]) -> Option<usize> {
    const LOW: u64 = u64::MAX / 0xFF;
    // The lowest bit that is set is the top one of the first byte that is 0.
    let zeros = |word: u64| word.wrapping_sub(LOW) & !word & (LOW << 7);
    let mut rest = bytes;
    for before in [0, 8] {
        let Some((word, behind)) = rest.split_first_chunk() else { break };
        let word = u64::from_le_bytes(*word);
        let found = zeros(word) | zeros(!word);
        if found != 0 {
            return Some((found.trailing_zeros() / 8).wrapping_add(before) as usize);
        }
        rest = behind;
    }
    let before = bytes.len().wrapping_sub(rest.len());
    find(rest).map(|at| at.wrapping_add(before))
}

/// The first delimiter.
#[inline(always)]
fn find(bytes: &[u8]) -> Option<usize> {
    memchr::memchr2(0x00, 0xFF, bytes)
}
