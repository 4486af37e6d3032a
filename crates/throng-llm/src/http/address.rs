//! Where calls go: the base URL, and what each wire adds to it.

use reqwest::Url;

use super::headers::host_port;
use crate::{InvalidConfig, Wire};

const OPENAI_HOST: &str = "api.openai.com";

/// The address of a server.
#[derive(Clone, Debug)]
pub(super) struct Address {
    wire: Wire,
    /// That of the calls; of Gemini, whose calls name the model in their path, the base.
    url: Url,
    /// `host:port`.
    host: String,
}

impl Address {
    /// Checks a base URL.
    ///
    /// # Errors
    ///
    /// If it is not a URL of http or https, or holds a password.
    pub(super) fn new(wire: Wire, base: &str) -> Result<Self, InvalidConfig> {
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
        let added = added(wire);
        if path.ends_with(added) {
            url.set_path(&path);
        } else {
            url.set_path(&format!("{path}{added}"));
        }
        let host = host_port(&url).ok_or_else(|| wrong("names no host"))?;
        Ok(Self { wire, url, host })
    }

    /// Returns `host:port`.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Returns true for OpenAI's own server.
    pub(super) fn is_openai(&self) -> bool {
        self.url.host_str() == Some(OPENAI_HOST)
    }

    /// Returns the address of the list of models.
    pub(super) fn of_models(&self) -> Url {
        let mut url = self.url.clone();
        let path = url.path().trim_end_matches('/').to_owned();
        let base = path.strip_suffix(added(self.wire)).unwrap_or(&path);
        let list = if self.wire == Wire::Ollama {
            "/api/tags"
        } else {
            "/models"
        };
        url.set_path(&format!("{base}{list}"));
        url
    }

    /// Returns the address of a call.
    pub(super) fn of_call(&self, model: &str, stream: bool) -> Url {
        let mut url = self.url.clone();
        if self.wire == Wire::Gemini {
            let model = if model.contains('/') {
                model.to_owned()
            } else {
                format!("models/{model}")
            };
            let method = if stream {
                "streamGenerateContent"
            } else {
                "generateContent"
            };
            let path = url.path().trim_end_matches('/');
            // The URL escapes what a path cannot hold, but a question mark or a hash would end the path.
            let model = model.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
            let path = format!("{path}/{model}:{method}");
            url.set_path(&path);
            if stream {
                url.query_pairs_mut().append_pair("alt", "sse");
            }
        }
        url
    }
}

/// Returns what a call adds to the base URL; nothing of Gemini, whose calls name the model in their path.
const fn added(wire: Wire) -> &'static str {
    match wire {
        Wire::OpenAiChat => "/chat/completions",
        Wire::OpenAiResponses => "/responses",
        Wire::Anthropic => "/messages",
        Wire::Gemini => "",
        Wire::Ollama => "/api/chat",
    }
}

/// Returns what of an address can be shown: nothing of its query, and nothing at all if there may be a password.
pub(super) fn presentable(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    if url.contains('@') {
        "[redacted]".to_owned()
    } else {
        format!("`{url}`")
    }
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
            let address = Address::new(Wire::OpenAiChat, base).expect(base);
            let made = address.of_call("m", true);
            assert_eq!((made.as_str(), address.host()), (url, host), "{base}");
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
            assert_eq!(
                Address::new(Wire::OpenAiChat, base).expect_err(base).to_string(),
                text
            );
        }
    }

    #[test]
    fn each_wire_has_its_own_list_of_models() {
        for (wire, base, url) in [
            (Wire::OpenAiChat, "http://h/v1/", "http://h/v1/models"),
            (
                Wire::OpenAiChat,
                "http://h/v1/chat/completions?v=1",
                "http://h/v1/models?v=1",
            ),
            (Wire::OpenAiResponses, "http://h/v1", "http://h/v1/models"),
            (Wire::Anthropic, "http://h/v1", "http://h/v1/models"),
            (Wire::Gemini, "http://h/v1beta", "http://h/v1beta/models"),
            (Wire::Ollama, "http://h", "http://h/api/tags"),
        ] {
            let address = Address::new(wire, base).expect(base);
            assert_eq!(address.of_models().as_str(), url, "{wire} {base}");
        }
    }

    #[test]
    fn each_wire_has_its_own_path() {
        let call = |wire, base, model, stream| {
            Address::new(wire, base)
                .expect(base)
                .of_call(model, stream)
                .to_string()
        };
        assert_eq!(
            call(Wire::OpenAiResponses, "http://h/v1", "m", true),
            "http://h/v1/responses"
        );
        assert_eq!(
            call(Wire::Anthropic, "http://h/v1/", "m", true),
            "http://h/v1/messages"
        );
        assert_eq!(
            call(Wire::Ollama, "http://h:11434", "m", true),
            "http://h:11434/api/chat"
        );
        let gemini = |model, stream| call(Wire::Gemini, "http://h/v1beta", model, stream);
        assert_eq!(
            gemini("g-1", true),
            "http://h/v1beta/models/g-1:streamGenerateContent?alt=sse"
        );
        assert_eq!(
            gemini("tunedModels/x", false),
            "http://h/v1beta/tunedModels/x:generateContent"
        );
        assert_eq!(
            gemini("a?b#c", false),
            "http://h/v1beta/models/a%3Fb%23c:generateContent"
        );
    }
}
