//! The exclusive use of a worker, and its end. The worker goes back when both the lease and the attempt that it was
//! made for, if any, are gone.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::pool::agent_pool::{Shared, Taken};
use crate::pool::roster::{Returned, Verdict};

/// The exclusive use of a worker: dereferences to the worker's state. Dropping it gives the worker back.
///
/// A lease that is dropped while its thread unwinds from a panic counts as a failed use, and the worker is replaced: its
/// state may be half-changed. A lease that is leaked ([`std::mem::forget`]) takes its worker from the pool for good.
#[must_use = "dropping a lease gives the worker back"]
pub struct Lease<S> {
    /// `None` only while it is dropped.
    state: Option<S>,
    usage: Arc<Use<S>>,
}

impl<S> Lease<S> {
    /// Returns the worker's name.
    pub fn name(&self) -> &str {
        &self.usage.name
    }

    /// Returns which state the worker has: 1 for its first, one more for each that came in the place of another.
    pub fn generation(&self) -> u64 {
        self.usage.generation
    }

    /// Marks the use as failed, whatever the attempt that it belongs to returns. The last call of this or
    /// [`Lease::pass`] counts.
    pub fn fail(&mut self) {
        self.usage.lock().verdict = Some(Verdict::Failed);
    }

    /// Marks the use as not failed, whatever the attempt that it belongs to returns: the error is not the worker's. A
    /// panic is a failed use all the same.
    pub fn pass(&mut self) {
        self.usage.lock().verdict = Some(Verdict::Passed);
    }

    /// Ends the use and discards the worker's state. At the worker's next checkout the factory makes another, with the
    /// next generation. This alone does not count as a failure.
    pub fn replace(self) {
        self.usage.lock().discard = true;
    }

    pub(crate) const fn usage(&self) -> &Arc<Use<S>> {
        &self.usage
    }
}

impl<S> Deref for Lease<S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.state.as_ref().expect("the state leaves only in the drop")
    }
}

impl<S> DerefMut for Lease<S> {
    fn deref_mut(&mut self) -> &mut S {
        self.state.as_mut().expect("the state leaves only in the drop")
    }
}

impl<S> Drop for Lease<S> {
    fn drop(&mut self) {
        let mut ending = self.usage.lock();
        ending.state = self.state.take();
        if std::thread::panicking() {
            ending.discard = true;
            ending.verdict = Some(Verdict::Failed);
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Lease<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("name", &self.usage.name)
            .field("generation", &self.usage.generation)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// One use of a worker. Its drop gives the worker back.
pub(crate) struct Use<S> {
    shared: Arc<Shared<S>>,
    index: usize,
    name: Arc<str>,
    generation: u64,
    ending: Mutex<UseEnd<S>>,
}

/// What is known of the end of a use.
struct UseEnd<S> {
    /// The worker's state, before it goes into the lease and after it came back.
    state: Option<S>,
    discard: bool,
    verdict: Option<Verdict>,
}

impl<S> Use<S> {
    pub(crate) fn new(shared: &Arc<Shared<S>>, taken: Taken<S>) -> Self {
        Self {
            shared: Arc::clone(shared),
            index: taken.index,
            name: taken.name,
            generation: taken.generation,
            ending: Mutex::new(UseEnd {
                state: taken.state,
                discard: false,
                verdict: None,
            }),
        }
    }

    /// Lends the worker, and makes its state first if there is none.
    pub(crate) fn into_lease(mut self) -> Lease<S> {
        let ending = self.ending.get_mut().unwrap_or_else(PoisonError::into_inner);
        let kept = ending.state.take();
        let state = kept.unwrap_or_else(|| (self.shared.factory)(&self.name));
        Lease {
            state: Some(state),
            usage: Arc::new(self),
        }
    }

    /// Says what the attempt made of the worker that was lent for it. What was said on the lease goes before.
    pub(crate) fn judge(&self, verdict: Verdict) {
        self.lock().verdict.get_or_insert(verdict);
    }

    /// Notes that the attempt panicked that the worker was lent for.
    pub(crate) fn panicked(&self) {
        self.lock().verdict = Some(Verdict::Failed);
    }

    fn lock(&self) -> MutexGuard<'_, UseEnd<S>> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Drop for Use<S> {
    fn drop(&mut self) {
        let ending = self.ending.get_mut().unwrap_or_else(PoisonError::into_inner);
        let state = ending.state.take();
        // A state that is neither here nor to be discarded was never made: the factory panicked.
        let failed = state.is_none() && !ending.discard;
        let how = Returned {
            verdict: if failed {
                Verdict::Failed
            } else {
                ending.verdict.unwrap_or(Verdict::Passed)
            },
            replaced: ending.discard,
        };
        let mut back = GiveBack {
            shared: &self.shared,
            index: self.index,
            state: None,
            how,
        };
        if how.replaced {
            let (worker, generation) = (&*self.name, self.generation);
            tracing::debug!(worker, generation, "The state of a worker is discarded.");
            // The old state goes before the worker is free: the new one may need the same port or file. Should its
            // drop panic, the worker is given back nevertheless.
            drop(state);
        } else {
            back.state = state;
        }
    }
}

/// Gives a worker back when it is dropped.
struct GiveBack<'a, S> {
    shared: &'a Shared<S>,
    index: usize,
    state: Option<S>,
    how: Returned,
}

impl<S> Drop for GiveBack<'_, S> {
    fn drop(&mut self) {
        self.shared.give_back(self.index, self.state.take(), self.how);
    }
}
