//! The simulated model server: what it decides, the wires that it speaks, and the log that it keeps.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod admit;
mod attempts;
mod body;
mod builder;
mod call;
mod compose;
mod config;
mod fault;
mod hash;
mod latency;
mod limit;
mod log;
mod plan;
mod react;
mod read;
mod schema;
mod script;
mod server;
mod service;
mod text;
mod wire;

pub use builder::SimConfigBuilder;
pub use call::ToolCall;
pub use config::{InvalidConfig, ParallelStatus, SimConfig};
pub use fault::{Fault, FaultMix};
pub use hash::prompt_hash;
pub use latency::Latency;
pub use limit::Bucket;
pub use log::{Decision, End, LogEntry, Stats};
pub use plan::Plan;
pub use schema::expected_arguments;
pub use script::{Behaviour, Gate, HoldAt, Match, RawReply};
pub use server::SimServer;
pub use text::{count_tokens, expected_text, prompt_text};
