//! What happens while a plan runs: one event for each transition, in one order per plan.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use throng_core::{ErrorClass, OutcomeKind};

use crate::Source;

/// One transition of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanEvent {
    /// The session that the plan belongs to, as its caller named it.
    pub session: Option<Arc<str>>,
    /// When it happened, as the time since the plan began. Never goes back within a plan.
    pub at: Duration,
    /// What happened.
    pub kind: PlanEventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanEventKind {
    /// The plan began.
    PlanStarted,
    /// A call was added to the plan.
    CallAdded {
        /// Its place in the order of emission, from 0.
        index: u32,
        /// Its id.
        id: Arc<str>,
        /// The tool.
        name: Arc<str>,
    },
    /// An attempt took all that it needs and began.
    AttemptStarted {
        /// The call.
        index: u32,
        /// Which try, from 1.
        attempt: NonZeroU32,
    },
    /// The call waits for another attempt.
    RetryScheduled {
        /// The call.
        index: u32,
        /// Which try will be next.
        attempt: NonZeroU32,
        /// What the error of the last one means.
        class: ErrorClass,
        /// How long it waits at least.
        delay: Duration,
    },
    /// The call ended.
    CallEnded {
        /// The call.
        index: u32,
        /// How many attempts began.
        attempts: u32,
        /// How it ended.
        outcome: OutcomeKind,
        /// Where the outcome comes from.
        source: Source,
    },
    /// The number of attempts of a tool that may run at the same time was learned anew.
    LimitChanged {
        /// The tool.
        name: Arc<str>,
        /// What it was.
        from: usize,
        /// What it is.
        to: usize,
        /// Why, in one or two words.
        cause: &'static str,
    },
    /// The plan was cancelled: running attempts were asked to stop, and no other begins.
    PlanCancelled,
    /// Every call has ended.
    PlanEnded,
}

/// Takes the events of plans.
///
/// A sink is called one event at a time and in order for each plan, while the plan is locked: it must be quick, must not
/// block and must not call the plan. One that panics gets no further event of the plan.
pub trait PlanEvents: Send + Sync + 'static {
    /// Takes one event.
    fn record(&self, event: &PlanEvent);
}

impl<F: Fn(&PlanEvent) + Send + Sync + 'static> PlanEvents for F {
    fn record(&self, event: &PlanEvent) {
        self(event);
    }
}
