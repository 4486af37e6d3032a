//! What the frames of Gemini's `generateContent` mean.
//!
//! A finish reason is not the last word here: usage follows it, and an answer that runs code on the server says `STOP`
//! before the code's result and goes on. So frames are taken until the body ends, and the last reason counts.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::IgnoredAny;
use throng_core::Usage;

use super::chunk::{Candidate, Chunk, Counts, FunctionCall, Part};
use super::partial::Partial;
use super::signed::{Of, Signed};
use crate::wire::draft::{Channel, Draft, Events};
use crate::wire::fault::{Fault, says_error};
use crate::wire::lenient::Count;
use crate::wire::protocol::{Frame, Protocol, is_sign_of_life};
use crate::wire::read::{Cut, Form, Values, is_list_of_objects, read_object};
use crate::wire::surrogate;
use crate::{ErrorKind, FinishReason, Limited, LlmError, StreamEvent};

/// The answers of Gemini's `generateContent`.
#[derive(Debug, Default)]
pub(in crate::wire) struct Gemini {
    /// A reason to stop that came with code of which the result is still to come.
    held: Option<FinishReason>,
    /// Bytes of the answer's text, and where its current part began.
    text: usize,
    part: usize,
    /// The id of the call that came last, if it has no signature and nothing came after it.
    unsigned: Option<String>,
    calls: u64,
    partial: Option<Partial>,
    counts: Counts,
}

impl Protocol for Gemini {
    fn frame(&mut self, draft: &mut Draft, frame: Frame<'_>, events: &mut Events) -> Result<(), LlmError> {
        if frame.data == "[DONE]" {
            // Gateways add it; the service itself does not send it.
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
        let mut taking = Taking {
            state: self,
            draft,
            events,
        };
        if is_list_of_objects(frame.data) {
            taking.list(frame.data)
        } else {
            taking.parse(frame.data)
        }
    }

    fn whole(&mut self, draft: &mut Draft, body: &str, events: &mut Events) -> Result<(), LlmError> {
        let mut taking = Taking {
            state: self,
            draft,
            events,
        };
        // The streaming endpoint answers with a list of frames unless it is asked for events.
        if is_list_of_objects(body) {
            taking.list(body)?;
        } else {
            taking.draft.check_end(body)?;
            taking.parse(body.trim())?;
        }
        if let Some(reason) = self.held.take() {
            draft.stop_anew(reason);
        }
        Ok(())
    }

    fn cut_message(&self) -> &'static str {
        "ended the stream before a finish reason"
    }
}

/// A frame being taken into the answer.
struct Taking<'a> {
    state: &'a mut Gemini,
    draft: &'a mut Draft,
    events: &'a mut Events,
}

impl Taking<'_> {
    fn list(&mut self, json: &str) -> Result<(), LlmError> {
        for item in Values::new(json) {
            match item {
                Ok(item) => self.parse(item)?,
                Err(Cut::Early(_)) if self.draft.is_complete() => {}
                Err(_) => {
                    return Err(match serde_json::from_str::<IgnoredAny>(json) {
                        Err(error) => self.draft.not_whole(json, error),
                        Ok(_) => self
                            .draft
                            .error(ErrorKind::Protocol, "sent an answer that is not JSON"),
                    });
                }
            }
        }
        Ok(())
    }

    fn parse(&mut self, json: &str) -> Result<(), LlmError> {
        match read_object::<ChunkForm, _>(json, |chunk, marker| self.chunk(chunk, marker, json)) {
            Ok(taken) => taken,
            Err(odd) => odd.settle(self.draft, json, self.events),
        }
    }

    fn chunk(&mut self, chunk: Chunk<'_>, marker: Option<char>, raw: &str) -> Result<(), LlmError> {
        self.check_error(&chunk, raw)?;
        if chunk.candidates.0.is_none()
            && chunk.usage_metadata.0.is_none()
            && chunk.prompt_feedback.0.is_none()
        {
            self.unknown(raw);
            return Ok(());
        }
        self.draft
            .identify(chunk.response_id.0, chunk.model_version.0, marker);
        let mut unknown = false;
        for candidate in chunk.candidates.into_items() {
            unknown |= match candidate.0 {
                Some(candidate) if candidate.index.0.unwrap_or(0) == 0 => {
                    self.candidate(candidate, marker)?
                }
                _ => true,
            };
        }
        if let Some(counts) = &chunk.usage_metadata.0 {
            self.state.counts.replace_with(counts);
            self.draft.use_up(&self.state.counts.to_usage(), self.events);
        }
        if unknown {
            self.unknown(raw);
        }
        Ok(())
    }

    /// Looks for an error before anything else of the frame is believed.
    fn check_error(&self, chunk: &Chunk<'_>, raw: &str) -> Result<(), LlmError> {
        if let Some(error) = chunk.error.as_ref().filter(|error| says_error(error)) {
            return Err(self.draft.fault(&Fault::from_value(error), raw));
        }
        let no_candidates = chunk.candidates.0.as_ref().is_none_or(Vec::is_empty);
        if no_candidates
            && let Some(feedback) = &chunk.prompt_feedback.0
            && let Some(reason) = feedback.block_reason.filled()
        {
            let message = feedback
                .block_reason_message
                .filled()
                .unwrap_or("the prompt was blocked");
            let provider = Arc::clone(self.draft.provider());
            return Err(LlmError::in_stream(ErrorKind::ContentFilter, provider, message)
                .with_code(Some(reason.to_owned()))
                .with_raw_body(raw));
        }
        let bare =
            chunk.candidates.0.is_none() && chunk.message.filled().is_some() && chunk.code.filled().is_some();
        if bare {
            return Err(self.draft.fault(&Fault::from_body(raw), raw));
        }
        Ok(())
    }

    /// Returns whether the candidate has something that is not known.
    fn candidate(&mut self, candidate: Candidate<'_>, marker: Option<char>) -> Result<bool, LlmError> {
        self.draft.start(self.events);
        let mut unknown = candidate.unknown;
        let mut runs_code = false;
        if let Some(content) = candidate.content.0 {
            for part in content.parts.into_items() {
                match part.0 {
                    Some(part) => {
                        runs_code = part.executable_code.0;
                        unknown |= self.part(part, marker)?;
                    }
                    None => unknown = true,
                }
            }
        }
        if let Some(reason) = candidate.finish_reason.filled() {
            let reason = FinishReason::from_wire(reason);
            unknown |=
                matches!(reason, FinishReason::Other(_)) && candidate.finish_message.filled().is_some();
            self.stop(reason, runs_code)?;
        }
        Ok(unknown)
    }

    fn stop(&mut self, reason: FinishReason, runs_code: bool) -> Result<(), LlmError> {
        if let Some(partial) = self.state.partial.take() {
            if reason == FinishReason::Stop {
                self.close(partial)?;
            } else {
                self.draft.cut();
            }
        }
        if runs_code && reason == FinishReason::Stop {
            self.state.held = Some(reason);
        } else {
            self.state.held = None;
            self.draft.stop_anew(reason);
        }
        Ok(())
    }

    /// Returns whether the part has something that is not known.
    fn part(&mut self, part: Part<'_>, marker: Option<char>) -> Result<bool, LlmError> {
        let mut unknown = part.unknown || part.executable_code.0;
        let signature = part.thought_signature.filled();
        let of = if let Some(call) = part.function_call.0 {
            match self.call(call, marker)? {
                Some(id) => Of::Call(id),
                None => {
                    unknown = true;
                    Of::Thought
                }
            }
        } else if part.thought.0 {
            self.state.part = self.state.text;
            self.draft
                .say(Channel::Reasoning, part.text.0, marker, self.events)?;
            Of::Thought
        } else if part.text.filled().is_some() {
            self.state.unsigned = None;
            let before = self.draft.received.text_bytes;
            self.draft.say(Channel::Text, part.text.0, marker, self.events)?;
            self.state.text += (self.draft.received.text_bytes - before) as usize;
            Of::Text(self.state.part, self.state.text)
        } else if unknown {
            return Ok(true);
        } else if let Some(id) = self.state.unsigned.take().filter(|_| signature.is_some()) {
            Of::Call(id)
        } else {
            Of::Text(self.state.part, self.state.text)
        };
        if let Some(signature) = signature {
            self.state.part = self.state.text;
            self.state.unsigned = None;
            let signature = surrogate::whole(Cow::Borrowed(signature), marker);
            let signed = Signed { signature, of };
            self.draft.say_opaque(signed.to_value(), self.events)?;
        }
        Ok(unknown)
    }

    /// Takes a call, or a piece of one, and returns the id of the call; `None` if it says something that is not known.
    fn call(&mut self, call: FunctionCall<'_>, marker: Option<char>) -> Result<Option<String>, LlmError> {
        let pieces = call.partial_args.0.unwrap_or_default();
        if let Some(name) = call.name.filled() {
            if let Some(before) = self.state.partial.take() {
                self.close(before)?;
            }
            let id = match call.id.filled() {
                Some(id) => surrogate::whole(Cow::Borrowed(id), marker),
                None => format!("call_{}", self.draft.n_calls()),
            };
            let name = surrogate::whole(Cow::Borrowed(name), marker);
            let key = self.state.calls;
            self.state.calls += 1;
            self.state.part = self.state.text;
            self.state.unsigned = Some(id.clone());
            self.draft.with_calls(self.events, |calls, limits, give| {
                calls.open(key, Some(id.clone()), name, limits, give)
            })?;
            if call.args.0.is_some() || !call.will_continue.0 && pieces.is_empty() {
                let arguments = call.args.0.unwrap_or(Cow::Borrowed("{}"));
                self.draft.with_calls(self.events, |calls, limits, give| {
                    calls.append(key, arguments, marker, limits, give)?;
                    calls.close(key, give);
                    Ok(())
                })?;
                return Ok(Some(id).filter(|_| pieces.is_empty()));
            }
            self.state.partial = Some(Partial::new(key, id));
        }
        let Some(mut partial) = self.state.partial.take() else {
            return Ok(None);
        };
        let whole = |text: &str| surrogate::whole(Cow::Borrowed(text), marker);
        let mut known = true;
        for piece in &pieces {
            known &= partial.take(piece, whole);
        }
        self.draft
            .with_calls(self.events, |_, limits, _| match partial.bytes {
                bytes if bytes > limits.tool_args_bytes => Err(Limited::ToolArguments),
                _ => Ok(()),
            })?;
        let id = known.then(|| partial.id.clone());
        if call.will_continue.0 {
            self.state.partial = Some(partial);
        } else {
            self.close(partial)?;
        }
        Ok(id)
    }

    /// Ends a call whose arguments came piece by piece.
    fn close(&mut self, partial: Partial) -> Result<(), LlmError> {
        let key = partial.key;
        let Some(arguments) = partial.into_json() else {
            self.draft.cut();
            return Ok(());
        };
        self.draft.with_calls(self.events, |calls, limits, give| {
            calls.append(key, arguments.into(), None, limits, give)?;
            calls.close(key, give);
            Ok(())
        })
    }

    fn unknown(&mut self, raw: &str) {
        self.events
            .push_back(StreamEvent::Unknown { raw: raw.to_owned() });
    }
}

impl Counts {
    /// Takes over a later snapshot. A zero or an absent figure erases none.
    fn replace_with(&mut self, later: &Self) {
        let replace = |mine: &mut Count, later: Count| {
            if later.0.is_some_and(|later| later > 0 || mine.0.is_none()) {
                *mine = later;
            }
        };
        replace(&mut self.prompt_token_count, later.prompt_token_count);
        replace(
            &mut self.tool_use_prompt_token_count,
            later.tool_use_prompt_token_count,
        );
        replace(&mut self.candidates_token_count, later.candidates_token_count);
        replace(&mut self.thoughts_token_count, later.thoughts_token_count);
        replace(
            &mut self.cached_content_token_count,
            later.cached_content_token_count,
        );
    }

    /// Of Gemini's figures, those of thoughts are not among those of candidates, and those of the results of the
    /// server's own tools are not among those of the prompt.
    fn to_usage(self) -> Usage {
        let sum = |a: Count, b: Count| match (a.0, b.0) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        let mut usage = Usage::default();
        usage.input_tokens = sum(self.prompt_token_count, self.tool_use_prompt_token_count);
        usage.output_tokens = sum(self.candidates_token_count, self.thoughts_token_count);
        usage.cached_input_tokens = self.cached_content_token_count.0;
        usage.reasoning_tokens = self.thoughts_token_count.0;
        usage
    }
}

/// The form of a frame.
struct ChunkForm;

impl Form for ChunkForm {
    type Of<'a> = Chunk<'a>;
}
