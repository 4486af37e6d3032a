//! Reads the requests of Gemini.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::api_error::ApiError;
use crate::call::{Call, Form, Function, ToolChoice, Transcript};
use crate::wire::{Route, cut_tag};

const MAX_CANDIDATES: u32 = 8;

/// Reads the body of a request; the path says the model and whether a stream is asked for. Fields that are not
/// known are passed over.
pub(super) fn read(route: &Route, body: &[u8]) -> Result<Call, ApiError> {
    let body: Body = serde_json::from_slice(body).map_err(|err| ApiError::unreadable(&err))?;
    let contents = body.contents.filter(|contents| !contents.is_empty());
    let contents = contents.ok_or_else(|| {
        ApiError::bad(
            "* GenerateContentRequest.contents: contents is not specified",
            "contents",
        )
    })?;
    let config = body.generation_config.unwrap_or_default();
    let n = config.candidate_count.unwrap_or(1);
    if n == 0 || n > MAX_CANDIDATES {
        let message = format!("Invalid value at 'generation_config.candidate_count': {n}");
        return Err(ApiError::bad(message, "generationConfig"));
    }
    let functions = body
        .tools
        .iter()
        .flatten()
        .flat_map(|tool| tool.function_declarations.iter().flatten());
    let functions = functions.map(|function| {
        let plain = function
            .parameters
            .as_ref()
            .map(|schema| as_json_schema(schema.clone()));
        let schema = function.parameters_json_schema.clone().or(plain);
        Function::new(&function.name, schema.as_ref())
    });
    let choice = tool_choice(body.tool_config.as_ref())?;
    let (form, tools) = choice.decide(functions.collect(), config.form()?, "toolConfig")?;
    let mut transcript = Transcript::default();
    if let Some(system) = &body.system_instruction {
        transcript.told(text_of(&system.parts));
    }
    contents
        .iter()
        .for_each(|content| read_content(content, &mut transcript));
    let thoughts = config
        .thinking_config
        .as_ref()
        .and_then(|config| config.get("includeThoughts"));
    Ok(Call {
        model: route.model.clone().unwrap_or_default(),
        prompt: transcript.prompt(),
        stream: route.stream,
        include_usage: false,
        max_tokens: config.max_output_tokens.filter(|max| *max > 0),
        stop: config.stop_sequences.unwrap_or_default(),
        n,
        seed: config.seed,
        form,
        tag: body
            .labels
            .as_ref()
            .and_then(|labels| labels.get("tag")?.as_str())
            .map(cut_tag),
        rounds: transcript.rounds(),
        tools,
        no_reasoning: thoughts.and_then(Value::as_bool) == Some(false),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    contents: Option<Vec<Content>>,
    #[serde(alias = "system_instruction")]
    system_instruction: Option<Content>,
    tools: Option<Vec<Tool>>,
    #[serde(alias = "tool_config")]
    tool_config: Option<Value>,
    #[serde(alias = "generation_config")]
    generation_config: Option<Config>,
    labels: Option<Value>,
}

#[derive(Deserialize)]
struct Content {
    role: Option<String>,
    #[serde(default)]
    parts: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tool {
    #[serde(alias = "function_declarations")]
    function_declarations: Option<Vec<Declaration>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Declaration {
    name: String,
    parameters: Option<Value>,
    parameters_json_schema: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    max_output_tokens: Option<u64>,
    stop_sequences: Option<Vec<String>>,
    seed: Option<i64>,
    candidate_count: Option<u32>,
    response_mime_type: Option<String>,
    response_schema: Option<Value>,
    response_json_schema: Option<Value>,
    thinking_config: Option<Value>,
}

impl Config {
    fn form(&self) -> Result<Form, ApiError> {
        let plain = self
            .response_schema
            .as_ref()
            .map(|schema| as_json_schema(schema.clone()));
        let schema = self.response_json_schema.clone().or(plain);
        match (self.response_mime_type.as_deref(), schema) {
            (Some("application/json"), Some(schema)) => Ok(Form::Json(schema)),
            (Some("application/json"), None) => Ok(Form::JsonObject),
            (None | Some("text/plain"), None) => Ok(Form::Text),
            (_, Some(_)) => Err(ApiError::bad(
                "Function calling with a response mime type other than 'application/json' is unsupported",
                "generationConfig",
            )),
            (Some(other), None) => Err(ApiError::bad(
                format!("Unsupported response mime type: {other}"),
                "generationConfig",
            )),
        }
    }
}

/// Reads a message. Each function response in it counts as a message of its own, before the text.
fn read_content(content: &Content, transcript: &mut Transcript) {
    let text = text_of(&content.parts);
    if content.role.as_deref() == Some("model") {
        let calls = content
            .parts
            .iter()
            .any(|part| part.get("functionCall").is_some());
        transcript.answered(text, calls);
        return;
    }
    let results = content
        .parts
        .iter()
        .filter_map(|part| part.get("functionResponse"));
    let mut n_results = 0;
    for result in results {
        transcript.resulted(result_text(result.get("response")));
        n_results += 1;
    }
    if n_results == 0 || n_results < content.parts.len() {
        transcript.told(text);
    }
}

/// Returns the text of a function's response, which has to be an object: of one with a single text, that text.
fn result_text(response: Option<&Value>) -> String {
    let single = response
        .and_then(Value::as_object)
        .filter(|fields| fields.len() == 1)
        .and_then(|fields| fields.values().next());
    match (single, response) {
        (Some(Value::String(text)), _) => text.clone(),
        (_, Some(response)) => response.to_string(),
        (_, None) => String::new(),
    }
}

fn text_of(parts: &[Value]) -> String {
    let said = parts
        .iter()
        .filter(|part| part.get("thought").and_then(Value::as_bool) != Some(true));
    said.filter_map(|part| part.get("text")?.as_str()).collect()
}

fn tool_choice(config: Option<&Value>) -> Result<ToolChoice, ApiError> {
    let Some(config) = config.and_then(|config| config.get("functionCallingConfig")) else {
        return Ok(ToolChoice::Auto);
    };
    let name = config.pointer("/allowedFunctionNames/0").and_then(Value::as_str);
    match (config.get("mode").and_then(Value::as_str), name) {
        (None | Some("AUTO" | "MODE_UNSPECIFIED" | "VALIDATED"), _) => Ok(ToolChoice::Auto),
        (Some("NONE"), _) => Ok(ToolChoice::None),
        (Some("ANY"), None) => Ok(ToolChoice::Any),
        (Some("ANY"), Some(name)) => Ok(ToolChoice::Named(name.to_owned())),
        (Some(other), _) => Err(ApiError::bad(
            format!("Invalid value at 'tool_config.function_calling_config.mode': \"{other}\""),
            "toolConfig",
        )),
    }
}

/// Turns a schema in Gemini's own words, whose types are in capitals, into a JSON schema.
fn as_json_schema(schema: Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let field = |(key, value): (String, Value)| match (key.as_str(), value) {
                ("type", Value::String(name)) => (key, Value::String(name.to_lowercase())),
                // Numbers that do not fit into a double are written as texts.
                ("minItems" | "maxItems" | "minLength" | "maxLength", Value::String(number)) => {
                    let number = number.parse::<u64>().map_or(Value::String(number), Value::from);
                    (key, number)
                }
                ("properties", Value::Object(properties)) => {
                    let properties = properties
                        .into_iter()
                        .map(|(name, schema)| (name, as_json_schema(schema)));
                    (key, Value::Object(properties.collect()))
                }
                ("enum" | "required" | "default" | "example", value) => (key, value),
                (_, value) => (key, as_json_schema(value)),
            };
            Value::Object(fields.into_iter().map(field).collect::<Map<_, _>>())
        }
        Value::Array(schemas) => Value::Array(schemas.into_iter().map(as_json_schema).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_body(body: &str) -> Result<Call, ApiError> {
        let route = Route::of("/v1beta/models/m:streamGenerateContent", "").unwrap();
        read(&route, body.as_bytes())
    }

    #[test]
    fn the_prompt_is_the_system_and_the_texts_of_all_contents() {
        let body = r#"{"systemInstruction":{"parts":[{"text":"Be brief."}]},"contents":[
            {"role":"user","parts":[{"text":"Hello "},{"inlineData":{"mimeType":"image/png","data":"AA"}},
                {"text":"there"}]},
            {"role":"model","parts":[{"text":"hm","thought":true},{"functionCall":{"name":"a","args":{}}},
                {"functionCall":{"name":"b","args":{}}}]},
            {"role":"user","parts":[{"functionResponse":{"name":"a","response":{"result":"42"}}},
                {"functionResponse":{"name":"b","response":{"x":1,"y":2}}}]}]}"#;
        let call = read_body(body).unwrap();
        let prompt = "Be brief.\nHello there\n\n42\n{\"x\":1,\"y\":2}";
        assert_eq!(
            (call.prompt.as_str(), call.rounds, call.stream),
            (prompt, 1, true)
        );
    }

    #[test]
    fn a_schema_in_capitals_becomes_a_json_schema() {
        let schema = json!({"type": "OBJECT", "required": ["type"], "properties": {
            "type": {"type": "STRING", "enum": ["A"]}, "n": {"type": "ARRAY", "minItems": "2", "items": {"type": "INTEGER"}}}});
        let wanted = json!({"type": "object", "required": ["type"], "properties": {
            "type": {"type": "string", "enum": ["A"]}, "n": {"type": "array", "minItems": 2, "items": {"type": "integer"}}}});
        assert_eq!(as_json_schema(schema), wanted);
    }

    #[test]
    fn what_is_malformed_is_named() {
        let check = |body: &str, wanted: &str| {
            let Err(ApiError::BadRequest { message, param }) = read_body(body) else {
                panic!("{body}")
            };
            assert!(
                message.contains(wanted) || param == Some(wanted),
                "{body}: {message}"
            );
        };
        let with = |fields: &str| format!(r#"{{"contents":[{{"parts":[{{"text":"x"}}]}}],{fields}}}"#);
        check("{", "could not parse");
        check("{}", "contents");
        check(r#"{"contents":[]}"#, "contents");
        check(
            &with(r#""generationConfig":{"candidateCount":9}"#),
            "candidate_count",
        );
        check(
            &with(r#""generationConfig":{"responseSchema":{}}"#),
            "generationConfig",
        );
        check(
            &with(r#""toolConfig":{"functionCallingConfig":{"mode":"ANY"}}"#),
            "toolConfig",
        );
        check(
            &with(r#""toolConfig":{"functionCallingConfig":{"mode":"MAYBE"}}"#),
            "toolConfig",
        );
    }
}
