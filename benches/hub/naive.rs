//! A room as one would write it first: a queue of texts for each client, and serde for each set.

use std::collections::{HashMap, VecDeque};
use std::hint::black_box;

use roomvars_proto::Message;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Set {
    kind: String,
    variable: String,
    value: String,
}

pub(crate) struct Naive {
    variables: HashMap<String, String>,
    /// What each client is still to be sent; the first is the sender.
    queues: Vec<VecDeque<String>>,
}

impl Naive {
    pub(crate) fn new(receivers: usize) -> Self {
        let variables = [("x".into(), String::new()), ("y".into(), String::new())];
        Self { variables: variables.into(), queues: vec![VecDeque::new(); receivers + 1] }
    }

    /// The same as the hub does at once, with nothing bounded and nothing fair.
    pub(crate) fn sets(&mut self, sets: &[Message]) -> usize {
        let mut taken = 0;
        for set in sets {
            let Message::Text(text) = set else { unreachable!() };
            let set: Set = serde_json::from_slice(text).unwrap();
            assert_eq!(set.kind, "set");
            self.variables.get_mut(&set.variable).unwrap().clone_from(&set.value);
            let text = serde_json::to_string(&set).unwrap();
            for queue in self.queues.iter_mut().skip(1) {
                queue.push_back(text.clone());
            }
            for queue in &mut self.queues {
                while let Some(text) = queue.pop_front() {
                    black_box(&text);
                    taken += 1;
                }
            }
        }
        taken
    }
}
