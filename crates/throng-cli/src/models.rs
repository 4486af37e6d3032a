//! `throng models`: what a provider offers, and what it costs.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use throng_llm::{Cost, Model, Price, PriceTable};

use crate::app::{Context, print};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::explain;
use crate::provider::{Remote, listed, prices, redact_url};
use crate::run::runtime;
use crate::signals::interruption;
use crate::ui::OutputMode;

/// How long the whole list is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// One model as it is printed.
#[derive(Debug, Serialize)]
struct Row {
    v: u32,
    id: String,
    name: Option<String>,
    owner: Option<String>,
    context_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    /// Dollars for a million tokens.
    input_usd_per_million: Option<f64>,
    output_usd_per_million: Option<f64>,
}

impl Row {
    fn new(model: Model, remote: &Remote, prices: &PriceTable) -> Self {
        let price = prices.price(remote.provider(), &model.id);
        let per_million = |cost: fn(&Price) -> Cost| price.map(|price| cost(price).dollars() * 1e6);
        Self {
            v: 1,
            input_usd_per_million: per_million(|price| price.input),
            output_usd_per_million: per_million(|price| price.output),
            id: model.id,
            name: model.name,
            owner: model.owner,
            context_tokens: model.context_tokens,
            max_output_tokens: model.max_output_tokens,
        }
    }
}

/// Lists the models.
///
/// # Errors
///
/// If no provider is configured, or it cannot be used.
pub(crate) fn models(context: &Context) -> Result<ExitStatus, CliError> {
    let remote = listed(&context.settings, &context.layers)?;
    let prices = prices(&context.settings)?;
    let client = remote.client()?;
    context.ui.release();
    if remote.exposes_key() {
        context
            .ui
            .warn("the key goes over the network unencrypted, because the address begins with http://");
    }
    let shown = redact_url(&remote.base_url);
    let found = runtime()?.block_on(async {
        tokio::select! {
            () = interruption() => None,
            found = tokio::time::timeout(PATIENCE, client.models()) => Some(found),
        }
    });
    let models = match found {
        None => return Ok(ExitStatus::Interrupted),
        Some(Err(_)) => {
            return Err(CliError::new(
                ExitStatus::Provider,
                format!("{shown} did not give its models within {PATIENCE:?}"),
            )
            .hint("try again later"));
        }
        Some(Ok(Err(error))) => return Err(explain::unusable(&error, &shown)),
        Some(Ok(Ok(models))) => models,
    };
    let mut rows: Vec<Row> = models
        .into_iter()
        .map(|model| Row::new(model, &remote, &prices))
        .collect();
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    print(&match context.ui.mode() {
        OutputMode::Human => table(&rows),
        OutputMode::Json => format!(
            "{}\n",
            json!({"v": 1, "provider": remote.name, "base_url": shown, "models": rows})
        ),
        OutputMode::Ndjson => rows.iter().map(|row| format!("{}\n", json!(row))).collect(),
    })
}

fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.id.chars().count()).max().unwrap_or(0);
    let width = width.max("model".len());
    let known = rows
        .iter()
        .any(|row| row.context_tokens.is_some() || row.input_usd_per_million.is_some());
    let mut text = String::new();
    if known {
        let _ = writeln!(
            text,
            "{:width$}  {:>9}  {:>9}  {:>9}",
            "model", "context", "$/M in", "$/M out"
        );
    }
    for row in rows {
        let context = row.context_tokens.map_or(String::new(), |n| n.to_string());
        let dollars = |n: Option<f64>| n.map_or(String::new(), |n| format!("{n:.2}"));
        // A name is a server's: it must not steer the terminal.
        let id: String = row
            .id
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let line = format!(
            "{id:width$}  {context:>9}  {:>9}  {:>9}",
            dollars(row.input_usd_per_million),
            dollars(row.output_usd_per_million)
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
