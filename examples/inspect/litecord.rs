//! Litecord: one JSON object a message.

use std::borrow::Cow;

use anyhow::{anyhow, bail};
use litecord_proto::{
    ClientMessage, CodecConfig, DecodeErrorKind, Directions, JsonRef, OpCode, Secret, ServerMessage,
};
use serde_json::value::RawValue;

use crate::json::Fields;
use crate::op::{Kind, Ops};
use crate::record::Problem;
use crate::{Options, Side};

/// For `--help`.
pub(crate) const NOTES: &str = "\
litecord types and their fields (a, n and r are JSON, passed on as it is but for line breaks):
  hello          hb_interval
  hello_ack      password
  heartbeat, heartbeat_ack
  request        w, a, n
  response       n, r
  dispatch       w, a
  unknown        op, raw: the whole message, if the protocol doesn't know its op

litecord errors:
  not_json           not UTF-8, or not JSON
  invalid_field      JSON, but no object, nested too deeply, or with a known key missing, twice or
                     of the wrong type
  wrong_direction    a message of the other side's
  payload_too_large  longer than --max-message";

pub(crate) struct Litecord {
    from: Side,
    config: CodecConfig,
}

impl Litecord {
    pub(crate) fn new(from: Side, options: &Options) -> Self {
        let directions = match options.directions {
            None | Some(crate::Directions::Both) => Directions::Both,
            Some(crate::Directions::AsDocumented) => Directions::AsDocumented,
        };
        let mut config = CodecConfig::default().directions(directions);
        if let Some(bytes) = options.max_message {
            config = config.max_message(bytes);
        }
        Self { from, config }
    }
}

impl Ops for Litecord {
    const KEYS: &'static [&'static str] = &["hb_interval", "password", "w", "a", "n", "r"];
    const TEXTS: &'static [&'static str] = &["password", "w"];
    const SECRET: &'static str = "password";

    fn check(&self, bytes: &[u8]) -> Result<Kind, Problem> {
        let op = match self.from {
            Side::Client => ClientMessage::decode(bytes, &self.config).map(|m| m.op()),
            Side::Server => ServerMessage::decode(bytes, &self.config).map(|m| m.op()),
        };
        op.map(kind_of).map_err(|error| Problem {
            kind: problem(error.kind),
            detail: error.to_string(),
            id: None,
            at: error.offset,
        })
    }

    fn encode(&self, kind: &str, fields: &mut Fields, dst: &mut Vec<u8>) -> anyhow::Result<()> {
        let op = (0..=u8::MAX).map(OpCode).find(|op| kind_of(*op).name == kind);
        let op = op.ok_or_else(|| anyhow!("unknown type {kind:?}"))?;
        let hb_interval = if op == OpCode::HELLO { fields.u64("hb_interval")? } else { 0 };
        let password =
            if op == OpCode::HELLO_ACK { fields.secret("password")? } else { String::new() };
        let mut what = String::new();
        let [mut args, mut nonce, mut result] = [const { None::<Box<RawValue>> }; 3];
        if let OpCode::REQUEST | OpCode::DISPATCH = op {
            what = fields.text("w")?;
            args = Some(fields.json("a")?);
        }
        if let OpCode::REQUEST | OpCode::RESPONSE = op {
            nonce = Some(fields.json("n")?);
        }
        if op == OpCode::RESPONSE {
            result = Some(fields.json("r")?);
        }
        let what = Cow::Owned(what);
        let [args, nonce, result] = [&args, &nonce, &result].map(|json| match json {
            Some(json) => JsonRef::new(json.get()),
            None => Ok(JsonRef::NULL),
        });
        let (args, nonce, result) = (args?, nonce?, result?);
        match self.from {
            Side::Client => {
                use ClientMessage as M;
                let message = match op {
                    OpCode::HELLO_ACK => M::HelloAck { password: Secret::new(password.into()) },
                    OpCode::HEARTBEAT => M::Heartbeat,
                    OpCode::REQUEST => M::Request { what, args, nonce },
                    OpCode::RESPONSE => M::Response { nonce, result },
                    OpCode::DISPATCH => M::Dispatch { what, args },
                    _ => bail!("a client doesn't send this"),
                };
                message.encode(&self.config, dst)?;
            }
            Side::Server => {
                use ServerMessage as M;
                let message = match op {
                    OpCode::HELLO => M::Hello { heartbeat_interval: hb_interval },
                    OpCode::HEARTBEAT_ACK => M::HeartbeatAck,
                    OpCode::REQUEST => M::Request { what, args, nonce },
                    OpCode::RESPONSE => M::Response { nonce, result },
                    OpCode::DISPATCH => M::Dispatch { what, args },
                    _ => bail!("a server doesn't send this"),
                };
                message.encode(&self.config, dst)?;
            }
        }
        Ok(())
    }
}

/// The spec's name of a type, and its keys.
const fn kind_of(op: OpCode) -> Kind {
    let (name, keys): (_, &[_]) = match op {
        OpCode::HELLO => ("hello", &["hb_interval"]),
        OpCode::HELLO_ACK => ("hello_ack", &["password"]),
        OpCode::HEARTBEAT => ("heartbeat", &[]),
        OpCode::HEARTBEAT_ACK => ("heartbeat_ack", &[]),
        OpCode::REQUEST => ("request", &["w", "a", "n"]),
        OpCode::RESPONSE => ("response", &["n", "r"]),
        OpCode::DISPATCH => ("dispatch", &["w", "a"]),
        _ => return Kind::unknown(op.0),
    };
    Kind { op: op.0, name, keys }
}

/// The spec's name for what is wrong.
const fn problem(kind: DecodeErrorKind) -> &'static str {
    use DecodeErrorKind as K;
    match kind {
        K::MessageTooLarge { .. } => "payload_too_large",
        K::NotUtf8 | K::NotJson => "not_json",
        K::WrongDirection(_) => "wrong_direction",
        // NotAnObject, TooDeep, DuplicateKey, MissingKey, InvalidValue.
        _ => "invalid_field",
    }
}
