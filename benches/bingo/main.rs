//! bingo-proto beside others that cut a byte stream into frames; `README.md` tells how and why.

mod streams;
mod subjects;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bingo_proto::{
    ClientMessage, CodecConfig, Config, Decoder, FrameRef, Identification, MessageId, OpCode,
    Server, ServerMessage, Session,
};
use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, BenchmarkGroup, Criterion, SamplingMode, Throughput};
use criterion::{criterion_group, criterion_main, measurement::WallTime};
use tokio_util::codec::{Encoder as _, LengthDelimitedCodec};

use crate::streams::{LARGE, PACKETS, Reads, SIZES, Size, WHOLE};

/// The cases of one comparison, one right after the other.
fn compare<'c>(
    c: &'c mut Criterion,
    name: &str,
    size: Size,
    frames: usize,
) -> BenchmarkGroup<'c, WallTime> {
    let mut group = c.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::ElementsAndBytes {
        elements: frames as u64,
        bytes: (frames * size.frame()) as u64,
    });
    group
}

/// One case: `run` gives the number of frames it saw, which must be all.
fn case(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    frames: usize,
    mut run: impl FnMut() -> usize,
) {
    assert_eq!(run(), frames, "{name}");
    group.bench_function(name, |b| b.iter(&mut run));
}

fn decode(c: &mut Criterion) {
    for size in SIZES {
        for reads in [WHOLE, LARGE, PACKETS] {
            decode_reads(c, size, reads);
        }
    }
}

fn decode_reads(c: &mut Criterion, size: Size, reads: Reads) {
    let frames = size.frames();
    let (stream, websocket, resp) = (size.bingo(), size.websocket(), size.resp());
    let slices = reads.slices(&stream);
    let whole = slices.len() == 1;
    let name = format!("decode {} {}", size.name, reads.name);
    let mut group = compare(c, &name, size, frames);

    if whole {
        case(&mut group, "walker", frames, || subjects::walker(black_box(&stream)));
    }
    let mut decoder = Decoder::new(CodecConfig::default());
    case(&mut group, "borrowed", frames, || subjects::borrowed(&mut decoder, black_box(&slices)));

    let (mut codec, mut buffer) = (subjects::length_delimited_codec(), BytesMut::new());
    case(&mut group, "length-delimited", frames, || {
        subjects::length_delimited_fed(&mut codec, &mut buffer, black_box(&slices))
    });
    if whole {
        prepared(&mut group, frames, &stream);
    }

    let bytes = reads.bytes(&stream);
    let mut decoder = Decoder::new(CodecConfig::default());
    case(&mut group, "owned", frames, || subjects::owned(&mut decoder, black_box(&bytes)));

    let mut socket = subjects::web_socket(&websocket, reads);
    case(&mut group, "tungstenite", frames, || subjects::tungstenite(black_box(&mut socket)));

    if whole {
        case(&mut group, "redis-ranges", frames, || subjects::redis_ranges(black_box(&resp)));
    } else {
        let (mut decoder, mut buffer) = (Decoder::new(CodecConfig::default()), Vec::new());
        case(&mut group, "borrowed-copied", frames, || {
            subjects::borrowed_copied(&mut decoder, black_box(&slices), &mut buffer)
        });
        let (slices, mut buffer) = (reads.slices(&resp), BytesMut::new());
        case(&mut group, "redis-bytes", frames, || {
            subjects::redis_bytes(&mut buffer, black_box(&slices))
        });
    }
    group.finish();
}

/// `LengthDelimitedCodec` in its best light: the whole stream is in its buffer before time starts.
/// The header of one more frame keeps it from giving the buffer back, and from making another,
/// while time runs.
fn prepared(group: &mut BenchmarkGroup<'_, WallTime>, frames: usize, stream: &[u8]) {
    let stream = [stream, b"\x08\x00\x00\x00\x02"].concat();
    group.bench_function("length-delimited-prepared", |b| {
        b.iter_batched(
            || (subjects::length_delimited_codec(), BytesMut::from(&stream[..])),
            |(mut codec, mut buffer)| {
                assert_eq!(subjects::length_delimited(&mut codec, &mut buffer), frames);
                buffer
            },
            BatchSize::NumIterations(4),
        );
    });
}

fn encode(c: &mut Criterion) {
    let config = CodecConfig::default();
    for size in SIZES {
        // As much as a busy connection writes at once.
        let frames = (256 * 1024 / size.frame()).min(1024);
        let payload = Bytes::from(vec![b'x'; size.payload]);
        let mut group = compare(c, &format!("encode {}", size.name), size, frames);

        let mut vec = Vec::new();
        case(&mut group, "frame-vec", frames, || {
            vec.clear();
            for _ in 0..frames {
                let (id, payload) = black_box((MessageId(0x8000), &payload));
                FrameRef::new(OpCode::Event, id, payload).encode(&config, &mut vec).unwrap();
            }
            black_box(&vec).len() / size.frame()
        });
        let mut buffer = BytesMut::new();
        case(&mut group, "frame-bytes", frames, || {
            buffer.clear();
            for _ in 0..frames {
                let (id, payload) = black_box((MessageId(0x8000), &payload));
                FrameRef::new(OpCode::Event, id, payload).encode(&config, &mut buffer).unwrap();
            }
            black_box(&buffer).len() / size.frame()
        });
        let mut vec = Vec::new();
        case(&mut group, "message-vec", frames, || {
            vec.clear();
            for _ in 0..frames {
                let (id, payload) = black_box((MessageId(0x8000), &payload));
                ServerMessage::Event(payload).encode(id, &config, &mut vec).unwrap();
            }
            black_box(&vec).len() / size.frame()
        });

        // It writes a length and the payload only, and so less than a bingo frame.
        let written = size.payload + 2;
        let mut codec = LengthDelimitedCodec::builder().length_field_length(2).new_codec();
        let mut buffer = BytesMut::new();
        case(&mut group, "length-delimited", frames, || {
            buffer.clear();
            for _ in 0..frames {
                codec.encode(black_box(&payload).clone(), &mut buffer).unwrap();
            }
            black_box(&buffer).len() / written
        });
        let mut buffer = BytesMut::new();
        case(&mut group, "length-delimited-slice", frames, || {
            buffer.clear();
            for _ in 0..frames {
                codec.encode(&black_box(&payload)[..], &mut buffer).unwrap();
            }
            black_box(&buffer).len() / written
        });
        group.finish();
    }
}

/// A server that has let its client in.
fn ready_server(now: Instant) -> Server {
    let mut server = Server::new(Arc::new(Config::default()), now);
    let mut first = Vec::new();
    ClientMessage::Identification(Identification::new("9f2c", "Ada"))
        .encode(MessageId(0), &CodecConfig::default(), &mut first)
        .unwrap();
    server.handle_input(now, &first);
    assert!(server.poll_event().is_some());
    server.accept(now, b"token").unwrap();
    assert!(server.poll_transmit().is_some());
    server
}

fn session(c: &mut Criterion) {
    let now = Instant::now();
    for size in SIZES {
        let (frames, stream) = (size.frames(), size.bingo());
        let slices = LARGE.slices(&stream);
        let name = format!("session {} {}", size.name, LARGE.name);
        let mut group = compare(c, &name, size, frames);

        let mut server = ready_server(now);
        case(&mut group, "server", frames, || {
            subjects::session(&mut server, now, black_box(&slices))
        });
        let (mut codec, mut buffer) = (subjects::length_delimited_codec(), BytesMut::new());
        case(&mut group, "length-delimited", frames, || {
            subjects::length_delimited_fed(&mut codec, &mut buffer, black_box(&slices))
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    // A run of all takes a few minutes, so the cases of a comparison are close in time; a sample
    // takes a few milliseconds, so most are spared by whatever else the machine does.
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(200)
        .nresamples(10_000)
        .without_plots();
    targets = decode, encode, session
}
criterion_main!(benches);
