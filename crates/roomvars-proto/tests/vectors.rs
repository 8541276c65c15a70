//! The language-neutral vectors, run against this codec and against the model that it is held to.

use testkit::roomvars::{RoomvarsCodec, RoomvarsModel};
use testkit::vectors::run_messages;

const VECTORS: &str = include_str!("vectors/roomvars.json");

#[test]
fn vectors() {
    let ran = run_messages(VECTORS, &RoomvarsCodec);
    assert!(ran >= 400, "only {ran} vectors");
}

#[test]
fn the_model_passes_them_too() {
    run_messages(VECTORS, &RoomvarsModel);
}
