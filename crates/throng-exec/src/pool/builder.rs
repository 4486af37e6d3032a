//! The configuration of a pool of workers, checked before there is a pool.

use std::collections::BTreeSet;
use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use crate::InvalidConfig;
use crate::pool::AgentPool;
use crate::pool::agent_pool::Factory;
use crate::pool::roster::Health;

/// Configures an [`AgentPool`].
#[must_use]
pub struct AgentPoolBuilder<S> {
    factory: Factory<S>,
    names: Vec<Arc<str>>,
    health: Health,
}

impl<S> AgentPoolBuilder<S> {
    pub(crate) fn new(factory: Factory<S>) -> Self {
        let builder = Self {
            factory,
            names: Vec::new(),
            health: Health {
                failures: 3,
                rest: Duration::from_secs(30),
            },
        };
        builder.workers(NonZeroUsize::MIN.saturating_add(9))
    }

    /// Sets how many workers there are; their names are `agent-0`, `agent-1` and so on. Default 10, as many as the
    /// attempts that an [`Executor`](crate::Executor) runs at the same time by default.
    pub fn workers(mut self, workers: NonZeroUsize) -> Self {
        let name = |index| format!("agent-{index}").into();
        self.names = (0..workers.get()).map(name).collect();
        self
    }

    /// Gives the workers' names, and with them their number. This replaces [`AgentPoolBuilder::workers`].
    pub fn names<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Arc<str>>,
    {
        self.names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets after how many failed uses in a row a worker rests. Default 3.
    pub const fn rest_after(mut self, failures: NonZeroU32) -> Self {
        self.health.failures = failures.get();
        self
    }

    /// Sets how long a worker rests. Default 30 s. With zero no worker ever rests.
    pub const fn rest(mut self, rest: Duration) -> Self {
        self.health.rest = rest;
        self
    }

    /// Checks the configuration and makes the pool. The factory is not called yet: a worker's state is made when the
    /// worker is first checked out.
    ///
    /// # Errors
    ///
    /// Fails if there is no name, or one that is given twice.
    pub fn build(self) -> Result<AgentPool<S>, InvalidConfig> {
        let invalid = |value: &str, rule| InvalidConfig {
            setting: "names",
            value: value.to_owned(),
            rule,
        };
        if self.names.is_empty() {
            return Err(invalid("empty", "a pool must have a worker"));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.names.iter().find(|name| !seen.insert(*name)) {
            return Err(invalid(twice, "each worker must have a name of its own"));
        }
        Ok(AgentPool::new(self.factory, self.names, self.health))
    }
}

impl<S> fmt::Debug for AgentPoolBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentPoolBuilder")
            .field("names", &self.names)
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}
