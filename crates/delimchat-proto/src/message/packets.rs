//! The table of packets. Compare it with that of `SPEC.md` row by row; a new packet is a new row.

use bytes::{BufMut, Bytes};
use smallwire_core::Secret;

use super::table::{Field, Made, MapBytes, Note, Read, fits};
use super::{
    Alias, Authorization, Base64, ByteOrderField, ClientMessageId, Email, FieldLayout, FieldRef,
    FieldWidth, GroupLayout, HeadCountStatus, JoinRoomStatus, Layout, LoginByteOrderStatus,
    LoginPasswordStatus, LoginUsernameStatus, LongMessageStatus, LongRoomStatus, NewAliasStatus,
    PacketId, PacketList, PartNumberStatus, PartRoomStatus, RegisterEmailStatus,
    RegisterPasswordStatus, RegisterUsernameStatus, RoomId, ShortMessageStatus, ShortRoomStatus,
    Text, UniqueId, UniqueIdPrefix, Username,
};
use crate::codec::{Progress, Scan, Stop, Then};
use crate::{CodecConfig, EncodeError, FieldsError};

packets! {
    /// What a client may send.
    ///
    /// ```
    /// use delimchat_proto::{
    ///     Base64, ClientMessageId, ClientPacketRef, CodecConfig, Decoder, FromClient, RoomId,
    /// };
    ///
    /// let config = CodecConfig::default();
    /// let packet = ClientPacketRef::ShortMessage {
    ///     client_message_id: ClientMessageId::from_counter(1),
    ///     room: RoomId::ECHO,
    ///     message: Base64::of(b"hello"),
    /// };
    /// let mut wire = Vec::new();
    /// packet.encode(&config, &mut wire)?;
    /// assert_eq!(wire, *b"\x50\xFF\0\0\0\x01\xFF0000ECHO\xFFaGVsbG8=\0");
    ///
    /// let mut decoder = Decoder::<FromClient>::new(config);
    /// assert_eq!(decoder.decode(&mut &wire[..])?, Some(packet));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    "U" ClientPacket ClientPacketRef
      2 0x02 Login "login" { username: Username<B> | password: Secret<Base64<B>> | byte_order: ByteOrderField };
      6 0x06 Register "register" { username: Username<B> | password: Secret<Base64<B>> | email: Email<B> };
     40 0x28 LogOff "log_off" = "BYE";
     80 0x50 ShortMessage "short_message" { client_message_id: ClientMessageId | room: RoomId | message: Base64<B> };
     84 0x54 ShortMessageReceived "short_message_received" { unique_id: UniqueId };
     87 0x57 LongMessageHead "long_message_head" { remaining: u32 | client_message_id: ClientMessageId | room: RoomId | message: Base64<B> };
     91 0x5B LongMessageNext "long_message_next" { number: u32 | client_message_id: ClientMessageId | message: Base64<B> };
     96 0x60 LongMessageReceived "long_message_received" { unique_id: UniqueId };
     99 0x63 ResendDeliveryNext "resend_delivery_next" { number: u32 | unique_id_prefix: UniqueIdPrefix };
    160 0xA0 JoinRoom "join_room" { room: RoomId | password (may_be_empty): Secret<Base64<B>> };
    163 0xA3 PartRoom "part_room" { room: RoomId | (may_be_missing) part_message (may_be_missing): Option<Text<B>> };
    166 0xA6 ChangeAlias "change_alias" { new_alias: Alias<B> };
    169 0xA9 InviteUser "invite_user" { room: RoomId | username: Username<B> | alias (may_be_empty): Alias<B> };
    252 0xFC SupportedPacketsRequest "supported_packets_request" = "SP";
    254 0xFE ClientSupports "client_supports" { packets: PacketList<B> };
}

packets! {
    /// What a server may send.
    ///
    /// ```
    /// use delimchat_proto::{CodecConfig, Decoder, FromServer, RoomId, ServerPacket, UniqueId};
    ///
    /// // Identifiers are full of 00 and FF: they are taken by width.
    /// let wire = b"\x53\xFF\0\0\0\0\0\0\0\xFF\0\0\x01\x9A\xBC\xDE\xF0\0\xFF00000000\xFFada\xFF\xFFaGk=\0";
    /// let mut decoder = Decoder::<FromServer>::new(CodecConfig::default());
    /// let packet = decoder.decode(&mut &wire[..])?.unwrap();
    /// let ServerPacket::ShortMessageDelivery { unique_id, room, username, alias, message } = packet else {
    ///     unreachable!()
    /// };
    /// assert_eq!((unique_id, room), (UniqueId::new(0xFF, 0x19A_BCDE_F000), RoomId::GLOBAL));
    /// assert_eq!((username.as_str()?, alias.as_str()?), ("ada", ""));
    /// assert_eq!(message.payload()?, b"hi");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    "S" ServerPacket ServerPacketRef
      1 0x01 GuestUsername "guest_username" { username: Username<B> };
      3 0x03 LoginResult "login_result" { username_status: LoginUsernameStatus, password_status: LoginPasswordStatus, byte_order_status: LoginByteOrderStatus };
      4 0x04 BadLogin "bad_login" = "BAD";
      5 0x05 MultipleEndpointsRefused "multiple_endpoints_refused" = "BAD";
      7 0x07 RegisterResult "register_result" { username_status: RegisterUsernameStatus, password_status: RegisterPasswordStatus, email_status (delimiter_accepted): RegisterEmailStatus };
      8 0x08 BadRegister "bad_register" = "BAD";
      9 0x09 BadFirstPacket "bad_first_packet" = "BAD";
     81 0x51 ShortMessageResult "short_message_result" { client_message_id: ClientMessageId | room_status: ShortRoomStatus, message_status: ShortMessageStatus };
     82 0x52 BadShortMessage "bad_short_message" = "BAD";
     83 0x53 ShortMessageDelivery "short_message_delivery" { unique_id: UniqueId | room: RoomId | username: Username<B> | alias (may_be_empty): Alias<B> | message (may_be_empty): Base64<B> };
     85 0x55 UnknownReceipt "unknown_receipt" { unique_id: UniqueId };
     86 0x56 BadReceipt "bad_receipt" = "BAD";
     88 0x58 LongMessageHeadResult "long_message_head_result" { client_message_id: ClientMessageId | remaining_status: HeadCountStatus, room_status: LongRoomStatus, message_status: LongMessageStatus };
     89 0x59 BadLongMessageHead "bad_long_message_head" = "BAD";
     90 0x5A ResendLongMessageHead "resend_long_message_head" { client_message_id: ClientMessageId };
     92 0x5C LongMessageNextResult "long_message_next_result" { client_message_id: ClientMessageId | number_status: PartNumberStatus, room_status: LongRoomStatus, message_status: LongMessageStatus };
     93 0x5D BadLongMessageNext "bad_long_message_next" = "BAD";
     94 0x5E ResendLongMessageNext "resend_long_message_next" { number: u32 | client_message_id: ClientMessageId };
     95 0x5F LongMessageDeliveryHead "long_message_delivery_head" { remaining: u32 | unique_id: UniqueId | room: RoomId | message (may_be_empty): Base64<B> };
     91 0x5B LongMessageDeliveryNext "long_message_delivery_next" { number: u32 | unique_id: UniqueId | message (may_be_empty): Base64<B> };
     97 0x61 UnknownLongReceipt "unknown_long_receipt" { unique_id_prefix: UniqueIdPrefix };
     98 0x62 BadLongReceipt "bad_long_receipt" = "BAD";
    100 0x64 ResendDeliveryResult "resend_delivery_result" { unique_id_prefix: UniqueIdPrefix | number_status: PartNumberStatus, room_status: LongRoomStatus, message_status: LongMessageStatus, authorized: Authorization };
    101 0x65 UnknownResend "unknown_resend" { number: u32 | unique_id: UniqueId };
    102 0x66 BadResend "bad_resend" = "BAD";
    161 0xA1 JoinRoomResult "join_room_result" { room: RoomId | room_status: JoinRoomStatus };
    162 0xA2 UserJoined "user_joined" { room: RoomId | username: Username<B> | alias (may_be_empty): Alias<B> };
    164 0xA4 PartRoomResult "part_room_result" { room: RoomId | room_status: PartRoomStatus };
    165 0xA5 UserParted "user_parted" { room: RoomId | username: Username<B> | alias (may_be_empty): Alias<B> };
    167 0xA7 ChangeAliasResult "change_alias_result" { alias_status: NewAliasStatus };
    168 0xA8 AliasChanged "alias_changed" { username: Username<B> | old_alias (may_be_empty): Alias<B> | new_alias: Alias<B> };
    251 0xFB PacketNotSupported "packet_not_supported" = "PNS";
    253 0xFD ServerSupports "server_supports" { packets: PacketList<B> };
}
