//! JSON that goes in and out as the text that it is.
#![cfg(feature = "serde_json")]

use smallwire_core::{Json, JsonRef};

#[test]
fn it_is_shown_as_its_text_and_knows_an_array() {
    for (text, is_array) in [("[1, 2]", true), ("{\"a\":[]}", false), ("\"[\"", false)] {
        let json = JsonRef::new(text).unwrap();
        assert_eq!(json.is_array(), is_array);
        let owned = json.to_owned();
        let shown = [
            json.to_string(),
            format!("{json:?}"),
            owned.to_string(),
            format!("{owned:?}"),
            owned.get().into(),
        ];
        assert!(shown.iter().all(|shown| shown == text), "{shown:?}");
        assert_eq!(JsonRef::new(&format!(" {text}\n")).unwrap(), json);
    }
}

#[test]
fn errors_tell_where() {
    for (text, at) in [("", 0), ("[1,x]", 3), ("1 2", 2)] {
        assert_eq!(JsonRef::new(text).unwrap_err().offset(), at, "{text}");
    }
    let error = JsonRef::new("[1,\n\"x\"]").unwrap().parse::<[u8; 2]>().unwrap_err();
    assert_eq!(error.offset(), 6);
}

#[test]
fn values_may_be_nested_127_levels_deep() {
    let nested =
        |levels| (0..levels).fold(serde_json::json!(0), |inner, _| serde_json::json!([inner]));
    assert_eq!(Json::of(&nested(127)).unwrap().get().len(), 2 * 127 + 1);
    assert_eq!(Json::of(&nested(128)).unwrap_err().offset(), 127);
    // As many brackets beside each other are nothing.
    assert!(Json::of(&vec![[0]; 200]).is_ok());
}
