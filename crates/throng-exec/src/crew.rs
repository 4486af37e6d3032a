//! How many workers are awake. On several threads, workers whose attempts never wait only get into each other's way: one of
//! them does the work of all, and the next one comes when an attempt has to wait, or has taken long.
//!
//! Invariant: while attempts may start and permits are free, somebody is about to start them: a worker that is awake and
//! will look when its attempt waits or ends, or the driver, within two milliseconds. As long may outcomes be gathered before
//! the consumer is woken, while attempts follow each other without a wait.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How long attempts may hold up the only worker that is awake.
const PATIENCE: Duration = Duration::from_millis(1);
/// With so many attempts in that time, one worker is enough: they take 2 µs and less.
const BRISK: u64 = 500;

/// The workers of a run, as far as they are awake.
#[derive(Debug)]
pub(crate) struct Crew {
    /// Worker threads of the runtime.
    threads: usize,
    /// Workers that are awake: between taking an attempt and its first wait, or its end. Not counted on one thread, where
    /// workers cannot get into each other's way.
    awake: AtomicUsize,
    /// Attempts may start, and it was left to those that are awake.
    left: AtomicBool,
    watch: Mutex<Watch>,
}

#[derive(Debug, Default)]
struct Watch {
    at: Option<Instant>,
    attempts: u64,
}

impl Crew {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            threads,
            awake: AtomicUsize::new(0),
            left: AtomicBool::new(false),
            watch: Mutex::default(),
        }
    }

    /// Returns how many workers may be spawned ahead of those that have begun to work: one for each thread, and one.
    pub(crate) fn most_starting(&self) -> usize {
        self.threads + 1
    }

    /// Counts workers that are awake from now on.
    pub(crate) fn join(&self, n: usize) {
        if self.threads > 1 {
            self.awake.fetch_add(n, Ordering::SeqCst);
        }
    }

    /// Counts one that has nothing more to do.
    pub(crate) fn leave(&self) {
        if self.threads > 1 {
            self.awake.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Counts one less, if others are awake and what may start was left to them: one of them is enough.
    pub(crate) fn leave_to_others(&self) -> bool {
        self.threads > 1
            && self.left.load(Ordering::Relaxed)
            && self.awake.load(Ordering::Relaxed) > 1
            && self
                .awake
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |awake| {
                    (awake > 1).then(|| awake - 1)
                })
                .is_ok()
    }

    /// Counts one whose attempt has to wait. Returns true if it has to see to what was left to it.
    pub(crate) fn parked(&self) -> bool {
        if self.threads == 1 {
            return false;
        }
        self.awake.fetch_sub(1, Ordering::SeqCst);
        self.left.load(Ordering::SeqCst) && self.left.swap(false, Ordering::SeqCst)
    }

    /// Returns true if a worker is awake that will look for what may start.
    pub(crate) fn is_watched_by_leader(&self) -> bool {
        self.threads > 1 && self.awake.load(Ordering::SeqCst) > 0
    }

    /// Returns true if one worker does the work of all, and the driver watches that it does. Until it parks or ends an
    /// attempt it looks for what others have changed.
    pub(crate) fn is_brisk(&self) -> bool {
        self.threads > 1 && self.left.load(Ordering::Relaxed) && self.awake.load(Ordering::SeqCst) > 0
    }

    /// Leaves what may start to a worker that is awake, if there is one; `watch` is called when the driver has to watch it.
    pub(crate) fn leave_to_leader(&self, watch: impl FnOnce()) -> bool {
        if self.threads == 1 || self.awake.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let began = !self.left.swap(true, Ordering::SeqCst);
        // Whoever parked meanwhile did not see that anything was left to it.
        if self.awake.load(Ordering::SeqCst) == 0 {
            self.left.store(false, Ordering::SeqCst);
            return false;
        }
        if began {
            watch();
        }
        true
    }

    /// Returns when the driver has to look after the workers, if something was left to them.
    pub(crate) fn watch_at(&self) -> Option<Instant> {
        if !self.left.load(Ordering::SeqCst) {
            return None;
        }
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        Some(*watch.at.get_or_insert_with(|| Instant::now() + PATIENCE))
    }

    /// Looks after the workers. Returns true if too few attempts have begun since the last time.
    pub(crate) fn is_held_up(&self, attempts: u64) -> bool {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = attempts - watch.attempts;
        *watch = Watch { at: None, attempts };
        let held_up = self.left.load(Ordering::SeqCst) && begun < BRISK;
        if held_up {
            self.left.store(false, Ordering::SeqCst);
        }
        held_up
    }
}
