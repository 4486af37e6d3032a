//! Records how a run went, where the settings ask for it.

use std::time::Duration;

use throng_core::OutcomeKind;
use throng_exec::RunSummary;
use throng_store::{RunRecord, Store};

use super::place;
use crate::error::CliError;
use crate::settings::{Layers, Settings};

/// A store that a run is recorded in at its end.
#[derive(Debug)]
pub(crate) struct Recorder {
    store: Store,
    began_ms: i64,
}

impl Recorder {
    /// Opens the store, if the settings ask for a record; nothing otherwise.
    ///
    /// # Errors
    ///
    /// If the store cannot be opened.
    pub(crate) fn of(settings: &Settings, layers: &Layers) -> Result<Option<Self>, CliError> {
        if !settings.switch("run.record-stats") {
            return Ok(None);
        }
        Ok(Some(Self {
            store: place::open(settings, layers, true)?,
            began_ms: place::now_ms(),
        }))
    }

    /// Records a run, and removes what is too old by now. `calls` are those that the run made.
    ///
    /// # Errors
    ///
    /// If it could not be written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it is written.
    pub(crate) async fn record(
        self,
        command: &str,
        wall: Duration,
        calls: &RunSummary,
        outcomes: impl Fn(OutcomeKind) -> u64,
    ) -> Result<(), CliError> {
        let outcomes = OutcomeKind::ALL
            .into_iter()
            .map(|kind| (kind, outcomes(kind)))
            .filter(|(_, n)| *n > 0)
            .collect();
        let record = RunRecord {
            run: None,
            command: command.to_owned(),
            session: String::new(),
            started_ms: self.began_ms,
            wall,
            work: calls.running,
            attempts: calls.attempts,
            outcomes,
        };
        let written = async {
            self.store.record_run(record).await?;
            self.store.prune(place::now_ms()).await?;
            self.store.close().await
        };
        written.await.map_err(|error| place::failed(&error))
    }
}
