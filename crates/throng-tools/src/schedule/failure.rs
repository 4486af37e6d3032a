//! How a node ends, and what its failure does to those that come after it.

use super::EdgeKind;
use crate::FailurePolicy;

/// How the last attempt of a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a result.
    Succeeded,
    /// With none, for whatever reason.
    Failed,
}

/// Returns whether a failure is passed on along such an edge.
pub(super) const fn passes(policy: FailurePolicy, kind: EdgeKind) -> bool {
    match kind {
        EdgeKind::Reference => true,
        EdgeKind::Explicit => !matches!(policy, FailurePolicy::Continue),
        EdgeKind::Conflict | EdgeKind::Policy => false,
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
