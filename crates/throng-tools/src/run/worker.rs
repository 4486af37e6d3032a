//! A worker: the task that makes attempts, one after another, until none can start. However it ends, its call has an
//! outcome.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::Value;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::core::{Assignment, PlanCore, Probe, Step, invalid};
use super::journal;
use crate::{CallOutcome, ToolContext, ToolError, resolve};

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Attempted {
    Value(Value),
    Error(ToolError),
    /// The arguments are wrong, and nothing began.
    Invalid(ToolError),
    /// The journal could not be written, and nothing began.
    NotWritten(ToolError),
    TimedOut(Duration),
    Panic(String),
    /// It was dropped.
    Aborted {
        began: bool,
    },
}

/// The task that makes attempts.
pub(super) struct Worker {
    core: Arc<PlanCore>,
    assignment: Option<Assignment>,
    /// The tool was called.
    called: bool,
    /// An end is being written.
    ending: Option<(u32, CallOutcome)>,
    timer: Option<Pin<Box<Sleep>>>,
    cancelled: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Worker {
    pub(super) fn new(core: Arc<PlanCore>, assignment: Assignment) -> Self {
        Self {
            core,
            assignment: Some(assignment),
            called: false,
            ending: None,
            timer: None,
            cancelled: None,
        }
    }

    pub(super) async fn work(mut self) {
        while let Some(assignment) = self.assignment.take() {
            let Some((assignment, arguments, reading)) = self.prepare(assignment) else {
                continue;
            };
            let (call, attempt) = (Arc::clone(&assignment.call), assignment.attempt);
            self.assignment = Some(assignment);
            let attempted = self.attempt(&arguments, attempt).await;
            if let Some(number) = reading {
                let value = match &attempted {
                    Attempted::Value(value) => Some(value),
                    _ => None,
                };
                self.core.end_read(number, &call, &arguments, value);
            }
            self.end(attempted).await;
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Puts results into the arguments and checks them; looks whether another call serves this one. Returns `None` if there
    /// is nothing to attempt; what to do next is in its place then.
    fn prepare(&mut self, assignment: Assignment) -> Option<(Assignment, Value, Option<u64>)> {
        let call = Arc::clone(&assignment.call);
        let mut arguments = call.arguments.clone();
        if let Some(names) = &assignment.names {
            let result = |of: u32| {
                let found = assignment.results.iter().find(|(index, _)| *index == of);
                found.and_then(|(_, result)| result.outcome.value())
            };
            let filled =
                resolve(&mut arguments, names, call.index, result).map_err(|error| error.to_string());
            let checked = filled.and_then(|()| match &call.tool {
                Some((entry, _)) => entry.check(&arguments, &[]),
                None => Ok(()),
            });
            if let Err(message) = checked {
                let error = invalid(&call.name, &message);
                self.assignment = Some(assignment);
                self.assignment = self.finish(Attempted::Invalid(error));
                return None;
            }
        }
        if assignment.attempt.is_some() {
            return Some((assignment, arguments, None));
        }
        match self.core.probe(assignment, &arguments) {
            Probe::Begin(assignment, reading) => Some((assignment, arguments, reading)),
            Probe::Moved(next) => {
                self.assignment = next;
                None
            }
        }
    }

    /// Makes the attempt.
    async fn attempt(&mut self, arguments: &Value, attempt: Option<std::num::NonZeroU32>) -> Attempted {
        let core = Arc::clone(&self.core);
        let Some((call, began)) = self
            .assignment
            .as_ref()
            .map(|of| (Arc::clone(&of.call), of.began))
        else {
            return Attempted::Aborted { began: false };
        };
        let Some((entry, _)) = &call.tool else {
            return Attempted::Aborted { began: false };
        };
        if let Some((journal, run)) = &core.journal {
            let step = journal::step(&call.id);
            let written = journal.begin(run, &step, &arguments.to_string()).await;
            if let Err(error) = written {
                let error = ToolError::from(format!("it did not begin: {}", journal::text(&error)));
                return Attempted::NotWritten(error);
            }
        }
        if core.cancel.is_cancelled() {
            return Attempted::Aborted { began: false };
        }
        let deadline = call.timeout.and_then(|timeout| began.checked_add(timeout));
        let cx = ToolContext {
            call_id: Arc::clone(&call.id),
            attempt: attempt.unwrap_or(std::num::NonZeroU32::MIN),
            cancel: core.cancel.clone(),
            deadline,
            session: core.session.clone(),
            metadata: Arc::clone(&core.metadata),
        };
        self.called = true;
        let future = match catch_unwind(AssertUnwindSafe(|| entry.tool().call(arguments.clone(), cx))) {
            Ok(future) => future,
            Err(payload) => return Attempted::Panic(panic_message(&*payload)),
        };
        let mut future = pin!(AssertUnwindSafe(future).catch_unwind());
        if let Poll::Ready(end) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            return returned(end);
        }
        // It waits: others may come meanwhile.
        core.launch();
        let cancelled = self
            .cancelled
            .get_or_insert_with(|| Box::pin(core.cancel.clone().cancelled_owned()));
        let timer = deadline.map(|deadline| armed(&mut self.timer, deadline));
        let has_timer = timer.is_some();
        let timer = async {
            if let Some(timer) = timer {
                timer.await;
            }
        };
        tokio::select! {
            biased;
            end = &mut future => return returned(end),
            () = cancelled.as_mut() => {}
            () = timer, if has_timer => return Attempted::TimedOut(call.timeout.unwrap_or_default()),
        }
        self.cancelled = None;
        let grace = armed(&mut self.timer, Instant::now() + core.exec.settings.grace);
        tokio::select! {
            biased;
            end = future => returned(end),
            () = grace => Attempted::Aborted { began: true },
        }
    }

    /// Ends the attempt, and takes the next.
    async fn end(&mut self, attempted: Attempted) {
        let Some(assignment) = self.assignment.take() else {
            return;
        };
        self.called = false;
        match self.core.finish(assignment, attempted) {
            Step::Next(next) => self.assignment = next,
            Step::Write(assignment, outcome) => {
                let index = assignment.call.index;
                let error = match &self.core.journal {
                    Some((journal, run)) => {
                        let step = journal::step(&assignment.call.id);
                        let ending = journal::ending(&outcome);
                        self.ending = Some((index, outcome));
                        let written = journal.end(run, &step, &ending).await;
                        written.err().map(|error| journal::text(&error))
                    }
                    None => None,
                };
                if let Some((index, outcome)) = self.ending.take() {
                    self.assignment = self.core.written(index, outcome, error);
                }
            }
        }
    }

    fn finish(&mut self, attempted: Attempted) -> Option<Assignment> {
        let assignment = self.assignment.take()?;
        match self.core.finish(assignment, attempted) {
            Step::Next(next) => next,
            Step::Write(assignment, outcome) => self.core.written(assignment.call.index, outcome, None),
        }
    }
}

impl Drop for Worker {
    /// Gives the call of an aborted worker its outcome.
    fn drop(&mut self) {
        if self.ending.is_none() && self.assignment.is_none() {
            return;
        }
        if !std::thread::panicking() {
            // The plan was dropped, or its runtime goes away.
            self.core.stop_all();
        }
        let next = if let Some((index, outcome)) = self.ending.take() {
            // Whether it was written is not known; the call has ended either way.
            self.core.written(index, outcome, None)
        } else if self.assignment.is_some() {
            let attempted = if std::thread::panicking() {
                Attempted::Panic("the attempt panicked while it was dropped".to_owned())
            } else {
                Attempted::Aborted { began: self.called }
            };
            self.finish(attempted)
        } else {
            None
        };
        if let Some(next) = next {
            // The plan goes on without this worker.
            self.core.hand_over(next);
        }
    }
}

fn armed(timer: &mut Option<Pin<Box<Sleep>>>, deadline: Instant) -> Pin<&mut Sleep> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
    timer.as_mut().reset(deadline);
    timer.as_mut()
}

fn returned(end: Result<Result<Value, ToolError>, Box<dyn Any + Send>>) -> Attempted {
    match end {
        Ok(Ok(value)) => Attempted::Value(value),
        Ok(Err(error)) => Attempted::Error(error),
        Err(payload) => Attempted::Panic(panic_message(&*payload)),
    }
}

/// Returns the message of a panic, cut at 1 KiB.
fn panic_message(payload: &(dyn Any + Send)) -> String {
    const LIMIT: usize = 1024;
    let text = if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a value that is not text"
    };
    text.get(..text.floor_char_boundary(LIMIT))
        .unwrap_or_default()
        .to_owned()
}
