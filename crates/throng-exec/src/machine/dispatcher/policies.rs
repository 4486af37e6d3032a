//! Jobs that end, or go on elsewhere, without an attempt of their own: shed ones, fallback steps, open breakers. And the
//! rests of keys.

use throng_core::{ErrorClass, EventKind};

use super::{Dispatcher, Mode, Timer, nanos};
use crate::breaker::{BreakerState, WhileOpen};
use crate::machine::adaptive::Change;
use crate::machine::slot::{Ending, Phase};
use crate::rate::Tick;

impl Dispatcher {
    /// Lets no attempt of the key start until then.
    pub(super) fn cool(&mut self, now: Tick, key: u32, until: Tick) {
        if until <= now {
            return;
        }
        let gate = self.gate_clock(now);
        if self.keys.cool(key, now, until, gate) {
            self.push_timer(until, Timer::Key(key));
            self.review(key);
        }
    }

    /// Ends the rest of a key, if nothing holds it back any longer.
    pub(super) fn end_rest(&mut self, now: Tick, key: u32) {
        let gate = self.gate_clock(now);
        self.keys.warm(key, now, gate);
        let half_open = self
            .keys
            .get_mut(key)
            .breaker
            .as_mut()
            .is_some_and(|breaker| breaker.tick(now));
        if half_open {
            self.breaker_changed(now, key, BreakerState::HalfOpen);
        }
        self.review(key);
    }

    /// Records an event that is logged as well.
    fn note(&mut self, now: Tick, kind: EventKind) {
        self.notes.push(kind.clone());
        self.event(now, || kind);
    }

    pub(super) fn limit_changed(&mut self, now: Tick, key: u32, change: Change) {
        let name = self.key_name(key);
        let (from, to, cause) = (change.from, change.to, change.cause.as_str());
        self.note(
            now,
            EventKind::LimitChanged {
                key: name,
                from,
                to,
                cause,
            },
        );
    }

    pub(super) fn breaker_changed(&mut self, now: Tick, key: u32, state: BreakerState) {
        let name = self.key_name(key);
        let state = state.as_str();
        self.note(now, EventKind::BreakerChanged { key: name, state });
    }

    /// Tells every job of the key that waits, if its breaker is open and jobs do not wait for it.
    pub(super) fn reject_if_open(&mut self, now: Tick, key: u32) {
        let rejects = self.keys.get(key).breaker.as_ref().is_some_and(|breaker| {
            breaker.state() == BreakerState::Open && breaker.while_open() == WhileOpen::Fail
        });
        if !rejects || self.mode != Mode::Open {
            return;
        }
        let mut jobs = self.retries.drain_key(key);
        jobs.extend(self.fresh.drain_key(key));
        for index in jobs {
            self.count_wait(now, index);
            if self.fall_back(now, index, None) {
                continue;
            }
            let slot = &self.slots[index as usize];
            let ending = if slot.attempts > 0 {
                slot.last
            } else {
                Ending::Shed
            };
            self.close_queued(now, index, ending);
        }
    }

    /// Lets the job go on to its next step, if there is one for the error; without an error, because its key is closed.
    pub(super) fn fall_back(&mut self, now: Tick, index: u32, class: Option<ErrorClass>) -> bool {
        let open = self.mode == Mode::Open && self.deadline.is_none_or(|deadline| now < deadline);
        let slot = &mut self.slots[index as usize];
        let Some(step) = self.settings.fallback_after(slot.step) else {
            return false;
        };
        if !open || !class.is_none_or(|class| step.after.contains(class)) {
            return false;
        }
        slot.step += 1;
        slot.counted = 0;
        slot.refusals = 0;
        slot.pushed_back = 0;
        slot.paid = None;
        slot.timeout = step.timeout.map_or(slot.timeout, nanos);
        slot.cost = step.cost.unwrap_or(slot.cost);
        if let Some(weight) = step.weight {
            slot.weight = weight.get();
        }
        let (job, number, from) = (slot.job, slot.step, slot.key);
        if let Some(key) = &step.key {
            let to = self.keys.enter(now, Some(key));
            self.slots[index as usize].key = to;
            self.keys.leave(from);
        }
        self.stats.fallbacks += 1;
        self.event(now, || EventKind::FellBack { job, step: number });
        self.ready_up(now, index);
        true
    }

    /// Sheds what is one too many in the queue of new jobs, and notes when the newest is late.
    pub(super) fn shed_beyond_queue(&mut self, now: Tick, index: u32) {
        let shedding = self.settings.shedding;
        if let Some(wait) = shedding.max_wait {
            let job = self.slots[index as usize].job;
            self.rearm |= self.sheds.is_empty();
            self.sheds
                .push_back((now.saturating_add(nanos(wait)), index, job));
        }
        let Some(most) = shedding.max_queue else { return };
        // Those that may start at once do not wait.
        let free = self.limit.saturating_sub(self.in_use);
        while self.fresh.len() > most.get().saturating_add(free) {
            let Some(least) = self.fresh.pop_least() else {
                return;
            };
            self.count_wait(now, least);
            self.close_queued(now, least, Ending::Shed);
        }
    }

    /// Sheds the new jobs that have waited too long.
    pub(super) fn shed_late(&mut self, now: Tick) {
        while let Some(&(due, index, job)) = self.sheds.front() {
            let slot = &self.slots[index as usize];
            let waits = slot.job == job && slot.phase == Phase::Ready && slot.attempts == 0 && slot.step == 0;
            if waits && due > now {
                return;
            }
            self.sheds.pop_front();
            if waits && self.fresh.remove(slot.key, index) {
                self.count_wait(now, index);
                self.close_queued(now, index, Ending::Shed);
            }
        }
    }

    /// Closes a job that no attempt is running.
    pub(super) fn close_queued(&mut self, now: Tick, index: u32, ending: Ending) {
        self.close(now, index, ending);
        self.closed.push_back((index, ending));
    }
}
