//! Which shapes there are, and how they are told apart.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// A provider's way of writing tool calls and their results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Shape {
    /// OpenAI's Chat Completions.
    OpenAiChat,
    /// OpenAI's Responses.
    OpenAiResponses,
    /// Anthropic's Messages.
    Anthropic,
    /// Gemini's `generateContent`.
    Gemini,
    /// Ollama's `/api/chat`.
    Ollama,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 5] = [
        Self::OpenAiChat,
        Self::OpenAiResponses,
        Self::Anthropic,
        Self::Gemini,
        Self::Ollama,
    ];

    /// Returns the name: `openai-chat`, `openai-responses`, `anthropic`, `gemini` or `ollama`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai-chat",
            Self::OpenAiResponses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }

    /// Returns the shape of a response, or of the part of it that goes back in the next request: a message (Chat,
    /// Anthropic, Ollama), a list of items (Responses), or a content (Gemini). `None` if it is none of these.
    pub fn detect(answer: &Value) -> Option<Self> {
        let has_type = |value: &Value, types: &[&str]| {
            value
                .get("type")
                .and_then(Value::as_str)
                .is_some_and(|kind| types.contains(&kind))
        };
        if let Some(items) = answer.as_array() {
            let is_item = |item: &Value| {
                has_type(
                    item,
                    &["function_call", "custom_tool_call", "reasoning", "message"],
                )
            };
            return (!items.is_empty() && items.iter().any(is_item)).then_some(Self::OpenAiResponses);
        }
        let has = |name: &str| answer.get(name).is_some_and(|value| !value.is_null());
        if has("candidates") || has("parts") {
            Some(Self::Gemini)
        } else if has("choices") {
            Some(Self::OpenAiChat)
        } else if has("output") {
            Some(Self::OpenAiResponses)
        } else if answer.get("message").is_some_and(Value::is_object) {
            Some(Self::Ollama)
        } else if let Some(calls) = answer.get("tool_calls").and_then(Value::as_array) {
            // Ollama gives arguments as an object, and no type.
            let first = calls.first();
            let is_object = first
                .and_then(|call| call.pointer("/function/arguments"))
                .is_some_and(Value::is_object);
            Some(if is_object { Self::Ollama } else { Self::OpenAiChat })
        } else if answer.get("content").is_some_and(Value::is_array) {
            Some(Self::Anthropic)
        } else if has("role") && has("content") {
            Some(Self::OpenAiChat)
        } else {
            None
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Shape {
    type Err = UnknownShape;

    fn from_str(text: &str) -> Result<Self, UnknownShape> {
        Self::ALL
            .into_iter()
            .find(|shape| shape.as_str() == text)
            .ok_or_else(|| UnknownShape(text.to_owned()))
    }
}

/// A text names no [`Shape`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of `openai-chat`, `openai-responses`, `anthropic`, `gemini`, `ollama`")]
pub struct UnknownShape(String);
