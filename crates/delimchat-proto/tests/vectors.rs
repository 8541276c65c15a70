//! The language-neutral vectors, run against this codec.

use testkit::delimchat::DelimchatCodec;

#[test]
fn vectors() {
    let ran = testkit::vectors::run(include_str!("vectors/delimchat.json"), &DelimchatCodec);
    assert!(ran >= 245, "only {ran} vectors");
}
