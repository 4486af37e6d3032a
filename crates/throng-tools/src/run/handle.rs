//! A running plan, as its caller sees it.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::core::PlanCore;
use super::hub::UNLIMITED;
use crate::{CallResult, PlanReport};

/// A plan that runs. Dropping it aborts the plan.
#[must_use = "dropping it aborts the plan"]
pub struct PlanRun {
    core: Arc<PlanCore>,
    driver: JoinHandle<()>,
    sequential: Option<Duration>,
}

impl PlanRun {
    pub(super) fn new(
        core: Arc<PlanCore>,
        outside: Option<CancellationToken>,
        sequential: Option<Duration>,
    ) -> Self {
        let driver = tokio::spawn(Arc::clone(&core).drive(outside));
        core.launch();
        Self {
            core,
            driver,
            sequential,
        }
    }

    pub(super) fn core(&self) -> &Arc<PlanCore> {
        &self.core
    }

    /// Returns the next result in the order in which the calls end, or `None` after the last.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no result is lost.
    pub async fn next(&mut self) -> Option<Arc<CallResult>> {
        loop {
            let news = self.core.news.notified();
            {
                let mut state = self.core.lock();
                if let Some(&index) = state.ended.get(state.taken) {
                    state.taken += 1;
                    return state.results[index as usize].clone();
                }
                // None comes after the plan is over.
                state.schedule.as_ref()?;
                state.consumer_waits = true;
            }
            news.await;
        }
    }

    /// Waits for the end, and returns the report.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future aborts the plan, and its results are lost.
    pub async fn finish(self) -> PlanReport {
        self.core.over.cancelled().await;
        let report = self.core.report(self.sequential);
        if self.core.recorded {
            let took = report.results.iter().filter(|result| result.outcome.is_success());
            let took = took.filter(|result| result.started.is_some());
            let took = took.map(|result| (&*result.name, result.work));
            self.core.exec.settings.estimates.observe_all(took);
            self.core.exec.lock_totals().add(&report);
        }
        report
    }

    /// Returns a handle that steers the plan.
    pub fn handle(&self) -> PlanHandle {
        PlanHandle(Arc::clone(&self.core))
    }

    /// Aborts the plan and waits until nothing of it is left: no task, and no permit in use.
    ///
    /// A call of [`ToolFn::blocking`](crate::ToolFn::blocking) goes on in its thread until it returns.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the plan aborted.
    pub async fn shutdown(mut self) {
        self.core.abort();
        self.core.join().await;
        // It ends by itself, because the plan is over.
        let _ = (&mut self.driver).await;
    }
}

impl Drop for PlanRun {
    fn drop(&mut self) {
        if !self.core.over.is_cancelled() {
            self.core.abort();
        }
        self.core.exec.unregister(self.core.id);
    }
}

impl fmt::Debug for PlanRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanRun")
            .field("over", &self.core.over.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// Steers a running plan. Cheap to clone.
#[derive(Clone)]
pub struct PlanHandle(Arc<PlanCore>);

impl PlanHandle {
    /// Cancels the plan: running attempts are asked to stop and dropped after the executor's grace, others do not begin.
    /// Every call has its result then.
    pub fn cancel(&self) {
        self.0.stop_all();
    }

    /// Sets how many attempts of the plan run at the same time at most, from now on.
    pub fn set_max_concurrent(&self, limit: NonZeroUsize) {
        self.set_plan_limit(limit.get() as u64);
    }

    /// Sets whether calls of the plan run at the same time. False lets one run at a time; true goes back to the limit of
    /// the executor.
    pub fn set_parallel(&self, parallel: bool) {
        self.set_plan_limit(if parallel { UNLIMITED } else { 1 });
    }

    /// Sets how many attempts of a tool run at the same time at most, over all plans of the executor, from now on; 0 pauses
    /// it. Returns false if there is no such tool.
    pub fn set_limit(&self, tool: &str, limit: usize) -> bool {
        self.0.exec.change(|hub| hub.set_tool_limit(tool, limit as u64))
    }

    /// Returns how many calls have a result.
    pub fn ended(&self) -> usize {
        self.0.lock().ended.len()
    }

    /// Returns how many attempts run.
    pub fn running(&self) -> usize {
        let state = self.0.lock();
        state.schedule.as_ref().map_or(0, |schedule| schedule.n_running())
    }

    /// Returns true if every call has ended.
    pub fn is_over(&self) -> bool {
        self.0.over.is_cancelled()
    }

    fn set_plan_limit(&self, limit: u64) {
        self.0.set_limit(limit);
    }
}

impl fmt::Debug for PlanHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanHandle")
            .field("ended", &self.ended())
            .field("running", &self.running())
            .finish_non_exhaustive()
    }
}
