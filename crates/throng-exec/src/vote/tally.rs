//! The count of a vote: which answers there are, who gave them, and what is decided. The same votes give the same
//! figures in whatever order they are counted, because sums are of whole numbers and ties look at agents' indexes.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use super::policy::{ONE, Rules, Tie, Vote};
use super::stop::{Standing, StopReason, share};

/// Counts answers by the rules of a [`Vote`]. Pure: it knows of no tasks and no clocks.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroUsize;
/// use throng_exec::{Decision, Stop, StopReason, Tally, Vote};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let vote = Vote::builder(NonZeroUsize::new(5).ok_or("zero")?).stop(Stop::Certain).build()?;
/// let mut tally = Tally::new(&vote);
/// tally.answer(0, "paris", "Paris")?;
/// tally.answer(3, "lyon", "Lyon")?;
/// tally.fail(1)?;
/// assert_eq!((tally.valid(), tally.agreement(), tally.stop()), (2, 0.5, None));
/// tally.answer(2, "paris", "PARIS")?;
/// tally.answer(4, "paris", "Paris!")?;
/// assert_eq!(tally.decision(), Decision::Consensus);
/// assert_eq!(tally.leader().map(|choice| choice.answer), Some("Paris"));
/// assert_eq!(tally.stop(), Some(StopReason::AllEnded));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Tally<T> {
    rules: Arc<Rules>,
    /// In the order in which their keys came.
    choices: Vec<Choice<T>>,
    places: HashMap<Arc<str>, usize>,
    /// Which agents have answered or failed.
    ended: Vec<bool>,
    open: usize,
    open_weight: u64,
    valid: usize,
    total: u64,
}

impl<T> Tally<T> {
    /// Makes an empty count.
    pub fn new(vote: &Vote) -> Self {
        let rules = Arc::clone(&vote.rules);
        let agents = rules.agents.get();
        Self {
            choices: Vec::new(),
            places: HashMap::new(),
            ended: vec![false; agents],
            open: agents,
            open_weight: rules.total,
            valid: 0,
            total: 0,
            rules,
        }
    }

    /// Counts the answer of an agent. Answers with the same key are the same answer; of those, the answer of the agent
    /// with the lowest index is kept.
    ///
    /// # Errors
    ///
    /// Fails, and counts nothing, if there is no such agent or it has answered or failed before.
    pub fn answer(&mut self, agent: usize, key: &str, answer: T) -> Result<(), NotOpen> {
        let weight = self.end(agent)?;
        self.valid += 1;
        self.total += weight;
        let place = self.places.get(key).copied();
        let Some(choice) = place.and_then(|place| self.choices.get_mut(place)) else {
            let key: Arc<str> = Arc::from(key);
            self.places.insert(Arc::clone(&key), self.choices.len());
            self.choices.push(Choice {
                answer,
                key,
                agents: vec![agent],
                millionths: weight,
            });
            return Ok(());
        };
        choice.millionths += weight;
        let place = choice.agents.partition_point(|&other| other < agent);
        choice.agents.insert(place, agent);
        if place == 0 {
            choice.answer = answer;
        }
        Ok(())
    }

    /// Counts an agent out: it gives no answer.
    ///
    /// # Errors
    ///
    /// Fails if there is no such agent or it has answered or failed before.
    pub fn fail(&mut self, agent: usize) -> Result<(), NotOpen> {
        self.end(agent).map(|_| ())
    }

    /// Returns how many valid answers there are.
    pub const fn valid(&self) -> usize {
        self.valid
    }

    /// Returns the answer with the most weight; of several with the same weight, that whose first supporter has the
    /// lowest index.
    pub fn leader(&self) -> Option<&Choice<T>> {
        self.choices.iter().min_by_key(|choice| choice.rank())
    }

    /// Returns the leader's share of the weight of all valid answers, from 0 to 1; 0 without answers.
    pub fn agreement(&self) -> f64 {
        share(self.leader().map_or(0, |leader| leader.millionths), self.total)
    }

    /// Returns what is decided by the answers so far.
    pub fn decision(&self) -> Decision {
        let Some(leader) = self.leader().filter(|_| self.valid >= self.rules.quorum) else {
            return Decision::NoQuorum;
        };
        if self.agreement() < self.rules.threshold {
            return Decision::BelowThreshold;
        }
        let same = self
            .choices
            .iter()
            .filter(|choice| choice.millionths == leader.millionths);
        if self.rules.ties == Tie::NoConsensus && same.count() > 1 {
            return Decision::Tied;
        }
        Decision::Consensus
    }

    /// Returns why the vote should end now, if it should.
    ///
    /// # Complexity
    ///
    /// O(a log a) for a different answers so far, and O(v) for each different number of votes v among them.
    pub fn stop(&self) -> Option<StopReason> {
        self.standing().stop(&self.rules)
    }

    /// Returns the probability, at least, that the leader is the answer which such agents give most often, judged by the
    /// answers so far; 0 where they say nothing.
    ///
    /// It assumes that the agents answer independently and alike, and says nothing about whether the answer is right.
    /// After Adaptive-Consistency (arXiv 2305.11860): with uniform priors, the errors of the leader against each other
    /// answer, and against one that nobody has given, are added up. With unequal weights votes count in units of the
    /// heaviest weight, rounded down for the leader and up for the others. Being judged at each answer, it is not the
    /// error rate of the whole vote.
    pub fn confidence(&self) -> f64 {
        self.standing().confidence(self.rules.heaviest)
    }

    /// Returns the different answers, the heaviest first; those of the same weight in the order of their first
    /// supporters.
    pub fn into_choices(mut self) -> Vec<Choice<T>> {
        self.choices.sort_by_key(Choice::rank);
        self.choices
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(crate) fn standing(&self) -> Standing {
        let mut weights: Vec<u64> = self.choices.iter().map(|choice| choice.millionths).collect();
        weights.sort_unstable_by_key(|&weight| Reverse(weight));
        let leader = if weights.is_empty() { 0 } else { weights.remove(0) };
        Standing {
            votes: self.valid,
            total: self.total,
            leader,
            others: weights,
            open: self.open,
            open_weight: self.open_weight,
        }
    }

    /// Takes an agent out of the open ones and returns its weight.
    fn end(&mut self, agent: usize) -> Result<u64, NotOpen> {
        match self.ended.get_mut(agent) {
            Some(ended) if !*ended => *ended = true,
            _ => return Err(NotOpen { agent }),
        }
        let weight = self.rules.weight(agent);
        self.open -= 1;
        self.open_weight -= weight;
        Ok(weight)
    }
}

/// One of the different answers of a vote.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Choice<T> {
    /// The answer as the first of `agents` gave it.
    pub answer: T,
    /// What makes answers the same: see [`Equivalence::key`](crate::Equivalence::key).
    pub key: Arc<str>,
    /// The agents that gave it, in ascending order; never empty.
    pub agents: Vec<usize>,
    millionths: u64,
}

impl<T> Choice<T> {
    /// Returns how many agents gave it.
    pub fn votes(&self) -> usize {
        self.agents.len()
    }

    /// Returns the sum of their weights.
    pub fn weight(&self) -> f64 {
        self.millionths as f64 / ONE as f64
    }

    fn rank(&self) -> (Reverse<u64>, Option<usize>) {
        (Reverse(self.millionths), self.agents.first().copied())
    }
}

/// What a vote decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Decision {
    /// An answer has won.
    Consensus,
    /// Fewer valid answers than the quorum.
    NoQuorum,
    /// The answer that leads has less than the share that a winner needs.
    BelowThreshold,
    /// Several answers lead, and ties are not broken: see [`Tie::NoConsensus`].
    Tied,
}

/// An answer came from an agent that is not expected to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("agent {agent} is not one of the vote's, or has ended before")]
#[non_exhaustive]
pub struct NotOpen {
    /// The agent's index.
    pub agent: usize,
}
