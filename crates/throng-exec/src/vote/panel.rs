//! Which agents to ask, and when: the part of a vote that decides about the next call. Pure, so that a simulation in
//! virtual time runs the very code that runs in life. No agent is released once the vote is settled.

use std::num::NonZeroUsize;
use std::ops::Range;

use super::policy::{Release, Vote};
use super::stop::StopReason;
use super::tally::{NotOpen, Tally};

/// Drives a vote by hand: says which agents to ask next, and counts what they answer.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroUsize;
/// use throng_exec::{Panel, Stop, StopReason, Vote};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let vote = Vote::builder(NonZeroUsize::new(5).ok_or("zero")?).stop(Stop::Certain).build()?;
/// let mut panel = Panel::new(&vote);
/// // Three answers that agree are enough, so three agents are asked.
/// assert_eq!(panel.release(), 0..3);
/// for agent in 0..3 {
///     assert_eq!(panel.stop(), None);
///     panel.answer(agent, "yes", ())?;
/// }
/// assert_eq!(panel.stop(), Some(StopReason::Certain));
/// assert!(panel.release().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Panel<T> {
    tally: Tally<T>,
    /// The agents that were released and have not ended, in ascending order.
    in_flight: Vec<usize>,
    /// The first agent that was not released.
    next: usize,
    wave: usize,
}

impl<T> Panel<T> {
    /// Makes a panel of which no agent was asked.
    pub fn new(vote: &Vote) -> Self {
        Self {
            tally: Tally::new(vote),
            in_flight: Vec::new(),
            next: 0,
            wave: vote.rules.wave.get(),
        }
    }

    /// Lowers the size of a wave to what can run at the same time.
    pub(crate) fn limit(mut self, limit: NonZeroUsize) -> Self {
        self.wave = self.wave.min(limit.get());
        self
    }

    /// Returns the agents to ask now, which are in flight from here on; none if the vote is settled or enough are in
    /// flight. Agents are asked in the order of their indexes.
    ///
    /// If no agent is in flight and the vote is open, there is at least one.
    pub fn release(&mut self) -> Range<usize> {
        let first = self.next;
        let rules = self.tally.rules();
        let agents = rules.agents.get();
        let mut standing = self.tally.standing();
        if standing.stop(rules).is_some() || (rules.release == Release::Batched && !self.in_flight.is_empty())
        {
            return first..first;
        }
        let most = agents.min(first + self.wave.saturating_sub(self.in_flight.len()));
        let mut next = most;
        if rules.release == Release::Needed {
            for &agent in &self.in_flight {
                standing.agree(rules.weight(agent));
            }
            next = first;
            while next < most && standing.stop(rules).is_none() {
                standing.agree(rules.weight(next));
                next += 1;
            }
        }
        self.in_flight.extend(first..next);
        self.next = next;
        first..next
    }

    /// Counts the answer of an agent; see [`Tally::answer`].
    ///
    /// # Errors
    ///
    /// Fails, and counts nothing, if the agent is not in flight.
    pub fn answer(&mut self, agent: usize, key: &str, answer: T) -> Result<(), NotOpen> {
        self.land(agent)?;
        self.tally.answer(agent, key, answer)
    }

    /// Counts an agent out: it gives no answer.
    ///
    /// # Errors
    ///
    /// Fails if the agent is not in flight.
    pub fn fail(&mut self, agent: usize) -> Result<(), NotOpen> {
        self.land(agent)?;
        self.tally.fail(agent)
    }

    /// Returns why the vote should end now, if it should; see [`Tally::stop`].
    pub fn stop(&self) -> Option<StopReason> {
        self.tally.stop()
    }

    /// Returns how many agents were released.
    pub const fn released(&self) -> usize {
        self.next
    }

    /// Returns how many agents were released and have not ended.
    pub const fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Returns the count.
    pub const fn tally(&self) -> &Tally<T> {
        &self.tally
    }

    /// Returns the count, for [`Tally::into_choices`].
    pub fn into_tally(self) -> Tally<T> {
        self.tally
    }

    fn land(&mut self, agent: usize) -> Result<(), NotOpen> {
        let place = self.in_flight.binary_search(&agent);
        let place = place.map_err(|_| NotOpen { agent })?;
        self.in_flight.remove(place);
        Ok(())
    }
}
