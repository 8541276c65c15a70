//! What every session must do, whatever its protocol; run on bingo's.

use std::sync::Arc;

use bingo_proto::{
    ByteOrder, Client, ClientMessage, CodecConfig, Config, ErrorReplyStyle, Identification, Limits,
    MessageId, Server, ServerMessage, Session,
};
use proptest::prelude::*;
use testkit::bingo::{BingoClient, BingoServer};
use testkit::conformance::{
    Subject, memory_is_bounded, script, session_ignores_chunking, session_survives, work_is_linear,
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
        let to_server = script(&fuzz, &client_stream(&config, &mut numbers, 60));
        let to_client = script(&fuzz, &server_stream(&config, &mut numbers, 60));
        for ready in [false, true] {
            session_survives(&BingoServer { config: config.clone(), ready }, &to_server, pick == 2);
            session_survives(&BingoClient { config: config.clone(), ready }, &to_client, pick == 2);
        }
    }
}

/// Floods that don't break the protocol.
fn floods(config: &Config, of_server: bool) -> Vec<Vec<Vec<u8>>> {
    let encode = |client: ClientMessage<'_>, server: ServerMessage<'_>| {
        let mut bytes = Vec::new();
        if of_server {
            server.encode(MessageId(0x8000), &config.codec, &mut bytes).unwrap();
        } else {
            client.encode(MessageId(0), &config.codec, &mut bytes).unwrap();
        }
        bytes
    };
    let largest = vec![b'x'; usize::from(config.codec.max_payload)];
    let noop = encode(ClientMessage::Noop, ServerMessage::Noop);
    let ping = encode(ClientMessage::Noop, ServerMessage::Ping);
    let event = encode(ClientMessage::Event(b"hello"), ServerMessage::Event(b"hello"));
    let large = encode(ClientMessage::Event(&largest), ServerMessage::Event(&largest));
    let to = MessageId(if of_server { 5 } else { 0x8005 });
    let stray = encode(
        ClientMessage::Reply { in_reply_to: to, body: b"x" },
        ServerMessage::ErrorReply { in_reply_to: to, text: "stray" },
    );
    // One event behind many Noops: what an event keeps alive isn't what it has to say.
    let sparse = [noop.repeat(60_000), event.clone()].concat();
    [noop, ping, event, large, stray, sparse]
        .into_iter()
        .map(|unit| unit.repeat(600_000 / unit.len()).chunks(16_384).map(<[u8]>::to_vec).collect())
        .collect()
}

#[test]
fn memory_stays_under_the_formula_whatever_a_driver_neglects() {
    for config in configs() {
        for pieces in floods(&config, false) {
            memory_is_bounded(&BingoServer { config: config.clone(), ready: true }, &pieces);
        }
        for pieces in floods(&config, true) {
            memory_is_bounded(&BingoClient { config: config.clone(), ready: true }, &pieces);
        }
    }
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
        testkit::bingo::discard(server);
        testkit::bingo::discard(client);
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
