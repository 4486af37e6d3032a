//! The executor: a checked set of policies that starts runs.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use throng_core::{Classify, ErrorClass, EventSink, RunId};

use crate::engine::Engine;
use crate::error::check;
use crate::input::Input;
use crate::machine::Settings;
use crate::{
    CircuitBreaker, Fallback, Hedge, InvalidConfig, JobSpec, Key, KeyPolicy, Limit, Preset, Rates,
    RetryBudget, RetryPolicy, Run, RunReport, Runner, Shedding,
};

/// Runs many jobs within limits. Cheap to clone; each run has limits of its own.
#[derive(Clone)]
pub struct Executor {
    pub(crate) settings: Arc<Settings>,
    pub(crate) order: OutputOrder,
    pub(crate) seed: Option<u64>,
    pub(crate) run_id: Option<RunId>,
    pub(crate) sink: Option<Arc<dyn EventSink>>,
}

impl Executor {
    /// Starts to configure an executor.
    pub fn builder() -> ExecutorBuilder {
        ExecutorBuilder::default()
    }

    /// Starts to configure an executor with settings that have proved useful together.
    pub fn preset(preset: Preset) -> ExecutorBuilder {
        preset.builder()
    }

    /// Starts a run over the jobs of an iterator.
    ///
    /// The iterator is asked for jobs as the window frees up, by tasks of the run: it should not block. The run goes
    /// on whatever its consumer does; a slow consumer delays the admission of jobs and never a running attempt.
    ///
    /// A job that fails is tried again, by default up to 3 times in all: with jobs that must not be repeated, set
    /// [`RetryPolicy::none`].
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime that has its time driver enabled.
    pub fn start<J, I, R>(&self, jobs: I, runner: R) -> Run<J, R::Output, R::Error>
    where
        J: Send + Sync + 'static,
        I: IntoIterator,
        I::Item: Into<JobSpec<J>> + 'static,
        I::IntoIter: Send + 'static,
        R: Runner<J>,
        R::Error: Classify,
    {
        self.start_classified(jobs, runner, R::Error::classify)
    }

    /// Starts a run whose errors are classified by `classify` instead of their own [`Classify`].
    ///
    /// This is also the retry predicate: what is [`ErrorClass::Permanent`] is not tried again. It is called between
    /// attempts and must not block.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime that has its time driver enabled.
    pub fn start_classified<J, I, R, C>(&self, jobs: I, runner: R, classify: C) -> Run<J, R::Output, R::Error>
    where
        J: Send + Sync + 'static,
        I: IntoIterator,
        I::Item: Into<JobSpec<J>> + 'static,
        I::IntoIter: Send + 'static,
        R: Runner<J>,
        C: Fn(&R::Error) -> ErrorClass + Send + Sync + 'static,
    {
        let jobs = Input::Iterator(Box::new(jobs.into_iter().map(Into::into)));
        Engine::start(self, jobs, runner, Box::new(classify))
    }

    /// Starts a run over the jobs of a stream, which is polled by a task of the run as the window frees up.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime that has its time driver enabled.
    pub fn start_stream<J, S, R>(&self, jobs: S, runner: R) -> Run<J, R::Output, R::Error>
    where
        J: Send + Sync + 'static,
        S: Stream + Send + 'static,
        S::Item: Into<JobSpec<J>> + 'static,
        R: Runner<J>,
        R::Error: Classify,
    {
        let jobs = Input::stream(jobs);
        Engine::start(self, jobs, runner, Box::new(R::Error::classify))
    }

    /// Runs every job and returns a report in the order of submission. Memory is in proportion to the number of jobs;
    /// [`Executor::start`] keeps it to the window.
    ///
    /// A job that fails is data in the report; if the run itself could not go on, the report says so in its `error`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future aborts the run, and its outcomes are lost.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime that has its time driver enabled.
    pub async fn run<J, I, R>(&self, jobs: I, runner: R) -> RunReport<J, R::Output, R::Error>
    where
        J: Send + Sync + 'static,
        I: IntoIterator,
        I::Item: Into<JobSpec<J>> + 'static,
        I::IntoIter: Send + 'static,
        R: Runner<J>,
        R::Error: Classify,
    {
        let mut ordered = self.clone();
        ordered.order = OutputOrder::Completion;
        let mut run = ordered.start(jobs, runner);
        let mut finished = Vec::new();
        while let Some(job) = run.next().await {
            finished.push(job);
        }
        let summary = run.handle().summary();
        let error = run.finish().await.err();
        finished.sort_unstable_by_key(|job| job.id);
        RunReport {
            finished,
            summary,
            error,
        }
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("settings", &self.settings)
            .field("order", &self.order)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// In which order a run gives its outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputOrder {
    /// As the jobs end.
    #[default]
    Completion,
    /// As the jobs were submitted. An outcome waits for those before it, and while the window is full of waiting
    /// outcomes no job is admitted.
    Submission,
}

/// Configures an [`Executor`].
#[derive(Clone, Default)]
#[must_use]
pub struct ExecutorBuilder {
    max_concurrent: Option<NonZeroUsize>,
    window: Option<NonZeroUsize>,
    retry: Option<RetryPolicy>,
    attempt_timeout: Option<Duration>,
    deadline: Option<Duration>,
    rates: Rates,
    ageing: Option<Duration>,
    throttle: Duration,
    start_delay: Duration,
    barrier: Option<NonZeroUsize>,
    each_key: Option<KeyPolicy>,
    keys: HashMap<Key, KeyPolicy>,
    budget: Option<Option<RetryBudget>>,
    breaker: Option<CircuitBreaker>,
    hedge: Option<Hedge>,
    shedding: Shedding,
    fallbacks: Vec<Fallback>,
    order: OutputOrder,
    seed: Option<u64>,
    run_id: Option<RunId>,
    sink: Option<Arc<dyn EventSink>>,
}

impl ExecutorBuilder {
    /// Limits how many attempts run at the same time. Default 10.
    pub const fn max_concurrent(mut self, limit: NonZeroUsize) -> Self {
        self.max_concurrent = Some(limit);
        self
    }

    /// Limits how many jobs are in memory: running, ready, waiting for a retry, or ended and not taken by the
    /// consumer. Default: four times the concurrency, at least 64.
    pub const fn window(mut self, window: NonZeroUsize) -> Self {
        self.window = Some(window);
        self
    }

    /// Sets when a failed attempt is followed by another. Default: 3 attempts, see [`RetryPolicy`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// Limits the time of each attempt. Default: none. What is over it is dropped at its next await point.
    pub const fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// Limits the time of the run, from its start. Default: none. At the deadline running attempts time out, waiting
    /// jobs end as [`Skipped`](throng_core::Outcome::Skipped) or with their last error, and the input is not read on.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Limits how often attempts start. Default: no limit.
    pub fn rates(mut self, rates: Rates) -> Self {
        self.rates = rates;
        self
    }

    /// Sets the limits of each key that has none of its own, the jobs without a key counting as one. Default: none.
    pub fn each_key(mut self, policy: KeyPolicy) -> Self {
        self.each_key = Some(policy);
        self
    }

    /// Sets the limits of one key.
    pub fn key(mut self, key: impl Into<Key>, policy: KeyPolicy) -> Self {
        self.keys.insert(key.into(), policy);
        self
    }

    /// Sets how much the retries and hedges of a key may spend; `None` for no bound. Default [`RetryBudget::default`].
    pub const fn retry_budget(mut self, budget: Option<RetryBudget>) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Leaves a key alone for a while when most of its attempts fail. Default: never.
    pub const fn circuit_breaker(mut self, breaker: CircuitBreaker) -> Self {
        self.breaker = Some(breaker);
        self
    }

    /// Starts a second attempt beside one that takes unusually long. Default: never.
    pub const fn hedge(mut self, hedge: Hedge) -> Self {
        self.hedge = Some(hedge);
        self
    }

    /// Refuses jobs that would have to wait too long. Default: never.
    pub const fn shed(mut self, shedding: Shedding) -> Self {
        self.shedding = shedding;
        self
    }

    /// Adds a step that a job goes on to when the one before has failed for good. Default: none.
    pub fn fallback(mut self, step: Fallback) -> Self {
        self.fallbacks.push(step);
        self
    }

    /// Sets the least time between the starts of two attempts, those of retries included. Default: none.
    pub const fn throttle(mut self, period: Duration) -> Self {
        self.throttle = period;
        self
    }

    /// Lets the first attempt start so long after the start of the run. Default: at once.
    pub const fn start_delay(mut self, delay: Duration) -> Self {
        self.start_delay = delay;
        self
    }

    /// Sets in how much waiting time a job gains one [`Priority`](crate::Priority). Default 1 s; zero means never, so that jobs
    /// of high priority can starve others for as long as there are any.
    pub const fn ageing(mut self, interval: Duration) -> Self {
        self.ageing = Some(interval);
        self
    }

    /// Admits jobs in batches of `size`, each when every job of the one before has ended. Default: no barrier, which is
    /// faster: see [`Run::batches`](crate::Run::batches) for batches of outcomes without one.
    pub const fn barrier(mut self, size: NonZeroUsize) -> Self {
        self.barrier = Some(size);
        self
    }

    /// Sets the order of the outcomes. Default: as the jobs end.
    pub const fn order(mut self, order: OutputOrder) -> Self {
        self.order = order;
        self
    }

    /// Sets the seed of all randomness. Default: a random one for each run.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the id of the run. Default: a new one for each run.
    pub const fn run_id(mut self, id: RunId) -> Self {
        self.run_id = Some(id);
        self
    }

    /// Sends every event of the runs to `sink`. Default: nowhere.
    pub fn events(mut self, sink: Arc<dyn EventSink>) -> Self {
        self.sink = Some(sink);
        self
    }

    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// Fails if the window is smaller than the concurrency or larger than 2³¹, a duration is zero, a backoff factor is
    /// below 1 or not finite, or a share or a quantile is out of its range.
    pub fn build(self) -> Result<Executor, InvalidConfig> {
        let limit = self.max_concurrent.map_or(10, NonZeroUsize::get);
        let window = self
            .window
            .map_or_else(|| limit.saturating_mul(4).max(64), NonZeroUsize::get);
        let retry = self.retry.unwrap_or_default();
        check(
            window >= limit,
            "window",
            &window,
            "it must hold max_concurrent jobs",
        )?;
        check(
            window <= 1 << 31,
            "window",
            &window,
            "it must be at most 2147483648",
        )?;
        for policy in std::iter::once(&retry).chain(self.fallbacks.iter().map(|step| &step.retry)) {
            check(
                policy.factor >= 1.0 && policy.factor.is_finite(),
                "factor",
                &policy.factor,
                "it must be a finite number of at least 1",
            )?;
        }
        self.hedge.as_ref().map_or(Ok(()), Hedge::validate)?;
        self.breaker.as_ref().map_or(Ok(()), CircuitBreaker::validate)?;
        for policy in self.keys.values().chain(&self.each_key) {
            policy.limit.as_ref().map_or(Ok(()), Limit::validate)?;
        }
        let fallbacks = self.fallbacks.iter();
        for (setting, duration) in [
            ("attempt_timeout", self.attempt_timeout),
            ("deadline", self.deadline),
            ("max_wait", self.shedding.max_wait),
        ]
        .into_iter()
        .chain(fallbacks.map(|step| ("timeout", step.timeout)))
        {
            if let Some(duration) = duration {
                check(
                    !duration.is_zero(),
                    setting,
                    &format_args!("{duration:?}"),
                    "it must be above zero",
                )?;
            }
        }
        Ok(Executor {
            settings: Arc::new(Settings {
                limit,
                window,
                retry,
                timeout: self.attempt_timeout,
                deadline: self.deadline,
                rates: self.rates,
                ageing: self.ageing.unwrap_or(Duration::from_secs(1)),
                throttle: self.throttle,
                start_delay: self.start_delay,
                barrier: self.barrier.map(NonZeroUsize::get),
                each_key: self.each_key,
                keys: self.keys,
                budget: self.budget.unwrap_or(Some(RetryBudget::default())),
                breaker: self.breaker,
                hedge: self.hedge,
                shedding: self.shedding,
                fallbacks: self.fallbacks,
                record_events: self.sink.is_some(),
            }),
            order: self.order,
            seed: self.seed,
            run_id: self.run_id,
            sink: self.sink,
        })
    }
}

impl fmt::Debug for ExecutorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecutorBuilder")
            .field("max_concurrent", &self.max_concurrent)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}
