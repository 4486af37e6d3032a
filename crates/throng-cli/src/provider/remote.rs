//! A server elsewhere: how it is called, and what is said of it.

use std::time::Duration;

use throng_llm::{Dialect, HttpClient, HttpClientBuilder, Price, PriceTable, Timeouts, Wire};

use super::choose::inventor;
use super::keys::Key;
use super::redact_url;
use crate::error::CliError;
use crate::settings::Origin;

/// A server elsewhere.
#[derive(Debug)]
pub(crate) struct Remote {
    /// The name by which it was asked for.
    pub(crate) name: String,
    /// What is known of it. Nothing of a server that only speaks as OpenAI does.
    pub(crate) dialect: Option<&'static Dialect>,
    /// The wire that it speaks.
    pub(crate) wire: Wire,
    /// Its address.
    pub(crate) base_url: String,
    /// The model.
    pub(crate) model: String,
    /// The key and where it came from.
    pub(crate) key: Option<Key>,
    /// What set the address.
    pub(crate) origin: Option<Origin>,
    /// Headers that a profile adds.
    pub(crate) headers: Vec<(String, String)>,
}

impl Remote {
    /// Describes a server of this machine that needs no key.
    pub(crate) fn local(base_url: String, model: &str) -> Self {
        Self {
            name: "openai".to_owned(),
            dialect: None,
            wire: Wire::OpenAiChat,
            base_url,
            model: model.to_owned(),
            key: None,
            origin: None,
            headers: Vec::new(),
        }
    }

    /// Returns the name under which errors and prices speak of it.
    pub(crate) fn provider(&self) -> &str {
        self.dialect.map_or(inventor(self.wire), Dialect::provider)
    }

    /// Returns the price of its model.
    pub(crate) fn price(&self, prices: &PriceTable) -> Option<Price> {
        prices.price(self.provider(), &self.model).cloned()
    }

    /// Begins to make the client. `attempt` is the time that the caller allows for an attempt: no clock of the client that
    /// bounds the whole call is shorter, so that one setting decides.
    pub(super) fn builder(&self, attempt: Option<Duration>) -> HttpClientBuilder {
        let mut timeouts = Timeouts::default();
        if attempt.is_some() {
            timeouts = timeouts
                .with_total(Duration::MAX)
                .with_first_content(Duration::MAX);
        }
        let mut builder = match self.dialect {
            Some(dialect) => dialect.client(),
            None => HttpClient::builder(self.wire),
        }
        .base_url(&self.base_url)
        .timeouts(timeouts);
        for (name, value) in &self.headers {
            builder = builder.header(name, value.as_str());
        }
        if let Some((key, _)) = &self.key {
            builder = builder.api_key(key.clone());
        }
        builder
    }

    /// Makes the client that lists models.
    ///
    /// # Errors
    ///
    /// If the address or the key cannot be used.
    pub(crate) fn client(&self) -> Result<HttpClient, CliError> {
        self.builder(None).build().map_err(|error| cannot(&error))
    }

    /// Describes the server in a line: where prompts and the key go.
    pub(crate) fn describe(&self) -> String {
        let key = self
            .key
            .as_ref()
            .map_or("no key".to_owned(), |(_, from)| format!("the key of {from}"));
        let by = match &self.origin {
            Some(origin @ (Origin::Project(..) | Origin::User(..) | Origin::Config(..) | Origin::Env(_))) => {
                format!(" (set by {origin})")
            }
            _ => String::new(),
        };
        format!(
            "sending to {}{by}, model {}, with {key}",
            redact_url(&self.base_url),
            self.model
        )
    }

    /// Returns true if the key would go over the network unencrypted.
    pub(crate) fn exposes_key(&self) -> bool {
        let Some(rest) = self.base_url.strip_prefix("http://") else {
            return false;
        };
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        let local = ["localhost", "127.", "[::1]"]
            .iter()
            .any(|local| host.starts_with(local));
        self.key.is_some() && !local
    }
}

/// Makes the error of a client that cannot be made.
pub(super) fn cannot(error: &(dyn std::error::Error + 'static)) -> CliError {
    CliError::usage("the provider cannot be set up")
        .cause(error)
        .hint("check --base-url and the key; `throng config show --origin` says what set them")
}

#[cfg(test)]
mod tests {
    use throng_llm::Secret;

    use super::*;

    #[test]
    fn a_key_is_exposed_by_plain_http_to_another_machine_only() {
        let remote = |url: &str| Remote {
            key: Some((Secret::new("sk-1"), "X".to_owned())),
            ..Remote::local(url.to_owned(), "m")
        };
        assert!(remote("http://example.org/v1").exposes_key());
        assert!(!remote("https://example.org/v1").exposes_key());
        assert!(!remote("http://127.0.0.1:8080/v1").exposes_key());
        assert!(!remote("http://localhost/v1").exposes_key());
    }
}
