//! Second attempts beside first ones that take long. A hedge has a permit of its own; it is granted before any job that
//! waits, and only while its job runs.

use std::num::NonZeroU32;

use throng_core::EventKind;

use super::{Dispatcher, Mode};
use crate::machine::slot::{Active, Hedging, Phase};
use crate::rate::Tick;

impl Dispatcher {
    /// Returns when an attempt of the key that starts now should be hedged, if ever.
    pub(super) fn hedge_at(&mut self, now: Tick, key: u32) -> Option<Tick> {
        let policy = self.settings.hedge.as_ref()?;
        let latency = self.keys.get_mut(key).latency.as_mut()?;
        latency.attempts += 1;
        Some(now.saturating_add(latency.delay(policy)?))
    }

    /// Asks for a second attempt of a job. Returns false if there will be none.
    pub(crate) fn want_hedge(&mut self, now: Tick, index: u32) -> bool {
        let slot = &self.slots[index as usize];
        let runs = matches!(slot.phase, Phase::Running { .. }) && slot.hedge == Hedging::Off;
        let Some(policy) = self.settings.hedge.filter(|_| runs && self.mode == Mode::Open) else {
            return false;
        };
        let state = self.keys.get(slot.key);
        if !state
            .latency
            .as_ref()
            .is_some_and(|latency| latency.allows(&policy))
        {
            return false;
        }
        self.slots[index as usize].hedge = Hedging::Wanted;
        self.hedges.push_back(index);
        self.grant_hedges(now);
        self.slots[index as usize].hedge != Hedging::Off
    }

    /// Returns which try the second attempt of the job is, once it has its permit.
    pub(crate) fn hedge_attempt(&self, index: u32) -> Option<NonZeroU32> {
        match &self.slots[index as usize].hedge {
            Hedging::Running(active) => NonZeroU32::new(active.attempt),
            _ => None,
        }
    }

    pub(crate) fn has_granted(&self) -> bool {
        !self.granted.is_empty()
    }

    /// Takes the slots whose second attempt has got its permit since the last call.
    pub(crate) fn take_granted(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.granted)
    }

    /// Gives permits to the second attempts that wait for one, as far as every limit allows; where only rates forbid it,
    /// notes until when. O(those that wait).
    pub(super) fn grant_hedges(&mut self, now: Tick) {
        self.hedge_opens = None;
        let mut left = self.hedges.len();
        while left > 0 && self.may_start(now) {
            left -= 1;
            let Some(index) = self.hedges.pop_front() else {
                return;
            };
            match self.hedge_ready_at(now, index) {
                Some(at) if at <= now => {
                    self.grant_hedge(now, index);
                    continue;
                }
                Some(at) => {
                    self.hedge_opens = Some(self.hedge_opens.map_or(at, |sooner| sooner.min(at)));
                    self.rearm = true;
                }
                None => {}
            }
            self.hedges.push_back(index);
        }
    }

    /// Returns when the rates let the second attempt start, if nothing else holds it back.
    fn hedge_ready_at(&self, now: Tick, index: u32) -> Option<Tick> {
        let slot = &self.slots[index as usize];
        let free = self.has_room(slot.weight) && !self.keys.get(slot.key).must_wait();
        let of_run = self.gate.ready_at(now, slot.cost);
        let of_key = self.key_opens(now, slot.key, slot.cost).unwrap_or(now);
        free.then_some(of_run.max(of_key))
    }

    fn grant_hedge(&mut self, now: Tick, index: u32) {
        let slot = &mut self.slots[index as usize];
        let (job, state) = (slot.job, self.keys.get_mut(slot.key));
        // Others that waited with it may have used up the share.
        let policy = self.settings.hedge.as_ref();
        let allowed = policy
            .zip(state.latency.as_ref())
            .is_some_and(|(policy, latency)| latency.allows(policy));
        if !allowed {
            slot.hedge = Hedging::Off;
            return;
        }
        if let Some(budget) = &mut state.budget {
            let Some(paid) = budget.pay() else {
                slot.hedge = Hedging::Off;
                return;
            };
            slot.paid = Some(paid);
        }
        if let Some(latency) = &mut state.latency {
            latency.hedges += 1;
        }
        let active = self.activate(now, index);
        self.slots[index as usize].hedge = Hedging::Running(Box::new(active));
        self.stats.hedges += 1;
        self.granted.push(index);
        let attempt = NonZeroU32::new(active.attempt).expect("it was just raised");
        self.event(now, || EventKind::HedgeStarted { job, attempt });
    }

    /// Ends the wish for a second attempt, or returns the one that runs.
    pub(super) fn end_hedge(&mut self, index: u32) -> Option<Active> {
        let hedge = &mut self.slots[index as usize].hedge;
        if *hedge == Hedging::Off {
            return None;
        }
        match std::mem::replace(hedge, Hedging::Off) {
            Hedging::Off => None,
            Hedging::Wanted => {
                self.hedges.retain(|&other| other != index);
                if self.hedges.is_empty() {
                    self.hedge_opens = None;
                }
                None
            }
            Hedging::Running(active) => Some(*active),
        }
    }
}
