//! Why a call of a tool failed.

use std::error::Error;
use std::time::Duration;

use throng_core::{Classify, ErrorClass};

/// Why a call of a tool failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct ToolError {
    /// What the model is told.
    pub message: String,
    /// What the error means for a retry.
    pub class: ErrorClass,
    /// Whether it is unknown if the effect happened: the connection broke, the process was killed.
    pub outcome_unknown: bool,
}

impl ToolError {
    /// Makes an error that a repeated call would meet again.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            class: ErrorClass::Permanent,
            outcome_unknown: false,
        }
    }

    /// Makes an error that may pass.
    pub fn transient(message: impl Into<String>) -> Self {
        Self {
            class: ErrorClass::Transient,
            ..Self::permanent(message)
        }
    }

    /// Makes an error of a call that was refused, because there were too many: it certainly had no effect.
    pub fn throttled(message: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self {
            class: ErrorClass::Throttled { retry_after },
            ..Self::permanent(message)
        }
    }

    /// Makes an error of a call that was refused, because the other side has too much to do: it certainly had no effect.
    pub fn overloaded(message: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self {
            class: ErrorClass::Overloaded { retry_after },
            ..Self::permanent(message)
        }
    }

    /// Says that it is not known whether the effect happened.
    #[must_use]
    pub fn unknown_outcome(mut self) -> Self {
        self.outcome_unknown = true;
        self
    }

    /// Makes an error out of another: its text, with those of its sources after a colon each.
    pub fn from_error(error: &(impl Error + Classify)) -> Self {
        Self {
            message: chain(error),
            class: error.classify(),
            outcome_unknown: false,
        }
    }

    /// Returns true if the tool certainly did nothing: it was refused for a limit or overload.
    pub fn had_no_effect(&self) -> bool {
        self.class.is_pushback() && !self.outcome_unknown
    }
}

impl Classify for ToolError {
    fn classify(&self) -> ErrorClass {
        self.class
    }
}

/// Takes the text for a permanent error.
impl From<String> for ToolError {
    fn from(message: String) -> Self {
        Self::permanent(message)
    }
}

/// Takes the text for a permanent error.
impl From<&str> for ToolError {
    fn from(message: &str) -> Self {
        Self::permanent(message)
    }
}

impl From<std::io::Error> for ToolError {
    fn from(error: std::io::Error) -> Self {
        Self::from_error(&error)
    }
}

/// Takes the error for a permanent one.
impl From<serde_json::Error> for ToolError {
    fn from(error: serde_json::Error) -> Self {
        Self::permanent(error.to_string())
    }
}

/// Returns the text of an error and of its sources.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
