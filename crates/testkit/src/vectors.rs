//! Runs the language-neutral test vectors.
//!
//! A file is one JSON object: `protocol`, a `comment` or two, and `vectors`. A vector says what
//! `bytes` (hexadecimal) mean, sent by the side `from`, under the settings in `config`:
//!
//! | key | |
//! |---|---|
//! | `name` | unique in the file |
//! | `spec` | the decisions it shows |
//! | `messages` | what is in the bytes, one object each, in order |
//! | `error` | after those: `kind`, and `offset` in bytes from the start, unless it is a matter of the JSON parser; absent if all is well |
//! | `fatal` | `true`: nothing after the error can be read |
//! | `canonical` | `true`: encoding the messages gives these bytes again |

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

/// A file of vectors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Whose they are.
    pub protocol: String,
    /// For the reader.
    #[serde(default)]
    pub comment: String,
    /// The vectors.
    pub vectors: Vec<Vector>,
}

/// One vector.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// Unique in the file.
    pub name: String,
    /// The decisions it shows.
    pub spec: Vec<String>,
    /// `client` or `server`.
    pub from: String,
    /// The settings, where they aren't the default.
    #[serde(default)]
    pub config: Value,
    /// What is on the wire.
    #[serde(deserialize_with = "hex")]
    pub bytes: Vec<u8>,
    /// What that means.
    #[serde(default)]
    pub messages: Vec<Value>,
    /// What is wrong after those.
    #[serde(default)]
    pub error: Option<Error>,
    /// Nothing after the error can be read.
    #[serde(default)]
    pub fatal: bool,
    /// Encoding the messages gives the bytes again.
    #[serde(default)]
    pub canonical: bool,
}

/// What is wrong with bytes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Error {
    /// Its name.
    pub kind: String,
    /// Where, in bytes from the start; `None`: anywhere.
    #[serde(default)]
    pub offset: Option<u64>,
}

/// What came out of decoding.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decoded {
    /// The messages before the first error.
    pub messages: Vec<Value>,
    /// The first error, the end of the stream inside a frame included.
    pub error: Option<Error>,
    /// The messages after it.
    pub after: Vec<Value>,
}

/// A codec, as the vectors see it.
pub trait Codec {
    /// Decodes these pieces of a stream, then its end.
    fn decode(&self, vector: &Vector, pieces: &[&[u8]]) -> Decoded;
    /// Encodes one message.
    fn encode(&self, vector: &Vector, message: &Value) -> Vec<u8>;
    /// A good message to follow the others, with its bytes.
    fn trailer(&self, vector: &Vector) -> (Vec<u8>, Value);
}

/// Runs every vector whole, byte at a time and with a message behind it; canonical ones also the
/// other way. Gives how many there were.
///
/// # Panics
/// One of them fails.
pub fn run(json: &str, codec: &impl Codec) -> usize {
    let file: File = serde_json::from_str(json).expect("a file of vectors");
    let mut names = BTreeSet::new();
    for vector in &file.vectors {
        let name = &vector.name;
        assert!(names.insert(name), "{name}: the name is not unique");
        assert!(!vector.spec.is_empty(), "{name}: shows nothing");
        let expected = Decoded {
            messages: vector.messages.clone(),
            error: vector.error.clone(),
            after: Vec::new(),
        };

        let decode = |pieces: &[&[u8]]| {
            let mut decoded = codec.decode(vector, pieces);
            if let (Some(Error { offset: None, .. }), Some(got)) =
                (&vector.error, &mut decoded.error)
            {
                got.offset = None;
            }
            decoded
        };
        let bytes = &vector.bytes[..];
        assert_eq!(decode(&[bytes]), expected, "{name}, whole");
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(decode(&single), expected, "{name}, byte at a time");

        let truncated = vector.error.as_ref().is_some_and(|e| e.kind == "unexpected_eof");
        if !truncated {
            let (trailer, message) = codec.trailer(vector);
            let mut trailed = expected.clone();
            match (vector.fatal, vector.error.is_some()) {
                (true, _) => {}
                (false, true) => trailed.after.push(message),
                (false, false) => trailed.messages.push(message),
            }
            let got = decode(&[bytes, &trailer]);
            assert_eq!(got, trailed, "{name}, with a message behind it");
            let joined = [bytes, &trailer].concat();
            assert_eq!(decode(&[&joined]), trailed, "{name}, joined to a message");
        }

        if vector.canonical {
            let encoded: Vec<u8> =
                vector.messages.iter().flat_map(|m| codec.encode(vector, m)).collect();
            assert_eq!(encoded, bytes, "{name}, encoded");
        }
    }
    file.vectors.len()
}

fn hex<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    from_hex(&text).ok_or_else(|| serde::de::Error::custom("not hexadecimal"))
}

/// Bytes of hexadecimal text, white space aside.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
