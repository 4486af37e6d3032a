//! Keys, priorities, adaptive limits, hedges, budgets and equal prompts.

use serde_json::{Value, json};

use crate::support::{Home, by_id, whole_lines};

fn records(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

#[test]
fn bad_values_of_the_policies_are_usage_errors_that_say_what_is_allowed() {
    let home = Home::new();
    home.questions("in.jsonl", 1);
    let check = |flag: &str, says: &str| {
        home.run(&["run", "in.jsonl", flag]).code(2).says(says);
    };
    check("--hedge=1", "it must be a number above 0 and below 1");
    check("--hedge=often", "it must be a number above 0 and below 1");
    check("--adaptive=perhaps", "it must be true or false");
    check("--circuit-breaker=2", "it must be true or false");
    check("--retry-budget=-1", "it must be a whole number of at least 0");
    check("--dedup=sorted", "possible values: off, exact, normalised, json");
    check("--vote=0", "it must be a whole number from 1 to 10000");
    check("--vote-threshold=2", "it must be a number from 0 to 1");
    check("--vote-quorum=0", "it must be a whole number from 1 to 10000");
    check(
        "--vote-confidence=0.5",
        "it must be a number above 0.5 and below 1",
    );
    check("--vote-equivalence=same", "possible values: exact");
    check("--vote-stop=soon", "possible values: bayesian");
    check("--rehearse=speed=2", "there is no \"speed\"");
    check("--rehearse=fail=2", "fail must be a number from 0 to 1");
    home.run(&["run", "in.jsonl", "--vote", "3", "--vote-quorum", "4"])
        .code(2)
        .says("a quorum of 4 answers cannot come from 3 agents")
        .says("hint:");
    home.run(&["run", "in.jsonl", "--vote", "3", "--compare-sequential", "1"])
        .code(2)
        .says("--compare-sequential measures single calls")
        .says("hint:");
    home.run(&["run", "in.jsonl", "--rehearse", "--dry-run"])
        .code(2)
        .says("cannot be used with");
}

#[test]
fn policies_are_settings_too() {
    let home = Home::new();
    home.questions("in.jsonl", 1);
    home.write(
        "throng.toml",
        "[run]\nadaptive = true\nhedge = 0.9\ndedup = \"json\"\nkey-field = \"tenant\"\nvote = 3\n",
    );
    let shown = home.run(&["config", "show", "--origin"]).code(0).stdout;
    for line in [
        "run.adaptive",
        "run.hedge",
        "run.dedup",
        "run.key-field",
        "run.vote ",
    ] {
        let line = shown.lines().find(|row| row.starts_with(line)).unwrap();
        assert!(line.contains("throng.toml"), "{line}");
    }
    home.write("throng.toml", "[run]\nhedge = 1\n");
    home.run(&["run", "in.jsonl"])
        .code(2)
        .says("`run.hedge` must be a number above 0 and below 1, but is 1");
    home.write("throng.toml", "[run]\nadaptive = \"yes\"\n");
    home.run(&["run", "in.jsonl"])
        .code(2)
        .says("`run.adaptive` must be true or false");
    home.write("throng.toml", "");
    home.run_with(&["run", "in.jsonl"], &[("THRONG_DEDUP", "all")])
        .code(2)
        .says("THRONG_DEDUP must be one of off, exact, normalised, json");
}

#[test]
fn each_key_has_a_row_in_the_summary() {
    let home = Home::new();
    let all: Vec<Value> = (0..12)
        .map(|i| {
            let tenant = if i % 3 == 0 { json!("a") } else { json!(7) };
            json!({"id": i, "prompt": format!("p{i}"), "tenant": tenant})
        })
        .chain([json!({"id": "none", "prompt": "p"})])
        .collect();
    home.write("in.jsonl", records(&all));
    let sim = home.sim(&[]);
    let (ended, summary) = home.run_at(
        &sim,
        &[
            "--key-field",
            "tenant",
            "--adaptive",
            "--hedge",
            "--circuit-breaker",
        ],
    );
    ended
        .code(0)
        .says("keys          7: 8 of 8 succeeded, 8 attempts");
    assert_eq!(summary["succeeded"], 13);
    let rows = summary["keys"].as_array().unwrap();
    let row = |row: &Value| {
        (
            row["key"].as_str().unwrap().to_owned(),
            row["records"].as_u64().unwrap(),
            row["succeeded"].as_u64().unwrap(),
            row["attempts"].as_u64().unwrap(),
            row["running_ms"]["count"].as_u64().unwrap(),
        )
    };
    assert_eq!(
        rows.iter().map(row).collect::<Vec<_>>(),
        [("7".to_owned(), 8, 8, 8, 8), ("a".to_owned(), 4, 4, 4, 4)]
    );
}

#[test]
fn a_key_or_a_priority_that_is_wrong_is_an_error_of_its_record() {
    let home = Home::new();
    home.write(
        "in.jsonl",
        "{\"id\":\"x\",\"prompt\":\"p\",\"prio\":\"high\",\"tenant\":\"a\"}\n\
         {\"id\":\"y\",\"prompt\":\"p\",\"prio\":\"urgent\",\"tenant\":[1]}\n",
    );
    home.run(&["run", "in.jsonl", "--priority-field", "prio"])
        .code(2)
        .says("line 2: the field `prio` of record \"y\" is \"urgent\", but must be a whole number from -128 to 127, or low, normal or high")
        .says("hint: correct the value");
    home.run(&["run", "in.jsonl", "--key-field", "tenant"])
        .code(2)
        .says("the field `tenant` of record \"y\" is [1], but must be a text or a number");
    let ended = home
        .run(&["run", "in.jsonl", "--priority-field", "prio", "--skip-invalid"])
        .code(0)
        .says("1 skipped (1 invalid)");
    assert_eq!(by_id(&ended.stdout).len(), 1);
    home.write("in.csv", "id,prompt,prio\n1,p,5\n2,q,128\n");
    home.run(&["run", "in.csv", "--priority-field", "prio"])
        .code(2)
        .says("the field `prio` of record \"2\" is \"128\"");
    home.run(&["run", "in.jsonl", "--key-field", "tenent"])
        .code(0)
        .says("no record has a value in the field `tenent` that --key-field names");
}

#[test]
fn records_of_high_priority_go_first() {
    let home = Home::new();
    let all: Vec<Value> = (0..16)
        .map(|i| json!({"id": i, "prompt": format!("p{i}"), "urgency": if i < 8 { -50 } else { 50 }}))
        .collect();
    home.write("in.jsonl", records(&all));
    let sim = home.sim(&["--first-token", "150ms"]);
    let (ended, _) = home.run_at(&sim, &["--priority-field", "urgency", "-c", "1"]);
    let lines = ended.code(0).stdout;
    let ids: Vec<u64> = lines
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["id"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(ids.len(), 16);
    // The first is taken before the others are read.
    let urgent = ids.iter().take(9).filter(|id| **id >= 8).count();
    assert_eq!(urgent, 8, "{ids:?}");
}

#[test]
fn equal_prompts_are_asked_once_and_each_record_has_its_line() {
    let home = Home::new();
    let prompts = ["Who?", "who", "Who?", "When?", "WHO", "Who?"];
    let all: Vec<Value> = prompts
        .iter()
        .enumerate()
        .map(|(i, prompt)| json!({"id": format!("r{i}"), "prompt": prompt}))
        .collect();
    home.write("in.jsonl", records(&all));
    let check = |flag: &str, asked: usize| {
        let _ = std::fs::remove_file(home.path("out.jsonl"));
        let _ = std::fs::remove_file(home.path("log.jsonl"));
        let sim = home.sim(&["--request-log", "log.jsonl"]);
        let (ended, summary) = home.run_at(&sim, &[flag, "--out", "out.jsonl"]);
        let ended = ended.code(0);
        assert_eq!(whole_lines(&home.path("log.jsonl")), asked, "{flag}");
        let results = home.results("out.jsonl");
        assert_eq!(results.len(), 6, "{flag}");
        let copies: Vec<&Value> = results
            .values()
            .filter(|line| line.get("same_as").is_some())
            .collect();
        assert_eq!(copies.len(), 6 - asked, "{flag}");
        for copy in copies {
            let of = &results[copy["same_as"].as_str().unwrap()];
            assert!(of.get("same_as").is_none(), "{of}");
            assert_eq!(copy["text"], of["text"]);
            assert_eq!(
                (&copy["outcome"], &copy["attempts"]),
                (&json!("succeeded"), &json!(0))
            );
            assert_eq!(copy["usage"]["output_tokens"], 0);
        }
        assert_eq!(summary["succeeded"], 6);
        assert_eq!(summary["total"], 6);
        assert_eq!(summary["lines_written"], 6);
        assert_eq!(summary["attempts"], asked);
        assert_eq!(summary["deduplicated"], 6 - asked);
        if asked < 6 {
            ended.says("without a call");
        }
    };
    check("--dedup=off", 6);
    check("--dedup", 4);
    check("--dedup=normalised", 2);
}

#[test]
fn a_run_that_asks_equal_prompts_once_is_resumed_like_any_other() {
    let home = Home::new();
    let all: Vec<Value> = (0..8)
        .map(|i| json!({"id": i, "prompt": format!("p{}", i % 2)}))
        .collect();
    home.write("in.jsonl", records(&all));
    let failing = home.sim(&["--fail", "1", "--faults", "server_error=1"]);
    let flags = ["--dedup", "--out", "out.jsonl", "--retries", "0"];
    let (ended, summary) = home.run_at(&failing, &flags);
    ended.code(1);
    assert_eq!((&summary["failed"], &summary["attempts"]), (&json!(8), &json!(2)));
    let sim = home.sim(&[]);
    let (ended, summary) = home.run_at(
        &sim,
        &["--dedup", "--out", "out.jsonl", "--resume", "--limit", "3"],
    );
    ended.code(0);
    assert_eq!(
        (&summary["succeeded"], &summary["attempts"]),
        (&json!(3), &json!(2))
    );
    let (ended, summary) = home.run_at(&sim, &["--dedup", "--out", "out.jsonl", "--resume"]);
    ended.code(0);
    assert_eq!(summary["skipped_already_done"], 3);
    assert_eq!(
        (&summary["succeeded"], &summary["attempts"]),
        (&json!(5), &json!(2))
    );
    let results = home.results("out.jsonl");
    assert_eq!(results.len(), 8);
    assert!(results.values().all(|line| line["outcome"] == "succeeded"));
}

#[test]
fn records_of_different_keys_are_not_equal() {
    let home = Home::new();
    let all: Vec<Value> = (0..6)
        .map(|i| json!({"id": i, "prompt": "p", "tenant": format!("t{}", i % 3)}))
        .collect();
    home.write("in.jsonl", records(&all));
    let sim = home.sim(&[]);
    let (ended, summary) = home.run_at(&sim, &["--dedup", "--key-field", "tenant"]);
    ended.code(0);
    assert_eq!(
        (&summary["attempts"], &summary["deduplicated"]),
        (&json!(3), &json!(3))
    );
    let rows = summary["keys"].as_array().unwrap();
    assert!(
        rows.iter().all(|row| row["records"] == 2 && row["attempts"] == 1),
        "{summary}"
    );
}

#[test]
fn a_retry_budget_bounds_the_retries() {
    let home = Home::new();
    home.questions("in.jsonl", 20);
    let sim = home.sim(&["--fail", "1", "--faults", "server_error=1"]);
    let flags = ["--retry-budget", "70", "--backoff-base", "1ms"];
    let (ended, summary) = home.run_at(&sim, &flags);
    ended.code(1).says("more retries than --retry-budget pays for");
    assert_eq!(
        (
            &summary["failed"],
            &summary["retries"],
            &summary["retries_refused"]
        ),
        (&json!(20), &json!(5), &json!(20))
    );
}

#[test]
fn a_call_that_hangs_is_hedged() {
    let home = Home::new();
    home.questions("in.jsonl", 200);
    let sim = home.sim(&["--fail", "0.05", "--faults", "slow=1", "--seed", "2"]);
    let (ended, summary) = home.run_at(&sim, &["--hedge=0.9"]);
    ended.code(0).says("hedge");
    let n = |field: &str| summary[field].as_u64().unwrap();
    assert!(n("hedges") > 0 && n("hedges_won") <= n("hedges"), "{summary}");
    assert_eq!(n("attempts"), 200 + n("retries") + n("hedges"), "{summary}");
}

#[test]
fn an_adaptive_limit_stays_below_max_concurrent() {
    let home = Home::new();
    home.questions("in.jsonl", 60);
    let sim = home.sim(&["--first-token", "10ms", "--request-log", "log.jsonl"]);
    let (ended, summary) = home.run_at(&sim, &["--adaptive", "-c", "3"]);
    ended.code(0);
    assert_eq!(summary["succeeded"], 60);
    assert!(summary["overlap"].as_f64().unwrap() <= 3.01, "{summary}");
}
