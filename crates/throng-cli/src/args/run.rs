//! The flags of `throng run`.

use std::path::PathBuf;

use clap::Args;

use super::flags::{CALL, Flags, PROVIDER, RUN};
use crate::input::Format;
use crate::run::Model;

const EXAMPLES: &str = "\
Examples:
  throng run questions.jsonl --out answers.jsonl
  throng run questions.jsonl --out answers.jsonl --resume
  throng run questions.csv --template 'Name three sights of {city}, {country}.'
  sort prompts.txt | throng run - --limit 100 > answers.jsonl
  throng run q.jsonl --provider openai --base-url http://localhost:8080/v1 --model llama
  throng run q.jsonl --rpm 500 --otpm 100000 --max-concurrent 64 --timeout 90s
  throng run q.jsonl --key-field tenant --priority-field urgency --adaptive --hedge --dedup
  throng run q.jsonl --vote 5 --vote-threshold 0.6
  throng run q.jsonl --rehearse=latency=2s,rpm=600 --max-concurrent 64
  throng run q.jsonl --dry-run";

/// Send every record of the inputs to a model, many at a time
///
/// Writes one JSON line for each record, as soon as its answer is there:
/// {"v":1,"id","outcome","text","attempts","usage","timing","error"}; with --dedup a copy also has "same_as", and
/// with --vote a line has "vote": {"decision","agreement","votes","asked","saved","stop"}.
/// The id is the record's `id`, or the number of its line (its element, in a JSON array); with several inputs,
/// FILE:LINE. A record that was not started has no line.
#[derive(Debug, Args)]
#[command(before_long_help = EXAMPLES)]
pub(crate) struct RunArgs {
    /// Files of records: JSON Lines, a JSON array, CSV, TSV or plain lines; `-` is standard input
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Append results to this file instead of standard output; `-` is standard output
    ///
    /// A file that has results already is refused, unless --resume or --overwrite is given.
    #[arg(short, long, value_name = "FILE", help_heading = "Input and output")]
    pub(crate) out: Option<PathBuf>,
    /// Keep what succeeded in --out and do the rest
    ///
    /// A result counts when its whole line is in the file. Ids that failed are tried again.
    #[arg(
        long,
        requires = "out",
        conflicts_with = "overwrite",
        help_heading = "Input and output"
    )]
    pub(crate) resume: bool,
    /// Empty --out first
    #[arg(long, requires = "out", help_heading = "Input and output")]
    pub(crate) overwrite: bool,
    /// Write the summary of the run to this file, as JSON
    ///
    /// It must be another file than --out and the inputs, and cannot be `-`: `--output json` prints the summary.
    #[arg(long, value_name = "FILE", help_heading = "Input and output")]
    pub(crate) summary: Option<PathBuf>,
    /// The format of the inputs; else their names and contents decide
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Input and output")]
    pub(crate) input_format: Option<Format>,
    /// Leave out records that are wrong, and count them as skipped
    #[arg(long, help_heading = "Input and output")]
    pub(crate) skip_invalid: bool,
    /// Take the first N records only
    #[arg(
        long,
        value_name = "N",
        help_heading = "Input and output",
        allow_negative_numbers = true,
        value_parser = |text: &str| text.parse::<u64>().map_err(|_| "it must be a whole number of at least 0")
    )]
    pub(crate) limit: Option<u64>,
    /// Show what would be sent, and send nothing
    #[arg(long, help_heading = "Input and output")]
    pub(crate) dry_run: bool,
    /// Predict how the run would go at a provider that behaves like MODEL, and send nothing
    ///
    /// Reads the input and plays the run in virtual time, with every limit and policy: an hour takes milliseconds.
    /// MODEL is a list such as `latency=800ms,spread=0.5,fail=0.02,rpm=600,concurrent=50,tokens=300`, all of it
    /// optional: the median latency of a call (1s), the sigma of its log-normal distribution (0.5), the share of calls
    /// that fail (0), the requests a minute and at a time over which it refuses (none), the mean tokens of an answer
    /// (256). The same --seed gives the same figures. Of a --vote every agent is asked.
    #[arg(
        long,
        value_name = "MODEL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        conflicts_with_all = ["dry_run", "compare_sequential"],
        help_heading = "Input and output"
    )]
    pub(crate) rehearse: Option<Model>,
    /// First run N of the prompts one by one, to measure the speed-up
    ///
    /// These calls come on top of those of the run, and their answers are dropped. The speed-up is the time of one
    /// job of this measurement times the jobs of the run, divided by the time of the run.
    #[arg(
        long,
        value_name = "N",
        help_heading = "Input and output",
        allow_negative_numbers = true,
        value_parser = |text: &str| {
            text.parse::<std::num::NonZeroU32>().map_err(|_| "it must be a whole number of at least 1")
        }
    )]
    pub(crate) compare_sequential: Option<std::num::NonZeroU32>,
    #[command(flatten)]
    pub(crate) provider: Flags<PROVIDER>,
    #[command(flatten)]
    pub(crate) call: Flags<CALL>,
    #[command(flatten)]
    pub(crate) flags: Flags<RUN>,
}
