//! `emagine_session`: a session under any calls, or two of them back to back (see `pair`). The first
//! byte is settings; then come a counted script of calls and messages, one `Item` after the other, or a
//! pair's life.

mod pair;

use std::sync::Arc;
use std::time::Duration;

use emagine_proto::{Config, Limits, Message, Role};

use crate::emagine::{EmagineClient, EmagineServer, TOKEN, hello, identify};
use crate::fuzz::{Input, counted, file_name};
use crate::vectors::Vector;
use crate::wire::Wire;

/// The first byte.
struct Settings(u8);

impl Settings {
    const OF_SERVER: u8 = 1;
    const READY: u8 = 2;
    const TIGHT: u8 = 4;
    /// A heartbeat every second, not every 45.
    const FAST: u8 = 8;
    /// Every 10 ms, or as the server likes.
    const FASTER: u8 = 16;
    const PAIR: u8 = 128;

    fn is(&self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    fn sender(&self) -> Role {
        if self.is(Self::OF_SERVER) { Role::Server } else { Role::Client }
    }

    fn config(&self) -> Config {
        let mut config = Config::default();
        if self.is(Self::FAST) {
            config = config.heartbeat_interval(Duration::from_secs(1));
        }
        if self.is(Self::FASTER) {
            config = config.heartbeat_interval(Duration::from_millis(10));
            config = config.min_heartbeat_interval(Duration::ZERO);
        }
        if self.is(Self::TIGHT) {
            let limits = Limits::default().max_time(40);
            config.limits = limits.max_events(2).max_event_bytes(100).max_transmit_bytes(200);
            if !self.is(Self::PAIR) {
                config.codec = config.codec.max_message(500);
            }
        }
        config
    }
}

/// A message that the fuzzer made up: a byte of kind and time, and a counted body.
struct Item<'a> {
    kind: u8,
    body: &'a [u8],
}

impl<'a> Item<'a> {
    const RAW: u8 = 0;
    const CLOSE: u8 = 9;

    const TIMES: [&'static str; 16] = [
        "0",
        "1",
        "1.0",
        "32",
        "1000",
        "1e3",
        "1024",
        "2048",
        "10000",
        "45000",
        "\"1000\"",
        "null",
        "[]",
        "1e400",
        "-0",
        "\"a longer one\"",
    ];

    fn take(input: &mut Input<'a>) -> Self {
        Self { kind: input.byte(), body: input.counted() }
    }

    fn message(&self, sender: Role) -> Vec<Message> {
        let time = Self::TIMES[usize::from(self.kind >> 4)];
        let text = super::text(self.body);
        let json = serde_json::to_string(text).expect("is text");
        vec![Message::text(match (self.kind & 0x0F, sender) {
            (Self::RAW, _) => return Message::made_of(self.body),
            (1, Role::Server) => {
                return vec![hello(self.body.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))];
            }
            (1, Role::Client) => return vec![identify(if text.is_empty() { TOKEN } else { text })],
            (2, Role::Server) => format!(r#"{{"op":2,"user":{json}}}"#),
            (3, Role::Server) => format!(r#"{{"op":3,"message":[{json},{time}]}}"#),
            (4, _) => format!(r#"{{"op":10,"time":{time}}}"#),
            (2 | 5, _) => format!(r#"{{"op":11,"time":{time}}}"#),
            (3 | 6, _) => r#"{"op":11}"#.into(),
            (7, _) => format!(r#"{{"op":{},"d":{json}}}"#, self.kind),
            (8, _) => format!(r#"{{"op":10,"time":{json}}}"#),
            (Self::CLOSE, _) => return vec![Message::Close(None)],
            (10, _) => r#"{"op":10}"#.into(),
            _ => String::from_utf8_lossy(self.body).into_owned(),
        })]
    }
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
        stream.extend(Item::take(&mut input).message(settings.sender()));
    }
    let (ready, tight) = (settings.is(Settings::READY), settings.is(Settings::TIGHT));
    let config = Arc::new(settings.config());
    match settings.sender() {
        Role::Client => {
            crate::fuzz::session(&EmagineServer { config, ready }, calls, &stream, tight);
        }
        Role::Server => {
            crate::fuzz::session(&EmagineClient { config, ready }, calls, &stream, tight);
        }
    }
}

/// Every vector amid other messages, under three scripts of calls, and some lives of a pair.
pub(super) fn seeds() -> Vec<(String, Vec<u8>)> {
    let seed = |(at, v): (usize, &Vector)| {
        let of_server = v.from == "server";
        let handshake = v.spec.iter().any(|s| s == "step1" || s == "step2") || at % 3 == 0;
        let mut flags = [0, Settings::TIGHT, Settings::FAST, Settings::FASTER][at % 4];
        if of_server {
            flags |= Settings::OF_SERVER;
        }
        if !handshake {
            flags |= Settings::READY;
        }
        // Messages, all of it in pieces, heartbeats of the application, sleeps, decisions, the end.
        let calls: &[u8] = match at % 3 {
            0 => &[0x05, 0x35, 0x20, 0x08, 7, 12, 0x08, 0x5C, 0x08, 0x54, 0xF6],
            1 => &[0xC8, 5, 0x35, 7, 239, 0x84, 0xFE],
            _ => &[7, 1, 7, 17, 0x18, 0x84, 7, 12, 0x74, 7, 254],
        };
        let mut bytes = vec![flags];
        counted(calls, &mut bytes);
        let mut item = |kind: u8, body: &[u8]| {
            bytes.push(kind);
            counted(body, &mut bytes);
        };
        if handshake {
            item(1, &if of_server { vec![0x27, 0x10] } else { b"letmein".to_vec() });
            item(2, b"ada");
        }
        item(4, b"");
        if v.bytes.len() < 255 {
            item(Item::RAW, &[b"\0", &v.bytes[..]].concat());
        }
        item(0x45, b"");
        item(6, b"");
        item(3, b"said");
        (file_name(&v.name), bytes)
    };
    let mut seeds: Vec<_> = super::vectors().iter().enumerate().map(seed).collect();
    seeds.extend(pair::LIVES.iter().map(|(name, flags, life)| {
        (format!("pair-{}", file_name(name)), [&[Settings::PAIR | flags], *life].concat())
    }));
    seeds
}
