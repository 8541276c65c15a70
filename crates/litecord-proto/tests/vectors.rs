//! The language-neutral vectors, run against this codec and against the model that it is held to.

use testkit::litecord::{LitecordCodec, LitecordModel};
use testkit::vectors::run_messages;

const VECTORS: &str = include_str!("vectors/litecord.json");

#[test]
fn vectors() {
    let ran = run_messages(VECTORS, &LitecordCodec);
    assert!(ran >= 200, "only {ran} vectors");
}

#[test]
fn the_model_passes_them_too() {
    run_messages(VECTORS, &LitecordModel);
}
