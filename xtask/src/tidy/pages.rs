//! What a page of documentation names is there: files, the targets of links, and tests.
//!
//! A path in backticks that begins with a folder of the repository must exist; `PATH.rs::NAME` must be a function in
//! that file; a relative link must lead to a file or a folder. Blocks of code are left alone.

use std::collections::BTreeMap;

use super::rust::words;
use super::{File, Finding};

/// Folders whose names begin a path.
const FOLDERS: [&str; 8] = [
    "crates/",
    "xtask/",
    "benches/",
    "docs/",
    "examples/",
    "fuzz/",
    ".ci/",
    ".github/",
];
/// Folders that git ignores: they come and go.
const IGNORED: [&str; 4] = ["fuzz/target", "benches/peers/target", ".ci/cache", "target"];

/// Checks the pages.
pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let texts: BTreeMap<&str, &str> = files
        .iter()
        .map(|file| (file.path.as_str(), file.text.as_str()))
        .collect();
    let pages = files
        .iter()
        .filter(|file| file.path.ends_with(".md") && file.path != "CHANGELOG.md");
    pages.flat_map(|page| check_page(page, &texts)).collect()
}

fn check_page(page: &File, texts: &BTreeMap<&str, &str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_block = false;
    for (index, line) in page.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        if in_block {
            continue;
        }
        let mut found = |what: String| {
            findings.push(Finding::new(
                &page.path,
                index + 1,
                what,
                "name what is there, or take it out",
            ));
        };
        for code in line.split('`').skip(1).step_by(2) {
            if let Some(what) = check_code(code, texts) {
                found(what);
            }
        }
        for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or(link);
            let absolute = link.contains(':') || path.is_empty() || path.starts_with('/');
            if !absolute && !exists(&resolve(&page.path, path), texts) {
                found(format!("the link to `{link}` leads nowhere"));
            }
        }
    }
    findings
}

fn check_code(code: &str, texts: &BTreeMap<&str, &str>) -> Option<String> {
    let is_path = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "/._-".contains(c);
    let (path, name) = code
        .split_once("::")
        .map_or((code, None), |(path, name)| (path, Some(name)));
    if !FOLDERS.iter().any(|dir| path.starts_with(dir)) || !path.chars().all(is_path) {
        return None;
    }
    if IGNORED.iter().any(|dir| path.starts_with(dir)) {
        return None;
    }
    if !exists(path, texts) {
        return Some(format!("`{path}` is not there"));
    }
    let name = name?;
    let text = texts.get(path)?;
    let is_declared = text
        .lines()
        .any(|line| line.contains("fn ") && words(line).any(|word| word == name));
    (!is_declared).then(|| format!("`{path}` has no function `{name}`"))
}

fn exists(path: &str, texts: &BTreeMap<&str, &str>) -> bool {
    let path = path.trim_end_matches('/');
    let inside = format!("{path}/");
    path.is_empty()
        || texts.contains_key(path)
        || texts
            .range(inside.as_str()..)
            .next()
            .is_some_and(|(next, _)| next.starts_with(&inside))
}

/// Returns where a relative link leads that stands in `page`.
fn resolve(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(page: &str, text: &str, expect: &[&str]) {
        let file = |path: &str, text: &str| File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let files = [
            file(page, text),
            file("docs/guide/run.md", ""),
            file("crates/a/src/lib.rs", "fn runs() {}\nlet gone = 1;\n"),
        ];
        let found: Vec<_> = super::check(&files)
            .into_iter()
            .map(|finding| finding.what)
            .collect();
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn named_paths_must_exist() {
        check(
            "README.md",
            "see `docs/guide/run.md` and `crates/a/` and `crates/a/src`",
            &[],
        );
        check(
            "README.md",
            "see `docs/guide/runs.md`",
            &["`docs/guide/runs.md` is not there"],
        );
        check(
            "README.md",
            "`crates/NAME/x`, `crates/<name>/`, `out/x.json`, `fuzz/target/corpus`",
            &[],
        );
        check("README.md", "```\n`docs/none.md`\n```\n", &[]);
    }

    #[test]
    fn named_tests_must_exist() {
        check("docs/a.md", "held by `crates/a/src/lib.rs::runs`", &[]);
        check(
            "docs/a.md",
            "held by `crates/a/src/lib.rs::gone`",
            &["`crates/a/src/lib.rs` has no function `gone`"],
        );
    }

    #[test]
    fn links_must_lead_somewhere() {
        check(
            "docs/a.md",
            "[x](guide/run.md#there) [y](../crates/a) [z](https://host/x) [here](#x)",
            &[],
        );
        check(
            "docs/a.md",
            "[x](guide/walk.md)",
            &["the link to `guide/walk.md` leads nowhere"],
        );
        check("docs/guide/b.md", "[x](../guide/run.md) [y](run.md)", &[]);
    }
}
