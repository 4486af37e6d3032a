//! The JSON of a chat completion, whole or in chunks, read without trust in any member's type.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use throng_core::Usage;

use crate::wire::draft::Channel;
use crate::wire::fill::{Fill, FillForm, Place, Places, skip};
use crate::wire::lenient::{Arguments, Content, Count, Filled, List, Obj, Text, absent, drain_map};

/// One frame of a stream, or a whole completion.
#[derive(Debug, Default)]
pub(in crate::wire) struct Chunk<'a> {
    pub(in crate::wire) id: Text<'a>,
    pub(in crate::wire) model: Text<'a>,
    pub(in crate::wire) object: Text<'a>,
    pub(in crate::wire) error: Option<Box<Value>>,
    pub(in crate::wire) choices: Choices<'a>,
    pub(in crate::wire) usage: Obj<Box<RawUsage>>,
    pub(in crate::wire) x_groq: Obj<Box<Groq>>,
    /// With `code` or `type` and without `choices`: an error without a wrapper.
    pub(in crate::wire) message: Text<'a>,
    pub(in crate::wire) code: Text<'a>,
    pub(in crate::wire) type_: Text<'a>,
}

impl Chunk<'_> {
    /// Returns the text of a frame that says nothing else.
    pub(in crate::wire) fn plain_text(&self) -> Option<(Channel, &str)> {
        let choice = &self.choices.first;
        let delta = &choice.delta;
        let alone = self.choices.has_first == Some(true)
            && self.choices.more.is_empty()
            && choice.index.0.unwrap_or(0) == 0
            && choice.has_delta
            && choice.finish_reason.filled().is_none()
            && self.usage.0.is_none()
            && choice.usage.0.is_none()
            && self.x_groq.0.is_none();
        let bare = delta.refusal.filled().is_none()
            && delta.reasoning_details.0.is_none()
            && delta.tool_calls.is_empty()
            && delta.function_call.0.is_none()
            && !delta.unknown;
        let thought = [&delta.reasoning_content, &delta.reasoning]
            .into_iter()
            .find(|text| text.filled().is_some());
        match (&delta.content, thought) {
            (Content::Text(text), None) if alone && bare => Some((Channel::Text, text)),
            (Content::Absent, Some(Text(Some(text)))) if alone && bare => Some((Channel::Reasoning, text)),
            _ => None,
        }
    }
}

/// The form of a frame.
pub(super) struct ChunkForm;

impl FillForm for ChunkForm {
    type Of<'a> = Chunk<'a>;
}

/// Groq's own member.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::wire) struct Groq {
    pub(in crate::wire) error: Option<Box<Value>>,
    pub(in crate::wire) usage: Obj<Box<RawUsage>>,
}

/// The choices of a frame. The first one is kept in place: mostly it is the only one.
#[derive(Debug, Default)]
pub(in crate::wire) struct Choices<'a> {
    /// Whether they are a list at all.
    pub(in crate::wire) is_list: bool,
    /// Whether the first one is an object, if there is one.
    pub(in crate::wire) has_first: Option<bool>,
    pub(in crate::wire) first: Choice<'a>,
    pub(in crate::wire) more: Vec<Option<Choice<'a>>>,
}

impl<'a> Choices<'a> {
    pub(in crate::wire) fn iter(&self) -> impl Iterator<Item = &Choice<'a>> {
        let first = (self.has_first == Some(true)).then_some(&self.first);
        first.into_iter().chain(self.more.iter().flatten())
    }
}

#[derive(Debug, Default)]
pub(in crate::wire) struct Choice<'a> {
    pub(in crate::wire) index: Count,
    pub(in crate::wire) delta: Delta<'a>,
    pub(in crate::wire) has_delta: bool,
    pub(in crate::wire) message: Option<Box<Delta<'a>>>,
    pub(in crate::wire) finish_reason: Text<'a>,
    pub(in crate::wire) error: Option<Box<Value>>,
    pub(in crate::wire) usage: Obj<Box<RawUsage>>,
}

/// What a choice adds, or a whole message.
#[derive(Debug, Default)]
pub(in crate::wire) struct Delta<'a> {
    pub(in crate::wire) content: Content<'a>,
    pub(in crate::wire) refusal: Text<'a>,
    pub(in crate::wire) reasoning_content: Text<'a>,
    pub(in crate::wire) reasoning: Text<'a>,
    pub(in crate::wire) reasoning_details: List<Value>,
    pub(in crate::wire) tool_calls: Vec<Option<Fragment<'a>>>,
    pub(in crate::wire) function_call: Obj<Box<Function<'a>>>,
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

impl<'de: 'a, 'a> Fill<'de> for Chunk<'a> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "choices" => map.next_value_seed(ChoicesPlace(&mut self.choices))?,
            "id" => self.id = map.next_value()?,
            "model" => self.model = map.next_value()?,
            "object" => self.object = map.next_value()?,
            "usage" => self.usage = map.next_value()?,
            "error" => self.error = map.next_value()?,
            "x_groq" => self.x_groq = map.next_value()?,
            "message" => self.message = map.next_value()?,
            "code" => self.code = map.next_value()?,
            "type" => self.type_ = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// Reads the choices into their place.
struct ChoicesPlace<'p, 'a>(&'p mut Choices<'a>);

impl<'de: 'a, 'a> DeserializeSeed<'de> for ChoicesPlace<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for ChoicesPlace<'_, 'a> {
    type Value = ();

    absent!((); bool, numbers, str, map);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        *self.0 = Choices::default();
        self.0.is_list = true;
        self.0.has_first = seq.next_element_seed(Place(&mut self.0.first))?;
        if self.0.has_first.is_some() {
            Places(&mut self.0.more).visit_seq(seq)?;
        }
        Ok(())
    }
}

impl<'de: 'a, 'a> Fill<'de> for Choice<'a> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "delta" => {
                if self.has_delta {
                    self.delta = Delta::default();
                }
                self.has_delta = map.next_value_seed(Place(&mut self.delta))?;
            }
            "index" => self.index = map.next_value()?,
            "finish_reason" => self.finish_reason = map.next_value()?,
            "message" => {
                let mut message = Box::<Delta<'a>>::default();
                self.message = map.next_value_seed(Place(&mut *message))?.then_some(message);
            }
            "error" => self.error = map.next_value()?,
            "usage" => self.usage = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de: 'a, 'a> Fill<'de> for Delta<'a> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "content" => self.content = map.next_value()?,
            "refusal" => self.refusal = map.next_value()?,
            "reasoning_content" => self.reasoning_content = map.next_value()?,
            "reasoning" => self.reasoning = map.next_value()?,
            "reasoning_details" => self.reasoning_details = map.next_value()?,
            "tool_calls" => drop(map.next_value_seed(Places(&mut self.tool_calls))?),
            "function_call" => self.function_call = map.next_value()?,
            "role" => skip(map)?,
            _ => self.unknown |= map.next_value::<Filled>()?.0,
        }
        Ok(())
    }
}

impl<'de: 'a, 'a> Fill<'de> for Fragment<'a> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "index" => self.index = map.next_value()?,
            "id" => self.id = map.next_value()?,
            "function" => self.function = map.next_value()?,
            "type" => skip(map)?,
            _ => self.unknown |= map.next_value::<Filled>()?.0,
        }
        Ok(())
    }
}
