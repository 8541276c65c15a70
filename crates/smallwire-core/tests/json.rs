//! Steps over JSON, and strings with and without escapes, held to serde_json.

use serde_json::Value;
use smallwire_core::json::{
    Fields, MAX_DEPTH, Part, between, decimal, escaped_len, expect, expect_end, has_escapes,
    is_natural, offset, put_escaped, string, to_special, to_token, unescape, unquoted, value,
};

/// Texts of all sorts, with each that is special at each place among the eight bytes that are looked at
/// at a time.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = (0..=0x2FF).filter_map(char::from_u32).map(String::from).collect();
    texts.extend(["", "plain", "a\"b\\c/d", "🎲☁", "\u{2028}\u{feff}\u{10ffff}"].map(String::from));
    for special in (0..0x20).map(char::from).chain(['"', '\\', ' ', '!', '#', '[', ']', '\u{7f}']) {
        for before in 0..17 {
            for behind in ["", "x", "\"\\\n\u{1}", "☁ and more than eight bytes"] {
                texts.push(format!("{}{special}{behind}", "x".repeat(before)));
                texts.push(format!("{}{special}{behind}", "é".repeat(before)));
            }
        }
    }
    texts
}

/// How it stands between quotes.
fn written(text: &str) -> String {
    let json = serde_json::to_string(text).unwrap();
    unquoted(&json).unwrap().to_owned()
}

#[test]
fn strings_are_escaped_as_serde_json_does() {
    for text in texts() {
        let expected = written(&text);
        assert_eq!(escaped_len(&text), expected.len(), "{text:?}");
        let mut dst = b"before".to_vec();
        put_escaped(&text, &mut dst);
        assert_eq!(String::from_utf8(dst).unwrap(), format!("before{expected}"));
        let mut exact = vec![0; expected.len()];
        put_escaped(&text, &mut &mut exact[..]);
        assert_eq!(exact, expected.as_bytes());
    }
}

#[test]
fn what_is_escaped_is_unescaped_again() {
    for text in texts() {
        let between_quotes = written(&text);
        assert_eq!(has_escapes(&between_quotes), between_quotes != text, "{text:?}");
        assert_eq!(unescape(&between_quotes).as_ref(), Some(&text));
        // Each character as a code, in capitals or not.
        for upper in [false, true] {
            let code = |unit| {
                if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") }
            };
            let units = text.encode_utf16().map(code);
            let codes = units.collect::<Vec<_>>().concat();
            assert_eq!(has_escapes(&codes), !text.is_empty());
            assert_eq!(unescape(&codes).as_ref(), Some(&text), "{codes}");
        }
    }
}

#[test]
fn every_escape_is_what_serde_json_makes_of_it() {
    for letter in "\"\\/bfnrt".chars() {
        let json = format!("x\\{letter}\\{letter}☁");
        let expected: String = serde_json::from_str(&format!("\"{json}\"")).unwrap();
        assert_eq!(unescape(&json), Some(expected), "{json}");
    }
    for unit in 0..=u16::MAX {
        // Alone, before text, before another escape, and before each half of a character.
        for behind in
            ["", "x", "\\n", "\\ud83c", "\\udfb2", "\\uDFB2\\udfb2", "\\\\udfb2", "\\u0041"]
        {
            let json = format!("\\u{unit:04x}{behind}");
            let expected = serde_json::from_str::<String>(&format!("\"{json}\"")).ok();
            assert_eq!(unescape(&json), expected, "{json}");
        }
    }
}

#[test]
fn only_what_must_be_escaped_is_special() {
    for byte in 0..=u8::MAX {
        let special = byte < 0x20 || b"\"\\".contains(&byte);
        for before in 0..20 {
            for behind in 0..10 {
                let mut bytes = vec![b'x'; before];
                bytes.push(byte);
                bytes.resize(before + 1 + behind, 0xC3);
                let left = if special { 1 + behind } else { 0 };
                assert_eq!(to_special(&bytes).len(), left, "{bytes:?}");
            }
        }
    }
    // The first of several, whatever the borrows of the bytes below it.
    for first in *b"\"\\\x00\x1f" {
        for second in *b"\"\\\x00\x1f !#[]\x80\xff" {
            for at in 0..8 {
                let mut bytes = [b' '; 16];
                (bytes[at], bytes[at + 1]) = (first, second);
                assert_eq!(to_special(&bytes).len(), 16 - at);
            }
        }
    }
}

#[test]
fn what_stands_between_quotes() {
    assert_eq!(unquoted("\"\""), Some(""));
    assert_eq!(unquoted("\"x\\\"\""), Some("x\\\""));
    for odd in ["", "\"", "x", "\"x", "x\"", "1", "[\"\"]"] {
        assert_eq!(unquoted(odd), None, "{odd}");
    }
}

#[test]
fn steps_leave_what_is_after_them() {
    let text = " {\t\"a\" :[1 , {}]\n} x";
    let start = to_token(text.as_bytes());
    assert_eq!(offset(text, start), 1);
    let inside = expect(start, b'{').unwrap();
    let key = string(inside).unwrap();
    assert_eq!(between(text, to_token(inside), key), "\"a\"");
    let before = to_token(expect(key, b':').unwrap());
    let after = value(before, 1).unwrap();
    assert_eq!(between(text, before, after), "[1 , {}]");
    let end = expect(after, b'}').unwrap();
    assert_eq!(expect_end(end).unwrap_err().offset(text), text.len() - 1);
    assert!(expect_end(b" \t\r\n").is_ok() && expect_end(b"").is_ok());
    assert_eq!(expect(end, b'}').unwrap_err().offset(text), text.len() - 1);
    assert_eq!(string(before).unwrap_err().offset(text), 8);
}

#[test]
fn values_are_taken_where_serde_json_takes_them() {
    for text in [
        "null",
        "true",
        "false",
        "nul",
        "nulx",
        "True",
        "0",
        "-0",
        "-",
        "01",
        "1.",
        "1.5",
        ".5",
        "1e",
        "1e+5",
        "1E-05",
        "123456789012345678",
        "12345678x",
        "\"\"",
        "\"x",
        "\"\\u00e9\"",
        "\"\\u00g9\"",
        "\"\\x\"",
        "\"\t\"",
        "[]",
        "[1]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[",
        "]",
        "{}",
        "{\"a\":1}",
        "{\"a\" 1}",
        "{\"a\":1,}",
        "{1:1}",
        "{\"a\":[{}]}",
        "{\"a\":[}]",
        "[{]}",
        "{\"a\":1]",
        "\"\\",
        "\"\\u12",
        "'x'",
        "",
    ] {
        let whole = value(text.as_bytes(), 0);
        let ours = whole.is_ok_and(<[u8]>::is_empty);
        assert_eq!(ours, serde_json::from_str::<Value>(text).is_ok(), "{text}");
        if let Err(fault) = whole {
            assert!(!fault.is_too_deep() && fault.offset(text) <= text.len(), "{text}");
        }
    }
}

#[test]
fn numbers_of_nothing_but_digits() {
    let digits = "123456789012345678901234567890";
    for len in 1..=digits.len() {
        let number = &digits[..len];
        assert!(is_natural(number), "{number}");
        // Of each byte something else: below the digits, above them, beside them in ASCII.
        for at in 0..len {
            for other in ["/", ":", "p", " ", "-", ".", "e", "\0"] {
                let mut wrong = number.to_owned();
                wrong.replace_range(at..=at, other);
                assert!(!is_natural(&wrong), "{wrong}");
            }
        }
        assert!(!is_natural(&format!("0{number}")), "0{number}");
        assert!(is_natural(&format!("{number}0")), "{number}0");
    }
    assert!(is_natural("0"));
    for wrong in ["", "-1", "+1", "１２３４５６７８"] {
        assert!(!is_natural(wrong), "{wrong}");
    }
}

#[test]
fn as_deep_as_is_said_and_no_deeper() {
    for outside in [0, 1, 2, 64, MAX_DEPTH] {
        let room = usize::try_from(MAX_DEPTH - outside).unwrap();
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let fits = format!("{}1{}", open.repeat(room), close.repeat(room));
            assert!(value(fits.as_bytes(), outside).is_ok_and(<[u8]>::is_empty), "{outside}");
            let deeper = format!("{}1{}", open.repeat(room + 1), close.repeat(room + 1));
            let fault = value(deeper.as_bytes(), outside).unwrap_err();
            assert_eq!((fault.is_too_deep(), fault.offset(&deeper)), (true, room * open.len()));
            // Closed again, there is room for more.
            let wide = format!("[{fits},{fits}]");
            if outside > 0 {
                assert!(value(wide.as_bytes(), outside - 1).is_ok_and(<[u8]>::is_empty));
            }
        }
    }
}

#[test]
fn what_begins_as_a_literal_is_wrong_where_it_stops_being_one() {
    for (json, at) in [
        ("tru", 3),
        ("trux", 3),
        ("t", 1),
        ("falze", 3),
        ("fals", 4),
        ("nul", 3),
        ("nulL", 3),
        ("nope", 1),
        ("x", 0),
        ("[1}", 2),
        ("{\"a\":1]", 6),
        ("[[]}", 3),
    ] {
        let fault = value(json.as_bytes(), 0).unwrap_err();
        assert!(!fault.is_too_deep());
        assert_eq!(fault.offset(json), at, "{json}");
    }
}

#[test]
fn numbers_are_written_and_parts_have_their_length() {
    for number in [0, 1, 9, 10, 19, 99, 100, 12_345, u64::MAX / 10, u64::MAX] {
        assert_eq!(decimal(number, &mut [0; 20]), number.to_string());
    }
    for (part, text) in [
        (Part::Json("[1]"), "[1]"),
        (Part::text("plain"), "plain"),
        (Part::text("\"\n"), "\\\"\\n"),
        (Part::Json(""), ""),
    ] {
        let mut written = Vec::new();
        part.put(&mut written);
        assert_eq!(written, text.as_bytes());
        assert_eq!((part.len(), part.is_empty()), (text.len(), text.is_empty()));
    }
}

#[test]
fn fields_tell_where_they_are() {
    let text = " {\"a\": [1], \"b\":2}\n";
    let mut fields = Fields::<2>::new(text);
    fields.read(|_| None, |key| ["a", "b"].iter().position(|known| *known == key)).unwrap();
    let at = |key| fields.get(key).map(|part| (part, fields.offset_of(part)));
    assert_eq!((at(0), at(1), at(2)), (Some(("[1]", 7)), Some(("2", 16)), None));
    assert_eq!((fields.end(), fields.object()), (17, text.trim()));
}
