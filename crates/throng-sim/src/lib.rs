//! The simulated model server: what it decides, the wires that it speaks, and the log that it keeps.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod admit;
mod api_error;
mod attempts;
mod batch;
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
mod models;
mod plan;
mod react;
mod read;
mod reply;
mod respond;
mod schema;
mod script;
mod server;
mod service;
mod spoil;
mod text;
mod wire;

pub use batch::BatchFault;
pub use builder::SimConfigBuilder;
pub use config::{InvalidConfig, ParallelStatus, SimConfig};
pub use fault::{Fault, FaultMix};
pub use hash::prompt_hash;
pub use latency::Latency;
pub use limit::Bucket;
pub use log::{Decision, End, LogEntry, Stats};
pub use plan::Plan;
pub use reply::ToolCall;
pub use schema::expected_arguments;
pub use script::{Behaviour, Gate, HoldAt, Match, RawReply, ScriptedReply};
pub use server::SimServer;
pub use text::{count_tokens, expected_reasoning, expected_text, prompt_text};
pub use wire::Wire;
