//! Why a call waits for another, in words.

use std::collections::VecDeque;
use std::fmt;

use super::analyze::{Facts, conflict_kind};
use super::{Dependencies, Edge, EdgeKind};

/// Why a call waits for another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The id of the call that waits.
    pub call: String,
    /// The id of the call that it waits for.
    pub waits_for: String,
    /// The arrows from the call that waits to the other one: of the same two calls, all that there are; over other
    /// calls, one after the other on a shortest way.
    pub edges: Vec<Edge>,
    /// One sentence for each arrow.
    pub because: Vec<String>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, because) in self.because.iter().enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            write!(f, "{comma}{because}")?;
        }
        Ok(())
    }
}

impl Dependencies {
    /// Says why the call `call` waits for `waits_for`; both are ids. `None` if it does not, or if there is no such call.
    ///
    /// Conflicts are named even where the graph has no arrow for them because others imply it.
    ///
    /// # Complexity
    ///
    /// Linear in the size of the graph.
    pub fn explain(&self, call: &str, waits_for: &str) -> Option<Explanation> {
        let (to, from) = (self.index(call)?, self.index(waits_for)?);
        let mut edges = self.direct(from, to);
        if edges.is_empty() {
            edges = self.way(from, to)?;
        }
        let because = edges
            .iter()
            .map(|edge| {
                let id = |call: u32| self.id(call).unwrap_or_default();
                format!(
                    "`{}` waits for `{}`: {}",
                    id(edge.to),
                    id(edge.from),
                    self.because(edge)
                )
            })
            .collect();
        Some(Explanation {
            call: call.to_owned(),
            waits_for: waits_for.to_owned(),
            edges,
            because,
        })
    }

    /// Says what makes the call at the end of the arrow wait: the argument, or the resources, or the rule.
    pub fn because(&self, edge: &Edge) -> String {
        let (from, to) = (self.facts(edge.from), self.facts(edge.to));
        match (edge.kind, from, to) {
            (EdgeKind::Conflict | EdgeKind::Policy, Some(from), Some(to)) => {
                self.conflict_because(edge, from, to)
            }
            _ => asked_because(edge, to),
        }
    }

    fn conflict_because(&self, edge: &Edge, from: &Facts, to: &Facts) -> String {
        let id = |call: u32| self.id(call).unwrap_or_default();
        let Some((first, second)) = conflict(from, to) else {
            return if from.sequential && from.tool == to.tool {
                format!("calls of `{}` run one at a time", to.tool)
            } else {
                "the plan runs its calls one at a time".to_owned()
            };
        };
        match (from.declared, to.declared) {
            (true, true) => {
                format!("`{}` {first}, `{}` {second}", id(edge.from), id(edge.to))
            }
            (false, _) => format!(
                "nothing is known of what `{}` of `{}` touches, so it keeps its place",
                from.tool,
                id(edge.from)
            ),
            (true, false) => format!(
                "nothing is known of what `{}` of `{}` touches, so it keeps its place",
                to.tool,
                id(edge.to)
            ),
        }
    }

    /// Returns all arrows that the two calls have by themselves, also those that others imply.
    fn direct(&self, from: u32, to: u32) -> Vec<Edge> {
        let (Some(first), Some(second)) = (self.facts(from), self.facts(to)) else {
            return Vec::new();
        };
        let mut edges: Vec<_> = self
            .incoming(to)
            .iter()
            .filter(|edge| edge.from == from)
            .copied()
            .collect();
        if self.comes_before(from, to) && conflict(first, second).is_some() {
            edges.push(Edge::new(from, to, conflict_kind(Some(first), second)));
        }
        edges.sort_unstable();
        edges.dedup();
        edges
    }

    /// Returns the arrows of a shortest way against their direction, from the call that waits.
    fn way(&self, from: u32, to: u32) -> Option<Vec<Edge>> {
        let mut reached_by: Vec<Option<Edge>> = vec![None; self.len()];
        let mut queue = VecDeque::from([to]);
        while let Some(call) = queue.pop_front().filter(|&call| call != from) {
            for edge in self.incoming(call) {
                if edge.from != to
                    && let Some(reached @ None) = reached_by.get_mut(edge.from as usize)
                {
                    *reached = Some(*edge);
                    queue.push_back(edge.from);
                }
            }
        }
        let mut way = Vec::new();
        let mut at = from;
        while let Some(edge) = reached_by.get(at as usize).copied().flatten() {
            way.push(edge);
            at = edge.to;
        }
        way.reverse();
        (at == to && !way.is_empty()).then_some(way)
    }
}

/// Returns the first two accesses that conflict, in words.
fn conflict(from: &Facts, to: &Facts) -> Option<(String, String)> {
    from.accesses.iter().find_map(|first| {
        let second = to.accesses.iter().find(|second| first.conflicts_with(second))?;
        Some((first.to_string(), second.to_string()))
    })
}

/// Says what in the call itself asks for the arrow.
pub(super) fn asked_because(edge: &Edge, to: Option<&Facts>) -> String {
    /// How many arguments are named.
    const NAMED: usize = 3;
    if edge.kind == EdgeKind::Explicit {
        return "`depends_on` names it".to_owned();
    }
    let references = to.map(|facts| facts.references.as_slice()).unwrap_or_default();
    let ours: Vec<_> = references
        .iter()
        .filter(|reference| reference.call == edge.from)
        .collect();
    let mut words: Vec<_> = ours
        .iter()
        .take(NAMED)
        .map(|reference| {
            let verb = if reference.whole { "is" } else { "holds" };
            match reference.argument.as_str() {
                "" => format!("the input {verb} `{}`", reference.text),
                argument => format!("argument `{argument}` {verb} `{}`", reference.text),
            }
        })
        .collect();
    if ours.len() > NAMED {
        words.push(format!("{} more", ours.len() - NAMED));
    }
    words.join(", ")
}
