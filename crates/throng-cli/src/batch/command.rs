//! `throng batch`: plans for the agents of a file.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use throng_batch::{
    AdaptiveSize, AgentId, AgentResult, AgentSnapshot, BatchError, BatchEvent, BatchInferenceExecutor,
    BatchSize, Duplicates, Plan, Step, Tier, Wording,
};
use throng_llm::{CallContext, ErrorKind, EventStream, LlmClient, LlmError, Request};
use throng_sim::SimConfig;

use super::input::{check, rules, snapshots, tools};
use super::report::{Summary, line};
use crate::app::{Context, print};
use crate::args::BatchArgs;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::explain;
use crate::provider::{Extras, Provider};
use crate::run::{Answerer, Limits, Shape, runtime};
use crate::signals::interruption;

/// Plans for the agents and prints their plans.
///
/// # Errors
///
/// If the input, a flag or the provider cannot be used. That an agent has no plan is no error; it shows in the exit
/// status.
pub(crate) fn batch(context: &Context, args: &BatchArgs) -> Result<ExitStatus, CliError> {
    let Context { ui, layers, settings } = context;
    let provider = Provider::choose(settings, layers)?;
    let extras = Extras::of(settings, layers, provider.remotes(), provider.model())?;
    let builder = builder(context, args)?;
    let agents = snapshots(&args.input)?;
    if let Some(notice) = provider.notice() {
        ui.notice(notice);
    }
    if let Some(note) = provider.unused_model() {
        ui.note(&note);
    }
    if !provider.fallbacks().is_empty() {
        ui.warn("--fallback has no effect on `throng batch`: agents without a plan go to the next tier");
    }
    ui.release();
    runtime()?.block_on(run(context, args, (&provider, &extras), builder, agents))
}

type Builder = throng_batch::BatchInferenceExecutorBuilder;

/// Reads the settings of the batch, but for the model.
fn builder(context: &Context, args: &BatchArgs) -> Result<Builder, CliError> {
    let acts = args.tools.as_deref().map(tools).transpose()?.unwrap_or_default();
    let limits = Limits::of(&context.settings);
    let mut builder = BatchInferenceExecutor::builder("")
        .max_batch_size(args.max_batch)
        .wording(if args.compact {
            Wording::Compact
        } else {
            Wording::Full
        })
        .duplicates(match args.duplicates.as_str() {
            "last" => Duplicates::KeepLast,
            "reject" => Duplicates::RejectIfDifferent,
            _ => Duplicates::KeepFirst,
        })
        .positional(args.positional)
        .permute(args.permute)
        // The seed is in the prompts, which a recording must find again: without one it is not drawn.
        .seed(seed(context))
        .executor(limits.without_deadline().executor()?);
    if let Some(path) = &args.rules {
        builder = builder.rules(rules(path, &acts)?);
    }
    for act in &args.emergency {
        check(act, &acts, "--emergency")?;
    }
    builder = builder.emergency(args.emergency.iter().map(Step::new)).acts(acts);
    // All agents begin with the run, so its deadline is one of each.
    if let Some(deadline) = args.agent_deadline.into_iter().chain(limits.deadline).min() {
        builder = builder.deadline(deadline);
    }
    if let Some(goal) = args.p95_goal {
        let size = AdaptiveSize::new(goal).max(args.max_batch);
        builder = builder.size(BatchSize::Adaptive(size));
    }
    if let Some(window) = args.window {
        builder = builder.window(window.get());
    }
    Ok(builder)
}

fn seed(context: &Context) -> u64 {
    context.settings.count("run.seed").unwrap_or(0)
}

async fn run(
    context: &Context,
    args: &BatchArgs,
    (provider, extras): (&Provider, &Extras),
    builder: Builder,
    agents: Vec<AgentSnapshot>,
) -> Result<ExitStatus, CliError> {
    let seed = seed(context);
    let limits = Limits::of(&context.settings);
    let simulated = || SimConfig::builder().seed(limits.seed).build();
    let answerer = Answerer::start(provider, extras, simulated, limits.timeout).await?;
    answerer.announce(provider, extras, &context.ui);
    let step = answerer
        .steps
        .first()
        .ok_or_else(|| CliError::usage("there is nobody to ask"))?;
    let shape = Shape::of(&context.settings, &step.model);
    let mut template = Request::new(&step.model);
    template.temperature = shape.temperature;
    if let Some(system) = &shape.system {
        template = template.system(system);
    }
    let mut builder = builder.template(template);
    if let Some(tokens) = shape.max_output_tokens.and_then(NonZeroU32::new) {
        builder = builder.max_output_tokens(tokens);
    }
    let executor = builder
        .build()
        .map_err(|error| CliError::usage("the limits make no sense").cause(&error))?;
    let refusals = Refusals::default();
    let client = Arc::new(Watched {
        client: Arc::clone(&step.client),
        refusals: Arc::clone(&refusals),
    });
    let failed = |error: BatchError| CliError::usage("the batch cannot be run").cause(&error);
    let mut run = executor.start(client, agents).map_err(failed)?;
    let mut waiting: BTreeMap<AgentId, AgentResult<Plan>> = BTreeMap::new();
    let interrupted = loop {
        tokio::select! {
            // In this order, so that an interruption is heard before the first call.
            biased;
            () = interruption() => break true,
            event = run.next() => match event {
                Some(BatchEvent::Result(result)) if args.stream => {
                    print(&line(&result))?;
                }
                Some(BatchEvent::Result(result)) => {
                    waiting.insert(result.id.clone(), result);
                }
                Some(_) => {}
                None => break false,
            },
        }
    };
    if interrupted {
        drop(run);
        write(&waiting)?;
        extras.flush().await?;
        context
            .ui
            .note("interrupted: agents without a line have no result yet");
        return Ok(ExitStatus::Interrupted);
    }
    let report = run
        .finish()
        .await
        .map_err(|error| CliError::new(ExitStatus::Bug, "the batch could not go on").cause(&error))?;
    extras.flush().await?;
    let refused = refusals.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let by_model = |tier: Tier| !matches!(tier, Tier::Heuristic | Tier::Emergency);
    let nobody = !report
        .results
        .iter()
        .filter_map(|result| result.tier)
        .any(by_model);
    if let Some(error) = refused.filter(|_| nobody) {
        let error = explain::unusable(&error, &provider.shown_url());
        if report.n_planned() == 0 {
            return Err(error);
        }
        context
            .ui
            .warn(&format!("no model planned for anyone: {}", error.message()));
    }
    write(&waiting)?;
    let unplanned = report.n_planned() < report.results.len();
    let cut_off = limits.deadline.is_some_and(|deadline| report.elapsed >= deadline)
        || extras.stop.as_ref().is_some_and(|stop| stop.is_reached());
    let status = match unplanned {
        true if cut_off => ExitStatus::Partial,
        true => ExitStatus::SomeFailed,
        false => ExitStatus::Success,
    };
    let summary = Summary {
        report: &report,
        cost: extras.cost(),
        model: &step.model,
        simulated: provider.is_simulated(),
        seed,
        status,
    };
    summary.show(context)?;
    if let Some(server) = answerer.server {
        server.shutdown().await;
    }
    Ok(status)
}

/// Writes the lines of agents, in the order of their ids.
fn write(results: &BTreeMap<AgentId, AgentResult<Plan>>) -> Result<(), CliError> {
    let lines: String = results.values().map(line).collect();
    print(&lines).map(drop)
}

/// The first error that says that a provider cannot be used.
type Refusals = Arc<Mutex<Option<LlmError>>>;

/// A client that keeps such errors: a batch tells of its calls only in words.
struct Watched {
    client: Arc<dyn LlmClient>,
    refusals: Refusals,
}

impl LlmClient for Watched {
    fn provider(&self) -> &str {
        self.client.provider()
    }

    fn call(
        &self,
        request: Arc<Request>,
        cx: CallContext,
    ) -> BoxFuture<'static, Result<EventStream, LlmError>> {
        let refusals = Arc::clone(&self.refusals);
        let call = self.client.call(request, cx);
        async move {
            let begun = call.await;
            if let Err(error) = &begun
                && (explain::is_no_api(error)
                    || matches!(
                        error.kind(),
                        ErrorKind::Auth
                            | ErrorKind::NotFound
                            | ErrorKind::Connect
                            | ErrorKind::QuotaExhausted
                    ))
            {
                let mut first = refusals.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| error.clone());
            }
            begun
        }
        .boxed()
    }
}
