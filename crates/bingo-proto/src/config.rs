/// How the two-byte numbers of the wire are laid out (B1); the same on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ByteOrder {
    /// Network order.
    #[default]
    BigEndian,
    /// Least significant byte first.
    LittleEndian,
}

impl ByteOrder {
    /// The number that these two bytes of the wire are.
    #[inline]
    pub const fn read(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::BigEndian => u16::from_be_bytes(bytes),
            Self::LittleEndian => u16::from_le_bytes(bytes),
        }
    }

    /// The two bytes of the wire that this number is.
    #[inline]
    pub const fn write(self, number: u16) -> [u8; 2] {
        match self {
            Self::BigEndian => number.to_be_bytes(),
            Self::LittleEndian => number.to_le_bytes(),
        }
    }
}

/// Where an ErrorReply has the id of the message it answers (B7); the same on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ErrorReplyStyle {
    /// In its header, in place of an id of its own.
    #[default]
    HeaderId,
    /// In the first two bytes of its payload, as a Reply does; the header has its own id.
    PayloadPrefix,
}

/// What the codec has to know of the wire. Nothing of it is negotiated: set both sides alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodecConfig {
    /// Layout of numbers; default big-endian (B1).
    pub byte_order: ByteOrder,
    /// Where ErrorReplies have the id they answer; default in the header (B7).
    pub error_reply_style: ErrorReplyStyle,
    /// Longest payload taken or made, in bytes, 0–65,535; default 65,535 (B8).
    pub max_payload: u16,
}

impl Default for CodecConfig {
    fn default() -> Self {
        Self {
            byte_order: ByteOrder::default(),
            error_reply_style: ErrorReplyStyle::default(),
            max_payload: u16::MAX,
        }
    }
}

impl CodecConfig {
    /// Sets the layout of numbers (B1).
    pub const fn byte_order(mut self, byte_order: ByteOrder) -> Self {
        self.byte_order = byte_order;
        self
    }

    /// Sets where an ErrorReply has the id it answers (B7).
    pub const fn error_reply_style(mut self, style: ErrorReplyStyle) -> Self {
        self.error_reply_style = style;
        self
    }

    /// Sets the longest payload, in bytes (B8).
    pub const fn max_payload(mut self, bytes: u16) -> Self {
        self.max_payload = bytes;
        self
    }
}

#[cfg(feature = "std")]
pub use session::{Config, Limits};

#[cfg(feature = "std")]
mod session {
    use core::time::Duration;

    use super::CodecConfig;
    use crate::connection::Queued;
    use crate::{ClientEvent, FrameRef, ServerEvent};

    /// What a [`Client`](crate::Client) or [`Server`](crate::Server) is set up with; share one
    /// among all connections. A time of 0 is over at once, one too long to be reckoned with never.
    ///
    /// ```
    /// use bingo_proto::{ByteOrder, CodecConfig, Config, Limits};
    /// use std::time::Duration;
    ///
    /// let config = Config::default()
    ///     .codec(CodecConfig::default().byte_order(ByteOrder::LittleEndian))
    ///     .limits(Limits::default().max_pending(16))
    ///     .ping_interval(Some(Duration::from_secs(5)));
    /// # let _ = config;
    /// ```
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct Config {
        /// The wire format.
        pub codec: CodecConfig,
        /// How much is kept at most.
        pub limits: Limits,
        /// From the start of the session to Ready, on both sides; default 10 s.
        pub handshake_timeout: Duration,
        /// From a request to its answer; default 30 s. An unanswered id rests as long again (B6).
        pub request_timeout: Duration,
        /// From one Ping of the server to the next, at least 1 ms; default 30 s, `None`: never.
        pub ping_interval: Option<Duration>,
        /// From a Ping to its acknowledgement; default 10 s.
        pub ping_timeout: Duration,
    }

    impl Default for Config {
        fn default() -> Self {
            Self {
                codec: CodecConfig::default(),
                limits: Limits::default(),
                handshake_timeout: Duration::from_secs(10),
                request_timeout: Duration::from_secs(30),
                ping_interval: Some(Duration::from_secs(30)),
                ping_timeout: Duration::from_secs(10),
            }
        }
    }

    impl Config {
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

        /// Sets the time from the start of the session to Ready.
        pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
            self.handshake_timeout = timeout;
            self
        }

        /// Sets the time from a request to its answer.
        pub const fn request_timeout(mut self, timeout: Duration) -> Self {
            self.request_timeout = timeout;
            self
        }

        /// Sets the time between Pings, `None` for no Pings.
        pub const fn ping_interval(mut self, interval: Option<Duration>) -> Self {
            self.ping_interval = interval;
            self
        }

        /// Sets the time from a Ping to its acknowledgement.
        pub const fn ping_timeout(mut self, timeout: Duration) -> Self {
            self.ping_timeout = timeout;
            self
        }

        /// Bytes of the longest frame.
        pub(crate) fn longest_frame(&self) -> usize {
            usize::from(self.codec.max_payload).saturating_add(FrameRef::HEADER_LEN)
        }

        /// The most heap, in bytes, that one session ever keeps, if no input is longer than
        /// `largest_input` bytes and [`wants_input`](smallwire_core::Session::wants_input) is
        /// heeded. With `F` = 5 + `max_payload`, the longest frame:
        ///
        /// | kept | bytes |
        /// |---|---|
        /// | a partial frame, and one just completed | 4 `F` |
        /// | what events and undecoded input hold | `max_event_bytes` + 3 `largest_input` |
        /// | queued events | 256 (`max_events` + `max_pending`) |
        /// | bytes to be sent | 3 (max(`max_transmit_bytes`, `F`) + 512) |
        /// | requests and Pings, open or resting, both ways | 512 `max_pending` |
        /// | bookkeeping | 4096 |
        ///
        /// It is far above what an ordinary connection uses; an idle one keeps no heap at all. What
        /// was polled is the driver's: a transmit being written comes on top, and so do payloads
        /// that the application holds on to.
        pub fn max_memory(&self, largest_input: usize) -> usize {
            let limits = &self.limits;
            let frame = self.longest_frame();
            let pending = limits.effective_max_pending();
            let events = limits.max_events.saturating_add(pending);
            [
                frame.saturating_mul(4),
                limits.max_event_bytes,
                largest_input.saturating_mul(3),
                events.saturating_mul(256),
                limits.max_transmit_bytes.max(frame).saturating_add(512).saturating_mul(3),
                pending.saturating_mul(512),
                4096,
            ]
            .into_iter()
            .fold(0, usize::saturating_add)
        }
    }

    // The formula's 256 bytes an event: buffers grow by doubling, and keep the old half meanwhile.
    const _: () =
        assert!(size_of::<Queued<ClientEvent>>() <= 64 && size_of::<Queued<ServerEvent>>() <= 64);

    /// How much one session keeps at most; [`Config::max_memory`] adds it up. All are finite, and
    /// none has a special value: 0 counts as 1.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct Limits {
        /// Requests awaiting an answer, each way, 1–8192; default 1024. Ours beyond it are an
        /// error for the caller, the peer's a violation (B5).
        pub max_pending: u16,
        /// Bytes to be sent that the transport hasn't taken, default 256 KiB. One frame is always
        /// allowed.
        pub max_transmit_bytes: usize,
        /// Events that the application hasn't taken, default 1024. At this number input is no
        /// longer wanted.
        pub max_events: usize,
        /// Bytes of input that such events hold on to, and those taken since there were none; default 256 KiB. At this
        /// number input is no longer wanted.
        pub max_event_bytes: usize,
    }

    impl Default for Limits {
        fn default() -> Self {
            Self {
                max_pending: 1024,
                max_transmit_bytes: 256 * 1024,
                max_events: 1024,
                max_event_bytes: 256 * 1024,
            }
        }
    }

    impl Limits {
        /// In effect.
        pub(crate) fn effective_max_pending(&self) -> usize {
            usize::from(self.max_pending.clamp(1, 8192))
        }

        /// Sets the requests awaiting an answer, each way.
        pub const fn max_pending(mut self, requests: u16) -> Self {
            self.max_pending = requests;
            self
        }

        /// Sets the bytes waiting to be sent.
        pub const fn max_transmit_bytes(mut self, bytes: usize) -> Self {
            self.max_transmit_bytes = bytes;
            self
        }

        /// Sets the events waiting to be taken.
        pub const fn max_events(mut self, events: usize) -> Self {
            self.max_events = events;
            self
        }

        /// Sets the bytes of input that waiting events hold on to.
        pub const fn max_event_bytes(mut self, bytes: usize) -> Self {
            self.max_event_bytes = bytes;
            self
        }
    }
}
