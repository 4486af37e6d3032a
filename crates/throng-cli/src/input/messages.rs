//! Conversations of records, which are written as OpenAI's Chat Completions has them, for providers with another wire.

use serde_json::Value;
use throng_llm::{Image, Message, Part, Role, ToolCall};

/// Reads a message.
///
/// # Errors
///
/// What in it cannot be sent to the provider.
pub(crate) fn message(value: &Value) -> Result<Message, String> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let role = match text("role") {
        Some("system") => Role::System,
        Some("developer") => Role::Developer,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool") => Role::Tool,
        Some(other) => return Err(format!("a message has the role {other:?}")),
        None => return Err("a message has no role".to_owned()),
    };
    let content = match value.get("content") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => vec![Part::Text(text.clone())],
        Some(Value::Array(parts)) => parts.iter().map(part).collect::<Result<_, _>>()?,
        Some(_) => return Err("a message has a content that is neither text nor parts".to_owned()),
    };
    let mut message = Message::new(role, content);
    if let Some(Value::Array(calls)) = value.get("tool_calls") {
        for call in calls {
            let part = |pointer: &str| call.pointer(pointer).and_then(Value::as_str);
            let (Some(id), Some(name)) = (part("/id"), part("/function/name")) else {
                return Err("a tool call has no id or no name".to_owned());
            };
            let arguments = part("/function/arguments").unwrap_or("{}");
            message = message.with_tool_calls([ToolCall::new(id, name, arguments)]);
        }
    }
    message.tool_call_id = text("tool_call_id").map(str::to_owned);
    message.name = text("name").map(str::to_owned);
    Ok(message)
}

fn part(value: &Value) -> Result<Part, String> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    match text("/type") {
        Some("text") => Ok(Part::Text(text("/text").unwrap_or_default().to_owned())),
        Some("image_url") => {
            let url = text("/image_url/url").ok_or("an image has no address")?;
            let inline = url
                .strip_prefix("data:")
                .and_then(|rest| rest.split_once(";base64,"));
            let image = match inline {
                Some((media_type, data)) => Image::base64(media_type, data),
                None => Image::url(url),
            };
            Ok(Part::Image(match text("/image_url/detail") {
                Some(detail) => image.with_detail(detail),
                None => image,
            }))
        }
        Some(other) => Err(format!("a message has a part of the type {other:?}")),
        None => Err("a message has a part without a type".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_conversation_keeps_its_meaning() {
        let read = message(&json!({"role": "user", "content": [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ]}));
        let expect = Message::user("What is it?").with_part(Part::Image(Image::base64("image/png", "AAAA")));
        assert_eq!(read, Ok(expect));
        let read = message(&json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        ]}));
        let expect = Message::new(Role::Assistant, []).with_tool_calls([ToolCall::new("c", "f", "{}")]);
        assert_eq!(read, Ok(expect));
        let read = message(&json!({"role": "tool", "tool_call_id": "c", "content": "7"}));
        assert_eq!(read, Ok(Message::tool("c", "7")));
        assert!(message(&json!({"role": "user", "content": [{"type": "input_audio"}]})).is_err());
        assert!(message(&json!({"content": "x"})).is_err());
    }
}
