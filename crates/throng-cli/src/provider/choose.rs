//! Decides which provider a command calls, and which ones it falls back to.
//!
//! A setting that a layer makes beside another provider than the chosen one belongs to that provider and is left out; a
//! profile stands in the layer that chooses it.

use throng_llm::{Dialect, Wire};

use super::keys::{self, find_key};
use super::named::Named;
use super::redact_url;
use super::remote::Remote;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::settings::{Layers, Origin, Profile, Settings, Value};

/// The model that simulated answers name, whatever model was asked for: nobody shall take them for that one's.
pub(crate) const SIM_MODEL: &str = "sim";

/// The provider as configured.
#[derive(Debug)]
pub(crate) enum Provider {
    /// A simulated server, started for the command.
    Sim {
        /// False if nothing was configured.
        chosen: bool,
        /// The model that was named in vain.
        unused_model: Option<String>,
        /// Nothing is started, because recorded answers are given.
        replayed: bool,
    },
    /// Servers elsewhere: the first is called, the others are what it falls back to, in order.
    Remote(Vec<Remote>),
}

/// What is meant where nothing names a provider.
#[derive(Clone, Copy, Debug)]
pub(super) enum NoProvider {
    /// An address alone is that of a server that speaks as OpenAI does.
    Openai,
}

/// A provider that was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// Its name.
    name: &'a str,
    /// What the name means.
    pub(super) named: Named<'a>,
    /// The rank of the layer that chose it.
    rank: u8,
}

impl<'a> Asked<'a> {
    /// Returns the provider that settings choose, if they do.
    pub(super) fn first(settings: &'a Settings) -> Result<Option<Self>, CliError> {
        match settings.get("run.provider") {
            Some((Value::Text(name), origin)) => Ok(Some(Self {
                name,
                named: Named::find(name, settings)?,
                rank: origin.rank(),
            })),
            _ => Ok(None),
        }
    }

    /// Returns what is meant where nothing names a provider.
    pub(super) fn nobody(meant: NoProvider) -> Self {
        let NoProvider::Openai = meant;
        Self {
            name: "openai",
            named: Dialect::find("openai").map_or(Named::Sim, Named::Known),
            rank: 0,
        }
    }

    /// Returns the profile, if it is one.
    pub(super) fn profile(&self) -> Option<&'a Profile> {
        match self.named {
            Named::Profile(profile) => Some(profile),
            _ => None,
        }
    }

    /// Returns a setting unless it belongs to another provider, or the profile, which was chosen in a higher layer, says
    /// the same.
    pub(super) fn setting(
        &self,
        settings: &'a Settings,
        key: &str,
        in_profile: bool,
    ) -> Option<(&'a Value, &'a Origin)> {
        let (value, origin) = settings.get(key)?;
        let beside = settings.provider_at(origin.rank());
        let same = |other: &str| {
            other == self.name
                || match (self.named, Dialect::find(other)) {
                    (Named::Known(dialect), Some(other)) => dialect == other,
                    _ => false,
                }
        };
        if beside.is_some_and(|other| !same(other)) || (in_profile && origin.rank() < self.rank) {
            return None;
        }
        Some((value, origin))
    }

    /// Returns a text, of a setting or of the profile, and what set it.
    fn text(&self, settings: &'a Settings, key: &str) -> Option<(&'a str, &'a Origin)> {
        let name = key.rsplit('.').next().unwrap_or(key);
        let profile = self.profile().filter(|profile| profile.has(name));
        match self.setting(settings, key, profile.is_some()) {
            Some((Value::Text(text), origin)) => Some((text, origin)),
            _ => profile.and_then(|profile| Some((profile.text(name)?, &profile.origin))),
        }
    }

    /// Describes the server. Without a key that it needs, and without a model where one is wanted, it cannot be called.
    fn remote(
        &self,
        settings: &Settings,
        layers: &Layers,
        model: Option<&str>,
        want: Want,
    ) -> Result<Remote, CliError> {
        let (dialect, wire) = self.named.server()?;
        let base = self.text(settings, "run.base-url");
        let usual = dialect.and_then(Dialect::base_url);
        let base_url = base.map(|(url, _)| url).or(usual).ok_or_else(|| {
            CliError::usage(format!("the provider {:?} has no address of its own", self.name)).hint(
                "name that of your server: --base-url URL, or `base-url` beside it in the configuration",
            )
        })?;
        let key = match want {
            Want::Replay => None,
            _ => find_key(self, settings, layers, dialect)?,
        };
        let needs_key = dialect.is_some_and(Dialect::needs_key) && (base.is_none() || usual.is_none());
        if key.is_none() && needs_key && want != Want::Replay {
            return Err(no_key(base_url, dialect));
        }
        let named = model.or_else(|| self.text(settings, "run.model").map(|(model, _)| model));
        let model = match (named, want) {
            (Some(model), _) => model,
            (None, Want::List) => "",
            (None, _) => {
                return Err(CliError::usage(format!("--provider {} needs a model", self.name))
                    .hint("name one that the server has: --model NAME, or THRONG_MODEL, or `model` in throng.toml")
                    .hint("`throng models` lists those that a provider offers"));
            }
        };
        Ok(Remote {
            name: self.name.to_owned(),
            dialect: dialect.filter(|dialect| dialect.name() != "openai" || base.is_none()),
            wire,
            base_url: base_url.to_owned(),
            model: model.to_owned(),
            key,
            origin: base.map(|(_, origin)| origin.clone()),
            headers: self
                .profile()
                .map_or_else(Vec::new, |profile| profile.headers.clone()),
        })
    }
}

/// What a provider is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// Calls of a model.
    Calls,
    /// Calls that are answered by recordings.
    Replay,
    /// The list of its models.
    List,
}

impl Provider {
    /// Decides on the provider.
    ///
    /// # Errors
    ///
    /// If settings contradict each other, or the model or the key is missing.
    pub(crate) fn choose(settings: &Settings, layers: &Layers) -> Result<Self, CliError> {
        let replayed = settings.path("run.replay").is_some();
        let want = if replayed { Want::Replay } else { Want::Calls };
        let asked = Asked::first(settings)?;
        let is_sim = asked.is_some_and(|asked| matches!(asked.named, Named::Sim));
        let base_url = match &asked {
            Some(asked) => asked.text(settings, "run.base-url").map(|(url, _)| url),
            None => settings.text("run.base-url"),
        };
        let model = settings.text("run.model").map(str::to_owned);
        let fallbacks = settings.list("run.fallback");
        match (asked, base_url) {
            (Some(_), Some(url)) if is_sim => Err(CliError::usage(format!(
                "--provider sim starts a server of its own and cannot go to {}",
                redact_url(url)
            ))
            .hint("a `throng sim` that runs already is reached with --provider openai --base-url URL --model sim")),
            (Some(_), None) if is_sim => Self::sim(true, model, replayed, fallbacks),
            (None, None) if !replayed || model.is_none() => Self::sim(false, model, replayed, fallbacks),
            (asked, _) => {
                let asked = asked.unwrap_or(Asked::nobody(NoProvider::Openai));
                let first = asked.remote(settings, layers, None, want)?;
                let mut remotes = vec![first];
                for text in fallbacks {
                    let next = fallback(text, settings, layers, &remotes, want)?;
                    remotes.push(next);
                }
                Ok(Self::Remote(remotes))
            }
        }
    }

    fn sim(
        chosen: bool,
        unused_model: Option<String>,
        replayed: bool,
        fallbacks: &[String],
    ) -> Result<Self, CliError> {
        match fallbacks.first() {
            None => Ok(Self::Sim {
                chosen,
                unused_model,
                replayed,
            }),
            Some(_) => Err(CliError::usage(
                "--fallback needs a provider to fall back from, and the simulated server is none",
            )
            .hint("name it: --provider NAME --model NAME, or --base-url URL")),
        }
    }

    /// Returns the model that is asked for.
    pub(crate) fn model(&self) -> &str {
        match self {
            Self::Sim { .. } => SIM_MODEL,
            Self::Remote(remotes) => remotes.first().map_or("", |remote| &remote.model),
        }
    }

    /// Returns the servers elsewhere.
    pub(crate) fn remotes(&self) -> &[Remote] {
        match self {
            Self::Sim { .. } => &[],
            Self::Remote(remotes) => remotes,
        }
    }

    /// Returns the names of the providers to fall back to.
    pub(crate) fn fallbacks(&self) -> Vec<String> {
        let rest = self.remotes().iter().skip(1);
        rest.map(|remote| format!("{}/{}", remote.name, remote.model))
            .collect()
    }

    /// Returns the first line that a command says on standard error.
    pub(crate) fn notice(&self) -> Option<&'static str> {
        match self {
            Self::Sim { replayed: true, .. } => None,
            Self::Sim { chosen: false, .. } => Some(
                "no provider is configured, so a simulated model server answers on this machine: its answers are \
                 made up (for a real one: --provider openai --model NAME, or --base-url URL)",
            ),
            Self::Sim { chosen: true, .. } => {
                Some("a simulated model server answers on this machine: its answers are made up")
            }
            Self::Remote(_) => None,
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

    /// Returns what may be shown of the address that calls go to: of several, the last.
    pub(crate) fn shown_url(&self) -> String {
        self.remotes().last().map_or_else(
            || "the simulated server".to_owned(),
            |remote| redact_url(&remote.base_url),
        )
    }
}

/// Returns the provider whose models are to be listed.
///
/// # Errors
///
/// If none is configured, or it cannot be used.
pub(crate) fn listed(settings: &Settings, layers: &Layers) -> Result<Remote, CliError> {
    let asked = match Asked::first(settings)? {
        None if settings.text("run.base-url").is_some() => Some(Asked::nobody(NoProvider::Openai)),
        asked => asked,
    };
    match asked {
        Some(asked) if !matches!(asked.named, Named::Sim) => asked.remote(settings, layers, None, Want::List),
        Some(_) => Err(
            CliError::usage("the simulated server of a run has no list of models")
                .hint("list those of a `throng sim` that runs: --base-url URL"),
        ),
        None => Err(CliError::usage("there is no provider to ask for its models")
            .hint("name one: --provider anthropic, say, or --base-url URL")),
    }
}

/// Reads a `--fallback`: PROVIDER or PROVIDER/MODEL.
fn fallback(
    text: &str,
    settings: &Settings,
    layers: &Layers,
    before: &[Remote],
    want: Want,
) -> Result<Remote, CliError> {
    let (name, model) = match (Named::look_up(text, settings), text.split_once('/')) {
        (None, Some((name, model))) => (name, Some(model).filter(|model| !model.is_empty())),
        _ => (text, None),
    };
    let named = Named::find(name, settings).map_err(|error| {
        error.hint("write --fallback PROVIDER/MODEL, or --fallback PROFILE for a profile with a model")
    })?;
    if matches!(named, Named::Sim) {
        return Err(
            CliError::usage("--fallback cannot be the simulated server: its answers are made up")
                .hint("name a provider that answers"),
        );
    }
    let (dialect, wire) = named.server()?;
    let profile = match named {
        Named::Profile(profile) => Some(profile),
        _ => None,
    };
    let own = |name| profile.and_then(|profile| profile.text(name));
    let same = before.iter().find(|remote| remote.name == name);
    let usual = dialect.and_then(Dialect::base_url);
    // A further model of the same provider is at the same address.
    let base_url = own("base-url")
        .or(same.map(|remote| remote.base_url.as_str()))
        .or(usual)
        .ok_or_else(|| {
            CliError::usage(format!(
                "the provider {name:?} of --fallback has no address of its own"
            ))
            .hint(format!(
                "give it a profile: [profiles.NAME] with provider = {name:?} and base-url"
            ))
        })?;
    let model = model.or(own("model")).ok_or_else(|| {
        CliError::usage(format!("--fallback {text} needs a model"))
            .hint(format!("write --fallback {name}/MODEL"))
    })?;
    // What --api-key-file, --api-key-env and THRONG_API_KEY hold is for the first provider alone.
    let mut key = None;
    if want != Want::Replay {
        key = match profile {
            Some(profile) => keys::of_profile(profile, layers)?,
            None => None,
        };
        if key.is_none() {
            key = match same {
                Some(remote) => remote.key.clone(),
                None => keys::usual(dialect, layers)?,
            };
        }
        let is_known_address = usual == Some(base_url);
        if key.is_none() && is_known_address && dialect.is_some_and(Dialect::needs_key) {
            return Err(no_key(base_url, dialect));
        }
    }
    let is_usual = usual == Some(base_url);
    Ok(Remote {
        name: name.to_owned(),
        dialect: dialect.filter(|dialect| dialect.name() != "openai" || is_usual),
        wire,
        base_url: base_url.to_owned(),
        model: model.to_owned(),
        key,
        origin: profile
            .filter(|profile| profile.has("base-url"))
            .map(|profile| profile.origin.clone()),
        headers: profile.map_or_else(Vec::new, |profile| profile.headers.clone()),
    })
}

fn no_key(base_url: &str, dialect: Option<&'static Dialect>) -> CliError {
    let usual = dialect.map_or(&[][..], Dialect::key_variables);
    let names: Vec<&str> = usual.iter().copied().chain(["THRONG_API_KEY"]).collect();
    CliError::new(
        ExitStatus::Provider,
        format!("there is no key for {}", redact_url(base_url)),
    )
    .hint(format!("set {}, or use --api-key-file FILE", names.join(" or ")))
    .hint("a server that needs no key is named with --base-url URL")
}

/// Returns the name of a wire's inventor, for reports.
pub(super) const fn inventor(wire: Wire) -> &'static str {
    match wire {
        Wire::Anthropic => "anthropic",
        Wire::Gemini => "gemini",
        Wire::Ollama => "ollama",
        _ => "openai",
    }
}
