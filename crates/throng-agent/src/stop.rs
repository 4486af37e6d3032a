//! Why a run of an agent ended.

use std::fmt;

use throng_llm::{FinishReason, LlmError};

/// Why a run of an agent ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stop {
    /// The model answered without calling a tool.
    Answered,
    /// The model refused.
    Refused,
    /// The answer was cut, by its token limit or a filter. The tools that it calls were not run.
    Cut(FinishReason),
    /// The model gave as many answers as it may.
    MaxSteps,
    /// The time is over.
    MaxTime,
    /// The answers have used up the tokens.
    MaxTokens,
    /// The answers have used up the money.
    MaxCost,
    /// The answer calls more tools than the run has left.
    MaxToolCalls,
    /// The caller cancelled the run.
    Cancelled,
    /// The model could not be asked, or a retry did not help.
    Failed(LlmError),
    /// The call of the model panicked; the text is the panic's message.
    Panicked(String),
}

impl Stop {
    /// Returns true if the model came to its end by itself.
    pub const fn is_answered(&self) -> bool {
        matches!(self, Self::Answered)
    }

    /// Returns true if a limit of [`Limits`](crate::Limits) ended the run.
    pub const fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::MaxSteps | Self::MaxTime | Self::MaxTokens | Self::MaxCost | Self::MaxToolCalls
        )
    }

    /// Returns the reason as it stands in machine output: `answered`, `max_steps` and so on.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Cut(_) => "cut",
            Self::MaxSteps => "max_steps",
            Self::MaxTime => "max_time",
            Self::MaxTokens => "max_tokens",
            Self::MaxCost => "max_cost",
            Self::MaxToolCalls => "max_tool_calls",
            Self::Cancelled => "cancelled",
            Self::Failed(_) => "failed",
            Self::Panicked(_) => "panicked",
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered => f.write_str("the model answered"),
            Self::Refused => f.write_str("the model refused"),
            Self::Cut(reason) => write!(f, "the answer was cut: {reason}"),
            Self::MaxSteps => f.write_str("the limit of steps was reached"),
            Self::MaxTime => f.write_str("the limit of time was reached"),
            Self::MaxTokens => f.write_str("the limit of tokens was reached"),
            Self::MaxCost => f.write_str("the limit of cost was reached"),
            Self::MaxToolCalls => f.write_str("the limit of tool calls was reached"),
            Self::Cancelled => f.write_str("the run was cancelled"),
            Self::Failed(error) => write!(f, "the model could not be asked: {error}"),
            Self::Panicked(message) => write!(f, "the call of the model panicked: {message}"),
        }
    }
}
