//! What agents are called in a prompt. A model sees aliases that say nothing, so that it can neither count them on nor
//! guess the one of another agent, and one agent's text cannot speak for another.

use std::collections::HashMap;

use serde_json::Value;

/// The letters of an alias: none that models take for another.
const LETTERS: &[u8] = b"bcdfghjkmnpqrstvwxz";

/// The aliases of the agents of one request.
#[derive(Clone, Debug)]
pub(crate) struct Aliases {
    names: Vec<String>,
    index: HashMap<String, usize>,
}

impl Aliases {
    /// Draws aliases for `n` agents. The same seed draws the same ones.
    pub(crate) fn draw(n: usize, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut index = HashMap::with_capacity(n);
        let mut names = Vec::with_capacity(n);
        while names.len() < n {
            let letters = if n > 10_000 { 8 } else { 4 };
            let mut name = String::with_capacity(letters + 1);
            for _ in 0..letters {
                name.push(char::from(LETTERS[rng.usize(..LETTERS.len())]));
            }
            name.push(char::from(b'2' + rng.u8(..8)));
            if !index.contains_key(&name) {
                index.insert(name.clone(), names.len());
                names.push(name);
            }
        }
        Self { names, index }
    }

    /// Returns the aliases, by the place of their agents.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the place of the agent that a model calls so: an alias, whatever is blank around it and however its
    /// letters are written.
    pub(crate) fn resolve(&self, said: &Value) -> Option<usize> {
        let said = said.as_str()?.trim();
        self.index
            .get(said)
            .or_else(|| self.index.get(&said.to_ascii_lowercase()))
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_the_same_for_the_same_seed_and_never_twice() {
        let aliases = Aliases::draw(2_000, 1);
        assert_eq!(aliases.names(), Aliases::draw(2_000, 1).names());
        assert_ne!(aliases.names()[0], Aliases::draw(2_000, 2).names()[0]);
        for (place, name) in aliases.names().iter().enumerate() {
            let said = format!(" {} ", name.to_uppercase());
            assert_eq!(aliases.resolve(&Value::from(said)), Some(place));
        }
        assert_eq!(aliases.resolve(&Value::from("a")), None);
        assert_eq!(aliases.resolve(&Value::from(0)), None, "a number is no alias");
    }
}
