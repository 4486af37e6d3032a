//! The store: its connections, its thread, and what callers ask of it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::prune::PruneReport;
use crate::queue::{Queue, Refused};
use crate::record::{Metric, ResultRecord, RunRecord, ToolBatch};
use crate::schema::{self, Place};
use crate::writer::{Counters, Message, Write, Writer};
use crate::{Clock, OpenError, RunSink, StoreError, StoreJournal, StoreOptions};

/// Longest text of one value, such as the input of a journaled step.
pub(crate) const MAX_TEXT: usize = 64 << 20;

/// One SQLite file of runs, tool calls, metrics, results and journals.
///
/// A store is a handle: clones share its thread and its connections. The thread ends when the last handle is dropped, after
/// it has written what was queued; [`Store::close`] waits for that.
///
/// What is written comes in transactions of many rows. Several processes may use one file: their transactions take turns.
///
/// The `record_` methods are ready when their rows are committed, which means that they survive the death of the process;
/// only the journal is flushed to the disk each time (see [`Durability`](crate::Durability)). The methods that read
/// block while they do; in async code, call them where blocking is allowed.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    _last: Arc<CloseWhenDropped>,
}

pub(crate) struct Shared {
    pub(crate) path: Arc<Path>,
    pub(crate) queue: Arc<Queue<Message>>,
    pub(crate) clock: Clock,
    counters: Arc<Counters>,
    options: StoreOptions,
    readers: Readers,
}

/// Lets the thread end. The handles hold it, and sinks and journals do too; the thread does not.
struct CloseWhenDropped(Arc<Queue<Message>>);

impl Drop for CloseWhenDropped {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Connections that only read; as many as there were readers at a time.
struct Readers {
    place: Place,
    busy: Duration,
    free: Mutex<Vec<Connection>>,
}

/// What a store has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreCounts {
    /// Rows written.
    pub rows: u64,
    /// Transactions that wrote them.
    pub transactions: u64,
    /// Transactions that were flushed to the disk.
    pub flushes: u64,
    /// Rows of runs that could not be written; nobody waits for those, so they are only counted.
    pub failed_rows: u64,
}

impl Store {
    /// Opens a file, and makes it if need be. Blocks while it does.
    ///
    /// An older schema is brought up to date. SQLite keeps two further files beside it while it is open, whose names end in
    /// `-wal` and `-shm`. A file that is made is readable for its owner only.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; its [`advice`](OpenError::advice) says what to do.
    pub fn open(path: impl Into<PathBuf>, options: StoreOptions) -> Result<Self, OpenError> {
        Self::open_place(Place::File(path.into()), options)
    }

    /// Opens a store in memory, which is gone with its last handle.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn in_memory() -> Result<Self, OpenError> {
        Self::in_memory_with(StoreOptions::default())
    }

    /// Opens a store in memory with options.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn in_memory_with(options: StoreOptions) -> Result<Self, OpenError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::open_place(
            Place::Memory(format!("file:/throng-store-{n}?vfs=memdb")),
            options,
        )
    }

    fn open_place(place: Place, options: StoreOptions) -> Result<Self, OpenError> {
        let conn = schema::open(&place, options.create, options.busy_timeout)?;
        let path: Arc<Path> = place.shown().into();
        let queue = Arc::new(Queue::new(options.queue.get()));
        let counters = Arc::new(Counters::default());
        let writer = Writer {
            conn,
            path: Arc::clone(&path),
            queue: Arc::clone(&queue),
            counters: Arc::clone(&counters),
            journal: options.journal,
            batch: options.batch.get(),
            linger: options.linger,
        };
        thread::Builder::new()
            .name("throng-store".to_owned())
            .spawn(|| writer.run())
            .map_err(|cause| OpenError::Unreachable {
                path: path.to_path_buf(),
                cause: Box::new(cause),
            })?;
        let last = Arc::new(CloseWhenDropped(Arc::clone(&queue)));
        let shared = Shared {
            path,
            queue,
            clock: Arc::clone(&options.clock),
            counters,
            readers: Readers {
                place,
                busy: options.busy_timeout,
                free: Mutex::default(),
            },
            options,
        };
        Ok(Self {
            shared: Arc::new(shared),
            _last: last,
        })
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Returns the journal of this store.
    pub fn journal(&self) -> StoreJournal {
        StoreJournal::new(self.clone())
    }

    /// Returns a sink that records the runs of an executor.
    ///
    /// `command` says what kind of run it is, such as `run` or `vote`; `session` may be empty.
    pub fn sink(&self, command: impl Into<String>, session: impl Into<String>) -> RunSink {
        RunSink::new(self.clone(), command.into(), session.into())
    }

    /// Records a plan of tool calls that has ended.
    ///
    /// # Errors
    ///
    /// If it could not be written; nothing of it was.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it is written.
    pub async fn record_tool_batch(&self, batch: ToolBatch) -> Result<(), StoreError> {
        self.shared.write(Write::ToolBatch(batch)).await
    }

    /// Records a figure that a session measured.
    ///
    /// # Errors
    ///
    /// If its value is not finite or its name is empty, or it could not be written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it is written.
    pub async fn record_metric(&self, metric: Metric) -> Result<(), StoreError> {
        self.record_metrics(vec![metric]).await
    }

    /// Records several figures, all or none of them.
    ///
    /// # Errors
    ///
    /// As [`Store::record_metric`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether they are written.
    pub async fn record_metrics(&self, metrics: Vec<Metric>) -> Result<(), StoreError> {
        for metric in &metrics {
            if metric.name.is_empty() || !metric.value.is_finite() {
                let what = format!(
                    "a metric needs a name and a finite value, and not {:?} = {}",
                    metric.name, metric.value
                );
                return Err(StoreError::Refused { what });
            }
        }
        self.shared.write(Write::Metrics(metrics)).await
    }

    /// Records the figures of a run that has ended.
    ///
    /// # Errors
    ///
    /// If it could not be written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it is written.
    pub async fn record_run(&self, run: RunRecord) -> Result<(), StoreError> {
        self.shared.write(Write::Run(run)).await
    }

    /// Records results, beside those that are kept already.
    ///
    /// # Errors
    ///
    /// If they are longer than 64 MiB or could not be written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether they are written.
    pub async fn record_result(&self, result: ResultRecord) -> Result<(), StoreError> {
        check_length("the results", &result.body)?;
        self.shared.write(Write::Result(result)).await
    }

    /// Removes what the retention of the options does not keep, as of a time.
    ///
    /// # Errors
    ///
    /// If the file could not be written. Kinds that were done stay done.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it is done.
    pub async fn prune(&self, now_ms: i64) -> Result<PruneReport, StoreError> {
        let asked = Box::new((now_ms, self.shared.options.retention.clone()));
        self.shared.ask(1, |ack| Message::Prune(asked, ack)).await
    }

    /// Waits until everything that was queued before is written.
    ///
    /// # Errors
    ///
    /// If the store is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what is queued is written all the same.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.shared.ask(1, Message::Flush).await
    }

    /// Writes what is queued and closes the file, for all handles: what they are asked to record afterwards is refused.
    ///
    /// # Errors
    ///
    /// If it was closed before.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it is closed yet.
    pub async fn close(self) -> Result<(), StoreError> {
        self.shared.readers.close();
        self.shared.ask(1, Message::Close).await
    }

    /// Returns what the store has done since it was opened.
    pub fn counts(&self) -> StoreCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.shared.counters;
        StoreCounts {
            rows: of(&counters.rows),
            transactions: of(&counters.transactions),
            flushes: of(&counters.flushes),
            failed_rows: of(&counters.failed_rows),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Reads in one snapshot.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.shared.readers.read(&self.shared.path, read)
    }
}

impl Shared {
    /// Queues a change and waits until it is committed.
    pub(crate) async fn write(&self, write: Write) -> Result<(), StoreError> {
        let weight = write.weight();
        let write = Box::new(write);
        self.ask(weight, |ack| Message::Write(write, ack)).await
    }

    async fn ask<T>(
        &self,
        weight: usize,
        message: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Message,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Closed {
            path: Arc::clone(&self.path),
        };
        let (ack, answer) = oneshot::channel();
        match self.queue.push(message(ack), weight, true).await {
            Ok(()) => {}
            Err(Refused::Closed | Refused::Full) => return Err(closed()),
        }
        answer.await.unwrap_or_else(|_| Err(closed()))
    }
}

impl Readers {
    fn read<T>(
        &self,
        path: &Arc<Path>,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let free = self.lock().pop();
        let read = || {
            let conn = match free {
                Some(conn) => conn,
                None => self.place.reader(self.busy)?,
            };
            let tx = conn.unchecked_transaction()?;
            let value = read(&tx)?;
            tx.finish()?;
            self.lock().push(conn);
            Ok(value)
        };
        read().map_err(|error| StoreError::from_sqlite(path, error))
    }

    fn close(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.shared.path)
            .field("options", &self.shared.options)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// Refuses a text that is too long.
pub(crate) fn check_length(what: &str, text: &str) -> Result<(), StoreError> {
    if text.len() <= MAX_TEXT {
        return Ok(());
    }
    let bytes = text.len();
    Err(StoreError::Refused {
        what: format!("{what} may have at most {MAX_TEXT} bytes, and not {bytes}"),
    })
}
