//! What is decoded: texts as the gateway sends them.

/// As both sides' clocks write it.
pub(crate) const TIME: u64 = 1_579_523_400_000;
pub(crate) const HEARTBEAT: &str = r#"{"op":10,"time":1579523400000}"#;
pub(crate) const ACK: &str = r#"{"op":11,"time":1579523400000}"#;
/// As some send it.
pub(crate) const HEARTBEAT_BARE: &str = r#"{"op":10}"#;
pub(crate) const HEARTBEAT_OTHER_ORDER: &str = r#"{"time":1579523400000,"op":10}"#;

pub(crate) const USER: &str = "5e259da8c1a4f20017b3d1e6";
pub(crate) const READY: &str = r#"{"op":2,"user":"5e259da8c1a4f20017b3d1e6"}"#;
/// The same as the notes' example has it.
pub(crate) const READY_OP_1: &str = r#"{"op":1,"user":"5e259da8c1a4f20017b3d1e6"}"#;
pub(crate) const READY_PRETTY: &str = r#"{
  "op": 2,
  "user": "5e259da8c1a4f20017b3d1e6"
}"#;

/// 300 bytes of them.
pub(crate) const MESSAGE: &str = r#"{"op":3,"message":{"id":"5e25a0f3c1a4f20017b3d1f9","channel":"general","user":"5e259da8c1a4f20017b3d1e6","content":"Good morning! Has anybody seen the draft for issue 7? It was due on Friday, I think, and the printers would like to know by noon whether they can start. Thanks!","sent":1579523400000}}"#;
/// Keys of what is delivered.
pub(crate) const MESSAGE_KEYS: usize = 5;
/// The same as the notes' table has it.
pub(crate) const MESSAGE_OP_2: &str = r#"{"op":2,"message":{"id":"5e25a0f3c1a4f20017b3d1f9","channel":"general","user":"5e259da8c1a4f20017b3d1e6","content":"Good morning! Has anybody seen the draft for issue 7? It was due on Friday, I think, and the printers would like to know by noon whether they can start. Thanks!","sent":1579523400000}}"#;
/// As many bytes of one that has twice the keys and less to say, some of it in escapes.
pub(crate) const MESSAGE_NESTED: &str = r#"{"op":3,"message":{"id":"5e25a0f3c1a4f20017b3d1f9","channel":"general","author":{"id":"5e259da8c1a4f20017b3d1e6","name":"Ada King","bot":false},"content":"Good morning! Has anybody seen the \"draft\" for issue 7? It was due on Friday, I think.","mentions":[],"attachments":null,"sent":1579523400000}}"#;
pub(crate) const NESTED_KEYS: usize = 7;

/// What stands under `message`.
pub(crate) fn delivered(text: &str) -> &str {
    text.strip_prefix(r#"{"op":3,"message":"#).unwrap().strip_suffix('}').unwrap()
}
