//! Values that are made to fit a schema.

use serde_json::{Value, json};
use throng_json::Schema;

fn check(schema: Value, value: Value, expect: Value) {
    let schema = Schema::new(&schema).unwrap();
    let coerced = schema
        .coerce(&value)
        .unwrap_or_else(|error| panic!("{value}: {error}"));
    assert_eq!(coerced.value, expect, "{value}");
    assert_eq!(
        coerced.score == 0,
        value == expect,
        "{value}: a score of {}",
        coerced.score
    );
}

fn fails(schema: Value, value: Value) {
    let schema = Schema::new(&schema).unwrap();
    if let Ok(coerced) = schema.coerce(&value) {
        panic!("{value} became {}", coerced.value);
    }
}

fn plan() -> Value {
    json!({
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "status": {"enum": ["OPEN", "CLOSED", "PENDING"]},
            "cost": {"type": "number"},
            "done": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "note": {"type": ["string", "null"]},
            "retries": {"type": "integer", "default": 3},
        },
        "required": ["id", "status"],
    })
}

#[test]
fn a_value_that_fits_is_not_changed() {
    let value = json!({"id": 1, "status": "OPEN", "cost": 5, "done": true, "tags": ["a"], "note": null, "retries": 1, "more": [1, {"x": 2}]});
    check(plan(), value.clone(), value);
    check(json!({"type": "integer"}), json!(1.0), json!(1.0));
    check(json!({}), json!({"a": [1]}), json!({"a": [1]}));
    check(
        json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        json!(7),
        json!(7),
    );
}

#[test]
fn numbers_labels_and_defaults() {
    check(
        plan(),
        json!({"id": "7", "status": "It's closed.", "cost": "$1,200.50", "done": "True", "tags": "one"}),
        json!({"id": 7, "status": "CLOSED", "cost": 1200.5, "done": true, "tags": ["one"], "retries": 3}),
    );
    check(
        plan(),
        json!({"id": 1, "status": "pendng"}),
        json!({"id": 1, "status": "PENDING", "retries": 3}),
    );
}

#[test]
fn what_would_be_a_guess_fails() {
    fails(plan(), json!({"id": 1, "status": "open or closed"}));
    fails(plan(), json!({"id": 1, "status": "xyz"}));
    fails(plan(), json!({"id": "one", "status": "OPEN"}));
    fails(plan(), json!({"status": "OPEN"}));
    fails(json!({"type": "integer"}), json!("3 of 4"));
    fails(json!({"enum": ["cat", "car"]}), json!("caz"));
    fails(json!(false), json!(1));
}

#[test]
fn unions_take_the_reading_that_needs_the_least() {
    let union = json!({"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}], "$defs": {
        "a": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": false},
        "b": {"type": "object", "properties": {"x": {"type": "string"}, "y": {"type": "string"}}, "required": ["x", "y"]},
    }});
    check(
        union.clone(),
        json!({"x": "1", "y": "2"}),
        json!({"x": "1", "y": "2"}),
    );
    check(union, json!({"x": 1}), json!({"x": 1}));
}

#[test]
fn recursive_schemas() {
    let tree = json!({"$ref": "#/$defs/t", "$defs": {"t": {"type": "object", "properties": {
        "v": {"type": "integer"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/t"}}}, "required": ["v"]}}});
    check(
        tree,
        json!({"v": "1", "kids": [{"v": 2, "kids": []}, {"v": "3"}]}),
        json!({"v": 1, "kids": [{"v": 2, "kids": []}, {"v": 3}]}),
    );
}

#[test]
fn bad_schemas_are_errors() {
    for schema in [
        json!(1),
        json!({"$ref": "#/nowhere"}),
        json!({"type": "thing"}),
        json!({"$ref": "#"}),
    ] {
        assert!(Schema::new(&schema).is_err(), "{schema}");
    }
}
