//! A request in the words of Anthropic's Messages.
//!
//! What this wire knows in another form: tool results are parts of a user message, messages of one role in a row are one
//! message, and system messages stand beside the conversation, so they must come before it. The limit of output tokens
//! is mandatory. `reasoning_effort` is sent as `output_config.effort`; whether the model thinks at all is said by the
//! extra member `thinking`, since which of its forms is taken depends on the model.

use serde::ser::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::Options;
use super::members::{Members, filled};
use crate::{ImageSource, Message, Part, Request, ResponseFormat, Role, ToolCall, ToolChoice, ToolSpec};

/// The JSON object that is sent.
pub(super) struct Body<'a> {
    request: &'a Request,
    stream: bool,
    default_max_output_tokens: u32,
    system: Vec<Value>,
    messages: Vec<Value>,
    output_config: Map<String, Value>,
}

impl<'a> Body<'a> {
    /// Checks what this wire cannot say.
    ///
    /// # Errors
    ///
    /// What is wrong with the request; completes a sentence that begins with the provider's name.
    pub(super) fn new(request: &'a Request, options: &Options) -> Result<Self, String> {
        if request.seed.is_some() {
            return Err("request sets a seed, which this wire has no word for".to_owned());
        }
        let mut output_config = Map::new();
        match &request.response_format {
            Some(ResponseFormat::JsonObject) => {
                return Err(
                    "request asks for a JSON object without a schema, which this wire has no word for"
                        .to_owned(),
                );
            }
            Some(ResponseFormat::JsonSchema { schema, .. }) => {
                output_config.insert(
                    "format".to_owned(),
                    json!({"type": "json_schema", "schema": schema}),
                );
            }
            Some(ResponseFormat::Text) | None => {}
        }
        if let Some(effort) = &request.reasoning_effort {
            output_config.insert("effort".to_owned(), effort.as_str().into());
        }
        let (system, messages) = conversation(&request.messages)?;
        Ok(Self {
            request,
            stream: options.stream,
            default_max_output_tokens: options.default_max_output_tokens,
            system,
            messages,
            output_config,
        })
    }
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.request;
        let mut body = Members::new(request, serializer)?;
        body.member("model", Some(&request.model).filter(|model| !model.is_empty()))?;
        let max_tokens = request
            .max_output_tokens
            .unwrap_or(self.default_max_output_tokens);
        body.member("max_tokens", Some(max_tokens))?;
        body.member("system", Some(&self.system).filter(|system| !system.is_empty()))?;
        body.member("messages", Some(&self.messages))?;
        body.member("stream", Some(self.stream))?;
        body.member("temperature", request.temperature)?;
        body.member("top_p", request.top_p)?;
        body.member(
            "stop_sequences",
            Some(&request.stop).filter(|stop| !stop.is_empty()),
        )?;
        body.member("tools", filled(request.tools.iter().map(tool).collect()))?;
        body.member("tool_choice", tool_choice(request))?;
        body.member(
            "output_config",
            Some(&self.output_config).filter(|config| !config.is_empty()),
        )?;
        body.end()
    }
}

/// Returns the system's blocks and the messages.
fn conversation(messages: &[Message]) -> Result<(Vec<Value>, Vec<Value>), String> {
    let mut system = Vec::new();
    let mut turns: Vec<(&'static str, Vec<Value>)> = Vec::new();
    for message in messages {
        let (role, blocks) = match message.role {
            Role::System | Role::Developer if turns.is_empty() => {
                for part in &message.content {
                    let Part::Text(text) = part else {
                        return Err(
                            "request has an image in a system message, which this wire has no word for"
                                .to_owned(),
                        );
                    };
                    system.extend(text_block(text));
                }
                continue;
            }
            Role::System | Role::Developer => {
                return Err(
                    "request has a system message within the conversation, which this wire has no word for"
                        .to_owned(),
                );
            }
            Role::User => ("user", message.content.iter().filter_map(part).collect()),
            Role::Assistant => ("assistant", assistant(message)),
            Role::Tool => ("user", vec![tool_result(message)?]),
        };
        match turns.last_mut() {
            Some((last, all)) if *last == role => all.extend(blocks),
            _ => turns.push((role, blocks)),
        }
    }
    // The provider refuses messages without content.
    let turns = turns.into_iter().filter(|(_, blocks)| !blocks.is_empty());
    let messages = turns.map(|(role, blocks)| json!({"role": role, "content": blocks}));
    Ok((system, messages.collect()))
}

/// Returns a block of text; the provider refuses empty ones.
fn text_block(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!({"type": "text", "text": text}))
}

fn part(part: &Part) -> Option<Value> {
    match part {
        Part::Text(text) => text_block(text),
        Part::Image(image) => {
            let source = match &image.source {
                ImageSource::Url(url) => json!({"type": "url", "url": url}),
                ImageSource::Base64 { media_type, data } => {
                    json!({"type": "base64", "media_type": media_type, "data": data})
                }
            };
            Some(json!({"type": "image", "source": source}))
        }
    }
}

/// Returns the blocks of an answer: thinking first, as the provider demands. That of other providers is not for it.
fn assistant(message: &Message) -> Vec<Value> {
    let thinking = message.reasoning_opaque.iter().filter(|block| {
        let type_ = block.get("type").and_then(Value::as_str);
        matches!(type_, Some("thinking" | "redacted_thinking"))
    });
    let calls = message.tool_calls.iter().map(tool_use);
    thinking
        .cloned()
        .chain(message.content.iter().filter_map(part))
        .chain(calls)
        .collect()
}

/// Returns a tool call. Arguments that are no object go into one, as the provider advises.
fn tool_use(call: &ToolCall) -> Value {
    let input = match call.parse_arguments() {
        Ok(input @ Value::Object(_)) => input,
        _ => json!({"INVALID_JSON": call.arguments}),
    };
    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
}

fn tool_result(message: &Message) -> Result<Value, String> {
    let id = message
        .tool_call_id
        .as_deref()
        .ok_or("request has a tool message that names no call")?;
    let mut result = json!({"type": "tool_result", "tool_use_id": id});
    match &*message.content {
        [] => {}
        [Part::Text(text)] => result["content"] = text.as_str().into(),
        parts => result["content"] = parts.iter().filter_map(part).collect(),
    }
    if message.is_error {
        result["is_error"] = true.into();
    }
    Ok(result)
}

fn tool(tool: &ToolSpec) -> Value {
    let mut body = json!({"name": tool.name, "input_schema": tool.parameters});
    if let Some(description) = &tool.description {
        body["description"] = description.as_str().into();
    }
    if let Some(strict) = tool.strict {
        body["strict"] = strict.into();
    }
    body
}

/// Returns the choice, which also says whether several tools may be called at once.
fn tool_choice(request: &Request) -> Option<Value> {
    let mut choice = match &request.tool_choice {
        Some(ToolChoice::None) => return Some(json!({"type": "none"})),
        Some(ToolChoice::Auto) => json!({"type": "auto"}),
        Some(ToolChoice::Required) => json!({"type": "any"}),
        Some(ToolChoice::Tool(name)) => json!({"type": "tool", "name": name}),
        None if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() => {
            json!({"type": "auto"})
        }
        None => return None,
    };
    if request.parallel_tool_calls == Some(false) {
        choice["disable_parallel_tool_use"] = true.into();
    }
    Some(choice)
}
