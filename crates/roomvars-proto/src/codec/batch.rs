use alloc::borrow::Cow;
use core::str::from_utf8;

use bytes::BufMut;
use smallwire_core::json::{offset, to_token};

use super::{Space, check_len, usual_set};
use crate::error::{at, error};
use crate::{CodecConfig, DecodeError, DecodeErrorKind, Dialect, EncodeError, ServerMessage};

/// The objects in one message of a server, in order (R1).
///
/// After the first error there is nothing more. Empty lines and white space around objects don't
/// count, and an empty message has no objects.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    text: &'a str,
    rest: &'a [u8],
    dialect: Dialect,
    /// What comes after the text, if it isn't all.
    bad: Option<DecodeError>,
}

impl<'a> Batch<'a> {
    /// The objects in `text`.
    #[inline]
    pub fn new(text: &'a str, config: &CodecConfig) -> Self {
        let mut batch = Self { text, rest: text.as_bytes(), dialect: config.dialect, bad: None };
        if let Err(error) = check_len(text.len(), config.max_server_message) {
            batch.refuse(error);
        }
        batch
    }

    /// As [`new`](Self::new), of bytes that need not be UTF-8. What is in the lines before the first
    /// byte that isn't comes all the same.
    #[inline]
    pub fn decode(bytes: &'a [u8], config: &CodecConfig) -> Self {
        match from_utf8(bytes) {
            Ok(text) => Self::new(text, config),
            Err(e) => Self::decode_invalid(bytes, e.valid_up_to(), config),
        }
    }

    #[cold]
    fn decode_invalid(bytes: &'a [u8], valid: usize, config: &CodecConfig) -> Self {
        let text = bytes.get(..valid).and_then(|text| from_utf8(text).ok()).unwrap_or_default();
        let mut batch = Self::new(text, config);
        batch.bad = Some(error(DecodeErrorKind::NotUtf8, valid));
        if let Err(error) = check_len(bytes.len(), config.max_server_message) {
            batch.refuse(error);
        }
        batch
    }

    /// Bytes of the message that are read.
    pub fn offset(&self) -> usize {
        offset(self.text, self.rest)
    }

    #[cold]
    fn refuse(&mut self, error: DecodeError) {
        self.rest = &[];
        self.bad = Some(error);
    }

    /// The next object where it isn't a usual set alone on its line.
    fn next_line(&mut self) -> Option<Result<ServerMessage<'a>, DecodeError>> {
        self.rest = to_token(self.rest);
        if self.rest.is_empty() {
            return self.bad.take().map(Err);
        }
        let start = self.offset();
        let len = memchr::memchr(b'\n', self.rest);
        let read = if let (None, Some(bad)) = (len, self.bad) {
            Err(bad)
        } else {
            let end = len.map_or(self.text.len(), |len| start.saturating_add(len));
            let line = self.text.get(start..end).unwrap_or_default();
            ServerMessage::read(line, self.dialect).map_err(|error| at(error, start))
        };
        self.rest = match len {
            // Past the line break: the next line may be a usual set again.
            Some(len) if read.is_ok() => self.rest.get(len.saturating_add(1)..).unwrap_or_default(),
            _ => &[],
        };
        if read.is_err() {
            self.bad = None;
        }
        Some(read)
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Result<ServerMessage<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some((variable, value, rest)) = usual_set(self.text, self.rest, self.dialect) {
            let later = match rest {
                [b'\n', later @ ..] => Some(later),
                [] if self.bad.is_none() => Some(rest),
                _ => None,
            };
            if let Some(later) = later {
                self.rest = later;
                return Some(Ok(ServerMessage::Set { variable: Cow::Borrowed(variable), value }));
            }
        }
        self.next_line()
    }
}

impl core::iter::FusedIterator for Batch<'_> {}

/// Writes several objects into one message (R1).
///
/// ```
/// use roomvars_proto::{BatchWriter, CodecConfig, ServerMessage};
///
/// let (config, mut message) = (CodecConfig::default(), Vec::new());
/// let mut writer = BatchWriter::new(&config, &mut message);
/// for (variable, value) in [("x", "1"), ("y", "2")] {
///     writer.push(&ServerMessage::Set { variable: variable.into(), value: value.into() })?;
/// }
/// let text = "{\"kind\":\"set\",\"variable\":\"x\",\"value\":\"1\"}\n\
///             {\"kind\":\"set\",\"variable\":\"y\",\"value\":\"2\"}";
/// assert_eq!(message, text.as_bytes());
/// # Ok::<(), roomvars_proto::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct BatchWriter<'a, B> {
    config: &'a CodecConfig,
    dst: &'a mut B,
    /// Bytes of it so far.
    len: usize,
}

impl<'a, B: BufMut> BatchWriter<'a, B> {
    /// Begins a message at the end of `dst`.
    pub fn new(config: &'a CodecConfig, dst: &'a mut B) -> Self {
        Self { config, dst, len: 0 }
    }

    /// Appends an object, and a line break before it unless it is the first.
    ///
    /// # Errors
    /// As [`ServerMessage::encode`]; the limit is that of the whole message. What was there stays
    /// there, so that a message that has become too long can be sent without this object.
    #[inline]
    pub fn push(&mut self, message: &ServerMessage<'_>) -> Result<(), EncodeError> {
        let space = Space { limit: self.config.max_server_message, before: self.len };
        self.len = message.put(self.config.dialect, space, self.dst)?;
        Ok(())
    }
}
