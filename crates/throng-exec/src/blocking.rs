//! Attempts that block a thread: functions instead of futures, on threads that tokio keeps for such calls.
//!
//! A thread cannot be stopped from outside. Invariant: a call has its place in the limit of its adapter until it has
//! returned, whether anybody still waits for it or not.

use std::fmt;
use std::future::pending;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;
use tracing::Span;

use crate::{Attempt, PermitPool, Request, Runner};

/// A [`Runner`] whose attempts are calls of a function that blocks its thread. Cheap to clone; clones mean the same
/// limit and the same calls, so that one of them can be kept to ask about the calls of a run.
///
/// - **Threads.** Each call runs in [`spawn_blocking`]. At most `threads` calls run at a time, over all clones and runs.
///   An attempt that finds all threads taken waits for one, within its own time.
/// - **Timeouts.** When an attempt times out, loses against a hedge, is cancelled after the grace period, or its run is
///   dropped, its call is *detached*: the job goes on to its retry or its end, the permit of the executor is given back,
///   and the thread goes on. **The call keeps its place among the `threads` until it returns**, so that there are never
///   more calls than that, however many have timed out; where all of them hang, further attempts time out without a
///   call. What a detached call returns is dropped, and so is its panic.
/// - **Cancellation.** A call that looks at [`Attempt::is_cancelled`] and [`Attempt::is_abandoned`] can return early.
/// - **Panics.** A panic of the function is the job's outcome, as in an async attempt.
/// - **The count.** [`Blocking::detached`] counts the detached calls that still run, [`Blocking::wait_detached`] waits
///   for them; [`Progress::detached`](crate::Progress::detached) and
///   [`RunSummary::detached`](crate::RunSummary::detached) have those of one run. [`Run::shutdown`](crate::Run::shutdown)
///   does not wait for them, as they may never return. Neither may the drop of a tokio runtime, which waits for its
///   threads; `Runtime::shutdown_timeout` does not.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroUsize;
/// use std::time::Duration;
/// use throng_exec::{Attempt, Blocking, Executor};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let parse = Blocking::new(NonZeroUsize::new(4).ok_or("zero")?, |text: String, cx: Attempt| {
///     let mut sum = 0;
///     for part in text.split('+') {
///         if cx.is_cancelled() || cx.is_abandoned() {
///             break;
///         }
///         sum += part.parse::<u32>().map_err(|err| err.to_string())?;
///     }
///     Ok::<_, String>(sum)
/// });
/// let executor = Executor::builder().attempt_timeout(Duration::from_secs(30)).build()?;
/// let report = executor.run(["1+2".to_owned(), "30+4".to_owned()], parse.clone()).await;
/// let values: Vec<_> = report.finished.iter().filter_map(|job| job.outcome.as_success()).collect();
/// assert_eq!(values, [&3, &34]);
///
/// // None was left behind.
/// assert_eq!((report.summary.detached, parse.detached()), (0, 0));
/// parse.wait_detached().await;
/// # Ok(())
/// # }
/// ```
pub struct Blocking<F> {
    work: Arc<F>,
    threads: PermitPool,
    detached: Arc<watch::Sender<usize>>,
}

impl<F> Blocking<F> {
    /// Makes attempts of a function `Fn(J, Attempt) -> Result<T, E>`, at most `threads` of which run at a time. Write
    /// the types of both arguments of a closure.
    ///
    /// More than [`max_blocking_threads`](tokio::runtime::Builder::max_blocking_threads) of the runtime, 512 if it is not
    /// set, wait there for a thread.
    pub fn new(threads: NonZeroUsize, work: F) -> Self {
        Self {
            work: Arc::new(work),
            threads: PermitPool::new(threads),
            detached: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Returns how many calls run, detached ones included.
    pub fn running(&self) -> usize {
        self.threads.in_use()
    }

    /// Returns how many detached calls still run.
    pub fn detached(&self) -> usize {
        *self.detached.borrow()
    }

    /// Waits until no detached call runs. It returns at once if there is none; calls that are detached later are not
    /// waited for.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future has no effect.
    pub async fn wait_detached(&self) {
        // It fails only if the sender is gone, which this value has.
        let _ = self.detached.subscribe().wait_for(|&n| n == 0).await;
    }
}

impl<J, F, T, E> Runner<J> for Blocking<F>
where
    J: Clone + Send + Sync + 'static,
    F: Fn(J, Attempt) -> Result<T, E> + Send + Sync + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    type Output = T;
    type Error = E;

    async fn run(&self, job: &J, cx: Attempt) -> Result<T, E> {
        let thread = self.threads.acquire(Request::new()).await;
        let call = Call::new(cx.clone(), Arc::clone(&self.detached));
        let ends = Ends(Arc::clone(&call));
        let (work, job, span) = (Arc::clone(&self.work), job.clone(), Span::current());
        let (returns, returned) = oneshot::channel();
        spawn_blocking(move || {
            // The last to go, also when a panic unwinds: what the call leaves behind is dropped before it counts as ended.
            let ends = ends;
            let thread = thread;
            let result = if ends.0.cx.is_abandoned() {
                None
            } else {
                Some(catch_unwind(AssertUnwindSafe(|| span.in_scope(|| work(job, cx)))))
            };
            drop(work);
            // Whoever learns of the end finds the place free.
            drop(thread);
            if let Some(result) = result {
                // Nobody may wait for it any more.
                drop(returns.send(result));
            }
            drop(ends);
        });
        let waits = Waits(call);
        let Ok(result) = returned.await else {
            // The runtime is on its way out, and its tasks are dropped.
            return pending().await;
        };
        waits.0.end();
        result.unwrap_or_else(|payload| resume_unwind(payload))
    }
}

impl<F> Clone for Blocking<F> {
    fn clone(&self) -> Self {
        Self {
            work: Arc::clone(&self.work),
            threads: self.threads.clone(),
            detached: Arc::clone(&self.detached),
        }
    }
}

impl<F> fmt::Debug for Blocking<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking")
            .field("threads", &self.threads.limit())
            .field("running", &self.running())
            .field("detached", &self.detached())
            .finish_non_exhaustive()
    }
}

/// A call, as its thread and the attempt that waits for it know it.
struct Call {
    cx: Attempt,
    detached: Arc<watch::Sender<usize>>,
    /// It has returned. Changed with the count locked.
    ended: AtomicBool,
    /// It counts as detached. Changed with the count locked.
    counts: AtomicBool,
}

impl Call {
    fn new(cx: Attempt, detached: Arc<watch::Sender<usize>>) -> Arc<Self> {
        Arc::new(Self {
            cx,
            detached,
            ended: AtomicBool::new(false),
            counts: AtomicBool::new(false),
        })
    }

    /// Nobody waits for it any more.
    fn detach(&self) {
        self.detached.send_if_modified(|n| {
            let still_runs = !self.ended.load(Ordering::Relaxed);
            if still_runs {
                self.counts.store(true, Ordering::Relaxed);
                *n += 1;
                self.cx.abandon();
                self.cx.detached().fetch_add(1, Ordering::Relaxed);
            }
            still_runs
        });
    }

    /// It has returned.
    fn end(&self) {
        self.detached.send_if_modified(|n| {
            self.ended.store(true, Ordering::Relaxed);
            let counted = self.counts.swap(false, Ordering::Relaxed);
            if counted {
                *n -= 1;
                self.cx.detached().fetch_sub(1, Ordering::Relaxed);
            }
            counted
        });
    }
}

/// The side of the thread: ends the call.
struct Ends(Arc<Call>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The side of the attempt: detaches the call when the attempt is dropped first.
struct Waits(Arc<Call>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.detach();
    }
}
