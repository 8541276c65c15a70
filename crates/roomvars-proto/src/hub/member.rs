use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use bytes::Bytes;
use smallwire_core::Message;
use smallwire_core::json::escaped_len;

use super::ConnId;
use super::room::{Room, SPELLINGS, Seq, SharedBatch, Variable, batch_of, set_of, spelling};
use crate::{Dialect, HubConfig, ServerMessage};

#[derive(Debug)]
pub(super) struct Member {
    pub(super) room: u32,
    /// Where it stands among the room's members.
    pub(super) position: u32,
    /// The first change that it has yet to pass; says nothing while nothing waits and none is merged.
    pub(super) cursor: Seq,
    /// Bytes that wait for it, unless it is merged.
    pub(super) waiting: usize,
    pub(super) backlog: Option<Box<Backlog>>,
    pub(super) username: Box<str>,
}

/// What a member has yet to be sent, if that is more than the changes from its cursor on.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Goes first, as it is.
    pub(super) frozen: VecDeque<Frozen>,
    /// Bytes of that.
    pub(super) frozen_bytes: usize,
    pub(super) mode: Mode,
}

/// Batches that aren't merged any more.
#[derive(Debug)]
pub(super) struct Frozen {
    text: Bytes,
    /// Of the first set in it.
    first: Seq,
    /// The name that this rename or delete removes.
    removes: Option<Box<str>>,
}

#[derive(Debug, Default)]
pub(super) enum Mode {
    /// Every change from the cursor on.
    #[default]
    Following,
    /// The last set of each variable from the cursor on; `everything`: its own ones as well.
    Merging { everything: bool },
    /// Deletes of those of these names that no variable has by then, and the set of each variable.
    Resyncing {
        gone: BTreeSet<Box<str>>,
        gone_bytes: usize,
        /// The change at which that began.
        since: Seq,
    },
}

impl Member {
    /// Whether it hears every change.
    #[inline]
    pub(super) fn is_following(&self) -> bool {
        self.backlog.as_ref().is_none_or(|backlog| matches!(backlog.mode, Mode::Following))
    }

    /// Whether something may have to be sent to it.
    #[inline]
    pub(super) fn has_more(&self) -> bool {
        self.waiting > 0 || self.backlog.is_some()
    }

    /// Bytes of text that wait for it.
    pub(super) fn pending_bytes(&self, id: ConnId, room: &Room, dialect: Dialect) -> usize {
        let Some(backlog) = &self.backlog else { return self.waiting };
        let more = match &backlog.mode {
            Mode::Following => return self.waiting,
            Mode::Merging { everything } => {
                text_len(&room.set_since(self.cursor, (!everything).then_some(id)), dialect)
            }
            Mode::Resyncing { gone_bytes, .. } => {
                gone_bytes.saturating_add(text_len(&room.set_since(0, None), dialect))
            }
        };
        backlog.frozen_bytes.saturating_add(more)
    }

    /// The values of a room that was there before (step 2). Tells whether there are any.
    pub(super) fn begin_with_snapshot(
        &mut self,
        room: &Room,
        dialect: Dialect,
        config: &HubConfig,
    ) -> bool {
        let sets = room.set_since(0, None);
        if sets.is_empty() {
            return false;
        }
        let backlog = self.backlog.get_or_insert_default();
        if text_len(&sets, dialect) > config.max_untaken {
            backlog.mode = Mode::Merging { everything: true };
            self.cursor = 0;
        } else {
            backlog.freeze_sets(&sets, dialect, config.max_server_message);
            // As long as it stands there, the whole snapshot is still to be sent.
            if let Some(first) = backlog.frozen.front_mut() {
                first.first = 0;
            }
            self.waiting = backlog.frozen_bytes;
        }
        true
    }

    /// Too much waits for it: from now on its sets are merged (step 6).
    pub(super) fn start_merging(
        &mut self,
        id: ConnId,
        room: &mut Room,
        spelling: usize,
        config: &HubConfig,
    ) {
        let (from, to) = (self.cursor, room.next);
        let backlog = self.backlog.get_or_insert_default();
        let last = (from..to).rev().find(|seq| {
            room.entry(*seq).is_some_and(|entry| entry.removes.is_some() && entry.by != id)
        });
        // As long as it followed, only a snapshot was frozen.
        let snapshot = backlog.frozen.front().filter(|_| last.is_none()).map(|frozen| frozen.first);
        let everything = snapshot.is_some();
        if everything {
            **backlog = Backlog::default();
        }
        self.cursor = snapshot.unwrap_or(from);
        backlog.mode = Mode::Merging { everything };
        if room.is_scratch && snapshot == Some(0) {
            let own: BTreeSet<_> = (from..to)
                .filter_map(|seq| {
                    let entry = room.entry(seq)?;
                    (entry.by == id).then_some(entry.variable)
                })
                .collect();
            let named = room.variables.iter().filter(|(_, variable)| own.contains(&variable.id));
            let named: BTreeSet<_> = named.map(|(name, _)| name.clone()).collect();
            if !named.is_empty() {
                backlog.know_only(named);
            }
        }
        if let Some(last) = last {
            backlog.freeze_changes(id, room, from, last, spelling);
            self.cursor = last.saturating_add(1);
            if backlog.frozen_bytes > config.max_untaken {
                backlog.resync(to);
            }
        }
        room.pass(from, to);
        self.waiting = 0;
    }

    /// A rename or delete comes next, and the variables are still as they were before. Tells whether
    /// too much would have to be kept for this member.
    pub(super) fn meet_barrier(
        &mut self,
        id: ConnId,
        room: &Room,
        by: ConnId,
        removes: &str,
        texts: &[Bytes; SPELLINGS],
        config: &HubConfig,
    ) -> bool {
        let Some(backlog) = &mut self.backlog else { return false };
        let dialect = Dialect::Scratch;
        let text = texts.get(spelling(dialect)).map(|text| &**text).unwrap_or_default();
        match &mut backlog.mode {
            Mode::Following => false,
            // It knows, and what is merged has the new name.
            Mode::Merging { .. } if by == id => false,
            // It knows of no variable yet.
            Mode::Merging { everything: true } if self.cursor == 0 && backlog.frozen.is_empty() => {
                false
            }
            Mode::Merging { everything } => {
                let sets = room.set_since(self.cursor, (!*everything).then_some(id));
                let frozen = backlog.frozen_bytes.saturating_add(text_len(&sets, dialect));
                backlog.mode = Mode::Merging { everything: false };
                self.cursor = room.next.saturating_add(1);
                let too_much = frozen.saturating_add(text.len()) > config.max_untaken;
                if !too_much {
                    backlog.freeze_sets(&sets, dialect, config.batch_limit());
                }
                backlog.freeze(Bytes::copy_from_slice(text), room.next, Some(removes.into()));
                if too_much {
                    backlog.resync(room.next);
                }
                false
            }
            Mode::Resyncing { gone, gone_bytes, since } => {
                let size = name_len(removes);
                let variable = room.variables.get(removes);
                let is_known = variable.is_some_and(|variable| variable.named < *since);
                if by == id {
                    if gone.remove(removes) {
                        *gone_bytes = gone_bytes.saturating_sub(size);
                    }
                } else if is_known && gone.insert(removes.into()) {
                    *gone_bytes = gone_bytes.saturating_add(size);
                }
                let limits = &config.limits;
                let name = limits.max_name.saturating_add(64);
                let all = limits.max_scratch_variables.saturating_add(1).saturating_mul(name);
                // Renames that `max_untaken` has room for come to no more than twice as much.
                *gone_bytes > config.max_untaken.saturating_mul(2).saturating_add(all)
            }
        }
    }

    /// It has given a variable this name, or has set one that may have been new to it.
    pub(super) fn names(&mut self, name: &str) {
        let Some(backlog) = &mut self.backlog else { return };
        if self.cursor == 0
            && backlog.frozen.is_empty()
            && matches!(backlog.mode, Mode::Merging { everything: true })
        {
            // Of a room whose snapshot it has yet to be sent it knows this, and nothing else.
            backlog.know_only(BTreeSet::new());
        }
        if let Mode::Resyncing { gone, gone_bytes, .. } = &mut backlog.mode {
            if gone.insert(name.into()) {
                *gone_bytes = gone_bytes.saturating_add(name_len(name));
            }
        }
    }

    /// A change of its own, or the end of a variable, may have made void all that was merged for it.
    pub(super) fn settle(&mut self, id: ConnId, room: &Room) {
        let Some(backlog) = &self.backlog else { return };
        let is_due = match &backlog.mode {
            Mode::Following => return,
            Mode::Merging { everything } => {
                !room.set_since(self.cursor, (!everything).then_some(id)).is_empty()
            }
            Mode::Resyncing { gone, .. } => !gone.is_empty() || !room.variables.is_empty(),
        };
        if backlog.frozen.is_empty() && !is_due {
            self.backlog = None;
        }
    }

    /// What is to be sent next, and whether there is more.
    #[inline]
    pub(super) fn take(
        &mut self,
        id: ConnId,
        room: &mut Room,
        dialect: Dialect,
        config: &HubConfig,
        more: &mut bool,
    ) -> Option<Message> {
        if self.backlog.is_none() && config.flush_interval.is_none() {
            return self.take_change(id, room, spelling(dialect), more);
        }
        let text = self.take_batch(id, room, dialect, config);
        *more = text.is_some() && self.has_more();
        text.map(Message::Text)
    }

    #[inline]
    fn take_change(
        &mut self,
        id: ConnId,
        room: &mut Room,
        spelling: usize,
        more: &mut bool,
    ) -> Option<Message> {
        *more = false;
        while self.waiting > 0 {
            let Some(entry) = room.entry(self.cursor) else { break };
            self.cursor = self.cursor.saturating_add(1);
            self.waiting = self.waiting.saturating_sub(entry.cost);
            entry.remaining = entry.remaining.saturating_sub(1);
            let (is_own, is_last) = (entry.by == id, entry.remaining == 0);
            let text = entry.texts.get_mut(spelling)?;
            if is_last {
                let text = core::mem::take(text);
                room.trim();
                if !is_own {
                    *more = self.waiting > 0;
                    return Some(Message::Text(text));
                }
            } else if !is_own {
                *more = self.waiting > 0;
                // Last, so that it is written where the caller wants it.
                return Some(Message::Text(text.clone()));
            }
        }
        None
    }

    fn take_batch(
        &mut self,
        id: ConnId,
        room: &mut Room,
        dialect: Dialect,
        config: &HubConfig,
    ) -> Option<Bytes> {
        if self.backlog.is_some() {
            let text = self.take_backlog(id, room, dialect, config);
            if text.is_some() {
                return text;
            }
        }
        if config.flush_interval.is_some() {
            self.take_collected(id, room, spelling(dialect), config.batch_limit())
        } else {
            None
        }
    }

    /// A batch of what was collected, which may be the same for others (step 6).
    fn take_collected(
        &mut self,
        id: ConnId,
        room: &mut Room,
        spelling: usize,
        limit: usize,
    ) -> Option<Bytes> {
        let from = self.cursor;
        let shared = room.shared_batch(id, spelling, from).filter(|_| self.waiting > 0);
        if let Some((to, cost, text)) = shared {
            self.waiting = self.waiting.saturating_sub(cost);
            self.cursor = to;
            room.pass(from, to);
            return Some(text);
        }
        let (mut to, mut len, mut texts) = (from, 0_usize, Vec::new());
        let (mut cost, mut has_own, mut is_full) = (0_usize, false, false);
        while self.waiting > 0 && to < room.flushed {
            let Some(entry) = room.entry(to) else { break };
            if entry.by == id {
                has_own = true;
            } else if let Some(text) = entry.texts.get(spelling) {
                let more = len.saturating_add(text.len());
                is_full = !texts.is_empty() && more > limit;
                if is_full {
                    break;
                }
                len = more.saturating_add(1);
                texts.push(text.clone());
            }
            self.waiting = self.waiting.saturating_sub(entry.cost);
            cost = cost.saturating_add(entry.cost);
            to = to.saturating_add(1);
        }
        self.cursor = to;
        let batch = match &texts[..] {
            [] => None,
            [text] => Some(text.clone()),
            _ => {
                let text = Bytes::from(texts.join(&b'\n'));
                if !has_own {
                    room.share(SharedBatch {
                        spelling,
                        from,
                        to,
                        is_full,
                        cost,
                        text: text.clone(),
                    });
                }
                Some(text)
            }
        };
        room.pass(from, to);
        batch
    }

    fn take_backlog(
        &mut self,
        id: ConnId,
        room: &Room,
        dialect: Dialect,
        config: &HubConfig,
    ) -> Option<Bytes> {
        let backlog = self.backlog.as_mut()?;
        if let Some((text, len)) = backlog.take_frozen(config.batch_limit()) {
            if let Mode::Following = backlog.mode {
                self.waiting = self.waiting.saturating_sub(len);
                if backlog.frozen.is_empty() {
                    self.backlog = None;
                }
            }
            return Some(text);
        }
        if let Mode::Resyncing { gone, gone_bytes, .. } = &mut backlog.mode {
            let due: Vec<_> = gone
                .iter()
                .filter(|name| !room.variables.contains_key(&***name))
                .cloned()
                .collect();
            if !due.is_empty() {
                let deletes =
                    due.iter().map(|name| ServerMessage::Delete { variable: (&**name).into() });
                let (text, taken) = batch_of(deletes, dialect, config.batch_limit());
                for name in due.iter().take(taken) {
                    gone.remove(name);
                }
                *gone_bytes = names_len(gone);
                return Some(text);
            }
            backlog.mode = Mode::Merging { everything: true };
            self.cursor = 0;
        }
        if let Mode::Merging { everything } = backlog.mode {
            let sets = room.set_since(self.cursor, (!everything).then_some(id));
            // As whole as a snapshot is.
            let limit = if everything { config.max_server_message } else { config.batch_limit() };
            let (text, taken) = batch_of(sets.iter().map(set_of), dialect, limit);
            if let Some((_, last)) = taken.checked_sub(1).and_then(|last| sets.get(last)) {
                self.cursor = last.set.saturating_add(1);
            }
            if taken == sets.len() {
                self.backlog = None;
            }
            return (taken > 0).then_some(text);
        }
        None
    }
}

/// What names that are gone count.
fn names_len(gone: &BTreeSet<Box<str>>) -> usize {
    gone.iter().fold(0, |len, name| len.saturating_add(name_len(name)))
}

/// About what a delete of it takes.
fn name_len(name: &str) -> usize {
    name.len().saturating_add(64)
}

/// Bytes of text of these sets, each by itself.
fn text_len(sets: &[(&str, &Variable)], dialect: Dialect) -> usize {
    let around = match dialect {
        Dialect::Documented => r#"{"kind":"set","variable":"","value":""}"#,
        Dialect::Deployed2020 => r#"{"kind":"set","var":"","value":""}"#,
        Dialect::Scratch => r#"{"method":"set","name":"","value":""}"#,
    };
    sets.iter().fold(0, |len, (name, variable)| {
        let texts = escaped_len(name).saturating_add(escaped_len(variable.value().as_str()));
        len.saturating_add(texts).saturating_add(around.len())
    })
}

impl Backlog {
    fn freeze(&mut self, text: Bytes, first: Seq, removes: Option<Box<str>>) {
        self.frozen_bytes = self.frozen_bytes.saturating_add(text.len());
        self.frozen.push_back(Frozen { text, first, removes });
    }

    /// Sets that others come after, in batches of up to `limit` bytes.
    fn freeze_sets(&mut self, mut sets: &[(&str, &Variable)], dialect: Dialect, limit: usize) {
        while !sets.is_empty() {
            let (text, taken) = batch_of(sets.iter().map(set_of), dialect, limit);
            self.freeze(text, sets.first().map_or(0, |(_, variable)| variable.set), None);
            sets = sets.get(taken.max(1)..).unwrap_or_default();
        }
    }

    /// Changes up to the last barrier: of the sets between two of them the last of each variable.
    fn freeze_changes(
        &mut self,
        id: ConnId,
        room: &mut Room,
        from: Seq,
        last: Seq,
        spelling: usize,
    ) {
        // The sets since the last barrier, and where among them is that of each variable.
        let (mut sets, mut places) = (Vec::new(), BTreeMap::new());
        for seq in from..=last {
            let Some(entry) = room.entry(seq) else { continue };
            // A copy: the room's buffer is for texts that are soon sent.
            let text = || entry.texts.get(spelling).map_or(Bytes::new(), |t| t.to_vec().into());
            match &entry.removes {
                Some(_) if entry.by == id => {}
                Some(name) => {
                    for set in sets.drain(..).flatten() {
                        self.freeze(set, seq, None);
                    }
                    places.clear();
                    self.freeze(text(), seq, Some(name.clone()));
                }
                None => {
                    if let Some(older) = places.remove(&entry.variable) {
                        sets.get_mut(older).map(Option::take);
                    }
                    if entry.by != id {
                        places.insert(entry.variable, sets.len());
                        sets.push(Some(text()));
                    }
                }
            }
        }
    }

    /// Of a room that it has yet to be told of it knows these names, which are its own.
    fn know_only(&mut self, gone: BTreeSet<Box<str>>) {
        let gone_bytes = names_len(&gone);
        self.mode = Mode::Resyncing { gone, gone_bytes, since: 0 };
    }

    /// Replaces all that waits by what it comes to, as of the change `since`.
    fn resync(&mut self, since: Seq) {
        let frozen = core::mem::take(&mut self.frozen);
        let gone: BTreeSet<_> = frozen.into_iter().filter_map(|frozen| frozen.removes).collect();
        let gone_bytes = names_len(&gone);
        self.frozen_bytes = 0;
        self.mode = Mode::Resyncing { gone, gone_bytes, since };
    }

    /// A batch of what is frozen, of up to `limit` bytes or one part, and its bytes without line breaks.
    fn take_frozen(&mut self, limit: usize) -> Option<(Bytes, usize)> {
        let first = self.frozen.pop_front()?.text;
        let (mut sum, mut len, mut texts) = (first.len(), first.len(), Vec::new());
        texts.push(first);
        while let Some(next) = self.frozen.front() {
            len = len.saturating_add(next.text.len()).saturating_add(1);
            if len > limit {
                break;
            }
            sum = sum.saturating_add(next.text.len());
            texts.extend(self.frozen.pop_front().map(|frozen| frozen.text));
        }
        self.frozen_bytes = self.frozen_bytes.saturating_sub(sum);
        let text = match &mut texts[..] {
            [one] => core::mem::take(one),
            texts => texts.join(&b'\n').into(),
        };
        Some((text, sum))
    }
}
