//! An answer on its way, whatever its wire: what was said, under which limits, and whether it is complete.
//!
//! Keeps laws 1, 3 and 4: the last event comes once, a call ends only when its arguments are whole, and a usage
//! replaces the one before.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_json::Value;
use throng_core::Usage;

use super::calls::Calls;
use super::fault::Fault;
use super::pattern::Pattern;
use super::surrogate::{self, Joiner};
use crate::{ErrorKind, FinishReason, Limited, Limits, LlmError, Received, Started, StreamEvent};

/// Where the events of an answer go.
pub(super) type Events = VecDeque<StreamEvent>;

/// An answer as far as it has arrived.
#[derive(Debug)]
pub(super) struct Draft {
    provider: Arc<str>,
    limits: Limits,
    pub(super) started: Started,
    started_given: bool,
    text: Joiner,
    reasoning: Joiner,
    refusal: Joiner,
    calls: Calls,
    finish: Option<FinishReason>,
    /// The provider said that the answer is not whole.
    cut: bool,
    finished: bool,
    usage: Usage,
    text_bytes: usize,
    pub(super) received: Received,
    /// The last frame that said nothing but a piece of text.
    pub(super) pattern: Pattern,
}

/// Which text of the answer a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Text,
    Reasoning,
    Refusal,
}

impl Draft {
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
            cut: false,
            finished: false,
            usage: Usage::default(),
            text_bytes: 0,
            received: Received::default(),
            pattern: Pattern::default(),
        }
    }

    pub(super) fn provider(&self) -> &Arc<str> {
        &self.provider
    }

    /// Returns true once the model said why it stopped.
    pub(super) fn is_complete(&self) -> bool {
        self.finish.is_some()
    }

    /// Returns true once the last event was given.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Notes the answer's id and model. The first ones count.
    pub(super) fn identify(
        &mut self,
        id: Option<Cow<'_, str>>,
        model: Option<Cow<'_, str>>,
        marker: Option<char>,
    ) {
        let known = |mine: &mut Option<String>, text: Option<Cow<'_, str>>| {
            if mine.is_none() && text.as_ref().is_some_and(|text| !text.is_empty()) {
                *mine = text.map(|text| surrogate::whole(text, marker));
            }
        };
        known(&mut self.started.id, id);
        known(&mut self.started.model, model);
    }

    /// Gives the first event, unless it was given.
    pub(super) fn start(&mut self, events: &mut Events) {
        if !self.started_given {
            self.started_given = true;
            events.push_back(StreamEvent::Started(Box::new(self.started.clone())));
        }
    }

    /// Adds a piece of a text; none and an empty one say nothing.
    ///
    /// # Errors
    ///
    /// If the texts go over their limit.
    pub(super) fn say(
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
        self.weigh(text.len())?;
        self.start(events);
        self.give(channel.event(text), events);
        Ok(())
    }

    /// Adds a part of the reasoning that only the provider can read.
    ///
    /// # Errors
    ///
    /// If the texts go over their limit.
    pub(super) fn say_opaque(&mut self, part: Value, events: &mut Events) -> Result<(), LlmError> {
        self.weigh(opaque_bytes(&part))?;
        self.give_opaque(part, events);
        Ok(())
    }

    /// As [`say_opaque`](Self::say_opaque), for a part that was weighed as it came.
    pub(super) fn give_opaque(&mut self, part: Value, events: &mut Events) {
        self.start(events);
        self.give(StreamEvent::ReasoningOpaque(part), events);
    }

    /// Counts bytes that are kept.
    ///
    /// # Errors
    ///
    /// If the texts go over their limit.
    pub(super) fn weigh(&mut self, bytes: usize) -> Result<(), LlmError> {
        self.text_bytes += bytes;
        if self.text_bytes <= self.limits.text_bytes {
            return Ok(());
        }
        let message = format!("sent more than {} bytes of text", self.limits.text_bytes);
        Err(self.error(ErrorKind::TooLarge(Limited::Text), &message))
    }

    /// Takes a frame that differs from one before in its text only. Returns false for every other frame.
    ///
    /// # Errors
    ///
    /// If the texts go over their limit.
    pub(super) fn say_as_before(&mut self, frame: &str, events: &mut Events) -> Result<bool, LlmError> {
        match self.pattern.text_of(frame) {
            Some((channel, text)) => self.say(channel, Some(text.into()), None, events).map(|()| true),
            None => Ok(false),
        }
    }

    /// Lets the tool calls take something in.
    ///
    /// # Errors
    ///
    /// If the calls go over a limit.
    pub(super) fn with_calls<T>(
        &mut self,
        events: &mut Events,
        take: impl FnOnce(&mut Calls, &Limits, &mut dyn FnMut(StreamEvent)) -> Result<T, Limited>,
    ) -> Result<T, LlmError> {
        self.start(events);
        let Self {
            calls,
            limits,
            received,
            ..
        } = self;
        let taken = take(calls, limits, &mut |event| note(received, event, events));
        taken.map_err(|limited| {
            let message = match limited {
                Limited::ToolCalls => {
                    format!("called more than {} tools in one answer", self.limits.tool_calls)
                }
                _ => format!(
                    "sent more than {} bytes of arguments for tools",
                    self.limits.tool_args_bytes
                ),
            };
            self.error(ErrorKind::TooLarge(limited), &message)
        })
    }

    /// Returns how many tool calls have begun.
    pub(super) fn n_calls(&self) -> u32 {
        self.calls.slots()
    }

    /// Takes over a snapshot of the usage.
    pub(super) fn use_up(&mut self, usage: &Usage, events: &mut Events) {
        let before = self.usage;
        self.usage.replace_with(usage);
        if self.usage != before {
            self.start(events);
            events.push_back(StreamEvent::Usage(self.usage));
        }
    }

    /// Notes why the model stopped. The first reason counts: some servers repeat it with the usage.
    pub(super) fn stop(&mut self, reason: FinishReason) {
        self.finish.get_or_insert(reason);
    }

    /// Notes that the answer is not whole, whatever the reason.
    pub(super) fn cut(&mut self) {
        self.cut = true;
    }

    /// Notes why the model stopped, on a wire on which it can stop and go on: the last reason counts.
    pub(super) fn stop_anew(&mut self, reason: FinishReason) {
        self.finish = Some(reason);
    }

    /// Checks the size of a frame that came in several pieces.
    ///
    /// # Errors
    ///
    /// If it is larger than allowed.
    pub(super) fn check_event(&self, bytes: usize) -> Result<(), LlmError> {
        let max = self.limits.event_bytes;
        if bytes <= max {
            return Ok(());
        }
        let message = format!("sent an event of more than {max} bytes");
        Err(self.error(ErrorKind::TooLarge(Limited::Event), &message))
    }

    /// Gives the last events, if the model said why it stopped.
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
                self.start(events);
                self.give(channel.event(half.to_string()), events);
            }
        }
        let cut = self.cut || finish.is_cut();
        let Self { calls, received, .. } = self;
        let called = std::mem::take(calls).end(cut, &mut |event| note(received, event, events));
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

    pub(super) fn error(&self, kind: ErrorKind, message: &str) -> LlmError {
        LlmError::new(kind, Arc::clone(&self.provider), message)
    }

    /// Makes the error of an answer that reports one within itself.
    pub(super) fn fault(&self, fault: &Fault, raw: &str) -> LlmError {
        LlmError::in_stream(fault.kind(None), Arc::clone(&self.provider), &fault.message)
            .with_code(fault.code.clone())
            .with_retry_after(fault.retry_after)
            .with_overflow(fault.overflow())
            .with_raw_body(raw)
    }

    /// Checks that an answer in one piece does not end in the middle of its JSON.
    ///
    /// # Errors
    ///
    /// If it does.
    pub(super) fn check_end(&self, body: &str) -> Result<(), LlmError> {
        match serde_json::from_str::<IgnoredAny>(body) {
            Err(cause) if cause.is_eof() => Err(self.not_whole(body, cause)),
            _ => Ok(()),
        }
    }

    /// Makes the error of an answer in one piece that is not JSON, or of which the end is missing.
    pub(super) fn not_whole(&self, body: &str, cause: serde_json::Error) -> LlmError {
        let error = if cause.is_eof() {
            self.error(ErrorKind::Truncated, "ended its answer in the middle of the JSON")
        } else {
            self.error(ErrorKind::Protocol, "sent an answer that is not JSON")
        };
        error.with_raw_body(body).with_source(cause)
    }

    fn give(&mut self, event: StreamEvent, events: &mut Events) {
        note(&mut self.received, event, events);
    }
}

/// Gives an event and counts what it carries.
fn note(received: &mut Received, event: StreamEvent, events: &mut Events) {
    received.content |= event.is_content();
    received.text_bytes += event.text_bytes() as u64;
    events.push_back(event);
}

/// Returns how many bytes of text an opaque part carries, roughly.
fn opaque_bytes(part: &Value) -> usize {
    match part {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(opaque_bytes).sum(),
        Value::Object(members) => members.values().map(opaque_bytes).sum(),
        _ => 0,
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
