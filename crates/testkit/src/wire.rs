//! What goes over a wire, so that one suite serves all sessions.

use std::fmt::Debug;
use std::slice;

use bytes::Bytes;
use smallwire_core::{CloseFrame, Message, Session};

/// What a session is handed: some bytes of a stream, or one message.
pub trait Wire {
    /// What goes over the wire, one after the other: bytes or messages.
    type Item: Clone + Debug + PartialEq;

    /// What it consists of.
    fn items(&self) -> &[Self::Item];

    /// Does this with each input that a session is handed these in: bytes all at once, messages one
    /// by one.
    fn each(items: &[Self::Item], does: impl FnMut(&Self));

    /// Items made of any bytes: what a fuzzer wrote.
    fn made_of(fuzz: &[u8]) -> Vec<Self::Item>;

    /// How many bytes it has.
    fn size(&self) -> usize;
}

impl Wire for [u8] {
    type Item = u8;

    fn items(&self) -> &[u8] {
        self
    }

    fn each(items: &[u8], mut does: impl FnMut(&[u8])) {
        does(items);
    }

    fn made_of(fuzz: &[u8]) -> Vec<u8> {
        fuzz.to_vec()
    }

    fn size(&self) -> usize {
        self.len()
    }
}

impl Wire for Message {
    type Item = Message;

    fn items(&self) -> &[Message] {
        slice::from_ref(self)
    }

    fn each(items: &[Message], does: impl FnMut(&Message)) {
        items.iter().for_each(does);
    }

    /// One, of the kind that the first byte says, rarely a close frame.
    fn made_of(fuzz: &[u8]) -> Vec<Message> {
        let Some((kind, payload)) = fuzz.split_first() else { return Vec::new() };
        let bytes = Bytes::copy_from_slice(payload);
        vec![match (kind, payload) {
            (0xFE, _) => Message::Close(None),
            (0xFF, [high, low, reason @ ..]) => {
                let reason = String::from_utf8_lossy(reason).into_owned();
                Message::Close(Some(CloseFrame::new(u16::from_be_bytes([*high, *low]), reason)))
            }
            (0x80.., _) => Message::Binary(bytes),
            _ => Message::Text(bytes),
        }]
    }

    fn size(&self) -> usize {
        self.len()
    }
}

/// All that a session over WebSocket has to send: texts, and close frames by their code.
pub fn sent<S: Session<Transmit = Message>>(session: &mut S) -> Vec<String> {
    std::iter::from_fn(|| session.poll_transmit())
        .map(|message| match message {
            Message::Text(text) => String::from_utf8(text.to_vec()).expect("is text"),
            Message::Binary(bytes) => format!("{} bytes", bytes.len()),
            Message::Close(None) => "close".into(),
            Message::Close(Some(frame)) => format!("close {}", frame.code()),
        })
        .collect()
}
