#![doc = include_str!("../README.md")]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "bingo")]
pub use bingo_proto as bingo;
pub use smallwire_core::Secret;
#[cfg(feature = "std")]
pub use smallwire_core::{End, Session};
