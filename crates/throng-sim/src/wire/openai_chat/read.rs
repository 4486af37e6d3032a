//! Reads the requests of OpenAI's Chat Completions.

use serde::Deserialize;
use serde_json::Value;

use crate::api_error::ApiError;
use crate::call::{Call, Form, Function, ToolChoice, Transcript};
use crate::wire::cut_tag;

const MAX_CHOICES: u64 = 128;
const MAX_STOPS: usize = 16;

/// Reads the body of a request. Fields that are not known are passed over.
pub(super) fn read(body: &[u8]) -> Result<Call, ApiError> {
    let body: Body = serde_json::from_slice(body).map_err(|err| ApiError::unreadable(&err))?;
    let form = form(body.response_format.as_ref())?;
    let functions = body.tools.as_deref().unwrap_or_default().iter();
    let functions = functions.filter_map(|tool| tool.function.as_ref());
    let functions = functions.map(|function| Function::new(&function.name, Some(&function.parameters)));
    let choice = tool_choice(body.tool_choice.as_ref())?;
    let (form, tools) = choice.decide(functions.collect(), form, "tool_choice")?;
    let model = body.model.filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| ApiError::bad("you must provide a model parameter", "model"))?;
    let messages = body
        .messages
        .ok_or_else(|| ApiError::bad("Missing required parameter: 'messages'.", "messages"))?;
    if messages.is_empty() {
        return Err(ApiError::bad("[] is too short - 'messages'", "messages"));
    }
    let mut transcript = Transcript::default();
    for message in messages {
        let text = text_of(message.content)?;
        match message.role.as_str() {
            "assistant" => {
                let calls = message.tool_calls.is_some_and(|calls| !calls.is_empty());
                transcript.answered(text, calls);
            }
            "tool" | "function" => transcript.resulted(text),
            _ => transcript.told(text),
        }
    }
    let n = body.n.unwrap_or(1);
    if n == 0 || n > MAX_CHOICES {
        return Err(ApiError::bad(
            format!("'n' is {n}, but must be from 1 to {MAX_CHOICES}"),
            "n",
        ));
    }
    let max_tokens = body.max_completion_tokens.or(body.max_tokens);
    if max_tokens == Some(0) {
        return Err(ApiError::bad(
            "'max_tokens' is 0, but must be at least 1",
            "max_tokens",
        ));
    }
    let stop = match body.stop {
        None => Vec::new(),
        Some(Stop::One(stop)) => vec![stop],
        Some(Stop::Several(stops)) => stops,
    };
    if stop.len() > MAX_STOPS {
        return Err(ApiError::bad(
            format!("'stop' has more than {MAX_STOPS} sequences"),
            "stop",
        ));
    }
    let named = |key| {
        body.metadata
            .as_ref()
            .and_then(|data| data.get(key))
            .and_then(Value::as_str)
    };
    let tag = named("tag").or_else(|| named("id")).or(body.user.as_deref());
    Ok(Call {
        model,
        prompt: transcript.prompt(),
        stream: body.stream.unwrap_or(false),
        include_usage: body
            .stream_options
            .and_then(|options| options.include_usage)
            .unwrap_or(false),
        max_tokens,
        stop,
        n: u32::try_from(n).unwrap_or(1),
        seed: body.seed,
        form,
        tag: tag.map(cut_tag),
        rounds: transcript.rounds(),
        tools,
        no_reasoning: false,
    })
}

#[derive(Deserialize)]
struct Body {
    model: Option<String>,
    messages: Option<Vec<Message>>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    n: Option<u64>,
    seed: Option<i64>,
    stop: Option<Stop>,
    tools: Option<Vec<Tool>>,
    tool_choice: Option<Value>,
    response_format: Option<ResponseFormat>,
    user: Option<String>,
    metadata: Option<Value>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Content>,
    tool_calls: Option<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Value>),
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
struct Tool {
    function: Option<ToolFunction>,
}

#[derive(Deserialize)]
struct ToolFunction {
    name: String,
    #[serde(default)]
    parameters: Value,
}

#[derive(Deserialize)]
struct ResponseFormat {
    r#type: String,
    json_schema: Option<JsonSchema>,
}

#[derive(Deserialize)]
struct JsonSchema {
    schema: Option<Value>,
}

fn text_of(content: Option<Content>) -> Result<String, ApiError> {
    match content {
        None => Ok(String::new()),
        Some(Content::Text(text)) => Ok(text),
        Some(Content::Parts(parts)) => {
            let mut texts = String::new();
            for part in &parts {
                match (
                    part.get("type").and_then(Value::as_str),
                    part.get("text").and_then(Value::as_str),
                ) {
                    (Some("text"), Some(text)) => texts.push_str(text),
                    (None, _) | (Some("text"), None) => {
                        return Err(ApiError::bad(
                            "a content part has no type, or is a text part without text",
                            "messages",
                        ));
                    }
                    _ => {}
                }
            }
            Ok(texts)
        }
    }
}

/// Returns whether a tool has to be called; without a word, none has to.
pub(in crate::wire) fn tool_choice(choice: Option<&Value>) -> Result<ToolChoice, ApiError> {
    match choice {
        None | Some(Value::Null) => Ok(ToolChoice::Auto),
        Some(Value::String(choice)) => match choice.as_str() {
            "none" => Ok(ToolChoice::None),
            "auto" => Ok(ToolChoice::Auto),
            "required" => Ok(ToolChoice::Any),
            other => Err(ApiError::bad(format!("Invalid value: '{other}'."), "tool_choice")),
        },
        Some(choice) => {
            // Responses has the name without the object around it.
            let name = choice.pointer("/function/name").or_else(|| choice.get("name"));
            let name = name.and_then(Value::as_str);
            let name = name.ok_or_else(|| ApiError::bad("'tool_choice' names no function", "tool_choice"))?;
            Ok(ToolChoice::Named(name.to_owned()))
        }
    }
}

fn form(format: Option<&ResponseFormat>) -> Result<Form, ApiError> {
    let Some(format) = format else {
        return Ok(Form::Text);
    };
    match (format.r#type.as_str(), &format.json_schema) {
        ("text", _) => Ok(Form::Text),
        ("json_object", _) => Ok(Form::JsonObject),
        ("json_schema", Some(JsonSchema { schema: Some(schema) })) => Ok(Form::Json(schema.clone())),
        ("json_schema", _) => Err(ApiError::bad(
            "'json_schema.schema' is missing",
            "response_format",
        )),
        (other, _) => Err(ApiError::bad(
            format!("Invalid value: '{other}'."),
            "response_format",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_is_the_texts_of_all_messages() {
        let body = r#"{"model":"m","messages":[
            {"role":"system","content":"Be brief."},
            {"role":"user","content":[{"type":"text","text":"Hello "},{"type":"image_url","image_url":{"url":"x"}},
                {"type":"text","text":"there"}]},
            {"role":"assistant","content":null,"tool_calls":[]},
            {"role":"tool","tool_call_id":"1","content":"42"}]}"#;
        assert_eq!(
            read(body.as_bytes()).unwrap().prompt,
            "Be brief.\nHello there\n\n42"
        );
    }

    #[test]
    fn what_is_malformed_is_named() {
        let check = |body: &str, wanted: &str| {
            let Err(ApiError::BadRequest { message, param }) = read(body.as_bytes()) else {
                panic!("{body}")
            };
            assert!(
                message.contains(wanted) || param == Some(wanted),
                "{body}: {message} {param:?}"
            );
        };
        check("{", "could not parse");
        check("[]", "could not parse");
        check(r#"{"messages":[{"role":"user","content":"x"}]}"#, "model");
        check(r#"{"model":"m"}"#, "messages");
        check(r#"{"model":"m","messages":[]}"#, "messages");
        check(r#"{"model":"m","messages":[{"content":"x"}]}"#, "role");
        check(
            r#"{"model":"m","messages":[{"role":"user","content":[{"text":"x"}]}]}"#,
            "messages",
        );
        let with =
            |field: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{field}}}"#);
        check(&with(r#""n":0"#), "n");
        check(&with(r#""n":129"#), "n");
        check(&with(r#""max_tokens":0"#), "max_tokens");
        check(&with(r#""tool_choice":"required""#), "tool_choice");
        check(
            &with(r#""tool_choice":{"type":"function","function":{"name":"f"}}"#),
            "tool_choice",
        );
        check(
            &with(r#""response_format":{"type":"json_schema"}"#),
            "response_format",
        );
    }
}
