//! What a stream of an answer consists of.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use throng_core::Usage;

use crate::{RateLimits, ToolCall};

/// One step of an answer.
///
/// A stream of events keeps these laws:
///
/// 1. It ends with exactly one [`Finished`](Self::Finished) or with exactly one error, and nothing follows.
/// 2. A body that ends before the provider's own sign of completion is an error.
/// 3. [`ToolCallEnd`](Self::ToolCallEnd) comes only for a call whose arguments are complete: one that was cut off by
///    the token limit has a start and fragments but no end.
/// 4. [`Usage`](Self::Usage) is a snapshot: a later one replaces an earlier one.
/// 5. The events do not depend on how the bytes were split on their way.
/// 6. Folding the events gives what the answer in one piece would have said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StreamEvent {
    /// The provider began to answer. Comes before all others but [`KeepAlive`](Self::KeepAlive) and
    /// [`Unknown`](Self::Unknown).
    Started(Box<Started>),
    /// Some text of the answer; never empty.
    TextDelta(String),
    /// Some text of the model's reasoning; never empty.
    ReasoningDelta(String),
    /// A part of the reasoning that only the provider can read (signed or encrypted), to be sent back as it is with
    /// the next turn.
    ReasoningOpaque(Value),
    /// Some text with which the model refuses to answer; never empty.
    RefusalDelta(String),
    /// The model began to call a tool.
    ToolCallStart {
        /// Which call of the answer it is, from 0.
        slot: u32,
        /// The id of the call; see [`ToolCall::id`].
        id: String,
        /// The tool.
        name: String,
    },
    /// Some text of a call's arguments; never empty.
    ToolArgsDelta {
        /// Which call.
        slot: u32,
        /// The text.
        fragment: String,
    },
    /// The arguments of a call are complete.
    ToolCallEnd {
        /// Which call.
        slot: u32,
        /// The whole call.
        call: ToolCall,
    },
    /// The tokens used so far. Replaces what was said before.
    Usage(Usage),
    /// The provider is alive but sent nothing of the answer.
    KeepAlive,
    /// The provider sent something that this crate does not know.
    Unknown {
        /// What it sent.
        raw: String,
    },
    /// The answer is complete. The last event.
    Finished {
        /// Why the model stopped.
        finish: FinishReason,
        /// The tokens that the call used, as far as the provider said.
        usage: Usage,
    },
}

impl StreamEvent {
    /// Returns true for an event that carries something of the answer. Only these feed the content clocks, and after
    /// one of them a call cannot be repeated unseen.
    pub const fn is_content(&self) -> bool {
        matches!(
            self,
            Self::TextDelta(_)
                | Self::ReasoningDelta(_)
                | Self::ReasoningOpaque(_)
                | Self::RefusalDelta(_)
                | Self::ToolCallStart { .. }
                | Self::ToolArgsDelta { .. }
                | Self::ToolCallEnd { .. }
        )
    }

    /// Returns how many bytes of the answer's text the event carries.
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::TextDelta(text) | Self::ReasoningDelta(text) | Self::RefusalDelta(text) => text.len(),
            Self::ToolArgsDelta { fragment, .. } => fragment.len(),
            _ => 0,
        }
    }
}

/// What a provider said when it began to answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Started {
    /// The answer's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The model that answers; may name a version that the request did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The request's id in the provider's logs, from the headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The rate limits, from the headers.
    #[serde(skip_serializing_if = "RateLimits::is_empty")]
    pub limits: RateLimits,
    /// Whether the answer comes from a [`Cache`](crate::Cache): it cost nothing, and its limits are empty.
    #[serde(skip_serializing_if = "is_false")]
    pub cached: bool,
}

impl Started {
    /// Makes what is said of an answer of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the answer's id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the model.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Sets the request's id.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<String>) -> Self {
        self.request_id = Some(id.into());
        self
    }

    /// Sets the rate limits.
    #[must_use]
    pub fn with_limits(mut self, limits: RateLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Says that the answer comes from a cache, which takes the rate limits away: they are those of another time.
    #[must_use]
    pub fn from_cache(mut self) -> Self {
        self.cached = true;
        self.limits = RateLimits::default();
        self
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Why a model stopped.
///
/// Serialized as its text: see [`as_str`](Self::as_str).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum FinishReason {
    /// It had said everything, or came to a stop text.
    Stop,
    /// It used up the tokens that it was allowed: the answer is cut.
    Length,
    /// It waits for the results of tools. Also given if a provider says `stop` after calling tools.
    ToolCalls,
    /// The provider's filter held something back.
    ContentFilter,
    /// The model refused.
    Refusal,
    /// The provider paused a long turn; the same messages with the answer so far go on with it.
    Pause,
    /// The answer filled the model's context: it is cut.
    ContextOverflow,
    /// Something else, in the provider's words.
    Other(String),
}

impl FinishReason {
    /// Reads what a provider says, of any wire.
    pub fn from_wire(text: &str) -> Self {
        match text {
            "stop" | "end_turn" | "stop_sequence" | "STOP" => Self::Stop,
            "length" | "max_tokens" | "max_output_tokens" | "MAX_TOKENS" => Self::Length,
            "tool_calls" | "tool_use" | "function_call" => Self::ToolCalls,
            "content_filter"
            | "SAFETY"
            | "RECITATION"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION" => Self::ContentFilter,
            "refusal" => Self::Refusal,
            "pause_turn" => Self::Pause,
            "model_context_window_exceeded" => Self::ContextOverflow,
            other => match other.to_ascii_lowercase().as_str() {
                "stop" => Self::Stop,
                "length" | "max_tokens" => Self::Length,
                "tool_calls" => Self::ToolCalls,
                "content_filter" => Self::ContentFilter,
                _ => Self::Other(other.to_owned()),
            },
        }
    }

    /// Returns true if the answer ends where the model did not mean to end it: what it was writing may be half.
    pub(crate) const fn is_cut(&self) -> bool {
        !matches!(self, Self::Stop | Self::ToolCalls | Self::Other(_))
    }

    /// Returns the reason in one word, OpenAI's where it has one.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Refusal => "refusal",
            Self::Pause => "pause_turn",
            Self::ContextOverflow => "model_context_window_exceeded",
            Self::Other(text) => text,
        }
    }
}

impl From<String> for FinishReason {
    fn from(text: String) -> Self {
        Self::from_wire(&text)
    }
}

impl From<FinishReason> for String {
    fn from(reason: FinishReason) -> Self {
        match reason {
            FinishReason::Other(text) => text,
            known => known.as_str().to_owned(),
        }
    }
}

impl fmt::Display for FinishReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
