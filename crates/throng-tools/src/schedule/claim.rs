//! What the node that has been passed too often keeps free for itself.

use super::locks::{Lock, conflict};
use super::{CounterId, PlanId};

/// What nobody else may take, so that the node which holds the claim gets it.
///
/// There is one at a time. It grows by what its node still lacks, and nobody who runs waits for anything: so all of it
/// becomes free, and the node starts.
#[derive(Debug)]
pub(super) struct Claim {
    plan: PlanId,
    node: u32,
    /// Which in the order of those that were overdue.
    pub(super) turn: u64,
    counters: Vec<(CounterId, u64)>,
    locks: Vec<Lock>,
    /// The nodes that would have got their locks but for the claim.
    pub(super) waiting: Vec<(PlanId, u32)>,
}

impl Claim {
    pub(super) fn new(plan: PlanId, node: u32, turn: u64) -> Self {
        Self {
            plan,
            node,
            turn,
            counters: Vec::new(),
            locks: Vec::new(),
            waiting: Vec::new(),
        }
    }

    pub(super) fn is_of(&self, plan: PlanId, node: u32) -> bool {
        self.plan == plan && self.node == node
    }

    pub(super) fn is_of_plan(&self, plan: PlanId) -> bool {
        self.plan == plan
    }

    pub(super) fn counters(&self) -> impl Iterator<Item = CounterId> {
        self.counters.iter().map(|(counter, _)| *counter)
    }

    /// Returns how much of a counter is kept free.
    pub(super) fn units(&self, counter: CounterId) -> u64 {
        let of = self.counters.iter().find(|(of, _)| *of == counter);
        of.map_or(0, |(_, units)| *units)
    }

    pub(super) fn add_counter(&mut self, counter: CounterId, units: u64) {
        if self.units(counter) == 0 {
            self.counters.push((counter, units));
        }
    }

    pub(super) fn add_locks(&mut self, locks: &[Lock]) {
        if self.locks.is_empty() {
            self.locks.extend_from_slice(locks);
        }
    }

    pub(super) fn conflicts(&self, locks: &[Lock]) -> bool {
        conflict(&self.locks, locks)
    }
}
