//! What is compared: each decodes or encodes one message.
//!
//! A decoder shows what it has made to `black_box`, and gives the opcode and a length to be checked
//! by: that of the word `w`, that of the text of `r`, or the number of members in `r`.

use std::hint::black_box;

use litecord_proto::{ClientMessage, CodecConfig, Json, JsonRef, ServerMessage};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sonic_rs::{JsonContainerTrait as _, JsonValueTrait as _};

use super::texts::{Member, WHAT};
use crate::comparison::Seen;

/// What a client says.
#[inline]
pub(crate) fn from_json(text: &str, config: &CodecConfig) -> Seen {
    match black_box(&ClientMessage::from_json(text, config)) {
        Ok(ClientMessage::Heartbeat) => (2, 0),
        Ok(ClientMessage::Request { what, .. }) => (4, what.len()),
        _ => unreachable!(),
    }
}

/// The same from bytes, which may not be UTF-8.
#[inline]
pub(crate) fn decode(bytes: &[u8], config: &CodecConfig) -> Seen {
    match black_box(&ClientMessage::decode(bytes, config)) {
        Ok(ClientMessage::Heartbeat) => (2, 0),
        Ok(ClientMessage::Request { what, .. }) => (4, what.len()),
        _ => unreachable!(),
    }
}

/// A server's response.
pub(crate) fn response(text: &str, config: &CodecConfig) -> Seen {
    match black_box(&ServerMessage::from_json(text, config)) {
        Ok(ServerMessage::Response { result, .. }) => (5, result.get().len()),
        _ => unreachable!(),
    }
}

/// A server's response and what it says.
pub(crate) fn response_parsed(text: &str, config: &CodecConfig) -> Seen {
    match ServerMessage::from_json(text, config).unwrap() {
        ServerMessage::Response { nonce, result } => {
            black_box(nonce);
            let members: Vec<Member> = result.parse().unwrap();
            (5, black_box(&members).len())
        }
        _ => unreachable!(),
    }
}

/// Everything as values, then a look at what is needed.
pub(crate) fn value(text: &str) -> Seen {
    let value: Value = serde_json::from_str(text).unwrap();
    match value["op"].as_u64() {
        Some(2) => (2, 0),
        Some(4) => {
            let what = value["w"].as_str().unwrap();
            black_box((what, &value["a"], &value["n"]));
            (4, what.len())
        }
        Some(5) => {
            black_box((&value["n"], &value["r"]));
            (5, value["r"].as_array().unwrap().len())
        }
        _ => unreachable!(),
    }
}

/// Everything as values, then `r` as what it says.
pub(crate) fn value_parsed(text: &str) -> Seen {
    let mut value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(value["op"].as_u64(), Some(5));
    black_box(&value["n"]);
    let members: Vec<Member> = serde_json::from_value(value["r"].take()).unwrap();
    (5, black_box(&members).len())
}

/// As [`value`].
pub(crate) fn sonic_value(text: &str) -> Seen {
    let value: sonic_rs::Value = sonic_rs::from_str(text).unwrap();
    match value["op"].as_u64() {
        Some(2) => (2, 0),
        Some(4) => {
            let what = value["w"].as_str().unwrap();
            black_box((what, &value["a"], &value["n"]));
            (4, what.len())
        }
        Some(5) => {
            black_box((&value["n"], &value["r"]));
            (5, value["r"].as_array().unwrap().len())
        }
        _ => unreachable!(),
    }
}

/// The least that serde can make of a message: what is needed, borrowed; `a`, `n` and `r` as text.
#[derive(Deserialize)]
struct Derived<'a> {
    op: u8,
    w: Option<&'a str>,
    #[serde(borrow)]
    a: Option<&'a RawValue>,
    n: Option<&'a RawValue>,
    r: Option<&'a RawValue>,
}

impl Derived<'_> {
    fn seen(&self) -> Seen {
        let length = match self.op {
            2 => 0,
            4 if self.a.is_some() && self.n.is_some() => self.w.unwrap().len(),
            5 if self.n.is_some() => self.r.unwrap().get().len(),
            _ => unreachable!(),
        };
        (self.op.into(), length)
    }
}

pub(crate) fn derive(text: &str) -> Seen {
    black_box(&serde_json::from_str::<Derived<'_>>(text).unwrap()).seen()
}

/// `r` by the derive, then as what it says.
pub(crate) fn derive_parsed(text: &str) -> Seen {
    let message: Derived<'_> = serde_json::from_str(text).unwrap();
    black_box(message.n);
    let members: Vec<Member> = serde_json::from_str(message.r.unwrap().get()).unwrap();
    (message.op.into(), black_box(&members).len())
}

/// As [`derive`], by sonic-rs.
pub(crate) fn sonic_lazy(text: &str) -> Seen {
    /// Its own type for text as it is.
    #[derive(Deserialize)]
    struct Derived<'a> {
        op: u8,
        w: Option<&'a str>,
        #[serde(borrow)]
        a: Option<sonic_rs::LazyValue<'a>>,
        #[serde(borrow)]
        n: Option<sonic_rs::LazyValue<'a>>,
        #[serde(borrow)]
        r: Option<sonic_rs::LazyValue<'a>>,
    }
    let message: Derived<'_> = sonic_rs::from_str(text).unwrap();
    let message = black_box(&message);
    let length = match message.op {
        2 => 0,
        4 if message.a.is_some() && message.n.is_some() => message.w.unwrap().len(),
        5 if message.n.is_some() => message.r.as_ref().unwrap().as_raw_str().len(),
        _ => unreachable!(),
    };
    (message.op.into(), length)
}

/// Ours into `dst`.
#[inline]
pub(crate) fn encode(message: &ClientMessage<'_>, config: &CodecConfig, dst: &mut Vec<u8>) {
    message.encode(config, dst).unwrap();
}

pub(crate) type Args = (u64, &'static str, bool);

/// Ours into `dst`, from arguments that aren't JSON yet.
pub(crate) fn encode_args(
    args: &Args,
    nonce: JsonRef<'_>,
    config: &CodecConfig,
    dst: &mut Vec<u8>,
) {
    let args = Json::of(args).unwrap();
    let args = args.as_ref();
    ClientMessage::Request { what: WHAT.into(), args, nonce }.encode(config, dst).unwrap();
}

pub(crate) fn json_heartbeat(op: u8) -> String {
    serde_json::to_string(&json!({ "op": op })).unwrap()
}

pub(crate) fn json_request(what: &str, args: &Args, nonce: u64) -> String {
    serde_json::to_string(&json!({ "op": 4, "w": what, "a": args, "n": nonce })).unwrap()
}

/// What a heartbeat is to serde.
#[derive(Serialize)]
pub(crate) struct Heartbeat {
    pub(crate) op: u8,
}

/// What a request is to serde.
#[derive(Serialize)]
pub(crate) struct Request<'a, A> {
    pub(crate) op: u8,
    pub(crate) w: &'a str,
    pub(crate) a: A,
    pub(crate) n: u64,
}
