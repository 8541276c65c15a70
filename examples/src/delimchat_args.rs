//! Command line options that the delimchat programs share, and how their users call rooms.

use std::time::Duration;

use clap::{Args, ValueEnum};
use delimchat_proto::{
    ByteOrder, ClientConfig, CodecConfig, EndianMarker, Limits, RoomId, ServerConfig, StatusDigits,
};

use crate::args::seconds;

/// What both ends agree on, and what each has to bear.
#[derive(Debug, Clone, Copy, Args)]
pub struct WireArgs {
    /// Byte order of numbers until a login is accepted
    #[arg(long, value_enum, default_value = "big", value_name = "ORDER")]
    pub initial_byte_order: ByteOrderArg,
    /// How logins tell the byte order
    #[arg(long, value_enum, default_value = "numeric", value_name = "HOW")]
    pub endian_marker: EndianMarkerArg,
    /// How the statuses ten to twelve are written
    #[arg(long, value_enum, default_value = "decimal", value_name = "HOW")]
    pub status_digits: StatusDigitsArg,
    /// Bad packets in a row that end a connection when there is one more
    #[arg(long, default_value_t = 32, value_name = "NUMBER")]
    pub max_malformed: u16,
    /// Parts that a long message may have behind its first
    #[arg(long, default_value_t = 256, value_name = "NUMBER")]
    pub max_parts: u32,
    /// Seconds that a login may take
    #[arg(long, default_value = "60", value_parser = seconds, value_name = "SECONDS")]
    pub login_timeout: Duration,
    /// Seconds that a packet may take to come
    #[arg(long, default_value = "10", value_parser = seconds, value_name = "SECONDS")]
    pub packet_timeout: Duration,
    /// Seconds without progress of a long message until missing parts are asked for
    #[arg(long, default_value = "2", value_parser = seconds, value_name = "SECONDS")]
    pub resend_after: Duration,
    /// Seconds that a long message may take
    #[arg(long, default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    pub assembly_timeout: Duration,
}

/// [`ByteOrder`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ByteOrderArg {
    /// Network order
    Big,
    /// Least significant byte first
    Little,
}

impl From<ByteOrderArg> for ByteOrder {
    fn from(arg: ByteOrderArg) -> Self {
        match arg {
            ByteOrderArg::Big => Self::BigEndian,
            ByteOrderArg::Little => Self::LittleEndian,
        }
    }
}

/// [`EndianMarker`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EndianMarkerArg {
    /// 01 for little, 02 for big
    Numeric,
    /// L and B
    Letter,
}

/// [`StatusDigits`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum StatusDigitsArg {
    /// 0A, 0B, 0C
    Decimal,
    /// 10, 11, 12
    Hex,
}

impl WireArgs {
    fn codec(self) -> CodecConfig {
        CodecConfig::default()
            .byte_order(self.initial_byte_order.into())
            .endian_marker(match self.endian_marker {
                EndianMarkerArg::Numeric => EndianMarker::Numeric,
                EndianMarkerArg::Letter => EndianMarker::Letter,
            })
            .status_digits(match self.status_digits {
                StatusDigitsArg::Decimal => StatusDigits::Decimal,
                StatusDigitsArg::Hex => StatusDigits::Hex,
            })
    }

    fn limits(self) -> Limits {
        Limits::default().max_malformed(self.max_malformed).max_parts(self.max_parts)
    }

    /// A server's settings.
    pub fn server(self) -> ServerConfig {
        ServerConfig::default()
            .codec(self.codec())
            .limits(self.limits())
            .login_timeout(self.login_timeout)
            .packet_timeout(self.packet_timeout)
            .resend_after(self.resend_after)
            .assembly_timeout(self.assembly_timeout)
    }

    /// A client's settings.
    pub fn client(self) -> ClientConfig {
        // Less waits to be sent at a time, so that progress can be seen.
        let limits = self.limits().max_transmit_bytes(32 * 1024);
        ClientConfig::default()
            .codec(self.codec())
            .limits(limits)
            .login_timeout(self.login_timeout)
            .packet_timeout(self.packet_timeout)
            .resend_after(self.resend_after)
            .assembly_timeout(self.assembly_timeout)
    }
}

/// Reads what a user calls a room: `all`, `echo`, or up to eight characters, which the protocol's own
/// rooms have zeros in front of, and so have these.
///
/// # Errors
/// It can't be a room.
pub fn room(text: &str) -> Result<RoomId, String> {
    let bytes = text.as_bytes();
    match text {
        "all" => return Ok(RoomId::GLOBAL),
        "echo" => return Ok(RoomId::ECHO),
        _ => {}
    }
    if !(1..=8).contains(&bytes.len()) || !bytes.iter().all(u8::is_ascii_graphic) {
        return Err(format!("{text:?} is no room: 1 to 8 letters, digits and signs are"));
    }
    let mut id = RoomId::GLOBAL;
    id.0[8 - bytes.len()..].copy_from_slice(bytes);
    Ok(id)
}

/// What users call a room; in hex if they can't.
pub fn room_name(room: RoomId) -> String {
    match room {
        RoomId::GLOBAL => "all".into(),
        RoomId::ECHO => "echo".into(),
        RoomId(id) => match std::str::from_utf8(&id) {
            Ok(name) if name.bytes().all(|byte| byte.is_ascii_graphic()) => {
                name.trim_start_matches('0').into()
            }
            _ => room.to_string(),
        },
    }
}

/// A user as others see them: by alias, if they have one, and by name.
pub fn user_name(username: &str, alias: &str) -> String {
    if alias.is_empty() { username.to_owned() } else { format!("{alias} ({username})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_have_names() {
        for (name, id) in [
            ("all", b"00000000"),
            ("echo", b"0000ECHO"),
            ("lobby", b"000lobby"),
            ("longname", b"longname"),
            ("7", b"00000007"),
        ] {
            assert_eq!(room(name), Ok(RoomId(*id)));
            assert_eq!(room_name(RoomId(*id)), name);
        }
        assert_eq!(room("007"), room("7"));
        assert_eq!(room_name(RoomId(*b"\0\0\0lobby")), "0000006c6f626279");
        for text in ["", "ninechars", "two of", "é"] {
            assert!(room(text).is_err(), "{text}");
        }
    }
}
