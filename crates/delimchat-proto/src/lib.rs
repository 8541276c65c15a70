// Of two definitions of a link the first counts: these are for here, those in the README for elsewhere.
//! [spec]: crate::spec
//! [changelog]: crate::changelog
#![cfg_attr(feature = "std", doc = "[session]: crate::Session")]
#![doc = include_str!("../README.md")]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]
#![allow(clippy::inline_always, reason = "else most of the time goes into calls")]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "std")]
mod client;
mod codec;
mod config;
#[cfg(feature = "std")]
mod connection;
mod error;
#[cfg(feature = "std")]
mod event;
#[cfg(feature = "std")]
mod long;
mod message;
#[cfg(feature = "std")]
mod server;

#[cfg(feature = "std")]
pub use client::Client;
pub use codec::{Decoder, FromClient, FromServer, Sender};
#[cfg(feature = "tokio-util")]
pub use codec::{PacketCodec, PacketCodecError};
pub use config::{ByteOrder, CodecConfig, EndianMarker, StatusDigits};
#[cfg(feature = "std")]
pub use config::{ClientConfig, Limits, ServerConfig};
#[cfg(feature = "std")]
pub use error::{
    AnswerError, DecideError, LoginError, SendError, SessionError, Violation, ViolationKind,
};
pub use error::{
    ContentError, ContentErrorKind, DecodeError, DecodeErrorKind, EncodeError, Expected,
    FieldsError, Overlong,
};
#[cfg(feature = "std")]
pub use event::{
    AliasId, AliasRefusal, ClientEvent, DropReason, JoinId, LoginRefusal, MessageId, Outcome,
    RegisterRefusal, RequestId, RoomRefusal, ServerEvent,
};
#[cfg(feature = "std")]
pub use long::LongMessage;
#[cfg(feature = "draft")]
pub use message::draft;
pub use message::{
    Alias, Authorization, Base64, ByteOrderField, ClientMessageId, ClientPacket, ClientPacketRef,
    Email, FieldLayout, FieldRef, FieldWidth, GroupLayout, HeadCountStatus, JoinRoomStatus, Layout,
    LoginByteOrderStatus, LoginPasswordStatus, LoginUsernameStatus, LongMessageStatus,
    LongRoomStatus, MAX_BASE64, NewAliasStatus, PacketId, PacketList, PacketSet, PartNumberStatus,
    PartRoomStatus, RegisterEmailStatus, RegisterPasswordStatus, RegisterUsernameStatus, RoomId,
    ServerPacket, ServerPacketRef, ShortMessageStatus, ShortRoomStatus, Text, UniqueId,
    UniqueIdPrefix, Username,
};
#[cfg(feature = "std")]
pub use server::Server;
pub use smallwire_core::{Backoff, Secret};
#[cfg(feature = "std")]
pub use smallwire_core::{End, Session};

/// The protocol, every decision numbered: what this crate does, and what the numbers in its
/// documentation refer to.
#[doc = include_str!("../SPEC.md")]
pub mod spec {}

/// What has changed, version by version.
#[doc = include_str!("../CHANGELOG.md")]
pub mod changelog {}
