//! Gemini's `generateContent`: the decoder by itself, faults over sockets, recorded traffic.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use throng_core::{Classify, ErrorClass, Usage};
use throng_llm::{ErrorKind, FinishReason, Limited, Limits, Request, StreamEvent, ToolCall, Wire};

use crate::fuzzed::{check, laws};
use crate::gemini_requests::sent;
use crate::recorded::{data, recorded};
use crate::support::{
    Ended, Server, answer, call, cases, chunked, decode_of, decode_within, every_split, sse, stream,
};

pub(crate) const WIRE: Wire = Wire::Gemini;

fn decoded(body: &str) -> Ended {
    decode_of(WIRE, [body.as_bytes()])
}

pub(crate) fn frames(frames: &[&str]) -> Ended {
    decoded(&sse(frames))
}

/// A frame with parts.
#[expect(clippy::needless_pass_by_value, reason = "a literal stands in the call")]
pub(crate) fn parts(parts: Value) -> String {
    json!({"responseId": "r1", "modelVersion": "g1", "candidates": [{"index": 0, "content": {"role": "model", "parts": parts}}]})
        .to_string()
}

fn text(text: &str) -> String {
    parts(json!([{"text": text}]))
}

/// A frame with the reason why the model stopped.
pub(crate) fn stop(reason: &str) -> String {
    json!({"candidates": [{"index": 0, "finishReason": reason}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "thoughtsTokenCount": 4}})
    .to_string()
}

pub(crate) fn hello() -> String {
    sse(&[&text("Hel"), &text("lo"), &stop("STOP")])
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

#[expect(clippy::needless_pass_by_value, reason = "a literal stands in the call")]
fn signed(signature: &str, name: &str, of: Value) -> Value {
    json!({"type": "thought_signature", "signature": signature, name: of})
}

#[test]
fn a_plain_answer() {
    let ended = decoded(&hello());
    let done = ended.succeeded();
    assert_eq!((&*done.text, done.finish), ("Hello", Some(FinishReason::Stop)));
    let mut usage = Usage::of(3, 6);
    usage.reasoning_tokens = Some(4);
    assert_eq!(done.usage, usage, "thoughts are among the output");
    assert_eq!(
        (done.id.as_deref(), done.model.as_deref()),
        (Some("r1"), Some("g1"))
    );
    let crlf = hello().replace('\n', "\r\n");
    assert_eq!(decoded(&crlf).trace(), ended.trace());
    let begins = |event: &StreamEvent| format!("{event:?}").split(['(', ' ']).next().unwrap().to_owned();
    assert_eq!(
        ended.events.iter().map(begins).collect::<Vec<_>>(),
        ["Started", "TextDelta", "TextDelta", "Usage", "Finished"]
    );
}

#[test]
fn thoughts_and_signatures() {
    let done = frames(&[
        &parts(json!([{"text": "hm", "thought": true}, {"text": "Hel"}])),
        &parts(json!([{"text": "lo", "thoughtSignature": "S1+/="}])),
        &parts(json!([{"text": " you"}])),
        &parts(json!([{"text": "", "thoughtSignature": "S2"}])),
        &parts(json!([{"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "S3"}, {"functionCall": {"name": "f"}}])),
        &parts(json!([{"thoughtSignature": "S4"}])),
        &parts(json!([{"text": "", "thought": true, "thoughtSignature": "S5"}])),
        &stop("STOP"),
    ])
    .succeeded();
    assert_eq!((&*done.reasoning, &*done.text), ("hm", "Hello you"));
    assert_eq!(
        done.tool_calls,
        [
            ToolCall::new("call_0", "f", "{\"x\":1}"),
            ToolCall::new("call_1", "f", "{}")
        ]
    );
    assert_eq!(done.finish, Some(FinishReason::ToolCalls));
    assert_eq!(
        done.reasoning_opaque,
        [
            signed("S1+/=", "text", json!([0, 5])),
            signed("S2", "text", json!([5, 9])),
            signed("S3", "call", json!("call_0")),
            signed("S4", "call", json!("call_1")),
            signed("S5", "thought", json!(true)),
        ]
    );
}

#[test]
fn finish_reasons_are_kept_and_the_last_one_counts() {
    let reason = |reason| frames(&[&text("x"), &stop(reason)]).succeeded().finish.unwrap();
    assert_eq!(reason("MAX_TOKENS"), FinishReason::Length);
    for filtered in ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"] {
        assert_eq!(reason(filtered), FinishReason::ContentFilter);
    }
    for other in ["MALFORMED_FUNCTION_CALL", "LANGUAGE", "OTHER", "SOMETHING_NEW"] {
        assert_eq!(reason(other), FinishReason::Other(other.into()));
    }
    let malformed =
        r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"print(f())"}]}"#;
    assert_eq!(
        unknown(&frames(&[malformed])),
        [malformed],
        "its words are not lost"
    );
    assert_eq!(
        frames(&[&text("x"), &stop("")]).failed().kind(),
        &ErrorKind::Truncated
    );
    assert_eq!(
        frames(&[&text("x")]).failed().to_string(),
        "test ended the stream before a finish reason, after 1 frames with 1 bytes of text"
    );
    let twice = frames(&[&text("x"), &stop("STOP"), &text("y"), &stop("MAX_TOKENS")]).succeeded();
    assert_eq!((&*twice.text, twice.finish), ("xy", Some(FinishReason::Length)));
    assert_eq!(
        frames(&[&text("x"), &stop("STOP"), "[DONE]", &text("y")])
            .succeeded()
            .text,
        "x"
    );
    assert_eq!(
        frames(&[&text("x"), "[DONE]"]).failed().kind(),
        &ErrorKind::Truncated
    );
}

#[test]
fn code_that_the_server_runs() {
    let code = json!({"candidates": [{"content": {"parts": [{"executableCode": {"language": "PYTHON", "code": "1"}}]}, "finishReason": "STOP"}]}).to_string();
    let result = parts(json!([{"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}]));
    let ended = frames(&[&code, &result, &text("It is 1."), &stop("STOP")]);
    assert_eq!(ended.succeeded().text, "It is 1.");
    assert_eq!(unknown(&ended), [&*code, &*result]);
    for cut in [vec![&*code], vec![&*code, &*result]] {
        assert_eq!(
            frames(&cut).failed().kind(),
            &ErrorKind::Truncated,
            "the result is still to come"
        );
    }
    assert_eq!(
        decoded(&code).succeeded().finish,
        Some(FinishReason::Stop),
        "but not in one piece"
    );
}

#[test]
fn calls_whose_arguments_come_piece_by_piece() {
    let call = |call: Value| parts(json!([{"functionCall": call}]));
    let all = [
        parts(json!([{"functionCall": {"name": "f", "willContinue": true}, "thoughtSignature": "S"}])),
        call(
            json!({"partialArgs": [{"jsonPath": "$.a", "stringValue": "Bos", "willContinue": true}], "willContinue": true}),
        ),
        call(json!({"partialArgs": [{"jsonPath": "$.a", "stringValue": "ton"}], "willContinue": true})),
        call(json!({})),
        call(json!({"name": "g", "partialArgs": [{"jsonPath": "$.n", "numberValue": 2}]})),
        call(json!({"name": "h", "willContinue": true})),
        call(
            json!({"partialArgs": [{"jsonPath": "$.x", "stringValue": "half", "willContinue": true}], "willContinue": true}),
        ),
    ];
    let with = |reason: &str| {
        let stop = stop(reason);
        let mut all: Vec<_> = all.iter().map(String::as_str).collect();
        all.push(&stop);
        frames(&all).succeeded()
    };
    let whole = [
        ToolCall::new("call_0", "f", "{\"a\":\"Boston\"}"),
        ToolCall::new("call_1", "g", "{\"n\":2}"),
    ];
    let done = with("STOP");
    assert_eq!(done.tool_calls[..2], whole);
    assert_eq!(
        done.tool_calls[2],
        ToolCall::new("call_2", "h", "{\"x\":\"half\"}")
    );
    assert_eq!(done.reasoning_opaque, [signed("S", "call", json!("call_0"))]);
    for reason in ["MAX_TOKENS", "MALFORMED_FUNCTION_CALL"] {
        let done = with(reason);
        assert_eq!(done.tool_calls, whole, "{reason}");
        assert_eq!(done.cut_tool_calls, [ToolCall::new("call_2", "h", "")]);
    }
    let odd = call(json!({"partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}]}));
    assert_eq!(
        unknown(&frames(&[&odd, &stop("STOP")])),
        [&*odd],
        "a piece of no call"
    );
    let strange = call(json!({"name": "f", "partialArgs": [{"jsonPath": "$[9]", "stringValue": "x"}]}));
    let ended = frames(&[&strange, &stop("STOP")]);
    assert_eq!(unknown(&ended), [&*strange]);
    assert_eq!(
        ended.succeeded().tool_calls,
        [],
        "a call with a piece that is not known is not run"
    );
    assert_eq!(
        ended.succeeded().cut_tool_calls,
        [ToolCall::new("call_0", "f", "")]
    );
}

#[test]
fn usage_is_cumulative_and_zeros_erase_nothing() {
    let usage = |members: Value| json!({"candidates": [], "usageMetadata": members}).to_string();
    let ended = frames(&[
        &usage(
            json!({"promptTokenCount": 10, "thoughtsTokenCount": 67, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 10}]}),
        ),
        &usage(json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "cachedContentTokenCount": 8})),
        &usage(json!({"trafficType": "ON_DEMAND"})),
        &text("x"),
        &usage(
            json!({"promptTokenCount": 0, "candidatesTokenCount": 7, "thoughtsTokenCount": 70, "toolUsePromptTokenCount": 30}),
        ),
        r#"{"candidates":[{"finishReason":"STOP"}]}"#,
    ]);
    let figures = |event: &StreamEvent| match event {
        StreamEvent::Usage(usage) => Some((
            usage.input_tokens,
            usage.output_tokens,
            usage.reasoning_tokens,
            usage.cached_input_tokens,
        )),
        _ => None,
    };
    assert_eq!(
        ended.events.iter().filter_map(figures).collect::<Vec<_>>(),
        [
            (Some(10), Some(67), Some(67), None),
            (Some(10), Some(72), Some(67), Some(8)),
            (Some(40), Some(77), Some(70), Some(8)),
        ]
    );
    assert_eq!(ended.succeeded().usage.total(), 117);
}

#[test]
fn errors_within_an_answer() {
    let unavailable = r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#;
    for frame in [
        unavailable.to_owned(),
        format!("[{unavailable}]"),
        r#"{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}"#.to_owned(),
        format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"text":"more"}}]}},"finishReason":"STOP"}}],{}"#,
            &unavailable[1..]
        ),
    ] {
        let ended = frames(&[&text("Hi"), &frame, &stop("STOP")]);
        assert_eq!(ended.completion().text, "Hi");
        let error = ended.failed();
        assert_eq!(
            (error.kind(), error.code()),
            (&ErrorKind::Overloaded, Some("UNAVAILABLE")),
            "{frame}"
        );
        assert_eq!(
            error.to_string(),
            "test reported an error in its answer (UNAVAILABLE): The model is overloaded."
        );
    }
    for body in [
        unavailable.to_owned(),
        format!("[{unavailable}\n]\n"),
        format!("[{},\n{unavailable}]", text("Hi")),
    ] {
        assert_eq!(decoded(&body).failed().kind(), &ErrorKind::Overloaded, "{body}");
    }
    let blocked = r#"{"promptFeedback":{"blockReason":"SAFETY","safetyRatings":[]},"usageMetadata":{"promptTokenCount":4},"modelVersion":"g"}"#;
    for body in [sse(&[blocked]), blocked.to_owned(), format!("[{blocked}]")] {
        let error = decoded(&body).failed();
        assert_eq!(
            (error.kind(), error.code(), error.classify()),
            (&ErrorKind::ContentFilter, Some("SAFETY"), ErrorClass::Permanent)
        );
        assert_eq!(
            error.to_string(),
            "test reported an error in its answer (SAFETY): the prompt was blocked"
        );
    }
    let named = decoded("event: error\ndata: it broke\n\n").failed();
    assert_eq!((named.kind(), named.message()), (&ErrorKind::Server, "it broke"));
    assert_eq!(
        frames(&[&text("Hi"), "upstream error"]).failed().kind(),
        &ErrorKind::Protocol
    );
}

#[test]
fn strange_frames_are_kept_and_signs_of_life_are_not_content() {
    for strange in [
        "17",
        "[1]",
        r#"{"type":"billing"}"#,
        r#"{"candidates":[{"index":1,"content":{"parts":[{"text":"other"}]},"finishReason":"STOP"}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{}}]}}]}"#,
        r#"{"candidates":[{"groundingMetadata":{"webSearchQueries":["q"]}}]}"#,
        r#"{"candidates":[7]}"#,
        r#"{"candidates":[{"content":{"parts":["x"]}}]}"#,
    ] {
        let ended = frames(&[strange, &text("Hi"), &stop("STOP")]);
        assert_eq!(ended.succeeded().text, "Hi");
        assert_eq!(unknown(&ended), [strange]);
    }
    let ended = frames(&[
        "null",
        r#"{"candidates":[{"content":{"role":"model","parts":[]},"index":"0","safetyRatings":[{"category":"C"}],"groundingMetadata":{}}]}"#,
        r#"{"responseId":7,"candidates":[{"content":{"parts":[{"text":""}]}}],"usageMetadata":"?"}"#,
        &text("Hi"),
        r#"{"candidates":[{"content":{"parts":[{"text":"!","text":"?","thought":"no"}]},"finishReason":"STOP"}],"candidates":[{"content":null,"finishReason":"STOP"}]}"#,
    ]);
    assert_eq!(unknown(&ended), [""; 0]);
    assert_eq!(
        ended.succeeded().text,
        "Hi",
        "of members that come twice the last one counts"
    );
    let halves = frames(&[
        &text("a").replace("\"a\"", r#""a\ud83e""#),
        &text("b").replace("\"b\"", r#""\udd80b""#),
        &stop("STOP"),
    ]);
    assert_eq!(halves.succeeded().text, "a🦀b");
}

#[test]
fn a_list_of_frames_is_a_stream() {
    let all = [text("Hel"), text("lo"), stop("STOP")];
    let list = format!("[{}\n]\n", all.join("\n,\r\n"));
    let whole = decoded(&list);
    assert_eq!(whole.trace(), decoded(&hello()).trace());
    every_split(WIRE, &list);
    let last = list.rfind('}').unwrap() + 1;
    for at in 0..list.len() {
        let ended = decoded(&list[..at]);
        assert_eq!(
            ended.error.is_none(),
            at >= last,
            "cut at {at}: {}",
            ended.trace()
        );
        if let Some(error) = ended.error {
            assert_eq!(error.kind(), &ErrorKind::Truncated, "cut at {at}");
        }
    }
    assert_eq!(
        decoded("[]").failed().to_string(),
        "test sent JSON that is not a complete answer"
    );
    assert_eq!(
        decoded(&format!("[{} oops]", all[0])).failed().kind(),
        &ErrorKind::Protocol
    );
}

#[test]
fn limits_are_typed_errors() {
    let limits = Limits::default()
        .with_text_bytes(20)
        .with_tool_args_bytes(20)
        .with_tool_calls(2);
    let fails = |parts_: Value, what| {
        let body = sse(&[&parts(parts_), &stop("STOP")]);
        let error = decode_within(WIRE, limits, body.as_bytes().chunks(50)).failed();
        assert_eq!(error.kind(), &ErrorKind::TooLarge(what), "{error}");
    };
    fails(json!([{"text": "x".repeat(21)}]), Limited::Text);
    fails(
        json!([{"text": "x", "thoughtSignature": "x".repeat(21)}]),
        Limited::Text,
    );
    let call = json!({"functionCall": {"name": "f", "args": {"a": "0123456789"}}});
    fails(json!([call, call]), Limited::ToolArguments);
    let small = json!({"functionCall": {"name": "f"}});
    fails(json!([small, small, small]), Limited::ToolCalls);
    let piece = json!({"functionCall": {"name": "f", "partialArgs": [{"jsonPath": "$.a", "stringValue": "x".repeat(21)}]}});
    fails(json!([piece]), Limited::ToolArguments);
}

async fn answering(bytes: impl Into<Vec<u8>>) -> Ended {
    let server = Server::answering(bytes).await;
    call(&server.builder_of(WIRE).build().unwrap()).await
}

#[tokio::test]
async fn the_fault_table() {
    use ErrorKind::{Overloaded, Protocol, Transport, Truncated};
    let hi = text("Hi");
    let error = r#"{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}"#;
    let broken = chunked(&sse(&[&hi]));
    let json = ["content-type: application/json"];
    for (bytes, kind, said) in [
        (stream(sse(&[&hi])), Truncated, "Hi"),
        (stream(format!("{}data: {{\"cand", sse(&[&hi]))), Truncated, "Hi"),
        (stream(""), Truncated, ""),
        (broken[..broken.len() - 5].to_vec(), Transport, "Hi"),
        (stream(sse(&[&hi, error])), Overloaded, "Hi"),
        (stream(sse(&[error, &stop("STOP")])), Overloaded, ""),
        (answer(200, &json, format!("[{error}]")), Overloaded, ""),
        (
            answer(200, &["content-type: text/html"], "<html>login</html>"),
            Protocol,
            "",
        ),
        (answer(200, &json, "{\"ok\":true}"), Protocol, ""),
        (answer(200, &json, format!("[{hi}")), Truncated, "Hi"),
        (answer(200, &json, &hi[..hi.len() - 9]), Truncated, ""),
        (answer(200, &json, &hi), Protocol, "Hi"),
        (stream("hello"), Protocol, ""),
        (stream(sse(&[&hi, "{broken"])), Protocol, "Hi"),
        (stream(sse(&[&hi, "Internal error"])), Protocol, "Hi"),
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
    let halves = sse(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"\ud83e"}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"\udd80"}]},"finishReason":"STOP"}]}"#,
    ]);
    let whole = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]}"#;
    let cut = chunked(&sse(&[&hi, &stop("STOP")]));
    for (bytes, said) in [
        (stream(format!("\u{feff}{}", hello())), "Hello"),
        (stream(hello().replace('\n', "\r\n")), "Hello"),
        (answer(200, &json, hello()), "Hello"),
        (stream(whole), "Hi"),
        (answer(200, &json, format!("[{whole}]")), "Hi"),
        (stream(halves), "🦀"),
        (cut[..cut.len() - 5].to_vec(), "Hi"),
    ] {
        assert_eq!(answering(bytes).await.succeeded().text, said);
    }
}

#[tokio::test]
async fn every_cut_of_a_stream_is_an_error_until_its_last_word_is_there() {
    let body = hello();
    let whole = body.len();
    for at in 0..=body.len() {
        assert_eq!(decoded(&body[..at]).error.is_none(), at >= whole, "cut at {at}");
    }
    for at in (0..body.len()).step_by(29) {
        assert!(
            answering(stream(&body[..at])).await.error.is_some(),
            "cut at {at}"
        );
    }
    every_split(WIRE, &body);
}

#[tokio::test]
async fn errors_by_status() {
    let google = |code: u16, status: &str, details: Value| {
        json!({"error": {"code": code, "message": "m", "status": status, "details": details}}).to_string()
    };
    let retry = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37.5s"});
    let quota = json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]});
    let key = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"});
    let wait = Some(Duration::from_millis(37_500));
    let exhausted = "RESOURCE_EXHAUSTED";
    for (status, body, kind, class) in [
        (
            400,
            google(400, "INVALID_ARGUMENT", json!([key])),
            ErrorKind::Auth,
            ErrorClass::Permanent,
        ),
        (
            400,
            google(400, "INVALID_ARGUMENT", json!([])),
            ErrorKind::BadRequest,
            ErrorClass::Permanent,
        ),
        (
            403,
            google(403, "PERMISSION_DENIED", json!([])),
            ErrorKind::Auth,
            ErrorClass::Permanent,
        ),
        (
            404,
            google(404, "NOT_FOUND", json!([])),
            ErrorKind::NotFound,
            ErrorClass::Permanent,
        ),
        (
            429,
            google(429, exhausted, json!([retry])),
            ErrorKind::RateLimited,
            ErrorClass::Throttled { retry_after: wait },
        ),
        (
            429,
            format!("[{}]", google(429, exhausted, json!([retry]))),
            ErrorKind::RateLimited,
            ErrorClass::Throttled { retry_after: wait },
        ),
        (
            429,
            google(429, exhausted, json!([quota, retry])),
            ErrorKind::QuotaExhausted,
            ErrorClass::Permanent,
        ),
        (
            500,
            google(500, "INTERNAL", json!([])),
            ErrorKind::Server,
            ErrorClass::Transient,
        ),
        (
            503,
            google(503, "UNAVAILABLE", json!([])),
            ErrorKind::Overloaded,
            ErrorClass::Overloaded { retry_after: None },
        ),
        (
            504,
            google(504, "DEADLINE_EXCEEDED", json!([])),
            ErrorKind::Server,
            ErrorClass::Transient,
        ),
        (502, "<html>".to_owned(), ErrorKind::Server, ErrorClass::Transient),
    ] {
        let error = answering(answer(status, &[], &body)).await.failed();
        assert_eq!(
            (error.kind(), error.classify(), error.status()),
            (&kind, class, Some(status)),
            "{body}"
        );
    }
    let in_stream = answering(stream(sse(&[&google(429, exhausted, json!([retry]))])))
        .await
        .failed();
    assert_eq!(in_stream.retry_after(), wait);
}

/// What a body says, read without this crate.
#[derive(Debug, Default, PartialEq)]
struct Naive {
    text: String,
    reasoning: String,
    calls: Vec<(String, Value)>,
    signatures: Vec<String>,
    finish: String,
    input: u64,
    output: u64,
    /// Frames with parts that are no text and no call.
    others: usize,
}

fn naive<'a>(frames: impl Iterator<Item = &'a str>) -> Naive {
    let mut naive = Naive::default();
    for frame in frames {
        let frame: Value = serde_json::from_str(frame).expect(frame);
        let usage = &frame["usageMetadata"];
        let count = |name: &str| usage[name].as_u64().unwrap_or(0);
        naive.input = naive
            .input
            .max(count("promptTokenCount") + count("toolUsePromptTokenCount"));
        naive.output = naive
            .output
            .max(count("candidatesTokenCount") + count("thoughtsTokenCount"));
        let candidate = &frame["candidates"][0];
        let mut other = false;
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            naive
                .signatures
                .extend(part["thoughtSignature"].as_str().map(str::to_owned));
            if let Some(text) = part["text"].as_str() {
                if part["thought"] == true {
                    naive.reasoning += text;
                } else {
                    naive.text += text;
                }
            } else if let Some(name) = part["functionCall"]["name"].as_str() {
                naive
                    .calls
                    .push((name.to_owned(), part["functionCall"]["args"].clone()));
            } else {
                other = true;
            }
        }
        naive.others += usize::from(other);
        if let Some(reason) = candidate["finishReason"].as_str() {
            naive.finish = reason.to_owned();
        }
    }
    naive
}

fn ours(ended: &Ended) -> Naive {
    let done = ended.succeeded();
    let signature = |value: &Value| value["signature"].as_str().expect("a signature").to_owned();
    Naive {
        text: done.text.clone(),
        reasoning: done.reasoning.clone(),
        calls: done
            .tool_calls
            .iter()
            .map(|call| (call.name.clone(), call.parse_arguments().unwrap()))
            .collect(),
        signatures: done.reasoning_opaque.iter().map(signature).collect(),
        finish: match done.finish.unwrap() {
            FinishReason::Stop | FinishReason::ToolCalls => "STOP".to_owned(),
            FinishReason::Length => "MAX_TOKENS".to_owned(),
            other => other.to_string(),
        },
        input: done.usage.input_tokens.unwrap_or(0),
        output: done.usage.output_tokens.unwrap_or(0),
        others: unknown(ended).len(),
    }
}

#[test]
fn every_recorded_stream_decodes_without_loss_whatever_its_split() {
    let all = recorded(&["gemini"], |path| path.ends_with(":streamGenerateContent"));
    for recorded in &all {
        let ended = decoded(&recorded.body);
        let lines = recorded
            .body
            .lines()
            .filter_map(|line| line.strip_prefix("data: "));
        assert_eq!(ours(&ended), naive(lines), "{}", recorded.name);
        laws(&ended.events, false);
        every_split(WIRE, &recorded.body);
        let frames = recorded
            .body
            .lines()
            .filter_map(|line| line.strip_prefix("data: "));
        let list = format!("[{}]", frames.collect::<Vec<_>>().join(","));
        assert_eq!(
            decoded(&list).trace(),
            ended.trace(),
            "{} as a list",
            recorded.name
        );
    }
    assert!(data().is_none() || all.len() >= 25, "{} streams", all.len());
}

#[tokio::test]
async fn recorded_conversations_go_on_with_the_parts_that_the_model_sent() {
    let all = recorded(&["gemini"], |path| path.ends_with(":streamGenerateContent"));
    let mut turns = 0;
    for pair in all.windows(2) {
        let next: Value = serde_json::from_str(&pair[1].request).unwrap();
        let Some([.., turn, results]) = next["contents"].as_array().map(Vec::as_slice) else {
            continue;
        };
        if results["parts"][0].get("functionResponse").is_none() || !pair[0].request.contains("\"tools\":[") {
            continue;
        }
        let message = decoded(&pair[0].body).succeeded().to_message();
        if message.tool_calls.is_empty() {
            continue;
        }
        let body = sent(Request::new("m").message(message)).await;
        let mut expect = turn.clone();
        for part in expect["parts"].as_array_mut().unwrap() {
            part.as_object_mut().unwrap().remove("thought");
        }
        assert_eq!(body["contents"][0], expect, "{}", pair[1].name);
        turns += 1;
    }
    assert!(data().is_none() || turns >= 8, "{turns} turns");
}

#[test]
fn recorded_calls_whose_arguments_come_piece_by_piece() {
    let Some(root) = data() else { return };
    let file = root.join("provider_streams/google-stream-tool-call-arguments.chunks.txt");
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let ended = frames(&lines);
    let done = ended.succeeded();
    assert_eq!(
        done.tool_calls,
        [
            ToolCall::new("call_0", "getWeather", "{\"location\":\"Boston\"}"),
            ToolCall::new("call_1", "getWeather", "{\"location\":\"San Francisco\"}"),
        ]
    );
    assert_eq!(
        (
            unknown(&ended).len(),
            done.usage.total(),
            done.reasoning_opaque.len()
        ),
        (0, 181, 1)
    );
    every_split(WIRE, &sse(&lines));
}

/// What a model may say next.
fn said() -> impl Strategy<Value = Value> {
    let text = prop_oneof![Just(String::new()), "[a-zé🦀 ]{1,6}"];
    let signature = || prop::option::weighted(0.2, "[A-Z]{3}");
    let with = |mut part: Value, signature: Option<String>| {
        if let Some(signature) = signature {
            part["thoughtSignature"] = signature.into();
        }
        part
    };
    let (a, b, c) = (with, with, with);
    prop_oneof![
        4 => (text.clone(), signature()).prop_map(move |(text, signature)| a(json!({"text": text}), signature)),
        2 => (text, signature()).prop_map(move |(text, signature)| b(json!({"text": text, "thought": true}), signature)),
        2 => ("[fg]", prop::option::of("[ab]"), signature()).prop_map(move |(name, id, signature)| {
            let mut call = json!({"name": name, "args": {"v": name}});
            if let Some(id) = id {
                call["id"] = id.into();
            }
            c(json!({"functionCall": call}), signature)
        }),
        1 => Just(json!({"executableCode": {"code": "1"}})),
        1 => Just(json!({"codeExecutionResult": {"output": "1"}})),
        1 => Just(json!({"thoughtSignature": "LONE"})),
        1 => Just(json!({"functionCall": {"name": "p", "willContinue": true}})),
        1 => Just(json!({"functionCall": {"partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}], "willContinue": true}})),
        1 => Just(json!({"functionCall": {}})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(500)))]

    #[test]
    fn random_answers_keep_the_laws(
        all in prop::collection::vec(prop::collection::vec(said(), 0..3), 0..8),
        odd in prop::option::of((0..8usize, prop::sample::select(vec!["null", "{", "[1]", "{\"error\":{\"code\":500}}", "[DONE]", "{\"x\":1}"]))),
        reason in prop::sample::select(vec!["STOP", "MAX_TOKENS", "SAFETY", "OTHER", ""]),
        seed in any::<u8>(),
    ) {
        let mut frames: Vec<_> = all.iter().map(|all| parts(Value::Array(all.clone()))).collect();
        frames.push(stop(reason));
        if let Some((at, odd)) = odd {
            frames.insert(at.min(frames.len()), odd.to_owned());
        }
        let frames: Vec<_> = frames.iter().map(String::as_str).collect();
        let body = sse(&frames);
        let ended = decoded(&body);
        laws(&ended.events, ended.error.is_some());
        check(Some(WIRE), &[&[seed], body.as_bytes()].concat());
        let broken = odd.is_some_and(|(_, odd)| matches!(odd, "{" | "[DONE]") || odd.contains("error"));
        if !broken {
            prop_assert_eq!(ended.error.is_none(), !reason.is_empty());
        }
        let list = format!("[{}]", frames.join(","));
        check(Some(WIRE), &[&[seed], list.as_bytes()].concat());
    }

    #[test]
    fn folding_a_stream_gives_what_the_answer_in_one_piece_says(
        all in prop::collection::vec(said(), 0..9),
        sizes in prop::collection::vec(1..4usize, 9),
        reason in prop::sample::select(vec!["STOP", "MAX_TOKENS", "OTHER"]),
    ) {
        let last = stop(reason);
        let mut frames = Vec::new();
        let mut rest = &all[..];
        for size in sizes {
            let (now, later) = rest.split_at(size.min(rest.len()));
            frames.push(parts(Value::Array(now.to_vec())));
            rest = later;
        }
        frames.push(last.clone());
        let frames: Vec<_> = frames.iter().map(String::as_str).collect();
        let mut whole: Value = serde_json::from_str(&last).unwrap();
        whole["candidates"][0]["content"] = json!({"role": "model", "parts": all});
        whole["responseId"] = "r1".into();
        whole["modelVersion"] = "g1".into();
        let streamed = decoded(&sse(&frames)).succeeded();
        prop_assert_eq!(&streamed, &decoded(&whole.to_string()).succeeded());
        prop_assert_eq!(&streamed, &decoded(&serde_json::to_string_pretty(&whole).unwrap()).succeeded());
    }
}
