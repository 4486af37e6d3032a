//! The JSON of a response and of the events of its stream, read without trust in any member's type.

use serde::Deserialize;
use serde_json::Value;
use throng_core::Usage;

use crate::wire::lenient::{Arguments, Count, List, Obj, Text};

/// One event of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) type_: Text<'a>,
    #[serde(borrow)]
    pub(super) delta: Text<'a>,
    pub(super) output_index: Count,
    #[serde(borrow)]
    pub(super) item_id: Text<'a>,
    #[serde(borrow)]
    pub(super) text: Text<'a>,
    #[serde(borrow)]
    pub(super) refusal: Text<'a>,
    #[serde(borrow)]
    pub(super) arguments: Arguments<'a>,
    #[serde(borrow)]
    pub(super) input: Text<'a>,
    pub(super) item: Option<Value>,
    #[serde(borrow)]
    pub(super) part: Obj<Part<'a>>,
    #[serde(borrow)]
    pub(super) response: Obj<Response<'a>>,
    pub(super) error: Option<Value>,
    #[serde(borrow)]
    pub(super) message: Text<'a>,
    #[serde(borrow)]
    pub(super) code: Text<'a>,
}

/// A part of a message or of reasoning.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Part<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) type_: Text<'a>,
}

/// A response: whole, or as its stream's first and last events show it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow)]
    pub(super) model: Text<'a>,
    #[serde(borrow)]
    pub(super) object: Text<'a>,
    #[serde(borrow)]
    pub(super) status: Text<'a>,
    pub(super) error: Option<Value>,
    #[serde(borrow)]
    pub(super) incomplete_details: Obj<Incomplete<'a>>,
    pub(super) output: List<Value>,
    pub(super) usage: Obj<RawUsage>,
    /// With `code` or `type`: an error without a wrapper.
    #[serde(borrow)]
    pub(super) message: Text<'a>,
    #[serde(borrow)]
    pub(super) code: Text<'a>,
    #[serde(borrow, rename = "type")]
    pub(super) type_: Text<'a>,
}

/// Why a response is not whole.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Incomplete<'a> {
    #[serde(borrow)]
    pub(super) reason: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawUsage {
    input_tokens: Count,
    output_tokens: Count,
    input_tokens_details: Obj<Details>,
    output_tokens_details: Obj<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Count,
    reasoning_tokens: Count,
}

impl RawUsage {
    pub(super) fn to_usage(&self) -> Usage {
        let details =
            |details: &Obj<Details>, pick: fn(&Details) -> Count| details.0.as_ref().and_then(|d| pick(d).0);
        let mut usage = Usage::default();
        usage.input_tokens = self.input_tokens.0;
        usage.output_tokens = self.output_tokens.0;
        usage.cached_input_tokens = details(&self.input_tokens_details, |d| d.cached_tokens);
        usage.reasoning_tokens = details(&self.output_tokens_details, |d| d.reasoning_tokens);
        usage
    }
}
