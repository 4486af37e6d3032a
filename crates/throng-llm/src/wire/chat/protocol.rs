//! What the frames of a chat completion mean. It looks at `error` before it looks at anything else.

use std::borrow::Cow;

use serde_json::Value;

use super::chunk::{Choice, Chunk, ChunkForm, Delta, Fragment, RawUsage};
use crate::wire::draft::{Channel, Draft, Events};
use crate::wire::fault::{Fault, says_error};
use crate::wire::fill::fill_object;
use crate::wire::lenient::{Content, Count, Obj};
use crate::wire::protocol::{Frame, Protocol, is_sign_of_life};

use crate::{ErrorKind, FinishReason, LlmError, StreamEvent};

/// The answers of OpenAI's Chat Completions and of the many servers that imitate them.
#[derive(Debug, Default)]
pub(in crate::wire) struct Chat;

impl Protocol for Chat {
    fn frame(&mut self, draft: &mut Draft, frame: Frame<'_>, events: &mut Events) -> Result<(), LlmError> {
        if frame.data == "[DONE]" {
            if !draft.is_complete() {
                return Err(draft.error(ErrorKind::Truncated, "sent [DONE] without a finish reason"));
            }
            draft.end(events);
            return Ok(());
        }
        if frame.name == "error" {
            return Err(draft.fault(&Fault::from_body(frame.data), frame.data));
        }
        if is_sign_of_life(&frame) {
            return Ok(());
        }
        if draft.say_as_before(frame.data, events)? {
            return Ok(());
        }
        Taking { draft, events }.parse(frame.data)
    }

    fn whole(&mut self, draft: &mut Draft, body: &str, events: &mut Events) -> Result<(), LlmError> {
        draft.check_end(body)?;
        Taking { draft, events }.parse(body)
    }

    fn cut_message(&self) -> &'static str {
        "ended the stream before a finish reason"
    }
}

/// A frame being taken into the answer.
struct Taking<'a> {
    draft: &'a mut Draft,
    events: &'a mut Events,
}

impl Taking<'_> {
    fn parse(&mut self, json: &str) -> Result<(), LlmError> {
        match fill_object::<ChunkForm, _>(json, |chunk, marker| self.chunk(chunk, marker, json)) {
            Ok(taken) => taken,
            Err(odd) => odd.settle(self.draft, json, self.events),
        }
    }

    fn chunk(&mut self, chunk: Chunk<'_>, marker: Option<char>, raw: &str) -> Result<(), LlmError> {
        self.check_error(&chunk, raw)?;
        if marker.is_none()
            && let Some((channel, text)) = chunk.plain_text()
        {
            self.draft.pattern.keep(raw, text, channel);
        }
        let groq_usage = chunk.x_groq.0.map(|groq| groq.usage).unwrap_or_default();
        if !chunk.choices.is_list && chunk.usage.0.is_none() && groq_usage.0.is_none() {
            self.events
                .push_back(StreamEvent::Unknown { raw: raw.to_owned() });
            return Ok(());
        }
        self.draft.identify(chunk.id.0, chunk.model.0, marker);
        let mut unknown = false;
        match chunk.choices.has_first {
            Some(true) => unknown |= self.choice(chunk.choices.first, marker)?,
            Some(false) => unknown = true,
            None => {}
        }
        for choice in chunk.choices.more {
            unknown |= match choice {
                Some(choice) => self.choice(choice, marker)?,
                None => true,
            };
        }
        self.use_up(if chunk.usage.0.is_some() {
            &chunk.usage
        } else {
            &groq_usage
        });
        if unknown {
            self.events
                .push_back(StreamEvent::Unknown { raw: raw.to_owned() });
        }
        Ok(())
    }

    /// Looks for an error in every place where servers put one, before anything else of the frame is believed.
    fn check_error(&self, chunk: &Chunk<'_>, raw: &str) -> Result<(), LlmError> {
        let wrapped = [
            chunk.error.as_deref(),
            chunk.x_groq.0.as_ref().and_then(|groq| groq.error.as_deref()),
        ]
        .into_iter()
        .chain(chunk.choices.iter().map(|choice| choice.error.as_deref()))
        .flatten()
        .find(|error| says_error(error));
        if let Some(error) = wrapped {
            return Err(self.draft.fault(&Fault::from_value(error), raw));
        }
        let bare = !chunk.choices.is_list
            && (chunk.object.filled() == Some("error")
                || chunk.message.filled().is_some()
                    && (chunk.code.filled().or(chunk.type_.filled()).is_some()));
        if bare {
            return Err(self.draft.fault(&Fault::from_body(raw), raw));
        }
        if chunk
            .choices
            .iter()
            .any(|choice| choice.finish_reason.filled() == Some("error"))
        {
            let fault = self.draft.error(
                ErrorKind::Server,
                "ended its answer with the finish reason `error`",
            );
            return Err(fault.with_raw_body(raw));
        }
        Ok(())
    }

    /// Returns whether the choice has something that is not known, or belongs to another answer.
    fn choice(&mut self, choice: Choice<'_>, marker: Option<char>) -> Result<bool, LlmError> {
        if choice.index.0.unwrap_or(0) != 0 {
            return Ok(true);
        }
        self.draft.start(self.events);
        // Some servers repeat the whole message beside the deltas.
        let message = if self.draft.received.content {
            None
        } else {
            choice.message
        };
        let unknown = match message {
            _ if choice.has_delta => self.delta(choice.delta, marker)?,
            Some(message) => self.delta(*message, marker)?,
            None => false,
        };
        self.use_up(&choice.usage);
        if let Some(reason) = choice.finish_reason.filled() {
            self.draft.stop(FinishReason::from_wire(reason));
        }
        Ok(unknown)
    }

    fn delta(&mut self, delta: Delta<'_>, marker: Option<char>) -> Result<bool, LlmError> {
        let mut unknown = delta.unknown;
        let named = if delta.reasoning_content.filled().is_some() {
            delta.reasoning_content
        } else {
            delta.reasoning
        };
        let details_only = named.filled().is_none();
        self.say(Channel::Reasoning, named.0, marker)?;
        for detail in delta.reasoning_details.into_items() {
            let text = |name| {
                detail
                    .get(name)
                    .and_then(Value::as_str)
                    .filter(|text| !text.is_empty())
            };
            if let Some(text) = text("text").or_else(|| text("summary")).filter(|_| details_only) {
                self.say(Channel::Reasoning, Some(text.into()), marker)?;
            }
            let readable = matches!(text("type"), Some("reasoning.text" | "reasoning.summary"));
            if !readable || text("signature").is_some() || text("data").is_some() {
                self.draft.say_opaque(detail, self.events)?;
            }
        }
        match delta.content {
            Content::Absent => {}
            Content::Text(text) => self.say(Channel::Text, Some(text), marker)?,
            Content::Parts(parts) => {
                for part in &parts {
                    unknown |= !self.part(part, marker)?;
                }
            }
        }
        self.say(Channel::Refusal, delta.refusal.0, marker)?;
        let mut touched = Vec::new();
        for fragment in delta.tool_calls {
            match fragment {
                Some(fragment) => {
                    unknown |= fragment.unknown;
                    unknown |= !self.fragment(fragment, &mut touched, marker)?;
                }
                None => unknown = true,
            }
        }
        if let Some(function) = delta.function_call.0 {
            let legacy = Fragment {
                index: Count(Some(u64::MAX)),
                ..Fragment::default()
            };
            self.fragment(
                Fragment {
                    function: Obj(Some(*function)),
                    ..legacy
                },
                &mut touched,
                marker,
            )?;
        }
        Ok(unknown)
    }

    /// Takes one part of a content that is a list. Returns false if the part is not known.
    fn part(&mut self, part: &Value, marker: Option<char>) -> Result<bool, LlmError> {
        let text = |value: &Value, name| value.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        let (channel, pieces) = match (part, part.get("type").and_then(Value::as_str)) {
            (Value::String(piece), _) => (Channel::Text, vec![Some(piece.clone())]),
            (_, Some("text" | "output_text") | None) => (Channel::Text, vec![text(part, "text")]),
            (_, Some("refusal")) => (Channel::Refusal, vec![text(part, "refusal")]),
            (_, Some("thinking" | "reasoning")) => match part.get("thinking").or_else(|| part.get("text")) {
                Some(Value::String(piece)) => (Channel::Reasoning, vec![Some(piece.clone())]),
                Some(Value::Array(items)) => (
                    Channel::Reasoning,
                    items.iter().map(|item| text(item, "text")).collect(),
                ),
                _ => return Ok(false),
            },
            _ => return Ok(false),
        };
        let mut known = true;
        for piece in pieces {
            known &= piece.is_some();
            self.say(channel, piece.map(Cow::Owned), marker)?;
        }
        Ok(known)
    }

    /// Takes a piece of a tool call. Returns false if it says nothing that is known.
    fn fragment(
        &mut self,
        fragment: Fragment<'_>,
        touched: &mut Vec<usize>,
        marker: Option<char>,
    ) -> Result<bool, LlmError> {
        self.draft.with_calls(self.events, |calls, limits, give| {
            calls.fragment(fragment, touched, marker, limits, give)
        })
    }

    fn say(
        &mut self,
        channel: Channel,
        text: Option<Cow<'_, str>>,
        marker: Option<char>,
    ) -> Result<(), LlmError> {
        self.draft.say(channel, text, marker, self.events)
    }

    fn use_up(&mut self, usage: &Obj<Box<RawUsage>>) {
        if let Some(usage) = &usage.0 {
            self.draft.use_up(&usage.to_usage(), self.events);
        }
    }
}
