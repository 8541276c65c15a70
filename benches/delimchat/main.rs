//! delimchat-proto beside others that look for delimiters; `README.md` tells how and why.

mod packets;
mod subjects;

use std::hint::black_box;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::{BufMut, BytesMut};
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};
use criterion::{criterion_group, criterion_main, measurement::WallTime};
use delimchat_proto::{CodecConfig, Decoder, FromServer};

use crate::packets::{ALIAS, READS, SIZES, Size, USERNAME};

/// The cases of one comparison, one right after the other.
fn compare<'c>(
    c: &'c mut Criterion,
    name: &str,
    size: Size,
    packets: usize,
) -> BenchmarkGroup<'c, WallTime> {
    let mut group = c.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::ElementsAndBytes {
        elements: packets as u64,
        bytes: (packets * size.packet()) as u64,
    });
    group
}

/// One case: `run` gives the number of packets it saw, which must be as many.
fn case(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    packets: usize,
    mut run: impl FnMut() -> usize,
) {
    assert_eq!(run(), packets, "{name}");
    group.bench_function(name, |b| b.iter(&mut run));
}

fn decoder() -> Decoder<FromServer> {
    Decoder::new(CodecConfig::default())
}

fn decode(c: &mut Criterion) {
    for size in SIZES {
        let packets = size.packets();
        let stream = size.stream(packets);
        let (pieces, _) = subjects::pieces(&stream);
        for reads in READS {
            let slices = reads.slices(&stream);
            let name = format!("delimchat decode {} {}", size.name, reads.name);
            let mut group = compare(c, &name, size, packets);
            if slices.len() == 1 {
                case(&mut group, "walker", packets, || subjects::walker(black_box(&stream)));
            }
            let mut ours = decoder();
            case(&mut group, "borrowed", packets, || {
                subjects::borrowed(&mut ours, black_box(&slices))
            });
            let (mut codec, mut buffer) = (subjects::any_delimiter_codec(), BytesMut::new());
            case(&mut group, "any-delimiter", pieces, || {
                subjects::any_delimiter(&mut codec, &mut buffer, black_box(&slices))
            });
            let (mut codec, mut buffer) = (subjects::any_delimiter_codec(), BytesMut::new());
            case(&mut group, "any-delimiter-passing", pieces, || {
                subjects::any_delimiter_passing(&mut codec, &mut buffer, black_box(&slices))
            });
            group.finish();

            if reads.name == READS[2].name {
                continue;
            }
            let name = format!("delimchat payload {} {}", size.name, reads.name);
            let mut group = compare(c, &name, size, packets);
            let (mut ours, mut payload) = (decoder(), Vec::new());
            case(&mut group, "borrowed", packets, || {
                subjects::borrowed_payload::<false>(&mut ours, black_box(&slices), &mut payload)
            });
            case(&mut group, "borrowed-checked", packets, || {
                subjects::borrowed_payload::<true>(&mut ours, black_box(&slices), &mut payload)
            });
            let (mut ours, bytes) = (decoder(), reads.bytes(&stream));
            case(&mut group, "owned", packets, || {
                subjects::owned_payload(&mut ours, black_box(&bytes))
            });
            let (mut codec, mut buffer) = (subjects::any_delimiter_codec(), BytesMut::new());
            case(&mut group, "strings", pieces, || {
                subjects::strings(&mut codec, &mut buffer, black_box(&slices))
            });
            let (mut codec, mut buffer) = (subjects::any_delimiter_codec(), BytesMut::new());
            case(&mut group, "vecs", pieces, || {
                subjects::vecs(&mut codec, &mut buffer, black_box(&slices))
            });
            group.finish();
        }
    }
}

fn encode(c: &mut Criterion) {
    let config = CodecConfig::default();
    for size in SIZES {
        let packets = size.packets();
        let deliveries = size.deliveries(packets);
        let mut group = compare(c, &format!("delimchat encode {}", size.name), size, packets);

        let mut vec = Vec::new();
        case(&mut group, "packet-vec", packets, || {
            vec.clear();
            for delivery in black_box(&deliveries) {
                delivery.packet().encode(&config, &mut vec).unwrap();
            }
            black_box(&vec).len() / size.packet()
        });
        let mut buffer = BytesMut::new();
        case(&mut group, "packet-bytes", packets, || {
            buffer.clear();
            for delivery in black_box(&deliveries) {
                delivery.packet().encode(&config, &mut buffer).unwrap();
            }
            black_box(&buffer).len() / size.packet()
        });

        case(&mut group, "put-new-vec", packets, || {
            let each = black_box(&deliveries).iter().map(|delivery| {
                let mut vec = Vec::new();
                put(delivery, &mut vec);
                black_box(&vec).len()
            });
            each.sum::<usize>() / size.packet()
        });
        case(&mut group, "put-new-bytes", packets, || {
            let each = black_box(&deliveries).iter().map(|delivery| {
                let mut buffer = BytesMut::new();
                put(delivery, &mut buffer);
                black_box(&buffer).len()
            });
            each.sum::<usize>() / size.packet()
        });
        let mut vec = Vec::new();
        case(&mut group, "put-vec", packets, || {
            vec.clear();
            for delivery in black_box(&deliveries) {
                put(delivery, &mut vec);
            }
            black_box(&vec).len() / size.packet()
        });
        let mut buffer = BytesMut::new();
        case(&mut group, "put-bytes", packets, || {
            buffer.clear();
            for delivery in black_box(&deliveries) {
                put(delivery, &mut buffer);
            }
            black_box(&buffer).len() / size.packet()
        });
        group.finish();
    }
}

/// A packet as one would write it first; nothing is checked.
fn put(delivery: &packets::Delivery, dst: &mut impl BufMut) {
    dst.put_u8(0x53);
    dst.put_u8(0xFF);
    dst.put_slice(&delivery.unique_id);
    dst.put_u8(0xFF);
    dst.put_slice(&delivery.room);
    dst.put_u8(0xFF);
    dst.put_slice(black_box(USERNAME).as_bytes());
    dst.put_u8(0xFF);
    dst.put_slice(black_box(ALIAS).as_bytes());
    dst.put_u8(0xFF);
    dst.put_slice(BASE64_STANDARD.encode(&delivery.payload).as_bytes());
    dst.put_u8(0x00);
}

/// Not timed: what looking for `00` makes of packets whose identifiers may have it.
fn count(_: &mut Criterion) {
    for size in SIZES {
        let stream = size.stream(2000);
        let ours = subjects::borrowed(&mut decoder(), &[&stream]);
        let (pieces, right) = subjects::pieces(&stream);
        println!(
            "{} of 2000 packets: ours {ours}; any-delimiter {pieces} pieces, {right} right",
            size.name
        );
        assert!(ours == 2000 && pieces > 2000 && right < 1700);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(100)
        .nresamples(10_000)
        .without_plots();
    targets = count, decode, encode
}
criterion_main!(benches);
