use alloc::boxed::Box;

use crate::Value;

/// What a [`Client`](crate::Client) tells its application.
///
/// None of them says that we have joined: who creates a room, or joins one without variables, is sent nothing
/// (step 2).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// A variable's value as it was when we joined the room: part of the snapshot (step 2).
    Snapshot {
        /// Its name.
        variable: Box<str>,
        /// The value.
        value: Value,
        /// How many variables of the snapshot are still to come.
        remaining: usize,
    },
    /// Somebody else has set a variable (step 3).
    Set {
        /// Its name.
        variable: Box<str>,
        /// The value.
        value: Value,
    },
    /// Somebody else has renamed a variable (R3).
    Renamed {
        /// The old name.
        variable: Box<str>,
        /// The new one.
        new_name: Box<str>,
    },
    /// Somebody else has deleted a variable (R3).
    Deleted {
        /// Its name.
        variable: Box<str>,
    },
    /// Something that was ignored: a kind that the dialect doesn't know (R2), a variable that we don't
    /// have, more than our limits allow, or in the Scratch dialect a value of the wrong type (R3).
    Ignored {
        /// The object as it came.
        raw: Box<str>,
    },
}

impl ClientEvent {
    /// Bytes of text in it.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Snapshot { variable, value, .. } | Self::Set { variable, value } => {
                variable.len().saturating_add(value.as_str().len())
            }
            Self::Renamed { variable, new_name } => variable.len().saturating_add(new_name.len()),
            Self::Deleted { variable } => variable.len(),
            Self::Ignored { raw } => raw.len(),
        }
    }
}
