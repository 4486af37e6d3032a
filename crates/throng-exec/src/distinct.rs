//! Equal jobs asked once: a sieve in front of the input holds back every job that equals an earlier one, and gives it a copy
//! of that one's outcome.
//!
//! Invariant: each job of the input has exactly one outcome, whether it was run or held back.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::task::AtomicWaker;
use throng_core::{Classify, JobId, Outcome};

use crate::{Executor, Finished, JobSpec, Key, OutputOrder, Run, RunError, RunHandle, RunSummary, Runner};

/// For how long the outcome of a job is given to the jobs that equal it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Share {
    /// Until its outcome is taken from the run (single-flight): an equal job that comes later is run again. Memory is in
    /// proportion to the jobs that are held back meanwhile.
    InFlight,
    /// To the end of the run. Memory is in proportion to the number of distinct jobs.
    #[default]
    WholeRun,
}

impl Executor {
    /// Starts a run in which equal jobs are asked once: those for which `same` gives the same value. The first of them is
    /// run, and the others get a copy of its outcome, whatever it is, with [`Finished::same_as`] set and no attempts.
    ///
    /// A job that is held back takes no place in the window, so that memory grows with their number. Outcomes come as the
    /// jobs end, each followed by its copies, whatever the executor's order is.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime that has its time driver enabled. A panic in `same` is one of the input.
    ///
    /// # Examples
    ///
    /// ```
    /// use throng_exec::{Attempt, Executor, Share};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let executor = Executor::builder().build()?;
    /// let shout = |word: &str, _: Attempt| {
    ///     let loud = word.to_uppercase();
    ///     async move { Ok::<_, String>(loud) }
    /// };
    /// let words = ["a", "b", "A ", "a"];
    /// let mut run = executor.start_distinct(words, |word| word.trim().to_lowercase(), Share::WholeRun, shout);
    /// while run.next().await.is_some() {}
    /// assert_eq!(run.finish().await?.attempts, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_distinct<J, I, R, K>(
        &self,
        jobs: I,
        same: impl FnMut(&J) -> K + Send + 'static,
        share: Share,
        runner: R,
    ) -> Distinct<J, R::Output, R::Error, K>
    where
        J: Send + Sync + 'static,
        I: IntoIterator,
        I::Item: Into<JobSpec<J>> + 'static,
        I::IntoIter: Send + 'static,
        R: Runner<J>,
        R::Output: Clone + Sync,
        R::Error: Classify + Clone + Sync,
        K: Hash + Eq + Clone + Send + 'static,
    {
        let shared = Arc::new(Shared::new());
        let mut sieve = Sieve::new(&shared, same);
        let jobs = jobs.into_iter().filter_map(move |job| sieve.pass(job.into()));
        Distinct::new(self.as_completed().start(jobs, runner), shared, share)
    }

    /// The same for a stream of jobs.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime that has its time driver enabled. A panic in `same` is one of the input.
    pub fn start_distinct_stream<J, S, R, K>(
        &self,
        jobs: S,
        same: impl FnMut(&J) -> K + Send + 'static,
        share: Share,
        runner: R,
    ) -> Distinct<J, R::Output, R::Error, K>
    where
        J: Send + Sync + 'static,
        S: Stream + Send + 'static,
        S::Item: Into<JobSpec<J>> + 'static,
        R: Runner<J>,
        R::Output: Clone + Sync,
        R::Error: Classify + Clone + Sync,
        K: Hash + Eq + Clone + Send + 'static,
    {
        let shared = Arc::new(Shared::new());
        let mut sieve = Sieve::new(&shared, same);
        let jobs = jobs.filter_map(move |job| std::future::ready(sieve.pass(job.into())));
        Distinct::new(self.as_completed().start_stream(jobs, runner), shared, share)
    }

    fn as_completed(&self) -> Self {
        let mut executor = self.clone();
        executor.order = OutputOrder::Completion;
        executor
    }
}

/// A run in which equal jobs are asked once, made by [`Executor::start_distinct`]: a stream of [`Finished`] jobs, whose ids
/// count the whole input.
///
/// Dropping it aborts the run.
///
/// # Cancel safety
///
/// As a stream it is cancel safe: an outcome stays in it until it is returned.
#[must_use = "dropping a run aborts it"]
pub struct Distinct<J, T, E, K> {
    run: Run<J, T, E>,
    shared: Arc<Shared<J, T, E, K>>,
    share: Share,
    ready: VecDeque<Finished<J, T, E>>,
}

impl<J, T, E, K> Distinct<J, T, E, K>
where
    J: Send + 'static,
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
    K: Hash + Eq + Clone,
{
    fn new(run: Run<J, T, E>, shared: Arc<Shared<J, T, E, K>>, share: Share) -> Self {
        Self {
            run,
            shared,
            share,
            ready: VecDeque::new(),
        }
    }

    /// Returns a handle that steers the run. Its figures count the jobs that were run, without the copies.
    pub fn handle(&self) -> RunHandle {
        self.run.handle()
    }

    /// Returns how many jobs were held back so far because they equal another.
    pub fn held_back(&self) -> u64 {
        self.shared.lock().held_back
    }

    /// Waits for the next job that ends; `None` when every job has ended and was returned.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an outcome stays in the run until it is returned.
    pub async fn next(&mut self) -> Option<Finished<J, T, E>> {
        poll_fn(|cx| self.poll_finished(cx)).await
    }

    /// Waits until every job has ended and returns the summary of those that were run. Outcomes that were not taken are
    /// dropped.
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
        self.run.finish().await
    }

    /// Returns a copy of an outcome that was there before its job came.
    fn take_late(&self) -> Option<Finished<J, T, E>> {
        let late = self.shared.lock().late.pop_front();
        late.map(|(copy, outcome, of)| copy.finished((*outcome).clone(), of))
    }

    fn poll_finished(&mut self, cx: &mut Context<'_>) -> Poll<Option<Finished<J, T, E>>> {
        if let Some(finished) = self.ready.pop_front() {
            return Poll::Ready(Some(finished));
        }
        self.shared.consumer.register(cx.waker());
        if let Some(late) = self.take_late() {
            return Poll::Ready(Some(late));
        }
        let Some(mut finished) = ready!(Pin::new(&mut self.run).poll_next(cx)) else {
            // A copy may have come in while the run was asked.
            if let Some(late) = self.take_late() {
                return Poll::Ready(Some(late));
            }
            // Copies of jobs that the run never admitted.
            let lost = self.shared.lock().drain();
            self.ready.extend(
                lost.into_iter()
                    .map(|(copy, of)| copy.finished(Outcome::Cancelled, of)),
            );
            return Poll::Ready(self.ready.pop_front());
        };
        let kept = (self.share == Share::WholeRun).then(|| Arc::new(finished.outcome.clone()));
        let mut sifted = self.shared.lock();
        let (id, copies) = sifted.take(finished.id, kept);
        drop(sifted);
        finished.id = id;
        let outcome = &finished.outcome;
        let copies = copies.into_iter().map(|copy| copy.finished(outcome.clone(), id));
        self.ready.extend(copies);
        Poll::Ready(Some(finished))
    }
}

impl<J, T, E, K> Unpin for Distinct<J, T, E, K> {}

impl<J, T, E, K> Stream for Distinct<J, T, E, K>
where
    J: Send + 'static,
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
    K: Hash + Eq + Clone,
{
    type Item = Finished<J, T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_finished(cx)
    }
}

impl<J, T, E, K> fmt::Debug for Distinct<J, T, E, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Distinct")
            .field("run", &self.run)
            .field("share", &self.share)
            .finish_non_exhaustive()
    }
}

/// What the input and the consumer share.
struct Shared<J, T, E, K> {
    sifted: Mutex<Sifted<J, T, E, K>>,
    consumer: AtomicWaker,
}

impl<J, T, E, K> Shared<J, T, E, K> {
    fn new() -> Self {
        Self {
            sifted: Mutex::new(Sifted {
                seen: HashMap::new(),
                running: HashMap::new(),
                passed: 0,
                read: 0,
                held_back: 0,
                late: VecDeque::new(),
            }),
            consumer: AtomicWaker::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sifted<J, T, E, K>> {
        self.sifted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Sifted<J, T, E, K> {
    seen: HashMap<K, Fate<J, T, E>>,
    /// The jobs that were passed on, by their place among those: their place in the input, and what they are alike by.
    running: HashMap<u64, (JobId, K)>,
    passed: u64,
    read: u64,
    held_back: u64,
    /// Jobs that equal one that has ended already.
    late: VecDeque<Late<J, T, E>>,
}

/// A job that was held back, the outcome that it gets, and whose that is.
type Late<J, T, E> = (Copy<J>, Arc<Outcome<T, E>>, JobId);

enum Fate<J, T, E> {
    Runs(JobId, Vec<Copy<J>>),
    Ended(JobId, Arc<Outcome<T, E>>),
}

/// A job that was held back.
struct Copy<J> {
    id: JobId,
    input: J,
    key: Option<Key>,
}

impl<J> Copy<J> {
    fn finished<T, E>(self, outcome: Outcome<T, E>, of: JobId) -> Finished<J, T, E> {
        let mut finished = Finished::new(self.id, self.input, self.key, outcome);
        finished.same_as = Some(of);
        finished
    }
}

impl<J, T, E, K: Hash + Eq + Clone> Sifted<J, T, E, K> {
    /// Ends a job that was run. Returns its place in the input and the jobs that wait for its outcome.
    fn take(&mut self, id: JobId, kept: Option<Arc<Outcome<T, E>>>) -> (JobId, Vec<Copy<J>>) {
        let Some((place, same)) = self.running.remove(&id.index()) else {
            return (id, Vec::new());
        };
        let copies = match self.seen.remove(&same) {
            Some(Fate::Runs(_, copies)) => copies,
            _ => Vec::new(),
        };
        if let Some(outcome) = kept {
            self.seen.insert(same, Fate::Ended(place, outcome));
        }
        (place, copies)
    }

    fn drain(&mut self) -> Vec<(Copy<J>, JobId)> {
        let mut lost: Vec<_> = std::mem::take(&mut self.seen)
            .into_values()
            .filter_map(|fate| match fate {
                Fate::Runs(of, copies) => Some(copies.into_iter().map(move |copy| (copy, of))),
                Fate::Ended(..) => None,
            })
            .flatten()
            .collect();
        lost.sort_unstable_by_key(|(copy, _)| copy.id);
        lost
    }
}

/// Lets the first of equal jobs pass and holds back the others.
struct Sieve<J, T, E, K, F> {
    shared: Arc<Shared<J, T, E, K>>,
    same: F,
}

impl<J, T, E, K, F> Sieve<J, T, E, K, F>
where
    K: Hash + Eq + Clone,
    F: FnMut(&J) -> K,
{
    fn new(shared: &Arc<Shared<J, T, E, K>>, same: F) -> Self {
        Self {
            shared: Arc::clone(shared),
            same,
        }
    }

    fn pass(&mut self, job: JobSpec<J>) -> Option<JobSpec<J>> {
        let same = (self.same)(&job.input);
        let mut sifted = self.shared.lock();
        let sifted = &mut *sifted;
        let id = JobId::new(sifted.read);
        sifted.read += 1;
        let Some(fate) = sifted.seen.get_mut(&same) else {
            sifted.running.insert(sifted.passed, (id, same.clone()));
            sifted.passed += 1;
            sifted.seen.insert(same, Fate::Runs(id, Vec::new()));
            return Some(job);
        };
        let copy = Copy {
            id,
            input: job.input,
            key: job.key,
        };
        sifted.held_back += 1;
        match fate {
            Fate::Runs(_, copies) => copies.push(copy),
            Fate::Ended(of, outcome) => {
                sifted.late.push_back((copy, Arc::clone(outcome), *of));
                self.shared.consumer.wake();
            }
        }
        None
    }
}
