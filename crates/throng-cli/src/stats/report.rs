//! The figures as tables and as JSON. Every rate and every comparison has its number beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use throng_core::OutcomeKind;
use throng_store::{Change, Comparison, Rate, Series, Stats, Store, Times, ToolStats, Trend, Verdict};

use crate::output::ms;
use crate::ui::counted;

/// Lays the figures out for people.
pub(super) fn table(stats: &Stats, changes: &[Change]) -> String {
    let mut text = String::new();
    let runs = &stats.runs;
    if runs.n > 0 {
        let mut row = counted(runs.n, "run");
        if runs.unended > 0 {
            let _ = write!(row, " ({} without an end)", runs.unended);
        }
        let _ = writeln!(text, "{row}, {}", counted(runs.outcomes.values().sum(), "job"));
        let _ = writeln!(text, "  success     {}", rate(&runs.success));
        wall(&mut text, runs.wall.as_ref(), runs.overlap);
        let _ = writeln!(text, "  attempts    {}", runs.attempts);
        if runs.incomplete > 0 {
            let _ = writeln!(
                text,
                "  incomplete  {}: events were left out, the figures are too low",
                counted(runs.incomplete, "run")
            );
        }
    }
    let batches = &stats.batches;
    if batches.n > 0 {
        let calls: u64 = stats.tools.iter().map(|tool| tool.success.n).sum();
        let _ = writeln!(
            text,
            "{} of tool calls, {}",
            counted(batches.n, "plan"),
            counted(calls, "call")
        );
        let _ = writeln!(text, "  success     {}", rate(&batches.success));
        wall(&mut text, batches.wall.as_ref(), batches.overlap);
    }
    tools(&mut text, &stats.tools);
    comparisons(&mut text, changes);
    text
}

fn wall(text: &mut String, wall: Option<&Times>, overlap: Option<f64>) {
    if let Some(wall) = wall {
        let _ = writeln!(
            text,
            "  wall time   p50 {}, p95 {}, in all {}",
            time(wall.p50),
            time(wall.p95),
            time(wall.total)
        );
    }
    if let Some(overlap) = overlap {
        let _ = writeln!(
            text,
            "  overlap     {overlap:.2} (measured sum of work / wall time)"
        );
    }
}

fn tools(text: &mut String, tools: &[ToolStats]) {
    if tools.is_empty() {
        return;
    }
    let names: Vec<String> = tools.iter().map(|tool| plain(&tool.tool)).collect();
    let width = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .max(4);
    let _ = writeln!(
        text,
        "\n{:width$}  {:>8}  {:>9}  {:>9}  {:>9}  {:>8}  success",
        "tool", "calls", "p50", "p95", "max", "attempts"
    );
    for (name, tool) in names.iter().zip(tools) {
        let of = |pick: fn(&Times) -> Duration| {
            tool.time
                .as_ref()
                .map_or("-".to_owned(), |times| time(pick(times)))
        };
        let _ = writeln!(
            text,
            "{name:width$}  {:>8}  {:>9}  {:>9}  {:>9}  {:>8}  {}",
            tool.success.n,
            of(|times| times.p50),
            of(|times| times.p95),
            of(|times| times.max),
            tool.attempts,
            rate(&tool.success)
        );
    }
}

fn comparisons(text: &mut String, changes: &[Change]) {
    if changes.is_empty() {
        return;
    }
    text.push_str("\nthe last runs against earlier ones\n");
    let (mut not_shown, mut too_few) = (0, 0);
    for change in changes {
        match change.comparison.verdict {
            Verdict::Higher | Verdict::Lower => {
                let _ = writeln!(text, "  {}", told(change));
            }
            Verdict::TooFewRuns => too_few += 1,
            _ => not_shown += 1,
        }
    }
    if not_shown > 0 {
        let _ = writeln!(
            text,
            "  no change is shown in {}",
            counted(not_shown, "comparison")
        );
    }
    if too_few > 0 {
        let _ = writeln!(
            text,
            "  too few runs for {}: each needs {} on both sides",
            counted(too_few, "comparison"),
            throng_store::MIN_RUNS
        );
    }
}

fn told(change: &Change) -> String {
    let higher = change.comparison.verdict == Verdict::Higher;
    match &change.series {
        Series::ToolTime(tool) => {
            let word = if higher { "slower" } else { "faster" };
            format!(
                "{word}: {} {}",
                plain(tool),
                figures(&change.comparison, &change.unit)
            )
        }
        Series::Metric(name) => {
            let word = if higher { "higher" } else { "lower" };
            format!(
                "{word}: {} {}",
                plain(name),
                figures(&change.comparison, &change.unit)
            )
        }
        _ => figures(&change.comparison, &change.unit),
    }
}

/// Writes a comparison out: medians, shift with its interval, p, and the runs on both sides.
fn figures(comparison: &Comparison, unit: &str) -> String {
    let unit = plain(unit);
    let median = |of: Option<f64>| of.map_or("-".to_owned(), |median| format!("{median:.4}"));
    let mut text = format!(
        "{} {unit} -> {} {unit}",
        median(comparison.earlier.median),
        median(comparison.recent.median)
    );
    if let (Some(shift), Some(p)) = (comparison.shift, comparison.p_corrected) {
        let _ = write!(
            text,
            " (shift {:+.4}, 95 %: {:+.4} to {:+.4}; p = {p:.4})",
            shift.estimate, shift.low, shift.high
        );
    }
    let _ = write!(text, "; {} against {}", comparison.recent.n, comparison.earlier.n);
    text
}

/// Returns the figures as one JSON value.
pub(super) fn json(store: &Store, stats: &Stats, changes: &[Change]) -> Value {
    json!({
        "v": 1,
        "store": store.path().display().to_string(),
        "runs": runs_json(stats),
        "plans": plans_json(stats),
        "tools": stats.tools.iter().map(tool_json).collect::<Vec<_>>(),
        "changes": changes.iter().map(change_json).collect::<Vec<_>>(),
    })
}

/// Returns the figures as one JSON value a line, each with what it is about.
pub(super) fn lines(stats: &Stats, changes: &[Change]) -> String {
    let rows = [("runs", runs_json(stats)), ("plans", plans_json(stats))]
        .into_iter()
        .chain(stats.tools.iter().map(|tool| ("tool", tool_json(tool))))
        .chain(changes.iter().map(|change| ("change", change_json(change))));
    rows.map(|(about, value)| line(about, value)).collect()
}

fn line(about: &str, value: Value) -> String {
    let mut whole = json!({"v": 1, "about": about});
    if let (Value::Object(whole), Value::Object(value)) = (&mut whole, value) {
        whole.extend(value);
    }
    format!("{whole}\n")
}

fn runs_json(stats: &Stats) -> Value {
    let runs = &stats.runs;
    json!({
        "n": runs.n,
        "unended": runs.unended,
        "incomplete": runs.incomplete,
        "jobs": outcomes_json(&runs.outcomes),
        "attempts": runs.attempts,
        "success": rate_json(&runs.success),
        "wall": times_json(runs.wall.as_ref()),
        "overlap": runs.overlap,
    })
}

fn plans_json(stats: &Stats) -> Value {
    let batches = &stats.batches;
    json!({
        "n": batches.n,
        "success": rate_json(&batches.success),
        "wall": times_json(batches.wall.as_ref()),
        "overlap": batches.overlap,
    })
}

fn tool_json(tool: &ToolStats) -> Value {
    json!({
        "tool": tool.tool,
        "calls": outcomes_json(&tool.outcomes),
        "attempts": tool.attempts,
        "success": rate_json(&tool.success),
        "time": times_json(tool.time.as_ref()),
    })
}

fn change_json(change: &Change) -> Value {
    let (kind, name) = match &change.series {
        Series::ToolTime(tool) => ("tool_time", tool.as_str()),
        Series::Metric(name) => ("metric", name.as_str()),
        _ => ("other", ""),
    };
    json!({
        "series": kind,
        "name": name,
        "unit": change.unit,
        "regression": change.is_regression(),
        "comparison": comparison_json(&change.comparison),
    })
}

fn comparison_json(comparison: &Comparison) -> Value {
    json!({
        "verdict": comparison.verdict.as_str(),
        "earlier": {"n": comparison.earlier.n, "median": comparison.earlier.median},
        "recent": {"n": comparison.recent.n, "median": comparison.recent.median},
        "shift": comparison.shift.map(|shift| {
            json!({"estimate": shift.estimate, "low": shift.low, "high": shift.high})
        }),
        "p": comparison.p,
        "p_corrected": comparison.p_corrected,
    })
}

fn rate_json(rate: &Rate) -> Value {
    json!({
        "succeeded": rate.successes,
        "n": rate.n,
        "share": rate.share(),
        "low": rate.low,
        "high": rate.high,
    })
}

fn times_json(times: Option<&Times>) -> Value {
    times.map_or(Value::Null, |times| {
        json!({
            "n": times.n,
            "total_ms": ms(times.total),
            "p50_ms": ms(times.p50),
            "p95_ms": ms(times.p95),
            "max_ms": ms(times.max),
        })
    })
}

pub(super) fn outcomes_json(outcomes: &BTreeMap<OutcomeKind, u64>) -> Value {
    outcomes
        .iter()
        .map(|(kind, n)| (kind.as_str().to_owned(), Value::from(*n)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Lays a trend out for people.
pub(super) fn trend_table(trend: &Trend) -> String {
    let mut text = format!(
        "{} in {}, {}\n",
        plain(&trend.name),
        plain(&trend.unit),
        counted(trend.points.len() as u64, "value")
    );
    if trend.other_units > 0 {
        let _ = writeln!(
            text,
            "{} in other units left out",
            counted(trend.other_units as u64, "value")
        );
    }
    for point in &trend.points {
        let line = format!(
            "{}  {:>12}  {}",
            utc(point.at_ms),
            point.value,
            plain(&point.session)
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let word = match trend.comparison.verdict {
        Verdict::Higher => "higher than before",
        Verdict::Lower => "lower than before",
        Verdict::TooFewRuns => "too few runs to compare",
        _ => "no change is shown",
    };
    let _ = writeln!(text, "{word}: {}", figures(&trend.comparison, &trend.unit));
    text
}

/// Returns a trend as one JSON value.
pub(super) fn trend_json(trend: &Trend) -> Value {
    json!({
        "v": 1,
        "metric": trend.name,
        "unit": trend.unit,
        "other_units": trend.other_units,
        "points": trend.points.iter().map(|point| {
            json!({"at_ms": point.at_ms, "value": point.value, "session": point.session})
        }).collect::<Vec<_>>(),
        "comparison": comparison_json(&trend.comparison),
    })
}

/// Returns a trend as one JSON value a line: its values, then the comparison.
pub(super) fn trend_lines(trend: &Trend) -> String {
    let points = trend.points.iter().map(|point| {
        let value = json!({
            "metric": trend.name, "unit": trend.unit,
            "at_ms": point.at_ms, "value": point.value, "session": point.session,
        });
        line("value", value)
    });
    let comparison = json!({
        "metric": trend.name, "unit": trend.unit, "comparison": comparison_json(&trend.comparison),
    });
    points
        .chain(std::iter::once(line("comparison", comparison)))
        .collect()
}

fn rate(rate: &Rate) -> String {
    match rate.share() {
        None => "-".to_owned(),
        Some(share) => format!(
            "{:.1} % (95 %: {:.1} to {:.1}; {} of {})",
            share * 100.0,
            rate.low * 100.0,
            rate.high * 100.0,
            rate.successes,
            rate.n
        ),
    }
}

/// Writes a length of time for people.
pub(super) fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 0.001 => format!("{} µs", time.as_micros()),
        s if s < 1.0 => format!("{:.1} ms", s * 1000.0),
        s => format!("{s:.2} s"),
    }
}

/// Writes an instant.
pub(super) fn utc(ms: i64) -> String {
    let time = u64::try_from(ms)
        .ok()
        .and_then(|ms| std::time::UNIX_EPOCH.checked_add(Duration::from_millis(ms)));
    // The year 9999 is the last that can be written so.
    match time.filter(|_| ms < 253_402_300_800_000) {
        Some(time) => humantime::format_rfc3339_millis(time).to_string(),
        None => format!("{ms} ms"),
    }
}

/// Keeps a name that others chose from steering the terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
