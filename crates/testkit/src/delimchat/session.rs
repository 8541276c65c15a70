use std::sync::Arc;
use std::time::Instant;

use delimchat_proto::{
    AliasRefusal, Base64, ByteOrder, Client, ClientConfig, ClientEvent, ClientMessageId,
    ClientPacketRef, CodecConfig, LoginRefusal, PacketList, RegisterRefusal, RequestId, RoomId,
    RoomRefusal, Secret, Server, ServerConfig, ServerEvent, ServerPacketRef, Session, UniqueId,
};

use crate::Numbers;
use crate::conformance::{Subject, discard};

/// A client and its application.
#[derive(Debug, Clone, Default)]
pub struct DelimchatClient {
    /// Its settings.
    pub config: Arc<ClientConfig>,
    /// Start logged in.
    pub ready: bool,
}

/// A server and its application.
#[derive(Debug, Clone, Default)]
pub struct DelimchatServer {
    /// Its settings.
    pub config: Arc<ServerConfig>,
    /// Start with a client that is logged in, and in a room.
    pub ready: bool,
}

/// The room that a server's client starts in.
const ROOM: RoomId = RoomId::from_counter(0xFF);

/// What a client sends with these packets.
pub fn from_client(codec: &CodecConfig, packets: &[ClientPacketRef<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in packets {
        packet.encode(codec, &mut bytes).expect("encodes");
    }
    bytes
}

/// What a server sends with these packets.
pub fn from_server(codec: &CodecConfig, packets: &[ServerPacketRef<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in packets {
        packet.encode(codec, &mut bytes).expect("encodes");
    }
    bytes
}

fn number(request: RequestId) -> u64 {
    request.number().into()
}

impl Subject for DelimchatClient {
    type Session = Client;

    fn start(&self, now: Instant) -> Client {
        let mut client = Client::new(self.config.clone(), now);
        if self.ready {
            client.login(now, "ada", b"hunter2").expect("is the first");
            client.handle_input(now, b"\x01\xFFguest\0\x03\xFF\x03\x03\x03\0");
            discard(&mut client);
            assert!(client.is_logged_in());
        }
        client
    }

    fn react(&self, client: &mut Client, now: Instant, event: ClientEvent) {
        // To see what it can do.
        if matches!(event, ClientEvent::Guest { .. }) {
            let _ = client.request_supported(now);
            let _ = client.announce_supported(now);
        }
    }

    fn act(&self, client: &mut Client, now: Instant, choice: u8) -> Option<u64> {
        let message = vec![choice; usize::from(choice) * usize::from(choice)];
        let room = [RoomId::GLOBAL, RoomId::ECHO, ROOM][usize::from(choice) % 3];
        match choice % 16 {
            0..=5 => return client.send_message(now, room, &message).ok().map(number),
            6 => return client.join(now, room, &message).ok().map(number),
            7 => return client.part(now, room, Some("so long")).ok().map(number),
            8 => return client.change_alias(now, "countess").ok().map(number),
            9 => return client.login(now, "ada", &message).ok().map(number),
            10 => {
                return client.register(now, "ada", &message, "ada@example.org").ok().map(number);
            }
            11 => drop(client.invite(now, room, "bob", "")),
            12 => drop(client.request_supported(now)),
            13 => drop(client.announce_supported(now)),
            14 if choice == 254 => client.close(now),
            _ => {}
        }
        None
    }

    fn outcome(&self, event: &ClientEvent) -> Option<u64> {
        match event {
            ClientEvent::Outcome { request, .. } => Some(number(*request)),
            _ => None,
        }
    }

    fn max_memory(&self, largest_input: usize) -> usize {
        self.config.max_memory(largest_input)
    }
}

/// Ids from here on are those of what the application sends in answer to something.
const IN_ANSWER: u64 = 1 << 32;

fn counter(unique_id: UniqueId) -> u64 {
    u64::from_be_bytes(unique_id.prefix().0)
}

impl Subject for DelimchatServer {
    type Session = Server;

    fn start(&self, now: Instant) -> Server {
        let mut server = Server::new(self.config.clone(), "guest-7", now).expect("is a name");
        if self.ready {
            let login = b"\x02\xFFada\xFFaHVudGVyMg==\xFF\x02\0";
            server.handle_input(now, login);
            discard(&mut server);
            server.accept(now).expect("awaits it");
            assert!(server.enter(ROOM) || self.config.limits.max_rooms == 0);
            discard(&mut server);
            assert!(server.is_logged_in());
        }
        server
    }

    fn react(&self, server: &mut Server, now: Instant, event: ServerEvent) {
        match event {
            ServerEvent::Login { password, .. } => match password.expose().len() % 5 {
                0 => drop(server.refuse_login(now, LoginRefusal::Username)),
                1 => drop(server.refuse_login(now, LoginRefusal::Password)),
                // Left for later.
                2 => {}
                _ => drop(server.accept(now)),
            },
            ServerEvent::Register { password, .. } => match password.expose().len() % 3 {
                0 => drop(server.refuse_registration(now, RegisterRefusal::UsernameInUse)),
                1 => drop(server.refuse_registration(now, RegisterRefusal::Email)),
                _ => drop(server.accept(now)),
            },
            ServerEvent::Message { id, message, .. } => {
                let answered = match message[0] {
                    0..=99 => server.accept_message(now, id),
                    100..=199 => server.refuse_message(now, id, RoomRefusal::NotAuthorized),
                    // Left open.
                    _ => return,
                };
                assert!(answered.is_ok() || server.ended().is_some());
                assert!(server.accept_message(now, id).is_err(), "one answer each");
            }
            ServerEvent::Echo { message } => {
                let unique_id = UniqueId::new(IN_ANSWER, message.len() as u64);
                let _ = server.echo(now, unique_id, &message);
            }
            ServerEvent::LongMessage { room, message, .. } => {
                let _ = server.forward(now, UniqueId::new(IN_ANSWER + 1, 0), room, &message);
            }
            ServerEvent::JoinRoom { id, password, .. } => match password.expose().len() % 3 {
                0 => drop(server.refuse_join(now, id, RoomRefusal::Invalid)),
                1 => drop(server.accept_join(now, id)),
                _ => {}
            },
            ServerEvent::ChangeAlias { id, alias } => match alias.len() % 3 {
                0 => drop(server.refuse_alias(now, id, AliasRefusal::InUse)),
                1 => drop(server.accept_alias(now, id)),
                _ => {}
            },
            ServerEvent::Parted { room, .. } => drop(server.user_parted(now, room, "ada", "")),
            _ => {}
        }
    }

    fn act(&self, server: &mut Server, now: Instant, choice: u8) -> Option<u64> {
        let unique_id = UniqueId::new(choice.into(), 7);
        let message = vec![choice; usize::from(choice) * usize::from(choice)];
        let room = [RoomId::GLOBAL, RoomId::ECHO, ROOM][usize::from(choice) % 3];
        match choice % 16 {
            0..=5 => {
                let sent = server.deliver(now, unique_id, room, "bob", "builder", &message);
                return sent.is_ok().then_some(choice.into());
            }
            6 => {
                return server.echo(now, unique_id, &message).is_ok().then_some(choice.into());
            }
            7 => drop(server.accept(now)),
            8 => drop(server.user_joined(now, room, "bob", "")),
            9 => drop(server.alias_changed(now, "bob", "", "builder")),
            10 => drop(server.enter(RoomId::from_counter(choice.into()))),
            11 => server.leave(ROOM),
            12 if choice == 252 => drop(server.refuse_login(now, LoginRefusal::SecondEndpoint)),
            14 if choice == 254 => server.close(now),
            _ => {}
        }
        None
    }

    fn outcome(&self, event: &ServerEvent) -> Option<u64> {
        match event {
            ServerEvent::Received { unique_id } | ServerEvent::Unacknowledged { unique_id } => {
                Some(counter(*unique_id)).filter(|counter| *counter < IN_ANSWER)
            }
            _ => None,
        }
    }

    fn max_memory(&self, largest_input: usize) -> usize {
        self.config.max_memory(largest_input)
    }
}

/// A packet that a client may send, or a server if it is `of_server`, out of any numbers, with a few slips.
pub fn some_packet(of_server: bool, codec: &CodecConfig, numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes =
        if of_server { some_of_server(codec, numbers) } else { some_of_client(codec, numbers) };
    match numbers.below(20) {
        // Some other byte somewhere.
        0 => {
            let at = numbers.below(bytes.len());
            bytes[at] = numbers.bytes(1)[0];
        }
        1 => drop(bytes.remove(numbers.below(bytes.len()))),
        _ => {}
    }
    bytes
}

fn below(end: usize, numbers: &mut Numbers) -> u32 {
    u32::try_from(numbers.below(end)).expect("is small")
}

fn some_of_client(codec: &CodecConfig, numbers: &mut Numbers) -> Vec<u8> {
    let len = [1, 2, 40, 300, 0][numbers.below(5)];
    let text = numbers.bytes(len);
    let message = match numbers.below(8) {
        0 => Base64::from_text(&b"no base64"[..]),
        _ => Base64::of(&text[..]),
    };
    let client_message_id = ClientMessageId::from_counter(below(4, numbers));
    let room = [RoomId::GLOBAL, RoomId::ECHO, ROOM, RoomId(*b"elsewher")][numbers.below(4)];
    let number = below(5, numbers);
    let unique_id = UniqueId::new(numbers.below(256) as u64, 7);
    let (username, alias) = ("bob".into(), ["", "x", "xy", "xyz"][numbers.below(4)].into());
    let password = Secret::new(message);
    let packet = match numbers.below(40) {
        0..=2 => {
            let byte_order = [ByteOrder::BigEndian, ByteOrder::LittleEndian][numbers.below(2)];
            ClientPacketRef::Login { username, password, byte_order: byte_order.into() }
        }
        3 => ClientPacketRef::Register { username, password, email: "a@b".into() },
        4 if numbers.below(8) == 0 => ClientPacketRef::LogOff,
        4..=11 => ClientPacketRef::ShortMessage { client_message_id, room, message },
        12..=14 => ClientPacketRef::ShortMessageReceived { unique_id },
        15..=17 => {
            ClientPacketRef::LongMessageHead { remaining: number, client_message_id, room, message }
        }
        18..=25 => ClientPacketRef::LongMessageNext { number, client_message_id, message },
        26 => ClientPacketRef::LongMessageReceived { unique_id },
        27 => {
            let unique_id_prefix = unique_id.prefix();
            ClientPacketRef::ResendDeliveryNext { number, unique_id_prefix }
        }
        28..=29 => ClientPacketRef::JoinRoom { room, password },
        30 => ClientPacketRef::PartRoom { room, part_message: Some("bye".into()) },
        31..=33 => ClientPacketRef::ChangeAlias { new_alias: alias },
        34 => ClientPacketRef::InviteUser { room, username, alias },
        35 => ClientPacketRef::SupportedPacketsRequest,
        36 => ClientPacketRef::ClientSupports { packets: PacketList::new(&b"\x01\x53"[..]) },
        _ => return numbers.bytes(5),
    };
    let mut bytes = Vec::new();
    // What can't be encoded is bad content.
    if packet.encode(codec, &mut bytes).is_err() {
        bytes = [&b"\x50\xFF....\xFF0000ECHO\xFF"[..], &b"no base64"[..], b"\0"].concat();
    }
    bytes
}

fn some_of_server(codec: &CodecConfig, numbers: &mut Numbers) -> Vec<u8> {
    let len = [1, 2, 40, 300, 0][numbers.below(5)];
    let text = numbers.bytes(len);
    let message = Base64::of(&text[..]);
    let room = [RoomId::GLOBAL, RoomId::ECHO, ROOM][numbers.below(3)];
    let number = below(5, numbers);
    let unique_id = UniqueId::new(numbers.below(4) as u64, 7);
    let (username, alias) = ("bob".into(), ["", "x", "xy"][numbers.below(3)].into());
    let id = u8::try_from(numbers.below(8)).expect("is small");
    let packet = match numbers.below(40) {
        0 => ServerPacketRef::GuestUsername { username },
        1..=2 => {
            return [&b"\x03\xFF\x03\x03\x03\0"[..], b"\x03\xFF\x02\x05\x03\0"][numbers.below(2)]
                .to_vec();
        }
        3 => return b"\x07\xFF\x03\x03\x03\0".to_vec(),
        4 => return [&b"\x04\xFFBAD\0"[..], b"\x08\xFFBAD\0"][numbers.below(2)].to_vec(),
        5 if numbers.below(20) == 0 => ServerPacketRef::BadFirstPacket,
        5..=8 => {
            return [&[0x51, 0xFF, 0, 0, 0, id, 0xFF, 3, 3, 0][..], b"\x52\xFFBAD\0"]
                [numbers.below(2)]
            .to_vec();
        }
        9..=15 => {
            ServerPacketRef::ShortMessageDelivery { unique_id, room, username, alias, message }
        }
        16 => ServerPacketRef::UnknownReceipt { unique_id },
        17..=18 => return vec![0x58, 0xFF, 0, 0, 0, id, 0xFF, 3, 3, 3, 0],
        19..=20 => return vec![0x5C, 0xFF, 0, 0, 0, id, 0xFF, 3, 3, 3, 0],
        21 => {
            let client_message_id = ClientMessageId::from_counter(id.into());
            ServerPacketRef::ResendLongMessageHead { client_message_id }
        }
        22 => {
            let client_message_id = ClientMessageId::from_counter(id.into());
            ServerPacketRef::ResendLongMessageNext { number, client_message_id }
        }
        23..=24 => {
            ServerPacketRef::LongMessageDeliveryHead { remaining: number, unique_id, room, message }
        }
        25..=30 => ServerPacketRef::LongMessageDeliveryNext { number, unique_id, message },
        31 => return [&[0xA1, 0xFF][..], &room.0, &[0xFF, 3, 0]].concat(),
        32 => return [&[0xA4, 0xFF][..], &room.0, &[0xFF, 9, 0]].concat(),
        33 => return vec![0xA7, 0xFF, 7, 0],
        34 => ServerPacketRef::UserJoined { room, username, alias },
        35 => ServerPacketRef::UserParted { room, username, alias },
        36 => ServerPacketRef::PacketNotSupported,
        37 => ServerPacketRef::ServerSupports { packets: PacketList::new(&b"\x02\x50"[..]) },
        _ => return numbers.bytes(5),
    };
    from_server(codec, &[packet])
}
