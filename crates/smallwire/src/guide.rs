#![doc = include_str!("guide/index.md")]

#[doc = include_str!("guide/sans_io.md")]
pub mod sans_io {}

#[doc = include_str!("guide/layers.md")]
pub mod layers {}

#[doc = include_str!("guide/driving.md")]
pub mod driving {}

#[doc = include_str!("guide/tokio.md")]
pub mod tokio {}

#[doc = include_str!("guide/websocket.md")]
pub mod websocket {}

#[doc = include_str!("guide/event_loops.md")]
pub mod event_loops {}

#[doc = include_str!("guide/hubs.md")]
pub mod hubs {}

#[doc = include_str!("guide/timers.md")]
pub mod timers {}

#[doc = include_str!("guide/back_pressure.md")]
pub mod back_pressure {}

#[doc = include_str!("guide/limits.md")]
pub mod limits {}

#[doc = include_str!("guide/testing.md")]
pub mod testing {}

#[doc = include_str!("guide/reconnecting.md")]
pub mod reconnecting {}

#[doc = include_str!("guide/your_own.md")]
pub mod your_own {}
