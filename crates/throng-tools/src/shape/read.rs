//! Finds the model's message in a response, and the calls in the message.

use serde_json::{Map, Value};

use super::{Shape, ShapeError};

/// A call as it is written.
pub(super) struct Read {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) arguments: Value,
    pub(super) custom: bool,
    pub(super) malformed: Option<String>,
    /// Its place in the list that [`entries`] gives.
    pub(super) at: usize,
}

/// Returns the part of a response that goes back in the next request.
pub(super) fn message(shape: Shape, answer: &Value) -> Result<Value, ShapeError> {
    let inside = match shape {
        Shape::OpenAiChat => answer.pointer("/choices/0/message"),
        Shape::Ollama => answer.get("message"),
        Shape::OpenAiResponses => answer.get("output"),
        Shape::Gemini => answer.pointer("/candidates/0/content"),
        Shape::Anthropic => None,
    };
    let message = inside.unwrap_or(answer);
    let error = |place: &str, what| {
        Err(ShapeError::Malformed {
            shape,
            place: place.to_owned(),
            what,
        })
    };
    match (shape, message) {
        (Shape::OpenAiResponses, Value::Array(_)) => Ok(message.clone()),
        (Shape::OpenAiResponses, _) => error("`output`", "no array"),
        // Of a response only these members go back.
        (Shape::Anthropic, Value::Object(members)) => {
            let mut message = Map::new();
            message.insert("role".to_owned(), Value::from("assistant"));
            let content = members.get("content").cloned().unwrap_or_default();
            message.insert("content".to_owned(), content);
            Ok(Value::Object(message))
        }
        (Shape::Gemini, Value::Object(members)) if members.contains_key("candidates") => {
            // A blocked prompt has a candidate without content.
            Ok(serde_json::json!({"role": "model", "parts": []}))
        }
        (_, Value::Object(members)) if !members.contains_key("choices") => Ok(message.clone()),
        _ => error("the message", "not there"),
    }
}

/// Returns the calls of a message.
pub(super) fn calls(shape: Shape, message: &Value) -> Result<Vec<Read>, ShapeError> {
    let mut calls = Vec::new();
    for (at, entry) in entries(shape, message).iter().enumerate() {
        if let Some(call) = call(shape, entry, at)? {
            calls.push(call);
        }
    }
    Ok(calls)
}

/// Sets the id of the call at a place of the message.
pub(super) fn set_id(shape: Shape, message: &mut Value, at: usize, id: &str) {
    let entries = match list(shape) {
        Some(list) => message.get_mut(list),
        None => Some(message),
    };
    let entry = entries.and_then(|entries| entries.get_mut(at));
    let (entry, key) = match shape {
        Shape::OpenAiResponses => (entry, "call_id"),
        Shape::Gemini => (entry.and_then(|part| part.get_mut("functionCall")), "id"),
        _ => (entry, "id"),
    };
    if let Some(members) = entry.and_then(Value::as_object_mut) {
        members.insert(key.to_owned(), Value::from(id));
    }
}

/// Returns the member of a message in which the calls are. The items of Responses are the message itself.
fn list(shape: Shape) -> Option<&'static str> {
    match shape {
        Shape::OpenAiChat | Shape::Ollama => Some("tool_calls"),
        Shape::Anthropic => Some("content"),
        Shape::Gemini => Some("parts"),
        Shape::OpenAiResponses => None,
    }
}

fn entries(shape: Shape, message: &Value) -> &[Value] {
    let entries = match list(shape) {
        Some(list) => message.get(list),
        None => Some(message),
    };
    entries
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Reads one entry of the list; `None` if it is no call, such as a piece of text.
fn call(shape: Shape, entry: &Value, at: usize) -> Result<Option<Read>, ShapeError> {
    let kind = entry.get("type").and_then(Value::as_str);
    // Where the call is, its id, its name, its arguments, and whether they are free text.
    let (place, inside, id, arguments, custom) = match (shape, kind) {
        (Shape::OpenAiChat, Some("custom")) => ("custom.name", entry.get("custom"), "id", "input", true),
        (Shape::OpenAiChat | Shape::Ollama, _) => {
            ("function.name", entry.get("function"), "id", "arguments", false)
        }
        (Shape::OpenAiResponses, Some("function_call")) => {
            ("name", Some(entry), "call_id", "arguments", false)
        }
        (Shape::OpenAiResponses, Some("custom_tool_call")) => ("name", Some(entry), "call_id", "input", true),
        (Shape::Anthropic, Some("tool_use")) => ("name", Some(entry), "id", "input", false),
        (Shape::Gemini, _) if entry.get("functionCall").is_some() => (
            "functionCall.name",
            entry.get("functionCall"),
            "id",
            "args",
            false,
        ),
        _ => return Ok(None),
    };
    let name = inside
        .and_then(|inside| inside.get("name"))
        .and_then(Value::as_str);
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        let list = list(shape).unwrap_or("output");
        return Err(ShapeError::Malformed {
            shape,
            place: format!("{list}[{at}].{place}"),
            what: "not there",
        });
    };
    // The id of Gemini is inside of the call, that of the others beside it.
    let id = if shape == Shape::Gemini {
        inside
    } else {
        Some(entry)
    }
    .and_then(|place| place.get(id))
    .and_then(Value::as_str)
    .filter(|id| !id.is_empty())
    .map(str::to_owned);
    let arguments = inside.and_then(|inside| inside.get(arguments));
    let (arguments, malformed) = read_arguments(arguments, custom);
    Ok(Some(Read {
        id,
        name: name.to_owned(),
        arguments,
        custom,
        malformed,
        at,
    }))
}

/// Arguments are an object, or its text. Nothing at all is no arguments.
fn read_arguments(arguments: Option<&Value>, custom: bool) -> (Value, Option<String>) {
    let none = || Value::Object(Map::new());
    match arguments {
        None | Some(Value::Null) => (none(), None),
        Some(Value::String(text)) if custom => (Value::from(text.as_str()), None),
        Some(Value::String(text)) if text.trim().is_empty() => (none(), None),
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(arguments) => (arguments, None),
            Err(error) => (
                Value::from(text.as_str()),
                Some(format!("the arguments are not JSON: {error}")),
            ),
        },
        Some(arguments) => (arguments.clone(), None),
    }
}
