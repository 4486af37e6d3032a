//! The nodes of a schedule, and the classes of nodes that need the same.

use super::{CounterId, Lock};
use crate::FailurePolicy;

/// A class of nodes that need the same of the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClassId(pub(super) u32);

/// What an attempt takes of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Need {
    pub(super) counter: CounterId,
    pub(super) units: u64,
}

/// What is to be known of a node.
#[derive(Clone, Debug)]
pub(crate) struct NodeSpec {
    /// What it needs of the counters.
    pub(crate) class: ClassId,
    /// Among those that are ready, a higher number goes first.
    pub(crate) priority: i32,
    /// How long it is expected to take, in a unit of the caller's.
    pub(crate) estimate: Option<u64>,
    /// What its failure does to the rest.
    pub(crate) on_failure: FailurePolicy,
    /// What it locks against the calls of other plans.
    pub(crate) locks: Vec<Lock>,
    /// It is not to start before it is released.
    pub(crate) held: bool,
}

impl NodeSpec {
    /// Makes a node without anything but what its class needs.
    pub(crate) const fn new(class: ClassId) -> Self {
        Self {
            class,
            priority: 0,
            estimate: None,
            on_failure: FailurePolicy::Continue,
            locks: Vec::new(),
            held: false,
        }
    }
}

/// Where a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Others have to end first, or it is held.
    Waiting,
    /// It may start as soon as there is room.
    Ready,
    /// It is ready, but for a lock that another plan has.
    Locked,
    Running,
    /// It waits for its next attempt, and has nothing.
    Backoff,
    /// It never starts, but keeps its place in the order until those before it have ended.
    Dropped,
    Ended,
}

/// A node. Kept small: there may be millions.
#[derive(Debug)]
pub(super) struct Node {
    /// How long it is expected to take; [`UNKNOWN`] if nobody knows.
    pub(super) estimate: u64,
    /// The longest way from its start to the end of the plan.
    pub(super) level: u64,
    /// Which of two that are as far from the end goes first.
    pub(super) weight: u64,
    /// How many have to end before; one more while it is held.
    pub(super) missing: u32,
    pub(super) class: u32,
    pub(super) priority: i32,
    /// The first of the edges that came after the start, and of its locks; [`NONE`] without.
    pub(super) late_edges: u32,
    pub(super) locks: u32,
    pub(super) state: State,
    pub(super) boost: Boost,
    pub(super) on_failure: FailurePolicy,
    pub(super) held: bool,
    /// It has no result, and never will.
    pub(super) lost: bool,
}

impl Node {
    /// Puts it before all that were not passed too often, in the order of the turns. Returns false if it was there already.
    pub(super) fn take_turn(&mut self, turn: u64) -> bool {
        let level = u64::MAX - turn;
        if self.boost == Boost::Overdue && self.level == level {
            return false;
        }
        self.boost = Boost::Overdue;
        self.priority = i32::MAX;
        self.level = level;
        true
    }
}

/// No index.
pub(super) const NONE: u32 = u32::MAX;
/// No estimate.
pub(super) const UNKNOWN: u64 = u64::MAX;

/// What goes before all priorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Boost {
    None,
    /// It was tried before.
    Retried,
    /// Others have passed it too often.
    Overdue,
}

/// The order of those that are ready: the greatest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    boost: Boost,
    priority: i32,
    level: u64,
    weight: u64,
    /// The complement of the node, so that what was emitted first goes first.
    last: u32,
}

impl Rank {
    pub(super) const fn of(index: u32, node: &Node) -> Self {
        Self {
            boost: node.boost,
            priority: node.priority,
            level: node.level,
            weight: node.weight,
            last: !index,
        }
    }

    pub(super) const fn is_overdue(self) -> bool {
        matches!(self.boost, Boost::Overdue)
    }

    pub(super) const fn node(self) -> u32 {
        !self.last
    }
}
