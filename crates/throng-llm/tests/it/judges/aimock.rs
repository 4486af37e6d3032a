//! aimock: texts that it cuts anywhere, reasoning and tool calls, on all five wires.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use throng_llm::{CallContext, HttpClient, LlmClient, Request, ToolSpec, Wire};

use super::server::{Server, program};
use crate::support::{Ended, call_with};

/// The wires, and the base URL below the server's root.
const SURFACES: [(Wire, &str); 5] = [
    (Wire::OpenAiChat, "/v1"),
    (Wire::OpenAiResponses, "/v1"),
    (Wire::Anthropic, "/v1"),
    (Wire::Gemini, "/v1beta"),
    (Wire::Ollama, ""),
];

/// Six UTF-16 units a piece: the crab is cut in two, and each half comes as a lone surrogate.
const ANSWER: &str = "Hello🦀World, 数字 and naïve café — all in one piece 🦀🦀🦀";

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn fixtures() -> Folder {
    let folder = std::env::temp_dir().join(format!("throng-aimock-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let call = |city: &str| json!({"name": "get_weather", "arguments": {"city": city}});
    let fixtures = json!({ "fixtures": [
        { "match": { "userMessage": "remarkable" }, "response": { "content": ANSWER } },
        { "match": { "userMessage": "thought" }, "response": { "content": "Yes.", "reasoning": "Hm 🦀, let me think." } },
        { "match": { "userMessage": "weather" }, "response": { "toolCalls": [call("Paris"), call("Zürich")] } },
    ]});
    std::fs::write(folder.join("answers.json"), fixtures.to_string()).unwrap();
    Folder(folder)
}

async fn ask(client: &dyn LlmClient, request: Request) -> Ended {
    call_with(client, Arc::new(request), CallContext::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_reasoning_and_tool_calls_on_all_wires() {
    let Some(aimock) = program("THRONG_AIMOCK") else {
        return;
    };
    let folder = fixtures();
    let path = folder.0.to_string_lossy().into_owned();
    let server = Server::start(&aimock, &["-f", &path, "-c", "6", "--log-level", "silent"]);
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    for (wire, base) in SURFACES {
        for stream in [true, false] {
            let client = HttpClient::builder(wire)
                .base_url(server.url(base))
                .api_key("sk-test")
                .stream(stream)
                .build()
                .unwrap();
            let met = format!("{wire}, stream {stream}");
            let done = ask(&client, Request::new("m").user("Something remarkable."))
                .await
                .succeeded();
            assert_eq!(done.text, ANSWER, "{met}");
            let done = ask(&client, Request::new("m").user("A thought?"))
                .await
                .succeeded();
            assert_eq!(done.text, "Yes.", "{met}");
            assert_eq!(done.reasoning, "Hm 🦀, let me think.", "{met}");
            let request = Request::new("m")
                .user("The weather?")
                .tool(ToolSpec::new("get_weather", schema.clone()));
            let done = ask(&client, request).await.succeeded();
            let cities: Vec<_> = done
                .tool_calls
                .iter()
                .map(|call| call.parse_arguments().unwrap()["city"].clone())
                .collect();
            assert_eq!(cities, ["Paris", "Zürich"], "{met}");
            assert_ne!(done.tool_calls[0].id, done.tool_calls[1].id, "{met}");
        }
    }
}
