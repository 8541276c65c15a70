//! `litecord_session`: a session under any calls, or two of them back to back (see `pair`). The
//! first byte is settings; then come a counted script of calls and messages, one `Item` after the
//! other, or a pair's life.

mod pair;

use std::sync::Arc;
use std::time::Duration;

use litecord_proto::{CodecConfig, Config, Directions, Limits, Message, Role};

use crate::fuzz::{Input, counted, file_name};
use crate::litecord::{LitecordClient, LitecordServer, PASSWORD, hello, hello_ack};
use crate::vectors::Vector;
use crate::wire::Wire;

/// The first byte.
struct Settings(u8);

impl Settings {
    const OF_SERVER: u8 = 1;
    const READY: u8 = 2;
    const TIGHT: u8 = 4;
    const ZLIB: u8 = 8;
    const AS_DOCUMENTED: u8 = 16;
    const FAST: u8 = 32;
    /// No password is configured: the application decides.
    const UNDECIDED: u8 = 64;
    const PAIR: u8 = 128;

    fn is(&self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    fn sender(&self) -> Role {
        if self.is(Self::OF_SERVER) { Role::Server } else { Role::Client }
    }

    fn config(&self) -> Config {
        let mut config = Config::default().zlib(self.is(Self::ZLIB));
        let documented = self.is(Self::AS_DOCUMENTED);
        let directions = if documented { Directions::AsDocumented } else { Directions::Both };
        config.codec = CodecConfig::default().directions(directions);
        if !self.is(Self::UNDECIDED) {
            config = config.password(PASSWORD);
        }
        if self.is(Self::FAST) {
            config = config.heartbeat_interval(Duration::from_secs(1));
        }
        if self.is(Self::TIGHT) {
            let limits = Limits::default().max_pending(3).max_nonce(100);
            config.limits = limits.max_events(2).max_event_bytes(100).max_transmit_bytes(200);
            if self.is(Self::PAIR) {
                config.limits = config.limits.max_transmit_bytes(1000);
            } else {
                config.limits = config.limits.max_held(3).max_held_bytes(100);
                config.codec = config.codec.max_message(500);
            }
        }
        config
    }
}

/// A message that the fuzzer made up: a byte of kind and nonce, and a counted body.
struct Item<'a> {
    kind: u8,
    body: &'a [u8],
}

impl<'a> Item<'a> {
    const RAW: u8 = 0;
    const CLOSE: u8 = 9;
    /// The text is compressed, a byte at a time. Nonces share the high bits.
    const COMPRESSED: u8 = 8;

    const NONCES: [&'static str; 16] = [
        "1",
        "2",
        "3",
        "1.0",
        "2e0",
        "\"1\"",
        "null",
        "[]",
        "{}",
        "0",
        "-1",
        "4",
        "5",
        "6",
        "1e400",
        "\"a longer one\"",
    ];

    fn take(input: &mut Input<'a>) -> Self {
        Self { kind: input.byte(), body: input.counted() }
    }

    fn messages(&self, sender: Role) -> Vec<Message> {
        let nonce = Self::NONCES[usize::from(self.kind >> 4)];
        let text = self.body.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let json = serde_json::to_string(text).expect("is text");
        let heartbeat = if sender == Role::Client { 2 } else { 3 };
        vec![Message::text(match self.kind & 0x0F {
            Self::RAW => return Message::made_of(self.body),
            1 if sender == Role::Server => {
                let interval = self.body.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
                return vec![hello(interval)];
            }
            1 if text.is_empty() => return vec![hello_ack(PASSWORD)],
            1 => return vec![hello_ack(text)],
            2 | 3 => format!(r#"{{"op":{heartbeat},"s":{json}}}"#),
            4 => format!(r#"{{"op":4,"w":{json},"a":[{json}],"n":{nonce}}}"#),
            5 => format!(r#"{{"op":5,"n":{nonce},"r":{json}}}"#),
            6 => format!(r#"{{"op":6,"w":{json},"a":{nonce}}}"#),
            7 => format!(r#"{{"op":{},"d":{json}}}"#, self.kind),
            Self::COMPRESSED => return vec![Message::Binary(stored(self.body).into())],
            Self::CLOSE => return vec![Message::Close(None)],
            _ => String::from_utf8_lossy(self.body).into_owned(),
        })]
    }
}

/// A zlib stream of one block that isn't compressed.
fn stored(text: &[u8]) -> Vec<u8> {
    let len = u16::try_from(text.len()).expect("is short");
    let adler = text.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    let head = [&[0x78, 1, 1][..], &len.to_le_bytes(), &(!len).to_le_bytes()].concat();
    [&head[..], text, &(adler.1 << 16 | adler.0).to_be_bytes()].concat()
}

/// A session survives any calls at any time, and two of them get along with one another.
pub(super) fn run(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let settings = Settings(input.byte());
    if settings.is(Settings::PAIR) {
        return pair::run(&settings, input);
    }
    let calls = input.counted();
    let mut stream = Vec::new();
    while !input.is_empty() {
        stream.extend(Item::take(&mut input).messages(settings.sender()));
    }
    let (ready, tight) = (settings.is(Settings::READY), settings.is(Settings::TIGHT));
    let config = Arc::new(settings.config());
    match settings.sender() {
        Role::Client => {
            crate::fuzz::session(&LitecordServer { config, ready }, calls, &stream, tight);
        }
        Role::Server => {
            crate::fuzz::session(&LitecordClient { config, ready }, calls, &stream, tight);
        }
    }
}

/// Every vector amid other messages, under three scripts of calls, and some lives of a pair.
pub(super) fn seeds() -> Vec<(String, Vec<u8>)> {
    let seed = |(at, v): (usize, &Vector)| {
        let of_server = v.from == "server";
        let handshake = v.spec.iter().any(|s| s == "step1" || s == "step2");
        let mut flags = [0, Settings::TIGHT, Settings::ZLIB, Settings::UNDECIDED][at % 4];
        if of_server {
            flags |= Settings::OF_SERVER;
        }
        if !handshake {
            flags |= Settings::READY;
        }
        // Requests, all of it in pieces, dispatches, sleeps, a decision, the end.
        let calls: &[u8] = match at % 3 {
            0 => &[7, 17, 0x20, 0x08, 7, 21, 7, 12, 0x08, 0x54, 0xF6],
            1 => &[0xC8, 5, 0x35, 7, 239, 0x84, 0xFE],
            _ => &[7, 16, 7, 17, 0x18, 0x84, 7, 12, 0x74, 7, 254],
        };
        let mut bytes = vec![flags];
        counted(calls, &mut bytes);
        let mut item = |kind: u8, body: &[u8]| {
            bytes.push(kind);
            counted(body, &mut bytes);
        };
        if handshake {
            item(1, &if of_server { vec![0x27, 0x10] } else { Vec::new() });
        }
        item(4, b"ask");
        if v.bytes.len() < 255 {
            item(Item::RAW, &[b"\0", &v.bytes[..]].concat());
            item(Item::COMPRESSED, &v.bytes);
        }
        item(5, b"answer");
        item(2, b"");
        (file_name(&v.name), bytes)
    };
    let mut seeds: Vec<_> = super::vectors().iter().enumerate().map(seed).collect();
    seeds.extend(pair::LIVES.iter().map(|(name, flags, life)| {
        (format!("pair-{}", file_name(name)), [&[Settings::PAIR | flags], *life].concat())
    }));
    seeds
}

#[cfg(test)]
mod tests {
    use litecord_proto::Session;

    use super::*;
    use crate::conformance::Subject;

    #[test]
    fn a_stored_block_is_a_zlib_stream() {
        let config = Arc::new(Config::default().zlib(true));
        let now = crate::epoch();
        let mut server = LitecordServer { config, ready: true }.start(now);
        server.handle_input(now, &Message::Binary(stored(br#"{"op":2}"#).into()));
        assert!(server.poll_transmit().is_some() && server.ended().is_none());
    }
}
