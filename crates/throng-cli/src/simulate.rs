//! `throng simulate`: how long a graph would take, in virtual time.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use serde_json::json;
use throng_tools::{Simulation, Workload, simulate};

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
    let workload = Workload::parse(&text).map_err(|error| {
        CliError::usage(format!("{name} is not a graph with durations"))
            .cause(&error)
            .hint("write it as {\"dur_s\":[..],\"parents\":[[..]]}, or as the Standard Task Graph set does")
    })?;
    let found = simulate(&workload, args.limit);
    print(&match context.ui.mode() {
        OutputMode::Human => table(&workload, &found),
        OutputMode::Json | OutputMode::Ndjson => format!("{}\n", json!(found)),
    })
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
