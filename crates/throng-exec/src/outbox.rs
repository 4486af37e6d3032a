//! Outcomes that the consumer has not taken, in the order in which it gets them.

use std::collections::VecDeque;
use std::task::Waker;

use throng_core::JobId;

use crate::OutputOrder;
use crate::record::Record;

/// The outcomes of a run. Bounded by the window: each holds a place of it until it is taken.
#[derive(Debug)]
pub(crate) struct Outbox<J, T, E> {
    /// What the consumer may take now.
    ready: VecDeque<Record<J, T, E>>,
    /// Jobs that have ended before an earlier one, by their distance from `next`, in the order of submission.
    early: VecDeque<Option<Record<J, T, E>>>,
    next: JobId,
    order: OutputOrder,
    consumer: Option<Waker>,
}

impl<J, T, E> Outbox<J, T, E> {
    pub(crate) fn new(order: OutputOrder) -> Self {
        Self {
            ready: VecDeque::new(),
            early: VecDeque::new(),
            next: JobId::new(0),
            order,
            consumer: None,
        }
    }

    pub(crate) fn push(&mut self, finished: Record<J, T, E>) {
        match self.order {
            OutputOrder::Completion => self.ready.push_back(finished),
            OutputOrder::Submission => self.push_early(finished),
        }
    }

    /// Swaps what the consumer may take now with its empty buffer.
    pub(crate) fn swap(&mut self, buffer: &mut VecDeque<Record<J, T, E>>) {
        std::mem::swap(&mut self.ready, buffer);
    }

    /// Returns true if the consumer may take `n` outcomes now.
    pub(crate) fn has(&self, n: usize) -> bool {
        self.ready.len() >= n
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Record<J, T, E>> {
        self.ready.iter().chain(self.early.iter().flatten())
    }

    /// Notes who waits, and returns who did before, to be dropped without the lock.
    pub(crate) fn wait(&mut self, consumer: Option<Waker>) -> Option<Waker> {
        std::mem::replace(&mut self.consumer, consumer)
    }

    /// Takes every outcome out, in no particular order.
    pub(crate) fn take_all(&mut self) -> Vec<Record<J, T, E>> {
        self.ready
            .drain(..)
            .chain(self.early.drain(..).flatten())
            .collect()
    }

    /// Returns the waiting consumer if there is `enough` to take.
    pub(crate) fn take_consumer(&mut self, over: bool, enough: usize) -> Option<Waker> {
        if over || self.ready.len() >= enough {
            self.consumer.take()
        } else {
            None
        }
    }

    fn push_early(&mut self, finished: Record<J, T, E>) {
        let id = finished.get().map_or(self.next, |finished| finished.id);
        let ahead = usize::try_from(id.index() - self.next.index())
            .expect("a job ends at most one window ahead of the next");
        if ahead >= self.early.len() {
            self.early.resize_with(ahead + 1, || None);
        }
        self.early[ahead] = Some(finished);
        while let Some(Some(_)) = self.early.front() {
            self.ready.extend(self.early.pop_front().flatten());
            self.next = JobId::new(self.next.index() + 1);
        }
    }
}
