//! The table of drafts; a new one is a new row.

use bytes::{BufMut, Bytes};
use smallwire_core::Secret;

use super::{Date, DraftIds, Gender, Parsed, TimeSpan, UpTo, Visibility};
use crate::codec::{Progress, Scan, Stop, Then};
use crate::message::table::{Field, Made, MapBytes, Note, Read, fits};
use crate::message::{
    Base64, Email, FieldLayout, FieldRef, FieldWidth, GroupLayout, Layout, RoomId, Text, UniqueId,
    Username,
};
use crate::{CodecConfig, ContentError, EncodeError, FieldsError};

/// A table of packets without ids: rows as of `packets!`, without the numbers.
macro_rules! drafts {
    (
        $(#[$doc:meta])*
        $letter:literal $enum:ident $ref:ident $kind:ident $id_of:ident
        $(
            $name:ident $word:literal
            $(= $literal:literal)?
            $({ $($groups:tt)+ })?
        ;)+
    ) => {
        table! {
            $(#[$doc])*
            ///
            /// | | packet | bytes behind the id |
            /// |---|---|---|
            $letter $enum $ref $kind
            $($name $word $(= $literal)? $({ $($groups)+ })?;)+
        }

        #[doc = concat!("Which [`", stringify!($enum), "`] a packet is.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $kind {
            $(#[doc = concat!("[`", stringify!($enum), "::", stringify!($name), "`].")] $name,)+
        }

        impl $kind {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its name, in snake case.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }
        }

        impl<B: AsRef<[u8]>> $enum<B> {
            /// Which it is.
            pub const fn kind(&self) -> $kind {
                match self { $(Self::$name { .. } => $kind::$name),+ }
            }

            /// Appends the packet to `dst`, with its id of `ids`.
            ///
            /// # Errors
            /// It has no id, a field has bad content or is too long, or the packet is; or `dst` is of fixed size and
            /// too small. `dst` is as it was.
            pub fn encode(
                &self,
                ids: &DraftIds,
                config: &CodecConfig,
                dst: &mut impl BufMut,
            ) -> Result<(), EncodeError> {
                let id = ids.$id_of(self.kind()).ok_or(EncodeError::NoId(self.name()))?;
                fits(self.check(config)?, config, dst)?;
                self.put(|_| id.0, config, dst);
                Ok(())
            }
        }
    };
}

drafts! {
    /// What a client may send beyond [`ClientPacket`](crate::ClientPacket).
    "From a client" ClientDraft ClientDraftRef ClientDraftKind client_id
      UpdateUser "update_user" { password: Secret<Base64<B>> | email (may_be_empty): Email<B> | gender: Parsed<Gender, B> | date_of_birth: Parsed<Date, B> | name (may_be_empty): Text<B> };
      Privacy "privacy" { email_visibility: Visibility | gender_visibility: Visibility | date_of_birth_visibility: Visibility | name_visibility: Visibility };
      AvatarHead "avatar_head" { remaining: u32 | data: Base64<B> };
      AvatarNext "avatar_next" { part: u8 | data: Base64<B> };
      Mute "mute" = "\x01" { username: Username<B> };
      Unmute "unmute" { username: Username<B> };
      Friend "friend" { username: Username<B> };
      Unfriend "unfriend" { username: Username<B> };
      Silence "silence" { username: Username<B> | reason (may_be_empty): Text<B> | minutes: Parsed<UpTo<59>, B> | hours: Parsed<UpTo<23>, B> | days: Parsed<UpTo<30>, B> | months: Parsed<UpTo<11>, B> | years: Parsed<UpTo<255>, B> };
      Ban "ban" { username: Username<B> | reason (may_be_empty): Text<B> | minutes: Parsed<UpTo<59>, B> | hours: Parsed<UpTo<23>, B> | days: Parsed<UpTo<30>, B> | months: Parsed<UpTo<11>, B> | years: Parsed<UpTo<255>, B> };
      Unban "unban" { username: Username<B> };
      MoveMessage "move_message" { room: RoomId | unique_id: UniqueId };
      LeaveRoom "leave_room" { room: RoomId };
}

drafts! {
    /// What a server may send beyond [`ServerPacket`](crate::ServerPacket).
    "From a server" ServerDraft ServerDraftRef ServerDraftKind server_id
      AvatarHead "avatar_head" { remaining: u32 | data: Base64<B> };
      AvatarNext "avatar_next" { part: u8 | data: Base64<B> };
      SilenceRefused "silence_refused" = "SU";
      BanRefused "ban_refused" = "BU";
      UnbanRefused "unban_refused" = "UU";
      RoomCreated "room_created" { room: RoomId };
}

impl<B: AsRef<[u8]>> ClientDraft<B> {
    /// How long a Silence or Ban lasts, the defaults included: 15 minutes and 3 hours if all is empty. Other
    /// packets last no time: `None`.
    ///
    /// # Errors
    /// A field is invalid (D0): that of the first.
    pub fn time_span(&self) -> Result<Option<TimeSpan>, ContentError> {
        let (Self::Silence { minutes, hours, days, months, years, .. }
        | Self::Ban { minutes, hours, days, months, years, .. }) = self
        else {
            return Ok(None);
        };
        let (minutes, hours, days) = (minutes.get()?, hours.get()?, days.get()?);
        let (months, years) = (months.get()?, years.get()?);
        let empty = minutes.is_none() && hours.is_none() && days.is_none();
        Ok(Some(if !(empty && months.is_none() && years.is_none()) {
            TimeSpan {
                minutes: minutes.unwrap_or_default(),
                hours: hours.unwrap_or_default(),
                days: days.unwrap_or_default(),
                months: months.unwrap_or_default(),
                years: years.unwrap_or_default(),
            }
        } else if matches!(self, Self::Ban { .. }) {
            TimeSpan::BAN
        } else {
            TimeSpan::SILENCE
        }))
    }
}
