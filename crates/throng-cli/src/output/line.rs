//! The result line: what stands in the output for one input. Fields are added and never changed within a version.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};
use throng_core::{Classify, Outcome, TimeoutKind, Usage};
use throng_exec::{Finished, Timing};
use throng_llm::{Completion, Cost};

use crate::explain::{self, Waiting};
use crate::input::{Id, Task};
use crate::vote::{Failure, VoteLine};

/// The version of the result lines.
pub(crate) const VERSION: u32 = 1;

/// One line of the output.
#[derive(Debug, Serialize)]
pub(crate) struct ResultLine<'a> {
    v: u32,
    id: &'a Id,
    outcome: &'static str,
    text: Option<&'a str>,
    attempts: u32,
    usage: Usage,
    timing: TimingLine,
    error: Option<ErrorLine>,
    /// The record that was asked in place of this one, because their prompts are equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    same_as: Option<&'a Id>,
    /// How the vote on this record stood at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    vote: Option<VoteLine>,
    /// Present, and true, if the answer is made up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    simulated: bool,
    /// The provider that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    /// What all calls of the record cost, if the prices are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
    /// Present, and true, if the answer was kept from an earlier call.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cached: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Value>,
}

/// Where the time of a job went, in milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct TimingLine {
    queued_ms: f64,
    throttled_ms: f64,
    backoff_ms: f64,
    running_ms: f64,
    first_token_ms: Option<f64>,
}

/// Why a job did not succeed.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorLine {
    class: &'static str,
    kind: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
}

/// What the lines of a run have in common.
#[derive(Clone, Debug)]
pub(crate) struct LineAbout {
    /// The names of those who answer in each step of a job.
    pub(crate) providers: Vec<Option<String>>,
    /// The answers are made up.
    pub(crate) simulated: bool,
    /// Something is tried again at all.
    pub(crate) retries: bool,
    /// The longest time that one job is refused.
    pub(crate) patience: Duration,
    /// When the deadline of the run is.
    pub(crate) deadline: Option<Instant>,
}

/// A job of this program that has ended.
pub(crate) type FinishedTask = Finished<Task, Completion, Failure>;

impl<'a> ResultLine<'a> {
    /// Makes the line of a job that has ended. `same_as` is the record that was asked in its place.
    pub(crate) fn new(finished: &'a FinishedTask, same_as: Option<&'a Id>, about: &'a LineAbout) -> Self {
        let poll = finished.input.poll.as_ref().filter(|_| same_as.is_none());
        let usage = match (same_as, poll) {
            (Some(_), _) => Usage::of(0, 0),
            (None, Some(poll)) => poll.usage(),
            (None, None) => finished.usage,
        };
        let answer = finished.outcome.as_success();
        let purse = &finished.input.purse;
        let uncalled = purse.uncalled();
        let provider = match poll {
            // Of several providers the winner of a vote may be anybody's.
            Some(_) if about.providers.len() > 1 => None,
            Some(_) => about.providers.first(),
            None => about.providers.get(finished.step as usize),
        };
        let not_empty = |text: &'a String| (!text.is_empty()).then_some(text.as_str());
        Self {
            v: VERSION,
            id: &finished.input.id,
            outcome: finished.outcome.kind().as_str(),
            text: answer.map(|answer| answer.text.as_str()),
            attempts: poll
                .map_or(finished.attempts, |poll| poll.attempts())
                .saturating_sub(if same_as.is_none() { uncalled } else { 0 }),
            usage,
            timing: TimingLine::new(&finished.timing),
            error: ErrorLine::of(finished, about),
            same_as,
            vote: poll.and_then(|poll| poll.line()),
            simulated: about.simulated,
            provider: answer.and(provider.and_then(Option::as_deref)),
            cost_usd: purse.cost().filter(|_| same_as.is_none()).map(Cost::dollars),
            cached: same_as.is_none() && answer.is_some_and(|answer| answer.cached),
            model: answer.and_then(|answer| answer.model.as_deref()),
            finish: answer
                .and_then(|answer| answer.finish.as_ref())
                .map(|finish| finish.as_str()),
            refusal: answer.and_then(|answer| not_empty(&answer.refusal)),
            reasoning: answer.and_then(|answer| not_empty(&answer.reasoning)),
            tool_calls: answer
                .map(|answer| answer.tool_calls.iter().map(tool_call).collect())
                .unwrap_or_default(),
        }
    }
}

impl TimingLine {
    fn new(timing: &Timing) -> Self {
        Self {
            queued_ms: ms(timing.queued),
            throttled_ms: ms(timing.throttled),
            backoff_ms: ms(timing.backoff),
            running_ms: ms(timing.running),
            first_token_ms: timing.first_output.map(ms),
        }
    }
}

impl ResultLine<'_> {
    /// Returns why the job did not succeed.
    pub(crate) const fn error(&self) -> Option<&ErrorLine> {
        self.error.as_ref()
    }
}

impl ErrorLine {
    /// Returns the kind, the status and the sentence.
    pub(crate) fn parts(&self) -> (&str, Option<u16>, &str) {
        (&self.kind, self.status, &self.message)
    }

    fn of(finished: &FinishedTask, about: &LineAbout) -> Option<Self> {
        let earlier = finished.errors.iter().rev().find_map(|failure| match failure {
            Failure::Call(error) => Some(error),
            Failure::Vote(_) => None,
        });
        let plain = |class, kind: &str, message: &str| {
            let message = match earlier {
                Some(error) => format!("{message}; the attempt before it: {}", explain::chain(error)),
                None => message.to_owned(),
            };
            Some(Self {
                class,
                kind: kind.to_owned(),
                message,
                status: None,
                code: None,
                request_id: None,
                hint: None,
            })
        };
        match &finished.outcome {
            Outcome::Succeeded(_) => None,
            Outcome::Failed(Failure::Vote(vote)) => plain("permanent", vote.kind, &vote.message),
            Outcome::Failed(Failure::Call(error)) => Some(Self {
                class: error.classify().as_str(),
                kind: error.kind().as_str().to_owned(),
                message: explain::chain(error),
                status: error.status(),
                code: error.code().map(str::to_owned),
                request_id: error.request_id().map(str::to_owned),
                hint: explain::hint(
                    error,
                    Waiting {
                        retries: about.retries,
                        patience: about.patience.saturating_sub(finished.timing.throttled),
                        deadline: about
                            .deadline
                            .map(|deadline| deadline.saturating_duration_since(Instant::now())),
                    },
                ),
            }),
            Outcome::TimedOut(TimeoutKind::Deadline) => plain(
                "timeout",
                "run_deadline",
                "the deadline of the run passed during an attempt",
            ),
            Outcome::TimedOut(_) => plain(
                "timeout",
                "attempt_timeout",
                "the last attempt took longer than --timeout",
            ),
            Outcome::Cancelled => plain(
                "cancelled",
                "cancelled",
                "the run was stopped before the job ended",
            ),
            Outcome::Panicked(message) => plain("permanent", "panic", message),
            Outcome::Skipped => plain(
                "skipped",
                "run_deadline",
                "the deadline of the run passed before the job began",
            ),
            other => plain("skipped", other.kind().as_str(), "the job was not run"),
        }
    }
}

/// Returns a time in milliseconds, to the microsecond.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

fn tool_call(call: &throng_llm::ToolCall) -> Value {
    json!({"id": call.id, "name": call.name, "arguments": call.arguments})
}
