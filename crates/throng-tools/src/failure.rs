//! What the failure of a call means for other calls.

/// What the failure of a call means for the calls that have not ended yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailurePolicy {
    /// Everything else goes on. Only calls whose arguments refer to the one that failed are skipped.
    #[default]
    Continue,
    /// Calls that depend on it explicitly are skipped as well, and whatever depends on those.
    SkipDependents,
    /// The rest is cancelled, running calls too.
    FailFast,
}
