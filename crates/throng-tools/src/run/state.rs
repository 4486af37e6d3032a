//! What is known of a running plan. Everything here is under the plan's lock.
//!
//! Invariant: a call has a result once it has ended, been dropped or been found to be wrong, and never gets another.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use throng_core::ErrorClass;

use super::hub::Ticket;
use super::share::Flight;
use crate::schedule::{Because, CounterId, Dropped, Schedule};
use crate::{
    CallOutcome, CallResult, Dependencies, Effect, Names, PlanEvent, PlanEventKind, PlanEvents, Reference,
    Source, ToolEntry,
};

/// A call that is ready to be run.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) index: u32,
    pub(super) id: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) arguments: Value,
    /// The tool, and its place among those of the executor.
    pub(super) tool: Option<(Arc<ToolEntry>, u32)>,
    pub(super) effect: Effect,
    pub(super) timeout: Option<Duration>,
    /// The calls that the arguments refer to.
    pub(super) refers_to: Box<[u32]>,
    /// The arguments hold references, or what has to be told from them.
    pub(super) fills: bool,
    /// It may be served by another call or by the cache.
    pub(super) may_share: bool,
    /// What it reads and writes; `None` is everything. Kept only where results are cached.
    pub(super) accesses: Option<Arc<[crate::Access]>>,
}

impl Prepared {
    /// Returns whether something has to be looked up before its first attempt is known to begin.
    pub(super) fn is_plain(&self) -> bool {
        !self.fills && !self.may_share
    }
}

/// Returns the calls that references refer to, each once.
pub(super) fn refers_to(references: &[Reference]) -> Box<[u32]> {
    let mut calls: Vec<u32> = references.iter().map(|reference| reference.call).collect();
    calls.sort_unstable();
    calls.dedup();
    calls.into()
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    pub(super) attempts: u32,
    /// Failures that count against the retry policy's attempts.
    pub(super) failures: u32,
    pub(super) started: Option<Duration>,
    pub(super) attempt_began: Duration,
    pub(super) work: Duration,
    /// How long it was refused, for the patience of the retry policy.
    pub(super) refused_for: Duration,
    pub(super) ticket: Ticket,
    /// An attempt ended without anybody knowing whether it had its effect.
    pub(super) outcome_unknown: bool,
}

pub(super) struct PlanState {
    /// `None` once the plan is over.
    pub(super) schedule: Option<Schedule>,
    pub(super) calls: Vec<Arc<Prepared>>,
    pub(super) progress: Vec<Progress>,
    pub(super) results: Vec<Option<Arc<CallResult>>>,
    /// The calls with results, in the order in which they got them.
    pub(super) ended: Vec<u32>,
    pub(super) taken: usize,
    pub(super) names: Arc<Names>,
    pub(super) dependencies: Option<Dependencies>,
    /// Counters of limits that the plan sets for tools.
    pub(super) counters: Vec<CounterId>,
    pub(super) flights: HashMap<Arc<str>, Flight>,
    /// The flight that a call leads.
    pub(super) leads: BTreeMap<u32, Arc<str>>,
    /// More calls may come.
    pub(super) open: bool,
    pub(super) cancelled: bool,
    pub(super) consumer_waits: bool,
    pub(super) journal_error: Option<String>,
    pub(super) total: Duration,
    /// How many attempts could run at the same time.
    pub(super) limit: Option<u64>,
    pub(super) rng: fastrand::Rng,
    pub(super) sinks: Vec<Arc<dyn PlanEvents>>,
    pub(super) session: Option<Arc<str>>,
    last: Duration,
    /// How many attempts began.
    pub(super) begun: u64,
    /// The driver looks whether attempts hold up a worker.
    pub(super) watched: bool,
    pub(super) begun_at_watch: u64,
}

impl PlanState {
    pub(super) fn new(schedule: Schedule, sinks: Vec<Arc<dyn PlanEvents>>, rng: fastrand::Rng) -> Self {
        Self {
            schedule: Some(schedule),
            calls: Vec::new(),
            progress: Vec::new(),
            results: Vec::new(),
            ended: Vec::new(),
            taken: 0,
            names: Arc::default(),
            dependencies: None,
            counters: Vec::new(),
            flights: HashMap::new(),
            leads: BTreeMap::new(),
            open: false,
            cancelled: false,
            consumer_waits: false,
            journal_error: None,
            total: Duration::ZERO,
            limit: None,
            rng,
            sinks,
            session: None,
            last: Duration::ZERO,
            begun: 0,
            watched: false,
            begun_at_watch: 0,
        }
    }

    /// Adds a call, of which so many attempts began in an earlier run.
    pub(super) fn push(&mut self, now: Duration, call: Prepared, attempts: u32) {
        let (index, id, name) = (call.index, Arc::clone(&call.id), Arc::clone(&call.name));
        self.calls.push(Arc::new(call));
        self.progress.push(Progress {
            attempts,
            ..Progress::default()
        });
        self.results.push(None);
        self.event(now, || PlanEventKind::CallAdded { index, id, name });
    }

    /// Says what a call refers to that has not begun.
    pub(super) fn refer(&mut self, index: u32, references: &[Reference]) {
        if let Some(call) = self.calls.get_mut(index as usize).and_then(Arc::get_mut) {
            call.refers_to = refers_to(references);
            call.fills = true;
        }
    }

    /// Notes that an attempt of the call begins, and returns which it is.
    pub(super) fn attempt_begins(&mut self, now: Duration, index: u32, ticket: Ticket) -> NonZeroU32 {
        self.begun += 1;
        let progress = &mut self.progress[index as usize];
        progress.attempts = progress.attempts.saturating_add(1);
        progress.started.get_or_insert(now);
        progress.attempt_began = now;
        progress.ticket = ticket;
        let attempt = NonZeroU32::new(progress.attempts).unwrap_or(NonZeroU32::MIN);
        self.event(now, || PlanEventKind::AttemptStarted { index, attempt });
        attempt
    }

    /// Notes that an attempt of the call ended, and returns how long it took.
    pub(super) fn attempt_ends(&mut self, now: Duration, index: u32) -> Duration {
        let progress = &mut self.progress[index as usize];
        let took = now.saturating_sub(progress.attempt_began);
        progress.work += took;
        took
    }

    /// Gives a call its result, unless it has one.
    pub(super) fn resolve(&mut self, now: Duration, index: u32, outcome: CallOutcome, source: Source) {
        let at = index as usize;
        if self.results[at].is_some() {
            return;
        }
        let (call, progress) = (&self.calls[at], &self.progress[at]);
        let (kind, attempts) = (outcome.kind(), progress.attempts);
        self.results[at] = Some(Arc::new(CallResult {
            id: Arc::clone(&call.id),
            name: Arc::clone(&call.name),
            outcome,
            attempts,
            started: progress.started,
            ended: now,
            work: progress.work,
            source,
        }));
        self.ended.push(index);
        self.event(now, || PlanEventKind::CallEnded {
            index,
            attempts,
            outcome: kind,
            source,
        });
    }

    /// Gives a call that never starts (again) its result.
    pub(super) fn drop_call(&mut self, now: Duration, dropped: Dropped) {
        let at = dropped.node as usize;
        if self.results[at].is_some() {
            return;
        }
        let outcome_unknown = self.progress[at].outcome_unknown;
        let id = |of: u32| Arc::clone(&self.calls[of as usize].id);
        let outcome = match dropped.because {
            Because::Failed(of) => CallOutcome::Skipped {
                because: id(of),
                reason: self.verdict(of),
            },
            Because::FailedFast(of) => CallOutcome::Cancelled {
                because: Some(id(of)),
                outcome_unknown,
            },
            Because::Cancelled => CallOutcome::Cancelled {
                because: None,
                outcome_unknown,
            },
        };
        self.resolve(now, dropped.node, outcome, Source::Own);
    }

    /// Returns the call whose failure has ended the plan, if it was that.
    pub(super) fn failed_fast(&self) -> Option<Arc<str>> {
        match self.schedule.as_ref()?.stopped()? {
            Because::FailedFast(of) => Some(Arc::clone(&self.calls[of as usize].id)),
            Because::Failed(_) | Because::Cancelled => None,
        }
    }

    /// Returns what is wrong with a call that others depend on.
    fn verdict(&self, of: u32) -> String {
        let kind = self.results[of as usize]
            .as_ref()
            .map_or("failed", |result| match result.outcome {
                CallOutcome::TimedOut { .. } => "timed out",
                CallOutcome::Cancelled { .. } => "was cancelled",
                CallOutcome::Panicked { .. } => "panicked",
                CallOutcome::Skipped { .. } => "was skipped",
                CallOutcome::Succeeded(_) | CallOutcome::Failed { .. } => "failed",
            });
        kind.to_owned()
    }

    /// Returns whether every call has its result, and none runs any more.
    pub(super) fn is_finished(&self) -> bool {
        !self.open
            && self.ended.len() == self.calls.len()
            && self
                .schedule
                .as_ref()
                .is_none_or(|schedule| schedule.n_running() == 0)
    }

    /// Sends an event, with a time that never goes back.
    pub(super) fn event(&mut self, now: Duration, kind: impl FnOnce() -> PlanEventKind) {
        if self.sinks.is_empty() {
            return;
        }
        self.last = self.last.max(now);
        let event = PlanEvent {
            session: self.session.clone(),
            at: self.last,
            kind: kind(),
        };
        self.sinks
            .retain(|sink| catch_unwind(AssertUnwindSafe(|| sink.record(&event))).is_ok());
    }

    pub(super) fn retry_scheduled(&mut self, now: Duration, index: u32, class: ErrorClass, delay: Duration) {
        let attempts = self.progress[index as usize].attempts;
        let attempt = NonZeroU32::new(attempts.saturating_add(1)).unwrap_or(NonZeroU32::MIN);
        self.event(now, || PlanEventKind::RetryScheduled {
            index,
            attempt,
            class,
            delay,
        });
    }
}
