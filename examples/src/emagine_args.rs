//! Command line options that the emagine programs share.

use std::time::Duration;

use clap::Args;
use emagine_proto::{CodecConfig, Config};

use crate::args::seconds;

/// What each end has to bear.
#[derive(Debug, Clone, Copy, Args)]
pub struct WireArgs {
    /// Seconds that each part of the handshake may take
    #[arg(long, default_value = "10", value_parser = seconds, value_name = "SECONDS")]
    pub handshake_timeout: Duration,
    /// Longest message, in bytes
    #[arg(long, default_value_t = 1 << 20, value_name = "BYTES")]
    pub max_message: usize,
}

impl WireArgs {
    /// A session's settings.
    pub fn config(self) -> Config {
        let codec = CodecConfig::default().max_message(self.max_message);
        Config::default().codec(codec).handshake_timeout(self.handshake_timeout)
    }
}
