use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use crate::{JsonRef, PeerRequestId, RequestId};
use smallwire_core::clock::Time;

/// Everything that awaits a response, both ways. Boxed by its owner while there is any.
///
/// Handles count up and all wait equally long, so the oldest is always the first that is due.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Our requests, and until when they wait.
    pub(crate) ours: BTreeMap<RequestId, Time>,
    theirs: BTreeMap<PeerRequestId, Theirs>,
    by_nonce: BTreeMap<Arc<str>, PeerRequestId>,
}

/// A request of the peer.
#[derive(Debug)]
struct Theirs {
    nonce: Arc<str>,
    /// When the peer gives it up.
    given_up: Time,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.ours.is_empty() && self.theirs.is_empty()
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.ours.first_key_value().map(|(_, deadline)| *deadline)
    }

    /// Removes our oldest request, if its time is up.
    pub(crate) fn remove_due(&mut self, time: Time) -> Option<RequestId> {
        let first = self.ours.first_entry()?;
        (*first.get() <= time).then(|| first.remove_entry().0)
    }

    /// How many requests of the peer await our response.
    pub(crate) fn theirs(&self) -> usize {
        self.theirs.len()
    }

    /// Forgets the requests that the peer has given up.
    pub(crate) fn forget_given_up(&mut self, time: Time) {
        while let Some(first) = self.theirs.first_entry() {
            if first.get().given_up > time {
                return;
            }
            let (_, theirs) = first.remove_entry();
            self.by_nonce.remove(&theirs.nonce);
        }
    }

    /// Whether one of the peer's requests has this nonce.
    pub(crate) fn has_nonce(&self, nonce: JsonRef<'_>) -> bool {
        self.by_nonce.contains_key(nonce.get())
    }

    pub(crate) fn insert_theirs(&mut self, id: PeerRequestId, nonce: JsonRef<'_>, given_up: Time) {
        let nonce: Arc<str> = nonce.get().into();
        self.by_nonce.insert(nonce.clone(), id);
        self.theirs.insert(id, Theirs { nonce, given_up });
    }

    /// The nonce of a request of the peer.
    pub(crate) fn nonce(&self, id: PeerRequestId) -> Option<Arc<str>> {
        self.theirs.get(&id).map(|theirs| theirs.nonce.clone())
    }

    pub(crate) fn remove_theirs(&mut self, id: PeerRequestId) {
        if let Some(theirs) = self.theirs.remove(&id) {
            self.by_nonce.remove(&theirs.nonce);
        }
    }
}
