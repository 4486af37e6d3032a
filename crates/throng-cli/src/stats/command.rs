//! The command: which question is asked, and the form of the answer.

use std::collections::BTreeMap;

use serde_json::json;
use throng_store::{Filter, Kind, PruneReport, Store};

use super::place::{failed, now_ms, open_existing};
use super::{last, report};
use crate::app::{Context, print};
use crate::args::{StatsArgs, StatsCommand};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::run::runtime;
use crate::ui::{OutputMode, counted};

/// Prints what the store tells, or removes what is too old.
///
/// # Errors
///
/// If there is no store, or it cannot be used.
pub(crate) fn stats(context: &Context, args: &StatsArgs) -> Result<ExitStatus, CliError> {
    if args.command.is_some()
        && (args.tool.is_some()
            || args.since.is_some()
            || args.session.is_some()
            || args.trend.is_some()
            || args.last.is_some())
    {
        return Err(
            CliError::usage("what `throng stats prune` removes goes by its kind and age alone")
                .hint("leave out --last, --tool, --since, --session and --trend"),
        );
    }
    let store = open_existing(context)?;
    context.ui.release();
    match (&args.command, args.last) {
        (Some(StatsCommand::Prune(_)), _) => prune(context, &store),
        (None, Some(kind)) => print_last(context, &store, kind),
        (None, None) => {
            let filter = Filter {
                since_ms: args.since.map(|since| {
                    now_ms().saturating_sub(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
                }),
                session: args.session.clone(),
                tool: args.tool.clone(),
                ..Filter::default()
            };
            match &args.trend {
                Some(metric) => print_trend(context, &store, metric, &filter),
                None => print_stats(context, &store, &filter),
            }
        }
    }
}

fn print_stats(context: &Context, store: &Store, filter: &Filter) -> Result<ExitStatus, CliError> {
    let stats = store.stats(filter).map_err(|error| failed(&error))?;
    let changes = store.regressions(filter).map_err(|error| failed(&error))?;
    if stats.runs.n + stats.batches.n == 0 && changes.is_empty() {
        return Err(nothing(store, "has nothing that was asked for"));
    }
    print(&match context.ui.mode() {
        OutputMode::Human => report::table(&stats, &changes),
        OutputMode::Json => format!("{}\n", report::json(store, &stats, &changes)),
        OutputMode::Ndjson => report::lines(&stats, &changes),
    })
}

fn print_trend(
    context: &Context,
    store: &Store,
    metric: &str,
    filter: &Filter,
) -> Result<ExitStatus, CliError> {
    let Some(trend) = store.trend(metric, filter).map_err(|error| failed(&error))? else {
        let names = store.metric_names().map_err(|error| failed(&error))?;
        let error = nothing(store, &format!("has no value of the metric {metric:?}"));
        return Err(
            match crate::suggest::nearest(metric, names.iter().map(|name| (name.as_str(), name))) {
                Some(nearest) => error.hint(format!("did you mean {nearest:?}?")),
                None if names.is_empty() => error,
                None => error.hint(format!("the metrics are {}", names.join(", "))),
            },
        );
    };
    print(&match context.ui.mode() {
        OutputMode::Human => report::trend_table(&trend),
        OutputMode::Json => format!("{}\n", report::trend_json(&trend)),
        OutputMode::Ndjson => report::trend_lines(&trend),
    })
}

fn print_last(context: &Context, store: &Store, kind: Kind) -> Result<ExitStatus, CliError> {
    let Some(found) = store.last(kind).map_err(|error| failed(&error))? else {
        return Err(nothing(store, &format!("has no {kind}")));
    };
    print(&match context.ui.mode() {
        OutputMode::Human => last::table(&found),
        OutputMode::Json | OutputMode::Ndjson => format!("{}\n", last::json(kind, &found)),
    })
}

fn prune(context: &Context, store: &Store) -> Result<ExitStatus, CliError> {
    let report = runtime()?
        .block_on(async {
            let report = store.prune(now_ms()).await?;
            store.clone().close().await?;
            Ok(report)
        })
        .map_err(|error| failed(&error))?;
    print(&match context.ui.mode() {
        OutputMode::Human => prune_text(&report),
        OutputMode::Json | OutputMode::Ndjson => {
            let removed: BTreeMap<&str, u64> = Kind::ALL
                .into_iter()
                .map(|kind| (kind.as_str(), report.removed.get(&kind).copied().unwrap_or(0)))
                .collect();
            format!(
                "{}\n",
                json!({
                    "v": 1,
                    "removed": removed,
                    "for_size": report.for_size,
                    "unended_steps": report.unended_steps,
                    "bytes_before": report.bytes_before,
                    "bytes_after": report.bytes_after,
                })
            )
        }
    })
}

fn prune_text(report: &PruneReport) -> String {
    let removed: Vec<String> = report
        .removed
        .iter()
        .map(|(kind, n)| counted(*n, kind.as_str()))
        .collect();
    let mut text = match removed.is_empty() {
        true => "nothing is too old\n".to_owned(),
        false => format!("removed {}\n", removed.join(", ")),
    };
    if report.for_size > 0 {
        text.push_str(&format!("{} of them because of the size\n", report.for_size));
    }
    if report.unended_steps > 0 {
        text.push_str(&format!(
            "{} without an end went with their journals\n",
            counted(report.unended_steps, "step")
        ));
    }
    text.push_str(&format!(
        "{} bytes of data, {} before\n",
        report.bytes_after, report.bytes_before
    ));
    text
}

fn nothing(store: &Store, what: &str) -> CliError {
    CliError::new(
        ExitStatus::NothingSelected,
        format!("the store {} {what}", store.path().display()),
    )
}
