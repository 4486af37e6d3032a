//! Jobs that are submitted one by one, by anybody, to a run that goes on for as long as somebody may submit.
//!
//! Invariant: a submission gets exactly one outcome; a job whose submitter has gone away is not run on.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use throng_core::{Classify, ErrorClass, Outcome};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{Attempt, Executor, Finished, JobSpec, OutputOrder, Run, RunHandle, Runner};

impl Executor {
    /// Starts a run to which jobs are submitted one by one, for instance by the handlers of a server. All limits, retries
    /// and other policies hold over all of them.
    ///
    /// The run ends when every clone of the submitter has been dropped and its jobs have ended.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime that has its time driver enabled.
    ///
    /// # Examples
    ///
    /// ```
    /// use throng_exec::{Attempt, Executor};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let square = |n: u64, _: Attempt| async move { Ok::<_, String>(n * n) };
    /// let submitter = Executor::builder().build()?.serve(square);
    /// let (a, b) = tokio::join!(submitter.submit(3), submitter.submit(4));
    /// assert_eq!(a?.outcome.success(), Some(9));
    /// assert_eq!(b?.outcome.success(), Some(16));
    /// # Ok(())
    /// # }
    /// ```
    pub fn serve<J, R>(&self, runner: R) -> Submitter<J, R::Output, R::Error>
    where
        J: Send + Sync + 'static,
        R: Runner<J>,
        R::Error: Classify,
    {
        // One place: what waits, waits in the window, where its priority counts, or with its submitter.
        let (sender, mut jobs) = mpsc::channel(1);
        let jobs = futures_util::stream::poll_fn(move |cx| jobs.poll_recv(cx));
        let mut executor = self.clone();
        executor.order = OutputOrder::Completion;
        let run = executor.start_stream(jobs, Tickets(runner));
        let handle = run.handle();
        tokio::spawn(answer(run));
        Submitter { sender, handle }
    }
}

/// Submits jobs to a run, made by [`Executor::serve`]. Cheap to clone.
pub struct Submitter<J, T, E> {
    sender: mpsc::Sender<JobSpec<Ticket<J, T, E>>>,
    handle: RunHandle,
}

impl<J, T, E> Submitter<J, T, E> {
    /// Submits a job and waits for its outcome.
    ///
    /// # Errors
    ///
    /// Fails if the run is over, because it was drained, cancelled or aborted, its deadline has passed, or its runtime has
    /// ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the job: a running attempt is dropped, and a later one ends as soon as it begins. Until
    /// then the job keeps its place in the window.
    pub async fn submit(&self, job: impl Into<JobSpec<J>>) -> Result<Finished<J, T, E>, NotServed> {
        let gone = CancellationToken::new();
        let _guard: DropGuard = gone.clone().drop_guard();
        let (reply, answer) = oneshot::channel();
        let spec: JobSpec<J> = job.into();
        let ticket = Ticket {
            input: spec.input,
            gone,
            reply: Mutex::new(Some(reply)),
        };
        let spec = JobSpec {
            input: ticket,
            key: spec.key,
            terms: spec.terms,
        };
        self.sender.send(spec).await.map_err(|_| NotServed)?;
        answer.await.map_err(|_| NotServed)
    }

    /// Returns a handle that steers the run.
    pub const fn handle(&self) -> &RunHandle {
        &self.handle
    }
}

impl<J, T, E> Clone for Submitter<J, T, E> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            handle: self.handle.clone(),
        }
    }
}

impl<J, T, E> fmt::Debug for Submitter<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitter")
            .field("run", &self.handle.id())
            .finish()
    }
}

/// The job was not run: the run that it was submitted to is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the run that the job was submitted to is over")]
pub struct NotServed;

/// A job that somebody waits for.
struct Ticket<J, T, E> {
    input: J,
    gone: CancellationToken,
    reply: Mutex<Option<oneshot::Sender<Finished<J, T, E>>>>,
}

/// Why an attempt of a submitted job brought no value.
enum Unserved<E> {
    Failed(E),
    /// Nobody waits for it any more.
    Gone,
}

impl<E: Classify> Classify for Unserved<E> {
    fn classify(&self) -> ErrorClass {
        match self {
            Self::Failed(error) => error.classify(),
            Self::Gone => ErrorClass::Permanent,
        }
    }
}

/// Runs the jobs of tickets for as long as somebody waits for them.
struct Tickets<R>(R);

impl<J, R> Runner<Ticket<J, R::Output, R::Error>> for Tickets<R>
where
    J: Send + Sync + 'static,
    R: Runner<J>,
{
    type Output = R::Output;
    type Error = Unserved<R::Error>;

    async fn run(
        &self,
        ticket: &Ticket<J, R::Output, R::Error>,
        cx: Attempt,
    ) -> Result<R::Output, Unserved<R::Error>> {
        let this = cx.clone();
        tokio::select! {
            biased;
            () = ticket.gone.cancelled() => {
                this.abandon();
                Err(Unserved::Gone)
            }
            result = self.0.run(&ticket.input, cx) => result.map_err(Unserved::Failed),
        }
    }
}

/// Gives each outcome to whoever waits for it.
async fn answer<J, T, E>(mut run: Run<Ticket<J, T, E>, T, Unserved<E>>)
where
    J: Send + Sync + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    while let Some(finished) = run.next().await {
        let Finished {
            id,
            input: ticket,
            key,
            outcome,
            step,
            attempts,
            errors,
            usage,
            timing,
            ..
        } = finished;
        let outcome = match outcome {
            Outcome::Failed(Unserved::Failed(error)) => Outcome::Failed(error),
            Outcome::Succeeded(value) => Outcome::Succeeded(value),
            Outcome::TimedOut(kind) => Outcome::TimedOut(kind),
            Outcome::Panicked(message) => Outcome::Panicked(message),
            Outcome::Shed => Outcome::Shed,
            Outcome::Skipped => Outcome::Skipped,
            _ => Outcome::Cancelled,
        };
        let mut answer = Finished::new(id, ticket.input, key, outcome).having(step, attempts, usage, timing);
        answer.errors = errors
            .into_iter()
            .filter_map(|error| match error {
                Unserved::Failed(error) => Some(error),
                Unserved::Gone => None,
            })
            .collect();
        let reply = ticket.reply.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reply) = reply {
            // A submitter that has gone away is no error.
            let _ = reply.send(answer);
        }
    }
}
