//! Writes the replies of OpenAI's Responses: the response, its items, and their ids.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::hash::{Purpose, derive};
use crate::reply::{Choice, Finish, Reply};
use crate::wire::to_json;

/// Every reply says that it was made at this second, so that equal requests get equal bytes.
const CREATED: u64 = 1_700_000_000;

/// Writes a whole reply.
pub(super) fn whole(reply: &Reply) -> Bytes {
    to_json(&finished(reply)).into()
}

/// Returns the response as it is when it is done.
pub(super) fn finished(reply: &Reply) -> Value {
    let items: Vec<Value> = reply
        .choice(0)
        .map(|choice| items(reply, choice))
        .unwrap_or_default();
    let (status, reason) = match reply.choice(0).map(|choice| &choice.finish) {
        Some(Finish::Length) => ("incomplete", Some("max_output_tokens")),
        Some(Finish::ContentFilter) => ("incomplete", Some("content_filter")),
        Some(Finish::Empty) => ("", None),
        _ => ("completed", None),
    };
    let mut response = response(reply, status);
    response["output"] = Value::Array(items);
    response["usage"] = usage(reply, reply.output_tokens, reply.reasoning_tokens);
    if let Some(reason) = reason {
        response["incomplete_details"] = json!({"reason": reason});
    } else {
        response["completed_at"] = json!(CREATED);
    }
    response
}

/// Returns a response without output.
pub(super) fn response(reply: &Reply, status: &str) -> Value {
    json!({
        "id": format!("resp_{:016x}", reply.id), "object": "response", "created_at": CREATED, "completed_at": null,
        "status": status, "background": false, "error": null, "incomplete_details": null, "instructions": null,
        "max_output_tokens": null, "max_tool_calls": null, "metadata": {}, "model": reply.model, "output": [],
        "parallel_tool_calls": true, "previous_response_id": null, "prompt_cache_key": null,
        "reasoning": {"effort": null, "summary": null}, "safety_identifier": null, "service_tier": "default",
        "store": true, "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
        "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "usage": null, "user": null
    })
}

pub(super) fn usage(reply: &Reply, output_tokens: u64, reasoning_tokens: u64) -> Value {
    json!({
        "input_tokens": reply.input_tokens, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": output_tokens, "output_tokens_details": {"reasoning_tokens": reasoning_tokens},
        "total_tokens": reply.input_tokens + output_tokens
    })
}

fn items(reply: &Reply, choice: &Choice) -> Vec<Value> {
    let reasoning = choice
        .reasoning
        .as_deref()
        .map(|text| reasoning_item(reply, Some(text)));
    let text = choice.text.as_deref().map(|text| message_item(reply, Some(text)));
    let calls = (0..choice.tools.len()).map(|tool| call_item(reply, tool, true));
    reasoning.into_iter().chain(text).chain(calls).collect()
}

/// Returns the item of the reasoning: with its text once it is done.
pub(super) fn reasoning_item(reply: &Reply, text: Option<&str>) -> Value {
    let summary: Vec<Value> = text.map(summary_part).into_iter().collect();
    json!({"id": item_id(reply, "rs", 0), "type": "reasoning", "status": status(text.is_some()), "summary": summary})
}

pub(super) fn summary_part(text: &str) -> Value {
    json!({"type": "summary_text", "text": text})
}

/// Returns the item of the text: with the text once it is done.
pub(super) fn message_item(reply: &Reply, text: Option<&str>) -> Value {
    let content: Vec<Value> = text.map(text_part).into_iter().collect();
    let complete = reply
        .choice(0)
        .is_some_and(|choice| choice.finish != Finish::Length);
    let status = if text.is_some() && !complete {
        "incomplete"
    } else {
        status(text.is_some())
    };
    json!({
        "id": item_id(reply, "msg", 0), "type": "message", "status": status, "role": "assistant", "content": content
    })
}

pub(super) fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// Returns the item of a tool call: with its arguments once it is done.
pub(super) fn call_item(reply: &Reply, tool: usize, done: bool) -> Value {
    let call = reply.tool(0, tool);
    let arguments = call.filter(|_| done).map_or("", |call| &call.arguments);
    json!({
        "id": item_id(reply, "fc", tool), "type": "function_call", "status": status(done),
        "call_id": format!("call_{:016x}", derive(reply.id, 0, Purpose::CallId, [0, tool as u64])),
        "name": call.map_or("", |call| &call.name), "arguments": arguments
    })
}

pub(super) fn item_id(reply: &Reply, kind: &str, index: usize) -> String {
    format!(
        "{kind}_{:016x}",
        derive(reply.id, 1, Purpose::CallId, [0, index as u64])
    )
}

const fn status(done: bool) -> &'static str {
    if done { "completed" } else { "in_progress" }
}
