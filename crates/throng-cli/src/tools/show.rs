//! How a plan is shown before it is run, and what is said of it afterwards.

use std::fmt::Write as _;
use std::time::Duration;

use throng_tools::{Dependencies, DryRun, PlanReport};

/// Lays the order of the calls out for people.
pub(super) fn schedule(dry_run: &DryRun) -> String {
    let mut text = String::new();
    for (index, wave) in dry_run.waves.iter().enumerate() {
        let _ = writeln!(text, "wave {:<3} {}", index + 1, wave.join(", "));
    }
    let _ = writeln!(text, "critical path: {}", dry_run.critical_path.join(" -> "));
    for edge in &dry_run.edges {
        let _ = writeln!(
            text,
            "{} -> {}  {}: {}",
            edge.from, edge.to, edge.kind, edge.because
        );
    }
    text
}

/// Says of each call what it waits for, and why.
pub(super) fn explained(dependencies: &Dependencies) -> String {
    let mut text = String::new();
    for call in 0..dependencies.len() {
        let call = u32::try_from(call).unwrap_or(u32::MAX);
        let id = dependencies.id(call).unwrap_or_default();
        let edges = dependencies.incoming(call);
        if edges.is_empty() {
            let _ = writeln!(text, "{id} waits for nothing");
        }
        for edge in edges {
            let from = dependencies.id(edge.from).unwrap_or_default();
            let _ = writeln!(text, "{id} waits for {from}: {}", dependencies.because(edge));
        }
    }
    text
}

/// Sums up a plan that was run.
pub(super) fn summary(report: &PlanReport) -> String {
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1_000.0);
    let succeeded = report
        .results
        .iter()
        .filter(|result| result.outcome.is_success())
        .count();
    let mut text = format!(
        "{succeeded} of {} calls succeeded in {}\n",
        report.results.len(),
        ms(report.total)
    );
    let _ = writeln!(
        text,
        "overlap {:.2} ({} of work), lower bound {}, critical path {} ({})",
        report.overlap(),
        ms(report.work),
        ms(report.lower_bound()),
        report.critical_path.join(" -> "),
        ms(report.critical_time),
    );
    if let (Some(sequential), Some(speed_up)) = (report.sequential, report.speed_up()) {
        let _ = writeln!(
            text,
            "speed-up {speed_up:.2}: one call at a time took {}",
            ms(sequential)
        );
    }
    for (index, wave) in report.waves.iter().enumerate() {
        let began = wave.started.map_or_else(|| "-".to_owned(), ms);
        let _ = writeln!(
            text,
            "wave {:<3} {began} to {}: {}",
            index + 1,
            ms(wave.ended),
            wave.calls.join(", ")
        );
    }
    for (result, error) in report.errors() {
        let _ = writeln!(text, "{} {}: {error}", result.id, result.outcome.kind());
    }
    text
}
