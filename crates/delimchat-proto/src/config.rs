/// How the four-byte numbers of the wire are laid out (D6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ByteOrder {
    /// Network order.
    #[default]
    BigEndian,
    /// Least significant byte first.
    LittleEndian,
}

impl ByteOrder {
    /// The number that these four bytes of the wire are.
    #[inline]
    pub const fn read(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::BigEndian => u32::from_be_bytes(bytes),
            Self::LittleEndian => u32::from_le_bytes(bytes),
        }
    }

    /// The four bytes of the wire that this number is.
    #[inline]
    pub const fn write(self, number: u32) -> [u8; 4] {
        match self {
            Self::BigEndian => number.to_be_bytes(),
            Self::LittleEndian => number.to_le_bytes(),
        }
    }

    /// Its name, in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BigEndian => "big",
            Self::LittleEndian => "little",
        }
    }
}

/// How E is written (D7); all spellings are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EndianMarker {
    /// `01` for little, `02` for big.
    #[default]
    Numeric,
    /// `L` and `B`.
    Letter,
}

/// How the statuses ten to twelve are written (D8); both ways are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StatusDigits {
    /// As the values ten, eleven and twelve: `0A`, `0B`, `0C`.
    #[default]
    Decimal,
    /// With the same digits: `10`, `11`, `12`.
    Hex,
}

/// What the codec has to know of the wire, and how long things may be (D5).
///
/// The two directions of a connection may differ in byte order: each has a copy of its own, and an
/// accepted Login changes [`byte_order`](Self::byte_order) in one after the other (D6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodecConfig {
    /// Layout of numbers; default big-endian (D6).
    pub byte_order: ByteOrder,
    /// How E is written; default by number (D7).
    pub endian_marker: EndianMarker,
    /// How statuses from ten on are written; default by value (D8).
    pub status_digits: StatusDigits,
    /// Longest packet, in bytes; default 8192.
    pub max_packet: u16,
    /// Longest username, in bytes; default 64.
    pub max_username: u16,
    /// Longest alias, in bytes; default 64.
    pub max_alias: u16,
    /// Longest e-mail address, in bytes; default 254.
    pub max_email: u16,
    /// Longest other text, in bytes; default 1024.
    pub max_text: u16,
}

impl Default for CodecConfig {
    fn default() -> Self {
        Self {
            byte_order: ByteOrder::default(),
            endian_marker: EndianMarker::default(),
            status_digits: StatusDigits::default(),
            max_packet: 8192,
            max_username: 64,
            max_alias: 64,
            max_email: 254,
            max_text: 1024,
        }
    }
}

impl CodecConfig {
    /// Sets the layout of numbers (D6).
    pub const fn byte_order(mut self, byte_order: ByteOrder) -> Self {
        self.byte_order = byte_order;
        self
    }

    /// Sets how E is written (D7).
    pub const fn endian_marker(mut self, marker: EndianMarker) -> Self {
        self.endian_marker = marker;
        self
    }

    /// Sets how statuses from ten on are written (D8).
    pub const fn status_digits(mut self, digits: StatusDigits) -> Self {
        self.status_digits = digits;
        self
    }

    /// Sets the longest packet, in bytes (D5).
    pub const fn max_packet(mut self, bytes: u16) -> Self {
        self.max_packet = bytes;
        self
    }

    /// Sets the longest username, in bytes (D5).
    pub const fn max_username(mut self, bytes: u16) -> Self {
        self.max_username = bytes;
        self
    }

    /// Sets the longest alias, in bytes (D5).
    pub const fn max_alias(mut self, bytes: u16) -> Self {
        self.max_alias = bytes;
        self
    }

    /// Sets the longest e-mail address, in bytes (D5).
    pub const fn max_email(mut self, bytes: u16) -> Self {
        self.max_email = bytes;
        self
    }

    /// Sets the longest other text, in bytes (D5).
    pub const fn max_text(mut self, bytes: u16) -> Self {
        self.max_text = bytes;
        self
    }

    /// In effect: a packet of no bytes is none.
    #[inline]
    pub(crate) fn packet_limit(&self) -> usize {
        usize::from(self.max_packet).max(1)
    }
}
