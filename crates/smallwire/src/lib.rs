#![doc = include_str!("../README.md")]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "bingo")]
pub use bingo_proto as bingo;
#[cfg(feature = "delimchat")]
pub use delimchat_proto as delimchat;
#[cfg(feature = "emagine")]
pub use emagine_proto as emagine;
#[cfg(feature = "litecord")]
pub use litecord_proto as litecord;
#[cfg(feature = "roomvars")]
pub use roomvars_proto as roomvars;
pub use smallwire_core::{Backoff, CloseFrame, Message, Secret};
#[cfg(feature = "std")]
pub use smallwire_core::{End, Session};
