//! What the example programs share: a driver for sockets, and a small game of bingo.

pub mod bingo_args;
pub mod bingo_client;
pub mod bingo_game;
pub mod bingo_server;
pub mod tcp;
