//! What is compared: each decodes one message and tells a [`Sink`] of all sets in it, or encodes one.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::hint::black_box;

use roomvars_proto::{Batch, BatchWriter, CodecConfig, ServerMessage};
use serde::Deserialize;
use serde_json::{Value, json};

use super::texts::Set;

/// Who is told of the sets.
pub(crate) trait Sink {
    fn set(&mut self, name: &str, value: &(impl Display + ?Sized));
}

/// Looks at nothing, but all has to be there.
pub(crate) struct BlackBox;

impl Sink for BlackBox {
    #[inline]
    fn set(&mut self, name: &str, value: &(impl Display + ?Sized)) {
        black_box((name, value));
    }
}

/// Keeps them, to be compared.
impl Sink for Vec<Set> {
    fn set(&mut self, name: &str, value: &(impl Display + ?Sized)) {
        self.push((name.to_owned(), value.to_string()));
    }
}

/// What a server says.
#[inline]
pub(crate) fn new(text: &str, config: &CodecConfig, sink: &mut impl Sink) {
    tell(Batch::new(text, config), sink);
}

/// The same from bytes, which may not be UTF-8.
#[inline]
pub(crate) fn decode(text: &str, config: &CodecConfig, sink: &mut impl Sink) {
    tell(Batch::decode(text.as_bytes(), config), sink);
}

#[inline]
fn tell(batch: Batch<'_>, sink: &mut impl Sink) {
    for message in batch {
        match message {
            Ok(ServerMessage::Set { variable, value }) => sink.set(&variable, value.as_str()),
            _ => unreachable!(),
        }
    }
}

/// Each line as a value, then a look at what is needed.
pub(crate) fn value(text: &str, (kind, variable): (&str, &str), sink: &mut impl Sink) {
    for line in text.split('\n') {
        let value: Value = serde_json::from_str(line).unwrap();
        assert_eq!(value[kind], "set");
        let name = value[variable].as_str().unwrap();
        match &value["value"] {
            Value::String(value) => sink.set(name, value),
            Value::Number(value) => sink.set(name, value),
            _ => unreachable!(),
        }
    }
}

/// Text that is borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a message is to serde, under a dialect's keys; `V` is a value.
macro_rules! derived {
    ($module:ident, $kind:literal, $variable:literal) => {
        pub(crate) mod $module {
            use std::borrow::Cow;
            use std::fmt::Display;

            use serde::de::DeserializeOwned;
            use serde::{Deserialize, Serialize};

            use super::Sink;

            /// As one writes it first.
            #[derive(Deserialize)]
            #[serde(tag = $kind)]
            enum Tagged<V> {
                #[serde(rename = "set")]
                Set {
                    #[serde(rename = $variable)]
                    variable: String,
                    value: V,
                },
            }

            pub(crate) fn tagged<V>(text: &str, sink: &mut impl Sink)
            where
                V: DeserializeOwned + Display,
            {
                for line in text.split('\n') {
                    let Tagged::<V>::Set { variable, value } = serde_json::from_str(line).unwrap();
                    sink.set(&variable, &value);
                }
            }

            /// The least that serde can do: nothing is copied but strings with escapes.
            #[derive(Serialize, Deserialize)]
            pub(crate) struct Derived<'a, V> {
                #[serde(rename = $kind)]
                pub(crate) kind: &'a str,
                #[serde(borrow, rename = $variable)]
                pub(crate) variable: Cow<'a, str>,
                pub(crate) value: V,
            }

            pub(crate) fn stream<'a, V>(text: &'a str, sink: &mut impl Sink)
            where
                V: Deserialize<'a> + Display,
            {
                for message in serde_json::Deserializer::from_str(text).into_iter() {
                    let message: Derived<'_, V> = message.unwrap();
                    assert_eq!(message.kind, "set");
                    sink.set(&message.variable, &message.value);
                }
            }

            pub(crate) fn sonic<'a, V>(text: &'a str, sink: &mut impl Sink)
            where
                V: Deserialize<'a> + Display,
            {
                for line in text.split('\n') {
                    let message: Derived<'_, V> = sonic_rs::from_str(line).unwrap();
                    assert_eq!(message.kind, "set");
                    sink.set(&message.variable, &message.value);
                }
            }
        }
    };
}
derived!(documented, "kind", "variable");
derived!(deployed, "kind", "var");
derived!(scratch, "method", "name");

/// Ours into `dst`.
#[inline]
pub(crate) fn push(sets: &[Set], config: &CodecConfig, dst: &mut Vec<u8>) {
    let mut writer = BatchWriter::new(config, dst);
    for (name, value) in sets {
        let (variable, value) = (name.as_str().into(), value.as_str().into());
        writer.push(&ServerMessage::Set { variable, value }).unwrap();
    }
}

pub(crate) fn json(sets: &[Set]) -> String {
    let line = |(name, value): &Set| {
        json!({ "kind": "set", "variable": name, "value": value }).to_string()
    };
    sets.iter().map(line).collect::<Vec<_>>().join("\n")
}

pub(crate) fn to_writer(sets: &[Set], dst: &mut Vec<u8>) {
    for (at, (name, value)) in sets.iter().enumerate() {
        if at > 0 {
            dst.push(b'\n');
        }
        let message = documented::Derived { kind: "set", variable: name.into(), value };
        serde_json::to_writer(&mut *dst, &message).unwrap();
    }
}
