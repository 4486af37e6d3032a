//! A worker: the task that runs attempts, one after another, until none may start. It polls the attempt's future in
//! place, catches its panics, and drops it when its time is over. However the worker ends, its job has an outcome.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use throng_core::{AttemptId, ErrorClass, Outcome};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::Span;

use crate::attempt::{Attempt, Reports};
use crate::core::Assignment;
use crate::engine::Engine;
use crate::error::panic_message;
use crate::machine::{AttemptEnd, Start};
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
            let start = assignment.start;
            let cx = self.attempt(start, now);
            let deadline = cx.deadline;
            let span = tracing::debug_span!("attempt", id = %cx.id);
            let returned = run_attempt(
                &self.engine.runner,
                &assignment.record.input,
                cx,
                deadline,
                &mut self.timer,
                &span,
            )
            .await;
            now = Instant::now();
            self.end_attempt(now, returned);
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
        let step = core.step(state);
        core.follow_up(step);
        if self.current.is_some() {
            self.engine.launch();
        }
    }

    fn attempt(&self, start: Start, now: Instant) -> Attempt {
        let core = &self.engine.core;
        Attempt {
            id: AttemptId {
                run: core.run,
                job: start.job,
                attempt: start.attempt,
            },
            started: now,
            deadline: start.ends_by.map(|tick| core.instant(tick)),
            reports: Arc::clone(&self.reports),
        }
    }

    fn end_attempt(&mut self, at: Instant, returned: Returned<R::Output, R::Error>) {
        let Some(assignment) = &mut self.current else {
            return;
        };
        let record = &mut assignment.record;
        let end = match returned {
            Returned::Value(value) => {
                record.outcome = Outcome::Succeeded(value);
                AttemptEnd::Succeeded
            }
            Returned::Error(error) => {
                let class = classify(&self.engine, &error);
                if record.errors.len() >= KEPT_ERRORS {
                    // Dropping it is the user's code; should it panic, the job is still in its place.
                    drop(record.errors.remove(0));
                }
                record.errors.push(error);
                AttemptEnd::Failed(class)
            }
            Returned::Panic(message) => {
                record.outcome = Outcome::Panicked(message);
                AttemptEnd::Panicked
            }
            Returned::Nothing => AttemptEnd::TimedOut,
        };
        let reported = Reports::take(&mut self.reports);
        let Some(assignment) = self.current.take() else {
            return;
        };
        let start = assignment.start;
        let core = &self.engine.core;
        let (step, next) = core.end_attempt(at, assignment, end, &reported, true);
        self.current = next;
        if let AttemptEnd::Failed(_) | AttemptEnd::TimedOut | AttemptEnd::Panicked = end {
            let (job, attempt) = (start.job.index(), start.attempt);
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
        let (step, _) = core.end_attempt(Instant::now(), assignment, end, &reported, false);
        core.follow_up(step);
        core.driver.notify_one();
    }
}

fn classify<J, R>(engine: &Engine<J, R>, error: &R::Error) -> ErrorClass
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

/// What came of an attempt.
enum Returned<T, E> {
    Value(T),
    Error(E),
    Panic(String),
    /// Its time was over.
    Nothing,
}

/// Polls one attempt to its end. A panic ends it, and so does its deadline; no timer is armed before the attempt has
/// first had to wait.
async fn run_attempt<J, R: Runner<J>>(
    runner: &R,
    job: &J,
    cx: Attempt,
    deadline: Option<Instant>,
    timer: &mut Timer,
    span: &Span,
) -> Returned<R::Output, R::Error>
where
    J: Send + Sync + 'static,
{
    // The runner itself is called in the first poll, so that a panic in it is caught as well.
    let mut attempt = pin!(async move { runner.run(job, cx).await });
    poll_fn(|cx| {
        let polled = span.in_scope(|| catch_unwind(AssertUnwindSafe(|| attempt.as_mut().poll(cx))));
        match polled {
            Ok(Poll::Ready(Ok(value))) => Poll::Ready(Returned::Value(value)),
            Ok(Poll::Ready(Err(error))) => Poll::Ready(Returned::Error(error)),
            Err(payload) => Poll::Ready(Returned::Panic(panic_message(&*payload))),
            Ok(Poll::Pending) => match deadline {
                Some(deadline) => timer.poll_elapsed(deadline, cx).map(|()| Returned::Nothing),
                None => Poll::Pending,
            },
        }
    })
    .await
}

/// The one timer of a worker. It is left armed from attempt to attempt: as long as it fires before the deadline that
/// matters it need not be moved, so that attempts that end in time do not touch the timer wheel.
#[derive(Default)]
struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    fn poll_elapsed(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        // An attempt that has used up its task's budget must not keep its own timer from being looked at.
        while Pin::new(&mut unconstrained(sleep.as_mut())).poll(cx).is_ready() {
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}
