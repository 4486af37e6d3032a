//! The changelog has a place for what is not yet released.

use super::{File, Finding};

const PATH: &str = "CHANGELOG.md";

/// Checks that `CHANGELOG.md` is there and has its section.
pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let fix = "add the heading `## [Unreleased]`";
    match files.iter().find(|file| file.path == PATH) {
        None => vec![Finding::new(PATH, 0, "the changelog is missing", fix)],
        Some(file) if file.text.lines().any(|line| line == "## [Unreleased]") => Vec::new(),
        Some(_) => vec![Finding::new(PATH, 0, "no section for what is unreleased", fix)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: Option<&str>, findings: usize) {
        let files = text.map(|text| File {
            path: PATH.to_owned(),
            text: text.to_owned(),
        });
        assert_eq!(super::check(files.as_slice()).len(), findings, "{text:?}");
    }

    #[test]
    fn the_section_must_be_there() {
        check(Some("# Changelog\n\n## [Unreleased]\n"), 0);
        check(Some("# Changelog\n\n## [0.1.0]\n\nUnreleased is gone.\n"), 1);
        check(None, 1);
    }
}
