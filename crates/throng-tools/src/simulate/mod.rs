//! Schedules in virtual time: what the scheduler would make of a plan whose durations are known.

mod drive;
mod look_ahead;
mod report;
mod workload;

pub use report::{Simulation, simulate};
pub use workload::{InvalidWorkload, Workload};
