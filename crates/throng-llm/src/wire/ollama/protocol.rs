//! What the lines of Ollama's `/api/chat` mean. It looks at `error` before it looks at anything else.
//!
//! As a rule a line is one object. Proxies also join lines, and servers that imitate this wire write an answer in one
//! piece over many lines: an object ends where its last bracket is, not where its line ends.

use std::borrow::Cow;

use super::chunk::{Call, Line};
use crate::wire::calls::Nesting;
use crate::wire::draft::{Channel, Draft, Events};
use crate::wire::fault::{Fault, says_error};
use crate::wire::protocol::{Frame, Protocol, is_sign_of_life};
use crate::wire::read::{Cut, Form, Odd, Values, is_list_of_objects, read_object};
use crate::wire::surrogate;
use crate::{ErrorKind, FinishReason, LlmError, StreamEvent};

/// The answers of Ollama's `/api/chat`.
#[derive(Debug, Default)]
pub(in crate::wire) struct Ollama {
    /// An object of which the end has not arrived, though its line has ended.
    begun: String,
    nesting: Nesting,
    calls: u64,
}

impl Protocol for Ollama {
    fn frame(&mut self, draft: &mut Draft, frame: Frame<'_>, events: &mut Events) -> Result<(), LlmError> {
        if frame.name == "error" {
            return Err(draft.fault(&Fault::from_body(frame.data), frame.data));
        }
        if self.begun.is_empty() {
            if is_sign_of_life(&frame) {
                return Ok(());
            }
            return self.take(draft, frame.data, events);
        }
        self.go_on(draft, frame.data, events)
    }

    fn whole(&mut self, draft: &mut Draft, body: &str, events: &mut Events) -> Result<(), LlmError> {
        draft.check_end(body)?;
        self.take(draft, body.trim(), events)
    }

    fn cut_message(&self) -> &'static str {
        "ended the stream before `done`"
    }
}

impl Ollama {
    /// Takes a text that begins with a new object.
    fn take(&mut self, draft: &mut Draft, text: &str, events: &mut Events) -> Result<(), LlmError> {
        let odd = match self.parse(draft, text, events) {
            Ok(taken) => return taken,
            Err(odd) => odd,
        };
        if matches!(odd, Odd::NoObject(_)) && !is_list_of_objects(text) {
            return odd.settle(draft, text, events);
        }
        for value in Values::new(text) {
            let (value, parsed) = match value {
                Ok(value) if value.len() < text.len() => (value, self.parse(draft, value, events)),
                Err(Cut::Early(begun)) if begun.starts_with('{') => return self.begin(draft, begun),
                _ => return odd.settle(draft, text, events),
            };
            match parsed {
                Ok(taken) => taken?,
                Err(odd) => odd.settle(draft, value, events)?,
            }
            if draft.is_finished() {
                break;
            }
        }
        Ok(())
    }

    /// Keeps the beginning of an object.
    fn begin(&mut self, draft: &Draft, text: &str) -> Result<(), LlmError> {
        draft.check_event(text.len())?;
        self.nesting = Nesting::default();
        self.nesting.feed(text);
        self.begun = text.to_owned();
        Ok(())
    }

    /// Adds a line to an object that was begun.
    fn go_on(&mut self, draft: &mut Draft, line: &str, events: &mut Events) -> Result<(), LlmError> {
        if self.nesting.is_in_string() {
            // No string of JSON goes over the end of a line.
            let begun = std::mem::take(&mut self.begun);
            let fault = draft.error(ErrorKind::Protocol, "sent a frame that is not JSON");
            return Err(fault.with_raw_body(begun));
        }
        draft.check_event(self.begun.len() + line.len() + 1)?;
        self.begun.push('\n');
        self.begun.push_str(line);
        self.nesting.feed(line);
        if !self.nesting.is_closed() {
            return Ok(());
        }
        let whole = std::mem::take(&mut self.begun);
        self.take(draft, &whole, events)
    }

    fn parse(
        &mut self,
        draft: &mut Draft,
        json: &str,
        events: &mut Events,
    ) -> Result<Result<(), LlmError>, Odd> {
        let mut taking = Taking {
            calls: &mut self.calls,
            draft,
            events,
        };
        read_object::<LineForm, _>(json, |line, marker| taking.line(line, marker, json))
    }
}

/// A line being taken into the answer.
struct Taking<'a> {
    calls: &'a mut u64,
    draft: &'a mut Draft,
    events: &'a mut Events,
}

impl Taking<'_> {
    fn line(&mut self, line: Line<'_>, marker: Option<char>, raw: &str) -> Result<(), LlmError> {
        if let Some(error) = line.error.as_ref().filter(|error| says_error(error)) {
            return Err(self.draft.fault(&Fault::from_value(error), raw));
        }
        let usage = line.usage();
        if line.message.0.is_none() && !line.done.0 {
            self.unknown(raw);
            return Ok(());
        }
        self.draft.identify(None, line.model.0, marker);
        self.draft.start(self.events);
        let mut unknown = false;
        if let Some(message) = line.message.0 {
            unknown = message.unknown;
            self.draft
                .say(Channel::Reasoning, message.thinking.0, marker, self.events)?;
            self.draft
                .say(Channel::Text, message.content.0, marker, self.events)?;
            for call in message.tool_calls.into_items() {
                unknown |= match call.0 {
                    Some(call) => !self.call(call, marker)?,
                    None => true,
                };
            }
        }
        self.draft.use_up(&usage, self.events);
        if unknown {
            self.unknown(raw);
        }
        if line.done.0 {
            // Old versions give no reason.
            let reason = line.done_reason.filled().unwrap_or("stop");
            self.draft.stop(FinishReason::from_wire(reason));
            self.draft.end(self.events);
        }
        Ok(())
    }

    /// Takes a call, which is whole. Returns false if it has no name.
    fn call(&mut self, call: Call<'_>, marker: Option<char>) -> Result<bool, LlmError> {
        let Some(function) = call.function.0 else {
            return Ok(false);
        };
        let Some(name) = function.name.filled() else {
            return Ok(false);
        };
        let name = surrogate::whole(Cow::Borrowed(name), marker);
        let id = call.id.0.map(|id| surrogate::whole(id, marker));
        let arguments = function.arguments.0.unwrap_or(Cow::Borrowed("{}"));
        let key = *self.calls;
        *self.calls += 1;
        self.draft.with_calls(self.events, |calls, limits, give| {
            calls.open(key, id, name, limits, give)?;
            calls.append(key, arguments, marker, limits, give)?;
            calls.close(key, give);
            Ok(true)
        })
    }

    fn unknown(&mut self, raw: &str) {
        self.events
            .push_back(StreamEvent::Unknown { raw: raw.to_owned() });
    }
}

/// The form of a line.
struct LineForm;

impl Form for LineForm {
    type Of<'a> = Line<'a>;
}
