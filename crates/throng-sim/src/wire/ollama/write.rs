//! Writes the replies of Ollama's own API: whole, as the lines of a stream, and its errors.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::hash::{Purpose, derive};
use crate::reply::{Choice, Event, Finish, Reply};
use crate::wire::{Pen, begun_at, begun_call, object_or_text, to_json};

/// Every line says that it was made at this time, so that equal requests get equal bytes.
const CREATED: &str = "2023-11-14T22:13:20Z";

/// Writes a whole reply.
pub(super) fn whole(reply: &Reply) -> Bytes {
    let Some(choice) = reply.choice(0) else {
        return Bytes::new();
    };
    let mut message = json!({"role": "assistant", "content": choice.text.as_deref().unwrap_or_default()});
    if let Some(reasoning) = &choice.reasoning {
        message["thinking"] = json!(reasoning);
    }
    let calls: Vec<Value> = (0..choice.tools.len())
        .filter_map(|tool| call(reply, tool))
        .collect();
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    let mut whole = last(reply, choice);
    whole["message"] = message;
    to_json(&whole).into()
}

/// Writes one event of a stream, as a line.
pub(super) fn event(reply: &Reply, event: &Event, pen: &Pen) -> Bytes {
    let said = |key: &str, value: Value| {
        let mut message = json!({"role": "assistant", "content": ""});
        message[key] = value;
        line(reply, &message)
    };
    let line = match event {
        Event::Open
        | Event::Start { .. }
        | Event::ReasoningStart { .. }
        | Event::ReasoningEnd { .. }
        | Event::TextStart { .. }
        | Event::TextEnd { .. }
        | Event::ToolStart { .. }
        | Event::ToolArguments { .. }
        | Event::Finish { .. }
        | Event::Usage => return Bytes::new(),
        Event::Reasoning { bytes, .. } => said("thinking", json!(reply.reasoning(0, bytes))),
        Event::Text { bytes, .. } => said("content", json!(reply.text(0, bytes))),
        Event::ToolEnd { tool, .. } => match call(reply, *tool) {
            Some(call) => said("tool_calls", json!([call])),
            None => return Bytes::new(),
        },
        Event::ToolTorn { tool, .. } => {
            let whole = said("tool_calls", json!([{ "function": null }])).to_string();
            let begun = begun_call(reply, 0, *tool, "arguments");
            return begun_at(&whole, "null", &begun).into();
        }
        Event::UsageSoFar => {
            let mut line = line(reply, &json!({"role": "assistant", "content": ""}));
            line["prompt_eval_count"] = json!(reply.input_tokens);
            line["eval_count"] = json!(pen.tokens());
            line
        }
        Event::Done => match reply.choice(0) {
            Some(choice) => last(reply, choice),
            None => return Bytes::new(),
        },
        Event::Error { masked } => error(&ApiError::Server, *masked),
        Event::Garbage => {
            return Bytes::from_static(b"{\"model\":\"m\",\"message\":{\"ro\xff\xfe\x00\x9d<<<\n");
        }
        Event::KeepAlive { .. } => return Bytes::from_static(b"\n"),
        Event::Unknown { turn } if turn % 2 == 0 => {
            let mut line = said("future", json!({"a": [1, null]}));
            line["future"] = json!({"a": "b"});
            line
        }
        Event::Unknown { .. } => json!({"future_status": "warming", "model": reply.model}),
    };
    let mut bytes = to_json(&line);
    bytes.push(b'\n');
    bytes.into()
}

/// Writes an error; a masked one has an empty message beside it.
pub(super) fn error(error: &ApiError, masked: bool) -> Value {
    let message: String = match error {
        ApiError::BadRequest { message, .. } => message.clone(),
        ApiError::Unauthorized => "unauthorized".into(),
        ApiError::UnknownModel(model) => format!("model '{model}' not found"),
        ApiError::UnknownPath => "404 page not found".into(),
        ApiError::WrongMethod => "405 method not allowed".into(),
        ApiError::TooLarge { limit } => format!("request body is larger than {limit} bytes"),
        ApiError::BodyTimeout => "the request body did not arrive in time".into(),
        ApiError::RateLimited { exceeded, .. } => {
            format!(
                "too many requests, please try again in {}ms",
                exceeded.wait_millis()
            )
        }
        ApiError::Busy { status: 429 } => "too many concurrent requests".into(),
        ApiError::QuotaExhausted { .. } => {
            "you have reached your usage limit, please upgrade to continue".into()
        }
        ApiError::Server => "an error was encountered while running the model: unexpected EOF".into(),
        ApiError::Unavailable => "service unavailable".into(),
        ApiError::Overloaded | ApiError::Busy { .. } => {
            "server busy, please try again.  maximum pending requests exceeded".into()
        }
        ApiError::ContextOverflow { n_tokens, limit } => {
            format!("the input length ({n_tokens} tokens) exceeds the context length ({limit} tokens)")
        }
        ApiError::ContentFilter => "the response was blocked by the content filter".into(),
    };
    let mut body = json!({"error": message});
    if masked {
        body["message"] = json!({"role": "assistant", "content": ""});
        body["done"] = json!(false);
    }
    body
}

fn line(reply: &Reply, message: &Value) -> Value {
    json!({"model": reply.model, "created_at": CREATED, "message": message, "done": false})
}

/// Returns the last line; one without a reason is not done.
fn last(reply: &Reply, choice: &Choice) -> Value {
    let mut line = line(reply, &json!({"role": "assistant", "content": ""}));
    let (done, reason) = match choice.finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls | Finish::ContentFilter => (true, "stop"),
        Finish::Length => (true, "length"),
        Finish::Empty => (false, ""),
    };
    line["done"] = json!(done);
    line["done_reason"] = json!(reason);
    let nanos = |tokens: u64| tokens.saturating_mul(1_000_000);
    let (input, output) = (reply.input_tokens, reply.output_tokens);
    let counts = json!({
        "prompt_eval_count": input, "prompt_eval_duration": nanos(input), "eval_count": output,
        "eval_duration": nanos(output), "load_duration": 1_000_000, "total_duration": nanos(1 + input + output)
    });
    if let (Some(line), Value::Object(counts)) = (line.as_object_mut(), counts) {
        line.extend(counts);
    }
    line
}

/// Returns a tool call; none if its arguments were cut off.
fn call(reply: &Reply, tool: usize) -> Option<Value> {
    let cut = reply.choice(0)?.finish == Finish::Length;
    let call = reply.tool(0, tool)?;
    let arguments = object_or_text(&call.arguments);
    if cut && !arguments.is_object() {
        return None;
    }
    let id = derive(reply.id, 0, Purpose::CallId, [0, tool as u64]);
    Some(json!({
        "id": format!("call_{id:016x}"),
        "function": {"index": tool, "name": call.name, "arguments": arguments}
    }))
}
