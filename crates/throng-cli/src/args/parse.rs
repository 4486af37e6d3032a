//! The flags of `throng parse`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValue;

const EXAMPLES: &str = "\
Examples:
  throng parse < answer.txt                          the JSON in an answer, repaired
  throng parse --schema plan.schema.json < answer.txt
  throng parse --profile json_repair --output json < answer.txt     with the list of repairs
  throng parse --jsonl < answers.jsonl > values.jsonl";

/// Read JSON that a model wrote: skip what surrounds it, repair it, make it fit a schema
///
/// Reads standard input and writes the value to standard output and what was repaired to standard error. Text that is JSON
/// is not changed. With --jsonl, each line is an object with `id`, `input` and perhaps a `schema` of its own, and becomes a
/// line with `id` and either `value` and `repairs` or `error`.
#[derive(Debug, Args)]
#[command(before_long_help = EXAMPLES)]
pub(crate) struct ParseArgs {
    // Named as the global flag is, which it hides: this command has no settings of its own.
    /// Whose rules to follow
    #[arg(
        long,
        value_name = "NAME",
        default_value = "tolerant",
        value_parser = [
            PossibleValue::new("strict").help("JSON and nothing else"),
            PossibleValue::new("tolerant").help("Skip text and repair"),
            PossibleValue::new("json_repair").help("As json_repair for Python"),
            PossibleValue::new("jsonrepair").help("As jsonrepair for JavaScript"),
            PossibleValue::new("baml").help("As BAML; with a schema, the reading that fits it"),
        ]
    )]
    pub(crate) profile: String,
    /// Make the value fit this JSON schema
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    /// Feed the parser N bytes at a time; the result is the same
    #[arg(long, value_name = "N", default_value = "65536")]
    pub(crate) chunk: NonZeroUsize,
    /// Read JSON Lines with `id`, `input` and perhaps `schema`
    #[arg(long)]
    pub(crate) jsonl: bool,
}
