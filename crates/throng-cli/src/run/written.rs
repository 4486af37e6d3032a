//! What became of the records of a run, counted as their jobs end. Every record that was read is in one of the counts.

use std::time::Duration;

use throng_core::{Outcome, OutcomeKind};
use throng_llm::ErrorKind;

use super::errors::Errors;
use super::keys::{Counts, KeyCounts};
use crate::output::FinishedTask;
use crate::vote::Failure;

/// What was read and not run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NotRun {
    /// Ids that had succeeded in the output before.
    pub(crate) already_done: u64,
    /// Wrong records that were left out.
    pub(crate) invalid: u64,
    /// Good records that no call was made for, because the run stopped before.
    pub(crate) not_started: u64,
}

/// What became of the lines of a run.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Result lines that were written.
    pub(crate) lines: u64,
    /// Answers that could not be written.
    pub(crate) lost: u64,
    /// What jobs failed with.
    pub(crate) errors: Errors,
    /// Jobs that the executor took and that ended before their first attempt.
    pub(crate) never_began: NeverBegan,
    /// How the others ended, copies included.
    pub(crate) counts: Counts,
    /// The same for each key.
    pub(crate) keys: KeyCounts,
    /// Records that got the answer of an equal one.
    pub(crate) copies: u64,
    /// Agents that votes asked, and those that they did not ask.
    pub(crate) votes: (u64, u64),
}

impl Written {
    /// Returns how many jobs have ended, those included that never began.
    pub(crate) fn ended(&self) -> u64 {
        self.counts.sum() + self.never_began.count()
    }
}

/// Returns true for a job that ended because enough was spent.
fn is_unsent(finished: &FinishedTask) -> bool {
    match &finished.outcome {
        Outcome::Failed(Failure::Call(error)) => *error.kind() == ErrorKind::CostLimit,
        _ => false,
    }
}

/// Jobs without an attempt: they have no line, and count as not started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NeverBegan {
    count: u64,
    /// How long they had waited, which is no part of where the time of the jobs went.
    pub(crate) queued: Duration,
    pub(crate) throttled: Duration,
}

impl NeverBegan {
    /// Takes a job that has ended; false if it had an attempt, or is the copy of one that had.
    pub(crate) fn take(&mut self, finished: &FinishedTask) -> bool {
        let poll = finished
            .input
            .poll
            .as_ref()
            .filter(|_| finished.same_as.is_none());
        let attempts = poll.map_or(finished.attempts, |poll| poll.attempts());
        let stopped = match finished.outcome.kind() {
            OutcomeKind::Cancelled | OutcomeKind::Skipped => true,
            // A vote that the deadline ended before its first call.
            OutcomeKind::TimedOut => poll.is_some(),
            // It was not sent, because enough was spent.
            OutcomeKind::Failed if finished.errors.is_empty() && is_unsent(finished) => {
                self.count += 1;
                return true;
            }
            _ => false,
        };
        if attempts > 0 || !stopped {
            return false;
        }
        self.count += 1;
        self.queued += finished.timing.queued;
        self.throttled += finished.timing.throttled;
        true
    }

    /// Returns how many there were.
    pub(crate) const fn count(self) -> u64 {
        self.count
    }
}
