//! A job as data: the input, and what the executor has to know about it before it runs.

use std::borrow::Borrow;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// One job: its input and how it is to be scheduled.
///
/// Every `J` converts into a `JobSpec<J>` with the defaults: no key, the executor's own timeout, no token cost, normal
/// priority, weight 1.
#[derive(Clone, Debug)]
#[must_use]
pub struct JobSpec<J> {
    pub(crate) input: J,
    pub(crate) key: Option<Key>,
    pub(crate) terms: Terms,
}

/// What the dispatcher has to know of a job, its key apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) timeout: Option<Duration>,
    pub(crate) cost: Cost,
    pub(crate) priority: Priority,
    pub(crate) weight: NonZeroU32,
}

impl<J> JobSpec<J> {
    /// Makes a job with the defaults.
    pub const fn new(input: J) -> Self {
        Self {
            input,
            key: None,
            terms: Terms {
                timeout: None,
                cost: Cost {
                    input_tokens: 0,
                    output_tokens: 0,
                },
                priority: Priority::NORMAL,
                weight: NonZeroU32::MIN,
            },
        }
    }

    /// Names who the job calls: a provider, a model, an API key, a tenant. Default: all jobs without a key share one.
    ///
    /// Jobs of different keys take turns within the window. A Retry-After pauses the jobs of its key only, and the start
    /// rate that is learned from refusals is the key's. For limits of a key see [`KeyPolicy`](crate::KeyPolicy).
    pub fn key(mut self, key: impl Into<Key>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Limits each attempt of this job to `timeout`, in place of the executor's attempt timeout.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.terms.timeout = Some(timeout);
        self
    }

    /// Sets how soon the job goes, among those in the window. Default [`Priority::NORMAL`].
    ///
    /// Waiting raises it; see [`ExecutorBuilder::ageing`](crate::ExecutorBuilder::ageing).
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.terms.priority = priority;
        self
    }

    /// Sets how much of the concurrency one attempt takes. Default 1.
    ///
    /// A weight above the limit counts as the limit: such a job runs alone. A heavy job whose turn it is waits until
    /// there is room for it, and no other of its rank goes before it.
    pub const fn weight(mut self, weight: NonZeroU32) -> Self {
        self.terms.weight = weight;
        self
    }

    /// States what one attempt is expected to cost; see [`Rates`](crate::Rates).
    pub const fn cost(mut self, cost: Cost) -> Self {
        self.terms.cost = cost;
        self
    }
}

impl<J> From<J> for JobSpec<J> {
    fn from(input: J) -> Self {
        Self::new(input)
    }
}

/// How soon a job goes: the higher, the sooner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(i8);

impl Priority {
    /// For work that nobody waits for.
    pub const LOW: Self = Self(-10);
    /// The priority of a job for which none is set.
    pub const NORMAL: Self = Self(0);
    /// For work that somebody waits for.
    pub const HIGH: Self = Self(10);

    /// Makes a priority; 0 is normal.
    pub const fn new(value: i8) -> Self {
        Self(value)
    }

    /// Returns the number.
    pub const fn value(self) -> i8 {
        self.0
    }
}

/// Names a group of jobs that share limits. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// Makes a key.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<S: Into<Arc<str>>> From<S> for Key {
    fn from(name: S) -> Self {
        Self::new(name)
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The tokens that one attempt is expected to use. Rates are charged with it at the start of the attempt; the
/// difference to what the attempt reports is charged or refunded at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cost {
    /// Tokens of the prompt.
    pub input_tokens: u32,
    /// Tokens of the completion.
    pub output_tokens: u32,
}
