mod decoder;
#[cfg(feature = "tokio-util")]
mod framed;
mod scan;
mod sender;
mod write;

pub use decoder::Decoder;
#[cfg(feature = "tokio-util")]
pub use framed::{PacketCodec, PacketCodecError};
pub(crate) use scan::{Progress, Scan, Stop, Then};
#[cfg(any(feature = "draft", feature = "std"))]
pub(crate) use sender::sealed::Packets;
pub use sender::{FromClient, FromServer, Sender};
pub(crate) use write::put_base64;
