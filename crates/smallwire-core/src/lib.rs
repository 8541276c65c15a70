// Of two definitions of a link the first counts: these are for here, those in the README for elsewhere.
//! [changelog]: crate::changelog
#![cfg_attr(feature = "std", doc = "[session]: crate::Session")]
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

mod backoff;
pub mod clock;
#[cfg(feature = "std")]
mod connection;
pub mod json;
#[cfg(feature = "serde_json")]
mod opaque;
mod secret;
#[cfg(feature = "std")]
mod session;
mod websocket;

pub use backoff::Backoff;
#[cfg(feature = "std")]
pub use connection::Connection;
#[cfg(feature = "serde_json")]
pub use opaque::{Json, JsonError, JsonRef};
pub use secret::Secret;
#[cfg(feature = "std")]
pub use session::{End, Session};
pub use websocket::{CloseFrame, Message};

/// What has changed, version by version.
#[doc = include_str!("../CHANGELOG.md")]
pub mod changelog {}
