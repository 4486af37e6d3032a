//! What the lock of a run protects: the dispatcher, the jobs that wait, and the outcomes on their way to the consumer.
//!
//! Invariant: a job that the dispatcher has closed is in the outbox before anything else is asked of the dispatcher.

use std::collections::HashMap;
use std::task::Waker;

use throng_core::Outcome;

use crate::input::Jobs;
use crate::machine::{Dispatcher, Ending, Start};
use crate::outbox::Outbox;
use crate::rate::Tick;
use crate::record::{Job, Left, Record};
use crate::{JobSpec, RunError};

/// What the lock protects.
pub(crate) struct State<J, T, E> {
    pub(crate) dispatcher: Dispatcher,
    pub(crate) outbox: Outbox<J, T, E>,
    /// The iterator of jobs, while nobody is pulling from it.
    pub(crate) jobs: Option<Jobs<J>>,
    pub(crate) error: Option<RunError>,
    /// When the driver will wake up by itself.
    pub(crate) armed: Option<Tick>,
    /// The driver has a stream and does not poll it, because nothing was wanted of it.
    pub(crate) stream_rests: bool,
    /// Who waits for the permit of a second attempt, by slot.
    pub(crate) hedging: HashMap<u32, Waker>,
    /// The jobs that no attempt is running, by slot.
    pub(crate) waiting: Vec<Option<Job<J, E>>>,
    /// Places for jobs that have ended, which the consumer has emptied.
    pub(crate) spares: Vec<Record<J, T, E>>,
    /// The consumer is not woken for single outcomes: more are about to come, and the driver watches.
    pub(crate) gathering: bool,
    /// Workers that were spawned and have not asked for an attempt yet.
    pub(crate) starting: usize,
    pub(crate) now: Tick,
    pub(crate) flushing: bool,
}

/// An attempt that a worker has to run.
pub(crate) struct Assignment<J, E> {
    pub(crate) start: Start,
    pub(crate) job: Job<J, E>,
}

/// What a worker goes on with.
pub(crate) struct Next<J, T, E> {
    pub(crate) assignment: Option<Assignment<J, E>>,
    /// A place for the job when it has ended.
    pub(crate) spare: Option<Record<J, T, E>>,
}

impl<J, T, E> State<J, T, E> {
    pub(crate) fn new(dispatcher: Dispatcher, outbox: Outbox<J, T, E>, jobs: Option<Jobs<J>>) -> Self {
        Self {
            dispatcher,
            outbox,
            jobs,
            error: None,
            armed: None,
            stream_rests: false,
            hedging: HashMap::new(),
            waiting: Vec::new(),
            spares: Vec::new(),
            gathering: false,
            starting: 0,
            now: 0,
            flushing: false,
        }
    }

    /// Returns the time of the run: `now`, or a later time that another task has already brought.
    pub(crate) fn advance(&mut self, now: Tick) -> Tick {
        self.now = self.now.max(now);
        self.now
    }

    /// Returns true if the consumer has nothing more to wait for.
    pub(crate) fn is_over(&self) -> bool {
        let told = self.error.is_some() || (!self.flushing && !self.dispatcher.has_events());
        self.dispatcher.is_over() && told
    }

    pub(crate) fn admit(&mut self, now: Tick, job: JobSpec<J>) {
        let slot = self.dispatcher.admit(now, job.key.as_ref(), &job.terms) as usize;
        if slot >= self.waiting.len() {
            self.waiting.resize_with(slot + 1, || None);
        }
        self.waiting[slot] = Some(Job::new(job.input, job.key));
        self.deliver_all();
    }

    /// Takes the wakers of those whose second attempt has got its permit.
    pub(crate) fn take_hedges(&mut self) -> Vec<Waker> {
        if !self.dispatcher.has_granted() {
            return Vec::new();
        }
        let granted = self.dispatcher.take_granted().into_iter();
        granted.filter_map(|slot| self.hedging.remove(&slot)).collect()
    }

    pub(crate) fn next_assignment(&mut self, now: Tick) -> Option<Assignment<J, E>> {
        let start = self.dispatcher.next_start(now)?;
        let job = self.waiting[start.slot as usize].take()?;
        Some(Assignment { start, job })
    }

    /// Moves every job that the dispatcher has closed by itself to the outbox.
    pub(crate) fn deliver_all(&mut self) {
        while let Some((index, ending)) = self.dispatcher.pop_closed() {
            match self.waiting[index as usize].take() {
                Some(job) => self.deliver(index, ending, Left::Open(job)),
                None => debug_assert!(false, "no attempt of a closed job is running"),
            }
        }
    }

    pub(crate) fn deliver(&mut self, index: u32, ending: Ending, left: Left<J, T, E>) {
        let mut record = match left {
            Left::Ended(record) => record,
            Left::Open(mut job) => {
                let outcome = match ending {
                    Ending::Failed => job
                        .errors
                        .as_mut()
                        .and_then(|errors| errors.pop())
                        .map_or(Outcome::Cancelled, Outcome::Failed),
                    Ending::TimedOut(kind) => Outcome::TimedOut(kind),
                    Ending::Skipped => Outcome::Skipped,
                    Ending::Shed => Outcome::Shed,
                    Ending::Succeeded | Ending::Panicked | Ending::Cancelled => Outcome::Cancelled,
                };
                job.end(outcome, None)
            }
        };
        let slot = self.dispatcher.slot(index);
        if let Some(finished) = record.get_mut() {
            finished.id = slot.job;
            finished.step = slot.step;
            finished.attempts = slot.attempts;
            if !slot.reported.is_empty() {
                finished.usage = slot.reported.usage();
            }
            finished.timing = slot.timing();
        }
        self.outbox.push(record);
    }
}
