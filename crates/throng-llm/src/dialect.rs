//! What is known of servers: where they are, which wire they speak, how they take their key, and in what they differ
//! from the wire's inventor. Only names of environment variables are here; nothing in this crate reads them.
//!
//! Each difference is one that recorded requests or the server's own documentation show.

use crate::Wire;
#[cfg(feature = "http")]
use crate::{HttpClient, HttpClientBuilder, MaxTokensField};

/// A server that is known, and how it wants to be spoken to.
///
/// # Examples
///
/// ```
/// use throng_llm::{Dialect, Wire};
///
/// let groq = Dialect::find("groq").expect("it is known");
/// assert_eq!(groq.wire(), Wire::OpenAiChat);
/// assert_eq!(groq.base_url(), Some("https://api.groq.com/openai/v1"));
/// assert_eq!(groq.key_variables(), ["GROQ_API_KEY"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    name: &'static str,
    provider: &'static str,
    wire: Wire,
    base_url: Option<&'static str>,
    key_variables: &'static [&'static str],
    needs_key: bool,
    key_header: &'static str,
    max_tokens_member: &'static str,
    seed_member: &'static str,
    asks_for_usage: bool,
    takes_reasoning_details: bool,
    keeps_connections: bool,
}

/// What a server that speaks Chat Completions shares with most others.
const CHAT: Dialect = Dialect {
    name: "",
    provider: "",
    wire: Wire::OpenAiChat,
    base_url: None,
    key_variables: &[],
    needs_key: true,
    key_header: "authorization",
    max_tokens_member: "max_tokens",
    seed_member: "seed",
    asks_for_usage: true,
    takes_reasoning_details: false,
    keeps_connections: true,
};

/// A server in the cloud that speaks Chat Completions.
const fn cloud(
    name: &'static str,
    base_url: &'static str,
    key_variables: &'static [&'static str],
) -> Dialect {
    Dialect {
        name,
        provider: name,
        base_url: Some(base_url),
        key_variables,
        ..CHAT
    }
}

/// A server on one's own machine that speaks Chat Completions, at its usual port.
const fn local(name: &'static str, base_url: &'static str) -> Dialect {
    Dialect {
        needs_key: false,
        ..cloud(name, base_url, &[])
    }
}

/// A server of the inventor of a wire.
const fn inventor(name: &'static str, wire: Wire, key_variables: &'static [&'static str]) -> Dialect {
    Dialect {
        wire,
        ..cloud(name, wire.base_url(), key_variables)
    }
}

/// The servers, by name.
const ALL: &[Dialect] = &[
    Dialect {
        key_header: "x-api-key",
        ..inventor("anthropic", Wire::Anthropic, &["ANTHROPIC_API_KEY"])
    },
    // Its address is that of one's own resource, such as https://NAME.openai.azure.com/openai/v1.
    Dialect {
        base_url: None,
        key_header: "api-key",
        max_tokens_member: "max_completion_tokens",
        ..cloud("azure", "", &["AZURE_OPENAI_API_KEY"])
    },
    Dialect {
        max_tokens_member: "max_completion_tokens",
        ..cloud("cerebras", "https://api.cerebras.ai/v1", &["CEREBRAS_API_KEY"])
    },
    cloud("deepseek", "https://api.deepseek.com", &["DEEPSEEK_API_KEY"]),
    cloud(
        "fireworks",
        "https://api.fireworks.ai/inference/v1",
        &["FIREWORKS_API_KEY"],
    ),
    Dialect {
        key_header: "x-goog-api-key",
        ..inventor("gemini", Wire::Gemini, &["GEMINI_API_KEY", "GOOGLE_API_KEY"])
    },
    cloud("groq", "https://api.groq.com/openai/v1", &["GROQ_API_KEY"]),
    // It closes the connection after each streamed answer, having said that it keeps it.
    Dialect {
        keeps_connections: false,
        ..local("llama.cpp", "http://127.0.0.1:8080/v1")
    },
    local("lmstudio", "http://127.0.0.1:1234/v1"),
    // It refuses members that it does not know, `stream_options` and `max_completion_tokens` among them, and sends the
    // usage unasked.
    Dialect {
        seed_member: "random_seed",
        asks_for_usage: false,
        ..cloud("mistral", "https://api.mistral.ai/v1", &["MISTRAL_API_KEY"])
    },
    Dialect {
        needs_key: false,
        ..inventor("ollama", Wire::Ollama, &["OLLAMA_API_KEY"])
    },
    Dialect {
        provider: "ollama",
        key_variables: &["OLLAMA_API_KEY"],
        ..local("ollama-openai", "http://127.0.0.1:11434/v1")
    },
    Dialect {
        max_tokens_member: "max_completion_tokens",
        ..inventor("openai", Wire::OpenAiChat, &["OPENAI_API_KEY"])
    },
    Dialect {
        provider: "openai",
        ..inventor("openai-responses", Wire::OpenAiResponses, &["OPENAI_API_KEY"])
    },
    // It sends the usage unasked.
    Dialect {
        asks_for_usage: false,
        takes_reasoning_details: true,
        ..cloud(
            "openrouter",
            "https://openrouter.ai/api/v1",
            &["OPENROUTER_API_KEY"],
        )
    },
    // It sends the usage unasked.
    Dialect {
        asks_for_usage: false,
        ..cloud("perplexity", "https://api.perplexity.ai", &["PERPLEXITY_API_KEY"])
    },
    local("sglang", "http://127.0.0.1:30000/v1"),
    cloud("together", "https://api.together.xyz/v1", &["TOGETHER_API_KEY"]),
    local("vllm", "http://127.0.0.1:8000/v1"),
    cloud("xai", "https://api.x.ai/v1", &["XAI_API_KEY"]),
    Dialect {
        provider: "xai",
        wire: Wire::OpenAiResponses,
        ..cloud("xai-responses", "https://api.x.ai/v1", &["XAI_API_KEY"])
    },
];

impl Dialect {
    /// Returns the known servers, sorted by name.
    pub const fn all() -> &'static [Self] {
        ALL
    }

    /// Returns the server of this name. Case does not count, nor do dots, hyphens and underscores: `llamacpp` is
    /// `llama.cpp`.
    pub fn find(name: &str) -> Option<&'static Self> {
        let plain = |name: &str| {
            let letters = name.chars().filter(|c| !matches!(c, '.' | '-' | '_'));
            letters.collect::<String>().to_ascii_lowercase()
        };
        let name = plain(name);
        ALL.iter().find(|dialect| plain(dialect.name) == name)
    }

    /// Returns the name, such as `openai-responses`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the name under which errors and reports speak of the server, such as `openai`.
    pub const fn provider(&self) -> &'static str {
        self.provider
    }

    /// Returns the wire that it speaks.
    pub const fn wire(&self) -> Wire {
        self.wire
    }

    /// Returns the address below which its calls lie: of a server that one runs oneself, at its usual port. `None` if
    /// everybody has an own address, which must then be set.
    pub const fn base_url(&self) -> Option<&'static str> {
        self.base_url
    }

    /// Returns the environment variables in which its key usually stands, the usual one first.
    pub const fn key_variables(&self) -> &'static [&'static str] {
        self.key_variables
    }

    /// Returns false for a server that one runs oneself, which takes requests without a key by default.
    pub const fn needs_key(&self) -> bool {
        self.needs_key
    }

    /// Returns the header that carries the key: `authorization` carries it after `Bearer `.
    pub const fn key_header(&self) -> &'static str {
        self.key_header
    }

    /// Returns the member of a request of Chat Completions that limits the output tokens.
    pub const fn max_tokens_member(&self) -> &'static str {
        self.max_tokens_member
    }

    /// Returns the member of a request of Chat Completions that holds the seed.
    pub const fn seed_member(&self) -> &'static str {
        self.seed_member
    }

    /// Returns whether a stream of Chat Completions is asked for its usage. Not so where servers send it unasked and
    /// may refuse to be asked.
    pub const fn asks_for_usage(&self) -> bool {
        self.asks_for_usage
    }

    /// Returns whether the opaque reasoning of earlier answers goes back to it, as `reasoning_details` of Chat
    /// Completions.
    pub const fn takes_reasoning_details(&self) -> bool {
        self.takes_reasoning_details
    }

    /// Returns false for a server that closes connections which it has promised to keep; see
    /// `HttpClientBuilder::reuse_connections`.
    pub const fn keeps_connections(&self) -> bool {
        self.keeps_connections
    }

    /// Begins to set up a client of the server, in the way that it wants to be spoken to. Of a server without a
    /// [`base_url`](Self::base_url) that must be set.
    #[cfg(feature = "http")]
    pub fn client(&self) -> HttpClientBuilder {
        let max_tokens = match self.max_tokens_member {
            "max_completion_tokens" => MaxTokensField::MaxCompletionTokens,
            _ => MaxTokensField::MaxTokens,
        };
        let builder = HttpClient::builder(self.wire)
            .provider(self.provider)
            .key_header(self.key_header)
            .max_tokens_field(max_tokens)
            .seed_member(self.seed_member)
            .include_usage(self.asks_for_usage)
            .reasoning_details(self.takes_reasoning_details)
            .reuse_connections(self.keeps_connections);
        match self.base_url {
            Some(url) => builder.base_url(url),
            // An empty address is refused, rather than that a key goes to another server.
            None => builder.base_url(""),
        }
    }
}
