//! The flags of `throng vote`.

use std::num::NonZeroUsize;

use clap::Args;

use super::flags::{CALL, Flags, PROVIDER, parser};
use crate::settings::{Kind, Value};
use crate::vote::RulesArgs;

const EXAMPLES: &str = "\
Examples:
  throng vote 'Which planet is the largest?' --agents 7
  throng vote 'Is 3599 prime? Answer yes or no.' --agents 15 --quorum 5 --threshold 0.6 --temperature 1
  throng vote - --equivalence json --stop certain < question.txt
  throng vote 'Which planet is the largest?' --provider openai --model gpt-4o-mini --output json";

/// Ask several agents one question, and print the answer that most of them give
///
/// The agents are the same model with the seeds 0, 1, 2 and so on, so that their answers differ where the model is not
/// sure. No further agent is asked when it would hardly change the answer. The answer goes to standard output, how the
/// votes stand to standard error. Without consensus (a tie, too few answers, or too few of them for the first) there is
/// no answer, and the exit code is 1.
#[derive(Debug, Args)]
#[command(before_long_help = EXAMPLES)]
pub(crate) struct VoteArgs {
    /// The question; `-` reads standard input, up to 1 MiB
    #[arg(value_name = "QUESTION")]
    pub(crate) question: String,
    /// How many agents there are to ask
    #[arg(long, value_name = "N", default_value = "5", help_heading = "Vote", value_parser = agents, allow_negative_numbers = true)]
    pub(crate) agents: NonZeroUsize,
    /// When two answers are the same: `exact`, `normalised` or `json`; as --vote-equivalence of `run`
    #[arg(
        long,
        value_name = "WORD",
        help_heading = "Vote",
        value_parser = parser(Kind::Choice(&["exact", "normalised", "json"]))
    )]
    equivalence: Option<Value>,
    /// Share of the answers that the winner needs, 0 to 1; as --vote-threshold
    #[arg(long, value_name = "N", help_heading = "Vote", value_parser = parser(Kind::Number(0, 1)), allow_negative_numbers = true)]
    threshold: Option<Value>,
    /// How many answers the vote needs; as --vote-quorum
    #[arg(long, value_name = "N", help_heading = "Vote", value_parser = parser(Kind::Count(1, 10_000)), allow_negative_numbers = true)]
    quorum: Option<Value>,
    /// How sure the vote must be to end early, with `bayesian`; as --vote-confidence
    #[arg(long, value_name = "SHARE", help_heading = "Vote", value_parser = parser(Kind::Share(50)), allow_negative_numbers = true)]
    confidence: Option<Value>,
    /// When the vote ends before every agent was asked: `bayesian`, `certain` or `never`; as --vote-stop
    #[arg(
        long,
        value_name = "WORD",
        help_heading = "Vote",
        value_parser = parser(Kind::Choice(&["bayesian", "certain", "never"]))
    )]
    stop: Option<Value>,
    #[command(flatten)]
    pub(crate) provider: Flags<PROVIDER>,
    #[command(flatten)]
    pub(crate) call: Flags<CALL>,
}

impl VoteArgs {
    /// Returns what the flags say of the rules.
    pub(crate) fn rules(&self) -> RulesArgs {
        let text = |value: &Option<Value>| value.as_ref().map(ToString::to_string);
        let number = |value: &Option<Value>| match value {
            Some(Value::Number(n)) => Some(*n),
            _ => None,
        };
        RulesArgs {
            equivalence: text(&self.equivalence),
            threshold: number(&self.threshold),
            quorum: match self.quorum {
                Some(Value::Count(n)) => Some(n),
                _ => None,
            },
            confidence: number(&self.confidence),
            stop: text(&self.stop),
        }
    }
}

fn agents(text: &str) -> Result<NonZeroUsize, &'static str> {
    const MOST: usize = 10_000;
    match text.parse::<NonZeroUsize>() {
        Ok(n) if n.get() <= MOST => Ok(n),
        _ => Err("it must be a whole number from 1 to 10000"),
    }
}
