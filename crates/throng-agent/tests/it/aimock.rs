//! aimock, a server that this project did not write, calls tools over three rounds on all wires.
//!
//! `THRONG_AIMOCK` names its program. Without it the test says so and passes, and fails under `THRONG_REQUIRE=1`.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use throng_agent::Agent;
use throng_llm::{HttpClient, Wire};

use crate::support::{Done, check_answered, text, tools};

/// A process that is killed at the end of the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_rounds_on_all_wires() {
    let Some(program) = std::env::var_os("THRONG_AIMOCK") else {
        let required = std::env::var_os("THRONG_REQUIRE").is_some_and(|value| value == "1");
        assert!(
            !required,
            "THRONG_AIMOCK is not set, and THRONG_REQUIRE=1 asks for it"
        );
        let line = b"SKIPPED: THRONG_AIMOCK is not set, so nothing is shown about that server\n";
        let _ = std::io::stderr().write_all(line);
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let call = |name: &str, city: &str| json!({"name": name, "arguments": {"city": city}});
    let calls = |calls: serde_json::Value| json!({ "toolCalls": calls });
    let answers = [
        calls(json!([call("weather", "Paris"), call("weather", "Bern")])),
        calls(json!([call("fail", "x"), call("note", "Rome")])),
        calls(json!([call("note", "Nice")])),
        json!({ "content": "It rains." }),
    ];
    // The server counts turns by the assistant's items, of which Responses has one for each call.
    let turns = [("weather", [0, 1, 2, 3]), ("sky", [0, 2, 4, 5])];
    let fixtures: Vec<_> = turns
        .iter()
        .flat_map(|(word, turns)| {
            turns.iter().zip(&answers).map(move |(turn, answer)| {
            json!({"match": {"userMessage": word, "turnIndex": turn}, "response": answer})
        })
        })
        .collect();
    let fixtures = json!({ "fixtures": fixtures });
    std::fs::write(folder.path().join("agent.json"), fixtures.to_string()).unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let child = Command::new(&program)
        .arg("-f")
        .arg(folder.path())
        .args(["-c", "6", "--log-level", "silent", "--port", &port.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{program:?}: {error}"));
    let _server = Server(child);
    let patience = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < patience, "{program:?} does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    for (wire, base) in [
        (Wire::OpenAiChat, "/v1"),
        (Wire::OpenAiResponses, "/v1"),
        (Wire::Anthropic, "/v1"),
        (Wire::Gemini, "/v1beta"),
        (Wire::Ollama, ""),
    ] {
        let done = Done::default();
        let client = HttpClient::builder(wire)
            .base_url(format!("http://127.0.0.1:{port}{base}"))
            .api_key("sk-test")
            .build()
            .unwrap();
        let agent = Agent::builder(Arc::new(client), "m")
            .tools(tools(&done))
            .build()
            .unwrap();
        let word = if wire == Wire::OpenAiResponses {
            "sky"
        } else {
            "weather"
        };
        let report = agent.run(format!("How is the {word}?")).await;
        assert!(report.stop.is_answered(), "{wire}: {}", report.stop);
        assert_eq!(report.text, "It rains.", "{wire}");
        assert_eq!((report.steps.len(), report.tool_calls), (4, 5), "{wire}");
        check_answered(&report.messages);
        let failed = report
            .messages
            .iter()
            .filter(|message| message.is_error)
            .map(text);
        assert_eq!(
            failed.collect::<Vec<_>>(),
            ["error: the sky has fallen"],
            "{wire}"
        );
        assert_eq!(
            done.list().iter().filter(|what| what.starts_with("note")).count(),
            2,
            "{wire}"
        );
    }
}
