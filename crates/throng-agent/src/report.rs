//! What a run of an agent came to.

use std::time::Duration;

use throng_core::Usage;
use throng_llm::{Message, Spent};
use throng_tools::PlanReport;

use crate::Stop;

/// What a run of an agent came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct AgentReport {
    /// Why it ended.
    pub stop: Stop,
    /// The text of the model's last answer.
    pub text: String,
    /// The whole conversation. Every tool call in it has its answer, so that it can go on.
    pub messages: Vec<Message>,
    /// The steps.
    pub steps: Vec<StepReport>,
    /// What the model's answers cost, those included that a retry replaced.
    pub spent: Spent,
    /// How many tool calls were run.
    pub tool_calls: u32,
    /// How long it took.
    pub elapsed: Duration,
}

/// What one step came to: an answer of the model, and the calls in it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StepReport {
    /// Which step, from 1.
    pub step: u32,
    /// The tokens of the answer, as far as the provider said.
    pub usage: Usage,
    /// How often the model was asked for the answer.
    pub attempts: u32,
    /// From the beginning of the last attempt to the first content of its answer.
    pub first_content: Option<Duration>,
    /// How long the answer took, retries included.
    pub model_time: Duration,
    /// How long the calls took beyond that: less than [`PlanReport::total`] where they began while the model wrote.
    pub tool_time: Duration,
    /// What became of its calls. `None` if it made none, or none of them was run.
    pub tools: Option<PlanReport>,
}
