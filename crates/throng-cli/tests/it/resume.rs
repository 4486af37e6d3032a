//! A run that was interrupted goes on where it stopped: nothing is lost, nothing is done twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Home, by_id, question, wait_until, whole_lines};

fn log(home: &Home, name: &str) -> Vec<Value> {
    home.read(name)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Counts the requests of each prompt.
fn requests(home: &Home, name: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for entry in log(home, name) {
        *counts
            .entry(entry["prompt"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    counts
}

#[test]
fn after_kill_9_every_id_is_answered_once_and_none_that_was_done_is_asked_again() {
    const N: usize = 300;
    let home = Home::new();
    home.questions("in.jsonl", N);
    let sim = home.sim(&[
        "--first-token",
        "30ms",
        "--tokens-per-second",
        "0",
        "--request-log",
        "requests.jsonl",
    ]);
    let args = [
        "run",
        "in.jsonl",
        "--out",
        "out.jsonl",
        "--base-url",
        sim.url(),
        "--model",
        "m",
        "-c",
        "8",
    ];
    let out = home.path("out.jsonl");

    let mut killed = home.command(&args).stderr(Stdio::null()).spawn().unwrap();
    wait_until("a third of the results", || whole_lines(&out) >= N / 3);
    killed.kill().unwrap();
    killed.wait().unwrap();

    // A kill rarely meets the middle of a write, so a torn line is added as such a kill would leave it.
    let before = home.read("out.jsonl");
    let whole = &before[..before.rfind('\n').unwrap() + 1];
    let done: BTreeSet<String> = by_id(whole).keys().cloned().collect();
    assert!(done.len() >= N / 3 && done.len() < N, "{} of {N}", done.len());
    let torn = (1..=N)
        .map(|i| format!("q{i}"))
        .find(|id| !done.contains(id))
        .unwrap();
    fs::write(&out, whole).unwrap();
    OpenOptions::new()
        .append(true)
        .open(&out)
        .unwrap()
        .write_all(format!("{{\"v\":1,\"id\":\"{torn}\",\"outcome\":\"succeeded\",\"te").as_bytes())
        .unwrap();

    let resumed = home
        .run(&[&args[..], &["--resume", "--summary", "s.json"]].concat())
        .code(0);
    resumed.says("dropped a torn line").says("done before");
    let results = home.results("out.jsonl");
    assert_eq!(results.len(), N);
    assert!(results.values().all(|result| result["outcome"] == "succeeded"));
    assert!(
        home.read("out.jsonl").starts_with(whole),
        "what was written stays as it is"
    );

    let counts = requests(&home, "requests.jsonl");
    assert_eq!(counts.len(), N);
    for i in 1..=N {
        if done.contains(&format!("q{i}")) {
            assert_eq!(counts[&question(i)], 1, "q{i} was complete and is asked again");
        }
    }
    let summary: Value = serde_json::from_str(&home.read("s.json")).unwrap();
    assert_eq!(summary["skipped_already_done"], done.len());
    assert_eq!(summary["succeeded"], N - done.len());
    assert_eq!(summary["total"], N);

    let again = home.run(&[&args[..], &["--resume"]].concat()).code(0);
    again.says("300 skipped (300 done before)");
    assert_eq!(
        requests(&home, "requests.jsonl"),
        counts,
        "nothing is left to ask"
    );
}

fn line(id: &str, outcome: &str, text: &str) -> String {
    format!("{{\"v\":1,\"id\":\"{id}\",\"outcome\":\"{outcome}\",\"text\":\"{text}\"}}\n")
}

#[test]
fn failures_are_tried_again_and_superseded() {
    let home = Home::new();
    home.questions("in.jsonl", 4);
    let kept = line("q1", "succeeded", "kept");
    let other = line("other", "failed", "of another input");
    let file = [
        &*line("q2", "failed", "x"),
        &kept,
        &line("q2", "timed_out", "y"),
        &line("q1", "failed", "old"),
        &other,
    ];
    for (name, args) in [("file", &["run", "in.jsonl"][..]), ("pipe", &["run", "-"])] {
        home.write("out.jsonl", file.concat());
        let args = [args, &["--out", "out.jsonl", "--resume"]].concat();
        home.pipe(&args, &home.read("in.jsonl")).code(0);
        let results = home.results("out.jsonl");
        assert_eq!(
            results.keys().collect::<Vec<_>>(),
            ["other", "q1", "q2", "q3", "q4"],
            "{name}"
        );
        assert_eq!(results["q1"]["text"], "kept", "{name}");
        assert_eq!(results["q2"]["outcome"], "succeeded", "{name}");
        assert_eq!(
            results["other"]["text"], "of another input",
            "an id that is not in the input is not lost"
        );
        assert!(!home.path("out.jsonl.compact").exists());
    }
}

#[test]
fn a_resumed_file_that_was_never_begun_or_is_whole() {
    let home = Home::new();
    home.questions("in.jsonl", 3);
    let args = ["run", "in.jsonl", "--out", "out.jsonl", "--resume"];
    home.run(&args).code(0);
    let first = home.read("out.jsonl");
    home.run(&args).code(0);
    assert_eq!(home.read("out.jsonl"), first);
    home.run(&[&args[..], &["--dry-run"]].concat())
        .code(0)
        .prints("0 prompts would be sent")
        .prints("3 are done already");
}

#[test]
fn a_torn_first_line_is_dropped() {
    let home = Home::new();
    home.questions("in.jsonl", 3)
        .write("out.jsonl", "{\"v\":1,\"id\":\"q1\",\"outcome\":\"succ");
    home.run(&["run", "in.jsonl", "--out", "out.jsonl", "--resume"])
        .code(0)
        .says("dropped a torn line of 32 bytes");
    assert_eq!(home.results("out.jsonl").len(), 3);
}

#[test]
fn numbers_and_texts_name_the_same_record() {
    let home = Home::new();
    home.write("in.txt", "one\ntwo\n")
        .write("out.jsonl", "{\"v\":1,\"id\":\"2\",\"outcome\":\"succeeded\"}\n");
    home.run(&["run", "in.txt", "--out", "out.jsonl", "--resume"])
        .code(0);
    assert_eq!(home.results("out.jsonl").len(), 2);
}

#[test]
fn two_runs_cannot_write_one_file() {
    let home = Home::new();
    home.questions("in.jsonl", 200);
    let sim = home.sim(&["--first-token", "40ms", "--tokens-per-second", "0"]);
    let args = [
        "run",
        "in.jsonl",
        "--out",
        "out.jsonl",
        "--base-url",
        sim.url(),
        "--model",
        "m",
        "-c",
        "2",
        "--resume",
    ];
    let mut first = home.command(&args).stderr(Stdio::null()).spawn().unwrap();
    wait_until("a result", || whole_lines(&home.path("out.jsonl")) > 0);
    home.run(&args)
        .code(2)
        .says("another run writes to out.jsonl")
        .says("hint:");
    first.kill().unwrap();
    first.wait().unwrap();
    home.run(&args.map(|arg| if arg == "2" { "64" } else { arg }))
        .code(0);
    assert_eq!(home.results("out.jsonl").len(), 200);
}
