//! Which provider is called, and with which key.

use std::fs;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use throng_llm::{HttpClient, LlmClient, Secret, Timeouts, Wire};

use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::settings::{Layers, Origin, Settings};

/// The address of `--provider openai` where nothing sets it.
pub(crate) const OPENAI_URL: &str = "https://api.openai.com/v1";

/// The variables that hold a key, in the order in which they are tried.
pub(crate) const KEY_VARIABLES: [&str; 2] = ["THRONG_API_KEY", "OPENAI_API_KEY"];

/// The model that simulated answers name, whatever model was asked for: nobody shall take them for that one's.
pub(crate) const SIM_MODEL: &str = "sim";

/// A file of more bytes than this holds no key.
const MAX_KEY_BYTES: u64 = 16 << 10;

/// The provider as configured.
#[derive(Debug)]
pub(crate) enum Provider {
    /// A simulated server, started for the command.
    Sim {
        /// False if nothing was configured.
        chosen: bool,
        /// The model that was named in vain.
        unused_model: Option<String>,
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
            (Some("sim"), None) => Ok(Self::Sim { chosen: true, unused_model: model }),
            (None, None) => Ok(Self::Sim { chosen: false, unused_model: model }),
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
            Self::Sim { .. } => SIM_MODEL,
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

    /// Returns what is to be said of a model that was named and is not asked for.
    pub(crate) fn unused_model(&self) -> Option<String> {
        match self {
            Self::Sim {
                unused_model: Some(model),
                ..
            } if model != SIM_MODEL => Some(format!(
                "the model {model:?} is not asked for, because no provider is; the results name the model \"{SIM_MODEL}\""
            )),
            _ => None,
        }
    }

    /// Returns true if the answers are made up.
    pub(crate) const fn is_simulated(&self) -> bool {
        matches!(self, Self::Sim { .. })
    }

    /// Returns what may be shown of the address that calls go to.
    pub(crate) fn shown_url(&self) -> String {
        match self {
            Self::Sim { .. } => "the simulated server".to_owned(),
            Self::OpenAi(remote) => redact_url(&remote.base_url),
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
        let mut builder = HttpClient::builder(Wire::OpenAiChat)
            .base_url(&self.base_url)
            .timeouts(timeouts);
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
        None if candidates.len() > 1 => format!("(none: neither {} is set)", candidates.join(" nor ")),
        None => format!("(none: {} is not set)", candidates.join(", ")),
    }
}

/// Hides what may be secret in an address: its user part and the values of its query.
pub(crate) fn redact_url(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let (user, host) = match authority.rsplit_once('@') {
        Some((_, host)) => ("[redacted]@", host),
        None => ("", authority),
    };
    let (path, query) = match rest.split_once(['?', '#']) {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    let query = query.map_or_else(String::new, |query| {
        let shown: Vec<String> = query
            .split(['&', ';', '#'])
            .map(|part| match part.split_once('=') {
                Some((name, _)) => format!("{name}=…"),
                None => "…".to_owned(),
            })
            .collect();
        format!("?{}", shown.join("&"))
    });
    format!("{scheme}{user}{host}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_an_address_are_hidden() {
        assert_eq!(
            redact_url("http://user:pw@h:1/v1?a=b@c"),
            "http://[redacted]@h:1/v1?a=…"
        );
        assert_eq!(
            redact_url("http://h:1/v1?key=s=1&x&b=c#d"),
            "http://h:1/v1?key=…&…&b=…&…"
        );
        assert_eq!(redact_url("http://h:1?key=secret"), "http://h:1?key=…");
        assert_eq!(redact_url("user:pw@h/v1"), "[redacted]@h/v1");
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
