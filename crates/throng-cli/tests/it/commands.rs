//! The other commands: `sim`, `bench`, `completions`, `codegen`, help and logs.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Home, by_id, read_rest, signal};

#[test]
fn the_simulated_server_runs_alone_and_reports_at_its_end() {
    let home = Home::new();
    home.questions("in.jsonl", 20);
    let args = [
        "sim",
        "--output",
        "json",
        "--first-token",
        "5ms",
        "--request-log",
        "log.jsonl",
    ];
    let mut server = home
        .command(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let listening: Value = serde_json::from_str(&line).unwrap();
    let url = listening["base_url"].as_str().unwrap();
    let ended = home
        .run(&["run", "in.jsonl", "--base-url", url, "--model", "m"])
        .code(0);
    assert_eq!(by_id(&ended.stdout).len(), 20);
    signal(server.id(), "INT");
    let stderr = read_rest(server.stderr.take().unwrap());
    assert_eq!(server.wait().unwrap().code(), Some(130), "{stderr}");
    let stats: Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&stats["stats"]["requests"], &stats["stats"]["answered"]),
        (&20.into(), &20.into()),
        "{stats}"
    );
    assert_eq!(home.read("log.jsonl").lines().count(), 20);
}

#[test]
fn flags_of_the_server_that_make_no_sense() {
    let home = Home::new();
    home.run(&["sim", "--fail", "2"])
        .code(2)
        .says("must be from 0 to 1");
    home.run(&["sim", "--faults", "explode=1"])
        .code(2)
        .says("there is no fault")
        .says("server_error");
    home.run(&["sim", "--require-key-env", "NOPE"])
        .code(2)
        .says("the variable NOPE is not set");
    let sim = home.sim(&[]);
    let port = sim
        .url()
        .rsplit(':')
        .next()
        .unwrap()
        .trim_end_matches("/v1")
        .to_owned();
    home.run(&["sim", "--port", &port])
        .code(2)
        .says("cannot listen on")
        .says("hint: --port 0");
}

#[test]
fn a_measurement_has_every_limit_and_is_consistent() {
    let home = Home::new();
    let args = [
        "bench",
        "--jobs",
        "8",
        "--latency",
        "30ms",
        "--concurrency",
        "2,8",
        "--output",
        "json",
    ];
    let ended = home.run(&args).code(0);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let levels = report["levels"].as_array().unwrap();
    assert_eq!(
        levels
            .iter()
            .map(|level| level["max_concurrent"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        [1, 2, 8]
    );
    let sequential = levels[0]["duration_ms"].as_f64().unwrap();
    assert!(sequential >= 8.0 * 30.0, "eight calls one by one: {report}");
    for level in levels {
        let n = |field: &str| level[field].as_f64().unwrap();
        assert!(
            (n("speed_up") - sequential / n("duration_ms")).abs() < 0.01,
            "{level}"
        );
        assert!(
            (n("saved_ms") - (sequential - n("duration_ms"))).abs() < 0.01,
            "{level}"
        );
        assert!(
            (n("efficiency") - n("speed_up") / n("max_concurrent")).abs() < 0.01,
            "{level}"
        );
        assert_eq!(level["failed"], 0);
    }
    let table = home
        .run(&["bench", "--jobs", "2", "--latency", "5ms", "--concurrency", "2"])
        .code(0);
    table
        .prints("efficiency")
        .prints("speed-up")
        .prints("2 prompts, simulated server")
        .prints("\none by one  ");
}

#[test]
fn a_measurement_against_nobody_is_a_provider_error() {
    let home = Home::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}/v1");
    home.run(&["bench", "--base-url", &url, "--model", "m"])
        .code(3)
        .says("cannot be reached")
        .says("hint:");
}

#[test]
fn completions_and_reference_pages_come_from_the_same_flags() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        home.run(&["completions", shell]).code(0).prints("max-concurrent");
    }
    home.run(&["codegen", "pages"]).code(0);
    assert!(home.read("pages/cli.md").contains("--max-concurrent"));
    assert!(home.read("pages/exit-codes.md").contains("| 130 |"));
    assert!(home.read("pages/config.md").contains("`run.max-concurrent`"));
    assert!(
        home.read("pages/environment.md")
            .contains("THRONG_MAX_CONCURRENT")
    );
    home.run(&["codegen", "again"]).code(0);
    for page in ["cli.md", "exit-codes.md", "config.md", "environment.md"] {
        assert_eq!(
            home.read(&format!("pages/{page}")),
            home.read(&format!("again/{page}")),
            "{page} is stable"
        );
    }
}

#[test]
fn help_shows_examples_first_and_defaults() {
    let home = Home::new();
    let long = home.run(&["run", "--help"]).code(0);
    assert!(long.stdout.starts_with("Examples:\n"), "{}", long.stdout);
    long.prints("[default: 32]")
        .prints("THRONG_MAX_CONCURRENT]")
        .prints("FILE:LINE");
    let short = home.run(&["run", "-h"]).code(0);
    assert!(!short.stdout.contains("Examples:"));
    assert!(home.run(&["--help"]).code(0).stdout.starts_with("Examples:\n"));
    home.run(&["--version"]).code(0).prints("throng 0.");
}

#[test]
fn a_failed_attempt_is_logged_with_the_id_of_its_record() {
    let home = Home::new();
    home.questions("in.jsonl", 2);
    let sim = home.sim(&["--fail", "1", "--faults", "server_error=1"]);
    let run = |flag: &str| {
        let _ = std::fs::remove_file(home.path("log.txt"));
        let args = [
            "run",
            "in.jsonl",
            "--base-url",
            sim.url(),
            "--model",
            "m",
            "--retries",
            "0",
        ];
        home.run(&[&args[..], &["--log-file", "log.txt", flag]].concat())
            .code(1);
        home.read("log.txt")
    };
    let info = run("-v");
    assert!(
        info.contains("A run began.") && info.contains("A run ended."),
        "{info}"
    );
    assert!(!info.contains("failed."), "{info}");
    let debug = run("-vv");
    assert!(debug.contains("An attempt failed."), "{debug}");
    for id in ["q1", "q2"] {
        let failed =
            |line: &&str| line.contains("A call failed.") && line.contains(&format!("record{{id=\"{id}\"}}"));
        assert_eq!(debug.lines().filter(failed).count(), 1, "{debug}");
    }
    assert!(!debug.contains("remarkable"), "{debug}");
}

#[test]
fn log_lines_go_where_they_are_sent() {
    let home = Home::new();
    home.questions("in.jsonl", 2);
    home.run(&[
        "run",
        "in.jsonl",
        "--log",
        "throng=trace",
        "--log-file",
        "log.txt",
    ])
    .code(0);
    let log = home.read("log.txt");
    assert!(!log.contains("remarkable"), "prompts are not logged: {log}");
    assert!(!log.contains('\u{1b}'), "no colours in a file");
}
