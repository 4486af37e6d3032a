//! Load shedding: with more jobs than can be run in time, some are refused early so that the others are not late.

use std::num::NonZeroUsize;
use std::time::Duration;

/// When a job that waits for its first attempt is refused. It then ends as [`Shed`](throng_core::Outcome::Shed).
///
/// Sheds nothing unless one of the two limits is set. Jobs that have had an attempt are never shed. Jobs that the window
/// has no room for wait in the input and are not seen: give the window room for what arrives within the longest wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Shedding {
    pub(crate) max_wait: Option<Duration>,
    pub(crate) max_queue: Option<NonZeroUsize>,
}

impl Shedding {
    /// Makes a policy that sheds nothing.
    pub const fn new() -> Self {
        Self {
            max_wait: None,
            max_queue: None,
        }
    }

    /// Sheds a job that has waited for so long, from its admission.
    pub const fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = Some(wait);
        self
    }

    /// Sheds a job whenever more than so many wait: of the lowest priority, the newest job of the key with most of them.
    pub const fn max_queue(mut self, jobs: NonZeroUsize) -> Self {
        self.max_queue = Some(jobs);
        self
    }
}
