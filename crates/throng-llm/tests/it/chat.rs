//! The decoder of chat completions by itself: every dialect that was seen, and what must never pass as an answer.

use serde_json::json;
use throng_core::{Classify, ErrorClass, Usage};
use throng_llm::{ErrorKind, FinishReason, Limited, Limits, StreamEvent, ToolCall, Wire};

use crate::support::{Ended, decode, decode_within, delta, finish, hello, sse};

/// Decodes frames as server-sent events.
fn frames(frames: &[&str]) -> Ended {
    decode([sse(frames).as_bytes()])
}

/// Decodes deltas, a finish reason and `[DONE]`.
fn deltas(deltas: &[serde_json::Value], reason: &str) -> Ended {
    let mut all: Vec<_> = deltas
        .iter()
        .map(|delta| json!({"choices": [{"index": 0, "delta": delta}]}).to_string())
        .collect();
    all.push(finish(reason));
    all.push("[DONE]".into());
    frames(&all.iter().map(String::as_str).collect::<Vec<_>>())
}

fn unknown(ended: &Ended) -> usize {
    ended
        .events
        .iter()
        .filter(|event| matches!(event, StreamEvent::Unknown { .. }))
        .count()
}

#[test]
fn a_plain_answer() {
    let ended = decode([hello().as_bytes()]);
    let done = ended.succeeded();
    assert_eq!(
        (&*done.text, done.finish.clone()),
        ("Hello", Some(FinishReason::Stop))
    );
    assert_eq!(done.usage, Usage::of(3, 2));
    assert_eq!(
        (done.id.as_deref(), done.model.as_deref()),
        (Some("c1"), Some("m1"))
    );
    assert_eq!(
        ended
            .events
            .iter()
            .map(|event| format!("{event:?}").split(['(', ' ']).next().unwrap().to_owned())
            .collect::<Vec<_>>(),
        ["Started", "TextDelta", "TextDelta", "Usage", "Finished"]
    );
}

#[test]
fn a_finish_reason_and_a_clean_end_are_enough_but_neither_alone() {
    assert_eq!(frames(&[&delta("Hi"), &finish("stop")]).succeeded().text, "Hi");
    let error = frames(&[&delta("Hi"), "[DONE]"]).failed();
    assert_eq!(error.kind(), &ErrorKind::Truncated);
    assert_eq!(
        error.to_string(),
        "test sent [DONE] without a finish reason, after 2 frames with 2 bytes of text"
    );
    assert!(!error.before_first_content());
    let error = frames(&[&delta("Hi")]).failed();
    assert_eq!(
        (error.kind(), error.classify()),
        (&ErrorKind::Truncated, ErrorClass::Transient)
    );
    assert_eq!(error.received().text_bytes, 2);
    let cut = format!("{}data: {}", sse(&[&delta("Hi")]), finish("stop"));
    assert_eq!(
        decode([cut.as_bytes()]).failed().kind(),
        &ErrorKind::Truncated,
        "an event without its blank line"
    );
}

#[test]
fn finish_reasons_are_kept() {
    let reason = |reason| {
        deltas(&[json!({"content": "x"})], reason)
            .succeeded()
            .finish
            .unwrap()
    };
    assert_eq!(reason("length"), FinishReason::Length);
    assert_eq!(reason("content_filter"), FinishReason::ContentFilter);
    assert_eq!(reason("MAX_TOKENS"), FinishReason::Length);
    assert_eq!(reason("eos_token"), FinishReason::Other("eos_token".into()));
    assert_eq!(reason("eos_token").to_string(), "eos_token");
    let error = deltas(&[json!({"content": "x"})], "").failed();
    assert_eq!(error.kind(), &ErrorKind::Truncated, "an empty reason is none");
    let twice = frames(&[&finish("length"), &finish("stop"), "[DONE]"]).succeeded();
    assert_eq!(twice.finish, Some(FinishReason::Length), "the first one counts");
    let empty_first = frames(&[
        r#"{"choices":[{"delta":{"content":"x"},"finish_reason":""}]}"#,
        &finish("stop"),
    ]);
    assert_eq!(empty_first.succeeded().text, "x");
}

#[test]
fn an_error_in_the_stream_is_an_error_whatever_stands_beside_it() {
    for frame in [
        r#"{"error":{"message":"boom","type":"server_error","code":500}}"#,
        r#"{"choices":[],"error":{"message":"boom","type":"server_error","code":"500"}}"#,
        r#"{"choices":null,"error":{"message":"boom","type":"server_error","code":500}}"#,
        r#"{"choices":[{"delta":{"content":"more"},"finish_reason":"stop"}],"error":{"message":"boom","code":500}}"#,
        r#"{"choices":[{"delta":{"content":""},"finish_reason":"error","error":{"message":"boom","code":500}}]}"#,
        r#"{"object":"error","message":"boom","type":"server_error","code":500}"#,
        r#"{"message":"boom","code":500}"#,
        r#"[{"error":{"message":"boom","code":500}}]"#,
        r#"{"x_groq":{"error":{"message":"boom","code":500}},"choices":[]}"#,
    ] {
        for tail in ["[DONE]", r#"{"choices":[]}"#] {
            let ended = frames(&[&delta("Hi"), frame, &finish("stop"), tail]);
            assert_eq!(ended.completion().text, "Hi");
            let error = ended.failed();
            assert_eq!(
                (error.kind(), error.code(), error.message()),
                (&ErrorKind::Server, Some("500"), "boom"),
                "{frame}"
            );
            assert_eq!(
                error.to_string(),
                "test reported an error in its answer (500): boom"
            );
            assert_eq!(error.raw_body(), Some(frame));
            assert!(!error.before_first_content());
        }
    }
    let text = frames(&[r#"{"error":"out of memory"}"#]).failed();
    assert_eq!(
        (text.message(), text.before_first_content()),
        ("out of memory", true)
    );
    let named = decode([&b"event: error\ndata: it broke\n\n"[..]]).failed();
    assert_eq!((named.kind(), named.message()), (&ErrorKind::Server, "it broke"));
    let reason = frames(&[&delta("Hi"), &finish("error"), "[DONE]"]).failed();
    assert_eq!(reason.kind(), &ErrorKind::Server);
    for nothing in ["null", "\"\"", "false"] {
        let frame = format!(
            r#"{{"error":{nothing},"choices":[{{"delta":{{"content":"x"}},"finish_reason":"stop"}}]}}"#
        );
        assert_eq!(frames(&[&frame]).succeeded().text, "x", "{nothing}");
    }
    let first = frames(&[
        r#"{"error":{"object":"error","message":"bad","type":"BadRequestError","param":null,"code":400}}"#,
        "[DONE]",
    ]);
    assert_eq!(
        first.failed().classify(),
        ErrorClass::Permanent,
        "vLLM reports wrong requests in the stream"
    );
}

#[test]
fn bodies_that_are_no_answer() {
    #[track_caller]
    fn check(body: &str, kind: &ErrorKind, text: &str) {
        for pieces in [vec![body.as_bytes()], body.as_bytes().chunks(1).collect()] {
            let error = decode(pieces).failed();
            assert_eq!((error.kind(), &*error.to_string()), (kind, text), "{body}");
            assert!(error.before_first_content());
        }
    }
    use ErrorKind::{Protocol, Server, Truncated};
    let html = "test sent an HTML page, as login pages and proxies do, in the place of an answer";
    check(
        "",
        &Truncated,
        "test sent an answer without a body, after 0 frames with 0 bytes of text",
    );
    check(
        "\n\n  \u{feff}",
        &Truncated,
        "test sent an answer without a body, after 0 frames with 0 bytes of text",
    );
    check("<!doctype html><html><body>Log in</body></html>", &Protocol, html);
    check(&format!("<html>{}</html>", "x".repeat(20_000)), &Protocol, html);
    check(
        "Internal Server Error",
        &Protocol,
        "test sent a body that is neither a stream of events nor JSON",
    );
    check("{}", &Protocol, "test sent JSON that is not a complete answer");
    check(
        r#"{"status":"ok"}"#,
        &Protocol,
        "test sent JSON that is not a complete answer",
    );
    check("[]", &Protocol, "test sent JSON that is not a complete answer");
    check(
        r#"{"choices":[]}"#,
        &Protocol,
        "test sent JSON that is not a complete answer",
    );
    check(
        r#"{"choices":[{"message":{"content":""}}]}"#,
        &Protocol,
        "test sent JSON that is not a complete answer",
    );
    check(
        r#"{"choices":[{"message":{"content":"#,
        &Truncated,
        "test ended its answer in the middle of the JSON, after 1 frames with 0 bytes of text",
    );
    check(
        r#"{"error":{"message":"no","code":null,"type":"server_error"}}"#,
        &Server,
        "test reported an error in its answer (server_error): no",
    );
    check(
        ": ping\n\n: ping\n\n",
        &Protocol,
        "test sent a body that is neither a stream of events nor JSON",
    );
    check(
        "data: {broken\n\n",
        &Protocol,
        "test sent a frame that is not JSON",
    );
    check(
        "data: Internal Server Error\n\n",
        &Protocol,
        "test sent a frame that is not JSON",
    );
    check(
        "data: [DONE]\n\n",
        &Truncated,
        "test sent [DONE] without a finish reason, after 1 frames with 0 bytes of text",
    );
}

#[test]
fn frames_that_repeat_mean_the_same_however_they_are_cut() {
    let frame = |text: &str| {
        format!(r#"{{"id":"c1","choices":[{{"index":0,"delta":{{"content":"{text}"}}}}],"n":1}}"#)
    };
    let event = |text: &str| format!("data: {}\n\n", frame(text));
    let odd: [Vec<u8>; 14] = [
        event("").into(),
        event("wörld 🦀").into(),
        event(r#"a\"b\\"#).into(),
        event(r"\ud83e").into(),
        event(r"\udd80").into(),
        event("a\tb").into(),
        event("a\",\"b\":\"c").into(),
        [b"data: ", frame("\u{7f}").as_bytes(), b"\r\n\r\n"].concat(),
        [b"data:", frame("a").as_bytes(), b"\r\r"].concat(),
        [b"event: error\n", event("a").as_bytes()].concat(),
        [b"event: x\n", event("a").as_bytes()].concat(),
        [b"data: x\n", event("a").as_bytes()].concat(),
        [b": no end ", event("a").as_bytes()].concat(),
        event("~")
            .bytes()
            .map(|byte| if byte == b'~' { 0xff } else { byte })
            .collect(),
    ];
    for odd in &odd {
        let last = sse(&[&finish("stop"), "[DONE]"]);
        let events = [
            event("Hi").into(),
            event(" there").into(),
            odd.clone(),
            event("!").into(),
            last.into(),
        ];
        let whole: Vec<u8> = events.concat();
        let expect = decode(whole.chunks(1)).trace();
        let shown = String::from_utf8_lossy(&whole);
        assert_eq!(
            decode([whole.as_slice()]).trace(),
            expect,
            "in one piece: {shown}"
        );
        assert_eq!(
            decode(events.iter().map(Vec::as_slice)).trace(),
            expect,
            "event by event: {shown}"
        );
        for at in 0..whole.len() {
            let (a, b) = whole.split_at(at);
            assert_eq!(decode([a, b]).trace(), expect, "cut at {at}: {shown}");
        }
        let limits = Limits::default().with_event_bytes(event(" ther").len() - 2);
        let cut = |pieces: Vec<&[u8]>| decode_within(Wire::OpenAiChat, limits, pieces).trace();
        assert_eq!(
            cut(events.iter().map(Vec::as_slice).collect()),
            cut(whole.chunks(1).collect()),
            "limited: {shown}"
        );
    }
}

#[test]
fn a_bom_costs_nothing() {
    let body = format!("\u{feff}{}", hello());
    assert_eq!(decode([body.as_bytes()]).succeeded().text, "Hello");
    let body = "\u{feff}{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}";
    assert_eq!(decode(body.as_bytes().chunks(1)).succeeded().text, "x");
}

#[test]
fn frames_without_content_are_signs_of_life_and_strange_ones_are_kept() {
    let ended = frames(&[
        "null",
        "",
        r#"{"choices":[],"cost":"0"}"#,
        r#"{"choices":[],"prompt_filter_results":[]}"#,
        r#"{"choices":[{"content_filter_results":{}}]}"#,
        &delta(""),
        &delta("Hi"),
        &finish("stop"),
    ]);
    assert_eq!(ended.succeeded().text, "Hi");
    assert_eq!(unknown(&ended), 0, "{:?}", ended.events);
    assert_eq!(
        ended
            .events
            .iter()
            .filter(|event| matches!(event, StreamEvent::KeepAlive))
            .count(),
        5
    );
    for strange in [
        "17",
        "\"text\"",
        "[1]",
        "true",
        r#"{"type":"billing","cents":3}"#,
        r#"{"choices":[{"delta":{"audio":{"data":"AAAA"}}}]}"#,
        r#"{"choices":[{"delta":{"content":[{"type":"reference","reference_ids":[1]}]}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"other"}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"type":"custom"}]}}]}"#,
    ] {
        let ended = frames(&[strange, &delta("Hi"), &finish("stop")]);
        assert_eq!(ended.succeeded().text, "Hi");
        let raws = ended.events.iter().filter_map(|event| match event {
            StreamEvent::Unknown { raw } => Some(&**raw),
            _ => None,
        });
        assert_eq!(raws.collect::<Vec<_>>(), [strange]);
    }
    let keepalive = decode([format!("event: keepalive\ndata: {{}}\n\n: x\n\n{}", hello()).as_bytes()]);
    assert_eq!(keepalive.succeeded().text, "Hello");
    assert_eq!(unknown(&keepalive), 0);
}

#[test]
fn members_of_unexpected_types_count_as_absent() {
    let ended = frames(&[
        r#"{"id":7,"model":null,"choices":[{"index":"0","delta":{"content":"a","refusal":[],"tool_calls":null,"role":5}}],"usage":"?"}"#,
        r#"{"id":"x","id":"y","choices":[{"delta":{"content":"b"}}],"usage":{"prompt_tokens":"4","completion_tokens":2.0}}"#,
        r#"{"choices":[{"delta":null,"finish_reason":null}],"usage":{}}"#,
        r#"{"choices":[{"delta":{"content":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":null,"completion_tokens":-1}}"#,
    ]);
    let done = ended.succeeded();
    assert_eq!(
        (&*done.text, done.usage, done.id.as_deref()),
        ("ab", Usage::of(4, 2), Some("7"))
    );
    assert_eq!(unknown(&ended), 0);
}

#[test]
fn usage_is_replaced_and_never_added() {
    let usage = |n| format!(r#"{{"choices":[],"usage":{{"prompt_tokens":10,"completion_tokens":{n}}}}}"#);
    let beside = r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":8},"completion_tokens_details":{"reasoning_tokens":3}}}"#;
    let ended = frames(&[
        &delta("x"),
        beside,
        &usage(4),
        r#"{"choices":[],"usage":{}}"#,
        "[DONE]",
    ]);
    let mut expect = Usage::of(10, 4);
    expect.cached_input_tokens = Some(8);
    expect.reasoning_tokens = Some(3);
    assert_eq!(
        ended.succeeded().usage,
        expect,
        "twice, as Groq and Venice send it"
    );
    let snapshots: Vec<_> = ended
        .events
        .iter()
        .filter(|event| matches!(event, StreamEvent::Usage(_)))
        .collect();
    assert_eq!(
        snapshots,
        [&StreamEvent::Usage(expect)],
        "the same snapshot is given once"
    );
    let grows = frames(&[&usage(1), &delta("x"), &usage(7), &finish("stop")]).succeeded();
    assert_eq!(grows.usage, Usage::of(10, 7));
    let groq = frames(&[
        &delta("x"),
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r","usage":{"prompt_tokens":1,"completion_tokens":2}}}"#,
    ]);
    assert_eq!(groq.succeeded().usage, Usage::of(1, 2));
    let in_choice = frames(&[
        r#"{"choices":[{"delta":{"content":"x"},"finish_reason":"stop","usage":{"prompt_tokens":1,"completion_tokens":2}}]}"#,
    ]);
    assert_eq!(in_choice.succeeded().usage, Usage::of(1, 2));
    let litellm = frames(&[
        &delta("x"),
        &finish("stop"),
        r#"{"choices":[{"index":0,"delta":{}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        "[DONE]",
    ]);
    assert_eq!(litellm.succeeded().usage, Usage::of(1, 2));
    let deepseek = frames(&[
        &finish("stop"),
        r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_cache_hit_tokens":8}}"#,
    ]);
    assert_eq!(deepseek.succeeded().usage.cached_input_tokens, Some(8));
}

#[test]
fn halves_of_surrogate_pairs_are_joined_across_deltas() {
    let raw = |text: &str| format!(r#"{{"choices":[{{"delta":{{"content":"{text}"}}}}]}}"#);
    let joined = |pieces: &[&str]| {
        let mut all: Vec<_> = pieces.iter().map(|piece| raw(piece)).collect();
        all.push(finish("stop"));
        let ended = frames(&all.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(unknown(&ended), 0);
        ended.succeeded().text
    };
    assert_eq!(joined(&["a\\ud83e", "\\udd80b"]), "a🦀b");
    assert_eq!(joined(&["a\\ud83e", "", "\\udd80b"]), "a🦀b");
    assert_eq!(joined(&["\\ud83e", "x"]), "\u{fffd}x");
    assert_eq!(joined(&["x\\ud83e"]), "x\u{fffd}");
    assert_eq!(joined(&["\\udd80", "\\\\ud83e"]), "\u{fffd}\\ud83e");
    let tool = |arguments: &str| {
        format!(
            r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":0,"id":"t","function":{{"name":"f","arguments":"{arguments}"}}}}]}}}}]}}"#
        )
    };
    let ended = frames(&[
        &tool(r#"{\"a\":\"\ud83e"#),
        &tool(r#"\udd80\"}"#),
        &finish("tool_calls"),
    ]);
    assert_eq!(
        ended.succeeded().tool_calls,
        [ToolCall::new("t", "f", r#"{"a":"🦀"}"#)]
    );
    let text_between = frames(&[
        &raw("\\ud83e"),
        r#"{"choices":[{"delta":{"reasoning":"r"}}]}"#,
        &raw("\\udd80"),
        &finish("stop"),
    ]);
    assert_eq!(text_between.succeeded().text, "🦀", "each text has its own half");
}

#[test]
fn reasoning_in_every_dialect() {
    let done = deltas(
        &[
            json!({"reasoning_content": "think", "content": null}),
            json!({"content": "say"}),
        ],
        "stop",
    )
    .succeeded();
    assert_eq!(
        (&*done.reasoning, &*done.text),
        ("think", "say"),
        "DeepSeek, llama.cpp"
    );
    let text = json!({"type": "reasoning.text", "text": "think", "format": "f", "index": 0});
    let signed = json!({"type": "reasoning.text", "signature": "S==", "format": "f", "index": 0});
    let sealed = json!({"type": "reasoning.encrypted", "data": "D==", "id": "r1", "format": "f", "index": 1});
    let done = deltas(
        &[
            json!({"content": "", "role": "assistant", "reasoning": "think", "reasoning_details": [text]}),
            json!({"content": "", "reasoning": null, "reasoning_details": [signed]}),
            json!({"content": "", "reasoning": null, "reasoning_details": [sealed]}),
            json!({"content": "say", "role": "assistant"}),
        ],
        "stop",
    )
    .succeeded();
    assert_eq!(
        (&*done.reasoning, &*done.text),
        ("think", "say"),
        "OpenRouter: not twice"
    );
    assert_eq!(done.reasoning_opaque, [signed, sealed]);
    assert_eq!(done.to_message().reasoning_opaque.len(), 2);
    let done = deltas(
        &[json!({"reasoning_details": [{"type": "reasoning.summary", "summary": "think"}]})],
        "stop",
    )
    .succeeded();
    assert_eq!(done.reasoning, "think", "only in the details");
    let done = deltas(
        &[json!({"reasoning_content": "think", "reasoning": "think"})],
        "stop",
    )
    .succeeded();
    assert_eq!(done.reasoning, "think", "under both names");
    let ended = deltas(
        &[
            json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "thi"}, {"type": "text", "text": "nk"}]}]}),
            json!({"content": [{"type": "text", "text": "say"}]}),
        ],
        "stop",
    );
    assert_eq!(
        (
            &*ended.succeeded().reasoning,
            &*ended.succeeded().text,
            unknown(&ended)
        ),
        ("think", "say", 0),
        "Mistral"
    );
    let done = deltas(&[json!({"refusal": "I can"}), json!({"refusal": "not."})], "stop").succeeded();
    assert_eq!((&*done.refusal, &*done.text), ("I cannot.", ""));
}

#[test]
fn tool_calls_in_every_dialect() {
    #[track_caller]
    fn check(pieces: &[serde_json::Value], expect: &[(&str, &str, &str)]) {
        let all: Vec<_> = pieces.iter().map(|calls| json!({"tool_calls": calls})).collect();
        let ended = deltas(&all, "tool_calls");
        let expect: Vec<_> = expect
            .iter()
            .map(|(id, name, args)| ToolCall::new(*id, *name, *args))
            .collect();
        assert_eq!(ended.succeeded().tool_calls, expect, "{all:?}");
        assert_eq!((unknown(&ended), ended.succeeded().cut_tool_calls.len()), (0, 0));
    }
    let f = |arguments: &str| json!({"arguments": arguments});
    let named = |name: &str, arguments: &str| json!({"name": name, "arguments": arguments});
    // OpenAI: id and name first, then fragments, calls interleaved by index.
    check(
        &[
            json!([{"index": 0, "id": "a", "type": "function", "function": named("f", "")}]),
            json!([{"index": 0, "function": f("{\"x\"")}]),
            json!([{"index": 1, "id": "b", "type": "function", "function": named("g", "")}]),
            json!([{"index": 1, "function": f("{")}, {"index": 0, "function": f(":1}")}]),
            json!([{"index": 1, "function": f("}")}]),
        ],
        &[("a", "f", "{\"x\":1}"), ("b", "g", "{}")],
    );
    // Mistral: several whole calls in one delta.
    check(
        &[
            json!([{"index": 0, "id": "a", "function": named("f", "{}")}, {"index": 1, "id": "b", "function": named("f", "{\"y\":2}")}]),
        ],
        &[("a", "f", "{}"), ("b", "f", "{\"y\":2}")],
    );
    // No index, as Gemini's imitation; index 0 for all; no id either.
    check(
        &[
            json!([{"id": "a", "function": named("f", "{}")}]),
            json!([{"id": "b", "function": named("f", "{}")}]),
        ],
        &[("a", "f", "{}"), ("b", "f", "{}")],
    );
    check(
        &[
            json!([{"index": 0, "id": "a", "function": named("f", "{}")}]),
            json!([{"index": 0, "id": "b", "function": named("f", "{}")}]),
        ],
        &[("a", "f", "{}"), ("b", "f", "{}")],
    );
    check(
        &[json!([{"function": named("f", "{}")}, {"function": named("f", "{}")}])],
        &[("call_0", "f", "{}"), ("call_1", "f", "{}")],
    );
    check(
        &[
            json!([{"function": named("f", "{\"x\"")}]),
            json!([{"function": f(":1}")}]),
        ],
        &[("call_0", "f", "{\"x\":1}")],
    );
    check(
        &[
            json!([{"function": named("f", "{\"x\"")}]),
            json!([{"function": named("f", ":1}")}]),
        ],
        &[("call_0", "f", "{\"x\":1}")],
    );
    // The id and the name on every fragment; a new id on every fragment; an empty id.
    check(
        &[
            json!([{"index": 0, "id": "a", "function": named("f", "{\"x\"")}]),
            json!([{"index": 0, "id": "a", "function": named("f", ":1}")}]),
        ],
        &[("a", "f", "{\"x\":1}")],
    );
    check(
        &[
            json!([{"index": 0, "id": "a", "function": named("f", "{\"x\"")}]),
            json!([{"index": 0, "id": "b", "function": f(":1}")}]),
        ],
        &[("a", "f", "{\"x\":1}")],
    );
    check(
        &[json!([{"index": 0, "id": "", "function": named("f", "{}")}])],
        &[("call_0", "f", "{}")],
    );
    // The id after the name: the call keeps the id under which it was announced.
    check(
        &[
            json!([{"index": 0, "function": named("f", "{")}]),
            json!([{"index": 0, "id": "a", "function": named("f", "}")}]),
        ],
        &[("call_0", "f", "{}")],
    );
    // Arguments as an object, absent, or null; the name after the first arguments.
    check(
        &[json!([{"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": [1, "y"]}}}])],
        &[("a", "f", "{\"x\":[1,\"y\"]}")],
    );
    check(
        &[json!([{"index": 0, "id": "a", "function": {"name": "f"}}])],
        &[("a", "f", "")],
    );
    check(
        &[json!([{"index": 0, "id": "a", "function": {"name": "f", "arguments": null}}])],
        &[("a", "f", "")],
    );
    check(
        &[
            json!([{"index": 0, "id": "a", "function": f("{")}]),
            json!([{"index": 0, "function": named("f", "}")}]),
        ],
        &[("a", "f", "{}")],
    );
    // The first call gets its name after the second one: slots count in the order of the names.
    check(
        &[
            json!([{"index": 0, "id": "a", "function": f("{}")}]),
            json!([{"index": 1, "id": "b", "function": named("g", "{}")}, {"index": 0, "function": named("f", "")}]),
        ],
        &[("b", "g", "{}"), ("a", "f", "{}")],
    );
    let legacy = deltas(
        &[
            json!({"function_call": named("f", "{")}),
            json!({"function_call": f("}")}),
        ],
        "function_call",
    );
    assert_eq!(
        legacy.succeeded().tool_calls,
        [ToolCall::new("call_0", "f", "{}")]
    );
    assert_eq!(legacy.succeeded().finish, Some(FinishReason::ToolCalls));
}

#[test]
fn a_call_on_the_finish_frame_itself_and_the_reason_stop() {
    let frame = json!({"choices": [{"index": 0, "finish_reason": "stop", "delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]}}]});
    let done = frames(&[&frame.to_string(), "[DONE]"]).succeeded();
    assert_eq!(
        (done.finish, done.tool_calls.len()),
        (Some(FinishReason::ToolCalls), 1)
    );
    for none in ["", " ", "null"] {
        assert_eq!(
            ToolCall::new("a", "f", none).parse_arguments().unwrap(),
            json!({})
        );
    }
    assert_eq!(
        ToolCall::new("a", "f", "{")
            .parse_arguments()
            .unwrap_err()
            .to_string(),
        "the arguments of a call of tool `f` are not JSON"
    );
}

#[test]
fn a_call_that_the_token_limit_cut_has_no_end() {
    let call = |arguments: &str| json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": arguments}}]});
    for arguments in ["", "{\"x\":", "17"] {
        let done = deltas(&[call(arguments)], "length").succeeded();
        assert_eq!(done.tool_calls, [], "{arguments}");
        assert_eq!(done.cut_tool_calls, [ToolCall::new("a", "f", arguments)]);
        assert!(done.to_message().tool_calls.is_empty());
    }
    let done = deltas(&[call("{\"x\":1}")], "length").succeeded();
    assert_eq!(
        (done.tool_calls.len(), done.cut_tool_calls.len()),
        (1, 0),
        "whole before the limit was reached"
    );
}

#[test]
fn limits_are_typed_errors() {
    let limits = Limits::default()
        .with_event_bytes(600)
        .with_text_bytes(100)
        .with_tool_args_bytes(100)
        .with_tool_calls(2)
        .with_body_bytes(500);
    let fails = |frames: &[String], what| {
        let body = sse(&frames.iter().map(String::as_str).collect::<Vec<_>>());
        let error = decode_within(Wire::OpenAiChat, limits, body.as_bytes().chunks(50)).failed();
        assert_eq!(
            (error.kind(), error.classify()),
            (&ErrorKind::TooLarge(what), ErrorClass::Permanent),
            "{error}"
        );
    };
    fails(&[delta(&"x".repeat(1_000))], Limited::Event);
    fails(&vec![delta("0123456789"); 11], Limited::Text);
    let call = |index: usize, arguments: &str| {
        json!({"choices": [{"delta": {"tool_calls": [{"index": index, "id": index.to_string(), "function": {"name": "f", "arguments": arguments}}]}}]}).to_string()
    };
    fails(&vec![call(0, "0123456789"); 11], Limited::ToolArguments);
    fails(&[call(0, ""), call(1, ""), call(2, "")], Limited::ToolCalls);
    let body = format!("{{\"x\":\"{}\"}}", "x".repeat(600));
    assert_eq!(
        decode_within(Wire::OpenAiChat, limits, [body.as_bytes()])
            .failed()
            .kind(),
        &ErrorKind::TooLarge(Limited::Body)
    );
    let after = format!("{}data: {}\n\n", hello(), "x".repeat(1_000));
    assert_eq!(
        decode_within(Wire::OpenAiChat, limits, [after.as_bytes()])
            .succeeded()
            .text,
        "Hello",
        "what follows [DONE] is not looked at"
    );
}

#[test]
fn an_answer_in_one_piece_folds_to_the_same_as_its_stream() {
    let message = json!({
        "role": "assistant", "content": "Hello", "reasoning_content": "hm", "refusal": null, "annotations": [],
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}}],
    });
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    let whole = json!({"id": "c1", "object": "chat.completion", "model": "m1", "usage": usage,
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": null}]});
    let chunk = |delta: serde_json::Value, reason: Option<&str>| {
        json!({"id": "c1", "model": "m1", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], "usage": null}).to_string()
    };
    let streamed = frames(&[
        &chunk(json!({"role": "assistant", "content": "", "refusal": null}), None),
        &chunk(json!({"reasoning_content": "h"}), None),
        &chunk(json!({"reasoning_content": "m"}), None),
        &chunk(json!({"content": "Hel"}), None),
        &chunk(json!({"content": "lo"}), None),
        &chunk(
            json!({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
            None,
        ),
        &chunk(
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"x\""}}]}),
            None,
        ),
        &chunk(
            json!({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
            None,
        ),
        &chunk(json!({}), Some("tool_calls")),
        &json!({"id": "c1", "model": "m1", "choices": [], "usage": usage}).to_string(),
        "[DONE]",
    ]);
    let whole = whole.to_string();
    assert_eq!(streamed.succeeded(), decode([whole.as_bytes()]).succeeded());
    assert_eq!(
        streamed.succeeded(),
        decode(format!("  \n{whole}\n").as_bytes().chunks(1)).succeeded()
    );
    assert_eq!(
        streamed.succeeded(),
        frames(&[&whole, "[DONE]"]).succeeded(),
        "one frame with a whole message"
    );
}
