//! Feeds a run with tasks from a thread of its own, so that reading a slow pipe holds nobody up: leaves out what is
//! done, wrong or over the limit, and counts.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::Stream;
use tokio::sync::mpsc;

use crate::error::CliError;
use crate::input::{Feed, RecordError, SeenIds, Task, Tasks, key, repeated};
use crate::output::Existing;
use crate::ui::Ui;

/// How many tasks are read ahead.
const AHEAD: usize = 64;

/// How many wrong records are named.
const NAMED: u64 = 5;

/// Whether the inputs were read once before.
pub(crate) enum Mode {
    /// They were, and these places are to be left out.
    Scanned(HashSet<(usize, u64)>),
    /// They were not, so ids are checked on the way.
    Live(SeenIds),
}

/// What was read so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Good records.
    records: AtomicU64,
    /// Of these, those whose id had succeeded before.
    done: AtomicU64,
    /// Wrong records that were left out.
    invalid: AtomicU64,
    /// The first of these, with what is wrong with it.
    first_invalid: Mutex<Option<String>>,
    /// The error that ended the input.
    error: Mutex<Option<CliError>>,
}

impl Counts {
    /// Returns good records, those done before, and wrong ones.
    pub(crate) fn read(&self) -> (u64, u64, u64) {
        let load = |n: &AtomicU64| n.load(Ordering::SeqCst);
        (load(&self.records), load(&self.done), load(&self.invalid))
    }

    /// Returns the first wrong record that was left out, with what is wrong with it.
    pub(crate) fn first_invalid(&self) -> Option<String> {
        self.first_invalid
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes the error that ended the input.
    pub(crate) fn take_error(&self) -> Option<CliError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Reads tasks.
pub(crate) struct Intake {
    /// The inputs.
    pub(crate) feed: Feed,
    /// Their tasks.
    pub(crate) tasks: Tasks,
    /// Whether they were read before.
    pub(crate) mode: Mode,
    /// Goes on after a wrong record.
    pub(crate) skip_invalid: bool,
    /// Takes no more good records than this.
    pub(crate) limit: u64,
    /// What the output holds already.
    pub(crate) existing: Arc<Existing>,
    /// Is told what was read.
    pub(crate) counts: Arc<Counts>,
    /// Warns of records that are left out.
    pub(crate) ui: Arc<Ui>,
}

impl Intake {
    /// Reads in a thread and returns the tasks as a stream. The thread ends when the stream is dropped, or with the
    /// process if it waits for input.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    ///
    /// # Cancel safety
    ///
    /// As a stream it is cancel safe.
    pub(crate) fn stream(self) -> Result<impl Stream<Item = Task> + Send + Unpin + 'static, CliError> {
        let (sender, mut receiver) = mpsc::channel(AHEAD);
        std::thread::Builder::new()
            .name("throng-input".to_owned())
            .spawn(move || {
                for task in self {
                    if sender.blocking_send(task).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| CliError::usage("cannot start a thread for the input").cause(&error))?;
        Ok(futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx)))
    }

    fn check(&mut self, task: &Task) -> Result<(), RecordError> {
        match &mut self.mode {
            // A repeat that the first reading left out is no news.
            Mode::Scanned(_) => Ok(()),
            Mode::Live(seen) => {
                let line = task.numbered.then_some(task.place.line);
                if seen.repeats(&task.id, task.fingerprint, line) {
                    return Err(repeated(&self.feed, task, None));
                }
                Ok(())
            }
        }
    }

    /// Takes note of a wrong record; false if the input ends with it.
    fn leave_out(&self, error: &RecordError) -> bool {
        if error.fatal || !self.skip_invalid {
            let error = self
                .feed
                .error(error)
                .hint("the records before it were sent; --skip-invalid leaves wrong ones out");
            *self.counts.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            return false;
        }
        if matches!(self.mode, Mode::Live(_)) {
            let before = self.counts.invalid.fetch_add(1, Ordering::SeqCst);
            let text = || format!("{}: {}", self.feed.place(error.place), error.message);
            if before < NAMED {
                self.ui.warn(&format!("left out: {}", text()));
            }
            if before == 0 {
                let mut first = self
                    .counts
                    .first_invalid
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *first = Some(text());
            }
        }
        true
    }
}

impl Iterator for Intake {
    type Item = Task;

    fn next(&mut self) -> Option<Task> {
        loop {
            if self.counts.records.load(Ordering::SeqCst) >= self.limit {
                return None;
            }
            let checked = match self.tasks.next()? {
                Ok(task) => {
                    if matches!(&self.mode, Mode::Scanned(repeats) if repeats.contains(&key(task.place))) {
                        continue;
                    }
                    self.check(&task).map(|()| task)
                }
                Err(error) => Err(error),
            };
            match checked {
                Ok(task) => {
                    self.counts.records.fetch_add(1, Ordering::SeqCst);
                    if self.existing.is_done(task.fingerprint) {
                        self.counts.done.fetch_add(1, Ordering::SeqCst);
                        continue;
                    }
                    return Some(task);
                }
                Err(error) if self.leave_out(&error) => {}
                Err(_) => return None,
            }
        }
    }
}
