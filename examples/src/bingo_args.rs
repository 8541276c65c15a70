//! Command line options that the bingo programs share.

use bingo_proto::{ByteOrder, CodecConfig, ErrorReplyStyle};
use clap::{Args, ValueEnum};

/// What the protocol leaves open; the same for server and client.
#[derive(Debug, Clone, Copy, Args)]
pub struct WireArgs {
    /// Byte order of ids and lengths
    #[arg(long, value_enum, default_value = "big")]
    pub byte_order: ByteOrderArg,
    /// Where an ErrorReply has the id of what it answers
    #[arg(long, value_enum, default_value = "header-id")]
    pub error_reply: ErrorReplyArg,
}

/// [`ByteOrder`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ByteOrderArg {
    /// Network order
    Big,
    /// Least significant byte first
    Little,
}

/// [`ErrorReplyStyle`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ErrorReplyArg {
    /// In its header
    HeaderId,
    /// In the first two bytes of its payload
    PayloadPrefix,
}

impl WireArgs {
    /// The codec's settings.
    pub fn codec(self) -> CodecConfig {
        let byte_order = match self.byte_order {
            ByteOrderArg::Big => ByteOrder::BigEndian,
            ByteOrderArg::Little => ByteOrder::LittleEndian,
        };
        let style = match self.error_reply {
            ErrorReplyArg::HeaderId => ErrorReplyStyle::HeaderId,
            ErrorReplyArg::PayloadPrefix => ErrorReplyStyle::PayloadPrefix,
        };
        CodecConfig::default().byte_order(byte_order).error_reply_style(style)
    }
}
