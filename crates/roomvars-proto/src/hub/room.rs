use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use smallwire_core::clock::Time;

use super::ConnId;
use crate::codec::Space;
use crate::{Dialect, ServerMessage, ValueRef};

/// Bytes that a room's buffer gets at least, for many small texts.
const CHUNK: usize = 256;

/// Batches that a room keeps for those who are to hear the same: where `max_batch_bytes` are flushed, two
/// of each spelling, as there are line breaks too.
const SHARED_BATCHES: usize = 2 * SPELLINGS;

/// A point in the order of a room's changes.
pub(super) type Seq = u64;

/// Ways of writing that clients of one room may differ in.
pub(super) const SPELLINGS: usize = 2;

/// Which of the spellings in its room a dialect has.
pub(super) const fn spelling(dialect: Dialect) -> usize {
    match dialect {
        Dialect::Documented | Dialect::Scratch => 0,
        Dialect::Deployed2020 => 1,
    }
}

#[derive(Debug)]
pub(super) struct Variable {
    /// Tells it from others that had its name.
    pub(super) id: u64,
    /// Kept when the value is set anew, and so is its room.
    text: String,
    is_number: bool,
    /// When and by whom it was set last.
    pub(super) set: Seq,
    pub(super) setter: ConnId,
    /// When it got its name.
    pub(super) named: Seq,
}

impl Variable {
    /// One that comes into being by this change.
    pub(super) fn new(value: &ValueRef<'_>, seq: Seq, by: ConnId) -> Self {
        let is_number = matches!(value, ValueRef::Number(_));
        let text = String::from(value.as_str());
        Self { id: seq, text, is_number, set: seq, setter: by, named: seq }
    }

    pub(super) fn set(&mut self, value: &ValueRef<'_>, seq: Seq, by: ConnId) {
        let text = value.as_str();
        if self.text.capacity() / 2 > text.len().max(64) {
            self.text = String::from(text);
        } else {
            self.text.clear();
            self.text.push_str(text);
        }
        (self.set, self.setter) = (seq, by);
        self.is_number = matches!(value, ValueRef::Number(_));
    }

    pub(super) fn value(&self) -> ValueRef<'_> {
        if self.is_number { ValueRef::Number(&self.text) } else { ValueRef::text(&self.text) }
    }
}

/// A change that somebody has yet to be sent.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) by: ConnId,
    /// The id of the variable.
    pub(super) variable: u64,
    /// The name that a rename or delete removes: sets aren't merged across it.
    pub(super) removes: Option<Box<str>>,
    /// How many members have yet to pass it.
    pub(super) remaining: u32,
    /// What it counts of what waits for a member.
    pub(super) cost: usize,
    /// Empty where nobody is to hear it in this spelling.
    pub(super) texts: [Bytes; SPELLINGS],
}

/// A batch that may serve others as well.
#[derive(Debug)]
pub(super) struct SharedBatch {
    pub(super) spelling: usize,
    /// The changes in it.
    pub(super) from: Seq,
    pub(super) to: Seq,
    /// The change after them would be too much.
    pub(super) is_full: bool,
    /// What they count of what waits for a member.
    pub(super) cost: usize,
    pub(super) text: Bytes,
}

#[derive(Debug)]
pub(super) struct Room {
    pub(super) id: Box<str>,
    pub(super) is_scratch: bool,
    pub(super) variables: BTreeMap<Box<str>, Variable>,
    /// Slots of its members, in no order.
    pub(super) members: Vec<u32>,
    /// How many members have each spelling.
    pub(super) spellings: [u32; SPELLINGS],
    /// Since when it has no members, and until when it is kept.
    pub(super) empty_since: Time,
    pub(super) expires: Time,
    /// What somebody has yet to be sent, each change the next of the one before.
    log: VecDeque<Entry>,
    /// Of the next change.
    pub(super) next: Seq,
    /// Changes before it need not be collected any longer.
    pub(super) flushed: Seq,
    /// Bytes collected since then.
    pub(super) unflushed: usize,
    pub(super) is_unflushed: bool,
    buffers: [BytesMut; SPELLINGS],
    /// The last ones that were made.
    batches: Vec<SharedBatch>,
}

impl Room {
    pub(super) fn new(id: &str, is_scratch: bool) -> Self {
        Self {
            id: id.into(),
            is_scratch,
            variables: BTreeMap::new(),
            members: Vec::new(),
            spellings: [0; SPELLINGS],
            empty_since: 0,
            expires: 0,
            log: VecDeque::new(),
            next: 1,
            flushed: 1,
            unflushed: 0,
            is_unflushed: false,
            buffers: [BytesMut::new(), BytesMut::new()],
            batches: Vec::new(),
        }
    }

    /// Writes a change, once for each spelling that somebody other than `by` has; and what it counts of
    /// what waits for a member.
    #[inline]
    pub(super) fn encode(
        &mut self,
        message: &ServerMessage<'_>,
        by: usize,
    ) -> ([Bytes; SPELLINGS], usize) {
        let mut texts = [const { Bytes::new() }; SPELLINGS];
        for (spelling, text) in texts.iter_mut().enumerate() {
            let members = self.spellings.get(spelling).copied().unwrap_or_default();
            if members > u32::from(spelling == by) {
                *text = self.encode_as(message, spelling);
            }
        }
        let mut cost = texts.iter().fold(1, |longest, text| longest.max(text.len()));
        // Nobody hears it, but it may have to be kept.
        if cost == 1 && !self.log.is_empty() {
            cost = self.encode_as(message, by).len();
        }
        (texts, cost)
    }

    pub(super) fn encode_as(&mut self, message: &ServerMessage<'_>, spelling: usize) -> Bytes {
        let dialect = match (self.is_scratch, spelling) {
            (true, _) => Dialect::Scratch,
            (false, 0) => Dialect::Documented,
            (false, _) => Dialect::Deployed2020,
        };
        let Some(buffer) = self.buffers.get_mut(spelling) else { return Bytes::new() };
        if buffer.capacity() < CHUNK / 4 {
            buffer.reserve(CHUNK);
        }
        // The dialect has it, and what the room keeps was decoded by the same rules.
        let _ = message.put(dialect, Space::of(usize::MAX), buffer);
        buffer.split().freeze()
    }

    /// Adds the next change to what is to be sent.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry) {
        // Where nobody lags behind and nobody is to hear it, it need not be kept.
        if entry.remaining > 0 || !self.log.is_empty() {
            self.log.push_back(entry);
        }
        self.next = self.next.saturating_add(1);
    }

    /// The first of the changes that are kept.
    pub(super) fn first(&self) -> Seq {
        self.next.saturating_sub(self.log.len() as u64)
    }

    #[inline]
    pub(super) fn entry(&mut self, seq: Seq) -> Option<&mut Entry> {
        let at = seq.checked_sub(self.first())?;
        self.log.get_mut(usize::try_from(at).ok()?)
    }

    /// Where these changes are in the log: how many to skip, and how many they are.
    fn place(&self, from: Seq, to: Seq) -> (usize, usize) {
        let first = self.first();
        let place = |seq: Seq| usize::try_from(seq.saturating_sub(first)).unwrap_or(usize::MAX);
        (place(from), place(to).saturating_sub(place(from)))
    }

    /// A member passes these changes.
    pub(super) fn pass(&mut self, from: Seq, to: Seq) {
        let (skipped, len) = self.place(from, to);
        for entry in self.log.iter_mut().skip(skipped).take(len) {
            entry.remaining = entry.remaining.saturating_sub(1);
        }
        self.trim();
    }

    /// A batch that was made for others, if it is what a member would be made from this change on. With
    /// the change after it, and what its changes count.
    pub(super) fn shared_batch(
        &self,
        id: ConnId,
        spelling: usize,
        from: Seq,
    ) -> Option<(Seq, usize, Bytes)> {
        let batch = self.batches.iter().find(|batch| {
            (batch.spelling, batch.from) == (spelling, from)
                && (batch.is_full || batch.to == self.flushed)
        })?;
        // Its own changes aren't for it: with one of them its batch is another.
        let (skipped, len) = self.place(from, batch.to);
        let len = len.saturating_add(usize::from(batch.is_full));
        let mut changes = self.log.iter().skip(skipped).take(len);
        let has_own = changes.any(|entry| entry.by == id);
        (!has_own).then(|| (batch.to, batch.cost, batch.text.clone()))
    }

    /// Keeps a batch for others, in place of an older one.
    pub(super) fn share(&mut self, batch: SharedBatch) {
        if self.batches.len() >= SHARED_BATCHES {
            self.batches.remove(0);
        }
        self.batches.push(batch);
    }

    /// Forgets the changes that all have passed.
    #[inline]
    pub(super) fn trim(&mut self) {
        while self.log.front().is_some_and(|entry| entry.remaining == 0) {
            self.log.pop_front();
        }
        // An idle room is small.
        if self.log.is_empty() {
            self.log = VecDeque::new();
            self.batches = Vec::new();
        }
    }

    /// Gives back what only a room in use needs.
    pub(super) fn rest(&mut self) {
        self.log = VecDeque::new();
        self.members = Vec::new();
        self.buffers = [BytesMut::new(), BytesMut::new()];
        self.batches = Vec::new();
    }

    /// The variables set since a change, in that order; without those that `except` set last.
    pub(super) fn set_since(&self, since: Seq, except: Option<ConnId>) -> Vec<(&str, &Variable)> {
        let mut set: Vec<_> = self
            .variables
            .iter()
            .map(|(name, variable)| (&**name, variable))
            .filter(|(_, variable)| variable.set >= since && Some(variable.setter) != except)
            .collect();
        set.sort_unstable_by_key(|(_, variable)| variable.set);
        set
    }
}

/// As many of these as `limit` bytes hold, but at least one, and how many they are.
pub(super) fn batch_of<'a>(
    messages: impl Iterator<Item = ServerMessage<'a>>,
    dialect: Dialect,
    limit: usize,
) -> (Bytes, usize) {
    let (mut text, mut taken) = (Vec::new(), 0_usize);
    for message in messages {
        let limit = if taken == 0 { usize::MAX } else { limit };
        let space = Space { limit, before: text.len() };
        if message.put(dialect, space, &mut text).is_err() {
            break;
        }
        taken = taken.saturating_add(1);
    }
    (text.into(), taken)
}

/// What says so.
pub(super) fn set_of<'a>((name, variable): &(&'a str, &'a Variable)) -> ServerMessage<'a> {
    ServerMessage::Set { variable: (*name).into(), value: variable.value() }
}
