//! Calls that wait for each other.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;

use petgraph::algo::{greedy_feedback_arc_set, kosaraju_scc};
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::IntoEdgeReferences;

use super::Edge;
use super::analyze::Facts;
use super::explain::asked_because;
use crate::Names;

/// Calls that wait for each other, so that none of them can ever begin.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cycle {
    /// A shortest way from one of the calls back to itself.
    pub steps: Vec<CycleStep>,
    /// The ids of all calls that wait for each other, in the order of emission.
    pub members: Vec<String>,
    /// Arrows without which none of them would wait for another.
    pub cut: Vec<CycleStep>,
}

/// One call that waits for another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CycleStep {
    /// The id of the call that waits.
    pub call: String,
    /// The id of the call that it waits for.
    pub waits_for: String,
    /// What makes it wait, such as ``argument `url` is `$a.url` ``.
    pub because: String,
}

impl fmt::Display for CycleStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` waits for `{}` ({})",
            self.call, self.waits_for, self.because
        )
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{step}")?;
        }
        let others = self.members.len().saturating_sub(self.steps.len());
        if others > 0 {
            write!(f, "; {others} more calls are in the same knot: ")?;
            let on_path = |id: &String| self.steps.iter().any(|step| step.call == *id);
            let mut comma = "";
            for id in self.members.iter().filter(|id| !on_path(id)) {
                write!(f, "{comma}`{id}`")?;
                comma = ", ";
            }
        }
        for (index, step) in self.cut.iter().enumerate() {
            let before = if index == 0 { "; to cut it, let " } else { ", and " };
            write!(
                f,
                "{before}`{}` not wait for `{}` ({})",
                step.call, step.waits_for, step.because
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Cycle {}

/// Some calls of a plan wait for each other. The others can run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cycles {
    /// The cycles; no call is in two.
    pub cycles: Vec<Cycle>,
}

impl fmt::Display for Cycles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("calls wait for each other: ")?;
        for (index, cycle) in self.cycles.iter().enumerate() {
            let between = if index == 0 { "" } else { ". Also: " };
            write!(f, "{between}{cycle}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Cycles {}

type Graph = StableDiGraph<(), Edge, u32>;

/// Returns the cycles, and for each call whether it is in one.
pub(super) fn find(facts: &[Facts], names: &Names) -> (Vec<Cycle>, Vec<bool>) {
    let mut graph = Graph::with_capacity(facts.len(), 0);
    for _ in facts {
        graph.add_node(());
    }
    for (own, facts) in (0_u32..).zip(facts) {
        for edge in facts.asked(own) {
            graph.add_edge(NodeIndex::from(edge.from), NodeIndex::from(edge.to), edge);
        }
    }
    let mut blocked = vec![false; facts.len()];
    let mut cycles = Vec::new();
    for component in kosaraju_scc(&graph) {
        let alone = component.len() == 1 && component.iter().all(|&call| !graph.contains_edge(call, call));
        if alone {
            continue;
        }
        let mut members: Vec<u32> = component
            .iter()
            .filter_map(|call| u32::try_from(call.index()).ok())
            .collect();
        members.sort_unstable();
        for &call in &members {
            if let Some(blocked) = blocked.get_mut(call as usize) {
                *blocked = true;
            }
        }
        cycles.push((members.first().copied(), cycle(&graph, &members, facts, names)));
    }
    cycles.sort_by_key(|&(first, _)| first);
    (cycles.into_iter().map(|(_, cycle)| cycle).collect(), blocked)
}

fn cycle(graph: &Graph, members: &[u32], facts: &[Facts], names: &Names) -> Cycle {
    let id = |call: u32| names.id(call).map(ToString::to_string).unwrap_or_default();
    let step = |edge: &Edge| CycleStep {
        call: id(edge.to),
        waits_for: id(edge.from),
        because: asked_because(edge, facts.get(edge.to as usize)),
    };
    let path = shortest(graph, members);

    let mut knot = Graph::with_capacity(members.len(), 0);
    let places: HashMap<u32, _> = members.iter().map(|&call| (call, knot.add_node(()))).collect();
    for &call in members {
        for edge in graph.edges(NodeIndex::from(call)).map(|edge| *edge.weight()) {
            if let (Some(&from), Some(&to)) = (places.get(&edge.from), places.get(&edge.to)) {
                knot.update_edge(from, to, edge);
            }
        }
    }
    let cut: Vec<_> = if knot.edge_references().count() == path.len() {
        // Any arrow would do: one that goes against the order of emission is the likeliest mistake.
        path.iter()
            .find(|edge| edge.from >= edge.to)
            .into_iter()
            .map(step)
            .collect()
    } else {
        greedy_feedback_arc_set(&knot)
            .map(|edge| step(edge.weight()))
            .collect()
    };
    Cycle {
        steps: path.iter().map(step).collect(),
        members: members.iter().map(|&call| id(call)).collect(),
        cut,
    }
}

/// Returns the arrows of a shortest cycle through the first of the members, against their direction: each call of the
/// result waits for that of the next.
fn shortest(graph: &Graph, members: &[u32]) -> Vec<Edge> {
    let Some(&start) = members.first() else {
        return Vec::new();
    };
    let mut reached_by: HashMap<u32, Edge> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    'search: while let Some(call) = queue.pop_front() {
        for edge in graph.edges(NodeIndex::from(call)).map(|edge| *edge.weight()) {
            if members.binary_search(&edge.to).is_ok() && !reached_by.contains_key(&edge.to) {
                reached_by.insert(edge.to, edge);
                if edge.to == start {
                    break 'search;
                }
                queue.push_back(edge.to);
            }
        }
    }
    let mut path = Vec::new();
    let mut at = start;
    while let Some(&edge) = reached_by.get(&at) {
        path.push(edge);
        at = edge.from;
        if at == start {
            break;
        }
    }
    path
}
