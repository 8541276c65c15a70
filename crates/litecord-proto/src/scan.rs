//! Steps over JSON, from the front to the back, once, without keeping any of it.
//!
//! They take what serde_json's `RawValue` takes: escapes are checked, but not that surrogates come in
//! pairs; numbers have their grammar, but no range.

#![allow(clippy::inline_always, reason = "else most of the time goes into calls")]

use crate::{DecodeError, DecodeErrorKind};

/// How deep arrays and objects may be nested in a message, itself included (L2).
pub(crate) const MAX_DEPTH: u32 = 128;

/// The text that is left after a step, or what is wrong.
pub(crate) type Step<'a> = Result<&'a [u8], Fault<'a>>;

/// What is wrong, and the text from there on.
#[derive(Clone, Copy)]
pub(crate) struct Fault<'a> {
    too_deep: bool,
    rest: &'a [u8],
}

impl Fault<'_> {
    /// As an error in the `text` that was read.
    #[cold]
    pub(crate) fn in_text(self, text: &str) -> DecodeError {
        let kind = if self.too_deep { DecodeErrorKind::TooDeep } else { DecodeErrorKind::NotJson };
        error(kind, offset(text, self.rest))
    }
}

/// An error at `offset`.
#[cold]
pub(crate) fn error(kind: DecodeErrorKind, offset: usize) -> DecodeError {
    DecodeError { kind, offset: offset as u64 }
}

#[cold]
fn not_json(rest: &[u8]) -> Fault<'_> {
    Fault { too_deep: false, rest }
}

/// Where in `text` its end `rest` begins.
#[inline(always)]
pub(crate) fn offset(text: &str, rest: &[u8]) -> usize {
    text.len().wrapping_sub(rest.len())
}

/// What a step has gone over.
#[inline(always)]
pub(crate) fn between<'a>(text: &'a str, before: &[u8], after: &[u8]) -> &'a str {
    text.get(offset(text, before)..offset(text, after)).unwrap_or_default()
}

/// Goes to the next byte that isn't white space.
#[inline(always)]
pub(crate) fn to_token(rest: &[u8]) -> &[u8] {
    match rest {
        [..=b' ', ..] => skip_whitespace(rest),
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
#[inline(always)]
pub(crate) fn expect(rest: &[u8], byte: u8) -> Step<'_> {
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
#[inline(always)]
pub(crate) fn expect_end(rest: &[u8]) -> Step<'_> {
    match to_token(rest) {
        [] => Ok(rest),
        rest => Err(not_json(rest)),
    }
}

/// A string that begins here.
#[inline(always)]
pub(crate) fn string(rest: &[u8]) -> Step<'_> {
    in_string(expect(rest, b'"')?)
}

/// A value that begins here, inside of `depth` arrays and objects.
#[inline(always)]
pub(crate) fn value(rest: &[u8], depth: u32) -> Step<'_> {
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
fn in_string(mut rest: &[u8]) -> Step<'_> {
    loop {
        rest = to_special(rest);
        match rest {
            [b'"', later @ ..] => return Ok(later),
            [b'\\', ..] => rest = escape(rest)?,
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
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (zeros(word ^ QUOTES) | zeros(word ^ BACKSLASHES) | control) & HIGH
}

/// Goes to the first byte that can't stand in a JSON string as it is. Looks at eight at a time.
#[inline(always)]
pub(crate) fn to_special(mut rest: &[u8]) -> &[u8] {
    while let Some((word, later)) = rest.split_first_chunk() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return rest.get(special.trailing_zeros() as usize / 8..).unwrap_or_default();
        }
        rest = later;
    }
    while let [b' ' | b'!' | b'#'..=b'[' | b']'.., later @ ..] = rest {
        rest = later;
    }
    rest
}
