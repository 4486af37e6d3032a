//! Fingerprints of ids, and the check that no id comes twice. A fingerprint has 128 bits under random keys, so that
//! two ids with the same one do not occur in practice; a set of them takes about 34 bytes an id.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::record::Id;

/// Stands for an id.
pub(crate) type Fingerprint = u128;

/// Makes fingerprints; those of one maker (and its clones) can be compared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fingerprints(RandomState, RandomState);

impl Fingerprints {
    /// Returns the fingerprint of an id.
    pub(crate) fn of(&self, id: &str) -> Fingerprint {
        (u128::from(self.0.hash_one(id)) << 64) | u128::from(self.1.hash_one(id))
    }
}

/// Notices an id that came before. Line numbers are not kept as long as no record brings an id of its own, so
/// that an input without ids takes no memory.
#[derive(Debug, Default)]
pub(crate) struct SeenIds {
    seen: HashSet<Fingerprint>,
    own: bool,
    numbered: u64,
}

impl SeenIds {
    /// Takes an id and returns true if it may have come before.
    ///
    /// It may be wrong in one case: an id of its own that reads like the number of an earlier line, where that
    /// line is blank.
    pub(crate) fn repeats(&mut self, id: &Id, fingerprint: Fingerprint, line: Option<u64>) -> bool {
        if let Some(line) = line {
            if !self.own {
                self.numbered = line;
                return false;
            }
        } else {
            self.own = true;
            let number: Option<u64> = id.to_string().parse().ok();
            if number.is_some_and(|number| number > 0 && number <= self.numbered) {
                return true;
            }
        }
        !self.seen.insert(fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_repeats_across_lines_numbers_and_texts() {
        let prints = Fingerprints::default();
        let mut seen = SeenIds::default();
        let mut take =
            |id: &str, line: Option<u64>| seen.repeats(&Id::Text(id.to_owned()), prints.of(id), line);
        assert!(!take("1", Some(1)));
        assert!(!take("2", Some(2)));
        assert!(!take("q", None));
        assert!(take("q", None));
        assert!(take("2", None), "the number of an earlier line");
        assert!(!take("9", None));
        assert!(take("9", Some(9)), "a line whose number is an earlier id");
    }
}
