//! The limits of one key: what a provider, a model or an API key allows.

use crate::{Limit, Rates};

/// The limits of one key, beside those of the run as a whole.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct KeyPolicy {
    pub(crate) rates: Option<Rates>,
    pub(crate) limit: Option<Limit>,
}

impl KeyPolicy {
    /// Makes a policy without limits.
    pub const fn new() -> Self {
        Self {
            rates: None,
            limit: None,
        }
    }

    /// Limits how often attempts of the key start. Default: no limit.
    pub fn rates(mut self, rates: Rates) -> Self {
        self.rates = Some(rates);
        self
    }

    /// Limits how many attempts of the key run at the same time, each counting as one whatever its weight. Default: no
    /// limit but that of the run.
    ///
    /// With [`Limit::Adaptive`] the start rate is no longer learned from refusals, because the limit is.
    pub fn limit(mut self, limit: impl Into<Limit>) -> Self {
        self.limit = Some(limit.into());
        self
    }
}
