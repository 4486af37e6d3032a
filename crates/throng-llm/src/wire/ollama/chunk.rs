//! The JSON of Ollama's `/api/chat`, whole or in lines, read without trust in any member's type.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use throng_core::Usage;

use crate::wire::lenient::{Arguments, Count, Filled, Flag, List, Name, Obj, Text};

/// One line of a stream, or a whole answer.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    pub(super) model: Text<'a>,
    pub(super) error: Option<Value>,
    #[serde(borrow)]
    pub(super) message: Obj<Message<'a>>,
    pub(super) done: Flag,
    #[serde(borrow)]
    pub(super) done_reason: Text<'a>,
    prompt_eval_count: Count,
    eval_count: Count,
}

/// What a line adds to the message.
#[derive(Debug, Default)]
pub(super) struct Message<'a> {
    pub(super) content: Text<'a>,
    pub(super) thinking: Text<'a>,
    pub(super) tool_calls: List<Obj<Call<'a>>>,
    /// Whether it has something in a member that is not known.
    pub(super) unknown: bool,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Call<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow)]
    pub(super) function: Obj<Function<'a>>,
}

/// A call is never cut into pieces, so that its `index` says nothing that its place in the stream does not.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) arguments: Arguments<'a>,
}

impl Line<'_> {
    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        usage.input_tokens = self.prompt_eval_count.0;
        usage.output_tokens = self.eval_count.0;
        usage
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Message<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MessageVisitor;
        impl<'de> Visitor<'de> for MessageVisitor {
            type Value = Message<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message<'de>, A::Error> {
                let mut message = Message::default();
                while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
                    match &*name {
                        "content" => message.content = map.next_value()?,
                        // Servers that imitate Ollama use the name of Chat Completions.
                        "thinking" | "reasoning_content" => message.thinking = map.next_value()?,
                        "tool_calls" => message.tool_calls = map.next_value()?,
                        "role" => drop(map.next_value::<IgnoredAny>()?),
                        _ => message.unknown |= map.next_value::<Filled>()?.0,
                    }
                }
                Ok(message)
            }
        }
        deserializer.deserialize_map(MessageVisitor)
    }
}
