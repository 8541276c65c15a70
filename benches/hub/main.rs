//! roomvars-proto's hub alone, without sockets, beside what one would write first; `README.md` tells how
//! and why.

mod naive;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use roomvars_proto::{ConnId, Dialect, Hub, HubConfig, Message};

use crate::naive::Naive;

/// Sets of one sample.
const SETS: usize = 10;

/// How the sets reach the receivers.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Each at once.
    AtOnce,
    /// All of a sample as one batch.
    Batched,
    /// Each at once, to clients of two dialects.
    TwoSpellings,
}

/// A hub with a sender and receivers in one room, all of which have taken what there was.
struct Room {
    hub: Hub,
    sender: ConnId,
    now: Instant,
    way: Way,
}

const TICK: Duration = Duration::from_millis(16);

impl Room {
    fn new(receivers: usize, way: Way) -> Self {
        let mut config = HubConfig::default().max_room_clients(receivers + 1);
        if way == Way::Batched {
            config = config.flush_interval(TICK);
        }
        let now = Instant::now();
        let mut hub = Hub::new(Arc::new(config), now);
        let mut join = |at: usize| {
            let old = way == Way::TwoSpellings && at % 2 == 1;
            let dialect = if old { Dialect::Deployed2020 } else { Dialect::Documented };
            let id = hub.connect(now, dialect).unwrap();
            let room = if old { "id" } else { "room" };
            hub.handle_input(
                now,
                id,
                &Message::text(format!(
                    r#"{{"kind":"handshake","{room}":"r","username":"{at}","variables":{{"x":"","y":""}}}}"#
                )),
            );
            id
        };
        let sender = join(0);
        for at in 1..=receivers {
            join(at);
        }
        let mut room = Self { hub, sender, now, way };
        while room.hub.poll_event().is_some() {}
        room.take();
        room
    }

    /// What a driver does whose sockets take everything. Gives how many messages there were.
    #[inline]
    fn take(&mut self) -> usize {
        let mut taken = 0;
        while let Some(id) = self.hub.poll_ready() {
            loop {
                let message = self.hub.poll_transmit(id);
                if message.is_none() {
                    break;
                }
                black_box(&message);
                taken += 1;
            }
        }
        taken
    }

    #[inline]
    fn sets(&mut self, sets: &[Message]) -> usize {
        let mut taken = 0;
        for set in sets {
            self.hub.handle_input(self.now, self.sender, set);
            if self.way != Way::Batched {
                taken += self.take();
            }
        }
        if self.way == Way::Batched {
            self.now += TICK;
            self.hub.handle_timeout(self.now);
            taken += self.take();
        }
        taken
    }
}

fn sets() -> Vec<Message> {
    let names = ["x", "y"];
    let set = |at: usize| {
        format!(r#"{{"kind":"set","variable":"{}","value":"{}"}}"#, names[at % 2], 12_345 + at)
    };
    (0..SETS).map(|at| Message::text(set(at))).collect()
}

fn hub(c: &mut Criterion) {
    let sets = sets();
    for (way, what) in
        [(Way::AtOnce, ""), (Way::Batched, ", batches"), (Way::TwoSpellings, ", two spellings")]
    {
        for receivers in [1, 10, 100, 1000] {
            if way == Way::TwoSpellings && receivers != 100 {
                continue;
            }
            let mut group = c.benchmark_group(format!("hub {receivers}{what}"));
            let elements = (receivers * sets.len()) as u64;
            let bytes = sets.iter().map(|set| (set.len() * receivers) as u64).sum();
            let throughput = Throughput::ElementsAndBytes { elements, bytes };
            group.sampling_mode(SamplingMode::Flat).throughput(throughput);
            let mut room = Room::new(receivers, way);
            let messages = if way == Way::Batched { receivers } else { receivers * sets.len() };
            assert_eq!(room.sets(&sets), messages);
            group.bench_function("hub", |b| b.iter(|| room.sets(black_box(&sets))));
            if way == Way::AtOnce {
                let mut naive = Naive::new(receivers);
                assert_eq!(naive.sets(&sets), messages);
                group.bench_function("naive", |b| b.iter(|| naive.sets(black_box(&sets))));
            }
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(700))
        .sample_size(100)
        .nresamples(10_000)
        .without_plots();
    targets = hub
}
criterion_main!(benches);
