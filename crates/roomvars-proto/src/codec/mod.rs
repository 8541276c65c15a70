//! How messages are written as JSON, and read.

mod batch;
mod encode;
mod fields;
mod variables;

pub use batch::{Batch, BatchWriter};
#[cfg(feature = "std")]
pub(crate) use encode::is_number;
pub(crate) use encode::{
    Space, put_create, put_delete, put_handshake, put_raw, put_rename, put_set,
};
pub(crate) use fields::{Fields, usual_set};
pub use variables::Variables;

use crate::error::error;
use crate::{DecodeError, DecodeErrorKind};

/// R5: how long a message may be.
pub(crate) fn check_len(len: usize, limit: usize) -> Result<(), DecodeError> {
    if len > limit {
        return Err(error(DecodeErrorKind::MessageTooLarge { len, limit }, limit));
    }
    Ok(())
}
