//! Well-formed requests get what OpenAI's API would give them.

use serde_json::{Value, json};
use throng_sim::{Behaviour, Match, SimConfig, ToolCall, count_tokens, expected_arguments, expected_text};

use crate::client::{Client, ask, ask_stream, instant, post, request, start, stream_request, with};

#[tokio::test]
async fn an_answer_has_the_expected_text_and_its_usage() {
    let server = start(instant().seed(7)).await;
    let prompt = "Why is the sky blue? 日本語";
    let reply = ask(&server, prompt).await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("application/json"))
    );
    assert_eq!(reply.header("x-request-id"), Some("req_1"));
    let body = reply.json();
    let text = expected_text(7, prompt);
    assert_eq!(
        body["choices"][0]["message"],
        json!({"role": "assistant", "content": text, "refusal": null})
    );
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(
        (&body["object"], &body["model"]),
        (&json!("chat.completion"), &json!("m"))
    );
    let (input, output) = (count_tokens(prompt), count_tokens(&text));
    assert_eq!(body["usage"]["prompt_tokens"], input);
    assert_eq!(body["usage"]["completion_tokens"], output);
    assert_eq!(body["usage"]["total_tokens"], input + output);
}

#[tokio::test]
async fn a_stream_has_the_same_text_in_tokens_and_ends_with_done() {
    let server = start(instant().seed(7)).await;
    let reply = ask_stream(&server, "Tell me of rivers.").await;
    let text = expected_text(7, "Tell me of rivers.");
    assert!(reply.ended);
    assert_eq!(
        reply.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert_eq!(reply.streamed(0), text);
    let events = reply.events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let chunks: Vec<Value> = events[..events.len() - 1]
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    assert_eq!(
        chunks.len() as u64,
        1 + count_tokens(&text) + 1,
        "the role, the tokens, the finish reason"
    );
    assert_eq!(
        chunks[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": "", "refusal": null})
    );
    for chunk in &chunks {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["id"], chunks[0]["id"]);
        assert!(chunk.get("usage").is_none(), "usage was not asked for");
        assert!(
            chunk["choices"][0]["delta"]["content"]
                .as_str()
                .is_none_or(|text| text.chars().count() <= 4)
        );
    }
    let last = &chunks[chunks.len() - 1]["choices"][0];
    assert_eq!(
        (&last["delta"], &last["finish_reason"]),
        (&json!({}), &json!("stop"))
    );
}

#[tokio::test]
async fn usage_comes_in_a_chunk_of_its_own_if_asked_for() {
    let server = start(instant()).await;
    let body = with(
        stream_request("x"),
        json!({"stream_options": {"include_usage": true}}),
    );
    let events = post(&server, &body).await.unwrap().events();
    let usage: Value = serde_json::from_str(&events[events.len() - 2]).unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(
        usage["usage"]["completion_tokens"],
        count_tokens(&expected_text(0, "x"))
    );
    let before: Value = serde_json::from_str(&events[events.len() - 3]).unwrap();
    assert_eq!(
        (&before["usage"], &before["choices"][0]["finish_reason"]),
        (&Value::Null, &json!("stop"))
    );
}

#[tokio::test]
async fn max_tokens_and_stop_cut_the_text() {
    let server = start(instant().output_tokens(40..=40)).await;
    let whole = server.config().expected_text("x");
    for key in ["max_tokens", "max_completion_tokens"] {
        for request in [request("x"), stream_request("x")] {
            let reply = post(&server, &with(request.clone(), json!({key: 5})))
                .await
                .unwrap();
            let text: String = whole.chars().take(20).collect();
            if request.get("stream").is_some() {
                assert_eq!(reply.streamed(0), text);
                assert!(reply.text().contains(r#""finish_reason":"length""#));
            } else {
                let body = reply.json();
                assert_eq!(body["choices"][0]["message"]["content"], text);
                assert_eq!(body["choices"][0]["finish_reason"], "length");
                assert_eq!(body["usage"]["completion_tokens"], 5);
            }
        }
    }
    let stop: String = whole.chars().skip(50).take(6).collect();
    let before = whole.split(&stop).next().unwrap();
    for stop in [json!(stop), json!([stop, "never there"])] {
        let body = post(&server, &with(request("x"), json!({ "stop": stop })))
            .await
            .unwrap()
            .json();
        assert_eq!(body["choices"][0]["message"]["content"], before);
        assert_eq!(body["choices"][0]["finish_reason"], "stop");
    }
    let exact = post(&server, &with(request("x"), json!({"max_tokens": 40})))
        .await
        .unwrap()
        .json();
    assert_eq!(
        exact["choices"][0]["finish_reason"], "stop",
        "nothing was cut off"
    );
}

#[tokio::test]
async fn n_choices_differ_and_are_streamed_side_by_side() {
    let server = start(instant().seed(4)).await;
    let reply = post(&server, &with(stream_request("x"), json!({"n": 3})))
        .await
        .unwrap();
    let whole = post(&server, &with(request("x"), json!({"n": 3})))
        .await
        .unwrap()
        .json();
    for choice in 0..3_u32 {
        let text = server.config().expected_choice("x", choice);
        assert_eq!(reply.streamed(choice.into()), text);
        assert_eq!(whole["choices"][choice as usize]["message"]["content"], text);
        assert_eq!(whole["choices"][choice as usize]["index"], choice);
    }
    let order: Vec<u64> = reply.events()[..9]
        .iter()
        .map(|event| {
            serde_json::from_str::<Value>(event).unwrap()["choices"][0]["index"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(
        order,
        [0, 0, 1, 1, 2, 2, 0, 1, 2],
        "each begins with its role; then they take turns"
    );
    let too_many = post(&server, &with(request("x"), json!({"n": 129})))
        .await
        .unwrap();
    assert_eq!(too_many.status, 400);
}

fn tools() -> Value {
    let schema = json!({"type": "object", "required": ["city", "days"],
        "properties": {"city": {"type": "string", "minLength": 30}, "days": {"type": "integer", "minimum": 1, "maximum": 9}}});
    json!([
        {"type": "function", "function": {"name": "now"}},
        {"type": "function", "function": {"name": "weather", "parameters": schema}}
    ])
}

#[tokio::test]
async fn a_tool_is_called_when_the_request_insists() {
    let server = start(instant().seed(2)).await;
    let named = json!({"type": "function", "function": {"name": "weather"}});
    let fields = json!({"tools": tools(), "tool_choice": named});
    let expected = expected_arguments(2, "x", &tools()[1]["function"]["parameters"]);
    assert!(
        expected["city"].is_string() && expected["days"].is_u64(),
        "{expected}"
    );

    let body = post(&server, &with(request("x"), fields.clone()))
        .await
        .unwrap()
        .json();
    let choice = &body["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["message"]["content"]),
        (&json!("tool_calls"), &Value::Null)
    );
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(
        (&call["type"], &call["function"]["name"]),
        (&json!("function"), &json!("weather"))
    );
    let arguments = call["function"]["arguments"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(arguments).unwrap(), expected);

    let events = post(&server, &with(stream_request("x"), fields))
        .await
        .unwrap()
        .events();
    let chunks: Vec<Value> = events
        .iter()
        .filter_map(|event| serde_json::from_str(event).ok())
        .collect();
    let first = &chunks[0]["choices"][0]["delta"];
    assert_eq!(
        (&first["role"], &first["content"]),
        (&json!("assistant"), &Value::Null)
    );
    assert_eq!(
        first["tool_calls"][0]["function"],
        json!({"name": "weather", "arguments": ""})
    );
    assert!(
        first["tool_calls"][0]["id"]
            .as_str()
            .unwrap()
            .starts_with("call_")
    );
    let fragments: Vec<&Value> = chunks[1..chunks.len() - 1]
        .iter()
        .map(|c| &c["choices"][0]["delta"]["tool_calls"][0])
        .collect();
    assert!(fragments.len() > 5, "{fragments:?}");
    assert!(
        fragments
            .iter()
            .all(|part| part.get("id").is_none() && part["index"] == 0)
    );
    let joined: String = fragments
        .iter()
        .map(|part| part["function"]["arguments"].as_str().unwrap())
        .collect();
    assert_eq!(joined, arguments);
    assert_eq!(
        chunks[chunks.len() - 1]["choices"][0]["finish_reason"],
        "tool_calls"
    );
}

#[tokio::test]
async fn tool_choice_decides_whether_a_tool_is_called() {
    let server = start(instant()).await;
    let called = async |choice: Value| {
        let body = with(request("x"), json!({"tools": tools(), "tool_choice": choice}));
        let reply = post(&server, &body).await.unwrap();
        (
            reply.status,
            reply.json()["choices"][0]["message"]["tool_calls"][0]["function"].clone(),
        )
    };
    assert_eq!(
        called(json!("required")).await,
        (200, json!({"name": "now", "arguments": "{}"}))
    );
    assert_eq!(called(json!("auto")).await, (200, Value::Null));
    assert_eq!(called(json!("none")).await, (200, Value::Null));
    assert_eq!(
        called(json!({"type": "function", "function": {"name": "absent"}}))
            .await
            .0,
        400
    );
    assert_eq!(called(json!("sometimes")).await.0, 400);
}

#[tokio::test]
async fn a_response_format_is_kept() {
    let server = start(instant().seed(5)).await;
    let ask = async |format: Value| {
        let content = post(&server, &with(request("x"), json!({ "response_format": format })))
            .await
            .unwrap()
            .content();
        serde_json::from_str::<Value>(&content).unwrap_or_else(|_| panic!("{content}"))
    };
    assert_eq!(
        ask(json!({"type": "json_object"})).await,
        json!({"answer": expected_text(5, "x")})
    );
    let schema =
        json!({"type": "object", "required": ["score"], "properties": {"score": {"type": "integer"}}});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "s", "strict": true, "schema": schema}});
    assert_eq!(ask(format).await, expected_arguments(5, "x", &schema));
}

#[tokio::test]
async fn scripted_text_and_tool_calls_take_the_place_of_the_answer() {
    let calls = vec![ToolCall::new("a", r#"{"x":1}"#), ToolCall::new("b", "not JSON")];
    let server = start(
        instant()
            .script(Match::once(), Behaviour::Text("Just this.".into()))
            .script(Match::any(), Behaviour::ToolCalls(calls)),
    )
    .await;
    assert_eq!(ask(&server, "x").await.content(), "Just this.");
    let message = ask(&server, "x").await.json()["choices"][0]["message"].clone();
    let names: Vec<&Value> = message["tool_calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| &call["function"])
        .collect();
    assert_eq!(
        names,
        [
            &json!({"name": "a", "arguments": r#"{"x":1}"#}),
            &json!({"name": "b", "arguments": "not JSON"})
        ]
    );
    let streamed = ask_stream(&server, "x").await.events();
    let starts = streamed
        .iter()
        .filter(|event| event.contains(r#""id":"call_"#))
        .count();
    assert_eq!(starts, 2);
}

#[tokio::test]
async fn keys_models_and_malformed_requests_are_checked() {
    let server = start(instant().api_key("sk-right").models(["one", "two"])).await;
    let mut client = Client::connect(server.addr()).await;
    let mut send = async |key: &str, body: &str| {
        let headers = if key.is_empty() {
            String::new()
        } else {
            format!("authorization: Bearer {key}\r\n")
        };
        client
            .send("POST", crate::client::CHAT, &headers, body)
            .await
            .unwrap();
        let reply = client.read().await.unwrap();
        (reply.status, reply.json()["error"]["code"].clone())
    };
    let body = with(request("x"), json!({"model": "two"})).to_string();
    assert_eq!(send("", &body).await, (401, json!("invalid_api_key")));
    assert_eq!(send("sk-wrong", &body).await, (401, json!("invalid_api_key")));
    assert_eq!(send("sk-right", &body).await, (200, Value::Null));
    assert_eq!(
        send("sk-right", &request("x").to_string()).await,
        (404, json!("model_not_found"))
    );
    assert_eq!(send("sk-right", "{").await, (400, Value::Null));
    assert_eq!(send("sk-right", "").await, (400, Value::Null));
    let stats = server.stats();
    assert_eq!(
        (stats.requests, stats.refused, stats.answered, stats.connections),
        (6, 5, 1, 1)
    );
    assert!(!format!("{server:?}").contains("sk-right"));

    client.send("GET", "/v1/models", "", "").await.unwrap();
    assert_eq!(client.read().await.unwrap().status, 401);
    client.send("GET", "/_sim/log", "", "").await.unwrap();
    assert_eq!(client.read().await.unwrap().status, 401);
    client
        .send("GET", "/v1/models", "authorization: bearer sk-right\r\n", "")
        .await
        .unwrap();
    let models = client.read().await.unwrap().json();
    assert_eq!(models["data"][1]["id"], "two");
    client.send("GET", "/health", "", "").await.unwrap();
    assert_eq!(client.read().await.unwrap().status, 200);
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let server = start(instant()).await;
    let mut client = Client::connect(server.addr()).await;
    assert_eq!(client.get("/v1/embeddings").await.unwrap().status, 404);
    let reply = client.get(crate::client::CHAT).await.unwrap();
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    client.send("POST", "/health", "", "").await.unwrap();
    assert_eq!(client.read().await.unwrap().status, 405);
    assert_eq!(
        client.get("/v1/models").await.unwrap().json()["data"][0]["id"],
        "throng-sim"
    );
    assert_eq!(
        server.stats().requests,
        0,
        "only requests for completions are counted"
    );
}

#[tokio::test]
async fn the_configured_length_is_kept() {
    let config = SimConfig::builder()
        .instant()
        .output_tokens(3..=5)
        .build()
        .unwrap();
    let server = throng_sim::SimServer::start(config.clone()).await.unwrap();
    for prompt in 0..30 {
        let body = ask(&server, &prompt.to_string()).await.json();
        let tokens = body["usage"]["completion_tokens"].as_u64().unwrap();
        assert!((3..=5).contains(&tokens), "{tokens}");
        assert_eq!(
            body["choices"][0]["message"]["content"],
            config.expected_text(&prompt.to_string())
        );
    }
}
