//! The settings of a client, validated once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};

use super::address::{Address, presentable};
use super::client::{HttpClient, Inner};
use super::headers::{self, own_header};
use super::recorder::Recorder;
use super::transport::{self, Peer};
use crate::encode::{MaxTokensField, Options, is_supported};
use crate::{InvalidConfig, Limits, Secret, Timeouts, Wire};

/// The version of Anthropic's wire that this crate speaks.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// The settings of an [`HttpClient`]. `Debug` shows no keys.
#[derive(Clone)]
#[must_use]
pub struct HttpClientBuilder {
    wire: Wire,
    provider: Arc<str>,
    base_url: Option<String>,
    api_key: Option<Secret>,
    key_header: Option<String>,
    headers: Vec<(String, Secret)>,
    proxy: Option<Secret>,
    timeouts: Timeouts,
    limits: Limits,
    stream: bool,
    include_usage: bool,
    max_tokens: Option<MaxTokensField>,
    seed_member: &'static str,
    reasoning_details: Option<bool>,
    default_max_output_tokens: u32,
    recorder: Option<Recorder>,
    reuse_connections: bool,
}

impl HttpClientBuilder {
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            wire,
            provider: match wire {
                Wire::OpenAiChat | Wire::OpenAiResponses => "openai",
                Wire::Anthropic | Wire::Gemini | Wire::Ollama => wire.as_str(),
            }
            .into(),
            base_url: None,
            api_key: None,
            key_header: None,
            headers: Vec::new(),
            proxy: None,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            stream: true,
            include_usage: true,
            max_tokens: None,
            seed_member: "seed",
            reasoning_details: None,
            default_max_output_tokens: 4096,
            recorder: None,
            reuse_connections: true,
        }
    }

    /// Sets the name under which errors and reports speak of the provider. Default: that of the wire's inventor,
    /// `openai` and so on.
    pub fn provider(mut self, name: impl Into<Arc<str>>) -> Self {
        self.provider = name.into();
        self
    }

    /// Sets the address below which the calls lie, such as `http://127.0.0.1:8080/v1`: see [`Wire::base_url`] for the
    /// defaults and [`Wire`] for what is added to it. A query in it is sent with every request.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Sets the key. It is sent as `Authorization: Bearer`, to Anthropic as `x-api-key`, to Gemini as
    /// `x-goog-api-key`. An empty one is no key.
    pub fn api_key(mut self, key: impl Into<Secret>) -> Self {
        self.api_key = Some(key.into()).filter(|key| !key.expose().is_empty());
        self
    }

    /// Sets the header that carries the key as it is, such as `api-key` for Azure. `authorization` carries it after
    /// `Bearer `.
    pub fn key_header(mut self, name: impl Into<String>) -> Self {
        self.key_header = Some(name.into());
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

    /// Says whether calls take connections that earlier ones have left open (the default). Without, each call makes its
    /// own: for servers that close a connection after having promised to keep it, as llama.cpp's does after each streamed
    /// answer, so that the next call on it fails with [`ErrorKind::Transport`](crate::ErrorKind::Transport).
    pub fn reuse_connections(mut self, reuse: bool) -> Self {
        self.reuse_connections = reuse;
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

    /// Says whether to ask for the usage in a stream of Chat Completions (the default). Some old servers refuse to be
    /// asked.
    pub fn include_usage(mut self, include: bool) -> Self {
        self.include_usage = include;
        self
    }

    /// Says under which name the limit of output tokens is sent over Chat Completions. By default
    /// `max_completion_tokens` to `api.openai.com` and `max_tokens` to all others.
    pub fn max_tokens_field(mut self, field: MaxTokensField) -> Self {
        self.max_tokens = Some(field);
        self
    }

    /// Says whether opaque reasoning of earlier answers is sent back over Chat Completions, as the `reasoning_details`
    /// in which OpenRouter gave it. By default to all servers but `api.openai.com`, which does not know that member.
    pub fn reasoning_details(mut self, send: bool) -> Self {
        self.reasoning_details = Some(send);
        self
    }

    /// Says under which name the seed is sent over Chat Completions.
    pub(crate) fn seed_member(mut self, name: &'static str) -> Self {
        self.seed_member = name;
        self
    }

    /// Sets the limit of output tokens that is sent where a request has none and the wire demands one, as Anthropic's
    /// does. Default 4,096.
    pub fn default_max_output_tokens(mut self, tokens: u32) -> Self {
        self.default_max_output_tokens = tokens;
        self
    }

    /// Records every call. Only here are the bytes seen that a [`Replay`](crate::Replay) needs, and the keys known that
    /// must not be in them; so this is no client around a client.
    pub fn record(mut self, recorder: Recorder) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// Makes the client. No connection is made yet.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if a setting makes no sense, or if TLS is needed and this system has no certificates.
    pub fn build(self) -> Result<HttpClient, InvalidConfig> {
        let wire = self.wire;
        if !is_supported(wire) {
            let feature = self.wire.feature();
            return Err(InvalidConfig::Wire { wire, feature });
        }
        let address = Address::new(wire, self.base_url.as_deref().unwrap_or(wire.base_url()))?;
        let mut headers = HeaderMap::new();
        let mut secrets = Vec::new();
        for (name, value) in &self.headers {
            let (name, value) = own_header(name, value)?;
            if value.is_sensitive() {
                secrets.extend(value.to_str().ok().map(Secret::new));
            }
            headers.append(name, value);
        }
        if let Some(key) = &self.api_key {
            let name = self.key_header.as_deref().unwrap_or(match wire {
                Wire::Anthropic => "x-api-key",
                Wire::Gemini => "x-goog-api-key",
                _ => "authorization",
            });
            let (name, value) = headers::key_header(name, key)?;
            if headers.contains_key(&name) {
                let reason = "is set beside an API key";
                return Err(InvalidConfig::Header {
                    name: name.to_string(),
                    reason,
                });
            }
            headers.insert(name, value);
            secrets.push(key.clone());
        }
        if wire == Wire::Anthropic && !headers.contains_key("anthropic-version") {
            headers.insert("anthropic-version", HeaderValue::from_static(ANTHROPIC_VERSION));
        }
        let is_openai = address.is_openai();
        let mut timeouts = self.timeouts;
        if !self.stream {
            // An answer in one piece has its first content at its end.
            timeouts = timeouts
                .with_first_content(Duration::MAX)
                .with_idle(Duration::MAX);
        }
        Ok(HttpClient::new(Inner {
            client: transport::client(
                address.url(),
                timeouts.connect,
                self.proxy.as_ref(),
                self.reuse_connections,
            )?,
            peer: Peer {
                provider: self.provider,
                host: address.host().to_owned(),
                secrets: secrets.into(),
            },
            wire,
            address,
            headers,
            timeouts,
            limits: self.limits,
            recorder: self.recorder,
            options: Options {
                stream: self.stream,
                include_usage: self.include_usage,
                max_tokens: self.max_tokens.unwrap_or(if is_openai {
                    MaxTokensField::MaxCompletionTokens
                } else {
                    MaxTokensField::MaxTokens
                }),
                is_openai,
                seed_member: self.seed_member,
                reasoning_details: self.reasoning_details.unwrap_or(!is_openai),
                default_max_output_tokens: self.default_max_output_tokens,
            },
        }))
    }
}

impl fmt::Debug for HttpClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("HttpClientBuilder")
            .field("wire", &self.wire)
            .field("provider", &self.provider)
            .field("base_url", &self.base_url.as_deref().map(presentable))
            .field("headers", &headers)
            .field("timeouts", &self.timeouts)
            .field("limits", &self.limits)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let error = |builder: HttpClientBuilder| builder.build().expect_err("must be refused").to_string();
        let builder = || HttpClient::builder(Wire::OpenAiChat).base_url("http://127.0.0.1:1/v1");
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
        let builder = HttpClient::builder(Wire::OpenAiChat)
            .base_url("http://127.0.0.1:1/v1?key=sk-secret-1")
            .api_key("sk-secret-2")
            .header("api-key", "sk-secret-3")
            .proxy("http://user:sk-secret-4@proxy:1");
        let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
