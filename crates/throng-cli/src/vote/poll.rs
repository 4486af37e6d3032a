//! What the calls of one vote came to: kept beside the vote, so that it is known also when the vote is dropped. A call
//! counts from its first attempt on.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use throng_core::Usage;
use throng_exec::{StopReason, Tally};

use super::failure::decision_name;

/// The calls of one vote.
#[derive(Debug, Default)]
pub(crate) struct Poll {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    asked: BTreeSet<usize>,
    /// What each attempt has reported.
    usage: Vec<Usage>,
    line: Option<VoteLine>,
}

/// How a vote stood at its end, as it stands in result lines.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct VoteLine {
    decision: &'static str,
    agreement: f64,
    /// How many agents gave each of the different answers, the most frequent first.
    votes: Vec<usize>,
    asked: usize,
    saved: usize,
    stop: &'static str,
}

impl VoteLine {
    /// Describes the end of a vote of which so many agents were asked.
    pub(crate) fn new<T>(tally: Tally<T>, stop: StopReason, asked: usize, agents: usize) -> Self {
        Self {
            decision: decision_name(tally.decision()),
            agreement: (tally.agreement() * 1e4).round() / 1e4,
            votes: tally.into_choices().iter().map(|choice| choice.votes()).collect(),
            asked,
            saved: stop.saves(agents.saturating_sub(asked)),
            stop: stop_name(stop),
        }
    }

    /// Returns how many agents were not asked.
    pub(crate) const fn saved(&self) -> u64 {
        self.saved as u64
    }
}

impl Poll {
    /// Notes that an attempt of an agent begins. Returns its number, for [`Poll::used`].
    pub(super) fn begin(&self, agent: usize) -> usize {
        let mut state = self.lock();
        state.asked.insert(agent);
        state.usage.push(Usage::NONE);
        state.usage.len() - 1
    }

    /// Notes the tokens that an attempt has used so far.
    pub(super) fn used(&self, attempt: usize, usage: &Usage) {
        if let Some(known) = self.lock().usage.get_mut(attempt) {
            known.replace_with(usage);
        }
    }

    /// Notes how the vote stood at its end.
    pub(super) fn close(&self, line: VoteLine) {
        self.lock().line = Some(line);
    }

    /// Returns how many agents were asked.
    pub(crate) fn asked(&self) -> usize {
        self.lock().asked.len()
    }

    /// Returns how many attempts there were.
    pub(crate) fn attempts(&self) -> u32 {
        u32::try_from(self.lock().usage.len()).unwrap_or(u32::MAX)
    }

    /// Returns the tokens of all attempts.
    pub(crate) fn usage(&self) -> Usage {
        let mut sum = Usage::NONE;
        for usage in &self.lock().usage {
            sum.add(usage);
        }
        sum
    }

    /// Returns how the vote stood at its end, if it came to one.
    pub(crate) fn line(&self) -> Option<VoteLine> {
        self.lock().line.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the name of a reason as it stands in machine output.
pub(crate) const fn stop_name(stop: StopReason) -> &'static str {
    match stop {
        StopReason::AllEnded => "all_ended",
        StopReason::Certain => "certain",
        StopReason::Confident => "confident",
        _ => "run_ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attempt_counts_and_every_agent_once() {
        let poll = Poll::default();
        let (first, second) = (poll.begin(3), poll.begin(3));
        poll.used(first, &Usage::of(10, 1));
        poll.used(second, &Usage::of(10, 2));
        poll.used(second, &Usage::of(10, 5));
        poll.begin(0);
        assert_eq!((poll.asked(), poll.attempts()), (2, 3));
        assert_eq!(poll.usage(), Usage::of(20, 6));
    }
}
