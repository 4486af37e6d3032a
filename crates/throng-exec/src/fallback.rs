//! Fallback steps: what a job tries after its first way of being done has failed for good.

use std::num::NonZeroU32;
use std::time::Duration;

use throng_core::ErrorClass;

use crate::{Attempt, Cost, Key, RetryPolicy, Runner};

/// A set of error classes, for [`Fallback::after`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct ErrorClasses(u8);

impl ErrorClasses {
    /// [`ErrorClass::Permanent`].
    pub const PERMANENT: Self = Self(1);
    /// [`ErrorClass::Transient`].
    pub const TRANSIENT: Self = Self(2);
    /// [`ErrorClass::Throttled`].
    pub const THROTTLED: Self = Self(4);
    /// [`ErrorClass::Overloaded`].
    pub const OVERLOADED: Self = Self(8);
    /// [`ErrorClass::Timeout`], the executor's own timeouts included.
    pub const TIMEOUT: Self = Self(16);
    /// All but [`ErrorClass::Permanent`].
    pub const RETRYABLE: Self = Self(2 | 4 | 8 | 16);
    /// Every class.
    pub const ALL: Self = Self(31);

    /// Returns the classes of both sets.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns true if the class is in the set.
    pub const fn contains(self, class: ErrorClass) -> bool {
        let bit = match class {
            ErrorClass::Permanent => Self::PERMANENT,
            ErrorClass::Throttled { .. } => Self::THROTTLED,
            ErrorClass::Overloaded { .. } => Self::OVERLOADED,
            ErrorClass::Timeout => Self::TIMEOUT,
            _ => Self::TRANSIENT,
        };
        self.0 & bit.0 != 0
    }
}

/// One step that a job falls back to: another runner, model or key.
///
/// A job goes on to the step when the one before has ended with an error of the named classes and its retry policy allows no
/// further attempt, or when the breaker of its key is open and jobs do not wait for it. The step has attempts, timeout, cost
/// and key of its own; the runner sees its number as [`Attempt::step`]. A panic does not fall back.
///
/// To fall back on the first refusal instead of waiting it out, set [`RetryPolicy::patience`] to zero.
#[derive(Clone, Debug)]
#[must_use]
pub struct Fallback {
    pub(crate) after: ErrorClasses,
    pub(crate) key: Option<Key>,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeout: Option<Duration>,
    pub(crate) cost: Option<Cost>,
    pub(crate) weight: Option<NonZeroU32>,
}

impl Fallback {
    /// Makes a step after any error that could be retried, with one attempt, the job's own key, timeout, cost and weight.
    pub const fn new() -> Self {
        Self {
            after: ErrorClasses::RETRYABLE,
            key: None,
            retry: RetryPolicy::none(),
            timeout: None,
            cost: None,
            weight: None,
        }
    }

    /// Sets after which errors of the step before it this one is tried. Default [`ErrorClasses::RETRYABLE`].
    pub const fn after(mut self, classes: ErrorClasses) -> Self {
        self.after = classes;
        self
    }

    /// Sets the key of the step's attempts, whose limits then apply. Default: the key of the step before.
    pub fn key(mut self, key: impl Into<Key>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets when the step's attempts are followed by another. Default: one attempt.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Limits the time of each of the step's attempts. Default: as in the step before.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// States what one attempt of the step is expected to cost. Default: as in the step before.
    pub const fn cost(mut self, cost: Cost) -> Self {
        self.cost = Some(cost);
        self
    }

    /// Sets how much of the concurrency one attempt of the step takes. Default: as in the step before.
    pub const fn weight(mut self, weight: NonZeroU32) -> Self {
        self.weight = Some(weight);
        self
    }
}

impl Default for Fallback {
    fn default() -> Self {
        Self::new()
    }
}

/// A runner for each step: the first runs the job's own attempts, the second those of every fallback step. Chains of more
/// than two are made of chains.
#[derive(Clone, Copy, Debug)]
pub struct Steps<A, B> {
    first: A,
    rest: B,
}

impl<A, B> Steps<A, B> {
    /// Makes a runner of two. `rest` sees its first step as step 0.
    pub const fn new(first: A, rest: B) -> Self {
        Self { first, rest }
    }
}

impl<J, A, B> Runner<J> for Steps<A, B>
where
    J: Sync,
    A: Runner<J>,
    B: Runner<J, Output = A::Output, Error = A::Error>,
{
    type Output = A::Output;
    type Error = A::Error;

    async fn run(&self, job: &J, mut cx: Attempt) -> Result<Self::Output, Self::Error> {
        match cx.step.checked_sub(1) {
            None => self.first.run(job, cx).await,
            Some(step) => {
                cx.step = step;
                self.rest.run(job, cx).await
            }
        }
    }
}
