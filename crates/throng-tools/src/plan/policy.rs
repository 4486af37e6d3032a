//! How the calls of a plan are to run.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Access, FailurePolicy, Resource};

/// How the calls of a plan are to run. What is not set is left to the executor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PlanPolicy {
    /// What the failure of a call means for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<FailurePolicy>,
    /// Whether the calls run one at a time, in the order of emission.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sequential: bool,
    /// The most calls at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<NonZeroUsize>,
    /// The most calls of a tool at a time.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub per_tool: BTreeMap<String, NonZeroUsize>,
    /// What calls are taken to touch that declare nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assume: Option<Assume>,
}

impl PlanPolicy {
    /// Sets what the failure of a call means for others.
    #[must_use]
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.on_failure = Some(policy);
        self
    }

    /// Says that the calls run one at a time, in the order of emission.
    #[must_use]
    pub fn sequential(mut self) -> Self {
        self.sequential = true;
        self
    }

    /// Sets the most calls at a time.
    #[must_use]
    pub fn max_concurrent(mut self, limit: NonZeroUsize) -> Self {
        self.max_concurrent = Some(limit);
        self
    }

    /// Sets the most calls of a tool at a time.
    #[must_use]
    pub fn per_tool(mut self, tool: impl Into<String>, limit: NonZeroUsize) -> Self {
        self.per_tool.insert(tool.into(), limit);
        self
    }

    /// Sets what calls are taken to touch that declare nothing.
    #[must_use]
    pub fn assume(mut self, assume: Assume) -> Self {
        self.assume = Some(assume);
        self
    }
}

/// What a call is taken to touch if neither it nor its tool declares anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Assume {
    /// Nothing that is shared.
    Independent,
    /// It reads everything: it keeps its place among calls that write.
    #[serde(alias = "read_only")]
    ReadOnly,
    /// Everything: it keeps its place among all calls.
    #[default]
    Exclusive,
}

impl Assume {
    /// Returns what such a call touches.
    pub fn accesses(self) -> Vec<Access> {
        match self {
            Self::Independent => Vec::new(),
            Self::ReadOnly => vec![Access::read(Resource::everything())],
            Self::Exclusive => vec![Access::exclusive(Resource::everything())],
        }
    }
}

impl fmt::Display for Assume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Independent => "independent",
            Self::ReadOnly => "read-only",
            Self::Exclusive => "exclusive",
        })
    }
}

impl FromStr for Assume {
    type Err = UnknownAssume;

    fn from_str(text: &str) -> Result<Self, UnknownAssume> {
        match text {
            "independent" => Ok(Self::Independent),
            "read-only" | "read_only" => Ok(Self::ReadOnly),
            "exclusive" => Ok(Self::Exclusive),
            _ => Err(UnknownAssume(text.to_owned())),
        }
    }
}

/// A text is none of the words of [`Assume`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of `independent`, `read-only`, `exclusive`")]
pub struct UnknownAssume(String);
