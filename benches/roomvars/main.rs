//! roomvars-proto's codec beside serde, which would do its work; `README.md` tells how and why.

mod subjects;
mod texts;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};
use criterion::{criterion_group, criterion_main, measurement::WallTime};
use roomvars_proto::{CodecConfig, Dialect};
use serde_json::{Number, Value};

use crate::subjects::{BlackBox, Text, deployed, documented, scratch};
use crate::texts::{Set, Style, USUAL};

/// Sets that are timed at once, in however many batches.
const SETS: usize = 200;

/// The cases of one comparison, one right after the other.
struct Comparison<'c, 't> {
    group: BenchmarkGroup<'c, WallTime>,
    /// What is said, batch by batch.
    batches: Vec<(&'t [Set], String)>,
}

impl<'c, 't> Comparison<'c, 't> {
    fn new(c: &'c mut Criterion, name: &str, sets: &'t [Set], len: usize, style: Style) -> Self {
        let batches = sets.chunks(len).map(|sets| (sets, texts::batch(sets, style)));
        let batches: Vec<_> = batches.collect();
        let mut group = c.benchmark_group(name);
        group.sampling_mode(SamplingMode::Flat).throughput(Throughput::ElementsAndBytes {
            elements: sets.len() as u64,
            bytes: batches.iter().map(|(_, text)| text.len() as u64).sum(),
        });
        Self { group, batches }
    }

    /// `check` must see in each text what it says; `decode` does the same, and is timed.
    fn decode<'a>(
        &'a mut self,
        name: &str,
        mut check: impl FnMut(&'a str, &mut Vec<Set>),
        mut decode: impl FnMut(&'a str, &mut BlackBox),
    ) {
        for (sets, text) in &self.batches {
            let mut seen = Vec::new();
            check(text, &mut seen);
            assert_eq!(seen, *sets, "{name}");
        }
        self.group.bench_function(name, |b| {
            b.iter(|| {
                for (_, text) in &self.batches {
                    decode(black_box(text), &mut BlackBox);
                }
            });
        });
    }

    /// `encode` must make each text; `json!` may put its keys in another order.
    fn encode(&mut self, name: &str, mut encode: impl FnMut(&[Set], &mut Vec<u8>)) {
        let values = |text: &str| -> Vec<Value> {
            text.split('\n').map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let mut buffer = Vec::new();
        for (sets, text) in &self.batches {
            buffer.clear();
            encode(sets, &mut buffer);
            assert_eq!(values(str::from_utf8(&buffer).unwrap()), values(text), "{name}");
        }
        self.group.bench_function(name, |b| {
            b.iter(|| {
                for (sets, _) in &self.batches {
                    buffer.clear();
                    encode(black_box(sets), &mut buffer);
                    black_box(&buffer);
                }
            });
        });
    }
}

/// One function over two sinks: what is checked is what is timed.
macro_rules! decode {
    ($comparison:ident, $name:literal, $decode:path $(, $argument:expr)*) => {
        $comparison.decode(
            $name,
            |text, sink| $decode(text $(, $argument)*, sink),
            |text, sink| $decode(text $(, $argument)*, sink),
        )
    };
}

fn compare(c: &mut Criterion, what: &str, sets: &[Set], len: usize, style: Style) {
    let config = black_box(CodecConfig::default().dialect(style.dialect));
    let keys = texts::keys(style.dialect);
    let name = format!("roomvars decode {len}{what}");
    let mut comparison = Comparison::new(c, &name, sets, len, style);
    decode!(comparison, "text", subjects::new, &config);
    decode!(comparison, "bytes", subjects::decode, &config);
    decode!(comparison, "value", subjects::value, keys);
    match (style.dialect, style.quote) {
        (Dialect::Documented, _) => {
            decode!(comparison, "tagged", documented::tagged::<String>);
            decode!(comparison, "stream", documented::stream::<Text<'_>>);
            decode!(comparison, "sonic", documented::sonic::<Text<'_>>);
        }
        (Dialect::Deployed2020, _) => {
            decode!(comparison, "tagged", deployed::tagged::<String>);
            decode!(comparison, "stream", deployed::stream::<Text<'_>>);
            decode!(comparison, "sonic", deployed::sonic::<Text<'_>>);
        }
        (Dialect::Scratch, "\"") => {
            decode!(comparison, "tagged", scratch::tagged::<String>);
            decode!(comparison, "stream", scratch::stream::<Text<'_>>);
            decode!(comparison, "sonic", scratch::sonic::<Text<'_>>);
        }
        (Dialect::Scratch, _) => {
            decode!(comparison, "tagged", scratch::tagged::<Number>);
            decode!(comparison, "stream", scratch::stream::<Number>);
            decode!(comparison, "sonic", scratch::sonic::<Number>);
        }
    }
}

fn decode(c: &mut Criterion) {
    let sets = texts::sets(SETS);
    for len in [1, 10, 200] {
        compare(c, "", &sets, len, USUAL);
        compare(c, ", keys swapped", &sets, len, Style { swapped: true, ..USUAL });
    }
    // An escape in each.
    let starred: Vec<Set> = sets
        .iter()
        .map(|(name, value)| (format!("☁ {}", name.trim_start_matches("☁ ")), value.clone()))
        .collect();
    let escaped = Style { ascii: true, ..USUAL };
    for len in [1, 10, 200] {
        compare(c, ", names escaped", &starred, len, escaped);
    }
    compare(c, ", as Python writes them", &sets, 10, Style { spaced: true, ..escaped });
    let deployed = Style { dialect: Dialect::Deployed2020, ..USUAL };
    let scratch = Style { dialect: Dialect::Scratch, ..USUAL };
    compare(c, ", Deployed2020", &sets, 10, deployed);
    compare(c, ", Scratch", &sets, 10, scratch);
    compare(c, ", Scratch numbers", &texts::numbers(SETS), 10, Style { quote: "", ..scratch });
}

fn encode(c: &mut Criterion) {
    let config = black_box(CodecConfig::default());
    let sets = texts::sets(SETS);
    for len in [1, 10, 200] {
        let name = format!("roomvars encode {len}");
        let mut comparison = Comparison::new(c, &name, &sets, len, USUAL);
        comparison.encode("writer", |sets, dst| subjects::push(sets, &config, dst));
        comparison.encode("json!", |sets, dst| *dst = subjects::json(sets).into_bytes());
        comparison.encode("to_writer", subjects::to_writer);
    }
}

criterion_group! {
    name = benches;
    // A sample takes milliseconds; all of it, less than two minutes.
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(700))
        .sample_size(100)
        .nresamples(10_000)
        .without_plots();
    targets = decode, encode
}
criterion_main!(benches);
