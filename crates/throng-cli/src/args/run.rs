//! The flags of `throng run`.

use std::path::PathBuf;

use clap::Args;

use super::flags::{Flags, PROVIDER, RUN};
use crate::input::Format;

const EXAMPLES: &str = "\
Examples:
  throng run questions.jsonl --out answers.jsonl
  throng run questions.jsonl --out answers.jsonl --resume
  throng run questions.csv --template 'Name three sights of {city}, {country}.'
  sort prompts.txt | throng run - --limit 100 > answers.jsonl
  throng run q.jsonl --provider openai --base-url http://localhost:8080/v1 --model llama
  throng run q.jsonl --rpm 500 --otpm 100000 --max-concurrent 64 --timeout 90s
  throng run q.jsonl --dry-run";

/// Send every record of the inputs to a model, many at a time
///
/// Writes one JSON line for each record, as soon as its answer is there:
/// {"v":1,"id","outcome","text","attempts","usage","timing","error"}.
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
    pub(crate) flags: Flags<RUN>,
}
