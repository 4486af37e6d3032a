//! What the frames of Anthropic's Messages mean. It looks for an error before it looks at anything else.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::blocks::{Block, Blocks};
use super::message::{Piece, RawUsage};
use crate::wire::draft::{Channel, Draft, Events};
use crate::wire::fault::{Fault, says_error};
use crate::wire::lenient::Obj;
use crate::wire::protocol::{Frame, Protocol, is_sign_of_life};
use crate::wire::read::{Form, read_object};
use crate::wire::surrogate::whole_value;
use crate::{ErrorKind, FinishReason, LlmError, StreamEvent};

/// The answers of Anthropic's Messages.
#[derive(Debug, Default)]
pub(in crate::wire) struct Anthropic {
    /// The id of the message that has begun.
    begun: Option<Option<String>>,
    pub(super) blocks: Blocks,
    usage: RawUsage,
}

impl Protocol for Anthropic {
    fn frame(&mut self, draft: &mut Draft, frame: Frame<'_>, events: &mut Events) -> Result<(), LlmError> {
        let mut taking = Taking {
            message: self,
            draft,
            events,
        };
        if frame.data == "[DONE]" {
            return taking.end("[DONE]");
        }
        if frame.name == "error" {
            return Err(taking.draft.fault(&Fault::from_body(frame.data), frame.data));
        }
        if is_sign_of_life(&frame) {
            return Ok(());
        }
        if taking.draft.say_as_before(frame.data, taking.events)? {
            return Ok(());
        }
        taking.parse(frame.data, frame.name)
    }

    fn whole(&mut self, draft: &mut Draft, body: &str, events: &mut Events) -> Result<(), LlmError> {
        draft.check_end(body)?;
        let mut taking = Taking {
            message: self,
            draft,
            events,
        };
        taking.parse(body, "")
    }

    fn cut_message(&self) -> &'static str {
        "ended the stream before a stop reason"
    }
}

/// A frame being taken into the answer.
pub(super) struct Taking<'a> {
    pub(super) message: &'a mut Anthropic,
    pub(super) draft: &'a mut Draft,
    pub(super) events: &'a mut Events,
}

impl Taking<'_> {
    fn parse(&mut self, json: &str, name: &str) -> Result<(), LlmError> {
        let read = read_object::<PieceForm, _>(json, |piece, marker| self.piece(piece, name, marker, json));
        match read {
            Ok(taken) => taken,
            Err(odd) => odd.settle(self.draft, json, self.events),
        }
    }

    fn piece(
        &mut self,
        mut piece: Piece<'_>,
        name: &str,
        marker: Option<char>,
        raw: &str,
    ) -> Result<(), LlmError> {
        self.check_error(&piece, raw)?;
        let index = piece.index.0;
        let type_ = piece.type_.0.take().filter(|type_| !type_.is_empty());
        match type_.as_deref().unwrap_or(name) {
            "content_block_delta" => match piece.delta.0 {
                Some(delta) => self.block_delta(index, delta, marker, raw)?,
                None => self.unknown(raw),
            },
            "content_block_start" => {
                let block = whole_value(piece.content_block.unwrap_or_default(), marker);
                if !self.block_start(index, &block)? {
                    self.unknown(raw);
                }
            }
            "content_block_stop" => {
                if let Some(block) = self.message.blocks.take(index) {
                    self.close(block)?;
                }
            }
            "message_start" => self.message_start(piece.message, marker, raw)?,
            "message_delta" => self.message_delta(piece, raw)?,
            "message_stop" => self.end("`message_stop`")?,
            "ping" => {}
            "message" if !self.draft.received.content => self.whole_message(piece, marker)?,
            _ => self.unknown(raw),
        }
        Ok(())
    }

    /// Looks for an error in every place where servers put one.
    fn check_error(&self, piece: &Piece<'_>, raw: &str) -> Result<(), LlmError> {
        if let Some(error) = piece.error.as_ref().filter(|error| says_error(error)) {
            return Err(self.draft.fault(&Fault::from_value(error), raw));
        }
        let type_ = piece.type_.filled();
        let says = piece.message.as_ref().and_then(Value::as_str);
        // llama.cpp sends its errors without a wrapper.
        let bare = says.is_some_and(|text| !text.is_empty()) && piece.code.filled().or(type_).is_some();
        if bare || type_ == Some("error") {
            return Err(self.draft.fault(&Fault::from_body(raw), raw));
        }
        Ok(())
    }

    fn message_start(
        &mut self,
        message: Option<Value>,
        marker: Option<char>,
        raw: &str,
    ) -> Result<(), LlmError> {
        let message = whole_value(message.unwrap_or_default(), marker);
        let text = |name: &str| message.get(name).and_then(Value::as_str).map(str::to_owned);
        let id = text("id");
        match &self.message.begun {
            Some(begun) if *begun != id => {
                if self.draft.is_complete() {
                    self.draft.end(self.events);
                    return Ok(());
                }
                // A gateway has begun anew. What was given cannot be taken back, and mixing two answers makes none.
                let message = "began a second message in the middle of the first";
                return Err(self.draft.error(ErrorKind::Protocol, message).with_raw_body(raw));
            }
            Some(_) => {}
            None => {
                self.draft.identify(
                    id.as_deref().map(Cow::Borrowed),
                    text("model").map(Cow::Owned),
                    None,
                );
                self.message.begun = Some(id);
                self.draft.start(self.events);
                if message
                    .get("content")
                    .and_then(Value::as_array)
                    .is_some_and(|content| !content.is_empty())
                {
                    self.unknown(raw);
                }
            }
        }
        if let Some(Ok(usage)) = message.get("usage").map(Obj::<RawUsage>::deserialize) {
            self.use_up(&usage);
        }
        Ok(())
    }

    fn message_delta(&mut self, piece: Piece<'_>, raw: &str) -> Result<(), LlmError> {
        self.use_up(&piece.usage);
        let delta = piece.delta.0.unwrap_or_default();
        if delta.stop_details.0 {
            self.unknown(raw);
        }
        let reason = delta.stop_reason.filled().or(piece.stop_reason.filled());
        reason.map_or(Ok(()), |reason| self.stop(reason))
    }

    fn whole_message(&mut self, piece: Piece<'_>, marker: Option<char>) -> Result<(), LlmError> {
        self.draft.identify(piece.id.0, piece.model.0, marker);
        self.draft.start(self.events);
        let blocks = piece.content.0.unwrap_or_default();
        let reason = piece.stop_reason.filled();
        let cut = reason.is_some_and(|reason| FinishReason::from_wire(reason).is_cut());
        let last = blocks.len().saturating_sub(1);
        for (at, block) in blocks.into_iter().enumerate() {
            let block = whole_value(block, marker);
            if !self.block_start(None, &block)? {
                self.unknown(&block.to_string());
            }
            if let Some(block) = self.message.blocks.take(None) {
                // The provider mends arguments that it has cut, so that they are an object all the same.
                if let Block::Tool { key, .. } = block
                    && cut
                    && at == last
                {
                    self.draft.with_calls(self.events, |calls, _, _| {
                        calls.doubt(key);
                        Ok(())
                    })?;
                }
                self.close(block)?;
            }
        }
        self.use_up(&piece.usage);
        if let Some(details) = piece.stop_details.filter(|details| !details.is_null()) {
            self.unknown(&details.to_string());
        }
        reason.map_or(Ok(()), |reason| self.stop(reason))
    }

    /// Takes the reason why the model stopped. Blocks whose end was lost end here, and if the answer was not cut, the
    /// calls without any arguments are whole: they take none.
    fn stop(&mut self, reason: &str) -> Result<(), LlmError> {
        let finish = FinishReason::from_wire(reason);
        while let Some(block) = self.message.blocks.take_first() {
            self.close(block)?;
        }
        let empty = std::mem::take(&mut self.message.blocks.empty);
        if !finish.is_cut() {
            for key in empty {
                self.draft.with_calls(self.events, |calls, limits, give| {
                    calls.append(key, "{}".into(), None, limits, give)?;
                    calls.close(key, give);
                    Ok(())
                })?;
            }
        }
        self.draft.stop(finish);
        Ok(())
    }

    /// Takes the provider's sign of the end.
    fn end(&mut self, sign: &str) -> Result<(), LlmError> {
        if !self.draft.is_complete() {
            let message = format!("sent {sign} without a stop reason");
            return Err(self.draft.error(ErrorKind::Truncated, &message));
        }
        self.draft.end(self.events);
        Ok(())
    }

    pub(super) fn say(
        &mut self,
        channel: Channel,
        text: Option<Cow<'_, str>>,
        marker: Option<char>,
    ) -> Result<(), LlmError> {
        self.draft.say(channel, text, marker, self.events)
    }

    fn use_up(&mut self, usage: &Obj<RawUsage>) {
        if let Some(usage) = &usage.0 {
            self.message.usage.replace_with(usage);
            self.draft.use_up(&self.message.usage.to_usage(), self.events);
        }
    }

    pub(super) fn unknown(&mut self, raw: &str) {
        self.events
            .push_back(StreamEvent::Unknown { raw: raw.to_owned() });
    }
}

/// The form of a frame.
struct PieceForm;

impl Form for PieceForm {
    type Of<'a> = Piece<'a>;
}
