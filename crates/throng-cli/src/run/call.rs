//! One attempt of one task: the request, the stream folded into an answer, and what the executor is told on the way.

use std::sync::Arc;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use throng_core::Usage;
use throng_exec::{Attempt, Cost, JobSpec, Key, Priority, Runner};
use throng_llm::{CallContext, Completion, ErrorKind, LlmClient, LlmError, Request, StreamEvent, Wire};
use tracing::Instrument as _;

use super::answerer::Step;
use super::health::Health;
use crate::input::{Bill, Id, Prompt, Purse, Task, message};
use crate::provider::Stop;
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

    /// Makes the request of a task to a model.
    ///
    /// # Errors
    ///
    /// What in a conversation cannot be sent over the wire.
    pub(crate) fn request(&self, prompt: &Prompt, model: &str, wire: Wire) -> Result<Request, String> {
        let mut request = Request::new(model);
        request.temperature = self.temperature;
        request.max_output_tokens = self.max_output_tokens;
        match prompt {
            Prompt::Text(text) => {
                if let Some(system) = &self.system {
                    request = request.system(system);
                }
                Ok(request.user(text))
            }
            // Other members of a message than those that are known here go through as they are.
            Prompt::Messages(_) if wire == Wire::OpenAiChat => {
                Ok(request.extra("messages", self.messages(prompt)))
            }
            Prompt::Messages(_) => {
                for value in self.messages(prompt) {
                    request = request.message(message(&value)?);
                }
                Ok(request)
            }
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
#[derive(Clone)]
pub(crate) struct Caller {
    /// Who is asked in each step of a job.
    steps: Vec<Step>,
    /// Are told how attempts of each step but the last end.
    earlier: Vec<Arc<Health>>,
    /// What the requests have in common.
    shape: Shape,
    /// Is told how attempts of the last step end.
    health: Arc<Health>,
    /// Ends the run when enough is spent.
    stop: Option<Arc<Stop>>,
}

impl Caller {
    /// Makes a caller. `health` watches whoever is asked last: when it can't be used the run is at its end.
    pub(crate) fn new(steps: Vec<Step>, shape: Shape, health: Arc<Health>, stop: Option<Arc<Stop>>) -> Self {
        let earlier = steps
            .iter()
            .skip(1)
            .map(|_| Arc::new(Health::new(health.first_wave())))
            .collect();
        Self {
            steps,
            earlier,
            shape,
            health,
            stop,
        }
    }

    /// Makes the request of a task and asks once, whoever the attempt's step asks.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    pub(crate) async fn call(
        &self,
        task: &Task,
        seed: Option<i64>,
        context: CallContext,
        cx: &Attempt,
        report: &(dyn Fn(&Usage) + Sync),
    ) -> Result<Completion, LlmError> {
        let index = cx.step() as usize;
        let Some(step) = self.steps.get(index) else {
            return Err(LlmError::new(
                ErrorKind::BadRequest,
                "throng",
                "has no further provider to fall back to",
            ));
        };
        if let Some(error) = self.skipped(index, &task.purse) {
            task.purse.pass();
            return Err(error.with_should_retry(Some(false)));
        }
        let mut request = self
            .shape
            .request(&task.prompt, &step.model, step.wire)
            .map_err(|wrong| {
                let message = format!("cannot be sent the conversation: {wrong}");
                LlmError::new(ErrorKind::BadRequest, step.client.provider(), message)
            })?;
        // The others have no word for it.
        let has_seed = matches!(step.wire, Wire::OpenAiChat | Wire::Gemini | Wire::Ollama);
        request.seed = seed.filter(|_| has_seed);
        let bill = task.purse.bill(step.price.as_ref());
        let result = self.ask(step, &task.id, request, context, cx, bill, report).await;
        let error = result.as_ref().err();
        self.earlier.get(index).unwrap_or(&self.health).observe(error);
        if let Some(error) = error {
            task.purse.failed(error);
        }
        if let Some(stop) = &self.stop {
            stop.observe(error.is_some_and(|error| *error.kind() == ErrorKind::CostLimit));
        }
        result
    }

    /// Returns why a step is left out: what the last one ended with would come of this one as well, or the provider was
    /// found to be of no use.
    fn skipped(&self, index: usize, purse: &Purse) -> Option<LlmError> {
        let before = purse.last_error().filter(|_| index > 0);
        before.filter(|error| is_of_the_prompt(error.kind())).or_else(|| {
            self.earlier
                .get(index)
                .and_then(|health| health.given_up_because())
        })
    }

    /// Asks once. `report` is told the tokens that were used so far, as the executor is.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the parts of one call, put together by its only caller"
    )]
    async fn ask(
        &self,
        step: &Step,
        id: &Id,
        request: Request,
        context: CallContext,
        cx: &Attempt,
        bill: Bill,
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
        fold(&*step.client, Arc::new(request), context, cx, bill, &report)
            .instrument(span)
            .await
    }
}

/// Returns true for an error that any provider would give for the same prompt, and for a run that has spent enough.
const fn is_of_the_prompt(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::BadRequest
            | ErrorKind::ContextOverflow
            | ErrorKind::ContentFilter
            | ErrorKind::TooLarge(_)
            | ErrorKind::Cancelled
            | ErrorKind::CostLimit
            | ErrorKind::UnknownPrice
    )
}

impl Runner<Task> for Caller {
    type Output = Completion;
    type Error = Failure;

    async fn run(&self, task: &Task, cx: Attempt) -> Result<Completion, Failure> {
        self.call(task, None, CallContext::new(), &cx, &|_| ())
            .await
            .map_err(Failure::Call)
    }
}

async fn fold(
    client: &dyn LlmClient,
    request: Arc<Request>,
    context: CallContext,
    cx: &Attempt,
    mut bill: Bill,
    report: &(dyn Fn(&Usage) + Sync),
) -> Result<Completion, LlmError> {
    let mut events = client.call(request, context).await?;
    let mut completion = Completion::default();
    let mut finished = false;
    while let Some(event) = events.next().await {
        let event = event?;
        finished |= matches!(event, StreamEvent::Finished { .. });
        match &event {
            StreamEvent::Started(started) if started.cached => bill.waive(),
            // The tokens of an answer that was kept were paid for when it came.
            StreamEvent::Usage(_) | StreamEvent::Finished { .. } if completion.cached => {}
            StreamEvent::Usage(usage) | StreamEvent::Finished { usage, .. } => {
                bill.used(usage);
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
        let request = |prompt: &Prompt| shape().request(prompt, "m", Wire::OpenAiChat).unwrap();
        let text = request(&Prompt::Text("hi".into()));
        assert_eq!(text.messages.len(), 2);
        let own = vec![
            json!({"role": "system", "content": "x"}),
            json!({"role": "user", "content": "hi"}),
        ];
        let with_own = request(&Prompt::Messages(own.clone()));
        assert_eq!(with_own.extra["messages"], json!(own));
        let prompt = Prompt::Messages(vec![json!({"role": "user", "content": "hi"})]);
        let other = shape().request(&prompt, "m", Wire::Anthropic).unwrap();
        assert_eq!(
            other.messages, text.messages,
            "other wires get the same conversation"
        );
        let request = request(&prompt);
        assert_eq!(
            request.extra["messages"][0],
            json!({"role": "system", "content": "Be brief."})
        );
        assert_eq!(request.extra["messages"].as_array().unwrap().len(), 2);
    }
}
