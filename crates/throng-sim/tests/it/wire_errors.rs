//! The errors, keys, limits and lists of each wire, in its own words.

use serde_json::{Value, json};
use throng_sim::{Behaviour, Fault, Match, Wire};

use crate::client::{Client, Reply, instant, start};
use crate::requests::{Ask, Mode, ask, send, ways};

/// Where the kind of an error stands.
fn kind(wire: Wire, body: &Value) -> Value {
    match wire {
        Wire::Anthropic => {
            assert_eq!(body["type"], "error");
            assert!(body["request_id"].as_str().unwrap().starts_with("req_"));
            body["error"]["type"].clone()
        }
        Wire::Gemini => body["error"]["status"].clone(),
        Wire::Ollama => {
            assert!(body["error"].is_string());
            Value::Null
        }
        _ => {
            let error = &body["error"];
            if error["code"].is_null() {
                error["type"].clone()
            } else {
                error["code"].clone()
            }
        }
    }
}

async fn meet(fault: Fault, wire: Wire, mode: Mode) -> Reply {
    let server = start(instant().script(Match::any(), Behaviour::Fault(fault))).await;
    ask(&server, wire, mode, &Ask::new("12345678")).await.unwrap()
}

/// The body of an error, which comes in an array where the stream would.
fn body(reply: &Reply, mode: Mode) -> Value {
    let body = reply.json();
    if mode == Mode::Array {
        body[0].clone()
    } else {
        body
    }
}

#[tokio::test]
async fn every_fault_with_a_status_has_the_words_of_its_wire() {
    use Fault::{ContextOverflow, Overloaded, QuotaExhausted, ServerError, Unavailable};
    let openai = [
        (ServerError, 500, "server_error"),
        (Unavailable, 503, "service_unavailable"),
        (Overloaded, 529, "overloaded"),
        (QuotaExhausted, 429, "insufficient_quota"),
        (ContextOverflow, 400, "context_length_exceeded"),
    ];
    let anthropic = [
        (ServerError, 500, "api_error"),
        (Unavailable, 503, "api_error"),
        (Overloaded, 529, "overloaded_error"),
        (QuotaExhausted, 402, "billing_error"),
        (ContextOverflow, 400, "invalid_request_error"),
    ];
    let gemini = [
        (ServerError, 500, "INTERNAL"),
        (Unavailable, 503, "UNAVAILABLE"),
        (Overloaded, 503, "UNAVAILABLE"),
        (QuotaExhausted, 429, "RESOURCE_EXHAUSTED"),
        (ContextOverflow, 400, "INVALID_ARGUMENT"),
    ];
    let ollama = [
        (ServerError, 500, ""),
        (Unavailable, 503, ""),
        (Overloaded, 503, ""),
        (QuotaExhausted, 402, ""),
        (ContextOverflow, 400, ""),
    ];
    for (wire, mode) in ways() {
        let wanted = match wire {
            Wire::Anthropic => anthropic,
            Wire::Gemini => gemini,
            Wire::Ollama => ollama,
            _ => openai,
        };
        for (fault, status, name) in wanted {
            let reply = meet(fault, wire, mode).await;
            assert_eq!(
                (reply.status, reply.header("content-type")),
                (status, Some("application/json"))
            );
            let body = body(&reply, mode);
            let found = kind(wire, &body);
            assert_eq!(found.as_str().unwrap_or_default(), name, "{fault} on {wire}");
            if fault == Fault::ContextOverflow {
                // The prompt has two tokens, and one is allowed.
                let message = body["error"]["message"]
                    .as_str()
                    .or(body["error"].as_str())
                    .unwrap();
                assert!(message.contains('2') && message.contains('1'), "{message}");
            }
        }
    }
}

#[tokio::test]
async fn the_daily_quota_of_gemini_is_told_from_a_limit_by_its_details() {
    let details = |body: &Value, kind: &str| {
        let all = body["error"]["details"].as_array().unwrap();
        let wanted = format!("type.googleapis.com/google.rpc.{kind}");
        all.iter()
            .find(|detail| detail["@type"] == wanted)
            .unwrap()
            .clone()
    };
    let quota = meet(Fault::QuotaExhausted, Wire::Gemini, Mode::Whole)
        .await
        .json();
    let violation = &details(&quota, "QuotaFailure")["violations"][0];
    assert!(violation["quotaId"].as_str().unwrap().contains("PerDay"));

    let server = start(instant().rpm(1)).await;
    ask(&server, Wire::Gemini, Mode::Whole, &Ask::new("x"))
        .await
        .unwrap();
    let refused = ask(&server, Wire::Gemini, Mode::Whole, &Ask::new("x"))
        .await
        .unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (429, None));
    let refused = refused.json();
    let violation = &details(&refused, "QuotaFailure")["violations"][0];
    assert!(violation["quotaId"].as_str().unwrap().contains("PerMinute"));
    let wait = details(&refused, "RetryInfo")["retryDelay"]
        .as_str()
        .unwrap()
        .to_owned();
    let seconds: f64 = wait.strip_suffix('s').unwrap().parse().unwrap();
    assert!(seconds > 0.0 && seconds <= 60.0, "{wait}");
}

#[tokio::test]
async fn limits_are_told_in_the_headers_of_the_wire() {
    for wire in Wire::ALL {
        let server = start(instant().rpm(1)).await;
        let first = ask(&server, wire, Mode::Whole, &Ask::new("x")).await.unwrap();
        let refused = ask(&server, wire, Mode::Whole, &Ask::new("x")).await.unwrap();
        assert_eq!((first.status, refused.status), (200, 429), "{wire}");
        assert_eq!(
            refused.header("retry-after").is_some(),
            wire != Wire::Gemini,
            "{wire}"
        );
        let openai = matches!(wire, Wire::OpenAiChat | Wire::OpenAiResponses);
        assert_eq!(refused.header("retry-after-ms").is_some(), openai, "{wire}");
        for reply in [&first, &refused] {
            assert_eq!(
                reply.header("x-ratelimit-limit-requests"),
                openai.then_some("1"),
                "{wire}"
            );
            let anthropic = wire == Wire::Anthropic;
            let remaining = reply.header("anthropic-ratelimit-requests-remaining");
            assert_eq!(remaining, anthropic.then_some("0"), "{wire}");
            let reset = reply.header("anthropic-ratelimit-requests-reset");
            assert_eq!(
                reset.is_some_and(|at| at.len() == 20 && at.ends_with('Z')),
                anthropic,
                "{wire}"
            );
            assert_eq!(reply.header("x-request-id").is_some(), openai, "{wire}");
            assert_eq!(reply.header("request-id").is_some(), anthropic, "{wire}");
        }
        let kinds = [
            "rate_limit_exceeded",
            "rate_limit_error",
            "RESOURCE_EXHAUSTED",
            "",
        ];
        let found = kind(wire, &refused.json());
        assert!(
            kinds.contains(&found.as_str().unwrap_or_default()),
            "{wire}: {found}"
        );
    }
}

#[tokio::test]
async fn each_wire_takes_its_own_key() {
    let server = start(instant().api_key("k-right")).await;
    let bearer = "authorization: Bearer k-right\r\n";
    for (wire, mode) in ways() {
        let (path, request) = Ask::new("x").on(wire, mode);
        let (right, other): (&[&str], &str) = match wire {
            Wire::Anthropic => (&["x-api-key: k-right\r\n", bearer], "x-goog-api-key: k-right\r\n"),
            Wire::Gemini => (&["x-goog-api-key: k-right\r\n"], bearer),
            _ => (&[bearer], "x-api-key: k-right\r\n"),
        };
        for headers in right {
            assert_eq!(
                send(&server, &path, headers, &request).await.unwrap().status,
                200,
                "{wire}"
            );
        }
        for headers in ["", other] {
            let reply = send(&server, &path, headers, &request).await.unwrap();
            let (status, name) = match wire {
                Wire::Anthropic => (401, "authentication_error"),
                Wire::Gemini => (400, "INVALID_ARGUMENT"),
                Wire::Ollama => (401, ""),
                _ => (401, "invalid_api_key"),
            };
            assert_eq!(reply.status, status, "{wire}");
            let body = body(&reply, mode);
            assert_eq!(kind(wire, &body).as_str().unwrap_or_default(), name);
            if wire == Wire::Gemini {
                assert_eq!(body["error"]["details"][0]["reason"], "API_KEY_INVALID");
            }
        }
    }
    let (_, request) = Ask::new("x").on(Wire::Gemini, Mode::Stream);
    let path = "/v1beta/models/m:streamGenerateContent?key=k-right&alt=sse";
    assert_eq!(send(&server, path, "", &request).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_model_that_is_not_known_is_refused() {
    let server = start(instant().models(["other"])).await;
    for (wire, mode) in ways() {
        let reply = ask(&server, wire, mode, &Ask::new("x")).await.unwrap();
        assert_eq!(reply.status, 404, "{wire}");
        let name = match wire {
            Wire::Anthropic => "not_found_error",
            Wire::Gemini => "NOT_FOUND",
            Wire::Ollama => "",
            _ => "model_not_found",
        };
        assert_eq!(kind(wire, &body(&reply, mode)).as_str().unwrap_or_default(), name);
    }
}

#[tokio::test]
async fn models_are_listed_as_each_provider_lists_them() {
    let server = start(instant().models(["one", "two"])).await;
    let mut client = Client::connect(server.addr()).await;
    assert_eq!(
        client.get("/v1/models").await.unwrap().json()["data"][1]["object"],
        "model"
    );
    assert_eq!(
        client.get("/v1beta/models").await.unwrap().json()["models"][1]["name"],
        "models/two"
    );
    assert_eq!(
        client.get("/api/tags").await.unwrap().json()["models"][1]["name"],
        "two"
    );
    client
        .send("GET", "/v1/models", "anthropic-version: 2023-06-01\r\n", "")
        .await
        .unwrap();
    let list = client.read().await.unwrap().json();
    assert_eq!(
        (&list["data"][0]["type"], &list["last_id"]),
        (&json!("model"), &json!("two"))
    );
    for (path, status, allow) in [
        ("/v1/messages", 405, Some("POST")),
        ("/v1beta/models/m:generateContent", 404, Some("POST")),
        ("/v1beta/models/m:countTokens", 404, None),
        ("/api/generate", 404, None),
    ] {
        let reply = client.get(path).await.unwrap();
        assert_eq!((reply.status, reply.header("allow")), (status, allow), "{path}");
    }
}

#[tokio::test]
async fn a_base_url_belongs_to_a_wire() {
    let server = start(instant()).await;
    let root = format!("http://{}", server.addr());
    assert_eq!(server.base_url(), format!("{root}/v1"));
    let ends: Vec<String> = Wire::ALL
        .map(|wire| server.base_url_of(wire).strip_prefix(&root).unwrap().to_owned())
        .into();
    assert_eq!(ends, ["/v1", "/v1", "/v1", "/v1beta", ""]);
}

#[tokio::test]
async fn errors_in_a_stream_and_filtered_answers_have_the_form_of_the_wire() {
    for prompt in 0..8 {
        let server = start(instant().script(Match::any(), Behaviour::Fault(Fault::StreamError))).await;
        let prompt = Ask::new(prompt.to_string());
        let last = async |wire| {
            ask(&server, wire, Mode::Stream, &prompt)
                .await
                .unwrap()
                .events()
                .pop()
                .unwrap()
        };
        let last = async |wire| serde_json::from_str::<Value>(&last(wire).await).unwrap();
        let responses = last(Wire::OpenAiResponses).await;
        match responses["type"].as_str().unwrap() {
            "response.failed" => {
                assert_eq!(responses["response"]["status"], "failed");
                assert_eq!(responses["response"]["error"]["code"], "server_error");
            }
            other => assert_eq!((other, &responses["code"]), ("error", &json!("server_error"))),
        }
        assert_eq!(
            last(Wire::Anthropic).await,
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
        );
        assert_eq!(last(Wire::Gemini).await["error"]["code"], 503);
        let ollama = ask(&server, Wire::Ollama, Mode::Stream, &prompt)
            .await
            .unwrap()
            .text();
        let line: Value = serde_json::from_str(ollama.lines().last().unwrap()).unwrap();
        assert!(line["error"].is_string() && line.as_object().unwrap().len() == 1);
    }
    for mode in [Mode::Whole, Mode::Stream] {
        let text = async |wire| meet(Fault::ContentFilter, wire, mode).await.text();
        assert!(
            text(Wire::OpenAiChat)
                .await
                .contains(r#""finish_reason":"content_filter""#)
        );
        assert!(
            text(Wire::OpenAiResponses)
                .await
                .contains(r#""incomplete_details":{"reason":"content_filter"}"#)
        );
        assert!(text(Wire::Anthropic).await.contains(r#""stop_reason":"refusal""#));
        let gemini = text(Wire::Gemini).await;
        assert!(
            gemini.contains("blockReason") && !gemini.contains("candidates\""),
            "{gemini}"
        );
        assert_eq!(meet(Fault::ContentFilter, Wire::Ollama, mode).await.status, 400);
    }
}
