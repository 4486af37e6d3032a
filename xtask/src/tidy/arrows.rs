//! Dependencies between the crates of the workspace point to lower layers only (docs/architecture.md, section 2).

use super::Finding;
use crate::metadata::{Kind, Metadata};

/// The layer of every crate. A crate may depend on the crates of lower layers.
const LAYERS: &[(u8, &[&str])] = &[
    (0, &["throng-core", "throng-json"]),
    (
        1,
        &[
            "throng-exec",
            "throng-llm",
            "throng-flaky",
            "throng-store",
            "throng-process",
            "throng-sim",
        ],
    ),
    (
        2,
        &[
            "throng-tools",
            "throng-batch",
            "throng-testrun",
            "throng-python",
            "throng-dist",
        ],
    ),
    (3, &["throng-mcp", "throng-agent", "throng-baml"]),
    (4, &["throng"]),
    (5, &["throng-cli"]),
    (6, &["throng-tests", "throng-benches", "xtask"]),
];

/// Returns the layer of a crate, if it is in the table.
pub(crate) fn layer(name: &str) -> Option<u8> {
    LAYERS
        .iter()
        .find(|(_, names)| names.contains(&name))
        .map(|(layer, _)| *layer)
}

/// Checks every dependency of a member on another, but for those on which only its tests and benches depend.
pub(crate) fn check(metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in metadata.members() {
        let file = package.file();
        let Some(from) = layer(&package.name) else {
            findings.push(Finding::new(
                &file,
                0,
                format!("the crate `{}` has no layer", package.name),
                "add it to the table in xtask/src/tidy/arrows.rs and to docs/architecture.md, section 2",
            ));
            continue;
        };
        for dep in package.dependencies.iter().filter(|dep| dep.kind != Kind::Dev) {
            // A crate without a layer is found in its own turn.
            let Some(to) = metadata.member(&dep.name).and_then(|dep| layer(&dep.name)) else {
                continue;
            };
            if to >= from {
                findings.push(Finding::new(
                    &file,
                    0,
                    format!(
                        "the arrow {} (layer {from}) -> {} (layer {to}) does not point down",
                        package.name, dep.name
                    ),
                    "move what both need into a lower crate, or let a higher crate join the two",
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use crate::metadata::tests::{Planted, planted};

    fn check(members: &[Planted<'_>], expect: &[&str]) {
        let found: Vec<_> = super::check(&planted(members))
            .into_iter()
            .map(|finding| finding.what)
            .collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn arrows_point_down() {
        check(
            &[
                ("throng-exec", &[("normal", "throng-core"), ("normal", "tokio")]),
                ("throng-core", &[]),
            ],
            &[],
        );
    }

    #[test]
    fn sideways_and_upward_arrows_are_found() {
        check(
            &[
                ("throng-exec", &[("normal", "throng-llm")]),
                ("throng-llm", &[("build", "throng-cli")]),
                ("throng-cli", &[]),
            ],
            &[
                "the arrow throng-exec (layer 1) -> throng-llm (layer 1) does not point down",
                "the arrow throng-llm (layer 1) -> throng-cli (layer 5) does not point down",
            ],
        );
    }

    #[test]
    fn tests_may_depend_on_anything() {
        check(
            &[
                ("throng-exec", &[("dev", "throng-sim")]),
                ("throng-sim", &[("dev", "throng-exec")]),
            ],
            &[],
        );
    }

    #[test]
    fn a_new_crate_needs_a_layer() {
        check(&[("throng-new", &[])], &["the crate `throng-new` has no layer"]);
    }
}
