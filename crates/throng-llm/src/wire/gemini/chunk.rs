//! The JSON of Gemini's `GenerateContentResponse`, whole or in chunks, read without trust in any member's type.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::wire::lenient::{Arguments, Count, Filled, Flag, List, Name, Obj, Text};

/// One frame of a stream, or a whole answer.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) response_id: Text<'a>,
    #[serde(borrow)]
    pub(super) model_version: Text<'a>,
    pub(super) error: Option<Value>,
    #[serde(borrow)]
    pub(super) candidates: List<Obj<Candidate<'a>>>,
    #[serde(borrow)]
    pub(super) prompt_feedback: Obj<Feedback<'a>>,
    pub(super) usage_metadata: Obj<Counts>,
    /// With `code` and without `candidates`: an error without a wrapper.
    #[serde(borrow)]
    pub(super) message: Text<'a>,
    #[serde(borrow)]
    pub(super) code: Text<'a>,
}

/// What became of the prompt.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Feedback<'a> {
    #[serde(borrow)]
    pub(super) block_reason: Text<'a>,
    #[serde(borrow)]
    pub(super) block_reason_message: Text<'a>,
}

/// One of the answers to a request.
#[derive(Debug, Default)]
pub(super) struct Candidate<'a> {
    pub(super) index: Count,
    pub(super) content: Obj<Content<'a>>,
    pub(super) finish_reason: Text<'a>,
    /// The words to the finish reason.
    pub(super) finish_message: Text<'a>,
    /// Whether it has something in a member that is not known.
    pub(super) unknown: bool,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    pub(super) parts: List<Obj<Part<'a>>>,
}

#[derive(Debug, Default)]
pub(super) struct Part<'a> {
    pub(super) text: Text<'a>,
    /// Whether the text is the model's reasoning.
    pub(super) thought: Flag,
    pub(super) thought_signature: Text<'a>,
    pub(super) function_call: Obj<FunctionCall<'a>>,
    /// Whether it is code of which the result comes later.
    pub(super) executable_code: Filled,
    /// Whether it has something in a member that is not known.
    pub(super) unknown: bool,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct FunctionCall<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) args: Arguments<'a>,
    /// Arguments piece by piece, where the request asked for that.
    pub(super) partial_args: List<Value>,
    /// Whether further pieces of this call will come.
    pub(super) will_continue: Flag,
}

/// The tokens so far.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Counts {
    pub(super) prompt_token_count: Count,
    pub(super) tool_use_prompt_token_count: Count,
    pub(super) candidates_token_count: Count,
    pub(super) thoughts_token_count: Count,
    pub(super) cached_content_token_count: Count,
}

impl<'de: 'a, 'a> Deserialize<'de> for Candidate<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CandidateVisitor;
        impl<'de> Visitor<'de> for CandidateVisitor {
            type Value = Candidate<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Candidate<'de>, A::Error> {
                let mut candidate = Candidate::default();
                while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
                    match &*name {
                        "content" => candidate.content = map.next_value()?,
                        "index" => candidate.index = map.next_value()?,
                        "finishReason" => candidate.finish_reason = map.next_value()?,
                        "finishMessage" => candidate.finish_message = map.next_value()?,
                        "safetyRatings" | "tokenCount" | "avgLogprobs" | "logprobsResult" => {
                            let IgnoredAny = map.next_value()?;
                        }
                        _ => candidate.unknown |= map.next_value::<Filled>()?.0,
                    }
                }
                Ok(candidate)
            }
        }
        deserializer.deserialize_map(CandidateVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Part<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PartVisitor;
        impl<'de> Visitor<'de> for PartVisitor {
            type Value = Part<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Part<'de>, A::Error> {
                let mut part = Part::default();
                while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
                    match &*name {
                        "text" => part.text = map.next_value()?,
                        "thought" => part.thought = map.next_value()?,
                        "thoughtSignature" => part.thought_signature = map.next_value()?,
                        "functionCall" => part.function_call = map.next_value()?,
                        "executableCode" => part.executable_code = map.next_value()?,
                        _ => part.unknown |= map.next_value::<Filled>()?.0,
                    }
                }
                Ok(part)
            }
        }
        deserializer.deserialize_map(PartVisitor)
    }
}
