//! How many attempts of one key may run at the same time.

use std::num::NonZeroUsize;

/// How many attempts of one key may run at the same time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Limit {
    /// So many.
    Fixed(NonZeroUsize),
    /// As many as the other side accepts.
    Adaptive(AdaptiveLimit),
}

/// Stub.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct AdaptiveLimit;

impl AdaptiveLimit {
    pub(crate) fn validate(&self) -> Result<(), crate::InvalidConfig> {
        Ok(())
    }
}

impl From<NonZeroUsize> for Limit {
    fn from(limit: NonZeroUsize) -> Self {
        Self::Fixed(limit)
    }
}
