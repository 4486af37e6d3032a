//! Which provider is called, with which key, and what its errors mean to people.

use std::error::Error;
use std::fs;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use throng_llm::{ErrorKind, LlmClient, LlmError, OpenAiChat, Secret, Timeouts};

use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::settings::{Layers, Origin, Settings};

/// The address of `--provider openai` where nothing sets it.
pub(crate) const OPENAI_URL: &str = "https://api.openai.com/v1";

/// The variables that hold a key, in the order in which they are tried.
pub(crate) const KEY_VARIABLES: [&str; 2] = ["THRONG_API_KEY", "OPENAI_API_KEY"];

/// A file of more bytes than this holds no key.
const MAX_KEY_BYTES: u64 = 16 << 10;

/// The provider as configured.
#[derive(Debug)]
pub(crate) enum Provider {
    /// A simulated server, started for the command.
    Sim {
        /// False if nothing was configured.
        chosen: bool,
        /// The model to name.
        model: String,
    },
    /// A server that speaks the OpenAI chat API.
    OpenAi(Remote),
}

/// A server elsewhere.
#[derive(Debug)]
pub(crate) struct Remote {
    /// Its address.
    pub(crate) base_url: String,
    /// The model.
    pub(crate) model: String,
    /// The key and where it came from.
    pub(crate) key: Option<(Secret, String)>,
    /// What set the address.
    pub(crate) origin: Option<Origin>,
}

impl Provider {
    /// Decides on the provider.
    ///
    /// # Errors
    ///
    /// If settings contradict each other, or the model or the key is missing.
    pub(crate) fn choose(settings: &Settings, layers: &Layers) -> Result<Self, CliError> {
        let base_url = settings.text("run.base-url");
        let model = settings.text("run.model").map(str::to_owned);
        match (settings.text("run.provider"), base_url) {
            (Some("sim"), Some(url)) => Err(CliError::usage(format!(
                "--provider sim starts a server of its own and cannot go to {}",
                redact_url(url)
            ))
            .hint("a `throng sim` that runs already is reached with --provider openai --base-url URL --model sim")),
            (Some("sim"), None) => Ok(Self::Sim { chosen: true, model: model.unwrap_or_else(|| "sim".to_owned()) }),
            (None, None) => Ok(Self::Sim { chosen: false, model: model.unwrap_or_else(|| "sim".to_owned()) }),
            (_, base_url) => {
                let key = find_key(settings, layers)?;
                if key.is_none() && base_url.is_none() {
                    return Err(CliError::new(ExitStatus::Provider, format!("there is no key for {OPENAI_URL}"))
                        .hint("set OPENAI_API_KEY or THRONG_API_KEY, or use --api-key-file FILE")
                        .hint("a server that needs no key is named with --base-url URL"));
                }
                let model = model.ok_or_else(|| {
                    CliError::usage("--provider openai needs a model")
                        .hint("name one that the server has: --model NAME, or THRONG_MODEL, or `model` in throng.toml")
                })?;
                Ok(Self::OpenAi(Remote {
                    base_url: base_url.unwrap_or(OPENAI_URL).to_owned(),
                    model,
                    key,
                    origin: settings.get("run.base-url").map(|(_, origin)| origin.clone()),
                }))
            }
        }
    }

    /// Returns the model that is asked for.
    pub(crate) fn model(&self) -> &str {
        match self {
            Self::Sim { model, .. } => model,
            Self::OpenAi(remote) => &remote.model,
        }
    }

    /// Returns the first line that a command says on standard error.
    pub(crate) fn notice(&self) -> Option<&'static str> {
        match self {
            Self::Sim { chosen: false, .. } => Some(
                "no provider is configured, so a simulated model server answers on this machine: its answers are \
                 made up (for a real one: --provider openai --model NAME, or --base-url URL)",
            ),
            Self::Sim { chosen: true, .. } => {
                Some("a simulated model server answers on this machine: its answers are made up")
            }
            Self::OpenAi(_) => None,
        }
    }
}

impl Remote {
    /// Makes the client. `attempt` is the time that the caller allows for an attempt: no clock of the client that
    /// bounds the whole call is shorter, so that one setting decides.
    ///
    /// # Errors
    ///
    /// If the address or the key cannot be used.
    pub(crate) fn client(&self, attempt: Option<Duration>) -> Result<Arc<dyn LlmClient>, CliError> {
        let mut timeouts = Timeouts::default();
        if attempt.is_some() {
            timeouts = timeouts
                .with_total(Duration::MAX)
                .with_first_content(Duration::MAX);
        }
        let mut builder = OpenAiChat::builder().base_url(&self.base_url).timeouts(timeouts);
        if let Some((key, _)) = &self.key {
            builder = builder.api_key(key.clone());
        }
        let client = builder.build().map_err(|error| {
            CliError::usage("the provider cannot be set up")
                .cause(&error)
                .hint("check --base-url and the key; `throng config show --origin` says what set them")
        })?;
        Ok(Arc::new(client))
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

fn find_key(settings: &Settings, layers: &Layers) -> Result<Option<(Secret, String)>, CliError> {
    if let Some(path) = settings.path("run.api-key-file") {
        let failed = |cause: &std::io::Error| {
            CliError::usage(format!("cannot read the key from {}", path.display())).cause(cause)
        };
        let mut text = String::new();
        let file = fs::File::open(path).map_err(|error| failed(&error))?;
        file.take(MAX_KEY_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(|error| failed(&error))?;
        let text = text.trim();
        if text.is_empty() || text.len() as u64 > MAX_KEY_BYTES || text.contains(char::is_whitespace) {
            return Err(
                CliError::usage(format!("the file {} does not hold one key", path.display()))
                    .hint("write the key alone into the file"),
            );
        }
        return Ok(Some((Secret::new(text), path.display().to_string())));
    }
    if let Some(name) = settings.text("run.api-key-env") {
        return match layers.variable(name)? {
            Some(key) => Ok(Some((Secret::new(key), name.to_owned()))),
            None => Err(
                CliError::new(ExitStatus::Provider, format!("the variable {name} holds no key")).hint(
                    format!("export {name}=…, or name another variable with --api-key-env"),
                ),
            ),
        };
    }
    for name in KEY_VARIABLES {
        if let Some(key) = layers.variable(name)? {
            return Ok(Some((Secret::new(key), name.to_owned())));
        }
    }
    Ok(None)
}

/// Says where the key would come from, never the key.
pub(crate) fn describe_key(settings: &Settings, layers: &Layers) -> String {
    if let Some(path) = settings.path("run.api-key-file") {
        return format!("from the file {}", path.display());
    }
    let named = settings.text("run.api-key-env");
    let candidates: Vec<&str> = named.map_or_else(|| KEY_VARIABLES.to_vec(), |name| vec![name]);
    match candidates
        .iter()
        .find(|name| layers.variable(name).is_ok_and(|value| value.is_some()))
    {
        Some(name) => format!("from the environment variable {name}"),
        None => format!("(none: {} is not set)", candidates.join(" or ")),
    }
}

/// Hides the user part of an address, which may hold a password.
pub(crate) fn redact_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://[redacted]{}", &rest[at..]),
        None => url.to_owned(),
    }
}

/// Returns the sentence of an error with its causes.
pub(crate) fn chain(error: &LlmError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// Returns the name of a kind as it stands in result lines.
pub(crate) fn kind_name(kind: &ErrorKind) -> String {
    let name = match kind {
        ErrorKind::Auth => "auth",
        ErrorKind::BadRequest => "bad_request",
        ErrorKind::NotFound => "not_found",
        ErrorKind::ContextOverflow => "context_overflow",
        ErrorKind::QuotaExhausted => "quota_exhausted",
        ErrorKind::ContentFilter => "content_filter",
        ErrorKind::RateLimited => "rate_limited",
        ErrorKind::Overloaded => "overloaded",
        ErrorKind::Server => "server",
        ErrorKind::Timeout(clock) => return format!("timeout_{}", clock.as_str().replace(' ', "_")),
        ErrorKind::Connect => "connect",
        ErrorKind::Transport => "transport",
        ErrorKind::Protocol => "protocol",
        ErrorKind::Truncated => "truncated",
        ErrorKind::TooLarge(_) => "too_large",
        ErrorKind::Cancelled => "cancelled",
        _ => "other",
    };
    name.to_owned()
}

/// Returns what the user can do about a kind of error.
pub(crate) fn hint(kind: &ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::Auth => {
            "check the key: that of --api-key-file, --api-key-env, THRONG_API_KEY or OPENAI_API_KEY, in this order"
        }
        ErrorKind::NotFound => "check --model, and that --base-url ends with the API's version, such as /v1",
        ErrorKind::QuotaExhausted => "the account has no credit left; add some, then go on with --resume",
        ErrorKind::RateLimited => {
            "set --rpm, --itpm and --otpm to what the provider allows, or lower --max-concurrent"
        }
        ErrorKind::Overloaded => "lower --max-concurrent, or go on later with --resume",
        ErrorKind::ContextOverflow => "shorten the prompt, or choose a model with a larger context",
        ErrorKind::Connect => "check that the server runs and that --base-url names its host and port",
        ErrorKind::Timeout(_) => "raise --timeout, or lower --max-concurrent",
        ErrorKind::Protocol => {
            "check that --base-url names an OpenAI chat API, as a rule with /v1 at its end"
        }
        ErrorKind::Server | ErrorKind::Transport | ErrorKind::Truncated => "go on later with --resume",
        ErrorKind::BadRequest => "the provider refuses this request; its message says why",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_address_is_hidden() {
        assert_eq!(
            redact_url("http://user:pw@h:1/v1?a=b@c"),
            "http://[redacted]@h:1/v1?a=b@c"
        );
        assert_eq!(redact_url("http://h:1/v1?a=b@c"), "http://h:1/v1?a=b@c");
        assert_eq!(redact_url("no url"), "no url");
    }

    #[test]
    fn a_key_is_exposed_by_plain_http_to_another_machine_only() {
        let remote = |url: &str| Remote {
            base_url: url.to_owned(),
            model: "m".to_owned(),
            key: Some((Secret::new("sk-1"), "X".to_owned())),
            origin: None,
        };
        assert!(remote("http://example.org/v1").exposes_key());
        assert!(!remote("https://example.org/v1").exposes_key());
        assert!(!remote("http://127.0.0.1:8080/v1").exposes_key());
        assert!(!remote("http://localhost/v1").exposes_key());
    }
}
