//! What turns a job into a result. The executor calls it once for each attempt and polls what it returns in a task
//! of its own.

use std::future::Future;

use crate::Attempt;

/// Runs one attempt of a job.
///
/// Closures `Fn(J, Attempt) -> impl Future<Output = Result<T, E>>` are runners for jobs that can be cloned: each
/// attempt gets a clone. Write the types of both arguments. Implement the trait to borrow the job instead.
///
/// # Examples
///
/// ```
/// use throng_exec::{Attempt, Executor};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let executor = Executor::builder().build()?;
/// let double = |n: u64, _cx: Attempt| async move { Ok::<_, String>(2 * n) };
/// let report = executor.run([1, 2, 3], double).await;
/// let values: Vec<_> = report.finished.iter().filter_map(|job| job.outcome.as_success()).collect();
/// assert_eq!(values, [&2, &4, &6]);
/// # Ok(())
/// # }
/// ```
pub trait Runner<J>: Send + Sync + 'static {
    /// What an attempt returns when it succeeds.
    type Output: Send + 'static;
    /// What an attempt returns when it fails.
    type Error: Send + 'static;

    /// Runs one attempt.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped at any await point when the attempt times out or the run is aborted. Work that must
    /// not stop half-way belongs in a task of its own.
    fn run(&self, job: &J, cx: Attempt) -> impl Future<Output = Result<Self::Output, Self::Error>> + Send;
}

impl<J, F, Fut, T, E> Runner<J> for F
where
    J: Clone + Sync,
    F: Fn(J, Attempt) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send + 'static,
    E: Send + 'static,
{
    type Output = T;
    type Error = E;

    fn run(&self, job: &J, cx: Attempt) -> impl Future<Output = Result<T, E>> + Send {
        self(job.clone(), cx)
    }
}
