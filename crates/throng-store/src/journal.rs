//! The journal of runs with effects, over a store.

use std::thread;

use rusqlite::Connection;
use throng_core::{Journal, JournalEntry, JournalError, JournalFuture};
use tokio::sync::oneshot;

use crate::StoreError;
use crate::store::{Store, check_length};
use crate::writer::Write;

/// Remembers which steps of a run began and how they ended, across `kill -9`.
///
/// A future of [`Journal::begin`] or [`Journal::end`] is ready when the step is committed: from then on it survives the
/// death of the process, and, by default, a loss of power (see [`Durability`](crate::Durability)). Steps that are journaled
/// at the same time share one flush to the disk.
///
/// A step that begins again counts one more attempt, and has no ending until it ends again. A step that ends without a
/// begin, because it never ran, is kept with 0 attempts and an empty input. Runs are told apart by their name alone, across
/// processes.
#[derive(Clone, Debug)]
pub struct StoreJournal {
    store: Store,
}

impl StoreJournal {
    pub(crate) const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Removes what is known of a run.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if it could not be written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it is removed.
    pub async fn forget(&self, run: &str) -> Result<(), JournalError> {
        self.write(Write::Forget { run: run.to_owned() }).await
    }

    async fn write(&self, write: Write) -> Result<(), JournalError> {
        self.store.shared().write(write).await.map_err(not_written)
    }

    fn now(&self) -> i64 {
        (self.store.shared().clock)()
    }
}

impl Journal for StoreJournal {
    fn begin<'a>(&'a self, run: &'a str, step: &'a str, input: &'a str) -> JournalFuture<'a, ()> {
        Box::pin(async move {
            check_length("the input of a step", input).map_err(not_written)?;
            self.write(Write::Begin {
                run: run.to_owned(),
                step: step.to_owned(),
                input: input.to_owned(),
                at_ms: self.now(),
            })
            .await
        })
    }

    fn end<'a>(&'a self, run: &'a str, step: &'a str, ending: &'a str) -> JournalFuture<'a, ()> {
        Box::pin(async move {
            check_length("the ending of a step", ending).map_err(not_written)?;
            self.write(Write::End {
                run: run.to_owned(),
                step: step.to_owned(),
                ending: ending.to_owned(),
                at_ms: self.now(),
            })
            .await
        })
    }

    fn load<'a>(&'a self, run: &'a str) -> JournalFuture<'a, Vec<JournalEntry>> {
        Box::pin(async move {
            // A run is loaded once, when it resumes, so that a thread of its own is cheap enough.
            let (answer, loaded) = oneshot::channel();
            let store = self.store.clone();
            let run = run.to_owned();
            thread::Builder::new()
                .name("throng-store-load".to_owned())
                .spawn(move || {
                    let _ = answer.send(store.read(|conn| load(conn, &run)));
                })
                .map_err(|error| JournalError::new(READ, error))?;
            match loaded.await {
                Ok(Ok(entries)) => Ok(entries),
                Ok(Err(error)) => Err(JournalError::new(READ, error)),
                Err(error) => Err(JournalError::new(READ, error)),
            }
        })
    }
}

const READ: &str = "read the journal";

fn not_written(error: StoreError) -> JournalError {
    JournalError::new("write to the journal", error)
}

fn load(conn: &Connection, run: &str) -> rusqlite::Result<Vec<JournalEntry>> {
    let mut statement =
        conn.prepare_cached("SELECT step, input, attempts, ending FROM journal WHERE run = ?1 ORDER BY id")?;
    let entries = statement.query_map([run], |row| {
        let mut entry = JournalEntry::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?);
        entry.attempts = row.get(2)?;
        entry.ending = row.get(3)?;
        Ok(entry)
    })?;
    entries.collect()
}
