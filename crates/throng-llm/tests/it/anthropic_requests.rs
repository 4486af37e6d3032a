//! Requests of Anthropic's Messages as they stand on the wire, and the headers of the answers.

use serde_json::{Value, json};
use throng_llm::{
    CallContext, ErrorKind, Image, Message, Part, Request, ResponseFormat, Role, ToolCall, ToolChoice,
    ToolSpec, Wire,
};

use crate::anthropic::{delta, hello, json_delta, message_start, message_stop, reason, start, stop, tool};
use crate::support::{Server, answer, call, call_with, named, send, stream};

const KEY: &str = "sk-very-secret-key";

#[tokio::test]
async fn a_request_on_the_wire() {
    let mut server = Server::answering(stream(hello())).await;
    let client = server
        .builder_of(Wire::Anthropic)
        .header("anthropic-beta", "b1")
        .build()
        .unwrap();
    let mut called = Message::assistant("Let me look.").with_tool_calls([
        ToolCall::new("c1", "look", "{\"at\": 1}"),
        ToolCall::new("c2", "look", ""),
        ToolCall::new("c3", "look", "{oops"),
    ]);
    called.reasoning_opaque = vec![
        json!({"type": "thinking", "thinking": "", "signature": "s"}),
        json!({"type": "redacted_thinking", "data": "d"}),
        json!({"type": "reasoning", "id": "rs_1"}),
    ];
    let request = Request::new("m1")
        .system("Be brief.")
        .message(Message::developer("Be kind."))
        .user("What is this?")
        .message(Message::new(
            Role::User,
            [
                Part::Image(Image::base64("image/png", "AAAA")),
                Part::Image(Image::url("https://h/i.png")),
            ],
        ))
        .message(called)
        .message(Message::tool("c1", "a crab"))
        .message(Message::tool_error("c2", "it is dark"))
        .message(Message::tool("c3", "x").with_part(Part::Image(Image::base64("image/png", "BBBB"))))
        .user("And now?")
        .message(Message::assistant(""))
        .tool(
            ToolSpec::new("look", json!({"type": "object"}))
                .with_description("Looks.")
                .with_strict(true),
        )
        .tool_choice(ToolChoice::Required)
        .parallel_tool_calls(false)
        .max_output_tokens(9)
        .temperature(0.5)
        .top_p(0.25)
        .stop("END")
        .reasoning_effort("low")
        .response_format(ResponseFormat::JsonSchema {
            name: "s".into(),
            schema: json!({"type": "object"}),
            strict: true,
        })
        .extra("thinking", json!({"type": "adaptive"}))
        .extra("top_p", 1);
    call_with(&client, request.into(), CallContext::new())
        .await
        .succeeded();
    let (head, body) = server.request().await;
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post /v1/messages http/1.1"), "{head}");
    for line in [
        &format!("x-api-key: {KEY}"),
        "anthropic-version: 2023-06-01",
        "anthropic-beta: b1",
        "content-type: application/json",
        "accept: text/event-stream",
    ] {
        assert!(head.lines().any(|have| have == line), "{line} is not in {head}");
    }
    assert!(!head.contains("authorization"), "{head}");
    let expect = json!({
        "model": "m1",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "image", "source": {"type": "url", "url": "https://h/i.png"}},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": 1}},
                {"type": "tool_use", "id": "c2", "name": "look", "input": {}},
                {"type": "tool_use", "id": "c3", "name": "look", "input": {"INVALID_JSON": "{oops"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "a crab"},
                {"type": "tool_result", "tool_use_id": "c2", "content": "it is dark", "is_error": true},
                {"type": "tool_result", "tool_use_id": "c3", "content": [
                    {"type": "text", "text": "x"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "BBBB"}},
                ]},
                {"type": "text", "text": "And now?"},
            ]},
        ],
        "stream": true,
        "temperature": 0.5,
        "stop_sequences": ["END"],
        "tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}, "strict": true}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "thinking": {"type": "adaptive"},
        "top_p": 1,
    });
    assert_eq!(body, expect);
}

#[tokio::test]
async fn what_is_not_set_is_not_sent_but_the_limit_of_tokens_is() {
    let whole =
        json!({"type": "message", "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn"});
    let mut server = Server::answering(answer(
        200,
        &["content-type: application/json"],
        whole.to_string(),
    ))
    .await;
    let builder = server.builder_of(Wire::Anthropic).stream(false);
    let messages = json!([{"role": "user", "content": [{"type": "text", "text": "Say hello."}]}]);
    assert_eq!(
        call(&builder.clone().build().unwrap()).await.succeeded().text,
        "Hello"
    );
    let (head, body) = server.request().await;
    assert!(head.to_ascii_lowercase().contains("accept: application/json"));
    assert_eq!(
        body,
        json!({"model": "m1", "max_tokens": 4096, "messages": messages, "stream": false})
    );
    let tool = || {
        Request::new("m1")
            .user("Say hello.")
            .tool(ToolSpec::new("f", json!({"type": "object"})))
    };
    for (request, choice) in [
        (tool().tool_choice(ToolChoice::Auto), json!({"type": "auto"})),
        (
            tool().tool_choice(ToolChoice::None).parallel_tool_calls(false),
            json!({"type": "none"}),
        ),
        (
            tool().tool_choice(ToolChoice::Tool("f".into())),
            json!({"type": "tool", "name": "f"}),
        ),
        (
            tool().parallel_tool_calls(false),
            json!({"type": "auto", "disable_parallel_tool_use": true}),
        ),
        (tool().parallel_tool_calls(true), Value::Null),
    ] {
        let client = builder.clone().default_max_output_tokens(77).build().unwrap();
        call_with(&client, request.into(), CallContext::new())
            .await
            .succeeded();
        let (_, body) = server.request().await;
        assert_eq!((&body["tool_choice"], &body["max_tokens"]), (&choice, &json!(77)));
    }
}

#[tokio::test]
async fn what_the_wire_has_no_word_for_is_refused_before_it_is_sent() {
    let mut server = Server::answering(stream(hello())).await;
    let client = server.builder_of(Wire::Anthropic).build().unwrap();
    for (request, text) in [
        (
            Request::new("m").seed(1),
            "anthropic request sets a seed, which this wire has no word for",
        ),
        (
            Request::new("m").response_format(ResponseFormat::JsonObject),
            "anthropic request asks for a JSON object without a schema, which this wire has no word for",
        ),
        (
            Request::new("m").user("x").system("y"),
            "anthropic request has a system message within the conversation, which this wire has no word for",
        ),
        (
            Request::new("m").message(Message::new(Role::System, [Part::Image(Image::url("u"))])),
            "anthropic request has an image in a system message, which this wire has no word for",
        ),
        (
            Request::new("m").message(Message::new(Role::Tool, ["x".into()])),
            "anthropic request has a tool message that names no call",
        ),
    ] {
        let error = call_with(&client, request.into(), CallContext::new())
            .await
            .failed();
        assert_eq!(
            (error.kind(), &*error.to_string()),
            (&ErrorKind::BadRequest, text)
        );
    }
    assert!(server.seen.try_recv().is_err(), "nothing was sent");
}

#[tokio::test]
async fn an_answer_goes_back_as_it_came() {
    let first = named(&[
        message_start(),
        start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "Hm é\n."})),
        delta(0, json!({"type": "signature_delta", "signature": "EqQB+/=="})),
        stop(0),
        start(1, tool("a")),
        json_delta(1, "{\"x\": 1}"),
        stop(1),
        reason("tool_use"),
        message_stop(),
    ]);
    let mut server = Server::start(vec![vec![send(stream(first))], vec![send(stream(hello()))]]).await;
    let client = server.builder_of(Wire::Anthropic).build().unwrap();
    let done = call(&client).await.succeeded();
    server.request().await;
    let request = Request::new("m1")
        .user("Go.")
        .message(done.to_message())
        .message(Message::tool("a", "1"));
    call_with(&client, request.into(), CallContext::new())
        .await
        .succeeded();
    let (_, body) = server.request().await;
    assert_eq!(
        body["messages"][1]["content"],
        json!([
            {"type": "thinking", "thinking": "Hm é\n.", "signature": "EqQB+/=="},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        ])
    );
}

#[tokio::test]
async fn headers_of_the_answer_are_read() {
    let head = [
        "content-type: text/event-stream",
        "request-id: req_1",
        "anthropic-ratelimit-requests-limit: 50",
        "anthropic-ratelimit-requests-remaining: 49",
        "anthropic-ratelimit-tokens-remaining: 7",
        "anthropic-ratelimit-requests-reset: 2025-01-01T00:02:00Z",
        "date: Wed, 01 Jan 2025 00:00:00 GMT",
    ];
    let server = Server::answering(answer(200, &head, hello())).await;
    let done = call(&server.builder_of(Wire::Anthropic).build().unwrap())
        .await
        .succeeded();
    assert_eq!(done.request_id.as_deref(), Some("req_1"));
    assert_eq!(
        (done.limits.requests.limit, done.limits.requests.remaining),
        (Some(50), Some(49))
    );
    assert_eq!(done.limits.requests.reset.map(|reset| reset.as_secs()), Some(120));
    assert_eq!(done.limits.tokens.remaining, Some(7));
    let body =
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"},"request_id":"req_2"}"#;
    let head = [
        "content-type: application/json",
        "request-id: req_2",
        "retry-after: 3",
    ];
    let server = Server::answering(answer(429, &head, body)).await;
    let error = call(&server.builder_of(Wire::Anthropic).build().unwrap())
        .await
        .failed();
    assert_eq!(
        (error.kind(), error.request_id()),
        (&ErrorKind::RateLimited, Some("req_2"))
    );
    assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(3));
    for (status, type_, kind) in [
        (529, "overloaded_error", ErrorKind::Overloaded),
        (402, "billing_error", ErrorKind::QuotaExhausted),
        (413, "request_too_large", ErrorKind::ContextOverflow),
        (500, "api_error", ErrorKind::Server),
    ] {
        let body = json!({"type": "error", "error": {"type": type_, "message": "m"}}).to_string();
        let server = Server::answering(answer(status, &[], body)).await;
        let error = call(&server.builder_of(Wire::Anthropic).build().unwrap())
            .await
            .failed();
        assert_eq!(
            (error.kind(), error.status(), error.code()),
            (&kind, Some(status), Some(type_))
        );
    }
}
