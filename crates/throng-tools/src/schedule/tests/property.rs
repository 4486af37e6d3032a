//! Random plans on one admission, beside the model.

use super::super::*;
use super::model::{At, Model, ModelNode, ModelPlan};
use crate::FailurePolicy;

/// Returns how many cases a random suite tries: `THRONG_CASES`, or a small number.
pub(super) fn cases(few: u64) -> u64 {
    std::env::var("THRONG_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(few)
}

const NAMES: [&str; 7] = ["*", "file:", "file:/a", "file:/a/b", "file:/ab", "db:t", "db:u"];
const KINDS: [EdgeKind; 4] = [
    EdgeKind::Explicit,
    EdgeKind::Reference,
    EdgeKind::Conflict,
    EdgeKind::Policy,
];
const POLICIES: [FailurePolicy; 3] = [
    FailurePolicy::Continue,
    FailurePolicy::SkipDependents,
    FailurePolicy::FailFast,
];

struct World {
    seed: u64,
    random: fastrand::Rng,
    admission: Admission,
    schedules: Vec<Schedule>,
    model: Model,
    counters: Vec<CounterId>,
    /// Nobody is put before others for having been passed.
    strict: bool,
    now: Tick,
    /// How many plans do anything but continue.
    on_failure: FailurePolicy,
    with_locks: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let strict = random.bool();
        let limit = random.u64(1..6);
        let patience = if strict { u64::MAX } else { random.u64(0..4) };
        let mut admission = Admission::new(limit).patience(patience);
        let mut limits = vec![(admission.global(), limit)];
        let mut counters = Vec::new();
        for _ in 0..random.usize(0..4) {
            let limit = random.u64(1..5);
            let counter = admission.add_counter(limit);
            counters.push(counter);
            limits.push((counter, limit));
        }
        let mut schedules = Vec::new();
        let mut plans = Vec::new();
        for _ in 0..random.usize(1..4) {
            let limit = random.u64(1..5);
            let schedule = Schedule::new(&mut admission, Some(limit));
            limits.push((schedule.limit(), limit));
            schedules.push(schedule);
            plans.push(ModelPlan::default());
        }
        Self {
            seed,
            strict,
            admission,
            schedules,
            model: Model { plans, limits },
            counters,
            now: 0,
            on_failure: POLICIES[random.usize(0..3)],
            with_locks: random.bool(),
            random,
        }
    }

    /// Adds a node to both.
    fn add(&mut self, plan: usize, held: bool) -> usize {
        let random = &mut self.random;
        let mut own: Vec<(CounterId, u64)> = Vec::new();
        for counter in &self.counters {
            if random.u32(0..3) == 0 {
                own.push((*counter, random.u64(1..6)));
            }
        }
        let schedule = &mut self.schedules[plan];
        let class = schedule.class(&self.admission, &own);
        let mut needs = vec![(self.admission.global(), 1), (schedule.limit(), 1)];
        needs.extend(own);
        let n_locks = if self.with_locks { random.usize(0..3) } else { 0 };
        let locks: Vec<(&str, bool)> = (0..n_locks)
            .map(|_| (NAMES[random.usize(0..NAMES.len())], random.bool()))
            .collect();
        let priority = if random.u32(0..4) == 0 {
            random.i32(-1..2)
        } else {
            0
        };
        let estimate = random.u64(1..9);
        let locked = locks.iter().map(|(name, alone)| {
            if *alone {
                Lock::alone(*name)
            } else {
                Lock::shared(*name)
            }
        });
        let on_failure = if random.u32(0..4) == 0 {
            self.on_failure
        } else {
            FailurePolicy::Continue
        };
        let index = schedule.add(NodeSpec {
            class,
            priority,
            estimate: Some(estimate),
            on_failure,
            locks: locked.collect(),
            held,
        });
        let stopped = self.model.plans[plan].stopped;
        self.model.plans[plan].nodes.push(ModelNode {
            needs,
            locks,
            before: Vec::new(),
            priority,
            estimate,
            on_failure,
            held,
            at: if stopped { At::Dropped } else { At::Waiting },
            lost: stopped,
            retried: false,
            level: estimate,
            weight: 0,
        });
        if stopped {
            self.expect_dropped(plan, vec![index as usize]);
        }
        index as usize
    }

    fn edge(&mut self, plan: usize, from: usize, to: usize) {
        let kind = KINDS[self.random.usize(0..4)];
        let (a, b) = (u32::try_from(from).unwrap(), u32::try_from(to).unwrap());
        self.schedules[plan].edge(a, b, kind);
        let of = &mut self.model.plans[plan];
        of.nodes[to].before.push((from, kind));
        let before = &of.nodes[from];
        let passes = match kind {
            EdgeKind::Reference => true,
            EdgeKind::Explicit => before.on_failure != FailurePolicy::Continue,
            _ => false,
        };
        if before.lost && passes && of.nodes[to].at == At::Waiting {
            of.nodes[to].at = At::Dropped;
            let policy = of.nodes[to].on_failure;
            let mut dropped = of.fail(to, policy);
            dropped.push(to);
            self.expect_dropped(plan, dropped);
        }
    }

    fn expect_dropped(&mut self, plan: usize, mut expect: Vec<usize>) {
        let schedule = &mut self.schedules[plan];
        let mut found: Vec<usize> = std::iter::from_fn(|| schedule.pop_dropped())
            .map(|dropped| dropped.node as usize)
            .collect();
        found.sort_unstable();
        expect.sort_unstable();
        assert_eq!(found, expect, "seed {}", self.seed);
    }

    /// Starts what the plan starts, and checks each.
    fn start(&mut self, plan: usize) {
        while let Some(start) = self.schedules[plan].next(&mut self.admission, self.now) {
            let node = start.node as usize;
            let seed = self.seed;
            let of = &self.model.plans[plan];
            assert!(
                of.is_ready(node, self.now),
                "seed {seed}: {node} is not ready at {}: {:?}",
                self.now,
                of.nodes[node]
            );
            assert!(
                self.model.fits(&of.nodes[node]),
                "seed {seed}: no room for {node}"
            );
            if self.strict {
                assert_eq!(start.retried, of.nodes[node].retried, "seed {seed}");
                let first = (0..of.nodes.len())
                    .filter(|other| of.is_ready(*other, self.now) && self.model.fits(&of.nodes[*other]))
                    .max_by_key(|other| of.key(*other));
                assert_eq!(first, Some(node), "seed {seed}: another one goes first");
            }
            self.model.plans[plan].nodes[node].at = At::Running;
            self.model.plans[plan].nodes[node].retried = false;
        }
    }

    /// Has these plans start what they may, and those that are woken by that, and checks that nothing is left that could.
    fn settle(&mut self, plans: impl IntoIterator<Item = usize>) {
        plans.into_iter().for_each(|plan| self.start(plan));
        while let Some(id) = self.admission.pop_wake() {
            let plan = self.schedules.iter().position(|of| of.plan() == id).unwrap();
            self.start(plan);
        }
        for (counter, limit) in &self.model.limits {
            let used = self.model.used(*counter);
            assert_eq!(used, self.admission.used(*counter), "seed {}", self.seed);
            assert_eq!(*limit, self.admission.limit(*counter));
        }
        for (of, schedule) in self.model.plans.iter().zip(&self.schedules) {
            let ready = |node: &usize| of.is_ready(*node, self.now);
            let left = (0..of.nodes.len())
                .filter(ready)
                .find(|node| self.strict && self.model.fits(&of.nodes[*node]));
            assert_eq!(left, None, "seed {}: it was forgotten", self.seed);
            assert_eq!(of.is_done(), schedule.is_done(), "seed {}", self.seed);
        }
    }

    fn running(&mut self) -> Option<(usize, usize)> {
        let all = self.model.plans.iter().enumerate().flat_map(|(plan, of)| {
            let nodes = of.nodes.iter().enumerate();
            nodes
                .filter(|(_, node)| node.at == At::Running)
                .map(move |(node, _)| (plan, node))
        });
        let all: Vec<_> = all.collect();
        (!all.is_empty()).then(|| all[self.random.usize(0..all.len())])
    }

    /// Ends an attempt, one way or another.
    fn end(&mut self, plan: usize, node: usize) {
        let index = u32::try_from(node).unwrap();
        let schedule = &mut self.schedules[plan];
        let of = &mut self.model.plans[plan];
        match self.random.u32(0..8) {
            0 => {
                let due = self.now + self.random.u64(0..6);
                let again = schedule.retry_at(&mut self.admission, index, due);
                assert_eq!(again, !of.stopped);
                if again {
                    of.nodes[node].at = At::Backoff(due);
                    of.nodes[node].retried = true;
                    return;
                }
                schedule.ended(&mut self.admission, index, End::Failed);
                of.nodes[node].at = At::Ended;
            }
            1 => {
                schedule.ended(&mut self.admission, index, End::Failed);
                of.nodes[node].at = At::Ended;
                let policy = of.nodes[node].on_failure;
                let dropped = if of.stopped {
                    Vec::new()
                } else if policy == FailurePolicy::FailFast {
                    of.nodes[node].lost = true;
                    of.stop()
                } else {
                    of.fail(node, policy)
                };
                self.expect_dropped(plan, dropped);
            }
            _ => {
                schedule.ended(&mut self.admission, index, End::Succeeded);
                of.nodes[node].at = At::Ended;
            }
        }
    }

    fn cancel(&mut self, plan: usize, node: usize) {
        let of = &mut self.model.plans[plan];
        let may = matches!(of.nodes[node].at, At::Waiting | At::Backoff(_));
        let index = u32::try_from(node).unwrap();
        let done = self.schedules[plan].cancel(&mut self.admission, index);
        assert_eq!(done, may, "seed {}", self.seed);
        if !may {
            return;
        }
        // One in backoff has nothing before it: it is as good as ended.
        let backoff = of.nodes[node].at != At::Waiting;
        of.nodes[node].at = if backoff { At::Ended } else { At::Dropped };
        let policy = of.nodes[node].on_failure;
        let mut dropped = of.fail(node, policy);
        dropped.push(node);
        self.expect_dropped(plan, dropped);
    }

    fn run(mut self) {
        for plan in 0..self.schedules.len() {
            let n_nodes = self.random.usize(0..14);
            for _ in 0..n_nodes {
                self.add(plan, false);
            }
            // An order other than that of the indices.
            let mut order: Vec<usize> = (0..n_nodes).collect();
            if self.random.bool() {
                self.random.shuffle(&mut order);
            }
            for at in 1..n_nodes {
                for _ in 0..self.random.usize(0..3) {
                    let from = order[self.random.usize(0..at)];
                    self.edge(plan, from, order[at]);
                }
            }
            self.schedules[plan].start().unwrap();
            self.model.plans[plan].rank();
            self.settle(Some(plan));
        }
        for _ in 0..200 {
            self.step();
        }
        // Everything goes on, and comes to an end.
        for (counter, limit) in &mut self.model.limits {
            if *limit == 0 {
                *limit = 1;
                self.admission.set_limit(*counter, 1);
            }
        }
        for plan in 0..self.schedules.len() {
            for node in 0..self.model.plans[plan].nodes.len() {
                self.release(plan, node);
            }
        }
        self.now += 10;
        self.settle(0..self.schedules.len());
        while let Some((plan, node)) = self.running() {
            self.end(plan, node);
            self.now += 10;
            self.settle(0..self.schedules.len());
        }
        for (plan, schedule) in self.schedules.into_iter().enumerate() {
            assert!(schedule.is_done(), "seed {}: plan {plan} hangs", self.seed);
            schedule.close(&mut self.admission);
        }
        for (counter, _) in &self.model.limits {
            assert_eq!(self.admission.used(*counter), 0);
        }
    }

    fn release(&mut self, plan: usize, node: usize) {
        self.schedules[plan].release(u32::try_from(node).unwrap());
        self.model.plans[plan].nodes[node].held = false;
    }

    fn step(&mut self) {
        let plan = self.random.usize(0..self.schedules.len());
        let n_nodes = self.model.plans[plan].nodes.len();
        match self.random.u32(0..24) {
            0 => {
                let held = self.random.u32(0..4) > 0;
                let node = self.add(plan, held);
                if held {
                    for _ in 0..self.random.usize(0..3).min(n_nodes) {
                        let from = self.random.usize(0..n_nodes);
                        self.edge(plan, from, node);
                    }
                }
                self.settle(Some(plan));
            }
            1 if n_nodes > 0 => {
                let node = self.random.usize(0..n_nodes);
                self.release(plan, node);
                self.settle(Some(plan));
            }
            2 if n_nodes > 0 => {
                let node = self.random.usize(0..n_nodes);
                self.cancel(plan, node);
                self.settle(Some(plan));
            }
            3 => {
                let at = self.random.usize(0..self.model.limits.len());
                let limit = self.random.u64(0..5);
                self.model.limits[at].1 = limit;
                self.admission.set_limit(self.model.limits[at].0, limit);
                self.settle(None);
            }
            4 => {
                self.now += self.random.u64(0..4);
                self.settle(0..self.schedules.len());
            }
            _ => {
                if let Some((plan, node)) = self.running() {
                    self.end(plan, node);
                    self.settle(Some(plan));
                }
            }
        }
    }
}

#[test]
fn random_plans_agree_with_the_model() {
    for seed in 0..cases(3_000) {
        World::new(seed).run();
    }
}
