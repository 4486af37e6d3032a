//! A worker: the task that runs attempts, one after another, until none may start. However the worker ends, its job has an
//! outcome.

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use throng_core::{AttemptId, ErrorClass, Outcome};
use tokio::time::Instant;

use crate::attempt::{Attempt, Reported, Reports};
use crate::core::{Assignment, Record};
use crate::engine::Engine;
use crate::error::panic_message;
use crate::machine::{AttemptEnd, Branch, Ended, Start};
use crate::running::{Returned, Timer, run_attempt, run_hedged};
use crate::{RunError, Runner};

/// How many errors a job keeps, that of the last attempt included.
const KEPT_ERRORS: usize = 16;

/// The task that runs attempts. A worker exists while it has one.
pub(crate) struct Worker<J, R: Runner<J>>
where
    J: Send + Sync + 'static,
{
    engine: Arc<Engine<J, R>>,
    current: Option<Assignment<J, R::Output, R::Error>>,
    /// It has not asked for an attempt yet.
    starting: bool,
    reports: Arc<Reports>,
    timer: Timer,
}

impl<J, R> Worker<J, R>
where
    J: Send + Sync + 'static,
    R: Runner<J>,
{
    pub(crate) fn new(engine: Arc<Engine<J, R>>) -> Self {
        let reports = Reports::new(engine.core.cancellation.clone());
        Self {
            engine,
            current: None,
            starting: true,
            reports,
            timer: Timer::default(),
        }
    }

    /// Runs attempts until none may start.
    pub(crate) async fn work(mut self) {
        let mut now = Instant::now();
        self.take_first(now);
        while let Some(assignment) = &self.current {
            let start = &assignment.start;
            let cx = attempt(&self.engine, start, start.attempt, now, &self.reports);
            if let Some(at) = start.hedge_at {
                let at = self.engine.core.instant(at);
                let job = &assignment.record.input;
                let hedged = run_hedged(
                    &self.engine,
                    job,
                    start,
                    cx,
                    at,
                    &mut self.timer,
                    &mut self.reports,
                );
                let (returned, early, ended) = Box::pin(hedged).await;
                now = Instant::now();
                self.end_attempt(now, returned, early, ended);
            } else {
                let deadline = cx.deadline;
                let span = tracing::debug_span!("attempt", id = %cx.id);
                let job = &assignment.record.input;
                let returned =
                    run_attempt(&self.engine.runner, job, cx, deadline, &mut self.timer, &span).await;
                now = Instant::now();
                let reported = Reports::take(&mut self.reports);
                self.end_attempt(
                    now,
                    returned,
                    None,
                    (Branch::First, reported, Reported::default()),
                );
            }
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Takes the first attempt and lets other workers follow.
    fn take_first(&mut self, now: Instant) {
        self.starting = false;
        let core = &self.engine.core;
        let mut state = core.lock();
        state.starting -= 1;
        let tick = state.advance(core.tick(now));
        self.current = state.next_assignment(tick);
        // Time may have ended jobs that waited.
        state.deliver_all();
        let step = core.step(state);
        core.follow_up(step);
        if self.current.is_some() {
            self.engine.launch();
        }
    }

    fn end_attempt(
        &mut self,
        at: Instant,
        returned: Returned<R::Output, R::Error>,
        early: Option<R::Error>,
        (branch, reported, loser): (Branch, Reported, Reported),
    ) {
        let Some(assignment) = &mut self.current else {
            return;
        };
        let record = &mut assignment.record;
        if let Some(error) = early {
            keep(record, error);
        }
        let end = match returned {
            Returned::Value(value) => {
                record.outcome = Outcome::Succeeded(value);
                AttemptEnd::Succeeded
            }
            Returned::Error(error) => {
                let class = classify(&self.engine, &error);
                keep(record, error);
                AttemptEnd::Failed(class)
            }
            Returned::Panic(message) => {
                record.outcome = Outcome::Panicked(message);
                AttemptEnd::Panicked
            }
            Returned::Nothing => AttemptEnd::TimedOut,
        };
        let Some(assignment) = self.current.take() else {
            return;
        };
        let (job, attempt) = (assignment.start.job.index(), assignment.start.attempt);
        let core = &self.engine.core;
        let ended = Ended {
            branch,
            end,
            reported,
            loser,
        };
        let (step, next) = core.end_attempt(at, assignment, &ended, true);
        self.current = next;
        if let AttemptEnd::Failed(_) | AttemptEnd::TimedOut | AttemptEnd::Panicked = end {
            let (end, retry) = (end.as_str(), step.retry);
            tracing::debug!(run = %core.run, job, attempt, end, retry, "An attempt failed.");
        }
        let (wants_input, launch) = (step.wants_input, step.launch);
        core.follow_up(step);
        if wants_input {
            self.engine.refill();
        } else if launch {
            self.engine.launch();
        }
    }
}

impl<J, R> Drop for Worker<J, R>
where
    J: Send + Sync + 'static,
    R: Runner<J>,
{
    /// Gives the job of an aborted worker its outcome.
    fn drop(&mut self) {
        if self.starting {
            self.engine.core.lock().starting -= 1;
        }
        let Some(mut assignment) = self.current.take() else {
            return;
        };
        let end = if std::thread::panicking() {
            let message = "the attempt panicked while it was dropped".to_owned();
            assignment.record.outcome = Outcome::Panicked(message);
            AttemptEnd::Panicked
        } else {
            AttemptEnd::Dropped
        };
        let reported = Reports::take(&mut self.reports);
        let core = &self.engine.core;
        let ended = Ended {
            branch: Branch::First,
            end,
            reported,
            loser: Reported::default(),
        };
        let (step, _) = core.end_attempt(Instant::now(), assignment, &ended, false);
        core.follow_up(step);
        core.driver.notify_one();
    }
}

/// Makes what an attempt of the job is told about itself.
pub(crate) fn attempt<J, R>(
    engine: &Engine<J, R>,
    start: &Start,
    number: NonZeroU32,
    now: Instant,
    reports: &Arc<Reports>,
) -> Attempt
where
    J: Send + Sync + 'static,
    R: Runner<J>,
{
    let core = &engine.core;
    Attempt {
        id: AttemptId {
            run: core.run,
            job: start.job,
            attempt: number,
        },
        started: now,
        deadline: start.ends_by.map(|tick| core.instant(tick)),
        step: start.step,
        hedge: number != start.attempt,
        key: start.key.clone(),
        reports: Arc::clone(reports),
    }
}

/// Keeps an error of the job, and forgets the oldest if there are many.
fn keep<J, T, E>(record: &mut Record<J, T, E>, error: E) {
    if record.errors.len() >= KEPT_ERRORS {
        // Dropping it is the user's code; should it panic, the job is still in its place.
        drop(record.errors.remove(0));
    }
    record.errors.push(error);
}

pub(crate) fn classify<J, R>(engine: &Engine<J, R>, error: &R::Error) -> ErrorClass
where
    J: Send + Sync + 'static,
    R: Runner<J>,
{
    catch_unwind(AssertUnwindSafe(|| (engine.classify)(error))).unwrap_or_else(|payload| {
        let message = panic_message(&*payload);
        engine.core.fail(RunError::ClassifierPanicked { message });
        ErrorClass::Permanent
    })
}
