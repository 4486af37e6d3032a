//! What the dispatcher knows of one admitted job. Its four times add up to the time since its admission.

use std::time::Duration;

use throng_core::{ErrorClass, JobId, TimeoutKind};

use crate::attempt::Reported;
use crate::rate::Tick;
use crate::{Cost, Priority, Timing};

/// One admitted job.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) job: JobId,
    pub(crate) key: u32,
    /// The fallback step of the next or present attempt; 0 is the job's own.
    pub(crate) step: u32,
    pub(crate) cost: Cost,
    /// `Tick::MAX` stands for none.
    pub(crate) timeout: Tick,
    pub(crate) priority: Priority,
    pub(crate) weight: u32,
    pub(crate) phase: Phase,
    pub(crate) hedge: Hedging,
    /// When the present phase began.
    pub(crate) since: Tick,
    /// The reading of the throttle clocks when the job last became ready.
    pub(crate) throttle_mark: Tick,
    pub(crate) attempts: u32,
    /// Attempts of this step that count against the retry policy's maximum: those that were not throttled.
    pub(crate) counted: u32,
    /// Attempts of this step that were refused without a word on when to come back.
    pub(crate) refusals: u32,
    /// How long the job has been throttled by the other side in this step, for the policy's patience.
    pub(crate) pushed_back: Tick,
    /// What the last retry or hedge cost the budget.
    pub(crate) paid: Option<u32>,
    /// How the last attempt ended, for a job that is closed while it waits for the next.
    pub(crate) last: Ending,
    pub(crate) reported: Reported,
    pub(crate) queued: Tick,
    pub(crate) throttled: Tick,
    pub(crate) backoff: Tick,
    pub(crate) running: Tick,
}

/// Where an admitted job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The slot belongs to no job.
    Free,
    /// Waits for a permit or for a rate.
    Ready,
    /// An attempt runs. If the flag is set, the run's deadline ends it before its own timeout would.
    Running { deadline_binds: bool, active: Active },
    /// Waits until the tick before it is ready again; if the flag is set, because it was throttled.
    Backoff { until: Tick, throttled: bool },
}

/// The second attempt of a job whose first takes long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hedging {
    Off,
    /// It waits for a permit.
    Wanted,
    Running(Box<Active>),
}

/// An attempt that runs, as far as its permit and the policies of its key need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Active {
    pub(crate) began: Tick,
    pub(crate) attempt: u32,
    /// How much of the limit it holds.
    pub(crate) weight: u32,
    /// The epochs of the key's adaptive limit and of its breaker when it began.
    pub(crate) epoch: u32,
    pub(crate) breaker_epoch: u32,
}

/// Which of the two attempts of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Branch {
    First,
    Hedge,
}

/// How the running attempts of a job ended: one by itself, and the other, if there is one, with it.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) branch: Branch,
    pub(crate) end: AttemptEnd,
    pub(crate) reported: Reported,
    /// What the other attempt has reported.
    pub(crate) loser: Reported,
}

impl Slot {
    pub(crate) fn timing(&self) -> Timing {
        Timing {
            queued: Duration::from_nanos(self.queued),
            throttled: Duration::from_nanos(self.throttled),
            backoff: Duration::from_nanos(self.backoff),
            running: Duration::from_nanos(self.running),
            first_output: self.reported.first_output(),
        }
    }
}

/// How an attempt ended, as the worker saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptEnd {
    Succeeded,
    Failed(ErrorClass),
    TimedOut,
    Panicked,
    /// The attempt was dropped: the run is aborted, or another attempt of the job was first.
    Dropped,
}

impl AttemptEnd {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed(class) => class.as_str(),
            Self::TimedOut => "timed out",
            Self::Panicked => "panicked",
            Self::Dropped => "dropped",
        }
    }
}

/// How a job ended. For `Failed` the error is the last one that was recorded for the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Succeeded,
    Failed,
    TimedOut(TimeoutKind),
    Panicked,
    Cancelled,
    Skipped,
    Shed,
}
