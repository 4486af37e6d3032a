//! When a failed attempt is followed by another, and how long the job waits before it.
//!
//! Full jitter after Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

use std::num::NonZeroU32;
use std::time::Duration;

use throng_core::ErrorClass;

/// When a failed attempt is followed by another.
///
/// The default is [`RetryPolicy::exponential`] with 3 attempts. Which errors are tried again depends on their
/// [`ErrorClass`]: a permanent error never is; a transient one and a timeout are, up to
/// `max_attempts`, and so is an overloaded one without a Retry-After; a throttled one, or one with a Retry-After, is as
/// long as the run's deadline and [`patience`](Self::patience) allow, because the other side has asked for another try
/// later and the attempt cost it nothing.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct RetryPolicy {
    pub(crate) max_attempts: NonZeroU32,
    pub(crate) base: Duration,
    pub(crate) factor: f64,
    pub(crate) cap: Duration,
    pub(crate) jitter: Jitter,
    pub(crate) timeouts: bool,
    pub(crate) patience: Duration,
}

impl RetryPolicy {
    /// Tries each job once, whatever its error.
    pub const fn none() -> Self {
        Self::exponential(NonZeroU32::MIN)
    }

    /// Tries each job up to `max_attempts` times in all.
    ///
    /// Before attempt n + 1 the job waits a random time between 0 and 500 ms × 2ⁿ⁻¹, at most 30 s.
    pub const fn exponential(max_attempts: NonZeroU32) -> Self {
        Self {
            max_attempts,
            base: Duration::from_millis(500),
            factor: 2.0,
            cap: Duration::from_secs(30),
            jitter: Jitter::Full,
            timeouts: true,
            patience: Duration::from_secs(600),
        }
    }

    /// Sets the wait after the first failure, before jitter. Default 500 ms; zero tries again at once.
    pub const fn base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// Sets by how much each further wait is longer than the one before. Default 2; at least 1.
    pub const fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// Sets the longest wait, before jitter. Default 30 s. A Retry-After may be longer.
    pub const fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// Sets the randomness of the waits. Default [`Jitter::Full`].
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets whether an attempt that timed out is tried again. Default true.
    pub const fn retry_timeouts(mut self, retry: bool) -> Self {
        self.timeouts = retry;
        self
    }

    /// Sets how long one job is throttled at most: its throttled attempts and the waits after them together. Default
    /// 10 minutes. A Retry-After that goes beyond what is left of it fails the job at once, and pauses the key for no longer
    /// than the executor's patience: without patience, for a moment.
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Returns how long a job waits after its failure number `failure`, from 1, before it is tried again, or `None` if it
    /// is not; for a scheduler of one's own. `refused_for` is how long the job's throttled attempts and the waits after
    /// them have taken so far.
    ///
    /// Whether the job may be tried again at all, as its effects have it, is for the caller to say.
    pub fn next_delay(
        &self,
        failure: u32,
        class: ErrorClass,
        refused_for: Duration,
        rng: &mut fastrand::Rng,
    ) -> Option<Duration> {
        let asked = matches!(class, ErrorClass::Throttled { .. }) || class.retry_after().is_some();
        let wanted = class.is_retryable() && (class != ErrorClass::Timeout || self.timeouts);
        if !wanted || (!asked && failure >= self.max_attempts.get()) {
            return None;
        }
        let backoff = self.delay(failure, rng);
        let Some(floor) = class.retry_after() else {
            let in_time = !asked || refused_for + backoff <= self.patience;
            return in_time.then_some(backoff);
        };
        // What was asked for is a floor: the randomness comes on top of it.
        let in_time = refused_for.saturating_add(floor) <= self.patience;
        in_time.then(|| floor.saturating_add(backoff.min(floor / 8)))
    }

    /// Returns the wait after failure number `failure`, from 1, before jitter.
    pub(crate) fn ceiling(&self, failure: u32) -> Duration {
        if self.base.is_zero() {
            // Zero times an overflow would not be a number.
            return Duration::ZERO;
        }
        let exponent = i32::try_from(failure.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.base.as_secs_f64() * self.factor.powi(exponent);
        if seconds >= self.cap.as_secs_f64() {
            self.cap
        } else {
            Duration::from_secs_f64(seconds)
        }
    }

    /// Returns the wait after failure number `failure`, from 1.
    pub(crate) fn delay(&self, failure: u32, rng: &mut fastrand::Rng) -> Duration {
        let ceiling = self.ceiling(failure);
        match self.jitter {
            Jitter::None => ceiling,
            Jitter::Full => ceiling.mul_f64(rng.f64()),
            Jitter::Equal => ceiling.mul_f64(0.5 + rng.f64() / 2.0),
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::exponential(NonZeroU32::MIN.saturating_add(2))
    }
}

/// How a wait is made random, so that jobs that failed together do not come back together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jitter {
    /// Exactly the wait. For tests; callers that failed together come back together.
    None,
    /// Between 0 and the wait.
    #[default]
    Full,
    /// Between half the wait and the wait.
    Equal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_by_the_factor_up_to_the_cap() {
        let policy = RetryPolicy::default()
            .base(Duration::from_millis(100))
            .cap(Duration::from_millis(350));
        let waits: Vec<_> = (1..=4).map(|n| policy.ceiling(n).as_millis()).collect();
        assert_eq!(waits, [100, 200, 350, 350]);
        assert_eq!(policy.ceiling(u32::MAX), Duration::from_millis(350));
    }

    #[test]
    fn a_delay_of_ones_own_scheduler_keeps_to_the_class() {
        let mut rng = fastrand::Rng::with_seed(1);
        let policy = RetryPolicy::default()
            .base(Duration::from_millis(100))
            .jitter(Jitter::None)
            .patience(Duration::from_secs(60));
        let mut next = |failure, class, refused_for| {
            policy.next_delay(failure, class, Duration::from_secs(refused_for), &mut rng)
        };
        let asked = |seconds| ErrorClass::Throttled {
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(next(1, ErrorClass::Permanent, 0), None);
        assert_eq!(
            next(2, ErrorClass::Transient, 0),
            Some(Duration::from_millis(200))
        );
        assert_eq!(next(3, ErrorClass::Transient, 0), None);
        assert!(next(9, asked(40), 0).is_some_and(|delay| delay >= Duration::from_secs(40)));
        assert_eq!(next(9, asked(40), 30), None);
        let unasked = ErrorClass::Throttled { retry_after: None };
        assert!(next(9, unasked, 0).is_some());
        assert_eq!(next(9, unasked, 60), None);
        assert_eq!(next(3, ErrorClass::Overloaded { retry_after: None }, 0), None);
    }

    #[test]
    fn jitter_keeps_to_its_range() {
        let mut rng = fastrand::Rng::with_seed(1);
        let policy = RetryPolicy::default().base(Duration::from_millis(100));
        for _ in 0..1_000 {
            assert!(policy.delay(1, &mut rng) <= Duration::from_millis(100));
            let equal = policy.clone().jitter(Jitter::Equal).delay(1, &mut rng);
            assert!((50..=100).contains(&equal.as_millis()), "{equal:?}");
        }
    }
}
