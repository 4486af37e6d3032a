//! A graph to which calls are added as they come, while earlier ones may be running.

use super::analyze::{Arrows, Facts};
use super::{Declared, Edge};
use crate::plan::PlanError;
use crate::reference::may_refer_to_later;
use crate::{Access, Assume, Call, Names, Plan, PlanPolicy};

/// A plan that is still being emitted. Arrows lead to each call from earlier ones only.
///
/// A call that may refer to one that has not come yet is [`open`](Added::open), and must not begin before the plan is
/// whole. When it is, [`Self::finish`] gives the plan, and [`super::Dependencies::analyze`] its arrows: among calls that
/// are not open, and do not wait for one that is, they are the same.
#[derive(Debug)]
pub struct Growing {
    calls: Vec<Call>,
    names: Names,
    facts: Vec<Facts>,
    arrows: Arrows,
    assume: Assume,
    policy: PlanPolicy,
}

/// What is known of a call that was added.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Added {
    /// The index of the call.
    pub index: u32,
    /// What it waits for.
    pub edges: Vec<Edge>,
    /// Whether it may also wait for a call that has not come yet.
    pub open: bool,
}

impl Growing {
    /// Begins a plan.
    pub fn new(policy: PlanPolicy, assume: Option<Assume>) -> Self {
        Self {
            calls: Vec::new(),
            names: Names::default(),
            facts: Vec::new(),
            arrows: Arrows::new(policy.sequential),
            assume: assume.or(policy.assume).unwrap_or_default(),
            policy,
        }
    }

    /// Adds the next call.
    ///
    /// # Errors
    ///
    /// [`PlanError`] if there is a call with its id, or if the id or the name cannot be one. The call is not added then.
    pub fn add(&mut self, call: Call, declared: Declared) -> Result<Added, PlanError> {
        Plan::check_next(&call, &self.names)?;
        let index = self.names.push(call.id.as_str());
        let missing = call.depends_on.iter().any(|id| self.names.index(id).is_none());
        let open = missing || !call.literal && may_refer_to_later(&call.arguments, &self.names, index);
        let facts = Facts::new(&call, &self.names, index, declared, self.assume);
        self.facts.push(facts);
        let mut edges = Vec::new();
        if let Some(facts) = self.facts.last() {
            self.arrows.add(index, facts, &self.facts, &mut edges);
        }
        // A call that refers to itself waits for itself.
        let open = open || edges.iter().any(|edge| edge.from == edge.to);
        self.calls.push(call);
        Ok(Added { index, edges, open })
    }

    /// Returns the calls that have come.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Returns what a call touches, by its own word, its tool's, or by what is assumed.
    pub fn accesses(&self, call: u32) -> &[Access] {
        let facts = self.facts.get(call as usize);
        facts.map(|facts| facts.accesses.as_slice()).unwrap_or_default()
    }

    /// Returns what calls are taken to touch that declare nothing.
    pub fn assume(&self) -> Assume {
        self.assume
    }

    /// Returns their ids.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Ends the plan.
    ///
    /// # Errors
    ///
    /// [`PlanError`] if no call came, or if one depends on a call that did not.
    pub fn finish(self) -> Result<Plan, PlanError> {
        Plan::new(self.calls).map(|plan| plan.policy(self.policy))
    }
}
