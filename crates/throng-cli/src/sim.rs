//! `throng sim`: the simulated model server alone.

use std::fmt::Write as _;
use std::num::NonZeroU32;

use serde_json::{Value, json};
use throng_sim::{FaultMix, Latency, ParallelStatus, SimConfig, SimServer, Stats, Wire};

use crate::app::{Context, print};
use crate::args::SimArgs;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::settings::is_variable_name;
use crate::signals::interruption;
use crate::ui::OutputMode;

/// Serves until it is interrupted.
///
/// # Errors
///
/// If a flag makes no sense or the address cannot be bound.
pub(crate) fn sim(context: &Context, args: &SimArgs) -> Result<ExitStatus, CliError> {
    let config = config(context, args)?;
    let runtime = crate::run::runtime()?;
    runtime.block_on(async {
        let server = SimServer::start_on((args.host, args.port), config)
            .await
            .map_err(|error| {
                CliError::usage(format!("cannot listen on {}:{}", args.host, args.port))
                    .cause(&error)
                    .hint("--port 0 takes a free port")
            })?;
        let line = match context.ui.mode() {
            // Scripts take the first line as it is.
            OutputMode::Human => std::iter::once(server.base_url())
                .chain(Wire::ALL.into_iter().skip(1).map(|wire| {
                    let name = wire.as_str().replace('_', "-");
                    format!("{name:16} {}", server.base_url_of(wire))
                }))
                .map(|line| format!("{line}\n"))
                .collect(),
            OutputMode::Json | OutputMode::Ndjson => format!(
                "{}\n",
                json!({
                    "v": 1,
                    "event": "listening",
                    "base_url": server.base_url(),
                    "port": server.addr().port(),
                    "urls": urls(&server),
                })
            ),
        };
        print(&line)?;
        context.ui.release();
        context
            .ui
            .note("a simulated model server is listening; interrupt it to see its counters");
        interruption().await;
        let stats = server.stats();
        server.shutdown().await;
        match context.ui.mode() {
            OutputMode::Human => context.ui.text(&table(&stats)),
            OutputMode::Json | OutputMode::Ndjson => {
                context.ui.text(&format!(
                    "{}\n",
                    json!({"v": 1, "event": "stats", "stats": stats})
                ));
            }
        }
        Ok(ExitStatus::Interrupted)
    })
}

/// Returns the base URL of each API.
fn urls(server: &SimServer) -> serde_json::Map<String, Value> {
    Wire::ALL
        .into_iter()
        .map(|wire| (wire.as_str().replace('_', "-"), server.base_url_of(wire).into()))
        .collect()
}

fn config(context: &Context, args: &SimArgs) -> Result<SimConfig, CliError> {
    let first_token = if args.jitter > 0.0 {
        Latency::LogNormal {
            median: args.first_token,
            sigma: args.jitter,
        }
    } else {
        Latency::Constant(args.first_token)
    };
    let rate = args.tokens_per_second;
    let mut builder = SimConfig::builder()
        .seed(args.seed)
        .first_token(first_token)
        .tokens_per_second((rate != 0.0).then_some(rate))
        .output_tokens(args.output_tokens.clone())
        .reasoning_tokens(args.reasoning_tokens.clone())
        .tool_rounds(args.tool_rounds, NonZeroU32::MIN)
        .variants(args.variants)
        .rpm(args.rpm)
        .rpm_burst(args.burst)
        .tpm(args.tpm)
        .itpm(args.itpm)
        .otpm(args.otpm)
        .fail(args.fail)
        .models(args.models.iter().cloned());
    if let Some(max) = args.max_parallel {
        builder = builder.max_parallel(max, ParallelStatus::TooManyRequests);
    }
    if !args.faults.is_empty() {
        let mix = args
            .faults
            .iter()
            .fold(FaultMix::none(), |mix, (fault, weight)| mix.with(*fault, *weight));
        builder = builder.fault_mix(mix);
    }
    if let Some(name) = &args.require_key_env {
        if !is_variable_name(name) {
            return Err(CliError::usage(
                "--require-key-env must be the name of a variable, and what was given is not",
            )
            .hint("export the key as a variable and name that: --require-key-env MY_KEY"));
        }
        let key = context.layers.variable(name)?.ok_or_else(|| {
            CliError::usage(format!("the variable {name} is not set")).hint(format!("export {name}=…"))
        })?;
        builder = builder.api_key(key);
    }
    if let Some(path) = &args.request_log {
        builder = builder.log_file(path);
    }
    builder
        .build()
        .map_err(|error| CliError::usage("the flags of the simulated server make no sense").cause(&error))
}

fn table(stats: &Stats) -> String {
    let mut text = String::new();
    let faults: Vec<String> = stats
        .faults_by_kind
        .iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect();
    let faults = if faults.is_empty() {
        String::new()
    } else {
        format!("  ({})", faults.join(", "))
    };
    let rows = [
        ("requests", stats.requests, String::new()),
        ("answered", stats.answered, String::new()),
        ("faults", stats.faults, faults),
        ("rate limited", stats.rate_limited, String::new()),
        ("parallel limited", stats.parallel_limited, String::new()),
        ("refused", stats.refused, String::new()),
        ("cut by the server", stats.cut, String::new()),
        ("closed by clients", stats.client_closed, String::new()),
        ("most open at a time", stats.peak_open, String::new()),
    ];
    for (name, value, more) in rows {
        let _ = writeln!(text, "{name:20} {value:>8}{more}");
    }
    text
}
