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

#[cfg(feature = "std")]
pub(crate) use session::Settings;
#[cfg(feature = "std")]
pub use session::{ClientConfig, Limits, ServerConfig};

#[cfg(feature = "std")]
mod session {
    use core::time::Duration;

    use super::{ByteOrder, CodecConfig};
    use crate::{ClientEvent, MAX_BASE64, ServerEvent};

    /// What both kinds of configuration have.
    pub(crate) trait Settings {
        fn codec(&self) -> &CodecConfig;
        fn limits(&self) -> &Limits;
        fn packet_timeout(&self) -> Duration;
    }

    /// What a [`Client`](crate::Client) is set up with; share one among all connections. A time of 0 is over at once,
    /// one too long to be reckoned with never.
    ///
    /// ```
    /// use delimchat_proto::{ByteOrder, ClientConfig, Limits};
    /// use std::time::Duration;
    ///
    /// let config = ClientConfig::default()
    ///     .speaks(ByteOrder::LittleEndian)
    ///     .limits(Limits::default().max_pending(16))
    ///     .result_timeout(Duration::from_secs(5));
    /// # let _ = config;
    /// ```
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct ClientConfig {
        /// The wire format; its byte order goes until a login is accepted, so it is the same on both sides (D6).
        pub codec: CodecConfig,
        /// The byte order that logins ask for; default big-endian (D6). Registrations ask for none: whoever registers
        /// goes on in that of `codec`, which then has to be the server's.
        pub speaks: ByteOrder,
        /// How much is kept at most.
        pub limits: Limits,
        /// From a Login or Register to its result; default 60 s (step 2).
        pub login_timeout: Duration,
        /// From the first byte of a packet to its last; default 10 s (D5).
        pub packet_timeout: Duration,
        /// From a request to its result; default 30 s (step 3).
        pub result_timeout: Duration,
        /// Without progress of a long message, until its missing parts are asked for; default 2 s (step 4).
        pub resend_after: Duration,
        /// From the head of a long message to its last part or receipt, both ways; default 30 s (step 4).
        pub assembly_timeout: Duration,
    }

    impl Default for ClientConfig {
        fn default() -> Self {
            Self {
                codec: CodecConfig::default(),
                speaks: ByteOrder::default(),
                limits: Limits::default(),
                login_timeout: Duration::from_secs(60),
                packet_timeout: Duration::from_secs(10),
                result_timeout: Duration::from_secs(30),
                resend_after: Duration::from_secs(2),
                assembly_timeout: Duration::from_secs(30),
            }
        }
    }

    impl ClientConfig {
        /// Sets the byte order that logins ask for (D6).
        pub const fn speaks(mut self, order: ByteOrder) -> Self {
            self.speaks = order;
            self
        }

        /// Sets the time from a request to its result (step 3).
        pub const fn result_timeout(mut self, timeout: Duration) -> Self {
            self.result_timeout = timeout;
            self
        }

        /// The most heap, in bytes, that one client ever keeps, if no input is longer than `largest_input`
        /// bytes and [`wants_input`](smallwire_core::Session::wants_input) is heeded. With `P` = `max_packet`, at
        /// least 4000, and `L` = 3200 (`max_parts` + 1), the longest of long messages:
        ///
        /// | kept | bytes |
        /// |---|---|
        /// | a partial packet, and one just completed | 4 `P` |
        /// | undecoded input | 2 `largest_input` |
        /// | queued events | 512 (`max_events` + `max_pending` + `max_outgoing` + `max_assemblies`) |
        /// | what is in them | `max_event_bytes` + `L` + 2 `P` |
        /// | bytes to be sent | 3 (`max_transmit_bytes` + 2 `P`) |
        /// | open requests | 256 `max_pending` |
        /// | long messages coming and going | `L` (`max_assemblies` + `max_outgoing`) |
        /// | bookkeeping | 8192 |
        ///
        /// It is far above what an ordinary connection uses. An idle one keeps nothing but what the server says
        /// it supports and, after long messages, their last 64 ids.
        pub fn max_memory(&self, largest_input: usize) -> usize {
            self.limits.most(&self.codec, self.limits.max_pending, largest_input)
        }
    }

    /// What a [`Server`](crate::Server) is set up with; share one among all connections. A time of 0 is over at once,
    /// one too long to be reckoned with never.
    ///
    /// ```
    /// use delimchat_proto::{Limits, ServerConfig};
    /// use std::time::Duration;
    ///
    /// let config = ServerConfig::default()
    ///     .limits(Limits::default().max_rooms(16))
    ///     .login_timeout(Duration::from_secs(20));
    /// # let _ = config;
    /// ```
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct ServerConfig {
        /// The wire format; its byte order goes until a login is accepted, so it is the same on both sides (D6).
        pub codec: CodecConfig,
        /// How much is kept at most.
        pub limits: Limits,
        /// Until a client logs in or registers, again for the decision about it, and again after a failed one;
        /// default 60 s (step 1).
        pub login_timeout: Duration,
        /// From the first byte of a packet to its last; default 10 s (D5).
        pub packet_timeout: Duration,
        /// Without progress of a long message, until its missing parts are asked for; default 2 s (step 4).
        pub resend_after: Duration,
        /// From the head of a long message to its last part or receipt, both ways; default 30 s (step 4).
        pub assembly_timeout: Duration,
    }

    impl Default for ServerConfig {
        fn default() -> Self {
            Self {
                codec: CodecConfig::default(),
                limits: Limits::default(),
                login_timeout: Duration::from_secs(60),
                packet_timeout: Duration::from_secs(10),
                resend_after: Duration::from_secs(2),
                assembly_timeout: Duration::from_secs(30),
            }
        }
    }

    impl ServerConfig {
        /// The most heap, in bytes, that one session ever keeps, if no input is longer than `largest_input`
        /// bytes and [`wants_input`](smallwire_core::Session::wants_input) is heeded. With `P` = `max_packet`, at
        /// least 4000, and `L` = 3200 (`max_parts` + 1), the longest of long messages:
        ///
        /// | kept | bytes |
        /// |---|---|
        /// | a partial packet, and one just completed | 4 `P` |
        /// | undecoded input | 2 `largest_input` |
        /// | packets held while the application decides | 2 `max_held_bytes` + 1024 `max_held_packets` + 2 `P` |
        /// | queued events | 512 (`max_events` + `max_outgoing` + `max_assemblies`) |
        /// | what is in them | `max_event_bytes` + `L` + 2 `P` |
        /// | bytes to be sent | 3 (`max_transmit_bytes` + 2 `P` + 32 `max_pending`) |
        /// | what awaits an answer of the application | 256 `max_pending` + `max_pending` (`max_alias` + 16) |
        /// | messages not acknowledged | 48 `max_unacked` |
        /// | rooms, username and alias | 24 `max_rooms` + `max_username` + `max_alias` |
        /// | long messages coming and going | `L` (`max_assemblies` + `max_outgoing`) |
        /// | bookkeeping | 8192 |
        ///
        /// It is far above what an ordinary connection uses. An idle one keeps nothing but its names, its rooms,
        /// what its client says it supports and, after long messages, their last 64 ids.
        pub fn max_memory(&self, largest_input: usize) -> usize {
            let limits = &self.limits;
            let packet = self.codec.packet_limit().max(MAX_BASE64);
            let alias = usize::from(self.codec.max_alias);
            [
                self.limits.most(&self.codec, 0, largest_input),
                limits.max_held_bytes.saturating_mul(2),
                limits.max_held_packets.saturating_mul(1024),
                packet.saturating_mul(2),
                limits.max_pending.saturating_mul(alias.saturating_add(112)),
                limits.max_unacked.saturating_mul(48),
                limits.max_rooms.saturating_mul(24),
                usize::from(self.codec.max_username).saturating_add(alias),
            ]
            .into_iter()
            .fold(0, usize::saturating_add)
        }
    }

    /// Setters that both kinds have.
    macro_rules! common {
        ($config:ident) => {
            impl $config {
                /// Sets the wire format.
                pub const fn codec(mut self, codec: CodecConfig) -> Self {
                    self.codec = codec;
                    self
                }

                /// Sets how much is kept at most.
                pub const fn limits(mut self, limits: Limits) -> Self {
                    self.limits = limits;
                    self
                }

                /// Sets the time that a login may take (step 2).
                pub const fn login_timeout(mut self, timeout: Duration) -> Self {
                    self.login_timeout = timeout;
                    self
                }

                /// Sets the time from the first byte of a packet to its last (D5).
                pub const fn packet_timeout(mut self, timeout: Duration) -> Self {
                    self.packet_timeout = timeout;
                    self
                }

                /// Sets the time without progress until parts of a long message are asked for (step 4).
                pub const fn resend_after(mut self, time: Duration) -> Self {
                    self.resend_after = time;
                    self
                }

                /// Sets the time from the head of a long message to its last part or receipt (step 4).
                pub const fn assembly_timeout(mut self, timeout: Duration) -> Self {
                    self.assembly_timeout = timeout;
                    self
                }
            }

            impl Settings for $config {
                fn codec(&self) -> &CodecConfig {
                    &self.codec
                }

                fn limits(&self) -> &Limits {
                    &self.limits
                }

                fn packet_timeout(&self) -> Duration {
                    self.packet_timeout
                }
            }
        };
    }

    common!(ClientConfig);
    common!(ServerConfig);

    // The formulas' 512 bytes an event: buffers grow by doubling, and keep the old half meanwhile.
    const _: () = assert!(size_of::<ClientEvent>() <= 128 && size_of::<ServerEvent>() <= 128);

    /// How much one session keeps at most; `max_memory` of its configuration adds it up. All are finite, and
    /// none has a special value: 0 is none at all, where nothing else is said.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct Limits {
        /// Malformed and unknown packets without a good one between them, default 32; one more ends the session (D3).
        pub max_malformed: u16,
        /// Bytes to be sent that the transport hasn't taken, default 256 KiB. One packet is always allowed.
        pub max_transmit_bytes: usize,
        /// Events that the application hasn't taken, default 1024, at least 1. At this number input is no longer
        /// wanted.
        pub max_events: usize,
        /// Bytes of names and messages in such events, and in those taken since there were none, each part of a long
        /// message counted with 128 more; default 1 MiB, at least 1. At this number input is no longer wanted.
        pub max_event_bytes: usize,
        /// A client's requests without a result, logins among them, default 1024: more are an error for the caller. On the server, the
        /// questions that its application hasn't answered: more are refused by themselves (steps 3 and 5).
        pub max_pending: usize,
        /// Parts that follow the head of a long message, default 256 (step 4).
        pub max_parts: u32,
        /// Long messages that come at a time, default 4 (step 4).
        pub max_assemblies: usize,
        /// Long messages that go out at a time, default 4 (step 4).
        pub max_outgoing: usize,
        /// How often each part of a long message is asked for, or sent, again; default 3 (step 4).
        pub max_resends: u8,
        /// On the server, messages delivered that the client hasn't acknowledged, default 1024 (step 3).
        pub max_unacked: usize,
        /// On the server, rooms that the client is in, default 1024 (step 5).
        pub max_rooms: usize,
        /// On the server, packets held while the application decides about a login, default 64 (step 1).
        pub max_held_packets: usize,
        /// On the server, bytes of such packets, default 64 KiB; the last may begin before and end behind it (step 1).
        pub max_held_bytes: usize,
        /// On the server, failed logins, of which the last ends the session; default 3 (step 1).
        pub max_failed_logins: u8,
    }

    impl Default for Limits {
        fn default() -> Self {
            Self {
                max_malformed: 32,
                max_transmit_bytes: 256 * 1024,
                max_events: 1024,
                max_event_bytes: 1024 * 1024,
                max_pending: 1024,
                max_parts: 256,
                max_assemblies: 4,
                max_outgoing: 4,
                max_resends: 3,
                max_unacked: 1024,
                max_rooms: 1024,
                max_held_packets: 64,
                max_held_bytes: 64 * 1024,
                max_failed_logins: 3,
            }
        }
    }

    macro_rules! setters {
        ($($(#[$doc:meta])* $name:ident: $ty:ty;)+) => {
            impl Limits {
                $($(#[$doc])*
                pub const fn $name(mut self, $name: $ty) -> Self {
                    self.$name = $name;
                    self
                })+
            }
        };
    }

    setters! {
        /// Sets the bad packets that may come one after the other (D3).
        max_malformed: u16;
        /// Sets the bytes waiting to be sent.
        max_transmit_bytes: usize;
        /// Sets the events waiting to be taken.
        max_events: usize;
        /// Sets the bytes in events waiting to be taken.
        max_event_bytes: usize;
        /// Sets the requests without a result.
        max_pending: usize;
        /// Sets the parts that follow the head of a long message (step 4).
        max_parts: u32;
        /// Sets the long messages that come at a time (step 4).
        max_assemblies: usize;
        /// Sets the long messages that go out at a time (step 4).
        max_outgoing: usize;
        /// Sets how often a part is asked for, or sent, again (step 4).
        max_resends: u8;
        /// Sets the messages delivered and not acknowledged (step 3).
        max_unacked: usize;
        /// Sets the rooms that a client is in (step 5).
        max_rooms: usize;
        /// Sets the packets held during a decision (step 1).
        max_held_packets: usize;
        /// Sets the bytes of packets held during a decision (step 1).
        max_held_bytes: usize;
        /// Sets the failed logins (step 1).
        max_failed_logins: u8;
    }

    impl Limits {
        /// What both sides keep, where so many outcomes may come at once beside other events.
        fn most(&self, codec: &CodecConfig, outcomes: usize, largest_input: usize) -> usize {
            let packet = codec.packet_limit().max(MAX_BASE64);
            let parts = usize::try_from(self.max_parts).unwrap_or(usize::MAX);
            let long = parts.saturating_add(1).saturating_mul(3200);
            let both = self.max_assemblies.saturating_add(self.max_outgoing);
            let events = self.max_events.saturating_add(outcomes).saturating_add(both);
            [
                packet.saturating_mul(4),
                largest_input.saturating_mul(2),
                events.saturating_mul(512),
                self.max_event_bytes,
                long,
                packet.saturating_mul(2),
                self.max_transmit_bytes.saturating_add(packet.saturating_mul(2)).saturating_mul(3),
                self.max_pending.saturating_mul(256),
                both.saturating_mul(long),
                8192,
            ]
            .into_iter()
            .fold(0, usize::saturating_add)
        }
    }
}
