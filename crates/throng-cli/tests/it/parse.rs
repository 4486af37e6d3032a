//! `throng parse`: values on standard output, repairs on standard error or beside the value.

use serde_json::{Value, json};

use crate::support::Home;

#[test]
fn an_answer_is_repaired_and_the_repairs_are_said() {
    let home = Home::new();
    let ended = home
        .pipe(&["parse"], "Sure!\n```json\n{name: 'Ann', \"age\": 3,}\n```\n")
        .code(0);
    assert_eq!(ended.stdout, "{\"age\":3,\"name\":\"Ann\"}\n");
    let ended = ended.says("superfluous comma removed at byte 36");
    ended.says("text that is not JSON skipped at byte 0");
}

#[test]
fn json_goes_out_as_it_came() {
    let home = Home::new();
    for profile in ["strict", "tolerant", "json_repair", "jsonrepair", "baml"] {
        let ended = home
            .pipe(
                &["parse", "--profile", profile],
                "{ \"b\": 1.50,\n \"a\": [12345678901234567890123] }",
            )
            .code(0);
        assert_eq!(
            ended.stdout, "{\"b\":1.50,\"a\":[12345678901234567890123]}\n",
            "{profile}"
        );
    }
}

#[test]
fn profiles_and_chunks() {
    let home = Home::new();
    let text = "[1, 2, callback({a: 'x'})]";
    home.pipe(&["parse", "--profile", "strict"], text)
        .code(1)
        .says("unexpected byte");
    let ended = home
        .pipe(
            &[
                "parse",
                "--profile",
                "jsonrepair",
                "--output",
                "json",
                "--chunk",
                "1",
            ],
            text,
        )
        .code(0);
    let line: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(line["value"], json!([1, 2, {"a": "x"}]));
    assert_eq!(
        (&line["v"], &line["repairs"][0]["offset"]),
        (&json!(1), &json!(7))
    );
    home.pipe(&["parse", "--profile", "nobodys"], text)
        .code(2)
        .says("json_repair");
}

#[test]
fn a_schema_shapes_the_value() {
    let home = Home::new();
    home.write("s.json", r#"{"type":"object","properties":{"n":{"type":"integer"},"s":{"enum":["OPEN","CLOSED"]}},"required":["n","s"]}"#);
    let ended = home
        .pipe(&["parse", "--schema", "s.json"], "{n: '7', s: 'closed'}")
        .code(0);
    assert_eq!(ended.stdout, "{\"n\":7,\"s\":\"CLOSED\"}\n");
    let ended = home
        .pipe(
            &["parse", "--schema", "s.json", "--profile", "baml"],
            "It is {n: 7, \"s\": closed}, I think",
        )
        .code(0);
    assert_eq!(ended.stdout, "{\"n\":7,\"s\":\"CLOSED\"}\n");
    home.pipe(&["parse", "--schema", "s.json"], "{n: 'x', s: 'closed'}")
        .code(1)
        .says("$.n");
    home.pipe(
        &["parse", "--schema", "s.json", "--profile", "strict"],
        "{\"n\":\"7\",\"s\":\"OPEN\"}",
    )
    .code(1)
    .says("changed to fit");
    home.write("bad.json", r#"{"type":"thing"}"#);
    home.pipe(&["parse", "--schema", "bad.json"], "1")
        .code(2)
        .says("unknown type");
}

#[test]
fn lines_are_answered_one_by_one() {
    let home = Home::new();
    let lines = [
        json!({"id": "a", "input": "{x: 1}"}).to_string(),
        json!({"id": 2, "input": "no"}).to_string(),
        json!({"id": "c", "input": "{\"x\": \"3\"}", "schema": {"type": "object", "properties": {"x": {"type": "integer"}}}}).to_string(),
        json!({"id": "d", "input": "1", "schema": {"$ref": "#/x"}}).to_string(),
        "{".to_owned(),
    ];
    let ended = home.pipe(&["parse", "--jsonl"], &lines.join("\n")).code(1);
    let answers: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 5);
    assert_eq!(
        answers[0],
        json!({"v": 1, "id": "a", "value": {"x": 1}, "repairs": [{"offset": 1, "what": "unquoted text quoted"}]})
    );
    assert_eq!(
        answers[1],
        json!({"v": 1, "id": 2, "error": "no JSON in the text"})
    );
    assert_eq!(answers[2]["value"], json!({"x": 3}));
    assert!(
        answers[3]["error"].as_str().unwrap().contains("nothing at #/x"),
        "{}",
        answers[3]
    );
    assert_eq!(answers[4]["id"], Value::Null);
}
