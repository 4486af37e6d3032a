//! What is recorded, as plain data. Instants are milliseconds since the Unix epoch, UTC, and the caller's; lengths of
//! time are kept to the microsecond.

use std::fmt;
use std::time::Duration;

use throng_core::{OutcomeKind, RunId};

/// One plan of tool calls that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolBatch {
    /// The session that the plan belongs to; empty for none.
    pub session: String,
    /// The name of the plan; empty for none.
    pub plan: String,
    /// When it began.
    pub started_ms: i64,
    /// From the begin of the plan to its end.
    pub wall: Duration,
    /// The sum of the measured times of all attempts.
    pub work: Duration,
    /// Whether every call succeeded, or the caller's own judgement.
    pub success: bool,
    /// The calls, in the order of the plan.
    pub calls: Vec<ToolCallRecord>,
}

impl ToolBatch {
    /// Returns the measured sum of work divided by the wall time; `None` if no time passed.
    pub fn overlap(&self) -> Option<f64> {
        overlap(self.work, self.wall)
    }
}

/// One tool call of a [`ToolBatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCallRecord {
    /// The id that the plan gave it.
    pub id: String,
    /// The tool.
    pub tool: String,
    /// How it ended.
    pub outcome: OutcomeKind,
    /// From the begin of the plan to that of the call's first attempt.
    pub started: Duration,
    /// From the begin of the plan to the end of the call.
    pub ended: Duration,
    /// How many attempts it had; 0 if it never began.
    pub attempts: u32,
    /// Why it did not succeed. Cut at 4 KiB.
    pub error: Option<String>,
}

/// One figure that a session measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The session; empty for none.
    pub session: String,
    /// The name, such as `parallel_overlap`.
    pub name: String,
    /// The value; a finite number.
    pub value: f64,
    /// The unit, such as `x` or `ms`.
    pub unit: String,
    /// When it was measured.
    pub at_ms: i64,
}

/// A run of jobs that has ended, for callers that have its figures and not its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// The id of the run, if it has one. A run is recorded once: a second record of the id replaces the figures.
    pub run: Option<RunId>,
    /// What kind of run it was, such as `run` or `vote`.
    pub command: String,
    /// The session; empty for none.
    pub session: String,
    /// When it began.
    pub started_ms: i64,
    /// From its begin to its end.
    pub wall: Duration,
    /// The sum of the measured times of all attempts.
    pub work: Duration,
    /// How many attempts it had.
    pub attempts: u64,
    /// How many jobs ended in which way.
    pub outcomes: Vec<(OutcomeKind, u64)>,
}

/// The latest results of something, as text that its caller can read: JSON, as a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultRecord {
    /// What they are results of.
    pub kind: ResultKind,
    /// What they belong to, such as a suite or a test; empty for none.
    pub key: String,
    /// When they came about.
    pub at_ms: i64,
    /// The results.
    pub body: String,
}

/// What a [`ResultRecord`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ResultKind {
    /// The results of a run of tests; kept for 24 hours.
    TestRun,
    /// What a search for flaky tests found; kept for 7 days.
    FlakyResult,
}

impl ResultKind {
    pub(crate) const fn as_str(self) -> &'static str {
        self.kind().as_str()
    }

    /// Returns the kind among all kinds of data.
    pub const fn kind(self) -> Kind {
        match self {
            Self::TestRun => Kind::TestRun,
            Self::FlakyResult => Kind::FlakyResult,
        }
    }
}

/// The kinds of data in a store. Each has its own retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Runs of jobs, with their jobs and attempts.
    Run,
    /// Plans of tool calls, with their calls.
    ToolBatch,
    /// Figures that sessions measured.
    Metric,
    /// Journals of runs with effects.
    Journal,
    /// Results of test runs.
    TestRun,
    /// Results of searches for flaky tests.
    FlakyResult,
}

impl Kind {
    /// Every kind, in the order in which reports list them.
    pub const ALL: [Self; 6] = [
        Self::Run,
        Self::ToolBatch,
        Self::Metric,
        Self::Journal,
        Self::TestRun,
        Self::FlakyResult,
    ];

    /// Returns the kind as it is written: `run`, `tool-batch` and so on.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::ToolBatch => "tool-batch",
            Self::Metric => "metric",
            Self::Journal => "journal",
            Self::TestRun => "test-run",
            Self::FlakyResult => "flaky-result",
        }
    }

    /// Returns the kind that is written so.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Returns the measured sum of work divided by the wall time; `None` if no time passed.
pub(crate) fn overlap(work: Duration, wall: Duration) -> Option<f64> {
    (!wall.is_zero()).then(|| work.as_secs_f64() / wall.as_secs_f64())
}

/// Returns a length of time in microseconds, as SQLite keeps it.
pub(crate) fn us(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Reads what [`us`] wrote.
pub(crate) fn from_us(us: i64) -> Duration {
    Duration::from_micros(u64::try_from(us).unwrap_or(0))
}
