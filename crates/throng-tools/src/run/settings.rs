//! The settings of an executor, and their builder.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use throng_exec::{InvalidConfig, RetryPolicy};

use super::ToolExecutor;
use super::share::ResultCache;
use crate::{Assume, Estimates, FailurePolicy, PlanEvents, Tools};

/// What an executor does where neither plan nor tool says otherwise.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) max_concurrent: NonZeroUsize,
    pub(super) pools: Vec<(Arc<str>, u64)>,
    pub(super) timeout: Option<Duration>,
    pub(super) retry: RetryPolicy,
    pub(super) on_failure: FailurePolicy,
    pub(super) assume: Option<Assume>,
    pub(super) single_flight: bool,
    pub(super) cache: Option<ResultCache>,
    pub(super) grace: Duration,
    pub(super) events: Option<Arc<dyn PlanEvents>>,
    pub(super) estimates: Estimates,
    pub(super) seed: Option<u64>,
}

/// Sets up a [`ToolExecutor`].
#[derive(Clone)]
#[must_use]
pub struct ToolExecutorBuilder {
    tools: Tools,
    settings: Settings,
}

impl ToolExecutorBuilder {
    pub(super) fn new(tools: Tools) -> Self {
        Self {
            tools,
            settings: Settings {
                max_concurrent: NonZeroUsize::MIN.saturating_add(15),
                pools: Vec::new(),
                timeout: Some(Duration::from_secs(30)),
                retry: RetryPolicy::default(),
                on_failure: FailurePolicy::Continue,
                assume: None,
                single_flight: true,
                cache: None,
                grace: Duration::from_millis(100),
                events: None,
                estimates: Estimates::new(),
                seed: None,
            },
        }
    }

    /// Sets how many attempts run at the same time at most, over all plans. Default 16.
    pub fn max_concurrent(mut self, limit: NonZeroUsize) -> Self {
        self.settings.max_concurrent = limit;
        self
    }

    /// Adds a pool of units that attempts take; see [`ToolEntry::takes`](crate::ToolEntry::takes). An attempt that takes more
    /// than there is gets the pool alone.
    pub fn pool(mut self, name: impl Into<Arc<str>>, units: u64) -> Self {
        self.settings.pools.push((name.into(), units));
        self
    }

    /// Adds the pool `cpu`.
    pub fn cpu(self, units: u64) -> Self {
        self.pool("cpu", units)
    }

    /// Adds the pool `memory`.
    pub fn memory(self, units: u64) -> Self {
        self.pool("memory", units)
    }

    /// Sets how long an attempt may take whose call and tool do not say. Default 30 s; `None` does not limit it.
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Sets when a failed attempt is followed by another, where the tool's effect allows it. Default
    /// [`RetryPolicy::default`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.settings.retry = policy;
        self
    }

    /// Sets what a failure means for other calls, where neither plan nor tool says. Default [`FailurePolicy::Continue`].
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.settings.on_failure = policy;
        self
    }

    /// Sets what calls touch of which nothing is declared, where the plan does not say. Default: everything, alone.
    pub fn assume(mut self, assume: Assume) -> Self {
        self.settings.assume = Some(assume);
        self
    }

    /// Sets whether equal calls of a plan that change nothing share one attempt if they run at the same time. Default true.
    pub fn single_flight(mut self, share: bool) -> Self {
        self.settings.single_flight = share;
        self
    }

    /// Keeps results of calls that change nothing. Default: none.
    pub fn cache(mut self, cache: ResultCache) -> Self {
        self.settings.cache = Some(cache);
        self
    }

    /// Sets how long attempts may go on after they were asked to stop. Default 100 ms.
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// Sends the events of all plans to a sink.
    pub fn events(mut self, sink: impl PlanEvents) -> Self {
        self.settings.events = Some(Arc::new(sink));
        self
    }

    /// Takes what is known of how long calls take, and learns more.
    pub fn estimates(mut self, estimates: Estimates) -> Self {
        self.settings.estimates = estimates;
        self
    }

    /// Makes the jitter of retries the same each time. Default: random.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// Makes the executor.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if a pool is there twice, if a tool takes of a pool that is not there, or if an adaptive limit
    /// contradicts itself.
    pub fn build(self) -> Result<ToolExecutor, InvalidConfig> {
        ToolExecutor::new(self.tools, self.settings)
    }
}

/// Makes the error of a pool that is not as it has to be.
pub(super) fn bad_pool(name: &str, rule: &'static str) -> InvalidConfig {
    InvalidConfig::new("pool", name, rule)
}
