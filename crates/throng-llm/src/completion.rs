//! A whole answer, folded from its events.

use std::time::Duration;

use serde_json::Value;
use throng_core::Usage;

use crate::{FinishReason, Message, Part, RateLimits, Role, StreamEvent, ToolCall};

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Completion {
    /// What the model said.
    pub text: String,
    /// What it thought, as far as the provider shows that.
    pub reasoning: String,
    /// The parts of its reasoning that only the provider can read, to be sent back with the next turn.
    pub reasoning_opaque: Vec<Value>,
    /// With which words it refused; empty if it did not.
    pub refusal: String,
    /// The tools that it calls, in order.
    pub tool_calls: Vec<ToolCall>,
    /// A tool call that was cut off, by the token limit as a rule. It must not be run.
    pub cut_tool_calls: Vec<ToolCall>,
    /// The tokens that were used, as far as the provider said.
    pub usage: Usage,
    /// Why the model stopped; `None` only while the answer is not complete.
    pub finish: Option<FinishReason>,
    /// The answer's id.
    pub id: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// The request's id in the provider's logs.
    pub request_id: Option<String>,
    /// The rate limits that came with the answer.
    pub limits: RateLimits,
    /// Whether the answer came from a [`Cache`](crate::Cache).
    pub cached: bool,
    /// From the beginning of the call to the first content.
    pub first_content: Option<Duration>,
    /// From the beginning of the call to its end.
    pub elapsed: Duration,
    /// The slots of `cut_tool_calls`.
    open_slots: Vec<u32>,
}

impl Completion {
    /// Adds the next event of a stream. [`KeepAlive`](StreamEvent::KeepAlive) and
    /// [`Unknown`](StreamEvent::Unknown) change nothing.
    pub fn push(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Started(started) => {
                self.id = started.id;
                self.model = started.model;
                self.request_id = started.request_id;
                self.limits = started.limits;
                self.cached = started.cached;
            }
            StreamEvent::TextDelta(text) => append(&mut self.text, text),
            StreamEvent::ReasoningDelta(text) => append(&mut self.reasoning, text),
            StreamEvent::ReasoningOpaque(part) => self.reasoning_opaque.push(part),
            StreamEvent::RefusalDelta(text) => append(&mut self.refusal, text),
            StreamEvent::ToolCallStart { slot, id, name } => {
                self.open_slots.push(slot);
                self.cut_tool_calls.push(ToolCall::new(id, name, ""));
            }
            StreamEvent::ToolArgsDelta { slot, fragment } => {
                if let Some(at) = self.open_slots.iter().rposition(|open| *open == slot) {
                    append(&mut self.cut_tool_calls[at].arguments, fragment);
                }
            }
            StreamEvent::ToolCallEnd { slot, call } => {
                if let Some(at) = self.open_slots.iter().position(|open| *open == slot) {
                    self.open_slots.remove(at);
                    self.cut_tool_calls.remove(at);
                }
                self.tool_calls.push(call);
            }
            StreamEvent::Usage(usage) => self.usage.replace_with(&usage),
            StreamEvent::Finished { finish, usage } => {
                self.usage.replace_with(&usage);
                self.finish = Some(finish);
            }
            StreamEvent::KeepAlive | StreamEvent::Unknown { .. } => {}
        }
    }

    /// Returns the answer as a message, for the next turn of the conversation. Calls that were cut off are not in it.
    pub fn to_message(&self) -> Message {
        let text = if self.text.is_empty() {
            &self.refusal
        } else {
            &self.text
        };
        let parts = (!text.is_empty()).then(|| Part::Text(text.clone()));
        let mut message =
            Message::new(Role::Assistant, parts).with_tool_calls(self.tool_calls.iter().cloned());
        message.reasoning_opaque.clone_from(&self.reasoning_opaque);
        message
    }
}

/// Appends a text; the first one is moved, which saves a copy of an answer that comes in one piece.
fn append(whole: &mut String, part: String) {
    if whole.is_empty() {
        *whole = part;
    } else {
        whole.push_str(&part);
    }
}
