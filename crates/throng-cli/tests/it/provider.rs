//! Providers that cannot be used, keys, faults, limits and deadlines.

use serde_json::Value;

use crate::support::{Home, Parrot, Sim, by_id, wait_until, whole_lines};

#[test]
fn an_unreachable_server_stops_the_run_soon() {
    let home = Home::new();
    home.questions("in.jsonl", 500);
    // A port that was free a moment ago, and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}/v1");
    let args = [
        "run",
        "in.jsonl",
        "--out",
        "out.jsonl",
        "--summary",
        "s.json",
        "--base-url",
        &url,
        "--model",
        "m",
    ];
    let ended = home
        .run(&args)
        .code(3)
        .says("error: the provider cannot be reached")
        .says("Connection refused");
    ended
        .says("\nhint: check that the server runs")
        .says("sending to http://127.0.0.1");
    let summary: Value = serde_json::from_str(&home.read("s.json")).unwrap();
    assert!(summary["attempts"].as_u64() < Some(100), "{summary}");
    assert_eq!(
        (&summary["total"], &summary["exit_code"]),
        (&500.into(), &3.into())
    );
    let one = home.run(&[
        "run",
        "in.jsonl",
        "--limit",
        "1",
        "--base-url",
        &url,
        "--model",
        "m",
        "--backoff-base",
        "5ms",
    ]);
    assert_eq!(by_id(&one.code(3).stdout)["q1"]["error"]["kind"], "connect");
}

#[test]
fn a_refused_key_stops_the_run_and_is_never_shown() {
    let home = Home::new();
    home.questions("in.jsonl", 300)
        .write("key.txt", "sk-from-a-file\n");
    let sim = {
        let mut command = home.command(&["sim", "--require-key-env", "GOOD", "--first-token", "5ms"]);
        command.env("GOOD", "sk-good-key");
        Sim::spawn(command)
    };
    let run = |flags: &[&str], env: &[(&str, &str)]| {
        let args = [
            &[
                "run",
                "in.jsonl",
                "--summary",
                "s.json",
                "--base-url",
                sim.url(),
                "--model",
                "m",
                "-c",
                "8",
            ],
            flags,
        ]
        .concat();
        home.run_with(&args, env)
    };
    let bad = run(&[], &[("OPENAI_API_KEY", "sk-bad-secret")]).code(3);
    assert!(!format!("{bad:?}").contains("sk-bad-secret"), "{bad:?}");
    let bad = bad
        .says("the provider refuses the calls")
        .says("401")
        .says("hint: check the key");
    bad.says("the key of OPENAI_API_KEY");
    let summary: Value = serde_json::from_str(&home.read("s.json")).unwrap();
    assert!(summary["attempts"].as_u64() < Some(40), "{summary}");

    let both = [
        ("OPENAI_API_KEY", "sk-bad-secret"),
        ("THRONG_API_KEY", "sk-good-key"),
    ];
    run(&["--limit", "2"], &both)
        .code(0)
        .says("the key of THRONG_API_KEY");
    run(
        &["--limit", "2", "--api-key-env", "MINE"],
        &[("MINE", "sk-good-key"), ("THRONG_API_KEY", "no")],
    )
    .code(0);
    run(&["--limit", "1", "--api-key-env", "MINE"], &[])
        .code(3)
        .says("the variable MINE holds no key");
    run(&["--limit", "1", "--api-key-file", "key.txt"], &both)
        .code(3)
        .says("the key of key.txt");
    let verbose = run(&["--limit", "1", "-vvv"], &[("THRONG_API_KEY", "sk-good-key")]).code(0);
    assert!(!format!("{verbose:?}").contains("sk-good-key"), "{verbose:?}");
    home.run(&["run", "in.jsonl", "--provider", "openai", "--model", "m"])
        .code(3)
        .says("there is no key")
        .says("OPENAI_API_KEY");
    home.run(&["run", "in.jsonl", "--base-url", sim.url()])
        .code(2)
        .says("needs a model")
        .says("hint:");
}

#[test]
fn an_unknown_model_stops_the_run_with_a_hint() {
    let home = Home::new();
    home.questions("in.jsonl", 200);
    let sim = home.sim(&["--models", "right"]);
    let run = |model: &str| {
        home.run(&[
            "run",
            "in.jsonl",
            "--base-url",
            sim.url(),
            "--model",
            model,
            "-c",
            "4",
        ])
    };
    run("wrong").code(3).says("404").says("hint: check --model");
    assert_eq!(by_id(&run("right").code(0).stdout).len(), 200);
}

#[test]
fn faults_and_limits_are_retried_until_every_prompt_has_its_answer() {
    let home = Home::new();
    home.questions("in.jsonl", 120);
    let faults = "server_error=3,unavailable=1,cut=2,dropped=1,stream_error=1,missing_terminal=1,html_page=1";
    let sim = home.sim(&[
        "--fail", "0.2", "--faults", faults, "--rpm", "6000", "--burst", "20", "--seed", "7",
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
        "--backoff-base",
        "20ms",
    ];
    home.run(&args).code(0);
    let results = home.results("out.jsonl");
    assert_eq!(results.len(), 120);
    for i in 1..=120 {
        let result = &results[&format!("q{i}")];
        assert_eq!(
            result["text"],
            throng_sim::expected_text(7, &crate::support::question(i)),
            "{result}"
        );
    }
    assert!(
        results
            .values()
            .any(|result| result["attempts"].as_u64() > Some(1))
    );
}

#[test]
fn a_deadline_ends_the_run_as_partial() {
    let home = Home::new();
    home.questions("in.jsonl", 400);
    let sim = home.sim(&["--first-token", "40ms", "--tokens-per-second", "0"]);
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
        "2",
        "--deadline",
        "400ms",
    ];
    home.run(&args).code(5).says("were not started").says("--resume");
    let summary: Value = serde_json::from_str(&home.read("s.json")).unwrap();
    assert!(
        summary["succeeded"].as_u64() > Some(0) && summary["skipped_not_started"].as_u64() > Some(0),
        "{summary}"
    );
    assert_eq!(
        (&summary["total"], &summary["exit_code"]),
        (&400.into(), &5.into())
    );
    home.run(&[
        "run",
        "in.jsonl",
        "--out",
        "out.jsonl",
        "--base-url",
        sim.url(),
        "--model",
        "m",
        "--resume",
    ])
    .code(0);
    assert!(
        home.results("out.jsonl")
            .values()
            .all(|result| result["outcome"] == "succeeded")
    );
}

#[test]
fn a_timeout_is_told_from_other_failures() {
    let home = Home::new();
    home.questions("in.jsonl", 2);
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
        "--base-url",
        sim.url(),
        "--model",
        "m",
        "--timeout",
        "50ms",
        "--retries",
        "1",
        "--backoff-base",
        "5ms",
    ];
    let results = by_id(&home.run(&args).code(1).stdout);
    assert_eq!(results.len(), 2);
    for result in results.values() {
        assert_eq!(
            (&result["outcome"], &result["attempts"]),
            (&"timed_out".into(), &2.into()),
            "{result}"
        );
        assert_eq!(result["error"]["kind"], "attempt_timeout", "{result}");
    }
}

#[test]
fn a_restart_of_the_server_in_the_middle_is_sat_out() {
    let home = Home::new();
    home.questions("in.jsonl", 200);
    let slow = ["--first-token", "20ms", "--tokens-per-second", "0"];
    let sim = home.sim(&slow);
    let (url, port) = (sim.url().to_owned(), sim.port());
    let args = [
        "run",
        "in.jsonl",
        "--out",
        "out.jsonl",
        "--base-url",
        &url,
        "--model",
        "m",
        "-c",
        "16",
        "--backoff-base",
        "100ms",
    ];
    let child = home
        .command(&args)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("some results", || whole_lines(&home.path("out.jsonl")) >= 40);
    drop(sim);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let _again = home.sim(&[&slow[..], &["--port", &port]].concat());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let results = home.results("out.jsonl");
    assert_eq!(results.len(), 200);
    assert!(results.values().all(|result| result["outcome"] == "succeeded"));
    assert!(
        results
            .values()
            .any(|result| result["attempts"].as_u64() > Some(1)),
        "the restart was noticed: {stderr}"
    );
}

#[test]
fn a_server_that_is_no_api_stops_the_run_soon() {
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 20\r\nconnection: close\r\n\r\n<!doctype html><p>hi";
    let redirect = "HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let no_method = "HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
    for answer in [page, redirect, no_method] {
        let home = Home::new();
        home.questions("in.jsonl", 300);
        let server = Parrot::start(answer);
        let url = format!("{}?key=secret", server.url());
        let args = [
            "run",
            "in.jsonl",
            "--summary",
            "s.json",
            "--base-url",
            &url,
            "--model",
            "m",
            "-c",
            "4",
        ];
        let ended = home.run(&args).code(3);
        assert!(!ended.stderr.contains("secret"), "{ended:?}");
        let ended = ended
            .says("is no chat API")
            .says("hint: --base-url or --provider is probably wrong");
        ended.says(&format!("{}?key=…", server.url()));
        let summary: Value = serde_json::from_str(&home.read("s.json")).unwrap();
        assert!(summary["attempts"].as_u64() < Some(20), "{answer}: {summary}");
    }
}

#[test]
fn patience_bounds_refusals_and_retries_do_not() {
    let home = Home::new();
    home.questions("in.jsonl", 1);
    let server = Parrot::start(
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 3600\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
    );
    let run = |args: &[&str]| {
        let all = [
            &["run", "in.jsonl", "--base-url", server.url(), "--model", "m"],
            args,
        ]
        .concat();
        let results = by_id(&home.run(&all).code(1).stdout);
        assert_eq!(results["q1"]["attempts"], 1, "{results:?}");
        results["q1"]["error"]["hint"].as_str().unwrap().to_owned()
    };
    assert!(run(&[]).contains("longer than --patience allows"));
    assert!(run(&["--patience", "2h", "--deadline", "30m"]).contains("longer than --deadline allows"));

    let home = Home::new();
    home.questions("in.jsonl", 1);
    let server =
        Parrot::start("HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
    let args = [
        "run",
        "in.jsonl",
        "--base-url",
        server.url(),
        "--model",
        "m",
        "--retries",
        "1",
        "--backoff-base",
        "5ms",
        "--backoff-cap",
        "20ms",
        "--patience",
        "300ms",
    ];
    let line = &by_id(&home.run(&args).code(1).stdout)["q1"];
    assert!(line["attempts"].as_u64() > Some(2), "{line}");
    assert!(
        line["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("or raise --patience"),
        "{line}"
    );
}

#[test]
fn https_to_a_server_without_tls_says_so() {
    let home = Home::new();
    home.questions("in.jsonl", 1);
    let sim = home.sim(&[]);
    let url = sim.url().replace("http://", "https://");
    home.run(&[
        "run",
        "in.jsonl",
        "--base-url",
        &url,
        "--model",
        "m",
        "--backoff-base",
        "5ms",
    ])
    .code(3)
    .says("write the address with http://");
}
