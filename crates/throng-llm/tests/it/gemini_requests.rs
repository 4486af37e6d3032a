//! Requests in the words of Gemini, as they stand on the wire, and what the client refuses to send.

use std::sync::Arc;

use serde_json::{Value, json};
use throng_llm::{
    CallContext, ErrorKind, Image, Message, Part, Request, ResponseFormat, Role, ToolCall, ToolChoice,
    ToolSpec,
};

use crate::gemini::{WIRE, frames, hello, parts, stop};
use crate::support::{Server, answer, call, call_with, stream};

#[tokio::test]
async fn signatures_go_back_on_the_parts_they_came_with() {
    let turn = |all: &[Value]| {
        let mut all: Vec<_> = all.iter().map(|all| parts(all.clone())).collect();
        all.push(stop("STOP"));
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        frames(&all).succeeded().to_message()
    };
    let a = turn(&[
        json!([{"text": "Hé"}, {"text": "llo", "thoughtSignature": "S1+/="}, {"text": " you"}]),
        json!([{"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "S3"}, {"functionCall": {"name": "g", "id": "own"}}]),
    ]);
    let b = turn(&[
        json!([{"text": "by"}]),
        json!([{"text": "e"}]),
        json!([{"thoughtSignature": "S2"}]),
    ]);
    let mut changed = b.clone();
    changed.content = vec![Part::Text("é".into())];
    changed.reasoning_opaque[0]["text"] = json!([1, 3]);
    changed
        .reasoning_opaque
        .push(json!({"type": "reasoning.encrypted", "data": "of another wire"}));
    let request = Request::new("m")
        .user("u")
        .message(a)
        .message(Message::tool("call_0", "11"))
        .message(Message::tool("own", r#"{"ok":true}"#))
        .message(b)
        .user("v")
        .message(changed);
    let body = sent(request).await;
    assert_eq!(
        body,
        json!({"contents": [
            {"role": "user", "parts": [{"text": "u"}]},
            {"role": "model", "parts": [
                {"text": "Héllo", "thoughtSignature": "S1+/="},
                {"text": " you"},
                {"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "S3"},
                {"functionCall": {"id": "own", "name": "g", "args": {}}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "f", "response": {"result": "11"}}},
                {"functionResponse": {"id": "own", "name": "g", "response": {"ok": true}}},
            ]},
            {"role": "model", "parts": [{"text": "bye", "thoughtSignature": "S2"}]},
            {"role": "user", "parts": [{"text": "v"}]},
            {"role": "model", "parts": [{"text": "é"}, {"text": "", "thoughtSignature": "S2"}]},
        ]})
    );
}

/// Sends a request and returns its body as it stood on the wire.
pub(crate) async fn sent(request: Request) -> Value {
    let mut server = Server::answering(stream(hello())).await;
    let client = server.builder_of(WIRE).build().unwrap();
    call_with(&client, Arc::new(request), CallContext::new())
        .await
        .succeeded();
    server.request().await.1
}

/// Returns why a request is refused before it is sent.
async fn refused(request: Request) -> String {
    let mut server = Server::answering(stream(hello())).await;
    let client = server.builder_of(WIRE).build().unwrap();
    let error = call_with(&client, Arc::new(request), CallContext::new())
        .await
        .failed();
    assert_eq!(error.kind(), &ErrorKind::BadRequest);
    assert!(server.seen.try_recv().is_err(), "nothing was sent");
    error.to_string()
}

#[tokio::test]
async fn a_request_on_the_wire() {
    let mut server = Server::answering(stream(hello())).await;
    let client = server.builder_of(WIRE).build().unwrap();
    let request = Request::new("gemini-3-flash")
        .system("Be brief.")
        .message(Message::developer("Be kind."))
        .user("What is this?")
        .message(Message::new(
            Role::User,
            [
                Part::Image(Image::base64("image/png", "AAAA")),
                Part::Image(Image::url("https://h/i.png")),
                Part::Image(Image::url("data:image/gif;base64,BBBB").with_detail("auto")),
            ],
        ))
        .tool(ToolSpec::new("look", json!({"type": "object", "additionalProperties": false})).with_description("Looks."))
        .tool_choice(ToolChoice::Tool("look".into()))
        .parallel_tool_calls(true)
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
        .extra("safetySettings", json!([]))
        .extra("generationConfig", json!({"topK": 40, "temperature": 1, "thinkingConfig": {"includeThoughts": true}, "responseJsonSchema": {"type": "array"}}));
    call_with(&client, request.into(), CallContext::new())
        .await
        .succeeded();
    let (head, body) = server.request().await;
    let head = head.to_ascii_lowercase();
    assert!(
        head.starts_with("post /v1/models/gemini-3-flash:streamgeneratecontent?alt=sse http/1.1"),
        "{head}"
    );
    assert!(head.contains("x-goog-api-key: sk-very-secret-key"), "{head}");
    assert!(!head.contains("authorization"), "{head}");
    assert_eq!(
        body,
        json!({
            "contents": [{"role": "user", "parts": [
                {"text": "What is this?"},
                {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                {"fileData": {"fileUri": "https://h/i.png"}},
                {"inlineData": {"mimeType": "image/gif", "data": "BBBB"}},
            ]}],
            "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]},
            "tools": [{"functionDeclarations": [{
                "name": "look", "description": "Looks.",
                "parametersJsonSchema": {"type": "object", "additionalProperties": false},
            }]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}},
            "generationConfig": {
                "temperature": 1, "topP": 0.5, "topK": 40, "maxOutputTokens": 9, "stopSequences": ["END"], "seed": -3,
                "responseMimeType": "application/json", "responseJsonSchema": {"type": "array"},
                "thinkingConfig": {"thinkingLevel": "low", "includeThoughts": true},
            },
            "safetySettings": [],
        })
    );
}

#[tokio::test]
async fn an_answer_in_one_piece_is_asked_for_and_read() {
    let whole = json!({"candidates": [{"content": {"parts": [{"text": "Hello"}]}, "finishReason": "STOP"}]});
    let mut server = Server::answering(answer(
        200,
        &["content-type: application/json"],
        whole.to_string(),
    ))
    .await;
    let client = server.builder_of(WIRE).stream(false).build().unwrap();
    assert_eq!(call(&client).await.succeeded().text, "Hello");
    let (head, body) = server.request().await;
    assert!(
        head.starts_with("POST /v1/models/m1:generateContent HTTP/1.1"),
        "{head}"
    );
    assert_eq!(
        body,
        json!({"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]})
    );
}

#[tokio::test]
async fn small_settings_and_what_has_no_word() {
    let user = || Request::new("gemini-2.5-flash").user("u");
    let config = |body: Value| body["generationConfig"].clone();
    for (effort, budget) in [("none", 0), ("low", 1_024), ("medium", 8_192), ("high", 24_576)] {
        assert_eq!(
            config(sent(user().reasoning_effort(effort)).await),
            json!({"thinkingConfig": {"thinkingBudget": budget}})
        );
    }
    assert_eq!(
        config(sent(user().response_format(ResponseFormat::JsonObject)).await),
        json!({"responseMimeType": "application/json"})
    );
    for (choice, mode) in [
        (ToolChoice::Auto, "AUTO"),
        (ToolChoice::None, "NONE"),
        (ToolChoice::Required, "ANY"),
    ] {
        let body = sent(user().tool_choice(choice)).await;
        assert_eq!(
            body["toolConfig"],
            json!({"functionCallingConfig": {"mode": mode}})
        );
    }
    let last = ToolCall::new("call_0", "g", "{}");
    let twice = user()
        .message(Message::new(Role::Assistant, []).with_tool_calls([ToolCall::new("call_0", "f", "")]))
        .message(Message::tool("call_0", "a"))
        .message(Message::new(Role::Assistant, []).with_tool_calls([last]))
        .message(Message::tool("call_0", "b"));
    let body = sent(twice).await;
    assert_eq!(body["contents"][2]["parts"][0]["functionResponse"]["name"], "f");
    assert_eq!(body["contents"][4]["parts"][0]["functionResponse"]["name"], "g");
    let named = sent(user().message(Message::tool("x", "a").with_name("h"))).await;
    assert_eq!(
        named["contents"][0]["parts"][1]["functionResponse"],
        json!({"id": "x", "name": "h", "response": {"result": "a"}})
    );
    let no_word = |what: &str| format!("gemini request sets {what}, which this wire has no word for");
    let image = |image| Message::new(Role::User, [Part::Image(image)]);
    let broken = ToolCall::new("a", "f", "{");
    for (request, what) in [
        (user().parallel_tool_calls(false), "parallel_tool_calls to false"),
        (user().reasoning_effort("huge"), "reasoning_effort to `huge`"),
        (
            user().tool(ToolSpec::new("f", json!({})).with_strict(true)),
            "a strict tool",
        ),
        (
            user().message(Message::user("u").with_name("n")),
            "the name of a speaker",
        ),
        (
            user().message(image(Image::url("u").with_detail("low"))),
            "the detail of an image",
        ),
        (
            user().message(
                Message::tool("x", "")
                    .with_name("h")
                    .with_part(Part::Image(Image::url("u"))),
            ),
            "an image in the result of a tool",
        ),
        (
            user().message(Message::new(Role::Assistant, []).with_tool_calls([broken])),
            "a call of tool `f` with arguments that are no JSON object",
        ),
    ] {
        assert_eq!(refused(request).await, no_word(what));
    }
    assert_eq!(
        refused(user().message(Message::tool("x", "a"))).await,
        "gemini request has the result of the tool call `x`, which no earlier message makes: this wire wants the tool's name"
    );
}
