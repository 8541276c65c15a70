use crate::codec::{Progress, Scan, Stop, Then};
use crate::{ByteOrder, ClientMessageId, ClientPacket, Overlong, RoomId, ServerPacket};

/// Whose packets they are: [`FromClient`] or [`FromServer`], or those of the module `draft`; there are no others.
///
/// `S::Packet<B>` is the table of that side: [`ClientPacket<B>`](ClientPacket) or [`ServerPacket<B>`](ServerPacket).
pub trait Sender: sealed::Packets {}

/// What clients send: [`ClientPacket`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FromClient {}

/// What servers send: [`ServerPacket`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FromServer {}

impl Sender for FromClient {}
impl Sender for FromServer {}

pub(crate) mod sealed {
    use crate::codec::{Scan, Then};
    use crate::{ByteOrder, Overlong};

    /// The packets of a sender.
    #[allow(private_bounds, private_interfaces, reason = "only this crate calls it")]
    pub trait Packets: 'static {
        type Packet<B: AsRef<[u8]>>;
        /// What says which ids they have, where no table does (D11).
        type Ids: Copy;

        const IDS: Self::Ids;

        fn parse<'a, const RESUME: bool, T: Then<Self::Packet<&'a [u8]>>>(
            ids: &Self::Ids,
            scan: &mut Scan<'a>,
            then: T,
        ) -> T::Out;

        fn map<B: AsRef<[u8]>, C: AsRef<[u8]>>(
            packet: Self::Packet<B>,
            f: impl FnMut(B) -> C,
        ) -> Self::Packet<C>;

        /// What stands before the message of a packet whose only delimited field, the last, is too long, if it is
        /// one of those that D5 tells apart.
        fn overlong(packet: &[u8], order: ByteOrder) -> Option<Overlong>;
    }
}

#[allow(private_bounds, private_interfaces, reason = "only this crate calls it")]
impl sealed::Packets for FromClient {
    type Packet<B: AsRef<[u8]>> = ClientPacket<B>;
    type Ids = ();

    const IDS: () = ();

    #[inline(always)]
    fn parse<'a, const RESUME: bool, T: Then<ClientPacket<&'a [u8]>>>(
        (): &(),
        scan: &mut Scan<'a>,
        then: T,
    ) -> T::Out {
        match scan.id() {
            Some(id) => ClientPacket::parse::<RESUME, _>(id, scan, then),
            None => then.stop(Stop::Incomplete, Progress::NONE),
        }
    }

    #[inline]
    fn map<B: AsRef<[u8]>, C: AsRef<[u8]>>(
        packet: ClientPacket<B>,
        f: impl FnMut(B) -> C,
    ) -> ClientPacket<C> {
        packet.map(f)
    }

    #[cold]
    fn overlong(packet: &[u8], order: ByteOrder) -> Option<Overlong> {
        let (id, rest) = packet.split_first()?;
        let number = |bytes: &[u8; 4]| order.read(*bytes);
        match id {
            0x50 => {
                let (client_message_id, rest) = group(rest)?;
                let (room, _) = group(rest)?;
                let client_message_id = ClientMessageId(*client_message_id);
                Some(Overlong::Short { client_message_id, room: RoomId(*room) })
            }
            0x57 => {
                let (remaining, rest) = group(rest)?;
                let (client_message_id, rest) = group(rest)?;
                let (room, _) = group(rest)?;
                let (remaining, room) = (number(remaining), RoomId(*room));
                let client_message_id = ClientMessageId(*client_message_id);
                Some(Overlong::Head { remaining, client_message_id, room })
            }
            0x5B => {
                let (part, rest) = group(rest)?;
                let (client_message_id, _) = group(rest)?;
                let client_message_id = ClientMessageId(*client_message_id);
                Some(Overlong::Next { number: number(part), client_message_id })
            }
            _ => None,
        }
    }
}

/// A group of fixed width behind its `FF`, and the rest.
fn group<const N: usize>(bytes: &[u8]) -> Option<(&[u8; N], &[u8])> {
    bytes.split_first()?.1.split_first_chunk()
}

#[allow(private_bounds, private_interfaces, reason = "only this crate calls it")]
impl sealed::Packets for FromServer {
    type Packet<B: AsRef<[u8]>> = ServerPacket<B>;
    type Ids = ();

    const IDS: () = ();

    #[inline(always)]
    fn parse<'a, const RESUME: bool, T: Then<ServerPacket<&'a [u8]>>>(
        (): &(),
        scan: &mut Scan<'a>,
        then: T,
    ) -> T::Out {
        match scan.id() {
            Some(id) => ServerPacket::parse::<RESUME, _>(id, scan, then),
            None => then.stop(Stop::Incomplete, Progress::NONE),
        }
    }

    #[inline]
    fn map<B: AsRef<[u8]>, C: AsRef<[u8]>>(
        packet: ServerPacket<B>,
        f: impl FnMut(B) -> C,
    ) -> ServerPacket<C> {
        packet.map(f)
    }

    fn overlong(_: &[u8], _: ByteOrder) -> Option<Overlong> {
        None
    }
}
