//! A plan as a trace that Perfetto and `chrome://tracing` open.
//!
//! The format is the JSON array form of Chrome's Trace Event Format: complete events (`ph` is `X`) with times in
//! microseconds, one row (`tid`) for each call that runs at the same time.

use std::time::Duration;

use serde_json::{Value, json};

use crate::PlanReport;

impl PlanReport {
    /// Returns the plan as a Chrome trace: each call that ran is a bar on a row of its own while it runs.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn save(report: &throng_tools::PlanReport) -> std::io::Result<()> {
    /// std::fs::write("trace.json", report.to_chrome_trace().to_string())
    /// # }
    /// ```
    pub fn to_chrome_trace(&self) -> Value {
        let mut ran: Vec<_> = self
            .results
            .iter()
            .filter_map(|result| Some((result.started?, result)))
            .collect();
        ran.sort_by_key(|(started, _)| *started);
        // The ends of the last calls of the rows.
        let mut rows: Vec<Duration> = Vec::new();
        let mut events = vec![json!({
            "name": "process_name", "ph": "M", "pid": 1, "tid": 0, "args": { "name": "throng tools" },
        })];
        for (started, result) in ran {
            let row = rows.iter().position(|ended| *ended <= started);
            let row = row.unwrap_or_else(|| {
                rows.push(Duration::ZERO);
                rows.len() - 1
            });
            if let Some(ended) = rows.get_mut(row) {
                *ended = result.ended;
            }
            events.push(json!({
                "name": result.name,
                "cat": "tool",
                "ph": "X",
                "pid": 1,
                "tid": row + 1,
                "ts": microseconds(started),
                "dur": microseconds(result.ended.saturating_sub(started)),
                "args": {
                    "id": result.id,
                    "outcome": result.outcome.kind().as_str(),
                    "attempts": result.attempts,
                    "work_ms": crate::result::milliseconds(result.work),
                    "error": result.outcome.error_text(),
                },
            }));
        }
        json!({ "traceEvents": events, "displayTimeUnit": "ms" })
    }
}

fn microseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1_000.0
}
