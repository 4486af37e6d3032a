//! The flags of `throng agent`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use clap::Args;

use super::ToolboxArgs;
use super::flags::{CALL, Flags, PROVIDER};

const EXAMPLES: &str = "\
Examples:
  throng agent 'Which file here is the largest?' --tools throng.toml --provider openai --model gpt-5-mini
  throng agent 'What time is it in Oslo?' --mcp time='uvx mcp-server-time' --max-steps 5
  throng agent - --mcp https://tools.example/mcp --output ndjson < task.txt";

/// Let a model call tools until it answers
///
/// The model is asked, the tools that it calls run at the same time as far as their effects allow, and their results go
/// back to it, until it answers or a limit is reached. The answer goes to standard output, what happens on the way to
/// standard error; with `--output ndjson` every event is a line on standard output, and with `--output json` the whole
/// report is one.
#[derive(Debug, Args)]
#[command(before_long_help = EXAMPLES)]
pub(crate) struct AgentArgs {
    /// What the model is asked; `-` reads standard input, up to 1 MiB
    #[arg(value_name = "PROMPT")]
    pub(crate) prompt: String,
    #[command(flatten)]
    pub(crate) toolbox: ToolboxArgs,
    /// An MCP server: a command, the URL of one, or either behind NAME=; may be given several times
    ///
    /// The command is split at spaces and started without a shell. Its tools are taken to have unknown effects; a table
    /// `[mcp.NAME]` in a file of `--tools` can say more.
    #[arg(long = "mcp", value_name = "SERVER", help_heading = "Tools")]
    pub(crate) servers: Vec<String>,
    /// How many answers the model gives at most
    #[arg(
        long,
        value_name = "N",
        default_value = "20",
        help_heading = "Limits of the agent"
    )]
    pub(crate) max_steps: NonZeroU32,
    /// How many tool calls are made at most
    #[arg(long, value_name = "N", help_heading = "Limits of the agent")]
    pub(crate) max_tool_calls: Option<u32>,
    /// How long the agent may take, such as 5m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, help_heading = "Limits of the agent")]
    pub(crate) max_time: Option<Duration>,
    /// How many tokens all prompts and answers may have together
    #[arg(long, value_name = "N", help_heading = "Limits of the agent")]
    pub(crate) max_tokens: Option<u64>,
    /// How many bytes of a tool's result the model is told
    #[arg(
        long,
        value_name = "N",
        default_value = "65536",
        help_heading = "Limits of the agent"
    )]
    pub(crate) max_result_bytes: NonZeroUsize,
    /// Start no tool before the answer that calls it is complete
    #[arg(long, help_heading = "Tools")]
    pub(crate) no_early_start: bool,
    /// Record the tool calls of each step in the store, for `throng stats`
    #[arg(long, help_heading = "Tools")]
    pub(crate) record_stats: bool,
    #[command(flatten)]
    pub(crate) provider: Flags<PROVIDER>,
    #[command(flatten)]
    pub(crate) call: Flags<CALL>,
}
