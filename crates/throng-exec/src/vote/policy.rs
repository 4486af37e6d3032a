//! The rules of a vote. They are checked once, when they are built; weights are whole millionths from then on, so that
//! sums are exact and do not depend on the order of the answers.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::{Equivalence, InvalidConfig};

/// A weight of 1.
pub(crate) const ONE: u64 = 1_000_000;
const MAX_AGENTS: usize = 10_000;
const MAX_WEIGHT: f64 = 1_000.0;

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
    /// Starts to configure a vote of so many agents.
    pub const fn builder(agents: NonZeroUsize) -> VoteBuilder {
        VoteBuilder {
            agents,
            wave: None,
            release: Release::Needed,
            quorum: NonZeroUsize::MIN,
            threshold: 0.0,
            ties: Tie::Earliest,
            weights: None,
            stop: Stop::Bayesian {
                confidence: Stop::CONFIDENCE,
            },
            equivalence: Equivalence::Normalised,
        }
    }

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
    weights: Vec<u64>,
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

/// Configures a [`Vote`].
#[derive(Clone, Debug)]
#[must_use]
pub struct VoteBuilder {
    agents: NonZeroUsize,
    wave: Option<NonZeroUsize>,
    release: Release,
    quorum: NonZeroUsize,
    threshold: f64,
    ties: Tie,
    weights: Option<Vec<f64>>,
    stop: Stop,
    equivalence: Equivalence,
}

impl VoteBuilder {
    /// Limits how many agents are in flight at the same time. Default 8, or the number of agents if it is less. The
    /// executor's own limit holds as well.
    pub const fn wave(mut self, size: NonZeroUsize) -> Self {
        self.wave = Some(size);
        self
    }

    /// Sets when further agents are asked. Default [`Release::Needed`].
    pub const fn release(mut self, release: Release) -> Self {
        self.release = release;
        self
    }

    /// Sets how many valid answers a decision needs, whatever their weight. Default 1.
    pub const fn quorum(mut self, answers: NonZeroUsize) -> Self {
        self.quorum = answers;
        self
    }

    /// Sets the share of the weight of all valid answers that the winner needs, from 0 to 1; exactly this share is
    /// enough. Default 0: the answer with the most weight wins.
    pub const fn threshold(mut self, share: f64) -> Self {
        self.threshold = share;
        self
    }

    /// Sets what comes of ties. Default [`Tie::Earliest`].
    pub const fn ties(mut self, ties: Tie) -> Self {
        self.ties = ties;
        self
    }

    /// Sets the weight of each agent's answer, in the order of the agents. They are rounded to millionths. Default: 1
    /// for each agent.
    pub fn weights(mut self, weights: impl IntoIterator<Item = f64>) -> Self {
        self.weights = Some(weights.into_iter().collect());
        self
    }

    /// Sets when the vote ends early. Default [`Stop::Bayesian`] with the confidence [`Stop::CONFIDENCE`].
    pub const fn stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Sets when two texts are the same answer, for [`Vote::run`]. Default [`Equivalence::Normalised`].
    pub const fn equivalence(mut self, equivalence: Equivalence) -> Self {
        self.equivalence = equivalence;
        self
    }

    /// Checks the rules.
    ///
    /// # Errors
    ///
    /// Fails if there are more than 10,000 agents, the wave or the quorum is larger than the number of agents, the
    /// threshold is not between 0 and 1, the confidence is not above 0.5 and below 1, there is not one weight for each
    /// agent, or a weight is not between 0.000001 and 1,000.
    pub fn build(self) -> Result<Vote, InvalidConfig> {
        let agents = self.agents.get();
        check(
            agents <= MAX_AGENTS,
            "agents",
            &agents,
            "it must be at most 10000",
        )?;
        let few = NonZeroUsize::MIN.saturating_add(7).min(self.agents);
        let wave = self.wave.unwrap_or(few);
        check(
            wave.get() <= agents,
            "wave",
            &wave,
            "it must be at most the number of agents",
        )?;
        check(
            self.quorum.get() <= agents,
            "quorum",
            &self.quorum,
            "it must be at most the number of agents",
        )?;
        check(
            (0.0..=1.0).contains(&self.threshold),
            "threshold",
            &self.threshold,
            "it must be between 0 and 1",
        )?;
        if let Stop::Bayesian { confidence } = self.stop {
            check(
                confidence > 0.5 && confidence < 1.0,
                "confidence",
                &confidence,
                "it must be above 0.5 and below 1",
            )?;
        }
        let weights = self
            .weights
            .map_or_else(|| Ok(Vec::new()), |weights| millionths(&weights, agents))?;
        let (heaviest, total) = match weights.iter().max() {
            Some(&heaviest) => (heaviest, weights.iter().sum()),
            None => (ONE, ONE * agents as u64),
        };
        Ok(Vote {
            rules: Arc::new(Rules {
                agents: self.agents,
                wave,
                release: self.release,
                quorum: self.quorum.get(),
                threshold: self.threshold,
                ties: self.ties,
                weights,
                heaviest,
                total,
                stop: self.stop,
                equivalence: self.equivalence,
            }),
        })
    }
}

fn millionths(weights: &[f64], agents: usize) -> Result<Vec<u64>, InvalidConfig> {
    check(
        weights.len() == agents,
        "weights",
        &format_args!("a list of {}", weights.len()),
        "it must have one weight for each agent",
    )?;
    weights
        .iter()
        .map(|weight| {
            check(
                (1.0 / ONE as f64..=MAX_WEIGHT).contains(weight),
                "weights",
                &format_args!("a list with {weight}"),
                "each weight must be between 0.000001 and 1000",
            )?;
            Ok((weight * ONE as f64).round() as u64)
        })
        .collect()
}

fn check(
    holds: bool,
    setting: &'static str,
    value: &dyn fmt::Display,
    rule: &'static str,
) -> Result<(), InvalidConfig> {
    if holds {
        return Ok(());
    }
    Err(InvalidConfig {
        setting,
        value: value.to_string(),
        rule,
    })
}
