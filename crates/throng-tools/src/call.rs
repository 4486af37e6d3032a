//! A tool call: which tool, with which arguments, after which other calls.

use std::time::Duration;

use serde_json::Value;

use crate::{Access, Names, Reference, find};

/// A tool call of a plan. Its place in the plan is its place in the order of emission.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Call {
    /// The id that the result must name. Unique within a plan.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments, references to other calls included.
    pub arguments: Value,
    /// Whether nothing in the arguments is a reference, whatever it looks like. Default false.
    pub literal: bool,
    /// The ids of calls that have to end first, besides those that the arguments refer to.
    pub depends_on: Vec<String>,
    /// What the call reads and writes. `None` leaves it to the tool's declaration.
    pub accesses: Option<Vec<Access>>,
    /// Among calls that are ready, a higher number goes first, before the critical path is looked at. Default 0.
    pub priority: i32,
    /// How long one attempt may take. `None` leaves it to the tool, then to the executor.
    pub timeout: Option<Duration>,
    /// How long the call is expected to take; for simulation, and for the critical path ahead of what was learned.
    pub expected: Option<Duration>,
}

impl Call {
    /// Makes a call that depends on nothing but what its arguments refer to.
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: Value) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            arguments,
            literal: false,
            depends_on: Vec::new(),
            accesses: None,
            priority: 0,
            timeout: None,
            expected: None,
        }
    }

    /// Takes the arguments as they are: nothing in them is a reference. For calls of a model that was told of none, whose
    /// `$1` may be a shell's or a price.
    #[must_use]
    pub fn literal(mut self) -> Self {
        self.literal = true;
        self
    }

    /// Finds the references in the arguments, for the call at `own`.
    pub(crate) fn references(&self, names: &Names, own: u32) -> Vec<Reference> {
        if self.literal {
            return Vec::new();
        }
        find(&self.arguments, names, own)
    }

    /// Adds a call that has to end first.
    #[must_use]
    pub fn after(mut self, id: impl Into<String>) -> Self {
        self.depends_on.push(id.into());
        self
    }

    /// Declares what the call reads and writes, in the place of what its tool declares.
    #[must_use]
    pub fn accesses(mut self, accesses: impl IntoIterator<Item = Access>) -> Self {
        self.accesses.get_or_insert_default().extend(accesses);
        self
    }
}
