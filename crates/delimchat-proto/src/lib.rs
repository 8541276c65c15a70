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

mod codec;
mod config;
mod error;
mod message;

pub use codec::{Decoder, FromClient, FromServer, Sender};
#[cfg(feature = "tokio-util")]
pub use codec::{PacketCodec, PacketCodecError};
pub use config::{ByteOrder, CodecConfig, EndianMarker, StatusDigits};
pub use error::{
    ContentError, ContentErrorKind, DecodeError, DecodeErrorKind, EncodeError, Expected,
    FieldsError, Overlong,
};
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
pub use smallwire_core::Secret;

/// The protocol, every decision numbered: what this crate does, and what the numbers in its
/// documentation refer to.
#[doc = include_str!("../SPEC.md")]
pub mod spec {}
