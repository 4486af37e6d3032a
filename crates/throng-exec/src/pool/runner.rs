//! Attempts that each have a worker of a pool: the worker is held until the attempt has ended, and learns how.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use crate::pool::lease::Use;
use crate::pool::roster::Verdict;
use crate::pool::{AgentPool, Lease};
use crate::{Attempt, Runner};

/// A [`Runner`] each of whose attempts has a worker of an [`AgentPool`]. Made by [`AgentPool::runner`], for runs that
/// are started with [`Executor::start`](crate::Executor::start).
pub struct PoolRunner<S, F> {
    pool: AgentPool<S>,
    work: F,
}

impl<S, F> PoolRunner<S, F> {
    pub(crate) const fn new(pool: AgentPool<S>, work: F) -> Self {
        Self { pool, work }
    }
}

impl<S, J, F, Fut, T, E> Runner<J> for PoolRunner<S, F>
where
    S: Send + 'static,
    J: Clone + Sync,
    F: Fn(Lease<S>, J, Attempt) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send + 'static,
    E: Send + 'static,
{
    type Output = T;
    type Error = E;

    async fn run(&self, job: &J, cx: Attempt) -> Result<T, E> {
        let lease = self.pool.checkout().await;
        let watch = Watch {
            usage: Arc::clone(lease.usage()),
            deadline: cx.deadline(),
        };
        let result = (self.work)(lease, job.clone(), cx).await;
        watch.usage.judge(match result {
            Ok(_) => Verdict::Passed,
            Err(_) => Verdict::Failed,
        });
        result
    }
}

impl<S, F> fmt::Debug for PoolRunner<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolRunner")
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

/// Holds the worker for as long as the attempt goes on.
struct Watch<S> {
    usage: Arc<Use<S>>,
    deadline: Option<Instant>,
}

impl<S> Drop for Watch<S> {
    /// Judges an attempt that did not return: it panicked, or was dropped at its deadline, or before.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.usage.panicked();
        } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.usage.judge(Verdict::Failed);
        } else {
            self.usage.judge(Verdict::Unknown);
        }
    }
}
