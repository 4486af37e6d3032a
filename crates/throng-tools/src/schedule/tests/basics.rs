//! Single cases.

use super::super::*;
use crate::FailurePolicy;

/// A plan alone on an admission.
struct One {
    admission: Admission,
    schedule: Schedule,
    class: ClassId,
}

impl One {
    fn new(limit: u64) -> Self {
        let mut admission = Admission::new(limit);
        let mut schedule = Schedule::new(&mut admission, None);
        let class = schedule.class(&admission, &[]);
        Self {
            admission,
            schedule,
            class,
        }
    }

    /// Adds nodes and the edges between them.
    fn graph(limit: u64, n_nodes: u32, edges: &[(u32, u32, EdgeKind)], on_failure: FailurePolicy) -> Self {
        let mut this = Self::new(limit);
        for _ in 0..n_nodes {
            let class = this.class;
            this.schedule.add(NodeSpec {
                on_failure,
                ..NodeSpec::new(class)
            });
        }
        for (from, to, kind) in edges {
            this.schedule.edge(*from, *to, *kind);
        }
        this.schedule.start().unwrap();
        this
    }

    fn next(&mut self, now: Tick) -> Option<u32> {
        self.schedule
            .next(&mut self.admission, now)
            .map(|start| start.node)
    }

    fn all(&mut self, now: Tick) -> Vec<u32> {
        std::iter::from_fn(|| self.next(now)).collect()
    }

    fn ended(&mut self, node: u32, end: End) {
        self.schedule.ended(&mut self.admission, node, end);
    }

    fn dropped(&mut self) -> Vec<(u32, Because)> {
        let next = || self.schedule.pop_dropped();
        std::iter::from_fn(next)
            .map(|dropped| (dropped.node, dropped.because))
            .collect()
    }
}

use EdgeKind::{Conflict, Explicit, Reference};

#[test]
fn a_chain_runs_in_order() {
    let mut one = One::graph(
        4,
        3,
        &[(0, 1, Explicit), (1, 2, Reference)],
        FailurePolicy::Continue,
    );
    for node in 0..3 {
        assert_eq!(one.all(0), [node]);
        assert!(!one.schedule.is_done());
        one.ended(node, End::Succeeded);
    }
    assert!(one.schedule.is_done());
    one.schedule.close(&mut one.admission);
    assert_eq!(one.admission.used(one.admission.global()), 0);
}

#[test]
fn a_failure_skips_those_who_refer_to_it_and_nobody_overtakes() {
    // 3 comes after 1, which is skipped, and so after 2, which is before 1.
    let edges = [
        (0, 1, Reference),
        (2, 1, Conflict),
        (1, 3, Conflict),
        (1, 4, Explicit),
    ];
    let mut one = One::graph(4, 5, &edges, FailurePolicy::Continue);
    assert_eq!(one.all(0), [0, 2]);
    one.ended(0, End::Failed);
    assert_eq!(one.dropped(), [(1, Because::Failed(0))]);
    assert!(one.all(0).is_empty());
    one.ended(2, End::Succeeded);
    assert_eq!(one.all(0), [3, 4]);
}

#[test]
fn dependents_are_skipped_transitively() {
    let edges = [(0, 1, Explicit), (1, 2, Explicit), (2, 3, Conflict)];
    let mut one = One::graph(4, 4, &edges, FailurePolicy::SkipDependents);
    assert_eq!(one.all(0), [0]);
    one.ended(0, End::Failed);
    assert_eq!(one.dropped(), [(1, Because::Failed(0)), (2, Because::Failed(0))]);
    assert_eq!(one.all(0), [3]);
}

#[test]
fn a_plan_that_fails_fast_starts_nothing_more() {
    let mut one = One::graph(2, 4, &[(0, 3, Explicit)], FailurePolicy::FailFast);
    assert_eq!(one.all(0), [0, 1]);
    one.ended(1, End::Failed);
    let because = Because::FailedFast(1);
    assert_eq!(one.dropped(), [(2, because), (3, because)]);
    assert!(one.all(0).is_empty());
    assert!(!one.schedule.retry_at(&mut one.admission, 0, 5));
    let late = one.schedule.add(NodeSpec::new(one.class));
    assert_eq!(one.dropped(), [(late, because)]);
    one.ended(0, End::Failed);
    assert!(one.schedule.is_done());
}

#[test]
fn a_retry_waits_without_a_permit_and_goes_ahead() {
    let mut one = One::graph(1, 3, &[], FailurePolicy::Continue);
    assert_eq!(one.all(0), [0]);
    assert!(one.schedule.retry_at(&mut one.admission, 0, 10));
    assert_eq!(one.all(9), [1]);
    assert_eq!(one.schedule.next_due(), Some(10));
    one.ended(1, End::Succeeded);
    let start = one.schedule.next(&mut one.admission, 10);
    assert_eq!(
        start,
        Some(Start {
            node: 0,
            retried: true
        })
    );
}

#[test]
fn the_longest_way_goes_first_and_a_priority_before_it() {
    let mut one = One::new(1);
    for (estimate, priority) in [(5, 0), (3, 0), (3, 0), (1, 7)] {
        one.schedule.add(NodeSpec {
            estimate: Some(estimate),
            priority,
            ..NodeSpec::new(one.class)
        });
    }
    one.schedule.edge(1, 2, Explicit);
    one.schedule.start().unwrap();
    for node in [3, 1, 0, 2] {
        assert_eq!(one.all(0), [node]);
        one.ended(node, End::Succeeded);
    }
}

#[test]
fn nodes_on_a_cycle_are_named() {
    let mut one = One::new(1);
    for _ in 0..4 {
        one.schedule.add(NodeSpec::new(one.class));
    }
    one.schedule.edge(1, 2, Explicit);
    one.schedule.edge(2, 1, Explicit);
    one.schedule.edge(2, 3, Explicit);
    assert_eq!(one.schedule.start().unwrap_err().nodes, [1, 2, 3]);
}

#[test]
fn a_plan_grows_while_it_runs() {
    let mut one = One::graph(4, 1, &[], FailurePolicy::Continue);
    assert_eq!(one.all(0), [0]);
    let held = NodeSpec {
        held: true,
        ..NodeSpec::new(one.class)
    };
    let second = one.schedule.add(held.clone());
    one.schedule.edge(0, second, Reference);
    one.schedule.release(second);
    let third = one.schedule.add(held);
    one.ended(0, End::Succeeded);
    // The first has ended by now.
    one.schedule.edge(0, third, Reference);
    one.schedule.reprioritise().unwrap();
    assert_eq!(one.all(0), [second]);
    one.schedule.release(third);
    assert_eq!(one.all(0), [third]);
}

#[test]
fn who_needs_more_than_there_is_gets_it_alone() {
    let mut one = One::new(4);
    let pool = one.admission.add_counter(2);
    let class = one.schedule.class(&one.admission, &[(pool, 5)]);
    one.schedule.add(NodeSpec::new(class));
    one.schedule.add(NodeSpec::new(class));
    one.schedule.start().unwrap();
    assert_eq!(one.all(0), [0]);
    one.ended(0, End::Succeeded);
    assert_eq!(one.all(0), [1]);
}

#[test]
fn a_limit_of_zero_pauses() {
    let mut one = One::graph(0, 1, &[], FailurePolicy::Continue);
    assert!(one.all(0).is_empty());
    one.admission.set_limit(one.admission.global(), 1);
    assert_eq!(one.admission.pop_wake(), Some(one.schedule.plan()));
    assert_eq!(one.all(0), [0]);
}

#[test]
fn a_node_is_small() {
    assert!(size_of::<super::super::node::Node>() <= 64);
}
