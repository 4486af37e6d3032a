//! Writes the streams of OpenAI's Responses. Every event has a name, a number and, in the end, the whole of what its
//! deltas said.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::reply::{Choice, Event, Finish, Reply};
use crate::wire::openai_responses::write::{
    call_item, finished, item_id, message_item, reasoning_item, response, summary_part, text_part, usage,
};
use crate::wire::{Pen, named, openai_error, unnamed};

/// Writes one event of a stream, as server-sent events.
pub(super) fn event(reply: &Reply, event: &Event, pen: &mut Pen) -> Bytes {
    let events = match event {
        Event::Start { .. } | Event::Finish { .. } | Event::Usage | Event::ToolTorn { .. } => Vec::new(),
        Event::Garbage => {
            return Bytes::from_static(
                b"event: response.output_text.delta\ndata: {\"type\":\"response.outp\xff\xfe\x00\x9d<<<\n\n",
            );
        }
        Event::KeepAlive { turn } if turn % 2 == 0 => return Bytes::from_static(b": keep-alive\n\n"),
        // Masked errors come from gateways, which write as Chat Completions do.
        Event::Error { masked: true } => {
            return unnamed(&openai_error::error(&ApiError::Server, "input", Some("output")));
        }
        Event::Done if pen.has_failed() => return Bytes::from_static(b"data: [DONE]\n\n"),
        Event::Open => ["created", "in_progress"]
            .map(|kind| json!({"type": format!("response.{kind}"), "response": response(reply, "in_progress")}))
            .into(),
        Event::Error { .. } => vec![failure(reply)],
        Event::KeepAlive { .. } => vec![json!({"type": "keepalive"})],
        Event::Unknown { turn } => vec![json!({
            "type": "response.future.delta", "item_id": "fu_1", "delta": turn, "future": {"a": [1, null]}
        })],
        Event::UsageSoFar => {
            let mut response = response(reply, "in_progress");
            response["usage"] = usage(reply, pen.tokens(), pen.reasoning_tokens());
            vec![json!({"type": "response.in_progress", "response": response})]
        }
        Event::Done => vec![terminal(reply)],
        Event::ReasoningStart { .. }
        | Event::Reasoning { .. }
        | Event::ReasoningEnd { .. }
        | Event::TextStart { .. }
        | Event::Text { .. }
        | Event::TextEnd { .. }
        | Event::ToolStart { .. }
        | Event::ToolArguments { .. }
        | Event::ToolEnd { .. } => reply.choice(0).map_or_else(Vec::new, |choice| part(reply, choice, event)),
    };
    let mut bytes = Vec::new();
    for mut event in events {
        event["sequence_number"] = json!(pen.next_sequence());
        bytes.extend_from_slice(&named(&event));
    }
    bytes.into()
}

/// Returns the events of a part of the output: of its beginning, its pieces, or its end.
fn part(reply: &Reply, choice: &Choice, event: &Event) -> Vec<Value> {
    let item = |kind: &str, index: usize, item: Value| json!({"type": format!("response.output_item.{kind}"), "output_index": index, "item": item});
    let of = |kind: &str, id: &str, index: usize, fields: Value| {
        let mut event = json!({"type": format!("response.{kind}"), "item_id": id, "output_index": index});
        if let (Some(event), Value::Object(fields)) = (event.as_object_mut(), fields) {
            event.extend(fields);
        }
        event
    };
    match event {
        Event::ReasoningStart { .. } | Event::Reasoning { .. } | Event::ReasoningEnd { .. } => {
            let id = item_id(reply, "rs", 0);
            let text = choice.reasoning.as_deref().unwrap_or_default();
            let of = |kind: &str, fields: Value| {
                let mut event = of(&format!("reasoning_summary_{kind}"), &id, 0, fields);
                event["summary_index"] = json!(0);
                event
            };
            match event {
                Event::ReasoningStart { .. } => vec![
                    item("added", 0, reasoning_item(reply, None)),
                    of("part.added", json!({"part": summary_part("")})),
                ],
                Event::Reasoning { bytes, .. } => {
                    vec![of("text.delta", json!({"delta": reply.reasoning(0, bytes)}))]
                }
                _ => vec![
                    of("text.done", json!({"text": text})),
                    of("part.done", json!({"part": summary_part(text)})),
                    item("done", 0, reasoning_item(reply, Some(text))),
                ],
            }
        }
        Event::TextStart { .. } | Event::Text { .. } | Event::TextEnd { .. } => {
            let (id, index) = (item_id(reply, "msg", 0), choice.text_place());
            let text = choice.text.as_deref().unwrap_or_default();
            let of = |kind: &str, fields: Value| {
                let mut event = of(kind, &id, index, fields);
                event["content_index"] = json!(0);
                event
            };
            match event {
                Event::TextStart { .. } => vec![
                    item("added", index, message_item(reply, None)),
                    of("content_part.added", json!({"part": text_part("")})),
                ],
                Event::Text { bytes, .. } => {
                    vec![of(
                        "output_text.delta",
                        json!({"delta": reply.text(0, bytes), "logprobs": []}),
                    )]
                }
                _ => vec![
                    of("output_text.done", json!({"text": text, "logprobs": []})),
                    of("content_part.done", json!({"part": text_part(text)})),
                    item("done", index, message_item(reply, Some(text))),
                ],
            }
        }
        Event::ToolStart { tool, .. } => {
            vec![item(
                "added",
                choice.tool_place(*tool),
                call_item(reply, *tool, false),
            )]
        }
        Event::ToolArguments { tool, bytes, .. } => {
            let delta = json!({"delta": reply.arguments(0, *tool, bytes)});
            let id = item_id(reply, "fc", *tool);
            vec![of(
                "function_call_arguments.delta",
                &id,
                choice.tool_place(*tool),
                delta,
            )]
        }
        Event::ToolEnd { tool, .. } => {
            let (id, index) = (item_id(reply, "fc", *tool), choice.tool_place(*tool));
            let arguments = reply.tool(0, *tool).map(|call| call.arguments.as_str());
            vec![
                of(
                    "function_call_arguments.done",
                    &id,
                    index,
                    json!({"arguments": arguments}),
                ),
                item("done", index, call_item(reply, *tool, true)),
            ]
        }
        _ => Vec::new(),
    }
}

/// Returns the event that ends a stream. One whose response has no status is of no known type.
fn terminal(reply: &Reply) -> Value {
    let kind = match reply.choice(0).map(|choice| &choice.finish) {
        Some(Finish::Length | Finish::ContentFilter) => "response.incomplete",
        Some(Finish::Empty) => "",
        _ => "response.completed",
    };
    json!({"type": kind, "response": finished(reply)})
}

/// Returns the event of a failure: one of the two that there are.
fn failure(reply: &Reply) -> Value {
    if reply.id.is_multiple_of(2) {
        let mut response = response(reply, "failed");
        response["error"] = json!({"code": "server_error", "message": openai_error::SERVER});
        return json!({"type": "response.failed", "response": response});
    }
    json!({"type": "error", "code": "server_error", "message": openai_error::SERVER, "param": null})
}
