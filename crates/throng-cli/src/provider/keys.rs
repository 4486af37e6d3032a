//! Where the key of a provider comes from. A key that belongs to one provider is never taken for another.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use throng_llm::{Dialect, Secret};

use super::choose::{Asked, NoProvider};
use super::named::Named;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::settings::{Layers, Origin, Profile, Settings, Value, is_variable_name};

/// The variable whose key goes to whatever provider is chosen.
const ANY_KEY: &str = "THRONG_API_KEY";

/// A file of more bytes than this holds no key.
const MAX_KEY_BYTES: u64 = 16 << 10;

/// A key and where it came from.
pub(crate) type Key = (Secret, String);

/// Returns the key of the chosen provider: of `--api-key-file`, `--api-key-env`, the profile, `THRONG_API_KEY` or the
/// server's usual variable, whichever comes first.
pub(super) fn find_key(
    asked: &Asked<'_>,
    settings: &Settings,
    layers: &Layers,
    dialect: Option<&'static Dialect>,
) -> Result<Option<Key>, CliError> {
    if let Some(key) = of_settings(asked, settings, layers)? {
        return Ok(Some(key));
    }
    if let Some(profile) = asked.profile()
        && let Some(key) = of_profile(profile, layers)?
    {
        return Ok(Some(key));
    }
    if let Some(key) = layers.variable(ANY_KEY)? {
        return Ok(Some((Secret::new(key), ANY_KEY.to_owned())));
    }
    usual(dialect, layers)
}

/// Returns the key that a profile names.
pub(super) fn of_profile(profile: &Profile, layers: &Layers) -> Result<Option<Key>, CliError> {
    let (file, variable) = (profile.path("api-key-file"), profile.text("api-key-env"));
    if file.is_none() && variable.is_none() {
        return Ok(None);
    }
    if let Origin::Project(path, ..) = &profile.origin {
        return Err(CliError::usage(format!(
            "the profile {:?} ({}) names a key, and a project file that was found by itself may not say which key is sent",
            profile.name, profile.origin
        ))
        .hint("define the profile in your own configuration file, or leave the key to --api-key-env or the usual variable")
        .hint(format!("or, if you trust the file: --config {}", path.display())));
    }
    match (file, variable) {
        (Some(path), _) => read_key(path).map(Some),
        (None, Some(name)) if !is_variable_name(name) => Err(CliError::usage(format!(
            "`api-key-env` of the profile {:?} must be the name of a variable, and what is there is not",
            profile.name
        ))
        .hint("export the key as a variable and name that")),
        (None, Some(name)) => variable_key(name, layers).map(Some),
        (None, None) => Ok(None),
    }
}

/// Returns the key in the usual variable of a server.
pub(super) fn usual(dialect: Option<&'static Dialect>, layers: &Layers) -> Result<Option<Key>, CliError> {
    for name in dialect.map_or(&[][..], Dialect::key_variables) {
        if let Some(key) = layers.variable(name)? {
            return Ok(Some((Secret::new(key), (*name).to_owned())));
        }
    }
    Ok(None)
}

fn of_settings(asked: &Asked<'_>, settings: &Settings, layers: &Layers) -> Result<Option<Key>, CliError> {
    let in_profile = asked
        .profile()
        .is_some_and(|profile| profile.has("api-key-file") || profile.has("api-key-env"));
    let get = |key| asked.setting(settings, key, in_profile).map(|(value, _)| value);
    match (get("run.api-key-file"), get("run.api-key-env")) {
        (Some(Value::Path(path)), _) => read_key(path).map(Some),
        (_, Some(Value::Text(name))) => variable_key(name, layers).map(Some),
        _ => Ok(None),
    }
}

fn variable_key(name: &str, layers: &Layers) -> Result<Key, CliError> {
    match layers.variable(name)? {
        Some(key) => Ok((Secret::new(key), name.to_owned())),
        None => Err(
            CliError::new(ExitStatus::Provider, format!("the variable {name} holds no key")).hint(format!(
                "export {name}=…, or name another variable with --api-key-env"
            )),
        ),
    }
}

fn read_key(path: &Path) -> Result<Key, CliError> {
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
    Ok((Secret::new(text), path.display().to_string()))
}

/// Says where the key would come from, never the key.
pub(crate) fn describe_key(settings: &Settings, layers: &Layers) -> String {
    // A provider that nobody knows is an error of the commands that call it.
    let asked = Asked::first(settings).ok().flatten();
    let asked = asked.unwrap_or(Asked::nobody(NoProvider::Openai));
    let in_profile = asked
        .profile()
        .filter(|profile| profile.has("api-key-file") || profile.has("api-key-env"));
    let get = |key| {
        asked
            .setting(settings, key, in_profile.is_some())
            .map(|(value, _)| value)
    };
    let own = |name: &str| in_profile.and_then(|profile| profile.value(name));
    if let Some(Value::Path(path)) = get("run.api-key-file").or_else(|| own("api-key-file")) {
        return format!("from the file {}", path.display());
    }
    let named = get("run.api-key-env").or_else(|| own("api-key-env"));
    let candidates: Vec<&str> = match named {
        Some(Value::Text(name)) => vec![name],
        _ => {
            let dialect = asked.named.server().ok().and_then(|(dialect, _)| dialect);
            let usual = dialect.map_or(&[][..], Dialect::key_variables);
            std::iter::once(ANY_KEY).chain(usual.iter().copied()).collect()
        }
    };
    match candidates
        .iter()
        .find(|name| layers.variable(name).is_ok_and(|value| value.is_some()))
    {
        Some(name) => format!("from the environment variable {name}"),
        None if matches!(asked.named, Named::Sim) => "(none: the simulated server needs no key)".to_owned(),
        None if candidates.len() > 1 => format!("(none: neither {} is set)", candidates.join(" nor ")),
        None => format!("(none: {} is not set)", candidates.join(", ")),
    }
}
