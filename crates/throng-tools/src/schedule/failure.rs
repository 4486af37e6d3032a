//! How a node ends, and what its failure does to those that come after it.

use super::EdgeKind;

/// How the last attempt of a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a result.
    Succeeded,
    /// With none, for whatever reason.
    Failed,
}

/// What the failure of a node does to the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// Those that refer to its result are skipped, and those that refer to theirs.
    #[default]
    Continue,
    /// Those too that were to come after it explicitly.
    SkipDependents,
    /// Everything that has not ended is cancelled.
    FailFast,
}

impl OnFailure {
    /// Returns whether a failure is passed on along such an edge.
    pub(super) const fn passes(self, kind: EdgeKind) -> bool {
        match kind {
            EdgeKind::Reference => true,
            EdgeKind::Explicit => !matches!(self, Self::Continue),
            EdgeKind::Conflict | EdgeKind::Policy => false,
        }
    }
}

/// Why a node is never started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Because {
    /// This node failed, and the node depends on it, maybe by way of others.
    Failed(u32),
    /// This node failed, and ends the plan.
    FailedFast(u32),
    /// Somebody asked for it.
    Cancelled,
}

/// A node that is never started (again).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// The node.
    pub(crate) node: u32,
    /// Why.
    pub(crate) because: Because,
}
