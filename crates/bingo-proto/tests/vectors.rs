//! The language-neutral vectors, run against this codec.

use testkit::bingo::BingoCodec;

#[test]
fn vectors() {
    let ran = testkit::vectors::run(include_str!("vectors/bingo.json"), &BingoCodec);
    assert!(ran >= 80, "only {ran} vectors");
}
