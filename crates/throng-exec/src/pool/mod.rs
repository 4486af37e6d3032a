//! A pool of named workers, each with a state of its own that one use at a time may change.
//!
//! A worker is lent to at most one use, and whatever becomes of the use (it ends, panics, is dropped) the worker's
//! place in the pool is given back. No user code runs with the pool locked.

mod agent_pool;
mod builder;
mod checkout;
mod lease;
mod roster;
mod runner;
mod stats;

pub use agent_pool::AgentPool;
pub use builder::AgentPoolBuilder;
pub use lease::Lease;
pub use runner::PoolRunner;
pub use stats::{WorkerState, WorkerStats};
