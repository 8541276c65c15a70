/// Who may send Requests, Responses and Dispatches (L1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Directions {
    /// Both sides may send all three, as deployed components do.
    #[default]
    Both,
    /// As the document's table has it: Requests and Dispatches come from the client, Responses from
    /// the server.
    AsDocumented,
}

/// What the codec has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodecConfig {
    /// Who may send what; default: both sides (L1).
    pub directions: Directions,
    /// Longest message taken or made, in bytes of text; default 1 MiB (L6). A session says Hello and sends
    /// heartbeats and their acks however little it is.
    pub max_message: usize,
}

impl Default for CodecConfig {
    fn default() -> Self {
        Self { directions: Directions::default(), max_message: 1 << 20 }
    }
}

impl CodecConfig {
    /// Sets who may send what (L1).
    pub const fn directions(mut self, directions: Directions) -> Self {
        self.directions = directions;
        self
    }

    /// Sets the longest message, in bytes (L6).
    pub const fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }
}

#[cfg(feature = "std")]
pub use session::{Config, Limits};

#[cfg(feature = "std")]
mod session {
    use alloc::boxed::Box;
    use core::time::Duration;

    use smallwire_core::Secret;

    use super::CodecConfig;

    /// What a [`Client`](crate::Client) or [`Server`](crate::Server) is set up with; share one
    /// among all connections.
    ///
    /// ```
    /// use litecord_proto::{Config, Limits};
    /// use std::time::Duration;
    ///
    /// let config = Config::default()
    ///     .password("hunter2")
    ///     .heartbeat_interval(Duration::from_secs(5))
    ///     .limits(Limits::default().max_pending(16));
    /// # let _ = config;
    /// ```
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct Config {
        /// The wire format.
        pub codec: CodecConfig,
        /// How much is kept at most.
        pub limits: Limits,
        /// What a server compares a client's password with (step 2); default `None`: the
        /// application decides about each. A client says its password when it is made.
        pub password: Option<Secret<Box<str>>>,
        /// How often a server wants to hear a heartbeat, told in its Hello; default 10 s. Whole
        /// milliseconds, from 1 ms to 2^53 ms (L7); clients with the default configuration refuse less than
        /// 100 ms.
        pub heartbeat_interval: Duration,
        /// How much longer than that a server waits; default 1 s (step 4). A heartbeat stands in line
        /// behind everything else: where much is sent at once, allow for the time that it takes.
        pub heartbeat_grace: Duration,
        /// The shortest interval that a client does as it is told; default 100 ms (L7).
        pub min_heartbeat_interval: Duration,
        /// On a client from the start to the Hello; on a server from the start to the HelloAck, and
        /// from there to the decision; default 10 s (steps 1 and 2). Zero is over at once, `Duration::MAX`
        /// never. An application that decides more slowly turns clients away for good: they are told
        /// 4001, as if their password were wrong.
        pub handshake_timeout: Duration,
        /// From a request to its response, the same for all; default 5 s (step 5).
        pub request_timeout: Duration,
        /// Whether messages are compressed, which both sides have agreed on (L8); default no. If so,
        /// plain ones are still understood.
        #[cfg(feature = "zlib")]
        pub zlib: bool,
    }

    impl Default for Config {
        fn default() -> Self {
            Self {
                codec: CodecConfig::default(),
                limits: Limits::default(),
                password: None,
                heartbeat_interval: Duration::from_secs(10),
                heartbeat_grace: Duration::from_secs(1),
                min_heartbeat_interval: Duration::from_millis(100),
                handshake_timeout: Duration::from_secs(10),
                request_timeout: Duration::from_secs(5),
                #[cfg(feature = "zlib")]
                zlib: false,
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

        /// Sets what a server compares passwords with.
        pub fn password(mut self, password: impl Into<Box<str>>) -> Self {
            self.password = Some(Secret::new(password.into()));
            self
        }

        /// Sets how often a server wants to hear a heartbeat.
        pub const fn heartbeat_interval(mut self, interval: Duration) -> Self {
            self.heartbeat_interval = interval;
            self
        }

        /// Sets how much longer than that a server waits.
        pub const fn heartbeat_grace(mut self, grace: Duration) -> Self {
            self.heartbeat_grace = grace;
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

        /// Sets the time from a request to its response.
        pub const fn request_timeout(mut self, timeout: Duration) -> Self {
            self.request_timeout = timeout;
            self
        }

        /// Sets whether messages are compressed (L8).
        #[cfg(feature = "zlib")]
        pub const fn zlib(mut self, zlib: bool) -> Self {
            self.zlib = zlib;
            self
        }

        /// The most heap, in bytes, that one session ever keeps, if no input is longer than
        /// `largest_input` bytes and [`wants_input`](smallwire_core::Session::wants_input) is
        /// heeded. With `M` = `max_message`:
        ///
        /// | kept | bytes |
        /// |---|---|
        /// | an input, decompressed and decoded | 4 `M` + 2 `largest_input` |
        /// | what events hold | `max_event_bytes` + 2 `M` |
        /// | events | 256 (`max_events` + `max_held` + `max_pending`) |
        /// | what is held back before the decision | `max_held_bytes` + 128 `max_held` |
        /// | messages to be sent | 3 (`max_transmit_bytes` + 2 `M` + 512) |
        /// | requests, both ways | (`max_nonce` + 512) `max_pending` |
        /// | bookkeeping, zlib's state | 4096, or 512 KiB with compression |
        ///
        /// It is far above what an ordinary connection uses; an idle one keeps no heap at all. What
        /// was polled is the driver's and comes on top.
        pub fn max_memory(&self, largest_input: usize) -> usize {
            let limits = &self.limits;
            let message = self.codec.max_message;
            let pending = limits.effective_max_pending();
            [
                message.saturating_mul(4),
                largest_input.saturating_mul(2),
                limits.max_event_bytes.saturating_add(message.saturating_mul(2)),
                limits
                    .max_events
                    .saturating_add(limits.max_held)
                    .saturating_add(pending)
                    .saturating_mul(256),
                limits.max_held_bytes.saturating_add(limits.max_held.saturating_mul(128)),
                limits
                    .max_transmit_bytes
                    .saturating_add(message.saturating_mul(2))
                    .saturating_add(512)
                    .saturating_mul(3),
                pending.saturating_mul(limits.max_nonce.saturating_add(512)),
                if self.compresses() { 512 * 1024 } else { 4096 },
            ]
            .into_iter()
            .fold(0, usize::saturating_add)
        }

        /// Whether messages are compressed (L8).
        #[cfg(feature = "zlib")]
        pub(crate) const fn compresses(&self) -> bool {
            self.zlib
        }

        /// Whether messages are compressed (L8).
        #[cfg(not(feature = "zlib"))]
        #[allow(clippy::unused_self, reason = "the feature uses it")]
        pub(crate) const fn compresses(&self) -> bool {
            false
        }
    }

    /// How much one session keeps at most; [`Config::max_memory`] adds it up. All are finite, and
    /// none has a special value: 0 counts as 1, but for what is held back.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct Limits {
        /// Requests awaiting a response, each way; default 1024. Ours beyond it are an error for the
        /// caller, the peer's a violation (step 5).
        pub max_pending: usize,
        /// Bytes of a nonce of the peer, default 1024 (L5).
        pub max_nonce: usize,
        /// Messages held back on a server until it is decided about the password, default 64
        /// (step 2).
        pub max_held: usize,
        /// Bytes of those, as they are without compression; default 64 KiB (step 2).
        pub max_held_bytes: usize,
        /// Bytes to be sent that the transport hasn't taken, each message counted with 64 more;
        /// default 256 KiB. While at most half of it waits, one more message of any length may be
        /// queued; while more does, a server takes no input. So its application has room to answer
        /// each request as it comes.
        pub max_transmit_bytes: usize,
        /// Events that the application hasn't taken, default 1024. At this number input is no
        /// longer wanted, and a client sends no heartbeats.
        pub max_events: usize,
        /// Bytes of text in such events, and in those taken since there were none; default 256 KiB. At this
        /// number it is as at `max_events`.
        pub max_event_bytes: usize,
    }

    impl Default for Limits {
        fn default() -> Self {
            Self {
                max_pending: 1024,
                max_nonce: 1024,
                max_held: 64,
                max_held_bytes: 64 * 1024,
                max_transmit_bytes: 256 * 1024,
                max_events: 1024,
                max_event_bytes: 256 * 1024,
            }
        }
    }

    impl Limits {
        /// In effect.
        pub(crate) fn effective_max_pending(&self) -> usize {
            self.max_pending.max(1)
        }

        /// Sets the requests awaiting a response, each way.
        pub const fn max_pending(mut self, requests: usize) -> Self {
            self.max_pending = requests;
            self
        }

        /// Sets the bytes of a nonce.
        pub const fn max_nonce(mut self, bytes: usize) -> Self {
            self.max_nonce = bytes;
            self
        }

        /// Sets the messages held back until the decision.
        pub const fn max_held(mut self, messages: usize) -> Self {
            self.max_held = messages;
            self
        }

        /// Sets the bytes held back until the decision.
        pub const fn max_held_bytes(mut self, bytes: usize) -> Self {
            self.max_held_bytes = bytes;
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
