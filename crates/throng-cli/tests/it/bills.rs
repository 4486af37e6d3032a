//! Recordings, the cache, and what calls cost.

use serde_json::Value;

use crate::support::{Ended, Home, Sim, by_id};

const PRICES: &str = "{\"m\": {\"input_cost_per_token\": 0.001, \"output_cost_per_token\": 0.001}}";

fn run(home: &Home, sim: &Sim, flags: &[&str]) -> Ended {
    let server = ["--base-url", sim.url(), "--model", "m"];
    home.run(&[&["run", "in.jsonl", "--summary", "s.json"], &server[..], flags].concat())
}

fn summary(home: &Home) -> Value {
    serde_json::from_str(&home.read("s.json")).unwrap()
}

/// Returns the lines of an output without their times, in the order of the ids.
fn timeless(text: &str) -> String {
    let mut lines = by_id(text);
    for line in lines.values_mut() {
        line.as_object_mut().unwrap().remove("timing");
    }
    lines.values().map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_recorded_run_is_replayed_without_a_server() {
    let home = Home::new();
    home.questions("in.jsonl", 20);
    let sim = home.sim(&["--fail", "0.3", "--faults", "server_error"]);
    let first = run(&home, &sim, &["--record", "tape", "--backoff-base", "1ms"]).code(0);
    let url = sim.url().to_owned();
    drop(sim);
    let again = [
        "run",
        "in.jsonl",
        "--base-url",
        &url,
        "--model",
        "m",
        "--replay",
        "tape",
        "--backoff-base",
        "1ms",
    ];
    let second = home.run(&again).code(0).says("recordings in tape");
    assert_eq!(timeless(&first.stdout), timeless(&second.stdout));
    assert_eq!(timeless(&second.stdout).lines().count(), 20);
    // No key, and no address, is needed.
    let args = [
        "run",
        "in.jsonl",
        "--provider",
        "openai",
        "--model",
        "m",
        "--replay",
        "tape",
    ];
    home.run(&args).code(0);
    home.questions("in.jsonl", 21);
    let ended = home.run(&again).code(1);
    let line = &by_id(&ended.stdout)["q21"];
    assert_eq!(
        (&line["error"]["kind"], &line["error"]["class"], &line["attempts"]),
        (&"not_recorded".into(), &"permanent".into(), &1.into()),
        "{line}"
    );
    assert!(
        line["error"]["hint"].as_str().unwrap().contains("--record"),
        "{line}"
    );
    // The simulated server of a run can be recorded as well.
    home.questions("in.jsonl", 3);
    let first = home.run(&["run", "in.jsonl", "--record", "sim-tape"]).code(0);
    let second = home.run(&["run", "in.jsonl", "--replay", "sim-tape"]).code(0);
    assert_eq!(timeless(&first.stdout), timeless(&second.stdout));
}

#[test]
fn what_was_answered_is_not_asked_again() {
    let home = Home::new();
    home.questions("in.jsonl", 10).write("prices.json", PRICES);
    let sim = home.sim(&["--request-log", "log.jsonl"]);
    let priced = ["--prices", "prices.json"];
    let first = run(&home, &sim, &[&["--cache=kept"], &priced[..]].concat()).code(0);
    assert_eq!(summary(&home)["cache_hits"], 0);
    assert_eq!(home.read("log.jsonl").lines().count(), 10);
    let second = run(&home, &sim, &[&["--cache=kept"], &priced[..]].concat()).code(0);
    assert_eq!(home.read("log.jsonl").lines().count(), 10, "nobody is asked");
    assert_eq!(summary(&home)["cache_hits"], 10);
    let (first, second) = (by_id(&first.stdout), by_id(&second.stdout));
    for (id, line) in &second {
        assert_eq!(line["text"], first[id]["text"]);
        assert_eq!(
            (&line["cached"], &line["cost_usd"]),
            (&true.into(), &0.0.into()),
            "{line}"
        );
        assert!(first[id]["cost_usd"].as_f64() > Some(0.0), "{}", first[id]);
    }
    run(&home, &sim, &["--cache=kept"])
        .code(0)
        .says("cache         10 prompts answered without a call");
    // The usual folder, and a file that says so.
    home.write("throng.toml", "[run]\ncache = true\n");
    run(&home, &sim, &[]).code(0);
    assert!(home.path(".cache/throng/answers").is_dir());
    run(&home, &sim, &[]).code(0);
    assert_eq!(home.read("log.jsonl").lines().count(), 20);
    run(&home, &sim, &["--cache=false"]).code(0);
    assert_eq!(home.read("log.jsonl").lines().count(), 30);
    // Each agent of a vote has an answer of its own.
    let vote = [
        "vote",
        "Is it?",
        "--base-url",
        sim.url(),
        "--model",
        "m",
        "--stop",
        "never",
        "--cache=votes",
    ];
    home.run(&vote).code(0);
    home.run(&vote).code(0);
    assert_eq!(home.read("log.jsonl").lines().count(), 35);
}

#[test]
fn a_run_stops_when_its_money_is_spent_and_is_resumed() {
    let home = Home::new();
    home.questions("in.jsonl", 60).write("prices.json", PRICES);
    let sim = home.sim(&["--output-tokens", "10..10"]);
    let priced = ["--prices", "prices.json", "--out", "out.jsonl", "-c", "4"];
    let ended = run(&home, &sim, &[&["--max-cost", "0.5"], &priced[..]].concat()).code(5);
    ended
        .says("--max-cost allows, so the run stopped")
        .says("were not started and have no line")
        .says("--resume")
        .says("cost          $0.5");
    let report = summary(&home);
    let done = report["succeeded"].as_u64().unwrap();
    assert!(done > 10 && done < 40, "{report}");
    assert_eq!(report["skipped_not_started"], 60 - done, "{report}");
    assert_eq!(
        (&report["attempts"], &report["failed"]),
        (&done.into(), &0.into()),
        "{report}"
    );
    let cost = report["cost_usd"].as_f64().unwrap();
    assert!((0.5..0.7).contains(&cost), "{report}");
    let lines = home.results("out.jsonl");
    assert_eq!(lines.len() as u64, done);
    let sum: f64 = lines
        .values()
        .map(|line| line["cost_usd"].as_f64().unwrap())
        .sum();
    assert!((sum - cost).abs() < 1e-9, "{sum} {report}");
    assert_eq!(report["models"][0]["calls"], done);
    run(
        &home,
        &sim,
        &[&["--max-cost", "50", "--resume"], &priced[..]].concat(),
    )
    .code(0);
    assert_eq!(home.results("out.jsonl").len(), 60);
    let vote = [
        "vote",
        "Is it?",
        "--base-url",
        sim.url(),
        "--model",
        "m",
        "-c",
        "1",
        "--stop",
        "never",
    ];
    let flags = ["--max-cost", "0.001", "--prices", "prices.json"];
    home.run(&[&vote[..], &flags].concat()).code(0);
    let flags = [
        &["--max-cost", "0.3", "--vote", "3", "--out", "votes.jsonl"],
        &priced[..2],
    ]
    .concat();
    run(&home, &sim, &flags).code(5);
}

#[test]
fn a_limit_needs_prices() {
    let home = Home::new();
    home.questions("in.jsonl", 1)
        .write("bad.json", "{\"m\": 7")
        .write("taken", "");
    let sim = home.sim(&["--request-log", "log.jsonl"]);
    run_usage(
        &home,
        &sim,
        &["--max-cost", "1"],
        "the price of the model \"m\" of openai is not known",
        "--prices FILE",
    );
    run_usage(
        &home,
        &sim,
        &["--max-cost", "0"],
        "it must be a sum of dollars above 0",
        "--max-cost",
    );
    run_usage(
        &home,
        &sim,
        &["--max-cost", "x"],
        "it must be a sum of dollars above 0",
        "--max-cost",
    );
    run_usage(
        &home,
        &sim,
        &["--prices", "none.json"],
        "cannot read prices from none.json",
        "hint: ",
    );
    run_usage(
        &home,
        &sim,
        &["--prices", "bad.json"],
        "cannot read prices from bad.json",
        "hint: ",
    );
    run_usage(&home, &sim, &["--replay", "none"], "cannot replay none", "hint: ");
    run_usage(
        &home,
        &sim,
        &["--record", "taken/x"],
        "cannot record into taken/x",
        "hint: ",
    );
    run_usage(
        &home,
        &sim,
        &["--cache=taken/x"],
        "cannot use taken/x as a cache",
        "hint: ",
    );
    run_usage(
        &home,
        &sim,
        &["--replay", "x", "--record", "x"],
        "contradict each other",
        "hint: ",
    );
    run_usage(
        &home,
        &sim,
        &["--replay", "x", "--cache"],
        "contradict each other",
        "hint: ",
    );
    assert_eq!(home.read("log.jsonl"), "", "nobody is asked");
    home.run(&["run", "in.jsonl", "--max-cost", "1"])
        .code(2)
        .says("the price of the model \"sim\" of the simulated server is not known");
}

#[track_caller]
fn run_usage(home: &Home, sim: &Sim, flags: &[&str], says: &str, and: &str) {
    let server = ["--base-url", sim.url(), "--model", "m"];
    home.run(&[&["run", "in.jsonl"], &server[..], flags].concat())
        .code(2)
        .says(says)
        .says(and);
}
