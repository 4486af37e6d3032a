//! Why a plan is none.

use std::fmt;

/// A plan cannot be read, or makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanError {
    /// The line, from 1, if the plan was read from text.
    pub line: Option<usize>,
    /// The column, from 1, counted in bytes.
    pub column: Option<usize>,
    /// The place in the plan, such as `calls[2].id`. Empty if it is the plan as a whole.
    pub place: String,
    /// What is wrong.
    pub problem: PlanProblem,
}

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanProblem {
    /// It has no calls.
    #[error("the plan has no calls; add at least one to `calls`")]
    Empty,
    /// It has too many calls.
    #[error("the plan has {calls} calls, more than the limit of {limit}; split it, or raise the limit")]
    TooManyCalls {
        /// How many it has.
        calls: usize,
        /// The most there may be.
        limit: usize,
    },
    /// Its text is too long.
    #[error("the plan has {bytes} bytes, more than the limit of {limit}; split it, or raise the limit")]
    TooManyBytes {
        /// How many it has.
        bytes: usize,
        /// The most there may be.
        limit: usize,
    },
    /// Two calls have one id.
    #[error("the id `{id}` is also that of calls[{first}]; give each call an id of its own")]
    DuplicateId {
        /// The id.
        id: String,
        /// The index of the call that had it first.
        first: usize,
    },
    /// An id cannot be one.
    #[error("{id:?} cannot be an id: it has to have 1 to 256 bytes and no control characters")]
    BadId {
        /// The text.
        id: String,
    },
    /// A call names no tool.
    #[error("the call `{id}` names no tool; set `name`")]
    NoTool {
        /// The id of the call.
        id: String,
    },
    /// A call depends on a call that is not in the plan.
    #[error("no call has the id `{id}`{}", nearest.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    UnknownId {
        /// The id.
        id: String,
        /// An id that looks like it.
        nearest: Option<String>,
    },
    /// The text has not the form of a plan.
    #[error("{message}")]
    Syntax {
        /// What is wrong, and what to do.
        message: String,
    },
}

impl PlanError {
    pub(super) fn at(place: impl Into<String>, problem: PlanProblem) -> Self {
        Self {
            line: None,
            column: None,
            place: place.into(),
            problem,
        }
    }

    pub(super) fn syntax(text: &str, offset: usize, message: impl Into<String>) -> Self {
        Self::at(
            "",
            PlanProblem::Syntax {
                message: message.into(),
            },
        )
        .in_text(text, offset)
    }

    /// Says where in the text it is.
    pub(super) fn in_text(mut self, text: &str, offset: usize) -> Self {
        let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
        let line_start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        self.line = Some(before.iter().filter(|&&byte| byte == b'\n').count() + 1);
        self.column = Some(before.len() - line_start + 1);
        self
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "line {line} column {column}: ")?;
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for PlanError {}
