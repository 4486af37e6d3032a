//! A vote through an executor. The run is fed agent by agent: a further agent is handed over only after every answer
//! that has come in was counted and the vote is still open. When it ends, the run is aborted and waited for.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;

use futures_util::stream;
use throng_core::{Classify, Outcome};
use tokio::sync::mpsc;

use super::ballot::Ballot;
use super::panel::Panel;
use super::policy::Vote;
use super::stop::StopReason;
use super::verdict::{Failure, Verdict};
use crate::{Attempt, Executor, Finished, OutputOrder, Runner};

impl Vote {
    /// Lets the agents answer a question, and ends as soon as the rules say that more answers are not needed. Answers
    /// are compared as text, by the vote's [`Equivalence`](crate::Equivalence).
    ///
    /// Each agent is one job of a run of `executor`, whose retries, timeouts, rates and deadline apply; `runner` gets
    /// the [`Ballot`]. An agent that fails, times out or panics has no vote. All answers that are in are counted before
    /// anything is decided. At the end, the agents that still run are dropped at their next await
    /// point, and this returns when none of them is left.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future aborts the run, and its answers are lost.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime that has its time driver enabled.
    pub async fn run<Q, R>(&self, executor: &Executor, question: Q, runner: R) -> Verdict<R::Output, R::Error>
    where
        Q: Send + Sync + 'static,
        R: Runner<Ballot<Q>>,
        R::Output: AsRef<str>,
        R::Error: Classify,
    {
        let equivalence = self.rules.equivalence;
        let key = move |answer: &R::Output| equivalence.key(answer.as_ref()).into_owned();
        self.run_by_key(executor, question, runner, key).await
    }

    /// Lets the agents answer a question, as [`Vote::run`] does; answers are the same if `key` returns the same for them.
    ///
    /// The key is taken within the attempt: an agent on whose answer `key` panics has panicked, and has no vote. An
    /// answer that can be seen to be of no use is better returned as an error by `runner`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future aborts the run, and its answers are lost.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime that has its time driver enabled.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::num::NonZeroUsize;
    /// # use throng_exec::{Attempt, Ballot, Executor, Vote};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let executor = Executor::builder().build()?;
    /// let vote = Vote::builder(NonZeroUsize::new(3).ok_or("zero")?).build()?;
    /// let estimate = |ballot: Ballot<&'static str>, _cx: Attempt| async move {
    ///     Ok::<_, String>([9.81, 9.79, 3.2][ballot.agent])
    /// };
    /// let to_tenths = |metres: &f64| format!("{metres:.1}");
    /// let verdict = vote.run_by_key(&executor, "g?", estimate, to_tenths).await;
    /// assert_eq!(verdict.into_winner(), Some(9.81));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run_by_key<Q, R, K>(
        &self,
        executor: &Executor,
        question: Q,
        runner: R,
        key: K,
    ) -> Verdict<R::Output, R::Error>
    where
        Q: Send + Sync + 'static,
        R: Runner<Ballot<Q>>,
        R::Error: Classify,
        K: Fn(&R::Output) -> String + Send + Sync + 'static,
    {
        let mut executor = executor.clone();
        executor.order = OutputOrder::Completion;
        // Unbounded, and small all the same: it holds agents that were released, which are at most a wave.
        let (released, mut agents) = mpsc::unbounded_channel();
        let agents = stream::poll_fn(move |cx| agents.poll_recv(cx));
        let mut run = executor.start_stream(agents, Keyed { runner, key });
        let handle = run.handle();
        let limit = usize::try_from(handle.progress().max_concurrent).unwrap_or(usize::MAX);
        let limit = NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN);
        let question = Arc::new(question);
        let mut count = Count::new(Panel::new(self).limit(limit));

        let stop = loop {
            if let Some(reason) = count.panel.stop() {
                break reason;
            }
            for agent in count.panel.release() {
                // The run reads its input until it is over, which the next call shows.
                let _ = released.send(Ballot {
                    question: Arc::clone(&question),
                    agent,
                });
            }
            let Some(finished) = run.next().await else {
                break StopReason::RunEnded;
            };
            count.take(finished);
            while let Some(finished) = run.try_next() {
                count.take(finished);
            }
        };
        tracing::debug!(run = %handle.id(), asked = count.asked, reason = ?stop, "A vote ended.");
        drop(released);
        let (summary, error) = match stop {
            StopReason::Certain | StopReason::Confident => {
                handle.abort();
                while let Some(late) = run.next().await {
                    count.asked += usize::from(late.attempts > 0);
                }
                (run.shutdown().await, None)
            }
            StopReason::AllEnded | StopReason::RunEnded => match run.finish().await {
                Ok(summary) => (summary, None),
                Err(error) => (handle.summary(), Some(error)),
            },
        };
        let Count {
            panel,
            mut failures,
            asked,
        } = count;
        failures.sort_unstable_by_key(|failure| failure.agent);
        let tally = panel.into_tally();
        let (agents, valid, failed) = (self.rules.agents.get(), tally.valid(), failures.len());
        // Agents whose jobs ended before they were asked say that the run ended, not the vote.
        let stop = match stop {
            StopReason::AllEnded if asked < agents => StopReason::RunEnded,
            stop => stop,
        };
        Verdict {
            decision: tally.decision(),
            agreement: tally.agreement(),
            confidence: tally.confidence(),
            choices: tally.into_choices(),
            stop,
            agents,
            asked,
            valid,
            failed,
            cancelled: asked - valid - failed,
            saved: stop.saves(agents - asked),
            failures,
            usage: summary.usage,
            wall: summary.wall,
            error,
        }
    }
}

/// What has come of the agents so far.
struct Count<T, E> {
    panel: Panel<T>,
    failures: Vec<Failure<E>>,
    asked: usize,
}

impl<T, E> Count<T, E> {
    const fn new(panel: Panel<T>) -> Self {
        Self {
            panel,
            failures: Vec::new(),
            asked: 0,
        }
    }

    fn take<Q>(&mut self, finished: Finished<Ballot<Q>, Answer<T>, E>) {
        let (agent, attempts) = (finished.input.agent, finished.attempts);
        self.asked += usize::from(attempts > 0);
        let counted = match finished.outcome {
            Outcome::Succeeded(Answer { key, answer }) => self.panel.answer(agent, &key, answer),
            outcome => {
                if attempts > 0 && !matches!(outcome, Outcome::Cancelled) {
                    self.failures.push(Failure {
                        agent,
                        outcome: outcome.map(|_| ()),
                        attempts,
                    });
                }
                self.panel.fail(agent)
            }
        };
        debug_assert!(counted.is_ok(), "each agent is one job, which ends once");
    }
}

/// An answer and its key.
struct Answer<T> {
    key: String,
    answer: T,
}

/// Runs an agent and takes the key of its answer.
struct Keyed<R, K> {
    runner: R,
    key: K,
}

impl<Q, R, K> Runner<Ballot<Q>> for Keyed<R, K>
where
    Q: Send + Sync + 'static,
    R: Runner<Ballot<Q>>,
    K: Fn(&R::Output) -> String + Send + Sync + 'static,
{
    type Output = Answer<R::Output>;
    type Error = R::Error;

    fn run(
        &self,
        ballot: &Ballot<Q>,
        cx: Attempt,
    ) -> impl Future<Output = Result<Answer<R::Output>, R::Error>> + Send {
        let answer = self.runner.run(ballot, cx);
        async {
            let answer = answer.await?;
            let key = (self.key)(&answer);
            Ok(Answer { key, answer })
        }
    }
}
