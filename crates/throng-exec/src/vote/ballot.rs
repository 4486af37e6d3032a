//! What an agent is asked. The question is the same for all agents; the agent's number stands beside it and gets into an
//! answer only if the caller puts it there.

use std::sync::Arc;

/// The job of one agent: the question that all agents share, and which agent this is.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ballot<Q> {
    /// The question. All ballots of a vote share one.
    pub question: Arc<Q>,
    /// The agent's index, from 0. Use it to choose a model, a seed or a temperature. An answer that contains it agrees
    /// with no other.
    pub agent: usize,
}

impl<Q> Clone for Ballot<Q> {
    fn clone(&self) -> Self {
        Self {
            question: Arc::clone(&self.question),
            agent: self.agent,
        }
    }
}
