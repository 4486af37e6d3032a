//! `throng simulate`: how long a graph would take, in virtual time.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use serde_json::json;
use throng_tools::{InvalidWorkload, Plan, Simulation, Workload, simulate};

use crate::app::{Context, print};
use crate::args::SimulateArgs;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::ui::OutputMode;

/// Simulates a graph.
///
/// # Errors
///
/// If the graph cannot be read, or is none.
pub(crate) fn run(context: &Context, args: &SimulateArgs) -> Result<ExitStatus, CliError> {
    let name = args.graph.display();
    let text = read(&args.graph)
        .map_err(|error| CliError::usage(format!("cannot read the graph {name}")).cause(&error))?;
    let no_graph = || CliError::usage(format!("{name} is not a graph with durations"));
    let workload = if is_plan(&text) {
        let plan = Plan::parse(&text).map_err(|error| no_graph().cause(&error))?;
        Workload::from_plan(&plan, None).map_err(|error| match &error {
            InvalidWorkload::Unexpected { .. } => no_graph()
                .cause(&error)
                .hint("say in each call how many milliseconds it takes: \"expected_ms\":250"),
            _ => no_graph().cause(&error),
        })?
    } else {
        Workload::parse(&text).map_err(|error| {
            no_graph().cause(&error).hint(
                "write it as {\"dur_s\":[..],\"parents\":[[..]]}, or as the Standard Task Graph set does",
            )
        })?
    };
    let found = simulate(&workload, args.limit);
    print(&match context.ui.mode() {
        OutputMode::Human => table(&workload, &found),
        OutputMode::Json | OutputMode::Ndjson => format!("{}\n", json!(found)),
    })
}

/// Whether the text is a JSON object with the calls of a plan.
fn is_plan(text: &str) -> bool {
    text.trim_start().starts_with('{')
        && serde_json::from_str::<serde_json::Value>(text).is_ok_and(|json| json.get("calls").is_some())
}

fn read(path: &Path) -> io::Result<String> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(path)
}

fn table(workload: &Workload, found: &Simulation) -> String {
    let rows = [
        ("nodes", workload.len().to_string()),
        ("makespan", found.makespan.to_string()),
        ("critical path", found.critical_path.to_string()),
        ("bound", found.bound.to_string()),
        ("ratio", format!("{:.4}", found.ratio)),
    ];
    rows.iter()
        .map(|(name, value)| format!("{name:<13}  {value}\n"))
        .collect()
}
