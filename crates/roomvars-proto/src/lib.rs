// Of two definitions of a link the first counts: these are for here, those in the README for elsewhere.
//! [spec]: crate::spec
//! [changelog]: crate::changelog
#![cfg_attr(feature = "std", doc = "[session]: crate::Session\n[hub]: crate::Hub")]
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

#[cfg(feature = "std")]
mod client;
mod codec;
mod config;
mod error;
#[cfg(feature = "std")]
mod event;
#[cfg(feature = "std")]
mod hub;
mod message;
mod rate;

#[cfg(feature = "std")]
pub use client::Client;
pub use codec::{Batch, BatchWriter, Variables};
#[cfg(feature = "std")]
pub use config::{ClientConfig, HubConfig};
pub use config::{CodecConfig, Dialect, Limits};
#[cfg(feature = "std")]
pub use error::{
    ApplyError, ConnectionError, Full, JoinError, SendError, SessionError, Violation, ViolationKind,
};
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
#[cfg(feature = "std")]
pub use event::ClientEvent;
#[cfg(feature = "std")]
pub use hub::{AcceptAll, Author, ConnId, ConnectionInfo, Hub, HubEvent, Policy, RoomInfo};
pub use message::{ClientMessage, CloseCode, ServerMessage, Value, ValueRef};
pub use rate::RateLimit;
pub use smallwire_core::{Backoff, CloseFrame, Message};
#[cfg(feature = "std")]
pub use smallwire_core::{End, Session};

/// The protocol, every decision numbered: what this crate does, and what the numbers in its
/// documentation refer to.
#[doc = include_str!("../SPEC.md")]
pub mod spec {}

/// What has changed, version by version.
#[doc = include_str!("../CHANGELOG.md")]
pub mod changelog {}
