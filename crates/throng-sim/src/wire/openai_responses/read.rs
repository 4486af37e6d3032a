//! Reads the requests of OpenAI's Responses.

use serde::Deserialize;
use serde_json::Value;

use crate::api_error::ApiError;
use crate::call::{Call, Form, Function, Transcript};
use crate::wire::cut_tag;
use crate::wire::openai_chat::tool_choice;

/// Reads the body of a request. Fields that are not known are passed over.
pub(super) fn read(body: &[u8]) -> Result<Call, ApiError> {
    let body: Body = serde_json::from_slice(body).map_err(|err| ApiError::unreadable(&err))?;
    let model = body.model.filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| ApiError::bad("Missing required parameter: 'model'.", "model"))?;
    if body.max_output_tokens == Some(0) {
        return Err(ApiError::bad(
            "Invalid 'max_output_tokens': integer below minimum value.",
            "max_output_tokens",
        ));
    }
    let functions = body
        .tools
        .iter()
        .flatten()
        .filter(|tool| field(tool, "type") == "function")
        .map(|tool| {
            let name = tool.get("name").and_then(Value::as_str);
            let name =
                name.ok_or_else(|| ApiError::bad("Missing required parameter: 'tools[0].name'.", "tools"))?;
            Ok(Function::new(name, tool.get("parameters")))
        })
        .collect::<Result<Vec<_>, ApiError>>()?;
    let choice = tool_choice(body.tool_choice.as_ref())?;
    let (form, tools) = choice.decide(functions, form(body.text.as_ref())?, "tool_choice")?;
    let mut transcript = Transcript::default();
    if let Some(instructions) = body.instructions {
        transcript.told(instructions);
    }
    match body.input {
        Some(Input::Text(text)) => transcript.told(text),
        Some(Input::Items(items)) if !items.is_empty() => read_items(&items, &mut transcript)?,
        _ => return Err(ApiError::bad("Missing required parameter: 'input'.", "input")),
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
        include_usage: false,
        max_tokens: body.max_output_tokens,
        stop: Vec::new(),
        n: 1,
        seed: None,
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
    input: Option<Input>,
    instructions: Option<String>,
    stream: Option<bool>,
    max_output_tokens: Option<u64>,
    tools: Option<Vec<Value>>,
    tool_choice: Option<Value>,
    text: Option<Value>,
    user: Option<String>,
    metadata: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Items(Vec<Value>),
}

/// Reads the items of a conversation. Tool calls belong to the message of the model before them, or are a message of
/// their own, without text.
fn read_items(items: &[Value], transcript: &mut Transcript) -> Result<(), ApiError> {
    let (mut after_answer, mut after_call) = (false, false);
    for item in items {
        let kind = field(item, "type");
        match kind {
            "function_call" => {
                if !after_call {
                    if after_answer {
                        transcript.called();
                    } else {
                        transcript.answered("", true);
                    }
                }
                (after_answer, after_call) = (true, true);
            }
            "function_call_output" => {
                transcript.resulted(text_of(item.get("output")));
                (after_answer, after_call) = (false, false);
            }
            "message" | "" => match field(item, "role") {
                "" => return Err(ApiError::bad("an item of 'input' has no role", "input")),
                "assistant" => {
                    transcript.answered(text_of(item.get("content")), false);
                    (after_answer, after_call) = (true, false);
                }
                _ => {
                    transcript.told(text_of(item.get("content")));
                    (after_answer, after_call) = (false, false);
                }
            },
            _ => {}
        }
    }
    Ok(())
}

/// Returns the texts of a content: of a string itself, of parts those of `input_text`, `output_text` and `text`.
fn text_of(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter(|part| matches!(field(part, "type"), "input_text" | "output_text" | "text"))
            .map(|part| field(part, "text"))
            .collect(),
        _ => String::new(),
    }
}

fn form(text: Option<&Value>) -> Result<Form, ApiError> {
    let Some(format) = text
        .and_then(|text| text.get("format"))
        .filter(|format| !format.is_null())
    else {
        return Ok(Form::Text);
    };
    match field(format, "type") {
        "text" => Ok(Form::Text),
        "json_object" => Ok(Form::JsonObject),
        "json_schema" => match format.get("schema") {
            Some(schema) if format.get("name").is_some_and(Value::is_string) => {
                Ok(Form::Json(schema.clone()))
            }
            Some(_) => Err(ApiError::bad(
                "Missing required parameter: 'text.format.name'.",
                "text.format.name",
            )),
            None => Err(ApiError::bad(
                "Missing required parameter: 'text.format.schema'.",
                "text.format.schema",
            )),
        },
        other => Err(ApiError::bad(
            format!("Invalid value: '{other}'."),
            "text.format.type",
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
    fn the_prompt_is_instructions_and_the_texts_of_all_items() {
        let read = |input: &str| {
            let body = format!(r#"{{"model":"m","instructions":"Be brief.","input":{input}}}"#);
            let call = read(body.as_bytes()).unwrap();
            (call.prompt, call.rounds)
        };
        assert_eq!(read(r#""Hello""#), ("Be brief.\nHello".into(), 0));
        let items = r#"[{"role":"user","content":[{"type":"input_text","text":"Hello "},
            {"type":"input_image","image_url":"data:image/png;base64,AAAA"},{"type":"input_text","text":"there"}]},
            {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}]},
            {"type":"function_call","call_id":"1","name":"a","arguments":"{}"},
            {"type":"function_call","call_id":"2","name":"b","arguments":"{}"},
            {"type":"function_call_output","call_id":"1","output":"42"},
            {"type":"function_call_output","call_id":"2","output":[{"type":"input_text","text":"43"}]},
            {"type":"message","role":"assistant","content":[{"type":"output_text","text":"Wait."}]},
            {"type":"function_call","call_id":"3","name":"a","arguments":"{}"}]"#;
        assert_eq!(read(items), ("Be brief.\nHello there\n\n42\n43\nWait.".into(), 2));
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
        check(r#"{"input":"x"}"#, "model");
        check(r#"{"model":"m"}"#, "input");
        check(r#"{"model":"m","input":[]}"#, "input");
        check(r#"{"model":"m","input":[{"content":"x"}]}"#, "input");
        check(
            r#"{"model":"m","input":"x","max_output_tokens":0}"#,
            "max_output_tokens",
        );
        check(
            r#"{"model":"m","input":"x","tool_choice":"required"}"#,
            "tool_choice",
        );
        check(
            r#"{"model":"m","input":"x","text":{"format":{"type":"json_schema","name":"n"}}}"#,
            "text.format.schema",
        );
    }
}
