//! What a tool answered, as one JSON value that references can look into.
//!
//! - Structured content is taken as it is, and the rest, which says the same for people, is left out.
//! - Otherwise the texts are joined by line ends. A single text that is a JSON object or array is parsed, unless the tool
//!   is told to keep texts; a text that is a number or a word stays text, since it may be the content of a file.
//! - Images, sound and resources beside the texts make it an object: `text`, and `attachments` with `type`, `mime_type`,
//!   `bytes`, and `data` (base64) or `uri`.
//! - No content is `null`.

use serde_json::{Map, Value, json};

use crate::client::Reply;

/// Makes the value of a result.
pub(crate) fn value(reply: Reply, keep_text: bool) -> Value {
    if let Some(structured) = reply.structured
        && (!structured.is_null() || reply.content.is_empty())
    {
        return structured;
    }
    let (texts, attachments) = split(reply.content);
    match (texts.as_slice(), attachments.is_empty()) {
        ([], true) => Value::Null,
        ([text], true) if !keep_text => parsed(text).unwrap_or_else(|| Value::String(text.clone())),
        (texts, true) => Value::String(texts.join("\n")),
        (texts, false) => json!({ "text": texts.join("\n"), "attachments": attachments }),
    }
}

/// Makes the text of an error.
pub(crate) fn error_text(reply: Reply) -> String {
    let structured = reply.structured;
    let (texts, attachments) = split(reply.content);
    match (texts.is_empty(), structured) {
        (false, _) => texts.join("\n"),
        (true, Some(structured)) => structured.to_string(),
        (true, None) if attachments.is_empty() => "the tool failed and does not say why".to_owned(),
        (true, None) => Value::Array(attachments).to_string(),
    }
}

fn split(content: Vec<Value>) -> (Vec<String>, Vec<Value>) {
    let mut texts = Vec::new();
    let mut attachments = Vec::new();
    for block in content {
        match block {
            Value::Object(mut block) if block.get("type").is_some_and(|kind| kind == "text") => {
                match block.remove("text") {
                    Some(Value::String(text)) => texts.push(text),
                    other => attachments.extend(other),
                }
            }
            other => attachments.push(attachment(other)),
        }
    }
    (texts, attachments)
}

/// Describes a block that is no text. What is not known stays as it is.
fn attachment(block: Value) -> Value {
    let Value::Object(mut block) = block else {
        return block;
    };
    let kind = block
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let mut described = Map::new();
    described.insert("type".to_owned(), Value::String(kind.clone()));
    let source = match kind.as_str() {
        "image" | "audio" | "resource_link" => &mut block,
        "resource" => match block.get_mut("resource") {
            Some(Value::Object(resource)) => resource,
            _ => return Value::Object(block),
        },
        _ => return Value::Object(block),
    };
    for (from, to) in [
        ("uri", "uri"),
        ("name", "name"),
        ("mimeType", "mime_type"),
        ("size", "bytes"),
        ("text", "text"),
        ("data", "data"),
        ("blob", "data"),
    ] {
        if let Some(value) = source.remove(from) {
            if to == "data" {
                described.insert("bytes".to_owned(), json!(base64_bytes(&value)));
            }
            described.insert(to.to_owned(), value);
        }
    }
    Value::Object(described)
}

/// Returns how many bytes a text in base64 stands for.
fn base64_bytes(data: &Value) -> usize {
    let digits = data.as_str().unwrap_or_default().trim_end_matches('=').len();
    digits * 3 / 4
}

/// Parses a text that is a JSON object or array.
fn parsed(text: &str) -> Option<Value> {
    let begins = text.trim_start().starts_with(['{', '[']);
    begins.then(|| serde_json::from_str(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: &Value, structured: Option<Value>, expect: &Value) {
        let reply = Reply {
            content: content.as_array().unwrap().clone(),
            structured,
            is_error: false,
        };
        assert_eq!(&value(reply.clone(), false), expect, "{reply:?}");
    }

    fn text(text: &str) -> Value {
        json!({ "type": "text", "text": text })
    }

    #[test]
    fn structured_content_wins() {
        check(&json!([text("{}")]), Some(json!({"a": 1})), &json!({"a": 1}));
        check(&json!([]), Some(json!(7)), &json!(7));
        check(&json!([]), Some(Value::Null), &Value::Null);
        check(
            &json!([text("said in words")]),
            Some(Value::Null),
            &json!("said in words"),
        );
    }

    #[test]
    fn only_objects_and_arrays_are_parsed() {
        check(&json!([text(" {\"a\": [1]}\n")]), None, &json!({"a": [1]}));
        check(&json!([text("[1, 2]")]), None, &json!([1, 2]));
        check(&json!([text("1.50")]), None, &json!("1.50"));
        check(&json!([text("true")]), None, &json!("true"));
        check(&json!([text("[not JSON]")]), None, &json!("[not JSON]"));
        check(
            &json!([text("{\"a\": 1} and more")]),
            None,
            &json!("{\"a\": 1} and more"),
        );
        check(&json!([text("{}"), text("[]")]), None, &json!("{}\n[]"));
        check(&json!([]), None, &Value::Null);
    }

    #[test]
    fn a_tool_may_keep_its_texts() {
        let reply = Reply {
            content: vec![text("{\"a\":1.50}")],
            ..Reply::default()
        };
        assert_eq!(value(reply, true), json!("{\"a\":1.50}"));
    }

    #[test]
    fn what_is_no_text_is_described() {
        let image = json!({"type": "image", "data": "aGVsbG8=", "mimeType": "image/png", "annotations": {"priority": 1}});
        check(
            &json!([text("Here:"), image]),
            None,
            &json!({"text": "Here:", "attachments": [
                {"type": "image", "mime_type": "image/png", "bytes": 5, "data": "aGVsbG8="}
            ]}),
        );
        let link = json!({"type": "resource_link", "uri": "file:///a", "name": "a", "size": 12});
        let inline = json!({"type": "resource", "resource": {"uri": "mem://b", "mimeType": "text/plain", "text": "hi"}});
        let unknown = json!({"type": "hologram", "depth": 3});
        check(
            &json!([link, inline, unknown]),
            None,
            &json!({"text": "", "attachments": [
                {"type": "resource_link", "uri": "file:///a", "name": "a", "bytes": 12},
                {"type": "resource", "uri": "mem://b", "mime_type": "text/plain", "text": "hi"},
                {"type": "hologram", "depth": 3}
            ]}),
        );
    }

    #[test]
    fn an_error_says_what_there_is() {
        let reply = |content: Value, structured| Reply {
            content: serde_json::from_value(content).unwrap(),
            structured,
            is_error: true,
        };
        assert_eq!(error_text(reply(json!([text("a"), text("b")]), None)), "a\nb");
        assert_eq!(error_text(reply(json!([]), Some(json!({"e": 1})))), "{\"e\":1}");
        assert_eq!(
            error_text(reply(json!([]), None)),
            "the tool failed and does not say why"
        );
    }
}
