//! What an agent may use up before it is stopped.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use throng_llm::Cost;

/// What one run of an agent may use up. Whatever is reached first stops it, with what was done by then.
///
/// Steps and calls are counted before they happen, so their limits are never exceeded. Time cuts off what is under way.
/// Tokens and cost are known only when an answer has ended, so one answer can go over them; no further one is asked for.
#[derive(Clone, Debug)]
#[must_use]
pub struct Limits {
    pub(crate) max_steps: NonZeroU32,
    pub(crate) max_time: Option<Duration>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) max_cost: Option<Cost>,
    pub(crate) max_tool_calls: Option<u32>,
    pub(crate) max_calls_per_step: NonZeroU32,
    pub(crate) max_result_bytes: NonZeroUsize,
}

impl Limits {
    /// Makes limits of 20 steps, 128 tool calls a step and 64 KiB a result, and none of time, tokens and cost.
    pub const fn new() -> Self {
        Self {
            max_steps: NonZeroU32::MIN.saturating_add(19),
            max_time: None,
            max_tokens: None,
            max_cost: None,
            max_tool_calls: None,
            max_calls_per_step: NonZeroU32::MIN.saturating_add(127),
            max_result_bytes: NonZeroUsize::MIN.saturating_add((64 << 10) - 1),
        }
    }

    /// Sets how many answers the model gives at most. Default 20. The calls of the last one are not run.
    pub const fn max_steps(mut self, steps: NonZeroU32) -> Self {
        self.max_steps = steps;
        self
    }

    /// Sets how long the run takes at most. Default: no limit.
    pub const fn max_time(mut self, time: Duration) -> Self {
        self.max_time = Some(time);
        self
    }

    /// Sets how many tokens all answers and their prompts have together. Default: no limit.
    pub const fn max_tokens(mut self, tokens: u64) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    /// Sets what all answers cost together. Default: no limit. A model whose price is not known is not asked then.
    pub const fn max_cost(mut self, cost: Cost) -> Self {
        self.max_cost = Some(cost);
        self
    }

    /// Sets how many tool calls the run makes. Default: no limit. The answer that would go over it is not followed.
    pub const fn max_tool_calls(mut self, calls: u32) -> Self {
        self.max_tool_calls = Some(calls);
        self
    }

    /// Sets how many tool calls of one answer are run. Default 128; the others are told that they were too many.
    pub const fn max_calls_per_step(mut self, calls: NonZeroU32) -> Self {
        self.max_calls_per_step = calls;
        self
    }

    /// Sets how many bytes of a tool's result the model is told. Default 64 KiB; the rest is cut off, and it says so.
    pub const fn max_result_bytes(mut self, bytes: NonZeroUsize) -> Self {
        self.max_result_bytes = bytes;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
