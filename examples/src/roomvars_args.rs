//! Command line options that the roomvars programs share.

use clap::{Args, ValueEnum};
use roomvars_proto::{Dialect, Limits, RateLimit};

/// What both ends agree on.
#[derive(Debug, Clone, Copy, Args)]
pub struct WireArgs {
    /// Which keys and kinds are spoken
    #[arg(long, value_enum, default_value = "documented")]
    pub dialect: DialectArg,
    /// Longest value of a variable, in bytes
    #[arg(long, default_value_t = 1024, value_name = "BYTES")]
    pub max_value: usize,
    /// Messages of a client a second [default: no limit]
    #[arg(long, value_name = "MESSAGES", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate_limit: Option<u32>,
}

/// [`Dialect`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DialectArg {
    /// As the document has it
    Documented,
    /// As the servers of 2020 do
    #[value(name = "deployed2020")]
    Deployed2020,
    /// As today's successors do
    Scratch,
}

impl From<DialectArg> for Dialect {
    fn from(arg: DialectArg) -> Self {
        match arg {
            DialectArg::Documented => Self::Documented,
            DialectArg::Deployed2020 => Self::Deployed2020,
            DialectArg::Scratch => Self::Scratch,
        }
    }
}

impl WireArgs {
    /// How long names and values may be.
    pub fn limits(self) -> Limits {
        Limits::default().max_value(self.max_value)
    }

    /// How fast a client may send.
    pub fn rate_limit(self) -> Option<RateLimit> {
        self.rate_limit.map(RateLimit::per_second)
    }
}
