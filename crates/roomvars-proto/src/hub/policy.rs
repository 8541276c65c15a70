use super::ConnId;
use crate::ValueRef;

/// Who wants to join a room, or to set a variable in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Author<'a> {
    /// Its connection.
    pub connection: ConnId,
    /// Its room.
    pub room: &'a str,
    /// Whether that is one of those of the Scratch dialect, which are apart from the others.
    pub is_scratch: bool,
    /// Its name there.
    pub username: &'a str,
}

/// What a hub's application finds acceptable, beyond the limits (R5). Everything, unless you say
/// otherwise.
///
/// ```
/// use roomvars_proto::{Author, Hub, HubConfig, Policy, ValueRef};
/// use std::{sync::Arc, time::Instant};
///
/// /// Numbers only, as the games of some servers know nothing else.
/// struct NumbersOnly;
///
/// impl Policy for NumbersOnly {
///     fn accepts_value(&mut self, _: Author<'_>, _: &str, value: &ValueRef<'_>) -> bool {
///         value.as_str().parse::<f64>().is_ok()
///     }
/// }
///
/// let hub = Hub::with_policy(Arc::new(HubConfig::default()), NumbersOnly, Instant::now());
/// # let _ = hub;
/// ```
pub trait Policy {
    /// Whether somebody may join a room by this name; it has passed the limits. If not, the
    /// connection is closed with 4002. The connection is told so that you can compare with what you know
    /// of it, such as who has logged in there.
    fn accepts_username(&mut self, _author: Author<'_>) -> bool {
        true
    }

    /// Whether a variable may have this value; it has passed the limits. If not, the connection is
    /// closed with 4000, or in the Scratch dialect nothing happens (R3). The values of a handshake are
    /// asked about too, where it creates the room. What is accepted may still be refused for something else:
    /// how things stand, [`Hub::room`](crate::Hub::room) tells.
    fn accepts_value(
        &mut self,
        _author: Author<'_>,
        _variable: &str,
        _value: &ValueRef<'_>,
    ) -> bool {
        true
    }
}

/// Accepts everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AcceptAll;

impl Policy for AcceptAll {}
