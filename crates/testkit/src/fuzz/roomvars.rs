//! roomvars' targets.

mod hub;

use super::Target;

pub use hub::hub;

/// The targets.
pub const TARGETS: &[Target] = &[Target { name: "roomvars_hub", run: hub, seeds: hub::seeds }];
