//! How many instructions the hot paths take, on the inputs of the benches beside; `README.md` tells how and why.

// For what the harness makes.
#![allow(missing_docs)]

// Needs the texts' types only.
#[allow(dead_code)]
mod comparison;

use gungraun::{
    Callgrind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};

/// Something to be counted, on what it takes with it.
type Case = Box<dyn FnMut()>;

/// What has run once: its buffers are as large as they have to be, and the machine is known.
fn warm(mut run: impl FnMut() + 'static) -> Case {
    run();
    Box::new(run)
}

/// Of what gives the number of messages that it saw, which must be all.
fn all(messages: usize, mut run: impl FnMut() -> usize + 'static) -> Case {
    warm(move || assert_eq!(run(), messages))
}

/// A buffer, and how much of it is to be left alone: what is written behind begins at the start of a cache line. How
/// long texts are copied depends on that, and where a buffer lies, on the path of this program.
fn buffer() -> (Vec<u8>, usize) {
    let mut buffer = Vec::<u8>::with_capacity(1 << 20);
    let unused = buffer.as_ptr().align_offset(64);
    buffer.resize(unused, 0);
    (buffer, unused)
}

// What only the peers need is left out in each.
#[allow(dead_code)]
mod bingo {
    mod streams;
    mod subjects;

    use std::hint::black_box;
    use std::time::Instant;

    use bingo_proto::{CodecConfig, Decoder, FrameRef, MessageId, OpCode, ServerMessage};
    use testkit::bingo::BingoServer;
    use testkit::conformance::Subject;

    pub(crate) use self::streams::{LARGE, PACKETS, WHOLE};
    use self::streams::{Reads, SIZES, Size};
    use crate::{Case, all, buffer};

    pub(crate) const B7: Size = SIZES[0];
    pub(crate) const B69: Size = SIZES[1];
    pub(crate) const KIB: Size = SIZES[2];

    fn stream(size: Size) -> &'static [u8] {
        Vec::leak(size.bingo())
    }

    pub(crate) fn borrowed(size: Size, reads: Reads) -> Case {
        let slices = reads.slices(stream(size));
        let mut decoder = Decoder::new(CodecConfig::default());
        all(size.frames(), move || subjects::borrowed(&mut decoder, black_box(&slices)))
    }

    pub(crate) fn owned(size: Size, reads: Reads) -> Case {
        let reads = reads.bytes(stream(size));
        let mut decoder = Decoder::new(CodecConfig::default());
        all(size.frames(), move || subjects::owned(&mut decoder, black_box(&reads)))
    }

    pub(crate) fn session(size: Size, reads: Reads) -> Case {
        let (slices, now) = (reads.slices(stream(size)), Instant::now());
        let mut server = BingoServer { ready: true, ..BingoServer::default() }.start(now);
        all(size.frames(), move || subjects::session(&mut server, now, black_box(&slices)))
    }

    /// As many frames as the bench encodes at once.
    fn encode(size: Size, encode: impl Fn(MessageId, &[u8], &mut Vec<u8>) + 'static) -> Case {
        let (payload, (mut buffer, unused)) = (vec![b'x'; size.payload], buffer());
        all(1024, move || {
            buffer.truncate(unused);
            for _ in 0..1024 {
                let (id, payload) = black_box((MessageId(0x8000), &payload));
                encode(id, payload, &mut buffer);
            }
            black_box(&buffer[unused..]).len() / size.frame()
        })
    }

    pub(crate) fn encode_frame(size: Size) -> Case {
        let config = CodecConfig::default();
        encode(size, move |id, payload, dst| {
            FrameRef::new(OpCode::Event, id, payload).encode(&config, dst).unwrap();
        })
    }

    pub(crate) fn encode_message(size: Size) -> Case {
        let config = CodecConfig::default();
        encode(size, move |id, payload, dst| {
            ServerMessage::Event(payload).encode(id, &config, dst).unwrap();
        })
    }
}

#[allow(dead_code)]
mod litecord {
    mod subjects;
    mod texts;

    use std::hint::black_box;
    use std::time::Instant;

    use litecord_proto::{ClientMessage, CodecConfig, JsonRef, ServerEvent};
    use smallwire_core::{Message, Session};
    use testkit::conformance::Subject;
    use testkit::litecord::LitecordServer;

    use self::texts::{ARGS, WHAT};
    pub(crate) use self::texts::{HEARTBEAT, REQUEST, REQUEST_OTHER_ORDER};
    use crate::Case;
    use crate::gateway::{decode, encode, session};

    pub(crate) fn text(text: &'static str) -> Case {
        let config = CodecConfig::default();
        decode(text, move |text| subjects::from_json(text, &config))
    }

    pub(crate) fn bytes(text: &'static str) -> Case {
        let config = CodecConfig::default();
        decode(text, move |text| subjects::decode(text.as_bytes(), &config))
    }

    pub(crate) fn response() -> Case {
        let members = serde_json::to_string(&texts::members("Nelly")).unwrap();
        let config = CodecConfig::default();
        decode(texts::response(&members).leak(), move |text| subjects::response(text, &config))
    }

    pub(crate) fn encode_request() -> Case {
        let (args, nonce) = (JsonRef::new(ARGS).unwrap(), JsonRef::new("17").unwrap());
        let message = ClientMessage::Request { what: WHAT.into(), args, nonce };
        let config = CodecConfig::default();
        encode(REQUEST, move |dst| subjects::encode(black_box(&message), &config, dst))
    }

    /// A server is asked, and answers.
    pub(crate) fn requests() -> Case {
        let now = Instant::now();
        let mut server = LitecordServer { ready: true, ..LitecordServer::default() }.start(now);
        session(REQUEST, move |request: &Message| {
            server.handle_input(now, request);
            let Some(ServerEvent::Request { id, .. }) = server.poll_event() else { unreachable!() };
            server.respond(now, id, &true).unwrap();
            black_box(server.poll_transmit().unwrap());
        })
    }
}

#[allow(dead_code)]
mod emagine {
    mod subjects;
    mod texts;

    use std::hint::black_box;
    use std::time::Instant;

    use emagine_proto::{ClientEvent, CodecConfig, JsonRef, ServerMessage};
    use smallwire_core::{Message, Session};
    use testkit::conformance::Subject;
    use testkit::emagine::{EmagineClient, EmagineServer};

    use self::texts::delivered;
    pub(crate) use self::texts::{HEARTBEAT, MESSAGE, READY};
    use crate::Case;
    use crate::gateway::{decode, encode, session};

    pub(crate) fn text(text: &'static str) -> Case {
        let config = CodecConfig::default();
        decode(text, move |text| subjects::from_json(text, &config))
    }

    pub(crate) fn bytes(text: &'static str) -> Case {
        let config = CodecConfig::default();
        decode(text, move |text| subjects::decode(text.as_bytes(), &config))
    }

    pub(crate) fn encode_message() -> Case {
        let message = JsonRef::new(delivered(MESSAGE)).unwrap();
        let (message, config) = (ServerMessage::Message { message }, CodecConfig::default());
        encode(MESSAGE, move |dst| subjects::encode(black_box(&message), &config, dst))
    }

    /// A client gets messages.
    pub(crate) fn messages() -> Case {
        let now = Instant::now();
        let mut client = EmagineClient { ready: true, ..EmagineClient::default() }.start(now);
        session(MESSAGE, move |message: &Message| {
            client.handle_input(now, message);
            let Some(ClientEvent::Message { message }) = client.poll_event() else {
                unreachable!()
            };
            black_box(message);
        })
    }

    /// A server hears heartbeats, and acknowledges them.
    pub(crate) fn heartbeats() -> Case {
        let now = Instant::now();
        let mut server = EmagineServer { ready: true, ..EmagineServer::default() }.start(now);
        session(HEARTBEAT, move |message: &Message| {
            server.handle_input(now, message);
            black_box(server.poll_transmit().unwrap());
        })
    }
}

/// What is the same for both gateways: one message at a time, as often as the benches time it at once.
mod gateway {
    use std::hint::black_box;

    use serde_json::Value;
    use smallwire_core::Message;

    use crate::comparison::{MESSAGES, Seen};
    use crate::{Case, buffer, warm};

    pub(crate) fn decode(text: &'static str, decode: impl Fn(&str) -> Seen + 'static) -> Case {
        warm(move || {
            for _ in 0..MESSAGES {
                decode(black_box(text));
            }
        })
    }

    /// `encode` must make the text.
    pub(crate) fn encode(text: &str, encode: impl Fn(&mut Vec<u8>) + 'static) -> Case {
        let (mut buffer, unused) = buffer();
        encode(&mut buffer);
        let made: Value = serde_json::from_slice(&buffer[unused..]).unwrap();
        assert_eq!(made, serde_json::from_str::<Value>(text).unwrap());
        warm(move || {
            for _ in 0..MESSAGES {
                buffer.truncate(unused);
                encode(&mut buffer);
                black_box(&buffer);
            }
        })
    }

    pub(crate) fn session(text: &'static str, mut hear: impl FnMut(&Message) + 'static) -> Case {
        let message = Message::text(text);
        warm(move || {
            for _ in 0..MESSAGES {
                hear(black_box(&message));
            }
        })
    }
}

#[allow(dead_code)]
mod roomvars {
    mod subjects;
    mod texts;

    use std::collections::BTreeMap;
    use std::hint::black_box;
    use std::time::Instant;

    use roomvars_proto::{Client, ClientConfig, CodecConfig, Limits};
    use smallwire_core::{Message, Session};

    use self::subjects::BlackBox;
    pub(crate) use self::texts::USUAL;
    use self::texts::{Style, batch, sets};
    use crate::{Case, all, warm};

    pub(crate) const SWAPPED: Style = Style { swapped: true, ..USUAL };

    /// Sets that are timed at once, in however many batches.
    const SETS: usize = 200;

    fn batches(len: usize, style: Style) -> Vec<String> {
        sets(SETS).chunks(len).map(|sets| batch(sets, style)).collect()
    }

    pub(crate) fn text(len: usize, style: Style) -> Case {
        let config = CodecConfig::default();
        let batches = batches(len, style);
        warm(move || {
            for text in &batches {
                subjects::new(black_box(text), &config, &mut BlackBox);
            }
        })
    }

    pub(crate) fn bytes(len: usize, style: Style) -> Case {
        let config = CodecConfig::default();
        let batches = batches(len, style);
        warm(move || {
            for text in &batches {
                subjects::decode(black_box(text), &config, &mut BlackBox);
            }
        })
    }

    pub(crate) fn encode(len: usize) -> Case {
        let (sets, config, mut buffer) = (sets(SETS), CodecConfig::default(), Vec::new());
        warm(move || {
            for sets in sets.chunks(len) {
                buffer.clear();
                subjects::push(black_box(sets), &config, &mut buffer);
                black_box(&buffer);
            }
        })
    }

    /// A client hears of sets.
    pub(crate) fn session(len: usize) -> Case {
        let (sets, now) = (sets(SETS), Instant::now());
        let variables: BTreeMap<_, _> = sets.iter().map(|(name, _)| (&**name, "0")).collect();
        let variables: Vec<_> = variables.into_iter().collect();
        let config = ClientConfig::default().limits(Limits::default().max_variables(SETS));
        let mut client = Client::new(config.into(), "lobby", "ada", &variables, now).unwrap();
        black_box(client.poll_transmit());
        let batches: Vec<_> = batches(len, USUAL).into_iter().map(Message::text).collect();
        // Until it has the snapshot, which is the first that it hears.
        client.handle_input(now, &batches[0]);
        while client.poll_event().is_some() {}
        all(SETS, move || {
            let mut heard = 0;
            for message in black_box(&batches) {
                client.handle_input(now, message);
                while let Some(event) = client.poll_event() {
                    black_box(event);
                    heard += 1;
                }
            }
            heard
        })
    }
}

#[allow(dead_code)]
mod hub {
    mod peers;

    use std::collections::BTreeMap;
    use std::hint::black_box;
    use std::time::Duration;

    use roomvars_proto::{Dialect, Message};
    use smallwire_benches::Crowd;

    use self::peers::{batch, round, sets};
    use crate::{Case, all};

    /// Ten sets to so many, who take each at once, or all of them together.
    fn crowd(dialects: &[Dialect], is_collecting: bool) -> Case {
        let sets = sets();
        let variables: BTreeMap<_, _> = sets.iter().map(|(name, _)| (&**name, "0")).collect();
        let variables: Vec<_> = variables.into_iter().collect();
        let interval = is_collecting.then_some(Duration::from_millis(16));
        let mut crowd = Crowd::new(&variables, dialects.iter().copied(), interval).unwrap();
        let said = batch(Dialect::Documented, &sets);
        let said: Vec<_> = said.lines().map(|line| Message::text(line.to_owned())).collect();
        let messages = if is_collecting { 1 } else { sets.len() };
        all(messages * dialects.len(), move || {
            let mut heard = 0;
            round(&mut crowd, black_box(&said), is_collecting, |_, message| {
                black_box(message);
                heard += 1;
            });
            heard
        })
    }

    pub(crate) fn sets_of(receivers: usize) -> Case {
        crowd(&vec![Dialect::Documented; receivers], false)
    }

    pub(crate) fn batches_of(receivers: usize) -> Case {
        crowd(&vec![Dialect::Documented; receivers], true)
    }

    /// Every other one speaks another dialect.
    pub(crate) fn spellings_of(receivers: usize) -> Case {
        let dialects = [Dialect::Documented, Dialect::Deployed2020];
        crowd(&dialects.into_iter().cycle().take(receivers).collect::<Vec<_>>(), false)
    }
}

#[allow(dead_code)]
mod delimchat {
    mod packets;
    mod subjects;

    use std::hint::black_box;
    use std::time::Instant;

    use delimchat_proto::{
        Base64, ClientEvent, ClientMessageId, ClientPacketRef, CodecConfig, Decoder, FromServer,
        RoomId, ServerEvent,
    };
    use smallwire_core::Session;
    use testkit::conformance::Subject;
    use testkit::delimchat::{DelimchatClient, DelimchatServer};

    use self::packets::{READS, Reads, SIZES, Size};
    use crate::{Case, all, buffer};

    pub(crate) const CHARS_40: Size = SIZES[0];
    pub(crate) const CHARS_400: Size = SIZES[1];
    pub(crate) const CHARS_4000: Size = SIZES[2];
    pub(crate) const WHOLE: Reads = READS[0];
    pub(crate) const PACKETS: Reads = READS[1];
    pub(crate) const B100: Reads = READS[2];

    fn decoder() -> Decoder<FromServer> {
        Decoder::new(CodecConfig::default())
    }

    fn stream(size: Size) -> &'static [u8] {
        Vec::leak(size.stream(size.packets()))
    }

    pub(crate) fn borrowed(size: Size, reads: Reads) -> Case {
        let (slices, mut decoder) = (reads.slices(stream(size)), decoder());
        all(size.packets(), move || subjects::borrowed(&mut decoder, black_box(&slices)))
    }

    pub(crate) fn payload(size: Size, reads: Reads) -> Case {
        let (slices, mut decoder) = (reads.slices(stream(size)), decoder());
        let mut payload = Vec::new();
        all(size.packets(), move || {
            subjects::borrowed_payload::<false>(&mut decoder, black_box(&slices), &mut payload)
        })
    }

    pub(crate) fn owned(size: Size, reads: Reads) -> Case {
        let (reads, mut decoder) = (reads.bytes(stream(size)), decoder());
        all(size.packets(), move || subjects::owned_payload(&mut decoder, black_box(&reads)))
    }

    pub(crate) fn encode(size: Size) -> Case {
        let (deliveries, config) = (size.deliveries(size.packets()), CodecConfig::default());
        let (mut buffer, unused) = buffer();
        all(size.packets(), move || {
            buffer.truncate(unused);
            for delivery in black_box(&deliveries) {
                delivery.packet().encode(&config, &mut buffer).unwrap();
            }
            black_box(&buffer[unused..]).len() / size.packet()
        })
    }

    /// A client hears what others say, and gives receipts.
    pub(crate) fn client(size: Size, reads: Reads) -> Case {
        let (slices, now) = (reads.slices(stream(size)), Instant::now());
        let mut client = DelimchatClient { ready: true, ..DelimchatClient::default() }.start(now);
        all(size.packets(), move || {
            let mut heard = 0;
            for read in black_box(&slices) {
                client.handle_input(now, read);
                while let Some(event) = client.poll_event() {
                    heard += usize::from(matches!(black_box(event), ClientEvent::Message { .. }));
                }
                black_box(client.poll_transmit());
            }
            heard
        })
    }

    /// A server hears what a client says, and accepts it.
    pub(crate) fn server(size: Size, reads: Reads) -> Case {
        let mut said = Vec::new();
        for (at, delivery) in (1..).zip(size.deliveries(size.packets())) {
            ClientPacketRef::ShortMessage {
                client_message_id: ClientMessageId::from_counter(at),
                room: RoomId::GLOBAL,
                message: Base64::of(&delivery.payload),
            }
            .encode(&CodecConfig::default(), &mut said)
            .unwrap();
        }
        let (slices, now) = (reads.slices(said.leak()), Instant::now());
        let mut server = DelimchatServer { ready: true, ..DelimchatServer::default() }.start(now);
        all(size.packets(), move || {
            let mut heard = 0;
            for read in black_box(&slices) {
                server.handle_input(now, read);
                while let Some(event) = server.poll_event() {
                    let ServerEvent::Message { id, message, .. } = event else { unreachable!() };
                    black_box(message);
                    server.accept_message(now, id).unwrap();
                    heard += 1;
                }
                black_box(server.poll_transmit());
            }
            heard
        })
    }
}

#[library_benchmark]
#[bench::bingo_decode_7(bingo::borrowed(bingo::B7, bingo::WHOLE))]
#[bench::bingo_decode_69(bingo::borrowed(bingo::B69, bingo::LARGE))]
#[bench::bingo_decode_1024_in_packets(bingo::borrowed(bingo::KIB, bingo::PACKETS))]
#[bench::bingo_owned_69(bingo::owned(bingo::B69, bingo::LARGE))]
#[bench::bingo_owned_1024_in_packets(bingo::owned(bingo::KIB, bingo::PACKETS))]
#[bench::bingo_encode_frame_69(bingo::encode_frame(bingo::B69))]
#[bench::bingo_encode_message_69(bingo::encode_message(bingo::B69))]
#[bench::bingo_session_69(bingo::session(bingo::B69, bingo::LARGE))]
#[bench::litecord_text_heartbeat(litecord::text(litecord::HEARTBEAT))]
#[bench::litecord_text_request(litecord::text(litecord::REQUEST))]
#[bench::litecord_text_request_other_order(litecord::text(litecord::REQUEST_OTHER_ORDER))]
#[bench::litecord_text_response(litecord::response())]
#[bench::litecord_bytes_request(litecord::bytes(litecord::REQUEST))]
#[bench::litecord_encode_request(litecord::encode_request())]
#[bench::litecord_session_requests(litecord::requests())]
#[bench::emagine_text_heartbeat(emagine::text(emagine::HEARTBEAT))]
#[bench::emagine_text_ready(emagine::text(emagine::READY))]
#[bench::emagine_text_message(emagine::text(emagine::MESSAGE))]
#[bench::emagine_bytes_message(emagine::bytes(emagine::MESSAGE))]
#[bench::emagine_encode_message(emagine::encode_message())]
#[bench::emagine_session_messages(emagine::messages())]
#[bench::emagine_session_heartbeats(emagine::heartbeats())]
#[bench::roomvars_text_1(roomvars::text(1, roomvars::USUAL))]
#[bench::roomvars_text_10(roomvars::text(10, roomvars::USUAL))]
#[bench::roomvars_text_10_swapped(roomvars::text(10, roomvars::SWAPPED))]
#[bench::roomvars_bytes_10(roomvars::bytes(10, roomvars::USUAL))]
#[bench::roomvars_encode_10(roomvars::encode(10))]
#[bench::roomvars_session_10(roomvars::session(10))]
#[bench::hub_set_10(hub::sets_of(10))]
#[bench::hub_set_100(hub::sets_of(100))]
#[bench::hub_set_100_two_spellings(hub::spellings_of(100))]
#[bench::hub_batch_100(hub::batches_of(100))]
#[bench::delimchat_decode_40(delimchat::borrowed(delimchat::CHARS_40, delimchat::WHOLE))]
#[bench::delimchat_decode_400(delimchat::borrowed(delimchat::CHARS_400, delimchat::WHOLE))]
#[bench::delimchat_decode_4000_in_100(delimchat::borrowed(delimchat::CHARS_4000, delimchat::B100))]
#[bench::delimchat_payload_400(delimchat::payload(delimchat::CHARS_400, delimchat::WHOLE))]
#[bench::delimchat_owned_400(delimchat::owned(delimchat::CHARS_400, delimchat::WHOLE))]
#[bench::delimchat_encode_400(delimchat::encode(delimchat::CHARS_400))]
#[bench::delimchat_client_400(delimchat::client(delimchat::CHARS_400, delimchat::PACKETS))]
#[bench::delimchat_server_400(delimchat::server(delimchat::CHARS_400, delimchat::PACKETS))]
fn count(mut case: Case) -> Case {
    case();
    case
}

library_benchmark_group!(name = all_cases, benchmarks = count);
main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = all_cases
);
