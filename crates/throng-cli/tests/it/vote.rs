//! Votes: of one question, and on every record of a run.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Ended, Home, Sim, question, read_rest, signal, wait_until, whole_lines};

fn vote(home: &Home, sim: &Sim, flags: &[&str]) -> Ended {
    let args = ["vote", "Which?", "--base-url", sim.url(), "--model", "m"];
    home.run(&[&args[..], flags].concat())
}

#[test]
fn agents_that_agree_decide_early() {
    let home = Home::new();
    let sim = home.sim(&["--request-log", "log.jsonl"]);
    let ended = vote(&home, &sim, &["--agents", "9", "--stop", "certain"])
        .code(0)
        .says("agreement     1.00, 5 of 5 answers")
        .says("5 of 9 asked, 4 saved, 0 failed; ended: certain");
    assert_eq!(
        ended.stdout,
        format!("{}\n", throng_sim::expected_text(0, "Which?"))
    );
    assert_eq!(whole_lines(&home.path("log.jsonl")), 5);
}

#[test]
fn the_answer_of_most_agents_wins() {
    let home = Home::new();
    let sim = home.sim(&["--variants", "2"]);
    let flags = ["--agents", "5", "--stop", "never", "--output", "json"];
    let ended = vote(&home, &sim, &flags).code(0);
    let verdict: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(verdict["v"], 1);
    assert_eq!(verdict["decision"], "consensus");
    assert_eq!(verdict["text"], throng_sim::expected_text(0, "Which?"));
    assert_eq!(
        (&verdict["agreement"], &verdict["asked"], &verdict["saved"]),
        (&json!(0.6), &json!(5), &json!(0))
    );
    let choices = verdict["choices"].as_array().unwrap();
    assert_eq!(
        (&choices[0]["agents"], &choices[1]["agents"]),
        (&json!([0, 2, 4]), &json!([1, 3]))
    );
    assert_eq!(
        verdict["choices"][1]["votes"], 2,
        "the seeds of the agents are 0, 1, 2 and so on"
    );
}

#[test]
fn without_consensus_there_is_no_answer() {
    let home = Home::new();
    let sim = home.sim(&["--variants", "2"]);
    let tied = vote(&home, &sim, &["--agents", "4", "--stop", "never"])
        .code(1)
        .says("no consensus: several answers have 0.50 of the votes each");
    assert_eq!(tied.stdout, "");
    let flags = ["--agents", "5", "--threshold", "0.7", "--output", "json"];
    let below = vote(&home, &sim, &flags).code(1);
    let verdict: Value = serde_json::from_str(&below.stdout).unwrap();
    assert_eq!(
        (&verdict["decision"], &verdict["text"], &verdict["exit_code"]),
        (&json!("below_threshold"), &Value::Null, &json!(1))
    );
    let failing = home.sim(&["--fail", "1", "--faults", "server_error=1"]);
    vote(&home, &failing, &["--retries", "0", "--quorum", "2"])
        .code(1)
        .says("no consensus: 0 of 5 agents gave an answer")
        .says("answered 500");
}

#[test]
fn a_vote_that_cannot_be_held_says_why() {
    let home = Home::new();
    let check = |args: &[&str], says: &str| {
        home.run(&[&["vote"], args].concat()).code(2).says(says);
    };
    check(&[], "<QUESTION>");
    check(
        &["Q?", "--agents", "0"],
        "it must be a whole number from 1 to 10000",
    );
    check(&["Q?", "--equivalence", "same"], "possible values: exact");
    check(&["Q?", "--threshold", "-1"], "it must be a number from 0 to 1");
    check(
        &["Q?", "--quorum", "x"],
        "it must be a whole number from 1 to 10000",
    );
    check(
        &["Q?", "--confidence", "0.5"],
        "it must be a number above 0.5 and below 1",
    );
    check(&["Q?", "--stop", "soon"], "possible values: bayesian");
    check(
        &["Q?", "--agents", "2", "--quorum", "3"],
        "a quorum of 3 answers cannot come from 2 agents",
    );
    check(&["  "], "the question is empty");
    let huge = "x".repeat((1 << 20) + 1);
    home.pipe(&["vote", "-"], &huge)
        .code(2)
        .says("the question is over 1 MiB");
    home.pipe(&["vote", "-"], "")
        .code(2)
        .says("the question is empty")
        .says("hint:");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}/v1");
    home.run(&["vote", "Q?", "--base-url", &url, "--model", "m"])
        .code(3)
        .says("cannot be reached");
}

#[test]
fn a_vote_ends_at_its_deadline_and_when_it_is_interrupted() {
    let home = Home::new();
    let sim = home.sim(&["--first-token", "60s"]);
    let ended = vote(&home, &sim, &["--deadline", "200ms"]).code(5);
    ended.says("no consensus: --deadline passed before the vote was decided");
    let failing = home.sim(&[
        "--fail",
        "1",
        "--faults",
        "server_error=1",
        "--request-log",
        "log.jsonl",
    ]);
    let args = [
        "vote",
        "Which?",
        "--base-url",
        failing.url(),
        "--model",
        "m",
        "--retries",
        "1000",
    ];
    let mut command = home.command(&args);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("a call", || whole_lines(&home.path("log.jsonl")) > 0);
    signal(child.id(), "INT");
    let stderr = child.stderr.take().unwrap();
    assert!(read_rest(stderr).contains("interrupted: the vote was not decided"));
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn the_question_may_come_from_standard_input() {
    let home = Home::new();
    let sim = home.sim(&[]);
    let args = ["vote", "-", "--base-url", sim.url(), "--model", "m", "-q"];
    let ended = home.pipe(&args, "Which\none?\n").code(0);
    assert_eq!(
        ended.stdout,
        format!("{}\n", throng_sim::expected_text(0, "Which\none?"))
    );
    let made_up = home.run(&["vote", "Which?", "--seed", "3"]).code(0);
    assert_eq!(
        made_up.stdout,
        format!("{}\n", throng_sim::expected_text(3, "Which?"))
    );
    made_up.says("its answers are made up");
}

/// Runs votes on `in.jsonl` and returns the summary.
fn run(home: &Home, sim: &Sim, flags: &[&str], code: i32) -> Value {
    let (ended, summary) = home.run_at(sim, &[&["--out", "out.jsonl"], flags].concat());
    ended.code(code);
    summary
}

#[test]
fn every_record_of_a_run_is_voted_on() {
    let home = Home::new();
    home.questions("in.jsonl", 10);
    let sim = home.sim(&["--variants", "2", "--seed", "5", "--request-log", "log.jsonl"]);
    let flags = ["--vote", "5", "--vote-stop", "certain", "-c", "4"];
    let summary = run(&home, &sim, &flags, 0);
    let results = home.results("out.jsonl");
    assert_eq!(results.len(), 10);
    let mut calls = 0;
    for i in 1..=10 {
        let line = &results[&format!("q{i}")];
        assert_eq!(line["text"], throng_sim::expected_text(5, &question(i)), "{line}");
        let vote = &line["vote"];
        assert_eq!(vote["decision"], "consensus", "{line}");
        let n = |field: &str| vote[field].as_u64().unwrap();
        assert_eq!(n("asked") + n("saved"), 5, "{line}");
        assert_eq!(line["attempts"], vote["asked"], "{line}");
        let votes: u64 = vote["votes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_u64().unwrap())
            .sum();
        assert!(votes <= n("asked"), "{line}");
        calls += n("asked");
    }
    assert_eq!(whole_lines(&home.path("log.jsonl")) as u64, calls);
    assert_eq!(summary["votes"]["asked"], calls);
    assert_eq!(summary["attempts"], calls);
    assert_eq!(
        (&summary["succeeded"], &summary["total"]),
        (&json!(10), &json!(10))
    );
    let tokens: u64 = results
        .values()
        .map(|line| line["usage"]["output_tokens"].as_u64().unwrap())
        .sum();
    assert_eq!(summary["usage"]["output_tokens"], tokens);
    // The limit holds over the calls of all votes.
    assert!(summary["overlap"].as_f64().unwrap() <= 4.05, "{summary}");
}

#[test]
fn the_calls_of_all_votes_share_one_limit() {
    let home = Home::new();
    home.questions("in.jsonl", 12);
    let sim = home.sim(&["--first-token", "20ms", "--max-parallel", "3"]);
    let summary = run(
        &home,
        &sim,
        &["--vote", "4", "--vote-stop", "never", "-c", "3"],
        0,
    );
    assert_eq!(
        (&summary["attempts"], &summary["throttles"]),
        (&json!(48), &json!(0))
    );
    assert_eq!(summary["votes"], json!({"agents": 4, "asked": 48, "saved": 0}));
}

#[test]
fn a_record_without_consensus_has_failed_and_is_voted_on_again() {
    let home = Home::new();
    home.questions("in.jsonl", 3);
    let split = home.sim(&["--variants", "4"]);
    let summary = run(&home, &split, &["--vote", "4"], 1);
    assert_eq!(summary["failed"], 3);
    for line in home.results("out.jsonl").values() {
        assert_eq!(
            (&line["outcome"], &line["text"]),
            (&json!("failed"), &Value::Null)
        );
        assert_eq!(line["error"]["kind"], "tied", "{line}");
        assert_eq!(line["vote"]["votes"], json!([1, 1, 1, 1]), "{line}");
    }
    let one = home.sim(&[]);
    let summary = run(&home, &one, &["--vote", "4", "--resume"], 0);
    assert_eq!(summary["succeeded"], 3);
    assert_eq!(home.results("out.jsonl").len(), 3);
}

#[test]
fn votes_go_with_equal_prompts_and_with_keys() {
    let home = Home::new();
    let lines: String = (0..9)
        .map(|i| {
            format!(
                "{}\n",
                json!({"id": i, "prompt": format!("p{}", i % 3), "tenant": i % 3})
            )
        })
        .collect();
    home.write("in.jsonl", lines);
    let sim = home.sim(&["--variants", "3"]);
    let flags = [
        "--vote",
        "4",
        "--vote-stop",
        "never",
        "--dedup",
        "--key-field",
        "tenant",
        "--hedge",
        "--adaptive",
    ];
    let summary = run(&home, &sim, &flags, 0);
    assert_eq!(
        (
            &summary["succeeded"],
            &summary["deduplicated"],
            &summary["attempts"]
        ),
        (&json!(9), &json!(6), &json!(12))
    );
    let rows = summary["keys"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    assert!(
        rows.iter().all(|row| row["records"] == 3 && row["attempts"] == 4),
        "{summary}"
    );
    let asked: BTreeSet<bool> = home
        .results("out.jsonl")
        .values()
        .map(|line| line.get("vote").is_some() != line.get("same_as").is_some())
        .collect();
    assert_eq!(asked, BTreeSet::from([true]));
}

#[test]
fn votes_at_a_server_that_refuses_stop_soon() {
    let home = Home::new();
    home.questions("in.jsonl", 30);
    let sim = home.sim(&["--models", "other"]);
    let args = [
        "run",
        "in.jsonl",
        "--base-url",
        sim.url(),
        "--model",
        "m",
        "--vote",
        "5",
    ];
    home.run(&args).code(3).says("the provider refuses the calls");
}

#[test]
fn votes_end_at_the_deadline() {
    let home = Home::new();
    home.questions("in.jsonl", 6);
    let sim = home.sim(&["--first-token", "60s"]);
    let flags = ["--vote", "3", "-c", "2", "--deadline", "300ms"];
    let summary = run(&home, &sim, &flags, 5);
    assert_eq!(summary["succeeded"], 0);
    assert_eq!(summary["total"], 6, "{summary}");
    let lines = home.results("out.jsonl");
    assert_eq!(
        summary["timed_out"],
        lines.len(),
        "only votes of which a call began have a line: {summary}"
    );
    assert!(
        lines.values().all(|line| line["attempts"].as_u64() > Some(0)),
        "{lines:?}"
    );
}
