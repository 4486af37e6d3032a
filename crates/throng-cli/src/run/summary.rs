//! The summary of a run: every figure measured, as JSON and as a table.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use throng_core::{OutcomeKind, Usage};
use throng_exec::{Distribution, RunSummary};

use super::errors::{self, Counted, Errors};
use super::progress::short;
use crate::output::{FinishedTask, ms};
use crate::ui::counted;

/// What was read and not run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NotRun {
    /// Ids that had succeeded in the output before.
    pub(crate) already_done: u64,
    /// Wrong records that were left out.
    pub(crate) invalid: u64,
    /// Good records that no call was made for, because the run stopped before.
    pub(crate) not_started: u64,
}

/// What became of the lines of a run.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Result lines that were written.
    pub(crate) lines: u64,
    /// Answers that could not be written.
    pub(crate) lost: u64,
    /// What jobs failed with.
    pub(crate) errors: Errors,
    /// Jobs that the executor took and that ended before their first attempt.
    pub(crate) never_began: NeverBegan,
}

/// Jobs without an attempt: they have no line, and count as not started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NeverBegan {
    pub(crate) cancelled: u64,
    pub(crate) skipped: u64,
    /// How long they had waited, which is no part of where the time of the jobs went.
    pub(crate) queued: Duration,
    pub(crate) throttled: Duration,
}

impl NeverBegan {
    /// Takes a job that has ended; false if it had an attempt.
    pub(crate) fn take(&mut self, finished: &FinishedTask) -> bool {
        if finished.attempts > 0 {
            return false;
        }
        match finished.outcome.kind() {
            OutcomeKind::Cancelled => self.cancelled += 1,
            OutcomeKind::Skipped => self.skipped += 1,
            _ => return false,
        }
        self.queued += finished.timing.queued;
        self.throttled += finished.timing.throttled;
        true
    }

    /// Returns how many there were.
    pub(crate) const fn count(self) -> u64 {
        self.cancelled + self.skipped
    }
}

/// A measurement of jobs run one by one.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sequential {
    /// How many.
    pub(crate) jobs: u64,
    /// How long they took together.
    pub(crate) wall_s: f64,
    /// The time of one of them.
    pub(crate) per_job_ms: f64,
    /// That time, times the jobs of the run, over the time of the run.
    pub(crate) speed_up: f64,
}

/// The whole run in figures.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    v: u32,
    total: u64,
    succeeded: u64,
    failed: u64,
    timed_out: u64,
    cancelled: u64,
    panicked: u64,
    shed: u64,
    /// Everything that was not started.
    skipped: u64,
    /// What `skipped` is made of.
    skipped_already_done: u64,
    skipped_invalid: u64,
    skipped_not_started: u64,
    lines_written: u64,
    answers_lost: u64,
    errors: Vec<Counted>,
    wall_s: f64,
    throughput_per_s: f64,
    attempts: u64,
    retries: u64,
    throttles: u64,
    usage: Usage,
    queued_s: f64,
    throttled_s: f64,
    backoff_s: f64,
    running_s: f64,
    overlap: f64,
    running_ms: Times,
    first_token_ms: Times,
    sequential: Option<Sequential>,
    simulated: bool,
    provider: String,
    model: String,
    max_concurrent: u64,
    seed: u64,
    exit_code: u8,
}

#[derive(Debug, Serialize)]
struct Times {
    count: u64,
    min: f64,
    mean: f64,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

impl Times {
    fn new(times: &Distribution) -> Self {
        Self {
            count: times.count,
            min: ms(times.min),
            mean: ms(times.mean),
            p50: ms(times.p50),
            p95: ms(times.p95),
            p99: ms(times.p99),
            max: ms(times.max),
        }
    }
}

/// Rounds to what a measurement can tell: to thousandths.
fn round(n: f64) -> f64 {
    (n * 1e3).round() / 1e3
}

fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}

/// What a run was, for its summary.
#[derive(Debug)]
pub(crate) struct About {
    /// The answers were made up.
    pub(crate) simulated: bool,
    /// Who answered.
    pub(crate) provider: String,
    /// The model that was asked for.
    pub(crate) model: String,
    /// Most calls at a time.
    pub(crate) max_concurrent: u64,
    /// The seed.
    pub(crate) seed: u64,
}

impl Summary {
    /// Puts the figures together.
    pub(crate) fn new(
        run: &RunSummary,
        not_run: NotRun,
        written: &Written,
        sequential: Option<(u64, Duration)>,
        about: About,
        exit_code: u8,
    ) -> Self {
        let never = written.never_began;
        let count = |kind| match kind {
            OutcomeKind::Cancelled => run.count(kind) - never.cancelled,
            kind => run.count(kind),
        };
        // A job that the executor skipped had no attempt, so that this is zero and only keeps the sum right.
        let odd = run.count(OutcomeKind::Skipped) - never.skipped;
        let skipped = odd + not_run.already_done + not_run.invalid + not_run.not_started;
        let tried = count(OutcomeKind::Succeeded)
            + count(OutcomeKind::Failed)
            + count(OutcomeKind::TimedOut)
            + count(OutcomeKind::Panicked);
        let wall = run.wall.as_secs_f64();
        let per_second = |n: f64| if wall > 0.0 { n / wall } else { 0.0 };
        let sequential = sequential.filter(|(jobs, _)| *jobs > 0).map(|(jobs, time)| {
            let per_job = time.as_secs_f64() / jobs as f64;
            Sequential {
                jobs,
                wall_s: seconds(time),
                per_job_ms: round(per_job * 1e3),
                speed_up: round(per_second(per_job * tried as f64)),
            }
        });
        Self {
            v: 1,
            total: run.ended() - never.count() - odd + skipped,
            succeeded: count(OutcomeKind::Succeeded),
            failed: count(OutcomeKind::Failed),
            timed_out: count(OutcomeKind::TimedOut),
            cancelled: count(OutcomeKind::Cancelled),
            panicked: count(OutcomeKind::Panicked),
            shed: count(OutcomeKind::Shed),
            skipped,
            skipped_already_done: not_run.already_done,
            skipped_invalid: not_run.invalid,
            skipped_not_started: not_run.not_started + odd,
            lines_written: written.lines,
            answers_lost: written.lost,
            errors: written.errors.sorted(),
            wall_s: seconds(run.wall),
            throughput_per_s: round(per_second(tried as f64)),
            attempts: run.attempts,
            retries: run.retries,
            throttles: run.throttles,
            usage: run.usage,
            queued_s: seconds(run.queued.saturating_sub(never.queued)),
            throttled_s: seconds(run.throttled.saturating_sub(never.throttled)),
            backoff_s: seconds(run.backoff),
            running_s: seconds(run.running),
            overlap: round(run.overlap()),
            running_ms: Times::new(&run.running_time),
            first_token_ms: Times::new(&run.first_output),
            sequential,
            simulated: about.simulated,
            provider: about.provider,
            model: about.model,
            max_concurrent: about.max_concurrent,
            seed: about.seed,
            exit_code,
        }
    }

    /// Lays the summary out for people.
    pub(crate) fn table(&self) -> String {
        let mut rows: Vec<(&str, String)> = vec![("outcomes", self.outcomes())];
        if self.skipped_not_started > 0 {
            let n = self.skipped_not_started;
            let have = if n == 1 {
                "was not started and has"
            } else {
                "were not started and have"
            };
            rows.push(("not started", format!("{} {have} no line", counted(n, "record"))));
        }
        if self.answers_lost > 0 {
            rows.push((
                "not written",
                format!("{} could not be written", counted(self.answers_lost, "answer")),
            ));
        }
        for (index, line) in errors::lines(&self.errors).into_iter().enumerate() {
            rows.push((if index == 0 { "errors" } else { "" }, line));
        }
        rows.push(("wall time", format!("{:.2} s", self.wall_s)));
        rows.push((
            "running time",
            format!(
                "{:.2} s in sum, overlap {:.1} at a limit of {}",
                self.running_s, self.overlap, self.max_concurrent
            ),
        ));
        rows.push(("throughput", format!("{:.1} jobs/s", self.throughput_per_s)));
        if let Some(sequential) = &self.sequential {
            rows.push((
                "speed-up",
                format!(
                    "{:.1}× against {} run one by one ({:.0} ms each, {:.2} s)",
                    sequential.speed_up,
                    counted(sequential.jobs, "job"),
                    sequential.per_job_ms,
                    sequential.wall_s
                ),
            ));
        }
        rows.push(("running", times(&self.running_ms)));
        rows.push(("first token", times(&self.first_token_ms)));
        rows.push((
            "attempts",
            format!(
                "{}, of them {}, {} refused by a limit",
                self.attempts,
                match self.retries {
                    1 => "1 retry".to_owned(),
                    n => format!("{n} retries"),
                },
                self.throttles
            ),
        ));
        rows.push(("time went", self.where_time_went()));
        rows.push(("tokens", self.tokens()));
        rows.push((
            "made by",
            format!("{}, model {}, seed {}", self.provider, self.model, self.seed),
        ));
        let mut text = String::new();
        for (name, value) in rows {
            let _ = writeln!(text, "{name:13} {value}");
        }
        text
    }

    fn outcomes(&self) -> String {
        let mut parts = vec![format!("{} succeeded", self.succeeded)];
        let others = [
            (self.failed, "failed"),
            (self.timed_out, "timed out"),
            (self.cancelled, "cancelled"),
            (self.panicked, "panicked"),
            (self.shed, "shed"),
        ];
        parts.extend(
            others
                .iter()
                .filter(|(n, _)| *n > 0)
                .map(|(n, name)| format!("{n} {name}")),
        );
        if self.skipped > 0 {
            let why = [
                (self.skipped_already_done, "done before"),
                (self.skipped_invalid, "invalid"),
                (self.skipped_not_started, "not started"),
            ];
            let why: Vec<String> = why
                .iter()
                .filter(|(n, _)| *n > 0)
                .map(|(n, name)| format!("{n} {name}"))
                .collect();
            parts.push(format!("{} skipped ({})", self.skipped, why.join(", ")));
        }
        format!("{} of {} in all", parts.join(", "), self.total)
    }

    fn where_time_went(&self) -> String {
        let all = self.queued_s + self.throttled_s + self.backoff_s + self.running_s;
        if all <= 0.0 {
            return "nowhere: no job ran".to_owned();
        }
        let parts = [
            ("queue", self.queued_s),
            ("throttle", self.throttled_s),
            ("backoff", self.backoff_s),
            ("running", self.running_s),
        ];
        parts
            .map(|(name, time)| format!("{name} {:.0} %", 100.0 * time / all))
            .join(", ")
    }

    fn tokens(&self) -> String {
        let shown = |n: Option<u64>| n.map_or("unknown".to_owned(), short);
        format!(
            "{} in, {} out",
            shown(self.usage.input_tokens),
            shown(self.usage.output_tokens)
        )
    }
}

fn times(times: &Times) -> String {
    if times.count == 0 {
        return "not measured".to_owned();
    }
    format!(
        "p50 {:.0} ms, p95 {:.0} ms, p99 {:.0} ms",
        times.p50, times.p95, times.p99
    )
}
