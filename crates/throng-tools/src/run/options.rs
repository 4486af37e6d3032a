//! What a caller says about one run of a plan.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use throng_core::Journal;
use tokio_util::sync::CancellationToken;

use crate::PlanEvents;

/// What a caller says about one run of a plan. The default says nothing.
#[derive(Clone, Default)]
#[must_use]
pub struct RunOptions {
    pub(crate) session: Option<Arc<str>>,
    pub(crate) metadata: Option<Arc<Value>>,
    pub(crate) unrecorded: bool,
    pub(crate) journal: Option<(Arc<dyn Journal>, Arc<str>)>,
    pub(crate) measure_sequential: bool,
    pub(crate) cancel: Option<CancellationToken>,
    pub(crate) events: Option<Arc<dyn PlanEvents>>,
    pub(crate) early_effects: bool,
}

impl RunOptions {
    /// Says nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the session that the plan belongs to. Tools, events and the report are told.
    pub fn session(mut self, session: impl Into<Arc<str>>) -> Self {
        self.session = Some(session.into());
        self
    }

    /// Sets what is carried through to tools and the report.
    pub fn metadata(mut self, metadata: Value) -> Self {
        self.metadata = Some(Arc::new(metadata));
        self
    }

    /// Sets whether the run counts for the executor's statistics and estimates, and whether the report asks to be kept.
    /// Default true.
    pub fn record(mut self, record: bool) -> Self {
        self.unrecorded = !record;
        self
    }

    /// Writes to a journal, under a name, which calls began and how they ended, so that a run which was killed can go on: a
    /// plan that is started under a name that the journal knows is resumed.
    pub fn journal(mut self, journal: Arc<dyn Journal>, run: impl Into<Arc<str>>) -> Self {
        self.journal = Some((journal, run.into()));
        self
    }

    /// Sets whether the plan runs twice, first one call at a time, so that the report has a speed-up. Default false. Only
    /// for plans all of whose calls may be repeated.
    pub fn measure_sequential(mut self, measure: bool) -> Self {
        self.measure_sequential = measure;
        self
    }

    /// Has the plan cancelled with a token.
    pub fn cancel_with(mut self, token: CancellationToken) -> Self {
        self.cancel = Some(token);
        self
    }

    /// Sends the plan's events to a sink as well, besides that of the executor.
    pub fn events(mut self, sink: impl PlanEvents) -> Self {
        self.events = Some(Arc::new(sink));
        self
    }

    /// Sets whether calls with effects that are pushed to a [`PlanStream`](crate::PlanStream) begin before the message is
    /// complete. Default false.
    pub fn early_effects(mut self, early: bool) -> Self {
        self.early_effects = early;
        self
    }
}

impl fmt::Debug for RunOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOptions")
            .field("session", &self.session)
            .field("metadata", &self.metadata)
            .field("record", &!self.unrecorded)
            .field("journal", &self.journal.as_ref().map(|(_, run)| run))
            .field("measure_sequential", &self.measure_sequential)
            .field("early_effects", &self.early_effects)
            .finish_non_exhaustive()
    }
}
