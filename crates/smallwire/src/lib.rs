// Of two definitions of a link the first counts: these are for here, those in the README for elsewhere.
//! [changelog]: crate::changelog
#![cfg_attr(
    all(
        feature = "std",
        feature = "bingo",
        feature = "litecord",
        feature = "emagine",
        feature = "roomvars",
        feature = "delimchat"
    ),
    doc = "[guide]: crate::guide
[bingo]: crate::bingo
[litecord]: crate::litecord
[emagine]: crate::emagine
[roomvars]: crate::roomvars
[delimchat]: crate::delimchat
[session]: crate::Session"
)]
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

#[cfg(all(
    feature = "std",
    feature = "bingo",
    feature = "litecord",
    feature = "emagine",
    feature = "roomvars",
    feature = "delimchat"
))]
pub mod guide;

/// What has changed, version by version.
#[doc = include_str!("../CHANGELOG.md")]
pub mod changelog {}
