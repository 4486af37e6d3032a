//! The command line.

mod agent;
mod batch;
mod bench;
mod flags;
mod models;
mod parse;
mod root;
mod run;
mod sim;
mod simulate;
mod stats;
mod tools;
mod vote;

pub(crate) use agent::AgentArgs;
pub(crate) use batch::BatchArgs;
pub(crate) use bench::BenchArgs;
pub(crate) use flags::check;
pub(crate) use models::ModelsArgs;
pub(crate) use parse::ParseArgs;
pub(crate) use root::{Cli, Command, ConfigCommand};
pub(crate) use run::RunArgs;
pub(crate) use sim::SimArgs;
pub(crate) use simulate::SimulateArgs;
pub(crate) use stats::{StatsArgs, StatsCommand};
pub(crate) use tools::{GraphForm, ResultOrder, ToolboxArgs, ToolsArgs};
pub(crate) use vote::VoteArgs;
