//! Who is idle, who rests, who is lent, and who waits for a worker: the pool's decisions, without locks, clock and
//! worker states.
//!
//! Invariant, between two calls: each worker is in exactly one of `idle`, `resting` and lent. After
//! [`Roster::settle`], nobody waits while a worker may be lent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use crate::pool::{WorkerState, WorkerStats};

/// A rest is cut to 30 years, so that its end is an instant.
const LONGEST_REST: Duration = Duration::from_secs(86_400 * 365 * 30);

/// When a worker rests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Health {
    /// So many failures in a row.
    pub(crate) failures: u32,
    pub(crate) rest: Duration,
}

/// The workers by number, in the order of their names, and the queue for them.
#[derive(Debug)]
pub(crate) struct Roster {
    health: Health,
    workers: Vec<Worker>,
    /// By how much they have worked: time, then uses, then number.
    idle: BTreeSet<(Duration, u64, usize)>,
    /// By the end of their rest.
    resting: BTreeSet<(Instant, usize)>,
    /// Who waits, by ticket: the first has waited longest.
    queue: BTreeMap<u64, Waker>,
    /// Workers that were handed to a ticket whose owner has not come for it yet.
    handed: HashMap<u64, usize>,
    last_ticket: u64,
    /// The ticket whose owner has been told to look again at the end of a rest.
    alarm: Option<(u64, Instant)>,
}

#[derive(Debug)]
struct Worker {
    name: Arc<str>,
    generation: u64,
    checkouts: u64,
    failures: u64,
    failures_in_a_row: u32,
    replaced: u64,
    busy: Duration,
    /// It rests until then unless it is lent before.
    rests_until: Option<Instant>,
    lent: bool,
    /// When the use began; `None` while the worker is only handed over.
    in_use_since: Option<Instant>,
}

/// How the use of a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Returned {
    pub(crate) verdict: Verdict,
    /// The worker's state was discarded, and another will take its place.
    pub(crate) replaced: bool,
}

/// What the use of a worker says about its health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    /// Nothing: the use was broken off.
    Unknown,
}

impl Roster {
    pub(crate) fn new(names: Vec<Arc<str>>, health: Health) -> Self {
        let idle = (0..names.len()).map(|index| (Duration::ZERO, 0, index)).collect();
        let worker = |name| Worker {
            name,
            generation: 1,
            checkouts: 0,
            failures: 0,
            failures_in_a_row: 0,
            replaced: 0,
            busy: Duration::ZERO,
            rests_until: None,
            lent: false,
            in_use_since: None,
        };
        Self {
            health,
            workers: names.into_iter().map(worker).collect(),
            idle,
            resting: BTreeSet::new(),
            queue: BTreeMap::new(),
            handed: HashMap::new(),
            last_ticket: 0,
            alarm: None,
        }
    }

    pub(crate) fn name(&self, index: usize) -> &Arc<str> {
        &self.workers[index].name
    }

    pub(crate) fn generation(&self, index: usize) -> u64 {
        self.workers[index].generation
    }

    /// Takes the worker that is to be lent next, unless somebody waits already.
    pub(crate) fn try_take(&mut self, now: Instant, wakers: &mut Vec<Waker>) -> Option<usize> {
        self.settle(now, wakers);
        if self.queue.is_empty() {
            self.take_next()
        } else {
            None
        }
    }

    /// Joins the queue at its end.
    pub(crate) fn enqueue(&mut self, waker: Waker) -> u64 {
        self.last_ticket += 1;
        self.queue.insert(self.last_ticket, waker);
        self.last_ticket
    }

    /// Sets whom to wake for a ticket that still waits, and returns whom this replaces.
    pub(crate) fn replace_waker(&mut self, ticket: u64, waker: Waker) -> Option<Waker> {
        let place = self.queue.get_mut(&ticket)?;
        Some(std::mem::replace(place, waker))
    }

    /// Takes the worker that was handed to a ticket, if that has happened.
    pub(crate) fn take_handed(&mut self, ticket: u64) -> Option<usize> {
        self.handed.remove(&ticket)
    }

    /// Returns when the owner of this ticket has to look again even if nobody wakes it.
    pub(crate) fn alarm(&self, ticket: u64) -> Option<Instant> {
        let (owner, at) = self.alarm?;
        (owner == ticket).then_some(at)
    }

    /// Gives a ticket up, and with it the worker that may have been handed to it. Returns the waker that it had.
    pub(crate) fn give_up(&mut self, ticket: u64, now: Instant, wakers: &mut Vec<Waker>) -> Option<Waker> {
        let waker = self.queue.remove(&ticket);
        if let Some(index) = self.handed.remove(&ticket) {
            self.put_back(index);
        }
        self.settle(now, wakers);
        waker
    }

    /// Notes that a use has begun.
    pub(crate) fn begin(&mut self, index: usize, now: Instant) {
        let worker = &mut self.workers[index];
        worker.checkouts += 1;
        worker.in_use_since = Some(now);
    }

    /// Takes a worker back.
    pub(crate) fn end(&mut self, index: usize, how: Returned, now: Instant, wakers: &mut Vec<Waker>) {
        let health = self.health;
        let worker = &mut self.workers[index];
        if let Some(since) = worker.in_use_since.take() {
            worker.busy += now.saturating_duration_since(since);
        }
        if how.replaced {
            worker.replaced += 1;
            worker.generation += 1;
        }
        match how.verdict {
            Verdict::Passed => worker.failures_in_a_row = 0,
            Verdict::Failed => {
                worker.failures += 1;
                worker.failures_in_a_row = worker.failures_in_a_row.saturating_add(1);
            }
            Verdict::Unknown => {}
        }
        // The failures in a row stand until a use succeeds: after the rest the worker has one trial.
        let rests = how.verdict == Verdict::Failed && worker.failures_in_a_row >= health.failures;
        worker.rests_until = rests.then(|| now + health.rest.min(LONGEST_REST));
        self.put_back(index);
        self.settle(now, wakers);
    }

    /// Ends the rests that are over, hands workers to those who wait, in their order, and sees to it that the first
    /// of the rest looks again when the next rest ends. The wakers are for the caller to wake without the lock.
    pub(crate) fn settle(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        while let Some(&(until, index)) = self.resting.first()
            && until <= now
        {
            self.resting.pop_first();
            self.workers[index].rests_until = None;
            self.put_back(index);
        }
        while !self.queue.is_empty()
            && let Some(index) = self.take_next()
            && let Some((ticket, waker)) = self.queue.pop_first()
        {
            self.handed.insert(ticket, index);
            wakers.push(waker);
        }
        let mut first = self.queue.first_entry();
        let alarm = first.as_ref().zip(self.resting.first());
        let alarm = alarm.map(|(ticket, (until, _))| (*ticket.key(), *until));
        if alarm != self.alarm {
            self.alarm = alarm;
            if let (Some(_), Some(first)) = (alarm, &mut first) {
                // Once it is awake it says anew whom to wake.
                wakers.push(std::mem::replace(first.get_mut(), Waker::noop().clone()));
            }
        }
    }

    pub(crate) fn stats(&self, now: Instant) -> Vec<WorkerStats> {
        let stats = |worker: &Worker| WorkerStats {
            name: Arc::clone(&worker.name),
            generation: worker.generation,
            checkouts: worker.checkouts,
            failures: worker.failures,
            replaced: worker.replaced,
            busy: worker.busy
                + worker
                    .in_use_since
                    .map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
            state: match worker {
                Worker { lent: true, .. } => WorkerState::Busy,
                Worker {
                    rests_until: Some(until),
                    ..
                } if *until > now => WorkerState::Resting,
                _ => WorkerState::Idle,
            },
        };
        self.workers.iter().map(stats).collect()
    }

    /// Takes the least busy of the idle workers. Where every worker of the pool rests, one of them has to do: the
    /// one whose rest ends first.
    fn take_next(&mut self) -> Option<usize> {
        let index = if let Some((_, _, index)) = self.idle.pop_first() {
            index
        } else if self.resting.len() == self.workers.len() {
            self.resting.pop_first()?.1
        } else {
            return None;
        };
        self.workers[index].lent = true;
        Some(index)
    }

    fn put_back(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        worker.lent = false;
        match worker.rests_until {
            Some(until) => self.resting.insert((until, index)),
            None => self.idle.insert((worker.busy, worker.checkouts, index)),
        };
    }
}
