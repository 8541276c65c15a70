//! Slow, obvious decoders, which the fast ones are held to, one module for each protocol; and the
//! rooms of a server as one would write them first.

pub mod bingo;
pub mod delimchat;
pub mod emagine;
pub mod hub;
pub mod json;
pub mod litecord;
pub mod roomvars;
