//! Settings that have proved useful together, by the purpose of a run.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use crate::{Executor, ExecutorBuilder, RetryPolicy};

/// Settings that have proved useful together; see [`Executor::preset`]. Each can be changed on the builder.
///
/// | preset | concurrency | attempts | attempt timeout | throttle |
/// |---|---|---|---|---|
/// | `Default` | 10 | 3 | 60 s | 100 ms |
/// | `FastFeedback` | 20 | 2 | 30 s | 50 ms |
/// | `Stability` | 5 | 5 | 120 s | 500 ms |
/// | `Constrained` | 3 | 3 | 60 s | 1 s |
///
/// Waits between attempts grow from 2 s by a factor of 2, with full jitter. The throttle is the least time between the
/// starts of two attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preset {
    /// For most runs of tests or prompts on one machine.
    #[default]
    Default,
    /// For results soon: more at a time, fewer tries, shorter timeouts.
    FastFeedback,
    /// For results that count: fewer at a time, more tries, longer timeouts.
    Stability,
    /// For little memory, few processors or a small quota.
    Constrained,
}

impl Preset {
    pub(crate) fn builder(self) -> ExecutorBuilder {
        let (concurrent, attempts, timeout_s, throttle_ms) = match self {
            Self::Default => (10, 3, 60, 100),
            Self::FastFeedback => (20, 2, 30, 50),
            Self::Stability => (5, 5, 120, 500),
            Self::Constrained => (3, 3, 60, 1_000),
        };
        let attempts = NonZeroU32::new(attempts).unwrap_or(NonZeroU32::MIN);
        Executor::builder()
            .max_concurrent(NonZeroUsize::new(concurrent).unwrap_or(NonZeroUsize::MIN))
            .retry(RetryPolicy::exponential(attempts).base(Duration::from_secs(2)))
            .attempt_timeout(Duration::from_secs(timeout_s))
            .throttle(Duration::from_millis(throttle_ms))
    }
}
