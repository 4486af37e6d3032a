//! What became of a batch: one result for each agent, and one account for each call of the model.

use std::time::Duration;

use serde_json::Value;
use throng_core::Usage;

use crate::AgentId;

/// Where a plan comes from, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Tier {
    /// An equal snapshot was planned for before.
    Cache,
    /// A prompt with everything, shared with other agents.
    Full,
    /// A short prompt, shared with other agents.
    Simplified,
    /// A short prompt of the agent's own.
    Single,
    /// The caller's rules, without a model.
    Heuristic,
    /// The steps that the caller has for when all else fails.
    Emergency,
}

impl Tier {
    /// Returns the tier as it stands in machine output: `full`, `heuristic` and so on.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Full => "full",
            Self::Simplified => "simplified",
            Self::Single => "single",
            Self::Heuristic => "heuristic",
            Self::Emergency => "emergency",
        }
    }
}

/// What became of one agent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AgentResult<P> {
    /// The agent.
    pub id: AgentId,
    /// Its plan. `None` if every tier that was allowed has failed; [`attempts`](Self::attempts) says how.
    pub plan: Option<P>,
    /// Where the plan comes from.
    pub tier: Option<Tier>,
    /// Whether the agent's deadline ended the wait for the model.
    pub late: bool,
    /// What was tried for it, in order; the last one gave the plan, if there is one.
    pub attempts: Vec<TierAttempt>,
    /// When the result was there, as the time since the batch began.
    pub at: Duration,
}

/// One try to get a plan for an agent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TierAttempt {
    /// The tier.
    pub tier: Tier,
    /// Which call of the model it was, as in [`CallReport::number`].
    pub call: Option<u32>,
    /// How long it took, until the plan was there or could no longer come.
    pub took: Duration,
    /// Why it gave no plan. `None` if it did.
    pub failure: Option<AttemptFailure>,
}

/// Why a try gave no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttemptFailure {
    /// The answer was whole and had no plan for the agent.
    Missing,
    /// The answer had one that cannot be used.
    Invalid(String),
    /// The answer had several that differ.
    Ambiguous,
    /// The answer ended before the agent's plan did.
    Truncated,
    /// The prompt did not fit into the model's window.
    TooLarge,
    /// The call failed.
    Call(String),
    /// The agent's deadline passed.
    Late,
    /// No rule applies, or there are none.
    NoRule,
}

impl std::fmt::Display for AttemptFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("the answer has no plan for the agent"),
            Self::Invalid(reason) => write!(f, "the plan cannot be used: {reason}"),
            Self::Ambiguous => f.write_str("the answer has several plans for the agent, which differ"),
            Self::Truncated => f.write_str("the answer ended before the plan did"),
            Self::TooLarge => f.write_str("the prompt did not fit into the model's window"),
            Self::Call(error) => f.write_str(error),
            Self::Late => f.write_str("the agent's deadline passed"),
            Self::NoRule => f.write_str("no rule applies"),
        }
    }
}

/// How the answer to a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallEnding {
    /// It came to its end, or to that of its last plan.
    Whole,
    /// It was cut by a limit of tokens.
    Truncated,
    /// It is not what was asked for.
    Malformed,
    /// The prompt did not fit.
    TooLarge,
    /// The call failed.
    Failed,
    /// Nobody waited for it any longer.
    Abandoned,
}

impl CallEnding {
    /// Returns the ending as it stands in machine output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// What became of one call of the model.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CallReport {
    /// Which call of the batch it is, from 0.
    pub number: u32,
    /// The tier.
    pub tier: Tier,
    /// The agents that it asked about, in the order of the prompt.
    pub agents: Vec<AgentId>,
    /// When the call began, as the time since the batch began.
    pub began: Duration,
    /// From the call's beginning to the first text of its answer.
    pub first_chunk: Option<Duration>,
    /// From the call's beginning to its first plan.
    pub first_plan: Option<Duration>,
    /// From the call's beginning to its end.
    pub took: Duration,
    /// How it ended.
    pub ending: CallEnding,
    /// Whether the rest of the answer was not waited for, because every agent had its plan. The provider then says nothing
    /// of the tokens.
    pub stopped_early: bool,
    /// The tokens, as far as the provider said.
    pub usage: Usage,
    /// How many plans came that can be used.
    pub plans: usize,
    /// How many repairs the answer's JSON took.
    pub repairs: usize,
    /// Plans for agents that nobody asked about; nobody is given them.
    pub unknown: Vec<Value>,
    /// Why it failed.
    pub error: Option<String>,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BatchReport<P> {
    /// One result for each agent, in the order of the ids.
    pub results: Vec<AgentResult<P>>,
    /// The calls of the model, in the order in which they were made.
    pub calls: Vec<CallReport>,
    /// From the beginning to the last result.
    pub elapsed: Duration,
}

impl<P> BatchReport<P> {
    /// Returns the plan of an agent.
    pub fn plan(&self, id: &AgentId) -> Option<&P> {
        self.results
            .binary_search_by(|result| result.id.cmp(id))
            .ok()
            .and_then(|at| self.results.get(at))
            .and_then(|result| result.plan.as_ref())
    }

    /// Returns how many agents have a plan.
    pub fn n_planned(&self) -> usize {
        self.results.iter().filter(|result| result.plan.is_some()).count()
    }

    /// Returns how many agents have a plan of each tier, the best tier first.
    pub fn tiers(&self) -> Vec<(Tier, usize)> {
        let mut counts = std::collections::BTreeMap::new();
        for tier in self.results.iter().filter_map(|result| result.tier) {
            *counts.entry(tier).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }

    /// Returns the tokens of all calls, as far as the provider said.
    pub fn usage(&self) -> Usage {
        let mut sum = Usage::NONE;
        for call in &self.calls {
            sum.add(&call.usage);
        }
        sum
    }
}
