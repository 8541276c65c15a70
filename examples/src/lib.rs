//! What the example programs share: drivers for sockets, what clients have in common, a
//! small game of bingo, a bridge between two components that speak litecord, a chat gateway that speaks
//! emagine, a server of shared room variables, and a chat with rooms.

pub mod app;
pub mod args;
pub mod axum;
pub mod bingo_args;
pub mod bingo_client;
pub mod bingo_game;
pub mod bingo_server;
pub mod client;
pub mod delimchat_args;
pub mod delimchat_client;
pub mod delimchat_server;
pub mod emagine_args;
pub mod emagine_client;
pub mod emagine_server;
pub mod hub;
pub mod listener;
pub mod litecord_args;
pub mod litecord_client;
pub mod litecord_server;
pub mod roomvars_args;
pub mod roomvars_client;
#[cfg(feature = "redis")]
pub mod roomvars_redis;
pub mod roomvars_server;
pub mod tcp;
pub mod tungstenite;
pub mod turns;
pub mod websocket;
