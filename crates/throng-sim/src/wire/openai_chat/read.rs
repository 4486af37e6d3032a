//! Reads the requests of OpenAI's Chat Completions.

use serde::Deserialize;
use serde_json::Value;

use crate::call::{ApiError, Call, Form};
use crate::text::prompt_text;

const MAX_CHOICES: u64 = 128;
const MAX_STOPS: usize = 16;
const MAX_TAG_CHARS: usize = 200;

/// Reads the body of a request. Fields that are not known are passed over.
pub(in crate::wire) fn read(body: &[u8]) -> Result<Call, ApiError> {
    let body: Body = serde_json::from_slice(body).map_err(|err| ApiError::BadRequest {
        message: format!("We could not parse the JSON body of your request: {err}"),
        param: None,
    })?;
    let form = form(&body)?;
    let model = body.model.filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| ApiError::bad("you must provide a model parameter", "model"))?;
    let messages = body
        .messages
        .ok_or_else(|| ApiError::bad("Missing required parameter: 'messages'.", "messages"))?;
    if messages.is_empty() {
        return Err(ApiError::bad("[] is too short - 'messages'", "messages"));
    }
    let texts: Vec<String> = messages
        .into_iter()
        .map(|message| text_of(message.content))
        .collect::<Result<_, _>>()?;
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
        prompt: prompt_text(texts.iter().map(String::as_str)),
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
        tag: tag.map(|tag| tag.chars().take(MAX_TAG_CHARS).collect()),
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
    #[serde(rename = "role")]
    _role: String,
    content: Option<Content>,
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

#[derive(Clone, Deserialize)]
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

/// Returns what the answer has to be. A tool is called only if the request insists on one.
fn form(body: &Body) -> Result<Form, ApiError> {
    let tools = body.tools.as_deref().unwrap_or_default();
    let mut functions = tools.iter().filter_map(|tool| tool.function.as_ref());
    let chosen = match &body.tool_choice {
        None | Some(Value::Null) => None,
        Some(Value::String(choice)) => match choice.as_str() {
            "none" | "auto" => None,
            "required" => Some(functions.next().ok_or_else(|| {
                ApiError::bad(
                    "'tool_choice' is 'required', but 'tools' holds no function",
                    "tool_choice",
                )
            })?),
            other => return Err(ApiError::bad(format!("Invalid value: '{other}'."), "tool_choice")),
        },
        Some(choice) => {
            let name = choice.pointer("/function/name").and_then(Value::as_str);
            let name = name.ok_or_else(|| ApiError::bad("'tool_choice' names no function", "tool_choice"))?;
            let function = functions.find(|function| function.name == name);
            Some(function.ok_or_else(|| {
                ApiError::bad(
                    format!("Tool choice '{name}' not found in 'tools'"),
                    "tool_choice",
                )
            })?)
        }
    };
    if let Some(ToolFunction { name, parameters }) = chosen.cloned() {
        // A function without parameters takes an empty object.
        let parameters = if parameters.is_object() {
            parameters
        } else {
            serde_json::json!({"type": "object"})
        };
        return Ok(Form::Tool { name, parameters });
    }
    let Some(format) = &body.response_format else {
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
