//! Requests as they stand on the wire, errors by status, and keys that never show.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use throng_core::{Classify, ErrorClass};
use throng_llm::{
    CallContext, ErrorKind, HttpClient, Image, LlmClient, MaxTokensField, Message, Part, Request,
    ResponseFormat, Role, ToolCall, ToolChoice, ToolSpec, Wire,
};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Ended, Server, answer, call, call_with, delta, hello, sse, stream};

const KEY: &str = "sk-very-secret-key";

async fn status(status: u16, headers: &[&str], body: &str) -> throng_llm::LlmError {
    let server = Server::answering(answer(status, headers, body)).await;
    call(&server.client()).await.failed()
}

#[tokio::test]
async fn a_request_on_the_wire() {
    let mut server = Server::answering(stream(hello())).await;
    let client = server
        .builder()
        .header("openai-organization", "org-1")
        .header("openai-project", "proj-1")
        .header("X-Title", "throng")
        .base_url(format!("{}?api-version=7", server.url()))
        .build()
        .unwrap();
    let request = Request::new("m1")
        .message(Message::developer("Be brief."))
        .message(
            Message::new(
                Role::User,
                [
                    "What is this?".into(),
                    Part::Image(Image::base64("image/png", "AAAA").with_detail("low")),
                ],
            )
            .with_part(Part::Image(Image::url("https://h/i.png"))),
        )
        .message(Message::new(Role::Assistant, []).with_tool_calls([ToolCall::new("c1", "look", "")]))
        .message(Message::tool("c1", "a crab").with_name("look"))
        .tool(
            ToolSpec::new("look", json!({"type": "object"}))
                .with_description("Looks.")
                .with_strict(true),
        )
        .tool_choice(ToolChoice::Tool("look".into()))
        .parallel_tool_calls(false)
        .max_output_tokens(9)
        .temperature(0.2)
        .top_p(0.5)
        .stop("END")
        .seed(-3)
        .reasoning_effort("low")
        .response_format(ResponseFormat::JsonSchema {
            name: "s".into(),
            schema: json!({"type": "object"}),
            strict: true,
        })
        .extra("top_k", 40)
        .extra("temperature", 1);
    call_with(&client, request.into(), CallContext::new())
        .await
        .succeeded();
    let (head, body) = server.request().await;
    let head = head.to_ascii_lowercase();
    assert!(
        head.starts_with("post /v1/chat/completions?api-version=7 http/1.1"),
        "{head}"
    );
    for line in [
        &format!("authorization: bearer {KEY}"),
        "openai-organization: org-1",
        "openai-project: proj-1",
        "x-title: throng",
        "content-type: application/json",
        "accept: text/event-stream",
        concat!("user-agent: throng-llm/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(head.lines().any(|have| have == line), "{line} is not in {head}");
    }
    let expect = json!({
        "model": "m1",
        "stream": true,
        "stream_options": {"include_usage": true},
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://h/i.png"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            ]},
            {"role": "tool", "content": "a crab", "name": "look", "tool_call_id": "c1"},
        ],
        "tools": [{"type": "function", "function": {
            "name": "look", "description": "Looks.", "parameters": {"type": "object"}, "strict": true,
        }}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": false,
        "max_tokens": 9,
        "top_p": 0.5,
        "stop": ["END"],
        "seed": -3,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": true}},
        "top_k": 40,
        "temperature": 1,
    });
    assert_eq!(body, expect);
}

#[tokio::test]
async fn an_answer_in_one_piece_is_asked_for_and_read() {
    let whole = r#"{"id":"c1","choices":[{"message":{"content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    let mut server = Server::answering(answer(200, &["content-type: application/json"], whole)).await;
    let client = server
        .builder()
        .stream(false)
        .max_tokens_field(MaxTokensField::MaxCompletionTokens)
        .build()
        .unwrap();
    let request = Request::new("m1").user("Say hello.").max_output_tokens(5);
    let done = call_with(&client, request.into(), CallContext::new())
        .await
        .succeeded();
    assert_eq!((&*done.text, done.usage.total()), ("Hello", 5));
    let (head, body) = server.request().await;
    assert!(head.to_ascii_lowercase().contains("accept: application/json"));
    let messages = json!([{"role": "user", "content": "Say hello."}]);
    assert_eq!(
        body,
        json!({"model": "m1", "messages": messages, "stream": false, "max_completion_tokens": 5})
    );
    let stubborn = Server::answering(stream(hello())).await;
    let client = stubborn.builder().stream(false).build().unwrap();
    assert_eq!(
        call(&client).await.succeeded().text,
        "Hello",
        "a server that always streams"
    );
}

#[tokio::test]
async fn usage_is_not_asked_for_where_that_is_switched_off() {
    let mut server = Server::answering(stream(hello())).await;
    call(&server.builder().include_usage(false).build().unwrap())
        .await
        .succeeded();
    let (_, body) = server.request().await;
    assert!(body.get("stream_options").is_none(), "{body}");
}

#[tokio::test]
async fn requests_that_cannot_be_read_back_are_refused_before_they_are_sent() {
    let mut server = Server::answering(stream(hello())).await;
    let client = server.client();
    for (request, text) in [
        (
            Request::new("m").extra("n", 2),
            "openai request asks for n = 2 answers; one call gives one answer",
        ),
        (
            Request::new("m").extra("stream", false),
            "openai request sets `stream` in its extra members; that is a setting of the client",
        ),
        (
            Request::new("m").temperature(f64::NAN),
            "openai request sets temperature to NaN, which JSON has no word for",
        ),
    ] {
        let error = call_with(&client, Arc::new(request), CallContext::new())
            .await
            .failed();
        assert_eq!(
            (error.kind(), &*error.to_string()),
            (&ErrorKind::BadRequest, text)
        );
    }
    assert!(server.seen.try_recv().is_err(), "nothing was sent");
    call_with(
        &client,
        Arc::new(Request::new("m").extra("n", 1)),
        CallContext::new(),
    )
    .await
    .succeeded();
}

#[tokio::test]
async fn errors_by_status() {
    let quota = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
    let error = status(429, &["x-request-id: req_9", "retry-after: 3"], quota).await;
    assert_eq!(
        (error.kind(), error.classify()),
        (&ErrorKind::QuotaExhausted, ErrorClass::Permanent)
    );
    assert_eq!(
        error.to_string(),
        "openai answered 429 (insufficient_quota): You exceeded your current quota"
    );
    assert_eq!(
        (error.status(), error.request_id(), error.raw_body()),
        (Some(429), Some("req_9"), Some(quota))
    );
    assert!(error.before_first_content());

    let rate = r#"{"error":{"message":"Slow down","type":"requests","code":"rate_limit_exceeded"}}"#;
    let error = status(
        429,
        &[
            "retry-after: 7",
            "retry-after-ms: 250",
            "x-ratelimit-limit-requests: 60",
        ],
        rate,
    )
    .await;
    assert_eq!(
        error.classify(),
        ErrorClass::Throttled {
            retry_after: Some(Duration::from_millis(250))
        }
    );
    assert_eq!(error.limits().requests.limit, Some(60));
    let error = status(429, &["x-should-retry: false"], rate).await;
    assert_eq!(
        (error.kind(), error.classify()),
        (&ErrorKind::RateLimited, ErrorClass::Permanent)
    );
    let error = status(400, &["x-should-retry: true"], "{}").await;
    assert_eq!(
        (error.kind(), error.classify()),
        (&ErrorKind::BadRequest, ErrorClass::Transient)
    );

    for (code, class) in [
        (400, ErrorClass::Permanent),
        (401, ErrorClass::Permanent),
        (403, ErrorClass::Permanent),
        (404, ErrorClass::Permanent),
        (408, ErrorClass::Transient),
        (409, ErrorClass::Transient),
        (422, ErrorClass::Permanent),
        (429, ErrorClass::Throttled { retry_after: None }),
        (500, ErrorClass::Transient),
        (502, ErrorClass::Transient),
        (503, ErrorClass::Overloaded { retry_after: None }),
        (504, ErrorClass::Transient),
        (529, ErrorClass::Overloaded { retry_after: None }),
    ] {
        for body in ["", "<html>Bad gateway</html>", "upstream error"] {
            let error = status(code, &[], body).await;
            assert_eq!((error.status(), error.classify()), (Some(code), class), "{error}");
        }
    }
    let wait = ErrorClass::Overloaded {
        retry_after: Some(Duration::from_secs(2)),
    };
    assert_eq!(status(503, &["retry-after: 2"], "").await.classify(), wait);
    assert_eq!(status(500, &["retry-after: 2"], "").await.classify(), wait);
}

#[tokio::test]
async fn the_body_of_an_error_is_bounded_and_read_before_it_is_cut() {
    let long = format!(
        r#"{{"error":{{"message":"{}","code":"rate_limit_exceeded"}}}}"#,
        "x".repeat(20_000)
    );
    let error = status(429, &[], &long).await;
    assert_eq!(
        (error.code(), error.raw_body().map(str::len)),
        (Some("rate_limit_exceeded"), Some(8 * 1024))
    );
    assert!(error.to_string().len() < 1_200);
    let endless = status(500, &[], &"y".repeat(5_000_000)).await;
    assert_eq!(
        (endless.status(), endless.raw_body().map(str::len)),
        (Some(500), Some(8 * 1024))
    );
    let controls = status(500, &[], "bad\u{1b}[31m\nnews\u{7}").await;
    assert_eq!(controls.to_string(), "openai answered 500: bad [31m news");
    let cut = Server::answering("HTTP/1.1 503 X\r\ncontent-length: 100\r\n\r\n{\"error\":").await;
    let error = call(&cut.client()).await.failed();
    assert_eq!(
        (error.kind(), error.status()),
        (&ErrorKind::Overloaded, Some(503)),
        "the status counts"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let error = status(
        307,
        &["location: https://elsewhere.example/v2/chat/completions?key=sk-1"],
        "",
    )
    .await;
    assert_eq!(
        (error.kind(), error.classify()),
        (&ErrorKind::BadRequest, ErrorClass::Permanent)
    );
    assert_eq!(
        error.to_string(),
        "openai answered 307: a redirect to elsewhere.example:443, which is not followed; set the base URL to the right address"
    );
}

#[tokio::test]
async fn one_call_is_one_request() {
    for bytes in [
        answer(500, &[], ""),
        answer(429, &["retry-after: 0"], ""),
        Vec::new(),
        stream(sse(&[&delta("x")])),
    ] {
        let mut server = Server::answering(bytes).await;
        call(&server.client()).await.failed();
        tokio::time::sleep(Duration::from_millis(30)).await;
        let mut requests = 0;
        while let Ok(seen) = server.seen.try_recv() {
            requests += usize::from(matches!(seen, crate::support::Seen::Request { .. }));
        }
        assert_eq!(requests, 1);
    }
}

#[tokio::test]
async fn a_proxy_is_used_when_it_is_set() {
    let mut proxy = Server::answering(stream(hello())).await;
    let client = HttpClient::builder(Wire::OpenAiChat)
        .base_url("http://model.invalid:8080/v1")
        .proxy(format!("http://{}", proxy.addr))
        .build()
        .unwrap();
    assert_eq!(call(&client).await.succeeded().text, "Hello");
    let (head, _) = proxy.request().await;
    assert!(
        head.starts_with("POST http://model.invalid:8080/v1/chat/completions "),
        "{head}"
    );
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn keys_and_prompts_show_nowhere() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(log.clone())
        .finish();
    crate::support::listen_everywhere();
    let _guard = tracing::subscriber::set_default(subscriber);
    let echo = |text: &str| {
        json!({"error": {"message": format!("bad key {text}"), "code": text, "type": text}}).to_string()
    };
    let half = &KEY[..10];
    let header = format!("x-request-id: {KEY}");
    let frame = echo(KEY);
    let mut shown = String::new();
    for bytes in [
        stream(hello()),
        answer(401, &[&header], echo(KEY)),
        answer(401, &[], format!("wrong: {half}")),
        answer(401, &[], format!("{}{KEY}", "x".repeat(8 * 1024 - 5))),
        answer(401, &[], format!("{}{KEY}", "x".repeat(1024 - 5))),
        stream(sse(&[&delta("x"), &frame])),
        stream(sse(&[&delta("x"), &format!("not JSON {KEY}")])),
        stream(format!("<html>{KEY}</html>")),
        stream(format!("{{\"key\":\"{KEY}\"}}")),
        answer(302, &["location: http://h/"], KEY),
        answer(
            400,
            &[],
            r#"{"error":{"message":"cannot say: a private question"}}"#,
        ),
        stream(sse(&[
            r#"{"error":{"message":"cannot say: a private question"}}"#,
        ])),
    ] {
        let server = Server::answering(bytes).await;
        let client = server.client();
        let Ended { error, .. } = call_with(
            &client,
            Arc::new(Request::new("m1").user("a private question")),
            CallContext::new(),
        )
        .await;
        if let Some(error) = error {
            shown += &format!(
                "{error} {error:?} {:?} {:?}\n",
                error.raw_body(),
                std::error::Error::source(&error)
            );
        }
        shown += &format!("{client:?} {:?}", server.builder());
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("gen_ai.request.model"), "the span is there: {log}");
    assert!(
        log.contains("gen_ai.usage.output_tokens=2"),
        "its outcome too: {log}"
    );
    assert!(shown.contains("[redacted]"), "{shown}");
    assert!(log.contains("A call failed."), "failures too: {log}");
    assert!(!log.contains("private question"), "a prompt is in the log: {log}");
    for text in [shown, log] {
        assert!(!text.contains("very-secret") && !text.contains(half), "{text}");
    }
}

#[tokio::test]
async fn a_client_works_behind_a_pointer_to_the_trait() {
    let server = Server::answering(stream(hello())).await;
    let client: Arc<dyn LlmClient> = Arc::new(server.builder().provider("local").build().unwrap());
    assert_eq!(client.provider(), "local");
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move {
                throng_llm::complete(&client, crate::support::question(), CallContext::new()).await
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().text, "Hello");
    }
}
