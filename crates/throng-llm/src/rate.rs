//! What a provider says about its rate limits in the headers of an answer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The rate limits that came with an answer. Figures that the provider did not send are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RateLimits {
    /// Requests.
    #[serde(skip_serializing_if = "RateLimit::is_empty")]
    pub requests: RateLimit,
    /// Tokens, input and output together.
    #[serde(skip_serializing_if = "RateLimit::is_empty")]
    pub tokens: RateLimit,
    /// Tokens of the input, where a provider limits them by themselves.
    #[serde(skip_serializing_if = "RateLimit::is_empty")]
    pub input_tokens: RateLimit,
    /// Tokens of the output, where a provider limits them by themselves.
    #[serde(skip_serializing_if = "RateLimit::is_empty")]
    pub output_tokens: RateLimit,
}

impl RateLimits {
    /// Returns true if the provider sent no figure.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns how long to wait until what is used up comes back, if something is used up and that is known.
    pub fn wait(&self) -> Option<Duration> {
        let wait = |limit: &RateLimit| limit.reset.filter(|_| limit.remaining == Some(0));
        [
            &self.requests,
            &self.tokens,
            &self.input_tokens,
            &self.output_tokens,
        ]
        .into_iter()
        .filter_map(wait)
        .max()
    }
}

/// One rate limit as it stood when the answer was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RateLimit {
    /// How many are allowed per window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How many are left in this window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
    /// How long until the window is full again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<Duration>,
}

impl RateLimit {
    /// Returns true if the provider sent no figure.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
