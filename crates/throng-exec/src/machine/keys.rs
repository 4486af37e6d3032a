//! The keys of a run: what each may do, and its cool-downs. A key lives as long as it has admitted jobs, a cool-down, rates
//! that are used up or an open breaker, and some while longer, so that what was learned of it is not lost; the number of
//! keys in memory does not grow with the input. What is forgotten is its adaptive limit, its budget and its latency.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::breaker::{Breaker, BreakerState};
use crate::budget::Budget;
use crate::hedge::Latency;
use crate::machine::adaptive::Adaptive;
use crate::machine::pace::Pace;
use crate::machine::settings::Settings;
use crate::rate::{Gate, Tick};
use crate::{Key, Limit};

/// How many keys without jobs are remembered at least.
const IDLE: usize = 1024;

/// All keys that matter now. Key 0 stands for the jobs without one.
#[derive(Debug)]
pub(crate) struct Keys {
    settings: Arc<Settings>,
    by_name: HashMap<Key, u32>,
    states: Vec<KeyState>,
    free: Vec<u32>,
    /// Unused keys are looked for when the map has grown to this size.
    sweep_at: usize,
}

/// One key. The policies are absent where they are not asked for.
#[derive(Debug, Default)]
pub(crate) struct KeyState {
    pub(crate) name: Option<Key>,
    pub(crate) jobs: usize,
    /// Attempts that run.
    pub(crate) running: usize,
    /// No attempt may start, for a reason that is the key's.
    pub(crate) blocked: bool,
    /// When the cool-down ends; 0 means that there is none.
    cools_until: Tick,
    /// When the key's own rates let the next attempt start; 0 means at once.
    gate_until: Tick,
    /// Since when the key has been cooling, if it is, and what the clock of the run's rates said then.
    cooling_since: Option<(Tick, Tick)>,
    /// How long the key has been cooling in all while the run's rates did not hold it back as well, the present cool-down
    /// not included.
    cooled: Tick,
    pub(crate) pace: Pace,
    pub(crate) gate: Option<Box<Gate>>,
    pub(crate) cap: Option<Cap>,
    pub(crate) budget: Option<Budget>,
    pub(crate) breaker: Option<Box<Breaker>>,
    pub(crate) latency: Option<Box<Latency>>,
}

/// How many attempts of a key may run at the same time.
#[derive(Debug)]
pub(crate) enum Cap {
    Fixed(usize),
    Adaptive(Box<Adaptive>),
}

impl Cap {
    fn new(limit: &Limit) -> Self {
        match limit {
            Limit::Fixed(limit) => Self::Fixed(limit.get()),
            Limit::Adaptive(policy) => Self::Adaptive(Box::new(Adaptive::new(policy))),
        }
    }

    pub(crate) fn limit(&self) -> usize {
        match self {
            Self::Fixed(limit) => *limit,
            Self::Adaptive(adaptive) => adaptive.limit(),
        }
    }
}

impl KeyState {
    fn new(settings: &Settings, name: Option<&Key>) -> Self {
        let policy = settings.key_policy(name);
        let rates = policy.and_then(|policy| policy.rates.as_ref());
        Self {
            name: name.cloned(),
            gate: rates.map(|rates| Box::new(Gate::new(rates, Duration::ZERO))),
            cap: policy.and_then(|policy| policy.limit.as_ref()).map(Cap::new),
            budget: settings.budget.map(Budget::new),
            breaker: settings.breaker.map(|policy| Box::new(Breaker::new(policy))),
            latency: settings.hedge.map(|_| Box::default()),
            ..Self::default()
        }
    }

    /// Returns how many attempts may run at the same time; `usize::MAX` where nothing limits them.
    pub(crate) fn limit(&self) -> usize {
        let cap = self.cap.as_ref().map_or(usize::MAX, Cap::limit);
        let probes = self.breaker.as_ref().and_then(|breaker| breaker.limit());
        cap.min(probes.unwrap_or(usize::MAX))
    }

    /// Returns true if no attempt of the key may start now.
    pub(crate) fn must_wait(&self) -> bool {
        if self.cap.is_none() && self.breaker.is_none() {
            return self.cooling_since.is_some();
        }
        self.cooling_since.is_some() || self.running >= self.limit()
    }

    /// Returns until when the key cools or its rates hold it back; 0 if neither does.
    pub(crate) fn rests_until(&self) -> Tick {
        if self.cooling_since.is_some() {
            self.cools_until.max(self.gate_until)
        } else {
            0
        }
    }

    /// Returns true if forgetting the key would let it do more than it may: its rates are used up, or its breaker is not
    /// closed.
    fn is_in_debt(&self, now: Tick) -> bool {
        self.gate.as_ref().is_some_and(|gate| !gate.is_untouched(now))
            || self
                .breaker
                .as_ref()
                .is_some_and(|breaker| breaker.state() != BreakerState::Closed)
    }

    pub(crate) fn learns_pace(&self) -> bool {
        !matches!(self.cap, Some(Cap::Adaptive(_)))
    }
}

impl Keys {
    pub(crate) fn new(settings: &Arc<Settings>) -> Self {
        Self {
            settings: Arc::clone(settings),
            by_name: HashMap::new(),
            states: vec![KeyState::new(settings, None)],
            free: Vec::new(),
            sweep_at: IDLE,
        }
    }

    /// Returns the number of the key and counts one job more for it.
    pub(crate) fn enter(&mut self, now: Tick, name: Option<&Key>) -> u32 {
        let Some(name) = name else {
            self.states[0].jobs += 1;
            return 0;
        };
        if let Some(&key) = self.by_name.get(name) {
            self.states[key as usize].jobs += 1;
            return key;
        }
        if self.by_name.len() >= self.sweep_at {
            self.sweep(now);
        }
        let state = KeyState {
            jobs: 1,
            ..KeyState::new(&self.settings, Some(name))
        };
        let key = match self.free.pop() {
            Some(key) => {
                self.states[key as usize] = state;
                key
            }
            None => {
                self.states.push(state);
                u32::try_from(self.states.len() - 1).expect("the window is smaller than 2^32")
            }
        };
        self.by_name.insert(name.clone(), key);
        key
    }

    /// Counts one job less for the key.
    pub(crate) fn leave(&mut self, key: u32) {
        self.states[key as usize].jobs -= 1;
    }

    pub(crate) fn get(&self, key: u32) -> &KeyState {
        &self.states[key as usize]
    }

    pub(crate) fn get_mut(&mut self, key: u32) -> &mut KeyState {
        &mut self.states[key as usize]
    }

    /// Returns every key that is remembered, that of the jobs without one included.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &KeyState> {
        let (unnamed, named) = self.states.split_at(1);
        unnamed
            .iter()
            .chain(named.iter().filter(|state| state.name.is_some()))
    }

    /// Starts or lengthens a cool-down. Returns true if it ends later than before.
    pub(crate) fn cool(&mut self, key: u32, now: Tick, until: Tick, gate: Tick) -> bool {
        let state = &mut self.states[key as usize];
        if until <= state.cools_until.max(now) {
            return false;
        }
        state.cools_until = until;
        state.cooling_since.get_or_insert((now, gate));
        true
    }

    /// Lets the key's own rates hold it back until then.
    pub(crate) fn shut(&mut self, key: u32, now: Tick, until: Tick, gate: Tick) {
        let state = &mut self.states[key as usize];
        state.gate_until = until;
        state.cooling_since.get_or_insert((now, gate));
    }

    /// Has the key's own rates asked again. Returns true if they held it back.
    pub(crate) fn reopen(&mut self, key: u32) -> bool {
        std::mem::take(&mut self.states[key as usize].gate_until) > 0
    }

    /// Ends the cool-down of the key, if it is over. Returns true if it was.
    pub(crate) fn warm(&mut self, key: u32, now: Tick, gate: Tick) -> bool {
        let state = &mut self.states[key as usize];
        if state.cools_until.max(state.gate_until) > now {
            return false;
        }
        let Some(since) = state.cooling_since.take() else {
            return false;
        };
        state.cooled += cooling(since, now, gate);
        true
    }

    /// Returns how long the key has been cooling in all by now, without the time in which the run's rates held it back as
    /// well.
    pub(crate) fn cooled(&self, key: u32, now: Tick, gate: Tick) -> Tick {
        let state = &self.states[key as usize];
        state.cooled + state.cooling_since.map_or(0, |since| cooling(since, now, gate))
    }

    fn sweep(&mut self, now: Tick) {
        let states = &mut self.states;
        let free = &mut self.free;
        self.by_name.retain(|_, &mut key| {
            let state = &mut states[key as usize];
            let keep = state.jobs > 0 || state.cooling_since.is_some() || state.is_in_debt(now);
            if !keep {
                *state = KeyState::default();
                free.push(key);
            }
            keep
        });
        self.sweep_at = (self.by_name.len() * 2).max(IDLE);
    }
}

/// Returns how long a cool-down has lasted, without the time that the clock of the rates has counted meanwhile.
fn cooling((since, gate_then): (Tick, Tick), now: Tick, gate: Tick) -> Tick {
    (now - since).saturating_sub(gate - gate_then)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(&Arc::new(Settings::default()))
    }

    #[test]
    fn keys_without_jobs_are_forgotten() {
        let mut keys = keys();
        for n in 0..10_000 {
            let key = keys.enter(0, Some(&Key::from(format!("key {n}"))));
            keys.leave(key);
        }
        assert!(keys.states.len() <= IDLE + 1, "{} states", keys.states.len());
    }

    #[test]
    fn a_key_that_cools_is_kept() {
        let mut keys = keys();
        let cooling = keys.enter(0, Some(&Key::from("cooling")));
        assert!(keys.cool(cooling, 0, 10, 0));
        keys.leave(cooling);
        for n in 0..3 * IDLE {
            let key = keys.enter(0, Some(&Key::from(format!("key {n}"))));
            keys.leave(key);
        }
        assert_eq!(keys.enter(0, Some(&Key::from("cooling"))), cooling);
        assert!(keys.states[cooling as usize].cooling_since.is_some());
        assert_eq!(keys.cooled(cooling, 4, 0), 4);
        assert!(
            !keys.cool(cooling, 4, 9, 0),
            "a shorter cool-down changes nothing"
        );
        assert!(!keys.warm(cooling, 9, 0));
        assert!(keys.warm(cooling, 12, 5));
        assert_eq!(keys.cooled(cooling, 50, 5), 7, "5 of 12 belong to the rates");
    }
}
