//! `throng config show`: every setting with its value and, on request, what set it.

use std::fmt::Write as _;

use serde_json::json;

use super::layers::Settings;
use super::table::SETTINGS;
use super::{Kind, Value};
use crate::provider::redact_url;

/// How to show the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A table for people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON value a line.
    Ndjson,
}

/// Lays out every setting. `key` says where the key would come from; the key itself is never shown.
pub(crate) fn show(settings: &Settings, key: &str, with_origin: bool, form: Form) -> String {
    let rows: Vec<(&str, Option<Value>, String)> = SETTINGS
        .iter()
        .map(|setting| match settings.get(setting.key) {
            Some((value, origin)) => (
                setting.key,
                Some(redacted(value, setting.kind)),
                origin.to_string(),
            ),
            None => (setting.key, None, "default".to_owned()),
        })
        .collect();
    match form {
        Form::Table => table(&rows, key, with_origin),
        Form::Json => {
            let rows: Vec<_> = rows.iter().map(as_json).collect();
            format!("{}\n", json!({"v": 1, "settings": rows, "api_key": key}))
        }
        Form::Ndjson => rows.iter().map(|row| format!("{}\n", as_json(row))).collect(),
    }
}

fn as_json((key, value, origin): &(&str, Option<Value>, String)) -> serde_json::Value {
    json!({"v": 1, "key": key, "value": value.as_ref().map(Value::to_json), "origin": origin})
}

fn table(rows: &[(&str, Option<Value>, String)], key: &str, with_origin: bool) -> String {
    let shown = |value: &Option<Value>| match value {
        None => "(unset)".to_owned(),
        Some(Value::Text(text)) => format!("{text:?}"),
        Some(value) => value.to_string(),
    };
    let keys = rows.iter().map(|row| row.0.len()).max().unwrap_or(0);
    let values = rows
        .iter()
        .map(|row| shown(&row.1).chars().count())
        .max()
        .unwrap_or(0)
        .min(48);
    let mut text = String::new();
    for (name, value, origin) in rows {
        let line = if with_origin {
            format!("{name:keys$}  {:values$}  {origin}", shown(value))
        } else {
            format!("{name:keys$}  {}", shown(value))
        };
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(text, "{:keys$}  {key}", "API key");
    text
}

/// Hides what may be secret in an address.
fn redacted(value: &Value, kind: Kind) -> Value {
    match value {
        Value::Text(text) if kind == Kind::Url => Value::Text(redact_url(text)),
        other => other.clone(),
    }
}
