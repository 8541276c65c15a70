//! Long messages: their parts, as they come and as they go (step 4).

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use smallwire_core::clock::{Clock, NEVER, Time};

use crate::{CodecConfig, Limits, RoomId};

/// How many finished messages are remembered.
const REMEMBERED: usize = 64;

/// Payload bytes that go into one packet (D1).
pub(crate) const PART: usize = crate::MAX_BASE64 / 4 * 3;

/// Payload bytes that go into one part, and into the packet around it (D5).
pub(crate) fn part_len(codec: &CodecConfig) -> usize {
    // What is around it in a LongMessageDeliveryHead, the largest.
    const AROUND: usize = 1 + (1 + 4) + (1 + 16) + (1 + 8) + 1 + 1;
    (codec.packet_limit().saturating_sub(AROUND) / 4).saturating_mul(3).min(PART)
}

/// A message of several parts, in order, readable as one [`Buf`] without having been joined (step 4).
///
/// A clone shares the parts. Equal are those with the same content, however it is cut.
#[derive(Clone, Default)]
pub struct LongMessage {
    /// None of them empty.
    parts: VecDeque<Bytes>,
    remaining: usize,
}

impl LongMessage {
    /// The parts, in order; none is empty.
    pub fn parts(&self) -> impl Iterator<Item = &Bytes> {
        self.parts.iter()
    }

    /// Bytes that it takes, about: each part has some of its own.
    pub(crate) fn footprint(&self) -> usize {
        self.parts.len().saturating_mul(128).saturating_add(self.remaining)
    }

    /// All of it in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut joined = Vec::with_capacity(self.remaining);
        self.parts.iter().for_each(|part| joined.extend_from_slice(part));
        joined
    }
}

impl FromIterator<Bytes> for LongMessage {
    fn from_iter<I: IntoIterator<Item = Bytes>>(parts: I) -> Self {
        let parts: VecDeque<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let remaining = parts.iter().map(Bytes::len).fold(0, usize::saturating_add);
        Self { parts, remaining }
    }
}

impl Buf for LongMessage {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map_or(&[], |part| part)
    }

    /// Past the end is at the end.
    fn advance(&mut self, mut count: usize) {
        self.remaining = self.remaining.saturating_sub(count);
        while let Some(part) = self.parts.front_mut() {
            if count < part.len() {
                part.advance(count);
                return;
            }
            count = count.saturating_sub(part.len());
            self.parts.pop_front();
        }
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        let pairs = dst.iter_mut().zip(&self.parts);
        pairs.map(|(slice, part)| *slice = IoSlice::new(part)).count()
    }
}

impl PartialEq for LongMessage {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |message: &Self| message.parts.clone().into_iter().flatten();
        self.remaining == other.remaining && bytes(self).eq(bytes(other))
    }
}

impl Eq for LongMessage {}

/// How long it is and how it begins.
impl fmt::Debug for LongMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.chunk().get(..32).unwrap_or(self.chunk());
        write!(f, "LongMessage({} bytes, \"{}\"…)", self.remaining, start.escape_ascii())
    }
}

/// What the timers of long messages are set to.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub(crate) resend_after: Duration,
    pub(crate) assembly_timeout: Duration,
}

/// Long messages that come.
pub(crate) struct Assemblies<Id> {
    open: Vec<Assembly<Id>>,
    /// The last that were whole, the latest at the back.
    finished: VecDeque<Id>,
}

struct Assembly<Id> {
    id: Id,
    room: RoomId,
    /// TP: the numbers that there are, besides the head's 0.
    remaining: u32,
    /// What has come: nothing is set aside for what hasn't.
    parts: BTreeMap<u32, Bytes>,
    /// When missing parts are to be asked for.
    ask_at: Time,
    asked: u8,
    deadline: Time,
}

/// What a message is to which a head or part belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Open,
    Finished,
    Unknown,
}

/// What came of a part.
pub(crate) enum Added {
    /// It is kept, or was there already.
    Okay,
    /// There is no such part.
    BadNumber,
    /// It was the last: the message, and the room it is for.
    Whole(RoomId, LongMessage),
}

/// What is due.
pub(crate) enum Due<Id> {
    /// These parts are to be asked for.
    Ask(Id, Missing),
    /// It took too long.
    Dropped(Id, RoomId),
}

/// The numbers of parts that haven't come.
pub(crate) struct Missing {
    have: Vec<u32>,
    remaining: u32,
}

impl Missing {
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let ends = self.have.iter().copied().chain([self.remaining.saturating_add(1)]);
        let starts = core::iter::once(0).chain(self.have.iter().copied());
        starts.zip(ends).flat_map(|(from, to)| from.saturating_add(1)..to)
    }
}

impl<Id> Default for Assemblies<Id> {
    fn default() -> Self {
        Self { open: Vec::new(), finished: VecDeque::new() }
    }
}

impl<Id: Copy + PartialEq> Assemblies<Id> {
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.finished.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn knows(&self, id: Id) -> Known {
        if self.open.iter().any(|a| a.id == id) {
            Known::Open
        } else if self.finished.contains(&id) {
            Known::Finished
        } else {
            Known::Unknown
        }
    }

    /// Begins with a message's head; its id is unknown.
    pub(crate) fn begin(
        &mut self,
        id: Id,
        room: RoomId,
        remaining: u32,
        head: Bytes,
        clock: &Clock,
        times: Times,
    ) {
        self.open.push(Assembly {
            id,
            room,
            remaining,
            parts: BTreeMap::from([(0, head)]),
            ask_at: clock.after(times.resend_after),
            asked: 0,
            deadline: clock.after(times.assembly_timeout),
        });
    }

    /// Whether this part of an open message is still to come; `None` if there is no such part.
    pub(crate) fn lacks(&self, id: Id, number: u32) -> Option<bool> {
        let open = self.open.iter().find(|a| a.id == id)?;
        (1..=open.remaining).contains(&number).then(|| !open.parts.contains_key(&number))
    }

    /// A part of an open message.
    pub(crate) fn add(
        &mut self,
        id: Id,
        number: u32,
        part: Bytes,
        clock: &Clock,
        times: Times,
    ) -> Added {
        let Some(at) = self.open.iter().position(|a| a.id == id) else { return Added::BadNumber };
        let Some(open) = self.open.get_mut(at) else { return Added::BadNumber };
        if !(1..=open.remaining).contains(&number) {
            return Added::BadNumber;
        }
        if open.parts.contains_key(&number) {
            return Added::Okay;
        }
        open.parts.insert(number, part);
        open.ask_at = clock.after(times.resend_after);
        let whole = u32::try_from(open.parts.len()).is_ok_and(|have| have > open.remaining);
        if !whole {
            return Added::Okay;
        }
        let done = self.open.swap_remove(at);
        if self.open.is_empty() {
            self.open = Vec::new();
        }
        if self.finished.len() >= REMEMBERED {
            self.finished.pop_front();
        }
        self.finished.push_back(id);
        Added::Whole(done.room, done.parts.into_values().collect())
    }

    pub(crate) fn next_deadline(&self, max_resends: u8) -> Time {
        let next = |a: &Assembly<Id>| {
            if a.asked < max_resends { a.ask_at.min(a.deadline) } else { a.deadline }
        };
        self.open.iter().map(next).min().unwrap_or(NEVER)
    }

    /// The next thing that is due. Where nothing may be asked for now, it is due again later.
    pub(crate) fn due(
        &mut self,
        clock: &Clock,
        limits: &Limits,
        times: Times,
        may_ask: bool,
    ) -> Option<Due<Id>> {
        let time = clock.time();
        if let Some(at) = self.open.iter().position(|a| a.deadline <= time) {
            let dropped = self.open.remove(at);
            if self.open.is_empty() {
                self.open = Vec::new();
            }
            return Some(Due::Dropped(dropped.id, dropped.room));
        }
        let due = |a: &&mut Assembly<Id>| a.asked < limits.max_resends && a.ask_at <= time;
        let open = self.open.iter_mut().find(due)?;
        open.asked = open.asked.saturating_add(may_ask.into());
        open.ask_at = clock.after(times.resend_after.max(Duration::from_millis(1)));
        let have = open.parts.keys().copied().collect();
        Some(Due::Ask(open.id, Missing { have, remaining: open.remaining }))
    }
}

/// A long message that goes out: its parts, until it has arrived.
pub(crate) struct Outgoing<Id> {
    pub(crate) id: Id,
    pub(crate) room: RoomId,
    parts: Vec<Bytes>,
    /// How often each part was sent again.
    resends: Vec<u8>,
    /// The next part to be sent for the first time.
    next: usize,
    /// Its head has arrived and is okay.
    pub(crate) accepted: bool,
    /// Parts that are known to have arrived, without the head.
    pub(crate) arrived: u32,
    pub(crate) deadline: Time,
}

/// What becomes of a wish to get a part again.
pub(crate) enum Resend {
    /// Here it is.
    Part(Bytes),
    /// It hasn't been sent yet, and will be.
    NotYet,
    /// There is no such part.
    BadNumber,
    /// That was once too often.
    TooOften,
}

impl<Id> Outgoing<Id> {
    pub(crate) fn new(id: Id, room: RoomId, parts: Vec<Bytes>, deadline: Time) -> Self {
        let resends = alloc::vec![0; parts.len()];
        Self { id, room, parts, resends, next: 1, accepted: false, arrived: 0, deadline }
    }

    /// TP.
    pub(crate) fn remaining(&self) -> u32 {
        u32::try_from(self.parts.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// Whether there are parts to be sent for the first time.
    pub(crate) fn has_next(&self) -> bool {
        self.next < self.parts.len()
    }

    /// The next part to be sent for the first time.
    pub(crate) fn next(&mut self) -> Option<(u32, Bytes)> {
        let part = self.parts.get(self.next)?.clone();
        let number = u32::try_from(self.next).ok()?;
        self.next = self.next.saturating_add(1);
        Some((number, part))
    }

    /// A part that is wanted again.
    pub(crate) fn resend(&mut self, number: u32, max_resends: u8) -> Resend {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        match (self.parts.get(at), self.resends.get_mut(at)) {
            (Some(_), _) if at >= self.next => Resend::NotYet,
            (Some(_), Some(times)) if *times >= max_resends => Resend::TooOften,
            (Some(part), Some(times)) => {
                *times = times.saturating_add(1);
                Resend::Part(part.clone())
            }
            _ => Resend::BadNumber,
        }
    }
}

/// Cuts a payload that is too long for one packet; `None` if it is too long for so many parts.
pub(crate) fn cut(bytes: &[u8], codec: &CodecConfig, limits: &Limits) -> Option<Vec<Bytes>> {
    if bytes.len() > most_bytes(codec, limits) {
        return None;
    }
    // One allocation, of which the parts are slices.
    let mut rest = Bytes::copy_from_slice(bytes);
    let mut cut = Vec::with_capacity(bytes.len().div_ceil(part_len(codec)));
    while !rest.is_empty() {
        cut.push(rest.split_to(part_len(codec).min(rest.len())));
    }
    Some(cut)
}

/// Payload bytes that a long message may have.
pub(crate) fn most_bytes(codec: &CodecConfig, limits: &Limits) -> usize {
    most_parts(limits).saturating_mul(part_len(codec))
}

/// Parts that a long message may have, its head included.
pub(crate) fn most_parts(limits: &Limits) -> usize {
    usize::try_from(limits.max_parts).unwrap_or(usize::MAX).saturating_add(1)
}
