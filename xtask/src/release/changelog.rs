//! The changelog at a release: what is unreleased goes under the new version.

use anyhow::{Context as _, Result, ensure};

const HEADING: &str = "## [Unreleased]";

/// Returns what stands under `## [Unreleased]`.
pub(crate) fn unreleased(text: &str) -> Result<&str> {
    let (_, rest) = split(text)?;
    Ok(rest[..end_of_section(rest)].trim())
}

/// Puts what is unreleased under a heading of the version, and brings the links at the end up to date.
pub(crate) fn release(text: &str, version: &str, date: &str) -> Result<String> {
    let (before, rest) = split(text)?;
    let end = end_of_section(rest);
    let notes = rest[..end].trim();
    ensure!(!notes.is_empty(), "the changelog has nothing under {HEADING}");
    ensure!(
        !text.contains(&format!("\n## [{version}]")),
        "the changelog has a section for {version} already"
    );
    let after = links(&rest[end..], version);
    Ok(format!(
        "{before}{HEADING}\n\n## [{version}] - {date}\n\n{notes}\n{}{after}",
        if after.is_empty() { "" } else { "\n" }
    ))
}

fn split(text: &str) -> Result<(&str, &str)> {
    text.split_once(&format!("{HEADING}\n"))
        .with_context(|| format!("CHANGELOG.md has no heading `{HEADING}`"))
}

/// Returns where the section ends: at the next heading of its level, at the links, or at the end.
fn end_of_section(rest: &str) -> usize {
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.starts_with("## ") || (line.starts_with('[') && line.contains("]: ")) {
            return at;
        }
        at += line.len();
    }
    at
}

/// Makes `[Unreleased]: BASE/compare/vOLD...HEAD` start at the new version, and adds the link of the new version.
fn links(after: &str, version: &str) -> String {
    let mut text = String::with_capacity(after.len());
    for line in after.split_inclusive('\n') {
        let base = line
            .strip_prefix("[Unreleased]: ")
            .and_then(|url| url.split_once("/compare/").or(url.split_once("/commits/")));
        match base {
            Some((base, _)) => text.push_str(&format!(
                "[Unreleased]: {base}/compare/v{version}...HEAD\n[{version}]: {base}/releases/tag/v{version}\n"
            )),
            None => text.push_str(line),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n## [0.1.0] - 2026-01-01\n\n- First.\n\n\
        [Unreleased]: https://host/t/compare/v0.1.0...HEAD\n[0.1.0]: https://host/t/releases/tag/v0.1.0\n";

    #[test]
    fn the_notes_are_those_of_the_section() {
        assert_eq!(unreleased(TEXT).unwrap(), "### Added\n\n- A thing.");
        assert_eq!(unreleased("## [Unreleased]\n\n[Unreleased]: x\n").unwrap(), "");
        assert!(unreleased("# Changelog\n").is_err());
    }

    #[test]
    fn the_notes_go_under_the_version() {
        let expect = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-02-01\n\n### Added\n\n- A thing.\n\n\
            ## [0.1.0] - 2026-01-01\n\n- First.\n\n\
            [Unreleased]: https://host/t/compare/v0.2.0...HEAD\n[0.2.0]: https://host/t/releases/tag/v0.2.0\n\
            [0.1.0]: https://host/t/releases/tag/v0.1.0\n";
        assert_eq!(release(TEXT, "0.2.0", "2026-02-01").unwrap(), expect);
        let first = "## [Unreleased]\n\n- A.\n\n[Unreleased]: https://host/t/commits/main\n";
        let text = release(first, "0.1.0", "2026-01-01").unwrap();
        assert!(text.ends_with("- A.\n\n[Unreleased]: https://host/t/compare/v0.1.0...HEAD\n[0.1.0]: https://host/t/releases/tag/v0.1.0\n"), "{text}");
    }

    #[test]
    fn an_empty_section_and_a_second_release_of_a_version_are_refused() {
        assert!(release("## [Unreleased]\n\n", "0.1.0", "2026-01-01").is_err());
        assert!(release(TEXT, "0.1.0", "2026-02-01").is_err());
    }
}
