//! The blocks of a message that are not yet at their end: thinking, of which the signature comes last, and tool calls.
//!
//! A call is known to the common code by a key of its own, since a gateway may use an index twice.

use serde_json::{Value, json};

use crate::wire::surrogate::Joiner;

/// The open blocks of a message. Text blocks have no state.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    open: Vec<(u64, Block)>,
    /// How many calls have begun: the key of the next.
    keys: u64,
    /// The keys of calls whose block ended without arguments.
    pub(super) empty: Vec<u64>,
}

#[derive(Debug)]
pub(super) enum Block {
    Thinking(Thinking),
    Tool {
        key: u64,
        /// The arguments that came with the start, for a block without deltas.
        input: Option<String>,
    },
}

/// A block of thinking.
#[derive(Debug, Default)]
pub(super) struct Thinking {
    text: String,
    joiner: Joiner,
    signature: String,
}

impl Blocks {
    pub(super) fn next_key(&mut self) -> u64 {
        self.keys += 1;
        self.keys
    }

    pub(super) fn push(&mut self, index: u64, block: Block) {
        self.open.push((index, block));
    }

    /// Takes out the newest open block of this index; without an index, the newest.
    pub(super) fn take(&mut self, index: Option<u64>) -> Option<Block> {
        let at = self
            .open
            .iter()
            .rposition(|(open, _)| index.is_none_or(|index| *open == index))?;
        Some(self.open.remove(at).1)
    }

    /// Takes out the oldest open block.
    pub(super) fn take_first(&mut self) -> Option<Block> {
        (!self.open.is_empty()).then(|| self.open.remove(0).1)
    }

    /// Takes out the open thinking. Blocks follow one another, so that there is one at most.
    pub(super) fn take_thinking(&mut self) -> Option<Block> {
        let thinking = |(_, block): &(u64, Block)| matches!(block, Block::Thinking(_));
        let at = self.open.iter().position(thinking)?;
        Some(self.open.remove(at).1)
    }

    /// Returns the key of the open call of this index.
    pub(super) fn call(&self, index: Option<u64>) -> Option<u64> {
        self.open.iter().rev().find_map(|(open, block)| match block {
            Block::Tool { key, .. } if index.is_none_or(|index| *open == index) => Some(*key),
            _ => None,
        })
    }

    /// Returns the open thinking of this index.
    pub(super) fn thinking(&mut self, index: Option<u64>) -> Option<&mut Thinking> {
        self.open.iter_mut().rev().find_map(|(open, block)| match block {
            Block::Thinking(thinking) if index.is_none_or(|index| *open == index) => Some(thinking),
            _ => None,
        })
    }
}

impl Thinking {
    pub(super) fn new(text: String, signature: String) -> Self {
        Self {
            text,
            joiner: Joiner::default(),
            signature,
        }
    }

    pub(super) fn add(&mut self, text: &str, marker: Option<char>) {
        self.joiner.join_onto(&mut self.text, text, marker);
    }

    pub(super) fn sign(&mut self, signature: String) {
        self.signature = signature;
    }

    /// Returns the block to be sent back with the next turn, if it is signed: the provider refuses others.
    pub(super) fn into_signed(mut self) -> Option<Value> {
        self.text.extend(self.joiner.finish());
        (!self.signature.is_empty())
            .then(|| json!({"type": "thinking", "thinking": self.text, "signature": self.signature}))
    }
}

/// Returns the arguments that a block holds as a whole; none for an empty object.
pub(super) fn input(block: &Value) -> Option<String> {
    match block.get("input")? {
        Value::Null => None,
        Value::Object(members) if members.is_empty() => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        other => Some(other.to_string()),
    }
}
