//! What `throng batch` writes: a line for each agent, and the summary.

use std::fmt::Write as _;

use serde_json::{Value, json};
use throng_batch::{AgentResult, BatchReport, Plan};
use throng_llm::Cost;

use crate::app::{Context, print};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::ui::{OutputMode, counted};

/// Returns the line of an agent.
pub(super) fn line(result: &AgentResult<Plan>) -> String {
    let mut line = json!({
        "v": 1,
        "id": result.id,
        "tier": result.tier.map(throng_batch::Tier::as_str),
        "late": result.late,
        "plan": result.plan,
        "attempts": result.attempts.len(),
        "at_ms": millis(result.at),
    });
    if result.plan.is_none() {
        line["error"] = Value::from(reason(result));
    }
    format!("{line}\n")
}

/// Says why an agent has no plan: what the last call said, or else that no rule applies.
fn reason(result: &AgentResult<Plan>) -> String {
    let mut failures = result.attempts.iter().rev();
    let last = failures
        .clone()
        .find(|attempt| attempt.call.is_some())
        .or_else(|| failures.next())
        .and_then(|attempt| attempt.failure.as_ref());
    last.map_or_else(|| "it was not asked about".to_owned(), ToString::to_string)
}

fn millis(time: std::time::Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

/// How a batch went, as a whole.
pub(super) struct Summary<'a> {
    pub(super) report: &'a BatchReport<Plan>,
    pub(super) cost: Option<Cost>,
    pub(super) model: &'a str,
    pub(super) simulated: bool,
    pub(super) seed: u64,
    pub(super) status: ExitStatus,
}

impl Summary<'_> {
    /// Writes it: text on standard error, or the last line of standard output.
    ///
    /// # Errors
    ///
    /// If standard output cannot be written to.
    pub(super) fn show(&self, context: &Context) -> Result<(), CliError> {
        if context.ui.mode() == OutputMode::Human {
            context.ui.text(&self.table());
            return Ok(());
        }
        print(&format!("{}\n", self.to_json())).map(drop)
    }

    fn late(&self) -> usize {
        self.report.results.iter().filter(|result| result.late).count()
    }

    fn table(&self) -> String {
        let report = self.report;
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<13} {value}");
        };
        let tiers: Vec<String> = report
            .tiers()
            .iter()
            .map(|(tier, n)| format!("{n} {}", tier.as_str()))
            .collect();
        let mut agents = format!("{} of {} planned", report.n_planned(), report.results.len());
        if !tiers.is_empty() {
            let _ = write!(agents, ": {}", tiers.join(", "));
        }
        row("agents", agents);
        if self.late() > 0 {
            row("late", counted(self.late() as u64, "agent"));
        }
        let failed = report.calls.iter().filter(|call| call.error.is_some()).count();
        let early = report.calls.iter().filter(|call| call.stopped_early).count();
        row(
            "calls",
            format!("{}, {failed} failed, {early} stopped early", report.calls.len()),
        );
        let strays: usize = report.calls.iter().map(|call| call.unknown.len()).sum();
        if strays > 0 {
            row(
                "unknown",
                format!("{} for nobody", counted(strays as u64, "plan")),
            );
        }
        let usage = report.usage();
        if let (Some(input), Some(output)) = (usage.input_tokens, usage.output_tokens) {
            row("tokens", format!("{input} in, {output} out"));
        }
        if let Some(cost) = self.cost {
            row("cost", cost.to_string());
        }
        row("time", format!("{:.3} s", report.elapsed.as_secs_f64()));
        for result in report.results.iter().filter(|result| result.plan.is_none()) {
            row("no plan", format!("{}: {}", result.id, reason(result)));
        }
        text
    }

    fn to_json(&self) -> Value {
        let report = self.report;
        let calls: Vec<Value> = report
            .calls
            .iter()
            .map(|call| {
                json!({
                    "tier": call.tier.as_str(),
                    "agents": call.agents,
                    "ending": call.ending.as_str(),
                    "plans": call.plans,
                    "repairs": call.repairs,
                    "unknown": call.unknown.len(),
                    "stopped_early": call.stopped_early,
                    "began_ms": millis(call.began),
                    "first_chunk_ms": call.first_chunk.map(millis),
                    "first_plan_ms": call.first_plan.map(millis),
                    "took_ms": millis(call.took),
                    "error": call.error,
                })
            })
            .collect();
        let tiers: serde_json::Map<String, Value> = report
            .tiers()
            .into_iter()
            .map(|(tier, n)| (tier.as_str().to_owned(), Value::from(n)))
            .collect();
        json!({
            "v": 1,
            "event": "summary",
            "agents": report.results.len(),
            "planned": report.n_planned(),
            "late": self.late(),
            "tiers": tiers,
            "calls": calls,
            "usage": report.usage(),
            "cost_usd": self.cost.map(Cost::dollars),
            "elapsed_ms": millis(report.elapsed),
            "model": self.model,
            "simulated": self.simulated,
            "seed": self.seed,
            "exit_code": self.status.code(),
        })
    }
}
