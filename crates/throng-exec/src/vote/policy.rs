//! The rules of a vote, which its builder has checked. Weights are whole millionths, so that sums are exact and do not
//! depend on the order of the answers.

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::Equivalence;

/// A weight of 1.
pub(crate) const ONE: u64 = 1_000_000;

/// The rules of a vote in which several agents answer one question. Cheap to clone, and reusable.
///
/// [`Vote::run`] asks the agents through an [`Executor`](crate::Executor). [`Panel`](crate::Panel) and
/// [`Tally`](crate::Tally) apply the same rules to answers that come from elsewhere.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroUsize;
/// use throng_exec::{Attempt, Ballot, Decision, Executor, Vote};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let executor = Executor::builder().build()?;
/// let vote = Vote::builder(NonZeroUsize::new(5).ok_or("zero")?).build()?;
/// let ask = |ballot: Ballot<&'static str>, _cx: Attempt| async move {
///     assert_eq!(*ballot.question, "Which is the capital of France?");
///     let answer = if ballot.agent == 1 { "Lyon" } else { "Paris" };
///     Ok::<_, String>(answer)
/// };
/// let verdict = vote.run(&executor, "Which is the capital of France?", ask).await;
/// assert_eq!(verdict.decision, Decision::Consensus);
/// assert_eq!(verdict.winner(), Some(&"Paris"));
/// assert_eq!(verdict.asked + verdict.saved, 5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Vote {
    pub(crate) rules: Arc<Rules>,
}

impl Vote {
    /// Returns how many agents there are.
    pub fn agents(&self) -> NonZeroUsize {
        self.rules.agents
    }
}

/// Checked rules.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) agents: NonZeroUsize,
    pub(crate) wave: NonZeroUsize,
    pub(crate) release: Release,
    pub(crate) quorum: usize,
    pub(crate) threshold: f64,
    pub(crate) ties: Tie,
    /// Millionths, one for each agent; empty where all have the weight 1.
    pub(super) weights: Vec<u64>,
    /// The largest weight of an agent.
    pub(crate) heaviest: u64,
    /// The sum of all weights.
    pub(crate) total: u64,
    pub(crate) stop: Stop,
    pub(crate) equivalence: Equivalence,
}

impl Rules {
    /// Returns the weight of an agent in millionths.
    pub(crate) fn weight(&self, agent: usize) -> u64 {
        self.weights.get(agent).copied().unwrap_or(ONE)
    }
}

/// When a vote ends before every agent has answered.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Stop {
    /// Every agent is asked.
    Never,
    /// When the agents that are left cannot change the decision, whatever they answer.
    Certain,
    /// As [`Certain`](Self::Certain), and also when the decision would change with a probability of at most
    /// 1 − `confidence`, judged by the answers so far; see [`Tally::confidence`](crate::Tally::confidence).
    ///
    /// The vote goes on while answers are missing to the quorum, or the leader is below the threshold.
    Bayesian {
        /// Above 0.5 and below 1.
        confidence: f64,
    },
}

impl Stop {
    /// The default confidence of [`Bayesian`](Self::Bayesian), that of Adaptive-Consistency.
    ///
    /// With four likely answers and 40 agents it costs less than half a point of accuracy against the full vote. With two
    /// answers, agents that are right in 6 of 10 cases, and 40 of them, it costs 2 points, and a confidence of 0.99 a
    /// quarter of a point: `docs/measurements/consensus.md`.
    pub const CONFIDENCE: f64 = 0.95;
}

/// What comes of a vote in which several answers have the same weight and no other has more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tie {
    /// The answer whose first supporter has the lowest index wins. The default.
    #[default]
    Earliest,
    /// No answer wins; see [`Decision::Tied`](crate::Decision::Tied).
    NoConsensus,
}

/// When further agents are asked, as long as the vote is open. What each saves and how long it takes was measured:
/// `docs/measurements/consensus.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Release {
    /// At most a wave at a time, and no more than could be needed: an agent is asked only if the vote would still be open
    /// in case all agents in flight agree with the leader. The default: it saves as many calls as asking one by one, and
    /// takes a fraction of its time.
    #[default]
    Needed,
    /// A wave at a time: with each answer the next agent is asked. It takes half the time of `Needed` and is the least
    /// troubled by an agent that is slow; when the vote ends, the rest of the wave was asked for nothing.
    Rolling,
    /// Wave after wave: the next begins when every agent of the last has ended.
    Batched,
}
