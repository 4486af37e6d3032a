//! What the blocks of a message mean: each by its beginning, its deltas and its end.

use std::borrow::Cow;

use serde_json::Value;

use super::blocks::{Block, Thinking, input};
use super::message::Delta;
use super::protocol::Taking;
use crate::LlmError;
use crate::wire::draft::Channel;
use crate::wire::surrogate::whole;

impl Taking<'_> {
    /// Takes the beginning of a block, or a whole one. Returns false if it has something that is not known.
    pub(super) fn block_start(&mut self, index: Option<u64>, block: &Value) -> Result<bool, LlmError> {
        if let Some(index) = index
            && let Some(before) = self.message.blocks.take(Some(index))
        {
            self.close(before)?;
        }
        let at = index.unwrap_or_default();
        let text = |name: &str| block.get(name).and_then(Value::as_str).map(str::to_owned);
        match text("type").as_deref() {
            Some("text") => {
                self.say(Channel::Text, text("text").map(Cow::Owned), None)?;
                let cited = block.get("citations").and_then(Value::as_array);
                return Ok(cited.is_none_or(Vec::is_empty));
            }
            Some("thinking") => {
                let (text, signature) = (
                    text("thinking").unwrap_or_default(),
                    text("signature").unwrap_or_default(),
                );
                self.draft.weigh(signature.len())?;
                self.say(Channel::Reasoning, Some(Cow::Borrowed(&text)), None)?;
                self.open_thinking(at, Thinking::new(text, signature))?;
            }
            Some("redacted_thinking") => self.draft.say_opaque(block.clone(), self.events)?,
            Some("tool_use") => {
                let key = self.message.blocks.next_key();
                let (id, name) = (text("id"), text("name").unwrap_or_default());
                self.draft.with_calls(self.events, |calls, limits, give| {
                    calls.open(key, id, name, limits, give)
                })?;
                let input = input(block);
                self.message.blocks.push(at, Block::Tool { key, input });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes a delta by its own type: the block's start may have been lost.
    pub(super) fn block_delta(
        &mut self,
        index: Option<u64>,
        delta: Delta<'_>,
        marker: Option<char>,
        raw: &str,
    ) -> Result<(), LlmError> {
        match delta.kind() {
            "text_delta" => {
                if let (None, Some(text)) = (marker, &delta.text.0) {
                    self.draft.pattern.keep(raw, text, Channel::Text);
                }
                self.say(Channel::Text, delta.text.0, marker)?;
            }
            "thinking_delta" => {
                if let Some(text) = delta.thinking.filled()
                    && let Some(thinking) = self.thinking(index)?
                {
                    thinking.add(text, marker);
                }
                self.say(Channel::Reasoning, delta.thinking.0, marker)?;
            }
            "signature_delta" => {
                if let Some(signature) = delta.signature.0.filter(|text| !text.is_empty()) {
                    self.draft.weigh(signature.len())?;
                    if let Some(thinking) = self.thinking(index)? {
                        thinking.sign(whole(signature, marker));
                    }
                }
            }
            "input_json_delta" => {
                let piece = delta.partial_json.0.unwrap_or_default();
                let call = self.message.blocks.call(index);
                let known = match call {
                    Some(key) => self.draft.with_calls(self.events, |calls, limits, give| {
                        calls.append(key, piece, marker, limits, give)
                    })?,
                    None => false,
                };
                if !known {
                    self.unknown(raw);
                }
            }
            _ => self.unknown(raw),
        }
        Ok(())
    }

    /// Returns the open thinking of an index; opens one if its start was lost.
    fn thinking(&mut self, index: Option<u64>) -> Result<Option<&mut Thinking>, LlmError> {
        if self.message.blocks.thinking(index).is_none() {
            self.open_thinking(index.unwrap_or_default(), Thinking::default())?;
        }
        Ok(self.message.blocks.thinking(index))
    }

    fn open_thinking(&mut self, index: u64, thinking: Thinking) -> Result<(), LlmError> {
        if let Some(before) = self.message.blocks.take_thinking() {
            self.close(before)?;
        }
        self.message.blocks.push(index, Block::Thinking(thinking));
        Ok(())
    }

    /// Takes the end of a block.
    pub(super) fn close(&mut self, block: Block) -> Result<(), LlmError> {
        let (key, input) = match block {
            Block::Tool { key, input } => (key, input),
            Block::Thinking(thinking) => {
                if let Some(signed) = thinking.into_signed() {
                    self.draft.give_opaque(signed, self.events);
                }
                return Ok(());
            }
        };
        let empty = self.draft.with_calls(self.events, |calls, limits, give| {
            if let Some(input) = input
                && calls.arguments(key) == Some("")
            {
                calls.append(key, input.into(), None, limits, give)?;
            }
            calls.close(key, give);
            Ok(calls.arguments(key) == Some(""))
        })?;
        if empty {
            self.message.blocks.empty.push(key);
        }
        Ok(())
    }
}
