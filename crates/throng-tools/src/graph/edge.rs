//! One arrow from a call to a call that waits for it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a call waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum EdgeKind {
    /// It names the other in `depends_on`.
    Explicit,
    /// Its arguments refer to the other's result.
    Reference,
    /// One writes what the other reads or writes.
    Conflict,
    /// A rule asks for the order: of the plan, of the tool, or of calls that say nothing of what they touch.
    Policy,
}

impl fmt::Display for EdgeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Explicit => "explicit",
            Self::Reference => "reference",
            Self::Conflict => "conflict",
            Self::Policy => "policy",
        })
    }
}

/// One arrow of the graph: the call at `from` ends before the call at `to` begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Edge {
    /// The index of the call that goes first.
    pub from: u32,
    /// The index of the call that waits.
    pub to: u32,
    /// Why.
    pub kind: EdgeKind,
}

impl Edge {
    pub(super) fn new(from: u32, to: u32, kind: EdgeKind) -> Self {
        Self { from, to, kind }
    }
}
