//! The graph of a plan, and the questions it answers.

use super::analyze::Facts;
use super::{Cycle, Cycles, Edge};
use crate::reference::Reference;
use crate::{Access, Names};

/// Which calls of a plan have to end before which may begin.
///
/// Calls are named by their index, which is their place in the order of emission, or by their id.
///
/// # Examples
///
/// ```
/// use serde_json::json;
/// use throng_tools::{Assume, Call, Declared, Dependencies, Plan};
///
/// let plan = Plan::new([
///     Call::new("a", "search", json!({ "query": "x" })),
///     Call::new("b", "search", json!({ "query": "y" })),
///     Call::new("c", "join", json!({ "pages": ["$a.page", "$b.page"] })),
/// ])?;
/// let graph = Dependencies::analyze(&plan, Some(Assume::Independent), |_| Declared::nothing())?;
/// assert_eq!(graph.identify_independent(), ["a", "b"]);
/// assert_eq!(graph.waves(), [vec![0, 1], vec![2]]);
/// assert_eq!(
///     graph.explain("c", "a").map(|why| why.to_string()).as_deref(),
///     Some("`c` waits for `a`: argument `pages[0]` is `$a.page`")
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Dependencies {
    names: Names,
    facts: Vec<Facts>,
    /// Sorted by the call that waits, then by the other.
    edges: Vec<Edge>,
    /// Where in `edges` those of each call begin; one more than there are calls.
    starts: Vec<usize>,
    order: Vec<u32>,
    /// The place of each call in `order`; blocked calls have none.
    places: Vec<Option<u32>>,
    cycles: Vec<Cycle>,
    blocked: Vec<bool>,
}

impl Dependencies {
    pub(super) fn new(
        names: Names,
        facts: Vec<Facts>,
        edges: Vec<Edge>,
        order: Vec<u32>,
        cycles: Vec<Cycle>,
        blocked: Vec<bool>,
    ) -> Self {
        let mut starts = vec![0; facts.len() + 1];
        for edge in &edges {
            if let Some(start) = starts.get_mut(edge.to as usize + 1) {
                *start += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut places = vec![None; facts.len()];
        for (place, &call) in (0..).zip(&order) {
            if let Some(known) = places.get_mut(call as usize) {
                *known = Some(place);
            }
        }
        Self {
            names,
            facts,
            edges,
            starts,
            order,
            places,
            cycles,
            blocked,
        }
    }

    /// Returns how many calls there are.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// Returns the ids of the calls, by which references are found.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Returns the id of a call.
    pub fn id(&self, call: u32) -> Option<&str> {
        self.names.id(call).map(AsRef::as_ref)
    }

    /// Returns the index of a call.
    pub fn index(&self, id: &str) -> Option<u32> {
        self.names.index(id)
    }

    /// Returns all arrows, sorted by the call that waits. Conflicts and rules that others imply are left out.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Returns the arrows that lead to a call: what it waits for.
    pub fn incoming(&self, call: u32) -> &[Edge] {
        let at = call as usize;
        let bounds = (self.starts.get(at), self.starts.get(at + 1));
        match bounds {
            (Some(&start), Some(&end)) => self.edges.get(start..end).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Returns each pair of a call and one that waits for it once, whatever the reasons, sorted by the one that waits.
    pub fn pairs(&self) -> Vec<(u32, u32)> {
        let mut pairs: Vec<_> = self.edges.iter().map(|edge| (edge.from, edge.to)).collect();
        pairs.dedup();
        pairs
    }

    /// Returns the references in the arguments of a call.
    pub fn references(&self, call: u32) -> &[Reference] {
        self.facts(call)
            .map(|facts| facts.references.as_slice())
            .unwrap_or_default()
    }

    /// Returns what a call touches, by its own word, its tool's, or by what is assumed.
    pub fn accesses(&self, call: u32) -> &[Access] {
        self.facts(call)
            .map(|facts| facts.accesses.as_slice())
            .unwrap_or_default()
    }

    /// Returns the order in which the calls would run one by one: that of emission, but for calls that refer to later
    /// ones. Calls that wait for each other are not in it.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Returns the calls that wait for no other, by id, in the order of emission.
    pub fn identify_independent(&self) -> Vec<&str> {
        self.ids(|call| self.incoming(call).is_empty())
    }

    /// Returns the calls that wait for another, by id, in the order of emission.
    pub fn identify_dependent(&self) -> Vec<&str> {
        self.ids(|call| !self.incoming(call).is_empty())
    }

    /// Returns each call with those that it waits for, by id, in the order of emission.
    pub fn graph(&self) -> Vec<(&str, Vec<&str>)> {
        (0..)
            .zip(&self.facts)
            .filter_map(|(call, _)| {
                let mut waits_for: Vec<_> = self.incoming(call).iter().map(|edge| edge.from).collect();
                waits_for.dedup();
                let waits_for = waits_for.into_iter().filter_map(|call| self.id(call));
                Some((self.id(call)?, waits_for.collect()))
            })
            .collect()
    }

    /// Returns the calls that wait for each other.
    pub fn cycles(&self) -> &[Cycle] {
        &self.cycles
    }

    /// Returns true if the call is in a cycle, so that it can never begin.
    pub fn is_blocked(&self, call: u32) -> bool {
        self.blocked.get(call as usize) == Some(&true)
    }

    /// Returns `Ok` if every call can begin.
    ///
    /// # Errors
    ///
    /// [`Cycles`] with the whole way of each, the argument behind each arrow, and where to cut it.
    pub fn check(&self) -> Result<(), Cycles> {
        if self.cycles.is_empty() {
            Ok(())
        } else {
            Err(Cycles {
                cycles: self.cycles.clone(),
            })
        }
    }

    pub(super) fn facts(&self, call: u32) -> Option<&Facts> {
        self.facts.get(call as usize)
    }

    pub(super) fn all_facts(&self) -> &[Facts] {
        &self.facts
    }

    /// Returns true if the first call comes before the second in the order in which they would run one by one.
    pub(super) fn comes_before(&self, first: u32, second: u32) -> bool {
        let place = |call: u32| self.places.get(call as usize).copied().flatten();
        matches!((place(first), place(second)), (Some(first), Some(second)) if first < second)
    }

    fn ids(&self, mut keep: impl FnMut(u32) -> bool) -> Vec<&str> {
        (0..)
            .take(self.len())
            .filter(|&call| keep(call))
            .filter_map(|call| self.id(call))
            .collect()
    }
}
