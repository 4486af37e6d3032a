//! Progress while a run goes on: a bar on a terminal, a line every ten seconds elsewhere.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use throng_core::OutcomeKind;
use throng_exec::{Progress, RunHandle};
use tokio::task::JoinHandle;

use crate::ui::{OutputMode, Ui, Verbosity};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How often the bar is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(120);

/// Shows progress until it is stopped.
pub(crate) struct Reporter {
    task: Option<JoinHandle<()>>,
    bar: Option<ProgressBar>,
}

impl Reporter {
    /// Begins to show the progress of a run. Needs a Tokio runtime.
    pub(crate) fn start(ui: &Arc<Ui>, run: RunHandle, total: Option<u64>, wanted: bool) -> Self {
        if !wanted || ui.verbosity() == Verbosity::Quiet || ui.mode() == OutputMode::Json {
            return Self {
                task: None,
                bar: None,
            };
        }
        // Log lines on the terminal and a bar would draw over each other.
        let on_bar =
            ui.is_terminal() && ui.mode() == OutputMode::Human && ui.verbosity() == Verbosity::Normal;
        if on_bar {
            let bar = ui.bars().add(bar(total));
            let drawn = bar.clone();
            let task = tokio::spawn(async move {
                let mut ticks = tokio::time::interval(DRAW_EVERY);
                loop {
                    ticks.tick().await;
                    let progress = run.progress();
                    drawn.set_position(progress.ended());
                    drawn.set_message(details(&progress));
                }
            });
            return Self {
                task: Some(task),
                bar: Some(bar),
            };
        }
        let ui = Arc::clone(ui);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + LINE_EVERY, LINE_EVERY);
            loop {
                ticks.tick().await;
                let progress = run.progress();
                match ui.mode() {
                    OutputMode::Human => ui.text(&format!("{}\n", line(&progress, total))),
                    _ => ui.text(&format!("{}\n", as_json(&progress, total))),
                }
            }
        });
        Self {
            task: Some(task),
            bar: None,
        }
    }

    /// Stops and clears the bar.
    pub(crate) fn stop(self) {
        if let Some(task) = self.task {
            task.abort();
        }
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => "{spinner} {pos}/{len} [{bar:24}] {msg}, ETA {eta}",
        None => "{spinner} {pos} done, {msg}, {elapsed}",
    };
    // The template is fixed, and a test renders it.
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    total
        .map_or_else(ProgressBar::no_length, ProgressBar::new)
        .with_style(style)
}

fn failed(progress: &Progress) -> u64 {
    progress.ended() - progress.count(OutcomeKind::Succeeded)
}

fn rate(progress: &Progress) -> f64 {
    let seconds = progress.elapsed.as_secs_f64();
    if seconds > 0.0 {
        progress.ended() as f64 / seconds
    } else {
        0.0
    }
}

fn details(progress: &Progress) -> String {
    format!(
        "{} failed, {} running, {} retrying, {} tokens, {:.1}/s",
        failed(progress),
        progress.running,
        progress.backing_off,
        short(progress.usage.total()),
        rate(progress),
    )
}

fn line(progress: &Progress, total: Option<u64>) -> String {
    let mut text = match total {
        Some(total) => format!("progress: {}/{total} done, ", progress.ended()),
        None => format!("progress: {} done, ", progress.ended()),
    };
    text.push_str(&details(progress));
    if let Some(eta) = eta(progress, total) {
        let _ = write!(
            text,
            ", ETA {}",
            humantime::format_duration(Duration::from_secs(eta.as_secs()))
        );
    }
    text
}

fn eta(progress: &Progress, total: Option<u64>) -> Option<Duration> {
    let left = total?.saturating_sub(progress.ended());
    let seconds = left as f64 / rate(progress);
    Duration::try_from_secs_f64(seconds).ok()
}

fn as_json(progress: &Progress, total: Option<u64>) -> serde_json::Value {
    json!({
        "v": 1,
        "event": "progress",
        "total": total,
        "ended": progress.ended(),
        "failed": failed(progress),
        "running": progress.running,
        "retrying": progress.backing_off,
        "retries": progress.retries,
        "tokens": progress.usage.total(),
        "per_s": rate(progress),
        "eta_s": eta(progress, total).map(|eta| eta.as_secs_f64()),
    })
}

/// Shortens a large number: 12345 becomes `12.3k`.
pub(crate) fn short(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => format!("{:.1}k", n as f64 / 1e3),
        _ => format!("{:.1}M", n as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_of_the_bar_are_valid() {
        for template in [
            "{spinner} {pos}/{len} [{bar:24}] {msg}, ETA {eta}",
            "{spinner} {pos} done, {msg}, {elapsed}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn large_numbers_are_short() {
        assert_eq!([9_999, 12_345, 2_500_000].map(short), ["9999", "12.3k", "2.5M"]);
    }
}
