//! Calls that are served by others: equal calls that run already, and results that are kept.
//!
//! Only calls that change nothing are. Two equal calls of a plan that run at the same time have no conflicting write between
//! them in the order of emission, because such a write would have to wait for the one and the other for it. Invariant of
//! the cache: since what is kept was read, no attempt has begun or ended that may have changed what was read.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::state::Prepared;
use crate::Access;

/// An attempt that equal calls wait for.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) leader: u32,
    pub(super) followers: Vec<u32>,
}

/// Returns what equal calls have in common.
pub(super) fn key(call: &Prepared, arguments: &Value) -> Arc<str> {
    // Objects are sorted by their keys, so that equal arguments have equal text.
    let mut text = String::with_capacity(call.name.len() + 64);
    text.push_str(&call.name);
    text.push('\0');
    text.push_str(&arguments.to_string());
    text.into()
}

/// How many results are kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct ResultCache {
    capacity: NonZeroUsize,
    time_to_live: Duration,
}

impl ResultCache {
    /// Keeps at most `capacity` results of calls that change nothing, each for `time_to_live`.
    ///
    /// A result is dropped as soon as a call of the executor begins that may change what was read. Changes that come from
    /// elsewhere are not seen: that is what the time to live is for.
    pub const fn new(capacity: NonZeroUsize, time_to_live: Duration) -> Self {
        Self {
            capacity,
            time_to_live,
        }
    }
}

/// The results that an executor keeps.
#[derive(Debug)]
pub(super) struct Cache {
    policy: ResultCache,
    entries: HashMap<Arc<str>, Entry>,
    /// The keys of the entries by their numbers, the oldest first.
    order: BTreeMap<u64, Arc<str>>,
    /// Reads that go on, by number.
    reading: HashMap<u64, Reading>,
    next: u64,
}

#[derive(Debug)]
struct Reading {
    accesses: Option<Arc<[Access]>>,
    /// What it reads may have changed since it began.
    is_stale: bool,
}

#[derive(Debug)]
struct Entry {
    value: Value,
    accesses: Option<Arc<[Access]>>,
    kept: Instant,
    number: u64,
}

impl Cache {
    pub(super) fn new(policy: ResultCache) -> Self {
        Self {
            policy,
            entries: HashMap::new(),
            order: BTreeMap::new(),
            reading: HashMap::new(),
            next: 0,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<Value> {
        let entry = self.entries.get(key)?;
        (entry.kept.elapsed() < self.policy.time_to_live).then(|| entry.value.clone())
    }

    /// Notes that a read begins, and returns its number.
    pub(super) fn begin_read(&mut self, accesses: Option<Arc<[Access]>>) -> u64 {
        self.next += 1;
        let is_stale = false;
        self.reading.insert(self.next, Reading { accesses, is_stale });
        self.next
    }

    /// Notes that a read ended, and keeps its result if nothing has changed meanwhile.
    pub(super) fn end_read(&mut self, number: u64, result: Option<(&Arc<str>, &Value)>) {
        let reading = self.reading.remove(&number);
        let (
            Some((key, value)),
            Some(Reading {
                accesses,
                is_stale: false,
            }),
        ) = (result, reading)
        else {
            return;
        };
        let entry = Entry {
            value: value.clone(),
            accesses,
            kept: Instant::now(),
            number,
        };
        if let Some(old) = self.entries.insert(Arc::clone(key), entry) {
            self.order.remove(&old.number);
        }
        self.order.insert(number, Arc::clone(key));
        while self.entries.len() > self.policy.capacity.get() {
            let Some((_, oldest)) = self.order.pop_first() else {
                break;
            };
            self.entries.remove(&oldest);
        }
    }

    /// Forgets what a call may change that begins or ends.
    pub(super) fn changes(&mut self, writes: Option<&[Access]>) {
        let touches = |read: Option<&[Access]>| match (writes, read) {
            (Some(writes), Some(read)) => writes
                .iter()
                .any(|write| read.iter().any(|read| write.conflicts_with(read))),
            _ => true,
        };
        let order = &mut self.order;
        self.entries.retain(|_, entry| {
            let stays = !touches(entry.accesses.as_deref());
            if !stays {
                order.remove(&entry.number);
            }
            stays
        });
        for reading in self.reading.values_mut() {
            reading.is_stale |= touches(reading.accesses.as_deref());
        }
    }
}
