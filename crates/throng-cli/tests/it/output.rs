//! What is written where: result lines, the summary, the first line on standard error, and outputs that fail.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Home, by_id, read_rest};

#[test]
fn the_first_line_on_standard_error_says_that_the_server_is_simulated() {
    let home = Home::new();
    home.questions("in.jsonl", 3).write("throng.toml", "colour = 1\n");
    for args in [
        &["run", "in.jsonl"][..],
        &["run", "in.jsonl", "-q"],
        &["run", "in.jsonl", "-vv"],
        &["bench", "--jobs", "2", "--latency", "5ms"],
    ] {
        let ended = home.run(args).code(0);
        let first = ended.stderr.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("throng: no provider is configured, so a simulated model server"),
            "{args:?}: {ended:#?}"
        );
    }
    let json = home.run(&["run", "in.jsonl", "--output", "ndjson"]).code(0);
    let first: Value = serde_json::from_str(json.stderr.lines().next().unwrap()).unwrap();
    assert_eq!(first["event"], "notice");
}

#[test]
fn a_result_line_has_the_promised_fields() {
    let home = Home::new();
    home.questions("in.jsonl", 1);
    let ended = home.run(&["run", "in.jsonl"]).code(0);
    let line = ended.stdout.trim();
    let order = [
        "\"v\":1",
        "\"id\":",
        "\"outcome\":",
        "\"text\":",
        "\"attempts\":",
        "\"usage\":",
        "\"timing\":",
        "\"error\":",
    ];
    let places: Vec<usize> = order
        .iter()
        .map(|field| line.find(field).unwrap_or_else(|| panic!("{field} in {line}")))
        .collect();
    assert!(places.is_sorted(), "{line}");
    let value: Value = serde_json::from_str(line).unwrap();
    for field in [
        "queued_ms",
        "throttled_ms",
        "backoff_ms",
        "running_ms",
        "first_token_ms",
    ] {
        assert!(value["timing"][field].is_number(), "{field} in {line}");
    }
    assert!(value["timing"]["first_token_ms"].as_f64() <= value["timing"]["running_ms"].as_f64());
    assert!(value["usage"]["input_tokens"].as_u64() > Some(0));
    assert_eq!(
        (&value["attempts"], &value["finish"]),
        (&1.into(), &"stop".into())
    );
}

#[test]
fn the_summary_adds_up() {
    let home = Home::new();
    home.questions("in.jsonl", 60);
    let sim = home.sim(&["--fail", "0.3", "--faults", "server_error=2,cut=1", "--seed", "3"]);
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
        "--retries",
        "1",
        "--backoff-base",
        "10ms",
    ];
    let ended = home.run(&args).code(1);
    let summary: Value = serde_json::from_str(&home.read("s.json")).unwrap();
    let n = |field: &str| {
        summary[field]
            .as_u64()
            .unwrap_or_else(|| panic!("{field} in {summary}"))
    };
    let parts = [
        "succeeded",
        "failed",
        "timed_out",
        "cancelled",
        "panicked",
        "shed",
        "skipped",
    ];
    assert_eq!(n("total"), parts.iter().map(|part| n(part)).sum::<u64>());
    assert_eq!(
        n("skipped"),
        n("skipped_already_done") + n("skipped_invalid") + n("skipped_not_started")
    );
    assert_eq!((n("total"), n("exit_code")), (60, 1));
    assert!(n("failed") > 0 && n("retries") > 0, "{summary}");
    let results = home.results("out.jsonl");
    let with = |outcome: &str| {
        results
            .values()
            .filter(|result| result["outcome"] == outcome)
            .count() as u64
    };
    assert_eq!((with("succeeded"), with("failed")), (n("succeeded"), n("failed")));
    assert_eq!(
        results
            .values()
            .map(|result| result["attempts"].as_u64().unwrap())
            .sum::<u64>(),
        n("attempts")
    );
    assert_eq!(n("attempts"), 60 + n("retries"));
    let running: f64 = results
        .values()
        .map(|result| result["timing"]["running_ms"].as_f64().unwrap())
        .sum();
    assert!(
        (running / 1e3 - summary["running_s"].as_f64().unwrap()).abs() < 0.01,
        "{running} against {summary}"
    );
    let overlap = summary["running_s"].as_f64().unwrap() / summary["wall_s"].as_f64().unwrap();
    assert!((overlap - summary["overlap"].as_f64().unwrap()).abs() < 0.01);
    assert_eq!(summary["sequential"], Value::Null);
    let times = &summary["running_ms"];
    assert_eq!(times["count"], 60);
    let order: Vec<f64> = ["min", "p50", "p95", "p99", "max"]
        .iter()
        .map(|p| times[p].as_f64().unwrap())
        .collect();
    assert!(
        order.is_sorted() && order[0] >= 1.0,
        "the server takes 5 ms at least: {times}"
    );
    let failed = results
        .values()
        .find(|result| result["outcome"] == "failed")
        .unwrap();
    assert_eq!(failed["text"], Value::Null);
    for field in ["class", "kind", "message"] {
        assert!(failed["error"][field].is_string(), "{failed}");
    }
    ended.says("retries").says("seed");
}

#[test]
fn a_speed_up_is_shown_only_where_it_was_measured() {
    let home = Home::new();
    home.questions("in.jsonl", 40);
    let plain = home.run(&["run", "in.jsonl"]).code(0);
    assert!(!plain.stderr.contains("speed-up"), "{plain:?}");
    let args = [
        "run",
        "in.jsonl",
        "--compare-sequential",
        "4",
        "--summary",
        "s.json",
    ];
    let ended = home
        .run(&args)
        .code(0)
        .says("speed-up")
        .says("4 jobs run one by one");
    assert_eq!(by_id(&ended.stdout).len(), 40);
    let summary: Value = serde_json::from_str(&home.read("s.json")).unwrap();
    let sequential = &summary["sequential"];
    assert_eq!(sequential["jobs"], 4);
    let expect =
        sequential["per_job_ms"].as_f64().unwrap() / 1e3 * 40.0 / summary["wall_s"].as_f64().unwrap();
    assert!(
        (sequential["speed_up"].as_f64().unwrap() / expect - 1.0).abs() < 0.02,
        "{summary}"
    );
    assert_eq!(
        (&summary["total"], &summary["attempts"]),
        (&40.into(), &40.into()),
        "extra calls are not counted"
    );
}

#[test]
fn the_report_goes_where_the_output_mode_says() {
    let home = Home::new();
    home.questions("in.jsonl", 2);
    let json = home
        .run(&["run", "in.jsonl", "--out", "a", "--output", "json"])
        .code(0);
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report["succeeded"], 2);
    let both = home.run(&["run", "in.jsonl", "--output", "ndjson"]).code(0);
    assert_eq!(by_id(&both.stdout).len(), 2, "results alone");
    let report: Value = serde_json::from_str(both.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(report["succeeded"], 2);
    let error = home.run(&["run", "nope", "--output", "json"]).code(2);
    let error: Value = serde_json::from_str(error.stderr.trim()).unwrap();
    assert_eq!(
        (&error["event"], &error["exit_code"]),
        (&"error".into(), &2.into())
    );
    assert!(error["hints"][0].is_string());
}

#[test]
fn an_output_with_results_is_not_overwritten_by_accident() {
    let home = Home::new();
    home.questions("in.jsonl", 2).write("out.jsonl", "precious\n");
    let run = |flag: &[&str]| home.run(&[&["run", "in.jsonl", "--out", "out.jsonl"], flag].concat());
    run(&[])
        .code(2)
        .says("out.jsonl exists and is not empty")
        .says("hint: --resume");
    assert_eq!(home.read("out.jsonl"), "precious\n");
    run(&["--resume"])
        .code(2)
        .says("cannot resume out.jsonl")
        .says("its line 1 is no result line")
        .says("hint:");
    assert_eq!(home.read("out.jsonl"), "precious\n");
    run(&["--overwrite"]).code(0);
    assert_eq!(home.results("out.jsonl").len(), 2);
    home.run(&["run", "out.jsonl", "--out", "out.jsonl", "--resume"])
        .code(2)
        .says("input and output at once");
    home.run(&["run", "in.jsonl", "--out", "no/such/folder"])
        .code(2)
        .says("hint: make its folder first");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_stops_the_run_with_an_error() {
    let home = Home::new();
    home.questions("in.jsonl", 200);
    let ended = home
        .run(&["run", "in.jsonl", "--out", "/dev/full", "--summary", "s.json"])
        .code(1);
    ended
        .says("could not be written")
        .says("error: cannot write results to /dev/full")
        .says("No space left on device")
        .says("\nhint: free some space");
    let summary: Value = serde_json::from_str(&home.read("s.json")).unwrap();
    assert!(
        summary["skipped_not_started"].as_u64() > Some(0),
        "the run stops soon: {summary}"
    );
    assert!(summary["succeeded"].as_u64() > Some(0), "{summary}");
    assert_eq!(summary["answers_lost"], summary["succeeded"], "{summary}");
    assert_eq!(summary["lines_written"], 0);
    let ended = home
        .run(&["run", "in.jsonl", "--limit", "2", "--summary", "/dev/full"])
        .code(1);
    assert_eq!(by_id(&ended.stdout).len(), 2);
    ended.says("cannot write the summary /dev/full");
}

#[test]
#[cfg(target_os = "linux")]
fn a_closed_standard_output_is_an_error_before_anything_is_sent() {
    let home = Home::new();
    home.questions("in.jsonl", 3);
    let program = env!("CARGO_BIN_EXE_throng");
    let shell = |script: &str| {
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", script, program])
            .current_dir(home.path("."))
            .env_clear();
        crate::support::ended(&mut command)
    };
    shell("exec \"$0\" run in.jsonl >&-")
        .code(2)
        .says("standard output is closed, so every result would be lost")
        .says("hint:");
    shell("exec \"$0\" run in.jsonl --out out.jsonl >&-").code(0);
    assert_eq!(home.results("out.jsonl").len(), 3);
    shell("exec \"$0\" run in.jsonl > /dev/null").code(0);
}

#[test]
fn no_file_is_used_for_two_things() {
    let home = Home::new();
    home.questions("in.jsonl", 2);
    let run = |args: &[&str]| home.run(&[&["run", "in.jsonl"], args].concat());
    run(&["--out", "o", "--summary", "o"])
        .code(2)
        .says("o is --out and --summary at once");
    run(&["--summary", "in.jsonl"])
        .code(2)
        .says("input and output at once");
    run(&["--summary", "-"])
        .code(2)
        .says("--summary cannot be standard output");
    #[cfg(unix)]
    {
        // A link to a file that is not there yet, and a second name of one that is.
        std::os::unix::fs::symlink("later", home.path("link")).unwrap();
        run(&["--out", "later", "--summary", "link"])
            .code(2)
            .says("at once");
        home.write("one", "");
        std::fs::hard_link(home.path("one"), home.path("two")).unwrap();
        run(&["--out", "one", "--summary", "./two"])
            .code(2)
            .says("at once");
    }
    assert!(!home.path("o").exists() && !home.path("later").exists());
    assert_eq!(by_id(&run(&["--out", "-"]).code(0).stdout).len(), 2);
    assert!(!home.path("-").exists());
    run(&["--out", "-", "--resume"])
        .code(2)
        .says("--resume needs a file");
}

#[test]
#[cfg(unix)]
fn a_pipe_cannot_be_resumed() {
    let home = Home::new();
    home.questions("in.jsonl", 2);
    let made = std::process::Command::new("mkfifo")
        .arg(home.path("pipe"))
        .status()
        .unwrap();
    assert!(made.success());
    for more in [&[][..], &["--dry-run"]] {
        home.run(&[&["run", "in.jsonl", "--out", "pipe", "--resume"], more].concat())
            .code(2)
            .says("cannot resume pipe: it is not a regular file");
    }
}

#[test]
fn made_up_answers_name_no_real_model() {
    let home = Home::new();
    home.questions("in.jsonl", 2);
    let args = ["run", "in.jsonl", "--model", "gpt-real", "--summary", "s.json"];
    let ended = home
        .run(&args)
        .code(0)
        .says("--provider openai")
        .says("the model \"gpt-real\" is not asked for");
    for line in by_id(&ended.stdout).values() {
        assert_eq!(
            (&line["model"], &line["simulated"]),
            (&"sim".into(), &true.into()),
            "{line}"
        );
    }
    let summary: Value = serde_json::from_str(&home.read("s.json")).unwrap();
    assert_eq!(
        (&summary["model"], &summary["simulated"]),
        (&"sim".into(), &true.into())
    );
    let sim = home.sim(&[]);
    let other = home
        .run(&["run", "in.jsonl", "--base-url", sim.url(), "--model", "m"])
        .code(0);
    assert!(
        by_id(&other.stdout)
            .values()
            .all(|line| line["simulated"].is_null())
    );
}

#[test]
fn the_commonest_errors_are_listed() {
    let home = Home::new();
    home.questions("in.jsonl", 40);
    let sim = home.sim(&["--fail", "0.5", "--faults", "server_error=2,cut=1", "--seed", "3"]);
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
        "--retries",
        "0",
    ];
    let ended = home.run(&args).code(1);
    let summary: Value = serde_json::from_str(&home.read("s.json")).unwrap();
    let errors = summary["errors"].as_array().unwrap();
    let results = home.results("out.jsonl");
    let mut sum = 0;
    for error in errors {
        let n = error["count"].as_u64().unwrap();
        sum += n;
        let message = error["message"].as_str().unwrap();
        assert!(error["kind"].is_string() && !message.is_empty(), "{error}");
    }
    assert_eq!(summary["failed"], sum);
    let most = &errors[0];
    let same = results
        .values()
        .filter(|line| line["error"]["kind"] == most["kind"] && line["error"]["status"] == most["status"])
        .count();
    assert_eq!(most["count"], same, "{summary}");
    let line = format!("errors        {same}× {}: ", most["kind"].as_str().unwrap());
    ended.says(&line);
}

#[test]
fn a_closed_pipe_ends_the_run_quietly() {
    let home = Home::new();
    home.questions("in.jsonl", 300);
    let mut child = home
        .command(&["run", "in.jsonl", "-c", "4"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    assert_eq!(by_id(&first).len(), 1);
    drop(stdout);
    let stderr = read_rest(child.stderr.take().unwrap());
    assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
    assert!(
        stderr.contains("the reader of standard output closed it after"),
        "{stderr}"
    );
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn nothing_but_errors_with_quiet() {
    let home = Home::new();
    home.questions("in.jsonl", 2);
    let ended = home.run(&["run", "in.jsonl", "-q"]).code(0);
    assert_eq!(ended.stderr.lines().count(), 1, "only the notice: {ended:?}");
    home.run(&["run", "nope", "-q"]).code(2).says("error:");
}

#[test]
fn colours_follow_the_flag_and_the_environment() {
    let home = Home::new();
    let colored = |args: &[&str], env: &[(&str, &str)]| {
        home.run_with(&[&["run", "nope"], args].concat(), env)
            .stderr
            .contains('\u{1b}')
    };
    assert!(!colored(&[], &[]), "no terminal");
    assert!(colored(&["--color", "always"], &[("NO_COLOR", "1")]));
    assert!(colored(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!colored(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(!colored(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
}
