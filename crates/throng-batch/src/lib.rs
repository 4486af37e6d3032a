//! Packs many agents into one prompt; the modules below hold one subject each.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod agent;
mod alias;
mod ask;
mod builder;
mod collect;
mod compact;
mod drive;
mod executor;
mod heuristic;
mod pack;
mod prompt;
mod report;
mod run;
mod size;
mod tokens;

pub use agent::{AgentId, AgentPlan, AgentSnapshot, Plan, Snapshot, Step};
pub use builder::{BatchInferenceExecutorBuilder, BatchSize, LatePlans};
pub use collect::Duplicates;
pub use compact::Compact;
pub use executor::{BatchError, BatchInferenceExecutor};
pub use heuristic::{Condition, Rule, Rules};
pub use pack::{Load, Room, pack};
pub use prompt::{Act, Instructions, Wording};
pub use report::{AgentResult, AttemptFailure, BatchReport, CallEnding, CallReport, Tier, TierAttempt};
pub use run::{BatchEvent, BatchRun};
pub use size::{AdaptiveSize, Ending};
pub use tokens::{Estimate, TokenCounter};
