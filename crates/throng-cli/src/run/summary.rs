//! The summary of a run: every figure measured, as JSON and as a table.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use throng_core::{OutcomeKind, Usage};
use throng_exec::{Distribution, RunSummary};
use throng_llm::Cost;

use super::errors::{self, Counted};
use super::keys::{self, KeyRow};
use super::progress::short;
use super::written::{NeverBegan, NotRun, Written};
use crate::output::ms;
use crate::provider::Extras;
use crate::ui::counted;

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
    /// Records that got the answer of an equal one, each of which is a call saved.
    deduplicated: u64,
    errors: Vec<Counted>,
    wall_s: f64,
    throughput_per_s: f64,
    attempts: u64,
    retries: u64,
    throttles: u64,
    retries_refused: u64,
    hedges: u64,
    hedges_won: u64,
    usage: Usage,
    queued_s: f64,
    throttled_s: f64,
    backoff_s: f64,
    running_s: f64,
    overlap: f64,
    running_ms: Times,
    first_token_ms: Times,
    sequential: Option<Sequential>,
    votes: Option<Votes>,
    keys: Vec<KeyRow>,
    #[serde(flatten)]
    bill: BillLine,
    simulated: bool,
    provider: String,
    model: String,
    max_concurrent: u64,
    seed: u64,
    exit_code: u8,
}

/// What the votes of a run asked.
#[derive(Clone, Copy, Debug, Serialize)]
struct Votes {
    agents: u64,
    asked: u64,
    saved: u64,
}

/// What the calls of a run have cost.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct BillLine {
    /// Dollars, as far as prices are known; none if none is.
    cost_usd: Option<f64>,
    /// Answers that came from the cache, if there is one.
    cache_hits: Option<u64>,
    /// Calls that have cost something that is not in `cost_usd`.
    unpriced_calls: u64,
    /// What was asked of each model.
    models: Vec<ModelLine>,
    /// Attempts in which nobody was called, because enough was spent.
    #[serde(skip)]
    unsent: u64,
    #[serde(skip)]
    shown: Option<Cost>,
}

/// What was asked of one model. Only calls whose answer began are in it.
#[derive(Clone, Debug, Serialize)]
struct ModelLine {
    model: String,
    calls: u64,
    usage: Usage,
    cost_usd: Option<f64>,
}

impl BillLine {
    /// Reads what was spent.
    pub(crate) fn of(extras: &Extras) -> Self {
        let total = extras.spending.total();
        let models = extras.spending.models().into_iter();
        Self {
            cost_usd: extras.cost().map(Cost::dollars),
            cache_hits: extras.cache_hits(),
            unpriced_calls: total.unpriced,
            models: models
                .map(|(model, spent)| ModelLine {
                    model,
                    calls: spent.calls,
                    usage: spent.usage,
                    cost_usd: (spent.unpriced == 0).then(|| spent.cost.dollars()),
                })
                .collect(),
            unsent: extras.stop.as_ref().map_or(0, |stop| stop.unsent()),
            shown: extras.cost(),
        }
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = Vec::new();
        if let Some(hits) = self.cache_hits {
            rows.push((
                "cache",
                format!("{} answered without a call", counted(hits, "prompt")),
            ));
        }
        if let Some(cost) = self.shown {
            let rest = match self.unpriced_calls {
                0 => String::new(),
                n => format!(", and {} of models without a known price", counted(n, "call")),
            };
            rows.push(("cost", format!("{cost}{rest}")));
        }
        if self.models.len() > 1 {
            for (index, model) in self.models.iter().enumerate() {
                let shown = |n: Option<u64>| n.map_or("unknown".to_owned(), short);
                let line = format!(
                    "{}: {}, {} tokens in, {} out",
                    model.model,
                    counted(model.calls, "call"),
                    shown(model.usage.input_tokens),
                    shown(model.usage.output_tokens)
                );
                rows.push((if index == 0 { "models" } else { "" }, line));
            }
        }
        rows
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Times {
    count: u64,
    min: f64,
    mean: f64,
    pub(super) p50: f64,
    pub(super) p95: f64,
    p99: f64,
    max: f64,
}

impl Times {
    pub(super) fn new(times: &Distribution) -> Self {
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

pub(super) fn seconds(time: Duration) -> f64 {
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
    /// How many agents vote on each record.
    pub(crate) agents: Option<u64>,
    /// What it has cost.
    pub(crate) bill: BillLine,
}

impl Summary {
    /// Puts the figures together. `calls` is the run of the calls, which is `run` itself unless there are votes.
    pub(crate) fn new(
        run: &RunSummary,
        calls: &RunSummary,
        not_run: NotRun,
        written: &Written,
        sequential: Option<(u64, Duration)>,
        about: About,
        exit_code: u8,
    ) -> Self {
        // The run of the calls has no part of votes that never began.
        let never = if about.agents.is_some() {
            NeverBegan::default()
        } else {
            written.never_began
        };
        let count = |kind| written.counts.of(kind);
        let skipped = not_run.already_done + not_run.invalid + not_run.not_started;
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
            total: written.counts.sum() + skipped,
            succeeded: count(OutcomeKind::Succeeded),
            failed: count(OutcomeKind::Failed),
            timed_out: count(OutcomeKind::TimedOut),
            cancelled: count(OutcomeKind::Cancelled),
            panicked: count(OutcomeKind::Panicked),
            shed: count(OutcomeKind::Shed),
            skipped,
            skipped_already_done: not_run.already_done,
            skipped_invalid: not_run.invalid,
            skipped_not_started: not_run.not_started,
            lines_written: written.lines,
            answers_lost: written.lost,
            deduplicated: written.copies,
            errors: written.errors.sorted(),
            wall_s: seconds(run.wall),
            throughput_per_s: round(per_second(tried as f64)),
            attempts: calls.attempts.saturating_sub(about.bill.unsent),
            retries: calls.retries,
            throttles: calls.throttles,
            retries_refused: calls.retries_refused,
            hedges: calls.hedges,
            hedges_won: calls.hedges_won,
            usage: calls.usage,
            queued_s: seconds(calls.queued.saturating_sub(never.queued)),
            throttled_s: seconds(calls.throttled.saturating_sub(never.throttled)),
            backoff_s: seconds(calls.backoff),
            running_s: seconds(calls.running),
            overlap: round(per_second(calls.running.as_secs_f64())),
            running_ms: Times::new(&calls.running_time),
            first_token_ms: Times::new(&calls.first_output),
            sequential,
            votes: about.agents.map(|agents| Votes {
                agents,
                asked: written.votes.0,
                saved: written.votes.1,
            }),
            keys: written.keys.rows(calls),
            bill: about.bill,
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
        if self.deduplicated > 0 {
            let rest = "got the answer of an equal one, without a call";
            rows.push((
                "equal",
                format!("{} {rest}", counted(self.deduplicated, "record")),
            ));
        }
        if let Some(votes) = self.votes {
            let text = format!(
                "{} asked, {} saved, {} for each record",
                counted(votes.asked, "agent"),
                votes.saved,
                votes.agents
            );
            rows.push(("votes", text));
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
        let mut extra = String::new();
        if self.hedges > 0 {
            let _ = write!(
                extra,
                ", {}, {} of them first",
                counted(self.hedges, "hedge"),
                self.hedges_won
            );
        }
        if self.retries_refused > 0 {
            let n = self.retries_refused;
            let _ = write!(extra, ", {n} more retries than --retry-budget pays for");
        }
        rows.push((
            "attempts",
            format!(
                "{}, of them {}, {} refused by a limit{extra}",
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
        rows.extend(self.bill.rows());
        for (index, line) in keys::lines(&self.keys).into_iter().enumerate() {
            rows.push((if index == 0 { "keys" } else { "" }, line));
        }
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
