use alloc::collections::{BTreeMap, BTreeSet};

use crate::{MessageId, RequestId};
use smallwire_core::clock::Time;

/// Everything that awaits an answer, both ways. Boxed by its owner while there is any.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    ours: BTreeMap<MessageId, Awaited>,
    /// Of all of `ours`, soonest first.
    deadlines: BTreeSet<(Time, MessageId)>,
    requests: usize,
    pings: usize,
    /// Messages of the peer that await our answer, and when it gives up on them.
    pub(crate) theirs: BTreeMap<MessageId, Time>,
}

#[derive(Debug)]
struct Awaited {
    what: What,
    deadline: Time,
}

/// What is behind an id that we can't use again yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Request,
    Ping {
        sent: Time,
    },
    /// A request that timed out: its id rests until the late reply has come or its time is up (B6).
    Resting,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.ours.is_empty() && self.theirs.is_empty()
    }

    /// Whether an id of ours can't be used for another message.
    pub(crate) fn holds(&self, id: MessageId) -> bool {
        self.ours.contains_key(&id)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests
    }

    pub(crate) fn pings(&self) -> usize {
        self.pings
    }

    pub(crate) fn insert(&mut self, id: MessageId, what: What, deadline: Time) {
        if let Some(count) = self.count(what) {
            *count = count.saturating_add(1);
        }
        self.deadlines.insert((deadline, id));
        self.ours.insert(id, Awaited { what, deadline });
    }

    /// An answer came, or the time is up: what was it to?
    pub(crate) fn remove(&mut self, id: MessageId) -> Option<What> {
        let Awaited { what, deadline } = self.ours.remove(&id)?;
        self.deadlines.remove(&(deadline, id));
        if let Some(count) = self.count(what) {
            *count = count.saturating_sub(1);
        }
        Some(what)
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Removes what is due first, if its time is up.
    pub(crate) fn remove_due(&mut self, time: Time) -> Option<(MessageId, What)> {
        let (deadline, id) = *self.deadlines.first()?;
        if deadline > time {
            return None;
        }
        self.remove(id).map(|what| (id, what))
    }

    /// Removes all, a request at a time, oldest first.
    pub(crate) fn drain_requests(&mut self) -> Option<RequestId> {
        while let Some((id, what)) = self.remove_due(Time::MAX) {
            if what == What::Request {
                return Some(RequestId(id));
            }
        }
        None
    }

    fn count(&mut self, what: What) -> Option<&mut usize> {
        match what {
            What::Request => Some(&mut self.requests),
            What::Ping { .. } => Some(&mut self.pings),
            // No more than one for each request that was open a `request_timeout` ago.
            What::Resting => None,
        }
    }
}
