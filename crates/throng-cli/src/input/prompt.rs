//! Makes the prompt of a record: from a named field, a template, the record's messages, or the usual fields.

use serde_json::Value;

use super::record::{Body, Field, PROMPT_FIELDS, Record, RecordError, list, other_separator, type_name};
use crate::suggest;
use crate::template::Template;

/// Where the prompt of each record is.
#[derive(Clone, Debug)]
pub(crate) enum PromptSource {
    /// In `messages`, or else in the first of the usual fields.
    Usual,
    /// In one field.
    Field(String),
    /// In several, put together.
    Template(Template),
}

/// What is sent for one record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Prompt {
    /// One user message.
    Text(String),
    /// A conversation in the form of the OpenAI chat API, sent as it is.
    Messages(Vec<Value>),
}

impl PromptSource {
    /// Returns the name of the field, if there is one name.
    pub(crate) fn field(&self) -> Option<&str> {
        match self {
            Self::Field(name) => Some(name),
            Self::Usual | Self::Template(_) => None,
        }
    }

    /// Makes the prompt of a record.
    ///
    /// # Errors
    ///
    /// If the record lacks the field, or what it holds is no prompt.
    pub(crate) fn prompt(&self, record: &Record) -> Result<Prompt, RecordError> {
        let text = match self {
            Self::Usual => match &record.body {
                Body::Object(fields) if fields.contains_key("messages") => {
                    return messages(record, fields.get("messages").unwrap_or(&Value::Null));
                }
                _ => usual(record)?,
            },
            Self::Field(name) => match record.field(name) {
                Some(Field::Text(text)) => text.to_owned(),
                Some(Field::Other(Value::Number(number))) => number.to_string(),
                Some(Field::Other(other)) => return Err(not_text(record, name, other)),
                None => return Err(record.missing(name)),
            },
            Self::Template(template) => template.render(|name| match record.field(name) {
                Some(Field::Text(text)) => Ok(text.to_owned()),
                Some(Field::Other(Value::Null)) => Err(not_text(record, name, &Value::Null)),
                Some(Field::Other(other)) => Ok(other.to_string()),
                None => Err(record.missing(name)),
            })?,
        };
        if text.trim().is_empty() {
            return Err(RecordError::new(
                record.place,
                "the prompt is empty",
                "fill it in, or use --skip-invalid to leave such records out",
            ));
        }
        Ok(Prompt::Text(text))
    }
}

impl Prompt {
    /// Estimates the input tokens: one for four characters, rounded up.
    pub(crate) fn estimate_tokens(&self, system: Option<&str>) -> u32 {
        let own = match self {
            Self::Text(text) => text.chars().count(),
            Self::Messages(messages) => messages
                .iter()
                .map(|message| characters(&message["content"]))
                .sum(),
        };
        let all = own + system.map_or(0, |system| system.chars().count());
        u32::try_from(all.div_ceil(4)).unwrap_or(u32::MAX).max(1)
    }

    /// Returns the beginning of the prompt on one line, for people.
    pub(crate) fn preview(&self, most: usize) -> String {
        let text = match self {
            Self::Text(text) => text.clone(),
            Self::Messages(messages) => {
                let last = messages.last().map(|message| match &message["content"] {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                format!("[{} messages] {}", messages.len(), last.unwrap_or_default())
            }
        };
        let mut line: String = text
            .chars()
            .take(most)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        if text.chars().nth(most).is_some() {
            line.push('…');
        }
        line
    }
}

fn characters(content: &Value) -> usize {
    match content {
        Value::String(text) => text.chars().count(),
        Value::Array(parts) => parts
            .iter()
            .map(|part| part["text"].as_str().map_or(0, |t| t.chars().count()))
            .sum(),
        _ => 0,
    }
}

fn usual(record: &Record) -> Result<String, RecordError> {
    for name in PROMPT_FIELDS {
        match record.field(name) {
            Some(Field::Text(text)) => return Ok(text.to_owned()),
            Some(Field::Other(other)) => return Err(not_text(record, name, other)),
            None => {}
        }
    }
    let names = record.names();
    let near = PROMPT_FIELDS
        .iter()
        .find_map(|usual| suggest::nearest(usual, names.iter().map(|name| (*name, *name))))
        .or(names.iter().find(|name| **name != "id").copied());
    let hint = match (other_separator(names.iter().copied()), near) {
        (Some(hint), _) => hint,
        (None, Some(near)) => format!("name the field that holds the prompt: --prompt-field {near}"),
        (None, None) => {
            "name the field that holds the prompt with --prompt-field, or use --template".to_owned()
        }
    };
    Err(RecordError::new(
        record.place,
        format!(
            "the record has none of the fields {}; {}",
            PROMPT_FIELDS.map(|name| format!("`{name}`")).join(", "),
            list(&names)
        ),
        hint,
    ))
}

fn not_text(record: &Record, name: &str, value: &Value) -> RecordError {
    RecordError::new(
        record.place,
        format!("the field `{name}` is {}, not a text", type_name(value)),
        format!("use --template to build the prompt, such as --template '{{{name}}}' or '{{{name}.part}}'"),
    )
}

/// Checks a conversation as far as its form goes; the provider judges the rest.
fn messages(record: &Record, value: &Value) -> Result<Prompt, RecordError> {
    let wrong = |what: String| {
        RecordError::new(
            record.place,
            what,
            "`messages` is an array such as [{\"role\": \"user\", \"content\": \"…\"}]; \
             --prompt-field names another field",
        )
    };
    let Value::Array(messages) = value else {
        return Err(wrong(format!("`messages` is {}, not an array", type_name(value))));
    };
    if messages.is_empty() {
        return Err(wrong("`messages` is empty".to_owned()));
    }
    for (index, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if !["system", "developer", "user", "assistant", "tool"].contains(&role) {
            return Err(wrong(format!("message {} has no known `role`", index + 1)));
        }
        let has_calls = message["tool_calls"].is_array();
        match &message["content"] {
            Value::String(_) | Value::Array(_) => {}
            Value::Null if has_calls => {}
            other => {
                return Err(wrong(format!(
                    "the `content` of message {} is {}",
                    index + 1,
                    type_name(other)
                )));
            }
        }
    }
    Ok(Prompt::Messages(messages.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::record::Place;
    use super::*;

    fn record(value: Value) -> Record {
        let body = match value {
            Value::Object(fields) => Body::Object(fields),
            Value::String(text) => Body::Text(text),
            other => unreachable!("{other} is no record"),
        };
        Record {
            place: Place {
                input: 0,
                line: 1,
                item: None,
            },
            body,
        }
    }

    #[track_caller]
    fn check(source: &PromptSource, value: Value, expect: Result<&str, &str>) {
        let found = source.prompt(&record(value));
        match (found, expect) {
            (Ok(Prompt::Text(text)), Ok(expect)) => assert_eq!(text, expect),
            (Ok(Prompt::Messages(messages)), Ok(expect)) => assert_eq!(json!(messages).to_string(), expect),
            (Err(error), Err(expect)) => {
                let whole = format!("{} / {}", error.message, error.hint);
                assert!(whole.contains(expect), "{whole:?} lacks {expect:?}");
            }
            (found, expect) => unreachable!("{found:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn the_usual_fields_are_tried_in_order() {
        let usual = PromptSource::Usual;
        check(&usual, json!({"text": "t", "question": "q"}), Ok("q"));
        check(&usual, json!("plain"), Ok("plain"));
        check(&usual, json!({"promt": "x"}), Err("--prompt-field promt"));
        check(&usual, json!({"id": 1, "body": "x"}), Err("--prompt-field body"));
        check(&usual, json!({"prompt": ["x"]}), Err("is an array, not a text"));
        check(&usual, json!({"prompt": " "}), Err("the prompt is empty"));
    }

    #[test]
    fn messages_are_taken_as_they_are() {
        let usual = PromptSource::Usual;
        let chat = json!([{"role": "user", "content": "hi"}]);
        check(
            &usual,
            json!({"messages": chat, "prompt": "x"}),
            Ok(&chat.to_string()),
        );
        check(&usual, json!({"messages": []}), Err("`messages` is empty"));
        check(
            &usual,
            json!({"messages": [{"role": "me", "content": "hi"}]}),
            Err("message 1 has no known `role`"),
        );
        check(
            &usual,
            json!({"messages": [{"role": "user"}]}),
            Err("`content` of message 1 is null"),
        );
        check(
            &PromptSource::Field("prompt".into()),
            json!({"messages": chat, "prompt": "x"}),
            Ok("x"),
        );
    }

    #[test]
    fn a_template_reaches_into_objects_and_names_what_is_missing() {
        let template = |text| PromptSource::Template(Template::parse(text).unwrap());
        check(
            &template("{a.b}-{n}"),
            json!({"a": {"b": "x"}, "n": 2}),
            Ok("x-2"),
        );
        check(
            &template("{a.b}"),
            json!({"a.b": "whole", "a": {"b": "x"}}),
            Ok("whole"),
        );
        check(&template("{o}"), json!({"o": {"k": 1}}), Ok("{\"k\":1}"));
        check(
            &template("{qestion}"),
            json!({"question": "x"}),
            Err("did you mean `question`?"),
        );
        check(&template("{question}?"), json!("line"), Ok("line?"));
        check(&template("{city}"), json!("line"), Err("no field `city`"));
    }
}
