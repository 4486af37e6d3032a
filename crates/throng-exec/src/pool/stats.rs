//! What a pool tells of its workers.

use std::sync::Arc;
use std::time::Duration;

/// One worker of a pool, as it was when the pool was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// The worker's name.
    pub name: Arc<str>,
    /// Which state the worker has: 1 for its first, one more for each that came in the place of another.
    pub generation: u64,
    /// How often the worker was checked out, a use that goes on included.
    pub checkouts: u64,
    /// How many uses failed.
    pub failures: u64,
    /// How often the worker's state was discarded.
    pub replaced: u64,
    /// How long the worker was in use, a use that goes on included.
    pub busy: Duration,
    /// What the worker is doing.
    pub state: WorkerState,
}

/// What a worker of a pool is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WorkerState {
    /// It waits for a use.
    Idle,
    /// It is in use, or about to be: handed to a checkout that was not polled since.
    Busy,
    /// It failed too often in a row and rests.
    Resting,
}
