//! The language-neutral vectors, run against this codec and against the model that it is held to.

use testkit::emagine::{EmagineCodec, EmagineModel};
use testkit::vectors::run_messages;

const VECTORS: &str = include_str!("vectors/emagine.json");

#[test]
fn vectors() {
    let ran = run_messages(VECTORS, &EmagineCodec);
    assert!(ran >= 200, "only {ran} vectors");
}

#[test]
fn the_model_passes_them_too() {
    run_messages(VECTORS, &EmagineModel);
}
