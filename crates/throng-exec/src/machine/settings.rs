//! The policies of a run, checked by the builder.

use std::collections::HashMap;
use std::time::Duration;

use crate::{CircuitBreaker, Fallback, Hedge, Key, KeyPolicy, Rates, RetryBudget, RetryPolicy, Shedding};

/// The policies of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) limit: usize,
    pub(crate) window: usize,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) rates: Rates,
    /// In how much waiting time a job gains one priority; zero means never.
    pub(crate) ageing: Duration,
    /// The least time between two starts.
    pub(crate) throttle: Duration,
    pub(crate) start_delay: Duration,
    /// The size of batches of which one is admitted when the one before has ended.
    pub(crate) barrier: Option<usize>,
    /// What holds for each key without a policy of its own.
    pub(crate) each_key: Option<KeyPolicy>,
    pub(crate) keys: HashMap<Key, KeyPolicy>,
    pub(crate) budget: Option<RetryBudget>,
    pub(crate) breaker: Option<CircuitBreaker>,
    pub(crate) hedge: Option<Hedge>,
    pub(crate) shedding: Shedding,
    pub(crate) fallbacks: Vec<Fallback>,
    pub(crate) record_events: bool,
}

impl Settings {
    pub(crate) fn key_policy(&self, key: Option<&Key>) -> Option<&KeyPolicy> {
        key.and_then(|key| self.keys.get(key)).or(self.each_key.as_ref())
    }

    /// Returns the retry policy of a step, of which 0 is the job's own.
    pub(crate) fn retry(&self, step: u32) -> &RetryPolicy {
        let fallback = step
            .checked_sub(1)
            .and_then(|index| self.fallbacks.get(index as usize));
        fallback.map_or(&self.retry, |fallback| &fallback.retry)
    }

    /// Returns what follows on a step, if something does.
    pub(crate) fn fallback_after(&self, step: u32) -> Option<&Fallback> {
        self.fallbacks.get(step as usize)
    }
}
