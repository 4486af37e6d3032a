//! An agent that runs, as its caller sees it.

use std::time::Duration;

use throng_llm::Spent;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{AgentEvent, AgentReport, Stop};

/// An agent that runs. Dropping it ends the run: the answer that is under way is dropped, and so are the tools.
#[derive(Debug)]
#[must_use = "dropping a run ends it"]
pub struct AgentRun {
    task: JoinHandle<AgentReport>,
    events: UnboundedReceiver<AgentEvent>,
    cancel: CancellationToken,
}

impl AgentRun {
    pub(crate) const fn new(
        task: JoinHandle<AgentReport>,
        events: UnboundedReceiver<AgentEvent>,
        cancel: CancellationToken,
    ) -> Self {
        Self { task, events, cancel }
    }

    /// Returns the next event; `None` once the run has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost.
    pub async fn next(&mut self) -> Option<AgentEvent> {
        self.events.recv().await
    }

    /// Asks the run to end: tools are asked to stop, and every call gets its answer.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Returns a token that cancels the run when it is cancelled.
    pub fn cancellation(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Waits for the end and returns the report. Events that were not taken are dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the run, and its report is lost.
    pub async fn finish(mut self) -> AgentReport {
        self.events.close();
        match (&mut self.task).await {
            Ok(report) => report,
            Err(error) => AgentReport {
                stop: Stop::Panicked(error.to_string()),
                text: String::new(),
                messages: Vec::new(),
                steps: Vec::new(),
                spent: Spent::default(),
                tool_calls: 0,
                elapsed: Duration::ZERO,
            },
        }
    }
}

impl Drop for AgentRun {
    fn drop(&mut self) {
        self.task.abort();
    }
}
