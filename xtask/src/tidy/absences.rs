//! What crates must not know: direct dependencies that belong to one crate alone, and packages that must not appear
//! anywhere below a crate.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

use super::Finding;
use super::arrows::layer;
use crate::metadata::{Kind, Metadata};
use crate::project::Project;

/// Packages on which only these crates of the workspace may depend directly.
const ONLY_IN: &[(&[&str], &[&str])] = &[
    (
        &[
            "clap",
            "clap_complete",
            "indicatif",
            "miette",
            "tracing-subscriber",
        ],
        &["throng-cli"],
    ),
    (&["reqwest"], &["throng-llm", "throng-tools", "throng-mcp"]),
    (&["petgraph"], &["throng-tools"]),
    (&["rusqlite", "libsqlite3-sys"], &["throng-store"]),
    (&["rmcp"], &["throng-mcp"]),
    (&["async-nats"], &["throng-dist"]),
];

/// Packages that must not appear in the tree of a crate.
struct Tree {
    /// The crate, or `None` for the whole workspace with its tests.
    of: Option<&'static str>,
    features: &'static str,
    absent: &'static [&'static str],
}

const TREES: &[Tree] = &[
    Tree {
        of: Some("throng-core"),
        features: "--all-features",
        absent: &["tokio", "reqwest"],
    },
    Tree {
        of: Some("throng-json"),
        features: "--all-features",
        absent: &["tokio"],
    },
    Tree {
        of: Some("throng-flaky"),
        features: "--all-features",
        absent: &["tokio"],
    },
    Tree {
        of: Some("throng-exec"),
        features: "--all-features",
        absent: &["reqwest", "petgraph", "throng-llm"],
    },
    Tree {
        of: Some("throng-llm"),
        features: "--all-features",
        absent: &["throng-exec"],
    },
    Tree {
        of: Some("throng-llm"),
        features: "--no-default-features",
        absent: &["reqwest"],
    },
    Tree {
        of: Some("throng-sim"),
        features: "--all-features",
        absent: &["throng-llm"],
    },
    // One rustls provider, which is ring, and no other TLS.
    Tree {
        of: None,
        features: "--all-features",
        absent: &["aws-lc-rs", "aws-lc-sys", "openssl-sys", "native-tls"],
    },
];

/// Checks the direct dependencies of the crates.
pub(crate) fn check_direct(metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in metadata
        .members()
        .filter(|package| layer(&package.name).is_none_or(|layer| layer < 6))
    {
        for dep in package.dependencies.iter().filter(|dep| dep.kind != Kind::Dev) {
            for (names, crates) in ONLY_IN {
                if names.contains(&dep.name.as_str()) && !crates.contains(&package.name.as_str()) {
                    findings.push(Finding::new(
                        &package.file(),
                        0,
                        format!("`{}` depends on `{}`", package.name, dep.name),
                        format!("only {} may; go through it", crates.join(" and ")),
                    ));
                }
            }
        }
    }
    findings
}

/// Checks the trees that `cargo tree` prints.
pub(crate) fn check_trees(project: &Project, metadata: &Metadata) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for rule in TREES
        .iter()
        .filter(|rule| rule.of.is_none_or(|name| metadata.member(name).is_some()))
    {
        let cmd = project
            .cargo()
            .args(["tree", "--prefix", "none", "--format", "{p}", "--target", "all"]);
        let cmd = match rule.of {
            Some(name) => cmd.args(["-e", "normal,build", "-p", name]),
            None => cmd.args(["-e", "normal,build,dev", "--workspace"]),
        };
        let tree = cmd
            .arg(rule.features)
            .quiet()
            .read()
            .context("cargo tree failed")?;
        findings.extend(check_tree(rule, &tree));
    }
    Ok(findings)
}

fn check_tree(rule: &Tree, tree: &str) -> Vec<Finding> {
    let names: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let file = rule.of.map_or_else(
        || "Cargo.toml".to_owned(),
        |name| format!("crates/{name}/Cargo.toml"),
    );
    let scope = rule
        .of
        .map_or("--workspace".to_owned(), |name| format!("-p {name}"));
    let found = rule.absent.iter().filter(|name| names.contains(*name));
    found
        .map(|name| {
            Finding::new(
                &file,
                0,
                format!(
                    "`{name}` is in the tree of {} with {}",
                    rule.of.unwrap_or("the workspace"),
                    rule.features
                ),
                format!(
                    "see who brings it: cargo tree {scope} {} --target all -i {name}",
                    rule.features
                ),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::{Planted, planted};

    fn check(members: &[Planted<'_>], expect: &[&str]) {
        let found: Vec<_> = check_direct(&planted(members))
            .into_iter()
            .map(|finding| finding.what)
            .collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn what_belongs_to_one_crate_is_found_in_others() {
        check(&[("throng-cli", &[("normal", "clap")])], &[]);
        check(
            &[("throng-exec", &[("normal", "clap")])],
            &["`throng-exec` depends on `clap`"],
        );
        check(
            &[("throng-sim", &[("normal", "reqwest")])],
            &["`throng-sim` depends on `reqwest`"],
        );
        check(
            &[
                ("throng-sim", &[("dev", "reqwest")]),
                ("throng-benches", &[("normal", "reqwest")]),
            ],
            &[],
        );
    }

    #[test]
    fn a_package_in_a_tree_is_found_by_its_name() {
        let tree = "throng-exec v0.1.0 (crates/throng-exec)\nreqwest v0.13.5\nreqwest-middleware v1.0.0\n\ntokio v1.0.0 (*)\n";
        let rule = Tree {
            of: Some("throng-exec"),
            features: "--all-features",
            absent: &["reqwest", "petgraph"],
        };
        let found = check_tree(&rule, tree);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].what,
            "`reqwest` is in the tree of throng-exec with --all-features"
        );
        let rule = Tree {
            absent: &["middleware", "throng"],
            ..rule
        };
        assert_eq!(check_tree(&rule, tree), []);
    }
}
