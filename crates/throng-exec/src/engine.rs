//! The tasks of a run: the driver, which owns time and input, and the workers, which own attempts.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use throng_core::{ErrorClass, RunId};
use tokio::time::Instant;

use crate::core::Core;
use crate::error::panic_message;
use crate::input::{End, Input, JobStream, Jobs, Pulled, poll_pull, pull};
use crate::machine::Dispatcher;
use crate::outbox::Outbox;
use crate::rate::Tick;
use crate::state::State;
use crate::tasks::{Handle, Sleep, sleep_until};
use crate::worker::Worker;
use crate::{Executor, Run, RunError, Runner};

/// How many jobs are taken from an iterator at a time, and for how long, before attempts start and other tasks get
/// their turn.
const PULL: usize = 256;
const PULL_TIME: Duration = Duration::from_millis(1);

/// Says what an error means for a retry.
pub(crate) type Classifier<E> = Box<dyn Fn(&E) -> ErrorClass + Send + Sync>;

/// What the driver and the workers of a run share.
pub(crate) struct Engine<J, R: Runner<J>> {
    pub(crate) core: Arc<Core<J, R::Output, R::Error>>,
    pub(crate) runner: R,
    pub(crate) classify: Classifier<R::Error>,
    runtime: Handle,
}

impl<J, R> Engine<J, R>
where
    J: Send + Sync + 'static,
    R: Runner<J>,
{
    pub(crate) fn start(
        executor: &Executor,
        input: Input<J>,
        runner: R,
        classify: Classifier<R::Error>,
    ) -> Run<J, R::Output, R::Error> {
        let runtime = Handle::current();
        let seed = executor.seed.unwrap_or_else(|| fastrand::u64(..));
        let dispatcher = Dispatcher::new(Arc::clone(&executor.settings), seed);
        let (jobs, stream) = match input {
            Input::Iterator(jobs) => (Some(jobs), None),
            Input::Stream(stream) => (None, Some(stream)),
        };
        let run = executor.run_id.unwrap_or_else(new_run_id);
        let outbox = Outbox::new(executor.order);
        let core = Arc::new(Core::new(
            run,
            dispatcher,
            outbox,
            jobs,
            executor.sink.clone(),
            runtime.metrics().num_workers(),
        ));
        let engine = Arc::new(Self {
            core: Arc::clone(&core),
            runner,
            classify,
            runtime: runtime.clone(),
        });
        // It is made here, so that a runtime without a time driver shows in the caller.
        let sleep = sleep_until(core.began);
        let driver = runtime.spawn(engine.drive(stream, sleep));
        Run::new(core, driver, executor.settings.window)
    }

    /// Takes a batch of jobs from the iterator, if the window has room for more, and starts what may start. Returns true
    /// if there was a batch, so that there may be another.
    pub(crate) fn refill(self: &Arc<Self>) -> bool {
        let pulling = self.begin_pull();
        let pulled_some = pulling.is_some();
        if let Some((mut jobs, n)) = pulling {
            let pulled = pull(&mut jobs, n, Instant::now() + PULL_TIME);
            let ended = pulled.end.is_some();
            let (rest, ended) = if ended {
                (None, Some(jobs))
            } else {
                (Some(jobs), None)
            };
            self.end_pull(pulled, |state| state.jobs = rest);
            self.discard(ended);
        }
        // A worker that is awake needs to be told only of what it does not know.
        if !self.core.crew.is_watched_by_leader() || self.core.lock().dispatcher.has_slack() {
            self.launch();
        }
        pulled_some
    }

    /// The driver: does what time brings, takes jobs from the input, and starts attempts, until the run is over.
    async fn drive(self: Arc<Self>, mut stream: Option<JobStream<J>>, sleep: Sleep) {
        let _guard = DriverGuard(Arc::clone(&self));
        let mut sleep = pin!(sleep);
        tracing::info!(run = %self.core.run, "A run began.");
        loop {
            // A worker that does the work of all takes jobs from the input as well, on the thread where they will run.
            while !self.core.crew.is_brisk() && self.refill() {
                tokio::task::yield_now().await;
            }
            let (over, wake_at, wanted) = self.arm(stream.is_some());
            if over {
                return;
            }
            let watch_at = self.core.crew.watch_at();
            let wake_at = wake_at.map(|tick| self.core.instant(tick));
            let wake_at = wake_at.into_iter().chain(watch_at).min();
            if let Some(wake_at) = wake_at {
                sleep.as_mut().reset(wake_at);
            }
            tokio::select! {
                biased;
                () = self.core.driver.notified() => {}
                () = sleep.as_mut(), if wake_at.is_some() => {}
                pulled = poll_fn(|cx| poll_stream(&mut stream, wanted, cx)), if wanted > 0 => {
                    let ended = if pulled.end.is_some() { stream.take() } else { None };
                    self.end_pull(pulled, |_| {});
                    self.discard(ended);
                }
            }
            self.tick();
            if watch_at.is_some_and(|at| at <= Instant::now()) {
                self.relieve();
            }
        }
    }

    /// Drops an input, whose `Drop` may panic as well.
    fn discard<I>(&self, input: Option<I>) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(input))) {
            self.core.fail(RunError::InputPanicked {
                message: panic_message(&*payload),
            });
        }
    }

    fn tick(&self) {
        let core = &self.core;
        let mut state = core.lock();
        let now = state.advance(core.tick(Instant::now()));
        state.dispatcher.tick(now);
        state.deliver_all();
        let abort = state.dispatcher.take_abort(now);
        let step = core.step(state);
        core.follow_up(step);
        if abort {
            core.origin.cancellation.cancel();
            core.lock_workers().abort_all();
        }
    }

    /// Returns whether the run is over, when the driver has to wake up, and how many jobs are wanted of a stream.
    fn arm(&self, has_stream: bool) -> (bool, Option<Tick>, usize) {
        let mut state = self.core.lock();
        let wanted = if has_stream { state.dispatcher.wanted() } else { 0 };
        state.armed = state.dispatcher.next_wakeup();
        state.stream_rests = has_stream && wanted == 0;
        (state.is_over(), state.armed, wanted)
    }

    fn begin_pull(&self) -> Option<(Jobs<J>, usize)> {
        let mut state = self.core.lock();
        let wanted = state.dispatcher.wanted();
        if wanted == 0 {
            if !state.dispatcher.is_open() {
                let unread = state.jobs.take();
                drop(state);
                self.discard(unread);
            }
            return None;
        }
        let jobs = state.jobs.take()?;
        state.dispatcher.begin_pull();
        Some((jobs, wanted.min(PULL)))
    }

    fn end_pull(&self, pulled: Pulled<J>, finish: impl FnOnce(&mut State<J, R::Output, R::Error>)) {
        let core = &self.core;
        let mut state = core.lock();
        let now = state.advance(core.tick(Instant::now()));
        // A run that has ended while its stream was polled takes nothing more.
        if !state.dispatcher.is_over() {
            pulled.jobs.into_iter().for_each(|job| state.admit(now, job));
        }
        finish(&mut state);
        let error = match pulled.end {
            Some(End::Panicked(message)) => Some(RunError::InputPanicked { message }),
            Some(End::Exhausted) => {
                state.dispatcher.end_input(now, true);
                None
            }
            None => None,
        };
        state.dispatcher.end_pull(now);
        let step = core.step(state);
        core.follow_up(step);
        if let Some(error) = error {
            core.fail(error);
        }
    }

    /// Lets workers come for the attempts that may start; or leaves that to a worker that is polling its first or next
    /// attempt just now, and will see to it when that one has to wait.
    pub(crate) fn launch(self: &Arc<Self>) {
        if !self.core.crew.leave_to_leader(|| self.core.driver.notify_one()) {
            self.spawn();
        }
    }

    /// Notes that a worker's attempt has to wait: others may come.
    pub(crate) fn parked(self: &Arc<Self>) {
        if self.core.crew.parked() {
            self.spawn();
            // The driver left the input to that worker.
            self.core.driver.notify_one();
        } else {
            self.core.hand_over();
        }
    }

    /// Sends for others when attempts hold up the only worker that is awake: they block, or compute.
    fn relieve(self: &Arc<Self>) {
        let attempts = self.core.lock().dispatcher.stats().attempts;
        if self.core.crew.is_held_up(attempts) {
            self.spawn();
        }
    }

    /// Spawns workers for the attempts that may start, but only a few ahead of those that have begun to work. Workers that
    /// find enough to do without waiting are thus not joined by others that find nothing left.
    fn spawn(self: &Arc<Self>) {
        let core = &self.core;
        let mut state = core.lock();
        let now = state.advance(core.tick(Instant::now()));
        let n = state
            .dispatcher
            .startable(now)
            .min(self.core.crew.most_starting())
            .saturating_sub(state.starting);
        state.starting += n;
        self.core.crew.join(n);
        let step = core.step(state);
        core.follow_up(step);
        if n > 0 {
            let mut workers = core.lock_workers();
            while workers.try_join_next().is_some() {}
            for _ in 0..n {
                workers.spawn_on(Worker::new(Arc::clone(self)).work(), &self.runtime);
            }
        }
    }
}

/// Ends the run if its driver goes away before: with its runtime, or by a panic that nobody foresaw.
struct DriverGuard<J: Send + Sync + 'static, R: Runner<J>>(Arc<Engine<J, R>>);

impl<J: Send + Sync + 'static, R: Runner<J>> Drop for DriverGuard<J, R> {
    fn drop(&mut self) {
        let core = &self.0.core;
        if !core.lock().dispatcher.is_over() {
            core.abort();
            core.lock_workers().abort_all();
        }
    }
}

fn poll_stream<J>(stream: &mut Option<JobStream<J>>, n: usize, cx: &mut Context<'_>) -> Poll<Pulled<J>> {
    match stream {
        Some(stream) => poll_pull(stream, n, cx),
        None => Poll::Pending,
    }
}

fn new_run_id() -> RunId {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut random = [0; 10];
    fastrand::Rng::new().fill(&mut random);
    RunId::from_parts(u64::try_from(unix.as_millis()).unwrap_or(u64::MAX), random)
}
