//! How a store is opened: durability, queue, clock, retention.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Retention;

/// Returns the time as milliseconds since the Unix epoch, UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What a journal's step survives once its future is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// The death of the process (`kill -9`) and the loss of power: SQLite's `synchronous=FULL`, one flush to the disk
    /// for each group of steps. It holds as far as the disk keeps what it says it has flushed.
    #[default]
    PowerLoss,
    /// The death of the process, as the system keeps what was written. The last steps before a loss of power or a crash
    /// of the system may be missing; the file is whole in either case (`synchronous=NORMAL`).
    ProcessDeath,
}

/// How a store is opened.
#[derive(Clone)]
pub struct StoreOptions {
    pub(crate) create: bool,
    pub(crate) busy_timeout: Duration,
    pub(crate) journal: Durability,
    pub(crate) queue: NonZeroUsize,
    pub(crate) batch: NonZeroUsize,
    pub(crate) linger: Duration,
    pub(crate) retention: Retention,
    pub(crate) clock: Clock,
}

impl StoreOptions {
    /// Sets whether the file is made if it does not exist. Default: true.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Sets how long a lock of another process is waited for. Default: 5 s.
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Sets what journaled steps survive. Default: a loss of power.
    ///
    /// Everything else is always written as [`Durability::ProcessDeath`]: figures of the last moments before a loss of
    /// power are not worth a flush for each.
    #[must_use]
    pub fn journal(mut self, durability: Durability) -> Self {
        self.journal = durability;
        self
    }

    /// Sets how many rows may wait to be written. Default: 65 536.
    ///
    /// When so many wait, the futures of the `record_` methods and of the journal wait for room, and a
    /// [`RunSink`](crate::RunSink), which must not wait, leaves events out and counts them.
    #[must_use]
    pub fn queue(mut self, rows: NonZeroUsize) -> Self {
        self.queue = rows;
        self
    }

    /// Sets how many rows go into one transaction at most, but for a single tool batch that has more. Default: 4096.
    #[must_use]
    pub fn batch(mut self, rows: NonZeroUsize) -> Self {
        self.batch = rows;
        self
    }

    /// Sets how long events that nobody waits for may gather before they are written. Default: 20 ms.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Sets what [`Store::prune`](crate::Store::prune) keeps.
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Sets the clock that stamps journaled steps, so that they can be pruned. Default: the system's.
    ///
    /// All other times are those that the caller gives.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl Default for StoreOptions {
    fn default() -> Self {
        const ROWS: NonZeroUsize = NonZeroUsize::new(65_536).expect("it is not zero");
        const BATCH: NonZeroUsize = NonZeroUsize::new(4096).expect("it is not zero");
        Self {
            create: true,
            busy_timeout: Duration::from_secs(5),
            journal: Durability::default(),
            queue: ROWS,
            batch: BATCH,
            linger: Duration::from_millis(20),
            retention: Retention::default(),
            clock: Arc::new(system_ms),
        }
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("create", &self.create)
            .field("busy_timeout", &self.busy_timeout)
            .field("journal", &self.journal)
            .field("queue", &self.queue)
            .field("batch", &self.batch)
            .field("linger", &self.linger)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}

fn system_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}
