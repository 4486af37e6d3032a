//! What happens during a run: one event for each transition, in one order per run.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::{ErrorClass, JobId, OutcomeKind, RunId};

/// One transition of a run. Events carry no job data, so that one sink serves runs of every type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The run.
    pub run: RunId,
    /// When it happened, as the time since the run began. Never goes back within a run.
    pub at: Duration,
    /// What happened.
    pub kind: EventKind,
}

impl Event {
    /// Makes an event.
    pub const fn new(run: RunId, at: Duration, kind: EventKind) -> Self {
        Self { run, at, kind }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// The run began.
    RunStarted,
    /// A job was taken from the input.
    JobAdmitted {
        /// The job.
        job: JobId,
    },
    /// An attempt took a permit and began.
    AttemptStarted {
        /// The job.
        job: JobId,
        /// Which try, from 1.
        attempt: NonZeroU32,
    },
    /// An attempt ended without a value and gave its permit back.
    AttemptFailed {
        /// The job.
        job: JobId,
        /// Which try, from 1.
        attempt: NonZeroU32,
        /// What the error means for a retry.
        class: ErrorClass,
    },
    /// The job waits for another attempt.
    RetryScheduled {
        /// The job.
        job: JobId,
        /// Which try will be next.
        attempt: NonZeroU32,
        /// How long it waits at least.
        delay: Duration,
    },
    /// The job gets no further attempt, because the retry budget of its key cannot pay for one.
    RetryRefused {
        /// The job.
        job: JobId,
    },
    /// A second attempt of the job began beside the first, which takes long.
    HedgeStarted {
        /// The job.
        job: JobId,
        /// Which try the second attempt is, from 2.
        attempt: NonZeroU32,
    },
    /// An attempt was dropped and gave its permit back, because another attempt of the job was first.
    AttemptDropped {
        /// The job.
        job: JobId,
        /// Which try, from 1.
        attempt: NonZeroU32,
    },
    /// The job goes on to a fallback step.
    FellBack {
        /// The job.
        job: JobId,
        /// Which step, from 1.
        step: u32,
    },
    /// No attempt of the key starts for a while.
    KeyPaused {
        /// The key; `None` for the jobs without one.
        key: Option<Arc<str>>,
        /// Until when, as the time since the run began.
        until: Duration,
    },
    /// The number of attempts of the key that may run at the same time changed.
    LimitChanged {
        /// The key; `None` for the jobs without one.
        key: Option<Arc<str>>,
        /// What it was.
        from: usize,
        /// What it is.
        to: usize,
        /// Why, in one or two words.
        cause: &'static str,
    },
    /// The circuit breaker of the key changed its state.
    BreakerChanged {
        /// The key; `None` for the jobs without one.
        key: Option<Arc<str>>,
        /// Its state now: `closed`, `open` or `half_open`.
        state: &'static str,
    },
    /// The number of attempts of the run that may run at the same time was changed.
    ConcurrencyChanged {
        /// What it is now.
        to: usize,
    },
    /// The job ended.
    JobFinished {
        /// The job.
        job: JobId,
        /// How many attempts it had; 0 if it never began.
        attempts: u32,
        /// How it ended.
        outcome: OutcomeKind,
    },
    /// No new attempt starts until the run is resumed.
    RunPaused,
    /// Attempts start again.
    RunResumed,
    /// No new job starts; running attempts go on to their end.
    RunDraining,
    /// The run was cancelled: running attempts were asked to stop.
    RunCancelled,
    /// Running attempts were dropped.
    RunAborted,
    /// Every admitted job has ended.
    RunFinished,
}

/// Takes the events of runs.
///
/// A sink is called from the tasks of the run, one event at a time and in order. It must be quick and must not
/// block; one that panics ends the run with an error.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn record(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> EventSink for F {
    fn record(&self, event: &Event) {
        self(event);
    }
}
