//! Jobs that are ready to start. The highest priority goes first, and waiting raises it; within a priority the keys
//! take turns, and within a key it is first in, first out.
//!
//! Turns over keys: Nagle, "On Packet Switches with Infinite Storage", RFC 970, 1985. Ageing: a waiting job gains one
//! priority for each interval that it has waited, so that no stream of more important jobs can starve it.

use std::collections::VecDeque;

use crate::Priority;
use crate::rate::Tick;

/// A queue of slots with one lane per priority and key. A key can be blocked; its slots then stay where they are.
#[derive(Debug, Default)]
pub(crate) struct FairQueue {
    /// The highest priority first. Empty levels are kept: there are at most 256.
    levels: Vec<Level>,
    blocked: Vec<bool>,
    /// In how much waiting time a job gains one priority; 0 means never.
    ageing: Tick,
    len: usize,
}

#[derive(Debug)]
struct Level {
    priority: Priority,
    lanes: Vec<Lane>,
    /// The lanes that have slots and are not blocked, in the order of their turns.
    turns: VecDeque<u32>,
}

#[derive(Debug, Default)]
struct Lane {
    slots: VecDeque<Entry>,
    has_turn: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    slot: u32,
    since: Tick,
}

impl FairQueue {
    /// Makes a queue in which a job gains one priority for each `ageing` that it has waited; 0 means never.
    pub(crate) fn new(ageing: Tick) -> Self {
        Self {
            ageing,
            ..Self::default()
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns true if there is a slot of a key that is not blocked. O(levels).
    pub(crate) fn has_turns(&self) -> bool {
        self.len > 0 && self.levels.iter().any(|level| !level.turns.is_empty())
    }

    /// Returns the key and slot that [`FairQueue::pop`] would return.
    #[inline]
    pub(crate) fn peek(&self, now: Tick) -> Option<(u32, u32)> {
        if self.len == 0 {
            return None;
        }
        let level = &self.levels[self.best(now)?];
        let key = *level.turns.front()?;
        let entry = level.lanes[key as usize].slots.front()?;
        Some((key, entry.slot))
    }

    /// Adds a slot that has waited since then.
    pub(crate) fn push(&mut self, key: u32, priority: Priority, since: Tick, slot: u32) {
        self.reach(key);
        let index = self.level(priority);
        let blocked = self.blocked[key as usize];
        let level = &mut self.levels[index];
        level.lane(key).slots.push_back(Entry { slot, since });
        level.give_turn(key, blocked);
        self.len += 1;
    }

    #[inline]
    pub(crate) fn pop(&mut self, now: Tick) -> Option<(u32, u32)> {
        if self.len == 0 {
            return None;
        }
        let index = self.best(now)?;
        let level = &mut self.levels[index];
        let key = *level.turns.front()?;
        let lane = &mut level.lanes[key as usize];
        let entry = lane.slots.pop_front()?;
        self.len -= 1;
        let more = !lane.slots.is_empty();
        if more && level.turns.len() == 1 {
            // It is its own turn again.
            return Some((key, entry.slot));
        }
        level.turns.pop_front();
        lane.has_turn = more;
        if more {
            level.turns.push_back(key);
        }
        Some((key, entry.slot))
    }

    pub(crate) fn set_blocked(&mut self, key: u32, blocked: bool) {
        self.reach(key);
        self.blocked[key as usize] = blocked;
        for level in &mut self.levels {
            if blocked {
                level.take_turn(key);
            } else if (key as usize) < level.lanes.len() {
                level.give_turn(key, false);
            }
        }
    }

    /// Takes one slot out, wherever it stands. O(slots of its key).
    pub(crate) fn remove(&mut self, key: u32, slot: u32) -> bool {
        for level in &mut self.levels {
            let Some(lane) = level.lanes.get_mut(key as usize) else {
                continue;
            };
            let Some(at) = lane.slots.iter().position(|entry| entry.slot == slot) else {
                continue;
            };
            lane.slots.remove(at);
            self.len -= 1;
            if lane.slots.is_empty() {
                level.take_turn(key);
            }
            return true;
        }
        false
    }

    /// Takes out what matters least: of the lowest priority, the newest slot of the key with most slots. Blocked keys
    /// count as well. O(keys).
    pub(crate) fn pop_least(&mut self) -> Option<u32> {
        for level in self.levels.iter_mut().rev() {
            let longest = (0_u32..)
                .zip(&level.lanes)
                .max_by_key(|(_, lane)| lane.slots.len())
                .map(|(key, _)| key);
            let Some(key) = longest else { continue };
            let lane = &mut level.lanes[key as usize];
            let Some(entry) = lane.slots.pop_back() else {
                continue;
            };
            self.len -= 1;
            if lane.slots.is_empty() {
                level.take_turn(key);
            }
            return Some(entry.slot);
        }
        None
    }

    /// Takes every slot of the key out. O(levels + slots of the key).
    pub(crate) fn drain_key(&mut self, key: u32) -> Vec<u32> {
        let mut all = Vec::new();
        for level in &mut self.levels {
            level.take_turn(key);
            if let Some(lane) = level.lanes.get_mut(key as usize) {
                all.extend(lane.slots.drain(..).map(|entry| entry.slot));
            }
        }
        self.len -= all.len();
        all
    }

    /// Takes every slot out, blocked lanes included, level by level and lane by lane.
    pub(crate) fn drain(&mut self) -> Vec<u32> {
        self.len = 0;
        let mut all = Vec::new();
        for level in &mut self.levels {
            level.turns.clear();
            for lane in &mut level.lanes {
                lane.has_turn = false;
                all.extend(lane.slots.drain(..).map(|entry| entry.slot));
            }
        }
        all
    }

    /// Returns the level whose turn it is: that whose next slot has the highest priority once its waiting time is
    /// added; of equals, the one that began higher.
    #[inline]
    fn best(&self, now: Tick) -> Option<usize> {
        if let [level] = &self.levels[..] {
            return (!level.turns.is_empty()).then_some(0);
        }
        self.best_of_many(now)
    }

    fn best_of_many(&self, now: Tick) -> Option<usize> {
        let mut best: Option<(usize, i128)> = None;
        for (index, level) in self.levels.iter().enumerate() {
            let Some(&key) = level.turns.front() else {
                continue;
            };
            if self.ageing == 0 {
                return Some(index);
            }
            let since = level.lanes[key as usize]
                .slots
                .front()
                .map_or(now, |entry| entry.since);
            let waited = i128::from(now.saturating_sub(since));
            let rank = i128::from(level.priority.value()) * i128::from(self.ageing) + waited;
            if best.is_none_or(|(_, highest)| rank > highest) {
                best = Some((index, rank));
            }
        }
        best.map(|(index, _)| index)
    }

    fn level(&mut self, priority: Priority) -> usize {
        if let [level] = &self.levels[..]
            && level.priority == priority
        {
            return 0;
        }
        let found = self
            .levels
            .binary_search_by(|level| priority.cmp(&level.priority));
        found.unwrap_or_else(|index| {
            let level = Level {
                priority,
                lanes: Vec::new(),
                turns: VecDeque::new(),
            };
            self.levels.insert(index, level);
            index
        })
    }

    fn reach(&mut self, key: u32) {
        let index = key as usize;
        if index >= self.blocked.len() {
            self.blocked.resize(index + 1, false);
        }
    }
}

impl Level {
    fn lane(&mut self, key: u32) -> &mut Lane {
        let index = key as usize;
        if index >= self.lanes.len() {
            self.lanes.resize_with(index + 1, Lane::default);
        }
        &mut self.lanes[index]
    }

    fn give_turn(&mut self, key: u32, blocked: bool) {
        let lane = &mut self.lanes[key as usize];
        if !lane.has_turn && !blocked && !lane.slots.is_empty() {
            lane.has_turn = true;
            self.turns.push_back(key);
        }
    }

    fn take_turn(&mut self, key: u32) {
        if let Some(lane) = self.lanes.get_mut(key as usize)
            && std::mem::take(&mut lane.has_turn)
        {
            self.turns.retain(|&turn| turn != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NORMAL: Priority = Priority::NORMAL;

    fn pops(queue: &mut FairQueue) -> Vec<(u32, u32)> {
        std::iter::from_fn(|| queue.pop(0)).collect()
    }

    #[test]
    fn keys_take_turns_and_each_is_first_in_first_out() {
        let mut queue = FairQueue::default();
        for (key, slot) in [(0, 1), (0, 2), (0, 3), (1, 4), (2, 5), (1, 6)] {
            queue.push(key, NORMAL, 0, slot);
        }
        assert_eq!(queue.peek(0), Some((0, 1)));
        assert_eq!(pops(&mut queue), [(0, 1), (1, 4), (2, 5), (0, 2), (1, 6), (0, 3)]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_blocked_key_keeps_its_slots_and_lets_others_pass() {
        let mut queue = FairQueue::default();
        for (key, slot) in [(0, 1), (1, 2), (0, 3)] {
            queue.push(key, NORMAL, 0, slot);
        }
        queue.set_blocked(0, true);
        queue.push(0, Priority::new(5), 0, 4);
        assert_eq!(pops(&mut queue), [(1, 2)]);
        assert_eq!(queue.len(), 3);
        queue.set_blocked(0, false);
        assert_eq!(pops(&mut queue), [(0, 4), (0, 1), (0, 3)]);
    }

    #[test]
    fn draining_takes_blocked_slots_too() {
        let mut queue = FairQueue::default();
        queue.set_blocked(1, true);
        queue.push(1, NORMAL, 0, 7);
        queue.push(0, NORMAL, 0, 8);
        assert_eq!(queue.drain(), [8, 7]);
        assert_eq!(queue.pop(0), None);
        queue.push(0, NORMAL, 0, 9);
        assert_eq!(queue.pop(0), Some((0, 9)));
    }

    #[test]
    fn a_job_of_low_priority_ages_past_newer_ones_of_high_priority() {
        let mut queue = FairQueue::new(10);
        queue.push(0, NORMAL, 0, 1);
        queue.push(0, Priority::new(2), 15, 2);
        queue.push(0, Priority::new(2), 21, 3);
        assert_eq!(queue.pop(21), Some((0, 2)), "it has waited 6 and gains 20");
        assert_eq!(queue.pop(21), Some((0, 1)), "it has waited 21");
    }

    #[test]
    fn the_newest_of_the_lowest_priority_matters_least() {
        let mut queue = FairQueue::default();
        queue.push(0, NORMAL, 0, 1);
        queue.push(1, Priority::new(-1), 0, 2);
        queue.push(1, Priority::new(-1), 1, 3);
        queue.push(2, Priority::new(-1), 2, 4);
        let least: Vec<u32> = std::iter::from_fn(|| queue.pop_least()).collect();
        assert_eq!(least[0], 3);
        assert_eq!(least[3], 1);
        assert_eq!((queue.len(), queue.pop(5)), (0, None));
    }

    /// The same queue, as slowly as can be: all slots in one list, and the turn of a priority goes to the key that has
    /// waited longest since it was served or since it got something to serve.
    #[derive(Default)]
    struct Naive {
        slots: Vec<(u32, i8, Tick, u32)>,
        turns: Vec<(i8, u32)>,
        blocked: Vec<u32>,
        ageing: Tick,
    }

    impl Naive {
        fn update(&mut self) {
            let can = |turn: &(i8, u32)| {
                !self.blocked.contains(&turn.1) && self.slots.iter().any(|slot| (slot.1, slot.0) == *turn)
            };
            let mut turns: Vec<_> = self.turns.iter().copied().filter(can).collect();
            for priority in -1..2 {
                for key in 0..4 {
                    if can(&(priority, key)) && !turns.contains(&(priority, key)) {
                        turns.push((priority, key));
                    }
                }
            }
            self.turns = turns;
        }

        fn next(&self, now: Tick) -> Option<usize> {
            let mut best: Option<(i128, i8, usize)> = None;
            for priority in -1..2 {
                let Some(turn) = self.turns.iter().find(|turn| turn.0 == priority) else {
                    continue;
                };
                let at = self.slots.iter().position(|slot| (slot.1, slot.0) == *turn)?;
                let waited = i128::from(now - self.slots[at].2);
                let rank = if self.ageing == 0 {
                    i128::from(priority)
                } else {
                    i128::from(priority) * i128::from(self.ageing) + waited
                };
                if best.is_none_or(|(highest, level, _)| (rank, priority) > (highest, level)) {
                    best = Some((rank, priority, at));
                }
            }
            best.map(|(_, _, at)| at)
        }

        fn pop(&mut self, now: Tick) -> Option<(u32, u32)> {
            let at = self.next(now)?;
            let (key, priority, _, slot) = self.slots.remove(at);
            self.turns.retain(|turn| *turn != (priority, key));
            self.update();
            Some((key, slot))
        }
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_naive_queue(
            ageing in 0..4_u64,
            steps in prop::collection::vec((0..6_u8, 0..4_u32, -1..2_i8), 0..200),
        ) {
            let mut queue = FairQueue::new(ageing);
            let mut naive = Naive { ageing, ..Naive::default() };
            for (slot, (step, key, priority)) in (0_u32..).zip(steps) {
                let now = Tick::from(slot);
                match step {
                    0 | 1 => {
                        queue.push(key, Priority::new(priority), now, slot);
                        naive.slots.push((key, priority, now, slot));
                    }
                    2 => {
                        let next = naive.next(now).map(|at| (naive.slots[at].0, naive.slots[at].3));
                        prop_assert_eq!(queue.peek(now), next);
                        prop_assert_eq!(queue.pop(now), naive.pop(now));
                    }
                    3 => {
                        let some = naive.slots.get(key as usize).map_or((key, slot), |s| (s.0, s.3));
                        let had = naive.slots.iter().any(|s| s.3 == some.1);
                        naive.slots.retain(|s| s.3 != some.1);
                        prop_assert_eq!(queue.remove(some.0, some.1), had);
                    }
                    _ => {
                        queue.set_blocked(key, step == 4);
                        naive.blocked.retain(|other| *other != key);
                        if step == 4 {
                            naive.blocked.push(key);
                        }
                    }
                }
                naive.update();
                prop_assert_eq!(queue.len(), naive.slots.len());
            }
        }
    }
}
