//! The thread that writes: it takes what is queued, writes it in one transaction, and answers those who wait for it.
//!
//! One transaction is one flush to the disk at most, shared by all steps that were journaled while the one before it was
//! being written.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use throng_core::RunId;
use tokio::sync::oneshot;

use crate::prune::{self, PruneReport};
use crate::queue::Queue;
use crate::record::{Metric, ResultRecord, RunRecord, ToolBatch};
use crate::tracker::{Label, RunRow, Step, Tracker};
use crate::{Durability, Retention, StoreError, insert};

/// Answers a caller that waits.
pub(crate) type Ack<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the thread is asked to do.
pub(crate) enum Message {
    RunBegins { run: RunId, label: Arc<Label> },
    Step(Step),
    RunEnds { run: RunId, wall_us: i64, lost: u64 },
    Write(Box<Write>, Ack<()>),
    Prune(Box<(i64, Retention)>, Ack<PruneReport>),
    Flush(Ack<()>),
    Close(Ack<()>),
}

/// A change that somebody waits for.
#[derive(Clone)]
pub(crate) enum Write {
    ToolBatch(ToolBatch),
    Metrics(Vec<Metric>),
    Run(RunRecord),
    Result(ResultRecord),
    Begin {
        run: String,
        step: String,
        input: String,
        at_ms: i64,
    },
    End {
        run: String,
        step: String,
        ending: String,
        at_ms: i64,
    },
    Forget {
        run: String,
    },
}

impl Write {
    /// Returns about how many rows it is.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::ToolBatch(batch) => batch.calls.len() + 1,
            Self::Metrics(metrics) => metrics.len().max(1),
            _ => 1,
        }
    }

    const fn is_journal(&self) -> bool {
        matches!(self, Self::Begin { .. } | Self::End { .. } | Self::Forget { .. })
    }
}

/// What the thread counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) rows: AtomicU64,
    pub(crate) transactions: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) failed_rows: AtomicU64,
}

pub(crate) struct Writer {
    pub(crate) conn: Connection,
    pub(crate) path: Arc<Path>,
    pub(crate) queue: Arc<Queue<Message>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) journal: Durability,
    pub(crate) batch: usize,
    pub(crate) linger: Duration,
}

/// Keeps callers from waiting for a thread that is gone.
struct CloseAtEnd(Arc<Queue<Message>>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Writer {
    /// Writes until the queue is closed and empty.
    pub(crate) fn run(self) {
        let guard = CloseAtEnd(Arc::clone(&self.queue));
        let Self {
            conn,
            path,
            queue,
            counters,
            journal,
            batch,
            linger,
        } = self;
        let mut work = Work {
            conn,
            path,
            counters,
            journal,
            tracker: Tracker::default(),
            run_rows: HashMap::new(),
            full: None,
        };
        let mut messages = Vec::new();
        let mut closers = Vec::new();
        while queue.take(batch, linger, &mut messages) {
            work.handle(&mut messages, &mut closers);
            if !closers.is_empty() {
                queue.close();
            }
        }
        // The file is closed before those hear of it who wait for that.
        drop(work);
        drop(guard);
        for ack in closers {
            let _ = ack.send(Ok(()));
        }
    }
}

struct Work {
    conn: Connection,
    path: Arc<Path>,
    counters: Arc<Counters>,
    journal: Durability,
    tracker: Tracker,
    run_rows: HashMap<RunId, i64>,
    /// What `synchronous` is set to.
    full: Option<bool>,
}

/// One change, and who waits for it.
enum Change {
    Run(RunRow),
    RunBegins(RunId),
    Write(Box<Write>, Ack<()>),
}

impl Work {
    fn handle(&mut self, messages: &mut Vec<Message>, closers: &mut Vec<Ack<()>>) {
        let mut changes = Vec::with_capacity(messages.len());
        let mut rows = Vec::new();
        for message in messages.drain(..) {
            match message {
                Message::RunBegins { run, label } => {
                    self.tracker.begin(run, label);
                    changes.push(Change::RunBegins(run));
                }
                Message::Step(step) => self.tracker.step(&step, &mut rows),
                Message::RunEnds { run, wall_us, lost } => {
                    // The label goes with the run, so the row must be there before it.
                    changes.extend(rows.drain(..).map(Change::Run));
                    changes.push(Change::RunBegins(run));
                    self.commit(&mut changes);
                    self.tracker.end(run, wall_us, lost, &mut rows);
                }
                Message::Write(write, ack) => changes.push(Change::Write(write, ack)),
                Message::Flush(ack) => {
                    changes.extend(rows.drain(..).map(Change::Run));
                    self.commit(&mut changes);
                    let _ = ack.send(Ok(()));
                }
                Message::Prune(asked, ack) => {
                    changes.extend(rows.drain(..).map(Change::Run));
                    self.commit(&mut changes);
                    let _ = ack.send(self.prune(asked.0, &asked.1));
                }
                Message::Close(ack) => closers.push(ack),
            }
            changes.extend(rows.drain(..).map(Change::Run));
        }
        self.commit(&mut changes);
    }

    fn prune(&mut self, now_ms: i64, retention: &Retention) -> Result<PruneReport, StoreError> {
        // A deleted run's number must not be used for its later rows.
        self.run_rows.clear();
        self.synchronous(false)
            .and_then(|()| prune::prune(&mut self.conn, now_ms, retention))
            .map_err(|error| StoreError::from_sqlite(&self.path, error))
    }

    fn commit(&mut self, changes: &mut Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let flush = self.journal == Durability::PowerLoss
            && changes
                .iter()
                .any(|change| matches!(change, Change::Write(write, _) if write.is_journal()));
        match self.write(changes, flush) {
            Ok(()) => {
                for change in changes.drain(..) {
                    if let Change::Write(_, ack) = change {
                        let _ = ack.send(Ok(()));
                    }
                }
            }
            Err(error) if changes.len() > 1 && is_of_one_change(&error) => {
                // Those who did nothing wrong get their rows.
                for change in changes.drain(..) {
                    let mut one = vec![change];
                    let written = self.write(&one, flush);
                    self.answer(&mut one, written);
                }
            }
            Err(error) => self.answer(changes, Err(error)),
        }
    }

    fn answer(&self, changes: &mut Vec<Change>, written: rusqlite::Result<()>) {
        let written = written.map_err(|error| StoreError::from_sqlite(&self.path, error));
        for change in changes.drain(..) {
            match change {
                Change::Write(_, ack) => {
                    let _ = ack.send(written.clone());
                }
                Change::Run(_) | Change::RunBegins(_) => {
                    let failed = u64::from(written.is_err());
                    self.counters.failed_rows.fetch_add(failed, Ordering::Relaxed);
                }
            }
        }
    }

    fn write(&mut self, changes: &[Change], flush: bool) -> rusqlite::Result<()> {
        let written = self.transaction(changes, flush);
        if written.is_err() {
            // Numbers of runs that were taken back.
            self.run_rows.clear();
        }
        written
    }

    fn transaction(&mut self, changes: &[Change], flush: bool) -> rusqlite::Result<()> {
        self.synchronous(flush)?;
        let tx = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut rows = 0;
        let mut ended = Vec::new();
        for change in changes {
            match change {
                Change::RunBegins(run) => {
                    let label = self.tracker.label(*run);
                    insert::run_number(&tx, &mut self.run_rows, *run, label)?;
                    rows += 1;
                }
                Change::Run(row) => {
                    let run = insert::run_of(row);
                    let label = self.tracker.label(run);
                    let number = insert::run_number(&tx, &mut self.run_rows, run, label)?;
                    insert::run_row(&tx, number, row)?;
                    if matches!(row, RunRow::End { .. }) {
                        ended.push(run);
                    }
                    rows += 1;
                }
                Change::Write(write, _) => {
                    insert::write(&tx, write)?;
                    rows += write.weight() as u64;
                }
            }
        }
        tx.commit()?;
        for run in ended {
            self.run_rows.remove(&run);
        }
        self.counters.rows.fetch_add(rows, Ordering::Relaxed);
        self.counters.transactions.fetch_add(1, Ordering::Relaxed);
        self.counters
            .flushes
            .fetch_add(u64::from(flush), Ordering::Relaxed);
        Ok(())
    }

    fn synchronous(&mut self, full: bool) -> rusqlite::Result<()> {
        if self.full != Some(full) {
            let level = if full { "FULL" } else { "NORMAL" };
            self.conn.pragma_update(None, "synchronous", level)?;
            self.full = Some(full);
        }
        Ok(())
    }
}

/// Returns true if an error may be due to one of several changes, and not to the file.
fn is_of_one_change(error: &rusqlite::Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
        )
    )
}
