#![doc = include_str!("../README.md")]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "std")]
extern crate std;

mod secret;
#[cfg(feature = "std")]
mod session;

pub use secret::Secret;
#[cfg(feature = "std")]
pub use session::{End, Session};
