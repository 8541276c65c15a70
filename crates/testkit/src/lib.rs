//! What the smallwire crates are tested with.
//!
//! - [`conformance`]: what every session and every codec must do, whatever its protocol.
//! - [`pair`]: two sessions over a link that can be cut, under virtual time.
//! - [`wire`]: what sessions are handed, bytes or messages, so that both are theirs.
//! - [`vectors`]: runs the language-neutral test vectors.
//! - [`spec`]: whether every number of a `SPEC.md` is named by a test.
//! - [`fuzz`]: what the fuzz targets run; plain tests replay their corpora.
//! - [`model`]: slow, obvious decoders that the fast ones are held to.
//! - [`measure`]: counts what a closure allocates, on its thread.
//! - one module for each protocol: its sessions as subjects of the suite.

#![allow(clippy::missing_panics_doc, reason = "a panic is how a test says no")]

pub mod bingo;
pub mod conformance;
pub mod delimchat;
pub mod emagine;
pub mod fuzz;
mod gateway;
pub mod litecord;
pub mod model;
pub mod pair;
pub mod roomvars;
pub mod spec;
pub mod vectors;
pub mod wire;

/// The workspace's README: what it shows compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

use std::time::Instant;

pub use allocation_counter::{AllocationInfo, measure};

/// Some point in time, for sessions that are told what time it is.
#[allow(clippy::disallowed_methods, reason = "an `Instant` can't be made in any other way")]
pub fn epoch() -> Instant {
    Instant::now()
}

/// A small generator of numbers that look random and are the same in every run.
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// The series of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number below `end`, which isn't 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % end
    }

    /// So many bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| u8::try_from(self.below(256)).unwrap_or(0)).collect()
    }
}
