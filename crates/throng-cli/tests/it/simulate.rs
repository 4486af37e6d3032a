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
