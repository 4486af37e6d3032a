//! A request in the words of Chat Completions.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::builder::MaxTokensField;
use super::chat::Inner;
use crate::{ImageSource, Message, Part, Request, ResponseFormat, ToolChoice, ToolSpec};

/// The JSON object that is sent.
pub(super) struct Body<'a> {
    request: &'a Request,
    stream: bool,
    stream_options: Option<Value>,
    max_tokens: MaxTokensField,
}

impl<'a> Body<'a> {
    /// Checks a request.
    ///
    /// # Errors
    ///
    /// What is wrong with it; completes a sentence that begins with the provider's name.
    pub(super) fn new(request: &'a Request, client: &Inner) -> Result<Self, String> {
        if request.extra.contains_key("stream") {
            return Err(
                "request sets `stream` in its extra members; that is a setting of the client".to_owned(),
            );
        }
        if let Some(n) = request.extra.get("n").filter(|n| n.as_u64() != Some(1)) {
            return Err(format!(
                "request asks for n = {n} answers; one call gives one answer"
            ));
        }
        for (name, number) in [("temperature", request.temperature), ("top_p", request.top_p)] {
            if let Some(number) = number.filter(|number| !number.is_finite()) {
                return Err(format!(
                    "request sets {name} to {number}, which JSON has no word for"
                ));
            }
        }
        let mut options = serde_json::Map::new();
        if client.include_usage {
            options.insert("include_usage".to_owned(), true.into());
        }
        if client.is_openai {
            // Padding against eavesdroppers who measure packets: it is an eighth of the bytes.
            options.insert("include_obfuscation".to_owned(), false.into());
        }
        let stream_options = (client.stream && !options.is_empty()).then_some(Value::Object(options));
        Ok(Self {
            request,
            stream: client.stream,
            stream_options,
            max_tokens: client.max_tokens,
        })
    }
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.request;
        let mut map = serializer.serialize_map(None)?;
        let mut put = Put {
            map: &mut map,
            request,
        };
        put.member("model", Some(&request.model).filter(|model| !model.is_empty()))?;
        put.member(
            "messages",
            Some(request.messages.iter().map(MessageBody).collect::<Vec<_>>()),
        )?;
        put.member("stream", Some(self.stream))?;
        put.member("stream_options", self.stream_options.as_ref())?;
        let max_tokens = match self.max_tokens {
            MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
            MaxTokensField::MaxTokens => "max_tokens",
        };
        put.member(max_tokens, request.max_output_tokens)?;
        put.member("temperature", request.temperature)?;
        put.member("top_p", request.top_p)?;
        put.member("stop", Some(&request.stop).filter(|stop| !stop.is_empty()))?;
        put.member("seed", request.seed)?;
        let tools: Vec<_> = request.tools.iter().map(tool).collect();
        put.member("tools", Some(tools).filter(|tools| !tools.is_empty()))?;
        put.member("tool_choice", request.tool_choice.as_ref().map(tool_choice))?;
        put.member("parallel_tool_calls", request.parallel_tool_calls)?;
        put.member(
            "response_format",
            request.response_format.as_ref().map(response_format),
        )?;
        put.member("reasoning_effort", request.reasoning_effort.as_ref())?;
        for (name, value) in &request.extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Writes members, except those that the request's extra members replace.
struct Put<'a, M> {
    map: &'a mut M,
    request: &'a Request,
}

impl<M: SerializeMap> Put<'_, M> {
    fn member(&mut self, name: &str, value: Option<impl Serialize>) -> Result<(), M::Error> {
        match value {
            Some(value) if !self.request.extra.contains_key(name) => self.map.serialize_entry(name, &value),
            _ => Ok(()),
        }
    }
}

struct MessageBody<'a>(&'a Message);

impl Serialize for MessageBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = self.0;
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
        if !message.reasoning_opaque.is_empty() {
            map.serialize_entry("reasoning_details", &message.reasoning_opaque)?;
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
