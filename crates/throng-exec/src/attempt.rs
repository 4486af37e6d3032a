//! What an attempt is told about itself, and what it can report while it runs.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use throng_core::{AttemptId, JobId, RunId, Usage};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use crate::Key;

/// One attempt of a job: who it is, until when it may run, and where it reports.
///
/// Clones mean the same attempt. What a clone reports after the attempt has ended is lost.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub(crate) job: JobId,
    pub(crate) number: NonZeroU32,
    pub(crate) started: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) step: u32,
    pub(crate) hedge: bool,
    pub(crate) key: Option<Key>,
    pub(crate) reports: Arc<Reports>,
}

impl Attempt {
    /// Returns the attempt's id, which prints as `run:job#attempt`.
    pub fn id(&self) -> AttemptId {
        AttemptId {
            run: self.reports.origin.run,
            job: self.job,
            attempt: self.number,
        }
    }

    /// Returns which try of the job this is, from 1.
    pub const fn number(&self) -> NonZeroU32 {
        self.number
    }

    /// Returns which fallback step this attempt belongs to; 0 is the job's own, 1 the first
    /// [`Fallback`](crate::Fallback).
    pub const fn step(&self) -> u32 {
        self.step
    }

    /// Returns true if this attempt runs beside an earlier one that takes long; see [`Hedge`](crate::Hedge).
    pub const fn is_hedge(&self) -> bool {
        self.hedge
    }

    /// Returns the key whose limits this attempt keeps to: the job's, or that of its fallback step.
    pub const fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// Returns the instant at which the executor drops this attempt: the earlier of its timeout and the run's
    /// deadline. `None` means that no time limit is set.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns true once the run was cancelled. The attempt may then finish early; when the grace period is over
    /// it is dropped.
    pub fn is_cancelled(&self) -> bool {
        self.reports.origin.cancellation.is_cancelled()
    }

    /// Waits until the run is cancelled.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future has no effect.
    pub fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        self.reports.origin.cancellation.cancelled()
    }

    /// Returns a token that is cancelled with the run.
    pub fn cancellation(&self) -> CancellationToken {
        self.reports.origin.cancellation.clone()
    }

    /// Marks that the first output has arrived, for [`Timing::first_output`](crate::Timing::first_output). Only the
    /// first call of an attempt counts.
    pub fn first_output(&self) {
        let nanos = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mark = nanos.saturating_add(1);
        let _ = self
            .reports
            .first_output
            .compare_exchange(0, mark, Ordering::Relaxed, Ordering::Relaxed);
        self.reports.touched.store(true, Ordering::Release);
    }

    /// Returns true once nobody waits for this attempt any more: it has timed out, another attempt has won, its run was
    /// dropped, or whoever had submitted its job went away. Only a clone that lives on elsewhere sees it: in the thread
    /// of a [`Blocking`](crate::Blocking) call, or in a task that an attempt of [`Executor::serve`](crate::Executor::serve)
    /// has spawned.
    pub fn is_abandoned(&self) -> bool {
        self.reports.is_abandoned()
    }

    /// Counts the run's calls that were left behind and still run.
    pub(crate) fn detached(&self) -> &AtomicU64 {
        &self.reports.origin.detached
    }

    /// Says that nobody waits for the attempt any more: whatever it returns, it counts as dropped.
    pub(crate) fn abandon(&self) {
        self.reports.abandoned.store(true, Ordering::Release);
        self.reports.touched.store(true, Ordering::Release);
    }

    /// Reports the tokens that this attempt has used so far. A later report replaces an earlier one field by field.
    ///
    /// Report what a failed attempt used as well: it was paid for, and the token rates are settled with it.
    pub fn report_usage(&self, usage: &Usage) {
        self.reports
            .usage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_default()
            .replace_with(usage);
        self.reports.touched.store(true, Ordering::Release);
    }
}

/// What all attempts of a run have in common.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) run: RunId,
    pub(crate) cancellation: CancellationToken,
    /// Calls of [`Blocking`](crate::Blocking) that were left behind and still run.
    pub(crate) detached: AtomicU64,
}

/// Where an attempt reports. A worker keeps one and lends it to each of its attempts in turn.
#[derive(Debug)]
pub(crate) struct Reports {
    origin: Arc<Origin>,
    touched: AtomicBool,
    abandoned: AtomicBool,
    /// Nanoseconds to the first output plus one; 0 means none.
    first_output: AtomicU64,
    usage: Mutex<Option<Box<Usage>>>,
}

impl Reports {
    pub(crate) fn new(origin: &Arc<Origin>) -> Arc<Self> {
        Arc::new(Self {
            origin: Arc::clone(origin),
            touched: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            first_output: AtomicU64::new(0),
            usage: Mutex::new(None),
        })
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// Takes what the attempt reported and makes the place fit for the next attempt. When somebody still holds a
    /// clone of the attempt, the place is replaced, so that a late report cannot reach the next attempt.
    pub(crate) fn take(this: &mut Arc<Self>) -> Reported {
        // There are no weak references, so that one who is alone stays alone; whoever has let go before, did so with all
        // that it has written.
        if Arc::strong_count(this) == 1 {
            fence(Ordering::Acquire);
            if !this.touched.load(Ordering::Relaxed) {
                return Reported::default();
            }
        }
        let first = this.first_output.load(Ordering::Relaxed);
        let first_output = first.checked_sub(1).map(Duration::from_nanos);
        let usage = this.usage.lock().unwrap_or_else(PoisonError::into_inner).take();
        *this = Self::new(&this.origin);
        Reported::new(first_output, usage.map(|usage| *usage))
    }
}

/// What attempts have reported. Most report nothing, and then it is a pointer to nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reported(Option<Box<(Option<Duration>, Usage)>>);

impl Reported {
    pub(crate) fn new(first_output: Option<Duration>, usage: Option<Usage>) -> Self {
        let usage = usage.unwrap_or_default();
        let nothing = first_output.is_none() && usage.is_empty();
        Self((!nothing).then(|| Box::new((first_output, usage))))
    }

    pub(crate) fn first_output(&self) -> Option<Duration> {
        self.0.as_ref().and_then(|reported| reported.0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn usage(&self) -> Usage {
        self.0.as_ref().map_or(Usage::NONE, |reported| reported.1)
    }

    /// Adds what a later attempt has reported.
    pub(crate) fn add(&mut self, later: Self) {
        let Some(later) = later.0 else { return };
        match &mut self.0 {
            None => self.0 = Some(later),
            Some(mine) => {
                mine.0 = later.0.or(mine.0);
                mine.1.add(&later.1);
            }
        }
    }
}
