//! Rooms, aliases and invitations (step 5).

use alloc::boxed::Box;

use super::login::secret;
use super::{Question, ServerConnection, ServerSide, answer};
use crate::{
    Alias, AliasId, Base64, JoinId, JoinRoomStatus, NewAliasStatus, PartRoomStatus, RoomId,
    ServerEvent, ServerPacketRef, Text, Username,
};

impl ServerSide {
    pub(super) fn handle_join<B: AsRef<[u8]>>(
        &mut self,
        c: &mut ServerConnection,
        room: RoomId,
        password: &Base64<B>,
    ) {
        if self.is_in(room) {
            return join_result(c, room, JoinRoomStatus::AlreadyInRoom);
        }
        let Ok(password) = password.payload() else {
            return join_result(c, room, JoinRoomStatus::Invalid);
        };
        if self.member.as_ref().is_some_and(|m| m.rooms.len() >= c.limits().max_rooms) {
            return join_result(c, room, JoinRoomStatus::NotAuthorized);
        }
        match self.ask(c, Question::Join(room)) {
            Some(id) => {
                let (bytes, password) = (password.len(), secret(password));
                let id = JoinId(id);
                c.push_event(ServerEvent::JoinRoom { id, room, password }, bytes);
            }
            None => join_result(c, room, JoinRoomStatus::NotAuthorized),
        }
    }

    pub(super) fn handle_part<B: AsRef<[u8]>>(
        &mut self,
        c: &mut ServerConnection,
        room: RoomId,
        message: Option<&Text<B>>,
    ) {
        let Ok(message) = message.map(Text::as_str).transpose() else {
            let room_status = PartRoomStatus::Invalid;
            return answer(c, &ServerPacketRef::PartRoomResult { room, room_status });
        };
        let message = message.map(Box::<str>::from);
        let room_status = match room {
            // Nobody can leave those.
            RoomId::GLOBAL | RoomId::ECHO => PartRoomStatus::Invalid,
            _ if self.leave(room) => PartRoomStatus::Okay,
            _ => PartRoomStatus::NotInRoom,
        };
        answer(c, &ServerPacketRef::PartRoomResult { room, room_status });
        if room_status == PartRoomStatus::Okay {
            let bytes = message.as_ref().map_or(0, |message| message.len());
            c.push_event(ServerEvent::Parted { room, message }, bytes);
        }
    }

    pub(super) fn handle_alias<B: AsRef<[u8]>>(
        &mut self,
        c: &mut ServerConnection,
        alias: &Alias<B>,
    ) {
        let alias: Box<str> = match alias.as_str() {
            Ok("") => return alias_result(c, NewAliasStatus::EmptyField),
            Ok(alias) => alias.into(),
            Err(_) => return alias_result(c, NewAliasStatus::Invalid),
        };
        match self.ask(c, Question::Alias(alias.clone())) {
            Some(id) => {
                let (id, bytes) = (AliasId(id), alias.len());
                c.push_event(ServerEvent::ChangeAlias { id, alias }, bytes);
            }
            None => alias_result(c, NewAliasStatus::Invalid),
        }
    }
}

pub(super) fn join_result(c: &mut ServerConnection, room: RoomId, room_status: JoinRoomStatus) {
    answer(c, &ServerPacketRef::JoinRoomResult { room, room_status });
}

pub(super) fn alias_result(c: &mut ServerConnection, alias_status: NewAliasStatus) {
    answer(c, &ServerPacketRef::ChangeAliasResult { alias_status });
}

pub(super) fn handle_invite<B: AsRef<[u8]>>(
    c: &mut ServerConnection,
    room: RoomId,
    username: &Username<B>,
    alias: &Alias<B>,
) {
    match (username.as_str(), alias.as_str()) {
        (Ok(username), Ok(alias)) if !username.is_empty() => {
            let bytes = username.len().saturating_add(alias.len());
            let (username, alias) = (username.into(), alias.into());
            c.push_event(ServerEvent::Invite { room, username, alias }, bytes);
        }
        // An invitation has no result to say that in.
        _ => answer(c, &ServerPacketRef::PacketNotSupported),
    }
}
