mod base64;
mod fields;
mod ids;
mod status;
#[macro_use]
mod table;
#[cfg(feature = "draft")]
pub mod draft;
mod packets;

pub use base64::MAX_BASE64;
pub(crate) use base64::{
    LIMIT as BASE64_LIMIT, encode as encode_base64, encoded_len as base64_len,
};
pub use fields::{Alias, Base64, ByteOrderField, Email, PacketList, PacketSet, Text, Username};
pub use ids::{ClientMessageId, PacketId, RoomId, UniqueId, UniqueIdPrefix};
pub use packets::{ClientPacket, ClientPacketRef, ServerPacket, ServerPacketRef};
pub use status::{
    Authorization, HeadCountStatus, JoinRoomStatus, LoginByteOrderStatus, LoginPasswordStatus,
    LoginUsernameStatus, LongMessageStatus, LongRoomStatus, NewAliasStatus, PartNumberStatus,
    PartRoomStatus, RegisterEmailStatus, RegisterPasswordStatus, RegisterUsernameStatus,
    ShortMessageStatus, ShortRoomStatus,
};
pub use table::{FieldLayout, FieldRef, FieldWidth, GroupLayout, Layout};
