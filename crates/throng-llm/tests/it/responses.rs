//! The decoder of OpenAI's Responses by itself: every kind of item, and what must never pass as an answer.
#![expect(
    clippy::needless_pass_by_value,
    reason = "a frame reads best where its parts are literals"
)]

use serde_json::{Value, json};
use throng_core::{Classify, ErrorClass};
use throng_llm::{ErrorKind, FinishReason, Limited, Limits, StreamEvent, ToolCall, Wire};

use crate::support::{Ended, decode_of, decode_within, named};

fn frames(frames: &[Value]) -> Ended {
    decode_of(Wire::OpenAiResponses, [named(frames).as_bytes()])
}

pub(crate) fn created() -> Value {
    json!({"type": "response.created", "sequence_number": 0, "response": {
        "id": "resp_1", "object": "response", "status": "in_progress", "model": "gpt-1", "error": null, "output": [], "usage": null,
    }})
}

pub(crate) fn text(text: &str) -> Value {
    json!({
        "type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": text,
        "logprobs": [], "obfuscation": "xYz", "sequence_number": 4,
    })
}

pub(crate) fn added(index: usize, item: Value) -> Value {
    json!({"type": "response.output_item.added", "output_index": index, "item": item})
}

pub(crate) fn done(index: usize, item: Value) -> Value {
    json!({"type": "response.output_item.done", "output_index": index, "item": item})
}

fn arguments(index: usize, piece: &str) -> Value {
    json!({"type": "response.function_call_arguments.delta", "item_id": format!("fc_{index}"), "output_index": index, "delta": piece})
}

pub(crate) fn function(index: usize, arguments: &str, status: &str) -> Value {
    json!({
        "type": "function_call", "id": format!("fc_{index}"), "call_id": format!("c{index}"), "name": "f",
        "arguments": arguments, "status": status,
    })
}

pub(crate) fn completed(output: Value) -> Value {
    json!({"type": "response.completed", "response": {
        "id": "resp_1", "object": "response", "status": "completed", "model": "gpt-1", "output": output,
        "usage": {
            "input_tokens": 12, "input_tokens_details": {"cached_tokens": 4},
            "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 19,
        },
    }})
}

fn incomplete(reason: &str) -> Value {
    json!({"type": "response.incomplete", "response": {
        "id": "resp_1", "status": "incomplete", "incomplete_details": {"reason": reason}, "usage": {"output_tokens": 7},
    }})
}

pub(crate) fn message(text: &str) -> Value {
    json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}]})
}

/// A whole stream that says `Hello`.
pub(crate) fn hello() -> String {
    named(&[
        created(),
        json!({"type": "response.in_progress", "response": {"id": "resp_1", "status": "in_progress"}}),
        added(
            0,
            json!({"type": "message", "id": "msg_1", "role": "assistant", "content": []}),
        ),
        json!({"type": "response.content_part.added", "output_index": 0, "part": {"type": "output_text", "text": ""}}),
        text("Hel"),
        text("lo"),
        json!({"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hello"}),
        json!({"type": "response.content_part.done", "output_index": 0, "part": {"type": "output_text", "text": "Hello"}}),
        done(0, message("Hello")),
        completed(json!([message("Hello")])),
    ])
}

/// Decodes events between the beginning of a response and an end without output, as some gateways send it.
fn events(events: &[Value]) -> Ended {
    let mut all = vec![created()];
    all.extend(events.iter().cloned());
    all.push(json!({"type": "response.completed", "response": {"id": "resp_1"}}));
    frames(&all)
}

fn unknown(ended: &Ended) -> usize {
    let unknown = |event: &&StreamEvent| matches!(event, StreamEvent::Unknown { .. });
    ended.events.iter().filter(unknown).count()
}

#[test]
fn a_plain_answer() {
    let ended = decode_of(Wire::OpenAiResponses, [hello().as_bytes()]);
    let answer = ended.succeeded();
    assert_eq!(
        (&*answer.text, answer.finish.clone()),
        ("Hello", Some(FinishReason::Stop))
    );
    assert_eq!(
        (answer.id.as_deref(), answer.model.as_deref()),
        (Some("resp_1"), Some("gpt-1"))
    );
    assert_eq!(
        (answer.usage.input_tokens, answer.usage.cached_input_tokens),
        (Some(12), Some(4))
    );
    assert_eq!(
        (answer.usage.output_tokens, answer.usage.reasoning_tokens),
        (Some(7), Some(3))
    );
    assert_eq!(unknown(&ended), 0);
    let deltas = ended
        .events
        .iter()
        .filter(|event| matches!(event, StreamEvent::TextDelta(_)))
        .count();
    assert_eq!(deltas, 2, "what is repeated at the end is not said again");
}

#[test]
fn only_the_last_event_makes_an_answer_whole() {
    let error = frames(&[created(), text("Hi")]).failed();
    assert_eq!(
        (error.kind(), error.classify()),
        (&ErrorKind::Truncated, ErrorClass::Transient)
    );
    assert_eq!(
        error.to_string(),
        "test ended the stream before `response.completed`, after 2 frames with 2 bytes of text"
    );
    let error = frames(&[created(), text("Hi"), done(0, message("Hi"))]).failed();
    assert_eq!(
        error.kind(),
        &ErrorKind::Truncated,
        "an item's end is not the response's"
    );
    let marked = format!("{}data: [DONE]\n\n", named(&[created(), text("Hi")]));
    assert_eq!(
        decode_of(Wire::OpenAiResponses, [marked.as_bytes()])
            .failed()
            .kind(),
        &ErrorKind::Truncated
    );
    let marked = format!("{}data: [DONE]\n\n", hello());
    assert_eq!(
        decode_of(Wire::OpenAiResponses, [marked.as_bytes()])
            .succeeded()
            .text,
        "Hello"
    );
    assert_eq!(
        events(&[text("Hi")]).succeeded().text,
        "Hi",
        "the last event may lack the output"
    );
}

#[test]
fn what_was_cut_says_why() {
    let why = |reason| {
        frames(&[created(), text("Hi"), incomplete(reason)])
            .succeeded()
            .finish
    };
    assert_eq!(why("max_output_tokens"), Some(FinishReason::Length));
    assert_eq!(why("content_filter"), Some(FinishReason::ContentFilter));
    assert_eq!(why("odd"), Some(FinishReason::Other("odd".into())));
    let bare = json!({"type": "response.incomplete", "response": {}});
    let cut = frames(&[
        created(),
        added(0, function(0, "", "in_progress")),
        arguments(0, "{\"x\":"),
        bare,
    ])
    .succeeded();
    assert_eq!(cut.finish, Some(FinishReason::Other("incomplete".into())));
    assert_eq!((cut.tool_calls.len(), cut.cut_tool_calls.len()), (0, 1));
    let told_by_members = json!({"type": "response.completed", "response": {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}});
    let finish = frames(&[created(), text("Hi"), told_by_members])
        .succeeded()
        .finish;
    assert_eq!(finish, Some(FinishReason::Length));
}

#[test]
fn tool_calls_end_with_their_items() {
    let ended = events(&[
        added(0, function(0, "", "in_progress")),
        arguments(0, "{\"x\""),
        arguments(0, ":1}"),
        json!({"type": "response.function_call_arguments.done", "item_id": "fc_0", "output_index": 0, "arguments": "{\"x\":1}"}),
        done(0, function(0, "{\"x\":1}", "completed")),
        added(1, function(1, "", "in_progress")),
        arguments(1, "{}"),
        done(1, function(1, "{}", "completed")),
    ]);
    let answer = ended.succeeded();
    assert_eq!(
        answer.tool_calls,
        [
            ToolCall::new("c0", "f", "{\"x\":1}"),
            ToolCall::new("c1", "f", "{}")
        ]
    );
    assert_eq!(answer.finish, Some(FinishReason::ToolCalls));
    let end = |event: &StreamEvent| matches!(event, StreamEvent::ToolCallEnd { slot: 0, .. });
    let begin = |event: &StreamEvent| matches!(event, StreamEvent::ToolCallStart { slot: 1, .. });
    assert!(ended.events.iter().position(end) < ended.events.iter().position(begin));
    assert_eq!(unknown(&ended), 0);
}

#[test]
fn no_call_is_lost_or_doubled_whatever_a_gateway_leaves_out() {
    let expect = [
        ToolCall::new("c0", "f", "{\"x\":1}"),
        ToolCall::new("c1", "f", "{\"x\":2}"),
    ];
    let calls = |events: &[Value]| {
        let answer = frames(events).succeeded();
        assert_eq!(answer.finish, Some(FinishReason::ToolCalls));
        answer.tool_calls
    };
    let (first, second) = (
        function(0, "{\"x\":1}", "completed"),
        function(1, "{\"x\":2}", "completed"),
    );
    let begun = [
        created(),
        added(0, function(0, "", "in_progress")),
        arguments(0, "{\"x\":1}"),
        added(1, function(1, "", "in_progress")),
        arguments(1, "{\"x\":2}"),
    ];
    let with = |more: &[Value]| [&begun[..], more].concat();
    let bare_end = json!({"type": "response.completed", "response": {}});
    assert_eq!(
        calls(&with(std::slice::from_ref(&bare_end))),
        expect,
        "no item's end"
    );
    assert_eq!(calls(&with(&[completed(json!([first, second]))])), expect);
    assert_eq!(
        calls(&[
            created(),
            done(0, first.clone()),
            done(1, second.clone()),
            bare_end.clone()
        ]),
        expect,
        "only the ends"
    );
    assert_eq!(
        calls(&[created(), completed(json!([first, second]))]),
        expect,
        "only the response"
    );
    assert_eq!(
        calls(&[
            created(),
            done(0, first.clone()),
            completed(json!([first, second]))
        ]),
        expect,
        "one item was lost"
    );
    let mut other_ids = [first.clone(), second.clone()];
    for item in &mut other_ids {
        item["id"] = "other".into();
        item["call_id"] = "other".into();
    }
    assert_eq!(
        calls(&with(&[completed(json!(other_ids))])),
        expect,
        "ids made anew at the end are no new calls"
    );
    let without = |name: &'static str| {
        let strip = move |mut frame: Value| {
            frame.as_object_mut().unwrap().remove(name);
            frame
        };
        with(std::slice::from_ref(&bare_end))
            .into_iter()
            .map(strip)
            .collect::<Vec<_>>()
    };
    assert_eq!(calls(&without("output_index")), expect);
    assert_eq!(calls(&without("item_id")), expect);
    let half = [
        created(),
        added(0, function(0, "", "in_progress")),
        arguments(0, "{\"x\""),
        done(0, first),
        done(1, second),
        bare_end,
    ];
    assert_eq!(
        calls(&half),
        expect,
        "the rest of the arguments comes with the item"
    );
    let at_once = [
        created(),
        added(0, function(0, "{\"x\":1}", "in_progress")),
        completed(json!([])),
    ];
    assert_eq!(calls(&at_once), expect[..1], "arguments with the beginning");
}

#[test]
fn a_call_that_was_cut_has_no_end() {
    let cut = |arguments_so_far: &str| {
        let item = function(0, arguments_so_far, "incomplete");
        let mut all = vec![created(), added(0, function(0, "", "in_progress"))];
        all.extend((!arguments_so_far.is_empty()).then(|| arguments(0, arguments_so_far)));
        all.extend([done(0, item), incomplete("max_output_tokens")]);
        let answer = frames(&all).succeeded();
        (answer.tool_calls.len(), answer.cut_tool_calls.len())
    };
    assert_eq!(cut("{\"x\":"), (0, 1));
    assert_eq!(cut(""), (0, 1));
    assert_eq!(cut("{\"x\":1}"), (1, 0));
    let open = frames(&[
        created(),
        added(0, function(0, "", "in_progress")),
        arguments(0, "{}"),
    ]);
    assert_eq!(open.failed().kind(), &ErrorKind::Truncated);
}

#[test]
fn custom_tools_take_text() {
    let item = |input: &str, status: &str| json!({"type": "custom_tool_call", "id": "ct_1", "call_id": "c", "name": "sql", "input": input, "status": status});
    let piece = |text: &str| json!({"type": "response.custom_tool_call_input.delta", "item_id": "ct_1", "output_index": 0, "delta": text});
    let all = json!({"type": "response.custom_tool_call_input.done", "item_id": "ct_1", "output_index": 0, "input": "SELECT 1"});
    let ended = events(&[
        added(0, item("", "in_progress")),
        piece("SELECT "),
        piece("1"),
        all,
        done(0, item("SELECT 1", "completed")),
        text("x"),
    ]);
    assert_eq!(
        ended.succeeded().tool_calls,
        [ToolCall::new("c", "sql", "SELECT 1")]
    );
    let end = ended
        .events
        .iter()
        .position(|event| matches!(event, StreamEvent::ToolCallEnd { .. }));
    assert!(
        end < ended
            .events
            .iter()
            .position(|event| matches!(event, StreamEvent::TextDelta(_)))
    );
    let cut = frames(&[
        created(),
        added(0, item("", "in_progress")),
        piece("{}"),
        done(0, item("{}", "incomplete")),
        incomplete("max_output_tokens"),
    ]);
    assert_eq!(
        cut.succeeded().tool_calls.len(),
        0,
        "half a text may look like JSON"
    );
}

#[test]
fn reasoning_is_shown_and_kept_to_be_sent_back() {
    let item = json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "sealed", "summary": [{"type": "summary_text", "text": "Let me see."}]});
    let piece = |text: &str| json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": text});
    let ended = events(&[
        added(0, json!({"type": "reasoning", "id": "rs_1", "summary": []})),
        json!({"type": "response.reasoning_summary_part.added", "part": {"type": "summary_text", "text": ""}}),
        piece("Let me "),
        piece("see."),
        json!({"type": "response.reasoning_summary_text.done", "text": "Let me see."}),
        json!({"type": "response.reasoning_summary_part.done", "part": {"type": "summary_text", "text": "Let me see."}}),
        done(0, item.clone()),
    ]);
    let answer = ended.succeeded();
    assert_eq!(
        (&*answer.reasoning, answer.reasoning_opaque),
        ("Let me see.", vec![item.clone()])
    );
    assert_eq!(unknown(&ended), 0);
    let raw = json!({"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "Hm."});
    assert_eq!(events(&[raw]).succeeded().reasoning, "Hm.");
    let late = frames(&[created(), piece("Let me see."), completed(json!([item]))]).succeeded();
    assert_eq!(
        (&*late.reasoning, late.reasoning_opaque.len()),
        ("Let me see.", 1),
        "its item came at the end only"
    );
    let bare = json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "x"}]});
    let answer = events(&[done(0, bare)]).succeeded();
    assert_eq!(
        (&*answer.reasoning, answer.reasoning_opaque.len()),
        ("x", 0),
        "nothing by which it could be sent back"
    );
}

#[test]
fn a_refusal_is_not_text() {
    let piece = |text: &str| json!({"type": "response.refusal.delta", "output_index": 0, "delta": text});
    let all = json!({"type": "response.refusal.done", "output_index": 0, "refusal": "I cannot."});
    let answer = events(&[piece("I "), piece("cannot."), all.clone()]).succeeded();
    assert_eq!((&*answer.text, &*answer.refusal), ("", "I cannot."));
    assert_eq!(
        events(&[all]).succeeded().refusal,
        "I cannot.",
        "its deltas were lost"
    );
}

#[test]
fn tools_of_the_server_annotations_and_new_things_are_shown_as_they_came() {
    let search =
        json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}});
    let all = [
        added(0, search.clone()),
        json!({"type": "response.web_search_call.searching", "output_index": 0}),
        done(0, search.clone()),
        text("Found."),
        json!({"type": "response.output_text.annotation.added", "annotation": {"type": "url_citation"}}),
        json!({"type": "response.something.new"}),
    ];
    let ended = events(&all);
    assert_eq!((&*ended.succeeded().text, unknown(&ended)), ("Found.", 5));
    assert!(ended.events.contains(&StreamEvent::Unknown {
        raw: all[2].to_string()
    }));
    let end = frames(
        &[
            &[created()],
            &all[..],
            &[completed(json!([search, message("Found.")]))],
        ]
        .concat(),
    );
    assert_eq!(
        unknown(&end),
        5,
        "what came by itself is not shown again at the end"
    );
    let only = frames(&[created(), completed(json!([search, message("Found.")]))]);
    assert_eq!((&*only.succeeded().text, unknown(&only)), ("Found.", 1));
}

#[test]
fn errors_are_typed_wherever_they_stand() {
    for (code, kind) in [
        ("context_length_exceeded", ErrorKind::ContextOverflow),
        ("rate_limit_exceeded", ErrorKind::RateLimited),
        ("server_error", ErrorKind::Server),
        ("insufficient_quota", ErrorKind::QuotaExhausted),
        ("invalid_prompt", ErrorKind::BadRequest),
        ("invalid_image_url", ErrorKind::BadRequest),
        ("image_content_policy_violation", ErrorKind::ContentFilter),
    ] {
        for frame in [
            json!({"type": "response.failed", "response": {"id": "r", "status": "failed", "error": {"code": code, "message": "boom"}}}),
            json!({"type": "error", "code": code, "message": "boom", "param": null, "sequence_number": 3}),
            json!({"type": "error", "error": {"type": "x", "code": code, "message": "boom"}}),
            json!({"type": "response.created", "response": {"error": {"code": code, "message": "boom"}}}),
        ] {
            let ended = frames(&[
                created(),
                text("Hi"),
                frame.clone(),
                text("more"),
                completed(json!([])),
            ]);
            assert_eq!(ended.completion().text, "Hi");
            let error = ended.failed();
            assert_eq!(
                (error.kind(), error.code(), error.message()),
                (&kind, Some(code), "boom"),
                "{frame}"
            );
            assert_eq!(error.raw_body(), Some(&*frame.to_string()));
        }
        let gateway = format!(
            "data: {}\n\n",
            json!({"error": {"code": code, "message": "boom"}})
        );
        assert_eq!(
            decode_of(Wire::OpenAiResponses, [gateway.as_bytes()])
                .failed()
                .kind(),
            &kind
        );
        let unary = json!({"object": "response", "status": "failed", "error": {"code": code, "message": "boom"}, "output": []});
        assert_eq!(
            decode_of(Wire::OpenAiResponses, [unary.to_string().as_bytes()])
                .failed()
                .kind(),
            &kind
        );
    }
    let silent = frames(&[
        created(),
        json!({"type": "response.failed", "response": {"error": null}}),
    ])
    .failed();
    assert_eq!(
        (silent.kind(), silent.message()),
        (&ErrorKind::Server, "reported that its response is failed")
    );
    let named_only = decode_of(Wire::OpenAiResponses, [&b"event: error\ndata: it broke\n\n"[..]]).failed();
    assert_eq!(
        (named_only.kind(), named_only.message()),
        (&ErrorKind::Server, "it broke")
    );
}

#[test]
fn an_answer_in_one_piece() {
    let mut body = completed(json!([
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "message", "id": "m", "content": [
            {"type": "output_text", "text": "Look", "annotations": [{"type": "url_citation"}]},
            {"type": "refusal", "refusal": "no"},
            {"type": "odd"},
        ]},
        function(2, "{\"x\":\"\u{1f980}\"}", "completed"),
        {"type": "image_generation_call", "result": "AAAA"},
    ]))["response"]
        .clone();
    let ended = decode_of(Wire::OpenAiResponses, [body.to_string().as_bytes()]);
    let answer = ended.succeeded();
    assert_eq!(
        (&*answer.text, &*answer.reasoning, &*answer.refusal),
        ("Look", "Hm.", "no")
    );
    assert_eq!(answer.reasoning_opaque, [body["output"][0].clone()]);
    assert_eq!(answer.tool_calls, [ToolCall::new("c2", "f", "{\"x\":\"🦀\"}")]);
    assert_eq!(
        (answer.usage.total(), answer.finish),
        (19, Some(FinishReason::ToolCalls))
    );
    assert_eq!(
        unknown(&ended),
        2,
        "the message with a citation and an odd part, and the picture"
    );
    let text = body.to_string();
    let cut = decode_of(Wire::OpenAiResponses, [&text.as_bytes()[..text.len() - 20]]).failed();
    assert_eq!(cut.kind(), &ErrorKind::Truncated);
    body["status"] = "in_progress".into();
    let running = decode_of(Wire::OpenAiResponses, [body.to_string().as_bytes()]).failed();
    assert_eq!(running.message(), "sent JSON that is not a complete answer");
    body["status"] = "incomplete".into();
    body["incomplete_details"] = json!({"reason": "max_output_tokens"});
    let cut = decode_of(Wire::OpenAiResponses, [body.to_string().as_bytes()]).succeeded();
    assert_eq!(cut.finish, Some(FinishReason::Length));
    let other = decode_of(
        Wire::OpenAiResponses,
        [&br#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#[..]],
    );
    assert_eq!(
        other.failed().kind(),
        &ErrorKind::Protocol,
        "an answer of another wire"
    );
}

#[test]
fn halves_of_characters_are_joined() {
    let mut body = named(&[created()]);
    for piece in [r"a\ud83e", r"\udd80b"] {
        body += &format!("data: {{\"type\":\"response.output_text.delta\",\"delta\":\"{piece}\"}}\n\n");
    }
    body += &named(&[added(1, function(1, "", "in_progress"))]);
    for piece in [r#"{\"x\":\"\ud83e"#, r#"\udd80\"}"#] {
        body += &format!(
            "data: {{\"type\":\"response.function_call_arguments.delta\",\"output_index\":1,\"delta\":\"{piece}\"}}\n\n"
        );
    }
    body += &named(&[completed(json!([]))]);
    let answer = decode_of(Wire::OpenAiResponses, [body.as_bytes()]).succeeded();
    assert_eq!(answer.text, "a🦀b");
    assert_eq!(answer.tool_calls, [ToolCall::new("c1", "f", "{\"x\":\"🦀\"}")]);
}

#[test]
fn answers_are_bounded() {
    let limits = Limits::default()
        .with_text_bytes(64)
        .with_tool_args_bytes(8)
        .with_tool_calls(2);
    let bounded = |all: &[Value]| {
        let all = [&[created()], all].concat();
        decode_within(Wire::OpenAiResponses, limits, [named(&all).as_bytes()])
            .failed()
            .kind()
            .clone()
    };
    let long = "x".repeat(65);
    assert_eq!(bounded(&[text(&long)]), ErrorKind::TooLarge(Limited::Text));
    let sealed = done(
        0,
        json!({"type": "reasoning", "id": "r", "encrypted_content": long}),
    );
    assert_eq!(bounded(&[sealed]), ErrorKind::TooLarge(Limited::Text));
    let call = added(0, function(0, "", "in_progress"));
    assert_eq!(
        bounded(&[call, arguments(0, "123456789")]),
        ErrorKind::TooLarge(Limited::ToolArguments)
    );
    let three: Vec<_> = (0..3)
        .map(|at| added(at, function(at, "", "in_progress")))
        .collect();
    assert_eq!(bounded(&three), ErrorKind::TooLarge(Limited::ToolCalls));
}
