//! The schedule of one plan: told what ended, it says what to start next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use super::failure::passes;
use super::graph::Graph;
use super::node::{Boost, NONE, Need, Node, Rank, State, UNKNOWN};
use super::ready::{Passed, Ready};
use super::{
    Admission, Because, ClassId, CounterId, Cyclic, Dropped, EdgeKind, End, Lock, NodeSpec, PlanId, Tick,
};
use crate::FailurePolicy;

/// The classes that stand for the whole plan, where it waits for the limit of all plans and for its own.
const WHOLE: [u32; 2] = [u32::MAX, u32::MAX - 1];

/// An attempt to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// The node. It has all it needs, until the schedule is told that the attempt ended.
    pub(crate) node: u32,
    /// Whether it was tried before.
    pub(crate) retried: bool,
}

/// The schedule of one plan.
///
/// A node starts when all have ended that it waits for and there is room; of several, the one goes first that was tried
/// before, then the one of the highest priority, then the one that is farthest from the end of the plan.
///
/// Nodes and edges are added before [`Self::start`] or while the plan runs. Each of the other methods that take an
/// [`Admission`] must be given the one that the schedule was made with. After any of them, the caller asks
/// [`Self::next`] until it returns `None`, takes what [`Self::pop_dropped`] has, and wakes whom [`Admission::pop_wake`] names.
#[derive(Debug)]
pub(crate) struct Schedule {
    plan: PlanId,
    /// How many of its nodes may run at the same time.
    limit: CounterId,
    nodes: Vec<Node>,
    graph: Graph,
    ready: Ready,
    locks: Vec<Box<[Lock]>>,
    /// How often a node had to wait for locks.
    lock_waits: HashMap<u32, u64>,
    backoff: BinaryHeap<Reverse<(Tick, u32)>>,
    dropped: VecDeque<Dropped>,
    n_ready: usize,
    n_running: usize,
    /// Nodes that have not ended.
    left: usize,
    started: bool,
    /// It waits for the limit of all plans, and for its own.
    is_full: [bool; 2],
    stopped: Option<Because>,
    woken_classes: Vec<u32>,
    woken_nodes: Vec<u32>,
    passing: Vec<u32>,
}

impl Schedule {
    /// Makes a schedule without nodes, of which at most so many will run at the same time.
    pub(crate) fn new(admission: &mut Admission, max_concurrent: Option<u64>) -> Self {
        Self {
            plan: admission.join(),
            limit: admission.add_counter(max_concurrent.unwrap_or(u64::MAX)),
            nodes: Vec::new(),
            graph: Graph::default(),
            ready: Ready::default(),
            locks: Vec::new(),
            lock_waits: HashMap::new(),
            backoff: BinaryHeap::new(),
            dropped: VecDeque::new(),
            n_ready: 0,
            n_running: 0,
            left: 0,
            started: false,
            is_full: [false; 2],
            stopped: None,
            woken_classes: Vec::new(),
            woken_nodes: Vec::new(),
            passing: Vec::new(),
        }
    }

    /// Returns who the schedule is for [`Admission::pop_wake`].
    pub(crate) const fn plan(&self) -> PlanId {
        self.plan
    }

    /// Returns the counter of the nodes of this plan that run at the same time.
    pub(crate) const fn limit(&self) -> CounterId {
        self.limit
    }

    /// Returns how many nodes were added.
    pub(crate) const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns how many nodes could start if there were room, those without that wait for a lock left out.
    pub(crate) const fn n_ready(&self) -> usize {
        self.n_ready
    }

    /// Returns how many nodes run.
    pub(crate) const fn n_running(&self) -> usize {
        self.n_running
    }

    /// Returns whether all nodes that were added have ended.
    pub(crate) const fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Returns the class of the nodes that need so much of these counters, besides one of all and one of the plan.
    pub(crate) fn class(&mut self, admission: &Admission, needs: &[(CounterId, u64)]) -> ClassId {
        let mut all = vec![
            Need {
                counter: admission.global(),
                units: 1,
            },
            Need {
                counter: self.limit,
                units: 1,
            },
        ];
        for (counter, units) in needs.iter().copied().filter(|(_, units)| *units > 0) {
            match all.iter_mut().find(|need| need.counter == counter) {
                Some(need) => need.units = need.units.saturating_add(units),
                None => all.push(Need { counter, units }),
            }
        }
        self.ready.class(all)
    }

    /// Adds a node; the first is 0. Edges to it are added before [`Self::start`] or, if it is held, before it is released.
    pub(crate) fn add(&mut self, spec: NodeSpec) -> u32 {
        let index = u32::try_from(self.nodes.len()).expect("4 billion nodes don't fit");
        let locks = if spec.locks.is_empty() {
            NONE
        } else {
            self.locks.push(spec.locks.into_boxed_slice());
            u32::try_from(self.locks.len() - 1).expect("there are no more lists than nodes")
        };
        let estimate = spec.estimate.map_or(UNKNOWN, |known| known.min(UNKNOWN - 1));
        self.nodes.push(Node {
            estimate,
            level: if estimate == UNKNOWN { 1 } else { estimate },
            weight: 0,
            missing: u32::from(spec.held),
            class: spec.class.0,
            priority: spec.priority,
            late_edges: NONE,
            locks,
            state: State::Waiting,
            boost: Boost::None,
            on_failure: spec.on_failure,
            held: spec.held,
            lost: false,
        });
        self.left += 1;
        if let Some(because) = self.stopped {
            self.nodes[index as usize].missing = 0;
            self.drop_node(index, because);
        } else if self.started && !spec.held {
            self.make_ready(index);
        }
        index
    }

    /// Has the second node wait for the first. The second one has not been released yet.
    pub(crate) fn edge(&mut self, from: u32, to: u32, kind: EdgeKind) {
        let before = &self.nodes[from as usize];
        let reached = before.lost && passes(before.on_failure, kind);
        if before.state != State::Ended {
            self.nodes[to as usize].missing += 1;
            self.graph.add(&mut self.nodes, from, to, kind);
        }
        if reached && self.nodes[to as usize].state == State::Waiting {
            self.drop_node(to, Because::Failed(from));
        }
    }

    /// Lets the nodes start.
    ///
    /// # Errors
    ///
    /// Nodes wait for each other. The schedule is of no use then.
    pub(crate) fn start(&mut self) -> Result<(), Cyclic> {
        self.started = true;
        self.graph.pack(self.nodes.len());
        self.graph.rank(&mut self.nodes)?;
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            if node.missing == 0 && node.state == State::Waiting {
                self.make_ready(u32::try_from(index).expect("`add` counts in u32"));
            }
        }
        Ok(())
    }

    /// Lets a node start that was held. One that was dropped keeps its place in the order until then, too.
    pub(crate) fn release(&mut self, index: u32) {
        let node = &mut self.nodes[index as usize];
        if std::mem::take(&mut node.held) && node.state != State::Ended {
            node.missing -= 1;
            if node.missing == 0 && self.started {
                self.come(index);
            }
        }
    }

    /// Works out the order anew, because nodes, edges or estimates were added.
    ///
    /// # Errors
    ///
    /// Nodes wait for each other. The order stays as it was, and these nodes never start.
    ///
    /// # Complexity
    ///
    /// Linear in nodes and edges.
    pub(crate) fn reprioritise(&mut self) -> Result<(), Cyclic> {
        self.graph.rank(&mut self.nodes)?;
        self.sort_ready();
        Ok(())
    }

    /// Changes how long a node is expected to take, for [`Self::reprioritise`].
    pub(crate) fn set_estimate(&mut self, index: u32, estimate: u64) {
        self.nodes[index as usize].estimate = estimate.min(UNKNOWN - 1);
    }

    /// Replaces the order that follows from the critical path: those come first that are listed first. Those that are not
    /// listed come last.
    pub(crate) fn set_order(&mut self, order: &[u32]) {
        for node in self.nodes.iter_mut().filter(|node| node.boost != Boost::Overdue) {
            (node.level, node.weight) = (0, 0);
        }
        for (level, index) in (1..).zip(order.iter().rev()) {
            let node = &mut self.nodes[*index as usize];
            if node.boost != Boost::Overdue {
                node.level = level;
            }
        }
        self.sort_ready();
    }

    /// Returns the longest way through the nodes, as long as their order follows from it.
    pub(crate) fn critical_path(&self) -> u64 {
        self.nodes.iter().map(|node| node.level).max().unwrap_or(0)
    }

    /// Returns what to start now, and takes what it needs.
    pub(crate) fn next(&mut self, admission: &mut Admission, now: Tick) -> Option<Start> {
        self.bring_back(now);
        self.look_again(admission);
        while let Some((rank, class)) = self.ready.top() {
            let index = rank.node();
            let node = &self.nodes[index as usize];
            if node.state != State::Ready || Rank::of(index, node) != rank {
                self.ready.pop(class);
                continue;
            }
            let needs = &self.ready.classes[class as usize].needs;
            if let Some(lacks) = admission.lacks(self.plan, index, needs) {
                if !self.refuse(admission, rank, class, lacks) {
                    return None;
                }
                continue;
            }
            if node.locks != NONE && self.wait_for_locks(admission, index, class) {
                continue;
            }
            return Some(self.begin(admission, rank, class));
        }
        None
    }

    /// Returns when the next node comes back that waits for its next attempt.
    pub(crate) fn next_due(&mut self) -> Option<Tick> {
        while let Some(Reverse((due, index))) = self.backoff.peek().copied() {
            if self.nodes[index as usize].state == State::Backoff {
                return Some(due);
            }
            self.backoff.pop();
        }
        None
    }

    /// Ends a node that runs, and gives back what it had.
    ///
    /// # Complexity
    ///
    /// O(log n) for each node that becomes ready, and the edges of the node.
    pub(crate) fn ended(&mut self, admission: &mut Admission, index: u32, end: End) {
        if !self.give_back(admission, index) {
            return;
        }
        let node = &mut self.nodes[index as usize];
        if end == End::Failed && self.stopped.is_none() {
            node.lost = true;
            let policy = node.on_failure;
            if policy == FailurePolicy::FailFast {
                self.stop(admission, Because::FailedFast(index));
            } else {
                self.pass_on(index, policy, Because::Failed(index));
            }
        }
        self.pass(index);
    }

    /// Gives back what a node had that runs, and has it come back then for another attempt, ahead of the new ones. Returns
    /// false if there is none, because the plan was stopped; the node has to be ended then.
    pub(crate) fn retry_at(&mut self, admission: &mut Admission, index: u32, due: Tick) -> bool {
        if self.stopped.is_some() || !self.give_back(admission, index) {
            return false;
        }
        self.nodes[index as usize].state = State::Backoff;
        self.backoff.push(Reverse((due, index)));
        true
    }

    /// Gives back what a node had that runs, and has it wait until it is resumed, or ended because it has a result from
    /// elsewhere. Returns false if the plan was stopped.
    pub(crate) fn suspend(&mut self, admission: &mut Admission, index: u32) -> bool {
        if self.stopped.is_some() || !self.give_back(admission, index) {
            return false;
        }
        self.nodes[index as usize].state = State::Backoff;
        true
    }

    /// Has a suspended node come back then for an attempt.
    pub(crate) fn resume(&mut self, index: u32, due: Tick) {
        if self.nodes[index as usize].state == State::Backoff {
            self.backoff.push(Reverse((due, index)));
        }
    }

    /// Ends a suspended node, which has a result.
    pub(crate) fn end_suspended(&mut self, index: u32) {
        if self.nodes[index as usize].state == State::Backoff {
            self.pass(index);
        }
    }

    /// Drops a node that does not run, and returns whether it was so. One that runs has to be ended.
    pub(crate) fn cancel(&mut self, admission: &mut Admission, index: u32) -> bool {
        match self.nodes[index as usize].state {
            State::Running | State::Dropped | State::Ended => return false,
            State::Ready => self.n_ready -= 1,
            State::Waiting | State::Locked | State::Backoff => {}
        }
        admission.forget_claim(self.plan, index);
        self.drop_node(index, Because::Cancelled);
        true
    }

    /// Drops all nodes that do not run, those too that will be added.
    pub(crate) fn stop(&mut self, admission: &mut Admission, because: Because) {
        if self.stopped.is_some() {
            return;
        }
        self.stopped = Some(because);
        for (index, node) in self.nodes.iter_mut().enumerate() {
            match node.state {
                State::Running | State::Ended => continue,
                State::Dropped => {}
                State::Waiting | State::Ready | State::Locked | State::Backoff => {
                    node.lost = true;
                    let node = u32::try_from(index).expect("`add` counts in u32");
                    self.dropped.push_back(Dropped { node, because });
                }
            }
            node.state = State::Ended;
            self.left -= 1;
        }
        self.n_ready = 0;
        self.ready.drain();
        self.backoff.clear();
        admission.forget_claims(self.plan);
    }

    /// Returns what the failure of a node does to the rest.
    pub(crate) fn on_failure(&self, index: u32) -> FailurePolicy {
        self.nodes[index as usize].on_failure
    }

    /// Returns why the plan was stopped, if it was.
    pub(crate) const fn stopped(&self) -> Option<Because> {
        self.stopped
    }

    /// Returns the next of the nodes that never start. Each is named once, as soon as it is known.
    pub(crate) fn pop_dropped(&mut self) -> Option<Dropped> {
        self.dropped.pop_front()
    }

    /// Gives back all that the plan has. Its attempts are over, whatever became of them.
    pub(crate) fn close(mut self, admission: &mut Admission) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].state == State::Running {
                self.give_back(admission, u32::try_from(index).expect("`add` counts in u32"));
            }
        }
        admission.leave(self.plan);
        admission.remove_counter(self.limit);
    }

    /// Sorts those that are ready anew.
    fn sort_ready(&mut self) {
        for rank in self.ready.drain() {
            let index = rank.node();
            let node = &self.nodes[index as usize];
            if node.state == State::Ready {
                self.ready.push(node.class, Rank::of(index, node));
            }
        }
    }

    /// Puts nodes back whose time has come.
    fn bring_back(&mut self, now: Tick) {
        while let Some(Reverse((due, index))) = self.backoff.peek().copied() {
            if due > now {
                break;
            }
            self.backoff.pop();
            let node = &mut self.nodes[index as usize];
            if node.state == State::Backoff {
                node.boost = Boost::Retried;
                self.make_ready(index);
            }
        }
    }

    /// Looks again at what was refused before something was given back.
    fn look_again(&mut self, admission: &mut Admission) {
        admission.take_woken(self.plan, &mut self.woken_classes, &mut self.woken_nodes);
        for class in self.woken_classes.drain(..) {
            match WHOLE.iter().position(|whole| *whole == class) {
                Some(which) => self.is_full[which] = false,
                None => self.ready.wake(class),
            }
        }
        while let Some(index) = self.woken_nodes.pop() {
            if self.nodes[index as usize].state == State::Locked {
                self.make_ready(index);
            }
        }
    }

    /// Has the class wait for what its first node lacks. Returns false if no node can start, of whatever class.
    fn refuse(&mut self, admission: &mut Admission, rank: Rank, class: u32, lacks: Need) -> bool {
        let index = rank.node();
        let of = &mut self.ready.classes[class as usize];
        let place = of.needs.iter().position(|need| need.counter == lacks.counter);
        let place = of.counts[place.expect("it lacks one of its needs")];
        let count = &self.ready.counts[place as usize];
        let others = admission.grants(lacks.counter).saturating_sub(count.grants);
        let passed = match of.passed.since {
            Some((at, before)) if at == place => of.passed.by_own + others.saturating_sub(before),
            _ => {
                of.passed = Passed {
                    since: Some((place, others)),
                    by_own: 0,
                };
                0
            }
        };
        // Only the first in the plan's own order is passed; the others have to wait.
        let is_first = count.first.is_none_or(|(first, _)| rank > first);
        let passed = if is_first { passed } else { 0 };
        if let Some(turn) = admission.claim(self.plan, index, lacks, passed) {
            self.put_first(index, class, turn);
        }
        let limits = [admission.global(), self.limit];
        if let Some(which) = limits.iter().position(|limit| *limit == lacks.counter) {
            if !std::mem::replace(&mut self.is_full[which], true) {
                admission.wait(lacks.counter, self.plan, WHOLE[which]);
            }
            return false;
        }
        admission.wait(lacks.counter, self.plan, class);
        self.ready.wait(class, place);
        true
    }

    /// Puts the first node of its class before all others, because it has a turn.
    fn put_first(&mut self, index: u32, class: u32, turn: u64) {
        let node = &mut self.nodes[index as usize];
        if node.take_turn(turn) {
            self.ready.pop(class);
            self.ready.push(class, Rank::of(index, node));
        }
    }

    /// Has the first node of the class wait if another plan has what it locks.
    fn wait_for_locks(&mut self, admission: &mut Admission, index: u32, class: u32) -> bool {
        let node = &mut self.nodes[index as usize];
        let locks = &self.locks[node.locks as usize];
        if !admission.wait_for_locks(self.plan, index, locks) {
            return false;
        }
        self.ready.pop(class);
        self.n_ready -= 1;
        node.state = State::Locked;
        let waits = self.lock_waits.entry(index).or_default();
        let passed = *waits;
        *waits += 1;
        if let Some(turn) = admission.claim_locks(self.plan, index, locks, passed) {
            node.take_turn(turn);
        }
        true
    }

    /// Starts the first node of the class.
    fn begin(&mut self, admission: &mut Admission, rank: Rank, class: u32) -> Start {
        self.ready.pop(class);
        let index = rank.node();
        let node = &mut self.nodes[index as usize];
        let retried = node.boost == Boost::Retried;
        node.state = State::Running;
        node.boost = Boost::None;
        self.n_ready -= 1;
        self.n_running += 1;
        let of = &mut self.ready.classes[class as usize];
        of.passed = Passed::default();
        let locks = self.locks.get(node.locks as usize);
        admission.take(self.plan, index, &of.needs, locks.map_or(&[], |locks| locks));
        self.ready.granted(class, rank);
        if node.locks != NONE {
            self.lock_waits.remove(&index);
        }
        Start { node: index, retried }
    }

    fn make_ready(&mut self, index: u32) {
        let node = &mut self.nodes[index as usize];
        node.state = State::Ready;
        self.n_ready += 1;
        self.ready.push(node.class, Rank::of(index, node));
    }

    /// Gives back what a node had, and returns whether it was running.
    fn give_back(&mut self, admission: &mut Admission, index: u32) -> bool {
        let node = &self.nodes[index as usize];
        if node.state != State::Running {
            return false;
        }
        self.n_running -= 1;
        let needs = &self.ready.classes[node.class as usize].needs;
        let locks = self.locks.get(node.locks as usize);
        admission.give_back(self.plan, needs, locks.map_or(&[], |locks| locks));
        true
    }

    /// Drops a node that is not in use.
    fn drop_node(&mut self, index: u32, because: Because) {
        let node = &mut self.nodes[index as usize];
        node.lost = true;
        node.state = State::Dropped;
        self.dropped.push_back(Dropped { node: index, because });
        let policy = node.on_failure;
        let origin = match because {
            Because::Failed(_) | Because::FailedFast(_) => because,
            Because::Cancelled => Because::Failed(index),
        };
        self.pass_on(index, policy, origin);
        if self.nodes[index as usize].missing == 0 {
            self.pass(index);
        }
    }

    /// Drops those that the failure of a node reaches.
    fn pass_on(&mut self, index: u32, policy: FailurePolicy, because: Because) {
        let mut reached = vec![index];
        while let Some(from) = reached.pop() {
            let late = self.nodes[from as usize].late_edges;
            for (to, kind) in self.graph.edges(from, late) {
                let node = &mut self.nodes[to as usize];
                if node.state == State::Waiting && passes(policy, kind) {
                    node.lost = true;
                    node.state = State::Dropped;
                    self.dropped.push_back(Dropped { node: to, because });
                    reached.push(to);
                }
            }
        }
    }

    /// Ends a node, and lets those come that waited for it. Those that were dropped are gone through: what came after them
    /// still comes after those before.
    fn pass(&mut self, index: u32) {
        self.passing.push(index);
        while let Some(from) = self.passing.pop() {
            let node = &mut self.nodes[from as usize];
            if node.state == State::Ended {
                continue;
            }
            node.state = State::Ended;
            self.left -= 1;
            let late = node.late_edges;
            for (to, _) in self.graph.edges(from, late) {
                let node = &mut self.nodes[to as usize];
                if node.state == State::Ended {
                    continue;
                }
                node.missing -= 1;
                if node.missing > 0 {
                    continue;
                }
                if node.state == State::Dropped {
                    self.passing.push(to);
                } else {
                    node.state = State::Ready;
                    self.n_ready += 1;
                    self.ready.push(node.class, Rank::of(to, node));
                }
            }
        }
    }

    /// Lets a node come that nothing is before any more.
    fn come(&mut self, index: u32) {
        if self.nodes[index as usize].state == State::Dropped {
            self.pass(index);
        } else {
            self.make_ready(index);
        }
    }
}
