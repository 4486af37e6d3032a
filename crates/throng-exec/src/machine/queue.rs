//! Jobs that are ready to start, in turns over their keys: first in, first out within a key, round-robin over the
//! keys (Nagle, "On Packet Switches with Infinite Storage", RFC 970, 1985).

use std::collections::VecDeque;

/// A queue of slots with one lane per key. A lane can be blocked; its slots then stay where they are.
#[derive(Debug, Default)]
pub(crate) struct FairQueue {
    lanes: Vec<Lane>,
    /// The lanes that have slots and are not blocked, in the order of their turns.
    turns: VecDeque<u32>,
    len: usize,
}

#[derive(Debug, Default)]
struct Lane {
    slots: VecDeque<u32>,
    has_turn: bool,
    blocked: bool,
}

impl FairQueue {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the key and slot that [`FairQueue::pop`] would return.
    pub(crate) fn peek(&self) -> Option<(u32, u32)> {
        let key = *self.turns.front()?;
        let slot = *self.lanes[key as usize].slots.front()?;
        Some((key, slot))
    }

    pub(crate) fn push(&mut self, key: u32, slot: u32) {
        let lane = self.lane(key);
        lane.slots.push_back(slot);
        self.len += 1;
        self.give_turn(key);
    }

    pub(crate) fn pop(&mut self) -> Option<(u32, u32)> {
        if let [key] = *self.turns.as_slices().0
            && self.turns.len() == 1
            && self.lanes[key as usize].slots.len() > 1
        {
            // It is its own turn again.
            self.len -= 1;
            return Some((key, self.lanes[key as usize].slots.pop_front()?));
        }
        let key = self.turns.pop_front()?;
        let lane = &mut self.lanes[key as usize];
        lane.has_turn = false;
        let slot = lane.slots.pop_front()?;
        self.len -= 1;
        self.give_turn(key);
        Some((key, slot))
    }

    pub(crate) fn set_blocked(&mut self, key: u32, blocked: bool) {
        let lane = self.lane(key);
        lane.blocked = blocked;
        if !blocked {
            self.give_turn(key);
        } else if lane.has_turn {
            lane.has_turn = false;
            self.turns.retain(|&turn| turn != key);
        }
    }

    /// Takes every slot out, blocked lanes included, lane by lane.
    pub(crate) fn drain(&mut self) -> Vec<u32> {
        self.turns.clear();
        self.len = 0;
        let mut all = Vec::new();
        for lane in &mut self.lanes {
            lane.has_turn = false;
            all.extend(lane.slots.drain(..));
        }
        all
    }

    fn lane(&mut self, key: u32) -> &mut Lane {
        let index = key as usize;
        if index >= self.lanes.len() {
            self.lanes.resize_with(index + 1, Lane::default);
        }
        &mut self.lanes[index]
    }

    fn give_turn(&mut self, key: u32) {
        let lane = &mut self.lanes[key as usize];
        if !lane.has_turn && !lane.blocked && !lane.slots.is_empty() {
            lane.has_turn = true;
            self.turns.push_back(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pops(queue: &mut FairQueue) -> Vec<(u32, u32)> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn keys_take_turns_and_each_is_first_in_first_out() {
        let mut queue = FairQueue::default();
        for (key, slot) in [(0, 1), (0, 2), (0, 3), (1, 4), (2, 5), (1, 6)] {
            queue.push(key, slot);
        }
        assert_eq!(queue.peek(), Some((0, 1)));
        assert_eq!(pops(&mut queue), [(0, 1), (1, 4), (2, 5), (0, 2), (1, 6), (0, 3)]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_blocked_key_keeps_its_slots_and_lets_others_pass() {
        let mut queue = FairQueue::default();
        for (key, slot) in [(0, 1), (1, 2), (0, 3)] {
            queue.push(key, slot);
        }
        queue.set_blocked(0, true);
        queue.push(0, 4);
        assert_eq!(pops(&mut queue), [(1, 2)]);
        assert_eq!(queue.len(), 3);
        queue.set_blocked(0, false);
        assert_eq!(pops(&mut queue), [(0, 1), (0, 3), (0, 4)]);
    }

    #[test]
    fn draining_takes_blocked_slots_too() {
        let mut queue = FairQueue::default();
        queue.set_blocked(1, true);
        queue.push(1, 7);
        queue.push(0, 8);
        assert_eq!(queue.drain(), [8, 7]);
        assert_eq!(queue.pop(), None);
        queue.push(0, 9);
        assert_eq!(queue.pop(), Some((0, 9)));
    }

    /// The same queue, as slowly as can be: all slots in one list, and the turn goes to the key that has waited
    /// longest since it was served or since it got something to serve.
    #[derive(Default)]
    struct Naive {
        slots: Vec<(u32, u32)>,
        turns: Vec<u32>,
        blocked: Vec<u32>,
    }

    impl Naive {
        fn update(&mut self) {
            let can =
                |key: &u32| !self.blocked.contains(key) && self.slots.iter().any(|(other, _)| other == key);
            let mut turns: Vec<u32> = self.turns.iter().copied().filter(|key| can(key)).collect();
            for key in 0..4 {
                if can(&key) && !turns.contains(&key) {
                    turns.push(key);
                }
            }
            self.turns = turns;
        }

        fn pop(&mut self) -> Option<(u32, u32)> {
            if self.turns.is_empty() {
                return None;
            }
            let key = self.turns.remove(0);
            let index = self.slots.iter().position(|(other, _)| *other == key)?;
            let popped = self.slots.remove(index);
            self.update();
            Some(popped)
        }
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_naive_queue(steps in prop::collection::vec((0..5_u8, 0..4_u32), 0..200)) {
            let (mut queue, mut naive) = (FairQueue::default(), Naive::default());
            for (slot, (step, key)) in (0..).zip(steps) {
                match step {
                    0 | 1 => {
                        queue.push(key, slot);
                        naive.slots.push((key, slot));
                    }
                    2 => {
                        prop_assert_eq!(queue.peek(), naive.turns.first().and_then(|key| {
                            naive.slots.iter().copied().find(|(other, _)| other == key)
                        }));
                        prop_assert_eq!(queue.pop(), naive.pop());
                    }
                    _ => {
                        queue.set_blocked(key, step == 3);
                        naive.blocked.retain(|other| *other != key);
                        if step == 3 {
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
