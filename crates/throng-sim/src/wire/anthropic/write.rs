//! Writes the replies of Anthropic's Messages: whole, and as the events of a stream.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::hash::{Purpose, derive};
use crate::reply::{Choice, Event, Finish, Reply};
use crate::wire::anthropic::error::error;
use crate::wire::{Pen, named, object_or_text, signature, to_json};

/// Writes a whole reply.
pub(super) fn whole(reply: &Reply) -> Bytes {
    let Some(choice) = reply.choice(0) else {
        return Bytes::new();
    };
    let thinking = choice.reasoning.as_deref();
    let thinking =
        thinking.map(|text| json!({"type": "thinking", "thinking": text, "signature": signature(reply, 0)}));
    let text = choice.text.as_deref();
    let text = text
        .filter(|text| !text.is_empty())
        .map(|text| json!({"type": "text", "text": text}));
    let calls = choice.tools.iter().enumerate().map(|(tool, call)| {
        let mut block = tool_block(reply, tool);
        block["input"] = object_or_text(&call.arguments);
        block
    });
    let mut message = message(reply, reply.output_tokens);
    message["content"] = thinking.into_iter().chain(text).chain(calls).collect();
    message["stop_reason"] = json!(stop_reason(&choice.finish));
    message["stop_sequence"] = stop_sequence(&choice.finish);
    if reply.reasoning_tokens > 0 {
        message["usage"]["output_tokens_details"] = json!({"thinking_tokens": reply.reasoning_tokens});
    }
    to_json(&message).into()
}

/// Writes one event of a stream, as server-sent events.
pub(super) fn event(reply: &Reply, event: &Event, pen: &Pen) -> Bytes {
    let Some(choice) = reply.choice(0) else {
        return Bytes::new();
    };
    match event {
        Event::Start { .. } | Event::Usage | Event::ToolTorn { .. } => Bytes::new(),
        Event::Open => named(&json!({"type": "message_start", "message": message(reply, 1)})),
        Event::ReasoningStart { .. } => {
            start(0, &json!({"type": "thinking", "thinking": "", "signature": ""}))
        }
        Event::Reasoning { bytes, .. } => {
            let text = reply.reasoning(0, bytes);
            delta(0, &json!({"type": "thinking_delta", "thinking": text}))
        }
        Event::ReasoningEnd { .. } => {
            let signature = delta(
                0,
                &json!({"type": "signature_delta", "signature": signature(reply, 0)}),
            );
            joined(&[signature, stop(0)])
        }
        Event::TextStart { .. } => start(choice.text_place(), &json!({"type": "text", "text": ""})),
        Event::Text { bytes, .. } => {
            let text = reply.text(0, bytes);
            delta(choice.text_place(), &json!({"type": "text_delta", "text": text}))
        }
        Event::TextEnd { .. } => stop(choice.text_place()),
        Event::ToolStart { tool, .. } => {
            let place = choice.tool_place(*tool);
            // The first fragment is always empty.
            joined(&[start(place, &tool_block(reply, *tool)), fragment(place, "")])
        }
        // A call without arguments has no other fragment.
        Event::ToolArguments { tool, .. }
            if reply.tool(0, *tool).is_some_and(|call| call.arguments == "{}") =>
        {
            Bytes::new()
        }
        Event::ToolArguments { tool, bytes, .. } => {
            fragment(choice.tool_place(*tool), reply.arguments(0, *tool, bytes))
        }
        Event::ToolEnd { tool, .. } => stop(choice.tool_place(*tool)),
        Event::Finish { .. } => named(&finish(reply, choice)),
        // A gateway that does not know the input tokens sends 0; that must not erase what came first.
        Event::UsageSoFar => named(&json!({
            "type": "message_delta", "delta": {"stop_reason": null, "stop_sequence": null},
            "usage": {"input_tokens": 0, "output_tokens": pen.tokens()}
        })),
        Event::Done => named(&json!({"type": "message_stop"})),
        Event::Error { masked } => named(&error(&ApiError::Overloaded, None, *masked)),
        Event::Garbage => Bytes::from_static(
            b"event: content_block_delta\ndata: {\"type\":\"content_block_del\xff\xfe\x00\x9d<<<\n\n",
        ),
        Event::KeepAlive { turn } if turn % 2 == 1 => Bytes::from_static(b": keep-alive\n\n"),
        Event::KeepAlive { .. } => named(&json!({"type": "ping"})),
        Event::Unknown { turn } if turn % 2 == 0 => {
            named(&json!({"type": "future_event", "future": [1, null]}))
        }
        Event::Unknown { .. } => delta(0, &json!({"type": "future_delta", "future": {"a": "b"}})),
    }
}

/// Returns the message without its content.
fn message(reply: &Reply, output_tokens: u64) -> Value {
    json!({
        "id": format!("msg_{:016x}", reply.id), "type": "message", "role": "assistant", "model": reply.model,
        "content": [], "stop_reason": null, "stop_sequence": null, "stop_details": null,
        "usage": {
            "input_tokens": reply.input_tokens, "output_tokens": output_tokens,
            "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "service_tier": "standard", "inference_geo": "global"
        }
    })
}

fn finish(reply: &Reply, choice: &Choice) -> Value {
    let mut usage = json!({
        "input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens,
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0
    });
    if reply.reasoning_tokens > 0 {
        usage["output_tokens_details"] = json!({"thinking_tokens": reply.reasoning_tokens});
    }
    let reason = stop_reason(&choice.finish);
    json!({
        "type": "message_delta", "usage": usage,
        "delta": {"stop_reason": reason, "stop_sequence": stop_sequence(&choice.finish), "stop_details": null}
    })
}

fn tool_block(reply: &Reply, tool: usize) -> Value {
    let id = derive(reply.id, 0, Purpose::CallId, [0, tool as u64]);
    let name = reply.tool(0, tool).map(|call| call.name.as_str());
    json!({
        "type": "tool_use", "id": format!("toolu_{id:016x}"), "name": name, "input": {}, "caller": {"type": "direct"}
    })
}

/// Begins a block. The service sends a ping after the beginning of the first one.
fn start(index: usize, block: &Value) -> Bytes {
    let start = named(&json!({"type": "content_block_start", "index": index, "content_block": block}));
    if index == 0 {
        joined(&[start, named(&json!({"type": "ping"}))])
    } else {
        start
    }
}

fn delta(index: usize, delta: &Value) -> Bytes {
    named(&json!({"type": "content_block_delta", "index": index, "delta": delta}))
}

fn fragment(index: usize, part: &str) -> Bytes {
    delta(index, &json!({"type": "input_json_delta", "partial_json": part}))
}

fn stop(index: usize) -> Bytes {
    named(&json!({"type": "content_block_stop", "index": index}))
}

fn joined(events: &[Bytes]) -> Bytes {
    events.concat().into()
}

const fn stop_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::StopSequence(_) => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter => "refusal",
        Finish::Empty => "",
    }
}

fn stop_sequence(finish: &Finish) -> Value {
    match finish {
        Finish::StopSequence(stop) => json!(stop),
        _ => Value::Null,
    }
}
