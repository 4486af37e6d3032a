//! Messages of a conversation: who speaks, in which parts, and which tools are called.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    #[serde(default)]
    pub content: Vec<Part>,
    /// The tools that an assistant message calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The id of the call that a tool message answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Whether a tool message says that the tool failed. Anthropic is told so; for the other wires the text must say it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_error: bool,
    /// A name for the speaker, where a provider takes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Opaque reasoning of an assistant message, which the provider wants back as it was; see
    /// [`StreamEvent::ReasoningOpaque`](crate::StreamEvent::ReasoningOpaque).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasoning_opaque: Vec<Value>,
}

impl Message {
    /// Makes a message of one speaker with these parts.
    pub fn new(role: Role, content: impl IntoIterator<Item = Part>) -> Self {
        Self {
            role,
            content: content.into_iter().collect(),
            tool_calls: Vec::new(),
            tool_call_id: None,
            is_error: false,
            name: None,
            reasoning_opaque: Vec::new(),
        }
    }

    /// Makes a system message.
    pub fn system(text: impl Into<String>) -> Self {
        Self::new(Role::System, [Part::Text(text.into())])
    }

    /// Makes a developer message: what newer models of OpenAI take in the place of a system message.
    pub fn developer(text: impl Into<String>) -> Self {
        Self::new(Role::Developer, [Part::Text(text.into())])
    }

    /// Makes a user message.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new(Role::User, [Part::Text(text.into())])
    }

    /// Makes an assistant message.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::new(Role::Assistant, [Part::Text(text.into())])
    }

    /// Makes a message with the result of a tool call.
    pub fn tool(call_id: impl Into<String>, result: impl Into<String>) -> Self {
        Self {
            tool_call_id: Some(call_id.into()),
            ..Self::new(Role::Tool, [Part::Text(result.into())])
        }
    }

    /// Makes a message that says how a tool call failed.
    pub fn tool_error(call_id: impl Into<String>, error: impl Into<String>) -> Self {
        Self {
            is_error: true,
            ..Self::tool(call_id, error)
        }
    }

    /// Adds a part.
    #[must_use]
    pub fn with_part(mut self, part: Part) -> Self {
        self.content.push(part);
        self
    }

    /// Adds the tools that the message calls.
    #[must_use]
    pub fn with_tool_calls(mut self, calls: impl IntoIterator<Item = ToolCall>) -> Self {
        self.tool_calls.extend(calls);
        self
    }

    /// Names the speaker.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Who speaks in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Sets the rules of the conversation.
    System,
    /// Sets the rules of the conversation for newer models of OpenAI.
    Developer,
    /// Asks.
    User,
    /// Answers: the model.
    Assistant,
    /// Gives the result of a tool call.
    Tool,
}

impl Role {
    /// Returns the role as it stands on the wire of OpenAI.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One part of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Part {
    /// Text.
    Text(String),
    /// An image.
    Image(Image),
}

impl From<&str> for Part {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// An image in a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Image {
    /// Where it is.
    pub source: ImageSource,
    /// How closely the model is to look: `low`, `high` or `auto` for OpenAI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Image {
    /// Makes an image that the provider fetches from an address.
    pub fn url(url: impl Into<String>) -> Self {
        Self {
            source: ImageSource::Url(url.into()),
            detail: None,
        }
    }

    /// Makes an image of base64 text.
    pub fn base64(media_type: impl Into<String>, data: impl Into<String>) -> Self {
        Self {
            source: ImageSource::Base64 {
                media_type: media_type.into(),
                data: data.into(),
            },
            detail: None,
        }
    }

    /// Says how closely the model is to look.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ImageSource {
    /// At an address.
    Url(String),
    /// In the request.
    Base64 {
        /// Its type, such as `image/png`.
        media_type: String,
        /// Its bytes in base64.
        data: String,
    },
}

/// A call of a tool, as the model asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolCall {
    /// The id that the answer must name. If the provider gave none, it is `call_` and the number of the call's slot.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments, as the text that the model wrote: mostly, but not always, a JSON object.
    pub arguments: String,
}

impl ToolCall {
    /// Makes a call.
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
        }
    }

    /// Reads the arguments as JSON. An empty text and `null` are an empty object: models and providers write them for
    /// a call without arguments.
    ///
    /// # Errors
    ///
    /// [`InvalidArguments`] if the model wrote something else than JSON.
    pub fn parse_arguments(&self) -> Result<Value, InvalidArguments> {
        if matches!(self.arguments.trim(), "" | "null") {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        serde_json::from_str(&self.arguments).map_err(|source| InvalidArguments {
            tool: self.name.clone(),
            source,
        })
    }
}

/// The arguments of a tool call are not JSON.
#[derive(Debug, thiserror::Error)]
#[error("the arguments of a call of tool `{tool}` are not JSON")]
#[non_exhaustive]
pub struct InvalidArguments {
    /// The tool.
    pub tool: String,
    /// What the JSON parser said.
    pub source: serde_json::Error,
}
