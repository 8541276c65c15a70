use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use smallwire_core::clock::Time;

use super::room::Room;

/// All rooms of a hub, by number and by name.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    places: Vec<Option<Room>>,
    free: Vec<u32>,
    /// Of either namespace, the Scratch one last.
    names: [BTreeMap<Box<str>, u32>; 2],
    /// Those without members and since when, the one that has been so longest first.
    empty: BTreeSet<(Time, u32)>,
}

impl Rooms {
    pub(super) fn len(&self) -> usize {
        self.names.iter().map(BTreeMap::len).sum()
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&Room> {
        self.places.get(number as usize)?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Room> {
        self.places.get_mut(number as usize)?.as_mut()
    }

    pub(super) fn find(&self, is_scratch: bool, id: &str) -> Option<u32> {
        self.names.get(usize::from(is_scratch))?.get(id).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Room> {
        self.places.iter().flatten()
    }

    pub(super) fn insert(&mut self, room: Room) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            // A room takes more than a byte: there are never so many.
            u32::try_from(self.places.len()).unwrap_or(u32::MAX).saturating_sub(1)
        });
        if let Some(names) = self.names.get_mut(usize::from(room.is_scratch)) {
            names.insert(room.id.clone(), number);
        }
        if let Some(place) = self.places.get_mut(number as usize) {
            *place = Some(room);
        }
        number
    }

    /// The last member is gone: the room is kept until then.
    pub(super) fn empty(&mut self, number: u32, since: Time, expires: Time) {
        if let Some(room) = self.get_mut(number) {
            room.rest();
            (room.empty_since, room.expires) = (since, expires);
            self.empty.insert((since, number));
        }
    }

    /// The room has a member again.
    pub(super) fn revive(&mut self, number: u32) {
        if let Some(room) = self.get(number) {
            let since = room.empty_since;
            self.empty.remove(&(since, number));
        }
    }

    /// When the next empty room goes.
    pub(super) fn next_expiry(&self) -> Option<Time> {
        let (_, number) = self.empty.first()?;
        self.get(*number).map(|room| room.expires)
    }

    /// Makes the room go that has been empty longest. Tells whether there was one.
    pub(super) fn remove_longest_empty(&mut self) -> bool {
        let Some((_, number)) = self.empty.first() else { return false };
        self.remove_empty(*number);
        true
    }

    /// Makes an empty room go.
    pub(super) fn remove_empty(&mut self, number: u32) {
        self.revive(number);
        if let Some(room) = self.places.get_mut(number as usize).and_then(Option::take) {
            if let Some(names) = self.names.get_mut(usize::from(room.is_scratch)) {
                names.remove(&room.id);
            }
            self.free.push(number);
        }
    }
}
