//! Stores and records for tests.

use std::path::Path;
use std::time::Duration;

use throng_core::OutcomeKind;
use throng_store::{Metric, Store, StoreOptions, ToolBatch, ToolCallRecord};

/// How many cases a random suite tries: `THRONG_CASES`, or a small number.
pub(crate) fn cases(few: u32) -> u32 {
    std::env::var("THRONG_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .map_or(few, |cases: u32| cases.clamp(few, 50 * few))
}

pub(crate) fn open(path: &Path) -> Store {
    Store::open(path, StoreOptions::default()).unwrap()
}

/// A batch that begins at a time and whose calls take so many milliseconds each, one after another.
pub(crate) fn batch(started_ms: i64, calls: &[(&str, u64)]) -> ToolBatch {
    let mut at = Duration::ZERO;
    let calls: Vec<ToolCallRecord> = calls
        .iter()
        .enumerate()
        .map(|(i, (tool, ms))| {
            let started = at;
            at += Duration::from_millis(*ms);
            ToolCallRecord {
                id: format!("call_{i}"),
                tool: (*tool).to_owned(),
                outcome: OutcomeKind::Succeeded,
                started,
                ended: at,
                attempts: 1,
                error: None,
            }
        })
        .collect();
    ToolBatch {
        session: "s".to_owned(),
        plan: "p".to_owned(),
        started_ms,
        wall: at,
        work: at,
        success: true,
        calls,
    }
}

pub(crate) fn metric(name: &str, value: f64, at_ms: i64) -> Metric {
    Metric {
        session: "s".to_owned(),
        name: name.to_owned(),
        value,
        unit: "ms".to_owned(),
        at_ms,
    }
}
