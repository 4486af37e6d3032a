//! A request in the words of Chat Completions.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::members::{Members, filled};
use super::{MaxTokensField, Options};
use crate::{ImageSource, Message, Part, Request, ResponseFormat, ToolChoice, ToolSpec};

/// The JSON object that is sent.
pub(super) struct Body<'a> {
    request: &'a Request,
    stream: bool,
    stream_options: Option<Value>,
    max_tokens: MaxTokensField,
    seed_member: &'static str,
    reasoning_details: bool,
}

impl<'a> Body<'a> {
    pub(super) fn new(request: &'a Request, options: &Options) -> Self {
        let mut stream_options = serde_json::Map::new();
        if options.include_usage {
            stream_options.insert("include_usage".to_owned(), true.into());
        }
        if options.is_openai {
            // Padding against eavesdroppers who measure packets: it is an eighth of the bytes.
            stream_options.insert("include_obfuscation".to_owned(), false.into());
        }
        let stream_options =
            (options.stream && !stream_options.is_empty()).then_some(Value::Object(stream_options));
        Self {
            request,
            stream: options.stream,
            stream_options,
            max_tokens: options.max_tokens,
            seed_member: options.seed_member,
            reasoning_details: options.reasoning_details,
        }
    }
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.request;
        let mut body = Members::new(request, serializer)?;
        body.member("model", Some(&request.model).filter(|model| !model.is_empty()))?;
        let message = |message| MessageBody {
            message,
            reasoning_details: self.reasoning_details,
        };
        body.member(
            "messages",
            Some(request.messages.iter().map(message).collect::<Vec<_>>()),
        )?;
        body.member("stream", Some(self.stream))?;
        body.member("stream_options", self.stream_options.as_ref())?;
        let max_tokens = match self.max_tokens {
            MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
            MaxTokensField::MaxTokens => "max_tokens",
        };
        body.member(max_tokens, request.max_output_tokens)?;
        body.member("temperature", request.temperature)?;
        body.member("top_p", request.top_p)?;
        body.member("stop", Some(&request.stop).filter(|stop| !stop.is_empty()))?;
        body.member(self.seed_member, request.seed)?;
        body.member("tools", filled(request.tools.iter().map(tool).collect()))?;
        body.member("tool_choice", request.tool_choice.as_ref().map(tool_choice))?;
        body.member("parallel_tool_calls", request.parallel_tool_calls)?;
        body.member(
            "response_format",
            request.response_format.as_ref().map(response_format),
        )?;
        body.member("reasoning_effort", request.reasoning_effort.as_ref())?;
        body.end()
    }
}

struct MessageBody<'a> {
    message: &'a Message,
    reasoning_details: bool,
}

impl Serialize for MessageBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = self.message;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("role", message.role.as_str())?;
        match &*message.content {
            [] if message.tool_calls.is_empty() => map.serialize_entry("content", "")?,
            [] => map.serialize_entry("content", &Value::Null)?,
            // Old servers take text only.
            [Part::Text(text)] => map.serialize_entry("content", text)?,
            parts => map.serialize_entry("content", &parts.iter().map(part).collect::<Vec<_>>())?,
        }
        if let Some(name) = &message.name {
            map.serialize_entry("name", name)?;
        }
        if !message.tool_calls.is_empty() {
            let call = |call: &crate::ToolCall| {
                let arguments = if call.arguments.trim().is_empty() {
                    "{}"
                } else {
                    &call.arguments
                };
                json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
            };
            map.serialize_entry(
                "tool_calls",
                &message.tool_calls.iter().map(call).collect::<Vec<_>>(),
            )?;
        }
        if let Some(id) = &message.tool_call_id {
            map.serialize_entry("tool_call_id", id)?;
        }
        if self.reasoning_details {
            // The opaque reasoning of other wires says nothing here.
            let details = message.reasoning_opaque.iter().filter(|part| {
                let type_ = part.get("type").and_then(Value::as_str);
                type_.is_some_and(|type_| type_.starts_with("reasoning."))
            });
            if let Some(details) = filled(details.collect()) {
                map.serialize_entry("reasoning_details", &details)?;
            }
        }
        map.end()
    }
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({"type": "text", "text": text}),
        Part::Image(image) => {
            let url = match &image.source {
                ImageSource::Url(url) => url.clone(),
                ImageSource::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
            };
            let mut body = json!({"url": url});
            if let Some(detail) = &image.detail {
                body["detail"] = detail.as_str().into();
            }
            json!({"type": "image_url", "image_url": body})
        }
    }
}

fn tool(tool: &ToolSpec) -> Value {
    let mut function = json!({"name": tool.name, "parameters": tool.parameters});
    if let Some(description) = &tool.description {
        function["description"] = description.as_str().into();
    }
    if let Some(strict) = tool.strict {
        function["strict"] = strict.into();
    }
    json!({"type": "function", "function": function})
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Tool(name) => json!({"type": "function", "function": {"name": name}}),
    }
}

fn response_format(format: &ResponseFormat) -> Value {
    match format {
        ResponseFormat::Text => json!({"type": "text"}),
        ResponseFormat::JsonObject => json!({"type": "json_object"}),
        ResponseFormat::JsonSchema { name, schema, strict } => {
            json!({"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": strict}})
        }
    }
}
