//! What a provider's name means: the simulated server, a server that is known, or a profile of the configuration.

use throng_llm::{Dialect, Wire};

use crate::error::CliError;
use crate::settings::{Profile, Settings};
use crate::suggest;

/// What a provider's name means.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Named<'a> {
    /// The simulated server.
    Sim,
    /// A server that is known.
    Known(&'static Dialect),
    /// A profile of the configuration.
    Profile(&'a Profile),
}

impl<'a> Named<'a> {
    /// Looks a name up.
    ///
    /// # Errors
    ///
    /// If nobody knows it; the nearest name is in the hint. Or if a profile names a provider that nobody knows.
    pub(crate) fn find(name: &str, settings: &'a Settings) -> Result<Self, CliError> {
        Self::look_up(name, settings).ok_or_else(|| unknown(name, settings))
    }

    /// Looks a name up; `None` if nobody knows it.
    pub(crate) fn look_up(name: &str, settings: &'a Settings) -> Option<Self> {
        if name == "sim" {
            return Some(Self::Sim);
        }
        if let Some(profile) = settings.profiles.get(name) {
            return Some(Self::Profile(profile));
        }
        Dialect::find(name).map(Self::Known)
    }

    /// Returns the server that is meant, if it is a known one, and the wire that it speaks.
    ///
    /// # Errors
    ///
    /// If a profile names a provider that nobody knows.
    pub(crate) fn server(self) -> Result<(Option<&'static Dialect>, Wire), CliError> {
        match self {
            Self::Sim => Ok((None, Wire::OpenAiChat)),
            Self::Known(dialect) => Ok((Some(dialect), dialect.wire())),
            Self::Profile(profile) => {
                let dialect = match profile.text("provider") {
                    None => None,
                    Some(name) => Some(Dialect::find(name).ok_or_else(|| {
                        hinted(
                            CliError::usage(format!(
                                "{} sets the provider {name:?} for the profile {:?}, and there is no such provider",
                                profile.origin, profile.name
                            )),
                            name,
                            &Dialect::all().iter().map(Dialect::name).collect::<Vec<_>>(),
                        )
                    })?),
                };
                let wire = profile.text("wire").and_then(Wire::from_name);
                match (dialect, wire) {
                    (None, None) => Err(CliError::usage(format!(
                        "the profile {:?} says neither `provider` nor `wire` ({})",
                        profile.name, profile.origin
                    ))
                    .hint("add provider = \"anthropic\", say, or wire = \"openai-chat\" and a base-url")),
                    (dialect, wire) => {
                        let wire = wire.or(dialect.map(Dialect::wire)).unwrap_or(Wire::OpenAiChat);
                        // Another wire than the server's usual one is not what is known of it.
                        Ok((dialect.filter(|dialect| dialect.wire() == wire), wire))
                    }
                }
            }
        }
    }
}

fn unknown(name: &str, settings: &Settings) -> CliError {
    let error = CliError::usage(format!("there is no provider {name:?}"));
    if settings.setting_profiles.iter().any(|profile| profile == name) {
        return error.hint(format!(
            "[profile.{name}] is a group of settings, for --profile {name}; a provider of your own is [profiles.{name}]"
        ));
    }
    let mut known: Vec<&str> = vec!["sim"];
    known.extend(settings.profiles.keys().map(String::as_str));
    known.extend(Dialect::all().iter().map(|dialect| dialect.name()));
    hinted(error, name, &known).hint(format!(
        "one of your own is a table in throng.toml: [profiles.{}]",
        if name.contains(['.', '/', ' ']) {
            "NAME"
        } else {
            name
        }
    ))
}

fn hinted(error: CliError, name: &str, known: &[&str]) -> CliError {
    let error = match suggest::nearest(name, known.iter().map(|known| (*known, *known))) {
        Some(nearest) => error.hint(format!("did you mean {nearest:?}?")),
        None => error,
    };
    error.hint(format!("the providers are {}", known.join(", ")))
}
