//! llmock: every fault that it has, on each of its surfaces whose wire we speak. In the end it says whether the client
//! behaved, and finds nothing, not even to warn of.

use std::num::NonZeroU32;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use throng_core::Outcome;
use throng_exec::{Attempt, Executor, Jitter, RetryPolicy};
use throng_llm::{
    CallContext, Completion, HttpClient, LlmError, Request, Timeouts, ToolChoice, ToolSpec, Wire, complete,
};

use super::server::{Server, program};

/// Its surfaces: the wire, and the base URL below its root.
const SURFACES: [(Wire, &str); 4] = [
    (Wire::OpenAiChat, "/v1"),
    (Wire::OpenAiResponses, "/v1"),
    (Wire::Anthropic, "/anthropic/v1"),
    (Wire::Gemini, "/gemini/v1beta"),
];

/// What has to come of a call that meets a fault.
#[derive(Clone, Copy, Debug)]
enum Expect {
    /// The first attempt succeeds.
    AtOnce,
    /// The second attempt succeeds.
    SecondTime,
    /// The first attempt fails, and there is no other.
    Never,
}

fn faults() -> Vec<(Value, Expect)> {
    use Expect::{AtOnce, Never, SecondTime};
    let mut faults = Vec::new();
    for status in [408, 409, 429, 500, 502, 503, 504, 529] {
        faults.push((json!({"type": "fail", "status": status}), SecondTime));
    }
    for status in [429, 503] {
        faults.push((
            json!({"type": "fail", "status": status, "retry_after": 0.2}),
            SecondTime,
        ));
    }
    for status in [400, 401, 403, 404, 422] {
        faults.push((json!({"type": "fail", "status": status}), Never));
    }
    for kind in ["disconnect", "truncate", "malformed"] {
        for after in [0, 1, 2] {
            faults.push((
                json!({"type": "stream_fault", "kind": kind, "after_chunks": after}),
                SecondTime,
            ));
        }
    }
    let stall = json!({"type": "stream_fault", "kind": "stall", "after_chunks": 6, "stall_seconds": 20.0});
    faults.push((stall, SecondTime));
    faults.push((json!({"type": "slow_first_token", "seconds": 0.05}), AtOnce));
    faults.push((json!({"type": "delay", "seconds": 0.05}), AtOnce));
    faults
}

fn client(server: &Server, wire: Wire, path: &str) -> HttpClient {
    // The idle clock ends the stall; it leaves room for a machine that is busy.
    let timeouts = Timeouts::default().with_idle(Duration::from_millis(900));
    HttpClient::builder(wire)
        .base_url(server.url(path))
        .api_key("sk-test")
        .timeouts(timeouts)
        .build()
        .unwrap()
}

/// Makes one call, with retries, and returns how it ended and in how many attempts.
async fn call(client: &HttpClient, request: Request) -> (Outcome<Completion, LlmError>, u32) {
    // Without jitter, and no less: llmock takes an attempt for a retry only if it has seen the one before end.
    let retry = RetryPolicy::exponential(NonZeroU32::new(4).unwrap())
        .base(Duration::from_millis(150))
        .jitter(Jitter::None);
    let executor = Executor::builder().retry(retry).build().unwrap();
    let client = client.clone();
    let runner = move |request: Arc<Request>, _: Attempt| {
        let client = client.clone();
        async move { complete(&client, request, CallContext::new()).await }
    };
    let mut run = executor.start([Arc::new(request)], runner);
    let finished = run.next().await.expect("one job");
    (finished.outcome, finished.attempts)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_on_every_surface_and_nothing_to_blame() {
    let Some(llmock) = program("THRONG_LLMOCK") else {
        return;
    };
    // It takes a broken stream for a failed attempt only if the client has gone before the last chunk was sent.
    let paced = [
        "serve",
        "--response-style",
        "varied",
        "--stream-chunk-delay-ms",
        "20",
    ];
    let server = Server::start(&llmock, &paced);
    for (wire, path) in SURFACES {
        let client = client(&server, wire, path);
        for (n, (fault, expect)) in faults().into_iter().enumerate() {
            let queued = server
                .post("/_llmock/scenario", &json!({"behaviors": [fault]}))
                .await;
            assert_eq!(queued["queued"], 1, "{queued}");
            let request = Request::new("gpt-4o-mini").user(format!("Question {n} on {wire}?"));
            let (outcome, attempts) = call(&client, request).await;
            let met = format!("{wire} {fault}: {outcome:?} after {attempts} attempts");
            match (expect, &outcome) {
                (Expect::AtOnce, Outcome::Succeeded(done)) => {
                    assert!(attempts == 1 && !done.text.is_empty(), "{met}");
                }
                (Expect::SecondTime, Outcome::Succeeded(done)) => {
                    assert!(attempts == 2 && !done.text.is_empty(), "{met}");
                }
                (Expect::Never, Outcome::Failed(error)) => {
                    let status = fault["status"].as_u64();
                    assert_eq!((attempts, error.status().map(u64::from)), (1, status), "{met}");
                }
                _ => panic!("{met}"),
            }
        }
    }
    verdict(&llmock, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_tool_calls_are_told_from_whole_ones_on_every_surface() {
    let Some(llmock) = program("THRONG_LLMOCK") else {
        return;
    };
    let server = Server::start(&llmock, &["serve", "--tool-mode", "auto"]);
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    for (wire, path) in SURFACES {
        let client = client(&server, wire, path);
        for kind in [None, Some("malformed_arguments"), Some("unknown_tool")] {
            if let Some(kind) = kind {
                let fault = json!({"behaviors": [{"type": "tool_fault", "kind": kind}]});
                server.post("/_llmock/scenario", &fault).await;
            }
            let request = Request::new("gpt-4o-mini")
                .user(format!("What is the weather, {kind:?}, {wire}?"))
                .tool(ToolSpec::new("get_weather", schema.clone()))
                .tool_choice(ToolChoice::Auto);
            let (outcome, attempts) = call(&client, request).await;
            let met = format!("{wire} {kind:?}: {outcome:?} after {attempts} attempts");
            let Outcome::Succeeded(done) = outcome else {
                panic!("{met}");
            };
            let calls: Vec<_> = done.tool_calls.iter().chain(&done.cut_tool_calls).collect();
            assert_eq!(calls.len(), 1, "{met}");
            let whole = calls[0]
                .parse_arguments()
                .is_ok_and(|arguments| arguments.is_object());
            match kind {
                None => assert!(whole && calls[0].name == "get_weather", "{met}"),
                // Gemini's arguments are an object by the form of the wire; llmock wraps the broken text into one.
                Some("malformed_arguments") if wire == Wire::Gemini => {}
                Some("malformed_arguments") => assert!(!whole, "{met}"),
                _ => assert_ne!(calls[0].name, "get_weather", "{met}"),
            }
        }
    }
    verdict(&llmock, &server).await;
}

/// Asks llmock what it thinks of us: no errors and no warnings.
async fn verdict(llmock: &std::ffi::OsString, server: &Server) {
    let mut report = Command::new(llmock);
    report.args(["report", "--strict", "--url", &server.url("")]);
    let report = tokio::task::spawn_blocking(move || report.output())
        .await
        .unwrap()
        .unwrap();
    let text = String::from_utf8_lossy(&report.stdout);
    assert!(
        report.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&report.stderr)
    );
    assert!(text.contains("PASS"), "{text}");
}
