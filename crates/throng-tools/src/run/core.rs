//! A running plan: its lock, its driver, and what follows from the end of an attempt.
//!
//! Locks are taken in one order: the plan's, then the executor's. No user code runs under either but event sinks.
//! Invariant: while something could start, a worker is awake that will look for it when its attempt waits or ends, or the
//! driver will within a millisecond.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use throng_core::{ErrorClass, Journal};
use throng_exec::{AttemptSignal, LimitChange};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::executor::Inner;
use super::hub::{Hub, Ticket};
use super::share::{self, Flight};
use super::state::{PlanState, Prepared};
use super::worker::{Attempted, Worker};
use crate::report::{self, PlanReport};
use crate::schedule::{Because, End, PlanId};
use crate::{CallOutcome, CallResult, FailureKind, Names, PlanEventKind, Source, ToolError};

/// With fewer attempts in the time between two looks of the driver, attempts hold up their worker.
const BRISK: u64 = 500;
/// The time between two looks of the driver.
const PATIENCE: Duration = Duration::from_millis(1);

/// An attempt that a worker is to make.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) call: Arc<Prepared>,
    /// Which attempt it is; `None` if it is not known yet whether there will be one.
    pub(super) attempt: Option<std::num::NonZeroU32>,
    pub(super) began: Instant,
    /// The results that the arguments refer to, and the ids by which they do.
    pub(super) results: Vec<(u32, Arc<CallResult>)>,
    pub(super) names: Option<Arc<Names>>,
}

/// What a worker does next.
pub(super) enum Step {
    /// Makes another attempt, or ends.
    Next(Option<Assignment>),
    /// Writes the end to the journal, and then has it take effect.
    Write(Assignment, CallOutcome),
}

/// What a probe for another call's result finds.
pub(super) enum Probe {
    /// The call makes its own attempt.
    Begin(Assignment, Option<u64>),
    /// Something else is to be done: the call waits, or has its result.
    Moved(Option<Assignment>),
}

/// A running plan.
pub(super) struct PlanCore {
    pub(super) exec: Arc<Inner>,
    pub(super) began: Instant,
    /// The time from the executor's beginning to the plan's.
    offset: Duration,
    pub(super) id: PlanId,
    pub(super) cancel: CancellationToken,
    pub(super) session: Option<Arc<str>>,
    pub(super) metadata: Arc<Value>,
    pub(super) journal: Option<(Arc<dyn Journal>, Arc<str>)>,
    pub(super) recorded: bool,
    /// Nothing is shared or cached: the run is measured.
    pub(super) alone: bool,
    pub(super) driver: Notify,
    pub(super) news: Notify,
    pub(super) over: CancellationToken,
    state: Mutex<PlanState>,
    workers: Mutex<JoinSet<()>>,
    runtime: Handle,
}

impl PlanCore {
    #[expect(
        clippy::too_many_arguments,
        reason = "it only puts together what its one caller has"
    )]
    pub(super) fn new(
        exec: &Arc<Inner>,
        id: PlanId,
        began: Instant,
        state: PlanState,
        session: Option<Arc<str>>,
        metadata: Arc<Value>,
        journal: Option<(Arc<dyn Journal>, Arc<str>)>,
        recorded: bool,
        alone: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            exec: Arc::clone(exec),
            began,
            offset: began.saturating_duration_since(exec.began),
            id,
            cancel: CancellationToken::new(),
            session,
            metadata,
            journal,
            recorded,
            alone,
            driver: Notify::new(),
            news: Notify::new(),
            over: CancellationToken::new(),
            state: Mutex::new(state),
            workers: Mutex::new(JoinSet::new()),
            runtime: Handle::current(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, PlanState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time since the plan began.
    pub(super) fn now(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.began)
    }

    /// Makes an attempt start if one can; others follow when it waits or ends.
    pub(super) fn launch(self: &Arc<Self>) -> bool {
        let at = Instant::now();
        let assignment = {
            let mut state = self.lock();
            let mut hub = self.exec.lock_hub();
            self.take_next(&mut state, &mut hub, at)
        };
        let launched = assignment.is_some();
        if let Some(assignment) = assignment {
            self.hand_over(assignment);
        }
        launched
    }

    /// Has a new worker make an attempt.
    pub(super) fn hand_over(self: &Arc<Self>, assignment: Assignment) {
        let worker = Worker::new(Arc::clone(self), assignment);
        let mut workers = self.lock_workers();
        while workers.try_join_next().is_some() {}
        workers.spawn_on(worker.work(), &self.runtime);
    }

    /// Ends an attempt and takes the next one.
    pub(super) fn finish(self: &Arc<Self>, assignment: Assignment, attempted: Attempted) -> Step {
        let at = Instant::now();
        let now = self.now(at);
        let index = assignment.call.index;
        let mut state = self.lock();
        let mut hub = self.exec.lock_hub();
        let took = match assignment.attempt {
            Some(_) => state.attempt_ends(now, index),
            None => Duration::ZERO,
        };
        self.tell_limits(&mut state, &mut hub, now, &assignment, &attempted, took);
        let outcome = match self.decide(&mut state, &mut hub, now, &assignment.call, attempted, took) {
            Some(outcome) => outcome,
            None => {
                let next = self.take_next(&mut state, &mut hub, at);
                self.leave(state, hub);
                self.driver.notify_one();
                return Step::Next(next);
            }
        };
        if self.journal.is_some() && assignment.attempt.is_some() && is_kept(&outcome) {
            drop(hub);
            drop(state);
            return Step::Write(assignment, outcome);
        }
        self.complete(&mut state, &mut hub, now, index, outcome, Source::Own);
        let next = self.take_next(&mut state, &mut hub, at);
        self.leave(state, hub);
        Step::Next(next)
    }

    /// Ends a call whose end has been written, or could not be, and takes the next one.
    pub(super) fn written(
        self: &Arc<Self>,
        index: u32,
        outcome: CallOutcome,
        error: Option<String>,
    ) -> Option<Assignment> {
        let at = Instant::now();
        let now = self.now(at);
        let mut state = self.lock();
        let mut hub = self.exec.lock_hub();
        if let Some(error) = error {
            // What comes after it must not begin: a resumed run would not know that this came before.
            state.journal_error.get_or_insert(error);
            self.stop(&mut state, &mut hub, now, Because::Cancelled);
        }
        self.complete(&mut state, &mut hub, now, index, outcome, Source::Own);
        let next = self.take_next(&mut state, &mut hub, at);
        self.leave(state, hub);
        next
    }

    /// Looks whether a call can be served by an equal one or by the cache. `arguments` hold no references any more.
    pub(super) fn probe(self: &Arc<Self>, mut assignment: Assignment, arguments: &Value) -> Probe {
        let (index, shares) = (assignment.call.index, assignment.call.may_share && !self.alone);
        let key = shares.then(|| share::key(&assignment.call, arguments));
        let at = Instant::now();
        let now = self.now(at);
        let mut state = self.lock();
        let mut hub = self.exec.lock_hub();
        let mut reading = None;
        if let Some(key) = key {
            let cached = hub.cache.as_ref().and_then(|cache| cache.get(&key));
            if let Some(value) = cached {
                self.complete(
                    &mut state,
                    &mut hub,
                    now,
                    index,
                    CallOutcome::Succeeded(value),
                    Source::Cache,
                );
                let next = self.take_next(&mut state, &mut hub, at);
                self.leave(state, hub);
                return Probe::Moved(next);
            }
            let others = self.exec.settings.single_flight
                && state
                    .flights
                    .get(&key)
                    .is_some_and(|flight| flight.leader != index);
            if others
                && let Some(schedule) = &mut state.schedule
                && schedule.suspend(&mut hub.admission, index)
            {
                if let Some(flight) = state.flights.get_mut(&key) {
                    flight.followers.push(index);
                }
                let next = self.take_next(&mut state, &mut hub, at);
                self.leave(state, hub);
                return Probe::Moved(next);
            }
            if !others {
                state.flights.entry(Arc::clone(&key)).or_insert(Flight {
                    leader: index,
                    followers: Vec::new(),
                });
                state.leads.insert(index, key);
            }
            if let Some(cache) = &mut hub.cache {
                reading = Some(cache.begin_read(assignment.call.accesses.clone()));
            }
        }
        self.begin(&mut state, &mut hub, now, &mut assignment);
        Probe::Begin(assignment, reading)
    }

    /// Keeps the result of a read, if nothing has changed what it read.
    pub(super) fn end_read(&self, number: u64, call: &Prepared, arguments: &Value, result: Option<&Value>) {
        let key = result.map(|_| share::key(call, arguments));
        if let Some(cache) = &mut self.exec.lock_hub().cache {
            cache.end_read(number, key.as_ref().zip(result));
        }
    }

    /// Starts no further attempt and asks the running ones to stop.
    pub(super) fn stop_all(self: &Arc<Self>) {
        let now = self.now(Instant::now());
        let mut state = self.lock();
        let mut hub = self.exec.lock_hub();
        state.open = false;
        self.stop(&mut state, &mut hub, now, Because::Cancelled);
        self.end_if_finished(&mut state, &mut hub, now);
        self.leave(state, hub);
    }

    /// Sets how many attempts of the plan run at the same time at most.
    pub(super) fn set_limit(&self, limit: u64) {
        let state = self.lock();
        let mut hub = self.exec.lock_hub();
        if let Some(schedule) = &state.schedule {
            hub.admission.set_limit(schedule.limit(), limit);
        }
        self.leave(state, hub);
    }

    /// Stops, and drops the running attempts.
    pub(super) fn abort(self: &Arc<Self>) {
        self.stop_all();
        self.lock_workers().abort_all();
    }

    /// Waits until no task of the plan is left.
    pub(super) async fn join(&self) {
        loop {
            let mut workers = std::mem::take(&mut *self.lock_workers());
            if workers.is_empty() {
                return;
            }
            while workers.join_next().await.is_some() {}
        }
    }

    /// The driver: does what time brings, and looks after workers whose attempts hold them up.
    pub(super) async fn drive(self: Arc<Self>, outside: Option<CancellationToken>) {
        let outside = outside.unwrap_or_default();
        let mut cancelled = false;
        loop {
            let Some(wake_at) = self.wake_at() else { return };
            tokio::select! {
                biased;
                () = self.over.cancelled() => return,
                () = outside.cancelled(), if !cancelled => {
                    cancelled = true;
                    self.stop_all();
                }
                () = self.driver.notified() => {}
                () = tokio::time::sleep_until(wake_at.unwrap_or(self.began)), if wake_at.is_some() => {
                    self.look_after();
                }
            }
        }
    }

    /// Returns when the driver has to wake up, if it has to, or `None` if the plan is over.
    fn wake_at(&self) -> Option<Option<Instant>> {
        let mut state = self.lock();
        let watched = state.watched;
        let due = state.schedule.as_mut()?.next_due();
        let due = due.map(|due| self.began + Duration::from_nanos(due));
        let watch = watched.then(|| Instant::now() + PATIENCE);
        Some(due.into_iter().chain(watch).min())
    }

    fn look_after(self: &Arc<Self>) {
        let brisk = {
            let mut state = self.lock();
            let begun = state.begun - state.begun_at_watch;
            state.begun_at_watch = state.begun;
            state.watched && begun >= BRISK
        };
        if brisk {
            return;
        }
        let launched = self.launch();
        let mut state = self.lock();
        let more = launched
            && state
                .schedule
                .as_ref()
                .is_some_and(|schedule| schedule.n_ready() > 0);
        state.watched = more && self.exec.is_threaded;
    }

    /// Takes the next attempt that can start.
    fn take_next(&self, state: &mut PlanState, hub: &mut Hub, at: Instant) -> Option<Assignment> {
        let now = self.now(at);
        let schedule = state.schedule.as_mut()?;
        let start = schedule.next(&mut hub.admission, tick(now))?;
        if !state.watched && self.exec.is_threaded && schedule.n_ready() > 0 {
            state.watched = true;
            state.begun_at_watch = state.begun;
            self.driver.notify_one();
        }
        let call = Arc::clone(&state.calls[start.node as usize]);
        let results = call
            .refers_to
            .iter()
            .filter_map(|&of| Some((of, Arc::clone(state.results[of as usize].as_ref()?))))
            .collect();
        let names = call.fills.then(|| Arc::clone(&state.names));
        let mut assignment = Assignment {
            call,
            attempt: None,
            began: at,
            results,
            names,
        };
        if assignment.call.is_plain() {
            self.begin(state, hub, now, &mut assignment);
        }
        Some(assignment)
    }

    /// Notes that the attempt begins.
    fn begin(&self, state: &mut PlanState, hub: &mut Hub, now: Duration, assignment: &mut Assignment) {
        let call = &assignment.call;
        let mut ticket = Ticket::default();
        if let Some((entry, tool)) = &call.tool {
            let (of_limit, change) = hub.began(*tool, self.offset + now);
            ticket = of_limit;
            if let Some(change) = change {
                limit_changed(state, now, &entry.spec().name, change);
            }
            if call.effect != crate::Effect::ReadOnly
                && let Some(cache) = &mut hub.cache
            {
                cache.changes(call.accesses.as_deref());
            }
        }
        assignment.attempt = Some(state.attempt_begins(now, call.index, ticket));
    }

    fn tell_limits(
        &self,
        state: &mut PlanState,
        hub: &mut Hub,
        now: Duration,
        assignment: &Assignment,
        attempted: &Attempted,
        took: Duration,
    ) {
        let (Some((entry, tool)), Some(attempt)) = (&assignment.call.tool, assignment.attempt) else {
            return;
        };
        let signal = match attempted {
            Attempted::Value(_) => AttemptSignal::Succeeded {
                first_try: attempt.get() == 1,
                first_output: None,
            },
            Attempted::Error(error) if error.class.is_pushback() => AttemptSignal::Refused,
            _ => AttemptSignal::Ignored,
        };
        let ticket = state.progress[assignment.call.index as usize].ticket;
        if let Some(change) = hub.ended(*tool, ticket, self.offset + now, signal, took) {
            limit_changed(state, now, &entry.spec().name, change);
        }
        if assignment.call.effect != crate::Effect::ReadOnly
            && let Some(cache) = &mut hub.cache
        {
            cache.changes(assignment.call.accesses.as_deref());
        }
    }

    /// Decides how a call has ended, or has it tried again and returns `None`.
    fn decide(
        &self,
        state: &mut PlanState,
        hub: &mut Hub,
        now: Duration,
        call: &Prepared,
        attempted: Attempted,
        took: Duration,
    ) -> Option<CallOutcome> {
        let has_effect = call.effect != crate::Effect::ReadOnly;
        let (class, refused, unknown, mut outcome) = match attempted {
            Attempted::Value(value) => return Some(CallOutcome::Succeeded(value)),
            Attempted::Invalid(error) => {
                return Some(CallOutcome::Failed {
                    kind: FailureKind::InvalidArguments,
                    error,
                });
            }
            Attempted::NotWritten(error) => {
                return Some(CallOutcome::Failed {
                    kind: FailureKind::Journal,
                    error,
                });
            }
            Attempted::Panic(message) => {
                return Some(CallOutcome::Panicked {
                    message,
                    outcome_unknown: has_effect,
                });
            }
            Attempted::Aborted { began } => {
                let before = state.progress[call.index as usize].outcome_unknown;
                return Some(CallOutcome::Cancelled {
                    because: state.failed_fast(),
                    outcome_unknown: before || (began && has_effect),
                });
            }
            Attempted::Error(error) => {
                let unknown = has_effect && error.outcome_unknown;
                let (class, refused) = (error.class, error.had_no_effect());
                let kind = FailureKind::Tool;
                (class, refused, unknown, CallOutcome::Failed { kind, error })
            }
            Attempted::TimedOut(timeout) => {
                let outcome_unknown = has_effect;
                let outcome = CallOutcome::TimedOut {
                    timeout,
                    outcome_unknown,
                };
                (ErrorClass::Timeout, false, has_effect, outcome)
            }
        };
        let policy = self.exec.retry_of(call);
        let progress = &mut state.progress[call.index as usize];
        progress.outcome_unknown |= unknown;
        if progress.outcome_unknown
            && let CallOutcome::Failed { error, .. } = &mut outcome
        {
            error.outcome_unknown = true;
        }
        if state.cancelled {
            return Some(CallOutcome::Cancelled {
                because: state.failed_fast(),
                outcome_unknown: state.progress[call.index as usize].outcome_unknown,
            });
        }
        // Whoever was refused has not used up an attempt.
        let asked = matches!(class, ErrorClass::Throttled { .. }) || class.retry_after().is_some();
        if asked {
            progress.refused_for += took;
        } else {
            progress.failures = progress.failures.saturating_add(1);
        }
        if !(call.effect.may_repeat() || refused) {
            return Some(outcome);
        }
        let failure = progress.failures.max(1);
        let Some(delay) = policy.next_delay(failure, class, progress.refused_for, &mut state.rng) else {
            return Some(outcome);
        };
        if asked {
            progress.refused_for += delay;
        }
        let due = tick(now).saturating_add(tick(delay));
        let schedule = state.schedule.as_mut()?;
        if !schedule.retry_at(&mut hub.admission, call.index, due) {
            return Some(outcome);
        }
        state.retry_scheduled(now, call.index, class, delay);
        None
    }

    /// Gives a running call its result, and others what follows from it.
    fn complete(
        &self,
        state: &mut PlanState,
        hub: &mut Hub,
        now: Duration,
        index: u32,
        outcome: CallOutcome,
        source: Source,
    ) {
        let succeeded = outcome.is_success();
        let followers = match state.leads.remove(&index) {
            Some(key) => state.flights.remove(&key).map(|flight| flight.followers),
            None => None,
        }
        .unwrap_or_default();
        let shared = if followers.is_empty() {
            None
        } else {
            outcome.value().cloned()
        };
        state.resolve(now, index, outcome, source);
        let end = if succeeded { End::Succeeded } else { End::Failed };
        if let Some(schedule) = &mut state.schedule {
            schedule.ended(&mut hub.admission, index, end);
        }
        for follower in followers {
            self.release_follower(state, now, follower, shared.as_ref());
        }
        self.settle(state, hub, now);
    }

    /// Gives an equal call the result, or has it make its own attempt.
    fn release_follower(&self, state: &mut PlanState, now: Duration, follower: u32, shared: Option<&Value>) {
        if state.results[follower as usize].is_some() {
            return;
        }
        match shared {
            Some(value) => {
                state.resolve(
                    now,
                    follower,
                    CallOutcome::Succeeded(value.clone()),
                    Source::Shared,
                );
                if let Some(schedule) = &mut state.schedule {
                    schedule.end_suspended(follower);
                }
            }
            None => {
                if let Some(schedule) = &mut state.schedule {
                    schedule.resume(follower, tick(now));
                }
            }
        }
    }

    /// Starts no further attempt and asks the running ones to stop, once.
    pub(super) fn stop(&self, state: &mut PlanState, hub: &mut Hub, now: Duration, because: Because) {
        if let Some(schedule) = &mut state.schedule {
            schedule.stop(&mut hub.admission, because);
        }
        self.settle(state, hub, now);
    }

    /// Gives those their results that never start, and ends the plan if there is nothing more to do.
    pub(super) fn settle(&self, state: &mut PlanState, hub: &mut Hub, now: Duration) {
        while let Some(dropped) = state
            .schedule
            .as_mut()
            .and_then(|schedule| schedule.pop_dropped())
        {
            state.drop_call(now, dropped);
        }
        let stopped = state
            .schedule
            .as_ref()
            .is_some_and(|schedule| schedule.stopped().is_some());
        if stopped && !state.cancelled {
            state.cancelled = true;
            state.event(now, || PlanEventKind::PlanCancelled);
            self.cancel.cancel();
        }
        self.end_if_finished(state, hub, now);
    }

    pub(super) fn end_if_finished(&self, state: &mut PlanState, hub: &mut Hub, now: Duration) {
        if !state.is_finished() {
            return;
        }
        let Some(schedule) = state.schedule.take() else {
            return;
        };
        state.limit = [hub.admission.global(), schedule.limit()]
            .map(|counter| hub.admission.limit(counter))
            .into_iter()
            .min();
        schedule.close(&mut hub.admission);
        for counter in state.counters.drain(..) {
            hub.admission.remove_counter(counter);
        }
        state.total = now;
        state.event(now, || PlanEventKind::PlanEnded);
        self.over.cancel();
    }

    /// Unlocks, and tells the consumer and other plans of what has changed.
    pub(super) fn leave(&self, mut state: MutexGuard<'_, PlanState>, mut hub: MutexGuard<'_, Hub>) {
        let mut wakes = Vec::new();
        while let Some(plan) = hub.admission.pop_wake() {
            wakes.push(plan);
        }
        drop(hub);
        let waits = state.consumer_waits && (state.taken < state.ended.len() || state.schedule.is_none());
        if waits {
            state.consumer_waits = false;
        }
        drop(state);
        if waits {
            self.news.notify_one();
        }
        self.exec.wake(&wakes);
    }

    /// Makes the report of the plan, which is over.
    pub(super) fn report(&self, sequential: Option<Duration>) -> PlanReport {
        let state = self.lock();
        report::make(report::Input {
            results: state.results.iter().flatten().cloned().collect(),
            dependencies: state.dependencies.as_ref(),
            total: state.total,
            limit: state.limit,
            sequential,
            journal_error: state.journal_error.clone(),
            cancelled: state.cancelled,
            recorded: self.recorded,
            session: self.session.clone(),
            metadata: Arc::clone(&self.metadata),
        })
    }

    fn lock_workers(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn limit_changed(state: &mut PlanState, now: Duration, name: &Arc<str>, change: LimitChange) {
    state.event(now, || PlanEventKind::LimitChanged {
        name: Arc::clone(name),
        from: change.from,
        to: change.to,
        cause: change.cause,
    });
}

/// Returns whether an end is written to the journal: a call that was cancelled is open for the next run.
fn is_kept(outcome: &CallOutcome) -> bool {
    match outcome {
        CallOutcome::Cancelled { .. } | CallOutcome::Skipped { .. } => false,
        CallOutcome::Failed { kind, .. } => *kind != FailureKind::Journal,
        _ => true,
    }
}

pub(super) fn tick(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Makes the error of a call whose arguments are wrong.
pub(super) fn invalid(name: &str, message: &str) -> ToolError {
    ToolError::permanent(format!(
        "the arguments of `{name}` are not what it takes: {message}"
    ))
}
