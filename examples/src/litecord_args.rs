//! Command line options that the litecord programs share.

use std::time::Duration;

use clap::{Args, ValueEnum};
use litecord_proto::{CodecConfig, Config, Directions};

use crate::args::seconds;

/// What both ends agree on, and what each has to bear.
#[derive(Debug, Clone, Copy, Args)]
pub struct WireArgs {
    /// Who may send requests, responses and dispatches
    #[arg(long, value_enum, default_value = "both")]
    pub directions: DirectionsArg,
    /// Compress messages; both sides have to
    #[arg(long)]
    pub zlib: bool,
    /// Longest message, in bytes of text
    #[arg(long, default_value_t = 1 << 20, value_name = "BYTES")]
    pub max_message: usize,
    /// Seconds that the other side has to answer a request
    #[arg(long, default_value = "5", value_parser = seconds, value_name = "SECONDS")]
    pub request_timeout: Duration,
}

/// [`Directions`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum DirectionsArg {
    /// Both sides, as deployed components do
    Both,
    /// Requests and dispatches come from the client only
    AsDocumented,
}

impl From<DirectionsArg> for Directions {
    fn from(arg: DirectionsArg) -> Self {
        match arg {
            DirectionsArg::Both => Self::Both,
            DirectionsArg::AsDocumented => Self::AsDocumented,
        }
    }
}

impl WireArgs {
    /// A session's settings.
    pub fn config(self) -> Config {
        let codec =
            CodecConfig::default().directions(self.directions.into()).max_message(self.max_message);
        Config::default().codec(codec).zlib(self.zlib).request_timeout(self.request_timeout)
    }
}
