//! The limits of a run, from the settings to an executor.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use throng_exec::{
    AdaptiveLimit, CircuitBreaker, ErrorClasses, Executor, Fallback, Hedge, KeyPolicy, Rates, RetryBudget,
    RetryPolicy,
};

use crate::error::CliError;
use crate::settings::Settings;

/// Where an adaptive limit begins, if it may.
const FIRST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);

/// The limits of a run.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Most calls at a time.
    pub(crate) max_concurrent: NonZeroUsize,
    /// Most further attempts of a job.
    pub(crate) retries: u32,
    /// For each attempt.
    pub(crate) timeout: Option<Duration>,
    /// For the whole run.
    pub(crate) deadline: Option<Duration>,
    /// For the refusals of one job.
    pub(crate) patience: Duration,
    /// Of all randomness.
    pub(crate) seed: u64,
    backoff_base: Duration,
    backoff_cap: Duration,
    rpm: Option<NonZeroU32>,
    itpm: Option<NonZeroU32>,
    otpm: Option<NonZeroU32>,
    /// The concurrency of each key is found out.
    adaptive: bool,
    /// Which share of the calls is not hedged.
    hedge: Option<f64>,
    /// `None` for no bound.
    budget: Option<RetryBudget>,
    breaker: bool,
    /// Names of the providers to fall back to.
    fallbacks: Vec<String>,
}

impl Limits {
    /// Reads the limits. Without a seed a new one is taken.
    pub(crate) fn of(settings: &Settings) -> Self {
        let count = |key| settings.count(key).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let rate = |key| count(key).and_then(NonZeroU32::new);
        let max_concurrent = count("run.max-concurrent").and_then(|n| NonZeroUsize::new(n as usize));
        Self {
            max_concurrent: max_concurrent.unwrap_or(NonZeroUsize::MIN),
            retries: count("run.retries").unwrap_or(0),
            timeout: settings.duration("run.timeout"),
            deadline: settings.duration("run.deadline"),
            patience: settings
                .duration("run.patience")
                .unwrap_or(Duration::from_secs(600)),
            seed: settings
                .count("run.seed")
                .unwrap_or_else(|| fastrand::u64(0..1 << 53)),
            backoff_base: settings
                .duration("run.backoff-base")
                .unwrap_or(Duration::from_millis(500)),
            backoff_cap: settings
                .duration("run.backoff-cap")
                .unwrap_or(Duration::from_secs(30)),
            rpm: rate("run.rpm"),
            itpm: rate("run.itpm"),
            otpm: rate("run.otpm"),
            adaptive: settings.switch("run.adaptive"),
            hedge: settings.number("run.hedge"),
            // Refusals because of a limit are the business of the start rate and of --patience. Charged, they would take
            // the retries away from calls that failed for another reason.
            budget: count("run.retry-budget")
                .filter(|tokens| *tokens > 0)
                .map(|tokens| RetryBudget::new(tokens).throttled(0)),
            breaker: settings.switch("run.circuit-breaker"),
            fallbacks: Vec::new(),
        }
    }

    /// Sets the providers to fall back to. Each has a key of its own, so that it does not wait with the one before.
    pub(crate) fn falling_back(mut self, names: Vec<String>) -> Self {
        self.fallbacks = names;
        self
    }

    /// Returns the same limits for so many jobs at a time, without a deadline, and without what would make a measurement
    /// depend on its own past.
    pub(crate) fn at_a_time(&self, max_concurrent: NonZeroUsize) -> Self {
        Self {
            max_concurrent,
            deadline: None,
            adaptive: false,
            hedge: None,
            breaker: false,
            ..self.clone()
        }
    }

    /// Returns the most attempts that a job has.
    pub(crate) const fn attempts(&self) -> NonZeroU32 {
        NonZeroU32::MIN.saturating_add(self.retries)
    }

    /// Returns limits for votes whose calls keep to `self` elsewhere: as many votes at a time as calls, until the deadline.
    pub(crate) fn of_votes(&self) -> Self {
        Self {
            retries: 0,
            timeout: None,
            rpm: None,
            itpm: None,
            otpm: None,
            adaptive: false,
            hedge: None,
            budget: None,
            breaker: false,
            fallbacks: Vec::new(),
            ..self.clone()
        }
    }

    /// Returns the same limits without a deadline.
    pub(crate) fn without_deadline(&self) -> Self {
        Self {
            deadline: None,
            ..self.clone()
        }
    }

    /// Makes the executor.
    ///
    /// # Errors
    ///
    /// If the limits contradict each other.
    pub(crate) fn executor(&self) -> Result<Executor, CliError> {
        let mut rates = Rates::new();
        if let Some(rpm) = self.rpm {
            rates = rates.requests_per_minute(rpm);
        }
        if let Some(itpm) = self.itpm {
            rates = rates.input_tokens_per_minute(itpm);
        }
        if let Some(otpm) = self.otpm {
            rates = rates.output_tokens_per_minute(otpm);
        }
        let retry = RetryPolicy::exponential(self.attempts())
            .base(self.backoff_base)
            .factor(2.0)
            .cap(self.backoff_cap)
            .patience(self.patience);
        let mut builder = Executor::builder()
            .max_concurrent(self.max_concurrent)
            .retry(retry.clone())
            .rates(rates)
            .retry_budget(self.budget)
            .seed(self.seed);
        if self.adaptive {
            let first = FIRST.min(self.max_concurrent);
            let limit = AdaptiveLimit::new().initial(first).max(self.max_concurrent);
            builder = builder.each_key(KeyPolicy::new().limit(limit));
        }
        if let Some(quantile) = self.hedge {
            builder = builder.hedge(Hedge::new().quantile(quantile));
        }
        for name in &self.fallbacks {
            // Errors of a prompt end in the step that follows, without a call.
            let step = Fallback::new()
                .after(ErrorClasses::ALL)
                .key(name.as_str())
                .retry(retry.clone());
            builder = builder.fallback(step);
        }
        if self.breaker {
            builder = builder.circuit_breaker(CircuitBreaker::new());
        }
        if let Some(timeout) = self.timeout {
            builder = builder.attempt_timeout(timeout);
        }
        if let Some(deadline) = self.deadline {
            builder = builder.deadline(deadline);
        }
        builder.build().map_err(|error| {
            CliError::usage("the limits make no sense")
                .cause(&error)
                .hint("`throng config show --origin` says what set each of them")
        })
    }
}
