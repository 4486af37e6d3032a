//! How a call ended. Every call of a plan has exactly one result.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use throng_core::OutcomeKind;

use crate::ToolError;

/// How a call of a plan ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallResult {
    /// The id of the call.
    pub id: Arc<str>,
    /// The tool.
    pub name: Arc<str>,
    /// How it ended.
    pub outcome: CallOutcome,
    /// How many attempts began, those of an earlier run of the plan included.
    pub attempts: u32,
    /// When the first attempt began, as the time since the plan began. `None` if none did in this run.
    pub started: Option<Duration>,
    /// When it ended, as the time since the plan began.
    pub ended: Duration,
    /// How long its attempts took together.
    pub work: Duration,
    /// Where the outcome comes from.
    pub source: Source,
}

/// Where the outcome of a call comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// From its own attempts, or from the lack of them.
    #[default]
    Own,
    /// From an equal call of the plan that was running already.
    Shared,
    /// From the cache of results.
    Cache,
    /// From the journal: it ended in an earlier run of the plan.
    Journal,
}

/// How a call ended, with what it gave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallOutcome {
    /// The tool returned this.
    Succeeded(Value),
    /// The call failed, and no further attempt was allowed.
    Failed {
        /// Which failure.
        kind: FailureKind,
        /// Why.
        error: ToolError,
    },
    /// The time for an attempt was over, and no further attempt was allowed.
    TimedOut {
        /// How long the attempt was given.
        timeout: Duration,
        /// Whether it is unknown if the effect happened.
        outcome_unknown: bool,
    },
    /// The plan was cancelled, dropped or ended by the failure of another call before the call could end.
    Cancelled {
        /// The call whose failure ended the plan, if it was that.
        because: Option<Arc<str>>,
        /// Whether it is unknown if the effect happened.
        outcome_unknown: bool,
    },
    /// The tool panicked.
    Panicked {
        /// The panic's message, cut at 1 KiB.
        message: String,
        /// Whether it is unknown if the effect happened.
        outcome_unknown: bool,
    },
    /// A call that this one depends on has no result.
    Skipped {
        /// The call that failed, or the first of a cycle.
        because: Arc<str>,
        /// What is wrong with it.
        reason: String,
    },
}

/// Which failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The tool said so.
    Tool,
    /// The arguments are not what the tool's schema asks for, or a reference in them means nothing.
    InvalidArguments,
    /// There is no tool of that name.
    UnknownTool,
    /// It began in an earlier run, nothing is known of its end, and it must not be repeated.
    Interrupted,
    /// The journal could not be written, so that it did not begin.
    Journal,
}

impl FailureKind {
    /// Returns the kind as one word, for machine output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::InvalidArguments => "invalid_arguments",
            Self::UnknownTool => "unknown_tool",
            Self::Interrupted => "interrupted",
            Self::Journal => "journal",
        }
    }
}

impl CallOutcome {
    /// Returns which of the outcomes this is.
    pub const fn kind(&self) -> OutcomeKind {
        match self {
            Self::Succeeded(_) => OutcomeKind::Succeeded,
            Self::Failed { .. } => OutcomeKind::Failed,
            Self::TimedOut { .. } => OutcomeKind::TimedOut,
            Self::Cancelled { .. } => OutcomeKind::Cancelled,
            Self::Panicked { .. } => OutcomeKind::Panicked,
            Self::Skipped { .. } => OutcomeKind::Skipped,
        }
    }

    /// Returns true if the tool returned a value.
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Succeeded(_))
    }

    /// Returns the value of a call that succeeded.
    pub const fn value(&self) -> Option<&Value> {
        match self {
            Self::Succeeded(value) => Some(value),
            _ => None,
        }
    }

    /// Returns true if it is not known whether the effect happened.
    pub const fn outcome_unknown(&self) -> bool {
        match self {
            Self::Succeeded(_) | Self::Skipped { .. } => false,
            Self::Failed { error, .. } => error.outcome_unknown,
            Self::TimedOut { outcome_unknown, .. }
            | Self::Cancelled { outcome_unknown, .. }
            | Self::Panicked { outcome_unknown, .. } => *outcome_unknown,
        }
    }

    /// Returns what a model is told of a call without a value, or `None` if there is one.
    pub fn error_text(&self) -> Option<String> {
        let text = match self {
            Self::Succeeded(_) => return None,
            Self::Failed { error, .. } => error.message.clone(),
            Self::TimedOut { timeout, .. } => format!("timed out after {timeout:?}"),
            Self::Cancelled { because: None, .. } => "cancelled".to_owned(),
            Self::Cancelled {
                because: Some(id), ..
            } => format!("cancelled, because call `{id}` failed"),
            Self::Panicked { message, .. } => format!("the tool panicked: {message}"),
            Self::Skipped { because, reason } => format!("skipped, because call `{because}` {reason}"),
        };
        Some(if self.outcome_unknown() {
            format!("{text}; outcome unknown: it may or may not have had its effect")
        } else {
            text
        })
    }
}

impl CallResult {
    /// Returns the line that machine output has for the call, without its version.
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "outcome": self.outcome.kind().as_str(),
            "result": self.outcome.value(),
            "error": self.outcome.error_text(),
            "started_ms": self.started.map(milliseconds),
            "ended_ms": milliseconds(self.ended),
            "attempts": self.attempts,
        })
    }
}

/// Returns a time in milliseconds, to the microsecond.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1_000.0
}
