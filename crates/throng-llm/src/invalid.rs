//! Settings of a provider that make no sense.

use std::error::Error;
use std::sync::Arc;

/// The settings of a provider make no sense.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidConfig {
    /// The address of the server.
    #[error("base URL {url} {reason}")]
    BaseUrl {
        /// What was given, without its query; `[redacted]` if it may hold a password.
        url: String,
        /// What is wrong with it; completes the sentence.
        reason: String,
    },
    /// A key that cannot be sent in a header.
    #[error("the API key has characters that cannot be sent in a header")]
    ApiKey,
    /// A header that cannot be sent, or that the client sets itself.
    #[error("header `{name}` {reason}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong with it; completes the sentence.
        reason: &'static str,
    },
    /// The address of the proxy.
    #[error("the proxy's address is not a URL of http or https")]
    Proxy,
    /// A wire that this build does not speak.
    #[error("requests of the wire {wire} need the feature `{feature}` of throng-llm")]
    Wire {
        /// The wire.
        wire: crate::Wire,
        /// The feature that brings it.
        feature: &'static str,
    },
    /// The HTTP client could not be made: mostly, no certificates were found on this system.
    #[error("no HTTP client could be made")]
    Client {
        /// What it said.
        source: Arc<dyn Error + Send + Sync>,
    },
}
