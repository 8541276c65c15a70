//! Steps over JSON, from the front to the back, once, without keeping any of it; and what a string's
//! text is with and without escapes.
//!
//! The codecs whose messages are JSON are made of these steps. Each takes the text that is left, and
//! gives what is left after it. They take what serde_json's `RawValue` takes: escapes are checked, but not that surrogates come in
//! pairs; numbers have their grammar, but no range.

#![allow(clippy::inline_always, reason = "else most of the time goes into calls")]

use alloc::borrow::Cow;
use alloc::string::String;

use bytes::BufMut;

/// How deep arrays and objects may be nested in a message, itself included.
pub const MAX_DEPTH: u32 = 128;

/// The text that is left after a step, or what is wrong.
pub type Step<'a> = Result<&'a [u8], Fault<'a>>;

/// What is wrong, and the text from there on.
#[derive(Debug, Clone, Copy)]
pub struct Fault<'a> {
    too_deep: bool,
    rest: &'a [u8],
}

impl Fault<'_> {
    /// Whether it is JSON nested too deep; else it is no JSON.
    pub fn is_too_deep(self) -> bool {
        self.too_deep
    }

    /// Where in the `text` that was read it is, in bytes.
    #[cold]
    pub fn offset(self, text: &str) -> usize {
        offset(text, self.rest)
    }
}

#[cold]
fn not_json(rest: &[u8]) -> Fault<'_> {
    Fault { too_deep: false, rest }
}

/// Where in `text` its end `rest` begins.
#[inline(always)]
pub fn offset(text: &str, rest: &[u8]) -> usize {
    text.len().wrapping_sub(rest.len())
}

/// What a step has gone over.
#[inline(always)]
pub fn between<'a>(text: &'a str, before: &[u8], after: &[u8]) -> &'a str {
    text.get(offset(text, before)..offset(text, after)).unwrap_or_default()
}

/// Goes to the next byte that isn't white space.
#[inline(always)]
pub fn to_token(rest: &[u8]) -> &[u8] {
    match rest {
        [0..=b' ', ..] => skip_whitespace(rest),
        _ => rest,
    }
}

#[cold]
fn skip_whitespace(mut rest: &[u8]) -> &[u8] {
    while let [b' ' | b'\n' | b'\r' | b'\t', later @ ..] = rest {
        rest = later;
    }
    rest
}

/// Takes `byte`, and white space before it.
///
/// # Errors
/// Something else is there.
#[inline(always)]
pub fn expect(rest: &[u8], byte: u8) -> Step<'_> {
    match rest {
        [next, rest @ ..] if *next == byte => Ok(rest),
        _ => expect_after_space(rest, byte),
    }
}

#[cold]
fn expect_after_space(rest: &[u8], byte: u8) -> Step<'_> {
    match skip_whitespace(rest) {
        [next, rest @ ..] if *next == byte => Ok(rest),
        rest => Err(not_json(rest)),
    }
}

/// Nothing may follow but white space.
///
/// # Errors
/// Something does.
#[inline(always)]
pub fn expect_end(rest: &[u8]) -> Step<'_> {
    match to_token(rest) {
        [] => Ok(rest),
        rest => Err(not_json(rest)),
    }
}

/// Takes a string, and white space before it.
///
/// # Errors
/// There is none, or it isn't well formed.
#[inline(always)]
pub fn string(rest: &[u8]) -> Step<'_> {
    in_string(expect(rest, b'"')?)
}

/// Takes what follows the opening quote of a string, up to and with the closing one, and tells whether
/// there are escapes in it.
///
/// # Errors
/// It isn't well formed.
#[inline(always)]
pub fn quoted(rest: &[u8]) -> Result<(&[u8], bool), Fault<'_>> {
    match to_special(rest) {
        [b'"', later @ ..] => Ok((later, false)),
        special => Ok((in_escaped_string(special)?, true)),
    }
}

/// Takes a value that begins here, inside of `depth` arrays and objects.
///
/// # Errors
/// There is none, it isn't well formed, or it is nested deeper than [`MAX_DEPTH`].
#[inline(always)]
pub fn value(rest: &[u8], depth: u32) -> Step<'_> {
    match rest {
        [b'{' | b'[', ..] => nested(rest, depth),
        _ => scalar(rest),
    }
}

/// A value that is no array and no object.
#[inline(always)]
fn scalar(rest: &[u8]) -> Step<'_> {
    match rest {
        [b'"', rest @ ..] => in_string(rest),
        [b'-' | b'0'..=b'9', ..] => number(rest),
        [b't', b'r', b'u', b'e', rest @ ..]
        | [b'f', b'a', b'l', b's', b'e', rest @ ..]
        | [b'n', b'u', b'l', b'l', rest @ ..] => Ok(rest),
        _ => Err(not_a_literal(rest)),
    }
}

/// Where it stops being one.
#[cold]
fn not_a_literal(rest: &[u8]) -> Fault<'_> {
    let literal: &[u8] = match rest {
        [b't', ..] => b"true",
        [b'f', ..] => b"false",
        [b'n', ..] => b"null",
        _ => b"",
    };
    let same = literal.iter().zip(rest).take_while(|(expected, found)| expected == found).count();
    not_json(rest.get(same..).unwrap_or_default())
}

#[inline(always)]
fn number(mut rest: &[u8]) -> Step<'_> {
    if let [b'-', later @ ..] = rest {
        rest = later;
    }
    rest = match rest {
        [b'0', later @ ..] => later,
        _ => digits(rest)?,
    };
    match rest {
        [b'.' | b'e' | b'E', ..] => fraction(rest),
        _ => Ok(rest),
    }
}

/// What makes a number more than an integer.
fn fraction(mut rest: &[u8]) -> Step<'_> {
    if let [b'.', later @ ..] = rest {
        rest = digits(later)?;
    }
    if let [b'e' | b'E', later @ ..] = rest {
        rest = digits(match later {
            [b'+' | b'-', later @ ..] => later,
            _ => later,
        })?;
    }
    Ok(rest)
}

/// One digit or more.
#[inline(always)]
fn digits(rest: &[u8]) -> Step<'_> {
    let [b'0'..=b'9', later @ ..] = rest else { return Err(not_json(rest)) };
    let mut rest = later;
    // Many have no second one.
    let [b'0'..=b'9', ..] = rest else { return Ok(rest) };
    while let Some((word, later)) = rest.split_first_chunk() {
        if !all_digits(u64::from_le_bytes(*word)) {
            break;
        }
        rest = later;
    }
    while let [b'0'..=b'9', later @ ..] = rest {
        rest = later;
    }
    Ok(rest)
}

/// What follows an opening quote, up to and with the closing one.
#[inline(always)]
fn in_string(rest: &[u8]) -> Step<'_> {
    quoted(rest).map(|(rest, _)| rest)
}

/// The same from an escape on.
fn in_escaped_string(mut rest: &[u8]) -> Step<'_> {
    loop {
        match rest {
            [b'"', later @ ..] => return Ok(later),
            [b'\\', ..] => rest = to_special(escape(rest)?),
            _ => return Err(not_json(rest)),
        }
    }
}

fn escape(rest: &[u8]) -> Step<'_> {
    match rest {
        [_, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest @ ..] => Ok(rest),
        [_, b'u', digits @ ..] => {
            let mut rest = digits;
            for _ in 0..4 {
                rest = match rest {
                    [b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F', rest @ ..] => rest,
                    _ => return Err(not_json(rest)),
                };
            }
            Ok(rest)
        }
        [_, rest @ ..] => Err(not_json(rest)),
        [] => Err(not_json(rest)),
    }
}

/// An array or object inside of `outside` others, and all in it.
fn nested(mut rest: &[u8], outside: u32) -> Step<'_> {
    // One bit for each array or object that is open: whether it is an object.
    let mut open: u128 = 0;
    let mut depth = outside;
    loop {
        if open & 1 == 1 {
            rest = expect(string(rest)?, b':')?;
        }
        rest = to_token(rest);
        rest = match rest {
            [bracket @ (b'{' | b'['), inside @ ..] => {
                if depth >= MAX_DEPTH {
                    return Err(Fault { too_deep: true, rest });
                }
                depth = depth.wrapping_add(1);
                open = open << 1 | u128::from(*bracket == b'{');
                rest = to_token(inside);
                match (bracket, rest) {
                    // What follows it is looked for below.
                    (b'{', [b'}', ..]) | (b'[', [b']', ..]) => rest,
                    _ => continue,
                }
            }
            _ => scalar(rest)?,
        };
        loop {
            if let [b',', later @ ..] = rest {
                rest = later;
                break;
            }
            rest = to_token(rest);
            let in_object = open & 1 == 1;
            match rest {
                [b',', later @ ..] => {
                    rest = later;
                    break;
                }
                [b'}', later @ ..] if in_object => rest = later,
                [b']', later @ ..] if !in_object => rest = later,
                _ => return Err(not_json(rest)),
            }
            open >>= 1;
            depth = depth.wrapping_sub(1);
            if depth == outside {
                return Ok(rest);
            }
        }
    }
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// Whether all bytes of it are ASCII digits.
#[inline(always)]
const fn all_digits(word: u64) -> bool {
    // A digit's high half is 3, and stays so when 6 is added.
    let halves = ONES * 0xF0;
    (word & halves) | (word.wrapping_add(ONES * 6) & halves) >> 4 == ONES * 0x33
}

/// The high bit of each byte that is a quote, a backslash or below 0x20; above the lowest such byte
/// there may be more bits than bytes.
#[inline(always)]
const fn special_bytes(word: u64) -> u64 {
    // Of all that is above 0x1F only the quote comes to be below 0x21.
    let quotes_and_control = (word ^ (ONES * 2)).wrapping_sub(ONES * 0x21);
    let backslashes = (word ^ (ONES * 0x5C)).wrapping_sub(ONES);
    (quotes_and_control | backslashes) & !word & HIGH
}

/// Whether it is a number of nothing but digits.
#[inline(always)]
pub fn is_natural(text: &str) -> bool {
    let text = text.as_bytes();
    let mut rest = text;
    let is_canonical = matches!(text, [b'1'..=b'9', ..] | b"0");
    while let Some((word, later)) = rest.split_first_chunk() {
        if !all_digits(u64::from_le_bytes(*word)) {
            return false;
        }
        rest = later;
    }
    // What is left, and a second time some of what comes before it.
    is_canonical
        && match text.last_chunk() {
            Some(word) => all_digits(u64::from_le_bytes(*word)),
            None => rest.iter().all(u8::is_ascii_digit),
        }
}

/// Goes to the first byte that can't stand in a JSON string as it is. Looks at eight at a time.
#[inline(always)]
pub fn to_special(mut rest: &[u8]) -> &[u8] {
    while let Some((word, later)) = rest.split_first_chunk() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return rest.get(special.trailing_zeros() as usize / 8..).unwrap_or_default();
        }
        rest = later;
    }
    while let [b' ' | b'!' | b'#'..=b'[' | b']'..=0xFF, later @ ..] = rest {
        rest = later;
    }
    rest
}

/// How many bytes at the start of `rest` can stand in a JSON string as they are. Looks at eight at a
/// time; at the end too, if there are so many in `text`, whose end it is.
#[inline(always)]
pub fn plain_len(rest: &[u8], text: &[u8]) -> usize {
    let mut left = rest;
    let mut len = 0_usize;
    while let Some((word, later)) = left.split_first_chunk() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return len.wrapping_add(special.trailing_zeros() as usize / 8);
        }
        (left, len) = (later, len.wrapping_add(8));
    }
    let Some(word) = text.last_chunk() else {
        return rest.len().wrapping_sub(to_special(left).len());
    };
    #[allow(clippy::cast_possible_truncation, reason = "it is less than 8")]
    let seen = 8_u32.wrapping_sub(left.len() as u32);
    // Bytes that were seen go, and zeros, which are special, come behind.
    let word = u64::from_le_bytes(*word).checked_shr(seen.wrapping_mul(8)).unwrap_or(0);
    len.wrapping_add(special_bytes(word).trailing_zeros() as usize / 8)
}

/// What stands between the quotes of a string.
#[inline]
pub fn unquoted(string: &str) -> Option<&str> {
    string.strip_prefix('"')?.strip_suffix('"')
}

/// Whether the text of a string has escapes in it.
#[inline]
pub fn has_escapes(between_quotes: &str) -> bool {
    !is_plain(between_quotes.as_bytes())
}

/// Whether all bytes can stand in a JSON string as they are. Looks at eight at a time.
#[inline(always)]
fn is_plain(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some((word, later)) = rest.split_first_chunk() {
        if special_bytes(u64::from_le_bytes(*word)) != 0 {
            return false;
        }
        rest = later;
    }
    // What is left, and a second time some of what comes before it.
    if let Some(word) = text.last_chunk() {
        special_bytes(u64::from_le_bytes(*word)) == 0
    } else if let (Some([a, b, c, d]), Some([e, f, g, h])) = (text.first_chunk(), text.last_chunk())
    {
        special_bytes(u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h])) == 0
    } else {
        to_special(rest).is_empty()
    }
}

/// What a well-formed string says, from the text between its quotes; `None` if it has a lone
/// surrogate, which no text can have.
pub fn unescape(between_quotes: &str) -> Option<String> {
    let (text, rest) = unescape_start(between_quotes, between_quotes.len())?;
    rest.is_empty().then_some(text)
}

/// What a string says, from the text after its opening quote, and what is left from its closing
/// quote on, if it has one. `None` if an escape is malformed or a lone surrogate. The text begins
/// with the capacity that you give it.
pub fn unescape_start(string: &str, capacity: usize) -> Option<(String, &str)> {
    let mut text = String::with_capacity(capacity);
    let mut rest = string;
    loop {
        let len = plain_len(rest.as_bytes(), string.as_bytes());
        let (plain, special) = rest.split_at_checked(len)?;
        text.push_str(plain);
        let [b'\\', letter, ..] = special.as_bytes() else { return Some((text, special)) };
        let mut len = 2;
        text.push(match letter {
            b'"' | b'\\' | b'/' => char::from(*letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = code_unit(special)?;
                len = if is_high(first) { 12 } else { 6 };
                let second = if is_high(first) { code_unit(special.get(6..)?)? } else { 0 };
                char::decode_utf16([first, second]).next()?.ok()?
            }
            _ => return None,
        });
        rest = special.get(len..)?;
    }
}

/// Whether it is the first half of a character outside the basic plane.
const fn is_high(unit: u16) -> bool {
    unit & 0xFC00 == 0xD800
}

/// What `\u` and four digits stand for.
fn code_unit(escape: &str) -> Option<u16> {
    let digits: &[u8; 4] = escape.strip_prefix("\\u")?.as_bytes().first_chunk()?;
    let mut digits = digits.iter().map(|digit| char::from(*digit).to_digit(16));
    u16::try_from(digits.try_fold(0, |unit, digit| Some(unit << 4 | digit?))?).ok()
}

/// How JSON writes a byte that can't stand in a string as it is; the same as serde_json does.
fn escaped(byte: u8) -> ([u8; 6], usize) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let hex = |half: u8| HEX.get(usize::from(half)).copied().unwrap_or_default();
    let letter = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0C => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            return ([b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)], 6);
        }
    };
    ([b'\\', letter, 0, 0, 0, 0], 2)
}

/// Calls `each` with the runs of `text` that stay as they are, and the byte after each that doesn't.
#[inline]
fn split_escapes(text: &str, mut each: impl FnMut(&[u8], Option<u8>)) {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let special = to_special(rest);
        let plain = rest.get(..rest.len().wrapping_sub(special.len())).unwrap_or_default();
        each(plain, special.first().copied());
        rest = special.get(1..).unwrap_or_default();
    }
}

/// Bytes of `text` between the quotes of a string.
#[inline]
pub fn escaped_len(text: &str) -> usize {
    if is_plain(text.as_bytes()) { text.len() } else { len_with_escapes(text) }
}

#[cold]
fn len_with_escapes(text: &str) -> usize {
    let mut len = 0_usize;
    split_escapes(text, |plain, special| {
        len = len.saturating_add(plain.len());
        len = len.saturating_add(special.map_or(0, |byte| escaped(byte).1));
    });
    len
}

/// Writes `text` as it stands between the quotes of a string.
///
/// # Panics
/// `dst` is of fixed size and has less room than [`escaped_len`].
#[inline]
pub fn put_escaped(text: &str, dst: &mut impl BufMut) {
    split_escapes(text, |plain, special| {
        dst.put_slice(plain);
        if let Some(byte) = special {
            let (escaped, len) = escaped(byte);
            dst.put_slice(escaped.get(..len).unwrap_or_default());
        }
    });
}

/// What a well-formed string says, from the text between its quotes: borrowed, unless there are escapes
/// in it. `None` if it has a lone surrogate.
#[inline]
pub fn plain(between_quotes: &str) -> Option<Cow<'_, str>> {
    if has_escapes(between_quotes) {
        unescape(between_quotes).map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(between_quotes))
    }
}

/// The digits of a number, without the heap.
pub fn decimal(number: u64, room: &mut [u8; 20]) -> &str {
    let mut rest = number;
    let mut start = room.len();
    for digit in room.iter_mut().rev() {
        *digit = b'0' | u8::try_from(rest % 10).unwrap_or_default();
        start = start.saturating_sub(1);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    core::str::from_utf8(room.get(start..).unwrap_or_default()).unwrap_or_default()
}

/// A piece of an object that is to be written.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// As it is.
    Json(&'a str),
    /// What a string is to say, and how long it is with escapes.
    Text(&'a str, usize),
}

impl<'a> Part<'a> {
    /// What a string is to say.
    #[inline(always)]
    pub fn text(text: &'a str) -> Self {
        Self::Text(text, escaped_len(text))
    }

    /// Its bytes.
    #[inline(always)]
    pub fn len(self) -> usize {
        match self {
            Self::Json(json) => json.len(),
            Self::Text(_, len) => len,
        }
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Writes it.
    ///
    /// # Panics
    /// `dst` is of fixed size and has less room than [`len`](Self::len).
    #[inline(always)]
    pub fn put(self, dst: &mut impl BufMut) {
        match self {
            Self::Json(json) => dst.put_slice(json.as_bytes()),
            Self::Text(text, len) if len == text.len() => dst.put_slice(text.as_bytes()),
            Self::Text(text, _) => put_escaped(text, dst),
        }
    }
}

/// What an object has under `N` known keys, as JSON, read in one pass.
///
/// ```
/// use smallwire_core::json::{Fields, plain, unquoted};
///
/// const KEYS: [&str; 2] = ["op", "text"];
/// let mut fields = Fields::<2>::new(r#"{"text":"hi \u2601","more":[1],"op":3}"#);
/// // Any key is looked up; `usual` could save that where keys have an order that is nearly always kept.
/// fields.read(|_| None, |key| KEYS.iter().position(|known| *known == key)).unwrap();
/// assert_eq!(fields.get(0), Some("3"));
/// let text = fields.get(1).and_then(unquoted).and_then(plain);
/// assert_eq!(text.as_deref(), Some("hi ☁"));
/// ```
#[derive(Debug)]
pub struct Fields<'a, const N: usize> {
    text: &'a str,
    values: [Option<&'a str>; N],
}

/// Why an object's fields can't be read, and where in the text.
#[derive(Debug, Clone, Copy)]
pub enum FieldsError<'a> {
    /// It isn't JSON, or nested too deep.
    Fault(Fault<'a>),
    /// It is JSON, but no object.
    NotAnObject(usize),
    /// A known key, by its number, stands there twice; where it does so again.
    Duplicate(usize, usize),
    /// More than white space follows the object.
    Trailing(usize),
}

impl<'a> From<Fault<'a>> for FieldsError<'a> {
    fn from(fault: Fault<'a>) -> Self {
        Self::Fault(fault)
    }
}

impl<'a, const N: usize> Fields<'a, N> {
    /// Nothing of `text` is read yet.
    #[inline]
    pub fn new(text: &'a str) -> Self {
        Self { text, values: [None; N] }
    }

    /// Reads the one object in the text. `usual` is asked where a key begins, and may take it and its colon
    /// where they stand as they do nearly always: it gives the key's number and what follows. `known` gives the
    /// number of any other key, which is less than `N`, if it is known.
    ///
    /// In place: a result with all the fields in it would be copied.
    ///
    /// # Errors
    /// The first thing that is wrong.
    #[inline(always)]
    pub fn read(
        &mut self,
        usual: impl Fn(&'a [u8]) -> Option<(usize, &'a [u8])>,
        known: impl Fn(&str) -> Option<usize>,
    ) -> Result<(), FieldsError<'a>> {
        let Self { text, ref mut values } = *self;
        let start = to_token(text.as_bytes());
        let [b'{', inside @ ..] = start else { return Err(no_object(text, start)) };
        let mut rest = inside;
        if let token @ [b'}', ..] = to_token(inside) {
            rest = token;
        } else {
            loop {
                let key_start = to_token(rest);
                let (key, later) = match usual(key_start) {
                    Some((key, later)) => (Some(key), later),
                    None => take_key(text, key_start, &known)?,
                };
                let value_start = to_token(later);
                rest = value(value_start, 1)?;
                if let Some(key) = key {
                    let value = between(text, value_start, rest);
                    if values.get_mut(key).and_then(|slot| slot.replace(value)).is_some() {
                        return Err(FieldsError::Duplicate(key, offset(text, key_start)));
                    }
                }
                rest = to_token(rest);
                let [b',', later @ ..] = rest else { break };
                rest = later;
            }
        }
        match to_token(expect(rest, b'}')?) {
            [] => Ok(()),
            rest => Err(FieldsError::Trailing(offset(text, rest))),
        }
    }

    /// What stands under a key.
    #[inline(always)]
    pub fn get(&self, key: usize) -> Option<&'a str> {
        self.values.get(key).copied().flatten()
    }

    /// Where in the text this part of it is.
    pub fn offset_of(&self, part: &str) -> usize {
        part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr())
    }

    /// Where the object ends, for what isn't in it.
    pub fn end(&self) -> usize {
        self.text.trim_ascii_end().len().saturating_sub(1)
    }

    /// The object, without white space around it.
    pub fn object(&self) -> &'a str {
        self.text.trim_ascii()
    }
}

/// JSON of another kind, or none: a second look tells.
#[cold]
fn no_object<'a>(text: &str, start: &'a [u8]) -> FieldsError<'a> {
    match value(start, 0).and_then(expect_end) {
        Ok(_) => FieldsError::NotAnObject(offset(text, start)),
        Err(fault) => fault.into(),
    }
}

/// Takes any key, which may be written with escapes, and its colon.
fn take_key<'a>(
    text: &str,
    rest: &'a [u8],
    known: impl Fn(&str) -> Option<usize>,
) -> Result<(Option<usize>, &'a [u8]), Fault<'a>> {
    let later = string(rest)?;
    let name = unquoted(between(text, rest, later)).unwrap_or_default();
    let key = plain(name).and_then(|name| known(&name));
    Ok((key, expect(later, b':')?))
}
