//! What every session must do, whatever its protocol; run on bingo's.

use std::sync::Arc;

use bingo_proto::{
    ByteOrder, Client, ClientMessage, CodecConfig, Config, ErrorReplyStyle, Identification, Limits,
    MessageId, Server, ServerMessage, Session,
};
use proptest::prelude::*;
use testkit::bingo::{BingoClient, BingoServer};
use testkit::conformance::{
    Subject, discard, memory_is_bounded, script, session_ignores_chunking, session_survives,
    work_is_linear,
};
use testkit::{Numbers, epoch};

/// A stream that a client may send once it is let in, with a few slips.
fn client_stream(config: &Config, numbers: &mut Numbers, frames: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for at in 0..frames {
        let len = numbers.below(40);
        let body = numbers.bytes(len);
        let id = MessageId(u16::try_from(at % 0x8000).unwrap());
        let in_reply_to = MessageId(0x8000 + u16::try_from(numbers.below(8)).unwrap());
        let message = match numbers.below(40) {
            0..=4 => ClientMessage::Noop,
            5..=14 => ClientMessage::Request(&body),
            15..=19 => ClientMessage::Acknowledgement { in_reply_to },
            20..=24 => ClientMessage::Reply { in_reply_to, body: &body },
            25..=29 => ClientMessage::ErrorReply { in_reply_to },
            30..=37 => ClientMessage::Event(&body),
            38 => ClientMessage::Identification(Identification::new("again", "Ada")),
            _ => ClientMessage::ProtocolError { reason: "had enough" },
        };
        message.encode(id, &config.codec, &mut bytes).unwrap();
    }
    bytes
}

/// The same from a server.
fn server_stream(config: &Config, numbers: &mut Numbers, frames: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for at in 0..frames {
        let len = numbers.below(40);
        let body = numbers.bytes(len);
        let id = MessageId(0x8000 + u16::try_from(at % 0x8000).unwrap());
        let in_reply_to = MessageId(u16::try_from(numbers.below(8)).unwrap());
        let message = match numbers.below(40) {
            0..=4 => ServerMessage::Noop,
            5..=9 => ServerMessage::Ping,
            10..=17 => ServerMessage::Request(&body),
            18..=21 => ServerMessage::Acknowledgement { in_reply_to },
            22..=25 => ServerMessage::Reply { in_reply_to, body: &body },
            26..=29 => ServerMessage::ErrorReply { in_reply_to, text: "no" },
            30..=33 => ServerMessage::Event(&body),
            34..=37 => ServerMessage::DataUpdate(&body),
            38 => ServerMessage::Ready { token: bingo_proto::Secret::new(b"again") },
            _ => ServerMessage::ProtocolError { reason: "had enough" },
        };
        message.encode(id, &config.codec, &mut bytes).unwrap();
    }
    bytes
}

fn configs() -> [Arc<Config>; 3] {
    let codec = CodecConfig::default();
    [
        Config::default(),
        Config::default()
            .codec(
                codec
                    .byte_order(ByteOrder::LittleEndian)
                    .error_reply_style(ErrorReplyStyle::PayloadPrefix),
            )
            .ping_interval(Some(std::time::Duration::from_millis(1))),
        Config::default().codec(codec.max_payload(64)).limits(
            Limits::default()
                .max_pending(3)
                .max_events(2)
                .max_event_bytes(100)
                .max_transmit_bytes(80),
        ),
    ]
    .map(Arc::new)
}

#[test]
fn cuts_make_no_difference_to_a_session() {
    for config in configs() {
        for seed in 0..20 {
            let mut numbers = Numbers::new(seed);
            let (to_server, to_client) = (
                client_stream(&config, &mut numbers, 60),
                server_stream(&config, &mut numbers, 60),
            );
            for ready in [false, true] {
                let config = config.clone();
                let server = BingoServer { config: config.clone(), ready };
                session_ignores_chunking(&server, &to_server);
                session_ignores_chunking(&server, &to_server[..to_server.len() / 2]);
                let client = BingoClient { config, ready };
                session_ignores_chunking(&client, &to_client);
                session_ignores_chunking(&client, &to_client[..to_client.len() / 2]);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_calls_in_any_order_with_polls_in_any_order(
        fuzz in prop::collection::vec(any::<u8>(), 0..200), seed in any::<u64>(), pick in 0..3_usize,
    ) {
        let config = configs()[pick].clone();
        let mut numbers = Numbers::new(seed);
        let to_server = script::<[u8]>(&fuzz, &client_stream(&config, &mut numbers, 60));
        let to_client = script::<[u8]>(&fuzz, &server_stream(&config, &mut numbers, 60));
        for ready in [false, true] {
            session_survives(&BingoServer { config: config.clone(), ready }, &to_server, pick == 2);
            session_survives(&BingoClient { config: config.clone(), ready }, &to_client, pick == 2);
        }
    }
}

/// One message of either side, as bytes.
fn bytes_of(config: &Config, message: &Result<ClientMessage<'_>, ServerMessage<'_>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    match message {
        Ok(message) => message.encode(MessageId(1), &config.codec, &mut bytes),
        Err(message) => message.encode(MessageId(0x8001), &config.codec, &mut bytes),
    }
    .unwrap();
    bytes
}

/// Floods that don't break the protocol: at least `len` bytes each, in the reads they come in.
fn floods(config: &Config, of_server: bool, len: usize) -> Vec<Vec<Vec<u8>>> {
    let either =
        |client, server| bytes_of(config, &if of_server { Err(server) } else { Ok(client) });
    let longest = vec![b'x'; usize::from(config.codec.max_payload)];
    let text = std::str::from_utf8(&longest).unwrap();
    let in_reply_to = MessageId(if of_server { 9 } else { 0x8009 });
    let noop = either(ClientMessage::Noop, ServerMessage::Noop);
    let event = either(ClientMessage::Event(b"hello"), ServerMessage::Event(b"hello"));
    let long = either(ClientMessage::Event(&longest), ServerMessage::Event(&longest));
    let stray = either(
        ClientMessage::Reply { in_reply_to, body: b"x" },
        ServerMessage::Reply { in_reply_to, body: b"x" },
    );
    let refusal = either(
        ClientMessage::ErrorReply { in_reply_to },
        ServerMessage::ErrorReply { in_reply_to, text },
    );
    let ping = either(ClientMessage::Noop, ServerMessage::Ping);
    let in_reads = |unit: &[u8], read: usize| {
        unit.repeat(len.div_ceil(unit.len())).chunks(read).map(<[u8]>::to_vec).collect()
    };
    // One event behind many Noops: what it keeps alive isn't what it has to say.
    let sparse = [noop.repeat(60_000), event.clone()].concat();
    vec![
        in_reads(&noop, 16_384),
        in_reads(&ping, 16_384),
        in_reads(&event, 16_384),
        in_reads(&long, 1460),
        in_reads(&stray, 16_384),
        in_reads(&refusal, 1 << 20),
        in_reads(&sparse, sparse.len()),
    ]
}

#[test]
fn memory_stays_under_the_formula_whatever_a_driver_neglects() {
    let tight =
        Limits::default().max_pending(1).max_events(1).max_event_bytes(1).max_transmit_bytes(1);
    let short = CodecConfig::default().max_payload(64);
    // In each, another term of the formula is by far the largest.
    for (config, len) in [
        (Config::default(), 1_200_000),
        (Config::default().limits(tight), 200_000),
        (
            Config::default()
                .codec(short)
                .limits(tight.max_events(20_000).max_event_bytes(1 << 20)),
            200_000,
        ),
        (
            Config::default().codec(short).limits(tight.max_events(1000).max_event_bytes(400_000)),
            1_500_000,
        ),
        (Config::default().codec(short).limits(tight.max_transmit_bytes(300_000)), 800_000),
        (Config::default().limits(tight.max_events(1000).max_event_bytes(400_000)), 1_500_000),
    ] {
        let config = Arc::new(config);
        for pieces in floods(&config, false, len) {
            memory_is_bounded(&BingoServer { config: config.clone(), ready: true }, &pieces);
        }
        for pieces in floods(&config, true, len) {
            memory_is_bounded(&BingoClient { config: config.clone(), ready: true }, &pieces);
        }
    }
}

#[test]
fn memory_of_texts_stays_under_the_formula() {
    // The text is a copy, and the small event keeps the read alive that it was copied from.
    let limits = Limits::default().max_event_bytes(4 << 20).max_pending(1);
    let config = Arc::new(Config::default().limits(limits));
    let text = "x".repeat(65_000);
    let in_reply_to = MessageId(9);
    let read = [
        bytes_of(&config, &Err(ServerMessage::Event(b"x"))),
        bytes_of(&config, &Err(ServerMessage::ErrorReply { in_reply_to, text: &text })),
    ]
    .concat();
    memory_is_bounded(&BingoClient { config, ready: true }, &vec![read; 200]);
}

#[test]
fn memory_of_requests_stays_under_the_formula() {
    let limits = Limits::default().max_pending(8192).max_events(1).max_event_bytes(1);
    let limits = limits.max_transmit_bytes(100);
    let config = Config::default().limits(limits).codec(CodecConfig::default().max_payload(64));
    let config = Arc::new(config.ping_interval(Some(std::time::Duration::from_millis(1))));
    let requests: Vec<u8> = (0..8192_u16)
        .flat_map(|id| {
            let mut bytes = Vec::new();
            ClientMessage::Request(b"").encode(MessageId(id), &config.codec, &mut bytes).unwrap();
            bytes
        })
        .collect();
    let now = epoch();
    let mut kept = None;
    let used = testkit::measure(|| {
        let server = BingoServer { config: config.clone(), ready: true }.start(now);
        let server = kept.insert(server);
        server.handle_input(now, &requests);
        while server.poll_event().is_some() {}
        // One batch open, one resting.
        for at in [now, now + config.request_timeout] {
            server.handle_timeout(at);
            while server.poll_event().is_some() {}
            for _ in 0..8192 {
                server.request(at, b"").unwrap();
                server.poll_transmit();
            }
        }
        server.handle_timeout(now + config.request_timeout + config.request_timeout);
    });
    let limit = config.max_memory(requests.len()) as u64;
    assert!(used.bytes_max <= limit, "{} bytes, the limit is {limit}", used.bytes_max);
    assert!(
        used.bytes_max >= limit / 8,
        "{} bytes, the limit of {limit} says nothing",
        used.bytes_max
    );
}

#[test]
fn an_idle_session_is_small_and_keeps_no_heap() {
    assert!(size_of::<Server>() <= 256, "{} bytes", size_of::<Server>());
    assert!(size_of::<Client>() <= 256, "{} bytes", size_of::<Client>());
    let config = Arc::new(Config::default());
    let now = epoch();
    let mut sessions = (None, None);
    let used = testkit::measure(|| {
        let server = BingoServer { config: config.clone(), ready: true };
        let client = BingoClient { config: config.clone(), ready: true };
        let (server, client) =
            (sessions.0.insert(server.start(now)), sessions.1.insert(client.start(now)));
        // It has seen some traffic.
        let mut numbers = Numbers::new(1);
        server.request(now, b"who?").unwrap();
        server.handle_input(now, b"\x08\0\x01\0\x05hello\x05\0\x02\0\x02\x80\x01");
        client.handle_input(now, b"\x03\x80\x05\0\0");
        server.handle_input(now, &vec![0; 1 + numbers.below(1000)]);
        discard(server);
        discard(client);
    });
    assert_eq!(used.bytes_current, 0);
    assert!(sessions.0.unwrap().is_ready() && sessions.1.unwrap().is_ready());
}

#[test]
fn small_reads_stay_linear_in_a_session() {
    let config = Arc::new(Config::default());
    let mut event = Vec::new();
    ClientMessage::Event(&[7; 50_000]).encode(MessageId(0), &config.codec, &mut event).unwrap();
    work_is_linear(
        |frames| {
            let now = epoch();
            let subject = BingoServer { config: config.clone(), ready: true };
            let mut server = subject.start(now);
            let mut events = 0;
            for _ in 0..frames {
                for piece in event.chunks(4) {
                    server.handle_input(now, piece);
                    while server.poll_event().is_some() {
                        events += 1;
                    }
                }
            }
            assert_eq!(events, frames);
        },
        5,
    );
}
