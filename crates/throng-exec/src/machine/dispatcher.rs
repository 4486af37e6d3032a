//! The only loop of the executor, turned inside out: which jobs are admitted. Which attempt starts next, what follows from
//! its end, and how a run is steered, are in the modules below.
//!
//! Invariants: the running attempts hold at most `limit`; at most `window` jobs are admitted or ended but not taken; every
//! admitted job is closed exactly once; a job that waits for a retry holds no permit and goes ahead of new jobs.

mod control;
mod ending;
mod hedging;
mod policies;
mod starting;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use throng_core::{EventKind, JobId};

use crate::Key;
use crate::attempt::Reported;
use crate::job::Terms;
use crate::machine::keys::Keys;
use crate::machine::queue::FairQueue;
use crate::machine::settings::Settings;
use crate::machine::slot::{Ending, Hedging, Phase, Slot};
use crate::machine::stats::Stats;
use crate::rate::{Gate, Tick};

pub(crate) use starting::Start;

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
    // Of what is due at the same time, the rest of a key goes first: a retry that is ready then finds the key open.
    Key(u32),
    Backoff(u32),
}

/// The state of a run.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    settings: Arc<Settings>,
    limit: usize,
    deadline: Option<Tick>,
    timeout: Option<Tick>,
    rng: fastrand::Rng,
    slots: Vec<Slot>,
    free: Vec<u32>,
    keys: Keys,
    retries: FairQueue,
    fresh: FairQueue,
    /// Slots whose second attempt waits for a permit.
    hedges: VecDeque<u32>,
    /// Slots whose second attempt has got its permit.
    granted: Vec<u32>,
    /// When new jobs are shed unless they have started, in the order of admission.
    sheds: VecDeque<(Tick, u32, JobId)>,
    timers: BinaryHeap<Reverse<(Tick, Timer)>>,
    /// Something may be due earlier than when that was last asked.
    rearm: bool,
    gate: Gate,
    /// When the first attempt may start, until then.
    begins: Option<Tick>,
    /// When the rates let the next attempt start, if they are what holds it back.
    gate_opens: Option<Tick>,
    /// When the rates let a second attempt start that waits for one, if they are what holds it back.
    hedge_opens: Option<Tick>,
    /// The rates have changed since they last held the next attempt back.
    freed: bool,
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
    /// Changes of keys that are to be logged, by whoever holds no lock.
    notes: Vec<EventKind>,
    stats: Stats,
}

impl Dispatcher {
    pub(crate) fn new(settings: Arc<Settings>, seed: u64) -> Self {
        let ageing = nanos(settings.ageing);
        let mut this = Self {
            limit: settings.limit,
            rng: fastrand::Rng::with_seed(seed),
            slots: Vec::new(),
            free: Vec::new(),
            keys: Keys::new(&settings),
            retries: FairQueue::new(ageing),
            fresh: FairQueue::new(ageing),
            hedges: VecDeque::new(),
            granted: Vec::new(),
            sheds: VecDeque::new(),
            timers: BinaryHeap::new(),
            rearm: true,
            gate: Gate::new(&settings.rates, settings.throttle),
            begins: (!settings.start_delay.is_zero()).then(|| nanos(settings.start_delay)),
            gate_opens: None,
            hedge_opens: None,
            freed: false,
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
            notes: Vec::new(),
            stats: Stats::default(),
            deadline: settings.deadline.map(nanos),
            timeout: settings.timeout.map(nanos),
            settings,
        };
        this.event(0, || EventKind::RunStarted);
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
        let key = self.keys.enter(now, key);
        let slot = Slot {
            job,
            key,
            step: 0,
            cost: terms.cost,
            timeout: terms.timeout.map(nanos).or(self.timeout).unwrap_or(Tick::MAX),
            priority: terms.priority,
            weight: terms.weight.get(),
            phase: Phase::Free,
            hedge: Hedging::Off,
            since: now,
            throttle_mark: 0,
            attempts: 0,
            counted: 0,
            refusals: 0,
            pushed_back: 0,
            paid: None,
            last: Ending::Cancelled,
            reported: Reported::default(),
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
        self.event(now, || EventKind::JobAdmitted { job });
        self.ready_up(now, index);
        if self.mode == Mode::Open {
            self.shed_beyond_queue(now, index);
        } else {
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

    /// Frees the places of `n` outcomes that the consumer has taken.
    pub(crate) fn taken(&mut self, n: usize) {
        self.untaken -= n;
    }

    /// Does what has become due, if something has. Called before anything else happens at that time, so that a retry that
    /// is ready by now goes ahead of new jobs.
    fn catch_up(&mut self, now: Tick) {
        let timer = self.timers.peek().is_some_and(|&Reverse((due, _))| due <= now);
        let shed = self.sheds.front().is_some_and(|&(due, ..)| due <= now);
        if timer || shed {
            self.tick(now);
        }
    }

    /// Does what has become due.
    pub(crate) fn tick(&mut self, now: Tick) {
        while let Some(&Reverse((due, timer))) = self.timers.peek() {
            if due > now || self.is_over() {
                break;
            }
            self.timers.pop();
            match timer {
                Timer::Backoff(index) => self.end_backoff(now, due, index),
                Timer::Key(key) => self.end_rest(now, key),
            }
        }
        self.shed_late(now);
        if self.mode == Mode::Open && self.deadline.is_some_and(|deadline| deadline <= now) {
            self.stop(now, Mode::Expired);
        }
    }

    /// The same as [`Dispatcher::next_wakeup`] where that may have become earlier since the last call; `None` where it has not.
    pub(crate) fn sooner_wakeup(&mut self) -> Option<Tick> {
        if std::mem::take(&mut self.rearm) {
            self.next_wakeup()
        } else {
            None
        }
    }

    fn push_timer(&mut self, due: Tick, timer: Timer) {
        self.timers.push(Reverse((due, timer)));
        self.rearm = true;
    }

    /// Returns when [`Dispatcher::tick`] and [`Dispatcher::next_start`] have to be called next, if ever.
    pub(crate) fn next_wakeup(&self) -> Option<Tick> {
        if self.is_over() {
            return None;
        }
        let mut next = Tick::MAX;
        let mut at = |due: Option<Tick>| next = next.min(due.unwrap_or(Tick::MAX));
        at(self.timers.peek().map(|&Reverse((due, _))| due));
        at(self.sheds.front().map(|&(due, ..)| due));
        at(self.gate_opens);
        at(self.hedge_opens);
        at(self.abort_at);
        if self.mode == Mode::Open {
            at(self.deadline);
            at(self.begins);
        }
        Some(next).filter(|&next| next < Tick::MAX)
    }

    /// Takes a job that has ended since the last call. Its slot tells of it until the next job is admitted.
    pub(crate) fn pop_closed(&mut self) -> Option<(u32, Ending)> {
        self.closed.pop_front()
    }

    pub(crate) fn slot(&self, index: u32) -> &Slot {
        &self.slots[index as usize]
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn take_events(&mut self) -> Vec<(Tick, EventKind)> {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn take_notes(&mut self) -> Vec<EventKind> {
        std::mem::take(&mut self.notes)
    }

    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Returns true if permits are free and jobs seem free to start. Asked after an attempt has ended and its worker has
    /// taken the next, so that others are woken for what else became free: a heavy permit, tokens, a key.
    pub(crate) fn has_slack(&mut self) -> bool {
        let freed = std::mem::take(&mut self.freed);
        let held_back = self.paused || self.begins.is_some() || (self.gate_opens.is_some() && !freed);
        let free = self.mode == Mode::Open && self.in_use < self.limit;
        free && !held_back && (self.retries.has_turns() || self.fresh.has_turns())
    }

    pub(crate) fn is_over(&self) -> bool {
        self.input_ended && !self.pulling && self.occupied() == 0
    }

    pub(crate) fn is_open(&self) -> bool {
        self.mode == Mode::Open
    }

    pub(crate) fn window(&self) -> usize {
        self.settings.window
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
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

    fn occupied(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Puts a job into its queue: that of the new jobs before its first attempt, and after it that of the retries.
    fn ready_up(&mut self, now: Tick, index: u32) {
        let key = self.slots[index as usize].key;
        let mark = self.throttle_clock(key, now);
        let slot = &mut self.slots[index as usize];
        slot.phase = Phase::Ready;
        slot.throttle_mark = mark;
        let queue = if slot.attempts == 0 && slot.step == 0 {
            &mut self.fresh
        } else {
            &mut self.retries
        };
        queue.push(key, slot.priority, now, index);
        if self.keys.reopen(key) {
            self.end_rest(now, key);
        }
        self.reject_if_open(now, key);
    }

    /// Notes where a job's waiting time went when it leaves its queue.
    fn count_wait(&mut self, now: Tick, index: u32) {
        let key = self.slots[index as usize].key;
        let clock = self.throttle_clock(key, now);
        let slot = &mut self.slots[index as usize];
        let waited = now - slot.since;
        let throttled = (clock - slot.throttle_mark).min(waited);
        slot.throttled += throttled;
        slot.queued += waited - throttled;
        slot.since = now;
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

    fn key_name(&self, key: u32) -> Option<Arc<str>> {
        self.keys.get(key).name.as_ref().map(Key::shared)
    }

    fn event(&mut self, now: Tick, kind: impl FnOnce() -> EventKind) {
        if self.settings.record_events {
            self.events.push((now, kind()));
        }
    }
}

fn nanos(duration: Duration) -> Tick {
    Tick::try_from(duration.as_nanos()).unwrap_or(Tick::MAX)
}
