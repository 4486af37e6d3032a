//! Drives a prepared run: starts the server or the client, takes results as they come, and ends with the summary.

use std::fs::File;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use throng_core::{Outcome, OutcomeKind, TimeoutKind};
use throng_exec::{RunHandle, RunSummary};
use throng_sim::SimConfig;

use super::answerer::Answerer;
use super::call::{Caller, Shape};
use super::ending::{Ending, finish, not_run, show, status};
use super::going::{Going, finish_calls};
use super::health::Health;
use super::intake::{Counts, Intake};
use super::limits::Limits;
use super::progress::Reporter;
use super::same::Same;
use super::summary::{About, BillLine, Summary};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::explain;
use crate::input::{Fingerprints, Scan, Task};
use crate::output::{Existing, LineAbout, ResultLine, Sink, WriteFailed};
use crate::provider::{Extras, Provider, Stop};
use crate::signals::Signals;
use crate::stats::Recorder;
use crate::ui::{Ui, counted};
use crate::vote::{AgentCaller, Poll, Rules, Voter};

/// A run that is ready to start.
pub(crate) struct Campaign {
    /// The voice of the program.
    pub(crate) ui: Arc<Ui>,
    /// Who is called.
    pub(crate) provider: Provider,
    /// What stands between the run and its providers.
    pub(crate) extras: Extras,
    /// Within which limits.
    pub(crate) limits: Limits,
    /// What requests have in common.
    pub(crate) shape: Shape,
    /// Where tasks come from.
    pub(crate) intake: Intake,
    /// What was read.
    pub(crate) counts: Arc<Counts>,
    /// What the first reading found, if there was one.
    pub(crate) scan: Option<Scan>,
    /// How many tasks there are, if that is known.
    pub(crate) total: Option<u64>,
    /// What the output holds already.
    pub(crate) existing: Arc<Existing>,
    /// Makes what stands for ids.
    pub(crate) prints: Fingerprints,
    /// Where results go.
    pub(crate) sink: Sink,
    /// Where the summary goes.
    pub(crate) summary_file: Option<(File, PathBuf)>,
    /// Tells which prompts are asked once.
    pub(crate) same: Option<Same>,
    /// How agents vote on each prompt.
    pub(crate) rules: Option<Rules>,
    /// Where it is recorded how the run went.
    pub(crate) recorder: Option<Recorder>,
    /// How many prompts are run one by one first.
    pub(crate) compare: Option<u64>,
    /// Whether progress is shown.
    pub(crate) progress: bool,
}

/// Runs a campaign to its end.
///
/// # Errors
///
/// If the run could not go on; what was done is written, and the summary was shown.
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future aborts the run.
pub(crate) async fn drive(campaign: Campaign) -> Result<ExitStatus, CliError> {
    let Campaign {
        ui,
        provider,
        extras,
        limits,
        shape,
        intake,
        counts,
        scan,
        total,
        existing,
        prints,
        mut sink,
        same,
        rules,
        ..
    } = campaign;
    let signals = Signals::listen(&ui);
    let seed = limits.seed;
    let answerer = Answerer::start(
        &provider,
        &extras,
        || SimConfig::builder().seed(seed).build(),
        limits.timeout,
    )
    .await?;
    answerer.announce(&provider, &extras, &ui);
    let mut tasks = intake.stream()?;
    let caller = |health: &Arc<Health>| {
        Caller::new(
            answerer.steps.clone(),
            shape.clone(),
            Arc::clone(health),
            extras.stop.clone(),
        )
    };
    let health = || {
        let most = u32::try_from(limits.max_concurrent.get()).unwrap_or(u32::MAX);
        let most = total.map_or(most, |total| most.min(u32::try_from(total).unwrap_or(u32::MAX)));
        Arc::new(Health::new(most))
    };

    let mut sequential = None;
    let mut first = Vec::new();
    if let Some(n) = campaign.compare {
        first = (&mut tasks)
            .take(usize::try_from(n).unwrap_or(usize::MAX))
            .collect()
            .await;
        ui.note(&format!(
            "running {} one by one first, to compare",
            counted(first.len() as u64, "prompt")
        ));
        let health = health();
        let time = one_by_one(&limits, &shape, caller(&health), first.clone(), &signals, &health).await?;
        sequential = time.map(|time| (first.len() as u64, time));
    }

    let health = health();
    let tasks = stream::iter(first).chain(tasks);
    let about = LineAbout {
        simulated: provider.is_simulated(),
        providers: answerer.steps.iter().map(|step| step.name.clone()).collect(),
        retries: limits.retries > 0,
        patience: limits.patience,
        deadline: limits
            .deadline
            .and_then(|deadline| Instant::now().checked_add(deadline)),
    };
    let caller = caller(&health);
    let agents = rules.as_ref().map(|rules| rules.agents().get() as u64);
    let (going, calls) = match rules {
        None => (
            Going::start(&limits.executor()?, shape.clone(), tasks, same, caller),
            None,
        ),
        Some(rules) => {
            let calls = limits.without_deadline().executor()?.serve(AgentCaller(caller));
            let voter = Voter {
                rules,
                shape: shape.clone(),
                calls: calls.clone(),
            };
            let tasks = tasks.map(|task| Task {
                poll: Some(Arc::new(Poll::default())),
                ..task
            });
            let executor = limits.of_votes().executor()?;
            (
                Going::start(&executor, shape.clone(), tasks, same, voter),
                Some(calls),
            )
        }
    };
    signals.steer(going.handle(), if calls.is_some() { "votes" } else { "calls" });
    let handles: Vec<RunHandle> = [
        Some(going.handle()),
        calls.as_ref().map(|calls| calls.handle().clone()),
    ]
    .into_iter()
    .flatten()
    .collect();
    let spent_out = extras
        .stop
        .clone()
        .map(|stop| drain_when_spent(handles.clone(), stop));
    let watcher = drain_when_given_up(handles, &health);
    // A run in which equal prompts are asked once does not know how many it will ask.
    let shown = total.filter(|_| matches!(going, Going::All(_)));
    let reporter = Reporter::start(
        &ui,
        going.handle(),
        shown,
        campaign.progress && !sink.is_terminal(),
    );
    let taken = take(going, &limits, &mut sink, &about).await;
    watcher.abort();
    if let Some(spent_out) = spent_out {
        spent_out.abort();
    }
    reporter.stop();
    let (summary, mut ending) = taken?;
    ending.spent_out = extras.stop.as_ref().is_some_and(|stop| stop.is_reached());
    let recorded = extras.flush().await;
    let calls = match calls {
        Some(calls) => finish_calls(calls).await,
        None => summary.clone(),
    };
    sink.sync();

    if scan.is_none() && !existing.is_empty() && ending.write_failed.is_none() {
        // The ids that this run would try again were not known when it began.
        sink.tidy_up(&prints)?;
    }
    let input_error = counts.take_error();
    let not_run = not_run(&counts, scan.as_ref(), &ending.written);
    let verdict = health.verdict();
    let status = status(
        &signals,
        &ending,
        input_error.as_ref(),
        verdict.is_some(),
        not_run,
    );
    let about = About {
        simulated: provider.is_simulated(),
        provider: answerer.described.clone(),
        model: shape.model.clone(),
        max_concurrent: limits.max_concurrent.get() as u64,
        seed,
        agents,
        bill: BillLine::of(&extras),
    };
    if let Some(recorder) = campaign.recorder {
        let outcomes = |kind| ending.written.counts.of(kind);
        // The answers are there: what is not recorded is no reason to call the run a failure.
        if let Err(error) = recorder.record("run", summary.wall, &calls, outcomes).await {
            ui.warn(&format!("the run is not recorded: {}", error.message()));
        }
    }
    let report = Summary::new(
        &summary,
        &calls,
        not_run,
        &ending.written,
        sequential,
        about,
        status.code(),
    );
    show(&ui, &sink, &report, campaign.summary_file)?;
    if let Some(server) = answerer.server {
        server.shutdown().await;
    }
    recorded?;
    let succeeded = ending.written.counts.of(OutcomeKind::Succeeded);
    finish(
        &ui,
        &sink,
        status,
        ending,
        input_error,
        verdict.map(|error| explain::unusable(&error, &provider.shown_url())),
        not_run,
        succeeded,
        counts.first_invalid().as_deref(),
    )
}

/// Runs tasks one by one and returns how long they took; nothing if that was interrupted or gave up.
async fn one_by_one(
    limits: &Limits,
    shape: &Shape,
    caller: Caller,
    tasks: Vec<Task>,
    signals: &Signals,
    health: &Arc<Health>,
) -> Result<Option<Duration>, CliError> {
    let executor = limits.at_a_time(NonZeroUsize::MIN).executor()?;
    let jobs: Vec<_> = tasks.into_iter().map(|task| shape.job(task)).collect();
    let began = Instant::now();
    let mut run = executor.start(jobs, caller);
    signals.steer(run.handle(), "calls");
    let watcher = drain_when_given_up(vec![run.handle()], health);
    while run.next().await.is_some() {}
    watcher.abort();
    let time = began.elapsed();
    let summary = run.finish().await.map_err(|error| bug(&error))?;
    let whole =
        summary.input_exhausted && summary.count(OutcomeKind::Cancelled) == 0 && !signals.is_interrupted();
    Ok(whole.then_some(time))
}

/// Takes the outcomes of a run and writes their lines.
async fn take(
    mut going: Going,
    limits: &Limits,
    sink: &mut Sink,
    about: &LineAbout,
) -> Result<(RunSummary, Ending), CliError> {
    let mut ending = Ending::default();
    while let Some((finished, same_as)) = going.next().await {
        ending.deadline |= matches!(
            &finished.outcome,
            Outcome::TimedOut(TimeoutKind::Deadline) | Outcome::Skipped
        );
        if ending.written.never_began.take(&finished) {
            continue;
        }
        let kind = finished.outcome.kind();
        ending.written.counts.add(kind);
        if let Some(key) = &finished.key {
            ending.written.keys.add(key, kind);
        }
        ending.written.copies += u64::from(same_as.is_some());
        let line = ResultLine::new(&finished, same_as.as_ref(), about);
        if let Some(poll) = finished.input.poll.as_ref().filter(|_| same_as.is_none()) {
            ending.written.votes.0 += poll.asked() as u64;
            ending.written.votes.1 += poll.line().map_or(0, |line| line.saved());
        }
        if let Some(error) = line.error().filter(|_| kind != OutcomeKind::Cancelled) {
            ending.written.errors.add(error);
        }
        if let Err(error) = sink.write(&line) {
            ending.written.lost += u64::from(finished.outcome.is_success());
            if ending.write_failed.is_none() {
                tracing::error!(error = %error, "A result could not be written.");
                match error {
                    // Nobody wants the rest.
                    WriteFailed::Closed => going.handle().abort(),
                    WriteFailed::Io(..) => going.handle().drain(),
                }
                ending.write_failed = Some(error);
            }
        }
    }
    ending.written.lines = sink.written();
    let summary = going.finish().await.map_err(|error| bug(&error))?;
    ending.deadline |= limits.deadline.is_some_and(|deadline| summary.wall >= deadline);
    Ok((summary, ending))
}

fn drain_when_given_up(runs: Vec<RunHandle>, health: &Arc<Health>) -> tokio::task::JoinHandle<()> {
    let health = Arc::clone(health);
    tokio::spawn(async move {
        health.given_up().await;
        for run in runs {
            run.drain();
        }
    })
}

fn drain_when_spent(runs: Vec<RunHandle>, stop: Arc<Stop>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        stop.reached().await;
        for run in runs {
            run.drain();
        }
    })
}

fn bug(error: &throng_exec::RunError) -> CliError {
    CliError::new(ExitStatus::Bug, "the run itself could not go on").cause(error)
}
