//! Slow, obvious decoders, which the fast ones are held to; one module for each binary protocol.

pub mod bingo;
