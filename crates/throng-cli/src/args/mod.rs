//! The command line.

mod bench;
mod flags;
mod models;
mod root;
mod run;
mod sim;
mod stats;
mod vote;

pub(crate) use bench::BenchArgs;
pub(crate) use flags::check;
pub(crate) use models::ModelsArgs;
pub(crate) use root::{Cli, Command, ConfigCommand};
pub(crate) use run::RunArgs;
pub(crate) use sim::SimArgs;
pub(crate) use stats::{StatsArgs, StatsCommand};
pub(crate) use vote::VoteArgs;
