//! `throng tools`: reads a plan, shows it or runs it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use serde_json::{Value, json};
use throng_tools::{
    AnalyzeError, CallResult, Declared, Dependencies, Estimates, Plan, PlanReport, RunOptions, StartError,
    ToolExecutor,
};
use tokio_util::sync::CancellationToken;

use super::record::batch;
use super::show;
use super::toolbox::{Toolbox, executor};
use crate::app::{Context, print};
use crate::args::{GraphForm, ResultOrder, ToolsArgs};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::run::runtime;
use crate::signals::interruption;
use crate::stats;
use crate::ui::OutputMode;

/// A longer plan is refused.
const MAX_PLAN: u64 = 64 << 20;

/// Shows or runs a plan.
///
/// # Errors
///
/// If the plan, the tools or the store cannot be used. That a call fails is no error; it shows in the exit status.
pub(crate) fn tools(context: &Context, args: &ToolsArgs) -> Result<ExitStatus, CliError> {
    let name = args.plan.display().to_string();
    let text = plan_text(args)?;
    let mut plan = Plan::parse(&text)
        .map_err(|error| CliError::usage(format!("{name} is no plan that can be run")).cause(&error))?;
    if args.sequential {
        let policy = plan.policy_ref().clone().sequential();
        plan = plan.policy(policy);
    }
    let runtime = runtime()?;
    runtime.block_on(async {
        let only_shown = args.dry_run || args.graph.is_some();
        let toolbox = Toolbox::open(context, &args.toolbox.files, Vec::new()).await?;
        let (tools, servers) = toolbox.into_parts();
        plan.name_arguments(|tool| tools.get(tool).map(|entry| &*entry.spec().parameters));
        let store = if args.journal.is_some() || args.record_stats {
            Some(stats::open_or_make(context)?)
        } else {
            None
        };
        let estimates = Estimates::default();
        if let Some(store) = &store
            && let Ok(medians) = store.median_by_tool()
        {
            for (tool, median) in &medians {
                estimates.observe(tool, median.median);
            }
        }
        let executor = executor(tools, &args.toolbox, Some(estimates))?;
        let status = if only_shown {
            shown(context, args, &executor, &plan)
        } else {
            run(context, args, &executor, plan, store.as_ref(), &name).await
        };
        if let Some(store) = store {
            store.close().await.map_err(|error| {
                CliError::new(ExitStatus::SomeFailed, "the store was not written").cause(&error)
            })?;
        }
        Toolbox::close(servers).await;
        status
    })
}

fn plan_text(args: &ToolsArgs) -> Result<String, CliError> {
    let name = args.plan.display();
    let cannot =
        |error: std::io::Error| CliError::usage(format!("cannot read the plan {name}")).cause(&error);
    let mut text = String::new();
    let read = if args.plan.as_os_str() == "-" {
        std::io::stdin().take(MAX_PLAN + 1).read_to_string(&mut text)
    } else {
        let file = std::fs::File::open(&args.plan).map_err(cannot)?;
        file.take(MAX_PLAN + 1).read_to_string(&mut text)
    };
    read.map_err(cannot)?;
    if text.len() as u64 > MAX_PLAN {
        return Err(CliError::usage(format!("the plan {name} is over 64 MiB")).hint("split it"));
    }
    Ok(text)
}

/// Says what is wrong with the order of a plan.
fn cannot_be_ordered(error: &AnalyzeError) -> CliError {
    CliError::usage("the calls of the plan cannot be ordered").cause(error)
}

/// Finds the dependencies of a plan. Without tools, every call is taken for what the plan and `--assume` say.
fn dependencies(args: &ToolsArgs, executor: &ToolExecutor, plan: &Plan) -> Result<Dependencies, CliError> {
    let found = if executor.tools().is_empty() {
        Dependencies::analyze(plan, args.toolbox.assume.map(Into::into), |_| Declared::nothing())
    } else {
        executor.dependencies(plan)
    };
    found.map_err(|error| cannot_be_ordered(&error))
}

/// Prints the order of a plan, or its graph.
fn shown(
    context: &Context,
    args: &ToolsArgs,
    executor: &ToolExecutor,
    plan: &Plan,
) -> Result<ExitStatus, CliError> {
    let dependencies = dependencies(args, executor, plan)?;
    let cycles = dependencies.check();
    let text = match args.graph {
        Some(GraphForm::Dot) => dependencies.to_dot(),
        Some(GraphForm::Mermaid) => dependencies.to_mermaid(),
        None => {
            let dry_run = dependencies.dry_run();
            match context.ui.mode() {
                OutputMode::Human => show::schedule(&dry_run),
                OutputMode::Json | OutputMode::Ndjson => format!("{}\n", json!(dry_run)),
            }
        }
    };
    if args.explain {
        context.ui.text(&show::explained(&dependencies));
    }
    let status = print(&text)?;
    match cycles {
        Ok(()) => Ok(status),
        Err(cycles) => Err(CliError::usage("some calls of the plan wait for themselves")
            .cause(&cycles)
            .hint("the calls that are not in the cycle, and do not depend on it, can run")),
    }
}

/// Runs a plan and prints its results.
async fn run(
    context: &Context,
    args: &ToolsArgs,
    executor: &ToolExecutor,
    plan: Plan,
    store: Option<&throng_store::Store>,
    name: &str,
) -> Result<ExitStatus, CliError> {
    if args.explain {
        context
            .ui
            .text(&show::explained(&dependencies(args, executor, &plan)?));
    }
    if executor.tools().is_empty() {
        return Err(CliError::usage("there are no tools to run the plan with")
            .hint("name a file that declares them: --tools FILE")
            .hint("`--dry-run` shows the order of the calls without any"));
    }
    let cancel = CancellationToken::new();
    let mut options = RunOptions::new()
        .cancel_with(cancel.clone())
        .measure_sequential(args.measure_sequential);
    if let Some(session) = &args.session {
        options = options.session(session.as_str());
    }
    if let (Some(journal), Some(store)) = (&args.journal, store) {
        options = options.journal(Arc::new(store.journal()), journal.as_str());
    }
    let started_ms = stats::now_ms();
    let ids: Vec<String> = plan.calls().iter().map(|call| call.id.clone()).collect();
    let mut run = executor
        .start_with(plan, options)
        .await
        .map_err(|error: StartError| CliError::usage("the plan cannot be run").cause(&error))?;
    let mut printer = Printer::new(args.order, ids);
    let mut interrupted = false;
    loop {
        tokio::select! {
            biased;
            () = interruption(), if !interrupted => {
                interrupted = true;
                context.ui.note("interrupted: the running calls are stopped");
                cancel.cancel();
            }
            result = run.next() => match result {
                Some(result) => printer.take(&result)?,
                None => break,
            },
        }
    }
    let report = run.finish().await;
    summed_up(context, args, &report)?;
    if let (Some(store), true) = (store, args.record_stats) {
        store
            .record_tool_batch(batch(&report, name, started_ms))
            .await
            .map_err(|error| {
                CliError::new(ExitStatus::SomeFailed, "the plan was not recorded").cause(&error)
            })?;
    }
    Ok(if interrupted {
        ExitStatus::Interrupted
    } else if report.is_success() {
        ExitStatus::Success
    } else {
        ExitStatus::SomeFailed
    })
}

fn summed_up(context: &Context, args: &ToolsArgs, report: &PlanReport) -> Result<(), CliError> {
    if let Some(path) = &args.trace {
        std::fs::write(path, report.to_chrome_trace().to_string())
            .map_err(|error| CliError::usage(format!("cannot write {}", path.display())).cause(&error))?;
    }
    if let Some(error) = &report.journal_error {
        context.ui.warn(&format!(
            "the journal could not be written, which ended the plan: {error}"
        ));
    }
    match context.ui.mode() {
        OutputMode::Human => context.ui.text(&show::summary(report)),
        OutputMode::Json | OutputMode::Ndjson => {
            let mut summary = report.to_json();
            if let Value::Object(members) = &mut summary {
                members.insert("v".to_owned(), 1.into());
                members.insert("event".to_owned(), "summary".into());
            }
            print(&format!("{summary}\n"))?;
        }
    }
    Ok(())
}

/// Prints results, in the order that was asked for.
struct Printer {
    order: ResultOrder,
    ids: Vec<String>,
    /// How many of them are printed.
    next: usize,
    early: BTreeMap<String, String>,
}

impl Printer {
    const fn new(order: ResultOrder, ids: Vec<String>) -> Self {
        Self {
            order,
            ids,
            next: 0,
            early: BTreeMap::new(),
        }
    }

    fn take(&mut self, result: &CallResult) -> Result<(), CliError> {
        let mut line = json!({"v": 1});
        if let (Value::Object(line), Value::Object(rest)) = (&mut line, result.to_json()) {
            line.extend(rest);
        }
        let line = format!("{line}\n");
        if self.order == ResultOrder::End {
            return print(&line).map(drop);
        }
        self.early.insert(result.id.to_string(), line);
        while let Some(line) = self.ids.get(self.next).and_then(|id| self.early.remove(id)) {
            self.next += 1;
            print(&line)?;
        }
        Ok(())
    }
}
