//! The flags of `throng stats`.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use throng_store::Kind;

use super::flags::{Flags, STATS};

const EXAMPLES: &str = "\
Examples:
  throng stats
  throng stats --since 7d --tool web_search
  throng stats --last tool-batch --output json
  throng stats --trend parallel_overlap
  throng stats prune --keep metric=30d --keep journal=forever";

/// Show what is recorded of runs and tool calls: times, overlap, success, and what became slower
///
/// Runs are recorded by `throng run --record-stats`. Percentiles are exact. A rate has its number and its interval of 95 %,
/// and a comparison with earlier runs the number of runs on both sides; it says that something changed only where the
/// rank test of the last 5 runs against up to 50 before them shows it (p < 0.05, corrected for the number of comparisons)
/// and the shift is at least 5 %.
#[derive(Debug, Args)]
#[command(before_long_help = EXAMPLES)]
pub(crate) struct StatsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<StatsCommand>,
    /// Show the latest of this kind alone
    #[arg(
        long,
        value_name = "KIND",
        value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::as_str))
            .try_map(|name| Kind::from_name(&name).ok_or("it must be a kind")),
        conflicts_with_all = ["tool", "since", "session", "trend"]
    )]
    pub(crate) last: Option<Kind>,
    /// Calls of this tool, and the plans that have one; no runs of prompts
    #[arg(long, value_name = "NAME")]
    pub(crate) tool: Option<String>,
    /// What began within this time, such as 7d
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) since: Option<Duration>,
    /// What belongs to this session
    #[arg(long, value_name = "NAME")]
    pub(crate) session: Option<String>,
    /// Show the values of this metric over time
    #[arg(long, value_name = "METRIC", conflicts_with = "tool")]
    pub(crate) trend: Option<String>,
}

/// What else can be done with the store.
#[derive(Debug, Subcommand)]
pub(crate) enum StatsCommand {
    /// Remove what is too old, and say what that was
    ///
    /// Kept by default: test-run 24h, flaky-result 7d, run, tool-batch and journal 30d, metric 90d.
    Prune(PruneArgs),
}

/// The flags of `throng stats prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    pub(crate) flags: Flags<STATS>,
}
