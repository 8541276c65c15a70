use thiserror::Error;

use super::{ClientDraftKind, ServerDraftKind};
use crate::PacketId;

/// Which draft has which id (D11): the same at both ends, and none but free ones.
///
/// The ids of the two directions are apart, as S91 and U91 are: an avatar may have one id both ways.
///
/// ```
/// use delimchat_proto::PacketId;
/// use delimchat_proto::draft::{ClientDraftKind, DraftIdError, DraftIds, ServerDraftKind};
///
/// let ids = DraftIds::new()
///     .client(ClientDraftKind::Silence, PacketId(41))?
///     .server(ServerDraftKind::SilenceRefused, PacketId(41))?;
/// assert_eq!(ids.client_id(ClientDraftKind::Silence), Some(PacketId(41)));
///
/// let again = ids.client(ClientDraftKind::Ban, PacketId(41));
/// assert_eq!(again, Err(DraftIdError::InUse { id: PacketId(41), by: "silence" }));
/// let taken = ids.client(ClientDraftKind::Ban, PacketId(0x50));
/// assert_eq!(taken, Err(DraftIdError::NotFree(PacketId(0x50))));
/// # Ok::<(), DraftIdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DraftIds {
    /// In the order of the table; 0 is none.
    client: [u8; ClientDraftKind::ALL.len()],
    server: [u8; ServerDraftKind::ALL.len()],
}

/// Why a draft can't have an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DraftIdError {
    /// The protocol has a packet of this id, or allows none.
    #[error("the id {0} isn't free")]
    NotFree(PacketId),
    /// Another draft of this direction has it.
    #[error("the id {id} is that of {by}")]
    InUse {
        /// The id.
        id: PacketId,
        /// The other's name.
        by: &'static str,
    },
}

macro_rules! direction {
    ($side:ident $set:ident $id_of:ident $kind_of:ident $kind:ident, $whose:literal) => {
        #[doc = concat!("Gives a ", $whose, "'s draft this id; what it had before is free again.")]
        ///
        /// # Errors
        /// The id isn't free: 10–39, 41–79, 103–159 and 170–250 are, as long as no other draft has them.
        pub fn $set(mut self, kind: $kind, id: PacketId) -> Result<Self, DraftIdError> {
            if !is_free(id) {
                return Err(DraftIdError::NotFree(id));
            }
            if let Some(other) = self.$kind_of(id).filter(|other| *other != kind) {
                return Err(DraftIdError::InUse { id, by: other.name() });
            }
            if let Some(slot) = self.$side.get_mut(kind as usize) {
                *slot = id.0;
            }
            Ok(self)
        }

        #[doc = concat!("The id of a ", $whose, "'s draft, if it has one.")]
        pub fn $id_of(&self, kind: $kind) -> Option<PacketId> {
            self.$side.get(kind as usize).map(|id| PacketId(*id)).filter(|id| id.is_valid())
        }

        #[doc = concat!("The draft that this is the id of when a ", $whose, " sends it.")]
        pub fn $kind_of(&self, id: PacketId) -> Option<$kind> {
            let mut ids = self.$side.iter().zip($kind::ALL);
            ids.find(|(other, _)| **other == id.0 && id.is_valid()).map(|(_, kind)| *kind)
        }
    };
}

impl DraftIds {
    /// No draft has an id.
    pub const fn new() -> Self {
        Self { client: [0; ClientDraftKind::ALL.len()], server: [0; ServerDraftKind::ALL.len()] }
    }

    direction!(client client client_id client_kind ClientDraftKind, "client");
    direction!(server server server_id server_kind ServerDraftKind, "server");
}

impl Default for DraftIds {
    fn default() -> Self {
        Self::new()
    }
}

const fn is_free(id: PacketId) -> bool {
    matches!(id.0, 10..=39 | 41..=79 | 103..=159 | 170..=250)
}
