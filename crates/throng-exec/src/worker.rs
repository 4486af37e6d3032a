//! A worker: the task that runs attempts, one after another, until none may start. However the worker ends, its job has an
//! outcome.

use std::future::poll_fn;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;

use throng_core::{ErrorClass, Outcome};
use tokio::time::Instant;

use crate::attempt::{Attempt, Reported, Reports};
use crate::core::Then;
use crate::engine::Engine;
use crate::error::panic_message;
use crate::machine::{AttemptEnd, Branch, Ended, Start};
use crate::rate::Tick;
use crate::record::Left;
use crate::running::{Came, Returned, Running, Timer, Tools};
use crate::state::{Assignment, Next};
use crate::{RunError, Runner};

/// How many errors a job keeps, that of the last attempt included.
const KEPT_ERRORS: usize = 16;

/// The task that runs attempts. A worker exists while it has one.
pub(crate) struct Worker<J, R: Runner<J>>
where
    J: Send + Sync + 'static,
{
    engine: Arc<Engine<J, R>>,
    next: Next<J, R::Output, R::Error>,
    tools: Tools,
}

impl<J, R> Worker<J, R>
where
    J: Send + Sync + 'static,
    R: Runner<J>,
{
    pub(crate) fn new(engine: Arc<Engine<J, R>>) -> Self {
        Self {
            next: Next {
                assignment: None,
                spare: None,
            },
            tools: Tools {
                timer: Timer::default(),
                reports: Reports::new(&engine.core.origin),
                starting: true,
                awake: true,
            },
            engine,
        }
    }

    /// Runs attempts until none may start. All of it is one future without another inside, so that nothing is kept twice.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async function would keep room for the worker twice"
    )]
    pub(crate) fn work(mut self) -> impl Future<Output = ()> + Send {
        async move {
            self.take_first(Instant::now());
            while let Some(assignment) = &self.next.assignment {
                let came = 'came: {
                    let (start, job) = (&assignment.start, &assignment.job.input);
                    let mut running = Running::new(&self.engine, job, start, &mut self.tools);
                    // The attempt's future is moved nowhere else: what a future has held once, it keeps room for.
                    let mut first = pin!(match running.begin() {
                        Ok(future) => future,
                        Err(message) => break 'came running.came(Branch::First, Returned::Panic(message)),
                    });
                    let this = &mut running;
                    let (winner, returned) = poll_fn(move |cx| this.poll(first.as_mut(), cx)).await;
                    running.came(winner, returned)
                };
                if !self.tools.awake {
                    self.tools.awake = true;
                    self.engine.core.crew.join(1);
                }
                if self.end_attempt(Instant::now(), came) {
                    // The consumer takes what was gathered on this thread, where it is at hand.
                    tokio::task::yield_now().await;
                } else {
                    tokio::task::coop::consume_budget().await;
                }
            }
            // What was left to it is for others.
            if std::mem::take(&mut self.tools.awake) {
                self.engine.parked();
            }
        }
    }

    /// Takes the first attempt and lets other workers follow.
    fn take_first(&mut self, now: Instant) {
        self.tools.starting = false;
        let core = &self.engine.core;
        let mut state = core.lock();
        state.starting -= 1;
        let tick = state.advance(core.tick(now));
        self.next.assignment = state.next_assignment(tick);
        // Time may have ended jobs that waited.
        state.deliver_all();
        let step = core.step(state);
        let (wants_input, launch) = (step.wants_input, step.launch);
        core.follow_up(step);
        if wants_input {
            // The last job that was ready has begun, and its end may be far.
            core.driver.notify_one();
        }
        if self.next.assignment.is_some() && launch {
            self.engine.launch();
        }
    }

    /// Returns true if the consumer was woken for what was gathered.
    fn end_attempt(&mut self, at: Instant, mut came: Came<R::Output, R::Error>) -> bool {
        // Classifying and dropping errors is the user's code; should it panic, the job is still in its place.
        let mut class = None;
        if let Some(assignment) = &mut self.next.assignment {
            if let Some(error) = came.early {
                keep(assignment.job.errors.get_or_insert_default(), error);
            }
            if let Returned::Error(error) = came.returned {
                class = Some(classify(&self.engine, &error));
                keep(assignment.job.errors.get_or_insert_default(), error);
                came.returned = Returned::Nothing;
            }
        }
        let Some(Assignment { start, job: inner }) = self.next.assignment.take() else {
            return false;
        };
        let (left, end) = match (came.returned, class) {
            (Returned::Value(value), _) => (
                Left::Ended(inner.end(Outcome::Succeeded(value), self.next.spare.take())),
                AttemptEnd::Succeeded,
            ),
            (Returned::Panic(message), _) => (
                Left::Ended(inner.end(Outcome::Panicked(message), self.next.spare.take())),
                AttemptEnd::Panicked,
            ),
            (Returned::Abandoned, _) => (Left::Open(inner), AttemptEnd::Dropped),
            (_, Some(class)) => (Left::Open(inner), AttemptEnd::Failed(class)),
            (_, None) => (Left::Open(inner), AttemptEnd::TimedOut),
        };
        let (job, attempt) = (start.job.index(), start.attempt);
        let core = &self.engine.core;
        let ended = Ended {
            branch: came.branch,
            end,
            reported: came.reported,
            loser: came.loser,
        };
        let then = if core.crew.leave_to_others() {
            self.tools.awake = false;
            Then::Stop
        } else if core.crew.is_brisk() {
            Then::GoOnBriskly
        } else {
            Then::GoOn
        };
        let step = core.end_attempt(at, start.slot, left, ended, then, &mut self.next);
        if let AttemptEnd::Failed(_) | AttemptEnd::TimedOut | AttemptEnd::Panicked = end {
            let (end, retry) = (end.as_str(), step.retry);
            tracing::debug!(run = %core.run, job, attempt, end, retry, "An attempt failed.");
        }
        let (wants_input, launch) = (step.wants_input, step.launch);
        let yields = then == Then::GoOnBriskly && step.consumer.is_some();
        core.follow_up(step);
        if wants_input {
            self.engine.refill();
        } else if launch {
            self.engine.launch();
        }
        yields
    }
}

impl<J, R> Drop for Worker<J, R>
where
    J: Send + Sync + 'static,
    R: Runner<J>,
{
    /// Gives the job of an aborted worker its outcome.
    fn drop(&mut self) {
        if self.tools.starting {
            self.engine.core.lock().starting -= 1;
        }
        if self.tools.awake {
            self.engine.core.crew.leave();
        }
        let Some(Assignment { start, job }) = self.next.assignment.take() else {
            return;
        };
        let (left, end) = if std::thread::panicking() {
            let message = "the attempt panicked while it was dropped".to_owned();
            (
                Left::Ended(job.end(Outcome::Panicked(message), None)),
                AttemptEnd::Panicked,
            )
        } else {
            (Left::Open(job), AttemptEnd::Dropped)
        };
        let ended = Ended {
            branch: Branch::First,
            end,
            reported: Reports::take(&mut self.tools.reports),
            loser: Reported::default(),
        };
        let core = &self.engine.core;
        let step = core.end_attempt(
            Instant::now(),
            start.slot,
            left,
            ended,
            Then::Stop,
            &mut self.next,
        );
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
    Attempt {
        job: start.job,
        number,
        started: now,
        deadline: (start.ends_by < Tick::MAX).then(|| engine.core.instant(start.ends_by)),
        step: start.step,
        hedge: number != start.attempt,
        key: start.key.clone(),
        reports: Arc::clone(reports),
    }
}

/// Keeps an error of the job, and forgets the oldest if there are many.
fn keep<E>(errors: &mut Vec<E>, error: E) {
    if errors.len() >= KEPT_ERRORS {
        drop(errors.remove(0));
    }
    errors.push(error);
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
