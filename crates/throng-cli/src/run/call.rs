//! One attempt of one task: the request, the stream folded into an answer, and what the executor is told on the way.

use std::sync::Arc;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use throng_exec::{Attempt, Cost, JobSpec, Runner};
use throng_llm::{CallContext, Completion, ErrorKind, LlmClient, LlmError, Request, StreamEvent};
use tracing::Instrument as _;

use super::health::Health;
use crate::input::{Prompt, Task};

/// How many tokens an answer is taken to have, for `--otpm`, where nothing bounds it.
const USUAL_OUTPUT: u32 = 256;

/// What all requests of a run have in common.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// The model.
    pub(crate) model: String,
    /// Put ahead of each prompt.
    pub(crate) system: Option<String>,
    /// The sampling temperature.
    pub(crate) temperature: Option<f64>,
    /// Most tokens of an answer.
    pub(crate) max_output_tokens: Option<u32>,
}

impl Shape {
    /// Makes the request of a task.
    pub(crate) fn request(&self, prompt: &Prompt) -> Request {
        let mut request = Request::new(&self.model);
        request.temperature = self.temperature;
        request.max_output_tokens = self.max_output_tokens;
        match prompt {
            Prompt::Text(text) => {
                if let Some(system) = &self.system {
                    request = request.system(system);
                }
                request.user(text)
            }
            Prompt::Messages(messages) => {
                let mut messages = messages.clone();
                let role = |message: &Value| message["role"].as_str().map(str::to_owned);
                let has_own = messages
                    .iter()
                    .any(|m| matches!(role(m).as_deref(), Some("system" | "developer")));
                if let Some(system) = self.system.as_ref().filter(|_| !has_own) {
                    messages.insert(0, json!({"role": "system", "content": system}));
                }
                request.extra("messages", messages)
            }
        }
    }

    /// Makes the job of a task, with what it is expected to cost.
    pub(crate) fn job(&self, task: Task) -> JobSpec<Task> {
        let cost = Cost {
            input_tokens: task.prompt.estimate_tokens(self.system.as_deref()),
            output_tokens: self.max_output_tokens.unwrap_or(USUAL_OUTPUT),
        };
        JobSpec::new(task).cost(cost)
    }
}

/// Calls the model.
pub(crate) struct Caller {
    /// The provider.
    pub(crate) client: Arc<dyn LlmClient>,
    /// What the requests have in common.
    pub(crate) shape: Shape,
    /// Is told how attempts end.
    pub(crate) health: Arc<Health>,
}

impl Runner<Task> for Caller {
    type Output = Completion;
    type Error = LlmError;

    async fn run(&self, task: &Task, cx: Attempt) -> Result<Completion, LlmError> {
        let request = Arc::new(self.shape.request(&task.prompt));
        // Neither deadline nor token is passed on: the executor drops this future when its time is over, which
        // closes the connection, and counts a timeout as one.
        // The id is the user's own name for the record; the prompt does not appear in logs.
        let span = tracing::debug_span!("record", id = ?task.id.to_string());
        let result = fold(&*self.client, request, &cx).instrument(span).await;
        self.health.observe(result.as_ref().err());
        result
    }
}

async fn fold(client: &dyn LlmClient, request: Arc<Request>, cx: &Attempt) -> Result<Completion, LlmError> {
    let mut events = client.call(request, CallContext::new()).await?;
    let mut completion = Completion::default();
    let mut finished = false;
    while let Some(event) = events.next().await {
        let event = event?;
        match &event {
            StreamEvent::Usage(usage) => cx.report_usage(usage),
            StreamEvent::Finished { usage, .. } => {
                finished = true;
                cx.report_usage(usage);
            }
            other if other.is_content() => cx.first_output(),
            _ => {}
        }
        completion.push(event);
    }
    if finished {
        Ok(completion)
    } else {
        Err(LlmError::new(
            ErrorKind::Truncated,
            client.provider(),
            "ended its stream of events without a last event",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape {
            model: "m".into(),
            system: Some("Be brief.".into()),
            temperature: None,
            max_output_tokens: None,
        }
    }

    #[test]
    fn a_system_message_goes_ahead_unless_the_record_has_its_own() {
        let request = shape().request(&Prompt::Text("hi".into()));
        assert_eq!(request.messages.len(), 2);
        let own = vec![
            json!({"role": "system", "content": "x"}),
            json!({"role": "user", "content": "hi"}),
        ];
        let request = shape().request(&Prompt::Messages(own.clone()));
        assert_eq!(request.extra["messages"], json!(own));
        let request = shape().request(&Prompt::Messages(vec![json!({"role": "user", "content": "hi"})]));
        assert_eq!(
            request.extra["messages"][0],
            json!({"role": "system", "content": "Be brief."})
        );
        assert_eq!(request.extra["messages"].as_array().unwrap().len(), 2);
    }
}
