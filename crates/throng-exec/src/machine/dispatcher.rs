//! The only loop of the executor, turned inside out: what may start next, and what follows from an attempt's end.
//!
//! Invariants: at most `limit` attempts run; at most `window` jobs are admitted or ended but not taken; every
//! admitted job is closed exactly once; a job that waits for a retry holds no permit and goes ahead of new jobs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU32;
use std::time::Duration;

use throng_core::{ErrorClass, EventKind, JobId, TimeoutKind};

use crate::attempt::Reported;
use crate::machine::keys::Keys;
use crate::machine::queue::FairQueue;
use crate::machine::slot::{AttemptEnd, Ending, Phase, Slot};
use crate::machine::stats::{self, Stats};
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
    /// When the rates let the next attempt start, if they are what holds it back.
    gate_opens: Option<Tick>,
    gate_shut_since: Option<Tick>,
    gate_shut: Tick,
    mode: Mode,
    paused: bool,
    abort_at: Option<Tick>,
    running: usize,
    backing_off: usize,
    untaken: usize,
    input_ended: bool,
    /// Jobs are being taken from the input and are not admitted yet.
    pulling: bool,
    closed: Vec<(u32, Ending)>,
    events: Vec<(Tick, EventKind)>,
    stats: Stats,
}

impl Dispatcher {
    pub(crate) fn new(settings: Settings, seed: u64) -> Self {
        let gate = Gate::new(&settings.rates);
        let mut this = Self {
            rng: fastrand::Rng::with_seed(seed),
            slots: Vec::new(),
            free: Vec::new(),
            keys: Keys::new(),
            retries: FairQueue::default(),
            fresh: FairQueue::default(),
            timers: BinaryHeap::new(),
            gate,
            gate_opens: None,
            gate_shut_since: None,
            gate_shut: 0,
            mode: Mode::Open,
            paused: false,
            abort_at: None,
            running: 0,
            backing_off: 0,
            untaken: 0,
            input_ended: false,
            pulling: false,
            closed: Vec::new(),
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
        if self.input_ended || self.pulling || self.mode != Mode::Open {
            return 0;
        }
        self.settings
            .window
            .saturating_sub(self.occupied() + self.untaken)
    }

    /// Returns how many jobs should be taken from the input now: all that fit, once a quarter of the window is free
    /// or nothing is ready, so that the input is asked for many jobs at a time.
    pub(crate) fn wanted(&self) -> usize {
        let room = self.room();
        if self.ready() == 0 || room >= self.settings.window / 4 {
            room
        } else {
            0
        }
    }

    pub(crate) fn admit(
        &mut self,
        now: Tick,
        key: Option<&Key>,
        timeout: Option<Duration>,
        cost: Cost,
    ) -> u32 {
        let job = JobId::new(self.stats.admitted);
        self.stats.admitted += 1;
        let key = self.keys.enter(key);
        let slot = Slot {
            job,
            key,
            cost,
            timeout: timeout.map(nanos).or(self.timeout),
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
        self.fresh.push(key, index);
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

    pub(crate) fn end_input(&mut self, now: Tick, exhausted: bool) {
        if !self.input_ended {
            self.input_ended = true;
            self.stats.input_exhausted = exhausted;
            self.settle(now);
        }
    }

    /// Takes a permit for the next attempt, if one may start now.
    pub(crate) fn next_start(&mut self, now: Tick) -> Option<Start> {
        let cost = self.next_ready(now)?;
        self.gate.take(now, cost);
        let (key, index) = self.retries.pop().or_else(|| self.fresh.pop())?;
        Some(self.start(now, key, index))
    }

    /// Returns how many attempts may start now, as far as the concurrency and the next job's rates go.
    pub(crate) fn startable(&mut self, now: Tick) -> usize {
        match self.next_ready(now) {
            Some(_) => self.ready().min(self.settings.limit - self.running),
            None => 0,
        }
    }

    /// Gives the attempt's permit back. Returns true if the job has ended; it then stands in
    /// [`Dispatcher::take_closed`].
    pub(crate) fn attempt_ended(
        &mut self,
        now: Tick,
        index: u32,
        end: AttemptEnd,
        reported: &Reported,
    ) -> bool {
        self.running -= 1;
        let slot = &mut self.slots[index as usize];
        let Phase::Running { deadline_binds } = slot.phase else {
            unreachable!("an attempt ends only while it runs");
        };
        let (key, began) = (slot.key, slot.since);
        slot.running += now - began;
        slot.since = now;
        slot.first_output = reported.first_output.or(slot.first_output);
        if !reported.usage.is_empty() {
            slot.usage.add(&reported.usage);
        }
        let refused = matches!(end, AttemptEnd::Failed(class) if class.is_pushback());
        let unreported = if refused { Cost::default() } else { slot.cost };
        let used = Cost {
            input_tokens: tokens(reported.usage.input_tokens, unreported.input_tokens),
            output_tokens: tokens(reported.usage.output_tokens, unreported.output_tokens),
        };
        if used != slot.cost {
            self.gate.settle(now, slot.cost, used);
        }
        match end {
            AttemptEnd::Failed(ErrorClass::Throttled { .. }) => self.keys.pace(key).refused(now, began),
            _ => self.keys.pace(key).accepted(now),
        }
        let cancelled = self.mode == Mode::Cancelled;
        let class = match end {
            AttemptEnd::Succeeded => return self.close(now, index, Ending::Succeeded),
            AttemptEnd::Panicked => return self.close(now, index, Ending::Panicked),
            AttemptEnd::Dropped => return self.close(now, index, Ending::Cancelled),
            AttemptEnd::Failed(_) if cancelled => return self.close(now, index, Ending::Cancelled),
            AttemptEnd::Failed(class) => {
                slot.last = Ending::Failed;
                class
            }
            AttemptEnd::TimedOut => {
                let kind = if deadline_binds {
                    TimeoutKind::Deadline
                } else {
                    TimeoutKind::Attempt
                };
                slot.last = Ending::TimedOut(kind);
                ErrorClass::Timeout
            }
        };
        let (job, attempts, last) = (slot.job, slot.attempts, slot.last);
        let attempt = NonZeroU32::new(attempts).expect("an attempt that ended was counted when it began");
        self.event(now, EventKind::AttemptFailed { job, attempt, class });
        match self.retry_delay(now, index, class) {
            Some(delay) => {
                self.back_off(now, index, class, delay);
                false
            }
            None => self.close(now, index, last),
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
                    if self.keys.warm(key, now) {
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
        [timer, deadline, self.gate_opens, self.abort_at]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn pause(&mut self, now: Tick) {
        if !self.paused {
            self.paused = true;
            self.event(now, EventKind::RunPaused);
        }
    }

    pub(crate) fn resume(&mut self, now: Tick) {
        if self.paused {
            self.paused = false;
            self.event(now, EventKind::RunResumed);
        }
    }

    pub(crate) fn drain(&mut self, now: Tick) {
        if self.mode == Mode::Open {
            self.event(now, EventKind::RunDraining);
            self.stop(now, Mode::Draining);
        }
    }

    /// Closes the jobs that wait; running attempts are to be dropped when the grace period is over.
    pub(crate) fn cancel(&mut self, now: Tick, grace: Option<Duration>) {
        if self.mode != Mode::Cancelled {
            self.event(now, EventKind::RunCancelled);
            self.stop(now, Mode::Cancelled);
        }
        let at = grace.map(|grace| now.saturating_add(nanos(grace)));
        self.abort_at = self.abort_at.into_iter().chain(at).min();
    }

    /// Returns true, once, when the grace period of a cancelled run is over.
    pub(crate) fn take_abort(&mut self, now: Tick) -> bool {
        let due = self.abort_at.is_some_and(|at| at <= now);
        if due {
            self.abort_at = None;
            if self.running > 0 {
                self.event(now, EventKind::RunAborted);
            }
        }
        due
    }

    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.settings.limit = limit;
    }

    /// Takes a job that has ended since the last call. Its slot tells of it until the next job is admitted.
    pub(crate) fn pop_closed(&mut self) -> Option<(u32, Ending)> {
        self.closed.pop()
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
        let startable = self.mode == Mode::Open && !self.paused && self.running < self.settings.limit;
        let next = if startable {
            self.retries.peek().or_else(|| self.fresh.peek())
        } else {
            None
        };
        let Some((_, index)) = next else {
            self.open_gate(now);
            return None;
        };
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
        slot.phase = Phase::Running { deadline_binds };
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

    /// Decides whether a failed job gets another attempt, and after how long a wait.
    fn retry_delay(&mut self, now: Tick, index: u32, class: ErrorClass) -> Option<Duration> {
        let delay = if class.is_pushback() {
            self.pushback_delay(now, index, class)
        } else {
            let policy = &self.settings.retry;
            let slot = &mut self.slots[index as usize];
            slot.counted += 1;
            let wanted = class.is_retryable() && (class != ErrorClass::Timeout || policy.timeouts);
            let allowed = slot.counted < policy.max_attempts.get();
            (wanted && allowed).then(|| policy.delay(slot.counted, &mut self.rng))
        };
        let delay = delay.filter(|_| self.mode == Mode::Open)?;
        let ready = now.saturating_add(nanos(delay));
        let in_time = self.deadline.is_none_or(|deadline| ready < deadline);
        in_time.then_some(delay)
    }

    /// Returns how long a job waits that was refused because of a limit, as far as the patience allows. What the other
    /// side asked for is a floor, for every job of the key; a random time on top of it lets the jobs that were refused
    /// together come back one after another. Without a floor the wait grows with each such refusal of the job.
    fn pushback_delay(&mut self, now: Tick, index: u32, class: ErrorClass) -> Option<Duration> {
        self.stats.pushbacks += 1;
        let key = self.slots[index as usize].key;
        if let Some(floor) = class.retry_after() {
            let rest = floor
                .min(self.settings.retry.patience)
                .max(self.keys.pace(key).rest());
            self.cool(now, key, now.saturating_add(nanos(rest)));
        }
        let policy = &self.settings.retry;
        let slot = &mut self.slots[index as usize];
        let delay = match class.retry_after() {
            Some(floor) => {
                floor.saturating_add(floor.max(Duration::from_millis(200)).mul_f64(self.rng.f64()))
            }
            None => {
                slot.refusals += 1;
                policy.ceiling(slot.refusals).mul_f64(0.5 + self.rng.f64() / 2.0)
            }
        };
        let floor = class.retry_after().unwrap_or(delay);
        slot.pushed_back = slot.pushed_back.saturating_add(delay);
        let patient = slot.pushed_back <= policy.patience && floor <= policy.patience;
        (patient && policy.max_attempts.get() > 1).then_some(delay)
    }

    /// Lets no attempt of the key start until then.
    fn cool(&mut self, now: Tick, key: u32, until: Tick) {
        if self.keys.cool(key, now, until) {
            self.retries.set_blocked(key, true);
            self.fresh.set_blocked(key, true);
            self.timers.push(Reverse((until, Timer::Key(key))));
        }
    }

    fn back_off(&mut self, now: Tick, index: u32, class: ErrorClass, delay: Duration) {
        let until = now.saturating_add(nanos(delay));
        let slot = &mut self.slots[index as usize];
        slot.phase = Phase::Backoff {
            until,
            throttled: class.is_pushback(),
        };
        let (job, attempt) = (slot.job, NonZeroU32::MIN.saturating_add(slot.attempts));
        self.backing_off += 1;
        self.timers.push(Reverse((until, Timer::Backoff(index))));
        self.event(now, EventKind::RetryScheduled { job, attempt, delay });
    }

    fn end_backoff(&mut self, now: Tick, due: Tick, index: u32) {
        let Phase::Backoff { until, throttled } = self.slots[index as usize].phase else {
            return;
        };
        if until != due {
            return;
        }
        self.leave_backoff(now, index, throttled);
        let key = self.slots[index as usize].key;
        let mark = self.throttle_clock(key, now);
        let slot = &mut self.slots[index as usize];
        slot.phase = Phase::Ready;
        slot.throttle_mark = mark;
        self.retries.push(key, index);
    }

    fn leave_backoff(&mut self, now: Tick, index: u32, throttled: bool) {
        self.backing_off -= 1;
        let slot = &mut self.slots[index as usize];
        let waited = now - slot.since;
        *(if throttled {
            &mut slot.throttled
        } else {
            &mut slot.backoff
        }) += waited;
        slot.since = now;
    }

    fn stop(&mut self, now: Tick, mode: Mode) {
        self.mode = mode;
        self.close_waiting(now);
        self.end_input(now, false);
    }

    /// Closes every job that no attempt of is running.
    fn close_waiting(&mut self, now: Tick) {
        let mut waiting = self.retries.drain();
        waiting.extend(self.fresh.drain());
        for &index in &waiting {
            let key = self.slots[index as usize].key;
            let clock = self.throttle_clock(key, now);
            let slot = &mut self.slots[index as usize];
            let waited = now - slot.since;
            let throttled = (clock - slot.throttle_mark).min(waited);
            slot.throttled += throttled;
            slot.queued += waited - throttled;
        }
        for Reverse((until, timer)) in std::mem::take(&mut self.timers) {
            match timer {
                Timer::Key(_) => self.timers.push(Reverse((until, timer))),
                Timer::Backoff(index) => match self.slots[index as usize].phase {
                    Phase::Backoff {
                        until: due,
                        throttled,
                    } if due == until => {
                        self.leave_backoff(now, index, throttled);
                        waiting.push(index);
                    }
                    _ => {}
                },
            }
        }
        for index in waiting {
            let slot = &self.slots[index as usize];
            let ending = match self.mode {
                Mode::Cancelled => Ending::Cancelled,
                _ if slot.attempts > 0 => slot.last,
                Mode::Expired => Ending::Skipped,
                Mode::Open | Mode::Draining => Ending::Cancelled,
            };
            self.close(now, index, ending);
        }
    }

    fn close(&mut self, now: Tick, index: u32, ending: Ending) -> bool {
        let slot = &mut self.slots[index as usize];
        slot.phase = Phase::Free;
        let (job, attempts) = (slot.job, slot.attempts);
        self.stats.record(slot, ending);
        self.keys.leave(slot.key);
        self.free.push(index);
        self.untaken += 1;
        self.event(
            now,
            EventKind::JobFinished {
                job,
                attempts,
                outcome: stats::kind(ending),
            },
        );
        self.closed.push((index, ending));
        self.settle(now);
        true
    }

    /// Notes the end of the run, if this is it.
    fn settle(&mut self, now: Tick) {
        if self.is_over() && self.stats.finished_at.is_none() {
            self.stats.finished_at = Some(now);
            self.event(now, EventKind::RunFinished);
        }
    }

    /// Reads a clock that runs while the rates or a cool-down hold the key back.
    fn throttle_clock(&self, key: u32, now: Tick) -> Tick {
        let gate = self.gate_shut + self.gate_shut_since.map_or(0, |since| now - since);
        gate + self.keys.cooled(key, now)
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

fn tokens(reported: Option<u64>, estimate: u32) -> u32 {
    reported.map_or(estimate, |n| u32::try_from(n).unwrap_or(u32::MAX))
}

fn nanos(duration: Duration) -> Tick {
    Tick::try_from(duration.as_nanos()).unwrap_or(Tick::MAX)
}
