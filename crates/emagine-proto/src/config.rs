/// What the codec has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodecConfig {
    /// Longest message taken or made, in bytes of text; default 1 MiB (E4). A session says Hello and sends
    /// heartbeats and their acks however little it is.
    pub max_message: usize,
}

impl Default for CodecConfig {
    fn default() -> Self {
        Self { max_message: 1 << 20 }
    }
}

impl CodecConfig {
    /// Sets the longest message, in bytes (E4).
    pub const fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }
}

#[cfg(feature = "std")]
pub use session::{Config, Limits};

#[cfg(feature = "std")]
mod session {
    use core::time::Duration;

    use super::CodecConfig;

    /// What a [`Client`](crate::Client) or [`Server`](crate::Server) is set up with; share one
    /// among all connections.
    ///
    /// ```
    /// use emagine_proto::{Config, Limits};
    /// use std::time::Duration;
    ///
    /// let config = Config::default()
    ///     .heartbeat_interval(Duration::from_secs(30))
    ///     .limits(Limits::default().max_events(16));
    /// # let _ = config;
    /// ```
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct Config {
        /// The wire format.
        pub codec: CodecConfig,
        /// How much is kept at most.
        pub limits: Limits,
        /// How often both sides send a heartbeat, told in the server's Hello; default 45 s. Whole
        /// milliseconds, from 1 ms to 2^53 ms (E5); clients with the default configuration refuse less than
        /// 100 ms.
        pub heartbeat_interval: Duration,
        /// The shortest interval that a client does as it is told; default 100 ms (E5).
        pub min_heartbeat_interval: Duration,
        /// On a client from the start to the Hello, and from there to the Ready; on a server from the
        /// start to the Identify, and from there to the decision; default 10 s (steps 1 and 2). Zero is
        /// over at once, `Duration::MAX` never.
        pub handshake_timeout: Duration,
    }

    impl Default for Config {
        fn default() -> Self {
            Self {
                codec: CodecConfig::default(),
                limits: Limits::default(),
                heartbeat_interval: Duration::from_secs(45),
                min_heartbeat_interval: Duration::from_millis(100),
                handshake_timeout: Duration::from_secs(10),
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

        /// Sets how often both sides send a heartbeat.
        pub const fn heartbeat_interval(mut self, interval: Duration) -> Self {
            self.heartbeat_interval = interval;
            self
        }

        /// Sets the shortest interval that a client does as it is told.
        pub const fn min_heartbeat_interval(mut self, interval: Duration) -> Self {
            self.min_heartbeat_interval = interval;
            self
        }

        /// Sets how long each part of the handshake may take.
        pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
            self.handshake_timeout = timeout;
            self
        }

        /// The most heap, in bytes, that one session ever keeps, if no input is longer than
        /// `largest_input` bytes and [`wants_input`](smallwire_core::Session::wants_input) is
        /// heeded. With `M` = `max_message`:
        ///
        /// | kept | bytes |
        /// |---|---|
        /// | an input, decoded | 2 `M` + `largest_input` |
        /// | what events hold | `max_event_bytes` + 2 `M` |
        /// | events | 192 `max_events` |
        /// | messages to be sent, heartbeats and their acks | 3 (`max_transmit_bytes` + 2 `M` + 4 `max_time` + 2048) |
        /// | bookkeeping | 1024 |
        ///
        /// It is far above what an ordinary connection uses; an idle one keeps no heap at all. What
        /// was polled is the driver's and comes on top.
        pub fn max_memory(&self, largest_input: usize) -> usize {
            let limits = &self.limits;
            let message = self.codec.max_message;
            [
                message.saturating_mul(2).saturating_add(largest_input),
                limits.max_event_bytes.saturating_add(message.saturating_mul(2)),
                limits.max_events.max(1).saturating_mul(192),
                limits
                    .max_transmit_bytes
                    .saturating_add(message.saturating_mul(2))
                    .saturating_add(limits.max_time.saturating_mul(4))
                    .saturating_add(2048)
                    .saturating_mul(3),
                1024,
            ]
            .into_iter()
            .fold(0, usize::saturating_add)
        }
    }

    /// How much one session keeps at most; [`Config::max_memory`] adds it up. All are finite, and
    /// none has a special value: 0 counts as 1.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct Limits {
        /// Bytes of the `time` of a peer's heartbeat or ack, as JSON; default 1024 (E3). Less than 20
        /// counts as 20, which our own may have.
        pub max_time: usize,
        /// Bytes to be sent that the transport hasn't taken, each message counted with 64 more;
        /// default 256 KiB. While at most half of it waits, one more Message of any length may be
        /// queued. Heartbeats and their acks are queued however much waits.
        pub max_transmit_bytes: usize,
        /// Events that the application hasn't taken, default 1024. At this number input is no
        /// longer wanted, and no heartbeats are sent but those of the application.
        pub max_events: usize,
        /// Bytes of text in such events, and in those taken since there were none; default 256 KiB. At this
        /// number it is as at `max_events`.
        pub max_event_bytes: usize,
    }

    impl Default for Limits {
        fn default() -> Self {
            Self {
                max_time: 1024,
                max_transmit_bytes: 256 * 1024,
                max_events: 1024,
                max_event_bytes: 256 * 1024,
            }
        }
    }

    impl Limits {
        /// Sets the bytes of a heartbeat's `time`.
        pub const fn max_time(mut self, bytes: usize) -> Self {
            self.max_time = bytes;
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

        /// Sets the bytes of text in waiting events.
        pub const fn max_event_bytes(mut self, bytes: usize) -> Self {
            self.max_event_bytes = bytes;
            self
        }
    }
}
