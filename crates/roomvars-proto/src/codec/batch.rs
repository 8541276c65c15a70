use core::str::from_utf8;

use bytes::BufMut;
use smallwire_core::json::{offset, to_token};

use super::{Space, check_len, usual_set};
use crate::error::{at, error};
use crate::{CodecConfig, DecodeError, DecodeErrorKind, Dialect, EncodeError, ServerMessage};

/// The objects in one message of a server, in order (R1).
///
/// After the first error there is nothing more. Empty lines and white space around objects don't
/// count, and an empty message has no objects. A message longer than `max_server_message` is one error.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    text: &'a str,
    rest: &'a str,
    dialect: Dialect,
    /// What comes after the text, if it isn't all.
    bad: Option<DecodeError>,
}

impl<'a> Batch<'a> {
    /// The objects in `text`.
    #[inline]
    pub fn new(text: &'a str, config: &CodecConfig) -> Self {
        let mut batch = Self { text, rest: text, dialect: config.dialect, bad: None };
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

    /// Bytes of the message that are read: after an error all of them, or all before the first that isn't UTF-8.
    pub fn offset(&self) -> usize {
        self.text.len().saturating_sub(self.rest.len())
    }

    #[cold]
    fn refuse(&mut self, error: DecodeError) {
        self.rest = "";
        self.bad = Some(error);
    }

    /// The next object where it isn't a usual set alone on its line, and the lines after it. Of a
    /// copy, so that the iterator itself can live in registers.
    fn read(self) -> (Result<Option<ServerMessage<'a>>, DecodeError>, &'a str) {
        let rest = to_token(self.rest.as_bytes());
        let start = offset(self.text, rest);
        if rest.is_empty() {
            return (self.bad.map_or(Ok(None), Err), "");
        }
        let len = memchr::memchr(b'\n', rest);
        if let (None, Some(bad)) = (len, self.bad) {
            return (Err(bad), "");
        }
        let rest = self.text.get(start..).unwrap_or_default();
        let (line, later) = rest.split_at_checked(len.unwrap_or(rest.len())).unwrap_or_default();
        let read = ServerMessage::read(line, self.dialect).map_err(|error| at(error, start));
        (read.map(Some), later.strip_prefix('\n').unwrap_or_default())
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Result<ServerMessage<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.bad.is_none() {
            if let Some((variable, value, later)) = usual_set(self.rest, self.dialect) {
                self.rest = later;
                return Some(Ok(ServerMessage::Set { variable, value }));
            }
            if self.rest.is_empty() {
                return None;
            }
        }
        let (read, later) = self.clone().read();
        self.rest = later;
        if !matches!(read, Ok(Some(_))) {
            (self.rest, self.bad) = ("", None);
        }
        read.transpose()
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
