//! What the plans of an executor come to.

use std::time::Duration;

use crate::PlanReport;

/// What the plans of an executor come to that have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ExecutorStats {
    /// How many plans have ended.
    pub plans: u64,
    /// How many calls they had.
    pub calls: u64,
    /// How many of the calls succeeded.
    pub succeeded: u64,
    /// How long they took, on average.
    pub average_time: Duration,
    /// Their overlap, on average.
    pub average_overlap: f64,
    /// The part of the calls that succeeded; 1 if there was none.
    pub success_rate: f64,
}

#[derive(Debug, Default)]
pub(super) struct Totals {
    plans: u64,
    calls: u64,
    succeeded: u64,
    time: Duration,
    overlap: f64,
}

impl Totals {
    pub(super) fn add(&mut self, report: &PlanReport) {
        let succeeded = report.results.iter().filter(|result| result.outcome.is_success());
        self.plans += 1;
        self.calls += report.results.len() as u64;
        self.succeeded += succeeded.count() as u64;
        self.time += report.total;
        self.overlap += report.overlap();
    }

    pub(super) fn stats(&self) -> ExecutorStats {
        let plans = u32::try_from(self.plans).unwrap_or(u32::MAX).max(1);
        ExecutorStats {
            plans: self.plans,
            calls: self.calls,
            succeeded: self.succeeded,
            average_time: self.time / plans,
            average_overlap: self.overlap / f64::from(plans),
            success_rate: if self.calls == 0 {
                1.0
            } else {
                self.succeeded as f64 / self.calls as f64
            },
        }
    }
}
