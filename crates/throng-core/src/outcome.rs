//! How a job ended. A job ends in exactly one outcome, and the outcome is data: `Err` of a run means that the run
//! itself could not go on.

use std::fmt;

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome<T, E> {
    /// An attempt returned a value.
    Succeeded(T),
    /// The last attempt returned this error, and no further attempt was allowed.
    Failed(E),
    /// A time limit ended the last attempt.
    TimedOut(TimeoutKind),
    /// The run was cancelled, drained, aborted or dropped before the job could end.
    Cancelled,
    /// The job panicked; the text is the panic's message, cut at 1 KiB.
    Panicked(String),
    /// The executor refused the job in favour of others because it had too much to do.
    Shed,
    /// The job never began, because the run's deadline had passed.
    Skipped,
}

impl<T, E> Outcome<T, E> {
    /// Returns which of the outcomes this is, without its data.
    pub const fn kind(&self) -> OutcomeKind {
        match self {
            Self::Succeeded(_) => OutcomeKind::Succeeded,
            Self::Failed(_) => OutcomeKind::Failed,
            Self::TimedOut(_) => OutcomeKind::TimedOut,
            Self::Cancelled => OutcomeKind::Cancelled,
            Self::Panicked(_) => OutcomeKind::Panicked,
            Self::Shed => OutcomeKind::Shed,
            Self::Skipped => OutcomeKind::Skipped,
        }
    }

    /// Returns true if an attempt returned a value.
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Succeeded(_))
    }

    /// Returns the value of a job that succeeded.
    pub fn success(self) -> Option<T> {
        match self {
            Self::Succeeded(value) => Some(value),
            _ => None,
        }
    }

    /// Returns a reference to the value of a job that succeeded.
    pub const fn as_success(&self) -> Option<&T> {
        match self {
            Self::Succeeded(value) => Some(value),
            _ => None,
        }
    }

    /// Turns the value of a job that succeeded into another; every other outcome stays as it is.
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Outcome<U, E> {
        match self {
            Self::Succeeded(value) => Outcome::Succeeded(map(value)),
            Self::Failed(error) => Outcome::Failed(error),
            Self::TimedOut(kind) => Outcome::TimedOut(kind),
            Self::Cancelled => Outcome::Cancelled,
            Self::Panicked(message) => Outcome::Panicked(message),
            Self::Shed => Outcome::Shed,
            Self::Skipped => Outcome::Skipped,
        }
    }
}

/// Which outcome a job had, without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum OutcomeKind {
    /// See [`Outcome::Succeeded`].
    Succeeded,
    /// See [`Outcome::Failed`].
    Failed,
    /// See [`Outcome::TimedOut`].
    TimedOut,
    /// See [`Outcome::Cancelled`].
    Cancelled,
    /// See [`Outcome::Panicked`].
    Panicked,
    /// See [`Outcome::Shed`].
    Shed,
    /// See [`Outcome::Skipped`].
    Skipped,
}

impl OutcomeKind {
    /// Every kind, in the order in which reports list them.
    pub const ALL: [Self; 7] = [
        Self::Succeeded,
        Self::Failed,
        Self::TimedOut,
        Self::Cancelled,
        Self::Panicked,
        Self::Shed,
        Self::Skipped,
    ];

    /// Returns the kind as it stands in machine output: `succeeded`, `timed_out` and so on.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Panicked => "panicked",
            Self::Shed => "shed",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which time limit ended an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum TimeoutKind {
    /// The time allowed for one attempt.
    Attempt,
    /// The instant by which the whole run had to end.
    Deadline,
}

impl fmt::Display for TimeoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Attempt => "attempt timeout",
            Self::Deadline => "run deadline",
        })
    }
}
