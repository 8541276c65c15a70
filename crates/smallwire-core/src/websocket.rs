use alloc::borrow::Cow;
use core::fmt;

use bytes::Bytes;

/// One WebSocket message, or the close frame that ends the connection: what sessions of the
/// protocols over WebSocket take and give.
///
/// Whoever drives the session turns it into the message type of their WebSocket library and back.
/// Pings and pongs of the WebSocket itself, the answer to a close frame, masks and fragments are
/// that library's business; they never come here.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    /// Text. What a session sends is always UTF-8; what it is given need not be checked before.
    Text(Bytes),
    /// Bytes.
    Binary(Bytes),
    /// The peer, or we, end the connection: without a code or with one.
    ///
    /// Where a library says 1005, no code was sent: give `None`. Where it says 1006, there was no close
    /// frame: call `handle_eof` instead.
    Close(Option<CloseFrame>),
}

impl Message {
    /// A text message.
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self::Text(text.into())
    }

    /// Bytes of the payload; a close frame's code and reason included.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(payload) | Self::Binary(payload) => payload.len(),
            Self::Close(None) => 0,
            Self::Close(Some(frame)) => frame.reason().len().saturating_add(2),
        }
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Shows the length only: what is in it may be a secret.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
            Self::Close(frame) => f.debug_tuple("Close").field(frame).finish(),
        }
    }
}

/// Why a WebSocket is closed: a code, and a text for whoever reads logs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CloseFrame {
    code: u16,
    reason: Cow<'static, str>,
}

impl CloseFrame {
    /// Bytes that a reason may have on the wire.
    pub const MAX_REASON_LEN: usize = 123;

    /// A close frame; of a longer `reason` the first 123 bytes are kept, less if that cuts a character.
    pub fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut reason = reason.into();
        if reason.len() > Self::MAX_REASON_LEN {
            let mut len = Self::MAX_REASON_LEN;
            while !reason.is_char_boundary(len) {
                len = len.saturating_sub(1);
            }
            reason = Cow::Owned(reason.get(..len).unwrap_or_default().into());
        }
        Self { code, reason }
    }

    /// The close code; any number here, 1000–4999 on the wire.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The reason, at most 123 bytes; may be empty.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_reason_is_cut_where_a_character_ends() {
        let frame = CloseFrame::new(4000, format!("{}é!", "x".repeat(122)));
        assert_eq!(frame.reason(), "x".repeat(122));
        assert_eq!(CloseFrame::new(4000, "x".repeat(123)).reason().len(), 123);
        assert_eq!(Message::Close(Some(frame)).len(), 124);
        assert!(Message::Close(None).is_empty());
    }

    #[test]
    fn content_stays_out_of_logs() {
        assert_eq!(format!("{:?}", Message::text("hunter2")), "Text(7 bytes)");
        assert_eq!(format!("{:?}", Message::Binary(Bytes::from_static(b"ab"))), "Binary(2 bytes)");
    }
}
