#![doc = include_str!("../README.md")]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod codec;
mod config;
mod error;
mod message;

pub use codec::{Batch, BatchWriter, Variables};
pub use config::{CodecConfig, Dialect};
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use message::{ClientMessage, CloseCode, ServerMessage, Value, ValueRef};
pub use smallwire_core::{Backoff, CloseFrame, Message};
#[cfg(feature = "std")]
pub use smallwire_core::{End, Session};

/// The protocol, every decision numbered: what this crate does, and what the numbers in its
/// documentation refer to.
#[doc = include_str!("../SPEC.md")]
pub mod spec {}
