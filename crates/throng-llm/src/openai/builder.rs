//! The settings of the client, validated once.

use std::fmt;
use std::sync::Arc;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::chat::{Inner, OpenAiChat};
use crate::http::{self, Peer};
use crate::{InvalidConfig, Limits, Secret, Timeouts};

const OPENAI_URL: &str = "https://api.openai.com/v1";
const OPENAI_HOST: &str = "api.openai.com";

/// Headers that the client sets itself.
const OWN_HEADERS: [&str; 6] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
];

/// Under which name the limit of output tokens is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MaxTokensField {
    /// `max_completion_tokens`: OpenAI's newer models refuse the other one.
    MaxCompletionTokens,
    /// `max_tokens`: what most compatible servers know.
    MaxTokens,
}

/// The settings of an [`OpenAiChat`]. `Debug` shows no keys.
#[derive(Clone)]
#[must_use]
pub struct OpenAiChatBuilder {
    provider: Arc<str>,
    base_url: String,
    api_key: Option<Secret>,
    organization: Option<Secret>,
    project: Option<Secret>,
    headers: Vec<(String, Secret)>,
    proxy: Option<Secret>,
    timeouts: Timeouts,
    limits: Limits,
    stream: bool,
    include_usage: bool,
    max_tokens: Option<MaxTokensField>,
}

impl Default for OpenAiChatBuilder {
    fn default() -> Self {
        Self {
            provider: "openai".into(),
            base_url: OPENAI_URL.to_owned(),
            api_key: None,
            organization: None,
            project: None,
            headers: Vec::new(),
            proxy: None,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            stream: true,
            include_usage: true,
            max_tokens: None,
        }
    }
}

impl OpenAiChatBuilder {
    /// Sets the name under which errors and reports speak of the provider. Default `openai`.
    pub fn provider(mut self, name: impl Into<Arc<str>>) -> Self {
        self.provider = name.into();
        self
    }

    /// Sets the address below which `/chat/completions` lies, such as `http://127.0.0.1:8080/v1`. A query in it is
    /// sent with every request. Default `https://api.openai.com/v1`.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = url.into();
        self
    }

    /// Sets the key, sent as `Authorization: Bearer`. An empty one is no key.
    pub fn api_key(mut self, key: impl Into<Secret>) -> Self {
        self.api_key = Some(key.into()).filter(|key| !key.expose().is_empty());
        self
    }

    /// Sets the organization that is billed.
    pub fn organization(mut self, id: impl Into<Secret>) -> Self {
        self.organization = Some(id.into());
        self
    }

    /// Sets the project that is billed.
    pub fn project(mut self, id: impl Into<Secret>) -> Self {
        self.project = Some(id.into());
        self
    }

    /// Adds a header to every request. The value is treated as a secret if the name speaks of a key, a token, a
    /// cookie or authorization.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends every request through a proxy. Without this none is used: the environment is not read.
    pub fn proxy(mut self, url: impl Into<Secret>) -> Self {
        self.proxy = Some(url.into());
        self
    }

    /// Sets the clocks.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets how much an answer may say.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Says whether to ask for a stream (the default) or for answers in one piece.
    pub fn stream(mut self, stream: bool) -> Self {
        self.stream = stream;
        self
    }

    /// Says whether to ask for the usage in a stream (the default). Some old servers refuse to be asked.
    pub fn include_usage(mut self, include: bool) -> Self {
        self.include_usage = include;
        self
    }

    /// Says under which name the limit of output tokens is sent. By default `max_completion_tokens` to
    /// `api.openai.com` and `max_tokens` to all others.
    pub fn max_tokens_field(mut self, field: MaxTokensField) -> Self {
        self.max_tokens = Some(field);
        self
    }

    /// Makes the client. No connection is made yet.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if a setting makes no sense, or if TLS is needed and this system has no certificates.
    pub fn build(self) -> Result<OpenAiChat, InvalidConfig> {
        let (url, host) = endpoint(&self.base_url)?;
        let mut headers = HeaderMap::new();
        let mut secrets = Vec::new();
        for (name, value) in &self.headers {
            let (name, value) = header(name, value)?;
            if value.is_sensitive() {
                secrets.extend(value.to_str().ok().map(Secret::new));
            }
            headers.append(name, value);
        }
        if let Some(key) = &self.api_key {
            if headers.contains_key(AUTHORIZATION) {
                let reason = "is set beside an API key";
                return Err(InvalidConfig::Header {
                    name: "authorization".to_owned(),
                    reason,
                });
            }
            let bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose()));
            let mut bearer = bearer.map_err(|_| InvalidConfig::ApiKey)?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
            secrets.push(key.clone());
        }
        for (name, value) in [
            ("openai-organization", &self.organization),
            ("openai-project", &self.project),
        ] {
            if let Some(value) = value {
                let (name, value) = header(name, value)?;
                headers.insert(name, value);
            }
        }
        let is_openai = url.host_str() == Some(OPENAI_HOST);
        Ok(OpenAiChat::new(Inner {
            client: http::client(&url, self.timeouts.connect, self.proxy.as_ref())?,
            peer: Peer {
                provider: self.provider,
                host,
                secrets: secrets.into(),
            },
            url,
            headers,
            timeouts: self.timeouts,
            limits: self.limits,
            stream: self.stream,
            include_usage: self.include_usage,
            max_tokens: self.max_tokens.unwrap_or(if is_openai {
                MaxTokensField::MaxCompletionTokens
            } else {
                MaxTokensField::MaxTokens
            }),
            is_openai,
        }))
    }
}

impl fmt::Debug for OpenAiChatBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("OpenAiChatBuilder")
            .field("provider", &self.provider)
            .field("base_url", &presentable(&self.base_url))
            .field("headers", &headers)
            .field("timeouts", &self.timeouts)
            .field("limits", &self.limits)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

/// Returns the address of the completions and `host:port` of a base URL.
fn endpoint(base: &str) -> Result<(Url, String), InvalidConfig> {
    let wrong = |reason: &str| InvalidConfig::BaseUrl {
        url: presentable(base),
        reason: reason.to_owned(),
    };
    let mut url = Url::parse(base.trim()).map_err(|error| wrong(&format!("is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "must not have a user name or password in it; use an API key or a header",
        ));
    }
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    if !path.ends_with("/chat/completions") {
        url.set_path(&format!("{path}/chat/completions"));
    }
    let host = http::headers::host_port(&url).ok_or_else(|| wrong("names no host"))?;
    Ok((url, host))
}

/// Returns what of an address can be shown: nothing of its query, and nothing at all if there may be a password.
fn presentable(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    if url.contains('@') {
        "[redacted]".to_owned()
    } else {
        format!("`{url}`")
    }
}

fn header(name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue), InvalidConfig> {
    let wrong = |reason| InvalidConfig::Header {
        name: name.to_owned(),
        reason,
    };
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("is not a header's name"))?;
    if OWN_HEADERS.contains(&parsed.as_str()) {
        return Err(wrong("is set by the client itself"));
    }
    let mut header = HeaderValue::from_str(value.expose())
        .map_err(|_| wrong("has a value with characters that cannot be sent in a header"))?;
    let secret = ["key", "token", "auth", "secret", "cookie", "password"];
    header.set_sensitive(secret.iter().any(|word| parsed.as_str().contains(word)));
    Ok((parsed, header))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        for (base, url, host) in [
            (
                "https://api.openai.com/v1",
                "https://api.openai.com/v1/chat/completions",
                "api.openai.com:443",
            ),
            (
                "http://127.0.0.1:8080/v1/",
                "http://127.0.0.1:8080/v1/chat/completions",
                "127.0.0.1:8080",
            ),
            ("http://[::1]:80", "http://[::1]/chat/completions", "[::1]:80"),
            (
                "https://h/v1/chat/completions",
                "https://h/v1/chat/completions",
                "h:443",
            ),
            (
                "https://h/openai/deployments/d?api-version=1",
                "https://h/openai/deployments/d/chat/completions?api-version=1",
                "h:443",
            ),
        ] {
            let (made, at) = endpoint(base).expect(base);
            assert_eq!((made.as_str(), &*at), (url, host), "{base}");
        }
        for (base, text) in [
            (
                "api.openai.com/v1?key=sk-1",
                "base URL `api.openai.com/v1` is not a URL: relative URL without a base",
            ),
            (
                "localhost:8080/v1",
                "base URL `localhost:8080/v1` must begin with http:// or https://",
            ),
            (
                "http://me:sk-1@h/v1",
                "base URL [redacted] must not have a user name or password in it; use an API key or a header",
            ),
            ("http://", "base URL `http://` is not a URL: empty host"),
        ] {
            assert_eq!(endpoint(base).expect_err(base).to_string(), text);
        }
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let error = |builder: OpenAiChatBuilder| builder.build().expect_err("must be refused").to_string();
        let builder = || OpenAiChat::builder().base_url("http://127.0.0.1:1/v1");
        assert_eq!(
            error(builder().api_key("a\nb")),
            "the API key has characters that cannot be sent in a header"
        );
        assert_eq!(
            error(builder().header("a b", "x")),
            "header `a b` is not a header's name"
        );
        assert_eq!(
            error(builder().header("Content-Type", "x")),
            "header `Content-Type` is set by the client itself"
        );
        assert_eq!(
            error(builder().header("Authorization", "Basic x").api_key("k")),
            "header `authorization` is set beside an API key"
        );
        assert_eq!(
            error(builder().proxy("socks5://x")),
            "the proxy's address is not a URL of http or https"
        );
    }

    #[test]
    fn no_debug_output_has_a_key() {
        let builder = OpenAiChat::builder()
            .base_url("http://127.0.0.1:1/v1?key=sk-secret-1")
            .api_key("sk-secret-2")
            .header("api-key", "sk-secret-3")
            .proxy("http://user:sk-secret-4@proxy:1");
        let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
