//! The pool: what is lent, to whom, and how it comes back.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use throng_core::Classify;
use tokio::time::Instant;

use crate::pool::checkout::Checkout;
use crate::pool::lease::Use;
use crate::pool::roster::{Health, Returned, Roster};
use crate::pool::{AgentPoolBuilder, Lease, PoolRunner, WorkerStats};
use crate::{Attempt, Executor, JobSpec, RunReport};

/// Makes the state of a worker from its name.
pub(crate) type Factory<S> = Box<dyn Fn(&str) -> S + Send + Sync>;

/// Named workers, each with a state of its own: a connection, a process, a conversation. Cheap to clone; clones mean
/// the same pool.
///
/// - **Balance.** A checkout gets the idle worker that has worked least so far: by the time it was in use, then by the
///   number of its uses, then by the order of the names.
/// - **Order.** Who waits for a worker is served in the order in which the waits began.
/// - **Replacement.** A worker whose use panicked, or whose [`Lease`] says so, loses its state. At its next checkout
///   the factory makes another, under the same name and with the next generation. The size of the pool never changes.
/// - **Health.** After 3 failed uses in a row a worker rests for 30 s (see [`AgentPoolBuilder::rest_after`]). A resting
///   worker is not lent as long as a worker of the pool does not rest, be it idle or in use. Where all of them rest,
///   the one whose rest ends first is lent all the same, one at a time until a use succeeds. After its rest a worker
///   has one trial: if that fails, it rests again.
///
/// A worker's state is made at the worker's first checkout, by the task that checks it out, with nothing locked. If the
/// factory panics, so does that checkout; this counts as a failed use, and the factory is asked again at the worker's
/// next checkout.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroUsize;
/// use throng_exec::{AgentPool, Attempt, Executor, Lease};
///
/// /// What a worker keeps from one question to the next.
/// struct Agent {
///     answered: u32,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let six = NonZeroUsize::new(6).ok_or("zero")?;
/// let pool = AgentPool::builder(|_name| Agent { answered: 0 }).workers(six).build()?;
/// let executor = Executor::builder().max_concurrent(six).build()?;
///
/// let ask = |mut agent: Lease<Agent>, question: &'static str, _: Attempt| async move {
///     agent.answered += 1;
///     Ok::<_, String>(format!("{} on {question}", agent.name()))
/// };
/// let report = pool.execute_batch(&executor, ["a", "b", "c"], ask).await;
/// let answers: Vec<_> = report.finished.iter().filter_map(|job| job.outcome.as_success()).collect();
/// assert_eq!(answers, ["agent-0 on a", "agent-1 on b", "agent-2 on c"]);
/// # Ok(())
/// # }
/// ```
pub struct AgentPool<S> {
    pub(crate) shared: Arc<Shared<S>>,
}

impl<S> AgentPool<S> {
    /// Starts to configure a pool. `factory` makes the state of a worker from the worker's name.
    pub fn builder(factory: impl Fn(&str) -> S + Send + Sync + 'static) -> AgentPoolBuilder<S> {
        AgentPoolBuilder::new(Box::new(factory))
    }

    pub(crate) fn new(factory: Factory<S>, names: Vec<Arc<str>>, health: Health) -> Self {
        let states = names.iter().map(|_| None).collect();
        let places = Places {
            roster: Roster::new(names, health),
            states,
        };
        let places = Mutex::new(places);
        Self {
            shared: Arc::new(Shared { factory, places }),
        }
    }

    /// Returns how many workers the pool has.
    pub fn size(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.shared.lock().states.len()).expect("a pool is built with a worker")
    }

    /// Waits for a worker and takes it for exclusive use until the [`Lease`] is dropped. Which one, and who is served
    /// first, is said at [`AgentPool`].
    ///
    /// A task that holds a lease and waits for another may wait forever, as with any lock.
    ///
    /// # Panics
    ///
    /// Panics if the factory does, and outside of a Tokio runtime that has its time driver enabled if it has to wait
    /// for the end of a rest.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future gives up the place in the queue, which was taken by its first poll, and gives
    /// back the worker that may have been handed over since its last poll.
    ///
    /// # Complexity
    ///
    /// O(log n) in the workers and those who wait.
    pub async fn checkout(&self) -> Lease<S> {
        Checkout::new(&self.shared).wait().await.into_lease()
    }

    /// Takes a worker for exclusive use if there is one to be had without a wait and nobody waits for it.
    ///
    /// # Panics
    ///
    /// Panics if the factory does.
    ///
    /// # Complexity
    ///
    /// As [`AgentPool::checkout`].
    pub fn try_checkout(&self) -> Option<Lease<S>> {
        let now = Instant::now();
        let mut wakers = Vec::new();
        let mut places = self.shared.lock();
        let taken = places.roster.try_take(now, &mut wakers);
        let taken = taken.map(|index| places.begin(index, now));
        drop(places);
        let taken = taken.map(|taken| Use::new(&self.shared, taken));
        wakers.into_iter().for_each(Waker::wake);
        taken.map(Use::into_lease)
    }

    /// Turns `work` into a [`Runner`](crate::Runner) each of whose attempts has a worker of this pool; see
    /// [`AgentPool::execute_batch`].
    pub fn runner<F>(&self, work: F) -> PoolRunner<S, F> {
        PoolRunner::new(self.clone(), work)
    }

    /// Runs every job with a worker of the pool, and returns a report in the order of submission.
    ///
    /// `work` is called for each attempt and gets a [`Lease`], which it moves into its future. Write the types of all
    /// three arguments. However early the lease is dropped, the worker is given back at the end of the attempt, once
    /// it is known what to think of it: an attempt that returns an error, panics or reaches its deadline is a failed use
    /// of the worker, unless [`Lease::pass`] or [`Lease::fail`] was called; one that the end of the run breaks off says
    /// nothing about its worker. If a lease outlives its attempt, in a task of its own say, the worker is given back
    /// with the lease.
    ///
    /// An attempt that is dropped half-way, because its time was over or the run was aborted, gives its worker back as
    /// it stands. Work whose state must not be used again after that can tell by a mark in the state.
    ///
    /// The wait for a worker is part of the attempt, and of its timeout. To keep attempts from waiting let the executor
    /// run no more of them than the pool has workers.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future aborts the run, and its outcomes are lost. The workers come back to the
    /// pool.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime that has its time driver enabled.
    pub async fn execute_batch<J, I, F, Fut, T, E>(
        &self,
        executor: &Executor,
        jobs: I,
        work: F,
    ) -> RunReport<J, T, E>
    where
        S: Send + 'static,
        J: Clone + Send + Sync + 'static,
        I: IntoIterator,
        I::Item: Into<JobSpec<J>> + 'static,
        I::IntoIter: Send + 'static,
        F: Fn(Lease<S>, J, Attempt) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send + 'static,
        E: Classify + Send + 'static,
    {
        executor.run(jobs, self.runner(work)).await
    }

    /// Returns what each worker did and does, in the order of the names.
    ///
    /// # Complexity
    ///
    /// O(n) in the workers.
    pub fn stats(&self) -> Vec<WorkerStats> {
        let now = Instant::now();
        self.shared.lock().roster.stats(now)
    }
}

impl<S> Clone for AgentPool<S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S> fmt::Debug for AgentPool<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentPool")
            .field("workers", &self.stats())
            .finish_non_exhaustive()
    }
}

/// What the clones of a pool and its leases share.
pub(crate) struct Shared<S> {
    pub(crate) factory: Factory<S>,
    places: Mutex<Places<S>>,
}

/// What the lock protects.
pub(crate) struct Places<S> {
    pub(crate) roster: Roster,
    /// The states of the workers that are not lent, by number. `None` also for one that is still to be made.
    states: Vec<Option<S>>,
}

/// A worker that was just taken, on its way to a [`Use`].
pub(crate) struct Taken<S> {
    pub(crate) index: usize,
    pub(crate) name: Arc<str>,
    pub(crate) generation: u64,
    pub(crate) state: Option<S>,
}

impl<S> Shared<S> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Places<S>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a worker back, with its state unless that was discarded or never made.
    pub(crate) fn give_back(&self, index: usize, state: Option<S>, how: Returned) {
        let now = Instant::now();
        let mut wakers = Vec::new();
        let mut places = self.lock();
        places.states[index] = state;
        places.roster.end(index, how, now, &mut wakers);
        drop(places);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<S> Places<S> {
    /// Begins the use of a worker that the roster has given out.
    pub(crate) fn begin(&mut self, index: usize, now: Instant) -> Taken<S> {
        self.roster.begin(index, now);
        Taken {
            index,
            name: Arc::clone(self.roster.name(index)),
            generation: self.roster.generation(index),
            state: self.states[index].take(),
        }
    }
}
