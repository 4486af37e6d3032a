//! `throng stats` over stores that runs and the library wrote.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use throng_core::OutcomeKind;
use throng_store::{Metric, ResultKind, ResultRecord, Store, StoreOptions, ToolBatch, ToolCallRecord};

use crate::support::{Home, question};

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// Writes a store as the library does: 30 plans of two tools, one of which became slower, and results of tests.
fn recorded(home: &Home, name: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(home.path(name), StoreOptions::default()).unwrap();
        for i in 0..30_u64 {
            let call = |id: &str, tool: &str, ms: u64, outcome| ToolCallRecord {
                id: id.to_owned(),
                tool: tool.to_owned(),
                outcome,
                started: Duration::ZERO,
                ended: Duration::from_millis(ms),
                attempts: 1,
                error: (outcome == OutcomeKind::Failed).then(|| "no \u{1b}[31msuch page".to_owned()),
            };
            let search = 100 + i % 7 + if i < 25 { 0 } else { 60 };
            let read = if i == 29 {
                OutcomeKind::Failed
            } else {
                OutcomeKind::Succeeded
            };
            let batch = ToolBatch {
                session: "evening".to_owned(),
                plan: format!("plan {i}"),
                started_ms: now_ms() - 60 * 60 * 1000 + i as i64,
                wall: Duration::from_millis(search),
                work: Duration::from_millis(search * 2),
                success: read == OutcomeKind::Succeeded,
                calls: vec![
                    call("call_1", "web_search", search, OutcomeKind::Succeeded),
                    call("call_2", "file_read", 5 + i % 3, read),
                ],
            };
            store.record_tool_batch(batch).await.unwrap();
            let metric = Metric {
                session: "evening".to_owned(),
                name: "parallel_overlap".to_owned(),
                value: 2.0 + (i % 4) as f64 / 10.0,
                unit: "x".to_owned(),
                at_ms: now_ms(),
            };
            store.record_metric(metric).await.unwrap();
        }
        for age_h in [200_i64, 30, 1] {
            for kind in [ResultKind::TestRun, ResultKind::FlakyResult] {
                let result = ResultRecord {
                    kind,
                    key: "suite".to_owned(),
                    at_ms: now_ms() - age_h * 60 * 60 * 1000,
                    body: format!("{{\"age_h\":{age_h}}}"),
                };
                store.record_result(result).await.unwrap();
            }
        }
        store.close().await.unwrap();
    });
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_run_is_recorded_where_that_is_asked_for_and_shown() {
    let home = Home::new();
    home.questions("in.jsonl", 6);
    home.run(&["run", "in.jsonl", "--out", "a.jsonl"]).code(0);
    home.run(&["stats"]).code(4).says("there is no store at");
    home.run(&["run", "in.jsonl", "--out", "b.jsonl", "--record-stats"])
        .code(0);
    home.write("throng.toml", "[run]\nrecord-stats = true\n");
    let sim = home.sim(&["--fail", "1", "--faults", "server_error=1"]);
    home.write("one.jsonl", format!("{{\"prompt\":\"{}\"}}\n", question(1)));
    let args = [
        "run",
        "one.jsonl",
        "--base-url",
        sim.url(),
        "--model",
        "m",
        "--retries",
        "0",
    ];
    let failed = home.run(&args);
    assert_ne!(failed.code, 0, "{failed:#?}");
    let all = home.run(&["stats", "--output", "json"]).code(0);
    let runs = &json(&all.stdout)["runs"];
    assert_eq!(
        (
            &runs["n"],
            &runs["unended"],
            &runs["success"]["n"],
            &runs["success"]["succeeded"]
        ),
        (&2.into(), &0.into(), &7.into(), &6.into()),
        "{runs}"
    );
    assert!(runs["overlap"].as_f64().unwrap() > 0.0, "{runs}");
    assert!(home.path(".local/share/throng/throng.db").is_file());
    let last = home.run(&["stats", "--last", "run"]).code(0);
    last.prints("command         run\n").prints("1 failed");
    let text = home.run(&["stats"]).code(0);
    text.prints("2 runs, 7 jobs").prints("6 of 7)").prints("overlap ");
}

#[test]
fn figures_of_tools_in_every_form() {
    let home = Home::new();
    recorded(&home, "t.db");
    let human = home.run(&["stats", "--db", "t.db"]).code(0);
    human
        .prints("30 plans of tool calls, 60 calls\n")
        .prints("overlap     2.00 (measured sum of work / wall time)")
        .prints("slower: web_search 103.0000 ms -> ")
        .prints("; 5 against 25\n")
        .prints("29 of 30)");
    let whole = json(
        &home
            .run(&["stats", "--db", "t.db", "--output", "json"])
            .code(0)
            .stdout,
    );
    assert_eq!(whole["v"], 1);
    assert_eq!(whole["tools"][1]["time"]["p50_ms"], 103.0);
    assert_eq!(whole["tools"][1]["time"]["p95_ms"], 165.0);
    let slower: Vec<&Value> = whole["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|change| change["regression"] == true)
        .collect();
    assert_eq!(slower.len(), 1, "{whole}");
    assert_eq!(slower[0]["name"], "web_search");
    assert_eq!(slower[0]["comparison"]["recent"]["n"], 5);
    let lines = home.run(&["stats", "--db", "t.db", "--output", "ndjson"]).code(0);
    let about: Vec<Value> = lines
        .stdout
        .lines()
        .map(|line| {
            let value = json(line);
            assert_eq!(value["v"], 1);
            value["about"].clone()
        })
        .collect();
    assert_eq!(
        about,
        ["runs", "plans", "tool", "tool", "change", "change", "change"]
    );
    let args = [
        "stats",
        "--store",
        "t.db",
        "--tool",
        "file_read",
        "--output",
        "json",
    ];
    let one = json(&home.run(&args).code(0).stdout);
    assert_eq!(
        (&one["tools"][0]["tool"], one["tools"].as_array().unwrap().len()),
        (&"file_read".into(), 1)
    );
    home.run(&["stats", "--db", "t.db", "--since", "10ms", "--session", "morning"])
        .code(4)
        .says("has nothing that was asked for");
}

#[test]
fn the_latest_of_a_kind_and_the_trend_of_a_metric() {
    let home = Home::new();
    recorded(&home, "t.db");
    let stats = |args: &[&str]| home.run(&[&["stats", "--db", "t.db"], args].concat());
    let last = json(
        &stats(&["--last", "tool-batch", "--output", "json"])
            .code(0)
            .stdout,
    );
    assert_eq!(
        (&last["kind"], &last["last"]["plan"]),
        (&"tool-batch".into(), &"plan 29".into())
    );
    assert_eq!(last["last"]["calls"][1]["outcome"], "failed");
    let text = stats(&["--last", "tool-batch"]).code(0);
    assert!(!text.stdout.contains('\u{1b}'), "a tool steers the terminal");
    text.prints("no  [31msuch page");
    let tests = json(&stats(&["--last", "test-run", "--output", "json"]).code(0).stdout);
    assert_eq!(tests["last"]["results"]["age_h"], 1);
    stats(&["--last", "run"]).code(4).says("has no run");
    stats(&["--last", "sandwich"]).code(2).says("flaky-result");
    let trend = json(
        &stats(&["--trend", "parallel_overlap", "--output", "json"])
            .code(0)
            .stdout,
    );
    assert_eq!(trend["points"].as_array().unwrap().len(), 30);
    assert_eq!(trend["comparison"]["earlier"]["n"], 25);
    stats(&["--trend", "parallel_overlap"])
        .code(0)
        .prints("parallel_overlap in x, 30 values\n")
        .prints("no change is shown: ");
    stats(&["--trend", "parallel_overlop"])
        .code(4)
        .says("did you mean \"parallel_overlap\"?");
}

#[test]
fn pruning_goes_by_kind_and_age() {
    let home = Home::new();
    recorded(&home, "t.db");
    let prune =
        |args: &[&str]| home.run(&[&["stats", "prune", "--db", "t.db", "--output", "json"], args].concat());
    let report = json(&prune(&[]).code(0).stdout);
    assert_eq!(
        (
            &report["removed"]["test-run"],
            &report["removed"]["flaky-result"],
            &report["removed"]["tool-batch"]
        ),
        (&2.into(), &1.into(), &0.into()),
        "{report}"
    );
    home.run(&["stats", "prune", "--db", "t.db"])
        .code(0)
        .prints("nothing is too old\n");
    home.write(
        "throng.toml",
        "store = \"t.db\"\nkeep = [\"flaky-result=2h\", \"test-run=forever\"]\n",
    );
    home.run(&["stats", "prune"])
        .code(0)
        .prints("removed 1 flaky-result\n");
    let report = json(&prune(&["--keep-bytes", "0"]).code(0).stdout);
    assert_eq!(report["removed"]["tool-batch"], 30, "{report}");
    prune(&["--keep", "tool-batsh=1d"])
        .code(2)
        .says("did you mean tool-batch?");
    prune(&["--keep", "metric=soon"]).code(2).says("neither a time");
    home.run(&["stats", "--tool", "x", "prune"])
        .code(2)
        .says("by its kind and age alone");
}

#[test]
fn a_store_that_cannot_be_used_is_named_with_what_to_do() {
    let home = Home::new();
    home.write(
        "notes.txt",
        "no database at all, but long enough to be read as one. ".repeat(30),
    );
    home.run(&["stats", "--db", "notes.txt"])
        .code(2)
        .says("notes.txt is not a database")
        .says("hint: name another file");
    home.run(&["stats", "--db", "none.db"])
        .code(4)
        .says("there is no store at none.db")
        .says("--record-stats");
    assert!(!home.path("none.db").exists());
    // A run whose store cannot be used does not begin.
    home.questions("in.jsonl", 1);
    home.run(&["run", "in.jsonl", "--record-stats", "--store", "notes.txt"])
        .code(2)
        .says("notes.txt is not a database");
}
