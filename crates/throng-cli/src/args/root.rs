//! The program's own flags and its commands.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};

use super::flags::{Flags, GLOBAL};
use super::{
    AgentArgs, BatchArgs, BenchArgs, ModelsArgs, ParseArgs, RunArgs, SimArgs, SimulateArgs, StatsArgs,
    ToolsArgs, VoteArgs,
};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  throng run questions.jsonl                 answer every question; without a provider, a simulated one
  throng run questions.jsonl --out answers.jsonl --provider openai --model gpt-4o-mini
  throng run questions.jsonl --out answers.jsonl --resume    go on after an interruption
  throng vote 'Which planet is the largest?' --agents 7      the answer that most of seven agents give
  throng models --provider anthropic         what a provider offers, and what it costs
  throng tools plan.json --tools throng.toml    a plan of tool calls, as fast as its dependencies allow
  throng agent 'Which file is the largest?' --tools throng.toml    a model that calls tools until it answers
  throng batch snapshots.jsonl --tools scan,move    plans for many agents, with few calls
  throng parse < answer.txt                  the JSON in an answer, repaired
  throng bench                               what concurrency brings, measured
  throng sim --fail 0.1 --rpm 600            a model server that misbehaves, for testing other clients
  throng stats                               what was recorded: times, overlap, success
  throng simulate graph.json --limit 16      how long a graph of tool calls would take
  throng config show --origin                every setting, and what set it";

/// Runs many LLM prompts at once, within limits, every one accounted for
#[derive(Debug, Parser)]
#[command(
    name = "throng",
    version,
    styles = STYLES,
    before_long_help = EXAMPLES,
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Log more: -v when a run begins and ends, -vv each attempt that fails, -vvv everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: u8,
    /// Say nothing on standard error but errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Read this configuration file in place of the project's throng.toml [env: THRONG_CONFIG]
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "no_config")]
    pub(crate) config: Option<PathBuf>,
    /// Read no configuration file
    #[arg(long, global = true)]
    pub(crate) no_config: bool,
    /// Use the settings of [profile.NAME] in the configuration files [env: THRONG_PROFILE]
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) profile: Option<String>,
    #[command(flatten)]
    pub(crate) flags: Flags<GLOBAL>,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Box<RunArgs>),
    Vote(Box<VoteArgs>),
    Models(Box<ModelsArgs>),
    Tools(Box<ToolsArgs>),
    Agent(Box<AgentArgs>),
    Batch(Box<BatchArgs>),
    Parse(Box<ParseArgs>),
    Bench(Box<BenchArgs>),
    Sim(Box<SimArgs>),
    Stats(Box<StatsArgs>),
    Simulate(Box<SimulateArgs>),
    /// Show the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print a completion script for a shell
    ///
    /// For bash: throng completions bash > ~/.local/share/bash-completion/completions/throng
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the reference pages into a folder
    #[command(hide = true)]
    Codegen {
        /// The folder
        folder: PathBuf,
    },
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every setting with its value
    ///
    /// Keys are never printed, only where they would come from.
    Show {
        /// Say what set each value: a flag, a variable, a line of a file, or the default
        #[arg(long)]
        origin: bool,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::settings::{SETTINGS, Scope};

    #[test]
    fn the_command_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_setting_has_its_flag() {
        let mut cli = Cli::command();
        cli.build();
        let run = cli.find_subcommand("run").unwrap();
        let stats = cli.find_subcommand("stats").unwrap();
        let prune = stats.find_subcommand("prune").unwrap();
        for setting in SETTINGS {
            let flag = setting.flag();
            let command = match setting.scope {
                Scope::Stats => prune,
                _ => run,
            };
            let arg = command
                .get_arguments()
                .find(|arg| arg.get_long() == flag.strip_prefix("--"));
            assert!(arg.is_some(), "{flag} of {:?}", setting.scope);
            assert_eq!(
                arg.unwrap().is_global_set(),
                setting.scope == Scope::Global,
                "{flag}"
            );
        }
    }

    #[test]
    fn no_flag_takes_a_key() {
        let mut cli = Cli::command();
        cli.build();
        for command in cli.get_subcommands() {
            for arg in command.get_arguments() {
                assert!(
                    arg.get_long().is_none_or(|long| !long.ends_with("key")),
                    "{arg:?}"
                );
            }
        }
    }

    #[test]
    fn global_flags_are_taken_on_both_sides_of_the_command() {
        for line in [
            ["throng", "--color", "never", "run", "x"],
            ["throng", "run", "x", "--color", "never"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            let values = cli.global.flags.into_values();
            assert_eq!(values.len(), 1, "{line:?}");
            assert_eq!(values[0].0.key, "color");
        }
    }
}
