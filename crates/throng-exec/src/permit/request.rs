//! What is asked of a pool of permits.

use std::num::NonZeroU32;

use crate::{Key, Priority};

/// A wish for a permit: how much, how soon, and on whose account.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroU32;
/// use throng_exec::{Priority, Request};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let four = NonZeroU32::new(4).ok_or("zero")?;
/// let request = Request::new().weight(four).priority(Priority::HIGH).key("tenant-7");
/// # let _ = request;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Request {
    pub(crate) weight: NonZeroU32,
    pub(crate) priority: Priority,
    pub(crate) key: Option<Key>,
}

impl Request {
    /// Makes a request with the defaults: weight 1, normal priority, no key.
    pub const fn new() -> Self {
        Self {
            weight: NonZeroU32::MIN,
            priority: Priority::NORMAL,
            key: None,
        }
    }

    /// Sets how much of the limit the permit takes. Default 1. A weight above the limit counts as the limit.
    pub const fn weight(mut self, weight: NonZeroU32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets how soon the request is served. Default [`Priority::NORMAL`].
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Names on whose account the request is; keys take turns. Default: all requests without a key share one.
    pub fn key(mut self, key: impl Into<Key>) -> Self {
        self.key = Some(key.into());
        self
    }
}

impl Default for Request {
    fn default() -> Self {
        Self::new()
    }
}
