//! What `--dry-run --output json` prints.

use serde::{Deserialize, Serialize};

use super::{Dependencies, EdgeKind};

/// The dependencies of a plan, as `--dry-run --output json` prints them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DryRun {
    /// The version of the form: 1.
    pub v: u32,
    /// The arrows, sorted by the call that waits.
    pub edges: Vec<DryRunEdge>,
    /// The ids by level.
    pub waves: Vec<Vec<String>>,
    /// The ids of the longest chain.
    pub critical_path: Vec<String>,
}

/// One arrow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DryRunEdge {
    /// The id of the call that goes first.
    pub from: String,
    /// The id of the call that waits.
    pub to: String,
    /// Why.
    pub kind: EdgeKind,
    /// The argument, the resources or the rule.
    pub because: String,
}

impl Dependencies {
    /// Returns what a dry run prints.
    pub fn dry_run(&self) -> DryRun {
        let id = |call: u32| self.id(call).unwrap_or_default().to_owned();
        let edge = |edge| {
            let &super::Edge { from, to, kind } = edge;
            DryRunEdge {
                from: id(from),
                to: id(to),
                kind,
                because: self.because(edge),
            }
        };
        let ids = |calls: Vec<u32>| calls.into_iter().map(id).collect();
        DryRun {
            v: 1,
            edges: self.edges().iter().map(edge).collect(),
            waves: self.waves().into_iter().map(ids).collect(),
            critical_path: ids(self.critical_path()),
        }
    }
}
