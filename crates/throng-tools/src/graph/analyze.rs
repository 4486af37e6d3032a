//! From calls to arrows.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::cycle;
use super::frontier::Frontier;
use super::{Dependencies, Edge, EdgeKind};
use crate::reference::Reference;
use crate::{Access, Assume, Call, Names, Plan, ToolSpec, Tools};

/// What is known of a call besides the call itself: what its tool declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Declared {
    /// What the call touches. `None`: nothing is declared.
    pub accesses: Option<Vec<Access>>,
    /// Whether calls of the tool run one at a time, in the order of emission.
    pub sequential: bool,
}

impl Declared {
    /// Makes what is known of a call whose tool declares nothing.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Makes what is known of a call with these accesses.
    pub fn accesses(accesses: Vec<Access>) -> Self {
        Self {
            accesses: Some(accesses),
            sequential: false,
        }
    }

    /// Sets whether calls of the tool run one at a time, in the order of emission.
    #[must_use]
    pub fn sequential(mut self, sequential: bool) -> Self {
        self.sequential = sequential;
        self
    }

    /// Returns what the registry believes of a call with these arguments; of a tool that is not in it, nothing.
    pub fn of_tool(tools: &Tools, call: &Call) -> Self {
        tools.get(&call.name).map_or_else(Self::nothing, |entry| Self {
            accesses: entry.accesses_of(&call.arguments),
            sequential: entry.spec().sequential,
        })
    }

    /// Returns what a tool declares of a call with these arguments.
    pub fn of(spec: &ToolSpec, arguments: &Value) -> Self {
        Self {
            accesses: spec.accesses(arguments),
            sequential: spec.sequential,
        }
    }
}

/// The calls of a plan depend on each other in too many ways.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the plan needs more than {limit} arrows between its calls, up to call `{call}`; declare finer resources, or split it"
)]
#[non_exhaustive]
pub struct AnalyzeError {
    /// The most arrows there may be.
    pub limit: usize,
    /// The call whose arrows were too many.
    pub call: String,
}

/// The most arrows of a graph. Many readers of a directory, each in conflict with many writers in it, need an arrow for
/// each pair.
const MOST_EDGES: usize = 50_000_000;

/// What the graph keeps of a call.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) tool: Arc<str>,
    pub(super) accesses: Vec<Access>,
    /// Whether the accesses are declared, and not assumed.
    pub(super) declared: bool,
    pub(super) sequential: bool,
    pub(super) explicit: Vec<u32>,
    pub(super) references: Vec<Reference>,
    pub(super) expected: Option<Duration>,
}

impl Facts {
    /// Gathers what is known of the call at `own`. Ids that no call has are left out.
    pub(super) fn new(call: &Call, names: &Names, own: u32, declared: Declared, assume: Assume) -> Self {
        let accesses = call.accesses.clone().or(declared.accesses);
        Self {
            tool: Arc::from(call.name.as_str()),
            declared: accesses.is_some(),
            accesses: accesses.unwrap_or_else(|| assume.accesses()),
            sequential: declared.sequential,
            explicit: call.depends_on.iter().filter_map(|id| names.index(id)).collect(),
            references: call.references(names, own),
            expected: call.expected,
        }
    }

    /// Gives the arrows that the call itself asks for.
    pub(super) fn asked(&self, own: u32) -> impl Iterator<Item = Edge> + '_ {
        let explicit = self
            .explicit
            .iter()
            .map(move |&from| Edge::new(from, own, EdgeKind::Explicit));
        let references = self.references.iter();
        explicit.chain(references.map(move |reference| Edge::new(reference.call, own, EdgeKind::Reference)))
    }
}

/// Adds calls one by one to the order, and gives the arrows that lead to each.
#[derive(Debug)]
pub(super) struct Arrows {
    frontier: Frontier,
    last_of_tool: HashMap<Arc<str>, u32>,
    last: Option<u32>,
    sequential: bool,
    /// For each call, the last one plus one that got an arrow from it.
    seen: Vec<u32>,
}

impl Arrows {
    pub(super) fn new(sequential: bool) -> Self {
        Self {
            frontier: Frontier::new(),
            last_of_tool: HashMap::new(),
            last: None,
            sequential,
            seen: Vec::new(),
        }
    }

    /// Appends the arrows that lead to the call, sorted and each once.
    pub(super) fn add(&mut self, own: u32, facts: &Facts, all: &[Facts], edges: &mut Vec<Edge>) {
        let start = edges.len();
        self.seen.resize(self.seen.len().max(all.len()), 0);
        let seen = &mut self.seen;
        let mut mark = |from: u32| {
            seen.get_mut(from as usize)
                .is_some_and(|seen| std::mem::replace(seen, own + 1) != own + 1)
        };
        for edge in facts.asked(own) {
            mark(edge.from);
            edges.push(edge);
        }
        self.frontier.add(own, &facts.accesses, |from| {
            if mark(from) {
                let kind = conflict_kind(all.get(from as usize), facts);
                edges.push(Edge::new(from, own, kind));
            }
        });
        let policy = [
            facts
                .sequential
                .then(|| self.last_of_tool.insert(Arc::clone(&facts.tool), own))
                .flatten(),
            self.sequential.then(|| self.last.replace(own)).flatten(),
        ];
        for from in policy.into_iter().flatten() {
            if mark(from) {
                edges.push(Edge::new(from, own, EdgeKind::Policy));
            }
        }
        if let Some(added) = edges.get_mut(start..) {
            added.sort_unstable();
        }
        // References to one call by several arguments are one arrow.
        let mut kept = start;
        for at in start..edges.len() {
            if at == start || edges.get(at) != edges.get(kept - 1) {
                edges.swap(kept, at);
                kept += 1;
            }
        }
        edges.truncate(kept);
    }
}

/// A conflict is one of resources, unless one of the two says nothing of what it touches or needs everything alone.
pub(super) fn conflict_kind(from: Option<&Facts>, to: &Facts) -> EdgeKind {
    let Some(from) = from else { return EdgeKind::Policy };
    let by_rule = |facts: &Facts| !facts.declared || facts.accesses.iter().any(needs_all);
    if by_rule(from) || by_rule(to) {
        EdgeKind::Policy
    } else {
        EdgeKind::Conflict
    }
}

fn needs_all(access: &Access) -> bool {
    access.mode == crate::Mode::Exclusive && access.resource.parts().scheme.is_none()
}

impl Dependencies {
    /// Finds out which calls of a plan have to wait for which.
    ///
    /// `declared` gives what is known of a call's tool; what the call says itself goes first. A call of which nothing is
    /// known touches what `assume` says, or else the plan's policy, or else everything.
    ///
    /// Conflicts and rules keep the order of emission. Where a call refers to a later one, the later one goes first, and
    /// the order is the one nearest to that of emission ([`Self::order`]).
    ///
    /// # Errors
    ///
    /// [`AnalyzeError`] if there are more than 50 million arrows. Cycles are no error here, see [`Self::check`].
    ///
    /// # Complexity
    ///
    /// Linear in the size of the arguments, the lengths of the resources' paths and the number of arrows, with a factor
    /// of log n where a call refers to a later one.
    pub fn analyze(
        plan: &Plan,
        assume: Option<Assume>,
        mut declared: impl FnMut(&Call) -> Declared,
    ) -> Result<Self, AnalyzeError> {
        let names = plan.names().clone();
        let assume = assume.or(plan.policy_ref().assume).unwrap_or_default();
        let facts: Vec<_> = (0..)
            .zip(plan.calls())
            .map(|(own, call)| Facts::new(call, &names, own, declared(call), assume))
            .collect();
        let asked = || (0..).zip(&facts).flat_map(|(own, facts)| facts.asked(own));
        let (cycles, blocked) = if asked().all(|edge| edge.from < edge.to) {
            (Vec::new(), vec![false; facts.len()])
        } else {
            cycle::find(&facts, &names)
        };
        let order = order(&facts, &blocked);

        let mut arrows = Arrows::new(plan.policy_ref().sequential);
        let mut edges = Vec::new();
        for &own in &order {
            let Some(own_facts) = facts.get(own as usize) else {
                continue;
            };
            arrows.add(own, own_facts, &facts, &mut edges);
            if edges.len() > MOST_EDGES {
                return Err(AnalyzeError {
                    limit: MOST_EDGES,
                    call: names.id(own).map(ToString::to_string).unwrap_or_default(),
                });
            }
        }
        for (own, own_facts) in (0..).zip(&facts) {
            if blocked.get(own as usize) == Some(&true) {
                edges.extend(own_facts.asked(own));
            }
        }
        edges.sort_unstable_by_key(|edge| (edge.to, edge.from, edge.kind));
        edges.dedup();
        Ok(Self::new(names, facts, edges, order, cycles, blocked))
    }
}

/// Returns the calls that are not blocked in the order nearest to that of emission in which no call waits for a later
/// one.
fn order(facts: &[Facts], blocked: &[bool]) -> Vec<u32> {
    let is_blocked = |call: u32| blocked.get(call as usize) == Some(&true);
    let mut waits_for = vec![0_u32; facts.len()];
    let mut later: HashMap<u32, Vec<u32>> = HashMap::new();
    for (own, facts) in (0_u32..).zip(facts) {
        for edge in facts.asked(own).filter(|edge| !is_blocked(edge.from)) {
            later.entry(edge.from).or_default().push(own);
            if let Some(count) = waits_for.get_mut(own as usize) {
                *count += 1;
            }
        }
    }
    let mut ready: BinaryHeap<_> = (0_u32..)
        .zip(&waits_for)
        .filter(|&(call, &count)| count == 0 && !is_blocked(call))
        .map(|(call, _)| Reverse(call))
        .collect();
    let mut order = Vec::with_capacity(facts.len());
    while let Some(Reverse(call)) = ready.pop() {
        order.push(call);
        for next in later.remove(&call).into_iter().flatten() {
            if let Some(count) = waits_for.get_mut(next as usize) {
                *count -= 1;
                if *count == 0 && !is_blocked(next) {
                    ready.push(Reverse(next));
                }
            }
        }
    }
    order
}
