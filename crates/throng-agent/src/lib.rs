//! The loop of model and tools; the modules below hold one subject each.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod agent;
mod answer;
mod drive;
mod event;
mod limit;
mod report;
mod run;
mod stop;
mod turn;

pub use agent::{Agent, AgentBuilder};
pub use event::AgentEvent;
pub use limit::Limits;
pub use report::{AgentReport, StepReport};
pub use run::AgentRun;
pub use stop::Stop;
