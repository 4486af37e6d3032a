//! What is taken for the duration of a node of which nothing is known.

use super::node::{Node, UNKNOWN};

/// Returns the median of the known estimates: 1 if there is none, so that the levels count the steps to the end.
pub(super) fn usual(nodes: &[Node]) -> u64 {
    if nodes.iter().all(|node| node.estimate == UNKNOWN) {
        return 1;
    }
    let known = nodes.iter().map(|node| node.estimate);
    let mut known: Vec<u64> = known.filter(|estimate| *estimate != UNKNOWN).collect();
    let middle = known.len() / 2;
    *known.select_nth_unstable(middle).1
}
