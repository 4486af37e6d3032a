//! Random runs against a naive model: whatever the jobs do, whichever policies are set and however the run is steered,
//! every limit holds, each admitted job has one outcome, no job is lost or doubled, and no task or permit is left.

mod draw;
mod log;
mod pace;
mod plan;
mod rules;
mod suites;
mod world;

pub(crate) use suites::cases;
