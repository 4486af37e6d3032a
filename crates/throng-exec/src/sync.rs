//! The locks of what is proven with loom or explored with shuttle: std's, or theirs under `cfg(throng_loom)` and
//! `cfg(throng_shuttle)`.

#[cfg(not(throng_loom))]
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::PoisonError;
#[cfg(not(any(throng_loom, throng_shuttle)))]
use std::sync::TryLockError;
#[cfg(not(any(throng_loom, throng_shuttle)))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(throng_loom)]
pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
#[cfg(throng_shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};

/// How often a lock is tried before the thread sleeps.
#[cfg(not(any(throng_loom, throng_shuttle)))]
const ROUNDS: u32 = 20;

/// Locks what others hold for a short time only. It waits a few hundred nanoseconds with open eyes before it has the thread
/// put to sleep, which costs both sides several microseconds.
#[cfg(not(any(throng_loom, throng_shuttle)))]
pub(crate) fn lock_awake<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    for round in 0..ROUNDS {
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {}
        }
        // Asking too often takes the lock's cache line away from whoever is about to let go of it.
        for _ in 0..(8 << round.min(3)) {
            std::hint::spin_loop();
        }
    }
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(any(throng_loom, throng_shuttle))]
pub(crate) fn lock_awake<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
