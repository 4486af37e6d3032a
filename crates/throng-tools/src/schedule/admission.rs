//! What the attempts of all plans share: counters with limits, and locks on resources. All of a demand is taken in one
//! step or nothing of it, so that who waits holds nothing.
//!
//! A plan that was refused is remembered where it was refused, and looked at again when something is given back there. The
//! node that others have passed too often claims what it lacks.

use std::collections::{HashMap, VecDeque};

use super::claim::Claim;
use super::locks::{Lock, Locks};
use super::node::Need;

/// How often others may take what a node waits for, before it is kept free for the node.
const PATIENCE: u64 = 16;

/// A plan on an admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PlanId {
    index: u32,
    /// Tells a plan from those that had the index before.
    generation: u32,
}

/// Something that there is so much of: permits of a tool, a pool, units of CPU or memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CounterId(u32);

#[derive(Debug, Default)]
struct Counter {
    limit: u64,
    used: u64,
    /// How often something of it was taken.
    grants: u64,
    /// The classes of nodes that wait until something is given back.
    waiting: Vec<(PlanId, u32)>,
}

/// What a plan has to look at again.
#[derive(Debug, Default)]
struct Plan {
    generation: u32,
    classes: Vec<u32>,
    nodes: Vec<u32>,
    /// It is among those that are to be woken.
    told: bool,
}

/// The capacity that several plans share.
#[derive(Debug)]
pub(crate) struct Admission {
    counters: Vec<Counter>,
    unused_counters: Vec<u32>,
    plans: Vec<Plan>,
    unused_plans: Vec<u32>,
    locks: Locks,
    claim: Option<Claim>,
    patience: u64,
    /// Those that were passed too often and have no claim yet, with their turns.
    overdue: HashMap<(PlanId, u32), u64>,
    /// The same in the order of their turns, and some that are not overdue any more.
    queue: VecDeque<(PlanId, u32, u64)>,
    turns: u64,
    wakes: Vec<PlanId>,
}

impl Admission {
    /// Makes an admission on which at most so many attempts run at the same time.
    pub(crate) fn new(limit: u64) -> Self {
        let mut this = Self {
            counters: Vec::new(),
            unused_counters: Vec::new(),
            plans: Vec::new(),
            unused_plans: Vec::new(),
            locks: Locks::default(),
            claim: None,
            patience: PATIENCE,
            overdue: HashMap::new(),
            queue: VecDeque::new(),
            turns: 0,
            wakes: Vec::new(),
        };
        this.add_counter(limit);
        this
    }

    /// Changes how often others may pass a node.
    #[cfg(test)]
    pub(super) const fn patience(mut self, times: u64) -> Self {
        self.patience = times;
        self
    }

    /// Returns the counter of which every attempt takes one.
    pub(crate) const fn global(&self) -> CounterId {
        CounterId(0)
    }

    /// Adds a counter: permits of a tool, a pool, units of CPU or memory.
    pub(crate) fn add_counter(&mut self, limit: u64) -> CounterId {
        let counter = Counter {
            limit,
            ..Counter::default()
        };
        if let Some(index) = self.unused_counters.pop() {
            self.counters[index as usize] = counter;
            return CounterId(index);
        }
        self.counters.push(counter);
        CounterId(u32::try_from(self.counters.len() - 1).expect("nobody has 4 billion counters"))
    }

    /// Removes a counter. No node that needs it may be left.
    pub(crate) fn remove_counter(&mut self, counter: CounterId) {
        self.set_limit(counter, 0);
        self.unused_counters.push(counter.0);
    }

    /// Changes a limit. What is in use beyond it stays so until it is given back; 0 pauses.
    pub(crate) fn set_limit(&mut self, counter: CounterId, limit: u64) {
        self.counters[counter.0 as usize].limit = limit;
        // What can't be had must not keep the rest from being used.
        let claimed = |claim: &Claim| claim.units(counter) > 0;
        if limit == 0 && self.claim.as_ref().is_some_and(claimed) {
            self.drop_claim(None);
        }
        self.wake_waiting(counter, None);
    }

    /// Returns a limit.
    pub(crate) fn limit(&self, counter: CounterId) -> u64 {
        self.counters[counter.0 as usize].limit
    }

    /// Returns how much is in use.
    pub(crate) fn used(&self, counter: CounterId) -> u64 {
        self.counters[counter.0 as usize].used
    }

    /// Returns a plan that is to be asked again what it starts next, because something was given back that it waits for.
    /// To be called until there is none, whenever a schedule or a limit was told something.
    pub(crate) fn pop_wake(&mut self) -> Option<PlanId> {
        while let Some(plan) = self.wakes.pop() {
            if let Some(slot) = self.plan(plan) {
                slot.told = false;
                return Some(plan);
            }
        }
        None
    }

    pub(super) fn join(&mut self) -> PlanId {
        let index = self.unused_plans.pop().unwrap_or_else(|| {
            self.plans.push(Plan::default());
            u32::try_from(self.plans.len() - 1).expect("nobody has 4 billion plans")
        });
        PlanId {
            index,
            generation: self.plans[index as usize].generation,
        }
    }

    pub(super) fn leave(&mut self, plan: PlanId) {
        self.forget_claims(plan);
        if let Some(slot) = self.plan(plan) {
            *slot = Plan {
                generation: slot.generation.wrapping_add(1),
                ..Plan::default()
            };
            self.unused_plans.push(plan.index);
        }
    }

    /// Returns the first counter that has not enough left for the node.
    pub(super) fn lacks(&self, plan: PlanId, node: u32, needs: &[Need]) -> Option<Need> {
        let claim = self.claim.as_ref().filter(|claim| !claim.is_of(plan, node));
        let fits = |need: &Need| {
            let counter = &self.counters[need.counter.0 as usize];
            let claimed = claim.map_or(0, |claim| claim.units(need.counter));
            // Who needs more than there is gets it alone.
            counter.used.saturating_add(need.units).saturating_add(claimed) <= counter.limit
                || (counter.used == 0 && claimed == 0 && counter.limit > 0)
        };
        needs.iter().find(|need| !fits(need)).copied()
    }

    /// Has the node wait for another one's lock, if one is in its way, and returns whether it is so.
    pub(super) fn wait_for_locks(&mut self, plan: PlanId, node: u32, locks: &[Lock]) -> bool {
        if let Some(resource) = self.locks.blocker(locks) {
            self.locks.wait(&resource, plan, node);
            return true;
        }
        let claim = self.claim.as_mut();
        let claim = claim.filter(|claim| !claim.is_of(plan, node) && claim.conflicts(locks));
        if let Some(claim) = claim {
            claim.waiting.push((plan, node));
            return true;
        }
        false
    }

    /// Takes what a node needs. It fits.
    pub(super) fn take(&mut self, plan: PlanId, node: u32, needs: &[Need], locks: &[Lock]) {
        for need in needs {
            let counter = &mut self.counters[need.counter.0 as usize];
            counter.used += need.units;
            counter.grants += 1;
        }
        if !locks.is_empty() {
            self.locks.take(locks);
        }
        self.forget_claim(plan, node);
    }

    /// Gives back what an attempt had.
    pub(super) fn give_back(&mut self, plan: PlanId, needs: &[Need], locks: &[Lock]) {
        for need in needs {
            let counter = &mut self.counters[need.counter.0 as usize];
            counter.used -= need.units;
            if !counter.waiting.is_empty() {
                self.wake_waiting(need.counter, Some(plan));
            }
        }
        if !locks.is_empty() {
            let Self {
                locks: held,
                plans,
                wakes,
                ..
            } = self;
            held.give_back(locks, |other, node| {
                if let Some(slot) = tell(plans, wakes, other, Some(plan)) {
                    slot.nodes.push(node);
                }
            });
        }
    }

    /// Has a class of nodes wait until something of the counter is given back.
    pub(super) fn wait(&mut self, counter: CounterId, plan: PlanId, class: u32) {
        self.counters[counter.0 as usize].waiting.push((plan, class));
    }

    /// Returns how often something of the counter was taken.
    pub(super) fn grants(&self, counter: CounterId) -> u64 {
        self.counters[counter.0 as usize].grants
    }

    /// Keeps free what a node lacks of a counter, if it is the node's turn. A node that was passed too often gets one, after
    /// those that have one already. Returns the turn of the node, if it has one.
    pub(super) fn claim(&mut self, plan: PlanId, node: u32, lacks: Need, passed: u64) -> Option<u64> {
        let limit = self.limit(lacks.counter);
        if limit == 0 {
            // Nobody knows when that changes; the rest is not kept idle for it.
            self.forget_turn(plan, node, None);
            return None;
        }
        let turn = self.turn(plan, node, passed)?;
        if let Some(claim) = &mut self.claim
            && claim.is_of(plan, node)
        {
            claim.add_counter(lacks.counter, lacks.units.min(limit));
        }
        Some(turn)
    }

    /// The same for locks.
    pub(super) fn claim_locks(
        &mut self,
        plan: PlanId,
        node: u32,
        locks: &[Lock],
        passed: u64,
    ) -> Option<u64> {
        let turn = self.turn(plan, node, passed)?;
        if let Some(claim) = &mut self.claim
            && claim.is_of(plan, node)
        {
            claim.add_locks(locks);
        }
        Some(turn)
    }

    /// Ends the claim and the turn of a node, if it has them: it has started, or never will.
    pub(super) fn forget_claim(&mut self, plan: PlanId, node: u32) {
        self.forget_turn(plan, node, Some(plan));
    }

    fn forget_turn(&mut self, plan: PlanId, node: u32, by: Option<PlanId>) {
        if !self.overdue.is_empty() {
            self.overdue.remove(&(plan, node));
        }
        let own = |claim: &Claim| claim.is_of(plan, node);
        if self.claim.as_ref().is_some_and(own) {
            self.drop_claim(by);
        }
    }

    /// Hands over the classes and the nodes that the plan has to look at again.
    pub(super) fn take_woken(&mut self, plan: PlanId, classes: &mut Vec<u32>, nodes: &mut Vec<u32>) {
        if let Some(slot) = self.plan(plan) {
            classes.append(&mut slot.classes);
            nodes.append(&mut slot.nodes);
        }
    }

    /// Ends the claims and the turns of a plan: none of its nodes will start any more.
    pub(super) fn forget_claims(&mut self, plan: PlanId) {
        self.overdue.retain(|(of, _), _| *of != plan);
        if self.claim.as_ref().is_some_and(|claim| claim.is_of_plan(plan)) {
            self.drop_claim(Some(plan));
        }
    }

    fn plan(&mut self, plan: PlanId) -> Option<&mut Plan> {
        let slot = self.plans.get_mut(plan.index as usize)?;
        (slot.generation == plan.generation).then_some(slot)
    }

    /// Returns the turn of a node, if it has one or gets one now. It holds the claim when its turn has come.
    fn turn(&mut self, plan: PlanId, node: u32, passed: u64) -> Option<u64> {
        if let Some(claim) = &self.claim
            && claim.is_of(plan, node)
        {
            return Some(claim.turn);
        }
        let turn = match self.overdue.get(&(plan, node)) {
            Some(turn) => *turn,
            None if passed < self.patience => return None,
            None => {
                self.turns += 1;
                self.overdue.insert((plan, node), self.turns);
                self.queue.push_back((plan, node, self.turns));
                self.turns
            }
        };
        if self.claim.is_none() {
            let Self { queue, overdue, .. } = self;
            // Some have started since by themselves.
            while let Some((plan, node, turn)) = queue.front()
                && overdue.get(&(*plan, *node)) != Some(turn)
            {
                queue.pop_front();
            }
            if queue.front() == Some(&(plan, node, turn)) {
                queue.pop_front();
                overdue.remove(&(plan, node));
                self.claim = Some(Claim::new(plan, node, turn));
            }
        }
        Some(turn)
    }

    fn drop_claim(&mut self, by: Option<PlanId>) {
        let Some(claim) = self.claim.take() else {
            return;
        };
        for counter in claim.counters() {
            self.wake_waiting(counter, by);
        }
        for (plan, node) in claim.waiting {
            if let Some(slot) = tell(&mut self.plans, &mut self.wakes, plan, by) {
                slot.nodes.push(node);
            }
        }
    }

    fn wake_waiting(&mut self, counter: CounterId, by: Option<PlanId>) {
        let Self {
            counters,
            plans,
            wakes,
            ..
        } = self;
        for (plan, class) in counters[counter.0 as usize].waiting.drain(..) {
            if let Some(slot) = tell(plans, wakes, plan, by) {
                slot.classes.push(class);
            }
        }
    }
}

/// Has a plan woken, unless it is the one that has done what there is to tell: it asks for its next node anyway.
fn tell<'a>(
    plans: &'a mut [Plan],
    wakes: &mut Vec<PlanId>,
    plan: PlanId,
    by: Option<PlanId>,
) -> Option<&'a mut Plan> {
    let slot = plans.get_mut(plan.index as usize)?;
    if slot.generation != plan.generation {
        return None;
    }
    if !slot.told && by != Some(plan) {
        slot.told = true;
        wakes.push(plan);
    }
    Some(slot)
}
