//! Ollama's `/api/chat`: the decoder by itself, requests on the wire, faults over sockets, recorded traffic.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use throng_core::{Classify, ErrorClass, Usage};
use throng_llm::{
    CallContext, ErrorKind, FinishReason, Image, Limited, Limits, Message, Part, Request, ResponseFormat,
    Role, StreamEvent, ToolCall, ToolChoice, ToolSpec, Wire,
};

use crate::fuzzed::{check, laws};
use crate::recorded::{data, recorded};
use crate::support::{
    Ended, Server, answer, call, call_with, cases, chunked, decode_of, decode_within, every_split,
};

const WIRE: Wire = Wire::Ollama;

fn decoded(body: &str) -> Ended {
    decode_of(WIRE, [body.as_bytes()])
}

fn lines(lines: &[&str]) -> Ended {
    decoded(&joined(lines))
}

fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A line with a message.
#[expect(clippy::needless_pass_by_value, reason = "a literal stands in the call")]
fn line(message: Value) -> String {
    json!({"model": "q", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": false}).to_string()
}

fn text(text: &str) -> String {
    line(json!({"role": "assistant", "content": text}))
}

/// The last line.
fn done(reason: &str) -> String {
    json!({"model": "q", "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": reason,
        "total_duration": 9, "prompt_eval_count": 3, "eval_count": 2})
    .to_string()
}

fn hello() -> String {
    joined(&[&text("Hel"), &text("lo"), &done("stop")])
}

/// The head and body of a stream of lines that ends with the connection.
fn stream(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer(200, &["content-type: application/x-ndjson"], body)
}

fn unknown(ended: &Ended) -> Vec<&str> {
    let mut raws = Vec::new();
    for event in &ended.events {
        if let StreamEvent::Unknown { raw } = event {
            raws.push(raw.as_str());
        }
    }
    raws
}

#[test]
fn a_plain_answer() {
    let ended = decoded(&hello());
    let whole = ended.succeeded();
    assert_eq!(
        (&*whole.text, whole.finish, whole.usage),
        ("Hello", Some(FinishReason::Stop), Usage::of(3, 2))
    );
    assert_eq!((whole.id, whole.model.as_deref()), (None, Some("q")));
    let without_end = hello();
    assert_eq!(
        decoded(without_end.trim_end()).trace(),
        ended.trace(),
        "a last line without its end"
    );
    assert_eq!(decoded(&hello().replace('\n', "\r\n\r\n")).trace(), ended.trace());
    assert_eq!(
        decoded(&format!("{}{}\n", hello(), text("late"))).trace(),
        ended.trace(),
        "nothing follows `done`"
    );
}

#[test]
fn thinking_and_calls() {
    let ended = lines(&[
        &line(json!({"content": "", "thinking": "hm"})),
        &line(json!({"content": "say", "thinking": ""})),
        &line(
            json!({"content": "", "tool_calls": [{"id": "own", "function": {"index": 0, "name": "f", "arguments": {"x": [1]}}}, {"function": {"name": "g"}}]}),
        ),
        &line(
            json!({"content": "", "tool_calls": [{"function": {"index": 0, "name": "f", "arguments": {}}}]}),
        ),
        &done("stop"),
    ]);
    let whole = ended.succeeded();
    assert_eq!(
        (&*whole.reasoning, &*whole.text, whole.finish),
        ("hm", "say", Some(FinishReason::ToolCalls))
    );
    assert_eq!(
        whole.tool_calls,
        [
            ToolCall::new("own", "f", "{\"x\":[1]}"),
            ToolCall::new("call_1", "g", "{}"),
            ToolCall::new("call_2", "f", "{}"),
        ]
    );
    assert_eq!(unknown(&ended), [""; 0]);
    let odd = line(json!({"content": "", "tool_calls": [{"function": {"arguments": {}}}]}));
    assert_eq!(
        unknown(&lines(&[&odd, &done("stop")])),
        [&*odd],
        "a call without a name"
    );
}

#[test]
fn reasons_and_usage() {
    let reason = |reason| lines(&[&text("x"), &done(reason)]).succeeded().finish.unwrap();
    assert_eq!(reason("length"), FinishReason::Length);
    assert_eq!(reason(""), FinishReason::Stop, "old versions give none");
    for other in ["load", "unload"] {
        assert_eq!(reason(other), FinishReason::Other(other.into()));
    }
    let cached = lines(&[r#"{"message":{"content":"x"},"done":true,"eval_count":7}"#]).succeeded();
    assert_eq!(
        (cached.usage.input_tokens, cached.usage.output_tokens),
        (None, Some(7))
    );
    assert_eq!(lines(&[r#"{"done":true}"#]).succeeded().text, "");
    let error = lines(&[&text("Hi"), r#"{"message":{"content":"x"},"done":"false"}"#]).failed();
    assert_eq!(
        error.to_string(),
        "test ended the stream before `done`, after 2 frames with 3 bytes of text"
    );
}

#[test]
fn errors_within_an_answer() {
    for (frame, message) in [
        (
            r#"{"error":"model runner has unexpectedly stopped"}"#,
            "model runner has unexpectedly stopped",
        ),
        (r#"{"error":"m","message":{"content":"more"},"done":true}"#, "m"),
        (r#"{"error":{"message":"m","code":500}}"#, "m"),
        (r#"[{"error":"m"}]"#, "m"),
    ] {
        let ended = lines(&[&text("Hi"), frame, &done("stop")]);
        assert_eq!(ended.completion().text, "Hi");
        let error = ended.failed();
        assert_eq!(
            (error.kind(), error.message(), error.before_first_content()),
            (&ErrorKind::Server, message, false)
        );
    }
    assert_eq!(lines(&[r#"{"error":"m"}"#]).failed().kind(), &ErrorKind::Server);
    assert_eq!(
        lines(&[&text("Hi"), r#"{"error":"m"}"#]).failed().message(),
        "m",
        "followed by nothing"
    );
    let plain = lines(&[&text("Hi"), "Internal server error"]).failed();
    assert_eq!(
        (plain.kind(), plain.raw_body()),
        (&ErrorKind::Protocol, Some("Internal server error"))
    );
    let at_end = decoded(&format!("{}\noops", text("Hi"))).failed();
    assert_eq!(at_end.kind(), &ErrorKind::Protocol);
    assert_eq!(
        lines(&[r#"{"error":null,"message":{"content":"x"},"done":true}"#])
            .succeeded()
            .text,
        "x"
    );
}

#[test]
fn an_object_ends_where_its_last_bracket_is() {
    let ended = decoded(&hello());
    let all = [text("Hel"), text("lo"), done("stop")];
    assert_eq!(
        decoded(&all.concat()).succeeded(),
        ended.succeeded(),
        "three objects in one line"
    );
    let (head, tail) = all[1].split_at(all[1].find("\"message\"").unwrap());
    let cut = joined(&[&format!("{}{head}", all[0]), tail, &all[2]]);
    assert_eq!(
        decoded(&cut).succeeded(),
        ended.succeeded(),
        "an object over two lines"
    );
    every_split(WIRE, &cut);
    let whole = json!({"model": "q", "message": {"role": "assistant", "content": "Hello"}, "done": true, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2});
    for body in [
        whole.to_string(),
        serde_json::to_string_pretty(&whole).unwrap(),
        format!("[{whole}]"),
        format!("data: {whole}\n\n"),
        format!("[{}]", all.join(",")),
        format!("\u{feff}\n{whole}\n"),
    ] {
        assert_eq!(decoded(&body).succeeded(), ended.succeeded(), "{body}");
        every_split(WIRE, &body);
    }
    let broken = joined(&[&all[0], "{\"message\":{\"content\":\"ab", "c\"},\"done\":true}"]);
    assert_eq!(
        decoded(&broken).failed().kind(),
        &ErrorKind::Protocol,
        "a line end within a string"
    );
    assert_eq!(
        decoded(&format!("{}oops\n", all[0])).failed().kind(),
        &ErrorKind::Protocol
    );
    assert_eq!(
        decoded(&format!("{}null\n{}", all[0], all[2])).succeeded().text,
        "Hel"
    );
    let pretty = serde_json::to_string_pretty(&whole).unwrap();
    for at in 1..pretty.len() {
        assert_eq!(
            decoded(&pretty[..at]).failed().kind(),
            &ErrorKind::Truncated,
            "{}",
            &pretty[..at]
        );
    }
}

#[test]
fn strange_lines_are_kept() {
    for strange in [
        "17",
        "[1]",
        "\"text\"",
        r#"{"status":"pulling"}"#,
        r#"{"message":{"content":"","images":["AAAA"]}}"#,
    ] {
        let ended = lines(&[&text("Hi"), strange, &done("stop")]);
        assert_eq!(ended.succeeded().text, "Hi");
        assert_eq!(unknown(&ended), [strange]);
    }
    let ended = lines(&[
        &text(""),
        "null",
        r#"{"model":null,"message":{"content":null,"thinking":[],"tool_calls":{}},"done":0}"#,
        r#"{"message":{"content":"a","content":"b"},"message":{"content":"c"},"eval_count":"4"}"#,
        &line(json!({"content": "x"})).replace("\"x\"", r#""\ud83e""#),
        &line(json!({"content": "y"})).replace("\"y\"", r#""\udd80""#),
        &done("stop"),
    ]);
    assert_eq!((unknown(&ended), &*ended.succeeded().text), (vec![], "c🦀"));
}

#[test]
fn limits_are_typed_errors() {
    let limits = Limits::default()
        .with_event_bytes(600)
        .with_text_bytes(20)
        .with_tool_args_bytes(20)
        .with_tool_calls(2);
    let fails = |body: String, what| {
        let error = decode_within(WIRE, limits, body.as_bytes().chunks(50)).failed();
        assert_eq!(error.kind(), &ErrorKind::TooLarge(what), "{error}");
    };
    let calls = |calls: Value| joined(&[&line(json!({"content": "", "tool_calls": calls})), &done("stop")]);
    let call = |arguments: Value| json!({"function": {"name": "f", "arguments": arguments}});
    fails(
        joined(&[&text("0123456789"), &text("0123456789"), &text("x")]),
        Limited::Text,
    );
    fails(
        calls(json!([call(json!({"a": "x".repeat(20)}))])),
        Limited::ToolArguments,
    );
    fails(
        calls(json!([call(json!({})), call(json!({})), call(json!({}))])),
        Limited::ToolCalls,
    );
    fails(text(&"x".repeat(700)), Limited::Event);
    fails(format!("{{\n{}", "\"a\":1,\n".repeat(100)), Limited::Event);
}

async fn answering(bytes: impl Into<Vec<u8>>) -> Ended {
    let server = Server::answering(bytes).await;
    call(&server.builder_of(WIRE).build().unwrap()).await
}

#[tokio::test]
async fn the_fault_table() {
    use ErrorKind::{Protocol, Server, Transport, Truncated};
    let hi = text("Hi");
    let error = r#"{"error":"boom"}"#;
    let broken = chunked(&joined(&[&hi]));
    for (bytes, kind, said) in [
        (stream(joined(&[&hi])), Truncated, "Hi"),
        (stream(&hi), Truncated, "Hi"),
        (stream(format!("{hi}\n{{\"mess")), Truncated, "Hi"),
        (stream(format!("{hi}\n{}", &done("stop")[..40])), Truncated, "Hi"),
        (stream(&hi[..hi.len() / 2]), Truncated, ""),
        (stream(""), Truncated, ""),
        (broken[..broken.len() - 5].to_vec(), Transport, "Hi"),
        (stream(joined(&[&hi, error])), Server, "Hi"),
        (stream(joined(&[&hi, error, &done("stop")])), Server, "Hi"),
        (stream(error), Server, ""),
        (
            answer(200, &["content-type: text/html"], "<html>login</html>"),
            Protocol,
            "",
        ),
        (stream("<html>login</html>"), Protocol, ""),
        (stream("{\"ok\":true}\n"), Truncated, ""),
        (stream("hello"), Protocol, ""),
        (stream(joined(&[&hi, "upstream error"])), Protocol, "Hi"),
        (stream(joined(&[&hi, "{broken}"])), Protocol, "Hi"),
        (b"hello\r\n\r\n".to_vec(), Transport, ""),
    ] {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let ended = answering(bytes).await;
        assert_eq!(ended.completion().text, said, "{shown}");
        let error = ended.failed();
        assert_eq!(
            (error.kind(), error.before_first_content()),
            (&kind, said.is_empty()),
            "{shown}"
        );
    }
    let halves = joined(&[
        r#"{"message":{"content":"\ud83e"}}"#,
        r#"{"message":{"content":"\udd80"},"done":true}"#,
    ]);
    let cut = chunked(&hello());
    for (bytes, said) in [
        (stream(hello()), "Hello"),
        (stream(format!("\u{feff}{}", hello())), "Hello"),
        (answer(200, &["content-type: application/json"], hello()), "Hello"),
        (stream(halves), "🦀"),
        (cut[..cut.len() - 5].to_vec(), "Hello"),
    ] {
        assert_eq!(answering(bytes).await.succeeded().text, said);
    }
}

#[tokio::test]
async fn every_cut_of_a_stream_is_an_error_until_its_last_word_is_there() {
    let body = hello();
    let last = body.trim_end().len();
    for at in 0..=body.len() {
        assert_eq!(decoded(&body[..at]).error.is_none(), at >= last, "cut at {at}");
    }
    for at in (0..last).step_by(31) {
        let error = answering(stream(&body[..at])).await.failed();
        assert_eq!(error.kind(), &ErrorKind::Truncated, "cut at {at}");
    }
    every_split(WIRE, &body);
}

#[tokio::test]
async fn errors_by_status() {
    for (status, body, kind, class) in [
        (
            400,
            r#"{"error":"invalid options"}"#,
            ErrorKind::BadRequest,
            ErrorClass::Permanent,
        ),
        (
            401,
            r#"{"error":"unauthorized"}"#,
            ErrorKind::Auth,
            ErrorClass::Permanent,
        ),
        (
            402,
            r#"{"error":"upgrade"}"#,
            ErrorKind::QuotaExhausted,
            ErrorClass::Permanent,
        ),
        (
            404,
            r#"{"error":"model 'x' not found"}"#,
            ErrorKind::NotFound,
            ErrorClass::Permanent,
        ),
        (
            429,
            r#"{"error":"slow down"}"#,
            ErrorKind::RateLimited,
            ErrorClass::Throttled { retry_after: None },
        ),
        (
            500,
            r#"{"error":"llama runner process has terminated"}"#,
            ErrorKind::Server,
            ErrorClass::Transient,
        ),
        (502, "bad gateway", ErrorKind::Server, ErrorClass::Transient),
        (
            503,
            r#"{"error":"server busy"}"#,
            ErrorKind::Overloaded,
            ErrorClass::Overloaded { retry_after: None },
        ),
    ] {
        let error = answering(answer(status, &[], body)).await.failed();
        assert_eq!(
            (error.kind(), error.classify(), error.status()),
            (&kind, class, Some(status)),
            "{body}"
        );
    }
    let error = answering(answer(404, &[], r#"{"error":"model 'x' not found"}"#))
        .await
        .failed();
    assert_eq!(error.to_string(), "ollama answered 404: model 'x' not found");
}

/// Sends a request and returns head and body as they stood on the wire.
async fn sent(request: Request) -> (String, Value) {
    let mut server = Server::answering(stream(hello())).await;
    let client = server.builder_of(WIRE).build().unwrap();
    call_with(&client, Arc::new(request), CallContext::new())
        .await
        .succeeded();
    server.request().await
}

#[tokio::test]
async fn a_request_on_the_wire() {
    let request = Request::new("q")
        .message(Message::developer("Be brief."))
        .message(Message::new(
            Role::User,
            [
                "What is this?".into(),
                Part::Image(Image::base64("image/png", "AAAA")),
                "And that?".into(),
                Part::Image(Image::url("data:image/gif;base64,BBBB")),
            ],
        ))
        .message(Message::new(Role::Assistant, []).with_tool_calls([
            ToolCall::new("call_0", "look", "{\"x\":1}"),
            ToolCall::new("own", "see", ""),
        ]))
        .message(Message::tool("call_0", "a crab"))
        .message(Message::tool("own", "a cat"))
        .tool(ToolSpec::new("look", json!({"type": "object"})).with_description("Looks."))
        .tool_choice(ToolChoice::Auto)
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
        .extra("keep_alive", "5m")
        .extra("options", json!({"num_ctx": 8192, "temperature": 1}));
    let (head, body) = sent(request).await;
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post /v1/api/chat http/1.1"), "{head}");
    assert!(head.contains("accept: application/x-ndjson"), "{head}");
    assert!(
        head.contains("authorization: bearer sk-very-secret-key"),
        "{head}"
    );
    assert_eq!(
        body,
        json!({
            "model": "q",
            "stream": true,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "What is this?\nAnd that?", "images": ["AAAA", "BBBB"]},
                {"role": "assistant", "content": "", "tool_calls": [
                    {"type": "function", "function": {"name": "look", "arguments": {"x": 1}}},
                    {"id": "own", "type": "function", "function": {"name": "see", "arguments": {}}},
                ]},
                {"role": "tool", "content": "a crab", "tool_name": "look"},
                {"role": "tool", "content": "a cat", "tool_name": "see", "tool_call_id": "own"},
            ],
            "tools": [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}],
            "options": {"temperature": 1, "top_p": 0.5, "num_predict": 9, "seed": -3, "stop": ["END"], "num_ctx": 8192},
            "format": {"type": "object"},
            "think": "low",
            "keep_alive": "5m",
        })
    );
}

#[tokio::test]
async fn small_settings_and_what_has_no_word() {
    let user = || Request::new("q").user("u");
    let tool = || ToolSpec::new("f", json!({}));
    let plain = json!({"model": "q", "stream": true, "messages": [{"role": "user", "content": "u"}]});
    assert_eq!(sent(user()).await.1, plain);
    assert_eq!(
        sent(user().tool(tool()).tool_choice(ToolChoice::None)).await.1,
        plain,
        "no tools, no calls"
    );
    for (effort, think) in [
        ("none", json!(false)),
        ("true", json!(true)),
        ("high", json!("high")),
    ] {
        assert_eq!(sent(user().reasoning_effort(effort)).await.1["think"], think);
    }
    assert_eq!(
        sent(user().response_format(ResponseFormat::JsonObject)).await.1["format"],
        "json"
    );
    let mut server = Server::answering(answer(200, &[], done("stop"))).await;
    let client = server.builder_of(WIRE).stream(false).build().unwrap();
    call(&client).await.succeeded();
    assert_eq!(server.request().await.1["stream"], false);

    let client = server.builder_of(WIRE).build().unwrap();
    let image = |image| Message::new(Role::User, [Part::Image(image)]);
    let broken = Message::new(Role::Assistant, []).with_tool_calls([ToolCall::new("a", "f", "[]")]);
    for (request, what) in [
        (
            user().tool_choice(ToolChoice::Required),
            "tool_choice to required",
        ),
        (
            user().tool_choice(ToolChoice::Tool("f".into())),
            "tool_choice to the tool `f`",
        ),
        (user().parallel_tool_calls(false), "parallel_tool_calls to false"),
        (user().tool(tool().with_strict(true)), "a strict tool"),
        (
            user().message(Message::user("u").with_name("n")),
            "the name of a speaker",
        ),
        (
            user().message(image(Image::url("https://h/i.png"))),
            "the address of an image",
        ),
        (
            user().message(image(Image::base64("t", "A").with_detail("low"))),
            "the detail of an image",
        ),
        (
            user().message(broken),
            "a call of tool `f` with arguments that are no JSON object",
        ),
    ] {
        let error = call_with(&client, Arc::new(request), CallContext::new())
            .await
            .failed();
        assert_eq!(error.kind(), &ErrorKind::BadRequest);
        assert_eq!(
            error.to_string(),
            format!("ollama request sets {what}, which this wire has no word for")
        );
    }
    let orphan = user().message(Message::tool("x", "a"));
    let error = call_with(&client, Arc::new(orphan), CallContext::new())
        .await
        .failed();
    assert!(
        error
            .to_string()
            .contains("the tool call `x`, which no earlier message makes"),
        "{error}"
    );
    assert!(server.seen.try_recv().is_err(), "nothing was sent");
}

#[test]
fn every_recorded_stream_decodes_without_loss_whatever_its_split() {
    let all = recorded(&["ollama"], |path| path == "/api/chat");
    for recorded in &all {
        let (mut text, mut reasoning, mut last) = (String::new(), String::new(), Value::Null);
        for line in recorded.body.lines() {
            last = serde_json::from_str(line).expect(line);
            text += last["message"]["content"].as_str().unwrap_or_default();
            reasoning += last["message"]["thinking"].as_str().unwrap_or_default();
            assert!(last["message"].get("tool_calls").is_none(), "not read here");
        }
        let ended = decoded(&recorded.body);
        let whole = ended.succeeded();
        assert_eq!(
            (&whole.text, &whole.reasoning),
            (&text, &reasoning),
            "{}",
            recorded.name
        );
        assert_eq!(
            whole.finish.unwrap().as_str(),
            last["done_reason"].as_str().unwrap()
        );
        assert_eq!(whole.model.as_deref(), last["model"].as_str());
        let figures = (whole.usage.input_tokens, whole.usage.output_tokens);
        assert_eq!(
            figures,
            (last["prompt_eval_count"].as_u64(), last["eval_count"].as_u64())
        );
        assert_eq!(unknown(&ended), [""; 0]);
        laws(&ended.events, false);
        every_split(WIRE, &recorded.body);
        let bare = recorded.body.trim_end();
        assert_eq!(
            decoded(&bare.replace('\n', "")).succeeded(),
            ended.succeeded(),
            "in one line"
        );
        for (at, _) in bare.match_indices('\n') {
            assert_eq!(
                decoded(&bare[..at]).failed().kind(),
                &ErrorKind::Truncated,
                "cut at {at}"
            );
        }
    }
    assert!(data().is_none() || all.len() >= 4, "{} streams", all.len());
}

fn message() -> impl Strategy<Value = Value> {
    let text = prop_oneof![Just(String::new()), "[a-zé🦀\"\\\\{} ]{1,6}"];
    let call = (
        prop::option::of("[ab]"),
        "[fg]?",
        prop_oneof![Just(json!({})), Just(json!({"x": "{"})), Just(Value::Null)],
    )
        .prop_map(
            |(id, name, arguments)| json!({"id": id, "function": {"name": name, "arguments": arguments}}),
        );
    prop_oneof![
        4 => text.clone().prop_map(|text| json!({"role": "assistant", "content": text})),
        2 => text.prop_map(|text| json!({"content": "", "thinking": text})),
        2 => prop::collection::vec(call, 0..3).prop_map(|calls| json!({"content": "", "tool_calls": calls})),
        1 => Just(Value::Null),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(500)))]

    #[test]
    fn random_answers_keep_the_laws(
        messages in prop::collection::vec(message(), 0..8),
        odd in prop::option::of((0..9usize, prop::sample::select(vec!["null", "{", "[1]", "{\"error\":\"m\"}", "oops", "{\"x\":1}", "{\"a\":\"b"]))),
        ends in prop::sample::select(vec!["\n", "", "\r\n\n"]),
        complete in any::<bool>(),
        seed in any::<u8>(),
    ) {
        let mut all: Vec<_> = messages.into_iter().map(line).collect();
        if complete {
            all.push(done("stop"));
        }
        if let Some((at, odd)) = odd {
            all.insert(at.min(all.len()), odd.to_owned());
        }
        let body: String = all.iter().map(|line| format!("{line}{ends}")).collect();
        let ended = decoded(&body);
        laws(&ended.events, ended.error.is_some());
        check(Some(WIRE), &[&[seed], body.as_bytes()].concat());
        if odd.is_none() {
            prop_assert_eq!(ended.error.is_none(), complete, "{}", body);
        }
    }

    #[test]
    fn folding_a_stream_gives_what_the_answer_in_one_piece_says(
        content in "[a-z🦀é\" ]{0,12}",
        thinking in "[a-z]{0,9}",
        calls in prop::collection::vec(("[fg]", "[a-z]{0,4}"), 0..4),
        reason in prop::sample::select(vec!["stop", "length", "load"]),
        piece in 1..4usize,
    ) {
        let cut = |text: &str| -> Vec<String> {
            text.chars().collect::<Vec<_>>().chunks(piece).map(|chars| chars.iter().collect()).collect()
        };
        let calls: Vec<_> = calls.iter().map(|(name, x)| json!({"function": {"name": name, "arguments": {"x": x}}})).collect();
        let mut all: Vec<_> = cut(&thinking).iter().map(|text| line(json!({"content": "", "thinking": text}))).collect();
        all.extend(cut(&content).iter().map(|piece| text(piece)));
        all.extend(calls.iter().map(|call| line(json!({"content": "", "tool_calls": [call]}))));
        all.push(done(reason));
        let mut whole: Value = serde_json::from_str(&done(reason)).unwrap();
        whole["message"] = json!({"role": "assistant", "content": content, "thinking": thinking, "tool_calls": calls});
        let streamed = lines(&all.iter().map(String::as_str).collect::<Vec<_>>()).succeeded();
        prop_assert_eq!(&streamed, &decoded(&whole.to_string()).succeeded());
        prop_assert_eq!(&streamed, &decoded(&serde_json::to_string_pretty(&whole).unwrap()).succeeded());
        prop_assert_eq!((&streamed.text, streamed.tool_calls.len()), (&content, calls.len()));
    }
}
