//! A run in progress: its outcomes as a stream, and a handle to steer it.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use throng_core::RunId;
use tokio::task::coop::poll_proceed;

use crate::core::Core;
use crate::machine::Dispatcher;
use crate::record::Record;
use crate::tasks::JoinHandle;
use crate::{Batches, BreakerState, Finished, Key, Progress, RunError, RunSummary};

/// How many emptied places are kept for jobs that will end.
const SPARES: usize = 128;

/// A run in progress: a stream of [`Finished`] jobs.
///
/// Dropping it aborts the run: running attempts are dropped at their next await point.
///
/// # Cancel safety
///
/// As a stream it is cancel safe: an outcome stays in the run until it is returned. After a wait the first poll may let
/// other tasks go first and be pending once more; to look without waiting, use [`Run::try_next`].
#[must_use = "dropping a run aborts it"]
pub struct Run<J, T, E> {
    core: Arc<Core<J, T, E>>,
    driver: JoinHandle<()>,
    /// Outcomes that were taken from the core and not returned yet. They still hold their places in the window.
    buffer: VecDeque<Record<J, T, E>>,
    /// Outcomes that were returned and still hold their places in the window.
    returned: usize,
    /// The places in memory of some of them.
    spent: Vec<Record<J, T, E>>,
    /// How many places are given back at a time.
    batch: usize,
    /// The last poll found nothing.
    waited: bool,
    /// The end of the run was logged. The consumer logs it, before it learns of the end and the program goes on.
    logged: bool,
}

impl<J, T, E> Run<J, T, E>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    pub(crate) fn new(core: Arc<Core<J, T, E>>, driver: JoinHandle<()>, window: usize) -> Self {
        Self {
            core,
            driver,
            buffer: VecDeque::new(),
            returned: 0,
            spent: Vec::new(),
            batch: (window / 4).clamp(1, 64),
            waited: false,
            logged: false,
        }
    }

    /// Returns the id of the run.
    pub fn id(&self) -> RunId {
        self.core.run
    }

    /// Returns a handle that steers the run from elsewhere. It does not keep the run going.
    pub fn handle(&self) -> RunHandle {
        RunHandle {
            core: Arc::clone(&self.core) as Arc<dyn Control>,
        }
    }

    /// Waits for the next job that ends; `None` when every job has ended and was returned.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an outcome stays in the run until it is returned.
    pub async fn next(&mut self) -> Option<Finished<J, T, E>> {
        poll_fn(|cx| self.poll_finished(cx)).await
    }

    /// Returns the next job that has ended, if there is one by now.
    pub fn try_next(&mut self) -> Option<Finished<J, T, E>> {
        if self.buffer.is_empty() {
            self.exchange(None);
        }
        self.take_buffered()
    }

    fn take_buffered(&mut self) -> Option<Finished<J, T, E>> {
        let record = self.buffer.pop_front()?;
        self.returned += 1;
        self.spent.push(record);
        self.spent.last_mut()?.take()
    }

    /// Gives the outcomes in batches of `size`, the last of which may be smaller. No job waits for a batch to be full or
    /// taken, as long as the window has room for it; for batches that begin one after another, see
    /// [`ExecutorBuilder::barrier`](crate::ExecutorBuilder::barrier).
    ///
    /// With [`OutputOrder::Submission`](crate::OutputOrder::Submission) batch `i` has the jobs from `i × size` on.
    pub fn batches(self, size: NonZeroUsize) -> Batches<J, T, E> {
        Batches::new(self, size)
    }

    /// Waits until every job has ended and returns the summary. Outcomes that were not taken are dropped.
    ///
    /// # Errors
    ///
    /// Fails if the run itself could not go on; see [`RunError`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future aborts the run.
    pub async fn finish(mut self) -> Result<RunSummary, RunError> {
        while self.next().await.is_some() {}
        let error = self.core.lock().error.take();
        error.map_or_else(|| Ok(self.core.summary()), Err)
    }

    /// Aborts the run and waits until none of its tasks is left. Jobs that had not ended count as cancelled.
    ///
    /// This waits for an attempt that blocks the thread on which it is polled. It does not wait for calls of
    /// [`Blocking`](crate::Blocking): [`RunSummary::detached`] says how many still run, and
    /// [`Blocking::wait_detached`](crate::Blocking::wait_detached) waits for them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the run aborted, but its tasks may still be on their way out.
    pub async fn shutdown(mut self) -> RunSummary {
        self.core.abort();
        while self.next().await.is_some() {}
        let _ = (&mut self.driver).await;
        let mut workers = std::mem::take(&mut *self.core.lock_workers());
        while workers.join_next().await.is_some() {}
        self.core.summary()
    }

    fn poll_finished(&mut self, cx: &mut Context<'_>) -> Poll<Option<Finished<J, T, E>>> {
        let coop = ready!(poll_proceed(cx));
        if self.buffer.is_empty() || self.returned >= self.batch {
            // A consumer that has waited lets the tasks go first that became ready with it: they may bring outcomes
            // that it can take at the same time. Where attempts do not wait, there are none.
            if std::mem::take(&mut self.waited) && !self.core.crew.is_brisk() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.exchange(Some(cx)) {
                coop.made_progress();
                return Poll::Ready(None);
            }
        }
        if self.buffer.is_empty() {
            self.waited = true;
            return Poll::Pending;
        }
        coop.made_progress();
        Poll::Ready(self.take_buffered())
    }

    /// Gives places back and takes outcomes; if there are none, notes who waits. Returns true if there will be no more.
    fn exchange(&mut self, cx: Option<&mut Context<'_>>) -> bool {
        let had = self.buffer.len();
        // Wakers are the user's code: they are cloned and dropped without the locks.
        let waker = cx.filter(|_| had == 0).map(|cx| cx.waker().clone());
        let mut totals = self.core.lock_totals();
        let mut state = self.core.lock();
        state.dispatcher.taken(std::mem::take(&mut self.returned));
        if state.spares.len() < SPARES {
            state.spares.append(&mut self.spent);
        }
        let surplus = self.spent.split_off(self.spent.len().min(self.batch));
        let few = waker.is_some() && self.core.lets_gather(&state);
        if had == 0 && !few {
            state.outbox.swap(&mut self.buffer);
        }
        let over = self.buffer.is_empty() && state.is_over();
        let waits = self.buffer.is_empty() && !over && waker.is_some();
        let unused = if waits { state.outbox.wait(waker) } else { waker };
        let wanted = state.dispatcher.wanted() > 0;
        drop(state);
        for record in self.buffer.iter().skip(had) {
            record
                .get()
                .into_iter()
                .for_each(|finished| totals.record(finished));
        }
        drop(totals);
        drop((unused, surplus));
        if (wanted || few) && !self.core.crew.is_brisk() {
            // No worker is about to look.
            self.core.driver.notify_one();
        }
        if over && !std::mem::replace(&mut self.logged, true) {
            let progress = self.core.progress();
            let (jobs, retries) = (progress.admitted, progress.retries);
            tracing::info!(run = %self.core.run, jobs, retries, "A run ended.");
        }
        over
    }
}

impl<J, T, E> Stream for Run<J, T, E>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    type Item = Finished<J, T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_finished(cx)
    }
}

impl<J, T, E> Drop for Run<J, T, E> {
    fn drop(&mut self) {
        if !self.core.lock().dispatcher.is_over() {
            self.core.abort();
            self.driver.abort();
            self.core.lock_workers().abort_all();
        }
        // A handle may live on: what belongs to the run's owner goes now, without the lock.
        let mut state = self.core.lock();
        let unread = state.jobs.take();
        let untaken = state.outbox.take_all();
        let consumer = state.outbox.wait(None);
        drop(state);
        drop((unread, untaken, consumer));
    }
}

impl<J, T, E> fmt::Debug for Run<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("id", &self.core.run)
            .field("progress", &self.core.progress())
            .finish()
    }
}

/// Steers a run and looks at it. Cheap to clone; without effect once the run is over.
#[derive(Clone)]
pub struct RunHandle {
    core: Arc<dyn Control>,
}

impl RunHandle {
    /// Returns the id of the run.
    pub fn id(&self) -> RunId {
        self.core.id()
    }

    /// Lets no new attempt start until [`RunHandle::resume`]. Running attempts go on.
    pub fn pause(&self) {
        self.core.control(&mut Dispatcher::pause);
    }

    /// Lets attempts start again.
    pub fn resume(&self) {
        self.core.control(&mut Dispatcher::resume);
    }

    /// Changes how many attempts run at most at the same time. A lower limit takes effect as running attempts end.
    /// The window stays as it is.
    pub fn set_max_concurrent(&self, limit: NonZeroUsize) {
        self.core
            .control(&mut |dispatcher, now| dispatcher.set_limit(now, limit.get()));
    }

    /// Lets running attempts go on to their end and starts nothing more. Jobs that never began end as
    /// [`Cancelled`](throng_core::Outcome::Cancelled), jobs that wait for a retry end with their last error, and the
    /// input is not read on.
    pub fn drain(&self) {
        self.core.control(&mut Dispatcher::drain);
    }

    /// Asks running attempts to stop (see [`Attempt::cancelled`](crate::Attempt::cancelled)) and drops those that
    /// still run after `grace`. Every job that has not succeeded by its end is
    /// [`Cancelled`](throng_core::Outcome::Cancelled).
    pub fn cancel(&self, grace: Duration) {
        self.core.cancel();
        self.core
            .control(&mut |dispatcher, now| dispatcher.cancel(now, grace));
    }

    /// Drops the running attempts at their next await point. Same as [`RunHandle::cancel`] without grace.
    pub fn abort(&self) {
        self.cancel(Duration::ZERO);
    }

    /// Returns what the run is doing right now.
    pub fn progress(&self) -> Progress {
        self.core.progress()
    }

    /// Returns the summary of what has ended so far.
    pub fn summary(&self) -> RunSummary {
        self.core.summary()
    }

    /// Returns what the run knows of each key right now, in no particular order.
    pub fn keys(&self) -> Vec<KeyProgress> {
        self.core.keys()
    }
}

/// What a run knows of one key right now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyProgress {
    /// The key; `None` stands for the jobs without one.
    pub key: Option<Key>,
    /// Its jobs that were admitted and have not ended.
    pub jobs: usize,
    /// Attempts that run.
    pub running: usize,
    /// Attempts that run at most at the same time, if the key has a limit: that of its policy, as adapted, or the probes of
    /// its breaker.
    pub limit: Option<usize>,
    /// For how long no attempt starts because of a Retry-After, the key's rates or its breaker.
    pub rests_for: Duration,
    /// What is left of its retry budget, if it has one.
    pub budget: Option<u32>,
    /// The state of its circuit breaker, if it has one.
    pub breaker: Option<BreakerState>,
}

impl fmt::Debug for RunHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunHandle")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// The part of a core that does not depend on the types of its jobs.
trait Control: Send + Sync {
    fn id(&self) -> RunId;
    fn control(&self, change: &mut dyn FnMut(&mut Dispatcher, crate::rate::Tick));
    fn cancel(&self);
    fn progress(&self) -> Progress;
    fn summary(&self) -> RunSummary;
    fn keys(&self) -> Vec<KeyProgress>;
}

impl<J, T, E> Control for Core<J, T, E>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    fn id(&self) -> RunId {
        self.run
    }

    fn control(&self, change: &mut dyn FnMut(&mut Dispatcher, crate::rate::Tick)) {
        Core::control(self, change);
    }

    fn cancel(&self) {
        self.origin.cancellation.cancel();
    }

    fn progress(&self) -> Progress {
        Core::progress(self)
    }

    fn summary(&self) -> RunSummary {
        Core::summary(self)
    }

    fn keys(&self) -> Vec<KeyProgress> {
        Core::keys(self)
    }
}
