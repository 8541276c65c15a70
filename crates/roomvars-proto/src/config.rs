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
