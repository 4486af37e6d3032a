//! Counts the attempts of each prompt, in bounded memory.

use std::collections::HashMap;

/// The number of attempts that each prompt has had.
///
/// At most `capacity` prompts are known at a time, in two halves. When the younger half is full, the older one is
/// forgotten and the younger takes its place; a prompt that is asked for again moves to the younger. So a prompt is
/// forgotten at the earliest when `capacity / 2` other prompts have come since its last attempt, and then counts
/// from 1 again.
#[derive(Debug)]
pub(crate) struct Attempts {
    half: usize,
    young: HashMap<u64, u32>,
    old: HashMap<u64, u32>,
}

impl Attempts {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            half: (capacity / 2).max(1),
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// Returns the number that the next attempt of a prompt has, from 1.
    pub(crate) fn next(&self, prompt: u64) -> u32 {
        let had = self.young.get(&prompt).or_else(|| self.old.get(&prompt));
        had.map_or(1, |had| had.saturating_add(1))
    }

    /// Counts an attempt and returns its number, from 1.
    pub(crate) fn count(&mut self, prompt: u64) -> u32 {
        let attempt = self.next(prompt);
        if self.young.len() >= self.half && !self.young.contains_key(&prompt) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&prompt);
        self.young.insert(prompt, attempt);
        attempt
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_prompt_has_a_count_of_its_own() {
        let mut attempts = Attempts::new(100);
        assert_eq!(
            [
                attempts.count(1),
                attempts.count(1),
                attempts.count(2),
                attempts.count(1)
            ],
            [1, 2, 1, 3]
        );
        assert_eq!(attempts.next(1), 4);
        attempts.clear();
        assert_eq!(attempts.next(1), 1);
    }

    #[test]
    fn memory_is_bounded_and_a_prompt_in_use_is_kept() {
        let mut attempts = Attempts::new(100);
        for i in 0..10_000_u64 {
            attempts.count(1_000 + i);
            if i % 10 == 0 {
                attempts.count(7);
            }
            assert!(attempts.young.len() + attempts.old.len() <= 100);
        }
        assert_eq!(attempts.next(7), 1_001);
        assert_eq!(attempts.next(1_000), 1, "long forgotten");
        assert_eq!(attempts.next(10_999), 2, "just seen");
    }
}
