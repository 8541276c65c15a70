//! What a table of packets is made of: [`packets!`](crate::message::packets) turns rows into all that there is
//! to say about packets; what of it needs no ids is `table!`.

use bytes::BufMut;
use smallwire_core::Secret;

use super::{Base64, ByteOrderField, PacketId, PacketList};
use crate::codec::{Scan, Stop};
use crate::{CodecConfig, ContentError, ContentErrorKind, EncodeError, FieldsError};

/// The layout of a packet: its row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layout<I = PacketId> {
    /// The packet's id, or what stands for it where it has none of its own (D11).
    pub id: I,
    /// The packet's name, in snake case.
    pub name: &'static str,
    /// What follows the id; each after an `FF`, and a `00` after all.
    pub groups: &'static [GroupLayout],
}

/// A group of a packet: adjacent fields behind an `FF`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupLayout {
    /// Its fields.
    pub fields: &'static [FieldLayout],
    /// Whether it may be missing altogether, with its `FF`.
    pub may_be_missing: bool,
}

/// A field of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldLayout {
    /// Its name, in snake case.
    pub name: &'static str,
    /// What it is, and so how long it is.
    pub width: FieldWidth,
    /// Whether it is a good packet that has nothing in it.
    pub may_be_empty: bool,
    /// Whether an `FF` before it is accepted, though it isn't written (D9).
    pub delimiter_accepted: bool,
}

/// What a field is, which says where it ends (D2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldWidth {
    /// So many opaque bytes.
    Fixed(usize),
    /// Four bytes in the connection's byte order.
    Number,
    /// One byte that is one of these.
    Status(&'static [u8]),
    /// This text.
    Literal(&'static str),
    /// A username, up to a delimiter.
    Username,
    /// An alias, up to a delimiter.
    Alias,
    /// An e-mail address, up to a delimiter.
    Email,
    /// Another text, up to a delimiter.
    Text,
    /// Base64, up to a delimiter.
    Base64,
    /// At most one byte, up to a delimiter.
    ByteOrder,
    /// Packet ids with an `FF` between each two, up to the `00`.
    PacketList,
    /// One byte that is a number.
    #[cfg(feature = "draft")]
    Byte,
    /// A gender, up to a delimiter.
    #[cfg(feature = "draft")]
    Gender,
    /// A date, up to a delimiter.
    #[cfg(feature = "draft")]
    Date,
    /// A number in decimal digits, up to a delimiter.
    #[cfg(feature = "draft")]
    Decimal {
        /// The largest that it may be.
        max: u8,
    },
}

/// What a field is, whichever packet it is in: for who shows packets, or makes them of what others say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldRef<'a> {
    /// A text that is valid.
    Text(&'a str),
    /// A text that isn't (D0).
    Invalid(&'a [u8]),
    /// A payload that is base64 on the wire.
    Base64(Base64<&'a [u8]>),
    /// A password, likewise.
    Password(Secret<Base64<&'a [u8]>>),
    /// An identifier.
    Opaque(&'a [u8]),
    /// A count, or the number of a part.
    Number(u32),
    /// A status, by its name.
    Status(&'a str),
    /// A byte order.
    ByteOrder(ByteOrderField),
    /// Packet ids.
    Packets(PacketList<&'a [u8]>),
    /// A day.
    #[cfg(feature = "draft")]
    Date(super::draft::Date),
}

/// What a row says about a field or group besides its type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Note {
    None,
    /// A field that may be empty; others of variable length may not when they are written (D0).
    MayBeEmpty,
    /// A group that may be missing with its `FF`, and a field in it that may be empty, too (D9).
    MayBeMissing,
    /// A field that an `FF` is accepted before (D9).
    DelimiterAccepted,
}

/// Why a field can't be written.
pub(crate) enum Problem {
    Content(ContentError),
    TooLong { len: usize, limit: u16 },
}

impl Problem {
    pub(crate) const EMPTY: Self =
        Self::Content(ContentError { kind: ContentErrorKind::Empty, offset: 0 });

    #[cold]
    pub(crate) fn of(self, field: &'static str) -> EncodeError {
        match self {
            Self::Content(error) => EncodeError::Content { field, error },
            Self::TooLong { len, limit } => EncodeError::FieldTooLong { field, len, limit },
        }
    }
}

/// How a field is read: its layout only, no content (D0).
pub(crate) trait Read<'a>: Sized {
    fn read<const RESUME: bool>(scan: &mut Scan<'a>) -> Result<Self, Stop>;
}

/// How a field is written.
pub(crate) trait Field {
    const WIDTH: FieldWidth;

    /// Whether its group is missing.
    #[inline]
    fn is_missing(&self) -> bool {
        false
    }

    /// Bytes on the wire, if it can be written.
    fn check(&self, config: &CodecConfig, note: Note) -> Result<usize, Problem>;

    fn put(&self, config: &CodecConfig, dst: &mut impl BufMut);

    /// `None` if it is missing, and may be.
    fn view(&self) -> Option<FieldRef<'_>>;
}

/// A field made of what one says that it is; `None` if it can't be that.
pub(crate) trait Make<'a>: Sized {
    fn make(field: Option<FieldRef<'a>>) -> Option<Self>;
}

/// A field with the bytes that it keeps replaced, if it keeps any.
pub(crate) trait MapBytes<B, C> {
    type Out;

    fn map_bytes(self, f: &mut impl FnMut(B) -> C) -> Self::Out;
}

/// A field that is to be made.
pub(crate) struct Made<'a>(pub(crate) &'static str, pub(crate) Option<FieldRef<'a>>);

impl<'a> Made<'a> {
    pub(crate) fn of<T: Make<'a>>(self) -> Result<T, FieldsError> {
        T::make(self.1).ok_or(FieldsError::Field(self.0))
    }
}

/// Checks that a packet of `len` bytes can be written to `dst`.
#[inline]
pub(crate) fn fits(len: usize, config: &CodecConfig, dst: &impl BufMut) -> Result<(), EncodeError> {
    if len > config.packet_limit() {
        return Err(EncodeError::PacketTooLong { len, limit: config.max_packet });
    }
    if dst.remaining_mut() < len {
        return Err(EncodeError::BufferFull);
    }
    Ok(())
}

/// What a field is about, by its name.
macro_rules! about {
    (gender) => {
        "The gender."
    };
    (date_of_birth) => {
        "The day of birth."
    };
    (name) => {
        "The name in real life."
    };
    (email_visibility) => {
        "Whether others see the e-mail address."
    };
    (gender_visibility) => {
        "Whether others see the gender."
    };
    (date_of_birth_visibility) => {
        "Whether others see the day of birth."
    };
    (name_visibility) => {
        "Whether others see the name."
    };
    (data) => {
        "Bytes of the picture."
    };
    (part) => {
        "The number of the part."
    };
    (reason) => {
        "Why."
    };
    (minutes) => {
        "For so many minutes; if all five are empty, see [`time_span`](Self::time_span)."
    };
    (hours) => {
        "And hours."
    };
    (days) => {
        "And days."
    };
    (months) => {
        "And months."
    };
    (years) => {
        "And years."
    };
    (username) => {
        "The name of the user."
    };
    (password) => {
        "The password."
    };
    (byte_order) => {
        "E: the byte order that the client speaks."
    };
    (email) => {
        "The e-mail address."
    };
    (alias) => {
        "The user's alias."
    };
    (old_alias) => {
        "The alias until now."
    };
    (new_alias) => {
        "The alias from now on."
    };
    (client_message_id) => {
        "The client's id of the message."
    };
    (room) => {
        "The room."
    };
    (unique_id) => {
        "The server's id of the message."
    };
    (unique_id_prefix) => {
        "The first half of the server's id of the message."
    };
    (remaining) => {
        "TP: how many parts follow the head."
    };
    (number) => {
        "PN: the number of the part; the head is 0."
    };
    (message) => {
        "The message."
    };
    (part_message) => {
        "What the user says when leaving; `None` is without its `FF` (D9)."
    };
    (packets) => {
        "The ids."
    };
    (username_status) => {
        "U: about the username."
    };
    (password_status) => {
        "P: about the password."
    };
    (byte_order_status) => {
        "E: about the byte order."
    };
    (email_status) => {
        "E: about the e-mail address."
    };
    (room_status) => {
        "RID: about the room."
    };
    (message_status) => {
        "M: about the message."
    };
    (remaining_status) => {
        "TP: about the number of parts."
    };
    (number_status) => {
        "PN: about the part's number."
    };
    (alias_status) => {
        "ALIAS: about the alias."
    };
    (authorized) => {
        "A: whether some other reason is in the way."
    };
}

macro_rules! note {
    () => {
        Note::None
    };
    (may_be_empty) => {
        Note::MayBeEmpty
    };
    (may_be_missing) => {
        Note::MayBeMissing
    };
    (delimiter_accepted) => {
        Note::DelimiterAccepted
    };
}

/// What tells the packets of a table apart: their ids, or the names of drafts, which have none (D11).
macro_rules! key {
    (u8 $name:ident $id:literal) => {
        $id
    };
    ($kind:ident $name:ident) => {
        $kind::$name
    };
}

/// The same in a [`Layout`], and its type.
macro_rules! layout_id {
    (u8) => {
        PacketId
    };
    ($kind:ident) => {
        $kind
    };
    (u8 $name:ident $id:literal) => {
        PacketId($id)
    };
    ($kind:ident $name:ident) => {
        $kind::$name
    };
}

/// A table of packets: an enum of them, their layouts, and how they are read and written.
///
/// A row is the id in decimal and hexadecimal, the name twice, and the layout: `= "TXT"` for a literal, in braces
/// the groups, with `|` for the `FF` between each two, of fields. In parentheses before a group or behind
/// a field's name stands a [`Note`].
macro_rules! packets {
    (
        $(#[$doc:meta])*
        $letter:literal $enum:ident $ref:ident
        $(
            $number:literal $id:literal $name:ident $word:literal
            $(= $literal:literal)?
            $({ $($groups:tt)+ })?
        ;)+
    ) => {
        table! {
            $(#[$doc])*
            ///
            /// | packet | hex | | bytes behind the id |
            /// |---|---|---|---|
            $letter $enum $ref u8
            $($number $id $name $word $(= $literal)? $({ $($groups)+ })?;)+
        }

        impl<B: AsRef<[u8]>> $enum<B> {
            /// The id that it has on the wire.
            pub const fn id(&self) -> PacketId {
                match self { $(Self::$name { .. } => PacketId($id)),+ }
            }

            /// Appends the packet to `dst`.
            ///
            /// # Errors
            /// A field has bad content or is too long, or the packet is; or `dst` is of fixed size and too
            /// small. `dst` is as it was.
            #[inline]
            pub fn encode(
                &self,
                config: &CodecConfig,
                dst: &mut impl BufMut,
            ) -> Result<(), EncodeError> {
                fits(self.check(config)?, config, dst)?;
                self.put(|id| id, config, dst);
                Ok(())
            }
        }
    };
}

/// What a table of packets is apart from their ids: rows as of [`packets!`], but those of drafts have no numbers.
macro_rules! table {
    (
        $(#[$doc:meta])*
        $letter:literal $enum:ident $ref:ident $key:ident
        $(
            $($number:literal $id:literal)? $name:ident $word:literal
            $(= $literal:literal)?
            $({ $( $(($group:ident))? $( $field:ident $(($note:ident))? : $ty:ty ),+ )|+ })?
        ;)+
    ) => {
        $(#[$doc])*
        $(
            #[doc = concat!(
                "| ", $letter, $($number, " | `", stringify!($id), "`",)? " | ", stringify!($name), " |",
                $(" `FF` `", stringify!($literal), "`",)?
                $($(" `FF` ", $("(", stringify!($group), ") ",)? stringify!($($field $(($note))?),+),)+)?
                " `00` |"
            )]
        )+
        ///
        /// Its bytes are `B`: `&[u8]` where they are borrowed, or [`Bytes`](bytes::Bytes).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $enum<B: AsRef<[u8]> = Bytes> {
            $(
                #[doc = concat!($letter, $($number, ", `", stringify!($id), "`",)? ".")]
                $name $({ $($(
                    #[doc = about!($field)]
                    $field: $ty
                ),+),+ })?,
            )+
        }

        #[doc = concat!("A [`", stringify!($enum), "`] borrowed from the bytes that it came in.")]
        pub type $ref<'a> = $enum<&'a [u8]>;

        impl $enum {
            /// All rows of the table, in its order.
            pub const LAYOUTS: &'static [Layout<layout_id!($key)>] = {
                type B = Bytes;
                &[$(Layout {
                    id: layout_id!($key $name $($id)?),
                    name: $word,
                    groups: &[
                        $(GroupLayout {
                            fields: &[FieldLayout {
                                name: "literal",
                                width: FieldWidth::Literal($literal),
                                may_be_empty: false,
                                delimiter_accepted: false,
                            }],
                            may_be_missing: false,
                        },)?
                        $($(GroupLayout {
                            fields: &[$(FieldLayout {
                                name: stringify!($field),
                                width: <$ty as Field>::WIDTH,
                                may_be_empty: matches!(
                                    note!($($note)?),
                                    Note::MayBeEmpty | Note::MayBeMissing
                                ),
                                delimiter_accepted: matches!(
                                    note!($($note)?),
                                    Note::DelimiterAccepted
                                ),
                            }),+],
                            may_be_missing: matches!(note!($($group)?), Note::MayBeMissing),
                        }),+)?
                    ],
                }),+]
            };
        }

        impl<B: AsRef<[u8]>> $enum<B> {
            /// Its name, in snake case.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name { .. } => $word),+ }
            }

            /// The same packet of other bytes: to own what is borrowed, for example.
            #[inline]
            pub fn map<C: AsRef<[u8]>>(self, mut f: impl FnMut(B) -> C) -> $enum<C> {
                match self {
                    $(Self::$name $({ $($($field),+),+ })? => $enum::$name $({
                        $($($field: MapBytes::<B, C>::map_bytes($field, &mut f)),+),+
                    })?,)+
                }
            }

            /// Tells `f` each field by its name, in order; those that are missing are left out.
            pub fn fields<'s>(&'s self, mut f: impl FnMut(&'static str, FieldRef<'s>)) {
                let mut tell = |name, field: Option<FieldRef<'s>>| {
                    if let Some(field) = field {
                        f(name, field);
                    }
                };
                match self {
                    $(Self::$name $({ $($($field),+),+ })? => {
                        $($($(tell(stringify!($field), Field::view($field));)+)+)?
                    })+
                }
            }

            /// Bytes on the wire, if it can be written.
            #[inline]
            fn check(&self, config: &CodecConfig) -> Result<usize, EncodeError> {
                // The id and the `00`.
                let mut len = 2_usize;
                match self {
                    $(Self::$name $({ $($($field),+),+ })? => {
                        $(len = len.saturating_add($literal.len()).saturating_add(1);)?
                        $($(
                            if !($(Field::is_missing($field))||+) {
                                len = len.saturating_add(1);
                            }
                            $(
                                let field = Field::check($field, config, note!($($note)?));
                                let field = field.map_err(|p| p.of(stringify!($field)))?;
                                len = len.saturating_add(field);
                            )+
                        )+)?
                    })+
                }
                Ok(len)
            }

            /// Writes what can be written; `id` says what a packet begins with.
            #[inline]
            fn put(&self, id: impl FnOnce($key) -> u8, config: &CodecConfig, dst: &mut impl BufMut) {
                match self {
                    $(Self::$name $({ $($($field),+),+ })? => {
                        dst.put_u8(id(key!($key $name $($id)?)));
                        $(
                            dst.put_u8(0xFF);
                            dst.put_slice($literal.as_bytes());
                        )?
                        $($(
                            if !($(Field::is_missing($field))||+) {
                                dst.put_u8(0xFF);
                            }
                            $(Field::put($field, config, dst);)+
                        )+)?
                    })+
                }
                dst.put_u8(0x00);
            }
        }

        impl<'a> $ref<'a> {
            /// The packet of this name, in snake case, with the fields that `get` gives by their names.
            ///
            /// # Errors
            /// There is no such packet, or a field is missing that must be there or isn't what it has to be.
            pub fn from_fields(
                name: &str,
                mut get: impl FnMut(&'static str) -> Option<FieldRef<'a>>,
            ) -> Result<Self, FieldsError> {
                let mut make = |field| Made(field, get(field));
                match name {
                    $($word => Ok(Self::$name $({
                        $($($field: make(stringify!($field)).of()?),+),+
                    })?),)+
                    _ => Err(FieldsError::UnknownPacket),
                }
            }

            /// Reads what is behind the id.
            #[inline(always)]
            pub(crate) fn parse<const RESUME: bool, T: Then<Self>>(
                key: $key,
                scan: &mut Scan<'a>,
                then: T,
            ) -> T::Out {
                macro_rules! read {
                    ($read:expr) => {
                        match $read {
                            Ok(read) => read,
                            Err(stop) => return then.stop(stop, scan.progress()),
                        }
                    };
                }
                match key {
                    $(key!($key $name $($id)?) => {
                        $(
                            read!(scan.delimiter());
                            read!(scan.literal($literal));
                        )?
                        $($(
                            read!(match note!($($group)?) {
                                Note::MayBeMissing => scan.delimiter_or_end(),
                                _ => scan.delimiter(),
                            });
                            $(
                                if note!($($note)?) == Note::DelimiterAccepted {
                                    read!(scan.accept_delimiter());
                                }
                                let $field = read!(Read::read::<RESUME>(scan));
                            )+
                        )+)?
                        read!(scan.end());
                        then.read(Self::$name $({ $($($field),+),+ })?, scan.len())
                    })+
                    #[allow(unreachable_patterns, reason = "the keys of drafts are all there")]
                    _ => then.stop(Stop::Unknown, Progress::NONE),
                }
            }
        }
    };
}
