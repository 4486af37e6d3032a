//! `throng simulate`.

use serde_json::{Value, json};

use crate::support::Home;

#[test]
fn a_graph_is_simulated_in_virtual_time() {
    let home = Home::new();
    home.write("g.json", r#"{"dur_s":[3,1.5,2],"parents":[[],[],[1]]}"#);
    let ended = home
        .run(&["simulate", "g.json", "--limit", "2", "--output", "json"])
        .code(0);
    let found: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        found,
        json!({"makespan": 3.5, "critical_path": 3.5, "bound": 3.5, "ratio": 1.0})
    );
    home.write("g.stg", "1\n0 0 0\n1 4 1 0\n2 0 1 1\n");
    let ended = home.run(&["simulate", "g.stg", "--limit", "1"]).code(0);
    assert!(ended.stdout.contains("makespan       4\n"), "{}", ended.stdout);
}

#[test]
fn a_plan_with_durations_is_simulated() {
    let home = Home::new();
    let plan = json!({
        "calls": [
            {"id": "a", "name": "f", "arguments": {}, "expected_ms": 30},
            {"id": "b", "name": "f", "arguments": {"x": "$a.x"}, "expected_ms": 20},
            {"id": "c", "name": "f", "arguments": {}, "expected_ms": 40},
        ],
        "policy": {"assume": "independent"},
    });
    home.write("plan.json", plan.to_string());
    let ended = home
        .run(&["simulate", "plan.json", "--limit", "2", "--output", "json"])
        .code(0);
    let found: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(found["makespan"], 50.0);
    assert_eq!(found["critical_path"], 50.0);
    home.write("plan.json", r#"{"calls":[{"id":"a","name":"f","arguments":{}}]}"#);
    home.run(&["simulate", "plan.json", "--limit", "2"])
        .code(2)
        .says("call `a` has no `expected_ms`");
}

#[test]
fn what_is_no_graph_is_said() {
    let home = Home::new();
    home.run(&["simulate", "no.json", "--limit", "2"])
        .code(2)
        .says("cannot read the graph no.json");
    home.write("g.json", r#"{"dur_s":[3,1],"parents":[[1],[0]]}"#);
    home.run(&["simulate", "g.json", "--limit", "2"])
        .code(2)
        .says("the graph has a cycle");
    home.write("g.stg", "1\n0 0 0\n1 x 0\n");
    home.run(&["simulate", "g.stg", "--limit", "2"])
        .code(2)
        .says("line 3 of the STG file");
}
