//! roomvars' messages as serde_json reads them: the text over and over, every rule a line.

use roomvars_proto::{
    ClientMessage, CodecConfig, DecodeError, DecodeErrorKind, Dialect, EncodeError, ServerMessage,
    Value,
};

use super::json::{Fault, WHITE_SPACE, entries, fault, is_value};

/// Who sends a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// One object a message.
    Client,
    /// One object a line.
    Server,
}

/// An object, whoever sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Of a client only.
    Handshake {
        /// Which room.
        room: Value,
        /// As whom.
        username: String,
        /// Names and values in the order in which they stand there.
        variables: Vec<(String, String)>,
    },
    /// A new value.
    Set(String, Value),
    /// The same in other words.
    Create(String, Value),
    /// The old name and the new one.
    Rename(String, String),
    /// A variable is no more.
    Delete(String),
    /// A kind that isn't known, and the whole object.
    Unknown(String, String),
}

/// The keys of a dialect, in the order of the spec's table.
struct Keys {
    kind: &'static str,
    room: &'static str,
    username: &'static str,
    variables: Option<&'static str>,
    variable: &'static str,
    value: &'static str,
    new_name: Option<&'static str>,
}

const fn keys(dialect: Dialect) -> Keys {
    match dialect {
        Dialect::Documented => Keys {
            kind: "kind",
            room: "room",
            username: "username",
            variables: Some("variables"),
            variable: "variable",
            value: "value",
            new_name: None,
        },
        Dialect::Deployed2020 => Keys { room: "id", variable: "var", ..keys(Dialect::Documented) },
        Dialect::Scratch => Keys {
            kind: "method",
            room: "project_id",
            username: "user",
            variables: None,
            variable: "name",
            value: "value",
            new_name: Some("new_name"),
        },
    }
}

/// What is wrong, and where.
type Wrong = (DecodeErrorKind, usize);

/// What `sender` says with a message, up to the first thing that is wrong, and that.
pub fn decode(
    bytes: &[u8],
    sender: Sender,
    config: &CodecConfig,
) -> (Vec<Message>, Option<DecodeError>) {
    let wrong = |kind, offset: usize| Some(DecodeError { kind, offset: offset as u64 });
    let (len, limit) = (bytes.len(), limit(sender, config));
    if len > limit {
        return (vec![], wrong(DecodeErrorKind::MessageTooLarge { len, limit }, limit));
    }
    let lines: Vec<&[u8]> = match sender {
        Sender::Client => vec![bytes],
        Sender::Server => bytes.split(|byte| *byte == b'\n').collect(),
    };
    let (mut messages, mut start) = (vec![], 0);
    for line in lines {
        let blank = line.iter().all(|byte| WHITE_SPACE.contains(&char::from(*byte)));
        if sender == Sender::Client || !blank {
            match object(line, sender, config.dialect) {
                Ok(message) => messages.push(message),
                Err((kind, offset)) => return (messages, wrong(kind, start + offset)),
            }
        }
        start += line.len() + 1;
    }
    (messages, None)
}

/// What the one object in a text says.
fn object(bytes: &[u8], sender: Sender, dialect: Dialect) -> Result<Message, Wrong> {
    use DecodeErrorKind as Kind;
    let text = str::from_utf8(bytes).map_err(|e| (Kind::NotUtf8, e.valid_up_to()))?;
    let offset_of = |part: &str| part.as_ptr().addr() - text.as_ptr().addr();
    let keys = keys(dialect);

    let message = text.trim_matches(WHITE_SPACE);
    let is_object = message.starts_with('{');
    let fault = fault(text, 128);
    let readable = fault.map_or(text, |(_, offset)| &text[..offset]);
    let whole = match fault {
        None if !is_object => Err((Kind::NotAnObject, offset_of(message))),
        None => Ok(()),
        Some((Fault::TooDeep, at)) => Err((Kind::TooDeep, at)),
        Some((Fault::NotJson, at)) if is_object && is_value(readable, 128) => {
            Err((Kind::TrailingData, at))
        }
        Some((Fault::NotJson, at)) => Err((Kind::NotJson, at)),
    };
    if !is_object {
        whole?;
    }

    // A key that stands there twice may come before what is no JSON any more.
    let known = [
        Some(keys.kind),
        Some(keys.room),
        Some(keys.username),
        keys.variables,
        Some(keys.variable),
        Some(keys.value),
        keys.new_name,
    ];
    let mut found: Vec<(&'static str, &str)> = vec![];
    for (written, value) in entries(readable) {
        let plain = serde_json::from_str::<String>(written).ok();
        let Some(key) = known.into_iter().flatten().find(|key| plain.as_deref() == Some(*key))
        else {
            continue;
        };
        if found.iter().any(|(other, _)| *other == key) {
            return Err((Kind::DuplicateKey(key), offset_of(written)));
        }
        found.push((key, value));
    }
    whole?;

    let required = |key: &'static str| {
        let value = found.iter().find(|(found, _)| *found == key).map(|(_, value)| *value);
        value.ok_or((Kind::MissingKey(key), offset_of(message) + message.len() - 1))
    };
    let invalid =
        |value: &str, key, expected| (Kind::InvalidValue { key, expected }, offset_of(value));
    // A string; other JSON is not what was `expected`.
    let string = |value: &str, key, expected| {
        let lone = value.starts_with('"').then_some("a string of whole characters");
        serde_json::from_str::<String>(value)
            .map_err(|_| invalid(value, key, lone.unwrap_or(expected)))
    };
    // A string, or in the Scratch dialect a number.
    let value = |key, is_number: fn(&str) -> bool, or_number| {
        let value = required(key)?;
        if dialect == Dialect::Scratch && is_number(value) {
            return Ok(Value::Number(value.into()));
        }
        let expected = if dialect == Dialect::Scratch { or_number } else { "a string" };
        string(value, key, expected).map(|text| Value::Text(text.into()))
    };
    let text = |key| string(required(key)?, key, "a string");
    let variables = || {
        let Some(key) = keys.variables else { return Ok(vec![]) };
        let object = required(key)?;
        if !object.starts_with('{') {
            return Err(invalid(object, key, "an object of strings"));
        }
        let string = |value: &str| {
            let lone = value.starts_with('"').then_some("an object of strings of whole characters");
            serde_json::from_str::<String>(value)
                .map_err(|_| invalid(value, key, lone.unwrap_or("an object of strings")))
        };
        entries(object)
            .into_iter()
            .map(|(name, value)| Ok((string(name)?, string(value)?)))
            .collect::<Result<Vec<_>, _>>()
    };

    let kind = text(keys.kind)?;
    let scratch = dialect == Dialect::Scratch;
    Ok(match &kind[..] {
        "handshake" if sender == Sender::Client => Message::Handshake {
            room: value(keys.room, is_integer, "a string or an integer")?,
            username: text(keys.username)?,
            variables: variables()?,
        },
        "set" => Message::Set(
            text(keys.variable)?,
            value(keys.value, is_number, "a string or a number")?,
        ),
        "create" if scratch => Message::Create(
            text(keys.variable)?,
            value(keys.value, is_number, "a string or a number")?,
        ),
        "rename" if scratch => Message::Rename(text(keys.variable)?, text("new_name")?),
        "delete" if scratch => Message::Delete(text(keys.variable)?),
        _ => Message::Unknown(kind, message.to_owned()),
    })
}

fn limit(sender: Sender, config: &CodecConfig) -> usize {
    match sender {
        Sender::Client => config.max_client_message,
        Sender::Server => config.max_server_message,
    }
}

/// Whether all of it is a JSON number.
fn is_number(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    begins && !text.ends_with(WHITE_SPACE) && is_value(text, 0)
}

/// Whether it has neither fraction nor exponent, too.
fn is_integer(text: &str) -> bool {
    is_number(text) && text.chars().all(|c| c == '-' || c.is_ascii_digit())
}

/// How `sender` writes an object behind `before` bytes of the same message, the line break between
/// them included.
///
/// # Errors
/// It can't; of several things the one that the codec looks at first.
pub fn encode(
    message: &Message,
    sender: Sender,
    before: usize,
    config: &CodecConfig,
) -> Result<String, EncodeError> {
    let keys = keys(config.dialect);
    let scratch = config.dialect == Dialect::Scratch;
    let only_scratch = |what| if scratch { Ok(()) } else { Err(EncodeError::NotInDialect(what)) };
    let string = |text: &str| serde_json::to_string(text).expect("a string");
    let json = |value: &Value, is_number: fn(&str) -> bool| match value {
        Value::Text(text) => Ok(string(text)),
        Value::Number(number) => {
            only_scratch("numbers")?;
            let number = is_number(number).then(|| number.clone().into_string());
            number.ok_or(EncodeError::NotANumber)
        }
    };
    let Keys { kind, room: room_key, username: username_key, variable, value, .. } = keys;
    let pair = |what: &str, name: &str, new: &Value| {
        let (name, new) = (string(name), json(new, is_number)?);
        Ok(format!(r#"{{"{kind}":"{what}","{variable}":{name},"{value}":{new}}}"#))
    };
    let mut text = match message {
        Message::Handshake { room, username, variables } => {
            assert_eq!(sender, Sender::Client, "only clients say that");
            let room = json(room, is_integer)?;
            let entry =
                |(name, value): &(String, String)| format!("{}:{}", string(name), string(value));
            let entries: Vec<_> = variables.iter().map(entry).collect();
            let variables = match keys.variables {
                Some(key) => format!(r#","{key}":{{{}}}"#, entries.join(",")),
                None if entries.is_empty() => String::new(),
                None => return Err(EncodeError::NotInDialect("variables")),
            };
            let username = string(username);
            format!(
                r#"{{"{kind}":"handshake","{room_key}":{room},"{username_key}":{username}{variables}}}"#
            )
        }
        Message::Set(name, new) => pair("set", name, new)?,
        Message::Create(name, new) => {
            only_scratch("create")?;
            pair("create", name, new)?
        }
        Message::Rename(name, new_name) => {
            only_scratch("rename")?;
            let (name, new_name) = (string(name), string(new_name));
            format!(r#"{{"{kind}":"rename","{variable}":{name},"new_name":{new_name}}}"#)
        }
        Message::Delete(name) => {
            only_scratch("delete")?;
            format!(r#"{{"{kind}":"delete","{variable}":{}}}"#, string(name))
        }
        Message::Unknown(_, raw) => {
            let is_object =
                raw.starts_with('{') && !raw.ends_with(WHITE_SPACE) && is_value(raw, 128);
            if !is_object || (sender == Sender::Server && raw.contains('\n')) {
                return Err(EncodeError::NotAnObject);
            }
            raw.clone()
        }
    };
    if before > 0 {
        text.insert(0, '\n');
    }
    let (len, limit) = (before + text.len(), limit(sender, config));
    if len > limit {
        return Err(EncodeError::MessageTooLarge { len, limit });
    }
    Ok(text)
}

impl From<ClientMessage<'_>> for Message {
    fn from(message: ClientMessage<'_>) -> Self {
        match message {
            ClientMessage::Handshake { room, username, variables } => Self::Handshake {
                room: room.to_owned(),
                username: username.into_owned(),
                variables: variables
                    .iter()
                    .map(|(name, value)| (name.into_owned(), value.into_owned()))
                    .collect(),
            },
            ClientMessage::Set { variable, value } => {
                Self::Set(variable.into_owned(), value.to_owned())
            }
            ClientMessage::Create { variable, value } => {
                Self::Create(variable.into_owned(), value.to_owned())
            }
            ClientMessage::Rename { variable, new_name } => {
                Self::Rename(variable.into_owned(), new_name.into_owned())
            }
            ClientMessage::Delete { variable } => Self::Delete(variable.into_owned()),
            ClientMessage::Unknown { kind, raw } => {
                Self::Unknown(kind.into_owned(), raw.to_owned())
            }
            _ => unreachable!("a message of a new kind"),
        }
    }
}

impl From<ServerMessage<'_>> for Message {
    fn from(message: ServerMessage<'_>) -> Self {
        match message {
            // What both may say is the same.
            ServerMessage::Set { variable, value } => ClientMessage::Set { variable, value }.into(),
            ServerMessage::Create { variable, value } => {
                ClientMessage::Create { variable, value }.into()
            }
            ServerMessage::Rename { variable, new_name } => {
                ClientMessage::Rename { variable, new_name }.into()
            }
            ServerMessage::Delete { variable } => ClientMessage::Delete { variable }.into(),
            ServerMessage::Unknown { kind, raw } => ClientMessage::Unknown { kind, raw }.into(),
            _ => unreachable!("a message of a new kind"),
        }
    }
}
