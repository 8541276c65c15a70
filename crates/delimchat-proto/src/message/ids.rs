use core::fmt;

/// The byte that a packet begins with; what it means depends on who sends it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(pub u8);

impl PacketId {
    /// Whether it can be one: `00` ends packets and `FF` separates their groups.
    #[inline]
    pub const fn is_valid(self) -> bool {
        !matches!(self.0, 0x00 | 0xFF)
    }
}

impl fmt::Debug for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacketId({self})")
    }
}

/// Decimal, as the protocol numbers its packets.
impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identifiers of so many bytes, which mean nothing to who receives them.
macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident($len:literal);)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        /// Lower-case hexadecimal.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    )+};
}

opaque! {
    /// The number that a client gives to a message, unique in its session.
    ClientMessageId(4);
    /// A room.
    RoomId(8);
    /// The id that a server gives to a message.
    UniqueId(16);
    /// The first half of a [`UniqueId`], by which some packets refer to it.
    UniqueIdPrefix(8);
}

impl ClientMessageId {
    /// The id of a counter, as the protocol advises (conversation, step 5).
    pub const fn from_counter(counter: u32) -> Self {
        Self(counter.to_be_bytes())
    }
}

impl RoomId {
    /// The room that everybody is in.
    pub const GLOBAL: Self = Self(*b"00000000");
    /// The room that sends back what is said in it.
    pub const ECHO: Self = Self(*b"0000ECHO");

    /// The id of a server's counter of rooms (conversation, step 5).
    pub const fn from_counter(counter: u64) -> Self {
        Self(counter.to_be_bytes())
    }
}

impl UniqueId {
    /// The id of a server's counter and a time in milliseconds of unix time, both big-endian
    /// (conversation, step 5).
    pub const fn new(counter: u64, unix_ms: u64) -> Self {
        // Big-endian, the first half is the high one.
        Self((((counter as u128) << 64) | unix_ms as u128).to_be_bytes())
    }

    /// Its first half.
    #[inline]
    pub const fn prefix(self) -> UniqueIdPrefix {
        #[allow(clippy::cast_possible_truncation, reason = "the high half of 128 bits has 64")]
        let counter = (u128::from_be_bytes(self.0) >> 64) as u64;
        UniqueIdPrefix(counter.to_be_bytes())
    }
}

impl UniqueIdPrefix {
    /// An id of which only this half is known, as S101 carries it: padded with `00` (D9).
    pub const fn padded(self) -> UniqueId {
        UniqueId::new(u64::from_be_bytes(self.0), 0)
    }
}
