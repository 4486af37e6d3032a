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
            let on_screen = bar.clone();
            let task = tokio::spawn(async move {
                let mut ticks = tokio::time::interval(DRAW_EVERY);
                loop {
                    ticks.tick().await;
                    let progress = run.progress();
                    on_screen.set_position(progress.ended());
                    on_screen.set_message(drawn(&progress, total));
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

/// The message is cut where the terminal ends: a line that wraps could not be cleared.
const TEMPLATE: &str = "{spinner} {wide_msg}";

fn bar(total: Option<u64>) -> ProgressBar {
    // The template is fixed, and a test renders it.
    let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    total
        .map_or_else(ProgressBar::no_length, ProgressBar::new)
        .with_style(style)
}

/// What the bar shows, the most important first.
fn drawn(progress: &Progress, total: Option<u64>) -> String {
    const WIDTH: u64 = 24;
    let Some(total) = total else {
        let elapsed = humantime::format_duration(Duration::from_secs(progress.elapsed.as_secs()));
        return format!("{} done, {}, {elapsed}", progress.ended(), details(progress));
    };
    let filled = (progress.ended().min(total) * WIDTH)
        .checked_div(total)
        .unwrap_or(WIDTH);
    let filled = usize::try_from(filled).unwrap_or(0);
    let eta = eta(progress, total.into()).map_or_else(String::new, |eta| {
        format!(
            ", ETA {}",
            humantime::format_duration(Duration::from_secs(eta.as_secs()))
        )
    });
    format!(
        "{}/{total} [{:24}]{eta}, {}",
        progress.ended(),
        "=".repeat(filled),
        details(progress)
    )
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
    use std::io;

    use super::*;

    /// A terminal that keeps what is written to it.
    #[derive(Clone, Debug)]
    struct Recorder(u16, Arc<std::sync::Mutex<String>>);

    impl indicatif::TermLike for Recorder {
        fn width(&self) -> u16 {
            self.0
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.1.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            self.1.lock().unwrap().clear();
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_bar_is_cut_where_a_narrow_terminal_ends() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
        let message = drawn(&Progress::default(), Some(300));
        assert!(
            message.starts_with("0/300 [                        ], "),
            "{message}"
        );
        for width in [20, 40, 80, 200] {
            let term = Recorder(width, Arc::default());
            let target = indicatif::ProgressDrawTarget::term_like(Box::new(term.clone()));
            let bar = ProgressBar::with_draw_target(Some(300), target).with_style(bar(Some(300)).style());
            bar.set_message(message.clone());
            bar.tick();
            let text = term.1.lock().unwrap().clone();
            assert!(text.contains("0/300 [  "), "{width}: {text:?}");
            assert!(text.chars().count() <= usize::from(width), "{width}: {text:?}");
            bar.abandon();
        }
    }

    #[test]
    fn large_numbers_are_short() {
        assert_eq!([9_999, 12_345, 2_500_000].map(short), ["9999", "12.3k", "2.5M"]);
    }
}
