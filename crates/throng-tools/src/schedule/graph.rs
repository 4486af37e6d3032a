//! The edges: in one block while the plan is whole, and in lists that grow for what comes while it runs.

use super::estimate::usual;
use super::node::{Boost, Node, State, UNKNOWN};

/// Why one node comes after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EdgeKind {
    /// The caller says so.
    Explicit,
    /// It needs the other one's result.
    Reference,
    /// They touch the same.
    Conflict,
    /// A policy has them run one after the other.
    Policy,
}

/// These nodes wait for each other, so that none of them can start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} nodes are on a cycle or behind one", nodes.len())]
pub(crate) struct Cyclic {
    /// The nodes on a cycle and those behind them.
    pub(crate) nodes: Vec<u32>,
}

/// An edge that came after the start.
#[derive(Clone, Copy, Debug)]
struct Late {
    to: u32,
    next: u32,
    kind: EdgeKind,
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    /// The edges as they came, until they are packed.
    loose: Vec<(u32, u32, EdgeKind)>,
    packed: bool,
    /// Where the edges of each node begin in the two below; one more at the end.
    starts: Vec<u32>,
    to: Vec<u32>,
    kinds: Vec<EdgeKind>,
    late: Vec<Late>,
}

impl Graph {
    /// Adds an edge.
    pub(super) fn add(&mut self, nodes: &mut [Node], from: u32, to: u32, kind: EdgeKind) {
        if !self.packed {
            self.loose.push((from, to, kind));
            return;
        }
        let head = &mut nodes[from as usize].late_edges;
        let next = std::mem::replace(
            head,
            u32::try_from(self.late.len()).expect("4 billion edges don't fit"),
        );
        self.late.push(Late { to, next, kind });
    }

    /// Packs the edges that came until now.
    pub(super) fn pack(&mut self, n_nodes: usize) {
        self.packed = true;
        let loose = std::mem::take(&mut self.loose);
        let mut starts = vec![0_u32; n_nodes + 1];
        for (from, _, _) in &loose {
            starts[*from as usize + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut at = starts.clone();
        self.to = vec![0; loose.len()];
        self.kinds = vec![EdgeKind::Explicit; loose.len()];
        for (from, to, kind) in loose {
            let place = &mut at[from as usize];
            self.to[*place as usize] = to;
            self.kinds[*place as usize] = kind;
            *place += 1;
        }
        self.starts = starts;
    }

    /// Returns the edges of a node, whose late ones begin there.
    pub(super) fn edges(&self, index: u32, late: u32) -> impl Iterator<Item = (u32, EdgeKind)> {
        let at = index as usize;
        let range = match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(start), Some(end)) => *start as usize..*end as usize,
            _ => 0..0,
        };
        let packed = self.to[range.clone()].iter().copied();
        let packed = packed.zip(self.kinds[range].iter().copied());
        let mut next = late;
        let late = std::iter::from_fn(move || {
            let edge = self.late.get(next as usize)?;
            next = edge.next;
            Some((edge.to, edge.kind))
        });
        packed.chain(late)
    }

    /// Works out how far each node that has not ended is from the end of the plan, and what weighs among equals.
    ///
    /// # Complexity
    ///
    /// Linear in nodes and edges.
    pub(super) fn rank(&self, nodes: &mut [Node]) -> Result<(), Cyclic> {
        let order = self.order(nodes)?;
        let usual = usual(nodes);
        for index in order.into_iter().rev() {
            let node = &nodes[index as usize];
            let (mut level, mut weight) = (0_u64, 0_u64);
            for (to, _) in self.edges(index, node.late_edges) {
                let to = &nodes[to as usize];
                level = level.max(to.level);
                weight = weight.saturating_add(to.level);
            }
            let node = &mut nodes[index as usize];
            let own = if node.estimate == UNKNOWN {
                usual
            } else {
                node.estimate
            };
            // The place of one that is overdue is fixed, and all before it have ended.
            if node.boost != Boost::Overdue {
                node.level = level.saturating_add(own);
                node.weight = weight;
            }
        }
        Ok(())
    }

    /// Returns the nodes that have not ended, each after all that it waits for.
    fn order(&self, nodes: &[Node]) -> Result<Vec<u32>, Cyclic> {
        let live = |index: u32| nodes[index as usize].state != State::Ended;
        let n_nodes = u32::try_from(nodes.len()).expect("4 billion nodes don't fit");
        let all = || (0..n_nodes).filter(|index| live(*index));
        let forward = |from: u32| {
            self.edges(from, nodes[from as usize].late_edges)
                .all(|(to, _)| to > from)
        };
        if all().all(forward) {
            return Ok(all().collect());
        }
        let mut before = vec![0_u32; nodes.len()];
        let edges = |from: u32| self.edges(from, nodes[from as usize].late_edges);
        for (to, _) in all().flat_map(edges) {
            before[to as usize] += 1;
        }
        let mut order: Vec<u32> = all().filter(|index| before[*index as usize] == 0).collect();
        let mut at = 0;
        while let Some(from) = order.get(at).copied() {
            at += 1;
            for (to, _) in edges(from) {
                let left = &mut before[to as usize];
                *left -= 1;
                if *left == 0 {
                    order.push(to);
                }
            }
        }
        let stuck: Vec<u32> = all().filter(|index| before[*index as usize] > 0).collect();
        if stuck.is_empty() {
            Ok(order)
        } else {
            Err(Cyclic { nodes: stuck })
        }
    }
}
