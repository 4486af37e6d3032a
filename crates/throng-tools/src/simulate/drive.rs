//! The clock of a simulation: it drives a schedule in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::schedule::{Admission, Cyclic, EdgeKind, End, NodeSpec, Schedule, Tick};

/// A schedule that was run.
#[derive(Clone, Debug)]
pub(super) struct Driven {
    /// When the last node ended.
    pub(super) makespan: Tick,
    /// When each node started.
    pub(super) starts: Vec<Tick>,
    /// The sum of the durations on the longest way through the graph.
    pub(super) critical_path: Tick,
}

/// Runs nodes of known durations, at most `limit` at the same time: in the scheduler's own order, or those first that come
/// first in the given order.
pub(super) fn drive(
    durations: &[Tick],
    edges: impl Iterator<Item = (u32, u32)>,
    limit: u64,
    order: Option<&[u32]>,
) -> Result<Driven, Cyclic> {
    let mut admission = Admission::new(limit);
    let mut schedule = Schedule::new(&mut admission, None);
    let class = schedule.class(&admission, &[]);
    for duration in durations {
        schedule.add(NodeSpec {
            estimate: Some(*duration),
            ..NodeSpec::new(class)
        });
    }
    for (from, to) in edges {
        schedule.edge(from, to, EdgeKind::Explicit);
    }
    schedule.start()?;
    let critical_path = schedule.critical_path();
    if let Some(order) = order {
        schedule.set_order(order);
    }
    let mut starts = vec![0; durations.len()];
    let mut running = BinaryHeap::new();
    let mut now = 0;
    loop {
        while let Some(start) = schedule.next(&mut admission, now) {
            let node = start.node as usize;
            starts[node] = now;
            running.push(Reverse((now + durations[node], start.node)));
        }
        let Some(Reverse((at, node))) = running.pop() else {
            break;
        };
        now = at;
        schedule.ended(&mut admission, node, End::Succeeded);
        // All that ends at this time makes room before anything starts.
        while let Some(Reverse((_, node))) = running.peek().copied().filter(|Reverse((at, _))| *at == now) {
            running.pop();
            schedule.ended(&mut admission, node, End::Succeeded);
        }
    }
    Ok(Driven {
        makespan: now,
        starts,
        critical_path,
    })
}
