//! Which elements are found, where, and when.

use serde::Deserialize;
use serde_json::{Value, json};
use throng_json::{Ending, Event, Limits, Options, Parser, Reason};

use crate::split::events;

fn batch() -> Options {
    Options::tolerant().batch(["agent_id"]).steps("steps")
}

/// Lists the elements of a text with their paths.
fn check(text: &str, options: &Options, expect: &[(&str, Value)]) {
    let (found, _) = events(text.as_bytes(), &[], options);
    let elements: Vec<(String, Value)> = found
        .into_iter()
        .filter_map(|event| match event {
            Event::ElementComplete(element) => Some((element.path.to_string(), element.value)),
            _ => None,
        })
        .collect();
    let expect: Vec<(String, Value)> = expect
        .iter()
        .map(|(path, value)| ((*path).to_owned(), value.clone()))
        .collect();
    assert_eq!(elements, expect, "{text}");
}

#[test]
fn shapes_of_a_batch() {
    let one = json!({"agent_id": 1, "steps": []});
    let two = json!({"agent_id": 2, "steps": [{"act": "go"}]});
    let (a, b) = (one.to_string(), two.to_string());
    for (text, first, second) in [
        (format!("[{a},{b}]"), "$0[0]", "$0[1]"),
        (format!("{a}\n{b}"), "$0", "$1"),
        (format!("{a}{b}"), "$0", "$1"),
        (format!("{a}, {b}"), "$0", "$1"),
        (format!("{{\"plans\":[{a},{b}]}}"), "$0.plans[0]", "$0.plans[1]"),
        (
            format!("{{\"ok\":true,\"data\":{{\"plans\":[{a},{b}]}}}}"),
            "$0.data.plans[0]",
            "$0.data.plans[1]",
        ),
        (format!("{{\"a1\":{a},\"a2\":{b}}}"), "$0.a1", "$0.a2"),
        (format!("```json\n{a}\n```\nand\n```json\n{b}\n```"), "$0", "$1"),
        (
            format!(
                "\u{feff}<think>Maybe [{{\"agent_id\": 9}}]?</think> Plans [see above] for {{both}}:\n[{a},{b}]\nEnjoy!"
            ),
            "$0[0]",
            "$0[1]",
        ),
        (format!("[{a} {b},]"), "$0[0]", "$0[1]"),
        (format!("[{a},\n// next\n{b}, ...]"), "$0[0]", "$0[1]"),
        (format!("{{'plans': [{a}, {b}}}"), "$0.plans[0]", "$0.plans[1]"),
        (
            serde_json::to_string(&format!("[{a},{b}]")).unwrap(),
            "$0[0]",
            "$0[1]",
        ),
    ] {
        check(&text, &batch(), &[(first, one.clone()), (second, two.clone())]);
    }
    check(&a, &batch(), &[("$0", one)]);
}

#[test]
fn an_object_without_marks_is_one_element() {
    check(
        "{\"x\": 1, \"y\": 2}",
        &batch(),
        &[("$0", json!({"x": 1, "y": 2}))],
    );
    check(
        "{\"x\": 1, \"y\": {\"z\": [1]}}",
        &Options::tolerant().batch::<String>([]),
        &[("$0", json!({"x": 1, "y": {"z": [1]}}))],
    );
    check("{}", &batch(), &[("$0", json!({}))]);
}

#[test]
fn an_element_comes_with_its_last_byte_and_its_steps_before() {
    let text = r#"{"plans":[{"agent_id":1,"steps":[{"act":"a"},{"act":"b"}]},{"agent_id":2,"steps":[]}]}"#;
    let mut parser = Parser::new(batch());
    let mut seen = Vec::new();
    for (at, byte) in text.bytes().enumerate() {
        for event in parser.feed(&[byte]) {
            match event {
                Event::StepComplete(step) => seen.push((at, format!("{} {}", step.path, step.value))),
                Event::ElementComplete(element) => seen.push((at, element.path.to_string())),
                other => panic!("{other:?}"),
            }
        }
    }
    let ends: Vec<usize> = text.match_indices('}').map(|(at, _)| at).collect();
    assert_eq!(
        seen,
        [
            (ends[0], r#"$0.plans[0] {"act":"a"}"#.to_owned()),
            (ends[1], r#"$0.plans[0] {"act":"b"}"#.to_owned()),
            (ends[2], "$0.plans[0]".to_owned()),
            (ends[3], "$0.plans[1]".to_owned()),
        ]
    );
    assert_eq!(parser.finish().ending, Ending::Whole);
}

#[test]
fn steps_of_a_bad_element_come_once() {
    let text = r#"[{"agent_id":1,"steps":[{"act":"a"},{"act":"b",},{"act":'c'}]}]"#;
    let (found, ending) = events(text.as_bytes(), &[], &batch());
    let steps: Vec<(usize, Value)> = found
        .iter()
        .filter_map(|event| match event {
            Event::StepComplete(step) => Some((step.index, step.value["act"].clone())),
            _ => None,
        })
        .collect();
    assert_eq!(steps, [(0, json!("a")), (1, json!("b")), (2, json!("c"))]);
    assert_eq!(ending, Ending::Whole);
}

#[derive(Debug, Deserialize, PartialEq)]
struct Plan {
    agent_id: u32,
}

#[test]
fn only_the_bad_element_is_rejected() {
    let mut parser = Parser::new(batch());
    let text = r#"[{"agent_id":1},{"agent_id":"x"},{"agent_id":3,},{"agent_id":4}]"#;
    let mut plans = Vec::new();
    let mut rejected = Vec::new();
    for event in parser.feed_typed::<Plan>(text.as_bytes()) {
        match event {
            Event::ElementComplete(element) => plans.push((element.value.agent_id, element.repairs)),
            Event::Rejected(why) => rejected.push((why.path.to_string(), why.value)),
            _ => {}
        }
    }
    assert_eq!(plans, [(1, 0), (3, 1), (4, 0)]);
    assert_eq!(rejected, [("$0[1]".to_owned(), Some(json!({"agent_id": "x"})))]);
    assert_eq!(parser.finish().ending, Ending::Malformed);
}

#[test]
fn truncation_is_not_malformation() {
    let text = r#"[{"agent_id":1},{"agent_id":2,"steps":[{"act":"a"}]}]"#;
    for cut in 1..text.len() {
        let (found, ending) = events(&text.as_bytes()[..cut], &[], &batch());
        assert!(
            matches!(ending, Ending::Truncated { .. }),
            "{}: {ending:?}",
            &text[..cut]
        );
        assert!(!found.iter().any(|event| matches!(event, Event::Rejected(_))));
        let whole = found
            .iter()
            .filter(|event| matches!(event, Event::ElementComplete(_)))
            .count();
        assert_eq!(
            whole,
            usize::from(cut >= 15) + usize::from(cut >= text.len() - 1),
            "{}",
            &text[..cut]
        );
    }
}

#[test]
fn limits_reject_one_element() {
    let limits = Limits {
        depth: 4,
        element_bytes: 64,
        repairs: 3,
    };
    let long = "x".repeat(100);
    let text = format!(
        r#"[{{"agent_id":1}},{{"agent_id":2,"t":"{long}"}},{{"agent_id":3,"t":[[[[1]]]]}},{{"agent_id":4,,,,,}},{{'agent_id':5}}]"#
    );
    let (found, ending) = events(text.as_bytes(), &[], &batch().limits(limits));
    let mut ids = Vec::new();
    let mut reasons = Vec::new();
    for event in found {
        match event {
            Event::ElementComplete(element) => ids.push(element.value["agent_id"].clone()),
            Event::Rejected(rejected) => reasons.push(rejected.reason),
            _ => {}
        }
    }
    assert_eq!(ids, [json!(1), json!(5)]);
    assert_eq!(
        reasons,
        [Reason::TooLong(64), Reason::TooDeep(4), Reason::TooManyRepairs(3)]
    );
    assert_eq!(ending, Ending::Malformed);
}

#[test]
fn partial_values_grow() {
    let mut parser = Parser::new(Options::tolerant().whole());
    let mut seen = Vec::new();
    for piece in [
        "{\"name\": \"An",
        "n\", \"ag",
        "e\": 4",
        "2, \"tags\": [\"a\", tr",
        "ue]",
    ] {
        parser.feed(piece.as_bytes()).for_each(drop);
        seen.push(parser.partial().unwrap().1);
    }
    assert_eq!(
        seen,
        [
            json!({"name": "An"}),
            json!({"name": "Ann"}),
            json!({"name": "Ann"}),
            json!({"name": "Ann", "age": 42, "tags": ["a"]}),
            json!({"name": "Ann", "age": 42, "tags": ["a", true]}),
        ]
    );
}
