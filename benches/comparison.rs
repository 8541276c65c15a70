//! What the benches of the gateways have in common: one message at a time, 64 in a row.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};
use serde::Serialize;
use serde_json::Value;
use twilight_model::gateway::event::GatewayEventDeserializer;

/// What a decoder gives to be checked by: the opcode, and a number that tells of the rest.
pub(crate) type Seen = (u64, usize);

/// Messages that are timed at once: the small ones take a few nanoseconds.
pub(crate) const MESSAGES: usize = 64;

/// The cases of one comparison, one right after the other.
pub(crate) struct Comparison<'c, 't> {
    group: BenchmarkGroup<'c, WallTime>,
    text: &'t str,
}

impl<'c, 't> Comparison<'c, 't> {
    pub(crate) fn new(c: &'c mut Criterion, name: &str, text: &'t str) -> Self {
        let mut group = c.benchmark_group(name);
        group.sampling_mode(SamplingMode::Flat).throughput(Throughput::ElementsAndBytes {
            elements: MESSAGES as u64,
            bytes: (MESSAGES * text.len()) as u64,
        });
        Self { group, text }
    }

    /// `decode` must see `expected` in the text.
    pub(crate) fn decode(
        &mut self,
        name: &str,
        expected: Seen,
        mut decode: impl FnMut(&str) -> Seen,
    ) {
        assert_eq!(decode(self.text), expected, "{name}");
        self.group.bench_function(name, |b| {
            b.iter(|| {
                for _ in 0..MESSAGES {
                    decode(black_box(self.text));
                }
            });
        });
    }

    /// `encode` must make the text; `json!` may put its keys in another order.
    pub(crate) fn encode(&mut self, name: &str, mut encode: impl FnMut(&mut Vec<u8>)) {
        let mut buffer = Vec::new();
        encode(&mut buffer);
        let made: Value = serde_json::from_slice(&buffer).unwrap();
        assert_eq!(made, serde_json::from_str::<Value>(self.text).unwrap(), "{name}");
        self.group.bench_function(name, |b| {
            b.iter(|| {
                for _ in 0..MESSAGES {
                    buffer.clear();
                    encode(&mut buffer);
                    black_box(&buffer);
                }
            });
        });
    }
}

/// How twilight-gateway looks at every message before it decodes it: the opcode (and `s` and `t`)
/// by a search for its key.
pub(crate) fn twilight(text: &str) -> Seen {
    let scanned = GatewayEventDeserializer::from_json(text).unwrap();
    (black_box(&scanned).op().into(), 0)
}

pub(crate) fn to_writer(message: &impl Serialize, dst: &mut Vec<u8>) {
    serde_json::to_writer(dst, message).unwrap();
}

/// A sample takes milliseconds; all of it, less than two minutes.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(700))
        .sample_size(100)
        .nresamples(10_000)
        .without_plots()
}
