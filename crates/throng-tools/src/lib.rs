//! Runs the tool calls of a model by readiness; the modules below hold one subject each.
#![forbid(unsafe_code)]

mod access;
mod call;
mod failure;
#[expect(dead_code, reason = "what runs the calls is built on it")]
#[cfg_attr(
    not(test),
    expect(unused_imports, reason = "what runs the calls is built on it")
)]
mod schedule;
mod schema;
mod tool;
mod tools;

pub use access::{Access, Mode, Resource};
pub use call::Call;
pub use failure::FailurePolicy;
pub use tool::{Effect, Tool, ToolContext, ToolError, ToolFn, ToolFuture, ToolSpec};
pub use tools::{InvalidTool, ToolEntry, Tools};
