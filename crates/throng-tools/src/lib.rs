//! Runs the tool calls of a model by readiness; the modules below hold one subject each.
#![forbid(unsafe_code)]

mod access;
mod call;
mod failure;
mod schema;
mod tool;
mod tools;

pub use access::{Access, Mode, Resource};
pub use call::Call;
pub use failure::FailurePolicy;
pub use tool::{Effect, Tool, ToolContext, ToolError, ToolFn, ToolFuture, ToolSpec};
pub use tools::{InvalidTool, ToolEntry, Tools};
