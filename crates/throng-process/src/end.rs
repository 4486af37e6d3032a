//! How a child ended, and what it left.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use crate::{Captured, LimitKind, signal};

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It exited by itself.
    Exited {
        /// Its exit code; 0 is success.
        code: i32,
    },
    /// A signal that was not ours ended it.
    Signalled {
        /// The number of the signal.
        signal: i32,
    },
    /// It reached a limit of [`Limits`](crate::Limits). A program that handles the signal, or takes the failed
    /// allocation for an ordinary error, ends as [`End::Exited`].
    LimitHit {
        /// Which one.
        limit: LimitKind,
    },
    /// Its time was up, and it was made to end.
    TimedOut {
        /// Whether it had to be killed, because it did not end at the signals that ask.
        killed: bool,
    },
    /// Its caller wanted it to stop, and it was made to end.
    Stopped {
        /// Whether it had to be killed, because it did not end at the signals that ask.
        killed: bool,
    },
}

impl End {
    /// Returns true if the child exited with code 0.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Exited { code: 0 })
    }

    pub(crate) fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited { code },
            // A status that is neither is that of a process that goes on, which waiting never gives.
            (None, signal) => Self::Signalled {
                signal: signal.unwrap_or_default(),
            },
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = |killed: bool| if killed { ", and was killed" } else { "" };
        match *self {
            Self::Exited { code } => write!(f, "exited with code {code}"),
            Self::Signalled { signal } => match signal::name(signal) {
                Some(name) => write!(f, "was ended by signal {signal} ({name})"),
                None => write!(f, "was ended by signal {signal}"),
            },
            Self::LimitHit { limit } => write!(f, "was ended by its limit on {limit}"),
            Self::TimedOut { killed } => write!(f, "ran out of time{}", how(killed)),
            Self::Stopped { killed } => write!(f, "was stopped{}", how(killed)),
        }
    }
}

/// What a child left behind when it ended. It has been killed as far as it was in the child's group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leak {
    /// Whether a process that it started still held its output open. Output of that process may be missing.
    pub pipes: bool,
    /// The processes that still ran in its group, each as `name (id)`. Known on Linux only.
    pub processes: Vec<String>,
}

/// A child that ended, and what it wrote.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finished {
    /// How it ended.
    pub end: End,
    /// The status that the system gave: also of a child that was made to end.
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub stdout: Captured,
    /// What it wrote to its standard error.
    pub stderr: Captured,
    /// What it left behind, if anything.
    pub leak: Option<Leak>,
    /// From its start until it was waited for.
    pub elapsed: Duration,
}
