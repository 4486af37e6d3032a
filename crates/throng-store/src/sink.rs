//! Takes the events of runs without ever waiting.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use throng_core::{Event, EventKind, EventSink, RunId};

use crate::record::us;
use crate::store::Store;
use crate::tracker::{Label, Step};
use crate::writer::Message;

/// Records runs with their jobs and attempts.
///
/// Events are queued and written in batches by the store's own thread; [`EventSink::record`] neither waits nor writes.
/// A run, a job and an attempt get their rows when they end.
///
/// When the queue is full, events are left out, counted in [`RunSink::lost`], and the run's row says how many of its
/// were: its figures are then too low. Its begin and its end are never left out.
///
/// Rows that were queued and not yet written are lost if the process is killed. [`Store::flush`](crate::Store::flush)
/// waits until all are written.
#[derive(Clone)]
pub struct RunSink {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    label: Arc<Label>,
    lost: AtomicU64,
    lost_by_run: Mutex<HashMap<RunId, u64>>,
}

impl RunSink {
    pub(crate) fn new(store: Store, command: String, session: String) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                label: Arc::new(Label { command, session }),
                lost: AtomicU64::new(0),
                lost_by_run: Mutex::default(),
            }),
        }
    }

    /// Returns how many events were left out, because the queue was full or the store closed.
    pub fn lost(&self) -> u64 {
        self.inner.lost.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for RunSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunSink")
            .field("label", &self.inner.label)
            .field("lost", &self.lost())
            .finish_non_exhaustive()
    }
}

impl EventSink for RunSink {
    fn record(&self, event: &Event) {
        let inner = &*self.inner;
        let queue = &inner.store.shared().queue;
        let taken = match event.kind {
            EventKind::RunStarted => queue.force(Message::RunBegins {
                run: event.run,
                label: Arc::clone(&inner.label),
            }),
            EventKind::RunFinished => {
                let lost = inner
                    .lost_by_run
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&event.run);
                queue.force(Message::RunEnds {
                    run: event.run,
                    wall_us: us(event.at),
                    lost: lost.unwrap_or(0),
                })
            }
            _ => match Step::of(event) {
                Some(step) => queue.try_push(Message::Step(step)),
                None => Ok(()),
            },
        };
        if taken.is_err() {
            inner.lost.fetch_add(1, Ordering::Relaxed);
            *inner
                .lost_by_run
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(event.run)
                .or_default() += 1;
        }
    }
}
