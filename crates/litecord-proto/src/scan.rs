use crate::{DecodeError, DecodeErrorKind};

/// How deep arrays and objects may be nested in a message, itself included (L2).
pub(crate) const MAX_DEPTH: u32 = 128;

/// Reads JSON from the front to the back, once, without keeping any of it.
///
/// Takes what serde_json's `RawValue` takes: escapes are checked, but not that surrogates come in
/// pairs; numbers have their grammar, but no range.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// An error at `offset`.
#[cold]
pub(crate) fn error(kind: DecodeErrorKind, offset: usize) -> DecodeError {
    DecodeError { kind, offset: offset as u64 }
}

impl<'a> Scanner<'a> {
    #[inline]
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where the next byte is.
    #[inline]
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn advance(&mut self) {
        self.at = self.at.wrapping_add(1);
    }

    #[cold]
    fn not_json(&self) -> DecodeError {
        error(DecodeErrorKind::NotJson, self.at)
    }

    #[inline]
    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.advance();
        }
    }

    /// The next byte that isn't white space, not taken yet.
    #[inline]
    pub(crate) fn next_token(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        if byte > b' ' {
            return Some(byte);
        }
        self.skip_whitespace();
        self.peek()
    }

    /// Takes `byte`, if it is the next one but for white space.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.next_token() == Some(byte);
        if found {
            self.advance();
        }
        found
    }

    #[inline]
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), DecodeError> {
        if self.take(byte) { Ok(()) } else { Err(self.not_json()) }
    }

    /// Nothing may follow but white space.
    #[inline]
    pub(crate) fn expect_end(&mut self) -> Result<(), DecodeError> {
        match self.next_token() {
            None => Ok(()),
            Some(_) => Err(self.not_json()),
        }
    }

    #[inline]
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// A key and its colon: what stands between the quotes, and where its quote is.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<(&'a str, usize), DecodeError> {
        let start = self.at_token();
        self.expect(b'"')?;
        self.string()?;
        let key = self.text.get(start.wrapping_add(1)..self.at.wrapping_sub(1)).unwrap_or_default();
        self.expect(b':')?;
        Ok((key, start))
    }

    #[inline]
    fn at_token(&mut self) -> usize {
        self.next_token();
        self.at
    }

    /// One value, which is inside of `depth` arrays and objects.
    #[inline]
    pub(crate) fn value(&mut self, depth: u32) -> Result<&'a str, DecodeError> {
        let start = self.at_token();
        match self.peek() {
            Some(b'{' | b'[') => self.nested(depth)?,
            _ => self.scalar()?,
        }
        Ok(self.since(start))
    }

    /// A value that is no array and no object.
    #[inline]
    fn scalar(&mut self) -> Result<(), DecodeError> {
        match self.peek() {
            Some(b'"') => {
                self.advance();
                self.string()
            }
            Some(b'0'..=b'9' | b'-') => self.number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => Err(self.not_json()),
        }
    }

    fn literal(&mut self, literal: &str) -> Result<(), DecodeError> {
        for expected in literal.bytes() {
            if self.peek() != Some(expected) {
                return Err(self.not_json());
            }
            self.advance();
        }
        Ok(())
    }

    #[inline]
    fn digits(&mut self) -> Result<(), DecodeError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.not_json());
        }
        while let Some(b'0'..=b'9') = self.peek() {
            self.advance();
        }
        Ok(())
    }

    #[inline]
    fn number(&mut self) -> Result<(), DecodeError> {
        if self.peek() == Some(b'-') {
            self.advance();
        }
        if self.peek() == Some(b'0') {
            self.advance();
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.advance();
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.advance();
            if let Some(b'+' | b'-') = self.peek() {
                self.advance();
            }
            self.digits()?;
        }
        Ok(())
    }

    /// What follows an opening quote, up to and with the closing one.
    #[inline]
    fn string(&mut self) -> Result<(), DecodeError> {
        loop {
            match self.plain_text() {
                Some(b'"') => {
                    self.advance();
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(self.not_json()),
            }
        }
    }

    /// Goes past what needs no look in a string, to a quote, backslash or control character, which it
    /// gives.
    #[inline]
    fn plain_text(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        self.at = self.at.wrapping_add(first_special(rest).unwrap_or(rest.len()));
        self.peek()
    }

    fn escape(&mut self) -> Result<(), DecodeError> {
        self.advance();
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.advance(),
            Some(b'u') => {
                self.advance();
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.not_json());
                    }
                    self.advance();
                }
            }
            _ => return Err(self.not_json()),
        }
        Ok(())
    }

    /// An array or object inside of `outside` others, and all in it.
    fn nested(&mut self, outside: u32) -> Result<(), DecodeError> {
        // One bit for each array or object that is open: whether it is an object.
        let mut open: u128 = 0;
        let mut depth = outside;
        loop {
            // A value.
            match self.next_token() {
                Some(bracket @ (b'{' | b'[')) => {
                    if depth >= MAX_DEPTH {
                        return Err(error(DecodeErrorKind::TooDeep, self.at));
                    }
                    self.advance();
                    depth = depth.wrapping_add(1);
                    open = open << 1 | u128::from(bracket == b'{');
                    if bracket == b'{' {
                        if !self.take(b'}') {
                            self.key()?;
                            continue;
                        }
                    } else if !self.take(b']') {
                        continue;
                    }
                    depth = depth.wrapping_sub(1);
                    open >>= 1;
                }
                _ => self.scalar()?,
            }
            // What follows it.
            loop {
                if depth == outside {
                    return Ok(());
                }
                let in_object = open & 1 == 1;
                match self.next_token() {
                    Some(b',') => {
                        self.advance();
                        if in_object {
                            self.key()?;
                        }
                        break;
                    }
                    Some(b'}') if in_object => self.advance(),
                    Some(b']') if !in_object => self.advance(),
                    _ => return Err(self.not_json()),
                }
                depth = depth.wrapping_sub(1);
                open >>= 1;
            }
        }
    }
}

/// The high bit of each byte that is a quote, a backslash or below 0x20; above the lowest such byte
/// there may be more bits than bytes.
#[inline]
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (zeros(word ^ ONES * b'"' as u64) | zeros(word ^ ONES * b'\\' as u64) | control) & HIGH
}

/// Where the first byte is that can't stand in a JSON string as it is. Looks at eight at a time.
#[inline]
pub(crate) fn first_special(text: &[u8]) -> Option<usize> {
    let mut at = 0_usize;
    let mut rest = text;
    while let Some((word, later)) = rest.split_first_chunk::<8>() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return Some(at.wrapping_add(special.trailing_zeros() as usize / 8));
        }
        at = at.wrapping_add(8);
        rest = later;
    }
    let found = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '))?;
    Some(at.wrapping_add(found))
}
