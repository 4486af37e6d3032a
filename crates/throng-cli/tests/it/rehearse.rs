//! Rehearsals: a run in virtual time, with nobody called and nothing written.

use serde_json::{Value, json};

use crate::support::Home;

fn rehearse(home: &Home, flags: &[&str]) -> Value {
    let args = ["run", "in.jsonl", "--output", "json", "--out", "out.jsonl"];
    let ended = home.run(&[&args[..], flags].concat()).code(0);
    assert!(!home.path("out.jsonl").exists(), "nothing is written");
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let home = Home::new();
    home.questions("in.jsonl", 2000);
    let model = "--rehearse=latency=800ms,spread=0.5,fail=0.02,rpm=600,concurrent=50,tokens=300";
    let figures = rehearse(&home, &[model, "--seed", "4"]);
    assert_eq!(figures, rehearse(&home, &[model, "--seed", "4"]));
    assert_ne!(figures, rehearse(&home, &[model, "--seed", "5"]));
    let n = |field: &str| figures[field].as_u64().unwrap();
    assert_eq!((n("v"), n("records"), n("calls")), (1, 2000, 2000));
    assert_eq!(n("succeeded") + n("failed"), 2000);
    assert!(n("attempts") > 2000 && n("refusals") > 0, "{figures}");
    assert!(n("output_tokens") > 500_000, "{figures}");
    assert!(
        figures["duration_s"].as_f64().unwrap() > 190.0,
        "600 a minute: {figures}"
    );
}

#[test]
fn calls_of_one_length_fill_the_limit() {
    let home = Home::new();
    home.questions("in.jsonl", 100);
    let flags = ["--rehearse=latency=2s,spread=0", "-c", "10"];
    let figures = rehearse(&home, &flags);
    assert_eq!(
        (&figures["duration_s"], &figures["attempts"], &figures["failed"]),
        (&json!(20.0), &json!(100), &json!(0))
    );
    assert_eq!(
        (&figures["input_tokens"], &figures["output_tokens"]),
        (&json!(1000), &json!(25_600)),
        "{figures}"
    );
}

#[test]
fn what_a_deadline_cuts_adds_up() {
    let home = Home::new();
    home.questions("in.jsonl", 100);
    let flags = [
        "--rehearse=latency=1s,spread=0",
        "-c",
        "10",
        "--deadline",
        "2500ms",
    ];
    let figures = rehearse(&home, &flags);
    let n = |field: &str| figures[field].as_u64().unwrap();
    assert_eq!(
        (n("succeeded"), n("failed"), n("timed_out"), n("not_started")),
        (20, 0, 10, 70)
    );
    assert_eq!((n("calls"), n("attempts")), (100, 30));
}

#[test]
fn equal_prompts_and_votes_count_as_what_they_ask() {
    let home = Home::new();
    let lines: String = (0..30)
        .map(|i| format!("{}\n", json!({"prompt": format!("p{}", i % 10)})))
        .collect();
    home.write("in.jsonl", lines);
    let figures = rehearse(&home, &["--rehearse", "--dedup", "--vote", "3"]);
    assert_eq!((&figures["records"], &figures["calls"]), (&json!(30), &json!(30)));
    let figures = rehearse(&home, &["--rehearse", "--dedup"]);
    assert_eq!((&figures["records"], &figures["calls"]), (&json!(30), &json!(10)));
}

#[test]
fn a_rehearsal_needs_no_provider_and_reads_standard_input() {
    let home = Home::new();
    let ended = home
        .pipe(
            &["run", "-", "--rehearse", "--provider", "openai"],
            "one\ntwo\nthree\n",
        )
        .code(0)
        .prints("duration ")
        .prints("3 for 3 records, 3 succeeded, 0 failed")
        .prints("p50 ")
        .prints("p95 ");
    assert!(!ended.stderr.contains("simulated"), "{ended:?}");
    home.write("in.jsonl", "{\"prompt\":1}\n{\"x\":2}\n");
    home.run(&["run", "in.jsonl", "--rehearse"]).code(2).says("hint:");
    home.write("in.jsonl", "");
    home.run(&["run", "in.jsonl", "--rehearse"]).code(4);
}
