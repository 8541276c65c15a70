//! What the fuzz targets run, so that plain tests replay their corpora; one module for each
//! protocol. A target panics when something is wrong.

pub mod bingo;
pub mod delimchat;
pub mod emagine;
pub mod json;
pub mod litecord;
pub mod roomvars;

use crate::Numbers;
use crate::conformance::{
    InputOf, ItemOf, Subject, cut, memory_is_bounded, script, session_survives,
};
use crate::wire::Wire;

/// One fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Of the target, and of the directory of its corpus.
    pub name: &'static str,
    /// Does it, with what the fuzzer wrote.
    pub run: fn(&[u8]),
    /// What its corpus begins with: file names and contents.
    pub seeds: fn() -> Vec<(String, Vec<u8>)>,
}

/// All targets.
pub fn targets() -> impl Iterator<Item = Target> {
    [bingo::TARGETS, litecord::TARGETS, emagine::TARGETS, roomvars::TARGETS, delimchat::TARGETS]
        .into_iter()
        .flatten()
        .copied()
}

/// What a fuzzer wrote, taken from the front; zeros and nothing once there is no more.
#[derive(Debug, Clone)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// Whether there is no more.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// The next two bytes as a number, the high one first.
    pub fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// The next bytes, as many as there are of `len`.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (now, later) = self.0.split_at(len.min(self.0.len()));
        self.0 = later;
        now
    }

    /// The next bytes, as many as the byte before them says.
    pub fn counted(&mut self) -> &'a [u8] {
        let len = self.byte();
        self.bytes(len.into())
    }
}

/// A session under arbitrary calls, time and input; where its limits are `tight`, also how much
/// memory it keeps under a flood of the input.
pub fn session<S: Subject>(subject: &S, fuzz: &[u8], stream: &[ItemOf<S>], tight: bool) {
    session_survives(subject, &script::<InputOf<S>>(fuzz, stream), tight);
    if tight && !stream.is_empty() {
        let mut size = 0;
        InputOf::<S>::each(stream, |input| size += input.size());
        let rounds = (16 * 1024 / size.max(1)).clamp(1, 4096);
        let flood = vec![stream; rounds].concat();
        memory_is_bounded(subject, &cut(&flood, 1024, &mut Numbers::new(1)));
    }
}

/// Writes what [`Input::counted`] takes.
fn counted(bytes: &[u8], dst: &mut Vec<u8>) {
    dst.push(u8::try_from(bytes.len()).expect("is short"));
    dst.extend_from_slice(bytes);
}

/// A name as a file can have it.
pub fn file_name(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}
