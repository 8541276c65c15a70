//! What the hub allocates in the state in which it is timed.

use std::time::Duration;

use allocation_counter::measure;
use roomvars_proto::{Dialect, Message};
use smallwire_benches::Crowd;

/// So many receivers, all of one dialect or half of them of another.
fn crowd(receivers: usize, is_mixed: bool, flush_interval: Option<Duration>) -> Crowd {
    let dialect = |at| match at % 2 {
        1 if is_mixed => Dialect::Deployed2020,
        _ => Dialect::Documented,
    };
    Crowd::new(&[("turn", "0")], (0..receivers).map(dialect), flush_interval).unwrap()
}

fn sets() -> Vec<Message> {
    let set = |value| format!(r#"{{"kind":"set","variable":"turn","value":"{value}"}}"#);
    ["7", "-118.5", "41891.25", "0234837290963675442001000234"]
        .map(|v| Message::text(set(v)))
        .into()
}

#[test]
fn a_set_costs_at_most_one_allocation_and_a_receiver_none() {
    let sets = sets();
    for (receivers, is_mixed) in [(1, false), (10, false), (10, true), (1000, false), (1000, true)]
    {
        let mut crowd = crowd(receivers, is_mixed, None);
        let mut round = || {
            for set in &sets {
                crowd.handle_input(set);
                let mut taken = 0;
                crowd.take_all(|_, _| taken += 1);
                assert_eq!(taken, receivers);
            }
        };
        (0..10).for_each(|_| round());
        let used = measure(|| (0..100).for_each(|_| round()));
        assert!(used.count_total <= 100 * sets.len() as u64, "{receivers}, {is_mixed}: {used:?}");
        assert_eq!(used.bytes_current, 0);
    }
}

#[test]
fn a_batch_costs_no_allocation_for_each_receiver() {
    let sets = sets();
    let allocations = |receivers, is_mixed| {
        let mut crowd = crowd(receivers, is_mixed, Some(Duration::from_millis(16)));
        let mut round = || {
            for set in &sets {
                crowd.handle_input(set);
            }
            crowd.flush();
            let mut taken = 0;
            crowd.take_all(|_, _| taken += 1);
            assert_eq!(taken, receivers);
        };
        (0..10).for_each(|_| round());
        let used = measure(|| (0..100).for_each(|_| round()));
        assert_eq!(used.bytes_current, 0);
        used.count_total
    };
    for is_mixed in [false, true] {
        assert_eq!(allocations(10, is_mixed), allocations(1000, is_mixed));
    }
}
