//! Packets that the protocol only has notes about, under ids of your own (D11).
//!
//! [`ClientDraft`] and [`ServerDraft`] are the tables. Their packets have no ids: [`DraftIds`] gives free ones
//! to those that you want. A [`Decoder`] of this module's [`FromClient`] or [`FromServer`] finds them among
//! the others; the same framing, limits and reports go for them.
//!
//! ```
//! use delimchat_proto::draft::{ClientDraftKind, ClientDraftRef, ClientPacket, DraftIds, FromClient};
//! use delimchat_proto::{ClientPacketRef, CodecConfig, Decoder, PacketId, Username};
//!
//! let ids = DraftIds::new().client(ClientDraftKind::Friend, PacketId(0x0B))?;
//! let config = CodecConfig::default();
//! let friend = ClientDraftRef::Friend { username: Username::from("ada") };
//! let mut wire = Vec::new();
//! friend.encode(&ids, &config, &mut wire)?;
//! ClientPacketRef::LogOff.encode(&config, &mut wire)?;
//! assert_eq!(wire, *b"\x0B\xFFada\0\x28\xFFBYE\0");
//!
//! let mut decoder = Decoder::<FromClient>::with_drafts(config, ids);
//! let mut input = &wire[..];
//! assert_eq!(decoder.decode(&mut input)?, Some(ClientPacket::Draft(friend)));
//! assert_eq!(decoder.decode(&mut input)?, Some(ClientPacket::Assigned(ClientPacketRef::LogOff)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fields;
mod ids;
mod packets;

pub use super::status::Visibility;
pub use fields::{Date, Gender, Parsed, TimeSpan, UpTo};
pub use ids::{DraftIdError, DraftIds};
pub use packets::{
    ClientDraft, ClientDraftKind, ClientDraftRef, ServerDraft, ServerDraftKind, ServerDraftRef,
};

use core::marker::PhantomData;

use bytes::{BufMut, Bytes};

use super::FieldRef;
use crate::codec::{Packets, Progress, Scan, Stop, Then};
use crate::{ByteOrder, CodecConfig, Decoder, EncodeError, Overlong, PacketId, Sender};

/// Does with one of two kinds of packets what is done with `Q`, which is either.
struct Either<T, Q>(T, PhantomData<Q>);

impl<P: Into<Q>, Q, T: Then<Q>> Then<P> for Either<T, Q> {
    type Out = T::Out;

    #[inline(always)]
    fn read(self, packet: P, len: usize) -> T::Out {
        self.0.read(packet.into(), len)
    }

    #[inline(always)]
    fn stop(self, stop: Stop, progress: Progress) -> T::Out {
        self.0.stop(stop, progress)
    }
}

/// A side's packets, those with ids and drafts.
macro_rules! sides {
    ($(
        $(#[$doc:meta])*
        $side:ident $packet:ident $draft:ident $kind_of:ident;
    )+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $side {}

        impl Sender for $side {}

        #[doc = concat!("A packet of [`", stringify!($side), "`].")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $packet<B: AsRef<[u8]> = Bytes> {
            /// One that the protocol has an id for.
            Assigned(crate::$packet<B>),
            /// A draft.
            Draft($draft<B>),
        }

        impl<B: AsRef<[u8]>> $packet<B> {
            /// Its name, in snake case.
            pub const fn name(&self) -> &'static str {
                match self {
                    Self::Assigned(packet) => packet.name(),
                    Self::Draft(draft) => draft.name(),
                }
            }

            /// The same packet of other bytes: to own what is borrowed, for example.
            pub fn map<C: AsRef<[u8]>>(self, f: impl FnMut(B) -> C) -> $packet<C> {
                match self {
                    Self::Assigned(packet) => $packet::Assigned(packet.map(f)),
                    Self::Draft(draft) => $packet::Draft(draft.map(f)),
                }
            }

            /// Tells `f` each field by its name, in order; those that are missing are left out.
            pub fn fields<'s>(&'s self, f: impl FnMut(&'static str, FieldRef<'s>)) {
                match self {
                    Self::Assigned(packet) => packet.fields(f),
                    Self::Draft(draft) => draft.fields(f),
                }
            }

            /// Appends the packet to `dst`.
            ///
            /// # Errors
            /// As those of the two kinds of packets.
            pub fn encode(
                &self,
                ids: &DraftIds,
                config: &CodecConfig,
                dst: &mut impl BufMut,
            ) -> Result<(), EncodeError> {
                match self {
                    Self::Assigned(packet) => packet.encode(config, dst),
                    Self::Draft(draft) => draft.encode(ids, config, dst),
                }
            }
        }

        impl<B: AsRef<[u8]>> From<crate::$packet<B>> for $packet<B> {
            fn from(packet: crate::$packet<B>) -> Self {
                Self::Assigned(packet)
            }
        }

        impl<B: AsRef<[u8]>> From<$draft<B>> for $packet<B> {
            fn from(draft: $draft<B>) -> Self {
                Self::Draft(draft)
            }
        }

        #[allow(private_bounds, private_interfaces, reason = "only this crate calls it")]
        impl Packets for $side {
            type Packet<B: AsRef<[u8]>> = $packet<B>;
            type Ids = DraftIds;

            const IDS: DraftIds = DraftIds::new();

            fn parse<'a, const RESUME: bool, T: Then<$packet<&'a [u8]>>>(
                ids: &DraftIds,
                scan: &mut Scan<'a>,
                then: T,
            ) -> T::Out {
                let Some(id) = scan.id() else {
                    return then.stop(Stop::Incomplete, Progress::NONE);
                };
                match ids.$kind_of(PacketId(id)) {
                    Some(kind) => $draft::parse::<RESUME, _>(kind, scan, Either(then, PhantomData)),
                    None => crate::$packet::parse::<RESUME, _>(id, scan, Either(then, PhantomData)),
                }
            }

            fn map<B: AsRef<[u8]>, C: AsRef<[u8]>>(
                packet: $packet<B>,
                f: impl FnMut(B) -> C,
            ) -> $packet<C> {
                packet.map(f)
            }

            fn overlong(packet: &[u8], order: ByteOrder) -> Option<Overlong> {
                <crate::$side as Packets>::overlong(packet, order)
            }
        }
    )+};
}

impl<S: Sender + Packets<Ids = DraftIds>> Decoder<S> {
    /// A decoder of this module's [`FromClient`] or [`FromServer`], at the start of a stream in which drafts have
    /// these ids (D11). After [`new`](Self::new) none has one.
    pub const fn with_drafts(config: CodecConfig, ids: DraftIds) -> Self {
        Self::with_ids(config, ids)
    }
}

sides! {
    /// What clients send, drafts included: [`ClientPacket`].
    FromClient ClientPacket ClientDraft client_kind;
    /// What servers send, drafts included: [`ServerPacket`].
    FromServer ServerPacket ServerDraft server_kind;
}
