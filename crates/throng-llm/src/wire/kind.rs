//! Which wires there are.

use std::fmt;

/// A provider's way of putting requests and answers into bytes. Behind each wire stands what a call adds to the base URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Wire {
    /// OpenAI's Chat Completions, which most other servers speak as well: `/chat/completions`.
    OpenAiChat,
    /// OpenAI's Responses: `/responses`.
    OpenAiResponses,
    /// Anthropic's Messages: `/messages`.
    Anthropic,
    /// Gemini's `generateContent` and `streamGenerateContent`: `/models/MODEL:streamGenerateContent?alt=sse`.
    ///
    /// A thought signature is given as [`ReasoningOpaque`](crate::StreamEvent::ReasoningOpaque), an object with the
    /// members `type` (`thought_signature`), `signature`, and one that says which part it signs: `text`, the bytes
    /// `[from, to]` of the answer's text; `call`, the id of a tool call; or `thought`, true for reasoning. A signature
    /// that comes alone signs what came before it. In the next turn it goes back on that part.
    ///
    /// Code that the server runs, and its results, are given as [`Unknown`](crate::StreamEvent::Unknown).
    Gemini,
    /// Ollama's own `/api/chat`: `/api/chat`.
    Ollama,
}

impl Wire {
    /// Every wire.
    pub const ALL: [Self; 5] = [
        Self::OpenAiChat,
        Self::OpenAiResponses,
        Self::Anthropic,
        Self::Gemini,
        Self::Ollama,
    ];

    /// Returns the wire's name: `openai-chat`, `openai-responses`, `anthropic`, `gemini` or `ollama`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai-chat",
            Self::OpenAiResponses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }

    /// Returns the address of the wire's inventor, below which its calls lie.
    pub const fn base_url(self) -> &'static str {
        match self {
            Self::OpenAiChat | Self::OpenAiResponses => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com/v1",
            Self::Gemini => "https://generativelanguage.googleapis.com/v1beta",
            Self::Ollama => "http://127.0.0.1:11434",
        }
    }

    /// Returns the feature of this crate that brings the wire's requests.
    #[cfg(feature = "http")]
    pub(crate) const fn feature(self) -> &'static str {
        match self {
            Self::OpenAiChat | Self::OpenAiResponses => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }

    /// Returns the wire of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|wire| wire.as_str() == name)
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
