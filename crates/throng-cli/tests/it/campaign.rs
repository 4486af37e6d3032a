//! A campaign as in life: a server with a limit and with faults, a client that is killed and resumed.
//!
//! 200 prompts; 2,000 when `THRONG_CASES` is 2000 or more, as in `cargo xtask slow`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Home, Sim, by_id, question, wait_until, whole_lines};

const SEED: u64 = 3;

fn prompts() -> usize {
    let cases = std::env::var("THRONG_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    if cases.unwrap_or(0) >= 2_000 { 2_000 } else { 200 }
}

/// A server that takes 6,000 requests a minute and lets every tenth meet a fault.
fn failing(home: &Home) -> Sim {
    let seed = SEED.to_string();
    home.sim(&[
        "--rpm",
        "6000",
        "--fail",
        "0.1",
        "--seed",
        &seed,
        "--request-log",
        "requests.jsonl",
    ])
}

fn flags(sim: &Sim) -> Vec<&str> {
    vec![
        "run",
        "in.jsonl",
        "--out",
        "out.jsonl",
        "--base-url",
        sim.url(),
        "--model",
        "m",
        "--max-concurrent",
        "64",
    ]
}

/// Every id has one line, and its text is what the server meant for that prompt.
fn check(home: &Home, n: usize) {
    let results = home.results("out.jsonl");
    assert_eq!(results.len(), n);
    for i in 1..=n {
        let line = &results[&format!("q{i}")];
        assert_eq!(line["outcome"], "succeeded", "{line}");
        assert_eq!(
            line["text"],
            throng_sim::expected_text(SEED, &question(i)),
            "{line}"
        );
    }
}

#[test]
fn every_prompt_gets_the_answer_that_was_meant_for_it() {
    let (home, n) = (Home::new(), prompts());
    home.questions("in.jsonl", n);
    let sim = failing(&home);
    home.run(&flags(&sim)).code(0);
    check(&home, n);
    let entries: Vec<Value> = home
        .read("requests.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let decisions: BTreeSet<&str> = entries
        .iter()
        .filter_map(|entry| entry["decision"].as_str())
        .collect();
    assert!(decisions.len() > 3, "too few kinds of trouble: {decisions:?}");
}

#[test]
fn kills_at_any_time_lose_nothing_and_repeat_nothing() {
    let (home, n) = (Home::new(), prompts());
    home.questions("in.jsonl", n);
    let sim = failing(&home);
    let out = home.path("out.jsonl");
    let args = [&flags(&sim)[..], &["--resume"]].concat();
    // How many requests each prompt had had when its line was complete.
    let mut settled: BTreeMap<String, usize> = BTreeMap::new();
    for share in [5, 3, 2] {
        let mut child = home.command(&args).stderr(Stdio::null()).spawn().unwrap();
        wait_until("a part of the results", || whole_lines(&out) >= n / share);
        child.kill().unwrap();
        child.wait().unwrap();
        let text = home.read("out.jsonl");
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        for (id, line) in by_id(whole) {
            if line["outcome"] == "succeeded" {
                settled.entry(id).or_insert(0);
            }
        }
        let counts = requests(&home);
        for (id, count) in &mut settled {
            let now = counts.get(id).copied().unwrap_or(0);
            assert!(
                *count == 0 || now == *count,
                "{id} was complete and was asked again"
            );
            *count = now;
        }
    }
    home.run(&args).code(0);
    check(&home, n);
    let counts = requests(&home);
    for (id, count) in settled {
        assert_eq!(counts[&id], count, "{id} was complete and was asked again");
    }
}

/// Counts the requests of each id that the server has logged.
fn requests(home: &Home) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let text = home.read("requests.jsonl");
    for line in text.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let prompt = entry["prompt"].as_str().unwrap();
        let number = prompt.trim_end_matches('?').rsplit(' ').next().unwrap();
        *counts.entry(format!("q{number}")).or_insert(0) += 1;
    }
    counts
}
