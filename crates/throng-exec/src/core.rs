//! What all tasks of a run share, whatever runs its jobs: the dispatcher, the jobs and the outcomes under one lock.
//!
//! User code (iterators, classifiers, sinks, wakers) is never called with the lock held.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use throng_core::{Event, EventSink, Outcome, RunId};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::panic_message;
use crate::input::Jobs;
use crate::machine::{AttemptEnd, Closed, Dispatcher, Ending, Start};
use crate::outbox::Outbox;
use crate::rate::Tick;
use crate::{Finished, JobSpec, Key, Progress, RunError, RunSummary};

/// How many errors of earlier attempts a job keeps.
const KEPT_ERRORS: usize = 16;

/// What the tasks of a run share.
pub(crate) struct Core<J, T, E> {
    pub(crate) run: RunId,
    pub(crate) began: Instant,
    pub(crate) cancellation: CancellationToken,
    /// Tells the driver that there is something to do.
    pub(crate) driver: Notify,
    pub(crate) workers: Mutex<JoinSet<()>>,
    sink: Option<Arc<dyn EventSink>>,
    state: Mutex<State<J, T, E>>,
}

/// What the lock protects.
pub(crate) struct State<J, T, E> {
    pub(crate) dispatcher: Dispatcher,
    pub(crate) outbox: Outbox<J, T, E>,
    /// The iterator of jobs, while nobody is pulling from it.
    pub(crate) jobs: Option<Jobs<J>>,
    pub(crate) error: Option<RunError>,
    /// When the driver will wake up by itself.
    pub(crate) armed: Option<Tick>,
    waiting: Vec<Option<Waiting<J, E>>>,
    now: Tick,
    flushing: bool,
}

/// The data of a job that no attempt is running. While one runs, the worker has the input.
struct Waiting<J, E> {
    input: Option<J>,
    key: Option<Key>,
    errors: Vec<E>,
    panic: String,
}

/// An attempt that a worker has to run.
pub(crate) struct Assignment<J> {
    pub(crate) start: Start,
    pub(crate) input: J,
}

/// What a worker reports of an attempt.
pub(crate) enum Returned<T, E> {
    Succeeded(T),
    Failed(E),
    TimedOut,
    Panicked(String),
    Dropped,
}

impl<J, T, E> Core<J, T, E> {
    pub(crate) fn new(
        run: RunId,
        dispatcher: Dispatcher,
        outbox: Outbox<J, T, E>,
        jobs: Option<Jobs<J>>,
        sink: Option<Arc<dyn EventSink>>,
    ) -> Self {
        Self {
            run,
            began: Instant::now(),
            cancellation: CancellationToken::new(),
            driver: Notify::new(),
            workers: Mutex::new(JoinSet::new()),
            sink,
            state: Mutex::new(State {
                dispatcher,
                outbox,
                jobs,
                error: None,
                armed: None,
                waiting: Vec::new(),
                now: 0,
                flushing: false,
            }),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State<J, T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_workers(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tick(&self, at: Instant) -> Tick {
        Tick::try_from(at.saturating_duration_since(self.began).as_nanos()).unwrap_or(Tick::MAX)
    }

    pub(crate) fn instant(&self, tick: Tick) -> Instant {
        let far = Duration::from_secs(86_400 * 365 * 30);
        self.began + Duration::from_nanos(tick).min(far)
    }

    /// Ends an attempt and, in the same breath, takes the next one for the worker.
    pub(crate) fn end_attempt(
        &self,
        at: Instant,
        assignment: (Start, J),
        returned: Returned<T, E>,
        class: throng_core::ErrorClass,
        reported: &crate::attempt::Reported,
        take_next: bool,
    ) -> (Step, Option<Assignment<J>>) {
        let (start, input) = assignment;
        let mut state = self.lock();
        let now = state.advance(self.tick(at));
        state.put_back(start.slot, input);
        let end = match &returned {
            Returned::Succeeded(_) => AttemptEnd::Succeeded,
            Returned::Failed(_) => AttemptEnd::Failed(class),
            Returned::TimedOut => AttemptEnd::TimedOut,
            Returned::Panicked(_) => AttemptEnd::Panicked,
            Returned::Dropped => AttemptEnd::Dropped,
        };
        let value = state.note(start.slot, returned);
        if state.dispatcher.attempt_ended(now, start.slot, end, reported) {
            state.deliver(value);
        }
        let next = if take_next { state.next_assignment(now) } else { None };
        (self.step(state), next)
    }

    /// Looks at the state after a change and lets go of the lock.
    pub(crate) fn step(&self, mut state: MutexGuard<'_, State<J, T, E>>) -> Step {
        let over = state.dispatcher.is_over();
        let wakeup = state.dispatcher.next_wakeup();
        let sooner = wakeup.is_some_and(|at| state.armed.is_none_or(|armed| at < armed));
        let step = Step {
            wants_input: state.jobs.is_some() && state.dispatcher.wanted() > 0,
            wake_driver: over || sooner,
            consumer: state.outbox.take_consumer(over),
            events: state.dispatcher.has_events(),
        };
        drop(state);
        step
    }

    /// Wakes whoever has to act after a change. Call it without the lock.
    pub(crate) fn follow_up(&self, step: Step) {
        if step.events {
            self.flush_events();
        }
        if let Some(consumer) = step.consumer {
            consumer.wake();
        }
        if step.wake_driver {
            self.driver.notify_one();
        }
    }

    /// Changes the dispatcher from outside and lets the driver act on it.
    pub(crate) fn control(&self, change: impl FnOnce(&mut Dispatcher, Tick)) {
        let mut state = self.lock();
        let now = state.advance(self.tick(Instant::now()));
        change(&mut state.dispatcher, now);
        state.deliver_all();
        let step = self.step(state);
        self.follow_up(step);
        self.driver.notify_one();
    }

    /// Ends the run because of `error`: no further job begins, running attempts go on to their end.
    pub(crate) fn fail(&self, error: RunError) {
        self.lock().error.get_or_insert(error);
        self.control(Dispatcher::drain);
    }

    pub(crate) fn abort(&self) {
        self.cancellation.cancel();
        self.control(|dispatcher, now| dispatcher.cancel(now, Some(Duration::ZERO)));
    }

    pub(crate) fn progress(&self) -> Progress {
        let state = self.lock();
        let stats = state.dispatcher.stats();
        Progress {
            elapsed: self.wall(&state),
            admitted: stats.admitted,
            ready: state.dispatcher.ready() as u64,
            running: state.dispatcher.running() as u64,
            backing_off: state.dispatcher.backing_off() as u64,
            max_concurrent: state.dispatcher.limit() as u64,
            retries: stats.retries,
            throttles: stats.pushbacks,
            usage: stats.usage,
            paused: state.dispatcher.paused(),
            over: state.dispatcher.is_over(),
            counts: stats.ended,
        }
    }

    pub(crate) fn summary(&self) -> RunSummary {
        let state = self.lock();
        RunSummary::new(state.dispatcher.stats(), self.wall(&state))
    }

    /// Gives the recorded events to the sink, in order, one caller at a time.
    fn flush_events(&self) {
        let Some(sink) = &self.sink else {
            return;
        };
        let mut state = self.lock();
        if std::mem::replace(&mut state.flushing, true) {
            return;
        }
        loop {
            let events = state.dispatcher.take_events();
            if events.is_empty() {
                state.flushing = false;
                let over = state.dispatcher.is_over();
                let consumer = state.outbox.take_consumer(over);
                drop(state);
                if let Some(consumer) = consumer {
                    consumer.wake();
                }
                return;
            }
            drop(state);
            let flushed = catch_unwind(AssertUnwindSafe(|| {
                for (at, kind) in events {
                    sink.record(&Event::new(self.run, Duration::from_nanos(at), kind));
                }
            }));
            if let Err(payload) = flushed {
                // `flushing` stays set, so that the sink is never called again.
                self.fail(RunError::SinkPanicked { message: panic_message(&*payload) });
                return;
            }
            state = self.lock();
        }
    }

    fn wall(&self, state: &State<J, T, E>) -> Duration {
        let end = state.dispatcher.stats().finished_at;
        Duration::from_nanos(end.unwrap_or_else(|| self.tick(Instant::now())))
    }
}

/// What follows from a change of the state.
pub(crate) struct Step {
    pub(crate) wants_input: bool,
    wake_driver: bool,
    consumer: Option<Waker>,
    events: bool,
}

impl<J, T, E> State<J, T, E> {
    /// Returns the time of the run: `now`, or a later time that another task has already brought.
    pub(crate) fn advance(&mut self, now: Tick) -> Tick {
        self.now = self.now.max(now);
        self.now
    }

    /// Returns true if the consumer has nothing more to wait for.
    pub(crate) fn is_over(&self) -> bool {
        let told = self.error.is_some() || (!self.flushing && !self.dispatcher.has_events());
        self.dispatcher.is_over() && told
    }

    pub(crate) fn admit(&mut self, now: Tick, job: JobSpec<J>) {
        let slot = self.dispatcher.admit(now, job.key.clone(), job.timeout, job.cost) as usize;
        if slot >= self.waiting.len() {
            self.waiting.resize_with(slot + 1, || None);
        }
        self.waiting[slot] =
            Some(Waiting { input: Some(job.input), key: job.key, errors: Vec::new(), panic: String::new() });
        self.deliver_all();
    }

    pub(crate) fn next_assignment(&mut self, now: Tick) -> Option<Assignment<J>> {
        let start = self.dispatcher.next_start(now)?;
        let waiting = self.waiting[start.slot as usize].as_mut()?;
        Some(Assignment { start, input: waiting.input.take()? })
    }

    /// Moves every job that the dispatcher has closed by itself to the outbox.
    pub(crate) fn deliver_all(&mut self) {
        while let Some(closed) = self.dispatcher.pop_closed() {
            self.deliver_one(&closed, None);
        }
    }

    fn put_back(&mut self, slot: u32, input: J) {
        if let Some(waiting) = &mut self.waiting[slot as usize] {
            waiting.input = Some(input);
        }
    }

    /// Keeps what an attempt returned other than a value.
    fn note(&mut self, slot: u32, returned: Returned<T, E>) -> Option<T> {
        let waiting = self.waiting[slot as usize].as_mut()?;
        match returned {
            Returned::Succeeded(value) => return Some(value),
            Returned::Failed(error) => {
                if waiting.errors.len() > KEPT_ERRORS {
                    waiting.errors.remove(0);
                }
                waiting.errors.push(error);
            }
            Returned::Panicked(message) => waiting.panic = message,
            Returned::TimedOut | Returned::Dropped => {}
        }
        None
    }

    /// Moves the job that has just been closed to the outbox.
    fn deliver(&mut self, value: Option<T>) {
        if let Some(closed) = self.dispatcher.pop_closed() {
            self.deliver_one(&closed, value);
        }
    }

    fn deliver_one(&mut self, closed: &Closed, value: Option<T>) {
        let waiting = self.waiting[closed.slot as usize].take();
        let Some(Waiting { input: Some(input), key, mut errors, panic }) = waiting else {
            debug_assert!(false, "a job that is closed is not running");
            return;
        };
        let outcome = match (closed.ending, value) {
            (Ending::Succeeded, Some(value)) => Outcome::Succeeded(value),
            (Ending::Failed, _) if !errors.is_empty() => Outcome::Failed(errors.remove(errors.len() - 1)),
            (Ending::TimedOut(kind), _) => Outcome::TimedOut(kind),
            (Ending::Panicked, _) => Outcome::Panicked(panic),
            (Ending::Skipped, _) => Outcome::Skipped,
            (Ending::Cancelled | Ending::Succeeded | Ending::Failed, _) => Outcome::Cancelled,
        };
        self.outbox.push(Finished {
            id: closed.job,
            input,
            key,
            outcome,
            attempts: closed.attempts,
            errors,
            usage: closed.usage,
            timing: closed.timing,
        });
    }
}
