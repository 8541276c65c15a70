//! roomvars-proto's hub alone, without sockets, beside what one would write first; `README.md` tells how
//! and why.

mod peers;

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};
use criterion::{criterion_group, criterion_main, measurement::WallTime};
use roomvars_proto::{Dialect, Message};
use smallwire_benches::Crowd;

use crate::peers::{Naive, Queues, Server, batch, round, sets};

/// The cases of one comparison, one right after the other.
struct Comparison<'c> {
    group: BenchmarkGroup<'c, WallTime>,
    /// What the sender says, again and again.
    sets: Vec<Message>,
    /// What all hear of it together, sorted.
    heard: Vec<String>,
    is_collecting: bool,
}

impl Comparison<'_> {
    /// Everybody must hear what is to be heard; then it is timed.
    fn add<S: Server>(&mut self, name: &str, mut server: S) {
        let mut heard: HashMap<_, Vec<_>> = HashMap::new();
        round(&mut server, &self.sets, self.is_collecting, |who, message| {
            heard.entry(who).or_default().push(S::text(message).to_owned());
        });
        let messages = if self.is_collecting { 1 } else { self.sets.len() };
        assert!(heard.values().all(|texts| texts.len() == messages), "{name}");
        let mut heard: Vec<_> = heard.into_values().map(|texts| texts.join("\n")).collect();
        heard.sort_unstable();
        assert_eq!(heard, self.heard, "{name}");

        let Self { group, sets, is_collecting, .. } = self;
        group.bench_function(name, |b| {
            b.iter(|| {
                round(&mut server, black_box(sets), *is_collecting, |_, message| {
                    // Where it is: a driver would hand it on.
                    black_box(message);
                });
            });
        });
    }
}

fn compare(c: &mut Criterion, what: &str, receivers: &[Dialect], is_collecting: bool) {
    let sets = sets();
    let mut heard: Vec<_> = receivers.iter().map(|dialect| batch(*dialect, &sets)).collect();
    heard.sort_unstable();
    let said = batch(Dialect::Documented, &sets);
    let said: Vec<_> = said.lines().map(|line| Message::text(line.to_owned())).collect();

    let mut group = c.benchmark_group(format!("hub {}{what}", receivers.len()));
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::ElementsAndBytes {
        elements: (receivers.len() * sets.len()) as u64,
        bytes: heard.iter().map(|text| text.len() as u64).sum(),
    });
    let mut comparison = Comparison { group, sets: said, heard, is_collecting };

    let variables: BTreeMap<_, _> = sets.iter().map(|(name, _)| (&**name, "0")).collect();
    let variables: Vec<_> = variables.into_iter().collect();
    let interval = is_collecting.then_some(Duration::from_millis(16));
    let crowd = Crowd::new(&variables, receivers.iter().copied(), interval);
    comparison.add("hub", crowd.unwrap());
    comparison.add("naive", Queues::<Naive>::new(&sets, receivers, is_collecting));
    comparison.add("copied", Queues::<String>::new(&sets, receivers, is_collecting));
    comparison.add("shared", Queues::<Arc<str>>::new(&sets, receivers, is_collecting));
}

fn hub(c: &mut Criterion) {
    for receivers in [1, 10, 100, 1000] {
        let mut dialects = vec![Dialect::Documented; receivers];
        compare(c, "", &dialects, false);
        compare(c, ", batches", &dialects, true);
        if receivers > 1 {
            for dialect in dialects.iter_mut().skip(1).step_by(2) {
                *dialect = Dialect::Deployed2020;
            }
            compare(c, ", two spellings", &dialects, false);
        }
    }
}

criterion_group! {
    name = benches;
    // Samples of a millisecond or two: on a busy machine most of them pass undisturbed.
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(700))
        .sample_size(500)
        .nresamples(10_000)
        .without_plots();
    targets = hub
}
criterion_main!(benches);
