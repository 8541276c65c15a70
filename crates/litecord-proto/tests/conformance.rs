//! What every session must do, whatever its protocol; run on litecord's.

use std::sync::Arc;
use std::time::Duration;

use litecord_proto::{
    Client, CodecConfig, Config, Json, Limits, Message, Server, ServerEvent, Session,
};
use proptest::prelude::*;
use testkit::conformance::{
    Subject, discard, memory_is_bounded, peak, says_something, script, session_survives,
    work_is_linear,
};
use testkit::litecord::{LitecordClient, LitecordServer, PASSWORD, hello, hello_ack, some_message};
use testkit::{Numbers, epoch};

fn text(text: impl Into<String>) -> Message {
    Message::text(text.into())
}

/// What a client or a server may say, from its first word on, with a few slips.
fn messages(of_server: bool, ready: bool, numbers: &mut Numbers) -> Vec<Message> {
    let first = if of_server { hello(100) } else { hello_ack(&PASSWORD[numbers.below(8)..]) };
    let rest = (0..60).map(|_| some_message(of_server, numbers));
    (!ready).then_some(first).into_iter().chain(rest).collect()
}

fn configs() -> [(Arc<Config>, bool); 3] {
    let limits = Limits::default().max_pending(3).max_nonce(8).max_held(3).max_held_bytes(100);
    let limits = limits.max_events(2).max_event_bytes(60).max_transmit_bytes(150);
    let compressed = Config::default().heartbeat_interval(Duration::from_millis(1));
    #[cfg(feature = "zlib")]
    let compressed = compressed.zlib(true);
    [
        (Arc::new(Config::default().password(PASSWORD)), false),
        (Arc::new(Config::default().limits(limits)), true),
        (Arc::new(compressed), false),
    ]
}

proptest! {
    #[test]
    fn any_calls_in_any_order_with_polls_in_any_order(
        fuzz in prop::collection::vec(any::<u8>(), 0..200), seed in any::<u64>(), pick in 0..3_usize,
    ) {
        let (config, tight) = configs()[pick].clone();
        let mut numbers = Numbers::new(seed);
        for ready in [false, true] {
            let to_server = script::<Message>(&fuzz, &messages(false, ready, &mut numbers));
            let to_client = script::<Message>(&fuzz, &messages(true, ready, &mut numbers));
            session_survives(&LitecordServer { config: config.clone(), ready }, &to_server, tight);
            session_survives(&LitecordClient { config: config.clone(), ready }, &to_client, tight);
        }
    }
}

/// Floods that don't break the protocol, of messages up to `longest` bytes.
fn floods(of_server: bool, longest: usize, count: usize) -> Vec<Vec<Vec<Message>>> {
    let filled = |around: &str| text(around.replace('%', &"x".repeat(longest - around.len() + 1)));
    let mut floods: Vec<Vec<Message>> = [
        text(if of_server { r#"{"op":3}"# } else { r#"{"op":2}"# }),
        text(r#"{"op":6,"w":"","a":[]}"#),
        text(r#"{"op":5,"n":0,"r":0}"#),
        text(r#"{"op":9}"#),
        filled(r#"{"op":6,"w":"%","a":[]}"#),
        filled(r#"{"op":6,"w":"","a":["%"]}"#),
        filled(r#"{"op":5,"n":"%","r":0}"#),
        filled(r#"{"op":9,"d":"%"}"#),
        // Escapes, of which a copy is made.
        filled(r#"{"op":6,"w":"\n%","a":[]}"#),
    ]
    // Not more than 3 MB of each.
    .map(|message| vec![message.clone(); count.min(3_000_000 / message.len())])
    .into();
    // Small and long ones in turn.
    let in_turn = |at| floods[if at % 2 == 0 { 1 } else { 4 }][0].clone();
    floods.push((0..count.min(6_000_000 / longest)).map(in_turn).collect());
    floods
        .into_iter()
        .map(|flood| flood.into_iter().map(|message| vec![message]).collect())
        .collect()
}

#[test]
fn memory_stays_under_the_formula_whatever_a_driver_neglects() {
    let tight = Limits::default().max_pending(1).max_nonce(1).max_held(0).max_held_bytes(0);
    let tight = tight.max_events(1).max_event_bytes(1).max_transmit_bytes(1);
    let short = CodecConfig::default().max_message(256);
    // In each, another term of the formula is by far the largest.
    for (name, config, longest, count) in [
        ("default", Config::default(), 1 << 20, 1500),
        ("message", Config::default().limits(tight), 1 << 20, 20),
        (
            "events",
            Config::default().codec(short).limits(tight.max_events(6000).max_event_bytes(200_000)),
            256,
            7000,
        ),
        (
            "event bytes",
            Config::default().codec(short).limits(tight.max_events(1000).max_event_bytes(300_000)),
            256,
            3000,
        ),
        (
            "transmits",
            Config::default().codec(short).limits(tight.max_transmit_bytes(300_000)),
            256,
            5000,
        ),
    ] {
        let config = Arc::new(config);
        let mut most = 0;
        for ready in [false, true] {
            let first = |first: Message| if ready { None } else { Some(vec![first]) };
            for flood in floods(false, longest, count) {
                let pieces: Vec<_> = first(hello_ack(PASSWORD)).into_iter().chain(flood).collect();
                let server = LitecordServer { config: config.clone(), ready };
                most = most.max(peak(memory_is_bounded(&server, &pieces)));
            }
            for flood in floods(true, longest, count) {
                let pieces: Vec<_> = first(hello(10_000)).into_iter().chain(flood).collect();
                let client = LitecordClient { config: config.clone(), ready };
                most = most.max(peak(memory_is_bounded(&client, &pieces)));
            }
        }
        says_something(name, most, config.max_memory(longest));
    }
}

#[test]
fn memory_of_what_is_held_back_stays_under_the_formula() {
    // Many small ones, and few long ones; when let in they are events, or acks to be sent.
    let limits = Limits::default().max_pending(1).max_nonce(1).max_transmit_bytes(1).max_events(1);
    let codec = CodecConfig::default().max_message(1000);
    let now = epoch();
    for (held, bytes, message) in [
        (20_000, 1 << 20, r#"{"op":2}"#.to_owned()),
        (20_000, 1 << 20, r#"{"op":6,"w":"x","a":[]}"#.to_owned()),
        (20_000, 1 << 20, r#"{"op":5,"n":1,"r":1}"#.to_owned()),
        (1100, 1 << 20, format!(r#"{{"op":6,"w":"{}","a":[]}}"#, "x".repeat(900))),
    ] {
        let limits = limits.max_held(held).max_held_bytes(bytes);
        let config = Arc::new(Config::default().limits(limits).codec(codec));
        let message = text(message);
        let mut kept = None;
        let used = testkit::measure(|| {
            let server = Server::new(config.clone(), now);
            let server = kept.insert(server);
            server.handle_input(now, &hello_ack(PASSWORD));
            discard(server);
            for _ in 0..held.min(bytes / message.len()) {
                server.handle_input(now, &message);
            }
            assert_eq!(server.ended(), None);
            server.accept(now).unwrap();
        });
        assert!(kept.unwrap().is_authenticated());
        says_something("held", used.bytes_max, config.max_memory(message.len()));
    }
}

#[test]
fn memory_of_requests_both_ways_stays_under_the_formula() {
    for (max_pending, max_nonce) in [(8000, 10), (1000, 4096)] {
        let limits = Limits::default().max_pending(max_pending).max_nonce(max_nonce);
        let limits = limits.max_events(1).max_event_bytes(1).max_transmit_bytes(1);
        let codec = CodecConfig::default().max_message(max_nonce + 100);
        let config = Config::default().limits(limits.max_held(0).max_held_bytes(0)).codec(codec);
        let config = Arc::new(config.heartbeat_interval(Duration::from_secs(3600)));
        // The nonces differ in their ends and are as long as may be.
        let asks: Vec<_> = (0..2 * max_pending)
            .map(|at| {
                let end = at.to_string();
                let nonce = format!("\"{}{end}\"", "x".repeat(max_nonce - 2 - end.len()));
                text(format!(r#"{{"op":4,"w":"","a":[],"n":{nonce}}}"#))
            })
            .collect();
        let now = epoch();
        let mut kept = None;
        let used = testkit::measure(|| {
            let server = LitecordServer { config: config.clone(), ready: true }.start(now);
            let server = kept.insert(server);
            // Twice as many, of which the first are given up.
            for (at, asks) in
                [now, now + config.request_timeout].iter().zip(asks.chunks(max_pending))
            {
                server.handle_timeout(*at);
                discard(server);
                for ask in asks {
                    server.request(*at, "", &[0; 0]).unwrap();
                    server.poll_transmit();
                    server.handle_input(*at, ask);
                    assert!(matches!(server.poll_event(), Some(ServerEvent::Request { .. })));
                }
            }
            // All time out in one moment, and nobody takes it.
            server.handle_timeout(now + config.request_timeout + config.request_timeout);
        });
        assert_eq!(kept.unwrap().ended(), None);
        says_something("requests", used.bytes_max, config.max_memory(max_nonce + 100));
    }
}

#[cfg(feature = "zlib")]
mod zlib {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    fn compressed(text: &str) -> Message {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        Message::Binary(encoder.finish().unwrap().into())
    }

    #[test]
    fn memory_of_compressed_messages_stays_under_the_formula() {
        for max_message in [1000, 300_000] {
            let codec = CodecConfig::default().max_message(max_message);
            let limits = Limits::default().max_held_bytes(max_message).max_transmit_bytes(10_000);
            let config = Arc::new(Config::default().zlib(true).codec(codec).limits(limits));
            let of_len = |len: usize| {
                let around = r#"{"op":6,"w":"","a":[]}"#.len();
                compressed(&format!(r#"{{"op":6,"w":"{}","a":[]}}"#, "x".repeat(len - around)))
            };
            let longest = of_len(max_message);
            let bomb = of_len(20 * max_message);
            let mut most = 0;
            for flood in [vec![longest.clone(); 20], vec![longest, bomb]] {
                let flood = flood.into_iter().map(|message| vec![message]);
                for ready in [false, true] {
                    let first = (!ready).then(|| vec![hello_ack(PASSWORD)]);
                    let pieces: Vec<_> = first.into_iter().chain(flood.clone()).collect();
                    let server = LitecordServer { config: config.clone(), ready };
                    most = most.max(peak(memory_is_bounded(&server, &pieces)));
                }
            }
            says_something("zlib", most, config.max_memory(max_message));
        }
    }

    #[test]
    fn memory_of_compressed_transmits_stays_under_the_formula() {
        let codec = CodecConfig::default().max_message(100_000);
        let limits = Limits::default().max_transmit_bytes(20_000);
        let config = Arc::new(Config::default().zlib(true).codec(codec).limits(limits));
        let long = Json::of(&["x".repeat(90_000)]).unwrap();
        let now = epoch();
        let mut kept = None;
        let used = testkit::measure(|| {
            let server = LitecordServer { config: config.clone(), ready: true }.start(now);
            let server = kept.insert(server);
            while server.dispatch(now, "", &long).is_ok() {}
        });
        assert!(used.bytes_max <= config.max_memory(0) as u64, "{used:?}");
    }
}

#[test]
fn an_idle_session_is_small_and_keeps_no_heap() {
    assert!(size_of::<Server>() <= 256, "{} bytes", size_of::<Server>());
    assert!(size_of::<Client>() <= 256, "{} bytes", size_of::<Client>());
    for (config, _) in configs() {
        let now = epoch();
        let mut sessions = (None, None);
        let used = testkit::measure(|| {
            let server = LitecordServer { config: config.clone(), ready: true }.start(now);
            let client = LitecordClient { config: config.clone(), ready: true }.start(now);
            let (server, client) = (sessions.0.insert(server), sessions.1.insert(client));
            // They have seen some traffic.
            server.request(now, "?", &[1]).unwrap();
            client.request(now, "?", &[1]).unwrap();
            server.handle_input(now, &text(r#"{"op":2}"#));
            server.handle_input(now, &text(r#"{"op":4,"w":"?","a":[],"n":1}"#));
            server.handle_input(now, &text(r#"{"op":5,"n":1,"r":[]}"#));
            client.handle_input(now, &text(r#"{"op":5,"n":1,"r":[]}"#));
            client.handle_input(now, &text(r#"{"op":6,"w":"!","a":[1]}"#));
            while server.poll_transmit().is_some() {}
            while let Some(event) = server.poll_event() {
                if let ServerEvent::Request { id, .. } = event {
                    server.respond(now, id, &1).unwrap();
                }
            }
            discard(server);
            discard(client);
        });
        assert_eq!(used.bytes_current, 0);
        assert!(sessions.0.unwrap().is_authenticated() && sessions.1.unwrap().is_authenticated());
    }
}

#[test]
fn work_is_linear_in_messages_and_in_their_length() {
    let config = Arc::new(Config::default());
    let now = epoch();
    let server = LitecordServer { config, ready: true };
    let short = text(r#"{"op":6,"w":"x","a":[1,2,3]}"#);
    work_is_linear(
        |messages| {
            let mut server = server.start(now);
            for _ in 0..messages {
                // Some wait, as they may.
                server.handle_input(now, &short);
                server.handle_input(now, &short);
                assert!(server.poll_event().is_some());
                if !server.wants_input() {
                    discard(&mut server);
                }
            }
        },
        3000,
    );
    work_is_linear(
        |items| {
            let mut server = server.start(now);
            let args = "[{\"\\n\":1.5},".repeat(100) + "[]" + &"]".repeat(100);
            let long = vec![args; items].join(",");
            server.handle_input(now, &text(format!(r#"{{"op":6,"w":"x","a":[{long}]}}"#)));
            assert!(server.poll_event().is_some());
        },
        50,
    );
}

#[test]
fn work_is_linear_in_requests() {
    let limits = Limits::default().max_pending(1 << 20).max_transmit_bytes(1 << 30);
    let config = Arc::new(Config::default().limits(limits));
    let now = epoch();
    let server = LitecordServer { config, ready: true };
    work_is_linear(
        |requests| {
            let mut server = server.start(now);
            for at in 0..requests {
                server.request(now, "x", &[at]).unwrap();
                server.handle_input(now, &text(format!(r#"{{"op":4,"w":"","a":[],"n":{at}}}"#)));
            }
            while let Some(event) = server.poll_event() {
                if let ServerEvent::Request { id, .. } = event {
                    server.respond(now, id, &1).unwrap();
                }
            }
            for at in 1..=requests {
                server.handle_input(now, &text(format!(r#"{{"op":5,"n":{at},"r":0}}"#)));
            }
            discard(&mut server);
        },
        1000,
    );
}
