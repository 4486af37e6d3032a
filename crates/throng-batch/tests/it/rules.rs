//! Rules that plan without a model.

use serde_json::json;
use throng_batch::{Condition, Rules};

#[test]
fn conditions_hold_for_what_is_there() {
    let snapshot = json!({"id": 1, "state": {"hp": 5, "name": "Ana", "bag": ["Rope", "map"], "none": null, "deep": [{"x": 1}]}});
    let holds = |json| {
        serde_json::from_value::<Condition>(json)
            .unwrap()
            .holds(&snapshot)
    };
    for (condition, expected) in [
        (json!("always"), true),
        (json!({"exists": "state.hp"}), true),
        (json!({"exists": "state.none"}), false),
        (json!({"below": ["state.hp", 6]}), true),
        (json!({"below": ["state.hp", 5]}), false),
        (json!({"above": ["state.hp", 4.5]}), true),
        (json!({"above": ["state.name", 1]}), false),
        (json!({"below": ["state.mana", 1]}), false),
        (json!({"equals": ["state.deep.0.x", 1]}), true),
        (json!({"contains": ["state.name", "AN"]}), true),
        (json!({"contains": ["state.bag", "rope"]}), true),
        (json!({"contains": ["state.bag", "rop"]}), false),
        (json!({"not": {"exists": "state.mana"}}), true),
        (json!({"any": [{"exists": "x"}, "always"]}), true),
        (json!({"all": [{"exists": "x"}, "always"]}), false),
    ] {
        assert_eq!(holds(condition.clone()), expected, "{condition}");
    }
}

#[test]
fn a_rule_that_is_misspelt_is_refused() {
    let error = serde_json::from_value::<Rules>(json!([{"when": "alwayz", "then": []}])).unwrap_err();
    assert!(error.to_string().contains("alwayz"), "{error}");
    let error = serde_json::from_value::<Rules>(json!([{"if": "always", "then": []}])).unwrap_err();
    assert!(error.to_string().contains("if"), "{error}");
}
