//! Providers of the user's own: the tables `[profiles.NAME]` of a configuration file.

use std::path::Path;

use super::kind::{Kind, Value};
use super::layers::Origin;

/// The keys of a profile. Those that `[run]` has as well mean the same.
pub(crate) const PROFILE_KEYS: [(&str, Kind, &str); 6] = [
    (
        "provider",
        Kind::Text,
        "Which known server it is, or speaks like: its wire, its address and its usual variables are the default",
    ),
    (
        "wire",
        Kind::Choice(&["openai-chat", "openai-responses", "anthropic", "gemini", "ollama"]),
        "How it is spoken to, where no known server is like it",
    ),
    ("base-url", Kind::Url, "Address of the API"),
    ("model", Kind::Text, "Model to ask for"),
    (
        "api-key-env",
        Kind::Text,
        "Name of the environment variable that holds the key; a project file may set it only if `--config` names it",
    ),
    (
        "api-key-file",
        Kind::Path,
        "File that holds the key; a project file may set it only if `--config` names it",
    ),
];

/// A provider of the user's own.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// Its name.
    pub(crate) name: String,
    /// Where it is defined.
    pub(crate) origin: Origin,
    /// What it says.
    pub(crate) values: Vec<(&'static str, Value)>,
    /// Headers that each request gets.
    pub(crate) headers: Vec<(String, String)>,
}

impl Profile {
    /// Returns a value.
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.values
            .iter()
            .find_map(|(name, value)| (*name == key).then_some(value))
    }

    /// Returns true if it says something of a key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Returns a text.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.value(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Returns a path.
    pub(crate) fn path(&self, key: &str) -> Option<&Path> {
        match self.value(key) {
            Some(Value::Path(path)) => Some(path),
            _ => None,
        }
    }
}
