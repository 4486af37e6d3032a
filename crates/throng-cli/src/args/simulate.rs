//! The flags of `throng simulate`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  throng simulate graph.stg --limit 4
  throng simulate graph.json --limit 16 --output json";

/// Show how long a graph of tool calls would take, without running one
///
/// The graph runs in virtual time on the scheduler that runs tool calls. The result is the time of the whole (the
/// makespan), the time of the longest way through the graph (the critical path), the bound that no schedule can be
/// below (the critical path, or all work divided by the limit), and the ratio of makespan and bound. Times have the unit of
/// the graph's durations.
#[derive(Debug, Args)]
#[command(before_long_help = EXAMPLES)]
pub(crate) struct SimulateArgs {
    /// The graph: a file of the Standard Task Graph set, JSON, or a plan; `-` is standard input
    ///
    /// The JSON is `{"dur_s":[2.5,1],"parents":[[],[0]]}`: how long each node takes, and which nodes, by their index
    /// from 0, have to end before it. A plan is `{"calls":[..]}`, with `expected_ms` in each call.
    #[arg(value_name = "GRAPH")]
    pub(crate) graph: PathBuf,
    /// How many nodes may run at the same time
    #[arg(long, value_name = "N")]
    pub(crate) limit: NonZeroUsize,
}
