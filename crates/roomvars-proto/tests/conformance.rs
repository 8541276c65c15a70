//! What every session must do, whatever its protocol; run on roomvars' client, and on a connection of
//! its hub.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use roomvars_proto::{
    ClientConfig, ClientEvent, CodecConfig, Dialect, HubConfig, HubEvent, Limits, Message,
    RateLimit, Session, Value,
};
use testkit::conformance::{
    Subject, discard, memory_is_bounded, script, session_survives, work_is_linear,
};
use testkit::pair::Pair;
use testkit::roomvars::{RoomvarsClient, RoomvarsHub, handshake, some_message};
use testkit::{Numbers, epoch};

const DIALECTS: [Dialect; 3] = [Dialect::Documented, Dialect::Deployed2020, Dialect::Scratch];

/// What a client or a server may say, from its first word on, with a few slips.
fn messages(of_server: bool, ready: bool, dialect: Dialect, numbers: &mut Numbers) -> Vec<Message> {
    let first = (!ready && !of_server).then(|| handshake(dialect, "ada"));
    let rest = (0..60).map(|_| some_message(of_server, dialect, numbers));
    first.into_iter().chain(rest).collect()
}

fn client_configs(dialect: Dialect) -> [(Arc<ClientConfig>, bool); 2] {
    let config = ClientConfig::default().codec(CodecConfig::default().dialect(dialect));
    let tight = config
        .clone()
        .limits(Limits::default().max_value(20).max_scratch_variables(2))
        .merge_sets(true)
        .rate_limit(RateLimit::per_second(3))
        .max_transmit_bytes(300)
        .max_events(2)
        .max_event_bytes(30);
    [(Arc::new(config), false), (Arc::new(tight), true)]
}

fn hub_configs() -> [(Arc<HubConfig>, bool); 2] {
    let tight = HubConfig::default()
        .limits(Limits::default().max_value(20).max_scratch_variables(2))
        .max_connections(2)
        .max_rooms(1)
        .max_untaken(100)
        .max_batch_bytes(100)
        .max_client_message(200)
        .max_server_message(200)
        .flush_interval(Duration::from_millis(20))
        .rate_limit(RateLimit::per_second(30));
    [(Arc::new(HubConfig::default()), false), (Arc::new(tight), true)]
}

proptest! {
    #[test]
    fn any_calls_in_any_order_with_polls_in_any_order(
        fuzz in prop::collection::vec(any::<u8>(), 0..200), seed in any::<u64>(), pick in 0..6_usize,
    ) {
        let (dialect, mut numbers) = (DIALECTS[pick % 3], Numbers::new(seed));
        for ready in [false, true] {
            let to_client = script::<Message>(&fuzz, &messages(true, ready, dialect, &mut numbers));
            let (config, tight) = client_configs(dialect)[pick / 3].clone();
            session_survives(&RoomvarsClient { config, ready }, &to_client, tight);
            let to_hub = script::<Message>(&fuzz, &messages(false, ready, dialect, &mut numbers));
            let (config, tight) = hub_configs()[pick / 3].clone();
            session_survives(&RoomvarsHub { config, dialect, ready }, &to_hub, tight);
        }
    }
}

fn text(text: impl Into<String>) -> Message {
    Message::text(text.into())
}

fn says_something(name: &str, most: u64, limit: usize) {
    assert!(most <= limit as u64, "{name}: {most} bytes, the limit is {limit}");
    assert!(most >= limit as u64 / 10, "{name}: {most} bytes, the limit of {limit} says nothing");
}

#[test]
fn memory_stays_under_the_formula_whatever_a_driver_neglects() {
    let set = |name: &str, value: &str| {
        format!(r#"{{"method":"set","name":"{name}","value":"{value}"}}"#)
    };
    let tight = |limits: Limits| {
        ClientConfig::default()
            .codec(CodecConfig::default().dialect(Dialect::Scratch).max_server_message(100_000))
            .limits(limits)
            .max_events(1)
            .max_event_bytes(1)
            .max_transmit_bytes(1)
    };
    let limits = Limits::default().max_name(10).max_value(10).max_scratch_variables(4);
    let small = |count: usize| (0..count).map(|at| text(set(&(at % 4).to_string(), "1"))).collect();
    let of_values = |len: usize, count: usize, variables: usize| -> Vec<Message> {
        (0..count)
            .map(|at| text(set(&format!("{:>5}", at % variables), &"v".repeat(len))))
            .collect()
    };
    let many = (0..10).map(|of| {
        let sets = (0..1000).map(|at| set(&format!("{of}{at:>4}"), "12345"));
        text(sets.collect::<Vec<_>>().join("\n"))
    });
    let many = many.collect();
    // In each, another term of the formula is by far the largest.
    for (name, config, messages) in [
        ("events", tight(limits).max_events(1800).max_event_bytes(20_000), small(1900)),
        (
            "event bytes",
            tight(limits.max_value(1000)).max_events(2000).max_event_bytes(1 << 20),
            of_values(1000, 1100, 4),
        ),
        ("mirror", tight(limits.max_scratch_variables(10_000)), many),
        ("values", tight(limits.max_value(50_000)), of_values(50_000, 20, 4)),
        (
            "input",
            tight(limits),
            vec![text([set("0", "1"), set("1", "\\u0041")].join("\n").repeat(900))],
        ),
    ] {
        let longest = messages.iter().map(Message::len).max().unwrap();
        let pieces: Vec<_> = messages.into_iter().map(|message| vec![message]).collect();
        let client = RoomvarsClient { config: Arc::new(config), ready: true };
        let peaks = memory_is_bounded(&client, &pieces);
        let most = peaks.into_iter().map(|(_, bytes)| bytes).max().unwrap();
        if name != "input" {
            says_something(name, most, client.max_memory(longest));
        }
    }
    for dialect in DIALECTS {
        for (config, _) in hub_configs() {
            let mut numbers = Numbers::new(1);
            let pieces: Vec<_> = messages(false, false, dialect, &mut numbers)
                .into_iter()
                .map(|m| vec![m])
                .collect();
            memory_is_bounded(&RoomvarsHub { config, dialect, ready: false }, &pieces);
        }
    }
}

#[test]
fn memory_of_what_is_sent_stays_under_the_formula() {
    let config = ClientConfig::default().max_transmit_bytes(1 << 20);
    let config = Arc::new(config.limits(Limits::default().max_value(100)));
    let now = epoch();
    let mut kept = None;
    let used = testkit::measure(|| {
        let client = RoomvarsClient { config: config.clone(), ready: true }.start(now);
        let client = kept.insert(client);
        while client.set(now, "x", "1").is_ok() {}
    });
    assert!(kept.unwrap().queued() > 1000);
    says_something("transmits", used.bytes_max, config.max_memory(0, 200));
}

#[test]
fn an_idle_client_keeps_its_room_only() {
    assert!(size_of::<roomvars_proto::Client>() <= 384);
    let now = epoch();
    let mut kept = None;
    let config = Arc::new(ClientConfig::default());
    let used = testkit::measure(|| {
        let client = RoomvarsClient { config: config.clone(), ready: true }.start(now);
        let client = kept.insert(client);
        client.set(now, "x", "1").unwrap();
        client.handle_input(now, &text(r#"{"kind":"set","variable":"y","value":"2"}"#));
        discard(client);
    });
    // One node of the map of its two variables.
    assert!(used.bytes_current <= 600, "{used:?}");
    assert_eq!(kept.unwrap().get("y").map(Value::as_str), Some("2"));
}

#[test]
fn work_is_linear_in_messages_and_in_their_length() {
    let now = epoch();
    for dialect in DIALECTS {
        let (config, _) = client_configs(dialect)[0].clone();
        let client = RoomvarsClient { config, ready: true };
        let set = some_set(dialect);
        work_is_linear(
            |lines| {
                let mut client = client.start(now);
                client.handle_input(now, &text(vec![&*set; lines].join("\n")));
                discard(&mut client);
                for _ in 0..lines {
                    client.handle_input(now, &text(&*set));
                    discard(&mut client);
                }
            },
            2000,
        );
        let hub = RoomvarsHub { config: Arc::default(), dialect, ready: true };
        work_is_linear(
            |sets| {
                let mut connection = hub.start(now);
                for at in 0..sets {
                    connection.handle_input(now, &text(&*set));
                    hub.act(&mut connection, now, u8::try_from(at % 200).unwrap());
                    // Some of the time it lags behind.
                    if at % 1000 < 500 {
                        discard(&mut connection);
                    }
                }
            },
            2000,
        );
    }
}

fn some_set(dialect: Dialect) -> String {
    match dialect {
        Dialect::Documented => r#"{"kind":"set","variable":"x","value":"1"}"#,
        Dialect::Deployed2020 => r#"{"kind":"set","var":"x","value":"1"}"#,
        Dialect::Scratch => r#"{"method":"set","name":"x","value":"1"}"#,
    }
    .to_owned()
}

#[test]
fn a_client_and_a_hub_talk_and_may_be_cut_off_at_every_step() {
    for dialect in DIALECTS {
        let config = client_configs(dialect)[0].0.clone();
        for cut_after in (0..8).map(Some).chain([None]) {
            let mut pair = Pair::new(Duration::from_millis(20), |now| {
                let client = RoomvarsClient { config: config.clone(), ready: false };
                let hub = RoomvarsHub { config: Arc::default(), dialect, ready: false };
                (client.start(now), hub.start(now))
            });
            pair.cut_after = cut_after;
            pair.run_for(Duration::from_secs(1));
            let hub = RoomvarsHub { config: Arc::default(), dialect, ready: false };
            for choice in [1, 2, 3] {
                let _ = pair.client.session.set(pair.now, "x", "mine");
                pair.run_for(Duration::from_secs(1));
                hub.act(&mut pair.server.session, pair.now, choice);
                pair.run_for(Duration::from_secs(1));
            }
            if cut_after.is_some() {
                pair.run_for(Duration::from_secs(60));
            }
            let (client, connection) = (&pair.client, &pair.server);
            if cut_after.is_none() {
                assert_eq!((client.session.ended(), connection.session.ended()), (None, None));
                assert!(connection.events.contains(&HubEvent::Joined));
                let sets = client.events.iter().filter(|e| matches!(e, ClientEvent::Set { .. }));
                assert!(sets.count() >= 2);
                assert_eq!(client.session.get("y").map(Value::as_str), Some("vvv"));
                pair.client.session.close(pair.now);
                pair.run_for(Duration::from_secs(1));
            }
            let ended = (pair.client.session.ended(), pair.server.session.ended());
            assert!(ended.0.is_some() && ended.1.is_some(), "{cut_after:?}: {ended:?}");
        }
    }
}
