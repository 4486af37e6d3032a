//! The latest of a kind, for people and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};
use throng_store::{Kind, Last, ResultRecord, StoredRun, ToolBatch};

use super::report::{outcomes_json, plain, time, utc};
use crate::output::ms;

/// Lays it out for people.
pub(super) fn table(last: &Last) -> String {
    match last {
        Last::Run(run) => rows(&run_rows(run)),
        Last::ToolBatch(batch) => batch_table(batch),
        Last::Metric(metric) => rows(&[
            ("metric", plain(&metric.name)),
            ("value", format!("{} {}", metric.value, plain(&metric.unit))),
            ("session", plain(&metric.session)),
            ("at", utc(metric.at_ms)),
        ]),
        Last::Journal(journal) => rows(&[
            ("run", plain(&journal.run)),
            ("steps", journal.steps.to_string()),
            ("without an end", journal.unended.to_string()),
            ("last touched", utc(journal.touched_ms)),
        ]),
        Last::Result(result) => {
            let head = rows(&[("key", plain(&result.key)), ("at", utc(result.at_ms))]);
            let body: String = result.body.lines().map(|line| plain(line) + "\n").collect();
            head + &body
        }
        _ => String::new(),
    }
}

fn run_rows(run: &StoredRun) -> Vec<(&'static str, String)> {
    let outcomes: Vec<String> = run
        .outcomes
        .iter()
        .map(|(kind, n)| format!("{n} {kind}"))
        .collect();
    let mut rows = vec![
        ("command", plain(&run.command)),
        ("session", plain(&run.session)),
        ("began", utc(run.started_ms)),
        ("wall time", run.wall.map_or("no end is known".to_owned(), time)),
        ("work", time(run.work)),
        ("jobs", outcomes.join(", ")),
        ("attempts", run.attempts.to_string()),
    ];
    if run.lost_events > 0 {
        rows.push((
            "incomplete",
            format!(
                "{} events were left out, the figures are too low",
                run.lost_events
            ),
        ));
    }
    rows
}

fn batch_table(batch: &ToolBatch) -> String {
    let mut text = rows(&[
        ("plan", plain(&batch.plan)),
        ("session", plain(&batch.session)),
        ("began", utc(batch.started_ms)),
        ("wall time", time(batch.wall)),
        ("work", time(batch.work)),
        (
            "overlap",
            batch
                .overlap()
                .map_or(String::new(), |overlap| format!("{overlap:.2}")),
        ),
    ]);
    let width = |of: fn(&throng_store::ToolCallRecord) -> &str| {
        batch
            .calls
            .iter()
            .map(|call| of(call).chars().count())
            .max()
            .unwrap_or(0)
    };
    let (ids, tools) = (width(|call| &call.id), width(|call| &call.tool));
    for call in &batch.calls {
        let line = format!(
            "  {:ids$}  {:tools$}  {:>9}  {:>9}  {:9}  {}",
            plain(&call.id),
            plain(&call.tool),
            time(call.started),
            time(call.ended.saturating_sub(call.started)),
            call.outcome,
            plain(call.error.as_deref().unwrap_or_default())
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn rows(rows: &[(&str, String)]) -> String {
    rows.iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name:14}  {value}\n"))
        .collect()
}

/// Returns it as JSON.
pub(super) fn json(kind: Kind, last: &Last) -> Value {
    json!({"v": 1, "kind": kind.as_str(), "last": value(last)})
}

fn value(last: &Last) -> Value {
    match last {
        Last::Run(run) => json!({
            "run": run.run.map(|run| format!("{run:032x}")),
            "command": run.command,
            "session": run.session,
            "started_ms": run.started_ms,
            "wall_ms": run.wall.map(ms),
            "work_ms": ms(run.work),
            "attempts": run.attempts,
            "jobs": outcomes_json(&run.outcomes),
            "lost_events": run.lost_events,
        }),
        Last::ToolBatch(batch) => json!({
            "plan": batch.plan,
            "session": batch.session,
            "started_ms": batch.started_ms,
            "wall_ms": ms(batch.wall),
            "work_ms": ms(batch.work),
            "overlap": batch.overlap(),
            "success": batch.success,
            "calls": batch.calls.iter().map(|call| json!({
                "id": call.id,
                "tool": call.tool,
                "outcome": call.outcome.as_str(),
                "started_ms": ms(call.started),
                "ended_ms": ms(call.ended),
                "attempts": call.attempts,
                "error": call.error,
            })).collect::<Vec<_>>(),
        }),
        Last::Metric(metric) => json!({
            "name": metric.name,
            "value": metric.value,
            "unit": metric.unit,
            "session": metric.session,
            "at_ms": metric.at_ms,
        }),
        Last::Journal(journal) => json!({
            "run": journal.run,
            "steps": journal.steps,
            "unended": journal.unended,
            "touched_ms": journal.touched_ms,
        }),
        Last::Result(result) => result_json(result),
        _ => Value::Null,
    }
}

/// Returns results as the JSON that they are, or as text if they are none.
fn result_json(result: &ResultRecord) -> Value {
    let body: Value = serde_json::from_str(&result.body).unwrap_or_else(|_| result.body.clone().into());
    json!({"key": result.key, "at_ms": result.at_ms, "results": body})
}
