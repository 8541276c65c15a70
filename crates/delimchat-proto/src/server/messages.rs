//! Messages, short and long, both ways (steps 3 and 4).

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Question, ServerConnection, ServerSide, Talk, answer};
use crate::connection::Side;
use crate::long::{Added, Known, Outgoing, PART, Resend, Times, cut, most_bytes};
use crate::{
    Alias, AnswerError, Authorization, Base64, ClientMessageId, HeadCountStatus, LongMessageStatus,
    LongRoomStatus, MessageId, PartNumberStatus, RoomId, SendError, ServerConfig, ServerEvent,
    ServerPacketRef, ShortMessageStatus, ShortRoomStatus, UniqueId, UniqueIdPrefix, Username,
};

impl ServerSide {
    pub(super) fn short_room_status(&self, room: RoomId) -> ShortRoomStatus {
        if self.is_in(room) { ShortRoomStatus::Okay } else { ShortRoomStatus::NotInRoom }
    }

    pub(super) fn handle_short<B: AsRef<[u8]>>(
        &mut self,
        c: &mut ServerConnection,
        client_message_id: ClientMessageId,
        room: RoomId,
        message: &Base64<B>,
    ) {
        let room_status = self.short_room_status(room);
        let Some(message) = payload(message) else {
            return short_result(c, client_message_id, room_status, ShortMessageStatus::BadBase64);
        };
        if message.is_empty() {
            let empty = ShortMessageStatus::EmptyMessage;
            return short_result(c, client_message_id, room_status, empty);
        }
        if room_status != ShortRoomStatus::Okay {
            return short_result(c, client_message_id, room_status, ShortMessageStatus::Okay);
        }
        let bytes = message.len();
        if room == RoomId::ECHO {
            short_result(c, client_message_id, room_status, ShortMessageStatus::Okay);
            c.push_event(ServerEvent::Echo { message }, bytes);
            return;
        }
        if let Some(id) = self.ask(c, Question::Message(client_message_id)) {
            let id = MessageId(id);
            c.push_event(ServerEvent::Message { id, room, message }, bytes);
        } else {
            let refused = ShortRoomStatus::NotAuthorized;
            short_result(c, client_message_id, refused, ShortMessageStatus::Okay);
        }
    }

    /// Notes a question to the application; `None` if there are too many.
    pub(super) fn ask(&mut self, c: &ServerConnection, question: Question) -> Option<u64> {
        let id = self.next_question;
        let questions = &mut self.talk().questions;
        if questions.len() >= c.limits().max_pending {
            return None;
        }
        questions.insert(id, question);
        self.next_question = id.wrapping_add(1);
        Some(id)
    }

    /// Takes out what is to be answered.
    pub(super) fn take_question<T>(
        &mut self,
        c: &ServerConnection,
        id: u64,
        take: impl FnOnce(&Question) -> Option<T>,
    ) -> Result<T, AnswerError> {
        if c.has_ended() {
            return Err(AnswerError);
        }
        let questions = &mut self.talk.as_mut().ok_or(AnswerError)?.questions;
        let taken = questions.get(&id).and_then(take).ok_or(AnswerError)?;
        questions.remove(&id);
        self.release();
        Ok(taken)
    }

    pub(super) fn handle_receipt(&mut self, c: &mut ServerConnection, unique_id: UniqueId) {
        let unacked = &mut self.talk().unacked;
        // Mostly the oldest.
        match unacked.iter().position(|waits| *waits == unique_id) {
            Some(at) => {
                unacked.remove(at);
                c.push_event(ServerEvent::Received { unique_id }, 0);
            }
            None => answer(c, &ServerPacketRef::UnknownReceipt { unique_id }),
        }
    }

    /// To a client that is logged in.
    pub(super) fn deliver(
        &mut self,
        c: &mut ServerConnection,
        unique_id: UniqueId,
        room: RoomId,
        username: &str,
        alias: &str,
        message: &[u8],
    ) -> Result<(), SendError> {
        self.check_new(unique_id)?;
        let short = ServerPacketRef::ShortMessageDelivery {
            unique_id,
            room,
            username: Username::from(username),
            alias: Alias::from(alias),
            message: Base64::of(message),
        };
        if message.len() > PART || !c.send_if_it_fits(|codec, out| short.encode(codec, out))? {
            if message.is_empty() {
                return Err(SendError::Empty);
            }
            let parts = cut(message, &c.codec(), c.limits());
            let parts = parts.ok_or_else(|| too_long(c, message.len()))?;
            return self.deliver_long(c, unique_id, room, parts);
        }
        let unacked = &mut self.talk().unacked;
        unacked.push_back(unique_id);
        if unacked.len() > c.limits().max_unacked {
            if let Some(unique_id) = unacked.pop_front() {
                c.push_event(ServerEvent::Unacknowledged { unique_id }, 0);
            }
        }
        self.release();
        Ok(())
    }

    pub(super) fn check_new(&self, unique_id: UniqueId) -> Result<(), SendError> {
        let is_going = |talk: &Talk| {
            talk.unacked.contains(&unique_id)
                // A U99 says no more of it.
                || talk.going.iter().any(|going| going.id.prefix() == unique_id.prefix())
        };
        if self.talk.as_deref().is_some_and(is_going) {
            return Err(SendError::DuplicateId);
        }
        Ok(())
    }

    pub(super) fn long_room_status(&self, room: RoomId) -> LongRoomStatus {
        if self.is_in(room) { LongRoomStatus::Okay } else { LongRoomStatus::NotAuthorized }
    }

    pub(super) fn count_status(&self, c: &ServerConnection, remaining: u32) -> HeadCountStatus {
        let limits = c.limits();
        let open = self.talk.as_ref().map_or(0, |talk| talk.coming.len());
        if (1..=limits.max_parts).contains(&remaining) && open < limits.max_assemblies {
            HeadCountStatus::Okay
        } else {
            HeadCountStatus::Invalid
        }
    }

    pub(super) fn handle_head<B: AsRef<[u8]>>(
        &mut self,
        c: &mut ServerConnection,
        id: ClientMessageId,
        room: RoomId,
        remaining: u32,
        message: &Base64<B>,
    ) {
        use {HeadCountStatus as Tp, LongMessageStatus as M, LongRoomStatus as Rid};
        if self.talk().coming.knows(id) != Known::Unknown {
            return head_result(c, id, Tp::Okay, Rid::Okay, M::Okay);
        }
        let (tp, rid) = (self.count_status(c, remaining), self.long_room_status(room));
        let (m, payload) = long_payload(message);
        head_result(c, id, tp, rid, m);
        if let (Tp::Okay, Rid::Okay, Some(head)) = (tp, rid, payload) {
            let times = times(&c.config);
            self.talk().coming.begin(id, room, remaining, head, &c.clock, times);
        }
    }

    pub(super) fn handle_next<B: AsRef<[u8]>>(
        &mut self,
        c: &mut ServerConnection,
        id: ClientMessageId,
        number: u32,
        message: &Base64<B>,
    ) {
        use {LongMessageStatus as M, PartNumberStatus as Pn};
        let coming = &mut self.talk().coming;
        match (coming.knows(id), coming.lacks(id, number)) {
            (Known::Unknown, _) => {
                let client_message_id = id;
                answer(c, &ServerPacketRef::ResendLongMessageHead { client_message_id });
            }
            (Known::Finished, _) | (_, Some(false)) => next_result(c, id, Pn::Okay, M::Okay),
            (_, None) => next_result(c, id, Pn::Invalid, long_payload(message).0),
            (_, Some(true)) => {
                let (m, payload) = long_payload(message);
                next_result(c, id, Pn::Okay, m);
                let Some(part) = payload else { return };
                if let Added::Whole(room, message) =
                    coming.add(id, number, part, &c.clock, times(&c.config))
                {
                    let bytes = message.footprint();
                    let client_message_id = id;
                    let event = ServerEvent::LongMessage { client_message_id, room, message };
                    c.push_event(event, bytes);
                }
            }
        }
    }

    pub(super) fn deliver_long(
        &mut self,
        c: &mut ServerConnection,
        unique_id: UniqueId,
        room: RoomId,
        mut parts: Vec<Bytes>,
    ) -> Result<(), SendError> {
        self.check_new(unique_id)?;
        if parts.len() == 1 {
            // At least one part follows the head.
            parts.push(Bytes::new());
        }
        if self.talk.as_ref().map_or(0, |talk| talk.going.len()) >= c.limits().max_outgoing {
            return Err(SendError::TooManyLong);
        }
        let head = parts.first().cloned().unwrap_or_default();
        let deadline = c.clock.after(c.config.assembly_timeout);
        let outgoing = Outgoing::new(unique_id, room, parts, deadline);
        let (remaining, message) = (outgoing.remaining(), Base64::of(&head[..]));
        let packet =
            ServerPacketRef::LongMessageDeliveryHead { remaining, unique_id, room, message };
        c.send(|codec, out| packet.encode(codec, out))?;
        self.talk().going.push(outgoing);
        self.fill(c);
        Ok(())
    }

    pub(super) fn handle_long_receipt(&mut self, c: &mut ServerConnection, unique_id: UniqueId) {
        let going = &mut self.talk().going;
        if let Some(at) = going.iter().position(|g| g.id == unique_id) {
            going.remove(at);
            c.push_event(ServerEvent::Received { unique_id }, 0);
        } else {
            let unique_id_prefix = unique_id.prefix();
            answer(c, &ServerPacketRef::UnknownLongReceipt { unique_id_prefix });
        }
    }

    pub(super) fn handle_resend(
        &mut self,
        c: &mut ServerConnection,
        prefix: UniqueIdPrefix,
        number: u32,
    ) {
        let max_resends = c.limits().max_resends;
        let going = &mut self.talk().going;
        let Some(outgoing) = going.iter_mut().find(|g| g.id.prefix() == prefix) else {
            let unique_id = prefix.padded();
            return answer(c, &ServerPacketRef::UnknownResend { number, unique_id });
        };
        let resend = match number {
            // The head isn't among what U99 is for.
            0 => Resend::BadNumber,
            _ => outgoing.resend(number, max_resends),
        };
        let unique_id = outgoing.id;
        let number_status = match resend {
            Resend::BadNumber => PartNumberStatus::Invalid,
            _ => PartNumberStatus::Okay,
        };
        let authorized = match resend {
            Resend::TooOften => Authorization::NotAuthorized,
            _ => Authorization::Okay,
        };
        answer(
            c,
            &ServerPacketRef::ResendDeliveryResult {
                unique_id_prefix: prefix,
                number_status,
                room_status: LongRoomStatus::Okay,
                message_status: LongMessageStatus::Okay,
                authorized,
            },
        );
        if let Resend::Part(part) = resend {
            let message = Base64::of(&part[..]);
            let packet = ServerPacketRef::LongMessageDeliveryNext { number, unique_id, message };
            answer(c, &packet);
        }
    }
}

pub(super) fn short_result(
    c: &mut ServerConnection,
    client_message_id: ClientMessageId,
    room_status: ShortRoomStatus,
    message_status: ShortMessageStatus,
) {
    answer(
        c,
        &ServerPacketRef::ShortMessageResult { client_message_id, room_status, message_status },
    );
}

pub(super) fn head_result(
    c: &mut ServerConnection,
    client_message_id: ClientMessageId,
    remaining_status: HeadCountStatus,
    room_status: LongRoomStatus,
    message_status: LongMessageStatus,
) {
    answer(
        c,
        &ServerPacketRef::LongMessageHeadResult {
            client_message_id,
            remaining_status,
            room_status,
            message_status,
        },
    );
}

pub(super) fn next_result(
    c: &mut ServerConnection,
    client_message_id: ClientMessageId,
    number_status: PartNumberStatus,
    message_status: LongMessageStatus,
) {
    answer(
        c,
        &ServerPacketRef::LongMessageNextResult {
            client_message_id,
            number_status,
            room_status: LongRoomStatus::Okay,
            message_status,
        },
    );
}

/// What is in a part of a long message, and what is to say about it.
pub(super) fn long_payload<B: AsRef<[u8]>>(
    message: &Base64<B>,
) -> (LongMessageStatus, Option<Bytes>) {
    match payload(message) {
        None => (LongMessageStatus::BadBase64, None),
        Some(part) if part.is_empty() => (LongMessageStatus::EmptyMessage, None),
        Some(part) => (LongMessageStatus::Okay, Some(part)),
    }
}

/// Bytes of their own, no more than they need; `None` if it isn't base64.
pub(super) fn payload<B: AsRef<[u8]>>(message: &Base64<B>) -> Option<Bytes> {
    message.payload().ok().map(|payload| payload.into_boxed_slice().into())
}

pub(super) fn too_long(c: &ServerConnection, len: usize) -> SendError {
    SendError::TooLong { len, limit: most_bytes(&c.codec(), c.limits()) }
}

pub(super) fn times(config: &ServerConfig) -> Times {
    Times { resend_after: config.resend_after, assembly_timeout: config.assembly_timeout }
}
