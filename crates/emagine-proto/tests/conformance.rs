//! What every session must do, whatever its protocol; run on emagine's.

use std::sync::Arc;
use std::time::Duration;

use emagine_proto::{Client, CodecConfig, Config, Limits, Message, Server, Session};
use proptest::prelude::*;
use testkit::conformance::{
    Subject, discard, memory_is_bounded, peak, says_something, script, session_survives,
    work_is_linear,
};
use testkit::emagine::{EmagineClient, EmagineServer, TOKEN, hello, identify, some_message};
use testkit::{Numbers, epoch};

fn text(text: impl Into<String>) -> Message {
    Message::text(text.into())
}

/// What a client or a server may say, from its first word on, with a few slips.
fn messages(of_server: bool, ready: bool, numbers: &mut Numbers) -> Vec<Message> {
    let first = if of_server { hello(100) } else { identify(&TOKEN[numbers.below(8)..]) };
    let second = of_server.then(|| text(r#"{"op":1,"user":"ada"}"#));
    let rest = (0..60).map(|_| some_message(of_server, numbers));
    let start = [Some(first), second].into_iter().flatten();
    start.filter(|_| !ready).chain(rest).collect()
}

fn configs() -> [(Arc<Config>, bool); 3] {
    let limits = Limits::default().max_time(8).max_transmit_bytes(150);
    let limits = limits.max_events(2).max_event_bytes(60);
    let fast = Config::default().heartbeat_interval(Duration::from_millis(1));
    [
        (Arc::new(Config::default()), false),
        (Arc::new(Config::default().limits(limits)), true),
        (Arc::new(fast.min_heartbeat_interval(Duration::ZERO)), false),
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
            session_survives(&EmagineServer { config: config.clone(), ready }, &to_server, tight);
            session_survives(&EmagineClient { config: config.clone(), ready }, &to_client, tight);
        }
    }
}

/// Floods that don't break the protocol, of messages up to `longest` bytes, with times up to `time`.
fn floods(of_server: bool, longest: usize, time: usize, count: usize) -> Vec<Vec<Vec<Message>>> {
    let filled = |around: &str, len: usize| {
        text(around.replace('%', &"x".repeat(len.saturating_sub(around.len() - 1))))
    };
    let of_message = |around| filled(around, longest);
    let mut floods: Vec<Vec<Message>> = [
        text(r#"{"op":11}"#),
        text(r#"{"op":10}"#),
        filled(r#"{"op":10,"time":"%"}"#, time + r#"{"op":10,"time":}"#.len()),
        text(r#"{"op":9}"#),
        of_message(r#"{"op":9,"d":"%"}"#),
        text(if of_server { r#"{"op":3,"message":1}"# } else { r#"{"op":9}"# }),
        of_message(if of_server { r#"{"op":3,"message":"%"}"# } else { r#"{"op":9,"d":"\n%"}"# }),
    ]
    // Not more than 3 MB of each.
    .map(|message| vec![message.clone(); count.min(3_000_000 / message.len())])
    .into();
    // Small and long ones in turn.
    let in_turn = |at| floods[if at % 2 == 0 { 3 } else { 4 }][0].clone();
    floods.push((0..count.min(6_000_000 / longest)).map(in_turn).collect());
    // As much as may wait, and then a long one.
    let some = filled(r#"{"op":9,"d":"%"}"#, longest.min(1000));
    floods.push(vec![some; count.min(258)].into_iter().chain([floods[4][0].clone()]).collect());
    floods
        .into_iter()
        .map(|flood| flood.into_iter().map(|message| vec![message]).collect())
        .collect()
}

#[test]
fn memory_stays_under_the_formula_whatever_a_driver_neglects() {
    let tight = Limits::default().max_time(20);
    let tight = tight.max_events(1).max_event_bytes(1).max_transmit_bytes(1);
    let short = CodecConfig::default().max_message(256);
    // In each, another term of the formula is by far the largest.
    for (name, config, longest, count) in [
        ("default", Config::default(), 1 << 20, 1500),
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
    ] {
        let time = config.limits.max_time.min(longest - 20);
        let config = Arc::new(config);
        let mut most = 0;
        for ready in [false, true] {
            let first = |first: Vec<Message>| if ready { None } else { Some(first) };
            let client_says = vec![identify(&"t".repeat(longest - 30))];
            for flood in floods(false, longest, time, count) {
                let pieces: Vec<_> = first(client_says.clone()).into_iter().chain(flood).collect();
                let server = EmagineServer { config: config.clone(), ready };
                most = most.max(peak(memory_is_bounded(&server, &pieces)));
            }
            let user = "u".repeat(longest - 30);
            let server_says = vec![hello(10_000), text(format!(r#"{{"op":2,"user":"{user}"}}"#))];
            for flood in floods(true, longest, time, count) {
                let pieces: Vec<_> = first(server_says.clone()).into_iter().chain(flood).collect();
                let client = EmagineClient { config: config.clone(), ready };
                most = most.max(peak(memory_is_bounded(&client, &pieces)));
            }
        }
        says_something(name, most, config.max_memory(longest));
    }
}

#[test]
fn memory_of_the_longest_messages_stays_under_the_formula() {
    let limits = Limits::default().max_time(1).max_transmit_bytes(1);
    let limits = limits.max_events(1).max_event_bytes(1);
    let config = Arc::new(Config::default().limits(limits));
    let (now, longest) = (epoch(), 1 << 20);
    // With escapes, of which a copy is made.
    let token = format!("{}\n", "t".repeat(longest - 40));
    let identify = identify(&token);
    let mut kept = None;
    let used = testkit::measure(|| {
        let server = kept.insert(Server::new(config.clone(), now));
        server.handle_input(now, &identify);
        server.accept(now, &token).unwrap();
        assert!(server.send_message(now, &token).is_err(), "that much doesn't wait");
    });
    assert!(kept.unwrap().poll_event().is_some());
    says_something("longest", used.bytes_max, config.max_memory(longest));
}

#[test]
fn memory_of_what_waits_to_be_sent_stays_under_the_formula() {
    // Messages, four acks as long as may be, and heartbeats, while the peer acknowledges all it likes.
    let now = epoch();
    for (max_transmit_bytes, message) in [(200_000, 1), (200_000, 5000), (1, 150_000)] {
        let limits = Limits::default().max_transmit_bytes(max_transmit_bytes).max_time(150_000);
        let codec = CodecConfig::default().max_message(200_000);
        let config = Config::default().codec(codec).limits(limits.max_events(1).max_event_bytes(1));
        let config = Arc::new(config.heartbeat_interval(Duration::from_millis(1)));
        let time = text(format!(r#"{{"op":10,"time":"{}"}}"#, "x".repeat(149_000)));
        let message = "x".repeat(message);
        let mut kept = None;
        let used = testkit::measure(|| {
            let server = EmagineServer { config: config.clone(), ready: true }.start(now);
            let server = kept.insert(server);
            while server.send_message(now, &message).is_ok() {}
            for _ in 0..4 {
                server.handle_input(now, &time);
            }
            for at in 0..1000 {
                let _ = server.heartbeat(now);
                server.handle_input(now, &text(r#"{"op":11}"#));
                server.handle_input(now, &text(r#"{"op":11,"time":0}"#));
                while server.poll_event().is_some() {}
                server.handle_timeout(now + Duration::from_millis(at));
            }
        });
        let most = used.bytes_max;
        assert!(kept.unwrap().ended().is_some(), "its heartbeats weren't acknowledged");
        says_something("transmits", most, config.max_memory(time.len()));
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
            let server = EmagineServer { config: config.clone(), ready: true }.start(now);
            let client = EmagineClient { config: config.clone(), ready: true }.start(now);
            let (server, client) = (sessions.0.insert(server), sessions.1.insert(client));
            // They have seen some traffic.
            server.send_message(now, &1).unwrap();
            server.heartbeat(now).unwrap();
            client.heartbeat(now).unwrap();
            server.handle_input(now, &text(r#"{"op":10,"time":[1]}"#));
            client.handle_input(now, &text(r#"{"op":10,"time":[1]}"#));
            client.handle_input(now, &text(r#"{"op":3,"message":"\n"}"#));
            discard(server);
            discard(client);
            server.handle_input(now, &text(r#"{"op":11,"time":0}"#));
            client.handle_input(now, &text(r#"{"op":11,"time":0}"#));
            client.handle_input(now, &text(r#"{"op":9}"#));
            discard(server);
            discard(client);
        });
        assert_eq!(used.bytes_current, 0);
        let (server, client) = (sessions.0.unwrap(), sessions.1.unwrap());
        assert!(server.is_ready() && client.is_ready());
        assert_eq!((server.ended(), client.ended()), (None, None));
    }
}

#[test]
fn work_is_linear_in_messages_and_in_their_length() {
    let config = Arc::new(Config::default());
    let now = epoch();
    let client = EmagineClient { config: config.clone(), ready: true };
    let short = text(r#"{"op":3,"message":[1,2,3]}"#);
    work_is_linear(
        |messages| {
            let mut client = client.start(now);
            for _ in 0..messages {
                // Some wait, as they may.
                client.handle_input(now, &short);
                client.handle_input(now, &short);
                assert!(client.poll_event().is_some());
                if !client.wants_input() {
                    discard(&mut client);
                }
            }
        },
        3000,
    );
    work_is_linear(
        |items| {
            let mut client = client.start(now);
            let message = "[{\"\\n\":1.5},".repeat(100) + "[]" + &"]".repeat(100);
            let long = vec![message; items].join(",");
            client.handle_input(now, &text(format!(r#"{{"op":3,"message":[{long}]}}"#)));
            assert!(client.poll_event().is_some());
        },
        50,
    );
    let server = EmagineServer { config, ready: true };
    work_is_linear(
        |heartbeats| {
            let mut server = server.start(now);
            for _ in 0..heartbeats {
                for _ in 0..4 {
                    server.handle_input(now, &text(r#"{"op":10,"time":1}"#));
                    server.heartbeat(now).unwrap();
                }
                while server.poll_transmit().is_some() {}
                for _ in 0..4 {
                    server.handle_input(now, &text(r#"{"op":11}"#));
                }
                discard(&mut server);
            }
        },
        2000,
    );
}
