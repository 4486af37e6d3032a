//! Tools of MCP servers; the modules below hold one subject each.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod client;
mod config;
mod declare;
mod error;
mod overrides;
mod reply;
mod server;
mod tool;

pub use config::{Limits, McpConfig, Protocol, Restarts};
pub use declare::InvalidDeclaration;
pub use error::{McpError, McpErrorKind};
pub use overrides::ToolOverride;
pub use server::{McpServer, ServerInfo, connect_all};
pub use tool::{McpTool, plain_names, register};
