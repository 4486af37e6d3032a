//! Reads the requests of Anthropic's Messages.

use serde::Deserialize;
use serde_json::Value;

use crate::api_error::ApiError;
use crate::call::{Call, Form, Function, ToolChoice, Transcript};
use crate::wire::cut_tag;

/// Reads the body of a request. Fields that are not known are passed over.
pub(super) fn read(body: &[u8]) -> Result<Call, ApiError> {
    let body: Body = serde_json::from_slice(body).map_err(|err| ApiError::unreadable(&err))?;
    let model = body.model.filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| ApiError::bad("model: Field required", "model"))?;
    let max_tokens = body
        .max_tokens
        .ok_or_else(|| ApiError::bad("max_tokens: Field required", "max_tokens"))?;
    if max_tokens == 0 {
        return Err(ApiError::bad(
            "max_tokens: Input should be greater than or equal to 1",
            "max_tokens",
        ));
    }
    let messages = body
        .messages
        .ok_or_else(|| ApiError::bad("messages: Field required", "messages"))?;
    if messages.is_empty() {
        return Err(ApiError::bad(
            "messages: at least one message is required",
            "messages",
        ));
    }
    let functions = body.tools.iter().flatten().filter_map(|tool| {
        let name = tool.get("name")?.as_str()?;
        Some(Function::new(name, tool.get("input_schema")))
    });
    let format = body
        .output_config
        .as_ref()
        .and_then(|config| config.get("format"));
    let form = form(format.or(body.output_format.as_ref()))?;
    let (form, tools) =
        tool_choice(body.tool_choice.as_ref())?.decide(functions.collect(), form, "tool_choice")?;
    let mut transcript = Transcript::default();
    if let Some(system) = body.system.filter(|system| !system.is_null()) {
        transcript.told(text_of(&system));
    }
    for message in &messages {
        read_message(message, &mut transcript)?;
    }
    let thinking = body.thinking.as_ref().map(|thinking| field(thinking, "type"));
    let tag = |key| {
        body.metadata
            .as_ref()
            .map(|data| field(data, key))
            .filter(|tag| !tag.is_empty())
    };
    Ok(Call {
        model,
        prompt: transcript.prompt(),
        stream: body.stream.unwrap_or(false),
        include_usage: false,
        max_tokens: Some(max_tokens),
        stop: body.stop_sequences.unwrap_or_default(),
        n: 1,
        seed: None,
        form,
        tag: tag("tag").or_else(|| tag("user_id")).map(cut_tag),
        rounds: transcript.rounds(),
        tools,
        no_reasoning: thinking == Some("disabled"),
    })
}

#[derive(Deserialize)]
struct Body {
    model: Option<String>,
    max_tokens: Option<u64>,
    messages: Option<Vec<Message>>,
    system: Option<Value>,
    stream: Option<bool>,
    stop_sequences: Option<Vec<String>>,
    tools: Option<Vec<Value>>,
    tool_choice: Option<Value>,
    thinking: Option<Value>,
    output_config: Option<Value>,
    output_format: Option<Value>,
    metadata: Option<Value>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Value,
}

/// Reads a message. Each tool result in it counts as a message of its own, before the text.
fn read_message(message: &Message, transcript: &mut Transcript) -> Result<(), ApiError> {
    let blocks = match &message.content {
        Value::Array(blocks) => blocks.as_slice(),
        Value::String(_) => &[],
        _ => {
            return Err(ApiError::bad(
                "messages: content should be a string or a list",
                "messages",
            ));
        }
    };
    if blocks.iter().any(|block| field(block, "type").is_empty()) {
        return Err(ApiError::bad("messages: a content block has no type", "messages"));
    }
    let is = |kind: &'static str| move |block: &&Value| field(block, "type") == kind;
    match message.role.as_str() {
        "user" => {
            for result in blocks.iter().filter(is("tool_result")) {
                transcript.resulted(result.get("content").map(text_of).unwrap_or_default());
            }
            if blocks.is_empty() || !blocks.iter().all(|block| is("tool_result")(&block)) {
                transcript.told(text_of(&message.content));
            }
        }
        "assistant" => {
            let calls = blocks.iter().any(|block| is("tool_use")(&block));
            transcript.answered(text_of(&message.content), calls);
        }
        other => {
            let message =
                format!("messages: Unexpected role \"{other}\". Input should be 'user' or 'assistant'");
            return Err(ApiError::bad(message, "messages"));
        }
    }
    Ok(())
}

/// Returns the texts of a content: a string itself, or those of its text blocks.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks
            .iter()
            .filter(|block| field(block, "type") == "text")
            .map(|block| field(block, "text"))
            .collect(),
        _ => String::new(),
    }
}

fn tool_choice(choice: Option<&Value>) -> Result<ToolChoice, ApiError> {
    let Some(choice) = choice.filter(|choice| !choice.is_null()) else {
        return Ok(ToolChoice::Auto);
    };
    match (field(choice, "type"), field(choice, "name")) {
        ("auto", _) => Ok(ToolChoice::Auto),
        ("none", _) => Ok(ToolChoice::None),
        ("any", _) => Ok(ToolChoice::Any),
        ("tool", "") => Err(ApiError::bad(
            "tool_choice.tool.name: Field required",
            "tool_choice",
        )),
        ("tool", name) => Ok(ToolChoice::Named(name.to_owned())),
        (other, _) => Err(ApiError::bad(
            format!("tool_choice: unexpected type '{other}'"),
            "tool_choice",
        )),
    }
}

fn form(format: Option<&Value>) -> Result<Form, ApiError> {
    let Some(format) = format.filter(|format| !format.is_null()) else {
        return Ok(Form::Text);
    };
    match (field(format, "type"), format.get("schema")) {
        ("json_schema", Some(schema)) => Ok(Form::Json(schema.clone())),
        ("json_schema", None) => Err(ApiError::bad(
            "output_config.format.schema: Field required",
            "output_config",
        )),
        (other, _) => Err(ApiError::bad(
            format!("output_config.format: unexpected type '{other}'"),
            "output_config",
        )),
    }
}

fn field<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_is_the_system_and_the_texts_of_all_messages() {
        let body = r#"{"model":"m","max_tokens":9,"system":[{"type":"text","text":"Be brief."}],"messages":[
            {"role":"user","content":[{"type":"text","text":"Hello "},
                {"type":"image","source":{"type":"url","url":"x"}},{"type":"text","text":"there"}]},
            {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},
                {"type":"tool_use","id":"1","name":"a","input":{}},{"type":"tool_use","id":"2","name":"a","input":{}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"42"},
                {"type":"tool_result","tool_use_id":"2","content":[{"type":"text","text":"43"}],"is_error":true}]}]}"#;
        let call = read(body.as_bytes()).unwrap();
        assert_eq!(
            (call.prompt.as_str(), call.rounds),
            ("Be brief.\nHello there\n\n42\n43", 1)
        );
    }

    #[test]
    fn what_is_malformed_is_named() {
        let check = |body: &str, wanted: &str| {
            let Err(ApiError::BadRequest { message, .. }) = read(body.as_bytes()) else {
                panic!("{body}")
            };
            assert!(message.contains(wanted), "{body}: {message}");
        };
        let user = r#"{"role":"user","content":"x"}"#;
        let with = |fields: &str| format!(r#"{{"model":"m","messages":[{user}],{fields}}}"#);
        check("{", "could not parse");
        check(&format!(r#"{{"max_tokens":1,"messages":[{user}]}}"#), "model");
        check(&format!(r#"{{"model":"m","messages":[{user}]}}"#), "max_tokens");
        check(&with(r#""max_tokens":0"#), "max_tokens");
        check(r#"{"model":"m","max_tokens":1}"#, "messages");
        check(r#"{"model":"m","max_tokens":1,"messages":[]}"#, "messages");
        check(
            r#"{"model":"m","max_tokens":1,"messages":[{"role":"system","content":"x"}]}"#,
            "system",
        );
        check(
            r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"text":"x"}]}]}"#,
            "type",
        );
        check(
            &with(r#""max_tokens":1,"tool_choice":{"type":"any"}"#),
            "tool_choice",
        );
        check(
            &with(r#""max_tokens":1,"tool_choice":{"type":"tool"}"#),
            "tool_choice",
        );
        check(
            &with(r#""max_tokens":1,"output_config":{"format":{"type":"json_schema"}}"#),
            "schema",
        );
    }
}
