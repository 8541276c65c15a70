//! Slow, obvious decoders, which the fast ones are held to; one module for each protocol.

pub mod bingo;
pub mod json;
pub mod litecord;
pub mod roomvars;
