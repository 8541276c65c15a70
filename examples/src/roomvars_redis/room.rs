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

#[cfg(test)]
mod tests {
    use super::*;

    fn stored_as(fields: &[(&str, &str)]) -> HashMap<String, String> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_stored_is_read_in_the_order_in_which_it_was_set() {
        let room =
            [("", "12"), ("b", "3 t"), ("a", "3 tone two"), ("n", "12 n1.50"), ("c", "2 tn1")];
        let text = |text: &str| Value::Text(text.into());
        let expected = [
            ("c".to_owned(), text("n1")),
            ("a".to_owned(), text("one two")),
            ("b".to_owned(), text("")),
            ("n".to_owned(), Value::Number("1.50".into())),
        ];
        assert_eq!(values(stored_as(&room)), Some((12, expected.into())));
    }

    #[test]
    fn what_others_wrote_is_no_room() {
        for room in [
            &[("a", "1 t")][..],
            &[("", "many")],
            &[("", "1"), ("a", "t1")],
            &[("", "1"), ("a", "1 ")],
            &[("", "1"), ("a", "1 x1")],
            &[("", "1"), ("a", "1 ☁")],
            &[("", "1"), ("a", "one t1")],
        ] {
            assert_eq!(values(stored_as(room)), None, "{room:?}");
        }
    }

    #[test]
    fn a_change_is_read_as_it_was_made() {
        let made = [
            ClientMessage::Set { variable: "x".into(), value: "☁".into() },
            ClientMessage::Create { variable: "x".into(), value: ValueRef::Number("1.0") },
            ClientMessage::Rename { variable: "x".into(), new_name: "t".into() },
            ClientMessage::Delete { variable: "x".into() },
        ];
        for message in made {
            let change = Change::of(message.clone()).unwrap();
            let fields = [
                ("op", &*change.op),
                ("name", &*change.name),
                ("value", &*change.value),
                ("by", "me"),
            ];
            let (read, by) = Change::read(stored_as(&fields)).unwrap();
            assert_eq!(by, "me");
            let expected = match message {
                ClientMessage::Set { variable, value }
                | ClientMessage::Create { variable, value } => {
                    ServerMessage::Set { variable, value }
                }
                ClientMessage::Rename { variable, new_name } => {
                    ServerMessage::Rename { variable, new_name }
                }
                ClientMessage::Delete { variable } => ServerMessage::Delete { variable },
                other => panic!("{other:?}"),
            };
            assert_eq!(read.message(), Some(expected));
            for missing in 0..fields.len() {
                let mut fields = fields.to_vec();
                fields.remove(missing);
                assert!(Change::read(stored_as(&fields)).is_none());
            }
        }
        let change =
            |op: &'static str| Change { op: op.into(), name: "x".into(), value: "x".into() };
        assert_eq!((change("news").message(), change("set").message()), (None, None));
    }
}
