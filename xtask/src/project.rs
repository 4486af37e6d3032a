//! The checkout that the commands work on, and how they call other programs in it.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::metadata::Metadata;

/// A checkout. Commands run in its root, whatever the current directory is.
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    pub(crate) sh: Shell,
}

impl Project {
    /// Finds the checkout that this program belongs to.
    pub(crate) fn find() -> Result<Self> {
        let start = match env::var_os("CARGO_MANIFEST_DIR") {
            Some(dir) => PathBuf::from(dir),
            None => env::current_dir().context("cannot read the current directory")?,
        };
        let root = start
            .ancestors()
            .find(|dir| dir.join("xtask/Cargo.toml").is_file())
            .with_context(|| format!("{} is not inside a checkout of Throng", start.display()))?;
        Self::at(root)
    }

    /// Takes the checkout at `root`.
    pub(crate) fn at(root: &Path) -> Result<Self> {
        let sh = Shell::new()?;
        sh.change_dir(root);
        Ok(Self {
            root: root.to_path_buf(),
            sh,
        })
    }

    /// Makes a call of cargo; rustup has told us, and so tells it, which toolchain this is.
    pub(crate) fn cargo(&self) -> Cmd<'_> {
        // `cargo run` describes this package to us in variables that build scripts watch (ring's does): handed on,
        // they would make the inner cargo build again what the outer one has built already.
        let ours = |name: &str| {
            [
                "CARGO_PKG_",
                "CARGO_MANIFEST_",
                "CARGO_BIN_",
                "CARGO_CRATE_",
                "CARGO_PRIMARY_",
            ]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        };
        env::vars_os()
            .filter_map(|(name, _)| name.into_string().ok())
            .filter(|name| ours(name))
            .fold(self.sh.cmd("cargo"), |cmd, name| cmd.env_remove(name))
    }

    /// Returns true if `cargo NAME` can be called.
    pub(crate) fn has_cargo_command(&self, name: &str) -> bool {
        self.cargo()
            .args([name, "--version"])
            .quiet()
            .ignore_status()
            .output()
            .is_ok_and(|out| out.status.success())
    }

    /// Reads what cargo knows of the workspace.
    pub(crate) fn metadata(&self) -> Result<Metadata> {
        let text = self
            .cargo()
            .args(["metadata", "--format-version", "1", "--all-features"])
            .quiet()
            .read()?;
        Metadata::parse(&text)
    }

    /// Returns the files of the checkout, relative to its root, without what git ignores.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        if self.root.join(".git").exists() {
            let sh = &self.sh;
            let list = cmd!(sh, "git ls-files -z --cached --others --exclude-standard")
                .quiet()
                .read()?;
            let mut files: Vec<String> = list
                .split('\0')
                .filter(|name| !name.is_empty() && self.root.join(name).is_file())
                .map(str::to_owned)
                .collect();
            files.sort_unstable();
            files.dedup();
            return Ok(files);
        }
        let mut files = Vec::new();
        walk(&self.root, &self.root, &mut files)?;
        files.sort_unstable();
        Ok(files)
    }

    /// Returns the version that all crates of the workspace share.
    pub(crate) fn version(&self) -> Result<String> {
        let manifest = self.sh.read_file(self.root.join("Cargo.toml"))?;
        workspace_version(&manifest).map(str::to_owned)
    }
}

/// Returns `version` of `[workspace.package]`.
pub(crate) fn workspace_version(manifest: &str) -> Result<&str> {
    let (_, section) = manifest
        .split_once("[workspace.package]")
        .context("Cargo.toml has no [workspace.package]")?;
    let line = section
        .lines()
        .take_while(|line| !line.starts_with('['))
        .find_map(|line| line.strip_prefix("version = "))
        .context("[workspace.package] has no version")?;
    Ok(line.trim().trim_matches('"'))
}

fn walk(root: &Path, dir: &Path, files: &mut Vec<String>) -> Result<()> {
    for entry in dir
        .read_dir()
        .with_context(|| format!("cannot list {}", dir.display()))?
    {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            if name != "target" && name != "node_modules" && name != ".git" {
                walk(root, &path, files)?;
            }
        } else if let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            files.push(name.replace('\\', "/"));
        }
    }
    Ok(())
}

/// Reads a comma-separated list of names, each of which must be one of `known`.
pub(crate) fn pick(
    known: &[&'static str],
    only: Option<&str>,
    skip: Option<&str>,
) -> Result<Vec<&'static str>> {
    let parse = |list: &str| -> Result<Vec<&'static str>> {
        list.split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(|name| match known.iter().find(|known| **known == name) {
                Some(known) => Ok(*known),
                None => bail!("`{name}` is not one of {}", known.join(", ")),
            })
            .collect()
    };
    let only = only.map(parse).transpose()?;
    let skip = skip.map(parse).transpose()?.unwrap_or_default();
    let picked: Vec<_> = known
        .iter()
        .copied()
        .filter(|name| only.as_ref().is_none_or(|only| only.contains(name)) && !skip.contains(name))
        .collect();
    ensure!(!picked.is_empty(), "--only and --skip leave nothing to do");
    Ok(picked)
}

/// Writes a duration as people read it.
pub(crate) fn seconds(time: Duration) -> String {
    let secs = time.as_secs();
    if secs >= 60 {
        format!("{}m {:02}s", secs / 60, secs % 60)
    } else {
        format!("{:.1}s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_picked_in_their_own_order() {
        let known = ["fmt", "tidy", "tests"];
        assert_eq!(pick(&known, None, None).unwrap(), known);
        assert_eq!(pick(&known, Some("tests,fmt"), None).unwrap(), ["fmt", "tests"]);
        assert_eq!(pick(&known, None, Some("tests")).unwrap(), ["fmt", "tidy"]);
        assert!(pick(&known, Some("fmt"), Some("fmt")).is_err());
        let error = pick(&known, Some("clipy"), None).unwrap_err().to_string();
        assert_eq!(error, "`clipy` is not one of fmt, tidy, tests");
    }

    #[test]
    fn the_version_is_that_of_the_workspace() {
        let text =
            "[package]\nversion = \"9\"\n[workspace.package]\nedition = \"2024\"\nversion = \"1.2.3\"\n[x]\n";
        assert_eq!(workspace_version(text).unwrap(), "1.2.3");
        assert!(workspace_version("[workspace.package]\n[x]\nversion = \"1\"").is_err());
    }

    #[test]
    fn a_checkout_without_git_lists_its_files() {
        let sh = Shell::new().unwrap();
        let dir = sh.create_temp_dir().unwrap();
        for name in ["a.rs", "b/c.rs", "target/no.rs"] {
            sh.write_file(dir.path().join(name), "").unwrap();
        }
        assert_eq!(
            Project::at(dir.path()).unwrap().files().unwrap(),
            ["a.rs", "b/c.rs"]
        );
    }
}
