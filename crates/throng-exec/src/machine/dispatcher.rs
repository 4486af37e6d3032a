//! The only loop of the executor, turned inside out: which jobs are admitted and what may start next. What follows
//! from an attempt's end, and how a run is steered, are in the modules below.
//!
//! Invariants: at most `limit` attempts run; at most `window` jobs are admitted or ended but not taken; every
//! admitted job is closed exactly once; a job that waits for a retry holds no permit and goes ahead of new jobs.

mod control;
mod ending;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

use throng_core::{EventKind, JobId};

use crate::job::Terms;
use crate::machine::keys::Keys;
use crate::machine::queue::FairQueue;
use crate::machine::slot::{Ending, Phase, Slot};
use crate::machine::stats::Stats;
use crate::rate::{Gate, Rates, Tick};
use crate::{Cost, Key, RetryPolicy};

/// The policies of a run.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) limit: usize,
    pub(crate) window: usize,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) rates: Rates,
    /// In how much waiting time a job gains one priority; zero means never.
    pub(crate) ageing: Duration,
    /// The least time between two starts.
    pub(crate) throttle: Duration,
    pub(crate) start_delay: Duration,
    /// The size of batches of which one is admitted when the one before has ended.
    pub(crate) barrier: Option<usize>,
    pub(crate) record_events: bool,
}

/// An attempt that may start now; its permit is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) slot: u32,
    pub(crate) job: JobId,
    pub(crate) attempt: NonZeroU32,
    /// When the attempt has to be dropped.
    pub(crate) ends_by: Option<Tick>,
}

/// What the run may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Attempts start.
    Open,
    /// Running attempts go on to their end; nothing starts.
    Draining,
    /// The deadline has passed; nothing starts.
    Expired,
    /// Running attempts were asked to stop; nothing starts.
    Cancelled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Backoff(u32),
    Key(u32),
}

/// The state of a run.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    settings: Settings,
    deadline: Option<Tick>,
    timeout: Option<Tick>,
    rng: fastrand::Rng,
    slots: Vec<Slot>,
    free: Vec<u32>,
    keys: Keys,
    retries: FairQueue,
    fresh: FairQueue,
    timers: BinaryHeap<Reverse<(Tick, Timer)>>,
    gate: Gate,
    /// When the first attempt may start, until then.
    begins: Option<Tick>,
    /// When the rates let the next attempt start, if they are what holds it back.
    gate_opens: Option<Tick>,
    /// The rates were changed by what an attempt used: more than one other may start.
    refunded: bool,
    gate_shut_since: Option<Tick>,
    gate_shut: Tick,
    mode: Mode,
    paused: bool,
    abort_at: Option<Tick>,
    running: usize,
    /// How much of the limit the running attempts hold.
    in_use: usize,
    backing_off: usize,
    untaken: usize,
    input_ended: bool,
    /// Jobs are being taken from the input and are not admitted yet.
    pulling: bool,
    closed: VecDeque<(u32, Ending)>,
    events: Vec<(Tick, EventKind)>,
    stats: Stats,
}

impl Dispatcher {
    pub(crate) fn new(settings: Settings, seed: u64) -> Self {
        let gate = Gate::new(&settings.rates, settings.throttle);
        let ageing = nanos(settings.ageing);
        let mut this = Self {
            rng: fastrand::Rng::with_seed(seed),
            slots: Vec::new(),
            free: Vec::new(),
            keys: Keys::new(),
            retries: FairQueue::new(ageing),
            fresh: FairQueue::new(ageing),
            timers: BinaryHeap::new(),
            gate,
            begins: (!settings.start_delay.is_zero()).then(|| nanos(settings.start_delay)),
            gate_opens: None,
            refunded: false,
            gate_shut_since: None,
            gate_shut: 0,
            mode: Mode::Open,
            paused: false,
            abort_at: None,
            running: 0,
            in_use: 0,
            backing_off: 0,
            untaken: 0,
            input_ended: false,
            pulling: false,
            closed: VecDeque::new(),
            events: Vec::new(),
            stats: Stats::default(),
            deadline: settings.deadline.map(nanos),
            timeout: settings.timeout.map(nanos),
            settings,
        };
        this.event(0, EventKind::RunStarted);
        this
    }

    /// Returns how many jobs may be admitted now.
    pub(crate) fn room(&self) -> usize {
        let behind = self.events.len() > 8 * self.settings.window;
        if self.input_ended || self.pulling || behind || self.mode != Mode::Open {
            return 0;
        }
        let room = self
            .settings
            .window
            .saturating_sub(self.occupied() + self.untaken);
        match self.settings.barrier {
            Some(size) => room.min(self.room_before_barrier(size)),
            None => room,
        }
    }

    /// Returns how many jobs of the present batch are not admitted yet; a batch begins when the one before has ended.
    fn room_before_barrier(&self, size: usize) -> usize {
        let size = size as u64;
        let missing = size - self.stats.admitted % size;
        if missing == size && self.occupied() > 0 {
            return 0;
        }
        usize::try_from(missing).unwrap_or(usize::MAX)
    }

    /// Returns how many jobs should be taken from the input now: all that fit, once a quarter of the window is free
    /// or nothing can start, so that the input is asked for many jobs at a time.
    pub(crate) fn wanted(&self) -> usize {
        let room = self.room();
        let idle = !self.retries.has_turns() && !self.fresh.has_turns();
        if idle || self.settings.barrier.is_some() || room >= self.settings.window / 4 {
            room
        } else {
            0
        }
    }

    pub(crate) fn admit(&mut self, now: Tick, key: Option<&Key>, terms: &Terms) -> u32 {
        let job = JobId::new(self.stats.admitted);
        self.stats.admitted += 1;
        let key = self.keys.enter(key);
        let slot = Slot {
            job,
            key,
            cost: terms.cost,
            timeout: terms.timeout.map(nanos).or(self.timeout),
            priority: terms.priority,
            weight: usize::try_from(terms.weight.get()).unwrap_or(usize::MAX),
            phase: Phase::Ready,
            since: now,
            throttle_mark: self.throttle_clock(key, now),
            attempts: 0,
            counted: 0,
            refusals: 0,
            pushed_back: Duration::ZERO,
            last: Ending::Cancelled,
            usage: throng_core::Usage::default(),
            first_output: None,
            queued: 0,
            throttled: 0,
            backoff: 0,
            running: 0,
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).expect("the window is smaller than 2^32")
            }
        };
        self.fresh.push(key, terms.priority, now, index);
        self.event(now, EventKind::JobAdmitted { job });
        if self.mode != Mode::Open {
            self.close_waiting(now);
        }
        index
    }

    /// Notes that jobs are being taken from the input, so that the run does not end before they are admitted.
    pub(crate) fn begin_pull(&mut self) {
        self.pulling = true;
    }

    pub(crate) fn end_pull(&mut self, now: Tick) {
        self.pulling = false;
        self.settle(now);
    }

    /// Takes a permit for the next attempt, if one may start now.
    pub(crate) fn next_start(&mut self, now: Tick) -> Option<Start> {
        let cost = self.next_ready(now)?;
        self.gate.take(now, cost);
        let (key, index) = self.retries.pop(now).or_else(|| self.fresh.pop(now))?;
        Some(self.start(now, key, index))
    }

    /// Returns how many attempts may start now, as far as the concurrency and the next job's rates go.
    pub(crate) fn startable(&mut self, now: Tick) -> usize {
        match self.next_ready(now) {
            Some(_) => self.ready().min(self.settings.limit - self.in_use),
            None => 0,
        }
    }

    /// Frees the places of `n` outcomes that the consumer has taken.
    pub(crate) fn taken(&mut self, n: usize) {
        self.untaken -= n;
    }

    /// Does what has become due.
    pub(crate) fn tick(&mut self, now: Tick) {
        while let Some(&Reverse((due, timer))) = self.timers.peek() {
            if due > now {
                break;
            }
            self.timers.pop();
            match timer {
                Timer::Backoff(index) => self.end_backoff(now, due, index),
                Timer::Key(key) => {
                    if self.keys.warm(key, now, self.gate_clock(now)) {
                        self.retries.set_blocked(key, false);
                        self.fresh.set_blocked(key, false);
                    }
                }
            }
        }
        if self.mode == Mode::Open && self.deadline.is_some_and(|deadline| deadline <= now) {
            self.stop(now, Mode::Expired);
        }
    }

    /// Returns when [`Dispatcher::tick`] and [`Dispatcher::next_start`] have to be called next, if ever.
    pub(crate) fn next_wakeup(&self) -> Option<Tick> {
        if self.is_over() {
            return None;
        }
        let timer = self.timers.peek().map(|&Reverse((due, _))| due);
        let deadline = if self.mode == Mode::Open {
            self.deadline
        } else {
            None
        };
        let begins = self.begins.filter(|_| self.mode == Mode::Open);
        [timer, deadline, self.gate_opens, self.abort_at, begins]
            .into_iter()
            .flatten()
            .min()
    }

    /// Takes a job that has ended since the last call. Its slot tells of it until the next job is admitted.
    pub(crate) fn pop_closed(&mut self) -> Option<(u32, Ending)> {
        self.closed.pop_front()
    }

    pub(crate) fn slot(&self, index: u32) -> &Slot {
        &self.slots[index as usize]
    }

    pub(crate) fn take_events(&mut self) -> Vec<(Tick, EventKind)> {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Returns true, once, if what an attempt used has changed the rates.
    pub(crate) fn take_refunded(&mut self) -> bool {
        std::mem::take(&mut self.refunded)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.input_ended && !self.pulling && self.occupied() == 0
    }

    pub(crate) fn is_open(&self) -> bool {
        self.mode == Mode::Open
    }

    pub(crate) fn limit(&self) -> usize {
        self.settings.limit
    }

    pub(crate) fn paused(&self) -> bool {
        self.paused
    }

    pub(crate) fn running(&self) -> usize {
        self.running
    }

    pub(crate) fn backing_off(&self) -> usize {
        self.backing_off
    }

    pub(crate) fn ready(&self) -> usize {
        self.retries.len() + self.fresh.len()
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Returns the cost of the next attempt if it may start now; if only the rates forbid it, notes until when.
    fn next_ready(&mut self, now: Tick) -> Option<Cost> {
        self.gate_opens = None;
        let open = self.mode == Mode::Open && self.deadline.is_none_or(|deadline| now < deadline);
        if open && self.begins.is_some_and(|at| at <= now) {
            self.begins = None;
        }
        let startable = open && !self.paused && self.in_use < self.settings.limit && self.begins.is_none();
        let next = if startable {
            self.retries.peek(now).or_else(|| self.fresh.peek(now))
        } else {
            None
        };
        let fits = |&(_, index): &(u32, u32)| self.room_for(self.slots[index as usize].weight);
        let Some((_, index)) = next.filter(fits) else {
            self.open_gate(now);
            return None;
        };
        if self.gate.is_open() {
            return Some(Cost::default());
        }
        let cost = self.slots[index as usize].cost;
        let opens = self.gate.ready_at(now, cost);
        if opens > now {
            self.gate_opens = Some(opens);
            self.gate_shut_since.get_or_insert(now);
            return None;
        }
        self.open_gate(now);
        Some(cost)
    }

    /// Returns true if an attempt of that weight fits beside those that run.
    fn room_for(&self, weight: usize) -> bool {
        let limit = self.settings.limit;
        weight.min(limit) <= limit.saturating_sub(self.in_use)
    }

    fn occupied(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn start(&mut self, now: Tick, key: u32, index: u32) -> Start {
        let throttle_clock = self.throttle_clock(key, now);
        let deadline = self.deadline;
        let slot = &mut self.slots[index as usize];
        let waited = now - slot.since;
        let throttled = (throttle_clock - slot.throttle_mark).min(waited);
        slot.throttled += throttled;
        slot.queued += waited - throttled;
        slot.since = now;
        slot.attempts += 1;
        let times_out = slot.timeout.map(|timeout| now.saturating_add(timeout));
        let deadline_binds = deadline.is_some_and(|deadline| times_out.is_none_or(|at| deadline <= at));
        let weight = slot.weight.min(self.settings.limit);
        slot.phase = Phase::Running {
            deadline_binds,
            weight,
        };
        let attempt = NonZeroU32::new(slot.attempts).expect("it was just raised");
        let start = Start {
            slot: index,
            job: slot.job,
            attempt,
            ends_by: if deadline_binds { deadline } else { times_out },
        };
        let next = self.keys.pace(key).take(now);
        self.cool(now, key, next);
        self.running += 1;
        self.in_use += weight;
        self.stats.attempts += 1;
        self.stats.retries += u64::from(attempt.get() > 1);
        self.event(
            now,
            EventKind::AttemptStarted {
                job: start.job,
                attempt,
            },
        );
        start
    }

    /// Reads a clock that runs while the rates or a cool-down hold the key back.
    fn throttle_clock(&self, key: u32, now: Tick) -> Tick {
        let gate = self.gate_clock(now);
        gate + self.keys.cooled(key, now, gate)
    }

    /// Reads a clock that runs while the rates hold everybody back.
    fn gate_clock(&self, now: Tick) -> Tick {
        self.gate_shut + self.gate_shut_since.map_or(0, |since| now - since)
    }

    fn open_gate(&mut self, now: Tick) {
        if let Some(since) = self.gate_shut_since.take() {
            self.gate_shut += now - since;
        }
    }

    fn event(&mut self, now: Tick, kind: EventKind) {
        if self.settings.record_events {
            self.events.push((now, kind));
        }
    }
}

fn nanos(duration: Duration) -> Tick {
    Tick::try_from(duration.as_nanos()).unwrap_or(Tick::MAX)
}
