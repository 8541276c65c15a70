// Of two definitions of a link the first counts: these are for here, those in the README for elsewhere.
//! [spec]: crate::spec
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

#[cfg(feature = "std")]
mod client;
mod codec;
mod config;
#[cfg(feature = "std")]
mod connection;
mod error;
#[cfg(feature = "std")]
mod event;
mod identification;
mod json;
mod message;
#[cfg(feature = "std")]
mod pending;
#[cfg(feature = "std")]
mod server;

#[cfg(feature = "std")]
pub use client::Client;
pub use codec::{Decoder, Frame, FrameRef};
#[cfg(feature = "tokio-util")]
pub use codec::{FrameCodec, FrameCodecError};
pub use config::{ByteOrder, CodecConfig, ErrorReplyStyle};
#[cfg(feature = "std")]
pub use config::{Config, Limits};
#[cfg(feature = "std")]
pub use error::{AnswerError, DecideError, SendError, SessionError, Violation, ViolationKind};
pub use error::{DecodeError, DecodeErrorKind, EncodeError, JsonError};
#[cfg(feature = "std")]
pub use event::{ClientEvent, Outcome, Payload, PeerRequestId, RequestId, ServerEvent};
pub use identification::Identification;
pub use json::{from_json, to_json};
pub use message::{ClientMessage, MessageId, OpCode, Role, ServerMessage};
#[cfg(feature = "std")]
pub use server::Server;
pub use smallwire_core::{Backoff, Secret};
#[cfg(feature = "std")]
pub use smallwire_core::{End, Session};

/// The protocol, every decision numbered: what this crate does, and what the numbers in its
/// documentation refer to.
#[doc = include_str!("../SPEC.md")]
pub mod spec {}

/// What has changed, version by version.
#[doc = include_str!("../CHANGELOG.md")]
pub mod changelog {}
