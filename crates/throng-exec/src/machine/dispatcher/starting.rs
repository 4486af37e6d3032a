//! Which attempt starts next: every limit that it has to keep is asked here, and it takes its permit here.

use std::num::NonZeroU32;

use throng_core::{EventKind, JobId};

use super::{Dispatcher, Mode, Timer};
use crate::machine::keys::Cap;
use crate::machine::slot::{Active, Phase};
use crate::rate::Tick;
use crate::{Cost, Key};

/// An attempt that may start now; its permit is taken.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) slot: u32,
    pub(crate) job: JobId,
    pub(crate) attempt: NonZeroU32,
    pub(crate) step: u32,
    pub(crate) key: Option<Key>,
    /// When the attempt begins.
    pub(crate) at: Tick,
    /// When it has to be dropped; `Tick::MAX` stands for never, here and below.
    pub(crate) ends_by: Tick,
    /// When a second attempt should begin beside it.
    pub(crate) hedge_at: Tick,
}

impl Dispatcher {
    /// Takes a permit for the next attempt, if one may start now.
    pub(crate) fn next_start(&mut self, now: Tick) -> Option<Start> {
        self.catch_up(now);
        if !self.hedges.is_empty() {
            self.grant_hedges(now);
        }
        self.next_ready(now)?;
        let (key, index) = self.retries.pop(now).or_else(|| self.fresh.pop(now))?;
        Some(self.start(now, key, index))
    }

    /// Gives permits to the second attempts that wait for one, and returns how many attempts may start after them, as far
    /// as the concurrency and the next job's rates go.
    pub(crate) fn startable(&mut self, now: Tick) -> usize {
        if !self.hedges.is_empty() {
            self.grant_hedges(now);
        }
        match self.next_ready(now) {
            Some(()) => self.ready().min(self.limit - self.in_use),
            None => 0,
        }
    }

    /// Returns whether the next attempt may start now; if only the rates forbid it, notes until when.
    fn next_ready(&mut self, now: Tick) -> Option<()> {
        self.gate_opens = None;
        if !self.may_start(now) {
            self.open_gate(now);
            return None;
        }
        loop {
            let next = self.retries.peek(now).or_else(|| self.fresh.peek(now));
            let fits = |&(_, index): &(u32, u32)| self.has_room(self.slots[index as usize].weight);
            let Some((key, index)) = next.filter(fits) else {
                self.open_gate(now);
                return None;
            };
            let cost = self.slots[index as usize].cost;
            let opens = self.gate.ready_at(now, cost);
            if opens > now {
                self.gate_opens = Some(opens);
                self.rearm = true;
                self.gate_shut_since.get_or_insert(now);
                return None;
            }
            self.open_gate(now);
            let Some(opens) = self.key_opens(now, key, cost) else {
                return Some(());
            };
            let gate = self.gate_clock(now);
            self.keys.shut(key, now, opens, gate);
            self.push_timer(opens, Timer::Key(key));
            self.review(key);
        }
    }

    /// Returns when the key's own rates let an attempt start, if not now.
    pub(super) fn key_opens(&self, now: Tick, key: u32, cost: Cost) -> Option<Tick> {
        let gate = self.keys.get(key).gate.as_ref()?;
        Some(gate.ready_at(now, cost)).filter(|&opens| opens > now)
    }

    /// Returns true if the run lets attempts start now and any permit is free.
    pub(super) fn may_start(&mut self, now: Tick) -> bool {
        let open = self.mode == Mode::Open && self.deadline.is_none_or(|deadline| now < deadline);
        if open && self.begins.is_some_and(|at| at <= now) {
            self.begins = None;
        }
        open && !self.paused && self.in_use < self.limit && self.begins.is_none()
    }

    /// Returns true if an attempt of that weight fits beside those that run.
    pub(super) fn has_room(&self, weight: u32) -> bool {
        (weight as usize).min(self.limit) <= self.limit.saturating_sub(self.in_use)
    }

    fn start(&mut self, now: Tick, key: u32, index: u32) -> Start {
        self.count_wait(now, index);
        let active = self.activate(now, index);
        let deadline = self.deadline;
        let slot = &mut self.slots[index as usize];
        let times_out = now.saturating_add(slot.timeout);
        let deadline_binds = deadline.is_some_and(|deadline| deadline <= times_out);
        slot.phase = Phase::Running {
            deadline_binds,
            active,
        };
        let (job, step) = (slot.job, slot.step);
        let attempt = NonZeroU32::new(active.attempt).expect("it was just raised");
        self.stats.retries += u64::from(attempt.get() > 1);
        self.event(now, || EventKind::AttemptStarted { job, attempt });
        Start {
            slot: index,
            job,
            attempt,
            step,
            key: self.keys.get(key).name.clone(),
            at: now,
            ends_by: deadline.map_or(times_out, |deadline| deadline.min(times_out)),
            hedge_at: self.hedge_at(now, key).unwrap_or(Tick::MAX),
        }
    }

    /// Takes a permit for an attempt of the job and charges everything that it uses up.
    pub(super) fn activate(&mut self, now: Tick, index: u32) -> Active {
        let slot = &mut self.slots[index as usize];
        slot.attempts += 1;
        let (key, cost, attempt) = (slot.key, slot.cost, slot.attempts);
        let weight = slot.weight.min(u32::try_from(self.limit).unwrap_or(u32::MAX));
        self.running += 1;
        self.in_use += weight as usize;
        self.stats.attempts += 1;
        self.gate.take(now, cost);
        let state = self.keys.get_mut(key);
        state.running += 1;
        if let Some(gate) = &mut state.gate {
            gate.take(now, cost);
        }
        let (epoch, change) = match &mut state.cap {
            Some(Cap::Adaptive(adaptive)) => {
                let started = adaptive.started(now, state.running);
                (started.epoch, started.change)
            }
            _ => (0, None),
        };
        let breaker_epoch = state.breaker.as_ref().map_or(0, |breaker| breaker.epoch());
        let next = state.pace.take(now);
        self.cool(now, key, next);
        if let Some(change) = change {
            self.limit_changed(now, key, change);
        }
        self.review(key);
        Active {
            attempt,
            began: now,
            weight,
            epoch,
            breaker_epoch,
        }
    }

    /// Lets the attempts of a key start, or not, as its state says by now.
    pub(super) fn review(&mut self, key: u32) {
        let state = self.keys.get_mut(key);
        let blocked = state.must_wait();
        if blocked != state.blocked {
            state.blocked = blocked;
            self.retries.set_blocked(key, blocked);
            self.fresh.set_blocked(key, blocked);
        }
    }

    fn open_gate(&mut self, now: Tick) {
        if let Some(since) = self.gate_shut_since.take() {
            self.gate_shut += now - since;
        }
    }
}
