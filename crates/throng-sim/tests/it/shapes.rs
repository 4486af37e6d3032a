//! The exact shape of each wire's streams: names, order and fields, as the recorded traffic of the providers has them.

use serde_json::{Value, json};
use throng_sim::{Behaviour, Match, ScriptedReply, SimServer, ToolCall, Wire};

use crate::client::{Reply, instant, start};
use crate::requests::{Ask, Mode, ask};

/// A server whose answers hold everything: reasoning, text and two calls, the second without arguments.
async fn everything() -> SimServer {
    let said = ScriptedReply::new()
        .reasoning("I think")
        .text("Well, yes.")
        .tool_call(ToolCall::new("add", r#"{"x":2}"#))
        .tool_call(ToolCall::new("ping", "{}"));
    start(instant().script(Match::any(), Behaviour::Reply(said))).await
}

async fn everything_on(wire: Wire, mode: Mode) -> Reply {
    let server = everything().await;
    ask(&server, wire, mode, &Ask::new("12345678")).await.unwrap()
}

fn parsed(reply: &Reply) -> Vec<Value> {
    reply
        .events()
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect()
}

/// The names of the events, repeated ones once.
fn names(events: &[Value]) -> Vec<&str> {
    let mut names: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    names.dedup();
    names
}

#[tokio::test]
async fn chat_sends_the_reasoning_in_a_field_of_its_own() {
    let reply = everything_on(Wire::OpenAiChat, Mode::Stream).await;
    let events = reply.events();
    let deltas: Vec<Value> = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        .map(|chunk| chunk["choices"][0]["delta"].clone())
        .collect();
    assert_eq!(
        deltas[0],
        json!({"role": "assistant", "content": "", "refusal": null})
    );
    assert_eq!(deltas[1], json!({"reasoning_content": "I th"}));
    assert_eq!(deltas[3], json!({"content": "Well"}));
    let first = &deltas[6];
    assert_eq!(
        first.as_object().unwrap().len(),
        1,
        "the role was said before: {first}"
    );
    assert_eq!(
        first["tool_calls"][0]["function"],
        json!({"name": "add", "arguments": ""})
    );
}

#[tokio::test]
async fn responses_has_named_and_numbered_events() {
    let reply = everything_on(Wire::OpenAiResponses, Mode::Stream).await;
    assert_eq!(
        reply.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert_eq!(reply.header("x-request-id"), Some("req_1"));
    let events = parsed(&reply);
    let item = ["response.output_item.added", "response.output_item.done"];
    let call = [
        item[0],
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        item[1],
    ];
    let order = [
        vec!["response.created", "response.in_progress", item[0]],
        vec![
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
        ],
        vec![
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            item[1],
        ],
        vec![
            item[0],
            "response.content_part.added",
            "response.output_text.delta",
        ],
        vec!["response.output_text.done", "response.content_part.done", item[1]],
        call.to_vec(),
        call.to_vec(),
        vec!["response.completed"],
    ];
    assert_eq!(names(&events), order.concat());
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    let find = |name: &str| {
        events
            .iter()
            .filter(|event| event["type"] == name)
            .collect::<Vec<_>>()
    };
    assert_eq!(find("response.created")[0]["response"]["status"], "in_progress");
    assert_eq!(find("response.created")[0]["response"]["output"], json!([]));
    let added: Vec<&Value> = find(item[0])
        .into_iter()
        .map(|event| &event["item"]["type"])
        .collect();
    assert_eq!(added, ["reasoning", "message", "function_call", "function_call"]);
    let delta = find("response.output_text.delta")[0];
    let text_item = &find(item[0])[1]["item"]["id"];
    assert_eq!(
        *delta,
        json!({"type": "response.output_text.delta", "item_id": text_item, "output_index": 1, "content_index": 0,
            "delta": "Well", "logprobs": [], "sequence_number": delta["sequence_number"]})
    );
    let begun = &find(item[0])[2]["item"];
    assert_eq!(
        (&begun["name"], &begun["arguments"], &begun["status"]),
        (&json!("add"), &json!(""), &json!("in_progress"))
    );
    assert!(
        begun["id"].as_str().unwrap().starts_with("fc_")
            && begun["call_id"].as_str().unwrap().starts_with("call_")
    );
    let done = find(item[1]);
    let response = &find("response.completed")[0]["response"];
    let items: Vec<Value> = done.iter().map(|event| event["item"].clone()).collect();
    assert_eq!(response["output"], Value::Array(items));
    assert_eq!(
        response["usage"],
        json!({"input_tokens": 2, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 10,
            "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 12})
    );
    let whole = everything_on(Wire::OpenAiResponses, Mode::Whole).await.json();
    assert_eq!(
        (&whole["object"], &whole["status"]),
        (&json!("response"), &json!("completed"))
    );
    assert_eq!(whole["output"][1]["content"][0]["text"], "Well, yes.");
}

#[tokio::test]
async fn anthropic_sends_block_after_block() {
    let reply = everything_on(Wire::Anthropic, Mode::Stream).await;
    assert_eq!(reply.header("request-id"), Some("req_1"));
    assert_eq!(reply.header("x-request-id"), None);
    let events = parsed(&reply);
    let block = ["content_block_start", "content_block_delta", "content_block_stop"];
    let first = ["message_start", block[0], "ping", block[1], block[2]];
    let end = ["message_delta", "message_stop"];
    assert_eq!(
        names(&events),
        [&first[..], &block, &block, &block, &end].concat()
    );
    let usage = &events[0]["message"]["usage"];
    assert_eq!(
        (&usage["input_tokens"], &usage["output_tokens"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(events[0]["message"]["content"], json!([]));
    let starts: Vec<&Value> = events.iter().filter(|event| event["type"] == block[0]).collect();
    assert_eq!(
        starts[0]["content_block"],
        json!({"type": "thinking", "thinking": "", "signature": ""})
    );
    assert_eq!(starts[1]["content_block"], json!({"type": "text", "text": ""}));
    let tool = &starts[2]["content_block"];
    assert_eq!(
        (&tool["type"], &tool["name"], &tool["input"]),
        (&json!("tool_use"), &json!("add"), &json!({}))
    );
    let deltas = |index: u64| {
        let of_block = events
            .iter()
            .filter(move |event| event["type"] == block[1] && event["index"] == index);
        of_block.map(|event| event["delta"].clone()).collect::<Vec<_>>()
    };
    let thinking = deltas(0);
    assert_eq!(thinking[0], json!({"type": "thinking_delta", "thinking": "I th"}));
    assert_eq!(thinking.last().unwrap()["type"], "signature_delta");
    assert_eq!(deltas(1)[0], json!({"type": "text_delta", "text": "Well"}));
    assert_eq!(
        deltas(2)[0],
        json!({"type": "input_json_delta", "partial_json": ""})
    );
    assert_eq!(
        deltas(2)[1],
        json!({"type": "input_json_delta", "partial_json": "{\"x\""})
    );
    assert_eq!(
        deltas(3),
        [json!({"type": "input_json_delta", "partial_json": ""})],
        "a call without arguments"
    );
    let finish = &events[events.len() - 2];
    assert_eq!(
        finish["delta"],
        json!({"stop_reason": "tool_use", "stop_sequence": null, "stop_details": null})
    );
    assert_eq!(finish["usage"]["output_tokens"], 10);
    let whole = everything_on(Wire::Anthropic, Mode::Whole).await.json();
    let kinds: Vec<&Value> = whole["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| &block["type"])
        .collect();
    assert_eq!(kinds, ["thinking", "text", "tool_use", "tool_use"]);
    assert_eq!(whole["content"][2]["input"], json!({"x": 2}));
}

#[tokio::test]
async fn anthropic_names_the_stop_sequence() {
    let server = start(instant().script(Match::any(), Behaviour::Text("one two three".into()))).await;
    let stopped = Ask {
        stop: Some(" two".into()),
        ..Ask::new("x")
    };
    let whole = ask(&server, Wire::Anthropic, Mode::Whole, &stopped)
        .await
        .unwrap()
        .json();
    assert_eq!(
        (&whole["stop_reason"], &whole["stop_sequence"]),
        (&json!("stop_sequence"), &json!(" two"))
    );
    assert_eq!(whole["content"], json!([{"type": "text", "text": "one"}]));
}

#[tokio::test]
async fn gemini_sends_whole_calls_and_the_usage_with_every_event() {
    let reply = everything_on(Wire::Gemini, Mode::Stream).await;
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    assert!(reply.text().ends_with("}\r\n\r\n"), "lines end with CRLF");
    let events = parsed(&reply);
    let parts: Vec<&Value> = events
        .iter()
        .map(|event| &event["candidates"][0]["content"]["parts"][0])
        .collect();
    assert_eq!(*parts[0], json!({"text": "I th", "thought": true}));
    assert_eq!(*parts[2], json!({"text": "Well"}));
    assert_eq!(parts[5]["functionCall"], json!({"name": "add", "args": {"x": 2}}));
    assert!(parts[5]["thoughtSignature"].is_string());
    assert_eq!(*parts[6], json!({"functionCall": {"name": "ping", "args": {}}}));
    let totals: Vec<u64> = events
        .iter()
        .map(|event| event["usageMetadata"]["totalTokenCount"].as_u64().unwrap())
        .collect();
    assert!(totals.is_sorted() && totals.last() == Some(&12), "{totals:?}");
    assert!(
        events[0]["usageMetadata"].get("candidatesTokenCount").is_none(),
        "only thoughts so far"
    );
    let (last, before) = events.split_last().unwrap();
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    assert_eq!(last["usageMetadata"]["thoughtsTokenCount"], 2);
    assert_eq!(last["usageMetadata"]["candidatesTokenCount"], 8);
    assert!(
        before
            .iter()
            .all(|event| event["candidates"][0].get("finishReason").is_none())
    );

    let array = everything_on(Wire::Gemini, Mode::Array).await;
    assert_eq!(
        array.header("content-type"),
        Some("application/json; charset=UTF-8")
    );
    assert_eq!(array.json().as_array().unwrap().len(), events.len());
}

#[tokio::test]
async fn gemini_gives_several_candidates() {
    let server = start(instant()).await;
    let (_, mut body) = Ask::new("x").on(Wire::Gemini, Mode::Whole);
    body["generationConfig"] = json!({"candidateCount": 3});
    let path = "/v1beta/models/m:generateContent";
    let whole = crate::requests::send(&server, path, "", &body)
        .await
        .unwrap()
        .json();
    for index in 0..3_u32 {
        let candidate = &whole["candidates"][index as usize];
        let text = server.config().expected_choice("x", index);
        assert_eq!(
            (&candidate["content"]["parts"][0]["text"], &candidate["index"]),
            (&json!(text), &json!(index))
        );
    }
}

#[tokio::test]
async fn ollama_sends_lines() {
    let reply = everything_on(Wire::Ollama, Mode::Stream).await;
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> = reply
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (last, before) = lines.split_last().unwrap();
    assert!(
        before
            .iter()
            .all(|line| line["done"] == false && line.get("done_reason").is_none())
    );
    assert_eq!(
        before[0]["message"],
        json!({"role": "assistant", "content": "", "thinking": "I th"})
    );
    assert_eq!(
        before[2]["message"],
        json!({"role": "assistant", "content": "Well"})
    );
    let call = &before[5]["message"]["tool_calls"][0];
    assert_eq!(
        call["function"],
        json!({"index": 0, "name": "add", "arguments": {"x": 2}})
    );
    assert_eq!(
        (&last["done"], &last["done_reason"]),
        (&json!(true), &json!("stop"))
    );
    assert_eq!(
        (&last["prompt_eval_count"], &last["eval_count"]),
        (&json!(2), &json!(10))
    );
    assert!(last["total_duration"].is_u64());
    let whole = everything_on(Wire::Ollama, Mode::Whole).await;
    assert_eq!(whole.header("content-type"), Some("application/json"));
    let message = &whole.json()["message"];
    assert_eq!(
        (&message["content"], &message["thinking"]),
        (&json!("Well, yes."), &json!("I think"))
    );
    assert_eq!(message["tool_calls"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn ollama_streams_unless_told_otherwise() {
    let server = start(instant()).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
    let reply = crate::requests::send(&server, "/api/chat", "", &body)
        .await
        .unwrap();
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
}
