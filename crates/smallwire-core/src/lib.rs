#![doc = include_str!("../README.md")]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod backoff;
mod secret;
#[cfg(feature = "std")]
mod session;
mod websocket;

pub use backoff::Backoff;
pub use secret::Secret;
#[cfg(feature = "std")]
pub use session::{End, Session};
pub use websocket::{CloseFrame, Message};
