//! A plan that was run, as the store keeps it.

use std::time::Duration;

use throng_store::{ToolBatch, ToolCallRecord};
use throng_tools::PlanReport;

/// Makes the record of a plan.
pub(crate) fn batch(report: &PlanReport, plan: &str, started_ms: i64) -> ToolBatch {
    ToolBatch {
        session: report.session.as_deref().unwrap_or_default().to_owned(),
        plan: plan.to_owned(),
        started_ms,
        wall: report.total,
        work: report.work,
        success: report.is_success(),
        calls: report
            .results
            .iter()
            .map(|result| ToolCallRecord {
                id: result.id.to_string(),
                tool: result.name.to_string(),
                outcome: result.outcome.kind(),
                started: result.started.unwrap_or(Duration::ZERO),
                ended: result.ended,
                attempts: result.attempts,
                error: result.outcome.error_text(),
            })
            .collect(),
    }
}
