//! Requests of OpenAI's Responses as they stand on the wire.

use serde_json::json;
use throng_llm::{
    CallContext, ErrorKind, Image, Message, Part, Request, ResponseFormat, Role, ToolCall, ToolChoice,
    ToolSpec, Wire,
};

use crate::responses::{completed, created, done, function, hello, message};
use crate::support::{Server, answer, call, call_with, named, send, stream};

const KEY: &str = "sk-very-secret-key";

#[tokio::test]
async fn a_request_on_the_wire() {
    let mut server = Server::answering(stream(hello())).await;
    let client = server.builder_of(Wire::OpenAiResponses).build().unwrap();
    let mut called = Message::assistant("Let me look.").with_tool_calls([
        ToolCall::new("c1", "look", "{\"at\": 1}"),
        ToolCall::new("c2", "look", ""),
    ]);
    called.reasoning_opaque = vec![
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed", "status": "completed"}),
        json!({"type": "thinking", "thinking": "", "signature": "s"}),
    ];
    let request = Request::new("m1")
        .system("Be brief.")
        .message(Message::developer("Be kind."))
        .message(Message::new(
            Role::User,
            [
                "What is this?".into(),
                Part::Image(Image::base64("image/png", "AAAA").with_detail("low")),
                Part::Image(Image::url("https://h/i.png")),
            ],
        ))
        .message(called)
        .message(Message::tool("c1", "a crab"))
        .message(Message::tool("c2", "x").with_part(Part::Image(Image::url("https://h/i.png"))))
        .tool(
            ToolSpec::new("look", json!({"type": "object"}))
                .with_description("Looks.")
                .with_strict(true),
        )
        .tool_choice(ToolChoice::Tool("look".into()))
        .parallel_tool_calls(false)
        .max_output_tokens(99)
        .temperature(0.5)
        .top_p(0.25)
        .reasoning_effort("low")
        .response_format(ResponseFormat::JsonSchema {
            name: "s".into(),
            schema: json!({"type": "object"}),
            strict: true,
        })
        .extra("store", false)
        .extra("top_p", 1);
    call_with(&client, request.into(), CallContext::new())
        .await
        .succeeded();
    let (head, body) = server.request().await;
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post /v1/responses http/1.1"), "{head}");
    assert!(
        head.lines()
            .any(|line| line == format!("authorization: bearer {KEY}")),
        "{head}"
    );
    assert!(
        head.lines().any(|line| line == "accept: text/event-stream"),
        "{head}"
    );
    let expect = json!({
        "model": "m1",
        "input": [
            {"type": "message", "role": "system", "content": "Be brief."},
            {"type": "message", "role": "developer", "content": "Be kind."},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
                {"type": "input_image", "image_url": "https://h/i.png"},
            ]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me look."}]},
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{\"at\": 1}"},
            {"type": "function_call", "call_id": "c2", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "a crab"},
            {"type": "function_call_output", "call_id": "c2", "output": [
                {"type": "input_text", "text": "x"},
                {"type": "input_image", "image_url": "https://h/i.png"},
            ]},
        ],
        "stream": true,
        "max_output_tokens": 99,
        "temperature": 0.5,
        "tools": [{"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"}, "strict": true}],
        "tool_choice": {"type": "function", "name": "look"},
        "parallel_tool_calls": false,
        "text": {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}, "strict": true}},
        "reasoning": {"effort": "low"},
        "include": ["reasoning.encrypted_content"],
        "store": false,
        "top_p": 1,
    });
    assert_eq!(body, expect);
}

#[tokio::test]
async fn what_is_not_set_is_not_sent() {
    let whole = completed(json!([message("Hello")]))["response"].to_string();
    let mut server = Server::answering(answer(200, &["content-type: application/json"], whole)).await;
    let client = server
        .builder_of(Wire::OpenAiResponses)
        .stream(false)
        .build()
        .unwrap();
    assert_eq!(call(&client).await.succeeded().text, "Hello");
    let (_, body) = server.request().await;
    let input = json!([{"type": "message", "role": "user", "content": "Say hello."}]);
    assert_eq!(body, json!({"model": "m1", "input": input, "stream": false}));
    let mut reasoned = Message::assistant("");
    reasoned.reasoning_opaque = vec![json!({"type": "reasoning", "id": "rs_1", "summary": []})];
    let custom = json!([{"type": "custom", "name": "sql"}]);
    let request = Request::new("m1")
        .message(
            reasoned
                .clone()
                .with_tool_calls([ToolCall::new("c1", "sql", "SELECT 1")]),
        )
        .message(Message::tool("c1", "1"))
        .response_format(ResponseFormat::JsonObject)
        .tool_choice(ToolChoice::Required)
        .extra("tools", custom.clone());
    call_with(&client, request.into(), CallContext::new())
        .await
        .succeeded();
    let (_, body) = server.request().await;
    let expect = json!({
        "model": "m1",
        "input": [
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "custom_tool_call", "call_id": "c1", "name": "sql", "input": "SELECT 1"},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "1"},
        ],
        "stream": false,
        "tool_choice": "required",
        "text": {"format": {"type": "json_object"}},
        "tools": custom,
    });
    assert_eq!(body, expect);
    let unstored = Request::new("m1")
        .message(reasoned)
        .user("Go on.")
        .extra("store", false);
    call_with(&client, unstored.into(), CallContext::new())
        .await
        .succeeded();
    let (_, body) = server.request().await;
    let input = json!([{"type": "message", "role": "user", "content": "Go on."}]);
    assert_eq!(body["input"], input, "an id of something that was not stored");
}

#[tokio::test]
async fn what_the_wire_has_no_word_for_is_refused_before_it_is_sent() {
    let mut server = Server::answering(stream(hello())).await;
    let client = server.builder_of(Wire::OpenAiResponses).build().unwrap();
    let image = Message::new(Role::Assistant, [Part::Image(Image::url("u"))]);
    for (request, text) in [
        (
            Request::new("m").seed(1),
            "openai request sets a seed, which this wire has no word for",
        ),
        (
            Request::new("m").stop("END"),
            "openai request sets texts to stop at, which this wire has no word for",
        ),
        (
            Request::new("m").message(image),
            "openai request has an image in an answer of the model, which this wire has no word for",
        ),
        (
            Request::new("m").message(Message::new(Role::Tool, ["x".into()])),
            "openai request has a tool message that names no call",
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
async fn an_answer_goes_back_in_the_order_in_which_it_came() {
    let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"});
    let first = named(&[
        created(),
        done(0, reasoning.clone()),
        done(1, function(1, "{\"x\": 1}", "completed")),
        completed(json!([])),
    ]);
    let mut server = Server::start(vec![vec![send(stream(first))], vec![send(stream(hello()))]]).await;
    let client = server.builder_of(Wire::OpenAiResponses).build().unwrap();
    let answer = call(&client).await.succeeded();
    server.request().await;
    let request = Request::new("m1")
        .user("Go.")
        .message(answer.to_message())
        .message(Message::tool("c1", "1"));
    call_with(&client, request.into(), CallContext::new())
        .await
        .succeeded();
    let (_, body) = server.request().await;
    assert_eq!(
        body["input"],
        json!([
            {"type": "message", "role": "user", "content": "Go."},
            reasoning,
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"x\": 1}"},
            {"type": "function_call_output", "call_id": "c1", "output": "1"},
        ])
    );
}
