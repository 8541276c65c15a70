//! `delimchat_session`: a session under any calls, or two of them back to back (see `pair`). The first byte is
//! settings; then come a counted script of calls and packets, one `Item` after the other, or a pair's life.

mod pair;

use std::sync::Arc;
use std::time::Duration;

use delimchat_proto::{ByteOrder, ClientConfig, CodecConfig, Limits, ServerConfig};

use crate::Numbers;
use crate::delimchat::{DelimchatClient, DelimchatServer, some_packet};
use crate::fuzz::{Input, counted, file_name};
use crate::vectors::Vector;

/// The first byte.
struct Settings(u8);

impl Settings {
    const OF_SERVER: u8 = 1;
    const READY: u8 = 2;
    const TIGHT: u8 = 4;
    const LITTLE_ENDIAN: u8 = 8;
    /// Everything is asked for again at once, and given up soon.
    const FAST: u8 = 16;
    const PAIR: u8 = 128;

    fn is(&self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    fn configs(&self) -> (ClientConfig, ServerConfig) {
        let mut codec = CodecConfig::default();
        let mut limits = Limits::default();
        if self.is(Self::LITTLE_ENDIAN) {
            codec = codec.byte_order(ByteOrder::LittleEndian);
        }
        if self.is(Self::TIGHT) {
            limits = limits.max_events(2).max_event_bytes(60).max_transmit_bytes(80);
            limits = limits.max_pending(2).max_unacked(2).max_rooms(1).max_malformed(2);
            limits = limits.max_assemblies(1).max_outgoing(1).max_held_packets(2);
            if !self.is(Self::PAIR) {
                codec = codec.max_packet(600).max_username(8);
            }
        }
        let (mut client, mut server) =
            (ClientConfig::default().codec(codec), ServerConfig::default().codec(codec));
        if self.is(Self::FAST) {
            let (soon, later) = (Duration::from_millis(50), Duration::from_secs(1));
            client = client.resend_after(soon).assembly_timeout(later).result_timeout(later);
            server = server.resend_after(soon).assembly_timeout(later).packet_timeout(later);
        }
        (client.limits(limits), server.limits(limits))
    }
}

/// A session survives any calls at any time, and two of them get along with one another.
pub(super) fn run(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let settings = Settings(input.byte());
    if settings.is(Settings::PAIR) {
        return pair::run(&settings, input);
    }
    let of_server = settings.is(Settings::OF_SERVER);
    let (client, server) = settings.configs();
    let calls = input.counted();
    let mut stream = Vec::new();
    while !input.is_empty() {
        // A packet as it is, or one out of a few.
        match input.byte() {
            0 => stream.extend_from_slice(input.counted()),
            seed => {
                let seed = u64::from(seed) << 8 | u64::from(input.byte());
                stream.extend(some_packet(of_server, &client.codec, &mut Numbers::new(seed)));
            }
        }
    }
    let (ready, tight) = (settings.is(Settings::READY), settings.is(Settings::TIGHT));
    if of_server {
        let config = Arc::new(client);
        super::super::session(&DelimchatClient { config, ready }, calls, &stream, tight);
    } else {
        let config = Arc::new(server);
        super::super::session(&DelimchatServer { config, ready }, calls, &stream, tight);
    }
}

/// Every vector amid other packets, under three scripts of calls, and some lives of a pair.
pub(super) fn seeds() -> Vec<(String, Vec<u8>)> {
    let seed = |(at, v): (usize, &Vector)| {
        let of_server = v.from == "server";
        let mut flags = [0, Settings::TIGHT, Settings::LITTLE_ENDIAN, Settings::FAST][at % 4];
        if of_server {
            flags |= Settings::OF_SERVER;
        }
        if at % 3 > 0 {
            flags |= Settings::READY;
        }
        // Packets in pieces, messages, decisions, sleeps, the end.
        let calls: &[u8] = match at % 3 {
            0 => &[0x48, 7, 7, 0x48, 7, 9, 0x48, 0x84, 0x48, 7, 0x54, 0x48, 0xF6],
            1 => &[0xC8, 7, 2, 0xC8, 7, 6, 0x5C, 0xC8, 0x7C, 7, 200, 0xFE],
            _ => &[7, 1, 0x88, 7, 60, 0x88, 0x74, 0x88, 7, 254],
        };
        let mut bytes = vec![flags];
        counted(calls, &mut bytes);
        let number = u8::try_from(at % 250).expect("is small");
        for item in 0..4 {
            bytes.extend_from_slice(&[number + 1, item]);
        }
        if v.bytes.len() < 256 {
            bytes.push(0);
            counted(&v.bytes, &mut bytes);
        }
        for item in 4..12 {
            bytes.extend_from_slice(&[number + 2, item]);
        }
        (file_name(&v.name), bytes)
    };
    let mut seeds: Vec<_> = super::vectors().iter().enumerate().map(seed).collect();
    seeds.extend(pair::LIVES.iter().map(|(name, flags, life)| {
        (format!("pair-{}", file_name(name)), [&[Settings::PAIR | flags], *life].concat())
    }));
    seeds
}
