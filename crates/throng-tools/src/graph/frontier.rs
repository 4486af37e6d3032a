//! The accesses that a new one may conflict with, kept in a tree of resources.
//!
//! Invariant: whoever conflicts with an access that is no longer here also conflicts with one that came after it, is
//! here, and waits for it. So the arrows from here are few, and their transitive closure is that of all conflicts.

use std::collections::HashMap;

use crate::access::FILE;
use crate::{Access, Mode, Resource};

/// The calls that touched resources last.
#[derive(Debug)]
pub(super) struct Frontier {
    nodes: Vec<Node>,
    segments: HashMap<Box<str>, u32>,
    children: HashMap<(u32, u32), u32>,
}

/// A resource: what touched exactly this one, and what lies in it.
#[derive(Debug, Default)]
struct Node {
    /// Those that have been touched since everything in here was written.
    children: Vec<u32>,
    active: bool,
    writer: Option<u32>,
    /// Ascending.
    readers: Vec<u32>,
    /// How many nodes below have a writer.
    writers_below: u32,
    /// For relative `file:` paths the node of the absolute ones, and the other way round.
    apart: Option<u32>,
}

const ROOT: u32 = 0;

impl Frontier {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
            segments: HashMap::new(),
            children: HashMap::new(),
        }
    }

    /// Gives the calls that a call with these accesses has to wait for (some more than once), and takes its accesses
    /// in.
    ///
    /// # Complexity
    ///
    /// Linear in the length of the paths and in the number of calls given, amortised over all calls.
    pub(super) fn add(&mut self, call: u32, accesses: &[Access], mut each: impl FnMut(u32)) {
        let places: Vec<_> = accesses
            .iter()
            .map(|access| (self.locate(&access.resource), access.mode != Mode::Read))
            .collect();
        for (path, writes) in &places {
            self.conflicts(path, *writes, &mut each);
        }
        for (path, writes) in &places {
            self.take_in(path, *writes, call);
        }
    }

    fn conflicts(&self, path: &[u32], writes: bool, each: &mut impl FnMut(u32)) {
        let on_path = || path.iter().filter_map(|&at| self.node(at));
        let last = on_path().filter_map(|node| node.writer).max();
        let is_new = |call: u32| last.is_none_or(|last| call > last);
        let mut given = 0_usize;
        let mut give = |call: u32| {
            given += 1;
            each(call);
        };
        if writes {
            for node in on_path() {
                let new = node.readers.iter().rev().take_while(|&&call| is_new(call));
                new.for_each(|&call| give(call));
            }
        }
        if let Some(&own) = path.last() {
            let below = self.node(own).map_or(&[][..], |node| &node.children);
            self.inside(below, writes, &mut give);
        }
        if let Some(apart) = on_path().find_map(|node| node.apart) {
            self.inside(&[apart], writes, &mut |call| {
                if is_new(call) {
                    give(call);
                }
            });
        }
        // Whatever was given waits for the last writer already.
        if let (0, Some(last)) = (given, last) {
            each(last);
        }
    }

    /// Gives those that touched something in the nodes: for a write all, for a read the writers. A writer is left out if
    /// one that is given waits for it.
    fn inside(&self, nodes: &[u32], writes: bool, give: &mut impl FnMut(u32)) {
        // Depth first, with an explicit stack: paths may be longer than a thread's stack bears. With each node goes the
        // newest reader around it.
        let mut stack: Vec<(u32, Option<u32>)> = nodes.iter().map(|&at| (at, None)).collect();
        while let Some((at, around)) = stack.pop() {
            let Some(node) = self.node(at) else { continue };
            if !writes && node.writer.is_none() && node.writers_below == 0 {
                continue;
            }
            let around = match writes {
                true => around.max(node.readers.last().copied()),
                false => None,
            };
            if writes {
                node.readers.iter().for_each(|&call| give(call));
            }
            if let Some(writer) = node.writer
                && node.writers_below == 0
                && around.is_none_or(|reader| reader < writer)
            {
                give(writer);
            }
            stack.extend(node.children.iter().map(|&child| (child, around)));
        }
    }

    fn take_in(&mut self, path: &[u32], writes: bool, call: u32) {
        self.activate(path);
        let Some((&own, above)) = path.split_last() else {
            return;
        };
        if !writes {
            if let Some(node) = self.node_mut(own)
                && node.readers.last() != Some(&call)
            {
                node.readers.push(call);
            }
            return;
        }
        let Some(node) = self.node_mut(own) else { return };
        let removed = node.writers_below;
        let added = u32::from(node.writer.is_none());
        node.writer = Some(call);
        node.readers.clear();
        node.writers_below = 0;
        let mut stack = std::mem::take(&mut node.children);
        while let Some(node) = stack.pop().and_then(|at| self.node_mut(at)) {
            node.writer = None;
            node.readers = Vec::new();
            node.writers_below = 0;
            node.active = false;
            stack.append(&mut node.children);
        }
        for &at in above {
            if let Some(node) = self.node_mut(at) {
                node.writers_below = node.writers_below + added - removed;
            }
        }
    }

    fn activate(&mut self, path: &[u32]) {
        for pair in path.windows(2) {
            let &[parent, child] = pair else { continue };
            if let Some(node) = self.node_mut(child)
                && !std::mem::replace(&mut node.active, true)
                && let Some(parent) = self.node_mut(parent)
            {
                parent.children.push(child);
            }
        }
    }

    /// Returns the nodes from the root to the resource.
    fn locate(&mut self, resource: &Resource) -> Vec<u32> {
        let parts = resource.parts();
        let mut path = vec![ROOT];
        let Some(scheme) = parts.scheme else { return path };
        let top = self.child(ROOT, scheme);
        path.push(top);
        let Some(inside) = parts.path else { return path };
        let mut at = top;
        if scheme == FILE {
            let absolute = self.child(top, "/");
            let relative = self.child(top, ".");
            for (one, other) in [(absolute, relative), (relative, absolute)] {
                if let Some(node) = self.node_mut(one) {
                    node.apart = Some(other);
                }
            }
            at = if parts.absolute { absolute } else { relative };
            path.push(at);
        }
        for segment in inside.split('/').filter(|segment| !segment.is_empty()) {
            at = self.child(at, segment);
            path.push(at);
        }
        path
    }

    fn child(&mut self, parent: u32, segment: &str) -> u32 {
        let segment = match self.segments.get(segment) {
            Some(&known) => known,
            None => {
                let new = u32::try_from(self.segments.len()).unwrap_or(u32::MAX);
                self.segments.insert(segment.into(), new);
                new
            }
        };
        *self.children.entry((parent, segment)).or_insert_with(|| {
            self.nodes.push(Node::default());
            u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn node(&self, at: u32) -> Option<&Node> {
        self.nodes.get(at as usize)
    }

    fn node_mut(&mut self, at: u32) -> Option<&mut Node> {
        self.nodes.get_mut(at as usize)
    }
}
