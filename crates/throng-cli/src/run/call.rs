//! One attempt of one task: the request, the stream folded into an answer, and what the executor is told on the way.

use std::sync::Arc;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use throng_core::Usage;
use throng_exec::{Attempt, Cost, JobSpec, Key, Priority, Runner};
use throng_llm::{CallContext, Completion, ErrorKind, LlmClient, LlmError, Request, StreamEvent};
use tracing::Instrument as _;

use super::health::Health;
use crate::input::{Id, Prompt, Task};
use crate::settings::Settings;
use crate::vote::Failure;

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
    /// Reads from the settings what all requests to a model have in common.
    pub(crate) fn of(settings: &Settings, model: &str) -> Self {
        Self {
            model: model.to_owned(),
            system: settings.text("run.system").map(str::to_owned),
            temperature: settings.number("run.temperature"),
            max_output_tokens: settings
                .count("run.max-output-tokens")
                .and_then(|n| u32::try_from(n).ok()),
        }
    }

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
            Prompt::Messages(_) => request.extra("messages", self.messages(prompt)),
        }
    }

    /// Returns the whole conversation of a prompt.
    pub(super) fn messages(&self, prompt: &Prompt) -> Vec<Value> {
        let mut messages = match prompt {
            Prompt::Text(text) => vec![json!({"role": "user", "content": text})],
            Prompt::Messages(messages) => messages.clone(),
        };
        let has_own = messages
            .iter()
            .any(|message| matches!(message["role"].as_str(), Some("system" | "developer")));
        if let Some(system) = self.system.as_ref().filter(|_| !has_own) {
            messages.insert(0, json!({"role": "system", "content": system}));
        }
        messages
    }

    /// Makes the job of a task, with what it is expected to cost.
    pub(crate) fn job(&self, task: Task) -> JobSpec<Task> {
        let terms = self.terms(&task);
        terms.job(task)
    }

    /// Returns how the calls of a task are scheduled.
    pub(crate) fn terms(&self, task: &Task) -> Terms {
        Terms {
            cost: Cost {
                input_tokens: task.prompt.estimate_tokens(self.system.as_deref()),
                output_tokens: self.max_output_tokens.unwrap_or(USUAL_OUTPUT),
            },
            priority: task.priority,
            key: task.key.clone(),
        }
    }
}

/// How the calls of a task are scheduled.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    cost: Cost,
    priority: Option<Priority>,
    key: Option<Key>,
}

impl Terms {
    /// Makes a job.
    pub(crate) fn job<J>(self, input: J) -> JobSpec<J> {
        let mut job = JobSpec::new(input)
            .cost(self.cost)
            .priority(self.priority.unwrap_or(Priority::NORMAL));
        if let Some(key) = self.key {
            job = job.key(key);
        }
        job
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

impl Caller {
    /// Asks once. `report` is told the tokens that were used so far, as the executor is.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    pub(crate) async fn ask(
        &self,
        id: &Id,
        request: Request,
        context: CallContext,
        cx: &Attempt,
        report: &(dyn Fn(&Usage) + Sync),
    ) -> Result<Completion, LlmError> {
        // Neither deadline nor token is passed on: the executor drops this future when its time is over, which
        // closes the connection, and counts a timeout as one.
        // The id is the user's own name for the record; the prompt does not appear in logs.
        let span = tracing::debug_span!("record", id = ?id.to_string());
        let report = |usage: &Usage| {
            cx.report_usage(usage);
            report(usage);
        };
        let result = fold(&*self.client, Arc::new(request), context, cx, &report)
            .instrument(span)
            .await;
        self.health.observe(result.as_ref().err());
        result
    }
}

impl Runner<Task> for Caller {
    type Output = Completion;
    type Error = Failure;

    async fn run(&self, task: &Task, cx: Attempt) -> Result<Completion, Failure> {
        let request = self.shape.request(&task.prompt);
        self.ask(&task.id, request, CallContext::new(), &cx, &|_| ())
            .await
            .map_err(Failure::Call)
    }
}

async fn fold(
    client: &dyn LlmClient,
    request: Arc<Request>,
    context: CallContext,
    cx: &Attempt,
    report: &(dyn Fn(&Usage) + Sync),
) -> Result<Completion, LlmError> {
    let mut events = client.call(request, context).await?;
    let mut completion = Completion::default();
    let mut finished = false;
    while let Some(event) = events.next().await {
        let event = event?;
        match &event {
            StreamEvent::Usage(usage) => report(usage),
            StreamEvent::Finished { usage, .. } => {
                finished = true;
                report(usage);
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
