//! The keys of a run and their cool-downs. A key lives as long as it has admitted jobs or a cool-down, so that the
//! number of keys in memory does not grow with the input: it is bounded by the window and by how many cool at a time.

use std::collections::HashMap;

use crate::Key;
use crate::machine::pace::Pace;
use crate::rate::Tick;

/// All keys that matter now. Key 0 stands for the jobs without one.
#[derive(Debug)]
pub(crate) struct Keys {
    by_name: HashMap<Key, u32>,
    states: Vec<KeyState>,
    free: Vec<u32>,
    /// Unused keys are looked for when the map has grown to this size.
    sweep_at: usize,
}

#[derive(Debug, Default)]
struct KeyState {
    jobs: usize,
    /// When the cool-down ends; 0 means that there is none.
    cools_until: Tick,
    /// Since when the key has been cooling, if it is, and what the clock of the rates said then.
    cooling_since: Option<(Tick, Tick)>,
    /// How long the key has been cooling in all while the rates did not hold it back as well, the present cool-down not
    /// included.
    cooled: Tick,
    pace: Pace,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self {
            by_name: HashMap::new(),
            states: vec![KeyState::default()],
            free: Vec::new(),
            sweep_at: 64,
        }
    }

    /// Returns the number of the key and counts one job more for it.
    pub(crate) fn enter(&mut self, name: Option<&Key>) -> u32 {
        let Some(name) = name else {
            return 0;
        };
        if let Some(&key) = self.by_name.get(name) {
            self.states[key as usize].jobs += 1;
            return key;
        }
        if self.by_name.len() >= self.sweep_at {
            self.sweep();
        }
        let state = KeyState {
            jobs: 1,
            ..KeyState::default()
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
        if key > 0 {
            self.states[key as usize].jobs -= 1;
        }
    }

    /// The rate at which the key's attempts start.
    pub(crate) fn pace(&mut self, key: u32) -> &mut Pace {
        &mut self.states[key as usize].pace
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

    /// Ends the cool-down of the key, if it is over. Returns true if it was.
    pub(crate) fn warm(&mut self, key: u32, now: Tick, gate: Tick) -> bool {
        let state = &mut self.states[key as usize];
        if state.cools_until > now {
            return false;
        }
        let Some(since) = state.cooling_since.take() else {
            return false;
        };
        state.cooled += cooling(since, now, gate);
        true
    }

    /// Returns how long the key has been cooling in all by now, without the time in which the rates held it back as well.
    pub(crate) fn cooled(&self, key: u32, now: Tick, gate: Tick) -> Tick {
        let state = &self.states[key as usize];
        state.cooled + state.cooling_since.map_or(0, |since| cooling(since, now, gate))
    }

    fn sweep(&mut self) {
        let states = &self.states;
        let free = &mut self.free;
        self.by_name.retain(|_, &mut key| {
            let state = &states[key as usize];
            let keep = state.jobs > 0 || state.cooling_since.is_some();
            if !keep {
                free.push(key);
            }
            keep
        });
        self.sweep_at = (self.by_name.len() * 2).max(64);
    }
}

/// Returns how long a cool-down has lasted, without the time that the clock of the rates has counted meanwhile.
fn cooling((since, gate_then): (Tick, Tick), now: Tick, gate: Tick) -> Tick {
    (now - since).saturating_sub(gate - gate_then)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_without_jobs_are_forgotten() {
        let mut keys = Keys::new();
        for n in 0..10_000 {
            let key = keys.enter(Some(&Key::from(format!("key {n}"))));
            keys.leave(key);
        }
        assert!(keys.states.len() <= 65, "{} states", keys.states.len());
    }

    #[test]
    fn a_key_that_cools_is_kept() {
        let mut keys = Keys::new();
        let cooling = keys.enter(Some(&Key::from("cooling")));
        assert!(keys.cool(cooling, 0, 10, 0));
        keys.leave(cooling);
        for n in 0..200 {
            let key = keys.enter(Some(&Key::from(format!("key {n}"))));
            keys.leave(key);
        }
        assert_eq!(keys.enter(Some(&Key::from("cooling"))), cooling);
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
