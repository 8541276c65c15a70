//! The statuses: an enum for each position, of the values that the protocol allows there.

use bytes::BufMut;

use super::table::{Field, FieldRef, FieldWidth, Make, MapBytes, Note, Problem, Read};
use crate::codec::{Scan, Stop};
use crate::{CodecConfig, StatusDigits};

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident { $($value:ident = $code:literal $word:literal),+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`, ", $code, ".")] $value,)+
        }

        impl $name {
            /// All of them, in the order of their values.
            pub const ALL: &[Self] = &[$(Self::$value),+];

            /// The name of its value in the spec, in snake case.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$value => $word),+ }
            }

            /// The byte that it is on the wire (D8).
            #[inline]
            pub const fn code(self, digits: StatusDigits) -> u8 {
                let code = match self { $(Self::$value => $code),+ };
                match digits {
                    StatusDigits::Hex => in_hex(code),
                    StatusDigits::Decimal => code,
                }
            }

            /// The status of a byte of the wire, with either digits (D8); `None` if it isn't allowed here.
            #[inline]
            pub const fn from_code(code: u8) -> Option<Self> {
                $(if code == $code || code == const { in_hex($code) } {
                    return Some(Self::$value);
                })+
                None
            }
        }

        impl<'a> Read<'a> for $name {
            #[inline(always)]
            fn read<const RESUME: bool>(scan: &mut Scan<'a>) -> Result<Self, Stop> {
                scan.status(stringify!($name), Self::from_code)
            }
        }

        impl Field for $name {
            const WIDTH: FieldWidth = FieldWidth::Status(&[$($code),+]);

            #[inline]
            fn check(&self, _: &CodecConfig, _: Note) -> Result<usize, Problem> {
                Ok(1)
            }

            #[inline]
            fn put(&self, config: &CodecConfig, dst: &mut impl BufMut) {
                dst.put_u8(self.code(config.status_digits));
            }

            fn view(&self) -> Option<FieldRef<'_>> {
                Some(FieldRef::Status(self.name()))
            }
        }

        impl<'a> Make<'a> for $name {
            fn make(field: Option<FieldRef<'a>>) -> Option<Self> {
                let Some(FieldRef::Status(name)) = field else { return None };
                Self::ALL.iter().copied().find(|status| status.name() == name)
            }
        }

        impl<B, C> MapBytes<B, C> for $name {
            type Out = Self;

            #[inline]
            fn map_bytes(self, _: &mut impl FnMut(B) -> C) -> Self {
                self
            }
        }
    )+};
}

/// The value whose hexadecimal digits are the decimal ones of `code`, which is at most 12.
const fn in_hex(code: u8) -> u8 {
    match code {
        10 => 0x10,
        11 => 0x11,
        12 => 0x12,
        _ => code,
    }
}

statuses! {
    /// S3's U: what became of a Login's username.
    LoginUsernameStatus {
        EmptyField = 1 "empty_field", Invalid = 2 "invalid", Okay = 3 "okay",
        AlreadyValidated = 6 "already_validated"
    }
    /// S3's P: what became of a Login's password.
    LoginPasswordStatus {
        EmptyField = 1 "empty_field", Invalid = 2 "invalid", Okay = 3 "okay",
        Unchecked = 5 "unchecked"
    }
    /// S3's E: what became of a Login's byte order.
    LoginByteOrderStatus {
        EmptyField = 1 "empty_field", Invalid = 2 "invalid", Okay = 3 "okay",
        Unchecked = 5 "unchecked"
    }
    /// S7's U: what became of a Register's username.
    RegisterUsernameStatus {
        EmptyField = 1 "empty_field", Invalid = 2 "invalid", Okay = 3 "okay",
        AlreadyInUse = 7 "already_in_use"
    }
    /// S7's P: what became of a Register's password.
    RegisterPasswordStatus {
        EmptyField = 1 "empty_field", Invalid = 2 "invalid", Okay = 3 "okay",
        BadBase64 = 4 "bad_base64", Unchecked = 5 "unchecked"
    }
    /// S7's E: what became of a Register's e-mail address.
    RegisterEmailStatus {
        EmptyField = 1 "empty_field", Invalid = 2 "invalid", Okay = 3 "okay",
        Unchecked = 5 "unchecked"
    }
    /// S81's RID: what became of a ShortMessage's room.
    ShortRoomStatus {
        EmptyField = 1 "empty_field", Invalid = 2 "invalid", Okay = 3 "okay",
        NotAuthorized = 8 "not_authorized", NotInRoom = 9 "not_in_room"
    }
    /// S81's M: what became of a ShortMessage.
    ShortMessageStatus {
        EmptyField = 1 "empty_field", Okay = 3 "okay", BadBase64 = 4 "bad_base64",
        EmptyMessage = 11 "empty_message", MessageTooLong = 12 "message_too_long"
    }
    /// S88's TP: what became of a long message's number of parts.
    HeadCountStatus {
        EmptyField = 1 "empty_field", Invalid = 2 "invalid", Okay = 3 "okay"
    }
    /// PN of S92 and S100: what became of a part's number.
    PartNumberStatus {
        EmptyField = 1 "empty_field", Invalid = 2 "invalid", Okay = 3 "okay"
    }
    /// RID of S88, S92 and S100: what became of a long message's room.
    LongRoomStatus {
        EmptyField = 1 "empty_field", Invalid = 2 "invalid", Okay = 3 "okay",
        NotAuthorized = 4 "not_authorized"
    }
    /// M of S88, S92 and S100: what became of a part of a long message.
    LongMessageStatus {
        EmptyField = 1 "empty_field", Invalid = 2 "invalid", Okay = 3 "okay",
        BadBase64 = 4 "bad_base64", EmptyMessage = 5 "empty_message"
    }
    /// S100's A: whether there is some other reason not to send a part again.
    Authorization {
        NotAuthorized = 0 "not_authorized", Okay = 1 "okay"
    }
    /// S161's RID: what became of a JoinRoom.
    JoinRoomStatus {
        EmptyField = 1 "empty_field", Invalid = 2 "invalid", Okay = 3 "okay",
        NotAuthorized = 8 "not_authorized", NotInRoom = 9 "not_in_room",
        AlreadyInRoom = 10 "already_in_room"
    }
    /// S164's RID: what became of a PartRoom.
    PartRoomStatus {
        EmptyField = 1 "empty_field", Invalid = 2 "invalid", Okay = 3 "okay",
        NotInRoom = 9 "not_in_room"
    }
    /// S167's ALIAS: what became of a ChangeAlias.
    NewAliasStatus {
        EmptyField = 1 "empty_field", Invalid = 2 "invalid", Okay = 3 "okay",
        AlreadyInUse = 7 "already_in_use"
    }
}

#[cfg(feature = "draft")]
statuses! {
    /// Whether others see something of a user (D11): `D` or `H`.
    Visibility {
        Display = 0x44 "display", Hide = 0x48 "hide"
    }
}
