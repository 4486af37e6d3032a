//! A run from its first question to its end.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use throng_core::Outcome;
use throng_exec::Finished;
use throng_llm::{
    Completion, ErrorKind, FinishReason, LlmClient, LlmError, Message, Metered, Request, Spending,
    StreamEvent, ToolCall, UnknownPrices,
};
use throng_tools::{Call, CallOutcome, CallResult, PlanPolicy, PlanReport, PlanRun, PlanStream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::agent::Settings;
use crate::answer;
use crate::turn::{Asker, Heard, Question};
use crate::{AgentEvent, AgentReport, StepReport, Stop};

/// A run of an agent.
pub(crate) struct Drive {
    settings: Arc<Settings>,
    client: Arc<dyn LlmClient>,
    spending: Spending,
    messages: Vec<Message>,
    events: UnboundedSender<AgentEvent>,
    cancel: CancellationToken,
    began: Instant,
    deadline: Option<Instant>,
    steps: Vec<StepReport>,
    text: String,
    tool_calls: u32,
}

/// The calls of an answer, as far as they have come.
#[derive(Default)]
struct Calls {
    /// The plan that runs already, if something was pushed to it.
    stream: Option<PlanStream>,
    ids: HashSet<String>,
    /// Every call, and why it is not in the plan, if it is not.
    calls: Vec<(ToolCall, Option<String>)>,
}

impl Drive {
    pub(crate) fn new(
        settings: Arc<Settings>,
        messages: Vec<Message>,
        events: UnboundedSender<AgentEvent>,
        cancel: CancellationToken,
    ) -> Self {
        let spending = Spending::new();
        let mut client = Metered::new(Arc::clone(&settings.client), Arc::clone(&settings.prices))
            .with_spending(spending.clone())
            .with_unknown_prices(UnknownPrices::RefuseUnderLimit);
        if let Some(max) = settings.limits.max_cost {
            client = client.with_max_cost(max);
        }
        let began = Instant::now();
        Self {
            deadline: settings.limits.max_time.and_then(|time| began.checked_add(time)),
            client: Arc::new(client),
            settings,
            spending,
            messages,
            events,
            cancel,
            began,
            steps: Vec::new(),
            text: String::new(),
            tool_calls: 0,
        }
    }

    /// Runs to the end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the answer that is under way and the tools that run.
    pub(crate) async fn run(mut self) -> AgentReport {
        let mut step = 0;
        let stop = loop {
            if let Some(stop) = self.used_up(step) {
                break stop;
            }
            step += 1;
            if let Some(stop) = self.step(step).await {
                break stop;
            }
        };
        AgentReport {
            stop,
            text: self.text,
            messages: self.messages,
            steps: self.steps,
            spent: self.spending.total(),
            tool_calls: self.tool_calls,
            elapsed: self.began.elapsed(),
        }
    }

    /// Says which limit leaves no room for another step.
    fn used_up(&self, steps: u32) -> Option<Stop> {
        let limits = &self.settings.limits;
        let spent = self.spending.total();
        if self.cancel.is_cancelled() {
            Some(Stop::Cancelled)
        } else if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            Some(Stop::MaxTime)
        } else if steps >= limits.max_steps.get() {
            Some(Stop::MaxSteps)
        } else if limits.max_tokens.is_some_and(|max| spent.usage.total() >= max) {
            Some(Stop::MaxTokens)
        } else if limits.max_cost.is_some_and(|max| spent.cost >= max) {
            Some(Stop::MaxCost)
        } else {
            None
        }
    }

    fn tell(&self, event: AgentEvent) {
        // Whoever only waits for the report does not listen.
        let _ = self.events.send(event);
    }

    /// Asks once and runs the calls of the answer. Returns why the run ends, if it does.
    async fn step(&mut self, step: u32) -> Option<Stop> {
        self.tell(AgentEvent::StepStarted { step });
        let asked = Instant::now();
        let mut calls = Calls::default();
        let (completion, attempts) = match self.ask(step, &mut calls).await {
            Ok(answer) => answer,
            Err(stop) => return Some(stop),
        };
        let mut report = StepReport {
            step,
            usage: completion.usage,
            attempts,
            first_content: completion.first_content,
            model_time: asked.elapsed(),
            tool_time: Duration::ZERO,
            tools: None,
        };
        self.text.clone_from(&completion.text);
        self.messages.push(completion.to_message());
        let stop = self.after_answer(step, &completion);
        if let Some(stop) = stop {
            self.answer_unrun(&completion.tool_calls, &stop);
            self.end_step(report);
            return Some(stop);
        }
        let answered = Instant::now();
        let plan = self.run_calls(step, &completion.tool_calls, calls).await;
        report.tool_time = answered.elapsed();
        report.tools = plan;
        self.end_step(report);
        None
    }

    fn end_step(&mut self, report: StepReport) {
        self.tell(AgentEvent::StepEnded(Box::new(report.clone())));
        self.steps.push(report);
    }

    /// Says whether the run ends with an answer, so that its calls are not run.
    fn after_answer(&self, step: u32, completion: &Completion) -> Option<Stop> {
        match &completion.finish {
            Some(FinishReason::Refusal) => return Some(Stop::Refused),
            Some(
                reason @ (FinishReason::Length | FinishReason::ContentFilter | FinishReason::ContextOverflow),
            ) => return Some(Stop::Cut(reason.clone())),
            _ => {}
        }
        if completion.tool_calls.is_empty() {
            return match &completion.finish {
                // The provider wants to be asked again with what it has said.
                Some(FinishReason::Pause) => None,
                _ if !completion.refusal.is_empty() => Some(Stop::Refused),
                _ => Some(Stop::Answered),
            };
        }
        if let Some(stop) = self.used_up(step) {
            return Some(stop);
        }
        let calls = u32::try_from(completion.tool_calls.len()).unwrap_or(u32::MAX);
        let left = self
            .settings
            .limits
            .max_tool_calls
            .map(|max| max.saturating_sub(self.tool_calls));
        left.is_some_and(|left| calls > left)
            .then_some(Stop::MaxToolCalls)
    }

    /// Tells the model of calls that were not run.
    fn answer_unrun(&mut self, calls: &[ToolCall], stop: &Stop) {
        let max = self.settings.limits.max_result_bytes;
        for call in calls {
            let text = format!("not run: {stop}");
            self.messages.push(answer::failed(&call.id, &text, max));
        }
    }

    /// Asks the model for one answer, retries included, and starts what may start while it comes.
    async fn ask(&mut self, step: u32, calls: &mut Calls) -> Result<(Completion, u32), Stop> {
        let (heard, mut listener) = mpsc::unbounded_channel();
        let mut request: Request = self.settings.template.clone();
        request.messages.clone_from(&self.messages);
        let question = Question {
            client: Arc::clone(&self.client),
            request: Arc::new(request),
            heard,
        };
        let mut run = self.settings.executor.start([question], Asker);
        let finished = loop {
            let deadline = self.deadline;
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(Stop::Cancelled),
                () = reached(deadline) => return Err(Stop::MaxTime),
                Some(heard) = listener.recv() => self.heard(step, heard, calls),
                Some(result) = next_result(&mut calls.stream) => self.tell(AgentEvent::ToolEnded { step, result }),
                finished = run.next() => break finished,
            }
        };
        self.drain(step, &mut listener, calls);
        let Some(Finished {
            outcome, attempts, ..
        }) = finished
        else {
            return Err(Stop::Cancelled);
        };
        match outcome {
            Outcome::Succeeded(completion) => Ok((completion, attempts)),
            Outcome::Failed(error) => Err(match error.kind() {
                ErrorKind::CostLimit => Stop::MaxCost,
                ErrorKind::Cancelled => Stop::Cancelled,
                _ => Stop::Failed(error),
            }),
            Outcome::TimedOut(kind) => {
                let clock = ErrorKind::Timeout(throng_llm::Clock::Total);
                let message = format!("did not answer in time ({kind})");
                Err(Stop::Failed(LlmError::new(
                    clock,
                    self.client.provider(),
                    message,
                )))
            }
            Outcome::Panicked(message) => Err(Stop::Panicked(message)),
            _ => Err(Stop::Cancelled),
        }
    }

    /// Takes what was heard before the answer ended.
    fn drain(&self, step: u32, listener: &mut UnboundedReceiver<Heard>, calls: &mut Calls) {
        while let Ok(heard) = listener.try_recv() {
            self.heard(step, heard, calls);
        }
    }

    fn heard(&self, step: u32, heard: Heard, calls: &mut Calls) {
        match heard {
            Heard::Began(NonZeroU32::MIN) => {}
            Heard::Began(attempt) => {
                // What has begun for the answer that broke off changes nothing, and is dropped with its plan.
                *calls = Calls::default();
                self.tell(AgentEvent::AnswerRestarted { step, attempt });
            }
            Heard::Event(event) => {
                if let (true, StreamEvent::ToolCallEnd { call, .. }) = (self.settings.early, &event) {
                    self.seal(calls, call.clone());
                }
                self.tell(AgentEvent::Model { step, event });
            }
        }
    }

    /// Adds a call that is complete to the plan of the step.
    fn seal(&self, calls: &mut Calls, call: ToolCall) {
        let limits = &self.settings.limits;
        let place = calls.calls.len();
        // Providers send ids twice, or none: the plan needs one for each call.
        let mut id = call.id.clone();
        if id.is_empty() || calls.ids.contains(&id) {
            id = format!("{id}#{}", place + 1);
        }
        calls.ids.insert(id.clone());
        let refused = if place >= limits.max_calls_per_step.get() as usize {
            Some(format!(
                "not run: more than {} calls in one answer",
                limits.max_calls_per_step
            ))
        } else {
            match call.parse_arguments() {
                Ok(arguments) => {
                    let stream = calls.stream.get_or_insert_with(|| {
                        let options = (self.settings.options)().cancel_with(self.cancel.child_token());
                        self.settings
                            .tools
                            .start_streaming(PlanPolicy::default(), options)
                    });
                    let pushed = stream.push(Call::new(&id, &call.name, arguments).literal());
                    pushed.err().map(|error| error.to_string())
                }
                Err(error) => Some(format!(
                    "{error}: {}",
                    std::error::Error::source(&error).map_or_else(String::new, ToString::to_string)
                )),
            }
        };
        calls.calls.push((call, refused));
    }

    /// Runs the calls of an answer that is whole, and adds their answers to the conversation, in the order of the calls.
    async fn run_calls(&mut self, step: u32, whole: &[ToolCall], mut calls: Calls) -> Option<PlanReport> {
        if whole.is_empty() {
            return None;
        }
        if calls.calls.len() != whole.len() {
            // They were not pushed as they came.
            calls = Calls::default();
            for call in whole {
                self.seal(&mut calls, call.clone());
            }
        }
        let Calls { stream, calls, .. } = calls;
        self.tool_calls = self
            .tool_calls
            .saturating_add(u32::try_from(calls.len()).unwrap_or(u32::MAX));
        let plan = match stream {
            Some(stream) => Some(self.finish_plan(step, stream.finish()).await),
            None => None,
        };
        let max = self.settings.limits.max_result_bytes;
        let results: &[Arc<CallResult>] = plan.as_ref().map_or(&[], |plan| &plan.results);
        let mut results = results.iter();
        for (call, refused) in calls {
            let message = match refused {
                Some(reason) => answer::failed(&call.id, &reason, max),
                None => match results.next().map(|result| &result.outcome) {
                    Some(CallOutcome::Succeeded(value)) => answer::succeeded(&call.id, value, max),
                    Some(outcome) => {
                        let error = outcome.error_text().unwrap_or_default();
                        answer::failed(&call.id, &error, max)
                    }
                    None => answer::failed(&call.id, "it has no result", max),
                },
            };
            self.messages.push(message);
        }
        plan
    }

    /// Waits for the plan of a step, no longer than the run may take.
    async fn finish_plan(&self, step: u32, mut run: PlanRun) -> PlanReport {
        let handle = run.handle();
        let mut deadline = self.deadline;
        loop {
            tokio::select! {
                biased;
                result = run.next() => match result {
                    Some(result) => self.tell(AgentEvent::ToolEnded { step, result }),
                    None => return run.finish().await,
                },
                () = reached(deadline) => {
                    handle.cancel();
                    deadline = None;
                }
            }
        }
    }
}

/// Waits for an instant, or for ever.
async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Returns the next result of a plan that runs while its answer comes.
async fn next_result(stream: &mut Option<PlanStream>) -> Option<Arc<CallResult>> {
    match stream {
        Some(stream) => match stream.next().await {
            Some(result) => Some(result),
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}
