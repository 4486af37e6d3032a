//! Runs many async jobs within limits; the modules below hold one subject each.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod attempt;
mod core;
mod engine;
mod error;
mod executor;
mod input;
mod job;
mod limit;
mod machine;
mod outbox;
mod rate;
mod report;
mod retry;
mod run;
mod runner;
mod totals;
mod worker;

pub use attempt::Attempt;
pub use error::{InvalidConfig, RunError};
pub use executor::{Executor, ExecutorBuilder, OutputOrder};
pub use job::{Cost, JobSpec, Key};
pub use limit::{AdaptiveLimit, Limit, LimitCause};
pub use rate::Rates;
pub use report::{Distribution, Finished, Progress, RunReport, RunSummary, Timing};
pub use retry::{Jitter, RetryPolicy};
pub use run::{Run, RunHandle};
pub use runner::Runner;
