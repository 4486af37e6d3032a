//! Every package that ends up in a build has a licence that the project's own licences can be combined with.

use super::Finding;
use crate::metadata::Metadata;

/// Licences that are taken; deny.toml lists the same.
const ALLOWED: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages that are taken although their licence field does not say enough, and why.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// Checks the packages on which the workspace depends, other than for its tests.
pub(crate) fn check(metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in metadata.closure() {
        if EXCEPTIONS.iter().any(|(name, _)| *name == package.name) {
            continue;
        }
        let licence = package.licence.as_deref();
        if !licence.is_some_and(is_satisfiable) {
            findings.push(Finding::new(
                "Cargo.toml",
                0,
                format!(
                    "`{} {}` has the licence `{}`",
                    package.name,
                    package.version,
                    licence.unwrap_or("(none)")
                ),
                "do without it, or add it to the exceptions in xtask/src/tidy/licences.rs with the reason",
            ));
        }
    }
    findings
}

/// Returns true if the allowed licences satisfy an SPDX expression; `/` is an old way to write `OR`.
fn is_satisfiable(expression: &str) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut tokens = spaced.split_whitespace().peekable();
    any(&mut tokens) && tokens.next().is_none()
}

type Tokens<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(tokens: &mut Tokens<'_>) -> bool {
    let mut satisfied = all(tokens);
    while tokens.next_if_eq(&"OR").is_some() {
        satisfied |= all(tokens);
    }
    satisfied
}

fn all(tokens: &mut Tokens<'_>) -> bool {
    let mut satisfied = one(tokens);
    while tokens.next_if_eq(&"AND").is_some() {
        satisfied &= one(tokens);
    }
    satisfied
}

fn one(tokens: &mut Tokens<'_>) -> bool {
    let Some(token) = tokens.next() else { return false };
    if token == "(" {
        return any(tokens) && tokens.next() == Some(")");
    }
    if tokens.next_if_eq(&"WITH").is_some() {
        // An exception to a licence only adds permissions.
        tokens.next();
    }
    ALLOWED.contains(&token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::planted;

    fn check(expression: &str, expect: bool) {
        assert_eq!(is_satisfiable(expression), expect, "{expression}");
    }

    #[test]
    fn expressions_are_read_as_spdx_means_them() {
        check("MIT", true);
        check("GPL-3.0-only", false);
        check("MIT OR GPL-3.0-only", true);
        check("MIT AND GPL-3.0-only", false);
        check("MIT/GPL-3.0", true);
        check("GPL-3.0 OR MIT AND GPL-2.0", false);
        check("(GPL-3.0 OR MIT) AND ISC", true);
        check("(MIT OR Apache-2.0) AND Unicode-3.0", true);
        check("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true);
        check("(GPL-2.0) OR (LGPL-3.0 AND MIT)", false);
    }

    #[test]
    fn a_broken_expression_satisfies_nothing() {
        for expression in ["", "(MIT", "MIT)", "MIT MIT", "OR MIT", "AND", "LICENSE.txt"] {
            check(expression, false);
        }
    }

    #[test]
    fn a_package_without_such_a_licence_is_found() {
        let metadata = planted(&[("throng-core", &[("normal", "gpl"), ("dev", "test-tool")])]);
        let found: Vec<_> = super::check(&metadata)
            .into_iter()
            .map(|finding| finding.what)
            .collect();
        assert_eq!(found, ["`gpl 1.0.0` has the licence `GPL-3.0`"]);
    }

    #[test]
    fn cargo_deny_is_told_the_same() {
        let deny = include_str!("../../../deny.toml");
        let (_, list) = deny.split_once("allow = [\n").unwrap();
        let (list, _) = list.split_once(']').unwrap();
        let list: Vec<_> = list
            .lines()
            .map(|line| line.trim().trim_matches(['"', ',']))
            .filter(|l| !l.is_empty())
            .collect();
        assert_eq!(list, ALLOWED);
    }

    #[test]
    fn exceptions_give_a_reason() {
        assert!(EXCEPTIONS.iter().all(|(_, why)| !why.is_empty()));
    }
}
