//! The laws of event streams, for random answers and random bytes.

use proptest::prelude::*;
use serde_json::{Value, json};
use throng_llm::Wire;

use crate::fuzzed::{check, laws};
use crate::support::{cases, decode, sse};

/// Strings of which some are cut in the middle of a surrogate pair when written as JSON.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z ]{1,6}",
        Just("🦀é".to_owned()),
        Just("{\"x\":1}".to_owned()),
        Just("{}".to_owned())
    ]
}

fn call() -> impl Strategy<Value = Value> {
    (prop::option::of(0..3u8), prop::option::of("[ab]"), prop::option::of("[fg]"), prop::option::of(text())).prop_map(
        |(index, id, name, arguments)| json!({"index": index, "id": id, "function": {"name": name, "arguments": arguments}}),
    )
}

fn delta() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => text().prop_map(|text| json!({"content": text})),
        2 => text().prop_map(|text| json!({"reasoning_content": text})),
        1 => text().prop_map(|text| json!({"refusal": text, "content": null})),
        1 => text().prop_map(|text| json!({"content": [{"type": "text", "text": text}, {"type": "odd"}]})),
        1 => text().prop_map(|text| json!({"reasoning_details": [{"type": "reasoning.text", "text": text}, {"type": "x"}]})),
        3 => prop::collection::vec(call(), 0..3).prop_map(|calls| json!({"tool_calls": calls})),
        1 => Just(Value::Null),
    ]
}

fn frame() -> impl Strategy<Value = String> {
    let reason = prop_oneof![6 => Just(Value::Null), 1 => Just(json!("stop")), 1 => Just(json!("length")), 1 => Just(json!(""))];
    let usage = prop::option::of((0..9u8).prop_map(|n| json!({"prompt_tokens": 3, "completion_tokens": n})));
    let chunk = (delta(), reason, usage).prop_map(|(delta, reason, usage)| {
        json!({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], "usage": usage}).to_string()
    });
    prop_oneof![
        16 => chunk,
        1 => Just("[DONE]".to_owned()),
        1 => Just("null".to_owned()),
        1 => Just("{\"choices\":[]}".to_owned()),
        1 => Just("{\"error\":{\"message\":\"m\"}}".to_owned()),
        1 => Just("{\"odd\":1}".to_owned()),
        1 => Just("{".to_owned()),
        1 => Just("{\"choices\":[{\"delta\":{\"content\":\"\\ud83e\"}}]}".to_owned()),
        1 => Just("{\"choices\":[{\"delta\":{\"content\":\"\\udd80\"}}]}".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(1_000)))]

    #[test]
    fn random_answers_keep_the_laws(frames in prop::collection::vec(frame(), 0..12), seed in any::<u8>()) {
        let frames: Vec<_> = frames.iter().map(String::as_str).collect();
        let body = sse(&frames);
        let ended = decode([body.as_bytes()]);
        laws(&ended.events, ended.error.is_some());
        check(Some(Wire::OpenAiChat), &[&[seed], body.as_bytes()].concat());
    }

    #[test]
    fn an_answer_is_whole_exactly_if_a_finish_reason_came_before_any_error(frames in prop::collection::vec(frame(), 0..12)) {
        let mut whole = None;
        for frame in &frames {
            let value: Option<Value> = serde_json::from_str(frame).ok();
            let broken = frame == "{" || value.as_ref().is_some_and(|value| value.get("error").is_some());
            let reason = value.as_ref().and_then(|value| value.pointer("/choices/0/finish_reason")?.as_str());
            if frame == "[DONE]" || broken {
                whole = Some(whole.is_some() && !broken);
                break;
            }
            if reason.is_some_and(|reason| !reason.is_empty()) {
                whole = Some(true);
            }
        }
        let frames: Vec<_> = frames.iter().map(String::as_str).collect();
        let ended = decode([sse(&frames).as_bytes()]);
        prop_assert_eq!(ended.error.is_none(), whole == Some(true), "{:?}", ended.trace());
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_never_pass_as_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check(None, &bytes);
        Wire::ALL.into_iter().for_each(|wire| check(Some(wire), &bytes));
        let error = decode([&bytes[..]]).failed();
        prop_assert!(error.raw_body().unwrap_or_default().len() <= 8 * 1024);
    }

    #[test]
    fn a_whole_stream_with_one_byte_changed_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), seed in any::<u8>()) {
        let mut body = crate::support::hello().into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        check(Some(Wire::OpenAiChat), &[&[seed], &body[..]].concat());
    }

    #[test]
    fn folding_a_stream_gives_what_the_answer_in_one_piece_says(
        content in text(),
        reasoning in text(),
        calls in prop::collection::vec(("[a-z]{3}", "[fg]", "[a-z0-9 ]{0,9}"), 0..4),
        reason in prop::sample::select(vec!["stop", "length", "tool_calls", "odd"]),
        piece in 1..4usize,
    ) {
        let usage = json!({"prompt_tokens": 3, "completion_tokens": 4});
        let cut = |text: &str| -> Vec<String> {
            text.chars().collect::<Vec<_>>().chunks(piece).map(|chars| chars.iter().collect()).collect()
        };
        let whole: Vec<_> = calls.iter().enumerate().map(|(at, (id, name, value))| {
            json!({"id": format!("{id}{at}"), "type": "function", "function": {"name": name, "arguments": json!({"v": value}).to_string()}})
        }).collect();
        let message = json!({"role": "assistant", "content": content, "reasoning_content": reasoning, "tool_calls": whole});
        let body = json!({"id": "c", "model": "m", "usage": usage, "choices": [{"index": 0, "message": message, "finish_reason": reason}]});
        let mut deltas = vec![json!({"role": "assistant", "content": ""})];
        deltas.extend(cut(&reasoning).iter().map(|text| json!({"reasoning_content": text})));
        deltas.extend(cut(&content).iter().map(|text| json!({"content": text})));
        for (at, call) in whole.iter().enumerate() {
            let mut first = call.clone();
            first["index"] = at.into();
            first["function"]["arguments"] = "".into();
            deltas.push(json!({"tool_calls": [first]}));
            let arguments = call["function"]["arguments"].as_str().unwrap();
            deltas.extend(cut(arguments).iter().map(|text| json!({"tool_calls": [{"index": at, "function": {"arguments": text}}]})));
        }
        let chunk = |delta: &Value, reason: Option<&str>| {
            json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}).to_string()
        };
        let mut frames: Vec<_> = deltas.iter().map(|delta| chunk(delta, None)).collect();
        frames.push(chunk(&json!({}), Some(reason)));
        frames.push(json!({"id": "c", "choices": [], "usage": usage}).to_string());
        frames.push("[DONE]".to_owned());
        let frames: Vec<_> = frames.iter().map(String::as_str).collect();
        let streamed = decode([sse(&frames).as_bytes()]).succeeded();
        prop_assert_eq!(&streamed, &decode([body.to_string().as_bytes()]).succeeded());
        prop_assert_eq!((&streamed.text, &streamed.reasoning, streamed.tool_calls.len()), (&content, &reasoning, calls.len()));
    }
}
