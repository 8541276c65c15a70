//! What is decoded: batches as roomvars' servers send them.

use std::fmt::Write;

use roomvars_proto::Dialect;

/// A variable and its value.
pub(crate) type Set = (String, String);

/// Names and values as in online games: `at` counts on.
pub(crate) fn sets(count: usize) -> Vec<Set> {
    let name = |at: usize| match at % 5 {
        0 => "☁ score".to_owned(),
        1 => "turn".to_owned(),
        2 => format!("player {} x", at % 16),
        3 => format!("☁ player {}", at % 16),
        _ => format!("room {} high scores", at / 7),
    };
    let value = |at: usize| match at % 7 {
        0 => (at % 10).to_string(),
        1 => (at * 37).to_string(),
        2 => format!("-{}.5", at * 3 % 240),
        3 => format!("{}", at * 104_729),
        4 => format!("{:030}", 0x8342_7290_96ea_3675_4420_u128 >> (at % 8)),
        5 => format!("1{:018}", at * 15_485_863),
        _ => format!("0.{:09}", at * 3_331),
    };
    (0..count).map(|at| (name(at), value(at))).collect()
}

/// The same values as numbers in JSON, which begin with no zero and lose nothing as `f64`.
pub(crate) fn numbers(count: usize) -> Vec<Set> {
    let value = |at: usize| match at % 4 {
        0 => (at % 10).to_string(),
        1 => (at * 104_729).to_string(),
        2 => format!("-{}.5", at * 3 % 240),
        _ => format!("{}.25", at * 37),
    };
    let sets = sets(count).into_iter();
    sets.enumerate().map(|(at, (name, _))| (name, value(at))).collect()
}

/// How a server writes a set.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    pub(crate) dialect: Dialect,
    /// The value stands before the name.
    pub(crate) swapped: bool,
    /// What isn't ASCII is written as escapes.
    pub(crate) ascii: bool,
    /// A space follows each colon and comma.
    pub(crate) spaced: bool,
    /// What stands around a value, if it isn't a number.
    pub(crate) quote: &'static str,
}

pub(crate) const USUAL: Style = Style {
    dialect: Dialect::Documented,
    swapped: false,
    ascii: false,
    spaced: false,
    quote: "\"",
};

/// Under which keys a dialect says the kind and the name.
pub(crate) fn keys(dialect: Dialect) -> (&'static str, &'static str) {
    match dialect {
        Dialect::Documented => ("kind", "variable"),
        Dialect::Deployed2020 => ("kind", "var"),
        Dialect::Scratch => ("method", "name"),
    }
}

fn quoted(text: &str, ascii: bool) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        if ascii && !c.is_ascii() {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(json, "\\u{unit:04x}").unwrap();
            }
        } else {
            json.push(c);
        }
    }
    json + "\""
}

/// One message that says the sets.
pub(crate) fn batch(sets: &[Set], style: Style) -> String {
    let (kind, variable) = keys(style.dialect);
    let (colon, comma) = if style.spaced { (": ", ", ") } else { (":", ",") };
    let line = |(name, value): &Set| {
        let name = format!("\"{variable}\"{colon}{}", quoted(name, style.ascii));
        let value = format!("\"value\"{colon}{0}{value}{0}", style.quote);
        let (first, second) = if style.swapped { (value, name) } else { (name, value) };
        format!("{{\"{kind}\"{colon}\"set\"{comma}{first}{comma}{second}}}")
    };
    sets.iter().map(line).collect::<Vec<_>>().join("\n")
}
