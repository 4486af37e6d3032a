//! Configures a vote. The rules are checked once, here; a [`Vote`] that exists makes sense.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::policy::{ONE, Release, Rules, Stop, Tie, Vote};
use crate::error::check;
use crate::{Equivalence, InvalidConfig};

const MAX_AGENTS: usize = 10_000;
const MAX_WEIGHT: f64 = 1_000.0;

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
