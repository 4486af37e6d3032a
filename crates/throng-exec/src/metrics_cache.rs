//! A bounded cache in memory for what earlier runs measured, under a key of the caller's.
//!
//! Invariant: every entry is in `entries` and `by_use` once, and in `by_expiry` once if it expires at all; there are
//! never more entries than the capacity. Under the lock no user code runs but `Eq` of the keys.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::RunSummary;

/// A bounded cache in memory: what was measured, under a key of the caller's, for a limited time.
///
/// An entry lives for a fixed time after it was inserted; being read does not prolong it. Where there is no room for a
/// new entry, expired entries go first, then the one that was least recently read or inserted. Values are handed out
/// as [`Arc`], so that reading copies nothing.
///
/// All methods take `&self`, and threads may share the cache. Keys are hashed, and keys and values are dropped, while
/// the cache is not locked; only `Eq` of the keys is called under the lock and must not use the cache. Time is
/// [`tokio::time`]'s, so that a test can pause it; no runtime is needed.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroUsize;
/// use std::time::Duration;
/// use throng_exec::{Attempt, Executor, MetricsCache};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let capacity = NonZeroUsize::new(1_000).ok_or("zero")?;
/// let cache: MetricsCache<String> = MetricsCache::new(capacity, Duration::from_secs(3_600));
///
/// let executor = Executor::builder().build()?;
/// let answer = |question: &'static str, _: Attempt| async move { Ok::<_, String>(question.len()) };
/// let report = executor.run(["2 + 2?"; 5], answer).await;
/// cache.insert("2 + 2?".to_owned(), report.summary);
///
/// let measured = cache.get("2 + 2?").ok_or("not there")?;
/// assert_eq!(measured.ended(), 5);
/// # Ok(())
/// # }
/// ```
pub struct MetricsCache<K, V = RunSummary> {
    hasher: RandomState,
    capacity: NonZeroUsize,
    time_to_live: Duration,
    state: Mutex<State<K, V>>,
}

impl<K, V> MetricsCache<K, V> {
    /// Makes an empty cache for at most `capacity` entries, each of which lives for `time_to_live`.
    ///
    /// Memory grows with the entries and is not reserved. A time to live of zero keeps nothing; one that is beyond
    /// what the clock can express, such as [`Duration::MAX`], never ends.
    pub fn new(capacity: NonZeroUsize, time_to_live: Duration) -> Self {
        Self {
            hasher: RandomState::new(),
            capacity,
            time_to_live,
            state: Mutex::new(State::default()),
        }
    }

    /// Returns how many entries there are at most.
    pub const fn capacity(&self) -> NonZeroUsize {
        self.capacity
    }

    /// Returns for how long an entry lives.
    pub const fn time_to_live(&self) -> Duration {
        self.time_to_live
    }

    /// Returns how many entries have not expired.
    ///
    /// # Complexity
    ///
    /// O(1), and O(log n) for each entry that has expired since the last call of any method.
    pub fn len(&self) -> usize {
        let mut state = self.lock();
        let expired = state.take_expired();
        let len = state.entries.len();
        drop(state);
        drop(expired);
        len
    }

    /// Returns true if no entry is left that has not expired.
    ///
    /// # Complexity
    ///
    /// As [`MetricsCache::len`].
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes every entry.
    ///
    /// # Complexity
    ///
    /// O(n), and O(1) of it under the lock.
    pub fn clear(&self) {
        let all = std::mem::take(&mut *self.lock());
        drop(all);
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq, V> MetricsCache<K, V> {
    /// Returns the value under `key`, unless it has expired, and marks it as used.
    ///
    /// # Complexity
    ///
    /// O(log n), amortised: an expired entry is paid for by its insertion.
    pub fn get<Q>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.at(key, |state, id| state.touch(id))
    }

    /// Puts a value under `key` and returns the one that was there, unless that had expired. The time to live begins
    /// anew.
    ///
    /// # Complexity
    ///
    /// O(log n), amortised as in [`MetricsCache::get`].
    pub fn insert(&self, key: K, value: V) -> Option<Arc<V>> {
        let hash = self.hasher.hash_one(&key);
        let value = Arc::new(value);
        let mut state = self.lock();
        let expired = state.take_expired();
        let replaced = state.find(hash, &key).and_then(|id| state.remove(id));
        let evicted = if state.entries.len() >= self.capacity.get() {
            state.take_least_recently_used()
        } else {
            None
        };
        state.insert(hash, key, value, self.time_to_live);
        drop(state);
        drop((expired, evicted));
        replaced.map(|entry| entry.value)
    }

    /// Removes what is under `key` and returns it, unless it had expired.
    ///
    /// # Complexity
    ///
    /// O(log n), amortised as in [`MetricsCache::get`].
    pub fn remove<Q>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.at(key, State::remove).map(|entry| entry.value)
    }

    /// Does something with the entry of a key, once what has expired is gone.
    fn at<Q, R>(&self, key: &Q, act: impl FnOnce(&mut State<K, V>, EntryId) -> Option<R>) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let mut state = self.lock();
        let expired = state.take_expired();
        let found = state.find(hash, key).and_then(|id| act(&mut state, id));
        drop(state);
        drop(expired);
        found
    }
}

impl<K, V> fmt::Debug for MetricsCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsCache")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .field("time_to_live", &self.time_to_live)
            .finish_non_exhaustive()
    }
}

/// Which entry: the hash of its key and a number that no other entry has. Keys of the same hash stand together, which
/// lets the key be hashed before the lock is taken; the maps of std hash it themselves.
type EntryId = (u64, u64);

struct State<K, V> {
    entries: BTreeMap<EntryId, Entry<K, V>>,
    /// By the number of the last use.
    by_use: BTreeMap<u64, EntryId>,
    by_expiry: BTreeSet<(Instant, EntryId)>,
    /// Uses and insertions are numbered in one row.
    last_number: u64,
}

struct Entry<K, V> {
    key: K,
    value: Arc<V>,
    used: u64,
    expires_at: Option<Instant>,
}

impl<K, V> State<K, V> {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn find<Q>(&self, hash: u64, key: &Q) -> Option<EntryId>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let same_hash = self.entries.range((hash, 0)..=(hash, u64::MAX));
        same_hash
            .into_iter()
            .find(|(_, entry)| entry.key.borrow() == key)
            .map(|(id, _)| *id)
    }

    fn touch(&mut self, id: EntryId) -> Option<Arc<V>> {
        let number = self.next_number();
        let entry = self.entries.get_mut(&id)?;
        self.by_use.remove(&entry.used);
        self.by_use.insert(number, id);
        entry.used = number;
        Some(Arc::clone(&entry.value))
    }

    fn insert(&mut self, hash: u64, key: K, value: Arc<V>, time_to_live: Duration) {
        let used = self.next_number();
        let id = (hash, used);
        let expires_at = Instant::now().checked_add(time_to_live);
        if let Some(at) = expires_at {
            self.by_expiry.insert((at, id));
        }
        self.by_use.insert(used, id);
        let entry = Entry {
            key,
            value,
            used,
            expires_at,
        };
        self.entries.insert(id, entry);
    }

    fn remove(&mut self, id: EntryId) -> Option<Entry<K, V>> {
        let entry = self.entries.remove(&id)?;
        self.by_use.remove(&entry.used);
        if let Some(at) = entry.expires_at {
            self.by_expiry.remove(&(at, id));
        }
        Some(entry)
    }

    fn take_least_recently_used(&mut self) -> Option<Entry<K, V>> {
        let (_, id) = self.by_use.first_key_value()?;
        self.remove(*id)
    }

    /// Takes the expired entries out, for the caller to drop when the lock is released.
    fn take_expired(&mut self) -> Vec<Entry<K, V>> {
        let mut expired = Vec::new();
        if self.by_expiry.is_empty() {
            return expired;
        }
        let now = Instant::now();
        while let Some(&(at, id)) = self.by_expiry.first()
            && at <= now
        {
            expired.extend(self.remove(id));
        }
        expired
    }
}

impl<K, V> Default for State<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            by_use: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            last_number: 0,
        }
    }
}
