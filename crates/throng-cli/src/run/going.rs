//! The run of a campaign, whether equal prompts are asked once or not, and the run of its calls, where it is another.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use throng_exec::{Distinct, Executor, Run, RunError, RunHandle, RunSummary, Runner, Share};
use throng_llm::Completion;

use super::call::Shape;
use super::same::Same;
use crate::input::{Fingerprint, Id, Task};
use crate::output::FinishedTask;
use crate::vote::{Calls, Failure};

/// A run of tasks.
pub(super) enum Going {
    /// Every task is run.
    All(Run<Task, Completion, Failure>),
    /// Equal tasks are run once.
    Distinct(
        Distinct<Task, Completion, Failure, Fingerprint>,
        /// The ids of the records that were asked, by their place.
        HashMap<u64, Id>,
    ),
}

impl Going {
    /// Starts a run.
    pub(super) fn start<R>(
        executor: &Executor,
        shape: Shape,
        tasks: impl Stream<Item = Task> + Send + Unpin + 'static,
        same: Option<Same>,
        runner: R,
    ) -> Self
    where
        R: Runner<Task, Output = Completion, Error = Failure>,
    {
        let jobs = tasks.map(move |task| shape.job(task));
        match same {
            None => Self::All(executor.start_stream(jobs, runner)),
            Some(same) => {
                let print = move |task: &Task| same.fingerprint(task);
                let run = executor.start_distinct_stream(jobs, print, Share::WholeRun, runner);
                Self::Distinct(run, HashMap::new())
            }
        }
    }

    /// Returns a handle that steers the run.
    pub(super) fn handle(&self) -> RunHandle {
        match self {
            Self::All(run) => run.handle(),
            Self::Distinct(run, _) => run.handle(),
        }
    }

    /// Waits for the next task that ends, and the record that was asked in its place, if one was.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an outcome stays in the run until it is returned.
    pub(super) async fn next(&mut self) -> Option<(FinishedTask, Option<Id>)> {
        match self {
            Self::All(run) => run.next().await.map(|finished| (finished, None)),
            Self::Distinct(run, asked) => {
                let finished = run.next().await?;
                match finished.same_as {
                    None => {
                        asked.insert(finished.id.index(), finished.input.id.clone());
                        Some((finished, None))
                    }
                    // A record that the run never came to has no line, nor have its copies.
                    Some(of) => {
                        let of = asked.get(&of.index()).unwrap_or(&finished.input.id).clone();
                        Some((finished, Some(of)))
                    }
                }
            }
        }
    }

    /// Waits until every task has ended and returns the summary of those that were run.
    ///
    /// # Errors
    ///
    /// If the run itself could not go on.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future aborts the run.
    pub(super) async fn finish(self) -> Result<RunSummary, RunError> {
        match self {
            Self::All(run) => run.finish().await,
            Self::Distinct(run, _) => run.finish().await,
        }
    }
}

/// Waits until the last calls have ended, and returns the summary of all.
///
/// # Cancel safety
///
/// Cancel safe.
pub(super) async fn finish_calls(calls: Calls) -> RunSummary {
    const LOOK_EVERY: Duration = Duration::from_millis(1);
    const MOST_LOOKS: u32 = 2_000;
    let handle = calls.handle().clone();
    drop(calls);
    for _ in 0..MOST_LOOKS {
        if handle.progress().over {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    handle.summary()
}
