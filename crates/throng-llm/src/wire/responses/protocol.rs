//! What the events of OpenAI's Responses mean. It looks for an error before it looks at anything else.
//!
//! The same text comes up to four times: in deltas, at the end of its part, at the end of its item, and in the whole
//! response at the end. Gateways leave out any of them. What comes first in this order is taken, and nothing twice.

use std::borrow::Cow;

use super::items::{Items, Place};
use super::response::{Event, RawUsage, Response};
use crate::wire::draft::{Channel, Draft, Events};
use crate::wire::fault::{Fault, says_error};
use crate::wire::lenient::Obj;
use crate::wire::protocol::{Frame, Protocol, is_sign_of_life};
use crate::wire::read::{Form, read_object};
use crate::wire::surrogate::whole_value;
use crate::{ErrorKind, FinishReason, LlmError, StreamEvent};

/// The answers of OpenAI's Responses.
#[derive(Debug, Default)]
pub(in crate::wire) struct Responses {
    pub(super) items: Items,
    /// From where the text, the reasoning, the refusal and the opaque reasoning are taken.
    sources: [Option<Source>; 4],
    /// An item was seen by itself.
    pub(super) items_seen: bool,
}

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Delta,
    Part,
    Item,
    Response,
}

impl Protocol for Responses {
    fn frame(&mut self, draft: &mut Draft, frame: Frame<'_>, events: &mut Events) -> Result<(), LlmError> {
        if frame.data == "[DONE]" {
            return Err(draft.error(ErrorKind::Truncated, "sent [DONE] without a completed response"));
        }
        if frame.name == "error" {
            return Err(draft.fault(&Fault::from_body(frame.data), frame.data));
        }
        if is_sign_of_life(&frame) {
            return Ok(());
        }
        let mut taking = Taking {
            response: self,
            draft,
            events,
        };
        let (json, name) = (frame.data, frame.name);
        match read_object::<EventForm, _>(json, |event, marker| taking.event(event, name, marker, json)) {
            Ok(taken) => taken,
            Err(odd) => odd.settle(draft, json, events),
        }
    }

    fn whole(&mut self, draft: &mut Draft, body: &str, events: &mut Events) -> Result<(), LlmError> {
        draft.check_end(body)?;
        let mut taking = Taking {
            response: self,
            draft,
            events,
        };
        match read_object::<ResponseForm, _>(body, |response, marker| taking.whole(response, marker, body)) {
            Ok(taken) => taken,
            Err(odd) => odd.settle(draft, body, events),
        }
    }

    fn cut_message(&self) -> &'static str {
        "ended the stream before `response.completed`"
    }
}

/// An event being taken into the answer.
pub(super) struct Taking<'a> {
    pub(super) response: &'a mut Responses,
    pub(super) draft: &'a mut Draft,
    pub(super) events: &'a mut Events,
}

impl Taking<'_> {
    fn event(
        &mut self,
        mut event: Event<'_>,
        name: &str,
        marker: Option<char>,
        raw: &str,
    ) -> Result<(), LlmError> {
        self.check_error(&event, raw)?;
        let type_ = event.type_.0.take().filter(|type_| !type_.is_empty());
        let (index, item_id) = (event.output_index.0, event.item_id.0.as_deref());
        let place = Place {
            output_index: index,
            item_id: item_id.filter(|id| !id.is_empty()),
            call_id: None,
        };
        let mut known = true;
        match type_.as_deref().unwrap_or(name) {
            "response.output_text.delta" => self.say(Source::Delta, Channel::Text, event.delta.0, marker)?,
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.say(Source::Delta, Channel::Reasoning, event.delta.0, marker)?;
            }
            "response.refusal.delta" => self.say(Source::Delta, Channel::Refusal, event.delta.0, marker)?,
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                known = self.arguments(place, event.delta.0.unwrap_or_default(), marker)?;
            }
            "response.output_text.done" => self.say(Source::Part, Channel::Text, event.text.0, marker)?,
            "response.reasoning_summary_text.done" | "response.reasoning_text.done" => {
                self.say(Source::Part, Channel::Reasoning, event.text.0, marker)?;
            }
            "response.refusal.done" => self.say(Source::Part, Channel::Refusal, event.refusal.0, marker)?,
            "response.function_call_arguments.done" => {
                known = self.all_arguments(place, event.arguments.0, marker)?;
            }
            "response.custom_tool_call_input.done" => {
                known = self.all_arguments(place, event.input.0, marker)?;
            }
            "response.output_item.added" => {
                let item = whole_value(event.item.unwrap_or_default(), marker);
                self.response.items_seen = true;
                known = self.item_begins(index, &item)?;
            }
            "response.output_item.done" => {
                let item = whole_value(event.item.unwrap_or_default(), marker);
                self.response.items_seen = true;
                known = self.item(Source::Item, index, &item)?;
            }
            "response.content_part.added"
            | "response.content_part.done"
            | "response.reasoning_summary_part.added"
            | "response.reasoning_summary_part.done" => {
                let part = event.part.0.unwrap_or_default();
                known = part.type_.filled().is_none_or(|type_| {
                    matches!(
                        type_,
                        "output_text" | "refusal" | "reasoning_text" | "summary_text"
                    )
                });
            }
            "response.created" | "response.in_progress" | "response.queued" => {
                if let Some(response) = event.response.0 {
                    self.draft.identify(response.id.0, response.model.0, marker);
                    self.use_up(&response.usage);
                }
                self.draft.start(self.events);
            }
            terminal @ ("response.completed"
            | "response.incomplete"
            | "response.failed"
            | "response.cancelled") => {
                let status = terminal.trim_start_matches("response.");
                self.finish(event.response.0.unwrap_or_default(), status, marker, raw)?;
                self.draft.end(self.events);
            }
            _ => known = false,
        }
        if !known {
            self.unknown(raw);
        }
        Ok(())
    }

    fn whole(&mut self, response: Response<'_>, marker: Option<char>, raw: &str) -> Result<(), LlmError> {
        let fault = response.error.as_ref().filter(|error| says_error(error));
        let failed = response.status.filled() == Some("failed");
        if let Some(error) = fault.filter(|_| !failed) {
            return Err(self.draft.fault(&Fault::from_value(error), raw));
        }
        let bare = response.output.0.is_none()
            && (response.object.filled() == Some("error")
                || response.message.filled().is_some()
                    && response.code.filled().or(response.type_.filled()).is_some());
        if bare {
            return Err(self.draft.fault(&Fault::from_body(raw), raw));
        }
        let whole = response.object.filled() == Some("response") && response.output.0.is_some();
        let status = response.status.0.as_deref().map(str::to_owned);
        match status.as_deref() {
            Some(status @ ("completed" | "incomplete" | "failed" | "cancelled")) => {
                self.finish(response, status, marker, raw)
            }
            None if whole => self.finish(response, "completed", marker, raw),
            _ => Ok(()),
        }
    }

    /// Looks for an error in every place where servers put one. That of a response is looked at with its status.
    fn check_error(&self, event: &Event<'_>, raw: &str) -> Result<(), LlmError> {
        if let Some(error) = event.error.as_ref().filter(|error| says_error(error)) {
            return Err(self.draft.fault(&Fault::from_value(error), raw));
        }
        let within = event
            .response
            .0
            .as_ref()
            .and_then(|response| response.error.as_ref());
        if let Some(error) = within.filter(|error| says_error(error)) {
            return Err(self.draft.fault(&Fault::from_value(error), raw));
        }
        let type_ = event.type_.filled();
        let odd = type_.is_some_and(|type_| !type_.starts_with("response."));
        let bare = event.message.filled().is_some() && (event.code.filled().is_some() || odd);
        if bare || type_ == Some("error") {
            return Err(self.draft.fault(&Fault::from_body(raw), raw));
        }
        Ok(())
    }

    /// Takes the end of a response.
    fn finish(
        &mut self,
        response: Response<'_>,
        status: &str,
        marker: Option<char>,
        raw: &str,
    ) -> Result<(), LlmError> {
        self.draft.identify(response.id.0, response.model.0, marker);
        if matches!(status, "failed" | "cancelled") {
            let fault = response.error.as_ref().filter(|error| says_error(error));
            return Err(match fault {
                Some(error) => self.draft.fault(&Fault::from_value(error), raw),
                None => {
                    let message = format!("reported that its response is {status}");
                    self.draft.error(ErrorKind::Server, &message).with_raw_body(raw)
                }
            });
        }
        self.draft.start(self.events);
        let items = response.output.into_items();
        let items: Vec<_> = items.map(|item| whole_value(item, marker)).collect();
        self.output(&items)?;
        self.use_up(&response.usage);
        let details = response.incomplete_details.0.unwrap_or_default();
        let reason = details.reason.filled().map(FinishReason::from_wire);
        // Some gateways end an answer that is cut with `response.completed` and tell only by its members.
        let incomplete = response.status.filled() == Some("incomplete") || status == "incomplete";
        if incomplete || reason.is_some() {
            self.draft.cut();
        }
        let plain = if incomplete {
            FinishReason::Other("incomplete".to_owned())
        } else {
            FinishReason::Stop
        };
        self.draft.stop(reason.unwrap_or(plain));
        Ok(())
    }

    /// Adds a text, unless the same was said by a source that comes before this one.
    pub(super) fn say(
        &mut self,
        source: Source,
        channel: Channel,
        text: Option<Cow<'_, str>>,
        marker: Option<char>,
    ) -> Result<(), LlmError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return Ok(());
        };
        let kind = match channel {
            Channel::Text => 0,
            Channel::Reasoning => 1,
            Channel::Refusal => 2,
        };
        if self.takes(source, kind) {
            self.draft.say(channel, Some(text), marker, self.events)?;
        }
        Ok(())
    }

    /// Returns whether a source is the one from which this kind of text is taken.
    pub(super) fn takes(&mut self, source: Source, kind: usize) -> bool {
        let sources = self.response.sources.get_mut(kind);
        sources.is_some_and(|taken| *taken.get_or_insert(source) == source)
    }

    fn use_up(&mut self, usage: &Obj<RawUsage>) {
        if let Some(usage) = &usage.0 {
            self.draft.use_up(&usage.to_usage(), self.events);
        }
    }

    pub(super) fn unknown(&mut self, raw: &str) {
        self.events
            .push_back(StreamEvent::Unknown { raw: raw.to_owned() });
    }
}

/// The form of an event.
struct EventForm;

impl Form for EventForm {
    type Of<'a> = Event<'a>;
}

/// The form of a whole response.
struct ResponseForm;

impl Form for ResponseForm {
    type Of<'a> = Response<'a>;
}
