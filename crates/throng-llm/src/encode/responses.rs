//! A request in the words of OpenAI's Responses.
//!
//! The whole conversation is sent as items, system messages in their place. `reasoning_effort` is sent as
//! `reasoning.effort`; with it and the extra member `store: false`, the encrypted reasoning is asked for, without which
//! the next turn could not go on from it.

use serde::ser::{Serialize, Serializer};
use serde_json::{Value, json};

use super::Options;
use super::members::{Members, filled};
use crate::{ImageSource, Message, Part, Request, ResponseFormat, Role, ToolChoice, ToolSpec};

/// The JSON object that is sent.
pub(super) struct Body<'a> {
    request: &'a Request,
    stream: bool,
    stream_options: Option<Value>,
    input: Vec<Value>,
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
        if !request.stop.is_empty() {
            return Err("request sets texts to stop at, which this wire has no word for".to_owned());
        }
        let mut items = Items {
            stored: !is_unstored(request),
            custom_tools: custom_tools(request),
            custom_calls: Vec::new(),
            input: Vec::new(),
        };
        for message in &request.messages {
            items.message(message)?;
        }
        Ok(Self {
            request,
            stream: options.stream,
            // Padding against eavesdroppers who measure packets: it is an eighth of the bytes.
            stream_options: (options.stream && options.is_openai)
                .then(|| json!({"include_obfuscation": false})),
            input: items.input,
        })
    }
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.request;
        let mut body = Members::new(request, serializer)?;
        body.member("model", Some(&request.model).filter(|model| !model.is_empty()))?;
        body.member("input", Some(&self.input))?;
        body.member("stream", Some(self.stream))?;
        body.member("stream_options", self.stream_options.as_ref())?;
        body.member("max_output_tokens", request.max_output_tokens)?;
        body.member("temperature", request.temperature)?;
        body.member("top_p", request.top_p)?;
        body.member("tools", filled(request.tools.iter().map(tool).collect()))?;
        body.member("tool_choice", request.tool_choice.as_ref().map(tool_choice))?;
        body.member("parallel_tool_calls", request.parallel_tool_calls)?;
        body.member(
            "text",
            request
                .response_format
                .as_ref()
                .map(|form| json!({"format": format(form)})),
        )?;
        let effort = request.reasoning_effort.as_ref();
        body.member("reasoning", effort.map(|effort| json!({"effort": effort})))?;
        let reasons = effort.is_some() || request.extra.contains_key("reasoning");
        let include = reasons && is_unstored(request);
        body.member("include", include.then_some(["reasoning.encrypted_content"]))?;
        body.end()
    }
}

/// Returns whether the provider keeps nothing of the conversation.
fn is_unstored(request: &Request) -> bool {
    request.extra.get("store") == Some(&Value::Bool(false))
}

/// Returns the names of tools that take text instead of JSON. They come among the extra members.
fn custom_tools(request: &Request) -> Vec<&str> {
    let tools = request.extra.get("tools").and_then(Value::as_array);
    tools
        .into_iter()
        .flatten()
        .filter(|tool| tool.get("type").and_then(Value::as_str) == Some("custom"))
        .filter_map(|tool| tool.get("name").and_then(Value::as_str))
        .collect()
}

/// The items of a conversation.
struct Items<'a> {
    stored: bool,
    custom_tools: Vec<&'a str>,
    /// The ids of the calls of custom tools.
    custom_calls: Vec<&'a str>,
    input: Vec<Value>,
}

impl<'a> Items<'a> {
    fn message(&mut self, message: &'a Message) -> Result<(), String> {
        match message.role {
            Role::System | Role::Developer | Role::User => {
                let content = content(&message.content);
                self.input
                    .push(json!({"type": "message", "role": message.role.as_str(), "content": content}));
            }
            Role::Assistant => self.assistant(message)?,
            Role::Tool => {
                let id = message
                    .tool_call_id
                    .as_deref()
                    .ok_or("request has a tool message that names no call")?;
                let type_ = if self.custom_calls.contains(&id) {
                    "custom_tool_call_output"
                } else {
                    "function_call_output"
                };
                let output = content(&message.content);
                self.input
                    .push(json!({"type": type_, "call_id": id, "output": output}));
            }
        }
        Ok(())
    }

    /// Adds an answer in the order in which the provider gave it: reasoning, text, calls.
    fn assistant(&mut self, message: &'a Message) -> Result<(), String> {
        for item in &message.reasoning_opaque {
            self.input.extend(self.reasoning(item));
        }
        let mut parts = Vec::new();
        for part in &message.content {
            let Part::Text(text) = part else {
                return Err(
                    "request has an image in an answer of the model, which this wire has no word for"
                        .to_owned(),
                );
            };
            if !text.is_empty() {
                parts.push(json!({"type": "output_text", "text": text}));
            }
        }
        if !parts.is_empty() {
            self.input
                .push(json!({"type": "message", "role": "assistant", "content": parts}));
        }
        for call in &message.tool_calls {
            let arguments = &*call.arguments;
            self.input.push(if self.custom_tools.contains(&&*call.name) {
                self.custom_calls.push(&call.id);
                json!({"type": "custom_tool_call", "call_id": call.id, "name": call.name, "input": arguments})
            } else {
                let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
                json!({"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments})
            });
        }
        Ok(())
    }

    /// Returns an item of reasoning as it is sent back. That of other providers is not for this one, and one that is
    /// known only by its id is nowhere to be found if nothing is stored.
    fn reasoning(&self, item: &Value) -> Option<Value> {
        if item.get("type").and_then(Value::as_str) != Some("reasoning") {
            return None;
        }
        let encrypted = item.get("encrypted_content").is_some_and(Value::is_string);
        if !encrypted && !self.stored {
            return None;
        }
        let mut item = item.clone();
        if let Value::Object(members) = &mut item {
            // Of the answer only: some models refuse it in a request.
            members.remove("status");
        }
        Some(item)
    }
}

/// Returns the content of a message: text, or parts.
fn content(parts: &[Part]) -> Value {
    match parts {
        [] => "".into(),
        [Part::Text(text)] => text.as_str().into(),
        parts => parts.iter().map(part).collect(),
    }
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({"type": "input_text", "text": text}),
        Part::Image(image) => {
            let url = match &image.source {
                ImageSource::Url(url) => url.clone(),
                ImageSource::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
            };
            let mut body = json!({"type": "input_image", "image_url": url});
            if let Some(detail) = &image.detail {
                body["detail"] = detail.as_str().into();
            }
            body
        }
    }
}

fn tool(tool: &ToolSpec) -> Value {
    let mut body = json!({"type": "function", "name": tool.name, "parameters": tool.parameters});
    if let Some(description) = &tool.description {
        body["description"] = description.as_str().into();
    }
    if let Some(strict) = tool.strict {
        body["strict"] = strict.into();
    }
    body
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Tool(name) => json!({"type": "function", "name": name}),
    }
}

fn format(format: &ResponseFormat) -> Value {
    match format {
        ResponseFormat::Text => json!({"type": "text"}),
        ResponseFormat::JsonObject => json!({"type": "json_object"}),
        ResponseFormat::JsonSchema { name, schema, strict } => {
            json!({"type": "json_schema", "name": name, "schema": schema, "strict": strict})
        }
    }
}
