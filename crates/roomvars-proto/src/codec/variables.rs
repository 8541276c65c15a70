use alloc::borrow::Cow;
use core::fmt;

use smallwire_core::json::{self, between, expect, offset, plain, to_token, unquoted};

/// What a client knows of a room when it joins: names and values, borrowed.
///
/// ```
/// use roomvars_proto::{ClientMessage, CodecConfig, Variables};
///
/// let variables = [("score", "0"), ("turn", "ada")];
/// let handshake = ClientMessage::Handshake {
///     room: "lobby".into(),
///     username: "ada".into(),
///     variables: Variables::from(&variables[..]),
/// };
/// let (config, mut buffer) = (CodecConfig::default(), Vec::new());
/// handshake.encode(&config, &mut buffer)?;
/// let decoded = ClientMessage::decode(&buffer, &config)?;
/// let ClientMessage::Handshake { variables, .. } = decoded else { panic!() };
/// assert!(variables.iter().eq([("score".into(), "0".into()), ("turn".into(), "ada".into())]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Variables<'a>(Repr<'a>);

#[derive(Clone, Copy)]
enum Repr<'a> {
    /// An object of strings, checked.
    Json(&'a str),
    Pairs(&'a [(&'a str, &'a str)]),
}

impl<'a> Variables<'a> {
    /// None.
    pub const NONE: Variables<'static> = Variables(Repr::Pairs(&[]));

    /// Of an object that is JSON and whose entries are all strings.
    pub(super) const fn of_checked(json: &'a str) -> Self {
        Self(Repr::Json(json))
    }

    /// Names and values in the order in which they stand there. A name may come twice, which hubs
    /// don't take (step 2). Allocates only where there are escapes.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        let (json, pairs) = match self.0 {
            Repr::Json(json) => (json, &[][..]),
            Repr::Pairs(pairs) => ("", pairs),
        };
        let pairs = pairs.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value)));
        Entries::new(json).filter_map(Result::ok).chain(pairs)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl<'a> From<&'a [(&'a str, &'a str)]> for Variables<'a> {
    fn from(pairs: &'a [(&'a str, &'a str)]) -> Self {
        Self(Repr::Pairs(pairs))
    }
}

impl PartialEq for Variables<'_> {
    fn eq(&self, other: &Variables<'_>) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Variables<'_> {}

impl fmt::Debug for Variables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Goes over the entries of an object that is JSON, and tells where one isn't of strings.
pub(super) struct Entries<'a> {
    json: &'a str,
    /// What is left of it, after the bracket or comma.
    rest: &'a [u8],
}

/// What is wrong with an entry: what was expected, and how far into the object.
type Misfit = (&'static str, usize);

impl<'a> Entries<'a> {
    pub(super) fn new(object: &'a str) -> Self {
        Self { json: object, rest: object.as_bytes().get(1..).unwrap_or_default() }
    }

    fn text(&self, start: &'a [u8], end: &'a [u8]) -> Result<Cow<'a, str>, Misfit> {
        let misfit = |expected| (expected, offset(self.json, start));
        let inner = unquoted(between(self.json, start, end));
        let inner = inner.ok_or_else(|| misfit("an object of strings"))?;
        plain(inner).ok_or_else(|| misfit("an object of strings of whole characters"))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(Cow<'a, str>, Cow<'a, str>), Misfit>;

    fn next(&mut self) -> Option<Self::Item> {
        let name = to_token(self.rest);
        let [b'"', ..] = name else { return None };
        // It is JSON, or there is no entry.
        let name_end = json::string(name).ok()?;
        let value = to_token(expect(name_end, b':').ok()?);
        let value_end = json::value(value, 2).ok()?;
        self.rest = match to_token(value_end) {
            [b',', rest @ ..] => rest,
            _ => &[],
        };
        let name = self.text(name, name_end);
        Some(name.and_then(|name| Ok((name, self.text(value, value_end)?))))
    }
}
