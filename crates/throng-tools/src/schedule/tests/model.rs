//! A naive model of plans on an admission: it looks at everything anew at each step.

use super::super::*;
use crate::FailurePolicy;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Waiting,
    Running,
    /// It comes back then.
    Backoff(Tick),
    Dropped,
    Ended,
}

#[derive(Clone, Debug)]
pub(super) struct ModelNode {
    /// With what all nodes need.
    pub(super) needs: Vec<(CounterId, u64)>,
    pub(super) locks: Vec<(&'static str, bool)>,
    pub(super) before: Vec<(usize, EdgeKind)>,
    pub(super) priority: i32,
    pub(super) estimate: u64,
    pub(super) on_failure: FailurePolicy,
    pub(super) held: bool,
    pub(super) at: At,
    pub(super) lost: bool,
    pub(super) retried: bool,
    pub(super) level: u64,
    pub(super) weight: u64,
}

#[derive(Debug, Default)]
pub(super) struct ModelPlan {
    pub(super) nodes: Vec<ModelNode>,
    pub(super) stopped: bool,
}

impl ModelPlan {
    /// Whether those after the node may go on: it has ended, or would have if it were not dropped.
    fn passed(&self, node: usize) -> bool {
        match self.nodes[node].at {
            At::Ended => true,
            At::Dropped => self.stopped || (!self.nodes[node].held && self.free(node)),
            _ => false,
        }
    }

    fn free(&self, node: usize) -> bool {
        let before = &self.nodes[node].before;
        before.iter().all(|(from, _)| self.passed(*from))
    }

    /// Whether the node could start if there were room.
    pub(super) fn is_ready(&self, node: usize, now: Tick) -> bool {
        let of = &self.nodes[node];
        match of.at {
            At::Waiting => !of.held && self.free(node),
            At::Backoff(due) => due <= now,
            _ => false,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        (0..self.nodes.len()).all(|node| self.passed(node))
    }

    /// Works out the levels as the longest way by trying all.
    pub(super) fn rank(&mut self) {
        let n_nodes = self.nodes.len();
        for _ in 0..n_nodes {
            for node in 0..n_nodes {
                let after: Vec<u64> = (0..n_nodes)
                    .flat_map(|to| {
                        let before = &self.nodes[to].before;
                        let edges = before.iter().filter(|(from, _)| *from == node).count();
                        vec![self.nodes[to].level; edges]
                    })
                    .collect();
                let of = &mut self.nodes[node];
                of.level = of.estimate + after.iter().max().unwrap_or(&0);
                of.weight = after.iter().sum();
            }
        }
    }

    pub(super) fn key(&self, node: usize) -> (bool, i32, u64, u64, std::cmp::Reverse<usize>) {
        let of = &self.nodes[node];
        (
            of.retried,
            of.priority,
            of.level,
            of.weight,
            std::cmp::Reverse(node),
        )
    }

    /// Drops those that the failure reaches, and returns them.
    pub(super) fn fail(&mut self, node: usize, policy: FailurePolicy) -> Vec<usize> {
        let mut dropped = Vec::new();
        self.nodes[node].lost = true;
        loop {
            let reached = (0..self.nodes.len()).find(|to| {
                let of = &self.nodes[*to];
                of.at == At::Waiting
                    && of.before.iter().any(|(from, kind)| {
                        (*from == node || dropped.contains(from))
                            && match kind {
                                EdgeKind::Reference => true,
                                EdgeKind::Explicit => policy != FailurePolicy::Continue,
                                _ => false,
                            }
                    })
            });
            let Some(reached) = reached else {
                return dropped;
            };
            self.nodes[reached].at = At::Dropped;
            self.nodes[reached].lost = true;
            dropped.push(reached);
        }
    }

    pub(super) fn stop(&mut self) -> Vec<usize> {
        self.stopped = true;
        let mut dropped = Vec::new();
        for (node, of) in self.nodes.iter_mut().enumerate() {
            if matches!(of.at, At::Waiting | At::Backoff(_)) {
                of.at = At::Dropped;
                dropped.push(node);
            }
        }
        dropped
    }
}

/// Whether the one holds the other, or is it.
fn holds(a: &str, b: &str) -> bool {
    a == b
        || a == "*"
        || (a.ends_with(':') && b.starts_with(a))
        || b.strip_prefix(a)
            .is_some_and(|rest| rest.starts_with('/') || (a.ends_with('/') && !a.ends_with(":/")))
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) plans: Vec<ModelPlan>,
    /// The limits of all counters.
    pub(super) limits: Vec<(CounterId, u64)>,
}

impl Model {
    fn running(&self) -> impl Iterator<Item = &ModelNode> {
        let nodes = self.plans.iter().flat_map(|plan| &plan.nodes);
        nodes.filter(|node| node.at == At::Running)
    }

    pub(super) fn used(&self, counter: CounterId) -> u64 {
        self.running()
            .flat_map(|node| &node.needs)
            .filter(|(of, _)| *of == counter)
            .map(|(_, units)| units)
            .sum()
    }

    /// Whether there is room for the node beside those that run.
    pub(super) fn fits(&self, node: &ModelNode) -> bool {
        let counters = node.needs.iter().all(|(counter, units)| {
            let limit = self.limits.iter().find(|(of, _)| of == counter).unwrap().1;
            let used = self.used(*counter);
            used + units <= limit || (used == 0 && limit > 0)
        });
        let locks = self.running().all(|other| {
            node.locks.iter().all(|(a, a_alone)| {
                other
                    .locks
                    .iter()
                    .all(|(b, b_alone)| !(*a_alone || *b_alone) || !(holds(a, b) || holds(b, a)))
            })
        });
        counters && locks
    }
}
