//! What all tasks of a run share, whatever runs its jobs: the dispatcher, the jobs and the outcomes under one lock.
//!
//! User code (iterators, classifiers, sinks, wakers) is never called with the lock held.

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use throng_core::{Event, EventKind, EventSink, RunId};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::attempt::{Origin, Reported};
use crate::budget::Budget;
use crate::crew::Crew;
use crate::error::panic_message;
use crate::input::Jobs;
use crate::machine::{AttemptEnd, Branch, Dispatcher, Ended};
use crate::outbox::Outbox;
use crate::rate::Tick;
use crate::record::{Left, Record};
use crate::state::{Next, State};
use crate::sync::{Mutex, MutexGuard, PoisonError, lock_awake};
use crate::tasks::JoinSet;
use crate::totals::Totals;
use crate::{KeyProgress, Progress, RunError, RunSummary};

/// What the tasks of a run share.
pub(crate) struct Core<J, T, E> {
    pub(crate) run: RunId,
    pub(crate) began: Instant,
    pub(crate) origin: Arc<Origin>,
    /// Tells the driver that there is something to do.
    pub(crate) driver: Notify,
    pub(crate) crew: Crew,
    pub(crate) workers: Mutex<JoinSet<()>>,
    /// The consumer was not woken for what it may take.
    gathered: AtomicBool,
    /// How many outcomes are gathered before it is woken.
    enough: usize,
    sink: Option<Arc<dyn EventSink>>,
    /// Locked before the state where both are.
    totals: Mutex<Totals>,
    state: Mutex<State<J, T, E>>,
}

/// How many outcomes are gathered at most before the consumer is woken. With as many of its polls left to the thread, the
/// consumer can take them right after the worker that has woken it.
const GATHERED: usize = 48;
/// The same where the window is small; above 1 for schedules that are explored, whose windows are.
const LEAST_GATHERED: usize = if cfg!(throng_shuttle) { 2 } else { 1 };

/// What a worker does when an attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It takes the next attempt.
    GoOn,
    /// The same, and the last ones took next to no time.
    GoOnBriskly,
    /// Nothing: it is on its way out.
    Stop,
}

fn log(note: &EventKind) {
    match note {
        EventKind::LimitChanged { key, from, to, cause } => {
            tracing::trace!(
                key = key.as_deref(),
                from,
                to,
                cause,
                "An adaptive limit changed."
            );
        }
        EventKind::BreakerChanged { key, state } => {
            tracing::debug!(
                key = key.as_deref(),
                state,
                "A circuit breaker changed its state."
            );
        }
        _ => {}
    }
}

/// What becomes of the wish for a second attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hedged {
    Begins(NonZeroU32),
    Waits,
    Never,
}

impl<J, T, E> Core<J, T, E> {
    pub(crate) fn new(
        run: RunId,
        dispatcher: Dispatcher,
        outbox: Outbox<J, T, E>,
        jobs: Option<Jobs<J>>,
        sink: Option<Arc<dyn EventSink>>,
        threads: usize,
    ) -> Self {
        Self {
            run,
            began: Instant::now(),
            origin: Arc::new(Origin {
                run,
                cancellation: CancellationToken::new(),
                detached: AtomicU64::new(0),
            }),
            driver: Notify::new(),
            crew: Crew::new(threads),
            workers: Mutex::new(JoinSet::new()),
            gathered: AtomicBool::new(false),
            enough: (dispatcher.window() / 4).clamp(LEAST_GATHERED, GATHERED),
            sink,
            totals: Mutex::new(Totals::new()),
            state: Mutex::new(State::new(dispatcher, outbox, jobs)),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State<J, T, E>> {
        lock_awake(&self.state)
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

    /// Ends an attempt, whose value, error or panic is in what is left by now, and in the same breath takes the next one
    /// for the worker, which has none.
    pub(crate) fn end_attempt(
        &self,
        at: Instant,
        index: u32,
        left: Left<J, T, E>,
        ended: Ended,
        then: Then,
        next: &mut Next<J, T, E>,
    ) -> Step {
        let mut state = self.lock();
        let now = state.advance(self.tick(at));
        let ending = state.dispatcher.attempt_ended(now, index, ended);
        let unused = if state.hedging.is_empty() {
            None
        } else {
            state.hedging.remove(&index)
        };
        // A place that the job has taken up is replaced.
        if next.spare.is_none() {
            next.spare = state.spares.pop();
        }
        match (ending, left) {
            (Some(ending), left) => state.deliver(index, ending, left),
            (None, Left::Open(job)) => state.waiting[index as usize] = Some(job),
            (None, Left::Ended(_)) => debug_assert!(false, "a value or a panic ends its job"),
        }
        if then != Then::Stop {
            next.assignment = state.next_assignment(now);
        }
        state.deliver_all();
        state.gathering = then == Then::GoOnBriskly && next.assignment.is_some();
        let mut step = self.step(state);
        step.retry = ending.is_none();
        drop(unused);
        step
    }

    /// Ends one of the two running attempts of a job without a value.
    pub(crate) fn end_branch(&self, slot: u32, branch: Branch, end: AttemptEnd, reported: Reported) {
        let mut state = self.lock();
        let now = state.advance(self.tick(Instant::now()));
        state.dispatcher.branch_ended(now, slot, branch, end, reported);
        state.deliver_all();
        let step = self.step(state);
        self.follow_up(step);
        // The permit that came back is for another worker.
        self.driver.notify_one();
    }

    /// Asks for a second attempt of a running job, which `waker` will be told of if it has to wait.
    pub(crate) fn want_hedge(&self, slot: u32, waker: &Waker) -> Hedged {
        let waker = waker.clone();
        let mut state = self.lock();
        let now = state.advance(self.tick(Instant::now()));
        let wanted = state.dispatcher.want_hedge(now, slot);
        let answer = match state.dispatcher.hedge_attempt(slot) {
            Some(attempt) => Hedged::Begins(attempt),
            None if wanted => Hedged::Waits,
            None => Hedged::Never,
        };
        if answer == Hedged::Waits {
            state.hedging.insert(slot, waker);
        }
        let step = self.step(state);
        self.follow_up(step);
        answer
    }

    /// Returns which try the second attempt of the job is, once it has its permit.
    pub(crate) fn hedge_attempt(&self, slot: u32) -> Option<NonZeroU32> {
        self.lock().dispatcher.hedge_attempt(slot)
    }

    /// Looks at the state after a change and lets go of the lock.
    pub(crate) fn step(&self, mut state: MutexGuard<'_, State<J, T, E>>) -> Step {
        let gathering = std::mem::take(&mut state.gathering);
        // An end that is not told yet is for whoever tells of it: a driver that is woken now would look again and again.
        let over = state.is_over();
        let wakeup = state.dispatcher.sooner_wakeup();
        let sooner = wakeup.is_some_and(|at| state.armed.is_none_or(|armed| at < armed));
        let wanted = state.dispatcher.wanted() > 0;
        let step = Step {
            wants_input: state.jobs.is_some() && wanted,
            wake_driver: over || sooner || (state.stream_rests && wanted),
            consumer: {
                let enough = if gathering { self.enough } else { 1 };
                let consumer = state.outbox.take_consumer(over, enough);
                if gathering || self.gathered.load(Ordering::Relaxed) {
                    self.gathered
                        .store(gathering && consumer.is_none(), Ordering::SeqCst);
                }
                consumer
            },
            events: state.dispatcher.has_events(),
            // A worker that is on its way looks for more by itself.
            launch: state.dispatcher.has_slack() && state.starting == 0,
            hedges: state.take_hedges(),
            notes: state.dispatcher.take_notes(),
            retry: false,
        };
        drop(state);
        step
    }

    /// Lets outcomes be gathered with those that are about to come, if they are few and attempts follow each other without a
    /// wait. The consumer has to look at the crew once more when it has let go of the lock: that may be over.
    pub(crate) fn lets_gather(&self, state: &State<J, T, E>) -> bool {
        let few = !state.outbox.has(self.enough) && !state.is_over() && self.crew.is_brisk();
        if few {
            self.gathered.store(true, Ordering::SeqCst);
        }
        few
    }

    /// Wakes the consumer, if outcomes were gathered for it.
    pub(crate) fn hand_over(&self) {
        if self.gathered.load(Ordering::SeqCst) {
            let step = self.step(self.lock());
            self.follow_up(step);
        }
    }

    /// Wakes whoever has to act after a change. Call it without the lock.
    pub(crate) fn follow_up(&self, step: Step) {
        if step.events {
            self.flush_events();
        }
        if let Some(consumer) = step.consumer {
            consumer.wake();
        }
        step.hedges.into_iter().for_each(Waker::wake);
        step.notes.iter().for_each(log);
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
        self.origin.cancellation.cancel();
        self.control(|dispatcher, now| dispatcher.cancel(now, Duration::ZERO));
    }

    pub(crate) fn progress(&self) -> Progress {
        let state = self.lock();
        let stats = state.dispatcher.stats();
        Progress {
            elapsed: self.wall(&state),
            admitted: stats.admitted,
            ready: state.dispatcher.ready() as u64,
            running: state.dispatcher.running() as u64,
            detached: self.origin.detached.load(Ordering::Relaxed),
            backing_off: state.dispatcher.backing_off() as u64,
            max_concurrent: state.dispatcher.limit() as u64,
            retries: stats.retries,
            throttles: stats.pushbacks,
            hedges: stats.hedges,
            usage: stats.usage,
            paused: state.dispatcher.paused(),
            over: state.dispatcher.is_over(),
            counts: stats.ended,
        }
    }

    pub(crate) fn summary(&self) -> RunSummary {
        let taken = self.lock_totals();
        let state = self.lock();
        let mut totals = taken.clone();
        state
            .outbox
            .iter()
            .filter_map(Record::get)
            .for_each(|finished| totals.record(finished));
        let mut summary = RunSummary::new(state.dispatcher.stats(), &totals, self.wall(&state));
        summary.detached = self.origin.detached.load(Ordering::Relaxed);
        summary
    }

    pub(crate) fn keys(&self) -> Vec<KeyProgress> {
        let now = self.tick(Instant::now());
        let state = self.lock();
        let keys = state.dispatcher.keys().iter();
        keys.map(|key| KeyProgress {
            key: key.name.clone(),
            jobs: key.jobs,
            running: key.running,
            limit: Some(key.limit()).filter(|&limit| limit < usize::MAX),
            rests_for: Duration::from_nanos(key.rests_until().saturating_sub(now)),
            budget: key.budget.as_ref().map(Budget::tokens),
            breaker: key.breaker.as_ref().map(|breaker| breaker.state()),
        })
        .collect()
    }

    pub(crate) fn lock_totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the events that are recorded by now to the sink, in order, one caller at a time. What comes in meanwhile is
    /// left to the driver, so that a worker is not held up for longer than its own events take.
    fn flush_events(&self) {
        let Some(sink) = &self.sink else {
            return;
        };
        let mut state = self.lock();
        if std::mem::replace(&mut state.flushing, true) {
            return;
        }
        let events = state.dispatcher.take_events();
        drop(state);
        let flushed = catch_unwind(AssertUnwindSafe(|| {
            for (at, kind) in events {
                sink.record(&Event::new(self.run, Duration::from_nanos(at), kind));
            }
        }));
        if let Err(payload) = flushed {
            // `flushing` stays set, so that the sink is never called again.
            self.fail(RunError::SinkPanicked {
                message: panic_message(&*payload),
            });
            return;
        }
        let mut state = self.lock();
        state.flushing = false;
        let more = state.dispatcher.has_events();
        let over = state.is_over();
        let consumer = state.outbox.take_consumer(over, 1);
        drop(state);
        if let Some(consumer) = consumer {
            consumer.wake();
        }
        if more || over {
            self.driver.notify_one();
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
    pub(crate) consumer: Option<Waker>,
    events: bool,
    /// More than one attempt may have become free to start.
    pub(crate) launch: bool,
    /// Those whose second attempt may begin.
    hedges: Vec<Waker>,
    /// What is to be logged.
    notes: Vec<EventKind>,
    /// The job of the attempt that has ended waits for another.
    pub(crate) retry: bool,
}
