//! Ctrl-C: the first lets running calls end, the second stops them; both leave whole results and a summary.
#![cfg(unix)]

use std::io::{BufReader, Write as _};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Home, read_rest, read_until, signal, wait_until, whole_lines};

fn summary(home: &Home) -> Value {
    serde_json::from_str(&home.read("s.json")).unwrap()
}

#[test]
fn one_interruption_lets_running_calls_end() {
    for name in ["INT", "TERM", "HUP"] {
        let home = Home::new();
        home.questions("in.jsonl", 300);
        let sim = home.sim(&["--first-token", "50ms", "--tokens-per-second", "0"]);
        let args = [
            "run",
            "in.jsonl",
            "--out",
            "out.jsonl",
            "--summary",
            "s.json",
            "--base-url",
            sim.url(),
            "--model",
            "m",
            "-c",
            "4",
        ];
        let mut child = home.command(&args).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("some results", || whole_lines(&home.path("out.jsonl")) >= 8);
        signal(child.id(), name);
        let stderr = read_rest(child.stderr.take().unwrap());
        assert_eq!(child.wait().unwrap().code(), Some(130), "{stderr}");
        assert!(stderr.contains("running calls go on to their end"), "{stderr}");
        assert!(
            stderr.contains("outcomes") && stderr.contains("--resume"),
            "{stderr}"
        );

        let results = home.results("out.jsonl");
        // What had begun ended well; what had not has no line.
        for result in results.values() {
            assert_eq!(
                (&result["outcome"], &result["attempts"]),
                (&"succeeded".into(), &1.into()),
                "{result}"
            );
        }
        assert!(
            stderr.contains("records were not started and have no line"),
            "{stderr}"
        );
        let summary = summary(&home);
        assert_eq!(
            (&summary["total"], &summary["exit_code"]),
            (&300.into(), &130.into())
        );
        assert_eq!(summary["skipped_not_started"], 300 - results.len(), "{summary}");

        drop(sim);
        home.run(&["run", "in.jsonl", "--out", "out.jsonl", "--resume"])
            .code(0);
        let results = home.results("out.jsonl");
        assert_eq!(results.len(), 300);
        assert!(results.values().all(|result| result["outcome"] == "succeeded"));
    }
}

#[test]
fn a_second_interruption_stops_running_calls() {
    let home = Home::new();
    home.questions("in.jsonl", 50);
    // An answer of 100 tokens, one every 50 ms: long enough to be interrupted twice.
    let sim = home.sim(&[
        "--first-token",
        "5ms",
        "--tokens-per-second",
        "20",
        "--output-tokens",
        "100..100",
    ]);
    let args = [
        "run",
        "in.jsonl",
        "--out",
        "out.jsonl",
        "--summary",
        "s.json",
        "--base-url",
        sim.url(),
        "--model",
        "m",
        "-c",
        "4",
    ];
    let mut child = home
        .command(&[&args[..], &["-v"]].concat())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    read_until(&mut stderr, "sending to");
    // The calls begin at once after that line; an interruption before they do would find nothing to stop.
    std::thread::sleep(std::time::Duration::from_millis(500));
    signal(child.id(), "INT");
    read_until(&mut stderr, "interrupt again to stop them");
    signal(child.id(), "INT");
    let rest = read_rest(stderr);
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.contains("the running calls are stopped"), "{rest}");
    let results = home.results("out.jsonl");
    assert!(
        results.values().all(|result| result["outcome"] == "cancelled"),
        "{results:?}"
    );
    assert!(
        results.values().all(|result| result["attempts"] == 1),
        "{results:?}"
    );
    assert_eq!(results.len(), 4);
    let summary = summary(&home);
    assert_eq!(
        (
            &summary["cancelled"],
            &summary["skipped_not_started"],
            &summary["total"]
        ),
        (&4.into(), &46.into(), &50.into())
    );
}

#[test]
fn an_interruption_ends_a_run_whose_input_stays_open() {
    let home = Home::new();
    let args = ["run", "-", "--out", "out.jsonl", "--summary", "s.json"];
    let mut command = home.command(&args);
    let mut child = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"hi\n").unwrap();
    wait_until("the answer, before the input ends", || {
        whole_lines(&home.path("out.jsonl")) == 1
    });
    signal(child.id(), "INT");
    let stderr = read_rest(child.stderr.take().unwrap());
    assert_eq!(child.wait().unwrap().code(), Some(130), "{stderr}");
    assert_eq!(summary(&home)["succeeded"], 1);
    drop(stdin);
}

#[test]
#[cfg(target_os = "linux")]
fn a_hangup_that_is_ignored_stays_ignored() {
    let home = Home::new();
    home.questions("in.jsonl", 60);
    let sim = home.sim(&["--first-token", "40ms", "--tokens-per-second", "0"]);
    // As `nohup` does it.
    let script = "trap '' HUP; exec \"$0\" run in.jsonl --out out.jsonl -c 4 --base-url \"$1\" --model m";
    let mut child = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_throng"), sim.url()])
        .current_dir(home.path("."))
        .env_clear()
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("some results", || whole_lines(&home.path("out.jsonl")) >= 4);
    signal(child.id(), "HUP");
    let stderr = read_rest(child.stderr.take().unwrap());
    assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
    assert_eq!(home.results("out.jsonl").len(), 60);
}
