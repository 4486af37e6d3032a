//! `throng run --rehearse`: how a run would go, played in virtual time against a model of a provider. Nobody is called
//! and nothing is written.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;
use std::time::Duration;

use serde_json::json;
use throng_core::OutcomeKind;
use throng_exec::{ProviderModel, Rates, RunSummary};

use super::call::Shape;
use super::command::{nothing_to_do, scan_options};
use super::files;
use super::limits::Limits;
use super::progress::short;
use super::same::Same;
use super::summary::{Times, seconds};
use crate::app::{Context, print};
use crate::args::RunArgs;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::input::{Feed, Scan};
use crate::output::{Existing, Sink};
use crate::ui::{OutputMode, counted};

/// What a rehearsed provider does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Model {
    latency: Duration,
    spread: f64,
    fail: f64,
    rpm: Option<NonZeroU32>,
    concurrent: Option<NonZeroUsize>,
    tokens: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            latency: Duration::from_secs(1),
            spread: 0.5,
            fail: 0.0,
            rpm: None,
            concurrent: None,
            tokens: 256,
        }
    }
}

impl FromStr for Model {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut model = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| format!("{part:?} must be NAME=VALUE, such as latency=800ms"))?;
            let share = |most: f64| value.parse().ok().filter(|n| (0.0..=most).contains(n));
            let known = match name {
                "latency" => humantime::parse_duration(value)
                    .ok()
                    .filter(|time| !time.is_zero() && *time <= LONGEST)
                    .map(|time| model.latency = time)
                    .ok_or("a length of time up to one day, such as 800ms"),
                "spread" => share(3.0)
                    .map(|sigma| model.spread = sigma)
                    .ok_or("a number from 0 to 3"),
                "fail" => share(1.0)
                    .map(|fail| model.fail = fail)
                    .ok_or("a number from 0 to 1"),
                "rpm" => value
                    .parse()
                    .map(|rpm| model.rpm = Some(rpm))
                    .map_err(|_| "a whole number of at least 1"),
                "concurrent" => value
                    .parse()
                    .map(|limit| model.concurrent = Some(limit))
                    .map_err(|_| "a whole number of at least 1"),
                "tokens" => value
                    .parse::<u32>()
                    .map(|tokens| model.tokens = u64::from(tokens))
                    .map_err(|_| "a whole number"),
                _ => {
                    return Err(format!(
                        "there is no {name:?}; there are latency, spread, fail, rpm, concurrent and tokens"
                    ));
                }
            };
            known.map_err(|allowed| format!("{name} must be {allowed}, but is {value:?}"))?;
        }
        Ok(model)
    }
}

/// The longest latency.
const LONGEST: Duration = Duration::from_secs(86_400);

impl Model {
    fn provider(&self, seed: u64) -> ProviderModel {
        let mut provider = ProviderModel::new(seed)
            .latency(self.latency)
            .spread(self.spread)
            .fail(self.fail)
            .output_tokens(self.tokens);
        if let Some(rpm) = self.rpm {
            provider = provider.rates(&Rates::new().requests_per_minute(rpm));
        }
        if let Some(limit) = self.concurrent {
            provider = provider.concurrency(limit);
        }
        provider
    }
}

/// What is rehearsed, besides the input.
pub(super) struct Rehearsal {
    /// The other side.
    pub(super) model: Model,
    /// The limits of the run.
    pub(super) limits: Limits,
    /// Tells which prompts are asked once.
    pub(super) same: Option<Same>,
    /// How many agents vote on each prompt.
    pub(super) agents: Option<NonZeroUsize>,
}

/// Predicts a run.
///
/// # Errors
///
/// If the input is wrong or selects nothing.
pub(super) fn rehearse(
    context: &Context,
    args: &RunArgs,
    feed: &Feed,
    shape: &Shape,
    rehearsal: &Rehearsal,
) -> Result<ExitStatus, CliError> {
    let existing = match files::named(args.out.as_deref()).filter(|_| args.resume) {
        Some(path) => Sink::look_at(path, &feed.fingerprints)?,
        None => Existing::default(),
    };
    let mut jobs = Vec::new();
    let mut seen = HashSet::new();
    let agents = rehearsal.agents.map_or(1, NonZeroUsize::get);
    let options = scan_options(args, shape, Some(&existing), &existing);
    let scan = Scan::read_with(feed, &options, |task| {
        let same = rehearsal.same.as_ref();
        if same.is_none_or(|same| seen.insert(same.fingerprint(task))) {
            jobs.extend(std::iter::repeat_n(shape.terms(task), agents));
        }
    })?;
    if scan.records == 0 {
        return Err(nothing_to_do(args, &scan));
    }
    for line in &scan.named {
        context.ui.warn(&format!("left out: {line}"));
    }
    for line in scan.unused(feed) {
        context.ui.warn(&line);
    }
    context.ui.release();
    let calls = jobs.len() as u64;
    let mut provider = rehearsal.model.provider(rehearsal.limits.seed);
    let jobs = jobs.into_iter().map(|terms| terms.job(()));
    let executor = rehearsal.limits.executor()?;
    let summary = executor.rehearse::<(), _, _>(jobs, &mut provider);
    let figures = Figures {
        records: scan.records - scan.done,
        calls,
        seed: rehearsal.limits.seed,
        max_concurrent: rehearsal.limits.max_concurrent.get(),
        model: &rehearsal.model,
        summary: &summary,
    };
    match context.ui.mode() {
        OutputMode::Human => print(&figures.table()),
        OutputMode::Json | OutputMode::Ndjson => print(&format!("{}\n", figures.to_json())),
    }
}

/// What a rehearsal tells.
struct Figures<'a> {
    records: u64,
    calls: u64,
    seed: u64,
    max_concurrent: usize,
    model: &'a Model,
    summary: &'a RunSummary,
}

impl Figures<'_> {
    fn to_json(&self) -> serde_json::Value {
        let (model, summary) = (self.model, self.summary);
        let times = Times::new(&summary.running_time);
        json!({
            "v": 1,
            "event": "rehearsal",
            "records": self.records,
            "calls": self.calls,
            "succeeded": summary.count(OutcomeKind::Succeeded),
            "failed": summary.count(OutcomeKind::Failed),
            "timed_out": summary.count(OutcomeKind::TimedOut),
            "not_started": self.not_started(),
            "duration_s": seconds(summary.wall),
            "attempts": summary.attempts,
            "retries": summary.retries,
            "refusals": summary.throttles,
            "hedges": summary.hedges,
            "input_tokens": summary.usage.input_tokens.unwrap_or(0),
            "output_tokens": summary.usage.output_tokens.unwrap_or(0),
            "latency_ms": times,
            "max_concurrent": self.max_concurrent,
            "seed": self.seed,
            "model": {
                "latency_s": seconds(model.latency),
                "spread": model.spread,
                "fail": model.fail,
                "rpm": model.rpm,
                "concurrent": model.concurrent,
                "tokens": model.tokens,
            },
        })
    }

    /// Returns how many calls the deadline leaves out.
    fn not_started(&self) -> u64 {
        let begun = [OutcomeKind::Succeeded, OutcomeKind::Failed, OutcomeKind::TimedOut];
        let begun: u64 = begun.map(|kind| self.summary.count(kind)).iter().sum();
        self.calls - begun
    }

    fn table(&self) -> String {
        let summary = self.summary;
        let succeeded = summary.count(OutcomeKind::Succeeded);
        let times = Times::new(&summary.running_time);
        let wall = Duration::from_millis(u64::try_from(summary.wall.as_millis()).unwrap_or(u64::MAX));
        let shown = |n: Option<u64>| short(n.unwrap_or(0));
        let rows = [
            ("duration", humantime::format_duration(wall).to_string()),
            (
                "calls",
                format!(
                    "{} for {}, {succeeded} succeeded, {} failed, {} timed out, {} not started",
                    self.calls,
                    counted(self.records, "record"),
                    summary.count(OutcomeKind::Failed),
                    summary.count(OutcomeKind::TimedOut),
                    self.not_started()
                ),
            ),
            (
                "attempts",
                format!(
                    "{}, of them {} and {}, {} refused by a limit",
                    summary.attempts,
                    match summary.retries {
                        1 => "1 retry".to_owned(),
                        n => format!("{n} retries"),
                    },
                    counted(summary.hedges, "hedge"),
                    summary.throttles
                ),
            ),
            (
                "latency",
                format!(
                    "p50 {:.0} ms, p95 {:.0} ms, all attempts of a call",
                    times.p50, times.p95
                ),
            ),
            (
                "tokens",
                format!(
                    "{} in, {} out",
                    shown(summary.usage.input_tokens),
                    shown(summary.usage.output_tokens)
                ),
            ),
            (
                "predicted by",
                format!(
                    "a model of a provider, with {} calls at a time and seed {}",
                    self.max_concurrent, self.seed
                ),
            ),
        ];
        let mut text = String::new();
        for (name, value) in rows {
            let _ = writeln!(text, "{name:13} {value}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_a_list_of_what_differs_from_the_default() {
        assert_eq!("".parse(), Ok(Model::default()));
        let expect = Model {
            latency: Duration::from_millis(800),
            spread: 0.0,
            fail: 0.02,
            rpm: NonZeroU32::new(600),
            concurrent: NonZeroUsize::new(50),
            tokens: 300,
        };
        assert_eq!(
            "latency=800ms, spread=0,fail=0.02,rpm=600,concurrent=50,tokens=300".parse(),
            Ok(expect)
        );
        for (text, says) in [
            ("latency=0s", "latency must be"),
            ("latency=2d", "latency must be"),
            ("fail=1.1", "fail must be a number from 0 to 1, but is \"1.1\""),
            ("spread=NaN", "spread must be"),
            ("rpm=0", "rpm must be"),
            ("speed=2", "there is no \"speed\""),
            ("latency", "\"latency\" must be NAME=VALUE"),
        ] {
            let error = text.parse::<Model>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
