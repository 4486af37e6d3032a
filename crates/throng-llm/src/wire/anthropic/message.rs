//! The JSON of a message, whole or in frames, read without trust in any member's type.

use serde::Deserialize;
use serde_json::Value;
use throng_core::Usage;

use crate::wire::lenient::{Count, Filled, List, Obj, Text};

/// One frame of a stream, or a whole message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Piece<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) type_: Text<'a>,
    pub(super) index: Count,
    #[serde(borrow)]
    pub(super) delta: Obj<Delta<'a>>,
    pub(super) content_block: Option<Value>,
    /// Of `message_start` an object; of an error without a wrapper a text.
    pub(super) message: Option<Value>,
    pub(super) usage: Obj<RawUsage>,
    pub(super) error: Option<Value>,
    #[serde(borrow)]
    pub(super) code: Text<'a>,
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow)]
    pub(super) model: Text<'a>,
    pub(super) content: List<Value>,
    #[serde(borrow)]
    pub(super) stop_reason: Text<'a>,
    pub(super) stop_details: Option<Value>,
}

/// What a block or a message adds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Delta<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) type_: Text<'a>,
    #[serde(borrow)]
    pub(super) text: Text<'a>,
    #[serde(borrow)]
    pub(super) thinking: Text<'a>,
    #[serde(borrow)]
    pub(super) signature: Text<'a>,
    #[serde(borrow)]
    pub(super) partial_json: Text<'a>,
    #[serde(borrow)]
    pub(super) stop_reason: Text<'a>,
    pub(super) stop_details: Filled,
}

impl Delta<'_> {
    /// Returns the delta's type; where the server left it out, what its members say.
    pub(super) fn kind(&self) -> &str {
        match self.type_.filled() {
            Some(kind) => kind,
            None if self.text.0.is_some() => "text_delta",
            None if self.partial_json.0.is_some() => "input_json_delta",
            None if self.thinking.0.is_some() => "thinking_delta",
            None if self.signature.0.is_some() => "signature_delta",
            None => "",
        }
    }
}

/// The figures of a usage, each the newest. A zero or none erases nothing: gateways send zeros first or last.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawUsage {
    input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_read_input_tokens: Count,
    output_tokens: Count,
    output_tokens_details: Obj<Details>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    thinking_tokens: Count,
}

impl RawUsage {
    /// Takes over later figures.
    pub(super) fn replace_with(&mut self, later: &Self) {
        let newer = |mine: &mut Count, later: Count| {
            if later.0.is_some_and(|count| count > 0) || mine.0.is_none() {
                *mine = later;
            }
        };
        newer(&mut self.input_tokens, later.input_tokens);
        newer(
            &mut self.cache_creation_input_tokens,
            later.cache_creation_input_tokens,
        );
        newer(&mut self.cache_read_input_tokens, later.cache_read_input_tokens);
        newer(&mut self.output_tokens, later.output_tokens);
        if later.output_tokens_details.0.is_some() {
            self.output_tokens_details = later.output_tokens_details;
        }
    }

    /// Returns the usage. The prompt is what was read from the cache, what was written to it, and the rest.
    pub(super) fn to_usage(self) -> Usage {
        let parts = [
            self.input_tokens,
            self.cache_creation_input_tokens,
            self.cache_read_input_tokens,
        ];
        let mut usage = Usage::default();
        usage.input_tokens = parts
            .iter()
            .filter_map(|count| count.0)
            .reduce(u64::saturating_add);
        usage.output_tokens = self.output_tokens.0;
        usage.cached_input_tokens = self.cache_read_input_tokens.0;
        usage.reasoning_tokens = self
            .output_tokens_details
            .0
            .and_then(|details| details.thinking_tokens.0);
        usage
    }
}
