//! The decoder of Anthropic's Messages by itself: every kind of block, and what must never pass as an answer.
#![expect(
    clippy::needless_pass_by_value,
    reason = "a frame reads best where its parts are literals"
)]

use serde_json::{Value, json};
use throng_core::{Classify, ErrorClass, Usage};
use throng_llm::{ErrorKind, FinishReason, Limited, Limits, StreamEvent, ToolCall, Wire};

use crate::support::{Ended, decode_of, decode_within, named};

fn frames(frames: &[Value]) -> Ended {
    decode_of(Wire::Anthropic, [named(frames).as_bytes()])
}

pub(crate) fn message_start() -> Value {
    json!({"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude-1", "stop_reason": null,
        "usage": {"input_tokens": 10, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 30, "output_tokens": 1},
    }})
}

pub(crate) fn start(index: usize, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

pub(crate) fn delta(index: usize, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

pub(crate) fn stop(index: usize) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

pub(crate) fn text(text: &str) -> Value {
    delta(0, json!({"type": "text_delta", "text": text}))
}

pub(crate) fn reason(reason: &str) -> Value {
    json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": 7}})
}

pub(crate) fn message_stop() -> Value {
    json!({"type": "message_stop"})
}

/// A whole stream that says `Hello`.
pub(crate) fn hello() -> String {
    named(&[
        message_start(),
        start(0, json!({"type": "text", "text": ""})),
        json!({"type": "ping"}),
        text("Hel"),
        text("lo"),
        stop(0),
        reason("end_turn"),
        message_stop(),
    ])
}

/// Decodes blocks between the beginning of a message and its end.
fn blocks(blocks: &[Value], why: &str) -> Ended {
    let mut all = vec![message_start()];
    all.extend(blocks.iter().cloned());
    all.extend([reason(why), message_stop()]);
    frames(&all)
}

fn unknown(ended: &Ended) -> usize {
    let unknown = |event: &&StreamEvent| matches!(event, StreamEvent::Unknown { .. });
    ended.events.iter().filter(unknown).count()
}

pub(crate) fn tool(id: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": "f", "input": {}})
}

pub(crate) fn json_delta(index: usize, piece: &str) -> Value {
    delta(index, json!({"type": "input_json_delta", "partial_json": piece}))
}

#[test]
fn a_plain_answer() {
    let ended = decode_of(Wire::Anthropic, [hello().as_bytes()]);
    let done = ended.succeeded();
    assert_eq!(
        (&*done.text, done.finish.clone()),
        ("Hello", Some(FinishReason::Stop))
    );
    assert_eq!(
        (done.id.as_deref(), done.model.as_deref()),
        (Some("msg_1"), Some("claude-1"))
    );
    assert_eq!(
        done.usage.input_tokens,
        Some(60),
        "what was cached is part of the prompt"
    );
    assert_eq!(
        (done.usage.cached_input_tokens, done.usage.output_tokens),
        (Some(30), Some(7))
    );
    let names = ended.events.iter().map(|event| format!("{event:?}"));
    let names: Vec<_> = names
        .map(|name| name.split(['(', ' ']).next().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "Started",
            "Usage",
            "KeepAlive",
            "KeepAlive",
            "TextDelta",
            "TextDelta",
            "KeepAlive",
            "Usage",
            "Finished"
        ]
    );
}

#[test]
fn a_stop_reason_and_a_clean_end_are_enough_but_neither_alone() {
    assert_eq!(
        frames(&[message_start(), text("Hi"), reason("end_turn")])
            .succeeded()
            .text,
        "Hi"
    );
    let error = frames(&[message_start(), text("Hi"), message_stop()]).failed();
    assert_eq!(error.kind(), &ErrorKind::Truncated);
    assert_eq!(
        error.to_string(),
        "test sent `message_stop` without a stop reason, after 3 frames with 2 bytes of text"
    );
    let error = frames(&[message_start(), text("Hi")]).failed();
    assert_eq!(
        (error.kind(), error.classify()),
        (&ErrorKind::Truncated, ErrorClass::Transient)
    );
    let open =
        json!({"type": "message_delta", "delta": {"stop_reason": null}, "usage": {"output_tokens": 3}});
    let error = frames(&[message_start(), text("Hi"), open]).failed();
    assert_eq!(
        error.kind(),
        &ErrorKind::Truncated,
        "a message_delta without a reason ends nothing"
    );
    let done = format!(
        "{}event: data\ndata: [DONE]\n\n",
        named(&[message_start(), text("Hi"), reason("end_turn")])
    );
    assert_eq!(
        decode_of(Wire::Anthropic, [done.as_bytes()]).succeeded().text,
        "Hi"
    );
    let cut = format!("{}data: [DONE]\n\n", named(&[message_start(), text("Hi")]));
    assert_eq!(
        decode_of(Wire::Anthropic, [cut.as_bytes()]).failed().kind(),
        &ErrorKind::Truncated
    );
}

#[test]
fn stop_reasons_are_kept() {
    for (word, finish) in [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::Stop),
        ("max_tokens", FinishReason::Length),
        ("tool_use", FinishReason::ToolCalls),
        ("refusal", FinishReason::Refusal),
        ("pause_turn", FinishReason::Pause),
        ("model_context_window_exceeded", FinishReason::ContextOverflow),
        ("something_new", FinishReason::Other("something_new".into())),
    ] {
        assert_eq!(
            blocks(&[text("x")], word).succeeded().finish,
            Some(finish),
            "{word}"
        );
    }
}

#[test]
fn frames_are_read_by_their_type_with_or_without_event_names() {
    let all = [
        message_start(),
        text("Hi"),
        json!({"type": "ping"}),
        reason("end_turn"),
        message_stop(),
    ];
    let plain: String = all.iter().map(|frame| format!("data: {frame}\n\n")).collect();
    assert_eq!(
        decode_of(Wire::Anthropic, [plain.as_bytes()]).trace(),
        frames(&all).trace()
    );
    let mut untyped = named(&all);
    for name in [
        "message_start",
        "content_block_delta",
        "message_delta",
        "message_stop",
    ] {
        untyped = untyped.replacen(&format!(",\"type\":\"{name}\""), "", 1);
    }
    assert_eq!(
        decode_of(Wire::Anthropic, [untyped.as_bytes()]).succeeded().text,
        "Hi"
    );
}

#[test]
fn thinking_comes_back_byte_for_byte() {
    let thinking = json!({"type": "thinking", "thinking": "", "signature": ""});
    let think = |index, text: &str| delta(index, json!({"type": "thinking_delta", "thinking": text}));
    let sign = |index, text: &str| delta(index, json!({"type": "signature_delta", "signature": text}));
    let redacted = json!({"type": "redacted_thinking", "data": "sealed=="});
    let ended = blocks(
        &[
            start(0, thinking.clone()),
            think(0, "Let me "),
            think(0, "see 🦀."),
            sign(0, "sig+/=="),
            stop(0),
            start(1, thinking.clone()),
            sign(1, "empty"),
            stop(1),
            start(2, redacted.clone()),
            stop(2),
            start(3, thinking),
            think(3, "unsigned"),
            stop(3),
            delta(4, json!({"type": "text_delta", "text": "So."})),
        ],
        "end_turn",
    );
    let done = ended.succeeded();
    assert_eq!((&*done.reasoning, &*done.text), ("Let me see 🦀.unsigned", "So."));
    assert_eq!(
        done.reasoning_opaque,
        [
            json!({"type": "thinking", "thinking": "Let me see 🦀.", "signature": "sig+/=="}),
            json!({"type": "thinking", "thinking": "", "signature": "empty"}),
            redacted,
        ],
        "thinking without a signature would be refused"
    );
    assert_eq!(unknown(&ended), 0);
    let lost = blocks(&[think(0, "a"), sign(0, "s"), text("x")], "end_turn").succeeded();
    assert_eq!(
        lost.reasoning_opaque,
        [json!({"type": "thinking", "thinking": "a", "signature": "s"})],
        "start and stop of the block were lost"
    );
}

#[test]
fn tool_calls_end_with_their_blocks() {
    let ended = blocks(
        &[
            start(0, json!({"type": "text", "text": "Look: "})),
            stop(0),
            start(
                1,
                json!({"type": "tool_use", "id": "a", "name": "f", "input": {}, "caller": {"type": "direct"}}),
            ),
            json_delta(1, ""),
            json_delta(1, "{\"x\""),
            json_delta(1, ":1}"),
            stop(1),
            start(2, tool("b")),
            stop(2),
        ],
        "tool_use",
    );
    let done = ended.succeeded();
    assert_eq!(done.text, "Look: ");
    assert_eq!(
        done.tool_calls,
        [
            ToolCall::new("a", "f", "{\"x\":1}"),
            ToolCall::new("b", "f", "{}")
        ]
    );
    let ends: Vec<_> = ended
        .events
        .iter()
        .map(|event| matches!(event, StreamEvent::ToolCallEnd { .. }))
        .collect();
    let begins = |event: &StreamEvent| matches!(event, StreamEvent::ToolCallStart { slot: 1, .. });
    let second = ended.events.iter().position(begins).unwrap();
    assert!(
        ends[..second].contains(&true),
        "the first ends before the second begins"
    );
    assert_eq!(done.finish, Some(FinishReason::ToolCalls));
}

#[test]
fn a_call_that_was_cut_has_no_end() {
    let cut = |pieces: &[Value], why| {
        let mut all = vec![start(0, tool("a"))];
        all.extend(pieces.iter().cloned());
        blocks(&all, why).succeeded()
    };
    let done = cut(&[json_delta(0, "{\"x\":"), stop(0)], "max_tokens");
    assert_eq!(
        (done.tool_calls.len(), done.cut_tool_calls),
        (0, vec![ToolCall::new("a", "f", "{\"x\":")])
    );
    assert_eq!(done.finish, Some(FinishReason::Length));
    let done = cut(&[stop(0)], "max_tokens");
    assert_eq!(
        (done.tool_calls.len(), done.cut_tool_calls.len()),
        (0, 1),
        "not a word of its arguments had come"
    );
    let done = cut(&[json_delta(0, "{\"x\":1}"), stop(0)], "max_tokens");
    assert_eq!((done.tool_calls.len(), done.cut_tool_calls.len()), (1, 0));
    let done = cut(&[json_delta(0, "{\"x\":"), stop(0)], "tool_use");
    assert_eq!(
        done.tool_calls,
        [ToolCall::new("a", "f", "{\"x\":")],
        "the model itself wrote no JSON"
    );
    let open = frames(&[
        message_start(),
        start(0, tool("a")),
        json_delta(0, "{}"),
        message_stop(),
    ]);
    assert_eq!(open.failed().kind(), &ErrorKind::Truncated);
}

#[test]
fn gateways_that_number_blocks_badly_lose_no_call() {
    let twice = blocks(
        &[
            start(0, tool("a")),
            json_delta(0, "{\"x\":1}"),
            start(0, tool("b")),
            json_delta(0, "{\"x\":2}"),
            stop(0),
        ],
        "tool_use",
    );
    let expect = [
        ToolCall::new("a", "f", "{\"x\":1}"),
        ToolCall::new("b", "f", "{\"x\":2}"),
    ];
    assert_eq!(twice.succeeded().tool_calls, expect);
    let bare = |mut frame: Value| {
        frame.as_object_mut().unwrap().remove("index");
        frame
    };
    let none = [
        start(0, tool("a")),
        json_delta(0, "{\"x\":1}"),
        stop(0),
        start(0, tool("b")),
        json_delta(0, "{\"x\":2}"),
    ];
    assert_eq!(blocks(&none.map(bare), "tool_use").succeeded().tool_calls, expect);
    let at_once = start(
        0,
        json!({"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}),
    );
    let done = blocks(&[at_once.clone(), stop(0)], "tool_use").succeeded();
    assert_eq!(done.tool_calls, expect[..1]);
    let done = blocks(&[at_once, json_delta(0, "{\"x\":3}"), stop(0)], "tool_use").succeeded();
    assert_eq!(
        done.tool_calls,
        [ToolCall::new("a", "f", "{\"x\":3}")],
        "deltas count more than the start"
    );
}

#[test]
fn tools_of_the_server_citations_and_new_things_are_shown_as_they_came() {
    let search = json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}});
    let result = json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result"}]});
    let ended = blocks(
        &[
            start(0, search.clone()),
            json_delta(0, "{\"query\":\"x\"}"),
            stop(0),
            start(1, result),
            stop(1),
            start(2, json!({"type": "text", "text": "", "citations": null})),
            delta(
                2,
                json!({"type": "citations_delta", "citation": {"cited_text": "x"}}),
            ),
            delta(2, json!({"type": "text_delta", "text": "Found."})),
            stop(2),
            json!({"type": "something_new", "index": 3}),
        ],
        "end_turn",
    );
    let done = ended.succeeded();
    assert_eq!(
        (&*done.text, done.tool_calls.len()),
        ("Found.", 0),
        "the server's own tools are not the caller's"
    );
    assert_eq!(done.finish, Some(FinishReason::Stop));
    assert_eq!(unknown(&ended), 5);
    let raw = StreamEvent::Unknown {
        raw: start(0, search).to_string(),
    };
    assert!(ended.events.contains(&raw));
    let details = json!({"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": {"category": "x"}}});
    let refused = frames(&[message_start(), details, message_stop()]);
    assert_eq!(
        (refused.succeeded().finish, unknown(&refused)),
        (Some(FinishReason::Refusal), 1)
    );
}

#[test]
fn a_usage_replaces_and_zeros_erase_nothing() {
    let usage =
        |usage: Value| json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage});
    let after = |later: Value| {
        frames(&[message_start(), usage(later), message_stop()])
            .succeeded()
            .usage
    };
    let figures = |usage: Usage| (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens);
    assert_eq!(
        figures(after(json!({"output_tokens": 9}))),
        (Some(60), Some(30), Some(9))
    );
    let zeros = json!({"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 9});
    assert_eq!(figures(after(zeros)), (Some(60), Some(30), Some(9)));
    let more = json!({"input_tokens": 11, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 30, "output_tokens": 9});
    assert_eq!(figures(after(more)), (Some(61), Some(30), Some(9)));
    let thought = json!({"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}});
    assert_eq!(after(thought).reasoning_tokens, Some(4));
    let late = [
        json!({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 0, "output_tokens": 0}}}),
        usage(json!({"input_tokens": 5, "output_tokens": 2})),
    ];
    assert_eq!(
        figures(frames(&late).succeeded().usage),
        (Some(5), None, Some(2)),
        "gateways send zeros first"
    );
    assert_eq!(
        figures(after(json!({"output_tokens": "9"}))),
        (Some(60), Some(30), Some(9))
    );
    assert_eq!(figures(after(json!([1]))), (Some(60), Some(30), Some(1)));
}

#[test]
fn an_error_in_the_stream_is_an_error_with_and_without_a_wrapper() {
    let wrapped = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let bare = r#"{"code":529,"message":"Overloaded","type":"overloaded_error"}"#;
    for (name, data) in [
        ("error", wrapped),
        ("message", wrapped),
        ("error", bare),
        ("message", bare),
    ] {
        let body = format!(
            "{}event: {name}\ndata: {data}\n\n{}",
            named(&[message_start(), text("Hi")]),
            named(&[reason("end_turn"), message_stop()])
        );
        let ended = decode_of(Wire::Anthropic, [body.as_bytes()]);
        assert_eq!(ended.completion().text, "Hi");
        let error = ended.failed();
        assert_eq!(
            (error.kind(), error.message()),
            (&ErrorKind::Overloaded, "Overloaded"),
            "{name} {data}"
        );
        assert_eq!(error.raw_body(), Some(data));
        assert!(!error.before_first_content());
    }
    for (type_, kind) in [
        ("invalid_request_error", ErrorKind::BadRequest),
        ("authentication_error", ErrorKind::Auth),
        ("billing_error", ErrorKind::QuotaExhausted),
        ("permission_error", ErrorKind::Auth),
        ("not_found_error", ErrorKind::NotFound),
        ("request_too_large", ErrorKind::ContextOverflow),
        ("rate_limit_error", ErrorKind::RateLimited),
        ("api_error", ErrorKind::Server),
        ("timeout_error", ErrorKind::Server),
    ] {
        let error = frames(&[json!({"type": "error", "error": {"type": type_, "message": "m"}})]).failed();
        assert_eq!((error.kind(), error.code()), (&kind, Some(type_)));
    }
    let long = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 5000 tokens > 4096 maximum"}});
    let error = frames(&[long]).failed();
    assert_eq!(error.kind(), &ErrorKind::ContextOverflow);
    let named_only = decode_of(Wire::Anthropic, [&b"event: error\ndata: it broke\n\n"[..]]).failed();
    assert_eq!(
        (named_only.kind(), named_only.message()),
        (&ErrorKind::Server, "it broke")
    );
}

#[test]
fn a_second_message_within_the_first_is_no_answer() {
    let mut second = message_start();
    second["message"]["id"] = "msg_2".into();
    let error = frames(&[
        message_start(),
        text("Hi"),
        second.clone(),
        text("Ho"),
        reason("end_turn"),
        message_stop(),
    ])
    .failed();
    assert_eq!(error.kind(), &ErrorKind::Protocol);
    assert_eq!(
        error.message(),
        "began a second message in the middle of the first"
    );
    let again = frames(&[
        message_start(),
        message_start(),
        text("Hi"),
        reason("end_turn"),
        message_stop(),
    ]);
    assert_eq!(again.succeeded().text, "Hi", "the same one twice");
    let after = frames(&[
        message_start(),
        text("Hi"),
        reason("end_turn"),
        second,
        text("Ho"),
    ]);
    assert_eq!(after.succeeded().text, "Hi", "the first one was whole");
}

#[test]
fn an_answer_in_one_piece() {
    let body = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-1",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            {"type": "redacted_thinking", "data": "d"},
            {"type": "text", "text": "Look: "},
            {"type": "text", "text": "here", "citations": [{"cited_text": "x"}]},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"x": "\u{1f980}"}},
            {"type": "tool_use", "id": "b", "name": "g", "input": {}},
        ],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 7},
    });
    let ended = decode_of(Wire::Anthropic, [body.to_string().as_bytes()]);
    let done = ended.succeeded();
    assert_eq!((&*done.text, &*done.reasoning), ("Look: here", "Hm."));
    assert_eq!(
        done.reasoning_opaque,
        [body["content"][0].clone(), body["content"][1].clone()]
    );
    assert_eq!(
        done.tool_calls,
        [
            ToolCall::new("a", "f", "{\"x\":\"🦀\"}"),
            ToolCall::new("b", "g", "{}")
        ]
    );
    assert_eq!(
        (done.usage.input_tokens, done.usage.output_tokens),
        (Some(15), Some(7))
    );
    assert_eq!(unknown(&ended), 2);
    let mut cut = body.clone();
    cut["stop_reason"] = "max_tokens".into();
    cut["content"][6]["input"] = json!({"y": 1});
    let done = decode_of(Wire::Anthropic, [cut.to_string().as_bytes()]).succeeded();
    assert_eq!(
        (done.tool_calls.len(), done.cut_tool_calls.len()),
        (1, 1),
        "the last call may be mended by the provider"
    );
    let text = body.to_string();
    let error = decode_of(Wire::Anthropic, [&text.as_bytes()[..text.len() - 20]]).failed();
    assert_eq!(error.kind(), &ErrorKind::Truncated);
    let mut open = body;
    open["stop_reason"] = Value::Null;
    let error = decode_of(Wire::Anthropic, [open.to_string().as_bytes()]).failed();
    assert_eq!(error.message(), "sent JSON that is not a complete answer");
    let other = decode_of(
        Wire::Anthropic,
        [&br#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#[..]],
    );
    assert_eq!(
        other.failed().kind(),
        &ErrorKind::Protocol,
        "an answer of another wire"
    );
    let error = decode_of(
        Wire::Anthropic,
        [&br#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#[..]],
    );
    assert_eq!(error.failed().kind(), &ErrorKind::Overloaded);
}

#[test]
fn halves_of_characters_are_joined() {
    let raw = |frame: &str| format!("data: {frame}\n\n");
    let mut body = named(&[message_start()]);
    for piece in [r"a\ud83e", r"\udd80b"] {
        body += &raw(&format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{piece}"}}}}"#
        ));
    }
    body += &named(&[start(
        1,
        json!({"type": "thinking", "thinking": "", "signature": ""}),
    )]);
    for piece in [r"\ud83e", r"\udd80"] {
        body += &raw(&format!(
            r#"{{"type":"content_block_delta","index":1,"delta":{{"type":"thinking_delta","thinking":"{piece}"}}}}"#
        ));
    }
    body += &named(&[
        delta(1, json!({"type": "signature_delta", "signature": "s"})),
        stop(1),
        start(2, tool("a")),
    ]);
    for piece in [r#"{\"x\":\"\ud83e"#, r#"\udd80\"}"#] {
        body += &raw(&format!(
            r#"{{"type":"content_block_delta","index":2,"delta":{{"type":"input_json_delta","partial_json":"{piece}"}}}}"#
        ));
    }
    body += &named(&[stop(2), reason("tool_use"), message_stop()]);
    let done = decode_of(Wire::Anthropic, [body.as_bytes()]).succeeded();
    assert_eq!((&*done.text, &*done.reasoning), ("a🦀b", "🦀"));
    assert_eq!(done.reasoning_opaque[0]["thinking"], "🦀");
    assert_eq!(done.tool_calls, [ToolCall::new("a", "f", "{\"x\":\"🦀\"}")]);
}

#[test]
fn answers_are_bounded() {
    let limits = Limits::default()
        .with_text_bytes(64)
        .with_tool_args_bytes(8)
        .with_tool_calls(2);
    let bounded = |all: &[Value]| {
        let mut frames = vec![message_start()];
        frames.extend(all.iter().cloned());
        decode_within(Wire::Anthropic, limits, [named(&frames).as_bytes()])
            .failed()
            .kind()
            .clone()
    };
    let long = "x".repeat(65);
    assert_eq!(bounded(&[text(&long)]), ErrorKind::TooLarge(Limited::Text));
    let signed = delta(0, json!({"type": "signature_delta", "signature": long}));
    assert_eq!(bounded(&[signed]), ErrorKind::TooLarge(Limited::Text));
    let redacted = start(0, json!({"type": "redacted_thinking", "data": long}));
    assert_eq!(bounded(&[redacted]), ErrorKind::TooLarge(Limited::Text));
    assert_eq!(
        bounded(&[start(0, tool("a")), json_delta(0, "123456789")]),
        ErrorKind::TooLarge(Limited::ToolArguments)
    );
    let three: Vec<_> = (0..3).map(|at| start(at, tool("a"))).collect();
    assert_eq!(bounded(&three), ErrorKind::TooLarge(Limited::ToolCalls));
}
