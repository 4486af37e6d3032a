//! The nodes that are ready: a heap for each class of nodes that need the same, and a heap of the classes that may have room.
//!
//! A class that was refused is out of the heap of classes until the counter that refused it is given something back. So a
//! class costs nothing while it can't start, however many of its nodes are ready.

use std::collections::{BinaryHeap, HashMap};

use super::CounterId;
use super::node::{ClassId, Need, Rank};

/// Nodes that need the same.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) needs: Box<[Need]>,
    /// The places of the counters among those that the schedule keeps count of.
    pub(super) counts: Box<[u32]>,
    pub(super) heap: BinaryHeap<Rank>,
    /// It waits for something of this counter, by its place.
    pub(super) waits_for: Option<u32>,
    /// Since when it waits, and how often it was passed.
    pub(super) passed: Passed,
}

/// How often others have taken what a class waits for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    /// By whom, and on which counter: what other plans had taken of it before.
    pub(super) since: Option<(u32, u64)>,
    /// By lower-ranked nodes of the same plan.
    pub(super) by_own: u64,
}

/// What the schedule knows of a counter.
#[derive(Debug)]
pub(super) struct Count {
    pub(super) counter: CounterId,
    /// How often the schedule has taken something of it.
    pub(super) grants: u64,
    /// The highest of the ranks that wait for it, and its class.
    pub(super) first: Option<(Rank, u32)>,
}

#[derive(Debug, Default)]
pub(super) struct Ready {
    pub(super) classes: Vec<Class>,
    pub(super) counts: Vec<Count>,
    ids: HashMap<Box<[Need]>, u32>,
    /// The classes that may have room, by the ranks that were their highest; some are out of date.
    open: BinaryHeap<(Rank, u32)>,
}

impl Ready {
    /// Returns the class of nodes that need this much.
    pub(super) fn class(&mut self, needs: Vec<Need>) -> ClassId {
        let needs = needs.into_boxed_slice();
        if let Some(id) = self.ids.get(&needs) {
            return ClassId(*id);
        }
        let counts = needs.iter().map(|need| self.count(need.counter)).collect();
        let id = u32::try_from(self.classes.len()).expect("there are no more classes than nodes");
        self.ids.insert(needs.clone(), id);
        self.classes.push(Class {
            needs,
            counts,
            heap: BinaryHeap::new(),
            waits_for: None,
            passed: Passed::default(),
        });
        ClassId(id)
    }

    pub(super) fn push(&mut self, class: u32, rank: Rank) {
        let of = &mut self.classes[class as usize];
        let first = of.heap.peek().is_none_or(|top| rank > *top);
        of.heap.push(rank);
        if first {
            if rank.is_overdue() {
                // It may have been its own claim that refused the rest of the class.
                of.waits_for = None;
            }
            match of.waits_for {
                None => self.open.push((rank, class)),
                Some(count) => self.counts[count as usize].raise(rank, class),
            }
        }
    }

    /// Returns the highest rank of the classes that may have room.
    pub(super) fn top(&mut self) -> Option<(Rank, u32)> {
        while let Some((rank, class)) = self.open.peek().copied() {
            let of = &self.classes[class as usize];
            if of.waits_for.is_none() && of.heap.peek() == Some(&rank) {
                return Some((rank, class));
            }
            self.open.pop();
        }
        None
    }

    /// Takes the highest of the class that [`Self::top`] has returned away.
    pub(super) fn pop(&mut self, class: u32) -> Option<Rank> {
        self.open.pop();
        let of = &mut self.classes[class as usize];
        let rank = of.heap.pop()?;
        if let Some(next) = of.heap.peek() {
            self.open.push((*next, class));
        }
        Some(rank)
    }

    /// Counts what a node of the class takes.
    pub(super) fn granted(&mut self, class: u32, rank: Rank) {
        let Self { classes, counts, .. } = self;
        let places = std::mem::take(&mut classes[class as usize].counts);
        for place in &places {
            let count = &mut counts[*place as usize];
            count.grants += 1;
            if let Some((first, of)) = count.first
                && first > rank
            {
                classes[of as usize].passed.by_own += 1;
            }
        }
        classes[class as usize].counts = places;
    }

    /// Has the class wait for something of the counter at this place.
    pub(super) fn wait(&mut self, class: u32, count: u32) {
        let of = &mut self.classes[class as usize];
        of.waits_for = Some(count);
        if let Some(top) = of.heap.peek() {
            self.counts[count as usize].raise(*top, class);
        }
    }

    /// Has the class looked at again.
    pub(super) fn wake(&mut self, class: u32) {
        let of = &mut self.classes[class as usize];
        let Some(count) = of.waits_for.take() else {
            return;
        };
        if let Some(top) = of.heap.peek() {
            self.open.push((*top, class));
        }
        // All that wait for a counter are woken together.
        self.counts[count as usize].first = None;
    }

    /// Takes all nodes out.
    pub(super) fn drain(&mut self) -> Vec<Rank> {
        self.open.clear();
        self.counts.iter_mut().for_each(|count| count.first = None);
        let heaps = self.classes.iter_mut().map(|class| &mut class.heap);
        heaps.flat_map(BinaryHeap::drain).collect()
    }

    fn count(&mut self, counter: CounterId) -> u32 {
        let known = self.counts.iter().position(|count| count.counter == counter);
        let place = known.unwrap_or_else(|| {
            self.counts.push(Count {
                counter,
                grants: 0,
                first: None,
            });
            self.counts.len() - 1
        });
        u32::try_from(place).expect("nobody has 4 billion counters")
    }
}

impl Count {
    fn raise(&mut self, rank: Rank, class: u32) {
        if self.first.is_none_or(|(first, _)| rank > first) {
            self.first = Some((rank, class));
        }
    }
}
