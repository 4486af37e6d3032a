//! `throng vote`: one question, several agents, one answer.

use std::sync::Arc;

use throng_exec::{Attempt, Ballot, Runner};
use throng_llm::{Completion, LlmError};
use throng_sim::SimConfig;

use super::poll::Poll;
use super::report::Report;
use super::rules::Rules;
use super::voter::{AgentCall, AgentCaller};
use crate::app::Context;
use crate::args::VoteArgs;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::explain;
use crate::input::{Fingerprints, Prompt, Task, question};
use crate::provider::{Extras, Provider};
use crate::run::{Answerer, Caller, Health, Limits, Shape, runtime};
use crate::signals::interruption;

/// Asks the agents and prints what they decide.
///
/// # Errors
///
/// If the question, a flag or the provider cannot be used. That there is no consensus is no error; it shows in the
/// exit status.
pub(crate) fn vote(context: &Context, args: &VoteArgs) -> Result<ExitStatus, CliError> {
    let Context { ui, layers, settings } = context;
    let provider = Provider::choose(settings, layers)?;
    let extras = Extras::of(settings, layers, provider.remotes(), provider.model())?;
    let rules = Rules::new(args.agents, &args.rules(), settings)?;
    let question = question(&args.question)?;
    let shape = Shape::of(settings, provider.model());
    if let Some(notice) = provider.notice() {
        ui.notice(notice);
    }
    if let Some(note) = provider.unused_model() {
        ui.note(&note);
    }
    if shape.temperature == Some(0.0) {
        ui.warn("with --temperature 0 the agents give one answer, as far as the model can");
    }
    ui.release();
    let limits = Limits::of(settings).falling_back(provider.fallbacks());
    runtime()?.block_on(ask(
        context,
        (&provider, &extras),
        &limits,
        shape,
        &rules,
        question,
    ))
}

async fn ask(
    context: &Context,
    (provider, extras): (&Provider, &Extras),
    limits: &Limits,
    shape: Shape,
    rules: &Rules,
    question: String,
) -> Result<ExitStatus, CliError> {
    let seed = limits.seed;
    let simulated = || SimConfig::builder().seed(seed).build();
    let answerer = Answerer::start(provider, extras, simulated, limits.timeout).await?;
    answerer.announce(provider, extras, &context.ui);
    let first = rules.agents().min(limits.max_concurrent).get();
    let health = Arc::new(Health::new(u32::try_from(first).unwrap_or(u32::MAX)));
    let agents = Agents {
        caller: AgentCaller(Caller::new(
            answerer.steps.clone(),
            shape.clone(),
            Arc::clone(&health),
            extras.stop.clone(),
        )),
        poll: Arc::default(),
    };
    let mut task = Task::numbered(1, &Fingerprints::default());
    task.prompt = Prompt::Text(question);
    let equivalence = rules.equivalence;
    let key = move |answer: &Completion| equivalence.key(&answer.text).into_owned();
    let executor = limits.executor()?;
    let verdict = tokio::select! {
        // In this order, so that an interruption is heard before the first call.
        biased;
        () = interruption() => {
            context.ui.note("interrupted: the vote was not decided");
            return Ok(ExitStatus::Interrupted);
        }
        () = health.given_up() => None,
        verdict = rules.vote.run_by_key(&executor, task, agents, key) => Some(verdict),
    };
    extras.flush().await?;
    let unusable = |error: LlmError| explain::unusable(&error, &provider.shown_url());
    let Some(verdict) = verdict else {
        return Err(health.verdict().map_or_else(
            || CliError::new(ExitStatus::Provider, "the provider cannot be used"),
            unusable,
        ));
    };
    if let Some(error) = &verdict.error {
        return Err(CliError::new(ExitStatus::Bug, "the run itself could not go on").cause(error));
    }
    if verdict.valid == 0
        && let Some(error) = health.verdict()
    {
        return Err(unusable(error));
    }
    let report = Report {
        verdict: &verdict,
        model: &shape.model,
        simulated: provider.is_simulated(),
        cost: extras.cost(),
        spent_out: extras.stop.as_ref().is_some_and(|stop| stop.is_reached()),
        deadline: limits.deadline,
        seed,
    };
    report.show(context)?;
    if let Some(server) = answerer.server {
        server.shutdown().await;
    }
    Ok(report.status())
}

/// The agents of the vote.
struct Agents {
    caller: AgentCaller,
    poll: Arc<Poll>,
}

impl Runner<Ballot<Task>> for Agents {
    type Output = Completion;
    type Error = LlmError;

    async fn run(&self, ballot: &Ballot<Task>, cx: Attempt) -> Result<Completion, LlmError> {
        let call = AgentCall {
            task: Arc::clone(&ballot.question),
            poll: Arc::clone(&self.poll),
            agent: ballot.agent,
        };
        self.caller.run(&call, cx).await
    }
}
