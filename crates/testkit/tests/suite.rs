//! The conformance suite finds the faults it is there to find.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use smallwire_core::{End, Session};
use testkit::conformance::{
    Call, Subject, memory_is_bounded, session_ignores_chunking, session_survives, work_is_linear,
};

/// Echoes bytes, and has one fault.
struct Faulty {
    fault: &'static str,
    out: Vec<u8>,
    kept: Vec<u8>,
    events: u8,
    end: Option<End<Infallible>>,
}

impl Session for Faulty {
    type Input = [u8];
    type Transmit = Vec<u8>;
    type Event = u8;
    type Error = Infallible;

    fn wants_input(&self) -> bool {
        let room = self.out.len() < 200 || self.fault == "no back-pressure";
        (self.end.is_none() && room) || self.fault == "wants input after its end"
    }

    fn handle_input(&mut self, _: Instant, input: &[u8]) {
        self.out.extend_from_slice(input);
        match self.fault {
            "cuts" => self.events += 1,
            "leak" => self.kept.extend_from_slice(input),
            _ => {}
        }
    }

    fn handle_eof(&mut self, _: Instant) {
        self.end = Some(End::Clean);
    }

    fn handle_timeout(&mut self, _: Instant) {
        assert_ne!(self.fault, "panic");
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        if self.out.is_empty() {
            return None;
        }
        if self.fault == "poll order" {
            self.events += 1;
        }
        Some(std::mem::take(&mut self.out))
    }

    fn poll_event(&mut self) -> Option<u8> {
        if self.fault == "poll order" {
            self.out.clear();
        }
        self.events = self.events.checked_sub(1)?;
        Some(self.events)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn ended(&self) -> Option<&End<Infallible>> {
        self.end.as_ref()
    }
}

struct Fault(&'static str);

impl Subject for Fault {
    type Session = Faulty;

    fn start(&self, _: Instant) -> Faulty {
        Faulty { fault: self.0, out: vec![], kept: vec![], events: 0, end: None }
    }

    fn react(&self, _: &mut Faulty, _: Instant, _: u8) {}

    fn act(&self, _: &mut Faulty, _: Instant, _: u8) -> Option<u64> {
        None
    }

    fn max_memory(&self, largest_input: usize) -> usize {
        6 * largest_input
    }
}

/// Runs the suite on a session with this fault.
fn suite(fault: &'static str) {
    session_ignores_chunking(&Fault(fault), b"some bytes");
    let calls = [Call::Input(vec![1]), Call::Sleep(Duration::from_secs(1)), Call::Eof];
    session_survives(&Fault(fault), &calls, false);
    memory_is_bounded(&Fault(fault), &vec![vec![0; 100]; 100]);
}

#[test]
fn the_suite_passes_a_session_without_fault() {
    suite("");
}

#[test]
fn the_suite_finds_each_fault() {
    for fault in
        ["cuts", "poll order", "panic", "wants input after its end", "leak", "no back-pressure"]
    {
        assert!(std::panic::catch_unwind(|| suite(fault)).is_err(), "{fault} passed");
    }
}

#[test]
#[should_panic(expected = "four times the input")]
fn quadratic_work_is_found() {
    let work = |n: usize| {
        let bytes = vec![1_u8; n];
        let sum: usize =
            (0..n).map(|end| bytes[..end].iter().map(|b| usize::from(*b)).sum::<usize>()).sum();
        assert!(sum > 0);
    };
    work_is_linear(work, 1000);
}

#[test]
fn linear_work_passes() {
    let work = |n: usize| {
        let sum: usize = vec![1_u8; 1000 * n].into_iter().map(usize::from).sum();
        assert_eq!(sum, 1000 * n);
    };
    work_is_linear(work, 200);
}
