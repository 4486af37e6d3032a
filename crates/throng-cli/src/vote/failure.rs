//! Why a record has no answer: its call failed, or its vote brought no consensus.

use std::fmt;

use throng_core::{Classify, ErrorClass};
use throng_exec::Decision;
use throng_llm::LlmError;

/// Why a record has no answer.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The call failed; in a vote, those of all agents, this one last.
    Call(LlmError),
    /// Its vote brought no consensus.
    Vote(NoConsensus),
}

/// Why a vote brought no consensus.
#[derive(Clone, Debug)]
pub(crate) struct NoConsensus {
    /// The name as it stands in result lines.
    pub(crate) kind: &'static str,
    /// One sentence.
    pub(crate) message: String,
}

impl NoConsensus {
    /// Describes a decision that is not a consensus.
    pub(crate) fn of(decision: Decision, agreement: f64, valid: usize, agents: usize) -> Self {
        let message = match decision {
            Decision::NoQuorum => {
                format!("{valid} of {agents} agents gave an answer, which is less than the quorum")
            }
            Decision::BelowThreshold => {
                format!("the first answer has {agreement:.2} of the votes, which is below the threshold")
            }
            Decision::Tied => format!("several answers have {agreement:.2} of the votes each"),
            _ => "the vote was not decided".to_owned(),
        };
        Self {
            kind: decision_name(decision),
            message,
        }
    }

    /// Describes a vote that was stopped with the run.
    pub(crate) fn stopped() -> Self {
        Self {
            kind: "vote_stopped",
            message: "the run stopped before the vote was decided".to_owned(),
        }
    }
}

impl Classify for Failure {
    fn classify(&self) -> ErrorClass {
        match self {
            Self::Call(error) => error.classify(),
            Self::Vote(_) => ErrorClass::Permanent,
        }
    }
}

impl fmt::Display for NoConsensus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Returns the name of a decision as it stands in machine output.
pub(super) const fn decision_name(decision: Decision) -> &'static str {
    match decision {
        Decision::Consensus => "consensus",
        Decision::NoQuorum => "no_quorum",
        Decision::BelowThreshold => "below_threshold",
        Decision::Tied => "tied",
        _ => "undecided",
    }
}
