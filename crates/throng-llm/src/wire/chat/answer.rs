//! The state of one chat completion: takes frames, gives events, and knows when the answer is complete.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use serde::de::{Deserialize, IgnoredAny};
use serde_json::Value;
use throng_core::Usage;

use super::calls::Calls;
use super::chunk::{Choice, Chunk, Delta, Fragment, RawUsage};
use crate::wire::fault::Fault;
use crate::wire::lenient::{Content, Obj, Text};
use crate::wire::surrogate::{self, Joiner};
use crate::{ErrorKind, FinishReason, Limited, Limits, LlmError, Received, Started, StreamEvent};

type Events = VecDeque<StreamEvent>;

/// One chat completion as far as it has arrived.
#[derive(Debug)]
pub(super) struct Answer {
    provider: Arc<str>,
    limits: Limits,
    pub(super) started: Started,
    started_given: bool,
    text: Joiner,
    reasoning: Joiner,
    refusal: Joiner,
    calls: Calls,
    finish: Option<FinishReason>,
    finished: bool,
    usage: Usage,
    text_bytes: usize,
    pub(super) received: Received,
}

/// Which text of the answer a piece belongs to.
#[derive(Clone, Copy, Debug)]
enum Channel {
    Text,
    Reasoning,
    Refusal,
}

impl Answer {
    pub(super) fn new(provider: Arc<str>, limits: Limits) -> Self {
        Self {
            provider,
            limits,
            started: Started::default(),
            started_given: false,
            text: Joiner::default(),
            reasoning: Joiner::default(),
            refusal: Joiner::default(),
            calls: Calls::default(),
            finish: None,
            finished: false,
            usage: Usage::default(),
            text_bytes: 0,
            received: Received::default(),
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.finish.is_some()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Takes one message of the stream.
    pub(super) fn frame(&mut self, name: &str, data: &str, events: &mut Events) -> Result<(), LlmError> {
        self.received.frames += 1;
        let data = data.trim();
        if data == "[DONE]" {
            if self.finish.is_none() {
                return Err(self.error(ErrorKind::Truncated, "sent [DONE] without a finish reason"));
            }
            self.end(events);
            return Ok(());
        }
        if name == "error" {
            return Err(self.fault(&Fault::from_body(data), data));
        }
        if data.is_empty()
            || data == "null"
            || matches!(name, "keepalive" | "keep-alive" | "ping" | "heartbeat")
        {
            events.push_back(StreamEvent::KeepAlive);
            return Ok(());
        }
        let before = events.len();
        let complete = self.is_complete();
        self.parse(data, events)?;
        if events.len() == before && complete == self.is_complete() {
            events.push_back(StreamEvent::KeepAlive);
        }
        Ok(())
    }

    /// Takes an answer in one piece.
    pub(super) fn whole(&mut self, body: &str, events: &mut Events) -> Result<(), LlmError> {
        self.received.frames += 1;
        if let Err(error) = serde_json::from_str::<IgnoredAny>(body)
            && error.is_eof()
        {
            let cut = self.error(ErrorKind::Truncated, "ended its answer in the middle of the JSON");
            return Err(cut.with_raw_body(body).with_source(error));
        }
        self.parse(body, events)?;
        if self.is_complete() {
            self.end(events);
            return Ok(());
        }
        let error = self.error(
            ErrorKind::Protocol,
            "sent JSON that is not a complete chat completion",
        );
        Err(error.with_raw_body(body))
    }

    /// Gives the last events. To be called only when the answer is complete.
    pub(super) fn end(&mut self, events: &mut Events) {
        let Some(mut finish) = self.finish.clone() else {
            return;
        };
        for (channel, half) in [
            (Channel::Reasoning, self.reasoning.finish()),
            (Channel::Text, self.text.finish()),
            (Channel::Refusal, self.refusal.finish()),
        ] {
            if let Some(half) = half {
                self.give(channel.event(half.to_string()), events);
            }
        }
        let cut = matches!(finish, FinishReason::Length | FinishReason::ContentFilter);
        let calls = std::mem::take(&mut self.calls);
        let called = calls.end(cut, &mut |event| self.give(event, events));
        if finish == FinishReason::Stop && called {
            finish = FinishReason::ToolCalls;
        }
        self.start(events);
        self.finished = true;
        events.push_back(StreamEvent::Finished {
            finish,
            usage: self.usage,
        });
    }

    fn parse(&mut self, json: &str, events: &mut Events) -> Result<(), LlmError> {
        // A struct would also be read from a list, member by member.
        if json.trim_start().starts_with('{')
            && let Ok(chunk) = serde_json::from_str::<Chunk<'_>>(json)
        {
            return self.chunk(chunk, None, json, events);
        }
        let marked = surrogate::mark(json);
        let (text, marker) = marked
            .as_ref()
            .map_or((json, None), |marked| (&*marked.json, Some(marked.marker)));
        let not_json = |error: serde_json::Error| {
            let fault = self.error(ErrorKind::Protocol, "sent a frame that is not JSON");
            fault.with_raw_body(json).with_source(error)
        };
        let value: Value = serde_json::from_str(text).map_err(not_json)?;
        if value.is_object() {
            let chunk = Chunk::deserialize(&value).map_err(not_json)?;
            return self.chunk(chunk, marker, json, events);
        }
        if value
            .get(0)
            .is_some_and(|first| first.get("error").is_some_and(says_error))
        {
            return Err(self.fault(&Fault::from_value(&value), json));
        }
        events.push_back(StreamEvent::Unknown { raw: json.to_owned() });
        Ok(())
    }

    fn chunk(
        &mut self,
        chunk: Chunk<'_>,
        marker: Option<char>,
        raw: &str,
        events: &mut Events,
    ) -> Result<(), LlmError> {
        self.check_error(&chunk, raw)?;
        let groq_usage = chunk.x_groq.0.map(|groq| groq.usage).unwrap_or_default();
        if chunk.choices.0.is_none() && chunk.usage.0.is_none() && groq_usage.0.is_none() {
            events.push_back(StreamEvent::Unknown { raw: raw.to_owned() });
            return Ok(());
        }
        let known = |mine: &mut Option<String>, text: Text<'_>| {
            if mine.is_none() && text.filled().is_some() {
                *mine = text.0.map(|text| surrogate::whole(text, marker));
            }
        };
        known(&mut self.started.id, chunk.id);
        known(&mut self.started.model, chunk.model);
        let mut unknown = false;
        for choice in chunk.choices.into_items() {
            unknown |= match choice.0 {
                Some(choice) if choice.index.0.unwrap_or(0) == 0 => self.choice(choice, marker, events)?,
                _ => true,
            };
        }
        self.use_up(
            if chunk.usage.0.is_some() {
                &chunk.usage
            } else {
                &groq_usage
            },
            events,
        );
        if unknown {
            events.push_back(StreamEvent::Unknown { raw: raw.to_owned() });
        }
        Ok(())
    }

    /// Looks for an error in every place where servers put one, before anything else of the frame is believed.
    fn check_error(&self, chunk: &Chunk<'_>, raw: &str) -> Result<(), LlmError> {
        let in_choices = || {
            chunk
                .choices
                .0
                .iter()
                .flatten()
                .filter_map(|choice| choice.0.as_ref())
        };
        let wrapped = [
            chunk.error.as_ref(),
            chunk.x_groq.0.as_ref().and_then(|groq| groq.error.as_ref()),
        ]
        .into_iter()
        .chain(in_choices().map(|choice| choice.error.as_ref()))
        .flatten()
        .find(|error| says_error(error));
        if let Some(error) = wrapped {
            return Err(self.fault(&Fault::from_value(error), raw));
        }
        let bare = chunk.choices.0.is_none()
            && (chunk.object.filled() == Some("error")
                || chunk.message.filled().is_some()
                    && (chunk.code.filled().or(chunk.type_.filled()).is_some()));
        if bare {
            return Err(self.fault(&Fault::from_body(raw), raw));
        }
        if in_choices().any(|choice| choice.finish_reason.filled() == Some("error")) {
            let fault = self.error(
                ErrorKind::Server,
                "ended its answer with the finish reason `error`",
            );
            return Err(fault.with_raw_body(raw));
        }
        Ok(())
    }

    /// Returns whether the choice has something that is not known.
    fn choice(
        &mut self,
        choice: Choice<'_>,
        marker: Option<char>,
        events: &mut Events,
    ) -> Result<bool, LlmError> {
        self.start(events);
        // Some servers repeat the whole message beside the deltas.
        let message = if self.received.content {
            None
        } else {
            choice.message.0
        };
        let unknown = match choice.delta.0.or(message) {
            Some(delta) => self.delta(delta, marker, events)?,
            None => false,
        };
        self.use_up(&choice.usage, events);
        if let Some(reason) = choice.finish_reason.filled() {
            // The first one counts: some servers repeat it with the usage.
            self.finish.get_or_insert_with(|| FinishReason::from_wire(reason));
        }
        Ok(unknown)
    }

    fn delta(
        &mut self,
        delta: Delta<'_>,
        marker: Option<char>,
        events: &mut Events,
    ) -> Result<bool, LlmError> {
        let mut unknown = delta.unknown;
        let named = if delta.reasoning_content.filled().is_some() {
            delta.reasoning_content
        } else {
            delta.reasoning
        };
        let details_only = named.filled().is_none();
        self.say(Channel::Reasoning, named.0, marker, events)?;
        for detail in delta.reasoning_details.into_items() {
            let text = |name| {
                detail
                    .get(name)
                    .and_then(Value::as_str)
                    .filter(|text| !text.is_empty())
            };
            if let Some(text) = text("text").or_else(|| text("summary")).filter(|_| details_only) {
                self.say(Channel::Reasoning, Some(text.into()), marker, events)?;
            }
            let readable = matches!(text("type"), Some("reasoning.text" | "reasoning.summary"));
            if !readable || text("signature").is_some() || text("data").is_some() {
                self.give(StreamEvent::ReasoningOpaque(detail), events);
            }
        }
        match delta.content {
            Content::Absent => {}
            Content::Text(text) => self.say(Channel::Text, Some(text), marker, events)?,
            Content::Parts(parts) => {
                for part in &parts {
                    unknown |= !self.part(part, marker, events)?;
                }
            }
        }
        self.say(Channel::Refusal, delta.refusal.0, marker, events)?;
        let mut touched = Vec::new();
        for fragment in delta.tool_calls.into_items() {
            match fragment.0 {
                Some(fragment) => {
                    unknown |= fragment.unknown;
                    unknown |= !self.fragment(fragment, &mut touched, marker, events)?;
                }
                None => unknown = true,
            }
        }
        if let Some(function) = delta.function_call.0 {
            let legacy = Fragment {
                index: crate::wire::lenient::Count(Some(u64::MAX)),
                ..Fragment::default()
            };
            self.fragment(
                Fragment {
                    function: Obj(Some(function)),
                    ..legacy
                },
                &mut touched,
                marker,
                events,
            )?;
        }
        Ok(unknown)
    }

    /// Takes one part of a content that is a list. Returns false if the part is not known.
    fn part(&mut self, part: &Value, marker: Option<char>, events: &mut Events) -> Result<bool, LlmError> {
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
            self.say(channel, piece.map(Cow::Owned), marker, events)?;
        }
        Ok(known)
    }

    /// Takes a piece of a tool call. Returns false if it says nothing that is known.
    fn fragment(
        &mut self,
        fragment: Fragment<'_>,
        touched: &mut Vec<usize>,
        marker: Option<char>,
        events: &mut Events,
    ) -> Result<bool, LlmError> {
        let mut calls = std::mem::take(&mut self.calls);
        let limits = self.limits;
        let taken = calls.fragment(fragment, touched, marker, &limits, &mut |event| {
            self.give(event, events);
        });
        self.calls = calls;
        taken.map_err(|limited| {
            let message = match limited {
                Limited::ToolCalls => format!("called more than {} tools in one answer", limits.tool_calls),
                _ => format!(
                    "sent more than {} bytes of arguments for tools",
                    limits.tool_args_bytes
                ),
            };
            self.error(ErrorKind::TooLarge(limited), &message)
        })
    }

    fn say(
        &mut self,
        channel: Channel,
        text: Option<Cow<'_, str>>,
        marker: Option<char>,
        events: &mut Events,
    ) -> Result<(), LlmError> {
        let Some(text) = text else { return Ok(()) };
        let joiner = match channel {
            Channel::Text => &mut self.text,
            Channel::Reasoning => &mut self.reasoning,
            Channel::Refusal => &mut self.refusal,
        };
        let text = joiner.join(text, marker);
        if text.is_empty() {
            return Ok(());
        }
        self.text_bytes += text.len();
        if self.text_bytes > self.limits.text_bytes {
            let message = format!("sent more than {} bytes of text", self.limits.text_bytes);
            return Err(self.error(ErrorKind::TooLarge(Limited::Text), &message));
        }
        self.give(channel.event(text), events);
        Ok(())
    }

    fn use_up(&mut self, usage: &Obj<RawUsage>, events: &mut Events) {
        let Some(usage) = usage
            .0
            .as_ref()
            .map(RawUsage::to_usage)
            .filter(|usage| !usage.is_empty())
        else {
            return;
        };
        let before = self.usage;
        self.usage.replace_with(&usage);
        if self.usage != before {
            self.start(events);
            events.push_back(StreamEvent::Usage(self.usage));
        }
    }

    fn start(&mut self, events: &mut Events) {
        if !self.started_given {
            self.started_given = true;
            events.push_back(StreamEvent::Started(Box::new(self.started.clone())));
        }
    }

    fn give(&mut self, event: StreamEvent, events: &mut Events) {
        self.received.content |= event.is_content();
        self.received.text_bytes += event.text_bytes() as u64;
        events.push_back(event);
    }

    fn error(&self, kind: ErrorKind, message: &str) -> LlmError {
        LlmError::new(kind, Arc::clone(&self.provider), message)
    }

    fn fault(&self, fault: &Fault, raw: &str) -> LlmError {
        LlmError::in_stream(fault.kind(None), Arc::clone(&self.provider), &fault.message)
            .with_code(fault.code.clone())
            .with_raw_body(raw)
    }
}

impl Channel {
    fn event(self, text: String) -> StreamEvent {
        match self {
            Self::Text => StreamEvent::TextDelta(text),
            Self::Reasoning => StreamEvent::ReasoningDelta(text),
            Self::Refusal => StreamEvent::RefusalDelta(text),
        }
    }
}

/// Returns whether the value of a member `error` stands for an error.
fn says_error(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false)) && value.as_str() != Some("")
}
