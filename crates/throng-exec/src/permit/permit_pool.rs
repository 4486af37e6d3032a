//! The pool of permits: the accounts under a lock, and the permits that give their weight back.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use crate::permit::Request;
use crate::permit::acquire::Acquire;
use crate::permit::ledger::{Admission, Ledger};
use crate::rate::Tick;
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A limit that runs, tasks and threads share. Cheap to clone; clones mean the same pool.
///
/// - **Limit.** Whenever a permit is granted, the weights of all permits that are out add up to the limit at most. A
///   weight above the limit counts as the limit, so that such a permit is out alone; what counts is the limit at the
///   moment of the grant.
/// - **Order.** The request of the highest priority is served first, and waiting raises it by one for each interval of
///   [`PermitPoolBuilder::ageing`]. Within a priority the keys take turns; within a key it is first in, first out. A
///   request whose turn it is and that does not fit is waited for: none of its rank or a lower one goes before it.
/// - **Resizing.** A higher limit serves at once whom it has room for. Below what is out, a lower limit takes nothing
///   away: nothing is granted until enough permits have come back.
///
/// Wakers are called with nothing locked.
///
/// # Examples
///
/// ```
/// use std::num::{NonZeroU32, NonZeroUsize};
/// use throng_exec::{PermitPool, Request};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = PermitPool::new(NonZeroUsize::new(4).ok_or("zero")?);
/// let three = NonZeroU32::new(3).ok_or("zero")?;
///
/// let heavy = pool.acquire(Request::new().weight(three)).await;
/// let light = pool.acquire(Request::new().key("tenant-7")).await;
/// assert_eq!((pool.in_use(), pool.available()), (4, 0));
/// assert!(pool.try_acquire(&Request::new()).is_none());
///
/// drop(heavy);
/// assert_eq!(pool.available(), 3);
/// # drop(light);
/// # Ok(())
/// # }
/// ```
pub struct PermitPool {
    pub(crate) shared: Arc<Shared>,
}

impl PermitPool {
    /// Makes a pool with this limit, in which a request gains one priority for each second that it waits.
    pub fn new(limit: NonZeroUsize) -> Self {
        Self::builder(limit).build()
    }

    /// Starts to configure a pool with this limit.
    pub const fn builder(limit: NonZeroUsize) -> PermitPoolBuilder {
        PermitPoolBuilder {
            limit,
            ageing: Duration::from_secs(1),
        }
    }

    /// Waits for a permit.
    ///
    /// A task that holds a permit and waits for another may wait forever, as with any lock.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future gives up the place in the queue, which was taken by its first poll, and gives
    /// back the permit that may have been granted since its last poll.
    ///
    /// # Complexity
    ///
    /// O(p) for p priorities in use; to give up, also O(n) for n requests that wait under the same key.
    pub async fn acquire(&self, request: Request) -> Permit {
        Acquire::new(&self.shared, request).wait().await
    }

    /// Takes a permit if there is room for it and no request that waits goes before it.
    ///
    /// # Complexity
    ///
    /// As [`PermitPool::acquire`].
    pub fn try_acquire(&self, request: &Request) -> Option<Permit> {
        let now = self.shared.now();
        let mut granted = Vec::new();
        let mut ledger = self.shared.lock();
        let (admission, _) = ledger.acquire(now, request, Waker::noop().clone());
        let weight = match admission {
            Admission::Granted(weight) => Some(weight),
            Admission::Waits(ticket) => {
                ledger.give_up(ticket, &mut granted);
                None
            }
        };
        drop(ledger);
        granted.into_iter().for_each(Waker::wake);
        weight.map(|weight| Permit::new(&self.shared, weight))
    }

    /// Changes the limit, for the grants to come.
    ///
    /// # Complexity
    ///
    /// O(p) for p priorities in use, for each permit that this grants.
    pub fn resize(&self, limit: NonZeroUsize) {
        self.shared
            .change(|ledger, granted| ledger.resize(limit, granted));
    }

    /// Returns the limit.
    pub fn limit(&self) -> NonZeroUsize {
        self.shared.lock().limit()
    }

    /// Returns the sum of the weights that are out, those included that were granted to a request that was not polled
    /// since. It is above the limit only after a [`PermitPool::resize`].
    pub fn in_use(&self) -> usize {
        self.shared.lock().lent()
    }

    /// Returns how much weight is left of the limit. Where requests wait, it is theirs.
    pub fn available(&self) -> usize {
        self.shared.lock().available()
    }

    /// Returns how many requests wait.
    pub fn waiting(&self) -> usize {
        self.shared.lock().waiting()
    }
}

impl Clone for PermitPool {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl fmt::Debug for PermitPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ledger = self.shared.lock();
        f.debug_struct("PermitPool")
            .field("limit", &ledger.limit())
            .field("in_use", &ledger.lent())
            .field("waiting", &ledger.waiting())
            .finish_non_exhaustive()
    }
}

/// Configures a [`PermitPool`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct PermitPoolBuilder {
    limit: NonZeroUsize,
    ageing: Duration,
}

impl PermitPoolBuilder {
    /// Sets in how much waiting time a request gains one priority, so that no stream of more important requests can
    /// starve it. Default 1 s; zero means never.
    pub const fn ageing(mut self, interval: Duration) -> Self {
        self.ageing = interval;
        self
    }

    /// Makes the pool. No configuration is invalid.
    pub fn build(self) -> PermitPool {
        let ledger = Mutex::new(Ledger::new(self.limit, ticks(self.ageing)));
        let shared = Shared {
            began: Instant::now(),
            ledger,
        };
        PermitPool {
            shared: Arc::new(shared),
        }
    }
}

/// A share of a [`PermitPool`]'s limit. Dropping it gives the share back.
#[must_use = "dropping a permit gives it back"]
pub struct Permit {
    shared: Arc<Shared>,
    weight: NonZeroU32,
}

impl Permit {
    pub(crate) fn new(shared: &Arc<Shared>, weight: NonZeroU32) -> Self {
        Self {
            shared: Arc::clone(shared),
            weight,
        }
    }

    /// Returns how much of the limit this permit takes: the weight that was asked for, or what the limit was when the
    /// permit was granted if that was less.
    pub const fn weight(&self) -> NonZeroU32 {
        self.weight
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared
            .change(|ledger, granted| ledger.release(self.weight, granted));
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}

/// What the clones of a pool and its permits share.
pub(crate) struct Shared {
    #[cfg_attr(throng_loom, expect(dead_code, reason = "time stands still in a proof"))]
    began: Instant,
    ledger: Mutex<Ledger<Waker>>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Ledger<Waker>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the accounts, and wakes whom that granted a permit.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Ledger<Waker>, &mut Vec<Waker>) -> T) -> T {
        let mut granted = Vec::new();
        let mut ledger = self.lock();
        let result = change(&mut ledger, &mut granted);
        drop(ledger);
        granted.into_iter().for_each(Waker::wake);
        result
    }

    #[cfg(not(throng_loom))]
    pub(crate) fn now(&self) -> Tick {
        ticks(Instant::now().saturating_duration_since(self.began))
    }

    #[cfg(throng_loom)]
    pub(crate) const fn now(&self) -> Tick {
        0
    }
}

fn ticks(duration: Duration) -> Tick {
    Tick::try_from(duration.as_nanos()).unwrap_or(Tick::MAX)
}
