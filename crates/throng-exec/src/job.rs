//! A job as data: the input, and what the executor has to know about it before it runs.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One job: its input and how it is to be scheduled.
///
/// Every `J` converts into a `JobSpec<J>` with the defaults: no key, the executor's own timeout, no token cost.
#[derive(Clone, Debug)]
#[must_use]
pub struct JobSpec<J> {
    pub(crate) input: J,
    pub(crate) key: Option<Key>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) cost: Cost,
}

impl<J> JobSpec<J> {
    /// Makes a job with the defaults.
    pub const fn new(input: J) -> Self {
        Self {
            input,
            key: None,
            timeout: None,
            cost: Cost {
                input_tokens: 0,
                output_tokens: 0,
            },
        }
    }

    /// Names who the job calls: a provider, a model, an API key, a tenant. Default: all jobs without a key share one.
    ///
    /// Jobs of different keys take turns within the window. A Retry-After pauses the jobs of its key only, and the start
    /// rate that is learned from refusals is the key's. Concurrency and [`Rates`](crate::Rates) are the run's.
    pub fn key(mut self, key: impl Into<Key>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Limits each attempt of this job to `timeout`, in place of the executor's attempt timeout.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// States what one attempt is expected to cost; see [`Rates`](crate::Rates).
    pub const fn cost(mut self, cost: Cost) -> Self {
        self.cost = cost;
        self
    }
}

impl<J> From<J> for JobSpec<J> {
    fn from(input: J) -> Self {
        Self::new(input)
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
