//! What follows from the end of an attempt: limits learn from it, the call is tried again or gets its result, and others
//! are let go, skipped or cancelled.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use throng_core::ErrorClass;
use throng_exec::{AttemptSignal, LimitChange};

use super::core::{Assignment, PlanCore, tick};
use super::hub::Hub;
use super::state::{PlanState, Prepared};
use super::worker::Attempted;
use crate::schedule::{Because, End};
use crate::{CallOutcome, FailureKind, PlanEventKind, Source};

impl PlanCore {
    pub(super) fn tell_limits(
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
    pub(super) fn decide(
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
            // The tool has clocks of its own, which were faster.
            Attempted::Error(error) if error.class == ErrorClass::Timeout => {
                let outcome_unknown = has_effect && error.outcome_unknown;
                let outcome = CallOutcome::TimedOut {
                    timeout: Duration::from_millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
                    outcome_unknown,
                };
                (error.class, error.had_no_effect(), outcome_unknown, outcome)
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
    pub(super) fn complete(
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
}

pub(super) fn limit_changed(state: &mut PlanState, now: Duration, name: &Arc<str>, change: LimitChange) {
    state.event(now, || PlanEventKind::LimitChanged {
        name: Arc::clone(name),
        from: change.from,
        to: change.to,
        cause: change.cause,
    });
}
