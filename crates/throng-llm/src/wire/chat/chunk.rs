//! The JSON of a chat completion, whole or in chunks, read without trust in any member's type.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use throng_core::Usage;

use crate::wire::lenient::{Arguments, Content, Count, Filled, List, Name, Obj, Text};

/// One frame of a stream, or a whole completion.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::wire) struct Chunk<'a> {
    #[serde(borrow)]
    pub(in crate::wire) id: Text<'a>,
    #[serde(borrow)]
    pub(in crate::wire) model: Text<'a>,
    #[serde(borrow)]
    pub(in crate::wire) object: Text<'a>,
    pub(in crate::wire) error: Option<Value>,
    #[serde(borrow)]
    pub(in crate::wire) choices: List<Obj<Choice<'a>>>,
    pub(in crate::wire) usage: Obj<RawUsage>,
    pub(in crate::wire) x_groq: Obj<Groq>,
    /// With `code` or `type` and without `choices`: an error without a wrapper.
    #[serde(borrow)]
    pub(in crate::wire) message: Text<'a>,
    #[serde(borrow)]
    pub(in crate::wire) code: Text<'a>,
    #[serde(borrow, rename = "type")]
    pub(in crate::wire) type_: Text<'a>,
}

/// Groq's own member.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::wire) struct Groq {
    pub(in crate::wire) error: Option<Value>,
    pub(in crate::wire) usage: Obj<RawUsage>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::wire) struct Choice<'a> {
    pub(in crate::wire) index: Count,
    #[serde(borrow)]
    pub(in crate::wire) delta: Obj<Delta<'a>>,
    #[serde(borrow)]
    pub(in crate::wire) message: Obj<Delta<'a>>,
    #[serde(borrow)]
    pub(in crate::wire) finish_reason: Text<'a>,
    pub(in crate::wire) error: Option<Value>,
    pub(in crate::wire) usage: Obj<RawUsage>,
}

/// What a choice adds, or a whole message.
#[derive(Debug, Default)]
pub(in crate::wire) struct Delta<'a> {
    pub(in crate::wire) content: Content<'a>,
    pub(in crate::wire) refusal: Text<'a>,
    pub(in crate::wire) reasoning_content: Text<'a>,
    pub(in crate::wire) reasoning: Text<'a>,
    pub(in crate::wire) reasoning_details: List<Value>,
    pub(in crate::wire) tool_calls: List<Obj<Fragment<'a>>>,
    pub(in crate::wire) function_call: Obj<Function<'a>>,
    /// Whether it has something in a member that is not known.
    pub(in crate::wire) unknown: bool,
}

/// A piece of a tool call.
#[derive(Debug, Default)]
pub(in crate::wire) struct Fragment<'a> {
    pub(in crate::wire) index: Count,
    pub(in crate::wire) id: Text<'a>,
    pub(in crate::wire) function: Obj<Function<'a>>,
    /// Whether it has something in a member that is not known.
    pub(in crate::wire) unknown: bool,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::wire) struct Function<'a> {
    #[serde(borrow)]
    pub(in crate::wire) name: Text<'a>,
    #[serde(borrow)]
    pub(in crate::wire) arguments: Arguments<'a>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::wire) struct RawUsage {
    prompt_tokens: Count,
    completion_tokens: Count,
    prompt_tokens_details: Obj<Details>,
    completion_tokens_details: Obj<Details>,
    /// DeepSeek's name for the cached part.
    prompt_cache_hit_tokens: Count,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Count,
    reasoning_tokens: Count,
}

impl RawUsage {
    pub(in crate::wire) fn to_usage(&self) -> Usage {
        let details =
            |details: &Obj<Details>, pick: fn(&Details) -> Count| details.0.as_ref().and_then(|d| pick(d).0);
        let mut usage = Usage::default();
        usage.input_tokens = self.prompt_tokens.0;
        usage.output_tokens = self.completion_tokens.0;
        usage.cached_input_tokens =
            details(&self.prompt_tokens_details, |d| d.cached_tokens).or(self.prompt_cache_hit_tokens.0);
        usage.reasoning_tokens = details(&self.completion_tokens_details, |d| d.reasoning_tokens);
        usage
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Delta<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DeltaVisitor;
        impl<'de> Visitor<'de> for DeltaVisitor {
            type Value = Delta<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Delta<'de>, A::Error> {
                let mut delta = Delta::default();
                while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
                    match &*name {
                        "content" => delta.content = map.next_value()?,
                        "refusal" => delta.refusal = map.next_value()?,
                        "reasoning_content" => delta.reasoning_content = map.next_value()?,
                        "reasoning" => delta.reasoning = map.next_value()?,
                        "reasoning_details" => delta.reasoning_details = map.next_value()?,
                        "tool_calls" => delta.tool_calls = map.next_value()?,
                        "function_call" => delta.function_call = map.next_value()?,
                        "role" => drop(map.next_value::<IgnoredAny>()?),
                        _ => delta.unknown |= map.next_value::<Filled>()?.0,
                    }
                }
                Ok(delta)
            }
        }
        deserializer.deserialize_map(DeltaVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fragment<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FragmentVisitor;
        impl<'de> Visitor<'de> for FragmentVisitor {
            type Value = Fragment<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fragment<'de>, A::Error> {
                let mut fragment = Fragment::default();
                while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
                    match &*name {
                        "index" => fragment.index = map.next_value()?,
                        "id" => fragment.id = map.next_value()?,
                        "function" => fragment.function = map.next_value()?,
                        "type" => drop(map.next_value::<IgnoredAny>()?),
                        _ => fragment.unknown |= map.next_value::<Filled>()?.0,
                    }
                }
                Ok(fragment)
            }
        }
        deserializer.deserialize_map(FragmentVisitor)
    }
}
