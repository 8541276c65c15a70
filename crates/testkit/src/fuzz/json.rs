//! JSON in all the ways in which one may write it, made of what a fuzzer wrote.

use super::Input;
use crate::model::json::is_value;

/// The next JSON value. Its first byte says whether it is counted text, as it is (below 0x80), or of
/// what kind it is and how much there is in it; and what white space is around it.
pub fn json(input: &mut Input<'_>) -> String {
    const LITERALS: [&str; 16] = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "1.0",
        "1e1",
        "-1E+400",
        "9007199254740993",
        "12345678901234567890123",
        "\"\\ud800\"",
        "\"\\u0031\"",
        "\"\"",
        "[]",
        "{}",
    ];
    let kind = input.byte();
    let count = kind >> 4 & 3;
    let mut written = space(kind).to_owned();
    match kind & 7 {
        _ if kind < 0x80 => written.push_str(text(input.counted())),
        0 | 1 => written.push_str(LITERALS[usize::from(input.byte() % 16)]),
        2 | 3 => written.push_str(&string(input.byte(), text(input.counted()))),
        4 | 5 => {
            let items: Vec<_> = (0..count).map(|_| json(input)).collect();
            written = format!("{written}[{}]", items.join(","));
        }
        6 => {
            let mut entry = || {
                let key = string(input.byte(), text(input.counted()));
                format!("{key}{}:{}", space(count), json(input))
            };
            let entries: Vec<_> = (0..count).map(|_| entry()).collect();
            written = format!("{written}{{{}}}", entries.join(","));
        }
        _ => {
            let levels = input.byte().into();
            let inner = json(input);
            written = format!("{written}{}{inner}{}", "[".repeat(levels), "]".repeat(levels));
        }
    }
    written.push_str(space(kind.reverse_bits()));
    written
}

/// White space, or usually none.
pub fn space(kind: u8) -> &'static str {
    match kind & 0x0E {
        0x0A => " ",
        0x0C => "\n",
        0x0E => "\t\r ",
        _ => "",
    }
}

/// A string as one may write it.
pub fn string(way: u8, text: &str) -> String {
    let mut written = String::from('"');
    for (at, c) in text.chars().enumerate() {
        let way = way.rotate_left(u32::try_from(at % 8).unwrap_or(0)) & 3;
        match c {
            '/' if way == 1 => written.push_str("\\/"),
            '"' | '\\' | ..' ' => written.push_str(&escape(c, way)),
            _ if way == 2 => written.push_str(&escape(c, way)),
            _ => written.push(c),
        }
    }
    written.push('"');
    written
}

/// A character as `\u` and four digits, or two of those, in capitals or not.
fn escape(c: char, way: u8) -> String {
    let units = c.encode_utf16(&mut [0; 2]).to_vec();
    let one =
        |unit: &u16| if way & 1 == 0 { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") };
    units.iter().map(one).collect()
}

/// As much of the bytes as is text.
pub fn text(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

/// An object of these keys and values in one of the many ways to write it: in another order, with
/// escapes, white space, and keys that the protocol doesn't know.
pub fn object(
    mut parts: Vec<(&str, String)>,
    unknown: [&'static str; 5],
    input: &mut Input<'_>,
) -> String {
    for _ in 0..input.byte() % 3 {
        // It may be no JSON, and is then no unknown key's value.
        let ignored = json(input);
        if is_value(&ignored, 127) {
            parts.push((unknown[usize::from(input.byte() % 5)], ignored));
        }
    }
    let mut text = String::from("{");
    while !parts.is_empty() {
        let (key, json) = parts.swap_remove(usize::from(input.byte()) % parts.len());
        let (before, after) = (input.byte(), input.byte());
        let key = string(before >> 3, key);
        text = format!("{text}{}{key}{}:", space(before), space(after));
        text = format!("{text}{}{json}{}", space(after >> 4), space(before >> 4));
        text.push(if parts.is_empty() { '}' } else { ',' });
    }
    text
}

/// `levels` of brackets that open, and those that close them; every third is an object's, if `mixed`.
pub fn nested(levels: usize, mixed: bool) -> (String, String) {
    let is_object = |level: usize| mixed && level % 3 == 1;
    let open = (0..levels).map(|level| if is_object(level) { "{\"d\":" } else { "[" });
    let close = (0..levels).rev().map(|level| if is_object(level) { "}" } else { "]" });
    (open.collect(), close.collect())
}

/// JSON that comes out of many a parser as something else.
pub const DELICATE: [&str; 20] = [
    "null",
    "1",
    "1.0",
    "-0",
    "1E+2",
    "1e999",
    "9007199254740993",
    "123456789012345678901234567890",
    "0.1000000000000000055511151231257827",
    "\"1\"",
    "\"\\u0031\"",
    "\"\\ud800\"",
    "\"\\/\u{7f}\u{2028}\"",
    "[]",
    "[ ]",
    "{ }",
    "[1,\t2 ,\r\n3]",
    "{\"a\":1,\"a\":2}",
    "{\"op\" : 4, \"n\":\"\\u006e\"}",
    "\"\"",
];
