//! The flags of `throng bench`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use clap::Args;

use super::flags::{Flags, PROVIDER};

const EXAMPLES: &str = "\
Examples:
  throng bench
  throng bench --jobs 64 --latency 250ms --concurrency 4,16,64
  throng bench --provider openai --base-url http://localhost:8080/v1 --model llama --jobs 16";

/// Measure what concurrency brings: the same prompts one by one, and at several limits
#[derive(Debug, Args)]
#[command(before_long_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    /// How many prompts
    #[arg(long, value_name = "N", default_value = "32")]
    pub(crate) jobs: NonZeroU32,
    /// How long the simulated server takes for one answer
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = humantime::parse_duration)]
    pub(crate) latency: Duration,
    /// Which limits to measure
    #[arg(
        long,
        value_name = "N,N,…",
        value_delimiter = ',',
        default_value = "2,4,8,16,32"
    )]
    pub(crate) concurrency: Vec<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) provider: Flags<PROVIDER>,
}
