use alloc::boxed::Box;
use alloc::collections::VecDeque;

use smallwire_core::clock::Time;
use smallwire_core::{CloseFrame, End};

use super::member::Member;
use super::room::spelling;
use crate::rate::Bucket;
use crate::{ConnectionError, Dialect};

/// The handle of a connection of a [`Hub`](crate::Hub), which never gives it out twice. To another hub it is the
/// handle of some connection of its own, or of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl ConnId {
    /// The author of what is settled elsewhere; no slot has this number.
    pub(super) const NOBODY: Self = Self { slot: u32::MAX, generation: u32::MAX };
}

/// A place for a connection, used again and again.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) generation: u32,
    /// It stands in the queue of those that have something to be sent, or did.
    pub(super) in_ready: bool,
    /// It stands in the queue of those that have something to tell, or did.
    pub(super) in_events: bool,
    pub(super) connection: Option<Connection>,
}

impl Slot {
    /// The handle of its connection, if it is that of this number.
    #[inline]
    pub(super) fn id(&self, number: u32) -> ConnId {
        ConnId { slot: number, generation: self.generation }
    }

    #[inline]
    pub(super) fn state(&mut self) -> Option<&mut State> {
        self.connection.as_mut().map(|connection| &mut connection.state)
    }

    pub(super) fn spelling(&self) -> usize {
        self.connection.as_ref().map_or(0, |connection| spelling(connection.dialect))
    }

    /// Something is to be sent.
    #[inline]
    pub(super) fn make_ready(&mut self, number: u32, queue: &mut VecDeque<u32>) {
        if let Some(connection) = &mut self.connection {
            let was_ready = core::mem::replace(&mut connection.is_ready, true);
            if !was_ready && !core::mem::replace(&mut self.in_ready, true) {
                queue.push_back(number);
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) dialect: Dialect,
    /// Something is to be sent, and the driver has been told or will be.
    pub(super) is_ready: bool,
    /// What the application hasn't been told.
    pub(super) tells_joined: bool,
    pub(super) tells_ended: bool,
    pub(super) bucket: Bucket,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    /// Its handshake is awaited until then.
    Waiting {
        deadline: Time,
    },
    Member(Member),
    Ended(Box<Ended>),
}

#[derive(Debug)]
pub(super) struct Ended {
    pub(super) end: End<ConnectionError>,
    /// What is still to be sent.
    pub(super) close: Option<CloseFrame>,
}
