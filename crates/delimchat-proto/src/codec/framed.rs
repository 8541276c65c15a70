use core::fmt;
use std::io;

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio_util::codec;

use super::{Decoder, Sender};
use crate::{
    ClientPacket, CodecConfig, DecodeError, EncodeError, FromClient, FromServer, ServerPacket,
};

/// Packets for [`tokio_util::codec::Framed`]: a thin adapter around [`Decoder`]. `S` is the side that sends what
/// is decoded here; what is encoded is the other side's.
///
/// A report of D3 or D4 is an item, as an error would end a `Framed`. It knows no time: to give up a packet
/// that is overdue, call [`decoder_mut`](Self::decoder_mut)'s [`expire`](Decoder::expire).
pub struct PacketCodec<S: Sender> {
    decoder: Decoder<S>,
    /// Of what is encoded.
    config: CodecConfig,
    /// The rest of the last read: split off whole, so that packets are slices of it.
    read: Bytes,
}

/// Why a [`PacketCodec`] failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PacketCodecError {
    /// The transport's error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The packet can't be written; nothing was.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl<S: Sender> PacketCodec<S> {
    /// A codec for both directions of a fresh connection.
    pub const fn new(config: CodecConfig) -> Self {
        Self { decoder: Decoder::new(config), config, read: Bytes::new() }
    }

    /// What decodes, to set its byte order (D6) and to give up packets.
    pub const fn decoder_mut(&mut self) -> &mut Decoder<S> {
        &mut self.decoder
    }

    /// The settings of what is encoded, to set its byte order (D6).
    pub const fn config_mut(&mut self) -> &mut CodecConfig {
        &mut self.config
    }
}

/// Shows nothing of the bytes, which may hold a password.
impl<S: Sender> fmt::Debug for PacketCodec<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketCodec").field("decoder", &self.decoder).finish_non_exhaustive()
    }
}

impl<S: Sender> codec::Decoder for PacketCodec<S> {
    type Item = Result<S::Packet<Bytes>, DecodeError>;
    type Error = PacketCodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Self::Item>, PacketCodecError> {
        loop {
            if let Some(item) = self.decoder.decode_bytes(&mut self.read).transpose() {
                return Ok(Some(item));
            }
            if src.is_empty() {
                return Ok(None);
            }
            self.read = src.split().freeze();
        }
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Self::Item>, PacketCodecError> {
        let item = self.decode(src)?;
        if item.is_some() {
            return Ok(item);
        }
        let last = self.decoder.finish().transpose();
        Ok(last.map(|item| item.map(|packet| S::map(packet, Bytes::copy_from_slice))))
    }
}

impl codec::Encoder<ServerPacket> for PacketCodec<FromClient> {
    type Error = PacketCodecError;

    fn encode(&mut self, packet: ServerPacket, dst: &mut BytesMut) -> Result<(), PacketCodecError> {
        Ok(packet.encode(&self.config, dst)?)
    }
}

impl codec::Encoder<ClientPacket> for PacketCodec<FromServer> {
    type Error = PacketCodecError;

    fn encode(&mut self, packet: ClientPacket, dst: &mut BytesMut) -> Result<(), PacketCodecError> {
        Ok(packet.encode(&self.config, dst)?)
    }
}

#[cfg(feature = "draft")]
mod drafts {
    use bytes::{Bytes, BytesMut};
    use tokio_util::codec::Encoder;

    use super::{PacketCodec, PacketCodecError};
    use crate::CodecConfig;
    use crate::codec::{Decoder, Packets, Sender};
    use crate::draft::{ClientPacket, DraftIds, FromClient, FromServer, ServerPacket};

    impl<S: Sender + Packets<Ids = DraftIds>> PacketCodec<S> {
        /// A codec for both directions of a fresh connection on which drafts have these ids (D11). After
        /// [`new`](Self::new) none has one.
        pub const fn with_drafts(config: CodecConfig, ids: DraftIds) -> Self {
            Self { decoder: Decoder::with_ids(config, ids), config, read: Bytes::new() }
        }
    }

    impl Encoder<ServerPacket> for PacketCodec<FromClient> {
        type Error = PacketCodecError;

        fn encode(
            &mut self,
            packet: ServerPacket,
            dst: &mut BytesMut,
        ) -> Result<(), PacketCodecError> {
            Ok(packet.encode(self.decoder.ids(), &self.config, dst)?)
        }
    }

    impl Encoder<ClientPacket> for PacketCodec<FromServer> {
        type Error = PacketCodecError;

        fn encode(
            &mut self,
            packet: ClientPacket,
            dst: &mut BytesMut,
        ) -> Result<(), PacketCodecError> {
            Ok(packet.encode(self.decoder.ids(), &self.config, dst)?)
        }
    }
}
