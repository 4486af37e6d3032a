//! `throng agent`: a model that calls tools until it answers.

use std::sync::Arc;

use serde_json::{Value, json};
use throng_agent::{Agent, AgentEvent, AgentReport, Limits as AgentLimits, Stop};
use throng_llm::{ErrorKind, Message, StreamEvent};
use throng_mcp::McpConfig;
use throng_sim::SimConfig;

use crate::app::{Context, print};
use crate::args::AgentArgs;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::explain;
use crate::input::question;
use crate::provider::{Extras, Provider};
use crate::run::{Answerer, Limits, Shape, runtime};
use crate::signals::interruption;
use crate::stats;
use crate::tools::{Toolbox, batch, executor};
use crate::ui::{OutputMode, counted};

/// Runs an agent and prints its answer.
///
/// # Errors
///
/// If the prompt, the tools or the provider cannot be used. That a limit ends the agent is no error; it shows in the exit
/// status.
pub(crate) fn agent(context: &Context, args: &AgentArgs) -> Result<ExitStatus, CliError> {
    let Context { ui, layers, settings } = context;
    let provider = Provider::choose(settings, layers)?;
    let extras = Extras::of(settings, layers, provider.remotes(), provider.model())?;
    let prompt = question(&args.prompt)?;
    let servers: Vec<McpConfig> = args
        .servers
        .iter()
        .enumerate()
        .map(|(index, server)| mcp(index, server))
        .collect::<Result<_, _>>()?;
    if let Some(notice) = provider.notice() {
        ui.notice(notice);
    }
    if let Some(note) = provider.unused_model() {
        ui.note(&note);
    }
    if !provider.fallbacks().is_empty() {
        ui.warn("--fallback has no effect on `throng agent`: a conversation stays with its provider");
    }
    ui.release();
    runtime()?.block_on(run(context, args, &provider, &extras, servers, prompt))
}

/// Reads what `--mcp` says.
fn mcp(index: usize, server: &str) -> Result<McpConfig, CliError> {
    let (name, rest) = match server.split_once('=') {
        Some((name, rest))
            if name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) =>
        {
            (name.to_owned(), rest)
        }
        _ => (format!("mcp{}", index + 1), server),
    };
    let rest = rest.trim();
    if rest.starts_with("http://") || rest.starts_with("https://") {
        return Ok(McpConfig::http(name, rest));
    }
    let mut words = rest.split_whitespace();
    let program = words.next().ok_or_else(|| {
        CliError::usage(format!("--mcp {server:?} names no command and no URL"))
            .hint("write it as NAME='command argument', or as a URL")
    })?;
    Ok(McpConfig::stdio(name, program).args(words))
}

async fn run(
    context: &Context,
    args: &AgentArgs,
    provider: &Provider,
    extras: &Extras,
    servers: Vec<McpConfig>,
    prompt: String,
) -> Result<ExitStatus, CliError> {
    let limits = Limits::of(&context.settings);
    let shape = Shape::of(&context.settings, provider.model());
    let seed = limits.seed;
    let simulated = || SimConfig::builder().seed(seed).build();
    let answerer = Answerer::start(provider, extras, simulated, limits.timeout).await?;
    answerer.announce(provider, extras, &context.ui);
    let (tools, servers) = Toolbox::open(context, &args.toolbox.files, servers)
        .await?
        .into_parts();
    if tools.is_empty() {
        context
            .ui
            .warn("there are no tools: --tools FILE declares some, --mcp brings those of a server");
    }
    let step = answerer
        .steps
        .first()
        .ok_or_else(|| CliError::usage("there is nobody to ask"))?;
    let mut template = throng_llm::Request::new(&step.model);
    template.temperature = shape.temperature;
    template.max_output_tokens = shape.max_output_tokens;
    if let Some(system) = &shape.system {
        template = template.system(system);
    }
    let mut bounds = AgentLimits::new()
        .max_steps(args.max_steps)
        .max_result_bytes(args.max_result_bytes);
    if let Some(time) = args.max_time {
        bounds = bounds.max_time(time);
    }
    if let Some(tokens) = args.max_tokens {
        bounds = bounds.max_tokens(tokens);
    }
    if let Some(calls) = args.max_tool_calls {
        bounds = bounds.max_tool_calls(calls);
    }
    let agent = Agent::builder(Arc::clone(&step.client), step.model.as_str())
        .template(template)
        .tools(executor(tools, &args.toolbox, None)?)
        .limits(bounds)
        .executor(limits.executor()?)
        .early_start(!args.no_early_start)
        .build()
        .map_err(|error| CliError::usage("the agent cannot be set up").cause(&error))?;
    let mut run = agent.start([Message::user(prompt)]);
    let mut interrupted = false;
    loop {
        tokio::select! {
            biased;
            () = interruption(), if !interrupted => {
                interrupted = true;
                context.ui.note("interrupted: the agent is stopped");
                run.cancel();
            }
            event = run.next() => match event {
                Some(event) => show(context, &event)?,
                None => break,
            },
        }
    }
    let report = run.finish().await;
    Toolbox::close(servers).await;
    extras.flush().await?;
    if args.record_stats {
        record(context, &report).await?;
    }
    let status = answer(context, provider, &report, interrupted);
    if let Some(server) = answerer.server {
        server.shutdown().await;
    }
    status
}

/// Tells what happens.
fn show(context: &Context, event: &AgentEvent) -> Result<(), CliError> {
    let line = match event {
        AgentEvent::StepStarted { step } => json!({"event": "step_started", "step": step}),
        AgentEvent::AnswerRestarted { step, attempt } => {
            json!({"event": "answer_restarted", "step": step, "attempt": attempt})
        }
        AgentEvent::Model {
            step,
            event: StreamEvent::TextDelta(text),
        } => {
            json!({"event": "text", "step": step, "text": text})
        }
        AgentEvent::Model {
            step,
            event: StreamEvent::ToolCallEnd { call, .. },
        } => json!({
            "event": "tool_call", "step": step, "id": call.id, "name": call.name, "arguments": call.arguments,
        }),
        AgentEvent::ToolEnded { step, result } => {
            let mut line = json!({"event": "tool_result", "step": step, "name": result.name});
            if let (Value::Object(line), Value::Object(result)) = (&mut line, result.to_json()) {
                line.extend(result);
            }
            line
        }
        AgentEvent::StepEnded(step) => json!({
            "event": "step_ended",
            "step": step.step,
            "attempts": step.attempts,
            "input_tokens": step.usage.input_tokens,
            "output_tokens": step.usage.output_tokens,
            "model_ms": step.model_time.as_secs_f64() * 1_000.0,
            "tool_ms": step.tool_time.as_secs_f64() * 1_000.0,
            "overlap": step.tools.as_ref().map(throng_tools::PlanReport::overlap),
        }),
        _ => return Ok(()),
    };
    match (context.ui.mode(), event) {
        (OutputMode::Ndjson, _) => {
            let mut whole = json!({"v": 1});
            if let (Value::Object(whole), Value::Object(line)) = (&mut whole, line) {
                whole.extend(line);
            }
            print(&format!("{whole}\n")).map(drop)
        }
        (
            OutputMode::Human,
            AgentEvent::Model {
                event: StreamEvent::ToolCallEnd { call, .. },
                ..
            },
        ) => {
            context
                .ui
                .note(&format!("calls {} {}", call.name, short(&call.arguments)));
            Ok(())
        }
        (OutputMode::Human, AgentEvent::ToolEnded { result, .. }) => {
            let told = match result.outcome.error_text() {
                Some(error) => short(&error),
                None => format!("ended after {:.0} ms", result.work.as_secs_f64() * 1_000.0),
            };
            context.ui.note(&format!("{}: {told}", result.name));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Cuts a text for a line.
fn short(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(120)
        .collect();
    if line.chars().count() < text.chars().count() {
        line + "…"
    } else {
        line
    }
}

async fn record(context: &Context, report: &AgentReport) -> Result<(), CliError> {
    let failed = |error: throng_store::StoreError| {
        CliError::new(ExitStatus::SomeFailed, "the tool calls were not recorded").cause(&error)
    };
    let store = stats::open_or_make(context)?;
    let ended = stats::now_ms();
    for step in &report.steps {
        if let Some(plan) = &step.tools {
            let name = format!("agent step {}", step.step);
            store
                .record_tool_batch(batch(plan, &name, ended))
                .await
                .map_err(failed)?;
        }
    }
    store.close().await.map_err(failed)
}

/// Prints the answer, and says why the agent ended.
fn answer(
    context: &Context,
    provider: &Provider,
    report: &AgentReport,
    interrupted: bool,
) -> Result<ExitStatus, CliError> {
    if let Stop::Failed(error) = &report.stop
        && report.steps.is_empty()
        && matches!(
            error.kind(),
            ErrorKind::Auth | ErrorKind::NotFound | ErrorKind::Connect | ErrorKind::QuotaExhausted
        )
    {
        return Err(explain::unusable(error, &provider.shown_url()));
    }
    let spent = &report.spent;
    match context.ui.mode() {
        OutputMode::Human => {
            if !report.text.is_empty() {
                print(&format!("{}\n", report.text.trim_end()))?;
            }
            context.ui.note(&format!(
                "{} after {} and {}, {} tokens, {}",
                report.stop,
                counted(report.steps.len() as u64, "step"),
                counted(u64::from(report.tool_calls), "tool call"),
                spent.usage.total(),
                spent.cost,
            ));
        }
        OutputMode::Json | OutputMode::Ndjson => {
            let line = json!({
                "v": 1,
                "event": "summary",
                "stop": report.stop.as_str(),
                "reason": report.stop.to_string(),
                "text": report.text,
                "steps": report.steps.len(),
                "tool_calls": report.tool_calls,
                "input_tokens": spent.usage.input_tokens,
                "output_tokens": spent.usage.output_tokens,
                "cost_usd": spent.cost.dollars(),
                "elapsed_ms": report.elapsed.as_secs_f64() * 1_000.0,
                "messages": report.messages,
            });
            print(&format!("{line}\n"))?;
        }
    }
    Ok(match &report.stop {
        _ if interrupted => ExitStatus::Interrupted,
        Stop::Answered => ExitStatus::Success,
        Stop::Failed(_) => ExitStatus::Provider,
        Stop::Panicked(_) => ExitStatus::Bug,
        stop if stop.is_limit() => ExitStatus::Partial,
        _ => ExitStatus::SomeFailed,
    })
}
