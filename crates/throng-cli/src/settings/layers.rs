//! The layers that settings come from, and which wins: flag > environment > `--config` or project file > the
//! user's file > default. A profile beats the plain settings of every file.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use throng_llm::Cost;

use super::file::ConfigFile;
use super::kind::{Kind, Value};
use super::profile::Profile;
use super::table::{SETTINGS, Setting};
use crate::error::CliError;
use crate::provider::redact_url;
use crate::suggest;

/// The name of the project's configuration file.
pub(crate) const PROJECT_FILE: &str = "throng.toml";

/// Variables that start with `THRONG_` and are not the variable of a setting.
pub(crate) const OTHER_VARIABLES: [(&str, &str); 3] = [
    (
        "THRONG_API_KEY",
        "Key of the provider. Wins over the provider's usual variable; not that of a `--fallback`.",
    ),
    (
        "THRONG_CONFIG",
        "Configuration file to read in place of the project's, as `--config`.",
    ),
    ("THRONG_PROFILE", "Profile to use, as `--profile`."),
];

/// Where settings may come from, besides flags.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    /// The environment.
    pub(crate) env: HashMap<OsString, OsString>,
    /// The folder from which `throng.toml` is searched upward.
    pub(crate) folder: PathBuf,
    /// The user's own file; it need not exist.
    pub(crate) user_file: Option<PathBuf>,
    /// Where answers are kept that can be asked for again; it need not exist.
    pub(crate) cache_folder: Option<PathBuf>,
    /// Where runs are recorded if nothing else is said; it need not exist.
    pub(crate) store_file: Option<PathBuf>,
    /// `--config`.
    pub(crate) config: Option<PathBuf>,
    /// `--no-config`.
    pub(crate) no_config: bool,
    /// `--profile`.
    pub(crate) profile: Option<String>,
}

/// What set a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nothing: the built-in default, or unset.
    Default,
    /// The user's file.
    User(PathBuf, usize, Option<String>),
    /// The project's file, found above the current folder.
    Project(PathBuf, usize, Option<String>),
    /// The file that `--config` names.
    Config(PathBuf, usize, Option<String>),
    /// A variable of the environment.
    Env(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (layer, path, line, profile) = match self {
            Self::Default => return f.pad("default"),
            Self::Env(name) => return write!(f, "environment {name}"),
            Self::Flag(name) => return write!(f, "flag {name}"),
            Self::User(path, line, profile) => ("user", path, line, profile),
            Self::Project(path, line, profile) => ("project", path, line, profile),
            Self::Config(path, line, profile) => ("--config", path, line, profile),
        };
        write!(f, "{layer} {}:{line}", path.display())?;
        match profile {
            Some(profile) => write!(f, " (profile {profile})"),
            None => Ok(()),
        }
    }
}

impl Origin {
    /// Returns how high the layer is: a higher one wins.
    pub(crate) const fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::User(_, _, None) => 1,
            Self::Project(_, _, None) | Self::Config(_, _, None) => 2,
            Self::User(_, _, Some(_)) => 3,
            Self::Project(_, _, Some(_)) | Self::Config(_, _, Some(_)) => 4,
            Self::Env(_) => 5,
            Self::Flag(_) => 6,
        }
    }
}

/// Every setting with its value and what set it.
#[derive(Debug)]
pub(crate) struct Settings {
    values: HashMap<&'static str, (Value, Origin)>,
    /// The provider that each layer names, the lowest first.
    providers: Vec<(u8, String)>,
    /// The providers of the user's own, by name.
    pub(crate) profiles: BTreeMap<String, Profile>,
    /// The names of the groups of settings, for `--profile`.
    pub(crate) setting_profiles: Vec<String>,
    /// What is odd in the layers but no error.
    pub(crate) warnings: Vec<String>,
}

impl Layers {
    /// Returns the layers of this process.
    pub(crate) fn of_process() -> Self {
        use etcetera::BaseStrategy as _;
        let base = etcetera::choose_base_strategy().ok();
        let user_file = base
            .as_ref()
            .map(|base| base.config_dir().join("throng").join("config.toml"));
        let store_file = base
            .as_ref()
            .map(|base| base.data_dir().join("throng").join("throng.db"));
        let cache_folder = base.map(|base| base.cache_dir().join("throng").join("answers"));
        Self {
            env: std::env::vars_os().collect(),
            folder: std::env::current_dir().unwrap_or_default(),
            user_file,
            cache_folder,
            store_file,
            ..Self::default()
        }
    }

    /// Returns a variable of the environment; an empty one counts as absent.
    ///
    /// # Errors
    ///
    /// If the variable is not UTF-8.
    pub(crate) fn variable(&self, name: &str) -> Result<Option<&str>, CliError> {
        match self.env.get(std::ffi::OsStr::new(name)) {
            None => Ok(None),
            Some(value) if value.is_empty() => Ok(None),
            Some(value) => match value.to_str() {
                Some(text) => Ok(Some(text)),
                None => Err(CliError::usage(format!(
                    "the environment variable {name} is not valid UTF-8"
                ))),
            },
        }
    }

    /// Reads every layer and decides each setting.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or a value is not allowed.
    pub(crate) fn resolve(&self, flags: Vec<(&'static Setting, Value)>) -> Result<Settings, CliError> {
        let mut settings = Settings {
            values: HashMap::new(),
            providers: Vec::new(),
            profiles: BTreeMap::new(),
            setting_profiles: Vec::new(),
            warnings: Vec::new(),
        };
        for setting in SETTINGS {
            if let Some(Ok(value)) = setting.default.map(|default| setting.kind.parse(default)) {
                settings.set(setting, value, Origin::Default);
            }
        }
        self.read_files(&mut settings)?;
        self.read_environment(&mut settings)?;
        for (setting, value) in flags {
            settings.set(setting, value, Origin::Flag(setting.flag()));
        }
        settings.check_trust()?;
        settings.check_secrets()?;
        Ok(settings)
    }

    fn read_files(&self, settings: &mut Settings) -> Result<(), CliError> {
        if self.no_config {
            return Ok(());
        }
        type MakeOrigin = fn(PathBuf, usize, Option<String>) -> Origin;
        let mut files: Vec<(PathBuf, ConfigFile, MakeOrigin)> = Vec::new();
        if let Some(path) = self.user_file.as_ref().filter(|path| path.is_file()) {
            files.push((path.clone(), ConfigFile::read(path)?, Origin::User));
        }
        let named = match &self.config {
            Some(path) => Some(path.clone()),
            None => self.variable("THRONG_CONFIG")?.map(PathBuf::from),
        };
        if let Some(path) = named {
            let file = ConfigFile::read(&path)?;
            files.push((path, file, Origin::Config));
        } else if let Some(path) = find_upward(&self.folder, PROJECT_FILE) {
            let file = ConfigFile::read(&path)?;
            files.push((path, file, Origin::Project));
        }
        let profile = match &self.profile {
            Some(name) => Some(name.as_str()),
            None => self.variable("THRONG_PROFILE")?,
        };
        if let Some(name) = profile {
            let own = files.iter().flat_map(|(_, file, _)| &file.providers);
            let is_provider = own.into_iter().any(|provider| provider.name == name);
            check_profile(
                name,
                files.iter().flat_map(|(_, file, _)| &file.profiles),
                is_provider,
            )?;
        }
        for layer in [None, profile] {
            for (path, file, origin) in &files {
                for entry in file
                    .entries
                    .iter()
                    .filter(|entry| entry.profile.as_deref() == layer)
                {
                    let origin = origin(path.clone(), entry.line, entry.profile.clone());
                    settings.set(entry.setting, entry.value.clone(), origin);
                }
            }
        }
        for (path, file, origin) in &files {
            settings.setting_profiles.extend(file.profiles.iter().cloned());
            for provider in &file.providers {
                let profile = Profile {
                    name: provider.name.clone(),
                    origin: origin(path.clone(), provider.line, None),
                    values: provider.values.clone(),
                    headers: provider.headers.clone(),
                };
                // That of the higher layer replaces the other: half of each would be a server that nobody meant.
                settings.profiles.insert(provider.name.clone(), profile);
            }
        }
        settings
            .warnings
            .extend(files.into_iter().flat_map(|(_, file, _)| file.warnings));
        Ok(())
    }

    fn read_environment(&self, settings: &mut Settings) -> Result<(), CliError> {
        for setting in SETTINGS {
            let name = setting.env();
            if let Some(text) = self.variable(&name)? {
                let value = setting.kind.parse(text).map_err(|allowed| {
                    let shown = match setting.kind {
                        Kind::Url => redact_url(text),
                        _ => text.to_owned(),
                    };
                    CliError::usage(format!(
                        "the environment variable {name} must be {allowed}, but is {shown:?}"
                    ))
                    .hint(format!(
                        "unset {name} to use the configuration file or the default"
                    ))
                })?;
                settings.set(setting, value, Origin::Env(name));
            }
        }
        let mut names: Vec<String> = SETTINGS.iter().map(Setting::env).collect();
        names.extend(OTHER_VARIABLES.iter().map(|(name, _)| (*name).to_owned()));
        let mut unknown: Vec<&str> = self
            .env
            .keys()
            .filter_map(|name| name.to_str())
            .filter(|name| name.starts_with("THRONG_") && !names.iter().any(|known| known == name))
            .collect();
        unknown.sort_unstable();
        for name in unknown {
            // Only near misses are reported: other programs of a user may have `THRONG_` variables of their own.
            if let Some(nearest) = suggest::nearest(name, names.iter().map(|known| (known.as_str(), known))) {
                settings.warnings.push(format!(
                    "unknown environment variable {name} is ignored; did you mean {nearest}?"
                ));
            }
        }
        Ok(())
    }
}

impl Settings {
    fn set(&mut self, setting: &'static Setting, value: Value, origin: Origin) {
        if let (Value::Text(name), "run.provider") = (&value, setting.key) {
            self.providers.push((origin.rank(), name.clone()));
        }
        self.values.insert(setting.key, (value, origin));
    }

    /// Returns the provider that is chosen by the layers up to a rank.
    pub(crate) fn provider_at(&self, rank: u8) -> Option<&str> {
        let mut below = self.providers.iter().filter(|(at, _)| *at <= rank);
        below.next_back().map(|(_, name)| name.as_str())
    }

    /// Refuses a key that a project file picks which nobody named: a checkout of somebody else's must not be able to
    /// send any variable or file of the user to the server that it names.
    fn check_trust(&self) -> Result<(), CliError> {
        for key in ["run.api-key-env", "run.api-key-file"] {
            let Some((_, origin @ Origin::Project(path, ..))) = self.get(key) else {
                continue;
            };
            return Err(CliError::usage(format!(
                "{origin} sets {key}, and a project file that was found by itself may not say which key is sent"
            ))
            .hint("set it in your own configuration file, by its flag or by its variable")
            .hint(format!("or, if you trust the file: --config {}", path.display())));
        }
        Ok(())
    }

    /// Refuses values that are secrets in the wrong place, without showing them.
    fn check_secrets(&self) -> Result<(), CliError> {
        let Some((Value::Text(name), origin)) = self.get("run.api-key-env") else {
            return Ok(());
        };
        if is_variable_name(name) {
            return Ok(());
        }
        let flag = match origin {
            Origin::Flag(_) => String::new(),
            other => format!(" (set by {other})"),
        };
        Err(CliError::usage(format!(
            "--api-key-env must be the name of a variable, and what was given is not{flag}"
        ))
        .hint("export the key as a variable and name that: --api-key-env MY_KEY; or use --api-key-file FILE"))
    }

    /// Returns a setting's value and what set it.
    pub(crate) fn get(&self, key: &str) -> Option<(&Value, &Origin)> {
        debug_assert!(
            SETTINGS.iter().any(|setting| setting.key == key),
            "{key} is no setting"
        );
        self.values.get(key).map(|(value, origin)| (value, origin))
    }

    /// Returns a whole number.
    pub(crate) fn count(&self, key: &str) -> Option<u64> {
        match self.get(key) {
            Some((Value::Count(n), _)) => Some(*n),
            _ => None,
        }
    }

    /// Returns a number.
    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        match self.get(key) {
            Some((Value::Number(n), _)) => Some(*n),
            _ => None,
        }
    }

    /// Returns a length of time.
    pub(crate) fn duration(&self, key: &str) -> Option<Duration> {
        match self.get(key) {
            Some((Value::Duration(time), _)) => Some(*time),
            _ => None,
        }
    }

    /// Returns a text.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some((Value::Text(text), _)) => Some(text),
            _ => None,
        }
    }

    /// Returns a path.
    pub(crate) fn path(&self, key: &str) -> Option<&Path> {
        match self.get(key) {
            Some((Value::Path(path), _)) => Some(path),
            _ => None,
        }
    }

    /// Returns texts.
    pub(crate) fn list(&self, key: &str) -> &[String] {
        match self.get(key) {
            Some((Value::List(items), _)) => items,
            _ => &[],
        }
    }

    /// Returns a sum of dollars.
    pub(crate) fn cost(&self, key: &str) -> Option<Cost> {
        match self.get(key) {
            Some((Value::Cost(cost), _)) => Some(*cost),
            _ => None,
        }
    }

    /// Returns a switch; one that nothing sets is off.
    pub(crate) fn switch(&self, key: &str) -> bool {
        matches!(self.get(key), Some((Value::Switch(true), _)))
    }
}

/// Returns true if a text looks like the name of an environment variable, and not like what one holds.
pub(crate) fn is_variable_name(text: &str) -> bool {
    const LONGEST: usize = 64;
    let mut bytes = text.bytes();
    text.len() <= LONGEST
        && bytes
            .next()
            .is_some_and(|first| first == b'_' || first.is_ascii_alphabetic())
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

fn check_profile<'a>(
    name: &str,
    defined: impl Iterator<Item = &'a String>,
    is_provider: bool,
) -> Result<(), CliError> {
    let mut defined: Vec<&str> = defined.map(String::as_str).collect();
    defined.sort_unstable();
    defined.dedup();
    if defined.contains(&name) {
        return Ok(());
    }
    let error = CliError::usage(format!("no configuration file defines the profile {name:?}"));
    if is_provider {
        return Err(error.hint(format!(
            "[profiles.{name}] is a provider, for --provider {name}; --profile takes a group of settings, [profile.NAME]"
        )));
    }
    Err(
        match suggest::nearest(name, defined.iter().map(|known| (*known, *known))) {
            Some(nearest) => error.hint(format!("did you mean {nearest:?}?")),
            None if defined.is_empty() => {
                error.hint(format!("add a table [profile.{name}] to {PROJECT_FILE}"))
            }
            None => error.hint(format!("the profiles are {}", defined.join(", "))),
        },
    )
}

fn find_upward(folder: &Path, name: &str) -> Option<PathBuf> {
    folder
        .ancestors()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
