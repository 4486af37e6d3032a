//! Drives a prepared run: starts the server or the client, takes results as they come, and ends with the summary.

use std::fs::File;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt as _, stream};
use throng_core::{Outcome, OutcomeKind, TimeoutKind};
use throng_exec::{Run, RunSummary};
use throng_llm::{Completion, LlmClient, LlmError};
use throng_sim::{SimConfig, SimServer};
use tokio::runtime::Runtime;

use super::call::{Caller, Shape};
use super::ending::{Ending, finish, not_run, show, status};
use super::health::Health;
use super::intake::{Counts, Intake};
use super::limits::Limits;
use super::progress::Reporter;
use super::summary::{About, Summary};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::explain;
use crate::input::{Fingerprints, Scan, Task};
use crate::output::{Existing, LineAbout, ResultLine, Sink, WriteFailed};
use crate::provider::{self, Provider, Remote, SIM_MODEL};
use crate::signals::Signals;
use crate::ui::{Ui, counted};

/// A run that is ready to start.
pub(crate) struct Campaign {
    /// The voice of the program.
    pub(crate) ui: Arc<Ui>,
    /// Who is called.
    pub(crate) provider: Provider,
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
    /// How many prompts are run one by one first.
    pub(crate) compare: Option<u64>,
    /// Whether progress is shown.
    pub(crate) progress: bool,
}

/// The server that was started for a command, and the client of whoever answers.
pub(crate) struct Answerer {
    /// The client.
    pub(crate) client: Arc<dyn LlmClient>,
    /// What is said of the server.
    pub(crate) described: String,
    /// Keeps the simulated server alive.
    pub(crate) server: Option<SimServer>,
}

impl Answerer {
    /// Connects to the provider, or starts the simulated server.
    ///
    /// # Errors
    ///
    /// If the provider cannot be set up.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future stops the server.
    pub(crate) async fn start(
        provider: &Provider,
        simulated: impl FnOnce() -> Result<SimConfig, throng_sim::InvalidConfig>,
        timeout: Option<Duration>,
    ) -> Result<Self, CliError> {
        match provider {
            Provider::OpenAi(remote) => Ok(Self {
                client: remote.client(timeout)?,
                described: format!("openai at {}", provider::redact_url(&remote.base_url)),
                server: None,
            }),
            Provider::Sim { .. } => {
                let failed = |cause: &(dyn std::error::Error + 'static)| {
                    CliError::new(ExitStatus::Provider, "cannot start the simulated server").cause(cause)
                };
                let config = simulated().map_err(|error| failed(&error))?;
                let server = SimServer::start(config).await.map_err(|error| failed(&error))?;
                let remote = Remote {
                    base_url: server.base_url(),
                    model: SIM_MODEL.to_owned(),
                    key: None,
                    origin: None,
                };
                Ok(Self {
                    client: remote.client(timeout)?,
                    described: format!("simulated server at {}", remote.base_url),
                    server: Some(server),
                })
            }
        }
    }
}

/// Makes the runtime of a command.
///
/// # Errors
///
/// If the system has no threads left.
pub(crate) fn runtime() -> Result<Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::usage("cannot start the runtime").cause(&error))
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
        limits,
        shape,
        intake,
        counts,
        scan,
        total,
        existing,
        prints,
        mut sink,
        ..
    } = campaign;
    let signals = Signals::listen(&ui);
    let seed = limits.seed;
    let answerer = Answerer::start(
        &provider,
        || SimConfig::builder().seed(seed).build(),
        limits.timeout,
    )
    .await?;
    if let Provider::OpenAi(remote) = &provider {
        ui.note(&remote.describe());
        if remote.exposes_key() {
            ui.warn("the key goes over the network unencrypted, because the address begins with http://");
        }
    } else {
        ui.note(&answerer.described);
    }
    let mut tasks = intake.stream()?;
    let caller = |health: &Arc<Health>| Caller {
        client: Arc::clone(&answerer.client),
        shape: shape.clone(),
        health: Arc::clone(health),
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
        retries: limits.retries > 0,
        patience: limits.patience,
        deadline: limits
            .deadline
            .and_then(|deadline| Instant::now().checked_add(deadline)),
    };
    let (summary, ending) = concurrently(
        &ui,
        &limits,
        &shape,
        caller(&health),
        tasks,
        &signals,
        &health,
        &mut sink,
        &about,
        total,
        campaign.progress,
    )
    .await?;
    sink.sync();

    if scan.is_none() && !existing.is_empty() && ending.write_failed.is_none() {
        // The ids that this run would try again were not known when it began.
        sink.tidy_up(&prints)?;
    }
    let input_error = counts.take_error();
    let not_run = not_run(&counts, scan.as_ref(), &summary, &ending.written);
    let verdict = health.verdict();
    let status = status(
        &signals,
        &ending,
        input_error.as_ref(),
        verdict.is_some(),
        &summary,
        not_run,
    );
    let about = About {
        simulated: provider.is_simulated(),
        provider: answerer.described.clone(),
        model: shape.model.clone(),
        max_concurrent: limits.max_concurrent.get() as u64,
        seed,
    };
    let report = Summary::new(
        &summary,
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
    let succeeded = summary.count(OutcomeKind::Succeeded);
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
    signals.steer(run.handle());
    let watcher = drain_when_given_up(&run, health);
    while run.next().await.is_some() {}
    watcher.abort();
    let time = began.elapsed();
    let summary = run.finish().await.map_err(|error| bug(&error))?;
    let whole =
        summary.input_exhausted && summary.count(OutcomeKind::Cancelled) == 0 && !signals.is_interrupted();
    Ok(whole.then_some(time))
}

#[expect(
    clippy::too_many_arguments,
    reason = "they are the parts of a campaign, taken apart by its only caller"
)]
async fn concurrently(
    ui: &Arc<Ui>,
    limits: &Limits,
    shape: &Shape,
    caller: Caller,
    tasks: impl Stream<Item = Task> + Send + Unpin + 'static,
    signals: &Signals,
    health: &Arc<Health>,
    sink: &mut Sink,
    about: &LineAbout,
    total: Option<u64>,
    progress: bool,
) -> Result<(RunSummary, Ending), CliError> {
    let job_shape = shape.clone();
    let jobs = tasks.map(move |task| job_shape.job(task));
    let mut run = limits.executor()?.start_stream(jobs, caller);
    signals.steer(run.handle());
    let watcher = drain_when_given_up(&run, health);
    let reporter = Reporter::start(ui, run.handle(), total, progress && !sink.is_terminal());
    let mut ending = Ending::default();
    while let Some(finished) = run.next().await {
        ending.deadline |= matches!(
            &finished.outcome,
            Outcome::TimedOut(TimeoutKind::Deadline) | Outcome::Skipped
        );
        if ending.written.never_began.take(&finished) {
            continue;
        }
        let line = ResultLine::new(&finished, about);
        if let Some(error) = line
            .error()
            .filter(|_| finished.outcome.kind() != OutcomeKind::Cancelled)
        {
            ending.written.errors.add(error);
        }
        if let Err(error) = sink.write(&line) {
            ending.written.lost += u64::from(finished.outcome.is_success());
            if ending.write_failed.is_none() {
                tracing::error!(error = %error, "A result could not be written.");
                match error {
                    // Nobody wants the rest.
                    WriteFailed::Closed => run.handle().abort(),
                    WriteFailed::Io(..) => run.handle().drain(),
                }
                ending.write_failed = Some(error);
            }
        }
    }
    ending.written.lines = sink.written();
    watcher.abort();
    reporter.stop();
    let summary = run.finish().await.map_err(|error| bug(&error))?;
    ending.deadline |= limits
        .deadline
        .is_some_and(|deadline| !summary.input_exhausted && summary.wall >= deadline);
    Ok((summary, ending))
}

fn drain_when_given_up(
    run: &Run<Task, Completion, LlmError>,
    health: &Arc<Health>,
) -> tokio::task::JoinHandle<()> {
    let (health, handle) = (Arc::clone(health), run.handle());
    tokio::spawn(async move {
        health.given_up().await;
        handle.drain();
    })
}

fn bug(error: &throng_exec::RunError) -> CliError {
    CliError::new(ExitStatus::Bug, "the run itself could not go on").cause(error)
}
