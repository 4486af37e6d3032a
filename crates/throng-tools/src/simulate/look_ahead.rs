//! A better order than by the critical path, for plans whose durations are known: forward-backward improvement.
//!
//! The plan is run backwards in virtual time, those first that ended last, and then forwards in the order in which the
//! backward run, read from its end, starts the nodes (Li and Willis, "An iterative scheduling technique for
//! resource-constrained project scheduling", EJOR 1992). Every run is one of the scheduler's own, so every result is
//! one that it can give.

use std::cmp::Reverse;

use super::drive::{Driven, drive};
use crate::schedule::{Cyclic, Tick};

/// How often a plan is run backwards and forwards.
const ROUNDS: usize = 3;
/// Plans with more nodes are left in the order by the critical path, which for them is as good as the bound.
const MOST_NODES: usize = 20_000;

/// Returns the best run that was found. None can be shorter than the work divided by the limit.
pub(super) fn look_ahead(
    durations: &[Tick],
    edges: &[(u32, u32)],
    limit: u64,
    share: Tick,
) -> Result<Driven, Cyclic> {
    let forwards = |order: Option<&[u32]>| drive(durations, edges.iter().copied(), limit, order);
    let mut best = forwards(None)?;
    if durations.len() > MOST_NODES {
        return Ok(best);
    }
    let bound = best.critical_path.max(share);
    let mut last = best.clone();
    for _ in 0..ROUNDS {
        if best.makespan <= bound {
            break;
        }
        let end = |node: u32| last.starts[node as usize] + durations[node as usize];
        let order = sorted(durations.len(), |node| (Reverse(end(node)), node));
        let turned = edges.iter().map(|(from, to)| (*to, *from));
        let backwards = drive(durations, turned, limit, Some(&order))?;
        let end = |node: u32| backwards.starts[node as usize] + durations[node as usize];
        let order = sorted(durations.len(), |node| (Reverse(end(node)), node));
        let next = forwards(Some(&order))?;
        if next.makespan < best.makespan {
            best.clone_from(&next);
        }
        last = next;
    }
    Ok(best)
}

fn sorted<K: Ord>(n_nodes: usize, key: impl Fn(u32) -> K) -> Vec<u32> {
    let n_nodes = u32::try_from(n_nodes).expect("a schedule counts its nodes in u32");
    let mut order: Vec<u32> = (0..n_nodes).collect();
    order.sort_by_key(|node| key(*node));
    order
}
