//! The scheduler of calls as a pure state machine: no clock, no lock, no task, no randomness of its own.

mod admission;
mod claim;
mod estimate;
mod failure;
mod graph;
mod locks;
mod machine;
mod node;
mod ready;
#[cfg(test)]
mod tests;

pub(crate) use admission::{Admission, CounterId, PlanId};
pub(crate) use failure::{Because, Dropped, End};
pub(crate) use graph::{Cyclic, EdgeKind};
pub(crate) use locks::Lock;
pub(crate) use machine::{Schedule, Start};
pub(crate) use node::{ClassId, NodeSpec};

/// A moment, in nanoseconds since one that the caller has chosen.
pub(crate) type Tick = u64;
