use crate::CloseCode;

/// Which keys and kinds are spoken (R3). The protocol is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Dialect {
    /// As the document has it: `kind`, `room`, `username`, `variables`, `variable`, `value`.
    #[default]
    Documented,
    /// As the servers of 2020 do: `id` for `room` and `var` for `variable`. They share rooms with
    /// documented clients.
    Deployed2020,
    /// As today's successors do: `method`, `project_id`, `user`, `name`, `value`, `new_name`;
    /// variables come and go. Its rooms are apart from the others'.
    Scratch,
}

/// What the codec has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodecConfig {
    /// The keys and kinds; default: as documented (R3).
    pub dialect: Dialect,
    /// Longest message of a client taken or made, in bytes of text; default 1 MiB (R5).
    pub max_client_message: usize,
    /// Longest message of a server taken or made, in bytes of text; default 16 MiB (R5).
    pub max_server_message: usize,
}

impl Default for CodecConfig {
    fn default() -> Self {
        Self {
            dialect: Dialect::default(),
            max_client_message: 1 << 20,
            max_server_message: 16 << 20,
        }
    }
}

impl CodecConfig {
    /// Sets the keys and kinds (R3).
    pub const fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Sets the longest message of a client, in bytes (R5).
    pub const fn max_client_message(mut self, bytes: usize) -> Self {
        self.max_client_message = bytes;
        self
    }

    /// Sets the longest message of a server, in bytes (R5).
    pub const fn max_server_message(mut self, bytes: usize) -> Self {
        self.max_server_message = bytes;
        self
    }
}

impl Dialect {
    /// What a client is kicked with that may come back (step 7).
    pub const fn kick_code(self) -> CloseCode {
        match self {
            Self::Documented | Self::Deployed2020 => CloseCode::TRY_AGAIN_LATER,
            Self::Scratch => CloseCode::OVERLOADED,
        }
    }
}

/// How long names and values may be, and how many variables a room may have (R5). Bytes are those of
/// the text, without escapes. Zero is no special value, nor is any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a room's id, at least 1; default 256.
    pub max_room_id: usize,
    /// Bytes of a username, at least 1; default 64.
    pub max_username: usize,
    /// Bytes of a variable's name, at least 1; default 512.
    pub max_name: usize,
    /// Bytes of a value; default 1024. Successors of the first servers allow 100,000.
    pub max_value: usize,
    /// Variables of a room; default 10.
    pub max_variables: usize,
    /// Variables of a room in the Scratch dialect; default 128.
    pub max_scratch_variables: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_room_id: 256,
            max_username: 64,
            max_name: 512,
            max_value: 1024,
            max_variables: 10,
            max_scratch_variables: 128,
        }
    }
}

impl Limits {
    /// Sets the bytes of a room's id.
    pub const fn max_room_id(mut self, bytes: usize) -> Self {
        self.max_room_id = bytes;
        self
    }

    /// Sets the bytes of a username.
    pub const fn max_username(mut self, bytes: usize) -> Self {
        self.max_username = bytes;
        self
    }

    /// Sets the bytes of a variable's name.
    pub const fn max_name(mut self, bytes: usize) -> Self {
        self.max_name = bytes;
        self
    }

    /// Sets the bytes of a value.
    pub const fn max_value(mut self, bytes: usize) -> Self {
        self.max_value = bytes;
        self
    }

    /// Sets the variables of a room.
    pub const fn max_variables(mut self, variables: usize) -> Self {
        self.max_variables = variables;
        self
    }

    /// Sets the variables of a room in the Scratch dialect.
    pub const fn max_scratch_variables(mut self, variables: usize) -> Self {
        self.max_scratch_variables = variables;
        self
    }

    /// How many variables a room of this dialect may have.
    pub const fn variables(&self, dialect: Dialect) -> usize {
        match dialect {
            Dialect::Documented | Dialect::Deployed2020 => self.max_variables,
            Dialect::Scratch => self.max_scratch_variables,
        }
    }
}

#[cfg(feature = "std")]
pub use session::{ClientConfig, HubConfig};

#[cfg(feature = "std")]
mod session {
    use core::time::Duration;

    use super::{CodecConfig, Limits};
    use crate::RateLimit;

    /// What a [`Client`](crate::Client) is set up with; share one among all connections.
    ///
    /// ```
    /// use roomvars_proto::{ClientConfig, CodecConfig, Dialect, RateLimit};
    ///
    /// let config = ClientConfig::default()
    ///     .codec(CodecConfig::default().dialect(Dialect::Scratch))
    ///     .merge_sets(true)
    ///     .rate_limit(RateLimit::per_second(10));
    /// // `Limits::default()` is a hub's; change the client's own.
    /// let limits = config.limits.max_scratch_variables(256);
    /// let config = config.limits(limits);
    /// assert_eq!(config.limits.max_value, 100_000);
    /// ```
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct ClientConfig {
        /// The wire format.
        pub codec: CodecConfig,
        /// How long names and values may be, ours and the server's; default as [`Limits`], but values
        /// up to 100,000 bytes (R5).
        pub limits: Limits,
        /// Whether of our own sets of a variable that wait to be sent only the last is; default no.
        pub merge_sets: bool,
        /// How fast messages are sent; default `None`: as fast as they are taken (step 7).
        pub rate_limit: Option<RateLimit>,
        /// Bytes to be sent that wait for the transport or for `rate_limit`, each message counted with
        /// 64 more; default 256 KiB. The handshake doesn't count, and one message has room however long it is.
        pub max_transmit_bytes: usize,
        /// Events that the application hasn't taken, default 1024; 0 counts as 1. At this number input
        /// is no longer wanted.
        pub max_events: usize,
        /// Bytes of text in such events, default 256 KiB; 0 counts as 1. At this number input is no
        /// longer wanted.
        pub max_event_bytes: usize,
    }

    impl Default for ClientConfig {
        fn default() -> Self {
            Self {
                codec: CodecConfig::default(),
                limits: Limits::default().max_value(100_000),
                merge_sets: false,
                rate_limit: None,
                max_transmit_bytes: 256 * 1024,
                max_events: 1024,
                max_event_bytes: 256 * 1024,
            }
        }
    }

    impl ClientConfig {
        /// Sets the wire format.
        pub const fn codec(mut self, codec: CodecConfig) -> Self {
            self.codec = codec;
            self
        }

        /// Sets how long names and values may be. Begin with the `limits` that are there: those of
        /// [`Limits::default`] take shorter values.
        pub const fn limits(mut self, limits: Limits) -> Self {
            self.limits = limits;
            self
        }

        /// Sets whether only the last of our own sets of a variable is sent.
        pub const fn merge_sets(mut self, merge: bool) -> Self {
            self.merge_sets = merge;
            self
        }

        /// Sets how fast messages are sent.
        pub const fn rate_limit(mut self, limit: RateLimit) -> Self {
            self.rate_limit = Some(limit);
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

        /// The most heap, in bytes, that one client ever keeps, if no input is longer than
        /// `largest_input` bytes and [`wants_input`](smallwire_core::Session::wants_input) is heeded, and names
        /// and values in its handshake come to `handshake` bytes. With `V` = the dialect's variables, `N` = `max_name`, `W` = `max_value`:
        ///
        /// | kept | bytes |
        /// |---|---|
        /// | an input, and the names of a snapshot | `largest_input` + `V` (`N` + 64) |
        /// | the mirror | `V` (`N` + `W` + 160) |
        /// | events | `max_event_bytes` + 256 `max_events` + 2 (`N` + `W`) + `largest_input` |
        /// | messages to be sent | 3 (`max_transmit_bytes` + 6 `N` + 6 `W` + 512) |
        /// | the handshake | 6 `handshake` |
        /// | bookkeeping | 1024 |
        pub fn max_memory(&self, largest_input: usize, handshake: usize) -> usize {
            let limits = &self.limits;
            let variables = limits.variables(self.codec.dialect);
            let one = limits.max_name.saturating_add(limits.max_value);
            [
                largest_input.saturating_mul(2),
                variables.saturating_mul(limits.max_name.saturating_add(64)),
                variables.saturating_mul(one.saturating_add(160)),
                self.max_event_bytes.saturating_add(one.saturating_mul(2)),
                self.max_events.max(1).saturating_mul(256),
                self.max_transmit_bytes
                    .saturating_add(one.saturating_mul(6))
                    .saturating_add(512)
                    .saturating_mul(3),
                handshake.saturating_mul(6),
                1024,
            ]
            .into_iter()
            .fold(0, usize::saturating_add)
        }
    }

    /// What a [`Hub`](crate::Hub) is set up with.
    ///
    /// ```
    /// use roomvars_proto::{HubConfig, Limits, RateLimit};
    /// use std::time::Duration;
    ///
    /// let config = HubConfig::default()
    ///     .limits(Limits::default().max_value(100_000))
    ///     .flush_interval(Duration::from_secs(1) / 60)
    ///     .rate_limit(RateLimit::per_second(30).burst(60));
    /// # let _ = config;
    /// ```
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct HubConfig {
        /// How long names and values may be, and how many variables a room may have (R5).
        pub limits: Limits,
        /// Longest message taken, in bytes of text; default 1 MiB (R5).
        pub max_client_message: usize,
        /// Longest message made, in bytes of text; default 16 MiB (R5). A single set may be longer,
        /// if the limits of names and values allow.
        pub max_server_message: usize,
        /// Connections, those included that have ended and weren't taken leave of; default 51,200,
        /// which is as many as the rooms hold.
        pub max_connections: usize,
        /// Clients of a room; default 100, at least 1 (R5).
        pub max_room_clients: usize,
        /// Rooms, empty ones included; default 512 (R5).
        pub max_rooms: usize,
        /// From the connection to its handshake; default 30 s (step 1).
        pub handshake_timeout: Duration,
        /// How long an empty room keeps its variables; default 10 min (step 4).
        pub empty_room_ttl: Duration,
        /// Bytes of text that may wait for a client before sets are merged; default 64 KiB (step 6).
        pub max_untaken: usize,
        /// Bytes of text in a batch of what was collected or merged, if it is more than one object;
        /// default 16 KiB (step 6).
        pub max_batch_bytes: usize,
        /// How long sets are collected for a batch; default `None`: not at all (step 6). Zero: until the next
        /// `handle_timeout`.
        pub flush_interval: Option<Duration>,
        /// How fast a client may send; one that sends faster is kicked. Default `None`: as it likes
        /// (step 7).
        pub rate_limit: Option<RateLimit>,
    }

    impl Default for HubConfig {
        fn default() -> Self {
            Self {
                limits: Limits::default(),
                max_client_message: 1 << 20,
                max_server_message: 16 << 20,
                max_connections: 51_200,
                max_room_clients: 100,
                max_rooms: 512,
                handshake_timeout: Duration::from_secs(30),
                empty_room_ttl: Duration::from_secs(600),
                max_untaken: 64 * 1024,
                max_batch_bytes: 16 * 1024,
                flush_interval: None,
                rate_limit: None,
            }
        }
    }

    impl HubConfig {
        /// Bytes of a batch of several objects that isn't a snapshot.
        pub(crate) fn batch_limit(&self) -> usize {
            self.max_batch_bytes.min(self.max_server_message)
        }

        /// The most heap, in bytes, that a hub ever keeps, if no input is longer than
        /// `max_client_message`. With `V` = the greater of `max_variables` and `max_scratch_variables`,
        /// `N` = `max_name`, `W` = `max_value`, and `S` = 6 (`N` + `W`) + 64, the longest set:
        ///
        /// | kept | bytes |
        /// |---|---|
        /// | each of `max_connections` | 1024 + `max_username` + 8 `max_untaken` + 2 `V` (`N` + 128) |
        /// | each of `max_rooms` | 2048 + 3 `max_room_id` + `V` (2 `N` + 2 `W` + 256) + 16 (`max_untaken` + `S`) + 4 `max_batch_bytes` |
        /// | a message that comes, a batch that goes | 2 `max_client_message` + 4 `V` `S` |
        ///
        /// It is far above what ordinary clients make of it: one that has taken all costs about 300 bytes
        /// in a room of ten. What was polled is the driver's and comes on top. Where the sum is more than a
        /// `usize` holds, it is `usize::MAX`.
        pub fn max_memory(&self) -> usize {
            let limits = &self.limits;
            let variables = limits.max_variables.max(limits.max_scratch_variables);
            let (name, value) = (limits.max_name, limits.max_value);
            let set = name.saturating_add(value).saturating_mul(6).saturating_add(64);
            let connection = [
                1024,
                limits.max_username,
                self.max_untaken.saturating_mul(8),
                variables.saturating_mul(name.saturating_add(128)).saturating_mul(2),
            ];
            let room = [
                2048,
                limits.max_room_id.saturating_mul(3),
                variables.saturating_mul(
                    name.saturating_add(value).saturating_mul(2).saturating_add(256),
                ),
                self.max_untaken.saturating_add(set).saturating_mul(16),
                self.max_batch_bytes.saturating_mul(4),
            ];
            let passing = [
                self.max_client_message.saturating_mul(2),
                variables.saturating_mul(set).saturating_mul(4),
            ];
            let sum = |parts: &[usize]| parts.iter().copied().fold(0, usize::saturating_add);
            sum(&[
                sum(&connection).saturating_mul(self.max_connections),
                sum(&room).saturating_mul(self.max_rooms),
                sum(&passing),
            ])
        }

        /// Sets how long names and values may be, and how many variables a room may have.
        pub const fn limits(mut self, limits: Limits) -> Self {
            self.limits = limits;
            self
        }

        /// Sets the longest message taken, in bytes.
        pub const fn max_client_message(mut self, bytes: usize) -> Self {
            self.max_client_message = bytes;
            self
        }

        /// Sets the longest message made, in bytes.
        pub const fn max_server_message(mut self, bytes: usize) -> Self {
            self.max_server_message = bytes;
            self
        }

        /// Sets the number of connections.
        pub const fn max_connections(mut self, connections: usize) -> Self {
            self.max_connections = connections;
            self
        }

        /// Sets the number of clients of a room.
        pub const fn max_room_clients(mut self, clients: usize) -> Self {
            self.max_room_clients = clients;
            self
        }

        /// Sets the number of rooms.
        pub const fn max_rooms(mut self, rooms: usize) -> Self {
            self.max_rooms = rooms;
            self
        }

        /// Sets the time to a connection's handshake.
        pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
            self.handshake_timeout = timeout;
            self
        }

        /// Sets how long an empty room keeps its variables.
        pub const fn empty_room_ttl(mut self, ttl: Duration) -> Self {
            self.empty_room_ttl = ttl;
            self
        }

        /// Sets the bytes that may wait for a client before sets are merged.
        pub const fn max_untaken(mut self, bytes: usize) -> Self {
            self.max_untaken = bytes;
            self
        }

        /// Sets the bytes of a batch.
        pub const fn max_batch_bytes(mut self, bytes: usize) -> Self {
            self.max_batch_bytes = bytes;
            self
        }

        /// Sets how long sets are collected for a batch.
        pub const fn flush_interval(mut self, interval: Duration) -> Self {
            self.flush_interval = Some(interval);
            self
        }

        /// Sets how fast a client may send.
        pub const fn rate_limit(mut self, limit: RateLimit) -> Self {
            self.rate_limit = Some(limit);
            self
        }
    }
}
