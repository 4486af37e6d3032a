//! Runs many async jobs within limits; the modules below hold one subject each.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod attempt;
mod batches;
mod core;
mod engine;
mod error;
mod executor;
mod input;
mod job;
pub mod list;
mod machine;
mod outbox;
mod preset;
mod rate;
mod report;
mod retry;
mod run;
mod runner;
mod totals;
mod worker;

pub use attempt::Attempt;
pub use batches::Batches;
pub use error::{InvalidConfig, RunError};
pub use executor::{Executor, ExecutorBuilder, OutputOrder};
pub use job::{Cost, JobSpec, Key, Priority};
pub use preset::Preset;
pub use rate::Rates;
pub use report::{Distribution, Finished, Progress, RunReport, RunSummary, Timing};
pub use retry::{Jitter, RetryPolicy};
pub use run::{Run, RunHandle};
pub use runner::Runner;
