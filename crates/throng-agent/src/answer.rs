//! What the model is told of a tool call: the result as text, cut to a bound that it is told of.

use std::num::NonZeroUsize;

use serde_json::Value;
use throng_llm::Message;

/// Makes the message that answers a call which succeeded.
pub(crate) fn succeeded(id: &str, value: &Value, max_bytes: NonZeroUsize) -> Message {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Message::tool(id, bounded(text, max_bytes))
}

/// Makes the message that answers a call which did not succeed. The text says so as well: most wires have no flag for it.
pub(crate) fn failed(id: &str, error: &str, max_bytes: NonZeroUsize) -> Message {
    Message::tool_error(id, bounded(format!("error: {error}"), max_bytes))
}

/// Cuts a text at the last character that fits, and says so.
fn bounded(mut text: String, max_bytes: NonZeroUsize) -> String {
    let max = max_bytes.get();
    if text.len() > max {
        let len = text.len();
        let mut end = max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(&format!("\n[cut: the first {end} of {len} bytes]"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(message: &Message) -> String {
        let parts = message.content.iter().map(|part| match part {
            throng_llm::Part::Text(text) => text.as_str(),
            _ => "",
        });
        parts.collect()
    }

    #[test]
    fn a_result_is_its_text_and_no_longer_than_allowed() {
        let max = NonZeroUsize::new(5).unwrap();
        let told = |value| text(&succeeded("1", &value, max));
        assert_eq!(told(Value::from("abc")), "abc");
        assert_eq!(told(serde_json::json!([1, 2])), "[1,2]");
        assert_eq!(told(Value::from("aéöü")), "aéö\n[cut: the first 5 of 7 bytes]");
        assert_eq!(told(Value::from("ééé")), "éé\n[cut: the first 4 of 6 bytes]");
    }

    #[test]
    fn an_error_says_that_it_is_one() {
        let message = failed("1", "no such file", NonZeroUsize::new(100).unwrap());
        assert_eq!(text(&message), "error: no such file");
        assert!(message.is_error);
        assert_eq!(message.tool_call_id.as_deref(), Some("1"));
    }
}
