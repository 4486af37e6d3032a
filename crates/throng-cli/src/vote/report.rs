//! What `throng vote` tells: the answer on standard output, how the votes stand on standard error; or all of it as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use throng_core::Outcome;
use throng_exec::{Decision, StopReason, Verdict};
use throng_llm::{Completion, Cost, LlmError};

use super::failure::{NoConsensus, decision_name};
use super::poll::stop_name;
use crate::app::{Context, print};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::explain;
use crate::input::Prompt;
use crate::ui::{OutputMode, counted};

/// How many characters of an answer stand in a line of the tally.
const PREVIEW: usize = 100;

/// What is told of a vote.
pub(super) struct Report<'a> {
    /// What came of it.
    pub(super) verdict: &'a Verdict<Completion, LlmError>,
    /// The model that was asked for.
    pub(super) model: &'a str,
    /// The answers are made up.
    pub(super) simulated: bool,
    /// What the calls have cost, if that is known.
    pub(super) cost: Option<Cost>,
    /// The sum of `--max-cost` was spent.
    pub(super) spent_out: bool,
    /// When the vote had to end.
    pub(super) deadline: Option<Duration>,
    /// The seed.
    pub(super) seed: u64,
}

impl Report<'_> {
    /// Returns the answer that has won. The answers that came before a deadline might have been outvoted.
    fn winner(&self) -> Option<&Completion> {
        self.verdict.winner().filter(|_| !self.is_cut_off())
    }

    /// Returns true if the deadline ended the vote. Agents that it ended count as failed or were never asked.
    fn is_cut_off(&self) -> bool {
        let decided = matches!(self.verdict.stop, StopReason::Certain | StopReason::Confident);
        let passed = self
            .deadline
            .is_some_and(|deadline| self.verdict.wall >= deadline);
        !decided && (passed || self.verdict.stop == StopReason::RunEnded)
    }

    /// Returns how the command ends.
    pub(super) fn status(&self) -> ExitStatus {
        match self.winner() {
            Some(_) => ExitStatus::Success,
            None if self.is_cut_off() || self.spent_out => ExitStatus::Partial,
            None => ExitStatus::SomeFailed,
        }
    }

    /// Prints the answer, and how the votes stand.
    ///
    /// # Errors
    ///
    /// If standard output cannot be written to.
    pub(super) fn show(&self, context: &Context) -> Result<(), CliError> {
        if context.ui.mode() != OutputMode::Human {
            return print(&format!("{}\n", self.to_json())).map(|_| ());
        }
        if let Some(winner) = self.winner() {
            print(&format!("{}\n", winner.text))?;
        }
        context.ui.text(&self.table());
        Ok(())
    }

    fn decision(&self) -> &'static str {
        if self.is_cut_off() {
            return "undecided";
        }
        decision_name(self.verdict.decision)
    }

    fn reason(&self) -> Option<String> {
        let verdict = self.verdict;
        if self.is_cut_off() {
            return Some("--deadline passed before the vote was decided".to_owned());
        }
        (verdict.decision != Decision::Consensus).then(|| {
            NoConsensus::of(verdict.decision, verdict.agreement, verdict.valid, verdict.agents).message
        })
    }

    fn table(&self) -> String {
        let verdict = self.verdict;
        let mut text = String::new();
        if let Some(reason) = self.reason() {
            let _ = writeln!(text, "no consensus: {reason}");
        }
        let first = verdict.choices.first().map_or(0, |choice| choice.votes());
        let _ = writeln!(
            text,
            "agreement     {:.2}, {first} of {}",
            verdict.agreement,
            counted(verdict.valid as u64, "answer")
        );
        let _ = writeln!(
            text,
            "agents        {} of {} asked, {} saved, {} failed; ended: {}",
            verdict.asked,
            verdict.agents,
            verdict.saved,
            verdict.failed,
            stop_name(verdict.stop)
        );
        for choice in &verdict.choices {
            let answer = Prompt::Text(choice.answer.text.clone()).preview(PREVIEW);
            let _ = writeln!(text, "{:>5} ×       {answer}", choice.votes());
        }
        if let Some(cost) = self.cost {
            let _ = writeln!(text, "cost          {cost}");
        }
        for error in self.errors() {
            let _ = writeln!(text, "failed        {error}");
        }
        text
    }

    /// Returns the different errors of agents, as sentences.
    fn errors(&self) -> Vec<String> {
        let mut errors: Vec<String> = self
            .verdict
            .failures
            .iter()
            .map(|failure| match &failure.outcome {
                Outcome::Failed(error) => explain::chain(error),
                other => format!("the call {}", other.kind().as_str().replace('_', " ")),
            })
            .collect();
        errors.sort_unstable();
        errors.dedup();
        errors
    }

    fn to_json(&self) -> Value {
        let verdict = self.verdict;
        let choices: Vec<Value> = verdict
            .choices
            .iter()
            .map(|choice| {
                json!({
                    "text": choice.answer.text,
                    "votes": choice.votes(),
                    "agents": choice.agents,
                })
            })
            .collect();
        json!({
            "v": 1,
            "event": "verdict",
            "decision": self.decision(),
            "text": self.winner().map(|winner| &winner.text),
            "agreement": verdict.agreement,
            "confidence": verdict.confidence,
            "stop": stop_name(verdict.stop),
            "agents": verdict.agents,
            "asked": verdict.asked,
            "saved": verdict.saved,
            "valid": verdict.valid,
            "failed": verdict.failed,
            "cancelled": verdict.cancelled,
            "choices": choices,
            "errors": self.errors(),
            "usage": verdict.usage,
            "cost_usd": self.cost.map(Cost::dollars),
            "wall_s": verdict.wall.as_micros() as f64 / 1e6,
            "simulated": self.simulated,
            "model": self.model,
            "seed": self.seed,
            "exit_code": self.status().code(),
        })
    }
}
