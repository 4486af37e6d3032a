//! Running plans: a shell of tasks over the schedule.

mod core;
mod executor;
mod handle;
mod hub;
mod journal;
mod options;
mod prepare;
mod settings;
mod share;
mod state;
mod stats;
mod streaming;
mod worker;

pub use executor::{StartError, ToolExecutor};
pub use handle::{PlanHandle, PlanRun};
pub use options::RunOptions;
pub use settings::ToolExecutorBuilder;
pub use share::ResultCache;
pub use stats::ExecutorStats;
pub use streaming::PlanStream;
