//! Reads the requests of Ollama's own API.

use serde::Deserialize;
use serde_json::Value;

use crate::api_error::ApiError;
use crate::call::{Call, Form, Function, ToolChoice, Transcript};

/// Reads the body of a request. Fields that are not known are passed over. There is no way to insist on a tool.
pub(super) fn read(body: &[u8]) -> Result<Call, ApiError> {
    let body: Body = serde_json::from_slice(body).map_err(|err| ApiError::unreadable(&err))?;
    let model = body.model.filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| ApiError::bad("model is required", "model"))?;
    let messages = body.messages.unwrap_or_default();
    if messages.is_empty() {
        return Err(ApiError::bad("messages are required", "messages"));
    }
    let functions = body.tools.iter().flatten().filter_map(|tool| {
        let name = tool.pointer("/function/name")?.as_str()?;
        Some(Function::new(name, tool.pointer("/function/parameters")))
    });
    let form = match body.format {
        None | Some(Value::Null) => Form::Text,
        Some(Value::String(name)) if name.is_empty() => Form::Text,
        Some(Value::String(name)) if name == "json" => Form::JsonObject,
        Some(schema @ Value::Object(_)) => Form::Json(schema),
        Some(other) => {
            let message = format!("invalid format: {other}; expected \"json\" or a JSON schema");
            return Err(ApiError::bad(message, "format"));
        }
    };
    let (form, tools) = ToolChoice::Auto.decide(functions.collect(), form, "tools")?;
    let mut transcript = Transcript::default();
    for message in messages {
        let text = message.content.unwrap_or_default();
        match message.role.as_str() {
            "assistant" => {
                let calls = message.tool_calls.is_some_and(|calls| !calls.is_empty());
                transcript.answered(text, calls);
            }
            "tool" => transcript.resulted(text),
            "system" | "user" => transcript.told(text),
            other => return Err(ApiError::bad(format!("invalid role: {other}"), "messages")),
        }
    }
    let options = body.options.unwrap_or_default();
    Ok(Call {
        model,
        prompt: transcript.prompt(),
        stream: body.stream.unwrap_or(true),
        include_usage: false,
        // -1 and -2 mean that there is no limit.
        max_tokens: options
            .num_predict
            .and_then(|max| u64::try_from(max).ok())
            .filter(|max| *max > 0),
        stop: match options.stop {
            None => Vec::new(),
            Some(Stop::One(stop)) => vec![stop],
            Some(Stop::Several(stops)) => stops,
        },
        n: 1,
        seed: options.seed,
        form,
        tag: None,
        rounds: transcript.rounds(),
        tools,
        no_reasoning: body.think == Some(Value::Bool(false)),
    })
}

#[derive(Deserialize)]
struct Body {
    model: Option<String>,
    messages: Option<Vec<Message>>,
    stream: Option<bool>,
    think: Option<Value>,
    tools: Option<Vec<Value>>,
    format: Option<Value>,
    options: Option<Options>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<String>,
    tool_calls: Option<Vec<Value>>,
}

#[derive(Default, Deserialize)]
struct Options {
    num_predict: Option<i64>,
    seed: Option<i64>,
    stop: Option<Stop>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Several(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_is_the_texts_of_all_messages() {
        let body = r#"{"model":"m","messages":[{"role":"system","content":"Be brief."},
            {"role":"user","content":"Hello there","images":["AAAA"]},
            {"role":"assistant","content":"","tool_calls":[{"function":{"name":"a","arguments":{}}}]},
            {"role":"tool","content":"42","tool_name":"a"}]}"#;
        let call = read(body.as_bytes()).unwrap();
        assert_eq!(
            (call.prompt.as_str(), call.rounds),
            ("Be brief.\nHello there\n\n42", 1)
        );
        assert!(call.stream, "a stream is what one gets without a word");
    }

    #[test]
    fn what_is_malformed_is_named() {
        let check = |body: &str, wanted: &str| {
            let Err(ApiError::BadRequest { message, .. }) = read(body.as_bytes()) else {
                panic!("{body}")
            };
            assert!(message.contains(wanted), "{body}: {message}");
        };
        check("{", "could not parse");
        check(r#"{"messages":[{"role":"user","content":"x"}]}"#, "model");
        check(r#"{"model":"m"}"#, "messages");
        check(
            r#"{"model":"m","messages":[{"role":"judge","content":"x"}]}"#,
            "judge",
        );
        check(
            r#"{"model":"m","messages":[{"role":"user","content":"x"}],"format":3}"#,
            "format",
        );
    }
}
