//! `cargo xtask tidy`: the rules of this repository that neither the compiler nor clippy knows.
//!
//! Each rule is a function from text to findings, so that its tests plant a violation in a string.

mod absences;
mod arrows;
mod cancel;
mod changelog;
mod licences;
mod manifests;
mod pages;
mod paths;
mod rust;
mod source;

use std::fmt;

use anyhow::{Result, bail};

use crate::project::Project;

/// A text file of the checkout.
pub(crate) struct File {
    /// Its path relative to the root, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A place where a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) file: String,
    /// From 1; 0 means the whole file.
    pub(crate) line: usize,
    pub(crate) what: String,
    pub(crate) fix: String,
    pub(crate) severity: Severity,
}

/// Whether a finding fails the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Warning,
    Failure,
}

impl Finding {
    /// Makes a finding that fails the check.
    pub(crate) fn new(file: &str, line: usize, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            what: what.into(),
            fix: fix.into(),
            severity: Severity::Failure,
        }
    }

    /// Makes it a warning.
    pub(crate) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        let warning = if self.severity == Severity::Warning {
            " warning:"
        } else {
            ""
        };
        write!(f, ":{warning} {}: {}", self.what, self.fix)
    }
}

/// Checks every rule and prints what is found.
pub(crate) fn run(project: &Project) -> Result<()> {
    let files = read(project)?;
    let metadata = project.metadata()?;
    let mut findings = source::check(&files);
    findings.extend(cancel::check(&files));
    findings.extend(paths::check(&files));
    findings.extend(pages::check(&files));
    findings.extend(changelog::check(&files));
    findings.extend(manifests::check(&files));
    findings.extend(arrows::check(&metadata));
    findings.extend(absences::check_direct(&metadata));
    findings.extend(absences::check_trees(project, &metadata)?);
    findings.extend(licences::check(&metadata));

    findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    for finding in &findings {
        println!("{finding}");
    }
    let failures = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Failure)
        .count();
    let warnings = findings.len() - failures;
    println!(
        "tidy: {} files, {failures} failures, {warnings} warnings",
        files.len()
    );
    if failures > 0 {
        bail!("tidy found {failures} to put right");
    }
    Ok(())
}

fn read(project: &Project) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for path in project.files()? {
        let bytes = project.sh.read_binary_file(project.root.join(&path))?;
        // Files that are no text hold nothing that these rules speak of.
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path, text });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_where_what_and_what_to_do() {
        let finding = Finding::new("crates/a/src/lib.rs", 7, "`todo!`", "write it");
        assert_eq!(finding.to_string(), "crates/a/src/lib.rs:7: `todo!`: write it");
        let finding = Finding::new("CHANGELOG.md", 0, "is long", "cut it").warning();
        assert_eq!(finding.to_string(), "CHANGELOG.md: warning: is long: cut it");
    }
}
