use std::borrow::Cow;
use std::collections::HashMap;

use roomvars_proto::{ClientMessage, ServerMessage, Value, ValueRef};

/// A room, of all servers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Room {
    pub(super) is_scratch: bool,
    pub(super) id: String,
}

impl Room {
    /// What it is called in Redis.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", if self.is_scratch { "scratch" } else { "fixed" }, self.id)
    }

    /// A hash: each variable's number of the change that set it last, and its value; under the empty name
    /// the number of the room's last change.
    pub(super) fn values(&self) -> String {
        format!("{{roomvars}}:values:{}", self.name())
    }

    /// A stream, in which a change has its number for an id.
    pub(super) fn changes(&self) -> String {
        format!("{{roomvars}}:changes:{}", self.name())
    }
}

/// What somebody did.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) op: Cow<'static, str>,
    pub(super) name: String,
    /// The value as it is stored, or the new name.
    pub(super) value: String,
}

impl Change {
    /// What a client wants; `None` for what is no change.
    pub(super) fn of(message: ClientMessage<'_>) -> Option<Self> {
        let (op, name, value) = match message {
            ClientMessage::Set { variable, value } | ClientMessage::Create { variable, value } => {
                ("set", variable, stored(&value))
            }
            ClientMessage::Rename { variable, new_name } => {
                ("rename", variable, new_name.into_owned())
            }
            ClientMessage::Delete { variable } => ("delete", variable, String::new()),
            _ => return None,
        };
        Some(Self { op: op.into(), name: name.into_owned(), value })
    }

    /// What stands in a stream, and by whom it is.
    pub(super) fn read(mut fields: HashMap<String, String>) -> Option<(Self, String)> {
        let mut field = |name| fields.remove(name);
        let (op, by) = (field("op")?.into(), field("by")?);
        Some((Self { op, name: field("name")?, value: field("value")? }, by))
    }

    pub(super) fn message(&self) -> Option<ServerMessage<'_>> {
        let variable = Cow::from(&*self.name);
        Some(match &*self.op {
            "set" => ServerMessage::Set { variable, value: value(&self.value)? },
            "rename" => ServerMessage::Rename { variable, new_name: (&*self.value).into() },
            "delete" => ServerMessage::Delete { variable },
            _ => return None,
        })
    }
}

/// How a value is stored: a letter, and its text.
pub(super) fn stored(value: &ValueRef<'_>) -> String {
    let letter = if let ValueRef::Number(_) = value { 'n' } else { 't' };
    format!("{letter}{}", value.as_str())
}

fn value(stored: &str) -> Option<ValueRef<'_>> {
    match stored.split_at_checked(1)? {
        ("n", number) => Some(ValueRef::Number(number)),
        ("t", text) => Some(ValueRef::text(text)),
        _ => None,
    }
}

/// A room's values in the order in which they were set last, and the number of its last change.
pub(super) fn values(mut stored: HashMap<String, String>) -> Option<(u64, Vec<(String, Value)>)> {
    let position = stored.remove("")?.parse().ok()?;
    let mut values = Vec::new();
    for (name, stored) in stored {
        let (number, stored) = stored.split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        values.push((number, name, value(stored)?.to_owned()));
    }
    values.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    Some((position, values.into_iter().map(|(_, name, value)| (name, value)).collect()))
}
