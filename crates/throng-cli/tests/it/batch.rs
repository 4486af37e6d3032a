//! Plans for many agents: each gets its own, whatever the model does to its answer.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Ended, Home, Parrot, by_id, read_rest, signal, wait_until, whole_lines};

fn snapshots(n: usize) -> String {
    // In no order, so that the output's is its own.
    (1..=n)
        .rev()
        .map(|i| {
            json!({"id": format!("a{i:02}"), "role": "guard", "state": {"hp": i, "at": [i, 2]}}).to_string()
                + "\n"
        })
        .collect()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn batch(home: &Home, flags: &[&str]) -> Ended {
    home.run(&[&["batch", "in.jsonl", "--seed", "1"], flags].concat())
}

#[test]
fn every_agent_has_a_plan_of_its_own() {
    let home = Home::new();
    home.write("in.jsonl", snapshots(12));
    let alone = batch(&home, &["--tools", "scan,move,wait", "--max-batch", "1"])
        .code(0)
        .says("12 of 12 planned: 12 full")
        .says("12, 0 failed");
    let ids: Vec<Value> = lines(&alone.stdout)
        .iter()
        .map(|line| line["id"].clone())
        .collect();
    assert_eq!(
        ids,
        (1..=12).map(|i| json!(format!("a{i:02}"))).collect::<Vec<_>>()
    );
    let alone = by_id(&alone.stdout);
    for flags in [
        &["--max-batch", "5"][..],
        &["--stream", "--permute"],
        &["--compact", "--duplicates", "last"],
        &["--p95-goal", "1s", "--window", "4000"],
    ] {
        let flags = [&["--tools", "scan,move,wait"], flags].concat();
        let together = by_id(&batch(&home, &flags).code(0).stdout);
        assert_eq!(together.len(), 12);
        for (id, line) in &together {
            assert_eq!(line["plan"]["agent_id"], json!(id));
            assert_eq!(line["plan"], alone[id]["plan"], "{id} with {flags:?}");
            assert_eq!(
                (&line["tier"], &line["late"], &line["attempts"]),
                (&json!("full"), &json!(false), &json!(1))
            );
            for step in line["plan"]["steps"].as_array().unwrap() {
                let act = step["act"].as_str().unwrap();
                assert!(["scan", "move", "wait"].contains(&act), "{act}");
            }
        }
    }
}

#[test]
fn the_summary_is_the_last_line_of_machine_output() {
    let home = Home::new();
    home.write(
        "tools.json",
        r#"["scan", {"name": "wait", "description": "does nothing"}]"#,
    );
    let flags = [
        "batch",
        "-",
        "--tools",
        "tools.json",
        "--output",
        "ndjson",
        "--stream",
    ];
    let ended = home.pipe(&flags, &snapshots(23)).code(0);
    let mut lines = lines(&ended.stdout);
    let summary = lines.pop().unwrap();
    assert_eq!(lines.len(), 23);
    assert!(lines.iter().all(|line| line.get("event").is_none()));
    assert_eq!(
        (
            &summary["event"],
            &summary["agents"],
            &summary["planned"],
            &summary["tiers"]
        ),
        (&json!("summary"), &json!(23), &json!(23), &json!({"full": 23}))
    );
    let calls = summary["calls"].as_array().unwrap();
    let sizes: usize = calls
        .iter()
        .map(|call| call["agents"].as_array().unwrap().len())
        .sum();
    assert_eq!((calls.len(), sizes), (3, 23));
    assert_eq!(summary["exit_code"], 0);
}

#[test]
fn rules_plan_where_no_model_does() {
    let home = Home::new();
    home.write("in.jsonl", snapshots(3));
    home.write(
        "rules.json",
        r#"[{"when": {"below": ["state.hp", 2]}, "then": [{"act": "flee"}]}]"#,
    );
    let sim = home.sim(&["--fail", "1", "--faults", "server_error=1"]);
    let at = [
        "--base-url",
        sim.url(),
        "--model",
        "m",
        "--retries",
        "0",
        "--tools",
        "flee,wait",
    ];
    let with = |flags: &[&str]| batch(&home, &[&at[..], flags].concat());
    let some = with(&["--rules", "rules.json"])
        .code(1)
        .says("1 of 3 planned: 1 heuristic")
        .says("answered 500");
    let some = by_id(&some.stdout);
    assert_eq!(some["a01"]["plan"]["steps"], json!([{"act": "flee"}]));
    assert_eq!(
        (&some["a02"]["plan"], &some["a02"]["tier"]),
        (&Value::Null, &Value::Null)
    );
    assert!(some["a02"]["error"].as_str().unwrap().contains("500"), "{some:?}");
    let all = with(&["--rules", "rules.json", "--emergency", "wait,flee"])
        .code(0)
        .says("3 of 3 planned: 1 heuristic, 2 emergency");
    assert_eq!(
        by_id(&all.stdout)["a03"]["plan"]["steps"],
        json!([{"act": "wait"}, {"act": "flee"}])
    );
    let slow = home.sim(&["--first-token", "20s"]);
    let flags = ["--base-url", slow.url(), "--model", "m", "--emergency", "wait"];
    let late = batch(&home, &[&flags[..], &["--agent-deadline", "20ms"]].concat())
        .code(0)
        .says("late          3 agents");
    assert!(lines(&late.stdout).iter().all(|line| line["late"] == true));
    batch(
        &home,
        &["--base-url", slow.url(), "--model", "m", "--deadline", "20ms"],
    )
    .code(5)
    .says("0 of 3 planned");
}

#[test]
fn a_batch_that_cannot_be_run_says_why() {
    let home = Home::new();
    let check = |input: &str, code: i32, says: &str| {
        home.write("in.jsonl", input);
        let ended = batch(&home, &[]).code(code).says(says).says("hint:");
        assert_eq!(ended.stdout, "");
    };
    check("", 4, "in.jsonl has no snapshot");
    check("\n  \n", 4, "in.jsonl has no snapshot");
    check("{\"id\":1}\n{\"id\":2", 2, "in.jsonl, line 2: it is not JSON");
    check("[1]", 2, "line 1: it is no JSON object");
    check("{\"role\":\"x\"}", 2, "line 1: it has no `id`");
    check("{\"id\":\"\"}", 2, "line 1: its `id` is empty");
    check(
        "{\"id\":1.5}",
        2,
        "its `id` must be text or a whole number, but is 1.5",
    );
    check("{\"id\":1,\"role\":2}", 2, "its `role` must be text, but is 2");
    check(
        "{\"id\":1}\n\n{\"id\":\"1\"}\n{\"id\":1}",
        2,
        "line 4: the id \"1\" is that of line 1 too",
    );
    home.write("in.jsonl", snapshots(2));
    home.write("rules.json", r#"[{"when": "always", "then": [{"act": "fly"}]}]"#);
    home.write("bad.json", r#"[{"when": "never"}]"#);
    let flags = |flags: &[&str], says: &str| {
        let ended = batch(&home, flags).code(2).says(says);
        assert_eq!(ended.stdout, "");
    };
    flags(&["--tools", "a,,b"], "has a tool without a name");
    flags(&["--tools", "a,b,a"], "has the tool \"a\" twice");
    flags(&["--tools", "none.json"], "cannot read none.json");
    flags(&["--tools", "bad.json"], "bad.json does not list tools");
    flags(&["--rules", "bad.json"], "bad.json does not list rules");
    flags(
        &["--tools", "a,b", "--rules", "rules.json"],
        "rules.json has the step \"fly\", which is no tool",
    );
    flags(
        &["--tools", "a,b", "--emergency", "c"],
        "--emergency has the step \"c\", which is no tool",
    );
    flags(&["--max-batch", "0"], "--max-batch");
    home.run(&["batch", "missing.jsonl"])
        .code(2)
        .says("cannot read missing.jsonl");
    let page =
        Parrot::start("HTTP/1.1 404 Not Found\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>");
    let at = ["--base-url", page.url(), "--model", "m"];
    let ended = batch(&home, &at).code(3).says("is no chat API");
    assert_eq!(ended.stdout, "");
    let ended = batch(&home, &[&at[..], &["--emergency", "wait"]].concat())
        .code(0)
        .says("no model planned for anyone");
    assert_eq!(lines(&ended.stdout).len(), 2);
}

#[test]
fn a_recording_gives_the_same_plans_again() {
    let home = Home::new();
    home.write("in.jsonl", snapshots(7));
    let sim = home.sim(&["--request-log", "log.jsonl"]);
    let flags = [
        "batch",
        "in.jsonl",
        "--base-url",
        sim.url(),
        "--model",
        "m",
        "--max-batch",
        "4",
    ];
    let plans = |ended: Ended| -> Vec<Value> {
        let lines = lines(&ended.code(0).stdout).into_iter();
        lines.map(|line| line["plan"].clone()).collect()
    };
    let first = plans(home.run(&[&flags[..], &["--record", "tape"]].concat()));
    let calls = whole_lines(&home.path("log.jsonl"));
    let again = plans(home.run(&[&flags[..], &["--replay", "tape"]].concat()));
    assert_eq!(first, again);
    assert_eq!(first.len(), 7);
    assert_eq!(
        whole_lines(&home.path("log.jsonl")),
        calls,
        "nobody was asked again"
    );
}

#[test]
fn an_interruption_ends_the_batch() {
    let home = Home::new();
    home.write("in.jsonl", snapshots(2));
    let faults = ["--fail", "1", "--faults", "server_error=1"];
    let sim = home.sim(&[&faults[..], &["--request-log", "log.jsonl"]].concat());
    let at = ["--base-url", sim.url(), "--model", "m", "--retries", "1000"];
    let mut child = home
        .command(&[&["batch", "in.jsonl", "--stream"], &at[..]].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("a call", || whole_lines(&home.path("log.jsonl")) > 0);
    signal(child.id(), "INT");
    let stderr = child.stderr.take().unwrap();
    assert!(read_rest(stderr).contains("interrupted: agents without a line have no result yet"));
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
