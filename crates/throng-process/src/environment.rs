//! The environment variables that a child gets. The one place of the libraries that looks at those of this process: to
//! hand them on, and to look a program up where the system would.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

/// The environment variables that a child gets. `Debug` shows their names only: values may be secrets.
#[derive(Clone, Default)]
#[must_use]
pub struct Environment {
    base: Base,
    /// `None` takes a variable away.
    changes: BTreeMap<OsString, Option<OsString>>,
}

#[derive(Clone, Debug, Default)]
enum Base {
    #[default]
    Inherit,
    Only(Vec<OsString>),
}

impl Environment {
    /// Hands on all variables of this process. This is the default.
    pub fn inherit() -> Self {
        Self::default()
    }

    /// Hands on no variable.
    pub fn empty() -> Self {
        Self::only::<OsString>([])
    }

    /// Hands on the variables of these names, as far as this process has them, and no others.
    pub fn only<N: Into<OsString>>(names: impl IntoIterator<Item = N>) -> Self {
        Self {
            base: Base::Only(names.into_iter().map(Into::into).collect()),
            changes: BTreeMap::new(),
        }
    }

    /// Sets a variable.
    pub fn set(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.changes.insert(name.into(), Some(value.into()));
        self
    }

    /// Takes a variable away.
    pub fn remove(mut self, name: impl Into<OsString>) -> Self {
        self.changes.insert(name.into(), None);
        self
    }

    /// Returns the value that a child sees.
    pub(crate) fn get(&self, name: &str) -> Option<OsString> {
        if let Some(change) = self.changes.get(OsStr::new(name)) {
            return change.clone();
        }
        match &self.base {
            Base::Only(names) if !names.iter().any(|only| only == name) => None,
            _ => std::env::var_os(name),
        }
    }

    /// Returns the name of a variable that holds a zero byte, in its name or its value.
    pub(crate) fn with_zero_byte(&self) -> Option<&OsStr> {
        let has_zero = |text: &OsStr| text.as_encoded_bytes().contains(&0);
        let found = |(name, value): &(&OsString, &Option<OsString>)| {
            has_zero(name) || value.as_deref().is_some_and(has_zero)
        };
        self.changes.iter().find(found).map(|(name, _)| name.as_os_str())
    }

    pub(crate) fn apply(&self, command: &mut std::process::Command) {
        if let Base::Only(names) = &self.base {
            command.env_clear();
            let kept = names
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?)));
            command.envs(kept);
        }
        for (name, value) in &self.changes {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |set: bool| {
            let chosen = move |change: &(&OsString, &Option<OsString>)| change.1.is_some() == set;
            self.changes
                .iter()
                .filter(chosen)
                .map(|(name, _)| name)
                .collect::<Vec<_>>()
        };
        f.debug_struct("Environment")
            .field("base", &self.base)
            .field("set", &names(true))
            .field("removed", &names(false))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_shown() {
        let shown = format!(
            "{:?}",
            Environment::only(["PATH"]).set("KEY", "sk-1").remove("HOME")
        );
        assert!(shown.contains("KEY") && shown.contains("HOME"), "{shown}");
        assert!(!shown.contains("sk-1"), "{shown}");
    }

    #[test]
    fn a_child_sees_what_was_chosen() {
        assert!(Environment::inherit().get("PATH").is_some());
        assert_eq!(Environment::empty().get("PATH"), None);
        assert_eq!(Environment::only(["HOME"]).get("PATH"), None);
        assert_eq!(Environment::inherit().remove("PATH").get("PATH"), None);
        assert_eq!(
            Environment::empty().set("PATH", "/bin").get("PATH"),
            Some("/bin".into())
        );
    }
}
