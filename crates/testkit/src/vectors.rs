//! Runs the language-neutral test vectors. `VECTORS.md` at the root of the workspace says what they
//! are and how they are run.

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
    #[serde(deserialize_with = "with_bytes")]
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
    #[serde(skip)]
    pub bytes: Vec<u8>,
    /// How the file writes the bytes.
    #[serde(default, rename = "bytes")]
    hex: Option<String>,
    /// How it writes them where they are text.
    #[serde(default)]
    text: Option<String>,
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Error {
    /// Its name.
    pub kind: String,
    /// The key of an object that it is about.
    #[serde(default)]
    pub key: Option<String>,
    /// Where, in bytes from the start.
    pub offset: Option<u64>,
}

/// What came out of decoding.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decoded {
    /// The messages before the first error.
    pub messages: Vec<Value>,
    /// The first error, the end of the stream inside a frame included.
    pub error: Option<Error>,
    /// The messages after it, of a stream.
    pub after: Vec<Value>,
}

/// The codec of a stream, as the vectors see it.
pub trait Codec {
    /// Decodes these pieces of a stream, then its end.
    fn decode(&self, vector: &Vector, pieces: &[&[u8]]) -> Decoded;
    /// Encodes one message.
    fn encode(&self, vector: &Vector, message: &Value) -> Vec<u8>;
    /// A good message to follow the others, with its bytes.
    fn trailer(&self, vector: &Vector) -> (Vec<u8>, Value);
}

/// The codec of messages that come one by one, as the vectors see it.
pub trait MessageCodec {
    /// Decodes one message, and all that is said in it. Nothing comes after an error.
    fn decode(&self, vector: &Vector, message: &[u8]) -> Decoded;
    /// Encodes what is said in one message.
    fn encode(&self, vector: &Vector, messages: &[Value]) -> Vec<u8>;
}

/// Runs every vector whole, byte at a time and with a message behind it; canonical ones also the
/// other way. Gives how many there were.
///
/// # Panics
/// One of them fails.
pub fn run(json: &str, codec: &impl Codec) -> usize {
    let file = File::parse(json);
    for vector in &file.vectors {
        let name = &vector.name;
        let expected = vector.expected();

        let decode = |pieces: &[&[u8]]| codec.decode(vector, pieces);
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

/// Runs every vector whole and with white space around it, which JSON doesn't mind; canonical ones
/// also the other way. Gives how many there were.
///
/// # Panics
/// One of them fails.
pub fn run_messages(json: &str, codec: &impl MessageCodec) -> usize {
    const BEFORE: &[u8] = b" \t\r\n ";
    const BEHIND: &[u8] = b"\n \r\t";
    let file = File::parse(json);
    for vector in &file.vectors {
        let name = &vector.name;
        let expected = vector.expected();
        let bytes = &vector.bytes[..];
        assert_eq!(codec.decode(vector, bytes), expected, "{name}, whole");

        // White space may make it too long.
        let mut settings = vector.config.as_object().into_iter().flatten();
        let limited = settings.any(|(key, _)| key.starts_with("max_"));
        for (before, behind) in [(BEFORE, &b""[..]), (b"", BEHIND), (BEFORE, BEHIND)] {
            if limited {
                break;
            }
            let mut expected = expected.clone();
            let mut got = codec.decode(vector, &[before, bytes, behind].concat());
            if let (Some(expected), Some(got)) = (&mut expected.error, &mut got.error) {
                // In a string or number it is the white space that is wrong, elsewhere what is after.
                let ends_early = expected.offset == Some(bytes.len() as u64);
                if ends_early && !behind.is_empty() {
                    (expected.offset, got.offset) = (None, None);
                }
                expected.offset = expected.offset.map(|offset| offset + before.len() as u64);
            }
            assert_eq!(got, expected, "{name}, with white space");
        }

        if vector.canonical {
            let encoded = codec.encode(vector, &vector.messages);
            let text = String::from_utf8_lossy(&encoded);
            assert!(encoded == bytes, "{name}, encoded: {text}");
        }
    }
    file.vectors.len()
}

impl Vector {
    /// What comes out of its bytes alone.
    fn expected(&self) -> Decoded {
        let (messages, error) = (self.messages.clone(), self.error.clone());
        Decoded { messages, error, after: Vec::new() }
    }
}

impl File {
    /// Reads a file.
    ///
    /// # Panics
    /// It isn't one, names a vector twice, or has one that shows nothing.
    pub fn parse(json: &str) -> Self {
        let file: Self = serde_json::from_str(json).expect("a file of vectors");
        let mut names = BTreeSet::new();
        for Vector { name, spec, .. } in &file.vectors {
            assert!(names.insert(name), "{name}: the name is not unique");
            assert!(!spec.is_empty(), "{name}: shows nothing");
        }
        file
    }
}

fn with_bytes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Vector>, D::Error> {
    let mut vectors = Vec::<Vector>::deserialize(deserializer)?;
    for vector in &mut vectors {
        let bytes = match (vector.hex.take(), vector.text.take()) {
            (Some(hex), None) => from_hex(&hex),
            (None, Some(text)) => Some(text.into_bytes()),
            _ => None,
        };
        let error = || format!("{}: neither hexadecimal bytes nor a text", vector.name);
        vector.bytes = bytes.ok_or_else(|| serde::de::Error::custom(error()))?;
    }
    Ok(vectors)
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
