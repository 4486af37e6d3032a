//! The tasks and the timers of a run: tokio's, or under `cfg(throng_shuttle)` such whose interleavings shuttle chooses.

#[cfg(throng_shuttle)]
pub(crate) mod by_shuttle;

#[cfg(not(throng_shuttle))]
pub(crate) use tokio::runtime::Handle;
#[cfg(not(throng_shuttle))]
pub(crate) use tokio::task::{JoinHandle, JoinSet};
#[cfg(not(throng_shuttle))]
pub(crate) use tokio::time::{Sleep, sleep_until};

#[cfg(throng_shuttle)]
pub(crate) use by_shuttle::{Handle, JoinHandle, JoinSet, Sleep, sleep_until};
