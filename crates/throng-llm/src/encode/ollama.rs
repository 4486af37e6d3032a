//! A request in the words of Ollama's `/api/chat`.
//!
//! - Parts of text become one text with a line end between them; images stand beside it, in base64.
//! - The reasoning effort becomes `think`: `none` is false, and every other word is passed on as it is, for the models
//!   that know levels. `true` and `false` switch thinking for those that do not.
//! - `num_ctx` is not among the settings of a [`Request`]: without it in `extra`, under `options`, Ollama cuts a long
//!   prompt without a word.
//! - Extra members win. Those of `options` are merged with what is computed; everything else they replace.

use serde::ser::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::Options;
use super::words::{
    add_extra, arguments, check_detail, data_url, filled, given_id, list, no_word, object, tool_name,
};
use crate::{
    Image, ImageSource, Message, Part, Request, ResponseFormat, Role, ToolCall, ToolChoice, ToolSpec,
};

/// The JSON object that is sent.
pub(super) struct Body(Map<String, Value>);

impl Body {
    /// Puts the request into this wire's words.
    ///
    /// # Errors
    ///
    /// What is wrong with the request; completes a sentence that begins with the provider's name.
    pub(super) fn new(request: &Request, options: &Options) -> Result<Self, String> {
        if request.parallel_tool_calls == Some(false) {
            return Err(no_word("parallel_tool_calls to false"));
        }
        let tools = match &request.tool_choice {
            Some(ToolChoice::Required) => return Err(no_word("tool_choice to required")),
            Some(ToolChoice::Tool(name)) => {
                return Err(no_word(&format!("tool_choice to the tool `{name}`")));
            }
            // Without tools none is called.
            Some(ToolChoice::None) => &[][..],
            Some(ToolChoice::Auto) | None => &request.tools,
        };
        let tools = tools.iter().map(tool).collect::<Result<Vec<_>, _>>()?;
        let messages = request
            .messages
            .iter()
            .enumerate()
            .map(|(at, message)| message_body(message, &request.messages[..at]))
            .collect::<Result<Vec<_>, _>>()?;
        let sampling = object([
            ("temperature", request.temperature.map(Value::from)),
            ("top_p", request.top_p.map(Value::from)),
            ("num_predict", request.max_output_tokens.map(Value::from)),
            ("seed", request.seed.map(Value::from)),
            ("stop", (!request.stop.is_empty()).then(|| json!(request.stop))),
        ]);
        let format = match &request.response_format {
            None | Some(ResponseFormat::Text) => None,
            Some(ResponseFormat::JsonObject) => Some("json".into()),
            Some(ResponseFormat::JsonSchema { schema, .. }) => Some(schema.clone()),
        };
        let mut body = object([
            ("model", Some(request.model.as_str().into())),
            ("messages", Some(Value::Array(messages))),
            ("stream", Some(options.stream.into())),
            ("tools", list(tools)),
            ("format", format),
            ("think", request.reasoning_effort.as_deref().map(think)),
            ("options", filled(sampling)),
        ]);
        add_extra(&mut body, request, &["options"]);
        Ok(Self(body))
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

fn think(effort: &str) -> Value {
    match effort {
        "none" | "false" => false.into(),
        "true" => true.into(),
        level => level.into(),
    }
}

fn message_body(message: &Message, earlier: &[Message]) -> Result<Value, String> {
    let role = match message.role {
        Role::System | Role::Developer => "system",
        other => other.as_str(),
    };
    let mut texts = Vec::new();
    let mut images = Vec::new();
    for part in &message.content {
        match part {
            Part::Text(text) => texts.push(text.as_str()),
            Part::Image(image) => images.push(Value::from(image_data(image)?)),
        }
    }
    let calls = message
        .tool_calls
        .iter()
        .map(tool_call)
        .collect::<Result<Vec<_>, _>>()?;
    let mut body = object([
        ("role", Some(role.into())),
        ("content", Some(texts.join("\n").into())),
        ("images", list(images)),
        ("tool_calls", list(calls)),
    ]);
    if message.role == Role::Tool {
        let id = message.tool_call_id.as_deref().and_then(given_id);
        body.extend(object([
            ("tool_name", Some(tool_name(message, earlier)?.into())),
            ("tool_call_id", id.map(Value::from)),
        ]));
    } else if message.name.is_some() {
        return Err(no_word("the name of a speaker"));
    }
    Ok(Value::Object(body))
}

fn image_data(image: &Image) -> Result<&str, String> {
    check_detail(image)?;
    match &image.source {
        ImageSource::Base64 { data, .. } => Ok(data),
        ImageSource::Url(url) => match data_url(url) {
            Some((_, data)) => Ok(data),
            None => Err(no_word("the address of an image")),
        },
    }
}

fn tool_call(call: &ToolCall) -> Result<Value, String> {
    let function = json!({"name": call.name, "arguments": arguments(call)?});
    Ok(Value::Object(object([
        ("id", given_id(&call.id).map(Value::from)),
        ("type", Some("function".into())),
        ("function", Some(function)),
    ])))
}

fn tool(tool: &ToolSpec) -> Result<Value, String> {
    if tool.strict == Some(true) {
        return Err(no_word("a strict tool"));
    }
    let function = object([
        ("name", Some(tool.name.as_str().into())),
        ("description", tool.description.as_deref().map(Value::from)),
        ("parameters", Some(tool.parameters.clone())),
    ]);
    Ok(json!({"type": "function", "function": function}))
}
