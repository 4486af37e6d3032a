//! Runs many async jobs within limits; the modules below hold one subject each.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod attempt;
mod batches;
mod blocking;
mod breaker;
mod budget;
mod canonical_json;
mod controller;
mod core;
mod crew;
mod distinct;
mod engine;
mod equivalence;
mod error;
mod executor;
mod fallback;
mod hedge;
mod input;
mod job;
mod key_policy;
mod limit;
pub mod list;
mod machine;
mod metrics_cache;
mod outbox;
mod permit;
mod pool;
mod preset;
mod rate;
mod record;
mod rehearse;
mod report;
mod retry;
mod run;
mod runner;
mod running;
#[cfg(all(test, throng_shuttle))]
mod schedules;
mod shedding;
mod state;
mod submit;
mod sync;
mod tasks;
mod totals;
#[cfg(feature = "tower")]
pub mod tower;
mod worker;

pub use attempt::Attempt;
pub use batches::Batches;
pub use blocking::Blocking;
pub use breaker::{BreakerState, CircuitBreaker, WhileOpen};
pub use budget::RetryBudget;
pub use controller::{AttemptSignal, LimitChange, LimitController};
pub use distinct::{Distinct, Share};
mod vote;

pub use equivalence::{Deduplicated, Equivalence, unique_by};
pub use error::{InvalidConfig, RunError};
pub use executor::{Executor, ExecutorBuilder, OutputOrder};
pub use fallback::{ErrorClasses, Fallback, Steps};
pub use hedge::Hedge;
pub use job::{Cost, JobSpec, Key, Priority};
pub use key_policy::KeyPolicy;
pub use limit::{AdaptiveLimit, Limit};
pub use metrics_cache::MetricsCache;
pub use permit::{Permit, PermitPool, PermitPoolBuilder, Request};
pub use pool::{AgentPool, AgentPoolBuilder, Lease, PoolRunner, WorkerState, WorkerStats};
pub use preset::Preset;
pub use rate::Rates;
pub use rehearse::{Answer, Ask, Provider, ProviderModel};
pub use report::{Distribution, Finished, KeySummary, Progress, RunReport, RunSummary, Timing};
pub use retry::{Jitter, RetryPolicy};
pub use run::{KeyProgress, Run, RunHandle};
pub use runner::Runner;
pub use shedding::Shedding;
pub use submit::{NotServed, Submitter};
pub use vote::{
    Ballot, Choice, Decision, Failure, NotOpen, Panel, Release, Stop, StopReason, Tally, Tie, Verdict, Vote,
    VoteBuilder,
};
