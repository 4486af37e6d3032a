//! What a plan came to: every result, and how well the calls overlapped.
//!
//! Every time is measured. A speed-up is given only where the plan has also run one call at a time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use throng_core::OutcomeKind;

use crate::result::milliseconds;
use crate::{CallResult, Dependencies};

/// What a plan came to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlanReport {
    /// The result of every call, in the order of emission.
    pub results: Vec<Arc<CallResult>>,
    /// The time from the beginning of the plan to its end.
    pub total: Duration,
    /// The calls by level: those of a level wait only for calls of levels before. A view, and not how they were run. Empty
    /// if the plan was cut while it was still being written.
    pub waves: Vec<Wave>,
    /// The ids of the chain of calls whose attempts took longest together.
    pub critical_path: Vec<Arc<str>>,
    /// How long the attempts of that chain took.
    pub critical_time: Duration,
    /// How long all attempts took together.
    pub work: Duration,
    /// How many attempts could run at the same time, if that was limited.
    pub limit: Option<u64>,
    /// How long the plan took when it ran one call at a time, if that was measured.
    pub sequential: Option<Duration>,
    /// Why the journal could not be written, if that ended the plan.
    pub journal_error: Option<String>,
    /// Whether the plan was cancelled, or ended by the failure of a call.
    pub cancelled: bool,
    /// Whether the caller wants the run to be kept.
    pub recorded: bool,
    /// The session that the plan belongs to.
    pub session: Option<Arc<str>>,
    /// What the caller carried through.
    pub metadata: Arc<Value>,
}

/// The calls of a level, and when they ran.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wave {
    /// The ids, in the order of emission.
    pub calls: Vec<Arc<str>>,
    /// When the first of them began, as the time since the plan began. `None` if none did.
    pub started: Option<Duration>,
    /// When the last of them ended.
    pub ended: Duration,
}

impl PlanReport {
    /// Returns true if every call succeeded.
    pub fn is_success(&self) -> bool {
        self.results.iter().all(|result| result.outcome.is_success())
    }

    /// Returns how many calls ran at the same time on average: the sum of the attempts' times, divided by the total. 0 if
    /// nothing ran.
    pub fn overlap(&self) -> f64 {
        ratio(self.work, self.total)
    }

    /// Returns the least time that any order of the same attempts takes within the limit: the longer of the critical path
    /// and the work divided by the limit.
    pub fn lower_bound(&self) -> Duration {
        let share = match self.limit {
            Some(limit) => self.work.div_f64(limit.max(1) as f64),
            None => Duration::ZERO,
        };
        self.critical_time.max(share)
    }

    /// Returns how many times as long the plan took one call at a time, if that was measured.
    pub fn speed_up(&self) -> Option<f64> {
        self.sequential.map(|sequential| ratio(sequential, self.total))
    }

    /// Returns the calls without a value, each with what a model is told.
    pub fn errors(&self) -> impl Iterator<Item = (&CallResult, String)> {
        self.results
            .iter()
            .filter_map(|result| Some((&**result, result.outcome.error_text()?)))
    }

    /// Returns how many calls had an outcome.
    pub fn count(&self, kind: OutcomeKind) -> usize {
        let of_kind = self.results.iter().filter(|result| result.outcome.kind() == kind);
        of_kind.count()
    }

    /// Returns the summary that machine output has, without its version. Times are in milliseconds.
    pub fn to_json(&self) -> Value {
        let waves = self.waves.iter().map(|wave| {
            json!({
                "calls": wave.calls,
                "started_ms": wave.started.map(milliseconds),
                "ended_ms": milliseconds(wave.ended),
            })
        });
        let mut outcomes = serde_json::Map::new();
        for kind in OutcomeKind::ALL {
            let n = self.count(kind);
            if n > 0 {
                outcomes.insert(kind.as_str().to_owned(), n.into());
            }
        }
        let mut summary = json!({
            "calls": self.results.len(),
            "outcomes": outcomes,
            "total_ms": milliseconds(self.total),
            "work_ms": milliseconds(self.work),
            "critical_path": self.critical_path,
            "critical_path_ms": milliseconds(self.critical_time),
            "lower_bound_ms": milliseconds(self.lower_bound()),
            "overlap": self.overlap(),
            "waves": waves.collect::<Vec<_>>(),
            "session": self.session,
            "metadata": &*self.metadata,
        });
        let errors = self
            .errors()
            .map(|(result, text)| json!({ "id": result.id, "error": text }));
        if let Value::Object(summary) = &mut summary {
            summary.insert("errors".to_owned(), errors.collect());
            if let (Some(sequential), Some(speed_up)) = (self.sequential, self.speed_up()) {
                summary.insert("sequential_ms".to_owned(), milliseconds(sequential).into());
                summary.insert("speed_up".to_owned(), speed_up.into());
            }
        }
        summary
    }
}

/// What a report is made of.
pub(crate) struct Input<'a> {
    pub(crate) results: Vec<Arc<CallResult>>,
    pub(crate) dependencies: Option<&'a Dependencies>,
    pub(crate) total: Duration,
    pub(crate) limit: Option<u64>,
    pub(crate) sequential: Option<Duration>,
    pub(crate) journal_error: Option<String>,
    pub(crate) cancelled: bool,
    pub(crate) recorded: bool,
    pub(crate) session: Option<Arc<str>>,
    pub(crate) metadata: Arc<Value>,
}

/// Makes the report of a plan that has ended.
pub(crate) fn make(input: Input<'_>) -> PlanReport {
    let result = |call: u32| input.results.get(call as usize);
    let waves = input.dependencies.map(Dependencies::waves).unwrap_or_default();
    let waves = waves.into_iter().map(|calls| {
        let results = || calls.iter().filter_map(|&call| result(call));
        Wave {
            calls: results().map(|result| Arc::clone(&result.id)).collect(),
            started: results().filter_map(|result| result.started).min(),
            ended: results().map(|result| result.ended).max().unwrap_or_default(),
        }
    });
    let work_of = |call: u32| Some(result(call).map(|result| result.work).unwrap_or_default());
    let critical = input.dependencies.map(|of| of.critical_path_by(work_of));
    let critical = critical.unwrap_or_default();
    let on_path = || critical.iter().filter_map(|&call| result(call));
    PlanReport {
        waves: waves.collect(),
        critical_path: on_path().map(|result| Arc::clone(&result.id)).collect(),
        critical_time: on_path().map(|result| result.work).sum(),
        work: input.results.iter().map(|result| result.work).sum(),
        total: input.total,
        limit: input.limit,
        sequential: input.sequential,
        journal_error: input.journal_error,
        cancelled: input.cancelled,
        recorded: input.recorded,
        session: input.session,
        metadata: input.metadata,
        results: input.results,
    }
}

fn ratio(of: Duration, to: Duration) -> f64 {
    if to.is_zero() {
        0.0
    } else {
        of.as_secs_f64() / to.as_secs_f64()
    }
}
