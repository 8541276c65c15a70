//! Emagine: one JSON object a message.

use anyhow::{anyhow, bail};
use emagine_proto::{
    ClientMessage, CodecConfig, DecodeErrorKind, JsonRef, OpCode, Secret, ServerMessage,
};

use crate::json::Fields;
use crate::op::{Kind, Ops};
use crate::record::Problem;
use crate::{Options, Side};

/// For `--help`.
pub(crate) const NOTES: &str = "\
emagine types and their fields (message and time are JSON, passed on as it is but for line breaks):
  hello          heartbeat_interval
  identify       token
  ready          user
  message        message
  heartbeat, heartbeat_ack
                 time, unless it is absent
  unknown        op, raw: the whole message, if the protocol doesn't know its op
A server's ready and message are known by all spellings in use, and encoded with ops 2 and 3.

emagine errors: as litecord's";

pub(crate) struct Emagine {
    from: Side,
    config: CodecConfig,
}

impl Emagine {
    pub(crate) fn new(from: Side, options: &Options) -> Self {
        let mut config = CodecConfig::default();
        if let Some(bytes) = options.max_message {
            config = config.max_message(bytes);
        }
        Self { from, config }
    }
}

impl Ops for Emagine {
    const KEYS: &'static [&'static str] =
        &["heartbeat_interval", "token", "user", "message", "time"];
    const TEXTS: &'static [&'static str] = &["token", "user"];
    const SECRET: &'static str = "token";

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
        let time = match op {
            OpCode::HEARTBEAT | OpCode::HEARTBEAT_ACK if fields.has("time") => {
                Some(fields.json("time")?)
            }
            _ => None,
        };
        let time = time.as_ref().map(|time| JsonRef::new(time.get())).transpose()?;
        match self.from {
            Side::Client => {
                use ClientMessage as M;
                let message = match op {
                    OpCode::IDENTIFY => {
                        M::Identify { token: Secret::new(fields.secret("token")?.into()) }
                    }
                    OpCode::HEARTBEAT => M::Heartbeat { time },
                    OpCode::HEARTBEAT_ACK => M::HeartbeatAck { time },
                    _ => bail!("a client doesn't send this"),
                };
                message.encode(&self.config, dst)?;
            }
            Side::Server => {
                use ServerMessage as M;
                let content;
                let message = match op {
                    OpCode::HELLO => {
                        M::Hello { heartbeat_interval: fields.u64("heartbeat_interval")? }
                    }
                    OpCode::READY => M::Ready { user: fields.text("user")?.into() },
                    OpCode::MESSAGE => {
                        content = fields.json("message")?;
                        M::Message { message: JsonRef::new(content.get())? }
                    }
                    OpCode::HEARTBEAT => M::Heartbeat { time },
                    OpCode::HEARTBEAT_ACK => M::HeartbeatAck { time },
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
        OpCode::HELLO => ("hello", &["heartbeat_interval"]),
        OpCode::IDENTIFY => ("identify", &["token"]),
        OpCode::READY => ("ready", &["user"]),
        OpCode::MESSAGE => ("message", &["message"]),
        OpCode::HEARTBEAT => ("heartbeat", &["time"]),
        OpCode::HEARTBEAT_ACK => ("heartbeat_ack", &["time"]),
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
