//! The ids that references may name.

use std::collections::HashMap;
use std::sync::Arc;

/// The ids of the calls of a plan, by which references are told from plain text.
///
/// Cheap to make longer; a call's index is its place in the order of emission.
#[derive(Clone, Debug, Default)]
pub struct Names {
    by_id: HashMap<Arc<str>, u32>,
    ids: Vec<Arc<str>>,
    longest: usize,
}

impl Names {
    /// Makes a set of ids, in the order of the calls.
    pub fn new<I: Into<Arc<str>>>(ids: impl IntoIterator<Item = I>) -> Self {
        let mut names = Self::default();
        for id in ids {
            names.push(id);
        }
        names
    }

    /// Adds the id of the next call, and returns its index. An id that is there already keeps its first meaning.
    pub fn push(&mut self, id: impl Into<Arc<str>>) -> u32 {
        let id = id.into();
        let index = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        self.longest = self.longest.max(id.len());
        self.by_id.entry(Arc::clone(&id)).or_insert(index);
        self.ids.push(id);
        index
    }

    /// Returns the index of a call.
    pub fn index(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// Returns the id of a call.
    pub fn id(&self, index: u32) -> Option<&Arc<str>> {
        self.ids.get(index as usize)
    }

    /// Returns how many calls there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns the call that a number means to the call at `own`: the one with that id, or else the one at that place,
    /// counted from 1, if it comes earlier.
    pub(super) fn number(&self, digits: &str, own: u32) -> Option<u32> {
        self.index(digits).or_else(|| {
            let place: u32 = digits.parse().ok()?;
            (1..=own)
                .contains(&place)
                .then(|| place - 1)
                .filter(|&index| (index as usize) < self.ids.len())
        })
    }

    pub(super) fn longest(&self) -> usize {
        self.longest
    }
}
