//! The program against model servers that this project did not write: `llmock` from PyPI, which breaks its answers on
//! cue and judges the client, and aimock from npm.
//!
//! `THRONG_LLMOCK` and `THRONG_AIMOCK` name their programs. Without them a test says so and passes, and fails under
//! `THRONG_REQUIRE=1`.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Home, PATIENCE, ended};

/// A server in a process of its own, killed at the end of the test.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(home: &Home, program: &OsString, args: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = Command::new(program);
        command
            .args(args)
            .arg("--port")
            .arg(port.to_string())
            .current_dir(home.path(""));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{program:?}: {error}"));
        let server = Self { child, port };
        let patience = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                Instant::now() < patience,
                "{program:?} does not listen on port {port}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Sends one request of HTTP/1.0 and returns the body of the answer.
    fn request(&self, method: &str, path: &str, body: &str) -> String {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.split(' ')
                .nth(1)
                .is_some_and(|status| status.starts_with('2')),
            "{answer}"
        );
        body.to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the program that the variable names, or says that its test is skipped.
fn program(variable: &str) -> Option<OsString> {
    let program = std::env::var_os(variable);
    if program.is_none() {
        let required = std::env::var_os("THRONG_REQUIRE").is_some_and(|value| value == "1");
        assert!(
            !required,
            "{variable} is not set, and THRONG_REQUIRE=1 asks for it"
        );
        // Not by a macro, whose output a passing test keeps to itself.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: {variable} is not set, so nothing is shown about that server"
        );
    }
    program
}

/// Runs `n` questions against the server and returns the lines, all of which succeeded.
fn all_succeed(home: &Home, server: &Server, n: usize, flags: &[&str]) -> Vec<Value> {
    home.questions("q.jsonl", n);
    let url = server.base_url();
    let mut args = vec![
        "run",
        "q.jsonl",
        "--out",
        "a.jsonl",
        "--overwrite",
        "--base-url",
        &url,
        "--model",
        "gpt-4o-mini",
    ];
    args.extend_from_slice(flags);
    home.run_with(&args, &[("OPENAI_API_KEY", "sk-test")]).code(0);
    let results = home.results("a.jsonl");
    assert_eq!(results.len(), n);
    assert!(
        results.values().all(|line| line["outcome"] == "succeeded"),
        "{results:#?}"
    );
    results.into_values().collect()
}

#[test]
fn llmock_finds_nothing_to_blame() {
    let Some(llmock) = program("THRONG_LLMOCK") else {
        return;
    };
    let home = Home::new();
    let server = Server::start(&home, &llmock, &["serve", "--response-style", "varied"]);
    let behaviours = json!({ "behaviors": [
        { "type": "fail", "status": 429, "retry_after": 0.3, "times": 3 },
        { "type": "fail", "status": 500, "times": 2 },
        { "type": "fail", "status": 503, "retry_after": 0.2 },
        { "type": "fail", "status": 529 },
        { "type": "stream_fault", "kind": "disconnect", "after_chunks": 2, "times": 2 },
        { "type": "stream_fault", "kind": "truncate", "after_chunks": 1, "times": 2 },
        { "type": "stream_fault", "kind": "malformed", "after_chunks": 1 },
        { "type": "slow_first_token", "seconds": 0.05, "times": 2 },
    ]});
    let queued: Value =
        serde_json::from_str(&server.request("POST", "/_llmock/scenario", &behaviours.to_string())).unwrap();
    assert_eq!(queued["queued"], 8);
    let lines = all_succeed(&home, &server, 24, &["--max-concurrent", "4"]);
    let attempts: u64 = lines.iter().filter_map(|line| line["attempts"].as_u64()).sum();
    assert_eq!(attempts, 24 + 12, "each fault was met, and met once");
    assert!(
        lines
            .iter()
            .all(|line| line["text"].as_str().is_some_and(|text| !text.is_empty()))
    );
    let pending: Value = serde_json::from_str(&server.request("GET", "/_llmock/scenario", "")).unwrap();
    assert_eq!(pending["pending"], json!([]));
    verdict(&llmock, &server);
}

#[test]
fn llmock_is_not_asked_again_after_a_permanent_error() {
    let Some(llmock) = program("THRONG_LLMOCK") else {
        return;
    };
    let home = Home::new();
    let server = Server::start(&home, &llmock, &["serve"]);
    let behaviours = json!({ "behaviors": [{ "type": "fail", "status": 400, "times": 2 }] });
    server.request("POST", "/_llmock/scenario", &behaviours.to_string());
    home.questions("q.jsonl", 6);
    let url = server.base_url();
    let args = [
        "run",
        "q.jsonl",
        "--out",
        "a.jsonl",
        "--base-url",
        &url,
        "--model",
        "m",
        "--max-concurrent",
        "2",
    ];
    home.run_with(&args, &[("OPENAI_API_KEY", "sk-test")]).code(1);
    let results = home.results("a.jsonl");
    let failed: Vec<_> = results
        .values()
        .filter(|line| line["outcome"] == "failed")
        .collect();
    assert_eq!((results.len(), failed.len()), (6, 2));
    assert!(
        failed
            .iter()
            .all(|line| line["attempts"] == 1 && line["error"]["status"] == 400),
        "{failed:#?}"
    );
    verdict(&llmock, &server);
}

/// Asks llmock what it thinks of us. Its warnings are left out: full jitter can give a call two waits of which the
/// second is the shorter one, which it takes for the lack of a backoff.
fn verdict(llmock: &OsString, server: &Server) {
    let url = format!("http://127.0.0.1:{}", server.port);
    let report = ended(Command::new(llmock).args(["report", "--url", &url]));
    assert_eq!(report.code, 0, "{}{}", report.stdout, report.stderr);
}

#[test]
fn aimock_streams_in_small_pieces_are_put_together() {
    let Some(aimock) = program("THRONG_AIMOCK") else {
        return;
    };
    let home = Home::new();
    // Six UTF-16 units a piece: the crab is cut in two, and each half comes as a lone surrogate.
    let answer = "Hello🦀World, 数字 and naïve café — all in one piece 🦀🦀🦀";
    let fixtures = json!({ "fixtures": [
        { "match": { "userMessage": "remarkable" }, "response": { "content": answer } },
    ]});
    home.write("fixtures/answers.json", fixtures.to_string());
    let folder = home.path("fixtures");
    let args = ["-f", folder.to_str().unwrap(), "-c", "6", "--log-level", "silent"];
    let server = Server::start(&home, &aimock, &args);
    let lines = all_succeed(&home, &server, 20, &["--max-concurrent", "8"]);
    assert!(
        lines
            .iter()
            .all(|line| line["text"] == answer && line["attempts"] == 1),
        "{lines:#?}"
    );
}

#[test]
fn aimock_chaos_is_survived() {
    let Some(aimock) = program("THRONG_AIMOCK") else {
        return;
    };
    let home = Home::new();
    let fixtures = json!({ "fixtures": [
        { "match": { "userMessage": "remarkable" }, "response": { "content": "It is what it is." } },
    ]});
    home.write("fixtures/answers.json", fixtures.to_string());
    let folder = home.path("fixtures");
    let args = [
        "-f",
        folder.to_str().unwrap(),
        "--log-level",
        "silent",
        "--chaos-drop",
        "0.2",
        "--chaos-malformed",
        "0.1",
    ];
    let server = Server::start(&home, &aimock, &args);
    let lines = all_succeed(&home, &server, 20, &["--retries", "20", "--backoff-base", "10ms"]);
    assert!(
        lines.iter().all(|line| line["text"] == "It is what it is."),
        "{lines:#?}"
    );
}
