//! The flags of `throng batch`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValue;

use super::flags::{CALL, Flags, PROVIDER};

const EXAMPLES: &str = "\
Examples:
  throng batch snapshots.jsonl --tools scan,move,wait
  throng batch snapshots.jsonl --tools tools.json --provider openai --model gpt-5-mini --stream
  throng batch snapshots.jsonl --tools tools.json --rules rules.json --emergency wait --agent-deadline 3s
  throng batch - --max-batch 32 --p95-goal 2s --compact --output ndjson < snapshots.jsonl";

/// Plan for many agents with few calls of a model
///
/// Each line of the input is a snapshot, an object with `id` (text or a whole number), and as a rule `role` and `state`;
/// whatever else it has is sent too. Agents share prompts, each gets its own plan and no other's, and those whose plan is
/// missing or cannot be used are asked for again, in the end alone. Plans go to standard output, a line for each agent with
/// `id`, `tier`, `late`, `plan`, `attempts` and `at_ms`, and `error` for an agent that has none; the exit code is then 1.
#[derive(Debug, Args)]
#[command(before_long_help = EXAMPLES)]
pub(crate) struct BatchArgs {
    /// The snapshots, as JSON Lines; `-` reads standard input
    #[arg(value_name = "SNAPSHOTS")]
    pub(crate) input: PathBuf,
    /// How many agents share a prompt at most
    #[arg(long, value_name = "N", default_value = "10", help_heading = "Batch")]
    pub(crate) max_batch: NonZeroUsize,
    /// The tools of plans: names with commas between them, or a JSON file of `[{"name", "description"}]`
    ///
    /// A plan with another tool is not taken. Without tools any is right.
    #[arg(long, value_name = "NAMES|FILE", help_heading = "Batch")]
    pub(crate) tools: Option<String>,
    /// Write each plan as it comes, instead of all in the order of the ids at the end
    #[arg(long, help_heading = "Batch")]
    pub(crate) stream: bool,
    /// Rules for agents for which no model plans: a JSON file of `[{"when", "then"}]`
    #[arg(long, value_name = "FILE", help_heading = "Batch")]
    pub(crate) rules: Option<PathBuf>,
    /// What an agent does if no rule applies either; several with commas between them are steps
    #[arg(long, value_name = "ACT", value_delimiter = ',', help_heading = "Batch")]
    pub(crate) emergency: Vec<String>,
    /// How long an agent waits for the model before rules plan for it, such as 3s
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, help_heading = "Batch")]
    pub(crate) agent_deadline: Option<Duration>,
    /// Let so many agents share a prompt that 95 of 100 calls end within this time
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, help_heading = "Batch")]
    pub(crate) p95_goal: Option<Duration>,
    /// Tokens that a prompt and its answer may have together
    #[arg(long, value_name = "N", help_heading = "Batch")]
    pub(crate) window: Option<NonZeroUsize>,
    /// Say once what all agents share, and the rest as a table
    #[arg(long, help_heading = "Batch")]
    pub(crate) compact: bool,
    /// Which of several plans for an agent counts
    #[arg(
        long,
        value_name = "WORD",
        default_value = "first",
        value_parser = [
            PossibleValue::new("first").help("The first that can be used"),
            PossibleValue::new("last").help("The last that can be used"),
            PossibleValue::new("reject").help("None, unless they are equal"),
        ],
        help_heading = "Batch"
    )]
    pub(crate) duplicates: String,
    /// Give plans that name no agent to the agents in their order, if there is one for each
    #[arg(long, help_heading = "Batch")]
    pub(crate) positional: bool,
    /// Put the agents into an order that is drawn by --seed
    #[arg(long, help_heading = "Batch")]
    pub(crate) permute: bool,
    #[command(flatten)]
    pub(crate) provider: Flags<PROVIDER>,
    #[command(flatten)]
    pub(crate) call: Flags<CALL>,
}
