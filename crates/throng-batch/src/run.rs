//! A batch under way: its events, and its report.

use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use crate::{AgentId, AgentResult, BatchError, BatchReport, CallReport, Tier};

/// What is told while a batch runs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum BatchEvent<P> {
    /// A call of the model begins.
    CallStarted {
        /// Which call of the batch it is, from 0.
        number: u32,
        /// The tier.
        tier: Tier,
        /// The agents that it asks about.
        agents: Vec<AgentId>,
    },
    /// A step of a plan has come whose rest has not. The plan may still turn out to be of no use, and its steps may come
    /// again with another answer.
    Step {
        /// The agent.
        agent: AgentId,
        /// Which step of the plan, from 0.
        index: usize,
        /// The step, as the model wrote it.
        value: Value,
    },
    /// An agent has its result. Comes once for each agent.
    Result(AgentResult<P>),
    /// A plan came for an agent that has its result already, because its deadline had passed.
    LatePlan {
        /// The agent.
        agent: AgentId,
        /// The plan.
        plan: P,
    },
    /// A call of the model has ended.
    CallEnded(CallReport),
}

/// A batch under way. Dropping it ends its calls.
#[derive(Debug)]
#[must_use = "dropping a batch ends it"]
pub struct BatchRun<P> {
    task: JoinHandle<BatchReport<P>>,
    events: UnboundedReceiver<BatchEvent<P>>,
}

impl<P: Send + 'static> BatchRun<P> {
    pub(crate) const fn new(
        task: JoinHandle<BatchReport<P>>,
        events: UnboundedReceiver<BatchEvent<P>>,
    ) -> Self {
        Self { task, events }
    }

    /// Returns the next event; `None` once the batch has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost.
    pub async fn next(&mut self) -> Option<BatchEvent<P>> {
        self.events.recv().await
    }

    /// Waits for the end and returns the report. Events that were not taken are dropped.
    ///
    /// # Errors
    ///
    /// [`BatchError::Panicked`] if the caller's own types or rules did.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the batch.
    pub async fn finish(mut self) -> Result<BatchReport<P>, BatchError> {
        self.events.close();
        (&mut self.task).await.map_err(|error| {
            let message = match error.try_into_panic() {
                Ok(panic) => panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("without a message")
                    .to_owned(),
                Err(_) => "its task was ended".to_owned(),
            };
            BatchError::Panicked { message }
        })
    }
}

impl<P> Drop for BatchRun<P> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
