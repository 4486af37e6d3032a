//! What tolerant mode makes of text that is not JSON.

use serde_json::{Value, json};
use throng_json::{Ending, Event, Options, ParseError, parse};

use crate::split::events;

fn check(text: &str, expect: Value) {
    match parse(text, &Options::tolerant()) {
        Ok(parsed) => {
            assert_eq!(parsed.value, expect, "{text}");
            assert!(!parsed.repairs.is_empty(), "{text}: no repair is listed");
        }
        Err(error) => panic!("{text}: {error}"),
    }
}

#[test]
fn repairs_of_one_document() {
    check("{'a': 'it's', b: True}", json!({"a": "it's", "b": true}));
    check(r#"{"a": 1 "b": 2}"#, json!({"a": 1, "b": 2}));
    check(r#"{"a" 1, "b": }"#, json!({"a": 1, "b": null}));
    check("[1, 2, 3,]", json!([1, 2, 3]));
    check("[1 2 3", json!(["1 2 3"]));
    check(r#"{"a": [1, 2}"#, json!({"a": [1, 2]}));
    check(
        r#"{"a": "he said "yes" twice"}"#,
        json!({"a": "he said \"yes\" twice"}),
    );
    check(
        r#"{"a": "he said "yes", twice", "b": 1}"#,
        json!({"a": "he said \"yes\", twice", "b": 1}),
    );
    check(r#"{"a": "foo, "b": 1}"#, json!({"a": "foo", "b": 1}));
    check("{\"a\": \"x\ny\"}", json!({"a": "x\ny"}));
    check("{\"a\": 1, // one\n\"b\": /* two */ 2}", json!({"a": 1, "b": 2}));
    check("{\"a\": \"\\q\\u00e9\"}", json!({"a": "q\u{e9}"}));
    check(
        "{\"a\": .5, \"b\": 1., \"c\": 007}",
        json!({"a": 0.5, "b": 1.0, "c": "007"}),
    );
    check("{\u{201c}a\u{201d}: \u{201c}b\u{201d}}", json!({"a": "b"}));
    check("{\"a\": \"cut off he", json!({"a": "cut off he"}));
    check("{\"a\": [1, {\"b\": \"c\"", json!({"a": [1, {"b": "c"}]}));
    check("[1, 2, ..., 9]", json!([1, 2, 9]));
    check("{\"a\": 1}\n{\"a\": 2}", json!([{"a": 1}, {"a": 2}]));
    check("True", json!(true));
    check("```json\n{\"a\": 1}\n```", json!({"a": 1}));
    check("Note [1] (see {x}): {\"a\": 1}", json!({"a": 1}));
    check("{\"a\": \"b}", json!({"a": "b"}));
}

#[test]
fn no_json_is_an_error() {
    for text in ["", "  ", "Sorry, I can't.", "[see the note]", "{name}"] {
        assert_eq!(
            parse(text, &Options::tolerant()),
            Err(ParseError::Empty),
            "{text}"
        );
    }
}

/// The elements of the text have these ids, and the text is whole.
fn check_ids(text: &str, expected: [i64; 4]) {
    let (found, ending) = events(text.as_bytes(), &[], &Options::tolerant());
    let ids: Vec<Value> = found
        .iter()
        .filter_map(|event| match event {
            Event::ElementComplete(element) => Some(element.value["id"].clone()),
            _ => None,
        })
        .collect();
    assert_eq!(ids, expected.map(Value::from));
    assert_eq!(ending, Ending::Whole);
}

#[test]
fn a_missing_quote_costs_one_element() {
    let text = r#"[{"id": 1}, {"id": 2, "t": "foo}, {"id": 3, "t": "bar"}, {"id": 4}]"#;
    check_ids(text, [1, 2, 3, 4]);
}

#[test]
fn a_missing_brace_costs_one_element() {
    let text = r#"[{"id": 1, {"id": 2}, {"id": 3, "t": [1, 2}, {"id": 4}]"#;
    check_ids(text, [1, 2, 3, 4]);
}

#[test]
fn repairs_say_where() {
    let parsed = parse(r#"x {"a": 1,, "b": 'c'}"#, &Options::tolerant()).unwrap();
    let repairs: Vec<String> = parsed.repairs.iter().map(ToString::to_string).collect();
    assert_eq!(
        repairs,
        [
            "text that is not JSON skipped at byte 0",
            "superfluous comma removed at byte 10",
            "quotes replaced at byte 17",
        ]
    );
}
