//! What a vote tells. Every figure is of agents that were really asked: `asked = valid + failed + cancelled`, and
//! `asked + saved = agents` unless the executor's run ended first.

use std::time::Duration;

use throng_core::{Outcome, Usage};

use super::stop::StopReason;
use super::tally::{Choice, Decision};
use crate::RunError;

/// What came of a vote.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub struct Verdict<T, E> {
    /// What was decided.
    pub decision: Decision,
    /// The different answers, the heaviest first; those of the same weight in the order of their first supporters. If
    /// there is a consensus, the first is the winner.
    pub choices: Vec<Choice<T>>,
    /// The share of the first of `choices` in the weight of all valid answers, from 0 to 1; 0 without answers.
    pub agreement: f64,
    /// The probability, at least, that the first of `choices` is the answer which such agents give most often; see
    /// [`Tally::confidence`](crate::Tally::confidence).
    pub confidence: f64,
    /// Why the vote ended.
    pub stop: StopReason,
    /// How many agents there were to ask.
    pub agents: usize,
    /// Agents of which an attempt began.
    pub asked: usize,
    /// Agents that gave an answer while the vote was open.
    pub valid: usize,
    /// Agents that were asked and ended without an answer while the vote was open.
    pub failed: usize,
    /// Agents that were asked and not waited for: the vote, or the executor's run, ended before they did. An answer that
    /// comes after the end is not counted.
    pub cancelled: usize,
    /// Agents that were never asked, because the vote was decided: `agents − asked`; 0 if the executor's run ended first.
    pub saved: usize,
    /// How each of the `failed` agents ended, in the order of the agents.
    pub failures: Vec<Failure<E>>,
    /// The tokens that all attempts reported, those of cancelled agents included.
    pub usage: Usage,
    /// From the start of the vote until nothing of it was left running.
    pub wall: Duration,
    /// Why the executor's run could not go on, if so.
    pub error: Option<RunError>,
}

impl<T, E> Verdict<T, E> {
    /// Returns the answer that has won, as the supporter with the lowest index gave it; `None` without consensus.
    pub fn winner(&self) -> Option<&T> {
        let first = self.choices.first()?;
        (self.decision == Decision::Consensus).then_some(&first.answer)
    }

    /// Returns the answer that has won; `None` without consensus.
    pub fn into_winner(self) -> Option<T> {
        let first = self.choices.into_iter().next()?;
        (self.decision == Decision::Consensus).then_some(first.answer)
    }
}

/// An agent that gave no answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure<E> {
    /// The agent's index.
    pub agent: usize,
    /// How it ended; never [`Outcome::Succeeded`].
    pub outcome: Outcome<(), E>,
    /// How many attempts it had.
    pub attempts: u32,
}
