//! What every session must do, whatever its protocol; run on delimchat's.

use std::sync::Arc;
use std::time::Duration;

use delimchat_proto::{
    Base64, ByteOrder, Client, ClientConfig, ClientPacketRef, CodecConfig, Limits, RoomId, Secret,
    Server, ServerConfig, ServerPacketRef, Session, UniqueId,
};
use proptest::prelude::*;
use testkit::conformance::{
    Subject, discard, memory_is_bounded, peak, says_something, script, session_ignores_chunking,
    session_survives, work_is_linear,
};
use testkit::delimchat::{DelimchatClient, DelimchatServer, from_client, from_server, some_packet};
use testkit::{Numbers, epoch};

/// What a client or a server may send, with a few slips.
fn stream(of_server: bool, codec: &CodecConfig, numbers: &mut Numbers, packets: usize) -> Vec<u8> {
    (0..packets).flat_map(|_| some_packet(of_server, codec, numbers)).collect()
}

fn limits() -> Limits {
    Limits::default()
}

/// Each with whether its limits are tight.
fn configs() -> [(Arc<ClientConfig>, Arc<ServerConfig>, bool); 3] {
    let little = CodecConfig::default().byte_order(ByteOrder::LittleEndian);
    let short = CodecConfig::default().max_packet(600).max_username(8);
    let tight = limits()
        .max_events(2)
        .max_event_bytes(60)
        .max_transmit_bytes(80)
        .max_pending(2)
        .max_unacked(2)
        .max_rooms(1)
        .max_assemblies(1)
        .max_outgoing(1)
        .max_malformed(1)
        .max_held_packets(2);
    [
        (ClientConfig::default(), ServerConfig::default(), false),
        (
            ClientConfig::default().codec(little).resend_after(Duration::from_millis(1)),
            ServerConfig::default().codec(little).resend_after(Duration::from_millis(1)),
            false,
        ),
        (
            ClientConfig::default().codec(short).limits(tight),
            ServerConfig::default().codec(short).limits(tight),
            true,
        ),
    ]
    .map(|(client, server, tight)| (Arc::new(client), Arc::new(server), tight))
}

#[test]
fn cuts_make_no_difference_to_a_session() {
    for (client, server, _) in configs() {
        for seed in 0..20 {
            let mut numbers = Numbers::new(seed);
            let to_server = stream(false, &server.codec, &mut numbers, 60);
            let to_client = stream(true, &client.codec, &mut numbers, 60);
            for ready in [false, true] {
                let server = DelimchatServer { config: server.clone(), ready };
                session_ignores_chunking(&server, &to_server);
                session_ignores_chunking(&server, &to_server[..to_server.len() / 2]);
                // A client does without receipts that find no room, so there has to be some.
                let limits = client.limits.max_transmit_bytes(1 << 20);
                let config = Arc::new(ClientConfig::clone(&client).limits(limits));
                let client = DelimchatClient { config, ready };
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
        let (client, server, tight) = configs()[pick].clone();
        let mut numbers = Numbers::new(seed);
        let to_server = stream(false, &server.codec, &mut numbers, 60);
        let to_client = stream(true, &client.codec, &mut numbers, 60);
        let (to_server, to_client) =
            (script::<[u8]>(&fuzz, &to_server), script::<[u8]>(&fuzz, &to_client));
        for ready in [false, true] {
            let server = DelimchatServer { config: server.clone(), ready };
            session_survives(&server, &to_server, tight);
            let client = DelimchatClient { config: client.clone(), ready };
            session_survives(&client, &to_client, tight);
        }
    }
}

/// In reads of so many bytes, at least `len` bytes in all.
fn in_reads(unit: &[u8], read: usize, len: usize) -> Vec<Vec<u8>> {
    unit.repeat(len.div_ceil(unit.len())).chunks(read).map(<[u8]>::to_vec).collect()
}

/// Floods of a client's, at least `len` bytes each.
fn client_floods(codec: &CodecConfig, longest: usize, len: usize) -> Vec<Vec<Vec<u8>>> {
    let text = vec![7; longest];
    let client_message_id = delimchat_proto::ClientMessageId::from_counter(1);
    let short = |message| {
        let (room, message) = (RoomId::GLOBAL, Base64::of(message));
        from_client(codec, &[ClientPacketRef::ShortMessage { client_message_id, room, message }])
    };
    let echo = |message| {
        let (room, message) = (RoomId::ECHO, Base64::of(message));
        from_client(codec, &[ClientPacketRef::ShortMessage { client_message_id, room, message }])
    };
    let (password, room) = (Secret::new(Base64::of(&b"x"[..])), RoomId(*b"elsewher"));
    let join = from_client(codec, &[ClientPacketRef::JoinRoom { room, password }]);
    let alias = from_client(codec, &[ClientPacketRef::ChangeAlias { new_alias: "x".into() }]);
    let request = from_client(codec, &[ClientPacketRef::SupportedPacketsRequest]);
    vec![
        in_reads(&short(b"x"), 16_384, len),
        in_reads(&short(&text), 1460, len),
        in_reads(&echo(b"x"), 16_384, len),
        in_reads(&echo(&text), 16_384, len),
        in_reads(&join, 16_384, len),
        in_reads(&alias, 16_384, len),
        in_reads(&request, 16_384, len),
        in_reads(b"\x50!\0\xFC\xFFSP\0", 16_384, len),
        // As much as there is in one read.
        in_reads(&short(b"x"), len, len),
        long_flood(codec, longest, len),
    ]
}

/// Long messages of a client's, of which a few come at a time, and are never whole but for some.
fn long_flood(codec: &CodecConfig, longest: usize, len: usize) -> Vec<Vec<u8>> {
    let text = vec![7; longest];
    let mut bytes = Vec::new();
    let mut at = 0;
    while bytes.len() < len {
        let client_message_id = delimchat_proto::ClientMessageId::from_counter(at % 7);
        let (room, message) = (RoomId::GLOBAL, Base64::of(&text[..]));
        let number = at / 7 % 20;
        bytes.extend(from_client(
            codec,
            &[if number == 0 {
                ClientPacketRef::LongMessageHead { remaining: 20, client_message_id, room, message }
            } else {
                ClientPacketRef::LongMessageNext { number, client_message_id, message }
            }],
        ));
        at += 1;
    }
    bytes.chunks(16_384).map(<[u8]>::to_vec).collect()
}

/// Floods of a server's, at least `len` bytes each.
fn server_floods(codec: &CodecConfig, longest: usize, len: usize) -> Vec<Vec<Vec<u8>>> {
    let text = vec![7; longest];
    let delivery = |message| {
        let (unique_id, room) = (UniqueId::new(1, 2), RoomId::GLOBAL);
        let (username, alias, message) = ("bob".into(), "builder".into(), Base64::of(message));
        from_server(
            codec,
            &[ServerPacketRef::ShortMessageDelivery { unique_id, room, username, alias, message }],
        )
    };
    let long: Vec<u8> = (0..)
        .map(|at: u32| {
            let (unique_id, message) = (UniqueId::new((at % 7).into(), 2), Base64::of(&text[..]));
            let (number, room) = (at / 7 % 20, RoomId::GLOBAL);
            from_server(
                codec,
                &[if number == 0 {
                    ServerPacketRef::LongMessageDeliveryHead {
                        remaining: 20,
                        unique_id,
                        room,
                        message,
                    }
                } else {
                    ServerPacketRef::LongMessageDeliveryNext { number, unique_id, message }
                }],
            )
        })
        .take(len.div_ceil(longest))
        .flatten()
        .collect();
    vec![
        in_reads(&delivery(b"x"), 16_384, len),
        in_reads(&delivery(&text), 1460, len),
        in_reads(b"\xFB\xFFPNS\0", 16_384, len),
        in_reads(b"\x51\xFF\0\0\0\x02\xFF\x03\x03\0", 16_384, len),
        in_reads(&delivery(b"x"), len, len),
        long.chunks(16_384).map(<[u8]>::to_vec).collect(),
    ]
}

#[test]
fn memory_stays_under_the_formula_whatever_a_driver_neglects() {
    let tight = limits()
        .max_events(1)
        .max_event_bytes(1)
        .max_transmit_bytes(1)
        .max_pending(1)
        .max_parts(1)
        .max_assemblies(1)
        .max_outgoing(1)
        .max_unacked(1)
        .max_rooms(1)
        .max_held_packets(1)
        .max_held_bytes(1);
    let short = CodecConfig::default().max_packet(600);
    // In each, another term of the formula is by far the largest.
    for (name, codec, limits, longest, len) in [
        ("default", CodecConfig::default(), limits(), 3000, 1_500_000),
        ("tight", CodecConfig::default(), tight, 3000, 60_000),
        ("events", short, tight.max_events(6000).max_event_bytes(1 << 20), 300, 250_000),
        ("event bytes", short, tight.max_events(3000).max_event_bytes(900_000), 300, 1_300_000),
        ("transmits", short, tight.max_transmit_bytes(300_000), 300, 800_000),
        ("pending", short, tight.max_pending(6000).max_events(100), 300, 250_000),
        ("long", CodecConfig::default(), tight.max_parts(20).max_assemblies(8), 3000, 800_000),
    ] {
        let server = Arc::new(ServerConfig::default().codec(codec).limits(limits));
        let client = Arc::new(ClientConfig::default().codec(codec).limits(limits));
        let mut part = 0.0_f64;
        for pieces in client_floods(&codec, longest, len) {
            let subject = DelimchatServer { config: server.clone(), ready: true };
            part = part.max(of_limit(&subject, &pieces));
        }
        for pieces in server_floods(&codec, longest, len) {
            let subject = DelimchatClient { config: client.clone(), ready: true };
            part = part.max(of_limit(&subject, &pieces));
        }
        assert!(part >= 0.1, "{name}: the most is {part} of the limit, which says nothing");
    }
}

/// The peak, as a part of the formula.
#[allow(clippy::cast_precision_loss, reason = "a ratio")]
fn of_limit<S: Subject<Session: Session<Input = [u8]>>>(subject: &S, pieces: &[Vec<u8>]) -> f64 {
    let largest = pieces.iter().map(Vec::len).max().unwrap_or_default();
    let most = peak(memory_is_bounded(subject, pieces));
    most as f64 / subject.max_memory(largest) as f64
}

#[test]
fn memory_of_what_is_held_stays_under_the_formula() {
    let limits = Limits::default()
        .max_events(1)
        .max_pending(1)
        .max_transmit_bytes(1)
        .max_event_bytes(1)
        .max_parts(1)
        .max_assemblies(1)
        .max_outgoing(1)
        .max_unacked(1)
        .max_rooms(1);
    let codec = CodecConfig::default();
    let (now, client_message_id) = (epoch(), delimchat_proto::ClientMessageId::from_counter(1));
    for (packets, bytes, longest) in
        [(64, 1 << 16, 3000), (2000, 1 << 16, 1), (2000, 1 << 20, 3000)]
    {
        let limits = limits.max_held_packets(packets).max_held_bytes(bytes);
        let config = Arc::new(ServerConfig::default().limits(limits));
        let message = vec![7; longest];
        let (room, message) = (RoomId::GLOBAL, Base64::of(&message[..]));
        let packet = ClientPacketRef::ShortMessage { client_message_id, room, message };
        let packet = from_client(&codec, &[packet]);
        let mut kept = None;
        let used = testkit::measure(|| {
            let server = kept.insert(Server::new(config.clone(), "guest", now).unwrap());
            server.handle_input(now, b"\x02\xFFada\xFFaHVudGVyMg==\xFF\x02\0");
            discard(server);
            while server.ended().is_none() {
                server.handle_input(now, &packet);
            }
        });
        says_something("held", used.bytes_max, config.max_memory(packet.len()));
    }
}

#[test]
fn memory_of_rooms_and_receipts_stays_under_the_formula() {
    let limits = Limits::default()
        .max_events(1)
        .max_event_bytes(1)
        .max_transmit_bytes(1)
        .max_pending(1)
        .max_parts(1)
        .max_assemblies(1)
        .max_outgoing(1)
        .max_held_bytes(1)
        .max_held_packets(1)
        .max_unacked(20_000)
        .max_rooms(20_000);
    let config = Arc::new(ServerConfig::default().limits(limits));
    let now = epoch();
    let mut kept = None;
    let used = testkit::measure(|| {
        let server = DelimchatServer { config: config.clone(), ready: true }.start(now);
        let server = kept.insert(server);
        for number in 0..25_000 {
            server.enter(RoomId::from_counter(number));
            server.deliver(now, UniqueId::new(number, 0), RoomId::GLOBAL, "bob", "", b"x").unwrap();
            discard(server);
        }
    });
    says_something("rooms", used.bytes_max, config.max_memory(0));
}

#[test]
fn an_idle_session_is_small_and_keeps_its_names_and_rooms() {
    assert!(size_of::<Server>() <= 320, "{} bytes", size_of::<Server>());
    assert!(size_of::<Client>() <= 320, "{} bytes", size_of::<Client>());
    let now = epoch();
    let codec = CodecConfig::default();
    let (room, other) = (RoomId::from_counter(1), RoomId::from_counter(2));
    let (of_server, of_client) = (Arc::<ServerConfig>::default(), Arc::<ClientConfig>::default());
    let mut sessions = (None, None);
    let used = testkit::measure(|| {
        let server = DelimchatServer { config: of_server.clone(), ready: true }.start(now);
        let client = DelimchatClient { config: of_client.clone(), ready: true }.start(now);
        let (server, client) = (sessions.0.insert(server), sessions.1.insert(client));
        // They have seen some traffic, over a link that cuts.
        client.send_message(now, RoomId::GLOBAL, b"hello").unwrap();
        client.send_message(now, RoomId::ECHO, b"hello").unwrap();
        client.join(now, room, b"").unwrap();
        client.join(now, other, b"").unwrap();
        client.change_alias(now, "countess").unwrap();
        client.part(now, other, Some("so long")).unwrap();
        server.deliver(now, UniqueId::new(1, 2), room, "bob", "builder", &[7; 2000]).unwrap();
        server.user_joined(now, room, "bob", "builder").unwrap();
        for _ in 0..4 {
            while let Some(bytes) = client.poll_transmit() {
                bytes.chunks(7).for_each(|piece| server.handle_input(now, piece));
            }
            while let Some(event) = server.poll_event() {
                match event {
                    delimchat_proto::ServerEvent::Message { id, .. } => {
                        server.accept_message(now, id).unwrap();
                    }
                    delimchat_proto::ServerEvent::Echo { message } => {
                        server.echo(now, UniqueId::new(9, 9), &message).unwrap();
                    }
                    delimchat_proto::ServerEvent::JoinRoom { id, .. } => {
                        server.accept_join(now, id).unwrap();
                    }
                    delimchat_proto::ServerEvent::ChangeAlias { id, .. } => {
                        server.accept_alias(now, id).unwrap();
                    }
                    _ => {}
                }
            }
            while let Some(bytes) = server.poll_transmit() {
                bytes.chunks(7).for_each(|piece| client.handle_input(now, piece));
            }
            while client.poll_event().is_some() {}
        }
        // Bad packets, and a slip.
        server.handle_input(now, b"\x50!\0\x0A\0");
        client.handle_input(now, &from_server(&codec, &[ServerPacketRef::PacketNotSupported]));
        discard(server);
        discard(client);
    });
    let (server, client) = (sessions.0.unwrap(), sessions.1.unwrap());
    assert!(server.is_logged_in() && client.is_logged_in());
    assert_eq!((server.alias(), server.poll_timeout()), ("countess", None));
    assert_eq!(client.poll_timeout(), None);
    // What a client keeps is nothing; what a server keeps is a name, an alias and some rooms.
    assert_eq!(testkit::measure(|| drop(client)).bytes_current, 0);
    assert!(used.bytes_current <= 160, "{} bytes", used.bytes_current);
}

#[test]
fn small_reads_stay_linear_in_a_session() {
    let codec = CodecConfig::default();
    let client_message_id = delimchat_proto::ClientMessageId::from_counter(1);
    let (room, message) = (RoomId::ECHO, Base64::of(&[7; 3000][..]));
    let packet = ClientPacketRef::ShortMessage { client_message_id, room, message };
    let packet = from_client(&codec, &[packet]);
    work_is_linear(
        |packets| {
            let now = epoch();
            let subject = DelimchatServer { ready: true, ..DelimchatServer::default() };
            let mut server = subject.start(now);
            let mut events = 0;
            for _ in 0..packets {
                for piece in packet.chunks(4) {
                    server.handle_input(now, piece);
                    while server.poll_event().is_some() {
                        events += 1;
                    }
                }
                while server.poll_transmit().is_some() {}
            }
            assert_eq!(events, packets);
        },
        30,
    );
}

#[test]
fn a_full_queue_stays_linear_in_a_session() {
    // One event at a time out of one large read, and answers that nobody takes until there are many.
    let codec = CodecConfig::default();
    let client_message_id = delimchat_proto::ClientMessageId::from_counter(1);
    let (room, message) = (RoomId::ECHO, Base64::of(&b"x"[..]));
    let packet = ClientPacketRef::ShortMessage { client_message_id, room, message };
    let packet = from_client(&codec, &[packet]);
    let config = Arc::new(ServerConfig::default().limits(Limits::default().max_events(1)));
    work_is_linear(
        |packets| {
            let now = epoch();
            let subject = DelimchatServer { config: config.clone(), ready: true };
            let mut server = subject.start(now);
            server.handle_input(now, &packet.repeat(packets));
            let mut events = 0;
            while server.poll_event().is_some() {
                while server.poll_transmit().is_some() {}
                events += 1;
            }
            assert_eq!(events, packets);
        },
        3000,
    );
}
