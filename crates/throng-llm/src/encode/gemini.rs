//! A request in the words of Gemini's `generateContent`.
//!
//! - System and developer messages become `systemInstruction`; messages of one role that follow each other become one.
//! - Schemas of tools go into `parametersJsonSchema`, which takes JSON schemas as they are, and not into `parameters`,
//!   which refuses what is not in OpenAPI's subset. The schema of an answer goes into `responseJsonSchema` likewise.
//! - The reasoning effort becomes `thinkingConfig.thinkingLevel`; for the models of the series 2, which know no levels,
//!   it becomes `thinkingBudget` with the tokens that Google's own imitation of OpenAI's wire gives each effort.
//! - Thought signatures go back on the part that they came with.
//! - Extra members win. Those of `generationConfig`, its `thinkingConfig` and `toolConfig` are merged with what is
//!   computed; everything else, such as `tools`, they replace.

use serde::ser::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::Options;
use super::words::{
    add_extra, arguments, check_detail, data_url, filled, given_id, list, no_word, object, tool_name,
};
use crate::wire::{Of, Signed};
use crate::{
    Image, ImageSource, Message, Part, Request, ResponseFormat, Role, ToolCall, ToolChoice, ToolSpec,
};

/// The JSON object that is sent. The model is in the path, and so is whether to stream.
pub(super) struct Body(Map<String, Value>);

impl Body {
    /// Puts the request into this wire's words.
    ///
    /// # Errors
    ///
    /// What is wrong with the request; completes a sentence that begins with the provider's name.
    pub(super) fn new(request: &Request, _: &Options) -> Result<Self, String> {
        if request.parallel_tool_calls == Some(false) {
            return Err(no_word("parallel_tool_calls to false"));
        }
        let mut contents: Vec<(&str, Vec<Value>)> = Vec::new();
        let mut system = Vec::new();
        for (at, message) in request.messages.iter().enumerate() {
            let parts = match message.role {
                Role::System | Role::Developer => {
                    system.extend(plain(message)?);
                    continue;
                }
                Role::User => plain(message)?,
                Role::Assistant => answer(message)?,
                Role::Tool => vec![tool_result(message, &request.messages[..at])?],
            };
            let role = if message.role == Role::Assistant {
                "model"
            } else {
                "user"
            };
            match contents.last_mut() {
                Some((last, all)) if *last == role => all.extend(parts),
                _ => contents.push((role, parts)),
            }
        }
        let contents = contents
            .into_iter()
            .filter(|(_, parts)| !parts.is_empty())
            .map(|(role, parts)| json!({"role": role, "parts": parts}));
        let functions = request.tools.iter().map(tool).collect::<Result<Vec<_>, _>>()?;
        let mut body = object([
            ("contents", Some(contents.collect())),
            (
                "systemInstruction",
                list(system).map(|parts| json!({"parts": parts})),
            ),
            (
                "tools",
                list(functions).map(|functions| json!([{"functionDeclarations": functions}])),
            ),
            ("toolConfig", request.tool_choice.as_ref().map(tool_choice)),
            ("generationConfig", filled(generation_config(request)?)),
        ]);
        add_extra(
            &mut body,
            request,
            &["generationConfig", "thinkingConfig", "toolConfig"],
        );
        Ok(Self(body))
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Returns the parts of a message that has nothing else.
fn plain(message: &Message) -> Result<Vec<Value>, String> {
    if message.name.is_some() {
        return Err(no_word("the name of a speaker"));
    }
    message.content.iter().map(part).collect()
}

fn part(part: &Part) -> Result<Value, String> {
    match part {
        Part::Text(text) => Ok(json!({"text": text})),
        Part::Image(image) => image_part(image),
    }
}

fn image_part(image: &Image) -> Result<Value, String> {
    check_detail(image)?;
    let inline = |media_type: &str, data: &str| json!({"inlineData": {"mimeType": media_type, "data": data}});
    Ok(match &image.source {
        ImageSource::Base64 { media_type, data } => inline(media_type, data),
        ImageSource::Url(url) => match data_url(url) {
            Some((media_type, data)) => inline(media_type, data),
            None => json!({"fileData": {"fileUri": url}}),
        },
    })
}

/// Returns the parts of an answer of the model, each with the signature that it came with.
fn answer(message: &Message) -> Result<Vec<Value>, String> {
    let signed: Vec<_> = message
        .reasoning_opaque
        .iter()
        .filter_map(Signed::from_value)
        .collect();
    let mut parts: Vec<_> = signed
        .iter()
        .filter(|signed| signed.of == Of::Thought)
        .map(|signed| json!({"text": "", "thought": true, "thoughtSignature": signed.signature}))
        .collect();
    let ranges: Vec<_> = signed
        .iter()
        .filter_map(|signed| match signed.of {
            Of::Text(from, to) => Some((from, to, signed.signature.as_str())),
            _ => None,
        })
        .collect();
    match &*message.content {
        [] => parts.extend(texts("", &ranges)),
        [Part::Text(text)] if message.name.is_none() => parts.extend(texts(text, &ranges)),
        _ => {
            parts.extend(plain(message)?);
            // The message was put together anew: where its text ends is the nearest place.
            parts.extend(
                ranges
                    .iter()
                    .map(|(_, _, signature)| sign(json!({"text": ""}), signature)),
            );
        }
    }
    for call in &message.tool_calls {
        let part = tool_call(call)?;
        let signature = signed
            .iter()
            .find(|signed| matches!(&signed.of, Of::Call(id) if *id == call.id));
        parts.push(match signature {
            Some(signed) => sign(part, &signed.signature),
            None => part,
        });
    }
    Ok(parts)
}

fn sign(mut part: Value, signature: &str) -> Value {
    part["thoughtSignature"] = signature.into();
    part
}

/// Cuts a text into the parts in which it came, as far as signatures tell.
fn texts(text: &str, ranges: &[(usize, usize, &str)]) -> Vec<Value> {
    let mut parts = Vec::new();
    let mut done = 0;
    for &(from, to, signature) in ranges {
        // A text that was changed since has its signatures at its end.
        let (before, signed) = match (text.get(done..from), text.get(from..to)) {
            (Some(before), Some(signed)) => (before, signed),
            _ => (text.get(done..).unwrap_or_default(), ""),
        };
        if !before.is_empty() {
            parts.push(json!({"text": before}));
        }
        done += before.len() + signed.len();
        parts.push(sign(json!({"text": signed}), signature));
    }
    let rest = text.get(done..).unwrap_or_default();
    if !rest.is_empty() {
        parts.push(json!({"text": rest}));
    }
    parts
}

fn tool_call(call: &ToolCall) -> Result<Value, String> {
    Ok(json!({"functionCall": object([
        ("id", given_id(&call.id).map(Value::from)),
        ("name", Some(call.name.as_str().into())),
        ("args", Some(arguments(call)?)),
    ])}))
}

fn tool_result(message: &Message, earlier: &[Message]) -> Result<Value, String> {
    let mut text = String::new();
    for part in &message.content {
        match part {
            Part::Text(more) => text.push_str(more),
            Part::Image(_) => return Err(no_word("an image in the result of a tool")),
        }
    }
    let whole = serde_json::from_str(&text).ok().filter(Value::is_object);
    let id = message.tool_call_id.as_deref().and_then(given_id);
    Ok(json!({"functionResponse": object([
        ("id", id.map(Value::from)),
        ("name", Some(tool_name(message, earlier)?.into())),
        ("response", Some(whole.unwrap_or_else(|| json!({"result": text})))),
    ])}))
}

fn tool(tool: &ToolSpec) -> Result<Value, String> {
    if tool.strict == Some(true) {
        return Err(no_word("a strict tool"));
    }
    let schema = Some(&tool.parameters).filter(|schema| !schema.is_null());
    Ok(Value::Object(object([
        ("name", Some(tool.name.as_str().into())),
        ("description", tool.description.as_deref().map(Value::from)),
        ("parametersJsonSchema", schema.cloned()),
    ])))
}

fn tool_choice(choice: &ToolChoice) -> Value {
    let config = match choice {
        ToolChoice::Auto => json!({"mode": "AUTO"}),
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Required => json!({"mode": "ANY"}),
        ToolChoice::Tool(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    };
    json!({"functionCallingConfig": config})
}

fn generation_config(request: &Request) -> Result<Map<String, Value>, String> {
    let (media_type, schema) = match &request.response_format {
        None | Some(ResponseFormat::Text) => (None, None),
        Some(ResponseFormat::JsonObject) => (Some("application/json"), None),
        Some(ResponseFormat::JsonSchema { schema, .. }) => (Some("application/json"), Some(schema.clone())),
    };
    let effort = request.reasoning_effort.as_deref();
    let thinking = effort
        .map(|effort| thinking_config(&request.model, effort))
        .transpose()?;
    Ok(object([
        ("temperature", request.temperature.map(Value::from)),
        ("topP", request.top_p.map(Value::from)),
        ("maxOutputTokens", request.max_output_tokens.map(Value::from)),
        (
            "stopSequences",
            (!request.stop.is_empty()).then(|| json!(request.stop)),
        ),
        ("seed", request.seed.map(Value::from)),
        ("responseMimeType", media_type.map(Value::from)),
        ("responseJsonSchema", schema),
        ("thinkingConfig", thinking),
    ]))
}

fn thinking_config(model: &str, effort: &str) -> Result<Value, String> {
    if effort == "none" {
        return Ok(json!({"thinkingBudget": 0}));
    }
    if !model.contains("gemini-2") {
        return Ok(json!({"thinkingLevel": effort}));
    }
    let budget = match effort {
        "minimal" | "low" => 1_024,
        "medium" => 8_192,
        "high" => 24_576,
        _ => return Err(no_word(&format!("reasoning_effort to `{effort}`"))),
    };
    Ok(json!({"thinkingBudget": budget}))
}
