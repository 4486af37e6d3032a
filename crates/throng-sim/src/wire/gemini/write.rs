//! Writes the replies of Gemini: whole, and as the events of a stream or the elements of an array.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::reply::{Choice, Event, Finish, Reply};
use crate::wire::gemini::error::error;
use crate::wire::{Pen, begun_at, begun_call, signature, to_json};

/// Writes a whole reply.
pub(super) fn whole(reply: &Reply) -> Bytes {
    let usage = usage(reply, reply.output_tokens, reply.reasoning_tokens);
    if blocked(reply) {
        return to_json(&blockade(reply)).into();
    }
    let candidates = reply.choices.iter().enumerate().map(|(index, choice)| {
        let thought = choice
            .reasoning
            .as_deref()
            .map(|text| json!({"text": text, "thought": true}));
        let text = choice.text.as_deref().map(|text| {
            let mut part = json!({"text": text});
            if choice.reasoning.is_some() {
                part["thoughtSignature"] = json!(signature(reply, index));
            }
            part
        });
        let calls = (0..choice.tools.len()).filter_map(|tool| call_part(reply, index, tool));
        candidate(
            index,
            &thought.into_iter().chain(text).chain(calls).collect::<Vec<_>>(),
            Some(finish_reason(choice)),
        )
    });
    to_json(&response(reply, &candidates.collect::<Vec<_>>(), &usage)).into()
}

/// Writes one event of a stream.
pub(super) fn event(reply: &Reply, event: &Event, pen: &mut Pen) -> Bytes {
    let usage = usage(reply, pen.tokens(), pen.reasoning_tokens());
    let parts = |index: usize, parts: &[Value]| response(reply, &[candidate(index, parts, None)], &usage);
    let element = match event {
        Event::Open
        | Event::Start { .. }
        | Event::ReasoningStart { .. }
        | Event::ReasoningEnd { .. }
        | Event::TextStart { .. }
        | Event::TextEnd { .. }
        | Event::ToolStart { .. }
        | Event::ToolArguments { .. }
        | Event::Usage => return Bytes::new(),
        Event::Reasoning { choice, bytes } => {
            let text = reply.reasoning(*choice, bytes);
            parts(*choice, &[json!({"text": text, "thought": true})])
        }
        Event::Text { choice, bytes } => parts(*choice, &[json!({"text": reply.text(*choice, bytes)})]),
        Event::ToolEnd { choice, tool } => match call_part(reply, *choice, *tool) {
            Some(part) => parts(*choice, &[part]),
            None => return Bytes::new(),
        },
        Event::ToolTorn { choice, tool } => {
            let whole = parts(*choice, &[json!({ "functionCall": null })]).to_string();
            let begun = begun_call(reply, *choice, *tool, "args");
            return framed(begun_at(&whole, "null", &begun).as_bytes(), pen, "");
        }
        Event::Finish { .. } if blocked(reply) => blockade(reply),
        Event::Finish { choice: index } => {
            let Some(choice) = reply.choice(*index) else {
                return Bytes::new();
            };
            let mut part = json!({"text": ""});
            if choice.reasoning.is_some() && choice.text.is_some() {
                part["thoughtSignature"] = json!(signature(reply, *index));
            }
            let mut candidate = candidate(*index, &[part], Some(finish_reason(choice)));
            if choice.finish == Finish::ToolCalls {
                candidate["finishMessage"] = json!("Model generated function call(s).");
            }
            response(reply, &[candidate], &usage)
        }
        Event::UsageSoFar => {
            let mut response = response(reply, &[], &usage);
            if let Some(fields) = response.as_object_mut() {
                fields.remove("candidates");
            }
            response
        }
        Event::Done if pen.is_array() => return Bytes::from_static(b"]\n"),
        Event::Done => return Bytes::new(),
        Event::Error { masked } => error(&ApiError::Unavailable, *masked),
        Event::Garbage => {
            return framed(
                b"{\"candidates\": [{\"content\": {\"par\xff\xfe\x00\x9d<<<",
                pen,
                "\r\n\r\n",
            );
        }
        Event::KeepAlive { .. } if pen.is_array() => return Bytes::from_static(b"\n"),
        Event::KeepAlive { turn } if turn % 2 == 0 => return Bytes::from_static(b": keep-alive\r\n\r\n"),
        Event::KeepAlive { .. } => return Bytes::from_static(b"data: null\r\n\r\n"),
        Event::Unknown { turn } if turn % 2 == 0 => {
            let mut response = parts(0, &[json!({"futurePart": {"a": [1, null]}})]);
            response["future"] = json!({"a": "b"});
            response
        }
        Event::Unknown { .. } => json!({"futureEvent": {"a": [1, null]}}),
    };
    framed(&to_json(&element), pen, "\r\n\r\n")
}

/// Puts an element where it belongs: after `data: ` and before `end`, or into the array.
fn framed(element: &[u8], pen: &mut Pen, end: &str) -> Bytes {
    let (before, after) = match (pen.is_array(), pen.next_element()) {
        (true, 0) => ("[", if end.is_empty() { "" } else { "\r\n" }),
        (true, _) => (",\r\n", if end.is_empty() { "" } else { "\r\n" }),
        (false, _) => ("data: ", end),
    };
    [before.as_bytes(), element, after.as_bytes()].concat().into()
}

fn response(reply: &Reply, candidates: &[Value], usage: &Value) -> Value {
    json!({
        "candidates": candidates, "usageMetadata": usage, "modelVersion": reply.model,
        "responseId": format!("{:016x}", reply.id)
    })
}

fn candidate(index: usize, parts: &[Value], finish: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": index});
    if let Some(reason) = finish {
        candidate["finishReason"] = json!(reason);
    }
    candidate
}

/// Returns the part of a tool call; none if its arguments are no object, which Gemini does not send. The first call
/// after reasoning has its signature.
fn call_part(reply: &Reply, index: usize, tool: usize) -> Option<Value> {
    let choice = reply.choice(index)?;
    let call = choice.tools.get(tool)?;
    let args: Value = serde_json::from_str(&call.arguments)
        .ok()
        .filter(Value::is_object)?;
    let mut part = json!({"functionCall": {"name": call.name, "args": args}});
    if tool == 0 && choice.reasoning.is_some() {
        part["thoughtSignature"] = json!(signature(reply, index));
    }
    Some(part)
}

/// Returns the usage after so many output tokens. The tokens of thoughts are not among those of the candidates, and a
/// count of 0 is left out.
fn usage(reply: &Reply, output_tokens: u64, thoughts: u64) -> Value {
    let mut usage = json!({
        "promptTokenCount": reply.input_tokens, "totalTokenCount": reply.input_tokens + output_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": reply.input_tokens}], "serviceTier": "standard"
    });
    if output_tokens > thoughts {
        usage["candidatesTokenCount"] = json!(output_tokens - thoughts);
    }
    if thoughts > 0 {
        usage["thoughtsTokenCount"] = json!(thoughts);
    }
    usage
}

fn blocked(reply: &Reply) -> bool {
    reply
        .choices
        .iter()
        .all(|choice| choice.finish == Finish::ContentFilter)
}

/// Returns the reply to a prompt that was blocked: it has no candidates.
fn blockade(reply: &Reply) -> Value {
    json!({
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": usage(reply, 0, 0),
        "modelVersion": reply.model, "responseId": format!("{:016x}", reply.id)
    })
}

fn finish_reason(choice: &Choice) -> &'static str {
    let is_object =
        |arguments: &str| serde_json::from_str::<Value>(arguments).is_ok_and(|args| args.is_object());
    match choice.finish {
        Finish::ToolCalls if !choice.tools.iter().all(|call| is_object(&call.arguments)) => {
            "MALFORMED_FUNCTION_CALL"
        }
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter => "SAFETY",
        Finish::Empty => "",
    }
}
