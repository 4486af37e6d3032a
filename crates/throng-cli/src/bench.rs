//! `throng bench`: the same prompts one by one and at several limits, every figure measured.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use throng_sim::{Latency, SimConfig};

use crate::app::{Context, print};
use crate::args::BenchArgs;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::explain;
use crate::input::{Fingerprints, Task};
use crate::output::ms;
use crate::provider::{Extras, Provider};
use crate::run::{Answerer, Caller, Health, Limits, Shape, runtime};
use crate::ui::{OutputMode, counted};

/// One limit as it was measured. What compares it with the sequential run is absent for that run itself.
#[derive(Debug, Serialize)]
struct Level {
    v: u32,
    max_concurrent: usize,
    jobs: u64,
    failed: u64,
    duration_ms: f64,
    throughput_per_s: f64,
    speed_up: f64,
    saved_ms: f64,
    saved_percent: f64,
    efficiency: f64,
}

impl Level {
    fn new(limit: NonZeroUsize, jobs: u64, failed: u64, time: Duration, sequential: Duration) -> Self {
        let speed_up = sequential.as_secs_f64() / time.as_secs_f64();
        let saved = sequential.as_secs_f64() - time.as_secs_f64();
        Self {
            v: 1,
            max_concurrent: limit.get(),
            jobs,
            failed,
            duration_ms: ms(time),
            throughput_per_s: jobs as f64 / time.as_secs_f64(),
            speed_up,
            saved_ms: saved * 1e3,
            saved_percent: 100.0 * saved / sequential.as_secs_f64(),
            efficiency: speed_up / limit.get() as f64,
        }
    }

    fn row(&self, is_baseline: bool) -> String {
        let label = if is_baseline {
            "one by one".to_owned()
        } else {
            self.max_concurrent.to_string()
        };
        format!(
            "{:>10}  {:>9.0} ms  {:>8.1}/s  {:>7.2}×  {:>8.0} ms  {:>6.1} %  {:>9.2}\n",
            label,
            self.duration_ms,
            self.throughput_per_s,
            self.speed_up,
            self.saved_ms,
            self.saved_percent,
            self.efficiency
        )
    }
}

/// Runs the measurement.
///
/// # Errors
///
/// If the provider cannot be used.
pub(crate) fn bench(context: &Context, args: &BenchArgs) -> Result<ExitStatus, CliError> {
    let provider = Provider::choose(&context.settings, &context.layers)?;
    if let Some(notice) = provider.notice() {
        context.ui.notice(notice);
    }
    if let Some(note) = provider.unused_model() {
        context.ui.note(&note);
    }
    context.ui.release();
    runtime()?.block_on(measure(context, args, &provider))
}

async fn measure(context: &Context, args: &BenchArgs, provider: &Provider) -> Result<ExitStatus, CliError> {
    let limits = Limits::of(&context.settings);
    let latency = args.latency;
    let simulated = || {
        SimConfig::builder()
            .first_token(Latency::Constant(latency))
            .tokens_per_second(None)
            .build()
    };
    let answerer = Answerer::start(provider, &Extras::default(), simulated, limits.timeout).await?;
    let shape = Shape {
        model: provider.model().to_owned(),
        system: None,
        temperature: None,
        max_output_tokens: None,
    };
    let setup = Setup {
        limits,
        shape,
        answerer,
        shown_url: provider.shown_url(),
        jobs: u64::from(args.jobs.get()),
    };

    let human = context.ui.mode() == OutputMode::Human;
    if human {
        let mut head = String::new();
        let _ = writeln!(
            head,
            "{}, {}, model {}\n",
            counted(setup.jobs, "prompt"),
            setup.answerer.described,
            setup.shape.model
        );
        let _ = writeln!(
            head,
            "{:>10}  {:>12}  {:>10}  {:>8}  {:>11}  {:>8}  {:>9}",
            "concurrent", "duration", "throughput", "speed-up", "time saved", "", "efficiency"
        );
        print(&head)?;
    }
    // One call that is not measured, so that the first of the sequential run does not pay for the name lookup.
    setup.run(NonZeroUsize::MIN, 1).await?;
    let (sequential, failed) = setup.run(NonZeroUsize::MIN, setup.jobs).await?;
    let mut levels = vec![Level::new(
        NonZeroUsize::MIN,
        setup.jobs,
        failed,
        sequential,
        sequential,
    )];
    let show = |level: &Level, is_baseline| match context.ui.mode() {
        OutputMode::Human => print(&level.row(is_baseline)).map(|_| ()),
        OutputMode::Json => Ok(()),
        OutputMode::Ndjson => print(&format!("{}\n", json!(level))).map(|_| ()),
    };
    for level in &levels {
        show(level, true)?;
    }
    for limit in &args.concurrency {
        let (time, failed) = setup.run(*limit, setup.jobs).await?;
        let level = Level::new(*limit, setup.jobs, failed, time, sequential);
        show(&level, false)?;
        levels.push(level);
    }
    if context.ui.mode() == OutputMode::Json {
        let provider = &setup.answerer.described;
        print(&format!(
            "{}\n",
            json!({"v": 1, "provider": provider, "model": setup.shape.model, "levels": levels})
        ))?;
    }
    let failed: u64 = levels.iter().map(|level| level.failed).sum();
    if failed > 0 {
        return Err(CliError::new(
            ExitStatus::SomeFailed,
            format!(
                "{} failed, so the figures are not comparable",
                counted(failed, "call")
            ),
        )
        .hint("measure with fewer calls at a time: --concurrency 2,4"));
    }
    Ok(ExitStatus::Success)
}

struct Setup {
    limits: Limits,
    shape: Shape,
    answerer: Answerer,
    shown_url: String,
    jobs: u64,
}

impl Setup {
    /// Runs so many prompts at a limit; returns how long that took and how many calls failed.
    async fn run(&self, limit: NonZeroUsize, n: u64) -> Result<(Duration, u64), CliError> {
        let limits = self.limits.at_a_time(limit);
        let executor = limits.executor()?;
        let most = u32::try_from(limit.get()).unwrap_or(u32::MAX);
        let health = Arc::new(Health::new(most));
        // One provider is measured, whatever a run would fall back to.
        let steps = self.answerer.steps.iter().take(1).cloned().collect();
        let caller = Caller::new(steps, self.shape.clone(), Arc::clone(&health), None);
        let prints = Fingerprints::default();
        let jobs: Vec<_> = (1..=n)
            .map(|number| self.shape.job(Task::numbered(number, &prints)))
            .collect();
        let began = Instant::now();
        let mut run = executor.start(jobs, caller);
        let mut failed = 0;
        loop {
            tokio::select! {
                finished = run.next() => match finished {
                    None => break,
                    Some(finished) => failed += u64::from(!finished.outcome.is_success()),
                },
                () = health.given_up() => break,
            }
        }
        let time = began.elapsed();
        if let Some(error) = health.verdict() {
            return Err(explain::unusable(&error, &self.shown_url));
        }
        Ok((time, failed))
    }
}
