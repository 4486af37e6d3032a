//! Writes the results of calls as providers want them.

use serde_json::{Map, Value, json};

use super::Shape;
use super::turn::{Answer, Asked};

/// Writes the answers in the order in which they come.
pub(super) fn answers<'a>(shape: Shape, answers: impl Iterator<Item = (&'a Asked, Answer)>) -> Vec<Value> {
    let written: Vec<_> = answers
        .map(|(asked, answer)| write(shape, asked, answer))
        .collect();
    match shape {
        _ if written.is_empty() => written,
        Shape::OpenAiChat | Shape::OpenAiResponses | Shape::Ollama => written,
        Shape::Anthropic => vec![json!({"role": "user", "content": written})],
        Shape::Gemini => vec![json!({"role": "user", "parts": written})],
    }
}

fn write(shape: Shape, asked: &Asked, answer: Answer) -> Value {
    let id = asked.wire_id.as_deref().unwrap_or_default();
    match shape {
        Shape::OpenAiChat => json!({"role": "tool", "tool_call_id": id, "content": marked(answer)}),
        Shape::OpenAiResponses => {
            let kind = if asked.custom {
                "custom_tool_call_output"
            } else {
                "function_call_output"
            };
            json!({"type": kind, "call_id": id, "output": marked(answer)})
        }
        Shape::Anthropic => {
            let is_error = answer.is_error;
            let mut block = json!({"type": "tool_result", "tool_use_id": id, "content": text(answer)});
            if is_error {
                insert(&mut block, "is_error", true);
            }
            block
        }
        Shape::Gemini => {
            let key = if answer.is_error { "error" } else { "output" };
            let mut response = Map::new();
            response.insert(key.to_owned(), answer.content);
            let mut function = json!({"name": asked.name, "response": response});
            if let Some(id) = &asked.wire_id {
                insert(&mut function, "id", id.as_str());
            }
            json!({"functionResponse": function})
        }
        Shape::Ollama => {
            let mut message = json!({"role": "tool", "tool_name": asked.name, "content": marked(answer)});
            if let Some(id) = &asked.wire_id {
                insert(&mut message, "tool_call_id", id.as_str());
            }
            message
        }
    }
}

fn insert(value: &mut Value, key: &str, member: impl Into<Value>) {
    if let Some(members) = value.as_object_mut() {
        members.insert(key.to_owned(), member.into());
    }
}

/// Text stays as it is, anything else is compact JSON.
fn text(answer: Answer) -> String {
    match answer.content {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// These wires have no flag for an error, so the text has to say it.
fn marked(answer: Answer) -> String {
    let is_error = answer.is_error;
    let text = text(answer);
    if is_error { format!("Error: {text}") } else { text }
}
