//! The flags of `throng tools` and what `throng agent` shares with it.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use throng_tools::{Assume, FailurePolicy};

const EXAMPLES: &str = "\
Examples:
  throng tools plan.json --tools throng.toml
  throng tools plan.json --dry-run --output json
  throng tools plan.json --assume read-only --graph mermaid
  throng tools plan.json --tools throng.toml --explain --trace trace.json";

/// Run a plan of tool calls as fast as their dependencies allow
///
/// A call starts when the last call that it waits for has ended: because it says so (`depends_on`), because its arguments
/// refer to a result (`$call_1.path`), or because both touch the same thing and one of them changes it. The results are
/// those of running the calls one by one in the order of the plan. Each call is a line of JSON on standard output; how the
/// plan went stands on standard error, or with `--output json` in a last line with `"event":"summary"`.
#[derive(Debug, Args)]
#[command(before_long_help = EXAMPLES)]
pub(crate) struct ToolsArgs {
    /// The plan: JSON, or the text of LLMCompiler or ReWOO; `-` is standard input
    ///
    /// The JSON is `{"calls":[{"id","name","arguments","depends_on","reads","writes"}],"policy"}`; the last three of a
    /// call may be left out, and so may the policy.
    #[arg(value_name = "PLAN")]
    pub(crate) plan: PathBuf,
    #[command(flatten)]
    pub(crate) toolbox: ToolboxArgs,
    /// Show the order of the calls and why, without running any; needs no tools
    #[arg(long, help_heading = "Show")]
    pub(crate) dry_run: bool,
    /// Say of each call what it waits for, and why; before it is run
    #[arg(long, help_heading = "Show")]
    pub(crate) explain: bool,
    /// Print the graph of the calls in this language, without running any
    #[arg(long, value_name = "WORD", help_heading = "Show")]
    pub(crate) graph: Option<GraphForm>,
    /// Write when each attempt ran to this file, for Perfetto or chrome://tracing
    #[arg(long, value_name = "FILE", help_heading = "Show")]
    pub(crate) trace: Option<PathBuf>,
    /// Print results in the order of the plan, or as calls end
    #[arg(long, value_name = "WORD", help_heading = "Show", default_value = "plan")]
    pub(crate) order: ResultOrder,
    /// Run one call at a time, in the order of the plan
    #[arg(long, help_heading = "Run")]
    pub(crate) sequential: bool,
    /// Run the plan one call at a time first, to measure the speed-up; for plans whose calls may be repeated
    #[arg(long, help_heading = "Run", conflicts_with = "sequential")]
    pub(crate) measure_sequential: bool,
    /// Remember in the store under this name which calls began and ended, and go on from there if the name is known
    #[arg(long, value_name = "NAME", help_heading = "Run")]
    pub(crate) journal: Option<String>,
    /// Name the session that the plan belongs to
    #[arg(long, value_name = "NAME", help_heading = "Run")]
    pub(crate) session: Option<String>,
    /// Record the plan in the store, for `throng stats`
    #[arg(long, help_heading = "Run")]
    pub(crate) record_stats: bool,
}

/// Which tools there are, and how their calls are run.
#[derive(Debug, Args)]
pub(crate) struct ToolboxArgs {
    /// A file with tables `[tools.NAME]` and `[mcp.NAME]`; may be given several times
    #[arg(long = "tools", value_name = "FILE", help_heading = "Tools")]
    pub(crate) files: Vec<PathBuf>,
    /// What calls are taken to touch whose tools do not say it
    #[arg(long, value_name = "WORD", help_heading = "Tools")]
    pub(crate) assume: Option<AssumeWord>,
    /// How many calls may run at the same time
    #[arg(long = "max-calls", value_name = "N", help_heading = "Tools")]
    pub(crate) max_calls: Option<NonZeroUsize>,
    /// What the failure of a call means for the others
    #[arg(long, value_name = "WORD", help_heading = "Tools")]
    pub(crate) on_failure: Option<FailureWord>,
    /// How much there is of a pool, such as gpu=2, cpu=8 or memory=4096; may be given several times
    #[arg(long = "pool", value_name = "NAME=UNITS", help_heading = "Tools")]
    pub(crate) pools: Vec<String>,
}

/// A language for graphs.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum GraphForm {
    /// For Graphviz
    Dot,
    /// For Mermaid
    Mermaid,
}

/// In which order results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResultOrder {
    /// In the order of the plan
    Plan,
    /// As calls end
    End,
}

/// What undeclared calls are taken to touch.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum AssumeWord {
    /// Nothing that is shared
    Independent,
    /// They read everything
    ReadOnly,
    /// Everything: they keep their place (the default)
    Exclusive,
}

impl From<AssumeWord> for Assume {
    fn from(word: AssumeWord) -> Self {
        match word {
            AssumeWord::Independent => Self::Independent,
            AssumeWord::ReadOnly => Self::ReadOnly,
            AssumeWord::Exclusive => Self::Exclusive,
        }
    }
}

/// What the failure of a call means.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FailureWord {
    /// The others go on (the default)
    Continue,
    /// Those that depend on it are skipped
    SkipDependents,
    /// The rest is cancelled
    FailFast,
}

impl From<FailureWord> for FailurePolicy {
    fn from(word: FailureWord) -> Self {
        match word {
            FailureWord::Continue => Self::Continue,
            FailureWord::SkipDependents => Self::SkipDependents,
            FailureWord::FailFast => Self::FailFast,
        }
    }
}
