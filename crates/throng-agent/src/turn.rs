//! One answer of the model, asked for by the executor: its retries, its limits, and what is told while it comes.

use std::num::NonZeroU32;
use std::sync::Arc;

use futures_util::StreamExt as _;
use throng_exec::{Attempt, Runner};
use throng_llm::{CallContext, Completion, ErrorKind, LlmClient, LlmError, Request, StreamEvent};
use tokio::sync::mpsc::UnboundedSender;

/// What is told while an answer comes.
#[derive(Debug)]
pub(crate) enum Heard {
    /// An attempt begins: what was heard of earlier ones is void.
    Began(NonZeroU32),
    /// Something of the answer.
    Event(StreamEvent),
}

/// What is asked.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) client: Arc<dyn LlmClient>,
    pub(crate) request: Arc<Request>,
    /// Unbounded: an answer is bounded by the limits of the client, and the agent reads as fast as it comes.
    pub(crate) heard: UnboundedSender<Heard>,
}

/// Asks the model once.
pub(crate) struct Asker;

impl Runner<Question> for Asker {
    type Output = Completion;
    type Error = LlmError;

    async fn run(&self, question: &Question, cx: Attempt) -> Result<Completion, LlmError> {
        // The agent that no longer listens drops the whole run, this attempt with it.
        let _ = question.heard.send(Heard::Began(cx.number()));
        let began = tokio::time::Instant::now();
        let mut events = question
            .client
            .call(Arc::clone(&question.request), CallContext::new())
            .await?;
        let mut completion = Completion::default();
        let mut finished = false;
        while let Some(event) = events.next().await {
            let event = event?;
            if event.is_content() && completion.first_content.is_none() {
                completion.first_content = Some(began.elapsed());
                cx.first_output();
            }
            match &event {
                StreamEvent::Usage(usage) => cx.report_usage(usage),
                StreamEvent::Finished { usage, .. } => {
                    finished = true;
                    cx.report_usage(usage);
                }
                _ => {}
            }
            let _ = question.heard.send(Heard::Event(event.clone()));
            completion.push(event);
        }
        completion.elapsed = began.elapsed();
        if finished {
            Ok(completion)
        } else {
            let message = "ended its stream of events without a last event";
            Err(LlmError::new(
                ErrorKind::Truncated,
                question.client.provider(),
                message,
            ))
        }
    }
}
