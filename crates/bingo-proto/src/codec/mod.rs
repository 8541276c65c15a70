mod decoder;
mod frame;
#[cfg(feature = "tokio-util")]
mod framed;

pub use decoder::Decoder;
pub(crate) use frame::write_frame;
pub use frame::{Frame, FrameRef};
#[cfg(feature = "tokio-util")]
pub use framed::{FrameCodec, FrameCodecError};
