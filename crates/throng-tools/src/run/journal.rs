//! What of a plan is written to a journal, and how it is read back.
//!
//! A run of a journal is one plan: the step `plan` holds the fingerprint of it, the step `call:ID` each call.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use throng_core::{ErrorClass, Journal, JournalEntry, JournalError};

use crate::{CallOutcome, FailureKind, Plan, StartError, ToolError};

const PLAN: &str = "plan";

/// Reads what a journal knows of the calls of a plan, by id, and writes what plan it is if it knows nothing.
pub(super) async fn open(
    journal: &Arc<dyn Journal>,
    run: &Arc<str>,
    plan: &Plan,
) -> Result<HashMap<String, JournalEntry>, StartError> {
    let fingerprint = fingerprint(plan);
    let entries = journal.load(run).await.map_err(StartError::Journal)?;
    let known = entries.iter().find(|entry| entry.step == PLAN);
    match known {
        Some(entry) if entry.input != fingerprint => {
            return Err(StartError::PlanChanged { run: Arc::clone(run) });
        }
        Some(_) => {}
        None if entries.is_empty() => {
            journal
                .begin(run, PLAN, &fingerprint)
                .await
                .map_err(StartError::Journal)?;
        }
        None => return Err(StartError::PlanChanged { run: Arc::clone(run) }),
    }
    let calls = entries.into_iter().filter_map(|entry| {
        let id = entry.step.strip_prefix("call:")?.to_owned();
        Some((id, entry))
    });
    Ok(calls.collect())
}

/// Returns the step of a call.
pub(super) fn step(id: &str) -> String {
    format!("call:{id}")
}

/// Returns the text of an error and of what is behind it.
pub(super) fn text(error: &JournalError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Returns what identifies a plan: calls, arguments and policy.
fn fingerprint(plan: &Plan) -> String {
    let text = serde_json::to_string(plan).unwrap_or_default();
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns how an outcome is written.
pub(super) fn ending(outcome: &CallOutcome) -> String {
    let mut ending = json!({ "outcome": outcome.kind().as_str() });
    let more = match outcome {
        CallOutcome::Succeeded(value) => json!({ "result": value }),
        CallOutcome::Failed { kind, error } => json!({
            "kind": kind.as_str(),
            "message": error.message,
            "class": error.class.as_str(),
            "outcome_unknown": error.outcome_unknown,
        }),
        CallOutcome::TimedOut {
            timeout,
            outcome_unknown,
        } => json!({
            "timeout_ms": u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            "outcome_unknown": outcome_unknown,
        }),
        CallOutcome::Panicked {
            message,
            outcome_unknown,
        } => json!({ "message": message, "outcome_unknown": outcome_unknown }),
        CallOutcome::Cancelled { .. } | CallOutcome::Skipped { .. } => Value::Null,
    };
    if let (Value::Object(ending), Value::Object(more)) = (&mut ending, more) {
        ending.extend(more);
    }
    ending.to_string()
}

/// Reads an outcome back, or returns `None` if the text is not one.
pub(super) fn outcome(ending: &str) -> Option<CallOutcome> {
    let mut ending: Value = serde_json::from_str(ending).ok()?;
    let message = |ending: &Value| Some(ending.get("message")?.as_str()?.to_owned());
    let unknown = |ending: &Value| ending.get("outcome_unknown").and_then(Value::as_bool);
    Some(match ending.get("outcome")?.as_str()? {
        "succeeded" => CallOutcome::Succeeded(ending.get_mut("result")?.take()),
        "failed" => {
            let kind = match ending.get("kind")?.as_str()? {
                "invalid_arguments" => FailureKind::InvalidArguments,
                "unknown_tool" => FailureKind::UnknownTool,
                "interrupted" => FailureKind::Interrupted,
                _ => FailureKind::Tool,
            };
            let mut error = ToolError::permanent(message(&ending)?);
            error.class = class(ending.get("class")?.as_str()?);
            error.outcome_unknown = unknown(&ending)?;
            CallOutcome::Failed { kind, error }
        }
        "timed_out" => CallOutcome::TimedOut {
            timeout: Duration::from_millis(ending.get("timeout_ms")?.as_u64()?),
            outcome_unknown: unknown(&ending)?,
        },
        "panicked" => CallOutcome::Panicked {
            message: message(&ending)?,
            outcome_unknown: unknown(&ending)?,
        },
        _ => return None,
    })
}

fn class(word: &str) -> ErrorClass {
    match word {
        "transient" => ErrorClass::Transient,
        "throttled" => ErrorClass::Throttled { retry_after: None },
        "overloaded" => ErrorClass::Overloaded { retry_after: None },
        "timeout" => ErrorClass::Timeout,
        _ => ErrorClass::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_that_is_written_reads_back() {
        let outcomes = [
            CallOutcome::Succeeded(json!({ "a": [1, null] })),
            CallOutcome::Failed {
                kind: FailureKind::Tool,
                error: ToolError::transient("no").unknown_outcome(),
            },
            CallOutcome::TimedOut {
                timeout: Duration::from_millis(7),
                outcome_unknown: true,
            },
            CallOutcome::Panicked {
                message: "p".to_owned(),
                outcome_unknown: false,
            },
        ];
        for written in outcomes {
            let read = outcome(&ending(&written)).expect("it was written");
            assert_eq!(format!("{read:?}"), format!("{written:?}"));
        }
        assert!(outcome("{}").is_none() && outcome("x").is_none());
    }
}
